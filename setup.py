"""Builds the C library: every kernel for each element type and instruction set, side by side in one extension module.

csrc/kernels.h is the only list of kernels. From it come the declarations that cffi reads, the names of each build
(mw_exp_real is compiled as mw_exp_f32_avx512), the dispatcher that picks a build at run time, and the runners of replay.

Every csrc/*.c is compiled. One that says itself what `real` is has nothing to do with element types, and is compiled once; what
of the others is to be there once stands between `#ifdef MW_ONCE` and `#endif`. Flags that a file needs stand in a comment of
its own, as in "flags: -ffp-contract=off".
"""

from __future__ import annotations

import os
import platform
import re
import runpy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CSRC = Path("csrc")
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(CSRC.glob("*.c"))}
ONCE = {path for path, text in SOURCES.items() if "typedef double real;" in text}
header = SimpleNamespace(**runpy.run_path("src/microweights/kernels/header.py"))
KERNELS = header.kernels((CSRC / "kernels.h").read_text(encoding="utf-8"))
TYPED = sorted({name for path in CSRC.glob("*.h") for name in re.findall(r"\bmw_\w+_real\b", path.read_text(encoding="utf-8"))})
TYPES = {"f32": "float", "f64": "double"}
FLAGS = ["-O3", "-g0", "-std=gnu11", "-fno-math-errno", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra", "-Wno-psabi"]
AVX2 = ["-mavx2", "-mfma"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"]


def instruction_sets() -> dict[str, tuple[int, int, list[str]]]:
    """Name: (bytes in a vector, vector registers, compiler flags), from the plainest to the best.

    MICROWEIGHTS_BUILD=baseline builds the plainest alone, for a quick look at a change.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return {"baseline": (16, 32, [])}
    if os.environ.get("MICROWEIGHTS_BUILD") == "baseline":
        return {"baseline": (16, 16, [])}
    return {"baseline": (16, 16, []), "avx2": (32, 16, AVX2), "avx512": (64, 32, AVX512)}


def flags_of(path: Path) -> list[str]:
    """What a file asks for in a comment."""
    return [flag for flags in re.findall(r"flags:((?: -[\w=-]+)+)", SOURCES[path]) for flag in flags.split()]


def declarations(name: str) -> str:
    """A header of csrc for both element types: each prototype that names `real` is there once for float, once for double."""
    text = re.sub(r"\binout ", "", header.code((CSRC / name).read_text(encoding="utf-8")))
    statements = [s.strip() + ";" for s in re.findall(r"[^;{}]+(?:\{[^{}]*\})?[^;{}]*;", text)]
    parts = []
    for statement in statements:
        if "_real(" in statement:
            parts += [re.sub(r"\breal\b", c, statement.replace("_real(", f"_{t}(")) for t, c in TYPES.items()]
        else:
            parts.append(statement)
    return "\n".join(re.sub(r";;$", ";", part) for part in parts) + "\n"


def builds(kernel: Any) -> list[tuple[str, str]]:
    """The name of a kernel for each element type, with its parameters."""
    of_one = ", ".join(f"{p.type} {p.name}" for p in kernel.parameters)
    if not kernel.is_typed:
        return [(kernel.symbol, of_one)]
    return [(kernel.symbol.replace("_real", f"_{t}"), re.sub(r"\breal\b", c, of_one)) for t, c in TYPES.items()]


def dispatcher(text: str, isas: list[str]) -> str:
    lines = ["#include <stdint.h>", text, "extern int mw_active_isa;"]
    for kernel in KERNELS.values():
        if not kernel.is_typed:
            continue
        arguments = ", ".join(p.name for p in kernel.parameters)
        for name, parameters in builds(kernel):
            lines += [f"{kernel.returns} {name}_{isa}({parameters});" for isa in isas]
            calls = [f"return {name}_{isa}({arguments});" for isa in isas]
            cases = [f"    case {i}: {call}" for i, call in enumerate(calls) if i > 0]
            lines += [f"{kernel.returns} {name}({parameters}) {{", "    switch (mw_active_isa) {", *cases]
            lines += [f"    default: {calls[0]}", "    }", "}"]
    return "\n".join(lines) + "\n"


def runners(text: str, programs: str) -> str:
    """For each kernel the function that takes its arguments out of words, and the table of them all by name."""
    lines = ["#include <stdint.h>", "#include <string.h>", text, programs]
    table = []
    for kernel in KERNELS.values():
        if kernel.returns == "double":
            continue  # an answer that no program waits for
        kinds = ["pointer" if p.is_pointer else "number" if p.type == "double" else "integer" for p in kernel.parameters]
        for name, _ in builds(kernel):
            call = f"{name}({', '.join(f'w[{i}].{kind}' for i, kind in enumerate(kinds))})"
            body = f"return {call};" if kernel.returns == "int64_t" else f"{call}; return -1;"
            lines.append(f"static int64_t run_{name}(const mw_word *w) {{ {body} }}")
            table.append(f'    {{"{name}", run_{name}}},')
    lines += ["static const struct { const char *name; mw_runner *run; } table[] = {", *table, "};"]
    lines += ["mw_runner *mw_find_runner(const char *name) {"]
    lines += ["    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)"]
    lines += ["        if (strcmp(table[i].name, name) == 0) return table[i].run;", "    return 0;", "}"]
    return "\n".join(lines) + "\n"


class BuildKernels(build_ext):
    """Compiles the kernels once for each element type and instruction set, and links them all into the one extension."""

    def build_extension(self, ext: Extension) -> None:
        from cffi import FFI

        work = Path(self.build_temp)
        work.mkdir(parents=True, exist_ok=True)
        text, programs, isas = declarations("kernels.h"), declarations("program.h"), instruction_sets()
        ffi = FFI()
        ffi.cdef(text + programs)
        ffi.set_source(ext.name, "#include <stdint.h>\n" + text + programs)
        ffi.emit_c_code(str(work / "module.c"))
        (work / "dispatch.c").write_text(dispatcher(text, list(isas)), encoding="utf-8")
        (work / "runners.c").write_text(runners(text, programs), encoding="utf-8")

        flags = [*FLAGS, *os.environ.get("MICROWEIGHTS_CFLAGS", "").split()]
        built = [f"-DMW_BUILT_ISAS={len(isas)}"]
        jobs = [(str(path), work, [*flags, *built, *flags_of(path)]) for path in SOURCES if path in ONCE]
        jobs += [(str(work / source), work, [*flags, "-w"]) for source in ("dispatch.c", "runners.c")]
        once = ["-DMW_ONCE"]
        for element, (isa, (size, registers, extra)) in [(t, i) for t in TYPES for i in isas.items()]:
            folder = work / f"{element}_{isa}"
            folder.mkdir(exist_ok=True)
            renames = [f"#define {symbol} {symbol.replace('_real', f'_{element}_{isa}')}" for symbol in TYPED]
            (folder / "names.h").write_text("\n".join(renames) + "\n", encoding="utf-8")
            macros = [f"-DMW_DOUBLE={int(element == 'f64')}", f"-DMW_VECTOR_BYTES={size}", f"-DMW_REGISTERS={registers}"]
            arguments = [*flags, *extra, *macros, "-include", str(folder / "names.h"), *once]
            once = []
            jobs += [(str(path), folder, [*arguments, *flags_of(path)]) for path in SOURCES if path not in ONCE]

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            compiled = list(pool.map(lambda job: self.compiler.compile([job[0]], str(job[1]), extra_postargs=job[2]), jobs))
        ext.sources, ext.depends = [str(work / "module.c")], [obj for objects in compiled for obj in objects]
        ext.extra_objects = ext.depends
        ext.extra_compile_args = ["-w", "-fvisibility=hidden"]
        ext.extra_link_args = ["-pthread", *os.environ.get("MICROWEIGHTS_LDFLAGS", "").split()]
        super().build_extension(ext)


# optional: without a compiler the library installs all the same, and runs on the NumPy twins.
extension = Extension("microweights.kernels._c", [str(path) for path in SOURCES], optional=True, py_limited_api=True)
setup(
    ext_modules=[extension],
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
