"""Gradient descent by hand on one line, three times: with all samples in each step, with a few, with one.

Each way goes down the same loss surface to the same place: straight, with small errors, or reeling. With matplotlib installed,
the three paths are drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import microweights as mw

LINE = (2.0, -1.0)  # slope and intercept to be found


def data(n: int = 60) -> tuple[mw.Tensor, mw.Tensor]:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (n, 1))
    return mw.tensor(x), mw.tensor(x * LINE[0] + LINE[1] + rng.normal(0, 0.2, (n, 1)))


def descend(batch_size: int | None, epochs: int, learning_rate: float = 0.1) -> np.ndarray:
    """Weight and bias after each step."""
    x, y = data()
    w, b = mw.tensor([[-3.0]], dtype="float64", requires_grad=True), mw.tensor([3.0], dtype="float64", requires_grad=True)

    @mw.capture
    def step(x: mw.Tensor, y: mw.Tensor) -> mw.Tensor:
        loss = (x @ w + b - y).square().mean()
        dw, db = mw.grad(loss, [w, b])
        with mw.no_grad():
            w.assign(w - learning_rate * dw)
            b.assign(b - learning_rate * db)
        return loss

    rng = np.random.default_rng(1)
    path = [[w.item(), b.item()]]
    size = batch_size or len(x)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), size):
            rows = order[start : start + size]
            step(x.numpy()[rows], y.numpy()[rows])
            path.append([w.item(), b.item()])
    return np.array(path)


def draw(paths: dict[str, np.ndarray], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    x, y = (t.numpy() for t in data())
    slopes, intercepts = np.meshgrid(np.linspace(-4, 4, 80), np.linspace(-3, 4, 80))
    surface = np.mean((x.reshape(-1, 1, 1) * slopes + intercepts - y.reshape(-1, 1, 1)) ** 2, 0)
    figure, axes = pyplot.subplots(figsize=(7, 6))
    axes.contour(slopes, intercepts, np.log(surface), 20, colors="lightgray")
    for name, path in paths.items():
        axes.plot(*path.T, label=name, linewidth=1)
    axes.set(xlabel="weight", ylabel="bias")
    axes.legend()
    figure.savefig(file)
    pyplot.close(figure)


def main(picture: str | None = None) -> float:
    """How far from the best line the worst of the three ends."""
    paths = {
        "batch: all 60": descend(None, 150),
        "mini-batch: 10": descend(10, 40),
        "stochastic: 1": descend(1, 10, 0.05),
    }
    x, y = (t.numpy() for t in data())
    best = np.polyfit(x[:, 0], y[:, 0], 1)
    for name, path in paths.items():
        print(f"{name:16s} {len(path) - 1:4d} steps to weight {path[-1, 0]:.3f}, bias {path[-1, 1]:.3f}")
    if picture:
        draw(paths, Path(picture))
    return float(max(np.abs(path[-1] - best).max() for path in paths.values()))


if __name__ == "__main__":
    main(*sys.argv[1:2])
