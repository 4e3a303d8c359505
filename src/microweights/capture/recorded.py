"""One recorded run of a function: what it called, what it returned, which tensors took part."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from ..errors import CaptureError, explain
from ..kernels import door
from ..parts import Validity
from ..state import Watch, capturing, state
from ..tensor import Array, Tensor, all_constants
from . import recorder
from .forms import TENSOR, Form, form_of_results, is_same, tensors_in, with_arrays
from .program import Program
from .replay import Key, Replay


class Recorded:
    """One recorded run of a function.

    Parameters
    ----------
    fn : function
    record : Recorder
        That writes down what it calls.
    inputs : list of arrays
        In the place of those in `arguments`.
    arguments : (args, named)
        As the caller gave them.
    """

    def __init__(self, fn: Callable[..., Any], record: recorder.Recorder, inputs: list[Array], arguments: Any) -> None:
        self.record = record
        self.validity = Validity()
        self.attempts = 0  # that came before it and were different
        self.cleared: list[Tensor] = []  # whose gradients the caller sets to None before each call
        self.outputs: list[Array] = []
        state.watch = self.watch = watch = Watch()
        try:
            args, named = with_arrays(arguments, inputs)
            with capturing():
                result = fn(*args, **named)
            record.check()
            self.own = {id(t) for t in tensors_in((args, named))}
            used = {id(t) for t in watch.inputs}
            if any(id(t) in used for t in tensors_in(arguments)):
                remedy = "Use the argument only, or leave it out of the arguments."
                raise CaptureError(explain("inputs used as arguments", "one that the function uses by itself, too", remedy))
            self.adds = watch.adds
            self.validity.rests_on(watch.parts.values())
            self.with_gradient = list({id(t): t for t in watch.given if t.grad is not None}.values())
            if any(id(t) in self.own for t in self.with_gradient):
                remedy = "Use mw.grad(result, x), and return what it gives."
                raise CaptureError(explain("backward() to give gradients to weights", "one for an input", remedy))
            self.form = form_of_results(result, self.outputs)
            self.outputs += [door.copied(t.grad.data) for t in self.with_gradient if t.grad is not None]
            for t in self.with_gradient:  # what the caller has is nobody else's
                t.grad = None if t.grad is None else Tensor(t.grad.data.copy())
            self.output_forms = [(a.shape, a.dtype) for a in self.outputs]
            self.outputs = [recorder.owner(a) for a in self.outputs]
            leaves = {id(t): t for t in watch.inputs if t.op is None}.values()
            self._guards = [(weakref.ref(t), weakref.ref(t.data), t.requires_grad) for t in leaves]
        finally:
            state.watch = None

    def wait(self) -> None:
        """Let go of what was computed, until the next recording comes to be compared."""
        self.record.wait()
        self.outputs.clear()
        self.watch = Watch()

    def holds(self) -> bool:
        """Whether the tensors that took part, as far as they are there, have the same arrays, and are frozen or not as then."""
        tensors = ((t(), a, flag) for t, a, flag in self._guards)
        return all(t is None or (t.data is a() and t.requires_grad is flag) for t, a, flag in tensors)

    def difference(self, other: Recorded) -> str | None:
        """Where another run of the same function did something else, in words; None if it did not."""
        if not is_same(self.form, other.form):
            return f"results {_shown(self.form)} one time and {_shown(other.form)} the next"
        if self.adds or other.adds:
            return "gradients added to those of the call before"
        return self.record.difference(other.record)

    def replay(self, before: Recorded, key: Key) -> Replay:
        """The program of this run, which is like the one before. Lets go of everything that it computed."""
        record, watch = self.record, self.watch
        earlier = list(before.record.blocks.values())
        known = {id(b.root) for b, e in zip(record.blocks.values(), earlier, strict=True) if e.is_same(b.root)}
        known -= {id(t.data) for t in all_constants()}
        changed = {id(t): t for t in watch.changed if id(t) not in self.own}
        took_part = [t for t in watch.inputs if id(recorder.owner(t.data)) in known]
        guards = list({id(t): t for t in (*took_part, *changed.values())}.values())
        constants = list({id(t): (t, since) for t, since in watch.read}.values())
        input_forms = [leaf[:2] for leaf in key[0].leaves if type(leaf) is tuple]
        record.settle(before.record, self.outputs)
        self.outputs = []
        self.watch = Watch()
        del watch, took_part, before, earlier
        record.decide()  # from here on, only the caller can still refer to what was computed
        made, changed_ones = Program(record, input_forms, self.output_forms), list(changed.values())
        return Replay(made, key, self.form, guards, changed_ones, self.with_gradient, self.cleared, constants, self.validity)


def _shown(form: Form) -> str:
    return f"({', '.join(leaf if leaf is TENSOR else repr(leaf) for leaf in form.leaves)})"
