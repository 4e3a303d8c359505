"""Cases: matrix products of every shape a network has, matrix times vector, vector times vector."""

from __future__ import annotations

from functools import partial

import numpy as np

import microweights as mw

from ..kernels import door
from .race import Call, Case, Race, import_torch, random, replayed

SQUARES = [(n, n, n) for n in (64, 128, 256, 512, 1024, 2048)]
THIN = [(1, 784, 128), (32, 784, 128), (64, 128, 10), (784, 64, 128)]


def product(m: int, k: int, n: int, a_transposed: bool = False, b_transposed: bool = False) -> Race:
    a = random(k, m).T if a_transposed else random(m, k)
    b = random(n, k, seed=1).T if b_transposed else random(k, n, seed=1)
    out = np.empty((m, n), np.float32)
    held = a.T if a_transposed else a, b.T if b_transposed else b  # as they lie in memory

    def ours(x: mw.Tensor, y: mw.Tensor) -> mw.Tensor:
        return (x.T if a_transposed else x) @ (y.T if b_transposed else y)

    calls: dict[str, Call] = {
        "replayed": replayed(ours, *held),
        "eager": partial(door.matmul, a, b),
        "numpy": partial(np.matmul, a, b, out=out),
    }
    if torch := import_torch():
        calls["torch"] = partial(torch.mm, *map(torch.from_numpy, (a, b)), out=torch.empty(m, n))
    return Race(lambda: a.astype(np.float64) @ b.astype(np.float64), calls)


def matrix_vector(n: int) -> Race:
    a, x = random(n, n), random(n, seed=1)
    calls: dict[str, Call] = {"replayed": replayed(lambda a, x: a @ x, a, x), "eager": partial(door.matmul, a, x[:, None])}
    calls["numpy"] = partial(np.matmul, a, x, out=np.empty_like(x))
    if torch := import_torch():
        calls["torch"] = partial(torch.mv, torch.from_numpy(a), torch.from_numpy(x), out=torch.empty(n))
    return Race(lambda: a.astype(np.float64) @ x.astype(np.float64), calls)


def dot(n: int) -> Race:
    x, y = random(n, low=0.0), random(n, low=0.0, seed=1)  # a sum of both signs would be all rounding
    calls: dict[str, Call] = {
        "replayed": replayed(lambda x, y: x @ y, x, y),
        "eager": partial(door.matmul, x[None, :], y[:, None]),
        "numpy": partial(np.dot, x, y),
    }
    if torch := import_torch():
        calls["torch"] = partial(torch.dot, torch.from_numpy(x), torch.from_numpy(y))
    return Race(lambda: x.astype(np.float64) @ y.astype(np.float64), calls, tolerance=1e-3)  # BLAS adds up naively


def _case(m: int, k: int, n: int, a_transposed: bool = False, b_transposed: bool = False) -> Case:
    """Named m x k x n; in the backward of Z = X W stand dW = Xᵀ dZ and dX = dZ Wᵀ."""
    form = " Xᵀ·dZ" * a_transposed + " dZ·Wᵀ" * b_transposed
    build = partial(product, m, k, n, a_transposed, b_transposed)
    return Case(f"gemm {m}x{k}x{n}{form}", 2 * m * k * n, 4 * (m * k + k * n + m * n), build, blas=True)


CASES = [
    *(_case(m, k, n) for m, k, n in SQUARES + THIN),
    *(_case(m, k, n, a_transposed=True) for m, k, n in [(784, 64, 128), (128, 64, 10), (1024, 256, 1024)]),
    *(_case(m, k, n, b_transposed=True) for m, k, n in [(64, 10, 128), (32, 32, 64), (256, 1024, 1024)]),
    *(Case(f"matrix-vector {n}x{n}", 2 * n * n, 4 * n * n, partial(matrix_vector, n), blas=True) for n in (256, 4096)),
    *(Case(f"dot {n}", 2 * n, 8 * n, partial(dot, n), blas=True) for n in (1 << 15, 1_000_000, 1 << 24)),
]
