"""Kernels that make many numbers one: sums, means, extremes, and where these stand."""

from __future__ import annotations

import math
from typing import Any

from ..errors import NonFiniteError, explain
from . import machine
from .elementwise import contiguous
from .machine import struct
from .plans import INT64, OPERATIONS, POINTER_TYPE, Array, call, empty, real_suffix, remember

__all__ = ["all_finite", "arg_reduce", "must_be_finite", "reduce"]

OPERATIONS["first_nonfinite"] = 0


def _plan_reduction(key: Any, name: str, x: Array, axes: tuple[int, ...], mean: bool) -> Any:
    """Which axes to bring together before, and (outer, count, inner) after."""
    if name not in ("sum", "max", "min"):
        raise ValueError(explain("a reduction 'sum', 'max' or 'min'", repr(name), "Check the spelling."))
    suffix = real_suffix(name, (x.dtype,))
    if list(axes) != sorted(set(axes)) or any(not 0 <= a < x.ndim for a in axes):
        raise ValueError(explain(f"axes of a shape {x.shape} in order, each once", axes, "Count them from 0."))
    kept = [a for a in range(x.ndim) if a not in axes]
    shape = tuple(x.shape[a] for a in kept)
    count = math.prod(x.shape[a] for a in axes)
    if count == 0 and name != "sum":
        raise ValueError(explain(f"`{name}` over at least one element", f"shape {x.shape}, axes {axes}", "Check the data."))
    first, last = (min(axes), max(axes)) if axes else (x.ndim, x.ndim)
    together = list(axes) == list(range(first, last + 1))
    order = None if together else (*kept, *axes)
    if not together:
        first, last = len(kept), x.ndim
    sizes = x.shape if order is None else tuple(x.shape[a] for a in order)
    outer, inner = math.prod(sizes[:first]), math.prod(sizes[last + 1 :])
    scale = 1 / count if mean and count else math.nan if mean else 1.0
    plan = struct("mw_reduction", outer=outer, count=count, inner=inner, scale=scale)
    return remember(key, (machine.active.kernel(name + suffix), order, shape, plan, POINTER_TYPE[x.dtype]))


def reduce(name: str, x: Array, axes: tuple[int, ...], mean: bool = False) -> Array:
    """`sum`, `max` or `min` over `axes` (sorted, not negative), which go; with `mean`, a sum is divided by its count."""
    key = ("reduce", name, x.shape, x.dtype, axes, mean)
    backend = machine.active
    kernel, order, shape, plan, kind = backend.plans.get(key) or _plan_reduction(key, name, x, axes, mean)
    if order is not None:
        x = x.transpose(order)
    z = empty(shape, x.dtype)
    kernel(backend.pointer(kind, contiguous(x)), backend.pointer(kind, z), plan)
    return z


def _plan_arg_reduction(key: Any, name: str, x: Array, axis: int) -> Any:
    if name not in ("argmax", "argmin") or not 0 <= axis < x.ndim:
        raise ValueError(explain(f"'argmax' or 'argmin' over an axis of {x.shape}", f"{name!r}, {axis}", "Count from 0."))
    if x.shape[axis] == 0:
        raise ValueError(explain(f"`{name}` over at least one element", f"shape {x.shape}, axis {axis}", "Check the data."))
    order = None if axis == x.ndim - 1 else (*(a for a in range(x.ndim) if a != axis), axis)
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    plan = struct("mw_reduction", outer=math.prod(shape), count=x.shape[axis], inner=1, scale=1.0)
    return remember(
        key, (machine.active.kernel(name + real_suffix(name, (x.dtype,))), order, shape, plan, POINTER_TYPE[x.dtype])
    )


def arg_reduce(name: str, x: Array, axis: int) -> Array:
    """`argmax` or `argmin` along one axis (not negative): an array of int64 without that axis."""
    key = ("arg_reduce", name, x.shape, x.dtype, axis)
    backend = machine.active
    kernel, order, shape, plan, kind = backend.plans.get(key) or _plan_arg_reduction(key, name, x, axis)
    if order is not None:
        x = x.transpose(order)
    z = empty(shape, INT64)
    kernel(backend.pointer(kind, contiguous(x)), backend.pointer(POINTER_TYPE[INT64], z), plan)
    return z


def all_finite(x: Array) -> bool:
    """Whether a float32 or float64 array holds neither infinity nor NaN."""
    return int(call("first_nonfinite" + real_suffix("all_finite", (x.dtype,)), (contiguous(x),), x.size)) < 0


def must_be_finite(x: Array) -> None:
    """Raise NonFiniteError if a float32 or float64 array holds infinity or NaN; a replay stops there, too."""
    if not all_finite(x):
        raise NonFiniteError(explain("finite numbers", "infinity or NaN", "Check the data, or lower the learning rate."))
