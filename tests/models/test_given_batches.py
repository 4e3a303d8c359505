"""Training, evaluation and prediction on batches that somebody else makes."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers import in_c

import microweights as mw

layers = mw.layers
RNG = np.random.default_rng(11)
X = RNG.normal(size=(26, 3)).astype("float32")
Y = (X @ [[1.0], [2.0], [-1.0]]).astype("float32")
WEIGHTS = RNG.uniform(0.5, 2, 26).astype("float32")
SIZE = 8  # three whole batches and a smaller one


def made(**options: Any) -> mw.Sequential:
    mw.seed(1)
    model = mw.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile(mw.optimizers.SGD(0.1), "mse", **{"metrics": ["mae"], **options})
    return model


def bits(model: mw.Model) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


def generated(weights: bool = False) -> Iterator[tuple[Any, ...]]:
    for i in range(0, 26, SIZE):
        yield (X[i : i + SIZE], Y[i : i + SIZE], WEIGHTS[i : i + SIZE])[: 3 if weights else 2]


class Dataset(mw.utils.Sequence):  # type: ignore[misc, valid-type]
    def __init__(self, weights: bool = False) -> None:
        super().__init__()
        self.batches = list(generated(weights))
        self.epochs = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]

    def on_epoch_end(self) -> None:
        self.epochs += 1


class Anew:
    """Can be iterated again and again."""

    def __iter__(self) -> Iterator[Any]:
        return generated()


def torch_loader() -> Any:
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(data, batch_size=SIZE)


KINDS: dict[str, Any] = {"generator": generated, "dataset": Dataset, "iterable": Anew, "DataLoader": torch_loader}


@pytest.mark.parametrize("kind", KINDS)
def test_given_batches_train_as_arrays_do(kind: str, setting: str) -> None:
    epochs = 1 if kind == "generator" else 5
    ours, theirs = made(), made()
    found = ours.fit(KINDS[kind](), epochs=epochs, shuffle=False, verbose=0, validation_data=KINDS[kind]()).history
    wanted = theirs.fit(X, Y, SIZE, epochs, shuffle=False, verbose=0, validation_data=(X, Y)).history
    assert found == wanted and bits(ours) == bits(theirs)
    assert ours.evaluate(KINDS[kind]()) == theirs.evaluate(X, Y, SIZE)
    np.testing.assert_array_equal(ours.predict(KINDS[kind]()), theirs.predict(X, SIZE))


def test_numbers_are_keras_s(keras: Any) -> None:
    class Theirs(keras.utils.PyDataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return list(generated(True))[index]

    theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    theirs.compile(keras.optimizers.SGD(0.1), "mse", weighted_metrics=["mae"])
    ours = made(metrics=None, weighted_metrics=["mae"])
    ours.set_weights(theirs.get_weights())
    told = {"epochs": 3, "shuffle": False, "verbose": 0}
    wanted = theirs.fit(Theirs(), validation_data=Theirs(), **told).history
    for dataset in (Dataset(True), Theirs()):
        ours.set_weights([0 * w for w in ours.get_weights()])
        theirs.set_weights(ours.get_weights())
        found = ours.fit(dataset, validation_data=dataset, **told).history
        wanted = theirs.fit(Theirs(), validation_data=Theirs(), **told).history
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5)


def test_shuffled_datasets_and_their_hooks() -> None:
    dataset, model = Dataset(), made()
    model.fit(dataset, epochs=3, verbose=0)
    assert dataset.epochs == 3
    in_order = made()
    in_order.fit(dataset, epochs=3, shuffle=False, verbose=0)
    assert bits(model) != bits(in_order)


def test_steps_of_generators_without_an_end() -> None:
    def forever() -> Iterator[Any]:
        for i in itertools.count():
            taken.append(i)
            yield X[:8], Y[:8]

    taken: list[int] = []
    params: list[Any] = []
    tell = mw.callbacks.LambdaCallback(on_train_begin=lambda logs: params.append(tell.params))
    model = made()
    history = model.fit(forever(), epochs=3, steps_per_epoch=4, verbose=0, callbacks=tell, validation_data=forever(),
                        validation_steps=2).history  # fmt: skip
    assert taken == [*range(4), 0, 1, *range(4, 8), 2, 3, *range(8, 12), 4, 5] and params[0]["steps"] == 4
    assert len(history["val_loss"]) == 3
    taken.clear()
    assert len(model.evaluate(forever(), steps=3)) == 2 and taken == [0, 1, 2]
    assert model.predict(forever(), steps=2).shape == (16, 1)


def test_a_generator_that_ends_early_is_told_of_and_ends_the_training(keras: Any) -> None:
    def train(model: Any) -> list[int]:
        class Counts(module.callbacks.Callback):  # type: ignore[misc, name-defined]
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                batches.append(batch)

        batches: list[int] = []
        with pytest.warns(UserWarning, match="Your input ran out of data; interrupting training"):
            model.fit(generated(), epochs=2, steps_per_epoch=6, verbose=0, callbacks=[Counts()])
        return batches

    module = mw
    assert train(made()) == [0, 1, 2, 3]
    module = keras
    theirs = keras.Sequential([keras.layers.Dense(1)])
    theirs.compile("sgd", "mse")
    assert train(theirs)[:4] == [0, 1, 2, 3]


def test_epochs_after_a_generator_s_end_are_left_out() -> None:
    with pytest.warns(UserWarning, match="ran out of data"):
        history = made().fit(generated(), epochs=3, verbose=0)
    assert history.epoch == [0] and len(history.history["loss"]) == 1


def test_batches_of_inputs_alone_are_for_predictions() -> None:
    model = made()
    np.testing.assert_array_equal(model.predict(iter([X[:8], X[8:]])), model.predict(X, 8))
    with pytest.raises(ValueError, match="targets `y`"):
        model.fit(iter([X]), verbose=0)


@in_c
def test_batches_of_changing_shapes_are_programs_of_their_own() -> None:
    mw.seed(0)

    def lengths() -> Iterator[Any]:
        for i in range(24):
            x = RNG.normal(size=(4, 2 + i % 3, 3)).astype("float32")
            yield x, x.sum((1, 2))[:, None]

    class Sums(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x).sum(1)

    model = Sums()
    model.compile(mw.optimizers.SGD(0.02), "mse")
    losses: list[float] = []
    note = mw.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    model.fit(lengths(), verbose=0, callbacks=note)
    assert len(model._steps["train"].programs) == 3 and losses[-1] < losses[0]
    assert "dense" in model.explain()


def test_nests_in_batches() -> None:
    class Sum(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x: Any) -> Any:
            return {"a": self.dense(x["u"]) + x["v"], "b": x["v"] * 2}

    def batches() -> Iterator[Any]:
        for _ in range(5):
            yield {"u": X, "v": Y}, {"a": Y, "b": 2 * Y}, {"a": WEIGHTS, "b": WEIGHTS}

    model = Sum()
    model.compile("sgd", "mse")
    history = model.fit(batches(), verbose=0).history
    assert set(history) == {"loss", "a_loss", "b_loss"} and history["b_loss"] == [0.0]
    z = model.predict(batches())
    assert {name: a.shape for name, a in z.items()} == {"a": (130, 1), "b": (130, 1)}


def test_class_weights_of_given_batches() -> None:
    y = (X[:, :1] > 0).astype("float32")
    told: dict[str, Any] = {"shuffle": False, "verbose": 0, "class_weight": {0: 1.0, 1: 3.0}}
    ours, theirs = made(), made()
    ours.fit(((X[i : i + SIZE], y[i : i + SIZE]) for i in range(0, 26, SIZE)), **told)
    theirs.fit(X, y, SIZE, **told)
    assert bits(ours) == bits(theirs)


@pytest.mark.parametrize(
    "given",
    [{"y": Y}, {"sample_weight": WEIGHTS}, {"batch_size": 4}, {"validation_split": 0.2}],
    ids=lambda given: next(iter(given)),
)
def test_what_batches_have_already_is_not_given_beside_them(given: dict[str, Any]) -> None:
    model = made()
    with pytest.raises(
        ValueError, match=f"`x` that gives batches by itself. Received: generator together with {next(iter(given))}"
    ):
        model.fit(generated(), verbose=0, **given)
    if "validation_split" not in given:
        with pytest.raises(ValueError, match="gives batches by itself"):
            model.evaluate(generated(), **given)


@pytest.mark.parametrize("where", [0, 2])
def test_bad_batches_are_explained_and_change_nothing(where: int, setting: str) -> None:
    model = mw.Sequential([layers.Input((3,)), layers.Dense(3)])
    model.compile(mw.optimizers.SGD(0.0), mw.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = [np.zeros(8, "int64") for _ in range(4)]
    labels[where][3] = 7
    before = bits(model)
    with pytest.raises(ValueError, match=r"labels .*from 0 to 2"):
        model.fit(((X[:8], y) for y in labels), verbose=0)
    assert bits(model) == before
    with pytest.raises(FloatingPointError, match="the input data"):
        made().fit(((np.where(i == where, np.nan, X[:8]).astype("float32"), Y[:8]) for i in range(4)), verbose=0)
    with pytest.raises(ValueError, match="as many rows"):
        made().fit(((X[:8], Y[: 8 - (i == where)]) for i in range(4)), verbose=0)


def test_a_history_knows_the_first_batch() -> None:
    history = made().fit(Dataset(), epochs=2, verbose=0)
    assert len(history.sample or ()) in (SIZE, 2) and "loss" in str(history.diagnose())


def test_progress_without_a_known_end(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made().fit(generated(), verbose=1)
    assert "epoch 1/1" in capsys.readouterr().out


def test_steps_share_all_samples_where_no_batch_size_is_given(keras: Any) -> None:
    rows = np.arange(200, dtype=np.float32)[:, None]
    seen: dict[str, list[float]] = {"ours": [], "theirs": []}
    for name, library in (("ours", mw), ("theirs", keras)):
        model = library.Sequential([library.layers.Input((1,)), library.layers.Dense(1)])
        model.compile(library.optimizers.SGD(0.0), lambda t, p: (t + 0 * p)[:, 0])
        for size in ({}, {"batch_size": 67}):
            told = library.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs, n=name: seen[n].append(logs["loss"]))
            model.fit(rows, rows, epochs=2, steps_per_epoch=3, shuffle=False, verbose=0, callbacks=[told], **size)
        assert model.predict(rows, steps=2, verbose=0).shape == (200, 1)
        seen[name].append(model.evaluate(rows, rows, steps=3, verbose=0))
    np.testing.assert_allclose(seen["ours"], seen["theirs"], rtol=1e-5)
