"""Layers in a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import explain
from ..layers import Input, InputLayer, Layer
from ..layers.base import BatchShape, is_shape, unique_name
from ..layers.symbolic import Node, Spec, Symbol
from ..naming import plain
from ..parts import changed
from ..tensor import Tensor
from ..tree import map_structure
from .functional import made_of_config
from .model import Model


class Sequential(Model):
    """Layers in a row, each fed with the output of the one before.

    Parameters
    ----------
    layers : list of Layers, optional
        The shape of a sample may be told by an `Input` in front or `input_shape` of the first layer; otherwise the first
        data tells it.
    trainable : bool
    name : str, optional

    Examples
    --------
    >>> import microweights as mw
    >>> model = mw.Sequential([mw.Input((4,)), mw.layers.Dense(8, activation="relu"), mw.layers.Dense(1)])
    >>> model.count_params()
    49
    """

    _notes = Model._notes | {"_symbols"}

    def __init__(
        self, layers: Sequence[Layer | Symbol] | None = None, trainable: bool = True, name: str | None = None, *unpacked: Any
    ) -> None:
        given = (layers, trainable, name, *unpacked)
        if unpacked or any(isinstance(layer, Layer) for layer in given):
            raise TypeError(
                explain("a list of layers", f"{given[0]!r} and so on", "Write them in brackets: Sequential([...]).")
            )
        super().__init__(trainable=trainable, name=name)
        self._row: dict[str, Layer] = {}
        self._symbols: list[Any] = []  # what goes in, and what each layer gives, as far as known
        if not isinstance(layers, (list, tuple, type(None))):
            raise TypeError(explain("a list of layers", repr(layers), "Write Sequential([...])."))
        for layer in layers or ():
            self.add(layer)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_symbols": []}

    @property
    def input_shape(self) -> BatchShape | None:
        return next(iter(self._row.values())).input_shape if self._row else None

    @property
    def output_shape(self) -> BatchShape | None:
        return next(reversed(self._row.values())).output_shape if self._row else None

    def add(self, layer: Layer | Symbol) -> None:
        """Put a layer at the end.

        Raises
        ------
        TypeError
            If it is not a Layer.
        ValueError
            If a layer of the same given name is there already.
        """
        if isinstance(layer, Symbol) and isinstance(layer.node.part, InputLayer):
            layer = layer.node.part
        if not isinstance(layer, Layer):
            received = f"{layer!r}"
            raise TypeError(explain("a layer object", received, "Make one, as in mw.layers.Dense(10)."))
        if any(layer is other for other in self._row.values()):
            raise ValueError(explain("each layer once in a row", f"{layer.name!r} twice", "Subclass mw.Model to share layers."))
        if layer.given_name in self._row:
            raise ValueError(explain("layers of different names", f"{layer.given_name!r} twice", "Rename one."))
        name = unique_name(layer.name, self._row)
        if not layer.is_named:
            layer.name = name
        if not self.trainable:
            layer.trainable = False
        self._row[name] = layer
        try:
            self._build_if_possible()
        except BaseException:
            del self._row[name]
            raise
        layer.is_named = True
        changed(self)

    def pop(self) -> Layer:
        """Take the last layer away."""
        if not self._row:
            raise IndexError(explain("a model with a layer to take away", "none", "Add one first."))
        changed(self)
        del self._symbols[-1:]
        return self._row.pop(next(reversed(self._row)))

    def sublayers(self) -> dict[str, Layer]:
        return self._row

    def _build_if_possible(self) -> None:
        """Call the last layer on what the one before gives, if that is known: it makes its weights."""
        *before, last = self._row.values()
        symbols = self._known_symbols(before)
        if not before and last.input_shape is not None:
            symbols = [_entry_of(last)]
        if symbols:
            x = symbols[-1]
            self._symbols = [*symbols, x if isinstance(last, InputLayer) and not before else last(x)]
            self.output_type = map_structure(lambda s: s.dtype, self._symbols[-1])

    def _known_symbols(self, row: Sequence[Layer]) -> list[Any]:
        """What goes into a row of layers and what each of them gives; nothing if that is not known.

        Layers that were built by data have the shapes that they had there.
        """
        if len(self._symbols) != len(row) + 1:
            is_known = bool(row) and all(layer.output_shape is not None for layer in row)
            self._symbols = [_entry_of(row[0])] if is_known else []
            for number, layer in enumerate(row if is_known else ()):
                x, is_input = self._symbols[-1], isinstance(layer, InputLayer) and number == 0
                specs = map_structure(Spec, layer.output_shape, layer.output_type, is_leaf=is_shape)
                self._symbols.append(x if is_input else Node(layer, (x,), {}, specs).outputs)
        return self._symbols

    def _ends(self) -> tuple[Any, Any] | None:
        found = self._known_symbols(list(self._row.values()))
        return (found[0], found[-1]) if found else super()._ends()

    def call(self, x: Tensor) -> Tensor:
        if not self._row:
            raise ValueError(explain("a model with layers", "none", "Add one, as in model.add(mw.layers.Dense(10))."))
        if x.ndim == 1 and (self.input_shape or ())[1:] == (1,):  # one number a sample
            x = x.reshape(len(x), 1)
        for layer in self._row.values():
            x = layer(x)
        return x

    def get_config(self) -> dict[str, Any]:
        """Names and layers, from which :meth:`from_config` makes a model like this one, with weights of its own.

        Examples
        --------
        >>> import microweights as mw
        >>> config = mw.Sequential([mw.Input((4,)), mw.layers.Dense(2)]).get_config()
        >>> [layer["class_name"] for layer in config["layers"]]
        ['InputLayer', 'Dense']
        >>> mw.Sequential.from_config(config).count_params()
        10
        """
        return {"name": self.name, "trainable": self.trainable, "layers": [plain(layer, "") for layer in self._row.values()]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, type[Layer]] | None = None) -> Sequential:
        """A model from what :meth:`get_config` gave.

        Classes of the user are found by their names, the last of that name that was defined; or in `custom_objects`.
        """
        parts = [made_of_config(part, custom_objects) for part in config["layers"]]
        return cls(parts, trainable=config.get("trainable", True), name=config.get("name"))


def _entry_of(layer: Layer) -> Symbol:
    """What goes into a row that begins with a layer."""
    x: Symbol = layer.output if isinstance(layer, InputLayer) else Input((layer.input_shape or ())[1:], dtype=layer.dtype)
    return x
