"""What came out: a row for each case, its winner, how near the floor it is, and the same as data."""

from __future__ import annotations

import math
import platform
import subprocess
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from .. import __version__
from ..capture.work import Peaks
from ..kernels import machine
from .measure import blas, clock
from .race import CONTENDERS, OURS, Case, is_installed

FLOOR = "floor"  # among the times: the floor that a race has of its own


@dataclass(frozen=True)
class Result:
    """A case, and by contender (variants apart) the seconds per call in each round and the error."""

    case: Case
    times: dict[str, list[float]]
    errors: dict[str, float]
    tolerance: float
    is_random: bool = False

    @cached_property
    def best(self) -> dict[str, str]:
        """The fastest variant of each contender."""
        found: dict[str, str] = {}
        for name in sorted(self.times, key=self.seconds):
            if name != FLOOR:
                found.setdefault(name.split()[0], name)
        return found

    def seconds(self, name: str) -> float:
        return median(self.times[name])

    def is_wrong(self, name: str) -> bool:
        return not self.errors[name] <= self.tolerance

    @property
    def wrong(self) -> list[str]:
        return [name for name in self.errors if self.is_wrong(name)]

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

    def floor(self, peaks: Peaks) -> float:
        """Seconds below which nobody can come; of a race with a floor of its own, what was measured of it."""
        if FLOOR in self.times:
            return self.seconds(FLOOR)
        return peaks.floor(self.case.operations, self.case.bytes, self.case.is_double)

    def share(self, peaks: Peaks) -> float:
        """Of the floor in the time of ours."""
        return self.floor(peaks) / self.ours

    @property
    def verdict(self) -> str:
        missing = [peer for peer in self.case.peers if not is_installed(peer)]
        note = f"  no {', '.join(missing)}" if missing else ""
        if self.wrong:
            return f"VOID: {', '.join(self.wrong)} wrong{note}"
        if self.ratio is None:
            return f"alone{note}"
        return f"{self.ratio:.2f}x{' SLOWER' * self.is_slower}{note}"

    def row(self, peaks: Peaks) -> str:
        """Fits under :func:`header` for this case."""
        ours = [self.best.get(name, "") for name in self.case.ours]
        cells = [self._cell(name) for name in [*ours, *(self._peer(column) for column in columns(self.case))]]
        error = "random" if self.is_random else f"{max(self.errors[name] for name in ours if name):.0e}"
        return " ".join([f"{self.case.name:33s}", *cells, f"{error:>6s} {self.share(peaks):6.1%}  {self.verdict}"])

    def _peer(self, column: str) -> str:
        """Who stands in a column: of NumPy with one BLAS and the other, the faster one."""
        found = [self.best[name] for name in (column, "openblas" if column == "numpy" else "") if name in self.best]
        return min(found, key=self.seconds, default="")

    def _cell(self, name: str) -> str:
        return f"{_microseconds(self.seconds(name))}{'!' * self.is_wrong(name)}".rjust(8) if name else "-".rjust(8)

    def as_data(self, peaks: Peaks) -> dict[str, Any]:
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
                "error": self.errors[name] if math.isfinite(self.errors[name]) else None,
            }
        counted = {
            "operations": self.case.operations,
            "bytes": self.case.bytes,
            "floor": self.floor(peaks),
            "share": self.share(peaks),
        }
        names = {"case": self.case.name, "ratio": self.ratio, "wrong": self.wrong, "random": self.is_random}
        return {**names, **counted, "contenders": contenders}


def _microseconds(seconds: float) -> str:
    """Three digits or more."""
    digits = max(0, 2 - math.floor(math.log10(max(seconds * 1e6, 1e-3))))
    return f"{seconds * 1e6:,.{digits}f}"


def columns(case: Case) -> list[str]:
    """The peers of a case that are installed."""
    return [peer for peer in case.peers if is_installed(peer)]


def header(case: Case) -> str:
    names = "".join(f" {name:>8s}" for name in [*case.ours, *columns(case)])
    return f"{'':33s}{names} {'error':>6s} {'floor':>6s}  best peer"


LEGEND = """\
Medians of the time of a call, in µs.
  replayed   ours, as a captured program runs it
  eager      ours, call by call through Python
  numpy      with the better of two choices of kernels of its BLAS
  keras      on JAX
  error      of ours against float64, relative to the largest number; random: all draw numbers of their own;
             a ! marks who is wrong, and the row is void
  floor      the share of our time that nobody can save on this machine:
             (operations / best rate of our product + (bytes - caches) / best bandwidth) / our time;
             of calls in loops of one's own: the time of the program alone / our time
  best peer  its time / ours"""


def summary(results: list[Result]) -> str:
    judged = sorted((r for r in results if r.ratio is not None), key=lambda r: r.ratio or 0.0)
    slower = [f"  {r.ratio:.2f}x  {r.case.name}" for r in judged if r.is_slower]
    lines = [f"fastest in {len(judged) - len(slower)} of {len(judged)} cases" + (", slower in:" if slower else "")]
    void = [f"  {r.case.name}: {r.verdict}" for r in results if r.wrong]
    return "\n".join([*lines, *slower, *(["void, because somebody is wrong:"] if void else []), *void])


def setting() -> dict[str, str]:
    """Where the times come from."""
    return {
        "date": date.today().isoformat(),
        "microweights": __version__,
        "instruction set": machine.isa(),
        "threads": str(machine.num_threads()),
        "clock": clock.__name__,
        "numpy": f"{np.__version__} ({blas()['name']} {blas().get('version', '')})",
        **{peer: version(peer) for peer in ("torch", "jax", "keras") if is_installed(peer)},
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
