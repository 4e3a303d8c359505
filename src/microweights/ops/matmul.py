"""The weighted sum, for many neurons and many examples at once."""

from __future__ import annotations

from typing import Any

from ..errors import explain
from ..kernels import door
from ..state import state
from ..tensor import Array, Tensor
from .base import Op, case
from .elementwise import ReluGrad, SigmoidGrad, TanhGrad
from .reduce import Sum
from .shape import Transpose, reshape

__all__ = ["Dense", "MatMul", "matmul"]


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
    if not state.recording:
        return Tensor(x.data.swapaxes(-1, -2))
    n = x.data.ndim
    return Transpose((*range(n - 2), n - 1, n - 2))(x)


class Dense(Op):
    """A layer in one kernel:  Z = f(X @ W + b)        dA = dZ f'(A)        dX = dA @ Wᵀ        dW = Xᵀ @ dA        db = Σ dA

    f is linear, relu, sigmoid or tanh: functions whose derivative can be told from their result.
    """

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
        if not state.recording and dz.data.ndim == 2:
            return self.at_once(dz)
        da = dz if self.activation == "linear" else GRADIENTS[self.activation]()(dz, self.output)
        dx = MatMul()(da, flip(self.input(1))) if self.needs[0] else None
        dw = MatMul()(flip(self.input(0)), da) if self.needs[1] else None
        return (dx, dw) if len(self.needs) == 2 else (dx, dw, Sum(tuple(range(da.ndim - 1)))(da) if self.needs[2] else None)

    def at_once(self, dz: Tensor) -> tuple[Tensor | None, ...]:
        """The same by one kernel, where nobody will differentiate the gradient."""
        z = None if self.activation == "linear" else self.output.data
        x = (self.input(0) if self.needs[1] else self._inputs[0]).data
        w = (self.input(1) if self.needs[0] else self._inputs[1]).data
        dx, dw, db = door.dense_grad(dz.data, z, x, w, self.activation, self.needs)
        both = None if dx is None else Tensor(dx), None if dw is None else Tensor(dw)
        return both if len(self.needs) == 2 else (*both, None if db is None else Tensor(db))


GRADIENTS: dict[str, type[Op]] = {"relu": ReluGrad, "sigmoid": SigmoidGrad, "tanh": TanhGrad}


# ---- functions that check before they choose ----------------------------------------------------------------------


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """`x @ y` as NumPy's: a vector counts as one row on the left, as one column on the right."""
    if x.ndim == 0 or y.ndim == 0:
        received = f"shapes {x.shape} and {y.shape}"
        raise ValueError(explain("`@` to get tensors with at least one axis", received, "Multiply a scalar with `*`."))
    z = MatMul()(reshape(x, (1, *x.shape)) if x.ndim == 1 else x, reshape(y, (*y.shape, 1)) if y.ndim == 1 else y)
    if x.ndim > 1 and y.ndim > 1:
        return z
    kept = z.shape[:-2] + (z.shape[-2:-1] if x.ndim > 1 else ()) + (z.shape[-1:] if y.ndim > 1 else ())
    return reshape(z, kept)
