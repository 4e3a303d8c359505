"""Layers that make numbers of raw data fit for a network; names, arguments and defaults are Keras's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from ..errors import explain
from ..tensor import Array, Tensor, as_array
from .activation import Elementwise
from .base import BatchShape, Layer

__all__ = ["CategoryEncoding", "Normalization", "Rescaling"]


class Rescaling(Elementwise):
    """x scale + offset; of images of whole numbers 0 to 255, scale=1/255 makes floats 0 to 1, inside the step.

    Parameters
    ----------
    scale, offset : float, or sequence of float with one for each channel
    **options
        `name` and others of :class:`Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> import microweights as mw
    >>> mw.layers.Rescaling(1 / 255)(np.array([[0, 255]], np.uint8)).tolist()
    [[0.0, 1.0]]
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.offset = _numbers("scale", scale), _numbers("offset", offset)

    def call(self, x: Tensor) -> Tensor:
        scale, offset = (n if isinstance(n, float) else Tensor(np.asarray(n, x.dtype)) for n in (self.scale, self.offset))
        z = x * scale
        return z if offset == 0.0 and isinstance(offset, float) else z + offset


def _numbers(name: str, given: Any) -> float | list[float]:
    """A number, or a list of them."""
    try:
        found = np.asarray(given, float)
    except (TypeError, ValueError):
        raise ValueError(explain(f"`{name}` to be a number, or one for each channel", repr(given), "Check it.")) from None
    return float(found) if found.ndim == 0 else [float(n) for n in found.reshape(-1)]


class Normalization(Elementwise):
    """(x - mean) / √variance, with a mean and a variance for each position on `axis`, which :meth:`adapt` takes from data.

    Parameters
    ----------
    axis : int, sequence of int or None
        Axes that each have numbers of their own; None: one mean and variance for all.
    mean, variance : array, optional
        Both or none of them, if they are known.
    invert : bool
        Go back: x √variance + mean.
    **options
        `name` and others of :class:`Layer`.

    Raises
    ------
    ValueError
        If one of mean and variance is missing, or their shapes differ.

    Examples
    --------
    >>> import microweights as mw
    >>> layer = mw.layers.Normalization()
    >>> layer.adapt([[1.0, 10.0], [3.0, 30.0]])
    >>> layer(mw.tensor([[1.0, 30.0]])).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis = () if axis is None else tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
        if (mean is None) != (variance is None) or np.shape(mean) != np.shape(variance):
            received = (
                f"shapes {np.shape(mean)} and {np.shape(variance)}" if mean is not None and variance is not None else "one"
            )
            raise ValueError(explain("both mean and variance, of one shape, or none", received, "Call adapt(data) for others."))
        self.mean = None if mean is None else np.asarray(mean, float).tolist()
        self.variance = None if variance is None else np.asarray(variance, float).tolist()
        self.invert = bool(invert)

    def build(self, input_shape: BatchShape) -> None:
        self._kept = ops.axes_of(self.axis, len(input_shape)) if self.axis else ()
        shape = tuple(input_shape[axis] for axis in self._kept)
        if None in shape:
            raise ValueError(explain("known sizes on `axis`", input_shape, "Give the shape of one sample."))
        self._mean = self.add_weight(shape, "zeros", trainable=False, name="mean")  # type: ignore[arg-type]
        self._variance = self.add_weight(shape, "ones", trainable=False, name="variance")  # type: ignore[arg-type]
        self._count = self.add_weight((), "zeros", dtype="int64", trainable=False, name="count")
        if self.mean is not None:
            self._mean.assign(np.broadcast_to(np.asarray(self.mean), shape))  # type: ignore[arg-type]
            self._variance.assign(np.broadcast_to(np.asarray(self.variance), shape))  # type: ignore[arg-type]

    def adapt(self, data: Any) -> None:
        """Take mean and variance from data: an array, or an iterable of batches.

        Raises
        ------
        ValueError
            If mean and variance were given, there is no data, or it does not fit what the layer was built for.
        """
        if self.mean is not None:
            raise ValueError(explain("a layer without a `mean` of its own", "one with it", "Make a layer without it."))
        is_array = hasattr(data, "shape") or (isinstance(data, (list, tuple)) and not any(hasattr(d, "shape") for d in data))
        batches = iter([data] if is_array else data)
        first = next(batches, None)
        if first is None or np.size(_inputs(first)) == 0:
            raise ValueError(explain("data to adapt to", "none", "Give an array, or batches."))
        if not self.built:
            self._build_once(_inputs(first).shape)
        reduced = tuple(i for i in range(_inputs(first).ndim) if i not in self._kept)
        n, mean, squares = 0, np.zeros(self._mean.shape), np.zeros(self._mean.shape)
        for batch in itertools.chain([first], batches):
            x = _inputs(batch).astype(float)
            if tuple(x.shape[i] for i in self._kept) != self._mean.shape:
                raise ValueError(explain(f"sizes {self._mean.shape} on axes {self._kept}", x.shape, "Give data of one shape."))
            m = math.prod(x.shape[i] for i in reduced)
            apart = x.mean(axis=reduced) - mean
            mean, squares = mean + apart * m / (n + m), squares + x.var(axis=reduced) * m + apart**2 * (n * m / (n + m))
            n += m
        self._mean.assign(mean)
        self._variance.assign(squares / n)

    def call(self, x: Tensor) -> Tensor:
        shape = [n if axis in self._kept else 1 for axis, n in enumerate(x.shape)]
        mean, deviation = self._mean.reshape(*shape), ops.maximum(self._variance.sqrt(), 1e-7).reshape(*shape)
        return x * deviation + mean if self.invert else (x - mean) / deviation


def _inputs(batch: Any) -> Array:
    """The inputs of a batch, which may have targets."""
    return as_array(batch[0] if isinstance(batch, tuple) else batch)


class CategoryEncoding(Layer):
    """Whole numbers 0 to num_tokens - 1 as vectors.

    Parameters
    ----------
    num_tokens : int
        How many numbers there are.
    output_mode : str
        "one_hot": 1 at the place of each number; "multi_hot": of each sample, 1 at the places of all its numbers; "count": how
        often each is there.
    sparse : bool
        False.
    **options
        `name` and others of :class:`Layer`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.CategoryEncoding(3, output_mode="count")(mw.tensor([[0, 2, 2]])).tolist()
    [[1.0, 0.0, 2.0]]
    """

    _takes_one = True

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        if isinstance(num_tokens, bool) or not isinstance(num_tokens, (int, np.integer)) or num_tokens < 1:
            raise ValueError(
                explain("`num_tokens` to be a positive integer", repr(num_tokens), "Give how many numbers there are.")
            )
        if output_mode not in ("one_hot", "multi_hot", "count"):
            remedy = "Check the spelling."
            raise ValueError(explain("`output_mode` 'one_hot', 'multi_hot' or 'count'", repr(output_mode), remedy))
        if sparse:
            raise ValueError(explain("`sparse=False`", "True", "There are no sparse tensors here."))
        self.num_tokens, self.output_mode, self.sparse = int(num_tokens), output_mode, False

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        shape = tuple(input_shape)
        is_whole = self.output_mode == "one_hot" and (len(shape) < 2 or shape[-1] != 1)
        return (*(shape if is_whole else shape[:-1]), self.num_tokens)

    def call(self, x: Tensor, count_weights: Any = None) -> Tensor:
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(explain("`count_weights` with output_mode 'count'", repr(self.output_mode), "Leave them out."))
        tokens = Tensor(np.arange(self.num_tokens, dtype=self.dtype))
        one_hot = (x.astype(self.dtype).reshape(*x.shape, 1) == tokens).astype(self.dtype)
        if self.output_mode == "one_hot":
            return one_hot.reshape(*self.compute_output_shape(x.shape))
        if count_weights is not None:
            one_hot = one_hot * count_weights.astype(self.dtype).reshape(*x.shape, 1)
        return one_hot.max(axis=-2) if self.output_mode == "multi_hot" else one_hot.sum(axis=-2)
