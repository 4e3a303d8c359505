"""Indexing, overwriting, shapes, joining: against NumPy, and what every wrong call is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import same

import microweights as mw

THREE_PARTS = r"(?s)^Expected .+\. Received: .+\. \S.+"


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


@pytest.mark.parametrize(
    "key",
    [mw.tensor([0, 2]), mw.tensor([True, False, True]), mw.tensor(1), (0, mw.tensor([1, 2])), mw.tensor([[0], [1]])],
)
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
    "key",
    [
        9,
        -4,
        (0, 0, 0, 0),
        1.5,
        "a",
        np.array([0.5]),
        mw.tensor([0.5]),
        [9],
        [-9],
        np.array([True, False]),
        [0.5],
        (0, [9]),
        slice(None, None, 0),
        slice("a", None),
        ([0, 1], [0, 1, 2]),
        (..., ...),
        len,
        (None,) * 65,
    ],
    ids=lambda k: str(k)[:30].replace("\n", ""),
)
def test_wrong_indices(key: Any) -> None:
    with pytest.raises((IndexError, TypeError, ValueError), match=THREE_PARTS):
        mw.tensor(X)[key]
    t = mw.tensor(X)
    with pytest.raises((IndexError, TypeError, ValueError), match=THREE_PARTS):
        t[key] = 1.0
    same(t, X)


@pytest.mark.parametrize(
    ("key", "value"),
    [(0, np.ones(3)), (..., np.ones((2, 3, 4, 5))), ([0, 1], np.ones((3, 4, 5))), (X > 30, np.ones(2))],
)
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
    for write in (
        lambda: t.__setitem__(..., [1.0, 2.0, 3.0]),
        lambda: t.__iadd__([1.0, 2.0, 3.0]),
        lambda: t.assign(0.0),
    ):
        with pytest.raises(ValueError, match=THREE_PARTS):
            write()
        assert t.tolist() == before


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
    "shape",
    [
        (5,),
        (4, -1),
        (-1, -1),
        (-2, 3),
        (-2, -3),
        (0, -1),
        (),
        ("a",),
        (None,),
        (2.5, 2),
        (6.0,),
        (2, "3"),
        (2**62, 4),
        ((2, 3), 1),
    ],
)
def test_wrong_reshapes(shape: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        mw.tensor(np.zeros((2, 3))).reshape(*shape)


@pytest.mark.parametrize("axes", [(), (None,), (2, 0, 1), ((1, 0, 2),), ([0, 2, 1],), (-1, 0, 1), (np.int64(0), 1, 2)])
def test_transpose_like_numpy(axes: tuple[Any, ...]) -> None:
    same(mw.tensor(X).transpose(*axes), X.transpose(*axes))


@pytest.mark.parametrize(
    "axes", [(0,), (0, 1), (0, 1, 1), (0, 1, 3), (0, 1, -4), ("a", "b", "c"), (0.5, 1, 2), ("abc",), (0, 1, 2, 3)]
)
def test_wrong_transposes(axes: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        mw.tensor(X).transpose(*axes)


def test_transpose_of_scalars_and_vectors() -> None:
    assert (
        mw.tensor(1.0).T.shape == () and mw.tensor([1.0, 2.0]).T.shape == (2,) and mw.tensor([1.0]).transpose(0).shape == (1,)
    )


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 1), (-1, 3), (2.0, 3), "ab", 5, None, (2**40, 2**40), (2**62, 2, 3)])
def test_wrong_broadcasts(shape: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=THREE_PARTS):
        mw.tensor([1.0, 2.0, 3.0]).broadcast_to(shape)


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
        lambda: mw.tensor([1.0, 2.0]) * [1.0, 2.0, 3.0], lambda: mw.tensor([1.0, 2.0]) == [1.0, 2.0, 3.0],
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
    assert (
        mw.where([0, 2, 0.5], 1, 0).tolist() == [0.0, 1.0, 1.0]
        and mw.where(mw.tensor([True, False]), 1.5, 2).dtype == "float32"
    )
