"""Rows of probabilities, and the losses made of them."""

from __future__ import annotations

import math
from typing import Any

from ..errors import explain
from . import machine
from .elementwise import contiguous
from .machine import struct
from .plans import INT64, OPERATIONS, POINTER_TYPE, Array, call, empty, real_suffix, remember

__all__ = ["check_labels", "cross_entropy", "cross_entropy_grad", "rowwise"]

ROWWISE = {"softmax": 1, "log_softmax": 1, "softmax_grad": 2, "log_softmax_grad": 2}  # how many arrays come in

# as csrc/softmax.c computes it
OPERATIONS |= {
    "softmax": 24, "log_softmax": 24, "softmax_grad": 4, "log_softmax_grad": 23, "sparse_cross_entropy": 23,
    "sparse_cross_entropy_grad": 25, "cross_entropy": 25, "cross_entropy_grad": 27,
}  # fmt: skip


def rowwise(name: str, *arrays: Array) -> Array:
    """`softmax`, `log_softmax` or their gradients over the last axis; arrays of one shape and type."""
    if name not in ROWWISE or len(arrays) != ROWWISE[name]:
        raise ValueError(
            explain(f"a kernel out of {sorted(ROWWISE)} with its arrays", f"{name!r}, {len(arrays)}", "Check both.")
        )
    suffix = real_suffix(name, [a.dtype for a in arrays])
    if arrays[0].ndim == 0 or any(a.shape != arrays[0].shape for a in arrays):
        raise ValueError(explain(f"`{name}` to get arrays of one shape, with an axis", [a.shape for a in arrays], "Reshape."))
    shape, dtype = arrays[0].shape, arrays[0].dtype
    z = empty(shape, dtype)
    rows = struct("mw_rows", rows=math.prod(shape[:-1]), columns=shape[-1])
    call(name + suffix, [*map(contiguous, arrays), z], rows)
    return z


def _plan_cross_entropy(key: Any, x: Array, target: Array, mean: bool) -> Any:
    """The kernels forward and backward for logits and targets that fit together, the rows, and the types of pointers."""
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(explain("logits of shape (rows, classes)", x.shape, "Reshape the output of the model."))
    sparse = target.dtype == INT64
    if sparse and target.shape != x.shape[:1]:
        raise ValueError(explain(f"labels of shape {x.shape[:1]}", target.shape, "Give one label for each row."))
    if not sparse and target.shape != x.shape:
        remedy = "Give one probability for each class, or integer labels."
        raise ValueError(explain(f"targets of shape {x.shape}", target.shape, remedy))
    suffix = real_suffix("cross_entropy", (x.dtype,) if sparse else (x.dtype, target.dtype))
    name = "sparse_cross_entropy" if sparse else "cross_entropy"
    forward, backward = machine.active.kernel(name + suffix), machine.active.kernel(f"{name}_grad{suffix}")
    bad_label = machine.active.kernel("first_bad_label") if sparse else None
    rows = struct(
        "mw_rows", rows=len(x), columns=x.shape[1], dz_stride=int(not mean), scale=1 / max(len(x), 1) if mean else 1.0
    )
    return remember(key, (forward, backward, bad_label, rows, POINTER_TYPE[x.dtype], POINTER_TYPE[target.dtype]))


def check_labels(label: Array, classes: int) -> None:
    """Raise ValueError if one of the int64 labels is not from 0 to classes - 1."""
    bad = call("first_bad_label", (contiguous(label),), label.size, classes)
    if bad >= 0:
        received = f"label {label.flat[bad]} at index {bad}"
        raise ValueError(explain(f"labels from 0 to {classes - 1}", received, "Check the labels or the number of classes."))


def cross_entropy(x: Array, target: Array, mean: bool = False) -> Array:
    """The loss of each row of logits `x` (rows, classes), or their mean, a scalar.

    `target` holds int64 labels (rows,), or probabilities like `x`.

    Raises
    ------
    ValueError
        If shapes do not fit or a label is not one of the classes.
    """
    backend, key = machine.active, ("cross_entropy", x.shape, x.dtype, target.shape, target.dtype, mean)
    forward, _, bad_label, rows, kind, target_kind = backend.plans.get(key) or _plan_cross_entropy(key, x, target, mean)
    p, loss, average = backend.pointer, empty(x.shape[:1], x.dtype), empty((), x.dtype)
    try:
        logits, targets = p(kind, x), p(target_kind, target)
    except ValueError:  # one is not contiguous
        return cross_entropy(contiguous(x), contiguous(target), mean)
    if bad_label is not None and bad_label(targets, *x.shape) >= 0:
        check_labels(target, x.shape[1])
    forward(logits, targets, p(kind, loss), p(kind, average) if mean else backend.null, rows)
    return average if mean else loss


def cross_entropy_grad(dz: Array, x: Array, target: Array, mean: bool = False) -> Array:
    """The gradient of :func:`cross_entropy` for `x`, given `dz` (rows,), or a scalar for the mean."""
    backend, key = machine.active, ("cross_entropy", x.shape, x.dtype, target.shape, target.dtype, mean)
    _, backward, _, rows, kind, target_kind = backend.plans.get(key) or _plan_cross_entropy(key, x, target, mean)
    expected = () if mean else x.shape[:1]
    if dz.shape != expected or dz.dtype != x.dtype:
        raise ValueError(
            explain(f"`dz` of shape {expected} and {x.dtype}", f"{dz.shape}, {dz.dtype}", "Give one for each loss.")
        )
    p, dx = backend.pointer, empty(x.shape, x.dtype)
    try:
        given = p(kind, dz), p(kind, x), p(target_kind, target)
    except ValueError:  # one is not contiguous
        return cross_entropy_grad(contiguous(dz), contiguous(x), contiguous(target), mean)
    backward(*given, p(kind, dx), rows)
    return dx
