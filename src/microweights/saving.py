"""Weights in files, in the safetensors format: names, shapes and numbers, nothing that is executed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .errors import explain

if TYPE_CHECKING:
    from .tensor import Array


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
    content = save({name: a.copy(order="C") for name, a in arrays.items()})
    temporary = os.path.join(os.path.dirname(target), f".microweights-{os.getpid()}-{os.urandom(4).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


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
