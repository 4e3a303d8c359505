"""Convolution, its transpose, and the gradient of its weights: each is the gradient of the two others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import explain
from ..kernels import door
from ..kernels.door import Windows
from ..tensor import Array, Operand, Tensor, real
from .base import Op, case, takes_symbols
from .matmul import GRADIENTS
from .reduce import Sum
from .shape import broadcast_to, reshape

__all__ = ["Conv", "ConvTranspose", "ConvWeightGrad", "conv", "conv_transpose", "depthwise_conv"]

Sizes = tuple[int, ...]

_CASES: list[dict[str, Any]] = [
    {"windows": Windows((1, 1), (1, 1), (1, 0)), "x": (2, 3, 5, 2), "w": (2, 3, 2, 3), "z": (2, 3, 3, 3)},
    {"windows": Windows((2, 1), (1, 2), (0, 2)), "x": (1, 5, 4, 3), "w": (3, 2, 3, 1), "z": (1, 2, 5, 1)},
    {"windows": Windows((3,), (1,), (1,)), "x": (2, 7, 1), "w": (2, 1, 4), "z": (2, 3, 4)},
    {"windows": Windows((1, 1), (1, 1), (0, 0), 2), "x": (2, 3, 3, 4), "w": (2, 2, 2, 4), "z": (2, 2, 2, 4)},
    {"windows": Windows((1, 2), (1, 1), (1, 1), 3), "x": (1, 3, 4, 3), "w": (3, 3, 1, 6), "z": (1, 3, 2, 6)},
    {"windows": Windows((1, 2, 1), (1, 1, 1), (0, 1, 0)), "x": (1, 2, 3, 3, 1), "w": (2, 2, 2, 1, 2), "z": (1, 1, 2, 2, 2)},
]


class Convolved(Op):
    """What the two convolutions share: windows, the size of the result on each axis, and an epilogue."""

    def __init__(self, windows: Windows, size: Sizes, activation: str = "linear") -> None:
        self.windows, self.size, self.activation = windows, size, activation

    def activation_grad(self, dz: Tensor) -> Tensor:
        return dz if self.activation == "linear" else GRADIENTS[self.activation]()(dz, self.output)

    def bias_grad(self, da: Tensor) -> tuple[Tensor | None, ...]:
        """Of the bias, if there is one."""
        return tuple(Sum(tuple(range(da.ndim - 1)))(da) if needed else None for needed in self.needs[2:])


class Conv(Convolved):
    """Z = f(X * W + b),  Z[n, o] = f(Σ over taps t of X[n, o strides - before + t dilation] @ W[t] + b)

    dA = dZ f'(A)        dX = dA *ᵀ W        dW[t] = Σ over n, o of X[n, …]ᵀ @ dA[n, o]        db = Σ dA
    """

    cases = [
        *[case(c["x"], c["w"], windows=c["windows"], size=c["z"][1:-1]) for c in _CASES],
        *[
            case((1, 4, 4, 2), (3, 3, 2, 3), (3,), low=low, windows=Windows((1, 1), (1, 1), (1, 1)), size=(4, 4), activation=f)
            for f, low in (("linear", -2.0), ("relu", 0.1), ("tanh", -2.0), ("sigmoid", -2.0))
        ],
    ]

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        return door.conv(x, w, b, self.windows, self.size, self.activation)

    def backward(self, dz: Tensor) -> Any:
        da = self.activation_grad(dz)
        x, w = self._inputs[:2]
        dx = ConvTranspose(self.windows, x.shape[1:-1])(da, self.input(1)) if self.needs[0] else None
        dw = ConvWeightGrad(self.windows, w.shape[:-2])(self.input(0), da) if self.needs[1] else None
        return (dx, dw, *self.bias_grad(da))


class ConvTranspose(Convolved):
    """X = f(Z *ᵀ W + b): each Z[n, o] @ W[t]ᵀ is added to X[n, o strides - before + t dilation]; to X = f(0 + b), at first.

    dA = dX f'(A)        dZ = dA * W        dW[t] = Σ over n, o of dA[n, …]ᵀ @ Z[n, o]        db = Σ dA
    """

    cases = [
        *[case(c["z"], c["w"], windows=c["windows"], size=c["x"][1:-1]) for c in _CASES],
        *[
            case((1, 2, 3, 2), (3, 2, 3, 2), (3,), windows=Windows((2, 1), (1, 1), (0, 0)), size=(5, 4), activation=f)
            for f in ("linear", "tanh")
        ],
    ]

    def forward(self, z: Array, w: Array, b: Array | None = None) -> Array:
        return door.conv_transpose(z, w, b, self.windows, self.size, self.activation)

    def backward(self, dx: Tensor) -> Any:
        da = self.activation_grad(dx)
        z, w = self._inputs[:2]
        dz = Conv(self.windows, z.shape[1:-1])(da, self.input(1)) if self.needs[0] else None
        dw = ConvWeightGrad(self.windows, w.shape[:-2])(da, self.input(0)) if self.needs[1] else None
        return (dz, dw, *self.bias_grad(da))


class ConvWeightGrad(Op):
    """dW[t] = Σ over n, o of X[n, o strides - before + t dilation]ᵀ @ dZ[n, o]        dX = dZ *ᵀ G        ddZ = X * G"""

    cases = [case(c["x"], c["z"], windows=c["windows"], size=c["w"][:-2]) for c in _CASES]

    def __init__(self, windows: Windows, size: Sizes) -> None:
        self.windows, self.size = windows, size

    def forward(self, x: Array, dz: Array) -> Array:
        return door.conv_weight_grad(x, dz, self.windows, self.size)

    def backward(self, g: Tensor) -> Any:
        x, dz = self._inputs
        dx = ConvTranspose(self.windows, x.shape[1:-1])(self.input(1), g) if self.needs[0] else None
        return dx, Conv(self.windows, dz.shape[1:-1])(self.input(0), g) if self.needs[1] else None


# ---- functions that check before they choose ----------------------------------------------------------------------


def sizes(name: str, given: int | Sequence[int], axes: int, least: int = 1) -> Sizes:
    """A number for all axes, or one for each, as a tuple.

    Raises
    ------
    ValueError
        If it is neither.
    """
    found: tuple[Any, ...] = tuple(given) if isinstance(given, (tuple, list)) else (given,) * axes
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= least for n in found)
    if len(found) != axes or not whole:
        remedy = "Give one for all axes, or one for each."
        raise ValueError(explain(f"`{name}` to be an integer from {least}, or {axes} of them", repr(given), remedy))
    return tuple(map(int, found))


def padding_of(given: Any) -> str:
    """A `padding` argument in small letters.

    Raises
    ------
    ValueError
        If it is no word.
    """
    if not isinstance(given, str):
        remedy = "Pad with mw.pad for widths of your own."
        raise ValueError(explain("`padding` to be a word such as 'valid' or 'same'", repr(given), remedy))
    return given.lower()


def _checked(name: str, x: Operand, kernel: Operand, bias: Operand | None) -> tuple[int, Sizes, list[Tensor]]:
    """The number of axes, the sizes of the kernel, and all as tensors of floats."""
    given = [real(t) for t in (x, kernel, bias) if t is not None]
    x, kernel = given[:2]
    axes = x.ndim - 2
    if not 1 <= axes <= 3 or kernel.ndim != x.ndim:
        expected = f"`{name}` to get images (samples, *axes, channels) of 1 to 3 axes, and a kernel of as many"
        raise ValueError(explain(expected, f"{x.shape} and {kernel.shape}", "Reshape one of them."))
    if 0 in kernel.shape:
        raise ValueError(explain("a kernel with taps, channels and filters", kernel.shape, "No size may be 0."))
    return axes, kernel.shape[:-2], given


def output_size(n: int, k: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """How many positions a kernel of k taps takes along an axis of n, and how many zeros stand before it.

    Raises
    ------
    ValueError
        If there is none, or no such padding.
    """
    extent = (k - 1) * dilation + 1
    if padding == "valid":
        if n < extent:
            received = f"a kernel that covers {extent} on an axis of {n}"
            raise ValueError(explain("a kernel no larger than the image", received, "Use padding='same', or a smaller kernel."))
        return (n - extent) // stride + 1, 0
    if padding == "same":
        count = -(-n // stride)
        return count, max(0, (count - 1) * stride + extent - n) // 2
    if padding == "causal":
        return -(-n // stride), extent - 1
    raise ValueError(
        explain("`padding` out of 'valid', 'same' and, on one axis, 'causal'", repr(padding), "Check the spelling.")
    )


def transposed_size(n: int, k: int, stride: int, dilation: int, padding: str, more: int | None) -> tuple[int, int]:
    """The positions of a transposed convolution along an axis of n, with Keras's output_padding, and those cut off in front.

    Raises
    ------
    ValueError
        If there is no such padding, or nothing is left.
    """
    extent = (k - 1) * dilation + 1
    if padding == "valid":
        size, before = (n - 1) * stride + (max(extent, stride) if more is None else extent + more), 0
    elif padding == "same":
        added = stride + extent - 2 if more is None else extent + extent % 2 - 2 + more
        size, before = (n - 1) * stride + 2 - extent + added, extent - 1 - min(added // 2 + added % 2, extent - 1)
    else:
        raise ValueError(explain("`padding` out of 'valid' and 'same'", repr(padding), "Check the spelling."))
    if size < 1 and n > 0:
        raise ValueError(
            explain("a transposed convolution that leaves something", f"{size} positions", "Raise output_padding.")
        )
    return max(size, 0), before


@takes_symbols
def conv(
    x: Operand,
    kernel: Operand,
    bias: Operand | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    dilation_rate: int | Sequence[int] = 1,
    groups: int = 1,
    activation: str = "linear",
) -> Tensor:
    """activation(x * kernel + bias): a weighted sum of what each window of an image holds, by the same weights everywhere.

    Parameters
    ----------
    x : Tensor or array
        Images (samples, *axes, channels) with one, two or three axes.
    kernel : Tensor or array
        Weights (*taps, channels / groups, filters).
    bias : Tensor or array, optional
        One number for each filter.
    strides, dilation_rate : int or sequence of int
        Steps from window to window, and from tap to tap.
    padding : str
        "valid": windows inside of the image only; "same": as many as the image has positions, by zeros around it; "causal", on
        one axis: zeros in front alone, so that no position sees a later one.
    groups : int
        Channels and filters are cut into so many groups; a filter sees the channels of its group.
    activation : str
        "linear", "relu", "sigmoid" or "tanh".

    Returns
    -------
    Tensor
        (samples, *positions, filters).

    Raises
    ------
    ValueError
        If shapes, groups or numbers do not fit each other.

    Examples
    --------
    >>> import microweights as mw
    >>> from microweights.ops.conv import conv
    >>> conv(mw.tensor([[[1.0], [2.0], [4.0]]]), mw.tensor([[[1.0]], [[10.0]]])).tolist()
    [[[21.0], [42.0]]]
    """
    axes, taps, given = _checked("conv", x, kernel, bias)
    steps, gaps = sizes("strides", strides, axes), sizes("dilation_rate", dilation_rate, axes)
    kind = padding_of(padding)
    if kind == "causal" and axes != 1:
        raise ValueError(explain("`padding='causal'` on one axis", f"{axes} axes", "Use 'same'."))
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)):
        raise TypeError(explain("`groups` to be an integer", repr(groups), "1 is all in one."))
    found = [output_size(*axis, kind) for axis in zip(given[0].shape[1:-1], taps, steps, gaps, strict=True)]
    windows = Windows(steps, gaps, tuple(before for _, before in found), int(groups))
    return Conv(windows, tuple(count for count, _ in found), activation)(*given)


@takes_symbols
def conv_transpose(
    x: Operand,
    kernel: Operand,
    bias: Operand | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    activation: str = "linear",
) -> Tensor:
    """The transpose of a convolution: each position gives its numbers, weighted, to all that a window there would see.

    Parameters
    ----------
    x : Tensor or array
        Images (samples, *axes, channels) with one, two or three axes.
    kernel : Tensor or array
        Weights (*taps, filters, channels): those of a convolution from filters to channels.
    bias : Tensor or array, optional
        One number for each filter.
    strides, dilation_rate : int or sequence of int
        As of the convolution.
    padding : str
        "valid": all positions that get something; "same": strides times as many as come in.
    output_padding : int or sequence of int, optional
        How many positions there are on an axis beyond those needed, as Keras counts them.
    activation : str
        "linear", "relu", "sigmoid" or "tanh".

    Returns
    -------
    Tensor
        (samples, *positions, filters).

    Raises
    ------
    ValueError
        If shapes or numbers do not fit each other.

    Examples
    --------
    >>> import microweights as mw
    >>> mw.ops.conv_transpose(mw.tensor([[[1.0], [2.0]]]), mw.tensor([[[1.0]], [[10.0]]])).tolist()
    [[[1.0], [12.0], [20.0]]]
    """
    axes, taps, given = _checked("conv_transpose", x, kernel, bias)
    steps, gaps = sizes("strides", strides, axes), sizes("dilation_rate", dilation_rate, axes)
    more = (None,) * axes if output_padding is None else sizes("output_padding", output_padding, axes, 0)
    found = [
        transposed_size(*axis[:4], padding_of(padding), axis[4])
        for axis in zip(given[0].shape[1:-1], taps, steps, gaps, more, strict=True)
    ]
    windows = Windows(steps, gaps, tuple(before for _, before in found))
    return ConvTranspose(windows, tuple(size for size, _ in found), activation)(*given)


@takes_symbols
def depthwise_conv(
    x: Operand,
    kernel: Operand,
    bias: Operand | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    dilation_rate: int | Sequence[int] = 1,
    activation: str = "linear",
) -> Tensor:
    """A convolution of each channel by itself, with `multiplier` filters for each.

    Parameters are as of :func:`conv`, but that the kernel is (*taps, channels, multiplier); filter f of channel c comes out as
    channel c * multiplier + f.

    Raises
    ------
    ValueError
        If shapes or numbers do not fit each other.

    Examples
    --------
    >>> import microweights as mw
    >>> x = mw.tensor([[[1.0, 5.0], [2.0, 6.0]]])
    >>> mw.ops.depthwise_conv(x, mw.tensor([[[1.0], [1.0]], [[10.0], [0.0]]])).tolist()
    [[[21.0, 5.0]]]
    """
    _, taps, (x, kernel, *_) = _checked("depthwise_conv", x, kernel, None)
    channels = kernel.shape[-2]
    if channels != x.shape[-1]:
        remedy = "The last axis but one of the kernel has one entry for each channel."
        raise ValueError(explain(f"a kernel for {x.shape[-1]} channels", kernel.shape, remedy))
    multiplier = kernel.shape[-1]
    if multiplier > 1:  # each channel, so many times over
        x = reshape(broadcast_to(reshape(x, (*x.shape, 1)), (*x.shape, multiplier)), (*x.shape[:-1], channels * multiplier))
    grouped = reshape(kernel, (*taps, 1, channels * multiplier))
    options: dict[str, Any] = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate, "activation": activation}
    return conv(x, grouped, bias, groups=channels * multiplier, **options)
