"""The loop: forward, loss, backward, update, for each batch of each epoch."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import optimizers, tree
from ..callbacks import NO_CALLBACKS, Callback, CallbackList, History, as_list
from ..data.loader import is_beyond_memory, is_loader
from ..data.samples import BATCH_SIZE, Batch, checked_batch_size, first_of
from ..errors import NonFiniteError, explain, warn
from ..kernels import door
from ..layers.watch import first_nonfinite
from ..state import enable_grad, no_grad
from ..tensor import FLOATS, Array
from .feed import Feed, Means, SamplesFeed
from .feeder import Feeder, check_counts
from .first_step import FirstStep, explained
from .objective import Objective
from .progress import Progress, checked_verbose

SECONDS_PER_CALL = 0.05  # seconds of steps at once: Ctrl-C, the progress bar and callbacks wait no longer
SAMPLE = 512  # samples of the training data by which it is diagnosed


class Trainer(Feeder):
    """What makes a layer trainable: compile, fit, evaluate, predict."""

    history: History | None = None
    stop_training = False
    validates = False  # whether the fit that runs has validation data
    _notes = Feeder._notes | {"history", "stop_training", "validates"}

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, metrics: Any = None,
        weighted_metrics: Any = None, run_eagerly: bool = False, *, eager: bool = False, gradient_accumulation_steps: int = 1,
    ) -> None:  # fmt: skip
        """Choose how to train.

        Of several outputs, losses, their weights and metrics are lists or dicts with what is for each; one loss is for all.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss or function of (y_true, y_pred); list or dict of them
            None is for outputs that are not learned.
        loss_weights : float, or list or dict of floats
            What is made small is the sum of the losses, each times its weight.
        metrics : str, Metric, function of (y_true, y_pred), or list of them; list or dict of these
        weighted_metrics : the same
            In which sample weights count.
        run_eagerly, eager : bool
            Run every step in Python, where a captured one would be replayed in C (:func:`microweights.capture`): for layers and
            losses that read values, and for looking for faults.
        gradient_accumulation_steps : int
            Compute the gradient of each batch in so many parts, one after the other: the same update in less memory.
        """
        check_counts(gradient_accumulation_steps=gradient_accumulation_steps)
        chosen, objective = optimizers.get(optimizer), Objective(loss, loss_weights, metrics, weighted_metrics)
        self.optimizer, self._objective, self.eager = chosen, objective, bool(run_eagerly or eager)
        self.gradient_accumulation_steps = int(gradient_accumulation_steps)
        self._steps.clear()
        chosen.begin(self.trainable_variables)

    # ---- fit ----------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = BATCH_SIZE,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for some epochs.

        Parameters
        ----------
        x, y : arrays (samples, ...), or lists or dicts of several
            A `np.memmap` is read where it is, batch by batch. Or `x` gives batches x, (x, y) or (x, y, sample_weight), and
            `y` is None: an iterable, a generator, a :class:`microweights.utils.Sequence`, a DataLoader of torch.
        batch_size : int or None
            Samples in each step: 1 is stochastic, n mini-batch, None full-batch gradient descent. Batches that are given are
            taken as they are.
        epochs : int
            The epoch to end with.
        verbose : "auto", 0, 1 or 2
            0 is silent, 1 a progress bar, 2 a line for each epoch; "auto" is 1 in a terminal, else 2.
        callbacks : Callback or list of Callbacks
        validation_split : float
            This part of the samples, from the end, is only evaluated.
        validation_data : (x, y) or (x, y, sample_weight), or what gives batches
        shuffle : bool
            A new order in each epoch: of samples, or of the batches that can be had by their number.
        class_weight : dict of class to weight
            For what is learned from; validation goes without.
        sample_weight : array (samples,), or list or dict with one for each output
        initial_epoch : int
            Where to go on counting.
        steps_per_epoch : int, optional
            End an epoch after so many steps; the next one goes on where it ended. Without a `batch_size`, the steps of an
            epoch share all samples. A generator that ends before is told of,
            and ends the training.
        validation_steps : int, optional
            Validate on so many batches from the start of the validation data.
        validation_batch_size : int, optional
            Samples in each of them; by default as for training.
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
        check_counts(epochs=epochs, initial_epoch=initial_epoch, validation_freq=validation_freq)
        size, mode = checked_batch_size(batch_size), checked_verbose(verbose)
        validation_size = size if validation_batch_size is None else checked_batch_size(validation_batch_size)
        if is_loader(x):
            _refuse_beside_batches(x, batch_size, y=y, sample_weight=sample_weight, validation_split=validation_split or None)
        data, held_out = self._data(x, y, sample_weight), None
        if validation_data is not None:
            held_out = self._data(*_validation(validation_data))
        elif validation_split:
            cut = first_of(len(data), validation_split)
            data, held_out = data.part(0, cut), data.part(cut, len(data))
        feed, validation = self._training_feed(data, size, steps_per_epoch, shuffle, class_weight), None
        if held_out is not None:
            validation = self._feed(held_out, validation_size, validation_steps, "test", self._samples)
        self.history = history = History()
        self.stop_training, self.validates = False, validation is not None
        known = [f.samples for f in (feed, validation) if f is not None and f.samples is not None]
        if feed.samples is not None:
            history.sample = copy.deepcopy(feed.samples.part(0, SAMPLE))  # not a view, which would keep all the data
        self._check = FirstStep(self, known if feed.samples is not None else [])
        progress = Progress(mode, epochs, initial_epoch, feed.steps)
        params = {"epochs": epochs, "steps": feed.steps, "verbose": mode}
        every = CallbackList([*as_list(callbacks), history], self, params)  # type: ignore[arg-type]
        every.call("on_train_begin")
        logs: dict[str, float] = {}
        try:
            for epoch in range(initial_epoch, epochs):
                validated = validation if (epoch + 1) % validation_freq == 0 else None
                logs = self._epoch(epoch, feed, validated, every, progress) or logs
                if not history.sample and feed.samples is not None:  # of what was loaded
                    history.sample = copy.deepcopy(feed.samples.part(0, SAMPLE))
                if self.stop_training or feed.is_at_end:
                    break
        finally:
            self._check = None
            progress.close()
        self.optimizer.finalize_variable_values(self.trainable_variables)
        every.call("on_train_end", logs=logs)
        return history

    def _epoch(
        self, epoch: int, feed: Feed, validation: Feed | None, callbacks: CallbackList, progress: Progress
    ) -> dict[str, float]:
        """One epoch with its validation; returns its logs, and none if its loss is not finite or there is no batch any more."""
        callbacks.call("on_epoch_begin", epoch)
        for metric in self.metrics:
            metric.reset_state()
        try:
            with enable_grad():
                logs = self._run("train", feed, callbacks, progress)
            self._refuse_nonfinite_weights()
        except FloatingPointError as error:
            if not callbacks.ends_at(error):
                raise
            self.stop_training = True
            return {}
        if not logs:
            return {}
        if validation is not None:
            found = self._evaluate(validation, callbacks)
            logs.update({f"val_{name}": value for name, value in found.items()})
        callbacks.call("on_epoch_end", epoch, logs=logs)
        progress.end_epoch(epoch, logs)
        return logs

    def _run(self, kind: str, feed: Feed, callbacks: CallbackList, progress: Progress | None = None) -> dict[str, float]:
        """Run all steps of an epoch, as many at once as can be replayed where no callback hears of each: loss and metrics."""
        assert self._objective is not None
        begin, end = f"on_{kind}_batch_begin", f"on_{kind}_batch_end"
        before, after = callbacks.hears(begin), callbacks.hears(end)
        means, number, is_told = Means(), 0, False
        at_once = sys.maxsize if kind == "test" and not (before or after) else 1
        for run in feed.epoch():
            step, epoch = run.step, run.epoch
            while epoch.has_next():
                if before:
                    callbacks.call(begin, number)
                start, rows, started = epoch.done, epoch.rows, time.perf_counter()
                try:
                    results = epoch.run(step, at_once)
                except NonFiniteError as error:
                    first = start + error.time * rows
                    raise explained(self, run.batch(first, first + rows)) from None
                times = len(results[0])
                most = 1 if before or after else int(SECONDS_PER_CALL * times / max(time.perf_counter() - started, 1e-9))
                number += times
                if at_once < sys.maxsize:
                    at_once = max(1, min(2 * times, most))
                batch = partial(run.batch, start, epoch.done)
                losses = self._add(results, batch)
                means.add(losses, rows)
                if kind == "test" and not is_told and not all(map(math.isfinite, losses[0])):
                    is_told = True
                    self._warn_of_nonfinite(batch())
                if after:
                    callbacks.call(end, number - 1, logs=self._objective.results(means.values()))
                if progress is not None and progress.is_due():
                    progress.step(number - 1, self._objective.results(means.values()))
                if kind == "train" and self.stop_training:
                    return self._objective.results(means.values())
        return self._objective.results(means.values()) if number else {}

    def _refuse_nonfinite_weights(self) -> None:
        for name, w in self.named_weights().items():
            if w.dtype in FLOATS and not door.all_finite(w.data):
                received = f"infinity or NaN in {name!r} after an update"
                raise FloatingPointError(explain("finite weights", received, "Lower the learning rate, or clip the gradients."))

    def _warn_of_nonfinite(self, batch: Batch) -> None:
        at = first_nonfinite(self, batch.x, batch.y) or "the loss"
        warn(f"The loss on data that is not trained on is infinity or NaN: first in {at}.")

    # ---- evaluate, predict -------------------------------------------------------------------------------------

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = BATCH_SIZE, verbose: str | int = "auto",
        sample_weight: Any = None, steps: int | None = None, callbacks: Any = None, return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """Loss and metrics on data that is not trained on. `verbose` is accepted as Keras's, and nothing is printed.

        Parameters
        ----------
        x, y, sample_weight
            As for :meth:`fit`.
        steps : int, optional
            End after so many batches; without a `batch_size`, these share all samples.

        Returns
        -------
        float, list of float, or dict
            The loss; with metrics or several outputs a list, as `metrics_names` says; with `return_dict` a dict by name.
        """
        size = checked_batch_size(batch_size)
        if is_loader(x):
            _refuse_beside_batches(x, batch_size, y=y, sample_weight=sample_weight)
        feed = self._feed(self._data(x, y, sample_weight), size, steps, "test", self._samples)
        if callbacks is None and isinstance(feed, SamplesFeed) and feed.steps == 1:
            return self._in_one_batch(feed, return_dict)
        every = NO_CALLBACKS if callbacks is None else CallbackList(callbacks, self, {})  # type: ignore[arg-type]
        logs = self._evaluate(feed, every)
        return logs if return_dict else self._in_order(logs)

    def _in_one_batch(self, feed: SamplesFeed, return_dict: bool) -> Any:
        with no_grad():
            results = feed.step(*feed.samples.columns)
        if not math.isfinite(results[0].data):
            self._warn_of_nonfinite(feed.samples.rows())
        return self._batch_logs(results, feed.samples, return_dict)

    def _evaluate(self, feed: Feed, callbacks: CallbackList) -> dict[str, float]:
        callbacks.call("on_test_begin")
        with self._metrics_apart(), no_grad():
            logs = self._run("test", feed, callbacks)
        callbacks.call("on_test_end", logs=logs)
        return logs

    def predict(
        self, x: Any, batch_size: int | None = BATCH_SIZE, verbose: str | int = "auto", steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:  # fmt: skip
        """The predictions for all samples, as an array or a nest of arrays. `verbose` is accepted as Keras's.

        `x` is as for :meth:`fit`; of batches that have more, all but the inputs is left aside. `steps` ends after so many.
        """
        size = batch_size if batch_size is BATCH_SIZE else checked_batch_size(batch_size)
        if type(x) is np.ndarray and x.dtype in FLOATS and x.ndim and 0 < len(x) <= (size or len(x)) and callbacks is None:
            return self.predict_on_batch(x)
        if is_loader(x):
            _refuse_beside_batches(x, batch_size)
        is_apart = is_loader(x) or is_beyond_memory(x, None, None, self.compute_dtype)
        data = self._data(x) if is_apart else self._inputs(x)
        feed = self._feed(data, size, steps, "predict", self._inputs)
        every = NO_CALLBACKS if callbacks is None else CallbackList(callbacks, self, {})  # type: ignore[arg-type]
        before, after = every.hears("on_predict_batch_begin"), every.hears("on_predict_batch_end")
        every.call("on_predict_begin")
        found: list[list[Array]] = []
        for run in feed.epoch():
            while run.epoch.has_next():
                if before:
                    every.call("on_predict_batch_begin", len(found))
                results = run.epoch.run(run.step, 1 if before or after else sys.maxsize)
                found.append([z.reshape(-1, *z.shape[2:]) for z in results])
                if after:
                    outputs = tree.unflatten(self._outputs, found[-1])
                    every.call("on_predict_batch_end", len(found) - 1, logs={"outputs": outputs})
        every.call("on_predict_end")
        whole = found[0] if len(found) == 1 else [np.concatenate(parts) for parts in zip(*found, strict=True)]
        return tree.unflatten(self._outputs, whole)

    def explain(self) -> str:
        """The program of a step of the last `fit`: each kernel with its shapes, time, rate and the share of its floor.

        The floor is the time that no program can beat on this machine, as far as its peaks tell, which are measured along.

        Raises
        ------
        RuntimeError
            If no step has been captured: not trained yet, too few steps, or compiled with `eager=True`.
        """
        step = self._steps.get("fit")
        found = [] if step is None else step.programs
        if not found:
            remedy = "Call fit for a few steps first, without eager=True."
            raise RuntimeError(explain("a captured step of training", "none", remedy))
        program = max(found, key=lambda p: [math.prod(shape) for shape, _ in p.inputs])
        is_by_number = len(program.inputs) == 1  # of samples; other steps are given the rows of a batch
        make = np.arange if is_by_number else np.zeros
        inputs = [make(math.prod(shape), dtype=dtype).reshape(shape) for shape, dtype in program.inputs]
        return str(program.describe(inputs))


def _validation(data: Any) -> tuple[Any, ...]:
    """What is given as `validation_data`, taken apart."""
    if is_loader(data):
        return (data,)
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        received, remedy = type(data).__name__, "Pass a tuple of arrays, or what gives batches."
        raise ValueError(explain("`validation_data` as (x, y) or (x, y, weights)", received, remedy))
    return tuple(data)


def _refuse_beside_batches(x: Any, batch_size: Any, **others: Any) -> None:
    """Raise ValueError for what cannot be given beside batches, which have it already."""
    others["batch_size"] = None if batch_size is BATCH_SIZE else batch_size
    given = [name for name, value in others.items() if value is not None]
    if given:
        received = f"{type(x).__name__} together with {' and '.join(given)}"
        remedy = "Let it give batches (x, y, sample_weight) of the size that is wanted."
        raise ValueError(explain("`x` that gives batches by itself", received, remedy))
