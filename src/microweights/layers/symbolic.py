"""Symbols: tensors that are not there yet, by which a network is written down, and the calls that lead from one to the next."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from .. import activations, ops
from ..errors import TENSOR_HINTS, NotNumbers, explain, no_attribute
from ..state import no_grad
from ..tensor import OPERATORS, Tensor
from ..tree import leaves_of, map_structure

_next = count().__next__  # a call that was noted later has a larger number


class Spec(NamedTuple):
    """What is known of a tensor before it is computed."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


class Node:
    """A call of a layer, or of a function, on symbols.

    Attributes
    ----------
    part : Layer or Function
    args, options : nests
        What it was called with, symbols among it.
    outputs : nest of Symbols
    number : int
        Larger than those of all nodes that it depends on.
    """

    __slots__ = ("args", "number", "options", "outputs", "part")

    def __init__(self, part: Any, args: tuple[Any, ...], options: dict[str, Any], specs: Any) -> None:
        self.part, self.args, self.options, self.number = part, args, options, _next()
        places = count()
        self.outputs = map_structure(lambda spec: Symbol(spec, self, next(places)), specs, is_leaf=_is_spec)
        part._nodes.append(self)

    @property
    def inputs(self) -> list[Symbol]:
        return symbols_in((self.args, self.options))


class Symbol:
    """A tensor of a network that is being written down: its shape and type are known, and its numbers are not.

    :func:`microweights.Input` makes the first. Layers that are called on symbols return symbols, and so do operators, the
    methods of tensors, and functions such as `mw.concatenate`. `mw.Model(inputs, outputs)` makes a network of them.

    Attributes
    ----------
    shape : tuple
        With the axis of samples in front, which is None, as are other sizes that are not known.
    dtype : numpy.dtype
    name : str
        That of the layer it comes from.
    node : Node
        The call that it comes from.
    index : int
        Which of the results of that call it is.

    Examples
    --------
    >>> import microweights as mw
    >>> x = mw.Input((4,), name="features")
    >>> x, mw.layers.Dense(3)(x) * 2
    (<Symbol 'features' (None, 4)>, <Symbol 'mul' (None, 3)>)
    """

    __slots__ = ("dtype", "index", "node", "shape")
    __hash__ = object.__hash__

    def __init__(self, spec: Spec, node: Node, index: int) -> None:
        self.shape, self.dtype = spec
        self.node, self.index = node, index

    @property
    def name(self) -> str:
        return str(self.node.part.name)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def T(self) -> Symbol:
        """The axes in reverse order."""
        return self.transpose()  # type: ignore[no-any-return]

    @property
    def spec(self) -> Spec:
        return Spec(self.shape, self.dtype)

    def __repr__(self) -> str:
        kind = "" if self.dtype == np.float32 else f" {self.dtype}"
        return f"<Symbol {self.name!r} {self.shape}{kind}>"

    def apply(self, fn: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The symbols of what `fn` makes of symbols."""
        return Function(fn)._on_symbols(args, options)

    def __getattr__(self, name: str) -> Any:
        raise no_attribute(self, name, TENSOR_HINTS | dict.fromkeys(_OF_NUMBERS, _REMEDY))

    # ---- what needs numbers --------------------------------------------------------------------------------------

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise NotNumbers(self, explain("numbers", f"{self!r}, which has none before there is data", _REMEDY))

    __array__ = __float__ = __int__ = __bool__ = __index__ = __len__ = __iter__ = __setitem__ = __contains__ = _refuse

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """An operator with an array on the left."""
        names = OPERATORS.get(ufunc.__name__)
        if names is None or method != "__call__" or options or isinstance(inputs[0], Symbol):
            return self._refuse()
        return getattr(self, names[1])(inputs[0])


_REMEDY = (
    "Use operators and methods of tensors, or put the computation into the call(x) of a layer and call that; "
    "mw.Model(inputs, x) makes the function that gives the numbers."
)
_OF_NUMBERS = ("numpy", "item", "tolist", "backward", "detach", "assign", "grad", "data", "requires_grad", "size")
_OPERATORS = [*(name for pair in OPERATORS.values() for name in pair), "__neg__", "__abs__", "__getitem__"]
_METHODS = [
    "abs", "argmax", "argmin", "astype", "broadcast_to", "clip", "copy", "erf", "exp", "expm1", "gelu", "log", "log_softmax",
    "max", "mean", "min", "relu", "reshape", "sigmoid", "softmax", "softplus", "sqrt", "square", "sum", "tanh", "transpose",
    "var",
]  # fmt: skip


def _method(name: str) -> Callable[..., Any]:
    function = getattr(Tensor, name)

    def method(self: Symbol, *args: Any, **options: Any) -> Any:
        return self.apply(function, (self, *args), options)

    return functools.wraps(function)(method)


for _name in (*_OPERATORS, *_METHODS):
    setattr(Symbol, _name, _method(_name))


class Function:
    """A step of a network between layers, such as `x + y` or `mw.concatenate`: a function of tensors without weights."""

    given_name = None
    built = True

    def __init__(self, fn: Callable[..., Any], name: str | None = None) -> None:
        self.fn, self.name = fn, name or fn.__name__.strip("_")
        self.is_named = name is not None
        self._nodes: list[Node] = []

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.fn(*args, **options)

    def _on_symbols(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return Node(self, args, options, tried(self, args, options, 2)).outputs

    @property
    def output_shape(self) -> Any:
        return map_structure(lambda s: s.shape, self._nodes[0].outputs)

    def count_params(self) -> int:
        return 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_nodes": []}

    def get_config(self) -> dict[str, Any]:
        name = self.fn.__name__
        place = next(place for place, owner in _PLACES.items() if getattr(owner, name, None) is self.fn)
        return {"name": self.name, "function": f"{place}.{name}"}

    @classmethod
    def from_config(cls, config: dict[str, str]) -> Function:
        place, _, name = config["function"].partition(".")
        return cls(getattr(_PLACES[place], name), config["name"])

    def __repr__(self) -> str:
        return f"<Function {self.name!r}>"


_PLACES = {"Tensor": Tensor, "ops": ops, "activations": activations}  # of functions that take symbols


def symbols_in(x: Any) -> list[Symbol]:
    return [leaf for leaf in leaves_of(x) if isinstance(leaf, Symbol)]


def _is_spec(x: Any) -> bool:
    return isinstance(x, Spec)


def tried(part: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], trials: int) -> Any:
    """What comes out for symbols, as a nest of Specs: `part` is tried on zeros.

    In one trial the axis of samples is taken to be the first. Two trials with other sizes in the place of None show which sizes
    of the results are not known. They are made in any case where more than the number of samples is unknown.
    """
    shapes = [s.shape for s in symbols_in((args, options))]
    has_samples = any(shape[:1] == (None,) for shape in shapes)
    unknown = any(None in shape[1:] for shape in shapes)
    if not unknown and (trials == 1 or not has_samples):
        return map_structure(
            lambda t: Spec((None, *t.shape[1:]) if has_samples and t.ndim else t.shape, t.dtype),
            _on_zeros(part, args, options, 1, 1),
        )

    def spec(a: Tensor, b: Tensor) -> Spec:
        return Spec(tuple(n if n == m else None for n, m in zip(a.shape, b.shape, strict=True)), a.dtype)

    return map_structure(spec, _on_zeros(part, args, options, 2, 64), _on_zeros(part, args, options, 3, 128))


def _on_zeros(part: Callable[..., Any], args: Any, options: Any, samples: int, size: int) -> Any:
    """What a part gives for zeros, where None is so many samples, or such a size of another axis."""

    def zeros(x: Any) -> Any:
        if not isinstance(x, Symbol):
            return x
        sizes = [(samples if i == 0 else size) if n is None else n for i, n in enumerate(x.shape)]
        return Tensor(np.zeros(sizes, x.dtype))

    with no_grad():
        z = part(*map_structure(zeros, args), **map_structure(zeros, options))
    if not all(isinstance(t, Tensor) for t in leaves_of(z)):
        received = next(type(t).__name__ for t in leaves_of(z) if not isinstance(t, Tensor))
        remedy = "Return tensors, alone or in tuples, lists and dicts."
        raise TypeError(explain(f"tensors as what {part!r} returns for symbols", received, remedy))
    return z
