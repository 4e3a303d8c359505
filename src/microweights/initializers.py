"""How weights begin: names, arguments and defaults are Keras's.

Weights that all start equal stay equal, and weights that start too large or too small let signals explode or die out
from layer to layer. Glorot's and He's scales keep the variance of signals the same through the layers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import random
from .errors import explain
from .naming import Configurable, lookup, snake_case
from .tensor import Array

Shape = tuple[int, ...]


class Initializer(Configurable):
    """Makes the first values of weights: `initializer(shape, dtype)` returns an array."""

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        raise NotImplementedError


class Zeros(Initializer):
    """All 0: the start of biases."""

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        return np.ones(shape, dtype)


class Constant(Initializer):
    """All `value`."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        return np.full(shape, self.value, dtype)


class RandomInitializer(Initializer):
    """Draws from the library's stream of random numbers, or with `seed` from one of its own: the same at each call."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        random.new_state(seed)

    def state(self) -> Array:
        return random.new_state(self.seed)


class RandomNormal(RandomInitializer):
    """Normal with the given mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        return random.draw("normal", shape, self.mean, self.stddev, dtype, self.state())


class RandomUniform(RandomInitializer):
    """Uniform in [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        return random.draw("uniform", shape, self.minval, self.maxval, dtype, self.state())


class TruncatedNormal(RandomInitializer):
    """Normal, with what lies more than two standard deviations from the mean drawn again."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        state = self.state()
        z = random.draw("normal", shape, 0.0, 1.0, dtype, state)
        while (outside := np.abs(z) > 2).any():
            z[outside] = random.draw("normal", int(outside.sum()), 0.0, 1.0, dtype, state)
        return np.asarray(self.mean + self.stddev * z, dtype)


class VarianceScaling(RandomInitializer):
    """Variance `scale` / n, where n is the number of inputs of a neuron, of its outputs, or the mean of both.

    Parameters
    ----------
    scale : float
        Positive.
    mode : {"fan_in", "fan_out", "fan_avg"}
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
    seed : int, optional
    """

    def __init__(
        self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal", seed: int | None = None
    ) -> None:
        super().__init__(seed)
        if not scale > 0:
            raise ValueError(explain("`scale` to be positive", scale, "1 keeps the variance, 2 makes up for relu's zeros."))
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(explain("`mode` 'fan_in', 'fan_out' or 'fan_avg'", repr(mode), "Check the spelling."))
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            remedy = "Choose 'truncated_normal', 'untruncated_normal' or 'uniform'."
            raise ValueError(explain("a known `distribution`", repr(distribution), remedy))
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        deviation = math.sqrt(self.scale / max(1.0, n))
        if self.distribution == "uniform":
            limit = math.sqrt(3) * deviation
            return random.draw("uniform", shape, -limit, limit, dtype, self.state())
        if self.distribution == "untruncated_normal":
            return random.draw("normal", shape, 0.0, deviation, dtype, self.state())
        # 0.8796...: the standard deviation of a normal that is cut off at two of its own
        return TruncatedNormal(0.0, deviation / 0.87962566103423978, self.seed)(shape, dtype)


def fans(shape: Shape) -> tuple[float, float]:
    """Inputs and outputs of a neuron for a kernel (in, out), or (..., in, out) of a convolution."""
    if len(shape) < 2:
        n = float(shape[0]) if shape else 1.0
        return n, n
    field = math.prod(shape[:-2])
    return float(field * shape[-2]), float(field * shape[-1])


class GlorotUniform(VarianceScaling):
    """Uniform in ±√(6 / (fan_in + fan_out))  (Glorot & Bengio 2010)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Normal with variance 2 / (fan_in + fan_out)  (Glorot & Bengio 2010)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform in ±√(6 / fan_in), for relu  (He et al. 2015)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Normal with variance 2 / fan_in, for relu  (He et al. 2015)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Uniform in ±√(3 / fan_in)  (LeCun et al. 1998)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Normal with variance 1 / fan_in  (LeCun et al. 1998)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


class Orthogonal(RandomInitializer):
    """`gain` times a matrix with orthonormal rows or columns  (Saxe et al. 2014)."""

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        if len(shape) < 2:
            raise ValueError(explain("a shape of at least two axes for orthogonal weights", shape, "Use 'random_normal'."))
        rows, columns = math.prod(shape[:-1]), shape[-1]
        a = random.draw("normal", (max(rows, columns), min(rows, columns)), 0.0, 1.0, np.float64, self.state())
        q, r = np.linalg.qr(a)
        q *= np.sign(np.diag(r))  # makes the choice of q unique
        return np.ascontiguousarray(self.gain * (q if rows >= columns else q.T).reshape(shape), dtype)


class Identity(Initializer):
    """`gain` times the identity matrix: a layer that at first gives back what it gets."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        if len(shape) != 2:
            raise ValueError(explain("a shape of two axes for an identity matrix", shape, "Use 'orthogonal' for others."))
        return np.asarray(self.gain * np.eye(*shape), dtype)


_CLASSES = (
    Zeros, Ones, Constant, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, GlorotUniform, GlorotNormal,
    HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal, Identity,
)  # fmt: skip
_TABLE: dict[str, type[Initializer]] = {
    **{snake_case(c.__name__): c for c in _CLASSES},
    "zero": Zeros, "one": Ones, "normal": RandomNormal, "uniform": RandomUniform,
}  # fmt: skip

# the names that classes have in Keras, too
zeros, ones, constant, identity, orthogonal = Zeros, Ones, Constant, Identity, Orthogonal
random_normal, random_uniform, truncated_normal, variance_scaling = (
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
)
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform = LecunNormal, LecunUniform

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "Initializer", "LecunNormal",
    "LecunUniform", "Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros",
    "constant", "get", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal",
    "lecun_uniform", "ones", "orthogonal", "random_normal", "random_uniform", "truncated_normal", "variance_scaling",
    "zeros",
]  # fmt: skip


def get(identifier: Any) -> Initializer:
    """The initializer for a name ("he_normal"), an Initializer, or its configuration {"class_name": ..., "config": ...}."""
    return lookup("an initializer", identifier, Initializer, _TABLE)


def __dir__() -> list[str]:
    return sorted(__all__)
