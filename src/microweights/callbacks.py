"""What may happen between the epochs of a training; names, arguments and defaults are Keras's."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .diagnosis import Diagnosis, diagnose
from .errors import explain

if TYPE_CHECKING:
    from .data import Samples
    from .models import Model
    from .tensor import Array

Logs = dict[str, float]


class Callback:
    """Override what you need; `self.model` is the model in training."""

    model: Model

    def set_model(self, model: Model) -> None:
        self.model = model

    def on_train_begin(self, logs: Logs | None = None) -> None: ...

    def on_train_end(self, logs: Logs | None = None) -> None: ...

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_predict_begin(self, logs: Logs | None = None) -> None: ...

    def on_predict_end(self, logs: Logs | None = None) -> None: ...

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_test_begin(self, logs: Logs | None = None) -> None: ...

    def on_test_end(self, logs: Logs | None = None) -> None: ...


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

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(explain("`mode` 'auto', 'min' or 'max'", repr(mode), "'auto' goes by the name of the monitor."))
        self.monitor, self.min_delta, self.mode = monitor, abs(min_delta), mode

    @property
    def sign(self) -> float:
        """1 if more is better, else -1; the metric of that name says it, or else the name itself."""
        if self.mode != "auto":
            return 1.0 if self.mode == "max" else -1.0
        metrics, name = getattr(getattr(self, "model", None), "metrics", ()), self.monitor.removeprefix("val_")
        rises = next((m.rises for m in metrics if m.name == name), None)
        if rises is None:
            rises = any(word in self.monitor for word in ("acc", "r2", "auc", "precision", "recall", "f1"))
        return 1.0 if rises else -1.0

    def value(self, logs: Logs | None) -> float | None:
        """The number, or None after an epoch without validation."""
        if self.monitor.startswith("val_") and self.model.validates and not any(n.startswith("val_") for n in logs or ()):
            return None
        if not logs or self.monitor not in logs:
            remedy = "Pass validation data for names with 'val_', and compile the metric."
            raise ValueError(explain(f"`monitor` out of {sorted(logs or {})}", repr(self.monitor), remedy))
        return logs[self.monitor]

    def is_better(self, value: float, best: float | None) -> bool:
        return not math.isnan(value) and (best is None or self.sign * (value - best) > self.min_delta)


class EarlyStopping(_Watch):
    """Stops when `monitor` has not improved by `min_delta` for `patience` epochs.

    With `restore_best_weights`, the weights of the best epoch are put back at the end.
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
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best: float | None = None
        self.best_weights: list[Array] | None = None
        self.waited, self.stopped_epoch, self.best_epoch = 0, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value(logs)
        if epoch < self.start_from_epoch or value is None:
            return
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

    `filepath` may contain names in braces, such as "weights-{epoch:02d}-{val_loss:.2f}.safetensors". It is weights alone that
    are saved, also without `save_weights_only`.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath, self.verbose, self.save_best_only = os.fspath(filepath), verbose, save_best_only
        self.best: float | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only:
            value = self.value(logs)
            if value is None or not self.is_better(value, self.best):
                return
            self.best = value
        try:
            path = self.filepath.format(epoch=epoch + 1, **(logs or {}))
        except KeyError as missing:
            if self.model.validates and not any(name.startswith("val_") for name in logs or ()):
                return  # an epoch without validation
            names, received = ["epoch", *sorted(logs or {})], f"{missing} in {self.filepath!r}"
            raise ValueError(explain(f"names out of {names}", received, "Check the spelling.")) from None
        self.model.save_weights(path)
        if self.verbose:
            print(f"epoch {epoch + 1}: saved {path}")


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of each epoch to `schedule(epoch, learning_rate)`."""

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        rate = self.schedule(epoch, self.model.optimizer.learning_rate)
        if not isinstance(rate, (int, float, np.floating)):
            raise TypeError(explain("`schedule` to return a number", repr(rate), "Return the new learning rate."))
        self.model.optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"epoch {epoch + 1}: learning rate {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


class ReduceLROnPlateau(_Watch):
    """Multiplies the learning rate by `factor` when `monitor` has not improved by `min_delta` for `patience` epochs.

    It does not go below `min_lr`. After a reduction, `cooldown` - 1 epochs are not counted, as in Keras.
    """

    def __init__(
        self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0, mode: str = "auto",
        min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(monitor, mode, min_delta)
        if isinstance(factor, str) or not 0 <= factor < 1:
            raise ValueError(explain("`factor` from 0 to below 1", repr(factor), "0.1 and 0.5 are usual choices."))
        self.factor, self.patience, self.verbose, self.cooldown, self.min_lr = factor, patience, verbose, cooldown, min_lr

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
            raise TypeError(explain("callbacks to be Callback objects", type(c).__name__, "Subclass mw.callbacks.Callback."))
    return given


def tell(callbacks: Sequence[Callback], hook: str, *arguments: Any) -> None:
    """Call a method of all of them, such as `on_epoch_end`."""
    for c in callbacks:
        getattr(c, hook)(*arguments)


def overriding(callbacks: Sequence[Callback], hook: str) -> list[Callback]:
    """Those that have a method of their own for a hook: between batches, only these are worth stopping for."""
    return [c for c in callbacks if getattr(type(c), hook) is not getattr(Callback, hook) or hook in vars(c)]
