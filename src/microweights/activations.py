"""The functions that bend a weighted sum; names and definitions are Keras's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import explain
from .ops import where
from .tensor import Tensor

Activation = Callable[[Tensor], Tensor]


def linear(x: Tensor) -> Tensor:
    """x"""
    return x


def exponential(x: Tensor) -> Tensor:
    """eˣ"""
    return x.exp()


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha (eˣ - 1)  (Clevert et al. 2016)"""
    return where(x > 0, x, alpha * x.clip(high=0).expm1())


def selu(x: Tensor) -> Tensor:
    """1.0507 elu(x, 1.6733): keeps mean 0 and variance 1 through the layers  (Klambauer et al. 2017)"""
    return 1.05070098735548049342 * elu(x, 1.67326324235437728481)


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where x > 0, else negative_slope x"""
    return where(x > 0, x, negative_slope * x)


def silu(x: Tensor) -> Tensor:
    """x sigmoid(x), also called swish  (Ramachandran et al. 2017)"""
    return x * x.sigmoid()


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)"""
    return x / (1 + x.abs())


NAMED: dict[str, Activation] = {
    "linear": linear,
    "relu": Tensor.relu,
    "sigmoid": Tensor.sigmoid,
    "tanh": Tensor.tanh,
    "softmax": Tensor.softmax,
    "log_softmax": Tensor.log_softmax,
    "softplus": Tensor.softplus,
    "softsign": softsign,
    "gelu": Tensor.gelu,
    "elu": elu,
    "selu": selu,
    "leaky_relu": leaky_relu,
    "silu": silu,
    "swish": silu,
    "exponential": exponential,
}


def get(identifier: Any) -> tuple[str, Activation]:
    """Name and function for a name, a function of tensors, or None, which is "linear".

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if identifier is None:
        return "linear", linear
    if callable(identifier):
        return getattr(identifier, "__name__", "custom"), identifier
    if not isinstance(identifier, str) or identifier not in NAMED:
        remedy = "Check the spelling, or pass a function of a tensor."
        raise ValueError(explain(f"an activation out of {sorted(NAMED)}", repr(identifier), remedy))
    return identifier, NAMED[identifier]
