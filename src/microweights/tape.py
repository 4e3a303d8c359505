"""The scalar engine replayed: a graph of Values, built once in Python, runs in C from then on.

It is the idea of capture/ in its smallest form. The order of the nodes is the topological order of :meth:`Value.backward`; the
kernels (csrc/tape.c) go through it forward for the values and backward for the gradients, with scalar.py's formulas.
"""

from __future__ import annotations

from collections.abc import Sequence

from .errors import NonFiniteError, explain
from .kernels.tape import Nodes
from .scalar import Value


class Tape:
    """The graph of one result, to be computed again and again for other numbers.

    Which operations there are was decided when the graph was built: a Python `if` on values is not on the tape.

    Parameters
    ----------
    result : Value
        Such as a loss.
    weights : list of Values
        Numbers, not results, that :meth:`update` changes.

    Attributes
    ----------
    value, grad : float64 arrays
        The number of each Value of the graph, and d result / d it. `index(v)` says where v stands.

    Examples
    --------
    >>> from microweights import Tape, Value
    >>> w, x = Value(1.0), Value(2.0)
    >>> tape = Tape((w * x - 6.0) ** 2, [w])
    >>> for _ in range(50):
    ...     loss = tape.step(learning_rate=0.1)
    >>> round(tape.value[tape.index(w)], 3)
    3.0
    """

    def __init__(self, result: Value, weights: Sequence[Value] = ()) -> None:
        if not isinstance(result, Value):
            raise TypeError(explain("a Value as result", type(result).__name__, "Compute it from Values."))
        self._order = result._topological_order()
        self._place = {id(v): i for i, v in enumerate(self._order)}
        for w in weights:
            if not isinstance(w, Value) or w._inputs:
                raise ValueError(explain("weights that are plain numbers", repr(w), "Pass the Values themselves."))
        self._nodes = Nodes(
            ["**" if v._op.startswith("**") else v._op for v in self._order],
            [[self._place[id(x)] for x in v._inputs] for v in self._order],
            [float(v._op[2:]) if v._op.startswith("**") else 0.0 for v in self._order],
            [self.index(w) for w in weights],
        )
        self.value, self.grad = self._nodes.value, self._nodes.grad
        self.value[:] = [v.data for v in self._order]

    def index(self, v: Value) -> int:
        """Where a Value stands in `value` and `grad`.

        Raises
        ------
        KeyError
            If it is not part of the graph.
        """
        if id(v) not in self._place:
            raise KeyError(explain("a Value of this graph", repr(v), "Pass one that the result was computed from."))
        return self._place[id(v)]

    def forward(self) -> float:
        """The result for the numbers in `value`.

        Raises
        ------
        NonFiniteError
            If a number on the way becomes infinite or NaN; the message names its operation.
        """
        bad = self._nodes.forward()
        if bad >= 0:
            remedy = "Check the inputs, or lower the learning rate."
            raise NonFiniteError(explain("finite numbers", f"{self.value[bad]} from {self._order[bad]._op!r}", remedy))
        return float(self.value[-1])

    def backward(self) -> None:
        """d result / d value for every Value, into `grad`."""
        self._nodes.backward()

    def update(self, learning_rate: float, l2: float = 0.0) -> None:
        """w -= learning_rate * (dw + l2 * w), for every weight w."""
        self._nodes.update(float(learning_rate), float(l2))

    def step(self, learning_rate: float, l2: float = 0.0) -> float:
        """Forward, backward, update; the result before the update."""
        loss = self.forward()
        self.backward()
        self.update(learning_rate, l2)
        return loss

    def fetch(self) -> None:
        """Give every Value of the graph its number and gradient from the tape."""
        for v, data, grad in zip(self._order, self.value.tolist(), self.grad.tolist(), strict=True):
            v.data, v.grad = data, grad
