"""The loop: forward, loss, backward, update, for each batch of each epoch."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from .. import losses, optimizers, random
from ..autograd import grad, leaves
from ..callbacks import NO_CALLBACKS, Callback, CallbackList, History, as_list
from ..capture.captured import paused
from ..capture.step import Step
from ..data.batches import Batches, Epoch
from ..data.samples import Batch, Samples, checked_batch_size, class_weights, split_off_validation
from ..errors import NonFiniteError, explain, warn
from ..kernels import door
from ..layers import Layer
from ..layers.watch import first_nonfinite
from ..metrics import Metric, to_measure_with
from ..ops import concatenate
from ..parts import Validity, used
from ..state import enable_grad, no_grad, state
from ..tensor import FLOATS, Array, Tensor, as_array
from .progress import Progress, checked_verbose

SECONDS_PER_CALL = 0.05  # seconds of steps at once: Ctrl-C, the progress bar and callbacks wait no longer
SAMPLE = 512  # samples of the training data by which it is diagnosed


class Trainer(Layer):
    """What makes a layer trainable: compile, fit, evaluate, predict."""

    _casts = False
    optimizer: optimizers.Optimizer
    loss: losses.Loss | None = None
    metrics: Sequence[Metric] = ()
    weighted_metrics: Sequence[Metric] = ()  # those of `metrics` that sample weights count in
    history: History | None = None
    stop_training = False
    validates = False  # whether the fit that runs has validation data
    order_state: Array | None = None  # a random stream of its own for the order of samples; None: the common one
    gradient_accumulation_steps = 1
    eager = False  # whether steps run in Python instead of being captured
    _check: Callable[[Batch, Tensor], None] | None = None  # what the first step of a training is looked at by
    _notes = Layer._notes | {"history", "stop_training", "validates", "_steps", "_check", "_type"}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._steps: dict[str, Step] = {}
        self._type: tuple[Validity, np.dtype[Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_steps": {}, "_type": None, "_check": None}

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, metrics: Any = None,
        weighted_metrics: Any = None, run_eagerly: bool = False, *, eager: bool = False, gradient_accumulation_steps: int = 1,
    ) -> None:  # fmt: skip
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss or function of (y_true, y_pred)
        loss_weights : None
            Of several outputs, which a model does not have yet.
        metrics : str, Metric, function of (y_true, y_pred), or list of them
        weighted_metrics : the same
            In which sample weights count.
        run_eagerly, eager : bool
            Run every step in Python, where a captured one would be replayed in C (:func:`microweights.capture`): for layers and
            losses that read values, and for looking for faults.
        gradient_accumulation_steps : int
            Compute the gradient of each batch in so many parts, one after the other: the same update in less memory.
        """
        _check_counts(gradient_accumulation_steps=gradient_accumulation_steps)
        if loss_weights is not None:
            remedy = "Metrics are passed by name: metrics=[...]."
            raise ValueError(explain("no `loss_weights`, as there is one output", repr(loss_weights), remedy))
        chosen = optimizers.get(optimizer)
        chosen_loss = None if loss is None else losses.to_train_with(loss)
        plain, weighted = (
            list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]
            for given in (metrics, weighted_metrics)
        )
        chosen_metrics = tuple(to_measure_with([*plain, *weighted], chosen_loss))
        self.optimizer, self.loss, self.eager = chosen, chosen_loss, bool(run_eagerly or eager)
        self.metrics, self.weighted_metrics = chosen_metrics, chosen_metrics[len(plain) :]
        self.gradient_accumulation_steps = int(gradient_accumulation_steps)
        self._steps.clear()
        chosen.begin(self.trainable_variables)

    @property
    def run_eagerly(self) -> bool:
        """Whether steps run in Python instead of being replayed; may be set at any time."""
        return self.eager

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self.eager = bool(value)
        self._steps.clear()

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
            check, self._check = self._check, None
            if check is not None:
                with paused(), no_grad():
                    check(part, y_pred)
            loss = self._loss_of(part, y_pred, len(part.x) / rows)
            if check is not None:
                self._warn_of_untrained(loss)
            door.must_be_finite(loss.data)  # or else the weights are not touched
            if loss.requires_grad:
                gradients = grad(loss, self.trainable_variables)
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
        with no_grad():
            y_pred = self(batch.x, training=False)
            return self._loss_of(batch, y_pred), y_pred

    def _loss_of(self, batch: Batch, y_pred: Tensor, share: float = 1.0) -> Tensor:
        """Loss and penalties; of a part of a batch its share, so that the parts sum to what the batch has."""
        assert self.loss is not None
        loss, penalty = self.loss(batch.y, y_pred, batch.weights), self.penalty()
        if share < 1:
            loss = loss if self.loss.reduction == "sum" else loss * share
            penalty = None if penalty is None else penalty * share
        return loss if penalty is None else loss + penalty

    def _measured(self, step: Callable[[Batch], tuple[Tensor, Tensor]], batch: Batch) -> list[Tensor]:
        """The loss of a step, what the batch adds to each metric, and the predictions if a metric asks for them."""
        used(self)
        loss, y_pred = step(batch)
        parts = self._parts(batch, y_pred)
        return [loss, *parts] + [y_pred] * (len(parts) < len(self.metrics))

    def _parts(self, batch: Batch, y_pred: Tensor) -> list[Tensor]:
        measured = [m for m in self.metrics if m.has_part]
        used(*measured)
        weights = [batch.weights if any(m is w for w in self.weighted_metrics) else None for m in measured]
        assert batch.y is not None or not measured
        return [m.part(batch.y, y_pred, w) for m, w in zip(measured, weights, strict=True)]  # type: ignore[arg-type]

    def _add(self, results: Sequence[Array], samples: Samples, index: Array | None = None) -> list[float]:
        """Give the metrics their parts of the results, whose first axis counts steps; returns the losses."""
        of_steps, *parts = results
        for metric in self.metrics:
            if metric.has_part:
                metric.add(parts.pop(0))
            else:
                rows, y_pred = samples.rows(index), parts[-1]
                weights = rows.weights if any(metric is w for w in self.weighted_metrics) else None
                metric.update_state(rows.y, Tensor(y_pred.reshape(-1, *y_pred.shape[2:])), weights)
        return of_steps.tolist()  # type: ignore[no-any-return]

    def _step(self, name: str, fn: Callable[..., Any]) -> Step:
        """The step of this name; `fn` is what it does."""
        found = self._steps.get(name)
        if found is None:
            found = self._steps[name] = Step(fn, self._roots, self.eager)
        return found

    def _roots(self) -> list[Any]:
        """All parts, of which some may be the user's."""
        parts = self.loss, *(m for m in self.metrics if m.has_part), vars(self).get("optimizer")
        layers = [layer for _, layer in self.walk()]
        return [*layers, *(regularizer for layer in layers for regularizer, _ in layer._penalties), *parts]

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """One training step on one batch.

        Returns
        -------
        float, list of float, or dict
            The loss of this batch; with metrics a list of the loss and of theirs; with `return_dict` a dict by name.
        """
        samples = self._samples(x, y, sample_weight)
        if class_weight is not None:
            samples.weights = class_weights(samples.y, class_weight, samples.weights, self.compute_dtype)
        step = self._step("train", lambda *tensors: self._measured(self.train_step, Batch(*tensors)))
        if step.is_new:
            self._check = self._checked_by(samples, None)
        try:
            with nullcontext() if state.recording else enable_grad():
                results = step(*samples.arrays())
        except NonFiniteError as error:
            raise self._explained(error, samples) from None
        finally:
            if self._check is not None:
                self._check = None
        return self._batch_logs(results, samples, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch, in the form of :meth:`train_on_batch`; nothing is trained."""
        samples = self._samples(x, y, sample_weight)
        return self._batch_logs(self._test_step()(*samples.arrays()), samples, return_dict)

    def _test_step(self) -> Step:
        return self._step("test", lambda *tensors: self._measured(self.test_step, Batch(*tensors)))

    def _batch_logs(self, results: Sequence[Tensor], samples: Samples, return_dict: bool) -> Any:
        if not self.metrics:
            loss = float(results[0].data)
            return {"loss": loss} if return_dict else loss
        with self._metrics_apart():
            logs = self._logs(self._add([t.data[None] for t in results], samples)[0])
        return logs if return_dict else list(logs.values())

    def predict_on_batch(self, x: Any) -> Array:
        """The predictions for one batch, as an array."""
        z: Tensor = self._step("predict", self._infer)(x if type(x) is np.ndarray else Tensor(as_array(x)))
        return z.numpy()

    def _infer(self, x: Any) -> Tensor:
        with no_grad():
            z: Tensor = self(x)
        return z

    # ---- many batches ------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
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
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
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
        steps_per_epoch : int, optional
            End an epoch after so many steps; the next one goes on where it ended.
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
        _check_counts(epochs=epochs, initial_epoch=initial_epoch, validation_freq=validation_freq)
        size, mode = checked_batch_size(batch_size), checked_verbose(verbose)
        validation_size = size if validation_batch_size is None else checked_batch_size(validation_batch_size)
        samples, validation = self._prepare(x, y, sample_weight, class_weight, validation_split, validation_data)
        validation = _first_steps(validation, validation_size, validation_steps)
        self.history = history = History()
        history.sample = copy.deepcopy(samples.part(0, SAMPLE))  # not a view, which would keep all the data
        self.stop_training, self.validates = False, validation is not None
        batches = self._batches(samples, size, shuffle, steps_per_epoch)
        progress = Progress(mode, epochs, initial_epoch, batches.steps)

        def on_rows(index: Tensor | None = None) -> list[Tensor]:
            return self._measured(self.train_step, samples.rows(None if index is None else index.data))

        step = self._steps["fit"] = Step(on_rows, self._roots, self.eager)
        self._check = self._checked_by(samples, validation)
        params = {"epochs": epochs, "steps": batches.steps, "verbose": mode}
        every = CallbackList([*as_list(callbacks), history], self, params)  # type: ignore[arg-type]
        every.call("on_train_begin")
        logs: dict[str, float] = {}
        try:
            for epoch in range(initial_epoch, epochs):
                every.call("on_epoch_begin", epoch)
                try:
                    logs = self._run_epoch(step, samples, batches.epoch(), every, progress)
                except FloatingPointError as error:
                    if not every.ends_at(error):
                        raise
                    break
                if validation is not None and (epoch + 1) % validation_freq == 0:
                    found = self._evaluate(validation, validation_size, every)
                    logs.update({f"val_{name}": value for name, value in found.items()})
                every.call("on_epoch_end", epoch, logs=logs)
                progress.end_epoch(epoch, logs)
                if self.stop_training:
                    break
        finally:
            self._check = None
            progress.close()
        self.optimizer.finalize_variable_values(self.trainable_variables)
        every.call("on_train_end", logs=logs)
        return history

    def _batches(self, samples: Samples, size: int | None, shuffle: bool, steps: int | None) -> Batches:
        if steps is not None:
            _check_counts(steps_per_epoch=steps)
        return Batches(len(samples), size, (lambda n: random.permutation(n, self.order_state)) if shuffle else None, steps)

    def _run_epoch(
        self, step: Step, samples: Samples, epoch: Epoch, callbacks: CallbackList, progress: Progress
    ) -> dict[str, float]:
        before, after = callbacks.hears("on_train_batch_begin"), callbacks.hears("on_train_batch_end")
        for metric in self.metrics:
            metric.reset_state()
        total, at_once = 0.0, 1
        while epoch.has_next():
            if before:
                callbacks.call("on_train_batch_begin", epoch.number)
            rows, next_ones, started = epoch.rows, epoch.next(epoch.times(at_once)), time.perf_counter()
            index = next_ones[0] if next_ones else None
            try:
                with enable_grad():
                    results = epoch.run(step, at_once)
            except NonFiniteError as error:
                raise self._explained(error, samples, index, rows) from None
            times = len(results[0])
            most = 1 if before or after else int(SECONDS_PER_CALL * times / max(time.perf_counter() - started, 1e-9))
            at_once = max(1, min(2 * times, most))
            found = self._add(results, samples, None if index is None else index[: times * rows])
            total = sum((loss * rows for loss in found), total)
            if after:
                callbacks.call("on_train_batch_end", epoch.number - 1, logs=self._logs(total / epoch.done))
            if progress.is_due():
                progress.step(epoch.number - 1, self._logs(total / epoch.done))
            if self.stop_training:
                break
        for name, w in self.named_weights().items():
            if w.dtype in FLOATS and not door.all_finite(w.data):
                received = f"infinity or NaN in {name!r} after an update"
                raise FloatingPointError(explain("finite weights", received, "Lower the learning rate, or clip the gradients."))
        return self._logs(total / epoch.done)

    def _logs(self, loss: float) -> dict[str, float]:
        return {"loss": loss, **{m.name: float(m.result()) for m in self.metrics}}

    @contextmanager
    def _metrics_apart(self) -> Iterator[None]:
        """Within this context the metrics begin anew; afterwards they go on where they were, such as in an epoch."""
        kept = [(m, {name: copy.deepcopy(vars(m)[name]) for name in m.running}) for m in self.metrics]
        for metric in self.metrics:
            metric.reset_state()
        try:
            yield
        finally:
            for metric, state in kept:
                vars(metric).update(state)

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = 32, verbose: str | int = "auto",
        sample_weight: Any = None, steps: int | None = None, callbacks: Any = None, return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """Loss and metrics on data that is not trained on. `verbose` is accepted as Keras's, and nothing is printed.

        `steps` ends after so many batches.

        Returns
        -------
        float, list of float, or dict
            The loss; with metrics a list of loss and metrics; with `return_dict` a dict by name.
        """
        size = checked_batch_size(batch_size)
        samples = _first_steps(self._samples(x, y, sample_weight), size, steps)
        assert samples is not None
        every = NO_CALLBACKS if callbacks is None else CallbackList(callbacks, self, {})  # type: ignore[arg-type]
        results = self._evaluate(samples, size, every)
        if return_dict:
            return results
        values = list(results.values())
        return values[0] if len(values) == 1 else values

    def _evaluate(self, samples: Samples, size: int | None, callbacks: CallbackList) -> dict[str, float]:
        step, total, bad = self._test_step(), 0.0, None
        before, after = callbacks.hears("on_test_batch_begin"), callbacks.hears("on_test_batch_end")
        callbacks.call("on_test_begin")
        with self._metrics_apart(), no_grad():
            epoch = Epoch(samples.arrays(), len(samples), size or len(samples))
            while epoch.has_next():
                if before:
                    callbacks.call("on_test_batch_begin", epoch.number)
                rows, start = epoch.rows, epoch.done
                results = epoch.run(step, 1 if before or after else epoch.times(sys.maxsize))
                part = samples.part(start, epoch.done)
                found = self._add(results, part)
                total += sum(loss * rows for loss in found)
                bad = part if bad is None and not all(map(math.isfinite, found)) else bad
                if after:
                    callbacks.call("on_test_batch_end", epoch.number - 1, logs=self._logs(total / epoch.done))
            logs = self._logs(total / len(samples))
        callbacks.call("on_test_end", logs=logs)
        if bad is not None:
            batch = bad.rows()
            at = first_nonfinite(self, batch.x, batch.y) or "the loss"
            warn(f"The loss on data that is not trained on is {logs['loss']}: first in {at}.")
        return logs

    def predict(
        self, x: Any, batch_size: int | None = 32, verbose: str | int = "auto", steps: int | None = None, callbacks: Any = None
    ) -> Array:
        """The predictions for all samples, as an array. `verbose` is accepted as Keras's, and nothing is printed.

        `steps` ends after so many batches.
        """
        size = batch_size if type(batch_size) is int and batch_size > 0 else checked_batch_size(batch_size)
        if type(x) is np.ndarray and x.dtype in FLOATS and x.ndim and 0 < len(x) <= (size or len(x)) and callbacks is None:
            return self.predict_on_batch(x)
        samples = _first_steps(Samples(x, dtype=self.compute_dtype), size, steps)
        assert samples is not None
        every = NO_CALLBACKS if callbacks is None else CallbackList(callbacks, self, {})  # type: ignore[arg-type]
        before, after = every.hears("on_predict_batch_begin"), every.hears("on_predict_batch_end")
        every.call("on_predict_begin")
        step, found = self._step("predict", self._infer), list[Array]()
        epoch = Epoch(samples.arrays(), len(samples), size or len(samples))
        while epoch.has_next():
            if before:
                every.call("on_predict_batch_begin", len(found))
            z = epoch.run(step, 1 if before or after else epoch.times(sys.maxsize))[0]
            found.append(z.reshape(-1, *z.shape[2:]))
            if after:
                every.call("on_predict_batch_end", len(found) - 1, logs={"outputs": found[-1]})  # type: ignore[dict-item]
        every.call("on_predict_end")
        return found[0] if len(found) == 1 else np.concatenate(found)

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
        inputs = [np.arange(math.prod(shape), dtype=dtype).reshape(shape) for shape, dtype in program.inputs]
        return str(program.describe(inputs))

    # ---- what goes before --------------------------------------------------------------------------------------

    @property
    def compute_dtype(self) -> np.dtype[Any]:
        """The type of the first layer that has weights."""
        if self._type is not None and not self._type[0].stale:
            return self._type[1]
        for w in self.weights:
            if w.dtype not in FLOATS:
                continue
            validity = Validity()
            validity.rests_on(layer for _, layer in self.walk())
            self._type = validity, w.dtype
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
            samples.weights = class_weights(samples.y, class_weight, samples.weights, self.compute_dtype)
        return samples, validation

    def _checked_by(self, samples: Samples, validation: Samples | None) -> Callable[[Batch, Tensor], None]:
        """A look at the first step, before it changes a weight: all labels, the metrics, and what is going to be trained."""
        given = [s for s in (samples, validation) if s is not None]

        def check(batch: Batch, y_pred: Tensor) -> None:
            assert self.loss is not None
            for s in given:
                self.loss.check(s.y, y_pred)
            if validation is not None:
                for mine, theirs in zip(validation.arrays(), samples.arrays()):
                    if mine.shape[1:][-1:] != theirs.shape[1:][-1:] or mine.ndim != theirs.ndim:
                        received = f"shape {mine.shape} beside {theirs.shape}"
                        raise ValueError(explain("validation data like the training's", received, "Check the data."))
            with self._metrics_apart():
                for metric in self.metrics:
                    metric.update_state(batch.y, y_pred)

        return check

    def _warn_of_untrained(self, loss: Tensor) -> None:
        """Tell once if a training leaves weights as they are, which nobody wants without knowing it."""
        weights = self.named_weights()
        trained = {name: w for name, w in weights.items() if w.requires_grad}
        reached = {id(leaf): leaf for leaf in leaves(loss)}
        strangers = len(reached.keys() - {id(w) for w in weights.values()})
        idle = [name for name, w in trained.items() if id(w) not in reached]
        if strangers:
            received = f"The loss depends on {strangers} tensors that require gradients and are no weights of the model"
            remedy = "Set them as attributes of a layer, and layers as attributes, in lists or in dicts."
            warn(f"{received}, and are not trained. {remedy}")
        if not trained:
            warn("The model has no weights to train: it has none, or all are frozen.")
        elif len(idle) == len(trained):
            remedy = "Comparisons, rounding, argmax, detach() and NumPy have no gradient."
            warn(f"The loss depends on no weight of the model, so that nothing is trained. {remedy}")
        elif idle:
            warn(f"The loss does not depend on the weights {idle}, which are not trained.")

    def _explained(
        self, error: NonFiniteError, samples: Samples, index: Array | None = None, rows: int = 0
    ) -> FloatingPointError:
        """The error for a loss that is not finite: where in its batch the first number is that is not."""
        start = error.time * rows
        batch = samples.rows(None if index is None else index[start : start + rows])
        where = first_nonfinite(self, batch.x, batch.y) or "the loss"
        remedy = "Check the data for NaN, scale the inputs, or lower the learning rate. The weights were not updated."
        return FloatingPointError(explain("a finite loss", f"infinity or NaN, first in {where}", remedy))


def _first_steps(samples: Samples | None, size: int | None, steps: int | None) -> Samples | None:
    """The samples of so many batches from the start, or all."""
    if steps is None or samples is None:
        return samples
    _check_counts(steps=steps)
    return samples.part(0, min(int(steps) * (size or len(samples)), len(samples)))


def _check_counts(**counts: Any) -> None:
    for name, n in counts.items():
        least = 0 if name == "initial_epoch" else 1
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least:
            raise ValueError(explain(f"`{name}` to be an integer not below {least}", repr(n), "Give such a number."))
