"""The functions that bend a weighted sum; names, arguments and definitions are Keras's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from .errors import NotNumbers, explain
from .ops import one_axis, where
from .tensor import FLOATS, Operand, Tensor, real

Activation = Callable[..., Tensor]
NAMED: dict[str, Activation] = {}

F = TypeVar("F", bound=Activation)


def _named(function: F) -> F:
    """A function of a tensor as one of all that holds numbers, which layers know by its name."""

    @functools.wraps(function)
    def activation(x: Operand, *args: Any, **options: Any) -> Tensor:
        try:
            return function(x if isinstance(x, Tensor) and x.data.dtype in FLOATS else real(x), *args, **options)
        except NotNumbers as error:
            return cast(Tensor, error.symbol.apply(activation, (x, *args), options))

    NAMED[function.__name__] = activation
    return cast(F, activation)


@_named
def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """x where x >= threshold, else negative_slope (x - threshold); at most max_value"""
    is_plain = negative_slope == 0 and threshold == 0
    z = x.relu() if is_plain else where(x >= threshold, x, negative_slope * (x - threshold))
    return z if max_value is None else z.clip(high=max_value)


@_named
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)"""
    return x.clip(0, 6)


@_named
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)"""
    return x.sigmoid()


@_named
def tanh(x: Tensor) -> Tensor:
    """(eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)"""
    return x.tanh()


@_named
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """eˣ / Σ eˣ along one axis"""
    return x.softmax(axis)


@_named
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """ln softmax(x) along one axis, without underflow"""
    return x.log_softmax(axis)


@_named
def softplus(x: Tensor) -> Tensor:
    """ln(1 + eˣ)"""
    return x.softplus()


@_named
def log_sigmoid(x: Tensor) -> Tensor:
    """ln sigmoid(x) = -softplus(-x)"""
    return -(-x).softplus()


@_named
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x Φ(x); approximate: x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2  (Hendrycks & Gimpel 2016)"""
    return 0.5 * x * (1 + (0.79788456080286535588 * (x + 0.044715 * x * x.square())).tanh()) if approximate else x.gelu()


@_named
def linear(x: Tensor) -> Tensor:
    """x"""
    return x


@_named
def exponential(x: Tensor) -> Tensor:
    """eˣ"""
    return x.exp()


@_named
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha (eˣ - 1)  (Clevert et al. 2016)"""
    return where(x > 0, x, alpha * x.clip(high=0).expm1())


@_named
def selu(x: Tensor) -> Tensor:
    """1.0507 elu(x, 1.6733): keeps mean 0 and variance 1 through the layers  (Klambauer et al. 2017)"""
    return 1.05070098735548049342 * elu(x, 1.67326324235437728481)


@_named
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where x > 0, else negative_slope x"""
    return where(x > 0, x, negative_slope * x)


@_named
def silu(x: Tensor) -> Tensor:
    """x sigmoid(x), also called swish  (Ramachandran et al. 2017)"""
    return x * x.sigmoid()


@_named
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)"""
    return x / (1 + x.abs())


@_named
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha (e^(x / alpha) - 1)  (Barron 2017)"""
    return where(x > 0, x, alpha * ((where(x > 0, 0.0, x) / alpha).exp() - 1))


@_named
def hard_sigmoid(x: Tensor) -> Tensor:
    """x / 6 + 1/2, limited to [0, 1]"""
    return (x / 6 + 0.5).clip(0, 1)


@_named
def hard_silu(x: Tensor) -> Tensor:
    """x hard_sigmoid(x), also called hard swish  (Howard et al. 2019)"""
    return x * (x / 6 + 0.5).clip(0, 1)


@_named
def hard_tanh(x: Tensor) -> Tensor:
    """x limited to [-1, 1]"""
    return x.clip(-1, 1)


@_named
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """0 where |x| <= threshold, else x"""
    return where(x.abs() <= threshold, 0.0, x)


@_named
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x nearer to 0 by the threshold, and 0 where |x| <= threshold"""
    return x - x.clip(-threshold, threshold)


@_named
def tanh_shrink(x: Tensor) -> Tensor:
    """x - tanh(x)"""
    return x - x.tanh()


@_named
def mish(x: Tensor) -> Tensor:
    """x tanh(softplus(x))  (Misra 2019)"""
    return x * x.softplus().tanh()


@_named
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """(x + √(x² + b)) / 2  (Barron 2021)"""
    return 0.5 * (x + (x.square() + b).sqrt())


@_named
def sparse_plus(x: Tensor) -> Tensor:
    """0 where x <= -1, x where x >= 1, between them (x + 1)² / 4"""
    return where(x <= -1, 0.0, where(x >= 1, x, 0.25 * (x + 1).square()))


@_named
def sparse_sigmoid(x: Tensor) -> Tensor:
    """(x + 1) / 2, limited to [0, 1]"""
    return (0.5 * (x + 1)).clip(0, 1)


def glu(x: Operand, axis: int = -1) -> Tensor:
    """a sigmoid(b) for the two halves a, b of an axis  (Dauphin et al. 2017)"""
    x = real(x)
    a = one_axis(axis, x.ndim)
    half, odd = divmod(x.shape[a], 2)
    if odd:
        raise ValueError(explain(f"an even size of axis {axis}", f"shape {x.shape}", "Its two halves are multiplied."))
    before = (slice(None),) * a
    return x[(*before, slice(0, half))] * x[(*before, slice(half, None))].sigmoid()


def threshold(x: Operand, threshold: float, default_value: float) -> Tensor:
    """x where x > threshold, else default_value"""
    t = real(x)
    return where(t <= threshold, default_value, t)


swish, hard_swish = silu, hard_silu
NAMED |= {"swish": swish, "hard_swish": hard_swish}

__all__ = [*NAMED, "get", "glu", "threshold"]


def get(identifier: Any) -> Activation:
    """The function for a name, for itself, or for None, which is "linear".

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if identifier is None:
        return linear
    if callable(identifier):
        found: Activation = identifier
        return found
    if not isinstance(identifier, str) or identifier not in NAMED:
        remedy = "Check the spelling, or pass a function of a tensor."
        raise ValueError(explain(f"an activation out of {sorted(NAMED)}", repr(identifier), remedy))
    return NAMED[identifier]


def __dir__() -> list[str]:
    return sorted(__all__)
