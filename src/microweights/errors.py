"""One way to say what is wrong: what was expected, what came, what to do."""

from __future__ import annotations


def explain(expected: str, received: object, remedy: str) -> str:
    """The text of an error in its three parts.

    >>> explain("`units` to be a positive integer", -3, "Give the number of outputs of the layer.")
    'Expected `units` to be a positive integer. Received: -3. Give the number of outputs of the layer.'
    """
    return f"Expected {expected}. Received: {received}. {remedy}"


class NonFiniteError(FloatingPointError):
    """Infinity or NaN where a number must be finite; `time` is the number of the step that found it, of those run at once."""

    time = 0


class CaptureError(RuntimeError):
    """What a function does cannot be recorded and replayed."""
