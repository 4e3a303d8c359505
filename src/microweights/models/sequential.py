"""Layers in a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import layers
from ..errors import explain
from ..layers import Layer
from ..layers.base import BatchShape, checked_shape, unique_name
from ..naming import lookup, plain
from ..parts import changed
from ..state import no_grad
from ..tensor import Tensor
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

    def __init__(
        self, layers: Sequence[Layer] | None = None, trainable: bool = True, name: str | None = None, *unpacked: Any
    ) -> None:
        given = (layers, trainable, name, *unpacked)
        if unpacked or any(isinstance(layer, Layer) for layer in given):
            raise TypeError(
                explain("a list of layers", f"{given[0]!r} and so on", "Write them in brackets: Sequential([...]).")
            )
        super().__init__(trainable=trainable, name=name)
        self._row: dict[str, Layer] = {}
        for layer in layers or ():
            self.add(layer)

    @property
    def input_shape(self) -> BatchShape | None:
        return next(iter(self._row.values())).input_shape if self._row else None

    @property
    def output_shape(self) -> BatchShape | None:
        return next(reversed(self._row.values())).output_shape if self._row else None

    def add(self, layer: Layer) -> None:
        """Put a layer at the end.

        Raises
        ------
        TypeError
            If it is not a Layer.
        ValueError
            If a layer of the same given name is there already.
        """
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
        return self._row.pop(next(reversed(self._row)))

    def sublayers(self) -> dict[str, Layer]:
        return self._row

    def _build_if_possible(self) -> None:
        """Run one sample of zeros through the layers, if its shape is known: each makes its weights."""
        *before, last = self._row.values()
        shape = last.input_shape if not before else before[-1].output_shape
        if shape is None or any(layer.output_shape is None for layer in before):
            return
        zeros = np.zeros((1, *checked_shape("input_shape", shape[1:])), before[-1].output_type if before else last.dtype)
        with no_grad():
            z = last(Tensor(zeros))
        self.output_type = z.data.dtype

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
        known, own = {name: getattr(layers, name) for name in layers.__all__}, custom_objects or {}
        parts = [
            own[part["class_name"]].from_config(part["config"])
            if part["class_name"] in own
            else lookup("layer", part, Layer, known)
            for part in config["layers"]
        ]
        return cls(parts, trainable=config.get("trainable", True), name=config.get("name"))
