"""Metrics of classes: how often the predicted ones are right, and how likely the right ones were."""

from __future__ import annotations

from typing import Any

from .. import losses, ops
from ..errors import explain
from ..kernels import door
from ..losses.base import aligned, with_axis_last
from ..ops import concatenate
from ..tensor import Array, Tensor, constant
from .base import (
    LossMetric,
    MeanMetric,
    agree,
    of_classes,
    one_hot,
    one_number,
    one_output,
    or_nan,
    refuse_one_output,
    weighted_sum,
    zero_or_one,
)

# ---- accuracies ----------------------------------------------------------------------------------------------------------


def hits(said: Tensor, true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where what a prediction says is true, else 0, in float64; all NaN if a prediction is NaN."""
    found = agree(said, true).astype(door.FLOAT64)
    return found + y_pred.astype(door.FLOAT64).max().clip(-1.0, 1.0) * 0 if y_pred.size else found


def binary_hits(y_true: Tensor, y_pred: Tensor, threshold: float) -> Tensor:
    return hits(y_pred > threshold, ops.maximum(aligned(y_true, y_pred.astype(door.FLOAT64)), 0), y_pred)


def categorical_hits(y_true: Tensor, y_pred: Tensor) -> Tensor:
    target = aligned(y_true, y_pred.astype(door.FLOAT64))
    refuse_one_output("categorical_accuracy", y_pred)
    return hits(y_pred.argmax(-1), target.argmax(-1), y_pred)


def sparse_categorical_hits(y_true: Tensor, y_pred: Tensor) -> Tensor:
    labels = y_true
    if labels.shape == (*y_pred.shape[:-1], 1):
        labels = labels.reshape(labels.shape[:-1])
    if labels.shape != y_pred.shape[:-1]:
        remedy = "Use 'categorical_accuracy' for one-hot targets."
        raise ValueError(explain(f"labels of shape {y_pred.shape[:-1]}", labels.shape, remedy))
    refuse_one_output("sparse_categorical_accuracy", y_pred)
    return hits(y_pred.argmax(-1), labels, y_pred)


class Accuracy(MeanMetric):
    """How often a prediction is equal to its target, as labels are.

    The name "accuracy" chooses :class:`BinaryAccuracy`, :class:`CategoricalAccuracy` or :class:`SparseCategoricalAccuracy`
    by the shapes instead. All of these are NaN if a prediction is.
    """

    rises = True

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        p = y_pred.astype(door.FLOAT64)
        return hits(p, aligned(y_true, p), p)


class BinaryAccuracy(MeanMetric):
    """How often a target is 1 where the prediction is above `threshold`, and 0 or -1 where it is not.

    Under a loss that takes logits, a threshold between 0 and 1 is one of their sigmoid, and any other one of themselves.
    """

    rises = True

    def __init__(self, name: str | None = None, dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(name, dtype)
        self.threshold = one_number("threshold", threshold)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        is_logit = self.activation is None or not 0 < self.threshold < 1
        return binary_hits(y_true, y_pred if is_logit else self.probabilities(y_pred), self.threshold)


class CategoricalAccuracy(MeanMetric):
    """How often the largest prediction stands where the largest target does."""

    rises = True

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return categorical_hits(y_true, y_pred)


class SparseCategoricalAccuracy(MeanMetric):
    """How often the largest prediction stands at the label."""

    rises = True

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return sparse_categorical_hits(y_true, y_pred)


class _OneOrSeveral(MeanMetric):
    """A mean that is one thing where all rows of targets are one-hot, or other distributions, and another for several labels.

    The data of all batches decides, so both are added up.
    """

    def of_one(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The values of samples with one output, with labels, or with rows that are distributions."""
        raise NotImplementedError

    def of_several(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The values of samples with several labels, 0 or 1 for each output."""
        raise NotImplementedError

    def reset_state(self) -> None:
        super().reset_state()
        self.total_of_several = self.rows_of_several = 0.0

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        one = weighted_sum(self.of_one(y_true, y_pred), weights)
        if one_output(y_pred) or y_true.shape != y_pred.shape:
            return concatenate([one, constant(0.0, door.FLOAT64).broadcast_to((2,))])
        several = weighted_sum(self.of_several(y_true, y_pred), weights)
        total = ops.maximum(y_true.astype(door.FLOAT64), 0).sum(-1)
        others = ((total - 1).abs() > 1e-3).astype(door.FLOAT64).sum()
        return concatenate([one, several[:1], others.reshape(1)])

    def add(self, parts: Array) -> None:
        super().add(parts[:, :2])
        for total, rows in parts[:, 2:].tolist():
            self.total_of_several, self.rows_of_several = self.total_of_several + total, self.rows_of_several + rows

    def result(self) -> float:
        if self.rows_of_several == 0:
            return super().result()
        return self.total_of_several / self.count if self.count else 0.0


class AccuracyByShape(_OneOrSeveral):
    """What the name "accuracy" stands for: how often the prediction is right.

    For one output it is :class:`BinaryAccuracy`, for labels :class:`SparseCategoricalAccuracy`, for one-hot targets
    :class:`CategoricalAccuracy`; for rows of several labels how often one of these is right.
    """

    rises = True

    def of_one(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if one_output(y_pred):
            return self.of_several(y_true, y_pred)
        return categorical_hits(y_true, y_pred) if y_true.shape == y_pred.shape else sparse_categorical_hits(y_true, y_pred)

    def of_several(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return binary_hits(y_true, self.probabilities(y_pred) if self.activation else y_pred, 0.5)


# ---- likelihoods ---------------------------------------------------------------------------------------------------------


class LogLoss(_OneOrSeveral):
    """-ln of the probability of the right class, which is at least 1e-15: scikit-learn's.

    Targets are one-hot, labels, or 0 (or -1) and 1; for rows of several labels it is the mean over these.

    Raises
    ------
    ValueError
        If predictions are no probabilities, or labels none of a class.
    """

    rises = False

    def of_one(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if one_output(y_pred):
            return self.of_several(y_true, y_pred)
        p = self.probabilities(y_pred)
        true = one_hot(y_true, p)
        if self.activation == "softmax":
            return -(true * y_pred.astype(door.FLOAT64).log_softmax()).sum(-1)
        chosen = (p * true).sum(-1) / p.sum(-1)
        return -chosen.clip(1e-15, 1.0).log() + are_probabilities(p).sum(-1)

    def of_several(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        logits = y_pred.astype(door.FLOAT64)
        target = zero_or_one(aligned(y_true, logits)) if one_output(y_pred) else aligned(y_true, logits)
        if self.activation == "sigmoid":
            return logits.softplus() - logits * target
        p = self.probabilities(y_pred)
        chosen = target * p + (1 - target) * (1 - p)
        return -chosen.clip(1e-15, 1.0).log() + are_probabilities(p)

    def add(self, parts: Array) -> None:
        super().add(of_classes(parts))


def are_probabilities(p: Tensor) -> Tensor:
    """0 where a prediction is from 0 to 1, or a rounding beyond, and NaN where it is not."""
    return or_nan((p >= -1e-5).astype(door.FLOAT64) * (p <= 1 + 1e-5).astype(door.FLOAT64))


class _Crossentropy(LossMetric):
    """What the three cross-entropies have in common."""

    options: tuple[str, ...] = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self, name: str | None = None, dtype: Any = None, from_logits: bool = False, label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(name, dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis


class BinaryCrossentropy(_Crossentropy):
    """The mean of the loss of that name."""

    loss = losses.BinaryCrossentropy

    def __init__(
        self, name: str | None = None, dtype: Any = None, from_logits: bool = False, label_smoothing: float = 0
    ) -> None:
        super().__init__(name, dtype, from_logits, label_smoothing)


class CategoricalCrossentropy(_Crossentropy):
    """The mean of the loss of that name."""

    loss = losses.CategoricalCrossentropy

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        refuse_one_output("categorical_crossentropy", y_pred)
        return super().values(y_true, y_pred)


class SparseCategoricalCrossentropy(_Crossentropy):
    """The mean of the loss of that name; labels may be floats. Places whose label is `ignore_class` count nowhere.

    Raises
    ------
    ValueError
        If a label is none of a class.
    """

    loss = losses.CategoricalCrossentropy
    options = ("from_logits",)

    def __init__(
        self, name: str | None = None, dtype: Any = None, from_logits: bool = False, ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(name, dtype, from_logits, 0, axis)
        self.ignore_class = ignore_class

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        p = with_axis_last(y_pred.astype(door.FLOAT64), self.axis)
        refuse_one_output("sparse_categorical_crossentropy", p)
        if self.ignore_class is None:
            return weighted_sum(self.values(one_hot(y_true, p), p), weights)
        labels = y_true.astype(door.FLOAT64).reshape(p.shape[:-1])
        counts = labels != float(self.ignore_class)
        values = self.values(one_hot(ops.where(counts, labels, 0.0), p), p)
        valid = counts.astype(door.FLOAT64)
        if weights is not None:
            valid = valid * weights.reshape(-1, *[1] * (valid.ndim - 1))
        return weighted_sum(values.reshape(-1), valid.reshape(-1))

    def add(self, parts: Array) -> None:
        super().add(of_classes(parts))


class KLDivergence(LossMetric):
    """The mean of Σ y_true ln (y_true / y_pred)."""

    loss = losses.KLDivergence

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return super().values(y_true, self.probabilities(y_pred))


class Hinge(LossMetric):
    """The mean of max(0, 1 - y_true y_pred)."""

    loss = losses.Hinge


class SquaredHinge(LossMetric):
    """The mean of max(0, 1 - y_true y_pred)²."""

    loss = losses.SquaredHinge


class CategoricalHinge(LossMetric):
    """The mean of the loss of that name."""

    loss = losses.CategoricalHinge

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        refuse_one_output("categorical_hinge", y_pred)
        return super().values(y_true, y_pred)
