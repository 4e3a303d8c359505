"""Operations that take numbers out of a tensor by an index, and put them back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import door
from ..tensor import Array, Tensor
from .base import Op, case


class Index(Op):
    """z = x[key], for a key of integers, slices, None and Ellipsis        dx = 0, but dz at [key]"""

    is_view = True
    cases = [case((3, 4), key=(slice(None), 1)), case((5,), key=slice(3, 0, -1)), case((2, 3), key=(None, Ellipsis, 2))]

    def __init__(self, key: Any) -> None:
        self.key = key

    def forward(self, x: Array) -> Array:
        return np.asarray(x[with_ellipsis(self.key)])

    def backward(self, dz: Tensor) -> Any:
        return IndexGrad(self.key, self._inputs[0].shape)(dz)


class IndexGrad(Op):
    """dx = 0, but dz at [key]        d(dz) = d(dx)[key]"""

    cases = [case((3,), key=(slice(None), 1), shape=(3, 4))]

    def __init__(self, key: Any, shape: tuple[int, ...]) -> None:
        self.key, self.shape = key, shape

    def forward(self, dz: Array) -> Array:
        dx = door.zeros(self.shape, dz.dtype)
        door.copy_to(dz, dx[with_ellipsis(self.key)])
        return dx

    def backward(self, d: Tensor) -> Any:
        return Index(self.key)(d)


class Gather(Op):
    """z = x[index], the rows of these numbers        dx = 0, but dz added at [index]"""

    cases = [case((5, 2), index=np.array([4, 0, 4])), case((4,), index=np.array([[1, 1], [3, 0]]))]

    def __init__(self, index: Array) -> None:
        self.index = index

    def forward(self, x: Array) -> Array:
        return door.gather(door.contiguous(x), self.index)

    def backward(self, dz: Tensor) -> Any:
        return ScatterAdd(self.index, self._inputs[0].shape)(dz)


class ScatterAdd(Op):
    """dx = 0, but dz added at [index]        d(dz) = d(dx)[index]"""

    cases = [case((3, 2), index=np.array([4, 0, 4]), shape=(5, 2))]

    def __init__(self, index: Array, shape: tuple[int, ...]) -> None:
        self.index, self.shape = index, shape

    def forward(self, dz: Array) -> Array:
        return door.scatter_add(dz, self.index, self.shape)

    def backward(self, d: Tensor) -> Any:
        return Gather(self.index)(d)


def with_ellipsis(key: Any) -> tuple[Any, ...]:
    """The same index, but so that NumPy answers with a view even where it names a single element."""
    parts = key if isinstance(key, tuple) else (key,)
    return parts if any(part is Ellipsis for part in parts) else (*parts, Ellipsis)
