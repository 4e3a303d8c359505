"""Numbers that tell how well a model does, gathered over batches; names and defaults are Keras's."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from . import graph, ops
from .errors import explain
from .kernels import door
from .losses import aligned
from .naming import lookup, snake_case
from .ops import stack
from .tensor import Array, Operand, Tensor, as_array, constant, real


class Metric(graph.Part):
    """Gathers batches with `update_state(y_true, y_pred, sample_weight=None)`; `result()` is the number so far.

    A subclass computes in `part` what a batch adds, by operations on tensors, so that a training replays it in C, and adds it
    up in `add`. One that cannot may override `update_state` instead; it then gets the predictions of each batch.
    """

    rises: bool | None = None  # whether more is better, if that is known
    has_part = True  # whether `part` is there
    running: frozenset[str] = frozenset()  # the attributes that reset_state sets: what has been gathered so far
    _resets = False
    _notes = frozenset(("name", "running", "_notes", "_resets"))

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(explain("`name` to be a string", repr(name), "Pass other arguments by their names."))
        self.name = name or snake_case(type(self).__name__)
        self._resets = True
        self.reset_state()
        self._resets = False

    def __setattr__(self, name: str, value: Any) -> None:
        if self._resets:
            vars(self)["running"] = self.running | {name}
            vars(self)["_notes"] = self._notes | {name}
        super().__setattr__(name, value)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.has_part = "update_state" not in vars(cls) and cls.has_part

    def reset_state(self) -> None:
        raise NotImplementedError

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        """What a batch adds, in few numbers."""
        raise NotImplementedError

    def add(self, parts: Array) -> None:
        """Add what :meth:`part` gave for some batches, of shape (batches, ...)."""
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> None:
        target, prediction = (t.detach() if isinstance(t, Tensor) else Tensor(as_array(t)) for t in (y_true, y_pred))
        weights = None if sample_weight is None else Tensor(as_array(sample_weight, prediction.dtype))
        self.add(self.part(target, prediction, weights).numpy()[None])

    def result(self) -> float:
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> float:
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()


class MeanMetric(Metric):
    """The weighted mean of a value for each sample, which `values` computes."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        raise NotImplementedError

    def reset_state(self) -> None:
        self.total = self.count = 0.0

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        values = real(self.values(y_true, y_pred))
        if values.ndim > 1:  # a sample counts once, however many outputs it has
            values = values.mean(tuple(range(1, values.ndim)))
        if weights is None:
            return stack([values.sum(), constant(len(values), values.dtype)])
        weights = weights.astype(values.dtype).broadcast_to(values.shape)
        return stack([(values * weights).sum(), weights.sum()])

    def add(self, parts: Array) -> None:
        for total, count in parts.tolist():
            self.total, self.count = self.total + total, self.count + count

    def result(self) -> float:
        return self.total / self.count if self.count else 0.0


class MeanSquaredError(MeanMetric):
    """The mean of (y_true - y_pred)²."""

    rises = False

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (real(y_pred) - aligned(real(y_true), y_pred)).square()


class MeanAbsoluteError(MeanMetric):
    """The mean of |y_true - y_pred|."""

    rises = False

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (real(y_pred) - aligned(real(y_true), y_pred)).abs()


def _agree(a: Tensor, b: Tensor) -> Tensor:
    """Where two tensors of whole numbers are equal; as float64, which holds every class and every truth value."""
    return a.astype(door.FLOAT64) == b.astype(door.FLOAT64)


def _is_number(t: Tensor) -> Tensor:
    """1 where a prediction is a number and 0 where it is NaN; as float64."""
    return _agree(t, t).astype(door.FLOAT64)


def _hits(said: Tensor, labels: Tensor, y_pred: Tensor) -> Tensor:
    """1 where a prediction says the label, else 0; all NaN if a prediction is NaN."""
    prediction = real(y_pred)
    found = _agree(said, labels).astype(prediction.dtype)
    return found + prediction.max().clip(-1.0, 1.0) * 0 if prediction.size else found


class BinaryAccuracy(MeanMetric):
    """How often a target is 1 where the prediction is above `threshold`, and 0 or -1 where it is not.

    This and the two categorical accuracies are NaN if a prediction is.
    """

    rises = True

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        self.threshold = threshold
        super().__init__(name)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _hits(y_pred > self.threshold, ops.maximum(aligned(real(y_true), y_pred), 0), y_pred)


class CategoricalAccuracy(MeanMetric):
    """How often the largest prediction stands where the largest target does."""

    rises = True

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _hits(y_pred.argmax(-1), aligned(real(y_true), y_pred).argmax(-1), y_pred)


class SparseCategoricalAccuracy(MeanMetric):
    """How often the largest prediction stands at the label."""

    rises = True

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        labels = y_true
        if labels.shape == (*y_pred.shape[:-1], 1):
            labels = labels.reshape(labels.shape[:-1])
        if labels.shape != y_pred.shape[:-1]:
            remedy = "Use 'categorical_accuracy' for one-hot targets."
            raise ValueError(explain(f"labels of shape {y_pred.shape[:-1]}", labels.shape, remedy))
        return _hits(y_pred.argmax(-1), labels, y_pred)


class Accuracy(MeanMetric):
    """How often the prediction is right: binary, one-hot or by label, whichever the shapes say."""

    rises = True

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _accuracy_for(y_true.shape, y_pred.shape).values(y_true, y_pred)


def _accuracy_for(true: tuple[int, ...], predicted: tuple[int, ...]) -> MeanMetric:
    if len(predicted) < 2 or predicted[-1] == 1:
        return BinaryAccuracy()
    return CategoricalAccuracy() if true == predicted else SparseCategoricalAccuracy()


class TopKCategoricalAccuracy(MeanMetric):
    """How often fewer than `k` classes have a higher prediction than the right one; targets are one-hot or labels.

    Raises ValueError for a label that is none of a class.
    """

    rises = True

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(explain("`k` to be a positive integer", repr(k), "5 is a usual choice."))
        self.k = int(k)
        super().__init__(name or "top_k_categorical_accuracy")

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = one_hot(y_true, y_pred)
        right = (real(y_pred) * target).sum(-1, keepdims=True)
        hits = (1 - (y_pred <= right).astype(door.FLOAT64)).sum(-1) < self.k  # a NaN is no hit
        return hits.astype(door.FLOAT64) + target.sum(-1).astype(door.FLOAT64) * 0

    def add(self, parts: Array) -> None:
        super().add(_of_classes(parts))


class LogLoss(MeanMetric):
    """-ln of the probability of the right class, which is at least 1e-15; targets are one-hot, labels, or 0 and 1."""

    rises = False

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        p = real(y_pred).astype(door.FLOAT64)
        if p.ndim > 1 and p.shape[-1] > 1:
            chosen = (p * one_hot(y_true, p)).sum(-1) / p.sum(-1)
        else:
            target = zero_or_one(aligned(real(y_true).astype(door.FLOAT64), p))
            chosen = target * p + (1 - target) * (1 - p)
        return -chosen.clip(1e-15, 1.0).log()

    def add(self, parts: Array) -> None:
        super().add(_of_classes(parts))


def one_hot(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Labels or one-hot targets as 0 and 1, one for each of the classes that are predicted; all NaN for other labels."""
    if y_true.shape == y_pred.shape:
        return y_true.astype(real(y_pred).dtype)
    if y_true.size * y_pred.shape[-1] != y_pred.size:
        raise ValueError(explain(f"labels of shape {y_pred.shape[:-1]}", y_true.shape, "Give one for each sample."))
    labels = y_true.reshape(*y_pred.shape[:-1], 1)
    found = _agree(labels, Tensor(np.arange(y_pred.shape[-1]))).astype(real(y_pred).dtype)
    return found + _or_nan(found.sum(-1, keepdims=True))


def zero_or_one(labels: Tensor) -> Tensor:
    """Labels of two classes, 0 (or -1) and 1, as 0 and 1; NaN for others."""
    is_known = _agree(labels * labels, labels.abs()).astype(door.FLOAT64)
    return (labels > 0).astype(door.FLOAT64) + _or_nan(is_known)


def _or_nan(valid: Tensor) -> Tensor:
    """0 where it is 1, and NaN where it is 0: added to a part, a mark that goes through C until `_of_classes` finds it."""
    return valid / valid - 1


def _of_classes(parts: Array) -> Array:
    """The parts, if they are numbers: labels that are none of a class, and predictions that are NaN, make NaN of them."""
    if np.isnan(parts).any():
        remedy = "Labels count the classes from 0, one for each sample; of two they are 0 and 1, or -1 and 1."
        received = "other labels, several, or NaN in labels, predictions or weights"
        raise ValueError(explain("labels of the classes that are predicted", received, remedy))
    return parts


class ConfusionMatrix(Metric):
    """`matrix[i, j]`: the weight of samples of class i that are predicted as class j. Its result is the accuracy.

    Parameters
    ----------
    thresholds : float
        Of one output, the probability above which a sample is predicted as class 1.

    Raises
    ------
    ValueError
        If a label is none of a class: from 0 to their number; of one output 0 and 1, or -1 and 1. If a prediction is NaN.
    """

    rises = True
    thresholds: float

    def __init__(self, thresholds: float = 0.5, name: str | None = None) -> None:
        if isinstance(thresholds, (bool, str)) or not isinstance(thresholds, Real):
            raise TypeError(explain("`thresholds` to be one number", repr(thresholds), "Make a metric for each."))
        self.thresholds = float(thresholds)
        super().__init__(name)

    def reset_state(self) -> None:
        self.matrix = np.zeros((0, 0))

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        p = real(y_pred).astype(door.FLOAT64)
        if p.ndim < 2 or p.shape[-1] == 1:
            p = p.reshape(-1, 1)
            one = (p > self.thresholds).astype(door.FLOAT64) + _or_nan(_is_number(p))
            target = zero_or_one(real(y_true).astype(door.FLOAT64)).reshape(-1, 1)
            predicted, true = ops.concatenate([1 - one, one], 1), ops.concatenate([1 - target, target], 1)
        else:
            if p.ndim > 2:
                received = f"shape {p.shape}"
                raise ValueError(explain("predictions (samples, classes)", received, "Put all samples in one axis."))
            predicted, true = one_hot(p.argmax(-1), p) + _or_nan(_is_number(p.max(-1, keepdims=True))), one_hot(y_true, p)
            is_single = _agree(true.max(-1, keepdims=True), true.sum(-1, keepdims=True)).astype(door.FLOAT64)
            true = true + _or_nan(is_single)
        if weights is not None:
            predicted = predicted * weights.astype(door.FLOAT64).reshape(-1, 1)
        return true.T @ predicted

    def add(self, parts: Array) -> None:
        total = _of_classes(parts).sum(0)
        self.matrix = total if self.matrix.size == 0 else self.matrix + total

    def result(self) -> float:
        return float(_ratio(np.trace(self.matrix), self.matrix.sum()))


def _ratio(x: Any, y: Any) -> Any:
    """x / y, and 0 where y is 0."""
    return np.where(y > 0, x / np.where(y > 0, y, 1), 0.0)


class _PerClass(ConfusionMatrix):
    """A number for each class; of two classes that of class 1 counts, of more the mean."""

    def of_classes(self) -> Array:
        raise NotImplementedError

    def result(self) -> float:
        found = self.of_classes()
        return float(found[1] if len(found) == 2 else found.mean() if len(found) else 0.0)


class Precision(_PerClass):
    """How many of those that are predicted as a class are of it."""

    def of_classes(self) -> Array:
        return np.asarray(_ratio(np.diag(self.matrix), self.matrix.sum(0)))


class Recall(_PerClass):
    """How many of those that are of a class are predicted as it."""

    def of_classes(self) -> Array:
        return np.asarray(_ratio(np.diag(self.matrix), self.matrix.sum(1)))


class F1Score(_PerClass):
    """2 / (1 / precision + 1 / recall)"""

    def of_classes(self) -> Array:
        return np.asarray(_ratio(2 * np.diag(self.matrix), self.matrix.sum(0) + self.matrix.sum(1)))


class AUC(Metric):
    """The area under the curve of true over false positives: how often a sample of class 1 scores higher than one of class 0.

    It is exact, and so keeps all scores; equal ones count half. Class 0 may be called -1. With a NaN among them it is NaN.
    """

    rises = True

    def reset_state(self) -> None:
        self.seen: list[Array] = []

    def update_state(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> None:
        scores = np.asarray(y_pred, np.float64).reshape(len(np.asarray(y_pred)), -1)
        scores = scores[:, -1] if scores.shape[1] <= 2 else scores
        labels = np.asarray(y_true, np.float64).reshape(-1)
        _of_classes(np.where(np.isin(labels, (-1, 0, 1)), labels, np.nan))
        if scores.ndim > 1 or len(labels) != len(scores):
            remedy = "Predict the probability of class 1."
            raise ValueError(explain("one score for each of two classes' samples", f"shape {np.shape(y_pred)}", remedy))
        weights = np.ones_like(labels) if sample_weight is None else np.asarray(sample_weight, np.float64).reshape(-1)
        self.seen.append(np.stack([scores, labels, weights]))

    def result(self) -> float:
        if not self.seen:
            return 0.0
        scores, labels, weights = np.concatenate(self.seen, 1)
        if np.isnan(scores).any() or np.isnan(weights).any():
            return float("nan")
        _, place = np.unique(scores, return_inverse=True)
        ones, zeros = (np.bincount(place, weights * ((labels > 0) == c)) for c in (True, False))
        below = np.cumsum(zeros) - zeros
        return float(_ratio((ones * (below + zeros / 2)).sum(), ones.sum() * zeros.sum()))


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


class R2Score(Metric):
    """1 - Σ (y - p)² / Σ (y - mean y)²: the part of the targets' variance that is explained; the mean over several outputs.

    With targets that are all equal it is 1 for a perfect prediction, else 0; without any it is 0, and with a NaN among them
    NaN.
    """

    rises = True

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or "r2_score")

    def reset_state(self) -> None:
        self.weight: Any = 0.0
        self.mean: Any = 0.0
        self.spread: Any = 0.0
        self.residual: Any = 0.0

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        """For each output, in float64: the weight of the batch, the mean of its targets, their spread, the residual."""
        prediction = real(y_pred).astype(door.FLOAT64)
        target = aligned(y_true.astype(door.FLOAT64), prediction).reshape(len(prediction), -1)
        prediction = prediction.reshape(target.shape)
        one = constant(1.0, door.FLOAT64)
        w = (one if weights is None else weights.astype(door.FLOAT64).reshape(-1, 1)).broadcast_to(target.shape)
        total = w.sum(0)
        mean = (w * target).sum(0) / ops.maximum(total, np.finfo(float).tiny)
        return stack([total, mean, (w * (target - mean).square()).sum(0), (w * (target - prediction).square()).sum(0)])

    def add(self, parts: Array) -> None:
        # the spread of two groups together, from the mean and spread of each (Chan, Golub & LeVeque 1979)
        for weight, mean, spread, residual in parts:
            total = np.maximum(self.weight + weight, np.finfo(float).tiny)
            self.spread = self.spread + spread + (mean - self.mean) ** 2 * self.weight * weight / total
            self.mean = self.mean + (mean - self.mean) * weight / total
            self.weight = self.weight + weight
            self.residual = self.residual + residual

    def result(self) -> float:
        spread, residual = np.atleast_1d(self.spread), np.atleast_1d(self.residual)
        score = np.where(spread > 0, 1 - residual / np.where(spread > 0, spread, 1), np.where(residual > 0, 0.0, 1.0))
        return float(np.where(np.isnan(spread + residual), np.nan, score).mean()) if np.any(self.weight) else 0.0


_NAMED: list[type[Metric]] = [Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, TopKCategoricalAccuracy]
_NAMED += [MeanSquaredError, MeanAbsoluteError, LogLoss, ConfusionMatrix, Precision, Recall, R2Score]
_TABLE: dict[str, type[Metric]] = {snake_case(c.__name__): c for c in _NAMED}
_TABLE |= {"f1_score": F1Score, "f1": F1Score, "auc": AUC, "acc": Accuracy}
_TABLE |= {"top_k_categorical_accuracy": TopKCategoricalAccuracy, "sparse_top_k_categorical_accuracy": TopKCategoricalAccuracy}
_TABLE |= {"mse": MeanSquaredError, "mae": MeanAbsoluteError, "r2_score": R2Score, "r2": R2Score}


def get(identifier: Any) -> Metric:
    """The metric for a name ("accuracy") or a Metric; it reports under the name it was asked for by."""
    metric = lookup("a metric", identifier, Metric, _TABLE)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def with_names_of_their_own(metrics: list[Metric]) -> list[Metric]:
    """The metrics, those of a name that was there before, or is that of the loss, being called name_1, name_2, ..."""
    names = {"loss"}
    for metric in metrics:
        name, number = metric.name, 0
        while metric.name in names:
            number += 1
            metric.name = f"{name}_{number}"
        names.add(metric.name)
    return metrics
