"""The loop: forward, loss, backward, update, for each batch of each epoch."""

from __future__ import annotations

import copy
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import graph, losses, optimizers
from .callbacks import Callback, History, as_list
from .capture import Captured
from .data import Batch, Samples, checked_batch_size, class_weights, split_off_validation
from .diagnosis import first_nonfinite
from .errors import NonFiniteError, explain
from .kernels import door
from .layers import Layer
from .layers.base import holds_still
from .metrics import Metric, with_names_of_their_own
from .metrics import get as get_metric
from .ops import concatenate
from .tensor import FLOATS, Array, Tensor, as_array

SECONDS_PER_CALL = 0.05  # seconds of steps at once: Ctrl-C, the progress bar and callbacks wait no longer
SAMPLE = 512  # samples of the training data by which it is diagnosed


class Trainer(Layer):
    """What makes a layer trainable: compile, fit, evaluate, predict."""

    _casts = False
    optimizer: optimizers.Optimizer
    loss: losses.Loss | None = None
    metrics: Sequence[Metric] = ()
    history: History | None = None
    stop_training = False
    validates = False  # whether the fit that runs has validation data
    order_state: Array | None = None  # a random stream of its own for the order of samples; None: the common one
    gradient_accumulation_steps = 1
    eager = False  # whether steps run in Python instead of being captured
    _notes = Layer._notes | {"history", "stop_training", "validates", "_captured", "_known"}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._captured: dict[str, Callable[..., Any]] = {}
        self._known: tuple[int, list[tuple[Any, list[Any]]]] = (-1, [])  # lists with their contents, as of which layout

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_captured": {}, "_known": (-1, [])}

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, eager: bool = False,
        gradient_accumulation_steps: int = 1,
    ) -> None:  # fmt: skip
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss or function of (y_true, y_pred)
        metrics : str, Metric or list of them
        eager : bool
            Run every step in Python, where a captured one would be replayed in C (:func:`microweights.capture`): for layers and
            losses that read values, and for looking for faults.
        gradient_accumulation_steps : int
            Compute the gradient of each batch in so many parts, one after the other: the same update in less memory.
        """
        _check_counts(gradient_accumulation_steps=gradient_accumulation_steps)
        chosen = optimizers.get(optimizer)
        chosen_loss = None if loss is None else losses.get(loss)
        given = [metrics] if isinstance(metrics, (str, Metric)) else metrics or ()
        chosen_metrics = with_names_of_their_own([get_metric(m) for m in given])
        self.optimizer, self.loss, self.metrics, self.eager = chosen, chosen_loss, chosen_metrics, bool(eager)
        self.gradient_accumulation_steps = int(gradient_accumulation_steps)
        self._captured.clear()

    # ---- one batch ---------------------------------------------------------------------------------------------

    def train_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Forward, loss, backward, update: the loss before the update, and the predictions."""
        rows = len(batch.x)
        size = -(-rows // self.gradient_accumulation_steps)
        losses, predictions = [], []
        total: list[Tensor] = []
        for begin in range(0, rows, size):
            part = batch if size == rows else batch.part(begin, begin + size)
            y_pred = self(part.x, training=True)
            loss = self._loss_of(part, y_pred)
            if size < rows:
                loss = loss * (len(part.x) / rows)
            door.must_be_finite(loss.data)  # or else the weights are not touched
            if loss.requires_grad:
                gradients = graph.grad(loss, self.trainable_variables)
                total = [a + g for a, g in zip(total, gradients, strict=True)] if total else gradients
            losses.append(loss.detach())
            predictions.append(y_pred.detach())
        if total:
            self.optimizer.apply(total, self.trainable_variables)
        if len(losses) == 1:
            return losses[0], predictions[0]
        return sum(losses[1:], losses[0]), concatenate(predictions)

    def test_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Forward and loss: the loss, and the predictions."""
        with graph.no_grad():
            y_pred = self(batch.x, training=False)
            return self._loss_of(batch, y_pred), y_pred

    def _loss_of(self, batch: Batch, y_pred: Tensor) -> Tensor:
        assert self.loss is not None
        loss = self.loss(batch.y, y_pred, batch.weights)
        penalty = self.penalty()
        return loss if penalty is None else loss + penalty

    def _measured(self, step: Callable[[Batch], tuple[Tensor, Tensor]], batch: Batch) -> list[Tensor]:
        """The loss of a step, what the batch adds to each metric, and the predictions if a metric asks for them."""
        loss, y_pred = step(batch)
        assert batch.y is not None
        parts = [m.part(batch.y, y_pred) for m in self.metrics if m.has_part]
        return [loss, *parts] + [y_pred] * (len(parts) < len(self.metrics))

    def _add(self, results: Sequence[Array], samples: Samples, index: Array | None = None) -> list[float]:
        """Give the metrics their parts of the results, whose first axis counts steps; returns the losses."""
        of_steps, *parts = results
        for metric in self.metrics:
            if metric.has_part:
                metric.add(parts.pop(0))
            else:
                y, y_pred = samples.rows(index).y, parts[-1]
                metric.update_state(y, Tensor(y_pred.reshape(-1, *y_pred.shape[2:])))
        return [float(loss) for loss in of_steps]

    def _replayed(self, name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """`fn` captured, by its name; itself if the model is compiled to run eagerly."""
        layout, contents = self._known
        if layout != graph.Layout.changes:  # captured functions see that by themselves
            self._known = graph.Layout.changes, self.contents()
        elif contents and not all(map(holds_still, contents)):
            self._captured.clear()
            self._known = layout, self.contents()
        found = self._captured.get(name)
        if found is None:
            found = self._captured[name] = fn if self.eager else Captured(fn)
        return found

    def train_on_batch(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """One training step on one batch; returns its loss."""
        samples = self._samples(x, y, sample_weight)
        step = self._replayed("train", lambda *tensors: self.train_step(Batch(*tensors))[0])
        with graph.gradients(), self._explaining(samples):
            return float(step(*(t for t in samples.rows() if t is not None)).item())

    def predict_on_batch(self, x: Any) -> Array:
        """The predictions for one batch, as an array."""
        z: Tensor = self._replayed("predict", self._infer)(x if type(x) is np.ndarray else Tensor(as_array(x)))
        return z.numpy()

    def _infer(self, x: Any) -> Tensor:
        with graph.no_grad():
            z: Tensor = self(x)
        return z

    # ---- many batches ------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int | None = 32,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, ...] | None = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        validation_freq: int = 1,
    ) -> History:
        """Train for some epochs.

        Parameters
        ----------
        x, y : arrays (samples, ...)
        batch_size : int or None
            Samples in each step: 1 is stochastic, n mini-batch, None full-batch gradient descent.
        epochs : int
            The epoch to end with.
        verbose : "auto", 0, 1 or 2
            0 is silent, 1 a progress bar, 2 a line for each epoch; "auto" is 1 in a terminal, else 2.
        callbacks : Callback or list of Callbacks
        validation_split : float
            This part of the samples, from the end, is only evaluated.
        validation_data : (x, y) or (x, y, sample_weight)
        shuffle : bool
            A new order in each epoch.
        class_weight : dict of class to weight
            For what is learned from; validation goes without.
        sample_weight : array (samples,)
        initial_epoch : int
            Where to go on counting.
        validation_freq : int
            Validate every so many epochs.

        Returns
        -------
        History
            `history.history["loss"]` and so on, a value for each epoch.

        Raises
        ------
        ValueError
            If shapes or numbers do not fit.
        FloatingPointError
            If the loss becomes infinite or NaN, where the message names the first layer where that happens, or a weight does.
        """
        _check_counts(epochs=epochs, initial_epoch=initial_epoch, validation_freq=validation_freq)
        size, mode = checked_batch_size(batch_size), checked_verbose(verbose)
        samples, validation = self._prepare(x, y, sample_weight, class_weight, validation_split, validation_data)
        self._try_out(samples, validation)
        self.history = history = History()
        history.sample = copy.deepcopy(samples.part(0, SAMPLE))  # not a view, which would keep all the data
        every = [*as_list(callbacks), history]
        self.stop_training, self.validates = False, validation is not None
        for c in every:
            c.set_model(self)  # type: ignore[arg-type]
            c.on_train_begin()
        steps = -(-len(samples) // (size or len(samples)))
        progress = _Progress(mode, epochs, initial_epoch, steps)

        def on_rows(index: Tensor | None = None) -> list[Tensor]:
            return self._measured(self.train_step, samples.rows(None if index is None else index.data))

        step: Callable[..., Any] = on_rows if self.eager else Captured(on_rows)
        self._captured["fit"] = step
        try:
            for epoch in range(initial_epoch, epochs):
                for c in every:
                    c.on_epoch_begin(epoch)
                logs = self._run_epoch(step, samples, size, shuffle, every, progress)
                if validation is not None and (epoch + 1) % validation_freq == 0:
                    for c in every:
                        c.on_test_begin()
                    logs.update({f"val_{name}": value for name, value in self._evaluate(validation, size).items()})
                    for c in every:
                        c.on_test_end(logs)
                for c in every:
                    c.on_epoch_end(epoch, logs)
                progress.end_epoch(epoch, logs)
                if self.stop_training:
                    break
        finally:
            progress.close()
        self.optimizer.finalize_variable_values(self.trainable_variables)
        for c in every:
            c.on_train_end()
        return history

    def _run_epoch(
        self,
        step: Callable[..., Any],
        samples: Samples,
        size: int | None,
        shuffle: bool,
        callbacks: Sequence[Callback],
        progress: _Progress,
    ) -> dict[str, float]:
        before = [c for c in callbacks if type(c).on_train_batch_begin is not Callback.on_train_batch_begin]
        after = [c for c in callbacks if type(c).on_train_batch_end is not Callback.on_train_batch_end]
        for metric in self.metrics:
            metric.reset_state()
        order, n = samples.order(size, shuffle, self.order_state), len(samples)
        size = n if order is None else size or n
        total, done, number, at_once = 0.0, 0, 0, 1
        while done < n:
            for c in before:
                c.on_train_batch_begin(number)
            rows = min(size, n - done)
            times = 1 if before or after else max(1, min(at_once, (n - done) // size))
            index = None if order is None else order[done : done + times * rows]
            started = time.perf_counter()
            with graph.gradients(), self._explaining(samples, index, rows):
                results, times = self._run(step, index, rows, times)
            at_once = max(1, min(2 * times, int(SECONDS_PER_CALL * times / max(time.perf_counter() - started, 1e-9))))
            found = self._add(results, samples, None if index is None else index[: times * rows])
            total = sum((loss * rows for loss in found), total)
            done, number = done + times * rows, number + times
            for c in after:
                c.on_train_batch_end(number - 1, self._logs(total / done))
            if progress.is_due():
                progress.step(number - 1, self._logs(total / done))
            if self.stop_training:
                break
        for name, w in self.named_weights().items():
            if not door.all_finite(w.data):
                received = f"infinity or NaN in {name!r} after an update"
                raise FloatingPointError(explain("finite weights", received, "Lower the learning rate, or clip the gradients."))
        return self._logs(total / done)

    @staticmethod
    def _run(step: Callable[..., Any], index: Array | None, rows: int, times: int) -> tuple[Sequence[Array], int]:
        """One step, or as many as `times` where they can be replayed: the results of each, and how many."""
        arguments = () if index is None else (Tensor(index[:rows]),)
        replay = step.replay_for(*arguments) if isinstance(step, Captured) and times > 1 else None
        if replay is None:
            return [t.numpy()[None] for t in step(*arguments)], 1
        assert index is not None
        return replay.many([index], times), times

    def _logs(self, loss: float) -> dict[str, float]:
        return {"loss": loss, **{m.name: m.result() for m in self.metrics}}

    def evaluate(
        self, x: Any, y: Any, batch_size: int | None = 32, verbose: str | int = "auto", sample_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """Loss and metrics on data that is not trained on. `verbose` is accepted as Keras's, and nothing is printed.

        Returns
        -------
        float, list of float, or dict
            The loss; with metrics a list of loss and metrics; with `return_dict` a dict by name.
        """
        results = self._evaluate(self._samples(x, y, sample_weight), checked_batch_size(batch_size))
        if return_dict:
            return results
        values = list(results.values())
        return values[0] if len(values) == 1 else values

    def _evaluate(self, samples: Samples, size: int | None) -> dict[str, float]:
        for metric in self.metrics:
            metric.reset_state()
        step = self._replayed("test", lambda *tensors: self._measured(self.test_step, Batch(*tensors)))
        total, bad = 0.0, None
        with graph.no_grad():
            for part in samples.parts(size):
                results = step(*(t for t in part.rows() if t is not None))
                loss = self._add([t.numpy()[None] for t in results], part)[0]
                total += loss * len(part)
                bad = part if bad is None and not math.isfinite(loss) else bad
        logs = self._logs(total / len(samples))
        if bad is not None:
            at = first_nonfinite(self, bad.rows()) or "the loss"  # type: ignore[arg-type]
            warnings.warn(f"The loss on data that is not trained on is {logs['loss']}: first in {at}.", stacklevel=3)
        return logs

    def predict(self, x: Any, batch_size: int | None = 32, verbose: str | int = "auto") -> Array:
        """The predictions for all samples, as an array. `verbose` is accepted as Keras's, and nothing is printed."""
        size = batch_size if type(batch_size) is int and batch_size > 0 else checked_batch_size(batch_size)
        if type(x) is np.ndarray and x.dtype in FLOATS and x.ndim and 0 < len(x) <= (size or len(x)):
            return self.predict_on_batch(x)
        samples = Samples(x, dtype=self.compute_dtype)
        return np.concatenate([self.predict_on_batch(part.x) for part in samples.parts(size)])

    def explain(self) -> str:
        """The program of a step of the last `fit`: each kernel with its shapes, time, rate and the share of its floor.

        The floor is the time that no program can beat on this machine, as far as its peaks tell, which are measured along.

        Raises
        ------
        RuntimeError
            If no step has been captured: not trained yet, too few steps, or compiled with `eager=True`.
        """
        captured = self._captured.get("fit")
        found = captured.programs if isinstance(captured, Captured) else []
        if not found:
            remedy = "Call fit for a few steps first, without eager=True."
            raise RuntimeError(explain("a captured step of training", "none", remedy))
        program = max(found, key=lambda p: [math.prod(shape) for shape, _ in p.inputs])
        return program.describe([np.arange(math.prod(shape), dtype=dtype).reshape(shape) for shape, dtype in program.inputs])

    # ---- what goes before --------------------------------------------------------------------------------------

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """The type of the first layer that has weights."""
        for w in self.weights:
            return w.dtype
        for _, layer in self.walk():
            if layer is not self:
                return layer.dtype
        return self.dtype

    def _samples(self, x: Any, y: Any, weights: Any) -> Samples:
        if self.loss is None:
            raise RuntimeError(explain("a compiled model with a loss", "none", "Call compile(optimizer, loss) first."))
        if y is None:
            raise ValueError(explain("targets `y`", None, "Pass the targets."))
        return Samples(x, y, weights, self.loss, self.compute_dtype)

    def _prepare(
        self, x: Any, y: Any, sample_weight: Any, class_weight: dict[int, float] | None, split: float, validation_data: Any
    ) -> tuple[Samples, Samples | None]:
        samples = self._samples(x, y, sample_weight)
        validation = None
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
                remedy = "Pass a tuple of arrays."
                raise ValueError(
                    explain("`validation_data` as (x, y) or (x, y, weights)", type(validation_data).__name__, remedy)
                )
            validation = self._samples(*validation_data, *[None] * (3 - len(validation_data)))
        elif split:
            samples, validation = split_off_validation(samples, split)
        if class_weight is not None:  # of what is learned from
            samples.weights = class_weights(samples.y, class_weight, samples.weights, samples.x.dtype)
        return samples, validation

    def _try_out(self, samples: Samples, validation: Samples | None) -> None:
        """Look at one sample of each kind and at all labels, so that what does not fit is said before anything changes."""
        assert self.loss is not None
        for given in (samples, validation):
            if given is not None:
                with graph.no_grad():
                    batch = given.part(0, 1).rows()
                    y_pred = self(batch.x)
                    self.loss.check(given.y, y_pred)
                    self._loss_of(batch, y_pred)
                    for metric in self.metrics:
                        metric.reset_state()
                        metric.update_state(batch.y, y_pred)

    @contextmanager
    def _explaining(self, samples: Samples, index: Array | None = None, rows: int = 0) -> Iterator[None]:
        """If a loss is not finite, look in its batch for the first number that is not, and say where it is."""
        try:
            yield
        except NonFiniteError as error:
            start = error.time * rows
            batch = samples.rows(None if index is None else index[start : start + rows])
            where = first_nonfinite(self, batch) or "the loss"  # type: ignore[arg-type]
            remedy = "Check the data for NaN, scale the inputs, or lower the learning rate. The weights were not updated."
            raise FloatingPointError(explain("a finite loss", f"infinity or NaN, first in {where}", remedy)) from None


class _Progress:
    """The progress of a fit: a bar, a line for each epoch, or nothing."""

    INTERVAL = 0.1  # seconds between two looks at the bar

    def __init__(self, mode: int, epochs: int, initial_epoch: int, steps: int) -> None:
        self.epochs, self.epoch, self.steps, self.lines = epochs, initial_epoch, steps, mode == 2
        self.bar: Any = None
        self.last = ""
        if mode == 1:
            from tqdm import tqdm

            form = "{desc} {percentage:3.0f}%|{bar:10}| {elapsed}<{remaining} {postfix}"
            first = f"epoch {initial_epoch + 1}/{epochs}"
            self.bar = tqdm(total=(epochs - initial_epoch) * steps, desc=first, bar_format=form, leave=False)
        self.first, self.started = initial_epoch, time.perf_counter()
        self.next_look = self.started if mode == 1 else float("inf")

    def is_due(self) -> bool:
        return time.perf_counter() >= self.next_look

    def step(self, number: int, logs: dict[str, float]) -> None:
        self.next_look = time.perf_counter() + self.INTERVAL
        self._show(self.epoch - self.first, number + 1, logs)

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        self.last = f"epoch {epoch + 1}/{self.epochs}  {time.perf_counter() - self.started:.2f} s  {_as_text(logs)}"
        if self.bar is not None and self.is_due():
            self._show(epoch - self.first, self.steps, logs)
        if self.lines:
            print(self.last, flush=True)
            self.started = time.perf_counter()
        self.epoch = epoch + 1

    def _show(self, epochs_done: int, steps_done: int, logs: dict[str, float]) -> None:
        self.bar.set_description(f"epoch {self.first + epochs_done + 1}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(_as_text(logs), refresh=False)
        self.bar.update(epochs_done * self.steps + steps_done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            print(self.last, flush=True)  # what the bar showed last, and in full


def _as_text(logs: dict[str, float]) -> str:
    return "  ".join(f"{name}: {value:.4g}" for name, value in logs.items())


def checked_verbose(verbose: Any) -> int:
    """0, 1 or 2; "auto" is 1 in a terminal, else 2."""
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(explain("`verbose` to be 'auto', 0, 1 or 2", repr(verbose), "0 is silent."))
    return (1 if sys.stderr.isatty() else 2) if verbose == "auto" else int(verbose)


def _check_counts(**counts: Any) -> None:
    for name, n in counts.items():
        least = 0 if name == "initial_epoch" else 1
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least:
            raise ValueError(explain(f"`{name}` to be an integer not below {least}", repr(n), "Give such a number."))
