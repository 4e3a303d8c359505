"""What estimators ask of their parameters, data, targets and weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import _check_sample_weight, validate_data

from ..errors import explain
from ..tensor import Array

FLOATS = (np.float64, np.float32)
LARGEST = 1e300
PART = (1e-9, 1 - 1e-9)  # limits of what is neither nothing nor all
BALANCE_BY_HAND = "Compute them with sklearn.utils.compute_class_weight from all data, and pass them as a dict."
FLAGS = {"fit_intercept", "warm_start", "shuffle", "early_stopping", "nesterovs_momentum"}


def keep_arguments(estimator: Any, given: dict[str, Any]) -> None:
    """Keep what a constructor was given, its `locals()`, under the same names, where scikit-learn looks for it."""
    vars(estimator).update((name, value) for name, value in given.items() if name not in ("self", "__class__"))


def quiet(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that computes the same whatever `np.seterr` says: it looks itself for what is not finite."""

    @functools.wraps(method)
    def computed(self: Any, *args: Any, **named: Any) -> Any:
        with np.errstate(all="ignore"):
            return method(self, *args, **named)

    return computed


def all_or_nothing(method: Callable[..., Any]) -> Callable[..., Any]:
    """A :func:`quiet` method that leaves its object as it was if it raises: attributes are replaced by it, not changed."""

    @functools.wraps(method)
    def undone(self: Any, *args: Any, **named: Any) -> Any:
        before = dict(self.__dict__)
        try:
            with np.errstate(all="ignore"):
                return method(self, *args, **named)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    return undone


def check_numbers(estimator: Any, **limits: tuple[float, float]) -> None:
    """Raise ValueError for a parameter that is not a number within its limits."""
    for name, (low, high) in limits.items():
        value = getattr(estimator, name)
        number = int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else np.nan
        if isinstance(value, bool) or not low <= number <= high:
            part = "above 0 and below 1" if (low, high) == PART else f"from {low:g} to {high:g}"
            kind = part if high < LARGEST else "above 0" if low > 0 else "not below 0"
            raise ValueError(explain(f"`{name}` to be a number {kind}", repr(value), "Pass it as a plain number."))


def check_counts(estimator: Any, *names: str) -> None:
    """Raise ValueError for a parameter that is not a positive integer."""
    for name in names:
        value = getattr(estimator, name)
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(explain(f"`{name}` to be a positive integer", repr(value), "Pass 1 or more."))


def check_patience(estimator: Any) -> None:
    """Raise ValueError for an `n_iter_no_change` that is neither a positive integer nor infinity, which never stops."""
    if not (isinstance(estimator.n_iter_no_change, Real) and estimator.n_iter_no_change == np.inf):
        check_counts(estimator, "n_iter_no_change")


def check_flags(estimator: Any) -> None:
    """Raise ValueError for a flag that is neither True nor False."""
    for name in sorted(FLAGS.intersection(estimator.get_params(deep=False))):
        value = getattr(estimator, name)
        if not isinstance(value, (bool, np.bool_, Real)) or value not in (0, 1):
            raise ValueError(explain(f"`{name}` to be True or False", repr(value), "Pass a bool."))


def refuse_early_stopping(estimator: Any) -> None:
    """A part of the data is one pass: there is nothing to stop, and nothing is held out of it."""
    if estimator.early_stopping:
        raise ValueError(explain("early_stopping=False for partial_fit", "True", "Stop by a score of your own."))


def check_weights(sample_weight: Any, x: Array) -> Array | None:
    """Weights of samples as numbers, or None.

    Raises
    ------
    ValueError
        If one is negative, or they do not sum to a number that can be divided by.
    """
    if sample_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
    check_total(weights, "weights of samples")
    return np.asarray(weights)


def checked_rows(
    estimator: Any, x: Any, y: Any, sample_weight: Any, reset: bool = True, **checks: Any
) -> tuple[Array, Array, Array | None]:
    """X, y and weights as arrays that can be learned from."""
    x, y = validate_data(estimator, x, y, dtype=FLOATS, reset=reset, **checks)
    return x, y, check_weights(sample_weight, x)


def checked_targets(y: Array, dtype: Any) -> Array:
    """Targets in the type of the columns; ValueError if one is too large for it."""
    found: Array = y.astype(dtype)
    if not np.isfinite(found).all():
        raise ValueError(
            explain(f"targets within {np.dtype(dtype)}", "larger ones", "Choose other units, or pass X as float64.")
        )
    return found


def check_total(weights: Array, what: str) -> None:
    total = float(weights.sum())
    if not float(np.finfo(np.float64).tiny) <= total <= LARGEST:
        remedy = "Weigh some sample, in other units."
        raise ValueError(explain(f"{what} with a positive, finite sum", f"a sum of {total:g}", remedy))


def hold_out(
    estimator: Any, x: Array, y: Array, weights: Array | None, of_samples: Array | None, labels: Array | None, random: Any
) -> list[tuple[Array, Array, Array | None]]:
    """X, y and weights of what to learn from, and of `validation_fraction` of the rows to judge by.

    `weights` are those `of_samples` times those of their classes, which are for learning alone.
    """
    rows, parts = np.arange(len(x)), []
    split = train_test_split(rows, test_size=estimator.validation_fraction, stratify=labels, random_state=random)
    for part, of_rows, what in zip(split, (weights, of_samples), ("to learn from", "held out"), strict=True):
        if of_rows is not None:
            of_rows = of_rows[part]
            check_total(of_rows, f"weights of the samples {what}")
        parts.append((x[part], y[part], of_rows))
    return parts


def check_choice(estimator: Any, name: str, choices: tuple[Any, ...]) -> None:
    value = getattr(estimator, name)
    if np.ndim(value) or not any(value is c or value == c for c in choices):
        raise ValueError(explain(f"`{name}` out of {choices}", repr(value), "Others, as scikit-learn may have, are not here."))


def check_classes(classes: Array, fewest: int = 2) -> None:
    if len(classes) < fewest:
        received = f"only one class {classes.tolist()[0]!r}"
        raise ValueError(explain("samples of at least two classes", received, "Check how the data was split."))


def check_labels(y: Array, classes: Array) -> None:
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(explain(f"labels out of {classes}", unknown, "Pass all `classes` at the first call."))


def first_classes(estimator: Any, classes: Any, is_first: bool, fewest: int = 2) -> Array:
    """The classes of a classifier that learns part by part: given at the first call, the same at all others."""
    if is_first and classes is None:
        raise ValueError(explain("all `classes` at the first call of partial_fit", None, "Pass np.unique(y)."))
    found = np.unique(classes) if is_first else estimator.classes_
    if classes is not None and not np.array_equal(np.unique(classes), found):
        raise ValueError(explain(f"`classes` as at the first call, {found}", classes, "Make a new classifier."))
    check_classes(found, fewest)
    return np.asarray(found)


def refuse_balanced(class_weight: Any) -> None:
    """A part of the data does not tell how many samples of each class there will be."""
    if class_weight == "balanced":
        raise ValueError(explain("a dict as `class_weight` for partial_fit", "'balanced'", BALANCE_BY_HAND))


def with_class_weights(class_weight: Any, classes: Array, y: Array, weights: Array | None) -> Array | None:
    """The weights of samples times those of their classes. "balanced" looks at the weights of samples, too.

    Raises
    ------
    ValueError
        If a class weight is negative, or nothing has a weight.
    """
    if class_weight is None:
        return weights
    if class_weight == "balanced" and not np.isin(classes, y).all():
        raise ValueError(explain("samples of all classes for balanced weights", "some are missing", BALANCE_BY_HAND))
    labels, of_samples = (classes, None) if isinstance(class_weight, dict) else (y, weights)
    of_class = compute_class_weight(class_weight, classes=classes, y=labels, sample_weight=of_samples)
    found = of_class[np.searchsorted(classes, y)] * (1 if weights is None else weights)
    if not (found >= 0).all():
        raise ValueError(explain("class weights that are positive", repr(class_weight), "0 leaves a class out, but not all."))
    check_total(found, "class weights, times those of the samples,")
    return np.asarray(found)
