"""The matrix product on every shape, stride, batch and epilogue, held against float64 with a bound that is proved."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microweights.kernels import door
from microweights.kernels.machine import struct

ACTIVATE = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def assert_product(c: Any, a: Any, b: Any, bias: Any = None, activation: str = "linear") -> None:
    """|error| <= (k + 2) eps (|A| |B| + |bias|), whatever the order of the sum (Higham 2002, section 3.5); no activation
    has a slope above 1, and each errs by 2 units itself."""
    wide, bias = (a.astype("f8"), b.astype("f8")), 0 if bias is None else bias.astype("f8")
    exact, terms = wide[0] @ wide[1] + bias, np.abs(wide[0]) @ np.abs(wide[1]) + np.abs(bias)
    eps = np.finfo(c.dtype).eps
    expected = ACTIVATE[activation](exact)
    bound = (a.shape[-1] + 2) * eps * terms + 4 * eps * np.abs(expected)
    assert c.shape == expected.shape
    assert np.all(np.abs(c - expected) <= bound), np.abs(c - expected).max()


def matrices(shape: tuple[int, ...], kind: str, rng: Any, dtype: str) -> Any:
    *batch, rows, columns = shape
    if kind == "transposed":
        return rng.normal(size=(*batch, columns, rows)).astype(dtype).swapaxes(-1, -2)
    if kind == "reversed":
        return rng.normal(size=shape).astype(dtype)[..., ::-1, ::-1]
    if kind == "sliced":
        return rng.normal(size=(*batch, 2 * rows, 3 * columns + 1)).astype(dtype)[..., ::2, 1::3]
    if kind == "window":  # rows of a wider matrix
        return rng.normal(size=(*batch, rows, columns + 5)).astype(dtype)[..., 2 : 2 + columns]
    if kind == "repeated":
        return np.broadcast_to(rng.normal(size=(*batch, 1, columns)).astype(dtype), shape)
    return rng.normal(size=shape).astype(dtype)


KINDS = ["plain", "transposed", "reversed", "sliced", "window", "repeated"]
SIDES = st.one_of(st.integers(1, 20), st.sampled_from([0, 31, 32, 33, 63, 64, 65, 97, 130]))
BATCHES = [
    ((), ()),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (1,)),
    ((2, 1), (1, 3)),
    ((1, 1), (4,)),
    ((0,), (1,)),
    ((2, 3), (2, 1)),
]


@given(
    sides=st.tuples(SIDES, SIDES, SIDES),
    kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)),
    batch=st.sampled_from(BATCHES[:1] * 6 + BATCHES),
    biased=st.booleans(),
    activation=st.sampled_from(list(ACTIVATE)),
    kind=st.sampled_from(["float32", "float64"]),
)
def test_any_product(sides: Any, kinds: Any, batch: Any, biased: bool, activation: str, kind: str, setting: str) -> None:
    (m, n, k), rng = sides, np.random.default_rng(0)
    a, b = matrices((*batch[0], m, k), kinds[0], rng, kind), matrices((*batch[1], k, n), kinds[1], rng, kind)
    bias = rng.normal(size=n).astype(kind) if biased else None
    assert_product(door.matmul(a, b, bias, activation), a, b, bias, activation)


# One of each way through gemm.c, and the shapes of small networks.
SHAPES = [
    (1, 128, 784), (64, 10, 128), (32, 32, 64), (1, 1, 5000), (5000, 1, 1), (1, 5000, 1), (300, 3, 2), (2, 3, 300),
    (131, 530, 290), (257, 129, 258), (14, 1030, 17), (20, 140, 1024), (37, 3, 131), (70, 20, 400), (1100, 533, 600),
    (1, 20, 2100), (13, 1, 4300), (100, 1, 20), (50, 1, 30), (37, 7, 131),
]  # fmt: skip


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
@pytest.mark.parametrize("transposed", ["", "a", "b", "ab"])
def test_larger_products(m: int, n: int, k: int, transposed: str, dtype: str, c_only: str) -> None:
    rng = np.random.default_rng(0)
    a = matrices((m, k), "transposed" if "a" in transposed else "plain", rng, dtype)
    b = matrices((k, n), "transposed" if "b" in transposed else "plain", rng, dtype)
    assert_product(door.matmul(a, b), a, b)


def test_rows_a_page_apart(dtype: str, c_only: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200, 1024)).astype(dtype)
    for x in (a[:, :200], a[:, :200].T):
        assert_product(door.matmul(x, b[:, :300]), x, b[:, :300])


def test_a_sum_one_term_short_is_noticed(dtype: str) -> None:
    a, b = np.ones((3, 50), dtype), np.ones((50, 4), dtype)
    with pytest.raises(AssertionError):
        assert_product(a[:, 1:] @ b[1:], a, b)


@pytest.mark.parametrize("activation", ACTIVATE)
def test_with_no_terms_the_sum_is_zero(activation: str, dtype: str, setting: str) -> None:
    a, b, bias = np.empty((3, 0), dtype), np.empty((0, 20), dtype), np.linspace(-2, 2, 20).astype(dtype)
    assert_product(door.matmul(a, b, None, activation), a, b, None, activation)
    assert_product(door.matmul(a, b, bias, activation), a, b, bias, activation)


def gemm(a: Any, b: Any, c: Any, bias: Any = None, activation: int = 0) -> None:
    """The raw kernel on three batches of matrices."""
    steps = [[s // x.itemsize for s in x.strides] for x in (a, b, c)]
    plan = struct(
        "mw_gemm_plan", m=a.shape[1], n=b.shape[2], k=a.shape[2], a_row=steps[0][1], a_col=steps[0][2], b_row=steps[1][1],
        b_col=steps[1][2], c_row=steps[2][1], batch=len(c), a_batch=steps[0][0], b_batch=steps[1][0], c_batch=steps[2][0],
        activation=activation,
    )  # fmt: skip
    door.call("gemm_f32" if c.dtype == np.float32 else "gemm_f64", (a, b, bias, c), plan)


@pytest.mark.parametrize("k", [65_535, 65_536, 65_543, 200_003])
@pytest.mark.parametrize("n", [1, 5, 33, 65])
@pytest.mark.parametrize("kind", ["plain", "transposed"])
def test_a_long_sum_that_is_cut_has_every_term_once(k: int, n: int, kind: str, dtype: str, c_only: str) -> None:
    """All sums of such small integers are exact, in any order."""
    rng = np.random.default_rng(k + n)
    a, b = rng.integers(-2, 3, (1, k)), rng.integers(-2, 3, (k, n))
    bias = rng.integers(-9, 9, n).astype(dtype)
    exact, real = a @ b, (a.astype(dtype), b.astype(dtype, order="F" if kind == "transposed" else "C"))
    assert (door.matmul(*real) == exact).all()
    assert (door.matmul(*real, bias, "relu") == np.maximum(exact + bias, 0)).all()
    assert (door.matmul(real[1].T, real[0].T) == exact.T).all()


@pytest.mark.parametrize("n", [1, 7, 16, 31, 33, 70])
def test_only_the_rows_of_c_are_written(n: int, dtype: str, setting: str) -> None:
    a, b, c = np.ones((1, 9, 4), dtype), np.ones((1, 4, n), dtype), np.full((1, 11, n + 20), 7, dtype)
    gemm(a, b, c[:, 1:10, 10 : 10 + n], bias=np.full(n, 2, dtype), activation=1)
    inside = np.zeros_like(c, bool)
    inside[:, 1:10, 10 : 10 + n] = True
    assert np.all(c[inside] == 6) and np.all(c[~inside] == 7)


@pytest.mark.parametrize(
    ("m", "n", "k"),
    [
        (17, 33, 21),
        (30, 70, 5),
        (1, 40, 9),
        (40, 1, 300),
        (131, 530, 290),
        (1, 20, 700),
        (50, 1, 20),
        (50, 1, 30),
        (37, 3, 131),
    ],
)
@pytest.mark.parametrize("special", [math.nan, math.inf])
def test_nan_and_infinity_reach_their_row_or_column_only(
    m: int, n: int, k: int, special: float, dtype: str, c_only: str
) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 2, (m, k)).astype(dtype), rng.uniform(1, 2, (k, n)).astype(dtype)
    clean = door.matmul(a, b)
    for i, j in {(0, 0), (m // 2, n // 2), (m - 1, n - 1)}:
        x, y = a.copy(), b.copy()
        x[i, k // 2] = special
        y[k - 1, j] = special
        for c, hit in [(door.matmul(x, b), np.s_[i, :]), (door.matmul(a, y), np.s_[:, j])]:
            np.testing.assert_array_equal(c[hit], special)
            other = np.ones(c.shape, bool)
            other[hit] = False
            assert np.array_equal(c[other], clean[other])


def test_zero_times_infinity_is_nan(dtype: str, setting: str) -> None:
    a, b = np.zeros((3, 4), dtype), np.full((4, 20), math.inf, dtype)
    assert np.isnan(door.matmul(a, b)).all()
    assert np.isnan(door.matmul(a, b, None, "relu")).all()


@pytest.mark.parametrize("shape", [(40, 50, 30), (131, 530, 290), (70, 45, 131)])
def test_an_element_does_not_depend_on_the_rest_of_the_matrix(shape: tuple[int, int, int], dtype: str, c_only: str) -> None:
    m, n, k = shape
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    whole = door.matmul(a, b)
    assert np.array_equal(door.matmul(a[3:20], b[:, 5:38]), whole[3:20, 5:38])
    assert np.array_equal(door.matmul(a, b), whole)


@pytest.mark.parametrize("side", ["a", "b", "bias"])
def test_read_only_operands(side: str, setting: str) -> None:
    x = {"a": np.ones((3, 4)), "b": np.ones((4, 5)), "bias": np.ones(5)}
    x[side].flags.writeable = False
    assert np.all(door.matmul(**x) == 5)


def test_a_bias_of_any_stride(dtype: str, setting: str) -> None:
    a, b, bias = np.ones((2, 3), dtype), np.ones((3, 4), dtype), np.arange(8).astype(dtype)
    for view in (bias[::2], bias[3::-1], np.broadcast_to(bias[5], 4)):
        assert np.array_equal(door.matmul(a, b, view), 3 + np.stack([view, view]))


@pytest.mark.parametrize(("m", "n", "k"), [(1, 600, 40), (37, 3, 131), (20, 8, 9)])
@pytest.mark.parametrize("activation", [0, 2])
def test_rows_of_c_any_distance_apart(m: int, n: int, k: int, activation: int, dtype: str, c_only: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(1, m, k)).astype(dtype), rng.normal(size=(1, k, 2 * n)).astype(dtype)[:, :, ::2]
    tight, loose = np.empty((1, m, n), dtype), np.zeros((1, m, n + 5), dtype)
    gemm(a, b, tight, activation=activation)
    gemm(a, b, loose[:, :, :n], activation=activation)
    for c in (tight[0], loose[0, :, :n]):
        assert_product(c, a[0], b[0], None, "sigmoid" if activation else "linear")
    assert not loose[:, :, n:].any()


@pytest.mark.parametrize("c_row", [1, 8, 16, 32, 64, 128])
def test_the_stride_of_a_single_row_means_nothing(c_row: int, dtype: str, c_only: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(1, 1, 30)).astype(dtype), rng.normal(size=(1, 30, 400)).astype(dtype)[:, :, ::2]
    c = np.empty((1, 1, 200), dtype)
    gemm(a, b, np.lib.stride_tricks.as_strided(c, c.shape, (0, c_row * c.itemsize, c.itemsize)), activation=2)
    assert_product(c[0], a[0], b[0], None, "sigmoid")


@pytest.mark.parametrize(("m", "n", "k"), [(35, 1, 20), (35, 1, 300), (37, 5, 300), (1, 13, 603)])
def test_equal_rows_and_columns_give_equal_bits(m: int, n: int, k: int, dtype: str, c_only: str) -> None:
    rng = np.random.default_rng(0)
    a, b = np.tile(rng.normal(size=(1, k)).astype(dtype), (m, 1)), np.tile(rng.normal(size=(k, 1)).astype(dtype), (1, n))
    c = door.matmul(a, b)
    assert np.all(c == c[0, 0])
