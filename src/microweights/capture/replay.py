"""What a call of a captured function does from the third time on: see that nothing else has changed, and run the program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from ..kernels import machine
from ..parts import Validity
from ..state import Marks, mark, state, tick, unmarked
from ..tensor import Array, Guarded, Tensor, as_array
from .program import NULL, Program, from_buffer, replay


class Replay:
    """A program with what must still hold for it, and the form of its results.

    Parameters
    ----------
    program : Program
    form : tuple
        Of the results, for :func:`maker`.
    guards : list of Tensors
        That took part: they must keep their memory, and be frozen or not as they are.
    changed : list of Tensors
        That the program overwrites.
    with_gradient : list of Tensors
        To whose `.grad` it gives new tensors, its last outputs.
    cleared : list of Tensors
        Those of them whose `.grad` must be None before.
    constants : list of (Tensor, int)
        That were read while recording, and when they had been overwritten last.
    validity : Validity
        Stale as soon as a part that took part has changed.
    """

    def __init__(
        self, program: Program, form: Any, guards: Sequence[Tensor], changed: Sequence[Tensor], with_gradient: Sequence[Tensor],
        cleared: Sequence[Tensor], constants: Sequence[tuple[Tensor, int]], validity: Validity,
    ) -> None:  # fmt: skip
        self.validity, self.last_use = validity, tick()
        self.program, self.with_gradient = program, list(with_gradient)
        self._guards = [(t, t.data, t.requires_grad) for t in guards]
        self._cleared, self._constants = list(cleared), list(constants)
        self._marks = Marks(list(changed))
        for t in guards:
            if type(t) is Tensor:
                t.__class__ = Guarded
        validity.rests_on(guards)
        self._own_results = len(program.outputs) - len(self.with_gradient)
        self._make, self._is_tensor = maker(form), form[0] == "tensor"
        self._shortcut: Callable[[Any], Any] | None = None

    def holds(self) -> bool:
        """Whether a call may replay: nothing has changed but what the program reads anew."""
        if not self.validity.valid:
            if self.validity.stale:
                return False
            for t, a, flag in self._guards:
                if t.data is not a or t.requires_grad is not flag:
                    return False
            self.validity.valid = True
        if self._constants:
            mark()
        return all(t.grad is None for t in self._cleared) and all(t.changed == since for t, since in self._constants)

    def __call__(self, leaves: list[Array]) -> Any:
        arrays = self.run(leaves)
        for t, a in zip(self.with_gradient, arrays[self._own_results :], strict=True):
            t.grad = Tensor(a)
        return self._make([Tensor(a) for a in arrays])

    def run(self, *arguments: Any) -> Sequence[Array]:
        """The program by itself, with the arguments of its `run_unchecked`.

        Graphs that saved what it overwrote are to refuse to go backward, even if it stops at a fault.
        """
        try:
            return self.program.run_unchecked(*arguments)
        finally:
            self._marks.time = tick()
            unmarked.add(self._marks)

    def shortcut(self, args: Any) -> Callable[[Any], Any] | None:
        """A function that replays for arguments like these, and for others returns NotImplemented.

        It does at once what a call otherwise does step by step, as all of it is Python between one step of a training and the
        next. None on the twins, and where an argument is neither tensor nor array, but a flag or a nest of them.
        """
        if self.program.backend == "numpy":
            return None
        for x in args:
            a = x.data if type(x) is Tensor else x
            if type(a) is not np.ndarray or as_array(a) is not a:
                return None
        if self._shortcut is None:  # a replay is only found for arguments of one form
            self._shortcut = self._written_out(args)
        return self._shortcut

    def _written_out(self, args: Any) -> Callable[[Any], Any]:
        """The shortcut, without loops. For step(x), which updates one weight and returns its loss, it is

        def replayed(args):
            if machine.active is not backend or not validity.valid or len(args) != 1: return NotImplemented
            if state.recording is not True or state.training is not False: return NotImplemented
            x0 = args[0]
            if type(x0) is not Tensor or x0.requires_grad is not False or x0.op is not None: return NotImplemented
            x0 = x0.data
            if x0.dtype is not dtype0 or x0.shape != (3,): return NotImplemented
            z0 = empty0((), type0)
            try: stopped = replay(compiled, (from_buffer(x0), from_buffer(z0)), still, 1, NULL)
            except ValueError: return NotImplemented  # not contiguous
            marks.time = tick()
            unmarked.add(marks)
            if stopped >= 0: raise fault(stopped)
            return Tensor(z0)
        """
        program = self.program
        known = {
            "machine": machine, "backend": machine.backends["c"], "validity": self.validity,
            "marks": self._marks, "unmarked": unmarked,
            "state": state, "tick": tick, "Tensor": Tensor, "ndarray": np.ndarray, "make": self._make,
            "from_buffer": from_buffer, "replay": replay, "compiled": program.compiled, "still": program.still, "NULL": NULL,
            "fault": program.fault,
        }  # fmt: skip
        unless = [f"machine.active is not backend or not validity.valid or len(args) != {len(args)}"]
        unless += [f"state.recording is not {bool(state.recording)} or state.training is not {bool(state.training)}"]
        for i, t in enumerate(self._cleared):
            known[f"cleared{i}"] = t
            unless += [f"cleared{i}.grad is not None"]
        if self._constants:
            known["mark"] = mark
            unless += ["mark()"]
        for i, (t, since) in enumerate(self._constants):
            known[f"constant{i}"] = t
            unless += [f"constant{i}.changed != {since}"]
        lines = [f"if {condition}: return NotImplemented" for condition in unless]
        for i, (x, (shape, dtype)) in enumerate(zip(args, program.inputs, strict=True)):
            known[f"dtype{i}"] = dtype
            lines += [f"x{i} = args[{i}]"]
            if type(x) is Tensor:
                others = f"type(x{i}) is not Tensor or x{i}.requires_grad is not {bool(x.requires_grad)} or x{i}.op is not None"
                lines += [f"if {others}: return NotImplemented", f"x{i} = x{i}.data"]
            else:
                lines += [f"if type(x{i}) is not ndarray: return NotImplemented"]
            lines += [f"if x{i}.dtype is not dtype{i} or x{i}.shape != {shape}: return NotImplemented"]
        for i, (shape, dtype) in enumerate(program.outputs):
            known |= {f"type{i}": dtype, f"empty{i}": program.makers[i]}
            lines += [f"z{i} = empty{i}({shape}, type{i})"]
        arrays = [*[f"x{i}" for i in range(len(args))], *[f"z{i}" for i in range(len(program.outputs))]]
        buffers = ", ".join(f"from_buffer({a})" for a in arrays)
        lines += [f"try: stopped = replay(compiled, ({buffers}{',' * (len(arrays) == 1)}), still, 1, NULL)"]
        lines += ["except ValueError: return NotImplemented  # not contiguous"]
        lines += ["marks.time = tick()", "unmarked.add(marks)"] * bool(self._marks.tensors)
        lines += ["if stopped >= 0: raise fault(stopped)"]
        for i, t in enumerate(self.with_gradient):
            known[f"leaf{i}"] = t
            lines += [f"leaf{i}.grad = Tensor(z{self._own_results + i})"]
        results = [f"Tensor(z{i})" for i in range(self._own_results)]
        lines += [f"return {results[0]}" if self._is_tensor else f"return make([{', '.join(results)}])"]
        source = "\n    ".join(["def replayed(args):", *lines]) + "\n"
        exec(source, known)
        written: Callable[[Any], Any] = known.pop("replayed")  # what a function knows shall hold neither it nor this Replay
        written.__doc__ = source
        return written

    def many(self, inputs: Sequence[Array], times: int) -> list[Array]:
        """Run it several times at once. Inputs hold what each time takes one after another, and so do the results."""
        forms = self.program.outputs
        outputs = [np.empty((times, *shape), dtype) for shape, dtype in forms]
        strides = [math.prod(shape) * dtype.itemsize for shape, dtype in (*self.program.inputs, *forms)]
        shaped = [a.reshape(times, *shape) for a, (shape, _) in zip(inputs, self.program.inputs, strict=True)]
        self.run(shaped, outputs, strides, times)
        for t, a in zip(self.with_gradient, outputs[self._own_results :], strict=True):
            t.grad = Tensor(a[-1].copy())
        return outputs[: self._own_results]


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
