"""The update rules, on all parameters in one call."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..errors import explain
from . import machine
from .elementwise import contiguous
from .plans import FLOAT32, FLOAT64, OPERATIONS, POINTER_TYPE, WORK, Array, Work, real_suffix, remember

__all__ = ["Parameters", "slots_of"]

_memory: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()  # what a table refers to lives as long as it

RULES: dict[str, Callable[[Any], int]] = {  # how many slots each needs
    "sgd": lambda hyper: int(hyper.momentum != 0),
    "adam": lambda hyper: 3 if hyper.amsgrad else 2,
    "rmsprop": lambda hyper: 3 if hyper.centered else 2 if hyper.momentum else 1,
    "adagrad": lambda hyper: 1,
    "adamax": lambda hyper: 2,
    "nadam": lambda hyper: 2,
    "adadelta": lambda hyper: 2,
    "lion": lambda hyper: 1,
}


class Parameters:
    """The weights and the state of an update rule, laid out as its kernel reads them.

    Parameters
    ----------
    weights : list of arrays
        C-contiguous, all float32 or all float64; updated in place.
    slots : list of lists of arrays
        For each array of weights its arrays of state, of the same shape.
    """

    def __init__(self, weights: Sequence[Array], slots: Sequence[Sequence[Array]]) -> None:
        if not weights:
            raise ValueError(explain("at least one array of weights", "none", "Build the model first."))
        self.suffix = real_suffix("update", [w.dtype for w in weights])
        self.weights, self.slots = list(weights), [list(s) for s in slots]
        for w, state in zip(self.weights, self.slots, strict=True):
            if any(s.dtype != w.dtype for s in state):
                kinds = [str(s.dtype) for s in state]
                raise TypeError(explain(f"slots of {w.dtype}", kinds, "Make them like the weights."))
            if len(state) > 3 or any(s.shape != w.shape for s in state):
                received = [(s.shape, str(s.dtype)) for s in state]
                raise ValueError(
                    explain(f"up to 3 slots of shape {w.shape} of {w.dtype}", received, "Make them like the weights.")
                )
        self.fewest_slots = min(len(state) for state in self.slots)
        self.shapes, self.dtype = [w.shape for w in weights], weights[0].dtype
        if not all(a.flags.c_contiguous and a.flags.writeable for a in [*weights, *(s for state in self.slots for s in state)]):
            raise ValueError(explain("weights that are contiguous and writeable", "others", "Copy them first."))
        self._rows = list(map(_Row, self.weights, self.slots))
        if machine.ffi is not None:
            kind = POINTER_TYPE[self.dtype]
            self._table = machine.ffi.new("mw_parameter[]", len(self.weights))
            memory = _memory[self._table] = []
            for row, w, state in zip(self._table, self.weights, self.slots, strict=True):
                pointers = [machine.ffi.from_buffer(kind, a) for a in (w, *state)]
                memory += pointers
                row.weights, row.n = pointers[0], w.size
                for k, p in enumerate(pointers[1:]):
                    row.slot[k] = p

    def check(self, rule: str, gradients: Sequence[Array], hyper: Any) -> None:
        """Whether :meth:`update` can do it.

        Raises
        ------
        ValueError
            If a gradient does not have the shape of its weights.
        TypeError
            If it does not have their type.
        """
        needed = slots_of(rule, hyper)
        if self.fewest_slots < needed:
            raise ValueError(explain(f"{needed} slots for the rule {rule!r}", [len(s) for s in self.slots], "Add slots."))
        if len(gradients) != len(self.weights):
            raise ValueError(explain(f"{len(self.weights)} gradients", len(gradients), "Give one for each array of weights."))
        shapes = [g.shape for g in gradients]
        if shapes != self.shapes:
            raise ValueError(explain(f"gradients of shapes {self.shapes}", shapes, "Give each array of weights its own."))
        for g in gradients:
            if g.dtype is not self.dtype and g.dtype != self.dtype:
                raise TypeError(explain(f"a gradient of {self.dtype}", g.dtype, "Compute it in the type of the weights."))

    def update(self, rule: str, gradients: Sequence[Array], hyper: Any) -> None:
        """One step of the kernel `rule` on all weights. `hyper` is an `mw_hyper`. Raises what :meth:`check` does."""
        self.check(rule, gradients, hyper)
        backend, kind = machine.active, POINTER_TYPE[self.dtype]
        kernel = backend.plans.get((rule, self.suffix)) or remember((rule, self.suffix), backend.kernel(rule + self.suffix))
        try:
            given = [backend.pointer(kind, g) for g in gradients]
        except ValueError:  # one is not contiguous
            given = [backend.pointer(kind, contiguous(g)) for g in gradients]
        table = self._rows if backend.name == "numpy" else self._table
        kernel(table, given, len(given), hyper)


def state_in(kernel: str, arguments: Sequence[Any]) -> list[Array]:
    """The memory that a call of an update rule changes, seen through its arguments: weights, slots, hyper-parameters."""
    if kernel.partition("_")[0] not in RULES:
        return []
    return _state(arguments[0], arguments[-1], FLOAT32 if kernel.endswith("f32") else FLOAT64)


def _state(table: Any, hyper: Any, dtype: np.dtype[Any]) -> list[Array]:
    if isinstance(table, list):
        arrays = [a for row in table for a in (row.weights, *row.slot)]
    else:
        pointers = [(p, row.n) for row in table for p in (row.weights, *row.slot) if p]
        arrays = [np.frombuffer(machine.ffi.buffer(p, n * dtype.itemsize), dtype) for p, n in pointers]
    return arrays if machine.ffi is None else [*arrays, np.frombuffer(machine.ffi.buffer(hyper), FLOAT64)]


# for each weight, as csrc/update.c computes it
OPERATIONS |= {
    "sgd": 2, "adam": 11, "rmsprop": 9, "adagrad": 7, "adamax": 11, "nadam": 14, "adadelta": 12, "lion": 8,
}  # fmt: skip


def _work(rule: str, table: Any, gradients: Sequence[Any], count: int, hyper: Any) -> Work:
    weights, dtype = sum(math.prod(g.shape) for g in gradients), FLOAT32 if gradients[0].itemsize == 4 else FLOAT64
    moved = sum(g.bytes for g in gradients) + 2 * sum(a.nbytes for a in _state(table, hyper, dtype))
    return Work(f"{weights} weights", float(OPERATIONS[rule] * weights), float(moved))


WORK |= {rule: partial(_work, rule) for rule in RULES}


def slots_of(rule: str, hyper: Any) -> int:
    """How many arrays of state a rule keeps for each array of weights.

    Raises
    ------
    ValueError
        If there is no such rule.
    """
    if rule not in RULES:
        raise ValueError(explain(f"a rule out of {sorted(RULES)}", repr(rule), "Check the spelling."))
    return RULES[rule](hyper)


class _Row(NamedTuple):
    """An `mw_parameter` for the twins."""

    weights: Array
    slot: list[Array]
