"""The door: every number of a training step is computed by a kernel, and every kernel is reached from here.

The functions here take and return NumPy arrays. Each first looks up its *plan*: the kernel, and what must be known about
shapes, strides and types before C is entered. A plan is checked and made once and then found in a dictionary, so that a
training step pays for its checks only the first time.

The active backend (machine.py) gives the kernel for a name and turns an array into what the kernel takes: a pointer for C,
the array itself for a NumPy twin.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import explain
from . import machine, reference
from .machine import struct

Array = NDArray[Any]
Shape = tuple[int, ...]

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
INT32, INT64, BOOL = np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.bool_)
UINT8, UINT64 = np.dtype(np.uint8), np.dtype(np.uint64)
SUFFIX = {FLOAT32: "_f32", FLOAT64: "_f64"}
empty = np.empty

ffi, lib = machine.ffi, machine.lib

# ---- calling a kernel ----------------------------------------------------------------------------------------------

if ffi is not None:
    POINTER_TYPE = {
        FLOAT32: ffi.typeof("float[]"),
        FLOAT64: ffi.typeof("double[]"),
        INT32: ffi.typeof("int32_t[]"),
        INT64: ffi.typeof("int64_t[]"),
        BOOL: ffi.typeof("uint8_t[]"),
        UINT8: ffi.typeof("uint8_t[]"),
        UINT64: ffi.typeof("uint64_t[]"),
    }
else:
    POINTER_TYPE = dict.fromkeys((FLOAT32, FLOAT64, INT32, INT64, BOOL, UINT8, UINT64))

_FIRST = [(slice(0, 1),) * ndim for ndim in range(65)]


def window(a: Array) -> Any:
    """An index that makes of an array something whose address cffi can take: of a strided array, its first element alone.

    None where no index is needed.
    """
    return None if a.flags.c_contiguous or machine.active.name == "numpy" else _FIRST[a.ndim]


def call(kernel: str, arrays: Sequence[Array | None], *arguments: Any) -> Any:
    """Run a kernel by its name. The busiest functions below do the same with the kernel out of their plan."""
    backend = machine.active
    given = []
    for a in arrays:
        if a is None:
            given.append(backend.null)
        else:
            key = window(a)
            given.append(backend.pointer(POINTER_TYPE[a.dtype], a if key is None else a[key]))
    return backend.kernel(kernel)(*given, *arguments)


# ---- plans ---------------------------------------------------------------------------------------------------------


def _remember(key: Any, plan: Any) -> Any:
    plans = machine.active.plans
    if len(plans) >= 4096:  # shapes that never come back must not fill the memory
        plans.clear()
    plans[key] = plan
    return plan


def real_suffix(kernel: str, dtypes: Sequence[np.dtype[Any]]) -> str:
    """`_f32` or `_f64`: the build of a kernel for arrays that must share one type.

    Raises
    ------
    TypeError
        If the types differ, or are not native float32 or float64.
    """
    first = dtypes[0]
    if first not in SUFFIX or any(d != first for d in dtypes):
        remedy = "Convert the arrays with .astype('float32')."
        raise TypeError(explain(f"`{kernel}` to get arrays all of float32 or all of float64", list(map(str, dtypes)), remedy))
    return SUFFIX[first]


def broadcast_shape(kernel: str, shapes: Sequence[Shape]) -> Shape:
    """The common shape of operands by NumPy's rule: sizes agree from the right, or one of them is 1.

    Raises
    ------
    ValueError
        If they do not.
    """
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        remedy = "Reshape one so that sizes agree from the right, or are 1."
        raise ValueError(explain(f"`{kernel}` to get shapes that broadcast", ", ".join(map(str, shapes)), remedy)) from None


def element_strides(a: Array, shape: Shape) -> tuple[int, ...]:
    """The strides of `a` broadcast to `shape`, in elements: 0 where it is repeated."""
    if any(s % a.itemsize for s in a.strides):
        remedy = "Copy the array first."
        raise ValueError(explain("strides of whole elements", f"{a.strides} bytes for elements of {a.itemsize}", remedy))
    missing = len(shape) - a.ndim
    if not a.flags.aligned:
        raise ValueError(explain("elements at addresses of their size", "others", "Copy the array first."))
    own = [0 if n == 1 else s // a.itemsize for n, s in zip(a.shape, a.strides, strict=True)]
    return (0,) * missing + tuple(own)


def merge_axes(shape: Shape, strides: Sequence[tuple[int, ...]]) -> tuple[list[int], list[list[int]]]:
    """The same walk over memory with as few loops as possible.

    Axes of size 1 go, and neighbours become one wherever every operand steps through them as through one.

    >>> merge_axes((2, 3, 4), [(12, 4, 1), (0, 4, 1)])
    ([2, 12], [[12, 1], [0, 1]])
    """
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        if sizes and all(done[-1] == s[axis] * n for done, s in zip(steps, strides, strict=True)):
            sizes[-1] *= n
            for done, s in zip(steps, strides, strict=True):
                done[-1] = s[axis]
        else:
            sizes.append(n)
            for done, s in zip(steps, strides, strict=True):
                done.append(s[axis])
    if not sizes:
        return [1], [[1] for _ in strides]
    return sizes, steps


def make_walk(kernel: str, shape: Shape, out: Array, inputs: Sequence[Array]) -> Any:
    """The `mw_walk` of an element-wise kernel."""
    sizes, steps = merge_axes(shape, [element_strides(a, shape) for a in (out, *inputs)])
    if len(sizes) > 8:
        remedy = "Make the operands contiguous with .copy() first."
        raise ValueError(explain(f"`{kernel}` to walk at most 8 separate axes", len(sizes), remedy))
    return struct("mw_walk", size=math.prod(shape), ndim=len(sizes), shape=sizes, stride=steps)


# ---- element-wise --------------------------------------------------------------------------------------------------


ELEMENTWISE = {
    "unary": {"copy", "negative", "absolute", "sign", "square", "sqrt", "exp", "log", "relu", "sigmoid", "tanh", "erf", "gelu",
              "softplus"},
    "binary": {"add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "squared_error", "binary_cross_entropy",
               "relu_grad", "sigmoid_grad", "tanh_grad", "gelu_grad"},
    "ternary": {"squared_error_grad", "binary_cross_entropy_grad"},
    "compare": {"less", "less_equal", "equal", "not_equal"},
    "where": {"where"},
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
    return _remember(key, (kernel, shape, dtype, walk, POINTER_TYPE[reals[0].dtype], *map(window, inputs)))


def checked(out: Array, shape: Shape, dtype: np.dtype[Any], *inputs: Array) -> Array:
    """`out` if a kernel may write its result there: it may be an input itself, but no other view of its memory.

    Raises
    ------
    ValueError
        If it has another shape or type, is not contiguous and writeable, or shares memory with one of `inputs`.
    """
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous or not out.flags.writeable:
        received = f"{out.dtype} of shape {out.shape}"
        raise ValueError(explain(f"a contiguous, writeable `out` of {dtype} and shape {shape}", received, "Use np.empty."))
    # only a view can share the memory of an array that owns its own
    may_share = out.base is not None or any(x.base is out for x in inputs)
    if may_share and any(x is not out and np.may_share_memory(out, x) for x in inputs):
        raise ValueError(explain("an `out` apart from the inputs", "memory that they share", "Use np.empty."))
    return out


def apart(out: Array, shape: Shape, dtype: np.dtype[Any], *inputs: Array | None) -> Array:
    """`out` as of :func:`checked`, for a kernel that must not write to an input either."""
    if any(x is out for x in inputs):
        raise ValueError(explain("an `out` apart from the inputs", "one of them", "Use np.empty."))
    return checked(out, shape, dtype, *(x for x in inputs if x is not None))


def unary(name: str, x: Array, out: Array | None = None) -> Array:
    """`z = name(x)`, element by element, for a kernel of one input; `x` is float32 or float64 of any strides."""
    key = ("unary", name, x.shape, x.strides, x.dtype)
    backend = machine.active
    kernel, shape, dtype, walk, kind, wx = backend.plans.get(key) or _plan_elementwise(key, (x,), (x,))
    z = empty(shape, dtype) if out is None else checked(out, shape, dtype, x)
    pointer = backend.pointer
    kernel(pointer(kind, x if wx is None else x[wx]), pointer(kind, z), walk)
    return z


def binary(name: str, x: Array, y: Array, out: Array | None = None) -> Array:
    """`z = name(x, y)` with broadcasting; both of one type, float32 or float64."""
    key = ("binary", name, x.shape, x.strides, x.dtype, y.shape, y.strides, y.dtype)
    backend = machine.active
    kernel, shape, dtype, walk, kind, wx, wy = backend.plans.get(key) or _plan_elementwise(key, (x, y), (x, y))
    z = empty(shape, dtype) if out is None else checked(out, shape, dtype, x, y)
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
    """`x` (bool, int32, int64, float32 or float64) as float32 or float64."""
    key = ("cast", x.shape, x.strides, x.dtype, dtype)
    plan = machine.active.plans.get(key)
    if plan is None:
        if x.dtype not in (BOOL, INT32, INT64, FLOAT32, FLOAT64):
            remedy = "Convert with NumPy first."
            raise TypeError(explain("`cast` to get bool, int32, int64, float32 or float64", x.dtype, remedy))
        z = empty(x.shape, dtype)
        kernel = f"cast_{x.dtype.name}" + real_suffix("cast", (dtype,))
        plan = _remember(key, (kernel, x.shape, dtype, make_walk("cast", x.shape, z, (x,))))
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
        plan = _remember(key, ("copy" + suffix, make_walk("copy", out.shape, out, (x,))))
    call(plan[0], (x, out), plan[1])


def contiguous(x: Array) -> Array:
    """`x` itself if it is C-contiguous, else a copy that is."""
    if x.flags.c_contiguous:
        return x
    return unary("copy", x) if x.dtype in SUFFIX else np.ascontiguousarray(x)


def zeros(shape: Shape, dtype: np.dtype[Any]) -> Array:
    """An array of zeros, written by a kernel, so that a recorded program writes them each time."""
    z = empty(shape, dtype)
    copy_to(ZERO[dtype], z)
    return z


ZERO: dict[Any, Array] = {FLOAT32: np.zeros((), FLOAT32), FLOAT64: np.zeros((), FLOAT64)}

# ---- reductions ----------------------------------------------------------------------------------------------------


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
    return _remember(key, (machine.active.kernel(name + suffix), order, shape, plan, POINTER_TYPE[x.dtype]))


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
    return _remember(
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


# ---- matrix product ------------------------------------------------------------------------------------------------

ACTIVATIONS = {name: code for code, name in enumerate(reference.ACTIVATIONS)}


def _batch_stride(a: Array, batch: Shape) -> int | None:
    """The one stride from item to item of a broadcast batch, if there is one."""
    sizes, (steps,) = merge_axes(batch, [element_strides(a, (*batch, *a.shape[-2:]))[: len(batch)]])
    return (0 if sizes == [1] else steps[0]) if len(sizes) == 1 else None


def _plan_matmul(key: Any, a: Array, b: Array, bias: Array | None, activation: str) -> Any:
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        remedy = "The last axis of the first must be as long as the last but one of the second."
        raise ValueError(explain("`matmul` to get shapes (..., m, k) and (..., k, n)", f"{a.shape} and {b.shape}", remedy))
    if activation not in ACTIVATIONS:
        raise ValueError(explain(f"an activation out of {list(ACTIVATIONS)}", repr(activation), "Apply others afterwards."))
    suffix = real_suffix("matmul", [x.dtype for x in (a, b, bias) if x is not None])
    (m, k), n = a.shape[-2:], b.shape[-1]
    if bias is not None and bias.shape != (n,):
        raise ValueError(explain(f"a bias of shape ({n},)", bias.shape, "Give one bias for each output."))
    batch = broadcast_shape("matmul", [a.shape[:-2], b.shape[:-2]])
    a_batch, b_batch = _batch_stride(a, batch), _batch_stride(b, batch)
    if a_batch is None or b_batch is None:
        return None
    (a_row, a_col), (b_row, b_col) = [element_strides(x, x.shape)[-2:] for x in (a, b)]
    plan = struct(
        "mw_gemm_plan", m=m, n=n, k=k, a_row=a_row, a_col=a_col, b_row=b_row, b_col=b_col, c_row=n,
        batch=math.prod(batch), a_batch=a_batch, b_batch=b_batch, c_batch=m * n,
        accumulate=0, activation=ACTIVATIONS[activation],
    )  # fmt: skip
    kernel = machine.active.kernel("gemm" + suffix)
    return _remember(key, (kernel, (*batch, m, n), plan, POINTER_TYPE[a.dtype], window(a), window(b)))


def matmul(a: Array, b: Array, bias: Array | None = None, activation: str = "linear", out: Array | None = None) -> Array:
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
        return matmul(whole[0], whole[1], bias, activation, out)
    kernel, shape, geometry, kind, wa, wb = plan
    c = empty(shape, a.dtype) if out is None else apart(out, shape, a.dtype, a, b, bias)
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
    if activation not in ACTIVATIONS or (z is None and activation != "linear"):
        received = f"{activation!r} and z {'missing' if z is None else 'given'}"
        raise ValueError(explain(f"an activation out of {list(ACTIVATIONS)}, and its result z", received, "Pass both."))
    if z is not None and z.shape != dz.shape:
        raise ValueError(explain(f"a result of shape {dz.shape}", z.shape, "Check the layer."))
    kernel = machine.active.kernel("dense_grad" + real_suffix("dense_grad", [a.dtype for a in (dz, z, x, w) if a is not None]))
    plan = struct("mw_dense", rows=len(x), inputs=len(w), units=w.shape[1], activation=ACTIVATIONS[activation])
    return _remember(key, (kernel, plan, POINTER_TYPE[dz.dtype]))


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


# ---- rows of probabilities -----------------------------------------------------------------------------------------


ROWWISE = {"softmax": 1, "log_softmax": 1, "softmax_grad": 2, "log_softmax_grad": 2}  # how many arrays come in


def rowwise(name: str, *arrays: Array, out: Array | None = None) -> Array:
    """`softmax`, `log_softmax` or their gradients over the last axis; arrays of one shape and type."""
    if name not in ROWWISE or len(arrays) != ROWWISE[name]:
        raise ValueError(
            explain(f"a kernel out of {sorted(ROWWISE)} with its arrays", f"{name!r}, {len(arrays)}", "Check both.")
        )
    suffix = real_suffix(name, [a.dtype for a in arrays])
    if arrays[0].ndim == 0 or any(a.shape != arrays[0].shape for a in arrays):
        raise ValueError(explain(f"`{name}` to get arrays of one shape, with an axis", [a.shape for a in arrays], "Reshape."))
    shape, dtype = arrays[0].shape, arrays[0].dtype
    z = empty(shape, dtype) if out is None else apart(out, shape, dtype, *arrays)
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
    return _remember(key, (forward, backward, bad_label, rows, POINTER_TYPE[x.dtype], POINTER_TYPE[target.dtype]))


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


# ---- rows by index -------------------------------------------------------------------------------------------------


def _check_index(index: Array, rows: int) -> Array:
    if index.dtype.kind not in "iu":
        raise TypeError(explain("indices that are integers", index.dtype, "Convert them with .astype('int64')."))
    index = np.asarray(index, INT64, order="C")
    bad = int(call("first_bad_label", (index,), index.size, rows)) if index.size else -1
    if bad >= 0:
        raise IndexError(explain(f"indices from 0 to {rows - 1}", int(index.flat[bad]), "Check the indices."))
    return index


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
    source = np.ascontiguousarray(source)
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
    index, suffix = _check_index(index, shape[0]), real_suffix("scatter_add", (dz.dtype,))
    if dz.shape != (*index.shape, *shape[1:]):
        raise ValueError(explain(f"`dz` of shape {(*index.shape, *shape[1:])}", dz.shape, "Give one row for each index."))
    out = zeros(shape, dz.dtype)
    plan = struct("mw_indexing", rows=index.size, row_size=math.prod(shape[1:]), source_rows=shape[0])
    call("scatter_add" + suffix, (contiguous(dz), index, out), plan)
    return out


# ---- updates -------------------------------------------------------------------------------------------------------


class Parameters:
    """The weights and the state of an update rule, laid out as its kernel reads them.

    Parameters
    ----------
    weights : list of arrays
        C-contiguous, all float32 or all float64; updated in place.
    slots : list of lists of arrays
        For each array of weights its arrays of state, of the same shape.
    """

    def __init__(self, weights: Sequence[Array], slots: Sequence[Sequence[Array]]) -> None:
        if not weights:
            raise ValueError(explain("at least one array of weights", "none", "Build the model first."))
        self._updating = threading.Lock()  # gradients stand in the one table until the kernel is done
        self.suffix = real_suffix("update", [w.dtype for w in weights])
        self.weights, self.slots = list(weights), [list(s) for s in slots]
        for w, state in zip(self.weights, self.slots, strict=True):
            if any(s.dtype != w.dtype for s in state):
                kinds = [str(s.dtype) for s in state]
                raise TypeError(explain(f"slots of {w.dtype}", kinds, "Make them like the weights."))
            if len(state) > 3 or any(s.shape != w.shape for s in state):
                received = [(s.shape, str(s.dtype)) for s in state]
                raise ValueError(
                    explain(f"up to 3 slots of shape {w.shape} of {w.dtype}", received, "Make them like the weights.")
                )
        self.fewest_slots = min(len(state) for state in self.slots)
        self.shapes, self.dtype = [w.shape for w in weights], weights[0].dtype
        if not all(a.flags.c_contiguous and a.flags.writeable for a in [*weights, *(s for state in self.slots for s in state)]):
            raise ValueError(explain("weights that are contiguous and writeable", "others", "Copy them first."))
        if ffi is not None:
            kind = POINTER_TYPE[self.weights[0].dtype]
            self._table = ffi.new("mw_parameter[]", len(self.weights))
            self._rows = list(self._table)
            self._keep: list[Any] = []
            for row, w, state in zip(self._rows, self.weights, self.slots, strict=True):
                pointers = [ffi.from_buffer(kind, a) for a in (w, *state)]
                self._keep += pointers
                row.weights, row.n = pointers[0], w.size
                for k, p in enumerate(pointers[1:]):
                    row.slot[k] = p

    def update(self, rule: str, gradients: Sequence[Array], hyper: Any) -> None:
        """One step of the kernel `rule` on all weights. `hyper` is an `mw_hyper`.

        Raises
        ------
        ValueError
            If a gradient does not have the shape of its weights.
        TypeError
            If it does not have their type.
        """
        needed = slots_of(rule, hyper)
        if self.fewest_slots < needed:
            raise ValueError(explain(f"{needed} slots for the rule {rule!r}", [len(s) for s in self.slots], "Add slots."))
        if len(gradients) != len(self.weights):
            raise ValueError(explain(f"{len(self.weights)} gradients", len(gradients), "Give one for each array of weights."))
        shapes = [g.shape for g in gradients]
        if shapes != self.shapes:
            raise ValueError(explain(f"gradients of shapes {self.shapes}", shapes, "Give each array of weights its own."))
        for g in gradients:
            if g.dtype is not self.dtype and g.dtype != self.dtype:
                raise TypeError(explain(f"a gradient of {self.dtype}", g.dtype, "Compute it in the type of the weights."))
        kernel = machine.active.kernel(rule + self.suffix)
        if machine.active.name == "c":
            kind = POINTER_TYPE[self.weights[0].dtype]
            pointers = [ffi.from_buffer(kind, contiguous(g)) for g in gradients]
            with self._updating:
                for row, p in zip(self._rows, pointers, strict=True):
                    row.gradient = p
                kernel(self._table, len(pointers), hyper)
        else:
            rows = [_Row(w, g, s) for w, g, s in zip(self.weights, gradients, self.slots, strict=True)]
            kernel(rows, len(rows), hyper)


def slots_of(rule: str, hyper: Any) -> int:
    """How many arrays of state a rule keeps for each array of weights.

    Raises
    ------
    ValueError
        If there is no such rule.
    """
    if rule == "sgd":
        return int(hyper.momentum != 0)
    if rule == "rmsprop":
        return 3 if hyper.centered else 2 if hyper.momentum else 1
    if rule not in ("adam", "adagrad"):
        raise ValueError(explain("a rule 'sgd', 'adam', 'rmsprop' or 'adagrad'", repr(rule), "Check the spelling."))
    return 2 if rule == "adam" else 1


class _Row:
    """An `mw_parameter` for the twins."""

    def __init__(self, weights: Array, gradient: Array, slot: list[Array]) -> None:
        self.weights, self.gradient, self.slot = weights, gradient, slot


# ---- random numbers ------------------------------------------------------------------------------------------------


def new_random_state(seed: int) -> Array:
    """The state of a stream of random numbers: its key and its counter, as uint64."""
    return np.array([seed & 0xFFFFFFFFFFFFFFFF, 0], UINT64)


def random(name: str, state: Array, shape: Shape, dtype: np.dtype[Any], a: float, b: float) -> Array:
    """`uniform` from low `a` to high `b`, `normal` of mean `a` and deviation `b`, or `bernoulli`: `b` with probability `a`."""
    if state.dtype != UINT64 or state.shape != (2,) or not state.flags.writeable or not state.flags.c_contiguous:
        raise ValueError(explain("a state of new_random_state", f"{state.shape} of {state.dtype}", "Make one with a seed."))
    if name not in ("uniform", "normal", "bernoulli"):
        raise ValueError(explain("'uniform', 'normal' or 'bernoulli'", repr(name), "Check the spelling."))
    z = empty(shape, dtype)
    with _drawing:  # the kernel reads the state and moves it on, without Python's lock
        call(name + real_suffix(name, (dtype,)), (state, z), z.size, a, b)
    return z


_drawing = threading.Lock()


# ---- questions with an answer --------------------------------------------------------------------------------------


def all_finite(x: Array) -> bool:
    """Whether a float32 or float64 array holds neither infinity nor NaN."""
    return int(call("first_nonfinite" + real_suffix("all_finite", (x.dtype,)), (contiguous(x),), x.size)) < 0


def weighted_sum(weights: list[float], inputs: list[float], bias: float) -> float:
    """bias + Σ weights[i] inputs[i], for as many inputs as weights."""
    if len(weights) != len(inputs):
        raise ValueError(explain(f"{len(weights)} inputs", len(inputs), "Give each input its weight."))
    return float(machine.active.kernel("weighted_sum")(weights, inputs, len(weights), bias))
