"""One seed for everything random: initial weights, dropout, the order of the data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import explain
from .kernels import door
from .tensor import FLOATS, Array, Tensor, known_dtype

__all__ = ["normal", "permutation", "seed", "uniform"]

_state = door.new_random_state(int.from_bytes(os.urandom(8), "little"))


def seed(n: int) -> None:
    """Start the random numbers of the whole library anew: the same seed gives the same bits, on any number of threads.

    Raises
    ------
    ValueError
        If `n` is not an integer from 0 to 2⁶⁴ - 1.
    """
    if n is None:
        raise ValueError(explain("a seed that is an integer from 0 to 2**64 - 1", None, "Give such an integer."))
    door.refuse("a new seed")
    _state[...] = new_state(n)


def common() -> Array:
    """The state of the library's common stream."""
    return _state


def new_state(n: int | None) -> Array:
    """A stream of its own for a seed; None gives the common one."""
    if n is None:
        return _state
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 0 <= n < 2**64:
        raise ValueError(explain("a seed that is an integer from 0 to 2**64 - 1", repr(n), "Give such an integer."))
    return door.new_random_state(int(n))


def uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Tensor:
    """Numbers uniform in [minval, maxval).

    Parameters
    ----------
    shape : tuple of int
    minval, maxval : float
    dtype : data type
        None is float32; or float64.
    seed : int, optional
        For the same numbers at every call; None goes on with the library's common numbers, which :func:`seed` starts anew.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.random.uniform((2, 3), seed=0).shape
    (2, 3)
    """
    return Tensor(_drawn("uniform", shape, minval, maxval, dtype, seed))


def normal(shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None) -> Tensor:
    """Normally distributed numbers; arguments as of :func:`uniform`."""
    return Tensor(_drawn("normal", shape, mean, stddev, dtype, seed))


def _drawn(name: str, shape: Any, a: float, b: float, dtype: Any, seed: int | None) -> Array:
    kind = door.FLOAT32 if dtype is None else known_dtype(dtype)
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if kind not in FLOATS or not all(isinstance(n, (int, np.integer)) and n >= 0 for n in sizes):
        raise ValueError(explain("a shape, and float32 or float64", f"{shape!r} of {kind}", "Give sizes that are integers."))
    return draw(name, sizes, a, b, kind, new_state(seed))


def draw(name: str, shape: tuple[int, ...], a: float, b: float, dtype: np.dtype[Any], state: Array) -> Array:
    """An array of numbers: "uniform" in [a, b), or "normal" of mean a and deviation b."""
    return door.random(name, state, shape, dtype, a, b)


def dropout_mask(shape: tuple[int, ...], rate: float, dtype: np.dtype[Any], state: Array) -> Tensor:
    """0 with probability `rate`, else 1 / (1 - rate), so that the mean stays 1."""
    return Tensor(door.random("bernoulli", state, shape, dtype, 1 - rate, 1 / (1 - rate)))


def permutation(n: int, state: Array | None = None) -> Array:
    """0 .. n - 1 in random order, as int64."""
    key = door.random("uniform", _state if state is None else state, (1,), door.FLOAT64, 0, 2**53)
    return np.random.Generator(np.random.Philox(int(key[0]))).permutation(n)


def __dir__() -> list[str]:
    return sorted(__all__)
