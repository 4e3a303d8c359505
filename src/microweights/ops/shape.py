"""Operations that give numbers another shape or place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..kernels import door
from ..tensor import Array, Tensor
from .base import Op, case
from .index import with_ellipsis


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
