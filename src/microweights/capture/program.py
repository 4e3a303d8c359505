"""Replay: a recording made into a table of C functions and their arguments, over one arena of memory.

Computed blocks take turns in the arena, each from the first call that needs it to the last. Neighbouring element-wise calls
become a chain, which goes over memory once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import NonFiniteError, explain
from ..kernels import machine
from ..kernels.plans import UINT8, Array, Shape, aligned_empty
from .passes import CHAIN_BLOCK, arena_offsets, flat_size, improved, stride
from .recorder import Block, Call, Place, Recorder, address
from .work import peaks, title, work_of

if machine.ffi is not None:
    from_buffer, replay, NULL = machine.ffi.from_buffer, machine.lib.mw_replay, machine.ffi.NULL
else:
    from_buffer = replay = NULL = None
empty = np.empty
LARGE_RESULT = 4096  # bytes, from where on a vector across two lines of the cache costs more than to avoid it
BYTES_OF_CALL = 4096  # that a recorded call takes in Python and in the table
Buffers = Sequence[tuple[Shape, np.dtype[Any]]]


class Program:
    """A recording that can be run again.

    Parameters
    ----------
    recorder : Recorder
        Settled.
    inputs, outputs : lists of (shape, type)
    """

    def __init__(self, recorder: Recorder, inputs: Buffers, outputs: Buffers) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.makers = [aligned_empty if math.prod(s) * t.itemsize > LARGE_RESULT else empty for s, t in outputs]
        self.state = recorder.state()
        self.steps = improved(recorder.calls)
        self.calls = [call for calls in self.steps for call in calls]
        self._lay_out()
        self._write_table()
        self.still = machine.ffi.new("int64_t[]", max(len(inputs) + len(outputs), 1))

    @property
    def bytes(self) -> int:
        """About how much memory it keeps."""
        return self.arena_bytes + BYTES_OF_CALL * len(self.calls)

    # ---- making it -------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        """Give every block that is not bound anew for each run its address."""
        first: dict[Block, int] = {}
        last: dict[Block, int] = {}
        for moment, calls in enumerate(self.steps):
            for call in calls:
                for _, p in call.places():
                    first.setdefault(p.block, moment)
                    last[p.block] = moment
        computed = [b for b in first if b.kind == "computed"]
        # what only one chain needs, it keeps a block of for each thread
        self._local = {b for b in computed if first[b] == last[b] and len(self.steps[first[b]]) > 1}
        self._threads = machine.num_threads()
        itemsizes = {p.block: p.itemsize for call in self.calls for _, p in call.places()}
        sizes = {b: self._threads * CHAIN_BLOCK * itemsizes[b] if b in self._local else b.bytes for b in computed}
        offsets, self.arena_bytes = arena_offsets({b: (first[b], last[b], sizes[b]) for b in computed})
        self._arena = aligned_empty((self.arena_bytes,), UINT8)
        start = address(self._arena)
        self._address = {b: start + offsets[b] if b in offsets else b.address for b in first if b.binding < 0}

    def _write_table(self) -> None:
        """The arguments of all calls as words in a row, and the calls that point there."""
        flat, begins, starts = self._flattened()
        words, uses = self._words, self._uses = self._filled(flat, starts)
        table = self._table = machine.ffi.new("mw_call[]", max(len(self.steps), 1))
        self._chains: list[Any] = []
        number = 0
        for row, calls in zip(table, self.steps, strict=False):
            arguments = [machine.ffi.addressof(words, begin) for begin in begins[number : number + len(calls)]]
            if len(calls) == 1:
                row.run, row.arguments = runner(calls[0]), arguments[0]
            else:
                row.run, row.arguments = machine.ffi.addressof(machine.lib, "mw_run_chain"), self._chain(calls, arguments)
            number += len(calls)
        fields = {"call": table, "calls": len(self.steps), "words": words, "use": uses, "uses": len(uses)}
        self.compiled = machine.ffi.new("mw_program *", fields)

    def _flattened(self) -> tuple[list[Any], list[int], dict[int, int]]:
        """The arguments of all calls in a row, lists of pointers after them; where each call begins, and each list."""
        flat: list[Any] = []
        begins: list[int] = []
        lists: dict[int, list[Any]] = {}
        for call in self.calls:
            begins.append(len(flat))
            lists |= {len(flat) + i: a for i, a in enumerate(call.arguments) if isinstance(a, list)}
            kinds = machine.ffi.typeof(getattr(machine.lib, f"mw_{call.kernel}")).args
            flat += [float(a) if kind.cname == "double" else a for a, kind in zip(call.arguments, kinds, strict=True)]
        starts = {}
        for at, values in lists.items():
            starts[at] = len(flat)
            flat += values
        return flat, begins, starts

    def _filled(self, flat: Sequence[Any], starts: dict[int, int]) -> tuple[Any, Any]:
        """A word for each argument, and which words each run sets to its inputs and outputs."""
        ffi, uses = machine.ffi, []
        words = ffi.new("mw_word[]", max(len(flat), 1))
        for i, value in enumerate(flat):
            if isinstance(value, list):
                words[i].pointer = ffi.addressof(words, starts[i])
            elif isinstance(value, float):
                words[i].number = value
            elif isinstance(value, (int, np.integer)):
                words[i].integer = int(value)
            elif not isinstance(value, Place):
                words[i].pointer = value  # a struct or NULL
            elif value.block.binding < 0:
                words[i].pointer = ffi.cast("void *", self._address[value.block] + value.offset)
            else:
                first_output = len(self.inputs) if value.block.kind == "output" else 0
                uses.append((i, first_output + value.block.binding, value.offset))
        return words, ffi.new("mw_use[]", uses)

    def _chain(self, calls: Sequence[Call], arguments: Sequence[Any]) -> Any:
        ffi = machine.ffi
        links = ffi.new("mw_link[]", len(calls))
        for link, call, words in zip(links, calls, arguments, strict=True):
            link.run, link.arguments, link.pointers = runner(call), words, len(call.arguments) - 1
            for i, p in call.places():
                if p.block in self._local:
                    link.apart[i] = CHAIN_BLOCK * p.itemsize
                else:
                    link.step[i] = stride(call, i) * p.itemsize
        size = flat_size(calls[0])
        chain = ffi.new("mw_chain *", [links, len(calls), size, CHAIN_BLOCK, self._threads])
        word = ffi.new("mw_word[1]")
        word[0].pointer = chain
        self._chains += [links, chain, word]
        return word

    # ---- running it ------------------------------------------------------------------------------------------------

    def run(self, inputs: Sequence[Array], outputs: Sequence[Array] | None = None) -> Sequence[Array]:
        """Run it and return its outputs.

        Parameters
        ----------
        inputs : arrays
            Of the recorded shapes and types. They are read where they lie, but for those that are not contiguous.
        outputs : arrays, optional
            Where to write, contiguous; else new ones.

        Raises
        ------
        ValueError, NonFiniteError
            If an array has another shape or type, or a kernel finds a label out of range, or a number that is not finite where
            one must be.
        """
        self._check(inputs, self.inputs)
        if outputs is not None:
            self._check(outputs, self.outputs, contiguous=True)
        return self.run_unchecked(inputs, outputs)

    @staticmethod
    def _check(arrays: Sequence[Array], forms: Buffers, contiguous: bool = False) -> None:
        for a, (shape, dtype) in zip(arrays, forms, strict=True):
            if a.shape != shape or a.dtype != dtype or (contiguous and not a.flags.c_contiguous):
                remedy = "Make it with np.empty or np.ascontiguousarray."
                raise ValueError(explain(f"a contiguous array of {dtype} and shape {shape}", f"{a.dtype} {a.shape}", remedy))

    def run_unchecked(
        self,
        inputs: Sequence[Array],
        outputs: Sequence[Array] | None = None,
        strides: Sequence[int] | None = None,
        times: int = 1,
        seconds: Any = None,
    ) -> Sequence[Array]:
        """As :meth:`run`, for arrays that fit: `times` times, each input and output moving on by its bytes in `strides`.

        To `seconds`, an array of C doubles, the time of each step of the program is added.
        """
        results = [make(*form) for make, form in zip(self.makers, self.outputs)] if outputs is None else outputs
        try:
            base = list(map(from_buffer, [*inputs, *results]))
        except ValueError:  # an input is not contiguous
            return self.run_unchecked([np.ascontiguousarray(a) for a in inputs], results, strides, times, seconds)
        stopped = replay(self.compiled, base, strides or self.still, times, seconds or NULL)
        if stopped >= 0:
            raise self.fault(stopped)
        return results

    def fault(self, stopped: int) -> Exception:
        """The error of the call that found one, by its number through all runs."""
        return fault(self.steps[stopped % len(self.steps)][0], stopped // len(self.steps))

    def bind(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Callable[[], Any]:
        """A function without arguments that runs it on these arrays, again and again, with nothing in between.

        Parameters
        ----------
        inputs, outputs : arrays
            As in :meth:`run`, all contiguous. A run that finds a fault stops, and returns its number instead of -1.
        """
        self._check([*inputs, *outputs], [*self.inputs, *self.outputs], contiguous=True)
        base = list(map(from_buffer, [*inputs, *outputs]))
        return lambda: replay(self.compiled, base, self.still, 1, NULL)

    def times(self, inputs: Sequence[Array], runs: int) -> list[float]:
        """Seconds of each step, the mean of some runs. What the program changes is put back afterwards."""
        before = [a.copy() for a in self.state]
        seconds = machine.ffi.new("double[]", len(self.steps))
        try:
            self.run_unchecked([a.copy() for a in inputs], times=runs, seconds=seconds)
        finally:
            for a, old in zip(self.state, before, strict=True):
                a[...] = old
        return [s / runs for s in seconds]

    def __str__(self) -> str:
        return self.describe()

    def describe(self, inputs: Sequence[Array] | None = None, runs: int = 200) -> str:
        """A table of the program: its steps with their shapes, operations and bytes; with `inputs` their times, too.

        Parameters
        ----------
        inputs : arrays, optional
            As for :meth:`run`. It is then run some times; what it changes is put back.
        runs : int

        Returns
        -------
        str
            A line for each step, with `inputs` also its rate (GFLOP/s where these are most of its floor, else GB/s of the bytes
            that it must move) and the share of its floor, the time that no program can beat (work.py); below, the same
            for the whole program.
        """
        works = [[work_of(c) for c in calls] for calls in self.steps]
        names = list(map(self._named, self.steps))
        seconds = [0.0] * len(self.steps) if inputs is None else self.times(inputs, runs)
        total, reached = sum(seconds), None if inputs is None else peaks()
        lines = [f"{'':3s}  {'kernel':40s} {'shapes':>16s} {'operations':>12s} {'bytes':>12s}"]
        if reached is not None:
            lines[0] += f" {'µs':>9s} {'share':>6s} {'floor':>6s}  rate"
        floors = 0.0
        for i, (name, work, took) in enumerate(zip(names, works, seconds, strict=True)):
            operations, moved = sum(w.operations for w in work), self._moved(i)
            lines.append(f"{i:3d}  {name:40s} {work[0].shapes:>16s} {operations:12,.0f} {moved:12,.0f}")
            if reached is not None and took > 0:
                floor = reached.floor(operations, moved, is_double=self.steps[i][0].kernel.endswith("_f64"))
                floors += floor
                is_work = operations / reached.float32 > moved / reached.bandwidth
                rate = f"{operations / took / 1e9:.0f} GFLOP/s" if is_work else f"{moved / took / 1e9:.0f} GB/s"
                lines[-1] += f" {took * 1e6:9.2f} {took / total:6.1%} {floor / took:6.1%}  {rate if took * 1e6 >= 0.05 else ''}"
        summed = f"{len(self.steps)} steps of {len(self.calls)} calls, {self.arena_bytes:,} bytes of memory between them"
        if reached is None or not total:
            return "\n".join([*lines, summed])
        floors = max(floors, reached.floor(0, self._bytes_of([p for c in self.calls for _, p in c.places()])))
        return "\n".join([
            *lines,
            f"{summed}, {total * 1e6:.1f} µs, floor {floors * 1e6:.1f} µs ({floors / total:.1%} of the time)",
            f"floor: operations / best product + bytes that the caches cannot hold / bandwidth\nmeasured: {reached}",
        ])  # fmt: skip

    @staticmethod
    def _named(calls: Sequence[Call]) -> str:
        name = " + ".join(title(c.kernel) for c in calls)
        return name if len(name) <= 40 else f"{title(calls[0].kernel)} + {len(calls) - 1} more in a chain"

    def _moved(self, step: int) -> float:
        """Bytes that a step reads and writes; what only a chain needs stays in the first cache."""
        calls = self.steps[step]
        if len(calls) == 1:
            return work_of(calls[0]).bytes
        return self._bytes_of([p for c in calls for _, p in c.places() if p.block not in self._local])

    @staticmethod
    def _bytes_of(places: Sequence[Place]) -> float:
        """Of different places; a part of a block counts once."""
        return float(sum({(p.block, p.offset): p.bytes for p in places}.values()))


def fault(call: Call, time: int) -> Exception:
    """The error for a kernel that found one, in which of several times."""
    if call.kernel == "first_bad_label":
        expected = f"labels or indices from 0 to {call.arguments[2] - 1}"
        return ValueError(explain(expected, f"another, at {call.line}", "Check the labels or the number of classes."))
    remedy = "Check the data for NaN, scale the inputs, or lower the learning rate."
    error = NonFiniteError(explain("finite numbers", f"infinity or NaN, at {call.line}", remedy))
    error.time = time
    return error


def runner(call: Call) -> Any:
    return machine.lib.mw_find_runner(f"mw_{call.kernel}".encode())
