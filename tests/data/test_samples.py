"""Samples on their way into a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights import losses
from microweights.data.batches import Batches
from microweights.data.classes import class_weights
from microweights.data.samples import Batch, Samples, checked_batch_size, first_of

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10)


def batches(samples: Samples, size: int, shuffle: bool = True) -> list[Batch]:
    return [samples.rows(index) for index in Batches(len(samples), size, mw.random.permutation if shuffle else None).epoch()]


def test_shuffled_batches_keep_rows_together(setting: str) -> None:
    mw.seed(1)
    samples = Samples(X, Y, 10 * Y, losses.SparseCategoricalCrossentropy())
    orders = []
    for _ in range(2):
        rows = []
        for batch in batches(samples, 3):
            assert batch.y is not None and batch.weights is not None
            assert batch.x.numpy()[:, 1].tolist() == (2 * batch.y.numpy() + 1).tolist()
            assert batch.weights.numpy().tolist() == (10 * batch.y.numpy()).tolist()
            rows += batch.y.numpy().tolist()
        orders.append(rows)
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(10)) and orders[0] != orders[1] != list(range(10))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_types(dtype: str) -> None:
    samples = Samples(X.astype("float16"), Y, Y, losses.MeanSquaredError(), np.dtype(dtype))
    assert samples.y is not None and samples.weights is not None
    assert samples.x.dtype == samples.y.dtype == samples.weights.dtype == dtype


@pytest.mark.parametrize("change", ["fortran", "strided", "byte-swapped", "read-only", "list", "float16", "tensor", "bool"])
def test_numbers_however_they_lie(setting: str, change: str) -> None:
    x: Any = X.copy()
    wide = np.zeros((20, 4), "float32")
    wide[::2, ::2] = X
    x.flags.writeable = False
    x = {
        "fortran": np.asfortranarray(X),
        "strided": wide[::2, ::2],
        "byte-swapped": X.astype(">f4"),
        "read-only": x,
        "list": X.tolist(),
        "float16": X.astype("float16"),
        "tensor": mw.tensor(X),
        "bool": X > -1,
    }[change]
    for shuffle in (False, True):
        rows = np.concatenate([b.x.numpy() for b in batches(Samples(x), 3, shuffle)])
        np.testing.assert_array_equal(rows[rows[:, 0].argsort()], X if change != "bool" else np.ones_like(X))


def test_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    samples = Samples(pandas.DataFrame(X), pandas.Series(Y[::-1], index=Y + 5), None, losses.MeanSquaredError())
    np.testing.assert_array_equal(samples.x, X)
    assert samples.y is not None and samples.y.tolist() == Y[::-1].tolist()
    with pytest.raises(TypeError, match=r"`x`: .*column 'b' of"):
        Samples(pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))


def test_columns_of_several_kinds() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({
        "float": [0.5, 1.5], "bool": [True, False], "int": [1, 2], "small": np.array([3, 4], "int8"),
        "nullable": pd.array([5, None], "Int64"), "flag": pd.array([True, None], "boolean"),
        "object": pd.Series([7, 8.5], dtype=object),
        "sparse": pd.arrays.SparseArray([0, 9]),
    })  # fmt: skip
    expected = np.array([[0.5, 1, 1, 3, 5, 1, 7, 0], [1.5, 0, 2, 4, np.nan, np.nan, 8.5, 9]])
    for dtype in ("float32", "float64"):
        x = Samples(frame, dtype=np.dtype(dtype)).x
        assert x.dtype == dtype
        np.testing.assert_array_equal(x, expected.astype(dtype))
    np.testing.assert_array_equal(mw.tensor(frame["nullable"]).numpy(), [5, np.nan])
    whole = pd.DataFrame({"a": pd.array([1, 2], "Int64"), "b": np.array([3, 4], "int8"), "c": [True, False]})
    assert Samples(whole).x.dtype == np.int64 and Samples(whole).x.tolist() == [[1, 3, 1], [2, 4, 0]]
    assert Samples(whole[["b"]]).x.dtype == np.int8
    targets = Samples(X[:2], pd.Series([True, None], dtype="boolean").fillna(False), None, losses.BinaryCrossentropy()).y
    assert targets is not None and targets.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("column", "shown"),
    [(["x", "y"], "'x' in column 'b'"), ([1, "y"], "'y' in column 'b'"), ([None, 1.0], "in column 'b'"),
     (np.array(["2020-01-01"] * 2, "datetime64[ns]"), "in column 'b'"), ([[1], [1, 2]], "in column 'b'")],
    ids=str,
)  # fmt: skip
def test_columns_that_hold_no_numbers_are_named(column: Any, shown: str) -> None:
    pd = pytest.importorskip("pandas")
    column = pd.Series(column, dtype=object if isinstance(column, list) else None)
    with pytest.raises(TypeError, match=f"`x`: Expected columns of numbers.*{shown}.*get_dummies"):
        Samples(pd.DataFrame({"a": [1, 2], "b": column}))
    with pytest.raises(TypeError, match="`y`: Expected columns of numbers"):
        Samples(X[:2], pd.Series(column, name="b"), None, losses.MeanSquaredError())
    with pytest.raises(TypeError, match="in column 'b' of category"):
        Samples(pd.DataFrame({"b": pd.Categorical(["u", "v"])}))


def test_the_caller_s_arrays_are_left_alone() -> None:
    x = X.copy()
    for batch in batches(Samples(x), 4):
        batch.x.data[...] = -1
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize(
    ("x", "error"),
    [(None, ValueError), (3.0, ValueError), ([], ValueError), (np.zeros((0, 4)), ValueError), ("text", TypeError),
     ([[1.0], [1.0, 2.0]], ValueError), (np.array([object()]), TypeError), (["a"], TypeError), (X + 1j, TypeError),
     (np.array(["2020-01-01"], "datetime64[D]"), TypeError), ({"a": 1}, ValueError), ({"a": {}}, ValueError),
     (np.array([None, 1.0]), TypeError), (np.zeros(2, [("a", "f4")]), TypeError)],
    ids=str,
)  # fmt: skip
def test_what_is_no_data(x: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Expected"):
        Samples(x)


@pytest.mark.parametrize(("y", "weights"), [(Y[:9], None), (Y, Y[:9]), (np.zeros(11), None), (Y, [1.0])])
def test_lengths_must_agree(y: Any, weights: Any) -> None:
    with pytest.raises(ValueError, match="as many rows"):
        Samples(X, y, weights, losses.MeanSquaredError())


@pytest.mark.parametrize("weights", [np.ones((10, 1)), np.ones((10, 2)), 1.0, []])
def test_weights_have_one_axis(weights: Any) -> None:
    with pytest.raises(ValueError, match="sample_weight"):
        Samples(X, Y, weights, losses.MeanSquaredError())


def test_two_to_the_31st_samples() -> None:
    """More than 32 bits can count, though of hardly any bytes: rows without columns."""
    samples = Samples(np.zeros((2**31 + 5, 0), "float32"))
    assert len(samples) == 2**31 + 5
    last = samples.part(2**31, len(samples))
    assert last.x.shape == (5, 0)


# ---- batch sizes, splits, classes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -1, 1.5, "32", True, [32], float("nan")])
def test_batch_sizes_are_checked(size: Any) -> None:
    with pytest.raises(ValueError, match="`batch_size` to be a positive integer or None"):
        checked_batch_size(size)


def test_batch_sizes() -> None:
    assert checked_batch_size(np.int64(7)) == 7 and checked_batch_size(None) is None


def test_splits_have_the_sizes_of_keras() -> None:
    """floor(n (1 - fraction)) samples are for training, the product taken exactly."""
    for n, fraction, train in [(100, 0.29, 71), (100, 0.57, 43), (100, 0.58, 42), (569, 0.2, 455), (10, 0.8, 2), (7, 0.5, 3)]:
        assert first_of(n, fraction) == train
    assert [first_of(10, fraction) for fraction in (0.2, 0.9, 0.1, 0.3, 0.01, 0.25)] == [8, 1, 9, 7, 9, 7]


@pytest.mark.parametrize("fraction", ["0.1", True, [0.1], None])
def test_splits_are_numbers(fraction: Any) -> None:
    with pytest.raises(TypeError, match="`validation_split` to be a number"):
        first_of(10, fraction)


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, 0.999, float("nan")])
def test_splits_are_checked(fraction: float) -> None:
    with pytest.raises(ValueError, match="`validation_split`"):
        first_of(3, fraction)


@pytest.mark.parametrize("y", [Y % 3, (Y % 3).astype("float32"), (Y % 3)[:, None], np.eye(3)[Y % 3]])
def test_class_weights(y: np.ndarray) -> None:
    weights = class_weights(y, {0: 1.0, 1: 2.0, 2: 0.5, 9: 7.0}, None, np.dtype("float32"))
    np.testing.assert_array_equal(weights, np.array([1, 2, 0.5], "float32")[Y % 3])
    both = class_weights(y, {0: 1.0, 1: 2.0, 2: 0.5}, np.arange(10.0), np.dtype("float64"))
    np.testing.assert_array_equal(both, np.array([1, 2, 0.5])[Y % 3] * np.arange(10))


def test_a_class_without_weight() -> None:
    with pytest.raises(ValueError, match=r"Add classes \[2\]"):
        class_weights(Y % 3, {0: 1.0, 1: 2.0}, None, np.dtype("float32"))
    with pytest.raises(ValueError, match="targets together with `class_weight`"):
        class_weights(None, {0: 1.0}, None, np.dtype("float32"))


@pytest.mark.parametrize(
    "weights", [[1.0, 2.0, 0.5], [0, 1, 2], {0: 1.0, 1: 1.0, 2: "heavy"}, {0: 1.0, 1: 1.0, 2: None}], ids=str
)
def test_class_weights_are_checked(weights: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"Expected .*class_weight"):
        class_weights(Y % 3, weights, None, np.dtype("float32"))


@pytest.mark.parametrize(
    "y",
    [
        np.array([[1.0, 1, 0], [0, 0, 0]]),  # several labels, or none
        np.array([[0, 1, 2, 0], [1, 1, 1, 2]]),  # labels of sequences
        np.array([[0, 1], [1, 0]]),  # as well, though rows look one-hot: one-hot targets come as floats
        np.eye(3)[[[0, 1], [1, 2]]],  # one-hot sequences
        np.array([[0.3, 0.7], [0.5, 0.5]]),
        np.array([[0.0, np.nan], [0.0, 1.0]]),
    ],
    ids=["several labels", "sequences", "short sequences", "one-hot sequences", "fractions", "NaN"],
)
def test_samples_without_one_class_have_no_class_weight(y: np.ndarray) -> None:
    with pytest.raises(ValueError, match="one class for each sample"):
        class_weights(y, dict.fromkeys(range(4), 1.0), None, np.dtype("float32"))


@pytest.mark.parametrize("label", [0.5, np.nan, np.inf])
def test_classes_are_whole_numbers(label: float) -> None:
    with pytest.raises(ValueError, match="whole numbers as classes"):
        class_weights(np.array([0.0, 1.0, label]), {0: 1.0, 1: 1.0}, None, np.dtype("float32"))
