"""Cases: whole training steps of networks, as their own experts would write them in each library.

A contender whose loss after five steps is off by more than a thousandth makes its row void.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import microweights as mw

from .. import ops
from ..tensor import Array
from .arrays import cross_entropy
from .race import BLOCK, Call, Case, Race, blocks, import_jax, import_torch
from .update import RULES, Rule, torch_optimizers, update_operations

# ---- fully connected networks: x, labels or targets, weights and biases in turn -----------------------------------------


def step_by_hand(x: Array, y: Array, weights: list[Array], rule: Rule) -> Callable[[], float]:
    """A step of a ReLU network in NumPy, with labels and cross-entropy or numbers and squared error.

    Weights are in one array, gradients in another, and all memory is allocated before.
    """
    flat = np.concatenate([w.reshape(-1) for w in weights])
    gradient = np.empty_like(flat)
    ends = np.cumsum([w.size for w in weights])[:-1]
    views, gradients = (
        [part.reshape(w.shape) for part, w in zip(np.split(a, ends), weights, strict=True)] for a in (flat, gradient)
    )
    ws, bs, dws, dbs = views[::2], views[1::2], gradients[::2], gradients[1::2]
    outputs = [np.empty((len(x), b.size), x.dtype) for b in bs]
    deltas, masks = [np.empty_like(z) for z in outputs], [np.empty(z.shape, bool) for z in outputs]
    rows, last = np.arange(len(x)), len(ws) - 1
    parts = blocks([flat, gradient, *(np.full_like(flat, s) for s in rule.slots)], BLOCK)
    t = 0

    def run() -> float:
        nonlocal t
        a = x
        for i, z in enumerate(outputs):
            np.matmul(a, ws[i], out=z)
            z += bs[i]
            if i < last:
                np.maximum(z, 0, out=z)
            a = z
        if y.dtype == np.int64:
            loss = cross_entropy(deltas[last], a, rows, y)
        else:
            d = np.subtract(a, y, out=deltas[last])
            loss = float(np.vdot(d, d)) / d.size
            d *= 2 / d.size
        for i in range(last, -1, -1):
            np.matmul((outputs[i - 1] if i else x).T, deltas[i], out=dws[i])
            deltas[i].sum(axis=0, out=dbs[i])
            if i:
                np.matmul(deltas[i], ws[i].T, out=deltas[i - 1])
                np.greater(outputs[i - 1], 0, out=masks[i - 1])
                deltas[i - 1] *= masks[i - 1]
        t += 1
        for part in parts:
            rule.by_hand(t, *part)
        return loss

    return run


def our_step(x: Array, y: Array, weights: list[Array], rule: Rule) -> Callable[[mw.Tensor, mw.Tensor], mw.Tensor]:
    *hidden, outputs = [w.shape[1] for w in weights[::2]]
    layers = [mw.layers.Dense(n, activation="relu") for n in hidden]
    model = mw.Sequential([mw.Input((x.shape[1],)), *layers, mw.layers.Dense(outputs)])
    model.set_weights(weights)
    classifies = y.dtype == np.int64
    loss_of = mw.losses.SparseCategoricalCrossentropy(from_logits=True) if classifies else mw.losses.MeanSquaredError()
    optimizer, variables = rule.ours(), model.trainable_variables

    def step(x: mw.Tensor, y: mw.Tensor) -> mw.Tensor:
        loss = loss_of(y, model(x, training=True))
        optimizer.apply(mw.grad(loss, variables), variables)
        return loss

    return step


def our_calls(make: Callable[[], Callable[..., mw.Tensor]], *arrays: Array) -> dict[str, Call]:
    """A step eagerly, and captured; both return its loss."""
    tensors = [mw.tensor(a) for a in arrays]
    eager, replayed = make(), mw.capture(make())
    return {"replayed": lambda: float(replayed(*tensors).item()), "eager": lambda: float(eager(*tensors).item())}


def torch_steps(x: Array, y: Array, weights: list[Array], rule: str) -> dict[str, Call]:
    torch = import_torch(records_gradients=True)
    if torch is None:
        return {}
    inputs, targets, F = torch.from_numpy(x), torch.from_numpy(y), torch.nn.functional
    loss_of = F.cross_entropy if y.dtype == np.int64 else F.mse_loss

    def parameters() -> list[Any]:  # as torch holds them: (outputs, inputs)
        return [torch.from_numpy(np.ascontiguousarray(w.T)).clone().requires_grad_() for w in weights]

    def forward(a: Any, targets: Any, own: list[Any]) -> Any:
        for i in range(0, len(own), 2):
            a = F.linear(a, own[i], own[i + 1])
            if i < len(own) - 2:
                a = torch.relu(a)
        return loss_of(a, targets)

    def run(optimizer: Any, own: list[Any], loss_of: Callable[..., Any]) -> float:
        loss = loss_of(inputs, targets, own)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    calls: dict[str, Call] = {
        variant: partial(run, *made, forward) for variant, made in torch_optimizers(torch, rule, parameters).items()
    }
    if compiled := compile_torch(torch, forward):
        made = torch_optimizers(torch, rule, parameters)
        calls |= {f"torch compiled {variant}": partial(run, *own, compiled) for variant, own in made.items()}
    return calls


def compile_torch(torch: Any, fn: Callable[..., Any]) -> Callable[..., Any] | None:
    """torch.compile, where it is asked for (`microweights bench --compile`): it takes a compiler, and minutes."""
    return torch.compile(fn) if os.environ.get("MICROWEIGHTS_BENCH_COMPILE") else None


def jax_step(loss_of: Callable[..., Any], weights: list[Array], rule: str, arrays: list[Array]) -> dict[str, Call]:
    """A jitted step of value_and_grad and the rule, which works in the memory of the old weights."""
    jax = import_jax()
    if jax is None:
        return {}
    jnp = importlib.import_module("jax.numpy")
    tree = jax.tree_util.tree_map
    given = [jnp.asarray(a) for a in arrays]
    own = [jnp.asarray(w) for w in weights]
    slots = tuple([jnp.full_like(w, s) for w in own] for s in RULES[rule].slots)

    def update(weights: Any, slots: Any, g: Any, t: Any) -> tuple[Any, Any]:
        if rule == "Adam":
            m = tree(lambda m, g: 0.9 * m + 0.1 * g, slots[0], g)
            v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, slots[1], g)
            rate = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            return tree(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-12), weights, m, v), (m, v)
        if "L2" in rule:
            g = tree(lambda g, w: g + 1e-4 * w, g, weights)
        if not slots:
            return tree(lambda w, g: w - 0.01 * g, weights, g), slots
        v = tree(lambda v, g: 0.9 * v - 0.01 * g, slots[0], g)
        return tree(lambda w, v: w + v, weights, v), (v,)

    def step(weights: Any, slots: Any, t: Any, *given: Any) -> Any:
        loss, g = jax.value_and_grad(loss_of)(weights, jnp, *given)
        return *update(weights, slots, g, t), t + 1, loss

    jitted = jax.jit(step, donate_argnums=(0, 1, 2))
    state = [own, slots, jnp.asarray(1.0, jnp.float32)]

    def run() -> float:
        *state[:], loss = jitted(*state, *given)
        return float(loss)

    return {"jax": run}


def jax_network(weights: Any, jnp: Any, x: Any, y: Any) -> Any:
    a = x
    for i in range(0, len(weights), 2):
        a = a @ weights[i] + weights[i + 1]
        if i < len(weights) - 2:
            a = jnp.maximum(a, 0)
    if y.dtype.kind == "f":
        return ((a - y) ** 2).mean()
    shifted = a - a.max(1, keepdims=True)
    return (jnp.log(jnp.exp(shifted).sum(1)) - jnp.take_along_axis(shifted, y[:, None], 1)[:, 0]).mean()


def training_step(sizes: tuple[int, ...], batch: int, rule: str, classifies: bool = True) -> Race:
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (batch, sizes[0])).astype(np.float32)
    y = generator.integers(0, sizes[-1], batch) if classifies else x[:, : sizes[-1]] * 2 + 1
    weights: list[Array] = []
    for inputs, outputs in pairwise(sizes):
        weights += [generator.normal(0, math.sqrt(2 / inputs), (inputs, outputs)).astype(np.float32)]
        weights += [np.zeros(outputs, np.float32)]
    calls: dict[str, Call] = our_calls(lambda: our_step(x, y, weights, RULES[rule]), x, y)
    calls["numpy"] = step_by_hand(x, y, weights, RULES[rule])
    calls |= torch_steps(x, y, weights, rule)
    calls |= jax_step(jax_network, weights, rule, [x, y.astype(np.int32) if classifies else y])

    def exact() -> float:
        wide = y if classifies else y.astype(np.float64)
        run = step_by_hand(x.astype(np.float64), wide, [w.astype(np.float64) for w in weights], RULES[rule])
        return [run() for _ in range(5)][-1]

    return Race(exact, calls, repeat=5, tolerance=1e-3)


# ---- one sample through a trained network ------------------------------------------------------------------------------


def inference(sizes: tuple[int, ...]) -> Race:
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (1, sizes[0])).astype(np.float32)
    weights: list[Array] = []
    for inputs, outputs in pairwise(sizes):
        weights += [generator.normal(0, math.sqrt(2 / inputs), (inputs, outputs)).astype(np.float32)]
        weights += [generator.normal(0, 1, outputs).astype(np.float32)]
    layers = [mw.layers.Dense(n, activation="relu") for n in sizes[1:-1]]
    model = mw.Sequential([mw.Input(sizes[:1]), *layers, mw.layers.Dense(sizes[-1])])
    model.set_weights(weights)
    eager = mw.Sequential([mw.Input(sizes[:1]), *[mw.layers.Dense(n, activation="relu") for n in sizes[1:-1]],
                           mw.layers.Dense(sizes[-1])])  # fmt: skip
    eager.set_weights(weights)
    eager.compile(loss="mse", eager=True)
    outputs_of = [np.empty((1, n), np.float32) for n in sizes[1:]]

    def by_hand() -> Array:
        a = x
        for i, z in enumerate(outputs_of):
            np.matmul(a, weights[2 * i], out=z)
            z += weights[2 * i + 1]
            if i < len(outputs_of) - 1:
                np.maximum(z, 0, out=z)
            a = z
        return a

    calls: dict[str, Call] = {"replayed": lambda: model.predict(x), "eager": lambda: eager.predict(x), "numpy": by_hand}
    if torch := import_torch():
        own = [torch.from_numpy(np.ascontiguousarray(w.T)) for w in weights]
        modules: list[Any] = []
        for w, b in zip(own[::2], own[1::2], strict=True):
            linear = torch.nn.Linear(w.shape[1], w.shape[0])
            linear.weight, linear.bias = torch.nn.Parameter(w), torch.nn.Parameter(b)
            modules += [linear, torch.nn.ReLU()]
        network, given = torch.nn.Sequential(*modules[:-1]), torch.from_numpy(x)
        calls["torch"] = lambda: network(given)
    if jax := import_jax():
        jnp = importlib.import_module("jax.numpy")
        held = [jnp.asarray(w) for w in weights]

        def forward(x: Any) -> Any:
            a = x
            for i in range(0, len(held), 2):
                a = a @ held[i] + held[i + 1]
                a = jnp.maximum(a, 0) if i < len(held) - 2 else a
            return a

        jitted = jax.jit(forward)
        calls["jax"] = lambda: np.asarray(jitted(x))

    def exact() -> Array:
        a = x.astype(np.float64)
        for i in range(0, len(weights), 2):
            a = a @ weights[i].astype(np.float64) + weights[i + 1]
            a = np.maximum(a, 0) if i < len(weights) - 2 else a
        return np.asarray(a)

    return Race(exact, calls, tolerance=1e-5)


# ---- a gradient penalty: second derivatives ----------------------------------------------------------------------------


def gradient_penalty(rows: int, inputs: int, hidden: int) -> Race:
    """f(x) = tanh(x W + b) v, the loss is the mean of (|df/dx| - 1)², and W, b and v make a step of SGD."""
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (rows, inputs)).astype(np.float32)
    w = generator.normal(0, 0.5, (inputs, hidden)).astype(np.float32)
    b, v = np.zeros(hidden, np.float32), generator.normal(0, 0.5, (hidden, 1)).astype(np.float32)
    rate = 0.01

    def ours() -> Callable[[mw.Tensor], mw.Tensor]:
        own = [mw.tensor(a, requires_grad=True) for a in (w, b, v)]
        optimizer = mw.optimizers.SGD(rate)

        def step(x: mw.Tensor) -> mw.Tensor:
            x.requires_grad = True
            f = ops.Dense("tanh")(x, own[0], own[1]) @ own[2]
            slope = mw.grad(f.sum(), x, create_graph=True)
            loss = (slope.square().sum(1).sqrt() - 1).square().mean()
            optimizer.apply(mw.grad(loss, own), own)
            return loss  # type: ignore[no-any-return]

        return step

    def by_hand(dtype: Any) -> Callable[[], float]:
        a, ow, ob, ov = (z.astype(dtype) for z in (x, w, b, v))

        def run() -> float:
            h = np.tanh(a @ ow + ob)
            slack = 1 - h * h
            s = slack * ov[:, 0]
            g = s @ ow.T
            norm = np.sqrt(np.einsum("ij,ij->i", g, g))
            loss = float(((norm - 1) ** 2).mean())
            dg = g * (2 / rows * (norm - 1) / norm)[:, None]
            ds = dg @ ow
            da = ds * ov[:, 0] * -2 * h * slack
            dw = dg.T @ s + a.T @ da
            np.subtract(ow, rate * dw, out=ow)
            np.subtract(ob, rate * da.sum(0), out=ob)
            np.subtract(ov, rate * (ds * slack).sum(0)[:, None], out=ov)
            return loss

        return run

    calls = our_calls(ours, x)
    calls["numpy"] = by_hand(np.float32)
    if torch := import_torch(records_gradients=True):
        tx = torch.from_numpy(x.copy()).requires_grad_()
        tw, tb, tv = (torch.from_numpy(z.copy()).requires_grad_() for z in (w, b, v))

        def run() -> float:
            f = torch.tanh(torch.addmm(tb, tx, tw)) @ tv
            (slope,) = torch.autograd.grad(f.sum(), tx, create_graph=True)
            loss = (slope.square().sum(1).sqrt() - 1).square().mean()
            gradients = torch.autograd.grad(loss, (tw, tb, tv))
            with torch.no_grad():
                torch._foreach_add_([tw, tb, tv], gradients, alpha=-rate)
            return float(loss.item())

        calls["torch"] = run
    jax = import_jax()
    if jax is not None:

        def loss_of(weights: Any, jnp: Any, x: Any) -> Any:
            def f(x: Any) -> Any:
                return (jnp.tanh(x @ weights[0] + weights[1]) @ weights[2]).sum()

            slope = jax.grad(f)(x)
            return ((jnp.sqrt((slope**2).sum(1)) - 1) ** 2).mean()

        calls |= jax_step(loss_of, [w, b, v], "SGD", [x])

    def exact() -> float:
        run = by_hand(np.float64)
        return [run() for _ in range(5)][-1]

    return Race(exact, calls, repeat=5, tolerance=1e-3)


# ---- SimpleChains.jl's example: loss and gradient of a tiny network, in float64 ----------------------------------------


def simple_chains() -> Race:
    """24-8(tanh)-dropout 0.2-2, 200 rows, half the sum of squared errors. All draw masks of their own, so losses differ.

    The replay is bound to arrays for its results, as the benchmark of SimpleChains.jl is with its `valgrad!`.
    """
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(200, 24)), generator.normal(size=(200, 2))
    w1, w2 = generator.normal(0, 0.2, (24, 8)), generator.normal(0, 0.2, (8, 2))
    own = [mw.tensor(a, requires_grad=True) for a in (w1, np.zeros(8), w2, np.zeros(2))]
    dropout = mw.layers.Dropout(0.2, seed=0, dtype="float64")

    def ours(x: mw.Tensor, y: mw.Tensor) -> list[mw.Tensor]:
        a = dropout(ops.Dense("tanh")(x, own[0], own[1]), training=True)
        loss = ops.SquaredError()(ops.Dense()(a, own[2], own[3]), y).sum() * 0.5
        return [loss, *mw.grad(loss, own)]

    tensors = mw.tensor(x), mw.tensor(y)
    captured = mw.capture(ours)
    for _ in range(2):
        captured(*tensors)
    program, random = captured.programs[0], np.random.default_rng(1)
    results = [np.empty(shape, dtype) for shape, dtype in program.outputs]
    replay = program.bind([x, y], results)

    def replayed() -> float:
        replay()
        return float(results[0])

    def by_hand() -> float:
        a = np.tanh(x @ w1)
        mask = (random.random(a.shape) < 0.8) * 1.25
        dropped = a * mask
        d = dropped @ w2 - y
        loss = 0.5 * float(np.vdot(d, d))
        da = (d @ w2.T) * mask * (1 - a * a)
        _ = dropped.T @ d, d.sum(0), x.T @ da, da.sum(0)
        return loss

    calls: dict[str, Call] = {
        "replayed": replayed,
        "eager": lambda: float(ours(*tensors)[0].item()),
        "numpy": by_hand,
    }
    if torch := import_torch(records_gradients=True):
        tx, ty = torch.from_numpy(x), torch.from_numpy(y)
        held = [torch.from_numpy(np.ascontiguousarray(a.T)).requires_grad_() for a in (w1, np.zeros(8), w2, np.zeros(2))]
        F = torch.nn.functional

        def run() -> float:
            a = F.dropout(torch.tanh(F.linear(tx, held[0], held[1])), 0.2)
            loss = (F.linear(a, held[2], held[3]) - ty).square().sum() * 0.5
            torch.autograd.grad(loss, held)
            return float(loss.item())

        calls["torch"] = run
    plain = 0.5 * float(((np.tanh(x @ w1) @ w2 - y) ** 2).sum())
    return Race(lambda: plain, calls, tolerance=0.1, is_random=True)


# ---- the scalar engine ---------------------------------------------------------------------------------------------------


def moons() -> Race:
    """micrograd's demo: 100 points of two moons, 2-16-16-1 of single numbers, max-margin loss and L2, one step of descent."""
    generator = np.random.default_rng(0)
    angle = np.linspace(0, np.pi, 50)
    x = np.concatenate([np.stack([np.cos(angle), np.sin(angle)], 1), np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)])
    x += generator.normal(0, 0.1, x.shape)
    y = np.repeat([-1.0, 1.0], 50)
    sizes, rate, alpha = (2, 16, 16, 1), 0.1, 1e-4
    start = [generator.uniform(-1, 1, (n, m)) for m, n in pairwise(sizes)]

    def network(value: Any, neuron: Any) -> tuple[list[Any], Any]:
        """All weights (of each neuron, then its bias) and the loss."""
        layers = [[([value(w) for w in row], value(0.0)) for row in matrix.tolist()] for matrix in start]
        parameters = [p for layer in layers for ws, b in layer for p in (*ws, b)]
        return parameters, lambda: loss(layers, parameters, neuron, value)

    def loss(layers: Any, parameters: Any, neuron: Any, value: Any) -> Any:
        margins = []
        for row, label in zip(x.tolist(), y.tolist(), strict=True):
            a = [value(v) for v in row]
            for i, layer in enumerate(layers):
                z = [neuron(ws, a, b) for ws, b in layer]
                a = z if i == len(layers) - 1 else [v.relu() for v in z]
            margins.append((1 + -label * a[0]).relu())
        return sum(margins[1:], margins[0]) * (1.0 / len(margins)) + alpha * sum(
            (p * p for p in parameters[1:]), parameters[0] ** 2
        )

    def eagerly(value: Any, neuron: Any) -> Call:
        parameters, loss_of = network(value, neuron)

        def run() -> float:
            result = loss_of()
            for p in parameters:
                p.grad = 0.0
            result.backward()
            for p in parameters:
                p.data -= rate * p.grad
            return float(result.data)

        return run

    parameters, loss_of = network(mw.Value, mw.weighted_sum)
    tape = mw.Tape(loss_of(), parameters)
    calls: dict[str, Call] = {"replayed": lambda: tape.step(rate), "eager": eagerly(mw.Value, mw.weighted_sum)}
    try:
        engine = importlib.import_module("micrograd.engine")
    except ImportError:
        pass
    else:
        calls["micrograd"] = eagerly(engine.Value, lambda ws, a, b: sum((w * v for w, v in zip(ws, a, strict=True)), b))

    def exact() -> float:
        ws, bs = [w.T.copy() for w in start], [np.zeros(n) for n in sizes[1:]]
        result = 0.0
        for _ in range(2):
            outputs = [x]
            for i, (w, b) in enumerate(zip(ws, bs, strict=True)):
                z = outputs[-1] @ w + b
                outputs.append(np.maximum(z, 0) if i < 2 else z)
            margin = 1 - y[:, None] * outputs[-1]
            result = float(np.maximum(margin, 0).mean() + alpha * sum((w * w).sum() for w in (*ws, *bs)))
            d = np.where(margin > 0, -y[:, None] / 100, 0.0)
            for i in reversed(range(3)):
                dw, db = outputs[i].T @ d + 2 * alpha * ws[i], d.sum(0) + 2 * alpha * bs[i]
                d = (d @ ws[i].T) * (outputs[i] > 0)
                ws[i] -= rate * dw
                bs[i] -= rate * db
        return result

    return Race(exact, calls, repeat=2, tolerance=1e-9)


# ---- the cases -----------------------------------------------------------------------------------------------------------


def _step_case(sizes: tuple[int, ...], batch: int, rule: str, classifies: bool = True, name: str = "") -> Case:
    products = [i * o for i, o in pairwise(sizes)]
    weights = sum(products) + sum(sizes[1:])
    work = 2 * batch * (3 * sum(products) - products[0]) + update_operations(rule) * weights  # no gradient for the inputs
    moved = 4 * (weights * (3 + 2 * len(RULES[rule].slots)) + batch * (sizes[0] + 2 * sum(sizes[1:])))
    build = partial(training_step, sizes, batch, rule, classifies)
    name = name or f"step {'-'.join(map(str, sizes))} {rule}"
    return Case(name, work, moved, build, ("numpy", "torch", "jax"), blas=True)


CASES = [
    _step_case((64, 32, 32, 10), 32, "SGD"),
    _step_case((784, 128, 64, 10), 64, "Adam"),
    _step_case((784, 1024, 1024, 10), 256, "momentum+L2"),
    _step_case((784, 10), 64, "SGD+L2", name="step softmax regression 784-10"),
    _step_case((20, 1), 10_000, "SGD", classifies=False, name="step linear regression 10000x20"),
    _step_case((8,) * 21, 16, "SGD", name="step of 20 layers of 8"),
    Case("step gradient penalty 64x32", 2 * 64 * 32 * 64 * 6, 4 * 64 * 32 * 4, partial(gradient_penalty, 64, 32, 64),
         ("numpy", "torch", "jax")),
    Case("one sample 784-128-64-10", 2 * (784 * 128 + 128 * 64 + 64 * 10), 4 * (784 * 128 + 128 * 64 + 64 * 10),
         partial(inference, (784, 128, 64, 10)), ("numpy", "torch", "jax")),
    Case("SimpleChains 24-8-2 loss+gradient", 2 * 200 * (24 * 8 * 2 + 8 * 2 * 3), 8 * 200 * 26, simple_chains, is_double=True),
    Case("moons: a step of Values", 6 * 100 * (2 * 16 + 16 * 16 + 16), 8 * 337, moons, ("micrograd",), is_double=True),
]  # fmt: skip
