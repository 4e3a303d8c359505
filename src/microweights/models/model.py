"""Networks: layers in a row, or any arrangement of them in a class of your own."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import random
from ..errors import explain
from ..formats.safetensors import load_arrays, save_arrays
from ..layers import InputLayer, Layer
from ..layers.base import BatchShape, checked_shape, unique_name
from ..state import no_grad
from ..tensor import Array, Tensor
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

    _hints: ClassVar[dict[str, str]] = Trainer._hints | {
        "parameters": "Use model.weights, or model.trainable_variables for those that are trained.",
        "named_parameters": "Use model.named_weights(), a dict.",
        "zero_grad": "Gradients are not kept: mw.grad(loss, model.trainable_variables) returns them, and fit does it all.",
        "train": "Use model(x, training=True); fit does so itself.",
        "eval": "Use model(x) or model.predict(x): training=False is what a call does unless told otherwise.",
        "forward": "Call the model itself, as model(x); define call(self, x) in a class of your own.",
        "save": "Use model.save_weights(path), and model.get_config() for the layers.",
        "export": "Use model.save_weights(path), and model.get_config() for the layers.",
        "load": "Make the model, and then model.load_weights(path).",
        "to_json": "Use json.dumps(model.get_config()).",
        "append": "Use model.add(layer).",
        "predict_proba": "Use model.predict(x).",
        "predict_classes": "Use model.predict(x).argmax(-1), or model.predict(x) > 0.5 for one output.",
        "fit_generator": "Use model.fit(x, y).",
        "fit_transform": "Use model.fit(x, y), and then model.predict(x).",
        "score": "Use model.evaluate(x, y).",
        "coef_": "Use model.get_weights().",
        "inputs": "Use model.input_shape: there is no functional API.",
        "outputs": "Use model.output_shape: there is no functional API.",
    }

    def __init__(self, *args: Any, **options: Any) -> None:
        if args or "inputs" in options or "outputs" in options:
            remedy = "Use mw.Sequential, or subclass mw.Model and call the layers in call(x): there is no functional API."
            raise TypeError(explain("options of a layer, such as `name`", "inputs and outputs", remedy))
        super().__init__(**options)

    @property
    def layers(self) -> list[Layer]:
        """The layers directly in it, without an `Input`; no two of them have the same name."""
        self._name_parts()
        return [layer for layer in self.sublayers().values() if not isinstance(layer, InputLayer)]

    def _name_parts(self) -> None:
        """Number the names of layers, as in dense, dense_1, unless a name was given or another model did that before."""
        parts = self.sublayers().values()
        taken = {layer.name for layer in parts if layer.is_named or layer.given_name}
        for layer in parts:
            if not layer.is_named and not layer.given_name:
                layer.name = unique_name(layer.name, taken)
                taken.add(layer.name)
            layer.is_named = True

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name, or the attribute that it is, or its place.

        Raises
        ------
        ValueError
            If there is none.
        """
        found = self.layers
        names = [layer.name for layer in found]
        if index is not None:
            if not isinstance(index, (int, np.integer)) or not -len(found) <= index < len(found):
                raise ValueError(explain(f"`index` of one of {len(found)} layers", repr(index), f"The layers are {names}."))
            return found[index]
        for key, layer in self.sublayers().items():
            if name in (key, layer.name):
                return layer
        remedy = f"Write get_layer(index={name})." if isinstance(name, int) else "Check the spelling."
        raise ValueError(explain(f"a layer out of {names}", repr(name), remedy))

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make all weights, by running one sample of zeros; normally the first data does it.

        Parameters
        ----------
        input_shape : tuple
            With the axis of samples in front, which may be None.
        """
        if type(self).build is not Model.build:  # one of its own called this one; the first data does the rest
            return
        sample = checked_shape("input_shape", tuple(input_shape)[1:])
        with no_grad():
            self(Tensor(np.zeros((1, *sample), self.compute_dtype)))

    def build_for(self, input_shape: BatchShape) -> None:
        self._name_parts()
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
            If it is cut off, not a safetensors file, or of another model; or if the model has no weights yet, and the file does
            not tell the shapes of what comes in.
        """
        arrays = load_arrays(path)
        if not all(layer.built for _, layer in self.walk()):
            stream = random.common().copy()
            try:
                trial = copy.deepcopy(self)
                trial._build_for_weights(arrays)
                trial._set_named(arrays)  # or an error, and nothing has changed
                self._build_for_weights(arrays)
            finally:
                random.common()[...] = stream
        self._set_named(arrays)

    def _build_for_weights(self, arrays: Mapping[str, Array]) -> None:
        """Make the weights of layers that have none yet, where weights of these names tell what comes in."""
        for path, layer in self.walk():
            own = {name.removeprefix(path): a.shape for name, a in arrays.items() if name.startswith(path)}
            shape = None if layer.built else layer.input_shape_of(own)
            if shape is not None:
                layer.build(shape)

    def _set_named(self, arrays: Mapping[str, Array]) -> None:
        weights = self.named_weights()
        if set(arrays) != set(weights):
            received = f"missing {sorted(set(weights) - set(arrays))}, unknown {sorted(set(arrays) - set(weights))}"
            remedy = "Load it into the model that saved it."
            if not all(layer.built for _, layer in self.walk()):
                remedy += " If this is one, call it once before, as model(x[:1]): some of its layers have no weights yet."
            raise ValueError(explain("a file with the weights of this model", received, remedy))
        self.set_weights([arrays[name] for name in weights])

    # ---- a look at it ------------------------------------------------------------------------------------------

    def summary(self, *, print_fn: Callable[[str], object] = print, expand_nested: bool = False) -> None:
        """Print a table: each layer, the shape of its output and how many weights it has.

        Parameters
        ----------
        print_fn : function of a line
        expand_nested : bool
            Show the layers inside of layers, too.
        """
        rows = [("layer (type)", "output shape", "weights"), *self._summary_rows("", expand_nested)]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        line = "-" * (sum(widths) + 4)
        for number, (name, shape, count) in enumerate(rows):
            print_fn(f"{name:{widths[0]}}  {shape:{widths[1]}}  {count:>{widths[2]}}")
            if number in (0, len(rows) - 1):
                print_fn(line)
        total, trainable = self.count_params(), sum(w.size for w in self.trainable_variables)
        print_fn(f"{total:,} weights, {trainable:,} of them trainable")

    def _summary_rows(self, path: str, expand_nested: bool) -> list[tuple[str, str, str]]:
        rows = [(f"{path}{name} (weight)", str(w.shape), f"{w.size:,}") for name, w in self._own_weights.items()]
        for name, layer in self.sublayers().items():
            shape = "?" if layer.output_shape is None else str(layer.output_shape)
            count = f"{layer.count_params():,}" if layer.built else "not built"
            rows.append((f"{path}{name} ({type(layer).__name__})", shape, count))
            if expand_nested and isinstance(layer, Model):
                rows += layer._summary_rows(f"{path}{name}.", expand_nested)
        return rows
