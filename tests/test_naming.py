"""Names as Keras makes them, and parts that are written down as the arguments that make them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from microweights.naming import Configurable, lookup, snake_case


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Conv2D", "conv2d"), ("Conv2DTranspose", "conv2d_transpose"), ("GRU", "gru"), ("LSTM", "lstm"), ("ReLU", "re_lu"),
     ("MaxPooling1D", "max_pooling1d"), ("PReLU", "p_re_lu"), ("GRUCell", "gru_cell"), ("L1L2", "l1_l2"),
     ("HeNormal", "he_normal"), ("KLDivergence", "kl_divergence"), ("MyLayer2", "my_layer2"), ("dense", "dense"), ("A", "a")],
)  # fmt: skip
def test_snake_case(name: str, expected: str) -> None:
    assert snake_case(name) == expected


def test_names_of_layers_are_keras_s(keras: Any) -> None:
    theirs = pytest.importorskip("keras.src.utils.naming").to_snake_case
    names = [n for m in (keras.layers, keras.losses, keras.metrics) for n, c in vars(m).items() if isinstance(c, type)]
    assert len(names) > 150
    assert {n: snake_case(n) for n in names} == {n: theirs(n) for n in names}


class Base(Configurable):
    def __init__(self, name: str | None = None, dtype: Any = np.float32) -> None:
        self.name, self.dtype = name, np.dtype(dtype)


class Part(Base):
    def __init__(self, units: Any, inner: Any = None, *, scale: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.scale = units, scale
        self.inner = None if inner is None else lookup("a part", inner, Base, {"plain": Base})


def test_a_part_is_made_again_from_its_arguments() -> None:
    part = Part(np.int64(3), inner=Part([1, (2, 3)], name="b", scale=np.float64(0.5)), dtype="float64")
    config = part.get_config()
    assert config == {
        "units": 3, "scale": 1.0, "name": None, "dtype": "float64",
        "inner": {"class_name": "Part", "config": {
            "units": [1, [2, 3]], "inner": None, "scale": 0.5, "name": "b", "dtype": "float32"}},
    }  # fmt: skip
    twin = Part.from_config(json.loads(json.dumps(config)))
    assert twin.get_config() == config and type(twin.inner) is Part and twin.inner is not part.inner
    part.scale = 7.0
    assert part.get_config()["scale"] == 7.0 and twin.scale == 1.0


def test_a_part_is_shown_as_it_is_written() -> None:
    assert repr(Part(3)) == "Part(units=3)"
    assert repr(Part(3, Base(), scale=2.0, name="a")) == "Part(units=3, inner=Base(), scale=2.0, name='a')"


def test_functions_and_types_go_by_their_names() -> None:
    config = Part(snake_case, inner=None, scale=np.tanh).get_config()  # type: ignore[arg-type]
    assert config["units"] == "snake_case" and config["scale"] == "tanh"


@pytest.mark.parametrize("given", [lambda x: x, object(), {1: 2}, {"a": object()}, test_snake_case])
def test_what_json_cannot_hold_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match=r"Expected Part\.units to be what JSON can hold"):
        Part(given).get_config()


def test_arguments_that_are_not_kept_are_named() -> None:
    class Forgetful(Configurable):
        def __init__(self, a: int, b: int = 2) -> None:
            self.a = a

    with pytest.raises(TypeError, match="Received: no attribute 'b'"):
        Forgetful(1).get_config()


def test_lookup() -> None:
    table = {"plain": Base, "ready": Part(7)}
    assert type(lookup("a part", "plain", Base, table)) is Base and lookup("a part", "ready", Base, table).units == 7  # type: ignore[attr-defined]
    made = lookup("a part", {"class_name": "Part", "config": {"units": 4}}, Base, table)
    assert type(made) is Part and made.units == 4
    assert type(lookup("a part", {"class_name": "Base", "config": {}}, Base, table)) is Base
    assert type(lookup("a part", {"class_name": "plain"}, Base, table)) is Base
    for wrong, error in (("plane", ValueError), ({"class_name": "Plane", "config": {}}, ValueError), ({}, TypeError),
                         (3, TypeError), (None, TypeError), (Configurable, TypeError)):  # fmt: skip
        with pytest.raises(error, match="Expected a part"):
            lookup("a part", wrong, Base, table)
