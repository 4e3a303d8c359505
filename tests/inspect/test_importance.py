"""Importance: the columns that were made to matter do, and numbers are those that scikit-learn finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance as theirs

import microweights as mw
from microweights.inspect import gradient_importance, permutation_importance, weight_importance


def made(dtype: str = "float64") -> tuple[Any, Any]:
    """Columns in other units, of which the third counts twice as much as the first, and the second for nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)) * [1000.0, 1.0, 0.01]
    return x.astype(dtype), (x @ [0.001, 0.0, 200.0]).astype(dtype)


def test_a_linear_model() -> None:
    x, y = made()
    model = mw.linear_model.LinearRegression().fit(x, y)
    weights = weight_importance(model, x, ["a", "b", "c"])
    np.testing.assert_allclose(weights.mean, [1, 0, 2], atol=0.1)
    assert str(weights).split()[0] == "c"
    shuffled = permutation_importance(model, x, y, repeats=20)
    np.testing.assert_allclose(shuffled.mean, np.array([1, 0, 4]) * 2 / 5, atol=0.1)
    assert shuffled.names == ["x0", "x1", "x2"] and (shuffled.deviation[[0, 2]] > 0).all()


def test_a_network() -> None:
    x, y = made("float32")
    network = mw.neural_network.MLPRegressor((16,), max_iter=200, learning_rate_init=0.01, random_state=0).fit(x, y)
    slopes = gradient_importance(network, x).mean
    assert slopes.argmax() == 2 and slopes[1] < 0.3 * slopes[0]
    model = mw.Sequential([mw.Input((3,)), mw.layers.Dense(2, use_bias=False)])
    model.set_weights([np.array([[1.0, 3.0], [0.0, 0.0], [-5.0, 5.0]])])
    np.testing.assert_allclose(gradient_importance(model, x).mean, [2, 0, 5] * x.std(0), rtol=1e-5)
    model.compile(loss="mse")
    assert permutation_importance(model, x, np.stack([y, y], 1)).mean.argmax() == 0


@pytest.mark.parametrize("kind", ["ours", "theirs"])
def test_permutation_importance_is_that_of_scikit_learn(kind: str) -> None:
    pytest.importorskip("pandas")
    x, y = load_diabetes(return_X_y=True, as_frame=True)
    model = mw.linear_model.Ridge(0.1) if kind == "ours" else RandomForestRegressor(20, random_state=0)
    model.fit(x, y)
    mine, its = permutation_importance(model, x, y, repeats=30), theirs(model, x, y, n_repeats=30, random_state=1)
    spread = np.hypot(mine.deviation, its.importances_std) / np.sqrt(30)
    assert (np.abs(mine.mean - its.importances_mean) < 5 * spread + 1e-9).all()
    assert mine.names == list(x.columns)


def test_columns_of_one_name_and_of_other_types() -> None:
    pandas = pytest.importorskip("pandas")
    x, y = made()
    model = mw.linear_model.LinearRegression().fit(x, y)
    frame = pandas.DataFrame(x, columns=["a", "a", "b"])
    plain = permutation_importance(model, x, y)
    np.testing.assert_allclose(
        permutation_importance(model, frame, y, lambda m, d, y: m.score(np.asarray(d), y)).mean, plain.mean
    )
    mixed = pandas.DataFrame({"a": x[:, 0], "b": np.arange(len(x)), "c": ["yes", "no"] * (len(x) // 2)})
    kinds: list[Any] = []
    permutation_importance(model, mixed, y, score=lambda m, data, y: kinds.append(list(data.dtypes)) or 0.0)
    assert all(kind == list(mixed.dtypes) for kind in kinds)


def test_refused() -> None:
    x, y = made()
    model = mw.linear_model.LinearRegression()
    with pytest.raises(TypeError, match="coef_"):
        weight_importance(model, x)
    model.fit(x, y)
    with pytest.raises(TypeError, match="network"):
        gradient_importance(model, x)
    with pytest.raises(ValueError, match="names"):
        weight_importance(model, x, ["a"])
    with pytest.raises(ValueError, match="shape"):
        permutation_importance(model, x[0], y)
    with pytest.raises(ValueError, match="repetition"):
        permutation_importance(model, x, y, repeats=0)
    with pytest.raises(TypeError, match="score"):
        permutation_importance(object(), x, y)


def test_scorers_by_name() -> None:
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    model = mw.linear_model.LogisticRegression().fit(x, y)
    found = mw.inspect.permutation_importance(model, x, y, score="accuracy")
    np.testing.assert_array_equal(found.mean, mw.inspect.permutation_importance(model, x, y).mean)


@pytest.mark.parametrize("repeats", [0, 2.5, "a"])
def test_repetitions_are_whole(repeats: Any) -> None:
    x, y = made()
    with pytest.raises(ValueError, match="repetitions"):
        permutation_importance(mw.linear_model.Ridge().fit(x, y), x, y, repeats=repeats)


def test_pipelines_are_looked_into() -> None:
    pd, pipeline = pytest.importorskip("pandas"), pytest.importorskip("sklearn.pipeline")
    from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, StandardScaler

    x = np.random.default_rng(0).normal(size=(200, 2)) * [1, 100]
    y = x @ [3.0, 0.01]
    frame = pd.DataFrame(x, columns=["near", "far"])
    for model, measure in (
        (mw.linear_model.LinearRegression(), mw.inspect.weight_importance),
        (
            mw.neural_network.MLPRegressor((8,), random_state=0, learning_rate_init=0.02, tol=1e-2),
            mw.inspect.gradient_importance,
        ),
    ):
        whole = pipeline.make_pipeline(StandardScaler(), model).fit(frame, y)
        found, by_hand = measure(whole, frame), measure(whole[-1], whole[:-1].transform(frame))
        assert found.names == ["near", "far"]
        np.testing.assert_allclose(found.mean, by_hand.mean)
        assert found.mean.argmax() == 0
    made = pipeline.make_pipeline(PolynomialFeatures(2, include_bias=False), mw.linear_model.Ridge()).fit(frame, y)
    assert mw.inspect.weight_importance(made, frame).names == ["near", "far", "near^2", "near far", "far^2"]
    nested = pipeline.make_pipeline(pipeline.make_pipeline(made))
    assert (mw.inspect.weight_importance(nested, frame).mean == mw.inspect.weight_importance(made, frame).mean).all()
    nameless = pipeline.make_pipeline(FunctionTransformer(np.abs), mw.linear_model.Ridge()).fit(x, y)
    assert mw.inspect.weight_importance(nameless, x).names == ["x0", "x1"]
