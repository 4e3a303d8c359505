"""Tensor by itself: types, Python's, NumPy's and torch's protocols, and what every wrong call is told."""

from __future__ import annotations

import copy
import math
import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import same

import microweights as mw
from microweights.errors import TENSOR_HINTS
from microweights.tensor import as_tensor, operands

THREE_PARTS = r"(?s)^Expected .+\. Received: .+\. \S.+"
KINDS = ("float32", "float64", "int32", "int64", "bool")


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
        (np.ones(2, np.uint8), "uint8"),
        (np.ones(2, np.int16), "int16"),
        (np.ones(2, np.uint64), "int64"),
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
@pytest.mark.parametrize(
    "given_as", [[0.0, 1.0], [0, 1], [False, True], np.array([0, 1], np.uint8), np.array([0.0, 1.0], ">f8")]
)
def test_a_type_asked_for(given_as: Any, wanted: str) -> None:
    t = mw.tensor(given_as, dtype=wanted)
    assert t.dtype == wanted and t.numpy().astype(int).tolist() == [0, 1]


@pytest.mark.parametrize(
    "layout", ["contiguous", "read-only", "transposed", "strided", "reversed", "repeated", "unaligned", "packed"]
)
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
    [
        None,
        "text",
        b"bytes",
        ["a", "b"],
        object(),
        [object()],
        1j,
        np.ones(2, complex),
        [None, 1.0],
        {1: 2},
        {1, 2},
        len,
        np.array(["2020-01-01"], "M8"),
        np.zeros(2, [("a", "f4")]),
        mw.Value(1.0),
    ],
)
@pytest.mark.parametrize(
    "call", [mw.tensor, lambda x: mw.tensor(1.0) + x, lambda x: x * mw.tensor([1.0]), lambda x: mw.where(x, 1, 2)]
)
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
    for result in (
        t + number,
        number + t,
        t * number,
        number - t,
        t**number,
        mw.maximum(t, number),
        mw.where(t > 2, number, t),
    ):
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
        lambda z: z + 0.1, lambda z: 0.1 - z * -1, lambda z: z - [-0.1], lambda z: [0.1] - z,
        lambda z: mw.maximum(0.1, z),
        lambda z: mw.maximum(0.1, z.numpy()), lambda z: mw.where([True], 0.1, z.numpy()), lambda z: z.clip(0.1),
        lambda z: mw.where([True], [0.1], z), lambda z: z + np.float64(0.1), lambda z: mw.pad(z, [(1, 0)], 0.1)[0:1],
    ],
)  # fmt: skip
def test_numbers_keep_double_precision_beside_float64(fn: Callable[[mw.Tensor], mw.Tensor]) -> None:
    assert fn(mw.tensor([0.0], "float64")).tolist() == [0.1]


@pytest.mark.parametrize("fn", [
    lambda z, n: z + n, lambda z, n: n + z, lambda z, n: z + n.numpy(), lambda z, n: z + n.numpy()[0],
    lambda z, n: z + n.tolist(), lambda z, n: mw.maximum(z, n), lambda z, n: n.astype("float64"),
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
    assert (t.astype(int).tolist(), t.astype(int).requires_grad, t.astype(bool).tolist()) == (
        [1, -2],
        False,
        [True, True],
    )
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


@pytest.mark.parametrize("make", [lambda: mw.tensor(3) == 3, lambda: mw.tensor(2) != 3, lambda: mw.tensor(3.0) > 2])
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
        (np.array(2.0, np.float32) - t, [-1, -2]), ([1.0, 2.0] - t, [-2, -2]), ((2, 2) * t, [6, 8]), (2.0**t, [8, 16]),
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
    for operand in (
        packed(a),
        unaligned,
        a[::-1][::-1],
        np.repeat(a, 3)[::3],
        a.astype(">f4"),
        a.astype("f2"),
        a.astype(object) * 1.0,
    ):
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
    assert mw.tensor(torch.tensor([3, 4], dtype=torch.int16)).dtype == "int16"


@pytest.mark.parametrize("wrong", [np.ones(2, np.float16), np.ones(2, np.uint64), np.ones(2, complex), None, [1.0], "x"])
def test_dlpack_refuses_what_tensors_do_not_have(wrong: Any) -> None:
    with pytest.raises(TypeError, match=THREE_PARTS):
        mw.from_dlpack(wrong)


# ---- changing in place -----------------------------------------------------------------------------------------------


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


# ---- in an interpreter of its own: what could crash it ---------------------------------------------------------------


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
    code = f"""
t = mw.from_dlpack(np.memmap(r"{tmp_path / "data"}", np.float32, "r"))
try: t[...] = 1.0
except ValueError: print("refused")
"""
    assert crashes_not(code) == "refused"


@linux_only
@pytest.mark.parametrize("call", ["Sum((-1,))", "Max((-2, -1))", "Min((5,))", "Mean((0, 0))", "Sum((1, 0))"])
def test_operations_by_their_class_do_not_write_out_of_bounds(call: str) -> None:
    """The classes are public; negative, unsorted or too large axes must not make C write behind the result."""
    code = f"""
x = mw.tensor(np.ones((200, 300)))
try: print(mw.ops.{call}(x).shape in ((), (200,)))
except (ValueError, IndexError): print(True)
[np.ones(i) for i in range(1000)]
"""
    assert crashes_not(code) == "True"


HUGE = [
    "t.sum()", "t.max()", "t + 1", "t.argmax()", "t * t", "t.copy()", "t.astype('float64')", "t[np.arange(3)]",
    "mw.concatenate([t, t])", "t.reshape(1, -1) @ t", "t.softmax()",
]  # fmt: skip


@linux_only
@pytest.mark.parametrize("expression", HUGE)
def test_more_elements_than_an_int_can_count_do_not_crash(expression: str) -> None:
    """A view of 2**31 elements costs nothing; what does not fit into memory raises MemoryError."""
    code = f"""
t = mw.from_dlpack(np.broadcast_to(np.ones((), np.float32), (2**31,)))
try: print(({expression}).shape)
except MemoryError: print("memory")
"""
    assert crashes_not(code) in ("memory", "()", "(1,)", "(3,)", f"({2**31},)", f"({2**32},)")


@pytest.mark.parametrize("data", [[1.0, 2.0], 1.0, None, "text"])
def test_a_tensor_is_made_of_an_array_alone(data: Any) -> None:
    with pytest.raises(TypeError, match=r"Expected an array to make a Tensor of.* Make it with mw\.tensor"):
        mw.Tensor(data)
    assert mw.Tensor(np.float32(2.0)).shape == ()


# ---- a gradient is not lost silently -----------------------------------------------------------------------------------


def tracked(values: Any = (3.0, 4.0)) -> mw.Tensor:
    return mw.tensor(list(values) if isinstance(values, tuple) else values, requires_grad=True)


@pytest.mark.parametrize(
    ("fn", "way"),
    [
        (lambda w: np.linalg.norm(w), "x.square"),
        (lambda w: np.dot(w, w), "x @ y"),
        (lambda w: np.mean(w), r"x\.mean\(\)"),
        (lambda w: np.sum(w, axis=0), r"x\.sum\(\)"),
        (lambda w: np.exp(w), r"x\.exp\(\)"),
        (lambda w: np.sin(w), "numpy"),
        (lambda w: np.add.reduce(w), "numpy"),
        (lambda w: np.stack([w, w]), "mw.stack"),
        (lambda w: np.concatenate([w, w]), "mw.concatenate"),
        (lambda w: np.where([True, False], w, 0.0), "mw.where"),
        (lambda w: np.asarray(w), "numpy"),
        (lambda w: np.array([w, w]), "numpy"),
        (lambda w: np.multiply(w, w, out=np.zeros(2, "f4")), "numpy"),
        (lambda w: np.float32(1.0).__class__(w.sum()), "numpy"),
    ],
)
def test_numpy_refuses_tensors_that_require_a_gradient(fn: Callable[[mw.Tensor], Any], way: str) -> None:
    w = tracked()
    with pytest.raises(TypeError, match=THREE_PARTS) as error:
        fn(w)
    assert re.search(way, str(error.value))
    with pytest.raises(TypeError):
        fn(w * 2)
    np.testing.assert_allclose(np.asarray(fn(w.detach())), np.asarray(fn(w.numpy())))
    with mw.no_grad():
        fn(w)


def test_operators_with_an_array_on_the_left_are_the_tensors() -> None:
    w, a = tracked(), np.array([1.0, 2.0], "f4")
    for z, dw in (
        (a + w, [1, 1]), (a - w, [-1, -1]), (a * w, [1, 2]), (a @ w, [1, 2]), (np.float64(2) * w, [2, 2]),
        (np.add(w, a), [1, 1]), (a / w, [-1 / 9, -2 / 16]), (a[1] ** w, [8 * math.log(2), 16 * math.log(2)]),
    ):  # fmt: skip
        same(mw.grad(z.sum(), w), dw)
    for z, expected in ((a < w, a < w.numpy()), (a >= w, a >= w.numpy()), (a == w, a == w.numpy()), (a != w, a != w.numpy())):
        assert type(z) is mw.Tensor
        assert z.tolist() == expected.tolist()


def test_numpy_functions_do_not_write_to_a_tensor() -> None:
    t = mw.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        np.copyto(t, np.zeros(2))
    assert t.tolist() == [1.0, 2.0]
    out = np.zeros(2, "f4")
    out += t
    assert out.tolist() == [1.0, 2.0]


def test_lists_of_tensors_keep_their_graph() -> None:
    a, b, w = tracked(1.0), tracked(2.0), tracked()
    mse = mw.losses.MeanSquaredError()
    dense = mw.layers.Dense(1, kernel_initializer="ones")
    for z, da, db in (
        ((w * [a, b]).sum(), 3, 4),
        (([a, b] * w).sum(), 3, 4),
        (([a, 1] / w).sum(), 1 / 3, 0),
        (w @ [a, b], 3, 4),
        (mw.tensor([a, b], requires_grad=True).sum(), 1, 1),
        (mw.tensor([[a, 1.0], [2, b]])[1].sum(), 0, 1),
        (mw.tensor((a, b), dtype="float64").sum(), 1, 1),
        (mse([0.0, 0.0], [a, b]), 1, 2),
        (mse([a, b], [0.0, 0.0]), 1, 2),
        (mse([0.0, 0.0], [1.0, 1.0], [a, b]), 0.5, 0.5),
        (dense([[a, b]]).sum(), 1, 1),
        (dense([[a, 0.0], [0.0, b]]).sum(), 1, 1),
        (mw.concatenate([[a], [b]])[0], 1, 0),
        (mw.stack([[a, b], [b, b]]).sum(), 1, 3),
        (mw.pad([a, b], [(1, 1)]).sum(), 1, 1),
        (mw.maximum(w, [a, b * 3]).sum(), 0, 3),
        (mw.minimum([a, b], w).sum(), 1, 1),
        (mw.where([True, False], [a, b], w).sum(), 1, 0),
        (w.clip([a, b], None).sum() + 0 * (a + b), 0, 0),
    ):
        assert [g.item() for g in mw.grad(z, [a, b])] == pytest.approx([da, db])
    assert (w.astype("float64") * [a, 0.1]).dtype == np.float64
    same((w.astype("float64") * [a, 0.1])[1].detach(), 0.4, rtol=1e-15)
    with pytest.raises(ValueError, match="of one shape"):
        mw.tensor([[a, b], [a]])


def test_lists_of_tensors_in_a_captured_function() -> None:
    a, w = tracked(2.0), tracked()

    @mw.capture
    def step(x: mw.Tensor) -> Any:
        z = (w * [a, x.sum()]).sum()
        return z, mw.grad(z, a)

    for n in range(1, 5):
        z, da = step(np.full(2, n, "f4"))
        assert (z.item(), da.item()) == (6 + 8 * n, 3)


def test_overwriting_with_lists_of_tensors() -> None:
    t, a = mw.tensor([0.0, 0.0]), tracked(2.0)
    with pytest.raises(RuntimeError, match="to overwrite values outside the graph"):
        t[...] = [a, 1.0]
    with mw.no_grad():
        t.assign([a, 1.0])
    assert t.tolist() == [2.0, 1.0]


def test_tensors_of_tensors_stay_in_the_graph() -> None:
    w = tracked()
    same(mw.grad((mw.tensor(w) * [1.0, 2.0]).sum(), w), [1, 2])
    assert mw.tensor(w, "float64").dtype == np.float64
    same(mw.grad(mw.tensor(w, "float64").sum(), w), [1, 1])
    assert mw.tensor(w.detach(), requires_grad=True).op is None
    with mw.no_grad():
        assert mw.tensor(w, requires_grad=True).op is None


def test_numbers_out_of_a_tensor() -> None:
    loss = (tracked() / 7).sum()  # 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss.item() == loss.tolist() == 1.0
        assert f"{loss:.4f} {loss:>7.1f} {mw.tensor(3):03d}" == "1.0000     1.0 003"
        assert f"{loss}" == str(loss)
        assert (round(loss / 3, 2), round(loss), type(round(loss))) == (0.33, 1, int)
        assert (int(loss), bool(loss), float(loss.detach())) == (1, True, 1.0)
        with mw.no_grad():
            assert float(loss) == 1.0
    with pytest.warns(UserWarning, match=r"Compute with the tensor, or write \.item\(\)") as caught:
        assert float(loss) == 1.0
    assert caught[0].filename == __file__
    with pytest.raises(TypeError, match="one number to format"):
        format(tracked(), ".2f")


def test_copies_keep_the_graph_or_say_why_not() -> None:
    w = tracked()
    z = w * 2
    same(mw.grad((copy.copy(z) * z).sum(), w), [24, 32])
    for duplicate in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=THREE_PARTS + r"(?<=detach\(\)\.)"):
            duplicate(z)
    shallow, deep, pickled = copy.copy(w), copy.deepcopy(w), pickle.loads(pickle.dumps(w))
    for t in (shallow, deep, pickled):
        assert (t.requires_grad, t.op, t.tolist()) == (True, None, [3.0, 4.0])
    with mw.no_grad():
        w.assign([5.0, 6.0])
    assert (shallow.tolist(), deep.tolist(), pickled.tolist()) == ([5.0, 6.0], [3.0, 4.0], [3.0, 4.0])
    (w * 2).sum().backward()
    assert copy.deepcopy(w).grad.tolist() == pickle.loads(pickle.dumps(w)).grad.tolist() == [2.0, 2.0]
    sigmoid = mw.tensor([1.0]).sigmoid()
    assert pickle.loads(pickle.dumps(sigmoid)).tolist() == sigmoid.tolist()


def test_a_shallow_copy_shares_what_overwriting_notes() -> None:
    w = tracked()
    z = (w * w).sum()
    with mw.no_grad():
        copy.copy(w).assign(0.0)
    with pytest.raises(RuntimeError, match="to be unchanged"):
        z.backward()


# ---- arrays that their owner fills again -----------------------------------------------------------------------------


def eager_uses() -> dict[str, Callable[[mw.Tensor, Any], mw.Tensor]]:
    losses = mw.losses
    return {
        "w * a": lambda w, a: w * a, "a * w": lambda w, a: a * w, "w / a": lambda w, a: w / a, "a / w": lambda w, a: a / w,
        "w ** a": lambda w, a: w**a, "a ** w": lambda w, a: a**w, "w @ a": lambda w, a: w @ a, "a @ w": lambda w, a: a @ w,
        "maximum": lambda w, a: mw.maximum(w, a), "minimum": lambda w, a: mw.minimum(a, w),
        "clip": lambda w, a: w.clip(a, None),
        "where": lambda w, a: mw.where(a > 2, w, a) * w, "mse": lambda w, a: losses.MeanSquaredError()(a, w),
        "bce": lambda w, a: losses.BinaryCrossentropy(from_logits=True)(a, w),
        "cce": lambda w, a: losses.CategoricalCrossentropy(from_logits=True)(a.reshape(1, 2), w.reshape(1, 2)),
        "sample_weight": lambda w, a: losses.MeanSquaredError()([0.0, 0.0], w, a),
        "stack": lambda w, a: mw.stack([w, a]).square(), "frame": lambda w, a: w * memoryview(a),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(eager_uses()))
def test_a_graph_does_not_share_the_users_arrays(name: str) -> None:
    w, buffer, fn = mw.tensor([1.5, 2.5], requires_grad=True), np.array([1.0, 3.0], "f4"), eager_uses()[name]
    expected = mw.grad(fn(w, buffer.copy()).sum(), w).tolist()
    z = fn(w, buffer).sum()
    buffer[:] = [7.0, -8.0]
    assert mw.grad(z, w).tolist() == expected
    b = mw.tensor([1.0, 3.0])
    z = fn(w, b.numpy()).sum()
    b.numpy()[:] = 0
    assert mw.grad(z, w).tolist() == expected


def test_a_layer_does_not_share_the_users_arrays() -> None:
    layer, buffer = mw.layers.Dense(1, use_bias=False, input_shape=(2,)), np.empty((1, 2), "f4")
    total: Any = 0.0
    for row in ([1.0, 2.0], [10.0, 20.0]):
        buffer[:] = row
        total = total + layer(buffer).sum()
    assert mw.grad(total, layer.kernel).tolist() == [[11.0], [22.0]]
    labels, logits = np.array([0]), mw.tensor([[0.0, 0.0]], requires_grad=True)
    loss = mw.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    labels[0] = 1
    assert mw.grad(loss, logits).tolist() == [[-0.5, 0.5]]


def test_without_a_graph_arrays_are_not_copied() -> None:
    a = np.array([1.0, 2.0], "f4")
    with mw.no_grad():
        assert as_tensor(a).data is a
    assert as_tensor(a).data is not a
    assert operands(mw.tensor([1.0, 1.0]), a)[1].data is a


# ---- what is no plain array ------------------------------------------------------------------------------------------


def test_masked_elements_are_refused() -> None:
    x = np.ma.masked_array([1.0, 2.0, 1e20], mask=[0, 0, 1])
    ones = mw.tensor([1.0, 1.0, 1.0])
    for use in (mw.tensor, mw.Tensor, lambda x: ones * x, lambda x: mw.tensor([x, x]), lambda x: mw.maximum(ones, x)):
        with pytest.raises(TypeError, match=r"filled\(value\)"):
            use(x)
    same(mw.tensor(np.ma.masked_array([1.0, 2.0])), [1, 2])
    same(mw.tensor(x.filled(0.0)), [1, 2, 0])


def test_other_kinds_of_arrays() -> None:
    same(mw.tensor(np.matrix([[1.0, 2.0]])), [[1, 2]])
    sparse = pytest.importorskip("scipy.sparse").csr_matrix([[1.0, 0.0]])
    with pytest.raises(TypeError, match="toarray"):
        mw.tensor(sparse)
    pandas = pytest.importorskip("pandas")
    series, w = pandas.Series([1.0, 2.0]), tracked()
    same(mw.grad((w * series).sum(), w), [1, 2])


# ---- names that users of other libraries type ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("view", "reshape"),
        ("unsqueeze", "None"),
        ("std", "var"),
        ("cpu", "CPU"),
        ("sin", "np.sin"),
        ("zero_grad", "x.grad = None"),
    ],
)
def test_a_missing_name_says_what_to_write(name: str, way: str) -> None:
    with pytest.raises(AttributeError, match=way) as error:
        getattr(tracked(), name)
    assert error.value.name == name


def test_other_missing_names() -> None:
    with pytest.raises(AttributeError, match=r"'Tensor' object has no attribute 'nonsense'$"):
        tracked().nonsense  # noqa: B018
    assert not any(hasattr(mw.Tensor, name) for name in TENSOR_HINTS)


def test_equal_to_what_is_no_number() -> None:
    t = tracked()
    assert (t == None, t != None, t == "3") == (False, True, False)  # noqa: E711
    assert t not in [None, "a"]
