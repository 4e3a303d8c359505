"""What kernels do, in numbers for people: operations, bytes, what the machine can reach, and the time that no program can beat.

**The floor** of a piece of work is

    operations / (best rate of our matrix product)  +  (bytes - caches) / (best bandwidth)

Operations are those of floating point that the formula takes (a multiplication with an addition counts as two). Bytes are those
of everything it reads and writes, each once; of these, as many as the caches hold can still be there from the time before, so
that only the others must come from beyond. The share of the floor is the floor over the time that was taken: at 100 % nothing
is left to gain. Small or element-wise work that stays within the caches cannot reach it, as it waits for them.
"""

from __future__ import annotations

import math
import os
import timeit
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from ..kernels import machine
from ..kernels.door import add_to, copy_to, matmul, reduce
from ..kernels.header import KERNELS
from ..kernels.plans import OPERATIONS, WORK, Work
from .recorder import Call, plain_name


def work_of(call: Call) -> Work:
    name, shapes = plain_name(call.kernel), [p.shape for _, p in call.places()]
    if name in WORK:
        return WORK[name](*call.arguments)
    operations = OPERATIONS.get(name, 1) * max((math.prod(s) for s in shapes), default=0)
    return Work("x".join(map(str, shapes[0])), float(operations), float(sum(p.bytes for _, p in call.places())))


def title(kernel: str) -> str:
    """What a table calls it."""
    name = plain_name(kernel)
    return f"check: {name.replace('_', ' ')}" if KERNELS[name].returns == "int64_t" else name


# ---- what the machine can reach ----------------------------------------------------------------------------------------


class Peaks(NamedTuple):
    """Operations per second in our product of float32 and of float64, bytes per second beyond the caches, bytes within them."""

    float32: float
    float64: float
    bandwidth: float
    caches: float

    def floor(self, operations: float, moved: float, is_double: bool = False) -> float:
        """Seconds that so many operations over so many bytes take at the least."""
        rate = self.float64 if is_double else self.float32
        return operations / rate + max(0.0, moved - self.caches) / self.bandwidth

    def best(self, other: Peaks) -> Peaks:
        return Peaks(*map(max, self, other))

    def __str__(self) -> str:
        return (
            f"{self.float32 / 1e9:.0f} GFLOP/s in float32, {self.float64 / 1e9:.0f} in float64, "
            f"{self.bandwidth / 1e9:.0f} GB/s beyond {self.caches / 2**20:.0f} MB of caches, threads: {machine.num_threads()}"
        )


def cache_bytes() -> int:
    """The size of the largest cache, as the system tells; 32 MB where it does not."""
    names = [f"SC_LEVEL{level}_CACHE_SIZE" for level in (2, 3, 4)]
    known = getattr(os, "sysconf_names", {})
    return max([os.sysconf(name) for name in names if name in known], default=0) or 32 << 20


MOST_COPIED = 1 << 28  # bytes of an array that is copied to measure bandwidth


def peaks(seconds: float = 0.1) -> Peaks:
    """What this machine reaches with the threads in use: the best of many products, copies, sums and additions.

    Parameters
    ----------
    seconds : float
        To spend on products of each type, and on memory; at least each is measured three times.
    """
    caches = cache_bytes()
    rates = []
    for dtype in (np.float32, np.float64):
        squares = [np.ones((n, n), dtype) for n in (256, 512, 768)]
        products: list[tuple[float, Callable[[], object]]] = [(2.0 * len(a) ** 3, partial(matmul, a, a)) for a in squares]
        rates.append(_best_rate(products, seconds))
    size = min(max(4 * caches, 1 << 26), MOST_COPIED) // 4
    x, y = np.ones(size, np.float32), np.ones(size, np.float32)
    moves: list[tuple[float, Callable[[], object]]] = [
        (2.0 * x.nbytes, partial(copy_to, x, y)),
        (1.0 * x.nbytes, partial(reduce, "sum", x, (0,))),
        (3.0 * x.nbytes, partial(add_to, x, y)),
    ]
    return Peaks(rates[0], rates[1], _best_rate(moves, seconds), float(caches))


def _best_rate(calls: list[tuple[float, Callable[[], object]]], seconds: float) -> float:
    best, end, rounds = 0.0, timeit.default_timer() + seconds, 0
    while rounds < 3 or timeit.default_timer() < end:
        for amount, call in calls:
            best = max(best, amount / timeit.timeit(call, number=1))
        rounds += 1
    return best
