"""Writes the rows of docs/benchmarks.md: `microweights bench --json FILE`, and then `python docs/benchmarks.py FILE`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from microweights.benchmarks.plot import caption

COLUMNS = {"replayed": "replayed", "eager": "eager", "numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "keras": "Keras",
           "micrograd": "micrograd"}  # fmt: skip


def table(measured: dict[str, Any]) -> str:
    """What stands between the marks: where the times come from, how many rows are won, and all of them."""
    cases = measured["cases"]
    ratios = [case["ratio"] for case in cases if case["ratio"] is not None]
    lines = [
        f"{caption(measured['setting'])}.", "",
        f"The fastest in {sum(round(ratio, 2) >= 1 for ratio in ratios)} of {len(ratios)} cases.", "",
        f"| µs | {' | '.join(COLUMNS.values())} | best peer | floor |", f"|---|{'---:|' * (len(COLUMNS) + 2)}",
    ]  # fmt: skip
    for case in cases:
        cells = [time(case["contenders"], name) for name in COLUMNS]
        ratio = "void" if case["wrong"] else f"{case['ratio']:.2f}×" if case["ratio"] else "alone"
        lines.append(f"| {case['case']} | {' | '.join(cells)} | {ratio} | {case['share']:.0%} |")
    return "\n".join(lines)


def time(contenders: dict[str, Any], name: str) -> str:
    """In µs, of three digits or more; of NumPy with one BLAS and the other the faster one."""
    found = [contenders[key]["seconds"] * 1e6 for key in (name, "openblas" * (name == "numpy")) if key in contenders]
    return f"{float(f'{min(found):.3g}'):,.10g}" if found else ""


def filled(page: str, measured: dict[str, Any]) -> str:
    """The page with other rows."""
    return re.sub(r"(?s)(?<=<!-- rows -->\n).*(?=\n<!-- end -->)", lambda _: table(measured), page)


if __name__ == "__main__":
    path = Path(__file__).with_suffix(".md")
    measured = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    path.write_text(filled(path.read_text(encoding="utf-8"), measured), encoding="utf-8")
