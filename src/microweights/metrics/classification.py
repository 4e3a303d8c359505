"""Metrics of classes: how often they are right, how likely they were, and which are taken for which."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from .. import losses, ops
from ..errors import explain
from ..kernels import door
from ..losses import Loss, aligned
from ..losses.base import with_axis_last
from ..ops import concatenate, stack
from ..tensor import Array, Tensor, constant
from .base import (
    LossMetric,
    MeanMetric,
    Metric,
    agree,
    is_number,
    of_classes,
    one_hot,
    one_output,
    or_nan,
    refuse_one_output,
    weighted_sum,
    zero_or_one,
)
from .ranking import among_largest

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
        return -chosen.clip(1e-15, 1.0).log() + are_probabilities(p).reshape(*p.shape[:-1], -1).sum(-1)

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

    options = ("from_logits", "label_smoothing", "axis")

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


# ---- counts of classes -----------------------------------------------------------------------------------------------


def one_number(name: str, value: Any) -> float:
    if isinstance(value, (bool, str)) or not isinstance(value, Real):
        raise TypeError(explain(f"`{name}` to be one number", repr(value), "Make a metric for each."))
    return float(value)


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
        true, predicted = classes_of(y_true, p, self.thresholds)
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
    """How many of those that are of a class are predicted as it; arguments and ways to count are those of :class:`Precision`."""

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


def report(y_true: Any, y_pred: Any, names: Any = None, threshold: float = 0.5) -> str:
    """Precision, recall and F1 of each class in a table: scikit-learn's `classification_report`.

    Parameters
    ----------
    y_true : array (samples,)
    y_pred : array (samples,) or (samples, classes)
        Labels, or what a model predicts: numbers that are all whole are labels.
    names : list of str, optional
        Of the classes.
    threshold : float
        For one output.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    ValueError
        If a prediction is NaN.
    """
    from sklearn.metrics import classification_report

    predicted, labels = np.asarray(y_pred), np.asarray(y_true).reshape(-1)
    if predicted.dtype.kind == "f" and np.isnan(predicted).any():
        raise ValueError(explain("predictions that are numbers", "NaN", "Check the model and its data."))
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        predicted = predicted.argmax(1)
    elif predicted.dtype.kind == "f" and not (predicted == np.round(predicted)).all():
        zero = -1 if labels.dtype.kind in "if" and (labels == -1).any() else 0
        predicted = np.where(predicted.reshape(-1) > threshold, 1, zero)
    return str(classification_report(labels, predicted, target_names=names, zero_division=0))
