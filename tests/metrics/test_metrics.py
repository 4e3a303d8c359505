"""Metrics over uneven batches, against Keras's, scikit-learn's and numbers computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import microweights as mw
from microweights import metrics

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 13)
SCORES = RNG.uniform(size=(13, 4))
BINARY = RNG.integers(0, 2, 13)
REAL = RNG.normal(size=(13, 3))
WEIGHTS = RNG.uniform(size=13)
SEVERAL = RNG.integers(0, 2, (13, 4))
BATCHES = [slice(0, 5), slice(5, 6), slice(6, 13)]

# Keras's name, ours, arguments, targets, predictions
CASES: dict[str, tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = {
    "mse": ("MeanSquaredError", {}, REAL, REAL[::-1]),
    "mae": ("MeanAbsoluteError", {}, REAL, REAL[::-1]),
    "binary": ("BinaryAccuracy", {}, BINARY[:, None], SCORES[:, :1]),
    "binary 0.3": ("BinaryAccuracy", {"threshold": 0.3}, BINARY[:, None], SCORES[:, :1]),
    "binary, several outputs": ("BinaryAccuracy", {}, BINARY[:, None] ^ [0, 1], SCORES[:, :2]),
    "categorical": ("CategoricalAccuracy", {}, np.eye(4)[LABELS], SCORES),
    "sparse": ("SparseCategoricalAccuracy", {}, LABELS, SCORES),
    "sparse, a column": ("SparseCategoricalAccuracy", {}, LABELS[:, None], SCORES),
    "r2": ("R2Score", {}, REAL, REAL[::-1] * 0.3 + REAL),
    "r2 of each output": ("R2Score", {"class_aggregation": None}, REAL, REAL[::-1]),
    "r2 by variance": ("R2Score", {"class_aggregation": "variance_weighted_average"}, REAL, REAL[::-1]),
    "r2 adjusted": ("R2Score", {"num_regressors": 3}, REAL[:, :1], REAL[::-1, :1]),
    "rmse": ("RootMeanSquaredError", {}, REAL, REAL[::-1]),
    "mape": ("MeanAbsolutePercentageError", {}, REAL, REAL[::-1]),
    "msle": ("MeanSquaredLogarithmicError", {}, REAL, REAL[::-1]),
    "log cosh": ("LogCoshError", {}, REAL, REAL[::-1]),
    "poisson": ("Poisson", {}, SCORES[::-1], SCORES),
    "cosine": ("CosineSimilarity", {}, REAL, REAL[::-1]),
    "kl": ("KLDivergence", {}, np.eye(4)[LABELS], SCORES),
    "hinge": ("Hinge", {}, SEVERAL, SCORES),
    "squared hinge": ("SquaredHinge", {}, SEVERAL, SCORES),
    "categorical hinge": ("CategoricalHinge", {}, np.eye(4)[LABELS], SCORES),
    "binary crossentropy": ("BinaryCrossentropy", {"label_smoothing": 0.1}, SEVERAL, SCORES),
    "binary crossentropy, logits": ("BinaryCrossentropy", {"from_logits": True}, SEVERAL, SCORES),
    "categorical crossentropy": ("CategoricalCrossentropy", {"label_smoothing": 0.1}, np.eye(4)[LABELS], SCORES),
    "categorical crossentropy, logits": ("CategoricalCrossentropy", {"from_logits": True}, np.eye(4)[LABELS], SCORES),
    "sparse crossentropy": ("SparseCategoricalCrossentropy", {}, LABELS, SCORES),
    "equal": ("Accuracy", {}, LABELS[:, None], LABELS[::-1, None]),
    "top 2": ("TopKCategoricalAccuracy", {"k": 2}, np.eye(4)[LABELS], SCORES),
    "sparse top 2": ("SparseTopKCategoricalAccuracy", {"k": 2}, LABELS, SCORES),
    "precision above 0.4": ("Precision", {"thresholds": 0.4}, SEVERAL, SCORES),
    "precision of one output": ("Precision", {"thresholds": 0.3}, BINARY[:, None], SCORES[:, :1]),
    "precision of the top 2": ("Precision", {"top_k": 2}, SEVERAL, SCORES),
    "precision of output 1": ("Precision", {"class_id": 1}, np.eye(4)[LABELS], SCORES),
    "recall above 0.4": ("Recall", {"thresholds": 0.4}, SEVERAL, SCORES),
    "recall of the top 2": ("Recall", {"top_k": 2, "class_id": 3}, SEVERAL, SCORES),
    "f1 of each": ("F1Score", {"average": None}, np.eye(4)[LABELS], SCORES),
    "f1, micro": ("F1Score", {"average": "micro", "threshold": 0.4}, SEVERAL.astype(float), SCORES),
    "f1, macro": ("F1Score", {"average": "macro", "threshold": 0.4}, SEVERAL.astype(float), SCORES),
    "f1, weighted": ("F1Score", {"average": "weighted"}, np.eye(4)[LABELS], SCORES),
}


SKLEARN: dict[str, tuple[str, Any, Any]] = {  # ours, and scikit-learn's of labels and predictions
    "precision": ("Precision", "precision_score", None),
    "recall": ("Recall", "recall_score", None),
    "f1": ("F1Score", "f1_score", None),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", SKLEARN)
def test_streams_as_scikit_learn_counts(setting: str, name: str, classes: int, weighted: bool) -> None:
    import sklearn.metrics as theirs

    weights = WEIGHTS if weighted else None
    y_true, y_pred = (BINARY, SCORES[:, :1]) if classes == 2 else (LABELS, SCORES)
    predicted = (y_pred[:, 0] > 0.5) if classes == 2 else y_pred.argmax(1)
    average = "binary" if classes == 2 else "macro"
    expected = getattr(theirs, SKLEARN[name][1])(y_true, predicted, average=average, sample_weight=weights, zero_division=0)
    ours = getattr(metrics, SKLEARN[name][0])()
    assert streamed(ours, y_true, y_pred.astype("float32"), weights) == pytest.approx(expected)
    matrix = metrics.ConfusionMatrix()
    streamed(matrix, y_true, y_pred, weights)
    np.testing.assert_allclose(matrix.matrix, theirs.confusion_matrix(y_true, predicted, sample_weight=weights))
    assert streamed(ours, y_true, y_pred, weights) == pytest.approx(expected), "after reset_state"


@pytest.mark.parametrize("weighted", [False, True])
def test_log_loss_top_k_and_auc_are_scikit_learns(setting: str, weighted: bool) -> None:
    import sklearn.metrics as theirs

    weights = WEIGHTS if weighted else None
    p = SCORES / SCORES.sum(1, keepdims=True)
    for y in (LABELS, np.eye(4)[LABELS]):
        assert streamed(metrics.LogLoss(), y, p, weights) == pytest.approx(theirs.log_loss(LABELS, p, sample_weight=weights))
        for k in (1, 2, 3):
            expected = theirs.top_k_accuracy_score(LABELS, p, k=k, sample_weight=weights)
            assert streamed(metrics.TopKCategoricalAccuracy(k), y, p, weights) == pytest.approx(expected)
    scores = SCORES[:, 0].round(1)  # some of them equal
    assert streamed(metrics.AUC(), BINARY, scores, weights) == pytest.approx(
        theirs.roc_auc_score(BINARY, scores, sample_weight=weights)
    )
    assert streamed(metrics.LogLoss(), BINARY, SCORES[:, :1], weights) == pytest.approx(
        theirs.log_loss(BINARY, SCORES[:, 0], sample_weight=weights)
    )


def test_counts_in_training_are_those_of_the_predictions(setting: str) -> None:
    """Replayed, too."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0.5).astype(np.int64)
    mw.seed(0)
    model = mw.Sequential([mw.layers.Dense(8, activation="relu"), mw.layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["precision", "recall", "f1", "auc", "log_loss"])
    model.fit(x, y, epochs=4, batch_size=16, verbose=0)
    told = model.evaluate(x, y, return_dict=True)
    p = model.predict(x)
    for name, metric in (("precision", metrics.Precision()), ("auc", metrics.AUC()), ("log_loss", metrics.LogLoss())):
        assert told[name] == pytest.approx(metric(y, p), rel=1e-5)


def test_refused_metrics() -> None:
    for make in (lambda: metrics.TopKCategoricalAccuracy(0), lambda: metrics.AUC()(LABELS, SCORES)):
        with pytest.raises(ValueError, match="Expected"):
            make()
    with pytest.raises(ValueError, match="labels of shape"):
        metrics.Precision()(LABELS[:5], SCORES)


def streamed(metric: Any, y_true: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None) -> Any:
    metric.reset_state()
    for rows in BATCHES:
        metric.update_state(y_true[rows], y_pred[rows], None if weights is None else weights[rows])
    return np.asarray(metric.result()).tolist()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_streams_as_keras_does(keras: Any, setting: str, case: str, weighted: bool) -> None:
    name, arguments, y_true, y_pred = CASES[case]
    y_pred = y_pred.astype("float32")
    weights = WEIGHTS if weighted else None
    expected = streamed(getattr(keras.metrics, name)(**arguments), y_true, y_pred, None if weights is None else weights)
    ours = getattr(metrics, name)(**arguments)
    assert streamed(ours, y_true, y_pred, weights) == pytest.approx(expected, rel=2e-5, abs=1e-6)
    assert streamed(ours, y_true, y_pred, weights) == pytest.approx(expected, rel=2e-5, abs=1e-6), "after reset_state"


@pytest.mark.parametrize(
    ("metric", "y_true", "y_pred", "expected"),
    [
        ("mse", [[1.0, 2.0], [0.0, 0.0]], [[2.0, 4.0], [0.0, 0.0]], 1.25),
        ("mae", [1.0, 2.0, 3.0], [1.5, 2.0, 2.0], 0.5),
        ("binary_accuracy", [1, 0, 1, 1], [0.6, 0.6, 0.4, 0.5], 0.25),
        ("categorical_accuracy", [[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]], 0.5),
        ("sparse_categorical_accuracy", [1, 0, 0], [[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]], 2 / 3),
        ("r2", [1.0, 2.0, 3.0], [1.0, 2.0, 4.0], 0.5),
        ("r2", [[1.0, 0.0], [3.0, 4.0]], [[1.0, 4.0], [3.0, 0.0]], (1 - 3) / 2),
        ("r2", [2.0, 2.0], [2.0, 2.0], 1.0),
        ("r2", [2.0, 2.0], [2.0, 3.0], 0.0),
        ("accuracy", [1, 0, 1], [0.9, 0.2, 0.1], 2 / 3),
        ("accuracy", [1, 0, 1], [[0.9], [0.2], [0.1]], 2 / 3),
        ("accuracy", [[1], [0], [1]], [[0.9], [0.2], [0.1]], 2 / 3),
        ("accuracy", [1, 0], [[0.2, 0.8], [0.4, 0.6]], 0.5),
        ("accuracy", [[1], [0]], [[0.2, 0.8], [0.4, 0.6]], 0.5),
        ("accuracy", [[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]], 0.5),
    ],
)
def test_by_hand(metric: str, y_true: Any, y_pred: Any, expected: float) -> None:
    assert metrics.get(metric)(np.array(y_true), np.array(y_pred)) == pytest.approx(expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
def test_r2_is_scikit_learn_s(weighted: bool, outputs: int) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    y, p = REAL[:, :outputs], (0.8 * REAL + 0.1)[:, :outputs]
    weights = WEIGHTS if weighted else None
    expected = sklearn_metrics.r2_score(y, p, sample_weight=weights)
    assert streamed(metrics.R2Score(), y, p, weights) == pytest.approx(expected, rel=1e-12)


def test_r2_far_from_zero() -> None:
    """A sum of squares less the square of the sum would leave nothing of the variance here."""
    y = 1e9 + REAL
    p = y + 0.5 * REAL[::-1]
    expected = np.mean(1 - ((y - p) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0))
    assert streamed(metrics.R2Score(), y, p, None) == pytest.approx(expected, rel=1e-6)


def test_accuracy_is_scikit_learn_s() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    expected = sklearn_metrics.accuracy_score(LABELS, SCORES.argmax(1), sample_weight=WEIGHTS)
    assert streamed(metrics.get("accuracy"), LABELS, SCORES, WEIGHTS) == pytest.approx(expected)


def test_long_sums_keep_their_precision() -> None:
    metric = metrics.MeanSquaredError()
    y = np.full(100_000, 0.1, "float32")
    for _ in range(30):
        metric.update_state(y, np.zeros_like(y))
    assert metric.result() == pytest.approx(float(np.float32(0.1)) ** 2, rel=1e-6)


@pytest.mark.parametrize("name", ["mse", "mae", "binary_accuracy", "r2", "categorical_accuracy"])
@pytest.mark.parametrize(
    ("true", "predicted"), [((4,), (4, 2)), ((4, 4), (4, 1)), ((1, 4), (4, 1)), ((3,), (4,)), ((4,), (4, 4))]
)
def test_targets_are_never_broadcast(name: str, true: tuple[int, ...], predicted: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Expected targets of the predictions' shape"):
        metrics.get(name)(np.ones(true), np.ones(predicted))


@pytest.mark.parametrize("name", ["mse", "mae", "binary_accuracy", "r2"])
def test_a_row_of_targets_is_a_column_of_targets(name: str) -> None:
    y, p = np.array([0.0, 1, 1, 0]), np.array([0.1, 0.9, 0.2, 0.3])
    assert len({metrics.get(name)(t, q) for t in (y, y[:, None]) for q in (p, p[:, None])}) == 1


@pytest.mark.parametrize("shape", [(13, 4), (12,), (13, 2), ()])
def test_labels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"labels of shape \(13,\)"):
        metrics.SparseCategoricalAccuracy()(np.zeros(shape, int), SCORES)


def test_weights_of_another_length_are_refused() -> None:
    for name in ("mse", "r2"):
        with pytest.raises(ValueError, match=r"shape|broadcast"):
            metrics.get(name)(REAL, REAL, np.ones(5))


def test_nothing_seen_is_0_and_weights_of_0_too() -> None:
    assert metrics.MeanSquaredError().result() == 0
    assert metrics.MeanSquaredError()(REAL, REAL[::-1], np.zeros(13)) == 0
    assert np.isfinite(metrics.R2Score()(REAL, REAL[::-1], np.zeros(13)))


def test_tensors_with_a_graph_are_only_read() -> None:
    p = mw.tensor([1.0, 2.0], requires_grad=True)
    assert metrics.MeanSquaredError()(mw.tensor([0.0, 0.0]), p * 1) == 2.5


def test_names() -> None:
    assert metrics.MeanSquaredError().name == "mean_squared_error"
    assert metrics.R2Score().name == "r2_score"
    assert metrics.BinaryAccuracy("hits").name == "hits"
    assert [metrics.get(n).name for n in ("acc", "mse", "accuracy")] == ["acc", "mse", "accuracy"]
    own = metrics.R2Score(name="mine")
    assert metrics.get(own) is own and own.name == "mine"


@pytest.mark.parametrize(("name", "error"), [("acuracy", ValueError), (3, TypeError), (None, TypeError)])
def test_get_refuses(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Expected a metric"):
        metrics.get(name)


SIGNS = np.array([-1.0, 1.0, -1.0, 1.0, 1.0])
CHANCES = np.array([0.1, 0.9, 0.7, 0.8, 0.2])


@pytest.mark.parametrize("name", ["Precision", "Recall", "F1Score", "ConfusionMatrix", "AUC", "BinaryAccuracy"])
def test_minus_one_is_the_other_class(name: str, setting: str) -> None:
    make = getattr(metrics, name)
    assert make()(SIGNS, CHANCES) == make()((SIGNS > 0).astype(float), CHANCES)


@pytest.mark.parametrize("name", ["Precision", "Recall", "F1Score", "ConfusionMatrix", "TopKCategoricalAccuracy"])
@pytest.mark.parametrize("label", [3, -1])
def test_a_label_of_no_class_is_refused(name: str, label: int, setting: str) -> None:
    with pytest.raises(ValueError, match="labels of the classes"):
        getattr(metrics, name)()(np.array([0, 1, label]), np.eye(3))


@pytest.mark.parametrize("name", ["Precision", "Recall", "F1Score", "ConfusionMatrix", "AUC"])
def test_one_output_has_two_classes(name: str, setting: str) -> None:
    with pytest.raises(ValueError, match="labels of the classes"):
        getattr(metrics, name)()(np.array([0, 1, 2, 1]), np.array([0.1, 0.9, 0.7, 0.8]))


def test_names_of_their_own() -> None:
    model = mw.Sequential([mw.Input((2,)), mw.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=[metrics.Precision(0.3), metrics.Precision(0.7)])
    x = np.random.default_rng(0).normal(size=(20, 2)).astype("f4")
    history = model.fit(x, x[:, 0] > 0, verbose=0).history
    assert {"precision", "precision_1"} < set(history)
    with pytest.raises(TypeError, match="one number"):
        metrics.Precision("p")
    with pytest.raises(TypeError, match="string"):
        metrics.BinaryAccuracy(0.3)
    assert metrics.get("top_k_categorical_accuracy").name == "top_k_categorical_accuracy"


def test_several_labels_for_a_sample_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="several"):
        metrics.Precision()(np.array([[1, 1, 0], [0, 1, 0]]), np.array([[0.9, 0.8, 0.1], [0.1, 0.2, 0.3]]))
    assert metrics.Precision()(np.eye(3), np.eye(3)) == 1


def test_log_loss_takes_the_same_labels(setting: str) -> None:
    assert metrics.LogLoss()([-1, 1], [0.2, 0.8]) == metrics.LogLoss()([0, 1], [0.2, 0.8])
    with pytest.raises(ValueError, match="labels"):
        metrics.LogLoss()([7, 1], [0.2, 0.8])


def test_nothing_is_right_about_nan(setting: str) -> None:
    assert metrics.TopKCategoricalAccuracy(2)(np.array([0, 1]), np.full((2, 3), np.nan)) == 0


def test_settings_that_change_between_calls(setting: str) -> None:
    x, y = np.random.default_rng(0).normal(size=(50, 2)).astype("f4"), np.arange(50) % 2
    model = mw.Sequential([mw.Input((2,)), mw.layers.Dense(1, activation="sigmoid")])
    metric = metrics.Precision(0.3)
    model.compile("sgd", "binary_crossentropy", metrics=[metric])
    for thresholds in (0.3, 0.3, 0.3, 0.6):
        metric.thresholds = thresholds
        found = model.evaluate(x, y, verbose=0)[1]
        assert found == pytest.approx(metrics.Precision(thresholds)(y, model.predict(x)))


# ---- what is not a number ----------------------------------------------------------------------------------------------


def test_a_nan_is_never_right(setting: str) -> None:
    nan = np.nan
    for metric, target, prediction, expected in (
        ("binary_accuracy", [0.0, 0, 1], [nan, 0.1, nan], nan),
        ("categorical_accuracy", np.eye(2), [[nan, 0.0], [0.0, 1.0]], nan),
        ("sparse_categorical_accuracy", [0, 1], [[nan, 0.0], [0.0, 1.0]], nan),
        ("accuracy", [0, 1, 2], np.full((3, 3), nan), nan),
        ("top_k_categorical_accuracy", [0, 1], np.full((2, 8), nan), 0.0),
    ):
        assert metrics.get(metric)(np.array(target), np.array(prediction)) == pytest.approx(expected, nan_ok=True), metric
    for metric in ("precision", "recall", "f1", "confusion_matrix"):
        for prediction in ([nan, 0.2, 0.9], [[nan, 0.0], [0.0, 1.0], [1.0, 0.0]]):
            with pytest.raises(ValueError, match="NaN"):
                metrics.get(metric)(np.array([0, 0, 1]), np.array(prediction))


def test_sums_with_a_nan_are_nan() -> None:
    for r2 in (([1.0, 2, np.nan], [5.0, 7, 9]), ([1.0, 2, np.inf], [5.0, 7, 9])):
        assert np.isnan(metrics.R2Score()(*map(np.array, r2)))
    assert metrics.R2Score().result() == metrics.R2Score()(np.array([1.0, 2]), np.array([5.0, 7]), np.zeros(2)) == 0
    for scores, weights in (([0.1, np.nan, 0.2, 0.9], None), ([0.1, 0.3, 0.2, 0.9], [1.0, np.nan, 1, 1])):
        assert np.isnan(metrics.AUC()(np.array([0, 1, 0, 1]), np.array(scores), weights))


def test_large_whole_targets_are_told_apart() -> None:
    target = np.arange(2**24, 2**24 + 4)
    assert metrics.R2Score()(target, target.astype(float)) == 1


def test_places_of_sequences() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.uniform(size=(2, 3, 9)), rng.integers(0, 9, (2, 3))
    for k in (1, 3):
        hits = [label in np.argsort(-s)[:k] for s, label in zip(scores.reshape(-1, 9), labels.reshape(-1), strict=True)]
        assert metrics.TopKCategoricalAccuracy(k)(labels, scores) == pytest.approx(np.mean(hits))
    with pytest.raises(ValueError, match="samples, classes"):
        metrics.ConfusionMatrix()(labels, scores)


def test_no_metric_takes_the_place_of_the_loss() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    model = mw.Sequential([mw.layers.Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse", metrics=[metrics.MeanAbsoluteError("loss")])
    assert set(model.fit(x, x[:, :1], verbose=0).history) == {"loss", "loss_1"}


def test_infinite_predictions_are_compared() -> None:
    inf = np.inf
    assert metrics.get("accuracy")(np.array([0, 1]), np.array([[inf, 0], [0, 1.0]])) == 1
    assert metrics.BinaryAccuracy(threshold=0)(np.array([1.0, 0]), np.array([inf, -1])) == 1
    assert metrics.BinaryAccuracy(threshold=0)(np.array([0.0, 0]), np.array([-inf, -inf])) == 1
    assert metrics.get("accuracy")(np.zeros(0, int), np.zeros((0, 3))) == 0


# ---- what the loss says of predictions ---------------------------------------------------------------------------------


def evaluated(loss: Any, chosen: Any, logits: Any, y: Any) -> dict[str, float]:
    """What the third evaluation tells, which is replayed, of a model whose predictions are these logits."""
    x = np.array(logits, np.float32)
    model = mw.Sequential([mw.layers.Dense(x.shape[1], input_shape=(x.shape[1],))])
    model.set_weights([np.eye(x.shape[1]), np.zeros(x.shape[1])])
    model.compile("sgd", loss, metrics=chosen)
    found = [model.evaluate(x, np.array(y), return_dict=True) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    return found[0]


def test_metrics_follow_the_logits_of_the_loss(setting: str) -> None:
    chosen = ["accuracy", "binary_accuracy", "precision", "recall", "f1", "confusion_matrix", metrics.BinaryAccuracy("own"),
              metrics.BinaryAccuracy("raw", threshold=0.0), metrics.Precision(0.6, name="precise")]  # fmt: skip
    likelihoods = ["log_loss", "bce", metrics.BinaryCrossentropy("own_bce"), mw.losses.binary_crossentropy]
    found = evaluated(
        mw.losses.BinaryCrossentropy(from_logits=True), [*chosen, *likelihoods], [[0.3], [-0.3], [2.0]], [1, 0, 1]
    )
    loss = found.pop("loss")
    assert len(found) == 13
    for name, value in found.items():
        is_likelihood = name == "log_loss" or name.endswith(("bce", "crossentropy"))
        assert value == (pytest.approx(loss, rel=1e-6) if is_likelihood else {"precise": 1.0}.get(name, 1.0)), name
    sparse = evaluated(
        mw.losses.SparseCategoricalCrossentropy(from_logits=True),
        ["accuracy", "log_loss", "sparse_categorical_crossentropy", "f1", metrics.Precision(0.5)],
        [[1.0, 2, 3], [-3, -2, -1]],
        [2, 2],
    )
    for name in ("loss", "log_loss", "sparse_categorical_crossentropy"):
        assert sparse[name] == pytest.approx(0.40760596444, rel=1e-6)
    assert sparse["accuracy"] == sparse["f1"] == sparse["precision"] == 1
    several = evaluated(
        mw.losses.BinaryCrossentropy(from_logits=True), ["accuracy", "log_loss", metrics.Precision(0.5)],
        [[0.1, 0.2, 0.3], [-0.3, 0.1, -0.1]], [[1, 1, 1], [0, 1, 0]],
    )  # fmt: skip
    assert several["accuracy"] == several["precision"] == 1 and several["log_loss"] == pytest.approx(several["loss"], rel=1e-6)


def test_what_follows_the_loss_does_so_for_each_compile() -> None:
    metric = metrics.BinaryAccuracy()
    assert evaluated(mw.losses.BinaryCrossentropy(from_logits=True), [metric], [[0.3]], [1])["binary_accuracy"] == 1
    assert evaluated("mse", [metric], [[0.3]], [1])["binary_accuracy"] == 0


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("negative", [-1, 0])
def test_scores_of_a_hinge_are_compared_with_0(setting: str, loss: str, negative: int) -> None:
    found = evaluated(loss, ["accuracy", "f1", "auc"], [[0.3], [-0.3], [0.1]], [1, negative, 1])
    assert found["accuracy"] == found["f1"] == found["auc"] == 1


def test_auc_of_two_logits_is_that_of_their_difference() -> None:
    logits, y = [[5.0, 6.0], [0, -1], [-9, -6], [2, 1]], [1, 0, 1, 0]
    loss = mw.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert evaluated(loss, ["auc"], logits, y)["auc"] == 1
    assert metrics.AUC()(np.array(y), np.array(logits)) == 0.5
    assert metrics.AUC(from_logits=True)(np.eye(2)[y], np.array(logits)) == 1


# ---- targets of each kind ----------------------------------------------------------------------------------------------


def test_several_labels_count_each(setting: str) -> None:
    y, p = np.array([[1, 1, 0], [0, 0, 1]]), np.array([[0.9, 0.8, 0.1], [0.1, 0.2, 0.9]])
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert metrics.get("accuracy")(y, p) == 1 and metrics.LogLoss()(y, p) == pytest.approx(expected)
    assert metrics.get("accuracy")(np.array([[1, 1, 0], [0, 0, 0]]), np.array([[0.9, 0.8, 0.1], [0.1, 0.2, 0.3]])) == 1
    batches = metrics.get("accuracy")  # the first batch might be one-hot
    batches.update_state(np.eye(3), np.array([[0.6, 0.7, 0.1]] * 3))
    assert batches.result() == pytest.approx(1 / 3)
    batches.update_state(y, p, [0.5, 0.5])
    assert batches.result() == pytest.approx((3 * 4 / 9 + 1) / 4)
    assert metrics.get("accuracy")(np.array([[-1, 1, -1]]), np.array([[0.1, 0.6, 0.7]])) == 0, "one-hot in signs"
    assert metrics.get("accuracy")(np.array([[0.1, 0.6, 0.3]]), np.array([[0.1, 0.6, 0.7]])) == 0, "a distribution"


def test_averages_are_over_what_is_there(setting: str) -> None:
    p = np.eye(5)[[0, 1, 1, 0]]
    for name in ("precision", "recall", "f1"):
        assert metrics.get(name)([0, 1, 1, 0], p) == 1
        assert metrics.get(name)([0, 1, 1, 3], p) == pytest.approx(
            {"precision": (0.5 + 1 + 0) / 3, "recall": (1 + 1 + 0) / 3, "f1": (2 / 3 + 1 + 0) / 3}[name]
        )


@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize("name", SKLEARN)
def test_averages_are_scikit_learns(name: str, average: str) -> None:
    import sklearn.metrics as theirs

    for y, p, predicted in ((LABELS, SCORES, SCORES.argmax(1)), (BINARY, SCORES[:, 0], SCORES[:, 0] > 0.5)):
        metric = getattr(metrics, SKLEARN[name][0])(average=average)
        expected = getattr(theirs, SKLEARN[name][1])(y, predicted, average=average, sample_weight=WEIGHTS, zero_division=0)
        assert streamed(metric, y, p, WEIGHTS) == pytest.approx(expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_area_under_precision_and_recall_is_scikit_learns(weighted: bool) -> None:
    from sklearn.metrics import average_precision_score

    weights, scores = WEIGHTS if weighted else None, SCORES[:, 0].round(1)
    expected = average_precision_score(BINARY, scores, sample_weight=weights)
    assert streamed(metrics.AUC(curve="PR"), BINARY, scores, weights) == pytest.approx(expected)


@pytest.mark.parametrize(("label", "weights"), [(1, None), (0, None), (1, np.ones(5)), ([0, 1, 1, 1, 1], [0, 1, 1, 1, 1])])
def test_the_auc_of_one_class_is_undefined(label: Any, weights: Any) -> None:
    with pytest.warns(UserWarning, match="no sample of class"):
        assert np.isnan(metrics.AUC()(np.full(5, label) if np.ndim(label) == 0 else label, np.arange(5.0), weights))


def test_of_equal_predictions_the_first_count(setting: str) -> None:
    labels = np.arange(10)
    for k in (1, 3):
        for metric, y in ((metrics.TopKCategoricalAccuracy(k), np.eye(10)), (metrics.SparseTopKCategoricalAccuracy(k), labels)):
            assert metric(y, np.full((10, 10), 0.1)) == pytest.approx(k / 10)
    assert metrics.TopKCategoricalAccuracy(1)([1], [[0.0, np.inf, np.inf]]) == 1, "infinite ones are compared"
    assert metrics.TopKCategoricalAccuracy(3)([0], [[np.nan, 0.0, 1.0]]) == 0
    tied = metrics.Precision(top_k=2)
    assert tied([[1, 0, 1]], [[0.5, 0.5, 0.5]]) == 0.5


@pytest.mark.parametrize("name", ["Precision", "Recall", "F1Score", "Accuracy", "BinaryAccuracy", "AUC", "ConfusionMatrix"])
def test_weights_are_never_cut(name: str, setting: str) -> None:
    """Nor are they with predictions that are whole numbers, of any type."""
    y, w = np.array([0, 1, 1, 0]), np.array([0.5, 0.5, 0.25, 0.25])
    for dtype in ("int64", "int32", "uint8", "float32", "bool"):
        assert getattr(metrics, name)()(y, np.array([1, 0, 1, 0], dtype), w) == pytest.approx(1 / 3)
    assert metrics.MeanAbsoluteError()(y, np.array([1, 0, 1, 0]), w) == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "accuracy", "r2"])
def test_whole_numbers_keep_their_digits(name: str, setting: str) -> None:
    y = np.array([20_000_001, 20_000_003])
    metric = metrics.Accuracy() if name == "accuracy" else metrics.get(name)
    for predicted in (y.astype(float), y, [float(n) for n in y]):
        assert metric(y, predicted) == {"accuracy": 1, "r2": 1}.get(name, 0)


@pytest.mark.parametrize("predicted", [[0.2, 1.2], [-0.1, 0.5]])
def test_what_is_no_probability_has_no_log_loss(predicted: Any, setting: str) -> None:
    for y, p in (([0, 1], predicted), ([1], [predicted]), ([[1, 0]], [predicted])):
        with pytest.raises(ValueError, match="no probabilities"):
            metrics.LogLoss()(np.array(y), np.array(p))
    assert metrics.LogLoss()([1], np.array([np.float32(1) + np.finfo("f4").eps])) == 0


@pytest.mark.parametrize("name", [
    "categorical_accuracy", "sparse_categorical_accuracy", "categorical_crossentropy", "sparse_categorical_crossentropy",
    "categorical_hinge", "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy",
])  # fmt: skip
def test_the_largest_of_one_output_says_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="an output for each class"):
        metrics.get(name)(np.array([[1.0], [0.0]]), np.array([[0.2], [0.8]]))


EVERY = [n for n in metrics.__all__ if isinstance(getattr(metrics, n), type) and n not in ("Metric", "MeanMetric")]


@pytest.mark.parametrize("name", [n for n in EVERY if n not in ("Mean", "Sum", "MeanMetricWrapper", "AUC")])
def test_an_empty_batch_adds_nothing(name: str) -> None:
    metric, shape = getattr(metrics, name)(), (0,) if name == "SparseCategoricalAccuracy" else (0, 3)
    assert metric.result() == 0
    assert metric(np.zeros(shape), np.zeros((0, 3))) == 0


# ---- functions, names, what is refused -----------------------------------------------------------------------------------


def test_functions_as_metrics(setting: str) -> None:
    def far(y: mw.Tensor, p: mw.Tensor) -> mw.Tensor:
        return (y - p).abs() > 1.0

    chosen = [
        lambda y, p: (y - p).abs(),
        far,
        metrics.MeanMetricWrapper(mw.losses.huber, "h", delta=0.5),
        metrics.mean_squared_error,
    ]
    found = evaluated("mse", chosen, [[0.0], [1.0], [5.0]], [1.0, 1.0, 2.0])
    assert found == {
        "loss": pytest.approx(10 / 3), "<lambda>": pytest.approx(4 / 3), "far": pytest.approx(1 / 3),
        "h": pytest.approx((0.375 + 0 + 1.375) / 3), "mean_squared_error": pytest.approx(10 / 3),
    }  # fmt: skip
    assert evaluated("mse", lambda y, p: (y - p).mean(), [[0.0], [1.0]], [1.0, 4.0])["<lambda>"] == 2
    with pytest.raises(TypeError, match="returns a tensor"):
        metrics.get(lambda y, p: 3.0)(REAL, REAL)


def test_means_and_sums_of_numbers(keras: Any) -> None:
    values = REAL[:5]
    for name in ("Mean", "Sum"):
        for weights in (None, WEIGHTS[:5], np.abs(REAL[5:10])):
            metric, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
            for _ in range(2):
                metric.update_state(values, weights)
                theirs.update_state(values.astype("f4"), weights)
            assert metric.result() == pytest.approx(float(theirs.result()), rel=1e-5)
        with pytest.raises(TypeError, match="takes numbers"):
            evaluated("mse", [name.lower()], [[1.0]], [1.0])


@pytest.mark.parametrize("make", [
    lambda: metrics.F1Score("mean"), lambda: metrics.Precision(top_k=0), lambda: metrics.Precision(class_id=-1),
    lambda: metrics.AUC(curve="roc"), lambda: metrics.R2Score("mean"), lambda: metrics.R2Score(num_regressors=-1),
    lambda: metrics.Precision(class_id=4)(LABELS, SCORES),
    lambda: evaluated("mse", [metrics.F1Score(average=None)], [[1.0]], [1.0]),
    lambda: evaluated("mse", [metrics.R2Score(class_aggregation=None)], [[1.0]], [1.0]),
])  # fmt: skip
def test_arguments_are_checked(make: Any) -> None:
    with pytest.raises(ValueError, match="Expected"):
        make()


def test_weights_for_each_step_of_a_sequence(keras: Any) -> None:
    y, p, w = REAL.reshape(13, 3, 1), REAL[::-1].reshape(13, 3, 1), np.abs(REAL)
    theirs = keras.metrics.MeanSquaredError()
    assert metrics.MeanSquaredError()(y, p, w) == pytest.approx(float(theirs(y.astype("f4"), p.astype("f4"), w)), rel=1e-5)


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_an_ignored_class_counts_nowhere(dtype: Any, setting: str) -> None:
    labels = np.where(LABELS == 2, 255, LABELS).astype(dtype)
    metric, kept = metrics.SparseCategoricalCrossentropy(ignore_class=255), LABELS != 2
    expected = metrics.SparseCategoricalCrossentropy()(LABELS[kept], SCORES[kept], WEIGHTS[kept])
    assert metric(labels, SCORES, WEIGHTS) == pytest.approx(expected)
    with pytest.raises(ValueError, match="labels of the classes"):
        metrics.SparseCategoricalCrossentropy()(labels, SCORES)


@pytest.mark.parametrize("name", ["Precision", "Recall", "F1Score", "ConfusionMatrix", "BinaryAccuracy"])
def test_a_threshold_is_a_number_of_the_predictions_type(name: str) -> None:
    y, p = np.array([0, 0, 1]), np.array([0.3, 0.3, 0.9], np.float32)
    metric = getattr(metrics, name)(**{"threshold" if name in ("F1Score", "BinaryAccuracy") else "thresholds": 0.3})
    assert metric(y, p) == metric(y, p.round(1)) == 1.0  # 0.3 is not above 0.3


def test_a_metric_as_keras_s_tutorial_writes_it() -> None:
    class TruePositives(metrics.Metric):
        def __init__(self, name: str = "true_positives", **options: Any) -> None:
            super().__init__(name=name, **options)
            self.found = self.add_weight(name="tp", initializer="zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.found.assign(self.found + ((y_pred > 0) * (y_true > 0)).sum())

        def result(self) -> Any:
            return self.found

        def reset_state(self) -> None:
            self.found.assign(0.0)

    x, y = np.ones((8, 1), np.float32), (np.arange(8) % 2).astype(np.float32).reshape(8, 1)
    model = mw.Sequential([mw.Input((1,)), mw.layers.Dense(1, kernel_initializer="ones")])
    model.compile(mw.optimizers.SGD(0.0), "mse", metrics=[TruePositives()])
    history = model.fit(x, y, batch_size=3, epochs=2, validation_data=(x[:4], y[:4]), verbose=0).history
    assert history["true_positives"] == [4.0, 4.0] and history["val_true_positives"] == [2.0, 2.0]
    assert model.evaluate(x, y, verbose=0)[1] == 4.0
