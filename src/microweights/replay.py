"""What a call of a captured function does from the third time on: see that nothing else has changed, and run the program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from . import graph
from .kernels import machine
from .kernels.program import NULL, Program, empty, from_buffer, replay
from .tensor import Array, Tensor, as_array


class Replay:
    """A program with what must still hold for it, and the form of its results."""

    def __init__(
        self, made: Program, shape: Any, guards: Sequence[Tensor], changed: Sequence[Tensor], with_gradient: Sequence[Tensor]
    ) -> None:
        self.program, self.with_gradient = made, list(with_gradient)
        self._guards = [(t, t.data, t.requires_grad) for t in guards]
        self._changed = list(changed)
        self.cleared: list[Tensor] = []
        self.constants: list[tuple[Tensor, int]] = []
        self._results = len(made.outputs) - len(self.with_gradient)
        self._make, self._is_tensor = maker(shape), shape[0] == "tensor"
        self._shortcuts: dict[Any, Callable[[Any], Any]] = {}

    def holds(self) -> bool:
        """Whether the tensors that took part still have the same memory, and are frozen or not as they were."""
        for t, a, flag in self._guards:
            if t.data is not a or t.requires_grad is not flag:
                return False
        if self.cleared and not all(t.grad is None for t in self.cleared):
            return False
        return not self.constants or all(t.changed == since for t, since in self.constants)

    def __call__(self, leaves: list[Array]) -> Any:
        arrays = self.program.run_unchecked(leaves)
        self.note_changes()
        for t, a in zip(self.with_gradient, arrays[self._results :], strict=True):
            t.grad = Tensor(a)
        return self._make([Tensor(a) for a in arrays])

    def shortcut(self, args: Any) -> Callable[[Any], Any] | None:
        """A function that replays for arguments like these, and for others returns NotImplemented.

        It does at once what a call otherwise does step by step, as all of it is Python between one step of a training and the
        next. None on the twins, and where there are nested arguments, which are quicker to look up than to compare.
        """
        if self.program.backend == "numpy":
            return None
        for x in args:
            a = x.data if type(x) is Tensor else x
            if type(a) is not np.ndarray or as_array(a) is not a:
                return None
        kinds = tuple([(type(x), type(x) is Tensor and x.requires_grad) for x in args])
        if kinds not in self._shortcuts:
            self._shortcuts[kinds] = self._written_out(kinds)
        return self._shortcuts[kinds]

    def _written_out(self, kinds: Sequence[tuple[type, bool]]) -> Callable[[Any], Any]:
        """The shortcut for arguments of these types and flags, without loops: for step(x) and one weight it reads like

        def replayed(args):
            if machine.active is not backend or layouts.changes != layout or len(args) != 1: return NotImplemented
            if state.recording is not True or state.training is not False: return NotImplemented
            if weight0.data is not memory0 or weight0.requires_grad is not True: return NotImplemented
            x0, = args
            if type(x0) is not Tensor or x0.requires_grad is not False or x0.op is not None: return NotImplemented
            x0 = x0.data
            if x0.dtype is not dtype0 or x0.shape != (32, 64): return NotImplemented
            z0 = empty((), dtype1)
            try: stopped = replay(compiled, (from_buffer(x0), from_buffer(z0)), still, 1, NULL)
            except ValueError: return NotImplemented  # x0 is not contiguous
            if stopped >= 0: raise fault(stopped)
            changed0.changed = tick()
            return Tensor(z0)
        """
        program, state = self.program, graph.state
        known = {
            "machine": machine, "backend": machine.backends["c"], "layouts": graph.Layout, "layout": graph.Layout.changes,
            "state": state, "holds": self.holds, "tick": graph.tick, "Tensor": Tensor, "make": self._make, "empty": empty,
            "from_buffer": from_buffer, "replay": replay, "compiled": program.compiled, "still": program.still, "NULL": NULL,
            "fault": program.fault,
        }  # fmt: skip
        unless = [f"machine.active is not backend or layouts.changes != layout or len(args) != {len(kinds)}"]
        unless.append(f"state.recording is not {state.recording} or state.training is not {state.training}")
        for i, (t, memory, flag) in enumerate(self._guards):
            known |= {f"weight{i}": t, f"memory{i}": memory}
            unless.append(f"weight{i}.data is not memory{i} or weight{i}.requires_grad is not {flag}")
        if self.cleared or self.constants:
            unless.append("not holds()")
        lines = [f"if {condition}: return NotImplemented" for condition in unless]
        lines += [f"x{i} = args[{i}]" for i in range(len(kinds))]
        for i, ((kind, flag), (shape, dtype)) in enumerate(zip(kinds, program.inputs, strict=True)):
            known |= {f"kind{i}": kind, f"dtype{i}": dtype}
            is_tensor = f" or x{i}.requires_grad is not {flag} or x{i}.op is not None" if kind is Tensor else ""
            lines += [f"if type(x{i}) is not kind{i}{is_tensor}: return NotImplemented"]
            lines += [f"x{i} = x{i}.data"] * (kind is Tensor)
            lines += [f"if x{i}.dtype is not dtype{i} or x{i}.shape != {shape}: return NotImplemented"]
        for i, (shape, dtype) in enumerate(program.outputs):
            known[f"type{i}"] = dtype
            lines += [f"z{i} = empty({shape}, type{i})"]
        arrays = [f"x{i}" for i in range(len(kinds))] + [f"z{i}" for i in range(len(program.outputs))]
        buffers = "".join(f"from_buffer({a}), " for a in arrays)
        lines += [f"try: stopped = replay(compiled, ({buffers}), still, 1, NULL)"]
        lines += ["except ValueError: return NotImplemented"]  # an argument is not contiguous
        lines += ["if stopped >= 0: raise fault(stopped)"]
        for i, t in enumerate(self._changed):
            known[f"changed{i}"] = t
        if self._changed:
            lines += ["now = tick()", *(f"changed{i}.changed = now" for i in range(len(self._changed)))]
        for i, t in enumerate(self.with_gradient):
            known[f"leaf{i}"] = t
            lines += [f"leaf{i}.grad = Tensor(z{self._results + i})"]
        results = [f"Tensor(z{i})" for i in range(self._results)]
        lines += [f"return {results[0]}" if self._is_tensor else f"return make([{', '.join(results)}])"]
        exec("def replayed(args):\n    " + "\n    ".join(lines), known)
        written: Callable[[Any], Any] = known["replayed"]
        return written

    def many(self, inputs: Sequence[Array], times: int) -> list[Array]:
        """Run it several times at once. Inputs hold what each time takes one after another, and so do the results."""
        forms = self.program.outputs
        outputs = [np.empty((times, *shape), dtype) for shape, dtype in forms]
        strides = [math.prod(shape) * dtype.itemsize for shape, dtype in (*self.program.inputs, *forms)]
        shaped = [a.reshape(times, *shape) for a, (shape, _) in zip(inputs, self.program.inputs, strict=True)]
        self.program.run_unchecked(shaped, outputs, strides, times)
        self.note_changes()
        for t, a in zip(self.with_gradient, outputs[self._results :], strict=True):
            t.grad = Tensor(a[-1].copy())
        return outputs[: self._results]

    def note_changes(self) -> None:
        """Graphs that saved what the program overwrote are to refuse to go backward."""
        now = graph.tick()
        for t in self._changed:
            t.changed = now


def maker(shape: Any) -> Callable[[list[Tensor]], Any]:
    """A function that makes a result of this shape from its tensors."""
    kind, content = shape
    if kind == "tensor":
        return itemgetter(content)
    if kind == "value":
        return lambda tensors: content
    if kind == "dict":
        named = {name: maker(v) for name, v in content.items()}
        return lambda tensors: {name: make(tensors) for name, make in named.items()}
    parts, gather = [maker(v) for v in content], {"tuple": tuple, "list": list}.get(kind, kind)
    return lambda tensors: gather([make(tensors) for make in parts])
