"""What every function of the door does before C: find out about shapes, strides and types, once, and remember it as a plan.

The active backend (machine.py) gives the kernel for a name and turns an array into what the kernel takes: a pointer for C,
the array itself for a NumPy twin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import explain
from . import machine
from .header import ENUMS
from .machine import struct

__all__ = [
    "BOOL",
    "FLOAT32",
    "FLOAT64",
    "INT64",
    "INTEGERS",
    "SUFFIX",
    "Array",
    "aligned",
    "aligned_empty",
    "backend",
    "broadcast_shape",
    "call",
    "element_strides",
    "empty",
    "made",
    "make_walk",
    "merge_axes",
    "read",
    "real_suffix",
    "refuse",
]

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]  # as numpy.typing.NDArray[Any], which costs 6 ms to import
Shape = tuple[int, ...]

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
INT32, INT64, BOOL = np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.bool_)
UINT8, UINT64 = np.dtype(np.uint8), np.dtype(np.uint64)
INTEGERS = (np.dtype(np.int8), np.dtype(np.int16), INT32, INT64, UINT8, np.dtype(np.uint16), np.dtype(np.uint32))
SUFFIX = {FLOAT32: "_f32", FLOAT64: "_f64"}
empty = np.empty

ffi = machine.ffi


LINE = 64  # bytes of a line of the cache


def aligned_empty(shape: Shape, dtype: np.dtype[Any]) -> Array:
    """As np.empty, in memory that begins where a line of the cache does: a vector across two lines takes twice as long.

    It owns its memory as far as NumPy can see (`base` is no array), but is not resized: C may hold its address.
    """
    if ffi is None:
        return empty(shape, dtype)
    memory = ffi.from_buffer(empty(math.prod(shape) * dtype.itemsize + LINE, UINT8))
    return np.ndarray(shape, dtype, ffi.buffer(memory), -int(ffi.cast("uintptr_t", memory)) % LINE)


def aligned(a: Array) -> Array:
    """A contiguous copy in such memory."""
    copy = aligned_empty(a.shape, a.dtype)
    copy[...] = a
    return copy


# ---- what is asked of the backend ------------------------------------------------------------------------------------


def backend() -> str:
    """The name of the backend that runs kernels."""
    return machine.backend()


def read(
    a: Array, remedy: str = "Keep it a tensor, return it, and read it outside (in a model: compile with eager=True)."
) -> None:
    """Values leave the graph: an error while they are being recorded, as no replay could follow."""
    machine.active.read(a, remedy)


def made(a: Array) -> None:
    """An array that kernels are about to fill part by part."""
    machine.active.made(a)


def refuse(what: str) -> None:
    """Something is computed outside of kernels: an error while a program is being recorded."""
    machine.active.refuse(what)


# ---- calling a kernel ----------------------------------------------------------------------------------------------

if ffi is not None:
    POINTER_TYPE: dict[np.dtype[Any], Any] = {
        FLOAT32: ffi.typeof("float[]"),
        FLOAT64: ffi.typeof("double[]"),
        BOOL: ffi.typeof("uint8_t[]"),
        **{kind: ffi.typeof(f"{kind}_t[]") for kind in (*INTEGERS, UINT64)},
    }
else:
    POINTER_TYPE = dict.fromkeys((FLOAT32, FLOAT64, BOOL, *INTEGERS, UINT64))

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


# ---- what a call takes, in numbers for people ------------------------------------------------------------------------


class Work(NamedTuple):
    """The shapes of a call, its operations of floating point, and the bytes that it must at least read and write."""

    shapes: str
    operations: float
    bytes: float


# Operations for each element of the largest array, in float32, by the name of a kernel without its type; 1 for all others.
OPERATIONS: dict[str, int] = {}
# Where that is not the measure: the work of a call, from its arguments as they were recorded (capture/recorder.py).
WORK: dict[str, Callable[..., Work]] = {}


# ---- plans ---------------------------------------------------------------------------------------------------------


def remember(key: Any, plan: Any) -> Any:
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


def activation_code(activation: str, bias: Array | None = None, columns: int = 0) -> int:
    """What an epilogue's plan says for an activation, once the bias fits the columns it is for.

    Raises
    ------
    ValueError
        If no epilogue has the activation, or the bias is not one for each column.
    """
    codes = ENUMS["activation"]
    if activation not in codes:
        raise ValueError(explain(f"an activation out of {list(codes)}", repr(activation), "Apply others afterwards."))
    if bias is not None and bias.shape != (columns,):
        raise ValueError(explain(f"a bias of shape ({columns},)", bias.shape, "Give one bias for each output."))
    return codes[activation]


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
