"""Layers that disturb what passes through while a network is trained; names, arguments and defaults are Keras's."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import random
from ..errors import explain
from ..kernels import door
from ..tensor import Array, Tensor
from .activation import Elementwise, from_zero
from .core import Dropout, data_format_of

__all__ = ["AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"]


class SpatialDropout(Dropout):
    """While training, whole channels of a sample are set to 0 with probability `rate`, and the others grow by 1 / (1 - rate).

    Neighbours in an image say nearly the same, so dropping one of them alone hides nothing  (Tompson et al. 2015).

    Parameters
    ----------
    rate : float
        From 0 to below 1.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    seed : int, optional
        For random numbers of its own.
    """

    _axes: ClassVar[int]

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = data_format_of(data_format)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if x.ndim != self._axes + 2:
            expected = f"inputs of {self._axes + 2} axes, with samples and channels, for {self.name!r}"
            raise ValueError(explain(expected, f"shape {x.shape}", "Use Dropout for others."))
        ones = (1,) * self._axes
        last = self.data_format == "channels_last"
        self.noise_shape = (None, *ones, None) if last else (None, None, *ones)
        return super().call(x, training)


class Noise(Elementwise):
    """With random numbers, of its own or of the library's common stream."""

    def _set_seed(self, seed: int | None) -> None:
        self.seed = seed
        self._state: Array | None = None if seed is None else random.new_state(seed)

    @property
    def _stream(self) -> Array:
        return random.common() if self._state is None else self._state

    def _normal(self, x: Tensor, mean: float, deviation: float) -> Tensor:
        return Tensor(door.random("normal", self._stream, x.shape, x.dtype, mean, deviation))


class GaussianNoise(Noise):
    """While training, x plus normal noise.

    Parameters
    ----------
    stddev : float
        The noise's standard deviation.
    seed : int, optional
        For random numbers of its own.
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.GaussianNoise(0.1)(mw.tensor([[1.0]])).tolist()
    [[1.0]]
    """

    def __init__(self, stddev: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.stddev = from_zero("stddev", stddev)
        self._set_seed(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x + self._normal(x, 0.0, self.stddev) if training and self.stddev > 0 else x


class GaussianDropout(Noise):
    """While training, x times normal noise of mean 1 and deviation √(rate / (1 - rate))  (Srivastava et al. 2014, section 10).

    Parameters
    ----------
    rate : float
        From 0 to below 1.
    seed : int, optional
        For random numbers of its own.
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.GaussianDropout(0.1)(mw.tensor([[1.0]])).tolist()
    [[1.0]]
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.rate = from_zero("rate", rate)
        if self.rate >= 1:
            raise ValueError(explain("`rate` from 0 to below 1", rate, "It is the part of inputs to drop."))
        self._set_seed(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        return x * self._normal(x, 1.0, (self.rate / (1 - self.rate)) ** 0.5)


class AlphaDropout(Noise):
    """While training, inputs are set to the value that selu tends to, with probability `rate`.

    All are then scaled and shifted so that mean and variance stay  (Klambauer et al. 2017).

    Parameters
    ----------
    rate : float
        From 0 to below 1.
    noise_shape : tuple of int, optional
        The shape of the choices; None in it is the size of the input, and along an axis of size 1 all share one.
    seed : int, optional
        For random numbers of its own.
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.AlphaDropout(0.1)(mw.tensor([[1.0]])).tolist()
    [[1.0]]
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.rate = from_zero("rate", rate)
        if self.rate >= 1:
            raise ValueError(explain("`rate` from 0 to below 1", rate, "It is the part of inputs to drop."))
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self._set_seed(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        lowest = -1.6732632423543772 * 1.0507009873554805  # of selu
        scale: float = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5
        shape = tuple(n if m is None else m for n, m in zip(x.shape, self.noise_shape or (None,) * x.ndim, strict=True))
        kept = Tensor(door.random("bernoulli", self._stream, shape, x.dtype, 1 - self.rate, 1.0))
        return (x * kept + (1 - kept) * lowest) * scale - scale * lowest * self.rate


class SpatialDropout1D(SpatialDropout):
    """For series (samples, length, channels): whole channels of a sample are dropped.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.SpatialDropout1D(0.2).compute_output_shape((None, 10, 4))
    (None, 10, 4)
    """

    _axes = 1

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(rate, None, seed, name, dtype)


class SpatialDropout2D(SpatialDropout):
    """For images (samples, height, width, channels): whole channels of a sample are dropped.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.SpatialDropout2D(0.2).compute_output_shape((None, 10, 8, 4))
    (None, 10, 8, 4)
    """

    _axes = 2


class SpatialDropout3D(SpatialDropout):
    """For volumes (samples, depth, height, width, channels): whole channels of a sample are dropped.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.SpatialDropout3D(0.2).compute_output_shape((None, 6, 10, 8, 4))
    (None, 6, 10, 8, 4)
    """

    _axes = 3
