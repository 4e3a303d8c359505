"""A linear model as a problem to solve: columns of one scale, a loss, penalties, and the captured program of the gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from .. import ops
from ..autograd import grad
from ..capture.captured import Captured
from ..estimators.columns import blocks, check_spread, column_scale, means, moments
from ..kernels import door
from ..state import enable_grad
from ..tensor import Array, Tensor

# The loss of each sample, from its scores z = x @ w and its targets.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared_error": lambda z, y: ops.SquaredError()(z, y) * 0.5,
    "log_loss": lambda z, y: ops.BinaryCrossEntropy()(z, y),
    "multinomial": lambda z, y: ops.CrossEntropy(y.data, owner=y)(z),
    "hinge": lambda z, y: (1 - (2 * y - 1) * z).relu(),
    "squared_hinge": lambda z, y: (1 - (2 * y - 1) * z).relu().square(),
}
# Bounds on their second derivatives (of the cross-entropies: Böhning 1992). Hinge has none, unless it is smoothed; 1 is a guess
# that does.
MAX_CURVATURE = {"squared_error": 1.0, "log_loss": 0.25, "multinomial": 0.5, "hinge": 1.0, "squared_hinge": 2.0}
MAX_COLUMNS_EIGH = 32  # up to which all eigenvalues of their products are found as quickly as one
GRAM_TILE_COLUMNS = 128  # of the gram matrix, squares of so many below the diagonal are copied from those above
MAX_COLUMNS_GRAM = 2000  # up to which the matrix of their products is made


class Problem:
    """minimise  Σ cᵢ loss(yᵢ, xᵢ @ w) / Σ cᵢ + Σ l2 w² / 2 + Σ l1 |w|

    It is solved for v = w r, with columns x / r, where r² = mean square of x + l2: then the second derivative by each v is 1
    for a squared error, and one step size suits all columns, whatever their units. Columns lose their mean, too, if there is
    an intercept, which is the weight of a column of ones and has no penalty.

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
        Of the columns, if known, or not of `x` itself.
    by_products : bool
        Replace X and y by the gram matrix XᵀCX, XᵀCy and yᵀCy / 2, which say all about a squared error.

    given : data type
        In which the columns were, before they were converted to that of `x`.

    Attributes
    ----------
    precision : float
        With which the columns are known.
    mean, scale, inverse : arrays (features,), float64
        What was taken off, r, and 1 / r; for columns that do not change 1 and 0, so that they count for nothing.
    """

    def __init__(
        self, loss: str, x: Array, y: Array, weights: Array | None, l1: float, l2: float, intercept: bool, outputs: int,
        about: tuple[Array, Array] | None = None, by_products: bool = False, given: Any = np.float64,
    ) -> None:  # fmt: skip
        self.loss, self.intercept, self.outputs = loss, intercept, outputs
        self.width = 0.0  # of the parabola that takes the place of the kink of hinge; see smoothed_hinge
        self.raw, self._penalties = x, (l1, l2)
        self._products: tuple[Array, Array, Array] | None = None
        self.precision = float(max(np.finfo(dtype).eps for dtype in (x.dtype, given)))
        if by_products:
            mean = means(x, weights) if about is None else about[0]
            products = centred_products(x, y, weights, mean if intercept else np.zeros_like(mean))
            variance = np.diag(products[0])
            check_spread(x, mean, variance)
            self.about = mean, variance
        else:
            self.about = mean, variance = moments(x, weights) if about is None else about
            variance = variance if intercept else variance + mean**2
        self.mean = mean * intercept
        self.scale, self.inverse = column_scale(self.mean, variance, len(x), l2)
        self.y = y
        self.weights = None if weights is None else (weights / weights.sum()).astype(x.dtype)
        self.l2 = np.append(l2 * self.inverse**2, [0.0] * intercept)[:, None].astype(x.dtype)
        self.l1 = np.append(l1 * self.inverse, [0.0] * intercept)[:, None].astype(x.dtype)
        self.samples, self.dtype, self.shape = len(x), x.dtype, (x.shape[1] + intercept, outputs)
        if by_products:
            gram, moment, constant = products
            inverse = self.inverse[:, None]
            gram, moment = gram * inverse * self.inverse, moment * inverse
            if intercept:
                gram = np.pad(gram, (0, 1))
                gram[-1, -1] = 1
                mean_y = np.average(y, axis=0, weights=weights)
                moment = np.concatenate([moment, mean_y[None]])
            self._products = gram, moment, constant

    @property
    def max_curvature(self) -> float:
        """A bound on the second derivative of the loss."""
        return 1 / self.width if self.width else MAX_CURVATURE[self.loss]

    @cached_property
    def x(self) -> Array:
        """The columns, brought to one scale, and a column of ones for the intercept."""
        return self.rows(slice(None))

    def by_rows(self) -> None:
        """Compute with the rows again, where the products of columns have lost what is small beside others."""
        self._products = None

    def rows(self, which: Any) -> Array:
        """Some rows of :attr:`x`."""
        raw, d = self.raw[which], len(self.scale)
        x = np.empty((len(raw), d + self.intercept), self.dtype)
        np.subtract(raw, self.mean.astype(x.dtype), out=x[:, :d])
        x[:, :d] *= self.inverse.astype(x.dtype)
        x[:, d:] = 1
        return x

    def largest_row(self) -> float:
        """The largest sum of squares of a row of :attr:`x`, times its weight beside the mean weight."""
        squares, found = np.square(self.inverse)[:, None], []
        for b in blocks(self.raw):
            part = self.raw[b] - self.mean
            part *= part
            sums = door.matmul(part, squares)[:, 0] + self.intercept
            found.append(float((sums if self.weights is None else sums * self.weights[b] * self.samples).max()))
        return max(found)

    def start(self, coef: Array | None = None, intercept: Array | None = None) -> Array:
        """Zeros, or the weights of a model as this problem has them; columns that do not change here count for nothing."""
        v = np.zeros(self.shape, self.dtype)
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
        losses = smoothed_hinge(x @ v, y, self.width) if self.width else LOSSES[self.loss](x @ v, y)
        rows = losses if losses.ndim == 1 else losses.sum(1)
        mean = rows.mean() if weights is None else (rows * weights).sum()
        return mean + (Tensor(self.l2) * v.square()).sum() * 0.5

    def of_all(self) -> Callable[[Tensor], Tensor]:
        """Loss and L2 penalty of v over all samples; by products it is ½ vᵀ G v - vᵀ m + yᵀ C y / 2, with G = Xᵀ C X + L2."""
        if self._products is not None:
            gram, moment, constant = self._products
            quadratic, linear, rest = Tensor(gram + np.diag(self.l2[:, 0])), Tensor(moment), Tensor(constant)
            return lambda v: (v * ((quadratic @ v) * 0.5 - linear)).sum() + rest
        x, y = Tensor(self.x), Tensor(self.y)
        weights = None if self.weights is None else Tensor(self.weights)
        return lambda v: self.value(v, x, y, weights)

    def gram(self, every: int = 1) -> Array:
        """Xᵀ C X, where C holds the weights of the samples, which sum to 1; from each so many-th row only."""
        if self._products is not None:
            return self._products[0]
        x, c = self._some_rows(every)
        return centred_products(x, x[:, :1], c, np.zeros(x.shape[1]))[0]

    def gram_times(self, directions: Array, times: Array | None = None) -> Array:
        """The same times some directions (columns, directions), by way of the rows, where nothing small is lost.

        The weights of the samples are multiplied with `times`.
        """
        c = np.full(self.samples, 1 / self.samples, self.dtype) if self.weights is None else self.weights
        c = c if times is None else c * times
        found = np.zeros_like(directions)
        for b in blocks(self.raw):
            part = self.rows(b)
            found += door.matmul(part.T, door.matmul(part, directions) * c[b, None])
        return found

    def _some_rows(self, every: int) -> tuple[Array, Array | None]:
        """Each so many-th row that has a weight, and their weights."""
        if self.weights is None:
            return self.x if every == 1 else self.rows(slice(None, None, every)), None
        which = np.flatnonzero(self.weights)[::every]
        return self.rows(which), self.weights[which]

    def only(self, columns: Array) -> Problem:
        """The same problem for some of the columns, the others having no weight."""
        x, about = np.take(self.raw, columns, axis=1), (self.about[0][columns], self.about[1][columns])
        return Problem(self.loss, x, self.y, self.weights, *self._penalties, self.intercept, self.outputs, about,
                       by_products=len(columns) <= MAX_COLUMNS_GRAM)  # fmt: skip

    def gradient(self, v: Array) -> Array:
        """The gradient of a squared error and its L2 penalty, computed from the columns as they come."""
        coef, intercept = self.weights_of(v)
        residual = door.matmul(self.raw, coef.T) + intercept - self.y
        residual *= 1 / self.samples if self.weights is None else self.weights[:, None]
        by_mean = residual.sum(0)
        of_columns = (door.matmul(self.raw.T, residual) - self.mean[:, None] * by_mean) * self.inverse[:, None]
        found: Array = np.concatenate([of_columns, by_mean[None][: self.intercept]]) + self.l2 * v
        return found

    def with_gradient(self) -> Callable[[Array], tuple[float, Array]]:
        """Value and gradient for v, computed by a captured program."""
        value = self.of_all()

        def both(v: Tensor) -> tuple[Tensor, Tensor]:
            f = value(v)
            return f, grad(f, v)

        captured = Captured(both)

        def run(v: Array) -> tuple[float, Array]:
            with enable_grad():
                f, g = captured(Tensor(v.reshape(self.shape), requires_grad=True))
            return float(f.data), g.data

        return run

    def curvature(self, sample: int | None = None) -> float:
        """A bound on the second derivative of value() in any direction; with `sample` estimated from about so many rows."""
        every = 1 if sample is None else max(1, self.samples // sample)
        if self.shape[0] <= MAX_COLUMNS_GRAM:
            gram = self.gram(every).astype(np.float64)
            if len(gram) > MAX_COLUMNS_EIGH:  # Lanczos finds the largest to a hundredth
                times = LinearOperator(gram.shape, lambda u: door.matmul(gram, u.reshape(-1, 1)), dtype=gram.dtype)
                start = np.random.default_rng(0).normal(size=len(gram))
                largest = 1.01 * float(eigsh(times, 1, tol=0.01, v0=start, return_eigenvectors=False)[0])
            else:
                largest = float(np.linalg.eigvalsh(gram)[-1])
        else:
            x, c = self._some_rows(every)  # no eigenvalue is above the sum of all
            largest = float(np.average(np.einsum("ij,ij->i", x, x), weights=c))
        return self.max_curvature * largest + float(self.l2.max())


def smoothed_hinge(z: Tensor, y: Tensor, width: float) -> Tensor:
    """Hinge with a parabola of this width in the place of its kink: below it by half the width at most  (Chapelle 2007)."""
    short = (1 - (2 * y - 1) * z).relu()
    within = short.clip(None, width)
    return within * (short - within * 0.5) * (1 / width)


def centred_products(x: Array, y: Array, weights: Array | None, mean: Array) -> tuple[Array, Array, Array]:
    """X₀ᵀ C X₀, X₀ᵀ C Y and Σ c y² / 2, where X₀ = X - mean, and C holds the weights of the samples, scaled to a sum of 1."""
    d, mean = x.shape[1], mean.astype(x.dtype)
    gram, moment, constant = np.zeros((d, d), x.dtype), np.zeros((d, y.shape[1]), x.dtype), 0.0
    c = None if weights is None else (weights / weights.sum()).astype(x.dtype)
    for b in blocks(x, 4 * GRAM_TILE_COLUMNS):
        part, targets = x[b] - mean, y[b]
        other = part if c is None else door.binary("multiply", part, c[b, None])
        for j in range(0, d, GRAM_TILE_COLUMNS):
            gram[j : j + GRAM_TILE_COLUMNS, j:] += door.matmul(other[:, j : j + GRAM_TILE_COLUMNS].T, part[:, j:])
        moment += door.matmul(other.T, targets)
        constant += float((targets**2).sum() if c is None else (targets**2 * c[b, None]).sum()) / 2
    share = x.dtype.type(1 / len(x) if c is None else 1)
    gram = np.triu(gram) * share
    return gram + np.triu(gram, 1).T, moment * share, np.asarray(constant * share, x.dtype)
