"""How data comes to the steps of a model: checked, in orders, and batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import random
from ..capture.step import Step
from ..data.batches import Batches
from ..data.loader import Loader, Rows, is_beyond_memory, is_loader
from ..data.samples import Form, Samples, size_for
from ..errors import explain
from ..tensor import Array, Tensor
from .feed import Feed, LoaderFeed, SamplesFeed
from .steps import Stepper


class Feeder(Stepper):
    """A model whose steps are fed from whatever is given as data."""

    order_state: Array | None = None  # a random stream of its own for the order of samples; None: the common one

    def _data(self, x: Any, y: Any = None, weights: Any = None) -> Any:
        """Samples, or rows of files that are read batch by batch; or what gives batches, as it is."""
        if is_loader(x):
            return x
        return Rows(x, y, weights) if is_beyond_memory(x, y, weights, self.compute_dtype) else self._samples(x, y, weights)

    def _inputs(self, x: Any, *others: Any) -> Samples:
        return Samples(x, dtype=self.compute_dtype)

    def _feed(self, data: Any, size: int | None, steps: int | None, step: str, check: Callable[..., Samples]) -> Feed:
        """The batches of data as they stand, at most so many."""
        if steps is not None:
            check_counts(steps=steps)
        if not isinstance(data, (Samples, Rows)):
            return LoaderFeed(partial(self._step, step), Loader(data, check, steps, goes_on=False))
        size = size_for(size, len(data), steps)
        if steps is not None:
            data = data.part(0, min(int(steps) * (size or len(data)), len(data)))
        if isinstance(data, Rows):
            return LoaderFeed(partial(self._step, step), Loader(data.in_batches(Batches(len(data), size)), check))
        return SamplesFeed(self._step(step, data.form), data, size=size)

    def _training_feed(
        self, data: Any, size: int | None, steps: int | None, shuffle: bool, class_weight: dict[int, float] | None
    ) -> Feed:
        """The batches of data in a new order for each epoch, each step weighing samples by their class, too."""
        if steps is not None:
            check_counts(steps_per_epoch=steps)
        draw = partial(_permutation, self.order_state) if shuffle else None

        def weighted(samples: Samples) -> Samples:
            return samples if class_weight is None else samples.with_class_weights(class_weight, self.compute_dtype)

        def step_for(form: Form) -> Step:
            self._steps["fit"] = step = self._step("train", form)
            return step

        if not isinstance(data, (Samples, Rows)):
            return LoaderFeed(step_for, Loader(data, lambda *batch: weighted(self._samples(*batch)), steps, draw))
        size = size_for(size, len(data), steps)
        # steps that have all samples between them are the epochs of plain batches
        is_whole = steps is not None and size is not None and (int(steps) - 1) * size < len(data) <= int(steps) * size
        batches = Batches(len(data), size, draw, None if is_whole else steps)
        if isinstance(data, Rows):
            return LoaderFeed(step_for, Loader(data.in_batches(batches), lambda *batch: weighted(self._samples(*batch))))
        samples = weighted(data)

        def on_rows(index: Tensor | None = None) -> list[Tensor]:
            return self._measured(self.train_step, samples.rows(None if index is None else index.data))

        self._steps["fit"] = step = Step(on_rows, self._roots, self.eager)
        return SamplesFeed(step, samples, batches)


def _permutation(state: Array | None, n: int) -> Array:
    return random.permutation(n, state)  # type: ignore[no-any-return]


def check_counts(**counts: Any) -> None:
    """Raise ValueError for counts that are no positive integers; `initial_epoch` may be 0."""
    for name, n in counts.items():
        least = 0 if name == "initial_epoch" else 1
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least:
            raise ValueError(explain(f"`{name}` to be an integer not below {least}", repr(n), "Give such a number."))
