"""Losses of classes: cross-entropies of probabilities or logits, and hinges of scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..errors import explain, warn
from ..kernels import door
from ..state import mark, state
from ..tensor import Array, Tensor, as_array
from .base import MEAN, ElementwiseLoss, StandardLoss, aligned, one_hot, with_axis_last

EPSILON = 1e-7


# ---- hinges ----------------------------------------------------------------------------------------------------------


class Hinge(ElementwiseLoss):
    """max(0, 1 - y_true y_pred); targets are -1 or 1, and 0 is taken as -1."""

    from_logits = True
    is_symmetric = False

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = aligned(y_true, y_pred)
        return (1 - ops.where(target == 0, -1.0, target) * y_pred).relu()


class SquaredHinge(Hinge):
    """max(0, 1 - y_true y_pred)²; targets are -1 or 1, and 0 is taken as -1."""

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return super().elements(y_true, y_pred).square()


class CategoricalHinge(StandardLoss):
    """max(0, 1 + the largest (1 - y_true) y_pred - Σ y_true y_pred), over the last axis; targets are one-hot."""

    is_symmetric = False

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = aligned(y_true, y_pred)
        return (((1 - target) * y_pred).max(-1) - (target * y_pred).sum(-1) + 1).relu()


# ---- cross-entropies -------------------------------------------------------------------------------------------------


def check_probabilities(y: Array | None, remedy: str) -> None:
    """Raise ValueError for targets below 0 or above 1, with which a cross-entropy has no minimum."""
    if y is not None and y.size:
        low, high = float(y.min()), float(y.max())
        if low < -10 * EPSILON or high > 1 + 10 * EPSILON:  # means of several may be a rounding above 1
            raise ValueError(explain("targets from 0 to 1", f"some from {low:.9g} to {high:.9g}", remedy))


def check_outputs(y_pred: Tensor, activation: str, from_logits: bool) -> None:
    """Warn if predictions are no probabilities where these are wanted, or probabilities where logits are."""
    is_made = logits_of(y_pred, activation) is not None
    values = y_pred.data
    if from_logits and is_made:
        warn(f"The last layer has a {activation}, and from_logits=True takes its result for logits.")
    elif activation == "softmax" and values.shape[-1:] == (1,):
        warn("A softmax of one output is always 1; use a sigmoid and 'binary_crossentropy'.")
    elif not from_logits and not is_made and ((values < 0).any() or (values > 1).any()):
        remedy = f"End with activation={activation!r}, or give the loss from_logits=True"
        warn(f"The last layer's outputs are no probabilities, and are clipped to be some. {remedy}.")


class BinaryCrossentropy(ElementwiseLoss):
    """-y_true ln p - (1 - y_true) ln (1 - p), where p is the prediction, or with `from_logits` its sigmoid.

    Predictions that come straight out of a sigmoid are taken back to their logits, where nothing underflows; other
    probabilities are clipped to [1e-7, 1 - 1e-7].
    """

    activation = "sigmoid"
    is_symmetric = False

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, reduction: str | None = MEAN,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(reduction, name, dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, _checked_smoothing(label_smoothing), axis

    def check(self, y: Array | None, y_pred: Tensor) -> None:
        check_probabilities(y, "Labels of several classes go with 'sparse_categorical_crossentropy', -1 and 1 with 'hinge'.")
        check_outputs(y_pred, "sigmoid", self.from_logits)

    def smoothed(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = aligned(y_true, y_pred)
        return target * (1 - self.label_smoothing) + 0.5 * self.label_smoothing if self.label_smoothing else target

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = self.smoothed(y_true, y_pred)
        logits = y_pred if self.from_logits else logits_of(y_pred, "sigmoid")
        if logits is not None:
            return ops.BinaryCrossEntropy()(logits, target)
        p = y_pred.clip(EPSILON, 1 - EPSILON)
        return -(target * p.log() + (1 - target) * (1 - p).log())


class BinaryFocalCrossentropy(BinaryCrossentropy):
    """(1 - q)^gamma times the binary cross-entropy, where q = y_true p + (1 - y_true) (1 - p) is what was right of p.

    With `apply_class_balancing` it is multiplied by alpha for class 1, and by 1 - alpha for class 0  (Lin et al. 2017, section
    3). Near q = 1, the factor is that of 1 - q = 1e-7.
    """

    def __init__(
        self, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False,
        label_smoothing: float = 0.0, axis: int = -1, reduction: str | None = MEAN, name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.apply_class_balancing, self.alpha, self.gamma = apply_class_balancing, alpha, gamma

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = self.smoothed(y_true, y_pred)
        p = y_pred.sigmoid() if self.from_logits else y_pred
        wrong = target * (1 - p) + (1 - target) * p
        losses = ops.maximum(wrong, EPSILON) ** self.gamma * super().elements(y_true, y_pred)
        return losses * (target * self.alpha + (1 - target) * (1 - self.alpha)) if self.apply_class_balancing else losses


class RowCrossentropy(StandardLoss):
    """What the categorical cross-entropies share: they are computed from logits, whatever the predictions are.

    Predictions that come straight out of a softmax are taken back to their logits, where nothing underflows; other
    probabilities are scaled to a sum of 1, clipped to [1e-7, 1 - 1e-7], and their logarithms are the logits.
    """

    activation = "softmax"
    is_symmetric = False
    axis = -1

    def constants(self, y_true: Tensor, y_pred: Tensor) -> Array:
        """The targets as the kernel takes them, of the shape that belongs to the predictions, whose classes come last."""
        raise NotImplementedError

    def logits(self, y_pred: Tensor) -> Tensor:
        known = y_pred if self.from_logits else logits_of(y_pred, "softmax")
        return known if known is not None else _scaled(y_pred, self.axis).log()

    def rows(self, y_true: Tensor, y_pred: Tensor, mean: bool) -> Tensor:
        logits = with_axis_last(self.logits(y_pred), self.axis)
        target = self.constants(y_true, logits)
        shape = logits.shape[:-1]
        if logits.ndim != 2:
            classes = logits.shape[-1]
            logits = logits.reshape(-1, classes)
            target = target.reshape(-1) if target.dtype == door.INT64 else target.reshape(-1, classes)
        losses = ops.CrossEntropy(target, mean, y_true)(logits)
        return losses if mean else losses.reshape(shape)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.rows(y_true, y_pred, mean=False)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.rows(y_true, y_pred, mean=True)


class CategoricalCrossentropy(RowCrossentropy):
    """-Σ y_true ln p over the axis of classes, for one-hot or other distributions.

    p is the prediction, or with `from_logits` its softmax.
    """

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, reduction: str | None = MEAN,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(reduction, name, dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, _checked_smoothing(label_smoothing), axis

    def check(self, y: Array | None, y_pred: Tensor) -> None:
        check_probabilities(y, "Integer labels go with 'sparse_categorical_crossentropy'.")
        check_outputs(y_pred, "softmax", self.from_logits)

    def smoothed(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The targets in the shape of predictions whose classes come last."""
        target = with_axis_last(y_true, self.axis) if y_true.ndim == y_pred.ndim else y_true
        if target.size * y_pred.shape[-1] == y_pred.size != target.size:
            remedy = "Integer labels go with 'sparse_categorical_crossentropy'."
            raise ValueError(explain(f"targets of the predictions' shape {y_pred.shape}", y_true.shape, remedy))
        target = aligned(target, y_pred)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / target.shape[-1]
        return target

    def constants(self, y_true: Tensor, y_pred: Tensor) -> Array:
        return self.smoothed(y_true.detach(), y_pred).data

    def rows(self, y_true: Tensor, y_pred: Tensor, mean: bool) -> Tensor:
        if not (y_true.requires_grad and state.recording):  # to a kernel, targets are constants
            return super().rows(y_true, y_pred, mean)
        logits = with_axis_last(self.logits(y_pred), self.axis)
        losses = -(self.smoothed(y_true, logits) * logits.log_softmax()).sum(-1)
        return losses.mean() if mean else losses


class CategoricalFocalCrossentropy(CategoricalCrossentropy):
    """-Σ alpha (1 - p)^gamma y_true ln p over the axis of classes, where p is the prediction, or its softmax.

    `alpha` may be a list with a number for each class  (Lin et al. 2017, section 3). Near p = 1, the factor is that of
    1 - p = 1e-7.
    """

    def __init__(
        self, alpha: Any = 0.25, gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
        reduction: str | None = MEAN, name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.alpha, self.gamma = alpha, gamma

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        known = y_pred if self.from_logits else logits_of(y_pred, "softmax")
        if known is None:
            p = with_axis_last(_scaled(y_pred, self.axis), self.axis)
            logarithms = p.log()
        else:
            logarithms = with_axis_last(known, self.axis).log_softmax()
            p = logarithms.exp()
        factor = ops.maximum(1 - p, EPSILON) ** self.gamma * self.alpha
        losses: Tensor = -(factor * self.smoothed(y_true, p) * logarithms).sum(-1)
        return losses

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.call(y_true, y_pred).mean()


class SparseCategoricalCrossentropy(RowCrossentropy):
    """-ln p[label], where p is the prediction, or with `from_logits` its softmax.

    Places whose label is `ignore_class` count nowhere: their loss is 0, and a mean is over the others.
    """

    def __init__(
        self, from_logits: bool = False, ignore_class: int | None = None, reduction: str | None = MEAN, axis: int = -1,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(reduction, name, dtype)
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis

    def targets(self, y: Any, dtype: np.dtype[Any]) -> Array:
        """Labels as int64; whole numbers in floats are labels, too."""
        values = y.data if isinstance(y, Tensor) else as_array(y)
        if values.dtype == door.INT64:
            return values
        door.read(values, "Pass labels as int64, which need no conversion.")
        with np.errstate(invalid="ignore"):
            labels = values.astype(np.int64)
        if values.dtype.kind == "f" and not np.array_equal(labels, values):
            raise ValueError(explain("labels that are whole numbers", "fractions or NaN", "Use a loss for continuous targets."))
        return labels

    def check(self, y: Array | None, y_pred: Tensor) -> None:
        if y_pred.shape[1:] == (1,):
            raise ValueError(explain("an output for each class", "one output", "Use 'binary_crossentropy' for two classes."))
        if y is not None and y_pred.ndim > 1:
            door.check_labels(y if self.ignore_class is None else y[y != self.ignore_class], y_pred.shape[self.axis])
        check_outputs(y_pred, "softmax", self.from_logits)

    def constants(self, y_true: Tensor, y_pred: Tensor) -> Array:
        labels = self.targets(y_true, y_pred.dtype)
        if labels.shape == (*y_pred.shape[:-1], 1):
            labels = labels.reshape(labels.shape[:-1])
        if labels.shape != y_pred.shape[:-1]:
            remedy = "One-hot targets go with 'categorical_crossentropy'."
            raise ValueError(explain(f"labels of shape {y_pred.shape[:-1]}", labels.shape, remedy))
        return labels

    def rows(self, y_true: Tensor, y_pred: Tensor, mean: bool) -> Tensor:
        if self.ignore_class is None:
            return super().rows(y_true, y_pred, mean)
        logits = with_axis_last(self.logits(y_pred), self.axis)
        classes = logits.shape[-1]
        labels = Tensor(self.constants(y_true, logits), base=y_true.memory)
        valid = labels.astype(door.FLOAT64) != float(self.ignore_class)
        if state.watch is None:
            door.check_labels(labels.data[valid.data], classes)
        known = one_hot(labels, classes, logits.dtype)
        losses = ops.CrossEntropy(known.data.reshape(-1, classes), False, known)(logits.reshape(-1, classes))
        no_class = (1 / known.sum(-1)) - 1  # infinite for another label, which then makes the loss infinite in a replay, too
        losses = ops.where(valid, losses.reshape(valid.shape) + no_class, 0.0)
        if self.reduction in (MEAN, "mean"):  # then what is ignored does not make a mean smaller
            losses = losses * (losses.size / valid.astype(losses.dtype).sum().clip(1.0))
        return losses.mean() if mean else losses


def logits_of(probabilities: Tensor, activation: str) -> Tensor | None:
    """What went into the softmax or sigmoid that made these probabilities, if one did and it has not been overwritten."""
    known = probabilities.logits
    if known is None or known.activation != activation:
        return None
    mark()
    owner = known.owner()
    stale = probabilities.memory.changed > known.since or (owner is not None and owner.changed > known.since)
    return known.values if not stale and known.still_give(probabilities) else None


def _scaled(p: Tensor, axis: int) -> Tensor:
    """Probabilities with a sum of 1, away from 0 and 1."""
    return (p / p.sum(axis, keepdims=True)).clip(EPSILON, 1 - EPSILON)


def _checked_smoothing(value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(explain("`label_smoothing` from 0 to below 1", value, "0 switches it off."))
    return float(value)
