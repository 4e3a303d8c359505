"""Checking gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from .autograd import grad
from .errors import explain
from .ops import concatenate
from .tensor import FLOATS, Operand, Tensor, tensor


def gradcheck(
    fn: Callable[..., Any], inputs: Sequence[Operand], eps: float = 1e-6, rtol: float = 1e-5, atol: float = 1e-7
) -> bool:
    """Compare the gradients of `fn` with central differences, element by element, in float64.

    For every element x of every input, (fn(x + eps) - fn(x - eps)) / 2 eps must be the gradient. If the result of `fn` has
    several elements, a fixed weighted sum of them is checked, with weights that are all different, so that no two
    elements can be mistaken for each other.

    Parameters
    ----------
    fn : callable
        Takes as many tensors as there are inputs and returns one, or several in a tuple. It must compute the same each time.
    inputs : sequence of arrays or tensors, or one
        Taken as float64.
    eps : float
        The step; relative to max(1, |x|).
    rtol, atol : float
        What difference is accepted: atol + rtol * |expected|.

    Returns
    -------
    bool
        True.

    Raises
    ------
    AssertionError
        If a gradient is wrong; the message names operation, argument, index, expected and received value.
    TypeError
        If the function does not return a tensor computed from its inputs, or computes it in float32: layers do so by default.

    Examples
    --------
    >>> gradcheck(lambda x, y: (x * y).tanh(), [[0.5, -1.0], [2.0, 3.0]])
    True
    """
    if not all(isinstance(number, Real) for number in (eps, rtol, atol)):
        remedy = "Write gradcheck(fn, [a, b])."
        raise TypeError(explain("all inputs in one list, and numbers after it", "more than one input", remedy))
    given = [inputs] if isinstance(inputs, (Tensor, np.ndarray)) else inputs
    leaves = [tensor(x.detach() if isinstance(x, Tensor) else x, np.float64, requires_grad=True) for x in given]
    result = _one_result(fn(*leaves))
    if not isinstance(result, Tensor) or not result.requires_grad:
        raise TypeError(explain("a function that returns a tensor computed from its inputs", result, "Check the function."))
    if _is_coarse(result):
        remedy = "Give layers dtype='float64', and other weights by .astype('float64')."
        raise TypeError(
            explain("a function that computes in float64", "one that goes through float32, which is too coarse", remedy)
        )
    name = type(result.op).__name__ if result.op else "the identity"
    weights = np.linspace(1.0, 2.0, result.size).reshape(result.shape) if result.size else np.zeros(result.shape)
    received = grad(result, leaves, gradient=weights.astype(result.dtype))

    def weighted() -> float:
        return float((_one_result(fn(*leaves)).numpy() * weights).sum(dtype=np.float64))

    for argument, (leaf, gradient) in enumerate(zip(leaves, received, strict=True)):
        if gradient.shape != leaf.shape:
            raise AssertionError(
                f"{name}: argument {argument}: expected a gradient of shape {leaf.shape}, received {gradient.shape}"
            )
        for index in np.ndindex(leaf.shape):
            kept = leaf.data[index]
            step = eps * max(1.0, abs(float(kept)))
            leaf.data[index] = kept + step
            above = weighted()
            leaf.data[index] = kept - step
            below = weighted()
            leaf.data[index] = kept
            expected, got = (above - below) / (2 * step), float(gradient.data[index])
            if not abs(expected - got) <= atol + rtol * abs(expected):
                raise AssertionError(
                    f"{name}: argument {argument}, index {index}: expected {expected:.10g}, received {got:.10g}"
                )
    return True


def _one_result(result: Any) -> Any:
    """Several results as one, one after the other; integers, such as places, have no gradient to check."""
    if isinstance(result, (tuple, list)) and all(isinstance(t, Tensor) for t in result):
        floats = [t.reshape(-1) for t in result if t.dtype in FLOATS]
        return concatenate(floats) if floats else result
    return result


def _is_coarse(result: Tensor) -> bool:
    """Whether something on the way from the inputs, which are float64, is float32."""
    todo, seen = [result], {id(result)}
    while todo:
        t = todo.pop()
        if t.dtype != np.float64:
            return True
        found = [x for x in (t.op._inputs if t.op else ()) if x.op is not None and id(x) not in seen]
        seen.update(map(id, found))
        todo += found
    return False
