"""Floor 6: races of the kernels and whole training steps against NumPy and PyTorch: `microweights bench`.

`race.py` says what a case is; `matmul.py`, `arrays.py`, `update.py`, `steps.py` and `loops.py` define the cases, each once;
`measure.py` takes the times and `table.py` shows them. `pytest benchmarks` runs the same cases under pytest-benchmark.
`plot.py` draws a picture of them. `start.py` is the race from the start of a process to a trained network.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

THREAD_VARIABLES = (
    "MICROWEIGHTS_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip


def launch(options: argparse.Namespace) -> int:
    """Run the benchmarks in a process of their own, because NumPy's BLAS reads its number of threads only at import."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(options.threads))
    if options.threads == 1:
        environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if options.compile:
        environment["MICROWEIGHTS_BENCH_COMPILE"] = "1"
    if options.start:
        from .start import race

        return race(environment, options.quick, options.json)
    chosen = {name: getattr(options, name) for name in ("only", "quick", "json", "plot")}
    with subprocess.Popen([sys.executable, "-m", __name__, json.dumps(chosen)], env=environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # it got the signal, too, and shows what it has
            return process.wait()
