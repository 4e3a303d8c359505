"""Nests are taken apart and built again as they were, whatever they are made of."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microweights import tree


class Pair(NamedTuple):
    first: Any
    second: Any


NESTS = st.recursive(
    st.integers() | st.none() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3).map(OrderedDict)
        | st.tuples(inner, inner).map(lambda pair: Pair(*pair))
    ),
    max_leaves=12,
)


@given(NESTS)
def test_there_and_back(x: Any) -> None:
    leaves: list[Any] = []
    structure = tree.flatten(x, leaves)
    again = tree.unflatten(structure, leaves)
    assert again == x and type(again) is type(x)
    assert not any(isinstance(leaf, (tuple, list, dict)) for leaf in leaves)
    assert {structure: 1}[tree.flatten(again, [])] == 1
    assert tree.leaves_like(structure, x) == leaves == tree.leaves_of(x)


@given(NESTS)
def test_map_keeps_the_structure(x: Any) -> None:
    assert tree.map_structure(lambda leaf: leaf, x) == x
    seen: list[Any] = []
    tree.map_structure(lambda a, b: seen.append((a, b)), x, x)
    assert seen == [(leaf, leaf) for leaf in tree.leaves_of(x)]


def test_dicts_are_matched_by_key_and_sequences_by_place() -> None:
    assert tree.map_structure(lambda a, b: a - b, {"a": 3, "b": 5}, {"b": 1, "a": 2}) == {"a": 1, "b": 4}
    assert tree.map_structure(lambda a, b: a - b, [3, 5], (1, 2)) == [2, 3]
    assert tree.map_structure(lambda a, b: (a, b), [1], [{"any": "nest"}]) == [(1, {"any": "nest"})]


@pytest.mark.parametrize("other", [{"a": 1}, {"a": 1, "c": 2}, [1, 2], 3, {"a": 1, "b": 2, "c": 3}])
def test_dicts_of_other_keys(other: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected a dict with the keys \['a', 'b'\]"):
        tree.map_structure(lambda a, b: a, {"a": 0, "b": 0}, other)


@pytest.mark.parametrize("other", [[1], (1, 2, 3), {"a": 1, "b": 2}, 3, "ab"])
def test_sequences_of_another_length(other: Any) -> None:
    with pytest.raises(ValueError, match="Expected a tuple of 2"):
        tree.map_structure(lambda a, b: a, (0, 0), other)


def test_what_is_said_to_be_a_leaf() -> None:
    leaves: list[Any] = []
    structure = tree.flatten(([1, 2], (3,)), leaves, is_leaf=lambda x: type(x) is list)
    assert leaves == [[1, 2], 3]
    assert tree.unflatten(structure, ["a", "b"]) == ("a", ("b",))


def test_classes_of_their_own_are_made_without_their_arguments() -> None:
    class Named(list):
        def __init__(self, name: str, values: Any) -> None:
            super().__init__(values)

    class Sized(tuple):
        def __new__(cls, size: int, *values: Any) -> Any:
            return super().__new__(cls, values)

    for x in (defaultdict(list, a=1, b=[2]), Named("n", [1, 2]), Sized(2, 3, 4), OrderedDict(b=1, a=2)):
        again = tree.map_structure(lambda leaf: leaf, x)
        assert type(again) is type(x) and again == x and list(again) == list(x)
