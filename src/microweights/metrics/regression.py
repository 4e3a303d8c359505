"""Metrics of numbers: means of the losses of regression, and the part of the variance that is explained."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .. import losses, ops
from ..errors import explain
from ..kernels import door
from ..losses import Loss
from ..losses.base import aligned
from ..tensor import Array, Tensor, constant
from .base import LossMetric, Metric


class MeanSquaredError(LossMetric):
    """The mean of (y_true - y_pred)²."""

    loss = losses.MeanSquaredError


class RootMeanSquaredError(LossMetric):
    """The root of the mean of (y_true - y_pred)²."""

    loss = losses.MeanSquaredError

    def result(self) -> float:
        return math.sqrt(super().result())


class MeanAbsoluteError(LossMetric):
    """The mean of |y_true - y_pred|."""

    loss = losses.MeanAbsoluteError


class MeanAbsolutePercentageError(LossMetric):
    """The mean of 100 |y_true - y_pred| / |y_true|."""

    loss = losses.MeanAbsolutePercentageError


class MeanSquaredLogarithmicError(LossMetric):
    """The mean of (ln (1 + y_true) - ln (1 + y_pred))²."""

    loss = losses.MeanSquaredLogarithmicError


class LogCoshError(LossMetric):
    """The mean of ln cosh (y_true - y_pred)."""

    loss = losses.LogCosh

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name or "logcosh", dtype)


class Poisson(LossMetric):
    """The mean of y_pred - y_true ln y_pred."""

    loss = losses.Poisson


class CosineSimilarity(LossMetric):
    """The mean cosine of the angle between targets and predictions along an axis: 1 for vectors of one direction."""

    loss = losses.CosineSimilarity
    rises = True
    options = ("axis",)

    def __init__(self, name: str | None = None, dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, dtype)
        self.axis = axis

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return -super().values(y_true, y_pred)


class R2Score(Metric):
    """1 - Σ (y - p)² / Σ (y - mean y)²: the part of the targets' variance that is explained.

    With targets that are all equal it is 1 for a perfect prediction, else 0; without any it is 0, and with a NaN among them
    NaN.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average"} or None
        What becomes of the scores of several outputs; None leaves them.
    num_regressors : int
        From 1 on, the score is adjusted to so many explaining variables: 1 - (1 - R²) (n - 1) / (n - num_regressors - 1).
    """

    rises = True

    def __init__(
        self, class_aggregation: str | None = "uniform_average", num_regressors: int = 0, name: str | None = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        choices = ("uniform_average", "variance_weighted_average", None)
        if class_aggregation not in choices:
            remedy = "Pass a name by `name=`."
            raise ValueError(explain(f"`class_aggregation` out of {choices}", repr(class_aggregation), remedy))
        if isinstance(num_regressors, bool) or not isinstance(num_regressors, (int, np.integer)) or num_regressors < 0:
            remedy = "0 adjusts nothing."
            raise ValueError(explain("`num_regressors` to be an integer not below 0", repr(num_regressors), remedy))
        super().__init__(dtype, name)
        self.class_aggregation, self.num_regressors = class_aggregation, int(num_regressors)

    def follow(self, loss: Loss | None) -> None:
        super().follow(loss)
        if self.class_aggregation is None:
            raise ValueError(explain("a metric of one number", "class_aggregation=None", "Take 'uniform_average'."))

    def reset_state(self) -> None:
        self.samples = 0.0
        self.weight: Any = 0.0
        self.mean: Any = 0.0
        self.spread: Any = 0.0
        self.residual: Any = 0.0

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        """For each output: the weight of the batch, the mean of its targets, their spread, the residual, the samples."""
        prediction = y_pred.astype(door.FLOAT64)
        target = aligned(y_true, prediction).reshape(len(prediction), math.prod(prediction.shape[1:]))
        prediction = prediction.reshape(target.shape)
        one = constant(1.0, door.FLOAT64)
        w = (one if weights is None else weights.reshape(-1, 1)).broadcast_to(target.shape)
        total = w.sum(0)
        mean = (w * target).sum(0) / ops.maximum(total, np.finfo(float).tiny)
        count = constant(float(len(prediction)), door.FLOAT64).broadcast_to(total.shape)
        spread, residual = (w * (target - mean).square()).sum(0), (w * (target - prediction).square()).sum(0)
        return ops.stack([total, mean, spread, residual, count])

    def add(self, parts: Array) -> None:
        # the spread of two groups together, from the mean and spread of each (Chan, Golub & LeVeque 1979)
        for weight, mean, spread, residual, count in parts:
            total = np.maximum(self.weight + weight, np.finfo(float).tiny)
            with np.errstate(invalid="ignore"):  # infinite targets make NaN, which is what the score is then
                self.spread = self.spread + spread + (mean - self.mean) ** 2 * self.weight * weight / total
            self.mean = self.mean + (mean - self.mean) * weight / total
            self.weight = self.weight + weight
            self.residual = self.residual + residual
            self.samples += float(count[0]) if count.size else 0.0

    def result(self) -> Any:
        spread, residual = np.atleast_1d(self.spread), np.atleast_1d(self.residual)
        score = np.where(spread > 0, 1 - residual / np.where(spread > 0, spread, 1), np.where(residual > 0, 0.0, 1.0))
        score = np.where(np.isnan(spread + residual), np.nan, score) if np.any(self.weight) else np.zeros_like(spread)
        if self.num_regressors:
            score = 1 - (1 - score) * self._adjustment()
        if self.class_aggregation is None:
            return score
        if self.class_aggregation == "uniform_average" or not spread.sum() > 0:
            return float(score.mean())
        return float((score * spread).sum() / spread.sum())

    def _adjustment(self) -> float:
        left = self.samples - self.num_regressors - 1
        if left > 0:
            return (self.samples - 1) / left
        if self.samples:
            warnings.warn(f"R² of {self.samples:g} samples is not adjusted to {self.num_regressors} regressors.", stacklevel=3)
        return 1.0
