"""What an optimizer keeps of variables: counts and slots of each, copies, and numbers set by assignment, also in replays."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import in_c

import microweights as mw
from microweights import optimizers
from microweights.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

RULES: dict[str, Callable[[], Optimizer]] = {
    "sgd": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.1, momentum=0.9),
    "adam": lambda: Adam(0.1),
    "adamw": lambda: AdamW(0.1, clipnorm=0.5),
    "rmsprop": lambda: RMSprop(0.1, centered=True),
    "adagrad": lambda: Adagrad(0.1),
    "amsgrad": lambda: Adam(0.1, amsgrad=True),
    "adamax": lambda: optimizers.Adamax(0.1),
    "nadam": lambda: optimizers.Nadam(0.1),
    "adadelta": lambda: optimizers.Adadelta(10.0),
    "lion": lambda: optimizers.Lion(0.1),
    "averages": lambda: Adam(0.1, use_ema=True, ema_momentum=0.5),
    "schedule": lambda: SGD(mw.schedules.ExponentialDecay(0.1, 1, 0.5)),
}


def variable(value: float = 1.0, n: int = 2) -> mw.Tensor:
    return mw.tensor(np.full(n, value), requires_grad=True)


def step(optimizer: Optimizer, *variables: mw.Tensor) -> None:
    """One update of each variable by the gradient of (w - 3)²."""
    optimizer.apply([mw.tensor(2 * (v.numpy() - 3)) for v in variables], list(variables))


def path(make: Callable[[], Optimizer], steps: int) -> list[float]:
    """Where one variable alone goes."""
    w, optimizer, found = variable(), make(), []
    for _ in range(steps):
        step(optimizer, w)
        found.append(w.numpy()[0])
    return found


# ---- counts belong to variables ----------------------------------------------------------------------------------------


def test_one_optimizer_for_several_models() -> None:
    """Each begins anew: its rate, its count, its weights."""
    x = np.linspace(0, 1, 8, dtype="f4")[:, None]
    optimizer = Adam(mw.schedules.ExponentialDecay(0.1, 10, 0.5))
    ends = []
    for _ in range(3):
        model = mw.Sequential([mw.layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
        model.compile(optimizer, "mse")
        assert optimizer.learning_rate == 0.1 and optimizer.iterations == 0
        model.fit(x, x[:, 0], epochs=5, batch_size=4, shuffle=False, verbose=0)
        assert optimizer.iterations == 10 and optimizer.learning_rate == pytest.approx(0.05)
        ends.append(model.get_weights()[0].item())
    model.compile(optimizer, "mae")
    assert optimizer.iterations == 10, "a model that goes on"
    assert ends[0] == ends[1] == ends[2] != 0


@pytest.mark.parametrize("name", RULES)
def test_every_variable_has_its_own_count(name: str, setting: str) -> None:
    """One of two sits out, one comes later: each goes as it would alone."""
    optimizer = RULES[name]()
    a, b, c = variable(), variable(), variable()
    for together in ((a, b), (a, b), (a,), (b, a), (c,), (a, c, b), (c, b)):
        step(optimizer, *together)
    alone = path(RULES[name], 5)
    for v, steps in ((a, 5), (b, 5), (c, 3)):
        np.testing.assert_allclose(v.numpy(), alone[steps - 1], rtol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_counts_in_replays(name: str, setting: str) -> None:
    """A program for two variables, one for one of them, and one for a third, in turns with eager steps."""
    optimizer = RULES[name]()
    a, b, c = variable(), variable(), variable()

    def of(*variables: mw.Tensor) -> Any:
        def run() -> mw.Tensor:
            loss = sum(((v - 3.0).square().sum() for v in variables[1:]), (variables[0] - 3.0).square().sum())
            optimizer.apply(mw.grad(loss, list(variables)), list(variables))
            return loss

        return mw.capture(run)

    both, one, third = of(a, b), of(a), of(c)
    for program, times in ((both, 4), (third, 3), (one, 3), (both, 4), (third, 3), (one, 1), (both, 3)):
        for _ in range(times):
            program()
    step(optimizer, a, b, c)
    alone = path(RULES[name], 16)
    for v, steps in ((a, 16), (b, 12), (c, 7)):
        np.testing.assert_allclose(v.numpy(), alone[steps - 1], rtol=1e-10)


def test_two_sets_of_variables_in_one_captured_function(setting: str) -> None:
    """As a GAN's step has them."""
    optimizer, a, b = Adam(0.1), variable(), variable(n=3)

    @mw.capture
    def both() -> mw.Tensor:
        losses = [(v - 3.0).square().sum() for v in (a, b)]
        optimizer.apply([mw.grad(losses[0], a)], [a])
        optimizer.apply([mw.grad(losses[1], b)], [b])
        return losses[0]

    for _ in range(6):
        both()
    if mw.kernels.machine.backend() == "c":
        assert len(both.programs) == 1
    alone = path(lambda: Adam(0.1), 6)
    np.testing.assert_allclose(a.numpy(), alone[-1], rtol=1e-12)
    np.testing.assert_allclose(b.numpy(), alone[-1], rtol=1e-12)


def test_nothing_is_updated_if_one_gradient_does_not_fit() -> None:
    optimizer, a, b = SGD(0.1), variable(), variable()
    step(optimizer, a)
    with pytest.raises(ValueError, match="gradients of shapes"):
        optimizer.apply([mw.tensor(np.ones(2)), mw.tensor(np.ones(3))], [a, b])
    assert a.tolist() == [1.4, 1.4] and b.tolist() == [1.0, 1.0] and optimizer.iterations == 1


def test_rates_set_by_hand_are_those_of_all_variables() -> None:
    optimizer, a, b = SGD(0.1), variable(), variable()
    step(optimizer, a)
    step(optimizer, b)
    optimizer.learning_rate = 0.0
    step(optimizer, a)
    step(optimizer, variable())
    assert a.tolist() == [1.4, 1.4] and optimizer.learning_rate == 0.0


def test_what_was_kept_of_a_variable_goes_with_it() -> None:
    optimizer, gone = Adam(), []
    for _ in range(3):
        model = mw.Sequential([mw.Input((3,)), mw.layers.Dense(2)])
        model.compile(optimizer, "mse")
        model.fit(np.ones((8, 3)), np.ones((8, 2)), epochs=3, verbose=0)
        gone.append(weakref.ref(model.trainable_variables[0]))
    gc.collect()
    assert [r() is None for r in gone] == [True, True, False] and len(optimizer._state) == 2 == len(model.weights)
    del model
    gc.collect()
    assert gone[-1]() is None and not optimizer._state and not optimizer._plans
    for _ in range(50):  # ids are used again
        w = variable()
        step(optimizer, w)
        assert optimizer.iterations == 1 and len(optimizer._state) == 1


def test_state_is_made_in_advance() -> None:
    optimizer, w = Adam(0.1), variable()
    optimizer.build([w])
    assert optimizer.iterations == 0
    optimizer.apply_gradients(zip([mw.tensor(np.ones(2))], [w], strict=True))
    np.testing.assert_allclose(w.numpy(), 0.9, rtol=1e-6)
    assert optimizer.iterations == 1
    for wrong in ([w, w], [mw.tensor([1.0])]):
        with pytest.raises(ValueError, match="Expected"):
            optimizer.build(wrong)


# ---- copies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "how", [copy.copy, copy.deepcopy, lambda o: copy.deepcopy([o])[0], lambda o: copy.copy(copy.deepcopy(o))]
)
def test_a_copy_goes_on_as_the_original_would(name: str, how: Any) -> None:
    optimizer, w = RULES[name](), variable()
    for _ in range(3):
        step(optimizer, w)
    before = w.numpy().copy()
    twin = how(optimizer)
    ends = []
    for o in (twin, optimizer):
        with mw.no_grad():
            w.assign(before)
        for _ in range(3):
            step(o, w)
        assert o.iterations == 6
        o.finalize_variable_values([w])
        ends.append(w.tolist())
    assert ends[0] == ends[1] != before.tolist()
    twin.learning_rate = mw.schedules.Constant(0.7)
    assert optimizer.learning_rate != 0.7 and optimizer.get_config() != twin.get_config()


def both_ways(o: Optimizer, w: mw.Tensor) -> list[tuple[Any, Any]]:
    return [
        ([o, w], (0, 1)),
        ([w, o], (1, 0)),
        ((o, w), (0, 1)),
        ((w, o), (1, 0)),
        ({0: o, 1: w}, (0, 1)),
        ([[o], {2: w}], None),
    ]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copied_together_they_belong_together(name: str, how: Any) -> None:
    optimizer, w = RULES[name](), variable()
    for _ in range(3):
        step(optimizer, w)
    copies = []
    for holder, places in both_ways(optimizer, w):
        made = how(holder)
        copies.append((made[places[0]], made[places[1]]) if places else (made[0][0], made[1][2]))
    for o in (optimizer, *[o for o, _ in copies]):
        assert o.iterations == 3
    for o, v in [(optimizer, w), *copies]:
        for _ in range(2):
            step(o, v)
        assert o.iterations == 5 and len(o._state) == 1
        o.finalize_variable_values([v])
    assert {tuple(v.tolist()) for _, v in copies} == {tuple(w.tolist())}


def test_models_are_copied_with_their_optimizers() -> None:
    x, y = np.random.default_rng(0).normal(size=(20, 3)).astype("f"), np.ones(20)
    model = mw.Sequential([mw.Input((3,)), mw.layers.Dense(4, "tanh"), mw.layers.Dense(1)])
    model.compile(Adam(0.05), "mse")
    model.fit(x, y, epochs=2, verbose=0, shuffle=False)
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.deepcopy({"o": model.optimizer, "m": model})["m"]]
    for m in (model, *twins):
        m.fit(x, y, epochs=3, verbose=0, shuffle=False)
        assert m.optimizer.iterations == 5
    for m in twins:
        assert [w.tobytes() for w in m.get_weights()] == [w.tobytes() for w in model.get_weights()]


# ---- numbers set by assignment -------------------------------------------------------------------------------------------

ASSIGNED: list[tuple[type[Optimizer], str, Any]] = [
    (SGD, "learning_rate", 0.3), (SGD, "momentum", 0.9), (SGD, "l1", 0.2), (SGD, "l2", 0.2), (SGD, "weight_decay", 0.5),
    (SGD, "clipvalue", 0.1), (SGD, "clipnorm", 0.1), (SGD, "global_clipnorm", 0.1), (Adam, "beta_1", 0.5),
    (Adam, "beta_2", 0.5),
    (Adam, "epsilon", 0.5), (AdamW, "weight_decay", 1.0), (RMSprop, "rho", 0.5), (RMSprop, "momentum", 0.9),
    (RMSprop, "centered", True), (RMSprop, "epsilon", 0.5), (Adagrad, "epsilon", 0.5), (Adagrad, "l2", 0.5),
    (Adagrad, "initial_accumulator_value", 2.0), (SGD, "learning_rate", mw.schedules.ExponentialDecay(0.5, 2, 0.5)),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "name", "value"), ASSIGNED)
def test_assigned_is_as_made_with_it(rule: type[Optimizer], name: str, value: Any) -> None:
    optimizer, made = rule(), rule(**{name: value})
    setattr(optimizer, name, value)
    assert getattr(optimizer, name) == getattr(made, name) and optimizer.get_config() == made.get_config()
    w, v = variable(), variable()
    for _ in range(3):
        step(optimizer, w)
        step(made, v)
    assert w.tolist() == v.tolist()
    u, plain = variable(), rule()
    for _ in range(3):
        step(plain, u)
    assert u.tolist() != w.tolist()


@pytest.mark.parametrize(("rule", "name", "value"), [*ASSIGNED, (Adam, "amsgrad", True)])
def test_programs_follow_assignments(rule: type[Optimizer], name: str, value: Any, setting: str) -> None:
    """The same assignment in the middle of eager steps and of replays."""
    ends = []
    for captured in (False, True):
        w, optimizer = variable(), rule()

        def run(w: mw.Tensor = w, optimizer: Optimizer = optimizer) -> mw.Tensor:
            loss = (w - 3.0).square().sum()
            optimizer.apply([mw.grad(loss, w)], [w])
            return loss

        run = mw.capture(run) if captured else run
        for i in range(12):
            run()
            if i == 4:
                setattr(optimizer, name, value)
        ends.append(w.numpy())
        assert optimizer.iterations == 12
    np.testing.assert_array_equal(*ends)


@pytest.mark.parametrize("name", ["momentum", "nesterov", "l1", "l2", "weight_decay", "use_ema", "ema_momentum", "clipnorm"])
def test_numbers_are_read(name: str) -> None:
    defaults = {"nesterov": False, "weight_decay": None, "use_ema": False, "ema_momentum": 0.99, "clipnorm": None}
    assert getattr(SGD(), name) == defaults.get(name, 0.0) and type(SGD().nesterov) is bool


WRONG = [-0.1, float("nan"), "0.1", [0.1], {}]


@pytest.mark.parametrize(
    ("rule", "name", "wrong"),
    [(SGD, "momentum", [*WRONG, 1.0, None]), (SGD, "nesterov", ["yes", None, 2]), (SGD, "l1", [*WRONG, None]),
     (SGD, "weight_decay", WRONG), (AdamW, "weight_decay", [*WRONG, None]), (Adam, "beta_1", [*WRONG, 1, None]),
     (Adam, "epsilon", [*WRONG, None]), (RMSprop, "rho", [*WRONG, 1.5, None]), (RMSprop, "centered", ["no", None]),
     (SGD, "clipvalue", [*WRONG, 0]), (SGD, "clipnorm", [*WRONG, 0]), (SGD, "ema_momentum", [*WRONG, 1.1, None]),
     (Adagrad, "initial_accumulator_value", [*WRONG, None]), (SGD, "learning_rate", [*WRONG, None, lambda step: 0.1])],
)  # fmt: skip
def test_assignments_are_checked_as_arguments_are(rule: type[Optimizer], name: str, wrong: list[Any]) -> None:
    optimizer = rule()
    before = optimizer.get_config()
    for value in wrong:
        for act in (lambda value=value: setattr(optimizer, name, value), lambda value=value: rule(**{name: value})):
            with pytest.raises((ValueError, TypeError), match=f"Expected .*`{name}`|Expected a schedule"):
                act()
        assert optimizer.get_config() == before


def test_two_norms_are_refused() -> None:
    optimizer = SGD(clipnorm=1.0)
    with pytest.raises(ValueError, match="one of `clipnorm` and `global_clipnorm`"):
        optimizer.global_clipnorm = 1.0
    optimizer.clipnorm = None
    optimizer.global_clipnorm = 1.0


@pytest.mark.parametrize(
    ("name", "word"), [("betas", "beta_1"), ("eps", "epsilon"), ("decay", "schedule"), ("momentun", "momentun")]
)
def test_names_that_are_not_there_are_refused(name: str, word: str) -> None:
    for optimizer in (SGD(), Adam()):
        with pytest.raises(AttributeError, match=word):
            setattr(optimizer, name, 0.5)
        with pytest.raises(AttributeError, match=word):
            getattr(optimizer, name)
        with pytest.raises(TypeError, match=name):
            type(optimizer)(**{name: 0.5})


@pytest.mark.parametrize("name", ["step", "minimize", "zero_grad", "param_groups", "state_dict"])
def test_names_of_others_lead_to_ours(name: str) -> None:
    with pytest.raises(AttributeError, match=r"apply\(gradients|mw\.grad|attributes|Pickle"):
        getattr(SGD(), name)
    assert not hasattr(SGD(), name)


def test_a_subclass_has_attributes_of_its_own() -> None:
    class Mine(SGD):
        def __init__(self, learning_rate: float = 0.5, label: str = "a") -> None:
            super().__init__(learning_rate, momentum=0.5)
            self.label = label

    mine = copy.deepcopy(Mine(label="b"))
    assert mine.label == "b" and mine.get_config() == {"learning_rate": 0.5, "label": "b"}
    assert type(optimizers.get({"class_name": "Mine", "config": mine.get_config()})) is Mine
    with pytest.raises(AttributeError, match="epsilon"):
        mine.eps = 1.0  # type: ignore[attr-defined]


@in_c
@pytest.mark.parametrize("name", ["learning_rate", "momentum", "clipnorm"])
def test_numbers_are_not_set_while_recording(name: str) -> None:
    optimizer, w = SGD(momentum=0.5), variable()

    @mw.capture
    def run() -> mw.Tensor:
        setattr(optimizer, name, 0.25)
        optimizer.apply([mw.grad(w.sum(), w)], [w])
        return w * 1.0

    with pytest.raises(mw.errors.CaptureError, match=name):
        run()


def test_adamw_needs_a_decay() -> None:
    with pytest.raises(ValueError, match="`weight_decay`"):
        AdamW(weight_decay=None)  # type: ignore[arg-type]
    assert AdamW(weight_decay=0.0).weight_decay == 0.0


@pytest.mark.parametrize("name", RULES)
def test_optimizers_are_made_again(name: str) -> None:
    optimizer = RULES[name]()
    config = json.loads(json.dumps(optimizer.get_config()))
    for twin in (
        type(optimizer).from_config(config),
        optimizers.get({"class_name": type(optimizer).__name__, "config": config}),
    ):
        assert type(twin) is type(optimizer) and repr(twin) == repr(optimizer)
        w, v = variable(), variable()
        for _ in range(3):
            step(optimizer, w)
            step(twin, v)
        assert w.tolist() == v.tolist()
    assert SGD(name="mine").name == "mine" and SGD().name == "sgd"


def test_only_public_names_are_shown() -> None:
    from microweights import schedules

    for module in (optimizers, schedules):
        assert dir(module) == sorted(module.__all__) and all(hasattr(module, n) for n in module.__all__)
