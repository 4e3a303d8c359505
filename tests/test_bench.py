"""`microweights bench`: that it runs, and that it notices what is wrong. No test looks at how fast anything is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microweights.benchmarks import cases, measure, table
from microweights.benchmarks.__main__ import main, run
from microweights.benchmarks.race import Case, Race, blocks, by_numpy, distance

OURS = "eager"

X = np.linspace(1, 2, 50, dtype=np.float32)


@pytest.fixture(autouse=True)
def torch_records_gradients_afterwards() -> Iterator[None]:
    """The benchmarks switch them off for a whole process, but here other tests follow."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_grad_enabled(True)


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "microweights.cli", "bench", "--quick", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def case_with(**calls: Any) -> Case:
    """A case whose right result is 2 X."""
    return Case("twice", X.size, "GB/s", lambda: Race(lambda: 2 * X.astype(np.float64), calls))


def test_bench_prints_a_row_with_times_errors_and_verdict(tmp_path: Path) -> None:
    done = bench("--only", "gemm 64x64", "--threads", "1", "--json", str(tmp_path / "b.json"))
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("gemm")]
    assert row.startswith("gemm 64x64x64 ")
    assert "GFLOP/s" in row
    assert "fastest in" in done.stdout

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    data = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert data["setting"]["threads"] == "1"
    (entry,) = data["cases"]
    assert {"replayed", "eager", "numpy"} <= set(entry["contenders"])
    for contender in entry["contenders"].values():
        assert 0 < contender["quartiles"][0] <= contender["seconds"] <= contender["quartiles"][1]
        assert contender["rate"] == pytest.approx(2 * 64**3 / contender["seconds"] / 1e9)
        assert 0 <= contender["error"] < 1e-5


def test_bench_explains_a_pattern_that_fits_nothing() -> None:
    done = bench("--only", "bogosort")
    assert done.returncode == 2
    assert "'bogosort'" in done.stderr
    assert "gemm" in done.stderr
    assert "Traceback" not in done.stderr


def test_bench_explains_a_file_it_cannot_write(tmp_path: Path) -> None:
    done = bench("--only", "gemm 64x64", "--json", str(tmp_path / "no" / "b.json"))
    assert done.returncode == 2
    assert "b.json" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [2 * X + 1e-3, -2 * X, 2 * X[:-1], (2 * X).reshape(-1, 1)[:0], np.where(X > 1.9, np.nan, 2 * X), np.float32(2)],
    ids=["a little off", "sign", "too short", "empty", "NaN", "a number"],
)
@pytest.mark.parametrize("who", [OURS, "numpy", "numpy blocked"])
def test_a_wrong_contender_makes_the_row_void(who: str, wrong: Any) -> None:
    calls = dict.fromkeys((OURS, "numpy", "numpy blocked"), lambda: 2 * X) | {who: lambda: wrong}
    result = run(case_with(**calls), None, quick=True)
    assert result.wrong == [who]
    assert result.ratio is None
    assert result.verdict == f"VOID: {who} wrong"
    assert f"twice: VOID: {who} wrong" in table.summary([result])
    json.dumps(result.as_data(), allow_nan=False)


def test_a_wrong_contender_makes_bench_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for calls, status in (({OURS: lambda: X * 2}, 0), ({OURS: lambda: X * 2, "numpy": lambda: X * 3}, 1)):
        monkeypatch.setattr(cases, "CASES", {"twice": case_with(**calls)})
        assert main(only=None, quick=True, json=None) == status
        assert ("!" in capsys.readouterr().out) == bool(status)


@pytest.mark.parametrize(
    ("ours", "numpy", "verdict", "summary"),
    [
        ([3.0, 1.0, 2.0], [4.0, 5.0, 90.0], "2.50x", "fastest in 1 of 1 cases"),
        ([4.0, 5.0, 90.0], [3.0, 1.0, 2.0], "0.40x  SLOWER", "fastest in 0 of 1 cases, slower in:\n  0.40x  twice"),
    ],
)
def test_medians_and_the_best_variant_decide(ours: list[float], numpy: list[float], verdict: str, summary: str) -> None:
    times = {OURS: ours, "numpy": [1000.0] * 3, "numpy blocked": numpy}
    result = table.Result(case_with(), times, dict.fromkeys(times, 0.0), 1e-5)
    assert result.best == {OURS: OURS, "numpy": "numpy blocked"}
    assert result.verdict == verdict
    assert result.row().endswith(verdict)
    assert table.summary([result]) == summary


def test_without_torch_a_case_has_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for peer in ("torch", "jax", "micrograd"):
        monkeypatch.setitem(sys.modules, peer, None)
    for name in ("gemm 64x64x64", "softmax 256x256", "update Adagrad 1M", "step 64-32-32-10 SGD"):
        race = cases.CASES[name].build()
        ours = {"eager"} if name.startswith("update") else {"replayed", "eager"}
        assert {name.split()[0] for name in race.calls} == ours | {"numpy"}
        assert all(error <= race.tolerance for error in race.errors().values())


def test_names_are_unique_and_patterns_find_them() -> None:
    assert len(cases.CASES) == len({*cases.products.CASES, *cases.arrays.CASES, *cases.updates.CASES, *cases.steps.CASES})
    assert [c.name for c in cases.select("STEP*adam")] == ["step 784-128-64-10 Adam"]
    assert len(cases.select(None)) == len(cases.CASES)


def test_take_turns_measures_everybody_in_each_round() -> None:
    order: list[str] = []

    def slow(name: str) -> measure.Timer:
        return lambda calls: order.append(name) or 1.0

    times = measure.take_turns({name: slow(name) for name in "abc"}, budget=0, least=3)
    assert times == {name: [1.0] * 3 for name in "abc"}
    assert "".join(order[3:]) == "aabbccbbccaaccaabb"  # warm-up and measurement


def test_calls_per_chunk_fills_the_chunk() -> None:
    assert measure.calls_per_chunk(lambda calls: 3.0, 1.0) == 1
    assert 5000 <= measure.calls_per_chunk(lambda calls: calls * 1e-4, 1.0) <= 10000


def test_blocks_cover_all_rows_once() -> None:
    a, b = np.zeros((7, 4)), np.zeros(7)
    parts = blocks([a, b], size=12)
    for rows, flat, scratch in parts:
        rows += 1
        flat += 1
        assert scratch.shape == rows.shape
    assert [len(rows) for rows, _, _ in parts] == [3, 3, 1]
    assert (a == 1).all()
    assert (b == 1).all()


def test_by_numpy_counts_calls_and_keeps_variants_apart() -> None:
    def step(t: int, z: Any, s: Any) -> None:
        z += t

    calls = by_numpy(step, lambda: [np.zeros(40_000)], counted=True)
    for call in calls.values():
        call()
        assert (call() == 3).all()


def test_distance_is_relative_to_the_largest() -> None:
    assert distance(np.array([1.0, 9.0]), np.array([0.0, 10.0])) == pytest.approx(0.1)
