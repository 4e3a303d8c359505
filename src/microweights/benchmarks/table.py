"""What came out: a row for each case, its winner, and the same as data."""

from __future__ import annotations

import math
import platform
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from .. import __version__
from ..kernels import machine
from .measure import blas, clock
from .race import CONTENDERS, OURS, Case, import_torch


@dataclass(frozen=True)
class Result:
    """A case, and by contender (variants apart) the seconds per call in each round and the error."""

    case: Case
    times: dict[str, list[float]]
    errors: dict[str, float]
    tolerance: float

    @cached_property
    def best(self) -> dict[str, str]:
        """The fastest variant of each contender."""
        found: dict[str, str] = {}
        for name in sorted(self.times, key=self.seconds):
            found.setdefault(name.split()[0], name)
        return found

    def seconds(self, name: str) -> float:
        return median(self.times[name])

    def is_wrong(self, name: str) -> bool:
        return not self.errors[name] <= self.tolerance

    @property
    def wrong(self) -> list[str]:
        return [name for name in self.times if self.is_wrong(name)]

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the best other one we are; None if there is no other or somebody is wrong."""
        others = [self.seconds(name) for contender, name in self.best.items() if contender not in OURS]
        return min(others) / self.ours if others and not self.wrong else None

    @property
    def ours(self) -> float:
        return min(self.seconds(name) for contender, name in self.best.items() if contender in OURS)

    @property
    def is_slower(self) -> bool:
        return self.ratio is not None and round(self.ratio, 2) < 1

    @property
    def verdict(self) -> str:
        if self.wrong:
            return f"VOID: {', '.join(self.wrong)} wrong"
        if self.ratio is None:
            return "alone"
        return f"{self.ratio:.2f}x" + "  SLOWER" * self.is_slower

    def row(self) -> str:
        cells = [self._cell(self.best.get(contender, "")) for contender in CONTENDERS]
        rate = self.case.work / self.ours / 1e9
        return " ".join([f"{self.case.name:34s} {rate:6.1f} {self.case.unit:7s}", *cells, self.verdict])

    def _cell(self, name: str) -> str:
        if not name:
            return " " * 17
        return f"{_microseconds(self.seconds(name)):>10s} {self.errors[name]:5.0e}{'!' if self.is_wrong(name) else ' '}"

    def as_data(self) -> dict[str, Any]:
        contenders = {}
        for contender in CONTENDERS:
            if (name := self.best.get(contender)) is None:
                continue
            low, _, high = quantiles(self.times[name], n=4)
            contenders[contender] = {
                "variant": name,
                "seconds": self.seconds(name),
                "quartiles": [low, high],
                "rounds": len(self.times[name]),
                "rate": self.case.work / self.seconds(name) / 1e9,
                "error": self.errors[name] if math.isfinite(self.errors[name]) else None,
            }
        names = {"case": self.case.name, "unit": self.case.unit, "ratio": self.ratio, "wrong": self.wrong}
        return {**names, "contenders": contenders}


def _microseconds(seconds: float) -> str:
    """Three digits or more."""
    digits = max(0, 2 - math.floor(math.log10(max(seconds * 1e6, 1e-3))))
    return f"{seconds * 1e6:,.{digits}f}"


COLUMNS = " ".join(
    [f"{'times in µs':34s} {'our rate':14s}", *(f"{name:>10s} error " for name in CONTENDERS), "against the best"]
)


def summary(results: list[Result]) -> str:
    judged = sorted((r for r in results if r.ratio is not None), key=lambda r: r.ratio or 0.0)
    slower = [f"  {r.ratio:.2f}x  {r.case.name}" for r in judged if r.is_slower]
    lines = [f"fastest in {len(judged) - len(slower)} of {len(judged)} cases" + (", slower in:" if slower else "")]
    void = [f"  {r.case.name}: {r.verdict}" for r in results if r.wrong]
    return "\n".join([*lines, *slower, *(["void, because somebody is wrong:"] if void else []), *void])


def setting() -> dict[str, str]:
    """Where the times come from."""
    torch = import_torch()
    return {
        "microweights": __version__,
        "instruction set": machine.isa(),
        "threads": str(machine.num_threads()),
        "clock": clock.__name__,
        "numpy": f"{np.__version__} ({blas()['name']} {blas().get('version', '')})",
        "torch": "not installed" if torch is None else torch.__version__,
        "python": platform.python_version(),
        "cpu": cpu_model(),
    }


def cpu_model() -> str:
    try:
        if platform.system() == "Darwin":
            return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or platform.machine()
