"""The picture of a benchmark: how many times as long as ours each peer takes, on a scale of logarithms."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ..errors import explain
from .race import OURS
from .table import Result

CHOSEN = {
    "one training step": (
        "step 64-32-32-10 SGD", "step 784-128-64-10 Adam", "step 784-1024-1024-10 momentum+L2", "step of 20 layers of 8",
        "step softmax regression 784-10", "step linear regression 10000x20",
    ),
    "one call": ("one sample 784-128-64-10", "train_on_batch 20-32-1", "predict_on_batch 20-32-1"),
}  # fmt: skip
COLOURS = {"numpy": "#0072b2", "torch": "#d55e00", "jax": "#009e73", "keras": "#cc79a7", "micrograd": "#e69f00"}
GREY = "#808080"  # can be read on white and on black
ENDINGS = (".svg", ".png")


def check(path: str) -> None:
    """Raise ValueError if no picture can be drawn there."""
    if Path(path).suffix not in ENDINGS:
        raise ValueError(explain(f"a picture that ends in {' or '.join(ENDINGS)}", repr(path), "Give it such a name."))
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError(explain("matplotlib, which draws the picture", "none", "Run pip install 'microweights[plot]'."))


def ratios(result: Result) -> dict[str, float]:
    """The time of each peer over ours; NumPy's is that with the faster choice of kernels of its BLAS."""
    found: dict[str, float] = {}
    for contender, name in result.best.items():  # the fastest first
        if contender not in OURS:
            found.setdefault("numpy" if contender == "openblas" else contender, result.seconds(name) / result.ours)
    return {peer: found[peer] for peer in COLOURS if peer in found}


def groups(results: Sequence[Result]) -> dict[str, dict[str, dict[str, float]]]:
    """By the title of a group and the name of a case the ratios: the cases of `CHOSEN`, or all where none of these was run.

    A case without a peer has no place in it, nor has one that is void.
    """
    drawn = {r.case.name: found for r in results if not r.wrong and (found := ratios(r))}
    chosen = {title: {name: drawn[name] for name in names if name in drawn} for title, names in CHOSEN.items()}
    return {title: rows for title, rows in chosen.items() if rows} or {"": drawn}


def draw(file: IO[bytes], results: Sequence[Result], setting: dict[str, str]) -> Any:
    """Write a picture of bars: those to the right of the line at 1 are peers that take longer, those to its left are faster.

    Parameters
    ----------
    file : binary file
        Its name ends in one of `ENDINGS`.
    results : list of Results
    setting : dict
        Where they come from, as :func:`microweights.benchmarks.table.setting` tells; it stands below.

    Returns
    -------
    matplotlib.figure.Figure
    """
    import matplotlib
    from matplotlib.figure import Figure

    place, cases, titles, bars = 0.0, dict[float, str](), dict[float, str](), dict[str, list[tuple[float, float]]]()
    for title, rows in groups(results).items():
        titles[place] = title
        place += 1.2
        for name, found in rows.items():
            cases[place + (len(found) - 1) / 2] = name
            for peer, ratio in found.items():
                bars.setdefault(peer, []).append((place, ratio))
                place += 1
            place += 0.7
    # letters as letters: a page shows them in a font of its own
    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "text.color": GREY}):
        figure = Figure(figsize=(8.5, 1.5 + 0.16 * place), layout="constrained")
        axes = figure.add_subplot(facecolor="none")
        for peer in (peer for peer in COLOURS if peer in bars):
            places, values = zip(*bars[peer], strict=True)
            drawn = axes.barh(places, [v - 1 for v in values], left=1, height=0.9, color=COLOURS[peer], label=peer)
            axes.bar_label(drawn, [f"{v:.2f}×" if v < 10 else f"{v:.0f}×" for v in values], padding=3, fontsize=8)
        for at, title in titles.items():
            axes.annotate(title, (1, at), xytext=(4, 0), textcoords="offset points", va="center", weight="bold")
        axes.set_yticks([*cases], [*cases.values()])
        axes.set_xscale("log")
        axes.margins(x=0.1)
        axes.set_ylim(place, -1)
        axes.axvline(1, color=GREY, linewidth=1)
        axes.set_xlabel("time of the peer / time of microweights", color=GREY)
        axes.xaxis.set_major_formatter("{x:g}×")
        axes.xaxis.set_minor_formatter("")
        axes.tick_params(colors=GREY, which="both", left=False)
        axes.spines[:].set_visible(False)
        if bars:
            figure.legend(frameon=False, ncols=len(bars), loc="outside upper center")
        figure.supxlabel(caption(setting), fontsize=8, color=GREY)
        figure.savefig(file, format=Path(file.name).suffix[1:], transparent=True, dpi=150)
    return figure


def caption(setting: dict[str, str]) -> str:
    """The machine and the day, and below them the versions."""
    threads = f"{setting['threads']} thread{'s' * (setting['threads'] != '1')}"
    versions = [f"{name} {setting[name]}" for name in ("microweights", *COLOURS) if name in setting]
    return f"{setting['cpu']}, {setting['instruction set']}, {threads}, {setting['date']}\n{', '.join(versions)}"
