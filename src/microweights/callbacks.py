"""What may happen between the steps and epochs of a training; names, arguments and defaults are Keras's."""

from __future__ import annotations

import csv
import inspect
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import IO, TYPE_CHECKING, Any, Protocol

from .errors import explain
from .inspect.diagnosis import Diagnosis, diagnose
from .schedules import check

if TYPE_CHECKING:
    from .data.samples import Samples
    from .tensor import Array

__all__ = [
    "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback", "LearningRateScheduler",
    "ModelCheckpoint", "ReduceLROnPlateau", "TerminateOnNaN",
]  # fmt: skip

Logs = dict[str, float]

RISING = {"acc", "accuracy", "auc", "precision", "recall", "f1", "r2"}  # words in names of what should grow
FALLING = {"loss", "error"}  # and of what should not, whatever other words are there


class Trained(Protocol):
    """What callbacks may rely on of the model in training."""

    optimizer: Any
    stop_training: bool  # set to True, it ends the training after this batch or epoch
    validates: bool  # whether the training has validation data

    def get_weights(self) -> list[Array]: ...

    def set_weights(self, weights: Sequence[Any]) -> None: ...

    def save_weights(self, path: str | os.PathLike[str]) -> None: ...

    def evaluate(self, x: Any = None, y: Any = None) -> Any: ...

    def predict(self, x: Any) -> Any: ...


class Callback:
    """Override what you need; `self.model` is the model in training, `self.params` has its numbers of epochs and steps.

    `logs` is a dict of what is known by then: the loss and the metrics so far, after an epoch with validation also these with
    "val_" in front, and nothing at a begin. What a callback adds to the logs of an epoch comes into the history.
    """

    model: Trained
    params: Mapping[str, Any]

    def set_model(self, model: Trained) -> None:
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None: ...

    def on_train_end(self, logs: Logs | None = None) -> None: ...

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None: ...

    def on_test_end(self, logs: Logs | None = None) -> None: ...

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_predict_begin(self, logs: Logs | None = None) -> None: ...

    def on_predict_end(self, logs: Logs | None = None) -> None: ...

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def hears(self, hook: str) -> bool:
        """Whether something happens in this hook. Where nobody hears single batches, many steps run at once."""
        other = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}.get(hook)
        own = getattr(self, hook)
        return getattr(own, "__func__", own) is not getattr(Callback, hook) or (other is not None and self.hears(other))


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class CallbackList:
    """Callbacks that are called together, each hook with a dict as logs.

    Parameters
    ----------
    callbacks : Callback, list of Callbacks or None
    model : Model
    params : dict
        What they get as `params`.
    """

    def __init__(self, callbacks: Any, model: Trained, params: Mapping[str, Any]) -> None:
        self.callbacks = as_list(callbacks)
        for c in self.callbacks:
            c.set_params(params)
            c.set_model(model)
        self._hearing = {hook: [c for c in self.callbacks if c.hears(hook)] for hook in HOOKS}

    def __iter__(self) -> Iterator[Callback]:
        return iter(self.callbacks)

    def hears(self, hook: str) -> bool:
        return bool(self._hearing[hook])

    def call(self, hook: str, *number: int, logs: Logs | None = None) -> None:
        """`hook` of each, with the number of the epoch or batch if it takes one."""
        logs = {} if logs is None else logs
        for c in self._hearing[hook]:
            getattr(c, hook)(*number, logs)

    def ends_at(self, error: FloatingPointError) -> bool:
        """Whether a loss that is not finite is to end the training, and not to raise its error."""
        ending = [c for c in self.callbacks if isinstance(c, TerminateOnNaN) and not c.raise_error]
        for c in ending:
            c.end(error)
        return bool(ending)


class History(Callback):
    """`history.history` maps each name to its values, one for each epoch; every `fit` returns one."""

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.validated: list[int] = []  # epochs with validation
        self.sample: Samples | None = None  # of the training data

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "sample": None}  # files of models do not carry their data away

    def diagnose(self) -> Diagnosis:
        """Measure how the training went, on the model as it is now and the first 512 samples it was trained on.

        Raises
        ------
        RuntimeError
            If no training has come so far as to have a model.
        """
        if self.sample is None or not hasattr(self, "model"):
            remedy = "Call it on what fit returns, before it is pickled: files do not carry the data along."
            raise RuntimeError(explain("the history of a training, with its data", "one without", remedy))
        return diagnose(self.model, self.sample.rows(), self)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        if "val_loss" in (logs or {}):
            self.validated.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class _Watch(Callback):
    """Follows one number of the logs and knows whether a value is better than the best so far."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0, patience: float = 0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(explain("`mode` 'auto', 'min' or 'max'", repr(mode), "'auto' goes by the name of the monitor."))
        if isinstance(min_delta, bool) or not isinstance(min_delta, (int, float, Real)) or math.isnan(min_delta):
            raise ValueError(explain("`min_delta` to be a number", repr(min_delta), "0 counts every improvement."))
        if isinstance(patience, bool) or not isinstance(patience, (int, float, Real)) or not patience >= 0:
            raise ValueError(explain("`patience` to be a number of epochs", repr(patience), "0 stops at the first."))
        self.monitor, self.min_delta, self.mode, self.patience = monitor, abs(float(min_delta)), mode, patience

    @property
    def sign(self) -> float:
        """1 if more is better, else -1; the metric of that name says it, or else the words of the name."""
        if self.mode != "auto":
            return 1.0 if self.mode == "max" else -1.0
        metrics, name = getattr(getattr(self, "model", None), "metrics", ()), self.monitor.removeprefix("val_")
        rises = next((m.rises for m in metrics if m.name == name), None)
        if rises is None:
            words = set(name.lower().split("_"))
            rises = bool(words & RISING) and not words & FALLING
        return 1.0 if rises else -1.0

    def value(self, logs: Logs | None) -> float | None:
        """The number, or None after an epoch without validation."""
        if self.monitor.startswith("val_") and self.model.validates and not _validated(list(logs or ())):
            return None
        if not logs or self.monitor not in logs:
            remedy = "Pass validation data for names with 'val_', and compile the metric."
            raise ValueError(explain(f"`monitor` out of {sorted(logs or {})}", repr(self.monitor), remedy))
        return logs[self.monitor]

    def is_better(self, value: float, best: float | None) -> bool:
        return not math.isnan(value) and (best is None or self.sign * (value - best) > self.min_delta)


class EarlyStopping(_Watch):
    """Stops when `monitor` has not improved by `min_delta` for `patience` epochs.

    With `baseline` it must also be better than that. `start_from_epoch` is the first epoch that counts. With
    `restore_best_weights`, the weights of the best epoch are put back at the end; where none was better than another, as after
    a loss of NaN, those of the first that counts.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta, patience)
        self.verbose, self.baseline = verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best: float | None = None
        self.best_weights: list[Array] | None = None
        self.waited, self.stopped_epoch, self.best_epoch = 0, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value(logs)
        if epoch < self.start_from_epoch or value is None:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.waited += 1
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_better(value, self.baseline):
                self.waited = 0
        elif self.waited >= self.patience and epoch > 0:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
        if self.verbose and self.stopped_epoch:
            print(f"epoch {self.stopped_epoch + 1}: stopped early, best epoch {self.best_epoch + 1}")


class ModelCheckpoint(_Watch):
    """Saves the weights after each epoch, or with `save_best_only` after each that is the best so far.

    It is weights alone that are saved, also without `save_weights_only`: `model.load_weights(filepath)` reads them.

    Parameters
    ----------
    filepath : str or Path
        It may contain names in braces, such as "weights-{epoch:02d}-{val_loss:.2f}.safetensors", and a folder to be made.
    monitor, mode : str
        What is followed for `save_best_only`, and which way is better.
    verbose : int
        1 prints a line for each file.
    save_best_only, save_weights_only : bool
    save_freq : "epoch" or int
        After so many batches, counted on through the epochs; `filepath` may then contain {batch}.
    initial_value_threshold : float, optional
        The first to be saved as best is better than this.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        if save_freq != "epoch" and (
            isinstance(save_freq, (bool, str)) or not isinstance(save_freq, (int, Integral)) or save_freq < 1
        ):
            raise ValueError(explain("`save_freq` 'epoch' or a number of batches", repr(save_freq), "Choose one of them."))
        self.filepath, self.verbose, self.save_best_only = os.fspath(filepath), verbose, save_best_only
        self.save_weights_only, self.save_freq = save_weights_only, save_freq
        self.initial_value_threshold = initial_value_threshold
        self.best = initial_value_threshold
        self._epoch, self._batches = 0, 0  # which epoch it is, and how many batches came since the last file

    def hears(self, hook: str) -> bool:
        return super().hears(hook) and (hook != "on_train_batch_end" or self.save_freq != "epoch")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches >= int(self.save_freq):
            self._batches = 0
            self._save(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: Mapping[str, float]) -> None:
        if self.save_best_only:
            value = self.value(dict(logs))
            if value is None or not self.is_better(value, self.best):
                return
            self.best = value
        try:
            path = self.filepath.format(epoch=epoch + 1, **logs)
        except KeyError as missing:
            if self.model.validates and not _validated(list(logs)):
                return  # an epoch without validation
            names, received = ["epoch", *sorted(logs)], f"{missing} in {self.filepath!r}"
            raise ValueError(explain(f"names out of {names}", received, "Check the spelling.")) from None
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        self.model.save_weights(path)
        if self.verbose:
            print(f"epoch {epoch + 1}: saved {path}")


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of each epoch.

    Parameters
    ----------
    schedule : function of (epoch) or of (epoch, learning_rate), or a Schedule
        Returns the rate of this epoch; one of :mod:`microweights.schedules` counts epochs here.
    verbose : int
        1 prints a line for each epoch.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(explain("`schedule` to be a function", repr(schedule), "Pass lambda epoch: 0.1 * 0.9**epoch."))
        self.schedule, self.verbose = schedule, verbose
        self._takes_rate = _takes(schedule, 0, 0.1)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        rate = self.schedule(epoch, optimizer.learning_rate) if self._takes_rate else self.schedule(epoch)
        if not isinstance(rate, Real):
            raise TypeError(explain("`schedule` to return a number", repr(rate), "Return the new learning rate."))
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"epoch {epoch + 1}: learning rate {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


def _takes(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether it can be called with these; a function in C that does not say so is taken to."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


class ReduceLROnPlateau(_Watch):
    """Multiplies the learning rate by `factor` when `monitor` has not improved by `min_delta` for `patience` epochs.

    It does not go below `min_lr`. After a reduction, `cooldown` - 1 epochs are not counted, as in Keras.
    """

    def __init__(
        self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0, mode: str = "auto",
        min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(monitor, mode, min_delta, patience)
        if isinstance(factor, str) or not 0 <= factor < 1:
            raise ValueError(explain("`factor` from 0 to below 1", repr(factor), "0.1 and 0.5 are usual choices."))
        check(0, cooldown=cooldown, min_lr=min_lr)
        self.factor, self.verbose, self.cooldown, self.min_lr = factor, verbose, cooldown, min_lr

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.model.optimizer.learning_rate = self.model.optimizer.learning_rate  # says at once if a schedule sets it
        self.best: float | None = None
        self.waited, self.rests = 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        value = self.value(logs)
        if logs is not None:
            logs["learning_rate"] = optimizer.learning_rate
        if value is None:
            return
        self.rests = max(self.rests - 1, 0)
        if self.is_better(value, self.best):
            self.best, self.waited = value, 0
        elif not self.rests:
            self.waited += 1
            if self.waited >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                self.rests, self.waited = self.cooldown, 0
                if self.verbose:
                    print(f"epoch {epoch + 1}: learning rate {optimizer.learning_rate:g}")


class LambdaCallback(Callback):
    """Calls a function in each hook that is named: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))`.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_batch_begin, on_train_batch_end : function of (number, logs)
    on_train_begin, on_train_end : function of (logs)
    **hooks
        Any other hook of :class:`Callback`.
    """

    def __init__(
        self, on_epoch_begin: Callable[[int, Logs], Any] | None = None, on_epoch_end: Callable[[int, Logs], Any] | None = None,
        on_train_begin: Callable[[Logs], Any] | None = None, on_train_end: Callable[[Logs], Any] | None = None,
        on_train_batch_begin: Callable[[int, Logs], Any] | None = None,
        on_train_batch_end: Callable[[int, Logs], Any] | None = None, **hooks: Callable[..., Any],
    ) -> None:  # fmt: skip
        named = {
            "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_train_begin": on_train_begin,
            "on_train_end": on_train_end, "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end, **hooks,
        }  # fmt: skip
        for hook, function in named.items():
            if hook not in HOOKS:
                raise TypeError(explain(f"hooks out of {sorted(HOOKS)}", repr(hook), "Check the spelling."))
            if function is not None and not callable(function):
                raise TypeError(explain(f"`{hook}` to be a function", repr(function), "Pass it without calling it."))
            if function is not None:
                setattr(self, hook, function)


class CSVLogger(Callback):
    """Writes the logs of each epoch as a line of a file of values between separators.

    Parameters
    ----------
    filename : str or Path
    separator : str
    append : bool
        Go on after what the file has already, and not anew.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self._columns: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._columns = []
        if self.append and os.path.isfile(self.filename):
            with self._open("r") as file:
                self._columns = next(csv.reader(file, delimiter=self.separator), [])
        else:
            self._open("w").close()  # says at once if it cannot be written

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        row = {"epoch": epoch, **(logs or {})}
        with self._open("a") as file:
            if not self._columns:
                names = sorted(logs or {})
                missing = [f"val_{n}" for n in names] if self.model.validates and not _validated(names) else []
                self._columns = ["epoch", *names, *missing]
                csv.writer(file, delimiter=self.separator).writerow(self._columns)
            writer = csv.DictWriter(file, self._columns, "NA", "ignore", delimiter=self.separator)
            writer.writerow(row)

    def _open(self, mode: str) -> IO[str]:
        return open(self.filename, mode, newline="", encoding="utf-8")


def _validated(names: Sequence[str]) -> bool:
    return any(name.startswith("val_") for name in names)


class TerminateOnNaN(Callback):
    """Ends the training at a loss that is infinite or NaN; without it, or with `raise_error`, `fit` raises an error there."""

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def end(self, error: FloatingPointError) -> None:
        print(f"training ended: {error}")
        self.model.stop_training = True


def as_list(callbacks: Any) -> list[Callback]:
    """One callback, several or None as a list.

    Raises
    ------
    TypeError
        If one is none.
    """
    given = [] if callbacks is None else list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for c in given:
        if not isinstance(c, Callback):
            received, remedy = type(c).__name__, "Subclass mw.callbacks.Callback."
            if isinstance(c, type) and issubclass(c, Callback):
                received, remedy = f"the class {c.__name__}", f"Make an object of it: {c.__name__}()."
            elif callable(c):
                remedy = "Wrap it: mw.callbacks.LambdaCallback(on_epoch_end=function of (epoch, logs))."
            raise TypeError(explain("callbacks to be Callback objects", received, remedy))
    return given


NO_CALLBACKS = CallbackList(None, None, {})  # type: ignore[arg-type]


def __dir__() -> list[str]:
    return sorted(__all__)
