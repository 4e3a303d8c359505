"""How weights follow their gradients; names, arguments and defaults are Keras's, with `l1` and `l2` beside `weight_decay`.

`l1` and `l2` are coupled: they add l1 sign(w) + l2 w to the gradient before the rule sees it. `weight_decay` is decoupled:
it first shrinks weights by learning_rate * weight_decay (Loshchilov & Hutter 2019).
"""

from __future__ import annotations

from typing import Any

from ..naming import lookup
from .base import Optimizer
from .lbfgs import Minimum, lbfgs
from .rules import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Minimum", "Nadam", "Optimizer", "RMSprop", "get",
    "lbfgs",
]  # fmt: skip

_CLASSES: tuple[type[Optimizer], ...] = (SGD, Adam, AdamW, Adamax, Nadam, RMSprop, Adagrad, Adadelta, Lion)
_TABLE: dict[str, type[Optimizer]] = {c.__name__.lower(): c for c in _CLASSES}


def get(identifier: Any) -> Optimizer:
    """The optimizer for a name ("adam"), an Optimizer, or its configuration {"class_name": ..., "config": ...}."""
    identifier = identifier.lower() if isinstance(identifier, str) else identifier
    return lookup("an optimizer", identifier, Optimizer, _TABLE)


def __dir__() -> list[str]:
    return sorted(__all__)
