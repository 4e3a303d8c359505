"""Floor 3: record in Python, replay in C.

A call of a captured function goes through these states, a file for each:

recorded   a call runs in Python, and what the kernels are called with is written down       recorder.py, recorded.py
compared   the next call of its form is recorded, too, and must have done the same           recorded.py, captured.py
settled    what was computed is let go, and each block's kind decided                        recorder.py
compiled   calls are fused and chained, memory is laid out, a table of C functions written   passes.py, program.py
replayed   a call sees that nothing else has changed, and runs the table in C                replay.py

`forms.py` takes arguments and results apart; `step.py` and `surroundings.py` follow the Python values on which a step of a
model depends; `work.py` counts operations and bytes.
"""

from .captured import Captured, capture

__all__ = ["Captured", "capture"]


def __dir__() -> list[str]:
    return sorted(__all__)
