"""Pooling: windows over images of one, two or three axes, channels last, each channel by itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import explain
from . import machine
from .elementwise import contiguous
from .machine import struct
from .plans import POINTER_TYPE, Array, Shape, empty, real_suffix, remember

__all__ = ["Pooling", "average_pool", "average_pool_grad", "max_pool", "max_pool_grad", "max_pool_pick"]


class Pooling(NamedTuple):
    """Output o of an axis looks at inputs from o strides - before on, as many as the window is wide."""

    window: Shape
    strides: Shape
    before: Shape
    size: Shape  # of the result, on each axis
    sums: bool = False  # a mean is not divided by how many places there are


def _plan(key: Any, kernel: str, x: Shape, pooling: Pooling, arrays: tuple[Array, ...]) -> Any:
    axes = len(x) - 2
    if not 1 <= axes <= 3 or any(len(n) != axes for n in pooling[:4]):
        remedy = "Add axes of size 1, or join some."
        raise ValueError(
            explain("images (samples, *axes, channels) of 1 to 3 axes, and windows of as many", (x, pooling), remedy)
        )
    if min(*pooling.window, *pooling.strides) < 1 or min(pooling.before) < 0:
        raise ValueError(explain("windows and strides from 1, padding from 0", pooling, "Check these."))
    front = (1,) * (3 - axes)
    plan = struct(
        "mw_pool", images=x[0], channels=x[-1], input=(*front, *x[1:-1]), window=(*front, *pooling.window),
        output=(*front, *pooling.size), stride=(*front, *pooling.strides), before=(*(0,) * len(front), *pooling.before),
        sums=int(pooling.sums),
    )  # fmt: skip
    suffix = real_suffix(kernel, [a.dtype for a in arrays])
    return remember(key, (machine.active.kernel(kernel + suffix), plan, POINTER_TYPE[arrays[0].dtype]))


def _run(kernel: str, images: Shape, of_images: bool, pooling: Pooling, *arrays: Array) -> Array:
    """The result is of the shape of the images, or of what comes of them."""
    pooled = (images[0], *pooling.size, images[-1])
    key = (kernel, images, pooling, *[(a.shape, a.dtype) for a in arrays])
    backend = machine.active
    plan = backend.plans.get(key)
    if plan is None:
        if any(a.shape not in (images, pooled) for a in arrays):
            received = [a.shape for a in arrays]
            raise ValueError(explain(f"images of shape {images} and results of shape {pooled}", received, "Check the windows."))
        plan = _plan(key, kernel, images, pooling, arrays)
    run, geometry, kind = plan
    out, pointer = empty(images if of_images else pooled, arrays[0].dtype), backend.pointer
    run(*[pointer(kind, contiguous(a)) for a in arrays], pointer(kind, out), geometry)
    return out


def max_pool(x: Array, pooling: Pooling) -> Array:
    """The largest of what each window holds, NaN if any is, for images (samples, *axes, channels).

    Raises
    ------
    ValueError
        If the windows do not fit the images.
    TypeError
        If the types are not all float32 or all float64.
    """
    return _run("max_pool", x.shape, False, pooling, x)


def max_pool_grad(dz: Array, x: Array, z: Array, pooling: Pooling) -> Array:
    """`dz` at the first place of each window where `x` is `z`, and 0 elsewhere. Raises as :func:`max_pool`."""
    return _run("max_pool_grad", x.shape, True, pooling, dz, x, z)


def max_pool_pick(y: Array, x: Array, z: Array, pooling: Pooling) -> Array:
    """`y` at the first place of each window where `x` is `z`. Raises as :func:`max_pool`."""
    return _run("max_pool_pick", x.shape, False, pooling, y, x, z)


def average_pool(x: Array, pooling: Pooling) -> Array:
    """The mean of what each window holds of the images. Raises as :func:`max_pool`."""
    return _run("average_pool", x.shape, False, pooling, x)


def average_pool_grad(dz: Array, images: Shape, pooling: Pooling) -> Array:
    """`dz` at all places of each window, divided by their number, for `images` of a shape. Raises as :func:`max_pool`."""
    return _run("average_pool_grad", images, True, pooling, dz)
