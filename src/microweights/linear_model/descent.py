"""Steps down the gradient of one batch after the other, for the problem of a linear model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import ops
from ..autograd import grad
from ..capture.captured import Captured
from ..data.batches import Batches, Epoch
from ..kernels import door
from ..state import enable_grad, no_grad
from ..tensor import Array, Tensor
from .problem import LOSSES, Problem
from .solvers import CURVATURE_ROWS, Found, check_divergence

MAX_STEPS_PER_CALL = 256


class Descent(NamedTuple):
    """How to descend by batches.

    The rate is "constant", goes down as rate / (1 + epochs so far) ** power ("invscaling"), or is divided by 5 whenever the
    loss stops falling, down to a part of `lowest` ("adaptive"); the names are scikit-learn's. It ends when `patience` epochs in
    a row were not better by a part of `tol`.
    """

    batch_size: int | str | None = "auto"  # None: all samples
    learning_rate: float | None = None
    schedule: str = "adaptive"
    power: float = 0.5
    tol: float = 1e-3
    patience: float = 5
    shuffle: bool = True
    lowest: float = 0.01  # smaller rates change the averaged weights' loss by less than a ten-thousandth

    def size(self, n: int) -> int:
        """Of the batches of n samples."""
        return n if self.batch_size is None else min(batch_for(n) if self.batch_size == "auto" else int(self.batch_size), n)

    def rate(self, problem: Problem) -> float:
        """The first rate: by default one that is not too large for all samples, nor for a batch with the longest of them."""
        if self.learning_rate is not None:
            return self.learning_rate
        size = self.size(problem.samples)
        longest = problem.max_curvature * problem.largest_row() / size if size < problem.samples else 0.0
        return 1 / ((problem.curvature(CURVATURE_ROWS) + longest) or 1.0)


class Line:
    """The weights v of a problem, with which batches are learned.

    `reached` is their average over the second half of the last epoch, where no batch has the last word (Polyak & Juditsky
    1992); under an L1 penalty it is the last ones, as averages of zeros and others are no zeros.
    """

    def __init__(self, problem: Problem, v: Array) -> None:
        self.loss, self.intercept = problem.loss, problem.intercept
        self.v, self.averages = Tensor(v.copy(), requires_grad=True), not problem.l1.any()
        self.reached = Tensor(v.copy()) if self.averages else self.v
        self.centre, self.inverse = (Tensor(a.astype(v.dtype)) for a in (problem.mean, problem.inverse))
        self.l1, self.l2 = Tensor(problem.l1), Tensor(problem.l2)
        self.captured, self.suits = Captured(self.step), what_suits(problem)

    def step(self, rate: Tensor, share: Tensor, x: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
        """Learn a batch; the loss before. `share` is by how much the average moves to the new weights."""
        x = (x - self.centre) * self.inverse  # batch by batch: no copy of all the data is made
        if self.intercept:
            x = ops.concatenate([x, Tensor(np.ones((len(x), 1), x.dtype))], 1)
        losses = LOSSES[self.loss](x @ self.v, y)
        losses = losses if losses.ndim == 1 else losses.sum(1)
        loss = (losses if weights is None else losses * weights).mean() + (self.l2 * self.v.square()).sum() * 0.5
        g = grad(loss, self.v)
        with no_grad():
            new = self.v - rate * g
            if self.averages:
                self.v.assign(new)
                self.reached.assign(self.reached + share * (new - self.reached))
            else:
                self.v.assign(ops.SoftThreshold()(new, rate * self.l1))
        return loss.detach()

    def learn(self, step: Captured, epoch: Epoch, n: int, size: int, rate: float, power: float, before: int) -> float:
        """The mean loss over an epoch, with the L1 penalty. The rate falls by a power of the epochs with those `before`."""
        steps, total = -(-n // size), 0.0
        shares = np.ones(steps, self.v.dtype)
        shares[steps // 2 :] = 1 / np.arange(1, steps - steps // 2 + 1)
        shares[-1] *= (n - (steps - 1) * size) / size  # the last batch may be a small one; its step, too, is as much shorter
        with enable_grad():
            while epoch.has_next():
                rows, times = epoch.rows, epoch.times(MAX_STEPS_PER_CALL)
                epochs = before + (epoch.done + rows * np.arange(times)) / n
                rates = (rate * rows / size / (1 + epochs) ** power).astype(self.v.dtype)
                total += float(epoch.run(step, times, rates, shares[epoch.number :])[0].sum()) * rows
        return total / n + float((self.l1.data * np.abs(self.v.data)).sum())


def stochastic(
    problem: Problem,
    v: Array,
    max_iter: int,
    how: Descent,
    random: np.random.RandomState,
    is_worse: Callable[[Array], bool] | None = None,
) -> Found:
    """Steps down the gradient of one batch after the other, each followed by soft thresholding; `max_iter` counts epochs.

    `is_worse` looks at the weights after each epoch and says whether they are no better than before; without it, the mean of
    the losses of the batches does, which costs nothing.

    Raises
    ------
    FloatingPointError
        If it diverges; the message names the learning rate.
    """
    line, n, rate, arrays = Line(problem, v), problem.samples, how.rate(problem), _arrays(problem)
    size, lowest, power = how.size(n), rate * how.lowest, how.power * (how.schedule == "invscaling")

    def step(rate: Tensor, share: Tensor, index: Tensor | None = None) -> Tensor:
        rows = (Tensor(a if index is None else door.gather(a, index.data)) for a in arrays)
        return line.step(rate, share, *rows)

    captured, batches = Captured(step), Batches(n, size, random.permutation if how.shuffle else None)
    losses, stale = list[float](), 0
    while len(losses) < max_iter and stale < how.patience:
        best = min(losses, default=np.inf)
        losses.append(line.learn(captured, batches.epoch(), n, size, rate, power, len(losses)))
        check_divergence(losses, rate)
        better = not is_worse(line.reached.data) if is_worse else losses[-1] < best * (1 - how.tol)
        stale = 0 if better else stale + 1
        if stale >= how.patience and how.schedule == "adaptive" and rate > lowest:
            rate, stale = rate / 5, 0
    return Found(line.reached.data, len(losses), losses, stale >= how.patience)


def one_pass(line: Line, problem: Problem, v: Array, how: Descent, random: np.random.RandomState, before: int) -> Found:
    """One pass over a part of the data, from weights v; `before` counts the passes so far. Its steps are recorded once for
    all parts.

    Raises
    ------
    FloatingPointError
        If it diverges.
    """
    n, rate, arrays = problem.samples, how.rate(problem), _arrays(problem)
    size, power = how.size(n), how.power * (how.schedule == "invscaling")
    if how.shuffle and size < n:
        order = random.permutation(n)
        arrays = [door.gather(a, order) for a in arrays]
    with no_grad():
        line.v.assign(Tensor(v))
    losses = [line.learn(line.captured, Epoch(arrays, n, size), n, size, rate, power, before)]
    check_divergence(losses, rate)
    return Found(line.reached.data.copy(), 1, losses, False)


def what_suits(problem: Problem) -> tuple[Any, ...]:
    """What problems have in common that a :class:`Line` can learn from."""
    arrays = problem.mean, problem.inverse, problem.l1, problem.l2
    return problem.loss, problem.intercept, problem.outputs, problem.dtype, *(a.tobytes() for a in arrays)


def _arrays(problem: Problem) -> list[Array]:
    """Columns, targets and, if there are any, weights with a mean of 1."""
    weights = problem.weights
    return [np.ascontiguousarray(problem.raw), problem.y, *([] if weights is None else [weights * problem.samples])]


def batch_for(n: int) -> int:
    """A size of batches for n samples: all of a few, else some sixteen batches."""
    return n if n <= 64 else min(max(n // 16, 8), 128)
