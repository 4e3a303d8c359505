"""Layers that put images, series and volumes into other sizes and orders; names, arguments and defaults are Keras's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from ..errors import explain
from ..ops.conv import sizes
from ..tensor import Array, Tensor
from .base import BatchShape, Layer, checked_shape
from .core import data_format_of
from .pool import Images

__all__ = [
    "CenterCrop", "Cropping1D", "Cropping2D", "Cropping3D", "Permute", "RepeatVector", "Resizing", "UpSampling1D",
    "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
]  # fmt: skip

Widths = tuple[tuple[int, int], ...]


def widths_of(name: str, given: Any, axes: int) -> Widths:
    """A number for all sides, one for each axis, or one for each side of each axis, as (before, after) for each axis.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    is_one = isinstance(given, (int, np.integer))
    each = [given] * axes if is_one else list(given) if isinstance(given, (list, tuple)) else []
    if axes == 1 and len(each) == 2:  # of series, (before, after) stands alone
        each = [tuple(each)]
    if len(each) != axes:
        remedy = "Give one number, one for each axis, or (before, after) for each."
        raise ValueError(explain(f"`{name}` for {axes} axes", repr(given), remedy))
    before, after = zip(*[sizes(name, n, 2, 0) for n in each], strict=True)
    return tuple(zip(before, after, strict=True))


class ZeroPadding(Images):
    """Zeros around each image.

    Parameters
    ----------
    padding : int, or sequence of int or of pairs of int
        How many on all sides, on both sides of each axis, or (before, after) on each axis.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Raises
    ------
    ValueError
        If an argument is none of these.
    """

    def __init__(self, padding: Any = 1, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.padding, self.data_format = widths_of("padding", padding, self._axes), data_format_of(data_format)

    def _sizes(self, axes: Sequence[int | None]) -> Sequence[int | None]:
        return [None if n is None else n + sum(w) for n, w in zip(axes, self.padding, strict=True)]

    def _apply(self, x: Tensor) -> Tensor:
        return ops.pad(x, ((0, 0), *self.padding, (0, 0)))


class Cropping(Images):
    """Each image without what is at its sides.

    Parameters
    ----------
    cropping : int, or sequence of int or of pairs of int
        How many on all sides, on both sides of each axis, or (before, after) on each axis.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Raises
    ------
    ValueError
        If an argument is none of these, or nothing is left.
    """

    def __init__(self, cropping: Any = 1, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.cropping, self.data_format = widths_of("cropping", cropping, self._axes), data_format_of(data_format)

    def _sizes(self, axes: Sequence[int | None]) -> Sequence[int | None]:
        left = [None if n is None else n - sum(w) for n, w in zip(axes, self.cropping, strict=True)]
        if any(n is not None and n <= 0 for n in left):
            received = f"{self.cropping} for axes of {tuple(axes)}"
            raise ValueError(explain("`cropping` that leaves something of each axis", received, "Crop less."))
        return left

    def _apply(self, x: Tensor) -> Tensor:
        self._sizes(x.shape[1:-1])
        kept = [slice(before, n - after) for n, (before, after) in zip(x.shape[1:-1], self.cropping, strict=True)]
        return x[(slice(None), *kept)]


class UpSampling(Images):
    """Each image larger by whole factors.

    Parameters
    ----------
    size : int or sequence of int
        How often each position comes on each axis.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Raises
    ------
    ValueError
        If an argument is none of these.
    """

    interpolation: str = "nearest"

    def __init__(self, size: int | Sequence[int] = 2, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.size, self.data_format = sizes("size", size, self._axes), data_format_of(data_format)

    def _sizes(self, axes: Sequence[int | None]) -> Sequence[int | None]:
        return [None if n is None else n * s for n, s in zip(axes, self.size, strict=True)]

    def _apply(self, x: Tensor) -> Tensor:
        if self.interpolation != "nearest":
            return resized(x, [n * s for n, s in zip(x.shape[1:-1], self.size, strict=True)], self.interpolation)
        return ops.repeat(x, self.size)


def interpolation(n: int, m: int, kind: str, antialias: bool = False) -> Array:
    """The matrix (m, n) that makes m positions of n: position i lies at (i + ½) n / m - ½ among the old ones.

    "nearest" takes the one there, "bilinear" its two neighbours by their distance; to antialias, where m is smaller, all within
    n / m.
    """
    place = (np.arange(m) + 0.5) * n / m - 0.5
    if kind == "nearest":
        weights = np.arange(n) == np.clip(np.floor(place + 0.5), 0, n - 1)[:, None]
    else:
        width = max(n / m, 1.0) if antialias else 1.0
        weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(n)) / width)
    shares: Array = weights / weights.sum(axis=1, keepdims=True)
    return shares


def resized(x: Tensor, size: Sequence[int], kind: str, antialias: bool = False) -> Tensor:
    """Images (samples, *axes, channels) of other sizes: a product with a small matrix for each axis."""
    for axis, (n, m) in enumerate(zip(x.shape[1:-1], size, strict=True), 1):
        if n != m:
            shape = x.shape
            matrix = Tensor(interpolation(n, m, kind, antialias).astype(x.dtype))
            rows = x.reshape(math.prod(shape[:axis]), n, math.prod(shape[axis + 1 :]))
            x = ops.matmul(matrix, rows).reshape(*shape[:axis], m, *shape[axis + 1 :])
    return x


def interpolation_of(given: Any) -> str:
    """An `interpolation` argument.

    Raises
    ------
    ValueError
        If there is no such interpolation.
    """
    if not isinstance(given, str) or given.lower() not in ("nearest", "bilinear"):
        raise ValueError(explain("`interpolation` 'nearest' or 'bilinear'", repr(given), "Others of Keras are not there."))
    return given.lower()


class Resizing(Images):
    """Images of a given height and width. They come out as floats.

    Parameters
    ----------
    height, width : int
    interpolation : str
        "bilinear" or "nearest".
    crop_to_aspect_ratio : bool
        Cut sides off first, evenly, so that nothing is stretched.
    pad_to_aspect_ratio : bool
        Put `fill_value` at the sides, evenly, so that nothing is stretched.
    fill_mode : str
        "constant".
    fill_value : float
    antialias : bool
        When an image gets smaller, let each new position be a mean over all that it covers.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Resizing(1, 4)(mw.tensor([[[[0.0], [4.0]]]])).reshape(4).tolist()
    [0.0, 1.0, 3.0, 4.0]
    """

    _axes = 2

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.height, self.width = checked_shape("height", (height,))[0], checked_shape("width", (width,))[0]
        self.interpolation, self.data_format = interpolation_of(interpolation), data_format_of(data_format)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(explain("one of crop_to_aspect_ratio and pad_to_aspect_ratio", "both", "Choose one."))
        if fill_mode != "constant":
            raise ValueError(explain("`fill_mode` 'constant'", repr(fill_mode), "Give a `fill_value`."))
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = bool(crop_to_aspect_ratio), bool(pad_to_aspect_ratio)
        self.fill_mode, self.fill_value, self.antialias = fill_mode, float(fill_value), bool(antialias)

    def _sizes(self, axes: Sequence[int | None]) -> Sequence[int | None]:
        return [self.height, self.width]

    def _apply(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        if self.crop_to_aspect_ratio:  # whole numbers as Keras rounds them
            rows, columns = int(width * self.height / self.width), int(height * self.width / self.height)
            rows, columns = min(height, max(rows, 1)), min(width, max(columns, 1))
            top, left = (height - rows) // 2, (width - columns) // 2
            x = x[:, top : top + rows, left : left + columns]
        elif self.pad_to_aspect_ratio:
            rows, columns = int(width * self.height / self.width), int(height * self.width / self.height)
            more, wider = (max(height, rows) - height) // 2, (max(width, columns) - width) // 2
            around = ((0, 0), (more, more), (wider, wider), (0, 0))
            x = ops.pad(x, around, self.fill_value)
        return resized(x, (self.height, self.width), self.interpolation, self.antialias)


class CenterCrop(Images):
    """The middle of each image; images that are smaller are resized, with their aspect ratio, to be large enough first.

    Parameters
    ----------
    height, width : int
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.CenterCrop(2, 2).compute_output_shape((None, 4, 6, 3))
    (None, 2, 2, 3)
    """

    _axes = 2

    def __init__(self, height: int, width: int, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.height, self.width = checked_shape("height", (height,))[0], checked_shape("width", (width,))[0]
        self.data_format = data_format_of(data_format)

    def _sizes(self, axes: Sequence[int | None]) -> Sequence[int | None]:
        return [self.height, self.width]

    def _apply(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        if height >= self.height and width >= self.width:
            top, left = int((height - self.height) / 2), int((width - self.width) / 2)
            return x[:, top : top + self.height, left : left + self.width]
        return Resizing(self.height, self.width, crop_to_aspect_ratio=True).call(x)


class Permute(Layer):
    """The axes of each sample in another order.

    Parameters
    ----------
    dims : sequence of int
        For each axis of the result which axis it was, counted from 1; that of samples stays in front.
    **options
        `name` and others of :class:`Layer`.

    Raises
    ------
    ValueError
        If `dims` does not name each axis once.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Permute((2, 1)).compute_output_shape((None, 10, 64))
    (None, 64, 10)
    """

    _takes_one = True

    def __init__(self, dims: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.dims = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
        if not all(isinstance(n, int) for n in self.dims) or sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(explain("`dims` to name each axis once, from 1", self.dims, "That of samples, 0, is not named."))

    def _checked(self, shape: BatchShape) -> BatchShape:
        if len(shape) != len(self.dims) + 1:
            raise ValueError(
                explain(f"inputs of {len(self.dims) + 1} axes for {self.name!r}", f"shape {shape}", "Change `dims`.")
            )
        return shape

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        shape = self._checked(input_shape)
        return (shape[0], *[shape[i] for i in self.dims])

    def call(self, x: Tensor) -> Tensor:
        self._checked(x.shape)
        return x.transpose(0, *self.dims)


class RepeatVector(Layer):
    """Each sample (features) n times: (samples, features) becomes (samples, n, features).

    Parameters
    ----------
    n : int
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.RepeatVector(2)(mw.tensor([[1.0, 3.0]])).tolist()
    [[[1.0, 3.0], [1.0, 3.0]]]
    """

    _takes_one = True

    def __init__(self, n: int, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise TypeError(explain("`n` to be a positive integer", repr(n), "Give how often each sample comes."))
        self.n = int(n)

    def _checked(self, shape: BatchShape) -> BatchShape:
        if len(shape) != 2:
            raise ValueError(explain(f"inputs of shape (samples, features) for {self.name!r}", shape, "Flatten them first."))
        return shape

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        samples, features = self._checked(input_shape)
        return (samples, self.n, features)

    def call(self, x: Tensor) -> Tensor:
        samples, features = self._checked(x.shape)
        return x.reshape(samples, 1, features).broadcast_to((samples, self.n, features))  # type: ignore[arg-type]


# ---- by the number of axes -----------------------------------------------------------------------------------------


class ZeroPadding1D(ZeroPadding):
    """Zeros around each of series (samples, length, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.ZeroPadding1D().compute_output_shape((None, 10, 4))
    (None, 12, 4)
    """

    _axes = 1


class ZeroPadding2D(ZeroPadding):
    """Zeros around each of images (samples, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.ZeroPadding2D().compute_output_shape((None, 10, 8, 4))
    (None, 12, 10, 4)
    """

    _axes = 2


class ZeroPadding3D(ZeroPadding):
    """Zeros around each of volumes (samples, depth, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.ZeroPadding3D().compute_output_shape((None, 10, 8, 6, 4))
    (None, 12, 10, 8, 4)
    """

    _axes = 3


class Cropping1D(Cropping):
    """Without what is at the sides of each of series (samples, length, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Cropping1D(1).compute_output_shape((None, 10, 4))
    (None, 8, 4)
    """

    _axes = 1

    def __init__(self, cropping: Any = 1, **options: Any) -> None:
        super().__init__(cropping, **options)


class Cropping2D(Cropping):
    """Without what is at the sides of each of images (samples, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Cropping2D(1).compute_output_shape((None, 10, 8, 4))
    (None, 8, 6, 4)
    """

    _axes = 2

    def __init__(self, cropping: Any = 0, data_format: str | None = None, **options: Any) -> None:
        super().__init__(cropping, data_format, **options)


class Cropping3D(Cropping):
    """Without what is at the sides of each of volumes (samples, depth, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Cropping3D(1).compute_output_shape((None, 10, 8, 6, 4))
    (None, 8, 6, 4, 4)
    """

    _axes = 3


class UpSampling1D(UpSampling):
    """Larger by whole factors, for series (samples, length, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.UpSampling1D().compute_output_shape((None, 10, 4))
    (None, 20, 4)
    """

    _axes = 1

    def __init__(self, size: int | Sequence[int] = 2, **options: Any) -> None:
        super().__init__(size, **options)


class UpSampling2D(UpSampling):
    """Larger by whole factors, for images (samples, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.UpSampling2D().compute_output_shape((None, 10, 8, 4))
    (None, 20, 16, 4)
    """

    _axes = 2

    def __init__(
        self, size: int | Sequence[int] = 2, data_format: str | None = None, interpolation: str = "nearest", **options: Any
    ) -> None:
        super().__init__(size, data_format, **options)
        self.interpolation = interpolation_of(interpolation)


class UpSampling3D(UpSampling):
    """Larger by whole factors, for volumes (samples, depth, height, width, channels).

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.UpSampling3D().compute_output_shape((None, 10, 8, 6, 4))
    (None, 20, 16, 12, 4)
    """

    _axes = 3
