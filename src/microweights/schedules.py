"""Learning rates that change from step to step; names, arguments and defaults are Keras's where it has them.

A schedule is passed to an optimizer in place of its learning rate. It is a few numbers in the optimizer's state, from which
every update computes its rate in C: so a captured step, too, follows it.
"""

from __future__ import annotations

import math
from numbers import Real
from types import SimpleNamespace
from typing import Any

from .errors import explain
from .kernels.reference import COSINE, CYCLE, LINE, POWER, STAIRS, scheduled_rate


def _check(least: float, **numbers: Any) -> None:
    """Raise ValueError for an argument that is not a number from `least` on."""
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not least <= float(value) < math.inf:
            remedy = "Count updates, not epochs." if "step" in name else "Choose a small number."
            raise ValueError(explain(f"`{name}` to be a number not below {least:g}", repr(value), remedy))


class Schedule:
    """`schedule(step)` is the learning rate after so many updates.

    It rises in a line (in a cycle half a wave) from a first rate to a peak, and then falls in one of four ways.
    """

    def __init__(self, kind: int, peak: float, fall: int, final: float, first: float = 0.0, rise: int = 0) -> None:
        numbers = {"first_rate": first, "warmup_steps": rise, "peak_rate": peak, "decay_steps": fall, "final_rate": final}
        self.numbers = {"schedule": float(kind), **{name: float(x) for name, x in numbers.items()}}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={x:g}" for name, x in self.numbers.items() if name != "schedule")
        return f"{type(self).__name__}: {shown}"

    def __call__(self, step: float) -> float:
        return scheduled_rate(SimpleNamespace(step=float(step), **self.numbers))


class Constant(Schedule):
    """The same rate for ever, after a rise in a line from 0, at which the first update stands, during `warmup_steps`."""

    def __init__(self, learning_rate: float, warmup_steps: int = 0) -> None:
        _check(0, learning_rate=learning_rate, warmup_steps=warmup_steps)
        super().__init__(LINE, learning_rate, 1, learning_rate, rise=warmup_steps)


class StepDecay(Schedule):
    """Multiplied by `factor` every `step_size` updates."""

    def __init__(self, initial_learning_rate: float, step_size: int, factor: float = 0.1) -> None:
        _check(0, initial_learning_rate=initial_learning_rate, factor=factor)
        _check(1, step_size=step_size)
        super().__init__(STAIRS, initial_learning_rate, step_size, factor)


class ExponentialDecay(Schedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps); `staircase` takes whole numbers of decay_steps."""

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False) -> None:
        _check(0, initial_learning_rate=initial_learning_rate, decay_rate=decay_rate)
        _check(1, decay_steps=decay_steps)
        super().__init__(STAIRS if staircase else POWER, initial_learning_rate, decay_steps, decay_rate)


class PolynomialDecay(Schedule):
    """In a line down to `end_learning_rate` in `decay_steps`: Keras's with a power of 1."""

    def __init__(self, initial_learning_rate: float, decay_steps: int, end_learning_rate: float = 0.0001) -> None:
        _check(0, initial_learning_rate=initial_learning_rate, end_learning_rate=end_learning_rate)
        _check(1, decay_steps=decay_steps)
        super().__init__(LINE, initial_learning_rate, decay_steps, end_learning_rate)


class CosineDecay(Schedule):
    """Half a wave down to alpha times the highest rate in `decay_steps`  (Loshchilov & Hutter 2017).

    With `warmup_target` it first rises to that in a line, during `warmup_steps`  (Goyal et al. 2017).
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0, warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:  # fmt: skip
        _check(0, initial_learning_rate=initial_learning_rate, alpha=alpha, warmup_steps=warmup_steps)
        _check(1, decay_steps=decay_steps)
        if warmup_target is None:
            super().__init__(COSINE, initial_learning_rate, decay_steps, alpha * initial_learning_rate)
        else:
            _check(0, warmup_target=warmup_target)
            final = alpha * warmup_target
            super().__init__(COSINE, warmup_target, decay_steps, final, initial_learning_rate, warmup_steps)


class OneCycle(Schedule):
    """Half a wave up to `max_learning_rate`, and half a wave down almost to nothing.

    The cycle is that of Smith & Topin (2019), who draw it with straight lines; waves and defaults are PyTorch's.

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
        _check(0, rise=rise, start_factor=start_factor, final_factor=final_factor)
        if not rise < 1:
            raise ValueError(explain("`rise` from 0 to below 1", repr(rise), "It is the part of steps that go up."))
        up = min(round(rise * total_steps), math.ceil(total_steps) - 1)
        first, final = start_factor * max_learning_rate, final_factor * max_learning_rate
        super().__init__(CYCLE, max_learning_rate, total_steps - up, final, first, up)


def numbers_of(learning_rate: Any) -> dict[str, float]:
    """What an optimizer's state must hold for a learning rate or a schedule."""
    if isinstance(learning_rate, Schedule):
        return {"learning_rate": learning_rate(0), **learning_rate.numbers}
    names = ("schedule", "first_rate", "warmup_steps", "peak_rate", "decay_steps", "final_rate")
    return {"learning_rate": learning_rate, **dict.fromkeys(names, 0.0)}
