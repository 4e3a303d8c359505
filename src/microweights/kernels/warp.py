"""Images turned, stretched and moved."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import explain
from . import machine
from .elementwise import contiguous
from .header import ENUMS
from .machine import struct
from .plans import OPERATIONS, POINTER_TYPE, Array, Shape, empty, real_suffix, remember

__all__ = ["FILLS", "INTERPOLATIONS", "Warping", "warp", "warp_grad"]

OPERATIONS |= {"warp": 12, "warp_grad": 12}
INTERPOLATIONS = tuple(ENUMS["interpolation"])
FILLS = {name.removeprefix("fill_"): number for name, number in ENUMS["fill"].items()}


class Warping(NamedTuple):
    """How places between pixels and beyond the image are filled."""

    interpolation: str = "bilinear"
    fill_mode: str = "constant"
    fill_value: float = 0.0


def _run(kernel: str, first: Array, motion: Array, images: Shape, size: Shape, out: Shape, warping: Warping) -> Array:
    key = (kernel, first.shape, first.dtype, motion.shape, motion.dtype, images, size, warping)
    backend = machine.active
    plan = backend.plans.get(key)
    if plan is None:
        if len(images) != 4 or len(size) != 2 or motion.shape != (images[0], 5) or 0 in images[1:3]:
            received = f"{images} and {motion.shape}"
            raise ValueError(
                explain("images (samples, height, width, channels) and (samples, 5) numbers", received, "Reshape.")
            )
        if warping.interpolation not in INTERPOLATIONS or warping.fill_mode not in FILLS:
            expected = f"an interpolation out of {INTERPOLATIONS} and a fill mode out of {tuple(FILLS)}"
            raise ValueError(explain(expected, warping[:2], "Check the spelling."))
        run = machine.active.kernel(kernel + real_suffix(kernel, [first.dtype, motion.dtype]))
        geometry = struct(
            "mw_warp", images=images[0], channels=images[-1], input=images[1:3], output=size, fill_value=warping.fill_value,
            interpolation=ENUMS["interpolation"][warping.interpolation], fill=FILLS[warping.fill_mode],
        )  # fmt: skip
        plan = remember(key, (run, geometry, POINTER_TYPE[first.dtype]))
    run, geometry, kind = plan
    result, pointer = empty(out, first.dtype), backend.pointer
    run(pointer(kind, contiguous(first)), pointer(kind, contiguous(motion)), pointer(kind, result), geometry)
    return result


def warp(x: Array, motion: Array, size: Shape, warping: Warping) -> Array:
    """Images (samples, height, width, channels), each turned, stretched and moved by five numbers (mw_warp in csrc/kernels.h).

    Raises
    ------
    ValueError
        If the shapes do not fit, or there is no such way to fill.
    TypeError
        If the types are not both float32 or both float64.
    """
    return _run("warp", x, motion, x.shape, size, (*x.shape[:1], *size, *x.shape[-1:]), warping)


def warp_grad(dz: Array, motion: Array, images: Shape, warping: Warping) -> Array:
    """dx of :func:`warp` for images of a shape. Raises as that."""
    return _run("warp_grad", dz, motion, images, dz.shape[1:3], images, warping)
