"""Networks: layers in a row, or any arrangement of them in a class of your own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import graph
from .errors import explain
from .layers import Input, Layer
from .layers.base import Shape, checked_shape
from .naming import snake_case
from .saving import load_arrays, save_arrays
from .tensor import Tensor
from .training import Trainer


class Model(Trainer):
    """A network. Subclass it: make layers in `__init__`, call them in `call(x)`, optionally with `training`.

    Examples
    --------
    >>> import microweights as mw
    >>> class Autoencoder(mw.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.encoder = mw.layers.Dense(2, activation="relu")
    ...         self.decoder = mw.layers.Dense(4)
    ...     def call(self, x):
    ...         return self.decoder(self.encoder(x))
    >>> Autoencoder().predict_on_batch([[1.0, 2.0, 3.0, 4.0]]).shape
    (1, 4)
    """

    def __init__(self, **options: Any) -> None:
        if "inputs" in options or "outputs" in options:
            remedy = "Use mw.Sequential, or subclass mw.Model and call the layers in call(x): there is no functional API."
            raise TypeError(explain("options of a layer, such as `name`", "inputs and outputs", remedy))
        super().__init__(**options)

    @property
    def layers(self) -> list[Layer]:
        """The layers directly in it, without an `Input`."""
        return [layer for layer in self.sublayers().values() if not isinstance(layer, Input)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its place."""
        if index is not None:
            return self.layers[index]
        for key, layer in self.sublayers().items():
            if name in (key, layer.name):
                return layer
        raise ValueError(explain(f"a layer out of {[layer.name for layer in self.layers]}", repr(name), "Check the spelling."))

    def build(self, input_shape: Shape) -> None:
        """Make all weights, by running one sample of zeros; normally the first data does it.

        Parameters
        ----------
        input_shape : tuple
            With the axis of samples in front, which may be None.
        """
        sample = checked_shape("input_shape", tuple(input_shape)[1:])
        with graph.no_grad():
            self(Tensor(np.zeros((1, *sample), self.compute_dtype)))

    def build_for(self, input_shape: Shape) -> None:
        if type(self).build is not Model.build:  # a build of one's own makes layers or weights
            self.build(input_shape)

    # ---- files -------------------------------------------------------------------------------------------------

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write all weights to a safetensors file, whole or not at all.

        Raises
        ------
        ValueError
            If there are no weights yet.
        OSError
            If the file cannot be written; what stood there before is untouched.
        """
        weights = self.named_weights()
        if not weights:
            raise ValueError(explain("a model with weights", "none", "Call the model or build(input_shape) first."))
        save_arrays(path, {name: w.numpy() for name, w in weights.items()})

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Read all weights from a file of :meth:`save_weights`; if one does not fit, none is changed.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is cut off, not a safetensors file, or of another model.
        """
        arrays, weights = load_arrays(path), self.named_weights()
        if not weights:
            raise ValueError(explain("a model with weights", "none", "Call the model or build(input_shape) first."))
        if set(arrays) != set(weights):
            received = f"missing {sorted(set(weights) - set(arrays))}, unknown {sorted(set(arrays) - set(weights))}"
            raise ValueError(
                explain("a file with the weights of this model", received, "Load it into the model that saved it.")
            )
        self.set_weights([arrays[name] for name in weights])

    # ---- a look at it ------------------------------------------------------------------------------------------

    def summary(self, print_fn: Callable[[str], object] = print) -> None:
        """Print a table: each layer, the shape of its output and how many weights it has."""
        rows = [("layer (type)", "output shape", "weights")]
        for name, layer in self.sublayers().items():
            shape = "?" if layer.output_shape is None else str((None, *layer.output_shape))
            count = f"{layer.count_params():,}" if layer.built else "not built"
            rows.append((f"{name} ({type(layer).__name__})", shape, count))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        line = "-" * (sum(widths) + 4)
        for number, (name, shape, count) in enumerate(rows):
            print_fn(f"{name:{widths[0]}}  {shape:{widths[1]}}  {count:>{widths[2]}}")
            if number in (0, len(rows) - 1):
                print_fn(line)
        total, trainable = self.count_params(), sum(w.size for w in self.trainable_variables)
        print_fn(f"{total:,} weights, {trainable:,} of them trainable")


class Sequential(Model):
    """Layers in a row, each fed with the output of the one before.

    Parameters
    ----------
    layers : list of Layers, optional
        The shape of a sample may be told by an `Input` in front or `input_shape` of the first layer; otherwise the first
        data tells it.
    name : str, optional

    Examples
    --------
    >>> import microweights as mw
    >>> model = mw.Sequential([mw.Input((4,)), mw.layers.Dense(8, activation="relu"), mw.layers.Dense(1)])
    >>> model.count_params()
    49
    """

    def __init__(self, layers: Sequence[Layer] | None = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self._row: dict[str, Layer] = {}
        if isinstance(layers, Layer):
            raise TypeError(explain("a list of layers", f"{layers!r}", "Write them in brackets."))
        for layer in layers or ():
            self.add(layer)

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
        name, number = layer.name, 0
        while name in self._row:
            number += 1
            name = f"{snake_case(type(layer).__name__)}_{number}"
        if not layer.is_in_a_row:
            layer.name = name
        self._row[name] = layer
        try:
            self._build_if_possible()
        except BaseException:
            del self._row[name]
            raise
        layer.is_in_a_row = True
        self.output_shape = None
        graph.changed(self)

    def pop(self) -> Layer:
        """Take the last layer away."""
        if not self._row:
            raise IndexError(explain("a model with a layer to take away", "none", "Add one first."))
        self.output_shape = None
        graph.changed(self)
        return self._row.pop(next(reversed(self._row)))

    def sublayers(self) -> dict[str, Layer]:
        return self._row

    def _build_if_possible(self) -> None:
        """Run one sample of zeros through the layers, if its shape is known: each makes its weights."""
        first = next(iter(self._row.values()))
        sample = first.input_shape if first.output_shape is None else None
        if sample is None and not (len(self._row) > 1 and self._is_built_before_last()):
            return
        with graph.no_grad():
            if sample is not None:
                self(Tensor(np.zeros((1, *sample), first.dtype)))
            else:
                *_, before, last = self._row.values()
                shape = before.output_shape
                assert shape is not None
                last(Tensor(np.zeros((1, *shape), before.dtype)))

    def _is_built_before_last(self) -> bool:
        return all(layer.output_shape is not None for layer in list(self._row.values())[:-1])

    def call(self, x: Tensor) -> Tensor:
        if not self._row:
            raise ValueError(explain("a model with layers", "none", "Add one, as in model.add(mw.layers.Dense(10))."))
        for layer in self._row.values():
            x = layer(x)
        return x
