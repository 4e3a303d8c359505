"""Images turned, stretched and moved."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import door
from ..kernels.door import Warping
from ..tensor import Array, Tensor
from .base import Op, case

__all__ = ["Warp"]

Sizes = tuple[int, ...]

_MOTION = np.array([[0.3, 1.2, -0.9, 0.4, -0.3], [-0.2, 0.7, 1.1, -0.6, 0.2]])
_CASES: list[tuple[Sizes, Sizes, Warping]] = [
    ((2, 4, 3, 2), (4, 3), Warping()),
    ((1, 3, 5, 1), (2, 6), Warping("bilinear", "reflect")),
    ((2, 3, 3, 3), (3, 3), Warping("nearest", "wrap")),
    ((1, 2, 2, 1), (4, 4), Warping("bilinear", "nearest", 2.0)),
]


class Moved(Op):
    """What going forward and backward share: the motion of each image, an array of (samples, 5), and how places are filled."""

    def __init__(self, motion: Array, size: Sizes, warping: Warping) -> None:
        self.motion, self.size, self.warping = motion, size, warping


class Warp(Moved):
    """z = Σ share x over the pixels around the place of each position        dx = Σ share dz

    A motion is an angle, a stretch along height and width about the middle, and how far an image moves down and right.
    """

    cases = [case(x, motion=_MOTION[: x[0]], size=size, warping=warping) for x, size, warping in _CASES]

    def forward(self, x: Array) -> Array:
        return door.warp(x, _of_type(self.motion, x), self.size, self.warping)

    def backward(self, dz: Tensor) -> Any:
        return WarpGrad(self.motion, self._inputs[0].shape, self.warping)(dz)


class WarpGrad(Moved):
    """dx = Σ share dz        d(dz) = Σ share of the gradient of dx"""

    cases = [case((x[0], *size, x[-1]), motion=_MOTION[: x[0]], size=x, warping=warping) for x, size, warping in _CASES]

    def forward(self, dz: Array) -> Array:
        return door.warp_grad(dz, _of_type(self.motion, dz), self.size, self.warping)

    def backward(self, g: Tensor) -> Any:
        return Warp(self.motion, self._inputs[0].shape[1:3], self.warping._replace(fill_value=0.0))(g)


def _of_type(motion: Array, x: Array) -> Array:
    return motion if motion.dtype == x.dtype else door.cast(motion, x.dtype)
