"""Small helps around a training; names and arguments are Keras's."""

from __future__ import annotations

from typing import Any

import numpy as np

from .data.loader import PyDataset
from .errors import explain
from .random import seed as start_anew
from .tensor import Array, as_array

__all__ = ["PyDataset", "Sequence", "normalize", "set_random_seed", "to_categorical"]

Sequence = PyDataset


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """Labels as rows with a one where the class is: one-hot.

    Parameters
    ----------
    x : array of integers (...) or (..., 1)
        Classes from 0 on.
    num_classes : int, optional
        None is the largest label and one.

    Returns
    -------
    array (..., num_classes)
        Of float64.

    Raises
    ------
    ValueError
        If a label is no class.

    Examples
    --------
    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    labels = as_array(x)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    whole = labels.astype(np.int64)
    classes = int(num_classes or whole.max(initial=-1) + 1)
    if not np.array_equal(whole, labels) or (whole.size and not 0 <= whole.min() <= whole.max() < classes):
        received = f"labels from {labels.min()} to {labels.max()}"
        raise ValueError(explain(f"whole labels from 0 to {classes - 1}", received, "Check the labels or `num_classes`."))
    return np.eye(classes)[whole]


def set_random_seed(seed: int) -> None:
    """As :func:`microweights.seed`; and seed NumPy's and Python's random numbers, too."""
    import random

    start_anew(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  what code of the user's may draw from
    random.seed(seed)


def normalize(x: Any, axis: int = -1, order: float = 2) -> Array:
    """Divide by the norm along an axis; what is 0 there stays 0.

    Parameters
    ----------
    x : array
    axis : int
    order : float
        Of the norm: 2 is (Σ x²)^½, 1 is Σ |x|.

    Examples
    --------
    >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    values = as_array(x)
    norm = np.linalg.norm(values, order, axis, keepdims=True)
    return np.asarray(values / np.where(norm == 0, 1, norm))


def __dir__() -> list[str]:
    return sorted(__all__)
