"""What a call of a captured function does from the third time on: see that nothing else has changed, and run the program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..kernels import machine
from ..kernels.plans import Shape
from ..parts import Validity
from ..state import Marks, mark, state, tick, unmarked
from ..tensor import Array, Guarded, Tensor
from .forms import Form, are_repeated, maker
from .program import NULL, Program, from_buffer, replay

Key = tuple[Form, bool, bool | None]


class Replay:
    """A program with what must still hold for it, and the form of its results.

    Parameters
    ----------
    program : Program
    key : (Form, bool, bool)
        Of the arguments; whether operations are recorded for backward, and whether layers train.
    form : Form
        Of the results.
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
        self, program: Program, key: Key, form: Form, guards: Sequence[Tensor], changed: Sequence[Tensor],
        with_gradient: Sequence[Tensor], cleared: Sequence[Tensor], constants: Sequence[tuple[Tensor, int]], validity: Validity,
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
        self._make = maker(form)
        self.at_once = self._at_once(key)

    def holds(self) -> bool:
        """Whether a call may replay: nothing has changed but what the program reads anew."""
        if not self.validity.valid:
            if self.validity.stale:
                return False
            for t, a, flag in self._guards:
                if t.data is not a or t.requires_grad is not flag:
                    return False
            self.validity.valid = True
        return _are_as_recorded(self._cleared, self._constants)

    def __call__(self, inputs: list[Array]) -> Any:
        arrays = self.run(inputs)
        if self.with_gradient:
            for t, a in zip(self.with_gradient, arrays[self._own_results :], strict=True):
                t.grad = Tensor(a)
            arrays = arrays[: self._own_results]
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

    def _at_once(self, key: Key) -> Callable[[Any], Any]:
        """A function that runs it for arguments that are arrays and tensors in a row, and returns NotImplemented for others.

        What a call otherwise does step by step: this is all the Python there is between two steps of a training.
        """
        program, backend, validity, make = self.program, machine.backends["c"], self.validity, self._make
        _, recording, training = key
        compiled, still, marks, makes_marks = program.compiled, program.still, self._marks, bool(self._marks.tensors)
        new, with_gradient, own = list(zip(program.makers, program.outputs)), self.with_gradient, self._own_results
        wanted, cleared, constants = _in_a_row(key[0]), self._cleared, self._constants
        if wanted is None:
            return unknown
        count, has_conditions = len(wanted), bool(cleared or constants)
        may_repeat = sum(requires_grad is True for _, requires_grad, _, _ in wanted) > 1

        def replayed(args: Any) -> Any:
            if machine.active is not backend or not validity.valid or len(args) != count:
                return NotImplemented
            if state.recording is not recording or state.training is not training:
                return NotImplemented
            if (has_conditions and not _are_as_recorded(cleared, constants)) or (may_repeat and are_repeated(args)):
                return NotImplemented
            buffers, results = [], []
            try:
                for x, (kind, requires_grad, shape, dtype) in zip(args, wanted):
                    if type(x) is not kind:
                        return NotImplemented
                    if kind is Tensor:
                        if x.requires_grad is not requires_grad or x.op is not None:
                            return NotImplemented
                        x = x.data
                    if x.dtype is not dtype or x.shape != shape:
                        return NotImplemented
                    buffers.append(from_buffer(x))
            except ValueError:  # it is not contiguous
                return NotImplemented
            for empty, form in new:
                a = empty(*form)
                buffers.append(from_buffer(a))
                results.append(Tensor(a))
            stopped = replay(compiled, buffers, still, 1, NULL)
            if makes_marks:
                marks.time = tick()
                unmarked.add(marks)
            if stopped >= 0:
                raise program.fault(stopped)
            if with_gradient:
                for t, z in zip(with_gradient, results[own:]):
                    t.grad = z
            return make(results[:own] if with_gradient else results)

        return replayed

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


def _are_as_recorded(cleared: Sequence[Tensor], constants: Sequence[tuple[Tensor, int]]) -> bool:
    """Whether these gradients are None, and these tensors hold the values that were read."""
    if constants:
        mark()
    return all(t.grad is None for t in cleared) and all(t.changed == since for t, since in constants)


def unknown(args: Any) -> Any:
    """Of no arguments a program is known."""
    return NotImplemented


def _in_a_row(form: Form) -> list[tuple[Any, bool | None, Shape, Any]] | None:
    """Type, requires_grad, shape and data type of each argument, where all are arrays and tensors, and none is a nest."""
    structure, leaves = form
    if structure is None or any(structure.parts) or structure.kind is not tuple or not all(type(x) is tuple for x in leaves):
        return None
    return [(Tensor, x[2], x[0], x[1]) if len(x) == 3 else (np.ndarray, None, *x) for x in leaves]
