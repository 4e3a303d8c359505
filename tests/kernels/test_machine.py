"""Instruction sets, backends and threads: the answers do not depend on them, and wrong names are refused."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from helpers import running_on

from microweights.kernels import door, machine

from .cases import RULES, hyper
from .child import survivor

posix = pytest.mark.skipif(sys.platform == "win32", reason="fork is of POSIX")
compiled = pytest.mark.skipif(machine.lib is None, reason="no compiled library")

# ---- threads ---------------------------------------------------------------------------------------------------------


@cache
def reals(*shape: int, dtype: str) -> Any:
    x = np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)
    x.flags.writeable = False
    return x


def update(rule: str, dtype: str) -> Any:
    """Parameters of which some are split between threads and some are not."""
    weights = [reals(n, dtype=dtype).copy() for n in (7, 70_001, 1, 12_345)]
    slots = [[np.abs(reals(w.size, dtype=dtype)) + 2 for _ in range(3)] for w in weights]
    gradients = [reals(w.size + 1, dtype=dtype)[1:] for w in weights]
    door.Parameters(weights, slots).update(rule, gradients, hyper(momentum=0.9, centered=1, amsgrad=1, l1=0.1))
    return np.concatenate([*weights, *[s for state in slots for s in state]])


def draw(name: str, dtype: str) -> Any:
    return door.random(name, door.new_random_state(3), (100_003,), np.dtype(dtype), 0.5, 1)


# Sizes above the threshold of four threads, and never a multiple of anything.
N, COLUMNS = 262_147 + 1024, 300_007
LABEL = np.arange(9001) % 11
FAMILIES = {
    "unary": lambda t: door.unary("tanh", reals(N, dtype=t)),
    "binary, broadcast": lambda t: door.binary("add", reals(523, 1, dtype=t), reals(523, 521, dtype=t)[:, ::-1]),
    "ternary, strided": lambda t: door.ternary(
        "squared_error_grad", reals(1, dtype=t), reals(523, 521, dtype=t).T, reals(521, 523, dtype=t)
    ),
    "compare": lambda t: door.compare("less", reals(N, dtype=t), reals(1, dtype=t)),
    "copy_to, strided": lambda t: (out := np.zeros((521, 523), t).T, door.copy_to(reals(523, 521, dtype=t), out))[0],
    "sum, one long run": lambda t: door.reduce("sum", reals(COLUMNS, dtype=t), (0,)),
    "sum, rows": lambda t: door.reduce("sum", reals(97, 3001, dtype=t), (1,)),
    "sum, columns": lambda t: door.reduce("sum", reals(3001, 97, dtype=t), (0,)),
    "sum, batches of columns": lambda t: door.reduce("sum", reals(5, 601, 97, dtype=t), (1,)),
    "sum, two batches": lambda t: door.reduce("sum", reals(2, 301, 997, dtype=t), (1,)),
    "max": lambda t: door.reduce("max", reals(COLUMNS, dtype=t), (0,)),
    "argmax": lambda t: door.arg_reduce("argmax", reals(97, 3001, dtype=t), 1),
    "matmul": lambda t: door.matmul(reals(301, 257, dtype=t), reals(257, 263, dtype=t), reals(263, dtype=t), "tanh"),
    "matmul, transposed": lambda t: door.matmul(reals(257, 301, dtype=t).T, reals(263, 257, dtype=t).T),
    "matmul, tall": lambda t: door.matmul(reals(3001, 65, dtype=t), reals(65, 17, dtype=t)),
    "matmul, wide": lambda t: door.matmul(reals(3, 301, dtype=t), reals(301, 5001, dtype=t)),
    "matmul, deep": lambda t: door.matmul(reals(10, 20_001, dtype=t), reals(20_001, 11, dtype=t)),
    "matmul, few columns": lambda t: door.matmul(reals(3001, 301, dtype=t), reals(301, 5, dtype=t)),
    "matmul, one column": lambda t: door.matmul(reals(2003, 1201, dtype=t), reals(1201, 1, dtype=t), reals(1, dtype=t), "relu"),
    "matmul, dot": lambda t: door.matmul(reals(1, 270_001, dtype=t), reals(270_001, 1, dtype=t)),
    "matmul, long row": lambda t: door.matmul(
        reals(1, 100_003, dtype=t), reals(100_003, 7, dtype=t), reals(7, dtype=t), "tanh"
    ),
    "matmul, long rows": lambda t: door.matmul(reals(3, 1, 70_001, dtype=t), reals(70_001, 5, dtype=t)),
    "matmul, uneven rows": lambda t: door.matmul(reals(90, 1, 1201, dtype=t), reals(90, 1201, 50, dtype=t)),
    "matmul, one row": lambda t: door.matmul(reals(1, 1201, dtype=t), reals(1201, 2003, dtype=t)),
    "matmul, batch": lambda t: door.matmul(reals(37, 61, 65, dtype=t), reals(65, 67, dtype=t)),
    "softmax": lambda t: door.rowwise("softmax", reals(9001, 11, dtype=t)),
    "log_softmax_grad": lambda t: door.rowwise("log_softmax_grad", reals(9001, 11, dtype=t), -(reals(9001, 11, dtype=t) ** 2)),
    "cross_entropy": lambda t: door.cross_entropy(reals(9001, 11, dtype=t), LABEL),
    "cross_entropy_grad": lambda t: door.cross_entropy_grad(reals(9001, dtype=t), reals(9001, 11, dtype=t), LABEL),
    "gather": lambda t: door.gather(reals(1001, 301, dtype=t), np.arange(4001) * 7 % 1001),
    "scatter_add": lambda t: door.scatter_add(reals(1001, 301, dtype=t), np.arange(1001) % 13, (13, 301)),
    **{rule: partial(update, rule) for rule in RULES},
    "uniform": lambda t: draw("uniform", t),
    "normal": lambda t: draw("normal", t),
    "bernoulli": lambda t: draw("bernoulli", t),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bits_do_not_depend_on_the_number_of_threads(family: str, dtype: str, c_only: str) -> None:
    machine.set_num_threads(1)
    alone = FAMILIES[family](dtype)
    for threads in (2, 3, 4):
        machine.set_num_threads(threads)
        assert FAMILIES[family](dtype).tobytes() == alone.tobytes(), threads


def test_the_tree_of_a_long_sum_is_one_for_any_length(c_only: str) -> None:
    lengths = [2 * 64 * 1024 + d for d in (-1, 0, 1, 2, 1023, 1025, 4097)] + [200_003, 999_999, 1_048_577]
    x = reals(max(lengths), dtype="float32")
    sums = []
    for threads in (1, 4):
        machine.set_num_threads(threads)
        sums.append([float(door.reduce("sum", x[:n], (0,))) for n in lengths])
    assert sums[0] == sums[1]


@compiled
def test_threads_were_really_used() -> None:
    """Else the tests above compare one thread with one."""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("no way to count threads here")
    code = """
import os, numpy as np
from microweights.kernels import door, machine
machine.set_num_threads(3)
before = len(os.listdir('/proc/self/task'))
door.unary('exp', np.ones(1_000_000))
print(len(os.listdir('/proc/self/task')) - before)
"""
    environment = {k: v for k, v in os.environ.items() if k != "MICROWEIGHTS_BACKEND"}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["2"]


def test_several_python_threads_may_call_at_once(c_only: str) -> None:
    machine.set_num_threads(2)
    alone = {name: FAMILIES[name]("float32").tobytes() for name in FAMILIES}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda name: (name, FAMILIES[name]("float32").tobytes()), [*FAMILIES, *FAMILIES]))
    assert [name for name, result in together if result != alone[name]] == []


@posix
def test_a_child_after_fork_computes_alone(c_only: str) -> None:
    machine.set_num_threads(4)
    alone = {name: FAMILIES[name]("float32").tobytes() for name in FAMILIES}

    def compute(say: Any) -> None:
        assert machine.num_threads() == 1
        for name in FAMILIES:
            say(name)
            assert FAMILIES[name]("float32").tobytes() == alone[name]

    assert survivor(compute, seconds=30) == (0, list(FAMILIES)[-1])
    assert FAMILIES["unary"]("float32").tobytes() == alone["unary"]  # and the parent still has its threads


@posix
@compiled
def test_a_child_that_asks_for_threads_does_not_hang() -> None:
    machine.set_num_threads(2)
    alone = FAMILIES["unary"]("float32").tobytes()

    def compute(say: Any) -> None:
        machine.set_num_threads(2)
        assert FAMILIES["unary"]("float32").tobytes() == alone

    assert survivor(compute, seconds=3)[0] == 0


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", True, None, 1025])
def test_a_wrong_number_of_threads_is_refused(n: Any) -> None:
    before = machine.num_threads()
    with pytest.raises(ValueError, match=r"Expected a number of threads from 1 to \d+\. Received"):
        machine.set_num_threads(n)
    assert machine.num_threads() == before


# ---- backends and instruction sets -----------------------------------------------------------------------------------


def test_the_setting_is_the_one_asked_for(setting: str) -> None:
    assert machine.isa() == setting
    assert machine.backend() == ("numpy" if setting == "numpy" else "c")
    assert machine.config()["instruction set"].startswith(setting)
    assert machine.config()["backend"] == machine.backend()


@pytest.mark.parametrize("name", ["", "C", "cuda", None, 3])
def test_a_wrong_backend_is_refused(name: Any) -> None:
    before = machine.backend()
    with pytest.raises(ValueError, match=r"Expected a backend out of \('c', 'numpy'\)"):
        machine.set_backend(name)
    assert machine.backend() == before


@pytest.mark.parametrize("name", ["", "AVX2", "sse2", "numpy", None, 0])
def test_a_wrong_instruction_set_is_refused(name: Any) -> None:
    before = machine.isa()
    with pytest.raises(ValueError, match="Expected an instruction set out of"):
        machine.set_isa(name)
    assert machine.isa() == before


def test_switching_back_and_forth_keeps_plans_right() -> None:
    x = reals(37, 3, dtype="float64")
    for _ in range(2):
        for setting in (*machine.available_isas(), "numpy"):
            with running_on(setting):
                np.testing.assert_allclose(door.unary("exp", x.T), np.exp(x.T), rtol=1e-14)
                np.testing.assert_allclose(door.matmul(x.T, x), x.T @ x, rtol=1e-13)


@compiled
def test_the_neuron_of_the_scalar_engine_runs_on_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """MICROWEIGHTS_BACKEND=numpy runs the whole library on the twins."""

    def twin(*arguments: Any) -> float:
        return 123.0

    monkeypatch.setattr("microweights.kernels.reference.weighted_sum", twin)
    with running_on("numpy"):
        assert door.weighted_sum([1.0], [2.0], 3.0) == 123


def test_the_configuration_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    machine.show_config()
    printed = capsys.readouterr().out
    assert all(name in printed and value in printed for name, value in machine.config().items())
    assert np.__version__ in printed


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a new interpreter where only these of our variables are set."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MICROWEIGHTS_")}
    return subprocess.run([sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True)


ASK = "from microweights.kernels import machine as m; print(m.backend(), m.isa(), m.num_threads())"


@compiled
def test_the_environment_chooses() -> None:
    assert python(ASK, MICROWEIGHTS_BACKEND="numpy", MICROWEIGHTS_NUM_THREADS="1").stdout.split() == [
        "numpy",
        "numpy",
        "1",
    ]
    out = python(ASK, MICROWEIGHTS_ISA="baseline", MICROWEIGHTS_NUM_THREADS="3").stdout.split()
    assert out == ["c", "baseline", "3"]
    assert python(ASK, OMP_NUM_THREADS="2,1").stdout.split() == ["c", machine.available_isas()[-1], "2"]


@compiled
@pytest.mark.parametrize(("variable", "text"), [("MICROWEIGHTS_BACKEND", "fortran"), ("MICROWEIGHTS_ISA", "avx1024")])
def test_a_wrong_environment_is_refused(variable: str, text: str) -> None:
    out = python(ASK, **{variable: text})
    assert out.returncode != 0 and f"Received: '{text}'" in out.stderr and variable in out.stderr


MISSING = "import sys; sys.modules['microweights.kernels._c'] = None; "


def test_without_the_compiled_library_numpy_computes_and_says_so_once() -> None:
    work = "; import numpy as np; from microweights.kernels import door; print(door.unary('exp', np.zeros(3)).sum())"
    out = python(MISSING + ASK + work)
    assert out.stdout.split() == ["numpy", "numpy", "1", "3.0"]
    assert out.stderr.count("microweights runs on NumPy") == 1
    assert python(MISSING + ASK, MICROWEIGHTS_BACKEND="numpy").stderr == ""
    out = python(MISSING + ASK, MICROWEIGHTS_BACKEND="c")
    assert out.returncode != 0 and "Install a C compiler" in out.stderr
