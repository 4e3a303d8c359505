"""docs/adding-a-kernel.md holds: what it adds to a copy of the tree is all that a kernel needs to run and to be captured."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "adding-a-kernel.md"
PARTS = ("csrc", "src", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE")
BLOCK = re.compile(r"^After `([^`\n]+)` in `([^`\n]+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMPILER = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]


def added(page: str) -> list[tuple[str, str, str]]:
    """(line to put it after, file, text) of each block."""
    return BLOCK.findall(page)


def put(text: str, after: str, block: str) -> str:
    """A file with a block after the first line that holds some words."""
    lines = text.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if after in line)
    return "".join([*lines[: at + 1], block, *lines[at + 1 :]])


def run(tree: Path, *command: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("MICROWEIGHTS_BACKEND", "MICROWEIGHTS_ISA")}
    quick = {"MICROWEIGHTS_BUILD": "baseline", "MICROWEIGHTS_CFLAGS": "-O0", "PYTHONPATH": str(tree / "src")}
    done = subprocess.run([sys.executable, *command], cwd=tree, env=kept | quick, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def check(tree: Path) -> None:
    """The tests that a new kernel and a new operation must pass."""
    tests = [
        f"tests/{name}.py"
        for name in ("kernels/test_inventory", "kernels/test_reference", "ops/test_ops", "capture/test_replay")
    ]
    run(tree, "-m", "pytest", "-p", "no:cacheprovider", *tests, "-k", "softmin or every_operation or (inventory and every)")


@pytest.mark.skipif(not PAGE.is_file(), reason="docs/ is not there, as in an installed package")
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"there is no compiler {COMPILER!r} to build the copy with")
def test_a_kernel_has_the_places_that_the_page_lists(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    blocks = added(page)
    listed = re.findall(r"^\| \d \| `([^`]+)` \|", page, re.MULTILINE)
    assert listed == list(dict.fromkeys(path for _, path, _ in blocks))

    for part in PARTS:
        source, ignored = ROOT / part, shutil.ignore_patterns("_c.*", "__pycache__")
        if source.is_dir():
            shutil.copytree(source, tmp_path / part, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, tmp_path / part)
    for after, path, block in blocks:
        file = tmp_path / path
        file.write_text(put(file.read_text(encoding="utf-8"), after, block), encoding="utf-8")

    run(tmp_path, "setup.py", "-q", "build_ext", "--inplace")
    assert list((tmp_path / "src/microweights/kernels").glob("_c.*"))
    check(tmp_path)
    script = (
        "import microweights as mw\n"
        "from microweights.kernels import machine\n"
        "from microweights.ops import OPS\n"
        "assert machine.backend() == 'c'\n"
        "captured = mw.capture(lambda x: OPS['Softmin']()(x), check=True)\n"
        "x = mw.tensor([[1.0, 2.0, 3.0], [0.0, 5.0, 0.0]])\n"
        "results = [captured(x).numpy() for _ in range(4)]\n"
        "assert [call.kernel for call in captured.programs[0].calls] == ['softmin_f32']\n"
        "machine.set_backend('numpy')\n"
        "assert abs(results[3] - OPS['Softmin']()(x).numpy()).max() < 1e-6\n"
    )
    run(tmp_path, "-c", script)


def test_a_block_is_found_and_put() -> None:
    assert added("After `b` in `f.py`:\n\n```py\nnew\n```\n") == [("b", "f.py", "new\n")]
    assert put("a\nb\nc\n", "b", "new\n") == "a\nb\nnew\nc\n"
    with pytest.raises(StopIteration):
        put("a\nc\n", "b", "new\n")
