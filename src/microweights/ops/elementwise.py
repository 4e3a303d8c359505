"""Operations on each element by itself, with NumPy's broadcasting.

A gradient here always has the shape of the result; the backward walk sums it back to an operand's own shape.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kernels import door
from ..tensor import FLOATS, Array, Operand, Tensor, as_array, constant, operands, remember_logits
from .base import Op, case, takes_symbols

__all__ = [
    "Absolute", "Add", "BinaryCrossEntropy", "Cast", "Copy", "Divide", "Erf", "Exp", "Expm1", "Gelu", "Log", "Maximum",
    "Minimum", "Multiply", "Negative", "Power", "Relu", "Sigmoid", "Sign", "SoftThreshold", "Softplus", "Sqrt", "Square",
    "SquaredError", "Subtract", "Tanh", "Where", "maximum", "minimum", "where",
]  # fmt: skip

SHAPES = [((1,), (1,)), ((3, 4), (3, 4)), ((2, 1, 5), (3, 1)), ((), (4,)), ((17,), (3, 17))]


# ---- arithmetic ----------------------------------------------------------------------------------------------------


class Add(Op):
    """z = x + y        dx = dz        dy = dz"""

    cases = [case(*s) for s in SHAPES]

    def forward(self, x: Array, y: Array) -> Array:
        return door.binary("add", x, y)

    def backward(self, dz: Tensor) -> Any:
        return dz, dz


class Subtract(Op):
    """z = x - y        dx = dz        dy = -dz"""

    cases = [case(*s) for s in SHAPES]

    def forward(self, x: Array, y: Array) -> Array:
        return door.binary("subtract", x, y)

    def backward(self, dz: Tensor) -> Any:
        return dz, -dz if self.needs[1] else None


class Multiply(Op):
    """z = x y        dx = dz y        dy = dz x"""

    cases = [case(*s) for s in SHAPES]

    def forward(self, x: Array, y: Array) -> Array:
        return door.binary("multiply", x, y)

    def backward(self, dz: Tensor) -> Any:
        return dz * self.input(1) if self.needs[0] else None, dz * self.input(0) if self.needs[1] else None


class Divide(Op):
    """z = x / y        dx = dz / y        dy = -dz z / y"""

    cases = [case(*s, low=0.5) for s in SHAPES]

    def forward(self, x: Array, y: Array) -> Array:
        return door.binary("divide", x, y)

    def backward(self, dz: Tensor) -> Any:
        y = self.input(1)
        return dz / y if self.needs[0] else None, -dz * self.output / y if self.needs[1] else None


class Power(Op):
    """z = xʸ        dx = dz y xʸ⁻¹        dy = dz z ln x

    Where x = y = 0, and where z = 0, the formula has no value; there dx = 0 and dy = 0.
    """

    cases = [case(*s, low=0.5) for s in SHAPES]

    def forward(self, x: Array, y: Array) -> Array:
        return door.binary("power", x, y)

    def backward(self, dz: Tensor) -> Any:
        x, y = self.inputs
        z = self.output
        one = constant(1.0, x.dtype)
        base = Where(is_zero(y))(Where(is_zero(x))(one, x), x)
        dx = dz * y * base ** (y - 1) if self.needs[0] else None
        return dx, dz * z * Where(is_zero(z))(one, base).log() if self.needs[1] else None


def is_zero(x: Tensor) -> Array:
    return door.compare("equal", x.data, door.ZERO[x.dtype])


class Negative(Op):
    """z = -x        dx = -dz"""

    cases = [case((3, 4))]

    def forward(self, x: Array) -> Array:
        return door.unary("negative", x)

    def backward(self, dz: Tensor) -> Any:
        return -dz


class Square(Op):
    """z = x²        dx = 2 dz x"""

    cases = [case((3, 4))]

    def forward(self, x: Array) -> Array:
        return door.unary("square", x)

    def backward(self, dz: Tensor) -> Any:
        return 2 * dz * self.inputs[0]


class Sqrt(Op):
    """z = √x        dx = dz / 2z"""

    cases = [case((3, 4), low=0.1)]

    def forward(self, x: Array) -> Array:
        return door.unary("sqrt", x)

    def backward(self, dz: Tensor) -> Any:
        return dz / (2 * self.output)


class Absolute(Op):
    """z = |x|        dx = dz sign(x)"""

    cases = [case((3, 4), low=0.1), case((3, 4), high=-0.1)]

    def forward(self, x: Array) -> Array:
        return door.unary("absolute", x)

    def backward(self, dz: Tensor) -> Any:
        return dz * Sign()(self.inputs[0])


class Sign(Op):
    """z = -1, 0 or 1        dx = 0"""

    cases = [case((3, 4), low=0.1)]

    def forward(self, x: Array) -> Array:
        return door.unary("sign", x)

    def backward(self, dz: Tensor) -> Any:
        return None


class Copy(Op):
    """z = x        dx = dz"""

    cases = [case((3, 4))]

    def forward(self, x: Array) -> Array:
        return door.unary("copy", x)

    def backward(self, dz: Tensor) -> Any:
        return dz


class Cast(Op):
    """z = x in another floating-point type        dx = dz in the type of x"""

    cases = [case((3, 4), dtype=door.FLOAT64)]

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def forward(self, x: Array) -> Array:
        return door.cast(x, self.dtype)

    def backward(self, dz: Tensor) -> Any:
        return Cast(self._inputs[0].dtype)(dz)


# ---- exponentials --------------------------------------------------------------------------------------------------


class Exp(Op):
    """z = eˣ        dx = dz z"""

    cases = [case((3, 4))]

    def forward(self, x: Array) -> Array:
        return door.unary("exp", x)

    def backward(self, dz: Tensor) -> Any:
        return dz * self.output


class Expm1(Op):
    """z = eˣ - 1        dx = dz (z + 1)"""

    cases = [case((3, 4)), case((3, 4), low=-1e-3, high=1e-3)]

    def forward(self, x: Array) -> Array:
        return door.unary("expm1", x)

    def backward(self, dz: Tensor) -> Any:
        return dz * (self.output + 1)


class Log(Op):
    """z = ln x        dx = dz / x"""

    cases = [case((3, 4), low=0.1)]

    def forward(self, x: Array) -> Array:
        return door.unary("log", x)

    def backward(self, dz: Tensor) -> Any:
        return dz / self.inputs[0]


class Erf(Op):
    """z = erf(x)        dx = dz 2/√π exp(-x²)"""

    cases = [case((3, 4))]

    def forward(self, x: Array) -> Array:
        return door.unary("erf", x)

    def backward(self, dz: Tensor) -> Any:
        return dz * (-self.inputs[0].square()).exp() * (2 / math.sqrt(math.pi))


class Softplus(Op):
    """z = ln(1 + eˣ)        dx = dz sigmoid(x)"""

    cases = [case((3, 4))]

    def forward(self, x: Array) -> Array:
        return door.unary("softplus", x)

    def backward(self, dz: Tensor) -> Any:
        return dz * self.inputs[0].sigmoid()


# ---- activations, with gradients of one kernel each ----------------------------------------------------------------


class Relu(Op):
    """z = max(x, 0)        dx = dz where z > 0, else 0"""

    cases = [case((3, 4), low=0.1), case((3, 4), high=-0.1)]

    def forward(self, x: Array) -> Array:
        return door.unary("relu", x)

    def backward(self, dz: Tensor) -> Any:
        return ReluGrad()(dz, self.output)


class ReluGrad(Op):
    """y = dz where z > 0, else 0        d(dz) = dy where z > 0, else 0        d(z) = 0"""

    cases = [case((3, 4), (3, 4), low=0.1)]

    def forward(self, dz: Array, z: Array) -> Array:
        return door.binary("relu_grad", dz, z)

    def backward(self, dy: Tensor) -> Any:
        return ReluGrad()(dy, self.inputs[1]), None


class Sigmoid(Op):
    """z = 1 / (1 + e⁻ˣ)        dx = dz z (1 - z)"""

    cases = [case((3, 4))]

    def __call__(self, *inputs: Tensor) -> Tensor:
        return remember_logits(super().__call__(*inputs), inputs[0], "sigmoid")

    def forward(self, x: Array) -> Array:
        return door.unary("sigmoid", x)

    def backward(self, dz: Tensor) -> Any:
        return SigmoidGrad()(dz, self.output)


class SigmoidGrad(Op):
    """y = dz z (1 - z)        d(dz) = dy z (1 - z)        d(z) = dy dz (1 - 2z)"""

    cases = [case((3, 4), (3, 4))]

    def forward(self, dz: Array, z: Array) -> Array:
        return door.binary("sigmoid_grad", dz, z)

    def backward(self, dy: Tensor) -> Any:
        dz, z = self.inputs
        return SigmoidGrad()(dy, z), dy * dz * (1 - 2 * z) if self.needs[1] else None


class Tanh(Op):
    """z = tanh(x)        dx = dz (1 - z²)"""

    cases = [case((3, 4))]

    def forward(self, x: Array) -> Array:
        return door.unary("tanh", x)

    def backward(self, dz: Tensor) -> Any:
        return TanhGrad()(dz, self.output)


class TanhGrad(Op):
    """y = dz (1 - z²)        d(dz) = dy (1 - z²)        d(z) = -2 dy dz z"""

    cases = [case((3, 4), (3, 4))]

    def forward(self, dz: Array, z: Array) -> Array:
        return door.binary("tanh_grad", dz, z)

    def backward(self, dy: Tensor) -> Any:
        dz, z = self.inputs
        return TanhGrad()(dy, z), -2 * dy * dz * z if self.needs[1] else None


class Gelu(Op):
    """z = x Φ(x)        dx = dz (Φ(x) + x φ(x)),  φ the standard normal density and Φ its integral"""

    cases = [case((3, 4))]

    def forward(self, x: Array) -> Array:
        return door.unary("gelu", x)

    def backward(self, dz: Tensor) -> Any:
        return GeluGrad()(dz, self.inputs[0])


class GeluGrad(Op):
    """y = dz (Φ(x) + x φ(x))        d(dz) = dy (Φ(x) + x φ(x))        d(x) = dy dz φ(x) (2 - x²)"""

    cases = [case((3, 4), (3, 4))]

    def forward(self, dz: Array, x: Array) -> Array:
        return door.binary("gelu_grad", dz, x)

    def backward(self, dy: Tensor) -> Any:
        dz, x = self.inputs
        if not self.needs[1]:
            return GeluGrad()(dy, x), None
        square = x.clip(-40, 40).square()  # beyond, the density is 0, and no infinity is to meet it
        density = (square * -0.5).exp() * (1 / math.sqrt(2 * math.pi))
        return GeluGrad()(dy, x), dy * dz * density * (2 - square)


# ---- choices -------------------------------------------------------------------------------------------------------


class Maximum(Op):
    """z = max(x, y)        dx = dz where x > y, dz / 2 where x = y        dy likewise

    x = y is within a limit y: there dx = dz and dy = 0.
    """

    cases = [case((3, 4), (3, 4)), case((3, 4), (4,)), case((3, 4), (4,), is_limit=True)]

    def __init__(self, is_limit: bool = False) -> None:
        self.is_limit = is_limit

    def forward(self, x: Array, y: Array) -> Array:
        return door.binary("maximum", x, y)

    def backward(self, dz: Tensor) -> Any:
        x, y = self.inputs
        return share(dz, x, y, self.needs, self.is_limit)


class Minimum(Op):
    """z = min(x, y)        dx = dz where x < y, dz / 2 where x = y        dy likewise; for a limit as :class:`Maximum`"""

    cases = [case((3, 4), (3, 4)), case((3, 4), (4,)), case((3, 4), (4,), is_limit=True)]

    def __init__(self, is_limit: bool = False) -> None:
        self.is_limit = is_limit

    def forward(self, x: Array, y: Array) -> Array:
        return door.binary("minimum", x, y)

    def backward(self, dz: Tensor) -> Any:
        x, y = self.inputs
        return share(dz, x, y, self.needs, self.is_limit, smaller=True)


class SoftThreshold(Op):
    """z = sign(x) max(|x| - y, 0), y >= 0        dx = dz where z != 0, else 0        dy = -dx sign(z)"""

    cases = [case((3, 4), (3, 4), low=0.5), case((3, 4), (), low=0.5)]

    def forward(self, x: Array, y: Array) -> Array:
        return door.binary("soft_threshold", x, y)

    def backward(self, dz: Tensor) -> Any:
        z = self.output
        zero = constant(0.0, dz.dtype)
        dx = Where(door.compare("equal", z.data, zero.data))(zero, dz)
        return dx, -dx * Sign()(z) if self.needs[1] else None


def share(
    dz: Tensor, x: Tensor, y: Tensor, needs: tuple[bool, ...], is_limit: bool, smaller: bool = False
) -> tuple[Tensor | None, ...]:
    """dz for the larger, or smaller, of x and y; of equals each gets half, or x all if y is a limit.

    0 is chosen and not multiplied by: dz may be infinite.
    """
    zero, same = constant(0.0, dz.dtype), door.compare("equal", x.data, y.data)

    def part(a: Tensor, b: Tensor, of_equals: Tensor) -> Tensor:
        is_chosen = door.compare("less", a.data, b.data) if smaller else door.compare("less", b.data, a.data)
        return Where(is_chosen)(dz, Where(same)(of_equals, zero))

    half = None if is_limit else dz * 0.5
    return part(x, y, dz if half is None else half) if needs[0] else None, part(y, x, zero if half is None else half) if needs[
        1
    ] else None


class Where(Op):
    """z = x where the condition holds, else y        dx = dz where it holds, else 0        dy the other way round"""

    cases = [
        case((2, 3), (2, 3), condition=np.array([[True, False, True], [False, False, True]])),
        case((3,), (2, 3), condition=np.array([[True], [False]])),
    ]

    def __init__(self, condition: Array, owner: Tensor | None = None) -> None:
        self.condition = condition
        self.is_of(owner)

    def forward(self, x: Array, y: Array) -> Array:
        return door.where(self.condition, x, y)

    def backward(self, dz: Tensor) -> Any:
        self.check_owner("condition")
        zero = constant(0.0, dz.dtype)
        dx = Where(self.condition, self.owner)(dz, zero) if self.needs[0] else None
        return dx, Where(self.condition, self.owner)(zero, dz) if self.needs[1] else None


# ---- losses of one element -----------------------------------------------------------------------------------------


class SquaredError(Op):
    """z = (x - y)²        dx = 2 dz (x - y)        dy = -dx"""

    cases = [case((3, 4), (3, 4)), case((3, 4), (4,))]

    def forward(self, x: Array, y: Array) -> Array:
        return door.binary("squared_error", x, y)

    def backward(self, dz: Tensor) -> Any:
        dx = SquaredErrorGrad()(dz, *self.inputs)
        return dx, -dx if self.needs[1] else None


class SquaredErrorGrad(Op):
    """g = 2 dz (x - y)        d(dz) = 2 dg (x - y)        d(x) = 2 dg dz        d(y) = -2 dg dz"""

    cases = [case((3, 4), (3, 4), (3, 4)), case((), (3, 4), (3, 4))]

    def forward(self, dz: Array, x: Array, y: Array) -> Array:
        return door.ternary("squared_error_grad", dz, x, y)

    def backward(self, dg: Tensor) -> Any:
        dz, x, y = self.inputs
        return SquaredErrorGrad()(dg, x, y), 2 * dg * dz, -2 * dg * dz


class BinaryCrossEntropy(Op):
    """z = ln(1 + eˣ) - x y, the loss of the logit x for the target y        dx = dz (sigmoid(x) - y)        dy = -dz x"""

    cases = [case((3, 4), (3, 4))]

    def forward(self, x: Array, y: Array) -> Array:
        return door.binary("binary_cross_entropy", x, y)

    def backward(self, dz: Tensor) -> Any:
        x, y = self.inputs
        return BinaryCrossEntropyGrad()(dz, x, y), -dz * x if self.needs[1] else None


class BinaryCrossEntropyGrad(Op):
    """g = dz (sigmoid(x) - y)        d(dz) = dg (sigmoid(x) - y)        d(x) = dg dz s (1 - s)        d(y) = -dg dz"""

    cases = [case((3, 4), (3, 4), (3, 4))]

    def forward(self, dz: Array, x: Array, y: Array) -> Array:
        return door.ternary("binary_cross_entropy_grad", dz, x, y)

    def backward(self, dg: Tensor) -> Any:
        dz, x, y = self.inputs
        return BinaryCrossEntropyGrad()(dg, x, y), SigmoidGrad()(dg * dz, x.sigmoid()), -dg * dz


# ---- functions that check before they choose ----------------------------------------------------------------------


def compare(kernel: str, x: Operand, y: Operand) -> Tensor:
    exact = [v.data if isinstance(v, Tensor) else None if _is_float(v) else as_array(v) for v in (x, y)]
    if any(v is not None and v.dtype not in FLOATS for v in exact):  # integers are compared as they are
        a, b = (w if v is None else v for v, w in zip(exact, (x, y), strict=True))
        door.refuse("a comparison of integers")
        door.broadcast_shape(kernel, [np.shape(a), np.shape(b)])
        return Tensor(np.asarray(getattr(np, kernel)(a, b)))
    p, q = operands(x, y)
    return Tensor(door.compare(kernel, p.data, q.data))


def _is_float(x: Operand) -> bool:
    """Whether a Python number is the same number in float32."""
    return isinstance(x, float) or (isinstance(x, int) and abs(x) <= 2**24)


def astype(x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    if x.dtype == dtype:
        return x
    if dtype in FLOATS:
        return Cast(dtype)(x)
    if dtype == door.INT64 and x.dtype not in FLOATS:
        return Tensor(door.widen(x.data))
    return Tensor(as_array(x.numpy(), dtype))


@takes_symbols
def where(condition: Operand, x: Operand, y: Operand) -> Tensor:
    """`x` where the condition holds, else `y`."""
    if isinstance(condition, Tensor) and condition.dtype == door.BOOL:
        return Where(condition.data, condition)(*operands(x, y))
    values = condition.numpy() if isinstance(condition, Tensor) else as_array(condition)
    return Where(np.array(values != 0))(*operands(x, y))  # a copy, so that nobody changes it before backward


@takes_symbols
def maximum(x: Operand, y: Operand) -> Tensor:
    """The larger of two, element by element; NaN if either is."""
    return Maximum()(*operands(x, y))


@takes_symbols
def minimum(x: Operand, y: Operand) -> Tensor:
    """The smaller of two, element by element; NaN if either is."""
    return Minimum()(*operands(x, y))
