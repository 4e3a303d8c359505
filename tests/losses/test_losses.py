"""Losses and their gradients against Keras's, and against numbers computed by hand."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest
from helpers import in_c

import microweights as mw
from microweights import losses, naming

LABELS = np.array([0, 2, 1, 3, 2])
ONE_HOT = np.eye(4)[LABELS]
BINARY = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 0]])
RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(5, 4))
REAL_3D = RNG.normal(size=(5, 2, 4))
WIDE = 8 * RNG.normal(size=(5, 4))
P = np.exp(REAL) / np.exp(REAL).sum(1, keepdims=True)
P3 = RNG.uniform(0.02, 0.98, (5, 3))
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0])

# class, arguments, targets, predictions
CASES: dict[str, tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = {
    "mse": ("MeanSquaredError", {}, P, REAL),
    "mse of three axes": ("MeanSquaredError", {}, REAL_3D[::-1], REAL_3D),
    "mae": ("MeanAbsoluteError", {}, P, REAL),
    "huber": ("Huber", {}, P, REAL),
    "huber 0.3": ("Huber", {"delta": 0.3}, P, REAL),
    "hinge": ("Hinge", {}, 2 * ONE_HOT - 1, REAL),
    "hinge of 0 and 1": ("Hinge", {}, ONE_HOT, REAL),
    "hinge of integers": ("Hinge", {}, ONE_HOT.astype(int), REAL),
    "binary": ("BinaryCrossentropy", {}, BINARY, P3),
    "binary, smoothed": ("BinaryCrossentropy", {"label_smoothing": 0.2}, BINARY, P3),
    "binary, logits": ("BinaryCrossentropy", {"from_logits": True}, BINARY, WIDE[:, :3]),
    "binary, logits, smoothed": (
        "BinaryCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        BINARY,
        REAL[:, :3],
    ),
    "binary, fractions": ("BinaryCrossentropy", {}, P3[::-1], P3),
    "categorical": ("CategoricalCrossentropy", {}, ONE_HOT, P),
    "categorical, smoothed": ("CategoricalCrossentropy", {"label_smoothing": 0.2}, ONE_HOT, P),
    "categorical, not summing to 1": ("CategoricalCrossentropy", {}, ONE_HOT, 0.3 * P + 0.1),
    "categorical, logits": ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT, WIDE),
    "categorical, logits, smoothed": (
        "CategoricalCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        ONE_HOT,
        REAL,
    ),
    "categorical, fractions": ("CategoricalCrossentropy", {"from_logits": True}, P, REAL),
    "sparse": ("SparseCategoricalCrossentropy", {}, LABELS, P),
    "sparse, not summing to 1": ("SparseCategoricalCrossentropy", {}, LABELS, 0.3 * P + 0.1),
    "sparse, a column": ("SparseCategoricalCrossentropy", {}, LABELS[:, None], P),
    "sparse, logits": ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS, WIDE),
    "mape": ("MeanAbsolutePercentageError", {}, P, REAL),
    "msle": ("MeanSquaredLogarithmicError", {}, P, REAL),
    "log cosh": ("LogCosh", {}, P, WIDE),
    "squared hinge": ("SquaredHinge", {}, ONE_HOT, REAL),
    "categorical hinge": ("CategoricalHinge", {}, ONE_HOT, REAL),
    "binary, axis": ("BinaryCrossentropy", {"axis": 1}, BINARY, P3),
    "focal": ("BinaryFocalCrossentropy", {}, BINARY, P3),
    "focal, balanced": ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5}, BINARY, P3),
    "focal, logits": ("BinaryFocalCrossentropy", {"from_logits": True}, BINARY, REAL[:, :3]),
    "categorical focal": ("CategoricalFocalCrossentropy", {}, ONE_HOT, P),
    "categorical focal, logits": (
        "CategoricalFocalCrossentropy",
        {"from_logits": True, "alpha": [0.1, 0.2, 0.3, 0.4], "gamma": 3.0, "label_smoothing": 0.1},
        ONE_HOT,
        REAL,
    ),
    "kl": ("KLDivergence", {}, P[::-1], P),
    "poisson": ("Poisson", {}, P[::-1], P),
    "cosine": ("CosineSimilarity", {}, P, REAL),
    "sparse, ignoring a class": ("SparseCategoricalCrossentropy", {"ignore_class": 2}, LABELS, P),
    "sparse, ignoring -1, logits": (
        "SparseCategoricalCrossentropy",
        {"ignore_class": -1, "from_logits": True},
        np.where(LABELS == 2, -1, LABELS),
        WIDE,
    ),
    "sparse, logits of three axes": (
        "SparseCategoricalCrossentropy",
        {"from_logits": True},
        LABELS[:, None] % [2, 3],
        REAL_3D,
    ),
}


def like_losses(weights: np.ndarray | None, y_pred: np.ndarray) -> np.ndarray | None:
    """Weights of samples as Keras wants them where a sample has several losses."""
    return weights[:, None] if weights is not None and y_pred.ndim == 3 else weights


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_are_keras_s(keras: Any, dtype: str, case: str, weighted: bool) -> None:
    import torch

    name, arguments, y_true, y_pred = CASES[case]
    weights = WEIGHTS if weighted else None
    x = mw.tensor(y_pred, dtype, requires_grad=True)
    ours = getattr(losses, name)(**arguments)(y_true, x, weights)
    t = torch.tensor(x.numpy().astype(float), requires_grad=True)
    theirs = getattr(keras.losses, name)(**arguments, dtype="float64")(y_true, t, like_losses(weights, y_pred))
    assert ours.shape == ()
    tolerance = {"float32": {"rtol": 2e-5, "atol": 1e-6}, "float64": {"rtol": 2e-7, "atol": 3e-8}}[
        dtype
    ]  # Keras rounds some constants
    np.testing.assert_allclose(ours.item(), theirs.item(), **tolerance)
    (gradient,) = torch.autograd.grad(theirs, t)
    np.testing.assert_allclose(mw.grad(ours, x).numpy(), gradient.numpy(), **tolerance)


@pytest.mark.parametrize(
    ("name", "y_true", "y_pred", "expected"),
    [
        ("mse", [[1.0, 2.0]], [[2.0, 4.0]], 2.5),
        ("mae", [[1.0, 2.0]], [[2.0, 4.0]], 1.5),
        ("huber", [[0.0, 0.0]], [[0.5, 3.0]], (0.125 + 2.5) / 2),
        ("hinge", [[1.0], [-1.0], [1.0]], [[0.25], [-2.0], [-1.0]], (0.75 + 0 + 2) / 3),
        ("binary_crossentropy", [[1.0], [0.0]], [[0.8], [0.4]], -(math.log(0.8) + math.log(0.6)) / 2),
        ("categorical_crossentropy", [[0.0, 1.0]], [[0.2, 0.8]], -math.log(0.8)),
        ("sparse_categorical_crossentropy", [1, 0], [[0.2, 0.8], [0.5, 0.5]], -(math.log(0.8) + math.log(0.5)) / 2),
        (losses.BinaryCrossentropy(from_logits=True), [[1.0]], [[0.0]], math.log(2)),
        (losses.CategoricalCrossentropy(from_logits=True), [[0.0, 1.0]], [[0.0, math.log(3)]], -math.log(0.75)),
        (losses.SparseCategoricalCrossentropy(True), [1], [[0.0, math.log(3)]], -math.log(0.75)),
        (
            losses.BinaryCrossentropy(label_smoothing=0.5),
            [[1.0]],
            [[0.8]],
            -0.75 * math.log(0.8) - 0.25 * math.log(0.2),
        ),
        (
            losses.CategoricalCrossentropy(label_smoothing=0.5),
            [[0, 1]],
            [[0.2, 0.8]],
            -0.75 * math.log(0.8) - 0.25 * math.log(0.2),
        ),
    ],
)
@pytest.mark.usefixtures("setting")
def test_by_hand(dtype: str, name: Any, y_true: Any, y_pred: Any, expected: float) -> None:
    assert losses.get(name)(y_true, mw.tensor(y_pred, dtype)).item() == pytest.approx(expected, rel=1e-6)


def test_smoothing_goes_to_all_classes_alike(setting: str) -> None:
    loss = losses.CategoricalCrossentropy(label_smoothing=0.3)
    expected = -(0.8 * math.log(0.5) + 0.1 * math.log(0.3) + 0.1 * math.log(0.2))
    assert loss([[1, 0, 0]], mw.tensor([[0.5, 0.3, 0.2]])).item() == pytest.approx(expected, rel=1e-6)


def test_gradient_by_hand(setting: str) -> None:
    x = mw.tensor([[1.0, 3.0], [0.0, 0.0]], requires_grad=True)
    assert mw.grad(losses.MeanSquaredError()([[0.0, 0.0], [1.0, 0.0]], x), x).tolist() == [[0.5, 1.5], [-0.5, 0.0]]
    z = mw.tensor([[0.0, 0.0], [0.0, 0.0]], requires_grad=True)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    assert mw.grad(loss([1, 0], z), z).tolist() == [[0.25, -0.25], [-0.25, 0.25]]
    assert mw.grad(loss([1, 0], z, [4.0, 0.0]), z).tolist() == [[1.0, -1.0], [0.0, 0.0]]


def test_sample_weights_count_once_for_each_sample() -> None:
    y_true, y_pred = np.zeros((2, 3)), mw.tensor([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]])
    assert losses.MeanAbsoluteError()(y_true, y_pred, [1.0, 0.5]).item() == (1 + 1.5) / 2


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "hinge", "binary_crossentropy"])
def test_a_row_of_targets_is_a_column_of_targets(name: str) -> None:
    y, p = np.array([0.0, 1, 1, 0]), np.array([0.1, 0.9, 0.2, 0.3])
    values = {losses.get(name)(t, q).item() for t in (y, y[:, None]) for q in (p, p[:, None])}
    assert len(values) == 1


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "hinge", "binary_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize(
    ("true", "predicted"),
    [((4,), (4, 2)), ((4, 1), (4, 2)), ((4,), (4, 4)), ((1, 4), (4, 1)), ((1, 4), (4,)), ((1,), (4, 1)), ((), (4, 1)),
     ((3, 1), (4, 1)), ((2, 3), (3, 2)), ((4, 4), (4, 1)), ((4, 2, 1), (4, 1, 3))],
)  # fmt: skip
def test_targets_are_never_broadcast(name: str, true: tuple[int, ...], predicted: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Expected targets of the predictions' shape"):
        losses.get(name)(np.ones(true), mw.tensor(np.full(predicted, 0.5)))


@pytest.mark.parametrize("shape", [(5, 4), (4,), (5, 1, 1), (), (1, 5)])
def test_labels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"labels of shape \(5,\).*categorical_crossentropy"):
        losses.SparseCategoricalCrossentropy()(np.zeros(shape, int), mw.tensor(P))


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("label", [-1, 4, 2**40, -(2**63)])
def test_labels_out_of_range_are_refused(setting: str, label: int, from_logits: bool) -> None:
    y = LABELS.copy()
    y[3] = label
    with pytest.raises(ValueError, match=rf"labels from 0 to 3\. Received: label {label} at index 3"):
        losses.SparseCategoricalCrossentropy(from_logits)(y, mw.tensor(P))


@pytest.mark.parametrize("label", [0.5, float("nan"), float("inf"), 1e300])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_labels_are_whole_numbers(label: float) -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        losses.SparseCategoricalCrossentropy()([0.0, 1, label, 1, 1], mw.tensor(P))


def test_refusing_labels_does_not_warn_besides() -> None:
    with warnings.catch_warnings(), pytest.raises(ValueError, match="whole numbers"):
        warnings.simplefilter("error")
        losses.SparseCategoricalCrossentropy()([0.0, 1, math.nan, 1, 1], mw.tensor(P))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64", "float32", "float64", ">i4", ">f8"])
def test_labels_of_any_type(dtype: str) -> None:
    loss = losses.SparseCategoricalCrossentropy()
    assert loss(LABELS.astype(dtype), mw.tensor(P)).item() == loss(LABELS, mw.tensor(P)).item()
    assert loss(mw.tensor(LABELS.astype(dtype)), mw.tensor(P)).item() == loss(LABELS, mw.tensor(P)).item()


@pytest.mark.parametrize("y", [["a", "b"], [object(), 1], [[1], [1, 2]], None], ids=["strings", "objects", "ragged", "None"])
@pytest.mark.parametrize("name", ["mse", "sparse_categorical_crossentropy"])
def test_targets_that_are_no_numbers(name: str, y: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="Expected"):
        losses.get(name)(y, mw.tensor(P[:2]))


@pytest.mark.parametrize("shape", [(5, 4), (4,), (5, 1), (), (1,)])
def test_sample_weights_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"`sample_weight` of shape \(5,\)"):
        losses.MeanSquaredError()(ONE_HOT, mw.tensor(P), np.ones(shape))


@pytest.mark.parametrize("shape", [(0, 4), (0,), (3, 0), ()])
@pytest.mark.parametrize("name", ["mse", "binary_crossentropy", "sparse_categorical_crossentropy"])
def test_no_predictions_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="predictions for at least one sample"):
        losses.get(name)(np.zeros(shape), mw.tensor(np.zeros(shape)))


@pytest.mark.parametrize("scale", [100.0, 1000.0])
def test_probabilities_out_of_softmax_and_sigmoid_keep_their_tails(setting: str, scale: float) -> None:
    x = mw.tensor([[scale, 0.0]], requires_grad=True)
    for name, y in (("sparse_categorical_crossentropy", [1]), ("categorical_crossentropy", [[0.0, 1.0]])):
        loss = losses.get(name)(y, x.softmax())
        assert loss.item() == scale and mw.grad(loss, x).tolist() == [[1.0, -1.0]]
    loss = losses.BinaryCrossentropy()([[0.0, 0.0]], x.sigmoid())
    assert loss.item() == pytest.approx((scale + math.log(2)) / 2)
    assert mw.grad(loss, x).tolist() == [[0.5, 0.25]]


@pytest.mark.parametrize("loss", ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_probabilities_of_0_and_1_are_clipped(setting: str, loss: str) -> None:
    p = mw.tensor([[1.0, 0.0]], requires_grad=True)
    value = losses.get(loss)([1] if loss.startswith("sparse") else [[0.0, 1.0]], p)
    assert value.item() == pytest.approx(-math.log(1e-7), rel=0.02)
    assert np.isfinite(mw.grad(value, p).numpy()).all()


def test_second_derivatives() -> None:
    """Cross-entropy from logits is differentiable twice: for one binary output the second derivative is p (1 - p)."""
    x = mw.tensor([[0.3]], "float64", requires_grad=True)
    first = mw.grad(losses.MeanSquaredError()([[1.0]], x), x, create_graph=True)
    assert mw.grad(first.sum(), x).item() == pytest.approx(2)


def test_a_function_as_loss() -> None:
    def cubed(y_true: mw.Tensor, y_pred: mw.Tensor) -> mw.Tensor:
        return (y_true - y_pred).abs() ** 3

    assert losses.get(cubed)([[1.0, 3.0]], [[0.0, 1.0]]).item() == 4.5
    assert losses.get(lambda t, p: (t - p).square().mean())([[1.0, 3.0]], [[0.0, 1.0]]).item() == 2.5


def test_get_by_name() -> None:
    for name in ("mse", "mean_squared_error", "MeanSquaredError"):
        assert type(losses.get(name)) is losses.MeanSquaredError
    assert type(losses.get(losses.Huber)) is losses.Huber
    own = losses.Huber(2.0)
    assert losses.get(own) is own


@pytest.mark.parametrize(("name", "error"), [("crossentropy", ValueError), ("", ValueError), (3, TypeError), (int, TypeError)])
def test_get_refuses(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Expected a loss"):
        losses.get(name)


@pytest.mark.parametrize("value", [-0.1, 1, 1.5, float("nan")])
def test_label_smoothing_is_checked(value: float) -> None:
    for loss in (losses.BinaryCrossentropy, losses.CategoricalCrossentropy):
        with pytest.raises(ValueError, match="label_smoothing"):
            loss(label_smoothing=value)


@pytest.mark.parametrize("delta", [0, -1, float("nan")])
def test_delta_is_checked(delta: float) -> None:
    with pytest.raises(ValueError, match="delta"):
        losses.Huber(delta)


@pytest.mark.parametrize(
    ("units", "activation", "loss", "words"),
    [
        (3, None, "sparse_categorical_crossentropy", "no probabilities"),
        (3, None, "categorical_crossentropy", "no probabilities"),
        (1, None, "binary_crossentropy", "no probabilities"),
        (3, "softmax", losses.SparseCategoricalCrossentropy(from_logits=True), "takes its result for logits"),
        (1, "sigmoid", losses.BinaryCrossentropy(from_logits=True), "takes its result for logits"),
        (3, "softmax", "sparse_categorical_crossentropy", None),
        (3, None, losses.SparseCategoricalCrossentropy(from_logits=True), None),
        (1, "sigmoid", "binary_crossentropy", None),
    ],
)
def test_last_layers_that_do_not_fit_are_told_of(units: int, activation: Any, loss: Any, words: str | None) -> None:
    x = np.ones((30, 4), np.float32)
    y: Any = np.arange(30) % max(units, 2)
    y = np.eye(3)[y] if loss == "categorical_crossentropy" else y
    model = mw.Sequential([mw.layers.Dense(units, activation, kernel_initializer="ones", input_shape=(4,))])
    model.compile("sgd", loss)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(x, y, verbose=0)
    assert [words in str(w.message) for w in told] == [True] if words else not told
    assert all(w.filename == __file__ for w in told)


def test_labels_need_an_output_each() -> None:
    model = mw.Sequential([mw.layers.Dense(1, activation="sigmoid", input_shape=(4,))])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="binary_crossentropy"):
        model.fit(np.zeros((4, 4)), np.arange(4) % 2, verbose=0)


def test_targets_may_be_a_rounding_above_one() -> None:
    y = np.float32(1) + np.finfo(np.float32).eps
    losses.BinaryCrossentropy().check(np.full((3, 1), y), mw.tensor([[0.5]]))
    with pytest.raises(ValueError, match=r"1\.001"):
        losses.BinaryCrossentropy().check(np.full((3, 1), 1.001), mw.tensor([[0.5]]))


# ---- probabilities that were changed past the tensor ----------------------------------------------------------------------


def by_numpy(p: mw.Tensor, values: Any) -> None:
    p.numpy()[...] = values


def by_data(p: mw.Tensor, values: Any) -> None:
    p.data[...] = values


def by_other_data(p: mw.Tensor, values: Any) -> None:
    p.data = np.asarray(values, p.dtype)


def by_dlpack(p: mw.Tensor, values: Any) -> None:
    np.from_dlpack(p)[...] = values


@pytest.mark.parametrize("change", [by_numpy, by_data, by_other_data, by_dlpack])
def test_losses_are_of_the_probabilities_as_they_are_now(change: Any) -> None:
    p = mw.tensor([[8.0], [-8.0]]).sigmoid()
    change(p, [[0.9], [0.1]])
    assert mw.losses.BinaryCrossentropy()([[0.0], [1.0]], p).item() == pytest.approx(-np.log(0.1), rel=1e-6)
    p = mw.layers.Dense(3, "softmax")(np.ones((1, 2), "f4"))
    change(p, [[0.2, 0.3, 0.5]])
    assert mw.losses.SparseCategoricalCrossentropy()([2], p).item() == pytest.approx(-np.log(0.5), rel=1e-6)


def test_reading_probabilities_leaves_their_logits() -> None:
    p = mw.tensor([[80.0], [-80.0]]).sigmoid()
    assert p.numpy().tolist() == [[1.0], [p.numpy()[1, 0]]]
    assert mw.losses.BinaryCrossentropy()([[0.0], [1.0]], p).item() == 80  # clipped probabilities would give 16


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_targets_of_a_categorical_crossentropy_keep_their_graph(smoothing: float) -> None:
    rng = np.random.default_rng(0)
    y, x = (mw.tensor(v, requires_grad=True) for v in (rng.dirichlet(np.ones(3), 4), rng.normal(size=(4, 3))))
    loss = mw.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    assert loss(y, x).item() == pytest.approx(loss(y.detach(), x).item(), rel=1e-12)
    dy, dx = mw.grad(loss(y, x), [y, x])
    np.testing.assert_allclose(dx.numpy(), mw.grad(loss(y.detach(), x), x).numpy(), atol=1e-14)
    np.testing.assert_allclose(dy.numpy(), -(1 - smoothing) * x.log_softmax().numpy() / 4, rtol=1e-12)


@pytest.mark.parametrize("base", ["BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy", "Huber"])
def test_the_losses_of_a_subclass_are_its_own(base: str, setting: str) -> None:
    class Twice(getattr(mw.losses, base)):  # type: ignore[misc]
        def call(self, y_true: mw.Tensor, y_pred: mw.Tensor) -> mw.Tensor:
            return super().call(y_true, y_pred) * 2

    y_pred = mw.tensor([[0.2, 0.8], [0.6, 0.4]], requires_grad=True)
    y_true = np.array([1, 0]) if base.startswith("Sparse") else np.array([[0.0, 1.0], [1.0, 0.0]])
    once = getattr(mw.losses, base)()
    assert Twice()(y_true, y_pred).item() == pytest.approx(2 * once(y_true, y_pred).item(), rel=1e-6)


# ---- reductions, functions, names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [c for c in CASES if "three axes" not in c])
def test_reductions_and_functions_are_keras_s(keras: Any, case: str) -> None:
    name, arguments, y_true, y_pred = CASES[case]
    for reduction, weights in itertools.product(["sum_over_batch_size", "mean", "sum", "none", None], [None, WEIGHTS]):
        options = {**arguments, "reduction": reduction, "dtype": "float64"}
        expected = getattr(keras.losses, name)(**options)(y_true, y_pred, weights).numpy()
        found = getattr(losses, name)(**options)(y_true, mw.tensor(y_pred), weights)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.numpy(), expected, rtol=3e-7, atol=3e-8)
    function = getattr(losses, naming.snake_case(name))
    alone = getattr(losses, name)(**arguments, reduction=None)
    np.testing.assert_array_equal(function(y_true, y_pred, **arguments).numpy(), alone(y_true, y_pred).numpy())


@pytest.mark.parametrize("case", CASES)
def test_gradients_by_differences(case: str) -> None:
    name, arguments, y_true, y_pred = CASES[case]
    for reduction in ("sum_over_batch_size", "sum"):
        loss = getattr(losses, name)(**arguments, reduction=reduction)
        assert mw.gradcheck(lambda p: loss(y_true, p), [y_pred])  # noqa: B023


@pytest.mark.parametrize("case", CASES)
def test_replayed_losses_follow_their_targets(c_only: str, case: str) -> None:
    name, arguments, y_true, y_pred = CASES[case]
    loss = getattr(losses, name)(**arguments)

    @mw.capture
    def step(y: mw.Tensor, p: mw.Tensor, w: mw.Tensor) -> tuple[mw.Tensor, mw.Tensor]:
        return loss(y, p), loss(y, p, w)

    order = [0, 1, 2, 3, 4]
    for _ in range(4):
        order = order[1:] + order[:1]
        y, p, w = mw.tensor(y_true[order]), mw.tensor(y_pred), mw.tensor(WEIGHTS[order])
        found, expected = step(y, p, w), (loss(y, p), loss(y, p, w))
        assert [t.item() for t in found] == [t.item() for t in expected]
    assert len(step.programs) == 1


def test_a_name_and_a_reduction_are_checked() -> None:
    assert losses.Huber().name == "huber_loss" and losses.Huber(1.0, "sum", "mine").name == "mine"
    assert losses.get("mse").name == "mean_squared_error"
    with pytest.raises(ValueError, match="`reduction` out of"):
        losses.MeanSquaredError("average")
    with pytest.raises(TypeError, match="`name` to be a string"):
        losses.MeanSquaredError("sum", 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reduction='none'"):
        mw.Sequential([mw.layers.Dense(1)]).compile("sgd", losses.MeanSquaredError("none"))


def test_functions_are_losses_to_train_with() -> None:
    assert type(losses.get(losses.binary_crossentropy)) is losses.BinaryCrossentropy
    assert losses.get({"class_name": "Huber", "config": {"delta": 2.0}}).delta == 2.0  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="label_smooth"):
        losses.binary_crossentropy([1], [0.5], label_smooth=0.1)


@in_c
def test_functions_and_objects_of_no_use_leave_programs_alone() -> None:
    @mw.capture
    def loss(y: mw.Tensor, p: mw.Tensor) -> mw.Tensor:
        return losses.kl_divergence(y, p).mean()

    for _ in range(4):
        loss(mw.tensor(P), mw.tensor(P))
    assert len(loss.programs) == 1


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "log_cosh"])
def test_whole_targets_keep_their_digits(setting: str, name: str) -> None:
    whole = np.array([20_000_001, 20_000_003])
    predicted = mw.tensor(whole.astype(float))
    for y in (whole, mw.tensor(whole), whole.tolist(), [float(n) for n in whole], whole.astype(np.uint32)):
        assert losses.get(name)(y, predicted).item() == pytest.approx(0, abs=1e-15)
        assert losses.get(name)(y, predicted + 1).item() > 0.4


@pytest.mark.parametrize("swapped", [
    lambda p: losses.SparseCategoricalCrossentropy(True)(p, LABELS),
    lambda p: losses.SparseCategoricalCrossentropy(True)(p, mw.tensor(LABELS)),
    lambda p: losses.SparseCategoricalCrossentropy(True)(p.detach(), LABELS),
    lambda p: losses.SparseCategoricalCrossentropy()(P, LABELS),
    lambda p: losses.CategoricalCrossentropy(True)(p, ONE_HOT),
    lambda p: losses.CategoricalCrossentropy()(P, ONE_HOT.astype(int)),
    lambda p: losses.BinaryCrossentropy(True)(p, ONE_HOT),
    lambda p: losses.BinaryCrossentropy()(P, mw.tensor(ONE_HOT.astype(bool))),
    lambda p: losses.Hinge()(p, 2 * ONE_HOT - 1),
    lambda p: losses.CategoricalHinge()(p, ONE_HOT),
    lambda p: losses.Poisson()(p, ONE_HOT),
    lambda p: losses.mean_absolute_percentage_error(p, ONE_HOT),
])  # fmt: skip
def test_swapped_arguments_are_told_of(swapped: Any) -> None:
    with pytest.raises(ValueError, match="targets first, then predictions"):
        swapped(mw.tensor(REAL, requires_grad=True))


def test_what_is_not_swapped() -> None:
    ones = np.ones((2, 1))
    assert losses.BinaryCrossentropy()(ones, np.ones((2, 1), int)).item() < 1e-6  # predictions that happen to be whole
    teacher, pupil = (mw.tensor(REAL, requires_grad=True) for _ in "ab")
    assert np.isfinite(losses.BinaryCrossentropy(True)(teacher.sigmoid(), pupil).item())
    assert losses.MeanSquaredError()(teacher, REAL).item() == 0  # the same the other way round


@in_c
@pytest.mark.parametrize("label", [-1, 4, 7])
def test_ignoring_a_class_is_no_pass_for_other_labels(label: int) -> None:
    loss = losses.SparseCategoricalCrossentropy(True, ignore_class=255)
    y = np.array([0, 255, 1, label, 2])
    with pytest.raises(ValueError, match=f"label {label}"):
        loss(y, mw.tensor(REAL))
    step = mw.capture(lambda y, p: loss(y, p))
    for _ in range(4):
        good = step(mw.tensor(np.where(y == label, 3, y)), mw.tensor(REAL))
    assert np.isfinite(good.item()) and len(step.programs) == 1
    assert step(mw.tensor(y), mw.tensor(REAL)).item() == math.inf
    nothing = loss(np.full(5, 255), mw.tensor(REAL))
    assert nothing.item() == 0
