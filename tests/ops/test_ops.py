"""Every operation of the table OPS, on each of its own cases, in every setting: to add one is to test it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from helpers import running_on

import microweights as mw
from microweights.kernels import door
from microweights.ops import OPS, Case, Op
from microweights.ops.base import case

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

CASES = [pytest.param(name, case, id=f"{name}-{i}") for name, op in OPS.items() for i, case in enumerate(op.cases)]
LAYOUTS = ("transposed", "strided", "reversed", "repeated")
TOLERANCE = {"float32": {"rtol": 2e-5, "atol": 2e-5}, "float64": {"rtol": 1e-11, "atol": 1e-11}}


def arrays(case: Case, dtype: str = "float64") -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.uniform(case.low, case.high, shape).astype(dtype) for shape in case.shapes]


def apply(name: str, case: Case, *tensors: mw.Tensor) -> mw.Tensor:
    """The result; several, one after the other."""
    z = OPS[name](**case.parameters)(*tensors)
    return mw.concatenate([t.reshape(-1) for t in z]) if isinstance(z, tuple) else z


def forward_and_gradients(name: str, case: Case, inputs: list[np.ndarray], dz: np.ndarray | None = None) -> list[np.ndarray]:
    """The result, then the gradient of each input, given `dz` or numbers that are all different."""
    leaves = [mw.tensor(x, requires_grad=True) for x in inputs]
    for leaf, x in zip(leaves, inputs, strict=True):
        leaf.data = x  # as it lies in memory; mw.tensor would have made it contiguous
    z = apply(name, case, *leaves)
    dz = np.linspace(1, 2, z.size).reshape(z.shape).astype(z.dtype) if dz is None else dz
    return [z.numpy(), *(g.numpy() for g in mw.grad(z, leaves, gradient=dz))]


# ---- the table itself ----------------------------------------------------------------------------------------------


def without_cases() -> list[str]:
    return [name for name, op in OPS.items() if not op.cases]


def without_formula() -> list[str]:
    """Operations whose own docstring does not say what z is and what its gradients are."""
    formulas = {name: vars(op).get("__doc__") or "" for name, op in OPS.items()}
    return [name for name, text in formulas.items() if not re.search(r"\w.* = .*\bd(\w+|\(\w+\)) = ", text, re.DOTALL)]


def test_every_operation_has_cases() -> None:
    assert without_cases() == []


def test_every_operation_states_its_formula() -> None:
    assert without_formula() == []


@pytest.mark.usefixtures("table")
def test_these_checks_can_fail() -> None:
    class Doctored(Op):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return x

    class AlmostAFormula(Doctored):
        """z = x"""

        cases = [case((1,))]

        def forward(self, x: np.ndarray) -> np.ndarray:
            return x

    assert without_cases() == ["Doctored"]
    assert without_formula() == ["Doctored", "AlmostAFormula"]


@pytest.mark.usefixtures("table")
def test_abstract_operations_stay_outside() -> None:
    class Abstract(Op):
        """For others to derive from."""

    assert "Abstract" not in OPS


# ---- each operation, each case -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(("name", "case"), CASES)
def test_forward_in_the_dtype_of_its_inputs(name: str, case: Case, dtype: str) -> None:
    z = apply(name, case, *map(mw.tensor, arrays(case, dtype)))
    exact = apply(name, case, *map(mw.tensor, arrays(case)))
    assert type(z.data) is np.ndarray
    assert z.dtype == case.parameters.get("dtype", dtype)
    assert not z.requires_grad
    np.testing.assert_allclose(z.numpy(), exact.numpy(), **TOLERANCE["float32"])
    assert np.isfinite(z.numpy()).all()


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(("name", "case"), CASES)
def test_gradients_have_the_dtype_and_shape_of_their_inputs(name: str, case: Case, dtype: str) -> None:
    inputs = arrays(case, dtype)
    gradients = forward_and_gradients(name, case, inputs)[1:]
    assert [(g.shape, g.dtype) for g in gradients] == [(x.shape, x.dtype) for x in inputs]


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(("name", "case"), CASES)
def test_gradients(name: str, case: Case) -> None:
    assert mw.gradcheck(lambda *xs: apply(name, case, *xs), arrays(case))


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(("name", "case"), CASES)
def test_gradients_of_gradients(name: str, case: Case) -> None:
    def squared_gradients(*xs: mw.Tensor) -> mw.Tensor:
        z = apply(name, case, *xs)
        weights = np.linspace(1, 2, z.size).reshape(z.shape)
        gradients = mw.grad((z.square() * weights).sum(), xs, create_graph=True)  # squared: else a linear z has constant ones
        total = sum((x * x).sum() for x in xs)  # so that the result depends on each x even where no gradient does
        return total + sum((g * g).sum() for g in gradients)

    size = squared_gradients(*[mw.tensor(x, requires_grad=True) for x in arrays(case)]).item()
    assert mw.gradcheck(lambda *xs: squared_gradients(*xs) / size, arrays(case))


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(("name", "case"), CASES)
def test_only_the_wanted_gradients(name: str, case: Case) -> None:
    """With one input at a time requiring a gradient, it gets the same one as when all do."""
    inputs = arrays(case)
    everything = forward_and_gradients(name, case, inputs)[1:]
    for wanted, expected in enumerate(everything):
        tensors = [mw.tensor(x, requires_grad=i == wanted) for i, x in enumerate(inputs)]
        z = apply(name, case, *tensors)
        z.backward(np.linspace(1, 2, z.size).reshape(z.shape))
        assert [t.grad is None for t in tensors if t is not tensors[wanted]] == [True] * (len(inputs) - 1)
        received = tensors[wanted].grad
        np.testing.assert_allclose(0 if received is None else received.numpy(), expected, **TOLERANCE["float64"])


def laid_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The values of `x`, or for "repeated" of its first row, otherwise arranged in memory."""
    if layout == "transposed":
        return x.T.copy().T
    if layout == "repeated":
        return np.broadcast_to(x[:1], x.shape) if x.ndim else np.broadcast_to(x, (3,))[1]
    wide = np.full([2 * n + 1 for n in x.shape], np.nan, x.dtype)
    step = slice(1, None, 2) if layout == "strided" else slice(-2, None, -2)
    view = wide[(step,) * x.ndim] if x.ndim else wide
    view[...] = x
    return view


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("name", "case"), CASES)
def test_any_layout_in_memory(name: str, case: Case, layout: str, dtype: str) -> None:
    views = [laid_out(x, layout) for x in arrays(case, dtype)]
    z, *expected = forward_and_gradients(name, case, [v.copy() for v in views])
    received = forward_and_gradients(
        name, case, views, laid_out(np.linspace(1, 2, z.size).reshape(z.shape).astype(z.dtype), layout)
    )
    np.testing.assert_allclose(received[0], z, **TOLERANCE[dtype])
    if layout != "repeated":  # there dz is another one
        for r, e in zip(received[1:], expected, strict=True):
            np.testing.assert_allclose(r, e, **TOLERANCE[dtype])


# ---- against torch -------------------------------------------------------------------------------------------------


def normal_density(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def one_hot(target: np.ndarray, x: torch.Tensor) -> torch.Tensor:
    wide = torch.as_tensor(target)
    return (F.one_hot(wide, x.shape[1]) if target.dtype == np.int64 else wide).to(x.dtype)


def channels_first(x: torch.Tensor, widths: list[tuple[int, int]]) -> torch.Tensor:
    """Images with their channels where torch has them, and zeros around them, or less where widths are negative."""
    return F.pad(x.movedim(-1, 1), [w for pair in reversed(widths) for w in pair])


def conv(x, w, b=None, *, windows, size, activation="linear"):  # type: ignore[no-untyped-def]
    axes = zip(size, w.shape, windows.strides, windows.dilation, windows.before, x.shape[1:-1])
    widths = [(b, (o - 1) * s + (k - 1) * d + 1 - b - n) for o, k, s, d, b, n in axes]
    run = getattr(F, f"conv{x.ndim - 2}d")
    weights = w.movedim(-1, 0).movedim(-1, 1).contiguous()
    z = run(channels_first(x, widths), weights, b, windows.strides, 0, windows.dilation, windows.groups)
    return ACTIVATIONS[activation](z.movedim(1, -1))


def conv_transpose(z, w, b=None, *, windows, size, activation="linear"):  # type: ignore[no-untyped-def]
    axes = zip(z.shape[1:-1], w.shape, windows.strides, windows.dilation, windows.before, size)
    widths = [(-b, b + n - (o - 1) * s - (k - 1) * d - 1) for o, k, s, d, b, n in axes]
    run = getattr(F, f"conv_transpose{z.ndim - 2}d")
    weights = w.movedim(-1, 0).movedim(-1, 1).contiguous()
    x = run(z.movedim(-1, 1), weights, None, windows.strides, 0, 0, windows.groups, windows.dilation)
    x = channels_first(x.movedim(1, -1), widths).movedim(1, -1)
    return ACTIVATIONS[activation](x if b is None else x + b)


def conv_weight_grad(x, dz, *, windows, size):  # type: ignore[no-untyped-def]
    w = x.new_zeros((*size, x.shape[-1] // windows.groups, dz.shape[-1]), requires_grad=True)
    (dw,) = torch.autograd.grad(conv(x, w, windows=windows, size=dz.shape[1:-1]), w, dz, create_graph=True)
    return dw


def windows_of(x, pooling, fill):  # type: ignore[no-untyped-def]
    """What each window holds, on a last axis."""
    axes = zip(pooling.size, pooling.window, pooling.strides, pooling.before, x.shape[1:-1])
    widths = [(b, (o - 1) * s + k - b - n) for o, k, s, b, n in axes]
    x = F.pad(x.movedim(-1, 1), [w for pair in reversed(widths) for w in pair], value=fill)
    for axis, (k, s) in enumerate(zip(pooling.window, pooling.strides)):
        x = x.unfold(axis + 2, k, s)
    return x.flatten(2 + len(pooling.size)).movedim(1, -2)


def max_pool(x, *, pooling):  # type: ignore[no-untyped-def]
    return windows_of(x, pooling, -torch.inf).amax(-1)


def max_pool_pick(y, x, z, *, pooling):  # type: ignore[no-untyped-def]
    first = (windows_of(x, pooling, -torch.inf) == z[..., None]).int()
    found = windows_of(y, pooling, 0.0).gather(-1, first.argmax(-1, keepdim=True))[..., 0]
    return torch.where(first.any(-1), found, 0) + 0 * (x.sum() + z.sum())


def transposed(function, shape, dz, **options):  # type: ignore[no-untyped-def]
    """What a linear function does the other way round."""
    y = dz.new_zeros(shape, requires_grad=True)
    (dy,) = torch.autograd.grad(function(y, **options), y, dz, create_graph=True)
    return dy


def max_pool_grad(dz, x, z, *, pooling):  # type: ignore[no-untyped-def]
    return transposed(lambda y: max_pool_pick(y, x, z, pooling=pooling), x.shape, dz) + 0 * (x.sum() + z.sum())


def average_pool(x, *, pooling):  # type: ignore[no-untyped-def]
    seen = windows_of(x, pooling, torch.nan)
    return seen.nansum(-1) if pooling.sums else seen.nanmean(-1)


def average_pool_grad(dz, *, pooling, images):  # type: ignore[no-untyped-def]
    return transposed(average_pool, images, dz, pooling=pooling)


def normalize(x, mean, variance, *weights, epsilon, scale=True, center=True):  # type: ignore[no-untyped-def]
    z = (x - mean) / (variance + epsilon).sqrt() * (weights[0] if scale else 1)
    return z + weights[-1] if center else z


def batch_norm(x, *weights, **options):  # type: ignore[no-untyped-def]
    return normalize(x, x.mean(0), x.var(0, correction=0), *weights, **options)


def row_norm(x, *weights, centered=True, **options):  # type: ignore[no-untyped-def]
    mean = x.mean(1, keepdim=True) if centered else 0
    return normalize(x, mean, (x - mean).square().mean(1, keepdim=True), *weights, **options)


def warp(x, motion, size, warping):  # type: ignore[no-untyped-def]
    """Each position as a weighted sum of all pixels: the weights are what the twin makes of images with a single 1."""
    n, height, width, channels = x.shape
    ones = np.eye(height * width).reshape(height, width, -1)
    with running_on("numpy"):
        shares = [door.warp(ones[None], m[None], size, warping._replace(fill_value=0.0))[0] for m in motion]
        filled = door.warp(np.zeros((n, height, width, 1)), motion, size, warping)
    shares = torch.tensor(np.stack(shares)).to(x.dtype)
    return torch.einsum("nyxp,npc->nyxc", shares, x.reshape(n, -1, channels)) + torch.tensor(filled).to(x.dtype)


def cross_entropy(x: torch.Tensor, target: np.ndarray, mean: bool = False) -> torch.Tensor:
    t = torch.as_tensor(target)
    return F.cross_entropy(x, t if t.dtype == torch.int64 else t.to(x.dtype), reduction="mean" if mean else "none")


def cross_entropy_grad(dz: torch.Tensor, x: torch.Tensor, target: np.ndarray, mean: bool = False) -> torch.Tensor:
    t = one_hot(target, x)
    g = torch.softmax(x, -1) * t.sum(1, keepdim=True) - t
    return dz * g / len(x) if mean else dz[:, None] * g


def places(shape: tuple[int, ...], key: object) -> torch.Tensor:
    return torch.as_tensor(np.arange(math.prod(shape)).reshape(shape)[key].copy())


def index_grad(dz: torch.Tensor, key: object, shape: tuple[int, ...]) -> torch.Tensor:
    flat = torch.zeros(math.prod(shape), dtype=dz.dtype)
    return flat.index_put((places(shape, key).reshape(-1),), dz.reshape(-1), accumulate=True).reshape(shape)


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: x.relu(),
    "sigmoid": lambda x: x.sigmoid(),
    "tanh": lambda x: x.tanh(),
}

TWINS: dict[str, Callable[..., torch.Tensor]] = {
    "Unstack": lambda x, axis: torch.cat([t.reshape(-1) for t in x.unbind(axis)]),
    "UnstackGrad": lambda *dz, axis, size, used: torch.stack(
        [dz[used.index(i)] if i in used else torch.zeros_like(dz[0]) for i in range(size)], axis
    ),
    "Absolute": lambda x: x.abs(),
    "Add": lambda x, y: x + y,
    "AveragePool": average_pool,
    "AveragePoolGrad": average_pool_grad,
    "BatchNorm": batch_norm,
    "BinaryCrossEntropy": lambda x, y: F.binary_cross_entropy_with_logits(x, y.expand(x.shape), reduction="none"),
    "BinaryCrossEntropyGrad": lambda dz, x, y: dz * (x.sigmoid() - y),
    "BroadcastTo": lambda x, shape: x.expand(shape),
    "Cast": lambda x, dtype: x.to(getattr(torch, dtype.name)),
    "Concatenate": lambda *xs, axis: torch.cat(xs, axis),
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "ConvWeightGrad": conv_weight_grad,
    "Copy": lambda x: x.clone(),
    "CrossEntropy": cross_entropy,
    "CrossEntropyGrad": cross_entropy_grad,
    "Dense": lambda x, w, b=None, *, activation: ACTIVATIONS[activation](F.linear(x, w.T, b)),
    "Divide": lambda x, y: x / y,
    "Erf": lambda x: x.erf(),
    "Exp": lambda x: x.exp(),
    "Expm1": lambda x: x.expm1(),
    "Gelu": lambda x: F.gelu(x),
    "GeluGrad": lambda dz, x: dz * (torch.special.ndtr(x) + x * normal_density(x)),
    "Gather": lambda x, index: x[torch.as_tensor(index)],
    "Index": lambda x, key: x.reshape(-1)[places(tuple(x.shape), key)],
    "IndexGrad": index_grad,
    "Log": lambda x: x.log(),
    "LogSoftmax": lambda x: x.log_softmax(-1),
    "LogSoftmaxGrad": lambda dz, z: dz - z.exp() * dz.sum(-1, keepdim=True),
    "MatMul": lambda x, w: x @ w,
    "Max": lambda x, axes, keepdims=False: x.amax(axes, keepdims),
    "Maximum": lambda x, y, is_limit=False: torch.clamp(x, min=y) if is_limit else torch.maximum(x, y),
    "MaxPool": max_pool,
    "MaxPoolGrad": max_pool_grad,
    "MaxPoolPick": max_pool_pick,
    "Mean": lambda x, axes, keepdims=False: x.mean(axes, keepdims),
    "Min": lambda x, axes, keepdims=False: x.amin(axes, keepdims),
    "Minimum": lambda x, y, is_limit=False: torch.clamp(x, max=y) if is_limit else torch.minimum(x, y),
    "Multiply": lambda x, y: x * y,
    "Negative": lambda x: -x,
    "Normalize": normalize,
    "Pad": lambda x, widths, value: F.pad(x, [w for pair in reversed(widths) for w in pair], value=value),
    "Power": lambda x, y: x**y,
    "Relu": lambda x: x.relu(),
    "ReluGrad": lambda dz, z: dz * (z > 0) + 0 * z,
    "Reshape": lambda x, shape: x.reshape(shape),
    "RowNorm": row_norm,
    "ScatterAdd": lambda dz, index, shape: torch.zeros(shape, dtype=dz.dtype).index_put(
        (torch.as_tensor(index),), dz, accumulate=True
    ),
    "Sigmoid": lambda x: x.sigmoid(),
    "SigmoidGrad": lambda dz, z: dz * z * (1 - z),
    "Sign": lambda x: x.sign(),
    "Softmax": lambda x: x.softmax(-1),
    "SoftmaxGrad": lambda dz, z: z * (dz - (dz * z).sum(-1, keepdim=True)),
    "Softplus": lambda x: F.softplus(x),
    "SoftThreshold": lambda x, y: x.sign() * (x.abs() - y).clamp(min=0),
    "Sqrt": lambda x: x.sqrt(),
    "Square": lambda x: x.square(),
    "SquaredError": lambda x, y: F.mse_loss(x, y.expand(x.shape), reduction="none"),
    "SquaredErrorGrad": lambda dz, x, y: 2 * dz * (x - y),
    "Subtract": lambda x, y: x - y,
    "Sum": lambda x, axes, keepdims=False: x.sum(axes, keepdims),
    "Tanh": lambda x: x.tanh(),
    "TanhGrad": lambda dz, z: dz * (1 - z * z),
    "Transpose": lambda x, axes: x.permute(axes),
    "Warp": warp,
    "WarpGrad": lambda dz, motion, size, warping: transposed(
        warp, size, dz, motion=motion, size=dz.shape[1:3], warping=warping._replace(fill_value=0.0)
    ),
    "Where": lambda x, y, condition: torch.where(torch.as_tensor(condition), x, y),
}
WITHOUT_TWIN: dict[str, str] = {}  # operation: why torch has none


def test_every_operation_is_compared_with_torch_or_says_why_not() -> None:
    assert set(OPS) - set(WITHOUT_TWIN) == set(TWINS)


@pytest.mark.skipif(torch is None, reason="torch is not installed")
@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(("name", "case"), [c for c in CASES if c.values[0] not in WITHOUT_TWIN])
def test_like_torch(name: str, case: Case, dtype: str) -> None:
    inputs = arrays(case, dtype)
    z, *gradients = forward_and_gradients(name, case, inputs)
    leaves = [torch.tensor(x, requires_grad=True) for x in inputs]
    twin = TWINS[name](*leaves, **case.parameters)
    assert z.shape == tuple(twin.shape)
    np.testing.assert_allclose(z, twin.detach().numpy(), **TOLERANCE[dtype])
    weights = torch.linspace(1, 2, twin.numel(), dtype=torch.float64).reshape(twin.shape).to(twin.dtype)
    expected = torch.autograd.grad(twin, leaves, weights)
    for received, e in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(received, e.numpy(), **TOLERANCE[dtype])


# ---- what the cases cannot say -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(
    ("fn", "at", "expected"),
    [
        (lambda x: x.relu(), 0.0, 0.0),
        (lambda x: abs(x), 0.0, 0.0),
        (lambda x: x**0, 0.0, 0.0),
        (lambda x: x**1, 0.0, 1.0),
        (lambda x: x**2, 0.0, 0.0),
        (lambda x: x**3, -2.0, 12.0),
        (lambda x: 0.0**x, 2.0, 0.0),
        (lambda x: mw.maximum(x, 1.0), 1.0, 0.5),
        (lambda x: mw.minimum(x, 1.0), 1.0, 0.5),
        (lambda x: mw.maximum(x, x), 1.0, 1.0),
        (lambda x: x.sigmoid(), 1000.0, 0.0),
        (lambda x: x.sigmoid(), -1000.0, 0.0),
        (lambda x: x.softplus(), 1000.0, 1.0),
        (lambda x: x.softplus(), -1000.0, 0.0),
        (lambda x: x.tanh(), 1000.0, 0.0),
        (lambda x: x.gelu(), 1000.0, 1.0),
        (lambda x: x.gelu(), -1000.0, 0.0),
        (lambda x: mw.ops.BinaryCrossEntropy()(x, mw.tensor(1.0)), -1000.0, -1.0),
    ],
)
def test_gradient_at_edges(fn: Callable[[mw.Tensor], mw.Tensor], at: float, expected: float) -> None:
    x = mw.tensor(at, requires_grad=True)
    assert mw.grad(fn(x), x).item() == expected


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize(
    "fn",
    [
        lambda x: mw.where(np.array([True, False]), x, 0.0),
        lambda x: mw.where(np.array([False, True]), 0.0, x),
        lambda x: mw.maximum(x, [0.0, 9.0]),
        lambda x: mw.minimum(x, [9.0, 0.0]),
        lambda x: x[:1].broadcast_to((2,)) * np.array([1.0, 0.0]),
    ],
)
def test_a_branch_not_taken_gets_zero(fn: Callable[[mw.Tensor], mw.Tensor]) -> None:
    """Not 0 * infinity: `where` is how one keeps infinities out."""
    x = mw.tensor([1.0, 2.0], requires_grad=True)
    z = fn(x)
    gradient = np.isfinite(z.numpy()) * np.array([1.0, np.inf])
    if z.op is not None and type(z.op).__name__ == "Multiply":
        gradient = np.ones(2)
    received = mw.grad(z, x, gradient=gradient)
    assert 0.0 in received.tolist() and not np.isnan(received.numpy()).any()


@pytest.mark.usefixtures("setting")
def test_cross_entropy_of_confident_logits() -> None:
    x = mw.tensor([[1000.0, 0.0], [-1000.0, 0.0]], requires_grad=True)
    loss = mw.ops.CrossEntropy(np.array([0, 0]))(x)
    assert loss.tolist() == [0.0, 1000.0]
    assert mw.grad(loss.sum(), x).tolist() == [[0.0, 0.0], [-1.0, 1.0]]


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("target", [[-1, 0], [0, 2]])
def test_cross_entropy_refuses_labels_that_are_no_class(target: list[int]) -> None:
    with pytest.raises(ValueError, match=r"Expected labels from 0 to 1. Received: label .+ at index \d. Check"):
        mw.ops.CrossEntropy(np.array(target))(mw.tensor(np.zeros((2, 2))))


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("shape", [(2, 3, 4), (4, 4, 4), (1, 4, 4)])
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_a_dense_layer_on_more_than_rows(shape: tuple[int, ...], activation: str) -> None:
    """In (4, 4, 4) every confusion of axes fits."""
    rng = np.random.default_rng(0)
    inputs = [rng.uniform(0.1, 1, s) for s in (shape, (4, 2), (2,))]
    assert mw.gradcheck(lambda *xs: mw.ops.Dense(activation)(*xs), inputs)


@pytest.mark.usefixtures("setting")
@pytest.mark.parametrize("name", ["Max", "Min"])
def test_equal_extremes_share_the_gradient(name: str) -> None:
    x = mw.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 5.0, 2.0, 5.0]], requires_grad=True)
    gradient = mw.grad(OPS[name]((1,))(x).sum(), x)
    assert gradient.tolist()[0] == [0.25] * 4
    assert gradient.tolist()[1] == ([0.0, 0.5, 0.0, 0.5] if name == "Max" else [0.5, 0.0, 0.5, 0.0])


def test_one_operation_object_is_good_for_one_call() -> None:
    """It remembers its inputs; used twice it would send both gradients to the second."""
    op, x, y = mw.ops.Exp(), mw.tensor(1.0, requires_grad=True), mw.tensor(2.0, requires_grad=True)
    first = op(x)
    with pytest.raises(RuntimeError, match=r"Expected .+ Received: .+"):
        op(y)
    assert mw.grad(first, x).item() == first.item()
