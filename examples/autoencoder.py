"""An autoencoder: pictures of 784 pixels through a neck of 32 numbers, and back by transposed convolutions.

A convolution with strides of 2 halves a picture, a transposed one doubles it: it is the other's gradient. Nobody says what the
numbers should mean; the loss is only how far what comes out is from what went in. The same number of principal components,
the best that a linear network can do, is the measure. With matplotlib installed, pictures are drawn before and after.

Usage: autoencoder.py [epochs [picture]]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import microweights as mw
from microweights.layers import Conv2D, Conv2DTranspose, Dense, Flatten, Input, Reshape

NECK = 32


def autoencoder() -> mw.Model:
    pictures = Input((28, 28, 1))
    x = Conv2D(16, 3, strides=2, padding="same", activation="relu")(pictures)  # 14×14
    x = Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)  # 7×7
    neck = Dense(NECK, name="neck")(Flatten()(x))
    x = Dense(7 * 7 * 32, activation="relu")(neck)
    x = Reshape((7, 7, 32))(x)
    x = Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(x)  # 14×14
    x = Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(x)  # 28×28
    return mw.Model(pictures, Conv2D(1, 3, padding="same", activation="sigmoid")(x), name="autoencoder")


def principal_components(x_train: np.ndarray, x_test: np.ndarray, count: int) -> np.ndarray:
    """What is left of pictures when only so many directions are kept."""
    train, test = x_train.reshape(len(x_train), -1), x_test.reshape(len(x_test), -1)
    mean = train.mean(0)
    directions = np.linalg.svd(train - mean, full_matrices=False)[2][:count]
    return ((test - mean) @ directions.T @ directions + mean).reshape(x_test.shape)


def draw(rows: dict[str, np.ndarray], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(rows), 12, figsize=(12, 1.1 * len(rows)), layout="constrained")
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(name, fontsize=7)
        for ax, picture in zip(line, pictures[:: len(pictures) // 12], strict=False):
            ax.imshow(picture[..., 0], cmap="gray", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
    figure.savefig(file)
    pyplot.close(figure)


def main(epochs: int = 40, picture: str | None = None) -> tuple[float, float]:
    """The mean squared error on pictures that it has not seen, and that of principal components."""
    mw.seed(0)
    (x_train, _), (x_test, _) = mw.datasets.load_fashion_mnist(sample=True)
    x_train, x_test = (np.float32(x[..., None]) / 255 for x in (x_train, x_test))
    model = autoencoder()
    model.summary()
    rate = mw.schedules.CosineDecay(4e-3, epochs * -(-len(x_train) // 16))
    model.compile(mw.optimizers.Adam(rate), "mse")
    model.fit(x_train, x_train, batch_size=16, epochs=epochs)
    rebuilt, linear = model.predict(x_test), principal_components(x_train, x_test, NECK)
    errors = float(((rebuilt - x_test) ** 2).mean()), float(((linear - x_test) ** 2).mean())
    print(f"{NECK} numbers a picture: error {errors[0]:.4f}, of principal components {errors[1]:.4f}")
    if picture:
        draw({"picture": x_test, "autoencoder": rebuilt, f"{NECK} components": linear}, Path(picture))
    return errors


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
