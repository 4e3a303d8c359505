"""dir() of a public module shows what is for its users: no modules of its own, no names of typing, nothing without a word."""

from __future__ import annotations

import importlib
import inspect
import typing

import pytest

import microweights as mw

MODULES = ["activations", "inspect", "layers", "models", "ops", "random", "utils"]
PARTS = {name for name in mw.__all__ if inspect.ismodule(getattr(mw, name))}


def test_the_top() -> None:
    assert set(dir(mw)) == {*mw.__all__, "__version__"}
    assert {"activations", "layers", "models", "random", "utils", "losses", "metrics", "optimizers"} <= PARTS
    for name in set(mw.__all__) - PARTS:
        assert inspect.getdoc(getattr(mw, name)), name
    assert not hasattr(mw, "nonsense")


@pytest.mark.parametrize("place", MODULES)
def test_public_names(place: str) -> None:
    module = importlib.import_module(f"microweights.{place}")
    names = dir(module)
    assert names == sorted(set(names)) and module.__doc__
    for name in names:
        thing = getattr(module, name)
        assert not name.startswith("_") and not inspect.ismodule(thing) and thing is not getattr(typing, name, None), name
        assert name == "OPS" or (callable(thing) and thing.__module__.startswith("microweights")), name
        assert inspect.getdoc(thing), name


def test_imports_as_tutorials_write_them() -> None:
    from microweights.layers import Activation, Dense, Dropout, Flatten, Input, InputLayer
    from microweights.models import Model, Sequential
    from microweights.utils import set_random_seed, to_categorical

    assert Sequential is mw.Sequential and Model is mw.Model and Input is mw.Input
    assert isinstance(InputLayer((4,)), mw.layers.Layer)
    assert all(map(callable, (Activation, Dense, Dropout, Flatten, to_categorical, set_random_seed, mw.random.seed)))
