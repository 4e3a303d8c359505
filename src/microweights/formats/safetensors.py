"""Weights in files, in the safetensors format: names, shapes and numbers, nothing that is executed."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import explain

if TYPE_CHECKING:
    from ..tensor import Array

fcntl: Any = None
with suppress(ImportError):  # not everywhere
    import fcntl

__all__ = ["load_arrays", "save_arrays"]

_PREFIX = ".microweights-"  # of files that are about to take another's place
_OPEN_FILES = "/proc/self/fd"


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write a file whole or not at all: it is written beside the old one and then put in its place.

    Raises
    ------
    OSError
        If it cannot be written, for instance because the disk is full; what stood there before is untouched.
    """
    from safetensors.numpy import save

    target = os.path.realpath(path)  # a link stays one, and what it points to is replaced
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(explain("the path of a file", f"{os.fspath(path)!r}, which is none", "Give another path."))
    if not os.path.isdir(os.path.dirname(target)):
        raise FileNotFoundError(explain("a path in a folder that exists", repr(os.fspath(path)), "Make the folder first."))
    _write_whole(target, save({name: a.copy(order="C") for name, a in arrays.items()}))


def _write_whole(target: str, content: bytes) -> None:
    """Put a file with this content in the place of `target` at once.

    While it is written it has no name, so that nothing stays behind when the process is killed. It gets one in the last moment,
    as only a file with a name can take another's place. Where the system has no unnamed files it has one from the start.
    A file with a name that was left behind goes with the next save: the lock on it tells whether somebody still writes it.
    """
    folder = os.path.dirname(target)
    _clear_leftovers(folder)
    temporary = os.path.join(folder, f"{_PREFIX}{os.urandom(8).hex()}")
    handle = _unnamed_file(folder)
    has_name = handle is None
    if handle is None:
        handle = _named_file(temporary)
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if not has_name:
                os.link(f"{_OPEN_FILES}/{file.fileno()}", temporary, src_dir_fd=handle)  # given a folder, it follows the link
        if fcntl is None:  # where there are no locks to be held until all is done, an open file is not moved
            os.close(handle)
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    finally:
        if fcntl is not None:
            os.close(handle)


def _unnamed_file(folder: str) -> int | None:
    """A new file for writing that is in no folder yet, locked; None where there is no such thing."""
    if fcntl is None or not hasattr(os, "O_TMPFILE") or not os.path.isdir(_OPEN_FILES):
        return None
    try:
        handle = os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o666)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):  # by file system and kernel
            return None
        raise
    _lock(handle)
    return handle


def _named_file(path: str) -> int:
    """A new file for writing, locked. Made again if another process took it for left behind before it was locked."""
    while True:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        _lock(handle)
        if fcntl is None or os.fstat(handle).st_nlink:
            return handle
        os.close(handle)


def _lock(handle: int) -> None:
    if fcntl is not None:
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)


def _clear_leftovers(folder: str) -> None:
    """Delete files of saves that were killed in the moment between a name and its place."""
    if fcntl is None:
        return
    try:
        found = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(_PREFIX)]
    except OSError:  # one may write to some folders without seeing what is there
        return
    for path in found:
        with suppress(OSError):  # it is gone, somebody else's, or still being written
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(handle)


def load_arrays(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read a file of arrays.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is not a whole safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    with open(path, "rb") as file:
        content = file.read()
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        remedy = "It may be cut off, or of another format. Save the weights again."
        raise ValueError(explain(f"a whole safetensors file at {os.fspath(path)!r}", str(error), remedy)) from None


def __dir__() -> list[str]:
    return sorted(__all__)
