"""Writes docs/operations.md, which file and which C functions every operation is: `python docs/operations.py`.

Nothing is told here a second time. The kernels of an operation are those that it calls on its own cases, and what runs instead
in a training is what a captured step replays.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import microweights as mw
from microweights.capture.recorder import Call, plain_name
from microweights.kernels import machine
from microweights.kernels.header import KERNELS
from microweights.ops import OPS, Case, Op

ROOT = Path(__file__).parent.parent
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "csrc").glob("*.c"))}

HEAD = """# Operations, and the C functions that they run

Made by `python docs/operations.py`. Which file has the backward of an operation, which C function runs, and which runs instead
in a training?

- An operation is a class in the file above its table; its `backward` stands under its `forward`. What checks its arguments and
  calls C is in the file of the same name in `src/microweights/kernels/`, if it calls C.
- The C function `mw_softmax_real` is there for float, as `mw_softmax_f32`, and for double. Its contract is in `csrc/kernels.h`,
  its body in the file of csrc/ above the table, or in the one in brackets. Macros make those of one line: `UNARY(exp, vexp)` in
  `csrc/elementwise.c` is `mw_exp_real`.
- Its twin in NumPy has the same name without `mw_` and `_real`, in `src/microweights/kernels/reference.py`.
- Operations without a C function only look at memory in another way, or are written in terms of others.
- *Instead* runs in what a captured step replays, such as a step of `fit`. In a `Dense` means that the operation is the
  activation of such a layer, with a loss that of the last. Besides, a bias after a matrix product joins it, and so does a relu,
  sigmoid or tanh; after a convolution a normalisation by fixed numbers and an addition of its own shape, too
  (`def with_epilogues` in `src/microweights/capture/passes.py`). Neighbouring element-wise calls go over memory once
  (`def chains` in `src/microweights/capture/passes.py`), and what nobody reads is not computed.
"""


class Listener(machine.Backend):
    """The twins, and which of them ran."""

    def __init__(self) -> None:
        super().__init__("numpy")
        self.ran: list[str] = []

    def kernel(self, name: str) -> Any:
        run = super().kernel(name)

        def note(*arguments: Any) -> Any:
            self.ran.append(plain_name(name))
            return run(*arguments)

        return note


@contextmanager
def listening() -> Iterator[list[str]]:
    before, machine.active = machine.active, Listener()
    try:
        yield machine.active.ran
    finally:
        machine.active = before


def ran_by(op: type[Op], case: Case) -> tuple[list[str], list[str]]:
    """The kernels that run forward, and backward."""
    rng = np.random.default_rng(0)
    inputs = [mw.tensor(rng.uniform(case.low, case.high, s).astype(np.float32), requires_grad=True) for s in case.shapes]
    with listening() as forward:
        z: Any = op(**case.parameters)(*inputs)
    results = z if isinstance(z, tuple) else (z,)
    dz = {id(z): mw.Tensor(np.ones(z.shape, z.dtype)) for z in results}
    with listening() as backward, mw.no_grad():
        results[0].op.gradients(results[0], dz if isinstance(z, tuple) else dz[id(z)])
    return forward, backward


def kernels_of(op: type[Op]) -> tuple[list[str], list[str]]:
    """The same over all of its cases, each once, in their order."""
    each = [ran_by(op, case) for case in op.cases]
    forward, backward = ([name for names in side for name in names] for side in zip(*each, strict=True))
    return list(dict.fromkeys(forward)), list(dict.fromkeys(backward))


def file_of(kernel: str) -> str:
    """The file of csrc/ that defines a kernel, by itself or through a macro."""
    pattern = re.compile(rf"^\w+ {KERNELS[kernel].symbol}\(|^[A-Z]+(?:_DOOR)?\({kernel}[,)]", re.MULTILINE)
    (found,) = (name for name, text in SOURCES.items() if pattern.search(text))
    return found


# ---- what runs instead ---------------------------------------------------------------------------------------------------

ACTIVATIONS = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softmax": "Softmax",
    "gelu": "Gelu",
    "softplus": "Softplus",
}
LOSSES = ("mean_squared_error", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")


def step_of(activation: str, loss: str) -> list[Call]:
    """What is replayed of a forward and backward through a layer with an activation, and a loss."""
    rng = np.random.default_rng(0)
    layer, of = mw.layers.Dense(3, activation=activation), mw.losses.get(loss)
    x, classes = mw.tensor(rng.random((5, 4), np.float32)), np.array([0, 1, 2, 1, 0])
    y = mw.tensor(classes if loss.startswith("sparse") else np.eye(3, dtype=np.float32)[classes])

    @mw.capture
    def step(x: mw.Tensor, y: mw.Tensor) -> list[mw.Tensor]:
        value = of(y, layer(x))
        return [value, *mw.grad(value, layer.trainable_weights)]

    for _ in range(4):
        step(x, y)
    return list(step.programs[0].calls)


def names(calls: Sequence[Call]) -> list[str]:
    return list(dict.fromkeys(plain_name(call.kernel) for call in calls))


def instead(activation: str, own: Sequence[str], family: str) -> str:
    """Which kernels do the work of an activation's own where it is a layer's, by the loss."""
    plain, found = names(step_of("linear", "mean_squared_error")), []
    for loss in LOSSES:
        calls = step_of(activation, loss)
        if set(own) & set(names(calls)):
            continue
        epilogues = names([c for c in calls if getattr(c.arguments[-1], "activation", 0)])
        others = [k for k in names(calls) if k not in plain and KERNELS[k].returns == "void"]
        if epilogues and loss == LOSSES[0]:
            found.append(f"in a `Dense`: {listed(epilogues, family)}")
        elif not epilogues:
            found.append(f"with `{loss}`: {listed(others, family)}")
    return "; ".join(found)


# ---- the page ------------------------------------------------------------------------------------------------------------


def listed(kernels: Sequence[str], family: str) -> str:
    """C functions, with the file where it is another than the family's."""
    return ", ".join(f"`{KERNELS[k].symbol}`" + f" ({file_of(k)})" * (file_of(k) != family) for k in kernels)


def page() -> str:
    lines, path, used = [HEAD], "", set()
    for name, op in OPS.items():
        if path != (path := Path(inspect.getfile(op)).relative_to(ROOT).as_posix()):
            family = f"{Path(path).stem}.c"
            where = f"`{path}`, `csrc/{family}`" if family in SOURCES else f"`{path}`"
            lines += [f"\n## {where}\n", "| operation | forward | backward | instead |", "|---|---|---|---|"]
        forward, backward = kernels_of(op)
        used |= {*forward, *backward}
        others = [instead(activation, forward, family) for activation, its in ACTIVATIONS.items() if its == name]
        cells = [f"`{name}`", listed(forward, family), listed(backward, family), "; ".join(others)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["\n## Kernels of no operation\n", "| file | C functions |", "|---|---|"]
    rest = {name: [k for k in KERNELS if k not in used and file_of(k) == name] for name in SOURCES}
    lines += [f"| `csrc/{name}` | {listed(kernels, name)} |" for name, kernels in rest.items() if kernels]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page(), encoding="utf-8")
