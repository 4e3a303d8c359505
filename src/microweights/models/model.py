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
from ..layers.base import BatchShape, checked_shape, derived, unique_name
from ..layers.symbolic import Symbol
from ..state import no_grad, state
from ..tensor import Array, Tensor
from .functional import Graph, ends_of_config, in_keras_order, without_list
from .training import Trainer


class Model(Trainer):
    """A network: of symbols, as `mw.Model(inputs, outputs)`, or a subclass.

    A subclass makes layers in `__init__` and calls them in `call(x)`, optionally with `training`.

    Parameters
    ----------
    inputs : Symbol, or list or dict of Symbols
        What `mw.Input` returned; or what layers did, and then the model begins there.
    outputs : Symbol, or list or dict of Symbols
        What layers returned that were called on the inputs.
    name : str, optional
    **options
        `trainable` and others of :class:`microweights.layers.Layer`.

    Attributes
    ----------
    input, output : Symbol, or list or dict of Symbols
    inputs, outputs : list of Symbols

    Examples
    --------
    >>> import microweights as mw
    >>> x = mw.Input((4,))
    >>> h = mw.layers.Dense(4, activation="relu")(x)
    >>> model = mw.Model(x, mw.layers.Dense(1)(x + h))
    >>> model.predict([[1.0, 2.0, 3.0, 4.0]]).shape
    (1, 1)
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
        "inputs": "Models have them that are made of symbols, as mw.Model(inputs, outputs). Use model.input_shape.",
        "outputs": "Models have them that are made of symbols, as mw.Model(inputs, outputs). Use model.output_shape.",
    }
    _graph: Graph | None = None

    def __init__(self, *ends_and_name: Any, **options: Any) -> None:
        given = dict(zip(("inputs", "outputs", "name"), ends_and_name)) | options
        ends = [given.pop(key) for key in ("inputs", "outputs") if key in given]
        if len(ends) == 1 or len(ends_and_name) > 3:
            remedy = "Pass both, as mw.Model(inputs, outputs), or subclass mw.Model."
            raise TypeError(explain("`inputs`, `outputs` and perhaps a `name`", repr(ends_and_name or options), remedy))
        graph = Graph(*ends) if ends else None
        super().__init__(**given)
        if graph is not None:
            self._graph, self.built = graph, True
            self.output_names = graph.output_names
            self._input_shape, self._output_shape = (
                without_list([s.shape for s in in_keras_order(nest)]) for nest in (graph.inputs, graph.outputs)
            )
            self.output_type = without_list([s.dtype for s in in_keras_order(graph.outputs)])
            if not self.trainable:
                self.trainable = False  # the layers, too

    def __call__(self, *args: Any, training: bool | None = None, **options: Any) -> Any:
        """What :class:`Layer` does. Where nobody says so, it is not part of a training, and its layers are told that."""
        is_said = training is not None or state.training is not None
        return super().__call__(*args, training=training if is_said else False, **options)

    def call(self, *args: Any, **options: Any) -> Any:
        """The function of the model."""
        return super().call(*args, **options) if self._graph is None else self._graph(*args, **options)

    def _specs(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        is_graph = self._graph is not None and type(self).call is Model.call
        found = self._graph.results_for(*args) if self._graph is not None and is_graph else None
        return super()._specs(args, options) if found is None else found

    def _masked(self, x: Any, z: Any, mask: Any) -> Any:
        return super()._masked(x, z, mask) if self._makes_masks else z  # its layers have passed masks on

    def sublayers(self) -> dict[str, Layer]:
        """The layers that belong directly to this one, by name: those between symbols, and its attributes."""
        own = super().sublayers()
        found = {} if self._graph is None else self._graph.layers
        return found | {name: layer for name, layer in own.items() if name not in found}

    def _ends(self) -> tuple[Any, Any] | None:
        """The nests of symbols from which and to which it leads; None if it has none."""
        return None if self._graph is None else (self._graph.inputs, self._graph.outputs)

    @derived
    def input(self) -> Any:
        ends = self._ends()
        return super().input if ends is None else ends[0]

    @derived
    def output(self) -> Any:
        ends = self._ends()
        return super().output if ends is None else ends[1]

    @derived
    def inputs(self) -> list[Symbol]:
        return in_keras_order(self.input)

    @derived
    def outputs(self) -> list[Symbol]:
        return in_keras_order(self.output)

    @property
    def layers(self) -> list[Layer]:
        """The layers directly in it, no two of the same name; an `Input` is one only between symbols, as in Keras."""
        self._ends()  # and so layers in a row know their symbols
        self._name_parts()
        found = self.sublayers().values()
        return [layer for layer in found if self._graph is not None or not isinstance(layer, InputLayer)]

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

    # ---- as a configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a model like this one; of one made of symbols, the layers and how they are connected.

        Examples
        --------
        >>> import microweights as mw
        >>> x = mw.Input((4,), name="x")
        >>> config = mw.Model(x, mw.layers.Dense(2, name="y")(x)).get_config()
        >>> [layer["name"] for layer in config["layers"]], config["output_layers"]
        (['x', 'y'], ['y', 0, 0])
        >>> mw.Model.from_config(config).count_params()
        10
        """
        if self._graph is None or type(self).__init__ is not Model.__init__:
            return super().get_config()
        return {"name": self.name, "trainable": self.trainable, **self._graph.get_config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, type[Layer]] | None = None) -> Any:
        """A model from what :meth:`get_config` gave.

        Classes of the user are found by their names, the last of that name that was defined; or in `custom_objects`.
        """
        if "input_layers" not in config:
            return cls(**config)
        ends = ends_of_config(config, custom_objects)
        return cls(*ends, name=config.get("name"), trainable=config.get("trainable", True))

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
        header = ("layer (type)", "output shape", "weights", "connected to")
        columns = 3 if self._graph is None or self._graph.is_row else 4
        rows = [row[:columns] for row in (header, *self._summary_rows("", expand_nested))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        line = "-" * (sum(widths) + 2 * (columns - 1))
        for number, row in enumerate(rows):
            cells = [f"{cell:{'>' if i == 2 else '<'}{widths[i]}}" for i, cell in enumerate(row)]
            print_fn("  ".join(cells))
            if number in (0, len(rows) - 1):
                print_fn(line)
        total, trainable = self.count_params(), sum(w.size for w in self.trainable_variables)
        print_fn(f"{total:,} weights, {trainable:,} of them trainable")

    def _summary_rows(self, path: str, expand_nested: bool) -> list[tuple[str, str, str, str]]:
        rows = [(f"{path}{name} (weight)", str(w.shape), f"{w.size:,}", "") for name, w in self._own_weights.items()]
        graph = self._graph
        parts: dict[str, Any] = self.sublayers() if graph is None else graph.parts | self.sublayers()
        for name, part in parts.items():
            shape, count = part.output_shape, f"{part.count_params():,}" if part.built else "not built"
            sources = "" if graph is None else ", ".join(graph.connections(part))
            rows.append((f"{path}{name} ({type(part).__name__})", "?" if shape is None else str(shape), count, sources))
            if expand_nested and isinstance(part, Model):
                rows += part._summary_rows(f"{path}{name}.", expand_nested)
        return rows
