"""No kernel reads or writes beyond its arrays: each case runs with every array against a page that nobody may touch.

A kernel that steps over ends its process, so the cases run in a child.
"""

import ctypes
import mmap
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from microweights.kernels import door
from microweights.kernels.machine import struct

from .cases import CASES, Case, cases
from .child import PYTHON_ERROR, survivor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork and mprotect are of POSIX")


def guarded(values: Any, at_end: bool) -> Any:
    """A copy between two forbidden pages, right before the second or right after the first."""
    values, page = np.asarray(values), mmap.PAGESIZE
    inside = (values.nbytes // page + 1) * page
    area = mmap.mmap(-1, inside + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert protect(start, page, 0) == 0 and protect(start + page + inside, page, 0) == 0
    offset = page + (inside - values.nbytes if at_end else 0)
    copy = np.frombuffer(area, values.dtype, values.size, offset).reshape(values.shape)
    copy[...] = values
    return copy


@pytest.mark.parametrize("at_end", [True, False], ids=["end", "start"])
def test_kernels_stay_within_their_arrays(dtype: str, at_end: bool, c_only: str) -> None:
    def run_all(say: Callable[[str], None]) -> None:
        for kernel in sorted(CASES):
            for i, case in enumerate(cases(kernel, dtype, lambda values: guarded(values, at_end))):
                say(f"{kernel}, case {i}, shapes {[np.shape(a) for a in case.arrays]}")
                case.run()
        say("done")

    assert survivor(run_all) == (0, "done")


@pytest.mark.parametrize("columns", [1, 3, 17, 33, 65, 130])
@pytest.mark.parametrize("at_end", [True, False], ids=["end", "start"])
def test_products_with_rows_that_go_backward(columns: int, at_end: bool, dtype: str, c_only: str) -> None:
    def run_all(say: Callable[[str], None]) -> None:
        x, w = guarded(np.ones((1, 32), dtype), at_end), guarded(np.ones((32, columns), dtype), at_end)
        products = [door.matmul(x, w[::-1]), door.matmul(w[:, ::-1].T, x.T), door.matmul(x[:, ::-1], w[::-1, ::-1])]
        say("done" if all((z == 32).all() for z in products) else "wrong")

    assert survivor(run_all) == (0, "done")


@pytest.mark.parametrize(("at_end", "offset"), [(True, 1), (False, -1)])
@pytest.mark.parametrize("output", [False, True])
def test_a_step_over_the_edge_is_noticed(at_end: bool, offset: int, output: bool, c_only: str) -> None:
    def step_over(say: Callable[[str], None]) -> None:
        safe, edge = np.zeros(8, "f4"), guarded(np.zeros(8, "f4"), at_end)
        over = np.frombuffer((ctypes.c_char * 32).from_address(edge.ctypes.data + 4 * offset), "f4")
        walk = struct("mw_walk", size=8, ndim=1, shape=[8], stride=[[1], [1]])
        Case("negative", [safe, over] if output else [over, safe], (walk,)).run()

    assert survivor(step_over)[0] not in (0, PYTHON_ERROR)
