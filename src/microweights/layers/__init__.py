"""The parts of a network."""

from .base import Layer
from .core import Activation, Dense, Dropout, Flatten, Input, InputLayer, Reshape

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "InputLayer", "Layer", "Reshape"]


def __dir__() -> list[str]:
    return sorted(__all__)
