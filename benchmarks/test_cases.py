"""Every case of `microweights bench` under pytest-benchmark, one test for each contender: `pytest benchmarks`.

A result that is wrong fails; no time does. `-k "gemm and not torch"` picks some, `--benchmark-json=FILE` keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from microweights.benchmarks.cases import CASES
from microweights.benchmarks.measure import BestOpenBLAS, Timer, calls_per_chunk, timer
from microweights.benchmarks.race import CONTENDERS, Race

ROUNDS, CHUNK = 10, 0.01  # chunks of so many seconds


class Clock:
    """The clock that pytest-benchmark reads: it only moves on by what a contender says that one call took."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def run(self, seconds: Timer, calls: int) -> None:
        self.now += seconds(calls) / calls


clock = Clock()


@lru_cache(maxsize=1)
def race_of(name: str) -> tuple[Race, dict[str, float]]:
    race = CASES[name].build()
    return race, race.errors()


@pytest.fixture(scope="session")
def openblas() -> Iterator[BestOpenBLAS]:
    if not BestOpenBLAS.exists():
        pytest.skip("OpenBLAS has no better kernels here")
    peer = BestOpenBLAS()
    yield peer
    peer.close()


@pytest.mark.benchmark(timer=clock, warmup=False)
@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("name", CASES)
def test_case(name: str, contender: str, benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> None:
    race, errors = race_of(name)
    timers = {n: timer(call) for n, call in race.calls.items() if n.split()[0] == contender}
    if contender == "openblas" and CASES[name].blas:
        peer = request.getfixturevalue("openblas")
        errors["openblas"], timers["openblas"] = peer.error(name), peer.seconds
    if not timers:
        pytest.skip(f"{contender} does not take part")
    for variant in timers:
        assert errors[variant] <= race.tolerance
    calls = {variant: calls_per_chunk(seconds, CHUNK) for variant, seconds in timers.items()}
    best = min(timers, key=lambda variant: timers[variant](calls[variant]) / calls[variant])
    benchmark.group = name
    benchmark.extra_info |= {"variant": best, "error": errors[best], "calls in a round": calls[best]}
    benchmark.pedantic(partial(clock.run, timers[best], calls[best]), rounds=ROUNDS)
