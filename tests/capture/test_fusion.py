"""Calls that become one: chains over blocks, products with what follows them, blocks in one arena."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import numbers, same_as_eager
from hypothesis import given
from hypothesis import strategies as st

import microweights as mw
from microweights.capture.passes import CHAIN_BLOCK, arena_offsets
from microweights.capture.recorder import plain_name
from microweights.kernels import machine


@pytest.mark.parametrize("n", [CHAIN_BLOCK - 1, CHAIN_BLOCK, CHAIN_BLOCK + 1, 3 * CHAIN_BLOCK + 17, 100_003])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_chain(n: int, threads: int, dtype: str, c_only: str) -> None:
    machine.set_num_threads(threads)

    def fn(x: mw.Tensor, y: mw.Tensor) -> list[mw.Tensor]:
        a = (x * 2 + y).tanh()
        b = mw.where(a > y, a.exp(), -y) / 3
        return [b - x, b.sum()]

    captured = same_as_eager(fn, mw.tensor(numbers(n, dtype=dtype)), mw.tensor(numbers(n, seed=1, dtype=dtype)))
    program = captured.programs[0]
    assert (len(program.steps) == len(program.calls)) == (n <= CHAIN_BLOCK)


def test_what_a_chain_alone_needs_takes_a_block(c_only: str) -> None:
    machine.set_num_threads(1)
    captured = same_as_eager(lambda x: (((x + 1) * 2).exp() - 1).sqrt(), mw.tensor(numbers(50 * CHAIN_BLOCK)))
    assert captured.programs[0].arena_bytes <= 4 * CHAIN_BLOCK * 4


def test_what_nobody_reads_is_not_computed(c_only: str) -> None:
    w, labels = mw.tensor(numbers(4, 3), requires_grad=True), mw.tensor(np.array([0, 1, 2, 1, 0]))

    def fn(x: mw.Tensor) -> list[mw.Tensor]:
        (x * 3).exp()
        p = (x @ w).softmax()
        loss = mw.losses.SparseCategoricalCrossentropy()(labels, p)
        return [loss, mw.grad(loss, w)]

    captured = same_as_eager(fn, mw.tensor(numbers(5, 4)))
    kernels = [plain_name(call.kernel) for call in captured.programs[0].calls]
    assert kernels == ["gemm", "first_bad_label", "sparse_cross_entropy", "sparse_cross_entropy_grad", "gemm"]


def test_no_chain_where_elements_depend_on_others(c_only: str) -> None:
    n = 3 * CHAIN_BLOCK

    def fn(x: mw.Tensor) -> mw.Tensor:
        y = mw.concatenate([x * 2, x * 3])
        y[:n] = y[n // 2 : n // 2 + n]
        return y + 1

    same_as_eager(fn, mw.tensor(numbers(n)))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 300)), max_size=20))
def test_blocks_in_the_arena_never_meet(lives: list[tuple[int, int, int]]) -> None:
    blocks = {i: (min(a, b), max(a, b), size) for i, (a, b, size) in enumerate(lives)}
    offsets, total = arena_offsets(blocks)
    for i, (first, last, size) in blocks.items():
        assert offsets[i] % 64 == 0
        assert offsets[i] + size <= total or size == 0
        for j, (born, dead, other) in blocks.items():
            if i != j and born <= last and first <= dead and size and other:
                assert offsets[i] + size <= offsets[j] or offsets[j] + other <= offsets[i]


def test_memory_is_used_again(c_only: str) -> None:
    machine.set_num_threads(1)
    captured = same_as_eager(
        lambda x: x.softmax().log_softmax().softmax().log_softmax().softmax().sum(), mw.tensor(numbers(64, 70))
    )
    assert captured.programs[0].arena_bytes < 3 * 64 * 70 * 4


def test_a_chain_over_memory_of_another_type(c_only: str) -> None:
    k = mw.Tensor(np.zeros(4096).view(np.float32))
    k.data[:] = np.arange(8192)
    same_as_eager(lambda x: (x * 2 + k).abs(), mw.tensor(np.zeros(8192, np.float32)))


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "exp"])
@pytest.mark.parametrize(("m", "k", "n"), [(5, 7, 3), (1, 7, 3), (5, 7, 1), (1, 1, 1), (33, 600, 18)])
def test_bias_and_activation_join_the_product(activation: str, m: int, k: int, n: int, dtype: str, c_only: str) -> None:
    w, b = mw.tensor(numbers(k, n, dtype=dtype), requires_grad=True), mw.tensor(numbers(n, dtype=dtype), requires_grad=True)

    def fn(x: mw.Tensor) -> list[mw.Tensor]:
        z = getattr(b + x @ w if activation == "tanh" else x @ w + b, activation)()
        return [z, *mw.grad(z.sum(), [w, b])]

    captured = same_as_eager(fn, mw.tensor(numbers(m, k, dtype=dtype)))
    kernels = [plain_name(call.kernel) for call in captured.programs[0].calls]
    assert "add" not in kernels
    assert (activation in kernels) == (activation == "exp")


@pytest.mark.parametrize(
    ("x_shape", "w_shape"), [((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 1, 4), (4, 5)), ((2, 3, 4), (4, 1))]
)
def test_they_join_a_batch_of_products(x_shape: tuple[int, ...], w_shape: tuple[int, ...], dtype: str, c_only: str) -> None:
    w, b = mw.tensor(numbers(*w_shape, dtype=dtype)), mw.tensor(numbers(w_shape[-1], dtype=dtype))
    captured = same_as_eager(lambda x: (x @ w + b).tanh(), mw.tensor(numbers(*x_shape, dtype=dtype)))
    assert [plain_name(call.kernel) for call in captured.programs[0].calls] == ["gemm"]


@pytest.mark.parametrize("shape", [(3, 1), (2, 1, 5), (3, 5), (2, 3, 5), (1,)])
def test_what_is_no_bias_joins_no_product(shape: tuple[int, ...], c_only: str) -> None:
    w, other = mw.tensor(numbers(4, 5)), mw.tensor(numbers(*shape))
    captured = same_as_eager(lambda x: x @ w + other, mw.tensor(numbers(2, 3, 4)))
    assert "add" in [plain_name(call.kernel) for call in captured.programs[0].calls]


def test_a_product_that_is_read_twice_keeps_its_own_memory(c_only: str) -> None:
    w, b = mw.tensor(numbers(4, 3)), mw.tensor(numbers(3))

    def twice(x: mw.Tensor) -> list[mw.Tensor]:
        z = x @ w
        return [z + b, z * 2]

    def added_to_itself(x: mw.Tensor) -> mw.Tensor:
        z = x @ w
        return z + z

    def not_a_bias(x: mw.Tensor) -> mw.Tensor:
        return x @ w + mw.tensor(numbers(5, 3)) - (x @ w + mw.tensor(numbers(5, 1)))

    for fn in (twice, added_to_itself, not_a_bias):
        same_as_eager(fn, mw.tensor(numbers(5, 4)))


def test_an_activation_of_a_part_of_a_product(c_only: str) -> None:
    w, one = mw.tensor(numbers(4, 4)), mw.tensor(numbers(4, 1))
    same_as_eager(lambda x: (x @ w)[:2].relu(), mw.tensor(numbers(40, 4)))
    same_as_eager(lambda x: (x @ one).broadcast_to((10, 1)).relu(), mw.tensor(numbers(1, 4)))
    same_as_eager(lambda x: (x @ w)[:, ::-1].tanh(), mw.tensor(numbers(5, 4)))
