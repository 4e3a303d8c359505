"""Ways to the minimum of a problem. Each starts from weights, and gives better ones with the course of the loss."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh, pinvh, svd

from ..errors import explain
from ..kernels import door
from ..optimizers import lbfgs as lbfgs_of
from ..tensor import Array, Tensor
from .problem import Problem, Quadratic, triangle

MAX_COLUMNS_WHITENED = 256  # up to which the eigenvectors of their products are found quickly
MAX_WEIGHTS_NEWTON = 256  # up to which their second derivatives are
ROWS_A_COLUMN = 64  # that tell the second derivatives to about an eighth
PARTS = 8  # of the rows, one of which tells where to start
MOST_LEFT = 0.4  # of a gradient after a step that its second derivatives suit
ROUGH = 1e-3  # beside the largest derivative at w = 0, what a part of the rows tells
MAX_HALVINGS = 50
PRECISE = 1e-10  # the same for few samples
SMALLEST_WIDTH = 1e-5  # of the parabola in a smoothed hinge
CURVATURE_ROWS = 4096  # that tell the curvature well enough for a first learning rate


class Found(NamedTuple):
    """Where a solver arrived."""

    v: Array
    steps: int
    losses: list[float]
    converged: bool


class Directions(NamedTuple):
    """Along which a problem is well conditioned."""

    along: Array
    is_sure: bool  # that a penalty determines nothing else
    from_rows: bool


def smooth(problem: Problem, v: Array, max_iter: int, tol: float) -> Found:
    """Without an L1 penalty: :func:`newton` for few weights, :func:`lbfgs` for many."""
    return (newton if v.size <= MAX_WEIGHTS_NEWTON else lbfgs)(problem, v, max_iter, tol)


def newton(problem: Problem, v: Array, max_iter: int, tol: float) -> Found:
    """Newton's method, until no derivative is above `tol` times the largest at w = 0, or no step makes the loss smaller.

    v' = v - P H⁻¹ Pᵀ ∇f(v), with the second derivatives H = Pᵀ ∇²f P along the directions P of :func:`whitening`, half as long
    until it leads downhill. Of many rows an eighth tells where to start, and H. Each step corrects H⁻¹ (BFGS: Nocedal & Wright
    2006, 6.17); where it left much of the gradient, H is made anew, and then from all rows. What the data does not determine
    stays where it was.
    """
    most = max(1, problem.samples // (ROWS_A_COLUMN * len(v)))
    few, part = problem.sample(most), problem.sample(PARTS if most >= PARTS else 1)
    along, is_sure, by_rows = whitening(problem, few)
    evaluate, losses = problem.with_gradient(is_recorded=False), list[float]()
    at_zero, gradient = few.with_gradient(is_recorded=False)(problem.start())
    gtol = tol * float(np.abs(along.T @ gradient).max(initial=0.0))
    start = v if part is problem else newton(part, v, max_iter, max(tol, ROUGH)).v
    loss, gradient = evaluate(start)
    if part is not problem and not loss < at_zero:
        start, (loss, gradient) = v, evaluate(v)
    v, slope, left = start, along.T @ gradient, 1.0  # of the slope, by the last step
    while np.abs(slope).max(initial=0.0) > gtol and len(losses) < max_iter:
        if left > MOST_LEFT:
            part = problem if losses else part
            inverse = pinvh(part.hessian(v, along, by_rows).reshape(slope.size, slope.size))
        step, noise = -(inverse @ slope.reshape(-1)), np.finfo(v.dtype).eps * abs(loss)
        for _ in range(MAX_HALVINGS):
            there = v + along @ step.reshape(slope.shape)
            found = evaluate(there)
            if found[0] <= loss + noise:
                break
            step = step / 2
        new = along.T @ found[1]
        left = float(np.abs(new).max() / np.abs(slope).max())
        if found[0] < loss - noise or (found[0] <= loss + noise and left < 1):
            inverse = corrected(inverse, step, (new - slope).reshape(-1))
            v, loss, slope = there, found[0], new
        elif part is problem:  # rounding errors decide
            gtol = np.inf
        else:
            left = 1.0
        losses.append(loss)
    return Found(v, max(len(losses), 1), losses or [loss], is_sure and bool(np.abs(slope).max(initial=0.0) <= gtol))


def corrected(inverse: Array, step: Array, change: Array) -> Array:
    """The inverse second derivatives nearest to these by which a step changes the gradient as it did."""
    along = float(step @ change)
    if along <= 0:
        return inverse
    turn = np.eye(len(step)) - np.outer(step, change) / along
    found: Array = turn @ inverse @ turn.T + np.outer(step, step) / along
    return found


def lbfgs(problem: Problem, v: Array, max_iter: int, tol: float) -> Found:
    """:func:`microweights.optimizers.lbfgs` along the directions of :func:`whitening`, if columns are few.

    It ends where no derivative is above `tol` times the largest at w = 0, or no step makes the loss smaller.
    """
    few = problem.shape[0] <= MAX_COLUMNS_WHITENED
    along, is_sure, _ = whitening(problem, problem) if few else Directions(np.eye(len(v)), True, False)
    value, origin, directions = problem.of_all(), Tensor(v), Tensor(along.astype(v.dtype))
    u = Tensor(np.zeros((along.shape[1], problem.outputs), v.dtype), requires_grad=True)
    steepest = float(np.abs(along.T @ problem.with_gradient(is_recorded=False)(problem.start())[1]).max(initial=0.0))
    found = lbfgs_of(lambda: value(origin + directions @ u), [u], max_iter, tol * steepest)
    return Found(v + along @ u.data, max(found.steps, 1), found.losses, is_sure and (found.converged or found.steps < max_iter))


def whitening(problem: Problem, few: Problem) -> Directions:
    """Directions P, with v = v₀ + P u, such that by no u a second derivative is above 1, and of a squared error all are 1.

    They are the eigenvectors of the products of columns, divided by their lengths. Where rounding hides in these what is small,
    they come from the rows. What is noise there is left out; it is said whether a penalty would have determined it.
    """
    factor, l2, eps = problem.max_curvature, problem.l2[:, 0].astype(np.float64), float(np.finfo(problem.dtype).eps)
    for part in (few, problem):  # what is large in a part is not small in all
        values, vectors = eigh(factor * part.gram().astype(np.float64) + np.diag(l2))
        if values[0] > values[-1] * np.sqrt(eps):
            return Directions(vectors / np.sqrt(values), True, False)
    c = 1 / problem.samples if problem.weights is None else problem.weights[:, None]
    rows = np.concatenate([problem.x * np.sqrt(factor * c), np.diag(np.sqrt(l2))])
    _, s, vt = svd(triangle(rows), full_matrices=False)
    kept = s > s[0] * max(problem.samples * eps, 8 * len(l2) * problem.precision)
    return Directions(vt[kept].T / s[kept], bool(kept.all() or not l2[: len(problem.scale)].all()), True)


def least_curvature(problem: Problem, v: Array) -> float:
    """The smallest second derivative of a loss without penalty, by each output's weights along any direction of the data.

    It is measured by the spread of the data along this direction.
    """
    along, _, by_rows = whitening(problem, problem)
    hessian = problem.hessian(v, along * np.sqrt(problem.max_curvature), by_rows)
    return min((float(np.linalg.eigvalsh(hessian[:, i, :, i])[0]) for i in range(problem.outputs)), default=1.0)


def proximal(problem: Problem | Quadratic, v: Array, max_iter: int, tol: float) -> Found:
    """Steps down the gradient, each followed by soft thresholding, which makes exact zeros of weights under an L1 penalty.

    It is FISTA (Beck & Teboulle 2009): v' = S(a - η ∇f(a)), a' = v' + (t - 1) / t' (v' - v), restarted when its momentum leads
    uphill (O'Donoghue & Candès 2015). It ends when no step is above `tol` times the largest from w = 0 (without thresholding).

    Raises
    ------
    FloatingPointError
        If it diverges.
    """
    rate, evaluate = 1 / float(problem.curvature() or 1.0), problem.with_gradient()
    threshold = (rate * problem.l1).astype(v.dtype)
    steepest = rate * float(np.abs(evaluate(problem.start())[1]).max())
    reachable = max(tol, 16 * float(np.finfo(v.dtype).eps))  # smaller ones are rounding errors
    least, losses = reachable * max(steepest, float(np.finfo(v.dtype).tiny)), list[float]()
    ahead, t = v, 1.0
    while len(losses) < max_iter:
        f, g = evaluate(ahead)
        losses.append(f + float((problem.l1 * np.abs(ahead)).sum()))
        check_divergence(losses, rate)
        new = door.binary("soft_threshold", ahead - rate * g, threshold)
        step, moved, v = new - ahead, new - v, new
        if np.abs(step).max() <= least:
            return Found(v, len(losses), losses, True)
        now = 1.0 if (step * moved).sum() < 0 else t
        t = (1 + math.sqrt(1 + 4 * now * now)) / 2
        ahead = v + (now - 1) / t * moved
    return Found(v, max_iter, losses, False)


def by_all_samples(problem: Problem, v: Array, max_iter: int, tol: float) -> Found:
    """:func:`smooth`, or under an L1 penalty the accelerated :func:`proximal`; the loss is within a part of `tol` of the least.

    Steps down the gradient stall at the kinks of hinge. It is smoothed instead, less and less, each time from the minimum
    before; half the width of the smoothing bounds what that costs.
    """
    solve, precise = (proximal, min(tol, 1e-5)) if problem.l1.any() else (smooth, PRECISE)
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


def check_divergence(losses: list[float], rate: float) -> None:
    """Raise if the last loss is not finite, or far above the first."""
    if not np.isfinite(losses[-1]) or losses[-1] > 1e8 * (abs(losses[0]) + 1):
        received = f"a loss of {losses[-1]:.3g} after {len(losses)} steps or epochs with a learning rate of {rate:.3g}"
        raise FloatingPointError(explain("a loss that falls", received, "Choose a smaller learning_rate (of SGD: eta0)."))
