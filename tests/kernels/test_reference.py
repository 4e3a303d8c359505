"""Every kernel in C against its NumPy twin, over the whole table of cases."""

import numpy as np
import pytest
from helpers import running_on

from .cases import CASES, EXACT, OF_TERMS, TOLERANCE, cases


def assert_same(kernel: str, got: list, expected: list) -> None:
    """Every array and the answer; `expected` is rounded to the type of `got` first."""
    rtol, atol = OF_TERMS.get(kernel) or TOLERANCE.get(kernel, (4, 0))
    arrays = [a for a in expected if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    largest = max([np.abs(a[np.isfinite(a)]).max(initial=1) for a in arrays], default=1) if kernel in OF_TERMS else 1
    for g, e in zip(got, expected, strict=True):
        if kernel in EXACT or not isinstance(g, np.ndarray) or g.dtype.kind != "f":
            np.testing.assert_array_equal(g, e, strict=isinstance(g, np.ndarray))
            continue
        eps, smallest = np.finfo(g.dtype).eps, np.finfo(g.dtype).smallest_subnormal
        with np.errstate(over="ignore"):
            e = e.astype(g.dtype)
        np.testing.assert_allclose(g, e, rtol=rtol * eps, atol=atol * eps * largest + 2 * smallest)


@pytest.mark.parametrize("kernel", sorted(CASES))
def test_every_kernel_agrees_with_its_twin(kernel: str, dtype: str, c_only: str) -> None:
    calls = cases(kernel, dtype)
    if kernel not in EXACT and kernel != "normal":
        calls = [call.widened() for call in calls]
    with running_on("numpy"):
        expected = [call.run() for call in calls]
    for call, e in zip(cases(kernel, dtype), expected, strict=True):
        assert_same(kernel, call.run(), e)


@pytest.mark.parametrize("kernel", sorted(CASES))
def test_the_comparison_notices_one_wrong_element(kernel: str) -> None:
    calls = cases(kernel, "float32")
    call = max(calls, key=lambda c: sum(a.size for a in c.arrays if a is not None))
    with running_on("numpy"):
        expected = call.run()
    wrong = [np.array(a) if isinstance(a, np.ndarray) else a for a in expected]
    last = [a for a in wrong if isinstance(a, np.ndarray)][-1].reshape(-1)
    last[-1] = np.nan_to_num(last[-1]) * 0.999 - 0.5 if last.dtype.kind == "f" else last[-1] ^ 1
    with pytest.raises(AssertionError):
        assert_same(kernel, wrong, expected)
