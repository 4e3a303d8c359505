"""Samples, targets and sample weights on their way into a training: checked once, then taken batch by batch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..errors import explain
from ..kernels import door
from ..losses import Loss
from ..tensor import FLOATS, Array, Tensor, as_array
from .classes import class_weights

__all__ = ["Batch", "Form", "Samples", "checked_batch_size", "first_of", "is_rows"]


class Batch(NamedTuple):
    """One batch: inputs, targets and sample weights as tensors, alone or in nests; None where there are none."""

    x: Any
    y: Any = None
    weights: Any = None

    @property
    def rows(self) -> int:
        return len(tree.leaves_of(self.x)[0])

    def part(self, start: int, end: int) -> Batch:
        """Its samples from start to end."""
        return tree.map_structure(lambda t: None if t is None else t[start:end], self)  # type: ignore[no-any-return]


class Form(NamedTuple):
    """How arrays in a row make a :class:`Batch`; hashable, as batches of another form take another program.

    Attributes
    ----------
    structure : tree.Structure
        Of the batch.
    is_there : tuple of bool
        Whether a leaf is an array, and not None.
    """

    structure: tree.Structure | None
    is_there: tuple[bool, ...]

    def batch(self, parts: Iterable[Any]) -> Batch:
        following = iter(parts)
        return tree.unflatten(self.structure, [next(following) if there else None for there in self.is_there])  # type: ignore[no-any-return]


class Samples:
    """Arrays of as many rows: inputs, and maybe targets and weights, each alone or in a nest of several.

    Parameters
    ----------
    x : array (samples, ...), or nest of them
        Floats are cast to `dtype`. Integers and booleans stay what they are, without a copy: the layer that computes with the
        rows of a batch casts them.
    y : array (samples, ...) or nest of them, optional
        As the loss wants it. None in a nest is no target.
    weights : array (samples,) or nest of them, optional
    loss : Loss, or list of Losses, optional
        For each of the targets.
    dtype : data type

    Attributes
    ----------
    columns : list of arrays
        All that there are, in a row.
    form : Form
        Of the batches that they make.
    """

    def __init__(
        self, x: Any, y: Any = None, weights: Any = None, loss: Any = None, dtype: np.dtype[Any] = door.FLOAT32
    ) -> None:
        if isinstance(x, NESTS) or isinstance(y, NESTS) or isinstance(weights, NESTS):
            self._take_nests(Batch(x, y, weights), loss, dtype)
            return
        inputs = _inputs(_rows("x", x), dtype)
        self.columns = [inputs]
        if y is not None:
            self.columns.append(_targets(_rows("y", y), loss, dtype, len(inputs), "y"))
        if weights is not None:
            self.columns.append(_weights(_rows("sample_weight", weights), dtype, len(inputs), "sample_weight"))
        self.form = FLAT[y is not None, weights is not None]

    def _take_nests(self, given: Batch, loss: Any, dtype: np.dtype[Any]) -> None:
        leaves, found = list[Any](), list[Array]()
        structure = tree.flatten(given, leaves, is_rows)
        losses = iter(loss if isinstance(loss, (list, tuple)) else [loss] * len(leaves))
        for (part, *path), leaf in zip(tree.paths(structure), leaves, strict=True):
            wanted = next(losses) if part == 1 else None
            if leaf is None and part > 0:
                continue
            name = ("x", "y", "sample_weight")[part] + "".join(f"[{key!r}]" for key in path)
            values = _rows(name, leaf)
            rows = len(found[0]) if found else len(values)
            if part == 0:
                found.append(_same_length(_inputs(values, dtype), rows, name))
            else:
                is_target = part == 1
                found.append(_targets(values, wanted, dtype, rows, name) if is_target else _weights(values, dtype, rows, name))
        if not found:
            raise ValueError(explain("`x` with at least one array", "none", "Pass the data."))
        self.columns, self.form = found, _form(structure, leaves)

    @classmethod
    def of(cls, columns: list[Array], form: Form) -> Samples:
        """Of arrays that have been checked."""
        made = object.__new__(cls)
        made.columns, made.form = columns, form
        return made

    @property
    def x(self) -> Any:
        return self.form.batch(self.columns).x

    @property
    def y(self) -> Any:
        return self.form.batch(self.columns).y

    @property
    def weights(self) -> Any:
        return self.form.batch(self.columns).weights

    def __len__(self) -> int:
        return len(self.columns[0])

    def part(self, start: int, end: int) -> Samples:
        """The samples from start to end, without a copy."""
        return Samples.of([a[start:end] for a in self.columns], self.form)

    def rows(self, index: Array | None = None) -> Batch:
        """Samples by their numbers, or all of them."""
        return self.form.batch([Tensor(a if index is None else door.gather(a, index)) for a in self.columns])

    def with_class_weights(self, weights: dict[int, float], dtype: np.dtype[Any]) -> Samples:
        """The same, each sample's weight times that of its class.

        Raises
        ------
        ValueError
            If there are several targets, or :func:`classes.class_weights` finds no class for each sample.
        """
        x, y, base = self.form.batch(self.columns)
        if isinstance(y, NESTS):
            raise ValueError(explain("one output together with `class_weight`", "several", "Use `sample_weight`."))
        found = class_weights(y, weights, base, dtype)
        columns = [*(self.columns if base is None else self.columns[:-1]), found]
        leaves: list[Any] = []
        return Samples.of(columns, _form(tree.flatten(Batch(x, y, found), leaves), leaves))


NESTS = (tuple, list, dict)
SINGLE = tree.Structure(Batch, None, (None, None, None))  # of batches without nests
FLAT = {(y, w): Form(SINGLE, (True, y, w)) for y in (False, True) for w in (False, True)}


def _form(structure: tree.Structure | None, leaves: Sequence[Any]) -> Form:
    is_there = tuple([leaf is not None for leaf in leaves])
    return FLAT[is_there[1:]] if structure == SINGLE else Form(structure, is_there)  # type: ignore[index]


def is_rows(x: Any) -> bool:
    """Whether a list or tuple is to be taken as an array: rows of numbers, and no arrays in it."""
    return isinstance(x, (list, tuple)) and type(x) is not Batch and not any(map(_holds_arrays, x))


def _holds_arrays(x: Any) -> bool:
    is_array = not isinstance(x, (int, float)) and len(getattr(x, "shape", ())) > 0
    return is_array or isinstance(x, dict) or (isinstance(x, (list, tuple)) and any(map(_holds_arrays, x)))


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


def _inputs(values: Array, dtype: np.dtype[Any]) -> Array:
    if values.dtype is not dtype and values.dtype in FLOATS:
        values = door.cast(values, dtype)
    return values if values.flags.c_contiguous else np.ascontiguousarray(values)


def _targets(values: Array, loss: Loss | None, dtype: np.dtype[Any], rows: int, name: str) -> Array:
    if len(values) != rows:
        _same_length(values, rows, name)
    values = loss.targets(values, dtype) if loss is not None else Loss().targets(values, dtype)
    return values if values.flags.c_contiguous else np.ascontiguousarray(values)


def _weights(values: Array, dtype: np.dtype[Any], rows: int, name: str) -> Array:
    if values.ndim != 1:
        received = f"shape {values.shape}"
        raise ValueError(explain("`sample_weight` to have one axis", received, "Give one weight for each sample."))
    return np.ascontiguousarray(_same_length(values, rows, name), dtype)


def _same_length(values: Array, rows: int, name: str) -> Array:
    if len(values) != rows:
        received = f"{rows} rows of x and {len(values)} of {name}"
        raise ValueError(explain(f"as many rows of `{name}` as of `x`", received, "Check how the data was split."))
    return values


class DefaultSize(int):
    """The batch size where none is given: steps, if their number is, share all samples instead."""


BATCH_SIZE = DefaultSize(32)


def size_for(batch_size: int | None, samples: int, steps: int | None) -> int | None:
    """Samples of a batch, where an epoch has so many steps.

    >>> size_for(BATCH_SIZE, 200, 3), size_for(BATCH_SIZE, 200, None), size_for(50, 200, 3)
    (67, 32, 50)
    """
    return -(-samples // steps) if batch_size is BATCH_SIZE and steps else batch_size


def checked_batch_size(batch_size: Any) -> int | None:
    """Raise ValueError unless it is a positive integer or None."""
    if batch_size is None or batch_size is BATCH_SIZE:
        return batch_size
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        remedy = "None takes all samples at once, 1 one by one."
        raise ValueError(explain("`batch_size` to be a positive integer or None", repr(batch_size), remedy))
    return int(batch_size)


def first_of(samples: int, fraction: float) -> int:
    """How many are for training where the last `fraction` is held out, before any shuffling: floor(samples (1 - fraction)).

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If one of the parts would be empty.
    """
    if isinstance(fraction, bool) or not isinstance(fraction, Real):
        raise TypeError(explain("`validation_split` to be a number", repr(fraction), "Give a fraction, such as 0.1."))
    exact = samples * (1 - float(fraction))
    cut = math.floor(round(exact, 6)) if 0 < fraction < 1 else 0  # 1 - 0.9 is a little less than 0.1
    if not 0 < cut < samples:
        remedy = "Use a fraction between 0 and 1 that leaves samples on both sides."
        raise ValueError(explain("`validation_split` to leave samples on both sides", f"{fraction} of {samples}", remedy))
    return cut


def __dir__() -> list[str]:
    return sorted(__all__)
