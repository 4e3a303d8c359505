"""`microweights bench --start`: from the start of a process to a trained network, and its peak of memory, for each library.

The network has 64-64-32-10 units and learns digits for 30 epochs of batches of 32 with Adam: what a user waits for who runs a
small script. Every library has a process of its own (trained.py), all take turns, and medians count.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from ..datasets import holdout, load_digits
from ..errors import explain

NAMES = {"microweights": "microweights", "sklearn": "scikit-learn", "torch": "PyTorch", "keras": "Keras on JAX"}
RUNS, QUICK_RUNS = 5, 1
SCRIPT = Path(__file__).with_name("trained.py")


def trained(library: str, data: str, environment: Mapping[str, str]) -> tuple[float, float, float]:
    """Seconds from the start of a process until it has trained, the peak of its memory in bytes, its accuracy.

    Raises
    ------
    RuntimeError
        If it ends without having trained; it has said why.
    """
    start = perf_counter()
    command = [sys.executable, str(SCRIPT), library, data]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = perf_counter() - start
        result = process.stdout.read()
    if process.returncode:
        raise RuntimeError(
            explain(f"{library} to train a network", f"exit status {process.returncode}", "Its message is above.")
        )
    memory, accuracy = map(float, result.split())
    return seconds, memory, accuracy


def race(environment: Mapping[str, str], quick: bool = False, json_file: str | None = None) -> int:
    """Print the table; 0 if all have learned, 1 if one has not, 2 if the file cannot be written."""
    needed = {name: (name, "jax") if name == "keras" else (name,) for name in NAMES}
    installed = {name: all(map(importlib.util.find_spec, parts)) for name, parts in needed.items()}
    digits = load_digits()
    x_train, x_test, y_train, y_test = holdout((digits.data / 16).astype(np.float32), digits.target)
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in NAMES if installed[name]}
    print(f"from the start of a process to a trained network: {len(x_train):,} digits, 64-64-32-10, Adam, 30 epochs, batch 32")
    print(f"medians of {QUICK_RUNS if quick else RUNS} runs, of which each has a process of its own, in turns\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "digits.npz")
        np.savez(data, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
        for _ in range(QUICK_RUNS if quick else RUNS):
            for name, found in runs.items():
                found.append(trained(name, data, environment))
    print(f"{'':14s} {'seconds':>8s} {'MB at most':>11s} {'accuracy':>9s}")
    medians = {name: tuple(map(median, zip(*found, strict=True))) for name, found in runs.items()}
    for name, (seconds, memory, accuracy) in medians.items():
        print(f"{NAMES[name]:14s} {seconds:8.2f} {memory / 1e6:11.0f} {accuracy:9.3f}")
    if missing := [NAMES[name] for name in NAMES if not installed[name]]:
        print(f"not installed: {', '.join(missing)}")
    if json_file is not None:
        try:
            columns = ("seconds", "bytes", "accuracy")
            content = {NAMES[name]: dict(zip(columns, row, strict=True)) for name, row in medians.items()}
            Path(json_file).write_text(json.dumps(content, indent=1), encoding="utf-8")
        except OSError as error:
            print(error, file=sys.stderr)
            return 2
    return int(any(accuracy < 0.9 for _, _, accuracy in medians.values()))
