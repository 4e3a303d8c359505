"""Element-wise kernels: exact to the last bits, for every argument, place, stride and way of broadcasting."""

import math
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as arrays_of
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microweights.kernels import door, reference

from .cases import ACTIVATION_GRADS, ARITHMETIC, COMPARE, UNARY

BINARY = [*ARITHMETIC, "binary_cross_entropy", *ACTIVATION_GRADS]


def bits(x: Any) -> Any:
    """The bits of an array, all NaNs being one: which NaN comes out is not promised."""
    return np.where(np.isnan(x), x.dtype.type(np.nan), x).view(f"i{x.itemsize}")


def twin(name: str, *inputs: Any, out: Any = None) -> Any:
    z = np.empty(np.broadcast_shapes(*[x.shape for x in inputs]), out or inputs[-1].dtype)
    with np.errstate(all="ignore"):
        getattr(reference, name)(*inputs, z, None)
    return z


# ---- accuracy --------------------------------------------------------------------------------------------------------


def every_exponent(dtype: str) -> Any:
    """Numbers of both signs with every exponent there is: the ends and the middle of each, and random ones between."""
    kind, mantissa = np.dtype(dtype), np.finfo(dtype).nmant
    unsigned, exponents = f"u{kind.itemsize}", 2 ** (8 * kind.itemsize - 1 - mantissa)
    step = max(1, exponents // 512)
    edges = np.array(
        [
            0,
            1,
            2,
            2 ** (mantissa - 1) - 1,
            2 ** (mantissa - 1),
            2 ** (mantissa - 1) + 1,
            2**mantissa - 2,
            2**mantissa - 1,
        ]
    )
    inside = np.random.default_rng(1).integers(0, 2**mantissa, (exponents, 300 // step), dtype=np.uint64)
    mantissas = np.concatenate([np.broadcast_to(edges.astype(np.uint64), (exponents, edges.size)), inside], axis=1)
    x = (mantissas | (np.arange(exponents, dtype=np.uint64)[:, None] << np.uint64(mantissa))).astype(unsigned).view(dtype)
    return np.concatenate([x.reshape(-1), -x.reshape(-1)])


def sigmoid(x: Any) -> Any:
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def exact_erf(x: Any) -> Any:
    return np.array([math.erf(v) for v in x.tolist()]).reshape(x.shape)


def exact_gelu(x: Any) -> Any:
    return np.array([0.0 if v == -math.inf else v * math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()])


def softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def units_off(got: Any, truth: Any) -> Any:
    """How far `got` is from the truth, in units of its last place; NaN and infinity must be met."""
    kind = got.dtype.type
    with np.errstate(all="ignore"):
        rounded = truth.astype(kind)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(rounded))
    within = np.isfinite(rounded) & np.isfinite(got)
    np.testing.assert_array_equal(got[~within], rounded[~within])
    unit = np.spacing(np.abs(rounded[within])).astype(truth.dtype)
    return np.abs(got[within] - truth[within]) / unit


@pytest.mark.parametrize(
    ("name", "truth", "units"),
    [
        ("exp", np.exp, 2),
        ("expm1", np.expm1, 2),
        ("log", np.log, 2),
        ("tanh", np.tanh, 2),
        ("sigmoid", sigmoid, 2),
        ("erf", exact_erf, 2),
        ("softplus", softplus, 2),
        ("sqrt", np.sqrt, 0.5),
    ],
)
def test_float32_is_right_at_every_exponent(name: str, truth: Callable[..., Any], units: float, c_only: str) -> None:
    x = every_exponent("float32")
    with np.errstate(all="ignore"):
        assert units_off(door.unary(name, x), truth(x.astype("f8"))).max() <= units


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs a wider long double for the truth")
@pytest.mark.parametrize(
    ("name", "truth", "units"),
    [
        ("exp", np.exp, 2),
        ("expm1", np.expm1, 2),
        ("log", np.log, 2),
        ("tanh", np.tanh, 2.5),
        ("sigmoid", sigmoid, 2.5),
        ("softplus", softplus, 2),
    ],
)
def test_float64_is_right_at_every_exponent(name: str, truth: Callable[..., Any], units: float, c_only: str) -> None:
    x = every_exponent("float64")
    with np.errstate(all="ignore"):
        assert units_off(door.unary(name, x), truth(x.astype(np.longdouble))).max() <= units


def test_float64_erf_is_right(c_only: str) -> None:
    x = np.concatenate([every_exponent("float64"), np.random.default_rng(0).uniform(-7, 7, 20000)])
    assert units_off(door.unary("erf", x), exact_erf(x)).max() <= 3


def test_gelu_is_right_relative_to_its_argument(dtype: str, c_only: str) -> None:
    x = every_exponent(dtype)
    x = x[np.abs(x) < 1e30]
    error = np.abs(door.unary("gelu", x) - exact_gelu(x.astype("f8")))
    assert np.all(error <= 2 * np.finfo(dtype).eps * np.abs(x) + np.finfo(dtype).smallest_subnormal)


@pytest.mark.parametrize(("name", "factor"), [("exp", 1 + 1e-6), ("erf", 1 - 1e-6)])
def test_an_inexact_function_is_noticed(name: str, factor: float) -> None:
    x = np.linspace(0.1, 2, 1000, dtype="f4")
    truth = twin(name, x.astype("f8"))
    assert units_off((truth * factor).astype("f4"), truth).max() > 2


# ---- edges -----------------------------------------------------------------------------------------------------------

SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    3.0,
    -3.0,
    1e-40,
    -1e-40,
    5e-324,
    3e38,
    -3e38,
    1.5e308,
    math.inf,
    -math.inf,
    math.nan,
]
SIGN_OF_ZERO_IS_FREE = {"relu", "maximum", "minimum", "soft_threshold", "gelu", "gelu_grad", "relu_grad", "sign"}


@pytest.mark.parametrize("name", UNARY)
def test_edges_of_one_argument_are_numpys(name: str, dtype: str, setting: str) -> None:
    with np.errstate(over="ignore"):
        x = np.array(SPECIAL).astype(dtype)
    z, expected = door.unary(name, x), twin(name, x)
    eps, smallest = np.finfo(dtype).eps, np.finfo(dtype).smallest_subnormal
    np.testing.assert_allclose(z, expected, rtol=8 * eps, atol=smallest if name != "gelu" else eps)
    if name not in SIGN_OF_ZERO_IS_FREE:
        np.testing.assert_array_equal(np.signbit(z[z == 0]), np.signbit(expected[z == 0]))


@pytest.mark.parametrize("name", BINARY + COMPARE)
def test_edges_of_two_arguments_are_numpys(name: str, dtype: str, setting: str) -> None:
    with np.errstate(over="ignore"):
        x = np.array(SPECIAL).astype(dtype)
    y = x[[0, 2, 4, -1]] if name == "binary_cross_entropy" else x  # a target lies in [0, 1]
    z = (door.compare if name in COMPARE else door.binary)(name, x[:, None], y)
    expected = twin(name, x[:, None], y, out=bool if name in COMPARE else None)
    np.testing.assert_allclose(z, expected, rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).smallest_subnormal)
    if name in ("add", "subtract", "multiply", "divide", "power"):
        np.testing.assert_array_equal(np.signbit(z[z == 0]), np.signbit(expected[z == 0]))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sign", [math.nan, -math.inf, -2, -0.0, 0, 2, math.inf]),
        ("relu", [math.nan, 0, 0, 0, 0, 2, math.inf]),
        ("tanh", [math.nan, -1, -0.9640275800758169, 0, 0, 0.9640275800758169, 1]),
        ("sigmoid", [math.nan, 0, 0.11920292202211755, 0.5, 0.5, 0.8807970779778823, 1]),
        ("erf", [math.nan, -1, -0.9953222650189527, 0, 0, 0.9953222650189527, 1]),
        ("gelu", [math.nan, 0, -0.04550026389635842, 0, 0, 1.9544997361036416, math.inf]),
        ("softplus", [math.nan, 0, 0.1269280110429726, math.log(2), math.log(2), 2.1269280110429727, math.inf]),
        ("log", [math.nan, math.nan, math.nan, -math.inf, -math.inf, math.log(2), math.inf]),
    ],
)
def test_known_values(name: str, values: list[float], dtype: str, setting: str) -> None:
    x = np.array([math.nan, -math.inf, -2, -0.0, 0, 2, math.inf], dtype)
    expected = np.array(values if name != "sign" else [math.nan, -1, -1, 0, 0, 1, 1])
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(door.unary(name, x), expected, rtol=4 * eps, atol=eps if name == "gelu" else 0)


def test_where_chooses_and_never_computes(dtype: str, setting: str) -> None:
    x, y = np.array([math.nan, 1, -0.0, math.inf], dtype), np.array([2, math.nan, math.inf, -0.0], dtype)
    condition = np.array([True, False, True, False])
    assert bits(door.where(condition, x, y)).tolist() == bits(np.where(condition, x, y)).tolist()
    assert bits(door.where(~condition, x, y)).tolist() == bits(np.where(~condition, x, y)).tolist()


@pytest.mark.parametrize("source", ["bool", *map(str, door.INTEGERS), "float32", "float64"])
def test_casts_round_as_numpy_does(source: str, dtype: str, setting: str) -> None:
    values = [0, 1, 2, 3, 2**24 + 1, 2**31 - 1, -(2**31), 2**53 + 1, 2**62 + 2**38, -(2**63)]
    if source.startswith(("int", "uint")):
        limits = np.iinfo(source)
        values = [limits.min, limits.max, *(v for v in values if limits.min <= v <= limits.max)]
    x = np.array([0.1, -0.0, 1e300, 1e-42, math.nan, math.inf, *values] if source.startswith("float") else values)
    with np.errstate(over="ignore"):
        x = x.astype(source)
        assert bits(door.cast(x, np.dtype(dtype))).tolist() == bits(x.astype(dtype)).tolist()


# ---- place -----------------------------------------------------------------------------------------------------------

LENGTHS = (1, 3, 8, 15, 16, 17, 31, 33)


@pytest.mark.parametrize("name", UNARY + BINARY)
def test_the_bits_of_an_element_do_not_depend_on_its_place(name: str, dtype: str, c_only: str) -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 64)).astype(dtype) * 3
    x[5::9] *= 20
    inputs = (x,) if name in UNARY else (x, y)
    f = door.unary if name in UNARY else door.binary
    whole = bits(f(name, *inputs))
    for shift in range(17):
        for n in LENGTHS:
            part = f(name, *[a[shift : shift + n] for a in inputs])
            assert np.array_equal(bits(part), whole[shift : shift + n]), (shift, n)


@pytest.mark.parametrize("name", UNARY + BINARY)
def test_the_bits_do_not_depend_on_strides(name: str, dtype: str, c_only: str) -> None:
    x, y = np.random.default_rng(6).normal(size=(2, 37, 41)).astype(dtype)
    inputs = (x,) if name in UNARY else (x, y)
    f = door.unary if name in UNARY else door.binary
    whole = f(name, *inputs)
    assert np.array_equal(bits(f(name, *[a.T for a in inputs])), bits(whole.T))
    assert np.array_equal(bits(f(name, *[a[::-2, ::-3] for a in inputs])), bits(whole[::-2, ::-3]))


# ---- broadcasting and strides ----------------------------------------------------------------------------------------


@st.composite
def operands(draw: st.DrawFn, count: int) -> tuple[Any, ...]:
    """Arrays that broadcast with each other, each with its own strides and some of them read-only."""
    shapes = draw(arrays_of.mutually_broadcastable_shapes(num_shapes=count, min_dims=0, max_dims=5, min_side=0, max_side=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return tuple(draw(strided(rng, shape)) for shape in shapes.input_shapes)


@st.composite
def strided(draw: st.DrawFn, rng: Any, shape: tuple[int, ...]) -> Any:
    """An array of this shape that lies in memory in some odd way."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 2, -1, -3])) for _ in shape]
    base = rng.normal(size=[abs(steps[a]) * shape[a] for a in order])
    x = base[(..., *[slice(None, None, steps[a]) for a in order])]
    x = x.transpose(np.argsort(order).tolist())
    assert x.shape == tuple(shape)
    x.flags.writeable = draw(st.booleans())
    return x


@given(inputs=operands(2))
def test_two_operands_broadcast_as_in_numpy(inputs: tuple[Any, ...], setting: str) -> None:
    x, y = inputs
    z = door.binary("subtract", x, y)
    assert z.shape == (x - y).shape and np.array_equal(z, x - y)
    assert np.array_equal(door.compare("less", x, y), x < y)
    assert np.array_equal(door.unary("negative", x), -x)


@given(inputs=operands(3))
def test_three_operands_broadcast_as_in_numpy(inputs: tuple[Any, ...], setting: str) -> None:
    w, x, y = inputs
    np.testing.assert_allclose(door.ternary("squared_error_grad", w, x, y), 2 * w * (x - y), rtol=1e-14, atol=1e-14)
    assert np.array_equal(door.where(w > 0, x, y), np.where(w > 0, x, y))


@given(data=st.data())
def test_copy_to_writes_through_any_strides(data: st.DataObject, setting: str) -> None:
    shapes = data.draw(arrays_of.mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=4, min_side=0, max_side=6))
    (shape, _), whole = shapes.input_shapes, shapes.result_shape
    rng = np.random.default_rng(0)
    x, out = data.draw(strided(rng, shape)), data.draw(strided(rng, whole))
    base, expected = out.base if out.base is not None else out, np.broadcast_to(x, whole)
    out = out if out.flags.writeable else np.array(out)
    around = base.sum() - out.sum()
    door.copy_to(x, out)
    assert np.array_equal(out, expected)
    assert base is not out.base or np.isclose(base.sum() - out.sum(), around)


@pytest.mark.parametrize("shape", [(1025, 3), (3, 1025), (7, 11, 31), (2,) * 8])
def test_many_blocks_of_strided_operands(shape: tuple[int, ...], dtype: str, setting: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=shape).astype(dtype), rng.normal(size=shape[::-1]).astype(dtype).T
    assert np.array_equal(door.binary("add", x, y), x + y)
    assert np.array_equal(door.binary("add", x, y[:1]), x + y[:1])
    assert np.array_equal(door.binary("add", x[..., :1], y), x[..., :1] + y)


def test_zeros_are_zeros(dtype: str, setting: str) -> None:
    for shape in [(), (0,), (3, 0), (1000, 7)]:
        z = door.zeros(shape, np.dtype(dtype))
        assert z.shape == shape and z.dtype == dtype and not z.any()
