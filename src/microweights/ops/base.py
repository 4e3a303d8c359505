"""What every operation is made of, and the table of all of them."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

import numpy as np

from ..errors import NotNumbers, explain
from ..state import state, tick
from ..tensor import FLOATS, Axis, Tensor

__all__ = ["OPS", "Case", "Op"]

OPS: dict[str, type[Op]] = {}

_data, _requires_grad = attrgetter("data"), attrgetter("requires_grad")


class Case(NamedTuple):
    """An example on which the tests try an operation: shapes of the inputs, their range, and the operation's parameters."""

    shapes: tuple[tuple[int, ...], ...]
    low: float
    high: float
    parameters: dict[str, Any]


def case(*shapes: tuple[int, ...], low: float = -2.0, high: float = 2.0, **parameters: Any) -> Case:
    return Case(shapes, low, high, parameters)


class Op:
    """One operation: `forward` on arrays, `backward` on tensors.

    A subclass states its formula as docstring, computes it in `forward` by calling kernels, and gives in `backward` the
    gradient of each input from `dz`, the gradient of its result, in terms of operations on tensors: so a gradient can
    itself be differentiated. Parameters that are not tensors go to `__init__`. Defining the class puts it into `OPS`.

    Values may be overwritten in place, as weights are by an update. Each overwriting takes the next number of a clock
    (state.py), and so does each recording: an operation whose inputs were overwritten later refuses to go backward.

    Within `backward`, `self.inputs` are the tensors it was called with, `self.output` is its result, and `self.needs` says
    for which inputs a gradient is wanted; None may stand for any other.

    An operation with several results returns a tuple of arrays from `forward`, and its `backward` gets a gradient for each of
    them: None for one that nothing was computed from. Results of integers, such as places, stay outside the graph. What
    `backward` needs of the results `forward` keeps on `self`, and `backward` calls :meth:`check_results` first.
    """

    cases: ClassVar[Sequence[Case]] = ()
    is_view: bool = False  # the result shares the memory of the first input
    adds_in_place: ClassVar[bool] = False  # it has an `add_to`

    _inputs: tuple[Tensor, ...]
    _output: Tensor | None
    needs: tuple[bool, ...]
    _results: list[weakref.ref[Tensor]] | None = None  # if there are several
    owner: Tensor | None = None  # of an array among the parameters: no input, but it must not be overwritten either
    recorded_at: int = 0  # on the clock of state.py; 0 until then

    def __init_subclass__(cls) -> None:
        if "forward" in vars(cls):
            OPS[cls.__name__] = cls

    def __call__(self, *inputs: Tensor) -> Tensor:  # or a tuple of them, if there are several
        """Compute the result and, if a gradient may be asked of it, remember how it came about."""
        z: Any = self.forward(*map(_data, inputs))
        if type(z) is tuple:
            z = tuple(map(Tensor, z))
            self._share_memory(z, inputs[0])
        else:
            z = Tensor(z)
            if self.is_view and np.may_share_memory(z.data, inputs[0].data):
                z._base = inputs[0].memory
        if state.watch is not None:
            state.watch.inputs += inputs
        if state.recording:
            needs = tuple(map(_requires_grad, inputs))
            if True in needs:
                if self.recorded_at:
                    name = type(self).__name__
                    raise RuntimeError(explain(f"each {name}() to be called once", "a second call", f"Make another {name}()."))
                self._inputs, self.needs, self.recorded_at = inputs, needs, tick()
                if type(z) is tuple:
                    self._enter_graph(z)
                else:
                    z.requires_grad, z.op = True, self
        return z  # type: ignore[no-any-return]

    def _share_memory(self, results: tuple[Tensor, ...], x: Tensor) -> None:
        for z in results:
            if self.is_view and np.may_share_memory(z.data, x.data):
                z._base = x.memory

    def _enter_graph(self, results: tuple[Tensor, ...]) -> None:
        self._results = list(map(weakref.ref, results))
        for z in results:
            if z.data.dtype in FLOATS:
                z.requires_grad, z.op = True, self

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError

    def backward(self, *dz: Any) -> Tensor | tuple[Tensor | None, ...] | None:
        raise NotImplementedError

    def add_to(self, dx: Tensor, dz: Tensor) -> None:
        """What `backward` gives for the one input, added to a gradient that nobody else holds, where that is less work."""
        raise NotImplementedError

    def gradients(self, output: Tensor, dz: Any) -> tuple[Tensor | None, ...]:
        """What `backward` gives, as a tuple; called by the backward walk only. Several gradients come by the ids of results."""
        if type(dz) is dict:
            result = self.backward(*map(dz.get, [id(z()) for z in self._results or ()]))
        else:
            self._output = output
            try:
                result = self.backward(dz)
            finally:
                self._output = None  # the result refers to its operation; the other way round would be a cycle
        gradients = result if isinstance(result, tuple) else (result,)
        if len(gradients) != len(self._inputs):
            expected = f"{len(self._inputs)} gradients from the backward of {type(self).__name__}"
            raise ValueError(explain(expected, len(gradients), "Return one for each input, or None."))
        return gradients

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        for x in self._inputs:  # its memory's `changed`, without a call for each
            if (x if x._base is None else x._base).changed > self.recorded_at:
                self.refuse("input")
        return self._inputs

    def input(self, i: int) -> Tensor:
        """One of the inputs, for a backward that does not use them all."""
        x = self._inputs[i]
        if (x if x._base is None else x._base).changed > self.recorded_at:
            self.refuse("input")
        return x

    @property
    def output(self) -> Tensor:
        z = self._output
        assert z is not None
        if (z if z._base is None else z._base).changed > self.recorded_at:
            self.refuse("result")
        return z

    def check_results(self) -> None:
        """The same for several results, where `backward` uses what `forward` kept of them."""
        results = [z() for z in self._results or ()]
        if any(z is not None and z.memory.changed > self.recorded_at for z in results):
            self.refuse("result")

    def is_of(self, owner: Tensor | None) -> None:
        """Say in `__init__` which tensor an array among the parameters is of, such as labels; None if it is of none."""
        self.owner = owner
        if owner is not None and state.watch is not None:
            state.watch.inputs.append(owner)

    def check_owner(self, role: str) -> None:
        """The same in `backward`, for that array, as `inputs` does for the inputs."""
        if self.owner is not None and self.owner.memory.changed > self.recorded_at:
            self.refuse(role)

    def refuse(self, role: str) -> None:
        expected = f"the {role} that {type(self).__name__} saved to be unchanged"
        raise RuntimeError(explain(expected, "an overwritten one", "Go backward before overwriting it, or overwrite a copy."))


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


def with_ellipsis(key: Any) -> tuple[Any, ...]:
    """The same index, but so that NumPy answers with a view even where it names a single element."""
    parts = key if isinstance(key, tuple) else (key,)
    return parts if any(part is Ellipsis for part in parts) else (*parts, Ellipsis)


F = TypeVar("F", bound=Callable[..., Any])


def takes_symbols(function: F) -> F:
    """The function, which for symbols (layers/symbolic.py) returns symbols."""

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except NotNumbers as error:
            return error.symbol.apply(called, args, options)

    return cast(F, called)
