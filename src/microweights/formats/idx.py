"""Arrays of bytes in the idx format of MNIST (LeCun, Cortes and Burges 1998), plain or compressed by gzip.

    0 0 8 axes, then the size of each axis in four bytes, the most significant first, then the bytes, the last axis fastest

8 stands for unsigned bytes; other numbers, for other types, are not read here.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import explain

__all__ = ["read_idx", "read_idx_file"]

GZIP = b"\x1f\x8b"
MOST_PER_BYTE = 1032  # that a byte of a deflate stream can stand for: 258 bytes for two bits


def read_idx_file(path: str | os.PathLike[str], *shape: int) -> NDArray[np.uint8]:
    """Read a file that holds one array of shape (any number, *shape), of bytes.

    Raises
    ------
    OSError
        If it cannot be opened.
    ValueError
        If it is not a whole idx file of that shape.
    """
    import gzip
    import zlib

    name = repr(os.fspath(path))
    with open(path, "rb") as file:
        packed = file.read(2) == GZIP
        file.seek(0)
        most = os.fstat(file.fileno()).st_size * (MOST_PER_BYTE if packed else 1)
        content: Any = gzip.GzipFile(fileobj=file) if packed else file
        try:
            array = read_idx(content, name, most, *shape)
            rest = content.read(1)  # at its end gzip compares the checksum
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _broken(name, str(error)) from None
    if rest:
        raise _broken(name, f"bytes after the {array.size:,} that its header tells of")
    return array


def read_idx(file: Any, name: str, most: int, *shape: int) -> NDArray[np.uint8]:
    """Read an array of shape (any number, *shape) from where an open file stands; `most` bytes can follow there at most."""
    axes = 1 + len(shape)
    head = file.read(4 * (1 + axes))
    if head[:4] != bytes((0, 0, 8, axes)):
        raise _broken(name, f"a file that begins with {head[:4].hex(' ') or 'nothing'} instead of 00 00 08 {axes:02x}")
    if len(head) < 4 * (1 + axes):
        raise _broken(name, "an end within its header")
    count, *found = (int(size) for size in np.frombuffer(head, ">u4", offset=4))
    if tuple(found) != shape:
        raise _broken(name, f"entries of shape {tuple(found)} instead of {shape}")
    size = count * math.prod(shape)
    if size > most:  # before memory is taken for what cannot be there
        raise _broken(name, f"a header that tells of {size:,} bytes, where there is room for {most:,}")
    array = np.empty((count, *shape), np.uint8)
    view: Any = array.reshape(-1).data
    done = 0
    while done < size:
        got = file.readinto(view[done:])
        if not got:
            raise _broken(name, f"an end after {done:,} of {size:,} bytes")
        done += got
    return array


def _broken(name: str, received: str) -> ValueError:
    return ValueError(explain(f"a whole idx file of bytes at {name}", received, "Get the file again."))


def __dir__() -> list[str]:
    return sorted(__all__)
