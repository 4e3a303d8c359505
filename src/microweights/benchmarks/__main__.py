"""The process in which `microweights bench` measures; :func:`microweights.benchmarks.launch` starts it."""

from __future__ import annotations

import gc
import json
import os
import sys
from contextlib import ExitStack
from typing import Any

from ..capture.work import Peaks, peaks
from . import plot as picture
from .cases import select
from .measure import BestOpenBLAS, Timer, take_turns, timer
from .race import Case
from .table import FLOOR, LEGEND, Result, header, setting, summary

SECONDS, QUICK_SECONDS = 1.5, 0.2  # per case
PEAK_SECONDS, MEASURED_AGAIN = 0.3, 3


def main(only: str | None, quick: bool, json: str | None, plot: str | None = None) -> int:
    """Run the cases that fit `only`; 0 if every result is right, 1 if one is wrong, 2 if it could not start."""
    with ExitStack() as stack:
        try:
            cases = select(only)
            if plot:
                picture.check(plot)
            image = stack.enter_context(open(plot, "wb")) if plot else None
            file = stack.enter_context(open(json, "w", encoding="utf-8")) if json else None
        except (ValueError, OSError) as error:
            print(error, file=sys.stderr)
            return 2
        where = setting()
        print("\n".join(f"{name:16s} {value}" for name, value in where.items()))
        reached = peaks(PEAK_SECONDS)
        print(f"{'peaks':16s} {reached}\n\n{LEGEND}", flush=True)
        results: list[Result] = []
        above = ""
        try:
            peer = None
            if BestOpenBLAS.exists() and any(case.blas for case in cases):
                peer = BestOpenBLAS()
                stack.callback(peer.close)
            for case in cases:
                result = run(case, peer, quick)
                for _ in range(MEASURED_AGAIN):  # others were using the machine when its peaks were measured
                    if result.share(reached) > 1 and result.case.operations:
                        reached = reached.best(peaks(PEAK_SECONDS))
                if (line := header(case)) != above:
                    print(f"\n{line}\n{'-' * len(line)}")
                above = line
                results.append(result)
                print(result.row(reached), flush=True)
                gc.collect()
        except KeyboardInterrupt:
            print("stopped; this is what was measured so far")
        print(f"\n{summary(results)}", flush=True)
        if image is not None:
            picture.draw(image, results, where)
        if file is not None:
            write(file, where | {"peaks": str(reached)}, results, reached)
    return int(any(r.wrong for r in results))


def run(case: Case, peer: BestOpenBLAS | None, quick: bool) -> Result:
    race = case.build()
    errors = race.errors()
    timers: dict[str, Timer] = {name: timer(call) for name, call in race.calls.items()}
    if peer is not None and case.blas:
        errors["openblas"] = peer.error(case.name)
        timers["openblas"] = peer.seconds
    if race.floor is not None:
        timers[FLOOR] = timer(race.floor)
    budget, rounds = (QUICK_SECONDS, 3) if quick else (SECONDS, 5)
    return Result(case, take_turns(timers, budget, rounds), errors, race.tolerance, race.is_random)


def write(file: Any, where: dict[str, str], results: list[Result], reached: Peaks) -> None:
    json.dump({"setting": where, "cases": [r.as_data(reached) for r in results]}, file, indent=1, allow_nan=False)


if __name__ == "__main__":
    try:
        sys.exit(main(**json.loads(sys.argv[1])))
    except BrokenPipeError:  # the reader of our output has gone, as in `microweights bench | head -5`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
