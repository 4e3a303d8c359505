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
        others = [self.seconds(name) for contender, name in self.best.items() if contender != OURS]
        return min(others) / self.seconds(OURS) if others and not self.wrong else None

    @property
    def verdict(self) -> str:
        if self.wrong:
            return f"VOID: {', '.join(self.wrong)} wrong"
        if self.ratio is None:
            return "alone"
        return f"{self.ratio:.2f}x" + ("" if self.ratio >= 1 else "  SLOWER")

    def row(self) -> str:
        cells = []
        for contender in CONTENDERS:
            name = self.best.get(contender)
            text = "" if name is None else f"{_microseconds(self.seconds(name))} {self.errors[name]:8.0e}{'!' * self.is_wrong(name)}"
            cells.append(f"{text:18s}")
        rate = self.case.work / self.seconds(OURS) / 1e9
        return f"{self.case.name:38s} {rate:6.1f} {self.case.unit:7s} {' '.join(cells)} {self.verdict}".rstrip()

    def as_data(self) -> dict[str, Any]:
        contenders = {}
        for contender, name in self.best.items():
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
    """Three digits or more, in nine places."""
    digits = max(0, 2 - math.floor(math.log10(max(seconds * 1e6, 1e-3))))
    return f"{seconds * 1e6:9,.{digits}f}"


COLUMNS = f"{'case':38s} {'rate':14s} " + " ".join(f"{name + ' µs  error':18s}" for name in CONTENDERS) + " ours against the best"


def summary(results: list[Result]) -> str:
    judged = [(r.ratio, r.case.name) for r in results if r.ratio is not None]
    slower = [f"  {ratio:.2f}x  {name}" for ratio, name in sorted(judged) if ratio < 1]
    lines = [f"fastest in {len(judged) - len(slower)} of {len(judged)} cases" + (", slower in:" if slower else "")]
    void = [f"  {r.case.name}: {r.verdict}" for r in results if r.wrong]
    return "\n".join([*lines, *slower, *(["void, because somebody is wrong:"] if void else []), *void])


def setting() -> dict[str, str]:
    """Where the times come from."""
    torch = import_torch()
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload,index]
    return {
        "microweights": __version__,
        "instruction set": machine.isa(),
        "threads": str(machine.num_threads()),
        "numpy": f"{np.__version__} ({blas['name']} {blas.get('version', '')})",
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
