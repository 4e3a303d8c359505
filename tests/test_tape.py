"""Tape: the graph of Values in C, node by node the same as in Python."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

import microweights as mw
from microweights import Tape, Value
from microweights.errors import NonFiniteError
from microweights.kernels.tape import Nodes


def all_operations(leaves: list[Value]) -> Value:
    a, b, c, d = leaves
    x = mw.weighted_sum([a, b, 2.0], [c, d, a], b)
    y = (x * a - b / c + d**3 - (a * a + 1.0) ** -0.5).tanh() + x.sigmoid() * (b - 0.3).relu()
    return (y.exp() + (y * y + 1).log() + c**0 - 3 / d) ** 2


def random_graph(seed: int, size: int) -> tuple[list[Value], Value]:
    """Leaves, and a result of operations on anything there is, shared nodes and all."""
    rng = random.Random(seed)
    leaves = [Value(rng.uniform(-1, 1)) for _ in range(5)]
    nodes = list(leaves)
    for _ in range(size):
        x, y = rng.choice(nodes), rng.choice(nodes)
        makers: list[Any] = [
            lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x / (y * y + 1), lambda x, y: x.tanh(), lambda x, y: x.relu(),
            lambda x, y: x.sigmoid(), lambda x, y: x.tanh().exp(), lambda x, y: (x * x + 0.5).log(), lambda x, y: x**2,
            lambda x, y: mw.weighted_sum([x, y, x], [y, 0.5, x], y),
        ]  # fmt: skip
        z = rng.choice(makers)(x, y)
        nodes.append(z.tanh() if abs(z.data) > 5 else z)
    return leaves, sum(nodes[-5:], Value(0.0))


def assert_same(tape: Tape, result: Value, exact: bool) -> None:
    order = result._topological_order()
    for v in order:
        v.grad = 0.0
    result.backward()
    assert tape.forward() == (result.data if exact else pytest.approx(result.data, rel=1e-12))
    tape.backward()
    for v in order:
        i = tape.index(v)
        same = (tape.value[i], tape.grad[i]) == (v.data, v.grad)
        close = math.isclose(tape.value[i], v.data, rel_tol=1e-10) and math.isclose(
            tape.grad[i], v.grad, rel_tol=1e-9, abs_tol=1e-12
        )
        assert same or (close and not exact)


@pytest.mark.parametrize("seed", range(12))
def test_every_node_is_python_s(seed: int, setting: str) -> None:
    _, result = random_graph(seed, 150)
    assert_same(Tape(result), result, exact=setting != "numpy")


def test_all_operations_for_other_numbers(setting: str) -> None:
    leaves = [Value(v) for v in (0.5, 1.2, -0.7, 2.0)]
    tape = Tape(all_operations(leaves))
    for numbers in ([0.1, 0.9, 0.4, 1.0], [-0.3, 0.2, 2.0, -1.5]):
        others = [Value(v) for v in numbers]
        result = all_operations(others)
        result.backward()
        for leaf, number in zip(leaves, numbers, strict=True):
            tape.value[tape.index(leaf)] = number
        assert tape.forward() == pytest.approx(result.data, rel=1e-12)
        tape.backward()
        assert [tape.grad[tape.index(v)] for v in leaves] == pytest.approx([v.grad for v in others], rel=1e-9)


def test_training_is_the_python_loop_s(setting: str) -> None:
    def network(ws: list[Value]) -> Value:
        hidden = [mw.weighted_sum(ws[i : i + 2], [0.5, -1.0], ws[i + 2]).tanh() for i in (0, 3)]
        return (mw.weighted_sum(ws[6:8], hidden, ws[8]) - 0.3) ** 2

    start = [0.1 * i - 0.4 for i in range(9)]
    ws = [Value(w) for w in start]
    tape = Tape(network(ws), ws)
    losses = [tape.step(0.1, l2=0.01) for _ in range(30)]
    plain, expected = [Value(w) for w in start], []
    for _ in range(30):
        loss = network(plain)
        expected.append(loss.data)
        for w in plain:
            w.grad = 0.0
        loss.backward()
        for w in plain:
            w.data -= 0.1 * (w.grad + 0.01 * w.data)
    assert losses == pytest.approx(expected, rel=1e-10)
    tape.fetch()
    assert [w.data for w in ws] == pytest.approx([w.data for w in plain], rel=1e-10)


def test_a_long_chain(c_only: str) -> None:
    x = Value(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1e-5
    tape = Tape(y, [x])
    tape.value[tape.index(x)] = 5.0
    assert tape.forward() == pytest.approx(6.0)
    tape.backward()
    assert tape.grad[tape.index(x)] == 1.0


def test_a_leaf_alone(setting: str) -> None:
    x = Value(3.0)
    tape = Tape(x, [x])
    assert tape.forward() == 3.0
    tape.backward()
    tape.update(0.5)
    assert tape.forward() == 2.5


def test_numbers_that_break(setting: str) -> None:
    x = Value(1.0)
    tape = Tape(1 / x + x.log(), [x])
    tape.value[tape.index(x)] = 0.0
    with pytest.raises(NonFiniteError, match=r"'/'|'log'"):
        tape.forward()


def test_wrong_arguments() -> None:
    x = Value(1.0)
    with pytest.raises(TypeError, match="Value"):
        Tape(3.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="plain numbers"):
        Tape(x + 1, [x * 2])
    with pytest.raises(KeyError, match="of this graph"):
        Tape(x + 1).index(Value(1.0))


@pytest.mark.parametrize(
    ("operations", "operands", "weights"),
    [
        (["+"], [[0, 0]], []), (["", "+"], [[], [0]], []), (["", "+"], [[], [0, 1]], []), (["", "?"], [[], [0]], []),
        (["", "exp"], [[], [-1]], []), (["", "exp"], [[], [0]], [1]), ([""], [[]], [1]),
        (["", "weighted_sum"], [[], [0, 0]], []),
    ],
)  # fmt: skip
def test_nodes_that_would_read_elsewhere(operations: list[str], operands: list[list[int]], weights: list[int]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        Nodes(operations, operands, [0.0] * len(operations), weights)
