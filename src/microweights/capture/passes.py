"""What is done to a recording before it becomes a program: fewer calls, fewer passes over memory, the same bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..kernels import machine
from ..kernels.header import ENUMS, KERNELS
from ..kernels.plans import LINE
from .recorder import Block, Call, Place, plain_name

CHAIN_BLOCK = 2048  # elements that a chain works on before it goes on to the next: a few arrays of them fit the first cache


ACTIVATIONS = ENUMS["activation"]
Users = dict[Block, list[Call]]  # the calls that work on each block, in order


def improved(calls: Sequence[Call]) -> list[list[Call]]:
    """The calls of a program, step by step: one, or several as a chain."""
    calls = without_idle(calls)
    users: Users = {}
    for call in calls:
        for block in {p.block for _, p in call.places()}:
            users.setdefault(block, []).append(call)
    return chains(with_epilogues(without_copies(calls, users), users))


def without_idle(calls: Sequence[Call]) -> list[Call]:
    """The calls without those whose results nobody reads, such as a softmax of which a loss takes only the logits."""
    kept: list[Call] = []
    read: set[Block] = set()
    for call in reversed(calls):
        kernel, places = KERNELS[plain_name(call.kernel)], list(call.places())
        written = {p.block for i, p in places if i in kernel.writes}
        is_read = any(block.kind != "computed" or block in read for block in written)
        if is_read or not written or kernel.returns != "void":
            kept.append(call)
            read |= {p.block for i, p in places if i in kernel.reads}
    return kept[::-1]


def walk_of(call: Call) -> Any:
    """The mw_walk of an element-wise call; None for others."""
    last, ffi = call.arguments[-1], machine.ffi
    return last if isinstance(last, ffi.CData) and ffi.typeof(last) is ffi.typeof("mw_walk *") else None


def stride(call: Call, i: int) -> int:
    """How an element-wise call steps through argument i; the first of a walk's strides is the output's, its last argument."""
    walk = walk_of(call)
    return int(walk.stride[0 if i == len(call.arguments) - 2 else i + 1][0])


def flat_size(call: Call) -> int:
    """How many elements an element-wise call goes over in a single run through memory; 0 for others."""
    walk = walk_of(call)
    if walk is None or walk.ndim != 1 or any(stride(call, i) not in (0, 1) for i, _ in call.places()):
        return 0
    return int(walk.size)


class Chain:
    """Element-wise calls that may go over their elements together.

    A call may work on its first elements before the others have come to their last, unless one of them writes to memory that
    another goes over in another way.
    """

    def __init__(self, call: Call) -> None:
        self.calls: list[Call] = []
        self.size = flat_size(call)
        self._ways: dict[Block, set[tuple[int, int]]] = {}
        self._written: set[Block] = set()
        self.add(call)

    def takes(self, call: Call) -> bool:
        if not CHAIN_BLOCK < self.size == flat_size(call):
            return False
        for i, p in call.places():
            ways = self._ways.get(p.block)
            if ways and ways != {(p.offset, stride(call, i))} and (p.block in self._written or i in call.writes):
                return False
        return True

    def add(self, call: Call) -> None:
        self.calls.append(call)
        if self.size > CHAIN_BLOCK:
            for i, p in call.places():
                self._ways.setdefault(p.block, set()).add((p.offset, stride(call, i)))
            self._written |= {p.block for i, p in call.places() if i in call.writes}


def chains(calls: Sequence[Call]) -> list[list[Call]]:
    """The calls, with neighbours taken together that go over the same elements, if they are more than a block."""
    found: list[Chain] = []
    for call in calls:
        if found and found[-1].takes(call):
            found[-1].add(call)
        else:
            found.append(Chain(call))
    return [chain.calls for chain in found]


def without_copies(calls: Sequence[Call], users: Users) -> list[Call]:
    """The calls without the copying of whole computed blocks to outputs: these are computed in the output's memory instead."""
    kept: list[Call] = []
    for call in reversed(calls):
        if plain_name(call.kernel) == "copy" and _may_be_computed_in_place(call, users):
            source, target = call.arguments[:2]
            source.block.kind, source.block.binding = "output", target.block.binding
        else:
            kept.append(call)
    return kept[::-1]


def _may_be_computed_in_place(copy: Call, users: Users) -> bool:
    """Whether the source of a copy can be the output itself."""
    source, target = copy.arguments[:2]
    if target.block.kind != "output" or source.block.kind != "computed" or flat_size(copy) == 0:
        return False
    is_whole = all(p.offset == 0 and p.bytes == p.block.bytes == source.bytes for p in (source, target))
    return is_whole and users[target.block][0] is copy and users[source.block][-1] is copy


def arena_offsets(blocks: dict[Any, tuple[int, int, int]]) -> tuple[dict[Any, int], int]:
    """Offsets in an arena for blocks of (first moment, last moment, bytes), and the size of the arena.

    The largest choose first, each the lowest place where nobody lies who is needed at the same time.

    >>> arena_offsets({"a": (0, 1, 100), "b": (1, 2, 50), "c": (2, 3, 100)})
    ({'a': 0, 'c': 0, 'b': 128}, 192)
    """
    offsets: dict[Any, int] = {}
    taken: list[tuple[int, int, int, int]] = []
    for b, (first, last, size) in sorted(blocks.items(), key=lambda item: -item[1][2]):
        size, at = -(-size // LINE) * LINE, 0
        for begin, end, born, dead in taken:
            if born <= last and first <= dead and at < end and begin < at + size:
                at = end
        offsets[b] = at
        taken.append((at, at + size, first, last))
        taken.sort()
    return offsets, max((end for _, end, _, _ in taken), default=0)


# ---- sums, and what follows them -------------------------------------------------------------------------------------


class Epilogue(NamedTuple):
    """Where a kernel that ends with a bias and an activation has them (csrc/epilogue.h): numbers of arguments."""

    bias: int
    result: int
    norm: tuple[int, ...] = ()  # mean, variance and gamma of a normalisation in between, if it can have one
    added: int | None = None  # others that are added after the bias, likewise


def epilogue_of(call: Call) -> Epilogue | None:
    """By its prototype: a `bias`, one result, and a plan, its last argument, with an `activation`."""
    kernel, plan = KERNELS[plain_name(call.kernel)], call.arguments[-1]
    names = [p.name for p in kernel.parameters]
    if "bias" not in names or not hasattr(plan, "activation"):
        return None
    (result,) = kernel.writes
    if "added" not in names:
        return Epilogue(names.index("bias"), result)
    norm = tuple(map(names.index, ("mean", "variance", "gamma")))
    return Epilogue(names.index("bias"), result, norm, names.index("added"))


def with_epilogues(calls: Sequence[Call], users: Users) -> list[Call]:
    """The calls, with a bias and an activation that follow a sum done by its own kernel, while the sums are in registers."""
    found: list[Call] = []
    for call in calls:
        at = _sums_before(call, found, users)
        fused = None
        if at is not None:
            place = epilogue_of(found[at])
            assert place is not None
            fused = next(filter(None, (join(found[at], place, call) for join in JOINS)), None)
        if at is None or fused is None:
            found.append(call)
        else:
            found[at] = fused
    return found


BETWEEN = 3  # calls that may stand between sums and what follows them, such as the moving averages of a batch normalisation


def _sums_before(call: Call, found: list[Call], users: Users) -> int | None:
    """Where the sums are that are computed for this call alone. It may go there, if nothing in between touches its memory."""
    blocks = {p.block for _, p in call.places()}
    for at in range(len(found) - 1, max(-1, len(found) - 2 - BETWEEN), -1):
        place = epilogue_of(found[at])
        if place is not None and _is_only_for(found[at].arguments[place.result], call, users):
            return at
        if blocks & {p.block for _, p in found[at].places()}:
            return None
    return None


def _is_only_for(sums: Place, call: Call, users: Users) -> bool:
    """Whether the sums are computed for this call alone."""
    is_whole = sums.offset == 0 and sums.bytes == sums.block.bytes
    is_read_once = users[sums.block][-1] is call and sum(p.block is sums.block for _, p in call.places()) == 1
    return is_whole and sums.block.kind == "computed" and is_read_once


def _changed(call: Call, line: str, changes: dict[int, Any]) -> Call:
    arguments = tuple(changes.get(i, a) for i, a in enumerate(call.arguments))
    return Call(call.kernel, arguments, call.writes, line)


def _with_bias(sums: Call, place: Epilogue, call: Call) -> Call | None:
    """The sums with the bias that `call` adds to each of their rows; None if it does something else.

    Axes of size 1 are gone from the walk of an addition. It must go over z = C + bias row by row, over C in the same order, and
    over the bias with stride 0 from row to row and 1 from column to column.
    """
    c = sums.arguments[place.result]
    later = (place.bias, *place.norm[:1], *([] if place.added is None else [place.added]))  # what comes with the bias, or after
    is_free = not any(isinstance(sums.arguments[i], Place) for i in later) and sums.arguments[-1].activation == 0
    if plain_name(call.kernel) != "add" or not is_free:
        return None
    x, y, z, walk = call.arguments
    columns = c.shape[-1]
    rows = math.prod(c.shape[:-1])
    shape, strides = list(walk.shape)[: walk.ndim], [list(s)[: walk.ndim] for s in walk.stride][:3]
    row_major = {1: [1], 2: [columns, 1]}.get(walk.ndim)
    bias_strides = [1] if rows == 1 else [0] if columns == 1 else [0, 1]
    if shape != ([n for n in (rows, columns) if n != 1] or [1]) or row_major is None or strides[0] != row_major:
        return None
    for term, other, term_strides, other_strides in ((x, y, strides[1], strides[2]), (y, x, strides[2], strides[1])):
        is_sums = term.block is c.block and term.bytes == z.bytes == c.bytes and term.offset == 0
        if is_sums and term_strides == row_major and other_strides == bias_strides:
            return _changed(sums, call.line, {place.bias: other, place.result: z})
    return None


def _with_normalisation(sums: Call, place: Epilogue, call: Call) -> Call | None:
    """The sums normalised, column by column, as `call` does it with numbers that are there already."""
    free = [sums.arguments[i] for i in (*place.norm, place.bias)]
    plan = sums.arguments[-1]
    if (
        plain_name(call.kernel) != "normalize"
        or not place.norm
        or plan.activation != 0
        or any(isinstance(a, Place) for a in free)
    ):
        return None
    c, (x, mean, variance, gamma, bias, z, norm) = sums.arguments[place.result], call.arguments
    if not (x.block is c.block and x.offset == c.offset and x.bytes == z.bytes == c.bytes and norm.columns == c.shape[-1]):
        return None
    changed = _copy(plan)
    changed.activation, changed.epsilon = norm.activation, norm.epsilon
    given = dict(zip((*place.norm, place.bias), (mean, variance, gamma, bias), strict=True))
    return _changed(sums, call.line, {**given, place.result: z, len(sums.arguments) - 1: changed})


def _with_others(sums: Call, place: Epilogue, call: Call) -> Call | None:
    """The sums, and others of the same shape that `call` adds to them, such as those that a block of layers goes around."""
    c, plan = sums.arguments[place.result], sums.arguments[-1]
    if plain_name(call.kernel) != "add" or place.added is None or plan.activation != 0 or flat_size(call) == 0:
        return None
    if isinstance(sums.arguments[place.added], Place):
        return None
    x, y, z = call.arguments[:3]
    other = y if x.block is c.block else x
    if any(stride(call, i) != 1 for i in (0, 1)) or not x.bytes == y.bytes == z.bytes == c.bytes or x.block is y.block:
        return None
    return _changed(sums, call.line, {place.added: other, place.result: z})


def _copy(plan: Any) -> Any:
    return machine.ffi.new(machine.ffi.typeof(plan), plan[0])


def _with_activation(sums: Call, place: Epilogue, call: Call) -> Call | None:
    name, c, plan = plain_name(call.kernel), sums.arguments[place.result], sums.arguments[-1]
    if name == "linear" or name not in ACTIVATIONS or plan.activation != 0 or flat_size(call) == 0:
        return None
    x, z = call.arguments[:2]
    if not (x.offset == 0 and x.bytes == z.bytes == c.bytes and stride(call, 0) == 1):
        return None
    changed = _copy(plan)
    changed.activation = ACTIVATIONS[name]
    return _changed(sums, call.line, {place.result: z, len(sums.arguments) - 1: changed})


JOINS = (_with_bias, _with_normalisation, _with_others, _with_activation)
