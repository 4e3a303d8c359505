"""Keras's way of naming a part: by an object, or by its name in snake_case or CamelCase."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from .errors import explain

T = TypeVar("T")


def snake_case(name: str) -> str:
    """
    >>> snake_case("HeNormal"), snake_case("L1L2")
    ('he_normal', 'l1_l2')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def lookup(kind: str, identifier: Any, base: type[T], table: dict[str, Any]) -> T:
    """The object that `identifier` stands for: itself if it is one of `base`, an instance of a class, or what a name means.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor such an object.
    """
    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    if not isinstance(identifier, str):
        remedy = f"Pass a name such as {sorted(table)[0]!r}, or an object."
        raise TypeError(explain(f"{kind} by name or as a {base.__name__}", repr(identifier), remedy))
    found = table.get(identifier) or table.get(snake_case(identifier))
    if found is None:
        raise ValueError(explain(f"{kind} out of {sorted(table)}", repr(identifier), "Check the spelling."))
    made: T = found() if isinstance(found, type) else found
    return made
