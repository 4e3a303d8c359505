"""Networks: layers put together, and the loop that trains them."""

from .model import Model
from .sequential import Sequential

__all__ = ["Model", "Sequential"]


def __dir__() -> list[str]:
    return sorted(__all__)
