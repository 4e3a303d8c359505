"""One seed for everything random: initial weights, dropout, the order of the data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import explain
from .kernels import door
from .tensor import FLOATS, Array, Tensor, known_dtype

__all__ = ["normal", "permutation", "randint", "seed", "uniform"]

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


def draw(kind: str, shape: Any, a: float, b: float, dtype: Any, state: Array) -> Array:
    """An array of numbers `uniform` from `a` to `b`, or `normal` of mean `a` and deviation `b`, from a stream."""
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in sizes):
        remedy = "Give the sizes of all axes, such as (2, 3)."
        raise TypeError(explain("`shape` to be an integer or a tuple of them, none negative", repr(shape), remedy))
    if known_dtype(dtype) not in FLOATS:
        raise TypeError(explain("`dtype` float32 or float64", repr(dtype), "Convert the numbers by .astype(...)."))
    return door.random(kind, state, tuple(map(int, sizes)), known_dtype(dtype), a, b)


def uniform(
    shape: int | Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: Any = "float32", seed: int | None = None
) -> Tensor:
    """A tensor of numbers uniform in [minval, maxval), from the library's common stream, or for `seed` from its beginning.

    The arguments are those of `keras.random.uniform`. Both types get the same numbers, up to rounding.

    >>> from microweights import random
    >>> random.uniform((2, 3)).shape
    (2, 3)
    """
    return Tensor(draw("uniform", shape, minval, maxval, dtype, new_state(seed)))


def normal(
    shape: int | Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32", seed: int | None = None
) -> Tensor:
    """A tensor of normally distributed numbers, otherwise as :func:`uniform`."""
    return Tensor(draw("normal", shape, mean, stddev, dtype, new_state(seed)))


def randint(shape: int | Sequence[int], minval: int, maxval: int, seed: int | None = None) -> Tensor:
    """An int64 tensor of whole numbers from `minval` to `maxval` - 1, otherwise as :func:`uniform`."""
    if not maxval - minval > 0:
        raise ValueError(explain("`maxval` above `minval`", f"{minval} and {maxval}", "It is the first number not drawn."))
    door.refuse("a drawing of whole numbers")
    return Tensor(minval + draw("uniform", shape, 0, maxval - minval, door.FLOAT64, new_state(seed)).astype(np.int64))


def dropout_mask(shape: tuple[int, ...], rate: float, dtype: np.dtype[Any], state: Array) -> Tensor:
    """0 with probability `rate`, else 1 / (1 - rate), so that the mean stays 1."""
    return Tensor(door.random("bernoulli", state, shape, dtype, 1 - rate, 1 / (1 - rate)))


def permutation(x: Any, state: Array | None = None) -> Any:
    """0 .. x - 1 in random order, as an int64 array; or the rows of an array or tensor in random order."""
    if not isinstance(x, (int, np.integer)):
        return x[permutation(len(x), state)]
    door.refuse("a random order")
    high, low = map(int, door.random("uniform", _state if state is None else state, (2,), door.FLOAT64, 0, 2**53))
    return np.random.Generator(np.random.Philox(high >> 26 << 26 | low >> 27)).permutation(x)


def __dir__() -> list[str]:
    return sorted(__all__)
