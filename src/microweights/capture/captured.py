"""A captured function: recorded by its first two calls with inputs of one form, replayed in C from then on.

The two must have done the same. Weights, the state of optimizers and of random numbers are not inputs: they stay where they
are, and programs and eager steps work on them in turns. On the NumPy twins a captured function simply runs.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import CaptureError, explain
from ..kernels import machine
from ..state import capturing, state, tick
from ..tensor import Array, Tensor
from . import recorder
from .forms import as_tensors, form_of_arguments, form_of_results, is_same, maker, with_arrays
from .program import Program
from .recorded import Recorded
from .replay import Key, Replay, unknown

MOST_BYTES = 512 << 20  # of memory that the programs of one function hold; beyond, those go that were not used for longest
MOST_OF_ONE_FORM = 16  # such as with other layers frozen
MOST_WAITING = 1024  # forms of which one call has been seen
ATTEMPTS = 3  # recordings that may differ from the one before, as when layers and optimizers make their arrays at first


def capture(fn: Callable[..., Any] | None = None, *, check: bool = False) -> Any:
    """A function of tensors that is recorded, and from then on replayed in C.

    Parameters
    ----------
    fn : function
        Its arguments are tensors or arrays, alone or in lists, tuples and dicts; None, True, False and strings may stand among
        them and select another program, as other shapes do. It does not write to them. It returns tensors, alone or likewise;
        numbers among them must be the same every time. What else it uses, numbers and tensors by their names, is recorded as
        it is then: pass in what is to be another one later. Of a method, capture the bound one: `mw.capture(self.step)`.
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
        outside of operations, writes to its inputs, does not do the same from run to run, or gets what is neither tensor nor
        array.

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
        self._known: dict[Key, list[Replay]] = {}
        self._waiting: dict[Key, list[Recorded]] = {}
        self._last: Callable[[Any], Any] = unknown
        self.recordings, self.why = 0, ""

    @property
    def programs(self) -> list[Program]:
        return [replay.program for found in list(self._known.values()) for replay in found if not replay.validity.stale]

    def __get__(self, instance: Any, owner: Any = None) -> Captured:
        if instance is None:
            return self
        name = getattr(self.fn, "__name__", "step")
        remedy = f"Write self.{name} = mw.capture(self.{name}) in __init__, without the decorator."
        raise TypeError(explain("a function or a bound method to be captured", f"the method {name!r} of a class", remedy))

    def __deepcopy__(self, memo: Any) -> Captured:
        return Captured(copy.deepcopy(self.fn, memo), self.check)

    def __reduce__(self) -> Any:
        name = getattr(self.fn, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self.fn, "__module__", ""))
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is self else (Captured, (self.fn, self.check))  # a name stands for itself in its module

    def __call__(self, *args: Any, **named: Any) -> Any:
        if state.captures:  # it is part of another captured function
            return self.fn(*as_tensors(args), **as_tensors(named))
        if not named:
            result = self._last(args)
            if result is not NotImplemented:
                return result
        arrays: list[Array] = []
        key = self._key(args, named, arrays)
        if machine.active.name == "numpy":
            return self._outside(args, named)
        replay = self._found(key)
        if replay is None:
            return self._record(key, arrays, (args, named))
        if self.check:
            return self._checked(replay, arrays, (args, named))
        self._last = replay.at_once
        return replay(arrays)

    def _outside(self, args: Any, named: Any) -> Any:
        """The function as it is; its results leave the graph."""
        arrays: list[Array] = []
        with capturing():
            form = form_of_results(self.fn(*as_tensors(args), **as_tensors(named)), arrays)
        return maker(form)([Tensor(a) for a in arrays])

    def replay_for(self, *args: Any) -> Replay | None:
        """The replay that a call with these arguments would run, if it is ready."""
        return self._found(self._key(args, {}, [])) if machine.active.name == "c" else None

    def _found(self, key: Key) -> Replay | None:
        """The program for such a call, if there is one that holds; eviction sees that it was used."""
        for replay in self._known.get(key, ()):
            if replay.holds():
                replay.last_use = tick()
                return replay
        return None

    def reads_anew(self, a: Array) -> bool:
        """Whether recordings and programs work on the memory of an array that is no input, and so see it change."""
        places = [b for found in self._waiting.values() for r in found for b in r.record.blocks.values()]
        places += [p.block for program in self.programs for call in program.calls for _, p in call.places()]
        start = recorder.address(a)
        return any(b.binding < 0 and not b.first_is_write and b.address <= start < b.address + b.bytes for b in places)

    def explain(self, *args: Any) -> str:
        """The program that a call with these arguments replays: each kernel with its time, rate and the share of its floor.

        Raises
        ------
        RuntimeError
            If there is none yet: a function is recorded by its first two calls with arguments of one kind.
        """
        replay, arrays = self.replay_for(*args), list[Array]()
        if replay is None:
            remedy = "Call it twice with arguments of these shapes and types first."
            raise RuntimeError(explain("arguments that have been captured", "others", remedy))
        self._key(args, {}, arrays)
        return replay.program.describe(arrays)

    @staticmethod
    def _key(args: Any, named: Any, arrays: list[Array]) -> Key:
        return form_of_arguments((args, named) if named else args, arrays), state.recording, state.training

    def _record(self, key: Key, arrays: list[Array], arguments: Any) -> Any:
        """Run the function eagerly and write down what it does; if that is what it did the last time, make a program of it."""
        self.recordings += 1
        self.why = self._reason(key)
        inputs = [np.array(a, order="C") for a in arrays]
        waiting = [r for r in self._waiting.pop(key, ()) if not r.validity.stale]
        before = next((r for r in waiting if r.holds()), None)
        cleared = [] if before is None else [t for t in before.with_gradient if t.grad is None]
        with recorder.recording(inputs) as record:
            if record is None:  # another thread is being recorded
                return self._outside(*arguments)
            run = Recorded(self.fn, record, inputs, arguments)
        if any(np.may_share_memory(a, b) for b in record.state() for a in arrays):
            received = "one that shares its memory with what the function changes"
            raise CaptureError(explain("inputs apart from weights and other state", received, "Pass a copy."))
        if any(a.tobytes() != given.tobytes() for a, given in zip(inputs, arrays, strict=True)):
            remedy = "Write by operations on tensors, to others than the inputs."
            raise CaptureError(explain("inputs that are only read", "one whose array was written to", remedy))
        copies = [a.copy().reshape(shape) for a, (shape, _) in zip(run.outputs, run.output_forms, strict=True)]
        result = maker(run.form)([Tensor(a) for a in copies[: len(copies) - len(run.with_gradient)]])
        run.cleared = cleared
        difference = "" if before is None else before.difference(run)
        if before is not None and difference is None:
            self._waiting[key] = [r for r in waiting if r is not before]
            del arguments
            self._keep(key, run.replay(before, key))
            return result
        if before is not None:
            run.attempts = before.attempts + 1
            if run.attempts > ATTEMPTS:
                remedy = "Make what changes an input, or pass it as a flag; set .grad to None before backward()."
                raise CaptureError(explain("a captured function to do the same every time", difference, remedy))
        run.wait()
        self._waiting[key] = [*[r for r in waiting if r is not before][1 - MOST_OF_ONE_FORM :], run]
        for oldest in list(self._waiting)[:-MOST_WAITING]:
            self._waiting.pop(oldest, None)  # another thread may have been here
        return result

    def _keep(self, key: Key, made: Replay) -> None:
        """Have a program ready; let go of those that are stale, and of those not used for longest where there is no room."""
        live = [(k, r) for k, found in list(self._known.items()) for r in found if not r.validity.stale]
        live.sort(key=lambda entry: entry[1].last_use)
        room, kept = MOST_BYTES, dict[Any, list[Replay]]()
        for k, r in reversed([*live, (key, made)]):
            room -= r.program.bytes
            if r is made or (room >= 0 and len(kept.get(k, ())) < MOST_OF_ONE_FORM):
                kept.setdefault(k, []).append(r)
        self._known = kept

    def _reason(self, key: Key) -> str:
        """Why such a call is recorded."""
        known, waiting = self._known.get(key, ()), self._waiting.get(key, ())
        stale = next((r.validity.why for r in (*known, *waiting) if r.validity.stale), "")
        if stale or any(r.holds() for r in waiting):
            return stale or self.why
        if known or waiting:
            return "weights were frozen or unfrozen, or their arrays replaced"
        return "inputs of these shapes and types came for the first or the second time"

    def _checked(self, replay: Replay, inputs: list[Array], arguments: Any) -> Any:
        """Replay, then run eagerly from the same state, and compare every bit of results and state."""
        changed, graded = replay.program.state, replay.with_gradient
        before, gradients = [a.copy() for a in changed], [t.grad for t in graded]
        replayed = replay([a.copy() for a in inputs])
        replayed_gradients = [t.grad for t in graded]
        for t, gradient in zip(graded, gradients, strict=True):
            t.grad = gradient
        after = [a.copy() for a in changed]
        for a, old in zip(changed, before, strict=True):
            a[...] = old
        args, named = with_arrays(arguments, inputs)
        with capturing():
            eager = self.fn(*args, **named)
        mine, theirs = list[Array](), list[Array]()
        remedy = "The function depends on something that is not an input."
        if not is_same(form_of_results(replayed, mine), form_of_results(eager, theirs)):
            raise CaptureError(explain("the replay to give what the eager run gives", "another result", remedy))
        pairs = [("a result", x, y) for x, y in zip(mine, theirs, strict=True)]
        for gradient, t in zip(replayed_gradients, graded, strict=True):
            if gradient is not None and t.grad is not None:
                pairs.append(("a gradient", gradient.numpy(), t.grad.numpy()))
        pairs += [("the state it changes", x, y) for x, y in zip(after, changed, strict=True)]
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
