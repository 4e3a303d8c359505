"""A linear model as a problem to solve: columns of one scale, a loss, penalties, and the captured program of the gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import graph, ops
from ..capture import Captured
from ..graph import grad
from ..kernels import door
from ..tensor import Array, Tensor

# The loss of each sample, from its scores z = x @ w and its targets.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared_error": lambda z, y: ops.SquaredError()(z, y) * 0.5,
    "log_loss": lambda z, y: ops.BinaryCrossEntropy()(z, y),
    "multinomial": lambda z, y: ops.CrossEntropy(y.data, owner=y)(z),
    "hinge": lambda z, y: (1 - (2 * y - 1) * z).relu(),
    "squared_hinge": lambda z, y: (1 - (2 * y - 1) * z).relu().square(),
}
STEEPEST = {
    "squared_error": 1.0,
    "log_loss": 0.25,
    "multinomial": 0.5,
    "hinge": 1.0,
    "squared_hinge": 2.0,
}  # second derivatives
ROWS_AT_ONCE = 4096  # what is computed from these stays in the cache
MOST_COLUMNS = 2000  # up to which the matrix of their products is made


class Problem:
    """minimise  Σ cᵢ loss(yᵢ, xᵢ @ w) / Σ cᵢ + Σ l2 w² / 2 + Σ l1 |w|

    It is solved for v = w r, with columns x / r such that each has a curvature of 1: then one step size suits all columns,
    whatever their units. Columns lose their mean, too, if there is an intercept, which is the weight of a column of ones
    and has no penalty.

    Parameters
    ----------
    loss : str
        Of LOSSES.
    x : array (samples, features)
    y : array (samples, outputs), or (samples,) of integers for "multinomial"
    weights : array (samples,) or None
    l1, l2 : float
    intercept : bool
    outputs : int
    about : (mean, variance), optional
        Of the columns, if not of `x` itself.

    Attributes
    ----------
    mean, scale, inverse : arrays (features,), float64
        What was taken off, r, and 1 / r; for columns that do not change 1 and 0, so that they count for nothing.
    """

    def __init__(
        self, loss: str, x: Array, y: Array, weights: Array | None, l1: float, l2: float, intercept: bool, outputs: int,
        about: tuple[Array, Array] | None = None,
    ) -> None:  # fmt: skip
        self.loss, self.intercept, self.outputs = loss, intercept, outputs
        mean, variance = moments(x, weights) if about is None else about
        noise = len(x) * np.finfo(np.float64).eps * np.abs(mean)  # of the mean itself, for columns that do not change
        if not intercept:
            mean, variance = np.zeros_like(mean), variance + mean**2
        varies = variance > noise**2
        self.mean, self.scale = mean, np.where(varies, np.sqrt(variance + l2), 1.0)
        self.inverse = np.where(varies, 1 / self.scale, 0.0)
        self.x = np.empty((len(x), x.shape[1] + intercept), x.dtype)
        np.subtract(x, self.mean.astype(x.dtype), out=self.x[:, : x.shape[1]])
        self.x[:, : x.shape[1]] *= self.inverse.astype(x.dtype)
        self.x[:, x.shape[1] :] = 1
        self.y = y
        self.weights = None if weights is None else (weights / weights.sum()).astype(x.dtype)
        self.l2 = np.append(l2 * self.inverse**2, [0.0] * intercept)[:, None].astype(x.dtype)
        self.l1 = np.append(l1 * self.inverse, [0.0] * intercept)[:, None].astype(x.dtype)
        self.shape = (self.x.shape[1], outputs)

    def start(self, coef: Array | None = None, intercept: Array | None = None) -> Array:
        """Zeros, or the weights of a model as this problem has them."""
        v = np.zeros(self.shape, self.x.dtype)
        if coef is not None and intercept is not None:
            d = len(self.scale)
            v[:d] = coef.T * self.scale[:, None]
            v[d:] = (intercept + coef @ self.mean) if self.intercept else 0
        return v

    def weights_of(self, v: Array) -> tuple[Array, Array]:
        """Coefficients (outputs, features) and intercepts (outputs,) in the units of the data."""
        d = len(self.scale)
        coef = v[:d].T * self.inverse
        return coef, (v[d] if self.intercept else np.zeros(self.outputs)) - coef @ self.mean

    def value(self, v: Tensor, x: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
        """Loss and L2 penalty for some rows."""
        losses = LOSSES[self.loss](x @ v, y)
        rows = losses if losses.ndim == 1 else losses.sum(1)
        mean = rows.mean() if weights is None else (rows * weights).sum()
        return mean + (Tensor(self.l2) * v.square()).sum() * 0.5

    def of_all(self) -> Callable[[Tensor], Tensor]:
        """Loss and L2 penalty of v over all samples; of a squared error from products of columns, if these are not too many."""
        x, y = Tensor(self.x), Tensor(self.y)
        weights = None if self.weights is None else Tensor(self.weights)
        if self.loss != "squared_error" or self.shape[0] > MOST_COLUMNS:
            return lambda v: self.value(v, x, y, weights)
        gram, moment, rest = self.products()
        quadratic, linear, constant = Tensor(gram), Tensor(moment), Tensor(rest)
        return lambda v: (v * ((quadratic @ v) * 0.5 - linear)).sum() + constant

    def gram(self, every: int = 1) -> Array:
        """Xᵀ C X, where C holds the weights of the samples, which sum to 1; from each so many-th row only."""
        x = self.x[::every]
        c = np.full(len(x), 1 / len(x), x.dtype) if self.weights is None else self.weights[::every] * every
        return door.matmul(door.binary("multiply", x, c[:, None]).T, x)

    def products(self) -> tuple[Array, Array, Array]:
        """Xᵀ C X + diag(l2), Xᵀ C Y and Σ c y² / 2."""
        gram = self.gram()
        gram[np.diag_indices_from(gram)] += self.l2[:, 0]
        y = self.y / len(self.y) if self.weights is None else self.y * self.weights[:, None]
        return gram, door.matmul(self.x.T, y), np.asarray((y * self.y).sum() / 2)

    def with_gradient(self) -> Callable[[Array], tuple[float, Array]]:
        """Value and gradient for v, computed by a captured program."""
        value = self.of_all()

        def both(v: Tensor) -> tuple[Tensor, Tensor]:
            f = value(v)
            return f, grad(f, v)

        captured = Captured(both)

        def run(v: Array) -> tuple[float, Array]:
            with graph.gradients():
                f, g = captured(Tensor(v.reshape(self.shape), requires_grad=True))
            return float(f.data), g.data

        return run

    def curvature(self, sample: int | None = None) -> float:
        """A bound on the second derivative of value() in any direction; with `sample` estimated from about so many rows."""
        every = 1 if sample is None else max(1, len(self.x) // sample)
        if self.shape[0] <= MOST_COLUMNS:
            largest = float(np.linalg.eigvalsh(self.gram(every).astype(np.float64))[-1])
        else:
            largest = float(np.square(self.x[::every]).mean(0).sum())  # no eigenvalue is above the sum of all
        return STEEPEST[self.loss] * largest + float(self.l2.max())


def moments(x: Array, weights: Array | None) -> tuple[Array, Array]:
    """Mean and variance of each column, in float64."""
    c = np.full(len(x), 1 / len(x)) if weights is None else (weights / weights.sum()).astype(np.float64)
    blocks = [slice(i, i + ROWS_AT_ONCE) for i in range(0, len(x), ROWS_AT_ONCE)]
    mean, variance = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for b in blocks:
        mean += c[b] @ x[b].astype(np.float64, copy=False)
    for b in blocks:
        variance += c[b] @ np.square(x[b] - mean)
    return mean, variance
