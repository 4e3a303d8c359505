"""Every file of examples/ runs, and reaches what it is there to show."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path
from typing import Any

import pytest
from helpers import in_c

EXAMPLES = Path(__file__).parent.parent / "examples"
pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="installed without the examples")


def run(name: str, *arguments: Any) -> Any:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](*arguments)


def picture(tmp_path: Path) -> list[str]:
    """A file to draw to, where matplotlib is installed."""
    return [str(tmp_path / "picture.png")] if importlib.util.find_spec("matplotlib") else []


def test_moons(c_only: str) -> None:
    assert run("moons") == 1.0


def test_linear_regression() -> None:
    assert run("linear_regression") > 0.7


def test_gradient_descent(tmp_path: Path) -> None:
    given = picture(tmp_path)
    assert run("gradient_descent", *given) < 0.2
    assert all(Path(file).stat().st_size > 10_000 for file in given)


def test_ridge(tmp_path: Path) -> None:
    given = picture(tmp_path)
    zeros = run("ridge", *given)
    assert zeros[0] == 0 and zeros[-1] == 10
    assert all(Path(file).stat().st_size > 10_000 for file in given)


def test_he_initialisation() -> None:
    he, small = run("he_initialisation")
    assert he > 0.9 > 0.5 > small


def test_house_prices(capsys: pytest.CaptureFixture[str]) -> None:
    alone, together = run("house_prices")
    assert 60 < alone < 90 and 20 < together < alone
    assert "dollars" in capsys.readouterr().out


@in_c
def test_article_cnn() -> None:
    weights, accuracy = run("article_cnn", 6)
    assert weights == 225_034 and accuracy > 0.75


@in_c
def test_residual_network() -> None:
    layers, accuracy = run("residual_network", 3, 500)
    assert layers == 20 and accuracy > 0.6


@in_c
def test_autoencoder(tmp_path: Path) -> None:
    given = picture(tmp_path)
    error, of_components = run("autoencoder", 20, *given)
    assert error < of_components
    assert all(Path(file).stat().st_size > 10_000 for file in given)


@in_c
def test_what_a_network_sees(tmp_path: Path) -> None:
    given = picture(tmp_path)
    before, after = run("what_a_network_sees", *given)
    assert after[0, 0] > before[0, 0] + 0.1  # the first layer learns to see edges,
    assert after[0, 0] > after[1, 0] + 0.05 > after[2, 0] + 0.1  # the later ones something else,
    assert after[2, 1] > max(before[2, 1], after[0, 1])  # which tells the classes apart
    assert all(Path(file).stat().st_size > 50_000 for file in given)


def test_no_example_is_forgotten() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [p.stem for p in EXAMPLES.glob("*.py") if f'run("{p.stem}"' not in text] == []
