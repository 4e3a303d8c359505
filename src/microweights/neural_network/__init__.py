"""Multi-layer perceptrons with the interface of scikit-learn."""

from .perceptron import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]


def __dir__() -> list[str]:
    return sorted(__all__)
