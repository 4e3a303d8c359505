"""What each thread knows of the graph while it grows: whether operations are recorded, who watches, and the clock."""

from __future__ import annotations

import functools
import inspect
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeAlias, TypeVar, overload

from .errors import explain

Tensor: TypeAlias = Any  # tensors and parts stand on floors above this one
Part: TypeAlias = Any
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
        self.parts: dict[int, Part] = {}  # that were used, by id
        self.adds = False  # whether it added to one that was there before


class _State(threading.local):  # each thread has its own
    def __init__(self) -> None:
        self.before: list[bool] = []  # what `recording` was outside of each no_grad that is open

    recording = True  # whether operations are being recorded for backward
    captures = False  # whether a captured function is run in Python
    training: bool | None = None  # whether the outermost call of a layer is part of a training, if that was said
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


class Marks:
    """The tensors that a program overwrites, and when it did last. They are told only when somebody asks (:func:`mark`)."""

    __slots__ = ("tensors", "time")

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors, self.time = list(map(weakref.ref, tensors)), 0  # which are not kept alive until somebody does


unmarked: set[Marks] = set()  # of programs that ran since the last look


def mark() -> None:
    """Note on all tensors that programs have overwritten when that was. A graph asks for it before it goes backward."""
    while unmarked:
        try:
            marks = unmarked.pop()
        except KeyError:  # another thread has taken the last
            return
        for reference in marks.tensors:
            t = reference()
            if t is not None:
                t.changed = max(t.changed, marks.time)


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
def capturing() -> Iterator[None]:
    """Within this context a captured function runs in Python, and others that it calls are part of it."""
    before, state.captures = state.captures, True
    try:
        yield
    finally:
        state.captures = before


@contextmanager
def enable_grad() -> Iterator[None]:
    """Within this context operations are recorded for backward, even inside of :class:`no_grad`."""
    before, state.recording = state.recording, True
    try:
        yield
    finally:
        state.recording = before
