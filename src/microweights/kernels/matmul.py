"""The matrix product, and the backward of a whole layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import explain
from . import machine
from .elementwise import contiguous, unary
from .machine import struct
from .plans import (
    POINTER_TYPE,
    WORK,
    Array,
    Shape,
    Work,
    activation_code,
    broadcast_shape,
    element_strides,
    empty,
    merge_axes,
    real_suffix,
    remember,
    window,
)

__all__ = ["dense_grad", "matmul"]


def _gemm_work(a: Any, b: Any, bias: Any, c: Any, plan: Any) -> Work:
    m, n, k = plan.m, plan.n, plan.k
    return Work(f"{m}x{k}x{n}", 2.0 * m * n * k * plan.batch, float(a.itemsize * plan.batch * (m * k + k * n + m * n)))


def _dense_grad_work(dz: Any, z: Any, x: Any, w: Any, da: Any, dx: Any, dw: Any, db: Any, plan: Any) -> Work:
    rows, inputs, units = plan.rows, plan.inputs, plan.units
    arrays = [a for a in (dz, z, x, w, da, dx, dw, db) if hasattr(a, "bytes")]
    products = sum(a in arrays for a in (dx, dw))
    return Work(f"{rows}x{inputs}x{units}", 2.0 * products * rows * inputs * units, float(sum(a.bytes for a in arrays)))


WORK |= {"gemm": _gemm_work, "dense_grad": _dense_grad_work}


def _batch_stride(a: Array, batch: Shape) -> int | None:
    """The one stride from item to item of a broadcast batch, if there is one."""
    sizes, (steps,) = merge_axes(batch, [element_strides(a, (*batch, *a.shape[-2:]))[: len(batch)]])
    return (0 if sizes == [1] else steps[0]) if len(sizes) == 1 else None


def _plan_matmul(key: Any, a: Array, b: Array, bias: Array | None, activation: str) -> Any:
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        remedy = "The last axis of the first must be as long as the last but one of the second."
        raise ValueError(explain("`matmul` to get shapes (..., m, k) and (..., k, n)", f"{a.shape} and {b.shape}", remedy))
    suffix = real_suffix("matmul", [x.dtype for x in (a, b, bias) if x is not None])
    (m, k), n = a.shape[-2:], b.shape[-1]
    code = activation_code(activation, bias, n)
    batch = broadcast_shape("matmul", [a.shape[:-2], b.shape[:-2]])
    a_batch, b_batch = _batch_stride(a, batch), _batch_stride(b, batch)
    if a_batch is None or b_batch is None:
        return None
    (a_row, a_col), (b_row, b_col) = [element_strides(x, x.shape)[-2:] for x in (a, b)]
    plan = struct(
        "mw_gemm_plan", m=m, n=n, k=k, a_row=a_row, a_col=a_col, b_row=b_row, b_col=b_col, c_row=n,
        batch=math.prod(batch), a_batch=a_batch, b_batch=b_batch, c_batch=m * n,
        activation=code,
    )  # fmt: skip
    kernel = machine.active.kernel("gemm" + suffix)
    return remember(key, (kernel, (*batch, m, n), plan, POINTER_TYPE[a.dtype], window(a), window(b)))


def matmul(a: Array, b: Array, bias: Array | None = None, activation: str = "linear") -> Array:
    """`activation(a @ b + bias)` for `a` (..., m, k) and `b` (..., k, n) of any strides, with leading axes broadcast.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    TypeError
        If the types are not all float32 or all float64.
    """
    key: tuple[Any, ...] = ("matmul", activation, a.shape, a.strides, a.dtype, b.shape, b.strides, b.dtype)
    if bias is not None:
        bias = contiguous(bias)
        key = (*key, bias.shape, bias.dtype)
    backend = machine.active
    plan = backend.plans.get(key) or _plan_matmul(key, a, b, bias, activation)
    if plan is None:  # a batch that no single stride walks through: broadcast it in memory
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        whole = [unary("copy", np.broadcast_to(x, (*batch, *x.shape[-2:]))) for x in (a, b)]
        return matmul(whole[0], whole[1], bias, activation)
    kernel, shape, geometry, kind, wa, wb = plan
    c = empty(shape, a.dtype)
    pointer = backend.pointer
    kernel(
        pointer(kind, a if wa is None else a[wa]), pointer(kind, b if wb is None else b[wb]),
        backend.null if bias is None else pointer(kind, bias), pointer(kind, c), geometry,
    )  # fmt: skip
    return c


def _plan_dense_grad(key: Any, dz: Array, z: Array | None, x: Array, w: Array, activation: str) -> Any:
    shapes = [a.shape for a in (dz, x, w)]
    if any(a.ndim != 2 for a in (dz, x, w)) or dz.shape != (len(x), w.shape[1]) or x.shape[1] != len(w):
        raise ValueError(explain("shapes (rows, units), (rows, inputs), (inputs, units)", shapes, "Check the layer."))
    code = activation_code(activation)
    if (z is None and activation != "linear") or (z is not None and z.shape != dz.shape):
        received = "none" if z is None else f"one of shape {z.shape}"
        raise ValueError(explain(f"the result of the layer, of shape {dz.shape}", received, "Pass what it gave."))
    kernel = machine.active.kernel("dense_grad" + real_suffix("dense_grad", [a.dtype for a in (dz, z, x, w) if a is not None]))
    plan = struct("mw_dense", rows=len(x), inputs=len(w), units=w.shape[1], activation=code)
    return remember(key, (kernel, plan, POINTER_TYPE[dz.dtype]))


def dense_grad(
    dz: Array, z: Array | None, x: Array, w: Array, activation: str, needs: Sequence[bool]
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of x, w and b for `z = activation(x @ w + b)`, those that `needs` names; all arrays of two axes.

    z may be None if the activation is linear.
    """
    key = ("dense_grad", activation, dz.shape, x.shape, w.shape, dz.dtype, x.dtype, w.dtype, z is None or (z.shape, z.dtype))
    backend = machine.active
    kernel, plan, kind = backend.plans.get(key) or _plan_dense_grad(key, dz, z, x, w, activation)
    p, null, dtype = backend.pointer, backend.null, dz.dtype
    try:
        given = p(kind, dz), null if z is None else p(kind, z), p(kind, x), p(kind, w)
    except ValueError:  # one is not contiguous
        whole_z = None if z is None else contiguous(z)
        return dense_grad(contiguous(dz), whole_z, contiguous(x), contiguous(w), activation, needs)
    da = None if activation == "linear" else empty(dz.shape, dtype)
    dx = empty(x.shape, dtype) if needs[0] else None
    dw = empty(w.shape, dtype) if needs[1] else None
    db = empty(w.shape[1:], dtype) if len(needs) > 2 and needs[2] else None
    kernel(
        *given,
        null if da is None else p(kind, da),
        null if dx is None else p(kind, dx),
        null if dw is None else p(kind, dw),
        null if db is None else p(kind, db),
        plan,
    )
    return dx, dw, db
