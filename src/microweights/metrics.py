"""Numbers that tell how well a model does, gathered over batches; names and defaults are Keras's."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import explain
from .losses import aligned
from .naming import lookup, snake_case
from .tensor import Array, Operand, Tensor, as_array, real


class Metric:
    """Gathers batches with `update_state(y_true, y_pred, sample_weight=None)`; `result()` is the number so far."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.reset_state()

    def reset_state(self) -> None:
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> None:
        raise NotImplementedError

    def result(self) -> float:
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> float:
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()


class MeanMetric(Metric):
    """The weighted mean of a value for each sample, which `values` computes."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Array:
        raise NotImplementedError

    def reset_state(self) -> None:
        self.total = self.count = 0.0

    def update_state(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> None:
        target, prediction = (t.detach() if isinstance(t, Tensor) else Tensor(as_array(t)) for t in (y_true, y_pred))
        values = self.values(target, prediction)
        if values.ndim > 1:  # a sample counts once, however many outputs it has
            values = values.reshape(len(values), -1).mean(1)
        if sample_weight is None:
            self.total += float(values.sum(dtype=np.float64))
            self.count += values.size
        else:
            weights = np.broadcast_to(as_array(sample_weight), values.shape)
            self.total += float((values * weights).sum(dtype=np.float64))
            self.count += float(weights.sum(dtype=np.float64))

    def result(self) -> float:
        return self.total / self.count if self.count else 0.0


class MeanSquaredError(MeanMetric):
    """The mean of (y_true - y_pred)²."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Array:
        return (real(y_pred) - aligned(real(y_true), y_pred)).square().numpy()


class MeanAbsoluteError(MeanMetric):
    """The mean of |y_true - y_pred|."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Array:
        return (real(y_pred) - aligned(real(y_true), y_pred)).abs().numpy()


class BinaryAccuracy(MeanMetric):
    """How often a prediction lies on the same side of `threshold` as its target."""

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        self.threshold = threshold
        super().__init__(name)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Array:
        target = aligned(real(y_true), y_pred)
        return np.asarray((y_pred > self.threshold).numpy() == (target > 0.5).numpy())


class CategoricalAccuracy(MeanMetric):
    """How often the largest prediction stands where the largest target does."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Array:
        return np.asarray(y_pred.argmax(-1).numpy() == aligned(real(y_true), y_pred).argmax(-1).numpy())


class SparseCategoricalAccuracy(MeanMetric):
    """How often the largest prediction stands at the label."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Array:
        labels = y_true.numpy()
        if labels.shape == (*y_pred.shape[:-1], 1):
            labels = labels.reshape(labels.shape[:-1])
        if labels.shape != y_pred.shape[:-1]:
            remedy = "Use 'categorical_accuracy' for one-hot targets."
            raise ValueError(explain(f"labels of shape {y_pred.shape[:-1]}", labels.shape, remedy))
        return np.asarray(y_pred.argmax(-1).numpy() == labels)


class Accuracy(MeanMetric):
    """How often the prediction is right: binary, one-hot or by label, whichever the shapes say."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Array:
        return _accuracy_for(y_true.shape, y_pred.shape).values(y_true, y_pred)


def _accuracy_for(true: tuple[int, ...], predicted: tuple[int, ...]) -> MeanMetric:
    if len(predicted) < 2 or predicted[-1] == 1:
        return BinaryAccuracy()
    return CategoricalAccuracy() if true == predicted else SparseCategoricalAccuracy()


class R2Score(Metric):
    """1 - Σ (y - p)² / Σ (y - mean y)²: the part of the targets' variance that is explained; the mean over several outputs.

    With targets that are all equal it is 1 for a perfect prediction, else 0.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or "r2_score")

    def reset_state(self) -> None:
        self.weight: Any = 0.0
        self.mean: Any = 0.0
        self.spread: Any = 0.0
        self.residual: Any = 0.0

    def update_state(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> None:
        prediction = real(y_pred)
        target = aligned(real(y_true), prediction).numpy().astype(np.float64).reshape(len(prediction), -1)
        w = np.ones(len(target)) if sample_weight is None else as_array(sample_weight).astype(np.float64)
        w = w.reshape(-1, 1)
        residual = (w * (target - prediction.numpy().reshape(target.shape)) ** 2).sum(0)
        # the spread of two groups together, from the mean and spread of each (Chan, Golub & LeVeque 1979)
        weight, mean = w.sum(), (w * target).sum(0) / max(w.sum(), np.finfo(float).tiny)
        spread = (w * (target - mean) ** 2).sum(0)
        total = max(self.weight + weight, np.finfo(float).tiny)
        self.spread = self.spread + spread + (mean - self.mean) ** 2 * self.weight * weight / total
        self.mean = self.mean + (mean - self.mean) * weight / total
        self.weight += weight
        self.residual = self.residual + residual

    def result(self) -> float:
        spread, residual = np.atleast_1d(self.spread), np.atleast_1d(self.residual)
        score = np.where(spread > 0, 1 - residual / np.where(spread > 0, spread, 1), np.where(residual > 0, 0.0, 1.0))
        return float(score.mean())


_TABLE: dict[str, type[Metric]] = {
    snake_case(c.__name__): c
    for c in (Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, MeanSquaredError, MeanAbsoluteError)
} | {"acc": Accuracy, "mse": MeanSquaredError, "mae": MeanAbsoluteError, "r2_score": R2Score, "r2": R2Score}


def get(identifier: Any) -> Metric:
    """The metric for a name ("accuracy") or a Metric; it reports under the name it was asked for by."""
    metric = lookup("a metric", identifier, Metric, _TABLE)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric
