"""The linear models find scikit-learn's weights, pass its checks, and say what is wrong with bad data."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model as sk
from scipy.linalg import qr
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, learning_curve, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import microweights as mw
from microweights import datasets
from microweights.linear_model import solvers, squares
from microweights.linear_model.problem import Problem
from microweights.linear_model.squares import Columns

MODELS = mw.linear_model
NAMES = MODELS.__all__
EXACT = ("LinearRegression", "Ridge")  # in one step


def houses(independent: bool = True) -> tuple[Any, Any]:
    """Real sales; without those columns that the others determine, so that there is one best line."""
    x, y = (np.asarray(a, np.float64) for a in datasets.load_houses(return_X_y=True))
    _, r, order = qr((x - x.mean(0)) / x.std(0), mode="economic", pivoting=True)
    kept = np.sort(order[np.abs(np.diag(r)) > 1e-3 * abs(r[0, 0])])
    return (x[:, kept] if independent else x), y.reshape(-1)


REGRESSION = {"diabetes": lambda: load_diabetes(return_X_y=True), "houses": houses}
CLASSES = {
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "iris": lambda: load_iris(return_X_y=True),
}


def near(mine: Any, theirs: Any, part: float = 1e-4) -> None:
    assert np.abs(mine - theirs).max() <= part * np.abs(theirs).max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(name: str) -> None:
    results = check_estimator(getattr(MODELS, name)(), on_fail=None, on_skip=None)
    assert [(r["check_name"], r["exception"]) for r in results if r["status"] not in ("passed", "skipped")] == []
    assert sum(r["status"] == "passed" for r in results) > 50


# ---- agreement ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("name", REGRESSION)
def test_least_squares(name: str, intercept: bool, weighted: bool, setting: str) -> None:
    x, y = REGRESSION[name]()
    weights = np.random.default_rng(0).uniform(0, 2, len(y)) if weighted else None
    mine, theirs = MODELS.LinearRegression(fit_intercept=intercept), sk.LinearRegression(fit_intercept=intercept, tol=1e-12)
    unit = x.std(0)  # scikit-learn drops columns that are small beside others
    mine.fit(x, y, weights)
    theirs.fit(x / unit, y, weights)
    near(mine.coef_ * unit, theirs.coef_)
    assert mine.intercept_ == pytest.approx(theirs.intercept_, rel=1e-4)
    assert mine.score(x, y) == pytest.approx(theirs.score(x / unit, y), abs=1e-8)
    mine, theirs = MODELS.Ridge(3.0, fit_intercept=intercept), sk.Ridge(3.0, fit_intercept=intercept)
    near(mine.fit(x, y, weights).coef_, theirs.fit(x, y, weights).coef_)
    assert mine.intercept_ == pytest.approx(theirs.intercept_, rel=1e-4)


def test_columns_that_determine_each_other() -> None:
    x, y = houses(independent=False)
    for intercept in (True, False):
        mine = MODELS.LinearRegression(fit_intercept=intercept).fit(x, y)
        with_ones = np.column_stack([x / np.abs(x).max(0), np.ones(len(x))])[:, : x.shape[1] + intercept]
        theirs = with_ones @ np.linalg.lstsq(with_ones, y)[0]
        np.testing.assert_allclose(mine.predict(x), theirs, atol=1.0)  # dollars


@pytest.mark.parametrize("alpha", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("ratio", [1.0, 0.5])
@pytest.mark.parametrize("name", REGRESSION)
def test_lasso_and_elastic_net(name: str, ratio: float, alpha: float) -> None:
    x, y = REGRESSION[name]()
    alpha *= float(y.std()) / 77
    mine = MODELS.Lasso(alpha) if ratio == 1 else MODELS.ElasticNet(alpha, l1_ratio=ratio)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = sk.ElasticNet(alpha, l1_ratio=ratio, tol=1e-10, max_iter=200_000).fit(x, y)
    mine.fit(x, y)
    near(mine.coef_, theirs.coef_)
    assert ((mine.coef_ == 0) == (theirs.coef_ == 0)).all()


@pytest.mark.parametrize("rows, columns, dense", [(200, 300, 0.05), (400, 300, 0.8), (100, 2100, 0.01)])
@pytest.mark.parametrize("ratio, weighted, intercept", [(1.0, False, True), (0.7, True, False)])
def test_many_columns(
    rows: int, columns: int, dense: float, ratio: float, weighted: bool, intercept: bool, setting: str
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, columns)) * 10 ** rng.uniform(-0.5, 0.5, columns) + rng.normal(size=columns)
    coef = rng.normal(size=(columns, 2)) * (rng.random((columns, 1)) < dense) / x.std(0)[:, None]
    y, weights = x @ coef + rng.normal(size=(rows, 2)), rng.uniform(0, 2, rows) if weighted else None
    alpha = 0.05 * np.abs((x - x.mean(0)).T @ (y - y.mean(0))).max() / rows
    mine = MODELS.ElasticNet(alpha, l1_ratio=ratio, fit_intercept=intercept).fit(x, y, weights)
    before = mine.n_iter_
    for k in range(2):
        theirs = sk.ElasticNet(alpha, l1_ratio=ratio, fit_intercept=intercept, tol=1e-12, max_iter=100_000)
        theirs.fit(x, y[:, k], weights)
        near(mine.coef_[k], theirs.coef_)
        np.testing.assert_array_equal(mine.coef_[k] == 0, theirs.coef_ == 0)
    mine.set_params(warm_start=True).fit(x, y, weights)
    assert mine.n_iter_ < before
    near(mine.coef_[1], theirs.coef_)


@pytest.mark.parametrize("name", CLASSES)
def test_logistic_regression(name: str, setting: str) -> None:
    x, y = CLASSES[name]()
    mine = MODELS.LogisticRegression().fit(x, y)
    theirs = sk.LogisticRegression(tol=1e-12, max_iter=1000, solver="newton-cholesky").fit(x, y)
    near(mine.coef_, theirs.coef_)
    np.testing.assert_allclose(mine.predict_proba(x), theirs.predict_proba(x), atol=1e-4)
    np.testing.assert_allclose(np.exp(mine.predict_log_proba(x)), mine.predict_proba(x), atol=1e-12)
    assert (mine.predict(x) == theirs.predict(x)).all()


@pytest.mark.parametrize("ratio", [1.0, 0.3])
@pytest.mark.parametrize("name", ["breast cancer", "iris"])
def test_logistic_regression_with_exact_zeros(name: str, ratio: float) -> None:
    x, y = CLASSES[name]()
    x = (x - x.mean(0)) / x.std(0)
    mine = MODELS.LogisticRegression("elasticnet", l1_ratio=ratio, C=0.1).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sk.LogisticRegression(l1_ratio=ratio, C=0.1, solver="saga", tol=1e-9, max_iter=100_000).fit(x, y)
    near(mine.coef_, theirs.coef_, 1e-3)
    assert ((mine.coef_ == 0) == (theirs.coef_ == 0)).all()
    assert (mine.coef_ == 0).any()


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "log_loss"])
def test_stochastic_classifier(loss: str) -> None:
    """On average over splits, as near to the right answers as scikit-learn's on columns that were standardised for it."""
    for load in (*CLASSES.values(), lambda: load_digits(return_X_y=True)):
        x, y = load()
        ours, theirs = [], []
        for seed in range(6):
            x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=seed, stratify=y)
            ours.append(MODELS.SGDClassifier(loss, random_state=seed).fit(x_train, y_train).score(x_test, y_test))
            scaled = make_pipeline(StandardScaler(), sk.SGDClassifier(loss=loss, random_state=seed))
            theirs.append(scaled.fit(x_train, y_train).score(x_test, y_test))
        assert np.mean(ours) >= np.mean(theirs) - 0.02


def test_stochastic_regressor() -> None:
    x, y = load_diabetes(return_X_y=True)
    best = sk.LinearRegression().fit(x, y).score(x, y)
    for size in (1, 10, "auto", None):
        assert MODELS.SGDRegressor(batch_size=size, random_state=0).fit(x, y).score(x, y) > best - 0.02
    lasso = MODELS.SGDRegressor(penalty="l1", alpha=0.1, batch_size=None).fit(x, y)
    assert (lasso.coef_ == 0).any() and lasso.score(x, y) > 0.4


def test_momentum_leads_to_the_same_minimum_sooner() -> None:
    x, y = load_diabetes(return_X_y=True)
    problem = Problem("squared_error", x, y[:, None] - y.mean(), None, 0.01, 0.0, True, 1)
    fast = solvers.proximal(problem, problem.start(), 10_000, 1e-10)
    evaluate, rate = problem.with_gradient(), 1 / problem.curvature()
    v, losses = problem.start(), []
    for _ in range(3 * fast.steps):
        f, gradient = evaluate(v)
        losses.append(f + float((problem.l1 * np.abs(v)).sum()))
        stepped = v - rate * gradient
        v = np.sign(stepped) * np.maximum(np.abs(stepped) - rate * problem.l1, 0)
    assert (np.diff(losses) <= 1e-9 * losses[0]).all()
    best = fast.losses[-1]
    assert 1e-10 * best < losses[-1] - best < 0.01 * best


def test_columns_of_any_scale() -> None:
    """Not only that it fits: weights of a column in other units are the old ones in these units."""
    x, y = load_diabetes(return_X_y=True)
    units = np.array([1e30, 1e-20, 1, 1e5, 1, 1, 1e-3, 1, 1, 1])
    for model in (MODELS.LinearRegression(), MODELS.SGDRegressor(penalty=None, random_state=0)):
        plain, scaled = (pickle.loads(pickle.dumps(model)).fit(data, y) for data in (x, x * units))
        np.testing.assert_allclose(scaled.coef_ * units, plain.coef_, rtol=1e-6)


# ---- how it is used ----------------------------------------------------------------------------------------------------


def test_the_tools_around_estimators() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), MODELS.LogisticRegression())
    assert cross_val_score(pipeline, x, y).mean() > 0.97
    search = GridSearchCV(MODELS.Ridge(), {"alpha": [0.1, 1.0, 10.0]}, n_jobs=2).fit(x, y)
    theirs = GridSearchCV(sk.Ridge(), {"alpha": [0.1, 1.0, 10.0]}).fit(x, y)
    assert search.best_params_ == theirs.best_params_
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-6)
    sizes, _, test = learning_curve(MODELS.LogisticRegression(), x, y, train_sizes=[0.3, 1.0], cv=3)
    assert len(sizes) == 2 and test[1].mean() > 0.9


def test_pickles_and_plain_attributes(tmp_path: Any) -> None:
    joblib = pytest.importorskip("joblib")
    x, y = load_iris(return_X_y=True)
    model = MODELS.SGDClassifier(random_state=0).partial_fit(x, y, classes=[0, 1, 2])
    joblib.dump(model, tmp_path / "model")
    for twin in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model")):
        assert (twin.predict(x) == model.predict(x)).all()
        twin.partial_fit(x, y)
    assert all(type(v).__module__ in ("builtins", "numpy") for v in model.__getstate__().values()), "what is saved"


def test_names_of_columns() -> None:
    pytest.importorskip("pandas")
    x, y = load_iris(return_X_y=True, as_frame=True)
    model = MODELS.LogisticRegression().fit(x, y)
    assert list(model.feature_names_in_) == list(x.columns) and model.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names"):
        model.predict(x.rename(columns={x.columns[0]: "other"}))


def test_labels_of_any_kind() -> None:
    x, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = MODELS.LogisticRegression().fit(x, names)
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert model.score(x, names) > 0.95
    weighted = MODELS.LogisticRegression(class_weight={"setosa": 1, "versicolor": 100, "virginica": 1}).fit(x, names)
    assert (weighted.predict(x) == "versicolor").sum() > (model.predict(x) == "versicolor").sum()


def test_several_targets() -> None:
    x, y = load_diabetes(return_X_y=True)
    both = np.stack([y, -2 * y + x[:, 0]], 1)
    for name in ("LinearRegression", "Ridge", "Lasso"):
        mine, theirs = getattr(MODELS, name)().fit(x, both), getattr(sk, name)().fit(x, both)
        assert mine.coef_.shape == (2, 10) and mine.predict(x).shape == both.shape
        near(mine.coef_, theirs.coef_, 1e-3)


def test_partial_fit_learns_from_a_stream() -> None:
    """In batches of any size; the first tells the scale of the columns, and one row no other than 1."""
    x, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    model = MODELS.SGDClassifier("log_loss", random_state=0)
    for _ in range(5):
        for rows in np.split(order, [10, 11, 13, 50, 100, 250, 400]):
            model.partial_fit(x[rows], y[rows], classes=[0, 1])
    assert model.score(x, y) > 0.95
    assert model.t_ == 5 * len(x)
    model, x = MODELS.SGDClassifier("log_loss", random_state=0), StandardScaler().fit_transform(x)
    for rows in np.split(order, [1, 2, 50, 100, 250, 400]):
        model.partial_fit(x[rows], y[rows], classes=[0, 1])
    assert model.score(x, y) > 0.95


def test_early_stopping_keeps_the_best_weights() -> None:
    x, y = load_digits(return_X_y=True)
    model = MODELS.SGDClassifier(early_stopping=True, random_state=0, tol=1e-3).fit(x, y)
    assert len(model.validation_scores_) == model.n_iter_ == len(model.loss_curve_)
    assert max(model.validation_scores_) > 0.9
    assert model.n_iter_ < 100
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best < model.n_iter_
    with pytest.warns(ConvergenceWarning):
        there = MODELS.SGDClassifier(early_stopping=True, random_state=0, tol=1e-3, max_iter=best).fit(x, y)
    np.testing.assert_array_equal(model.coef_, there.coef_)


def test_warm_start_begins_where_it_ended() -> None:
    x, y = load_diabetes(return_X_y=True)
    model = MODELS.Lasso(0.1, warm_start=True).fit(x, y)
    first, coef = model.n_iter_, model.coef_
    model.fit(x, y)
    assert model.n_iter_ < first / 2
    np.testing.assert_allclose(model.coef_, coef, atol=1e-4)


def test_partial_fit_goes_on_after_fit() -> None:
    """One row, or columns that do not change in the new data, take nothing away from what was learned."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    y = x @ [1.0, 2.0, 3.0]
    model = MODELS.SGDRegressor(random_state=0).fit(x, y)
    seen = model.t_
    model.partial_fit(x[:1], y[:1])
    np.testing.assert_allclose(model.coef_, [1, 2, 3], atol=0.05)
    assert model.t_ == seen + 1
    still = x[:50] * [1, 1, 0]
    model.partial_fit(still, still @ [1.0, 2.0, 3.0])
    np.testing.assert_allclose(model.coef_, [1, 2, 3], atol=0.1)


@pytest.mark.parametrize("extra", [0, 1, 2])
def test_a_small_last_batch_is_a_small_step(extra: int) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1024 + extra, 200))
    y = x @ rng.normal(size=200) > 0
    best = MODELS.LogisticRegression().fit(x, y).loss_curve_[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MODELS.SGDClassifier("log_loss", alpha=1 / len(x), random_state=0).fit(x, y)
    assert model.loss_curve_[-1] < best + 0.05
    z = x[:300, :3] @ [1.0, 2.0, 3.0]
    line = MODELS.SGDRegressor(batch_size=299, alpha=0, random_state=0).fit(x[:300, :3], z)
    np.testing.assert_allclose(line.coef_, [1, 2, 3], atol=0.05)


def epochs_by_hand(x: Any, y: Any, size: int, epochs: int, eta0: float, power: float, alpha: float) -> tuple[Any, Any]:
    """SGDRegressor without shuffling: standardised columns, smaller last batch, average over the second half of an epoch."""
    n, scale = len(x), np.sqrt(x.var(0) + alpha)
    z, l2 = np.column_stack([(x - x.mean(0)) / scale, np.ones(n)]), np.append(alpha / scale**2, 0)
    v = np.zeros(z.shape[1])
    for epoch in range(epochs):
        steps, mean = -(-n // size), np.zeros_like(v)
        for step in range(steps):
            rows = slice(step * size, (step + 1) * size)
            count = len(y[rows])
            gradient = z[rows].T @ (z[rows] @ v - y[rows]) / count + l2 * v
            v = v - eta0 / (1 + epoch + step * size / n) ** power * (count / size) * gradient
            late = step - steps // 2
            share = 1.0 if late < 0 else 1 / (late + 1)
            mean += share * (count / size if step == steps - 1 else 1) * (v - mean)
    coef = (mean if steps > 1 else v)[:-1] / scale
    return coef, (mean if steps > 1 else v)[-1] - coef @ x.mean(0)


@pytest.mark.parametrize("size, epochs", [(60, 3), (7, 1), (16, 2), (59, 2)])
@pytest.mark.parametrize("schedule, power", [("constant", 0.0), ("invscaling", 0.5), ("invscaling", 0.25)])
def test_epochs_by_hand(size: int, epochs: int, schedule: str, power: float, setting: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)) * [1, 10, 0.1] + [0, 5, 1]
    y = x @ [1.0, 0.2, 3.0] + rng.normal(size=60)
    parts = {"alpha": 0.01, "shuffle": False, "batch_size": size, "learning_rate": schedule, "eta0": 0.05, "power_t": power}
    with pytest.warns(ConvergenceWarning):
        model = MODELS.SGDRegressor(max_iter=epochs, **parts).fit(x, y)
    coef, intercept = epochs_by_hand(x, y, size, epochs, 0.05, power, 0.01)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-9)
    np.testing.assert_allclose(model.intercept_[0], intercept, rtol=1e-9)


def test_parts_are_learned_like_epochs(setting: str) -> None:
    """With the scale of a fit before them, and steps that are recorded once for all of them."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(60, 3)) * [1, 10, 0.1] + [0, 5, 1], rng.uniform(0.5, 2, 60)
    y = x @ [1.0, 0.2, 3.0] + rng.normal(size=60)
    still = {"shuffle": False, "batch_size": 16, "learning_rate": "invscaling", "eta0": 0.05, "penalty": "l1", "alpha": 0.01}
    with pytest.warns(ConvergenceWarning):
        whole = MODELS.SGDRegressor(max_iter=6, **still).fit(x, y, sample_weight=weights)
        parts = MODELS.SGDRegressor(max_iter=1, **still).fit(x, y, sample_weight=weights)
    for _ in range(5):
        parts.partial_fit(x, y, sample_weight=weights)
        parts = pickle.loads(pickle.dumps(parts))
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-9)
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-9)
    first = parts.coef_
    parts.set_params(alpha=100.0)
    for _ in range(5):
        parts.partial_fit(x, y)
    assert np.abs(parts.coef_).sum() < np.abs(first).sum() / 2


def test_steps_of_parts_are_recorded_once(c_only: str) -> None:
    x, y = load_diabetes(return_X_y=True)
    model = MODELS.SGDRegressor(batch_size=20, random_state=0)
    counts = [model.partial_fit(x[:100], y[:100])._line.captured.recordings for _ in range(4)]
    assert counts[0] == counts[-1] and model._line.captured.programs


def test_step_sizes_suit_weighted_samples() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8192, 3))
    MODELS.SGDRegressor(random_state=0).fit(x, x @ [1.0, 2.0, 3.0], sample_weight=np.arange(8192) % 2)
    long, ignored = rng.normal(size=(500, 5)), np.arange(500) >= 3
    long[:3] *= 1000
    y = long @ np.arange(1.0, 6.0) + 1
    assert MODELS.SGDRegressor(random_state=0).fit(long, y, sample_weight=ignored).score(long[3:], y[3:]) > 0.999
    wide = rng.normal(size=(50, 2100))
    wide[7] *= 100
    weights = np.where(np.arange(50) == 7, 1.0, 1e-3)
    with pytest.warns(ConvergenceWarning):
        model = MODELS.LogisticRegression("l1", max_iter=20).fit(wide, rng.normal(size=50) > 0, weights)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    mirrored = np.repeat(rng.integers(0, 2, (80, 1)).astype(float), 40, axis=1) * np.tile([1, -1], 20)
    MODELS.LogisticRegression("l1", fit_intercept=False).fit(mirrored, np.arange(80) % 2)


def test_warm_start_drops_columns_that_became_constant() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    model = MODELS.Lasso(0.1, warm_start=True).fit(x, x @ [1.0, 2.0, 3.0])
    x[:, 2] = 5
    y = x @ [1.0, 2.0, 3.0]
    np.testing.assert_allclose(model.fit(x, y).coef_, MODELS.Lasso(0.1).fit(x, y).coef_, atol=1e-6)
    assert model.coef_[2] == 0


def test_nothing_to_learn_from() -> None:
    model = MODELS.LinearRegression(fit_intercept=False).fit(np.zeros((5, 2)), np.arange(5.0))
    assert not model.coef_.any()
    model = MODELS.LinearRegression().fit([[1.0], [2.0]], [3.0, 3.0])
    assert model.coef_ == 0
    assert model.intercept_ == 3
    assert model.n_iter_ == len(model.loss_curve_) == 1


def test_the_first_loss_is_that_of_the_start() -> None:
    x, y = load_diabetes(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MODELS.ElasticNet(0.1, max_iter=3).fit(x, y)
    assert model.loss_curve_[0] == pytest.approx(y.var() / 2)
    assert model.loss_curve_[1] < model.loss_curve_[0]


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1e9, 1e60])
@pytest.mark.parametrize("name", ["LinearRegression", "Ridge", "Lasso"])
def test_targets_of_any_size(name: str, unit: float) -> None:
    x, y = load_diabetes(return_X_y=True)
    parameters = {"alpha": 0.1 * unit} if name == "Lasso" else {}
    plain, other = getattr(MODELS, name)(**({"alpha": 0.1} if parameters else {})), getattr(MODELS, name)(**parameters)
    np.testing.assert_allclose(other.fit(x, y * unit).coef_ / unit, plain.fit(x, y).coef_, rtol=1e-6)
    assert other.loss_curve_[-1] == pytest.approx(plain.loss_curve_[-1] * unit**2, rel=1e-6, abs=0) or unit == 1e-200


def test_arrays_that_lie_anywhere() -> None:
    x, y = load_diabetes(return_X_y=True)
    raw = np.zeros(x.nbytes + 1, np.uint8)
    odd = raw[1:].view(np.float64).reshape(x.shape)
    odd[...] = x
    model = MODELS.Ridge().fit(x, y)
    for other in (odd, np.asfortranarray(x), x.astype(">f8"), np.repeat(x, 2, 0)[::2]):
        np.testing.assert_allclose(model.predict(other), model.predict(x), rtol=1e-12)
        np.testing.assert_allclose(MODELS.Ridge().fit(other, y).coef_, model.coef_, rtol=1e-9)


def test_warm_starts_that_do_not_fit_begin_anew() -> None:
    x, y = load_diabetes(return_X_y=True)
    model = MODELS.Lasso(0.1, warm_start=True).fit(x, y)
    for data, target in ((x[:, :4], y), (x, np.stack([y, -y], 1)), (x, y)):
        np.testing.assert_allclose(model.fit(data, target).coef_, MODELS.Lasso(0.1).fit(data, target).coef_, atol=1e-3)


def test_which_part_of_a_penalty_is_l1() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    zeros = [
        int((MODELS.LogisticRegression(penalty, l1_ratio=ratio, C=0.05).fit(x, y).coef_ == 0).sum())
        for penalty, ratio in (("l2", None), ("l2", 1.0), ("l1", None), ("elasticnet", 1.0))
    ]
    assert zeros[0] == 0 and zeros[1] == zeros[2] == zeros[3] > 5
    with pytest.raises(ValueError, match="l1_ratio"):
        MODELS.LogisticRegression("l1", l1_ratio=0.2).fit(x, y)


@pytest.mark.parametrize("name", ["LogisticRegression", "SGDClassifier"])
def test_weights_of_classes(name: str) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    weights = np.where(y == 1, 10.0, 1.0)
    balanced = getattr(MODELS, name)(class_weight="balanced", **({} if name[0] == "L" else {"random_state": 0}))
    plain = getattr(MODELS, name)(**({} if name[0] == "L" else {"random_state": 0}))
    by_hand = weights * np.where(y == 1, 1 / weights[y == 1].sum(), 1 / weights[y == 0].sum()) * weights.sum() / 2
    np.testing.assert_allclose(
        balanced.fit(x, y, sample_weight=weights).coef_, plain.fit(x, y, sample_weight=by_hand).coef_, rtol=1e-5
    )
    for bad in ({0: -1.0, 1: 1.0}, {0: 0.0, 1: 0.0}):
        with pytest.raises(ValueError, match="class weights"):
            getattr(MODELS, name)(class_weight=bad).fit(x, y)


def test_a_refused_call_leaves_a_model_as_it_was() -> None:
    x, y = load_iris(return_X_y=True)
    stream = MODELS.SGDClassifier(random_state=0)
    with pytest.raises(ValueError, match="labels out of"):
        stream.partial_fit(x, y + 5, classes=[0, 1, 2])
    stream.partial_fit(x, y, classes=[0, 1, 2])
    model = MODELS.LogisticRegression().fit(x, y)
    before = model.predict(x)
    with pytest.raises(ValueError, match="class"):
        model.fit(x, np.zeros(len(x)))
    assert (model.predict(x) == before).all()


# ---- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LinearRegression", "Ridge", "Lasso", "ElasticNet", "SGDRegressor"])
def test_columns_that_say_nothing_new(name: str) -> None:
    """Constant ones get no weight, equal ones predict as one of them would."""
    x, y = load_diabetes(return_X_y=True)
    dull = np.column_stack([x, np.full(len(x), 0.1), np.full(len(x), 1e8)])
    model = getattr(MODELS, name)().fit(dull, y)
    assert (model.coef_[10:] == 0).all() and np.isfinite(model.coef_).all()
    twice = np.column_stack([x, x])
    assert getattr(MODELS, name)().fit(twice, y).score(twice, y) >= model.score(dull, y) - 0.01


def test_more_columns_than_rows() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 50)), rng.normal(size=10)
    assert MODELS.LinearRegression().fit(x, y).score(x, y) == pytest.approx(1)
    near(MODELS.Ridge().fit(x, y).coef_, sk.Ridge().fit(x, y).coef_)


@pytest.mark.parametrize("factor", [1e160, 1e-160])
@pytest.mark.parametrize("name", [*NAMES, *mw.neural_network.__all__])
def test_columns_that_have_no_squares_are_refused(name: str, factor: float) -> None:
    """Their variance is infinite or 0, and they would count as columns that do not change."""
    x, y = load_iris(return_X_y=True)
    make = getattr(MODELS if name in NAMES else mw.neural_network, name)
    with pytest.raises(ValueError, match="squares"):
        make().fit(x * [1, factor, 1, 1], y)
    alike = np.c_[x, np.full(len(x), 1e-160)]  # does not change
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        steps = {} if name in EXACT else {"max_iter": 1}
        assert np.isfinite(make(**steps).fit(alike, y).predict(alike)).all()


@pytest.mark.parametrize("name", NAMES)
def test_refused_data(name: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    x, y = load_breast_cancer(return_X_y=True)
    make = getattr(MODELS, name)
    for bad, words in (
        (np.where(x > 1000, np.nan, x), "NaN"),
        (np.where(x > 1000, np.inf, x), "infinity"),
        (x[:0], "0 sample"),
        (x[:, :0], "0 feature"),
        (x[0], "Expected 2D"),
        (x.astype(str).astype(object) + "?", "could not convert"),
    ):
        with pytest.raises(ValueError, match=words):
            make().fit(bad, y[: len(bad)])
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        make().fit(sparse.csr_matrix(x), y)
    with pytest.raises(ValueError, match="inconsistent"):
        make().fit(x, y[:-1])
    for weight in (0, 1e-320, 1e308):
        with pytest.raises(ValueError, match=r"finite sum|non-zero"):
            make().fit(x, y, sample_weight=np.full(len(y), weight))
    if name in EXACT:
        return
    with pytest.raises(ValueError, match=r"Expected `max_iter`.*Received"):
        make(max_iter=0).fit(x, y)
    with pytest.raises(ValueError, match="max_iter"):
        make(max_iter="many").fit(x, y)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Ridge", {"alpha": -1.0}),
        ("Lasso", {"alpha": "strong"}),
        ("ElasticNet", {"l1_ratio": 2.0}),
        ("LogisticRegression", {"solver": "magic"}),
        ("LogisticRegression", {"solver": np.array(["newton", "lbfgs"])}),
        ("LinearRegression", {"fit_intercept": "no"}),
        ("LogisticRegression", {"C": 0.0}),
        ("LogisticRegression", {"penalty": "l3"}),
        ("LogisticRegression", {"penalty": "l1", "solver": "lbfgs"}),
        ("SGDClassifier", {"loss": "guess"}),
        ("SGDClassifier", {"batch_size": 0}),
        ("SGDClassifier", {"batch_size": 2.5}),
        ("Lasso", {"max_iter": 10.0}),
        ("ElasticNet", {"tol": -1.0}),
        ("LogisticRegression", {"fit_intercept": "no"}),
        ("Lasso", {"warm_start": "no"}),
        ("SGDRegressor", {"early_stopping": 0.5}),
        ("SGDRegressor", {"validation_fraction": 1}),
        ("Ridge", {"alpha": 10**400}),
        ("SGDRegressor", {"eta0": 0.0}),
        ("SGDRegressor", {"learning_rate": "fast"}),
    ],
)
def test_refused_parameters(name: str, parameters: dict[str, Any]) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    with pytest.raises(ValueError, match=r"Expected .*Received"):
        getattr(MODELS, name)(**parameters).fit(x, y)


@pytest.mark.parametrize("name", ["LogisticRegression", "SGDClassifier"])
def test_refused_labels(name: str) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    with pytest.raises(ValueError, match="class"):
        getattr(MODELS, name)().fit(x, np.zeros(len(y)))
    with pytest.raises(ValueError, match="label type"):
        getattr(MODELS, name)().fit(x, x[:, 0])
    stream = MODELS.SGDClassifier()
    with pytest.raises(ValueError, match="classes"):
        stream.partial_fit(x, y)
    stream.partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match="labels out of"):
        stream.partial_fit(x, y + 5)
    with pytest.raises(AttributeError, match="predict_proba"):
        stream.predict_proba(x)


def test_divergence_names_the_learning_rate() -> None:
    x, y = load_diabetes(return_X_y=True)
    for model in (
        MODELS.SGDRegressor(eta0=1e6),
        MODELS.SGDRegressor(eta0=100.0, batch_size=None, learning_rate="constant"),
        MODELS.SGDRegressor(penalty="l1", eta0=1e4),
    ):
        with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="learning_rate"):
            model.fit(x, y)


def test_too_few_steps_are_said() -> None:
    x, y = load_wine(return_X_y=True)
    for model in (MODELS.LogisticRegression(max_iter=2), MODELS.Lasso(0.01, max_iter=2), MODELS.SGDRegressor(max_iter=2)):
        with pytest.warns(ConvergenceWarning, match="max_iter=2"):
            model.fit(x, y)


def test_classes_without_best_weights_are_told_of() -> None:
    x, y = load_iris(return_X_y=True)
    model, two = MODELS.LogisticRegression(None), y < 2
    with pytest.warns(ConvergenceWarning, match="separate the classes"):
        model.fit(x[two], y[two])
    last = x[y > 0], y[y > 0]
    right = model.fit(*last).predict(last[0]) == last[1]
    assert not right.all()  # but of those that count all are
    with pytest.warns(ConvergenceWarning, match="separate the classes"):
        MODELS.LogisticRegression(C=np.inf).fit(*last, sample_weight=right)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(*last)  # which overlap
        MODELS.LogisticRegression(C=100.0).fit(x[two], y[two])
    with pytest.warns(ConvergenceWarning, match="from all others"):
        model.fit(x, y)  # the first class stands apart


def test_parts_have_no_balance_of_classes() -> None:
    x, y = load_iris(return_X_y=True)
    for model in (MODELS.SGDClassifier(class_weight="balanced"), mw.neural_network.MLPClassifier(class_weight="balanced")):
        with pytest.raises(ValueError, match="balanced"):
            model.partial_fit(x, y, classes=[0, 1, 2])


def test_what_is_small_beside_the_largest_is_seen() -> None:
    """In products of columns it would be lost in rounding errors."""
    x = np.random.default_rng(0).standard_normal((60, 5))
    y = x @ [1.0, -2.0, 3.0, 0.5, -1.0] + 3
    outlier = x.copy()
    outlier[0] = 1e12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for far in (1e4, 1e6, 1e8):
            theirs = sk.Ridge(0.1, fit_intercept=False, solver="svd").fit(x + far, y)
            near(MODELS.Ridge(0.1, fit_intercept=False).fit(x + far, y).coef_, theirs.coef_)
        near(MODELS.Ridge().fit(outlier, y).coef_, sk.Ridge().fit(outlier, y).coef_)
        near(MODELS.LinearRegression().fit(outlier, y).coef_, MODELS.LinearRegression().fit(x[1:], y[1:]).coef_, 0.2)
        assert MODELS.LogisticRegression().fit(outlier, y > 0).score(outlier, y > 0) > 0.9
        MODELS.Ridge(1e-6, fit_intercept=False).fit(np.c_[x, x[:, 0]], y)


def test_penalties_that_are_lost_beside_the_largest_are_told_of() -> None:
    x = np.random.default_rng(0).standard_normal((60, 5))
    y = x @ [1.0, -2.0, 3.0, 0.5, -1.0] + 3
    with pytest.warns(ConvergenceWarning, match="scale them"):
        MODELS.Ridge(0.1, fit_intercept=False).fit(x + 1e15, y)


def test_float32_sees_columns_that_are_nearly_alike() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 1)) + [0.0, 0.05] * rng.normal(size=(20_000, 2))
    y = rng.random(len(x)) < 1 / (1 + np.exp(20 * (x[:, 1] - x[:, 0])))
    model = MODELS.LogisticRegression(None).fit(x.astype(np.float32), y)
    near(model.coef_, MODELS.LogisticRegression(None).fit(x, y).coef_)
    assert model.coef_.dtype == np.float32 and np.abs(model.coef_).min() > 15


@pytest.mark.parametrize("name", ["SGDClassifier", "MLPClassifier"])
def test_a_fit_that_fails_leaves_a_model_as_it_was(name: str) -> None:
    x, y = load_iris(return_X_y=True)
    network = name == "MLPClassifier"
    make = getattr(mw.neural_network if network else MODELS, name)
    diverges = "learning_rate_init" if network else "eta0"
    model = make(max_iter=50, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        before = model.fit(x, y).predict(x)
    model.set_params(**{diverges: 1e300})
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError):
        model.fit(x[:, :3], np.array(["a", "b", "c"])[y])
    assert (model.predict(x) == before).all() and list(model.classes_) == [0, 1, 2] and model.n_features_in_ == 4


@pytest.mark.parametrize("name", ["LogisticRegression", "SGDClassifier", "Lasso"])
def test_warm_starts_from_nonsense_begin_anew(name: str) -> None:
    """Weights of other units would be far from any use."""
    x, y = load_iris(return_X_y=True)
    warm, cold = (getattr(MODELS, name)(warm_start=w, **({"random_state": 0} if name[0] == "S" else {})) for w in (True, False))
    warm.fit(x, y).fit(x * 1e20, y)
    np.testing.assert_allclose(warm.coef_, cold.fit(x * 1e20, y).coef_, rtol=1e-5)


@pytest.mark.parametrize("name", ["SGDClassifier", "SGDRegressor", "MLPClassifier", "MLPRegressor"])
def test_early_stopping_with_few_weights(name: str) -> None:
    """Of what is held out none may have a weight, or of what is learned from."""
    x, y = load_iris(return_X_y=True)
    make = getattr(MODELS if name[0] == "S" else mw.neural_network, name)
    for weights in (np.arange(150) == 7, np.arange(150) != 7):
        for seed in range(3):
            model = make(early_stopping=True, random_state=seed, max_iter=3, validation_fraction=0.04)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                try:
                    model.fit(x, y, sample_weight=weights)
                    assert np.isfinite(model.predict(x)).all()
                except ValueError as error:
                    assert "weights of the samples" in str(error)


def test_what_is_held_out_is_judged_without_the_weights_of_classes() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    weight = {0: 1.0, 1: 1000.0}
    for make in (MODELS.SGDClassifier, mw.neural_network.MLPClassifier):
        model = make(early_stopping=True, class_weight=weight, random_state=0, max_iter=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, y)
        if make is MODELS.SGDClassifier:
            held = train_test_split(np.arange(len(x)), test_size=0.1, stratify=y, random_state=np.random.RandomState(0))[1]
            assert max(model.validation_scores_) == pytest.approx(model.score(x[held], y[held]))
        else:  # nearly all are taken for class 1
            assert model.validation_loss_curve_[-1] > 0.3 * model.loss_curve_[-1] / 1000


def test_log_probabilities_do_not_underflow() -> None:
    x, y = load_wine(return_X_y=True)
    for labels in (y, y == 0):
        model = MODELS.SGDClassifier("log_loss", random_state=0).fit(x, labels)
        np.testing.assert_allclose(np.exp(model.predict_log_proba(x)), model.predict_proba(x), rtol=1e-6)
        far = model.predict_log_proba(x * 1e5)
        assert np.isfinite(far).all() and far.min() < -1000


@pytest.mark.parametrize("name", ["LinearRegression", "SGDRegressor", "MLPRegressor"])
def test_targets_beyond_the_type_of_the_columns(name: str) -> None:
    x, y = load_diabetes(return_X_y=True)
    make = getattr(MODELS if name in NAMES else mw.neural_network, name)
    with pytest.raises((ValueError, FloatingPointError), match="other units"):
        make().fit(x.astype(np.float32), y * 1e39)


def test_weights_of_any_size_join() -> None:
    x, y = load_diabetes(return_X_y=True)
    for weight in (1e-200, 1.0, 1e155):
        stream = MODELS.SGDRegressor(random_state=0)
        for _ in range(20):
            stream.partial_fit(x, y, sample_weight=np.full(len(x), weight))
        assert stream.score(x, y) > 0.4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("close", [1e-1, 1e-2, 1e-3])
def test_columns_that_others_determine_beside_some_that_are_nearly_alike(close: float, dtype: str) -> None:
    """What is not determined stays where it was, at zero; rounding errors of the data are not learned."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        a, b, c = rng.normal(size=(3, 40))
        x = np.c_[a, a + close * b, c, 2 * a + close * b + c].astype(dtype)
        y = a + c + close * rng.normal(size=40)
        assert np.abs(MODELS.LinearRegression().fit(x, y).coef_).max() < 20
        assert np.abs(MODELS.LogisticRegression(C=1e6).fit(x, y + rng.normal(size=40) > 0).coef_).max() < 100 / close


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int64])
def test_numbers_of_any_type_are_parameters(kind: Any) -> None:
    x, y = load_diabetes(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        near(MODELS.Ridge(kind(2)).fit(x, y).coef_, MODELS.Ridge(2.0).fit(x, y).coef_)
    if kind is not np.int64:
        for model in (MODELS.Ridge(kind(np.inf)), MODELS.SGDRegressor(eta0=kind(0)), MODELS.Lasso(tol=kind(np.nan))):
            with pytest.raises(ValueError, match="to be a number"):
                model.fit(x, y)


def test_frames_without_a_penalty_are_fitted_in_silence() -> None:
    pandas = pytest.importorskip("pandas")
    x, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MODELS.LogisticRegression(None).fit(pandas.DataFrame(x[y > 0], columns=list("abcd")), y[y > 0])


def test_constant_columns_stay_constant_under_weights() -> None:
    rng = np.random.default_rng(0)
    for size in (1e-37, 1e-30, 1e-20):
        x = np.c_[rng.normal(size=50), np.full(50, size)].astype(np.float32)
        for _ in range(10):
            model = MODELS.SGDRegressor(random_state=0).fit(x, x[:, 0], sample_weight=rng.uniform(size=50))
            assert np.isfinite(model.predict(x)).all() and model.score(x, x[:, 0]) > 0.99


def optimum_of_hinge(x: Any, signs: Any, weights: Any, alpha: float, intercept: bool) -> float:
    """The least mean of weighted hinge losses, with alpha w² / 2, by the dual: max Σ a - |Σ a s x|² / (2 alpha)."""
    highest, rows = weights / weights.sum(), x * signs[:, None]
    products = rows @ rows.T / alpha
    balance = [{"type": "eq", "fun": lambda a: a @ signs, "jac": lambda a: signs}] if intercept else []
    bounds, options = [(0, h) for h in highest], {"maxiter": 1000, "ftol": 1e-14}
    found = minimize(lambda a: a @ products @ a / 2 - a.sum(), highest / 2, jac=lambda a: products @ a - 1, method="SLSQP",
                     bounds=bounds, constraints=balance, options=options)  # fmt: skip
    return -float(found.fun)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("rows, alpha", [(5, 0.1), (5, 1e-3), (20, 0.01), (60, 1e-3)])
def test_few_rows_reach_the_optimum(rows: int, alpha: float, intercept: bool) -> None:
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(rows, 3)), rng.choice([0.01, 1, 3], rows)
    signs = np.sign(x[:, 0] + 0.5 * rng.normal(size=rows))
    signs[:2] = 1, -1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MODELS.SGDClassifier(alpha=alpha, fit_intercept=intercept).fit(x, signs, sample_weight=weights)
    losses = np.maximum(1 - signs * (x @ model.coef_[0] + model.intercept_), 0)
    reached = np.average(losses, weights=weights) + alpha * (model.coef_**2).sum() / 2
    assert reached <= optimum_of_hinge(x, signs, weights, alpha, intercept) * 1.001


def test_five_rows_with_weights() -> None:
    x, y = [[-1.0, -1.0], [-1.0, 0], [-0.8, -1.0], [1.0, 1.0], [1.0, 0.0]], [1, 1, 1, -1, -1]
    model = MODELS.SGDClassifier(alpha=0.1, fit_intercept=False, tol=1e-8, random_state=42)
    model.fit(x, y, sample_weight=[0.001] * 3 + [1] * 2)
    np.testing.assert_allclose(model.coef_, [[-1, -0.005]], atol=1e-4)


@pytest.mark.parametrize("loss", ["squared_hinge", "log_loss"])
def test_all_samples_at_once_find_the_minimum_of_smooth_losses(loss: str) -> None:
    x, y = load_iris(return_X_y=True)
    x, y = x[50::3], y[50::3]
    dense = MODELS.SGDClassifier(loss, alpha=1e-3).fit(x, y)
    slow = MODELS.SGDClassifier(loss, alpha=1e-3, batch_size=None, tol=1e-9).fit(x, y)
    np.testing.assert_allclose(dense.coef_, slow.coef_, rtol=1e-6)
    if loss == "log_loss":
        theirs = sk.LogisticRegression(C=1 / (1e-3 * len(x)), tol=1e-10, max_iter=10_000).fit(x, y)
        near(dense.coef_, theirs.coef_, 1e-4)
    sparse_weights = MODELS.SGDClassifier(loss, penalty="l1", alpha=0.05).fit(x, y)
    assert (sparse_weights.coef_ == 0).any() and sparse_weights.score(x, y) > 0.9


@pytest.mark.parametrize("name", ["LinearRegression", "Ridge", "Lasso", "ElasticNet", "SGDRegressor"])
def test_a_column_of_targets_gives_scikit_learns_shapes(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(100, 4))
    for y in (x[:, 0], x[:, :1]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a column, both say that they take it as flat
            ours, theirs = (getattr(module, name)().fit(x, y) for module in (MODELS, sk))
        assert ours.coef_.shape == theirs.coef_.shape
        assert np.shape(ours.intercept_) == np.shape(theirs.intercept_)
        assert ours.predict(x).shape == theirs.predict(x).shape
        np.testing.assert_allclose(ours.predict(x).ravel(), ours.predict(x[:, :]).ravel())


def test_steps_of_logistic_regression_are_an_array() -> None:
    x, y = load_iris(return_X_y=True)
    for targets in (y, y > 0):
        steps = MODELS.LogisticRegression().fit(x, targets).n_iter_
        assert steps.shape == (1,) and steps.dtype == np.int32 and steps[0] > 1


@pytest.mark.parametrize("name", ["Lasso", "ElasticNet", "LogisticRegression", "SGDRegressor", "SGDClassifier"])
def test_a_warm_start_from_weights_alone(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(100, 4))
    y = x[:, 0] > 0 if "Class" in name or "Logistic" in name else x[:, 0]
    shape = (1, 4) if y.dtype == bool else (4,)
    alpha = {"alpha": 0.01} if name in ("Lasso", "ElasticNet") else {}
    model, plain = (getattr(MODELS, name)(**alpha, warm_start=True) for _ in "ab")
    model.coef_ = np.full(shape, 0.5)
    assert model.fit(x, y).coef_.shape == plain.fit(x, y).coef_.shape == shape
    assert abs(model.coef_ - plain.coef_).max() < 0.3 * abs(plain.coef_).max()


def test_weights_to_start_from() -> None:
    x = np.random.default_rng(0).normal(size=(300, 2))
    y = x @ [1.0, 2.0] + 3
    still = {"learning_rate": "constant", "eta0": 1e-12, "max_iter": 1, "tol": None}
    line = MODELS.SGDRegressor(**still).fit(x, y, [1.0, 2.0], [3.0])
    np.testing.assert_allclose([*line.coef_, *line.intercept_], [1, 2, 3], atol=1e-9)
    later = MODELS.SGDRegressor(**still)
    later.coef_ = np.array([1.0, 2.0])
    np.testing.assert_allclose(later.partial_fit(x, y).coef_, [1, 2], atol=1e-9)
    classes = MODELS.SGDClassifier(**still).fit(x, np.arange(300) % 3, coef_init=np.ones((3, 2)))
    np.testing.assert_allclose(classes.coef_, 1, atol=1e-9)
    for bad in ([1.0], [1.0, np.nan], np.ones((2, 2))):
        with pytest.raises(ValueError, match="coef_init"):
            MODELS.SGDRegressor().fit(x, y, coef_init=bad)


def test_parameters_that_scikit_learn_takes() -> None:
    x = np.random.default_rng(0).normal(size=(100, 4))
    y = x[:, 0] > 0
    np.testing.assert_array_equal(
        MODELS.SGDClassifier(l1_ratio=None, random_state=0).fit(x, y).coef_,
        MODELS.SGDClassifier(random_state=0).fit(x, y).coef_,
    )
    with pytest.raises(ValueError, match="l1_ratio"):
        MODELS.SGDClassifier(penalty="elasticnet", l1_ratio=None).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert MODELS.SGDClassifier(tol=None, max_iter=7).fit(x, y).n_iter_ == 7
    with pytest.warns(ConvergenceWarning):
        assert MODELS.SGDRegressor(n_iter_no_change=np.inf, max_iter=50).fit(x, x[:, 0]).n_iter_ == 50
    for model in (MODELS.SGDRegressor(early_stopping=True), MODELS.SGDClassifier(early_stopping=True)):
        with pytest.raises(ValueError, match="early_stopping=False"):
            model.partial_fit(x, y)
    for flag in ("yes", 2, None, [True], np.nan):
        with pytest.raises(ValueError, match="True or False"):
            MODELS.Lasso(warm_start=flag).fit(x, x[:, 0])


@pytest.mark.parametrize("name", MODELS.__all__)
@pytest.mark.parametrize("factor, dtype", [(1.0, "f8"), (1.0, "f4"), (1e300, "f8"), (1e-300, "f8"), (1e150, "f8")])
def test_numpys_own_errors_change_nothing(name: str, factor: float, dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    y = x[:, 0] > 0 if "Class" in name or "Logistic" in name else x[:, 0]
    x = (x * factor).astype(dtype)
    found = []
    for mode in ("ignore", "raise"):
        with np.errstate(all=mode):
            model = getattr(MODELS, name)(**({"random_state": 0} if name[0] == "S" else {}))
            try:
                found.append(model.fit(x, y).predict(x).tolist())
            except ValueError as error:
                assert "squares are neither 0 nor infinity" in str(error)
                found.append(str(error))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", MODELS.__all__)
def test_columns_of_tiny_numbers_on_both_sides_are_refused(name: str) -> None:
    x = np.where(np.random.default_rng(0).normal(size=(80, 2)) > 0, 1e-200, -1e-200)
    with pytest.raises(ValueError, match="neither 0 nor infinity"):
        getattr(MODELS, name)().fit(x, x[:, 0] > 0)


def test_samples_that_are_separated_from_all_others_are_told_of() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=(200, 2)), np.zeros(200)])
    y = (x[:, 0] + rng.normal(size=200) > 0).astype(int)
    x[y == 1, 2] = rng.random((y == 1).sum()) < 0.2  # a mark that only one class has
    for penalty in ({"penalty": None}, {"C": np.inf}):
        with pytest.warns(ConvergenceWarning, match="separate"):
            MODELS.LogisticRegression(**penalty).fit(x, y)
    three = np.where(x[:, 1] > 1, 2, y)
    with pytest.warns(ConvergenceWarning, match="separate"):
        MODELS.LogisticRegression(None).fit(np.column_stack([x[:, :1], three == 2]), three)
    for columns, classes in ((x[:, :2], y), (np.column_stack([x[:, :2], x[:, :1] * 2, np.ones(200)]), y), (x, y)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            MODELS.LogisticRegression("l2" if columns is x else None).fit(columns, classes)


# ---- solvers -----------------------------------------------------------------------------------------------------------


def classes_of(rows: int, columns: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)) * 10 ** rng.uniform(-2, 2, columns) + rng.normal(size=columns)
    scores = ((x - x.mean(0)) / x.std(0)) @ rng.normal(size=(columns, classes)) + rng.gumbel(size=(rows, classes))
    return x, scores.argmax(1)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize(
    "classes, weighted, intercept", [(2, False, True), (2, True, False), (3, True, True), (4, False, False)]
)
def test_newton_and_lbfgs_find_the_same(classes: int, weighted: bool, intercept: bool, solver: str, setting: str) -> None:
    x, y = classes_of(400, 5, classes)
    weights = np.random.default_rng(1).uniform(0, 2, len(y)) if weighted else None
    mine = MODELS.LogisticRegression(C=0.5, solver=solver, fit_intercept=intercept, tol=1e-9).fit(x, y, weights)
    theirs = sk.LogisticRegression(C=0.5, fit_intercept=intercept, solver="newton-cholesky", tol=1e-12).fit(x, y, weights)
    near(mine.coef_ * x.std(0), theirs.coef_ * x.std(0), 1e-6)
    np.testing.assert_allclose(mine.intercept_, theirs.intercept_, atol=1e-6)
    np.testing.assert_array_less(np.diff(mine.loss_curve_), 1e-12)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("order", ["mixed", "sorted", "in turn"])
def test_a_part_of_many_rows_tells_where_to_start(order: str, classes: int) -> None:
    """Whatever it tells: of rows in turn, each eighth is of one class."""
    x, y = classes_of(6000, 4, classes)
    which = {"mixed": np.arange(6000), "sorted": np.argsort(y), "in turn": np.argsort(y).reshape(8, -1).T.reshape(-1)}[order]
    for penalty in ("l2", None):
        mine = MODELS.LogisticRegression(penalty, tol=1e-9).fit(x[which], y[which])
        best = MODELS.LogisticRegression(penalty, tol=1e-9, solver="lbfgs").fit(x, y)
        near(mine.coef_ * x.std(0), best.coef_ * x.std(0), 1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "multinomial", "squared_hinge", "hinge"])
@pytest.mark.parametrize("turn_rows", [True, False])
def test_second_derivatives_are_differences_of_gradients(loss: str, turn_rows: bool) -> None:
    rng = np.random.default_rng(0)
    x, k = rng.normal(size=(50, 3)), 3 if loss == "multinomial" else 2
    y = rng.integers(0, 3, 50) if loss == "multinomial" else rng.integers(0, 2, (50, 2)).astype(float)
    problem = Problem(loss, x, y, rng.uniform(0, 1, 50), 0.0, 0.3, True, k)
    problem.width = 0.5 if loss == "hinge" else 0.0
    v, along, evaluate = rng.normal(size=(4, k)), rng.normal(size=(4, 2)), problem.with_gradient()
    found = problem.hessian(v, along, turn_rows)
    for direction in range(2):
        for output in range(k):
            move = 1e-6 * along[:, [direction]] * (np.arange(k) == output)
            change = along.T @ (evaluate(v + move)[1] - evaluate(v - move)[1]) / 2e-6
            np.testing.assert_allclose(found[direction, output], change, atol=1e-7)
    assert np.abs(found).max() > 0.1


def test_corrections_of_inverse_second_derivatives() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(6, 4))
    hessian, step = a.T @ a, rng.normal(size=4)
    found = solvers.corrected(np.eye(4), step, hessian @ step)
    np.testing.assert_allclose(found @ hessian @ step, step)
    np.testing.assert_allclose(found, found.T)
    np.testing.assert_array_equal(solvers.corrected(np.eye(4), step, -step), np.eye(4))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("far", [0.0, 5.0, 1e3, 1e7])
def test_products_lose_the_means(far: float, weighted: bool) -> None:
    """Near zero afterwards, far from it before."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 150)) * 10 ** rng.uniform(-1, 1, 150)
    weights = rng.uniform(0, 2, 300) if weighted else None
    centred = (x - np.average(x, axis=0, weights=weights)) / x.std(0)
    expected = np.average(centred[:, :, None] * centred[:, None], axis=0, weights=weights)
    for multiply_all in (True, False):
        columns = Columns(x + far * x.std(0), weights, 0.0, 0.0, True, multiply_all)
        found = columns.gram(np.arange(150)) / np.outer(columns.inverse * x.std(0), columns.inverse * x.std(0))
        np.testing.assert_allclose(found, expected, atol=1e-13 * max(far, 10))


@pytest.mark.parametrize("penalty", [0.0, 1e-6, 1.0])
@pytest.mark.parametrize("intercept", [True, False])
def test_rows_and_products_give_the_same_line(intercept: bool, penalty: float) -> None:
    rng = np.random.default_rng(0)
    x, y, weights = rng.normal(size=(80, 6)) + 1, rng.normal(size=(80, 2)), rng.uniform(0, 1, 80)
    x[:, 5] = 2  # does not change, and is an intercept where there is none
    y = y - intercept * np.average(y, axis=0, weights=weights)
    columns = Columns(x, weights, 0.0, penalty, intercept, True)
    by_products, by_rows = squares.exact(columns, y), squares.by_rows(columns, y)
    np.testing.assert_allclose(by_products.v, by_rows.v, atol=1e-13)
    np.testing.assert_allclose(by_products.losses, by_rows.losses, rtol=1e-13)
    assert (by_rows.v[5] == 0).all() == intercept


def test_a_large_row_anywhere_hides_no_other() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5))
    y = x @ [1.0, -2.0, 3.0, 0.5, -1.0] + 0.1 * rng.normal(size=60)
    x[37] = 1e10 * np.ones(5)
    y[37] = 1e10 * 1.5  # on the line of the others
    near(MODELS.LinearRegression().fit(x, y).coef_, np.array([1.0, -2.0, 3.0, 0.5, -1.0]), 0.05)


def test_float32_lines_are_those_of_float64() -> None:
    x, y = load_diabetes(return_X_y=True)
    for name, parameters in (("LinearRegression", {}), ("Ridge", {}), ("Lasso", {"alpha": 0.1}), ("LogisticRegression", {})):
        targets = y > 140 if name[0:2] == "Lo" else y
        model = getattr(MODELS, name)(**parameters)
        single = model.fit(x.astype(np.float32), targets).coef_
        assert single.dtype == np.float32
        near(single, model.fit(x, targets).coef_, 1e-4)


def test_wide_data_with_a_penalty_as_small_as_it_gets() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 90)), rng.normal(size=30)
    least_norm = np.linalg.lstsq(x, y)[0]
    for alpha, part in ((1e-9, 1e-7), (1e-3, 1e-2)):
        near(MODELS.Ridge(alpha, fit_intercept=False).fit(x, y).coef_, least_norm, part)


@pytest.mark.parametrize("make", [
    lambda: mw.linear_model.LogisticRegression("l1"), lambda: mw.linear_model.LogisticRegression(),
    lambda: mw.linear_model.Lasso(0.01), lambda: mw.linear_model.ElasticNet(0.01),
    lambda: mw.linear_model.Ridge(), lambda: mw.linear_model.LinearRegression(),
])  # fmt: skip
def test_float32_stays_float32(make: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 12)).astype(np.float32)
    y = (
        rng.integers(0, 3, 200)
        if isinstance(make(), mw.linear_model.LogisticRegression)
        else x @ rng.normal(size=12).astype(np.float32)
    )
    exact, found = make().fit(x.astype(np.float64), y), make().fit(x, y)
    assert found.coef_.dtype == np.float32
    np.testing.assert_allclose(found.coef_, exact.coef_, rtol=2e-3, atol=2e-4)
