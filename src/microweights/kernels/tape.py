"""The scalar engine's kernels: a graph of numbers as arrays, gone over forward and backward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import explain
from . import machine
from .header import ENUMS
from .plans import FLOAT64, INT32, INT64, call

__all__ = ["Nodes", "weighted_sum"]

SYMBOLS = {"leaf": "", "add": "+", "multiply": "*", "divide": "/", "power": "**"}
NUMBERS = {SYMBOLS.get(name, name): n for name, n in ((name.removeprefix("tape_"), n) for name, n in ENUMS["tape_op"].items())}


class Nodes:
    """The numbers of a graph, each after those it is computed from.

    Parameters
    ----------
    operations : list of str
        For each node one of `+ * / ** exp log tanh sigmoid relu weighted_sum`, or "" for a number that is given.
    operands : list of lists of int
        The nodes that it is computed from, all before it.
    constants : list of float
        The exponents of powers; not read elsewhere.
    weights : list of int
        The nodes that :meth:`update` changes.

    Attributes
    ----------
    value, grad : float64 arrays (nodes,)
    """

    def __init__(
        self,
        operations: Sequence[str],
        operands: Sequence[Sequence[int]],
        constants: Sequence[float],
        weights: Sequence[int] = (),
    ) -> None:
        n = len(operations)
        for i, (name, given) in enumerate(zip(operations, operands, strict=True)):
            wanted = {"": 0, "+": 2, "*": 2, "/": 2, "weighted_sum": len(given) | 1}.get(name, 1)
            if name not in NUMBERS or len(given) != wanted or not all(0 <= j < i for j in given):
                received = f"{name!r} of nodes {list(given)} as node {i}"
                raise ValueError(explain("operations on nodes before their own", received, "Put inputs before results."))
        if not all(0 <= w < n and operations[w] == "" for w in weights) or len(constants) != n:
            raise ValueError(explain("weights that are given numbers, a constant for each node", list(weights), "Check both."))
        self._op = np.array([NUMBERS[name] for name in operations], INT32)
        self._first = np.cumsum([0, *map(len, operands)], dtype=INT64)
        self._operand = np.array([j for given in operands for j in given], INT32)
        self._constant = np.array(constants, FLOAT64)
        self._weight = np.array(weights, INT32)
        self.value, self.grad = np.zeros(n), np.zeros(n)

    def forward(self) -> int:
        """Compute every value; the first node that is infinite or NaN, or -1."""
        arrays = self._op, self._first, self._operand, self._constant, self.value
        return int(call("tape_forward", arrays, len(self.value)))

    def backward(self) -> None:
        """d last value / d value, for every node."""
        arrays = self._op, self._first, self._operand, self._constant, self.value, self.grad
        call("tape_backward", arrays, len(self.value))

    def update(self, learning_rate: float, l2: float) -> None:
        """w -= learning_rate * (dw + l2 * w), for every weight."""
        call("tape_update", (self._weight, self.value, self.grad), len(self._weight), learning_rate, l2)


def weighted_sum(weights: list[float], inputs: list[float], bias: float) -> float:
    """bias + Σ weights[i] inputs[i], for as many inputs as weights."""
    if len(weights) != len(inputs):
        raise ValueError(explain(f"{len(weights)} inputs", len(inputs), "Give each input its weight."))
    return float(machine.active.kernel("weighted_sum")(weights, inputs, len(weights), bias))
