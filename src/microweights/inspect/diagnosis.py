"""How a training went, in numbers: the gap to unseen data, idle units, gradients layer by layer, what is not finite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..autograd import grad
from ..data.samples import Batch
from ..layers import Layer
from ..layers.watch import first_nonfinite, watched
from ..state import enable_grad
from ..tensor import Tensor


class Curves(Protocol):
    """What is asked of the history of a training."""

    epoch: list[int]
    history: dict[str, list[float]]
    validated: list[int]


@dataclass(frozen=True)
class LayerReport:
    """What one layer does on a sample of the training data.

    Attributes
    ----------
    name : str
    units, constant_units : int
        The size of the last axis of its output, and how many of these are the same for all samples and positions: a ReLU that
        is never above 0, a sigmoid that is always 1.
    gradient, weights : float
        sqrt(Σ²) over the gradient and over the weights of the layer; 0 for a layer without. Their ratio, which is printed too,
        vanishes or explodes from layer to layer where training is hard.
    """

    name: str
    units: int
    constant_units: int
    gradient: float
    weights: float


@dataclass(frozen=True)
class Diagnosis:
    """Measurements after a training; printed, a table.

    Attributes
    ----------
    epochs : int
        The number of the last one, counted from 1.
    loss, val_loss : float
        After the last epoch; val_loss is NaN without validation data.
    best_epoch : int
        With the least validation loss, or without it the least loss; counted from 1, and 0 without any.
    layers : list of LayerReport
        From the first to the last.
    first_nonfinite : str or None
        Where the first infinity or NaN is, if there is one.
    """

    epochs: int
    loss: float
    val_loss: float
    best_epoch: int
    layers: list[LayerReport]
    first_nonfinite: str | None

    @property
    def gap(self) -> float:
        """Validation loss minus training loss."""
        return self.val_loss - self.loss

    def __str__(self) -> str:
        head = f"after {self.epochs} epochs: loss {self.loss:.4g}"
        if not np.isnan(self.val_loss):
            head += f", validation loss {self.val_loss:.4g} (gap {self.gap:.4g}), least in epoch {self.best_epoch}"
        lines = [head, f"{'layer':16s} {'units':>6s} {'constant':>9s} {'|gradient|':>11s} {'|weights|':>10s} {'ratio':>9s}"]
        for r in self.layers:
            ratio = f"{r.gradient / r.weights:9.1e}" if r.weights else " " * 9
            lines.append(f"{r.name:16s} {r.units:6d} {r.constant_units:9d} {r.gradient:11.3g} {r.weights:10.3g} {ratio}")
        return "\n".join([*lines, f"first infinity or NaN: {self.first_nonfinite or 'none'}"])


def diagnose(model: Any, batch: Batch, history: Curves) -> Diagnosis:
    """Look at a compiled model with a batch of what it was trained on, and at its history of losses."""
    seen: dict[int, tuple[Layer, Tensor]] = {}
    with enable_grad(), watched(model, lambda layer, z: seen.setdefault(id(layer), (layer, z.detach()))):
        loss = model._loss_of(batch, model(batch.x, training=False))
        variables = model.trainable_variables
        gradients = dict(zip(map(id, variables), grad(loss, variables), strict=True)) if loss.requires_grad else {}
    reports = []
    for layer, z in seen.values():
        values = z.numpy().reshape(-1, z.shape[-1]) if z.ndim > 1 else z.numpy().reshape(-1, 1)
        constant = int((values.max(0) == values.min(0)).sum()) if len(values) > 1 else 0
        own = layer._own_weights.values()
        norms = [float(np.sqrt(sum(float(np.square(t.numpy(), dtype=np.float64).sum()) for t in tensors)))
                 for tensors in ([gradients[id(w)] for w in own if id(w) in gradients], own)]  # fmt: skip
        reports.append(LayerReport(layer.name, values.shape[1], constant, norms[0], norms[1]))
    losses, curve = history.history.get("loss", [float("nan")]), history.history.get("val_loss", [])
    judged, epochs = (curve, history.validated) if curve else (losses, history.epoch)
    best = epochs[int(np.argmin(np.where(np.isnan(judged), np.inf, judged)))] + 1 if epochs else 0
    val_loss = curve[-1] if curve else float("nan")
    number = history.epoch[-1] + 1 if history.epoch else 0
    return Diagnosis(number, losses[-1], val_loss, best, reports, first_nonfinite(model, batch.x, batch.y))
