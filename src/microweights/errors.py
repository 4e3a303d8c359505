"""One way to say what is wrong: what was expected, what came, what to do."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any

PACKAGE = os.path.dirname(__file__) + os.sep


def explain(expected: str, received: object, remedy: str) -> str:
    """The text of an error in its three parts.

    >>> explain("`units` to be a positive integer", -3, "Give the number of outputs of the layer.")
    'Expected `units` to be a positive integer. Received: -3. Give the number of outputs of the layer.'
    """
    return f"Expected {expected}. Received: {received}. {remedy}"


def warn(message: str) -> None:
    """A warning at the line of the user's that called this library, however deep it is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def no_attribute(owner: object, name: str, hints: Mapping[str, str]) -> AttributeError:
    """The error for an attribute that is not there, with what to write instead if `hints` has a word on that name.

    >>> no_attribute([], "size", {"size": "Use len(x)."})
    AttributeError("'list' object has no attribute 'size'. Use len(x).")
    """
    hint = f". {hints[name]}" if name in hints else ""
    return AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=owner)


class NonFiniteError(FloatingPointError):
    """Infinity or NaN where a number must be finite; `time` is the number of the step that found it, of those run at once."""

    time = 0


class CaptureError(RuntimeError):
    """What a function does cannot be recorded and replayed."""


class NotNumbers(TypeError):
    """Numbers were asked of a symbol, which stands for a tensor that is computed later."""

    def __init__(self, symbol: Any, message: str) -> None:
        super().__init__(message)
        self.symbol = symbol


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
    **dict.fromkeys(("unbind", "unstack"), "Write mw.unstack(x, axis)."),
    **dict.fromkeys(("split", "chunk"), "Write mw.split(x, parts, axis)."),
    "narrow": "Write a slice: x[2:5].",
    **dict.fromkeys(("zero_grad", "zero_"), "Set x.grad = None before the next backward()."),
    **dict.fromkeys(("add_", "sub_", "mul_", "div_", "copy_", "fill_"), "Write x.assign(...) under `with mw.no_grad():`."),
    **dict.fromkeys(("requires_grad_", "detach_"), "Set x.requires_grad, or write x.detach()."),
    **dict.fromkeys(("grad_fn", "is_leaf"), "x.op is the operation that made it, None for a leaf."),
}
