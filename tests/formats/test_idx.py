"""idx files, whole and broken."""

from __future__ import annotations

import gzip
import io
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from microweights.formats.idx import read_idx, read_idx_file

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 4)).astype(np.uint8)


def idx(array: np.ndarray, count: int | None = None) -> bytes:
    """As MNIST's authors describe it, perhaps with another count."""
    shape = (len(array) if count is None else count, *array.shape[1:])
    return struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape) + array.tobytes()


@pytest.mark.parametrize("array", [IMAGES, IMAGES[:, 0, 0], IMAGES[:0]])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_come_back(tmp_path: Path, array: np.ndarray, pack: object) -> None:
    (tmp_path / "file").write_bytes(pack(idx(array)))  # type: ignore[operator]
    read = read_idx_file(tmp_path / "file", *array.shape[1:])
    assert read.dtype == np.uint8 and read.flags.writeable
    np.testing.assert_array_equal(read, array)


def test_one_after_another() -> None:
    file = io.BytesIO(idx(IMAGES) + idx(IMAGES[:, 1]))
    np.testing.assert_array_equal(read_idx(file, "both", 100, 3, 4), IMAGES)
    np.testing.assert_array_equal(read_idx(file, "both", 100, 4), IMAGES[:, 1])


BROKEN = [
    (b"", "begins with nothing"),
    (b"PK\x03\x04", "begins with 50 4b 03 04 instead of 00 00 08 03"),
    (idx(IMAGES[:, 0]), "begins with 00 00 08 02"),
    (b"\x00\x00\x0d\x03" + idx(IMAGES)[4:], "begins with 00 00 0d 03"),
    (idx(IMAGES)[:15], "an end within its header"),
    (idx(IMAGES.transpose(0, 2, 1)), r"entries of shape \(4, 3\) instead of \(3, 4\)"),
    (idx(IMAGES)[:-1], "60 bytes"),
    (idx(IMAGES) + b"\x00", "bytes after the 60"),
    (idx(IMAGES, 2**32 - 1), "51,539,607,540 bytes, where there is room for"),
]


@pytest.mark.parametrize("content, words", BROKEN)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_broken_files_explain_themselves(tmp_path: Path, content: bytes, words: str, pack: object) -> None:
    (tmp_path / "file").write_bytes(pack(content))  # type: ignore[operator]
    with pytest.raises(ValueError, match=f"Expected a whole idx file of bytes at .*{words}.*Get the file again"):
        read_idx_file(tmp_path / "file", 3, 4)


@pytest.mark.parametrize("change", [slice(5), slice(25), slice(-9), slice(-1)])
def test_cut_gzip_files(tmp_path: Path, change: slice) -> None:
    (tmp_path / "file").write_bytes(gzip.compress(idx(IMAGES))[change])
    with pytest.raises(ValueError, match="Expected a whole idx file"):
        read_idx_file(tmp_path / "file", 3, 4)


@pytest.mark.parametrize("place", [2, 3, 12, 40, -8, -1])
def test_corrupt_gzip_files(tmp_path: Path, place: int) -> None:
    content = bytearray(gzip.compress(idx(IMAGES)))
    content[place] ^= 0xFF
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="Expected a whole idx file"):
        read_idx_file(tmp_path / "file", 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_absurd_counts_take_neither_time_nor_memory(tmp_path: Path, pack: object) -> None:
    (tmp_path / "file").write_bytes(pack(idx(np.zeros((1, 28, 28), np.uint8), 4_000_000_000)))  # type: ignore[operator]
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ValueError, match="where there is room for"):
        read_idx_file(tmp_path / "file", 28, 28)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - start < 1 and peak < 1 << 20
