"""What every layer is: weights, made when the first input shows its shape, and a function of tensors that uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import graph, initializers, regularizers
from ..errors import explain
from ..kernels import door
from ..naming import snake_case
from ..tensor import FLOATS, Array, Tensor, as_array, as_tensor

Shape = tuple[int, ...]


class Layer(graph.Part):
    """A part of a network. Subclass it with `build(input_shape)`, which makes weights, and `call(x)`.

    Layers that are set as attributes, alone or in lists, belong to the layer: their weights are its weights. So does a tensor
    that requires a gradient and is set as an attribute in `__init__` or `build`.

    Parameters
    ----------
    name : str, optional
    trainable : bool
        Whether training changes the weights; may be set later, too.
    dtype : data type
        Of weights and computation: float32 or float64.
    input_shape : tuple of int, optional
        The shape of one sample, if it shall be known before the first.

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
    # `trainable` shows in the weights' requires_grad, which every replay looks at
    _notes: ClassVar[frozenset[str]] = frozenset(("built", "output_shape", "trainable", "_trainable"))
    _own_lists: ClassVar[frozenset[str]] = frozenset(("_own_weights", "_fixed", "_penalties", "_row"))
    _casts: ClassVar[bool] = True  # inputs to its own type; a model leaves that to its layers

    def __init__(
        self, *, name: str | None = None, trainable: bool = True, dtype: Any = None, input_shape: Sequence[int] | None = None
    ) -> None:
        wanted = door.FLOAT32 if dtype is None else np.dtype(dtype)
        if wanted not in FLOATS:
            raise ValueError(explain("`dtype` float32 or float64", dtype, "float32 is the usual choice."))
        self._own_weights: dict[str, Tensor] = {}
        self._fixed: set[str] = set()  # names of weights that are never trained
        self._penalties: list[tuple[regularizers.Regularizer, Tensor]] = []
        self._trainable = trainable
        self.built = False
        self.is_in_a_row = False  # a Sequential model has it and knows it by its name
        self.dtype = wanted
        self.given_name = name
        self.name = name or snake_case(type(self).__name__)
        self.input_shape = None if input_shape is None else checked_shape("input_shape", input_shape)
        self.output_shape: Shape | None = None  # of one sample, known after the first call

    def __init_subclass__(cls) -> None:
        code = cls.call.__code__
        cls._takes_training = "training" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of this shape (with the axis of samples)."""

    def build_for(self, input_shape: Shape) -> None:
        """What the first call does."""
        self.build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        """The layer's function."""
        raise NotImplementedError(explain("a layer with a `call` method", type(self).__name__, "Define call(self, x)."))

    def __call__(self, x: Any, training: bool | None = None) -> Tensor:
        """Apply the layer; layers inside it learn of `training` whether or not `call` passes it on."""
        if graph.state.watch is not None and id(self) not in graph.state.watch.parts:
            graph.used(*(layer for _, layer in self.walk()))
        t = x if isinstance(x, Tensor) else _as_tensor(x)
        if self._casts and t.data.dtype is not self.dtype:
            t = t.astype(self.dtype)
        if not self.built:
            self._build_once(t.shape)
        if training is None:  # as the call that this one is part of
            z = self.call(t, training=graph.state.training) if self._takes_training else self.call(t)  # type: ignore[call-arg]
        else:
            before, graph.state.training = graph.state.training, training
            try:
                z = self.call(t, training=training) if self._takes_training else self.call(t)  # type: ignore[call-arg]
            finally:
                graph.state.training = before
        if self.output_shape is None:
            self.output_shape = z.shape[1:]
        return z

    def _build_once(self, input_shape: Shape) -> None:
        before = dict(self._own_weights), set(self._fixed), list(self._penalties)
        try:
            self.build_for(input_shape)
        except BaseException:  # as if it had not been tried
            self._own_weights, self._fixed, self._penalties = before
            raise
        self.built = True

    # ---- weights -----------------------------------------------------------------------------------------------

    def add_weight(
        self, shape: Sequence[int], initializer: Any = "glorot_uniform", name: str = "weight", trainable: bool = True,
        regularizer: Any = None,
    ) -> Tensor:  # fmt: skip
        """A new tensor of weights that belongs to the layer."""
        if name in self._own_weights:
            raise ValueError(explain("weights of different names in a layer", f"{name!r} twice", "Pass another `name`."))
        values = initializers.get(initializer)(tuple(shape), self.dtype)
        w = Tensor(door.aligned(np.asarray(values, self.dtype)), requires_grad=bool(trainable and self._trainable))
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
    def trainable_variables(self) -> list[Tensor]:
        """The weights that training changes."""
        return [w for w in self.weights if w.requires_grad]

    @property
    def non_trainable_variables(self) -> list[Tensor]:
        return [w for w in self.weights if not w.requires_grad]

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
                    graph.used(regularizer)
                    terms.append(regularizer(w))
        return sum(terms[1:], terms[0]) if terms else None

    def count_params(self) -> int:
        """How many numbers the weights are."""
        return sum(w.size for w in self.weights)

    def get_weights(self) -> list[Array]:
        """Copies of all weights."""
        return [w.numpy().copy() for w in self.weights]

    def set_weights(self, values: Sequence[Any]) -> None:
        """Overwrite all weights; if one does not fit, none is changed.

        Raises
        ------
        ValueError
            If number or shapes do not fit.
        """
        weights = self.named_weights()
        if len(values) != len(weights):
            remedy = "Build the layer first by calling it, or pass as many arrays as get_weights() gives."
            raise ValueError(explain(f"{len(weights)} arrays of weights", len(values), remedy))
        arrays = [as_array(v).copy() for v in values]  # they may be views of these very weights
        for (name, w), a in zip(weights.items(), arrays, strict=True):
            if a.shape != w.shape:
                raise ValueError(explain(f"shape {w.shape} for {name!r}", a.shape, "No weight was changed."))
        with graph.no_grad():
            for w, a in zip(weights.values(), arrays, strict=True):
                w.assign(a)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def _as_tensor(x: Any) -> Tensor:
    if isinstance(x, Layer):
        remedy = "Put layers in a row with mw.Sequential, or call them in a subclass of mw.Model: there is no functional API."
        raise TypeError(explain("numbers", f"the layer {x!r}", remedy))
    return as_tensor(x)


def checked_shape(name: str, shape: Any) -> Shape:
    """A shape as a tuple of positive integers.

    Raises
    ------
    ValueError
        If it is not one.
    """
    sizes = (shape,) if isinstance(shape, (int, np.integer)) and not isinstance(shape, bool) else shape
    try:
        result = tuple(int(n) for n in sizes)
        good = all(n > 0 and n == given for n, given in zip(result, sizes, strict=True))
    except (TypeError, ValueError):
        good, result = False, ()
    if not good:
        remedy = "Give the shape of one sample, without the axis of samples."
        raise ValueError(explain(f"`{name}` to be a tuple of positive integers", repr(shape), remedy))
    return result
