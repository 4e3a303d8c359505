"""The Python values that a user's code depends on: what a replay cannot see change, looked at before each one.

A program holds the numbers that its function had while it was recorded. Attributes of layers, losses and metrics say when they
are set (graph.Part); a number in a closure, a global, a list, or an attribute of some other object does not. So the places
where the user's functions and objects hold such values are gathered once, and compared with what they held, by identity first.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterable
from operator import is_
from typing import Any

import numpy as np

from .graph import Part
from .tensor import Tensor

MOST_PLACES = 10_000  # a larger structure is data, not what a function computes by
_PLAIN = (bool, int, float, complex, str, bytes, np.generic)
_CONTAINERS = (list, tuple, dict, set, frozenset)
_RECORDS = (types.SimpleNamespace,)  # of the standard library, objects that a user fills
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
        self._seen: dict[int, Any] = {}  # by id, and so kept alive
        self._todo: list[tuple[Any, str]] = [(root, _name_of(root)) for root in roots]
        while self._todo and len(self._seen) < MOST_PLACES:
            self._look_at(*self._todo.pop())

    def change(self) -> str | None:
        """The first place that holds something else now, by its name; None if all are as they were."""
        for d, key, value, name in self._entries:
            now = d.get(key, _MISSING)
            if now is not value and not _equal(now, value):
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
        if x is None or isinstance(x, (*_PLAIN, Tensor, np.ndarray, types.BuiltinFunctionType)) or id(x) in self._seen:
            return
        self._seen[id(x)] = x
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
        elif hasattr(x, "__dict__") and (isinstance(x, _RECORDS) or not _is_foreign(type(x).__module__)):
            self._note_all(vars(x), vars(x), name)
            self._todo += [(base, base.__name__) for base in type(x).__mro__]

    def _note_all(self, found: dict[str, Any], place: dict[str, Any], name: str) -> None:
        for key, value in found.items():
            if not key.startswith("__"):
                self._note(place, key, value, f"{name}.{key}")

    def _note(self, place: dict[str, Any], key: str, value: Any, name: str) -> None:
        if not isinstance(value, (property, classmethod, staticmethod)):
            self._entries.append((place, key, value, name))
        self._todo.append((getattr(value, "fget", None) or getattr(value, "__func__", value), name))

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
                if isinstance(value, types.ModuleType) and not _is_foreign(value.__name__):
                    for attribute in names & vars(value).keys():
                        self._note(vars(value), attribute, vars(value)[attribute], f"{variable}.{attribute}")


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
    return a is b or (type(a) is type(b) and isinstance(a, _PLAIN) and bool(a == b or a != a) and bool(b == b or a != a))


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
