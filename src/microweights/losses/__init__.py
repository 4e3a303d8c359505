"""What training makes small; names, arguments and defaults are Keras's.

A loss turns targets and predictions into one number: the mean over samples, each first multiplied by its sample weight.
Each is a class, whose objects have settings; a name for `compile`; and a function that gives the losses of the samples.

Examples
--------
>>> import microweights as mw
>>> mw.losses.MeanSquaredError()([1.0, 2.0], mw.tensor([1.0, 4.0])).item()
2.0
>>> mw.losses.mean_squared_error([[1.0, 2.0], [0.0, 0.0]], mw.tensor([[1.0, 4.0], [1.0, 1.0]]))
tensor([2., 1.])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import explain
from ..naming import lookup
from ..tensor import Tensor
from .base import FunctionLoss, Loss, as_function
from .classification import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    Hinge,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from .regression import (
    CosineSimilarity,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
)

mean_squared_error = as_function(MeanSquaredError)
mean_absolute_error = as_function(MeanAbsoluteError)
mean_absolute_percentage_error = as_function(MeanAbsolutePercentageError)
mean_squared_logarithmic_error = as_function(MeanSquaredLogarithmicError)
huber = as_function(Huber)
log_cosh = as_function(LogCosh)
hinge = as_function(Hinge)
squared_hinge = as_function(SquaredHinge)
categorical_hinge = as_function(CategoricalHinge)
binary_crossentropy = as_function(BinaryCrossentropy)
binary_focal_crossentropy = as_function(BinaryFocalCrossentropy)
categorical_crossentropy = as_function(CategoricalCrossentropy)
categorical_focal_crossentropy = as_function(CategoricalFocalCrossentropy)
sparse_categorical_crossentropy = as_function(SparseCategoricalCrossentropy)
kl_divergence = as_function(KLDivergence)
poisson = as_function(Poisson)
cosine_similarity = as_function(CosineSimilarity)

FUNCTIONS: dict[str, Callable[..., Tensor]] = {f.__name__: f for f in globals().values() if hasattr(f, "loss")}
SHORT = {
    "mse": "mean_squared_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error", "bce": "binary_crossentropy", "kld": "kl_divergence", "logcosh": "log_cosh",
}  # fmt: skip
TABLE: dict[str, type[Loss]] = {name: f.loss for name, f in FUNCTIONS.items()}  # type: ignore[attr-defined]
TABLE |= {short: TABLE[name] for short, name in SHORT.items()}


def get(identifier: Any) -> Loss:
    """The loss for a name ("mse"), a Loss, a class, a configuration, or a function of targets and predictions."""
    if callable(identifier) and not isinstance(identifier, (Loss, type)):
        standard = getattr(identifier, "loss", None)
        return standard() if isinstance(standard, type) else FunctionLoss(identifier)
    return lookup("a loss", identifier, Loss, TABLE)


def to_train_with(identifier: Any) -> Loss:
    """The same, for `compile`.

    Raises
    ------
    ValueError
        If it leaves a loss for each sample, where a training needs one number.
    """
    loss = get(identifier)
    if loss.reduction in ("none", None):
        remedy = "Leave out `reduction`, or take 'sum'."
        raise ValueError(explain("a loss that is one number", f"reduction={loss.reduction!r}", remedy))
    return loss


__all__ = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalHinge", "CosineSimilarity", "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge", "cosine_similarity", "get", "hinge",
    "huber", "kl_divergence", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "poisson", "sparse_categorical_crossentropy", "squared_hinge",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
