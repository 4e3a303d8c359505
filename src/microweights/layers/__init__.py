"""The parts of a network."""

from .base import Layer
from .core import Activation, Dense, Dropout, Flatten, Input, InputLayer, Masking, Reshape
from .merge import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)

__all__ = [
    "Activation", "Add", "Average", "Concatenate", "Dense", "Dot", "Dropout", "Flatten", "Input", "InputLayer", "Layer",
    "Masking", "Maximum", "Minimum", "Multiply", "Reshape", "Subtract", "add", "average", "concatenate", "dot", "maximum",
    "minimum", "multiply", "subtract",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
