"""Floor 3: record in Python, replay in C.

`captured.py` runs a function, compares two recordings and keeps the programs; `recorder.py` writes down what the kernels are
called with; `passes.py` improves that; `program.py` lays it out in memory and runs it; `replay.py` sees that a program still
holds; `step.py` and `surroundings.py` follow the Python values on which a step of a model depends; `work.py` counts operations.
"""

from .captured import Captured, capture

__all__ = ["Captured", "capture"]


def __dir__() -> list[str]:
    return sorted(__all__)
