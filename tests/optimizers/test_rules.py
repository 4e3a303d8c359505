"""Update rules against Keras's over twenty steps, and against steps computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights import optimizers

START = [np.random.default_rng(0).normal(size=(3, 4)), np.array([1.0, -2.0, 0.0, 0.5, 3.0])]
CURVATURE = [np.random.default_rng(1).uniform(0.1, 3, (3, 4)), np.array([1.0, 0.5, 0.0, 10.0, 1e-3])]

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.5, "nesterov": True, "weight_decay": 0.05}),
    ("SGD", {"nesterov": True}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adam", {"weight_decay": 0.1, "learning_rate": 0.05}),
    ("Adam", {"beta_1": 0.0, "beta_2": 0.0, "epsilon": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"learning_rate": 0.05, "weight_decay": 0.3}),
    ("Adam", {"amsgrad": True, "learning_rate": 0.05, "beta_2": 0.5}),
    ("AdamW", {"amsgrad": True}),
    ("Adamax", {}),
    ("Adamax", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-3, "weight_decay": 0.1}),
    ("Nadam", {}),
    ("Nadam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-3}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adadelta", {"learning_rate": 10.0, "rho": 0.5, "epsilon": 1e-3, "weight_decay": 0.01}),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.05, "beta_1": 0.5, "beta_2": 0.7, "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"learning_rate": 0.01, "rho": 0.5, "epsilon": 1e-2}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "epsilon": 1e-4}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "epsilon": 1e-4, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"learning_rate": 0.5, "initial_accumulator_value": 0.7, "epsilon": 1e-3}),
    ("Adagrad", {"initial_accumulator_value": 0.0, "weight_decay": 0.1}),
]


def gradient(w: np.ndarray, curvature: np.ndarray, step: int) -> np.ndarray:
    """Of a bowl that shakes a little; where the curvature is 0, so is the gradient."""
    return curvature * (w - 1 + 0.1 * np.sin(step))


def run(optimizer: Any, dtype: str, steps: int = 20, extra: Any = None) -> list[np.ndarray]:
    """Where the weights are after some steps; `extra` may add to a gradient."""
    variables = [mw.tensor(w, dtype, requires_grad=True) for w in START]
    for step in range(steps):
        gradients = [gradient(v.numpy(), c, step) for v, c in zip(variables, CURVATURE, strict=True)]
        if extra is not None:
            gradients = [g + extra(v.numpy()) for g, v in zip(gradients, variables, strict=True)]
        optimizer.apply([mw.tensor(g, dtype) for g in gradients], variables)
    return [v.numpy() for v in variables]


@pytest.fixture(scope="module")
def expected(keras: Any) -> Any:
    """Where Keras ends, for each case; computed once."""
    found: dict[int, list[np.ndarray]] = {}

    def compute(i: int) -> list[np.ndarray]:
        if i not in found:
            name, arguments = CASES[i]
            optimizer = getattr(keras.optimizers, name)(**arguments)
            variables = [keras.Variable(w, dtype="float64") for w in START]
            for step in range(20):
                gradients = [gradient(v.numpy(), c, step) for v, c in zip(variables, CURVATURE, strict=True)]
                optimizer.apply([keras.ops.convert_to_tensor(g, "float64") for g in gradients], variables)
            found[i] = [v.numpy() for v in variables]
        return found[i]

    return compute


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: f"{CASES[i][0]}-{','.join(CASES[i][1])}")
def test_twenty_steps_are_keras_s(expected: Any, dtype: str, i: int) -> None:
    name, arguments = CASES[i]
    ours = run(getattr(optimizers, name)(**arguments), dtype)
    for w, v, start in zip(ours, expected(i), START, strict=True):
        assert w.dtype == dtype and (name == "Adagrad" or np.abs(v - start).max() > 1e-3)
        np.testing.assert_allclose(w, v, rtol=2e-5, atol=2e-6)


# ---- by hand ---------------------------------------------------------------------------------------------------------


def steps_by_hand(optimizer: Any, gradients: list[float], start: float = 1.0) -> list[float]:
    w = mw.tensor([start], "float64", requires_grad=True)
    path = []
    for g in gradients:
        optimizer.apply([mw.tensor([g], "float64")], [w])
        path.append(w.item())
    return path


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(
    ("optimizer", "path"),
    [
        (lambda: optimizers.SGD(0.1), [0.8, 0.4]),
        (lambda: optimizers.SGD(0.1, momentum=0.5), [0.8, 0.8 - 0.1 - 0.4]),
        (lambda: optimizers.SGD(0.1, momentum=0.5, nesterov=True), [1 - 0.1 - 0.2, 0.7 + 0.5 * -0.5 - 0.4]),
        (lambda: optimizers.SGD(0.1, weight_decay=0.5), [0.95 - 0.2, 0.75 * 0.95 - 0.4]),
        (lambda: optimizers.SGD(0.1, l2=0.5), [1 - 0.1 * 2.5, 0.75 - 0.1 * (4 + 0.375)]),
        (lambda: optimizers.SGD(0.1, l1=0.5), [0.75, 0.3]),
        (lambda: optimizers.Adam(0.1, 0.0, 0.0, 0.0), [0.9, 0.8]),
        (lambda: optimizers.AdamW(0.1, 0.5, 0.0, 0.0, 0.0), [0.85, 0.85 * 0.95 - 0.1]),
        (lambda: optimizers.RMSprop(0.1, rho=0.0, epsilon=0.0), [0.9, 0.8]),
        (lambda: optimizers.RMSprop(0.1, rho=0.0, momentum=0.5, epsilon=0.0), [0.9, 0.75]),
        (
            lambda: optimizers.RMSprop(0.1, rho=0.5, centered=True, epsilon=0.0),
            [1 - 0.2, 0.8 - 0.4 / np.sqrt(9 - 6.25)],
        ),
        (lambda: optimizers.Adagrad(0.1, 0.0, 0.0), [0.9, 0.9 - 0.4 / np.sqrt(20)]),
        (lambda: optimizers.Adagrad(0.1, 5.0, 0.0), [1 - 0.2 / 3, 1 - 0.2 / 3 - 0.4 / 5]),
    ],
)
def test_two_steps_by_hand(optimizer: Any, path: list[float]) -> None:
    """Gradients of 2, then 4, from a weight of 1."""
    assert steps_by_hand(optimizer(), [2.0, 4.0]) == pytest.approx(path, rel=1e-12)


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "Adamax", "Nadam", "Adadelta"])
def test_l1_and_l2_are_added_to_the_gradient(dtype: str, name: str) -> None:
    rule = getattr(optimizers, name)
    coupled = run(rule(0.05, l1=0.2, l2=0.3), dtype, 10)
    plain = run(rule(0.05), dtype, 10, extra=lambda w: 0.2 * np.sign(w) + 0.3 * w)
    for a, b in zip(coupled, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_no_penalty_on_a_weight_of_0() -> None:
    assert steps_by_hand(optimizers.SGD(0.1, l1=0.5, l2=0.5), [0.0], start=0.0) == [0.0]


# ---- state -----------------------------------------------------------------------------------------------------------


def test_the_learning_rate_may_change() -> None:
    optimizer = optimizers.SGD(0.1)
    assert optimizer.learning_rate == pytest.approx(0.1) and optimizer.iterations == 0
    first = steps_by_hand(optimizer, [1.0])
    optimizer.learning_rate = 0.5
    assert steps_by_hand(optimizer, [1.0], first[-1]) == pytest.approx([0.4])
    assert optimizer.iterations == 1 and optimizer.lr == 0.5


def test_state_belongs_to_the_variable() -> None:
    """A variable that sits out a step, as a frozen one does, keeps its momentum."""
    optimizer = optimizers.SGD(0.1, momentum=0.5)
    a, b = (mw.tensor([1.0], "float64", requires_grad=True) for _ in range(2))
    one = mw.tensor([1.0], "float64")
    optimizer.apply([one, one], [a, b])
    optimizer.apply([one], [a])
    optimizer.apply([one, one], [b, a])
    assert a.item() == pytest.approx(1 - 0.1 - 0.15 - 0.175)
    assert b.item() == pytest.approx(1 - 0.1 - 0.15)


def test_values_assigned_between_steps_count() -> None:
    optimizer = optimizers.SGD(0.1)
    w = mw.tensor([1.0], requires_grad=True)
    optimizer.apply([mw.tensor([1.0])], [w])
    with mw.no_grad():
        w.assign([5.0])
    optimizer.apply([mw.tensor([1.0])], [w])
    assert w.item() == pytest.approx(4.9)


def test_gradients_may_lie_anyhow(setting: str) -> None:
    w = mw.tensor(np.zeros((2, 3), "float32"), requires_grad=True)
    g = mw.tensor(np.arange(6, dtype="float32").reshape(3, 2)).T
    optimizers.SGD(1.0).apply([g], [w])
    np.testing.assert_array_equal(w.numpy(), -g.numpy())


def test_a_graph_through_updated_weights_is_refused() -> None:
    w = mw.tensor([1.0, 2.0], requires_grad=True)
    loss = w.square().sum()
    optimizers.SGD().apply(mw.grad(loss, [w]), [w])
    with pytest.raises(RuntimeError, match="unchanged"):
        mw.grad(loss, [w])


def test_gradients_without_variables_are_refused() -> None:
    with pytest.raises(ValueError, match="gradients"):
        optimizers.SGD().apply([mw.tensor([1.0])], [])


@pytest.mark.parametrize(
    ("gradients", "error"),
    [([[1.0, 1.0]], ValueError), ([[1.0, 1.0], [1.0], [1.0]], ValueError), ([[1.0], [1.0, 1.0]], ValueError),
     ([[1.0, 1.0], [[1.0]]], ValueError)],
)  # fmt: skip
def test_gradients_that_do_not_fit_change_nothing(gradients: Any, error: type[Exception]) -> None:
    a, b = mw.tensor([1.0, 2.0], requires_grad=True), mw.tensor([3.0], requires_grad=True)
    with pytest.raises(error, match="Expected"):
        optimizers.SGD().apply([mw.tensor(g) for g in gradients], [a, b])
    assert a.tolist() == [1, 2] and b.tolist() == [3]


def test_missing_gradients_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected 1 gradients"):
        optimizers.SGD().apply([], [mw.tensor([1.0], requires_grad=True)])


@pytest.mark.parametrize("g", [np.ones(2, "float32"), [1.0, 1.0], None, mw.tensor([1.0, 1.0], "float64"), mw.tensor([1, 1])])
def test_gradients_of_another_type_change_nothing(g: Any) -> None:
    w = mw.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match="Expected"):
        optimizers.Adam().apply([g], [w])
    assert w.tolist() == [1, 2]


# ---- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), None, "0.1", [0.1]])
def test_learning_rates_are_checked(value: Any) -> None:
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adamax", "Nadam", "Adadelta", "Lion"):
        optimizer = getattr(optimizers, name)
        with pytest.raises(ValueError, match="`learning_rate`"):
            optimizer(value)
        made = optimizer()
        with pytest.raises(ValueError, match="`learning_rate`"):
            made.learning_rate = value


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("SGD", {"momentum": -1}), ("SGD", {"momentum": 1.5}), ("SGD", {"l1": -1}), ("SGD", {"l2": float("nan")}),
     ("SGD", {"weight_decay": -1}), ("Adam", {"beta_1": 1}), ("Adam", {"beta_2": 1.1}), ("Adam", {"epsilon": -1}),
     ("RMSprop", {"rho": 2}), ("RMSprop", {"momentum": "a"}), ("Adagrad", {"initial_accumulator_value": -0.1})],
)  # fmt: skip
def test_arguments_are_checked(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}`"):
        getattr(optimizers, name)(**arguments)


def test_get_by_name() -> None:
    for name, expected in (
        ("sgd", "SGD"),
        ("SGD", "SGD"),
        ("AdamW", "AdamW"),
        ("rmsprop", "RMSprop"),
        ("RMSprop", "RMSprop"),
    ):
        assert type(optimizers.get(name)).__name__ == expected
    own = optimizers.Adam(0.5)
    assert optimizers.get(own) is own and type(optimizers.get(optimizers.Adagrad)) is optimizers.Adagrad


@pytest.mark.parametrize(("name", "error"), [("adamm", ValueError), ("", ValueError), (0.1, TypeError), (None, TypeError)])
def test_get_refuses(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Expected an optimizer"):
        optimizers.get(name)


# ---- all at once -------------------------------------------------------------------------------------------------------


def test_lbfgs_finds_minima(setting: str) -> None:
    """Rosenbrock's valley; and the weights of a least-squares line, in two variables."""
    p = mw.tensor(np.array([-1.2, 1.0]), requires_grad=True)
    found = mw.optimizers.lbfgs(lambda: (1 - p[0]).square() + 100 * (p[1] - p[0].square()).square(), [p])
    assert found.converged and found.loss < 1e-12
    np.testing.assert_allclose(p.numpy(), [1, 1], atol=1e-5)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    w, b = mw.tensor(np.zeros((3, 1)), requires_grad=True), mw.tensor(np.zeros(1), requires_grad=True)
    mw.optimizers.lbfgs(lambda: (mw.tensor(x) @ w + b - y).square().mean(), [w, b], tol=1e-10)
    best = np.linalg.lstsq(np.column_stack([x, np.ones(50)]), y)[0]
    np.testing.assert_allclose(np.vstack([w.numpy(), b.numpy()[None]]), best, atol=1e-6)


def test_lbfgs_trains_a_network() -> None:
    digits = mw.datasets.load_digits()
    mw.seed(0)
    model = mw.Sequential([mw.Input((64,)), mw.layers.Dense(16, activation="tanh"), mw.layers.Dense(10)])
    loss = mw.losses.SparseCategoricalCrossentropy(from_logits=True)
    x, y = mw.tensor((digits.data[:500] / 16).astype(np.float32)), mw.tensor(digits.target[:500])
    found = mw.optimizers.lbfgs(lambda: loss(y, model(x)), model.trainable_variables, max_iter=60)
    assert found.loss < 0.05 and found.steps <= 60


def test_lbfgs_refuses() -> None:
    w = mw.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="require gradients"):
        mw.optimizers.lbfgs(lambda: w.sum(), [mw.tensor([1.0])])
    with pytest.raises(FloatingPointError, match="finite"):
        mw.optimizers.lbfgs(lambda: (w * np.inf).sum(), [w])


def test_a_variance_is_never_negative(setting: str) -> None:
    """In float32 the mean of squares may come out smaller than the square of the mean."""
    rng, w = np.random.default_rng(0), mw.tensor(np.zeros(1000, np.float32), requires_grad=True)
    optimizer = mw.optimizers.RMSprop(1e-3, centered=True, epsilon=1e-12)
    for _ in range(400):
        optimizer.apply([mw.tensor((1000 * (1 + 1e-4 * rng.normal(size=1000))).astype("float32"))], [w])
    assert np.isfinite(w.numpy()).all()


@pytest.mark.parametrize(
    ("loss", "start", "dtype"),
    [
        (lambda w: (w * 100 - w.log()).sum(), [10.0], "float64"),
        (lambda w: 1e-3 * (w[0] - 1).square() + (w[1] - 3).square() + 1e4, [0.0, 0.0], "float32"),
        (lambda w: -w.exp().sum(), [4.0], "float64"),
    ],
)
def test_a_minimum_that_was_not_reached_is_told_of(loss: Any, start: list[float], dtype: str) -> None:
    pytest.importorskip("scipy")
    w = mw.tensor(start, dtype=dtype, requires_grad=True)
    with np.errstate(all="ignore"):
        found = mw.optimizers.lbfgs(lambda: loss(w), [w], tol=1e-8)
    assert not found.converged


def test_what_no_minimum_can_be_looked_for_with() -> None:
    pytest.importorskip("scipy")
    w = mw.tensor([0.0, 2.0], dtype="float64", requires_grad=True)

    def square() -> mw.Tensor:
        return (w - 1).square().sum()

    for options in ({"max_iter": 0}, {"max_iter": 1.5}, {"tol": -1.0}, {"tol": float("nan")}):
        with pytest.raises(ValueError, match="Expected"):
            mw.optimizers.lbfgs(square, [w], **options)
    with pytest.raises(FloatingPointError, match="gradient"):
        mw.optimizers.lbfgs(lambda: w.abs().sqrt().sum() + square(), [w])
    assert mw.optimizers.lbfgs(square, (v for v in [w])).converged


def test_optimizers_and_schedules_say_what_they_are() -> None:
    assert repr(optimizers.SGD(0.05, momentum=0.9)) == "SGD(learning_rate=0.05, momentum=0.9)"
    assert repr(optimizers.Adam(l2=0.1, name="a")) == "Adam(learning_rate=0.001, name='a', l2=0.1)"
    assert repr(mw.schedules.ExponentialDecay(0.01, 100, 0.9)) == (
        "ExponentialDecay(initial_learning_rate=0.01, decay_steps=100, decay_rate=0.9)"
    )
    shown = "RMSprop(learning_rate=OneCycle(max_learning_rate=0.1, total_steps=100), centered=True)"
    assert repr(optimizers.RMSprop(mw.schedules.OneCycle(0.1, 100), centered=True)) == shown
