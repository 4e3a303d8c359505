"""Pooling: the largest number or the mean of what a window of an image holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import explain
from ..kernels import door
from ..kernels.door import Pooling
from ..tensor import Array, Operand, Tensor, real
from .base import Op, case, takes_symbols
from .conv import output_size, padding_of, sizes

__all__ = ["AveragePool", "MaxPool", "average_pool", "max_pool", "repeat"]

_CASES: list[tuple[tuple[int, ...], Pooling]] = [
    ((2, 4, 5, 3), Pooling((2, 2), (2, 2), (0, 0), (2, 2))),
    ((1, 5, 4, 2), Pooling((3, 2), (1, 2), (1, 0), (5, 2))),  # windows that share places, and stick out
    ((2, 7, 17), Pooling((2,), (3,), (0,), (2,))),  # places in no window
    ((1, 2, 3, 4, 1), Pooling((2, 2, 2), (1, 1, 2), (0, 0, 0), (1, 2, 2))),
]
_SUMS = [*_CASES, ((2, 4, 6, 3), Pooling((2, 3), (2, 3), (0, 0), (2, 2), sums=True))]


def _pooled(x: tuple[int, ...], p: Pooling) -> tuple[int, ...]:
    return (x[0], *p.size, x[-1])


class Pool(Op):
    """What the operations of pooling share."""

    def __init__(self, pooling: Pooling) -> None:
        self.pooling = pooling


class MaxPool(Pool):
    """z = the largest x of a window        dx = Σ over windows of dz where x is z, at the first such place"""

    cases = [case(x, pooling=p) for x, p in _CASES]

    def forward(self, x: Array) -> Array:
        return door.max_pool(x, self.pooling)

    def backward(self, dz: Tensor) -> Any:
        return MaxPoolGrad(self.pooling)(dz, self.input(0), self.output)


class MaxPoolGrad(Pool):
    """dx = Σ over windows of dz where x is z        d(dz) = the gradient of dx where x is z        d(x) = d(z) = 0"""

    cases = [case(_pooled(x, p), x, _pooled(x, p), pooling=p) for x, p in _CASES]

    def forward(self, dz: Array, x: Array, z: Array) -> Array:
        return door.max_pool_grad(dz, x, z, self.pooling)

    def backward(self, g: Tensor) -> Any:
        _, x, z = self.inputs
        return MaxPoolPick(self.pooling)(g, x, z) if self.needs[0] else None, None, None


class MaxPoolPick(Pool):
    """out = y where x is z        dy = Σ over windows of the gradient of out where x is z        d(x) = d(z) = 0"""

    cases = [case(x, x, _pooled(x, p), pooling=p) for x, p in _CASES]

    def forward(self, y: Array, x: Array, z: Array) -> Array:
        return door.max_pool_pick(y, x, z, self.pooling)

    def backward(self, g: Tensor) -> Any:
        _, x, z = self.inputs
        return MaxPoolGrad(self.pooling)(g, x, z) if self.needs[0] else None, None, None


class AveragePool(Pool):
    """z = Σ x / n over the n places of a window        dx = Σ over windows of dz / n        n = 1 for sums"""

    cases = [case(x, pooling=p) for x, p in _SUMS]

    def forward(self, x: Array) -> Array:
        return door.average_pool(x, self.pooling)

    def backward(self, dz: Tensor) -> Any:
        return AveragePoolGrad(self.pooling, self._inputs[0].shape)(dz)


class AveragePoolGrad(Pool):
    """dx = Σ over windows of dz / n        d(dz) = the mean over a window of the gradient of dx"""

    cases = [case(_pooled(x, p), pooling=p, images=x) for x, p in _SUMS]

    def __init__(self, pooling: Pooling, images: tuple[int, ...]) -> None:
        super().__init__(pooling)
        self.images = images

    def forward(self, dz: Array) -> Array:
        return door.average_pool_grad(dz, self.images, self.pooling)

    def backward(self, g: Tensor) -> Any:
        return AveragePool(self.pooling)(g)


# ---- functions that check before they choose ----------------------------------------------------------------------


def _image_axes(name: str, x: Tensor) -> int:
    if not 3 <= x.ndim <= 5:
        raise ValueError(explain(f"`{name}` to get images (samples, *axes, channels) of 1 to 3 axes", x.shape, "Reshape them."))
    return x.ndim - 2


def _pooling(name: str, x: Tensor, pool_size: Any, strides: Any, padding: str) -> Pooling:
    axes = _image_axes(name, x)
    window = sizes("pool_size", pool_size, axes)
    steps = window if strides is None else sizes("strides", strides, axes)
    if padding_of(padding) not in ("valid", "same"):
        raise ValueError(explain("`padding` out of 'valid' and 'same'", repr(padding), "Check the spelling."))
    found = [output_size(n, w, s, 1, padding_of(padding)) for n, w, s in zip(x.shape[1:-1], window, steps, strict=True)]
    return Pooling(window, steps, tuple(before for _, before in found), tuple(count for count, _ in found))


@takes_symbols
def max_pool(
    x: Operand, pool_size: int | Sequence[int], strides: int | Sequence[int] | None = None, padding: str = "valid"
) -> Tensor:
    """The largest number in each window of an image, for each channel.

    Parameters
    ----------
    x : Tensor or array
        Images (samples, *axes, channels) with one, two or three axes.
    pool_size : int or sequence of int
        The size of a window on each axis.
    strides : int or sequence of int, optional
        Steps from window to window; None is `pool_size`.
    padding : str
        "valid": windows inside of the image only; "same": one for each stride.

    Returns
    -------
    Tensor
        (samples, *positions, channels).

    Raises
    ------
    ValueError
        If there is no window, or an argument is none of these.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.ops.max_pool(mw.tensor([[[1.0], [3.0], [2.0], [0.0]]]), 2).tolist()
    [[[3.0], [2.0]]]
    """
    images = real(x)
    return MaxPool(_pooling("max_pool", images, pool_size, strides, padding))(images)


@takes_symbols
def average_pool(
    x: Operand, pool_size: int | Sequence[int], strides: int | Sequence[int] | None = None, padding: str = "valid"
) -> Tensor:
    """The mean of each window of an image, for each channel; what sticks out does not count.

    Parameters, result and errors are as of :func:`max_pool`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.ops.average_pool(mw.tensor([[[1.0], [3.0], [2.0], [0.0]]]), 2).tolist()
    [[[2.0], [1.0]]]
    """
    images = real(x)
    return AveragePool(_pooling("average_pool", images, pool_size, strides, padding))(images)


@takes_symbols
def repeat(x: Operand, size: int | Sequence[int]) -> Tensor:
    """Each position of an image so many times over on each axis, side by side.

    Parameters
    ----------
    x : Tensor or array
        Images (samples, *axes, channels) with one, two or three axes.
    size : int or sequence of int
        How often, for all axes or for each.

    Raises
    ------
    ValueError
        If `size` is none of these.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.ops.repeat(mw.tensor([[[1.0], [3.0]]]), 2).tolist()
    [[[1.0], [1.0], [3.0], [3.0]]]
    """
    images = real(x)
    axes = _image_axes("repeat", images)
    times = sizes("size", size, axes)
    samples, *inner, channels = images.shape
    larger = (samples, *[n * k for n, k in zip(inner, times, strict=True)], channels)
    return AveragePoolGrad(Pooling(times, times, (0,) * axes, tuple(inner), sums=True), larger)(images)
