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
    (tmp_path / "a_file").write_bytes(b"")
    with pytest.raises(OSError):
        model().fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "a_file" / "f")])


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


# ---- hooks -----------------------------------------------------------------------------------------------------------


def test_every_hook_is_there_and_gets_a_dict() -> None:
    heard: list[tuple[str, Any]] = []
    every = {hook: lambda *given, hook=hook: heard.append((hook, given)) for hook in callbacks.HOOKS}
    together = callbacks.CallbackList([callbacks.LambdaCallback(**every)], model(), {"epochs": 3})  # type: ignore[arg-type]
    numbered = [h for h in callbacks.HOOKS if "batch" in h or "epoch" in h]
    for hook in callbacks.HOOKS:
        together.call(hook, *([5] if hook in numbered else []))
    assert [hook for hook, _ in heard] == list(callbacks.HOOKS)
    assert all(given == ((5, {}) if hook in numbered else ({},)) for hook, given in heard)
    assert [c.params for c in together] == [{"epochs": 3}]


def test_hooks_are_keras_s(keras: Any) -> None:
    theirs = {name for name in dir(keras.callbacks.Callback) if name.startswith("on_")}
    assert theirs == set(callbacks.HOOKS)


@pytest.mark.parametrize("hook", ["on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"])
def test_batches_are_heard_by_either_name(hook: str) -> None:
    seen: list[Any] = []
    own = type("Own", (Callback,), {hook: lambda self, batch, logs: seen.append((batch, type(logs)))})()
    for given in (own, callbacks.LambdaCallback(**{hook: lambda batch, logs: seen.append((batch, type(logs)))})):
        seen.clear()
        model().fit(X, Y, batch_size=16, verbose=0, callbacks=[given])
        assert seen == [(0, dict), (1, dict), (2, dict)]


def test_nobody_hears_batches_who_does_not_listen() -> None:
    quiet = [Callback(), callbacks.History(), EarlyStopping(), ModelCheckpoint("f"), callbacks.CSVLogger("f"),
             callbacks.TerminateOnNaN(), callbacks.ReduceLROnPlateau(), LearningRateScheduler(lambda e: 0.1),
             callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)]  # fmt: skip
    assert not any(c.hears(hook) for c in quiet for hook in callbacks.HOOKS if "batch" in hook)
    assert ModelCheckpoint("f", save_freq=2).hears("on_train_batch_end")


def test_functions_and_classes_as_callbacks() -> None:
    with pytest.raises(TypeError, match="LambdaCallback"):
        model().fit(X, Y, verbose=0, callbacks=[lambda epoch, logs: None])
    with pytest.raises(TypeError, match=r"EarlyStopping\(\)"):
        model().fit(X, Y, verbose=0, callbacks=EarlyStopping)
    with pytest.raises(TypeError, match="hooks out of"):
        callbacks.LambdaCallback(on_epoch_ends=lambda epoch, logs: None)
    with pytest.raises(TypeError, match="`on_epoch_end` to be a function"):
        callbacks.LambdaCallback(on_epoch_end=3)  # type: ignore[arg-type]


def test_logs_of_each_hook() -> None:
    seen: dict[str, Any] = {}
    hooks = ("on_train_begin", "on_epoch_begin", "on_epoch_end", "on_test_begin", "on_test_end", "on_train_end")
    given = callbacks.LambdaCallback(**{h: lambda *a, h=h: seen.__setitem__(h, sorted(a[-1])) for h in hooks})  # type: ignore[arg-type]
    model().fit(X, Y, verbose=0, callbacks=given, validation_data=(X, Y))
    both = ["loss", "val_loss"]
    assert seen == {"on_train_begin": [], "on_epoch_begin": [], "on_test_begin": [], "on_test_end": ["loss"],
                    "on_epoch_end": both, "on_train_end": both}  # fmt: skip
    assert given.params["epochs"] == 1 and given.params["steps"] == 2


# ---- as Keras's ------------------------------------------------------------------------------------------------------


class Fake:
    """As much of a model as callbacks of either library ask for."""

    def __init__(self) -> None:
        self.stop_training, self.validates, self.metrics, self.epoch = False, False, (), -1
        self.optimizer = mw.optimizers.SGD(0.5)
        self.saved: list[tuple[int, str]] = []

    def get_weights(self) -> int:
        return self.epoch

    def set_weights(self, epoch: int) -> None:
        self.epoch = epoch

    def save_weights(self, path: str, overwrite: bool = True) -> None:
        self.saved.append((self.epoch, os.path.basename(path)))


def what_happens(callback: Any, values: list[float], name: str) -> Any:
    """The epoch it stopped at, the weights in the end, the rates, what was saved; for two batches in each epoch."""
    fake, rates = Fake(), []
    callback.set_model(fake)
    callback.on_train_begin({})
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch, {})
        for batch in range(2):
            callback.on_train_batch_end(batch, {name: value})
        fake.epoch = epoch
        callback.on_epoch_end(epoch, {name: value})
        rates.append(fake.optimizer.learning_rate)
        if fake.stop_training:
            break
    stopped = fake.epoch
    callback.on_train_end({})
    return stopped, fake.epoch, rates, fake.saved


SEQUENCES = [
    [5.0, 4, 4.5, 3, 3.2, 3.1, 2, 2.5, 2.4, 2.3],
    [1.0, 1, 1, 1, 1],
    [3.0, 2.95, 2.9, 2.85, 2.8, 2.7],
    [1.0, 2, 3, 0.5, 3, 3, 3],
]
WATCHING: list[tuple[str, dict[str, Any]]] = [
    ("EarlyStopping", {}),
    ("EarlyStopping", {"patience": 2}),
    ("EarlyStopping", {"patience": 1, "min_delta": 0.3}),
    ("EarlyStopping", {"patience": 1, "min_delta": -0.3, "restore_best_weights": True}),
    ("EarlyStopping", {"patience": 1, "mode": "max", "restore_best_weights": True}),
    ("EarlyStopping", {"patience": 3, "baseline": 2.5, "restore_best_weights": True}),
    ("EarlyStopping", {"patience": 2, "baseline": 0.1, "restore_best_weights": True}),
    ("EarlyStopping", {"start_from_epoch": 2, "restore_best_weights": True}),
    ("EarlyStopping", {"start_from_epoch": 20, "restore_best_weights": True}),
    ("ReduceLROnPlateau", {"patience": 0}),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5}),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5, "cooldown": 2}),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.5, "min_delta": 0.3, "min_lr": 0.2}),
    ("ReduceLROnPlateau", {"patience": 1, "mode": "max"}),
    ("ModelCheckpoint", {}),
    ("ModelCheckpoint", {"save_best_only": True}),
    ("ModelCheckpoint", {"save_best_only": True, "initial_value_threshold": 2.9}),
    ("ModelCheckpoint", {"save_best_only": True, "mode": "max"}),
    ("ModelCheckpoint", {"save_freq": 3}),
    ("ModelCheckpoint", {"save_freq": 2}),
]


@pytest.mark.parametrize("values", SEQUENCES, ids=range(len(SEQUENCES)))
@pytest.mark.parametrize(("name", "arguments"), WATCHING)
def test_corner_cases_are_keras_s(
    keras: Any, tmp_path: Path, name: str, arguments: dict[str, Any], values: list[float]
) -> None:
    given = {"monitor": "loss", **arguments}
    if name == "ModelCheckpoint":
        given |= {"filepath": str(tmp_path / "{epoch}-{loss}.weights.h5"), "save_weights_only": True}
    results = [what_happens(getattr(library, name)(**given), values, "loss") for library in (callbacks, keras.callbacks)]
    assert results[0][0] == results[1][0] and results[0][1] == results[1][1] and results[0][3] == results[1][3]
    assert results[0][2] == pytest.approx(results[1][2], rel=1e-6)


def test_weights_that_never_got_better_are_restored_too() -> None:
    """As in Keras, the first that count are the best there are."""
    m, epochs = run([float("nan")] * 4, EarlyStopping(patience=2, restore_best_weights=True))
    assert epochs == [0, 1] and epoch_of(m) == 0


@pytest.mark.parametrize(
    "name", ["accumulated_loss", "val_accident", "backlog", "auction", "accuracy_loss", "recalls", "f1_error"]
)
def test_words_inside_of_others_do_not_count(name: str) -> None:
    assert EarlyStopping(name).sign == -1


@pytest.mark.parametrize(
    "name", ["acc", "val_top_5_accuracy", "auc_1", "F1", "r2_score", "val_binary_accuracy", "mean_precision"]
)
def test_words_that_count(name: str) -> None:
    assert EarlyStopping(name).sign == 1


def test_checkpoints_after_batches(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "{epoch}-{batch}-{loss:.1f}"
    model(0.0).fit(X, Y, batch_size=16, epochs=3, verbose=0, callbacks=[ModelCheckpoint(path, save_freq=4)])
    assert sorted(name[:3] for name in os.listdir(path.parent)) == ["2-1", "3-2"]


@pytest.mark.parametrize("wrong", [{"save_freq": 0}, {"save_freq": "batch"}, {"save_freq": True}, {"save_freq": None}])
def test_how_often_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`save_freq`"):
        ModelCheckpoint("f", **wrong)
    for make in (EarlyStopping, callbacks.ReduceLROnPlateau):
        for given in ({"patience": "2"}, {"patience": -1}, {"min_delta": "a"}, {"min_delta": float("nan")}):
            with pytest.raises(ValueError, match=next(iter(given))):
                make(**given)


EPOCH_SCHEDULES: list[Any] = [
    lambda epoch: 0.4 * 0.5**epoch,
    lambda epoch, rate: 0.4 * 0.5**epoch,
    lambda epoch, rate=None: 0.4 * 0.5**epoch,
    lambda *given: np.float32(0.4 * 0.5 ** given[0]),
    mw.schedules.ExponentialDecay(0.4, 1, 0.5),
]


@pytest.mark.parametrize("schedule", EPOCH_SCHEDULES)
def test_schedules_of_epochs(schedule: Any) -> None:
    history = model().fit(X, Y, epochs=3, verbose=0, callbacks=[LearningRateScheduler(schedule)])
    assert history.history["learning_rate"] == pytest.approx([0.4, 0.2, 0.1])


def test_an_error_in_a_schedule_is_its_own() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        model().fit(X, Y, verbose=0, callbacks=[LearningRateScheduler(lambda epoch, rate: rate + "a")])
    with pytest.raises(TypeError, match="`schedule` to be a function"):
        LearningRateScheduler(0.1)  # type: ignore[arg-type]


# ---- files and losses ------------------------------------------------------------------------------------------------


def test_csv_logger(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    m = model()
    first = m.fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.CSVLogger(path)])
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,loss" and [line.split(",")[0] for line in lines[1:]] == ["0", "1"]
    assert [float(line.split(",")[1]) for line in lines[1:]] == first.history["loss"]
    m.fit(X, Y, epochs=3, initial_epoch=2, verbose=0, callbacks=[callbacks.CSVLogger(path, append=True)])
    assert path.read_text().splitlines()[:3] == lines and len(path.read_text().splitlines()) == 4
    m.fit(
        X, Y, epochs=2, verbose=0, callbacks=[callbacks.CSVLogger(path, separator=";")], validation_split=0.2, validation_freq=2
    )
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch;loss;val_loss" and lines[1].endswith(";NA") and float(lines[2].split(";")[2]) > 0
    with pytest.raises(OSError):
        m.fit(X, Y, verbose=0, callbacks=[callbacks.CSVLogger(tmp_path / "nowhere" / "f")])


def test_terminate_on_nan(capsys: pytest.CaptureFixture[str]) -> None:
    for eager in (False, True):
        m = model()
        m.compile(mw.optimizers.SGD(1e30), "mse", eager=eager)
        history = m.fit(X, Y, epochs=50, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
        assert len(history.epoch) < 50 and m.stop_training
        assert "training ended: Expected" in capsys.readouterr().out
        with pytest.raises(FloatingPointError):
            m.fit(X, Y, epochs=50, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])


def test_only_public_names_are_shown() -> None:
    assert dir(callbacks) == sorted(callbacks.__all__) and all(hasattr(callbacks, n) for n in callbacks.__all__)
