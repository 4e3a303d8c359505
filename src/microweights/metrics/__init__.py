"""Numbers that tell how well a model does, gathered over batches; names, arguments and defaults are Keras's.

Each metric is a class, whose objects gather batches, and a name for `compile`; those that are a value for each sample are
functions, too, which give these values.

Examples
--------
>>> import microweights as mw
>>> mw.metrics.MeanAbsoluteError()([1.0, 2.0], [1.0, 4.0])
1.0
>>> mw.metrics.binary_accuracy([[1, 0], [1, 1]], [[0.9, 0.2], [0.3, 0.6]])
tensor([1. , 0.5], dtype=float64)
"""

from __future__ import annotations

from typing import Any

from ..losses import (
    FUNCTIONS,
    SHORT,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from ..naming import lookup, snake_case
from ..tensor import Tensor
from .base import Mean, MeanMetric, MeanMetricWrapper, Metric, Sum, exact
from .classification import (
    Accuracy,
    AccuracyByShape,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    LogLoss,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    binary_hits,
    categorical_hits,
    sparse_categorical_hits,
)
from .counts import ConfusionMatrix, F1Score, Precision, Recall
from .ranking import AUC, SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy, top_k_hits
from .regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    R2Score,
    RootMeanSquaredError,
)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """How many of a sample's targets are 1 where the prediction is above `threshold`, and 0 or -1 where it is not."""
    values = binary_hits(exact(y_true), exact(y_pred), threshold)
    return values.mean(-1) if values.ndim > 1 else values


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest prediction of a sample stands where the largest target does, else 0."""
    return categorical_hits(exact(y_true), exact(y_pred))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest prediction of a sample stands at its label, else 0."""
    return sparse_categorical_hits(exact(y_true), exact(y_pred))


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the class of a sample, one-hot or its label, is among the `k` largest predictions, else 0."""
    return top_k_hits(exact(y_true), exact(y_pred), k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the label of a sample is among the `k` largest predictions, else 0."""
    return top_k_hits(exact(y_true), exact(y_pred), k)


_NAMED: tuple[type[Metric], ...] = (
    AUC, BinaryAccuracy, BinaryCrossentropy, CategoricalAccuracy, CategoricalCrossentropy, CategoricalHinge, ConfusionMatrix,
    CosineSimilarity, F1Score, Hinge, KLDivergence, LogLoss, Mean, MeanAbsoluteError, MeanAbsolutePercentageError,
    MeanSquaredError, MeanSquaredLogarithmicError, Poisson, Precision, R2Score, Recall, RootMeanSquaredError,
    SparseCategoricalAccuracy, SparseCategoricalCrossentropy, SparseTopKCategoricalAccuracy, SquaredHinge, Sum,
    TopKCategoricalAccuracy,
)  # fmt: skip
TABLE: dict[str, Any] = dict(FUNCTIONS)  # losses are metrics, too
TABLE |= {snake_case(c.__name__): c for c in _NAMED}
TABLE |= {short: TABLE[name] for short, name in SHORT.items()}
TABLE |= {"accuracy": AccuracyByShape, "acc": AccuracyByShape, "logcosh": LogCoshError, "log_cosh_error": LogCoshError}
TABLE |= {"f1": F1Score, "r2": R2Score, "rmse": RootMeanSquaredError}


def get(identifier: Any) -> Metric:
    """The metric for a name ("accuracy"), a Metric, a class, a configuration, or a function of targets and predictions.

    It reports under the name that it was asked for by, or that of the function.
    """
    found = identifier
    if isinstance(identifier, str):
        found = TABLE.get(identifier) or TABLE.get(snake_case(identifier))
    is_function = callable(found) and not isinstance(found, (Metric, type))
    metric = MeanMetricWrapper(found) if is_function else lookup("a metric", identifier, Metric, TABLE)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "CategoricalAccuracy", "CategoricalCrossentropy",
    "CategoricalHinge", "ConfusionMatrix", "CosineSimilarity", "F1Score", "Hinge", "KLDivergence", "LogCoshError", "LogLoss",
    "Mean", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanMetric", "MeanMetricWrapper", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Metric", "Poisson", "Precision", "R2Score", "Recall", "RootMeanSquaredError",
    "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy", "SparseTopKCategoricalAccuracy", "SquaredHinge", "Sum",
    "TopKCategoricalAccuracy", "binary_accuracy", "binary_crossentropy", "binary_focal_crossentropy", "categorical_accuracy",
    "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge", "get", "hinge", "huber",
    "kl_divergence", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "poisson", "sparse_categorical_accuracy", "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy", "squared_hinge", "top_k_categorical_accuracy",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
