"""`microweights bench`: that it runs, and that it notices what is wrong. No test looks at how fast anything is."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microweights.benchmarks import cases, measure, plot, start, table
from microweights.benchmarks.__main__ import main, run
from microweights.benchmarks.race import Case, Race, blocks, by_numpy, distance
from microweights.capture.work import Peaks

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
    return Case("twice", X.size, 8 * X.size, lambda: Race(lambda: 2 * X.astype(np.float64), calls), ("numpy",), ("eager",))


PEAKS = Peaks(float32=1e9, float64=5e8, bandwidth=1e8, caches=100.0)


def test_bench_prints_a_row_with_times_errors_and_verdict(tmp_path: Path) -> None:
    done = bench("--only", "gemm 64x64", "--threads", "1", "--json", str(tmp_path / "b.json"))
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("gemm")]
    assert row.startswith("gemm 64x64x64 ")
    share = re.search(r" (\d+\.\d)% ", row)
    assert share and float(share[1]) > 0
    assert all(len(line) <= 110 for line in done.stdout.splitlines())
    assert "error      of ours against float64" in done.stdout
    assert "fastest in" in done.stdout

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    data = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert data["setting"]["threads"] == "1"
    (entry,) = data["cases"]
    assert {"replayed", "eager", "numpy"} <= set(entry["contenders"])
    for contender in entry["contenders"].values():
        assert 0 < contender["quartiles"][0] <= contender["seconds"] <= contender["quartiles"][1]
        assert 0 <= contender["error"] < 1e-5
    assert (entry["operations"], entry["bytes"]) == (2 * 64**3, 4 * 3 * 64**2)
    ours = min(entry["contenders"][name]["seconds"] for name in ("replayed", "eager"))
    assert entry["share"] == pytest.approx(entry["floor"] / ours)


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
    json.dumps(result.as_data(PEAKS), allow_nan=False)


def test_a_wrong_contender_makes_bench_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for calls, status in (({OURS: lambda: X * 2}, 0), ({OURS: lambda: X * 2, "numpy": lambda: X * 3}, 1)):
        monkeypatch.setattr(cases, "CASES", {"twice": case_with(**calls)})
        assert main(only=None, quick=True, json=None) == status
        assert bool(re.search(r"\d!", capsys.readouterr().out)) == bool(status)


@pytest.mark.parametrize(
    ("ours", "numpy", "verdict", "summary"),
    [
        ([3.0, 1.0, 2.0], [4.0, 5.0, 90.0], "2.50x", "fastest in 1 of 1 cases"),
        ([4.0, 5.0, 90.0], [3.0, 1.0, 2.0], "0.40x SLOWER", "fastest in 0 of 1 cases, slower in:\n  0.40x  twice"),
    ],
)
def test_medians_and_the_best_variant_decide(ours: list[float], numpy: list[float], verdict: str, summary: str) -> None:
    times = {OURS: ours, "numpy": [1000.0] * 3, "numpy blocked": numpy}
    result = table.Result(case_with(), times, dict.fromkeys(times, 0.0), 1e-5)
    assert result.best == {OURS: OURS, "numpy": "numpy blocked"}
    assert result.verdict == verdict
    assert result.row(PEAKS).endswith(verdict)
    assert table.summary([result]) == summary


def result_of(case: Case, **times: float) -> table.Result:
    """Three rounds of so many seconds."""
    return table.Result(case, {name: [t] * 3 for name, t in times.items()}, dict.fromkeys(case.ours, 1e-7), 1e-5)


def test_the_floor_is_operations_at_the_best_rate_and_bytes_beyond_the_caches() -> None:
    case = case_with()
    assert PEAKS.floor(case.operations, case.bytes) == pytest.approx(50 / 1e9 + (400 - 100) / 1e8)
    assert PEAKS.floor(50, 100) == PEAKS.floor(50, 0) == pytest.approx(50e-9)
    assert PEAKS.floor(50, 0, is_double=True) == pytest.approx(100e-9)
    assert result_of(case, eager=1e-5).share(PEAKS) == pytest.approx(0.305)
    assert " 30.5%  alone" in result_of(case, eager=1e-5).row(PEAKS)


def test_a_race_may_have_a_floor_of_its_own() -> None:
    result = result_of(case_with(), eager=4e-6, floor=3e-6, numpy=5e-6)
    assert result.share(PEAKS) == pytest.approx(0.75)
    assert result.ratio == pytest.approx(1.25) and "floor" not in result.best


def test_random_numbers_and_missing_peers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    case = dataclasses.replace(case_with(), peers=("numpy", "torch", "keras"))
    result = dataclasses.replace(result_of(case, eager=1e-6), is_random=True)
    monkeypatch.setattr(table, "is_installed", lambda name: name == "numpy")
    assert "random" in result.row(PEAKS).split()
    assert result.row(PEAKS).endswith("alone  no torch, keras")
    assert table.header(case).split() == ["eager", "numpy", "error", "floor", "best", "peer"]


@pytest.mark.parametrize("name", ["train_on_batch 20-32-1", "predict_on_batch 100 layers of 8", "predict 20-32-1"])
def test_calls_in_loops_are_right_and_their_floor_is_the_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    race = cases.CASES[name].build()
    assert all(error <= race.tolerance for error in race.errors().values()) and "replayed" in race.calls
    assert race.floor is not None
    race.floor()


def test_from_the_start_of_a_process_to_a_trained_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(start, "NAMES", {"microweights": "microweights"})
    assert (
        start.race({**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, True, str(tmp_path / "s.json")) == 0
    )
    (row,) = re.findall(r"microweights +([\d.]+) +(\d+) +(0\.\d{3})", capsys.readouterr().out)
    assert float(row[0]) > 0 and 10 < int(row[1]) < 2000 and float(row[2]) > 0.95
    assert json.loads((tmp_path / "s.json").read_text())["microweights"]["accuracy"] == pytest.approx(float(row[2]), abs=1e-3)


def test_help_tells_the_cases_the_formula_and_how_long_it_takes() -> None:
    text = bench("--help").stdout
    assert "floor = operations / best rate" in text and "minutes" in text
    for name in cases.CASES:
        assert name.split()[0].split("+")[0].rstrip(":,") in text, name


def test_without_torch_a_case_has_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for peer in ("torch", "jax", "micrograd"):
        monkeypatch.setitem(sys.modules, peer, None)
    for name in ("gemm 64x64x64", "softmax 256x256", "update Adagrad 1M", "step 64-32-32-10 SGD"):
        race = cases.CASES[name].build()
        ours = {"eager"} if name.startswith("update") else {"replayed", "eager"}
        assert {name.split()[0] for name in race.calls} == ours | {"numpy"}
        assert all(error <= race.tolerance for error in race.errors().values())


def test_names_are_unique_and_patterns_find_them() -> None:
    parts = (cases.matmul, cases.arrays, cases.update, cases.steps, cases.images, cases.loops)
    assert len(cases.CASES) == sum(len(part.CASES) for part in parts)
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


SETTING = {"cpu": "a machine", "instruction set": "avx2", "threads": "1", "date": "2030-01-31", "microweights": "9.9"}


def picture_of(path: Path, *results: table.Result, **setting: str) -> Any:
    pytest.importorskip("matplotlib")
    with path.open("wb") as file:
        return plot.draw(file, results, SETTING | setting)


def named(name: str, **times: float) -> table.Result:
    return result_of(dataclasses.replace(case_with(**dict.fromkeys(times)), name=name), **times)


def test_bars_are_the_times_of_peers_over_ours(tmp_path: Path) -> None:
    first, second = plot.CHOSEN["one training step"][:2]
    results = [
        named(second, eager=2e-6, replayed=1e-6, torch=5e-7),
        named(first, eager=1e-6, jax=9e-6, openblas=3e-6, numpy=4e-6),
        named("gemm 64x64x64", eager=1e-6, numpy=7e-6),
    ]
    assert plot.groups(results) == {
        "one training step": {
            first: {"numpy": pytest.approx(3), "jax": pytest.approx(9)},
            second: {"torch": pytest.approx(0.5)},
        }
    }
    figure = picture_of(tmp_path / "b.svg", *results)
    (axes,) = figure.axes
    ends = [p.get_x() + p.get_width() for p in axes.patches]  # by peer, as the legend has them
    assert ends == [pytest.approx(3), pytest.approx(0.5), pytest.approx(9)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["numpy", "torch", "jax"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [first, second]
    assert axes.get_xscale() == "log"


def test_a_picture_of_others_than_the_chosen_cases_has_them_all() -> None:
    assert plot.groups([named("twice", eager=1e-6, numpy=2e-6)]) == {"": {"twice": {"numpy": pytest.approx(2)}}}


def test_a_picture_leaves_out_what_is_void_or_has_no_peer(tmp_path: Path) -> None:
    void = dataclasses.replace(named("void", eager=1e-6, numpy=2e-6), errors={"eager": 1.0, "numpy": 0.0})
    results = [void, named("alone", eager=1e-6)]
    assert plot.groups(results) == {"": {}}
    assert not picture_of(tmp_path / "b.png", *results).axes[0].patches
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_tells_machine_threads_day_and_versions(tmp_path: Path) -> None:
    picture_of(tmp_path / "b.svg", named("twice", eager=1e-6, numpy=2e-6), threads="2", torch="2.13", numpy="2.4")
    text = (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert "a machine, avx2, 2 threads, 2030-01-31" in text and "microweights 9.9, numpy 2.4, torch 2.13" in text
    assert {"date", "cpu", "threads", "instruction set", "microweights", "numpy"} <= set(table.setting())


def test_chosen_cases_are_there() -> None:
    assert {name for names in plot.CHOSEN.values() for name in names} <= set(cases.CASES)
    assert {peer for case in cases.CASES.values() for peer in case.peers} <= set(plot.COLOURS)


@pytest.mark.parametrize(("path", "expected"), [("b.txt", "ends in .svg or .png"), ("b.svg", "matplotlib, which draws")])
def test_a_picture_that_cannot_be_drawn_is_told_before_the_race(
    path: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main("gemm 64x64", True, None, str(tmp_path / path)) == 2
    complaint = capsys.readouterr().err
    assert expected in complaint and complaint.startswith("Expected ") and not (tmp_path / path).exists()


def test_bench_draws_what_it_has_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(cases, "CASES", {"twice": case_with(eager=lambda: X * 2, numpy=lambda: X * 2)})
    assert main(None, True, None, str(tmp_path / "b.svg")) == 0
    assert ">twice</text>" in (tmp_path / "b.svg").read_text(encoding="utf-8")


PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.py"


@pytest.mark.skipif(not PAGE.exists(), reason="docs/ is not there, as in an installed package")
def test_the_page_of_benchmarks_gets_its_rows_from_a_run() -> None:
    case = dataclasses.replace(case_with(), name="slow", peers=("numpy", "micrograd"))
    times = {"eager": 2e-6, "replayed": 1.2345e-6, "numpy": 9e-6, "openblas": 1e-6, "micrograd": 1.2345678}
    slow = dataclasses.replace(result_of(case, **times), errors=dict.fromkeys(times, 0.0))
    void = dataclasses.replace(slow, case=dataclasses.replace(case, name="wrong"), errors=dict.fromkeys(times, 1.0))
    measured = {"setting": SETTING | {"numpy": "2.4"}, "cases": [r.as_data(PEAKS) for r in (slow, void)]}
    page = runpy.run_path(str(PAGE))["filled"]("above\n<!-- rows -->\nold\n<!-- end -->\nbelow", measured)
    above, _, *head, first, second, _, below = page.splitlines()
    assert (above, below) == ("above", "below") and "old" not in page
    assert head[:2] == ["a machine, avx2, 1 thread, 2030-01-31", "microweights 9.9, numpy 2.4."]
    assert "The fastest in 0 of 1 cases." in head
    assert first == f"| slow | 1.23 | 2 | 1 |  |  |  | 1,230,000 | 0.81× | {slow.share(PEAKS):.0%} |"
    assert second == first.replace("slow", "wrong").replace("0.81×", "void")
