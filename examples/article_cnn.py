"""A convolutional network as Keras's tutorials write it; only the imports are changed.

Its summary shows Keras's shapes and counts. Then it learns to tell ten kinds of clothing apart, on the sample of Fashion-MNIST
that comes with the library.
"""

from __future__ import annotations

import microweights as mw
from microweights.layers import Conv2D, Dense, Flatten, MaxPooling2D
from microweights.models import Sequential


def main(epochs: int = 15) -> tuple[int, float]:
    """The number of its weights, and its accuracy on pictures that it has not seen."""
    mw.seed(0)

    # Build a simple CNN
    model = Sequential([
        Conv2D(32, (3, 3), activation='relu', input_shape=(28, 28, 1)),
        MaxPooling2D(pool_size=(2, 2)),
        Conv2D(64, (3, 3), activation='relu'),
        MaxPooling2D(pool_size=(2, 2)),
        Flatten(),
        Dense(128, activation='relu'),
        Dense(10, activation='softmax')
    ])  # fmt: skip
    # Compile the model
    model.compile(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])  # fmt: skip
    # Print the model summary
    model.summary()

    (x_train, y_train), (x_test, y_test) = mw.datasets.load_fashion_mnist(sample=True)
    model.fit(x_train[..., None] / 255, y_train, epochs=epochs)
    loss, accuracy = model.evaluate(x_test[..., None] / 255, y_test)
    print(f"loss {loss:.3f}, accuracy {accuracy:.1%}")
    return model.count_params(), float(accuracy)


if __name__ == "__main__":
    main()
