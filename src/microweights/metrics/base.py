"""What every metric is made of, and the means of a value for each sample."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from .. import initializers
from ..errors import explain
from ..kernels import door
from ..losses import Loss
from ..losses.base import aligned
from ..losses.base import one_hot as ones_at
from ..naming import Configurable, parameters, plain, snake_case
from ..ops import stack
from ..parts import Part
from ..tensor import Array, Operand, Tensor, as_array, constant, known_dtype


class Metric(Part, Configurable):
    """Gathers batches with `update_state(y_true, y_pred, sample_weight=None)`; `result()` is the number so far.

    A subclass computes in `part` what a batch adds, by operations on tensors, so that a training replays it in C, and adds it
    up in `add`. One that cannot may override `update_state` instead; it then gets the predictions of each batch.
    `reset_state` sets everything that is gathered, and nothing else.

    Parameters
    ----------
    dtype : data type, optional
        As Keras's; all sums are float64.
    name : str, optional
        Under which it reports; its class's in snake_case if not given.
    """

    rises: bool | None = None  # whether more is better, if that is known
    has_part = True  # whether `part` is there
    running: frozenset[str] = frozenset()  # the attributes that reset_state sets: what has been gathered so far
    _resets = False
    _notes = frozenset(("name", "running", "_notes", "_resets", "_variables"))
    _variables: list[Tensor] = []  # of add_variable
    dtype: str | None = None
    activation: str | None = None  # what makes probabilities of predictions that the loss takes for logits

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(explain("`name` to be a string", repr(name), "Pass other arguments by their names."))
        self.name = name or snake_case(type(self).__name__)
        self.dtype = None if dtype is None else known_dtype(dtype).name
        self._variables = []
        self._resets = True
        with suppress(AttributeError):  # of a subclass that makes what it resets in the rest of its __init__
            self.reset_state()
        self._resets = False

    def add_variable(
        self, shape: Any, initializer: Any = "zeros", dtype: Any = None, aggregation: str = "sum", name: str | None = None
    ) -> Tensor:
        """A tensor for what an `update_state` of your own gathers, to be changed by `assign`; also called `add_weight`.

        Parameters
        ----------
        shape : tuple of int
        initializer : str or Initializer
        dtype : data type, optional
            float32 or float64.
        aggregation, name
            Taken as Keras's, for several devices and for showing.
        """
        variable = Tensor(initializers.get(initializer)(tuple(shape), known_dtype(dtype or "float32")))
        self._variables.append(variable)
        return variable

    def add_weight(self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None) -> Tensor:
        return self.add_variable(shape, initializer, dtype, name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._resets or any(value is variable for variable in self._variables):
            vars(self)["running"] = self.running | {name}
            vars(self)["_notes"] = self._notes | {name}
        super().__setattr__(name, value)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.has_part = "update_state" not in vars(cls) and cls.has_part

    def follow(self, loss: Loss | None) -> None:
        """Be told by `compile` which loss the predictions are made for: if it takes logits, so does the metric.

        Raises
        ------
        ValueError
            If the result would not be one number.
        """
        takes_logits = loss is not None and loss.from_logits
        self.activation = (loss.activation or "sigmoid") if loss is not None and takes_logits else None

    def probabilities(self, y_pred: Tensor) -> Tensor:
        """The predictions in float64; logits, where the loss takes such, as the probabilities that they stand for."""
        p = y_pred.astype(door.FLOAT64)
        if self.activation is None:
            return p
        return p.sigmoid() if self.activation == "sigmoid" else p.softmax()

    def reset_state(self) -> None:
        raise NotImplementedError

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        """What a batch adds, in few numbers."""
        raise NotImplementedError

    def add(self, parts: Array) -> None:
        """Add what :meth:`part` gave for some batches, of shape (batches, ...)."""
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> None:
        weights = None if sample_weight is None else exact(sample_weight).astype(door.FLOAT64).reshape(-1)
        self.add(self.part(exact(y_true), exact(y_pred), weights).numpy()[None])

    def result(self) -> Any:
        """The number so far."""
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> Any:
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()


def exact(values: Any) -> Tensor:
    """Numbers as a tensor outside the graph, none of them rounded: those of a list are float64."""
    if isinstance(values, Tensor):
        return values.detach()
    found = as_array(values)
    if found.dtype == door.FLOAT32 and not isinstance(values, np.ndarray):
        found = as_array(values, door.FLOAT64)
    return Tensor(found)


class MeanMetric(Metric):
    """The weighted mean of a value for each sample, which `values` computes."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        raise NotImplementedError

    def reset_state(self) -> None:
        self.total = self.count = 0.0

    def part(self, y_true: Tensor, y_pred: Tensor, weights: Tensor | None = None) -> Tensor:
        return weighted_sum(self.values(y_true, y_pred), weights)

    def add(self, parts: Array) -> None:
        for total, count in parts.tolist():
            self.total, self.count = self.total + total, self.count + count

    def result(self) -> float:
        return self.total / self.count if self.count else 0.0


def weighted_sum(values: Tensor, weights: Tensor | None) -> Tensor:
    """The sum of values and that of their weights, in float64. A sample counts once, however many values it has."""
    values = values.astype(door.FLOAT64)
    if values.ndim == 0:
        values = values.reshape(1)
    if values.ndim > 1 and weights is not None and weights.size == values.size > len(values):  # one for each value
        values = values.reshape(-1)
    if values.ndim > 1:
        values = values.mean(tuple(range(1, values.ndim)))
    if weights is None:
        return stack([values.sum(), constant(len(values), door.FLOAT64)])
    if weights.shape != values.shape and weights.size != 1:
        received = f"shape {weights.shape}"
        raise ValueError(explain(f"weights of shape {values.shape}", received, "Give one weight for each sample."))
    weights = weights.reshape(-1).broadcast_to(values.shape)
    return stack([(values * weights).sum(), weights.sum()])


class MeanMetricWrapper(MeanMetric):
    """The mean of what a function `fn(y_true, y_pred, **kwargs)` of tensors gives for each sample.

    What it gives for a batch as one number counts once for each batch.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        if not callable(fn):
            raise TypeError(explain("`fn` to be a function", repr(fn), "Pass a function of targets and predictions."))
        self.fn, self.kwargs = fn, kwargs
        super().__init__(name or getattr(fn, "__name__", None) or snake_case(type(fn).__name__), dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **plain(self.kwargs, "kwargs")}

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = aligned(y_true, y_pred) if y_true.size == y_pred.size else y_true  # (n,) against (n, 1) would make n² values
        options = dict(self.kwargs)
        if self.activation is not None and "from_logits" in parameters(getattr(self.fn, "loss", type(self))):
            options["from_logits"] = True
        found = self.fn(target, y_pred, **options)
        if not isinstance(found, Tensor):
            remedy = "Compute it with operations on tensors, or write a Metric with update_state and result."
            raise TypeError(explain("a metric function that returns a tensor", type(found).__name__, remedy))
        return found


class LossMetric(MeanMetric):
    """The mean of a loss of each sample, computed in float64."""

    rises = False
    options: tuple[str, ...] = ()  # attributes that the loss has, too
    loss: type[Loss] = Loss

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self._loss = self.loss(reduction=None)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        for name in self.options:
            wanted = getattr(self, name) or (name == "from_logits" and self.activation is not None)
            if getattr(self._loss, name) != wanted:
                setattr(self._loss, name, wanted)
        return self._loss.call(y_true, y_pred.astype(door.FLOAT64))


class Mean(Metric):
    """The weighted mean of numbers: `update_state(values, sample_weight=None)`."""

    of_sample: ClassVar[Any] = staticmethod(np.mean)  # what the numbers of a sample are together

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)

    def reset_state(self) -> None:
        self.total = self.count = 0.0

    def follow(self, loss: Loss | None) -> None:
        remedy = "Call it in a loop of your own, or write a function of targets and predictions."
        raise TypeError(explain("metrics of targets and predictions", f"{type(self).__name__}, which takes numbers", remedy))

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        numbers = exact(values).numpy().astype(np.float64)
        weights = 1.0 if sample_weight is None else exact(sample_weight).numpy().astype(np.float64)
        if np.ndim(weights) and np.ndim(weights) < numbers.ndim:  # a weight for each sample
            numbers = self.of_sample(numbers, axis=tuple(range(np.ndim(weights), numbers.ndim)))
        weights = np.broadcast_to(weights, numbers.shape)
        self.total, self.count = self.total + float((numbers * weights).sum()), self.count + float(weights.sum())

    def result(self) -> float:
        return self.total / self.count if self.count else 0.0

    def __call__(self, values: Any, sample_weight: Any = None) -> float:  # type: ignore[override]
        self.update_state(values, sample_weight)
        return self.result()


class Sum(Mean):
    """The weighted sum of numbers: `update_state(values, sample_weight=None)`."""

    of_sample: ClassVar[Any] = staticmethod(np.sum)

    def result(self) -> float:
        return self.total


def one_number(name: str, value: Any) -> float:
    if isinstance(value, (bool, str)) or not isinstance(value, Real):
        raise TypeError(explain(f"`{name}` to be one number", repr(value), "Make a metric for each."))
    return float(value)


# ---- what classes are compared with ------------------------------------------------------------------------------------


def agree(a: Tensor, b: Tensor) -> Tensor:
    """Where two tensors of whole numbers are equal; as float64, which holds every class and every truth value."""
    return a.astype(door.FLOAT64) == b.astype(door.FLOAT64)


def is_number(t: Tensor) -> Tensor:
    """1 where a prediction is a number and 0 where it is NaN; as float64."""
    return agree(t, t).astype(door.FLOAT64)


def or_nan(valid: Tensor) -> Tensor:
    """0 where it is 1, and NaN where it is 0: added to a part, a mark that goes through C until `of_classes` finds it."""
    return valid / valid - 1


def of_classes(parts: Array) -> Array:
    """The parts, if they are numbers: labels that are none of a class, and predictions that are NaN, make NaN of them."""
    if np.isnan(parts).any():
        remedy = "Labels count the classes from 0, one for each sample; of two they are 0 and 1, or -1 and 1."
        received = "other labels, several, or predictions that are NaN or no probabilities"
        raise ValueError(explain("labels of the classes that are predicted", received, remedy))
    return parts


def one_output(y_pred: Tensor) -> bool:
    return y_pred.ndim < 2 or y_pred.shape[-1] == 1


def refuse_one_output(name: str, y_pred: Tensor) -> None:
    """Raise ValueError where the largest of one output would be looked for, which says nothing."""
    if one_output(y_pred):
        raise ValueError(explain(f"an output for each class in {name!r}", f"shape {y_pred.shape}", "Use a binary one."))


def one_hot(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Labels or one-hot targets as 0 and 1 for each of the classes that are predicted, in float64; NaN for other labels."""
    if y_true.shape == y_pred.shape:
        return y_true.astype(door.FLOAT64)
    if y_true.size * y_pred.shape[-1] != y_pred.size:
        raise ValueError(explain(f"labels of shape {y_pred.shape[:-1]}", y_true.shape, "Give one for each sample."))
    found = ones_at(y_true.reshape(y_pred.shape[:-1]), y_pred.shape[-1], door.FLOAT64)
    return found + or_nan(found.sum(-1, keepdims=True))


def zero_or_one(labels: Tensor) -> Tensor:
    """Labels of two classes, 0 (or -1) and 1, as 0 and 1 in float64; NaN for others."""
    given = labels.astype(door.FLOAT64)
    is_known = agree(given * given, given.abs()).astype(door.FLOAT64)
    return (given > 0).astype(door.FLOAT64) + or_nan(is_known)
