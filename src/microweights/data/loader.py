"""Batches that somebody else makes: iterables, generators, sequences, torch's DataLoader; and rows too many for memory."""

from __future__ import annotations

import array
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import tree
from ..errors import explain, warn
from ..kernels import door
from ..tensor import FLOATS, Array, Tensor
from .batches import Batches
from .samples import Batch, Samples, is_rows

__all__ = ["Loader", "PyDataset", "Rows", "is_beyond_memory", "is_loader"]

RAN_OUT = (
    "Your input ran out of data; interrupting training. Make sure that your dataset or generator can generate at least "
    "`steps_per_epoch * epochs` batches."
)
_DATA = (
    type(None),
    np.ndarray,
    Tensor,
    str,
    bytes,
    bytearray,
    memoryview,
    array.array,
    list,
    tuple,
    dict,
    range,
    set,
    frozenset,
)
_OF_ARRAYS = ("shape", "__array__", "__array_interface__", "__dataframe__")
_END = object()


def is_loader(x: Any) -> bool:
    """Whether this gives batches, and is no data itself: it is iterated or indexed, and no array, table, list or dict."""
    if isinstance(x, _DATA) or any(hasattr(x, name) for name in _OF_ARRAYS):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__next__") or hasattr(x, "__getitem__")


class PyDataset:
    """Batches by their numbers: subclass it with `__len__`, the number of batches, and `__getitem__`, which makes one.

    `fit` takes the batches in a new order in each epoch, unless `shuffle` is False, and calls `on_epoch_begin` and
    `on_epoch_end`.

    Parameters
    ----------
    workers, use_multiprocessing, max_queue_size
        Taken as Keras's; a batch is made when its turn comes.

    Examples
    --------
    >>> import microweights as mw
    >>> class Squares(mw.utils.Sequence):
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, index):
    ...         x = np.full((4, 1), index / 10)
    ...         return x, x**2
    >>> model = mw.Sequential([mw.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> len(model.fit(Squares(), epochs=2, verbose=0).epoch)
    2
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index: int) -> Any:
        """One batch: x, (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(
            explain("a dataset with `__getitem__`", type(self).__name__, "Define __getitem__(self, index).")
        )

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None if there is no end of them."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(explain("a dataset with `__len__`", type(self).__name__, "Define __len__(self)."))

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        return (self[i] for i in (itertools.count() if count is None else range(count)))

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


class Loader:
    """Batches out of a source, in one epoch after the other.

    Parameters
    ----------
    source : iterable, generator, or object with `__len__` and `__getitem__`
        Of batches x, (x, y) or (x, y, sample_weight). Its `on_epoch_begin` and `on_epoch_end` are called if it has them.
    check : function of (x, y, sample_weight)
        Makes :class:`Samples` of a batch.
    steps : int, optional
        End an epoch after so many batches; the next epoch goes on where it ended, and the source begins again at its end.
    draw : function of an int n, optional
        Gives 0 .. n - 1 in the order in which an epoch takes the batches of a source that can be indexed.
    goes_on : bool
        Otherwise each epoch begins with the first batch, if the source can begin again.

    Attributes
    ----------
    steps : int or None
        Batches of an epoch, if that is known.
    is_at_end : bool
        The source has no more batches, and cannot begin again.
    """

    def __init__(
        self, source: Any, check: Callable[[Any, Any, Any], Samples], steps: int | None = None,
        draw: Callable[[int], Array] | None = None, goes_on: bool = True,
    ) -> None:  # fmt: skip
        self._source, self._check, self._limit, self._draw = source, check, steps, draw
        self._goes_on = goes_on and steps is not None
        self._has_begun = False
        self._count = _count(source)
        self.steps = self._count if steps is None else steps
        self.is_at_end = False
        self._batches: Iterator[Any] | None = None  # of this pass through the source

    def epoch(self) -> Iterator[Samples]:
        """The batches of the next epoch.

        Raises
        ------
        ValueError
            If the source gives none at all.
        """
        self._tell("on_epoch_begin")
        if not self._goes_on:
            self._batches = None
        number = 0
        while number != self._limit:
            is_new = self._batches is None
            self._batches = self._batches or self._begin()
            batch = next(self._batches, _END)
            if batch is not _END:
                number, self._has_begun = number + 1, True
                yield self._check(*_parts_of(batch))
                continue
            self._batches = None
            if number and not self._goes_on and (self._limit is None or not self._is_used_up()):
                break
            if is_new or self._is_used_up():
                if not self._has_begun:
                    raise ValueError(explain("at least one batch", "none", "Check the iterable: it may be used up already."))
                self.is_at_end = True
                warn(RAN_OUT)
                break
        self._tell("on_epoch_end")

    def _is_used_up(self) -> bool:
        """Whether a source whose end has come cannot begin again."""
        return not hasattr(self._source, "__getitem__") and iter(self._source) is self._source

    def _begin(self) -> Iterator[Any]:
        source = self._source
        if not hasattr(source, "__getitem__"):
            return iter(source)
        if self._count is None:
            return (source[i] for i in itertools.count()) if _is_endless(source) else iter(source)
        order = range(self._count) if self._draw is None else self._draw(self._count)
        return (source[int(i)] for i in order)

    def _tell(self, hook: str) -> None:
        method = getattr(self._source, hook, None)
        if callable(method):
            method()


def _is_endless(source: Any) -> bool:
    """Whether it is a :class:`PyDataset`, or one of Keras's, that says that it has no end."""
    return getattr(source, "num_batches", 0) is None


def _count(source: Any) -> int | None:
    """How many batches it has, if it says so."""
    if hasattr(type(source), "num_batches"):
        found: int | None = source.num_batches
        return found
    try:
        return len(source)
    except TypeError:  # as torch's DataLoader says where it is not known
        return None


def _parts_of(batch: Any) -> tuple[Any, Any, Any]:
    """Inputs, targets and weights of a batch x, (x,), (x, y) or (x, y, sample_weight)."""
    if not isinstance(batch, (tuple, list)) or is_rows(batch):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise ValueError(
            explain("batches x, (x, y) or (x, y, sample_weight)", f"{len(batch)} parts", "Put several inputs in a dict.")
        )
    return tuple([*batch, None, None][:3])


# ---- rows too many for memory -------------------------------------------------------------------------------------------


def is_beyond_memory(x: Any, y: Any, weights: Any, dtype: np.dtype[Any]) -> bool:
    """Whether rows are to be read batch by batch: some are in a file, and cannot be used there as they are.

    A `np.memmap` can if it is of a type to compute in, or inputs that are integers. Of HDF5, zarr and the like, nothing can.
    """
    for given in (x, y, weights):
        if given is None or type(given) is np.ndarray:
            continue
        if any(_is_in_file(leaf, dtype, given is x) for leaf in tree.leaves_of(given, is_rows)):
            return True
    return False


def _is_in_file(a: Any, dtype: np.dtype[Any], is_input: bool) -> bool:
    if isinstance(a, np.memmap):
        is_usable = a.dtype == dtype or (is_input and a.dtype.kind in "iub")
        return not (is_usable and a.flags.c_contiguous and a.flags.aligned and a.dtype.isnative)
    has = [hasattr(a, name) for name in ("shape", "dtype", "__getitem__")]
    others = ("__array_interface__", "__dlpack__", "iloc", "toarray")
    return all(has) and not isinstance(a, Tensor) and not any(hasattr(a, name) for name in others)


class Rows:
    """Arrays as long as each other of which rows are read when their turn comes.

    Parameters
    ----------
    x, y, weights : arrays, things like arrays, or nests of them
        Sliced by numbers in ascending order. `y` and `weights` may be None.
    start, end : int
        The first of the rows, and the one after the last; by default all.

    Raises
    ------
    ValueError
        If not all have as many rows, or they have none.
    """

    def __init__(self, x: Any, y: Any = None, weights: Any = None, start: int = 0, end: int | None = None) -> None:
        self._given, self._start = Batch(x, y, weights), start
        counts = {len(leaf) for leaf in tree.leaves_of(self._given, is_rows) if leaf is not None}
        if len(counts) != 1 or counts == {0}:
            raise ValueError(explain("as many rows of `y` as of `x`, and some", f"{sorted(counts)} rows", "Check the data."))
        self._end = counts.pop() if end is None else end

    def __len__(self) -> int:
        return self._end - self._start

    def part(self, start: int, end: int) -> Rows:
        """Those from start to end."""
        return Rows(*self._given, self._start + start, self._start + end)

    def in_batches(self, batches: Batches) -> RowBatches:
        """A source for :class:`Loader`."""
        return RowBatches(self, batches)

    def read(self, index: Array) -> Batch:
        """Rows by their numbers, as arrays."""
        at = index + self._start
        return tree.map_structure(lambda a: None if a is None else _read(a, at), self._given, is_leaf=is_rows)  # type: ignore[no-any-return]


class RowBatches:
    """Batches of rows: each iteration is an epoch."""

    def __init__(self, rows: Rows, batches: Batches) -> None:
        self._rows, self._batches = rows, batches

    def __len__(self) -> int:
        return self._batches.steps

    def __iter__(self) -> Iterator[Any]:
        for index in self._batches.epoch():
            yield self._rows.read(np.arange(len(self._rows)) if isinstance(index, slice) else index)


def _read(a: Any, index: Array) -> Any:
    """Rows by their numbers, read in the order in which they stand."""
    order = np.argsort(index, kind="stable")
    ascending = index[order]
    first, last = int(ascending[0]), int(ascending[-1])
    if last - first + 1 == len(index):
        rows = np.asarray(a[first : last + 1])
    elif len(set(ascending.tolist())) == len(ascending):
        rows = np.asarray(a[ascending])
    else:  # epochs of so many steps may meet a sample twice
        found, at = np.unique(ascending, return_inverse=True)
        rows = np.asarray(a[found])[at]
    inverse = np.empty(len(order), np.int64)
    inverse[order] = np.arange(len(order))
    rows = rows[inverse] if (inverse[1:] < inverse[:-1]).any() else rows
    return rows if rows.dtype in FLOATS or rows.dtype.kind != "f" else rows.astype(door.FLOAT32)


def __dir__() -> list[str]:
    return sorted(__all__)
