"""One batch: forward, loss, backward, update; captured, and replayed in C."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from .. import optimizers, tree
from ..autograd import grad
from ..capture.captured import paused
from ..capture.step import Step
from ..data.samples import FLAT, SINGLE, Batch, Form, Samples
from ..errors import NonFiniteError, explain
from ..kernels import door
from ..layers import Layer
from ..losses import Loss
from ..metrics import Metric
from ..ops import concatenate
from ..parts import Validity, used
from ..state import enable_grad, no_grad, state
from ..tensor import FLOATS, Array, Tensor, as_array
from .first_step import FirstStep, explained
from .objective import Objective


class Stepper(Layer):
    """A layer with an optimizer and an objective: its steps on one batch."""

    _casts = False
    optimizer: optimizers.Optimizer
    gradient_accumulation_steps = 1
    eager = False  # whether steps run in Python instead of being captured
    output_names: Sequence[str] | None = None  # of several outputs, where these are not a dict
    _objective: Objective | None = None
    _check: FirstStep | None = None  # what the first step of a training is looked at by
    _outputs: tree.Structure | None = None  # the structure of the predictions that came last
    _notes = Layer._notes | {"_steps", "_check", "_type", "_outputs"}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._steps: dict[Any, Step] = {}
        self._type: tuple[Validity, np.dtype[Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_steps": {}, "_type": None, "_check": None}

    @property
    def loss(self) -> Any:
        """What :meth:`compile` was given, as a Loss or a nest of Losses; None before."""
        return None if self._objective is None else self._objective.loss

    @property
    def metrics(self) -> Sequence[Metric]:
        """The metrics, output by output."""
        return () if self._objective is None else self._objective.metrics

    @property
    def weighted_metrics(self) -> Sequence[Metric]:
        """Those of them in which sample weights count."""
        return () if self._objective is None else self._objective.weighted_metrics

    @property
    def metrics_names(self) -> list[str]:
        """The names of what :meth:`evaluate` returns, in its order."""
        return ["loss"] if self._objective is None else list(self._objective.in_order)

    @property
    def run_eagerly(self) -> bool:
        """Whether steps run in Python instead of being replayed; may be set at any time."""
        return self.eager

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self.eager = bool(value)
        self._steps.clear()

    # ---- what a step does ---------------------------------------------------------------------------------------

    def train_step(self, batch: Batch) -> tuple[Any, Any]:
        """Forward, loss, backward, update.

        Returns
        -------
        (losses, predictions)
            The loss before the update, of several outputs in a list with that of each behind; and the predictions.
        """
        rows = batch.rows
        size = -(-rows // self.gradient_accumulation_steps)
        losses, predictions, total = list[list[Tensor]](), list[Any](), list[Tensor]()
        for begin in range(0, rows, size):
            part = batch if size == rows else batch.part(begin, begin + size)
            y_pred = self(part.x, training=True)
            check, self._check = self._check, None
            if check is not None:
                with paused(), no_grad():
                    check.look(part, y_pred)
            found = self._losses_of(part, y_pred, part.rows / rows)
            if check is not None:
                check.warn_of_untrained(found[0])
            door.must_be_finite(found[0].data)  # or else the weights are not touched
            if found[0].requires_grad:
                gradients = grad(found[0], self.trainable_variables)
                total = [a + g for a, g in zip(total, gradients, strict=True)] if total else gradients
            losses.append([loss.detach() for loss in found])
            predictions.append(tree.map_structure(Tensor.detach, y_pred))
        if total:
            self.optimizer.apply(total, self.trainable_variables)
        if len(losses) == 1:
            return losses[0], predictions[0]
        sums = [sum(row[1:], row[0]) for row in zip(*losses, strict=True)]
        return sums, tree.map_structure(lambda *parts: concatenate(parts), *predictions)

    def test_step(self, batch: Batch) -> tuple[Any, Any]:
        """Forward and loss: what :meth:`train_step` returns."""
        with no_grad():
            y_pred = self(batch.x, training=False)
            return self._losses_of(batch, y_pred), y_pred

    def _losses_of(self, batch: Batch, y_pred: Any, share: float = 1.0) -> list[Tensor]:
        """Loss with penalties, and the losses of several outputs; of a part of a batch its share, so that parts sum up."""
        assert self._objective is not None
        (loss, *others), penalty = self._objective(batch, y_pred, share, self.output_names), self.penalty()
        if penalty is not None:
            loss = loss + (penalty if share == 1 else penalty * share)
        return [loss, *others]

    def _loss_of(self, batch: Batch, y_pred: Any) -> Tensor:
        return self._losses_of(batch, y_pred)[0]

    def _measured(self, step: Callable[[Batch], tuple[Any, Any]], batch: Batch) -> list[Tensor]:
        """The losses of a step, what the batch adds to each metric, and the predictions if a metric asks for them."""
        assert self._objective is not None
        used(self)
        losses, y_pred = step(batch)
        predictions = self._objective.bind(y_pred, self.output_names)
        used(*(m for m in self.metrics if m.has_part))
        rows = self._objective.measured(batch, predictions)
        parts = [metric.part(y, z, weights) for metric, y, z, weights in rows if metric.has_part]
        found = [losses] if isinstance(losses, Tensor) else losses
        return [*found, *parts, *(predictions if len(parts) < len(rows) else ())]

    def _measured_train_step(self, batch: Batch) -> list[Tensor]:
        return self._measured(self.train_step, batch)

    def _measured_test_step(self, batch: Batch) -> list[Tensor]:
        return self._measured(self.test_step, batch)

    def _add(self, results: Sequence[Array], batch: Callable[[], Batch]) -> list[list[float]]:
        """Give the metrics their parts of the results, whose first axis counts steps; returns of each loss its values."""
        assert self._objective is not None
        count = 1 + len(self._objective.loss_names)
        rest = list(results[count:])
        for metric in self.metrics:
            if metric.has_part:
                metric.add(rest.pop(0))
        if rest:
            predictions = [Tensor(z.reshape(-1, *z.shape[2:])) for z in rest]
            for metric, y, z, weights in self._objective.measured(batch(), predictions):
                if not metric.has_part:
                    metric.update_state(y, z, weights)
        return [a.tolist() for a in results[:count]]

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

    # ---- captured steps -------------------------------------------------------------------------------------------

    def _step(self, name: str, form: Form) -> Step:
        """The step of this name on batches of this form. It takes the arrays of a batch in a row."""
        key = name if form.structure is SINGLE else (name, form)
        found = self._steps.get(key)
        if found is None:
            fn = {"train": self._measured_train_step, "test": self._measured_test_step, "predict": self._infer}[name]
            batch = Batch if form.structure is SINGLE else lambda *tensors: form.batch(tensors)
            found = self._steps[key] = Step(lambda *tensors: fn(batch(*tensors)), self._roots, self.eager)
        return found

    def _infer(self, batch: Batch) -> Any:
        with no_grad():
            z = self(batch.x, training=False)
        if type(z) is Tensor:
            self._outputs = None
            return z
        leaves: list[Tensor] = []
        self._outputs = tree.flatten(z, leaves)
        return leaves

    def _roots(self) -> list[Any]:
        """All parts, of which some may be the user's."""
        objective = [] if self._objective is None else self._objective.losses()
        parts = *objective, *(m for m in self.metrics if m.has_part), vars(self).get("optimizer")
        layers = [layer for _, layer in self.walk()]
        return [*layers, *(regularizer for layer in layers for regularizer, _ in layer._penalties), *parts]

    # ---- one batch --------------------------------------------------------------------------------------------------

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
            samples = samples.with_class_weights(class_weight, self.compute_dtype)
        step = self._step("train", samples.form)
        if step.is_new:
            self._check = FirstStep(self, [samples])
        try:
            with nullcontext() if state.recording else enable_grad():
                results = step(*samples.columns)
        except NonFiniteError:
            raise explained(self, samples.rows()) from None
        finally:
            if self._check is not None:
                self._check = None
        return self._batch_logs(results, samples, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch, in the form of :meth:`train_on_batch`; nothing is trained."""
        samples = self._samples(x, y, sample_weight)
        return self._batch_logs(self._step("test", samples.form)(*samples.columns), samples, return_dict)

    def _batch_logs(self, results: Sequence[Tensor], samples: Samples, return_dict: bool) -> Any:
        assert self._objective is not None
        if len(results) == 1 and not self._objective.metrics:
            loss = float(results[0].data)
            return {"loss": loss} if return_dict else loss
        with self._metrics_apart():
            losses = self._add([t.data[None] for t in results], samples.rows)
            logs = self._objective.results([loss for (loss,) in losses])
        return logs if return_dict else self._in_order(logs)

    def _in_order(self, logs: dict[str, float]) -> Any:
        """The values in the order of `metrics_names`; one of them by itself."""
        values = [logs[name] for name in self.metrics_names]
        return values[0] if len(values) == 1 else values

    def predict_on_batch(self, x: Any) -> Any:
        """The predictions for one batch, as an array or a nest of arrays."""
        if type(x) is np.ndarray:
            found = (self._steps.get("predict") or self._step("predict", FORM_OF_X))(x)
        elif isinstance(x, (tuple, list, dict)):
            samples = Samples(x, dtype=self.compute_dtype)
            found = self._step("predict", samples.form)(*samples.columns)
        else:
            found = self._step("predict", FORM_OF_X)(Tensor(as_array(x)))
        if type(found) is Tensor:
            return found.numpy()
        return tree.unflatten(self._outputs, [t.numpy() for t in found])

    # ---- what comes in ----------------------------------------------------------------------------------------------

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
        objective = self._objective
        if objective is None or objective.loss is None:
            raise RuntimeError(explain("a compiled model with a loss", "none", "Call compile(optimizer, loss) first."))
        if y is None:
            raise ValueError(explain("targets `y`", None, "Pass the targets."))
        loss = objective.loss
        loss = loss if isinstance(loss, Loss) else objective.losses_for(y, self.output_names)
        return Samples(x, y, weights, loss, self.compute_dtype)


FORM_OF_X = FLAT[False, False]
