"""Every file of examples/ runs, and reaches what it is there to show."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.skipif(not EXAMPLES.exists(), reason="installed without the examples")
def test_moons(c_only: str) -> None:
    assert runpy.run_path(str(EXAMPLES / "moons.py"))["main"]() == 1.0
