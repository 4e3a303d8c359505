"""The backward walk: from a result back through the operations that made it, gradients passed from each to its inputs."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import explain
from .state import mark, no_grad, state

if TYPE_CHECKING:
    from .tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


def backward(root: Tensor, gradient: Any = None) -> None:
    """Add d root / d leaf to `.grad` of every leaf that requires it, and of tensors that were asked to retain it."""
    start = first_gradient(root, gradient)
    shared = {id(start.data)}

    def deposit(t: Tensor, dz: Tensor) -> None:
        if state.watch is not None:
            state.watch.adds |= t.grad is not None and not any(g is t for g in state.watch.given)
            state.watch.given.append(t)
        t.grad = owned(dz, shared) if t.grad is None else t.grad + dz

    with no_grad():
        for leaf, dz in walk(root, start, lambda t, dz: deposit(t, dz) if t.keeps_grad else None):
            deposit(leaf, dz)


def owned(dz: Tensor, shared: set[int]) -> Tensor:
    """A gradient as the user gets it: in memory that nobody else holds."""
    data = dz.data
    if id(data) in shared or data.base is not None or not data.flags.writeable:
        dz = dz.copy()
    shared.add(id(dz.data))
    return dz


def grad(outputs: Tensor, inputs: Tensor | Sequence[Tensor], gradient: Any = None, create_graph: bool = False) -> Any:
    """d outputs / d inputs, without touching any `.grad`.

    Parameters
    ----------
    outputs : Tensor
        A scalar, or any shape together with `gradient`.
    inputs : Tensor or sequence of Tensors
        Leaves or results, which require gradients.
    gradient : array, optional
        d result / d outputs, of the shape of `outputs`.
    create_graph : bool
        Record the gradient's own operations, so that it can be differentiated again.

    Returns
    -------
    Tensor, or a list of Tensors for a sequence
        Of the shapes of `inputs`; zeros where `outputs` does not depend on one.

    Raises
    ------
    TypeError
        If an input is no tensor.
    RuntimeError
        If an input does not require a gradient, and as :meth:`Tensor.backward`.

    Examples
    --------
    >>> import microweights as mw
    >>> x = mw.tensor(2.0, requires_grad=True)
    >>> first = mw.grad(x**3, x, create_graph=True)
    >>> first.item(), mw.grad(first, x).item()
    (12.0, 12.0)
    """
    from .tensor import Tensor

    if not isinstance(outputs, Tensor):
        raise TypeError(explain("a tensor to go back from", type(outputs).__name__, "Pass what operations on tensors gave."))
    wanted: list[Tensor] = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]  # type: ignore[list-item]
    results = set()
    for t in wanted:
        if not isinstance(t, Tensor):
            raise TypeError(explain("inputs that are tensors", type(t).__name__, "Pass the tensors themselves."))
        if not t.requires_grad:
            remedy = "Set requires_grad=True before computing with it."
            raise RuntimeError(explain("inputs that require a gradient", "one that does not", remedy))
        if t.op is not None:
            results.add(id(t))
    found: dict[int, Tensor] = {}

    def remember(t: Tensor, dz: Tensor) -> None:
        if id(t) in results:
            found[id(t)] = dz

    before, state.recording = state.recording, create_graph
    try:
        start = first_gradient(outputs, gradient)
        shared = {id(start.data)}
        for leaf, dz in walk(outputs, start, remember if results else None):
            found[id(leaf)] = dz
        gradients = [owned(found[id(t)], shared) if id(t) in found else t.zeros_like() for t in wanted]
    finally:
        state.recording = before
    return gradients if isinstance(inputs, (list, tuple)) else gradients[0]


def walk(root: Tensor, start: Tensor, visit: Callable[[Tensor, Tensor], None] | None) -> list[tuple[Tensor, Tensor]]:
    """Go back from `root`, whose gradient is `start`, to every leaf that requires one; return these with their gradients.

    Every result on the way, with its whole gradient, is shown to `visit`, the latest first.

    Why "latest first", and not simply from each tensor on to its inputs? Take

        b = a + a
        c = b + b          dc/da = 4

    c sends 1 to b twice. Were b to pass on what it has as soon as something arrives, it would send 1 to a, and later, with
    the second arrival, 2 more: 1 + 1 + 2 + 2, and a tower of such steps would cost twice as much with each floor. So a tensor
    must not be looked at before everything that was computed from it has been: a topological order. The graph has one built
    in. An operation can only use what is there already, so the order in which operations were recorded, read backward, is
    such an order. The heap gives the latest of the tensors whose gradients are pending.

    It is a loop and not a recursion: a chain of 100,000 operations is deeper than Python's stack.

    A loop over x[0], x[1], ... would fill and add as many whole gradients as x has parts. So only its first part does: that one
    gradient, which nobody else holds, gets those of the other parts added in place.
    """
    mark()
    pending = {id(root): start}
    own: set[int] = set()  # those of the pending ones that nobody else holds
    heap = [(-root.op.recorded_at, id(root), root)] if root.op else []
    leaves = [] if root.op else [root]
    while heap:
        t = heapq.heappop(heap)[2]
        op: Any = t.op
        dz: Any = pending.pop(id(t))
        if visit is not None:
            visit(t, dz)
        if op._results is not None:  # its other results have all that they will get, too
            dz = {id(t): dz}
            while heap and heap[0][0] == -op.recorded_at:
                other = heapq.heappop(heap)[2]
                dz[id(other)] = pending.pop(id(other))
                if visit is not None:
                    visit(other, dz[id(other)])
        if op.adds_in_place and op._inputs[0].requires_grad and not state.recording:
            key = id(op._inputs[0])
            if key in own:
                op.add_to(pending[key], dz)
                continue
            own.add(key)
        for x, dx in zip(op._inputs, op.gradients(t, dz)):
            if dx is None or not x.requires_grad:
                continue
            if dx.data.shape != x.data.shape:
                dx = unbroadcast(dx, x.data.shape)
            key = id(x)
            if key in pending:
                pending[key] = pending[key] + dx
            else:
                pending[key] = dx
                if x.op is None:
                    leaves.append(x)
                else:
                    heapq.heappush(heap, (-x.op.recorded_at, key, x))
    return [(leaf, pending[id(leaf)]) for leaf in leaves]


def leaves(root: Tensor) -> list[Tensor]:
    """The tensors that a result depends on, require gradients, and are no results themselves."""
    found, seen, todo = [], {id(root)}, [root]
    while todo:
        t = todo.pop()
        if t.op is None:
            found += [t] if t.requires_grad else []
            continue
        for x in t.op._inputs:
            if x.requires_grad and id(x) not in seen:
                seen.add(id(x))
                todo.append(x)
    return found


def first_gradient(root: Tensor, gradient: Any) -> Tensor:
    """The gradient to begin with: the given one, or 1 for a scalar."""
    from .tensor import Tensor, constant, tensor

    if not root.requires_grad:
        remedy = "Make a leaf with requires_grad=True, outside of no_grad."
        raise RuntimeError(explain("a result that requires a gradient", "one that does not", remedy))
    if gradient is None:
        values = root.data
        if values.size != 1:
            remedy = "Sum it first, or pass `gradient`."
            raise RuntimeError(explain("a result of one element to start from", f"shape {root.shape}", remedy))
        one = constant(1.0, values.dtype)
        return one if values.ndim == 0 else one.broadcast_to(root.shape)
    start = gradient if isinstance(gradient, Tensor) else tensor(gradient, root.dtype)
    if start.shape != root.shape or start.dtype != root.dtype:
        received = f"shape {start.shape} of {start.dtype}"
        raise RuntimeError(explain(f"a gradient of shape {root.shape} of {root.dtype}", received, "Make it like the result."))
    return start


def unbroadcast(dz: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The gradient of an operand that was broadcast: each of its elements was used several times, so sum over its uses.

    >>> from microweights.tensor import tensor
    >>> unbroadcast(tensor([[1.0, 2.0], [3.0, 4.0]]), (2,))
    tensor([4., 6.])
    """
    added = dz.ndim - len(shape)
    repeated = tuple(added + i for i, n in enumerate(shape) if n == 1 and dz.shape[added + i] != 1)
    if added < 0 or any(n != 1 and n != dz.shape[added + i] for i, n in enumerate(shape)):
        remedy = "The backward of the operation is wrong."
        raise RuntimeError(explain(f"a gradient for an operand of shape {shape}", f"shape {dz.shape}", remedy))
    return dz.sum((*range(added), *repeated)).reshape(shape)
