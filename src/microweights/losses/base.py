"""What every loss is made of: the losses of samples, their weights, and what becomes of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..errors import explain
from ..kernels import door
from ..naming import Configurable, parameters, snake_case
from ..parts import Part, used
from ..state import state
from ..tensor import Array, Operand, Tensor, as_array, as_tensor, known_dtype, real

MEAN = "sum_over_batch_size"
REDUCTIONS = (MEAN, "mean", "sum", "none", None)


class Loss(Part, Configurable):
    """`loss(y_true, y_pred, sample_weight=None)` returns a scalar tensor.

    A subclass gives in `call` the losses before any mean or weight, of the single elements or of samples; their first axis is
    that of the samples.

    Parameters
    ----------
    name : str, optional
        Its class's in snake_case if not given.
    reduction : str or None
        What becomes of the losses: "sum_over_batch_size" or "mean" is their mean, "sum" their sum, "none" or None leaves
        them.
    dtype : data type, optional
        In which it computes; that of the predictions if not given.
    """

    name = "loss"
    reduction: str | None = MEAN
    dtype: Any = None
    from_logits = False  # whether predictions are scores, of which those above 0 say class 1
    activation: str | None = None  # what makes probabilities of such scores, if that can be done
    is_symmetric = True  # whether targets and predictions may change places

    def __init__(self, name: str | None = None, reduction: str | None = MEAN, dtype: Any = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(explain("`name` to be a string", repr(name), "Pass other arguments by their names."))
        if reduction not in REDUCTIONS:
            raise ValueError(explain(f"`reduction` out of {REDUCTIONS}", repr(reduction), f"{MEAN!r} is the usual one."))
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction
        self.dtype = None if dtype is None else known_dtype(dtype).name

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "call" in vars(cls) and "mean" not in vars(cls):  # the mean of a class above is of other losses
            cls.mean = Loss.mean  # type: ignore[method-assign]

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        raise NotImplementedError

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The mean of what `call` gives; losses that have a kernel for both override it."""
        return self.call(y_true, y_pred).mean()

    def targets(self, y: Any, dtype: np.dtype[Any]) -> Array:
        """The targets as the loss wants them: here as floats of the predictions' type."""
        values = as_array(y, None if isinstance(y, np.ndarray) else dtype)
        return values if values.dtype == dtype else door.cast(values, dtype)

    def check(self, y: Array | None, y_pred: Tensor) -> None:
        """Raise ValueError if some of all targets can never be right for such predictions."""

    def __call__(self, y_true: Any, y_pred: Operand, sample_weight: Any = None) -> Tensor:
        used(self)
        if not self.is_symmetric:
            refuse_swapped(self, y_true, y_pred)
        mask = y_pred.mask if isinstance(y_pred, Tensor) else None
        prediction = real(y_pred) if self.dtype is None else real(y_pred).astype(self.dtype)
        if prediction.ndim == 0 or prediction.size == 0:
            raise ValueError(explain("predictions for at least one sample", f"shape {prediction.shape}", "Check the data."))
        target = as_tensor(y_true)
        if target is not y_true and not target.requires_grad:
            target = Tensor(self.targets(target.data if isinstance(y_true, np.ndarray) else y_true, prediction.dtype))
        if sample_weight is None and mask is None and self.reduction in (MEAN, "mean"):
            return self.mean(target, prediction)
        values = self.call(target, prediction)
        if mask is not None:
            values = _unmasked(values, mask, self.reduction in (MEAN, "mean"))
        if sample_weight is not None:
            weights = real(sample_weight).astype(values.dtype)
            if weights.shape != prediction.shape[:1]:
                received = f"shape {weights.shape}"
                raise ValueError(
                    explain(f"`sample_weight` of shape {prediction.shape[:1]}", received, "Give one weight for each sample.")
                )
            if values.ndim > 1 and self.reduction in (MEAN, "mean"):
                values = values.mean(tuple(range(1, values.ndim)))
            values = values * weights.reshape(-1, *[1] * (values.ndim - 1))
        if self.reduction == "sum":
            return values.sum()
        return values if self.reduction in ("none", None) else values.mean()


def _unmasked(values: Tensor, mask: Tensor, is_mean: bool) -> Tensor:
    """Losses with 0 where they are masked; the others so much larger, if a mean is taken of all, that it is theirs."""
    kept = mask.astype(values.dtype)
    if is_mean:
        kept = kept * (kept.size / ops.maximum(kept.sum(), 1.0))
    ndim = max(values.ndim, kept.ndim)
    values, kept = (t.reshape(*t.shape, *[1] * (ndim - t.ndim)) for t in (values, kept))
    return values * kept


class StandardLoss(Loss):
    """A loss of Keras's, whose common arguments it takes in another order than :class:`Loss`."""

    def __init__(self, reduction: str | None = MEAN, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)


class ElementwiseLoss(StandardLoss):
    """A loss of each element, which `elements` gives; of a sample it is the mean over the last axis."""

    axis = -1

    def elements(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        raise NotImplementedError

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        losses = self.elements(y_true, y_pred)
        return losses if losses.ndim < 2 else losses.mean(self.axis)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.elements(y_true, y_pred).mean()


class FunctionLoss(Loss):
    """A loss made of any function `fn(y_true, y_pred)` of tensors."""

    def __init__(self, fn: Any, reduction: str | None = MEAN, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if y_true.size == y_pred.size:  # (n,) against (n, 1) would make n² losses
            y_true = aligned(y_true, y_pred)
        losses = self.fn(y_true, y_pred)
        if not isinstance(losses, Tensor):
            remedy = "Compute it with operations on tensors, not with NumPy."
            raise TypeError(explain("a loss function that returns a tensor", type(losses).__name__, remedy))
        return losses if losses.ndim else losses.reshape(1)


def as_function(cls: type[Loss]) -> Callable[..., Tensor]:
    """`cls` as a function of targets, predictions and its arguments, that returns the losses of the samples.

    Of predictions (samples, ..., outputs) these are of shape (samples, ...).
    """
    common = parameters(StandardLoss)
    own = {name: p for name, p in parameters(cls).items() if name not in common}

    def fn(y_true: Any, y_pred: Any, *args: Any, **options: Any) -> Tensor:
        given = signature.bind(y_true, y_pred, *args, **options).arguments
        return cls(**{**dict(list(given.items())[2:]), "reduction": None})(y_true, y_pred)

    both = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("y_true", "y_pred")]
    signature = inspect.Signature([*both, *own.values()])
    fn.__signature__ = signature  # type: ignore[attr-defined]
    fn.__name__ = fn.__qualname__ = snake_case(cls.__name__)
    fn.__doc__ = f"The losses of samples, of shape `y_pred.shape[:-1]`: {cls.__doc__}"
    fn.__module__ = cls.__module__.rpartition(".")[0]
    fn.loss = cls  # type: ignore[attr-defined]
    return fn


def aligned(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The targets in the shape and type of the predictions; (n,) and (n, 1) are the same.

    Raises
    ------
    ValueError
        For any other difference: broadcasting n targets against n predictions would silently make n² losses.
    """
    if y_true.dtype != y_pred.dtype:
        y_true = y_true.astype(y_pred.dtype)
    if y_true.shape == y_pred.shape:
        return y_true
    if y_true.size == y_pred.size and _without_ones(y_true) == _without_ones(y_pred):
        return y_true.reshape(y_pred.shape)
    remedy = "Make the last layer as wide as the targets."
    raise ValueError(explain(f"targets of the predictions' shape {y_pred.shape}", y_true.shape, remedy))


def _without_ones(t: Tensor) -> tuple[int, ...]:
    return tuple(n for n in t.shape[1:] if n != 1)


def one_hot(labels: Tensor, classes: int, dtype: np.dtype[Any]) -> Tensor:
    """1 at the place of each label along a new last axis, else 0; nothing but 0 for what is none of 0 to `classes` - 1."""
    places = Tensor(np.arange(classes, dtype=np.float64))  # float64 holds every class, and every label up to 2^53
    return (labels.astype(door.FLOAT64).reshape(*labels.shape, 1) == places).astype(dtype)


def with_axis_last(t: Tensor, axis: int) -> Tensor:
    """`t` with one of its axes moved to the end."""
    if axis in (-1, t.ndim - 1):
        return t
    a = ops.one_axis(axis, t.ndim)
    return t.transpose([*(i for i in range(t.ndim) if i != a), a])


def refuse_swapped(loss: Loss, y_true: Any, y_pred: Any) -> None:
    """Raise ValueError where the predictions were given as the targets, as far as that can be told.

    They require a gradient and the other side does not; or the other side is of whole numbers, which predictions are not, and
    they are not, as targets of a class are.
    """
    learns = [isinstance(t, Tensor) and t.requires_grad for t in (y_true, y_pred)]
    is_swapped = learns == [True, False]
    is_whole = isinstance(y_pred, (Tensor, np.ndarray)) and y_pred.dtype.kind in "iub"
    if not is_swapped and is_whole and loss.activation is not None and state.watch is None:
        true = as_array(y_true)
        is_swapped = bool((true != np.round(true)).any())
    if is_swapped:
        received = "predictions as the targets"
        raise ValueError(explain("targets first, then predictions", received, f"Call it {loss.name}(y_true, y_pred)."))
