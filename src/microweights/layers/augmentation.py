"""Layers that change images at random while a network is trained; names, arguments and defaults are Keras's.

What moves an image is one operation (ops/warp.py): a layer draws an angle, a stretch or a way for each image. Kernels draw the
random numbers, so each step of a program has new ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import ops, random
from ..errors import explain
from ..kernels import door
from ..kernels.door import FILLS, Warping
from ..tensor import Array, Tensor
from .base import BatchShape, Layer, checked_shape
from .core import channels_first, channels_last, data_format_of
from .reshaping import interpolation_of, resized

__all__ = [
    "CutMix", "MixUp", "RandomBrightness", "RandomContrast", "RandomCrop", "RandomErasing", "RandomFlip", "RandomRotation",
    "RandomTranslation", "RandomZoom",
]  # fmt: skip

Factor = float | Sequence[float]


class Augmentation(Layer):
    """Images (samples, height, width, channels), or one of them; whole numbers become floats.

    Called alone, outside of any model, these layers change images, too: nobody would call them for anything else. In `evaluate`
    and `predict` they do not.

    Dicts {"images": ..., "labels": ...} are taken as well.
    """

    _trains_alone: ClassVar[bool] = True
    _computes_in_floats = True
    data_format: str = "channels_last"
    seed: int | None

    def _set_seed(self, seed: int | None) -> None:
        self.seed = seed
        self._state: Array | None = None if seed is None else random.new_state(seed)

    def _draw(self, shape: tuple[int, ...], low: float, high: float, x: Tensor, kind: str = "uniform") -> Tensor:
        stream = random.common() if self._state is None else self._state
        return Tensor(door.random(kind, stream, shape, x.dtype, low, high))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def call(self, data: Any, training: bool = True) -> Any:
        if not isinstance(data, dict):
            return self._of_images(data, None, training)[0]
        unknown = data.keys() - {"images", "labels"}
        if "images" not in data or unknown:
            remedy = "Boxes and masks of segmentation are not changed here."
            raise ValueError(explain('a dict of "images" and, perhaps, "labels"', sorted(data), remedy))
        images, labels = self._of_images(data["images"], data.get("labels"), training)
        return {**data, "images": images} if labels is None else {**data, "images": images, "labels": labels}

    def _of_images(self, x: Tensor, labels: Tensor | None, training: bool) -> tuple[Tensor, Tensor | None]:
        if x.ndim not in (3, 4):
            raise ValueError(explain("images (samples, height, width, channels), or one", f"shape {x.shape}", "Reshape them."))
        one = x.ndim == 3
        x = x.reshape(1, *x.shape) if one else x
        first = self.data_format == "channels_first"
        z, labels = self._changed(channels_last(x) if first else x, labels, training)
        z = channels_first(z) if first else z
        return (z.reshape(*z.shape[1:]) if one else z), labels

    def _changed(self, x: Tensor, labels: Tensor | None, training: bool) -> tuple[Tensor, Tensor | None]:
        return (self._augmented(x) if training else x), labels

    def _augmented(self, x: Tensor) -> Tensor:
        raise NotImplementedError


def bounds(name: str, given: Any, low: float, high: float, both_sides: bool = True) -> tuple[float, float]:
    """A number as -number to number, or two numbers in order, all between `low` and `high`.

    Raises
    ------
    ValueError
        If it is neither.
    """
    numbers = list(given) if isinstance(given, (list, tuple)) else [given]
    real = all(isinstance(n, (int, float)) and not isinstance(n, bool) and low <= n <= high for n in numbers)
    if not real or not (len(numbers) == 2 or (len(numbers) == 1 and not isinstance(given, (list, tuple)))):
        raise ValueError(explain(f"`{name}` to be one or two numbers from {low} to {high}", repr(given), "Change it."))
    if len(numbers) == 2:
        return min(numbers), max(numbers)
    n = abs(float(given))
    return (max(-n, low) if both_sides else 0.0), n


class Moving(Augmentation):
    """One that turns, stretches or moves images."""

    def _set_filling(self, fill_mode: str, interpolation: str, fill_value: float, seed: Any, data_format: Any) -> None:
        if fill_mode not in FILLS:
            raise ValueError(explain(f"`fill_mode` out of {list(FILLS)}", repr(fill_mode), "Check the spelling."))
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation_of(interpolation), float(fill_value)
        self._set_seed(seed)
        self.data_format = data_format_of(data_format)

    def _moved(self, x: Tensor, **motion: Tensor) -> Tensor:
        """`motion` names what is not as it was: angle, tall, wide, down or right, (samples, 1) each."""
        n = len(x)
        still = {"angle": 0.0, "tall": 1.0, "wide": 1.0, "down": 0.0, "right": 0.0}
        columns = [motion.get(name, Tensor(np.full((n, 1), value, x.dtype))) for name, value in still.items()]
        filling = Warping(self.interpolation, self.fill_mode, self.fill_value)
        return ops.Warp(ops.concatenate(columns, axis=1).data, x.shape[1:3], filling)(x)


class RandomFlip(Augmentation):
    """Each image mirrored or not.

    Parameters
    ----------
    mode : str
        "horizontal", "vertical" or "horizontal_and_vertical".
    seed : int, optional
        For random numbers of its own.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> sorted(mw.layers.RandomFlip("horizontal")(mw.tensor([[[1.0], [2.0]]])).reshape(2).tolist())
    [1.0, 2.0]
    """

    def __init__(
        self, mode: str = "horizontal_and_vertical", seed: int | None = None, data_format: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            remedy = "Check the spelling."
            raise ValueError(explain("`mode` 'horizontal', 'vertical' or 'horizontal_and_vertical'", repr(mode), remedy))
        self.mode, self.data_format = mode, data_format_of(data_format)
        self._set_seed(seed)

    def _augmented(self, x: Tensor) -> Tensor:
        mirrored = self._draw((len(x), 1, 1, 1), 0.0, 1.0, x) <= 0.5
        backward = slice(None, None, -1)
        rows = backward if "vertical" in self.mode.split("_and_") else slice(None)
        columns = backward if "horizontal" in self.mode.split("_and_") else slice(None)
        return ops.where(mirrored, x[:, rows, columns], x)


class RandomTranslation(Moving):
    """Each image moved up or down and to a side.

    Parameters
    ----------
    height_factor, width_factor : float or two of them
        How far down and right, as a part of the height and the width: a number f stands for -f to f.
    fill_mode : str
        What is beyond the image: "constant", "nearest", "wrap" or "reflect".
    interpolation : str
        "bilinear" or "nearest".
    seed : int, optional
        For random numbers of its own.
    fill_value : float
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> layer = mw.layers.RandomTranslation(0.0, (0.5, 0.5), fill_mode="constant")
    >>> layer(mw.tensor([[[1.0], [2.0]]])).reshape(2).tolist()
    [0.0, 1.0]
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height, self._width = bounds("height_factor", height_factor, -1, 1), bounds("width_factor", width_factor, -1, 1)
        self._set_filling(fill_mode, interpolation, fill_value, seed, data_format)

    def _augmented(self, x: Tensor) -> Tensor:
        down, right = (self._draw((len(x), 1), *limits, x) for limits in (self._height, self._width))
        return self._moved(x, down=down * float(x.shape[1]), right=right * float(x.shape[2]))


class RandomRotation(Moving):
    """Each image turned about its middle.

    Parameters
    ----------
    factor : float or two of them
        How far, as a part of a full turn: a number f stands for -f to f.
    fill_mode, interpolation, seed, fill_value, data_format, **options
        As of :class:`RandomTranslation`.

    Examples
    --------
    >>> import microweights as mw
    >>> layer = mw.layers.RandomRotation((0.5, 0.5))
    >>> [round(n, 4) for n in layer(mw.tensor([[[1.0], [2.0]]])).reshape(2).tolist()]
    [2.0, 1.0]
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.factor, self._turn = factor, bounds("factor", factor, -1, 1)
        self._set_filling(fill_mode, interpolation, fill_value, seed, data_format)

    def _augmented(self, x: Tensor) -> Tensor:
        return self._moved(x, angle=self._draw((len(x), 1), *self._turn, x) * (2 * math.pi))


class RandomZoom(Moving):
    """Each image larger or smaller.

    Parameters
    ----------
    height_factor, width_factor : float or two of them
        By how much of itself what is shown is taller and wider than the image: positive numbers zoom out, a number f stands for
        -f to f. Without a width_factor both are the same.
    fill_mode, interpolation, seed, fill_value, data_format, **options
        As of :class:`RandomTranslation`.

    Examples
    --------
    >>> import microweights as mw
    >>> layer = mw.layers.RandomZoom((-0.5, -0.5))
    >>> layer(mw.tensor([[[1.0], [2.0]]])).reshape(2).tolist()
    [1.25, 1.75]
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = bounds("height_factor", height_factor, -1, 1)
        self._width = None if width_factor is None else bounds("width_factor", width_factor, -1, 1)
        self._set_filling(fill_mode, interpolation, fill_value, seed, data_format)

    def _augmented(self, x: Tensor) -> Tensor:
        tall = self._draw((len(x), 1), *self._height, x) + 1.0
        wide = tall if self._width is None else self._draw((len(x), 1), *self._width, x) + 1.0
        return self._moved(x, tall=tall, wide=wide)


class RandomCrop(Moving):
    """A part of each image, the same of all images of a batch.

    Outside of a training it is the middle, as large as its shape allows, resized.

    Parameters
    ----------
    height, width : int
    seed : int, optional
        For random numbers of its own.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.RandomCrop(24, 24).compute_output_shape((None, 28, 28, 1))
    (None, 24, 24, 1)
    """

    def __init__(
        self, height: int, width: int, seed: int | None = None, data_format: str | None = None, name: str | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(name=name, **options)
        self.height, self.width = checked_shape("height", (height,))[0], checked_shape("width", (width,))[0]
        self._set_filling("nearest", "nearest", 0.0, seed, data_format)

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        *samples, a, _, c = input_shape
        first = self.data_format == "channels_first"
        return (*samples, a, self.height, self.width) if first else (*samples, self.height, self.width, c)

    def _changed(self, x: Tensor, labels: Tensor | None, training: bool) -> tuple[Tensor, Tensor | None]:
        n, height, width, _ = x.shape
        if training and height > self.height and width > self.width:
            # the nearest whole number to one between -1/2 and n + 1/2 is any of n + 1 alike
            top, left = (self._draw((1, 1), -0.5, more + 0.5, x) for more in (height - self.height, width - self.width))
            ones = Tensor(np.ones((n, 1), x.dtype))
            still = [Tensor(np.full((n, 1), value, x.dtype)) for value in (0.0, 1.0, 1.0)]
            motion = ops.concatenate([*still, ones * -top, ones * -left], axis=1)
            filling = Warping(self.interpolation, self.fill_mode, self.fill_value)
            return ops.Warp(motion.data, (self.height, self.width), filling)(x), labels
        rows = max(min(height, int(float(width * self.height) / self.width)), 1)
        columns = max(min(width, int(float(height * self.width) / self.height)), 1)
        above, before = int(float(height - rows) / 2), int(float(width - columns) / 2)
        part = x[:, above : above + rows, before : before + columns]
        return resized(part, (self.height, self.width), "bilinear"), labels


class RandomBrightness(Augmentation):
    """Each image brighter or darker by a number of its own, and cut off at the ends of the range.

    Parameters
    ----------
    factor : float or two of them
        By how much of the range: a number f stands for -f to f.
    value_range : two floats
        That of the images.
    seed : int, optional
        For random numbers of its own.
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.RandomBrightness((0.5, 0.5), (0, 1))(mw.tensor([[[0.25], [0.75]]])).reshape(2).tolist()
    [0.75, 1.0]
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.factor, self._more = factor, bounds("factor", factor, -1, 1)
        self.value_range = range_of(value_range)
        self._set_seed(seed)

    def _augmented(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        more = self._draw((len(x), 1, 1, 1), *self._more, x) * (high - low)
        return (x + more).clip(low, high)


def range_of(given: Any) -> tuple[float, float]:
    """A `value_range` argument.

    Raises
    ------
    ValueError
        If it is not two numbers.
    """
    if not isinstance(given, (list, tuple)) or len(given) != 2 or not given[0] != given[1]:
        raise ValueError(explain("`value_range` of two numbers", repr(given), "Give the range that images have, as (0, 255)."))
    return float(min(given)), float(max(given))


class RandomContrast(Augmentation):
    """More or less contrast: what a pixel differs from the mean of its channel in its image, times a number for each image.

    Results are cut off at the ends of the range.

    Parameters
    ----------
    factor : float or two of them
        (a, b) stands for numbers from 1 - a to 1 + b, one number f for (0, f).
    value_range : two floats
        That of the images.
    seed : int, optional
        For random numbers of its own.
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.RandomContrast(0.5, (0, 1))(mw.tensor([[[0.2], [0.4]]])).shape
    (1, 2, 1)
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.factor, self._more = factor, bounds("factor", factor, 0, 1, both_sides=False)
        self.value_range = range_of(value_range)
        self._set_seed(seed)

    def _augmented(self, x: Tensor) -> Tensor:
        factor = self._draw((len(x), 1, 1, 1), 1.0 - self._more[0], 1.0 + self._more[1], x)
        mean = x.mean(axis=(1, 2), keepdims=True)
        return ((x - mean) * factor + mean).clip(*self.value_range)


class Mixing(Augmentation):
    """One that takes parts of images, boxes or shares, out of others."""

    def _box(self, x: Tensor, ratios: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """A box at random in each image, of these parts (samples, 1) of its sides: whether pixels are in it, and its area."""
        inside, area = None, None
        for axis, ratio in enumerate(ratios, 1):
            size = float(x.shape[axis])
            length = ratio * size
            start = self._draw((len(x), 1), 0.0, 1.0, x) * (size - length)
            places = Tensor(np.arange(x.shape[axis], dtype=x.dtype))
            along = (places >= start).astype(x.dtype) * (places < start + length).astype(x.dtype)
            along = along.reshape(len(x), *((-1, 1) if axis == 1 else (1, -1)), 1)
            inside, area = (along, length) if inside is None or area is None else (inside * along, area * length)
        assert inside is not None and area is not None
        return inside > 0.5, area

    def _shuffled(self, x: Tensor, *arrays: Tensor) -> list[Tensor]:
        """Their samples in one random order: a product with a matrix that has a 1 in each row and column."""
        n = len(x)
        keys = self._draw((n, 1), 0.0, 1.0, x)
        ranks = (keys.reshape(1, n) < keys).astype(x.dtype).sum(axis=1, keepdims=True)
        order = (ranks == Tensor(np.arange(n, dtype=x.dtype))).astype(x.dtype)
        return [ops.matmul(order, a.reshape(n, math.prod(a.shape[1:]))).reshape(a.shape) for a in arrays]

    def _beta(self, x: Tensor, alpha: Any) -> Tensor:
        """(samples, 1) numbers of a symmetric beta distribution, by the formula of Devroye (1996)."""
        n = len(x)
        u = self._draw((n, 1), 0.0, 1.0, x).clip(1e-7, 1.0 - 1e-6)
        first, second = (self._draw((n, 1), 0.0, 1.0, x, "normal").square() for _ in range(2))
        cosine = first / (first + second)
        side = ops.where(self._draw((n, 1), 0.0, 1.0, x) < 0.5, -0.5, 0.5)
        grown = ((-u.log() / alpha).clip(high=80.0)).exp() - 1.0
        drawn: Tensor = side / (1.0 + 1.0 / (grown * cosine).clip(1e-30)).sqrt() + 0.5
        return drawn

    @staticmethod
    def _mixed(labels: Tensor, others: Tensor, share: Tensor) -> Tensor:
        if labels.ndim < 2:
            remedy = "Make vectors of classes first, as with CategoryEncoding(n, output_mode='one_hot')."
            raise ValueError(explain("labels of two axes, of which means can be taken", f"shape {labels.shape}", remedy))
        share = share.reshape(len(labels), *(1,) * (labels.ndim - 1))
        return labels * share + others * (1.0 - share)


class RandomErasing(Mixing):
    """A box in each image overwritten with noise or with a value  (Zhong et al. 2020).

    Parameters
    ----------
    factor : float or two of them
        The probability, drawn between these for each image: a number f stands for 0 to f.
    scale : float or two of them
        What part of the image the box is, by its height and width; their square roots are.
    fill_value : float or one for each channel, optional
        None: normal noise times the end of the range.
    value_range : two floats
        That of the images.
    seed : int, optional
        For random numbers of its own.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.RandomErasing(0.5).compute_output_shape((None, 28, 28, 1))
    (None, 28, 28, 1)
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: Any = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.factor, self._chance = factor, bounds("factor", factor, 0, 1, both_sides=False)
        self.scale, self._part = scale, bounds("scale", scale, 0, 1, both_sides=False)
        self.fill_value, self.value_range = fill_value, range_of(value_range)
        self.data_format = data_format_of(data_format)
        self._set_seed(seed)

    def _augmented(self, x: Tensor) -> Tensor:
        ratios = [self._draw((len(x), 1), *self._part, x).sqrt() for _ in range(2)]
        inside, _ = self._box(x, ratios)
        chance = self._draw((len(x), 1, 1, 1), *self._chance, x)
        is_hit = self._draw((len(x), 1, 1, 1), 0.0, 1.0, x) < chance
        if self.fill_value is None:
            value = self._draw(x.shape, 0.0, 1.0, x, "normal") * self.value_range[1]
        else:
            value = Tensor(np.asarray(self.fill_value, x.dtype))
        erased = ops.where(inside, value.clip(*self.value_range), x)
        return ops.where(is_hit, erased, x)


class MixUp(Mixing):
    """Each image, and its label, a mean of two by a share that is drawn from a beta distribution  (Zhang et al. 2018).

    Parameters
    ----------
    alpha : float
        Both parameters of the distribution: the smaller, the more often one of the two is nearly alone.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    seed : int, optional
        For random numbers of its own.
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> images, labels = mw.random.uniform((4, 8, 8, 3)), mw.random.uniform((4, 10))
    >>> sorted(mw.layers.MixUp()({"images": images, "labels": labels}))
    ['images', 'labels']
    """

    def __init__(self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not alpha > 0:
            raise ValueError(explain("`alpha` above 0", repr(alpha), "Keras's is 0.2."))
        self.alpha, self.data_format = float(alpha), data_format_of(data_format)
        self._set_seed(seed)

    def _changed(self, x: Tensor, labels: Tensor | None, training: bool) -> tuple[Tensor, Tensor | None]:
        if not training:
            return x, labels
        share = self._beta(x, self.alpha)
        real = None if labels is None else labels.astype(x.dtype)
        others = self._shuffled(x, x, *([] if real is None else [real]))
        each = share.reshape(len(x), 1, 1, 1)
        mixed = None if real is None else self._mixed(real, others[1], share)
        return x * each + others[0] * (1.0 - each), mixed


class CutMix(Mixing):
    """A box in each image out of another, and labels mixed by its area  (Yun et al. 2019).

    Parameters
    ----------
    factor : float or two of them
        What the parameter of the beta distribution of areas is drawn between: a number f stands for 0 to f.
    seed : int, optional
        For random numbers of its own.
    data_format : str, optional
        "channels_last", which None is, or "channels_first".
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.CutMix()(mw.random.uniform((4, 8, 8, 3))).shape
    (4, 8, 8, 3)
    """

    def __init__(self, factor: Factor = 1.0, seed: int | None = None, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.factor, self._alpha = factor, bounds("factor", factor, 0, 1, both_sides=False)
        self.data_format = data_format_of(data_format)
        self._set_seed(seed)

    def _changed(self, x: Tensor, labels: Tensor | None, training: bool) -> tuple[Tensor, Tensor | None]:
        if not training:
            return x, labels
        alpha = self._draw((1, 1), *self._alpha, x) + 1e-6
        ratio = (1.0 - self._beta(x, alpha)).clip(0.0, 1.0).sqrt()
        inside, area = self._box(x, (ratio, ratio))
        real = None if labels is None else labels.astype(x.dtype)
        others = self._shuffled(x, x, *([] if real is None else [real]))
        share = 1.0 - area / float(x.shape[1] * x.shape[2])
        mixed = None if real is None else self._mixed(real, others[1], share)
        return ops.where(inside, others[0], x), mixed
