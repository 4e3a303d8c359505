"""Batches that somebody else makes, and rows that are read from files."""

from __future__ import annotations

import itertools
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights.data.batches import Batches
from microweights.data.loader import Loader, PyDataset, Rows, is_beyond_memory, is_loader
from microweights.data.samples import Samples

F4 = np.dtype("float32")


class Numbered:
    """An old kind of sequence: a length and batches by their numbers."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full((2, 1), index, "float32")


class Endless(PyDataset):
    num_batches = None  # type: ignore[assignment]

    def __getitem__(self, index: int) -> Any:
        return np.full((2, 1), index, "float32")


def count(n: int) -> Any:
    return (np.full((2, 1), i, "float32") for i in range(n))


def seen(loader: Loader) -> list[int]:
    return [int(samples.x[0, 0]) for samples in loader.epoch()]


@pytest.mark.parametrize(
    "x",
    [None, [1, 2], (1, 2), {"a": 1}, "text", b"bytes", range(3), np.zeros(3), mw.tensor([1.0]), 3, 1.5, memoryview(b"ab"),
     pytest.importorskip("pandas").DataFrame({"a": [1]})],
    ids=lambda x: type(x).__name__,
)  # fmt: skip
def test_data_is_no_loader(x: Any) -> None:
    assert not is_loader(x)


@pytest.mark.parametrize(
    "x", [Numbered(), count(1), iter([1]), map(str, [1]), zip([1]), Endless()], ids=lambda x: type(x).__name__
)
def test_what_gives_batches_is_a_loader(x: Any) -> None:
    assert is_loader(x)


def test_each_epoch_of_a_sequence_begins_anew_and_may_be_shuffled() -> None:
    loader = Loader(Numbered(), Samples)
    assert loader.steps == 4 and seen(loader) == seen(loader) == [0, 1, 2, 3]
    drawn = [seen(Loader(Numbered(), Samples, draw=np.random.RandomState(s).permutation)) for s in range(3)]
    assert all(sorted(d) == [0, 1, 2, 3] for d in drawn) and len({tuple(d) for d in drawn}) > 1


def test_epochs_of_so_many_steps_go_on_and_around() -> None:
    loader = Loader(Numbered(), Samples, steps=3)
    assert [seen(loader) for _ in range(4)] == [[0, 1, 2], [3, 0, 1], [2, 3, 0], [1, 2, 3]] and loader.steps == 3
    anew = Loader(Numbered(), Samples, steps=3, goes_on=False)
    assert [seen(anew) for _ in range(2)] == [[0, 1, 2]] * 2


def test_datasets_and_generators_without_an_end() -> None:
    loader = Loader(Endless(), Samples, steps=3)
    assert loader.steps == 3 and seen(loader) + seen(loader) == [0, 1, 2, 3, 4, 5]
    loader = Loader((np.full((2, 1), i, "float32") for i in itertools.count()), Samples, steps=2)
    assert seen(loader) + seen(loader) == [0, 1, 2, 3]


def test_a_generator_that_ends_early_is_told_of() -> None:
    loader = Loader(count(4), Samples, steps=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert seen(loader) == [0, 1, 2] and not loader.is_at_end
    with pytest.warns(UserWarning, match="Your input ran out of data; interrupting training"):
        assert seen(loader) == [3]
    assert loader.is_at_end


def test_a_generator_is_good_for_one_epoch() -> None:
    loader = Loader(count(2), Samples)
    assert loader.steps is None and seen(loader) == [0, 1]
    with pytest.warns(UserWarning, match="ran out of data"):
        assert seen(loader) == []
    assert loader.is_at_end
    with pytest.raises(ValueError, match="at least one batch"):
        seen(Loader(count(0), Samples))
    with pytest.raises(ValueError, match="at least one batch"):
        seen(Loader(count(0), Samples, steps=2))


def test_hooks_of_a_dataset_are_called_around_each_epoch() -> None:
    heard: list[str] = []

    class Heard(PyDataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Any:
            heard.append("batch")
            return np.zeros((1, 1))

        def on_epoch_begin(self) -> None:
            heard.append("begin")

        def on_epoch_end(self) -> None:
            heard.append("end")

    loader = Loader(Heard(), Samples)
    for _ in range(2):
        assert len(list(loader.epoch())) == 1
    assert heard == ["begin", "batch", "end"] * 2


def test_datasets_say_what_they_lack() -> None:
    with pytest.raises(NotImplementedError, match="__len__"):
        PyDataset().num_batches  # noqa: B018
    with pytest.raises(NotImplementedError, match="__getitem__"):
        PyDataset()[0]
    assert [int(x[0, 0]) for x in itertools.islice(Endless(), 3)] == [0, 1, 2]


def test_parts_of_a_batch() -> None:
    x, y, w = np.zeros((2, 3), "float32"), np.ones((2, 1), "float32"), np.full(2, 0.5, "float32")
    for batch, parts in (
        (x, 1),
        ((x,), 1),
        ((x, y), 2),
        ([x, y], 2),
        ((x, y, w), 3),
        (({"a": x, "b": x}, y), 3),
        ([[1.0, 2.0]], 1),
    ):
        (samples,) = Loader(iter([batch]), Samples).epoch()
        assert len(samples.columns) == parts
    with pytest.raises(ValueError, match="batches x, "):
        list(Loader(iter([(x, y, w, w)]), Samples).epoch())


# ---- rows in files -----------------------------------------------------------------------------------------------------


class InFile:
    """Like an array of HDF5: it has no interface of an array, and its rows are read in ascending order."""

    def __init__(self, values: np.ndarray) -> None:
        self._values, self.shape, self.dtype = values, values.shape, values.dtype
        self.most = 0

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, key: Any) -> np.ndarray:
        assert isinstance(key, slice) or (np.diff(key) > 0).all()
        rows = self._values[key]
        self.most = max(self.most, len(rows))
        return rows


def memmap(path: Path, values: np.ndarray) -> np.memmap[Any, Any]:
    path.write_bytes(values.tobytes())
    return np.memmap(path, values.dtype, mode="r", shape=values.shape)


def test_what_is_read_batch_by_batch(tmp_path: Path) -> None:
    floats, doubles, ints = (memmap(tmp_path / t, np.ones((4, 2), t)) for t in ("float32", "float64", "uint8"))
    assert not is_beyond_memory(floats, None, None, F4) and not is_beyond_memory(ints, floats, None, F4)
    assert is_beyond_memory(doubles, None, None, F4) and is_beyond_memory(floats, ints, None, F4)
    assert is_beyond_memory({"a": np.ones(4), "b": InFile(np.ones(4))}, None, None, F4)
    assert not is_beyond_memory(doubles, None, None, np.dtype("float64"))
    torch, pandas = pytest.importorskip("torch"), pytest.importorskip("pandas")
    for x in (torch.ones(4), pandas.Series([1.0]), mw.tensor([1.0]), [[1.0], [2.0]]):
        assert not is_beyond_memory(x, None, None, F4)


def test_a_memmap_in_the_right_type_is_used_where_it_is(tmp_path: Path) -> None:
    x = memmap(tmp_path / "x", np.ones((4, 2), "float32"))
    assert np.shares_memory(Samples(x).columns[0], x)


@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_rows_are_those_of_the_array(shuffle: bool, steps: int | None) -> None:
    values = np.arange(22.0).reshape(11, 2)
    x, y = InFile(values), InFile(np.arange(11))
    found, wanted = [], []
    for given, arrays in ((x, found), (values, wanted)):
        batches = Batches(9, 4, np.random.RandomState(0).permutation if shuffle else None, steps)
        rows = Rows(given, y if given is x else np.arange(11), None).part(2, 11)
        loader = Loader(rows.in_batches(batches), Samples)
        assert loader.steps == (steps or 3)
        arrays += [s for _ in range(3) for s in loader.epoch()]
    for a, b in zip(found, wanted, strict=True):
        assert a.x.tolist() == b.x.tolist() == np.stack([2 * a.y, 2 * a.y + 1], 1).tolist()
    assert x.most <= 4


def test_rows_of_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    values = np.arange(40, dtype="float16").reshape(20, 2)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        data = file.create_dataset("x", data=values)
        assert is_beyond_memory(data, None, None, F4)
        loader = Loader(Rows(data).in_batches(Batches(20, 6, np.random.RandomState(1).permutation)), Samples)
        rows = np.concatenate([s.x for s in loader.epoch()])
    assert rows.dtype == F4 and sorted(rows.tolist()) == values.tolist() != rows.tolist()


def test_rows_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="as many rows"):
        Rows(InFile(np.ones(3)), InFile(np.ones(4)))
    with pytest.raises(ValueError, match="as many rows"):
        Rows(InFile(np.ones(0)))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "float64"])
def test_a_training_on_more_than_fits_into_memory(dtype: str, tmp_path: Path) -> None:
    """A sparse file of 16 GB: hardly any of it is ever read."""
    columns, size = 1024, 16 << 30
    rows = size // columns // np.dtype(dtype).itemsize
    for name, bytes_ in (("x", size), ("y", rows * 4)):
        with open(tmp_path / name, "wb") as file:
            file.truncate(bytes_)
    x = np.memmap(tmp_path / "x", dtype, mode="r+", shape=(rows, columns))
    x[:64], x[-64:] = 1, 2
    y = np.memmap(tmp_path / "y", "float32", mode="r", shape=(rows,))
    model = mw.Sequential([mw.layers.Dense(1)])
    model.compile(mw.optimizers.SGD(1e-6), "mse", metrics=["mae"])
    model.build((None, columns))
    tracemalloc.start()
    try:
        history = model.fit(
            x, y, batch_size=32, steps_per_epoch=4, epochs=2, shuffle=False, verbose=0, validation_split=0.5, validation_steps=2
        ).history
        assert model.predict(x, batch_size=32, steps=3).shape == (96, 1)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
    assert history["loss"][0] > 1e-6 > history["loss"][1] and history["val_loss"][0] < 1e-6  # the file is empty but at its ends
