"""Every operation, defined once: a class with its formula, forward and backward, in the table `OPS`.

The functions here check arguments and choose the class; :class:`microweights.Tensor` and the top-level functions call them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from itertools import chain
from numbers import Real
from typing import Any, TypeVar, cast

import numpy as np

from ..errors import NotNumbers, explain
from ..kernels import door
from ..tensor import FLOATS, Array, Axis, Operand, Tensor, as_array, is_basic_index, operands, real
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
    Expm1,
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
    SoftThreshold,
    Sqrt,
    Square,
    SquaredError,
    Subtract,
    Tanh,
    Where,
)
from .index import Gather, Index
from .index import with_ellipsis as with_ellipsis
from .matmul import Dense, MatMul
from .reduce import Max, Mean, Min, Sum
from .shape import BroadcastTo, Concatenate, Pad, Reshape, Transpose
from .softmax import CrossEntropy, LogSoftmax, Softmax

__all__ = [
    "OPS", "Absolute", "Add", "BinaryCrossEntropy", "BroadcastTo", "Case", "Cast", "Concatenate", "Copy", "CrossEntropy",
    "Dense", "Divide", "Erf", "Exp", "Expm1", "Gather", "Gelu", "Index", "Log", "LogSoftmax", "MatMul", "Max", "Maximum",
    "Mean", "Min", "Minimum", "Multiply", "Negative", "Op", "Pad", "Power", "Relu", "Reshape", "Sigmoid", "Sign",
    "SoftThreshold", "Softmax", "Softplus", "Sqrt", "Square", "SquaredError", "Subtract", "Sum", "Tanh", "Transpose", "Where",
    "concatenate", "matmul", "maximum", "minimum", "pad", "stack", "where",
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


def one_axis(axis: Any, ndim: int) -> int:
    """An `axis` argument that names one axis."""
    if axis is None or isinstance(axis, (tuple, list)):
        raise TypeError(explain("`axis` to be one integer", repr(axis), "Name one axis."))
    return axes_of(axis, ndim)[0]


def along_last_axis(op: Op, x: Tensor, axis: int) -> Tensor:
    """An operation on the last axis, applied to any axis."""
    a = one_axis(axis, x.ndim)
    if a == x.ndim - 1:
        return op(x)
    order = [*(i for i in range(x.ndim) if i != a), a]
    back = sorted(range(x.ndim), key=order.__getitem__)
    return op(x.transpose(order)).transpose(back)


# ---- functions that check before they choose -----------------------------------------------------------------------


def compare(kernel: str, x: Operand, y: Operand) -> Tensor:
    exact = [v.data if isinstance(v, Tensor) else None if _is_float(v) else as_array(v) for v in (x, y)]
    if any(v is not None and v.dtype not in FLOATS for v in exact):  # integers are compared as they are
        a, b = (w if v is None else v for v, w in zip(exact, (x, y), strict=True))
        door.refuse("a comparison of integers")
        door.broadcast_shape(kernel, [np.shape(a), np.shape(b)])
        return Tensor(np.asarray(getattr(np, kernel)(a, b)))
    p, q = operands(x, y)
    return Tensor(door.compare(kernel, p.data, q.data))


def _is_float(x: Operand) -> bool:
    """Whether a Python number is the same number in float32."""
    return isinstance(x, float) or (isinstance(x, int) and abs(x) <= 2**24)


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
    values = x.data.reshape(-1) if axis is None else x.data
    a = one_axis(0 if axis is None else axis, values.ndim)
    if values.dtype not in FLOATS and values.shape[a]:
        door.refuse(f"{kernel} of integers")
        return Tensor(np.asarray(getattr(np, kernel)(values, a)))
    return Tensor(door.arg_reduce(kernel, values if values.dtype in FLOATS else door.cast(values, door.FLOAT32), a))


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
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in sizes):
        raise TypeError
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
    given = tuple(axes)
    whole = all(isinstance(a, (int, np.integer)) and not isinstance(a, bool) for a in given)
    order = tuple(int(a) + x.ndim if a < 0 else int(a) for a in given) if whole else ()
    if not whole or sorted(order) != list(range(x.ndim)):
        raise ValueError(explain(f"`axes` to be an order of the axes 0 to {x.ndim - 1}", tuple(axes), "Name each axis once."))
    return Transpose(order)(x)


def broadcast_to(x: Tensor, sizes: Any) -> Tensor:
    shape = tuple(sizes) if isinstance(sizes, (tuple, list)) else (sizes,)
    if (
        not all(isinstance(n, (int, np.integer)) for n in shape)
        or door.broadcast_shape("broadcast_to", (x.shape, shape)) != shape
    ):
        raise ValueError(explain(f"a shape that {x.shape} broadcasts to", shape, "Sum the tensor to make it smaller."))
    return x if x.shape == shape else BroadcastTo(shape)(x)


def index(x: Tensor, key: Any) -> Tensor:
    """`x[key]` for integers, slices, None, Ellipsis, and arrays or tensors of integers or bool."""
    try:
        return Index(key)(x) if is_basic_index(key) else take(x, key if isinstance(key, tuple) else (key,))
    except (IndexError, TypeError, ValueError) as error:
        remedy = "Count from 0, or from -1 backward, up to the size of each axis."
        raise IndexError(explain(f"an index into shape {x.shape}", f"{key!r} ({error})", remedy)) from None


OWN_AXIS = -1  # of a single True or False in an index


def take(x: Tensor, key: tuple[Any, ...]) -> Tensor:
    """`x[key]` where arrays or tensors are in the key: axes by slices first, then rows by numbers, as NumPy orders the axes.

    The numbers are computed by kernels, so that a captured function may choose by what it is given or computes.
    """
    found = list(chain.from_iterable(map(_index_part, key)))
    dots = [i for i, (part, _) in enumerate(found) if part is Ellipsis] or [len(found)]
    missing = x.ndim - sum(part is not None and part is not Ellipsis and size != OWN_AXIS for part, size in found)
    if len(dots) > 1 or missing < 0:
        raise IndexError("more indices than axes")
    found[dots[0] : dots[0] + 1] = [(slice(None), None)] * missing
    parts, masked = zip(*found, strict=True)
    at = [i for i, part in enumerate(parts) if isinstance(part, np.ndarray)]
    x = Index(tuple(p if i not in at else None if masked[i] == OWN_AXIS else slice(None) for i, p in enumerate(parts)))(x)
    chosen, sizes = [parts[i] for i in at], [x.shape[i] for i in at]
    if any(masked[i] not in (None, OWN_AXIS, size) for i, size in zip(at, sizes, strict=True)):
        raise IndexError("a mask of another shape")
    shape = np.broadcast_shapes(*(part.shape for part in chosen))
    flat: Any = None
    for part, size in zip(chosen, sizes, strict=True):
        flat = door.flat_index(flat, _spread(part, shape), size)
    others = [i for i in range(x.ndim) if i not in at]
    x = transpose(x, [*at, *others]) if at[-1] >= len(at) else x
    rows = reshape(x, (math.prod(sizes), *x.shape[len(at) :])) if len(at) > 1 else x
    z = Gather(flat)(rows)
    before = at[0] if at[-1] - at[0] == len(at) - 1 else 0  # arrays side by side stay where they are, others come first
    n = len(shape)
    return transpose(z, [*range(n, n + before), *range(n), *range(n + before, z.ndim)]) if before and n else z


def _index_part(part: Any) -> list[tuple[Any, int | None]]:
    """A part of an index as slices, None, Ellipsis or arrays of integers: a mask is one for each axis, with the axis's size."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return [(part, None)]
    values = part.data if isinstance(part, Tensor) else np.asarray(part)
    if values.size == 0 and values.dtype.kind == "f":  # an empty list
        values = values.astype(door.INT64)
    if values.dtype.kind not in "iub":
        raise IndexError(explain("indices of integers or bool", values.dtype, "Convert them with .astype('int64')."))
    if values.dtype.kind != "b":
        return [(values, None)]
    if values.ndim == 0:  # True is a new axis of size 1, False one of size 0
        return [(np.arange(int(part)), OWN_AXIS)]
    return list(zip(np.nonzero(part.numpy() if isinstance(part, Tensor) else values), values.shape, strict=True))


def _spread(part: Array, shape: tuple[int, ...]) -> Array:
    """Indices broadcast to a shape, by a kernel."""
    if part.shape == shape:
        return part
    places = np.broadcast_to(np.arange(part.size).reshape(part.shape), shape)
    return door.gather(door.contiguous(part).reshape(-1), np.ascontiguousarray(places))


def plain_index(key: Any) -> Any:
    """An index without tensors and lists; arrays are copied, so that nobody changes them before backward."""
    plain = []
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, (Tensor, np.ndarray, list)):
            part = np.array(part.numpy() if isinstance(part, Tensor) else part)
            if part.size == 0 and part.dtype.kind == "f":  # an empty list
                part = part.astype(np.int64)
            if part.dtype.kind not in "iub":
                raise IndexError(explain("indices of integers or bool", part.dtype, "Convert them with .astype('int64')."))
        plain.append(part)
    return tuple(plain) if isinstance(key, tuple) else plain[0]


def astype(x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    if x.dtype == dtype:
        return x
    if dtype in FLOATS:
        return Cast(dtype)(x)
    if dtype == door.INT64 and x.dtype not in FLOATS:
        return Tensor(door.widen(x.data))
    return Tensor(as_array(x.numpy(), dtype))


F = TypeVar("F", bound=Callable[..., Any])


def _takes_symbols(function: F) -> F:
    """The function, which for symbols (layers/symbolic.py) returns symbols."""

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except NotNumbers as error:
            return error.symbol.apply(called, args, options)

    return cast(F, called)


@_takes_symbols
def concatenate(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """Tensors joined along an axis that they have.

    Raises
    ------
    ValueError
        If there are none, or they differ in another axis.
    """
    xs = [real(t) for t in _sequence(tensors)]
    if not xs:
        raise ValueError(explain("at least one tensor to join", "none", "Pass a list of tensors."))
    dtype = max((x.dtype for x in xs), key=lambda d: d.itemsize)
    a = one_axis(axis, xs[0].ndim)
    if any(x.ndim != xs[0].ndim or x.shape[:a] + x.shape[a + 1 :] != xs[0].shape[:a] + xs[0].shape[a + 1 :] for x in xs):
        received = [x.shape for x in xs]
        raise ValueError(explain(f"tensors whose shapes differ only in axis {a}", received, "Pad or reshape them."))
    return Concatenate(a)(*(astype(x, dtype) for x in xs))


@_takes_symbols
def stack(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    xs = [real(t) for t in _sequence(tensors)]
    if not xs or any(x.shape != xs[0].shape for x in xs):
        raise ValueError(explain("tensors of one shape", [x.shape for x in xs], "Pad or reshape them."))
    a = one_axis(axis, xs[0].ndim + 1)
    return concatenate([reshape(x, (*x.shape[:a], 1, *x.shape[a:])) for x in xs], a)


@_takes_symbols
def pad(x: Operand, widths: Sequence[Sequence[int]], value: float = 0.0) -> Tensor:
    """A border of `value`: `widths` gives (before, after) for each axis."""
    t = real(x)
    if not isinstance(value, Real):
        raise TypeError(explain("`value` to be a number", repr(value), "0 is the usual border."))
    given = np.asarray(widths)
    if given.size == 0:
        given = np.zeros((0, 2), np.int64)
    if given.shape != (t.ndim, 2) or given.dtype.kind not in "iu" or (given < 0).any():
        remedy = "Give (before, after) for each axis."
        raise ValueError(explain(f"{t.ndim} pairs of whole widths, none negative", widths, remedy))
    return Pad(tuple((int(before), int(after)) for before, after in given), float(value))(t)


def _sequence(tensors: Any) -> list[Operand]:
    try:
        return list(tensors)
    except TypeError:
        raise TypeError(explain("a list of tensors", type(tensors).__name__, "Put them in a list.")) from None


@_takes_symbols
def where(condition: Operand, x: Operand, y: Operand) -> Tensor:
    """`x` where the condition holds, else `y`."""
    if isinstance(condition, Tensor) and condition.dtype == door.BOOL:
        return Where(condition.data, condition)(*operands(x, y))
    values = condition.numpy() if isinstance(condition, Tensor) else as_array(condition)
    return Where(np.array(values != 0))(*operands(x, y))  # a copy, so that nobody changes it before backward


@_takes_symbols
def maximum(x: Operand, y: Operand) -> Tensor:
    """The larger of two, element by element; NaN if either is."""
    return Maximum()(*operands(x, y))


@_takes_symbols
def minimum(x: Operand, y: Operand) -> Tensor:
    """The smaller of two, element by element; NaN if either is."""
    return Minimum()(*operands(x, y))


def __dir__() -> list[str]:
    return sorted(__all__)
