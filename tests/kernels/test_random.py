"""Random numbers: the stream is Philox's own, the same in C and NumPy, and spread as it should be."""

import math
from typing import Any

import numpy as np
import pytest

from microweights.kernels import door, reference

MASK = 0xFFFFFFFF


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 on Python's integers, word by word as in the paper."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


# From kat_vectors of Random123. Our counters have 64 bits, so that the first alone can be asked of the kernels; the
# others hold the function above, and it the kernels.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(w, 16) for w in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter: str, key: str, answer: str) -> None:
    assert philox(words(counter), words(key)) == words(answer)


def block(key: int, counter: int, stream: int = 0) -> list[int]:
    counter %= 2**64
    return philox([counter & MASK, counter >> 32, stream, 0], [key & MASK, key >> 32])


def state(key: int = 0, counter: int = 0) -> Any:
    return np.array([key, counter], np.uint64)


def draw(name: str, s: Any, n: Any, dtype: str, a: float = 0, b: float = 1) -> Any:
    return door.random(name, s, n if isinstance(n, tuple) else (n,), np.dtype(dtype), a, b)


STATES = [(0, 0), (2**64 - 1, 2**64 - 1), (0x0123456789ABCDEF, 2**32 - 2), (1, 2**63), (2**32, 77)]


@pytest.mark.parametrize(("key", "counter"), STATES)
def test_the_stream_is_philox(key: int, counter: int, setting: str) -> None:
    expected = [w for i in range(9) for w in block(key, counter + i)]
    with np.errstate(over="ignore"):  # the counter wraps around
        assert np.array_equal(reference.philox(state(key, counter), 9).reshape(-1), expected)
    single = draw("uniform", state(key, counter), 36, "float32")
    assert single.tolist() == [(w >> 8) * 2.0**-24 for w in expected]
    more = [w for i in range(9) for w in block(key, counter + i, stream=1)]
    double = draw("uniform", state(key, counter), 36, "float64")
    assert double.tolist() == [((u >> 5) * 2**26 + (v >> 6)) * 2.0**-53 for u, v in zip(expected, more, strict=True)]
    p = sorted(expected)[18] / 2**32
    for kind in ("float32", "float64"):
        assert draw("bernoulli", state(key, counter), 36, kind, p, 3).tolist() == [3.0 * (w < p * 2**32) for w in expected]


@pytest.mark.parametrize(("name", "rounding"), [("uniform", 2.0**-22), ("normal", 2.0**-18), ("bernoulli", 2.0**-22)])
def test_both_types_get_the_same_numbers(name: str, rounding: float, setting: str) -> None:
    for n in (1, 5, 64, 10_001):
        single, double = (draw(name, state(8), n, kind, -0.5, 1.5) for kind in ("float32", "float64"))
        assert np.abs(single - double).max() <= rounding
        assert name == "bernoulli" or np.unique(double).size == n


@pytest.mark.parametrize("name", ["uniform", "normal", "bernoulli"])
def test_the_state_moves_by_the_blocks_used(name: str, dtype: str, setting: str) -> None:
    for n in (0, 1, 2, 3, 4, 5, 63, 64, 1000):
        s = state(3, 2**64 - 100)
        draw(name, s, n, dtype, 0.5, 1)
        assert s.tolist() == [3, (2**64 - 100 + -(-n // 4)) % 2**64]


@pytest.mark.parametrize("name", ["uniform", "normal", "bernoulli"])
def test_a_stream_may_be_drawn_in_pieces(name: str, dtype: str, setting: str) -> None:
    whole = draw(name, state(5), (10, 8), dtype, 0.5, 2)
    s = state(5)
    pieces = [draw(name, s, n, dtype, 0.5, 2) for n in (4, 8, 60, 8)]
    assert np.array_equal(np.concatenate(pieces), whole.reshape(-1))
    s = state(5)
    draw(name, s, 1, dtype)  # what is left of a block is thrown away
    assert np.array_equal(draw(name, s, 20, dtype, 0.5, 2), whole.reshape(-1)[4:24])


@pytest.mark.parametrize("name", ["uniform", "normal", "bernoulli"])
def test_seeds_give_streams_of_their_own(name: str, dtype: str, setting: str) -> None:
    a, b, c = (draw(name, door.new_random_state(seed), 64, dtype, 0.5, 1) for seed in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


@pytest.mark.parametrize("seed", [-1, 2**64 + 5, 0])
def test_any_integer_is_a_seed(seed: int) -> None:
    s = door.new_random_state(seed)
    assert s.dtype == np.uint64 and s.tolist() == [seed % 2**64, 0]


N = 200_000


def test_uniform_numbers_are_spread_evenly(dtype: str, setting: str) -> None:
    x = draw("uniform", state(1), N, dtype, -3, 5).astype("f8")
    assert x.min() >= -3 and x.max() < 5
    assert abs(x.mean() - 1) < 5 * 8 / math.sqrt(12 * N)
    counts = np.histogram(x, 100, (-3, 5))[0]
    assert ((counts - N / 100) ** 2 / (N / 100)).sum() < 99 + 5 * math.sqrt(2 * 99)


def test_normal_numbers_are_normal(dtype: str, setting: str) -> None:
    x = draw("normal", state(1), N, dtype, 1.5, 2).astype("f8")
    unit = (x - 1.5) / 2
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((unit**power).mean() - moment) < 5 * math.sqrt(variance / N), power
    assert abs((unit[::2] * unit[1::2]).mean()) < 5 / math.sqrt(N)
    assert np.isfinite(x).all() and 4 < np.abs(unit).max() < 7


@pytest.mark.parametrize("p", [0.0, 0.25, 0.9, 1.0])
def test_bernoulli_numbers_come_as_often_as_asked(p: float, dtype: str, setting: str) -> None:
    x = draw("bernoulli", state(1), N, dtype, p, 1 / 3)
    assert set(np.unique(x)) <= {0, np.dtype(dtype).type(1 / 3)}
    assert abs(np.count_nonzero(x) / N - p) <= 5 * math.sqrt(p * (1 - p) / N)


def test_the_end_of_the_interval_is_never_drawn(setting: str) -> None:
    """In float32, 16777216 + u rounds to even: half of all numbers would be the end itself."""
    x = draw("uniform", state(1), 1000, "float32", 2.0**24, 2.0**24 + 2)
    assert np.all(x == 2.0**24)
    for low, high in [(-1, -0.5), (0.1, 0.3), (1e30, 1.0000001e30)]:
        x = draw("uniform", state(2), N, "float32", low, high)
        assert x.min() >= np.float32(low) and x.max() < np.float32(high)


@pytest.mark.parametrize("name", ["uniform", "normal", "bernoulli"])
def test_any_shape(name: str, dtype: str, setting: str) -> None:
    for shape in [(), (0,), (3, 0), (2, 3, 5)]:
        x = draw(name, state(9), shape, dtype, 0.5, 2)
        assert x.shape == shape and x.dtype == dtype
