"""csrc/kernels.h is the list of kernels: each has a comment, a twin in reference.py and cases in the table."""

import inspect
import re
from pathlib import Path

import pytest

from microweights.kernels import reference

from .cases import CASES

HEADER = Path(__file__).parents[2] / "csrc" / "kernels.h"
PROTOTYPE = re.compile(r"^[a-z]\w*(?: \w+)*[ *]+mw_(\w+?)(?:_real)?\(([^)]*)\);$")


def split_at_machine(header: str) -> tuple[list[str], list[str]]:
    """The lines with kernels, and those with the questions about the machine, which have no twins."""
    lines = header.splitlines()
    cut = next((i for i, line in enumerate(lines) if line.startswith("/* ---- the machine")), len(lines))
    return lines[:cut], lines[cut:]


def prototypes(lines: list[str]) -> dict[str, list[str]]:
    """Name of each kernel: names of its parameters."""
    found = [PROTOTYPE.match(line) for line in lines]
    return {m[1]: re.findall(r"(\w+)(?:\[\d*\])?(?:,|$)", m[2]) for m in found if m}


def without_comment(lines: list[str]) -> list[str]:
    """Prototypes with no comment of their own right above; a family such as cast_* may share one."""
    bare, family = [], ""
    for above, line in zip(["", *lines], lines, strict=False):
        match = PROTOTYPE.match(line)
        if match and above.endswith("*/") and not above.startswith("/* ----"):
            family = match[1].split("_")[0]
        elif match and not (PROTOTYPE.match(above) and match[1].split("_")[0] == family):
            bare.append(match[1])
    return bare


def without_twin(lines: list[str], twins: dict[str, list[str]]) -> list[str]:
    return [name for name, parameters in prototypes(lines).items() if twins.get(name) != [p for p in parameters if p != "void"]]


KERNELS, MACHINE = split_at_machine(HEADER.read_text(encoding="utf-8"))
TWINS = {name: list(inspect.signature(f).parameters) for name, f in inspect.getmembers(reference, inspect.isfunction)}


def test_no_prototype_is_overlooked() -> None:
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(prototypes(KERNELS)) + len(prototypes(MACHINE)) == len(re.findall(r"\bmw_\w+\([^)]*\);", text)) > 60


def test_every_kernel_has_a_comment() -> None:
    assert without_comment(KERNELS) == []


def test_every_kernel_has_a_twin_with_the_same_parameters() -> None:
    assert without_twin(KERNELS, TWINS) == []


def test_every_kernel_has_cases_and_every_case_a_kernel() -> None:
    assert set(prototypes(KERNELS)) == set(CASES)


COMMENTED = ["/* z = f(x) */", "void mw_f_real(const real *x, real *z, const mw_walk *walk);"]
BARE = ["", COMMENTED[1].replace("mw_f", "mw_g")]


@pytest.mark.parametrize(
    ("lines", "bare"),
    [
        (COMMENTED, []),
        (COMMENTED + BARE, ["g"]),
        (COMMENTED + BARE[1:], ["g"]),
        ([COMMENTED[0], "", COMMENTED[1]], ["f"]),
        (["/* ---- section ---- */", COMMENTED[1]], ["f"]),
        ([*COMMENTED, COMMENTED[1].replace("mw_f", "mw_f_grad")], []),
    ],
)
def test_a_missing_comment_is_noticed(lines: list[str], bare: list[str]) -> None:
    assert without_comment(lines) == bare


@pytest.mark.parametrize(
    ("twins", "missing"),
    [
        ({"f": ["x", "z", "walk"]}, []),
        ({}, ["f"]),
        ({"f": ["x", "z"]}, ["f"]),
        ({"f": ["z", "x", "walk"]}, ["f"]),
        ({"f": ["x", "y", "walk"]}, ["f"]),
    ],
)
def test_a_missing_or_different_twin_is_noticed(twins: dict[str, list[str]], missing: list[str]) -> None:
    assert without_twin(COMMENTED, twins) == missing
