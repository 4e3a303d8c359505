"""Every operation, defined once: a class with its formula, forward and backward, in the table `OPS`.

The functions here check arguments and choose the class; :class:`microweights.Tensor` and the top-level functions call them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import explain
from ..kernels import door
from ..tensor import FLOATS, Axis, Operand, Tensor, as_array, operands, real
from .base import OPS, Case, Op
from .elementwise import (
    Absolute,
    Add,
    BinaryCrossEntropy,
    Cast,
    Copy,
    Divide,
    Erf,
    Exp,
    Gelu,
    Log,
    Maximum,
    Minimum,
    Multiply,
    Negative,
    Power,
    Relu,
    Sigmoid,
    Sign,
    Softplus,
    Sqrt,
    Square,
    SquaredError,
    Subtract,
    Tanh,
    Where,
)
from .matmul import Dense, MatMul
from .reduction import CrossEntropy, LogSoftmax, Max, Mean, Min, Softmax, Sum
from .shape import BroadcastTo, Concatenate, Index, Pad, Reshape, Transpose

__all__ = [
    "OPS", "Absolute", "Add", "BinaryCrossEntropy", "BroadcastTo", "Case", "Cast", "Concatenate", "Copy", "CrossEntropy",
    "Dense", "Divide", "Erf", "Exp", "Gelu", "Index", "Log", "LogSoftmax", "MatMul", "Max", "Maximum", "Mean", "Min",
    "Minimum", "Multiply", "Negative", "Op", "Pad", "Power", "Relu", "Reshape", "Sigmoid", "Sign", "Softmax", "Softplus",
    "Sqrt", "Square", "SquaredError", "Subtract", "Sum", "Tanh", "Transpose", "Where",
]  # fmt: skip

# ---- axes ----------------------------------------------------------------------------------------------------------


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """An `axis` argument as a sorted tuple of axes that are not negative.

    Raises
    ------
    ValueError
        If an axis does not exist or is given twice.
    TypeError
        If it is not an integer.
    """
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    if not all(isinstance(a, (int, np.integer)) and not isinstance(a, bool) for a in given):
        raise TypeError(explain("`axis` to be an integer or integers", repr(axis), "Count axes from 0, or from -1 backward."))
    axes = sorted(int(a) + ndim if a < 0 else int(a) for a in given)
    if any(not 0 <= a < ndim for a in axes) or len(set(axes)) < len(axes):
        remedy = "Name each axis once, from 0, or from -1 backward."
        raise ValueError(explain(f"`axis` to name axes of a tensor with {ndim} of them", axis, remedy))
    return tuple(axes)


def along_last_axis(op: Op, x: Tensor, axis: int) -> Tensor:
    """An operation on the last axis, applied to any axis."""
    (a,) = axes_of(axis, x.ndim)
    if a == x.ndim - 1:
        return op(x)
    order = [*(i for i in range(x.ndim) if i != a), a]
    back = sorted(range(x.ndim), key=order.__getitem__)
    return op(x.transpose(order)).transpose(back)


# ---- functions that check before they choose -----------------------------------------------------------------------


def compare(kernel: str, x: Operand, y: Operand) -> Tensor:
    a, b = (v if isinstance(v, Tensor) else Tensor(as_array(v)) for v in (x, y))
    if a.dtype not in FLOATS and b.dtype not in FLOATS:  # integers are compared exactly
        return Tensor(getattr(np, kernel)(a.data, b.data))
    a, b = operands(x, y)
    return Tensor(door.compare(kernel, a.data, b.data))


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """`x @ y` as NumPy's: a vector counts as one row on the left, as one column on the right."""
    if x.ndim == 0 or y.ndim == 0:
        received = f"shapes {x.shape} and {y.shape}"
        raise ValueError(explain("`@` to get tensors with at least one axis", received, "Multiply a scalar with `*`."))
    z = MatMul()(reshape(x, (1, *x.shape)) if x.ndim == 1 else x, reshape(y, (*y.shape, 1)) if y.ndim == 1 else y)
    if x.ndim > 1 and y.ndim > 1:
        return z
    kept = z.shape[:-2] + (z.shape[-2:-1] if x.ndim > 1 else ()) + (z.shape[-1:] if y.ndim > 1 else ())
    return reshape(z, kept)


def arg_reduce(kernel: str, x: Tensor, axis: int | None) -> Tensor:
    x = real(x).detach()
    if axis is None:
        x, axis = x.reshape(-1), 0
    (a,) = axes_of(axis, x.ndim)
    return Tensor(door.arg_reduce(kernel, x.data, a))


def reshape(x: Tensor, shape: Any) -> Tensor:
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    try:
        target = _resolve(sizes, x.size)
    except (ValueError, TypeError):
        remedy = "The sizes must multiply to the same number of elements; one may be -1."
        raise ValueError(explain(f"a shape for the {x.size} elements of a tensor of shape {x.shape}", sizes, remedy)) from None
    return x if target == x.shape else Reshape(target)(x)


def _resolve(sizes: tuple[int, ...], elements: int) -> tuple[int, ...]:
    """`sizes` with a -1 replaced by what is left."""
    known = 1
    for n in sizes:
        known *= 1 if n == -1 else n
    if sizes.count(-1) > 1 or any(n < -1 for n in sizes) or (-1 in sizes and (known == 0 or elements % known)):
        raise ValueError
    target = tuple(int(elements // known) if n == -1 else int(n) for n in sizes)
    if -1 not in sizes and known != elements:
        raise ValueError
    return target


def transpose(x: Tensor, axes: Sequence[int] | None) -> Tensor:
    if axes is None:
        return x.T
    order = tuple(int(a) + x.ndim if a < 0 else int(a) for a in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(explain(f"`axes` to be an order of the axes 0 to {x.ndim - 1}", tuple(axes), "Name each axis once."))
    return Transpose(order)(x)


def broadcast_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    if door.broadcast_shape("broadcast_to", (x.shape, shape)) != shape:
        raise ValueError(explain(f"a shape that {x.shape} broadcasts to", shape, "Sum the tensor to make it smaller."))
    return x if x.shape == shape else BroadcastTo(shape)(x)


def index(x: Tensor, key: Any) -> Tensor:
    """`x[key]` for integers, slices, None, Ellipsis, and arrays or tensors of integers or bool."""
    parts = key if isinstance(key, tuple) else (key,)
    plain = tuple(p.data if isinstance(p, Tensor) else np.asarray(p) if isinstance(p, list) else p for p in parts)
    for part in plain:
        if isinstance(part, np.ndarray) and part.dtype.kind not in "iub":
            raise IndexError(explain("indices of integers or bool", part.dtype, "Convert them with .astype('int64')."))
    try:
        return Index(plain if isinstance(key, tuple) else plain[0])(x)
    except IndexError as error:
        raise IndexError(explain(f"an index into shape {x.shape}", key, str(error) + ".")) from None


def astype(x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    if x.dtype == dtype:
        return x
    if dtype in FLOATS:
        return Cast(dtype)(x)
    return Tensor(as_array(x.data.astype(dtype)))


def concatenate(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """Tensors joined along an axis that they have.

    Raises
    ------
    ValueError
        If there are none, or they differ in another axis.
    """
    xs = [real(t) for t in tensors]
    if not xs:
        raise ValueError(explain("at least one tensor to join", "none", "Pass a list of tensors."))
    dtype = max((x.dtype for x in xs), key=lambda d: d.itemsize)
    (a,) = axes_of(axis, xs[0].ndim)
    if any(x.ndim != xs[0].ndim or x.shape[:a] + x.shape[a + 1 :] != xs[0].shape[:a] + xs[0].shape[a + 1 :] for x in xs):
        received = [x.shape for x in xs]
        raise ValueError(explain(f"tensors whose shapes differ only in axis {a}", received, "Pad or reshape them."))
    return Concatenate(a)(*(astype(x, dtype) for x in xs))


def stack(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    xs = [real(t) for t in tensors]
    if not xs or any(x.shape != xs[0].shape for x in xs):
        raise ValueError(explain("tensors of one shape", [x.shape for x in xs], "Pad or reshape them."))
    (a,) = axes_of(axis, xs[0].ndim + 1)
    return concatenate([reshape(x, (*x.shape[:a], 1, *x.shape[a:])) for x in xs], a)


def pad(x: Operand, widths: Sequence[Sequence[int]], value: float = 0.0) -> Tensor:
    """A border of `value`: `widths` gives (before, after) for each axis."""
    t = real(x)
    pairs = tuple((int(before), int(after)) for before, after in widths)
    if len(pairs) != t.ndim or any(w < 0 for pair in pairs for w in pair):
        raise ValueError(explain(f"{t.ndim} pairs of widths, none negative", widths, "Give (before, after) for each axis."))
    return Pad(pairs, value)(t)


def where(condition: Operand, x: Operand, y: Operand) -> Tensor:
    """`x` where the condition holds, else `y`."""
    chosen = as_array(condition)
    a, b = operands(x, y)
    return Where(chosen if chosen.dtype == door.BOOL else np.asarray(chosen != 0))(a, b)


def maximum(x: Operand, y: Operand) -> Tensor:
    """The larger of two, element by element; NaN if either is."""
    return Maximum()(*operands(x, y))


def minimum(x: Operand, y: Operand) -> Tensor:
    """The smaller of two, element by element; NaN if either is."""
    return Minimum()(*operands(x, y))
