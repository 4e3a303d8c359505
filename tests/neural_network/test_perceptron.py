"""The perceptrons with scikit-learn's conventions: its checks, its accuracy, and what they have besides."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, learning_curve, train_test_split
from sklearn.utils.estimator_checks import check_estimator

import microweights as mw

NETWORKS = mw.neural_network


def digits() -> list[Any]:
    x, y = load_digits(return_X_y=True)
    return list(train_test_split(x.astype(np.float32), y, random_state=0, stratify=y))


@pytest.mark.parametrize("name", NETWORKS.__all__)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(name: str) -> None:
    results = check_estimator(getattr(NETWORKS, name)(), on_fail=None, on_skip=None)
    assert [(r["check_name"], r["exception"]) for r in results if r["status"] not in ("passed", "skipped")] == []
    assert sum(r["status"] == "passed" for r in results) > 50


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd", "rmsprop", "adagrad"])
def test_digits(solver: str) -> None:
    x_train, x_test, y_train, y_test = digits()
    rate = 0.05 if solver in ("sgd", "adagrad") else 1e-3
    model = NETWORKS.MLPClassifier(solver=solver, learning_rate_init=rate, random_state=0, max_iter=50).fit(x_train, y_train)
    assert model.score(x_test, y_test) > 0.96
    assert model.coefs_[0].dtype == np.float32 and [w.shape for w in model.coefs_] == [(64, 100), (100, 10)]
    p = model.predict_proba(x_test)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.predict_log_proba(x_test), np.log(p), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_predictions_are_those_of_the_network() -> None:
    x_train, x_test, y_train, _ = digits()
    layers = {"hidden_layer_sizes": (20, 16, 12), "activation": ["relu", "gelu", "logistic"], "dropout": [0.1, 0.0, 0.2]}
    model = NETWORKS.MLPClassifier(**layers, max_iter=5, random_state=0).fit(x_train, y_train)
    logits = mw.tensor(model._network.predict(x_test))
    np.testing.assert_allclose(model.predict_proba(x_test), logits.softmax().numpy(), atol=1e-5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_numbers_of_any_size() -> None:
    """Neither columns nor targets need a scale; in float32, too."""
    x, y = load_diabetes(return_X_y=True)
    units = np.array([1e10, 1e-6, 1, 1e5, 1, 1, 1e-3, 1, 1, 1])
    scores = []
    for data, target in ((x, y), (x * units, y * 1e6), ((x * units + 5 * units).astype(np.float32), y)):
        model = NETWORKS.MLPRegressor(random_state=0, max_iter=100).fit(data, target)
        scores.append(model.score(data, target))
    np.testing.assert_allclose(scores, scores[0], atol=0.02)
    assert scores[0] > 0.55


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_same_seed_gives_the_same_network_and_leaves_others_alone() -> None:
    x_train, _, y_train, _ = digits()
    mw.seed(5)
    expected = mw.initializers.RandomNormal()((3,))
    mw.seed(5)
    a, b = (NETWORKS.MLPClassifier(random_state=1, dropout=0.2, max_iter=3).fit(x_train, y_train) for _ in range(2))
    assert all((v == w).all() for v, w in zip(a.coefs_, b.coefs_, strict=True))
    assert (np.asarray(mw.initializers.RandomNormal()((3,))) == np.asarray(expected)).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_early_stopping_and_both_curves() -> None:
    x_train, x_test, y_train, y_test = digits()
    given = NETWORKS.MLPClassifier(random_state=0, max_iter=5).fit(x_train, y_train, validation_data=(x_test, y_test))
    assert len(given.loss_curve_) == len(given.validation_loss_curve_) == given.n_iter_ == 5
    model = NETWORKS.MLPClassifier(random_state=0, early_stopping=True, n_iter_no_change=3, learning_rate_init=0.02)
    model.fit(x_train, y_train, validation_data=(x_test, y_test))
    assert model.n_iter_ < 200
    z = np.log(model.predict_proba(x_test)[np.arange(len(y_test)), y_test]).mean()
    assert -z == pytest.approx(min(model.validation_loss_curve_), abs=2e-3)
    apart = NETWORKS.MLPRegressor(random_state=0, early_stopping=True).fit(x_train, y_train)
    assert len(apart.validation_loss_curve_) == apart.n_iter_ < 200


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_and_partial_fit_go_on() -> None:
    x_train, _, y_train, _ = digits()
    model = NETWORKS.MLPClassifier(random_state=0, warm_start=True, max_iter=3).fit(x_train, y_train)
    first = model.loss_curve_[-1]
    model.fit(x_train, y_train)
    assert model.n_iter_ == 3 and len(model.loss_curve_) == 6 and model.loss_curve_[3] < first
    stream = NETWORKS.MLPClassifier(random_state=0)
    for _ in range(20):
        for part in np.array_split(np.arange(len(x_train)), 3):
            stream.partial_fit(x_train[part], y_train[part], classes=range(10))
    assert stream.score(x_train, y_train) > 0.95
    twin = pickle.loads(pickle.dumps(stream)).partial_fit(x_train, y_train)
    stream.partial_fit(x_train, y_train)
    assert all((v == w).all() for v, w in zip(twin.coefs_, stream.coefs_, strict=True))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_weights_of_samples_and_classes() -> None:
    x, y = load_iris(return_X_y=True)
    heavy = NETWORKS.MLPClassifier(random_state=0, max_iter=60).fit(x, y, np.where(y == 1, 50.0, 1.0))
    same = NETWORKS.MLPClassifier(random_state=0, max_iter=60, class_weight={0: 1, 1: 50, 2: 1}).fit(x, y)
    plain = NETWORKS.MLPClassifier(random_state=0, max_iter=60).fit(x, y)
    np.testing.assert_allclose(same.coefs_[0], heavy.coefs_[0], rtol=1e-9)
    assert (heavy.predict(x) == 1).sum() > (plain.predict(x) == 1).sum()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_several_outputs() -> None:
    x, y = load_diabetes(return_X_y=True)
    both = np.stack([y, -100 * y], 1)
    model = NETWORKS.MLPRegressor(random_state=0, max_iter=100).fit(x, both)
    assert model.predict(x).shape == both.shape and model.score(x, both) > 0.5
    x, y = load_iris(return_X_y=True)
    labels = np.stack([y == 0, y > 0, y < 2], 1).astype(int)
    several = NETWORKS.MLPClassifier(random_state=0, max_iter=300).fit(x, labels)
    assert several.predict(x).shape == several.predict_proba(x).shape == (150, 3)
    assert several.score(x, labels) > 0.9
    some = NETWORKS.MLPClassifier((4,), solver="lbfgs", alpha=0.0, random_state=0, max_iter=20).fit(x, labels)
    log_loss = -np.log(np.where(labels == 1, some.predict_proba(x), 1 - some.predict_proba(x))).sum(1).mean()
    assert some.loss_ == pytest.approx(float(log_loss)), "of a sample, the sum over its labels"
    names = np.array(["a", "b", "c"])[y]
    assert NETWORKS.MLPClassifier(random_state=0, max_iter=300).fit(x, names).score(x, names) > 0.9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_search_in_several_processes() -> None:
    x, y = load_iris(return_X_y=True)
    grid = {"hidden_layer_sizes": [(5,), (20, 10)], "activation": ["relu", "tanh"]}
    search = GridSearchCV(NETWORKS.MLPClassifier(random_state=0, learning_rate_init=0.02), grid, n_jobs=2, cv=3).fit(x, y)
    assert search.best_score_ > 0.9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_with_other_parameters_begins_anew() -> None:
    x, y = load_diabetes(return_X_y=True)
    given: dict[str, Any] = {"random_state": 0, "max_iter": 20}
    model = NETWORKS.MLPRegressor((8,), warm_start=True, **given).fit(x, y)
    before = model.predict(x)
    for changed in ({"activation": "tanh"}, {"hidden_layer_sizes": (8, 8)}, {"alpha": 10.0}, {"solver": "sgd"}):
        model.set_params(**changed)
        assert (model.predict(x) == before).all(), "before it is fitted again"
        model.fit(x, y)
        fresh = NETWORKS.MLPRegressor(**{**model.get_params(), "warm_start": False}).fit(x, y)
        assert (model.predict(x) == fresh.predict(x)).all()
        before = model.predict(x)
    stopping = NETWORKS.MLPRegressor((8,), warm_start=True, early_stopping=True, **given)
    for epochs in (20, 40):
        stopping.fit(x, y)
        assert len(stopping.validation_loss_curve_) == len(stopping.validation_scores_) == epochs
        assert stopping.n_iter_ == 20


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_threads_do_not_disturb_each_other() -> None:
    joblib = pytest.importorskip("joblib")
    x_train, _, y_train, _ = digits()

    def weights() -> Any:
        return NETWORKS.MLPClassifier((20,), random_state=0, max_iter=3, dropout=0.3).fit(x_train, y_train).coefs_[0]

    state = mw.random.common().copy()
    alone = weights()
    for other in joblib.Parallel(3, backend="threading")(joblib.delayed(weights)() for _ in range(6)):
        assert (other == alone).all()
    assert (mw.random.common() == state).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_penalty_is_scikit_learns() -> None:
    """One linear layer, all samples in each step: alpha means the same, for squares and for cross-entropies."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    x, y = load_iris(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    target = x @ [1.0, -2.0, 0.5, 0.0]
    target /= target.std()
    common: dict[str, Any] = {"alpha": 30.0, "batch_size": len(x), "max_iter": 3000, "tol": 0.0, "random_state": 0}
    common |= {"learning_rate_init": 0.01, "n_iter_no_change": 3000}
    for ours, theirs, wanted in ((NETWORKS.MLPRegressor, MLPRegressor, target), (NETWORKS.MLPClassifier, MLPClassifier, y)):
        mine = ours(hidden_layer_sizes=(), **common).fit(x, wanted)
        its = theirs(hidden_layer_sizes=(), **common).fit(x, wanted)
        np.testing.assert_allclose(mine.coefs_[0], its.coefs_[0], atol=2e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_column_that_does_not_change_counts_for_nothing() -> None:
    x, y = load_diabetes(return_X_y=True)
    model = NETWORKS.MLPRegressor((8,), random_state=0, max_iter=20).fit(np.column_stack([x, np.full(len(x), 3.0)]), y)
    far = np.column_stack([x, np.full(len(x), 1e6)])
    np.testing.assert_array_equal(model.predict(far), model.predict(np.column_stack([x, np.full(len(x), 3.0)])))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_weights_of_validation_data() -> None:
    x_train, x_test, y_train, y_test = digits()
    model = NETWORKS.MLPClassifier(random_state=0, max_iter=3)
    sets = (x_test, y_test), (x_test, y_test, np.full(len(y_test), 1000.0))
    curves = [model.fit(x_train, y_train, validation_data=given).validation_loss_curve_ for given in sets]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)
    with pytest.raises(ValueError, match="class_weight"):
        NETWORKS.MLPClassifier(class_weight="balanced").fit(x_train, np.stack([y_train > 4, y_train < 3], 1).astype(int))
    with pytest.raises(ValueError, match="targets a sample"):
        NETWORKS.MLPRegressor().fit(x_train, np.stack([y_train] * 2, 1), validation_data=(x_test, y_test))


@pytest.mark.parametrize("name", NETWORKS.__all__)
def test_parts_keep_the_scale_of_the_first(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3)) * [1, 100, 1e-3] + [0, 1000, 1]
    x[:50, 2] = 1.0  # a column that does not change at first
    y = x[:, 0] + x[:, 1] / 100 - 10
    extra = {}
    if name == "MLPClassifier":
        y, extra = (y > 0).astype(int), {"classes": [0, 1]}
    model = getattr(NETWORKS, name)((8,), random_state=0, learning_rate_init=1e-2)
    for _ in range(30):
        for begin in range(0, 600, 50):
            model.partial_fit(x[begin : begin + 50], y[begin : begin + 50], **extra)
    np.testing.assert_allclose(model.mean_, x[:50].mean(0))
    np.testing.assert_allclose(model.scale_, [*x[:50, :2].std(0), 1.0])
    assert (model._inverse == 1 / model.scale_).all()
    if not extra:
        np.testing.assert_allclose(model.unit_, y[:50].std())
        np.testing.assert_allclose(model.middle_, y[:50].mean())
    assert model.score(x, y) > 0.97


@pytest.mark.parametrize("first", [2, 10, 200])
def test_few_rows_tell_the_scale(first: int) -> None:
    x, y = load_diabetes(return_X_y=True)
    scores = []
    for begin in (first, 200):
        model = NETWORKS.MLPRegressor(random_state=0).partial_fit(x[:begin], y[:begin])
        for _ in range(30):
            for i in range(begin, len(x), 50):
                model.partial_fit(x[i : i + 50], y[i : i + 50])
        scores.append(model.score(x, y))
    assert scores[0] > scores[1] - 0.05, scores


@pytest.mark.parametrize("unit", [1e-4, 1e13])
def test_the_unit_of_sample_weights_says_nothing_about_columns(unit: float) -> None:
    x = np.random.default_rng(0).normal(size=(500, 3)) + 5
    x[:, 2] = 0.1
    y, weights = x[:, 0] - x[:, 1], unit * np.random.default_rng(1).uniform(0.5, 1, 500)
    model = NETWORKS.MLPRegressor(random_state=0, max_iter=1)
    with pytest.warns(ConvergenceWarning):
        model.fit(x, y, weights)
    assert (model._inverse > 0).tolist() == [True, True, False]


def test_a_refused_part_changes_nothing() -> None:
    x, y = load_iris(return_X_y=True)
    model = NETWORKS.MLPClassifier(random_state=0).partial_fit(x[:100], y[:100].astype(str), classes=["0", "1"])
    before = model.predict(x)
    with pytest.raises(ValueError, match="first call"):
        model.partial_fit(x, np.stack([y > 0, y > 1], 1).astype(int))
    np.testing.assert_array_equal(model.predict(x), before)
    with pytest.raises(ValueError, match="first call"):
        model.set_params(alpha=1.0).partial_fit(x[:100], y[:100].astype(str))
    np.testing.assert_array_equal(model.predict(x), before)


def test_the_first_part_may_be_one_row() -> None:
    x, y = load_iris(return_X_y=True)
    model = NETWORKS.MLPClassifier(random_state=0).partial_fit(x[:1], y[:1], classes=[0, 1, 2])
    for _ in range(300):
        model.partial_fit(x, y)
    assert model.score(x, y) > 0.9
    alone = NETWORKS.MLPClassifier(random_state=0).partial_fit(x[:100], y[:100], classes=[0, 1, 2])
    rules = [layer.kernel_regularizer.l2 for m in (model, alone) for layer in m._network.layers if hasattr(layer, "units")]
    assert rules == [pytest.approx(1e-4 / 200 / 2)] * 4


def test_parts_refuse_other_parameters() -> None:
    x, y = load_iris(return_X_y=True)
    model = NETWORKS.MLPClassifier(random_state=0).partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="first call"):
        model.set_params(learning_rate_init=0.1).partial_fit(x, y)


def test_it_stops_when_progress_is_slow() -> None:
    """As scikit-learn: epochs that are better, but by less than tol, count as no progress."""
    x, y = load_iris(return_X_y=True)
    model = NETWORKS.MLPClassifier(random_state=0, max_iter=2000, tol=1e-3, n_iter_no_change=5).fit(x, y)
    fell = -np.diff(model.loss_curve_)
    assert model.n_iter_ < 2000
    best = np.minimum.accumulate(model.loss_curve_)[:-1]
    assert (np.array(model.loss_curve_)[1:] > best - 1e-3)[-6:].all()
    assert (fell > 0).sum() > 0.9 * len(fell)


def test_one_epoch_is_a_fit_like_others() -> None:
    x, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning):
        model = NETWORKS.MLPClassifier(max_iter=1, early_stopping=True, random_state=0).fit(x, y)
    assert len(model.validation_loss_curve_) == 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"dropout": "0.2"},
        {"hidden_layer_sizes": (0,)},
        {"hidden_layer_sizes": (2.5,)},
        {"activation": "magic"},
        {"activation": ["relu", "relu"]},
        {"dropout": 1.0},
        {"dropout": [0.1, 0.1, 0.1]},
        {"solver": "magic"},
        {"alpha": -1.0},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"activation": None},
        {"hidden_layer_sizes": None},
        {"max_iter": 0},
        {"learning_rate_init": "fast"},
        {"validation_fraction": 3.0},
    ],
)
def test_refused_parameters(parameters: dict[str, Any]) -> None:
    x, y = load_iris(return_X_y=True)
    for name in NETWORKS.__all__:
        with pytest.raises(ValueError, match=r"Expected .*Received"):
            getattr(NETWORKS, name)(**parameters).fit(x, y)


def test_refused_data() -> None:
    x, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="NaN"):
        NETWORKS.MLPRegressor().fit(np.where(x > 7, np.nan, x), y)
    with pytest.raises(ValueError, match="classes"):
        NETWORKS.MLPClassifier().partial_fit(x, y)
    with pytest.raises(ValueError, match="labels out of"):
        NETWORKS.MLPClassifier().partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match="validation_data"):
        NETWORKS.MLPClassifier(max_iter=1).fit(x, y % 2, validation_data=(x, y))
    with pytest.raises(FloatingPointError, match="learning rate"):
        NETWORKS.MLPRegressor(solver="sgd", learning_rate_init=1e5).fit(x, y)
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        NETWORKS.MLPRegressor(max_iter=2).fit(x, y)


def test_a_part_that_fails_leaves_a_network_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = load_diabetes(return_X_y=True)
    stream, other = (NETWORKS.MLPRegressor(random_state=0).partial_fit(x, y) for _ in range(2))
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        learn = stream._network.train_on_batch
        patch.setattr(
            stream._network, "train_on_batch", lambda *rows, **form: learn(*rows, **form) if len(rows[0]) == 200 else 1 / 0
        )
        stream.partial_fit(3 * x + 1, 2 * y)
    for model in (stream, other):
        assert (model._network.predict(x) == other._network.predict(x)).all()
        model.partial_fit(x[:100], y[:100])
    assert (stream.predict(x) == other.predict(x)).all()


def test_a_warm_start_after_a_failure_is_as_without_it() -> None:
    x, y = load_diabetes(return_X_y=True)
    for solver in ("sgd", "adam"):
        pair = [NETWORKS.MLPRegressor(20, solver=solver, warm_start=True, max_iter=3, random_state=0) for _ in range(2)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for model in pair:
                model.fit(x, y)
            with np.errstate(all="ignore"), pytest.raises(FloatingPointError):
                pair[0].fit(x, np.where(np.arange(len(y)) == len(y) - 1, 1e200, y))
            scores = [model.fit(x, y).score(x, y) for model in pair]
        assert scores[0] == scores[1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("several", [False, True])
def test_curves_are_in_the_units_of_the_targets(several: bool) -> None:
    """All samples in each step, so that an epoch's loss is that of the weights before it."""
    x = np.random.default_rng(0).normal(size=(200, 3))
    y = np.stack([30 * x[:, 0] + 500, 1000 * x[:, 1]], 1) if several else 30 * x[:, 0] + 500
    model = NETWORKS.MLPRegressor((20,), random_state=0, alpha=0.0, max_iter=5, batch_size=None, warm_start=True)
    model.fit(x, y, validation_data=(x[:50], y[:50]))

    def loss(rows: Any) -> float:
        squares = (model.predict(x[rows]) - y[rows]) ** 2
        return float((squares / model.unit_**2).mean() * (model.unit_**2).mean() / 2)

    error, seen = loss(slice(None)), loss(slice(50))
    assert model.validation_loss_curve_[-1] == pytest.approx(seen, rel=1e-6)
    model.fit(x, y)
    assert model.loss_curve_[5] == pytest.approx(error, rel=1e-6)
    assert model.loss_ == model.loss_curve_[-1] and model.best_loss_ == min(model.loss_curve_)
    assert model.n_iter_ == 5 and len(model.loss_curve_) == 10
    halves = loss(slice(None))
    model.partial_fit(x, y).partial_fit(x, y)
    assert model.loss_curve_[10] == pytest.approx(halves, rel=0.05)
    assert model.loss_curve_[11] < model.loss_curve_[10] < error


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scores_of_what_is_held_out() -> None:
    x, y = load_iris(return_X_y=True)
    for make, targets in ((NETWORKS.MLPClassifier, np.array(["a", "b", "c"])[y]), (NETWORKS.MLPRegressor, x[:, 0])):
        model = make((5,), random_state=0, max_iter=4, early_stopping=True)
        model.fit(x, targets, validation_data=(x[::3], targets[::3]))
        assert len(model.validation_scores_) == 4 and model.best_validation_score_ == max(model.validation_scores_)
        best = int(np.argmin(model.validation_loss_curve_))
        assert model.score(x[::3], targets[::3]) == pytest.approx(model.validation_scores_[best])
        assert model.best_loss_ is None
        plain = make((5,), max_iter=1).fit(x, targets)
        assert plain.validation_scores_ is plain.best_validation_score_ is None
        with pytest.raises(ValueError, match="early_stopping=False"):
            model.partial_fit(x, targets)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rates_that_change() -> None:
    x, y = load_diabetes(return_X_y=True)
    schedule = mw.schedules.StepDecay(0.1, 3)
    model = NETWORKS.MLPRegressor((4,), batch_size=None, learning_rate_init=schedule, max_iter=7, random_state=0)
    model = pickle.loads(pickle.dumps(clone(model).fit(x, y)))
    assert model._network.optimizer.learning_rate == pytest.approx(0.1 * 0.1**2)
    assert model.partial_fit(x, y)._network.optimizer.iterations == 8
    rates = mw.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5**epoch)
    model = NETWORKS.MLPRegressor((4,), max_iter=3).fit(x, y, callbacks=rates)
    assert model._network.optimizer.learning_rate == 0.25
    slow = NETWORKS.MLPRegressor((4,), solver="sgd", learning_rate="invscaling", power_t=0.25, max_iter=3).fit(x, y)
    assert slow._network.optimizer.learning_rate == pytest.approx(1e-3 / (1 + 2 * len(x)) ** 0.25)
    adaptive = NETWORKS.MLPRegressor((4,), solver="sgd", learning_rate="adaptive", max_iter=3000, random_state=0)
    adaptive.set_params(learning_rate_init=0.01, n_iter_no_change=2, batch_size=None).fit(x, y)
    assert adaptive._network.optimizer.learning_rate == pytest.approx(0.01 / 5**6) and adaptive.n_iter_ < 3000
    with pytest.raises(ValueError, match="one way for the rate to change"):
        NETWORKS.MLPRegressor(solver="sgd", learning_rate="adaptive", learning_rate_init=schedule).fit(x, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_class_and_no_end() -> None:
    x, y = load_iris(return_X_y=True)
    only = NETWORKS.MLPClassifier((3,), max_iter=5).fit(x, np.full(150, "a"))
    assert only.predict(x[:2]).tolist() == ["a", "a"] and only.predict_proba(x[:2]).tolist() == [[1.0], [1.0]]
    part = NETWORKS.MLPClassifier((3,)).partial_fit(x, np.full(150, "a"), classes=["a"])
    assert part.predict(x[:1]) == ["a"] and part.predict_log_proba(x[:1]).tolist() == [[0.0]]
    _, scores, _ = learning_curve(NETWORKS.MLPClassifier((3,), max_iter=5), x, y, train_sizes=[10, 100], cv=3)
    assert np.isfinite(scores).all(), "the first ten rows are of one class"
    with pytest.warns(ConvergenceWarning):
        assert NETWORKS.MLPClassifier((3,), n_iter_no_change=np.inf, max_iter=30, tol=1.0).fit(x, y).n_iter_ == 30


def test_lbfgs_finds_a_minimum() -> None:
    x, y = load_iris(return_X_y=True)
    two = NETWORKS.MLPClassifier((3,), "tanh", solver="lbfgs", alpha=0.1, random_state=0, max_iter=500).fit(x, y)
    assert two.score(x, y) > 0.97 and 5 < two.n_iter_ < 500 and two.loss_curve_ == [two.loss_]
    few = [[0.0, 0.0], [1.0, 1.0]]
    model = NETWORKS.MLPClassifier(solver="lbfgs", alpha=1e-5, hidden_layer_sizes=(5, 2), activation="tanh", random_state=1)
    assert model.fit(few, [0, 1]).predict([[2.0, 2.0], [-1.0, -2.0]]).tolist() == [1, 0]
    x, y = load_diabetes(return_X_y=True)
    both = np.stack([y, -100 * y], 1)
    line = NETWORKS.MLPRegressor((), solver="lbfgs", alpha=0.0, tol=1e-7, max_iter=2000)  # a line without hidden layers
    weights = np.arange(len(y)) % 3
    line.fit(x, both, sample_weight=weights)
    best = mw.linear_model.LinearRegression().fit(x, both, weights)
    np.testing.assert_allclose(line.predict(x), best.predict(x), rtol=1e-2)
    squares = (line.predict(x) - both) ** 2 / line.unit_**2
    error = np.average(squares.mean(1), weights=weights) * (line.unit_**2).mean() / 2
    assert line.loss_ == pytest.approx(float(error), rel=1e-6)
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        NETWORKS.MLPRegressor(solver="lbfgs", max_iter=2).fit(x, y)
    with pytest.raises(ValueError, match="by batches"):
        NETWORKS.MLPRegressor(solver="lbfgs").partial_fit(x, y)
    with pytest.raises(ValueError, match="by batches"):
        NETWORKS.MLPRegressor(solver="lbfgs", dropout=0.5).fit(x, y)
