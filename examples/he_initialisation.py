"""He's initialisation: why the size of the first weights matters.

A ReLU lets half of a signal through. Weights of variance 2 / inputs make up for it, so that a deep network begins to learn at
once; a hundredth of that, and nothing arrives at its end.
"""

from __future__ import annotations

import microweights as mw
from microweights.layers import Dense
from microweights.models import Sequential


def accuracy(initializer: object) -> float:
    """Of a network of eight layers after five epochs on the digits, on those that it has not seen."""
    mw.seed(0)
    digits = mw.datasets.load_digits()
    x_train, x_test, y_train, y_test = mw.datasets.holdout(digits.data / 16, digits.target)
    model = Sequential(
        [
            Dense(64, activation="relu", kernel_initializer=initializer, input_shape=(64,)),
            *[Dense(64, activation="relu", kernel_initializer=initializer) for _ in range(6)],
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=5, verbose=0)
    return float(model.evaluate(x_test, y_test, verbose=0)[1])


def main() -> tuple[float, float]:
    """With He's variance, and with a hundredth of it."""
    he, small = accuracy("he_normal"), accuracy(mw.initializers.RandomNormal(stddev=0.1 * (2 / 64) ** 0.5))
    print(f"He's normal: {he:.1%}, a tenth of its deviation: {small:.1%}")
    return he, small


if __name__ == "__main__":
    main()
