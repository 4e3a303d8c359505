"""What training makes small; names, arguments and defaults are Keras's.

A loss turns targets and predictions into one number: the mean over samples, each first multiplied by its sample weight.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from . import graph, ops
from .errors import explain
from .kernels import door
from .naming import lookup, snake_case
from .tensor import Array, Operand, Tensor, as_array, as_tensor, real


class Loss(graph.Layout):
    """`loss(y_true, y_pred, sample_weight=None)` returns a scalar tensor.

    A subclass gives in `call` the losses of the single elements, before any mean; their first axis is that of the samples.
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        raise NotImplementedError

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The mean of what `call` gives; losses that have a kernel for both override it."""
        return self.call(y_true, y_pred).mean()

    def targets(self, y: Any, dtype: np.dtype[Any]) -> Array:
        """The targets as the loss wants them: here as floats of the predictions' type."""
        values = as_array(y)
        return values if values.dtype == dtype else door.cast(values, dtype)

    def check(self, y: Array | None, y_pred: Tensor) -> None:
        """Raise ValueError if some of all targets can never be right for such predictions."""

    def __call__(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> Tensor:
        prediction = real(y_pred)
        if prediction.ndim == 0 or prediction.size == 0:
            raise ValueError(explain("predictions for at least one sample", f"shape {prediction.shape}", "Check the data."))
        target = as_tensor(y_true)
        if target is not y_true and not target.requires_grad:
            target = Tensor(self.targets(target.data, prediction.dtype))
        if sample_weight is None:
            return self.mean(target, prediction)
        losses = self.call(target, prediction)
        weights = real(sample_weight)
        if weights.shape != prediction.shape[:1]:
            received = f"shape {weights.shape}"
            raise ValueError(
                explain(f"`sample_weight` of shape {prediction.shape[:1]}", received, "Give one weight for each sample.")
            )
        rows = losses if losses.ndim == 1 else losses.mean(tuple(range(1, losses.ndim)))
        return (rows * weights).mean()


def aligned(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The targets in the shape of the predictions; (n,) and (n, 1) are the same.

    Raises
    ------
    ValueError
        For any other difference: broadcasting n targets against n predictions would silently make n² losses.
    """
    y_true = real(y_true)
    if y_true.dtype != y_pred.dtype:
        y_true = y_true.astype(y_pred.dtype)
    if y_true.shape == y_pred.shape:
        return y_true
    if y_true.size == y_pred.size and _without_ones(y_true) == _without_ones(y_pred):
        return y_true.reshape(y_pred.shape)
    remedy = "Make the last layer as wide as the targets."
    raise ValueError(explain(f"targets of the predictions' shape {y_pred.shape}", y_true.shape, remedy))


def _without_ones(t: Tensor) -> tuple[int, ...]:
    return tuple(n for n in t.shape[1:] if n != 1)


class MeanSquaredError(Loss):
    """(y_true - y_pred)²"""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.SquaredError()(y_pred, aligned(y_true, y_pred))


class MeanAbsoluteError(Loss):
    """|y_true - y_pred|"""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (y_pred - aligned(y_true, y_pred)).abs()


class Huber(Loss):
    """e²/2 where |e| <= delta, else delta |e| - delta²/2, for the error e = y_true - y_pred  (Huber 1964)."""

    def __init__(self, delta: float = 1.0) -> None:
        if not delta > 0:
            raise ValueError(explain("`delta` to be positive", delta, "1 is the usual choice."))
        self.delta = float(delta)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        size = (y_pred - aligned(y_true, y_pred)).abs()
        small = ops.minimum(size, self.delta)
        return small * (size - 0.5 * small)


class Hinge(Loss):
    """max(0, 1 - y_true y_pred); targets are -1 or 1, and 0 is taken as -1."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = aligned(y_true, y_pred)
        return (1 - ops.where(target == 0, -1.0, target) * y_pred).relu()


EPSILON = 1e-7


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
        warnings.warn(f"The last layer has a {activation}, and from_logits=True takes its result for logits.", stacklevel=5)
    elif activation == "softmax" and values.shape[-1:] == (1,):
        warnings.warn("A softmax of one output is always 1; use a sigmoid and 'binary_crossentropy'.", stacklevel=5)
    elif not from_logits and not is_made and ((values < 0).any() or (values > 1).any()):
        remedy = f"End with activation={activation!r}, or give the loss from_logits=True"
        warnings.warn(f"The last layer's outputs are no probabilities, and are clipped to be some. {remedy}.", stacklevel=5)


class BinaryCrossentropy(Loss):
    """-y_true ln p - (1 - y_true) ln (1 - p), where p is the prediction, or with `from_logits` its sigmoid.

    Predictions that come straight out of a sigmoid are taken back to their logits, where nothing underflows; other
    probabilities are clipped to [1e-7, 1 - 1e-7].
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        self.from_logits, self.label_smoothing = from_logits, _checked_smoothing(label_smoothing)

    def check(self, y: Array | None, y_pred: Tensor) -> None:
        check_probabilities(y, "Labels of several classes go with 'sparse_categorical_crossentropy', -1 and 1 with 'hinge'.")
        check_outputs(y_pred, "sigmoid", self.from_logits)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = aligned(y_true, y_pred)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        logits = y_pred if self.from_logits else logits_of(y_pred, "sigmoid")
        if logits is not None:
            return ops.BinaryCrossEntropy()(logits, target)
        p = y_pred.clip(EPSILON, 1 - EPSILON)
        return -(target * p.log() + (1 - target) * (1 - p).log())


class RowCrossentropy(Loss):
    """What the two categorical cross-entropies share: they are computed from logits, whatever the predictions are.

    Predictions that come straight out of a softmax are taken back to their logits, where nothing underflows; other
    probabilities are scaled to a sum of 1, clipped to [1e-7, 1 - 1e-7], and their logarithms are the logits.
    """

    from_logits = False

    def constants(self, y_true: Tensor, y_pred: Tensor) -> Array:
        """The targets as the kernel takes them, of the shape that belongs to the predictions."""
        raise NotImplementedError

    def logits(self, y_pred: Tensor) -> Tensor:
        known = y_pred if self.from_logits else logits_of(y_pred, "softmax")
        if known is not None:
            return known
        return (y_pred / y_pred.sum(-1, keepdims=True)).clip(EPSILON, 1 - EPSILON).log()

    def rows(self, y_true: Tensor, y_pred: Tensor, mean: bool) -> Tensor:
        logits, target = self.logits(y_pred), self.constants(y_true, y_pred)
        if logits.ndim != 2:
            classes = logits.shape[-1]
            logits = logits.reshape(-1, classes)
            target = target.reshape(-1) if target.dtype == door.INT64 else target.reshape(-1, classes)
        return ops.CrossEntropy(target, mean, y_true)(logits)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.rows(y_true, y_pred, mean=False).reshape(y_pred.shape[:-1])

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.rows(y_true, y_pred, mean=True)


class CategoricalCrossentropy(RowCrossentropy):
    """-Σ y_true ln p over the last axis, for one-hot or other distributions.

    p is the prediction, or with `from_logits` its softmax.
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        self.from_logits, self.label_smoothing = from_logits, _checked_smoothing(label_smoothing)

    def check(self, y: Array | None, y_pred: Tensor) -> None:
        check_probabilities(y, "Integer labels go with 'sparse_categorical_crossentropy'.")
        check_outputs(y_pred, "softmax", self.from_logits)

    def rows(self, y_true: Tensor, y_pred: Tensor, mean: bool) -> Tensor:
        if not (y_true.requires_grad and graph.state.recording):
            return super().rows(y_true, y_pred, mean)
        losses = -(self.distributions(y_true, y_pred) * self.logits(y_pred).log_softmax()).sum(-1).reshape(-1)
        return losses.mean() if mean else losses

    def constants(self, y_true: Tensor, y_pred: Tensor) -> Array:
        return self.distributions(y_true.detach(), y_pred).data

    def distributions(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The targets in the shape of the predictions, smoothed."""
        if y_true.size * y_pred.shape[-1] == y_pred.size != y_true.size:
            remedy = "Integer labels go with 'sparse_categorical_crossentropy'."
            raise ValueError(explain(f"targets of the predictions' shape {y_pred.shape}", y_true.shape, remedy))
        target = aligned(y_true, y_pred)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / target.shape[-1]
        return target


class SparseCategoricalCrossentropy(RowCrossentropy):
    """-ln p[label], where p is the prediction, or with `from_logits` its softmax."""

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = from_logits

    def targets(self, y: Any, dtype: np.dtype[Any]) -> Array:
        """Labels as int64; whole numbers in floats are labels, too."""
        values = y.data if type(y) is Tensor else as_array(y)
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
            door.check_labels(y, y_pred.shape[-1])
        check_outputs(y_pred, "softmax", self.from_logits)

    def constants(self, y_true: Tensor, y_pred: Tensor) -> Array:
        labels = self.targets(y_true, y_pred.dtype)
        if labels.shape == (*y_pred.shape[:-1], 1):
            labels = labels.reshape(labels.shape[:-1])
        if labels.shape != y_pred.shape[:-1]:
            remedy = "One-hot targets go with 'categorical_crossentropy'."
            raise ValueError(explain(f"labels of shape {y_pred.shape[:-1]}", labels.shape, remedy))
        return labels


def logits_of(probabilities: Tensor, activation: str) -> Tensor | None:
    """What went into the softmax or sigmoid that made these probabilities, if one did and it has not been overwritten."""
    known = probabilities.logits
    if known is None or known.activation != activation:
        return None
    owner = known.owner()
    stale = probabilities.memory.changed > known.since or (owner is not None and owner.changed > known.since)
    return known.values if not stale and known.still_give(probabilities) else None


def _checked_smoothing(value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(explain("`label_smoothing` from 0 to below 1", value, "0 switches it off."))
    return float(value)


_CLASSES: tuple[type[Loss], ...] = (
    MeanSquaredError, MeanAbsoluteError, Huber, Hinge, BinaryCrossentropy, CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)  # fmt: skip
_TABLE = {snake_case(c.__name__): c for c in _CLASSES} | {"mse": MeanSquaredError, "mae": MeanAbsoluteError}


class FunctionLoss(Loss):
    """A loss made of any function `fn(y_true, y_pred)` of tensors."""

    def __init__(self, fn: Any) -> None:
        self.fn = fn

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if y_true.size == y_pred.size:  # (n,) against (n, 1) would make n² losses
            y_true = aligned(y_true, y_pred)
        losses = self.fn(y_true, y_pred)
        if not isinstance(losses, Tensor):
            remedy = "Compute it with operations on tensors, not with NumPy."
            raise TypeError(explain("a loss function that returns a tensor", type(losses).__name__, remedy))
        return losses if losses.ndim else losses.reshape(1)


def get(identifier: Any) -> Loss:
    """The loss for a name ("mse"), a Loss, or a function of targets and predictions."""
    if callable(identifier) and not isinstance(identifier, (Loss, type)):
        return FunctionLoss(identifier)
    return lookup("a loss", identifier, Loss, _TABLE)
