"""Integers on their way into layers: exact, and without a copy of the data as floats."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights.data.samples import Samples
from microweights.kernels import door

layers = mw.layers
FIRST = 2**24  # the next integer is none that float32 holds


class Table(layers.Layer):
    """A row of a table for each of four identifiers, as a product with zeros and a one."""

    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight((4, 1), "zeros", name="table")
        self.numbers = mw.tensor(np.arange(4.0))

    def call(self, ids: mw.Tensor) -> mw.Tensor:
        assert ids.dtype.kind in "iu"
        rows = ids.astype("float64") - FIRST
        return mw.where(rows.reshape(-1, 1) == self.numbers, 1.0, 0.0) @ self.table


class Tower(mw.Model):
    def __init__(self) -> None:
        super().__init__()
        self.table = Table()

    def call(self, x: mw.Tensor) -> mw.Tensor:
        return self.table(x)


MODELS = {
    "Sequential": lambda: mw.Sequential([Table()]),
    "with an Input": lambda: mw.Sequential([mw.Input((1,), dtype="int64"), layers.Flatten(), Table()]),
    "reshaped": lambda: mw.Sequential([layers.Reshape((1, 1)), layers.Flatten(), Table()]),
    "Model": Tower,
}


@pytest.mark.parametrize("kind", ["int32", "int64", "uint32", "list"])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_identifiers_stay_exact(make: Any, kind: str, setting: str) -> None:
    model = make()
    model.compile(mw.optimizers.SGD(0.5), "mse")
    ids = FIRST + np.repeat(np.arange(4), 8)[:, None]
    y = (ids - FIRST).astype("float32")
    x = ids.tolist() if kind == "list" else ids.astype(kind)
    model.fit(x, y, batch_size=8, epochs=20, verbose=0, validation_data=(x, y))
    assert setting == "numpy" or "gather" in model.explain()  # the steps were captured
    assert model.get_weights()[0].round(2).ravel().tolist() == [0, 1, 2, 3]
    model.set_weights([np.arange(4.0).reshape(4, 1)])
    np.testing.assert_array_equal(model.predict(x, batch_size=5), y)
    assert [model.evaluate(x, y, verbose=0) for _ in range(4)] == [0.0] * 4
    for _ in range(4):
        np.testing.assert_array_equal(model.predict_on_batch(x), y)
        assert model.train_on_batch(x, y) == 0
    np.testing.assert_array_equal(model(x).numpy(), y)


@pytest.mark.parametrize("kind", map(str, door.INTEGERS))
def test_rows_of_a_table(kind: str) -> None:
    class Embedding(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.table = self.add_weight((5, 2), name="table")

        def call(self, ids: mw.Tensor) -> mw.Tensor:
            return self.table[ids]

    model = mw.Sequential([Embedding(), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.array([[0, 1, 4], [2, 2, 3]], kind)
    model.fit(x, [0.0, 1.0], verbose=0)
    np.testing.assert_array_equal(model.layers[0](x).numpy(), model.layers[0].table.numpy()[x.astype(int)])


def image_model(dtype: str = "float32") -> mw.Sequential:
    mw.seed(0)
    model = mw.Sequential([layers.Flatten(dtype=dtype), layers.Dense(8, "relu", dtype=dtype), layers.Dense(3, dtype=dtype)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize("kind", ["bool", *map(str, door.INTEGERS)])
def test_integers_train_as_their_floats_do(kind: str, dtype: str, setting: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 2 if kind == "bool" else 128, (30, 3, 4)).astype(kind), rng.normal(size=(30, 3))
    found = []
    for data in (x, x.astype(dtype)):
        model = image_model(dtype)
        history = model.fit(data, y, batch_size=7, epochs=3, verbose=0, validation_split=0.2, class_weight=None).history
        one = [model.train_on_batch(data[:4], y[:4]) for _ in range(4)]
        arrays = [model.predict(data), model(data).numpy(), *model.get_weights()]
        found.append((history, one, model.evaluate(data, y, verbose=0), [a.tobytes() for a in arrays]))
    assert found[0] == found[1]


def test_weights_of_classes_stay_floats() -> None:
    losses = []
    x = np.random.default_rng(0).integers(0, 3, (12, 2), dtype=np.uint8)
    for data in (x, x.astype("float32")):
        mw.seed(0)
        model = mw.Sequential([layers.Dense(2, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        losses.append(model.fit(data, np.arange(12) % 2, class_weight={0: 0.25, 1: 1.5}, verbose=0).history["loss"])
    assert losses[0] == losses[1]


def test_no_copy_of_the_data_as_floats() -> None:
    x = np.zeros((24_000, 28, 28), np.uint8)  # 19 MB, and 75 as floats
    y = np.zeros((24_000, 3), np.float32)
    assert np.shares_memory(Samples(x).x, x)
    model = image_model()
    model(x[:1])
    tracemalloc.start()
    model.fit(x, y, batch_size=256, epochs=1, verbose=0, validation_split=0.5)
    model.evaluate(x, y, batch_size=256, verbose=0)
    model.predict(x, batch_size=256)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6


def test_infinity_is_found_behind_integers() -> None:
    model = image_model()
    model(np.zeros((1, 2, 2), np.uint8))
    with mw.no_grad():
        model.layers[1].kernel.assign(np.inf)
    with pytest.raises(FloatingPointError, match=r"first in the weights 'dense\.kernel'"):
        model.fit(np.ones((4, 2, 2), np.uint8), np.zeros((4, 3)), verbose=0)


def test_small_integers_as_tensors() -> None:
    t = mw.tensor(np.array([250, 3], np.uint8))
    assert t.dtype == np.uint8 and (t + t).tolist() == [500.0, 6.0] and (t / 2).dtype == np.float32
    assert t.astype("int64").tolist() == [250, 3] == t.astype("uint16").tolist()
    assert repr(t) == "tensor([250,   3], dtype=uint8)"
    with pytest.raises(ValueError, match="numbers that uint8 can hold"):
        mw.tensor([-1, 300], "uint8")
