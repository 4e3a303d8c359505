"""Arguments and results of a captured function: nests, taken apart to arrays and a form, and built again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..errors import CaptureError, explain
from ..kernels import door
from ..state import state
from ..tensor import Array, Tensor, as_array


class Form(NamedTuple):
    """What a nest looks like; hashable. Another form of the arguments is another program.

    Attributes
    ----------
    structure : tree.Structure or None
    leaves : tuple
        Of arguments, (shape, type) for an array, (shape, type, requires_grad) for a tensor, and any other leaf itself; of
        results, TENSOR for a tensor, and any other leaf itself.
    """

    structure: tree.Structure | None
    leaves: tuple[Any, ...]


TENSOR = "a tensor"


def form_of_arguments(arguments: Any, arrays: list[Array]) -> Form:
    """The form of arguments; their arrays go to `arrays`.

    Raises
    ------
    CaptureError
        If a leaf is neither tensor nor array, nor None, True, False or a string; or is a result that requires a gradient.
    """
    leaves: list[Any] = []
    structure = tree.flatten(arguments, leaves, is_array)
    if are_repeated(leaves):
        remedy = "Pass it once, and use it twice inside."
        raise CaptureError(explain("each tensor that requires a gradient as one argument", "one as two", remedy))
    return Form(structure, tuple([_describe(x, arrays) for x in leaves]))


def _describe(x: Any, arrays: list[Array]) -> Any:
    if type(x) is np.ndarray:
        a = x if x.dtype is door.FLOAT32 else as_array(x)
        arrays.append(a)
        return a.shape, a.dtype
    if isinstance(x, Tensor):
        if x.op is not None and state.recording:
            remedy = "Call it with x.detach(), or compute x inside."
            raise CaptureError(explain("inputs outside of any graph", "the result of an operation", remedy))
        a = x.data
        arrays.append(a)
        return a.shape, a.dtype, x.requires_grad
    if isinstance(x, (np.ndarray, list)):
        return _describe(np.asarray(as_array(x)), arrays)
    if x is None or isinstance(x, (bool, str)):
        return x
    remedy = "Pass numbers as tensors, so that a replay sees them change."
    raise CaptureError(explain("inputs that are tensors or arrays", f"{type(x).__name__} {x!r:.50}", remedy))


def are_repeated(arguments: Sequence[Any]) -> bool:
    """Whether a tensor that requires a gradient is there twice: the gradient of both is another than that of each."""
    found = [id(x) for x in arguments if isinstance(x, Tensor) and x.requires_grad]
    return len(set(found)) < len(found)


def is_array(x: Any) -> bool:
    """Whether a list, tuple or dict is to be taken as an array: a list of numbers, however nested."""
    return isinstance(x, list) and not any(map(_holds_arrays, x))


def _holds_arrays(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray, dict)) or (isinstance(x, (list, tuple)) and any(map(_holds_arrays, x)))


def with_arrays(arguments: Any, arrays: Iterable[Array]) -> Any:
    """The arguments as tensors, of the next of `arrays` each."""
    following = iter(arrays)

    def replaced(x: Any) -> Any:
        if isinstance(x, Tensor):
            return Tensor(next(following), x.requires_grad)
        return Tensor(next(following)) if isinstance(x, (np.ndarray, list)) else x

    return tree.map_structure(replaced, arguments, is_leaf=is_array)


def as_tensors(arguments: Any) -> Any:
    """The arguments with arrays as tensors; tensors stay the same."""
    return tree.map_structure(
        lambda x: Tensor(as_array(x)) if isinstance(x, (np.ndarray, list)) else x, arguments, is_leaf=is_array
    )


def tensors_in(x: Any) -> list[Tensor]:
    return [t for t in tree.leaves_of(x) if isinstance(t, Tensor)]


def form_of_results(results: Any, arrays: list[Array]) -> Form:
    """The form of results; copies of their arrays, which belong to nobody else, go to `arrays`.

    Raises
    ------
    CaptureError
        If a leaf is neither a tensor nor None, a number or a string.
    """
    leaves: list[Any] = []
    structure = tree.flatten(results, leaves)
    for x in leaves:
        if isinstance(x, Tensor):
            arrays.append(door.copied(x.data))
        elif x is not None and not isinstance(x, (bool, int, float, str)):
            remedy = "Return tensors, alone or in tuples, lists and dicts."
            raise CaptureError(explain("results that are tensors", type(x).__name__, remedy))
    return Form(structure, tuple([TENSOR if isinstance(x, Tensor) else math.nan if x != x else x for x in leaves]))


def is_same(form: Form, other: Form) -> bool:
    """Whether two results look alike: numbers are the same to the bit and of one type."""
    exact = [[(type(x), x if x is TENSOR else repr(x)) for x in f.leaves] for f in (form, other)]
    return form.structure == other.structure and exact[0] == exact[1]


def maker(form: Form) -> Callable[[Sequence[Tensor]], Any]:
    """A function that makes results of this form from their tensors."""
    structure, leaves = form
    at = [i for i, leaf in enumerate(leaves) if leaf is TENSOR]
    if structure is None and at:
        return itemgetter(0)
    if structure is not None and structure.kind in (tuple, list) and len(at) == len(leaves) and not any(structure.parts):
        return structure.kind  # tensors in a row

    def make(tensors: Sequence[Tensor]) -> Any:
        filled = list(leaves)
        for i, t in zip(at, tensors):
            filled[i] = t
        return tree.unflatten(structure, filled)

    return make
