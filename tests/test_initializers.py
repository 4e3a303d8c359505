"""Initializers: Keras's fans, bounds, variances and shapes, and seeds."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights import initializers
from microweights.initializers import fans

# scale, mode, uniform?
FAMILY = {
    "glorot_uniform": (1, "avg", True), "glorot_normal": (1, "avg", False), "he_uniform": (2, "in", True),
    "he_normal": (2, "in", False), "lecun_uniform": (1, "in", True), "lecun_normal": (1, "in", False),
}  # fmt: skip
RANDOM = [*FAMILY, "random_normal", "random_uniform", "truncated_normal", "variance_scaling", "orthogonal"]


@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (3, 3, 4, 8), (2, 3, 5)])
def test_fans_are_keras_s(keras: Any, shape: tuple[int, ...]) -> None:
    from keras.src.initializers.random_initializers import compute_fans

    assert fans(shape) == tuple(map(float, compute_fans(shape)))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((7,), (7, 7)), ((3, 5), (3, 5)), ((3, 3, 4, 8), (36, 72)), ((2, 3, 5), (6, 10))],
)
def test_fans_by_hand(shape: tuple[int, ...], expected: tuple[float, float]) -> None:
    assert fans(shape) == expected


@pytest.mark.parametrize("shape", [(200, 150), (3, 3, 20, 60), (30_000,)])
@pytest.mark.parametrize("name", FAMILY)
def test_variance_and_bounds(setting: str, dtype: str, name: str, shape: tuple[int, ...]) -> None:
    scale, mode, uniform = FAMILY[name]
    fan_in, fan_out = fans(shape)
    variance = scale / (fan_in if mode == "in" else (fan_in + fan_out) / 2)
    w = getattr(initializers, "".join(part.title() for part in name.split("_")))(seed=1)(shape, dtype)
    assert w.shape == shape and w.dtype == dtype
    n = w.size
    assert abs(w.mean()) < 5 * math.sqrt(variance / n)
    assert w.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / n))
    limit = math.sqrt(3 * variance) if uniform else 2 * math.sqrt(variance) / 0.87962566103423978
    assert 0.99 * limit < np.abs(w).max() <= limit * (1 + 1e-6)


def test_random_normal_and_uniform(setting: str, dtype: str) -> None:
    w = initializers.RandomNormal(2.0, 0.5, seed=0)((100, 300), dtype)
    assert w.mean() == pytest.approx(2, abs=5 * 0.5 / 173) and w.std() == pytest.approx(0.5, rel=0.03)
    assert np.abs(w - 2).max() > 1.5
    u = initializers.RandomUniform(-1.0, 3.0, seed=0)((100, 300), dtype)
    assert -1 <= u.min() < -0.99 and 2.99 < u.max() < 3
    assert u.mean() == pytest.approx(1, abs=5 * 4 / math.sqrt(12 * 30_000))


def test_truncated_normal_stops_at_two_deviations(setting: str, dtype: str) -> None:
    w = initializers.TruncatedNormal(1.0, 0.1, seed=0)((200, 200), dtype)
    assert w.dtype == dtype
    assert 0.195 < np.abs(w - 1).max() <= 0.2 + 1e-6
    assert w.std() == pytest.approx(0.1 * 0.87962566, rel=0.03)
    values, counts = np.unique(w, return_counts=True)
    assert counts[np.argmin(values)] < 3 and counts[np.argmax(values)] < 3, "drawn again, not clipped"


@pytest.mark.parametrize("shape", [(6, 6), (8, 3), (3, 8), (3, 3, 2, 5), (2, 2, 2, 30)])
def test_orthogonal(setting: str, dtype: str, shape: tuple[int, ...]) -> None:
    w = initializers.Orthogonal(gain=2.0, seed=0)(shape, dtype)
    assert w.shape == shape and w.dtype == dtype
    m = w.reshape(-1, shape[-1]).astype(float) / 2
    product = m.T @ m if m.shape[0] >= m.shape[1] else m @ m.T
    np.testing.assert_allclose(product, np.eye(min(m.shape)), atol=1e-6)


@pytest.mark.parametrize("shape", [(), (5,)])
def test_orthogonal_refuses(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least two axes"):
        initializers.Orthogonal()(shape)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_variance_scaling(mode: str, distribution: str) -> None:
    w = initializers.VarianceScaling(3.0, mode, distribution, seed=0)((100, 400))
    n = {"fan_in": 100, "fan_out": 400, "fan_avg": 250}[mode]
    assert w.var() == pytest.approx(3 / n, rel=0.04)
    farthest = np.abs(w).max() / math.sqrt(3 / n)
    low, high = {"truncated_normal": (2.2, 2.28), "untruncated_normal": (3.5, 7), "uniform": (1.72, 1.7321)}[distribution]
    assert low < farthest < high


def test_constants(dtype: str) -> None:
    for made, value in (
        (initializers.Zeros(), 0),
        (initializers.Ones(), 1),
        (initializers.Constant(2.5), 2.5),
        (initializers.Constant(), 0),
    ):
        w = made((2, 3), dtype)
        assert w.dtype == dtype and w.shape == (2, 3) and (w == value).all()


@pytest.mark.parametrize("name", RANDOM)
def test_seeds(setting: str, name: str) -> None:
    kind = type(initializers.get(name))
    assert np.array_equal(kind(seed=3)((4, 5)), kind(seed=3)((4, 5)))
    assert not np.array_equal(kind(seed=3)((4, 5)), kind(seed=4)((4, 5)))
    mw.seed(7)
    one, two = (kind()((4, 5)) for _ in range(2))
    assert not np.array_equal(one, two)
    mw.seed(7)
    made = kind()
    assert np.array_equal(made((4, 5)), one) and np.array_equal(made((4, 5)), two)


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_of_ones_own_leaves_the_common_stream_alone(name: str) -> None:
    kind = type(initializers.get(name))
    mw.seed(7)
    expected = kind()((3, 3))
    mw.seed(7)
    kind(seed=1)((3, 3))
    assert np.array_equal(kind()((3, 3)), expected)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", 2**64, True])
def test_seeds_are_checked(seed: Any) -> None:
    with pytest.raises(ValueError, match="a seed that is an integer"):
        initializers.HeNormal(seed=seed)


@pytest.mark.parametrize(
    "arguments",
    [{"scale": 0}, {"scale": -1}, {"scale": float("nan")}, {"mode": "fan"}, {"distribution": "normal"}],
    ids=str,
)
def test_variance_scaling_refuses(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}`"):
        initializers.VarianceScaling(**arguments)


def test_get_by_name() -> None:
    for name in ("he_normal", "HeNormal"):
        assert type(initializers.get(name)) is initializers.HeNormal
    assert type(initializers.get(initializers.Ones)) is initializers.Ones
    own = initializers.Constant(3)
    assert initializers.get(own) is own


@pytest.mark.parametrize(("name", "error"), [("he_norml", ValueError), ("", ValueError), (3, TypeError), (None, TypeError)])
def test_get_refuses(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Expected an initializer"):
        initializers.get(name)


# ---- names and configurations ------------------------------------------------------------------------------------------


def test_every_name_of_keras_is_there(keras: Any) -> None:
    for name in dir(keras.initializers):
        theirs = getattr(keras.initializers, name)
        if isinstance(theirs, type) and not name.lower().startswith("stft") and not name.endswith("yInitializer"):
            found = getattr(initializers, name, None)
            if name != "OrthogonalInitializer":
                assert isinstance(found, type) and found.__name__ in (theirs.__name__, theirs.__name__ + "Initializer")
    for short in ("normal", "uniform", "zero", "one", "identity"):
        assert type(initializers.get(short)).__name__ == type(keras.initializers.get(short)).__name__


@pytest.mark.parametrize("name", [n for n in initializers.__all__ if n[0].isupper() and n != "Initializer"])
def test_initializers_are_made_again(name: str) -> None:
    cls = getattr(initializers, name)
    named = {"seed": 3} if "seed" in cls().get_config() else {}
    made = cls(**named, **({"gain": 2.0} if "gain" in cls().get_config() else {}))
    twin = initializers.get(json.loads(json.dumps({"class_name": name, "config": made.get_config()})))
    assert type(twin) is cls and repr(twin) == repr(made)
    np.testing.assert_array_equal(twin((3, 4), np.float32), made((3, 4), np.float32))


def test_identity() -> None:
    for shape in ((3, 3), (2, 4), (4, 2)):
        made = initializers.Identity(2.0)(shape, np.float64)
        np.testing.assert_array_equal(made, 2.0 * np.eye(*shape))
        assert made.dtype == np.float64
    with pytest.raises(ValueError, match="two axes"):
        initializers.get("identity")((3,))


def test_only_public_names_are_shown() -> None:
    assert dir(initializers) == sorted(initializers.__all__) and all(hasattr(initializers, n) for n in initializers.__all__)


@pytest.mark.parametrize(
    "kind", ["GlorotUniform", "GlorotNormal", "HeNormal", "RandomNormal", "RandomUniform", "TruncatedNormal", "Orthogonal"]
)
def test_one_seed_gives_the_same_weights_in_both_types(kind: str) -> None:
    initializer = getattr(mw.initializers, kind)(seed=3)
    single, double = initializer((30, 20), np.float32), initializer((30, 20), np.float64)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(single, double, atol=1e-6)
    assert np.unique(double).size == double.size
