"""Processes that share the cores of a machine: `python benchmarks/processes.py`.

Each trains a network of 784-1024-1024-10 on two threads, alone and then beside a second and a third process. Where cores are
two, steps should take two and three times as long as alone, and no longer: threads that wait must not hold a core.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

SECONDS, THREADS = 4.0, "2"


def train() -> None:
    """Print the mean and the median of the seconds of a step."""
    import numpy as np

    import microweights as mw

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(256, 784)).astype(np.float32), rng.integers(0, 10, 256)
    hidden = [mw.layers.Dense(1024, activation="relu") for _ in range(2)]
    model = mw.Sequential([mw.Input((784,)), *hidden, mw.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    for _ in range(4):
        model.train_on_batch(x, y)
    times, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        model.train_on_batch(x, y)
        times.append(time.perf_counter() - start)
    print(sum(times) / len(times), median(times))


def main() -> None:
    print(f"| processes of {THREADS} threads on {os.cpu_count()} cores | ms of a step, mean | median |\n|---:|---:|---:|")
    environment = os.environ | {"MICROWEIGHTS_NUM_THREADS": THREADS}
    for count in (1, 2, 3):
        command = [sys.executable, __file__, "train"]
        running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        found = [tuple(map(float, process.communicate()[0].split())) for process in running]
        mean, middle = (sum(column) / count * 1e3 for column in zip(*found, strict=True))
        print(f"| {count} | {mean:.1f} | {middle:.1f} |", flush=True)


if __name__ == "__main__":
    train() if sys.argv[1:] == ["train"] else main()
