"""Tensor: a NumPy array that remembers which operation made it.

The operations themselves are in ops/, the walk back through them in autograd.py. The methods here only choose operations.
"""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Iterator, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

import numpy as np

from .autograd import backward
from .errors import TENSOR_HINTS, CaptureError, explain, no_attribute
from .kernels import door
from .parts import dependents
from .state import mark, overwritten, state, tick
from .tables import array_of, is_table

if TYPE_CHECKING:
    from .ops.base import Op

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]  # as numpy.typing.NDArray[Any], which costs 6 ms to import
Axis: TypeAlias = int | Sequence[int] | None
Operand: TypeAlias = Union["Tensor", Array, float, int, bool, Sequence[Any]]

# Ufuncs that NumPy calls for `array + tensor`: the method of a tensor on the left, and of one on the right.
OPERATORS = {
    "add": ("__add__", "__radd__"), "subtract": ("__sub__", "__rsub__"), "multiply": ("__mul__", "__rmul__"),
    "divide": ("__truediv__", "__rtruediv__"), "power": ("__pow__", "__rpow__"), "matmul": ("__matmul__", "__rmatmul__"),
    "less": ("__lt__", "__gt__"), "less_equal": ("__le__", "__ge__"), "greater": ("__gt__", "__lt__"),
    "greater_equal": ("__ge__", "__le__"), "equal": ("__eq__", "__eq__"), "not_equal": ("__ne__", "__ne__"),
}  # fmt: skip

FLOATS = (door.FLOAT32, door.FLOAT64)
ndarray = np.ndarray


class LostGradient(TypeError):
    """Values were asked for in a way that would leave the graph without a word."""


class Tensor:
    """An array in the graph of operations. Make one with :func:`tensor`.

    `Tensor(data)` and :func:`from_dlpack` share the memory of `data`: what is written there later, past the tensor, is in it,
    and a graph that needs the old values does not learn of it. `assign` and `t[...] = values` tell it.

    Attributes
    ----------
    data : numpy.ndarray
        The values: float32, float64, bool, or integers: int8 to int64, uint8 to uint32.
    requires_grad : bool
        Whether gradients flow back to it.
    grad : Tensor or None
        For a leaf that requires it, the gradient that :meth:`backward` added up, of the same shape.
    op : Op or None
        The operation that made it; None for a leaf.
    """

    __slots__ = ("__weakref__", "_base", "changed", "data", "grad", "keeps_grad", "logits", "mask", "op", "requires_grad")
    __hash__ = object.__hash__

    data: Array
    requires_grad: bool
    grad: Tensor | None
    op: Op | None
    keeps_grad: bool
    changed: int  # when the values were last overwritten, on the clock of state.py
    logits: Logits | None  # what went into the softmax or sigmoid that made it
    mask: Tensor | None  # which of its elements are data and no padding, as the layer says that made it; operations drop it
    _base: Tensor | None  # the tensor whose memory this one shares

    def __init__(self, data: Array, requires_grad: bool = False, base: Tensor | None = None) -> None:
        self.data = data if type(data) is ndarray else _only_an_array(data)
        self.requires_grad = requires_grad
        self.op = None
        self.grad = None
        self.keeps_grad = False
        self.changed = 0
        self.logits = None
        self.mask = None
        self._base = base

    # ---- what it is --------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def T(self) -> Tensor:
        """The axes in reverse order; no copy."""
        return ops.Transpose(tuple(range(self.ndim))[::-1])(self)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError(explain("a tensor with an axis", "a scalar", "Use .item() for its value."))
        return int(self.data.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        text = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        kind = "" if self.dtype in (door.FLOAT32, door.INT64, door.BOOL) else f", dtype={self.dtype}"
        flag = ", requires_grad=True" if self.requires_grad else ""
        return f"tensor({text}{kind}{flag})"

    @property
    def memory(self) -> Tensor:
        """The tensor that owns the memory of this one: itself, unless it is a view."""
        return self if self._base is None else self._base

    # ---- values out of the graph -------------------------------------------------------------------------------

    def numpy(self) -> Array:
        """The values as an array, without a copy."""
        if state.watch is not None:  # it is being recorded
            door.read(self.data)
            mark()
            state.watch.read.append((self.memory, self.memory.changed))
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        self._leaves_the_graph("an array made of it")
        converts = dtype is not None and np.dtype(dtype) != self.data.dtype
        if converts and copy is False:
            raise ValueError(explain("copy=None or True to change the type", "copy=False", "Ask for the type it has."))
        return np.array(self.numpy(), dtype) if copy or converts else self.numpy()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """An operator with an array on the left, or a function of NumPy's."""
        names = OPERATORS.get(ufunc.__name__)
        if names is None or method != "__call__" or options:
            return _by_numpy(getattr(ufunc, method), ufunc.__name__, inputs, options)
        left, right = inputs
        result = getattr(left, names[0])(right) if isinstance(left, Tensor) else getattr(right, names[1])(left)
        return ufunc.__name__ == "not_equal" if result is NotImplemented else result

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return _by_numpy(function, function.__name__, args, options)

    def _leaves_the_graph(self, what: str, remedy: str = "Compute with tensors") -> None:
        """Refuse it if that would lose a gradient."""
        if self.requires_grad and state.recording:
            ways = f"{remedy}, which keeps the gradient, or write .numpy() for the values, or .detach()."
            raise LostGradient(explain(f"a tensor outside of any graph for {what}", "one that requires a gradient", ways))

    def __dlpack__(self, **options: Any) -> Any:
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    def __copy__(self) -> Tensor:
        if self.op is not None and state.recording:
            return self.copy()
        t = Tensor(self.data, self.requires_grad, self.memory)
        t.grad = self.grad
        return t

    def __deepcopy__(self, memo: Any) -> Tensor:
        values, requires_grad, gradient = self.__reduce__()[1]
        return _leaf(values, requires_grad, copy.deepcopy(gradient, memo))

    def __reduce__(self) -> Any:
        if self.op is not None and state.recording:
            remedy = "Write .copy(), which stays in the graph, or .detach()."
            raise LostGradient(explain("a leaf, to be copied without its graph", "the result of an operation", remedy))
        return _leaf, (self.numpy(), self.requires_grad, self.grad)

    def item(self) -> Any:
        """The one value as a Python number.

        Raises
        ------
        ValueError
            If there is not exactly one.
        """
        if self.data.size != 1:
            raise ValueError(explain("a tensor of one element", f"shape {self.shape}", "Use .numpy() for the array."))
        return self.numpy().item()

    def tolist(self) -> Any:
        return self.numpy().tolist()

    def __float__(self) -> float:
        if self.requires_grad and state.recording:
            text = "float() of a tensor that requires a gradient gives a number without one. Compute with the tensor, or"
            warnings.warn(f"{text} write .item() where the number is meant.", stacklevel=2)
        return float(self.item())

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.item(), digits)

    def __format__(self, spec: str) -> str:
        if spec and self.data.size != 1:
            remedy = "Format its numbers one by one, or .numpy()."
            raise TypeError(explain(f"one number to format by {spec!r}", f"shape {self.shape}", remedy))
        return format(self.item(), spec) if spec else str(self)

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    # ---- the graph ---------------------------------------------------------------------------------------------

    def backward(self, gradient: Operand | None = None) -> None:
        """Add d self / d leaf to `.grad` of every leaf that requires it.

        Parameters
        ----------
        gradient : array, optional
            d result / d self, of this tensor's shape; 1 if this is a scalar.

        Raises
        ------
        RuntimeError
            If the tensor has no graph, is no scalar and no gradient is given, or was saved and then overwritten.
        """
        backward(self, gradient)

    def detach(self) -> Tensor:
        """The same values, outside the graph; no copy."""
        return Tensor(self.data, base=self.memory)

    def retain_grad(self) -> None:
        """Keep `.grad` at every backward although this is not a leaf."""
        self.keeps_grad = True

    def assign(self, values: Operand) -> None:
        """Replace the values in place, with broadcasting. Operations that saved the old ones will refuse to go backward.

        Raises
        ------
        ValueError
            If the new values do not broadcast to the shape.
        """
        self[...] = values

    def __setitem__(self, key: Any, value: Operand) -> None:
        source = as_tensor(value, saved=False)
        if state.recording and (self.requires_grad or source.requires_grad):
            remedy = "Do it under `with mw.no_grad():`, or use mw.where or mw.concatenate."
            raise RuntimeError(explain("to overwrite values outside the graph", "a tensor that requires a gradient", remedy))
        if not self.data.flags.writeable:
            raise ValueError(explain("a tensor that may be written to", "a read-only one", "Write to a .copy()."))
        values = source.data
        if self.dtype not in FLOATS and not np.array_equal(values, values.astype(self.dtype)):
            remedy = "Convert the values first, or make a tensor of the larger type."
            raise TypeError(explain(f"values that {self.dtype} can hold", values.dtype, remedy))
        try:
            if values.dtype != self.dtype:
                values = door.cast(values, self.dtype) if self.dtype in FLOATS else values.astype(self.dtype)
            self._write(ops.plain_index(key), values)
        except (IndexError, TypeError, ValueError) as error:
            received = f"an index {key!r} and values of shape {values.shape}: {error}"
            raise type(error)(
                explain(f"an index into shape {self.shape} and values that fit", received, "Check both.")
            ) from None
        overwritten((self,))

    def _write(self, index: Any, values: Array) -> None:
        if is_basic_index(index) and self.dtype in FLOATS:
            window = self.data[ops.with_ellipsis(index)]
            door.copy_to(door.unary("copy", values) if np.may_share_memory(values, window) else values, window)
        else:
            door.refuse("a writing by an array of indices or of integers")
            self.data[index] = values

    def _overwrite_with(self, result: Tensor) -> Tensor:
        self[...] = result if state.recording else result.detach()
        return self

    def zeros_like(self) -> Tensor:
        """Zeros of the same shape and type."""
        return Tensor(door.zeros(self.shape, self.dtype) if self.dtype in FLOATS else np.zeros_like(self.data))

    if not TYPE_CHECKING:  # which would take it for a licence to ask for any attribute

        def __getattr__(self, name: str) -> Any:
            numpys = f"np.{name}(x.numpy()) gives the values, without a gradient."
            hints = TENSOR_HINTS if name in TENSOR_HINTS or not hasattr(np, name) else {name: numpys}
            raise no_attribute(self, name, hints)

    # ---- arithmetic --------------------------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Tensor:
        return ops.Add()(*operands(self, other))

    def __radd__(self, other: Operand) -> Tensor:
        return ops.Add()(*operands(other, self))

    def __sub__(self, other: Operand) -> Tensor:
        return ops.Subtract()(*operands(self, other))

    def __rsub__(self, other: Operand) -> Tensor:
        return ops.Subtract()(*operands(other, self))

    def __mul__(self, other: Operand) -> Tensor:
        return ops.Multiply()(*operands(self, other))

    def __rmul__(self, other: Operand) -> Tensor:
        return ops.Multiply()(*operands(other, self))

    def __truediv__(self, other: Operand) -> Tensor:
        return ops.Divide()(*operands(self, other))

    def __rtruediv__(self, other: Operand) -> Tensor:
        return ops.Divide()(*operands(other, self))

    def __pow__(self, other: Operand) -> Tensor:
        if isinstance(other, (int, float)) and other == 2:
            return ops.Square()(real(self))
        return ops.Power()(*operands(self, other))

    def __rpow__(self, other: Operand) -> Tensor:
        return ops.Power()(*operands(other, self))

    def __matmul__(self, other: Operand) -> Tensor:
        return ops.matmul(*operands(self, other))

    def __rmatmul__(self, other: Operand) -> Tensor:
        return ops.matmul(*operands(other, self))

    def __neg__(self) -> Tensor:
        return ops.Negative()(real(self))

    def __abs__(self) -> Tensor:
        return ops.Absolute()(real(self))

    def __iadd__(self, other: Operand) -> Tensor:
        return self._overwrite_with(self + other)

    def __isub__(self, other: Operand) -> Tensor:
        return self._overwrite_with(self - other)

    def __imul__(self, other: Operand) -> Tensor:
        return self._overwrite_with(self * other)

    def __itruediv__(self, other: Operand) -> Tensor:
        return self._overwrite_with(self / other)

    # ---- comparison: tensors of bool, outside the graph ----------------------------------------------------------

    def __lt__(self, other: Operand) -> Tensor:
        return ops.compare("less", self, other)

    def __le__(self, other: Operand) -> Tensor:
        return ops.compare("less_equal", self, other)

    def __gt__(self, other: Operand) -> Tensor:
        return ops.compare("less", other, self)

    def __ge__(self, other: Operand) -> Tensor:
        return ops.compare("less_equal", other, self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._compared("equal", other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._compared("not_equal", other)

    def _compared(self, kernel: str, other: Any) -> Tensor:
        """What holds no numbers (None, a text) is equal to no tensor: Python says so if we don't know."""
        return NotImplemented if other is None or isinstance(other, str) else ops.compare(kernel, self, other)

    # ---- functions of one tensor -------------------------------------------------------------------------------

    def exp(self) -> Tensor:
        return ops.Exp()(real(self))

    def expm1(self) -> Tensor:
        """eˣ - 1, exact near 0."""
        return ops.Expm1()(real(self))

    def log(self) -> Tensor:
        return ops.Log()(real(self))

    def sqrt(self) -> Tensor:
        return ops.Sqrt()(real(self))

    def square(self) -> Tensor:
        return ops.Square()(real(self))

    def abs(self) -> Tensor:
        return ops.Absolute()(real(self))

    def tanh(self) -> Tensor:
        return ops.Tanh()(real(self))

    def sigmoid(self) -> Tensor:
        return ops.Sigmoid()(real(self))

    def relu(self) -> Tensor:
        return ops.Relu()(real(self))

    def gelu(self) -> Tensor:
        return ops.Gelu()(real(self))

    def erf(self) -> Tensor:
        return ops.Erf()(real(self))

    def softplus(self) -> Tensor:
        return ops.Softplus()(real(self))

    def softmax(self, axis: int = -1) -> Tensor:
        """exp(x) / Σ exp(x) along one axis."""
        return ops.along_last_axis(ops.Softmax(), real(self), axis)

    def log_softmax(self, axis: int = -1) -> Tensor:
        """ln softmax(x) along one axis, without underflow."""
        return ops.along_last_axis(ops.LogSoftmax(), real(self), axis)

    def clip(self, low: Operand | None = None, high: Operand | None = None) -> Tensor:
        """The values limited to [low, high]; None is no limit. At a limit, the gradient is still that of the values."""
        result = self
        if low is not None:
            result = ops.Maximum(is_limit=True)(*operands(result, low))
        return result if high is None else ops.Minimum(is_limit=True)(*operands(result, high))

    # ---- reductions --------------------------------------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return ops.Sum(ops.axes_of(axis, self.ndim), keepdims)(real(self))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return ops.Mean(ops.axes_of(axis, self.ndim), keepdims)(real(self))

    def var(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean squared distance from the mean (divided by n, as NumPy's)."""
        return (self - self.mean(axis, keepdims=True)).square().mean(axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest value; where several are equal, they share the gradient."""
        return ops.Max(ops.axes_of(axis, self.ndim), keepdims)(real(self))

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return ops.Min(ops.axes_of(axis, self.ndim), keepdims)(real(self))

    def argmax(self, axis: int | None = None) -> Tensor:
        """The index of the first largest value, as int64; outside the graph."""
        return ops.arg_reduce("argmax", self, axis)

    def argmin(self, axis: int | None = None) -> Tensor:
        return ops.arg_reduce("argmin", self, axis)

    # ---- shape -------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Tensor:
        return ops.index(self, key)

    def reshape(self, *shape: Any) -> Tensor:
        return ops.reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape)

    def transpose(self, *axes: Any) -> Tensor:
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)) else axes
        return ops.transpose(self, tuple(order) if order else None)

    def broadcast_to(self, shape: Sequence[int]) -> Tensor:
        return ops.broadcast_to(self, shape)

    def copy(self) -> Tensor:
        """The same values in memory of their own; gradients flow through."""
        return ops.Copy()(self) if self.dtype in FLOATS else Tensor(self.numpy().copy())

    def astype(self, dtype: Any) -> Tensor:
        """The values in another type; gradients flow through to floats only."""
        return ops.astype(self, known_dtype(dtype))


class Guarded(Tensor):
    """A tensor on whose memory programs work: they must learn of another array in its place, and of freezing.

    A tensor becomes one when it takes part in a recording, and stays one. There is no other difference.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("data", "requires_grad"):
            for validity in dependents(self):
                validity.valid = False
        object.__setattr__(self, name, value)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor holding a copy of `data`.

    Python numbers become float32, int64 or bool; arrays keep their type if it is one of a tensor's (float32, float64, bool,
    int8 to int64, uint8 to uint32), and other numbers go to the nearest of these: float16 to float32, uint64 to int64.

    Tensors that are in a graph, alone or in lists, stay in it: the result is theirs and no leaf. Pass `.detach()` for one.

    Parameters
    ----------
    data : number, nested list, array or Tensor
    dtype : data type, optional
    requires_grad : bool

    Raises
    ------
    TypeError
        If `data` does not hold numbers, or integers are to require a gradient.
    ValueError
        If a nested list is ragged.

    Examples
    --------
    >>> tensor([1.0, 2.0]) * 3
    tensor([3., 6.])
    """
    is_tracked = isinstance(data, Tensor) and data.requires_grad and state.recording
    found = as_tensor(data.numpy() if isinstance(data, Tensor) and not is_tracked else data, dtype, saved=False)
    if found.requires_grad and state.recording:
        return found.copy() if found is data else found
    values = door.aligned(found.data)
    if requires_grad and values.dtype not in FLOATS:
        raise TypeError(explain("floating-point data to require a gradient", values.dtype, "Pass dtype='float32'."))
    return Tensor(values, bool(requires_grad))


def _leaf(values: Array, requires_grad: bool, gradient: Tensor | None) -> Tensor:
    """A copy of a leaf, or what pickle makes of one."""
    t = Tensor(door.aligned(values), requires_grad)
    t.grad = gradient
    return t


_KINDS = {*FLOATS, door.BOOL, *door.INTEGERS}


def _only_an_array(data: Any) -> Array:
    if not isinstance(data, (np.ndarray, np.generic)):
        remedy = "Make it with mw.tensor(...), which takes numbers and lists, too."
        raise TypeError(explain("an array to make a Tensor of", f"{type(data).__name__}", remedy))
    return np.asarray(without_mask(data))


def without_mask(data: Any) -> Any:
    """`data`, if it has no masked elements: their values are nobody's.

    Raises
    ------
    TypeError
        If it has some.
    """
    parts = data if isinstance(data, (list, tuple)) and len(data) and isinstance(data[0], ndarray) else (data,)
    if any(type(p) is not ndarray and isinstance(p, ndarray) and hasattr(p, "filled") and np.ma.is_masked(p) for p in parts):
        remedy = "Write .filled(value) for what stands in their place, or .compressed()."
        raise TypeError(explain("an array of which no element is masked", "a masked array", remedy))
    return data


def as_array(data: Any, dtype: Any = None) -> Array:
    """`data` as an array of a tensor's types, in native byte order; a copy only where it must be."""
    if type(data) is ndarray and dtype is None and data.dtype in _KINDS and data.flags.carray:
        return data  # as nearly all are
    if isinstance(data, Tensor):
        data = data.data
    elif type(data) is not ndarray and is_table(data):
        data = array_of(data)
    try:
        values = np.asarray(data if type(data) is ndarray else without_mask(data))
    except ValueError:
        raise ValueError(explain("rows of one length", "a ragged nested list", "Pad the shorter rows.")) from None
    if values.dtype.kind not in "fiub":
        remedy = "Write .toarray()." if hasattr(data, "toarray") else "Convert it to numbers first."
        raise TypeError(explain("numbers: floats, integers or booleans", f"{type(data).__name__} of {values.dtype}", remedy))
    if dtype is not None:
        wanted = known_dtype(dtype)
    elif isinstance(data, np.ndarray | np.generic):
        wanted = values.dtype.newbyteorder("=")
    else:
        wanted = door.FLOAT32 if values.dtype.kind == "f" else values.dtype
    if wanted not in _KINDS:
        if wanted.kind not in "fiu":
            raise TypeError(explain(f"a type out of {sorted(map(str, _KINDS))}", wanted, "Choose one of these."))
        wanted = door.INT64 if wanted.kind in "iu" else door.FLOAT32 if wanted.itemsize < 4 else door.FLOAT64
    if (
        wanted.kind in "iu"
        and values.dtype != wanted
        and values.dtype.kind in "fiu"
        and values.size
        and not _fits(values, wanted)
    ):
        remedy = "Use float64 for larger numbers."
        raise ValueError(explain(f"numbers that {wanted} can hold", f"values up to {values.max()}", remedy))
    if any(s % values.itemsize for s in values.strides) or not values.flags.aligned:
        values = values.copy()  # C steps from element to element, not from byte to byte
    return values.astype(wanted, copy=False)


def _fits(values: Array, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    if values.dtype.kind == "f":  # the largest int64 is no float, the number after it is; NaN fits nowhere
        return bool(values.min() >= float(limits.min) and values.max() < float(limits.max) + 1)
    return bool(values.min() >= limits.min and values.max() <= limits.max)


def known_dtype(dtype: Any) -> np.dtype[Any]:
    """The type that a name or a NumPy type stands for, if tensors can have it.

    Raises
    ------
    TypeError
        If it is none of float32, float64, bool, int8 to int64, uint8 to uint32.
    """
    try:
        found: np.dtype[Any] | None = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        found = None
    if found is None or found not in _KINDS:
        raise TypeError(explain(f"a type out of {sorted(map(str, _KINDS))}", repr(dtype), "Choose one of these."))
    return found


_constants: dict[tuple[Any, np.dtype[Any]], Tensor] = {}


def constant(value: Any, dtype: np.dtype[Any]) -> Tensor:
    """A Python number as a tensor of a given type. The few that a program uses are made once."""
    key = (value, dtype) if value else (repr(value), dtype)  # 0.0 and -0.0 are equal, but not the same
    found = _constants.get(key)
    if found is None:
        if len(_constants) >= 1024:
            _constants.clear()
        found = _constants[key] = Tensor(np.array(value, dtype))
        found.data.flags.writeable = False
    return found


def all_constants() -> list[Tensor]:
    return list(_constants.values())


def real(x: Operand) -> Tensor:
    """`x` as a tensor of floats: integers and booleans become float32."""
    t = x if isinstance(x, Tensor) else as_tensor(x)
    return t if t.data.dtype in FLOATS else ops.astype(t, door.FLOAT32)


def operands(x: Operand, y: Operand) -> tuple[Tensor, Tensor]:
    """Two operands as tensors of one floating-point type.

    It is float64 if one of them is a tensor or array of float64, else float32; Python numbers, lists, integers and booleans
    take it on.
    """
    a, b = _float_type(x), _float_type(y)
    common = b if a is None else a if b is None or a == b else door.FLOAT64
    return _as_float(x, common or door.FLOAT32, y), _as_float(y, common or door.FLOAT32, x)


def _float_type(x: Operand) -> np.dtype[Any] | None:
    """float32 or float64, or None for what takes on the type of the other side."""
    if not isinstance(x, (Tensor, np.ndarray)):
        return None
    dtype = x.dtype
    if dtype in FLOATS:
        return dtype
    return None if dtype.kind in "iub" else door.FLOAT32 if dtype.itemsize < 4 else door.FLOAT64


def _as_float(x: Operand, dtype: np.dtype[Any], other: Operand) -> Tensor:
    if isinstance(x, Tensor):
        return x if x.data.dtype == dtype else ops.astype(x, dtype)
    if isinstance(x, (int, float)):
        try:
            return constant(x, dtype)
        except OverflowError:
            raise OverflowError(explain("a number that floats can hold", "an integer beyond", "Use a smaller one.")) from None
    return as_tensor(x, dtype, saved=not isinstance(other, Tensor) or other.requires_grad)


def as_tensor(x: Any, dtype: Any = None, saved: bool = True) -> Tensor:
    """Anything that holds numbers as a tensor. A list of tensors keeps their graph.

    Where a graph may save it, an array is copied: its owner fills it again, as loaders of data do with the next batch. What a
    captured function uses is guarded otherwise.
    """
    if isinstance(x, Tensor):
        return x if dtype is None else ops.astype(x, known_dtype(dtype))
    try:
        values = as_array(x, dtype)
    except (LostGradient, CaptureError):
        if not isinstance(x, (list, tuple)):
            raise
        joined = _stacked(x, _common_float(x))
        return joined if dtype is None else ops.astype(joined, known_dtype(dtype))
    is_saved = saved and state.recording and state.watch is None and not isinstance(x, (list, tuple, Number))
    return Tensor(values.copy() if is_saved and (values is x or np.may_share_memory(values, x)) else values)


def _common_float(x: Any) -> np.dtype[Any]:
    """float64 if a tensor or array in a nested list is of it, else float32."""
    kinds = (_common_float(v) if isinstance(v, (list, tuple)) else _float_type(v) for v in x)
    return door.FLOAT64 if door.FLOAT64 in kinds else door.FLOAT32


def _stacked(x: Any, dtype: np.dtype[Any]) -> Tensor:
    """A nested list, some of whose parts are tensors, as one tensor with their graph."""
    return ops.stack([_stacked(v, dtype) if isinstance(v, (list, tuple)) else _as_float(v, dtype, x) for v in x])


def _by_numpy(function: Any, name: str, args: Any, options: Any) -> Any:
    """A function of NumPy's on the values of tensors that are in no graph; those that are in one have their own functions."""

    def values(x: Any) -> Any:
        if isinstance(x, Tensor):
            ours = f"x.{name}()" if hasattr(Tensor, name) else f"mw.{name}" if hasattr(ops, name) else "operations of tensors"
            x._leaves_the_graph(f"NumPy's {name}", TENSOR_HINTS.get(name, f"Write {ours}").rstrip("."))
            shown = x.numpy().view()
            shown.flags.writeable = False  # the tensor would not learn of it
            return shown
        return type(x)(map(values, x)) if type(x) in (list, tuple) else x

    return function(*values(tuple(args)), **{key: values(option) for key, option in options.items()})


class Logits(NamedTuple):
    """What went into the softmax or sigmoid that made a tensor of probabilities, for losses that are exact on it."""

    activation: str
    values: Tensor
    owner: weakref.ref[Tensor]  # of the memory, which may be overwritten
    since: int

    def still_give(self, probabilities: Tensor) -> bool:
        """Whether these probabilities, into whose array anybody may have written, are what the logits give."""
        if state.watch is not None:  # a recording does not look at values, and notices what is written past it
            return True
        x, p = self.values.data, probabilities.data
        z = door.rowwise("softmax", x) if self.activation == "softmax" else door.unary("sigmoid", x)
        return z.shape == p.shape and (bool((z == p).all()) or np.array_equal(z, p, equal_nan=True))


def remember_logits(probabilities: Tensor, values: Tensor, activation: str) -> Tensor:
    """Note on `probabilities` what they came from; outside the graph without holding on to what that came from."""
    kept = values if probabilities.requires_grad else Tensor(values.data)
    probabilities.logits = Logits(activation, kept, weakref.ref(values.memory), tick())
    return probabilities


def is_basic_index(key: Any) -> bool:
    """Whether an index consists of integers, slices, None and Ellipsis, so that NumPy answers with a view."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(
        p is None or p is Ellipsis or (isinstance(p, (slice, int, np.integer)) and not isinstance(p, (bool, np.bool_)))
        for p in parts
    )


def from_dlpack(x: Any) -> Tensor:
    """A tensor that shares the memory of another library's array, through the DLPack protocol; no copy."""
    try:
        values = np.from_dlpack(x)
    except (TypeError, AttributeError, BufferError, RuntimeError) as error:
        remedy = "Move it to the CPU, or pass it to mw.tensor."
        raise TypeError(explain("an array that speaks DLPack, on the CPU", f"{type(x).__name__}: {error}", remedy)) from None
    if values.dtype not in _KINDS:
        raise TypeError(explain(f"a type out of {sorted(map(str, _KINDS))}", values.dtype, "Convert it first."))
    return Tensor(values)


from . import ops  # noqa: E402  the operations are written on tensors, so tensors must be there first
