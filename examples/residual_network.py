"""A residual network of 20 layers, written with symbols  (He et al. 2016, Deep Residual Learning, section 4.2).

Two convolutions compute what is to be added to their own input. So there is a way from the loss to every layer on which
nothing is multiplied, and gradients arrive at the first of 20 layers. Three stages of three such blocks, of 16, 32 and 64
channels, each stage on half the size of the one before.

Usage: residual_network.py [epochs]
"""

from __future__ import annotations

import sys

import microweights as mw
from microweights.layers import Activation, Add, BatchNormalization, Conv2D, Dense, GlobalAveragePooling2D, Input, Rescaling


def convolution(x: mw.Tensor, filters: int, size: int = 3, strides: int = 1) -> mw.Tensor:
    x = Conv2D(
        filters, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal", kernel_regularizer=DECAY
    )(x)
    return BatchNormalization(momentum=0.9)(x)


DECAY = mw.regularizers.L2(1e-4)


def block(x: mw.Tensor, filters: int, strides: int) -> mw.Tensor:
    """relu(x + what two convolutions make of it); x goes through a convolution of one pixel where its shape changes."""
    z = Activation("relu")(convolution(x, filters, strides=strides))
    z = convolution(z, filters)
    if x.shape[-1] != filters:
        x = convolution(x, filters, size=1, strides=strides)
    return Activation("relu")(Add()([x, z]))


def residual_network(shape: tuple[int, int, int], classes: int, blocks: int = 3) -> mw.Model:
    """6 blocks + 2 layers with weights, not counting the shortcuts."""
    inputs = Input(shape)
    x = Activation("relu")(convolution(Rescaling(1 / 255)(inputs), 16))
    for filters in (16, 32, 64):
        for i in range(blocks):
            x = block(x, filters, strides=2 if filters > 16 and i == 0 else 1)
    return mw.Model(inputs, Dense(classes, activation="softmax")(GlobalAveragePooling2D()(x)), name="resnet20")


def main(epochs: int = 20, images: int = 1000) -> tuple[int, float]:
    """Its layers with weights on the way from end to end, and its accuracy on pictures that it has not seen."""
    mw.seed(0)
    (x_train, y_train), (x_test, y_test) = mw.datasets.load_fashion_mnist(sample=True)
    x_train, y_train = x_train[:images, ..., None], y_train[:images]
    model = residual_network(x_train.shape[1:], 10)
    layers = sum(
        isinstance(layer, Dense) or (isinstance(layer, Conv2D) and layer.kernel_size == (3, 3)) for layer in model.layers
    )
    print(f"{layers} layers, {model.count_params():,} weights")
    rate = mw.schedules.CosineDecay(2e-3, epochs * -(-images // 32))
    model.compile(mw.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=epochs)
    _, accuracy = model.evaluate(x_test[..., None], y_test)
    print(f"accuracy {accuracy:.1%}")
    return layers, float(accuracy)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
