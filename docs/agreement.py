"""Writes docs/agreement.md, how near the linear models come to scikit-learn's: `python docs/agreement.py`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import sklearn.linear_model as sk
from scipy.linalg import qr
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import microweights as mw

warnings.simplefilter("ignore")
linear, networks = mw.linear_model, mw.neural_network


def houses(return_X_y: bool = True) -> tuple[Any, Any]:
    """The sales without columns that others determine, in units of their deviations, as scikit-learn drops small columns."""
    x, y = (np.asarray(a, np.float64) for a in mw.datasets.load_houses(return_X_y=True))
    x = (x - x.mean(0)) / x.std(0)
    _, r, order = qr(x, mode="economic", pivoting=True)
    return x[:, np.sort(order[np.abs(np.diag(r)) > 1e-3 * abs(r[0, 0])])], y.reshape(-1)


def row(*cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def coefficients(name: str, data: str, ours: Any, theirs: Any) -> str:
    difference = np.abs(ours.coef_ - theirs.coef_).max() / np.abs(theirs.coef_).max()
    mine, its = np.sum(ours.coef_ == 0), np.sum(theirs.coef_ == 0)
    same = ((ours.coef_ == 0) == (theirs.coef_ == 0)).all()
    zeros = f"{mine} and {its}" if not same else f"the same, {its}" if its else "none"
    return row(name, data, f"{difference:.0e}", zeros)


def accuracies(name: str, data: str, load: Any, ours: Any, theirs: Any) -> str:
    x, y = load(return_X_y=True)
    scores = []
    for seed in range(40 if len(x) < 1000 else 10):
        x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=seed, stratify=y)
        models = ours(seed), *(make_pipeline(StandardScaler(), model(seed)) for model in (ours, theirs))
        scores.append([m.fit(x_train, y_train).score(x_test, y_test) for m in models])
    unscaled, mine, other = np.mean(scores, 0)
    return row(name, data, f"{unscaled:.1%}", f"{mine:.1%}", f"{other:.1%}", f"{(mine - other) * 100:+.1f}")


lines = [
    "# Agreement with scikit-learn", "",
    f"Made by `python docs/agreement.py` with scikit-learn {sklearn.__version__}. Where one answer is best, both find it: the",
    "largest difference of any coefficient, relative to the largest coefficient, and the exact zeros of both.",
    "Columns of the houses, and those under an L1 penalty of logistic regression, are standardised.", "",
    row("estimator", "data", "difference", "zeros"), "|---|---|---:|---|",
]  # fmt: skip
for data, load in (("diabetes", load_diabetes), ("houses", houses)):
    x, y = load(return_X_y=True)
    unit = y.std()
    lines.append(
        coefficients("LinearRegression", data, linear.LinearRegression().fit(x, y), sk.LinearRegression(tol=1e-12).fit(x, y))
    )
    ridges = [(alpha, linear.Ridge(alpha).fit(x, y), sk.Ridge(alpha).fit(x, y)) for alpha in (0.1, 10.0)]
    lines += [coefficients(f"Ridge, alpha {alpha:g}", data, ours, theirs) for alpha, ours, theirs in ridges]
    for part in (0.001, 0.01):
        alpha = part * unit
        theirs = sk.Lasso(alpha, tol=1e-10, max_iter=10**6).fit(x, y)
        lines.append(coefficients(f"Lasso, alpha {part:g} deviations of y", data, linear.Lasso(alpha).fit(x, y), theirs))
        theirs = sk.ElasticNet(alpha, tol=1e-10, max_iter=10**6).fit(x, y)
        lines.append(coefficients("ElasticNet, the same, l1_ratio 0.5", data, linear.ElasticNet(alpha).fit(x, y), theirs))
for data, load in (("breast cancer", load_breast_cancer), ("wine", load_wine), ("iris", load_iris), ("digits", load_digits)):
    x, y = load(return_X_y=True)
    solver = "newton-cg" if data == "digits" else "newton-cholesky"
    theirs = sk.LogisticRegression(tol=1e-12, max_iter=10**5, solver=solver).fit(x, y)
    lines.append(coefficients("LogisticRegression", data, linear.LogisticRegression().fit(x, y), theirs))
    if data in ("breast cancer", "iris"):
        x = StandardScaler().fit_transform(x)
        theirs = sk.LogisticRegression(l1_ratio=1.0, C=0.1, solver="saga", tol=1e-10, max_iter=10**6).fit(x, y)
        lines.append(
            coefficients("LogisticRegression, L1, C 0.1", data, linear.LogisticRegression("l1", C=0.1).fit(x, y), theirs)
        )

lines += [
    "", "Elsewhere, the accuracy on a quarter of the data held out, on average over 40 splits (digits: 10). Differences, in",
    "points, are between models of the same standardised columns; ours take them as they are, too.", "",
    row("estimator", "data", "ours, columns as they are", "ours, standardised", "scikit-learn's, standardised", "difference"),
    "|---|---|---:|---:|---:|---:|",
]  # fmt: skip
for data, load in (("breast cancer", load_breast_cancer), ("wine", load_wine), ("iris", load_iris), ("digits", load_digits)):
    for loss in ("hinge", "log_loss"):

        def ours(seed: int, loss: str = loss) -> Any:
            return linear.SGDClassifier(loss, random_state=seed)

        def theirs(seed: int, loss: str = loss) -> Any:
            return sk.SGDClassifier(loss=loss, random_state=seed)

        lines.append(accuracies(f"SGDClassifier, {loss}", data, load, ours, theirs))

    def our_network(seed: int) -> Any:
        return networks.MLPClassifier(random_state=seed)

    def their_network(seed: int) -> Any:
        return MLPClassifier(random_state=seed)

    lines.append(accuracies("MLPClassifier", data, load, our_network, their_network))

Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
