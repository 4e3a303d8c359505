"""Plain data out of Python's pickles without unpickling: such a file is a program, and here nobody runs it.

The standard library tells its instructions apart. Those that build dicts, lists, tuples, texts, bytes, integers and NumPy
arrays of bytes are carried out below. Of the functions that a file may name none is called: the few with which Python and
NumPy write bytes and arrays stand for a line of this file each, and every other one is refused.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import explain

__all__ = ["plain_data"]

MOST_INSTRUCTIONS = 1 << 18  # the 100,000 labels and 50,000 names of CIFAR-100 take 200,000
BYTE = np.dtype(np.uint8)
PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
FROM_BUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
NAMES = {"_codecs.encode", "numpy.dtype", "numpy.ndarray", *RECONSTRUCT, *FROM_BUFFER}


class Named(NamedTuple):
    """One of `NAMES`, that a file speaks of: no more than that name."""

    name: str


def plain_data(content: bytes, name: str) -> Any:
    """The value in a pickle, made of dicts, lists, tuples, texts, bytes, integers, booleans, None and arrays of bytes.

    Texts of Python 2 come as `str` with a letter for each byte (Latin-1).

    Raises
    ------
    ValueError
        If the pickle is not whole, holds anything else, or has more than 260,000 instructions.
    """
    import pickletools

    try:
        return _built((code.name, argument) for code, argument, _ in pickletools.genops(content))
    except (ValueError, IndexError, KeyError) as error:
        received = str(error) if isinstance(error, ValueError) else "an instruction that uses what is not there"
        remedy = "It may be cut off, or made for something else; nothing in it was run. Get the file again."
        raise ValueError(explain(f"a pickle of plain data at {name}", received, remedy)) from None


def _built(instructions: Any) -> Any:
    """What stands on the stack at the end. The names are those of `pickletools.opcodes`."""
    stack: list[Any] = []
    marks: list[int] = []  # how high the stack was
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        items, stack[start:] = stack[start:], []
        return items

    for code, argument in islice(instructions, MOST_INSTRUCTIONS):
        if code in PUSHED:
            stack.append(argument)
            continue
        match code:
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[code])
            case "MARK":
                marks.append(len(stack))
            case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_TUPLE":
                stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}[code]())
            case "LIST":
                stack.append(since_mark())
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple([stack.pop() for _ in range(int(code[-1]))][::-1]))
            case "DICT":
                stack.append(_filled({}, since_mark()))
            case "APPEND" | "APPENDS":
                items = [stack.pop()] if code == "APPEND" else since_mark()
                _a(list, stack[-1]).extend(items)
            case "SETITEM" | "SETITEMS":
                items = since_mark() if code == "SETITEMS" else [stack.pop(-2), stack.pop()]
                _filled(_a(dict, stack[-1]), items)
            case "GLOBAL":
                stack.append(_named(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                name, module = _a(str, stack.pop()), _a(str, stack.pop())
                stack.append(_named(f"{module}.{name}"))
            case "REDUCE":
                given, function = _a(tuple, stack.pop()), _a(Named, stack.pop())
                stack.append(_instead_of(function.name, given))
            case "BUILD":
                state = stack.pop()
                if stack[-1] is not BYTE:  # its state says that bytes have no order
                    _fill(_a(np.ndarray, stack[-1]), state)
            case _:
                raise ValueError(f"the instruction {code}, which makes something else")
    raise ValueError(f"more than {MOST_INSTRUCTIONS:,} instructions")


def _named(name: str) -> Named:
    if name not in NAMES:
        raise ValueError(f"the name {name[:80]!r}")
    return Named(name)


def _a(kind: type, value: Any) -> Any:
    """The value, if it is of this kind."""
    if type(value) is not kind:
        raise ValueError(f"{type(value).__name__} where {kind.__name__} is needed")
    return value


def _filled(target: dict[Any, Any], items: list[Any]) -> dict[Any, Any]:
    for key in items[::2]:
        if type(key) not in (str, bytes, int):
            raise ValueError(f"{type(key).__name__} as a key")
    target.update(zip(items[::2], items[1::2], strict=True))
    return target


def _instead_of(function: str, given: tuple[Any, ...]) -> Any:
    """What a call of this function would have made of plain data."""
    match given:
        case (str(text), "latin1") if function == "_codecs.encode":  # how Python 3 writes bytes for Python 2
            return text.encode("latin1")
        case ("u1", *_) if function == "numpy.dtype":
            return BYTE
        case (Named("numpy.ndarray"), *_) if function in RECONSTRUCT:
            return np.empty(0, BYTE)  # to be filled in by the state that follows
        case (content, dtype, shape, str(order)) if function in FROM_BUFFER:
            array = np.empty(0, BYTE)
            _fill(array, (1, shape, dtype, order == "F", content))
            return array
    raise ValueError(f"{function} of something that is not made of bytes")


def _fill(array: NDArray[np.uint8], state: Any) -> None:
    """Give an array its shape and bytes."""
    match state:
        case int(), tuple(shape), dtype, is_fortran, (str() | bytes() | bytearray()) as content if dtype is BYTE:
            data = content.encode("latin1") if isinstance(content, str) else bytes(content)  # a text where Python 2 wrote it
            if all(type(n) is int and n >= 0 for n in shape) and math.prod(shape) == len(data):
                array.__setstate__((1, shape, BYTE, bool(is_fortran), data))  # type: ignore[arg-type]
                return
    raise ValueError("an array that is not of bytes, or whose shape does not fit them")


def __dir__() -> list[str]:
    return sorted(__all__)
