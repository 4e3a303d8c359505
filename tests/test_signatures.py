"""Arguments by position, their order and their defaults are Keras's, for everything public that both libraries have."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import microweights as mw
from microweights.naming import parameters

MODULES = ("optimizers", "schedules", "callbacks", "initializers", "regularizers", "losses", "metrics", "layers")
FAMILIES = {
    f"{m}.{name}": found for m in MODULES for name, found in sorted(vars(getattr(mw, m)).items())
    if inspect.isclass(found) and found.__module__.startswith(getattr(mw, m).__name__) and name[0].isupper()
}  # fmt: skip

# What differs on purpose. An argument stands for itself in every class, or with the name of its class.
DEFAULTS = {
    "name": "None stands for the name of the class",
    "F1Score.average": "a score for each class, Keras's default, is no number for a history",
}
# Classes that share a name and little more.
OTHER_THINGS = {"callbacks.CallbackList": "it takes what fit has", "optimizers.Optimizer": "Keras's hides what it takes"}


def by_position(thing: type) -> list[inspect.Parameter]:
    found = inspect.signature(thing).parameters.values()
    return [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def theirs_for(keras: Any, place: str) -> Any:
    module, name = place.split(".")
    found = getattr(keras.optimizers.schedules if module == "schedules" else getattr(keras, module), name, None)
    return found if inspect.isclass(found) else None


def one_for_all(default: Any) -> Any:
    """(1, 1), which is 1 for each axis, as 1."""
    return one_for_all(default[0]) if isinstance(default, tuple) and len(set(default)) == 1 else default


def differences(ours: type, theirs: type, label: str) -> list[str]:
    """What somebody would meet who calls our class as theirs."""
    mine, its = by_position(ours), by_position(theirs)
    found = [f"argument {i} is {p.name!r}, in Keras {q.name!r}" for i, (p, q) in enumerate(zip(mine, its)) if p.name != q.name]
    found += [f"{p.name!r} by position, which Keras has not" for p in mine[len(its) :]]
    known, every = inspect.signature(theirs).parameters, parameters(ours)
    for name in known.keys() & every.keys():
        same = one_for_all(every[name].default) == one_for_all(known[name].default)
        if not same and not {name, f"{label}.{name}"} & DEFAULTS.keys():
            found.append(f"{name!r} is {every[name].default!r}, in Keras {known[name].default!r}")
    return found


@pytest.mark.parametrize("place", FAMILIES)
def test_arguments_are_keras_s(keras: Any, place: str) -> None:
    theirs = theirs_for(keras, place)
    if theirs is None or place in OTHER_THINGS:
        pytest.skip("Keras has none of that name")
    assert differences(FAMILIES[place], theirs, place.split(".")[1]) == []


def test_most_is_compared(keras: Any) -> None:
    compared = [place for place in FAMILIES if theirs_for(keras, place) is not None]
    assert len(compared) >= 60 and {place.split(".")[0] for place in compared} == set(MODULES)


def test_differences_are_found() -> None:
    class Theirs:
        def __init__(self, a: int, b: float = 1.0, c: Any = None, d: bool = True) -> None: ...

    class Same:
        def __init__(self, a: int, b: float = 1.0, *, d: bool = True, own: int = 3) -> None: ...

    class Swapped:
        def __init__(self, b: float = 1.0, a: int = 0) -> None: ...

    class Longer:
        def __init__(self, a: int, b: float = 2.0, c: Any = None, d: bool = True, own: int = 3) -> None: ...

    assert differences(Same, Theirs, "Same") == []
    assert differences(Swapped, Theirs, "Swapped")[:2] == [
        "argument 0 is 'b', in Keras 'a'", "argument 1 is 'a', in Keras 'b'"
    ]  # fmt: skip
    assert differences(Longer, Theirs, "Longer") == ["'own' by position, which Keras has not", "'b' is 2.0, in Keras 1.0"]


def test_defaults_by_heart() -> None:
    """Those that matter most, for where Keras is not installed."""
    for rule, given in (
        ("SGD", {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False, "weight_decay": None}),
        ("Adam", {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}),
        ("AdamW", {"learning_rate": 0.001, "weight_decay": 0.004, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}),
        ("RMSprop", {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False}),
        ("Adagrad", {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7, "weight_decay": None}),
    ):
        found = {p.name: p.default for p in by_position(getattr(mw.optimizers, rule))}
        assert list(found.items())[: len(given)] == list(given.items())
        with pytest.raises(TypeError):
            getattr(mw.optimizers, rule)(*[0.1] * (len(found) + 1))
