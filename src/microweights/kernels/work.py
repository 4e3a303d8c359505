"""What the calls of a program do, in numbers for people: operations, bytes, and what the machine can reach."""

from __future__ import annotations

import math
import timeit
from typing import NamedTuple

import numpy as np

from .elementwise import copy_to
from .products import matmul
from .recorder import Call, Place, plain_name
from .updates import RULES, state_in


class Work(NamedTuple):
    """What a call does: the shapes of it, floating-point operations, and bytes that it must at least read and write."""

    kernel: str
    shapes: str
    operations: float
    bytes: float


def work_of(call: Call) -> Work:
    name, last, shapes = plain_name(call.kernel), call.arguments[-1], [p.shape for _, p in call.places()]
    moved = float(sum(p.bytes for _, p in call.places()))
    operations = float(max((math.prod(s) for s in shapes), default=0))
    text = "x".join(map(str, shapes[0])) if shapes else ""
    if name == "gemm":
        text = f"{last.m}x{last.k}x{last.n}"
        operations = 2.0 * last.m * last.n * last.k * last.batch
        itemsize = 4 if call.kernel.endswith("f32") else 8
        moved = float(itemsize * last.batch * (last.m * last.k + last.k * last.n + last.m * last.n))
    elif name == "dense_grad":
        text = f"{last.rows}x{last.inputs}x{last.units}"
        products = sum(isinstance(call.arguments[i], Place) for i in (5, 6))
        operations = 2.0 * products * last.rows * last.inputs * last.units
    elif name == "gather":
        text, operations, moved = f"{last.rows} rows", 0.0, 2.0 * last.rows * last.row_size
    elif name in RULES:
        weights = sum(math.prod(s) for s in shapes)
        text, operations = f"{weights} weights", 2.0 * weights  # at least: a rate times a gradient, subtracted
        moved += 2.0 * sum(a.nbytes for a in state_in(call.kernel, call.arguments))
    return Work(call.kernel, text, operations, moved)


def peaks() -> tuple[float, float]:
    """What this machine reaches on the threads in use: GFLOP/s in a matrix product, GB/s copying memory beyond the caches."""
    a, long = np.ones((768, 768), np.float32), np.ones(1 << 24, np.float32)
    target = np.empty_like(long)
    product = min(timeit.repeat(lambda: matmul(a, a), number=1, repeat=10))
    copying = min(timeit.repeat(lambda: copy_to(long, target), number=1, repeat=5))
    return 2 * 768**3 / product / 1e9, 2 * long.nbytes / copying / 1e9
