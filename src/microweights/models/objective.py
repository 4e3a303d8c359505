"""What `compile` asks of each output of a model: a loss, its weight, and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple

from .. import losses, metrics, tree
from ..data.samples import Batch, is_rows
from ..errors import explain
from ..losses import Loss
from ..metrics import Metric
from ..tensor import Tensor


class Output(NamedTuple):
    """What is asked of one output."""

    loss: Loss | None
    weight: float | None  # of the loss among those of all outputs
    metrics: list[Metric]
    weighted: list[Metric]  # in which sample weights count


class Places:
    """Where the outputs of a model stand, by which what is given for each of them is found.

    Parameters
    ----------
    structure : tree.Structure or None
        Of the outputs.
    names : list of str, optional
        Of the outputs, where the model has such. Keys of a dict are names anyway.
    """

    def __init__(self, structure: tree.Structure | None, names: Sequence[str] | None = None) -> None:
        paths = tree.paths(structure)
        self.structure, self.count = structure, len(paths)
        self.is_dict = structure is not None and structure.keys is not None
        by_key = ["/".join(map(str, path)) for path in paths] if self.is_dict else None
        self.names = by_key or (list(names) if names is not None and len(names) == self.count else None)
        order = range(self.count)
        self.in_order = sorted(order, key=by_key.__getitem__) if by_key else list(order)  # of a list, as in Keras

    def spread(self, what: str, given: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
        """What a list, a dict or a nest has for each output; None where a dict has nothing.

        Raises
        ------
        ValueError
            If a list is not as long as there are outputs, or a dict has other keys.
        """
        if not isinstance(given, (list, tuple, dict)) or (is_leaf is not None and is_leaf(given)):
            return [given] * self.count
        if isinstance(given, dict) and self.names is not None and set(given) <= set(self.names):
            return [given.get(name) for name in self.names]
        if not isinstance(given, dict) and len(given) == self.count:
            found: list[Any] = [None] * self.count
            for place, value in zip(self.in_order, given, strict=True):
                found[place] = value
            return found
        if self.structure is not None and any(part is not None for part in self.structure.parts):
            return tree.leaves_like(self.structure, given)
        outputs = f"the outputs {self.names}" if self.names else f"{self.count} output{'s' * (self.count > 1)}"
        received = f"keys {list(given)}" if isinstance(given, dict) else f"{len(given)}"
        raise ValueError(explain(f"`{what}` for {outputs}", received, "Give one for each output."))


class Objective:
    """Losses and metrics of all outputs.

    The outputs of a model are known when it has been called: until then, what was given is one for all, a list or a dict.

    Attributes
    ----------
    loss : Loss, nest of Losses, or None
    metrics, weighted_metrics : lists of Metric
        All of them; and those in which sample weights count.
    names : list of str
        Of the numbers that a batch has: "loss", those of the losses if there are several, and those of the metrics.
    in_order : list of str
        The same in the order in which Keras lists them.
    """

    def __init__(self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any) -> None:
        self._given_loss = loss
        self.loss = tree.map_structure(
            lambda given: None if given is None else losses.to_train_with(given), loss, is_leaf=_is_config
        )
        self._loss_weights = tree.map_structure(_checked_weight, loss_weights)
        self._plain, self._weighted = _made(metrics), _made(weighted_metrics)
        self._places: Places | None = None
        self.outputs: list[Output] = []
        self.loss_names: list[str] = []  # of the losses of several outputs
        self.names = self.in_order = ["loss"]
        single = loss[0] if isinstance(loss, (list, tuple)) and len(loss) == 1 else loss
        if not isinstance(single, (list, tuple, dict)) or _is_config(single):
            self._bind(Places(None))
        else:
            self.metrics = [m for m in tree.leaves_of([self._plain, self._weighted]) if m is not None]
            self.weighted_metrics = [m for m in tree.leaves_of(self._weighted) if m is not None]

    def losses(self) -> list[Loss]:
        return [loss for loss in tree.leaves_of(self.loss) if loss is not None]

    def losses_for(self, y: Any, output_names: Sequence[str] | None) -> Any:
        """The loss that each target is for, of a list or dict of losses."""
        if not isinstance(y, (list, tuple, dict)) or is_rows(y):
            return self.losses()[0]
        is_known = isinstance(self.loss, dict) and self.loss.keys() <= set(output_names or ())
        if is_known and isinstance(y, dict) and not self.loss.keys() <= y.keys():
            remedy = "Name each target as its output."
            raise ValueError(explain(f"`y` with the keys {list(self.loss)}, which have a loss", f"keys {list(y)}", remedy))
        leaves: list[Any] = []
        structure = tree.flatten(y, leaves, is_rows)
        return Places(structure, output_names).spread("loss", self.loss)

    # ---- the outputs -------------------------------------------------------------------------------------------

    def bind(self, y_pred: Any, output_names: Sequence[str] | None = None) -> list[Tensor]:
        """The outputs in a row; what is asked is shared out among them when they first come in this structure."""
        leaves: list[Any] = []
        structure = tree.flatten(y_pred, leaves)
        if self._places is None or structure != self._places.structure:
            self._bind(Places(structure, output_names))
        return leaves

    def _bind(self, places: Places) -> None:
        chosen, given = places.spread("loss", self.loss), places.spread("loss", self._given_loss, _is_config)
        weights = self._spread_weights(places)
        plain, weighted = (
            self._spread_metrics(places, what, found)
            for what, found in (("metrics", self._plain), ("weighted_metrics", self._weighted))
        )
        outputs = [Output(*row) for row in zip(chosen, weights, plain, weighted, strict=True)]
        if not any(o.loss for o in outputs) and self.loss is not None:
            raise ValueError(explain("a loss for at least one output", "none", "Give `loss` for what is to be learned."))
        for output in outputs:
            for metric in (*output.metrics, *output.weighted):
                metric.follow(output.loss)
        self._places, self.outputs = places, outputs
        self.metrics = [m for o in outputs for m in (*o.metrics, *o.weighted)]
        self.weighted_metrics = [m for o in outputs for m in o.weighted]
        self._name(places, given)

    def _spread_weights(self, places: Places) -> list[float | None]:
        if self._loss_weights is None:
            return [None] * places.count
        if isinstance(self._loss_weights, Real) and places.count > 1:
            raise ValueError(explain("`loss_weights` for each output", self._loss_weights, "Give a list or a dict."))
        return places.spread("loss_weights", self._loss_weights)

    @staticmethod
    def _spread_metrics(places: Places, what: str, given: Any) -> list[list[Metric]]:
        if places.count == 1:
            return [[m for m in tree.leaves_of(given) if m is not None]]
        found = [[]] * places.count if not given else places.spread(what, given)
        return [[m for m in tree.leaves_of(one) if m is not None] for one in found]

    def _name(self, places: Places, given_losses: list[Any]) -> None:
        """Names as Keras's: those of several outputs in front; for what comes twice, numbers behind."""
        taken, several = {"loss"}, places.count > 1
        trained = [i for i, o in enumerate(self.outputs) if o.loss is not None]
        self.loss_names = []
        prefixes = [f"{name}_" for name in places.names] if several and places.names else [""] * places.count
        if len(trained) > 1:
            for i in trained:
                loss, by = self.outputs[i].loss, given_losses[i]
                own = places.names[i] if places.names else by if isinstance(by, str) else loss.name  # type: ignore[union-attr]
                self.loss_names.append(_unused(f"{own}_loss", taken))
        names = []
        for prefix, output in zip(prefixes, self.outputs, strict=True):
            names += [_unused(f"{prefix}{m.name}", taken) for m in output.metrics]
            for m in output.weighted:
                is_taken = f"{prefix}{m.name}" in taken
                names.append(_unused(f"{prefix}{'weighted_' * is_taken}{m.name}", taken))
        self.names = ["loss", *self.loss_names, *names]
        by_key = {self.loss_names[n]: places.in_order.index(i) for n, i in enumerate(trained)} if self.loss_names else {}
        in_keras = sorted(self.loss_names, key=by_key.__getitem__)
        if isinstance(self.loss, dict) and places.is_dict:
            in_keras = [f"{name}_loss" for name in self.loss if f"{name}_loss" in self.loss_names]
        self.in_order = ["loss", *in_keras, *sorted(names)] if prefixes[0] else ["loss", *names, *in_keras]

    # ---- a batch -----------------------------------------------------------------------------------------------

    def rows_of(self, batch: Batch) -> list[tuple[Any, Any]]:
        """Targets and sample weights for each output, or None: losses and metrics have their weights from here alone."""
        assert self._places is not None
        if self._places.count > 1 and batch.y is not None and not isinstance(batch.y, (list, tuple, dict)):
            received = "one array"
            raise ValueError(explain(f"targets for {self._places.count} outputs", received, "Give `y` as a list or a dict."))
        targets = self._places.spread("y", batch.y)
        return list(zip(targets, self._places.spread("sample_weight", batch.weights), strict=True))

    def __call__(self, batch: Batch, y_pred: Any, share: float = 1.0, output_names: Any = None) -> list[Tensor]:
        """The loss, and if there are several that of each output before its weight; of a part of a batch its share."""
        predictions = self.bind(y_pred, output_names)
        found: list[Tensor] = []
        total: Tensor | None = None
        for i, (output, z, (y, weights)) in enumerate(zip(self.outputs, predictions, self.rows_of(batch), strict=True)):
            if output.loss is None:
                continue
            if y is None:
                name = self._places.names[i] if self._places and self._places.names else i
                raise ValueError(explain(f"targets for the output {name!r}, which has a loss", None, "Give them in `y`."))
            loss = output.loss(y, z, weights)
            loss = loss if share == 1 or output.loss.reduction == "sum" else loss * share
            found.append(loss)
            loss = loss if output.weight is None else loss * output.weight
            total = loss if total is None else total + loss
        assert total is not None
        return [total, *found] if self.loss_names else [total]

    def check(self, batches: Sequence[Batch], y_pred: Any, output_names: Any = None) -> None:
        """Raise ValueError if some of the targets of these can never be right for such predictions."""
        predictions = self.bind(y_pred, output_names)
        for batch in batches:
            for output, z, (y, _) in zip(self.outputs, predictions, self.rows_of(batch), strict=True):
                if output.loss is not None:
                    output.loss.check(y, z)

    def measured(self, batch: Batch, predictions: Sequence[Any]) -> list[tuple[Metric, Any, Any, Any]]:
        """Each metric with its targets, predictions and weights."""
        rows = zip(self.outputs, predictions, self.rows_of(batch), strict=True)
        return [
            (metric, y, z, weights if i >= len(output.metrics) else None)
            for output, z, (y, weights) in rows
            for i, metric in enumerate((*output.metrics, *output.weighted))
        ]

    def results(self, losses: Sequence[float]) -> dict[str, float]:
        """The numbers by their names, for these losses and what the metrics have gathered."""
        return dict(zip(self.names, [*losses, *(float(m.result()) for m in self.metrics)], strict=True))


def _is_config(x: Any) -> bool:
    return isinstance(x, dict) and "class_name" in x


def _made(given: Any) -> Any:
    """The nest of metrics that `compile` was given, made."""
    if given is not None and (not isinstance(given, (list, tuple, dict)) or _is_config(given)):
        given = [given]
    return tree.map_structure(lambda m: None if m is None else metrics.get(m), given or [], is_leaf=_is_config)


def _checked_weight(weight: Any) -> float | None:
    if weight is not None and (isinstance(weight, (bool, str)) or not isinstance(weight, Real)):
        raise ValueError(explain("`loss_weights` to be numbers", repr(weight), "Metrics are passed by name: metrics=[...]."))
    return None if weight is None else float(weight)


def _unused(name: str, taken: set[str]) -> str:
    """The name, with a number behind if it is taken; taken from now on."""
    found, number = name, 0
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found
