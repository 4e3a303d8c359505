"""Weights of classes as weights of samples."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from ..errors import explain
from ..tensor import Array

__all__ = ["class_weights"]


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
