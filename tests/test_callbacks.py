"""What may happen between epochs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights import callbacks
from microweights.callbacks import Callback, EarlyStopping, LearningRateScheduler, ModelCheckpoint

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = X.sum(1)


def model(rate: float = 0.01) -> mw.Sequential:
    mw.seed(0)
    made = mw.Sequential([mw.Input((3,)), mw.layers.Dense(1)])
    made.compile(mw.optimizers.SGD(rate), "mse")
    return made


class Script(Callback):
    """Puts a given number into the logs of each epoch, and a weight that tells the epoch into the model."""

    def __init__(self, name: str, values: list[float]) -> None:
        self.name, self.values = name, values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs[self.name] = self.values[epoch]
        self.model.set_weights([np.full_like(w, epoch) for w in self.model.get_weights()])


def run(values: list[float], callback: Any, name: str = "val_loss", **options: Any) -> tuple[mw.Sequential, list[int]]:
    """The model after a training whose monitored values are given, and the epochs that were run."""
    m = model()
    m.compile(mw.optimizers.SGD(0.0), "mse")
    history = m.fit(X, Y, epochs=len(values), verbose=0, callbacks=[Script(name, values), callback], **options)
    return m, history.epoch


def epoch_of(m: mw.Sequential) -> float:
    return float(m.get_weights()[0].flat[0])


# ---- Callback --------------------------------------------------------------------------------------------------------


def test_when_a_callback_is_called() -> None:
    calls: list[Any] = []

    class Recorder(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            calls.append("begin")

        def on_train_end(self, logs: Any = None) -> None:
            calls.append("end")

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            calls.append(("epoch", epoch))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            calls.append((epoch, sorted(logs)))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert np.isfinite(logs["loss"])
            calls.append(batch)

    m = model()
    recorder = Recorder()
    m.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=recorder, validation_data=(X, Y))
    epoch = [0, 1, 2]
    names = ["loss", "val_loss"]
    assert calls == ["begin", ("epoch", 0), *epoch, (0, names), ("epoch", 1), *epoch, (1, names), "end"]
    assert recorder.model is m


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_test_begin", "on_test_end"])
def test_keras_s_other_hooks(hook: str) -> None:
    called: list[str] = []
    recorder = type("Recorder", (Callback,), {hook: lambda *_: called.append(hook)})()
    model().fit(X, Y, verbose=0, callbacks=recorder, validation_data=(X, Y))
    assert called


@pytest.mark.parametrize("given", [3, "early_stopping", [EarlyStopping], [None], lambda: None])
def test_what_is_no_callback(given: Any) -> None:
    with pytest.raises(TypeError, match="callbacks to be Callback objects"):
        model().fit(X, Y, verbose=0, callbacks=given)


def test_stop_training_stops_after_the_batch() -> None:
    class Stop(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 1

    m = model()
    history = m.fit(X, Y, batch_size=8, epochs=5, verbose=0, callbacks=[Stop()])
    assert history.epoch == [0] and m.optimizer.iterations == 2
    assert m.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1], "a new fit starts anew"


def test_an_error_in_a_callback_is_passed_on() -> None:
    class Broken(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise ZeroDivisionError("mine")

    m = model()
    for verbose in (0, 1, 2):
        with pytest.raises(ZeroDivisionError, match="mine"):
            m.fit(X, Y, verbose=verbose, callbacks=[Broken()])
    assert np.isfinite(m.fit(X, Y, verbose=0).history["loss"][0])


def test_history() -> None:
    history = model().fit(X, Y, epochs=5, initial_epoch=2, verbose=0, validation_split=0.25)
    assert history.epoch == [2, 3, 4] and sorted(history.history) == ["loss", "val_loss"]
    assert all(len(v) == 3 and all(isinstance(x, float) for x in v) for v in history.history.values())


# ---- EarlyStopping ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "values", "epochs"),
    [
        ({}, [3, 2, 1, 2, 0], 4),
        ({}, [3, 3, 0], 2),
        ({"patience": 1}, [3, 2, 1, 2, 0], 4),
        ({"patience": 2}, [3, 2, 1, 2, 0, 1], 6),
        ({"patience": 2}, [3, 2, 1, 2, 1, 0], 5),
        ({"min_delta": 0.5}, [3, 2.6, 1], 2),
        ({"min_delta": 0.5}, [3, 2.4, 1], 3),
        ({"min_delta": -0.5}, [3, 2.4, 2, 1], 3),
        ({"mode": "max"}, [1, 2, 3, 2, 5], 4),
        ({"baseline": 2.5, "patience": 2}, [5, 4, 3, 2], 4),
        ({"baseline": 2.5, "patience": 3}, [5, 4, 2, 3, 3, 3, 1], 6),
        ({"start_from_epoch": 3}, [1, 2, 3, 4, 3, 5, 1], 6),
        ({"patience": 1}, [float("nan"), 2, 1, float("nan"), 0], 4),
    ],
    ids=str,
)
def test_early_stopping(arguments: dict[str, Any], values: list[float], epochs: int) -> None:
    assert len(run(values, EarlyStopping(**arguments))[1]) == epochs


@pytest.mark.parametrize(
    ("name", "rises"), [("val_accuracy", True), ("acc", True), ("r2", True), ("val_loss", False), ("mae", False)]
)
def test_early_stopping_knows_which_way_is_better(name: str, rises: bool) -> None:
    values = [1.0, 2, 3, 4] if rises else [4.0, 3, 2, 1]
    assert len(run(values, EarlyStopping(name), name)[1]) == 4
    assert len(run(values[::-1], EarlyStopping(name), name)[1]) == 2


def test_early_stopping_restores_the_best() -> None:
    values = [3.0, 1, 2, 2, 2]
    for restore, epoch in ((True, 1), (False, 3)):
        stopping = EarlyStopping(patience=2, restore_best_weights=restore)
        m, epochs = run(values, stopping)
        assert epoch_of(m) == epoch and epochs == [0, 1, 2, 3]
        assert (stopping.stopped_epoch, stopping.best_epoch, stopping.best) == (3, 1, 1)


def test_early_stopping_restores_though_it_did_not_stop() -> None:
    assert epoch_of(run([3.0, 1, 2], EarlyStopping(patience=9, restore_best_weights=True))[0]) == 1


def test_early_stopping_serves_twice() -> None:
    stopping = EarlyStopping()
    assert len(run([1.0, 2, 3], stopping)[1]) == 2
    assert len(run([9.0, 8, 7], stopping)[1]) == 3


def test_early_stopping_restores_below_the_baseline_too() -> None:
    assert epoch_of(run([3.0, 1, 2, 2], EarlyStopping(patience=9, baseline=0.5, restore_best_weights=True))[0]) == 1


def test_early_stopping_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    run([3.0, 1, 2], EarlyStopping(verbose=1))
    assert "epoch 3: stopped early, best epoch 2" in capsys.readouterr().out


def test_early_stopping_on_real_numbers() -> None:
    m = model(0.1)
    history = m.fit(X, Y, epochs=200, verbose=0, validation_split=0.2, callbacks=EarlyStopping(min_delta=1e-4, patience=3))
    assert 5 < len(history.epoch) < 200 and history.history["val_loss"][-1] < 0.01


def test_an_unknown_monitor() -> None:
    for callback in (EarlyStopping("val_los"), ModelCheckpoint("f", "val_los", save_best_only=True)):
        with pytest.raises(ValueError, match=r"`monitor` out of \['loss'\]. Received: 'val_los'"):
            model().fit(X, Y, verbose=0, callbacks=[callback])


def test_epochs_without_validation_do_not_count(tmp_path: Path) -> None:
    watching = [EarlyStopping(), ModelCheckpoint(tmp_path / "f", save_best_only=True)]
    model().fit(X, Y, epochs=4, verbose=0, callbacks=watching, validation_data=(X, Y), validation_freq=2)


@pytest.mark.parametrize("mode", ["maximum", "", None])
def test_modes_are_checked(mode: Any) -> None:
    for make in (EarlyStopping, lambda **a: ModelCheckpoint("f", **a)):
        with pytest.raises(ValueError, match="`mode`"):
            make(mode=mode)


# ---- ModelCheckpoint -------------------------------------------------------------------------------------------------


def saved(path: Path) -> float:
    m = model()
    m.load_weights(path)
    return epoch_of(m)


def test_checkpoints_of_each_epoch(tmp_path: Path) -> None:
    run([0.5, 0.25, 1.0], ModelCheckpoint(str(tmp_path / "{epoch:02d}-{val_loss:.2f}")))
    assert sorted(os.listdir(tmp_path)) == ["01-0.50", "02-0.25", "03-1.00"]
    assert [saved(tmp_path / name) for name in sorted(os.listdir(tmp_path))] == [0, 1, 2]


@pytest.mark.parametrize(("mode", "name", "best"), [("auto", "val_loss", 1), ("max", "val_loss", 2), ("auto", "val_acc", 2)])
def test_checkpoint_of_the_best(tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, name: str, best: int) -> None:
    path = tmp_path / "best.safetensors"
    run([0.5, 0.25, 1.0, 0.7], ModelCheckpoint(path, name, 1, save_best_only=True, mode=mode), name)
    assert saved(path) == best and os.listdir(tmp_path) == [path.name]
    assert capsys.readouterr().out.splitlines()[-1] == f"epoch {best + 1}: saved {path}"


def test_a_checkpoint_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        model().fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "nowhere" / "f")])


# ---- LearningRateScheduler -------------------------------------------------------------------------------------------


def test_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, float]] = []

    def halve(epoch: int, rate: float) -> float:
        seen.append((epoch, rate))
        return rate / 2

    m = model(0.08)
    history = m.fit(X, Y, epochs=3, verbose=0, callbacks=[LearningRateScheduler(halve, verbose=1)])
    assert history.history["learning_rate"] == pytest.approx([0.04, 0.02, 0.01])
    assert m.optimizer.learning_rate == pytest.approx(0.01)
    assert [epoch for epoch, _ in seen] == [0, 1, 2] and seen[1][1] == pytest.approx(0.04)
    assert "epoch 1: learning rate 0.04" in capsys.readouterr().out


def test_a_rate_of_0_stands_still() -> None:
    m = model()
    before = m.get_weights()
    m.fit(X, Y, verbose=0, callbacks=LearningRateScheduler(lambda epoch, rate: 0.0))
    np.testing.assert_array_equal(m.get_weights()[0], before[0])


@pytest.mark.parametrize("rate", [None, "0.1", -1.0, float("nan")])
def test_schedules_are_checked(rate: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"`schedule` to return|`learning_rate`"):
        model().fit(X, Y, verbose=0, callbacks=LearningRateScheduler(lambda epoch, _: rate))


def test_as_list() -> None:
    one = Callback()
    assert callbacks.as_list(None) == [] and callbacks.as_list(one) == callbacks.as_list((one,)) == [one]


def test_the_metric_knows_which_way_is_better() -> None:
    m = model()
    m.compile("sgd", "mse", metrics=[mw.metrics.AUC(name="area"), mw.metrics.MeanAbsoluteError("accident")])
    for monitor, sign in (("val_area", 1), ("area", 1), ("accident", -1), ("loss", -1)):
        stopping = EarlyStopping(monitor)
        stopping.set_model(m)
        assert stopping.sign == sign


def test_a_name_with_a_number_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "w-{epoch}-{val_loss:.2f}.safetensors")
    m = model()
    m.fit(X, Y, epochs=4, verbose=0, validation_split=0.2, validation_freq=2, callbacks=[ModelCheckpoint(path)])
    assert sorted(name[:3] for name in os.listdir(tmp_path)) == ["w-2", "w-4"]
    with pytest.raises(ValueError, match="names out of"):
        m.fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(path)])


def test_a_stop_before_the_first_epoch_ends_after_it() -> None:
    class Stop(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.model.stop_training = True

    assert len(model().fit(X, Y, epochs=5, verbose=0, callbacks=[Stop()]).epoch) == 1


def test_a_misspelt_name_of_a_number_is_refused(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(str(tmp_path / "w-{val_los:.2f}.safetensors"))
    with pytest.raises(ValueError, match="val_los"):
        model().fit(X, Y, verbose=0, validation_split=0.2, callbacks=[checkpoint])
