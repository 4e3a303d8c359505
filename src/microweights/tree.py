"""Nests of values: tuples, lists, dicts and named tuples, flattened to a list of leaves and built again.

Whatever is none of these is a leaf. Arguments and results of captured functions, inputs and outputs of layers, and the data of
a training are nests, and this is the one place that takes them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .errors import explain


class Structure(NamedTuple):
    """A nest without its leaves; hashable. A leaf by itself has the structure None."""

    kind: type
    keys: tuple[Any, ...] | None  # of a dict
    parts: tuple[Structure | None, ...]


def flatten(x: Any, leaves: list[Any], is_leaf: Callable[[Any], bool] | None = None) -> Structure | None:
    """Append the leaves of a nest to `leaves`, from the first to the last, and return its structure.

    Parameters
    ----------
    x : nest
    leaves : list
    is_leaf : function, optional
        Says of a tuple, list or dict that it is to be taken as a leaf.

    Examples
    --------
    >>> leaves = []
    >>> structure = flatten({"a": 1, "b": (2, [3])}, leaves)
    >>> leaves, unflatten(structure, [10, 20, 30])
    ([1, 2, 3], {'a': 10, 'b': (20, [30])})
    """
    kind = type(x)
    if not isinstance(x, (tuple, list, dict)) or (is_leaf is not None and is_leaf(x)):
        leaves.append(x)
        return None
    if isinstance(x, dict):
        return Structure(kind, tuple(x), tuple([flatten(v, leaves, is_leaf) for v in x.values()]))
    return Structure(kind, None, tuple([flatten(v, leaves, is_leaf) for v in x]))


def leaves_of(x: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a nest, from the first to the last."""
    leaves: list[Any] = []
    flatten(x, leaves, is_leaf)
    return leaves


def paths(structure: Structure | None) -> list[tuple[Any, ...]]:
    """Where each leaf stands: the keys and places that lead to it, from the first leaf to the last.

    Examples
    --------
    >>> paths(flatten({"a": 1, "b": (2, [3])}, []))
    [('a',), ('b', 0), ('b', 1, 0)]
    """
    if structure is None:
        return [()]
    keys = range(len(structure.parts)) if structure.keys is None else structure.keys
    return [(key, *rest) for key, part in zip(keys, structure.parts, strict=True) for rest in paths(part)]


def unflatten(structure: Structure | None, leaves: Iterable[Any]) -> Any:
    """The nest of this structure with these leaves."""
    return _build(structure, iter(leaves))


def _build(structure: Structure | None, leaves: Iterator[Any]) -> Any:
    if structure is None:
        return next(leaves)
    kind, keys, parts = structure
    values = [_build(part, leaves) for part in parts]
    if issubclass(kind, tuple):  # such as a named tuple, which takes its parts one by one
        return tuple.__new__(kind, values)
    made: Any = kind.__new__(kind)  # without the arguments that a class of its own may take
    if keys is None:
        made.extend(values)
    else:
        made.update(zip(keys, values))
    return made


def map_structure(fn: Callable[..., Any], x: Any, *others: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The nest of `fn(leaf, ...)` for each leaf of `x` and what stands at its place in the others.

    Raises
    ------
    ValueError
        If the others are no nests of the structure of `x`; the order of keys in a dict does not matter.

    Examples
    --------
    >>> map_structure(lambda a, b: a + b, (1, {"x": 2}), (10, {"x": 20}))
    (11, {'x': 22})
    """
    leaves: list[Any] = []
    structure = flatten(x, leaves, is_leaf)
    columns = [leaves, *(leaves_like(structure, other) for other in others)]
    return unflatten(structure, [fn(*row) for row in zip(*columns, strict=True)])


def leaves_like(structure: Structure | None, x: Any) -> list[Any]:
    """What stands in `x` at the places of the leaves of a structure.

    Raises
    ------
    ValueError
        If `x` has other places; lists and tuples stand for each other, and the order of keys in a dict does not matter.
    """
    if structure is None:
        return [x]
    kind, keys, parts = structure
    if keys is not None:
        if not isinstance(x, dict) or set(x) != set(keys):
            received = f"keys {list(x)}" if isinstance(x, dict) else repr(type(x).__name__)
            raise ValueError(explain(f"a dict with the keys {list(keys)}", received, "Name each part once."))
        values = [x[key] for key in keys]
    elif not isinstance(x, (tuple, list)) or len(x) != len(parts):
        received = f"{type(x).__name__} of {len(x)}" if isinstance(x, (tuple, list, dict)) else repr(type(x).__name__)
        raise ValueError(explain(f"a {kind.__name__} of {len(parts)}", received, "Give each part its place."))
    else:
        values = list(x)
    return [leaf for part, value in zip(parts, values, strict=True) for leaf in leaves_like(part, value)]
