"""One way to say what is wrong: what was expected, what came, what to do."""

from __future__ import annotations

from collections.abc import Mapping


def explain(expected: str, received: object, remedy: str) -> str:
    """The text of an error in its three parts.

    >>> explain("`units` to be a positive integer", -3, "Give the number of outputs of the layer.")
    'Expected `units` to be a positive integer. Received: -3. Give the number of outputs of the layer.'
    """
    return f"Expected {expected}. Received: {received}. {remedy}"


def no_attribute(owner: object, name: str, hints: Mapping[str, str]) -> AttributeError:
    """The error for an attribute that is not there, with what to write instead if `hints` has a word on that name.

    >>> no_attribute([], "size", {"size": "Use len(x)."})
    AttributeError("'list' object has no attribute 'size'. Use len(x).")
    """
    hint = f". {hints[name]}" if name in hints else ""
    return AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=owner)


class NonFiniteError(FloatingPointError):
    """Infinity or NaN where a number must be finite; `time` is the number of the step that found it, of those run at once."""

    time = 0


class CaptureError(RuntimeError):
    """What a function does cannot be recorded and replayed."""
