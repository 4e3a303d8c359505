"""Plain data comes out of pickles of every protocol, and nothing else; nothing is run."""

from __future__ import annotations

import os
import pickle
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microweights.formats.pickled import plain_data

NAME = "'a file'"
bytes_of = np.arange(12, dtype=np.uint8)
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_comes_back(protocol: int) -> None:
    value = {b"b": [1, -1, 2**70, None, True], "t": "ä\x00", 3: ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [{}, [[]]])}
    assert plain_data(pickle.dumps(value, protocol), NAME) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", [bytes_of, bytes_of.reshape(3, 4), np.asfortranarray(bytes_of.reshape(3, 4)), bytes_of[:1]])
def test_arrays_come_back(array: np.ndarray, protocol: int) -> None:
    first, again = plain_data(pickle.dumps([array, array], protocol), NAME)
    assert first.dtype == np.uint8 and first.flags.f_contiguous == array.flags.f_contiguous and first is again
    np.testing.assert_array_equal(first, array)


def test_a_batch_as_python_2_wrote_it() -> None:
    """Texts and the bytes of arrays are both strings of bytes there."""
    content = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85q\x05U\x01bq\x06\x87q\x07R"
        b"q\x08(K\x01K\x02K\x03\x86q\x09cnumpy\ndtype\nq\x0aU\x02u1q\x0bK\x00K\x01\x87q\x0cRq\x0d(K\x03U\x01|q\x0eNNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tq\x0fb\x89U\x06\x00\x7f\x80\xfe\xff\x0aq\x10tq\x11bU\x06labelsq\x12]q\x13(K\x06K\x09eu."
    )
    theirs = pickle.loads(content, encoding="latin1")
    ours = plain_data(content, NAME)
    assert ours["labels"] == theirs["labels"] == [6, 9]
    np.testing.assert_array_equal(ours["data"], theirs["data"])
    assert ours["data"].tolist() == [[0, 127, 128], [254, 255, 10]]


class Trap:
    def __init__(self, how: Any) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return self.how


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "how",
    [
        lambda file: (os.system, (f"touch {file}",)),
        lambda file: (open, (file, "w")),
        lambda file: (eval, (f"open({file!r}, 'w')",)),
        lambda file: (np.fromfile, (file,)),
        lambda file: (np.ndarray.tofile, (bytes_of, file)),
    ],
)
def test_nothing_is_run(protocol: int, how: Any, tmp_path: Path) -> None:
    file = str(tmp_path / "trap")
    with pytest.raises(ValueError, match=r"pickle of plain data at 'a file'. Received: .* nothing in it was run"):
        plain_data(pickle.dumps([1, Trap(how(file))], protocol), NAME)
    assert not os.path.exists(file)


@pytest.mark.parametrize("value", [
    *(1.5, {1}, frozenset([1]), 1j, np.float32(1), np.arange(3), np.array([None]), np.array(["u1"])),
    *(os.system, {(1, 2): 3}, Trap((list, ())), Path("x")),
])  # fmt: skip
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_other_things_are_refused(value: Any, protocol: int) -> None:
    with pytest.raises(ValueError, match="a pickle of plain data"):
        plain_data(pickle.dumps(value, protocol), NAME)


def array_of(shape: bytes, data: bytes) -> bytes:
    """An array with a state of that shape and data."""
    blank = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    return blank + b"(K\x01" + shape + b"cnumpy\ndtype\n(U\x02u1tR" + b"\x89" + data + b"tb."


def test_arrays_fit_their_bytes() -> None:
    assert plain_data(array_of(b"K\x02K\x01\x86", b"U\x02ab"), NAME).tolist() == [[97], [98]]
    wrong = [
        (b"K\x03\x85", b"U\x02ab"),  # another number of bytes
        (b"J\xff\xff\xff\xffJ\xfe\xff\xff\xff\x86", b"U\x02ab"),  # -1 × -2
        (b"\x88K\x02\x86", b"U\x02ab"),  # True × 2
        (b"K\x02", b"U\x02ab"),  # no tuple
        (b"K\x02\x85", b"]"),
        (b"(\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40K\x04t", b"U\x00"),  # 2**62 × 4
    ]
    for shape, data in wrong:
        with pytest.raises(ValueError, match="whose shape does not fit"):
            plain_data(array_of(shape, data), NAME)


@pytest.mark.parametrize("content", [
    *(b"", b".", b"\x80\x02", b"\x80\x02]", b"N", b"\xff", b"NN0.", b"(.", b"t.", b"\x86."),
    *(b"K\x01a.", b"]K\x01s.", b"]]s.", b"}]K\x01s.", b"}(K\x01u.", b"K\x01b.", b"]R.", b"K\x01K\x02R."),
    *(b"g5\n.", b"h\x05.", b"q\x00.", b"\x94.", b"\x93.", b"K\x01K\x02\x93.", b"P1\n.", b"\x97."),
    *(b"U\xff.", b"T\xff\xff\xff\x7f.", b"B\xff\xff\xff\xff.", b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",),
    *(b"\x8b\xff\xff\xff\x7f.", b"X\x01\x00\x00\x00\xff.", b"I" + b"9" * 9999 + b"\n.", b"Inine\n."),
])  # fmt: skip
def test_what_is_broken_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="a pickle of plain data"):
        plain_data(content, NAME)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 10**6), st.integers(0, 255))
def test_noise_is_a_value_error_or_plain_data(noise: bytes, place: int, byte: int) -> None:
    whole = pickle.dumps({"data": bytes_of, "labels": [1, 2, 3]}, 2)
    place %= len(whole)
    for content in (noise + b".", whole[:place] + bytes([byte]) + whole[place + 1 :], whole[:place]):
        with suppress(ValueError):
            plain_data(content, NAME)


@pytest.mark.parametrize("piece", [b"N", b"]", b"(", b"(t0", b"q\x00", b"K\x01\x85"])
def test_millions_of_instructions_end_soon(piece: bytes) -> None:
    start = time.perf_counter()
    with pytest.raises(ValueError, match="Expected a pickle"):
        plain_data(b"\x80\x02N" + piece * 5_000_000, NAME)
    assert time.perf_counter() - start < 3


def test_what_refers_to_itself_many_times_takes_no_longer() -> None:
    doubled = b"\x80\x02)" + b"q\x00h\x00\x86" * 60  # a tuple of 2**60 empty ones
    plain_data(doubled + b".", NAME)
    with pytest.raises(ValueError, match="tuple as a key"):
        plain_data(b"}" + doubled[2:] + b"Ns.", NAME)
