"""Normalisation of the columns or of the rows of a matrix."""

from __future__ import annotations

from ..errors import explain
from . import machine
from .elementwise import contiguous
from .machine import struct
from .plans import OPERATIONS, POINTER_TYPE, Array, empty, real_suffix, remember

__all__ = ["blend", "moments", "normalize", "normalize_grad", "normalize_sums", "row_norm", "row_norm_grad"]

OPERATIONS |= {
    "moments": 4, "normalize": 4, "normalize_sums": 4, "normalize_grad": 6, "row_norm": 7, "row_norm_grad": 16, "blend": 3,
}  # fmt: skip

Given = Array | None


def _run(kernel: str, arrays: list[Given], out: list[Given], epsilon: float, centered: bool = True) -> None:
    """Arrays of rows×columns first, then those with one number for each column; `out` what is computed."""
    given = [a for a in (*arrays, *out) if a is not None]
    first = given[0]
    key = (kernel, epsilon, centered, *[None if a is None else (a.shape, a.dtype) for a in (*arrays, *out)])
    backend = machine.active
    plan = backend.plans.get(key)
    if plan is None:
        rows, columns = first.shape if first.ndim == 2 else (0, 0)
        if first.ndim != 2 or any(a.shape not in ((rows, columns), (columns,)) for a in given):
            shapes = [a.shape for a in given]
            raise ValueError(explain("a matrix, and one number for each of its columns", shapes, "Reshape them."))
        if not epsilon >= 0:
            raise ValueError(explain("`epsilon` from 0", epsilon, "Give a small positive number."))
        run = machine.active.kernel(kernel + real_suffix(kernel, [a.dtype for a in given]))
        geometry = struct("mw_norm", rows=rows, columns=columns, epsilon=epsilon, centered=int(centered), activation=0)
        plan = remember(key, (run, geometry, POINTER_TYPE[first.dtype]))
    run, geometry, kind = plan
    pointer, null = backend.pointer, backend.null
    pointers = [null if a is None else pointer(kind, contiguous(a)) for a in arrays]
    run(*pointers, *[null if a is None else pointer(kind, a) for a in out], geometry)


def _like_columns(x: Array) -> Array:
    return empty(x.shape[1:], x.dtype)


def moments(x: Array) -> tuple[Array, Array]:
    """The mean and the variance, Σ (x - mean)² / rows, of each column of (rows, columns).

    Raises
    ------
    ValueError
        If it is no matrix.
    TypeError
        If the type is neither float32 nor float64.
    """
    mean, variance = _like_columns(x), _like_columns(x)
    _run("moments", [x], [mean, variance], 0.0)
    return mean, variance


def normalize(x: Array, mean: Array, variance: Array, gamma: Given, bias: Given, epsilon: float) -> Array:
    """(x - mean) / √(variance + epsilon) gamma + bias, with numbers for each column; gamma and bias may be None.

    Raises as :func:`moments`, and where shapes or types differ.
    """
    z = empty(x.shape, x.dtype)
    _run("normalize", [x, mean, variance, gamma, bias], [z], epsilon)
    return z


def normalize_sums(dz: Array, x: Array, mean: Array, variance: Array, epsilon: float) -> tuple[Array, Array]:
    """The gradients of gamma and bias of :func:`normalize`. Raises as that."""
    dgamma, dbias = _like_columns(x), _like_columns(x)
    _run("normalize_sums", [dz, x, mean, variance], [dgamma, dbias], epsilon)
    return dgamma, dbias


def normalize_grad(
    dz: Array, x: Array, mean: Array, variance: Array, gamma: Given, dgamma: Array, dbias: Array, epsilon: float
) -> Array:
    """dx of :func:`normalize`, mean and variance being those of x. Raises as that."""
    dx = empty(x.shape, x.dtype)
    _run("normalize_grad", [dz, x, mean, variance, gamma, dgamma, dbias], [dx], epsilon)
    return dx


def row_norm(x: Array, gamma: Given, bias: Given, epsilon: float, centered: bool) -> Array:
    """(x - mean) / √(variance + epsilon) gamma + bias, with the mean (0, if not `centered`) and the variance of each row.

    Raises as :func:`normalize`.
    """
    z = empty(x.shape, x.dtype)
    _run("row_norm", [x, gamma, bias], [z], epsilon, centered)
    return z


def row_norm_grad(dz: Array, x: Array, gamma: Given, epsilon: float, centered: bool) -> tuple[Array, Array, Array]:
    """The gradients of x, gamma and bias of :func:`row_norm`. Raises as that."""
    dx, dgamma, dbias = empty(x.shape, x.dtype), _like_columns(x), _like_columns(x)
    _run("row_norm_grad", [dz, x, gamma], [dx, dgamma, dbias], epsilon, centered)
    return dx, dgamma, dbias


def blend(x: Array, average: Array, momentum: float) -> None:
    """average = average momentum + x (1 - momentum), in place.

    Raises
    ------
    ValueError
        If the shapes differ, or the average is not contiguous.
    TypeError
        If the types are not both float32 or both float64.
    """
    if x.shape != average.shape or not average.flags.c_contiguous:
        received = f"shapes {x.shape} and {average.shape}"
        raise ValueError(explain("an average of the shape of what it is of, contiguous", received, "Check both."))
    kernel = machine.active.kernel("blend" + real_suffix("blend", [x.dtype, average.dtype]))
    pointer, kind = machine.active.pointer, POINTER_TYPE[x.dtype]
    kernel(pointer(kind, contiguous(x)), pointer(kind, average), x.size, float(momentum))
