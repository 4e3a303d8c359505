"""Signatures of the estimators beside those of scikit-learn, where that is installed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

pytest.importorskip("sklearn")

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
MODULES = ("linear_model", "neural_network")
# Where ours differ on purpose, by class and parameter, and why.
NOT_FIRST = {("MLPRegressor", "loss")}  # ours is the squared error; until scikit-learn 1.7 the sizes of layers stood first
BOTH_NAME_THE_PENALTY = {
    ("LogisticRegression", "penalty"),
    ("LogisticRegression", "l1_ratio"),
}  # deprecated by 1.8, known to all
MORE_PRECISE = {(name, p) for name in ("LinearRegression", "Ridge", "Lasso", "ElasticNet", "LogisticRegression")
                for p in ("tol", "max_iter", "solver")}  # fmt: skip
RATES_OF_STANDARDISED_COLUMNS = {
    (f"SGD{kind}", p) for kind in ("Classifier", "Regressor") for p in ("learning_rate", "eta0", "power_t")
}
OTHER_DEFAULTS = BOTH_NAME_THE_PENALTY | MORE_PRECISE | RATES_OF_STANDARDISED_COLUMNS


def classes() -> Iterator[tuple[type, type]]:
    for module in MODULES:
        ours, theirs = import_module(f"microweights.{module}"), import_module(f"sklearn.{module}")
        yield from ((getattr(ours, name), getattr(theirs, name)) for name in ours.__all__)


def parameters(function: Callable[..., Any], *left_out: str) -> dict[str, inspect.Parameter]:
    return {p.name: p for p in inspect.signature(function).parameters.values() if p.name not in left_out}


def positional(given: dict[str, inspect.Parameter]) -> list[str]:
    return [p.name for p in given.values() if p.kind in POSITIONAL]


def differences(name: str, ours: dict[str, inspect.Parameter], theirs: dict[str, inspect.Parameter]) -> list[str]:
    """What somebody who knows theirs would meet: other positions, or other defaults."""
    mine = positional(ours)
    moved = [] if mine == positional(theirs)[: len(mine)] else [f"{name}{mine} instead of {positional(theirs)}"]
    shared = [p for p in ours if p in theirs and (name, p) not in OTHER_DEFAULTS]
    return moved + [
        f"{name}: {p}={ours[p].default!r} instead of {theirs[p].default!r}"
        for p in shared
        if ours[p].default != theirs[p].default
    ]


@pytest.mark.parametrize("ours, theirs", list(classes()), ids=lambda c: c.__name__)
def test_arguments_stand_where_scikit_learns_do(ours: type, theirs: type) -> None:
    name = ours.__name__
    not_first = [p for c, p in NOT_FIRST if c == name]
    assert differences(name, parameters(ours), parameters(theirs, *not_first)) == []
    shared = [m for m in dir(ours) if not m.startswith(("_", "set_")) and inspect.isroutine(inspect.getattr_static(ours, m))]
    assert {"fit", "predict", "score"} <= set(shared)
    for method in set(shared) & set(dir(theirs)):
        assert differences(method, parameters(getattr(ours, method)), parameters(getattr(theirs, method))) == []


def test_a_difference_is_seen() -> None:
    def theirs(x: Any, y: Any = None, *, z: int = 1) -> None: ...

    for ours, count in (
        (lambda x, y=None: 0, 0),
        (lambda x, y=None, *, z=1, own=2: 0, 0),
        (lambda y=None, x=0: 0, 2),
        (lambda x, own=1, y=None: 0, 1),
        (lambda x, y=0: 0, 1),
        (lambda x, y=None, *, z=2: 0, 1),
    ):
        assert len(differences("f", parameters(ours), parameters(theirs))) == count


@pytest.mark.parametrize("name", [*MODULES, "datasets", "inspect"])
def test_modules_show_their_public_names_only(name: str) -> None:
    module = import_module(f"microweights.{name}")
    assert dir(module) == sorted(module.__all__)
