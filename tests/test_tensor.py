"""Tensor by itself: types, Python's, NumPy's and torch's protocols, and what every wrong call is told."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

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
