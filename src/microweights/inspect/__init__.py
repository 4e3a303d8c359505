"""What a trained model has learned: how much each input counts."""

from .importance import Importance, gradient_importance, permutation_importance, weight_importance

__all__ = ["Importance", "gradient_importance", "permutation_importance", "weight_importance"]


def __dir__() -> list[str]:
    return sorted(__all__)
