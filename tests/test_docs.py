"""What docs/ says holds: its Python runs as it stands, and the definitions that it points to are where it says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))  # without docs/ there are none, and pytest skips
PLACE = r"`([\w./-]+\.\w+)`"


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_a_page_runs(page: Path, c_only: str, table: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        above = "\n" * text.count("\n", 0, block.start(1))  # an error then names the line of the page
        exec(compile(above + block[1], str(page), "exec"), names)
    for block in re.finditer(r"^```text\n>>> print\((.*?)\)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        printed, shown = str(eval(block[1], names)).splitlines(), block[2].splitlines()
        assert len(printed) == len(shown)
        assert [line[: len(p)] for line, p in zip(shown, printed, strict=True)] == printed  # remarks may follow


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_the_definitions_that_a_page_names_are_there(page: Path) -> None:
    found = re.findall(rf"`([^`\n]+)` in {PLACE}", page.read_text(encoding="utf-8"))
    wrong = [complaint for word, path in found if (complaint := fault(word, path))]
    assert not wrong, f"{page.name}:\n" + "\n".join(wrong)


def fault(word: str, path: str) -> str:
    """What is wrong with a reference; nothing if the file holds the word."""
    is_there = (ROOT / path).is_file() and word in (ROOT / path).read_text(encoding="utf-8")
    return "" if is_there else f"`{word}` is not in {path}"


@pytest.mark.parametrize(
    ("word", "path", "complaint"),
    [
        ("no such" + " word", "tests/test_docs.py", "is not in tests/test_docs.py"),
        ("word", "tests/missing.py", "is not in tests/missing.py"),
    ],
)
def test_a_wrong_place_is_found(word: str, path: str, complaint: str) -> None:
    assert complaint in fault(word, path)
    assert not fault("def fault", "tests/test_docs.py")


@pytest.mark.skipif(not DOCS, reason="docs/ is not there, as in an installed package")
def test_the_table_of_operations_is_up_to_date(c_only: str) -> None:
    script = ROOT / "docs" / "operations.py"
    assert script.with_suffix(".md").read_text(encoding="utf-8") == runpy.run_path(str(script))["page"](), (
        f"run python {script}"
    )
