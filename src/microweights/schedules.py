"""Learning rates that change from step to step; names, arguments and defaults are Keras's where it has them.

A schedule is passed to an optimizer in place of its learning rate. It is a few numbers in the optimizer's state, from which
every update computes its rate in C: so a captured step, too, follows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from types import SimpleNamespace
from typing import Any

from .errors import explain
from .kernels.header import ENUMS
from .kernels.reference import scheduled_rate
from .naming import Configurable, lookup

__all__ = [
    "Constant", "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "OneCycle",
    "PiecewiseConstantDecay", "PolynomialDecay", "Schedule", "StepDecay", "get",
]  # fmt: skip


def check(least: float, **numbers: Any) -> None:
    """Raise ValueError for an argument that is not a number from `least` on."""
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not least <= float(value) < math.inf:
            remedy = "Count updates, not epochs." if "step" in name else "Choose a small number."
            raise ValueError(explain(f"`{name}` to be a number not below {least:g}", repr(value), remedy))


MOST_PIECES = ENUMS["limits"]["most_pieces"]

# What a schedule puts into the state of an optimizer, csrc/kernels.h; all 0 where there is none.
_NUMBERS: dict[str, Any] = {
    "schedule": 0.0, "first_rate": 0.0, "warmup_steps": 0.0, "peak_rate": 0.0, "decay_steps": 1.0, "final_rate": 0.0,
    "staircase": 0.0, "power": 1.0, "cycle": 0.0, "t_mul": 1.0, "m_mul": 1.0, "pieces": 0.0,
    "boundary": [0.0] * MOST_PIECES, "value": [0.0] * (MOST_PIECES + 1),
}  # fmt: skip


class Schedule(Configurable):
    """`schedule(step)` is the learning rate after so many updates.

    It rises in a line (in a cycle half a wave) from a first rate to a peak, and then falls in one of several ways. A schedule
    of another form cannot be computed in C: set `optimizer.learning_rate` between epochs, as
    :class:`microweights.callbacks.LearningRateScheduler` does.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if "_numbers" in self.__dict__:
            remedy = "Make another one, and assign it to optimizer.learning_rate."
            raise AttributeError(explain("a schedule to stay as it was made", f"an assignment to {name!r}", remedy))
        super().__setattr__(name, value)

    def _follow(self, kind: str, **numbers: Any) -> None:
        """Say which way it goes, and by which numbers."""
        self._numbers = {
            **_NUMBERS,
            "schedule": float(ENUMS["schedule"][kind]),
            **{n: _as_floats(x) for n, x in numbers.items()},
        }

    @property
    def numbers(self) -> dict[str, Any]:
        """What it is in the state of an optimizer.

        Raises
        ------
        TypeError
            If it is a class of the user's own, which does not say so.
        """
        if "_numbers" not in self.__dict__:
            remedy = "Set optimizer.learning_rate between epochs instead, as mw.callbacks.LearningRateScheduler does."
            raise TypeError(explain("a schedule of microweights.schedules, which C computes", repr(type(self)), remedy))
        return self._numbers

    def __call__(self, step: float) -> float:
        return scheduled_rate(SimpleNamespace(step=float(step), **self.numbers))


def _as_floats(x: Any) -> Any:
    return [float(v) for v in x] if isinstance(x, list) else float(x)


class Constant(Schedule):
    """The same rate for ever, after a rise in a line from 0, at which the first update stands, during `warmup_steps`."""

    def __init__(self, learning_rate: float, warmup_steps: int = 0) -> None:
        check(0, learning_rate=learning_rate, warmup_steps=warmup_steps)
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps
        self._follow("line", peak_rate=learning_rate, final_rate=learning_rate, warmup_steps=warmup_steps)


class StepDecay(Schedule):
    """Multiplied by `factor` every `step_size` updates."""

    def __init__(self, initial_learning_rate: float, step_size: int, factor: float = 0.1) -> None:
        check(0, initial_learning_rate=initial_learning_rate, factor=factor)
        check(1, step_size=step_size)
        self.initial_learning_rate, self.step_size, self.factor = initial_learning_rate, step_size, factor
        self._follow("power", peak_rate=initial_learning_rate, decay_steps=step_size, final_rate=factor, staircase=1)


class ExponentialDecay(Schedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps); `staircase` takes whole numbers of decay_steps."""

    _way = "power"

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False,
        name: str | None = None,
    ) -> None:  # fmt: skip
        check(0, initial_learning_rate=initial_learning_rate, decay_rate=decay_rate)
        check(1, decay_steps=decay_steps)
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = bool(staircase), name
        rates = {"peak_rate": initial_learning_rate, "final_rate": decay_rate}
        self._follow(self._way, decay_steps=decay_steps, staircase=self.staircase, **rates)


class InverseTimeDecay(ExponentialDecay):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps); `staircase` takes whole numbers of decay_steps."""

    _way = "inverse"


class PolynomialDecay(Schedule):
    """Down to `end_learning_rate` in `decay_steps`, as (1 - step / decay_steps) ** power falls.

    With `cycle` it falls again and again, each time from a lower rate and over more steps.
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, end_learning_rate: float = 0.0001, power: float = 1.0,
        cycle: bool = False, name: str | None = None,
    ) -> None:  # fmt: skip
        check(0, initial_learning_rate=initial_learning_rate, end_learning_rate=end_learning_rate, power=power)
        check(1, decay_steps=decay_steps)
        self.initial_learning_rate, self.decay_steps, self.end_learning_rate = (
            initial_learning_rate,
            decay_steps,
            end_learning_rate,
        )
        self.power, self.cycle, self.name = power, bool(cycle), name
        rates = {"peak_rate": initial_learning_rate, "final_rate": end_learning_rate}
        self._follow("line", decay_steps=decay_steps, power=power, cycle=self.cycle, **rates)


class CosineDecay(Schedule):
    """Half a wave down to alpha times the highest rate in `decay_steps`  (Loshchilov & Hutter 2017).

    With `warmup_target` it first rises to that in a line, during `warmup_steps`  (Goyal et al. 2017).
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0, name: str | None = None,
        warmup_target: float | None = None, warmup_steps: int = 0,
    ) -> None:  # fmt: skip
        check(0, initial_learning_rate=initial_learning_rate, alpha=alpha, warmup_steps=warmup_steps)
        check(1, decay_steps=decay_steps)
        self.initial_learning_rate, self.decay_steps, self.alpha, self.name = initial_learning_rate, decay_steps, alpha, name
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps
        if warmup_target is None:
            self._follow(
                "cosine", peak_rate=initial_learning_rate, decay_steps=decay_steps, final_rate=alpha * initial_learning_rate
            )
        else:
            check(0, warmup_target=warmup_target)
            rates = {"first_rate": initial_learning_rate, "peak_rate": warmup_target, "final_rate": alpha * warmup_target}
            self._follow("cosine", decay_steps=decay_steps, warmup_steps=warmup_steps, **rates)


class CosineDecayRestarts(Schedule):
    """Half waves down to alpha times the first rate, one after the other  (Loshchilov & Hutter 2017).

    The first takes `first_decay_steps`; each is `t_mul` times as long and begins `m_mul` times as high as the one before.
    """

    def __init__(
        self, initial_learning_rate: float, first_decay_steps: int, t_mul: float = 2.0, m_mul: float = 1.0,
        alpha: float = 0.0, name: str | None = None,
    ) -> None:  # fmt: skip
        check(0, initial_learning_rate=initial_learning_rate, m_mul=m_mul, alpha=alpha)
        check(1, first_decay_steps=first_decay_steps, t_mul=t_mul)
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name
        rates = {"peak_rate": initial_learning_rate, "final_rate": alpha * initial_learning_rate}
        self._follow("restarts", decay_steps=first_decay_steps, t_mul=t_mul, m_mul=m_mul, **rates)


class PiecewiseConstantDecay(Schedule):
    """`values[0]` up to and with update `boundaries[0]`, then `values[1]` up to `boundaries[1]`, and so on.

    Parameters
    ----------
    boundaries : list of numbers of updates
        Rising, up to 16 of them.
    values : list of rates
        One more than there are boundaries.
    name : str, optional
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str | None = None) -> None:
        self.boundaries, self.values, self.name = list(boundaries), list(values), name
        if len(self.values) != len(self.boundaries) + 1 or len(self.boundaries) > MOST_PIECES:
            received = f"{len(self.boundaries)} boundaries and {len(self.values)} values"
            expected = f"up to {MOST_PIECES} boundaries and one value more"
            raise ValueError(explain(expected, received, "mw.callbacks.LearningRateScheduler takes any function of epochs."))
        for x in self.boundaries:
            check(0, step=x)
        for x in self.values:
            check(0, value=x)
        if sorted(set(self.boundaries)) != self.boundaries:
            raise ValueError(explain("boundaries that rise", self.boundaries, "Sort them, and their values with them."))
        after = MOST_PIECES - len(self.boundaries)
        table = {"boundary": self.boundaries + [0] * after, "value": self.values + [0] * after}
        self._follow("pieces", pieces=len(self.boundaries), **table)


class OneCycle(Schedule):
    """Half a wave up to `max_learning_rate`, and half a wave down almost to nothing.

    The cycle is that of Smith & Topin (2019), who draw it with straight lines; waves, defaults and the steps at which it
    turns are PyTorch's: the first update is 0, the highest `rise * total_steps - 1`, the last `total_steps - 1`.

    Parameters
    ----------
    max_learning_rate : float
    total_steps : int
    rise : float
        The part of the steps that go up.
    start_factor, final_factor : float
        Of the highest rate, where it begins and where it ends.
    """

    def __init__(
        self, max_learning_rate: float, total_steps: int, rise: float = 0.3, start_factor: float = 0.04,
        final_factor: float = 4e-6,
    ) -> None:  # fmt: skip
        for name, number in (("max_learning_rate", max_learning_rate), ("total_steps", total_steps)):
            if isinstance(number, bool) or not isinstance(number, Real) or not 0 < float(number) < math.inf:
                raise ValueError(explain(f"`{name}` to be a positive number", repr(number), "Count updates, not epochs."))
        check(0, rise=rise, start_factor=start_factor, final_factor=final_factor)
        if not rise < 1:
            raise ValueError(explain("`rise` from 0 to below 1", repr(rise), "It is the part of steps that go up."))
        self.max_learning_rate, self.total_steps, self.rise = max_learning_rate, total_steps, rise
        self.start_factor, self.final_factor = start_factor, final_factor
        steps = {"warmup_steps": rise * total_steps - 1, "decay_steps": (1 - rise) * total_steps}
        first, final = start_factor * max_learning_rate, final_factor * max_learning_rate
        self._follow("cycle", first_rate=first, peak_rate=max_learning_rate, final_rate=final, **steps)


def numbers_of(learning_rate: Any) -> dict[str, Any]:
    """What an optimizer's state must hold for a learning rate or a schedule."""
    if isinstance(learning_rate, Schedule):
        return {"learning_rate": learning_rate(0), **learning_rate.numbers}
    return {"learning_rate": float(learning_rate), **_NUMBERS}


_SCHEDULES = (
    Constant, StepDecay, ExponentialDecay, InverseTimeDecay, PolynomialDecay, CosineDecay, CosineDecayRestarts,
    PiecewiseConstantDecay, OneCycle,
)  # fmt: skip


def get(identifier: Any) -> Schedule:
    """The schedule for a Schedule or its configuration {"class_name": ..., "config": ...}."""
    return lookup("a schedule", identifier, Schedule, {c.__name__: c for c in _SCHEDULES})


def __dir__() -> list[str]:
    return sorted(__all__)
