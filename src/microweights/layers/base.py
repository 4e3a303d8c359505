"""What every layer is: weights, made when the first input shows its shape, and a function of tensors that uses them."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import initializers, ops, random, regularizers
from ..errors import explain, no_attribute, warn
from ..kernels import door
from ..naming import Configurable, snake_case
from ..parts import Part, used
from ..state import no_grad, state
from ..tensor import FLOATS, Array, Tensor, as_array, as_tensor, known_dtype
from ..tree import flatten, leaves_of, map_structure, unflatten
from .symbolic import Node, Spec, Symbol, symbols_in, tried

__all__ = ["Layer"]

Shape = tuple[int, ...]
BatchShape = tuple[int | None, ...]  # with the axis of samples, which is None
_NOTHING: Any = object()


class derived:
    """A property that gives way to an attribute of the same name, such as a layer that a user calls `output`."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else self.function(instance)


class Layer(Part, Configurable):
    """A part of a network. Subclass it with `build(input_shape)`, which makes weights, and `call(x)`.

    `call` takes and returns tensors, alone or in lists, tuples and dicts, and has what options it likes: it is given what the
    layer is called with, and `training` if it takes that. `build` is given the shape of the first argument, or the nest of
    shapes.

    Layers that are set as attributes, alone or in lists, belong to the layer: their weights are its weights. So does a tensor
    that requires a gradient and is set as an attribute in `__init__` or `build`.

    Floats that come in are cast to the layer's type. Integers and booleans come as they are, exact as identifiers and indices
    must be; arithmetic with a weight makes floats of them.

    Parameters
    ----------
    activity_regularizer : None
        Penalties on outputs are not there; add them to the loss.
    trainable : bool
        Whether training changes the weights; may be set later, too.
    dtype : data type
        Of weights and computation: float32 or float64.
    autocast : bool
        Whether floats that come in are cast to `dtype`.
    name : str, optional
    input_shape : tuple of int, optional
        The shape of one sample, if it shall be known before the first.
    input_dim : int, optional
        The same for samples of one axis.

    Attributes
    ----------
    input_shape, output_shape : tuple or None
        Known after the first call; the axis of samples is None in front. Of several tensors, the nest of their shapes.
    input, output : Symbol or list of Symbols
        Of the first call on symbols.
    built : bool
        Whether its weights are made.
    supports_masking : bool
        Whether the mask of what comes in is that of what goes out; a class that has a `compute_mask` makes its own.

    Examples
    --------
    >>> import microweights as mw
    >>> class Scale(mw.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(input_shape[-1:], "ones", name="factor")
    ...     def call(self, x):
    ...         return x * self.factor
    >>> Scale()(mw.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """

    _takes_training: ClassVar[bool] = False
    _trains_alone: ClassVar[bool] = False  # what `training` is where nobody says
    _makes_masks: ClassVar[bool] = False
    _takes_one: ClassVar[bool] = False  # tensor, and no nest of them
    _names: ClassVar[tuple[str, ...]] = ()  # of what `call` takes by position or by name
    _takes: ClassVar[frozenset[str]] = frozenset()  # all that `call` takes
    supports_masking: bool = False
    # `trainable` shows in the weights' requires_grad, which every replay looks at
    _notes: ClassVar[frozenset[str]] = frozenset(
        ("built", "name", "output_type", "_input_shape", "_output_shape", "_is_building", "trainable", "_trainable", "is_named")
    )
    _own_lists: ClassVar[frozenset[str]] = frozenset(("_own_weights", "_fixed", "_penalties", "_row", "_nodes"))
    _casts: bool = True  # floats that come in to its own type; a model leaves that to its layers
    _computes_in_floats: ClassVar[bool] = False  # and so casts integers, too
    _hints: ClassVar[dict[str, str]] = {  # what people look for first, and what to write instead
        "forward": "Call the layer itself, as layer(x); define call(self, x) in a class of your own.",
        "parameters": "Use layer.weights, or layer.trainable_variables for those that are trained.",
        "named_parameters": "Use layer.named_weights(), a dict.",
        "zero_grad": "Gradients are not kept: mw.grad(loss, layer.trainable_variables) returns them.",
        "train": "Call with training=True; fit does so itself.",
        "eval": "Call with training=False, which is what a call does unless told otherwise.",
        "state_dict": "Use layer.named_weights(), a dict of tensors, or model.save_weights(path).",
        "load_state_dict": "Use layer.set_weights(arrays), or model.load_weights(path).",
        "to": "Everything runs on the CPU; the type is chosen with dtype= when the layer is made.",
        "cuda": "Everything runs on the CPU.",
        "cpu": "Everything runs on the CPU.",
        "double": "Pass dtype='float64' when the layer is made.",
        "requires_grad_": "Set layer.trainable = False or True.",
        "children": "Use layer.sublayers(), a dict.",
        "modules": "Use layer.walk(), a list of (path, layer).",
        "register_buffer": "Use self.add_weight(..., trainable=False).",
        "register_parameter": "Use self.add_weight(...), or set a tensor with requires_grad=True as an attribute.",
        "add_loss": "Give add_weight a regularizer, or add the term in a loss of your own.",
        "losses": "Use layer.penalty(), the sum of all penalties.",
        "input": "Layers have one that were called on symbols, as mw.Input(shape) makes them. Use layer.input_shape.",
        "output": "Layers have one that were called on symbols, as mw.Input(shape) makes them. Use layer.output_shape.",
    }
    activity_regularizer: ClassVar[None] = None
    input_dim: ClassVar[None] = None

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        input_dim: int | None = None,
    ) -> None:
        refuse_unless_none(activity_regularizer=activity_regularizer)
        if name is not None and not isinstance(name, str):
            raise TypeError(explain("`name` to be a text", repr(name), "Options are passed by their names."))
        sample = input_shape if input_dim is None else (input_dim,)
        self._own_weights: dict[str, Tensor] = {}
        self._fixed: set[str] = set()  # names of weights that are never trained
        self._penalties: list[tuple[regularizers.Regularizer, Tensor]] = []
        self._trainable = trainable
        self.built = False
        self._is_building = False
        self.is_named = False  # by a model, in which no other layer has its name
        self.dtype = checked_float_type(dtype)
        if not autocast:
            self._casts = False
        self.given_name = name
        self.name = name or snake_case(type(self).__name__)
        self._input_shape: BatchShape | None = (
            None if sample is None else (None, *checked_shape("input_shape", sample, may_be_unknown=True))
        )
        self._output_shape: BatchShape | None = None
        self.output_type: np.dtype[Any] | None = None  # of data, known after the first call
        self._nodes: list[Node] = []  # calls on symbols

    def __init_subclass__(cls) -> None:
        _, *taken = inspect.signature(cls.call).parameters.values()
        cls._takes = frozenset(p.name for p in taken)
        cls._takes_training = "training" in cls._takes
        cls._makes_masks = cls.compute_mask is not Layer.compute_mask
        if "compute_mask" in vars(cls):
            cls.supports_masking = True
        cls._names = tuple(p.name for p in taken if p.kind is p.POSITIONAL_OR_KEYWORD)
        if "build" in vars(cls):
            cls.build = _whole(cls.build)  # type: ignore[assignment, method-assign]

    if not TYPE_CHECKING:  # for which any attribute would be there

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name, self._hints)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_nodes": []}  # a copy has not been called

    @derived
    def input(self) -> Any:
        node = self._first_node("input")
        return _one_or_list(node.inputs or symbols_in(node.outputs))

    @derived
    def output(self) -> Any:
        return _one_or_list(symbols_in(self._first_node("output").outputs))

    def _first_node(self, name: str) -> Node:
        if not self._nodes:
            raise no_attribute(self, name, self._hints)
        return self._nodes[0]

    @property
    def autocast(self) -> bool:
        return self._casts

    @property
    def input_shape(self) -> BatchShape | None:
        return self._input_shape

    @property
    def output_shape(self) -> BatchShape | None:
        return self._output_shape

    def build(self, input_shape: BatchShape) -> None:
        """Make the weights for inputs of this shape (with the axis of samples)."""

    def build_for(self, input_shape: Shape) -> None:
        """What the first call does."""
        self.build(input_shape)

    def input_shape_of(self, weights: dict[str, Shape]) -> BatchShape | None:
        """The shape of inputs for which `build` makes weights of these shapes; None if they do not tell."""
        return None

    def call(self, *args: Any, **options: Any) -> Any:
        """The layer's function."""
        remedy = "Rename `forward` to `call`." if hasattr(type(self), "forward") else "Define call(self, x)."
        raise NotImplementedError(explain("a layer with a `call` method", type(self).__name__, remedy))

    def __call__(self, x: Any = _NOTHING, /, *others: Any, training: bool | None = None, **options: Any) -> Any:
        """Apply the layer to tensors, alone or in lists, tuples and dicts; or to symbols, which gives symbols.

        Parameters
        ----------
        x, *others, **options
            What `call` takes. Arrays become tensors; numbers in lists do in the first argument.
        training : bool, optional
            Layers inside it learn of it whether or not `call` passes it on; None is as in the call that this one is part of.
        """
        if state.watch is not None and id(self) not in state.watch.parts:
            used(*(layer for _, layer in self.walk()))
        call = self.call
        if not isinstance(x, Tensor) or others or options or x.mask is not None or self._makes_masks:
            x, others, options = self._named(x, others, options)
            if symbols_in(leaves_of((x, others, options), _is_array)):
                return self._on_symbols((x, *others), options if training is None else {**options, "training": training})
            x, others, options = self._as_tensors(x, others, options)
            training = options.pop("training", training)
            call = self._with(x, others, options)
        else:
            kind = x.data.dtype
            if kind is not self.dtype and self._casts and (kind in FLOATS or self._computes_in_floats):
                if kind not in FLOATS:
                    self._look_at_integers(x)
                x = x.astype(self.dtype)
        if not self.built:
            self._build_once(_shapes_of(x))
        if training is None:  # as the call that this one is part of
            whether = self._trains_alone if state.training is None else state.training
            z = call(x, training=whether) if self._takes_training else call(x)
        else:
            before, state.training = state.training, training
            try:
                z = call(x, training=training) if self._takes_training else call(x)
            finally:
                state.training = before
        if self._output_shape is None:
            self._note_shapes(x, z)
        return z

    def _named(self, x: Any, others: Any, options: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
        """The first argument, and the others by their names as far as `call` has names for them."""
        names = self._names
        if x is _NOTHING:
            if not names or names[0] not in options:
                raise TypeError(explain(f"an input of {self!r}", "none", "Call the layer with a tensor."))
            x = options.pop(names[0])
        if 0 < len(others) < len(names) and not options.keys() & names[1 : 1 + len(others)]:
            others, options = (), dict(zip(names[1:], others)) | options
        if self._takes_one and isinstance(x, (list, tuple, dict)) and not _is_array(x):
            remedy = "Join the inputs first, as with mw.concatenate, or call the layer on each of them."
            raise TypeError(explain(f"one tensor as the input of {self!r}", f"a {type(x).__name__} of {len(x)}", remedy))
        return x, others, options

    def _as_tensors(self, x: Any, others: Any, options: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
        """What `call` is given: arrays as tensors, and floats cast."""

        def first(leaf: Any) -> Any:
            is_left_out = leaf is None and not self._takes_one
            return None if is_left_out else self._cast(_as_tensor(leaf), self._computes_in_floats)

        def other(leaf: Any) -> Any:
            return self._cast(as_tensor(leaf), False) if isinstance(leaf, (Tensor, np.ndarray)) else leaf

        return map_structure(first, x, is_leaf=_is_array), *map_structure(other, (others, options))

    def _with(self, x: Any, others: Any, options: dict[str, Any]) -> Callable[..., Any]:
        """The function of the first argument, and of `training`: the masks of tensors go into it and come out of it."""
        tensors = {name: v for name, v in options.items() if not name.endswith("mask") and _has_tensors(v)}
        for name, value in {**dict(zip(self._names, (x,))), **tensors}.items():
            taken = f"{name}_mask" if tensors else "mask"
            if taken in self._takes and options.get(taken) is None:
                options[taken] = masks_of(value)

        def called(x: Any, **training: Any) -> Any:
            return self._masked(x, self.call(x, *others, **options, **training), options.get("mask"))

        return called

    def _masked(self, x: Any, z: Any, mask: Any) -> Any:
        """The results of a call with their masks, as far as they have none; `mask` is what the call was given."""
        before = masks_of(x) if mask is None else mask
        results: list[Any] = []
        structure = flatten(z, results)
        if (before is None and not self._makes_masks) or all(getattr(t, "mask", True) is not None for t in results):
            return z
        if not self.supports_masking:
            if mask is None:
                remedy = "Set self.supports_masking = True if its results have the same mask, or define compute_mask."
                warn(explain("layers that pass masks on", f"a tensor with a mask for {self!r}, which ends there", remedy))
            return z
        inputs = {id(t) for t in leaves_of(x)}
        for i, found in enumerate(leaves_of(self.compute_mask(x, before))[: len(results)]):
            t = results[i]
            if found is not None and isinstance(t, Tensor) and t.mask is None:
                results[i] = t = ops.Reshape(t.shape)(t) if id(t) in inputs else t  # what came in keeps the mask that it has
                t.mask = found
        return unflatten(structure, results)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The masks of what goes out, for what comes in and the masks of that; of the same structure, or None.

        A mask is a tensor of bool, and False where a tensor is padded: of shape (samples, times) for one of shape
        (samples, times, ...).
        """
        return previous_mask

    def _on_symbols(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Note the call, and return the symbols of what it will give; the layer is built by it."""
        is_first = self._output_shape is None
        node = Node(self, args, options, self._specs(args, options))
        if is_first:
            self._input_shape, self._output_shape = _without_samples(args[0]), _without_samples(node.outputs)
            self.output_type = map_structure(lambda s: s.dtype, node.outputs)
        return node.outputs

    def _specs(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The nest of Specs of what a call on symbols gives."""
        if type(self).compute_output_shape is not Layer.compute_output_shape and not args[1:] and not symbols_in(options):
            shapes = map_structure(lambda s: s.shape, args[0])
            if not self.built:
                self._build_once(shapes)
            if all(layer.built for _, layer in self.walk()):  # else its layers are built by their first call
                return map_structure(lambda n: Spec(n, self.dtype), self.compute_output_shape(shapes), is_leaf=is_shape)
        return tried(self, args, {**options, "training": False}, 1)

    def _cast(self, t: Tensor, with_integers: bool) -> Tensor:
        kind = t.data.dtype
        if not self._casts or kind is self.dtype or not (with_integers or kind in FLOATS):
            return t
        if kind not in FLOATS:
            self._look_at_integers(t)
        cast = t.astype(self.dtype)
        cast.mask = t.mask
        return cast

    def _look_at_integers(self, x: Tensor) -> None:
        """Before whole numbers become floats."""

    def _note_shapes(self, x: Any, z: Any) -> None:
        """Keep what is known of inputs and outputs after a call."""
        if all(isinstance(t, Tensor) for t in leaves_of(z)):
            self._input_shape, self._output_shape = _without_samples(x), _without_samples(z)
            self.output_type = map_structure(lambda t: t.data.dtype, z)

    def _build_once(self, input_shape: Any) -> None:
        self.build_for(input_shape)
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of what comes out for inputs of a shape, both with the axis of samples in front, which may be None.

        For a nest of shapes, the layer is called with a nest of tensors. A copy of the layer is tried on a sample of zeros;
        neither the layer nor the common random numbers change.

        Examples
        --------
        >>> import microweights as mw
        >>> mw.layers.Dense(3).compute_output_shape((None, 5, 4))
        (None, 5, 3)
        """
        trial, stream = copy.deepcopy(self), random.common().copy()
        samples = list[int | None]()

        def zeros(shape: Sequence[int | None]) -> Tensor:
            first, *sizes = shape
            samples.append(first)
            return Tensor(np.zeros((1, *checked_shape("input_shape", sizes)), self.dtype))

        try:
            with no_grad():
                z = trial(map_structure(zeros, input_shape, is_leaf=is_shape), training=False)
        finally:
            random.common()[...] = stream
        return map_structure(lambda t: (samples[0], *t.shape[1:]), z)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a layer like this one, with weights of its own.

        Examples
        --------
        >>> import microweights as mw
        >>> config = mw.layers.Dense(3, activation="relu", name="hidden").get_config()
        >>> config["units"], config["activation"], config["kernel_initializer"]["class_name"]
        (3, 'relu', 'GlorotUniform')
        >>> mw.layers.Dense.from_config(config)
        <Dense 'hidden'>
        """
        config = super().get_config()
        if "input_shape" in config:
            shape = self._input_shape
            config["input_shape"] = list(shape[1:]) if shape is not None and is_shape(shape) else None
        return config

    # ---- weights -----------------------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: int | Sequence[int] | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Tensor:
        """A new tensor of weights that belongs to the layer.

        Parameters
        ----------
        shape : tuple of int
            None, as (), is one number.
        initializer : str or Initializer
            None is "glorot_uniform" for floats, else "zeros".
        dtype : data type
            None is the layer's. Integers and booleans are not trained.
        trainable : bool
        autocast : bool
            Taken as Keras's; weights are never cast.
        regularizer : str or Regularizer
        constraint, aggregation, overwrite_with_gradient
            Taken only as they are by default: there are none of these.
        name : str
            None is "weight", "weight_1" and so on.

        Raises
        ------
        ValueError
            If a weight of that name is there already.
        """
        refuse_unless_none(
            constraint=constraint,
            aggregation=None if aggregation == "none" else aggregation,
            overwrite_with_gradient=overwrite_with_gradient or None,
        )
        if name in self._own_weights:
            raise ValueError(explain("weights of different names in a layer", f"{name!r} twice", "Pass another `name`."))
        if isinstance(shape, str):
            raise TypeError(explain("a shape first", repr(shape), f"Write add_weight(shape, name={shape!r})."))
        name = unique_name("weight", self._own_weights) if name is None else name
        kind = self.dtype if dtype is None else known_dtype(dtype)
        make = initializers.get(initializer or ("glorot_uniform" if kind in FLOATS else "zeros"))
        sizes = tuple(int(n) for n in ((shape,) if isinstance(shape, (int, np.integer)) else shape or ()))
        values = make(sizes, kind if kind in FLOATS else door.FLOAT32)
        trainable = bool(trainable) and kind in FLOATS
        w = Tensor(door.aligned(np.asarray(values, kind)), requires_grad=trainable and self._trainable)
        self._own_weights[name] = w
        if not trainable:
            self._fixed.add(name)
        if regularizer is not None:
            self._penalties.append((regularizers.get(regularizer), w))
        return w

    def __setattr__(self, name: str, value: Any) -> None:
        if "_own_weights" not in self.__dict__ and isinstance(value, Layer):
            received = f"{type(self).__name__}.{name} set before that"
            raise RuntimeError(explain("super().__init__() to be called first", received, "Call it at the top of __init__."))
        own = self.__dict__.get("_own_weights")
        if isinstance(value, Tensor) and own is not None:
            if name in own:
                old, own[name] = own[name], value
                self._penalties = [(r, value if w is old else w) for r, w in self._penalties]
            elif self._is_weight(value):
                own[name] = value
        super().__setattr__(name, value)

    def _is_weight(self, t: Tensor) -> bool:
        """Whether a tensor that is set as an attribute is a weight made by hand, and not something that a call remembers."""
        return not self.built and t.requires_grad and t.op is None and all(w is not t for w in self._own_weights.values())

    def sublayers(self) -> dict[str, Layer]:
        """The layers that belong directly to this one, by name: its attributes, also in lists, tuples and dicts."""
        found: dict[str, Layer] = {}
        seen: set[int] = set()
        todo = [(name, value) for name, value in reversed(vars(self).items())]
        while todo:
            name, value = todo.pop()
            if isinstance(value, (list, tuple, dict)):
                if id(value) in seen:
                    continue
                seen.add(id(value))
            if isinstance(value, Layer):
                if name in found:
                    raise ValueError(explain("layers under different names", f"{name!r} twice", "Rename one."))
                found[name] = value
            elif isinstance(value, (list, tuple)):
                todo.extend((f"{name}.{i}", v) for i, v in reversed(list(enumerate(value))))
            elif isinstance(value, dict):
                todo.extend((f"{name}.{key}", v) for key, v in reversed(value.items()))
        return found

    def named_weights(self) -> dict[str, Tensor]:
        """All weights by path, such as "dense_1.kernel"; a layer or a tensor used twice counts once."""
        found: dict[str, Tensor] = {}
        seen: set[int] = set()
        for path, layer in self.walk():
            for name, w in layer._own_weights.items():
                if path + name in found:
                    raise ValueError(explain("weights under different names", f"{path + name!r} twice", "Rename a layer."))
                if id(w) not in seen:
                    found[path + name] = w
                seen.add(id(w))
        return found

    def walk(self) -> list[tuple[str, Layer]]:
        """This layer and all layers in it, each once, with the path to it."""
        found: dict[int, tuple[str, Layer]] = {}
        todo: list[tuple[str, Layer]] = [("", self)]
        while todo:
            path, layer = todo.pop()
            if id(layer) not in found:
                found[id(layer)] = path, layer
                todo.extend((f"{path}{name}.", part) for name, part in reversed(layer.sublayers().items()))
        return list(found.values())

    @property
    def weights(self) -> list[Tensor]:
        return list(self.named_weights().values())

    @property
    def variables(self) -> list[Tensor]:
        return self.weights

    @property
    def trainable_variables(self) -> list[Tensor]:
        """The weights that training changes."""
        return [w for w in self.weights if w.requires_grad]

    @property
    def non_trainable_variables(self) -> list[Tensor]:
        return [w for w in self.weights if not w.requires_grad]

    @property
    def trainable_weights(self) -> list[Tensor]:
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        return self.non_trainable_variables

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for _, layer in self.walk():
            layer._trainable = bool(value)
            for name, w in layer._own_weights.items():
                w.requires_grad = bool(value) and name not in layer._fixed

    def penalty(self) -> Tensor | None:
        """The sum of all penalties on trainable weights, or None if there are none."""
        terms = []
        for _, layer in self.walk():
            for regularizer, w in layer._penalties:
                if w.requires_grad:
                    used(regularizer)
                    terms.append(regularizer(w))
        return sum(terms[1:], terms[0]) if terms else None

    def count_params(self) -> int:
        """How many numbers the weights are."""
        return sum(w.size for w in self.weights)

    def get_weights(self) -> list[Array]:
        """Copies of all weights."""
        return [w.numpy().copy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Overwrite all weights; if one does not fit, none is changed.

        Raises
        ------
        ValueError
            If number or shapes do not fit.
        """
        named = self.named_weights()
        if len(weights) != len(named):
            remedy = "Build the layer first by calling it, or pass as many arrays as get_weights() gives."
            raise ValueError(explain(f"{len(named)} arrays of weights", len(weights), remedy))
        arrays = [as_array(v).copy() for v in weights]  # they may be views of these very weights
        for (name, w), a in zip(named.items(), arrays, strict=True):
            if a.shape != w.shape:
                raise ValueError(explain(f"shape {w.shape} for {name!r}", a.shape, "No weight was changed."))
        with no_grad():
            for w, a in zip(named.values(), arrays, strict=True):
                w.assign(a)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def _as_tensor(x: Any) -> Tensor:
    if isinstance(x, Layer):
        remedy = "Call a layer on what another returns, or put them in a row with mw.Sequential."
        raise TypeError(explain("numbers", f"the layer {x!r}", remedy))
    return as_tensor(x)


def _one_or_list(symbols: list[Symbol]) -> Any:
    return symbols[0] if len(symbols) == 1 else symbols


def masks_of(x: Any) -> Any:
    """The masks of a nest of tensors; None if none has one."""
    masks = map_structure(lambda t: t.mask if isinstance(t, Tensor) else None, x)
    return masks if any(mask is not None for mask in leaves_of(masks)) else None


def _has_tensors(x: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in leaves_of(x))


def _is_array(x: Any) -> bool:
    """Whether a list or tuple is an array of numbers, and not several inputs; a dict never is."""
    return isinstance(x, (list, tuple)) and not any(leaf is None or getattr(leaf, "shape", ()) for leaf in leaves_of(x))


def is_shape(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and all(n is None or isinstance(n, (int, np.integer)) for n in x)


def _shapes_of(x: Any) -> Any:
    """The shape of a tensor, or the nest of shapes of a nest."""
    return x.shape if isinstance(x, Tensor) else map_structure(lambda t: None if t is None else t.shape, x)


def _without_samples(x: Any) -> Any:
    """The same, with None for the axis of samples."""
    return map_structure(lambda t: None if t is None else (None, *t.shape[1:]), x)


def _whole(build: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """A `build` that makes all weights or none, whether the first call calls it or the user."""

    @functools.wraps(build)
    def whole(self: Layer, input_shape: Any) -> None:
        if self._is_building:  # by the build of a subclass, which goes on
            return build(self, input_shape)
        if isinstance(input_shape, int):
            remedy = "Give it with the axis of samples, as in (None, 4)."
            raise TypeError(explain("`input_shape` to be a tuple", repr(input_shape), remedy))
        if self.built and self._own_weights:
            remedy = "Make a new layer for inputs of another shape."
            raise RuntimeError(explain("a layer whose weights are not made yet", f"{self!r}, which is built", remedy))
        before = dict(self._own_weights), set(self._fixed), list(self._penalties)
        self._is_building = True
        try:
            build(self, input_shape)
        except BaseException:
            self._own_weights, self._fixed, self._penalties = before
            raise
        finally:
            self._is_building = False
        self.built = True

    return whole


def refuse_unless_none(**options: Any) -> None:
    """Raise NotImplementedError for options that are Keras's, and not to be had here."""
    for name, value in options.items():
        if value is not None:
            raise NotImplementedError(explain(f"no `{name}`, which layers here do not have", repr(value), "Leave it out."))


def unique_name(name: str, taken: Container[str]) -> str:
    """The name itself, or with the first number that makes it one of its own.

    >>> unique_name("dense", {"dense", "dense_1"})
    'dense_2'
    """
    number, found = 0, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def checked_float_type(dtype: Any) -> np.dtype[Any]:
    """float32, also for None, or float64.

    Raises
    ------
    ValueError
        If it is another type, or none at all.
    """
    try:
        wanted = door.FLOAT32 if dtype is None else np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted is None or wanted not in FLOATS:
        raise ValueError(explain("`dtype` float32 or float64", repr(dtype), "float32 is the usual choice."))
    return wanted


def checked_shape(name: str, shape: Any, may_be_unknown: bool = False) -> tuple[Any, ...]:
    """A shape as a tuple of positive integers; None may stand among them where sizes may be unknown.

    Raises
    ------
    ValueError
        If it is not one.
    """
    sizes = (shape,) if isinstance(shape, (int, np.integer)) and not isinstance(shape, bool) else shape
    try:
        result = tuple(n if n is None and may_be_unknown else int(n) for n in sizes)
        good = all(n is None or (n > 0 and n == given) for n, given in zip(result, sizes, strict=True))
    except (TypeError, ValueError):
        good, result = False, ()
    if not good:
        remedy = "Give the shape of one sample, without the axis of samples."
        raise ValueError(explain(f"`{name}` to be a tuple of positive integers", repr(shape), remedy))
    return result
