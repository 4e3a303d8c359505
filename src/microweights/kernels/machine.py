"""The compiled library on this machine: is it there, which instruction set, how many threads."""

from __future__ import annotations

import os
import platform
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import explain
from . import reference

try:
    from ._c import ffi as ffi
    from ._c import lib as lib
except ImportError:
    ffi = lib = None

ISAS = ("baseline", "avx2", "avx512")
BACKENDS = ("c", "numpy")


class Backend:
    """Where kernels run: how to find one by name, and how to hand an array to it.

    `plans` belongs to the door: what it has found out about shapes, with the kernels of this backend.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.plans: dict[Any, Any] = {}
        self.pointer = _array_itself if name == "numpy" else ffi.from_buffer
        self.null = None if name == "numpy" else ffi.NULL

    def read(self, a: Any, remedy: str) -> None:
        """Values leave the graph: of interest to a recorder (capture/recorder.py), which stands in for a backend."""

    def refuse(self, what: str) -> None:
        """Something is done outside of kernels: likewise."""

    def made(self, a: Any) -> None:
        """Kernels are about to fill a new array, part by part: likewise."""

    def kernel(self, name: str) -> Any:
        """The C function `mw_<name>`, or the twin of that name without the type."""
        if self.name == "c":
            return getattr(lib, f"mw_{name}")
        twin = getattr(reference, name.removesuffix("_f32").removesuffix("_f64"))

        def quietly(*arguments: Any) -> Any:
            with np.errstate(all="ignore"):
                return twin(*arguments)

        return quietly


def _array_itself(kind: Any, a: Any) -> Any:
    return a


backends = {name: Backend(name) for name in BACKENDS if name == "numpy" or lib is not None}
active: Any = backends["numpy"]  # or, while a program is being recorded, the Recorder that stands in for one


def struct(kind: str, **fields: Any) -> Any:
    """A C struct for a kernel; without the compiled library a namespace, which its twin reads just the same."""
    return SimpleNamespace(**fields) if ffi is None else ffi.new(f"{kind} *", fields)


def fields(of: Any) -> dict[str, Any]:
    """What stands in a struct of numbers and lists of numbers."""
    if ffi is None:
        return {name: list(x) if isinstance(x, list) else x for name, x in vars(of).items()}
    found = ((name, getattr(of, name)) for name, _ in ffi.typeof(of).item.fields)
    return {name: x if isinstance(x, float) else list(x) for name, x in found}


def backend() -> str:
    """`"c"` or `"numpy"`: where kernels run."""
    return str(active.name)


def set_backend(name: str) -> None:
    """Run all kernels in C, or on their NumPy twins.

    Raises
    ------
    ValueError
        If there is no such backend, or no compiled library for `"c"`.
    """
    global active
    if name not in BACKENDS:
        raise ValueError(explain(f"a backend out of {BACKENDS}", repr(name), "Set MICROWEIGHTS_BACKEND to one of them."))
    if name == "c" and lib is None:
        remedy = "Install a C compiler and reinstall microweights, or use the backend 'numpy'."
        raise ValueError(explain("the compiled library for backend 'c'", "no compiled library", remedy))
    active.refuse("a change of the backend")
    active = backends[name]


def isa() -> str:
    """The instruction set in use: `"baseline"`, `"avx2"` or `"avx512"`; `"numpy"` on the NumPy backend."""
    return "numpy" if active.name == "numpy" else ISAS[lib.mw_isa()]


def available_isas() -> tuple[str, ...]:
    """The instruction sets that this machine and this build both have, the plainest first."""
    return () if lib is None else ISAS[: lib.mw_best_isa() + 1]


def set_isa(name: str) -> None:
    """Run the C kernels built for one instruction set.

    Raises
    ------
    ValueError
        If the machine or the build does not have it.
    """
    if name not in available_isas():
        remedy = "Unset MICROWEIGHTS_ISA to let the best one be picked."
        raise ValueError(explain(f"an instruction set out of {available_isas()}", repr(name), remedy))
    lib.mw_set_isa(ISAS.index(name))


def num_threads() -> int:
    """How many threads a kernel may use."""
    return 1 if lib is None else int(lib.mw_threads())


def set_num_threads(n: int) -> None:
    """Let kernels use up to `n` threads where the work is worth it. Results do not depend on it.

    Raises
    ------
    ValueError
        If `n` is not a positive integer.
    """
    most = max_threads()
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= most:
        raise ValueError(explain(f"a number of threads from 1 to {most}", repr(n), "Give the number of cores to use."))
    if lib is not None:
        lib.mw_set_threads(int(n))


def config() -> dict[str, str]:
    """What runs here: versions, backend, instruction set, threads, compiler."""
    compiler = "none" if lib is None else ffi.string(lib.mw_compiler()).decode()
    return {
        "microweights": sys.modules[__name__.partition(".")[0]].__version__,
        "backend": active.name,
        "instruction set": f"{isa()} (available: {', '.join(available_isas()) or 'none'})",
        "threads": str(num_threads()),
        "compiler": compiler,
        "numpy": np.__version__,
        "python": f"{sys.version.split()[0]} on {platform.system()} {platform.machine()}",
    }


def show_config() -> None:
    """Print :func:`config`, a line each."""
    for name, value in config().items():
        print(f"{name:16s} {value}")


def _default_threads() -> int:
    for name in ("MICROWEIGHTS_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0]
        if text.isdecimal() and int(text) > 0:
            return min(int(text), max_threads())
    return cpu_count()


def max_threads() -> int:
    """More than any use has for, and few enough for the system to make."""
    return max(16, 4 * cpu_count())


def cpu_count() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _configure() -> None:
    wanted = os.environ.get("MICROWEIGHTS_BACKEND", "")
    if lib is None and not wanted:
        warnings.warn("microweights runs on NumPy: its C library was not built (no C compiler?)", stacklevel=2)
    set_backend(wanted or ("numpy" if lib is None else "c"))
    if lib is not None:
        set_isa(os.environ.get("MICROWEIGHTS_ISA", "") or available_isas()[-1])
        set_num_threads(_default_threads())


_configure()
