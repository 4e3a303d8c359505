"""Layers that make one tensor of several."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .. import ops
from ..errors import explain
from ..tensor import Tensor
from .base import Layer

__all__ = [
    "Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract", "add", "average", "concatenate",
    "dot", "maximum", "minimum", "multiply", "subtract",
]  # fmt: skip

Inputs = Sequence[Tensor]
EPSILON = 1e-7  # Keras's: vectors that are shorter count as that long


class Merge(Layer):
    """Takes a list of tensors of one shape, or of shapes that broadcast; where axes are missing, they stand after the first."""

    supports_masking = True
    _count: ClassVar[int | None] = None  # of inputs, if there must be so many
    _pair: Callable[[Any, Any], Any]  # what two of them make

    def call(self, inputs: Inputs) -> Tensor:
        if not isinstance(inputs, (list, tuple)) or not inputs or self._count not in (None, len(inputs)):
            count = self._count or "at least one"
            received = f"{len(inputs)} of them" if isinstance(inputs, (list, tuple)) else type(inputs).__name__
            remedy = "Put the inputs into a list."
            raise ValueError(explain(f"a list of {count} tensors as the input of {self!r}", received, remedy))
        return self._merged(inputs)

    def _merged(self, inputs: Inputs) -> Tensor:
        ndim = max(x.ndim for x in inputs)
        wide = [x.reshape(*x.shape[:1], *[1] * (ndim - x.ndim), *x.shape[1:]) for x in inputs]
        return functools.reduce(self._pair, wide)

    def compute_mask(self, inputs: Inputs, previous_mask: Any = None) -> Any:
        """What one of the masks leaves; none, if there are inputs without one."""
        if previous_mask is None or any(mask is None for mask in previous_mask):
            return None
        return functools.reduce(_either, previous_mask)


class Add(Merge):
    """The sum of a list of tensors.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Add()([mw.tensor([[1.0, 2.0]]), mw.tensor([[3.0, 4.0]])]).tolist()
    [[4.0, 6.0]]
    """

    _pair = staticmethod(operator.add)


class Subtract(Merge):
    """The first of two tensors without the second."""

    _count = 2
    _pair = staticmethod(operator.sub)


class Multiply(Merge):
    """The product of a list of tensors, element by element; what is masked counts as 1, and what is in all of them gives 0."""

    _pair = staticmethod(operator.mul)

    def _merged(self, inputs: Inputs) -> Tensor:
        z = super()._merged([x if x.mask is None else ops.where(_of_elements(x), x, 1.0) for x in inputs])
        if any(x.mask is None for x in inputs):
            return z
        return ops.where(functools.reduce(_either, map(_of_elements, inputs)), z, 0.0)


class Average(Merge):
    """The mean of a list of tensors, element by element."""

    _pair = staticmethod(operator.add)

    def _merged(self, inputs: Inputs) -> Tensor:
        return super()._merged(inputs) / len(inputs)


class Extreme(Merge):
    """What is masked in one does not count beside what is not in another."""

    def _merged(self, inputs: Inputs) -> Tensor:
        if all(x.mask is None for x in inputs):
            return super()._merged(inputs)
        z, *others = inputs
        kept = None if z.mask is None else _of_elements(z)
        for x in others:
            mask = None if x.mask is None else _of_elements(x)
            x = x if mask is None else ops.where(mask, x, z)
            z = self._pair(z if kept is None else ops.where(kept, z, x), x)
            kept = None if kept is None or mask is None else _either(kept, mask)
        return z


class Maximum(Extreme):
    """The largest of a list of tensors, element by element; what is masked in one does not count."""

    _pair = staticmethod(ops.maximum)


class Minimum(Extreme):
    """The smallest of a list of tensors, element by element; what is masked in one does not count."""

    _pair = staticmethod(ops.minimum)


class Concatenate(Merge):
    """A list of tensors joined along an axis that they have.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.layers.Concatenate()([mw.tensor([[1.0, 2.0]]), mw.tensor([[3.0]])]).tolist()
    [[1.0, 2.0, 3.0]]
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def _merged(self, inputs: Inputs) -> Tensor:
        return ops.concatenate(inputs, self.axis)

    def compute_mask(self, inputs: Inputs, previous_mask: Any = None) -> Tensor | None:
        """The masks joined as the inputs are; an input without one is data."""
        if previous_mask is None or all(mask is None for mask in previous_mask):
            return None
        kept = []
        for x, mask in zip(inputs, previous_mask, strict=True):
            ones = x.zeros_like() + 1
            kept.append(ones if mask is None else ones * _spread(mask, x.ndim))
        return ops.concatenate(kept, self.axis).max(-1) > 0


class Dot(Merge):
    """The sum of products along one axis of each of two tensors, sample by sample.

    Parameters
    ----------
    axes : int or tuple of two int
        The axis of the first and of the second tensor to sum over; not that of samples.
    normalize : bool
        Scale to length 1 along these axes before: the products are cosines.

    Inputs of shapes (samples, a, n) and (samples, n, b) with `axes=(2, 1)` give (samples, a, b); where no other axis is left,
    (samples, 1).
    """

    _count = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **options: Any) -> None:
        super().__init__(**options)
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes) if isinstance(axes, (list, tuple)) else ()
        if len(pair) != 2 or not all(isinstance(a, int) and a != 0 for a in pair):
            remedy = "Count from the axis of samples, which is 0 and stays."
            raise ValueError(explain("`axes` to be an axis, or one of each of the two inputs", repr(axes), remedy))
        self.axes, self.normalize = axes, normalize

    def _merged(self, inputs: Inputs) -> Tensor:
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        places = [ops.one_axis(axis, x.ndim) for axis, x in zip(axes, inputs, strict=True)]
        x, y = (self._scaled(x, a).transpose(_moved_last(x.ndim, a)) for x, a in zip(inputs, places, strict=True))
        if x.shape[-1] != y.shape[-1]:
            received = f"shapes {inputs[0].shape} and {inputs[1].shape}"
            raise ValueError(explain(f"as many elements along axes {tuple(axes)}", received, "Choose other `axes`."))
        left, right = (t.reshape(t.shape[0], math.prod(t.shape[1:-1]), t.shape[-1]) for t in (x, y))
        z = left @ right.transpose(0, 2, 1)
        return z.reshape(x.shape[0], *(x.shape[1:-1] + y.shape[1:-1] or (1,)))

    def compute_mask(self, inputs: Inputs, previous_mask: Any = None) -> None:
        return None

    def _scaled(self, x: Tensor, axis: int) -> Tensor:
        return x / ops.maximum(x.square().sum(axis, keepdims=True), EPSILON**2).sqrt() if self.normalize else x


def _either(a: Tensor, b: Tensor) -> Tensor:
    return ops.maximum(a, b) > 0


def _spread(mask: Tensor, ndim: int) -> Tensor:
    return mask.reshape(*mask.shape, *[1] * (ndim - mask.ndim))


def _of_elements(x: Tensor) -> Tensor:
    """The mask of a tensor, with as many axes."""
    assert x.mask is not None
    return _spread(x.mask, x.ndim)


def _moved_last(ndim: int, axis: int) -> list[int]:
    return [*(i for i in range(ndim) if i != axis), axis]


def add(inputs: Inputs, **options: Any) -> Any:
    """`Add(**options)(inputs)`"""
    return Add(**options)(inputs)


def subtract(inputs: Inputs, **options: Any) -> Any:
    """`Subtract(**options)(inputs)`"""
    return Subtract(**options)(inputs)


def multiply(inputs: Inputs, **options: Any) -> Any:
    """`Multiply(**options)(inputs)`"""
    return Multiply(**options)(inputs)


def average(inputs: Inputs, **options: Any) -> Any:
    """`Average(**options)(inputs)`"""
    return Average(**options)(inputs)


def maximum(inputs: Inputs, **options: Any) -> Any:
    """`Maximum(**options)(inputs)`"""
    return Maximum(**options)(inputs)


def minimum(inputs: Inputs, **options: Any) -> Any:
    """`Minimum(**options)(inputs)`"""
    return Minimum(**options)(inputs)


def concatenate(inputs: Inputs, axis: int = -1, **options: Any) -> Any:
    """`Concatenate(axis, **options)(inputs)`"""
    return Concatenate(axis, **options)(inputs)


def dot(inputs: Inputs, axes: int | Sequence[int] = -1, **options: Any) -> Any:
    """`Dot(axes, **options)(inputs)`"""
    return Dot(axes, **options)(inputs)
