"""Sets of images in every form that people have on disk, and in forms that they should not have."""

from __future__ import annotations

import gzip
import pickle
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microweights.datasets import images, load_cifar10, load_cifar100, load_fashion_mnist, load_mnist

RNG = np.random.default_rng(0)
needs_debian = pytest.mark.skipif(not images.DEBIAN.is_dir(), reason="dataset-fashion-mnist is not installed")


def same(ours: Any, theirs: Any) -> bool:
    pairs = [(a, b) for part, other in zip(ours, theirs, strict=True) for a, b in zip(part, other, strict=True)]
    return all(a.dtype == b.dtype and a.shape == b.shape and (a == b).all() for a, b in pairs)


# ---- MNIST and its like ----------------------------------------------------------------------------------------------


def small_set() -> Any:
    return tuple((RNG.integers(0, 256, (n, 28, 28)).astype(np.uint8), RNG.integers(0, 10, n).astype(np.uint8)) for n in (7, 3))


def write_mnist(folder: Path, sets: Any, spelling: str = "-", ending: str = "") -> None:
    folder.mkdir(exist_ok=True)
    for part, arrays in zip(("train", "t10k"), sets, strict=True):
        for kind, array in zip(("images", "labels"), arrays, strict=True):
            content = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()
            name = f"{part}-{kind}{spelling}idx{array.ndim}-ubyte{ending}"
            (folder / name).write_bytes(gzip.compress(content) if ending else content)


@pytest.mark.parametrize("spelling", ["-", "."])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_mnist(tmp_path: Path, spelling: str, ending: str) -> None:
    sets = small_set()
    write_mnist(tmp_path, sets, spelling, ending)
    assert same(load_mnist(tmp_path), sets) and same(load_fashion_mnist(str(tmp_path)), sets)


def test_mnist_with_a_file_too_few(tmp_path: Path) -> None:
    write_mnist(tmp_path, small_set())
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"one of t10k-labels-idx1-ubyte, .*\.gz in .* none of them"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda x, y: (x, y[:-1]), "7 images and 6 labels"),
        (lambda x, y: (x[:0], y[:0]), "0 images and 0 labels"),
        (lambda x, y: (x, y + 10), "labels below 10"),
        (lambda x, y: (y, y), "begins with 00 00 08 01"),
        (lambda x, y: (x[:, :20], y), r"entries of shape \(20, 28\)"),
    ],
)
def test_mnist_that_is_none(tmp_path: Path, change: Callable[..., Any], words: str) -> None:
    train, test = small_set()
    x, y = change(*train)
    write_mnist(tmp_path, ((x, y), test))
    if x.ndim == 1:
        (tmp_path / "train-images-idx1-ubyte").rename(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(ValueError, match=words):
        load_mnist(tmp_path)


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist, load_cifar10, load_cifar100])
def test_folders_that_are_none(tmp_path: Path, load: Callable[..., Any]) -> None:
    with pytest.raises(FileNotFoundError, match=r"a folder that exists. Received: .*nowhere'. Give the folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "archive.tar.gz").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=r"a folder. Received: .*archive.tar.gz'.* unpack an archive first"):
        load(tmp_path / "archive.tar.gz")
    with pytest.raises(FileNotFoundError, match=r"one of .* in .* Received: none of them"):
        load(tmp_path)


# ---- Fashion-MNIST ---------------------------------------------------------------------------------------------------


def test_the_sample_is_balanced_and_learns() -> None:
    (x_train, y_train), (x_test, y_test) = load_fashion_mnist(sample=True)
    assert (x_train.shape, x_test.shape) == ((1000, 28, 28), (250, 28, 28)) and x_train.dtype == y_train.dtype == np.uint8
    assert np.bincount(y_train).tolist() == [100] * 10 and np.bincount(y_test).tolist() == [25] * 10
    x_train[0] = 0  # one's own, not the next caller's
    assert load_fashion_mnist(sample=True)[0][0][0].any()
    means = np.stack([x_train[y_train == label].mean(0) for label in range(10)]).reshape(10, -1)
    nearest = ((x_test.reshape(-1, 1, 784) - means) ** 2).sum(-1).argmin(1)
    assert (nearest == y_test).mean() > 0.6


@needs_debian
def test_the_whole_set_and_how_the_sample_was_taken() -> None:
    whole, sample = load_fashion_mnist(), load_fashion_mnist(sample=True)
    assert [x.shape for x, _ in whole] == [(60_000, 28, 28), (10_000, 28, 28)]
    for (x, y), (some, labels), each in zip(whole, sample, (100, 25), strict=True):
        assert np.bincount(y).tolist() == [len(y) // 10] * 10
        rows = np.sort(np.concatenate([np.flatnonzero(y == label)[:each] for label in range(10)]))
        assert (x[rows] == some).all() and (y[rows] == labels).all()


def test_the_sample_never_stands_in_for_the_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(images, "DEBIAN", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"no such folder.*dataset-fashion-mnist.*`path`.*sample=True"):
        load_fashion_mnist()
    with pytest.raises(ValueError, match="either a folder or the sample"):
        load_fashion_mnist(tmp_path, sample=True)


# ---- CIFAR -----------------------------------------------------------------------------------------------------------


def small_cifar(classes: int) -> Any:
    return tuple(
        (RNG.integers(0, 256, (n, 32, 32, 3)).astype(np.uint8), RNG.integers(0, classes, (n, 1)).astype(np.uint8))
        for n in (10, 3)
    )


def planes(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)).reshape(len(x), -1)


def batches(sets: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The training images shared out among the files, and those to test on in the last."""
    (x, y), test = sets
    shares = zip(np.split(x, len(names) - 1), np.split(y, len(names) - 1), strict=True)
    return dict(zip(names, [*shares, test], strict=True))


TEN = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


def write_cifar10(folder: Path, sets: Any, protocol: int | None, keys: type = str) -> None:
    """In the binary version, or in Python's with a protocol."""
    folder.mkdir()
    for name, (x, y) in batches(sets, TEN).items():
        if protocol is None:
            (folder / f"{name}.bin").write_bytes(np.hstack([y, planes(x)]).tobytes())
        else:
            batch = {"data": planes(x), "labels": y[:, 0].tolist(), "batch_label": "a batch", "filenames": ["x.png"] * len(x)}
            keyed: Any = {k.encode(): v for k, v in batch.items()} if keys is bytes else batch
            (folder / name).write_bytes(pickle.dumps(keyed, protocol))


@pytest.mark.parametrize("version, protocol", [("bin", None), ("py", 2), ("py", 5)])
def test_cifar10(tmp_path: Path, version: str, protocol: int | None) -> None:
    sets, folder = small_cifar(10), tmp_path / f"cifar-10-batches-{version}"
    write_cifar10(folder, sets, protocol)
    assert same(load_cifar10(folder), sets) and same(load_cifar10(tmp_path), sets)
    x = load_cifar10(folder)[0][0]
    assert x.flags.c_contiguous and x.flags.writeable


def test_cifar10_with_keys_of_bytes(tmp_path: Path) -> None:
    sets = small_cifar(10)
    write_cifar10(tmp_path / "here", sets, 3, bytes)
    assert same(load_cifar10(tmp_path / "here"), sets)


@pytest.mark.parametrize("version", ["binary", "python"])
def test_cifar100(tmp_path: Path, version: str) -> None:
    sets, folder = small_cifar(100), tmp_path / f"cifar-100-{version}"
    folder.mkdir()
    for name, (x, y) in batches(sets, ("train", "test")).items():
        if version == "binary":
            (folder / f"{name}.bin").write_bytes(np.hstack([y // 5, y, planes(x)]).tobytes())
        else:
            labels = {"fine_labels": y[:, 0].tolist(), "coarse_labels": (y[:, 0] // 5).tolist()}
            (folder / name).write_bytes(pickle.dumps({"data": planes(x), **labels}, 2))
    assert same(load_cifar100(folder), sets) and same(load_cifar100(tmp_path, "fine"), sets)
    assert same(load_cifar100(folder, label_mode="coarse"), tuple((x, y // 5) for x, y in sets))
    with pytest.raises(ValueError, match='`label_mode` "fine" or "coarse"'):
        load_cifar100(folder, "medium")


def test_cifar10_with_a_file_too_few(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "here", small_cifar(10), None)
    (tmp_path / "here" / "data_batch_4.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"one of data_batch_4.bin, data_batch_4 in"):
        load_cifar10(tmp_path / "here")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "0 images and 0 labels"),
        (b"\x00" * 3072, "whole number of images of 3073 bytes"),
        (b"\x00" * 3075, "whole number of images"),
        (b"\xff" * 3073, "labels below 10"),
    ],
)
def test_binary_batches_that_are_none(tmp_path: Path, content: bytes, words: str) -> None:
    write_cifar10(tmp_path / "here", small_cifar(10), None)
    (tmp_path / "here" / "test_batch.bin").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        load_cifar10(tmp_path / "here")


ROW = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    "batch",
    [
        [1],
        {"data": ROW},
        {"labels": [1, 2]},
        {"data": ROW[:, 1:], "labels": [1, 2]},
        {"data": ROW.tolist(), "labels": [1, 2]},
        {"data": ROW, "labels": [1]},
        {"data": ROW, "labels": [1, 10]},
        {"data": ROW, "labels": [1, -1]},
        {"data": ROW, "labels": [1, "2"]},
        {"data": ROW, "labels": (1, 2)},
        {"data": ROW.astype(np.float32), "labels": [1, 2]},
        {"data": ROW, "labels": [1, 2], "filenames": Path("x")},
    ],
)
def test_python_batches_that_are_none(tmp_path: Path, batch: Any) -> None:
    write_cifar10(tmp_path / "here", small_cifar(10), 2)
    (tmp_path / "here" / "test_batch").write_bytes(pickle.dumps(batch, 2))
    with pytest.raises(ValueError, match=r"Expected .* Received: "):
        load_cifar10(tmp_path / "here")


def test_files_of_absurd_size_are_not_read(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "here", small_cifar(10), 2)
    with open(tmp_path / "here" / "data_batch_1", "wb") as file:
        file.truncate(1 << 36)  # a hole: it takes no room
    start = time.perf_counter()
    with pytest.raises(ValueError, match="at most 268,435,456 bytes"):
        load_cifar10(tmp_path / "here")
    assert time.perf_counter() - start < 1
    shutil.rmtree(tmp_path / "here")


def test_a_whole_batch_is_read_soon(tmp_path: Path) -> None:
    x, y = RNG.integers(0, 256, (10_000, 32, 32, 3)).astype(np.uint8), RNG.integers(0, 10, (10_000, 1)).astype(np.uint8)
    write_cifar10(tmp_path / "here", ((np.repeat(x[:1], 5, 0), y[:5]), (x, y)), 2)
    start = time.perf_counter()
    assert same((load_cifar10(tmp_path / "here")[1],), ((x, y),))
    assert time.perf_counter() - start < 5
