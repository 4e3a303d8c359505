"""Normalisation: numbers less their mean, over their deviation; of each column, or of each row."""

from __future__ import annotations

from typing import Any

from ..kernels import door
from ..state import state
from ..tensor import Array, Tensor
from .base import Op, case

__all__ = ["BatchNorm", "Normalize", "RowNorm"]


class Norm(Op):
    """What they share: ε, and whether gamma and a bias are among the inputs, which come last."""

    def __init__(self, epsilon: float, scale: bool = True, center: bool = True) -> None:
        self.epsilon, self.scale, self.center = epsilon, scale, center

    def weights(self, given: tuple[Any, ...]) -> tuple[Any, Any]:
        """gamma and the bias out of the last inputs; None for one that is missing."""
        return given[0] if self.scale else None, given[-1] if self.center else None

    def gradients_of_weights(self, dgamma: Any, dbias: Any) -> tuple[Any, ...]:
        return (dgamma,) * self.scale + (dbias,) * self.center


class BatchNorm(Norm):
    """Z = N gamma + bias,  N = (X - mean) / √(variance + ε), with mean and variance of each column of X  (Ioffe & Szegedy 2015)

    dX = (dZ - dbias / n - N dgamma / n) gamma / √(variance + ε)        dgamma = Σ dZ N        dbias = Σ dZ, over the n rows

    `mean` and `variance` are there after `forward`.
    """

    cases = [
        case((5, 3), (3,), (3,), epsilon=0.1),
        case((7, 2), (2,), epsilon=0.1, center=False),
        case((4, 17), (17,), epsilon=0.1, scale=False),
        case((6, 1), epsilon=0.1, scale=False, center=False),
    ]
    mean: Array
    variance: Array

    def forward(self, x: Array, *weights: Array) -> Array:
        self.mean, self.variance = door.moments(x)
        return door.normalize(x, self.mean, self.variance, *self.weights(weights), self.epsilon)

    def backward(self, dz: Tensor) -> Any:
        x, *weights = self.inputs
        gamma, _ = self.weights(tuple(weights))
        if not state.recording:
            dgamma, dbias = door.normalize_sums(dz.data, x.data, self.mean, self.variance, self.epsilon)
            gamma_data = None if gamma is None else gamma.data
            arrays = (dz.data, x.data, self.mean, self.variance, gamma_data, dgamma, dbias)
            dx = Tensor(door.normalize_grad(*arrays, self.epsilon)) if self.needs[0] else None
            return (dx, *self.gradients_of_weights(Tensor(dgamma), Tensor(dbias)))
        apart = x - x.mean(axis=0)
        scale = (apart.square().mean(axis=0) + self.epsilon) ** -0.5
        normal = apart * scale
        sums, given = (dz * normal).sum(axis=0), dz if gamma is None else dz * gamma
        dx = (given - given.mean(axis=0) - normal * (given * normal).mean(axis=0)) * scale
        return (dx, *self.gradients_of_weights(sums, dz.sum(axis=0)))


class Normalize(Norm):
    """Z = N gamma + bias,  N = (X - mean) / √(variance + ε), with a mean and a variance for each column that are given

    dX = dZ gamma / √(variance + ε)        dmean = -Σ dX        dvariance = -½ Σ dX N / √(variance + ε)        dgamma = Σ dZ N
    dbias = Σ dZ
    """

    cases = [
        case((5, 3), (3,), (3,), (3,), (3,), low=0.1, epsilon=0.1),
        case((4, 17), (17,), (17,), low=0.1, epsilon=0.1, scale=False, center=False),
    ]

    def forward(self, x: Array, mean: Array, variance: Array, *weights: Array) -> Array:
        return door.normalize(x, mean, variance, *self.weights(weights), self.epsilon)

    def backward(self, dz: Tensor) -> Any:
        x, mean, variance, *weights = self.inputs
        gamma, _ = self.weights(tuple(weights))
        needs = iter(self.needs[3:])
        needs_gamma, needs_bias = self.scale and next(needs), self.center and next(needs)
        scale = (variance + self.epsilon) ** -0.5
        factor = scale if gamma is None else gamma * scale
        dx = dz * factor if any(self.needs[:3]) else None
        dmean = dvariance = dgamma = None
        if self.needs[1]:
            dmean = -(dz.sum(axis=0) * factor)
        if self.needs[2] or needs_gamma:
            sums = (dz * (x - mean)).sum(axis=0)
            dvariance = sums * factor * scale * scale * -0.5 if self.needs[2] else None
            dgamma = sums * scale
        dbias = dz.sum(axis=0) if needs_bias else None
        return (dx, dmean, dvariance, *self.gradients_of_weights(dgamma, dbias))


class RowNorm(Norm):
    """Z = N gamma + bias,  N = (X - mean) / √(variance + ε), with the mean and the variance of each row of X  (Ba et al. 2016)

    dX = (G - mean G - N mean(G N)) / √(variance + ε), where G = dZ gamma        dgamma = Σ dZ N        dbias = Σ dZ, over rows

    Not `centered`, the mean counts as 0  (Zhang & Sennrich 2019).
    """

    cases = [
        case((5, 3), (3,), (3,), epsilon=0.1),
        case((2, 17), (17,), epsilon=0.1, center=False, centered=False),
        case((4, 5), (5,), epsilon=0.1, scale=False),
        case((1, 6), epsilon=0.1, scale=False, center=False, centered=False),
    ]

    def __init__(self, epsilon: float, scale: bool = True, center: bool = True, centered: bool = True) -> None:
        super().__init__(epsilon, scale, center)
        self.centered = centered

    def forward(self, x: Array, *weights: Array) -> Array:
        return door.row_norm(x, *self.weights(weights), self.epsilon, self.centered)

    def backward(self, dz: Tensor) -> Any:
        x, *weights = self.inputs
        gamma, _ = self.weights(tuple(weights))
        if not state.recording:
            arrays = (dz.data, x.data, None if gamma is None else gamma.data)
            dx, dgamma, dbias = map(Tensor, door.row_norm_grad(*arrays, self.epsilon, self.centered))
            return (dx, *self.gradients_of_weights(dgamma, dbias))
        apart = x - x.mean(axis=1, keepdims=True) if self.centered else x
        scale = (apart.square().mean(axis=1, keepdims=True) + self.epsilon) ** -0.5
        normal, given = apart * scale, dz if gamma is None else dz * gamma
        dx = given - normal * (given * normal).mean(axis=1, keepdims=True)
        if self.centered:
            dx = dx - given.mean(axis=1, keepdims=True)
        return (dx * scale, *self.gradients_of_weights((dz * normal).sum(axis=0), dz.sum(axis=0)))
