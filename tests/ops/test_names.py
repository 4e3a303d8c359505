"""Every public name that takes tensors keeps their graph, or is known not to."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import microweights as mw

# What has no gradient, or is asked for to leave the graph.
OUTSIDE = {
    "argmax", "argmin", "detach", "item", "numpy", "tolist", "zeros_like",
    "__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__", "__bool__", "__int__", "__format__", "__round__", "__repr__",
}  # fmt: skip
# What gives no tensor of numbers, works in place, or belongs to the graph itself.
OTHER = {
    "__init__", "__len__", "__hash__", "__array__", "__array_ufunc__", "__array_function__", "__dlpack__", "__dlpack_device__",
    "__copy__", "__deepcopy__", "__reduce__", "__float__", "__setitem__", "__getattr__", "assign", "backward", "retain_grad",
}  # fmt: skip
ARGUMENTS: dict[str, Any] = {
    "reshape": [(4,)], "broadcast_to": [(3, 2, 2)], "astype": ["float64"], "clip": [1.5, 3.5],
    "__getitem__": [(slice(None), 0)],
}  # fmt: skip
BINARY = {f"__{r}{name}__" for name in ("add", "sub", "mul", "truediv", "pow", "matmul") for r in ("", "r")}
IN_PLACE = {"__iadd__", "__isub__", "__imul__", "__itruediv__"}


def leaf() -> mw.Tensor:
    return mw.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)


def methods() -> list[str]:
    return [name for name, value in vars(mw.Tensor).items() if inspect.isfunction(value) and not name.startswith("_")] + [
        name for name, value in vars(mw.Tensor).items() if inspect.isfunction(value) and name.startswith("__")
    ]


@pytest.mark.parametrize("name", [n for n in methods() if n not in OTHER])
def test_methods_of_tensors(name: str) -> None:
    x = leaf()
    is_binary = name in BINARY | IN_PLACE or (name in OUTSIDE and "__" in name)
    given = ARGUMENTS.get(name, [np.full((2, 2), 2, "f4")] if is_binary else [])
    if name in IN_PLACE:
        with pytest.raises(RuntimeError, match="to overwrite values outside the graph"):
            getattr(x, name)(*given)
        return
    if name in ("item", "__bool__", "__int__", "__round__", "__format__"):
        x, given = x.sum(), [".2f"] if name == "__format__" else []
    elif name == "__repr__":
        given = []
    result = getattr(x, name)(*given)
    if name in OUTSIDE:
        assert not (isinstance(result, mw.Tensor) and result.requires_grad)
        return
    results = list(result) if name == "__iter__" else [result]
    for z in results:
        assert isinstance(z, mw.Tensor) and z.requires_grad
        assert mw.grad(z.sum(), x).shape == x.shape
        assert np.abs(mw.grad(z.square().sum(), x).numpy()).sum() > 0


FUNCTIONS: dict[str, Any] = {
    "concatenate": lambda x: mw.concatenate([x, x]),
    "stack": lambda x: mw.stack([x, x]),
    "split": lambda x: mw.split(x, 2)[0],
    "unstack": lambda x: mw.unstack(x)[0],
    "pad": lambda x: mw.pad(x, [(1, 0)] * 2),
    "maximum": lambda x: mw.maximum(x, 2.5),
    "minimum": lambda x: mw.minimum(2.5, x),
    "where": lambda x: mw.where(x > 2, x, 0.0),
    "tensor": mw.tensor,
}
NO_FUNCTIONS_OF_TENSORS = {
    "Input", "capture", "from_dlpack", "grad", "gradcheck", "seed", "set_num_threads", "show_config", "weighted_sum",
}  # fmt: skip


def test_every_public_function_is_here() -> None:
    found = {name for name in mw.__all__ if inspect.isfunction(getattr(mw, name))}
    assert found == set(FUNCTIONS) | NO_FUNCTIONS_OF_TENSORS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_tensors(name: str) -> None:
    x = leaf()
    assert np.abs(mw.grad(FUNCTIONS[name](x).square().sum(), x).numpy()).sum() > 0


@pytest.mark.parametrize("name", sorted(mw.activations.NAMED))
def test_activations(name: str) -> None:
    x = leaf()
    assert np.abs(mw.grad(mw.activations.NAMED[name](x).square().sum(), x).numpy()).sum() > 0


@pytest.mark.parametrize("kind", [k for k in vars(mw.losses).values() if inspect.isclass(k) and issubclass(k, mw.losses.Loss)])
def test_losses_keep_the_graph_of_predictions_and_weights(kind: Any) -> None:
    if kind in (mw.losses.Loss, mw.losses.FunctionLoss) or kind.__name__.startswith("Row"):
        return
    rows = mw.tensor([[0.2, 0.8], [0.6, 0.4]], requires_grad=True)
    weights = mw.tensor([1.0, 2.0], requires_grad=True)
    labels = [1, 0] if kind is mw.losses.SparseCategoricalCrossentropy else [[0.0, 1.0], [1.0, 0.0]]
    for g in mw.grad(kind()(labels, rows, weights), [rows, weights]):
        assert np.abs(g.numpy()).sum() > 0
