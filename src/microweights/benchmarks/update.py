"""Cases: the update rules over many weights.

In NumPy by hand, w are weights, g gradients, s scratch, and t is the number of the step.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

import microweights as mw

from ..kernels import reference
from ..kernels.plans import OPERATIONS
from ..tensor import Array
from .race import Call, Case, Race, by_numpy, import_torch, random

# ---- the rules in NumPy by hand --------------------------------------------------------------------------------------


def sgd(t: int, w: Array, g: Array, s: Array, *, lr: float) -> None:
    np.multiply(g, lr, out=s)
    w -= s


def sgd_l2(t: int, w: Array, g: Array, s: Array, *, lr: float, l2: float) -> None:
    np.multiply(w, l2, out=s)
    s += g
    s *= lr
    w -= s


def momentum(t: int, w: Array, g: Array, v: Array, s: Array, *, lr: float, momentum: float, l2: float) -> None:
    np.multiply(w, l2, out=s)
    s += g
    s *= lr
    v *= momentum
    v -= s
    w += v


def nesterov(t: int, w: Array, g: Array, v: Array, s: Array, *, lr: float, momentum: float) -> None:
    np.multiply(g, lr, out=s)
    v *= momentum
    v -= s
    w -= s
    np.multiply(v, momentum, out=s)
    w += s


def adam(t: int, w: Array, g: Array, m: Array, v: Array, s: Array, *, lr: float, eps: float, decay: float = 0) -> None:
    """Holds m / (1 - β₁) and v / (1 - β₂): two passes fewer."""
    b1, b2 = 0.9, 0.999
    if decay:
        w *= 1 - lr * decay
    m *= b1
    m += g
    np.square(g, out=s)
    v *= b2
    v += s
    np.sqrt(v, out=s)
    s += eps / math.sqrt(1 - b2)
    np.divide(m, s, out=s)
    s *= lr * (1 - b1) / (1 - b1**t) * math.sqrt((1 - b2**t) / (1 - b2))
    w -= s


def rmsprop(t: int, w: Array, g: Array, v: Array, s: Array, *, lr: float, eps: float) -> None:
    """Holds v / (1 - ρ)."""
    rho = 0.9
    np.square(g, out=s)
    v *= rho
    v += s
    np.add(v, eps / (1 - rho), out=s)
    np.sqrt(s, out=s)
    np.divide(g, s, out=s)
    s *= lr / math.sqrt(1 - rho)
    w -= s


def adagrad(t: int, w: Array, g: Array, a: Array, s: Array, *, lr: float, eps: float) -> None:
    np.square(g, out=s)
    a += s
    np.add(a, eps, out=s)
    np.sqrt(s, out=s)
    np.divide(g, s, out=s)
    s *= lr
    w -= s


class Rule(NamedTuple):
    ours: Callable[[], mw.optimizers.Optimizer]
    by_hand: Callable[..., None]
    slots: tuple[float, ...]  # what each array of state starts with
    torch: tuple[str, dict[str, Any]]
    weights: int = 1_000_000


TINY = 1e-12  # with so small an epsilon it does not matter whether it stands inside or outside of the root
OPTIMIZERS = mw.optimizers
RULES = {
    "SGD": Rule(partial(OPTIMIZERS.SGD, 0.01), partial(sgd, lr=0.01), (), ("SGD", {"lr": 0.01})),
    "SGD+L2": Rule(
        partial(OPTIMIZERS.SGD, 0.01, l2=1e-4), partial(sgd_l2, lr=0.01, l2=1e-4), (),
        ("SGD", {"lr": 0.01, "weight_decay": 1e-4}),
    ),
    "momentum+L2": Rule(
        partial(OPTIMIZERS.SGD, 0.01, momentum=0.9, l2=1e-4), partial(momentum, lr=0.01, momentum=0.9, l2=1e-4), (0.0,),
        ("SGD", {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}), 10_000_000,
    ),
    "Nesterov": Rule(
        partial(OPTIMIZERS.SGD, 0.01, momentum=0.9, nesterov=True), partial(nesterov, lr=0.01, momentum=0.9), (0.0,),
        ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    ),
    "Adam": Rule(
        partial(OPTIMIZERS.Adam, 0.001, epsilon=TINY), partial(adam, lr=0.001, eps=TINY), (0.0, 0.0),
        ("Adam", {"lr": 0.001, "eps": TINY}), 10_000_000,
    ),
    "AdamW": Rule(
        partial(OPTIMIZERS.AdamW, 0.001, 0.01, epsilon=TINY), partial(adam, lr=0.001, eps=TINY, decay=0.01), (0.0, 0.0),
        ("AdamW", {"lr": 0.001, "eps": TINY, "weight_decay": 0.01}),
    ),
    "RMSprop": Rule(
        partial(OPTIMIZERS.RMSprop, 0.001, rho=0.9, epsilon=TINY), partial(rmsprop, lr=0.001, eps=TINY), (0.0,),
        ("RMSprop", {"lr": 0.001, "alpha": 0.9, "eps": TINY}),
    ),
    "Adagrad": Rule(
        partial(OPTIMIZERS.Adagrad, 0.01, epsilon=TINY), partial(adagrad, lr=0.01, eps=TINY), (0.1,),
        ("Adagrad", {"lr": 0.01, "eps": TINY, "initial_accumulator_value": 0.1}),
    ),
}  # fmt: skip


def torch_optimizers(torch: Any, rule: str, parameters: Callable[[], list[Any]]) -> dict[str, tuple[Any, list[Any]]]:
    """Each implementation that torch has of a rule, with parameters of its own."""
    name, options = RULES[rule].torch
    kind = getattr(torch.optim, name)
    found = {}
    for variant in ("torch", "torch foreach", "torch fused"):
        way = variant.removeprefix("torch").strip()
        if way == "foreach" and options.get("nesterov"):
            continue  # overwrites the gradient, which every call here gets again
        if not way or way in inspect.signature(kind).parameters:
            own = parameters()
            found[variant] = (kind(own, **options, **({way: True} if way else {})), own)
    return found


# ---- one update over many weights ------------------------------------------------------------------------------------


def update(name: str) -> Race:
    rule = RULES[name]
    n = rule.weights
    w, g = random(n, low=-0.1, high=0.1), random(n, low=0.001, high=0.03, seed=1)
    g[::2] *= -1
    optimizer, variable, gradient = rule.ours(), mw.tensor(w.copy(), requires_grad=True), mw.tensor(g)

    def ours() -> Array:
        optimizer.apply([gradient], [variable])
        return variable.data

    calls: dict[str, Call] = {"eager": ours}
    calls |= by_numpy(rule.by_hand, lambda: [w.copy(), g, *(np.full_like(w, s) for s in rule.slots)], counted=True)
    if torch := import_torch():
        made = torch_optimizers(torch, name, lambda: [torch.from_numpy(w.copy()).requires_grad_()])
        for variant, (torch_optimizer, (parameter,)) in made.items():
            parameter.grad = torch.from_numpy(g.copy())
            calls[variant] = partial(_torch_update, torch_optimizer, parameter.detach())

    def exact() -> Array:
        wide = [a[::101].astype(np.float64) for a in (w, g)]
        row = SimpleNamespace(weights=wide[0], slot=[np.full_like(wide[0], s) for s in rule.slots])
        hyper = rule.ours().hyper
        for _ in range(3):
            getattr(reference, optimizer.rule)([row], [wide[1]], 1, hyper)
        return wide[0]

    return Race(exact, calls, repeat=3, every=101)


def _torch_update(optimizer: Any, weights: Any) -> Any:
    optimizer.step()
    return weights


def update_operations(name: str) -> int:
    """For each weight, by this rule."""
    kind = name.lower().split("+")[0]
    kernel = {"momentum": "sgd", "nesterov": "sgd", "adamw": "adam"}.get(kind, kind)
    return OPERATIONS[kernel] + 2 * (kernel != kind) + 2 * ("L2" in name)


def _update_case(name: str, rule: Rule) -> Case:
    moved = 4 * rule.weights * (3 + 2 * len(rule.slots))  # reads gradients, reads and writes weights and state
    work = update_operations(name) * rule.weights
    return Case(f"update {name} {rule.weights // 1_000_000}M", work, moved, partial(update, name), ours=("eager",))


CASES = [_update_case(name, rule) for name, rule in RULES.items()]
