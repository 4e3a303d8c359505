"""The whole of backpropagation, on single numbers.

A `Value` is a number that remembers which numbers it was computed from, and by which rule a change in it goes back to
them. Everything larger in this library is the same idea on arrays. The interface is that of Andrej Karpathy's micrograd.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import TypeAlias, Union

import numpy as np

from .errors import explain
from .kernels import door

Number: TypeAlias = Union["Value", float, int]


class Value:
    """A number in a graph of numbers.

    Attributes
    ----------
    data : float
        The number.
    grad : float
        d result / d self, added up by each `result.backward()`.

    Examples
    --------
    >>> w, x = Value(2.0), Value(-3.0)
    >>> y = (w * x + 1.0).relu() + w**2
    >>> y.backward()
    >>> y.data, w.grad
    (4.0, 4.0)
    """

    __slots__ = ("_backward", "_inputs", "_op", "data", "grad")

    def __init__(self, data: float, inputs: tuple[Value, ...] = (), op: str = "") -> None:
        self.data = _number(data)
        self.grad = 0.0
        self._inputs = inputs
        self._op = op
        self._backward: Callable[..., tuple[float, ...]] | None = None  # of d result / d z, z, inputs: the share of each input

    # ---- operations: the formula, and next to it how a change of the result goes back to each input -------------------

    def __add__(self, other: Number) -> Value:
        x, y = self, value(other)
        z = Value(x.data + y.data, (x, y), "+")
        z._backward = lambda dz, z, x, y: (dz, dz)
        return z

    def __mul__(self, other: Number) -> Value:
        x, y = self, value(other)
        z = Value(x.data * y.data, (x, y), "*")
        z._backward = lambda dz, z, x, y: (dz * y.data, dz * x.data)
        return z

    def __truediv__(self, other: Number) -> Value:
        x, y = self, value(other)
        if y.data == 0:
            raise ZeroDivisionError(explain("a divisor other than 0", f"{x.data} / {y.data}", "Check the data."))
        z = Value(x.data / y.data, (x, y), "/")
        z._backward = lambda dz, z, x, y: (dz / y.data, -dz * z.data / y.data)
        return z

    def __pow__(self, power: float) -> Value:
        if not isinstance(power, Real):
            raise TypeError(explain("a number as power", type(power).__name__, "Write x**y as (y * x.log()).exp()."))
        x, p = self, float(power)
        if x.data == 0 and p < 0:
            raise ZeroDivisionError(explain("a power of 0 that is not negative", f"{x.data}**{p}", "Check the data."))
        z = Value(_power(x.data, p), (x,), f"**{p}")
        z._backward = lambda dz, z, x: (dz * p * _power(x.data, p - 1) if p else 0.0,)
        return z

    def exp(self) -> Value:
        try:
            result = math.exp(self.data)
        except OverflowError:
            result = math.inf
        z = Value(result, (self,), "exp")
        z._backward = lambda dz, z, x: (dz * z.data,)
        return z

    def log(self) -> Value:
        if self.data <= 0:
            raise ValueError(explain("a positive number for log", self.data, "Add a small constant, or check the data."))
        z = Value(math.log(self.data), (self,), "log")
        z._backward = lambda dz, z, x: (dz / x.data,)
        return z

    def tanh(self) -> Value:
        z = Value(math.tanh(self.data), (self,), "tanh")
        z._backward = lambda dz, z, x: (dz * (1 - z.data * z.data),)
        return z

    def sigmoid(self) -> Value:
        e = math.exp(-abs(self.data))  # never more than 1
        z = Value((1.0 if self.data >= 0 else e) / (1 + e), (self,), "sigmoid")
        z._backward = lambda dz, z, x: (dz * z.data * (1 - z.data),)
        return z

    def relu(self) -> Value:
        z = Value(0.0 if self.data < 0 else self.data, (self,), "relu")
        z._backward = lambda dz, z, x: (0.0 if x.data <= 0 else dz,)
        return z

    # ---- backward ----------------------------------------------------------------------------------------------------

    def backward(self) -> None:
        """Add d self / d v to `v.grad`, for every value v that self was computed from, and 1 to its own.

        A value may pass its gradient on only when it has all of it, that is, after every value computed from it. With
        b = a + a and c = b + b, passing on whatever has come so far would count a's paths twice. So the values are put in
        an order in which inputs come before results (a topological order), and the gradients go through it backward.
        """
        gradient = {id(self): 1.0}
        for v in reversed(self._topological_order()):
            dz = gradient[id(v)]
            v.grad += dz
            if v._backward is not None:
                for x, dx in zip(v._inputs, v._backward(dz, v, *v._inputs), strict=True):
                    gradient[id(x)] = gradient.get(id(x), 0.0) + dx

    def _topological_order(self) -> list[Value]:
        """Every value that self depends on, inputs before results: each is entered when all its inputs have been.

        A loop with a list of what is still to do, because a recursion would end at Python's limit.
        """
        order: list[Value] = []
        seen: set[int] = set()
        todo = [(self, False)]
        while todo:
            v, inputs_are_in = todo.pop()
            if inputs_are_in:
                order.append(v)
            elif id(v) not in seen:
                seen.add(id(v))
                todo.append((v, True))
                todo.extend((x, False) for x in v._inputs)
        return order

    # ---- the rest follows from these ---------------------------------------------------------------------------------

    def __neg__(self) -> Value:
        return self * -1

    def __sub__(self, other: Number) -> Value:
        return self + -value(other)

    def __radd__(self, other: Number) -> Value:
        return self + other

    def __rsub__(self, other: Number) -> Value:
        return value(other) + -self

    def __rmul__(self, other: Number) -> Value:
        return self * other

    def __rtruediv__(self, other: Number) -> Value:
        return value(other) / self

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"


def value(x: Number) -> Value:
    """`x` as a Value: numbers are wrapped, Values stay."""
    return x if isinstance(x, Value) else Value(x)


def _number(x: float) -> float:
    if type(x) is float:
        return x
    if not isinstance(x, Real) and not (isinstance(x, np.ndarray) and x.ndim == 0):
        raise TypeError(explain("a number", repr(x), "Convert it with float() first."))
    return float(x)


def _power(x: float, p: float) -> float:
    """xᵖ, infinite where it is too large, and at 0 for negative p."""
    if x < 0 and math.isfinite(p) and not p.is_integer():
        raise ValueError(explain("a whole power of a negative number", f"{x}**{p}", "Use a whole power."))
    try:
        return float(x**p)
    except (OverflowError, ZeroDivisionError):
        return -math.inf if x < 0 and p % 2 == 1 else math.inf


def weighted_sum(weights: Sequence[Number], inputs: Sequence[Number], bias: Number = 0.0) -> Value:
    """bias + Σ wᵢ xᵢ as one node, computed in C: the inside of a neuron.

    Each input receives dz wᵢ, each weight dz xᵢ, and the bias dz.

    Raises
    ------
    ValueError
        If there are not as many inputs as weights.

    Examples
    --------
    >>> weighted_sum([0.5, -1.0], [4.0, 3.0], bias=1.0).data
    0.0
    """
    if len(weights) != len(inputs):
        received = f"{len(weights)} weights and {len(inputs)} inputs"
        raise ValueError(explain("as many inputs as weights", received, "Give each input its weight."))
    ws, xs, b = [value(w) for w in weights], [value(x) for x in inputs], value(bias)
    w_data, x_data = [w.data for w in ws], [x.data for x in xs]
    z = Value(door.weighted_sum(w_data, x_data, b.data), (*ws, *xs, b), "weighted_sum")
    z._backward = _share_of_sum
    return z


def _share_of_sum(dz: float, z: Value, *inputs: Value) -> tuple[float, ...]:
    n = len(inputs) // 2  # weights, as many inputs, and the bias
    return (*[dz * x.data for x in inputs[n:-1]], *[dz * w.data for w in inputs[:n]], dz)
