"""Layers that make images smaller: one number for what a window holds; names, arguments and defaults are Keras's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import ops
from ..errors import explain
from ..ops.conv import output_size, sizes
from ..tensor import Tensor
from .base import BatchShape, Layer
from .core import channels_first, channels_last, data_format_of

__all__ = [
    "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D", "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "AvgPool1D",
    "AvgPool2D", "AvgPool3D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D",
    "GlobalAvgPool2D", "GlobalAvgPool3D", "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "GlobalMaxPooling3D", "MaxPool1D", "MaxPool2D", "MaxPool3D", "MaxPooling1D", "MaxPooling2D",
    "MaxPooling3D",
]  # fmt: skip

Sizes = int | Sequence[int]


class Images(Layer):
    """A layer of images (samples, *axes, channels), or (samples, channels, *axes), in which each channel stays by itself."""

    _takes_one = _computes_in_floats = True
    _axes: ClassVar[int]
    data_format: str

    def _checked(self, shape: BatchShape) -> BatchShape:
        if len(shape) != self._axes + 2:
            remedy = "Give images of one channel an axis for it, as with x[..., np.newaxis]."
            expected = f"inputs of {self._axes + 2} axes, with samples and channels, for {self.name!r}"
            raise ValueError(explain(expected, f"shape {shape}", remedy))
        return shape

    def _sizes(self, axes: Sequence[int | None]) -> Sequence[int | None]:
        """Those of the result, for those of the images."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        samples, *axes = self._checked(input_shape)
        if self.data_format == "channels_first":
            return (samples, axes[0], *self._sizes(axes[1:]))
        return (samples, *self._sizes(axes[:-1]), axes[-1])

    def call(self, x: Tensor) -> Tensor:
        self._checked(x.shape)
        if self.data_format == "channels_last":
            return self._apply(x)
        z = self._apply(channels_last(x))
        return channels_first(z) if z.ndim > 2 else z

    def _apply(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Pooling(Images):
    """What the layers with windows share.

    Parameters
    ----------
    pool_size : int or sequence of int
        The size of a window on each axis.
    strides : int or sequence of int, optional
        Steps from window to window; None is `pool_size`.
    padding : str
        "valid": windows inside of the image only; "same": one for each stride.
    data_format : str, optional
        "channels_last", which None is, or "channels_first": images (samples, channels, ...), which are transposed before and
        after.
    **options
        `name` and others of :class:`Layer`.

    Raises
    ------
    ValueError
        If an argument is none of these, or no window fits the image.
    """

    def __init__(
        self,
        pool_size: Sizes,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        self.pool_size = sizes("pool_size", pool_size, self._axes)
        self.strides = self.pool_size if strides is None else sizes("strides", strides, self._axes)
        if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
            raise ValueError(explain("`padding` out of 'valid' and 'same'", repr(padding), "Check the spelling."))
        self.padding, self.data_format = padding.lower(), data_format_of(data_format)

    def _sizes(self, axes: Sequence[int | None]) -> Sequence[int | None]:
        found = zip(axes, self.pool_size, self.strides, strict=True)
        return [None if n is None else output_size(n, k, s, 1, self.padding)[0] for n, k, s in found]


class MaxPooling(Pooling):
    """The largest number in each window, for each channel."""

    def __init__(
        self,
        pool_size: Sizes = 2,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **options)

    def _apply(self, x: Tensor) -> Tensor:
        return ops.max_pool(x, self.pool_size, self.strides, self.padding)


class AveragePooling(Pooling):
    """The mean of each window, for each channel; what sticks out of the image does not count."""

    def _apply(self, x: Tensor) -> Tensor:
        return ops.average_pool(x, self.pool_size, self.strides, self.padding)


class GlobalPooling(Images):
    """One number for each channel of an image.

    Parameters
    ----------
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    keepdims : bool
        Whether the axes stay, with size 1.
    **options
        `name` and others of :class:`Layer`.
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.data_format, self.keepdims = data_format_of(data_format), keepdims

    def _sizes(self, axes: Sequence[int | None]) -> Sequence[int | None]:
        return [1] * len(axes) if self.keepdims else []


class GlobalMaxPooling(GlobalPooling):
    """The largest number of each channel."""

    def _apply(self, x: Tensor) -> Tensor:
        return x.max(axis=tuple(range(1, x.ndim - 1)), keepdims=self.keepdims)


class GlobalAveragePooling(GlobalPooling):
    """The mean of each channel."""

    def _apply(self, x: Tensor) -> Tensor:
        return x.mean(axis=tuple(range(1, x.ndim - 1)), keepdims=self.keepdims)


class AdaptivePooling(Images):
    """Windows so wide that a given number of them goes over the image: window i of k on an axis of n takes the places from
    floor(i n / k) to ceil((i + 1) n / k).

    Parameters
    ----------
    output_size : int or sequence of int
        How many windows on each axis.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Raises
    ------
    ValueError
        If an argument is none of these.
    """

    def __init__(self, output_size: Sizes, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.output_size = sizes("output_size", output_size, self._axes)
        self.data_format = data_format_of(data_format)

    def _sizes(self, axes: Sequence[int | None]) -> Sequence[int | None]:
        return list(self.output_size)

    def _apply(self, x: Tensor) -> Tensor:
        for axis, count in enumerate(self.output_size, 1):
            n = x.shape[axis]
            windows = [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
            around = (slice(None),) * axis
            x = ops.concatenate([self._join(x[(*around, slice(*w))], axis) for w in windows], axis=axis)
        return x

    def _join(self, x: Tensor, axis: int) -> Tensor:
        raise NotImplementedError


class AdaptiveAveragePooling(AdaptivePooling):
    """The mean of each window."""

    def _join(self, x: Tensor, axis: int) -> Tensor:
        return x.mean(axis=axis, keepdims=True)


class AdaptiveMaxPooling(AdaptivePooling):
    """The largest number of each window."""

    def _join(self, x: Tensor, axis: int) -> Tensor:
        return x.max(axis=axis, keepdims=True)


# ---- by the number of axes -----------------------------------------------------------------------------------------


class MaxPooling1D(MaxPooling):
    """The largest number in each window, for series (samples, length, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.MaxPooling1D(2)(mw.tensor([[[1.0], [3.0], [2.0], [0.0]]])).tolist()
    [[[3.0], [2.0]]]
    """

    _axes = 1


class MaxPooling2D(MaxPooling):
    """The largest number in each window, for images (samples, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.MaxPooling2D(2).compute_output_shape((None, 26, 26, 32))
    (None, 13, 13, 32)
    """

    _axes = 2


class MaxPooling3D(MaxPooling):
    """The largest number in each window, for volumes (samples, depth, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.MaxPooling3D(2).compute_output_shape((None, 8, 26, 26, 32))
    (None, 4, 13, 13, 32)
    """

    _axes = 3


class AveragePooling1D(AveragePooling):
    """The mean of each window, for series (samples, length, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.AveragePooling1D(2)(mw.tensor([[[1.0], [3.0], [2.0], [0.0]]])).tolist()
    [[[2.0], [1.0]]]
    """

    _axes = 1


class AveragePooling2D(AveragePooling):
    """The mean of each window, for images (samples, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.AveragePooling2D(3, strides=2, padding="same").compute_output_shape((None, 9, 9, 4))
    (None, 5, 5, 4)
    """

    _axes = 2


class AveragePooling3D(AveragePooling):
    """The mean of each window, for volumes (samples, depth, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.AveragePooling3D(2).compute_output_shape((None, 8, 26, 26, 32))
    (None, 4, 13, 13, 32)
    """

    _axes = 3


class GlobalMaxPooling1D(GlobalMaxPooling):
    """The largest number of each channel, for series (samples, length, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.GlobalMaxPooling1D()(mw.tensor([[[1.0], [3.0], [2.0]]])).tolist()
    [[3.0]]
    """

    _axes = 1


class GlobalMaxPooling2D(GlobalMaxPooling):
    """The largest number of each channel, for images (samples, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.GlobalMaxPooling2D().compute_output_shape((None, 7, 7, 512))
    (None, 512)
    """

    _axes = 2


class GlobalMaxPooling3D(GlobalMaxPooling):
    """The largest number of each channel, for volumes (samples, depth, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.GlobalMaxPooling3D(keepdims=True).compute_output_shape((None, 4, 7, 7, 8))
    (None, 1, 1, 1, 8)
    """

    _axes = 3


class GlobalAveragePooling1D(GlobalAveragePooling):
    """The mean of each channel, for series (samples, length, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.GlobalAveragePooling1D()(mw.tensor([[[1.0], [3.0], [2.0]]])).tolist()
    [[2.0]]
    """

    _axes = 1
    supports_masking = True

    def call(self, x: Tensor, mask: Any = None) -> Tensor:
        if mask is None:
            return super().call(x)
        first = self.data_format == "channels_first"
        kept = mask.astype(x.dtype).reshape(*((len(x), 1, -1) if first else (len(x), -1, 1)))
        axis = 2 if first else 1
        sums, counts = (t.sum(axis=axis, keepdims=self.keepdims) for t in (ops.where(kept > 0, x, 0), kept))
        mean: Tensor = sums / counts
        return mean

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return None


class GlobalAveragePooling2D(GlobalAveragePooling):
    """The mean of each channel, for images (samples, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.GlobalAveragePooling2D().compute_output_shape((None, 7, 7, 512))
    (None, 512)
    """

    _axes = 2


class GlobalAveragePooling3D(GlobalAveragePooling):
    """The mean of each channel, for volumes (samples, depth, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.GlobalAveragePooling3D(keepdims=True).compute_output_shape((None, 4, 7, 7, 8))
    (None, 1, 1, 1, 8)
    """

    _axes = 3


class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """The means of a given number of windows, for series (samples, length, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.AdaptiveAveragePooling1D(2)(mw.tensor([[[1.0], [3.0], [2.0]]])).tolist()
    [[[2.0], [2.5]]]
    """

    _axes = 1


class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """The means of a given number of windows, for images (samples, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.AdaptiveAveragePooling2D((3, 4)).compute_output_shape((None, 7, 7, 5))
    (None, 3, 4, 5)
    """

    _axes = 2


class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """The means of a given number of windows, for volumes (samples, depth, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.AdaptiveAveragePooling3D(2).compute_output_shape((None, 4, 7, 7, 5))
    (None, 2, 2, 2, 5)
    """

    _axes = 3


class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """The largest numbers of a given number of windows, for series (samples, length, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.AdaptiveMaxPooling1D(2)(mw.tensor([[[1.0], [3.0], [2.0]]])).tolist()
    [[[3.0], [3.0]]]
    """

    _axes = 1


class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """The largest numbers of a given number of windows, for images (samples, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.AdaptiveMaxPooling2D((3, 4)).compute_output_shape((None, 7, 7, 5))
    (None, 3, 4, 5)
    """

    _axes = 2


class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """The largest numbers of a given number of windows, for volumes (samples, depth, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.AdaptiveMaxPooling3D(2).compute_output_shape((None, 4, 7, 7, 5))
    (None, 2, 2, 2, 5)
    """

    _axes = 3


MaxPool1D, AvgPool1D = MaxPooling1D, AveragePooling1D
MaxPool2D, AvgPool2D = MaxPooling2D, AveragePooling2D
MaxPool3D, AvgPool3D = MaxPooling3D, AveragePooling3D
GlobalMaxPool1D, GlobalAvgPool1D = GlobalMaxPooling1D, GlobalAveragePooling1D
GlobalMaxPool2D, GlobalAvgPool2D = GlobalMaxPooling2D, GlobalAveragePooling2D
GlobalMaxPool3D, GlobalAvgPool3D = GlobalMaxPooling3D, GlobalAveragePooling3D
