"""A look at the first step of a training, before it changes a weight; and where numbers stopped being finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import leaves
from ..data.samples import Batch, Samples
from ..errors import explain, warn
from ..layers.watch import first_nonfinite
from ..tensor import Tensor
from ..tree import map_structure


class FirstStep:
    """A look at the first step of a training: all labels, the metrics, and what is going to be trained.

    Parameters
    ----------
    model : Stepper
    samples : list of Samples
        All that is going to be trained or validated on; the batch of the step speaks for what is still to be loaded.
    """

    def __init__(self, model: Any, samples: Sequence[Samples]) -> None:
        self._model, self._samples = model, samples

    def look(self, batch: Batch, y_pred: Any) -> None:
        """Raise ValueError where the data cannot be right for such predictions."""
        objective = self._model._objective
        of_batch = map_structure(lambda t: None if t is None else t.data, batch)
        given = [s.form.batch(s.columns) for s in self._samples] or [of_batch]
        objective.check(given, y_pred, self._model.output_names)
        for other in self._samples[1:]:
            for mine, theirs in zip(other.columns, self._samples[0].columns):
                if mine.shape[1:][-1:] != theirs.shape[1:][-1:] or mine.ndim != theirs.ndim:
                    received = f"shape {mine.shape} beside {theirs.shape}"
                    raise ValueError(explain("validation data like the training's", received, "Check the data."))
        with self._model._metrics_apart():
            for metric, y, z, _ in objective.measured(batch, objective.bind(y_pred)):
                metric.update_state(y, z)

    def warn_of_untrained(self, loss: Tensor) -> None:
        """Tell once if a training leaves weights as they are, which nobody wants without knowing it."""
        weights = self._model.named_weights()
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


def explained(model: Any, batch: Batch) -> FloatingPointError:
    """The error for a loss that is not finite: where in this batch the first number is that is not."""
    where = first_nonfinite(model, batch.x, batch.y) or "the loss"
    remedy = "Check the data for NaN, scale the inputs, or lower the learning rate. The weights were not updated."
    return FloatingPointError(explain("a finite loss", f"infinity or NaN, first in {where}", remedy))
