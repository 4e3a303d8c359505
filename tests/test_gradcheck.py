"""The tester, tested: gradcheck accepts right gradients and refuses every kind of wrong one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights.ops import Op

X = np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -0.75]])
ROW = np.array([1.5, -0.5, 2.5])
SQUARE = np.array([[0.5, -1.0], [2.0, 3.0]])


pytestmark = pytest.mark.usefixtures("table")


def doctored(change: Callable[[mw.Tensor], Any]) -> type[Op]:
    """z = x * y with `change` done to the gradient of x."""

    class Doctored(Op):
        def forward(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.asarray(x * y)

        def backward(self, dz: mw.Tensor) -> Any:
            x, y = self.inputs
            return change(dz * y), dz * x

    return Doctored


def one_off(dx: mw.Tensor) -> mw.Tensor:
    values = dx.numpy().copy()
    values[-1, 0] += 0.01
    return mw.tensor(values)


def shifted(dx: mw.Tensor) -> mw.Tensor:
    return mw.tensor(np.roll(dx.numpy(), 1, axis=-1))


def not_a_number_once(dx: mw.Tensor) -> mw.Tensor:
    values = dx.numpy().copy()
    values[0, 1] = np.nan
    return mw.tensor(values)


WRONG = {
    "sign flipped": lambda dx: -dx,
    "factor 2": lambda dx: 2 * dx,
    "transposed": lambda dx: dx.T,
    "zero": lambda dx: dx * 0,
    "none": lambda dx: None,
    "one element off": one_off,
    "shifted": shifted,
    "1e-4 too large": lambda dx: dx * (1 + 1e-4),
    "1e-4 too small": lambda dx: dx * (1 - 1e-4),
    "plus a constant": lambda dx: dx + 1e-4,
    "the mean everywhere": lambda dx: dx * 0 + dx.mean(),
    "magnitude only": lambda dx: abs(dx),
    "NaN once": not_a_number_once,
    "infinity": lambda dx: dx * np.inf,
}


def test_the_doctored_operation_is_right_when_nothing_is_changed() -> None:
    assert mw.gradcheck(lambda x, y: doctored(lambda dx: dx)()(x, y), [SQUARE, SQUARE + 1]) is True


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_wrong_gradients_are_refused(change: Callable[[mw.Tensor], Any]) -> None:
    with pytest.raises(AssertionError, match="Doctored: argument 0"):
        mw.gradcheck(lambda x, y: doctored(change)()(x, y), [SQUARE, SQUARE - 1])


@pytest.mark.parametrize("change", [lambda dx: dx[0], lambda dx: dx.mean(0), lambda dx: dx[-1], lambda dx: 0.5 * dx.sum(0)])
def test_a_missing_or_wrong_sum_over_a_broadcast_is_refused(change: Callable[[mw.Tensor], Any]) -> None:
    with pytest.raises(AssertionError, match=r"Doctored: argument 0, index \(0,\)"):
        mw.gradcheck(lambda row, x: doctored(change)()(row, x), [ROW, X])


def test_the_sum_over_a_broadcast_is_accepted() -> None:
    assert mw.gradcheck(lambda row, x: doctored(lambda dx: dx.sum(0))()(row, x), [ROW, X])


@pytest.mark.parametrize("result", [lambda z: z, lambda z: z.sum(), lambda z: z.mean(0), lambda z: z.tanh()])
def test_a_wrong_gradient_is_found_through_what_follows(result: Callable[[mw.Tensor], mw.Tensor]) -> None:
    with pytest.raises(AssertionError):
        mw.gradcheck(lambda x, y: result(doctored(lambda dx: dx * 1.001)()(x, y)), [X, X + 1])


def test_two_results_exchanged_are_told_apart() -> None:
    """The results are weighted differently: with equal weights a backward that mixes them up would pass."""

    class Exchanged(Op):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return np.array(x)

        def backward(self, dz: mw.Tensor) -> mw.Tensor:
            return dz[::-1]

    with pytest.raises(AssertionError, match="Exchanged"):
        mw.gradcheck(lambda x: Exchanged()(x), [[1.0, 2.0]])


def test_the_report_says_where_and_what() -> None:
    report = r"^Doctored: argument 1, index \(1, 0\): expected 1\.6666666\d+, received 1\.676666667$"
    with pytest.raises(AssertionError, match=report):
        mw.gradcheck(lambda y, x: doctored(one_off)()(x, y), [np.ones((2, 2)), SQUARE])


def test_the_second_argument_is_checked_too() -> None:
    class Second(Op):
        def forward(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.asarray(x - y)

        def backward(self, dz: mw.Tensor) -> Any:
            return dz, dz

    with pytest.raises(AssertionError, match=r"Second: argument 1, index \(0,\): expected -1, received 1"):
        mw.gradcheck(lambda x, y: Second()(x, y), [[2.0], [3.0]])


def test_a_gradient_at_a_kink_is_refused() -> None:
    with pytest.raises(AssertionError, match="Relu"):
        mw.gradcheck(lambda x: x.relu(), [[0.0]])


def test_float32_inputs_are_checked_in_float64() -> None:
    assert mw.gradcheck(lambda x: x.exp(), [mw.tensor([0.1, 2.0])])


def test_inputs_are_left_alone() -> None:
    x = mw.tensor(X, requires_grad=True)
    assert mw.gradcheck(lambda t: t.tanh(), [x])
    assert x.grad is None and x.op is None
    np.testing.assert_array_equal(x.numpy(), X)


@pytest.mark.parametrize("result", [lambda x: x.detach(), lambda x: x.numpy(), lambda x: 1.0, lambda x: x > 0])
def test_a_function_outside_the_graph_is_refused(result: Callable[[mw.Tensor], Any]) -> None:
    with pytest.raises(TypeError, match=r"(?s)Expected a function that returns a tensor .+ Received: .+ Check"):
        mw.gradcheck(result, [X])


def test_the_identity_and_empty_results() -> None:
    assert mw.gradcheck(lambda x: x, [X])
    assert mw.gradcheck(lambda x: x * 2, [np.zeros((0, 3))])


def test_large_and_small_inputs() -> None:
    assert mw.gradcheck(lambda x: x.square(), [[1e6, 1e-6, -1e6]], atol=1e-5)
    assert mw.gradcheck(lambda x: x.log(), [[1e3, 10.0]])


def test_how_it_is_called() -> None:
    a, b = np.ones((3, 2)), np.ones((2, 4))
    assert mw.gradcheck(lambda x, y: (x @ y).sum(), [a, b])
    assert mw.gradcheck(lambda x: (x @ x.T).sum(), a)
    assert mw.gradcheck(lambda x: x.square(), mw.tensor(a, requires_grad=True))
    with pytest.raises(TypeError, match=r"gradcheck\(fn, \[a, b\]\)"):
        mw.gradcheck(lambda x, y: (x @ y).sum(), a, b)


def test_float32_on_the_way_is_too_coarse() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3))
    coarse, fine = mw.layers.Dense(2), mw.layers.Dense(2, dtype="float64")
    with pytest.raises(TypeError, match="dtype='float64'"):
        mw.gradcheck(lambda a: coarse(a).astype("float64").sum(), [x])
    assert mw.gradcheck(lambda a: fine(a).sum(), [x])
