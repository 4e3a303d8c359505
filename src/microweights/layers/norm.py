"""Layers that bring numbers to a common mean and deviation; names, arguments and defaults are Keras's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from .. import initializers, ops, regularizers
from ..errors import explain
from ..kernels import door
from ..state import overwritten
from ..tensor import Tensor
from .base import BatchShape, Layer, Shape, checked_shape, refuse_unless_none

__all__ = ["BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization"]

Axis = int | Sequence[int]


def small(epsilon: Any) -> float:
    """An `epsilon` argument.

    Raises
    ------
    ValueError
        If it is no number, or negative.
    """
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not epsilon >= 0:
        raise ValueError(explain("`epsilon` from 0", repr(epsilon), "It keeps from dividing by 0, as 1e-3 does."))
    return float(epsilon)


class Normalization(Layer):
    """What they share: the axes that numbers belong to, and a check of them."""

    _takes_one = _computes_in_floats = supports_masking = True
    axis: Axis

    def _axes_of(self, axis: Axis, shape: BatchShape) -> list[int]:
        found = ops.axes_of(tuple(axis) if isinstance(axis, (list, tuple)) else axis, len(shape))
        if 0 in found:
            raise ValueError(explain(f"an `axis` of {self.name!r} besides that of samples", axis, "Name another."))
        return list(found)

    def _axis_of(self, shape: BatchShape) -> int:
        """The one axis of channels."""
        found = self._axes_of(self.axis, shape)
        if len(found) != 1:
            raise ValueError(explain(f"one `axis` of {self.name!r}", repr(self.axis), "Name that of the channels."))
        return found[0]

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        self._axes_of(getattr(self, "axis", -1), input_shape)
        return tuple(input_shape)


class Scaled(Normalization):
    """One that multiplies with a gamma and adds a beta, of its own for each channel."""

    beta_constraint: ClassVar[None] = None
    gamma_constraint: ClassVar[None] = None

    def _set(self, axis: Axis, epsilon: float, center: bool, scale: bool, beta: Sequence[Any], gamma: Sequence[Any]) -> None:
        """`beta` and `gamma` are an initializer, a regularizer and a constraint."""
        refuse_unless_none(beta_constraint=beta[2], gamma_constraint=gamma[2])
        self.axis, self.epsilon, self.center, self.scale = axis, small(epsilon), bool(center), bool(scale)
        self.beta_initializer, self.gamma_initializer = initializers.get(beta[0]), initializers.get(gamma[0])
        self.beta_regularizer = None if beta[1] is None else regularizers.get(beta[1])
        self.gamma_regularizer = None if gamma[1] is None else regularizers.get(gamma[1])
        self.beta: Tensor | None = None
        self.gamma: Tensor | None = None

    def _make_weights(self, shape: Shape) -> None:
        if self.scale:
            self.gamma = self.add_weight(shape, self.gamma_initializer, name="gamma", regularizer=self.gamma_regularizer)
        if self.center:
            self.beta = self.add_weight(shape, self.beta_initializer, name="beta", regularizer=self.beta_regularizer)

    def _given(self) -> list[Tensor]:
        """gamma and beta as inputs of an operation on the columns of a matrix."""
        return [w if w.ndim == 1 else w.reshape(w.size) for w in (self.gamma, self.beta) if w is not None]


class BatchNormalization(Scaled):
    """(x - mean) / √(variance + epsilon) gamma + beta, for each channel  (Ioffe & Szegedy 2015).

    In a training, mean and variance are those of the batch, and moving averages of both are kept; else, and in a layer that is
    frozen by `trainable = False`, they are these averages.

    Parameters
    ----------
    axis : int
        Which axis the channels are on.
    momentum : float
        A moving average becomes average * momentum + batch * (1 - momentum).
    epsilon : float
    center, scale : bool
        Whether there is a beta, a gamma.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer : str or Initializer
    beta_regularizer, gamma_regularizer : str, Regularizer or None
    beta_constraint, gamma_constraint : None
        Keras's; there are none here.
    renorm, renorm_clipping, renorm_momentum, synchronized
        Taken only as they are by default: batch renormalisation is not there, and a batch is on one machine.
    **options
        `name`, `trainable`, `dtype` and others of :class:`Layer`.

    With a mask of shape (samples, times), positions that are masked do not count in mean and variance.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> import microweights as mw
    >>> layer = mw.layers.BatchNormalization(epsilon=0.0)
    >>> layer(mw.tensor([[1.0], [3.0]]), training=True).tolist()
    [[-1.0], [1.0]]
    >>> layer.moving_mean.tolist()
    [0.019999999552965164]
    """

    # What it computes depends on `trainable`, too, of which programs learn as of any attribute.
    _notes: ClassVar[frozenset[str]] = Layer._notes - {"trainable", "_trainable"}

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if renorm or renorm_clipping is not None:
            raise ValueError(explain("`renorm=False`", "True", "Batch renormalisation is not there; raise the batch size."))
        if synchronized:
            remedy = "A batch is computed on one machine here; there is nobody to synchronise with."
            raise ValueError(explain("`synchronized=False`", "True", remedy))
        if isinstance(momentum, bool) or not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError(explain("`momentum` from 0 to 1", repr(momentum), "It is the part of an average that is kept."))
        self.momentum, self.renorm, self.renorm_clipping = float(momentum), False, None
        self.renorm_momentum, self.synchronized = renorm_momentum, False
        beta = beta_initializer, beta_regularizer, beta_constraint
        self._set(axis, epsilon, center, scale, beta, (gamma_initializer, gamma_regularizer, gamma_constraint))
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: BatchShape) -> None:
        axis = self._axis_of(input_shape)
        (self.channels,) = shape = checked_shape("input_shape", (input_shape[axis],))
        self._make_weights(shape)
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(shape, self.moving_variance_initializer, trainable=False, name="moving_variance")

    def call(self, x: Tensor, training: bool = False, mask: Any = None) -> Tensor:
        axis = self._axis_of(x.shape)
        if x.shape[axis] != self.channels:
            remedy = "The layer was built for that many."
            raise ValueError(explain(f"{self.channels} channels on axis {axis} for {self.name!r}", x.shape, remedy))
        order = [i for i in range(x.ndim) if i != axis] + [axis]
        moved = x if axis == x.ndim - 1 else x.transpose(*order)
        rows = moved if moved.ndim == 2 else moved.reshape(math.prod(moved.shape[:-1]), self.channels)
        z = self._normalized(rows, bool(training) and self.trainable, mask, x.shape)
        z = z if moved.ndim == 2 else z.reshape(moved.shape)
        return z if axis == x.ndim - 1 else z.transpose(*[order.index(i) for i in range(x.ndim)])

    def _normalized(self, rows: Tensor, training: bool, mask: Any, shape: Shape) -> Tensor:
        options: dict[str, Any] = {"epsilon": self.epsilon, "scale": self.scale, "center": self.center}
        if not training:
            return ops.Normalize(**options)(rows, self.moving_mean, self.moving_variance, *self._given())
        if mask is None:
            batch_norm = ops.BatchNorm(**options)
            z = batch_norm(rows, *self._given())
            self._blend(batch_norm.mean, batch_norm.variance)
            return z
        if mask.ndim != len(shape) - 1:
            raise ValueError(explain(f"a mask of {len(shape) - 1} axes", mask.shape, "It has one less than what comes in."))
        counts = mask.astype(rows.dtype).reshape(len(rows), 1)
        total = counts.sum() + 1e-7  # as Keras has it
        mean = ops.where(counts > 0, rows, 0).sum(axis=0) / total
        variance = (ops.where(counts > 0, rows - mean, 0).square()).sum(axis=0) / total
        self._blend(mean.data, variance.data)
        return ops.Normalize(**options)(rows, mean, variance, *self._given())

    def _blend(self, mean: Any, variance: Any) -> None:
        """Move the averages on; a program does so at each of its steps."""
        door.blend(mean, self.moving_mean.data, self.momentum)
        door.blend(variance, self.moving_variance.data, self.momentum)
        overwritten((self.moving_mean, self.moving_variance))


class LayerNormalization(Scaled):
    """(x - mean) / √(variance + epsilon) gamma + beta, of each sample's numbers on `axis`  (Ba et al. 2016).

    Parameters
    ----------
    axis : int or sequence of int
    epsilon : float
    center, scale : bool
        Whether there is a beta, a gamma.
    beta_initializer, gamma_initializer : str or Initializer
    beta_regularizer, gamma_regularizer : str, Regularizer or None
    beta_constraint, gamma_constraint : None
        Keras's; there are none here.
    **options
        `name`, `trainable`, `dtype` and others of :class:`Layer`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.LayerNormalization(epsilon=0.0)(mw.tensor([[1.0, 3.0], [2.0, 8.0]])).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    def __init__(
        self,
        axis: Axis = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        beta = beta_initializer, beta_regularizer, beta_constraint
        self._set(axis, epsilon, center, scale, beta, (gamma_initializer, gamma_regularizer, gamma_constraint))

    def build(self, input_shape: BatchShape) -> None:
        self._make_weights(checked_shape("input_shape", [input_shape[i] for i in self._axes_of(self.axis, input_shape)]))

    def call(self, x: Tensor) -> Tensor:
        op = ops.RowNorm(self.epsilon, self.scale, self.center)
        return by_rows(x, self._axes_of(self.axis, x.shape), op, self._given())


def by_rows(x: Tensor, axes: list[int], op: ops.RowNorm, weights: list[Tensor]) -> Tensor:
    """A normalisation over some axes, as one of rows."""
    order = [i for i in range(x.ndim) if i not in axes] + axes
    is_in_order = order == list(range(x.ndim))
    moved = x if is_in_order else x.transpose(*order)
    columns = math.prod(x.shape[i] for i in axes)
    rows = moved.reshape(math.prod(moved.shape[: x.ndim - len(axes)]), columns)
    if any(w.size != columns for w in weights):
        raise ValueError(explain(f"{weights[0].size} numbers on axes {axes}", x.shape, "The layer was built for that many."))
    z = op(rows, *weights).reshape(moved.shape)
    return z if is_in_order else z.transpose(*[order.index(i) for i in range(x.ndim)])


class GroupNormalization(Scaled):
    """(x - mean) / √(variance + epsilon) gamma + beta, of each sample's groups of channels  (Wu & He 2018).

    Parameters
    ----------
    groups : int
        How many groups the channels are cut into; -1: each channel is one.
    axis : int
        Which axis the channels are on.
    epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, ..., **options
        As of :class:`LayerNormalization`.

    Raises
    ------
    ValueError
        If an argument is none of these, or the groups do not divide the channels.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.GroupNormalization(2, epsilon=0.0)(mw.tensor([[1.0, 3.0, 2.0, 8.0]])).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if isinstance(groups, bool) or not isinstance(groups, int) or not (groups > 0 or groups == -1):
            raise ValueError(
                explain("`groups` to be a positive integer, or -1", repr(groups), "-1 makes each channel a group.")
            )
        self.groups = groups
        beta = beta_initializer, beta_regularizer, beta_constraint
        self._set(axis, epsilon, center, scale, beta, (gamma_initializer, gamma_regularizer, gamma_constraint))

    def build(self, input_shape: BatchShape) -> None:
        axis = self._axis_of(input_shape)
        (channels,) = shape = checked_shape("input_shape", (input_shape[axis],))
        if channels % self._groups_of(channels):
            raise ValueError(explain("`groups` to divide the channels", f"{self.groups} and {channels}", "Change one of them."))
        self._make_weights(shape)

    def _groups_of(self, channels: int) -> int:
        return channels if self.groups == -1 else self.groups

    def call(self, x: Tensor) -> Tensor:
        axis = self._axis_of(x.shape)
        channels = x.shape[axis]
        groups = self._groups_of(channels)
        parts = x.reshape(*x.shape[:axis], groups, channels // groups, *x.shape[axis + 1 :])
        axes = [i for i in range(1, parts.ndim) if i != axis]
        z = by_rows(parts, axes, ops.RowNorm(self.epsilon, False, False), []).reshape(x.shape)
        each = (1,) * axis + (channels,) + (1,) * (x.ndim - axis - 1)
        z = z if self.gamma is None else z * self.gamma.reshape(each)
        return z if self.beta is None else z + self.beta.reshape(each)


class RMSNormalization(Normalization):
    """x / √(mean x² + epsilon) scale, with the mean of each sample's numbers on `axis`  (Zhang & Sennrich 2019).

    Parameters
    ----------
    axis : int or sequence of int
    epsilon : float
    **options
        `name`, `trainable`, `dtype` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.RMSNormalization(epsilon=0.0)(mw.tensor([[3.0, -3.0]])).tolist()
    [[1.0, -1.0]]
    """

    def __init__(self, axis: Axis = -1, epsilon: float = 1e-6, **options: Any) -> None:
        super().__init__(**options)
        self.axis, self.epsilon = axis, small(epsilon)

    def build(self, input_shape: BatchShape) -> None:
        shape = checked_shape("input_shape", [input_shape[i] for i in self._axes_of(self.axis, input_shape)])
        self.scale = self.add_weight(shape, "ones", name="scale")

    def call(self, x: Tensor) -> Tensor:
        op = ops.RowNorm(self.epsilon, True, False, centered=False)
        return by_rows(x, self._axes_of(self.axis, x.shape), op, [self.scale.reshape(self.scale.size)])


class UnitNormalization(Normalization):
    """x / √(Σ x²), over each sample's numbers on `axis`: vectors of length 1.

    Parameters
    ----------
    axis : int or sequence of int
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.UnitNormalization(dtype="float64")(mw.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """

    def __init__(self, axis: Axis = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, x: Tensor) -> Tensor:
        squares = x.square().sum(axis=tuple(self._axes_of(self.axis, x.shape)), keepdims=True)
        length = ops.maximum(squares, 1e-24).sqrt()
        return x / length
