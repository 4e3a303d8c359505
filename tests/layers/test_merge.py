"""Layers that make one tensor of several give Keras's numbers, shapes and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import numbers, same_as_eager

import microweights as mw

layers = mw.layers
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "two": [(4, 3), (4, 3)],
    "broadcast": [(4, 2, 3), (4, 1, 3)],
    "fewer axes": [(4, 3), (4, 2, 3)],
    "samples alone": [(4,), (4, 2, 3)],
}
THREE = {"three": [(4, 3)] * 3, "one": [(4, 2, 3)]}
PAIRS = [("Subtract", "subtract")]
LISTS = [(n, n.lower()) for n in ("Add", "Multiply", "Average", "Maximum", "Minimum")]


def given(shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    return [numbers(*shape, seed=i) for i, shape in enumerate(shapes)]


CASES = [(cls, name, case) for cls, name in PAIRS + LISTS for case in SHAPES]
CASES += [(cls, name, case) for cls, name in LISTS for case in THREE]


@pytest.mark.parametrize(("cls", "name", "case"), CASES)
def test_merges_are_keras_s(cls: str, name: str, case: str, keras: Any, setting: str) -> None:
    xs = given((SHAPES | THREE)[case])
    expected = np.asarray(getattr(keras.layers, cls)()(xs))
    layer = getattr(layers, cls)()
    for found in (layer(xs), getattr(layers, name)(xs), layer(tuple(xs))):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-7)
    assert layer.output_shape == (None, *expected.shape[1:])
    symbols = [mw.Input(x.shape[1:]) for x in xs]
    assert layer(symbols).shape == getattr(keras.layers, cls)()([keras.Input(x.shape[1:]) for x in xs]).shape


@pytest.mark.parametrize(
    ("axis", "shapes"), [(-1, [(4, 2), (4, 3)]), (1, [(4, 2, 3), (4, 1, 3)]), (0, [(4, 2), (1, 2)]), (-2, [(4, 1, 3)] * 3)]
)
def test_concatenate_is_keras_s(axis: int, shapes: Any, keras: Any, setting: str) -> None:
    xs = given(shapes)
    expected = np.asarray(keras.layers.Concatenate(axis)(xs))
    for found in (layers.Concatenate(axis)(xs), layers.concatenate(xs, axis)):
        np.testing.assert_array_equal(found.numpy(), expected)


DOTS: list[tuple[Any, list[tuple[int, ...]]]] = [
    (1, [(4, 3), (4, 3)]), (-1, [(4, 2, 3), (4, 5, 3)]), ((2, 1), [(4, 2, 3), (4, 3, 5)]), ((1, 2), [(4, 3), (4, 2, 3)]),
    ((-1, 1), [(4, 2, 6, 3), (4, 3, 5)]), ((1, 2), [(4, 3, 2, 1), (4, 5, 3, 2)]), ([2, 1], [(4, 2, 3), (4, 3)]),
]  # fmt: skip


@pytest.mark.parametrize(("axes", "shapes"), DOTS, ids=str)
@pytest.mark.parametrize("normalize", [False, True])
def test_dot_is_keras_s(axes: Any, shapes: Any, normalize: bool, keras: Any, setting: str) -> None:
    xs = given(shapes)
    expected = np.asarray(keras.layers.Dot(axes, normalize)(xs))
    for found in (layers.Dot(axes, normalize)(xs), layers.dot(xs, axes, normalize=normalize)):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-6, atol=1e-6)


def test_cosines_of_nothing_are_zero() -> None:
    x = mw.tensor(np.zeros((2, 3)), requires_grad=True)
    z = layers.Dot(1, normalize=True)([x, x])
    assert z.tolist() == [[0.0], [0.0]] and np.isfinite(mw.grad(z.sum(), x).numpy()).all()


ALL = [layers.Add(), layers.Subtract(), layers.Multiply(), layers.Average(), layers.Maximum(), layers.Minimum(),
       layers.Concatenate(), layers.Dot(1), layers.Dot((1, 1), True)]  # fmt: skip


@pytest.mark.parametrize("layer", ALL, ids=lambda layer: layer.name)
def test_gradients_and_configurations(layer: Any) -> None:
    xs = [mw.tensor(numbers(2, 3, seed=i, dtype="float64"), requires_grad=True) for i in (1, 2)]
    double = type(layer).from_config({**layer.get_config(), "dtype": "float64"})
    assert double.get_config() == {**layer.get_config(), "dtype": "float64"}
    assert mw.gradcheck(lambda x, y: double([x, y]), xs)
    same_as_eager(lambda x, y: layer([x, y]), numbers(4, 3), numbers(4, 3, seed=1))


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (layers.Add(), np.zeros((2, 3)), r"a list of at least one tensors .* of <Add 'add'>\. Received: Tensor\. Put"),
        (layers.Subtract(), [np.zeros((2, 3))] * 3, r"a list of 2 tensors .* of <Subtract 'subtract'>\. Received: 3 of"),
        (layers.Dot(1), [np.zeros((2, 3))], "a list of 2 tensors"),
        (layers.Dot(1), [np.zeros((2, 3)), np.zeros((2, 4))], r"axes \(1, 1\)\. Received: shapes \(2, 3\) and \(2, 4\)"),
        (layers.Concatenate(), [np.zeros((2, 3)), np.zeros((3, 3))], "Expected tensors whose shapes differ only in axis 1"),
        (layers.Multiply(), [np.zeros((2, 3)), np.zeros((2, 4))], "Expected"),
    ],
)  # fmt: skip
def test_what_does_not_fit(layer: Any, inputs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(inputs)


@pytest.mark.parametrize("axes", [0, (1,), (1, 2, 3), "12", 1.0, (0, 1)])
def test_axes_of_dot(axes: Any) -> None:
    with pytest.raises(ValueError, match="Expected `axes`"):
        layers.Dot(axes)
