"""What a training or an evaluation goes over: samples in memory, or batches that are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ..capture.step import Step
from ..data.batches import Batches, Epoch
from ..data.loader import Loader
from ..data.samples import Batch, Form, Samples


class Pass(NamedTuple):
    """An epoch over samples, or a loaded batch: a step and what it runs over.

    Attributes
    ----------
    is_by_number : bool
        Whether the step is given the numbers of samples, and not their rows.
    """

    step: Step
    samples: Samples
    epoch: Epoch
    is_by_number: bool = False

    def batch(self, start: int, end: int) -> Batch:
        """What the step saw as these rows of the epoch."""
        if self.is_by_number:
            return self.samples.rows(self.epoch.arrays[0][start:end] if self.epoch.arrays else None)
        return self.samples.part(start, end).rows()


class Feed:
    """What a training or an evaluation goes over, epoch by epoch.

    Attributes
    ----------
    samples : Samples or None
        All that there are, or the first batch that was loaded; None before.
    steps : int or None
        Batches of an epoch, if that is known.
    """

    samples: Samples | None
    steps: int | None

    def epoch(self) -> Iterable[Pass]:
        raise NotImplementedError

    @property
    def is_at_end(self) -> bool:
        """Whether there are no more epochs."""
        return False


class SamplesFeed(Feed):
    """Samples in memory: taken by their numbers in the orders of `batches`, or as they stand, so many at a time."""

    samples: Samples

    def __init__(self, step: Step, samples: Samples, batches: Batches | None = None, size: int | None = None) -> None:
        self.samples, self.step, self._batches, self._size = samples, step, batches, size or len(samples)
        self.steps = -(-len(samples) // self._size) if batches is None else batches.steps

    def epoch(self) -> Sequence[Pass]:
        if self._batches is not None:
            return (Pass(self.step, self.samples, self._batches.epoch(), True),)
        return (Pass(self.step, self.samples, Epoch(self.samples.columns, len(self.samples), self._size)),)


class LoaderFeed(Feed):
    """Batches of a loader; batches of one form have one step."""

    def __init__(self, step_for: Callable[[Form], Step], loader: Loader) -> None:
        self.samples, self._step_for, self._loader, self.steps = None, step_for, loader, loader.steps

    def epoch(self) -> Iterator[Pass]:
        for samples in self._loader.epoch():
            self.samples = self.samples or samples
            yield Pass(self._step_for(samples.form), samples, Epoch(samples.columns, len(samples), len(samples)))

    @property
    def is_at_end(self) -> bool:
        return self._loader.is_at_end


class Means:
    """The means over samples of the losses of steps."""

    def __init__(self) -> None:
        self.totals: list[float] = []
        self.rows = 0

    def add(self, losses: Sequence[Sequence[float]], rows: int) -> None:
        """Of each loss its values in some steps, each of so many rows."""
        self.totals = [
            sum((loss * rows for loss in column), total)
            for total, column in zip(self.totals or [0.0] * len(losses), losses, strict=True)
        ]
        self.rows += rows * len(losses[0])

    def values(self) -> list[float]:
        return [total / self.rows for total in self.totals]
