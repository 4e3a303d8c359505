"""Ridge regression, and the paths of ridge and lasso: what happens to the weights as the penalty grows.

Under an L2 penalty all of them shrink; under L1 one after the other becomes exactly zero. With matplotlib installed, the
paths are drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from microweights.linear_model import Lasso, Ridge


def path(kind: type[Ridge] | type[Lasso], alphas: np.ndarray) -> np.ndarray:
    """The weights for each alpha."""
    X, y = load_diabetes(return_X_y=True)
    return np.array([kind(alpha=float(alpha)).fit(X, y).coef_ for alpha in alphas])


def draw(paths: dict[str, tuple[np.ndarray, np.ndarray]], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(paths), figsize=(11, 4.5))
    for ax, (name, (alphas, weights)) in zip(axes, paths.items(), strict=True):
        ax.semilogx(alphas, weights)
        ax.set(title=name, xlabel="alpha", ylabel="weights")
    figure.savefig(file)
    pyplot.close(figure)


def main(picture: str | None = None) -> list[int]:
    """How many weights of the lasso are zero, for each alpha."""
    X, y = load_diabetes(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)
    model = Ridge(alpha=1.0)
    model.fit(X_train, y_train)
    print(f"weights with an L2 penalty: {np.round(model.coef_, 1)}")
    print(f"R² on unseen patients: {model.score(X_test, y_test):.3f}")

    alphas = np.logspace(-3, 0.5, 15)
    paths = {"ridge": (alphas * 10, path(Ridge, alphas * 10)), "lasso": (alphas, path(Lasso, alphas))}
    zeros = (paths["lasso"][1] == 0).sum(1).tolist()
    print(f"zeros of the lasso as alpha grows: {zeros}")
    if picture:
        draw(paths, Path(picture))
    return zeros


if __name__ == "__main__":
    main(*sys.argv[1:2])
