"""Kernels of each element by itself, with NumPy's broadcasting, for arrays of any strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import explain
from . import machine
from .header import KERNELS
from .plans import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INTEGERS,
    OPERATIONS,
    POINTER_TYPE,
    SUFFIX,
    Array,
    Shape,
    broadcast_shape,
    call,
    empty,
    make_walk,
    real_suffix,
    remember,
    window,
)

__all__ = ["ZERO", "add_to", "binary", "cast", "compare", "contiguous", "copy_to", "ternary", "unary", "where", "zeros"]

_X, _Z, _WALK = "const real *", "real *", "const mw_walk *"
_TYPES = {
    "unary": (_X, _Z, _WALK),
    "binary": (_X, _X, _Z, _WALK),
    "ternary": (_X, _X, _X, _Z, _WALK),
    "compare": (_X, _X, "uint8_t *", _WALK),
    "where": ("const uint8_t *", _X, _X, _Z, _WALK),
}
ELEMENTWISE = {kind: {k.name for k in KERNELS.values() if k.types == types} for kind, types in _TYPES.items()}

# as csrc/vmath.h computes it
OPERATIONS |= {
    "exp": 20, "log": 18, "sigmoid": 23, "tanh": 20, "erf": 47, "gelu": 50, "gelu_grad": 75, "softplus": 38,
    "sigmoid_grad": 3, "tanh_grad": 3, "squared_error": 2, "squared_error_grad": 3, "binary_cross_entropy": 40,
    "binary_cross_entropy_grad": 25,
}  # fmt: skip


def _plan_elementwise(key: Any, inputs: Sequence[Array], reals: Sequence[Array], out_dtype: np.dtype[Any] | None = None) -> Any:
    """The kernel, shape and type of the result, the walk, the pointers' type, a window for each input."""
    kind, name = key[:2]
    if name not in ELEMENTWISE[kind]:
        raise ValueError(explain(f"a kernel out of {sorted(ELEMENTWISE[kind])}", repr(name), "Check the spelling."))
    suffix = real_suffix(name, [a.dtype for a in reals])
    shape = broadcast_shape(name, [a.shape for a in inputs])
    dtype = out_dtype or reals[0].dtype
    walk = make_walk(name, shape, empty(shape, dtype), inputs)
    kernel = machine.active.kernel(name + suffix)
    return remember(key, (kernel, shape, dtype, walk, POINTER_TYPE[reals[0].dtype], *map(window, inputs)))


def unary(name: str, x: Array) -> Array:
    """`z = name(x)`, element by element, for a kernel of one input; `x` is float32 or float64 of any strides."""
    key = ("unary", name, x.shape, x.strides, x.dtype)
    backend = machine.active
    kernel, shape, dtype, walk, kind, wx = backend.plans.get(key) or _plan_elementwise(key, (x,), (x,))
    z = empty(shape, dtype)
    pointer = backend.pointer
    kernel(pointer(kind, x if wx is None else x[wx]), pointer(kind, z), walk)
    return z


def binary(name: str, x: Array, y: Array) -> Array:
    """`z = name(x, y)` with broadcasting; both of one type, float32 or float64."""
    key = ("binary", name, x.shape, x.strides, x.dtype, y.shape, y.strides, y.dtype)
    backend = machine.active
    kernel, shape, dtype, walk, kind, wx, wy = backend.plans.get(key) or _plan_elementwise(key, (x, y), (x, y))
    z = empty(shape, dtype)
    pointer = backend.pointer
    kernel(pointer(kind, x if wx is None else x[wx]), pointer(kind, y if wy is None else y[wy]), pointer(kind, z), walk)
    return z


def ternary(name: str, w: Array, x: Array, y: Array) -> Array:
    """`z = name(w, x, y)` with broadcasting; all of one type, float32 or float64."""
    key = ("ternary", name, w.shape, w.strides, w.dtype, x.shape, x.strides, x.dtype, y.shape, y.strides, y.dtype)
    backend = machine.active
    kernel, shape, dtype, walk, kind, *windows = backend.plans.get(key) or _plan_elementwise(key, (w, x, y), (w, x, y))
    z = empty(shape, dtype)
    pointer = backend.pointer
    inputs = [pointer(kind, a if key is None else a[key]) for a, key in zip((w, x, y), windows, strict=True)]
    kernel(*inputs, pointer(kind, z), walk)
    return z


def compare(name: str, x: Array, y: Array) -> Array:
    """`less`, `less_equal`, `equal` or `not_equal`, with broadcasting: an array of bool."""
    key = ("compare", name, x.shape, x.strides, x.dtype, y.shape, y.strides, y.dtype)
    backend = machine.active
    kernel, shape, dtype, walk, kind, wx, wy = backend.plans.get(key) or _plan_elementwise(key, (x, y), (x, y), BOOL)
    z = empty(shape, dtype)
    pointer = backend.pointer
    inputs = pointer(kind, x if wx is None else x[wx]), pointer(kind, y if wy is None else y[wy])
    kernel(*inputs, pointer(POINTER_TYPE[BOOL], z), walk)
    return z


def where(condition: Array, x: Array, y: Array) -> Array:
    """`x` where the bool `condition` holds, else `y`, with broadcasting."""
    key = (
        "where",
        "where",
        condition.shape,
        condition.strides,
        condition.dtype,
        x.shape,
        x.strides,
        x.dtype,
        y.shape,
        y.strides,
        y.dtype,
    )
    plan = machine.active.plans.get(key)
    if plan is None:
        if condition.dtype != BOOL:
            raise TypeError(explain("`where` to get a condition of bool", condition.dtype, "Compare first, as in `x > 0`."))
        plan = _plan_elementwise(key, (condition, x, y), (x, y))
    z = empty(plan[1], plan[2])
    call("where" + SUFFIX[x.dtype], (condition, x, y, z), plan[3])
    return z


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """`x`, of any type that tensors have, as float32 or float64."""
    key = ("cast", x.shape, x.strides, x.dtype, dtype)
    plan = machine.active.plans.get(key)
    if plan is None:
        if x.dtype not in (BOOL, *INTEGERS, FLOAT32, FLOAT64):
            remedy = "Convert with NumPy first."
            raise TypeError(explain("`cast` to get bool, integers of up to 64 bits, float32 or float64", x.dtype, remedy))
        z = empty(x.shape, dtype)
        kernel = f"cast_{x.dtype.name}" + real_suffix("cast", (dtype,))
        plan = remember(key, (kernel, x.shape, dtype, make_walk("cast", x.shape, z, (x,))))
    kernel, shape, dtype, walk = plan
    z = empty(shape, dtype)
    call(kernel, (x, z), walk)
    return z


def copy_to(x: Array, out: Array) -> None:
    """`out[...] = x`, with broadcasting; `out` may have any strides, but must be writeable."""
    if not out.flags.writeable:
        raise ValueError(explain("an array that may be written to", "a read-only one", "Write to a copy."))
    key = ("copy_to", x.shape, x.strides, x.dtype, out.shape, out.strides, out.dtype)
    plan = machine.active.plans.get(key)
    if plan is None:
        suffix = real_suffix("copy", (x.dtype, out.dtype))
        if broadcast_shape("copy", (x.shape, out.shape)) != out.shape:
            raise ValueError(explain(f"`copy` to get an array that fits into {out.shape}", x.shape, "Sum it first."))
        plan = remember(key, ("copy" + suffix, make_walk("copy", out.shape, out, (x,))))
    call(plan[0], (x, out), plan[1])


def add_to(x: Array, out: Array) -> None:
    """`out += x`, both of one shape and type; `out` may have any strides."""
    key = ("add_to", x.shape, x.strides, x.dtype, out.shape, out.strides, out.dtype)
    plan = machine.active.plans.get(key)
    if plan is None:
        suffix = real_suffix("add", (x.dtype, out.dtype))
        if x.shape != out.shape:
            raise ValueError(explain(f"`add_to` to get an array of shape {out.shape}", x.shape, "Sum or broadcast it first."))
        plan = remember(key, ("add" + suffix, make_walk("add", out.shape, out, (out, x))))
    call(plan[0], (out, x, out), plan[1])


def contiguous(x: Array) -> Array:
    """`x` itself if it is C-contiguous, else a copy that is."""
    if x.flags.c_contiguous:
        return x
    if x.dtype in SUFFIX:
        return unary("copy", x)
    machine.active.refuse("a copy of integers")
    return np.ascontiguousarray(x)


def zeros(shape: Shape, dtype: np.dtype[Any]) -> Array:
    """An array of zeros, written by a kernel, so that a recorded program writes them each time."""
    z = empty(shape, dtype)
    copy_to(ZERO[dtype], z)
    return z


ZERO: dict[Any, Array] = {FLOAT32: np.zeros((), FLOAT32), FLOAT64: np.zeros((), FLOAT64)}
