"""Least squares: lines from the products of columns, or from the rows where rounding hides in these what is small."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, lapack, svd

from ..estimators.columns import check_spread, column_scale, means, moments
from ..kernels import door
from ..tensor import Array
from .problem import FAR, Quadratic, gram, products, triangle
from .solvers import ROUGH, Found, proximal

MIN_RECIPROCAL_CONDITION = 1e-8  # of the products; below, half of their digits are lost
WORKING_SET_COLUMNS = 64  # at first


class Columns:
    """Columns of one scale, X = (x - mean) / r, where r² = mean square + l2; those that do not change become zeros.

    Parameters
    ----------
    x : array (samples, features)
    weights : array (samples,) or None
    l1, l2 : float
        Penalties of weights in the units of `x`, beside the mean of the halved squares.
    intercept : bool
        Take off the means.
    multiply_all : bool
        Compute the products of all columns, of which the variances are a part.

    Attributes
    ----------
    mean, scale, inverse : arrays (features,)
        What was taken off, r, and 1 / r; 1 and 0 for columns that do not change.
    l1, l2 : arrays (features, 1)
        The penalties of weights v = w r.
    noise : float
        Beside the largest singular value, what rounding makes of zeros.
    """

    def __init__(self, x: Array, weights: Array | None, l1: float, l2: float, intercept: bool, multiply_all: bool) -> None:
        self.noise = float(max(len(x) * np.finfo(np.float64).eps, 8 * x.shape[1] * np.finfo(x.dtype).eps))
        self.x = x = x.astype(np.float64, copy=False)
        self.weights = None if weights is None else weights / weights.sum()
        self.raw: Array | None = None
        if multiply_all:
            mean, self.raw = means(x, weights), gram(x, self.weights)
            variance = np.diag(self.raw) - mean**2 * intercept
        else:
            mean, variance = moments(x, weights)
            variance = variance if intercept else variance + mean**2
        self.mean = self.shift = mean * intercept  # the shift is what products are still to lose
        if (np.abs(self.mean) > FAR * np.sqrt(np.maximum(variance, 0))).any():
            self.x, self.shift = x - mean, np.zeros_like(mean)
            if multiply_all:
                self.raw = gram(self.x, self.weights)
                variance = np.diag(self.raw)
        check_spread(x, mean, variance)
        self.scale, self.inverse = column_scale(self.mean, variance, len(x), l2)
        self.l1, self.l2 = (l1 * self.inverse)[:, None], (l2 * self.inverse**2)[:, None]

    def root(self) -> Array:
        """The roots of the weights, which sum to 1, as a column, or one for all."""
        return np.asarray(np.sqrt([[1 / len(self.x)]] if self.weights is None else self.weights[:, None]))

    def rows(self) -> Array:
        """√C X, where C holds the weights."""
        x: Array = (self.x - self.shift) * self.inverse
        x *= self.root()
        return x

    def gram(self, which: Array) -> Array:
        """Xᵀ C X and the L2 penalty, for some of the columns."""
        raw = gram(np.take(self.x, which, axis=1), self.weights) if self.raw is None else self.raw[np.ix_(which, which)]
        shift, inverse = self.shift[which], self.inverse[which]
        found: Array = (raw - shift[:, None] * shift) * (inverse[:, None] * inverse)
        found[np.diag_indices_from(found)] += self.l2[which, 0]
        return found

    def moment(self, y: Array) -> Array:
        """Xᵀ C y, for `y` (samples, outputs) whose mean is 0 if the columns lost theirs."""
        return products(self.x, self.weights, y) * self.inverse[:, None]

    def residual(self, v: Array, y: Array) -> Array:
        """y - X v."""
        coef = v * self.inverse[:, None]
        found: Array = y - (door.matmul(self.x, coef) - self.shift @ coef)
        return found

    def loss(self, v: Array, y: Array) -> float:
        """Half the mean square of y - X v, and the penalties."""
        squares = np.average(self.residual(v, y) ** 2, axis=0, weights=self.weights).sum()
        return float(squares / 2 + (self.l2 * v**2).sum() / 2 + (self.l1 * np.abs(v)).sum())


def exact(columns: Columns, y: Array) -> Found:
    """The least squares, with their L2 penalty: v = (Xᵀ C X + L2)⁻¹ Xᵀ C y, if the products are not too alike."""
    if columns.raw is not None:
        squares, still = columns.gram(np.arange(len(columns.inverse))), columns.inverse == 0
        squares[still, still] = 1
        try:
            factor = cholesky(squares)
        except LinAlgError:
            return by_rows(columns, y)
        if lapack.dpocon(factor, np.abs(squares).sum(0).max())[0] > MIN_RECIPROCAL_CONDITION:
            v = cho_solve((factor, False), columns.moment(y))
            return Found(v, 1, [columns.loss(v, y)], True)
    return by_rows(columns, y)


def by_rows(columns: Columns, y: Array) -> Found:
    """The same by √C X / √L2 = U S Vᵀ: v = V S / (S² + 1) Uᵀ √C y / √L2, or without a penalty v = V / S Uᵀ √C y.

    What the data does not determine is zero. Where noise hides what the penalty would determine, it has not converged.
    """
    d, penalty = len(columns.inverse), bool(columns.l2.any())
    root = np.sqrt(np.where(columns.l2[:, 0] > 0, columns.l2[:, 0], 1.0))
    rows = triangle(np.concatenate([columns.rows() / root, y * columns.root()], axis=1))
    u, s, vt = svd(rows[:, :d], full_matrices=False)
    noise = columns.noise * float(s[0])
    kept = s > noise
    by_direction = (s[kept] / (s[kept] ** 2 + penalty))[:, None] * (u.T @ rows[:, d:])[kept]
    v = vt[kept].T @ by_direction / root[:, None]
    return Found(v, 1, [columns.loss(v, y)], not penalty or noise < 1)


def sparse(columns: Columns, y: Array, v: Array, max_iter: int, tol: float) -> Found:
    """Least squares with an L1 penalty, for a part of the columns at a time (see celer: Massias, Gramfort & Salmon 2018).

    It begins with the columns that have weights and the steepest others; after each minimum, which is a rough one until the
    last, it takes in those that would leave zero there, at most as many as it has. Where few weights are left, the products of
    few columns are ever computed.
    """
    moment, v = columns.moment(y), v.copy()
    rest = float(np.average(y**2, axis=0, weights=columns.weights).sum()) / 2
    steep, steps, losses, which = np.abs(moment).max(1), 0, list[float](), np.flatnonzero(v.any(1))
    least = max(tol, 16 * float(np.finfo(v.dtype).eps)) * float(steep.max())
    takes_all = columns.raw is not None
    new, part_tol = np.argsort(-steep)[: len(v) if takes_all else WORKING_SET_COLUMNS], tol if takes_all else max(tol, ROUGH)
    while True:
        if len(new):
            which = np.union1d(which, new)
            part = Quadratic(columns.gram(which), moment[which], rest, columns.l1[which])
        found = proximal(part, v[which], max_iter, part_tol)
        v[which], steps, losses = found.v, steps + found.steps, losses + found.losses
        excess = np.zeros_like(v)
        if len(which) < len(v):
            excess = np.abs(columns.l2 * v - columns.moment(columns.residual(v, y))) - columns.l1
            excess[which] = 0
        new = np.argsort(-excess.max(1))[: min(len(which), int((excess > least).any(1).sum()))]
        if not len(new):
            if part_tol == tol:
                return Found(v, steps, losses, found.converged)
            part_tol = tol
