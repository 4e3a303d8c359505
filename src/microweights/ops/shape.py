"""Operations that give numbers another shape or place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np

from ..errors import explain
from ..kernels import door
from ..tensor import Array, Operand, Tensor, real
from .base import Op, case, one_axis, takes_symbols, with_ellipsis
from .elementwise import astype

__all__ = ["BroadcastTo", "Concatenate", "Pad", "Reshape", "Transpose", "concatenate", "pad", "stack"]


class Reshape(Op):
    """z = x in another shape        dx = dz in the shape of x"""

    is_view = True
    cases = [case((2, 6), shape=(3, 4)), case((4,), shape=(1, 2, 2)), case((1,), shape=())]

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        return door.contiguous(x).reshape(self.shape)

    def backward(self, dz: Tensor) -> Any:
        return Reshape(self._inputs[0].shape)(dz)


class Transpose(Op):
    """z = x with its axes in another order        dx = dz with the order undone"""

    is_view = True
    cases = [case((2, 3), axes=(1, 0)), case((2, 3, 4), axes=(2, 0, 1)), case((), axes=())]

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return x.transpose(self.axes)

    def backward(self, dz: Tensor) -> Any:
        return Transpose(tuple(sorted(range(len(self.axes)), key=self.axes.__getitem__)))(dz)


class BroadcastTo(Op):
    """z = x repeated to a larger shape        dx = dz, which the backward walk sums to the shape of x"""

    is_view = True
    cases = [case((3, 1), shape=(2, 3, 4)), case((), shape=(2,))]

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        return x if x.shape == self.shape else np.broadcast_to(x, self.shape)

    def backward(self, dz: Tensor) -> Any:
        return dz


class Concatenate(Op):
    """z = [x₁, x₂, ...] along an axis        dxᵢ = the part of dz where xᵢ went"""

    cases = [case((2, 3), (1, 3), axis=0), case((2, 1), (2, 2), (2, 3), axis=1)]

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs: Array) -> Array:
        shape = list(xs[0].shape)
        shape[self.axis] = sum(x.shape[self.axis] for x in xs)
        z = door.empty(shape, xs[0].dtype)
        door.made(z)
        for x, part in zip(xs, self.parts(xs), strict=True):
            door.copy_to(x, z[part])
        return z

    def backward(self, dz: Tensor) -> Any:
        return tuple(dz[part] if need else None for part, need in zip(self.parts(self._inputs), self.needs, strict=True))

    def parts(self, xs: Sequence[Array | Tensor]) -> list[tuple[slice, ...]]:
        ends = np.cumsum([0] + [x.shape[self.axis] for x in xs]).tolist()
        before = (slice(None),) * self.axis
        return [(*before, slice(a, b)) for a, b in pairwise(ends)]


class Pad(Op):
    """z = x with a border of one value        dx = dz without the border"""

    cases = [case((2, 3), widths=((1, 0), (2, 3)), value=0.5)]

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float = 0.0) -> None:
        self.widths, self.value = widths, value

    def inside(self, shape: tuple[int, ...]) -> tuple[slice, ...]:
        return tuple(slice(before, before + n) for (before, _), n in zip(self.widths, shape, strict=True))

    def forward(self, x: Array) -> Array:
        z = door.empty([n + before + after for n, (before, after) in zip(x.shape, self.widths, strict=True)], x.dtype)
        door.copy_to(np.array(self.value, x.dtype), z)
        door.copy_to(x, z[with_ellipsis(self.inside(x.shape))])
        return z

    def backward(self, dz: Tensor) -> Any:
        return dz[self.inside(self._inputs[0].shape)]


# ---- functions that check before they choose ----------------------------------------------------------------------


def along_last_axis(op: Op, x: Tensor, axis: int) -> Tensor:
    """An operation on the last axis, applied to any axis."""
    a = one_axis(axis, x.ndim)
    if a == x.ndim - 1:
        return op(x)
    order = [*(i for i in range(x.ndim) if i != a), a]
    back = sorted(range(x.ndim), key=order.__getitem__)
    return op(x.transpose(order)).transpose(back)


def reshape(x: Tensor, shape: Any) -> Tensor:
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    try:
        target = _resolve(sizes, x.size)
    except (ValueError, TypeError):
        remedy = "The sizes must multiply to the same number of elements; one may be -1."
        raise ValueError(explain(f"a shape for the {x.size} elements of a tensor of shape {x.shape}", sizes, remedy)) from None
    return x if target == x.shape else Reshape(target)(x)


def _resolve(sizes: tuple[int, ...], elements: int) -> tuple[int, ...]:
    """`sizes` with a -1 replaced by what is left."""
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in sizes):
        raise TypeError
    known = 1
    for n in sizes:
        known *= 1 if n == -1 else n
    if sizes.count(-1) > 1 or any(n < -1 for n in sizes) or (-1 in sizes and (known == 0 or elements % known)):
        raise ValueError
    target = tuple(int(elements // known) if n == -1 else int(n) for n in sizes)
    if -1 not in sizes and known != elements:
        raise ValueError
    return target


def transpose(x: Tensor, axes: Sequence[int] | None) -> Tensor:
    if axes is None:
        return x.T
    given = tuple(axes)
    whole = all(isinstance(a, (int, np.integer)) and not isinstance(a, bool) for a in given)
    order = tuple(int(a) + x.ndim if a < 0 else int(a) for a in given) if whole else ()
    if not whole or sorted(order) != list(range(x.ndim)):
        raise ValueError(explain(f"`axes` to be an order of the axes 0 to {x.ndim - 1}", tuple(axes), "Name each axis once."))
    return Transpose(order)(x)


def broadcast_to(x: Tensor, sizes: Any) -> Tensor:
    shape = tuple(sizes) if isinstance(sizes, (tuple, list)) else (sizes,)
    if (
        not all(isinstance(n, (int, np.integer)) for n in shape)
        or door.broadcast_shape("broadcast_to", (x.shape, shape)) != shape
    ):
        raise ValueError(explain(f"a shape that {x.shape} broadcasts to", shape, "Sum the tensor to make it smaller."))
    return x if x.shape == shape else BroadcastTo(shape)(x)


@takes_symbols
def concatenate(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """Tensors joined along an axis that they have.

    Raises
    ------
    ValueError
        If there are none, or they differ in another axis.
    """
    xs = [real(t) for t in _sequence(tensors)]
    if not xs:
        raise ValueError(explain("at least one tensor to join", "none", "Pass a list of tensors."))
    dtype = max((x.dtype for x in xs), key=lambda d: d.itemsize)
    a = one_axis(axis, xs[0].ndim)
    if any(x.ndim != xs[0].ndim or x.shape[:a] + x.shape[a + 1 :] != xs[0].shape[:a] + xs[0].shape[a + 1 :] for x in xs):
        received = [x.shape for x in xs]
        raise ValueError(explain(f"tensors whose shapes differ only in axis {a}", received, "Pad or reshape them."))
    return Concatenate(a)(*(astype(x, dtype) for x in xs))


@takes_symbols
def stack(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    xs = [real(t) for t in _sequence(tensors)]
    if not xs or any(x.shape != xs[0].shape for x in xs):
        raise ValueError(explain("tensors of one shape", [x.shape for x in xs], "Pad or reshape them."))
    a = one_axis(axis, xs[0].ndim + 1)
    return concatenate([reshape(x, (*x.shape[:a], 1, *x.shape[a:])) for x in xs], a)


@takes_symbols
def pad(x: Operand, widths: Sequence[Sequence[int]], value: float = 0.0) -> Tensor:
    """A border of `value`: `widths` gives (before, after) for each axis."""
    t = real(x)
    if not isinstance(value, Real):
        raise TypeError(explain("`value` to be a number", repr(value), "0 is the usual border."))
    given = np.asarray(widths)
    if given.size == 0:
        given = np.zeros((0, 2), np.int64)
    if given.shape != (t.ndim, 2) or given.dtype.kind not in "iu" or (given < 0).any():
        remedy = "Give (before, after) for each axis."
        raise ValueError(explain(f"{t.ndim} pairs of whole widths, none negative", widths, remedy))
    return Pad(tuple((int(before), int(after)) for before, after in given), float(value))(t)


def _sequence(tensors: Any) -> list[Operand]:
    try:
        return list(tensors)
    except TypeError:
        raise TypeError(explain("a list of tensors", type(tensors).__name__, "Put them in a list.")) from None
