"""Metrics that count which classes are taken for which: precision, recall and what is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import explain
from ..kernels import door
from ..losses import Loss
from ..losses.base import aligned
from ..ops import concatenate, stack
from ..tensor import Array, Tensor
from .base import Metric, agree, is_number, of_classes, one_hot, one_number, one_output, or_nan, zero_or_one
from .ranking import among_largest


def as_predicted(threshold: float, y_pred: Tensor, activation: str | None) -> float:
    """A threshold as predictions have it, of which one that shall be equal to it is a float32."""
    return float(np.float32(threshold)) if activation is None and y_pred.dtype == door.FLOAT32 else threshold


def classes_of(y_true: Tensor, p: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Of each sample its class and the one that is predicted, as 0 and 1 in columns; NaN in those of labels of no class.

    One output says class 1 where it is above the threshold; of several the largest counts.
    """
    if one_output(p):
        p = p.reshape(-1, 1)
        one = (p > threshold).astype(door.FLOAT64) + or_nan(is_number(p))
        target = zero_or_one(y_true).reshape(-1, 1)
        return concatenate([1 - target, target], 1), concatenate([1 - one, one], 1)
    if p.ndim > 2:
        received = f"shape {p.shape}"
        raise ValueError(explain("predictions (samples, classes)", received, "Put all samples in one axis."))
    true = one_hot(y_true, p)
    is_single = agree(true.max(-1, keepdims=True), true.sum(-1, keepdims=True)).astype(door.FLOAT64)
    return true + or_nan(is_single), one_hot(p.argmax(-1), p) + or_nan(is_number(p.max(-1, keepdims=True)))


class ConfusionMatrix(Metric):
    """`matrix[i, j]`: the weight of samples of class i that are predicted as class j. Its result is the accuracy.

    Parameters
    ----------
    thresholds : float
        Of one output, the probability above which a sample is predicted as class 1. Under a loss that takes logits, one that
        is not between 0 and 1 is a logit.

    Raises
    ------
    ValueError
        If a label is none of a class: from 0 to their number; of one output 0 and 1, or -1 and 1. If a prediction is NaN.
    """

    rises = True
    thresholds: float

    def __init__(self, thresholds: float = 0.5, name: str | None = None, dtype: Any = None) -> None:
        self.thresholds = one_number("thresholds", thresholds)
        super().__init__(dtype, name)

    def reset_state(self) -> None:
        self.matrix = np.zeros((0, 0))

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        p = self.probabilities(y_pred) if 0 < self.thresholds < 1 else y_pred.astype(door.FLOAT64)
        true, predicted = classes_of(y_true, p, as_predicted(self.thresholds, y_pred, self.activation))
        if weights is not None:
            predicted = predicted * weights.reshape(-1, 1)
        return true.T @ predicted

    def add(self, parts: Array) -> None:
        total = of_classes(parts).sum(0)
        self.matrix = total if self.matrix.size == 0 else self.matrix + total

    def result(self) -> float:
        return float(ratio(np.trace(self.matrix), self.matrix.sum()))


def ratio(x: Any, y: Any) -> Any:
    """x / y, and 0 where y is 0."""
    return np.where(y > 0, x / np.where(y > 0, y, 1), 0.0)


AVERAGES = ("auto", "micro", "macro", "weighted", None)


class _Counts(Metric):
    """A score from how often each class is right, predicted and there."""

    rises = True
    thresholds: float | None
    top_k: int | None = None
    class_id: int | None = None
    pools = True  # whether outputs that each say whether they hold are counted together if not said otherwise

    def __init__(
        self, thresholds: float | None = None, top_k: int | None = None, class_id: int | None = None, name: str | None = None,
        dtype: Any = None, *, average: str | None = "auto",
    ) -> None:  # fmt: skip
        for key, value, least in (("top_k", top_k, 1), ("class_id", class_id, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least):
                raise ValueError(explain(f"`{key}` to be an integer not below {least}", repr(value), "None switches it off."))
        if average not in AVERAGES:
            raise ValueError(explain(f"`average` out of {AVERAGES}", repr(average), "Pass a name by `name=`."))
        self.thresholds = None if thresholds is None else one_number("thresholds", thresholds)
        self.top_k, self.class_id, self.average = top_k, class_id, average
        super().__init__(dtype, name)

    def score(self, right: Any, predicted: Any, true: Any) -> Any:
        """Of numbers, or of a number for each class."""
        raise NotImplementedError

    def follow(self, loss: Loss | None) -> None:
        super().follow(loss)
        if self.average is None and self.class_id is None:
            raise ValueError(explain("a metric of one number", "average=None", "Take 'macro', or `class_id`."))

    def reset_state(self) -> None:
        self.counts = np.zeros((3, 0))  # of each class the weight of what was right, predicted, there

    @property
    def is_by_output(self) -> bool:
        return not self.thresholds is self.top_k is self.class_id is None

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        threshold = (0.5 if self.top_k is None else -math.inf) if self.thresholds is None else self.thresholds
        p = self.probabilities(y_pred) if 0 < threshold < 1 else y_pred.astype(door.FLOAT64)
        threshold = as_predicted(threshold, y_pred, self.activation)
        true, predicted = (self._outputs if self.is_by_output else classes_of)(y_true, p, threshold)
        right = true * predicted
        if weights is not None:
            w = weights.reshape(-1, 1)
            right, predicted, true = right * w, predicted * w, true * w
        return stack([right.sum(0), predicted.sum(0), true.sum(0)])

    def _outputs(self, y_true: Tensor, p: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """In columns, which outputs hold and which are predicted to, as 0 and 1."""
        outputs = 1 if p.ndim < 2 else p.shape[-1]
        if self.class_id is not None and self.class_id >= outputs:
            raise ValueError(explain(f"`class_id` below {outputs}", self.class_id, "Count the outputs from 0."))
        target = y_true if outputs == 1 or y_true.shape == p.shape else one_hot(y_true, p)
        target, p = zero_or_one(aligned(target, p)).reshape(-1, outputs), p.reshape(-1, outputs)
        predicted = (p > threshold).astype(door.FLOAT64) if math.isfinite(threshold) else is_number(p)
        if self.top_k is not None:
            predicted = predicted * among_largest(p, self.top_k)
        return target, predicted + or_nan(is_number(p))

    def add(self, parts: Array) -> None:
        total = of_classes(parts).sum(0)
        self.counts = total if self.counts.size == 0 else self.counts + total

    def result(self) -> Any:
        if self.counts.size == 0:
            return self.counts[0] if self.average is None and self.class_id is None else 0.0
        right, predicted, true = self.counts
        if self.class_id is not None:
            return float(self.score(*self.counts[:, self.class_id]))
        if self.average == "auto" and not self.is_by_output and len(true) == 2:
            return float(self.score(*self.counts[:, 1]))
        if self.average == "micro" or (self.average == "auto" and self.is_by_output and self.pools):
            return float(self.score(right.sum(), predicted.sum(), true.sum()))
        scores = self.score(right, predicted, true)
        if self.average is None:
            return scores
        present = np.ones_like(true) if self.is_by_output else (true + predicted > 0).astype(float)
        weights = true if self.average == "weighted" else present
        return float(ratio((scores * weights).sum(), weights.sum()))


class Precision(_Counts):
    """How many of those that are predicted as a class are of it.

    There are two ways to count. Without `thresholds`, `top_k` and `class_id`, each sample is of one class and predicted as
    one, as scikit-learn counts: of two classes the score is that of class 1, of more the mean over the classes that are there
    or predicted. With any of these each output says of itself whether it holds, as Keras counts, also of samples with several
    labels: the score is that of all outputs together, or of output `class_id`.

    Parameters
    ----------
    thresholds : float, optional
        Above which a prediction says that its output holds; 0.5 if needed. Under a loss that takes logits, one that is not
        between 0 and 1 is a logit.
    top_k : int, optional
        Only the so many largest predictions of a sample hold.
    class_id : int, optional
        The output whose score it is.
    average : {"auto", "micro", "macro", "weighted"} or None
        "micro" counts all classes together, "macro" is the mean over classes, "weighted" the mean by how often they are there,
        None leaves a score for each.

    Raises
    ------
    ValueError
        If a label is none of a class, or a prediction is NaN.
    """

    def score(self, right: Any, predicted: Any, true: Any) -> Any:
        return ratio(right, predicted)


class Recall(_Counts):
    """How many of those that are of a class are predicted as it; its arguments are those of :class:`Precision`."""

    def score(self, right: Any, predicted: Any, true: Any) -> Any:
        return ratio(right, true)


class F1Score(_Counts):
    """2 / (1 / precision + 1 / recall); `average` and `threshold` are as `average` and `thresholds` of :class:`Precision`.

    With a threshold the score is the mean over outputs if `average` does not say otherwise.
    """

    pools = False

    def __init__(
        self, average: str | None = "auto", threshold: float | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(threshold, name=name, dtype=dtype, average=average)

    @property
    def threshold(self) -> float | None:
        return self.thresholds

    @threshold.setter
    def threshold(self, value: float | None) -> None:
        self.thresholds = value

    def score(self, right: Any, predicted: Any, true: Any) -> Any:
        return ratio(2 * right, predicted + true)
