"""Record: what is called at the door, written down.

A :class:`Recorder` stands in for the active backend. The door asks it for kernels and pointers as ever; it runs each kernel and
notes it, with its arguments. Memory is known by its *block*, the array that owns it. Two recordings of the same function
decide a block's kind (:meth:`Recorder.decide`): an array that is in both was there before; a new one is a constant if it was
read first, and computed if it was written first.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import CaptureError, explain
from ..kernels import machine
from ..kernels.header import KERNELS
from ..kernels.plans import Array, Shape
from ..kernels.update import state_in

PACKAGE = str(Path(__file__).parents[1])

NOT_REPLAYED = {"weighted_sum", "tape_forward", "tape_backward", "tape_update"}  # the scalar engine has its own replay
LARGEST_WATCHED = 16 << 20  # bytes of an array of which a copy is kept, to see whether somebody else writes to it


def plain_name(kernel: str) -> str:
    """The name of a kernel without its type."""
    return kernel.removesuffix("_f32").removesuffix("_f64")


class Block:
    """Memory that kernels were given parts of.

    Attributes
    ----------
    kind : str
        `input`, `output`, `known` (it was there before), `computed` (it may lie anywhere, while it is needed) or `kept` (at its
        own address, for other reasons); empty before :meth:`Recorder.decide`.
    binding : int
        The number of the input or output.
    """

    def __init__(self, number: int, root: Array, input_number: int | None, first_is_write: bool, is_whole: bool) -> None:
        self.number, self.root, self.first_is_write, self.written = number, root, first_is_write, first_is_write
        self.address = address(root)
        self.is_input, self.is_output, self.is_known = input_number is not None, False, False
        self.binding = -1 if input_number is None else input_number
        self.is_whole = is_whole  # whether the first call went over all of it
        self.past: weakref.ref[Array] | None = None  # what was `root`, where it has been let go
        self.at_first = root.copy() if not first_is_write and root.nbytes <= LARGEST_WATCHED else None
        self.kind = ""
        self.bytes = root.nbytes

    def is_same(self, root: Array) -> bool:
        return self.root is root or (self.past is not None and self.past() is root)

    def let_go(self) -> None:
        self.past, self.root = weakref.ref(self.root), None  # type: ignore[assignment]


class Place(NamedTuple):
    """An argument that is memory: an array so many bytes into a block."""

    block: Block
    offset: int
    shape: Shape
    bytes: int
    itemsize: int


class Call(NamedTuple):
    """A kernel with its arguments: places, lists of places, numbers, structs, null."""

    kernel: str
    arguments: tuple[Any, ...]
    writes: tuple[int, ...]
    line: str

    def places(self) -> Iterator[tuple[int, Place]]:
        """The arguments that are memory, with their numbers."""
        for i, a in enumerate(self.arguments):
            for p in a if isinstance(a, list) else (a,):
                if isinstance(p, Place):
                    yield i, p


class Given(NamedTuple):
    """A pointer that the door asked for, and the array it was for."""

    pointer: Any
    array: Array


def owner(a: Array) -> Array:
    """The array whose memory `a` shows."""
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


def address(a: Array) -> int:
    return int(a.__array_interface__["data"][0])


def users_line() -> str:
    """The place in the user's code from which this library was called."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Recorder:
    """A backend that runs kernels and writes them down, those of the thread that made it. `inputs` will be others next time."""

    def __init__(self, backend: Any, inputs: Sequence[Array]) -> None:
        self.backend, self.name, self.null = backend, backend.name, backend.null
        self.plans: dict[Any, Any] = {}
        self.calls: list[Call] = []
        self.inputs = {id(a): i for i, a in enumerate(inputs)}
        self.blocks: dict[int, Block] = {}  # by the id of the array
        self._given: dict[int, Given] = {}  # by the id of the pointer
        self._reads: list[tuple[Array, str]] = []
        self._made: dict[int, Array] = {}
        self._thread = threading.get_ident()

    @property
    def is_here(self) -> bool:
        """Whether it is this thread that is being recorded, and still."""
        return machine.active is self and threading.get_ident() == self._thread

    # ---- what the door asks of a backend ---------------------------------------------------------------------------

    def pointer(self, kind: Any, a: Array) -> Any:
        p = self.backend.pointer(kind, a)
        if self.is_here:
            self._given[id(p)] = Given(p, a)
        return p

    def kernel(self, name: str) -> Any:
        run = self.backend.kernel(name)

        def write_down(*arguments: Any) -> Any:
            if self.is_here:
                if name in NOT_REPLAYED:
                    self.refuse(f"`{name}`, on Python numbers,")
                self._note(name, arguments)
            return run(*arguments)

        return write_down

    def read(self, a: Array, remedy: str) -> None:
        """Values are about to leave the graph: an error if a replay would compute them anew."""
        if not self.is_here:
            return
        root = owner(a)
        block = self.blocks.get(id(root))
        if id(root) in self.inputs or (block is not None and block.written):
            received = f"a reading at {users_line()}"
            raise CaptureError(explain("a captured function not to read what it computes", received, remedy))
        self._reads.append((root, users_line()))

    def refuse(self, what: str) -> None:
        """Something is about to be computed where it cannot be recorded."""
        if self.is_here:
            remedy = "Do it before, and pass the result in (in a model: compile with eager=True)."
            raise CaptureError(explain("only what kernels do in a captured function", f"{what} at {users_line()}", remedy))

    def made(self, a: Array) -> None:
        """An array of which kernels are going to write every element, part by part."""
        if self.is_here:
            self._made[id(owner(a))] = owner(a)

    # ---- writing down ----------------------------------------------------------------------------------------------

    def _note(self, name: str, arguments: tuple[Any, ...]) -> None:
        given = [[self._given.get(id(p), p) for p in a] if type(a) is list else self._given.get(id(a), a) for a in arguments]
        kernel = KERNELS[plain_name(name)]
        placed: list[Any] = []
        for i, a in enumerate(given):
            does = i in kernel.writes, i in kernel.reads
            placed.append([self._place(x, *does) for x in a] if type(a) is list else self._place(a, *does))
        self.calls.append(Call(name, tuple(placed), kernel.writes, users_line()))

    def _place(self, argument: Any, is_write: bool, is_read: bool) -> Any:
        if not isinstance(argument, Given):
            return argument
        a = argument.array
        root = owner(a)
        block = self.blocks.get(id(root))
        if block is None:
            block = Block(len(self.blocks), root, self.inputs.get(id(root)), not is_read, a.size == root.size)
            self.blocks[id(root)] = block
        block.written |= is_write
        return Place(block, 0 if a is root else address(a) - block.address, a.shape, a.nbytes, a.itemsize)

    def state(self) -> list[Array]:
        """The memory that was there before and is changed: as far as known, and what update rules work on."""
        found = {b.address: b.root for b in self.blocks.values() if b.kind in ("", "known") and b.written and not b.is_input}
        for call in self.calls:
            found |= {address(a): a for a in state_in(call.kernel, call.arguments)}
        return list(found.values())

    def check(self) -> None:
        """Raise CaptureError if a value was read that is changed elsewhere, or something was changed by other means."""
        if machine.active is not self:
            remedy = "Choose it outside of the captured function."
            raise CaptureError(explain("one backend during a recording", "a change of it", remedy))
        for b in self.blocks.values():
            if b.is_input and b.written:
                remedy = "Return the new values, or work on a tensor that the function knows by its name."
                raise CaptureError(explain("inputs that are only read", f"one written to at {self._line_of_write(b)}", remedy))
        state = self.state()
        changed = [(address(a), address(a) + a.nbytes) for a in state]
        for b in self.blocks.values():
            is_changed = b.written or any(start <= b.address < end for start, end in changed)
            if b.at_first is not None and not is_changed and b.at_first.tobytes() != b.root.tobytes():
                line = next(c.line for c in self.calls for _, p in c.places() if p.block is b)
                remedy = "Write by operations on tensors, such as assign."
                raise CaptureError(explain("memory that only kernels write to", f"an array other than at {line}", remedy))
            b.at_first = None
        for root, line in self._reads:
            if any(start <= address(root) < end for start, end in changed):
                remedy = "Read it outside of the captured function."
                raise CaptureError(explain("a captured function not to read what it changes", f"a reading at {line}", remedy))

    # ---- comparing and settling --------------------------------------------------------------------------------------

    def difference(self, other: Recorder) -> str | None:
        """Where another recording of the same function differs, in words; None if it does not."""
        for a, b in zip(self.calls, other.calls, strict=False):
            if a.kernel != b.kernel or len(a.arguments) != len(b.arguments):
                return f"`{plain_name(a.kernel)}` at {a.line} one time, `{plain_name(b.kernel)}` at {b.line} the next"
            if not all(map(_same, a.arguments, b.arguments)):
                return f"`{plain_name(b.kernel)}` at {b.line} with another constant or shape than the time before"
        longer, shorter = max(self.calls, other.calls, key=len), min(len(self.calls), len(other.calls))
        if len(longer) > shorter:
            return f"`{plain_name(longer[shorter].kernel)}` at {longer[shorter].line} one time and not the other"
        return None

    def wait(self) -> None:
        """Let go of what was computed, until the next recording comes to be compared."""
        self._forget()
        for b in self.blocks.values():
            if b.first_is_write or b.is_input:
                b.let_go()

    def settle(self, before: Recorder, outputs: Sequence[Array]) -> None:
        """See which blocks an earlier recording of the same has, too, and which are outputs; let go of what was computed."""
        results = {id(a): i for i, a in enumerate(outputs)}
        for b, earlier in zip(self.blocks.values(), before.blocks.values(), strict=True):
            b.is_known = earlier.is_same(b.root)
            b.is_whole = b.first_is_write and (b.is_whole or id(b.root) in self._made)
            if id(b.root) in results and not b.is_input:
                b.is_output, b.binding = True, results[id(b.root)]
            elif not b.is_input and not b.is_known and not b.is_whole and b.written:
                remedy = "Make it by an operation on tensors, or outside of the captured function."
                received = f"an array made by other means, written to at {self._line_of_write(b)}"
                raise CaptureError(explain("results in memory that operations made", received, remedy))
        self._forget()
        self.plans.clear()
        for b in self.blocks.values():
            if b.is_input or b.is_output or (b.is_whole and not b.is_known):
                b.let_go()

    def decide(self) -> None:
        """Decide each block's kind: after :meth:`settle`, and when the caller has let go of everything, too.

        What somebody else still refers to, because the function left it somewhere, stays where it is: replays refresh it.
        """
        for b in self.blocks.values():
            left = None if b.past is None else b.past()
            if b.is_input or b.is_output:
                b.kind = "input" if b.is_input else "output"
            elif b.is_known:
                b.kind = "known"
            elif b.is_whole and left is None:
                b.kind = "computed"
            else:
                b.kind, b.root = "kept", b.root if left is None else left

    def _forget(self) -> None:
        self._reads.clear()
        self._made.clear()
        self._given.clear()

    def _line_of_write(self, block: Block) -> str:
        return next(c.line for c in self.calls for i, p in c.places() if p.block is block and i in c.writes)


def _same(a: Any, b: Any) -> bool:
    """Whether two recordings have the same argument."""
    if a is b:
        return True
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, Place):
        if not isinstance(b, Place) or (a.block.number, a.offset, a.shape) != (b.block.number, b.offset, b.shape):
            return False
        p, q = a.block, b.block
        if p.is_input or q.is_input:
            return p.binding == q.binding
        if p.is_same(q.root):
            return True
        if p.first_is_write or q.first_is_write:
            return p.first_is_write == q.first_is_write
        return p.root.dtype == q.root.dtype and p.root.tobytes() == q.root.tobytes()
    if isinstance(b, (list, Place)):
        return False
    if a is None or b is None or isinstance(a, (int, float, np.generic)):
        return bool(a == b) or (a != a and b != b)
    return bool(_contents(a) == _contents(b))


def _contents(struct: Any) -> Any:
    if machine.ffi is not None and isinstance(struct, machine.ffi.CData):
        return bytes(machine.ffi.buffer(struct)) if struct else None
    return vars(struct)


_one_at_a_time = threading.Lock()


@contextmanager
def recording(inputs: Sequence[Array]) -> Iterator[Recorder | None]:
    """Write down what this thread calls; None if another thread is being recorded. `inputs` will be other arrays next time."""
    if not _one_at_a_time.acquire(blocking=False):
        yield None
        return
    try:
        recorder = Recorder(machine.active, inputs)
        machine.active = recorder
        try:
            yield recorder
        finally:
            if machine.active is recorder:
                machine.active = recorder.backend
    finally:
        _one_at_a_time.release()


def _in_child() -> None:
    """After a fork the thread that was being recorded is not there."""
    global _one_at_a_time
    _one_at_a_time = threading.Lock()
    if isinstance(machine.active, Recorder) and not machine.active.is_here:
        machine.active = machine.active.backend


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
