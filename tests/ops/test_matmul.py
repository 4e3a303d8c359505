"""Matrix products against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microweights as mw

THREE_PARTS = r"(?s)^Expected .+\. Received: .+\. \S.+"


@st.composite
def products(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    m, k, n = (draw(st.integers(0, 5)) for _ in range(3))
    batch = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)).input_shapes
    left, right = draw(st.sampled_from([("m", "n"), ("", "n"), ("m", ""), ("", "")]))
    rng = np.random.default_rng(m * 100 + k * 10 + n)
    a = rng.normal(size=(*batch[0], m, k) if left else (k,))
    b = rng.normal(size=(*batch[1], k, n) if right else (k,))
    if draw(st.booleans()) and a.ndim > 1:
        a = a.swapaxes(-1, -2).copy().swapaxes(-1, -2)
    if draw(st.booleans()):
        b = np.repeat(b, 2, axis=0)[::2]
    return a, b


@pytest.mark.usefixtures("setting")
@given(products())
def test_matmul_like_numpy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    same(mw.tensor(np.ones(a.shape)) * a @ b, a @ b, rtol=1e-12)
    x, y = mw.tensor(a, requires_grad=True), mw.tensor(b, requires_grad=True)
    z = x @ y
    same(z, a @ b, rtol=1e-12)
    z.sum().backward()  # z is linear in x, and in y
    np.testing.assert_allclose((x.grad * a).sum().item(), (a @ b).sum(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose((y.grad * b).sum().item(), (a @ b).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3), (4, 2)), ((3,), (4,)), ((2, 3), (2,)), ((), (3,)), ((3,), ()), ((2, 2, 3), (3, 3, 4)), ((2,), (3, 2))],
)
def test_wrong_matrix_products(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=THREE_PARTS):
        mw.tensor(np.ones(left)) @ mw.tensor(np.ones(right))
