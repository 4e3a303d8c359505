"""Layers whose weights go over images, series and volumes: convolutions; names, arguments and defaults are Keras's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import initializers, ops, regularizers
from ..errors import explain, warn
from ..ops.conv import output_size, sizes, transposed_size
from ..tensor import Tensor
from .base import BatchShape, Shape, checked_shape, refuse_unless_none
from .core import Activated, channels_first, channels_last, data_format_of

__all__ = [
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Convolution1D",
    "Convolution1DTranspose", "Convolution2D", "Convolution2DTranspose", "Convolution3D", "Convolution3DTranspose",
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D",
    "SeparableConvolution2D",
]  # fmt: skip

Sizes = int | Sequence[int]


class Convolution(Activated):
    """What all of them have: a kernel that goes over the axes between samples and channels, a bias, an activation."""

    _axes: ClassVar[int]
    supports_masking = False
    bias_constraint: ClassVar[None] = None
    kernel_size: Shape
    strides: Shape
    dilation_rate: Shape
    bias: Tensor | None

    def _look_at_integers(self, x: Tensor) -> None:
        """Nothing learns from 0 to 255: the first sums are a hundred times as large as weights are made for."""
        if not self.built and x.dtype.kind in "iu" and x.size and int(x.data.max()) > 9:
            received = f"whole numbers from {int(x.data.min())} to {int(x.data.max())} for {self.name!r}"
            warn(explain("images of numbers about 0 to 1", received, "Put layers.Rescaling(1 / 255) before, or divide them."))

    def _set_windows(
        self, kernel_size: Any, strides: Any, padding: Any, data_format: str | None, dilation_rate: Any, paddings: Sequence[str]
    ) -> None:
        self.kernel_size = sizes("kernel_size", kernel_size, self._axes)
        self.strides = sizes("strides", strides, self._axes)
        self.dilation_rate = sizes("dilation_rate", dilation_rate, self._axes)
        if not isinstance(padding, str) or padding.lower() not in paddings:
            remedy = "Pad with ZeroPadding for other widths."
            raise ValueError(explain(f"`padding` out of {list(paddings)}", repr(padding), remedy))
        self.padding = padding.lower()
        self.data_format = data_format_of(data_format)

    def _set_bias(self, activation: Any, use_bias: bool, initializer: Any, regularizer: Any, constraint: Any) -> None:
        refuse_unless_none(bias_constraint=constraint)
        self.activation = activation
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(initializer)
        self.bias_regularizer = regularizers.get(regularizer) if regularizer is not None else None

    def _refuse_both(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            received = f"strides={self.strides} and dilation_rate={self.dilation_rate}"
            remedy = "Leave one of them 1; mw.ops.conv takes both."
            raise ValueError(explain("either strides or dilation_rate above 1, as Keras has it", received, remedy))

    def _channels(self, shape: BatchShape) -> int:
        """How many channels images of this shape have."""
        if len(shape) != self._axes + 2:
            axes = ("length", "height, width", "depth, height, width")[self._axes - 1]
            given = f"(samples, {axes}, channels)" if self.data_format == "channels_last" else f"(samples, channels, {axes})"
            remedy = "Give images of one channel an axis for it, as with x[..., np.newaxis]."
            raise ValueError(explain(f"inputs of shape {given} for {self.name!r}", shape, remedy))
        channels: int = checked_shape("input_shape", (shape[-1 if self.data_format == "channels_last" else 1],))[0]
        return channels

    def _image_sizes(self, sizes: Sequence[int | None]) -> Sequence[int | None]:
        """Those of the result, for those of the images: the sizes of the axes in between."""
        axes = zip(sizes, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        return [None if n is None else output_size(n, k, s, d, self.padding)[0] for n, k, s, d in axes]

    def _filters(self, channels: int) -> int:
        raise NotImplementedError

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        filters = self._filters(self._channels(input_shape))
        if self.data_format == "channels_first":
            return (input_shape[0], filters, *self._image_sizes(input_shape[2:]))
        return (input_shape[0], *self._image_sizes(input_shape[1:-1]), filters)

    def build(self, input_shape: BatchShape) -> None:
        self.channels = self._channels(input_shape)
        self.compute_output_shape(input_shape)  # which says what does not fit
        self._make_kernels()
        self.bias = None
        if self.use_bias:
            shape = (self._filters(self.channels),)
            self.bias = self.add_weight(shape, self.bias_initializer, name="bias", regularizer=self.bias_regularizer)

    def _make_kernels(self) -> None:
        raise NotImplementedError

    def input_shape_of(self, weights: dict[str, Shape]) -> BatchShape | None:
        return None

    def call(self, x: Tensor) -> Tensor:
        if self._channels(x.shape) != self.channels:
            remedy = "The layer was built for that many channels."
            raise ValueError(explain(f"inputs with {self.channels} channels for {self.name!r}", x.shape, remedy))
        first = self.data_format == "channels_first"
        z = self._convolve(channels_last(x) if first else x, self._inside or "linear")
        z = channels_first(z) if first else z
        return z if self._inside else self._function(z)

    def _convolve(self, x: Tensor, activation: str) -> Tensor:
        raise NotImplementedError


class Conv(Convolution):
    """activation(x * kernel + bias): the same weighted sum of what each window holds, everywhere.

    Parameters
    ----------
    filters : int
        How many sums of each window: the channels of the result.
    kernel_size : int or sequence of int
        The size of a window on each axis.
    strides : int or sequence of int
        Steps from window to window.
    padding : str
        "valid": windows inside of the image only; "same": with stride 1, as many as the image has positions, by zeros around
        it; of series also "causal": zeros in front alone, so that no position sees a later one.
    data_format : str, optional
        "channels_last", which None is, or "channels_first": images (samples, channels, ...), which are transposed before and
        after.
    dilation_rate : int or sequence of int
        Steps between the positions that a window holds. Not above 1 together with strides, as in Keras.
    groups : int
        Channels and filters are cut into so many groups; a filter sees the channels of its group.
    activation : str, callable or None
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
    kernel_regularizer, bias_regularizer : str, Regularizer or None
    activity_regularizer, kernel_constraint, bias_constraint : None
        Keras's; there are none here.
    **options
        `name`, `trainable`, `dtype`, `input_shape` and others of :class:`Layer`.

    The kernel has shape (*kernel_size, channels / groups, filters).

    Raises
    ------
    ValueError
        If an argument is none of these, groups do not divide, or a window is larger than the image.
    """

    kernel_constraint: ClassVar[None] = None

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
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
        refuse_unless_none(kernel_constraint=kernel_constraint)
        self.filters, self.groups = positive("filters", filters), positive("groups", groups)
        paddings = ("valid", "same", "causal") if self._axes == 1 else ("valid", "same")
        self._set_windows(kernel_size, strides, padding, data_format, dilation_rate, paddings)
        self._refuse_both()
        if self.filters % self.groups:
            raise ValueError(explain("`groups` to divide `filters`", f"{groups} and {filters}", "Change one of them."))
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer) if kernel_regularizer is not None else None
        self._set_bias(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)

    def _filters(self, channels: int) -> int:
        if channels % self.groups:
            raise ValueError(explain("`groups` to divide the channels", f"{self.groups} and {channels}", "Change one of them."))
        return self.filters

    def _make_kernels(self) -> None:
        shape = (*self.kernel_size, self.channels // self.groups, self.filters)
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel", regularizer=self.kernel_regularizer)

    def _convolve(self, x: Tensor, activation: str) -> Tensor:
        return ops.conv(
            x, self.kernel, self.bias, strides=self.strides, padding=self.padding, dilation_rate=self.dilation_rate,
            groups=self.groups, activation=activation,
        )  # fmt: skip


class ConvTranspose(Convolution):
    """The transpose of a convolution: each position gives its numbers, weighted, to all that a window there would hold.

    Parameters
    ----------
    filters : int
        The channels of the result.
    kernel_size, strides : int or sequence of int
        As of the convolution that it is the transpose of: with strides of 2, images come out twice as large.
    padding : str
        "valid": all positions that get something; "same": strides times as many as come in.
    output_padding : int or sequence of int, optional
        How many positions there are on an axis beyond those needed; less than the stride.
    data_format, dilation_rate, activation, use_bias, ..., **options
        As of a convolution.

    The kernel has shape (*kernel_size, filters, channels).

    Raises
    ------
    ValueError
        If an argument is none of these.
    """

    kernel_constraint: ClassVar[None] = None

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        output_padding: Sizes | None = None,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
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
        refuse_unless_none(kernel_constraint=kernel_constraint)
        self.filters = positive("filters", filters)
        self._set_windows(kernel_size, strides, padding, data_format, dilation_rate, ("valid", "same"))
        self._refuse_both()
        self.output_padding = None if output_padding is None else sizes("output_padding", output_padding, self._axes, 0)
        if self.output_padding is not None and any(more >= s for more, s in zip(self.output_padding, self.strides)):
            received = f"{self.output_padding} for strides of {self.strides}"
            raise ValueError(explain("`output_padding` less than `strides` on each axis", received, "Lower it."))
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer) if kernel_regularizer is not None else None
        self._set_bias(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)

    def _image_sizes(self, sizes: Sequence[int | None]) -> Sequence[int | None]:
        more = self.output_padding or (None,) * self._axes
        axes = zip(sizes, self.kernel_size, self.strides, self.dilation_rate, more, strict=True)
        return [None if n is None else transposed_size(n, k, s, d, self.padding, m)[0] for n, k, s, d, m in axes]

    def _filters(self, channels: int) -> int:
        return self.filters

    def _make_kernels(self) -> None:
        shape = (*self.kernel_size, self.filters, self.channels)
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel", regularizer=self.kernel_regularizer)

    def _convolve(self, x: Tensor, activation: str) -> Tensor:
        return ops.conv_transpose(
            x, self.kernel, self.bias, strides=self.strides, padding=self.padding, output_padding=self.output_padding,
            dilation_rate=self.dilation_rate, activation=activation,
        )  # fmt: skip


class DepthwiseConv(Convolution):
    """A convolution of each channel by itself, with `depth_multiplier` filters for each.

    Parameters
    ----------
    kernel_size, strides : int or sequence of int
    padding : str
        "valid" or "same".
    depth_multiplier : int
        The result has channels * depth_multiplier channels, those of one channel side by side.
    depthwise_initializer, depthwise_regularizer
        Of the kernel, whose shape is (*kernel_size, channels, depth_multiplier).
    data_format, dilation_rate, activation, use_bias, ..., **options
        As of a convolution.

    Raises
    ------
    ValueError
        If an argument is none of these, or a window is larger than the image.
    """

    depthwise_constraint: ClassVar[None] = None

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        refuse_unless_none(depthwise_constraint=depthwise_constraint)
        self.depth_multiplier = positive("depth_multiplier", depth_multiplier)
        self._set_windows(kernel_size, strides, padding, data_format, dilation_rate, ("valid", "same"))
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer) if depthwise_regularizer is not None else None
        self._set_bias(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)

    def _filters(self, channels: int) -> int:
        return channels * self.depth_multiplier

    def _make_kernels(self) -> None:
        shape = (*self.kernel_size, self.channels, self.depth_multiplier)
        self.kernel = self.add_weight(shape, self.depthwise_initializer, name="kernel", regularizer=self.depthwise_regularizer)

    def _convolve(self, x: Tensor, activation: str) -> Tensor:
        return ops.depthwise_conv(
            x, self.kernel, self.bias, strides=self.strides, padding=self.padding, dilation_rate=self.dilation_rate,
            activation=activation,
        )  # fmt: skip


class SeparableConv(Convolution):
    """A convolution of each channel by itself, and then one of single positions, which mixes the channels.

    Parameters
    ----------
    filters : int
        The channels of the result.
    kernel_size, strides : int or sequence of int
        Of the first.
    padding : str
        "valid" or "same".
    depth_multiplier : int
        How many channels the first makes of each.
    depthwise_initializer, depthwise_regularizer
        Of the first kernel, whose shape is (*kernel_size, channels, depth_multiplier).
    pointwise_initializer, pointwise_regularizer
        Of the second, whose shape is (1, ..., channels * depth_multiplier, filters).
    data_format, dilation_rate, activation, use_bias, ..., **options
        As of a convolution.

    Raises
    ------
    ValueError
        If an argument is none of these, or a window is larger than the image.
    """

    depthwise_constraint: ClassVar[None] = None
    pointwise_constraint: ClassVar[None] = None
    depthwise_kernel: Tensor
    pointwise_kernel: Tensor

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        refuse_unless_none(depthwise_constraint=depthwise_constraint, pointwise_constraint=pointwise_constraint)
        self.filters, self.depth_multiplier = positive("filters", filters), positive("depth_multiplier", depth_multiplier)
        self._set_windows(kernel_size, strides, padding, data_format, dilation_rate, ("valid", "same"))
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer) if depthwise_regularizer is not None else None
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer) if pointwise_regularizer is not None else None
        self._set_bias(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)

    def _filters(self, channels: int) -> int:
        return self.filters

    def _make_kernels(self) -> None:
        depth = (*self.kernel_size, self.channels, self.depth_multiplier)
        point = ((1,) * self._axes) + (self.channels * self.depth_multiplier, self.filters)
        for name, shape in (("depthwise", depth), ("pointwise", point)):
            initializer, regularizer = getattr(self, f"{name}_initializer"), getattr(self, f"{name}_regularizer")
            setattr(self, f"{name}_kernel", self.add_weight(shape, initializer, name=f"{name}_kernel", regularizer=regularizer))

    def _convolve(self, x: Tensor, activation: str) -> Tensor:
        windows: dict[str, Any] = {"strides": self.strides, "padding": self.padding, "dilation_rate": self.dilation_rate}
        z = ops.depthwise_conv(x, self.depthwise_kernel, **windows)
        return ops.conv(z, self.pointwise_kernel, self.bias, activation=activation)


def positive(name: str, n: Any) -> int:
    """An argument that counts something.

    Raises
    ------
    ValueError
        If it does not.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n <= 0:
        raise ValueError(explain(f"`{name}` to be a positive integer", repr(n), "Give how many there are."))
    return int(n)


# ---- by the number of axes -----------------------------------------------------------------------------------------


class Conv1D(Conv):
    __doc__ = f"""A convolution of series (samples, length, channels).  {Conv.__doc__}
    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Conv1D(1, 2, kernel_initializer="ones")(mw.tensor([[[1.0], [2.0], [4.0]]])).tolist()
    [[[3.0], [6.0]]]
    """
    _axes = 1


class Conv2D(Conv):
    __doc__ = f"""A convolution of images (samples, height, width, channels).  {Conv.__doc__}
    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Conv2D(32, 3, activation="relu").compute_output_shape((None, 28, 28, 1))
    (None, 26, 26, 32)
    """
    _axes = 2


class Conv3D(Conv):
    __doc__ = f"""A convolution of volumes (samples, depth, height, width, channels).  {Conv.__doc__}
    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Conv3D(8, 3, padding="same").compute_output_shape((None, 8, 16, 16, 1))
    (None, 8, 16, 16, 8)
    """
    _axes = 3


class Conv1DTranspose(ConvTranspose):
    __doc__ = f"""For series (samples, length, channels).  {ConvTranspose.__doc__}
    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Conv1DTranspose(1, 2, kernel_initializer="ones")(mw.tensor([[[1.0], [2.0]]])).tolist()
    [[[1.0], [3.0], [2.0]]]
    """
    _axes = 1


class Conv2DTranspose(ConvTranspose):
    __doc__ = f"""For images (samples, height, width, channels).  {ConvTranspose.__doc__}
    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Conv2DTranspose(8, 3, strides=2, padding="same").compute_output_shape((None, 7, 7, 16))
    (None, 14, 14, 8)
    """
    _axes = 2


class Conv3DTranspose(ConvTranspose):
    __doc__ = f"""For volumes (samples, depth, height, width, channels).  {ConvTranspose.__doc__}
    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Conv3DTranspose(8, 2, strides=2).compute_output_shape((None, 4, 4, 4, 16))
    (None, 8, 8, 8, 8)
    """
    _axes = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Sizes | None = None,
        *others: Any,
        **options: Any,
    ) -> None:  # in Keras's order, which is another here
        super().__init__(filters, kernel_size, strides, padding, output_padding, data_format, *others, **options)


class DepthwiseConv1D(DepthwiseConv):
    __doc__ = f"""For series (samples, length, channels).  {DepthwiseConv.__doc__}
    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.DepthwiseConv1D(3, depth_multiplier=2).compute_output_shape((None, 10, 4))
    (None, 8, 8)
    """
    _axes = 1


class DepthwiseConv2D(DepthwiseConv):
    __doc__ = f"""For images (samples, height, width, channels).  {DepthwiseConv.__doc__}
    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.DepthwiseConv2D(3, strides=2, padding="same").compute_output_shape((None, 28, 28, 16))
    (None, 14, 14, 16)
    """
    _axes = 2


class SeparableConv1D(SeparableConv):
    __doc__ = f"""For series (samples, length, channels).  {SeparableConv.__doc__}
    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.SeparableConv1D(16, 3).compute_output_shape((None, 10, 4))
    (None, 8, 16)
    """
    _axes = 1


class SeparableConv2D(SeparableConv):
    __doc__ = f"""For images (samples, height, width, channels).  {SeparableConv.__doc__}
    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.SeparableConv2D(32, 3, padding="same").compute_output_shape((None, 28, 28, 16))
    (None, 28, 28, 32)
    """
    _axes = 2


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
