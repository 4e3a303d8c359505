"""Means, variances and scales of the columns of data."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import explain
from ..kernels import door
from ..tensor import Array

CACHE_NUMBERS = 2**16  # what is computed from so many stays in the cache
SMALLEST_SPREAD = 1e-145  # of a column, whose square still has all its digits


def blocks(x: Array, fewest: int = 1) -> list[slice]:
    """Rows, as many at a time as stay in the cache, or `fewest`."""
    rows = max(CACHE_NUMBERS // max(x.shape[1], 1), fewest)
    return [slice(i, i + rows) for i in range(0, len(x), rows)]


def means(x: Array, weights: Array | None) -> Array:
    """The mean of each column, in float64."""
    with np.errstate(over="ignore"):
        if weights is None:
            return np.asarray(x.mean(0, np.float64))
        c = (weights / weights.sum()).astype(np.float64)
        return np.asarray(sum(c[b] @ x[b].astype(np.float64, copy=False) for b in blocks(x)))


def check_spread(x: Array, mean: Array, variance: Array) -> None:
    """Raise ValueError for columns that vary, but by numbers whose squares are infinity or 0."""
    tiny = np.flatnonzero((variance < SMALLEST_SPREAD**2) & (np.abs(mean) < SMALLEST_SPREAD))
    smallest = float(np.finfo(x.dtype).tiny) ** 2  # of a number that can be divided by
    varies = variance > (float(np.finfo(x.dtype).eps) * mean) ** 2
    extreme = np.flatnonzero(~np.isfinite(variance) | (varies & (variance < smallest)))
    for column in (*extreme, *tiny[np.ptp(x[:, tiny], axis=0) > 0]):
        received = f"numbers as large as {np.abs(x[:, column]).max():.1g} in column {column}"
        remedy = "Choose other units."
        raise ValueError(explain("columns and targets whose squares are neither 0 nor infinity", received, remedy))


def column_scale(mean: Array, variance: Array, n: int, l2: float = 0.0) -> tuple[Array, Array]:
    """By what to divide columns, and its inverse: 1 and 0 for a column that does not change, so that it counts for nothing."""
    noise = n * np.finfo(np.float64).eps * np.abs(mean)  # the rounding error of a mean, all that a constant deviates
    varies = variance > noise**2
    scale = np.where(varies, np.sqrt(variance + l2), 1.0)
    return scale, np.where(varies, 1 / scale, 0.0)


def moments(x: Array, weights: Array | None) -> tuple[Array, Array]:
    """Mean and variance of each column, in float64."""
    mean = means(x, weights)
    c = np.full(len(x), 1 / len(x)) if weights is None else weights / weights.sum()

    def variance(dtype: Any) -> Array:
        near = mean.astype(dtype)
        found = np.zeros_like(mean)
        for b in blocks(x):
            part = x[b] - near
            part *= part
            found += door.matmul(c[None, b].astype(dtype), part)[0]
        return found

    with np.errstate(over="ignore"):
        found = variance(x.dtype)
        if x.dtype != np.float64 and not (np.isfinite(found).all() and found.all()):
            found = variance(np.float64)
    check_spread(x, mean, found)
    return mean, found
