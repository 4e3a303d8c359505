"""Operations that take numbers out of a tensor by an index, and put them back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np

from ..errors import explain
from ..kernels import door
from ..tensor import Array, Operand, Tensor, is_basic_index, real
from .base import Op, case, one_axis, takes_symbols, with_ellipsis
from .shape import reshape, transpose

__all__ = ["Gather", "Index", "Unstack", "split", "unstack"]


class Index(Op):
    """z = x[key], for a key of integers, slices, None and Ellipsis        dx = 0, but dz at [key]"""

    is_view = True
    adds_in_place = True
    cases = [case((3, 4), key=(slice(None), 1)), case((5,), key=slice(3, 0, -1)), case((2, 3), key=(None, Ellipsis, 2))]

    def __init__(self, key: Any) -> None:
        self.key = key

    def forward(self, x: Array) -> Array:
        return np.asarray(x[with_ellipsis(self.key)])

    def backward(self, dz: Tensor) -> Any:
        return IndexGrad(self.key, self._inputs[0].shape)(dz)

    def add_to(self, dx: Tensor, dz: Tensor) -> None:
        door.add_to(dz.data, dx.data[with_ellipsis(self.key)])


class IndexGrad(Op):
    """dx = 0, but dz at [key]        d(dz) = d(dx)[key]"""

    cases = [case((3,), key=(slice(None), 1), shape=(3, 4))]

    def __init__(self, key: Any, shape: tuple[int, ...]) -> None:
        self.key, self.shape = key, shape

    def forward(self, dz: Array) -> Array:
        dx = door.zeros(self.shape, dz.dtype)
        door.copy_to(dz, dx[with_ellipsis(self.key)])
        return dx

    def backward(self, d: Tensor) -> Any:
        return Index(self.key)(d)


class Unstack(Op):
    """z₀, z₁, ... = x[0], x[1], ... along an axis        dx = [dz₀, dz₁, ...], 0 for one that nobody used"""

    is_view = True
    cases = [case((3, 2), axis=0), case((2, 3, 4), axis=1), case((2, 1), axis=1)]

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> tuple[Array, ...]:
        return tuple([x[part_at(i, self.axis)] for i in range(x.shape[self.axis])])

    def backward(self, *dz: Tensor | None) -> Any:
        used = {i: d for i, d in enumerate(dz) if d is not None}
        return UnstackGrad(self.axis, len(dz), tuple(used))(*used.values())


class UnstackGrad(Op):
    """dx = [dz₀, dz₁, ...] along an axis, 0 for one that nobody used        d(dzᵢ) = d(dx)[i]"""

    cases = [case((2,), (2,), axis=0, size=3, used=(0, 2)), case((2, 4), axis=1, size=2, used=(1,))]

    def __init__(self, axis: int, size: int, used: tuple[int, ...]) -> None:
        self.axis, self.size, self.used = axis, size, used

    def forward(self, *dz: Array) -> Array:
        shape = list(dz[0].shape)
        shape.insert(self.axis, self.size)
        dx = door.zeros(tuple(shape), dz[0].dtype)
        for i, d in zip(self.used, dz, strict=True):
            door.copy_to(d, dx[part_at(i, self.axis)])
        return dx

    def backward(self, d: Tensor) -> Any:
        parts: Any = Unstack(self.axis)(d)
        return tuple(parts[i] if need else None for i, need in zip(self.used, self.needs, strict=True))


def part_at(i: int, axis: int) -> Any:
    """The index of part `i` along an axis."""
    return (*(slice(None),) * axis, i, Ellipsis)


class Gather(Op):
    """z = x[index], the rows of these numbers        dx = 0, but dz added at [index]"""

    adds_in_place = True
    cases = [case((5, 2), index=np.array([4, 0, 4])), case((4,), index=np.array([[1, 1], [3, 0]]))]

    def __init__(self, index: Array) -> None:
        self.index = index

    def forward(self, x: Array) -> Array:
        return door.gather(door.contiguous(x), self.index)

    def backward(self, dz: Tensor) -> Any:
        return ScatterAdd(self.index, self._inputs[0].shape)(dz)

    def add_to(self, dx: Tensor, dz: Tensor) -> None:
        door.scatter_add_to(dz.data, self.index, dx.data)


class ScatterAdd(Op):
    """dx = 0, but dz added at [index]        d(dz) = d(dx)[index]"""

    cases = [case((3, 2), index=np.array([4, 0, 4]), shape=(5, 2))]

    def __init__(self, index: Array, shape: tuple[int, ...]) -> None:
        self.index, self.shape = index, shape

    def forward(self, dz: Array) -> Array:
        return door.scatter_add(dz, self.index, self.shape)

    def backward(self, d: Tensor) -> Any:
        return Gather(self.index)(d)


# ---- functions that check before they choose ----------------------------------------------------------------------


def index(x: Tensor, key: Any) -> Tensor:
    """`x[key]` for integers, slices, None, Ellipsis, and arrays or tensors of integers or bool."""
    try:
        return Index(key)(x) if is_basic_index(key) else take(x, key if isinstance(key, tuple) else (key,))
    except (IndexError, TypeError, ValueError) as error:
        remedy = "Count from 0, or from -1 backward, up to the size of each axis."
        raise IndexError(explain(f"an index into shape {x.shape}", f"{key!r} ({error})", remedy)) from None


OWN_AXIS = -1  # of a single True or False in an index


def take(x: Tensor, key: tuple[Any, ...]) -> Tensor:
    """`x[key]` where arrays or tensors are in the key: axes by slices first, then rows by numbers, as NumPy orders the axes.

    The numbers are computed by kernels, so that a captured function may choose by what it is given or computes.
    """
    found = list(chain.from_iterable(map(_index_part, key)))
    dots = [i for i, (part, _) in enumerate(found) if part is Ellipsis] or [len(found)]
    missing = x.ndim - sum(part is not None and part is not Ellipsis and size != OWN_AXIS for part, size in found)
    if len(dots) > 1 or missing < 0:
        raise IndexError("more indices than axes")
    found[dots[0] : dots[0] + 1] = [(slice(None), None)] * missing
    parts, masked = zip(*found, strict=True)
    at = [i for i, part in enumerate(parts) if isinstance(part, np.ndarray)]
    basic = tuple(p if i not in at else None if masked[i] == OWN_AXIS else slice(None) for i, p in enumerate(parts))
    x = x if basic == (slice(None),) * x.ndim else Index(basic)(x)
    chosen, sizes = [parts[i] for i in at], [x.shape[i] for i in at]
    if any(masked[i] not in (None, OWN_AXIS, size) for i, size in zip(at, sizes, strict=True)):
        raise IndexError("a mask of another shape")
    shape = np.broadcast_shapes(*(part.shape for part in chosen))
    flat: Any = None
    for part, size in zip(chosen, sizes, strict=True):
        flat = door.flat_index(flat, _spread(part, shape), size)
    others = [i for i in range(x.ndim) if i not in at]
    x = transpose(x, [*at, *others]) if at[-1] >= len(at) else x
    rows = reshape(x, (math.prod(sizes), *x.shape[len(at) :])) if len(at) > 1 else x
    z = Gather(flat)(rows)
    before = at[0] if at[-1] - at[0] == len(at) - 1 else 0  # arrays side by side stay where they are, others come first
    n = len(shape)
    return transpose(z, [*range(n, n + before), *range(n), *range(n + before, z.ndim)]) if before and n else z


def _index_part(part: Any) -> list[tuple[Any, int | None]]:
    """A part of an index as slices, None, Ellipsis or arrays of integers: a mask is one for each axis, with the axis's size."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return [(part, None)]
    values = part.data if isinstance(part, Tensor) else np.asarray(part)
    if values.size == 0 and values.dtype.kind == "f":  # an empty list
        values = values.astype(door.INT64)
    if values.dtype.kind not in "iub":
        raise IndexError(explain("indices of integers or bool", values.dtype, "Convert them with .astype('int64')."))
    if values.dtype.kind != "b":
        return [(values, None)]
    if values.ndim == 0:  # True is a new axis of size 1, False one of size 0
        return [(np.arange(int(part)), OWN_AXIS)]
    return list(zip(np.nonzero(part.numpy() if isinstance(part, Tensor) else values), values.shape, strict=True))


def _spread(part: Array, shape: tuple[int, ...]) -> Array:
    """Indices broadcast to a shape, by a kernel."""
    if part.shape == shape:
        return part
    places = np.broadcast_to(np.arange(part.size).reshape(part.shape), shape)
    return door.gather(door.contiguous(part).reshape(-1), np.ascontiguousarray(places))


def plain_index(key: Any) -> Any:
    """An index without tensors and lists; arrays are copied, so that nobody changes them before backward."""
    plain = []
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, (Tensor, np.ndarray, list)):
            part = np.array(part.numpy() if isinstance(part, Tensor) else part)
            if part.size == 0 and part.dtype.kind == "f":  # an empty list
                part = part.astype(np.int64)
            if part.dtype.kind not in "iub":
                raise IndexError(explain("indices of integers or bool", part.dtype, "Convert them with .astype('int64')."))
        plain.append(part)
    return tuple(plain) if isinstance(key, tuple) else plain[0]


@takes_symbols
def unstack(x: Operand, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts of a tensor along an axis, without the axis; no copies.

    Examples
    --------
    >>> import microweights as mw
    >>> [t.tolist() for t in mw.unstack(mw.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)]
    [[1.0, 3.0], [2.0, 4.0]]
    """
    t = x if isinstance(x, Tensor) else real(x)
    parts: Any = Unstack(one_axis(axis, t.ndim))(t)
    return parts  # type: ignore[no-any-return]


@takes_symbols
def split(x: Operand, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """A tensor in so many equal parts along an axis, or cut before the given indices; no copies.

    Raises
    ------
    ValueError
        If the axis cannot be cut into so many equal parts.
    TypeError
        If neither a number of parts nor indices are given.

    Examples
    --------
    >>> import microweights as mw
    >>> [t.tolist() for t in mw.split(mw.tensor([1.0, 2.0, 3.0, 4.0]), 2)]
    [[1.0, 2.0], [3.0, 4.0]]
    >>> [t.tolist() for t in mw.split(mw.tensor([1.0, 2.0, 3.0, 4.0]), [1, 3])]
    [[1.0], [2.0, 3.0], [4.0]]
    """
    t = x if isinstance(x, Tensor) else real(x)
    a = one_axis(axis, t.ndim)
    size = t.shape[a]
    given = np.asarray(indices_or_sections)
    if given.ndim > 1 or (given.dtype.kind not in "iu" and given.size):
        remedy = "Give the number of equal parts, or where to cut: split(x, 3), split(x, [2, 5])."
        raise TypeError(explain("`indices_or_sections` to be an integer or a list of them", repr(indices_or_sections), remedy))
    if given.ndim == 0:
        parts = int(given)
        if parts < 1 or size % parts:
            remedy = "Name a divisor of the size, or where to cut: split(x, [2, 5])."
            raise ValueError(explain(f"a number of equal parts of an axis of size {size}", parts, remedy))
        given = np.arange(1, parts) * (size // parts)
    cuts = pairwise([0, *given.tolist(), size])
    return tuple(t[(*(slice(None),) * a, slice(begin, end))] for begin, end in cuts)
