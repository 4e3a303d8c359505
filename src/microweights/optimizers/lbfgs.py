"""All weights at once: the minimum of a loss on all data, by a method of the second order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import NamedTuple

import numpy as np

from ..autograd import grad
from ..capture.captured import Captured
from ..errors import explain
from ..schedules import check
from ..state import enable_grad, no_grad
from ..tensor import Array, Tensor

__all__ = ["Minimum", "lbfgs"]


class Minimum(NamedTuple):
    """Where :func:`lbfgs` arrived."""

    loss: float
    steps: int
    converged: bool
    losses: list[float]


def lbfgs(loss: Callable[[], Tensor], variables: Sequence[Tensor], max_iter: int = 100, tol: float = 1e-6) -> Minimum:
    """Move variables to a minimum of a loss by L-BFGS (Liu & Nocedal 1989): SciPy drives, a captured program evaluates.

    Parameters
    ----------
    loss : function without arguments
        Computes a scalar from the variables, on all data each time.
    variables : list of Tensors
        That require gradients; changed in place.
    max_iter : int
    tol : float
        It is done when no derivative is larger, or rounding lets no step make the loss smaller.

    Returns
    -------
    Minimum
        The loss there, the steps it took, whether no derivative is larger than `tol`, and the loss after each step.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    ValueError
        If variables are none that can be moved, or `max_iter` or `tol` make no sense.
    FloatingPointError
        If the loss or its gradient is not finite at the start.

    Examples
    --------
    >>> import microweights as mw
    >>> w = mw.tensor([5.0, -3.0], dtype="float64", requires_grad=True)
    >>> found = mw.optimizers.lbfgs(lambda: ((w - [1.0, 2.0]) ** 2).sum(), [w])
    >>> found.converged, w.numpy().round(6).tolist()
    (True, [1.0, 2.0])
    """
    from scipy.optimize import minimize

    variables = list(variables)
    if not variables or not all(isinstance(v, Tensor) and v.requires_grad for v in variables):
        raise ValueError(explain("tensors that require gradients", variables, "Pass the variables of the loss."))
    if isinstance(max_iter, bool) or not isinstance(max_iter, Integral) or max_iter < 1:
        raise ValueError(explain("`max_iter` to be a positive integer", repr(max_iter), "100 is a usual choice."))
    check(0, tol=tol)
    ends = np.cumsum([v.size for v in variables])[:-1]

    def both() -> list[Tensor]:
        f = loss()
        return [f.detach(), *grad(f, variables)]

    captured = Captured(both)

    def evaluate(flat: Array) -> tuple[float, Array]:
        for v, part in zip(variables, np.split(flat, ends), strict=True):
            with no_grad():
                v.assign(part.reshape(v.shape).astype(v.dtype))
        with enable_grad():
            f, *gradients = captured()
        return float(f.item()), np.concatenate([g.numpy().reshape(-1) for g in gradients]).astype(np.float64)

    start = np.concatenate([v.numpy().reshape(-1) for v in variables]).astype(np.float64)
    if not all(np.isfinite(found).all() for found in evaluate(start)):
        remedy = "Start from other values, or check the data."
        raise FloatingPointError(explain("a finite loss and gradient to start from", "infinity or NaN", remedy))
    eps = float(np.finfo(variables[0].dtype).eps)
    options = {"maxiter": max_iter, "gtol": tol, "ftol": eps, "maxls": 50}
    losses: list[float] = []
    found = minimize(evaluate, start, jac=True, method="L-BFGS-B", options=options,
                     callback=lambda intermediate_result: losses.append(float(intermediate_result.fun)))  # fmt: skip
    value, slope = evaluate(found.x)
    converged = bool(np.isfinite(value) and np.abs(slope).max(initial=0.0) <= tol)
    return Minimum(value, int(found.nit), converged, losses or [value])


def __dir__() -> list[str]:
    return sorted(__all__)
