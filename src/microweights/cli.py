"""The command line: `microweights train digits`, `microweights bench`, `microweights info`."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from . import __version__
from .errors import explain

if TYPE_CHECKING:
    from .models.sequential import Sequential


BENCH = """\
Races against NumPy, PyTorch, JAX, Keras on JAX and micrograd, as far as they are installed, each with its
fastest settings. They take turns in one process and with equal threads; medians count, and results are
compared with float64. A row has the ratio to the best peer and the share of the floor, the time that nobody
can save on this machine:

    floor = operations / best rate of our matrix product + (bytes - caches) / best bandwidth

with both rates measured in the same run. All cases take about 10 minutes on one thread, 20 on several, and
four with --quick.

cases (--only takes a part of a name):
  gemm, matrix-vector, dot                    matrix products of the shapes that networks have
  add, multiply, exp, log, tanh, sigmoid,     element by element: 64 thousand numbers, and 16 million
    relu, gelu, erf
  sum, max, argmax, softmax, cross-entropy    rows, columns, everything
  update                                      optimizers over 1 and 10 million weights
  step, one sample, SimpleChains, moons       whole training steps, and one inference
  images                                      training steps of convolutional networks, and ResNet-50
  conv                                        convolutions alone, forward and backward
  train_on_batch, test_on_batch,              calls in loops of one's own, of two small networks
    predict_on_batch, predict, evaluate

--start is another race: from the start of a process to a trained network, with its peak of memory (a minute
or two).
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal of plain ASCII shows ? for µ
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except (MemoryError, OverflowError) as error:
        print(f"Expected a network that fits into memory. Received: {error}. Choose smaller numbers.", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has gone, as in `microweights info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="microweights", description="A deep-learning library small enough to read.")
    parser.add_argument("--version", action="version", version=f"microweights {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="train a network on real data that comes with the package")
    train.add_argument("data", choices=["digits", "houses", "fashion"],
                       help="handwritten digits, house sales, or pictures of clothing")  # fmt: skip
    train.add_argument("--full", metavar="FOLDER", nargs="?", const="", default=None,
                       help="fashion: all 60,000 pictures, of Debian's package dataset-fashion-mnist or of the idx files in a "
                            "folder, instead of the 1,000 in this package")  # fmt: skip
    train.add_argument("--epochs", type=_positive, default=None, help="passes over the data (default: 30; fashion 60, full 5)")
    train.add_argument("--batch-size", type=_positive, default=None, help="samples in each step (default: 32; full 64)")
    train.add_argument("--hidden", type=_sizes, default=None,
                       help="hidden layers, such as 64,32 (the default); in fashion after convolutions (none)")  # fmt: skip
    train.add_argument("--optimizer", choices=["sgd", "adam", "adamw", "rmsprop", "adagrad"], default="adam")
    train.add_argument("--learning-rate", type=_rate, default=None, help="default: the optimizer's")
    train.add_argument("--seed", type=_seed, default=0, help="for weights and the order of the data (default: 0)")
    train.add_argument("--backend", choices=["c", "numpy"], default=None, help="where kernels run")
    train.add_argument("--explain", action="store_true", help="afterwards, show the program of one step, as it runs in C")
    train.add_argument("--threads", type=_positive, default=None, help="how many threads a kernel may use")
    train.set_defaults(run=_train)

    bench = commands.add_parser(
        "bench",
        help="races against NumPy, PyTorch, JAX and Keras: times, errors, winners and losers",
        description=BENCH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_argument("--only", metavar="PATTERN", default=None, help="only cases with this in their names; * is anything")
    bench.add_argument("--quick", action="store_true", help="a look instead of a measurement")
    bench.add_argument("--compile", action="store_true", help="with torch.compile, which takes minutes")
    bench.add_argument("--threads", type=_positive, default=1, help="for every contender (default: 1)")
    bench.add_argument("--json", metavar="FILE", default=None, help="write the results there, too")
    either = bench.add_mutually_exclusive_group()
    either.add_argument("--start", action="store_true", help="instead, from the start of a process to a trained network")
    either.add_argument("--plot", metavar="FILE", nargs="?", const="benchmarks.svg", default=None,
                        help="draw bars against each peer, too, as .svg or .png (default: benchmarks.svg)")  # fmt: skip
    bench.set_defaults(run=_bench)

    info = commands.add_parser("info", help="version, backend, instruction set, threads, compiler")
    info.set_defaults(run=_info)
    return parser


def _positive(text: str) -> int:
    return _integer(text, 1)


def _seed(text: str) -> int:
    if len(text) > 19:
        raise argparse.ArgumentTypeError(f"expected an integer below 10**19, received {text!r}")
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    if not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected an integer not below {least}, received {text!r}")
    return int(text)


def _sizes(text: str) -> list[int]:
    if text in ("", "none"):
        return []
    try:
        sizes = [_positive(part) for part in text.split(",")]
        if max(sizes) > 10**6:
            raise argparse.ArgumentTypeError("too large")
        return sizes
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected integers from 1 to 1,000,000 with commas, such as 64,32, received {text!r}"
        ) from None


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, received {text!r}")
    return value


def _info(options: argparse.Namespace) -> int:
    from .kernels.machine import show_config

    show_config()
    return 0


def _bench(options: argparse.Namespace) -> int:
    from .benchmarks import launch

    return launch(options)


def _train(options: argparse.Namespace) -> int:
    import microweights as mw

    from .kernels import machine

    try:
        if options.backend:
            machine.set_backend(options.backend)
        if options.threads:
            machine.set_num_threads(options.threads)
        if options.full is not None and options.data != "fashion":
            raise ValueError(explain("--full with fashion", options.data, "Leave it out: all of that is in the package."))
        mw.seed(options.seed)
        x_train, x_test, y_train, y_test, model, epochs, batch_size = TASKS[options.data](options)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    epochs, batch_size = options.epochs or epochs, options.batch_size or batch_size
    steps_per_epoch = -(-len(x_train) // batch_size)
    optimizer = mw.optimizers.get(options.optimizer)
    if options.data == "fashion":
        rate = options.learning_rate or 2 * float(optimizer.learning_rate)  # as much on average
        optimizer.learning_rate = mw.schedules.CosineDecay(rate, epochs * steps_per_epoch)
    elif options.learning_rate:
        optimizer.learning_rate = options.learning_rate
    model.compile(optimizer, model.loss, metrics=model.metrics)
    model.summary()
    print(f"\n{len(x_train):,} samples to train on, {len(x_test):,} held out, {machine.isa()}, "
          f"{machine.num_threads()} threads", flush=True)  # fmt: skip

    start = time.perf_counter()
    try:
        model.fit(x_train, y_train, batch_size=batch_size, epochs=epochs)
    except KeyboardInterrupt:
        print("\nstopped; this is what it has learned so far", flush=True)
    except FloatingPointError as error:
        print(error, file=sys.stderr)
        return 1
    seconds, steps = time.perf_counter() - start, optimizer.iterations
    if options.explain:
        try:
            print(f"\none step of the training, as it is replayed in C:\n{model.explain()}\n")
        except RuntimeError as error:
            print(error, file=sys.stderr)
    if steps:
        rate = min(steps * batch_size, len(x_train) * epochs) / seconds
        print(f"{seconds:.2f} s, {seconds * steps_per_epoch / steps:.3g} s per epoch, {steps:,} steps, "
              f"{seconds / steps * 1e6:.1f} µs per step, {rate:,.0f} samples per second")  # fmt: skip
    _, score = model.evaluate(x_test, y_test)
    if options.data == "fashion":
        print(_confusion(y_test, model.predict(x_test)))
    print(f"test R2: {score:.2f}" if options.data == "houses" else f"test accuracy: {score:.3f}")
    return 0


class Task(NamedTuple):
    """What `train` trains, and for how long if it is not told."""

    x_train: Any
    x_test: Any
    y_train: Any
    y_test: Any
    model: Sequential
    epochs: int = 30
    batch_size: int = 32


def _network(inputs: int, hidden: list[int], outputs: int, activation: str | None) -> Sequential:
    import microweights as mw

    layers: list[Any] = [mw.Input((inputs,))]
    layers += [mw.layers.Dense(n, activation="relu", kernel_initializer="he_normal") for n in hidden]
    return mw.Sequential([*layers, mw.layers.Dense(outputs, activation=activation)])


def _digits(options: argparse.Namespace) -> Task:
    """Images of 8×8 pixels in, the probabilities of the ten digits out."""
    from .datasets import holdout, load_digits

    digits = load_digits()
    model = _network(64, [64, 32] if options.hidden is None else options.hidden, 10, "softmax")
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return Task(*holdout(digits.data / 16, digits.target), model)


def _houses(options: argparse.Namespace) -> Task:
    """Square footage and the rest in, the price in standard deviations out; R² does not mind the unit."""
    from .datasets import holdout, load_houses

    houses = load_houses()
    x_train, x_test, y_train, y_test = holdout(houses.data, houses.target)
    mean, deviation = x_train.mean(0), x_train.std(0)
    deviation[deviation == 0] = 1
    # clipped, because a rare kind of house lies a hundred standard deviations from the mean
    x_train, x_test = (((x - mean) / deviation).clip(-5, 5) for x in (x_train, x_test))
    unit, base = y_train.std(), y_train.mean()
    model = _network(x_train.shape[1], [64, 32] if options.hidden is None else options.hidden, 1, None)
    model.compile(loss="mean_squared_error", metrics=["r2"])
    return Task(x_train, x_test, (y_train - base) / unit, (y_test - base) / unit, model)


def _fashion(options: argparse.Namespace) -> Task:
    """Pictures of 28×28 pixels in, the probabilities of ten kinds of clothing out; convolutions see 3, 8, 18 pixels a side."""
    import microweights as mw

    from .datasets import load_fashion_mnist

    is_sample = options.full is None
    (x_train, y_train), (x_test, y_test) = load_fashion_mnist(options.full or None, sample=is_sample)
    layers: list[Any] = [mw.Input((28, 28, 1)), mw.layers.Rescaling(1 / 255)]
    if is_sample:  # few pictures last longer when each comes mirrored and a little aside
        layers += [mw.layers.RandomFlip("horizontal"), mw.layers.RandomTranslation(0.05, 0.05)]
    for filters in (32, 64, 64):
        layers += [
            mw.layers.Conv2D(filters, 3, padding="same", use_bias=False),
            mw.layers.BatchNormalization(momentum=0.9),
            mw.layers.Activation("relu"),
            mw.layers.MaxPooling2D(),
        ]
    layers += [mw.layers.Flatten(), mw.layers.Dropout(0.5 if is_sample else 0.2)]
    layers += [mw.layers.Dense(n, activation="relu") for n in options.hidden or []]
    model = mw.Sequential([*layers, mw.layers.Dense(10, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    epochs, batch_size = (60, 32) if is_sample else (5, 64)
    return Task(x_train[..., None], x_test[..., None], y_train, y_test, model, epochs, batch_size)


def _confusion(labels: Any, probabilities: Any) -> str:
    """A row for each kind of clothing, a column for each that it was taken for."""
    import numpy as np

    from .datasets.images import FASHION

    counts = np.bincount(10 * labels.astype(int) + probabilities.argmax(1), minlength=100).reshape(10, 10)
    rows = [f"{i} {name:12s}{''.join(f'{count:6,}' for count in row)}" for i, (name, row) in enumerate(zip(FASHION, counts))]
    return "\n".join([f"{'taken for':14s}{''.join(f'{i:6}' for i in range(10))}", *rows])


TASKS = {"digits": _digits, "houses": _houses, "fashion": _fashion}


if __name__ == "__main__":
    sys.exit(main())
