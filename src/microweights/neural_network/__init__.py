"""Multi-layer perceptrons with scikit-learn's conventions, and what its own lack: an activation for each layer, dropout,
weights of classes, validation data of one's own, both curves of the loss, training in float32.
"""

from .. import estimators as _shared  # noqa: F401  says what is missing
from .classifier import MLPClassifier
from .regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]


def __dir__() -> list[str]:
    return sorted(__all__)
