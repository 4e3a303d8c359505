"""How much of the wall time of `fit` passes inside replay: `python benchmarks/fit.py`.

60,000 images of 784 numbers, five epochs, recording and progress included; one thread unless MICROWEIGHTS_NUM_THREADS says
otherwise.
"""

from __future__ import annotations

import os
import time
from typing import Any

os.environ.setdefault("MICROWEIGHTS_NUM_THREADS", "1")

import numpy as np

import microweights as mw
from microweights.capture.replay import Replay

EPOCHS = 5


def share_in_replay(model: mw.Sequential, x: Any, y: Any, batch_size: int) -> tuple[float, float]:
    """Seconds of fit, and the part of them in replay."""
    run, inside = Replay.run, 0.0

    def timed(self: Replay, *arguments: Any) -> Any:
        nonlocal inside
        start = time.perf_counter()
        try:
            return run(self, *arguments)
        finally:
            inside += time.perf_counter() - start

    Replay.run = timed  # type: ignore[method-assign]
    try:
        start = time.perf_counter()
        model.fit(x, y, batch_size=batch_size, epochs=EPOCHS, verbose=0)
        total = time.perf_counter() - start
    finally:
        Replay.run = run  # type: ignore[method-assign]
    return total, inside / total


def main() -> None:
    from estimators import fashion  # beside this file, where Python looks when it runs as a script

    x, y = fashion()
    x = x.astype(np.float32)
    print("| layers | batch | seconds | in replay |\n|---|---|---|---|")
    for sizes in ((784, 10), (784, 128, 64, 10), (784, 512, 10)):
        for batch_size in (32, 256):
            hidden = [mw.layers.Dense(n, activation="relu") for n in sizes[1:-1]]
            model = mw.Sequential([mw.Input(sizes[:1]), *hidden, mw.layers.Dense(sizes[-1], activation="softmax")])
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            total, share = share_in_replay(model, x, y, batch_size)
            print(f"| {'-'.join(map(str, sizes))} | {batch_size} | {total:.2f} | {share:.1%} |", flush=True)


if __name__ == "__main__":
    main()
