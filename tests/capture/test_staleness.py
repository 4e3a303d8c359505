"""What makes a program stale: a change of a part that it used, and nothing else."""

from __future__ import annotations

import argparse
import collections
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import numbers

import microweights as mw

layers = mw.layers


def scaled(part: Any) -> Callable[[mw.Tensor], mw.Tensor]:
    """A function of a tensor that uses a part of a training."""
    if isinstance(part, layers.Layer):
        return lambda x: part(x, training=True)
    if isinstance(part, mw.losses.Loss):
        return lambda x: part(np.zeros((4, 3), np.float32), x)
    if isinstance(part, mw.optimizers.Optimizer):
        w = mw.tensor(np.zeros((4, 3), np.float32), requires_grad=True)

        def step(x: mw.Tensor) -> mw.Tensor:
            part.apply([x], [w])
            return x * 1

        return step
    return lambda x: part(x)


CHANGES: dict[str, tuple[Callable[[], Any], str, Any]] = {
    "layer": (lambda: layers.Dropout(0.5, seed=1), "rate", 0.1),
    "loss": (lambda: mw.losses.Huber(), "delta", 0.5),
    "regularizer": (lambda: mw.regularizers.L2(0.1), "l2", 0.2),
    "optimizer": (lambda: mw.optimizers.SGD(0.1, clipnorm=1.0), "clipnorm", 0.5),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_part_that_changes_makes_those_programs_stale_that_used_it(kind: str, c_only: str) -> None:
    make, name, value = CHANGES[kind]
    mine, other = make(), make()
    x = numbers(4, 3)
    captured, beside = mw.capture(scaled(mine)), mw.capture(scaled(other))
    for _ in range(4):
        captured(x), beside(x)
    assert len(captured.programs) == len(beside.programs) == 1
    setattr(mine, name, getattr(mine, name))  # the same value is no change
    assert len(captured.programs) == 1
    setattr(mine, name, value)
    assert not captured.programs and len(beside.programs) == 1
    recorded = beside.recordings
    for _ in range(4):
        captured(x), beside(x)
    assert len(captured.programs) == 1 and beside.recordings == recorded
    fresh = make()
    setattr(fresh, name, value)
    if kind not in ("layer", "optimizer"):  # these have a state
        assert captured(x).tolist() == scaled(fresh)(mw.tensor(x)).tolist()


def test_objects_made_and_set_elsewhere_make_nothing_stale(c_only: str) -> None:
    model = mw.Sequential([mw.Input((3,)), layers.Dense(4, "relu", kernel_regularizer="l2"), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x, y = numbers(8, 3), np.arange(8) % 2
    for _ in range(4):
        model.train_on_batch(x, y)
    step = model._steps["train"].captured
    recorded = step.recordings
    for name in ("adam", "sgd", "rmsprop", "adamw", "adagrad"):
        mw.optimizers.get(name).clipnorm = 1.0
    for name in ("mse", "mae", "huber", "hinge", "binary_crossentropy", "categorical_crossentropy"):
        mw.losses.get(name).note = 1.0
    for name in ("accuracy", "auc", "precision", "f1", "mse", "r2_score"):
        metric = mw.metrics.get(name)
        metric.threshold = 0.2
        metric(np.array([0, 1, 1]), np.array([0.2, 0.7, 0.9]))
    mw.regularizers.get("l2").l2 = 3.0
    another = mw.Sequential([mw.Input((3,)), layers.Dense(4, "relu"), layers.Dropout(0.2), layers.Dense(1)])
    another.compile(mw.optimizers.SGD(mw.schedules.CosineDecay(0.1, 10)), "mse", metrics=["mae"])
    another.fit(x, y, verbose=0, callbacks=[mw.callbacks.EarlyStopping("loss")])
    another.layers[2].rate = 0.4
    another.add(layers.Activation("tanh"))
    mw.initializers.get("he_normal").seed = 3
    model.train_on_batch(x, y)
    assert step.recordings == recorded and len(step.programs) == 1


def test_a_metric_s_count_is_no_change_and_its_threshold_is(c_only: str) -> None:
    metric = mw.metrics.BinaryAccuracy(threshold=0.5)
    model = mw.Sequential([layers.Flatten()])
    model.compile("sgd", "mse", metrics=[metric])
    x, y = np.array([[0.2], [0.6], [0.8]], np.float32), np.array([0, 0, 1])
    for _ in range(4):
        assert model.evaluate(x, y)[1] == pytest.approx(2 / 3)
    step = model._steps["test"].captured
    assert len(step.programs) == 1
    metric.threshold = 0.7
    assert model.evaluate(x, y)[1] == 1.0


def test_a_gan_records_each_step_once(c_only: str) -> None:
    """Keras's recipe: the discriminator is trained alone, and then frozen inside of the model that trains the generator."""
    mw.seed(0)
    generator = mw.Sequential([mw.Input((2,)), layers.Dense(4, "relu"), layers.Dense(3)])
    discriminator = mw.Sequential([mw.Input((3,)), layers.Dense(4, "relu"), layers.Dense(1, "sigmoid")])
    both = mw.Sequential([generator, discriminator])
    discriminator.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    both.compile("adam", "binary_crossentropy")
    noise, real = numbers(8, 2), numbers(8, 3, seed=1)
    for _ in range(8):
        discriminator.trainable = True
        discriminator.train_on_batch(real, np.ones(8))
        discriminator.train_on_batch(generator.predict(noise), np.zeros(8))
        discriminator.trainable = False
        before, other = discriminator.get_weights(), generator.get_weights()
        both.train_on_batch(noise, np.ones(8))
        assert all(map(np.array_equal, before, discriminator.get_weights()))
        assert not all(map(np.array_equal, other, generator.get_weights()))
    for model in (discriminator, both):
        step = model._steps["train"].captured
        assert len(step.programs) == 1 and step.recordings <= 3


def test_a_frozen_tensor_and_another_array_are_seen(c_only: str) -> None:
    w = mw.tensor([1.0, 2.0], requires_grad=True)
    fn = mw.capture(lambda x: (w * x).sum())
    for _ in range(4):
        assert fn([1.0, 1.0]).item() == 3.0
    w.data = np.array([5.0, 6.0], np.float32)
    for _ in range(4):
        assert fn([1.0, 1.0]).item() == 11.0
    w.requires_grad = False
    for _ in range(4):
        assert fn([1.0, 1.0]).item() == 11.0
    w.requires_grad = True
    recorded = fn.recordings
    assert fn([1.0, 1.0]).item() == 11.0 and fn.recordings == recorded  # both programs are kept


@pytest.mark.parametrize("whole", [True, False])
def test_layers_frozen_in_turns_have_a_program_each(whole: bool, c_only: str) -> None:
    weights = []
    for eager in (False, True):
        mw.seed(0)
        model = mw.Sequential([mw.Input((3,)), layers.Dense(4, "relu"), layers.Dense(1)])
        model.compile(mw.optimizers.SGD(0.1), "mse", run_eagerly=eager)
        for i in range(12):
            if whole:
                model.layers[0].trainable = i % 2 == 0
            else:
                model.layers[0].kernel.requires_grad = i % 2 == 0
            model.train_on_batch(numbers(8, 3), numbers(8, 1, seed=1))
        weights.append([w.tobytes() for w in model.get_weights()])
        step = model._steps["train"].captured
        assert eager or (len(step.programs) == 2 and step.recordings <= 6)
    assert weights[0] == weights[1]


def test_weights_that_get_another_array_in_each_step_are_followed(c_only: str) -> None:
    results = []
    for eager in (False, True):
        mw.seed(0)
        model = mw.Sequential([mw.Input((3,)), layers.Dense(1)])
        model.compile(mw.optimizers.SGD(0.1), "mse", run_eagerly=eager)
        kernel, found = model.layers[0].kernel, []
        for _ in range(8):
            kernel.data = kernel.data * 0.5
            found.append(model.train_on_batch(numbers(8, 3), numbers(8, 1, seed=1)))
        results.append(found)
    assert results[0] == results[1]


def test_a_graph_refuses_weights_that_a_replay_has_overwritten(c_only: str) -> None:
    w, opt = mw.tensor([1.0, 2.0], requires_grad=True), mw.optimizers.SGD(0.1)

    @mw.capture
    def step(x: mw.Tensor) -> mw.Tensor:
        loss = (w * x).square().sum()
        opt.apply([mw.grad(loss, w)], [w])
        return loss

    for _ in range(4):
        step([1.0, 1.0])
    before = (w * w).sum()
    step([1.0, 1.0])
    after = (w * w).sum()
    with pytest.raises(RuntimeError, match="unchanged"):
        before.backward()
    after.backward()


def test_as_many_shapes_as_fit_into_memory_are_replayed(c_only: str) -> None:
    fn = mw.capture(lambda x: (x * 2).sum())
    for _ in range(4):
        for n in range(1, 151):
            assert fn(np.ones(n, np.float32)).item() == 2 * n
    assert len(fn.programs) == 150 and fn.recordings == 300


def test_what_was_used_last_stays_where_there_is_no_room(c_only: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fn = mw.capture(lambda x: x * 2)
    for _ in range(2):
        fn(np.ones(1, np.float32))
    monkeypatch.setattr(sys.modules["microweights.capture.captured"], "MOST_BYTES", 3 * fn.programs[0].bytes)
    for n in range(2, 8):
        for _ in range(3):
            fn(np.ones(n, np.float32))
        fn(np.ones(1, np.float32))
    assert len(fn.programs) == 3
    recorded = fn.recordings
    fn(np.ones(1, np.float32)), fn(np.ones(7, np.float32))
    assert fn.recordings == recorded


# ---- Python values in fit --------------------------------------------------------------------------------------------

FACTOR = 1.0


class Settings:
    """An object of the user's that a loss reads."""

    shared = default = 1.0

    def __init__(self) -> None:
        self.inner: Any = None
        self.factor = 1.0

    def __call__(self, y: Any, p: Any) -> Any:
        return FACTOR * (y - p).square()


class Slotted:
    __slots__ = ("factor",)


class Scaled(mw.losses.Loss):
    def call(self, y_true: mw.Tensor, y_pred: mw.Tensor) -> mw.Tensor:
        return FACTOR * (y_true - y_pred).square()


def places() -> dict[str, tuple[Callable[..., Any], Callable[[float], None]]]:
    """Losses with a factor, and how a callback changes it, by where it stands."""
    table, listed, settings, outer = {"a": 1.0}, [1.0], Settings(), Settings()
    outer.inner = settings
    closed = 1.0

    def of_closure(y: Any, p: Any) -> Any:
        return closed * (y - p).square()

    def set_closed(value: float) -> None:
        nonlocal closed
        closed = value

    def set_global(value: float) -> None:
        global FACTOR
        FACTOR = value

    def helper() -> float:
        return table["a"]

    slotted, queue, namespace = Slotted(), collections.deque([1.0]), argparse.Namespace(factor=1.0)
    floats, integers = np.ones(3), np.ones(1, int)

    def of_default(y: Any, p: Any, factors: Any = listed) -> Any:
        return factors[0] * (y - p).square()

    return {
        "closure": (of_closure, set_closed),
        "global": (lambda y, p: FACTOR * (y - p).square(), set_global),
        "dict": (lambda y, p: table["a"] * (y - p).square(), lambda v: table.update(a=v)),
        "list": (lambda y, p: listed[0] * (y - p).square(), lambda v: listed.__setitem__(0, v)),
        "default": (of_default, lambda v: listed.__setitem__(0, v)),
        "attribute": (lambda y, p: settings.factor * (y - p).square(), lambda v: setattr(settings, "factor", v)),
        "nested": (lambda y, p: outer.inner.factor * (y - p).square(), lambda v: setattr(settings, "factor", v)),
        "class": (lambda y, p: settings.shared * (y - p).square(), lambda v: setattr(Settings, "shared", v)),
        "over a default": (lambda y, p: settings.default * (y - p).square(), lambda v: setattr(settings, "default", v)),
        "slot": (lambda y, p: slotted.factor * (y - p).square(), lambda v: setattr(slotted, "factor", v)),
        "deque": (lambda y, p: queue[0] * (y - p).square(), lambda v: queue.__setitem__(0, v)),
        "namespace": (lambda y, p: namespace.factor * (y - p).square(), lambda v: setattr(namespace, "factor", v)),
        "number of an array": (lambda y, p: float(floats[0]) * (y - p).square(), lambda v: floats.__setitem__(0, v)),
        "integers": (lambda y, p: integers * (y - p).square(), lambda v: integers.__setitem__(0, int(v))),
        "object that is called": (settings, set_global),
        "loss": (Scaled(), set_global),
        "helper": (lambda y, p: helper() * (y - p).square(), lambda v: table.update(a=v)),
    }


class Anneal(mw.callbacks.Callback):
    def __init__(self, change: Callable[[float], None]) -> None:
        self.change = change

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.change(epoch + 1.0)


@pytest.mark.parametrize("place", places())
def test_numbers_that_a_callback_changes_are_followed(place: str, c_only: str) -> None:
    loss, change = places()[place]
    change(1.0)
    model = mw.Sequential([layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
    model.compile(mw.optimizers.SGD(0.0), loss)
    found = model.fit(np.zeros((24, 1)), np.ones(24), epochs=4, batch_size=4, verbose=0, callbacks=[Anneal(change)])
    assert found.history["loss"] == [1.0, 2.0, 3.0, 4.0]
    assert len(model._steps["fit"].programs) == 1  # and yet the steps of an epoch are replayed
    for value in (5.0, 6.0):  # in loops of one's own, too
        change(value)
        assert model.train_on_batch(np.zeros((4, 1)), np.ones(4)) == value
        assert model.evaluate(np.zeros((4, 1)), np.ones(4)) == value
    change(1.0)


@pytest.mark.parametrize("place", ["regularizer", "activation"])
def test_globals_of_the_user_s_parts_of_layers_are_followed(place: str, c_only: str) -> None:
    class Penalty(mw.regularizers.Regularizer):
        def __call__(self, w: mw.Tensor) -> mw.Tensor:
            return w.square().sum() * FACTOR

    class Activation:
        def __call__(self, x: mw.Tensor) -> mw.Tensor:
            return x * FACTOR

    global FACTOR
    options = {"regularizer": {"kernel_regularizer": Penalty()}, "activation": {"activation": Activation()}}[place]
    found = []
    for eager in (False, True):
        model = mw.Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(2,), **options)])
        model.compile(mw.optimizers.SGD(0.0), "mse", run_eagerly=eager)
        losses = []
        for i in range(6):
            FACTOR = 1.0 + i
            losses.append(model.train_on_batch(numbers(4, 2), np.ones(4)))
        found.append(losses)
    FACTOR = 1.0
    assert found[0] == found[1] and len(set(found[0])) == 6


def test_a_value_that_becomes_nan_is_another_one(c_only: str) -> None:
    table = {"a": 1.0}
    model = mw.Sequential([layers.Flatten()])
    model.compile("sgd", lambda y, p: (y - p).square() * (2.0 if table["a"] != table["a"] else 1.0))
    zeros = np.zeros((4, 1), np.float32)
    assert [model.evaluate(zeros, np.ones(4)) for _ in range(4)] == [1.0] * 4
    table["a"] = float("nan")
    assert [model.evaluate(zeros, np.ones(4)) for _ in range(4)] == [2.0] * 4


def test_counts_of_an_optimizer_are_refused_in_a_step(c_only: str) -> None:
    model = mw.Sequential([layers.Dense(1)])
    model.compile("sgd", lambda y, p: (y - p).square() * (1 + model.optimizer.iterations))
    with pytest.raises(mw.errors.CaptureError, match="`iterations`"):
        model.train_on_batch(numbers(4, 2), np.ones(4))
    model.run_eagerly = True
    model.train_on_batch(numbers(4, 2), np.ones(4))


def test_a_layer_unfrozen_after_the_only_step_of_a_shape(c_only: str) -> None:
    model = mw.Sequential([mw.Input((4,)), layers.Dense(4), layers.Dense(3)])
    model.compile("adam", "mse")
    model.layers[0].trainable = False
    unfreeze = mw.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model.layers[0], "trainable", True))
    before = model.get_weights()[0]
    model.fit(numbers(9, 4), numbers(9, 3, seed=1), batch_size=4, epochs=6, verbose=0, callbacks=[unfreeze])
    assert model.optimizer.iterations == 18 and not np.array_equal(before, model.get_weights()[0])


def test_a_layer_that_counts_in_python_runs_in_python_and_says_so(c_only: str) -> None:
    class Counts(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.calls, self.seen = 0, list[int]()

        def call(self, x: mw.Tensor) -> mw.Tensor:
            self.calls += 1
            self.seen.append(len(x))
            return x

    counts = Counts()
    model = mw.Sequential([counts, layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match=r"changes Counts\.(calls|seen)"):
        model.fit(np.ones((24, 1)), np.ones(24), batch_size=4, epochs=4, verbose=0)
    assert counts.calls == len(counts.seen) == 24


def test_ten_recordings_in_a_row_are_told_once(c_only: str) -> None:
    dropout = layers.Dropout(0.1)

    class Every(mw.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            dropout.rate = 0.1 + batch / 1000

    model = mw.Sequential([layers.Dense(2), dropout, layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="10 steps in a row were recorded and not replayed, because 'rate' of") as told:
        model.fit(np.ones((80, 3)), np.ones(80), batch_size=2, verbose=0, callbacks=[Every()])
    assert len(told) == 1


def test_a_training_of_the_library_s_parts_is_told_nothing(c_only: str) -> None:
    model = mw.Sequential([layers.Dense(2, "relu"), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", "auc"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(numbers(70, 3), np.arange(70) % 2, batch_size=4, epochs=3, verbose=0, validation_split=0.3)
    assert len(model._steps["fit"].programs) == 2  # of whole batches and of the last


@pytest.mark.parametrize("size", [17, 4096])
def test_numbers_read_from_many_floats_are_followed(size: int, c_only: str) -> None:
    table = np.ones(size)
    model = mw.Sequential([mw.Input((1,)), mw.layers.Dense(1, kernel_initializer="ones")])
    model.compile(mw.optimizers.SGD(0.0), lambda t, p: table.max() * (t - p).square())
    change = mw.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: table.fill(epoch + 1))
    x, y = np.ones((8, 1), "float32"), np.zeros((8, 1), "float32")
    assert model.fit(x, y, 4, epochs=4, verbose=0, callbacks=[change]).history["loss"] == [1.0, 2.0, 3.0, 4.0]


def test_many_floats_that_a_program_reads_anew_are_no_change(c_only: str) -> None:
    weights = np.ones((8, 4), np.float32)
    model = mw.Sequential([mw.Input((4,)), mw.layers.Dense(4, kernel_initializer="ones")])
    model.compile(mw.optimizers.SGD(0.0), lambda t, p: mw.tensor(weights) * (t - p).square())
    x, y, seen = np.ones((8, 4), "float32"), np.zeros((8, 4), "float32"), []
    for i in range(6):
        weights[...] = i
        seen.append(model.train_on_batch(x, y))
    assert seen == [16.0 * i for i in range(6)]


def test_tables_of_pandas_are_followed(c_only: str) -> None:
    pandas = pytest.importorskip("pandas")
    factors = pandas.Series({"k": 1.0})
    model = mw.Sequential([mw.Input((1,)), mw.layers.Dense(1, kernel_initializer="ones")])
    model.compile(mw.optimizers.SGD(0.0), lambda t, p: factors["k"] * (t - p).square())
    x, y = np.ones((8, 1), "float32"), np.zeros((8, 1), "float32")
    assert [model.evaluate(x, y, verbose=0) for _ in range(3)] == [1.0] * 3
    factors["k"] = 2.0
    assert model.evaluate(x, y, verbose=0) == 2.0


def test_a_dict_whose_attributes_are_its_keys(c_only: str) -> None:
    class Config(dict):
        __getattr__ = dict.__getitem__

    config = Config(k=1.0)
    model = mw.Sequential([mw.Input((1,)), mw.layers.Dense(1, kernel_initializer="ones")])
    model.compile(mw.optimizers.SGD(0.0), lambda t, p: config.k * (t - p).square())
    x, y = np.ones((8, 1), "float32"), np.zeros((8, 1), "float32")
    assert [model.evaluate(x, y, verbose=0) for _ in range(3)] == [1.0] * 3
    config["k"] = 3.0
    assert model.evaluate(x, y, verbose=0) == 3.0


def test_what_a_model_cannot_capture_says_how_to_run_it(c_only: str) -> None:
    rng = np.random.default_rng(0)
    model = mw.Sequential([mw.Input((1,)), mw.layers.Dense(1)])
    model.compile("sgd", lambda t, p: (t - p + rng.normal(size=(8, 1)).astype("float32")).square())
    x, y = np.ones((8, 1), "float32"), np.zeros((8, 1), "float32")
    with pytest.raises(mw.errors.CaptureError, match="run_eagerly=True"):
        for _ in range(6):
            model.train_on_batch(x, y)
