"""The picture of a benchmark: for each case, how many times as long as ours each peer takes."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import explain
from .table import Result

COLOURS = {"numpy": "#4878cf", "openblas": "#4878cf", "torch": "#d65f5f", "jax": "#6acc65", "keras": "#956cb4",
           "micrograd": "#c4ad66"}  # fmt: skip
NAMES = {"openblas": "numpy"}  # with another choice of kernels: the faster one counts
GREY = "#808080"  # can be read on white and on black
MOST_CASES = 24


def check(path: str) -> None:
    """Raise ValueError if no picture can be drawn there."""
    if Path(path).suffix not in (".svg", ".png", ".pdf"):
        raise ValueError(explain("a picture that ends in .svg, .png or .pdf", repr(path), "Give such a name."))
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError(explain("matplotlib, which draws the picture", "none", "Run pip install 'microweights[plot]'."))


def ratios(result: Result) -> dict[str, float]:
    """The time of each peer over ours; of NumPy with one BLAS or the other, the faster one."""
    found: dict[str, float] = {}
    for contender, name in result.best.items():
        if contender not in result.case.ours and not result.is_wrong(name):
            peer = NAMES.get(contender, contender)
            found[peer] = min(found.get(peer, float("inf")), result.seconds(name) / result.ours)
    return found


def draw(path: str, results: Sequence[Result], setting: dict[str, str]) -> Any:
    """Write a picture of bars; the right of the line at 1 is ours to have won.

    Parameters
    ----------
    path : str
    results : list of Results
        The first of them that have a peer are drawn.
    setting : dict
        Where they come from, as :func:`table.setting` tells; it stands below.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    rows = [(r.case.name, found) for r in results if not r.wrong and (found := ratios(r))][:MOST_CASES]
    figure = Figure(figsize=(8, 1.2 + 0.12 * sum(1 + len(found) for _, found in rows)), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot(facecolor="none")
    place, ticks, shown = 0.0, [], set[str]()
    for _, found in rows:
        ticks.append(place + (len(found) - 1) / 2)
        for peer, ratio in found.items():
            bar = axes.barh(place, ratio - 1, left=1, height=0.9, color=COLOURS[peer], label=None if peer in shown else peer)
            axes.bar_label(bar, [f"{ratio:.3g}×"], padding=2, color=GREY, fontsize=6)
            shown.add(peer)
            place += 1
        place += 1
    axes.set_yticks(ticks, [name for name, _ in rows])
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.axvline(1, color=GREY, linewidth=1)
    axes.set_xlabel("time of the peer / time of microweights, one step or call", color=GREY)
    axes.tick_params(colors=GREY, which="both", labelsize=7)
    axes.legend(frameon=False, labelcolor=GREY, fontsize=7, loc="lower right")
    axes.spines[:].set_visible(False)
    told = [
        f"{name} {setting.get(name, '?')}" for name in ("cpu", "instruction set", "threads", "microweights", "numpy", "torch")
    ]
    below = ", ".join(told)
    figure.supxlabel(below, fontsize=6, color=GREY)
    figure.savefig(path, transparent=True, dpi=150)
    return figure
