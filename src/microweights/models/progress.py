"""The progress of a training: a bar, a line for each epoch, or nothing."""

from __future__ import annotations

import sys
import time
from typing import Any

from ..errors import explain


class Progress:
    """The progress of a fit: a bar, a line for each epoch, or nothing. How many steps an epoch has may not be known (None)."""

    INTERVAL = 0.1  # seconds between two looks at the bar

    def __init__(self, mode: int, epochs: int, initial_epoch: int, steps: int | None) -> None:
        self.epochs, self.epoch, self.steps, self.lines = epochs, initial_epoch, steps, mode == 2
        self.bar: Any = None
        self.last = ""
        if mode == 1:
            from tqdm import tqdm

            form = "{desc} {percentage:3.0f}%|{bar:10}| {elapsed}<{remaining} {postfix}"
            first = f"epoch {initial_epoch + 1}/{epochs}"
            self.bar = tqdm(total=steps and (epochs - initial_epoch) * steps, desc=first, bar_format=form, leave=False)
        self.first, self.started = initial_epoch, time.perf_counter()
        self.next_look = self.started if mode == 1 else float("inf")

    def is_due(self) -> bool:
        return time.perf_counter() >= self.next_look

    def step(self, number: int, logs: dict[str, float]) -> None:
        self.next_look = time.perf_counter() + self.INTERVAL
        self._show(self.epoch - self.first, number + 1, logs)

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        self.last = f"epoch {epoch + 1}/{self.epochs}  {time.perf_counter() - self.started:.2f} s  {_as_text(logs)}"
        if self.bar is not None and self.is_due():
            self._show(epoch - self.first, self.steps or 0, logs)
        if self.lines:
            print(self.last, flush=True)
            self.started = time.perf_counter()
        self.epoch = epoch + 1

    def _show(self, epochs_done: int, steps_done: int, logs: dict[str, float]) -> None:
        self.bar.set_description(f"epoch {self.first + epochs_done + 1}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(_as_text(logs), refresh=False)
        if self.steps is not None:
            self.bar.update(epochs_done * self.steps + steps_done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            print(self.last, flush=True)  # what the bar showed last, and in full


def _as_text(logs: dict[str, float]) -> str:
    return "  ".join(f"{name}: {value:.4g}" for name, value in logs.items())


def checked_verbose(verbose: Any) -> int:
    """0, 1 or 2; "auto" is 1 in a terminal, else 2."""
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(explain("`verbose` to be 'auto', 0, 1 or 2", repr(verbose), "0 is silent."))
    return (1 if sys.stderr.isatty() else 2) if verbose == "auto" else int(verbose)
