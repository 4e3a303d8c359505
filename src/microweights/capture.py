"""Record in Python, replay in C: a function of tensors, run twice as it is written, is one call into C from then on.

The first two calls with inputs of the same shapes, types and flags run eagerly and are recorded (kernels/program.py). They must
have done the same; then later calls replay the record on the new inputs. Weights, the state of optimizers and of random numbers
are not inputs: they stay where they are, and programs and eager steps work on them in turns.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import graph
from .errors import CaptureError, explain
from .kernels import door, machine, recorder
from .kernels.program import Program
from .tensor import FLOATS, Array, Tensor, as_array

ATTEMPTS = 3  # recordings that may differ from the one before, as when layers and optimizers make their arrays at first


def capture(fn: Callable[..., Any] | None = None, *, check: bool = False) -> Any:
    """A function of tensors that is recorded, and from then on replayed in C.

    Parameters
    ----------
    fn : function
        Its arguments are tensors or arrays, alone or in lists, tuples and dicts; None, True, False and strings may stand among
        them and select another program, as other shapes do. It returns tensors, alone or likewise. Without it, `capture` is a
        decorator.
    check : bool
        Run every replay eagerly, too, on the same state, and raise an error if a single bit differs. For finding faults.

    Returns
    -------
    Captured
        To be called like `fn`. Results are tensors outside the graph, in memory that no later call overwrites.

    Raises
    ------
    CaptureError
        By a call: if the function reads values that a replay would compute anew (`.item()`, `.numpy()`, `if tensor:`), computes
        outside of operations, does not do the same from run to run, or gets what is neither tensor nor array.

    Examples
    --------
    >>> import microweights as mw
    >>> w = mw.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = mw.optimizers.SGD(0.1)
    >>> @mw.capture
    ... def step(x):
    ...     loss = ((w * x).sum() - 1).square()
    ...     optimizer.apply([mw.grad(loss, w)], [w])
    ...     return loss
    >>> [round(step([1.0, 1.0]).item(), 3) for _ in range(4)]
    [4.0, 1.44, 0.518, 0.187]
    """
    if fn is None:
        return functools.partial(capture, check=check)
    if not callable(fn):
        raise TypeError(explain("a function to capture", repr(fn), "Pass the function itself, not its result."))
    return Captured(fn, check)


class Captured:
    """What :func:`capture` returns.

    Attributes
    ----------
    programs : list of Program
        Those that are ready to be replayed.
    """

    def __init__(self, fn: Callable[..., Any], check: bool = False) -> None:
        functools.update_wrapper(self, fn, updated=())
        self.fn, self.check = fn, check
        self._known: dict[Any, list[Replay]] = {}
        self._waiting: dict[Any, tuple[recorder.Recorder, int]] = {}
        self._layout = graph.Layout.changes

    @property
    def programs(self) -> list[Program]:
        return [replay.program for found in self._known.values() for replay in found]

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        bound = Captured(self.fn.__get__(instance), self.check)  # each object has programs of its own
        instance.__dict__[self._name] = bound
        return bound

    def __call__(self, *args: Any, **named: Any) -> Any:
        if type(machine.active) is recorder.Recorder and machine.active.is_here:  # part of another captured function
            return self.fn(*args, **named)
        leaves: list[Array] = []
        key = (*self._key((*args, named), leaves), "named") if named else self._key(args, leaves)
        for replay in self._known.get(key, ()):
            if replay.holds():
                break
        else:
            return self._record(key, leaves, args, named)
        return self._checked(replay, leaves, args, named) if self.check else replay(leaves)

    def replay_for(self, *args: Any) -> Replay | None:
        """The replay that a call with these arguments would run, if it is ready."""
        return next((replay for replay in self._known.get(self._key(args, []), ()) if replay.holds()), None)

    def _key(self, arguments: Any, leaves: list[Array]) -> Any:
        if self._layout != graph.Layout.changes:
            self._known.clear()
            self._waiting.clear()
            self._layout = graph.Layout.changes
        state = graph.state
        return (*[_flatten(x, leaves) for x in arguments], state.recording, state.training, machine.active.name)

    def _record(self, key: Any, leaves: list[Array], args: Any, named: Any) -> Any:
        """Run the function eagerly and write down what it does; if that is what it did the last time, make a program of it."""
        inputs = [np.array(a, order="C") for a in leaves]
        shape, outputs, record, watch = self._run(inputs, args, named)
        for i, (theirs, ours) in enumerate(zip(leaves, inputs, strict=True)):
            if any(b.binding == i and b.written for b in record.blocks.values()):
                theirs[...] = ours
        result = _result_from(shape, iter([a.copy() for a in outputs]))
        before, attempts = self._waiting.pop(key, (None, 0))
        difference = None if before is None else before.difference(record)
        if difference is not None and attempts >= ATTEMPTS:
            remedy = "Make what changes an input, or pass it as a flag."
            raise CaptureError(explain("a captured function to do the same every time", difference, remedy))
        if before is None or difference is not None:
            self._waiting[key] = record, attempts + 1
            return result
        kept = {id(b.root) for b in before.blocks.values()}
        guards = {id(t): t for t in watch.inputs if id(recorder.owner(t.data)) in kept and t.data.flags.writeable}
        changed = {id(t): t for t in watch.changed if id(recorder.owner(t.data)) in kept}
        forms = [(a.shape, a.dtype) for a in inputs], [(a.shape, a.dtype) for a in outputs]
        twins = (inputs, outputs) if door.backend() == "numpy" else ([], [])
        record.settle(before, outputs)
        del before, watch, inputs, outputs
        record.keep_what_is_left()
        made = Replay(Program(record, *forms, twins), shape, list(guards.values()), list(changed.values()))
        self._known.setdefault(key, []).append(made)
        return result

    def _run(self, inputs: list[Array], args: Any, named: Any) -> tuple[Any, list[Array], recorder.Recorder, graph.Watch]:
        with recorder.recording(inputs) as record:
            graph.state.watch = watch = graph.Watch()
            try:
                arrays = iter(inputs)
                result = self.fn(*_rebuilt(args, arrays), **_rebuilt(named, arrays))
                record.check_reads()
                outputs: list[Array] = []
                return _results(result, outputs, record), outputs, record, watch
            finally:
                graph.state.watch = None

    def _checked(self, replay: Replay, leaves: list[Array], args: Any, named: Any) -> Any:
        """Replay, then run eagerly from the same state, and compare every bit of results and state."""
        state = replay.program.state
        before = [a.copy() for a in state]
        replayed = replay([a.copy() for a in leaves])
        after = [a.copy() for a in state]
        for a, old in zip(state, before, strict=True):
            a[...] = old
        arrays = iter(leaves)
        eager = self.fn(*_rebuilt(args, arrays), **_rebuilt(named, arrays))
        pairs = [("a result", x.numpy(), y.numpy()) for x, y in zip(_tensors(replayed), _tensors(eager), strict=True)]
        pairs += [("the state it changes", x, y) for x, y in zip(after, state, strict=True)]
        for what, x, y in pairs:
            if x.tobytes() != y.tobytes():
                remedy = "The function depends on something that is not an input."
                raise CaptureError(explain("the replay to give the bits of the eager run", f"other bits in {what}", remedy))
        return replayed


class Replay:
    """A program with what must still hold for it, and the form of its results."""

    def __init__(self, made: Program, shape: Any, guards: Sequence[Tensor], changed: Sequence[Tensor]) -> None:
        self.program, self.shape = made, shape
        self._guards = [(t, t.data, t.requires_grad) for t in guards]
        self._changed = list(changed)
        self._plain = shape == ("tensor", 0)

    def holds(self) -> bool:
        """Whether the tensors that took part still have the same memory, and are frozen or not as they were."""
        for t, a, flag in self._guards:  # noqa: SIM110  a loop, as a generator costs more than the checks
            if t.data is not a or t.requires_grad is not flag:
                return False
        return True

    def __call__(self, leaves: list[Array]) -> Any:
        arrays = self.program.run(leaves)
        if self._changed:
            self.note_changes()
        return Tensor(arrays[0]) if self._plain else _result_from(self.shape, iter(arrays))

    def many(self, inputs: Sequence[Array], times: int) -> list[Array]:
        """Run it several times at once. Inputs hold what each time takes one after another, and so do the results."""
        forms = self.program.outputs
        outputs = [np.empty((times, *shape), dtype) for shape, dtype in forms]
        strides = [math.prod(shape) * dtype.itemsize for shape, dtype in (*self.program.inputs, *forms)]
        shaped = [a.reshape(times, *shape) for a, (shape, _) in zip(inputs, self.program.inputs, strict=True)]
        self.program.run(shaped, outputs, strides, times)
        self.note_changes()
        return outputs

    def note_changes(self) -> None:
        """Graphs that saved what the program overwrote are to refuse to go backward."""
        now = graph.tick()
        for t in self._changed:
            t.changed = now


# ---- arguments and results: flattened to a list of arrays, and back --------------------------------------------------


def _flatten(x: Any, leaves: list[Array]) -> Any:
    """What `x` looks like, hashable; its arrays go to `leaves`."""
    kind = type(x)
    if kind is np.ndarray:
        a = x if x.dtype is door.FLOAT32 else as_array(x)
        leaves.append(a)
        return a.shape, a.dtype
    if kind is Tensor:
        if x.op is not None and graph.state.recording:
            remedy = "Call it with x.detach(), or compute x inside."
            raise CaptureError(explain("inputs outside of any graph", "the result of an operation", remedy))
        a = x.data
        leaves.append(a)
        return a.shape, a.dtype, x.requires_grad
    if isinstance(x, np.ndarray):
        return _flatten(np.asarray(x), leaves)
    if kind is tuple:
        return tuple([_flatten(v, leaves) for v in x])
    if kind is list and any(isinstance(v, (Tensor, np.ndarray, list, tuple, dict)) for v in x):
        return "list", *[_flatten(v, leaves) for v in x]
    if kind is list:
        return _flatten(as_array(x), leaves)
    if kind is dict:
        return "dict", *[(name, _flatten(v, leaves)) for name, v in x.items()]
    if x is None or isinstance(x, (bool, str)):
        return x
    remedy = "Pass numbers as tensors, so that a replay sees them change."
    raise CaptureError(explain("inputs that are tensors or arrays", f"{kind.__name__} {x!r:.50}", remedy))


def _rebuilt(x: Any, arrays: Any) -> Any:
    """The arguments with each array replaced by the next of `arrays`, as a tensor."""
    kind = type(x)
    if kind is Tensor:
        return Tensor(next(arrays), x.requires_grad)
    if isinstance(x, np.ndarray) or (
        kind is list and not any(isinstance(v, (Tensor, np.ndarray, list, tuple, dict)) for v in x)
    ):
        return Tensor(next(arrays))
    if kind in (tuple, list):
        return kind([_rebuilt(v, arrays) for v in x])
    if kind is dict:
        return {name: _rebuilt(v, arrays) for name, v in x.items()}
    return x


def _tensors(x: Any) -> list[Tensor]:
    if isinstance(x, Tensor):
        return [x]
    parts = x if isinstance(x, (tuple, list)) else x.values() if isinstance(x, dict) else ()
    return [t for part in parts for t in _tensors(part)]


def _results(x: Any, arrays: list[Array], record: recorder.Recorder) -> Any:
    """What a result looks like; its arrays go to `arrays`, each whole and computed by the program."""
    if isinstance(x, Tensor):
        a = x.data
        block = record.blocks.get(id(a))
        own = block is not None and block.written and block.first_is_write and block.binding < 0
        if not own or a.base is not None or any(a is other for other in arrays):
            if a.dtype not in FLOATS:
                remedy = "Return a copy made by an operation, such as a comparison."
                raise CaptureError(explain("results that the function computed", f"{a.dtype} it was given", remedy))
            a = door.unary("copy", a)
        arrays.append(a)
        return "tensor", len(arrays) - 1
    if isinstance(x, (tuple, list)):
        return type(x).__name__, [_results(v, arrays, record) for v in x]
    if isinstance(x, dict):
        return "dict", {name: _results(v, arrays, record) for name, v in x.items()}
    if isinstance(x, np.ndarray):
        raise CaptureError(explain("results that are tensors", "an array", "Return the tensor itself."))
    return "value", x


def _result_from(shape: Any, arrays: Any) -> Any:
    kind, content = shape
    if kind == "tensor":
        return Tensor(next(arrays))
    if kind == "value":
        return content
    if kind == "dict":
        return {name: _result_from(v, arrays) for name, v in content.items()}
    parts = [_result_from(v, arrays) for v in content]
    return tuple(parts) if kind == "tuple" else parts
