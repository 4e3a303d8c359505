"""Tensor by itself: types, indexing, shapes, reductions, NumPy's and torch's protocols, and what every wrong call is told."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microweights as mw

THREE_PARTS = r"(?s)^Expected .+\. Received: .+\. \S.+"
KINDS = ("float32", "float64", "int32", "int64", "bool")


def same(received: mw.Tensor, expected: Any, rtol: float = 1e-6) -> None:
    expected = np.asarray(expected)
    assert received.shape == expected.shape
    np.testing.assert_allclose(received.numpy(), expected, rtol=rtol, atol=1e-6)


# ---- making one ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.0, "float32"),
        (1, "int64"),
        (True, "bool"),
        ([1, 2.5], "float32"),
        ([[1, 2], [3, 4]], "int64"),
        ((True, False), "bool"),
        ([], "float32"),
        ([[], []], "float32"),
        ([np.float32(1), np.float32(2)], "float32"),
        (range(3), "int64"),
        (np.float64(1), "float64"),
        (np.int32(1), "int32"),
        *[(np.ones(2, kind), kind) for kind in KINDS],
        (np.ones(2, np.float16), "float32"),
        (np.ones(2, np.longdouble), "float64"),
        (np.ones(2, np.uint8), "int64"),
        (np.ones(2, np.int16), "int64"),
        (np.ones(2, ">f4"), "float32"),
        (np.ones(2, ">f8"), "float64"),
        (np.ones(2, ">i4"), "int32"),
        (np.array(1.0), "float64"),
    ],
)
def test_the_type_of_a_new_tensor(data: Any, dtype: str) -> None:
    t = mw.tensor(data)
    assert (t.dtype, t.shape, t.dtype.isnative) == (dtype, np.shape(data), True)
    np.testing.assert_array_equal(t.numpy(), np.array(data))


@pytest.mark.parametrize("wanted", KINDS)
@pytest.mark.parametrize("given_as", [[0.0, 1.0], [0, 1], [False, True], np.array([0, 1], np.uint8), np.array([0.0, 1.0], ">f8")])
def test_a_type_asked_for(given_as: Any, wanted: str) -> None:
    t = mw.tensor(given_as, dtype=wanted)
    assert t.dtype == wanted and t.numpy().astype(int).tolist() == [0, 1]


@pytest.mark.parametrize("layout", ["contiguous", "read-only", "transposed", "strided", "reversed", "repeated", "unaligned", "packed"])
def test_a_tensor_is_a_contiguous_copy(layout: str) -> None:
    source = np.arange(12, dtype=np.float32).reshape(3, 4)
    a = {
        "contiguous": lambda: source,
        "read-only": lambda: np.frombuffer(source.tobytes(), np.float32).reshape(3, 4),
        "transposed": lambda: source.T,
        "strided": lambda: source[::2, 1::2],
        "reversed": lambda: source[::-1, ::-1],
        "repeated": lambda: np.broadcast_to(source[0], (5, 4)),
        "unaligned": lambda: np.frombuffer(b"x" + source.tobytes(), np.float32, offset=1),
        "packed": lambda: packed(source[0]),
    }[layout]()
    t = mw.tensor(a)
    np.testing.assert_array_equal(t.numpy(), a)
    assert t.numpy().flags.c_contiguous and t.numpy().flags.writeable and not np.shares_memory(t.numpy(), a)


def packed(values: np.ndarray) -> np.ndarray:
    """The values as a field of packed records: their strides are no multiple of their size."""
    records = np.zeros(len(values), [("flag", "i1"), ("value", values.dtype)])
    records["value"] = values
    return records["value"]


def test_a_tensor_never_shares_the_memory_of_what_it_is_made_from() -> None:
    class Holder:
        def __init__(self) -> None:
            self.values = np.zeros(2, np.float32)

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return self.values

    holder, t = Holder(), mw.tensor([1.0, 2.0])
    copies = [mw.tensor(holder), mw.tensor(t), mw.tensor(t.numpy()), mw.tensor(memoryview(t.numpy())), t.copy()]
    holder.values[:] = 5.0
    t[...] = 5.0
    assert [c.tolist() for c in copies] == [[0.0, 0.0]] + [[1.0, 2.0]] * 4


@pytest.mark.parametrize(
    "wrong",
    [None, "text", b"bytes", ["a", "b"], object(), [object()], 1j, np.ones(2, complex), [None, 1.0], {1: 2}, {1, 2}, len, 2**64,
     np.array(["2020-01-01"], "M8"), np.zeros(2, [("a", "f4")]), mw.Value(1.0)],
)  # fmt: skip
@pytest.mark.parametrize("call", [mw.tensor, lambda x: mw.tensor(1.0) + x, lambda x: x * mw.tensor([1.0]), lambda x: mw.where(x, 1, 2)])
def test_what_is_no_number_is_refused(call: Callable[[Any], Any], wrong: Any) -> None:
    with pytest.raises(TypeError, match=THREE_PARTS):
        call(wrong)


@pytest.mark.parametrize("wrong", [[[1.0], [2.0, 3.0]], [1.0, [2.0]], [[[1], [2]], [[3]]]])
@pytest.mark.parametrize("call", [mw.tensor, lambda x: mw.tensor(1.0) + x, lambda x: mw.maximum(x, 0.0)])
def test_ragged_lists_are_refused(call: Callable[[Any], Any], wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected rows of one length\. Received: a ragged nested list\. Pad"):
        call(wrong)


@pytest.mark.parametrize("wrong", ["complex64", "str", "datetime64[s]", "no such type", object, 3.5])
def test_a_type_that_tensors_do_not_have_is_refused(wrong: Any) -> None:
    for call in (lambda: mw.tensor([1.0], dtype=wrong), lambda: mw.tensor([1.0]).astype(wrong)):
        with pytest.raises(TypeError, match=THREE_PARTS):
            call()


@pytest.mark.parametrize("value", [2**63, np.uint64(2**63), np.array([1, 2**64 - 1], np.uint64)])
def test_integers_beyond_int64_are_refused_and_not_wrapped(value: Any) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError), match=THREE_PARTS):
        mw.tensor(value)


def test_the_largest_integers() -> None:
    assert mw.tensor([2**63 - 1, -(2**63)]).tolist() == [2**63 - 1, -(2**63)]
    assert mw.tensor(np.array([2**40], np.uint64)).tolist() == [2**40]


# ---- types in arithmetic ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: b - a, mw.maximum])
@pytest.mark.parametrize(("left", "right", "expected"), [
    ("float32", "float32", "float32"), ("float32", "float64", "float64"), ("float64", "float64", "float64"),
    ("int64", "int64", "float32"), ("int32", "float32", "float32"), ("bool", "bool", "float32"),
    ("bool", "float64", "float64"),
    ("int64", "float64", "float64"), ("float32", "int64", "float32"),
])  # fmt: skip
def test_the_type_of_a_result(op: Callable[..., mw.Tensor], left: str, right: str, expected: str) -> None:
    a, b = mw.tensor(np.ones(2), left), mw.tensor(np.ones(2), right)
    assert op(a, b).dtype == op(b, a).dtype == op(a.numpy(), b).dtype == op(a, b.numpy()).dtype == expected


@pytest.mark.parametrize("number", [2, 2.5, True, 0, -0.0, math.inf, np.float64(2.5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_python_numbers_take_the_type_of_the_tensor(number: float, dtype: str) -> None:
    t = mw.tensor([1.5, 3.0], dtype)
    for result in (t + number, number + t, t * number, number - t, t**number, mw.maximum(t, number), mw.where(t > 2, number, t)):
        assert result.dtype == dtype
    same(number + t, np.array([1.5, 3.0]) + number)


@pytest.mark.parametrize("number", [True, 1, 1.0])
def test_equal_numbers_of_different_types_make_the_same_constant(number: float) -> None:
    assert (mw.tensor([2.0]) * number).tolist() == [2.0] and (mw.tensor([2.0], "float64") + number).tolist() == [3.0]


def test_zero_keeps_its_sign_as_a_constant() -> None:
    one = mw.tensor([1.0])
    assert [(one / 0.0).item(), (one / -0.0).item(), (one / 0).item()] == [math.inf, -math.inf, math.inf]


@pytest.mark.parametrize(
    "fn",
    [
        lambda z: z + 0.1, lambda z: 0.1 - z * -1, lambda z: z + [0.1], lambda z: [0.1] + z,
        lambda z: mw.maximum(0.1, z),
        lambda z: mw.maximum(0.1, z.numpy()), lambda z: mw.where([True], 0.1, z.numpy()), lambda z: z.clip(0.1),
        lambda z: mw.where([True], [0.1], z), lambda z: z + np.float64(0.1), lambda z: mw.pad(z, [(1, 0)], 0.1)[0:1],
    ],
)  # fmt: skip
def test_numbers_keep_double_precision_beside_float64(fn: Callable[[mw.Tensor], mw.Tensor]) -> None:
    assert fn(mw.tensor([0.0], "float64")).tolist() == [0.1]


@pytest.mark.parametrize("fn", [
    lambda z, n: z + n, lambda z, n: n + z, lambda z, n: z + n.numpy(), lambda z, n: z + n.numpy()[0], lambda z,
    n: z + n.tolist(),
    lambda z, n: mw.maximum(z, n), lambda z, n: n.astype("float64"),
])  # fmt: skip
def test_integers_keep_their_value_beside_float64(fn: Callable[..., mw.Tensor]) -> None:
    """2**24 + 1 is the first integer that float32 has no room for."""
    assert fn(mw.tensor([0.0], "float64"), mw.tensor([2**24 + 1])).tolist() == [2**24 + 1]


def test_astype() -> None:
    t = mw.tensor([1.5, -2.0], requires_grad=True)
    wide = t.astype("float64")
    wide.sum().backward()
    assert (wide.dtype, t.grad.dtype, t.grad.tolist()) == ("float64", "float32", [1.0, 1.0])
    assert t.astype("float32") is t
    assert (t.astype(int).tolist(), t.astype(int).requires_grad, t.astype(bool).tolist()) == ([1, -2], False, [True, True])
    assert mw.tensor([1, 0]).astype("float32").tolist() == [1.0, 0.0]


# ---- comparison ------------------------------------------------------------------------------------------------------

COMPARISONS = ["__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"]


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_like_numpy(name: str, dtype: str) -> None:
    values = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.1], dtype)
    a, b = mw.tensor(values[:, None]), mw.tensor(values)
    expected = getattr(values[:, None], name)(values)
    for right in (b, values):
        received = getattr(a, name)(right)
        assert received.dtype == bool and not received.requires_grad
        np.testing.assert_array_equal(received.numpy(), expected)
    for number in (0, 1.0, 0.1, True, math.nan, math.inf):
        np.testing.assert_array_equal(getattr(b, name)(number).numpy(), getattr(values, name)(values.dtype.type(number)))


@pytest.mark.parametrize("name", COMPARISONS)
def test_integers_are_compared_exactly(name: str) -> None:
    values = np.array([2**53, 2**53 + 1, 2**24, 2**24 + 1])
    t = mw.tensor(values)
    for number in (2**53 + 1, 2**24 + 1, np.int64(2**53)):
        np.testing.assert_array_equal(getattr(t, name)(number).numpy(), getattr(values, name)(number))
    np.testing.assert_array_equal(getattr(t, name)(float(2**24)).numpy(), getattr(values, name)(float(2**24)))
    np.testing.assert_array_equal(getattr(t, name)(mw.tensor([2.0**24], "float64")).numpy(), getattr(values, name)(2.0**24))


@pytest.mark.parametrize("make", [lambda: mw.tensor(3) == 3, lambda: mw.tensor(True) != False, lambda: mw.tensor(3.0) > 2])  # noqa: E712
def test_a_comparison_of_scalars_is_a_tensor_like_others(make: Callable[[], mw.Tensor]) -> None:
    t = make()
    assert type(t.numpy()) is np.ndarray and t.shape == () and t.dtype == bool and bool(t)
    assert (t * 2.0).item() == 2.0
    t[...] = False
    assert not t


def test_numpy_on_the_left() -> None:
    a, t = np.array([1.0, 2.0], np.float32), mw.tensor([3.0, 4.0])
    for result, expected in [
        (a + t, [4, 6]), (a - t, [-2, -2]), (a * t, [3, 8]), (a / t, [1 / 3, 0.5]), (a**t, [1, 16]), (a @ t, 11),
        (a < t, [1, 1]), (a >= t, [0, 0]), (a == t, [0, 0]), (a != t, [1, 1]), (np.float32(2) * t, [6, 8]),
        (np.array(2.0, np.float32) - t, [-1, -2]), ([1.0, 2.0] + t, [4, 6]), ((2, 2) * t, [6, 8]), (2.0**t, [8, 16]),
    ]:  # fmt: skip
        assert type(result) is mw.Tensor
        same(result, expected)


def test_gradients_flow_from_numpy_on_the_left() -> None:
    t = mw.tensor([3.0, 4.0], requires_grad=True)
    (np.array([1.0, 2.0], np.float32) @ t).backward()
    assert t.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], np.array([2.5, 0.5])])
def test_an_operand_of_any_layout(values: Any) -> None:
    """Arrays as operands are not copied: C reads them where they lie."""
    a = np.asarray(values, np.float32)
    zeros = mw.tensor(np.zeros(len(a), np.float32))
    unaligned = np.frombuffer(b"x" + a.tobytes(), np.float32, offset=1)
    for operand in (packed(a), unaligned, a[::-1][::-1], np.repeat(a, 3)[::3], a.astype(">f4"), a.astype("f2"), a.astype(object) * 1.0):
        if operand.dtype != object:
            assert (zeros + operand).tolist() == a.tolist()
            assert (operand.reshape(1, -1) @ mw.tensor(np.eye(len(a), dtype=np.float32))).tolist() == [a.tolist()]
            assert mw.concatenate([operand]).tolist() == a.tolist()


# ---- Python's protocols ----------------------------------------------------------------------------------------------


def test_numbers_out_of_tensors() -> None:
    t = mw.tensor([[2.5]])
    assert (t.item(), float(t), int(t), bool(t), bool(mw.tensor(0.0))) == (2.5, 2.5, 2, True, False)
    assert isinstance(mw.tensor(3).item(), int) and isinstance(mw.tensor(True).item(), bool)
    assert math.sqrt(mw.tensor(4.0)) == 2.0
    assert t.tolist() == [[2.5]] and mw.tensor(2.0).tolist() == 2.0


@pytest.mark.parametrize("call", [float, int, bool, lambda t: t.item()])
@pytest.mark.parametrize("shape", [(2,), (0,), (2, 2)])
def test_several_elements_are_no_number(call: Callable[[mw.Tensor], Any], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=THREE_PARTS):
        call(mw.tensor(np.zeros(shape)))


def test_length_and_iteration() -> None:
    t = mw.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(t) == 2 and [row.tolist() for row in t] == [[1.0, 2.0], [3.0, 4.0]]
    first, second = t
    (first * second).sum().backward()
    assert t.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert list(mw.tensor(np.zeros((0, 3)))) == []
    assert 2.0 in mw.tensor([1.0, 2.0]) and 5.0 not in mw.tensor([1.0, 2.0])
    for call in (len, list, iter):
        with pytest.raises(TypeError, match=THREE_PARTS):
            call(mw.tensor(1.0))


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (mw.tensor(1.0), "tensor(1.)"),
        (mw.tensor([1, 2]), "tensor([1, 2])"),
        (mw.tensor([1.5], "float64"), "tensor([1.5], dtype=float64)"),
        (mw.tensor([1], "int32"), "tensor([1], dtype=int32)"),
        (mw.tensor([True]), "tensor([ True])"),
        (mw.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (mw.tensor([]), "tensor([])"),
    ],
)
def test_repr(t: mw.Tensor, text: str) -> None:
    assert repr(t) == text


def test_repr_of_many_rows_is_short_and_aligned() -> None:
    assert len(repr(mw.tensor(np.zeros((1000, 1000))))) < 1000
    assert repr(mw.tensor([[1, 2], [3, 4]])) == "tensor([[1, 2],\n        [3, 4]])"


def test_hash_is_identity() -> None:
    a, b = mw.tensor([1.0, 2.0]), mw.tensor([1.0, 2.0])
    assert {a: 1, b: 2}[a] == 1 and len({a, b}) == 2


# ---- NumPy and DLPack ------------------------------------------------------------------------------------------------


def test_asarray_shares_memory() -> None:
    t = mw.tensor([1.0, 2.0])
    for a in (np.asarray(t), t.numpy(), np.asarray(t, np.float32), np.array(t, copy=False)):
        assert np.shares_memory(a, t.numpy())
    for a in (np.array(t), np.asarray(t, np.float64), np.array(t, copy=True), np.asarray(t, int)):
        assert not np.shares_memory(a, t.numpy())
    assert np.asarray(t, np.float64).dtype == np.float64


def test_asarray_without_a_copy_cannot_change_the_type() -> None:
    with pytest.raises(ValueError):
        mw.tensor([1.0]).__array__(np.float64, copy=False)


@pytest.mark.parametrize("kind", KINDS)
def test_dlpack_with_numpy_without_a_copy(kind: str) -> None:
    t = mw.tensor([[0, 1], [1, 0]], kind)
    a = np.from_dlpack(t.T)
    assert a.dtype == kind and np.shares_memory(a, t.numpy()) and a.tolist() == t.T.tolist()
    back = mw.from_dlpack(a)
    assert type(back) is mw.Tensor and np.shares_memory(back.numpy(), t.numpy()) and back.dtype == kind


@pytest.mark.parametrize("kind", KINDS)
def test_dlpack_with_torch_without_a_copy(kind: str) -> None:
    torch = pytest.importorskip("torch")
    t = mw.tensor([[0, 1], [1, 0]], kind)
    twin = torch.from_dlpack(t)
    twin[0, 0] = 1
    assert t.numpy()[0, 0] == 1 and twin.data_ptr() == t.numpy().ctypes.data
    source = torch.zeros(3, 2, dtype=getattr(torch, kind)).T
    t = mw.from_dlpack(source)
    source[1, 2] = 1
    assert t.shape == (2, 3) and t.numpy()[1, 2] == 1


def test_torch_tensors_as_operands() -> None:
    torch = pytest.importorskip("torch")
    assert (mw.tensor([1.0, 2.0]) + torch.tensor([3.0, 4.0])).tolist() == [4.0, 6.0]
    assert mw.tensor(torch.tensor([3, 4], dtype=torch.int16)).dtype == "int64"


@pytest.mark.parametrize("wrong", [np.ones(2, np.float16), np.ones(2, np.uint8), np.ones(2, complex), None, [1.0], "x"])
def test_dlpack_refuses_what_tensors_do_not_have(wrong: Any) -> None:
    with pytest.raises(TypeError, match=THREE_PARTS):
        mw.from_dlpack(wrong)


# ---- indexing --------------------------------------------------------------------------------------------------------

X = np.arange(60, dtype=np.float32).reshape(3, 4, 5)

INDICES = [
    0, -1, np.int64(2), slice(None), slice(1, None), slice(None, None, -1), slice(2, 0, -2), slice(5, 9), Ellipsis,
    None, (), (0,),
    (0, 1), (0, 1, 2), (..., 0), (0, ..., 0), (slice(None), None, 1), (None, ..., None),
    (slice(None), slice(1, 3), slice(None, None, 2)),
    [0, 2], [], [[0, 1], [2, 0]], [-1, 0], np.array([0, 2]), np.array([0, 2], np.uint8), np.array([], int), np.array(1),
    ([0, 1], [1, 2]), ([[0], [1]], [1, 2]), (slice(None), [1, 1, 3]), ([0, 1], slice(None), [0, 4]), (0, [1, 2]),
    (..., [0, 4]),
    (np.array(0), np.array(1), np.array(2)), ([True, False, True],), np.array([True, False, True]), X > 30, X > 99,
    (slice(None), X[0, :, 0] > 2),
    (np.array([True, False, True]), [0]), True, False, np.array(True), (None, [0, 1]), np.array([[0, 1]]),
]  # fmt: skip


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("kind", ["float32", "int64", "bool"])
@pytest.mark.parametrize("key", INDICES, ids=lambda k: str(k).replace("\n", "")[:40])
def test_indexing_like_numpy(key: Any, kind: str) -> None:
    x = X.astype(kind)
    expected = x[key] if not isinstance(key, list) or key else x[np.array([], int)]
    received = mw.tensor(x)[key]
    assert received.shape == np.shape(expected) and received.dtype == kind
    np.testing.assert_array_equal(received.numpy(), expected)


@pytest.mark.parametrize("key", INDICES, ids=lambda k: str(k).replace("\n", "")[:40])
def test_the_gradient_of_indexing(key: Any) -> None:
    t = mw.tensor(X, requires_grad=True)
    z = t[key]
    dz = np.arange(1, z.size + 1, dtype=np.float32).reshape(z.shape)
    z.backward(dz)
    expected = np.zeros_like(X)
    np.add.at(expected, key if not isinstance(key, list) or key else np.array([], int), dz)
    np.testing.assert_array_equal(t.grad.numpy(), expected)


@pytest.mark.parametrize("key", [mw.tensor([0, 2]), mw.tensor([True, False, True]), mw.tensor(1), (0, mw.tensor([1, 2])), mw.tensor([[0], [1]])])
def test_tensors_as_indices(key: Any) -> None:
    plain = tuple(k.numpy() if isinstance(k, mw.Tensor) else k for k in key) if isinstance(key, tuple) else key.numpy()
    same(mw.tensor(X)[key], X[plain])
    t, a = mw.tensor(X), X.copy()
    t[key] = -1.0
    a[plain] = -1.0
    same(t, a)


@pytest.mark.parametrize("key", INDICES, ids=lambda k: str(k).replace("\n", "")[:40])
@pytest.mark.parametrize("kind", ["float32", "int64"])
def test_setting_like_numpy(key: Any, kind: str) -> None:
    if isinstance(key, list) and not key:
        key = np.array([], int)
    a, t = X.astype(kind), mw.tensor(X.astype(kind))
    for value in (7, 8.0, np.float64(9.0)):
        a[key] = value
        t[key] = value
        np.testing.assert_array_equal(t.numpy(), a)
    values = -np.arange(a[key].size).reshape(a[key].shape)
    if np.size(a[key]) < a.size or isinstance(key, slice):
        a[key] = values
        t[key] = mw.tensor(values)
        np.testing.assert_array_equal(t.numpy(), a)


def test_setting_overlapping_parts_of_itself() -> None:
    t = mw.tensor([1.0, 2.0, 3.0, 4.0])
    t[1:] = t[:-1]
    assert t.tolist() == [1.0, 1.0, 2.0, 3.0]
    t[::-1] = t
    assert t.tolist() == [3.0, 2.0, 1.0, 1.0]
    t[...] = t.numpy()[::-1]
    assert t.tolist() == [1.0, 1.0, 2.0, 3.0]


def test_basic_indices_are_views_down_to_a_single_element() -> None:
    t = mw.tensor([[1.0, 2.0], [3.0, 4.0]])
    t[0][...] = 5.0
    t[:, 1][0] = 6.0
    t[1][0][...] = 7.0
    t[1, 1][...] = 8.0
    assert t.tolist() == [[5.0, 6.0], [7.0, 8.0]]
    chosen = t[[0]]
    chosen[...] = 0.0
    assert t.tolist() == [[5.0, 6.0], [7.0, 8.0]]


@pytest.mark.parametrize(
    "key", [9, -4, (0, 0, 0, 0), 1.5, "a", np.array([0.5]), mw.tensor([0.5]), [9], [-9], np.array([True, False]), [0.5], (0, [9]),
            slice(None, None, 0), slice("a", None), ([0, 1], [0, 1, 2]), (..., ...), object(), (None,) * 65],
    ids=lambda k: str(k)[:30],
)  # fmt: skip
def test_wrong_indices(key: Any) -> None:
    with pytest.raises((IndexError, TypeError, ValueError), match=THREE_PARTS):
        mw.tensor(X)[key]
    t = mw.tensor(X)
    with pytest.raises((IndexError, TypeError, ValueError), match=THREE_PARTS):
        t[key] = 1.0
    same(t, X)


@pytest.mark.parametrize(("key", "value"), [(0, np.ones(3)), (..., np.ones((2, 3, 4, 5))), ([0, 1], np.ones((3, 4, 5))), (X > 30, np.ones(2))])
def test_setting_what_does_not_fit(key: Any, value: Any) -> None:
    t = mw.tensor(X)
    with pytest.raises(ValueError, match=THREE_PARTS):
        t[key] = value
    same(t, X)


@pytest.mark.parametrize("value", ["a", None, object(), 1j, [[1.0], [2.0, 3.0]]])
def test_setting_what_is_no_number(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=THREE_PARTS):
        mw.tensor(X)[0] = value


@pytest.mark.parametrize(
    "make",
    [
        lambda: mw.tensor([1.0]).broadcast_to((3,)),
        lambda: mw.from_dlpack(np.broadcast_to(np.ones(1, np.float32), (3,))),
        lambda: mw.tensor([[1.0], [2.0]]).broadcast_to((2, 3))[0],
    ],
)
def test_repeated_memory_cannot_be_written(make: Callable[[], mw.Tensor]) -> None:
    t = make()
    before = t.tolist()
    for write in (lambda: t.__setitem__(..., [1.0, 2.0, 3.0]), lambda: t.__iadd__([1.0, 2.0, 3.0]), lambda: t.assign(0.0)):
        with pytest.raises(ValueError, match=THREE_PARTS):
            write()
        assert t.tolist() == before


def crashes_not(code: str) -> str:
    """Run in an interpreter of its own, with at most 5 GB; the text that it prints."""
    start = "import resource, numpy as np, microweights as mw; resource.setrlimit(resource.RLIMIT_AS, (5 << 30, 5 << 30))\n"
    result = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, f"ended with {result.returncode}: {result.stderr[-500:]}"
    return result.stdout.strip()


linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")


@linux_only
def test_writing_to_a_read_only_file_is_refused(tmp_path: Any) -> None:
    """C would write past the protection of the page: a segmentation fault."""
    np.zeros(4096, np.float32).tofile(tmp_path / "data")
    code = f"t = mw.from_dlpack(np.memmap(r'{tmp_path / 'data'}', np.float32, 'r'))\ntry: t[...] = 1.0\nexcept ValueError: print('refused')"
    assert crashes_not(code) == "refused"


# ---- shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "expected"), [
    ((6,), (6,)), ((3, 2), (3, 2)), ((-1,), (6,)), ((2, -1), (2, 3)), (((3, 2),), (3, 2)), (([1, 6],), (1, 6)),
    ((np.int64(6),), (6,)), ((1, 1, 6, 1), (1, 1, 6, 1)),
])  # fmt: skip
def test_reshape(shape: tuple[Any, ...], expected: tuple[int, ...]) -> None:
    a = np.arange(6.0).reshape(2, 3)
    for t, source in [(mw.tensor(a), a), (mw.tensor(a.T.copy()).T, a), (mw.tensor(a.astype(int)), a)]:
        same(t.reshape(*shape), source.reshape(expected))


def test_reshape_of_one_and_of_none() -> None:
    assert mw.tensor([[3.0]]).reshape(()).shape == mw.tensor([3.0]).reshape().shape == ()
    assert mw.tensor(3.0).reshape(1, 1).shape == (1, 1)
    assert mw.tensor(np.zeros((0, 3))).reshape(-1, 5).shape == (0, 5)


@pytest.mark.parametrize(
    "shape", [(5,), (4, -1), (-1, -1), (-2, 3), (-2, -3), (0, -1), (), ("a",), (None,), (2.5, 2), (6.0,), (2, "3"), (2**62, 4), ((2, 3), 1)]
)
def test_wrong_reshapes(shape: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        mw.tensor(np.zeros((2, 3))).reshape(*shape)


@pytest.mark.parametrize("axes", [(), (None,), (2, 0, 1), ((1, 0, 2),), ([0, 2, 1],), (-1, 0, 1), (np.int64(0), 1, 2)])
def test_transpose_like_numpy(axes: tuple[Any, ...]) -> None:
    same(mw.tensor(X).transpose(*axes), X.transpose(*axes))


@pytest.mark.parametrize("axes", [(0,), (0, 1), (0, 1, 1), (0, 1, 3), (0, 1, -4), ("a", "b", "c"), (0.5, 1, 2), ("abc",), (0, 1, 2, 3)])
def test_wrong_transposes(axes: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        mw.tensor(X).transpose(*axes)


def test_transpose_of_scalars_and_vectors() -> None:
    assert mw.tensor(1.0).T.shape == () and mw.tensor([1.0, 2.0]).T.shape == (2,) and mw.tensor([1.0]).transpose(0).shape == (1,)


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 1), (-1, 3), (2.0, 3), "ab", 5, None, (2**40, 2**40), (2**62, 2, 3)])
def test_wrong_broadcasts(shape: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        mw.tensor([1.0, 2.0, 3.0]).broadcast_to(shape)


# ---- matrix products -------------------------------------------------------------------------------------------------


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
    z.sum().backward()
    np.testing.assert_allclose((x.grad * a).sum().item(), (a @ b).sum(), rtol=1e-9, atol=1e-9)  # z is linear in x,
    and in y
    np.testing.assert_allclose((y.grad * b).sum().item(), (a @ b).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("left", "right"), [((2, 3), (4, 2)), ((3,), (4,)), ((2, 3), (2,)), ((), (3,)), ((3,), ()), ((2, 2, 3), (3, 3, 4)), ((2,), (3, 2))])
def test_wrong_matrix_products(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=THREE_PARTS):
        mw.tensor(np.ones(left)) @ mw.tensor(np.ones(right))


# ---- joining and choosing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concatenate_and_stack(axis: int) -> None:
    a, b = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    same(mw.concatenate([mw.tensor(a), b, mw.tensor(a).T.T], axis), np.concatenate([a, b, a], axis))
    same(mw.stack([mw.tensor(a), b], axis), np.stack([a, b], axis))
    assert mw.concatenate([a, b.astype(np.float64)]).dtype == "float64" and mw.stack([[1, 2], [True, False]]).dtype == "float32"


def test_joining_scalars_rows_and_nothing() -> None:
    assert mw.stack([1.0, mw.tensor(2.0)]).tolist() == [1.0, 2.0]
    assert mw.concatenate(mw.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [1.0, 2.0, 3.0, 4.0]
    assert mw.concatenate([np.zeros((0, 2)), np.ones((1, 2))]).shape == (1, 2)
    assert mw.concatenate(t for t in (mw.tensor([1.0]), mw.tensor([2.0]))).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: mw.concatenate([]), lambda: mw.stack([]), lambda: mw.concatenate([np.ones((2, 3)), np.ones((3, 2))]),
        lambda: mw.concatenate([np.ones(2), np.ones((2, 2))]), lambda: mw.concatenate([1.0, 2.0]),
        lambda: mw.concatenate([np.ones(2)], 1),
        lambda: mw.concatenate([np.ones(2)], axis=None), lambda: mw.concatenate([np.ones((2, 2))], axis=None),
        lambda: mw.concatenate([np.ones((2, 2))], axis=(0, 1)), lambda: mw.concatenate(["a"]),
        lambda: mw.concatenate(None),
        lambda: mw.concatenate(3.0), lambda: mw.stack(None), lambda: mw.stack([[1.0], [1.0, 2.0]]),
        lambda: mw.stack([1.0], axis=5),
        lambda: mw.stack([1.0], axis="a"), lambda: mw.stack([[1.0]], axis=None), lambda: mw.pad([1.0], 3),
        lambda: mw.pad([1.0], [(1,)]),
        lambda: mw.pad([1.0], [(1, 1), (1, 1)]), lambda: mw.pad([1.0], [(-1, 0)]), lambda: mw.pad([1.0], [(1.5, 0)]),
        lambda: mw.pad([1.0], [(1, 1)], "a"), lambda: mw.pad([1.0], None), lambda: mw.pad([1.0], [("a", 1)]),
        lambda: mw.pad("a", [(1, 1)]),
        lambda: mw.where([True, False], [1.0, 2.0, 3.0], 0.0), lambda: mw.where("a", 1.0, 2.0),
        lambda: mw.where(None, 1.0, 2.0),
        lambda: mw.maximum("a", 1.0), lambda: mw.minimum([1.0, 2.0], [1.0, 2.0, 3.0]),
        lambda: mw.tensor([1.0]).clip("a", "b"),
        lambda: mw.tensor([1.0, 2.0]) + [1.0, 2.0, 3.0], lambda: mw.tensor([1.0, 2.0]) == [1.0, 2.0, 3.0],
        lambda: mw.tensor([1, 2]) == [1, 2, 3], lambda: mw.tensor([1, 2]) < np.arange(3),
        lambda: mw.tensor([1.0]) + 10**400,
        lambda: mw.tensor([1.0]).assign([1.0, 2.0]),
    ],
)  # fmt: skip
def test_wrong_arguments(call: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError), match=THREE_PARTS):
        call()


def test_pad_like_numpy() -> None:
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    for widths in [((1, 2), (0, 3)), ((0, 0), (0, 0))]:
        same(mw.pad(a, widths, -1.5), np.pad(a, widths, constant_values=-1.5))
        same(mw.pad(mw.tensor(a.T).T, np.array(widths)), np.pad(a, widths))
    assert mw.pad(1.0, []).item() == 1.0 and mw.pad(np.zeros((0, 2)), [(1, 1), (0, 0)]).shape == (2, 2)


@pytest.mark.usefixtures("setting")
def test_choices_like_numpy(dtype: str) -> None:
    values = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan], dtype)
    a, b = values[:, None], values
    same(mw.maximum(a, b), np.maximum(a, b))
    same(mw.minimum(a, b), np.minimum(a, b))
    same(mw.where(a > b, a, b), np.where(a > b, a, b))
    same(mw.tensor(values).clip(-0.5, 0.5), values.clip(-0.5, 0.5))
    same(mw.tensor(values).clip(low=0.0), values.clip(0.0))
    same(mw.tensor(values).clip(high=0.0), values.clip(None, 0.0))
    assert mw.where([0, 2, 0.5], 1, 0).tolist() == [0.0, 1.0, 1.0] and mw.where(mw.tensor([True, False]), 1.5, 2).dtype == "float32"


# ---- reductions ------------------------------------------------------------------------------------------------------


@st.composite
def reductions(draw: st.DrawFn) -> tuple[np.ndarray, Any, bool]:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=5))
    axis = draw(st.one_of(st.none(), st.lists(st.integers(0, max(len(shape) - 1, 0)), unique=True, max_size=len(shape)).map(tuple)))
    if axis and draw(st.booleans()):
        axis = tuple(a - len(shape) for a in axis) if len(axis) > 1 else axis[0]
    rng = np.random.default_rng(sum(shape))
    return rng.integers(-5, 5, shape).astype(float), axis, draw(st.booleans())


@pytest.mark.usefixtures("setting")
@given(reductions())
def test_reductions_like_numpy(example: tuple[np.ndarray, Any, bool]) -> None:
    a, axis, keepdims = example
    for t in (mw.tensor(a), mw.tensor(a.T.copy()).T):
        for name in ("sum", "mean", "max", "min", "var"):
            same(getattr(t, name)(axis, keepdims), getattr(a, name)(axis=axis, keepdims=keepdims), rtol=1e-12)


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_arguments_of_extremes_like_numpy(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, (5, 40)).astype(dtype)  # full of ties: the first counts
    for t, source in [(mw.tensor(a), a), (mw.tensor(a).T, a.T)]:
        for axis in (None, 0, 1, -1):
            received = getattr(t, name)(axis)
            assert received.dtype == "int64"
            np.testing.assert_array_equal(received.numpy(), getattr(source, name)(axis))
    a[2, 7] = np.nan
    np.testing.assert_array_equal(getattr(mw.tensor(a), name)(1).numpy(), getattr(a, name)(1))


@pytest.mark.parametrize("name", ["argmax", "argmin", "max", "min"])
def test_extremes_of_large_integers_are_exact(name: str) -> None:
    values = np.array([2**24, 2**24 + 1, 2**24]) * (1 if "max" in name else -1)
    if name.startswith("arg"):
        assert getattr(mw.tensor(values), name)().item() == 1


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "softmax", "log_softmax"])
def test_nan_and_infinity_survive(name: str, bad: float, dtype: str) -> None:
    a = np.ones((3, 37), dtype)
    a[1, 30] = bad
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        e = np.exp(a - a.max(1, keepdims=True))
        expected = {
            "softmax": lambda: e / e.sum(1, keepdims=True),
            "log_softmax": lambda: a - a.max(1, keepdims=True) - np.log(e.sum(1, keepdims=True)),
        }.get(name, lambda: getattr(a, name)(1))()
        received = getattr(mw.tensor(a), name)(*([] if "soft" in name else [1]))
    same(received, expected, rtol=1e-5)


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 3, 1, 4)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_rows_of_probabilities_along_any_axis(name: str, shape: tuple[int, ...]) -> None:
    a = np.random.default_rng(0).normal(size=shape)
    for axis in range(-len(shape), len(shape)):
        e = np.exp(a) / np.exp(a).sum(axis, keepdims=True)
        same(getattr(mw.tensor(a), name)(axis), e if name == "softmax" else np.log(e), rtol=1e-12)
        weights = np.linspace(1, 2, a.size).reshape(shape)
        assert mw.gradcheck(lambda t, axis=axis, w=weights: (getattr(t, name)(axis) * w).sum(), [a])


@pytest.mark.parametrize("axis", [5, -4, (0, 0), (0, -3), "a", 1.0, (0, "a"), True, [None]])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "argmax", "argmin", "softmax", "log_softmax"])
def test_wrong_axes(name: str, axis: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        getattr(mw.tensor(X), name)(axis=axis)


@pytest.mark.parametrize(("name", "axis"), [("softmax", None), ("softmax", (0, 1)), ("log_softmax", ()), ("argmax", (0, 1)), ("argmin", [0, 1])])
def test_one_axis_where_one_is_needed(name: str, axis: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        getattr(mw.tensor(X), name)(axis=axis)


@pytest.mark.parametrize("call", [lambda: mw.ops.Sum((-1,)), lambda: mw.ops.Max((5,)), lambda: mw.ops.Mean((0, 0)), lambda: mw.ops.Sum((1, 0))])
@linux_only
def test_operations_by_their_class_do_not_write_out_of_bounds(call: Callable[[], Any], request: pytest.FixtureRequest) -> None:
    """The classes are public; `axes` that are unsorted, negative or too large once wrote behind the result."""
    axes = call().axes
    name = type(call()).__name__
    code = f"""
x = mw.tensor(np.ones((200, 300)))
try: print(mw.ops.{name}({axes})(x).shape in ((), (200,)))
except (ValueError, IndexError): print(True)
[np.ones(i) for i in range(1000)]
"""
    assert crashes_not(code) == "True"


# ---- nothing, and too much -------------------------------------------------------------------------------------------

EMPTY = [
    ("sum", ()), ("sum", (0,)), ("sum", (1,)), ("mean", (1,)), ("max", (1,)), ("min", (1,)), ("exp", ()),
    ("softmax", ()), ("softmax", (0,)),
    ("log_softmax", ()), ("reshape", (3, 0)), ("reshape", (-1, 3)), ("transpose", ()), ("copy", ()),
    ("clip", (0.0, 1.0)), ("var", (1,)),
    ("__getitem__", (slice(None, None, -1),)), ("__getitem__", ((slice(None), [0, 2]),)),
    ("__getitem__", (np.zeros((0, 3), bool),)),
    ("__getitem__", (np.array([], int),)), ("__add__", (1.0,)), ("__mul__", (np.ones((1, 3), np.float32),)),
    ("__matmul__", (np.ones((3, 2), np.float32),)),
    ("__rmatmul__", (np.ones((4, 0), np.float32),)), ("__lt__", (0.0,)), ("argmax", (1,)), ("astype", ("float64",)),
    ("broadcast_to", ((2, 0, 3),)),
    ("max", (0,)), ("min", ()), ("argmax", (0,)), ("argmin", ()),
]  # fmt: skip


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(("name", "arguments"), EMPTY)
def test_zero_size(name: str, arguments: tuple[Any, ...]) -> None:
    t = mw.tensor(np.zeros((0, 3), np.float32), requires_grad=True)
    if name in ("max", "min", "argmax", "argmin") and arguments != (1,):
        with pytest.raises(ValueError, match=THREE_PARTS):
            getattr(t, name)(*arguments)
        return
    z = getattr(t, name)(*arguments)
    if name in ("softmax", "log_softmax", "copy", "exp"):
        assert z.shape == (0, 3)
    elif hasattr(np.ndarray, name):
        a = t.numpy()
        arguments = tuple(a.dtype.type(x) if isinstance(x, float) else x for x in arguments)
        expected = getattr(a, name)(*([arguments] if name == "reshape" else arguments))
        np.testing.assert_array_equal(z.numpy(), expected)
    if z.requires_grad:
        z.sum().backward()
        assert t.grad.shape == (0, 3)


@pytest.mark.usefixtures("setting")
def test_reductions_of_nothing_to_something() -> None:
    t = mw.tensor(np.zeros((3, 0)))
    assert t.sum(1).tolist() == [0.0] * 3 and t.sum().item() == 0.0 and np.isnan(t.mean(1).numpy()).all()
    assert (t @ np.zeros((0, 2))).tolist() == [[0.0, 0.0]] * 3
    assert t.softmax().shape == (3, 0) and t[:, []].shape == (3, 0) and t.reshape(0).shape == (0,)
    assert mw.concatenate([t, t], 1).shape == (3, 0) and mw.stack([t, t]).shape == (2, 3, 0)


@linux_only
@pytest.mark.parametrize("expression", ["t.sum()", "t.max()", "t + 1", "t.argmax()", "t * t", "mw.where(t > 0, t, 0)", "t.copy()", "t.astype('float64')",
                                        "t[np.arange(3)]", "mw.concatenate([t, t])", "(t.reshape(1, -1) @ t)",
                                        "t.softmax()", "t == t"])  # fmt: skip
def test_more_elements_than_an_int_can_count_do_not_crash(expression: str) -> None:
    """A view of 2**31 elements costs nothing; what does not fit into memory raises MemoryError."""
    code = f"t = mw.from_dlpack(np.broadcast_to(np.ones((), np.float32), (2**31,)))\ntry: print({expression}.shape)\nexcept MemoryError: print('memory')"
    assert crashes_not(code) in ("memory", "()", "(3,)", f"({2**31},)", f"({2**32},)", "(1,)")


def test_more_axes_than_the_kernels_walk() -> None:
    a = np.arange(2**12, dtype=np.float32).reshape((2,) * 12)
    same(mw.tensor(a) + 1.0, a + 1)
    same(mw.tensor(a).sum((0, 2, 4)), a.sum((0, 2, 4)))
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    mixed = mw.tensor(a).transpose(order)
    try:
        same(mixed + 1.0, a.transpose(order) + 1)
    except ValueError as error:
        assert "at most 8 separate axes" in str(error)  # noqa: PT017
        with pytest.raises(ValueError, match=THREE_PARTS):
            mixed.copy()


def test_changing_in_place() -> None:
    t = mw.tensor([1.0, 2.0])
    memory = t.numpy()
    t += 1
    t *= [2.0, 3.0]
    t -= mw.tensor([1, 1])
    t /= 2
    assert t.tolist() == [1.5, 4.0] and t.numpy() is memory
    t.assign([7, 8])
    assert t.tolist() == [7.0, 8.0] and t.numpy() is memory
    wide = mw.tensor([1.0])
    with pytest.raises(ValueError, match=THREE_PARTS):
        wide += [1.0, 2.0]


def test_integers_are_not_truncated_in_place() -> None:
    """NumPy and torch refuse this, too: the result of `1 + 0.5` does not fit into an integer."""
    t = mw.tensor([1, 2])
    with pytest.raises(TypeError, match=THREE_PARTS):
        t += 0.5
    assert t.tolist() == [1, 2]
