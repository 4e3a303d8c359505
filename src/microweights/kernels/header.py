"""csrc/kernels.h as Python reads it: every kernel with its parameters, and the numbers of the enums.

The build, the recorder, the twins, the tests and docs/operations.py all ask here: what a prototype says is said nowhere else.
The header comes with the package, as the twins need its numbers where no C library was built: kernels.h beside this file is a
link to csrc/kernels.h.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

HEADER = Path(__file__).with_name("kernels.h")


class Parameter(NamedTuple):
    """A parameter of a kernel: of `inout uint64_t *state` the type is `uint64_t *`."""

    type: str
    name: str
    is_inout: bool

    @property
    def is_pointer(self) -> bool:
        return "*" in self.type

    @property
    def is_written(self) -> bool:
        return self.is_pointer and "const" not in self.type

    @property
    def is_read(self) -> bool:
        return self.is_inout or not self.is_written


class Kernel(NamedTuple):
    """A prototype. `mw_exp_real` is named `exp`, and typed: there is one for each element type."""

    returns: str
    name: str
    is_typed: bool
    parameters: tuple[Parameter, ...]
    writes: tuple[int, ...]  # the numbers of the parameters that it writes to
    reads: tuple[int, ...]  # and of those that it reads

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(p.type for p in self.parameters)

    @property
    def symbol(self) -> str:
        """Its name in C, for an element type yet to be said."""
        return f"mw_{self.name}{'_real' * self.is_typed}"


def code(header: str) -> str:
    """The text of a header without its comments and what is for the preprocessor."""
    return re.sub(r"^#.*\n", "", re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL), flags=re.MULTILINE)


def kernels(header: str) -> dict[str, Kernel]:
    """Every function with an argument in memory, by its name."""
    found = {}
    for returns, symbol, inside in re.findall(r"^(\w+) mw_(\w+)\(([^)]*)\);", code(header), flags=re.MULTILINE):
        if "*" not in inside:
            continue
        parameters = tuple(map(_parameter, inside.split(",")))
        writes = tuple(i for i, p in enumerate(parameters) if p.is_written)
        reads = tuple(i for i, p in enumerate(parameters) if p.is_read)
        name = symbol.removesuffix("_real")
        found[name] = Kernel(returns, name, name != symbol, parameters, writes, reads)
    return found


def _parameter(declaration: str) -> Parameter:
    *words, name = declaration.replace("*", " * ").split()
    return Parameter(" ".join(words).removeprefix("inout "), name, words[0] == "inout")


def enums(header: str) -> dict[str, dict[str, int]]:
    """The constants of each enum, `mw_activation` as `activation`: `MW_RELU` as `relu`, and its number."""
    found: dict[str, dict[str, int]] = {}
    for name, inside in re.findall(r"enum mw_(\w+) \{([^}]*)\}", code(header)):
        found[name] = {}
        for constant, number in re.findall(r"MW_(\w+)(?: = (\d+))?", inside):
            found[name][constant.lower()] = int(number) if number else len(found[name])
    return found


_text = HEADER.read_text(encoding="utf-8")
KERNELS, ENUMS = kernels(_text), enums(_text)
