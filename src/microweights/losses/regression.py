"""Losses of numbers: how far predictions are from them, or how unlikely these are."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..errors import explain
from ..tensor import Tensor
from .base import MEAN, ElementwiseLoss, StandardLoss, aligned, with_axis_last

EPSILON = 1e-7  # Keras's, kept from what is divided by or taken the logarithm of


class MeanSquaredError(ElementwiseLoss):
    """(y_true - y_pred)²"""

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.SquaredError()(y_pred, aligned(y_true, y_pred))


class MeanAbsoluteError(ElementwiseLoss):
    """|y_true - y_pred|"""

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (y_pred - aligned(y_true, y_pred)).abs()


class MeanAbsolutePercentageError(ElementwiseLoss):
    """100 |y_true - y_pred| / |y_true|, in which |y_true| is at least 1e-7."""

    is_symmetric = False

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = aligned(y_true, y_pred)
        return (y_pred - target).abs() / ops.maximum(target.abs(), EPSILON) * 100.0


class MeanSquaredLogarithmicError(ElementwiseLoss):
    """(ln (1 + y_true) - ln (1 + y_pred))², in which both are at least 1e-7."""

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = aligned(y_true, y_pred)
        return ((ops.maximum(y_pred, EPSILON) + 1).log() - (ops.maximum(target, EPSILON) + 1).log()).square()


class Huber(ElementwiseLoss):
    """e²/2 where |e| <= delta, else delta |e| - delta²/2, for the error e = y_true - y_pred  (Huber 1964)."""

    def __init__(self, delta: float = 1.0, reduction: str | None = MEAN, name: str | None = None, dtype: Any = None) -> None:
        if not delta > 0:
            raise ValueError(explain("`delta` to be positive", delta, "1 is the usual choice."))
        super().__init__(reduction, name or "huber_loss", dtype)
        self.delta = float(delta)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        size = (y_pred - aligned(y_true, y_pred)).abs()
        small = ops.minimum(size, self.delta)
        return small * (size - 0.5 * small)


class LogCosh(ElementwiseLoss):
    """ln cosh e = |e| + ln (1 + exp(-2 |e|)) - ln 2, for the error e = y_true - y_pred."""

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        size = (y_pred - aligned(y_true, y_pred)).abs()
        return size + (size * -2.0).softplus() - math.log(2)


class Poisson(ElementwiseLoss):
    """y_pred - y_true ln (y_pred + 1e-7): of counts that are Poisson distributed, up to a constant."""

    is_symmetric = False

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred - aligned(y_true, y_pred) * (y_pred + EPSILON).log()


class KLDivergence(StandardLoss):
    """Σ y_true ln (y_true / y_pred) over the last axis, in which both are clipped to [1e-7, 1]  (Kullback & Leibler 1951)."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target, p = aligned(y_true, y_pred).clip(EPSILON, 1.0), y_pred.clip(EPSILON, 1.0)
        return (target * (target / p).log()).sum(-1)


class CosineSimilarity(StandardLoss):
    """-Σ t p over an axis, where t and p are y_true and y_pred divided by their lengths along it.

    It is -1 for vectors of one direction, 0 for orthogonal ones and where one is zero, 1 for opposite ones.
    """

    def __init__(self, axis: int = -1, reduction: str | None = MEAN, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(reduction, name, dtype)
        self.axis = axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        t, p = (with_axis_last(x, self.axis) for x in (aligned(y_true, y_pred), y_pred))
        return -(unit(t) * unit(p)).sum(-1)


def unit(x: Tensor) -> Tensor:
    """Vectors along the last axis divided by their lengths, which are at least 1e-12."""
    return x / ops.maximum(x.square().sum(-1, keepdims=True), 1e-24).sqrt()
