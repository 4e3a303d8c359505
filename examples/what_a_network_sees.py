"""What the layers of a convolutional network have learned to see, from the first edges to whole shapes.

The network tells ten kinds of clothing apart. Two numbers follow pictures that it has not seen through its layers, before and
after training. With matplotlib installed a picture is drawn, too: the filters of the first layer, maps of every layer, and what
each pixel contributed to the answer.

- Edges: how much of a map a line through the brightness and the slopes of the picture explains (R²). A map that answers to
  edges and nothing else has much of it; one that answers to a sleeve has little.
- Shapes: how many pictures are told right by nothing but this: which class has the most similar maps on average?

Usage: what_a_network_sees.py [picture]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import microweights as mw
from microweights.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D

NAMES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"]


def network() -> mw.Model:
    x = pictures = Input((28, 28, 1))
    for depth, filters in enumerate((16, 32, 64), 1):
        x = Conv2D(filters, 5 if depth == 1 else 3, padding="same", activation="relu", name=f"depth{depth}")(x)
        x = MaxPooling2D()(x)
    return mw.Model(pictures, Dense(10)(Dropout(0.3)(Flatten()(x))))


def edges(maps: np.ndarray, x: np.ndarray) -> float:
    """The part of the variance of maps that the brightness and the slopes below each of their pixels explain, on average."""
    below = np.concatenate([x, *(np.abs(np.gradient(x, axis=axis)) for axis in (1, 2)), *np.gradient(x, axis=(1, 2))], -1)
    size = x.shape[1] // maps.shape[1]
    n, height, width, channels = maps.shape
    below = below[:, : height * size, : width * size].reshape(n, height, size, width, size, -1).mean((2, 4))
    below, y = below.reshape(-1, below.shape[-1]), maps.reshape(-1, channels)
    y = (y - y.mean(0))[:, y.std(0) > 0]
    below = below - below.mean(0)
    rest = y - below @ np.linalg.lstsq(below, y, rcond=None)[0]
    return float((1 - rest.var(0) / y.var(0)).mean())


def shapes(train: np.ndarray, y_train: np.ndarray, test: np.ndarray, y_test: np.ndarray) -> float:
    """The part of the pictures whose maps are nearest to the mean of their own class."""
    train, test = train.reshape(len(train), -1), test.reshape(len(test), -1)
    means = np.stack([train[y_train == label].mean(0) for label in range(10)])
    return float((((test[:, None] - means) ** 2).sum(-1).argmin(1) == y_test).mean())


def contributions(model: mw.Model, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gradient × input: what each pixel adds to the score of that class, as far as the score is a line in it."""
    pixels = mw.tensor(x, requires_grad=True)
    scores = model(pixels)[np.arange(len(x)), labels]
    return (mw.grad(scores.sum(), pixels) * pixels).numpy()


def occlusion(model: mw.Model, x: np.ndarray, labels: np.ndarray, size: int = 5) -> np.ndarray:
    """How far the score of that class falls when a square around a pixel is black."""
    rows = np.arange(len(x))
    whole = model.predict(x, verbose=0)[rows, labels]
    falls = np.zeros_like(x)
    for i, j in np.ndindex(28, 28):
        hidden = x.copy()
        hidden[:, max(i - size // 2, 0) : i + size // 2 + 1, max(j - size // 2, 0) : j + size // 2 + 1] = 0
        falls[:, i, j, 0] = whole - model.predict(hidden, verbose=0)[rows, labels]
    return falls


def draw(model: mw.Model, maps: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kernels = model.get_layer("depth1").kernel.numpy()[:, :, 0].transpose(2, 0, 1)
    rows = [("filters of depth 1", kernels[:10], "RdBu")]
    for name, layer in maps.items():
        strongest = np.argsort(-layer[0].mean((0, 1)))[:10]
        rows.append((f"maps of {name}", layer[0, :, :, strongest], "viridis"))
    rows += [("pictures", x[..., 0], "gray"), ("gradient × input", contributions(model, x, y)[..., 0], "RdBu"),
             ("occlusion", occlusion(model, x, y)[..., 0], "RdBu")]  # fmt: skip
    figure, axes = pyplot.subplots(len(rows), 10, figsize=(11, 1.2 * len(rows)), layout="constrained")
    for line, (name, pictures, colours) in zip(axes, rows, strict=True):
        line[0].set_ylabel(name, fontsize=8)
        for ax, picture in zip(line, pictures, strict=True):
            limit = np.abs(picture).max() + 1e-12
            ax.imshow(picture, cmap=colours, vmin=-limit if colours == "RdBu" else 0, vmax=limit)
            ax.set(xticks=[], yticks=[])
    for ax, label in zip(axes[-1], y, strict=True):
        ax.set_xlabel(NAMES[label], fontsize=8)
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def main(picture: str | None = None, epochs: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """How much of edges and of shapes is in the maps, a row for each depth, before and after training."""
    mw.seed(0)
    (x_train, y_train), (x_test, y_test) = mw.datasets.load_fashion_mnist(sample=True)
    x_train, x_test = (np.float32(x[..., None]) / 255 for x in (x_train, x_test))
    model = network()
    names = ["depth1", "depth2", "depth3"]
    inside = mw.Model(model.input, {name: model.get_layer(name).output for name in names})

    def measured() -> np.ndarray:
        train, test = (inside.predict(x, verbose=0) for x in (x_train, x_test))
        return np.array([(edges(test[n], x_test), shapes(train[n], y_train, test[n], y_test)) for n in names])

    before = measured()
    model.compile("adam", mw.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=epochs)
    after = measured()
    print("          edges: before, after   shapes: before, after")
    for name, (edge, shape), (new_edge, new_shape) in zip(names, before, after, strict=True):
        print(f"{name:10s}{edge:13.0%} {new_edge:6.0%} {shape:16.0%} {new_shape:6.0%}")
    if picture:
        first = [int(np.flatnonzero(y_test == label)[0]) for label in range(10)]
        x, y = x_test[first], y_test[first]
        draw(model, inside.predict(x[-1:], verbose=0), x, y, Path(picture))
    return before, after


if __name__ == "__main__":
    main(*sys.argv[1:2])
