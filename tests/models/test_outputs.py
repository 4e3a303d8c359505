"""Several inputs and several outputs: losses, their weights, metrics and sample weights for each, compared with Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import in_c

import microweights as mw

layers = mw.layers
RNG = np.random.default_rng(5)
X = {"u": RNG.normal(size=(22, 3)).astype("float32"), "v": RNG.normal(size=(22, 2)).astype("float32")}
WEIGHTS = RNG.uniform(0.5, 2, 22).astype("float32")
LINE = RNG.normal(size=(22, 2)).astype("float32")
CLASS = RNG.integers(0, 2, (22, 1)).astype("float32")
Y = {"zline": LINE, "class": CLASS}
ARRAYS = [RNG.normal(size=shape).astype("float32") for shape in ((3, 2), (2, 2), (3, 1), (1,))]


class Two(mw.Model):
    """u and v to a line of both and to the probability of a class."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first, self.second = layers.Dense(2, use_bias=False), layers.Dense(2, use_bias=False)
        self.third, self.kind = layers.Dense(1, "sigmoid"), kind

    def call(self, x: Any) -> Any:
        u, v = (x["u"], x["v"]) if isinstance(x, dict) else x
        line, probability = self.first(u) + self.second(v), self.third(u)
        return {"zline": line, "class": probability} if self.kind == "dict" else [line, probability]


def in_keras(keras: Any, kind: str) -> Any:
    class Theirs(keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first = keras.layers.Dense(2, use_bias=False)
            self.second = keras.layers.Dense(2, use_bias=False)
            self.third = keras.layers.Dense(1, "sigmoid")

        def call(self, x: Any) -> Any:
            u, v = (x["u"], x["v"]) if isinstance(x, dict) else x
            line, probability = self.first(u) + self.second(v), self.third(u)
            return {"zline": line, "class": probability} if kind == "dict" else [line, probability]

    return Theirs()


def made(model: Any, x: Any) -> Any:
    """The model with the weights that all have."""
    model.predict(x, verbose=0)
    model.set_weights(ARRAYS)
    return model


def data(kind: str) -> tuple[Any, Any, Any]:
    if kind == "dict":
        return X, Y, {"zline": WEIGHTS, "class": WEIGHTS[::-1].copy()}
    return [X["u"], X["v"]], [LINE, CLASS], [WEIGHTS, WEIGHTS[::-1].copy()]


SETTINGS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "one loss": ("dict", {"loss": "mse"}, False),
    "one loss, weighted samples": ("dict", {"loss": "mse"}, True),
    "dicts": ("dict", {"loss": {"zline": "mse", "class": "binary_crossentropy"}, "loss_weights": {"zline": 2.0, "class": 0.5},
                       "metrics": {"zline": ["mae", "mse"], "class": "accuracy"}}, False),
    "dicts, weighted samples": ("dict", {"loss": {"zline": "mse", "class": "binary_crossentropy"},
                                         "metrics": {"zline": ["mae"]}, "weighted_metrics": {"zline": ["mae"]}}, True),
    "a list for a dict": ("dict", {"loss": ["mae", "mse"]}, False),
    "one output without a loss": ("dict", {"loss": {"zline": "mse"}}, False),
    "lists": ("list", {"loss": ["mse", "binary_crossentropy"], "loss_weights": [1.0, 3.0],
                       "metrics": [["mae"], ["accuracy"]]}, False),
    "lists, weighted samples": ("list", {"loss": ["mse", "mae"], "weighted_metrics": [["mae"], ["mse"]]}, True),
    "None in a list": ("list", {"loss": ["mse", None], "metrics": [None, ["accuracy"]]}, False),
}  # fmt: skip


@pytest.mark.parametrize("case", SETTINGS)
def test_logs_and_weights_are_keras_s(keras: Any, case: str) -> None:
    kind, options, is_weighted = SETTINGS[case]
    x, y, weights = data(kind)
    weights = weights if is_weighted else None
    ours, theirs = made(Two(kind), x), made(in_keras(keras, kind), x)
    ours.compile(mw.optimizers.SGD(0.1), **options)
    theirs.compile(keras.optimizers.SGD(0.1), **options)
    fit = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0, "sample_weight": weights, "validation_data": (x, y)}
    mine, its = ours.fit(x, y, **fit).history, theirs.fit(x, y, **fit).history
    assert set(mine) == set(its)
    for name, values in its.items():
        np.testing.assert_allclose(mine[name], values, rtol=2e-5, atol=1e-6, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    told = {"batch_size": 8, "verbose": 0, "sample_weight": weights}
    in_order = np.sort if kind == "dict" else np.asarray  # on JAX, Keras has the keys of dicts in another order
    found, wanted = (in_order(np.atleast_1d(m.evaluate(x, y, **told))) for m in (ours, theirs))
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-6)
    by_name, wanted = (m.evaluate(x, y, return_dict=True, **told) for m in (ours, theirs))
    assert set(by_name) == set(wanted)
    for act in ("test_on_batch", "train_on_batch"):
        theirs.reset_metrics()
        found, wanted = getattr(ours, act)(x, y, weights), getattr(theirs, act)(x, y, weights)
        np.testing.assert_allclose(in_order(np.atleast_1d(found)), in_order(np.atleast_1d(wanted)), rtol=2e-5, atol=1e-6)
    for act in ("predict", "predict_on_batch"):
        a, b = (getattr(m, act)(x) for m in (ours, theirs))
        assert type(a) is type(b)
        for key in a if isinstance(a, dict) else range(len(a)):
            np.testing.assert_allclose(a[key], b[key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", ["lists", "by names", "dict"])
def test_models_of_symbols_are_called_for_their_layers(keras: Any, case: str) -> None:
    def written(module: Any) -> Any:
        u, v = module.Input((3,), name="u"), module.Input((2,), name="v")
        both = module.layers.Concatenate()([u, v])
        line, probability = module.layers.Dense(2, name="line")(both), module.layers.Dense(1, "sigmoid", name="right")(both)
        return module.Model({"u": u, "v": v}, {"z": line, "c": probability} if case == "dict" else [line, probability])

    first, second = ("z", "c") if case == "dict" else ("line", "right")
    y: Any = [LINE, CLASS] if case == "lists" else {first: LINE, second: CLASS}
    options: dict[str, Any] = {"loss": {second: "binary_crossentropy", first: "mse"}, "metrics": {second: ["accuracy"]}}
    if case == "lists":
        options = {
            "loss": ["mse", "binary_crossentropy"],
            "metrics": [["mae"], ["accuracy"]],
            "weighted_metrics": [["mae"], []],
        }
    ours, theirs = written(mw), written(keras)
    ours.set_weights(theirs.get_weights())
    logs = []
    for model in (ours, theirs):
        model.compile("sgd", **options)
        history = model.fit(X, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        logs.append((history, model.evaluate(X, y, verbose=0)))
    assert set(logs[0][0]) == set(logs[1][0])
    for name, values in logs[1][0].items():
        np.testing.assert_allclose(logs[0][0][name], values, rtol=2e-5, err_msg=name)
    np.testing.assert_allclose(logs[0][1], logs[1][1], rtol=2e-5)


def test_names_of_lists_are_told_apart() -> None:
    """Keras calls both losses mse_loss, of which only one is seen."""
    x, y, _ = data("list")
    model = made(Two("list"), x)
    model.compile("sgd", "mse", metrics=[["mae"], ["mae"]])
    logs = model.evaluate(x, y, return_dict=True)
    assert list(logs) == ["loss", "mse_loss", "mse_loss_1", "mae", "mae_1"]
    assert logs["loss"] == pytest.approx(logs["mse_loss"] + logs["mse_loss_1"])
    assert model.metrics_names == ["loss", "mae", "mae_1", "mse_loss", "mse_loss_1"]
    model.output_names = ["line", "class"]
    model.compile("sgd", {"class": "mae", "line": "mse"}, metrics={"class": ["mae"]})
    logs = model.evaluate(x, {"class": CLASS, "line": LINE}, return_dict=True)
    assert list(logs) == ["loss", "line_loss", "class_loss", "class_mae"]
    assert logs["class_loss"] == pytest.approx(logs["class_mae"])


@in_c
@pytest.mark.parametrize("kind", ["dict", "list"])
def test_nests_are_replayed_with_the_bits_of_eager_steps(kind: str) -> None:
    x, y, weights = data(kind)
    runs = []
    for eager in (False, True):
        mw.seed(3)
        model = made(Two(kind), x)
        model.compile("adam", "mse", weighted_metrics=[["mae"], ["mse"]], eager=eager)
        history = model.fit(x, y, batch_size=4, epochs=4, sample_weight=weights, validation_split=0.3, verbose=0).history
        assert eager or len(model._steps["fit"].programs) == 2  # of whole batches and of the last
        runs.append((history, [w.tobytes() for w in model.get_weights()]))
    assert runs[0] == runs[1]


def test_gradients_in_parts_sum_up_over_outputs() -> None:
    x, y, weights = data("dict")
    runs = []
    for parts in (1, 3):
        model = made(Two("dict"), x)
        model.compile(mw.optimizers.SGD(0.1), "mse", metrics={"class": "accuracy"}, gradient_accumulation_steps=parts)
        logs = [model.train_on_batch(x, y, weights) for _ in range(4)]
        runs.append((logs, model.get_weights()))
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-5)
    for a, b in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_one_weight_of_a_sample_is_for_all_outputs() -> None:
    x, y, _ = data("dict")
    model = made(Two("dict"), x)
    model.compile("sgd", "mse")
    each = {"zline": WEIGHTS, "class": WEIGHTS}
    assert model.evaluate(x, y, sample_weight=WEIGHTS) == model.evaluate(x, y, sample_weight=each)


def test_a_weight_of_the_only_loss() -> None:
    x, y = X["u"], LINE
    model = mw.Sequential([layers.Dense(2)])
    model.compile("sgd", "mse")
    once = model.evaluate(x, y)
    for weights in (2.0, [2.0]):
        model.compile("sgd", "mse", loss_weights=weights)
        assert model.evaluate(x, y) == pytest.approx(2 * once)


def test_weighted_metrics_that_share_a_name(keras: Any) -> None:
    names = []
    for module in (mw, keras):
        model = module.Sequential([module.layers.Dense(2)])
        model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mae"])
        names.append(set(model.evaluate(X["u"], LINE, verbose=0, return_dict=True)))
    assert names[0] == names[1] == {"loss", "mae", "weighted_mae"}


def test_integers_stay_what_they_are() -> None:
    seen: list[Any] = []

    class Looks(mw.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x: Any) -> Any:
            seen.append((x["at"].dtype, x["of"].dtype))
            return self.dense(x["of"])

    model = Looks()
    model.compile("sgd", "mse")
    model.fit({"at": np.arange(4), "of": np.ones((4, 2), "float64")}, np.ones((4, 1)), verbose=0)
    assert set(seen) == {(np.dtype("int64"), np.dtype("float32"))}


class Last(mw.metrics.Metric):
    """A metric without parts."""

    def reset_state(self) -> None:
        self.total = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total += float(np.abs(np.asarray(y_true) - np.asarray(y_pred)).sum())

    def result(self) -> float:
        return self.total


def test_metrics_without_parts_see_their_own_output() -> None:
    x, y, _ = data("dict")
    model = made(Two("dict"), x)
    model.compile("sgd", "mse", metrics={"class": [Last(name="sum"), "mae"], "zline": [Last(name="sum")]})
    logs, z = model.evaluate(x, y, batch_size=5, return_dict=True), model.predict(x)
    for name, target in y.items():
        assert logs[f"{name}_sum"] == pytest.approx(np.abs(z[name] - target).sum(), rel=1e-5)
    assert logs["class_mae"] == pytest.approx(np.abs(z["class"] - CLASS).mean(), rel=1e-5)


MISTAKES: dict[str, tuple[str, dict[str, Any], Any, Any, str]] = {
    "unknown loss": ("dict", {"loss": {"zline": "mse", "q": "mse"}}, None, None, r"`loss` for the outputs .*\['zline', 'q'\]"),
    "losses too few": ("list", {"loss": ["mse", "mse", "mse"]}, None, None, "`loss` for 2 outputs. Received: 3"),
    "losses by name for a list": ("list", {"loss": {"a": "mse", "b": "mse"}}, None, None, "`loss` for 2 outputs"),
    "no loss at all": ("list", {"loss": [None, None]}, None, None, "a loss for at least one output"),
    "weights of losses": ("list", {"loss": "mse", "loss_weights": [1.0]}, None, None, "`loss_weights` for 2 outputs"),
    "one weight of losses": ("list", {"loss": "mse", "loss_weights": 2.0}, None, None, "`loss_weights` for each output"),
    "metrics for no output": ("dict", {"loss": "mse", "metrics": {"q": "mae"}}, None, None, "`metrics` for the outputs"),
    "too few metrics": ("list", {"loss": "mse", "metrics": ["mae"]}, None, None, "`metrics` for 2 outputs"),
    "no targets for a loss": ("dict", {"loss": "mse"}, {"zline": LINE}, None, "targets for the output 'class'"),
    "unknown targets": ("dict", {"loss": "mse"}, {**Y, "q": LINE}, None, "`y` for the outputs"),
    "one array of targets": ("dict", {"loss": "mse"}, LINE, None, "targets for 2 outputs"),
    "too few targets": ("list", {"loss": "mse"}, [LINE], None, "`y` for 2 outputs"),
    "rows": ("dict", {"loss": "mse"}, {"zline": LINE, "class": CLASS[:-1]}, None, r"22 rows of x and 21 of y\['class'\]"),
    "weights of samples": ("list", {"loss": "mse"}, None, [WEIGHTS], "`sample_weight` for 2 outputs"),
    "text": ("dict", {"loss": "mse"}, {"zline": LINE, "class": CLASS.astype(str)}, None, r"`y\['class'\]`: Expected numbers"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_does_not_fit_the_outputs_is_explained(case: str) -> None:
    kind, options, targets, weights, message = MISTAKES[case]
    x, y, _ = data(kind)
    model = made(Two(kind), x)
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises((ValueError, TypeError), match=message):
        model.compile("sgd", **options)
        model.fit(x, y if targets is None else targets, sample_weight=weights, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == before


def test_class_weights_are_for_one_output() -> None:
    x, y, _ = data("dict")
    model = made(Two("dict"), x)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="one output together with `class_weight`"):
        model.fit(x, y, class_weight={0: 1.0, 1: 2.0}, verbose=0)


def test_callbacks_watch_an_output() -> None:
    x, y, _ = data("dict")
    model = made(Two("dict"), x)
    model.compile("sgd", "mse", metrics={"class": "accuracy"})
    stop = mw.callbacks.EarlyStopping("val_class_accuracy", patience=2, min_delta=10.0)
    history = model.fit(x, y, epochs=9, validation_data=(x, y), callbacks=[stop], verbose=0)
    assert len(history.epoch) == 3 and stop.sign == 1
    assert "loss" in str(history.diagnose())


@pytest.mark.parametrize("keys", [("line",), ("line", "klass")])
def test_targets_under_other_names_are_told(keys: tuple[str, ...]) -> None:
    x = mw.Input((3,))
    model = mw.Model(x, {name: mw.layers.Dense(1, name=name)(x) for name in ("line", "class")})
    model.compile("sgd", {"line": "mse", "class": "mse"})
    with pytest.raises(ValueError, match=r"`y` with the keys \['line', 'class'\]"):
        model.fit(np.ones((4, 3)), dict.fromkeys(keys, np.ones((4, 1))), verbose=0)
