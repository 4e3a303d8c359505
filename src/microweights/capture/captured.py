"""Record in Python, replay in C: a function of tensors, run twice as it is written, is one call into C from then on.

The first two calls with inputs of the same shapes, types and flags run eagerly and are recorded (recorder.py). They
must have done the same; then later calls replay the record on the new inputs. Weights, the state of optimizers and of random
numbers are not inputs: they stay where they are, and programs and eager steps work on them in turns.
"""

from __future__ import annotations

import copy
import functools
import math
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import CaptureError, explain
from ..kernels import door, machine
from ..parts import Validity
from ..state import Watch, overwritten, state, tick
from ..tensor import Array, Tensor, all_constants, as_array
from . import recorder
from .program import Program
from .replay import Replay, maker

MOST_BYTES = 512 << 20  # of memory that the programs of one function hold; beyond, those go that were not used for longest
MOST_OF_ONE_SHAPE = 16  # such as with other layers frozen
MOST_WAITING = 1024  # shapes of which one call has been seen
HIDDEN = "_captured_"  # and the id of a method: the attribute of an object that holds what was captured for it
ATTEMPTS = 3  # recordings that may differ from the one before, as when layers and optimizers make their arrays at first


def capture(fn: Callable[..., Any] | None = None, *, check: bool = False) -> Any:
    """A function of tensors that is recorded, and from then on replayed in C.

    Parameters
    ----------
    fn : function
        Its arguments are tensors or arrays, alone or in lists, tuples and dicts; None, True, False and strings may stand among
        them and select another program, as other shapes do. It returns tensors, alone or likewise; numbers among them must be
        the same every time. What else it uses, numbers and tensors by their names, is recorded as it is then: pass in what is
        to be another one later.
        Without it, `capture` is a decorator.
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
    recordings : int
        How many calls ran in Python and were recorded.
    why : str
        What the last of them was recorded for.
    """

    def __init__(self, fn: Callable[..., Any], check: bool = False) -> None:
        functools.update_wrapper(self, fn, updated=())
        self.fn, self.check = fn, check
        self._known: dict[Any, list[Replay]] = {}
        self._waiting: dict[Any, list[_Recorded]] = {}
        self._shortcut: Callable[[Any], Any] = _none  # to the replay of the last call
        self.recordings, self.why = 0, ""

    @property
    def programs(self) -> list[Program]:
        return [replay.program for found in list(self._known.values()) for replay in found if not replay.validity.stale]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: each object has programs of its own, with the object."""
        if instance is None:
            return self
        name = f"{HIDDEN}{id(self):x}"
        if not hasattr(instance, "__dict__"):
            remedy = "Capture a function that takes the object, or let the class have a __dict__."
            raise TypeError(explain("an object that can hold what is captured", "one with __slots__ only", remedy))
        bound = instance.__dict__.get(name)
        if bound is None or bound.fn.__self__ is not instance or bound.fn.__func__ is not self.fn:  # it may be a copy
            bound = instance.__dict__[name] = Captured(self.fn.__get__(instance), self.check)
        return bound

    def __deepcopy__(self, memo: Any) -> Captured:
        return Captured(copy.deepcopy(self.fn, memo), self.check)

    def __reduce__(self) -> Any:
        owner = getattr(self.fn, "__self__", None)
        if any(x is self and name.startswith(HIDDEN) for name, x in getattr(owner, "__dict__", {}).items()):
            function = self.fn.__func__  # type: ignore[attr-defined]
            names = [n for c in type(owner).__mro__ for n, x in vars(c).items() if getattr(x, "fn", None) is function]
            return getattr, (owner, names[0])  # a method, which makes itself anew
        name = getattr(self.fn, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self.fn, "__module__", ""))
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is self else (Captured, (self.fn, self.check))  # a name stands for itself in its module

    def __call__(self, *args: Any, **named: Any) -> Any:
        if not named:
            result = self._shortcut(args)
            if result is not NotImplemented:
                return result
        active = machine.active
        if type(active) is recorder.Recorder and active.is_here:  # part of another captured function
            return self.fn(*_wrapped(args), **_wrapped(named))
        leaves: list[Array] = []
        key = (*self._key((*args, named), leaves), "named") if named else self._key(args, leaves)
        replay = self._found(key)
        if replay is None:
            return self._record(key, leaves, args, named)
        if replay.program.written_inputs:
            _check_written([leaves[i] for i in replay.program.written_inputs], leaves)
            _overwritten(replay.program.written_inputs, leaves, (args, named))
        elif not named and not self.check:
            self._shortcut = replay.shortcut(args) or self._shortcut
        return self._checked(replay, leaves, args, named) if self.check else replay(leaves)

    def replay_for(self, *args: Any) -> Replay | None:
        """The replay that a call with these arguments would run, if it is ready."""
        return self._found(self._key(args, []))

    def _found(self, key: Any) -> Replay | None:
        """The program for such a call, if there is one that holds; eviction sees that it was used."""
        for replay in self._known.get(key, ()):
            if replay.holds():
                replay.last_use = tick()
                return replay
        return None

    def explain(self, *args: Any) -> str:
        """The program that a call with these arguments replays: each kernel with its time, rate and the share of its floor.

        Raises
        ------
        RuntimeError
            If there is none yet: a function is recorded by its first two calls with arguments of one kind.
        """
        replay, leaves = self.replay_for(*args), list[Array]()
        if replay is None:
            remedy = "Call it twice with arguments of these shapes and types first."
            raise RuntimeError(explain("arguments that have been captured", "others", remedy))
        self._key(args, leaves)
        return replay.program.describe(leaves)

    def _key(self, arguments: Any, leaves: list[Array]) -> Any:
        return (*[_flatten(x, leaves) for x in arguments], state.recording, state.training, machine.active.name)

    def _record(self, key: Any, leaves: list[Array], args: Any, named: Any) -> Any:
        """Run the function eagerly and write down what it does; if that is what it did the last time, make a program of it."""
        self.recordings += 1
        inputs = [np.array(a, order="C") for a in leaves]
        for a, theirs in zip(inputs, leaves, strict=True):
            a.flags.writeable = theirs.flags.writeable
        self.why = self._reason(key)
        waiting = [r for r in self._waiting.pop(key, ()) if not r.validity.stale]
        before = next((r for r in waiting if r.holds()), None)
        cleared = [] if before is None else [t for t in before.with_gradient if t.grad is None]
        with recorder.recording(inputs) as record:
            if record is None:  # another thread is being recorded: this call runs as it is, and its results leave the graph
                found: list[Array] = []
                structure = _results(self.fn(*_wrapped(args), **_wrapped(named)), found)
                return maker(structure)([Tensor(a) for a in found])
            run = _Recorded(self, record, inputs, args, named)
        if any(np.may_share_memory(a, b) for b in record.state() for a in leaves):
            received = "one that shares its memory with what the function changes"
            raise CaptureError(explain("inputs apart from weights and other state", received, "Pass a copy."))
        written = [b.binding for b in record.blocks.values() if b.kind == "input" and b.written]
        _check_written([leaves[i] for i in written], leaves)
        for i in written:
            leaves[i][...] = inputs[i]
        if written:
            _overwritten(written, leaves, (args, named))
        copies = [a.copy().reshape(shape) for a, (shape, _) in zip(run.outputs, run.forms, strict=True)]
        result = maker(run.shape)([Tensor(a) for a in copies])
        waiting = [r for r in waiting if r is not before]
        attempts = 0 if before is None else before.attempts
        run.cleared = cleared
        difference = None if before is None else before.difference(run)
        if before is not None and (before.adds or run.adds):
            difference = "gradients added to those of the call before"
        if difference is not None and attempts >= ATTEMPTS:
            remedy = "Make what changes an input, or pass it as a flag; set .grad to None before backward(), which adds to it."
            raise CaptureError(explain("a captured function to do the same every time", difference, remedy))
        if before is None or difference is not None:
            record.wait()
            run.outputs.clear()
            run.watch = Watch()
            run.attempts = attempts + 1
            self._waiting[key] = [*waiting[1 - MOST_OF_ONE_SHAPE :], run]
            for oldest in list(self._waiting)[:-MOST_WAITING]:
                self._waiting.pop(oldest, None)  # another thread may have been here
            return result
        if waiting:
            self._waiting[key] = waiting
        del args, named
        self._keep(key, run.replay(before, inputs))
        return result

    def _keep(self, key: Any, made: Replay) -> None:
        """Have a program ready; let go of those that are stale, and of those not used for longest where there is no room."""
        live = [(k, r) for k, found in list(self._known.items()) for r in found if not r.validity.stale]
        live.sort(key=lambda entry: entry[1].last_use)
        room, kept = MOST_BYTES, dict[Any, list[Replay]]()
        for k, r in reversed([*live, (key, made)]):
            room -= r.program.bytes
            if r is made or (room >= 0 and len(kept.get(k, ())) < MOST_OF_ONE_SHAPE):
                kept.setdefault(k, []).append(r)
        self._known = kept

    def _reason(self, key: Any) -> str:
        """Why such a call is recorded."""
        known, waiting = self._known.get(key, ()), self._waiting.get(key, ())
        stale = next((r.validity.why for r in (*known, *waiting) if r.validity.stale), "")
        if stale or any(r.holds() for r in waiting):
            return stale or self.why
        if known or waiting:
            return "weights were frozen or unfrozen, or their arrays replaced"
        return "inputs of these shapes and types came for the first or the second time"

    def _checked(self, replay: Replay, leaves: list[Array], args: Any, named: Any) -> Any:
        """Replay, then run eagerly from the same state, and compare every bit of results and state."""
        state, graded = replay.program.state, replay.with_gradient
        before, gradients = [a.copy() for a in state], [t.grad for t in graded]
        replayed = replay([a.copy() for a in leaves])
        replayed_gradients = [t.grad for t in graded]
        for t, gradient in zip(graded, gradients, strict=True):
            t.grad = gradient
        after = [a.copy() for a in state]
        for a, old in zip(state, before, strict=True):
            a[...] = old
        arrays = iter(leaves)
        eager = self.fn(*_rebuilt(args, arrays), **_rebuilt(named, arrays))
        mine, theirs = list[Array](), list[Array]()
        remedy = "The function depends on something that is not an input."
        if _results(replayed, mine) != _results(eager, theirs):
            raise CaptureError(explain("the replay to give what the eager run gives", "another result", remedy))
        pairs = [("a result", x, y) for x, y in zip(mine, theirs, strict=True)]
        for gradient, t in zip(replayed_gradients, graded, strict=True):
            if gradient is not None and t.grad is not None:
                pairs.append(("a gradient", gradient.numpy(), t.grad.numpy()))
        pairs += [("the state it changes", x, y) for x, y in zip(after, state, strict=True)]
        for what, x, y in pairs:
            if x.tobytes() != y.tobytes():
                raise CaptureError(explain("the replay to give the bits of the eager run", f"other bits in {what}", remedy))
        return replayed


@contextmanager
def paused() -> Iterator[None]:
    """Within this context nothing is recorded: for a look at what is computed that changes nothing of it."""
    active, watch = machine.active, state.watch
    if not isinstance(active, recorder.Recorder) or not active.is_here:
        yield
        return
    machine.active, state.watch = active.backend, None
    try:
        yield
    finally:
        machine.active, state.watch = active, watch


def _none(args: Any) -> Any:
    return NotImplemented


class _Recorded:
    """One recorded run of a function: what it called, what it returned, which tensors took part."""

    def __init__(self, captured: Captured, record: recorder.Recorder, inputs: list[Array], args: Any, named: Any) -> None:
        self.record = record
        self.validity = Validity()
        self.attempts = 0  # that came before it and were different
        self.cleared: list[Tensor] = []  # whose gradients the caller sets to None before each call
        self.outputs: list[Array] = []
        state.watch = self.watch = watch = Watch()
        try:
            arrays = iter(inputs)
            own_args, own_named = _rebuilt(args, arrays), _rebuilt(named, arrays)
            result = captured.fn(*own_args, **own_named)
            record.check()
            self.own = {id(t) for t in _tensors((own_args, own_named))}
            used = {id(t) for t in watch.inputs}
            if any(id(t) in used for t in _tensors((args, named))):
                remedy = "Use the argument only, or leave it out of the arguments."
                raise CaptureError(explain("inputs used as arguments", "one that the function uses by itself, too", remedy))
            self.adds = watch.adds
            self.validity.rests_on(watch.parts.values())
            self.with_gradient = list({id(t): t for t in watch.given if t.grad is not None}.values())
            if any(id(t) in self.own for t in self.with_gradient):
                remedy = "Use mw.grad(result, x), and return what it gives."
                raise CaptureError(explain("backward() to give gradients to weights", "one for an input", remedy))
            self.shape = _results(result, self.outputs)
            self.outputs += [door.copied(t.grad.data) for t in self.with_gradient if t.grad is not None]
            for t in self.with_gradient:  # what the caller has is nobody else's
                t.grad = None if t.grad is None else Tensor(t.grad.data.copy())
            self.forms = [(a.shape, a.dtype) for a in self.outputs]
            self.outputs = [recorder.owner(a) for a in self.outputs]
            leaves = {id(t): t for t in watch.inputs if t.op is None}.values()
            self._guards = [(weakref.ref(t), weakref.ref(t.data), t.requires_grad) for t in leaves]
        finally:
            state.watch = None
            for a in inputs:
                a.flags.writeable = True

    def holds(self) -> bool:
        """Whether the tensors that took part, as far as they are there, have the same arrays, and are frozen or not as then."""
        tensors = ((t(), a, flag) for t, a, flag in self._guards)
        return all(t is None or (t.data is a() and t.requires_grad is flag) for t, a, flag in tensors)

    def difference(self, other: _Recorded) -> str | None:
        """Where another run of the same function did something else, in words; None if it did not."""
        if self.shape != other.shape:
            return f"results {_shown(self.shape)} one time and {_shown(other.shape)} the next"
        return self.record.difference(other.record)

    def replay(self, before: _Recorded, inputs: list[Array]) -> Replay:
        """The program of this run, which is like the one before. Lets go of everything that it computed."""
        record, watch = self.record, self.watch
        earlier = list(before.record.blocks.values())
        known = {id(b.root) for b, e in zip(record.blocks.values(), earlier, strict=True) if e.is_same(b.root)}
        changed = {id(t): t for t in watch.changed if id(t) not in self.own}
        known -= {id(t.data) for t in all_constants()}
        took_part = [t for t in watch.inputs if id(recorder.owner(t.data)) in known]
        took_part += changed.values()
        forms = [(a.shape, a.dtype) for a in inputs]
        twins = (inputs, self.outputs) if door.backend() == "numpy" else ([], [])
        record.settle(before.record, self.outputs)
        self.outputs = []
        self.watch = Watch()
        guards = {id(t): t for t in took_part}
        constants = list({id(t): (t, since) for t, since in watch.read}.values())
        del watch, inputs, took_part, before, earlier
        record.keep_what_is_left()  # from here on, only the caller can still refer to what was computed
        made = Program(record, forms, self.forms, twins)
        changed_ones = list(changed.values())
        return Replay(
            made, self.shape, list(guards.values()), changed_ones, self.with_gradient, self.cleared, constants, self.validity
        )


# ---- arguments and results: flattened to a list of arrays, and back --------------------------------------------------


def _flatten(x: Any, leaves: list[Array]) -> Any:
    """What `x` looks like, hashable; its arrays go to `leaves`."""
    kind = type(x)
    if kind is np.ndarray:
        a = x if x.dtype is door.FLOAT32 else as_array(x)
        leaves.append(a)
        return a.shape, a.dtype
    if isinstance(x, Tensor):
        if x.op is not None and state.recording:
            remedy = "Call it with x.detach(), or compute x inside."
            raise CaptureError(explain("inputs outside of any graph", "the result of an operation", remedy))
        a = x.data
        leaves.append(a)
        return a.shape, a.dtype, x.requires_grad
    if isinstance(x, np.ndarray):
        return _flatten(as_array(x), leaves)
    if kind is tuple:
        return tuple([_flatten(v, leaves) for v in x])
    if kind is list and _holds_arrays(x):
        return list, *[_flatten(v, leaves) for v in x]
    if kind is list:
        return _flatten(as_array(x), leaves)
    if kind is dict:
        return dict, *[(name, _flatten(v, leaves)) for name, v in x.items()]
    if x is None or isinstance(x, (bool, str)):
        return x
    remedy = "Pass numbers as tensors, so that a replay sees them change."
    raise CaptureError(explain("inputs that are tensors or arrays", f"{kind.__name__} {x!r:.50}", remedy))


def _rebuilt(x: Any, arrays: Any) -> Any:
    """The arguments with each array replaced by the next of `arrays`, as a tensor."""
    kind = type(x)
    if isinstance(x, Tensor):
        return Tensor(next(arrays), x.requires_grad)
    if isinstance(x, np.ndarray) or (kind is list and not _holds_arrays(x)):
        return Tensor(next(arrays))
    if kind in (tuple, list):
        return kind([_rebuilt(v, arrays) for v in x])
    if kind is dict:
        return {name: _rebuilt(v, arrays) for name, v in x.items()}
    return x


def _holds_arrays(x: Any) -> bool:
    """Whether there are arrays or tensors in a list; one of numbers, however nested, is itself an array."""
    return isinstance(x, (Tensor, np.ndarray, dict)) or (isinstance(x, (list, tuple)) and any(map(_holds_arrays, x)))


def _overwritten(written: Sequence[int], leaves: Sequence[Array], arguments: Any) -> None:
    """Note it of those tensors among the arguments that were written to."""
    overwritten([t for t in _tensors(arguments) if any(t.data is leaves[i] for i in written)])


def _tensors(x: Any) -> list[Tensor]:
    if isinstance(x, Tensor):
        return [x]
    parts = x if isinstance(x, (tuple, list)) else x.values() if isinstance(x, dict) else ()
    return [t for part in parts for t in _tensors(part)]


def _wrapped(x: Any) -> Any:
    """The arguments with arrays as tensors."""
    if isinstance(x, np.ndarray) or (type(x) is list and not _holds_arrays(x)):
        return Tensor(as_array(x))
    if type(x) in (tuple, list):
        return type(x)([_wrapped(v) for v in x])
    return {name: _wrapped(v) for name, v in x.items()} if type(x) is dict else x


def _check_written(written: list[Array], others: list[Array]) -> None:
    """Raise if inputs that the function writes to may not be written to, or share memory with other ones."""
    for a in written:
        if not a.flags.writeable:
            raise ValueError(explain("inputs that may be written to", "a read-only one", "Pass a copy."))
        if sum(np.may_share_memory(a, other) for other in others) > 1:
            received = "one that shares its memory with another"
            raise CaptureError(explain("inputs that are written to apart from all others", received, "Pass a copy."))


def _results(x: Any, arrays: list[Array]) -> Any:
    """What a result looks like; copies of its arrays, which belong to nobody else, go to `arrays`."""
    kind = type(x)
    if isinstance(x, Tensor):
        arrays.append(door.copied(x.data))
        return "tensor", len(arrays) - 1
    if kind in (tuple, list):
        return kind.__name__, [_results(v, arrays) for v in x]
    if kind is dict:
        return "dict", {name: _results(v, arrays) for name, v in x.items()}
    if isinstance(x, tuple) and hasattr(x, "_make"):
        return x._make, [_results(v, arrays) for v in x]
    if x is None or isinstance(x, (bool, int, float, str)):
        return "value", math.nan if x != x else x
    remedy = "Return tensors, alone or in tuples, lists and dicts."
    raise CaptureError(explain("results that are tensors", f"{kind.__name__}", remedy))


def _shown(shape: Any) -> str:
    kind, content = shape
    if kind in ("value", "tensor"):
        return repr(content) if kind == "value" else "a tensor"
    parts = content.values() if kind == "dict" else content
    return f"({', '.join(map(_shown, parts))})"
