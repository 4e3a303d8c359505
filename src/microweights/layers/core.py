"""The layers of a fully connected network; names, arguments and defaults are Keras's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from .. import activations, initializers, ops, random, regularizers
from ..errors import explain
from ..tensor import Array, Tensor
from .base import Layer, Shape, checked_shape


class Activated(Layer):
    """A layer with an activation, which may be set at any time by its name or as a function of a tensor."""

    activation_name: str
    _function: activations.Activation
    # What the matrix product's kernel applies itself, if it does. Other activations come as operations of their own: sigmoid,
    # too, because a loss goes from it back to the logits.
    _inside: str | None

    @property
    def activation(self) -> activations.Activation:
        return self._function

    @activation.setter
    def activation(self, identifier: Any) -> None:
        name, function = activations.get(identifier)
        is_named = activations.NAMED.get(name) is function
        self.activation_name, self._function = name, function
        self._inside = name if is_named and name in ("linear", "relu", "tanh") else None


class Dense(Activated):
    """activation(x @ kernel + bias): every output a weighted sum of all inputs.

    Parameters
    ----------
    units : int
        The number of outputs.
    activation : str, callable or None
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
    kernel_regularizer, bias_regularizer : str, Regularizer or None
    **options
        `name`, `trainable`, `dtype`, `input_shape` of :class:`Layer`.

    The kernel has shape (inputs, units); inputs of shape (samples, ..., inputs) give (samples, ..., units).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Dense(3, kernel_initializer="ones")(mw.tensor([[1.0, 2.0]])).tolist()
    [[3.0, 3.0, 3.0]]
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units <= 0:
            raise ValueError(explain("`units` to be a positive integer", repr(units), "Give the number of outputs."))
        self.units, self.use_bias = int(units), use_bias
        self.activation = activation
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer) if kernel_regularizer is not None else None
        self.bias_regularizer = regularizers.get(bias_regularizer) if bias_regularizer is not None else None

    def build(self, input_shape: Shape) -> None:
        _check_axes(input_shape)
        self.inputs = input_shape[-1]
        self.kernel = self.add_weight(
            (self.inputs, self.units), self.kernel_initializer, "kernel", regularizer=self.kernel_regularizer
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight((self.units,), self.bias_initializer, "bias", regularizer=self.bias_regularizer)

    def call(self, x: Tensor) -> Tensor:
        shape = x.data.shape
        if len(shape) < 2:
            _check_axes(shape)
        if shape[-1] != self.inputs:
            remedy = "The layer was built for that many inputs."
            raise ValueError(explain(f"inputs of shape (samples, ..., {self.inputs}) for {self.name!r}", shape, remedy))
        if len(shape) != 2:
            x = x.reshape(math.prod(shape[:-1]), self.inputs)
        weights = (x, self.kernel) if self.bias is None else (x, self.kernel, self.bias)
        z = ops.Dense(self._inside or "linear")(*weights)
        if len(shape) != 2:
            z = z.reshape(*shape[:-1], self.units)
        return z if self._inside else self._function(z)


def _check_axes(shape: Shape) -> None:
    if len(shape) < 2:
        raise ValueError(explain("inputs of shape (samples, ..., inputs)", shape, "Add an axis for the samples."))


class Activation(Activated):
    """A function of each input: a name such as "relu", or a callable on tensors."""

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activation

    def call(self, x: Tensor) -> Tensor:
        return self._function(x)


class Dropout(Layer):
    """While training, each input is set to 0 with probability `rate`, and the others grow by 1 / (1 - rate).

    A network that cannot rely on any single input overfits less  (Srivastava et al. 2014).

    Parameters
    ----------
    rate : float
        From 0 to below 1.
    seed : int, optional
        For random numbers of its own.
    """

    def __init__(self, rate: Any, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= float(rate) < 1:
            raise ValueError(explain("`rate` from 0 to below 1", repr(rate), "It is the part of inputs to drop."))
        self.rate: float = float(rate)
        self._state: Array | None = None if seed is None else random.new_state(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        return x * random.dropout_mask(x.shape, self.rate, x.dtype, random.common() if self._state is None else self._state)


class Flatten(Layer):
    """(samples, a, b, ...) becomes (samples, a b ...)."""

    def call(self, x: Tensor) -> Tensor:
        if x.ndim == 0:
            raise ValueError(explain("inputs with an axis of samples", "a scalar", "Add an axis."))
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Reshape(Layer):
    """Each sample in another shape; one size may be -1."""

    def __init__(self, target_shape: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        sizes = tuple(target_shape) if isinstance(target_shape, (tuple, list)) else (target_shape,)
        if sizes.count(-1) > 1:
            raise ValueError(explain("`target_shape` with at most one -1", sizes, "Give the other sizes."))
        checked_shape("target_shape", [1 if n == -1 else n for n in sizes])
        self.target_shape = sizes

    def call(self, x: Tensor) -> Tensor:
        if x.shape[0] == 0:
            known = math.prod(n for n in self.target_shape if n != -1)
            return x.reshape(0, *(math.prod(x.shape[1:]) // known if n == -1 else n for n in self.target_shape))
        return x.reshape(x.shape[0], *self.target_shape)


class Input(Layer):
    """Stands first in a Sequential model and tells the shape of one sample."""

    def __init__(self, shape: Sequence[int], **options: Any) -> None:
        super().__init__(**{"input_shape": shape, **options})

    def call(self, x: Tensor) -> Tensor:
        return x
