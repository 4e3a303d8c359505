"""One thread for everybody unless MICROWEIGHTS_NUM_THREADS says otherwise; BLAS is told before NumPy is imported."""

import os

THREADS = os.environ.setdefault("MICROWEIGHTS_NUM_THREADS", "1")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[name] = THREADS
