"""Cases: training steps of convolutional networks, ResNet-50 on images of 224×224, and convolutions alone.

Each network is written once, as a function of a library of layers: one that counts, ours or Keras's, torch's, JAX's.
All start from the same weights; a contender whose loss after three steps is off by more than a hundredth makes its row void.
Windows with stride 2 begin at the first pixel, as Keras and JAX have it; torch gets the zeros that it needs for that.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import microweights as mw

from ..kernels import door, machine
from ..kernels.door import Windows
from ..tensor import Array
from .race import Call, Case, Race, import_jax, import_keras, import_torch, random
from .steps import compile_torch, jax_step, our_calls
from .update import RULES, torch_optimizers, update_operations

EPSILON = 1e-3  # of batch normalisation
MOMENTS: dict[Any, Any] = {}  # of torch's in inference

# ---- the networks ----------------------------------------------------------------------------------------------------------


def cnn(lib: Any, x: Any) -> Any:
    """Of the article "Weights in Convolutional Neural Networks", with logits."""
    for filters in (32, 64):
        x = lib.pool(lib.conv(x, filters, 3, padding="valid", relu=True))
    return lib.dense(lib.dense(lib.flat(x), 128, relu=True), 10)


def lenet(lib: Any, x: Any) -> Any:
    """LeNet-5 (LeCun et al. 1998) as SimpleChains.jl's benchmark has it."""
    for filters in (6, 16):
        x = lib.pool(lib.conv(x, filters, 5, padding="valid", relu=True))
    for units in (120, 84):
        x = lib.dense(lib.flat(x) if units == 120 else x, units, relu=True)
    return lib.dense(x, 10)


def resnet20(lib: Any, x: Any) -> Any:
    """He et al. 2016, section 4.2, with convolutions of one tap as shortcuts."""
    x = lib.norm(lib.conv(x, 16, 3, bias=False), relu=True)
    for filters in (16, 32, 64):
        for block in range(3):
            stride = 2 if filters > 16 and block == 0 else 1
            y = lib.norm(lib.conv(x, filters, 3, stride, bias=False), relu=True)
            y = lib.norm(lib.conv(y, filters, 3, bias=False))
            if stride == 2:
                x = lib.norm(lib.conv(x, filters, 1, stride, bias=False))
            x = lib.add_relu(y, x)
    return lib.dense(lib.mean(x), 10)


def mobilenet(lib: Any, x: Any) -> Any:
    """Blocks of MobileNet (Howard et al. 2017) for images of 32×32."""
    x = lib.norm(lib.conv(x, 16, 3, bias=False), relu=True)
    for filters, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        x = lib.norm(lib.depthwise(x, 3, stride), relu=True)
        x = lib.norm(lib.conv(x, filters, 1, bias=False), relu=True)
    return lib.dense(lib.mean(x), 10)


def unet(lib: Any, x: Any) -> Any:
    """Ronneberger et al. 2015, four levels of 16 to 128 channels."""

    def two(x: Any, filters: int) -> Any:
        return lib.conv(lib.conv(x, filters, 3, relu=True), filters, 3, relu=True)

    seen = []
    for filters in (16, 32, 64):
        seen.append(two(x, filters))
        x = lib.pool(seen[-1])
    x = two(x, 128)
    for filters in (64, 32, 16):
        x = two(lib.concat(lib.up(x), seen.pop()), filters)
    return lib.conv(x, 1, 1)


def resnet50(lib: Any, x: Any) -> Any:
    """He et al. 2016, table 1, with the stride in the first convolution of a block as Keras has it."""
    x = lib.pool(lib.norm(lib.conv(x, 64, 7, 2, bias=False), relu=True), 3, "same")
    for filters, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            stride = 2 if filters > 64 and block == 0 else 1
            y = lib.norm(lib.conv(x, filters, 1, stride, bias=False), relu=True)
            y = lib.norm(lib.conv(y, filters, 3, bias=False), relu=True)
            y = lib.norm(lib.conv(y, 4 * filters, 1, bias=False))
            if block == 0:
                x = lib.norm(lib.conv(x, 4 * filters, 1, stride, bias=False))
            x = lib.add_relu(y, x)
    return lib.dense(lib.mean(x), 1000)


# ---- the libraries ---------------------------------------------------------------------------------------------------------


class Counted:
    """Goes over a network with shapes in place of images: makes its weights and counts its multiplications."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)
        self.weights: list[Array] = []
        self.products: list[float] = []  # of each convolution and dense layer, for one image

    def _make(self, shape: tuple[int, ...], fan_in: int, *rows: Array) -> None:
        self.weights += [self.generator.normal(0, math.sqrt(2 / fan_in), shape).astype(np.float32), *rows]

    def conv(
        self, x: Any, filters: int, size: int, stride: int = 1, padding: str = "same", relu: bool = False, bias: bool = True
    ) -> Any:
        height, width, channels = x
        rows = [np.zeros(filters, np.float32)] if bias else []
        self._make((size, size, channels, filters), size * size * channels, *rows)
        out = [-(-n // stride) if padding == "same" else (n - size) // stride + 1 for n in (height, width)]
        self.products.append(out[0] * out[1] * size * size * channels * filters)
        return (*out, filters)

    def depthwise(self, x: Any, size: int, stride: int) -> Any:
        height, width, channels = x
        self._make((size, size, channels, 1), size * size)
        self.products.append(-(-height // stride) * -(-width // stride) * size * size * channels)
        return (-(-height // stride), -(-width // stride), channels)

    def norm(self, x: Any, relu: bool = False) -> Any:
        self.weights += [np.ones(x[-1], np.float32), np.zeros(x[-1], np.float32)]
        return x

    def pool(self, x: Any, size: int = 2, padding: str = "valid") -> Any:
        return (*[-(-n // 2) if padding == "same" else (n - size) // 2 + 1 for n in x[:2]], x[2])

    def up(self, x: Any) -> Any:
        return (2 * x[0], 2 * x[1], x[2])

    def concat(self, x: Any, y: Any) -> Any:
        return (*x[:2], x[2] + y[2])

    def add_relu(self, x: Any, y: Any) -> Any:
        return x

    def mean(self, x: Any) -> Any:
        return x[-1:]

    def flat(self, x: Any) -> Any:
        return (math.prod(x),)

    def dense(self, x: Any, units: int, relu: bool = False) -> Any:
        self._make((x[0], units), x[0], np.zeros(units, np.float32))
        self.products.append(x[0] * units)
        return (units,)


class Layers:
    """The layers of Keras, or ours, on symbols; `weighted` are those with weights, in their order."""

    def __init__(self, layers: Any) -> None:
        self.layers, self.weighted = layers, list[Any]()

    def _applied(self, layer: Any, x: Any) -> Any:
        self.weighted.append(layer)
        return layer(x)

    def conv(
        self, x: Any, filters: int, size: int, stride: int = 1, padding: str = "same", relu: bool = False, bias: bool = True
    ) -> Any:
        activation = "relu" if relu else None
        return self._applied(self.layers.Conv2D(filters, size, stride, padding, activation=activation, use_bias=bias), x)

    def depthwise(self, x: Any, size: int, stride: int) -> Any:
        return self._applied(self.layers.DepthwiseConv2D(size, stride, "same", use_bias=False), x)

    def norm(self, x: Any, relu: bool = False) -> Any:
        z = self._applied(self.layers.BatchNormalization(epsilon=EPSILON), x)
        return self.layers.ReLU()(z) if relu else z

    def pool(self, x: Any, size: int = 2, padding: str = "valid") -> Any:
        return self.layers.MaxPooling2D(size, 2, padding)(x)

    def up(self, x: Any) -> Any:
        return self.layers.UpSampling2D()(x)

    def concat(self, x: Any, y: Any) -> Any:
        return self.layers.Concatenate()([x, y])

    def add_relu(self, x: Any, y: Any) -> Any:
        return self.layers.ReLU()(self.layers.Add()([x, y]))

    def mean(self, x: Any) -> Any:
        return self.layers.GlobalAveragePooling2D()(x)

    def flat(self, x: Any) -> Any:
        return self.layers.Flatten()(x)

    def dense(self, x: Any, units: int, relu: bool = False) -> Any:
        return self._applied(self.layers.Dense(units, activation="relu" if relu else None), x)


class Torch:
    """torch's functions, on images with channels first."""

    def __init__(self, torch: Any, weights: Iterator[Any], training: bool) -> None:
        self.torch, self.weights, self.training = torch, weights, training
        self.F = torch.nn.functional

    def _convolved(self, x: Any, size: int, stride: int, padding: str, bias: bool, groups: int) -> Any:
        kernel, shift = next(self.weights), next(self.weights) if bias else None
        around = [max(0, (-(-n // stride) - 1) * stride + size - n) if padding == "same" else 0 for n in x.shape[2:]]
        if any(n % 2 for n in around):
            x = self.F.pad(x, (around[1] // 2, around[1] - around[1] // 2, around[0] // 2, around[0] - around[0] // 2))
            around = [0, 0]
        return self.F.conv2d(x, kernel, shift, stride, (around[0] // 2, around[1] // 2), 1, groups)

    def conv(
        self, x: Any, filters: int, size: int, stride: int = 1, padding: str = "same", relu: bool = False, bias: bool = True
    ) -> Any:
        z = self._convolved(x, size, stride, padding, bias, 1)
        return self.torch.relu_(z) if relu else z

    def depthwise(self, x: Any, size: int, stride: int) -> Any:
        return self._convolved(x, size, stride, "same", False, x.shape[1])

    def norm(self, x: Any, relu: bool = False) -> Any:
        gamma, beta = next(self.weights), next(self.weights)
        moments = (None, None) if self.training else self._moments(beta)
        z = self.F.batch_norm(x, *moments, gamma, beta, self.training, eps=EPSILON)
        return self.torch.relu_(z) if relu else z

    def _moments(self, beta: Any) -> Any:
        """0 and 1, made once for each number of channels."""
        key = len(beta), beta.dtype
        if key not in MOMENTS:
            MOMENTS[key] = self.torch.zeros_like(beta), self.torch.ones_like(beta)
        return MOMENTS[key]

    def pool(self, x: Any, size: int = 2, padding: str = "valid") -> Any:
        if padding == "same":  # of an odd window on an even image
            x = self.F.pad(x, (0, 1, 0, 1), value=-math.inf)
        return self.F.max_pool2d(x, size, 2)

    def up(self, x: Any) -> Any:
        return self.F.interpolate(x, scale_factor=2)

    def concat(self, x: Any, y: Any) -> Any:
        return self.torch.cat([x, y], 1)

    def add_relu(self, x: Any, y: Any) -> Any:
        return self.torch.relu_(x + y if self.training else x.add_(y))

    def mean(self, x: Any) -> Any:
        return x.mean((2, 3))

    def flat(self, x: Any) -> Any:
        return x.permute(0, 2, 3, 1).flatten(1)

    def dense(self, x: Any, units: int, relu: bool = False) -> Any:
        z = self.F.linear(x, next(self.weights), next(self.weights))
        return self.torch.relu_(z) if relu else z


class Jax:
    """JAX's functions, on images with channels last."""

    def __init__(self, jax: Any, weights: Iterator[Any], training: bool) -> None:
        self.jax, self.jnp, self.weights, self.training = jax, importlib.import_module("jax.numpy"), weights, training

    def _convolved(self, x: Any, stride: int, padding: str, kernel: Any, groups: int = 1) -> Any:
        names = ("NHWC", "HWIO", "NHWC")
        return self.jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), padding.upper(), dimension_numbers=names, feature_group_count=groups
        )

    def conv(
        self, x: Any, filters: int, size: int, stride: int = 1, padding: str = "same", relu: bool = False, bias: bool = True
    ) -> Any:
        z = self._convolved(x, stride, padding, next(self.weights))
        z = z + next(self.weights) if bias else z
        return self.jnp.maximum(z, 0) if relu else z

    def depthwise(self, x: Any, size: int, stride: int) -> Any:
        kernel = next(self.weights)
        return self._convolved(x, stride, "same", kernel.transpose(0, 1, 3, 2), x.shape[-1])

    def norm(self, x: Any, relu: bool = False) -> Any:
        gamma, beta = next(self.weights), next(self.weights)
        mean, variance = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if self.training else (0.0, 1.0)
        z = (x - mean) * (gamma / self.jnp.sqrt(variance + EPSILON)) + beta
        return self.jnp.maximum(z, 0) if relu else z

    def pool(self, x: Any, size: int = 2, padding: str = "valid") -> Any:
        window, strides = (1, size, size, 1), (1, 2, 2, 1)
        return self.jax.lax.reduce_window(x, -self.jnp.inf, self.jax.lax.max, window, strides, padding.upper())

    def up(self, x: Any) -> Any:
        return x.repeat(2, 1).repeat(2, 2)

    def concat(self, x: Any, y: Any) -> Any:
        return self.jnp.concatenate([x, y], -1)

    def add_relu(self, x: Any, y: Any) -> Any:
        return self.jnp.maximum(x + y, 0)

    def mean(self, x: Any) -> Any:
        return x.mean((1, 2))

    def flat(self, x: Any) -> Any:
        return x.reshape(len(x), -1)

    def dense(self, x: Any, units: int, relu: bool = False) -> Any:
        z = x @ next(self.weights) + next(self.weights)
        return self.jnp.maximum(z, 0) if relu else z


Network = Callable[[Any, Any], Any]


def for_torch(torch: Any, weights: list[Array], layout: str) -> list[Any]:
    """As torch holds them: (filters, channels, height, width), and (outputs, inputs)."""
    found = []
    for w in weights:
        if w.ndim == 4:
            depthwise = w.shape[3] == 1 and w.shape[2] > 1 and w.shape[0] > 1
            first = torch.from_numpy(w.transpose(2, 3, 0, 1) if depthwise else w.transpose(3, 2, 0, 1))
            found.append(first.contiguous(memory_format=getattr(torch, layout)).clone())
        else:
            found.append(torch.from_numpy(np.ascontiguousarray(w.T)).clone())
    return found


def model_of(library: Any, network: Network, shape: tuple[int, ...], weights: list[Array]) -> Any:
    """A model of ours, or of Keras, with these weights."""
    x, layers, rest = library.Input(shape), Layers(library.layers), iter(weights)
    model = library.Model(x, network(layers, x))
    for layer in layers.weighted:
        own, trained = layer.get_weights(), len(layer.trainable_variables)
        layer.set_weights([next(rest) for _ in range(trained)] + own[trained:])
    return model


def keras_step(
    keras: Any, network: Network, shape: tuple[int, ...], weights: list[Array], rule: str, x: Array, y: Array
) -> Call:
    """Keras's own step, compiled by JAX; its loss is a mean over steps unless that is reset. There is no penalty in it."""
    model = model_of(keras, network, shape, weights)
    optimizer = keras.optimizers.Adam(0.001) if rule == "Adam" else keras.optimizers.SGD(0.01, momentum=0.9)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if y.dtype == np.int64 else "mse"
    model.compile(optimizer, loss)

    def run() -> float:
        model.reset_metrics()
        return float(model.train_on_batch(x, y))

    return run


LAYOUTS = ("contiguous_format", "channels_last")


def training_step(network: Network, shape: tuple[int, ...], batch: int, rule: str) -> Race:
    counted = Counted()
    result = network(counted, shape)
    classifies = len(result) == 1
    generator = np.random.default_rng(1)
    x = generator.normal(0, 1, (batch, *shape)).astype(np.float32)
    y = generator.integers(0, result[0], batch) if classifies else generator.random((batch, *result)).astype(np.float32)
    weights = counted.weights

    def ours() -> Callable[..., mw.Tensor]:
        model = model_of(mw, network, shape, weights)
        loss_of = mw.losses.SparseCategoricalCrossentropy(from_logits=True) if classifies else mw.losses.MeanSquaredError()
        optimizer, variables = RULES[rule].ours(), model.trainable_variables

        def step(x: mw.Tensor, y: mw.Tensor) -> mw.Tensor:
            loss = loss_of(y, model(x, training=True))
            optimizer.apply(mw.grad(loss, variables), variables)
            return loss

        return step

    calls: dict[str, Call] = our_calls(ours, x, y)
    torch = import_torch(records_gradients=True)
    if torch is not None:
        for layout in LAYOUTS:
            calls |= torch_steps(torch, network, x, y, weights, rule, layout)
    jax = import_jax()
    if jax is not None:

        def loss_in_jax(weights: Any, jnp: Any, x: Any, y: Any) -> Any:
            z = network(Jax(jax, iter(weights), True), x)
            if y.dtype.kind == "f":
                return ((z - y) ** 2).mean()
            logs = jax.nn.log_softmax(z)
            return -jnp.take_along_axis(logs, y[:, None], 1).mean()

        calls |= jax_step(loss_in_jax, weights, rule, [x, y.astype(np.int32) if classifies else y])

    if keras := import_keras():
        calls["keras"] = keras_step(keras, network, shape, weights, rule, x, y)

    def exact() -> float:
        """By torch in float64, and where that is missing by ourselves."""
        if torch is None:
            step = ours()
            return [float(step(mw.tensor(x), mw.tensor(y)).item()) for _ in range(3)].pop()
        wide = [w.astype(np.float64) for w in weights]
        targets = y if classifies else y.astype(np.float64)
        (run,) = torch_steps(torch, network, x.astype(np.float64), targets, wide, rule, LAYOUTS[0], ("torch",)).values()
        return [float(run()) for _ in range(3)].pop()

    return Race(exact, calls, repeat=3, tolerance=1e-2)


def torch_steps(
    torch: Any, network: Network, x: Array, y: Array, weights: list[Array], rule: str, layout: str, only: tuple[str, ...] = ()
) -> dict[str, Call]:
    F = torch.nn.functional
    given = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=getattr(torch, layout))
    targets = torch.from_numpy(y)
    targets = targets if y.dtype == np.int64 else targets.permute(0, 3, 1, 2)

    def parameters() -> list[Any]:
        return [w.requires_grad_() for w in for_torch(torch, weights, layout)]

    def loss_of(own: list[Any]) -> Any:
        z = network(Torch(torch, iter(own), True), given)
        return (F.cross_entropy if y.dtype == np.int64 else F.mse_loss)(z, targets)

    def run(optimizer: Any, own: list[Any], loss_of: Callable[..., Any]) -> float:
        loss = loss_of(own)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    made = torch_optimizers(torch, rule, parameters)
    name = layout.removesuffix("_format").replace("_", " ")
    calls: dict[str, Call] = {f"{v} {name}": partial(run, *own, loss_of) for v, own in made.items() if v in (only or made)}
    if not only and (compiled := compile_torch(torch, loss_of)):
        made = torch_optimizers(torch, rule, parameters)
        calls |= {f"torch compiled {v} {name}": partial(run, *own, compiled) for v, own in made.items()}
    return calls


def inference(network: Network, shape: tuple[int, ...], batch: int) -> Race:
    """Batch normalisations have the moments of a layer that was never trained: 0 and 1."""
    counted = Counted()
    network(counted, shape)
    weights = counted.weights
    x = random(batch, *shape, low=-1.0, high=1.0)
    model, eager = model_of(mw, network, shape, weights), model_of(mw, network, shape, weights)
    eager.compile(loss="mse", eager=True)
    calls: dict[str, Call] = {"replayed": lambda: model.predict_on_batch(x), "eager": lambda: eager.predict_on_batch(x)}
    torch = import_torch()

    def forward(given: Any, own: list[Any]) -> Any:
        return network(Torch(torch, iter(own), False), given).numpy()

    def in_torch(x: Array, weights: list[Array], layout: str) -> Call:
        given = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=getattr(torch, layout))
        return partial(forward, given, for_torch(torch, weights, layout))

    if torch is not None:
        calls |= {f"torch {layout.removesuffix('_format')}": in_torch(x, weights, layout) for layout in LAYOUTS}
    jax = import_jax()
    if jax is not None:
        held = [jax.numpy.asarray(w) for w in weights]
        jitted = jax.jit(lambda x, weights: network(Jax(jax, iter(weights), False), x))
        calls["jax"] = lambda: np.asarray(jitted(x, held))

    if keras := import_keras():
        theirs = model_of(keras, network, shape, weights)
        calls["keras"] = lambda: theirs.predict_on_batch(x)

    def exact() -> Array:
        wide = x.astype(np.float64)
        if torch is not None:
            return np.asarray(in_torch(wide, [w.astype(np.float64) for w in weights], LAYOUTS[0])())
        return np.asarray(eager.predict_on_batch(x))

    return Race(exact, calls, tolerance=1e-3)


# ---- convolutions alone ----------------------------------------------------------------------------------------------------

# images, height and width, channels, filters, kernel, stride, zeros around: of the networks above
SHAPES = [
    (32, 28, 1, 32, 3, 1, 0), (32, 13, 32, 64, 3, 1, 0), (128, 28, 1, 6, 5, 1, 0), (128, 12, 6, 16, 5, 1, 0),
    (64, 32, 3, 16, 3, 1, 1), (64, 32, 16, 16, 3, 1, 1), (64, 32, 16, 32, 3, 2, 1), (64, 16, 32, 32, 3, 1, 1),
    (64, 8, 64, 64, 3, 1, 1), (8, 64, 48, 16, 3, 1, 1), (8, 32, 96, 32, 3, 1, 1), (8, 16, 192, 64, 3, 1, 1),
    (8, 8, 128, 128, 3, 1, 1), (1, 224, 3, 64, 7, 2, 3), (1, 56, 64, 64, 3, 1, 1), (1, 56, 64, 256, 1, 1, 0),
    (1, 56, 256, 64, 1, 1, 0), (1, 56, 256, 512, 1, 2, 0), (1, 28, 128, 128, 3, 1, 1), (1, 14, 256, 256, 3, 1, 1),
    (1, 14, 1024, 256, 1, 1, 0), (1, 7, 512, 512, 3, 1, 1), (16, 7, 512, 512, 3, 1, 1), (1, 7, 512, 2048, 1, 1, 0),
]  # fmt: skip


def convolution(way: str, images: int, size: int, channels: int, filters: int, kernel: int, stride: int, zeros: int) -> Race:
    """`way` is "forward", with a bias and relu, "dx" or "dw"."""
    out = (size + 2 * zeros - kernel) // stride + 1
    x, w = random(images, size, size, channels), random(kernel, kernel, channels, filters, seed=1)
    z, b = random(images, out, out, filters, seed=2), random(filters, seed=3)
    windows = Windows((stride, stride), (1, 1), (zeros, zeros))

    def run(x: Array, w: Array, z: Array, b: Array) -> Array:
        if way == "forward":
            return door.conv(x, w, b, windows, (out, out), "relu")
        if way == "dx":
            return door.conv_transpose(z, w, None, windows, (size, size))
        return door.conv_weight_grad(x, z, windows, (kernel, kernel))

    calls: dict[str, Call] = {"eager": lambda: run(x, w, z, b)}
    if torch := import_torch():
        for layout in LAYOUTS:
            form = {"memory_format": getattr(torch, layout)}
            tx, tz = (torch.from_numpy(a).permute(0, 3, 1, 2).contiguous(**form) for a in (x, z))
            tw, tb = torch.from_numpy(w).permute(3, 2, 0, 1).contiguous(**form), torch.from_numpy(b)
            calls[f"torch {layout.removesuffix('_format')}"] = partial(
                torch_convolution, torch, way, tx, tw, tz, tb, stride, zeros
            )

    def exact() -> Array:
        before = machine.backend()
        machine.set_backend("numpy")
        try:
            return run(*(a.astype(np.float64) for a in (x, w, z, b)))
        finally:
            machine.set_backend(before)

    return Race(exact, calls, tolerance=1e-4)


def torch_convolution(torch: Any, way: str, x: Any, w: Any, z: Any, b: Any, stride: int, zeros: int) -> Array:
    if way == "forward":
        result = torch.relu_(torch.nn.functional.conv2d(x, w, b, stride, zeros)).permute(0, 2, 3, 1)
    else:
        mask = [way == "dx", way == "dw", False]
        both = torch.ops.aten.convolution_backward(z, x, w, None, [stride] * 2, [zeros] * 2, [1, 1], False, [0, 0], 1, mask)
        result = both[0].permute(0, 2, 3, 1) if way == "dx" else both[1].permute(2, 3, 1, 0)
    return np.asarray(result.numpy())


# ---- the cases -------------------------------------------------------------------------------------------------------------


def _step_case(name: str, network: Network, shape: tuple[int, ...], batch: int, rule: str) -> Case:
    counted = Counted()
    network(counted, shape)
    weights = sum(w.size for w in counted.weights)
    work = 2 * batch * (3 * sum(counted.products) - counted.products[0]) + update_operations(rule) * weights
    moved = 4 * (weights * (3 + 2 * len(RULES[rule].slots)) + batch * math.prod(shape))
    build = partial(training_step, network, shape, batch, rule)
    return Case(f"images {name} {rule}", work, moved, build, ("torch", "jax", "keras"))


def _inference_case(batch: int) -> Case:
    counted = Counted()
    resnet50(counted, (224, 224, 3))
    work, moved = 2 * batch * sum(counted.products), 4.0 * sum(w.size for w in counted.weights)
    build = partial(inference, resnet50, (224, 224, 3), batch)
    return Case(f"images ResNet-50 predict {batch}", work, moved, build, ("torch", "jax", "keras"))


def _convolution_case(way: str, *shape: int) -> Case:
    images, size, channels, filters, kernel, stride, zeros = shape
    out = (size + 2 * zeros - kernel) // stride + 1
    work = 2.0 * images * out * out * kernel * kernel * channels * filters
    moved = 4.0 * (images * (size * size * channels + out * out * filters) + kernel * kernel * channels * filters)
    name = f"conv {images}x{size}x{size}x{channels} {kernel}x{kernel}x{filters}/{stride} {way}"
    return Case(name, work, moved, partial(convolution, way, *shape), ("torch",), ("eager",))


CASES = [
    _step_case("CNN of the article, 32", cnn, (28, 28, 1), 32, "Adam"),
    _step_case("LeNet-5, 128", lenet, (28, 28, 1), 128, "Adam"),
    _step_case("ResNet-20, 64", resnet20, (32, 32, 3), 64, "momentum+L2"),
    _step_case("MobileNet blocks, 32", mobilenet, (32, 32, 3), 32, "Adam"),
    _step_case("U-Net, 8", unet, (64, 64, 1), 8, "Adam"),
    _inference_case(1),
    _inference_case(16),
    *[_convolution_case(way, *shape) for shape in SHAPES for way in ("forward", "dx", "dw")],
]
