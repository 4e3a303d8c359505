"""Ways to the minimum of a problem. Each starts from weights, and gives better ones with the course of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh, lstsq
from scipy.optimize import minimize

from .. import ops
from ..autograd import grad
from ..capture.captured import Captured
from ..errors import explain
from ..state import enable_grad, no_grad
from ..tensor import Array, Tensor
from .problem import MAX_COLUMNS_GRAM, Problem

MAX_COLUMNS_WHITENED = 256  # up to which the eigenvectors of their products are found quickly
WORKING_SET_COLUMNS = 64  # at first
MIN_STEPS_TO_CAPTURE = 20  # fewer are done before they are recorded
MAX_WEIGHTS_NEWTON = 128
NEWTON_STEPS = 4
PRECISE = 1e-10  # beside the largest derivative at w = 0
SMALLEST_WIDTH = 1e-5  # of the parabola in a smoothed hinge
NEGLIGIBLE = 0.01  # part of the loss
CURVATURE_ROWS = 4096  # that tell the curvature well enough for a first learning rate


class Found(NamedTuple):
    """Where a solver arrived."""

    v: Array
    steps: int
    losses: list[float]
    converged: bool


def lbfgs(problem: Problem, v: Array, max_iter: int, tol: float) -> Found:
    """SciPy's L-BFGS (Liu & Nocedal 1989), until no derivative is above `tol` times the largest at w = 0, or no step helps.

    With few columns it is solved for v = P u: see :func:`whitening`. What the data does not determine stays where it was.
    """
    few = MAX_COLUMNS_GRAM if problem.loss == "squared_error" else MAX_COLUMNS_WHITENED
    to, back = whitening(problem) if problem.shape[0] <= few else (None, None)
    run, losses = problem.with_gradient(), list[float]()

    def value(u: Array) -> tuple[float, Array]:
        f, g = run((to @ u.reshape(-1, problem.outputs)).astype(v.dtype) if to is not None else u.astype(v.dtype))
        return f, ((to.T @ g) if to is not None else g).astype(np.float64).reshape(-1)

    start = v.astype(np.float64) if back is None else back @ v
    if not start.size:
        return Found(v, 1, [value(start)[0]], True)
    steepest = float(np.abs(value(np.zeros_like(start).reshape(-1))[1]).max())
    gtol = tol * max(steepest, float(np.finfo(v.dtype).tiny))
    eps = float(np.finfo(v.dtype).eps)
    options = {"maxiter": max_iter, "gtol": gtol, "ftol": eps, "maxls": 50, "maxcor": 10}
    found = minimize(value, start.reshape(-1), jac=True, method="L-BFGS-B", options=options,
                     callback=lambda intermediate_result: losses.append(float(intermediate_result.fun)))  # fmt: skip
    u, converged = found.x.reshape(-1, problem.outputs), found.status != 1
    if to is not None and back is not None:
        u = to @ u + (v - to @ start)
        columns = problem.l2[: len(problem.scale)]
        if to.shape[1] < to.shape[0] and columns.all():  # the penalty determines what the data leaves open
            gradient = run(u.astype(v.dtype))[1].astype(np.float64)
            outside = gradient - back.T @ (to.T @ gradient)  # along directions that whitening took for rounding errors: there
            # the penalty alone curves the loss, which thus could fall by outside² / (2 l2)
            converged &= float((outside**2).sum()) / (2 * float(columns.min())) <= NEGLIGIBLE * abs(float(found.fun))
    return Found(u.astype(v.dtype), max(found.nit, 1), losses or [float(found.fun)], bool(converged))


def whitening(problem: Problem) -> tuple[Array, Array]:
    """P, and its pseudo-inverse, such that in the coordinates u of v = P u no second derivative is above 1, and those of a
    squared error all are 1.

    They are the eigenvectors of the products of columns. What is small in these beside the largest is lost in its rounding
    errors, and so is looked for again with the rows as they lie along the directions that are left.
    """
    factor, l2, eps = problem.max_curvature, problem.l2[:, 0], float(np.finfo(problem.dtype).eps)
    zero = max(problem.samples * eps, 8 * len(l2) * problem.precision)  # beside the largest, what rounding makes of zeros
    vectors, gram = np.eye(len(l2)), problem.gram().astype(np.float64)
    curvatures, known, largest, rounds = np.empty(0), vectors[:, :0], 0.0, 0
    while True:
        values, turned = eigh(factor * gram + (vectors.T * l2) @ vectors)
        is_clear, largest = values > values[-1] * np.sqrt(eps), max(largest, float(values[-1]))
        kept = is_clear & (values > zero**2 * largest)
        if not kept.any():
            break
        curvatures = np.concatenate([curvatures, values[kept]])
        known, rounds = np.concatenate([known, vectors @ turned[:, kept]], axis=1), rounds + 1
        if is_clear.all():
            break
        vectors = vectors @ turned[:, ~is_clear]
        # Rounding leaves in them small parts of those that are known, beside which what is left would not show.
        shared = known.T @ (factor * problem.gram_times(vectors) + l2[:, None] * vectors)
        vectors = vectors - known @ (shared / curvatures[:, None])
        gram = vectors.T @ problem.gram_times(vectors)
    if rounds > 1:
        problem.by_rows()
    roots = np.sqrt(curvatures)
    return known / roots, (known * roots).T


def proximal(
    problem: Problem, v: Array, max_iter: int, tol: float, learning_rate: float | None = None, accelerated: bool = True
) -> Found:
    """Steps down the gradient, each followed by soft thresholding, which makes exact zeros of weights under an L1 penalty.

    Accelerated it is FISTA (Beck & Teboulle 2009): v' = S(a - η ∇f(a)), a' = v' + (t - 1) / t' (v' - v), restarted when its
    momentum leads uphill (O'Donoghue & Candès 2015); else plain gradient descent. It ends when no step is above `tol` times
    the largest from w = 0 (without thresholding).

    Raises
    ------
    FloatingPointError
        If it diverges; the message names the learning rate.
    """
    rate = 1 / (problem.curvature() or 1.0) if learning_rate is None else learning_rate
    value = problem.of_all()
    eta, threshold = Tensor(np.asarray(rate, v.dtype)), Tensor((rate * problem.l1).astype(v.dtype))
    one = Tensor(np.ones((), v.dtype))

    def step(v: Tensor, ahead: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """`ahead` is where the momentum carried v."""
        f = value(ahead)
        new = ops.SoftThreshold()(ahead.detach() - eta * grad(f, ahead), threshold)
        moved = new - v
        if not accelerated:
            return new, new, t, (new - ahead.detach()).abs().max(), f.detach()
        uphill = ((ahead.detach() - new) * moved).sum() > 0
        now = ops.where(uphill, one, t)
        later = (1 + (1 + 4 * now.square()).sqrt()) * 0.5
        return new, new + (now - 1) / later * moved, later, (new - ahead.detach()).abs().max(), f.detach()

    captured = Captured(step)
    with enable_grad():
        zero = Tensor(problem.start(), requires_grad=True)
        steepest = rate * float(np.abs(grad(value(zero), zero).data).max())
        reachable = max(tol, 16 * float(np.finfo(v.dtype).eps))  # smaller ones are rounding errors
        gtol = reachable * max(steepest, float(np.finfo(v.dtype).tiny))
        at, ahead, t = Tensor(v), Tensor(v), Tensor(one.data.copy())
        losses: list[float] = []
        for number in range(1, max_iter + 1):
            penalty = float((problem.l1 * np.abs(ahead.data)).sum())
            run = step if number < MIN_STEPS_TO_CAPTURE else captured
            at, ahead, t, change, f = run(at, Tensor(ahead.data, requires_grad=True), t)
            losses.append(float(f.data) + penalty)
            check_divergence(losses, rate)
            if float(change.data) <= gtol:
                return Found(at.data, number, losses, True)
    return Found(at.data, max_iter, losses, False)


def by_working_set(problem: Problem, v: Array, max_iter: int, tol: float) -> Found:
    """The accelerated :func:`proximal` for a squared error, with a part of the columns at a time.

    It begins with the columns that have weights and the steepest others; after each minimum it takes in those that would leave
    zero there. Where an L1 penalty leaves few weights, the products of few columns are ever computed.
    """
    d = len(problem.scale)
    gradient = problem.gradient(np.zeros_like(v))
    gtol = max(tol, 16 * float(np.finfo(v.dtype).eps)) * float(np.abs(gradient).max())
    columns, v, steps, losses = np.flatnonzero(v[:d].any(1)), v.copy(), 0, list[float]()
    new = np.argsort(-np.abs(gradient[:d]).max(1))[:WORKING_SET_COLUMNS]
    while len(new):
        columns = np.union1d(columns, new)
        rows = np.append(columns, [d] * problem.intercept).astype(np.int64)
        found = proximal(problem.only(columns), v[rows], max_iter, tol)
        v[rows], steps, losses = found.v, steps + found.steps, losses + found.losses
        excess = (np.abs(problem.gradient(v)) - problem.l1)[:d].max(1)
        excess[columns] = 0
        new = np.flatnonzero(excess > gtol)
        if len(new) > len(columns):  # many have weights, it seems: all, or if those are too many, the steepest
            takes_all = d <= min(8 * len(columns), MAX_COLUMNS_GRAM)
            new = np.arange(d) if takes_all else new[np.argsort(-excess[new])][: len(columns)]
    return Found(v, steps, losses, found.converged)


def lbfgs_and_newton(problem: Problem, v: Array, max_iter: int, tol: float) -> Found:
    """:func:`lbfgs`, whose last steps rounding errors of the loss decide; if weights are few, Newton's go by the gradient.

    Their second derivatives are differences of gradients, which is exact for parabolas.
    """
    found = lbfgs(problem, v, max_iter, tol)
    if not found.converged or v.size > MAX_WEIGHTS_NEWTON:
        return found
    run, v = problem.with_gradient(), found.v.astype(np.float64)
    steepness = run(v)[1]
    width = 1e-5 * max(float(np.abs(v).max()), 1.0) * (problem.width or 1.0)
    for _ in range(NEWTON_STEPS):
        moves = width * np.eye(v.size).reshape(-1, *v.shape)
        hessian = np.stack([(run(v + m)[1] - run(v - m)[1]).reshape(-1) for m in moves]) / (2 * width)
        new = v - lstsq(hessian, steepness.reshape(-1))[0].reshape(v.shape)
        left = run(new)[1]
        if not np.abs(left).max() < np.abs(steepness).max():
            break
        v, steepness = new, left
    return found._replace(v=v)


def by_all_samples(problem: Problem, v: Array, max_iter: int, tol: float) -> Found:
    """:func:`lbfgs`, or under an L1 penalty the accelerated :func:`proximal`; the loss is within a part of `tol` of the least.

    Steps down the gradient stall at the kinks of hinge. It is smoothed instead, less and less, each time from the minimum
    before; half the width of the smoothing bounds what that costs.
    """
    solve, precise = (proximal, min(tol, 1e-5)) if problem.l1.any() else (lbfgs_and_newton, PRECISE)
    if problem.loss != "hinge":
        return solve(problem, v, max_iter, precise)
    problem.width, steps, losses = 1.0, 0, list[float]()
    while True:
        found = solve(problem, v, max_iter - steps, precise)
        v, steps, losses = found.v, steps + found.steps, losses + found.losses
        is_sharp = problem.width / 2 <= max(tol, SMALLEST_WIDTH) * losses[-1] or problem.width <= SMALLEST_WIDTH
        if is_sharp or steps >= max_iter:
            return Found(v, steps, losses, is_sharp and found.converged)
        problem.width /= 8


def judge(problem: Problem, tol: float) -> Callable[[Array], bool]:
    """Whether weights are no better, by a part of `tol`, than all before, going by the loss of all samples and the penalties.

    It sees what a mean over an epoch hides in the noise of its batches: that directions of little curvature still go down.
    """
    value, best = Captured(problem.of_all()), np.inf

    def is_worse(v: Array) -> bool:
        nonlocal best
        with no_grad():
            loss = float(value(Tensor(v)).data) + float((problem.l1 * np.abs(v)).sum())
        before, best = best, min(best, loss)
        return not loss < before * (1 - tol)

    return is_worse


def check_divergence(losses: list[float], rate: float) -> None:
    """Raise if the last loss is not finite, or far above the first."""
    if not np.isfinite(losses[-1]) or losses[-1] > 1e8 * (abs(losses[0]) + 1):
        received = f"a loss of {losses[-1]:.3g} after {len(losses)} steps or epochs with a learning rate of {rate:.3g}"
        raise FloatingPointError(explain("a loss that falls", received, "Choose a smaller learning_rate (of SGD: eta0)."))
