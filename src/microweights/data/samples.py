"""Samples, targets and sample weights on their way into a training: checked once, then taken batch by batch."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from ..errors import explain
from ..kernels import door
from ..losses import Loss
from ..tensor import FLOATS, Array, Tensor, as_array

__all__ = ["Batch", "Samples"]


class Samples:
    """Arrays of as many rows: inputs, and maybe targets and weights.

    Parameters
    ----------
    x : array (samples, ...)
        Floats are cast to `dtype`. Integers and booleans stay what they are, without a copy: the layer that computes with the
        rows of a batch casts them.
    y : array (samples, ...), optional
        As the loss wants it.
    weights : array (samples,), optional
    loss : Loss, optional
    dtype : data type
    """

    def __init__(
        self, x: Any, y: Any = None, weights: Any = None, loss: Loss | None = None, dtype: np.dtype[Any] = door.FLOAT32
    ) -> None:
        self.x = _rows("x", x)
        if self.x.dtype in FLOATS and self.x.dtype != dtype:
            self.x = door.cast(self.x, dtype)
        self.x = np.ascontiguousarray(self.x)
        self.y: Array | None = None
        if y is not None:
            self.y = np.ascontiguousarray((loss or Loss()).targets(_rows("y", y), dtype))
        self.weights: Array | None = None
        if weights is not None:
            values = _rows("sample_weight", weights)
            if values.ndim != 1:
                received = f"shape {values.shape}"
                raise ValueError(explain("`sample_weight` to have one axis", received, "Give one weight for each sample."))
            self.weights = np.ascontiguousarray(values.astype(dtype))
        for name, a in (("y", self.y), ("sample_weight", self.weights)):
            if a is not None and len(a) != len(self.x):
                received = f"{len(self.x)} rows of x and {len(a)} of {name}"
                raise ValueError(explain(f"as many rows of `{name}` as of `x`", received, "Check how the data was split."))

    def __len__(self) -> int:
        return len(self.x)

    def part(self, start: int, end: int) -> Samples:
        """The samples from start to end, without a copy."""
        piece = object.__new__(Samples)
        piece.x = self.x[start:end]
        piece.y = None if self.y is None else self.y[start:end]
        piece.weights = None if self.weights is None else self.weights[start:end]
        return piece

    def arrays(self) -> list[Array]:
        """Inputs, targets and weights, as far as they are there."""
        return [a for a in (self.x, self.y, self.weights) if a is not None]

    def rows(self, index: Array | None = None) -> Batch:
        """Samples by their numbers, or all of them."""
        given = self.x, self.y, self.weights
        arrays = given if index is None else [None if a is None else door.gather(a, index) for a in given]
        return Batch(*(None if a is None else Tensor(a) for a in arrays))  # type: ignore[arg-type]


class Batch(NamedTuple):
    """One batch as tensors."""

    x: Tensor
    y: Tensor | None = None
    weights: Tensor | None = None

    def part(self, start: int, end: int) -> Batch:
        """Its samples from start to end."""
        y, weights = (None if t is None else t[start:end] for t in self[1:])
        return Batch(self.x[start:end], y, weights)


def _rows(name: str, data: Any) -> Array:
    """An array of numbers with at least one row."""
    if data is None:
        raise ValueError(explain(f"`{name}` to be an array", None, "Pass the data."))
    try:
        values = as_array(data)
    except TypeError as error:
        raise TypeError(f"`{name}`: {error}") from None
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(explain(f"`{name}` with at least one sample", f"shape {values.shape}", "Check how the data was made."))
    return values


def checked_batch_size(batch_size: Any) -> int | None:
    """Raise ValueError unless it is a positive integer or None."""
    if batch_size is None:
        return None
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        remedy = "None takes all samples at once, 1 one by one."
        raise ValueError(explain("`batch_size` to be a positive integer or None", repr(batch_size), remedy))
    return int(batch_size)


def split_off_validation(samples: Samples, fraction: float) -> tuple[Samples, Samples]:
    """The last `fraction` of the samples apart, before any shuffling; the first floor(n (1 - fraction)) are for training.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If one of the parts would be empty.
    """
    if isinstance(fraction, bool) or not isinstance(fraction, Real):
        raise TypeError(explain("`validation_split` to be a number", repr(fraction), "Give a fraction, such as 0.1."))
    exact = len(samples) * (1 - float(fraction))
    cut = math.floor(round(exact, 6)) if 0 < fraction < 1 else 0  # 1 - 0.9 is a little less than 0.1
    if not 0 < cut < len(samples):
        remedy = "Use a fraction between 0 and 1 that leaves samples on both sides."
        raise ValueError(explain("`validation_split` to leave samples on both sides", f"{fraction} of {len(samples)}", remedy))
    return samples.part(0, cut), samples.part(cut, len(samples))


def class_weights(y: Array | None, weights: dict[int, float], base: Array | None, dtype: np.dtype[Any]) -> Array:
    """The weight of each sample's class, times its own weight. Labels may be whole numbers, (n,) or (n, 1), or one-hot floats.

    Raises
    ------
    ValueError
        If a class has no weight, or a sample has not just one class: several labels, or those of a sequence.
    """
    if y is None:
        raise ValueError(explain("targets together with `class_weight`", None, "Pass y."))
    if not isinstance(weights, dict) or not all(isinstance(w, Real) for w in weights.values()):
        raise TypeError(explain("`class_weight` as a dict of numbers", weights, "Map each class to its weight."))
    labels = _labels(y)
    classes, place = np.unique(labels, return_inverse=True)
    missing = [int(c) for c in classes if int(c) not in weights]
    if missing:
        raise ValueError(explain(f"a weight for each class {classes.tolist()}", weights, f"Add classes {missing}."))
    table = np.array([weights[int(c)] for c in classes], dtype)
    return np.ascontiguousarray(table[place] * (1 if base is None else base), dtype)


def _labels(y: Array) -> Array:
    """The class of each sample."""
    if y.size == len(y):
        values = y.reshape(-1)
        with np.errstate(invalid="ignore"):
            labels = values.astype(np.int64)
        if not np.array_equal(labels, values):
            received = "fractions or NaN"
            raise ValueError(explain("whole numbers as classes together with `class_weight`", received, "Use `sample_weight`."))
        return labels
    is_one_hot = y.ndim == 2 and y.dtype.kind == "f" and ((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all()
    if not is_one_hot:  # integers are labels, and these are several for each sample
        received = f"several labels for each, of shape {y.shape}"
        raise ValueError(explain("one class for each sample together with `class_weight`", received, "Use `sample_weight`."))
    return np.asarray(y.argmax(1))


def __dir__() -> list[str]:
    return sorted(__all__)
