"""Times on a machine that others use, too: contenders take turns in short chunks, and the median over chunks counts.

A burst of other work then slows one chunk of everybody instead of all chunks of one contender. A single thread is timed by
the CPU's clock, which stands still while another process has the core; several threads wait for each other, and that counts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import repeat
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np

from ..kernels import machine
from .race import Call

CHUNK = 0.015 if machine.num_threads() == 1 else 0.1  # seconds; several threads take a while to be awake
SETTLE = 0.3  # seconds until the idle threads of the last contender no longer spin (OpenBLAS: 0.1), but sleep
clock = process_time if machine.num_threads() == 1 else perf_counter
Timer = Callable[[int], float]  # runs so many calls, returns the seconds they took


def timer(call: Call) -> Timer:
    def seconds(calls: int) -> float:
        start = clock()
        for _ in repeat(None, calls):
            call()
        return clock() - start

    return seconds


def calls_per_chunk(seconds: Timer, chunk: float = CHUNK) -> int:
    calls = 1
    while (took := seconds(calls)) < chunk / 2:
        calls *= 2 if took < chunk / 20 else max(2, int(chunk / took))
    return calls


def take_turns(timers: dict[str, Timer], budget: float, least: int = 5) -> dict[str, list[float]]:
    """Seconds per call of each contender in each round; rounds until the budget of seconds is used, at least some."""
    calls = {name: calls_per_chunk(seconds) for name, seconds in timers.items()}
    times: dict[str, list[float]] = {name: [] for name in timers}
    end, done, order = perf_counter() + budget, 0, list(timers)
    while done < least or perf_counter() < end:
        for name in order:
            if machine.num_threads() > 1:
                sleep(SETTLE)
            timers[name](1)  # brings data and code back into the caches
            times[name].append(timers[name](calls[name]) / calls[name])
        order.append(order.pop(0))  # so that nobody always comes after the same neighbour
        done += 1
    return times


def blas() -> dict[str, Any]:
    """The BLAS that NumPy was built with: its name, its version."""
    built: Any = np.show_config(mode="dicts")
    return dict(built["Build Dependencies"]["blas"])


class BestOpenBLAS:
    """NumPy in a second process whose OpenBLAS is told to use its AVX-512 kernels; on some CPUs it picks others.

    It takes its turns on request, through a pipe, and sleeps in between.
    """

    def __init__(self) -> None:
        environment = os.environ | {"OPENBLAS_CORETYPE": "Cooperlake"}
        command, pipe = [sys.executable, "-m", __name__], subprocess.PIPE
        self._process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    @staticmethod
    def exists() -> bool:
        return "openblas" in blas()["name"] and "avx512" in machine.available_isas()

    def _ask(self, **request: object) -> float:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process that measures OpenBLAS has ended; its message stands above")
        return float(answer)

    def error(self, case: str) -> float:
        """Set the case up over there; how far its result is from the exact one."""
        return self._ask(case=case)

    def seconds(self, calls: int) -> float:
        return self._ask(calls=calls)

    def close(self) -> None:
        self._process.communicate()


def serve() -> None:
    """The other end of :class:`BestOpenBLAS`."""
    from .cases import CASES

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ends when the pipe does
    sys.modules["torch"] = None  # type: ignore[assignment]  # nobody asks for it here
    for line in sys.stdin:
        request = json.loads(line)
        if "case" in request:
            race = CASES[request["case"]].build()
            print(race.errors()["numpy"], flush=True)
        else:
            print(timer(race.calls["numpy"])(request["calls"]), flush=True)


if __name__ == "__main__":
    serve()
