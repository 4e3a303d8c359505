"""Rows of probabilities, along the last axis, and the loss made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import door
from ..tensor import Array, Tensor, remember_logits
from .base import Op, case

__all__ = ["CrossEntropy", "LogSoftmax", "Softmax"]


class Softmax(Op):
    """z = exp(x) / Σ exp(x)        dx = z (dz - Σ dz z)"""

    cases = [case((3, 4)), case((2, 3, 17))]

    def __call__(self, *inputs: Tensor) -> Tensor:
        return remember_logits(super().__call__(*inputs), inputs[0], "softmax")

    def forward(self, x: Array) -> Array:
        return door.rowwise("softmax", x)

    def backward(self, dz: Tensor) -> Any:
        return SoftmaxGrad()(dz, self.output)


class SoftmaxGrad(Op):
    """y = z (dz - Σ dz z)        d(dz) = z (dy - Σ dy z)        d(z) = dy (dz - Σ dz z) - dz Σ dy z"""

    cases = [case((3, 4), (3, 4))]

    def forward(self, dz: Array, z: Array) -> Array:
        return door.rowwise("softmax_grad", dz, z)

    def backward(self, dy: Tensor) -> Any:
        dz, z = self.inputs
        if not self.needs[1]:
            return SoftmaxGrad()(dy, z), None
        weighted = dy * (dz - (dz * z).sum(-1, keepdims=True)) - dz * (dy * z).sum(-1, keepdims=True)
        return SoftmaxGrad()(dy, z), weighted


class LogSoftmax(Op):
    """z = x - ln Σ exp(x)        dx = dz - exp(z) Σ dz"""

    cases = [case((3, 4)), case((2, 3, 17))]

    def forward(self, x: Array) -> Array:
        return door.rowwise("log_softmax", x)

    def backward(self, dz: Tensor) -> Any:
        return LogSoftmaxGrad()(dz, self.output)


class LogSoftmaxGrad(Op):
    """y = dz - exp(z) Σ dz        d(dz) = dy - Σ dy exp(z)        d(z) = -dy exp(z) Σ dz"""

    cases = [case((3, 4), (3, 4))]

    def forward(self, dz: Array, z: Array) -> Array:
        return door.rowwise("log_softmax_grad", dz, z)

    def backward(self, dy: Tensor) -> Any:
        dz, z = self.inputs
        p = z.exp()
        return dy - (dy * p).sum(-1, keepdims=True), -dy * p * dz.sum(-1, keepdims=True)


class CrossEntropy(Op):
    """z = Σ t (ln Σ exp(x) - x) for each row of logits, or the mean z̄        dx = dz (softmax(x) Σ t - t), for z̄ / rows

    The targets t are probabilities, one for each class, or integer labels, which stand for a 1 at their place.
    """

    cases = [
        case((3, 4), target=np.array([0, 3, 1])),
        case((3, 4), target=np.array([0, 3, 1]), mean=True),
        case((2, 3), target=np.array([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]])),
        case((2, 3), target=np.array([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]]), mean=True),
    ]

    def __init__(self, target: Array, mean: bool = False, owner: Tensor | None = None) -> None:
        self.target, self.mean = target, mean
        self.is_of(owner)

    def forward(self, x: Array) -> Array:
        return door.cross_entropy(x, _like(self.target, x), self.mean)

    def backward(self, dz: Tensor) -> Any:
        self.check_owner("target")
        return CrossEntropyGrad(self.target, self.mean, self.owner)(dz, self.inputs[0])


class CrossEntropyGrad(Op):
    """g = dz (softmax(x) Σ t - t), for the mean / rows        d(dz) = Σ dg g / dz        d(x) = softmax_grad(dg dz Σ t)"""

    cases = [
        case((3,), (3, 4), target=np.array([0, 3, 1])),
        case((), (3, 4), target=np.array([0, 3, 1]), mean=True),
        case((2,), (2, 3), target=np.array([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]])),
    ]

    def __init__(self, target: Array, mean: bool = False, owner: Tensor | None = None) -> None:
        self.target, self.mean = target, mean
        self.is_of(owner)

    def forward(self, dz: Array, x: Array) -> Array:
        return door.cross_entropy_grad(dz, x, _like(self.target, x), self.mean)

    def backward(self, dg: Tensor) -> Any:
        self.check_owner("target")
        dz, x = self.inputs
        target, rows = _like(self.target, x.data), x.shape[0]
        ones = Tensor(door.cast(np.ones(rows, np.bool_), x.dtype))
        for_one = (dg * CrossEntropyGrad(self.target, False, self.owner)(ones, x)).sum(1)  # what dz = 1 would give, row by row
        total = ones if target.dtype == door.INT64 else Tensor(door.reduce("sum", target, (1,)))
        if self.mean:
            dz, for_one, total = dz / rows, for_one.mean(), total.reshape(-1, 1)
            return for_one, SoftmaxGrad()(dg * dz * total, x.softmax())
        return for_one, SoftmaxGrad()(dg * (dz * total).reshape(-1, 1), x.softmax())


def _like(target: Array, x: Array) -> Array:
    """Probabilities in the type of the logits; labels as they are."""
    return target if target.dtype in (door.INT64, x.dtype) else door.cast(target, x.dtype)
