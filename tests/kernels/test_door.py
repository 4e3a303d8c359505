"""The door refuses what C could not compute, in three parts, and forgets plans before they fill the memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from microweights.kernels import door, machine

THREE_PARTS = r"Expected .+\. Received: .+\. \S+"
INT64 = np.int64


def ones(*shape: int, dtype: Any = "f4") -> Any:
    return np.ones(shape, dtype)


@pytest.mark.parametrize(
    "work",
    [
        lambda: door.binary("add", ones(3), ones(4)),
        lambda: door.binary("add", ones(3, 2), ones(3)),
        lambda: door.ternary("squared_error_grad", ones(3), ones(1), ones(4)),
        lambda: door.compare("less", ones(3, 1, 2), ones(3)),
        lambda: door.where(ones(2, dtype=bool), ones(3), ones(3)),
        lambda: door.copy_to(ones(3), ones(4)),
        lambda: door.copy_to(ones(4, 3), ones(3)),
        lambda: door.matmul(ones(3), ones(3, 2)),
        lambda: door.matmul(ones(2, 3), ones(3)),
        lambda: door.matmul(ones(2, 3), ones(2, 3)),
        lambda: door.matmul(ones(2, 3, 4), ones(3, 4, 5)),
        lambda: door.matmul(ones(2, 3), ones(3, 4), ones(3)),
        lambda: door.matmul(ones(2, 3), ones(3, 4), ones(1)),
        lambda: door.matmul(ones(2, 3), ones(3, 4), ones(1, 4)),
        lambda: door.matmul(ones(2, 3), ones(3, 4), None, "swish"),
        lambda: door.rowwise("softmax", ones()),
        lambda: door.rowwise("softmax_grad", ones(3, 2), ones(2, 3)),
        lambda: door.cross_entropy(ones(3), ones(3, dtype=INT64)),
        lambda: door.cross_entropy(ones(3, 0), ones(3, dtype=INT64)),
        lambda: door.cross_entropy(ones(3, 4), ones(4, dtype=INT64)),
        lambda: door.cross_entropy(ones(3, 4), ones(3, 1, dtype=INT64)),
        lambda: door.cross_entropy(ones(3, 4), ones(3)),
        lambda: door.cross_entropy(ones(3, 4), ones(4, 4)),
        lambda: door.cross_entropy_grad(ones(4), ones(3, 4), ones(3, dtype=INT64)),
        lambda: door.cross_entropy_grad(ones(3, 1), ones(3, 4), ones(3, dtype=INT64)),
        lambda: door.cross_entropy_grad(ones(), ones(3, 4), ones(3, dtype=INT64)),
        lambda: door.cross_entropy_grad(ones(3), ones(3, 4), ones(3, dtype=INT64), mean=True),
    ],
)
def test_shapes_that_do_not_fit(work: Callable[[], Any], setting: str) -> None:
    with pytest.raises(ValueError, match=THREE_PARTS):
        work()


@pytest.mark.parametrize(
    "work",
    [
        lambda: door.cross_entropy_grad(ones(3), ones(3, 4), ones(2, dtype=INT64)),
        lambda: door.cross_entropy_grad(ones(3), ones(3, 4), ones(2, 4)),
        lambda: door.cross_entropy_grad(ones(3), ones(3, 4), ones(3)),
        lambda: door.cross_entropy_grad(ones(3), ones(3, 4, 2), ones(3, dtype=INT64)),
        lambda: door.cross_entropy_grad(ones(3), ones(3, 4), ones(3, 4, dtype="f8")),
    ],
)
def test_a_gradient_of_other_targets_than_the_loss(work: Callable[[], Any], setting: str) -> None:
    """C would read past their end."""
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        work()


@pytest.mark.parametrize("label", [-1, 4, 2**40, -(2**63)])
@pytest.mark.parametrize("at", [0, 5, 9])
def test_labels_that_are_no_class(label: int, at: int, setting: str) -> None:
    labels = np.zeros(20, INT64)[::2]
    labels[at] = label
    with pytest.raises(ValueError, match=rf"labels from 0 to 3\. Received: label {label} at index {at}\."):
        door.cross_entropy(ones(10, 4), labels)


@pytest.mark.parametrize("dtype", ["i4", "i8", "u1", "?", "f2", "c8", ">f4", ">f8", "O", "S1", "g"])
def test_types_that_no_kernel_takes(dtype: str, setting: str) -> None:
    if np.dtype(dtype) == np.float64:
        pytest.skip("long double is double here")
    x, real = np.zeros((3, 3), dtype), ones(3, 3)
    refused = [
        lambda: door.unary("exp", x),
        lambda: door.binary("add", x, x),
        lambda: door.binary("add", real, x),
        lambda: door.binary("add", x, real),
        lambda: door.ternary("squared_error_grad", real, real, x),
        lambda: door.compare("less", real, x),
        lambda: door.where(real > 0, real, x),
        lambda: door.copy_to(x, real),
        lambda: door.copy_to(real, x),
        lambda: door.cast(real, np.dtype(dtype)),
        lambda: door.reduce("sum", x, (0,)),
        lambda: door.arg_reduce("argmax", x, 0),
        lambda: door.matmul(real, x),
        lambda: door.matmul(real, real, x[0]),
        lambda: door.rowwise("softmax", x),
        lambda: door.cross_entropy(x, np.zeros(3, INT64)),
        lambda: door.scatter_add(x, np.zeros(3, INT64), (3, 3)),
        lambda: door.random("uniform", door.new_random_state(0), (3,), np.dtype(dtype), 0, 1),
        lambda: door.all_finite(x),
    ]
    for i, work in enumerate(refused):
        with pytest.raises(TypeError, match="Expected"):
            print("number", i, "gives", work())


def test_float32_and_float64_do_not_mix(setting: str) -> None:
    single, double, label = ones(3, 3), ones(3, 3, dtype="f8"), np.zeros(3, INT64)
    for work in [
        lambda: door.binary("add", single, double),
        lambda: door.ternary("squared_error_grad", double, single, single),
        lambda: door.where(single > 0, single, double),
        lambda: door.compare("equal", double, single),
        lambda: door.copy_to(double, single),
        lambda: door.matmul(single, double),
        lambda: door.matmul(single, single, double[0]),
        lambda: door.rowwise("softmax_grad", single, double),
        lambda: door.cross_entropy(single, double),
        lambda: door.cross_entropy_grad(double[0], single, label),
    ]:
        with pytest.raises((TypeError, ValueError), match=THREE_PARTS):
            work()


@pytest.mark.parametrize("dtype", ["f4", "i8", "u1"])
def test_a_condition_is_bool(dtype: str, setting: str) -> None:
    with pytest.raises(TypeError, match="Expected `where` to get a condition of bool"):
        door.where(ones(3, dtype=dtype), ones(3), ones(3))


@pytest.mark.parametrize("dtype", ["u8", "f2", "c16", ">i4"])
def test_casts_from_other_types(dtype: str, setting: str) -> None:
    with pytest.raises(TypeError, match="Expected `cast` to get"):
        door.cast(np.zeros(3, dtype), np.dtype("f4"))


def test_more_than_eight_axes_that_do_not_merge(setting: str) -> None:
    x = np.arange(2.0**9).reshape((2,) * 9)
    assert np.array_equal(door.binary("add", x, x), 2 * x)  # these do
    assert np.array_equal(door.unary("negative", x[..., None, :1]), -x[..., None, :1])
    with pytest.raises(ValueError, match=r"at most 8 separate axes\. Received: 9\. .*\.copy\(\)"):
        door.binary("add", x, x.T)
    assert np.array_equal(door.binary("add", x, x.T.copy()), x + x.T)


def test_a_read_only_output_is_refused(setting: str) -> None:
    out = ones(3)
    out.flags.writeable = False
    with pytest.raises(ValueError):
        door.copy_to(ones() * 2, out)
    assert np.array_equal(out, ones(3))


@pytest.mark.parametrize("name", ["negative", "max", "matmul"])
def test_strides_between_elements_are_refused_or_followed(name: str, setting: str) -> None:
    """A field of a record: 6 bytes from one float to the next."""
    x = np.zeros(50, [("x", "f4"), ("y", "i2")])["x"]
    x[...] = np.arange(50)
    answers = {
        "negative": (lambda: door.unary("negative", x), -x),
        "max": (lambda: door.reduce("max", x, (0,)), 49),
        "matmul": (lambda: door.matmul(x.reshape(5, 10), ones(10, 3)), x.reshape(5, 10) @ ones(10, 3)),
    }
    work, expected = answers[name]
    try:
        z = work()
    except (TypeError, ValueError) as refused:
        z, expected = str(refused)[:8], "Expected"
    np.testing.assert_array_equal(z, expected)


def test_arrays_off_their_alignment(setting: str) -> None:
    x = np.frombuffer(b"\0" + np.arange(50, dtype="f4").tobytes(), "f4", offset=1)
    assert not x.flags.aligned
    for call in (lambda: door.unary("negative", x), lambda: door.matmul(x.reshape(5, 10), x.reshape(10, 5))):
        with pytest.raises(ValueError, match="Copy the array first"):
            call()


def test_the_memory_of_plans_is_bounded(setting: str) -> None:
    for n in range(5000):
        door.unary("copy", np.empty(n, "f4"))
        assert len(machine.active.plans) <= 4096
    assert np.array_equal(door.unary("negative", ones(7)), -ones(7))


def test_a_plan_is_made_once(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setattr(machine.active, "plans", {})
    for _ in range(3):
        door.unary("exp", ones(3, 5))
        door.unary("exp", 2 * ones(3, 5))
    assert len(machine.active.plans) == 1
    for x in (ones(5, 3), ones(5, 3).T, ones(3, 5, dtype="f8"), ones(3, 10)[:, ::2]):
        np.testing.assert_allclose(door.unary("exp", x), np.exp(x), rtol=1e-6)
    assert len(machine.active.plans) == 5


def test_results_own_their_memory(setting: str) -> None:
    """A later call must not change an earlier result."""
    x = ones(100)
    first = door.unary("negative", x)
    kept = first.copy()
    door.unary("exp", x)
    assert np.array_equal(first, kept) and not np.shares_memory(first, x)
    assert door.contiguous(x) is x
    copy = door.contiguous(x[::2])
    assert copy.flags.c_contiguous and np.array_equal(copy, x[::2])


def test_merged_axes_walk_the_same_memory() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        shape = tuple(rng.integers(1, 4, rng.integers(0, 6)))
        x = np.zeros(shape).transpose(rng.permutation(len(shape)))
        y = np.broadcast_to(np.zeros([1 if rng.random() < 0.3 else n for n in x.shape]), x.shape)
        strides = [door.element_strides(a, x.shape) for a in (x, y)]
        sizes, merged = door.merge_axes(x.shape, strides)

        def offsets(sizes: Any, strides: Any) -> list[int]:
            return [int(np.dot(i, strides)) for i in np.ndindex(*sizes)]

        for s, m in zip(strides, merged, strict=True):
            assert offsets(x.shape, s) == offsets(sizes, m) or x.size == 1
