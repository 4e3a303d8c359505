"""The update rules against torch.optim, and what the door refuses of parameters."""

from typing import Any

import numpy as np
import pytest

from microweights.kernels import door

from .cases import RULES, hyper
from .child import survivor

RATE = 0.01


def start(dtype: str = "float64") -> tuple[list[Any], list[list[Any]]]:
    """Two parameters, and their gradients for five steps."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape).astype(dtype) for shape in ((3, 17), (5,))]
    return weights, [[rng.normal(size=w.shape).astype(dtype) for w in weights] for _ in range(5)]


def updated(rule: str, dtype: str = "float64", **numbers: float) -> list[Any]:
    weights, steps = start(dtype)
    parameters = door.Parameters(weights, [[np.zeros_like(w) for _ in range(RULES[rule])] for w in weights])
    h = hyper(learning_rate=RATE, **numbers)
    for gradients in steps:
        parameters.update(rule, gradients, h)
    assert h.step == len(steps)
    return weights


EQUAL = [
    ("sgd", {}, "SGD", {}),
    ("sgd", {"momentum": 0.9}, "SGD", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "nesterov": 1}, "SGD", {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"l2": 0.1, "momentum": 0.5}, "SGD", {"weight_decay": 0.1, "momentum": 0.5}),
    ("adam", {"epsilon": 0}, "Adam", {"eps": 0}),
    ("adam", {"epsilon": 0, "beta_1": 0.7, "beta_2": 0.9}, "Adam", {"eps": 0, "betas": (0.7, 0.9)}),
    ("adam", {"epsilon": 0, "l2": 0.1}, "Adam", {"eps": 0, "weight_decay": 0.1}),
    ("adam", {"epsilon": 0, "weight_decay": 0.1}, "AdamW", {"eps": 0, "weight_decay": 0.1}),
    ("rmsprop", {"epsilon": 0}, "RMSprop", {"eps": 0, "alpha": 0.9}),
    ("rmsprop", {"epsilon": 0, "rho": 0.5, "momentum": 0.9}, "RMSprop", {"eps": 0, "alpha": 0.5, "momentum": 0.9}),
    ("rmsprop", {"epsilon": 0, "centered": 1}, "RMSprop", {"eps": 0, "alpha": 0.9, "centered": True}),
    ("rmsprop", {"epsilon": 0, "centered": 1, "momentum": 0.5}, "RMSprop",
     {"eps": 0, "alpha": 0.9, "centered": True, "momentum": 0.5}),
    ("adagrad", {"epsilon": 0}, "Adagrad", {"eps": 0}),
    ("adagrad", {"epsilon": 0, "l2": 0.1}, "Adagrad", {"eps": 0, "weight_decay": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "numbers", "name", "arguments"), EQUAL)
def test_rules_are_those_of_torch(rule: str, numbers: Any, name: str, arguments: Any, setting: str) -> None:
    """With epsilon 0, where torch and Keras place it differently, the formulas are the same."""
    torch = pytest.importorskip("torch")
    weights, steps = start()
    tensors = [torch.tensor(w, requires_grad=True) for w in weights]
    optimizer = getattr(torch.optim, name)(tensors, lr=RATE, **arguments)
    for gradients in steps:
        for t, g in zip(tensors, gradients, strict=True):
            t.grad = torch.tensor(g)
        optimizer.step()
    for w, t in zip(updated(rule, **numbers), tensors, strict=True):
        np.testing.assert_allclose(w, t.detach().numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_one_step_by_hand(rule: str, dtype: str, setting: str) -> None:
    """From zero state and g = 2, with epsilon: Keras's places of it."""
    w = np.ones(19, dtype)
    door.Parameters([w], [[np.zeros_like(w) for _ in range(RULES[rule])]]).update(
        rule, [np.full_like(w, 2)], hyper(epsilon=0.5, momentum_product=1.0)
    )
    moment = np.sqrt(0.001) / 0.1 * 0.2 / (np.sqrt(0.004) + 0.5)
    mu, following = 0.9 * (1 - 0.48), 0.9 * (1 - 0.5 * 0.96**2)
    ahead = following * 0.2 / (1 - mu * following) + (1 - mu) * 2 / (1 - mu)
    step = {
        "sgd": 2, "adam": moment, "rmsprop": 2 / np.sqrt(0.4 + 0.5), "adagrad": 2 / np.sqrt(4 + 0.5), "lion": 1,
        "adamax": 2 / (2 + 0.5), "nadam": ahead / (2 + 0.5), "adadelta": np.sqrt(0.5) / np.sqrt(0.4 + 0.5) * 2,
    }[rule]  # fmt: skip
    np.testing.assert_allclose(w, 1 - 0.01 * step, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("rule", RULES)
def test_penalties_and_decay_come_first(rule: str, setting: str) -> None:
    """l1 and l2 join the gradient by the old weights; decay scales the weights."""
    weights, steps = start()
    weights[0][0, :3] = 0  # where the sign is 0
    plain, penal = [w.copy() for w in weights], [w.copy() for w in weights]
    for ws, numbers in ((plain, {}), (penal, {"l1": 0.3, "l2": 0.2, "weight_decay": 0.5})):
        slots = [[np.zeros_like(w) for _ in range(RULES[rule])] for w in ws]
        g = steps[0] if numbers else [g + 0.3 * np.sign(w) + 0.2 * w for g, w in zip(steps[0], weights, strict=True)]
        door.Parameters(ws, slots).update(rule, g, hyper(**numbers))
    for w, p, q in zip(weights, plain, penal, strict=True):
        np.testing.assert_allclose(q, p - 0.01 * 0.5 * w, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("rule", RULES)
def test_zero_rate_changes_no_weight_and_nan_spreads_to_its_own(rule: str, dtype: str, setting: str) -> None:
    w = np.linspace(-1, 1, 21).astype(dtype)
    before, g = w.copy(), np.ones_like(w)
    slots = [np.zeros_like(w) for _ in range(RULES[rule])]
    door.Parameters([w], [slots]).update(rule, [g], hyper(learning_rate=0))
    assert np.array_equal(w, before)
    g[20] = np.nan
    door.Parameters([w], [slots]).update(rule, [g], hyper())
    assert np.isnan(w[20]) and np.isfinite(w[:20]).all()


@pytest.mark.parametrize("rule", RULES)
def test_how_weights_are_divided_into_parameters_does_not_matter(rule: str, dtype: str, c_only: str) -> None:
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=(2, 100)).astype(dtype)
    results = []
    for cuts in ([], [1], [16, 17, 50], [33, 99]):
        whole, state = w.copy(), np.zeros((RULES[rule], 100), dtype)
        parts, slots = np.split(whole, cuts), [list(s) for s in np.split(state, cuts, axis=1)]
        slots = [[np.ascontiguousarray(row) for row in s] for s in slots]
        door.Parameters(parts, slots).update(rule, np.split(g, cuts), hyper(momentum=0.9, l2=0.1))
        results.append(whole)
    assert all(np.array_equal(r, results[0]) for r in results)


def test_gradients_may_be_strided_and_read_only(setting: str) -> None:
    w, g = np.zeros((4, 5)), np.arange(20.0).reshape(5, 4).T
    g.flags.writeable = False
    door.Parameters([w], [[]]).update("sgd", [g], hyper(learning_rate=1))
    assert np.array_equal(w, -g)


@pytest.mark.parametrize(
    ("weights", "slots", "error"),
    [
        ([np.ones((4, 6))[:, ::2]], [[]], ValueError),
        ([np.ones((4, 6)).T], [[]], ValueError),
        ([np.broadcast_to(1.0, 3)], [[]], ValueError),
        ([np.ones(3, "i8")], [[]], TypeError),
        ([np.ones(3, "f2")], [[]], TypeError),
        ([np.ones(3, "f4"), np.ones(3, "f8")], [[], []], TypeError),
        ([np.ones(3)], [[np.ones(2)]], ValueError),
        ([np.ones(3)], [[np.ones(3, "f4")]], TypeError),
        ([np.ones(3)], [[np.ones(6)[::2]]], ValueError),
        ([np.ones(3)], [], ValueError),
    ],
)
def test_parameters_that_c_could_not_update_are_refused(weights: Any, slots: Any, error: type[Exception], setting: str) -> None:
    with pytest.raises(error):
        door.Parameters(weights, slots)


@pytest.mark.parametrize(
    ("gradients", "error"),
    [
        ([], ValueError),
        ([np.ones(3), np.ones(3)], ValueError),
        ([np.ones(4)], ValueError),
        ([np.ones((3, 1))], ValueError),
        ([np.ones(3, "f4")], TypeError),
    ],
)
def test_gradients_that_do_not_fit_are_refused(gradients: Any, error: type[Exception], setting: str) -> None:
    parameters = door.Parameters([np.ones(3)], [[]])
    with pytest.raises(error, match=r"Expected .* Received: .*"):
        parameters.update("sgd", gradients, hyper())


@pytest.mark.parametrize("slots", [0, 1])
def test_a_rule_without_its_state_is_refused(slots: int, c_only: str) -> None:
    """In a child, as C would write through a null pointer."""
    parameters = door.Parameters([np.ones(3)], [[np.ones(3) for _ in range(slots)]])

    def update(say: Any) -> None:
        with pytest.raises(ValueError, match="Expected"):
            parameters.update("adam", [np.ones(3)], hyper())

    assert survivor(update)[0] == 0


def test_a_slot_too_many_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="Expected"):
        door.Parameters([np.ones(3)], [[np.ones(3) for _ in range(4)]])


def test_no_parameters_at_all(setting: str) -> None:
    """A model with everything frozen: nothing to do, or a plain refusal."""
    with pytest.raises(ValueError, match="Expected"):
        door.Parameters([], [])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rule", "numbers", "slot"), [
    ("sgd", {"momentum": 0.9}, 0), ("sgd", {"momentum": 0.9, "nesterov": 1}, 0), ("adam", {}, 0), ("adam", {"amsgrad": 1}, 0),
    ("adamax", {}, 0),
    ("nadam", {}, 0), ("lion", {"beta_2": 0.9}, 0),
    ("rmsprop", {"momentum": 0.9}, 1), ("rmsprop", {"momentum": 0.9, "centered": 1}, 2),
])  # fmt: skip
def test_a_mean_of_gradients_that_have_ended_is_zero(rule: str, numbers: Any, slot: int, dtype: str, setting: str) -> None:
    """Denormals would stay: 0.9 of the smallest rounds to itself."""
    w, state = np.ones(17, dtype), [np.zeros(17, dtype) for _ in range(RULES[rule])]
    parameters, h = door.Parameters([w], [state]), hyper(learning_rate=RATE, **numbers)
    parameters.update(rule, [np.ones(17, dtype)], h)
    assert (state[slot] != 0).all()
    for _ in range(1000 if dtype == "float32" else 7200):
        parameters.update(rule, [np.zeros(17, dtype)], h)
    assert (state[slot] == 0).all()
    assert np.isfinite(w).all()
