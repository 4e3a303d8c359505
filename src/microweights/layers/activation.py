"""Activations as layers of their own; names, arguments and defaults are Keras's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import activations, initializers, ops, regularizers
from ..errors import explain
from ..tensor import Tensor
from .base import BatchShape, Layer, checked_shape, refuse_unless_none

__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"]


class Elementwise(Layer):
    """A function of each number: what goes out has the shape and the mask of what comes in."""

    _takes_one = _computes_in_floats = supports_masking = True

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        return tuple(input_shape)


def from_zero(name: str, given: Any) -> float:
    """A number that is not negative.

    Raises
    ------
    ValueError
        If it is.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not given >= 0:
        raise ValueError(explain(f"`{name}` from 0", repr(given), "Give a number that is not negative."))
    return float(given)


class ReLU(Elementwise):
    """max_value where x reaches it, x from `threshold` on, negative_slope (x - threshold) below.

    Parameters
    ----------
    max_value : float, optional
    negative_slope, threshold : float
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.ReLU(max_value=2.0, negative_slope=0.5)(mw.tensor([-2.0, 1.0, 5.0])).tolist()
    [-1.0, 1.0, 2.0]
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.max_value = None if max_value is None else from_zero("max_value", max_value)
        self.negative_slope, self.threshold = from_zero("negative_slope", negative_slope), from_zero("threshold", threshold)

    def call(self, x: Tensor) -> Tensor:
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Elementwise):
    """x above 0, negative_slope x below  (Maas et al. 2013).

    Parameters
    ----------
    negative_slope : float
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.LeakyReLU(0.5)(mw.tensor([-2.0, 1.0])).tolist()
    [-1.0, 1.0]
    """

    def __init__(self, negative_slope: float = 0.3, **options: Any) -> None:
        super().__init__(**options)
        self.negative_slope = from_zero("negative_slope", negative_slope)

    def call(self, x: Tensor) -> Tensor:
        return activations.leaky_relu(x, self.negative_slope)


class PReLU(Elementwise):
    """x above 0, alpha x below, with an alpha that is learnt  (He et al. 2015).

    Parameters
    ----------
    alpha_initializer : str or Initializer
    alpha_regularizer : str, Regularizer or None
    alpha_constraint : None
        Keras's; there are none here.
    shared_axes : int or sequence of int, optional
        Axes along which there is one alpha for all: of images (1, 2), for one each channel.
    **options
        `name`, `trainable` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.PReLU("ones")(mw.tensor([[-2.0, 1.0]])).tolist()
    [[-2.0, 1.0]]
    """

    alpha_constraint: ClassVar[None] = None

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        refuse_unless_none(alpha_constraint=alpha_constraint)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = None if alpha_regularizer is None else regularizers.get(alpha_regularizer)
        given = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = None if given is None else list(given)

    def build(self, input_shape: BatchShape) -> None:
        shared = [] if self.shared_axes is None else ops.axes_of(tuple(self.shared_axes), len(input_shape))
        sizes = [1 if axis in shared else n for axis, n in enumerate(input_shape)][1:]
        shape = checked_shape("input_shape", sizes)
        self.alpha = self.add_weight(shape, self.alpha_initializer, name="alpha", regularizer=self.alpha_regularizer)

    def call(self, x: Tensor) -> Tensor:
        return activations.relu(x) - self.alpha * activations.relu(-x)


class ELU(Elementwise):
    """x above 0, alpha (eˣ - 1) below  (Clevert et al. 2016).

    Parameters
    ----------
    alpha : float
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.ELU()(mw.tensor([-1000.0, 1.0])).tolist()
    [-1.0, 1.0]
    """

    def __init__(self, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = alpha

    def call(self, x: Tensor) -> Tensor:
        return activations.elu(x, self.alpha)


class Softmax(Elementwise):
    """Probabilities along an axis: exp(x) / Σ exp(x).

    Parameters
    ----------
    axis : int or sequence of int
    **options
        `name` and others of :class:`Layer`.

    Called with a mask, 0 stands where it is False.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Softmax()(mw.tensor([[1.0, 1.0, 5.0]]), mask=mw.tensor([[True, True, False]])).tolist()
    [[0.5, 0.5, 0.0]]
    """

    def __init__(self, axis: int | Sequence[int] = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, x: Tensor, mask: Any = None) -> Tensor:
        if mask is not None:
            mask = mask > 0.5
            x = ops.where(mask, x, -1e9)
        axes = list(ops.axes_of(tuple(self.axis) if isinstance(self.axis, (list, tuple)) else self.axis, x.ndim))
        if len(axes) == 1:
            z = activations.softmax(x, axes[0])
        else:
            e = (x - x.max(axis=tuple(axes), keepdims=True)).exp()
            z = e / e.sum(axis=tuple(axes), keepdims=True)
        return z if mask is None else ops.where(mask, z, 0.0)
