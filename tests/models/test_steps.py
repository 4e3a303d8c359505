"""What fit looks at, tells and leaves alone; steps of an epoch, and of one batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import LINE, X, line_model, numbers

import microweights as mw

layers = mw.layers


class Calls(layers.Layer):
    """Counts its calls in a tensor, which replays count on."""

    def __init__(self) -> None:
        super().__init__()
        self.count = mw.tensor(0.0)

    def call(self, x: mw.Tensor) -> mw.Tensor:
        self.count.assign(self.count + 1)
        return x


def test_fit_runs_a_model_as_often_as_it_trains_and_validates_it(setting: str) -> None:
    x, y, calls = numbers(12, 2), numbers(12, 1, seed=1), Calls()
    model = mw.Sequential([calls, layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(x, y, epochs=4, batch_size=4, verbose=0)
    assert calls.count.item() == 12
    for _ in range(4):
        model.fit(x, y, batch_size=4, validation_data=(x[:4], y[:4]), verbose=0)
    assert calls.count.item() == 12 + 4 * (3 + 1)
    for _ in range(4):
        model.train_on_batch(x, y), model.test_on_batch(x, y), model.predict_on_batch(x)
    assert calls.count.item() == 28 + 12


def test_a_loss_may_pair_the_samples_of_a_batch(setting: str) -> None:
    def pairs(y: mw.Tensor, p: mw.Tensor) -> mw.Tensor:
        sign = mw.tensor([1.0, -1.0])
        return (1 - (y.reshape(-1, 2) * sign).sum(1) * (p.reshape(-1, 2) * sign).sum(1)).relu()

    x, y = numbers(16, 2), numbers(16, 1, seed=1)
    histories = []
    for eager in (False, True):
        mw.seed(0)
        model = mw.Sequential([layers.Dense(1)])
        model.compile("sgd", pairs, eager=eager)
        histories.append(model.fit(x, y, batch_size=4, epochs=4, verbose=0).history)
    assert histories[0] == histories[1] and histories[0]["loss"][-1] < histories[0]["loss"][0]


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end", "on_epoch_begin"])
def test_evaluate_in_a_callback_leaves_the_epoch_s_numbers_alone(hook: str) -> None:
    def look(self: Any, number: int, logs: Any = None) -> None:
        assert self.model.evaluate(np.zeros((100, 1)), np.ones(100)) == [1.0, 1.0]
        self.model.train_on_batch(np.zeros((2, 1)), np.ones(2))

    model = mw.Sequential([layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
    model.compile(mw.optimizers.SGD(0.0), "mse", metrics=["mae"])
    look_around = type("LookAround", (mw.callbacks.Callback,), {hook: look})()
    found = model.fit(np.zeros((8, 1)), np.full(8, 3.0), batch_size=2, verbose=0, callbacks=[look_around])
    assert found.history == {"loss": [9.0], "mae": [3.0]}


def test_steps_of_an_epoch_and_of_its_validation() -> None:
    seen: list[int] = []
    model = line_model()

    class Batches(mw.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)

    history = model.fit(
        X, LINE, batch_size=10, epochs=2, steps_per_epoch=3, verbose=0, callbacks=[Batches()],
        validation_data=(X, LINE), validation_steps=2, validation_batch_size=5,
    )  # fmt: skip
    assert seen == [0, 1, 2, 0, 1, 2] and len(history.history["val_loss"]) == 2
    assert history.history["val_loss"][-1] == pytest.approx(model.evaluate(X[:10], LINE[:10]), rel=1e-5)
    assert model.evaluate(X, LINE, batch_size=5, steps=2) == pytest.approx(model.evaluate(X[:10], LINE[:10]), rel=1e-5)
    assert model.predict(X, batch_size=5, steps=2).shape == (10, 1)


def test_steps_per_epoch_go_through_all_samples_before_any_comes_again() -> None:
    seen: list[float] = []

    class Spy(layers.Layer):
        def call(self, x: mw.Tensor) -> mw.Tensor:
            seen.extend(x.numpy()[:, 0].tolist())
            return x

    model = mw.Sequential([Spy(), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.arange(12.0)[:, None]
    model.fit(x / 12, x, batch_size=2, epochs=4, steps_per_epoch=3, verbose=0)
    assert len(seen) == 24
    for half in (seen[:12], seen[12:]):
        assert sorted(round(12 * v) for v in half) == list(range(12))


def test_what_calls_of_one_batch_give() -> None:
    model = mw.Sequential([layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
    model.compile(mw.optimizers.SGD(0.0), "mse", metrics=["mae"])
    x, y = np.zeros((4, 1)), np.full(4, 3.0)
    for _ in range(4):  # of this batch alone, however many came before
        assert model.train_on_batch(x, y) == [9.0, 3.0]
        assert model.test_on_batch(x, y, return_dict=True) == {"loss": 9.0, "mae": 3.0}
        assert model.train_on_batch(x, y, class_weight={3: 2.0}) == [18.0, 3.0]
    model.compile(mw.optimizers.SGD(0.0), "mse", weighted_metrics=["mae"])
    assert model.evaluate(x, [0.0, 1.0, 2.0, 3.0], sample_weight=[0.0, 0.0, 1.0, 1.0]) == [13 / 4, 2.5]
    model.compile(mw.optimizers.SGD(0.0), "mse")
    assert model.train_on_batch(x, y) == model.test_on_batch(x, y) == 9.0
    assert model.train_on_batch(x, y, return_dict=True) == {"loss": 9.0}


def untrained() -> dict[str, tuple[Any, Any, str]]:
    """Models and losses that train nothing, or not what one would think."""

    class Listed(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.tensors = {1: (mw.tensor([[0.1], [0.1]], requires_grad=True),)}

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return x @ self.tensors[1][0]

    class Holder:
        pass

    class Hidden(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.holder = Holder()
            self.holder.layer = layers.Dense(1)  # type: ignore[attr-defined]

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return self.holder.layer(x)  # type: ignore[attr-defined]

    class Half(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = layers.Dense(1), layers.Dense(1)

        def call(self, x: mw.Tensor) -> mw.Tensor:
            return self.used(x) + self.idle(x).detach()

    frozen = mw.Sequential([layers.Dense(1, input_shape=(2,))])
    frozen.trainable = False
    plain = mw.Sequential([layers.Dense(1, input_shape=(2,))])
    return {
        "weights in containers": (Listed(), "mse", "1 tensors that require gradients and are no weights"),
        "layers in objects": (Hidden(), "mse", "2 tensors that require gradients and are no weights"),
        "frozen": (frozen, "mse", "no weights to train"),
        "threshold": (plain, lambda y, p: ((p > 0).astype("float32") - y).square(), "depends on no weight"),
        "detached": (plain, lambda y, p: (p.detach() - y).square(), "depends on no weight"),
        "half": (Half(), "mse", r"does not depend on the weights \['idle.kernel', 'idle.bias'\]"),
    }


@pytest.mark.parametrize("how", untrained())
def test_training_that_trains_nothing_says_so(how: str, setting: str) -> None:
    model, loss, message = untrained()[how]
    model.compile("sgd", loss)
    x, y = numbers(20, 2), numbers(20, 1, seed=1)
    with pytest.warns(UserWarning, match=message):
        model.fit(x, y, batch_size=5, epochs=2, verbose=0)
    model.compile("sgd", loss)
    with pytest.warns(UserWarning, match=message):
        model.train_on_batch(x, y)


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size"])
def test_parts_of_a_batch_make_the_step_of_the_whole(reduction: str, setting: str) -> None:
    x, y = numbers(12, 3), numbers(12, 2, seed=1)
    found = []
    for parts in (1, 3):
        mw.seed(0)
        model = mw.Sequential([layers.Dense(2, kernel_regularizer="l2")])
        loss = mw.losses.MeanSquaredError(reduction)
        model.compile(mw.optimizers.SGD(0.01), loss, gradient_accumulation_steps=parts)
        losses = [model.train_on_batch(x, y) for _ in range(4)]
        found.append((losses, model.get_weights()[0]))
    (losses, kernel), (others, other) = found
    assert losses == pytest.approx(others, rel=1e-5)
    np.testing.assert_allclose(kernel, other, rtol=1e-4, atol=1e-6)
