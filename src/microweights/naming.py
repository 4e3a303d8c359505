"""Keras's way of naming a part: by an object, or by its name in snake_case or CamelCase."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from .errors import explain

T = TypeVar("T")

# What users of PyTorch, TensorFlow and NumPy write first on a tensor, and what to write here.
TENSOR_HINTS = {
    **dict.fromkeys(("view", "view_as", "flatten", "ravel", "squeeze"), "Write x.reshape(...)."),
    **dict.fromkeys(("unsqueeze", "expand_dims"), "Write x[:, None], with None where the new axis goes."),
    **dict.fromkeys(("permute", "swapaxes", "moveaxis", "movedim"), "Write x.transpose(...), with the new order of the axes."),
    **dict.fromkeys(("t", "mT", "adjoint"), "Write x.T, or x.transpose(...)."),
    **dict.fromkeys(("cpu", "cuda", "to", "device"), "Every tensor is on the CPU; its type changes by x.astype(...)."),
    **dict.fromkeys(("float", "double", "half", "int", "long", "type", "bool"), "Write x.astype('float32'), or another type."),
    **dict.fromkeys(("dim", "rank"), "Write x.ndim."),
    **dict.fromkeys(("numel", "nelement"), "Write x.size."),
    "get_shape": "Write x.shape.",
    "std": "Write x.var().sqrt().",
    "norm": "Write x.square().sum().sqrt().",
    **dict.fromkeys(("dot", "mm", "bmm", "mv", "matmul", "inner"), "Write x @ y."),
    **dict.fromkeys(("add", "sub", "subtract", "mul", "multiply", "div", "divide"), "Write it as an operator: x + y, x * y."),
    **dict.fromkeys(("neg", "negative", "pow", "power"), "Write it as an operator: -x, x**2."),
    "absolute": "Write x.abs().",
    "clamp": "Write x.clip(low, high).",
    "amax": "Write x.max().",
    "amin": "Write x.min().",
    "average": "Write x.mean().",
    "clone": "Write x.copy().",
    **dict.fromkeys(("expand", "expand_as", "repeat", "tile"), "Write x.broadcast_to(shape)."),
    **dict.fromkeys(("where", "masked_fill"), "Write mw.where(condition, x, y)."),
    **dict.fromkeys(("gather", "index_select", "take", "take_along_dim"), "Write x[indices]."),
    **dict.fromkeys(("split", "chunk", "unbind", "narrow"), "Write slices: x[:2], x[2:]."),
    **dict.fromkeys(("zero_grad", "zero_"), "Set x.grad = None before the next backward()."),
    **dict.fromkeys(("add_", "sub_", "mul_", "div_", "copy_", "fill_"), "Write x.assign(...) under `with mw.no_grad():`."),
    **dict.fromkeys(("requires_grad_", "detach_"), "Set x.requires_grad, or write x.detach()."),
    **dict.fromkeys(("grad_fn", "is_leaf"), "x.op is the operation that made it, None for a leaf."),
}


def snake_case(name: str) -> str:
    """
    >>> snake_case("HeNormal"), snake_case("L1L2")
    ('he_normal', 'l1_l2')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def lookup(kind: str, identifier: Any, base: type[T], table: dict[str, Any]) -> T:
    """The object that `identifier` stands for: itself if it is one of `base`, an instance of a class, or what a name means.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor such an object.
    """
    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    if not isinstance(identifier, str):
        remedy = f"Pass a name such as {sorted(table)[0]!r}, or an object."
        raise TypeError(explain(f"{kind} by name or as a {base.__name__}", repr(identifier), remedy))
    found = table.get(identifier) or table.get(snake_case(identifier))
    if found is None:
        raise ValueError(explain(f"{kind} out of {sorted(table)}", repr(identifier), "Check the spelling."))
    made: T = found() if isinstance(found, type) else found
    return made
