"""The one generator of batches: which samples come when, and as many batches at once as can be replayed in one call into C."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..tensor import Array, Tensor

__all__ = ["Batches", "Epoch"]


class Batches:
    """The numbers of samples, batch by batch, in one epoch after the other.

    Parameters
    ----------
    samples : int
        How many there are.
    size : int or None
        Samples of a batch; the last batch of an epoch may be smaller. None is one batch of all.
    draw : function of an int n, optional
        Gives 0 .. n - 1 in the order of an epoch; without it samples stay in theirs.
    steps : int, optional
        End an epoch after so many batches, all of them whole; the next epoch goes on where it ended.

    Attributes
    ----------
    size, steps : int
        Samples of a batch, and batches of an epoch.

    Examples
    --------
    >>> batches = Batches(5, 2)
    >>> [index.tolist() for index in batches.epoch()]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, samples: int, size: int | None, draw: Callable[[int], Array] | None = None, steps: int | None = None
    ) -> None:
        self._samples, self._draw = samples, draw
        self.size = min(size or samples, samples)
        self.steps = -(-samples // self.size) if steps is None else steps
        self._rest: Array | None = None if steps is None else np.zeros(0, np.int64)  # of an order that several epochs share

    def epoch(self) -> Epoch:
        """The next epoch. Where one batch holds all samples there are no numbers: a step takes them as they are."""
        if self._rest is None:
            order = None if self.size == self._samples else self._order()
            return Epoch([] if order is None else [order], self._samples, self.size)
        count = self.steps * self.size
        while len(self._rest) < count:
            self._rest = np.concatenate([self._rest, self._order()])
        order, self._rest = self._rest[:count], self._rest[count:]
        return Epoch([order], count, self.size)

    def _order(self) -> Array:
        is_drawn = self._draw is not None and self.size < self._samples
        return self._draw(self._samples) if is_drawn else np.arange(self._samples)  # type: ignore[misc]


class Epoch:
    """One pass over arrays of as many rows, batch by batch.

    A step is called with the rows of each array that are next in turn. Steps that have been captured run many at once.

    Parameters
    ----------
    arrays : list of arrays (rows, ...)
        Such as the order of the samples of :class:`Batches`, or the samples themselves.
    rows : int
    size : int
        Rows of a batch; the last one may be smaller.

    Attributes
    ----------
    arrays : list of arrays
    done, number : int
        Rows and batches that have been run.

    Examples
    --------
    >>> import microweights as mw
    >>> step = mw.capture(lambda x: x.sum())
    >>> epoch = Epoch([np.arange(10.0)], 10, 2)
    >>> while epoch.has_next():
    ...     print(epoch.run(step, 4)[0].tolist())  # recorded, recorded, and then all the others in one call
    [1.0]
    [5.0]
    [9.0, 13.0, 17.0]
    """

    def __init__(self, arrays: Sequence[Array], rows: int, size: int) -> None:
        self.arrays, self._rows, self._size = arrays, rows, size
        self.done = self.number = 0

    def has_next(self) -> bool:
        return self.done < self._rows

    @property
    def rows(self) -> int:
        """Rows of the next batch."""
        return min(self._size, self._rows - self.done)

    def times(self, most: int) -> int:
        """How many batches come next that are as large as the first of them, at most so many."""
        return max(1, min(most, (self._rows - self.done) // self._size))

    def next(self) -> list[Array]:
        """What the arrays have for the next batch; no copies."""
        return [a[self.done : self.done + self.rows] for a in self.arrays]

    def run(self, step: Any, most: int = 1, *of_steps: Array) -> list[Array]:
        """Run a step on the next batch, or on at most so many where it can be replayed, and go on behind them.

        Parameters
        ----------
        step : function, or a captured one
            Of a value out of each of `of_steps` and then of the rows of each array. It returns a tensor or a list of tensors.
        most : int
        *of_steps : arrays (steps, ...)
            What the next steps take beside the rows.

        Returns
        -------
        list of arrays (steps, ...)
            The results of each step.
        """
        done, rows, times = self.done, self.rows, self.times(most)
        first = [a[done : done + rows] for a in self.arrays]
        if of_steps:
            first = [*(a[0, ...] for a in of_steps), *first]
        replay = step.replay_for(*first) if times > 1 and hasattr(step, "replay_for") else None
        if replay is None:
            times, found = 1, step(*first)
            results = [t.numpy()[None] for t in ([found] if isinstance(found, Tensor) else found)]
        else:
            whole = [a[done : done + times * rows] for a in self.arrays]
            results = replay.many([*(a[:times] for a in of_steps), *whole], times)
        self.done, self.number = done + times * rows, self.number + times
        return results

    def __iter__(self) -> Iterator[Any]:
        """The rows of the first array for each batch, or slice(None) if there is none: to index with."""
        while self.has_next():
            rows = self.next()
            self.done, self.number = self.done + self.rows, self.number + 1
            yield rows[0] if rows else slice(None)


def __dir__() -> list[str]:
    return sorted(__all__)
