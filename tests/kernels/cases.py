"""The table of kernel cases: for every prototype of csrc/kernels.h, calls of it on awkward sizes and strides.

`cases(kernel, dtype)` builds them, the same ones every time, so that one list can run in C and another on the twins.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microweights.kernels import door, reference
from microweights.kernels.header import KERNELS
from microweights.kernels.machine import struct

SIZES = (0, 1, 2, 15, 16, 17, 31, 33, 64, 127, 1023, 1024, 1025, 2053)
RULES = {"sgd": 1, "adam": 3, "rmsprop": 3, "adagrad": 1, "adamax": 2, "nadam": 2, "adadelta": 2, "lion": 1}


@dataclass
class Case:
    """One call of a kernel: its arrays, inputs and outputs in the order of the prototype, and what follows them."""

    kernel: str
    arrays: list[Any]
    arguments: tuple[Any, ...]

    def run(self) -> list[Any]:
        """Every array after the call, and the answer if the kernel gives one."""
        kernel = self.kernel
        if KERNELS[kernel].is_typed:
            kernel += "_f32" if self.dtype == np.float32 else "_f64"
        return [*self.arrays, door.call(kernel, self.arrays, *self.arguments)]

    @property
    def dtype(self) -> Any:
        """The type a kernel is built for: that of its last array of floats, an output or its like."""
        return next(a.dtype for a in reversed(self.arrays) if a is not None and a.dtype.kind == "f")

    def widened(self) -> Case:
        """The same call in float64."""
        wide = {id(a): a.astype("f8") if a is not None and a.dtype == np.float32 else a for a in self.arrays}
        return Case(self.kernel, [wide[id(a)] for a in self.arrays], self.arguments)


@dataclass
class RuleCase(Case):
    """One call of an update rule; `arrays` holds weights, gradient and slots of each parameter in turn."""

    slots: int = field(default=0)

    def run(self) -> list[Any]:
        each = [self.arrays[i : i + 2 + self.slots] for i in range(0, len(self.arrays), 2 + self.slots)]
        parameters = door.Parameters([e[0] for e in each], [e[2:] for e in each])
        (hyper,) = self.arguments
        hyper.step = 2
        parameters.update(self.kernel, [e[1] for e in each], hyper)
        return [*self.arrays, hyper.step]

    def widened(self) -> RuleCase:
        return RuleCase(self.kernel, [a.astype("f8") for a in self.arrays], self.arguments, self.slots)


class Maker:
    """Makes the arrays of a case; `place` decides where in memory."""

    def __init__(self, seed: int, dtype: str, place: Callable[[Any], Any]) -> None:
        self.rng, self.dtype, self.place = np.random.default_rng(seed), np.dtype(dtype), place

    def of(self, values: Any, dtype: Any = None) -> Any:
        return self.place(np.ascontiguousarray(values, dtype or self.dtype))

    def real(self, *shape: int) -> Any:
        """Numbers of both signs and many sizes."""
        return self.of(self.rng.normal(size=shape) * 2.0 ** self.rng.integers(-4, 4, shape))

    def odd(self, *shape: int) -> Any:
        """The same with what breaks formulas in between."""
        values = self.rng.normal(size=shape) * 2.0 ** self.rng.integers(-4, 4, shape)
        special = self.rng.choice([0.0, -0.0, 1, -1, 30, -30, 1e-40, 200, -200, np.inf, -np.inf, np.nan], shape)
        return self.of(np.where(self.rng.random(shape) < 0.1, special, values))

    def unit(self, *shape: int) -> Any:
        return self.of(self.rng.random(shape))

    def bools(self, *shape: int) -> Any:
        return self.of(self.rng.random(shape) < 0.5, np.uint8)

    def labels(self, n: int, classes: int) -> Any:
        return self.of(self.rng.integers(0, classes, n) if classes else np.zeros(n), np.int64)

    def garbage(self, *shape: int, dtype: Any = None) -> Any:
        """An output before the call: no kernel writes 77 by accident."""
        return self.of(np.full(shape, 77), dtype)


# ---- one generator per kind of signature ---------------------------------------------------------------------------


def elementwise(kernel: str, m: Maker, inputs: list[Callable[..., Any]], out: Any = None) -> Iterator[Case]:
    def case(z: Any, *x: Any) -> Case:
        return Case(kernel, [*x, z], (door.make_walk(kernel, z.shape, z, x),))

    for n in SIZES:
        yield case(m.garbage(n, dtype=out), *[make(n) for make in inputs])
    # every operand its own strides: reversed, transposed, every other, repeated; and an output with gaps
    views = [
        lambda make: make(3, 5, 7)[::-1, :, ::-1],
        lambda make: make(7, 5, 3).T,
        lambda make: make(5, 14)[:, ::2],
        lambda make: make(3, 1, 1),
        lambda make: make(1),
    ]
    for k in range(len(views)):
        x = [views[(k + i) % len(views)](make) for i, make in enumerate(inputs)]
        yield case(m.garbage(3, 5, 10, dtype=out)[:, :, 1:8], *x)
        yield case(m.garbage(7, 5, 3, dtype=out).T, *x)
    yield case(m.garbage(43, 51, dtype=out), *[make(51, 43).T for make in inputs])  # staged over several blocks
    if out is None and inputs[0] != m.bools:
        x = [make(1030) for make in inputs]
        yield case(x[-1], *x)  # in place


def ints(kind: str) -> Callable[[Maker], Callable[..., Any]]:
    def make(m: Maker) -> Callable[..., Any]:
        low, high = (0, 1) if kind == "bool" else (np.iinfo(kind).min, np.iinfo(kind).max)
        return lambda *shape: m.of(m.rng.integers(low, high, shape, endpoint=True), np.uint8 if kind == "bool" else kind)

    return make


def reduction(kernel: str, m: Maker, rows_only: bool = False) -> Iterator[Case]:
    index = np.int64 if kernel.startswith("arg") else None
    shapes = [(1, n, 1) for n in SIZES[1:]] + [(5, n, 1) for n in (1, 7, 33, 1025)] + [(1, 5000, 1), (0, 3, 1)]
    if not rows_only:
        shapes += [(1, 3, n) for n in SIZES] + [(4, n, 7) for n in (1, 127, 128, 129, 300)] + [(2, 257, 65)]
    if kernel == "sum":
        shapes += [(1, 0, 1), (3, 0, 1), (2, 0, 5)]
    for outer, count, inner in shapes:
        scale = 1 / count if kernel == "sum" and count % 2 else 1.0
        plan = struct("mw_reduction", outer=outer, count=count, inner=inner, scale=scale)
        yield Case(kernel, [m.real(outer, count, inner), m.garbage(outer, inner, dtype=index)], (plan,))


def gemm(kernel: str, m: Maker) -> Iterator[Case]:
    def case(a: Any, b: Any, bias: Any, c: Any, activation: int = 0) -> Case:
        def step(x: Any) -> list[int]:
            return [s // x.itemsize for s in x.strides]

        (a_batch, a_row, a_col), (b_batch, b_row, b_col), (c_batch, c_row, _) = step(a), step(b), step(c)
        plan = struct(
            "mw_gemm_plan", m=a.shape[1], n=b.shape[2], k=a.shape[2],
            a_row=a_row, a_col=a_col, b_row=b_row, b_col=b_col, c_row=c_row,
            batch=c.shape[0], a_batch=a_batch, b_batch=b_batch, c_batch=c_batch,
            activation=activation,
        )  # fmt: skip
        return Case(kernel, [a, b, bias, c], (plan,))

    sizes = [
        (1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 9, 300), (1, 300, 9), (5, 1, 7), (6, 16, 16), (7, 17, 3),
        (13, 31, 33), (14, 32, 64), (15, 33, 65), (29, 47, 257), (33, 10, 513), (64, 130, 40), (130, 129, 31),
        (17, 3, 131), (40, 20, 300), (1, 20, 600), (1, 20, 2100), (37, 1, 20), (37, 1, 29), (32, 1, 20),
        (32, 1, 29), (32, 1, 300), (20, 2, 131), (20, 4, 131), (20, 6, 131), (20, 7, 131), (20, 11, 131),
        (1, 3, 603), (1, 13, 603), (20, 5, 131), (20, 9, 131), (18, 12, 133),
    ]  # fmt: skip
    for i, (rows, n, k) in enumerate(sizes):
        for layout in range(4):  # each of A and B as it is, or transposed
            a = m.real(1, k, rows).swapaxes(1, 2) if layout & 1 else m.real(1, rows, k)
            b = m.real(1, n, k).swapaxes(1, 2) if layout & 2 else m.real(1, k, n)
            bias = m.real(n) if (i + layout) % 2 else None
            yield case(a, b, bias, m.garbage(1, rows, n), activation=(i + layout) % 4)
    yield case(m.real(3, 5, 7), m.real(3, 7, 19), m.real(19), m.garbage(3, 5, 19), activation=1)
    yield case(m.real(3, 5, 7), np.broadcast_to(m.real(7, 19), (3, 7, 19)), None, m.garbage(3, 5, 19))
    a, b = m.real(2, 10, 14)[:, ::2, ::-2], m.real(2, 7, 40)[::-1, ::-1, ::2]
    yield case(a, b, None, m.garbage(2, 5, 26)[:, :, 3:23])
    yield case(m.real(1, 20, 1024)[:, :, :300], m.real(1, 300, 140), None, m.garbage(1, 20, 140))  # rows a page apart
    # more of B than fits the cache
    yield case(m.real(1, 131, 290), m.real(1, 290, 530), m.real(530), m.garbage(1, 131, 530), activation=2)
    yield case(m.real(1, 131, 290), m.real(1, 530, 290).swapaxes(1, 2), None, m.garbage(1, 131, 530))


def dense_grad(kernel: str, m: Maker) -> Iterator[Case]:
    for i, (rows, inputs, units) in enumerate([(1, 1, 1), (0, 3, 2), (3, 0, 2), (5, 3, 17), (32, 64, 10), (33, 7, 40)]):
        for activation in range(4):
            dz, z, x, w = m.real(rows, units), m.unit(rows, units), m.real(rows, inputs), m.real(inputs, units)
            outputs = [m.garbage(rows, units), m.garbage(rows, inputs), m.garbage(inputs, units), m.garbage(units)]
            if not activation:
                z = outputs[0] = None
            if rows and activation == i % 4:
                outputs[1 + i % 3] = None  # one that is not needed
            plan = struct("mw_dense", rows=rows, inputs=inputs, units=units, activation=activation)
            yield Case(kernel, [dz, z, x, w, *outputs], (plan,))


# images, input, channels, kernel, filters, stride, dilation, before, groups; as many zeros behind the images as before
CONVOLUTIONS: list[tuple[int, Any, int, Any, int, Any, Any, Any, int]] = [
    (1, (1, 1, 1), 1, (1, 1, 1), 1, (1, 1, 1), (1, 1, 1), (0, 0, 0), 1),
    (0, (1, 3, 3), 2, (1, 2, 2), 3, (1, 1, 1), (1, 1, 1), (0, 0, 0), 1),
    (2, (1, 5, 6), 0, (1, 2, 2), 3, (1, 1, 1), (1, 1, 1), (0, 1, 0), 1),
    (3, (1, 9, 17), 1, (1, 3, 3), 32, (1, 1, 1), (1, 1, 1), (0, 0, 0), 1),
    (2, (1, 8, 13), 15, (1, 3, 3), 17, (1, 1, 1), (1, 1, 1), (0, 1, 1), 1),
    (2, (1, 7, 15), 3, (1, 5, 5), 6, (1, 2, 2), (1, 1, 1), (0, 2, 2), 1),
    (1, (1, 9, 11), 16, (1, 3, 2), 33, (1, 2, 3), (1, 2, 1), (0, 2, 0), 1),
    (2, (1, 6, 31), 4, (1, 2, 3), 40, (1, 1, 2), (1, 1, 3), (0, 0, 3), 1),
    (1, (1, 1, 40), 7, (1, 1, 4), 16, (1, 1, 1), (1, 1, 2), (0, 0, 6), 1),
    (2, (3, 4, 5), 5, (2, 3, 2), 18, (1, 2, 1), (2, 1, 1), (1, 1, 1), 1),
    (2, (1, 6, 7), 12, (1, 3, 3), 20, (1, 1, 1), (1, 1, 1), (0, 1, 1), 4),
    (2, (1, 6, 19), 17, (1, 3, 3), 17, (1, 1, 1), (1, 1, 1), (0, 1, 1), 17),
    (1, (1, 7, 9), 33, (1, 3, 3), 66, (1, 2, 2), (1, 1, 1), (0, 1, 1), 33),
    (1, (1, 9, 9), 16, (1, 3, 3), 16, (1, 1, 1), (1, 2, 2), (0, 2, 2), 16),
    (3, (1, 4, 4), 5, (1, 4, 4), 9, (1, 1, 1), (1, 1, 1), (0, 0, 0), 1),  # the kernel sees all
    (2, (1, 5, 5), 20, (1, 1, 1), 30, (1, 1, 1), (1, 1, 1), (0, 0, 0), 1),  # one position
    (2, (1, 9, 9), 20, (1, 1, 1), 30, (1, 4, 3), (1, 1, 1), (0, 0, 0), 1),  # some are seen by nobody
    (1, (1, 3, 5), 300, (1, 3, 3), 70, (1, 1, 1), (1, 1, 1), (0, 1, 1), 1),  # several blocks of weights
]  # fmt: skip


def convolution(kernel: str, m: Maker) -> Iterator[Case]:
    for i, (images, size, channels, taps, filters, stride, dilation, before, groups) in enumerate(CONVOLUTIONS):
        axes = zip(size, taps, stride, dilation, before, strict=True)
        output = tuple((n + 2 * b - (k - 1) * d - 1) // s + 1 for n, k, s, d, b in axes)
        plan = struct(
            "mw_conv", images=images, channels=channels, filters=filters, groups=groups, input=size, kernel=taps,
            output=output, stride=stride, dilation=dilation, before=before,
            activation=0 if kernel == "conv_weight_grad" else i % 4,
        )  # fmt: skip
        x, w, z = (images, *size, channels), (*taps, channels // groups, filters), (images, *output, filters)
        if kernel == "conv_weight_grad":
            yield Case(kernel, [m.real(*x), m.real(*z), m.garbage(*w)], (plan,))
        elif kernel == "conv":
            for follows in (False, True):
                row = lambda make=m.real: make(filters)  # noqa: E731, B023
                plan.epsilon = 0.01
                norm = [row(), row(m.unit), row() if i % 2 else None] if follows and i % 5 else [None] * 3
                added = m.real(*z) if follows and (i % 4 or not i % 5) else None
                yield Case(kernel, [m.real(*x), m.real(*w), *norm, row() if i % 3 else None, added, m.garbage(*z)], (plan,))
        else:
            yield Case(kernel, [m.real(*z), m.real(*w), m.real(channels) if i % 3 else None, m.garbage(*x)], (plan,))


# images, input, channels, window, stride, before; as many beyond the images' end
POOLS: list[tuple[int, Any, int, Any, Any, Any]] = [
    (1, (1, 1, 1), 1, (1, 1, 1), (1, 1, 1), (0, 0, 0)),
    (0, (1, 2, 2), 1, (1, 2, 2), (1, 2, 2), (0, 0, 0)),
    (2, (1, 4, 6), 32, (1, 2, 2), (1, 2, 2), (0, 0, 0)),
    (3, (1, 7, 5), 17, (1, 3, 3), (1, 2, 1), (0, 1, 1)),
    (2, (1, 9, 8), 3, (1, 2, 3), (1, 3, 4), (0, 0, 0)),
    (1, (1, 1, 31), 6, (1, 1, 4), (1, 1, 1), (0, 0, 2)),
    (2, (3, 5, 4), 16, (2, 3, 2), (1, 2, 2), (1, 0, 0)),
    (1, (1, 3, 3), 0, (1, 2, 2), (1, 1, 1), (0, 0, 0)),
]  # fmt: skip


def pooling(kernel: str, m: Maker) -> Iterator[Case]:
    for images, size, channels, window, stride, before in POOLS:
        axes = zip(size, window, stride, before, strict=True)
        output = tuple((n + 2 * b - k) // s + 1 for n, k, s, b in axes)
        geometry = {"input": size, "window": window, "output": output, "stride": stride, "before": before}
        plan = struct("mw_pool", images=images, channels=channels, **geometry, sums=channels % 2)
        shape, pooled = (images, *size, channels), (images, *output, channels)
        x, z = m.of(np.round(m.rng.normal(size=shape))), m.garbage(*pooled)  # with many that are as large as the largest
        if x.size > 9:
            x.flat[[2, 7, 8]] = [np.nan, np.inf, -np.inf]
        if kernel in ("max_pool", "average_pool"):
            yield Case(kernel, [x, z], (plan,))
        elif kernel == "average_pool_grad":
            yield Case(kernel, [m.real(*pooled), m.garbage(*shape)], (plan,))
        else:
            reference.max_pool(x, z, plan)
            given, out = (pooled, shape) if kernel == "max_pool_grad" else (shape, pooled)
            yield Case(kernel, [m.real(*given), x, z, m.garbage(*out)], (plan,))


# What the arguments are: x matrices, r rows, v rows of variances, ? rows that may be missing; X and R what is computed.
NORMS = {
    "moments": "xRR", "normalize": "xrv??X", "normalize_sums": "xxrvRR", "normalize_grad": "xxrv?rrX", "row_norm": "x??X",
    "row_norm_grad": "xx?XRR",
}  # fmt: skip


def normalisation(kernel: str, m: Maker) -> Iterator[Case]:
    for i, (n, columns) in enumerate([(0, 3), (1, 1), (4, 1), (2, 17), (300, 5), (257, 16), (1000, 33), (3, 300)]):
        for is_given in (True, False):
            plan = struct("mw_norm", rows=n, columns=columns, epsilon=1e-3, centered=i % 2, activation=i % 4)
            makers = {"x": (m.real, n, columns), "r": (m.real, columns), "v": (m.unit, columns), "?": (m.real, columns),
                      "X": (m.garbage, n, columns), "R": (m.garbage, columns)}  # fmt: skip
            arrays = [makers[kind][0](*makers[kind][1:]) if kind != "?" or is_given else None for kind in NORMS[kernel]]
            yield Case(kernel, arrays, (plan,))


def blend(kernel: str, m: Maker) -> Iterator[Case]:
    for n in SIZES:
        yield Case(kernel, [m.real(n), m.real(n)], (n, 0.99))


def warping(kernel: str, m: Maker) -> Iterator[Case]:
    for i, (images, size, out, channels) in enumerate([
        (1, (1, 1), (1, 1), 1), (0, (3, 3), (3, 3), 2), (3, (5, 4), (5, 4), 3), (2, (6, 7), (4, 3), 1), (2, (3, 3), (5, 6), 17),
    ]):  # fmt: skip
        for fill in range(4):
            fields = {"images": images, "channels": channels, "input": size, "output": out}
            plan = struct("mw_warp", **fields, interpolation=(i + fill) % 2, fill=fill, fill_value=1.5)
            motion = m.real(images, 5) * m.dtype.type(1.7)
            if images > 2:
                motion[0, 0], motion[1, 1] = np.nan, np.inf
            shapes = [(images, *size, channels), (images, *out, channels)][:: 1 if kernel == "warp" else -1]
            yield Case(kernel, [m.real(*shapes[0]), m.of(motion), m.garbage(*shapes[1])], (plan,))


ROWS = [(0, 3), (1, 1), (3, 0), (4, 2), (5, 10), (3, 15), (3, 16), (3, 17), (2, 33), (7, 100), (2, 1025)]


def rows(kernel: str, m: Maker, inputs: int) -> Iterator[Case]:
    """Softmax and its like; the second input of a gradient is an output: a probability or its logarithm."""
    for n, columns in ROWS:
        plan = struct("mw_rows", rows=n, columns=columns, dz_stride=0, scale=1.0)
        x = [m.real(n, columns) for _ in range(inputs)]
        if inputs == 2:
            x[1][...] = m.unit(n, columns) if kernel == "softmax_grad" else np.log(m.unit(n, columns))
        yield Case(kernel, [*x, m.garbage(n, columns)], (plan,))
        if inputs == 1:
            x = m.real(n, columns)
            yield Case(kernel, [x, x], (plan,))  # in place


def loss_rows(kernel: str, m: Maker, sparse: bool, grad: bool) -> Iterator[Case]:
    for n, columns in ROWS:
        if columns == 0:
            continue
        for option in (0, 1):  # of a gradient: a dz for each row; of a loss: their mean as well
            plan = struct("mw_rows", rows=n, columns=columns, dz_stride=option, scale=0.25 if option else 1.0)
            target = m.labels(n, columns) if sparse else m.unit(n, columns)
            if sparse and n > 3:
                target[1], target[2] = -1, columns
            x = m.real(n, columns)
            if grad:
                yield Case(kernel, [m.real(n if option else 1), x, target, m.garbage(n, columns)], (plan,))
            else:
                yield Case(kernel, [x, target, m.garbage(n), m.garbage() if option else None], (plan,))


def flat_index(kernel: str, m: Maker) -> Iterator[Case]:
    for n in SIZES:
        index = m.of(m.rng.integers(-7, 7, n), np.int64)
        yield Case(kernel, [None, index, m.garbage(n, dtype=np.int64)], (n, 7))
        yield Case(kernel, [m.labels(n, 5), index, m.garbage(n, dtype=np.int64)], (n, 7))
        flat = m.labels(n, 5)
        yield Case(kernel, [flat, index, flat], (n, 7))


def gather(kernel: str, m: Maker) -> Iterator[Case]:
    for n, size, source in [(0, 4, 3), (1, 4, 1), (7, 1, 3), (33, 17, 5), (5, 4096, 9), (3, 0, 2)]:
        table, index = ints("uint8")(m)(source, size), m.labels(n, source)
        plan = struct("mw_indexing", rows=n, row_size=size, source_rows=source)
        yield Case(kernel, [table, index, m.garbage(n, size, dtype=np.uint8)], (plan,))


def widen(kernel: str, m: Maker) -> Iterator[Case]:
    for kind in ("int8", "int16", "int32", "uint8", "uint16", "uint32"):
        for n in SIZES:
            bytes_of = m.of(ints(kind)(m)(n).view(np.uint8), np.uint8)
            yield Case(kernel, [bytes_of, m.garbage(n, dtype=np.int64)], (n, np.dtype(kind).itemsize, int(kind[0] == "i")))


def scatter_add(kernel: str, m: Maker) -> Iterator[Case]:
    for n, size, source in [(0, 4, 3), (1, 4, 1), (7, 1, 3), (40, 17, 5), (5, 300, 9), (3, 0, 2)]:
        plan = struct("mw_indexing", rows=n, row_size=size, source_rows=source)
        yield Case(kernel, [m.real(n, size), m.labels(n, source), m.real(source, size)], (plan,))


HYPER: dict[str, Any] = {
    "learning_rate": 0.01, "momentum": 0.0, "nesterov": 0.0, "beta_1": 0.9, "beta_2": 0.999, "rho": 0.9,
    "epsilon": 1e-7, "centered": 0.0, "amsgrad": 0.0, "momentum_product": 0.7, "l1": 0.0, "l2": 0.0, "weight_decay": 0.0,
    "step": 0.0,
    "schedule": 0.0, "first_rate": 0.001, "warmup_steps": 3.0, "peak_rate": 0.02, "decay_steps": 4.0, "final_rate": 0.5,
    "staircase": 0.0, "power": 1.0, "cycle": 0.0, "t_mul": 2.0, "m_mul": 0.5, "pieces": 2.0,
    "boundary": [1.0, 2.0, *[0.0] * 14], "value": [0.3, 0.2, 0.1, *[0.0] * 14],
}  # fmt: skip


def hyper(**changes: float) -> Any:
    return struct("mw_hyper", **{**HYPER, **changes})


def rule(kernel: str, m: Maker) -> Iterator[Case]:
    kinds: list[dict[str, float]] = [{}, {"momentum": 0.9}, {"l1": 0.03, "l2": 0.02}, {"weight_decay": 0.1}]
    kinds += [{"momentum": 0.9, "nesterov": 1}, {"centered": 1}, {"centered": 1, "momentum": 0.9}, {"amsgrad": 1}]
    kinds += [{"schedule": kind, "warmup_steps": rise} for kind in range(1, 8) for rise in (0.0, 3.0)]
    for kind in kinds:
        arrays = []
        for n in (1, 0, 15, 16, 17, 33, 1025):
            second = [m.unit(n) for _ in range(RULES[kernel])]
            if kind.get("centered"):
                second[0][...] += 1  # a mean of squares is more than a square of the mean
            arrays += [m.real(n), m.real(n), *second]
        yield RuleCase(kernel, arrays, (hyper(**kind),), RULES[kernel])


def random(kernel: str, m: Maker, a: float, b: float) -> Iterator[Case]:
    for n in SIZES:
        for counter in (0, 5, 2**32 - 3, 2**64 - 2):
            state = m.of(np.array([0x0123456789ABCDEF, counter], np.uint64), np.uint64)
            yield Case(kernel, [state, m.garbage(n)], (n, a, b))


def first_nonfinite(kernel: str, m: Maker) -> Iterator[Case]:
    for n in SIZES:
        for i, bad in [(None, 0), (0, np.nan), (n // 2, np.inf), (n - 1, -np.inf)]:
            x = m.real(n)
            if n and i is not None:
                x[i] = bad
            yield Case(kernel, [x], (n,))


def first_bad_label(kernel: str, m: Maker) -> Iterator[Case]:
    for n in SIZES:
        for i, bad in [(None, 0), (0, -1), (n // 2, 10), (n - 1, -(2**63))]:
            label = m.labels(n, 10)
            if n and i is not None:
                label[i] = bad
            yield Case(kernel, [label], (n, 10))


def weighted_sum(kernel: str, m: Maker) -> Iterator[Case]:
    for n in SIZES:
        yield Case(kernel, [m.of(m.real(n), "f8"), m.of(m.real(n), "f8")], (n, 0.5))


def cast(kernel: str, m: Maker) -> Iterator[Case]:
    kind = kernel.removeprefix("cast_")
    make = ints(kind)(m) if kind[0] in "uib" else lambda *shape: m.of(m.odd(*shape), kind)
    for n in SIZES:
        yield Case(kernel, [make(n), z := m.garbage(n)], (door.make_walk(kernel, z.shape, z, [z]),))
    x, z = make(7, 5, 3).T, m.garbage(3, 5, 10)[:, :, 1:8]
    yield Case(kernel, [x, z], (door.make_walk(kernel, z.shape, z, [x]),))


def tape(kernel: str, m: Maker) -> Iterator[Case]:
    arity = [0, 2, 2, 2, 1, 1, 1, 1, 1, 1]  # of enum mw_tape_op, but for the weighted sum
    for n in (1, 2, 3, 17, 60):
        op = m.rng.integers(0, 11, n)
        op[0] = 0
        counts = [2 * int(m.rng.integers(0, 5)) + 1 if k == 10 else arity[k] for k in op]
        operand = [int(j) for i, count in enumerate(counts) for j in m.rng.integers(0, max(i, 1), count)]
        first = m.of(np.cumsum([0, *counts]), np.int64)
        value = np.array(m.rng.uniform(0.5, 1.5, n))  # where logarithms and powers are at home
        arrays = [m.of(op, np.int32), first, m.of(operand, np.int32), m.of(m.rng.choice([0, 1, 2, 0.5, -1.5], n), "f8")]
        arrays.append(m.of(value, "f8"))
        yield Case(kernel, [*arrays, m.garbage(n, dtype="f8")] if kernel == "tape_backward" else arrays, (n,))


def tape_update(kernel: str, m: Maker) -> Iterator[Case]:
    for n in (0, 1, 15, 17):
        weight = m.of(m.rng.permutation(40)[:n], np.int32)
        yield Case(kernel, [weight, m.of(m.rng.normal(size=40), "f8"), m.of(m.rng.normal(size=40), "f8")], (n, 0.1, 0.01))


# ---- the table -----------------------------------------------------------------------------------------------------

Cases = Callable[[str, Maker], Iterator[Case]]
CASES: dict[str, Cases] = {"gemm": gemm, "dense_grad": dense_grad}
CASES |= dict.fromkeys(["conv", "conv_transpose", "conv_weight_grad"], convolution)
CASES |= dict.fromkeys(["max_pool", "max_pool_grad", "max_pool_pick", "average_pool", "average_pool_grad"], pooling)
CASES |= {**dict.fromkeys(NORMS, normalisation), "blend": blend}
CASES |= dict.fromkeys(["warp", "warp_grad"], warping)
UNARY = [
    "copy", "negative", "absolute", "sign", "square", "sqrt", "exp", "expm1", "log",
    "relu", "sigmoid", "tanh", "erf", "gelu", "softplus",
]  # fmt: skip
ARITHMETIC = ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "squared_error", "soft_threshold"]
COMPARE = ["less", "less_equal", "equal", "not_equal"]
CASTS = [f"cast_{kind}" for kind in ("bool", *map(str, door.INTEGERS), "float32", "float64")]
ACTIVATION_GRADS = ["relu_grad", "sigmoid_grad", "tanh_grad", "gelu_grad"]
CASES |= dict.fromkeys(UNARY, lambda kernel, m: elementwise(kernel, m, [m.odd]))
CASES |= dict.fromkeys(ARITHMETIC, lambda kernel, m: elementwise(kernel, m, [m.odd, m.odd]))
CASES |= dict.fromkeys(COMPARE, lambda kernel, m: elementwise(kernel, m, [m.odd, m.odd], np.uint8))
CASES |= dict.fromkeys(ACTIVATION_GRADS, lambda kernel, m: elementwise(kernel, m, [m.real, m.odd]))
CASES |= dict.fromkeys(RULES, rule)
CASES |= {
    "binary_cross_entropy": lambda kernel, m: elementwise(kernel, m, [m.odd, m.unit]),
    "squared_error_grad": lambda kernel, m: elementwise(kernel, m, [m.odd, m.odd, m.odd]),
    "binary_cross_entropy_grad": lambda kernel, m: elementwise(kernel, m, [m.real, m.odd, m.unit]),
    "where": lambda kernel, m: elementwise(kernel, m, [m.bools, m.odd, m.odd]),
    **dict.fromkeys(CASTS, cast),
    "sum": reduction,
    "max": reduction,
    "min": reduction,
    "argmax": lambda kernel, m: reduction(kernel, m, rows_only=True),
    "argmin": lambda kernel, m: reduction(kernel, m, rows_only=True),
    "softmax": lambda kernel, m: rows(kernel, m, 1),
    "log_softmax": lambda kernel, m: rows(kernel, m, 1),
    "softmax_grad": lambda kernel, m: rows(kernel, m, 2),
    "log_softmax_grad": lambda kernel, m: rows(kernel, m, 2),
    "sparse_cross_entropy": lambda kernel, m: loss_rows(kernel, m, sparse=True, grad=False),
    "sparse_cross_entropy_grad": lambda kernel, m: loss_rows(kernel, m, sparse=True, grad=True),
    "cross_entropy": lambda kernel, m: loss_rows(kernel, m, sparse=False, grad=False),
    "cross_entropy_grad": lambda kernel, m: loss_rows(kernel, m, sparse=False, grad=True),
    "flat_index": flat_index,
    "gather": gather,
    "widen": widen,
    "scatter_add": scatter_add,
    "uniform": lambda kernel, m: random(kernel, m, 0.0, 1.0),
    "normal": lambda kernel, m: random(kernel, m, -1.0, 2.0),
    "bernoulli": lambda kernel, m: random(kernel, m, 0.3, 2.5),
    "first_nonfinite": first_nonfinite,
    "first_bad_label": first_bad_label,
    "weighted_sum": weighted_sum,
    "tape_forward": tape,
    "tape_backward": tape,
    "tape_update": tape_update,
}


def cases(kernel: str, dtype: str, place: Callable[[Any], Any] = np.array) -> list[Case]:
    """All cases of a kernel in one type, the same at every call."""
    return list(CASES[kernel](kernel, Maker(zlib.crc32(kernel.encode()), dtype, place)))


# ---- how near to its twin a kernel comes ---------------------------------------------------------------------------

# Bit for bit, in the same type.
EXACT = {
    "copy", "negative", "absolute", "sign", "square", "sqrt", "relu", "add", "subtract", "multiply", "divide", "maximum",
    "minimum", "soft_threshold", *COMPARE, "where", *CASTS, "relu_grad", "max", "min", "argmax", "argmin", "flat_index",
    "gather", "widen", "scatter_add", "uniform", "bernoulli", "first_nonfinite", "first_bad_label", "max_pool", "max_pool_pick",
}  # fmt: skip

# How far results may lie from a twin computed in float64, as (relative, absolute) in machine epsilons. Of kernels that add
# terms of both signs, the absolute part grows with the largest number that goes in.
TOLERANCE = {
    **dict.fromkeys(["power", "gelu", "gelu_grad", "softplus", "sigmoid_grad", "tanh_grad"], (8, 4)),
    **dict.fromkeys(["softmax", "normal"], (16, 4)),
}
OF_TERMS = {
    **dict.fromkeys(["dense_grad", "conv", "conv_transpose", "conv_weight_grad"], (64, 64)),
    **dict.fromkeys(["tape_forward", "tape_backward"], (64, 64)),
    "tape_update": (4, 4),
    **dict.fromkeys(NORMS, (64, 256)),
    "blend": (4, 4),
    **dict.fromkeys(["warp", "warp_grad"], (64, 64)),
    **dict.fromkeys(["max_pool_grad", "average_pool", "average_pool_grad"], (4, 16)),
    "gemm": (0, 200),  # tests of its own bound it tightly
    **dict.fromkeys(["binary_cross_entropy", "binary_cross_entropy_grad", "squared_error", "squared_error_grad"], (4, 2)),
    **dict.fromkeys(["sum", "weighted_sum", "log_softmax", "sparse_cross_entropy", "sparse_cross_entropy_grad"], (4, 16)),
    **dict.fromkeys(["softmax_grad", "log_softmax_grad", "cross_entropy", "cross_entropy_grad"], (4, 64)),
    **dict.fromkeys(RULES, (8, 4)),
}
