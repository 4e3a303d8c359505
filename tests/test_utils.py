"""What Keras's users import beside layers."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights import utils


@pytest.mark.parametrize(
    ("x", "classes"),
    [([0, 2, 1], None), ([0, 2, 1], 5), ([[0], [1]], None), (np.array([[0, 1], [3, 0]], "uint8"), 4), (2, None)],
    ids=str,
)  # fmt: skip
def test_to_categorical_is_keras_s(x: Any, classes: int | None) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    found, expected = utils.to_categorical(x, classes), keras.utils.to_categorical(x, classes)
    assert found.dtype == expected.dtype and found.shape == expected.shape and np.array_equal(found, expected)
    values = np.random.default_rng(0).normal(size=(3, 4))
    for options in ({}, {"axis": 1}, {"order": 1}):
        np.testing.assert_allclose(utils.normalize(values, **options), keras.utils.normalize(values, **options))


@pytest.mark.parametrize(("x", "classes"), [([0, 3], 3), ([-1, 0], None), ([0.5], None)])
def test_labels_that_are_no_classes(x: Any, classes: int | None) -> None:
    with pytest.raises(ValueError, match="whole labels from 0 to"):
        utils.to_categorical(x, classes)


def test_no_labels() -> None:
    assert utils.to_categorical(np.zeros(0, int), 3).shape == (0, 3)


def test_one_seed_for_all() -> None:
    drawn = []
    for _ in range(2):
        utils.set_random_seed(7)
        drawn.append((mw.random.normal((3,)).tolist(), np.random.rand(), random.random()))  # noqa: NPY002
    assert drawn[0] == drawn[1]
