"""What every test may ask for: a setting to run under, restored afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import SETTINGS, running_on
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from microweights.ops import OPS

# The same examples on every run. `pytest --hypothesis-profile=fuzz` looks further, at other ones each time.
COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
hypothesis_settings.register_profile("repeatable", derandomize=True, database=None, max_examples=40, **COMMON)
hypothesis_settings.register_profile("fuzz", max_examples=2000, print_blob=True, **COMMON)
hypothesis_settings.load_profile("repeatable")


@pytest.fixture(params=SETTINGS)
def setting(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs once on each instruction set and once on the NumPy twins."""
    with running_on(request.param) as name:
        yield name


@pytest.fixture(params=[name for name in SETTINGS if name != "numpy"])
def c_only(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs once on each instruction set; skipped where there is none."""
    with running_on(request.param) as name:
        yield name


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras, to compare with; the test is skipped where it is not installed with a backend."""
    if "KERAS_BACKEND" not in os.environ:
        pytest.importorskip("torch")
        os.environ["KERAS_BACKEND"] = "torch"
    return pytest.importorskip("keras")


@pytest.fixture
def table() -> Iterator[None]:
    """Operations defined by a test, or on a page, leave OPS with it."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)
