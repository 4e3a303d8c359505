"""A linear model as a problem to solve: columns of one scale, a loss, penalties, and the captured program of the gradient."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from .. import ops
from ..autograd import grad
from ..capture.captured import Captured
from ..estimators.columns import blocks, column_scale, moments
from ..kernels import door
from ..state import enable_grad, no_grad
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
FAR = 10  # deviations between zero and the mean of a column, which then would lose more than two digits to it
MAX_COLUMNS_EIGH = 128  # up to which all eigenvalues of their products are found as quickly as one
TILE_COLUMNS = 128  # on a side of the squares of a gram matrix
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
        about: tuple[Array, Array] | None = None, given: Any = np.float64,
    ) -> None:  # fmt: skip
        self.loss, self.raw, self.y, self.intercept, self.outputs = loss, x, y, intercept, outputs
        self.width = 0.0  # of the parabola that takes the place of the kink of hinge; see smoothed_hinge
        self.precision = float(max(np.finfo(dtype).eps for dtype in (x.dtype, given)))
        self.about = mean, variance = moments(x, weights) if about is None else about
        self.mean = mean * intercept
        self.scale, self.inverse = column_scale(self.mean, variance if intercept else variance + mean**2, len(x), l2)
        self.weights = None if weights is None else (weights / weights.sum()).astype(x.dtype)
        self.l2 = np.append(l2 * self.inverse**2, [0.0] * intercept)[:, None].astype(x.dtype)
        self.l1 = np.append(l1 * self.inverse, [0.0] * intercept)[:, None].astype(x.dtype)
        self.samples, self.dtype, self.shape = len(x), x.dtype, (x.shape[1] + intercept, outputs)

    @property
    def max_curvature(self) -> float:
        """A bound on the second derivative of the loss."""
        return 1 / self.width if self.width else MAX_CURVATURE[self.loss]

    @cached_property
    def x(self) -> Array:
        """The columns, brought to one scale, and a column of ones for the intercept."""
        return self.rows(slice(None))

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

    def of_all(self) -> Callable[[Tensor], Tensor]:
        """Loss and L2 penalty of v for all samples.

        Scores come from the columns as they are, without a copy, if these are not far from zero.
        """
        y, l2 = Tensor(self.y), Tensor(self.l2)
        weights = None if self.weights is None else Tensor(self.weights[:, None] if self.y.ndim > 1 else self.weights)
        mean, inverse = (Tensor(a.astype(self.dtype)[:, None]) for a in (self.mean, self.inverse))
        is_near = "x" not in vars(self) and np.isfinite(inverse.data).all() and (np.abs(self.mean) * self.inverse < FAR).all()
        x, d = Tensor(self.raw if is_near else self.x), len(self.scale)

        def scores(v: Tensor) -> Tensor:
            if not is_near:
                return x @ v
            coef = v[:d] * inverse
            return x @ coef + (v[d:] - mean.T @ coef) if self.intercept else x @ coef

        def value(v: Tensor) -> Tensor:
            z = scores(v)
            losses = smoothed_hinge(z, y, self.width) if self.width else LOSSES[self.loss](z, y)
            total = losses.sum() * (1 / self.samples) if weights is None else (losses * weights).sum()
            return total + (l2 * v.square()).sum() * 0.5

        return value

    def loss_at(self, v: Array) -> float:
        """Loss and penalties for all samples."""
        with no_grad():
            return float(self.of_all()(Tensor(v)).data) + float((self.l1 * np.abs(v)).sum())

    def sample(self, every: int) -> Problem:
        """The problem for each so many-th of the rows that have a weight, with the columns of this one."""
        if every == 1:
            return self
        which = slice(None, None, every) if self.weights is None else np.flatnonzero(self.weights)[::every]
        found = copy(self)
        found.x = self.x[which] if "x" in vars(self) else self.rows(which)
        found.y = np.ascontiguousarray(self.y[which])
        found.weights = None if self.weights is None else self.weights[which] / self.weights[which].sum()
        found.samples = len(found.y)
        return found

    def gram(self) -> Array:
        """Xᵀ C X, where C holds the weights of the samples, which sum to 1."""
        return gram(self.x, self.weights)

    def hessian(self, v: Array, along: Array, turn_rows: bool) -> Array:
        """The second derivatives of loss and L2 penalty by each output's weights along some directions (columns, directions).

        These turn the rows, where nothing small is lost, or what comes from the rows.

        Returns
        -------
        array (directions, outputs, directions, outputs)
        """
        curvature, k = self.curvatures(door.matmul(self.x, v), self.y), self.outputs
        c = np.full(self.samples, 1 / self.samples, self.dtype) if self.weights is None else self.weights
        x, to = (door.matmul(self.x, along), np.eye(along.shape[1])) if turn_rows else (self.x, along)
        found = np.zeros((along.shape[1], k, along.shape[1], k))
        for i in range(k):
            for j in range(i, k if self.loss == "multinomial" else i + 1):
                found[:, i, :, j] = found[:, j, :, i] = to.T @ gram(x, c * curvature(i, j)) @ to
            found[:, i, :, i] += (along.T * self.l2[:, 0]) @ along
        return found

    def curvatures(self, z: Array, y: Array) -> Callable[[int, int], Array]:
        """The second derivatives (samples,) of the loss by the i-th and the j-th score."""
        if self.loss == "multinomial":
            p = door.rowwise("softmax", z)
            return lambda i, j: p[:, i] * ((i == j) - p[:, j])
        if self.loss == "log_loss":
            p = door.unary("sigmoid", z)
            return lambda i, j: (p * (1 - p))[:, i]
        if self.loss == "squared_error":
            return lambda i, j: np.ones_like(z[:, i])
        short = 1 - (2 * y - 1) * z
        within = (short > 0) & (short < (self.width or np.inf))
        return lambda i, j: (within * self.max_curvature).astype(z.dtype)[:, i]

    def with_gradient(self, is_recorded: bool = True) -> Callable[[Array], tuple[float, Array]]:
        """Value and gradient for v, computed by a captured program, or for few calls without."""
        value = self.of_all()

        def both(v: Tensor) -> tuple[Tensor, Tensor]:
            f = value(v)
            return f, grad(f, v)

        compute = Captured(both) if is_recorded else both

        def run(v: Array) -> tuple[float, Array]:
            with enable_grad():
                f, g = compute(Tensor(v, requires_grad=True))
            return float(f.data), g.data

        return run

    def curvature(self, sample: int | None = None) -> float:
        """A bound on the second derivative of value() in any direction; with `sample` estimated from about so many rows."""
        part = self.sample(1 if sample is None else max(1, self.samples // sample))
        if self.shape[0] <= MAX_COLUMNS_GRAM:
            largest = largest_eigenvalue(part.gram().astype(np.float64))
        else:  # no eigenvalue is above the sum of all
            largest = float(np.average(np.einsum("ij,ij->i", part.x, part.x), weights=part.weights))
        return self.max_curvature * largest + float(self.l2.max())


class Quadratic:
    """minimise  ½ vᵀ G v - vᵀ m + rest + Σ l1 |v|  for v (features, outputs)"""

    def __init__(self, gram: Array, moment: Array, rest: float, l1: Array) -> None:
        self.gram, self.moment, self.rest, self.l1 = gram, moment, rest, l1

    def start(self) -> Array:
        return np.zeros_like(self.moment)

    def with_gradient(self) -> Callable[[Array], tuple[float, Array]]:
        """Value and gradient for v, without the L1 penalty."""

        def run(v: Array) -> tuple[float, Array]:
            product = door.matmul(self.gram, v)
            return float((v * (product / 2 - self.moment)).sum()) + self.rest, product - self.moment

        return run

    def curvature(self) -> float:
        """The largest second derivative in any direction."""
        return largest_eigenvalue(self.gram)


def smoothed_hinge(z: Tensor, y: Tensor, width: float) -> Tensor:
    """Hinge with a parabola of this width in the place of its kink: below it by half the width at most  (Chapelle 2007)."""
    short = (1 - (2 * y - 1) * z).relu()
    within = short.clip(None, width)
    return within * (short - within * 0.5) * (1 / width)


def largest_eigenvalue(gram: Array) -> float:
    """Of products of columns with themselves, or up to a hundredth more."""
    if len(gram) <= MAX_COLUMNS_EIGH:
        return float(np.linalg.eigvalsh(gram)[-1])
    times = LinearOperator(gram.shape, lambda u: door.matmul(gram, u.reshape(-1, 1)), dtype=gram.dtype)
    start = np.random.default_rng(0).normal(size=len(gram))  # from which Lanczos finds the largest to a hundredth
    return 1.01 * float(eigsh(times, 1, tol=0.01, v0=start, return_eigenvectors=False)[0])


def products(x: Array, weights: Array | None, y: Array) -> Array:
    """xᵀ C y, where C holds the weights of the samples, or the n-th part of 1."""
    if weights is None:
        return door.matmul(x.T, y) / len(x)
    return np.asarray(sum(door.matmul(x[b].T, y[b] * weights[b, None]) for b in blocks(x, 4 * TILE_COLUMNS)))


def gram(x: Array, weights: Array | None) -> Array:
    """xᵀ C x. Its tiles on and above the diagonal are computed, the others mirrored."""
    found = np.zeros((x.shape[1], x.shape[1]), x.dtype)
    for j in range(0, len(found), TILE_COLUMNS):
        found[j : j + TILE_COLUMNS, j:] = products(x[:, j : j + TILE_COLUMNS], weights, x[:, j:])
    return np.triu(found) + np.triu(found, 1).T


def triangle(rows: Array) -> Array:
    """R of rows = Q R, with large rows first, beside which others would be lost (Cox & Higham 1998)."""
    return np.asarray(np.linalg.qr(rows[np.argsort(-np.abs(rows).max(1))], mode="r"))
