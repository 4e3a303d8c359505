"""Metrics of the order of predictions: whether the right class is among the first, and the areas under curves."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ..errors import explain
from ..kernels import door
from ..ops import where
from ..tensor import Array, Operand, Tensor
from .base import MeanMetric, Metric, exact, of_classes, or_nan, refuse_one_output


def first_ones(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """How many classes come before the right one: those with a higher prediction, and those before it with the same one.

    A NaN comes before everything, and everything before a right one that is NaN. The number is NaN for a label that is none of
    a class.
    """
    p = y_pred.astype(door.FLOAT64)
    places = Tensor(np.arange(p.shape[-1], dtype=np.float64))
    if y_true.shape == p.shape:
        labels = y_true.argmax(-1)
    elif y_true.size * p.shape[-1] == p.size:
        labels = y_true.reshape(p.shape[:-1])
    else:
        raise ValueError(explain(f"labels of shape {p.shape[:-1]}", y_true.shape, "Give one for each sample."))
    label = labels.astype(door.FLOAT64).reshape(*p.shape[:-1], 1)
    is_right = label == places
    right = where(is_right, p, 0.0).sum(-1, keepdims=True)
    after = (p < right).astype(door.FLOAT64) + (p == right).astype(door.FLOAT64) * (places >= label).astype(door.FLOAT64)
    known = is_right.astype(door.FLOAT64).sum(-1)
    before = where(right == right, p.shape[-1] - after.sum(-1, keepdims=True), math.inf)
    return before.reshape(p.shape[:-1]) + or_nan(known)


def top_k_hits(y_true: Tensor, y_pred: Tensor, k: int) -> Tensor:
    """1 where the right class is among the k largest predictions, else 0; NaN for a label that is none of a class."""
    refuse_one_output("top_k_categorical_accuracy", y_pred)
    before = first_ones(y_true, y_pred)
    return (before < k).astype(door.FLOAT64) + before.clip(0.0, 1.0) * 0


def among_largest(p: Tensor, k: int) -> Tensor:
    """1 where a prediction (samples, classes) is among the k largest of its sample, else 0; of equal ones the first are."""
    samples, classes = p.shape
    one, other = p.reshape(samples, classes, 1), p.reshape(samples, 1, classes)
    is_before = Tensor(np.tri(classes, k=-1))
    before = (other > one).astype(door.FLOAT64) + (other == one).astype(door.FLOAT64) * is_before
    return (before.sum(-1) < k).astype(door.FLOAT64)


class TopKCategoricalAccuracy(MeanMetric):
    """How often the right class is among the `k` largest predictions; targets are one-hot or labels.

    Of equal predictions the first count as the larger ones, as the first of them is the one that is predicted. A NaN is never
    right.

    Raises
    ------
    ValueError
        If a label is none of a class.
    """

    rises = True

    def __init__(self, k: int = 5, name: str | None = None, dtype: Any = None) -> None:
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(explain("`k` to be a positive integer", repr(k), "5 is a usual choice."))
        self.k = int(k)
        super().__init__(name, dtype)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return top_k_hits(y_true, y_pred, self.k)

    def add(self, parts: Array) -> None:
        super().add(of_classes(parts))


class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """How often the label is among the `k` largest predictions: :class:`TopKCategoricalAccuracy` under Keras's second name."""


class AUC(Metric):
    """The area under a curve over all thresholds; it is exact, and so keeps all scores. Class 0 may be called -1.

    "ROC" is the curve of true over false positives: how often a sample of class 1 scores higher than one of class 0, where
    equal ones count half. "PR" is that of precision over recall, as the sum of steps (R_n - R_(n-1)) P_n: scikit-learn's
    `average_precision_score`. With a NaN among the scores it is NaN.

    Parameters
    ----------
    num_thresholds, summation_method
        Accepted as Keras's, whose area is an approximation; this one does not depend on them.
    curve : {"ROC", "PR"}
    from_logits : bool
        Whether of two outputs the difference is the score, and not the second one. A loss that takes logits says so, too.

    Warns
    -----
    UserWarning
        If there is no sample of one of the classes: then the area does not exist, and the result is NaN.
    """

    rises = True

    def __init__(
        self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation", name: str | None = None,
        dtype: Any = None, *, from_logits: bool = False,
    ) -> None:  # fmt: skip
        if isinstance(num_thresholds, bool) or not isinstance(num_thresholds, (int, np.integer)):
            raise TypeError(explain("`num_thresholds` to be an integer", repr(num_thresholds), "Pass a name by `name=`."))
        if curve not in ("ROC", "PR"):
            raise ValueError(explain("`curve` to be 'ROC' or 'PR'", repr(curve), "Pass a name by `name=`."))
        self.num_thresholds, self.curve, self.summation_method = num_thresholds, curve, summation_method
        self.from_logits = from_logits
        super().__init__(dtype, name)

    def reset_state(self) -> None:
        self.seen: list[Array] = []

    def update_state(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> None:
        given = exact(y_pred).numpy().astype(np.float64)
        outputs = math.prod(given.shape[1:])
        scores = given.reshape(len(given), outputs)
        if outputs == 2:
            is_logit = self.from_logits or self.activation == "softmax"
            zero, one = scores[:, :1], scores[:, 1:]
            scores = one - zero if is_logit else np.where(np.isnan(zero), zero, one)
        labels = exact(y_true).numpy().astype(np.float64)
        if labels.shape == given.shape == (len(given), 2) and (labels.sum(1) == 1).all():  # one-hot
            labels = labels[:, 1]
        labels = labels.reshape(-1)
        of_classes(np.where(np.isin(labels, (-1, 0, 1)), labels, np.nan))
        if scores.shape[1] != 1 or len(labels) != len(scores):
            remedy = "Predict the probability of class 1."
            raise ValueError(explain("one score for each of two classes' samples", f"shape {given.shape}", remedy))
        weights = np.ones_like(labels)
        if sample_weight is not None:
            weights = np.broadcast_to(exact(sample_weight).numpy().astype(np.float64).reshape(-1), labels.shape)
        self.seen.append(np.stack([scores[:, 0], labels, weights]))

    def result(self) -> float:
        if not self.seen:
            return 0.0
        scores, labels, weights = np.concatenate(self.seen, 1)
        if np.isnan(scores).any() or np.isnan(weights).any():
            return float("nan")
        _, place = np.unique(scores, return_inverse=True)
        ones, zeros = (np.bincount(place, weights * ((labels > 0) == c)) for c in (True, False))
        if not (ones.sum() > 0 and (zeros.sum() > 0 or self.curve == "PR")):
            missing = 0 if ones.sum() > 0 else 1
            warnings.warn(f"The AUC is undefined (NaN), as there is no sample of class {missing}.", stacklevel=2)
            return float("nan")
        if self.curve == "PR":
            above = np.cumsum(ones[::-1])
            said = np.cumsum((ones + zeros)[::-1])
            return float((ones[::-1] * above / np.where(said > 0, said, 1)).sum() / above[-1])
        below = np.cumsum(zeros) - zeros
        return float((ones * (below + zeros / 2)).sum() / (ones.sum() * zeros.sum()))
