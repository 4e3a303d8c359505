"""Rows taken and added by an index."""

from __future__ import annotations

import math

import numpy as np

from ..errors import explain
from . import machine
from .elementwise import contiguous, unary, zeros
from .machine import struct
from .plans import (
    BOOL,
    INT64,
    INTEGERS,
    OPERATIONS,
    POINTER_TYPE,
    SUFFIX,
    UINT8,
    WORK,
    Array,
    Shape,
    Work,
    call,
    empty,
    real_suffix,
)

__all__ = ["copied", "flat_index", "gather", "scatter_add", "scatter_add_to", "widen"]


def widen(x: Array) -> Array:
    """Integers or booleans of any type as int64; itself if it is that, and contiguous."""
    x = contiguous(x)
    if x.dtype == INT64:
        return x
    if x.dtype not in (BOOL, *INTEGERS):
        machine.active.refuse("a conversion of uint64")
        return np.asarray(x, INT64)
    z, backend = empty(x.shape, INT64), machine.active
    arrays = backend.pointer(POINTER_TYPE[UINT8], x), backend.pointer(POINTER_TYPE[INT64], z)
    backend.kernel("widen")(*arrays, x.size, x.itemsize, int(x.dtype.kind == "i"))
    return z


def _check_index(index: Array, rows: int) -> Array:
    if index.dtype.kind not in "iu":
        raise TypeError(explain("indices that are integers", index.dtype, "Convert them with .astype('int64')."))
    index = widen(index)
    bad = int(call("first_bad_label", (index,), index.size, rows)) if index.size else -1
    if bad >= 0:
        raise IndexError(explain(f"indices from 0 to {rows - 1}", int(index.flat[bad]), "Check the indices."))
    return index


def flat_index(before: Array | None, index: Array, size: int) -> Array:
    """`before * size + index` for indices of which negative ones count from the end of an axis of `size`, as int64.

    Raises
    ------
    IndexError
        If an index is none of -size .. size - 1.
    """
    index, flat = widen(index), empty(index.shape, INT64)
    call("flat_index", (None, index, flat), index.size, size)
    bad = int(call("first_bad_label", (flat,), flat.size, size)) if flat.size else -1
    if bad >= 0:
        raise IndexError(explain(f"indices from {-size} to {size - 1}", int(index.flat[bad]), "Check the indices."))
    if before is not None:
        call("flat_index", (before, flat, flat), flat.size, size)
    return flat


def gather(source: Array, index: Array) -> Array:
    """`source[index]` for integer indices into the first axis; `source` may be of any type without objects.

    Raises
    ------
    IndexError
        If an index is negative or too large.
    """
    if source.ndim == 0 or source.dtype.hasobject:
        received = f"{source.dtype} of shape {source.shape}"
        raise TypeError(explain("an array with rows and without Python objects", received, "Convert it to numbers."))
    index = _check_index(index, source.shape[0])
    source = contiguous(source)
    out = empty((*index.shape, *source.shape[1:]), source.dtype)
    row_bytes = math.prod(source.shape[1:]) * source.itemsize
    plan = struct("mw_indexing", rows=index.size, row_size=row_bytes, source_rows=source.shape[0])
    if out.size:
        backend, as_bytes = machine.active, POINTER_TYPE[UINT8]
        arrays = backend.pointer(as_bytes, source), backend.pointer(POINTER_TYPE[INT64], index), backend.pointer(as_bytes, out)
        backend.kernel("gather")(*arrays, plan)
    return out


def scatter_add(dz: Array, index: Array, shape: Shape) -> Array:
    """Zeros of `shape` with `dz[i]` added to row `index[i]`: the backward of :func:`gather`."""
    real_suffix("scatter_add", (dz.dtype,))
    out = zeros(shape, dz.dtype)
    scatter_add_to(dz, index, out)
    return out


def scatter_add_to(dz: Array, index: Array, out: Array) -> None:
    """`dz[i]` added to row `index[i]` of `out`, which is of its type and C-contiguous."""
    index, suffix = _check_index(index, out.shape[0]), real_suffix("scatter_add", (dz.dtype, out.dtype))
    if dz.shape != (*index.shape, *out.shape[1:]):
        raise ValueError(explain(f"`dz` of shape {(*index.shape, *out.shape[1:])}", dz.shape, "Give one row for each index."))
    if not out.flags.c_contiguous:
        raise ValueError(explain("`out` to be C-contiguous", f"strides {out.strides}", "Add to a contiguous array."))
    plan = struct("mw_indexing", rows=index.size, row_size=math.prod(out.shape[1:]), source_rows=out.shape[0])
    call("scatter_add" + suffix, (contiguous(dz), index, out), plan)


def copied(a: Array) -> Array:
    """A copy made by a kernel, contiguous, of any type that tensors have."""
    if a.dtype in SUFFIX:
        return unary("copy", a)
    return gather(contiguous(a).reshape(1, -1), _FIRST_ROW).reshape(a.shape)


_FIRST_ROW = np.zeros(1, INT64)
OPERATIONS |= {"first_bad_label": 0, "flat_index": 0, "widen": 0}
WORK["scatter_add"] = lambda dz, index, out, plan: Work(f"{plan.rows} rows", float(math.prod(dz.shape)), 3.0 * dz.bytes)
WORK["gather"] = lambda source, index, out, plan: Work(f"{plan.rows} rows", 0.0, 2.0 * plan.rows * plan.row_size)
