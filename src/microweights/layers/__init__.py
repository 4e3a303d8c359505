"""The parts of a network."""

from .base import Layer
from .core import Activation, Dense, Dropout, Flatten, Input, Reshape

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "Layer", "Reshape"]
