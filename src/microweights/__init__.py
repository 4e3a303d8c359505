"""microweights: a deep-learning library small enough to read, with its hot path in C."""

__version__ = "0.1.0"

from . import (
    activations,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    random,
    regularizers,
    schedules,
)
from .autograd import grad
from .capture.captured import capture
from .gradcheck import gradcheck
from .kernels.machine import set_num_threads, show_config
from .layers import Input
from .models import Model, Sequential
from .ops import concatenate, maximum, minimum, pad, split, stack, unstack, where
from .random import seed
from .scalar import Value, weighted_sum
from .state import no_grad
from .tape import Tape
from .tensor import Tensor, from_dlpack, tensor

_LATER = ("datasets", "inspect", "linear_model", "neural_network", "utils")  # read only by those who ask for them

__all__ = [
    "Input", "Model", "Sequential", "Tape", "Tensor", "Value", "activations", "callbacks", "capture", "concatenate", "datasets",
    "from_dlpack", "grad", "gradcheck", "initializers", "inspect", "layers", "linear_model", "losses", "maximum", "metrics",
    "minimum", "models", "neural_network", "no_grad", "ops", "optimizers", "pad", "random", "regularizers", "schedules", "seed",
    "set_num_threads", "show_config", "split", "stack", "tensor", "unstack", "utils", "weighted_sum", "where",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> object:
    if name in _LATER:
        import importlib

        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'microweights' has no attribute {name!r}")
