"""One way to say what is wrong: what was expected, what came, what to do."""

from __future__ import annotations

import os
import sys
import warnings

PACKAGE = os.path.dirname(__file__) + os.sep


def explain(expected: str, received: object, remedy: str) -> str:
    """The text of an error in its three parts.

    >>> explain("`units` to be a positive integer", -3, "Give the number of outputs of the layer.")
    'Expected `units` to be a positive integer. Received: -3. Give the number of outputs of the layer.'
    """
    return f"Expected {expected}. Received: {received}. {remedy}"


def warn(message: str) -> None:
    """A warning at the line of the user's that called this library, however deep it is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


class NonFiniteError(FloatingPointError):
    """Infinity or NaN where a number must be finite; `time` is the number of the step that found it, of those run at once."""

    time = 0


class CaptureError(RuntimeError):
    """What a function does cannot be recorded and replayed."""
