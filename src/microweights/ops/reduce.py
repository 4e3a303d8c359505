"""Operations that make many numbers one: sums, means, extremes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import door
from ..tensor import FLOATS, Array, Tensor, constant
from .base import Op, case, one_axis
from .elementwise import Where
from .shape import BroadcastTo, Reshape

__all__ = ["Max", "Mean", "Min", "Sum"]

AXES = [
    case((3, 4), axes=(0, 1)),
    case((3, 4), axes=(1,), keepdims=True),
    case((2, 3, 4), axes=(0, 2)),
    case((2, 3, 4), axes=(1,)),
    case((), axes=()),
]


class Reduction(Op):
    """A result without some axes; with `keepdims` they stay, of size 1."""

    def __init__(self, axes: tuple[int, ...], keepdims: bool = False) -> None:
        self.axes, self.keepdims = axes, keepdims

    def reduce(self, kernel: str, x: Array, mean: bool = False) -> Array:
        z = door.reduce(kernel, x, self.axes, mean)
        return z.reshape(self.kept_shape(x.shape)) if self.keepdims else z

    def kept_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(1 if axis in self.axes else n for axis, n in enumerate(shape))

    def spread(self, z: Tensor) -> Tensor:
        """A tensor of the result's shape, repeated to the input's shape."""
        shape = self._inputs[0].shape
        return BroadcastTo(shape)(Reshape(self.kept_shape(shape))(z))


class Sum(Reduction):
    """z = Σ x        dx = dz, repeated"""

    cases = AXES

    def forward(self, x: Array) -> Array:
        return self.reduce("sum", x)

    def backward(self, dz: Tensor) -> Any:
        return self.spread(dz)


class Mean(Reduction):
    """z = Σ x / n        dx = dz / n, repeated"""

    cases = AXES

    def forward(self, x: Array) -> Array:
        return self.reduce("sum", x, mean=True)

    def backward(self, dz: Tensor) -> Any:
        return self.spread(dz * (dz.size / max(self._inputs[0].size, 1)))


class Extreme(Reduction):
    """z = the extreme of x        dx = dz where x = z, shared evenly if there are several"""

    def backward(self, dz: Tensor) -> Any:
        chosen = door.compare("equal", self.inputs[0].data, self.spread(self.output).data)
        count = door.reduce("sum", door.cast(chosen, dz.dtype), self.axes)
        return Where(chosen)(self.spread(dz / Tensor(count).reshape(dz.shape)), constant(0.0, dz.dtype))


class Max(Extreme):
    """z = max x        dx = dz where x = z, shared evenly if there are several"""

    cases = AXES

    def forward(self, x: Array) -> Array:
        return self.reduce("max", x)


class Min(Extreme):
    """z = min x        dx = dz where x = z, shared evenly if there are several"""

    cases = AXES

    def forward(self, x: Array) -> Array:
        return self.reduce("min", x)


# ---- functions that check before they choose ----------------------------------------------------------------------


def arg_reduce(kernel: str, x: Tensor, axis: int | None) -> Tensor:
    values = x.data.reshape(-1) if axis is None else x.data
    a = one_axis(0 if axis is None else axis, values.ndim)
    if values.dtype not in FLOATS and values.shape[a]:
        door.refuse(f"{kernel} of integers")
        return Tensor(np.asarray(getattr(np, kernel)(values, a)))
    return Tensor(door.arg_reduce(kernel, values if values.dtype in FLOATS else door.cast(values, door.FLOAT32), a))
