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
        self._make = maker(shape)

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
        program = self.program
        if program.backend == "numpy":
            return None
        forms = []
        for x in args:
            a = x.data if type(x) is Tensor else x
            if type(a) is not np.ndarray or as_array(a) is not a:
                return None
            forms.append((type(x), a.shape, a.dtype, x is not a and x.requires_grad))
        state, layouts, layout, backend = graph.state, graph.Layout, graph.Layout.changes, machine.active
        recording, training, count = state.recording, state.training, len(forms)
        guards, holds, outputs = self._guards, self.holds if self.cleared or self.constants else None, program.outputs
        changed, graded, first, make, tick = self._changed, self.with_gradient, self._results, self._make, graph.tick
        compiled, still = program.compiled, program.still

        def replayed(args: Any) -> Any:
            if machine.active is not backend or layouts.changes != layout or len(args) != count:
                return NotImplemented
            if state.recording is not recording or state.training is not training:
                return NotImplemented
            buffers = []
            for x, (kind, shape, dtype, flag) in zip(args, forms):
                if type(x) is not kind:
                    return NotImplemented
                if kind is Tensor:
                    if x.requires_grad is not flag or x.op is not None:
                        return NotImplemented
                    x = x.data
                if x.dtype is not dtype or x.shape != shape:
                    return NotImplemented
                try:
                    buffers.append(from_buffer(x))
                except ValueError:  # it is not contiguous
                    return NotImplemented
            for t, memory, flag in guards:
                if t.data is not memory or t.requires_grad is not flag:
                    return NotImplemented
            if holds is not None and not holds():
                return NotImplemented
            results = []
            for shape, dtype in outputs:
                a = empty(shape, dtype)
                buffers.append(from_buffer(a))
                results.append(Tensor(a))
            stopped = replay(compiled, buffers, still, 1, NULL)
            if stopped >= 0:
                raise program.fault(stopped)
            if changed:
                now = tick()
                for t in changed:
                    t.changed = now
            if graded:
                for t, gradient in zip(graded, results[first:]):
                    t.grad = gradient
            return make(results)

        return replayed

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
