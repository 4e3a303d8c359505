"""What docs/ says holds: its Python runs as it stands, and the lines that it points to are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from microweights.ops import OPS

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))  # without docs/ there are none, and pytest skips
PLACE = r"`([\w./-]+\.\w+):(\d+)`"


@pytest.fixture
def table() -> Iterator[None]:
    """Operations defined on a page leave OPS with it."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_a_page_runs(page: Path, setting: str, table: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        above = "\n" * text.count("\n", 0, block.start(1))  # an error then names the line of the page
        exec(compile(above + block[1], str(page), "exec"), names)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_the_lines_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = re.findall(rf"`([^`\n]+)` in {PLACE}", text)
    assert len(found) == len(re.findall(PLACE, text)), f"{page.name}: a place that is not written as `word` in `path:line`"
    wrong = [complaint for word, path, line in found if (complaint := fault(word, path, int(line)))]
    assert not wrong, f"{page.name}:\n" + "\n".join(wrong)


def fault(word: str, path: str, number: int) -> str:
    """What is wrong with a reference; nothing if that line of the file contains the word."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines() if (ROOT / path).is_file() else []
    if 1 <= number <= len(lines) and word in lines[number - 1]:
        return ""
    others = [i for i, line in enumerate(lines, 1) if word in line]
    return f"`{word}` is not in {path}:{number}; it is in lines {others}" if others else f"`{word}` is not in {path}"


@pytest.mark.parametrize(
    ("word", "path", "number", "complaint"),
    [
        ("def fault", "tests/test_docs.py", 1, "it is in lines"),
        ("no such" + " word", "tests/test_docs.py", 1, "is not in tests/test_docs.py"),
        ("def fault", "tests/test_docs.py", 0, "it is in lines"),
        ("word", "tests/missing.py", 1, "is not in tests/missing.py"),
    ],
)
def test_a_wrong_line_is_found(word: str, path: str, number: int, complaint: str) -> None:
    assert complaint in fault(word, path, number)
