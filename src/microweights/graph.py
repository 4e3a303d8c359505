"""The backward walk: from a result back through the operations that made it, gradients passed from each to its inputs."""

from __future__ import annotations

import functools
import heapq
import inspect
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .errors import explain

if TYPE_CHECKING:
    from .tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])

# The clock: every operation and every overwriting of values takes the next number, so that of two events the earlier is known.
tick = count(1).__next__


class Watch:
    """What a recording must know of the tensors that take part in it."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []  # of operations
        self.changed: list[Tensor] = []  # whose values were overwritten
        self.read: list[tuple[Tensor, int]] = []  # whose values were read, and when these had been overwritten last
        self.given: list[Tensor] = []  # to which backward gave a gradient
        self.adds = False  # whether it added to one that was there before


class Layout:
    """Counts the changes of the parts of networks: what was captured before one may not be what they do now.

    A part whose attributes say what it computes inherits from it.
    """

    changes = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if state.watch is None:
            Layout.changes += 1
        super().__setattr__(name, value)


class _State(threading.local):  # each thread has its own
    def __init__(self) -> None:
        self.before: list[bool] = []  # what `recording` was outside of each no_grad that is open

    recording = True  # whether operations are being recorded for backward
    training = False  # whether the outermost call of a layer is part of a training
    watch: Watch | None = None


state = _State()


def overwritten(tensors: Iterable[Tensor]) -> None:
    """Note that the values of these tensors are others now."""
    now, watch = tick(), state.watch
    for t in tensors:
        memory = t if t._base is None else t._base
        memory.changed = now
        if watch is not None:
            watch.changed.append(memory)


class no_grad:
    """Within this context nothing is recorded: results do not require gradients.

    It decorates functions, generators and coroutines, too, with or without parentheses. A generator or coroutine records
    nothing in its own steps, and what runs between them is not concerned; nor are other threads.

    >>> import microweights as mw
    >>> w = mw.tensor(2.0, requires_grad=True)
    >>> with mw.no_grad():
    ...     print((w * 3).requires_grad)
    False
    >>> @mw.no_grad
    ... def tripled():
    ...     return w * 3
    >>> tripled().requires_grad
    False
    """

    @overload
    def __new__(cls) -> no_grad: ...
    @overload
    def __new__(cls, fn: F) -> F: ...  # type: ignore[misc]
    def __new__(cls, fn: Any = None) -> Any:
        return super().__new__(cls) if fn is None else super().__new__(cls)(fn)

    def __enter__(self) -> None:
        state.before.append(state.recording)
        state.recording = False

    def __exit__(self, *error: object) -> None:
        state.recording = state.before.pop()

    def __call__(self, fn: F) -> F:
        if not callable(fn) or isinstance(fn, type) or inspect.isasyncgenfunction(fn):
            remedy = "Write `with mw.no_grad():` inside of it."
            raise TypeError(explain("a function, generator or coroutine to decorate", repr(fn), remedy))

        async def coroutine(*args: Any, **named: Any) -> Any:
            return await _stepwise(fn(*args, **named))

        def generator(*args: Any, **named: Any) -> Any:
            return (yield from _stepwise(fn(*args, **named)))

        def function(*args: Any, **named: Any) -> Any:
            with self:
                return fn(*args, **named)

        is_coroutine, is_generator = inspect.iscoroutinefunction(fn), inspect.isgeneratorfunction(fn)
        return functools.wraps(fn)(coroutine if is_coroutine else generator if is_generator else function)  # type: ignore


@types.coroutine
def _stepwise(steps: Any) -> Any:
    """Run a generator or coroutine, each of its steps in :class:`no_grad`."""
    go, value = steps.send, None
    try:
        while True:
            with no_grad():
                item = go(value)
            try:
                go, value = steps.send, (yield item)
            except GeneratorExit:
                with no_grad():
                    steps.close()
                raise
            except BaseException as error:
                go, value = steps.throw, error
    except StopIteration as end:
        return end.value


@contextmanager
def gradients() -> Iterator[None]:
    """Within this context operations are recorded for backward, even inside of :class:`no_grad`."""
    before, state.recording = state.recording, True
    try:
        yield
    finally:
        state.recording = before


def backward(root: Tensor, gradient: Any = None) -> None:
    """Add d root / d leaf to `.grad` of every leaf that requires it, and of tensors that were asked to retain it."""
    start = first_gradient(root, gradient)
    shared = {id(start.data)}

    def deposit(t: Tensor, dz: Tensor) -> None:
        if state.watch is not None:
            state.watch.adds |= t.grad is not None and not any(g is t for g in state.watch.given)
            state.watch.given.append(t)
        t.grad = owned(dz, shared) if t.grad is None else t.grad + dz

    with no_grad():
        for leaf, dz in walk(root, start, lambda t, dz: deposit(t, dz) if t.keeps_grad else None):
            deposit(leaf, dz)


def owned(dz: Tensor, shared: set[int]) -> Tensor:
    """A gradient as the user gets it: in memory that nobody else holds."""
    data = dz.data
    if id(data) in shared or data.base is not None or not data.flags.writeable:
        dz = dz.copy()
    shared.add(id(dz.data))
    return dz


def grad(outputs: Tensor, inputs: Tensor | Sequence[Tensor], gradient: Any = None, create_graph: bool = False) -> Any:
    """d outputs / d inputs, without touching any `.grad`.

    Parameters
    ----------
    outputs : Tensor
        A scalar, or any shape together with `gradient`.
    inputs : Tensor or sequence of Tensors
        Leaves or results, which require gradients.
    gradient : array, optional
        d result / d outputs, of the shape of `outputs`.
    create_graph : bool
        Record the gradient's own operations, so that it can be differentiated again.

    Returns
    -------
    Tensor, or a list of Tensors for a sequence
        Of the shapes of `inputs`; zeros where `outputs` does not depend on one.

    Raises
    ------
    TypeError
        If an input is no tensor.
    RuntimeError
        If an input does not require a gradient, and as :meth:`Tensor.backward`.

    Examples
    --------
    >>> import microweights as mw
    >>> x = mw.tensor(2.0, requires_grad=True)
    >>> first = mw.grad(x**3, x, create_graph=True)
    >>> first.item(), mw.grad(first, x).item()
    (12.0, 12.0)
    """
    wanted: list[Tensor] = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]  # type: ignore[list-item]
    results = set()
    for t in wanted:
        if type(t) is not type(outputs):
            raise TypeError(explain("inputs that are tensors", type(t).__name__, "Pass the tensors themselves."))
        if not t.requires_grad:
            remedy = "Set requires_grad=True before computing with it."
            raise RuntimeError(explain("inputs that require a gradient", "one that does not", remedy))
        if t.op is not None:
            results.add(id(t))
    found: dict[int, Tensor] = {}

    def remember(t: Tensor, dz: Tensor) -> None:
        if id(t) in results:
            found[id(t)] = dz

    before, state.recording = state.recording, create_graph
    try:
        start = first_gradient(outputs, gradient)
        shared = {id(start.data)}
        for leaf, dz in walk(outputs, start, remember if results else None):
            found[id(leaf)] = dz
        gradients = [owned(found[id(t)], shared) if id(t) in found else t.zeros_like() for t in wanted]
    finally:
        state.recording = before
    return gradients if isinstance(inputs, (list, tuple)) else gradients[0]


def walk(root: Tensor, start: Tensor, visit: Callable[[Tensor, Tensor], None] | None) -> list[tuple[Tensor, Tensor]]:
    """Go back from `root`, whose gradient is `start`, to every leaf that requires one; return these with their gradients.

    Every result on the way, with its whole gradient, is shown to `visit`, the latest first.

    Why "latest first", and not simply from each tensor on to its inputs? Take

        b = a + a
        c = b + b          dc/da = 4

    c sends 1 to b twice. Were b to pass on what it has as soon as something arrives, it would send 1 to a, and later, with
    the second arrival, 2 more: 1 + 1 + 2 + 2, and a tower of such steps would cost twice as much with each floor. So a tensor
    must not be looked at before everything that was computed from it has been: a topological order. The graph has one built
    in. An operation can only use what is there already, so the order in which operations were recorded, read backward, is
    such an order. The heap gives the latest of the tensors whose gradients are pending.

    It is a loop and not a recursion: a chain of 100,000 operations is deeper than Python's stack.
    """
    pending = {id(root): start}
    heap = [(-root.op.recorded_at, root)] if root.op else []
    leaves = [] if root.op else [root]
    while heap:
        t = heapq.heappop(heap)[1]
        dz = pending.pop(id(t))
        if visit is not None:
            visit(t, dz)
        op: Any = t.op
        for x, dx in zip(op._inputs, op.gradients(t, dz)):
            if dx is None or not x.requires_grad:
                continue
            if dx.data.shape != x.data.shape:
                dx = unbroadcast(dx, x.data.shape)
            key = id(x)
            if key in pending:
                pending[key] = pending[key] + dx
            else:
                pending[key] = dx
                if x.op is None:
                    leaves.append(x)
                else:
                    heapq.heappush(heap, (-x.op.recorded_at, x))
    return [(leaf, pending[id(leaf)]) for leaf in leaves]


def first_gradient(root: Tensor, gradient: Any) -> Tensor:
    """The gradient to begin with: the given one, or 1 for a scalar."""
    from .tensor import constant, tensor

    if not root.requires_grad:
        remedy = "Make a leaf with requires_grad=True, outside of no_grad."
        raise RuntimeError(explain("a result that requires a gradient", "one that does not", remedy))
    if gradient is None:
        values = root.data
        if values.size != 1:
            remedy = "Sum it first, or pass `gradient`."
            raise RuntimeError(explain("a result of one element to start from", f"shape {root.shape}", remedy))
        one = constant(1.0, values.dtype)
        return one if values.ndim == 0 else one.broadcast_to(root.shape)
    start = gradient if type(gradient) is type(root) else tensor(gradient, root.dtype)
    if start.shape != root.shape or start.dtype != root.dtype:
        received = f"shape {start.shape} of {start.dtype}"
        raise RuntimeError(explain(f"a gradient of shape {root.shape} of {root.dtype}", received, "Make it like the result."))
    return start


def unbroadcast(dz: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The gradient of an operand that was broadcast: each of its elements was used several times, so sum over its uses.

    >>> from microweights.tensor import tensor
    >>> unbroadcast(tensor([[1.0, 2.0], [3.0, 4.0]]), (2,))
    tensor([4., 6.])
    """
    added = dz.ndim - len(shape)
    repeated = tuple(added + i for i, n in enumerate(shape) if n == 1 and dz.shape[added + i] != 1)
    if added < 0 or any(n != 1 and n != dz.shape[added + i] for i, n in enumerate(shape)):
        remedy = "The backward of the operation is wrong."
        raise RuntimeError(explain(f"a gradient for an operand of shape {shape}", f"shape {dz.shape}", remedy))
    return dz.sum((*range(added), *repeated)).reshape(shape)
