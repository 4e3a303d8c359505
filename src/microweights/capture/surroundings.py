"""The Python values that a user's code depends on: what a replay cannot see change, looked at before each one.

A program holds the numbers that its function had while it was recorded. Attributes of layers, losses and metrics say when they
are set (parts.py); a number in a closure, a global, a list, or an attribute of some other object does not. So the places
where the user's functions and objects hold such values are gathered once, and compared with what they held, by identity first.
"""

from __future__ import annotations

import collections
import functools
import sys
import types
from collections.abc import Callable, Iterable
from operator import is_
from typing import Any

import numpy as np

from ..errors import warn
from ..parts import Part
from ..tables import is_table
from ..tensor import Array, Tensor

MOST_PLACES = 10_000  # a larger structure is data, not what a function computes by
MOST_BYTES = 1 << 16  # of an array or a table whose contents are looked at
MOST_FLOATS = 16  # of an array of floats that is looked at although programs read it anew: a function may take single numbers
_PLAIN = (bool, int, float, complex, str, bytes, np.generic)
_CONTAINERS = (list, tuple, dict, set, frozenset, collections.deque, collections.UserDict)
_RECORDS = ("types.SimpleNamespace", "argparse.Namespace")  # of the standard library, objects that a user fills
_MISSING = object()


class Surroundings:
    """The places in which functions and objects, and all that they refer to, hold values.

    Parameters
    ----------
    roots : functions and objects
        Of this library's own code nothing is looked at but the attributes, lists and dicts that hold what is the user's.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self._entries: list[tuple[dict[str, Any], Any, Any, str]] = []  # a dict, a key, the value there, a name for it
        self._cells: list[tuple[Any, Any, str]] = []
        self._holders: list[tuple[Any, list[Any], str]] = []  # a list, set or dict of the user's, and all that it held
        self._arrays: list[tuple[Any, Any, str]] = []  # an array, and a copy of it
        self._tables: list[tuple[Any, Any, str]] = []  # the same of pandas
        self._slots: list[tuple[Any, str, Any, str]] = []  # an object without a dict, a name, the value there
        self._sizes: list[tuple[Any, int, str]] = []  # a dict of attributes, and how many it had
        self._seen: dict[int, Any] = {}  # by id, and so kept alive
        self._todo: list[tuple[Any, str]] = [(root, _name_of(root)) for root in roots]
        while self._todo and len(self._seen) < MOST_PLACES:
            self._look_at(*self._todo.pop())
        if self._todo:
            warn(
                f"More than {MOST_PLACES:,} objects belong to what a step computes by: changes of the others are not followed."
            )

    def change(self, is_read_anew: Callable[[Array], bool] = lambda a: False) -> str | None:
        """The first place that holds something else now, by its name; None if all are as they were.

        Many floats may be data that a program reads anew, which is no change: `is_read_anew` tells.
        """
        for d, key, value, name in self._entries:
            now = d.get(key, _MISSING)
            if now is not value and not _equal(now, value):
                return name
        for d, size, name in self._sizes:
            if len(d) != size:
                return name
        for array, copy, name in self._arrays:
            if array.shape != copy.shape or array.tobytes() != copy.tobytes():
                if array.dtype.kind != "f" or array.size <= MOST_FLOATS or not is_read_anew(array):
                    return name
                copy[...] = array
        for table, copy, name in self._tables:
            if not table.equals(copy):
                return name
        for x, key, value, name in self._slots:
            if not _equal(getattr(x, key, _MISSING), value):
                return name
        for cell, value, name in self._cells:
            now = _content(cell)
            if now is not value and not _equal(now, value):
                return name
        for holder, parts, name in self._holders:
            held = _held_by(holder)
            if len(held) != len(parts) or not (all(map(is_, held, parts)) or all(map(_equal, held, parts))):
                return name
        return None

    # ---- gathering -----------------------------------------------------------------------------------------------

    def _look_at(self, x: Any, name: str) -> None:
        if x is None or isinstance(x, (*_PLAIN, Tensor, types.BuiltinFunctionType)) or id(x) in self._seen:
            return
        self._seen[id(x)] = x
        if isinstance(x, np.ndarray):
            if x.dtype.kind in "fiub" and x.dtype != np.uint64 and x.nbytes <= MOST_BYTES:  # states of random numbers move on
                self._arrays.append((x, x.copy(), name))
            return
        if type(x).__module__.partition(".")[0] == "pandas" and is_table(x):
            if x.size * 8 <= MOST_BYTES:
                self._tables.append((x, x.copy(), name))
            return
        if isinstance(x, _CONTAINERS):
            if not isinstance(x, (tuple, frozenset)):
                self._holders.append((x, _held_by(x), name))
            self._todo += [(part, name) for part in _held_by(x)]
        elif isinstance(x, functools.partial):
            self._todo += [(x.func, name), (x.args, name), (x.keywords, name)]
        elif isinstance(x, types.MethodType):
            self._todo += [(x.__func__, name), (x.__self__, name)]
        elif isinstance(x, types.FunctionType):
            if not _is_foreign(x.__module__):
                self._look_into(x, name)
        elif isinstance(x, type):
            if not _is_foreign(x.__module__):
                self._note_all(dict(vars(x)), vars(x), name)  # type: ignore[arg-type]
        elif isinstance(x, Part):
            left_out, is_foreign = x._notes | x._own_lists, _is_foreign(type(x).__module__)
            for key, value in vars(x).items():
                if key in left_out:
                    continue
                if is_foreign:  # such an attribute says itself when it is set; what its lists and objects hold does not
                    self._todo.append((value, f"{name}.{key}"))
                else:  # and a step of the user's may set it itself
                    self._note(vars(x), key, value, f"{name}.{key}")
            self._todo += [(base, base.__name__) for base in type(x).__mro__]
        elif isinstance(x, types.ModuleType):
            return
        elif f"{type(x).__module__}.{type(x).__name__}" in _RECORDS or not _is_foreign(type(x).__module__):
            if hasattr(x, "__dict__"):
                self._note_all(vars(x), vars(x), name)
            for base in type(x).__mro__:
                for slot in _slots_of(base):
                    value = getattr(x, slot, _MISSING)
                    self._slots.append((x, slot, value, f"{name}.{slot}"))
                    self._todo.append((value, f"{name}.{slot}"))
            self._todo += [(base, base.__name__) for base in type(x).__mro__]

    def _note_all(self, found: dict[str, Any], place: dict[str, Any], name: str) -> None:
        self._sizes.append((place, len(found), name))
        for key, value in found.items():
            if not key.startswith("__") or isinstance(value, types.FunctionType):
                self._note(place, key, value, f"{name}.{key}")

    def _note(self, place: dict[str, Any], key: str, value: Any, name: str) -> None:
        if not isinstance(value, (property, classmethod, staticmethod)):
            self._entries.append((place, key, value, name))
        if isinstance(value, property):
            value = value.fget
        self._todo.append((value.__func__ if isinstance(value, (classmethod, staticmethod)) else value, name))

    def _look_into(self, f: types.FunctionType, name: str) -> None:
        """What a function of the user's refers to: closure, defaults, and the globals and attributes of modules it names."""
        for variable, cell in zip(f.__code__.co_freevars, f.__closure__ or ()):
            value = _content(cell)
            self._cells.append((cell, value, f"{variable!r} in {name}"))
            self._todo.append((value, variable))
        self._todo += [(f.__defaults__, name), (f.__kwdefaults__, name)]
        names = _names_in(f.__code__)
        for variable in names:
            if variable in f.__globals__:
                value = f.__globals__[variable]
                self._note(f.__globals__, variable, value, f"the global {variable!r}")
                self._look_into_module(value, variable, names)
            else:
                self._look_into_module(sys.modules.get(variable), variable, names)  # which the function itself imports

    def _look_into_module(self, module: Any, name: str, names: set[str]) -> None:
        """The attributes that a function names of a module of the user's, and of modules in it."""
        if isinstance(module, types.ModuleType) and not _is_foreign(module.__name__):
            for attribute in names & vars(module).keys():
                value = vars(module)[attribute]
                self._note(vars(module), attribute, value, f"{name}.{attribute}")
                if value is not module:
                    self._look_into_module(value, f"{name}.{attribute}", names - {attribute})


def _slots_of(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return tuple(s for s in ((slots,) if isinstance(slots, str) else slots) if not s.startswith("__"))


def _names_in(code: types.CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names_in(constant)
    return found


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that has no value yet
        return _MISSING


def _held_by(holder: Any) -> list[Any]:
    return [*holder, *holder.values()] if isinstance(holder, dict) else [*holder]


def _equal(a: Any, b: Any) -> bool:
    """Whether two plain values are the same; other objects are only if they are one."""
    return a is b or (type(a) is type(b) and isinstance(a, _PLAIN) and bool(a == b or (a != a and b != b)))


def _name_of(x: Any) -> str:
    return str(getattr(x, "__name__", None) or type(x).__name__)


@functools.cache
def _is_foreign(module: str | None) -> bool:
    """Whether a module belongs to this library, the standard library or an installed package, and so is not the user's."""
    root = (module or "").partition(".")[0]
    if root in ("microweights", "builtins") or root in sys.stdlib_module_names - {"__main__"}:
        return True
    path = getattr(sys.modules.get(root), "__file__", None) or ""
    return "site-packages" in path or "dist-packages" in path
