"""Convolutions of one, two or three axes, channels last, and what goes backward through them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..errors import explain
from . import machine
from .elementwise import contiguous
from .machine import struct
from .plans import POINTER_TYPE, WORK, Array, Shape, Work, activation_code, empty, real_suffix, remember

__all__ = ["Windows", "conv", "conv_transpose", "conv_weight_grad"]


class Windows(NamedTuple):
    """Which input positions an output sees: o strides - before + t dilation, for each tap t of the kernel, on each axis."""

    strides: Shape
    dilation: Shape
    before: Shape
    groups: int = 1


def _conv_work(*arguments: Any) -> Work:
    *arrays, plan = arguments
    sizes = [math.prod(n) for n in (plan.kernel, plan.output)]
    operations = 2.0 * plan.images * math.prod(sizes) * plan.channels // plan.groups * plan.filters
    shapes = ["x".join(map(str, (n for n in axes if n > 1))) or "1" for axes in (plan.input, plan.kernel)]
    text = f"{plan.images}x{shapes[0]}x{plan.channels} * {shapes[1]}x{plan.filters}"
    return Work(text, operations, float(sum(a.bytes for a in arrays if hasattr(a, "bytes"))))


WORK |= dict.fromkeys(("conv", "conv_transpose", "conv_weight_grad"), _conv_work)


def _plan(key: Any, kernel: str, x: Shape, w: Shape, z: Shape, windows: Windows, arrays: list[Array], activation: int) -> Any:
    """The kernel, its plan and the pointers' type, once the shapes of images, weights and results fit each other.

    Raises
    ------
    ValueError
        If they do not.
    """
    axes, groups = len(x) - 2, windows.groups
    if not 1 <= axes <= 3 or len(w) != len(x) or len(z) != len(x) or any(len(n) != axes for n in windows[:3]):
        remedy = "Add axes of size 1, or join some."
        raise ValueError(explain("images, weights and results of 1 to 3 axes besides samples and channels", (x, w, z), remedy))
    if groups < 1 or x[-1] % groups or w[-1] % groups or w[-2] != x[-1] // groups or z[-1] != w[-1] or z[0] != x[0]:
        expected = f"weights (..., channels / {groups}, filters) for images (..., channels) and results (..., filters)"
        raise ValueError(explain(expected, f"{w} for {x} and {z}", "Both numbers of channels must be multiples of groups."))
    if min((*windows.strides, *windows.dilation)) < 1 or min(windows.before) < 0 or 0 in w[:-2]:
        raise ValueError(explain("strides, dilation and kernel from 1, padding from 0", (*windows, w), "Check these."))
    front = (1,) * (3 - axes)
    plan = struct(
        "mw_conv", images=x[0], channels=x[-1], filters=w[-1], groups=groups,
        input=(*front, *x[1:-1]), kernel=(*front, *w[:-2]), output=(*front, *z[1:-1]),
        stride=(*front, *windows.strides), dilation=(*front, *windows.dilation), before=(*(0,) * len(front), *windows.before),
        activation=activation,
    )  # fmt: skip
    suffix = real_suffix(kernel, [a.dtype for a in arrays])
    return remember(key, (machine.active.kernel(kernel + suffix), plan, POINTER_TYPE[arrays[0].dtype]))


def _run(kernel: str, first: Array, second: Array, bias: Any, shapes: Any, windows: Windows, activation: str | None) -> Array:
    """`shapes` are those of the images, the weights, the convolution's result, and what is computed."""
    key: tuple[Any, ...] = (kernel, first.shape, first.dtype, second.shape, second.dtype, shapes, windows, activation)
    if bias is not None:
        key = (*key, bias.shape, bias.dtype)
    backend = machine.active
    x, w, z, out = shapes
    found = backend.plans.get(key)
    if found is None:
        code = 0 if activation is None else activation_code(activation, bias, out[-1])
        found = _plan(key, kernel, x, w, z, windows, [a for a in (first, second, bias) if a is not None], code)
    run, plan, kind = found
    result, pointer = empty(out, first.dtype), backend.pointer
    given = [pointer(kind, contiguous(a)) for a in (first, second)]
    if kernel == "conv":  # no normalisation, which may join it in a program
        given += [backend.null] * 3
    if activation is not None:
        given.append(backend.null if bias is None else pointer(kind, contiguous(bias)))
    if kernel == "conv":
        given.append(backend.null)
    run(*given, pointer(kind, result), plan)
    return result


def conv(x: Array, w: Array, bias: Array | None, windows: Windows, size: Shape, activation: str = "linear") -> Array:
    """`activation(x * w + bias)` of `size` positions on each axis, for images (samples, *axes, channels), weights
    (*kernel, channels / groups, filters), with zeros around the images.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    TypeError
        If the types are not all float32 or all float64.
    """
    z = (*x.shape[:1], *size, *w.shape[-1:])
    return _run("conv", x, w, bias, (x.shape, w.shape, z, z), windows, activation)


def conv_transpose(z: Array, w: Array, bias: Array | None, windows: Windows, size: Shape, activation: str = "linear") -> Array:
    """What `z` gives to images of `size` on each axis, were it the gradient of a convolution's result; with bias, activated.

    Raises as :func:`conv`.
    """
    x = (*z.shape[:1], *size, (w.shape[-2] if w.ndim > 1 else 0) * windows.groups)
    return _run("conv_transpose", z, w, bias, (x, w.shape, z.shape, x), windows, activation)


def conv_weight_grad(x: Array, dz: Array, windows: Windows, size: Shape) -> Array:
    """The gradient of the weights of a convolution, whose kernel has `size` taps on each axis.

    Raises as :func:`conv`.
    """
    w = (*size, x.shape[-1] // max(windows.groups, 1), dz.shape[-1])
    return _run("conv_weight_grad", x, dz, None, (x.shape, w, dz.shape, w), windows, None)
