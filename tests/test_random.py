"""One seed for everything random."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import in_c

import microweights as mw
from microweights import random
from microweights.errors import CaptureError
from microweights.kernels import door, machine

F32 = door.FLOAT32


def draw() -> list[Any]:
    state = random.new_state(None)
    return [
        random.draw("uniform", (5,), 0, 1, F32, state).tolist(), random.draw("normal", (5,), 0, 1, F32, state).tolist(),
        random.dropout_mask((5,), 0.5, F32, state).tolist(), random.permutation(10).tolist(),
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_numbers(setting: str) -> None:
    mw.seed(3)
    first = draw()
    assert draw() != first
    mw.seed(3)
    assert draw() == first
    mw.seed(4)
    assert draw() != first


def test_seeds_that_differ_only_in_high_bits_differ() -> None:
    assert len({str(random.draw("normal", (4,), 0, 1, F32, random.new_state(n))) for n in (0, 1, 2**32, 2**63, 2**64 - 1)}) == 5


def test_any_number_of_threads_gives_the_same_bits(c_only: str) -> None:
    found = set()
    for threads in (1, 2, 3):
        machine.set_num_threads(threads)
        state = random.new_state(5)
        found.add(
            random.draw("normal", (300_001,), 0, 1, F32, state).tobytes()
            + random.draw("uniform", (300_001,), 0, 1, F32, state).tobytes()
        )
    assert len(found) == 1


def test_moments(setting: str, dtype: str) -> None:
    state, n = random.new_state(0), 200_000
    u = random.draw("uniform", (n,), -2, 5, np.dtype(dtype), state)
    assert u.min() >= -2 and u.max() < 5 and u.mean() == pytest.approx(1.5, abs=5 * 7 / np.sqrt(12 * n))
    z = random.draw("normal", (n,), 1, 2, np.dtype(dtype), state)
    assert z.mean() == pytest.approx(1, abs=10 / np.sqrt(n)) and z.std() == pytest.approx(2, rel=0.01)
    assert ((z - 1) ** 4).mean() / 16 == pytest.approx(3, rel=0.05)
    assert np.corrcoef(u, z)[0, 1] == pytest.approx(0, abs=0.012)


def test_a_mask_keeps_the_mean(setting: str) -> None:
    mask = random.dropout_mask((100, 500), 0.2, F32, random.new_state(0)).numpy()
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1.25)}
    assert (mask == 0).mean() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_a_permutation_is_one(n: int) -> None:
    order = random.permutation(n)
    assert order.dtype == np.int64 and sorted(order) == list(range(n))


def test_every_order_is_as_likely() -> None:
    mw.seed(0)
    counts = np.zeros((3, 3))
    for _ in range(3000):
        counts[np.arange(3), random.permutation(3)] += 1
    assert np.abs(counts - 1000).max() < 150


@pytest.mark.parametrize("n", [-1, 2**64, 1.0, "1", [1], True])
def test_seeds_are_checked(n: Any) -> None:
    with pytest.raises(ValueError, match="a seed that is an integer"):
        mw.seed(n)


def test_no_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="a seed that is an integer"):
        mw.seed(None)  # type: ignore[arg-type]


def test_numpy_integers_are_seeds() -> None:
    mw.seed(np.uint64(2**64 - 1))  # type: ignore[arg-type]
    first = draw()
    mw.seed(2**64 - 1)
    assert draw() == first


# ---- for users ---------------------------------------------------------------------------------------------------------


def test_public_random_numbers(setting: str) -> None:
    mw.seed(3)
    first = mw.random.normal((3,)), mw.random.uniform(4, 1.0, 2.0), mw.random.randint((100,), -1, 2), mw.random.permutation(9)
    mw.seed(3)
    again = mw.random.normal((3,)), mw.random.uniform(4, 1.0, 2.0), mw.random.randint((100,), -1, 2), mw.random.permutation(9)
    assert [x.tolist() for x in first] == [x.tolist() for x in again]
    normal, uniform, whole, order = first
    assert (type(normal), normal.shape, normal.dtype, normal.requires_grad) == (mw.Tensor, (3,), np.float32, False)
    assert uniform.shape == (4,) and all(1 <= u < 2 for u in uniform.tolist())
    assert whole.dtype == np.int64 and set(whole.tolist()) == {-1, 0, 1}
    assert sorted(order.tolist()) == list(range(9))
    assert mw.random.normal((2,), seed=1).tolist() == mw.random.normal((2,), seed=1).tolist()
    np.testing.assert_allclose(
        mw.random.normal((9,), 1, 2, "float64", seed=1).numpy(), mw.random.normal(9, 1, 2, seed=1), rtol=1e-5
    )
    shuffled = mw.random.permutation(mw.tensor([[1.0], [2.0], [3.0]]))
    assert sorted(shuffled.reshape(-1).tolist()) == [1, 2, 3]


@in_c
def test_random_numbers_in_a_captured_function() -> None:
    mw.seed(0)
    captured = mw.capture(lambda x: x + mw.random.normal((2,)))
    received = [captured(np.zeros(2, "f4")).tolist() for _ in range(5)]
    mw.seed(0)
    assert received == [mw.random.normal((2,)).tolist() for _ in range(5)]
    with pytest.raises(CaptureError, match="a random order"):
        mw.capture(lambda x: x[mw.random.permutation(2)])(np.zeros(2, "f4"))


def test_wrong_arguments_of_random_numbers() -> None:
    for call in (
        lambda: mw.random.normal((2.5,)), lambda: mw.random.uniform(-1), lambda: mw.random.normal((2,), dtype="int32"),
        lambda: mw.random.randint((2,), 3, 3),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match="Expected"):
            call()
