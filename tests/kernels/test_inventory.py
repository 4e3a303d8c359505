"""csrc/kernels.h is the list of kernels: each has a comment, a twin and cases, and reads and writes what its prototype says."""

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microweights.kernels import header, machine, reference
from microweights.kernels.plans import OPERATIONS, WORK

from .cases import CASES, RULES, Case, cases

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


def test_the_header_is_read_as_it_stands() -> None:
    assert {name: [p.name for p in kernel.parameters] for name, kernel in header.KERNELS.items()} == prototypes(KERNELS)
    uniform = header.KERNELS["uniform"]
    assert (uniform.symbol, uniform.returns, uniform.writes, uniform.reads) == ("mw_uniform_real", "void", (0, 1), (0, 2, 3, 4))
    assert uniform.types == ("uint64_t *", "real *", "int64_t", "double", "double")
    assert header.KERNELS["gather"].symbol == "mw_gather" and header.KERNELS["widen"].writes == (1,)


def test_the_numbers_of_enums_are_those_of_the_library() -> None:
    numbers = {f"MW_{name.upper()}": n for constants in header.ENUMS.values() for name, n in constants.items()}
    assert numbers["MW_RELU"] == 1 and numbers["MW_MOST_PIECES"] == 16
    if machine.lib is not None:
        assert numbers == {name: getattr(machine.lib, name) for name in dir(machine.lib) if name in numbers}
        known = {
            e
            for name in ("activation", "schedule", "tape_op", "limits", "motion", "interpolation", "fill")
            for e in enum(f"enum mw_{name}")
        }
        assert set(numbers) == known


def enum(name: str) -> Any:
    return machine.ffi.typeof(name).relements


def test_operations_are_told_of_kernels_that_there_are() -> None:
    assert (set(OPERATIONS) | set(WORK)) <= set(header.KERNELS)


def changed(case: Case) -> set[int]:
    """The numbers of the arrays that a call has changed."""
    before = [None if a is None else a.copy() for a in case.arrays]
    case.run()
    return {i for i, a in enumerate(case.arrays) if a is not None and a.tobytes() != before[i].tobytes()}


@pytest.mark.parametrize("kernel", sorted(set(CASES) - set(RULES)))
def test_a_kernel_writes_what_is_not_const(kernel: str, setting: str) -> None:
    apart = [
        c
        for c in cases(kernel, "float32")
        if len({id(a) for a in c.arrays if a is not None}) == sum(a is not None for a in c.arrays)
    ]
    assert set().union(*map(changed, apart)) == set(header.KERNELS[kernel].writes)


@pytest.mark.parametrize("kernel", sorted(set(CASES) - set(RULES)))
def test_a_kernel_reads_what_is_const_or_inout(kernel: str, setting: str) -> None:
    """What it only writes may hold anything before."""
    only_written = set(header.KERNELS[kernel].writes) - set(header.KERNELS[kernel].reads)
    for one, other in zip(cases(kernel, "float32"), cases(kernel, "float32"), strict=True):
        if any(one.arrays[i] is a for i in only_written for j, a in enumerate(one.arrays) if i != j and a is not None):
            continue  # in place
        for i in only_written:
            if other.arrays[i] is not None:
                other.arrays[i][...] = 1
        for x, y in zip(one.run(), other.run(), strict=True):
            np.testing.assert_array_equal(x, y)
