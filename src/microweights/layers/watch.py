"""A look at what each layer of a network gives, and where it first is infinite or NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..kernels import door
from ..state import no_grad
from ..tensor import FLOATS, Tensor
from ..tree import leaves_of
from .base import Layer


def first_nonfinite(model: Layer, x: Any, y: Any) -> str | None:
    """Where a forward pass first meets infinity or NaN: in the data, the weights, or the output of a layer.

    `x` and `y` are tensors, nests of them, or None.
    """
    if not all(map(_is_finite, leaves_of(x))):
        return "the input data"
    if not all(map(_is_finite, leaves_of(y))):
        return "the targets"
    for name, w in model.named_weights().items():
        if not _is_finite(w):
            return f"the weights {name!r}"
    found: list[str] = []

    def look(layer: Layer, z: Tensor) -> None:
        if not found and not _is_finite(z):
            found.append(f"the output of layer {layer.name!r}")

    with no_grad(), watched(model, look):
        model(x, training=False)
    return found[0] if found else None


def _is_finite(t: Tensor | None) -> bool:
    return t is None or t.dtype not in FLOATS or door.all_finite(t.data)


@contextmanager
def watched(model: Layer, look: Callable[[Layer, Tensor], Any]) -> Iterator[None]:
    """Within this context, `look` is shown the result of every layer in the model, tensor by tensor."""

    def watch(layer: Layer, call: Any) -> Any:
        def shown(*args: Any, **options: Any) -> Any:
            z = call(*args, **options)
            for t in leaves_of(z):
                if isinstance(t, Tensor):
                    look(layer, t)
            return z

        return shown

    inner = [layer for _, layer in model.walk() if layer is not model]
    try:
        for layer in inner:
            layer.__dict__["call"] = watch(layer, layer.call)
        yield
    finally:
        for layer in inner:
            layer.__dict__.pop("call", None)
