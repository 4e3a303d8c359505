"""Fit times of the linear models and perceptrons beside scikit-learn's, at equal loss: `python benchmarks/estimators.py`.

Where scikit-learn-intelex is installed (oneDAL), its linear models run, too. All take turns in one process; medians of five
rounds; one thread unless MICROWEIGHTS_NUM_THREADS says otherwise. Where a fit has no minimum to reach, steps or epochs are
counted that each needs for the same loss on its training data, and so many are timed; one pass of SGD is one pass. Rows that
lose are shown like the others.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

THREADS = os.environ.setdefault("MICROWEIGHTS_NUM_THREADS", "1")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before NumPy is imported
    os.environ[name] = THREADS

import numpy as np  # noqa: E402
import sklearn.linear_model as sk  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402

import microweights as mw  # noqa: E402
from microweights.datasets import load_fashion_mnist  # noqa: E402
from microweights.datasets.images import DEBIAN  # noqa: E402
from microweights.kernels import machine  # noqa: E402

try:
    import daal4py  # of scikit-learn-intelex
    import daal4py.sklearn.linear_model as onedal_sparse
    import sklearnex.linear_model as onedal

    daal4py.daalinit(int(THREADS))
except ImportError:
    onedal = onedal_sparse = None

linear, networks = mw.linear_model, mw.neural_network
ONLY, ROUNDS = "", 5  # of the command line
Fit = Callable[[], Any]


def seconds(fit: Fit) -> tuple[float, Any]:
    if THREADS != "1":
        time.sleep(0.3)  # idle threads of the last one's BLAS go on spinning for a while, on the cores of this one
    start = time.perf_counter()
    model = fit()
    return time.perf_counter() - start, model


def race(name: str, ours: Fit, theirs: Fit, loss: Callable[[Any], float], note: str = "", intel: Fit | None = None) -> None:
    if ONLY.lower() not in name.lower():
        return
    fits = [ours, theirs, *([intel] if intel else [])]
    rounds = [[seconds(fit) for fit in fits] for _ in range(ROUNDS)]
    times = [median(r[i][0] for r in rounds) for i in range(len(fits))]
    losses = [f"{loss(model):.9g}" for _, model in rounds[-1]]
    blank = [] if intel else ["–"]
    cells = [name, *(f"{t * 1e3:,.0f}" for t in times), *blank, f"{min(times[1:]) / times[0]:.2f}×", *losses, *blank, note]
    print(f"| {' | '.join(cells)} |", flush=True)


def race_lines(name: str, kind: str, x: Any, y: Any, loss: Callable[[Any], float], **parameters: Any) -> None:
    """A linear model of this kind beside the others' of the same name."""
    intel = onedal_sparse if kind in ("Lasso", "ElasticNet") else onedal
    ours, theirs, its = (module and partial(getattr(module, kind)(**parameters).fit, x, y) for module in (linear, sk, intel))
    race(f"{kind} {name}", ours, theirs, loss, intel=its)


def fashion() -> tuple[Any, Any]:
    """60,000 images; random ones where the package is not installed."""
    if not DEBIAN.exists():
        rng = np.random.default_rng(0)
        x = rng.random((60_000, 784), np.float32)
        return x, ((x - 0.5) @ rng.normal(size=(784, 10))).argmax(1)  # of all classes, as 0 is the mean of each score
    (images, labels), _ = load_fashion_mnist()
    return images.reshape(-1, 784).astype(np.float32) / 255, labels.astype(np.int64)


def least_squares() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_000, 50))
    y = x @ rng.normal(size=50) + rng.normal(size=100_000)

    def loss(model: Any, alpha: float = 0.0) -> float:
        return float(((model.predict(x) - y) ** 2).mean() + alpha * (model.coef_**2).sum() / len(x))

    race_lines("100,000×50", "LinearRegression", x, y, loss)
    race_lines("100,000×50", "Ridge", x, y, partial(loss, alpha=1.0))


def lasso() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10_000, 500))
    y = x @ (rng.normal(size=500) * (rng.random(500) < 0.1)) + rng.normal(size=10_000)

    def loss(model: Any, ratio: float) -> float:
        penalty = ratio * np.abs(model.coef_).sum() + (1 - ratio) * (model.coef_**2).sum() / 2
        return float(((model.predict(x) - y) ** 2).mean() / 2 + 0.05 * penalty)

    race_lines("10,000×500", "Lasso", x, y, partial(loss, ratio=1.0), alpha=0.05)
    race_lines("10,000×500", "ElasticNet", x, y, partial(loss, ratio=0.5), alpha=0.05)


def few_columns() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100_000, 50))
    for classes in (2, 3, 5):
        scores = 0.5 * x @ rng.normal(size=(50, classes)) + rng.gumbel(size=(100_000, classes))
        y = scores.argmax(1)

        def loss(model: Any, y: Any = y) -> float:
            return cross_entropy(x, y)(model) + float((model.coef_**2).sum()) / 2 / len(x)

        race_lines(f"100,000×50, {classes} classes", "LogisticRegression", x, y, loss)


def cross_entropy(x: Any, y: Any) -> Callable[[Any], float]:
    def loss(model: Any) -> float:
        return float(-np.log(model.predict_proba(x)[np.arange(len(y)), y] + 1e-300).mean())

    return loss


def logistic(x: Any, y: Any) -> None:
    name = "LogisticRegression 60,000×784, 10 classes"
    if ONLY.lower() not in name.lower():
        return
    theirs = sk.LogisticRegression(max_iter=100).fit(x, y)

    def loss(model: Any) -> float:
        return cross_entropy(x, y)(model) + float((model.coef_**2).sum()) / 2 / len(x)

    wanted = loss(theirs)
    steps = linear.LogisticRegression(max_iter=200).fit(x, y).loss_curve_
    enough = next((i for i, value in enumerate(steps, 1) if value <= wanted), len(steps))
    race(name, lambda: linear.LogisticRegression(max_iter=enough).fit(x, y),
         lambda: sk.LogisticRegression(max_iter=100).fit(x, y), loss, f"{enough} and 100 steps")  # fmt: skip


def perceptron(name: str, x: Any, y: Any, epochs: int) -> None:
    """As many epochs as scikit-learn's, and of ours as many as reach its loss. Ours standardise columns, which helps: so once
    more with columns that are standardised for both."""
    spread = x.std(0)
    for suffix, z in (("", x), (", standardised", (x - x.mean(0)) / np.where(spread > 0, spread, 1))):
        loss = cross_entropy(z, y)

        def ours(n: int, z: Any = z) -> Any:
            return networks.MLPClassifier(random_state=0, max_iter=n).fit(z, y)

        def theirs(z: Any = z) -> Any:
            return MLPClassifier(random_state=0, max_iter=epochs).fit(z, y)

        if ONLY.lower() in (name + suffix).lower():
            wanted = loss(theirs())
            enough = next((n for n in range(1, 2 * epochs) if loss(ours(n)) <= wanted), 2 * epochs)
            race(name + suffix, partial(ours, enough), theirs, loss, f"{enough} and {epochs} epochs")


def stochastic() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_000_000, 20))
    y = (x @ rng.normal(size=20) + rng.logistic(size=1_000_000) > 0).astype(np.int64)
    for dtype, z in (("", x), (", float32", x.astype(np.float32))):
        ours = linear.SGDClassifier("log_loss", max_iter=1, random_state=0)
        theirs = sk.SGDClassifier(loss="log_loss", max_iter=1, random_state=0)
        name = f"SGDClassifier 1,000,000×20, one pass{dtype}"
        race(name, partial(ours.fit, z, y), partial(theirs.fit, z, y), cross_entropy(z, y))


def main() -> None:
    global ONLY, ROUNDS
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a row's name")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ONLY, ROUNDS = options.only, options.rounds
    warnings.simplefilter("ignore")
    print(f"threads: {THREADS}, instruction set: {machine.isa()}\n")
    print("| fit | ours, ms | scikit-learn, ms | oneDAL, ms | best of theirs / ours | our loss | scikit-learn's | oneDAL's | |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---|")
    least_squares()
    lasso()
    few_columns()
    stochastic()
    digits, labels = load_digits(return_X_y=True)
    perceptron("MLPClassifier(100) digits, 1,797×64", (digits / 16).astype(np.float32), labels, 100)
    images = fashion()
    perceptron("MLPClassifier(100) 60,000×784", *images, 10)
    logistic(*images)


if __name__ == "__main__":
    main()
