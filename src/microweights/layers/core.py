"""The layers of a fully connected network; names, arguments and defaults are Keras's."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from .. import activations, initializers, ops, random, regularizers
from ..errors import explain
from ..tensor import FLOATS, Array, Tensor, known_dtype
from .base import BatchShape, Layer, Shape, checked_shape, derived, refuse_unless_none
from .symbolic import Node, Spec, Symbol

__all__ = [
    "Activation", "Dense", "Dropout", "Flatten", "Identity", "Input", "InputLayer", "Lambda", "Masking", "Reshape",
]  # fmt: skip


class Activated(Layer):
    """A layer with an activation, which may be set at any time by its name or as a function of a tensor."""

    _takes_one = supports_masking = True
    _computes_in_floats = True
    _function: activations.Activation
    _inside: str | None  # what the kernel of the matrix product applies itself, if it does

    @property
    def activation(self) -> activations.Activation:
        return self._function

    @activation.setter
    def activation(self, identifier: Any) -> None:
        self._function = function = activations.get(identifier)
        # Other activations are operations of their own: sigmoid, too, because a loss goes from it back to the logits.
        self._inside = next((name for name in ("linear", "relu", "tanh") if activations.NAMED[name] is function), None)


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
    activity_regularizer, kernel_constraint, bias_constraint : None
        Keras's; there are none here.
    **options
        `name`, `trainable`, `dtype`, `input_shape` and others of :class:`Layer`.

    The kernel has shape (inputs, units); inputs of shape (samples, ..., inputs) give (samples, ..., units).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Dense(3, kernel_initializer="ones")(mw.tensor([[1.0, 2.0]])).tolist()
    [[3.0, 3.0, 3.0]]
    """

    _hints: ClassVar[dict[str, str]] = Layer._hints | {
        "weight": "Use layer.kernel, of shape (inputs, units).",
        "kernel": "Weights are made by the first call, or by layer.build(input_shape).",
        "bias": "Weights are made by the first call, or by layer.build(input_shape).",
        "in_features": "Use layer.input_shape[-1].",
        "out_features": "Use layer.units.",
    }
    kernel_constraint: ClassVar[None] = None
    bias_constraint: ClassVar[None] = None

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        refuse_unless_none(kernel_constraint=kernel_constraint, bias_constraint=bias_constraint)
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units <= 0:
            raise ValueError(explain("`units` to be a positive integer", repr(units), "Give the number of outputs."))
        self.units, self.use_bias = int(units), use_bias
        self.activation = activation
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer) if kernel_regularizer is not None else None
        self.bias_regularizer = regularizers.get(bias_regularizer) if bias_regularizer is not None else None

    def build(self, input_shape: BatchShape) -> None:
        _check_axes(input_shape)
        (self.inputs,) = checked_shape("input_shape", input_shape[-1:])
        self.kernel = self.add_weight(
            (self.inputs, self.units), self.kernel_initializer, name="kernel", regularizer=self.kernel_regularizer
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight((self.units,), self.bias_initializer, name="bias", regularizer=self.bias_regularizer)

    def input_shape_of(self, weights: dict[str, Shape]) -> BatchShape | None:
        kernel = weights.get("kernel", ())
        return (None, kernel[0]) if kernel[1:] == (self.units,) else None

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


def _check_axes(shape: BatchShape) -> None:
    if len(shape) < 2:
        remedy = "Reshape one number a sample with x.reshape(-1, 1), one sample of many numbers with x.reshape(1, -1)."
        raise ValueError(explain("inputs of shape (samples, ..., inputs)", shape, remedy))


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
    noise_shape : tuple of int, optional
        The shape of the zeros and ones that inputs are multiplied with; None in it is the size of the input, and along an axis
        of size 1 all are dropped together.
    seed : int, optional
        For random numbers of its own.
    """

    _takes_one = supports_masking = True
    _computes_in_floats = True

    def __init__(
        self, rate: Any, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= float(rate) < 1:
            raise ValueError(explain("`rate` from 0 to below 1", repr(rate), "It is the part of inputs to drop."))
        self.rate: float = float(rate)
        if noise_shape is not None and not isinstance(noise_shape, (tuple, list)):
            remedy = "Give a size or None for each axis, that of samples too."
            raise TypeError(explain("`noise_shape` to be a tuple", repr(noise_shape), remedy))
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self._state: Array | None = None if seed is None else random.new_state(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        shape = x.shape
        if self.noise_shape is not None:
            given = self.noise_shape
            shape = tuple(n if m is None else m for n, m in zip(shape, given)) if len(given) == x.ndim else ()
            if not shape or any(m not in (1, n) for n, m in zip(x.shape, shape)):
                remedy = "Give 1, None or the size itself for each axis."
                raise ValueError(explain(f"`noise_shape` to fit inputs of shape {x.shape}", given, remedy))
        return x * random.dropout_mask(shape, self.rate, x.dtype, random.common() if self._state is None else self._state)


class Identity(Layer):
    """What comes in."""

    _takes_one = supports_masking = True

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        return tuple(input_shape)

    def call(self, x: Tensor) -> Tensor:
        return x


class Lambda(Layer):
    """A function as a layer.

    Parameters
    ----------
    function : callable
        Of a tensor, or of a nest of tensors; it is given `mask` and `training`, too, if it takes these.
    output_shape : tuple of int or callable, optional
        Of one sample, or of an input shape, if it is not to be tried on zeros.
    mask : callable or Tensor, optional
        The mask of what goes out, or a function of what comes in and its mask that gives it.
    arguments : dict, optional
        More arguments by their names.
    **options
        `name` and others of :class:`Layer`.

    Weights that the function uses are not the layer's; write a class of your own for them.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Lambda(lambda x, power: x**power, arguments={"power": 2})(mw.tensor([[3.0]])).tolist()
    [[9.0]]
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not callable(function):
            raise TypeError(explain("a function", repr(function), "Write Lambda(lambda x: ...)."))
        self.function, self.given_shape, self.mask = function, output_shape, mask
        self.arguments = dict(arguments or {})
        self._passes = inspect.signature(function).parameters.keys() & {"mask", "training"}

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.given_shape is None:
            return super().compute_output_shape(input_shape)
        return self.given_shape(input_shape) if callable(self.given_shape) else (input_shape[0], *self.given_shape)

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        known = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{name: known[name] for name in self._passes})

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "output_shape": self.given_shape}


def data_format_of(given: str | None) -> str:
    """A `data_format` argument, of which None is "channels_last".

    Raises
    ------
    ValueError
        If it is neither of the two.
    """
    if given not in (None, "channels_last", "channels_first"):
        remedy = "None is 'channels_last'."
        raise ValueError(explain("`data_format` 'channels_last' or 'channels_first'", repr(given), remedy))
    return given or "channels_last"


def channels_last(x: Tensor) -> Tensor:
    """(samples, channels, ...) as (samples, ..., channels)."""
    return x.transpose(0, *range(2, x.ndim), 1)


def channels_first(x: Tensor) -> Tensor:
    """(samples, ..., channels) as (samples, channels, ...)."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


class Flatten(Layer):
    """(samples, a, b, ...) becomes (samples, a b ...).

    Parameters
    ----------
    data_format : "channels_last" or "channels_first"
        "channels_first" says that inputs are (samples, channels, ...): the channels go last before.
    """

    _takes_one = True

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.data_format = data_format_of(data_format)

    def call(self, x: Tensor) -> Tensor:
        if x.ndim == 0:
            raise ValueError(explain("inputs with an axis of samples", "a scalar", "Add an axis."))
        if self.data_format == "channels_first" and x.ndim > 2:
            x = channels_last(x)
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Reshape(Layer):
    """Each sample in another shape; one size may be -1."""

    _takes_one = True

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


class Masking(Layer):
    """Says of each time of a sequence whether it is data, which it is unless all its numbers are `mask_value`.

    Of inputs (samples, times, features) the mask is of shape (samples, times). Layers that follow pass it on and skip what is
    masked, and so does the loss.

    Examples
    --------
    >>> import microweights as mw
    >>> z = mw.layers.Masking()(mw.tensor([[[1.0, 2.0], [0.0, 0.0]]]))
    >>> z.mask.tolist()
    [[True, False]]
    """

    _takes_one = True

    def __init__(self, mask_value: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.mask_value = mask_value

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> Tensor:
        return _any(inputs != self.mask_value)

    def call(self, x: Tensor) -> Tensor:
        return ops.where(_any(x != self.mask_value).reshape(*x.shape[:-1], 1), x, 0.0)


def _any(t: Tensor) -> Tensor:
    """Whether one along the last axis holds."""
    return t.astype("float32").max(-1) > 0


class InputLayer(Layer):
    """Stands first in a network and tells the shape of one sample. :func:`microweights.Input` makes one and calls it.

    Parameters
    ----------
    shape : tuple of int
        Without the axis of samples; None is a size that is not known.
    batch_size : int, optional
        Shown in `input_shape`; batches of other sizes work all the same.
    dtype : data type
        float32 or float64, to which inputs are cast, or a type of integers, in which layers expect them that take indices.
    batch_shape : tuple, optional
        Instead of both: the shape with the axis of samples, which may be None, in front.
    **options
        `name` and others of :class:`Layer`.
    """

    _takes_one = supports_masking = True

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        *,
        batch_shape: Sequence[int | None] | None = None,
        **options: Any,
    ) -> None:
        if shape is None and batch_shape is not None:
            batch_size, *shape = batch_shape
        elif shape is None:
            shape = options.pop("input_shape", None)
        if shape is None:
            raise ValueError(explain("the shape of one sample", None, "Give it, as in Input((4,))."))
        self.input_dtype = known_dtype("float32" if dtype is None else dtype)
        super().__init__(dtype=self.input_dtype if self.input_dtype in FLOATS else None, **options)
        self.shape = checked_shape("input_shape", shape, may_be_unknown=True)
        self.batch_size = None if batch_size is None else checked_shape("batch_size", batch_size)[0]
        self.built, self.output_type = True, self.input_dtype
        self.batch_shape = self._input_shape = self._output_shape = (self.batch_size, *self.shape)

    @derived
    def output(self) -> Symbol:
        """What stands for the data in a network that is written down."""
        if not self._nodes:
            Node(self, (), {}, Spec(self.batch_shape, self.input_dtype))
        found: Symbol = self._nodes[0].outputs
        return found

    def call(self, x: Tensor) -> Tensor:
        cut = x.dtype in FLOATS and self.input_dtype not in FLOATS  # as where weights are made for zeros
        return x.astype(self.input_dtype) if cut else x

    def get_config(self) -> dict[str, Any]:
        return {"shape": list(self.shape), "batch_size": self.batch_size, "dtype": self.input_dtype.name, "name": self.name}


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    *,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
) -> Symbol:
    """A symbol for the data that goes into a network; arguments as of :class:`InputLayer`.

    Examples
    --------
    >>> import microweights as mw
    >>> x = mw.Input((4,), name="features")
    >>> y = mw.layers.Dense(2)(mw.concatenate([x, x**2], axis=-1))
    >>> mw.Model(x, y).predict([[1.0, 2.0, 3.0, 4.0]]).shape
    (1, 2)
    """
    x: Symbol = InputLayer(shape, batch_size, dtype, batch_shape=batch_shape, name=name).output
    return x
