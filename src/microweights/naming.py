"""Keras's way of naming a part: by an object, its name in snake_case or CamelCase, or its configuration."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from .errors import explain

T = TypeVar("T")
C = TypeVar("C", bound="Configurable")


def snake_case(name: str) -> str:
    """The name of a class as Keras writes it: a word begins where small letters do, or where small letters end.

    >>> snake_case("HeNormal"), snake_case("Conv2DTranspose"), snake_case("PReLU"), snake_case("L1L2")
    ('he_normal', 'conv2d_transpose', 'p_re_lu', 'l1_l2')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Z][0-9])", "_", name).lower()


class Configurable:
    """What can be described by the arguments of its `__init__`, each of which is kept as an attribute of the same name.

    A part of a network inherits from it, and can then be written down and made again.

    Examples
    --------
    >>> import microweights as mw
    >>> decay = mw.schedules.ExponentialDecay(0.1, 100, 0.9)
    >>> decay.get_config()
    {'initial_learning_rate': 0.1, 'decay_steps': 100, 'decay_rate': 0.9, 'staircase': False, 'name': None}
    >>> mw.schedules.ExponentialDecay.from_config(decay.get_config())
    ExponentialDecay(initial_learning_rate=0.1, decay_steps=100, decay_rate=0.9)
    """

    always_shown: tuple[str, ...] = ()  # arguments that `repr` shows also where they are as by default

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal object, as what JSON can hold.

        Raises
        ------
        TypeError
            If an argument is not kept, or is something that only Python can hold, such as a function of the user.
        """
        return {name: plain(value, f"{type(self).__name__}.{name}") for name, value in self._arguments().items()}

    @classmethod
    def from_config(cls: type[C], config: Mapping[str, Any]) -> C:
        """An object from what :meth:`get_config` gave."""
        return cls(**config)

    def _arguments(self) -> dict[str, Any]:
        """The value of each parameter of `__init__`, as the attribute of its name has it."""
        missing = [name for name in parameters(type(self)) if not hasattr(self, name)]
        if missing:
            received = f"no attribute {', '.join(map(repr, missing))}"
            remedy = "Keep each argument under its name, or override get_config."
            raise TypeError(explain(f"{type(self).__name__} to keep the arguments of its __init__", received, remedy))
        return {name: getattr(self, name) for name in parameters(type(self))}

    def __repr__(self) -> str:
        """The call that makes it, without what is as by default, such as a name that comes from the class."""
        defaults = {name: parameter.default for name, parameter in parameters(type(self)).items()}
        if getattr(self, "name", None) == snake_case(type(self).__name__):
            defaults["name"] = snake_case(type(self).__name__)
        shown = [f"{name}={value!r}" for name, value in self._arguments().items()
                 if name in self.always_shown or not _is_same(value, defaults[name])]  # fmt: skip
        return f"{type(self).__name__}({', '.join(shown)})"


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """What `cls(...)` takes by name: where an `__init__` passes **options on, with those of the class that it inherits from."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        own = vars(base).get("__init__")
        if own is None or base is object:
            continue
        _, *given = inspect.signature(own).parameters.values()
        named = [p for p in given if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        found |= {p.name: p for p in named if p.name not in found}
        if not any(p.kind is p.VAR_KEYWORD for p in given):
            break
    return found


def plain(value: Any, where: str) -> Any:
    """`value` as what JSON can hold. Functions and types of this library, and of NumPy, stand by their names.

    Raises
    ------
    TypeError
        If that is not possible.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Configurable):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if isinstance(value, np.generic):
        return plain(value.item(), where)
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), where)
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, (list, tuple)):
        return [plain(x, where) for x in value]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: plain(x, where) for name, x in value.items()}
    module = getattr(value, "__module__", None) or ""
    if callable(value) and module.partition(".")[0] in (__package__, "numpy") and getattr(value, "__name__", "").isidentifier():
        return str(value.__name__)
    remedy = "Give a name or an object of the library, or override get_config and from_config."
    raise TypeError(explain(f"{where} to be what JSON can hold", repr(value), remedy))


def _is_same(value: Any, default: Any) -> bool:
    try:
        return value is default or bool(value == default)
    except (TypeError, ValueError):
        return False


def lookup(kind: str, identifier: Any, base: type[T], table: Mapping[str, Any]) -> T:
    """The object that `identifier` stands for.

    That is itself if it is one of `base`, an instance of a class, what a name means, or what a configuration
    {"class_name": ..., "config": ...} describes, in which also a class of the user may be named.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is nothing of these.
    """
    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    config: Mapping[str, Any] = {}
    if isinstance(identifier, Mapping) and "class_name" in identifier:
        identifier, config = identifier["class_name"], identifier.get("config") or {}
        table = {**table, **{c.__name__: c for c in (base, *_subclasses(base))}}
    if not isinstance(identifier, str):
        remedy = f"Pass a name such as {min(table)!r}, or an object."
        raise TypeError(explain(f"{kind} by name or as a {base.__name__}", repr(identifier), remedy))
    found = table.get(identifier) or table.get(snake_case(identifier))
    if found is None:
        raise ValueError(explain(f"{kind} out of {sorted(table)}", repr(identifier), "Check the spelling."))
    if config:
        found = found if isinstance(found, type) else type(found)
        made: T = found.from_config(config) if hasattr(found, "from_config") else found(**config)
        return made
    return found() if isinstance(found, type) else found  # type: ignore[no-any-return]


def _subclasses(base: type) -> Iterator[type]:
    c: type
    for c in type.__subclasses__(base):
        yield c
        yield from _subclasses(c)
