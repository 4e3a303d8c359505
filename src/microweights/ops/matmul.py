"""The weighted sum, for many neurons and many examples at once."""

from __future__ import annotations

from typing import Any

from .. import graph
from ..kernels import door
from ..tensor import Array, Tensor
from .base import Op, case
from .elementwise import ReluGrad, SigmoidGrad, TanhGrad
from .reduction import Sum
from .shape import Transpose


class MatMul(Op):
    """Z = X @ W        dX = dZ @ Wᵀ        dW = Xᵀ @ dZ        with leading axes broadcast as batches"""

    cases = [case((1, 1), (1, 1)), case((3, 4), (4, 2)), case((17, 33), (33, 9)), case((2, 3, 4), (4, 2)),
             case((2, 1, 3, 4), (5, 4, 2))]  # fmt: skip

    def forward(self, x: Array, w: Array) -> Array:
        return door.matmul(x, w)

    def backward(self, dz: Tensor) -> Any:
        dx = MatMul()(dz, flip(self.input(1))) if self.needs[0] else None
        return dx, MatMul()(flip(self.input(0)), dz) if self.needs[1] else None


def flip(x: Tensor) -> Tensor:
    """The last two axes exchanged; no copy."""
    if not graph.state.recording:
        return Tensor(x.data.swapaxes(-1, -2))
    n = x.data.ndim
    return Transpose((*range(n - 2), n - 1, n - 2))(x)


class Dense(Op):
    """A layer in one kernel:  Z = f(X @ W + b)        dA = dZ f'(A)        dX = dA @ Wᵀ        dW = Xᵀ @ dA        db = Σ dA

    f is linear, relu, sigmoid or tanh: functions whose derivative can be told from their result.
    """

    __slots__ = ("activation",)
    cases = [
        *[case((3, 4), (4, 2), (2,), activation=f) for f in ("linear", "sigmoid", "tanh")],
        case((3, 4), (4, 2), (2,), low=0.1, activation="relu"),
        case((5, 3), (3, 17), activation="linear"),
        case((4, 4, 4), (4, 4), (4,), activation="tanh"),
    ]

    def __init__(self, activation: str = "linear") -> None:
        self.activation = activation

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        return door.matmul(x, w, b, self.activation)

    def backward(self, dz: Tensor) -> Any:
        if (
            not graph.state.recording
        ):  # nobody will differentiate the gradient: the same formulas on arrays, with less around them
            z = None if self.activation == "linear" else self.output.data
            return tuple([None if g is None else Tensor(g) for g in self.plain_backward(dz.data, z)])
        da = dz if self.activation == "linear" else GRADIENTS[self.activation]()(dz, self.output)
        dx = MatMul()(da, flip(self.input(1))) if self.needs[0] else None
        dw = MatMul()(flip(self.input(0)), da) if self.needs[1] else None
        return (dx, dw) if len(self.needs) == 2 else (dx, dw, Sum(tuple(range(da.ndim - 1)))(da) if self.needs[2] else None)

    def plain_backward(self, dz: Array, z: Array | None) -> tuple[Array | None, ...]:
        da = dz if z is None else door.binary(f"{self.activation}_grad", dz, z)
        dx = door.matmul(da, self.input(1).data.T) if self.needs[0] else None
        dw = door.matmul(self.input(0).data.swapaxes(-1, -2), da) if self.needs[1] else None
        return (
            (dx, dw)
            if len(self.needs) == 2
            else (dx, dw, door.reduce("sum", da, tuple(range(da.ndim - 1))) if self.needs[2] else None)
        )


GRADIENTS: dict[str, type[Op]] = {"relu": ReluGrad, "sigmoid": SigmoidGrad, "tanh": TanhGrad}
