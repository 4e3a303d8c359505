"""Which inputs a model listens to: measured by its weights, by its gradients, or by what it loses without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from ..autograd import grad
from ..errors import explain
from ..layers import Layer
from ..state import enable_grad
from ..tensor import Array, Tensor


@dataclass(frozen=True)
class Importance:
    """A number for each input; printed, the largest come first.

    Attributes
    ----------
    names : list of str
    mean : array (features,)
    deviation : array (features,)
        Over repetitions; zeros where there are none.
    """

    names: list[str]
    mean: Array
    deviation: Array

    def __str__(self) -> str:
        width = max(map(len, self.names))
        spread = [f" ± {d:.2g}" for d in self.deviation] if self.deviation.any() else [""] * len(self.names)
        return "\n".join(f"{self.names[i]:{width}s} {self.mean[i]:12.6g}{spread[i]}" for i in np.argsort(-self.mean))


def weight_importance(model: Any, x: Any, names: Sequence[str] | None = None) -> Importance:
    """|weight| times the deviation of its column: how far a linear model moves when a column does, whatever its units.

    Parameters
    ----------
    model : estimator with `coef_`, or a Pipeline that ends with one
        The mean over its outputs counts. In a Pipeline, the columns are those that the steps before make.
    x : array (samples, features)
    names : list of str, optional
        By default those of the columns of a DataFrame, else x0, x1, ...

    Raises
    ------
    TypeError
        If the model has no `coef_`.
    ValueError
        If `x` or `names` do not fit its weights.
    """
    model, x, names = _last(model, x, names)
    if not hasattr(model, "coef_"):
        remedy = "Fit it first, or use permutation_importance."
        raise TypeError(explain("a fitted linear model with `coef_`", type(model).__name__, remedy))
    columns, labels = _columns(x, names)
    weights = np.abs(np.atleast_2d(model.coef_)).mean(0)
    if len(weights) != len(labels):
        raise ValueError(
            explain(f"{len(weights)} columns, as the model has weights", len(labels), "Pass what it was fitted to.")
        )
    return Importance(labels, weights * columns.std(0, dtype=np.float64), np.zeros(len(labels)))


def gradient_importance(model: Any, x: Any, names: Sequence[str] | None = None) -> Importance:
    """The mean of |∂ output / ∂ input| over samples and outputs, times the deviation of the column.

    Parameters
    ----------
    model : Model, or an MLPRegressor or MLPClassifier, or a Pipeline that ends with one
        Of the latter, the outputs are those of the last layer, and the columns those that the steps before make.
    x : array (samples, features)
    names : list of str, optional

    Raises
    ------
    TypeError
        If the model has no gradients.
    ValueError
        If `x` has not two axes, or `names` do not fit it.
    """
    model, x, names = _last(model, x, names)
    network = getattr(model, "_network", model)
    if not isinstance(network, Layer):
        remedy = "Use permutation_importance, which asks for predictions only."
        raise TypeError(explain("a network of this library that is fitted", type(model).__name__, remedy))
    columns, labels = _columns(x, names)
    inputs = Tensor(columns.astype(network.dtype), requires_grad=True)
    with enable_grad():
        flat = network(inputs).reshape(len(columns), -1)
        slopes = [np.abs(grad(flat[:, j].sum(), inputs).numpy()).mean(0, dtype=np.float64) for j in range(flat.shape[1])]
    return Importance(labels, np.mean(slopes, 0) * columns.std(0, dtype=np.float64), np.zeros(len(labels)))


def permutation_importance(
    model: Any,
    x: Any,
    y: Any,
    score: Callable[[Any, Any, Any], float] | str | None = None,
    repeats: int = 5,
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> Importance:
    """How much of its score a model loses when the values of a column are shuffled among the samples  (Breiman 2001).

    Parameters
    ----------
    model : estimator with `score`, or Model
        With a function as `score`, whatever that takes.
    x : array (samples, features)
        Data that it was not trained on tells what it needs to be right; the training data, what it has come to rely on.
    y : array (samples, ...)
    score : function of (model, x, y), or name of one of scikit-learn's scorers, optional
        The higher, the better. By default `model.score`, or minus the loss of `model.evaluate`.
    repeats : int
        Shuffles of each column.
    names : list of str, optional
    seed : int

    Returns
    -------
    Importance
        Mean and deviation over the shuffles.

    Raises
    ------
    ValueError
        If there are no samples, or `x`, `names` or `repeats` do not fit.
    TypeError
        If the model cannot be scored.
    """
    columns, labels = _columns(x, names)
    if not isinstance(repeats, Integral) or repeats < 1 or len(columns) == 0:
        raise ValueError(explain("samples, and a whole number of repetitions", f"{len(columns)} and {repeats}", "Pass more."))
    if isinstance(score, str) and not hasattr(model, "__sklearn_tags__"):
        remedy = "Pass a function of (model, x, y), or leave it out."
        raise TypeError(explain("an estimator for a scorer by name", type(model).__name__, remedy))
    measure = _scorer(score) if isinstance(score, str) else score or _score
    rng = np.random.default_rng(seed)
    is_frame = hasattr(x, "isetitem")  # columns of a DataFrame keep their types, and their names may be the same
    whole = measure(model, x, y)
    drops = np.empty((len(labels), repeats))
    for j in range(len(labels)):
        for k in range(repeats):
            order = rng.permutation(len(columns))
            shuffled: Any = x.copy() if is_frame else columns.copy()
            if is_frame:
                shuffled.isetitem(j, x.iloc[:, j].to_numpy()[order])
            else:
                shuffled[:, j] = columns[order, j]
            drops[j, k] = whole - measure(model, shuffled, y)
    return Importance(labels, drops.mean(1), drops.std(1))


def _last(model: Any, x: Any, names: Sequence[str] | None) -> tuple[Any, Any, Sequence[str] | None]:
    """The last step of a scikit-learn Pipeline, the columns that those before make for it, and their names if they say them.

    `names` are those of what the last step sees.
    """
    if not hasattr(model, "named_steps"):
        return model, x, names
    if len(model) == 1:
        return _last(model[-1], x, names)
    before = model[:-1]
    if names is None:
        try:
            names = [str(name) for name in before.get_feature_names_out(getattr(x, "columns", None))]
        except (AttributeError, ValueError):  # a step that does not name what it makes
            names = None
    return _last(model[-1], before.transform(x), names)


def _scorer(name: str) -> Callable[[Any, Any, Any], float]:
    from sklearn.metrics import get_scorer

    found: Callable[[Any, Any, Any], float] = get_scorer(name)
    return found


def _score(model: Any, x: Any, y: Any) -> float:
    if hasattr(model, "score"):
        return float(model.score(x, y))
    if isinstance(model, Layer) and hasattr(model, "evaluate"):
        result = model.evaluate(x, y)
        return -float(result[0] if isinstance(result, list) else result)
    raise TypeError(explain("a model with `score` or `evaluate`", type(model).__name__, "Pass `score`."))


def _columns(x: Any, names: Sequence[str] | None) -> tuple[Array, list[str]]:
    given = getattr(x, "columns", None) if names is None else names
    values = np.asarray(x)
    if values.ndim != 2:
        raise ValueError(explain("inputs of shape (samples, features)", f"shape {values.shape}", "Give one row a sample."))
    labels = [f"x{i}" for i in range(values.shape[1])] if given is None else [str(n) for n in given]
    if len(labels) != values.shape[1]:
        raise ValueError(explain(f"{values.shape[1]} names", len(labels), "Give each column its own."))
    return values, labels
