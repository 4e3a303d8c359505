"""Rows by index: taken, and added back."""

from typing import Any

import numpy as np
import pytest

from microweights.kernels import door

INDEX = np.array([3, 0, 0, 6, 3])


@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "int32", "bool", "uint8", "complex128"])
@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 3), (7, 2, 3), (7, 0)])
def test_gather_takes_rows_of_any_type(kind: str, shape: tuple[int, ...], setting: str) -> None:
    source = np.random.default_rng(0).integers(0, 2, shape).astype(kind)
    for index in (INDEX, INDEX[::-2], INDEX[:4].reshape(2, 2), INDEX[:0], INDEX.astype("i4")):
        out = door.gather(source, index)
        assert out.dtype == source.dtype and out.shape == source[index].shape and np.array_equal(out, source[index])


def test_one_index_gives_one_row(setting: str) -> None:
    source = np.arange(14.0).reshape(7, 2)
    assert door.gather(source, np.array(3)).tolist() == [6, 7]


def test_gather_from_odd_strides(setting: str) -> None:
    source = np.arange(70.0).reshape(5, 14)[:, ::-2].T
    assert np.array_equal(door.gather(source, INDEX), source[INDEX])


@pytest.mark.parametrize("index", [[7], [-1], [0, 1, 9], [2**62], [-(2**63)], [[0], [7]]])
def test_indices_outside_are_refused(index: Any, setting: str) -> None:
    with pytest.raises(IndexError, match=r"Expected indices from 0 to 6\. Received: -?\d+\."):
        door.gather(np.ones((7, 2)), np.array(index))
    index = np.array(index)
    with pytest.raises(IndexError, match="indices from 0 to 6"):
        door.scatter_add(np.ones((*index.shape, 2)), index, (7, 2))


def test_no_row_of_an_empty_source(setting: str) -> None:
    with pytest.raises(IndexError):
        door.gather(np.ones((0, 2)), np.array([0]))
    assert door.gather(np.ones((0, 2)), np.empty(0, np.int64)).shape == (0, 2)


@pytest.mark.parametrize("kind", ["bool", *map(str, door.INTEGERS), "uint64"])
def test_integers_become_int64(kind: str, setting: str) -> None:
    limits = np.iinfo(kind) if kind != "bool" else np.iinfo("uint8")
    x = np.array([[0, 1, 1], [limits.min, min(limits.max, 2**63 - 1), 7]]).astype(kind)
    for a in (x, x.T, x[:, ::-2], x[:0], x[0, 1]):
        z = door.widen(np.asarray(a))
        assert z.dtype == np.int64 and np.array_equal(z, a.astype(np.int64))


@pytest.mark.parametrize("index", [[0.5, 1.0], [True, False, True]])
def test_indices_that_are_no_whole_numbers_are_refused(index: Any, setting: str) -> None:
    with pytest.raises((TypeError, IndexError)):
        door.gather(np.ones((7, 2)), np.array(index))


@pytest.mark.parametrize("size", [(), (1,), (5,), (2, 3), (100,), (0,)])
def test_scatter_add_adds_every_row(size: tuple[int, ...], dtype: str, setting: str) -> None:
    rng = np.random.default_rng(0)
    for index in (INDEX, INDEX[:4].reshape(2, 2), INDEX[:0], rng.integers(0, 7, 500)):
        dz = rng.normal(size=(*index.shape, *size)).astype(dtype)
        expected = np.zeros((7, *size), dtype)
        np.add.at(expected, index, dz)  # in the order of the index, too
        assert np.array_equal(door.scatter_add(dz, index, (7, *size)), expected)


def test_scatter_add_to_adds_to_what_is_there(setting: str) -> None:
    out = np.arange(14.0).reshape(7, 2)
    door.scatter_add_to(np.ones((3, 2)), np.array([6, 0, 6]), out)
    assert out[[0, 1, 6]].tolist() == [[1.0, 2.0], [2.0, 3.0], [14.0, 15.0]]
    with pytest.raises(ValueError, match="`out` to be C-contiguous"):
        door.scatter_add_to(np.ones((1, 7)), np.array([0]), out.T)


def test_scatter_add_is_the_transpose_of_gather(setting: str) -> None:
    rng = np.random.default_rng(0)
    x, dz = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))
    np.testing.assert_allclose((door.gather(x, INDEX) * dz).sum(), (x * door.scatter_add(dz, INDEX, (7, 3))).sum())


@pytest.mark.parametrize("shape", [(4, 3), (5, 2), (5,), (5, 3, 2), (6, 3)])
def test_a_gradient_that_does_not_fit_is_refused(shape: tuple[int, ...], setting: str) -> None:
    with pytest.raises(ValueError, match="Expected"):
        door.scatter_add(np.ones(shape), INDEX, (7, 3))
