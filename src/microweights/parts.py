"""Parts of a training, and what was recorded with them: setting an attribute makes that stale, and nothing else."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .state import state

if TYPE_CHECKING:
    pass

F = TypeVar("F", bound=Callable[..., Any])


class Validity:
    """Whether what was recorded is still what would be.

    Attributes
    ----------
    valid : bool
        Nothing that it rests on has changed since somebody looked; False asks for another look.
    stale : bool
        It will never hold again, as a part that took part computes something else.
    why : str
        What has changed.
    """

    __slots__ = ("__weakref__", "stale", "valid", "why")

    def __init__(self) -> None:
        self.valid, self.stale, self.why = True, False, ""

    def rests_on(self, things: Iterable[Any]) -> None:
        """From now on it notices changes of these parts and guarded tensors."""
        for thing in things:
            key = id(thing)
            if key not in _dependents:
                _dependents[key] = weakref.ref(thing, functools.partial(_forget, key)), weakref.WeakSet()
            _dependents[key][1].add(self)


_dependents: dict[int, tuple[weakref.ref[Any], weakref.WeakSet[Validity]]] = {}  # by the id of what they rest on
_MISSING = object()


def _forget(key: int, reference: Any) -> None:
    _dependents.pop(key, None)


def dependents(thing: Any) -> list[Validity]:
    """What rests on a part or a tensor."""
    found = _dependents.get(id(thing))
    try:
        return list(found[1]) if found else []
    except RuntimeError:  # another thread has just added one
        return dependents(thing)


class Part:
    """A part of a training that is no tensor: a layer, a loss, a metric, a regularizer, an optimizer.

    What a part computes depends on its attributes. A recording notes the parts that it uses (:func:`used`), and an attribute
    that is set to something else makes the programs stale that used this part, and no others.
    """

    _notes: ClassVar[frozenset[str]] = frozenset()  # attributes that no recorded computation depends on
    _own_lists: ClassVar[frozenset[str]] = frozenset()  # lists and dicts of this library's own, which say where they change

    def __setattr__(self, name: str, value: Any) -> None:
        if state.watch is None and id(self) in _dependents and name not in self._notes:
            old = self.__dict__.get(name, _MISSING)
            if old is not value and not (type(old) in _PLAIN and type(value) is type(old) and old == value):
                changed(self, f"{name!r} of {self!r} was set")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        changed(self, f"{name!r} of {self!r} was deleted")
        super().__delattr__(name)


_PLAIN = frozenset((bool, int, float, str))


def used(*parts: Part) -> None:
    """Note for a recording, if there is one, that it depends on these parts."""
    if state.watch is not None:
        state.watch.parts |= {id(part): part for part in parts}


def changed(part: Part, why: str = "") -> None:
    """What a part computes is not what it was: whatever was recorded with it is stale."""
    for validity in dependents(part):
        validity.valid, validity.stale, validity.why = False, True, why or f"{part!r} was changed"
