"""All cases by name."""

from __future__ import annotations

from fnmatch import fnmatchcase

from ..errors import explain
from . import arrays, images, loops, matmul, steps, update
from .race import Case

CASES = {case.name: case for part in (matmul, arrays, update, steps, images, loops) for case in part.CASES}


def select(pattern: str | None) -> list[Case]:
    """The cases whose names contain the pattern, in which `*` stands for anything.

    Raises
    ------
    ValueError
        If there are none.
    """
    wanted = f"*{(pattern or '').lower()}*"
    found = [case for name, case in CASES.items() if fnmatchcase(name.lower(), wanted)]
    if not found:
        kinds = ", ".join(dict.fromkeys(name.split()[0] for name in CASES))
        raise ValueError(explain("a pattern that is part of a case's name", repr(pattern), f"There are {kinds}."))
    return found
