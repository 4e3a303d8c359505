"""A network trained from nothing, in a process that imports one library only: `python trained.py LIBRARY DATA.npz`.

It prints that it has trained, and then its peak of resident memory in bytes and the accuracy on data that it has not seen.
"""

import importlib
import os
import sys
import warnings
from typing import Any

SIZES, BATCH, EPOCHS, RATE = (64, 64, 32, 10), 32, 30, 1e-3
del sys.path[0]  # this file's folder, whose names are nobody's business


def microweights(x: Any, y: Any) -> Any:
    import microweights as mw

    mw.seed(0)
    model = mw.Sequential(
        [mw.Input((64,)), mw.layers.Dense(64, "relu"), mw.layers.Dense(32, "relu"), mw.layers.Dense(10, "softmax")]
    )
    model.compile(mw.optimizers.Adam(RATE), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return lambda x: model.predict(x).argmax(1)


def sklearn(x: Any, y: Any) -> Any:
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")  # after so few epochs it has not converged
    options = {"alpha": 0, "batch_size": BATCH, "max_iter": EPOCHS, "n_iter_no_change": EPOCHS}
    return MLPClassifier(SIZES[1:-1], learning_rate_init=RATE, random_state=0, **options).fit(x, y).predict


def torch(x: Any, y: Any) -> Any:
    torch = importlib.import_module("torch")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer, loss_of = torch.optim.Adam(model.parameters(), RATE, fused=True), nn.CrossEntropyLoss()
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            loss = loss_of(model(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return lambda x: model(torch.from_numpy(x)).argmax(1).numpy()


def keras(x: Any, y: Any) -> Any:
    os.environ["KERAS_BACKEND"] = "jax"
    keras = importlib.import_module("keras")
    keras.utils.set_random_seed(0)
    Dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((64,)), Dense(64, "relu"), Dense(32, "relu"), Dense(10, "softmax")])
    model.compile(keras.optimizers.Adam(RATE), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return lambda x: model.predict(x, verbose=0).argmax(1)


def peak_memory() -> int:
    """In bytes. On Linux `getrusage` counts what the process that started this one had, too; /proc does not."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    import numpy as np

    with np.load(sys.argv[2]) as data:
        x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    predict = {f.__name__: f for f in (microweights, sklearn, torch, keras)}[sys.argv[1]](x_train, y_train)
    print("trained", flush=True)
    print(peak_memory(), float((predict(x_test) == y_test).mean()), flush=True)
