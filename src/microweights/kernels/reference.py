"""Every kernel's twin in plain NumPy: the same name, the same arguments, arrays where C takes pointers.

The tests hold C against them, and `MICROWEIGHTS_BACKEND=numpy` runs the whole library on them. They say what a kernel
computes in the fewest words; csrc/kernels.h says it in prose.
"""

from __future__ import annotations

import builtins
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .header import ENUMS

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]  # as numpy.typing.NDArray[Any], which costs 6 ms to import

# ---- matrix product ------------------------------------------------------------------------------------------------


def _finish(c: Array, bias: Array | None, plan: Any) -> None:
    """The epilogue: c = f(c + bias)."""
    if bias is not None:
        c += bias
    if plan.activation:
        _activation(plan)(c, c, None)


def _epilogue_grad(dz: Array, z: Any, da: Any, db: Any, plan: Any) -> Array:
    """da = dz f'(z), and db = Σ da over the rows."""
    if plan.activation:
        _activation(plan, "_grad")(dz, z, da, None)
    else:
        da = dz
    if db is not None:
        np.sum(da.reshape(-1, len(db)), axis=0, out=db)
    return np.asarray(da)


def _activation(plan: Any, suffix: str = "") -> Callable[..., None]:
    """The twin of a plan's activation."""
    names = [name for name, number in ENUMS["activation"].items() if number == plan.activation]
    twin: Callable[..., None] = globals()[names[0] + suffix]
    return twin


def gemm(a: Array, b: Array, bias: Array | None, c: Array, plan: Any) -> None:
    np.matmul(a, b, out=c)
    _finish(c, bias, plan)


def dense_grad(dz: Array, z: Any, x: Array, w: Array, da: Any, dx: Any, dw: Any, db: Any, plan: Any) -> None:
    da = _epilogue_grad(dz, z, da, db, plan)
    if dx is not None:
        np.matmul(da, w.T, out=dx)
    if dw is not None:
        np.matmul(x.T, da, out=dw)


# ---- convolution ---------------------------------------------------------------------------------------------------


def _padded(plan: Any) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """The shape of the images with all that windows see around them, and where in it the images are."""
    axes = list(zip(plan.input, plan.kernel, plan.output, plan.stride, plan.dilation, plan.before, strict=True))
    sizes = [builtins.max(b + n, (o - 1) * s + (k - 1) * d + 1) for n, k, o, s, d, b in axes]
    return (plan.images, *sizes, plan.channels), (slice(None), *[slice(b, b + n) for n, *_, b in axes])


def _taps(plan: Any, padded: Array) -> Any:
    """Each tap of the kernel, with a view of what it sees: images×output×channels."""
    for tap in np.ndindex(*plan.kernel):
        axes = zip(tap, plan.output, plan.stride, plan.dilation, strict=True)
        yield tap, padded[(slice(None), *[slice(t * d, t * d + (o - 1) * s + 1, s) for t, o, s, d in axes])]


def _groups(a: Array, plan: Any) -> Array:
    """(..., channels) as (groups, positions, channels / groups)."""
    return a.reshape(math.prod(a.shape[:-1]), plan.groups, a.shape[-1] // plan.groups).swapaxes(0, 1)


def _weights(w: Array, plan: Any) -> Array:
    """(kernel, groups, channels / groups, filters / groups), a view."""
    shape = (*plan.kernel, plan.channels // plan.groups, plan.groups, plan.filters // plan.groups)
    return np.moveaxis(w.reshape(shape), -2, 3)


def conv(x: Array, w: Array, mean: Any, variance: Any, gamma: Any, bias: Array | None, added: Any, z: Array, plan: Any) -> None:
    shape, inside = _padded(plan)
    padded = np.zeros(shape, x.dtype)
    padded[inside] = x.reshape(padded[inside].shape)
    weights, sums = _weights(w, plan), _groups(np.zeros(z.shape, z.dtype), plan)
    for tap, seen in _taps(plan, padded):
        sums += _groups(seen, plan) @ weights[tap]
    z[...] = sums.swapaxes(0, 1).reshape(z.shape)
    if mean is not None:
        z -= mean
        z *= (1 if gamma is None else gamma) / np.sqrt(variance + z.dtype.type(plan.epsilon))
    if added is not None:
        z += added.reshape(z.shape) if bias is None else bias
        bias = None if bias is None else added.reshape(z.shape)
    _finish(z, bias, plan)


def conv_transpose(z: Array, w: Array, bias: Array | None, x: Array, plan: Any) -> None:
    shape, inside = _padded(plan)
    padded, weights, given = np.zeros(shape, x.dtype), _weights(w, plan), _groups(z, plan)
    for tap, seen in _taps(plan, padded):
        seen += (given @ weights[tap].swapaxes(-1, -2)).swapaxes(0, 1).reshape(seen.shape)
    x[...] = padded[inside].reshape(x.shape)
    _finish(x, bias, plan)


def conv_weight_grad(x: Array, dz: Array, dw: Array, plan: Any) -> None:
    shape, inside = _padded(plan)
    padded = np.zeros(shape, x.dtype)
    padded[inside] = x.reshape(padded[inside].shape)
    weights, given = _weights(dw, plan), _groups(dz, plan)
    for tap, seen in _taps(plan, padded):
        weights[tap] = _groups(seen, plan).swapaxes(-1, -2) @ given


# ---- pooling -------------------------------------------------------------------------------------------------------


def _places(plan: Any) -> Any:
    """For each place of a window: which outputs have it inside of the image, and which inputs it is for them."""
    for place in np.ndindex(*plan.window):
        outputs, inputs = [slice(None)], [slice(None)]
        for t, o, s, b, n in zip(place, plan.output, plan.stride, plan.before, plan.input, strict=True):
            first = builtins.max(0, -((t - b) // s))
            end = builtins.max(first, builtins.min(o, (n - 1 + b - t) // s + 1))
            outputs.append(slice(first, end))
            inputs.append(slice(first * s - b + t, (end - 1) * s - b + t + 1 if end > first else first * s - b + t, s))
        yield tuple(outputs), tuple(inputs)


def _images(a: Array, plan: Any) -> Array:
    return a.reshape(plan.images, *plan.input, plan.channels)


def _pooled(a: Array, plan: Any) -> Array:
    return a.reshape(plan.images, *plan.output, plan.channels)


def _counts(plan: Any) -> Array:
    """What a mean is divided by: how many places each window has."""
    if plan.sums:
        return np.ones(1)
    counts = np.zeros((1, *plan.output, 1), int)
    for outputs, _ in _places(plan):
        counts[outputs] += 1
    return np.maximum(counts, 1)


def max_pool(x: Array, z: Array, plan: Any) -> None:
    x, largest = _images(x, plan), _pooled(z, plan)
    largest[...] = -np.inf
    for outputs, inputs in _places(plan):
        largest[outputs] = np.maximum(largest[outputs], x[inputs])


def _hits(x: Array, z: Array, plan: Any) -> Any:
    """Each place of a window, and the outputs whose largest stands there first."""
    x, z = _images(x, plan), _pooled(z, plan)
    is_open = np.ones(z.shape, bool)
    for outputs, inputs in _places(plan):
        same = (x[inputs] == z[outputs]) | (np.isnan(x[inputs]) & np.isnan(z[outputs]))
        hit = is_open[outputs] & same
        is_open[outputs] &= ~hit
        yield outputs, inputs, hit


def max_pool_grad(dz: Array, x: Array, z: Array, dx: Array, plan: Any) -> None:
    dz, dx = _pooled(dz, plan), _images(dx, plan)
    dx[...] = 0
    for outputs, inputs, hit in _hits(x, z, plan):
        dx[inputs] += np.where(hit, dz[outputs], 0)


def max_pool_pick(y: Array, x: Array, z: Array, out: Array, plan: Any) -> None:
    y, out = _images(y, plan), _pooled(out, plan)
    out[...] = 0
    for outputs, inputs, hit in _hits(x, z, plan):
        out[outputs] = np.where(hit, y[inputs], out[outputs])


def average_pool(x: Array, z: Array, plan: Any) -> None:
    x, sums = _images(x, plan), np.zeros((plan.images, *plan.output, plan.channels), z.dtype)
    for outputs, inputs in _places(plan):
        sums[outputs] += x[inputs]
    z[...] = (sums / _counts(plan).astype(z.dtype)).reshape(z.shape)


def average_pool_grad(dz: Array, dx: Array, plan: Any) -> None:
    shares, dx = _pooled(dz, plan) / _counts(plan).astype(dz.dtype), _images(dx, plan)
    dx[...] = 0
    for outputs, inputs in _places(plan):
        dx[inputs] += shares[outputs]


# ---- normalisation -------------------------------------------------------------------------------------------------


def moments(x: Array, mean: Array, variance: Array, plan: Any) -> None:
    mean[...] = np.sum(x, axis=0) / builtins.max(len(x), 1)
    variance[...] = np.sum((x - mean) ** 2, axis=0) / builtins.max(len(x), 1)


def normalize(x: Array, mean: Array, variance: Array, gamma: Any, bias: Any, z: Array, plan: Any) -> None:
    scale = (1 if gamma is None else gamma) / np.sqrt(variance + x.dtype.type(plan.epsilon))
    z[...] = (x - mean) * scale
    _finish(z, bias, plan)


def normalize_sums(dz: Array, x: Array, mean: Array, variance: Array, dgamma: Array, dbias: Array, plan: Any) -> None:
    dgamma[...] = np.sum(dz * (x - mean), axis=0) / np.sqrt(variance + x.dtype.type(plan.epsilon))
    dbias[...] = np.sum(dz, axis=0)


def normalize_grad(
    dz: Array, x: Array, mean: Array, variance: Array, gamma: Any, dgamma: Array, dbias: Array, dx: Array, plan: Any
) -> None:
    deviation, rows = np.sqrt(variance + x.dtype.type(plan.epsilon)), builtins.max(len(x), 1)
    dx[...] = (dz - dbias / rows - (x - mean) / deviation * dgamma / rows) * ((1 if gamma is None else gamma) / deviation)


def _row_normal(x: Array, plan: Any) -> tuple[Array, Array]:
    """Each row less its mean over its deviation, and 1 / deviation."""
    apart = x - np.mean(x, axis=1, keepdims=True) if plan.centered else x
    scale = 1 / np.sqrt(np.mean(apart**2, axis=1, keepdims=True) + x.dtype.type(plan.epsilon))
    return apart * scale, scale


def row_norm(x: Array, gamma: Any, bias: Any, z: Array, plan: Any) -> None:
    z[...] = _row_normal(x, plan)[0] * (1 if gamma is None else gamma)
    _finish(z, bias, plan)


def row_norm_grad(dz: Array, x: Array, gamma: Any, dx: Any, dgamma: Any, dbias: Any, plan: Any) -> None:
    normal, scale = _row_normal(x, plan)
    given = dz if gamma is None else dz * gamma
    if dx is not None:
        shift = np.mean(given, axis=1, keepdims=True) if plan.centered else 0
        dx[...] = (given - shift - normal * np.mean(given * normal, axis=1, keepdims=True)) * scale
    if dgamma is not None:
        dgamma[...] = np.sum(dz * normal, axis=0)
    if dbias is not None:
        dbias[...] = np.sum(dz, axis=0)


def blend(x: Array, average: Array, n: int, momentum: float) -> None:
    average[...] = average * average.dtype.type(momentum) + x * average.dtype.type(1 - momentum)


# ---- images in motion ------------------------------------------------------------------------------------------------


def _found(i: Array, n: int, fill: int) -> tuple[Array, Array]:
    """The indices on an axis of n that stand for others, and whether there is one."""
    inside = (i >= 0) & (i < n)
    mirrored = i % (2 * n)
    fills = [i, np.clip(i, 0, n - 1), i % n, np.where(mirrored < n, mirrored, 2 * n - 1 - mirrored)]
    return np.clip(np.where(inside, i, fills[fill]), 0, n - 1), inside if fill == 0 else np.ones_like(inside)


def _sources(motion: Array, plan: Any) -> Any:
    """The pixels that go into each place of the result: rows and columns, whether there are any, and their shares."""
    angle, tall, wide, down, right = (motion.reshape(plan.images, 5).astype(float).T)[..., None, None]
    middle = [(n - 1) / 2 for n in plan.input]
    v, u = np.arange(plan.output[0])[:, None] - middle[0], np.arange(plan.output[1]) - middle[1]
    places = [tall * (np.sin(angle) * u + np.cos(angle) * v) + middle[0] - down,
              wide * (np.cos(angle) * u - np.sin(angle) * v) + middle[1] - right]  # fmt: skip
    y, x = [np.where((p > -1e6) & (p < 1e6), p, -1e6) for p in places]
    if plan.interpolation == ENUMS["interpolation"]["nearest"]:
        corners = [(np.rint(y), np.rint(x), np.ones_like(y))]
    else:
        top, left = np.floor(y), np.floor(x)
        pairs = [(y - top, x - left), (1 - (y - top), 1 - (x - left))]
        corners = [(top + i, left + j, pairs[1 - i][0] * pairs[1 - j][1]) for i in (0, 1) for j in (0, 1)]
    for row, column, share in corners:
        rows, has_row = _found(row.astype(np.int64), plan.input[0], plan.fill)
        columns, has_column = _found(column.astype(np.int64), plan.input[1], plan.fill)
        yield rows, columns, (has_row & has_column)[..., None], share.astype(motion.dtype)[..., None]


def warp(x: Array, motion: Array, z: Array, plan: Any) -> None:
    images = x.reshape(plan.images, *plan.input, plan.channels)
    sums = np.zeros((plan.images, *plan.output, plan.channels), z.dtype)
    for rows, columns, has_any, share in _sources(motion, plan):
        seen = images[np.arange(plan.images)[:, None, None], rows, columns]
        sums += share * np.where(has_any, seen, z.dtype.type(plan.fill_value))
    z[...] = sums.reshape(z.shape)


def warp_grad(dz: Array, motion: Array, dx: Array, plan: Any) -> None:
    given = dz.reshape(plan.images, *plan.output, plan.channels)
    sums = np.zeros((plan.images, *plan.input, plan.channels), dx.dtype)
    for rows, columns, has_any, share in _sources(motion, plan):
        np.add.at(sums, (np.arange(plan.images)[:, None, None], rows, columns), np.where(has_any, share * given, 0))
    dx[...] = sums.reshape(dx.shape)


# ---- element-wise --------------------------------------------------------------------------------------------------


def copy(x: Array, z: Array, walk: Any) -> None:
    np.copyto(z, x)


def negative(x: Array, z: Array, walk: Any) -> None:
    np.negative(x, out=z)


def absolute(x: Array, z: Array, walk: Any) -> None:
    np.absolute(x, out=z)


def sign(x: Array, z: Array, walk: Any) -> None:
    np.sign(x, out=z)


def square(x: Array, z: Array, walk: Any) -> None:
    np.square(x, out=z)


def sqrt(x: Array, z: Array, walk: Any) -> None:
    np.sqrt(x, out=z)


def exp(x: Array, z: Array, walk: Any) -> None:
    np.exp(x, out=z)


def expm1(x: Array, z: Array, walk: Any) -> None:
    np.expm1(x, out=z)


def log(x: Array, z: Array, walk: Any) -> None:
    np.log(x, out=z)


def relu(x: Array, z: Array, walk: Any) -> None:
    np.maximum(x, 0, out=z)


def sigmoid(x: Array, z: Array, walk: Any) -> None:
    e = np.exp(-np.abs(x))
    z[...] = np.where(x >= 0, 1, e) / (1 + e)


def tanh(x: Array, z: Array, walk: Any) -> None:
    np.tanh(x, out=z)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def erf(x: Array, z: Array, walk: Any) -> None:
    z[...] = _erf(x)


def _normal_cdf(x: Array) -> Array:
    erfc = np.vectorize(math.erfc, otypes=[np.float64])
    return np.asarray(erfc(np.asarray(x, np.float64) / -math.sqrt(2)) / 2)


def _normal_pdf(x: Array) -> Array:
    wide = np.asarray(x, np.float64)
    return np.exp(-wide * wide / 2) / math.sqrt(2 * math.pi)


def gelu(x: Array, z: Array, walk: Any) -> None:
    z[...] = np.where(np.isneginf(x), 0, np.nan_to_num(x, nan=np.nan, neginf=0.0, posinf=np.inf) * _normal_cdf(x))


def softplus(x: Array, z: Array, walk: Any) -> None:
    z[...] = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def add(x: Array, y: Array, z: Array, walk: Any) -> None:
    np.add(x, y, out=z)


def subtract(x: Array, y: Array, z: Array, walk: Any) -> None:
    np.subtract(x, y, out=z)


def multiply(x: Array, y: Array, z: Array, walk: Any) -> None:
    np.multiply(x, y, out=z)


def divide(x: Array, y: Array, z: Array, walk: Any) -> None:
    np.divide(x, y, out=z)


def power(x: Array, y: Array, z: Array, walk: Any) -> None:
    np.power(x, y, out=z)


def maximum(x: Array, y: Array, z: Array, walk: Any) -> None:
    np.maximum(x, y, out=z)


def minimum(x: Array, y: Array, z: Array, walk: Any) -> None:
    np.minimum(x, y, out=z)


def squared_error(x: Array, y: Array, z: Array, walk: Any) -> None:
    np.square(x - y, out=z)


def soft_threshold(x: Array, y: Array, z: Array, walk: Any) -> None:
    z[...] = x - np.minimum(np.maximum(x, -y), y)


def binary_cross_entropy(x: Array, y: Array, z: Array, walk: Any) -> None:
    weight = np.where(x < 0, -y, 1 - y)
    linear = np.multiply(x, weight, out=np.zeros_like(z), where=weight != 0)  # an infinite logit without weight is no loss
    z[...] = linear + np.log1p(np.exp(-np.abs(x)))


def relu_grad(dz: Array, z: Array, dx: Array, walk: Any) -> None:
    dx[...] = np.where(z <= 0, 0, dz)


def sigmoid_grad(dz: Array, z: Array, dx: Array, walk: Any) -> None:
    dx[...] = dz * (z * (1 - z))


def tanh_grad(dz: Array, z: Array, dx: Array, walk: Any) -> None:
    dx[...] = dz * (1 - z * z)


def gelu_grad(dz: Array, x: Array, dx: Array, walk: Any) -> None:
    tail = np.where(np.isinf(x), 0, x) * _normal_pdf(x)
    dx[...] = dz * (_normal_cdf(x) + tail)


def squared_error_grad(dz: Array, x: Array, y: Array, dx: Array, walk: Any) -> None:
    dx[...] = 2 * dz * (x - y)


def binary_cross_entropy_grad(dz: Array, x: Array, y: Array, dx: Array, walk: Any) -> None:
    p = np.empty_like(x)
    sigmoid(x, p, None)
    dx[...] = dz * (p - y)


def less(x: Array, y: Array, z: Array, walk: Any) -> None:
    z[...] = x < y


def less_equal(x: Array, y: Array, z: Array, walk: Any) -> None:
    z[...] = x <= y


def equal(x: Array, y: Array, z: Array, walk: Any) -> None:
    z[...] = x == y


def not_equal(x: Array, y: Array, z: Array, walk: Any) -> None:
    z[...] = x != y


def where(condition: Array, x: Array, y: Array, z: Array, walk: Any) -> None:
    z[...] = np.where(condition, x, y)


cast_bool = cast_int8 = cast_int16 = cast_int32 = cast_int64 = copy
cast_uint8 = cast_uint16 = cast_uint32 = cast_float32 = cast_float64 = copy

# ---- reductions ----------------------------------------------------------------------------------------------------


def _middle(x: Array, plan: Any) -> Array:
    return x.reshape(plan.outer, plan.count, plan.inner)


def sum(x: Array, z: Array, plan: Any) -> None:
    z.reshape(plan.outer, plan.inner)[...] = _middle(x, plan).sum(axis=1) * x.dtype.type(plan.scale)


def max(x: Array, z: Array, plan: Any) -> None:
    z.reshape(plan.outer, plan.inner)[...] = _middle(x, plan).max(axis=1)


def min(x: Array, z: Array, plan: Any) -> None:
    z.reshape(plan.outer, plan.inner)[...] = _middle(x, plan).min(axis=1)


def argmax(x: Array, z: Array, plan: Any) -> None:
    z.reshape(plan.outer, plan.inner)[...] = _middle(x, plan).argmax(axis=1)


def argmin(x: Array, z: Array, plan: Any) -> None:
    z.reshape(plan.outer, plan.inner)[...] = _middle(x, plan).argmin(axis=1)


# ---- rows of probabilities -----------------------------------------------------------------------------------------


def _log_softmax(x: Array) -> Array:
    shifted = x - x.max(axis=-1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def softmax(x: Array, z: Array, plan: Any) -> None:
    z[...] = _softmax(x)


def log_softmax(x: Array, z: Array, plan: Any) -> None:
    z[...] = _log_softmax(x)


def softmax_grad(dz: Array, z: Array, dx: Array, plan: Any) -> None:
    dx[...] = z * (dz - (dz * z).sum(axis=-1, keepdims=True))


def log_softmax_grad(dz: Array, z: Array, dx: Array, plan: Any) -> None:
    dx[...] = dz - np.exp(z) * dz.sum(axis=-1, keepdims=True)


def _valid(label: Array, columns: int) -> Array:
    return np.asarray((label >= 0) & (label < columns))


def sparse_cross_entropy(x: Array, label: Array, loss: Array, mean: Array | None, plan: Any) -> None:
    valid = _valid(label, plan.columns)
    chosen = _log_softmax(x)[np.arange(plan.rows), np.where(valid, label, 0)]
    loss[...] = np.where(valid, -chosen, np.nan)
    if mean is not None:
        mean[...] = np.divide(loss.sum(dtype=np.float64), len(loss))


def sparse_cross_entropy_grad(dz: Array, x: Array, label: Array, dx: Array, plan: Any) -> None:
    valid = _valid(label, plan.columns)
    p = _softmax(x)
    p[np.arange(plan.rows), np.where(valid, label, 0)] -= 1
    dx[...] = np.where(valid[:, None], plan.scale * dz.reshape(-1, 1) * p, np.nan)


def cross_entropy(x: Array, target: Array, loss: Array, mean: Array | None, plan: Any) -> None:
    loss[...] = np.where(target == 0, 0, -target * _log_softmax(x)).sum(axis=1)
    if mean is not None:
        mean[...] = np.divide(loss.sum(dtype=np.float64), len(loss))


def cross_entropy_grad(dz: Array, x: Array, target: Array, dx: Array, plan: Any) -> None:
    dx[...] = plan.scale * dz.reshape(-1, 1) * (_softmax(x) * target.sum(axis=1, keepdims=True) - target)


# ---- rows by index -------------------------------------------------------------------------------------------------


def widen(x: Array, z: Array, n: int, size: int, is_signed: int) -> None:
    z.reshape(-1)[...] = x.reshape(-1).view(f"{'ui'[is_signed]}{size}")


def flat_index(before: Array | None, index: Array, flat: Array, n: int, size: int) -> None:
    flat[...] = (0 if before is None else before * size) + np.where(index < 0, index + size, index)


def gather(source: Array, index: Array, out: Array, plan: Any) -> None:
    np.take(source, index, axis=0, out=out, mode="clip")


def scatter_add(dz: Array, index: Array, out: Array, plan: Any) -> None:
    np.add.at(out, index, dz)


# ---- updates -------------------------------------------------------------------------------------------------------


def _follows(h: Any, schedule: str) -> bool:
    return bool(h.schedule == ENUMS["schedule"][schedule])


def _half_wave(u: float) -> float:
    return 0.5 - 0.5 * math.cos(math.pi * u)


def _power(base: float, exponent: float) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return sys.float_info.max


def _restarted_rate(h: Any, u: float) -> float:
    height = 1.0
    if h.t_mul == 1:
        height, u = _power(h.m_mul, math.floor(u)), u - math.floor(u)
    else:
        length = 1.0
        while u >= length:
            u, length, height = u - length, length * h.t_mul, height * h.m_mul
        u /= length
    return float(h.final_rate + (h.peak_rate - h.final_rate) * builtins.min(height, sys.float_info.max) * (1 - _half_wave(u)))


def scheduled_rate(h: Any) -> float:
    """The learning rate of the next update, by the schedule in the hyper-parameters."""
    if _follows(h, "pieces"):
        return float(h.value[builtins.sum(h.step > h.boundary[i] for i in range(int(h.pieces)))])
    if h.step < h.warmup_steps:
        u = h.step / h.warmup_steps
        return float(h.first_rate + (h.peak_rate - h.first_rate) * (_half_wave(u) if _follows(h, "cycle") else u))
    u = (h.step - h.warmup_steps) / h.decay_steps
    u = math.floor(u) if h.staircase else u
    if _follows(h, "power"):
        return float(h.peak_rate * _power(h.final_rate, u))
    if _follows(h, "inverse"):
        return float(h.peak_rate / (1 + h.final_rate * u))
    if _follows(h, "restarts"):
        return _restarted_rate(h, u)
    u = u / math.ceil(u) if h.cycle and u > 1 else u
    u = u if u < 1 else 1.0
    return float(
        h.peak_rate + (h.final_rate - h.peak_rate) * (1 - (1 - u) ** h.power if _follows(h, "line") else _half_wave(u))
    )


def _begin(h: Any) -> Any:
    if h.schedule:
        h.learning_rate = scheduled_rate(h)
    return h


def _penalised(p: Any, gradient: Array, h: Any) -> tuple[Array, Array]:
    """The weights after decay, and the gradient with the penalties of the weights before."""
    w, kind = p.weights, p.weights.dtype.type
    if not (h.l1 or h.l2 or h.weight_decay):
        return w, gradient
    g = gradient + kind(h.l2) * w + kind(h.l1) * np.sign(w)
    w *= kind(1 - h.learning_rate * h.weight_decay)
    return w, g


def _fade(total: Array) -> None:
    """A running sum of gradients that have become 0 ends as 0, not as a denormal that rounds to itself."""
    total[np.abs(total) < np.finfo(total.dtype).tiny] = 0


def sgd(parameters: Any, gradients: Any, count: int, hyper: Any) -> None:
    h = _begin(hyper)
    for p, gradient in zip(parameters, gradients, strict=True):
        w, g = _penalised(p, gradient, h)
        if h.momentum == 0:
            w -= h.learning_rate * g
            continue
        v = p.slot[0]
        v *= h.momentum
        v -= h.learning_rate * g
        _fade(v)
        w += h.momentum * v - h.learning_rate * g if h.nesterov else v
    h.step += 1


def adam(parameters: Any, gradients: Any, count: int, hyper: Any) -> None:
    h = _begin(hyper)
    t = h.step + 1
    rate = h.learning_rate * math.sqrt(1 - h.beta_2**t) / (1 - h.beta_1**t)
    for p, gradient in zip(parameters, gradients, strict=True):
        w, g = _penalised(p, gradient, h)
        m, v = p.slot[0], p.slot[1]
        m += (1 - h.beta_1) * (g - m)
        _fade(m)
        v += (1 - h.beta_2) * (g * g - v)
        if h.amsgrad:
            np.maximum(p.slot[2], v, out=p.slot[2])
            v = p.slot[2]
        w -= rate * m / (np.sqrt(v) + h.epsilon)
    h.step += 1


def adamax(parameters: Any, gradients: Any, count: int, hyper: Any) -> None:
    h = _begin(hyper)
    for p, gradient in zip(parameters, gradients, strict=True):
        w, g = _penalised(p, gradient, h)
        m, u = p.slot[0], p.slot[1]
        m += (1 - h.beta_1) * (g - m)
        _fade(m)
        np.maximum(h.beta_2 * u, np.abs(g), out=u)
        w -= h.learning_rate / (1 - h.beta_1 ** (h.step + 1)) * m / (u + h.epsilon)
    h.step += 1


def nadam(parameters: Any, gradients: Any, count: int, hyper: Any) -> None:
    h = _begin(hyper)
    t = h.step + 1
    now, following = (h.beta_1 * (1 - 0.5 * 0.96**step) for step in (t, t + 1))
    h.momentum_product *= now
    for p, gradient in zip(parameters, gradients, strict=True):
        w, g = _penalised(p, gradient, h)
        m, v = p.slot[0], p.slot[1]
        m += (1 - h.beta_1) * (g - m)
        _fade(m)
        v += (1 - h.beta_2) * (g * g - v)
        ahead = following / (1 - h.momentum_product * following) * m + (1 - now) / (1 - h.momentum_product) * g
        w -= h.learning_rate * ahead / (np.sqrt(v / (1 - h.beta_2**t)) + h.epsilon)
    h.step += 1


def adadelta(parameters: Any, gradients: Any, count: int, hyper: Any) -> None:
    h = _begin(hyper)
    for p, gradient in zip(parameters, gradients, strict=True):
        w, g = _penalised(p, gradient, h)
        a, b = p.slot[0], p.slot[1]
        a *= h.rho
        a += (1 - h.rho) * (g * g)
        d = np.sqrt(b + h.epsilon) / np.sqrt(a + h.epsilon) * g
        b *= h.rho
        b += (1 - h.rho) * (d * d)
        w -= h.learning_rate * d
    h.step += 1


def lion(parameters: Any, gradients: Any, count: int, hyper: Any) -> None:
    h = _begin(hyper)
    for p, gradient in zip(parameters, gradients, strict=True):
        w, g = _penalised(p, gradient, h)
        m = p.slot[0]
        d = np.sign(h.beta_1 * m + (1 - h.beta_1) * g)
        m *= h.beta_2
        m += (1 - h.beta_2) * g
        _fade(m)
        w -= h.learning_rate * d
    h.step += 1


def rmsprop(parameters: Any, gradients: Any, count: int, hyper: Any) -> None:
    h = _begin(hyper)
    for p, gradient in zip(parameters, gradients, strict=True):
        w, g = _penalised(p, gradient, h)
        v = p.slot[0]
        v *= h.rho
        v += (1 - h.rho) * (g * g)
        spread = v
        if h.centered:
            a = p.slot[2]
            a *= h.rho
            a += (1 - h.rho) * g
            _fade(a)
            spread = np.maximum(v - a * a, 0)  # which rounding makes negative
        d = h.learning_rate * g / np.sqrt(spread + h.epsilon)
        if h.centered or h.momentum:
            d += h.momentum * p.slot[1]
            _fade(d)
            p.slot[1][...] = d
        w -= d
    h.step += 1


def adagrad(parameters: Any, gradients: Any, count: int, hyper: Any) -> None:
    h = _begin(hyper)
    for p, gradient in zip(parameters, gradients, strict=True):
        w, g = _penalised(p, gradient, h)
        a = p.slot[0]
        a += g * g
        w -= h.learning_rate * g / np.sqrt(a + h.epsilon)
    h.step += 1


# ---- random numbers ------------------------------------------------------------------------------------------------


def philox(state: Array, blocks: int, stream: int = 0) -> Array:
    """Four 32-bit words for each of the next `blocks` counters, of shape (blocks, 4); moves the counter on."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    counter = state[1] + np.arange(blocks, dtype=np.uint64)
    c0, c1 = counter & low, counter >> shift
    c2, c3 = np.full(blocks, stream, np.uint64), np.zeros(blocks, np.uint64)
    key = int(state[0])
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1 = (b >> shift) ^ c1 ^ np.uint64(k0), b & low
        c2, c3 = (a >> shift) ^ c3 ^ np.uint64(k1), a & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    state[1] += np.uint64(blocks)
    return np.stack([c0, c1, c2, c3], axis=1)


def _units(state: Array, n: int, dtype: np.dtype[Any]) -> Array:
    """Uniform float64 numbers in [0, 1), as many as fill whole blocks, at least `n`: 24 random bits for float32, else 53."""
    before, blocks = state.copy(), -(-n // 4)
    words = philox(state, blocks).reshape(-1)
    if dtype == np.float32:
        return np.asarray((words >> np.uint64(8)) * 2.0**-24)
    more = philox(before, blocks, stream=1).reshape(-1)
    return np.asarray(((words >> np.uint64(5)) * 67108864.0 + (more >> np.uint64(6))) * 2.0**-53)


def uniform(state: Array, z: Array, n: int, low: float, high: float) -> None:
    x = (low + _units(state, n, z.dtype)[:n] * (high - low)).astype(z.dtype)
    z.reshape(-1)[...] = np.where(x < z.dtype.type(high), x, z.dtype.type(low))


def normal(state: Array, z: Array, n: int, mean: float, deviation: float) -> None:
    pairs = _units(state, n, z.dtype).reshape(-1, 2)
    coarse = np.floor(pairs[:, 0] * 2.0**24) * 2.0**-24  # as many bits in both types
    radius, angle = np.sqrt(-2 * np.log(1 - coarse)), 2 * math.pi * pairs[:, 1]
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
    z.reshape(-1)[...] = mean + deviation * both[:n]


def bernoulli(state: Array, z: Array, n: int, p: float, value: float) -> None:
    words = philox(state, -(-n // 4)).reshape(-1)[:n]
    z.reshape(-1)[...] = np.where(words < p * 2.0**32, value, 0)


# ---- questions with an answer --------------------------------------------------------------------------------------


def first_nonfinite(x: Array, n: int) -> int:
    bad = np.flatnonzero(~np.isfinite(x))
    return int(bad[0]) if bad.size else -1


def first_bad_label(label: Array, n: int, classes: int) -> int:
    bad = np.flatnonzero(~_valid(label, classes))
    return int(bad[0]) if bad.size else -1


# operation: z from the operands x and a constant p, and the share of each operand from x, z, dz and p
TAPE: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add": (lambda x, p: x[0] + x[1], lambda x, z, dz, p: (dz, dz)),
    "multiply": (lambda x, p: x[0] * x[1], lambda x, z, dz, p: (dz * x[1], dz * x[0])),
    "divide": (lambda x, p: x[0] / x[1], lambda x, z, dz, p: (dz / x[1], -dz * z / x[1])),
    "power": (lambda x, p: np.power(x[0], p), lambda x, z, dz, p: (dz * p * np.power(x[0], p - 1) if p else 0.0,)),
    "exp": (lambda x, p: np.exp(x[0]), lambda x, z, dz, p: (dz * z,)),
    "log": (lambda x, p: np.log(x[0]), lambda x, z, dz, p: (dz / x[0],)),
    "tanh": (lambda x, p: np.tanh(x[0]), lambda x, z, dz, p: (dz * (1 - z * z),)),
    "sigmoid": (
        lambda x, p: (1 if x[0] >= 0 else np.exp(x[0])) / (1 + np.exp(-abs(x[0]))),
        lambda x, z, dz, p: (dz * z * (1 - z),),
    ),
    "relu": (lambda x, p: 0.0 if x[0] < 0 else x[0], lambda x, z, dz, p: (0.0 if x[0] <= 0 else dz,)),
    "weighted_sum": (
        lambda x, p: weighted_sum(x[: len(x) // 2], x[len(x) // 2 : -1], len(x) // 2, x[-1]),
        lambda x, z, dz, p: (*dz * x[len(x) // 2 : -1], *dz * x[: len(x) // 2], dz),
    ),
}
TAPE_OPS = [name.removeprefix("tape_") for name in ENUMS["tape_op"]]  # by their numbers, of which 0 is a leaf


def tape_forward(op: Any, first: Any, operand: Any, constant: Any, value: Any, nodes: int) -> int:
    bad = -1
    for i in range(nodes):
        if op[i]:
            value[i] = TAPE[TAPE_OPS[op[i]]][0](value[operand[first[i] : first[i + 1]]], constant[i])
        if bad < 0 and not np.isfinite(value[i]):
            bad = i
    return bad


def tape_backward(op: Any, first: Any, operand: Any, constant: Any, value: Any, grad: Any, nodes: int) -> None:
    grad[:nodes] = np.arange(nodes) == nodes - 1
    for i in reversed(range(nodes)):
        if op[i]:
            to = operand[first[i] : first[i + 1]]
            np.add.at(grad, to, TAPE[TAPE_OPS[op[i]]][1](value[to], value[i], grad[i], constant[i]))


def tape_update(weight: Any, value: Any, grad: Any, n: int, learning_rate: float, l2: float) -> None:
    value[weight] -= learning_rate * (grad[weight] + l2 * value[weight])


def weighted_sum(weights: list[float], inputs: list[float], n: int, bias: float) -> float:
    for w, x in zip(weights, inputs, strict=True):
        bias += w * x
    return bias
