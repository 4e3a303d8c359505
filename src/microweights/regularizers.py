"""Penalties on weights, added to the loss; names and defaults are Keras's."""

from __future__ import annotations

from typing import Any

from .errors import explain
from .naming import Configurable, lookup
from .parts import Part, used
from .tensor import Tensor


class Regularizer(Part, Configurable):
    """A penalty: `regularizer(weights)` returns a scalar tensor."""

    def __call__(self, w: Tensor) -> Tensor:
        raise NotImplementedError


class L1L2(Regularizer):
    """l1 Σ|w| + l2 Σw²  (elastic net, Zou & Hastie 2005)."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        for name, factor in (("l1", l1), ("l2", l2)):
            if not factor >= 0:
                raise ValueError(explain(f"`{name}` to be a number not below 0", factor, "0 switches the penalty off."))
        self.l1, self.l2 = float(l1), float(l2)

    def __call__(self, w: Tensor) -> Tensor:
        used(self)
        absolute = w.abs().sum() * self.l1 if self.l1 > 0 else None
        squares = w.square().sum() * self.l2 if self.l2 > 0 else None
        if absolute is None:
            return w.sum() * 0.0 if squares is None else squares
        return absolute if squares is None else absolute + squares


class L1(L1L2):
    """l1 Σ|w|: drives weights to zero  (lasso, Tibshirani 1996)."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """l2 Σw²: keeps weights small  (ridge, Hoerl & Kennard 1970)."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


l1, l2, l1_l2 = L1, L2, L1L2


def get(identifier: Any) -> Regularizer:
    """The regularizer for a name ("l2"), a Regularizer, a class, or a configuration."""
    return lookup("a regularizer", identifier, Regularizer, {"l1": L1, "l2": L2, "l1_l2": L1L2})


__all__ = ["L1", "L1L2", "L2", "Regularizer", "get", "l1", "l1_l2", "l2"]


def __dir__() -> list[str]:
    return sorted(__all__)
