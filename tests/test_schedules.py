"""Learning rates that change: what they are, in C and on the twins, step by step and in replays; and gradients cut short."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights.callbacks import ReduceLROnPlateau
from microweights.schedules import (
    Constant,
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
    Schedule,
    StepDecay,
)

SCHEDULES: dict[str, tuple[Callable[[], Schedule], Callable[[int], float]]] = {
    "constant": (lambda: Constant(0.3), lambda t: 0.3),
    "warm-up": (lambda: Constant(0.3, warmup_steps=4), lambda t: 0.3 * min(t / 4, 1)),
    "steps": (lambda: StepDecay(0.4, 3, 0.5), lambda t: 0.4 * 0.5 ** (t // 3)),
    "exponential": (lambda: ExponentialDecay(0.4, 5, 0.9), lambda t: 0.4 * 0.9 ** (t / 5)),
    "staircase": (lambda: ExponentialDecay(0.4, 5, 0.9, staircase=True), lambda t: 0.4 * 0.9 ** (t // 5)),
    "line": (lambda: PolynomialDecay(0.4, 8, 0.1), lambda t: 0.4 - 0.3 * min(t / 8, 1)),
    "cosine": (
        lambda: CosineDecay(0.4, 8, alpha=0.1),
        lambda t: 0.4 * (0.1 + 0.9 * (1 + math.cos(math.pi * min(t / 8, 1))) / 2),
    ),
    "cosine after a warm-up": (
        lambda: CosineDecay(0.1, 8, warmup_target=0.5, warmup_steps=4),
        lambda t: 0.1 + 0.4 * t / 4 if t < 4 else 0.25 * (1 + math.cos(math.pi * min((t - 4) / 8, 1))),
    ),
    "one cycle": (
        lambda: OneCycle(0.5, 10, rise=0.5),
        lambda t: (
            0.02 + 0.48 * (1 - math.cos(math.pi * t / 4)) / 2
            if t < 4
            else 2e-6 + (0.5 - 2e-6) * (1 + math.cos(math.pi * min((t - 4) / 5, 1))) / 2
        ),
    ),
    "inverse": (lambda: InverseTimeDecay(0.4, 5, 2.0), lambda t: 0.4 / (1 + 2 * t / 5)),
    "inverse in stairs": (lambda: InverseTimeDecay(0.4, 5, 2.0, staircase=True), lambda t: 0.4 / (1 + 2 * (t // 5))),
    "square": (lambda: PolynomialDecay(0.4, 8, 0.1, power=2), lambda t: 0.1 + 0.3 * (1 - min(t / 8, 1)) ** 2),
    "lines": (
        lambda: PolynomialDecay(0.4, 5, 0.1, cycle=True),
        lambda t: 0.4 - 0.3 * t / (5 * max(1, math.ceil(t / 5))),
    ),
    "pieces": (lambda: PiecewiseConstantDecay([3, 9], [0.4, 0.2, 0.1]), lambda t: 0.4 if t <= 3 else 0.2 if t <= 9 else 0.1),
    "one piece": (lambda: PiecewiseConstantDecay([], [0.4]), lambda t: 0.4),
    "restarts": (
        lambda: CosineDecayRestarts(0.4, 4, m_mul=0.5, alpha=0.1),
        lambda t: (
            0.4
            * (
                0.1
                + 0.9
                * (
                    0.5 * (1 + math.cos(math.pi * t / 4))
                    if t < 4
                    else 0.25 * (1 + math.cos(math.pi * (t - 4) / 8))
                    if t < 12
                    else 0.125 * (1 + math.cos(math.pi * (t - 12) / 16))
                )
            )
        ),
    ),
    "restarts of one length": (
        lambda: CosineDecayRestarts(0.4, 4, t_mul=1.0, m_mul=0.5),
        lambda t: 0.2 * 0.5 ** (t // 4) * (1 + math.cos(math.pi * (t % 4) / 4)),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_update_has_its_rate(name: str, setting: str) -> None:
    """Plain descent along a gradient of 1 shows the rate itself; two updates eager, then replays, then eager again."""
    make, rate = SCHEDULES[name]
    schedule = make()
    w = mw.tensor(np.zeros(3), requires_grad=True)
    optimizer = mw.optimizers.SGD(schedule)

    def step() -> mw.Tensor:
        loss = w.sum()
        optimizer.apply([mw.grad(loss, w)], [w])
        return loss

    captured = mw.capture(step)
    for t in range(16):
        before = w.numpy().copy()
        assert optimizer.learning_rate == pytest.approx(rate(t), rel=1e-12)
        (step if t in (2, 9) else captured)()
        np.testing.assert_allclose(before - w.numpy(), rate(t), rtol=1e-9)
        assert schedule(t) == pytest.approx(rate(t), rel=1e-12)
    assert optimizer.iterations == 16


KERAS_S: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("ExponentialDecay", [0.1, 7, 0.8], {}),
    ("ExponentialDecay", [0.1, 7, 0.8, True], {}),
    ("InverseTimeDecay", [0.1, 7, 0.8], {}),
    ("InverseTimeDecay", [0.1, 7, 0.8], {"staircase": True}),
    ("CosineDecay", [0.1, 9], {}),
    ("CosineDecay", [0.1, 9], {"alpha": 0.2, "warmup_target": 0.3, "warmup_steps": 5}),
    ("CosineDecayRestarts", [0.1, 7], {}),
    ("CosineDecayRestarts", [0.1, 7, 1.0, 0.9, 0.1], {}),
    ("CosineDecayRestarts", [0.1, 5], {"t_mul": 1.5, "m_mul": 0.8, "alpha": 0.2}),
    ("PolynomialDecay", [0.1, 9], {}),
    ("PolynomialDecay", [0.1, 7, 0.01, 2.0], {}),
    ("PolynomialDecay", [0.1, 7, 0.01, 0.5, True], {}),
    ("PiecewiseConstantDecay", [[5, 10], [1.0, 0.5, 0.1]], {}),
]


@pytest.mark.parametrize(("name", "given", "named"), KERAS_S)
def test_rates_are_those_of_keras(keras: Any, name: str, given: list[Any], named: dict[str, Any]) -> None:
    theirs, ours = getattr(keras.optimizers.schedules, name)(*given, **named), getattr(mw.schedules, name)(*given, **named)
    for t in range(60):
        assert ours(t) == pytest.approx(float(theirs(t)), rel=1e-5, abs=3e-8)


@pytest.mark.parametrize(("steps", "rise"), [(10, 0.3), (37, 0.3), (100, 0.25), (7, 0.5)])
def test_one_cycle_is_torch_s(steps: int, rise: float) -> None:
    torch = pytest.importorskip("torch")
    rule = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(rule, 2.0, total_steps=steps, pct_start=rise)
    ours = OneCycle(2.0, steps, rise)
    for t in range(steps):
        assert ours(t) == pytest.approx(rule.param_groups[0]["lr"], rel=1e-9)
        rule.step()
        if t < steps - 1:
            theirs.step()


@pytest.mark.parametrize("schedule", [ExponentialDecay(0.1, 1, 1e10), CosineDecayRestarts(0.1, 1, 1.0, 1e10)])
def test_a_rate_that_grows_stays_a_number(schedule: Schedule, setting: str) -> None:
    w = mw.tensor(np.zeros(1), requires_grad=True)
    optimizer = mw.optimizers.SGD(schedule)
    for _ in range(40):
        optimizer.apply([mw.tensor(np.ones(1))], [w])
        assert 0 <= optimizer.learning_rate < math.inf
        assert optimizer.learning_rate == pytest.approx(schedule(optimizer.iterations), rel=1e-12)
    assert -np.inf < w.item() < -1e300


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_made_again(name: str) -> None:
    schedule = SCHEDULES[name][0]()
    optimizer = mw.optimizers.Adam(schedule)
    twin = mw.optimizers.get(json.loads(json.dumps({"class_name": "Adam", "config": optimizer.get_config()})))
    assert repr(twin) == repr(optimizer) and [twin._schedule(t) for t in range(30)] == [schedule(t) for t in range(30)]
    assert repr(schedule) in repr(optimizer) and eval(repr(schedule), vars(mw.schedules))(7) == schedule(7)


def test_a_schedule_stays_as_it_is() -> None:
    """The optimizer has its numbers; an assignment here would change nothing there."""
    decay = ExponentialDecay(0.1, 10, 0.5)
    with pytest.raises(AttributeError, match="Make another one, and assign it"):
        decay.decay_rate = 0.9
    assert pickle.loads(pickle.dumps(decay))(10) == decay(10) == pytest.approx(0.05)


def test_a_schedule_of_the_user_is_refused() -> None:
    class Mine(Schedule):
        def __call__(self, step: float) -> float:
            return 0.1

    with pytest.raises(TypeError, match="which C computes"):
        mw.optimizers.SGD(Mine())


def test_training_replays_with_a_schedule(setting: str) -> None:
    """The same bits eagerly and in replays of many steps at once."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(70, 5)).astype(np.float32), rng.integers(0, 3, 70)
    results = []
    for eager in (True, False):
        mw.seed(0)
        model = mw.Sequential([mw.layers.Dense(8, activation="relu"), mw.layers.Dense(3, activation="softmax")])
        rule = mw.optimizers.Adam(OneCycle(0.05, 60), global_clipnorm=0.5)
        model.compile(rule, "sparse_categorical_crossentropy", eager=eager)
        model.fit(x, y, batch_size=16, epochs=12, verbose=0)
        results.append([w.tobytes() for w in model.get_weights()])
    assert results[0] == results[1]


def test_a_schedule_goes_into_pickles_and_is_not_set_by_hand() -> None:
    optimizer = mw.optimizers.Adam(CosineDecay(0.1, 10))
    w = mw.tensor([1.0], requires_grad=True)
    for _ in range(3):
        optimizer.apply([mw.tensor([1.0])], [w])
    twin = pickle.loads(pickle.dumps(optimizer))
    assert twin.learning_rate == optimizer.learning_rate == CosineDecay(0.1, 10)(3)
    with pytest.raises(ValueError, match="schedule"):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = ExponentialDecay(0.4, 3, 0.5)
    assert optimizer.learning_rate == pytest.approx(0.2) and optimizer.iterations == 3 and twin.learning_rate > 0.07


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(-1.0),
        lambda: StepDecay(0.1, 0),
        lambda: ExponentialDecay(0.1, 5, math.nan),
        lambda: CosineDecay(0.1, 5, alpha=-1.0),
        lambda: OneCycle(0.1, 10, rise=1.0),
        lambda: OneCycle("fast", 10),  # type: ignore[arg-type]
        lambda: PiecewiseConstantDecay([1, 2], [0.1, 0.2]),
        lambda: PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]),
        lambda: PiecewiseConstantDecay([1, 1], [0.1, 0.2, 0.3]),
        lambda: PiecewiseConstantDecay(list(range(17)), [0.1] * 18),
        lambda: PiecewiseConstantDecay([1], [0.1, -0.2]),
        lambda: CosineDecayRestarts(0.1, 5, t_mul=0.5),
        lambda: InverseTimeDecay(0.1, 5, -1.0),
        lambda: PolynomialDecay(0.1, 5, power=math.inf),
        lambda: mw.optimizers.SGD(0.1, clipvalue=-1.0),
        lambda: mw.optimizers.SGD(0.1, clipnorm=1.0, global_clipnorm=1.0),
        lambda: mw.optimizers.SGD(0.1, use_ema=True, ema_momentum=2.0),
        lambda: ReduceLROnPlateau(factor=2.0),
    ],
)
def test_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        make()


# ---- clipping ----------------------------------------------------------------------------------------------------------


def moved(gradients: list[Any], **limits: float) -> list[Any]:
    """How far descent at a rate of 1 goes."""
    weights = [mw.tensor(np.zeros_like(g), requires_grad=True) for g in gradients]
    mw.optimizers.SGD(1.0, **limits).apply([mw.tensor(g) for g in gradients], weights)
    return [-w.numpy() for w in weights]


def test_clipping(setting: str) -> None:
    gradients = [np.array([[3.0, -4.0]]), np.array([0.3, 0.4, 0.0]), np.array(12.0)]
    for got, g in zip(moved(gradients, clipvalue=0.35), gradients, strict=True):
        np.testing.assert_allclose(got, g.clip(-0.35, 0.35))
    for got, g in zip(moved(gradients, clipnorm=2.0), gradients, strict=True):
        np.testing.assert_allclose(got, g * min(1, 2 / np.linalg.norm(g)), rtol=1e-12)
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    for got, g in zip(moved(gradients, global_clipnorm=2.0), gradients, strict=True):
        np.testing.assert_allclose(got, g * (2 / norm), rtol=1e-12)
    for got, g in zip(moved(gradients, global_clipnorm=100.0), gradients, strict=True):
        np.testing.assert_array_equal(got, g)
    assert [z.tolist() for z in moved([np.zeros(3)], clipnorm=1.0)] == [[0.0, 0.0, 0.0]]


def test_clipping_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    gradients = [np.random.default_rng(0).normal(size=s) for s in ((4, 5), (5,))]
    tensors = [torch.zeros(*g.shape, dtype=torch.float64, requires_grad=True) for g in gradients]
    for t, g in zip(tensors, gradients, strict=True):
        t.grad = torch.from_numpy(g.copy())
    torch.nn.utils.clip_grad_norm_(tensors, 0.7)
    for got, t in zip(moved(gradients, global_clipnorm=0.7), tensors, strict=True):
        np.testing.assert_allclose(got, t.grad.numpy(), rtol=1e-5)


def test_clipping_of_very_long_gradients_and_limits_that_change(setting: str) -> None:
    (got,) = moved([np.array([3e20, 4e20], np.float32)], clipnorm=1.0)
    np.testing.assert_allclose(got, [0.6, 0.8], rtol=1e-6)
    for limits in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        for size in (1e200, 3e307):
            (got,) = moved([np.array([3 * size, 4 * size])], **limits)
            np.testing.assert_allclose(got, [0.6, 0.8], rtol=1e-12)
        (got,) = moved([np.array([3e-200, 4e-200])], **limits)
        np.testing.assert_array_equal(got, [3e-200, 4e-200])
        assert moved([np.zeros((0, 2)), np.ones(1)], **limits)[0].shape == (0, 2)
    w = mw.tensor(np.zeros(2), requires_grad=True)
    optimizer = mw.optimizers.SGD(1.0, clipvalue=0.5)

    @mw.capture
    def step() -> mw.Tensor:
        loss = w.sum()
        optimizer.apply([mw.grad(loss, w)], [w])
        return loss

    for _ in range(4):
        step()
    optimizer.clipvalue = 0.1
    before = w.numpy().copy()
    step()
    np.testing.assert_allclose(before - w.numpy(), 0.1)


def test_misspelt_options_are_said() -> None:
    for make in (
        lambda: mw.optimizers.SGD(clip_norm=1.0),
        lambda: mw.optimizers.SGD(beta_1=0.5),
        lambda: mw.optimizers.Adam(rho=1),
    ):
        with pytest.raises(TypeError, match="options of"):
            make()


# ---- averages ----------------------------------------------------------------------------------------------------------


def test_averages_of_weights(setting: str) -> None:
    """Step by step, in replays, through a pickle, and in the place of the weights in the end."""
    w = mw.tensor(np.array([1.0, -2.0]), requires_grad=True)
    optimizer = mw.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)

    def step() -> mw.Tensor:
        loss = w.square().sum()
        optimizer.apply([mw.grad(loss, w)], [w])
        return loss

    captured, average = mw.capture(step), None
    for i in range(12):
        (step if i == 5 else captured)()
        average = w.numpy().copy() if average is None else 0.9 * average + 0.1 * w.numpy()
    twin_weights, twin = pickle.loads(pickle.dumps(([w], optimizer)))
    for variables, rule in (([w], optimizer), (twin_weights, twin)):
        rule.finalize_variable_values(variables)
        np.testing.assert_allclose(variables[0].numpy(), average, rtol=1e-12)


def test_training_ends_with_the_averages(keras: Any) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 3)).astype("float32"), np.arange(40, dtype="float32")[:, None] / 40
    ours = mw.Sequential([mw.layers.Dense(1, kernel_initializer="zeros")])
    ours.compile(mw.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8), "mse")
    ours.fit(x, y, batch_size=10, epochs=5, shuffle=False, verbose=0)
    theirs = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    theirs.compile(keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8), "mse")
    theirs.fit(x, y, batch_size=10, epochs=5, shuffle=False, verbose=0)
    for mine, its in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-6)


# ---- plateaus ----------------------------------------------------------------------------------------------------------


def test_reduce_on_plateau() -> None:
    """A loss that cannot fall: the rate is divided at each second epoch, and stays at the floor."""
    x, y = np.zeros((8, 2), np.float32), np.arange(8.0)
    model = mw.Sequential([mw.layers.Dense(1, use_bias=False)])
    model.compile(mw.optimizers.SGD(0.08), "mse")
    callback = ReduceLROnPlateau("loss", factor=0.5, patience=2, min_lr=0.015)
    history = model.fit(x, y, epochs=9, verbose=0, callbacks=[callback])
    assert history.history["learning_rate"] == pytest.approx([0.08, 0.08, 0.08, 0.04, 0.04, 0.02, 0.02, 0.015, 0.015])
