"""Image augmentation against Keras's where nothing is random, and by its distributions where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import in_c, numbers

import microweights as mw

layers = mw.layers
FIXED: list[tuple[str, dict[str, Any]]] = [
    ("RandomTranslation", {"height_factor": (0.23, 0.23), "width_factor": (-0.31, -0.31)}),
    ("RandomRotation", {"factor": (0.11, 0.11)}),
    ("RandomZoom", {"height_factor": (0.3, 0.3), "width_factor": (-0.2, -0.2)}),
    ("RandomZoom", {"height_factor": (0.4, 0.4)}),
]
RANDOM: dict[str, Any] = {
    "RandomFlip": {}, "RandomCrop": {"height": 5, "width": 4}, "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3},
    "RandomRotation": {"factor": 0.2}, "RandomZoom": {"height_factor": 0.3}, "RandomBrightness": {"factor": 0.3},
    "RandomContrast": {"factor": 0.5}, "RandomErasing": {}, "MixUp": {}, "CutMix": {},
}  # fmt: skip


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "wrap", "reflect"])
@pytest.mark.parametrize(("name", "options"), FIXED)
def test_what_moves_is_keras_s(name: str, options: Any, fill_mode: str, interpolation: str, keras: Any) -> None:
    x = numbers(3, 9, 7, 2)
    options = {**options, "fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 3.0}
    expected = getattr(keras.layers, name)(**options)(x, training=True)
    found = getattr(layers, name)(**options)(x, training=True).numpy()
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-4)


def test_colours_are_keras_s(keras: Any) -> None:
    x = np.random.default_rng(0).uniform(0, 255, (3, 6, 5, 3)).astype("float32")
    for name, factor in (("RandomBrightness", (0.3, 0.3)), ("RandomContrast", (0.0, 0.0))):
        expected = getattr(keras.layers, name)(factor)(x, training=True)
        found = getattr(layers, name)(factor)(x, training=True).numpy()
        np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", RANDOM)
def test_only_a_training_is_augmented(name: str) -> None:
    mw.seed(0)
    layer = getattr(layers, name)(**RANDOM[name])
    x = np.random.default_rng(0).integers(0, 256, (8, 5 + 2 * (name == "RandomCrop"), 6, 3)).astype(np.uint8)
    left = layer(x, training=False).numpy()
    if name != "RandomCrop":
        assert (left == x).all()
    assert not (layer(x, training=True).numpy() == left).all()
    assert not (layer(x).numpy() == left).all()  # called alone
    model = mw.Sequential([mw.Input(x.shape[1:]), layer])
    assert (model(x).numpy() == left).all() and (model.predict(x) == left).all()


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_makes_a_stream_of_its_own(name: str) -> None:
    x = numbers(8, 7, 6, 3) * 100 + 100
    first, second = (getattr(layers, name)(**RANDOM[name], seed=3) for _ in range(2))
    a, b = ([layer(x, training=True).numpy().tobytes() for _ in range(6)] for layer in (first, second))
    assert a == b and len(set(a)) > 1


@in_c
@pytest.mark.parametrize("name", RANDOM)
def test_each_step_of_a_program_draws_anew(name: str) -> None:
    mw.seed(0)
    layer, x = getattr(layers, name)(**RANDOM[name]), mw.tensor(numbers(8, 7, 6, 3) * 100 + 100)
    captured = mw.capture(lambda x: layer(x, training=True))
    results = [captured(x).numpy().tobytes() for _ in range(6)]
    assert len(captured.programs) == 1 and len(set(results)) > 3


def test_each_image_has_numbers_of_its_own() -> None:
    mw.seed(1)
    x = np.broadcast_to(numbers(1, 6, 6, 1), (64, 6, 6, 1)).copy()
    z = layers.RandomFlip("horizontal")(x, training=True).numpy()
    mirrored = [(image == x[0, :, ::-1]).all() for image in z]
    assert all(m or (image == x[0]).all() for m, image in zip(mirrored, z, strict=True)) and 16 < sum(mirrored) < 48
    ways = layers.RandomTranslation(0.3, 0.3)(x, training=True).numpy()
    assert len({image.tobytes() for image in ways}) == 64


def test_a_crop_is_a_part_of_each_image() -> None:
    rows = np.broadcast_to(np.arange(9.0)[:, None, None], (2, 9, 7, 1)).astype("float32")
    firsts = [layers.RandomCrop(4, 5)(rows, training=True).numpy() for _ in range(60)]
    assert {z[0, 0, 0, 0] for z in firsts} == {0, 1, 2, 3, 4, 5}
    assert all((np.diff(z[..., 0], axis=1) == 1).all() and (z[0] == z[1]).all() for z in firsts)


def test_mixtures_mix_labels_by_the_same_shares() -> None:
    mw.seed(2)
    values = np.arange(8, dtype="float32")
    x, labels = np.broadcast_to(values[:, None, None, None], (8, 6, 6, 1)).copy(), np.eye(8, dtype="float32")
    for layer in (layers.MixUp(0.4), layers.CutMix()):
        mixed = layer({"images": x, "labels": labels}, training=True)
        z, y = mixed["images"].numpy(), mixed["labels"].numpy()
        np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)
        if isinstance(layer, layers.MixUp):
            np.testing.assert_allclose(z[:, 0, 0, 0], y @ values, rtol=1e-4, atol=1e-4)
        assert not (z == x).all()
    with pytest.raises(ValueError, match="labels of two axes"):
        layers.MixUp()({"images": x, "labels": values}, training=True)
    with pytest.raises(ValueError, match="Boxes"):
        layers.RandomFlip()({"images": x, "bounding_boxes": labels}, training=True)


def test_the_beta_distribution_has_its_moments() -> None:
    mw.seed(3)
    x = mw.tensor(np.zeros((20000, 1), "float32"))
    for alpha in (0.2, 1.0, 3.0):
        drawn = layers.MixUp()._beta(x, alpha).numpy()
        assert abs(drawn.mean() - 0.5) < 0.01 and abs(drawn.var() - 1 / (8 * alpha + 4)) < 0.005


def test_one_image_and_channels_first() -> None:
    image = numbers(6, 5, 3)
    assert layers.RandomFlip()(image).shape == (6, 5, 3)
    layer = layers.RandomTranslation((0.5, 0.5), 0.0, "constant", data_format="channels_first")
    z = layer(numbers(2, 3, 4, 5), training=True).numpy()
    assert (z[:, :, :2] == 0).all() and not (z[:, :, 2:] == 0).all()


@in_c
def test_a_training_with_augmentation_is_one_program() -> None:
    augment = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomContrast(0.2)]
    head = [layers.Rescaling(1 / 255), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(1)]
    model = mw.Sequential([mw.Input((8, 8, 1)), *augment, *head])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    model.fit(x, numbers(40, 1), epochs=3, batch_size=8, verbose=0)
    assert len(model._steps["fit"].programs) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RandomFlip("diagonal"), "`mode`"),
        (lambda: layers.RandomRotation(2.0), "`factor` to be one or two numbers"),
        (lambda: layers.RandomZoom(0.1, fill_mode="mirror"), "`fill_mode` out of"),
        (lambda: layers.RandomBrightness(0.1, value_range=(1, 1)), "`value_range`"),
        (lambda: layers.MixUp(0.0), "`alpha` above 0"),
        (lambda: layers.RandomFlip()(np.zeros((2, 2), "float32")), "images"),
    ],
)
def test_what_cannot_be_is_said(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
