"""Masks travel from the layer that makes them to those that take them and to the loss, as in Keras."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from helpers import numbers

import microweights as mw

layers = mw.layers


def padded(*shape: int, seed: int = 0) -> np.ndarray:
    """Sequences whose last times are zeros, of each sample another number of them."""
    x = numbers(*shape, seed=seed)
    for i in range(len(x)):
        x[i, shape[1] - i % shape[1] :] = 0
    return x


X = padded(6, 4, 3)
MASK = np.array(X != 0).any(-1)


def values(t: Any) -> np.ndarray:
    return t.detach().numpy() if hasattr(t, "detach") else np.asarray(t)  # Keras may run on torch


def mask_in(lib: Any, z: Any) -> Any:
    found = z.mask if lib is mw else lib.src.backend.get_keras_mask(z)
    return None if found is None else values(found)


def library(lib: Any) -> Any:
    """A layer that takes a mask, one that knows nothing of masks, one that passes them on, and one that makes one."""
    add = (lambda x: x.sum(1)) if lib is mw else (lambda x: lib.ops.sum(x, axis=1))
    number = (lambda m: m.astype("float32")) if lib is mw else (lambda m: lib.ops.cast(m, "float32"))

    class Pool(lib.layers.Layer):
        def call(self, x: Any, mask: Any = None) -> Any:
            self.was_given = mask is not None
            return add(x) if mask is None else add(x * number(mask)[:, :, None])

    class Plain(lib.layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    class Passes(Plain):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.supports_masking = True

    class Makes(lib.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

        def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
            return inputs[:, :, 0] > 0

    class Both(lib.layers.Layer):
        def call(self, query: Any, value: Any, query_mask: Any = None, value_mask: Any = None) -> Any:
            self.was_given = query_mask is not None, value_mask is not None
            return query + value

    return {"Pool": Pool, "Plain": Plain, "Passes": Passes, "Makes": Makes, "Both": Both}


def both_ways(build: Any, keras: Any, *xs: Any) -> None:
    """What `build` makes of a library gives the same numbers and the same mask in both."""
    found, expected = build(mw, library(mw), *xs), build(keras, library(keras), *map(keras.ops.convert_to_tensor, xs))
    np.testing.assert_allclose(values(found), values(expected), rtol=1e-6, atol=1e-6)
    ours, theirs = mask_in(mw, found), mask_in(keras, expected)
    assert (ours is None) == (theirs is None)
    np.testing.assert_array_equal(ours, theirs)
    if ours is not None:
        assert ours.dtype == bool


WAYS = {
    "masking": lambda lib, own, x: lib.layers.Masking()(x),
    "another value": lambda lib, own, x: lib.layers.Masking(1.0)(x),
    "twice": lambda lib, own, x: own["Makes"]()(lib.layers.Masking()(x)),
    "activation": lambda lib, own, x: lib.layers.Activation("tanh")(lib.layers.Masking()(x)),
    "dropout": lambda lib, own, x: lib.layers.Dropout(0.5)(lib.layers.Masking()(x)),
    "dense": lambda lib, own, x: lib.layers.Dense(2, kernel_initializer="ones")(lib.layers.Masking()(x)),
    "taken": lambda lib, own, x: own["Pool"]()(lib.layers.Masking()(x)),
    "taken later": lambda lib, own, x: own["Pool"]()(own["Passes"]()(lib.layers.Activation("relu")(own["Makes"]()(x)))),
    "operators": lambda lib, own, x: own["Pool"]()(lib.layers.Masking()(x) * 1.0),
    "made": lambda lib, own, x: own["Makes"]()(x),
    "given": lambda lib, own, x: own["Pool"]()(x, mask=x[:, :, 1] > 0),
    "add": lambda lib, own, x: lib.layers.Add()([lib.layers.Masking()(x), own["Makes"]()(x)]),
    "add one": lambda lib, own, x: lib.layers.Add()([lib.layers.Masking()(x), x]),
    "average": lambda lib, own, x: lib.layers.Average()([lib.layers.Masking()(x), own["Makes"]()(x)]),
    "subtract": lambda lib, own, x: lib.layers.Subtract()([lib.layers.Masking()(x), own["Makes"]()(x)]),
    **{
        f"{name} {count}": lambda lib, own, x, name=name, more=more: getattr(lib.layers, name)()(
            [lib.layers.Masking()(x), *more(lib, own, x)]
        )
        for name in ("Multiply", "Maximum", "Minimum")
        for count, more in {
            "all": lambda lib, own, x: [own["Makes"]()(x * 2)],
            "one": lambda lib, own, x: [x * 2],
            "three": lambda lib, own, x: [own["Makes"]()(x * 2), own["Makes"]()(1 - x)],
            "two of three": lambda lib, own, x: [x * 2, own["Makes"]()(1 - x)],
        }.items()
    },
    "concatenate": lambda lib, own, x: lib.layers.Concatenate()([lib.layers.Masking()(x), own["Makes"]()(x)]),
    "concatenate one": lambda lib, own, x: lib.layers.Concatenate(axis=1)([lib.layers.Masking()(x), x]),
    "concatenate times": lambda lib, own, x: lib.layers.Concatenate(axis=1)([lib.layers.Masking()(x), own["Makes"]()(x)]),
    "dot": lambda lib, own, x: lib.layers.Dot(2)([lib.layers.Masking()(x), own["Makes"]()(x)]),
    "two": lambda lib, own, x: own["Both"]()(lib.layers.Dropout(0.5)(x), lib.layers.Masking()(x)),
    "cast": lambda lib, own, x: lib.layers.Dense(1, kernel_initializer="ones", dtype="float64")(lib.layers.Masking()(x)),
    "row": lambda lib, own, x: lib.Sequential([lib.layers.Masking(), lib.layers.Dropout(0.5), own["Pool"]()])(x),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_masks_travel_as_keras_s(way: str, keras: Any, setting: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of what it has been told, too
        both_ways(WAYS[way], keras, X)


def test_a_mask_reaches_who_takes_it() -> None:
    own = library(mw)
    pool, two = own["Pool"](), own["Both"]()
    x = layers.Masking()(X)
    pool(X)
    assert pool.was_given is False
    pool(x)
    assert pool.was_given is True
    two(X, x)
    assert two.was_given == (False, True)
    two(query=x, value=X)
    assert two.was_given == (True, False)


def test_a_layer_that_knows_nothing_of_masks_says_so() -> None:
    plain = library(mw)["Plain"]()
    with pytest.warns(UserWarning, match=r"Expected layers that pass masks on\. Received: .*<Plain 'plain'>, which ends there"):
        assert plain(layers.Masking()(X)).mask is None


def test_what_came_in_keeps_the_mask_that_it_had() -> None:
    makes = library(mw)["Makes"]()
    x = mw.tensor(X, requires_grad=True)
    z = makes(x)
    assert x.mask is None and z.mask is not None
    assert (mw.grad(z.sum(), x).numpy() == 1).all()
    z = layers.Masking()(x)
    assert z.detach().mask is None and (z + 0).mask is None and z.copy().mask is None
    assert layers.Dropout(0.5)(z) is z


def network(lib: Any, way: str) -> Any:
    """One in a row, one of symbols, one in another."""
    x = lib.Input((4, 3))
    parts = [lib.layers.Masking(), lib.layers.Dense(5, "tanh"), lib.layers.Dropout(0.0), lib.layers.Dense(2)]
    if way == "row":
        return lib.Sequential([x, *parts])
    y = x
    for part in parts:
        y = part(y)
    model = lib.Model(x, y)
    if way == "symbols":
        return model
    other = lib.Input((4, 3))
    return lib.Model(other, lib.layers.Activation("linear")(model(other)))


@pytest.mark.parametrize("way", ["row", "symbols", "nested"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
def test_the_loss_spares_what_is_masked(way: str, weighted: bool, reduction: str, keras: Any, c_only: str) -> None:
    ours, theirs = network(mw, way), network(keras, way)
    ours.set_weights(theirs.get_weights())
    y, weights = numbers(6, 4, 2, seed=3), np.arange(1.0, 7.0, dtype=np.float32)
    given = {mw: weights, keras: weights[:, None].repeat(4, 1)} if weighted else {mw: None, keras: None}
    for lib, model in ((mw, ours), (keras, theirs)):
        model.compile(lib.optimizers.SGD(0.01), lib.losses.MeanSquaredError(reduction=reduction))
    for _ in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Keras, of models in models
            found, expected = (
                float(np.ravel(model.train_on_batch(X, y, sample_weight=given[lib]))[0])
                for lib, model in ((mw, ours), (keras, theirs))
            )
        assert found == pytest.approx(expected, rel=1e-5)
    step = ours._steps["train"]
    assert len(step.programs) == 1 and step.captured.recordings == 2
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", ["row", "symbols", "nested"])
def test_a_captured_training_sees_each_batch_s_mask(way: str, c_only: str) -> None:
    x, y = padded(22, 4, 3, seed=5), numbers(22, 4, 2, seed=3)
    results = []
    for eager in (False, True):
        mw.seed(0)
        model = network(mw, way)
        model.compile("adam", "mse", eager=eager)
        history = model.fit(x, y, batch_size=4, epochs=3, verbose=0).history
        results.append((history, [w.tobytes() for w in model.get_weights()]))
        if not eager:
            assert len(model._steps["fit"].programs) == 2
    assert results[0] == results[1]


def test_a_loss_of_nothing_but_padding_is_zero() -> None:
    z = layers.Masking()(np.zeros((2, 3, 1), np.float32))
    assert mw.losses.MeanSquaredError()(np.ones((2, 3, 1)), z).item() == 0


def test_masking_keeps_what_is_data() -> None:
    x = np.array([[[1.0, 0.0], [0.0, 0.0], [np.nan, 0.0]]], np.float32)
    z = layers.Masking()(x)
    np.testing.assert_array_equal(z.numpy(), x)
    assert z.mask is not None and z.mask.tolist() == [[True, False, True]]
    assert layers.Masking(2.0, name="m").get_config()["mask_value"] == 2.0
