"""Networks that were written down with symbols: the calls between inputs and outputs, in an order in which they can be made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import layers
from ..errors import explain
from ..layers import Input, InputLayer, Layer
from ..layers.base import unique_name
from ..layers.symbolic import Function, Node, Symbol
from ..naming import lookup, plain
from ..tensor import Tensor
from ..tree import Structure, flatten, leaves_like, leaves_of, map_structure, unflatten

NetworkPart: TypeAlias = Layer | Function


class Slot(int):
    """The number of a tensor among all that a graph computes."""


class Call(NamedTuple):
    """One step of a graph."""

    part: NetworkPart
    alone: Slot | None  # what the part is called with, where that is one tensor, and gives one
    structure: Structure | None  # of the nest of arguments and options
    leaves: list[Any]  # of that nest, Slots among them
    needs: list[Slot]  # those, in their order
    results: list[Slot]
    result_structure: Structure | None
    done_with: list[Slot]  # what no later call needs

    @property
    def is_entry(self) -> bool:
        """Whether it is that of the layer of an input, which gets the data."""
        return self.needs == self.results


class Graph:
    """What leads from inputs to outputs.

    Attributes
    ----------
    inputs, outputs : nests of Symbols
    calls : list of Call
        In an order in which they can be made: that in which they were written down.
    parts : dict of str to Layer or Function
        By their names in this network, in Keras's order: those come first that are furthest from the outputs.
    specs : list of Spec
        Of each slot.
    """

    def __init__(self, inputs: Any, outputs: Any) -> None:
        for what, nest in (("inputs", inputs), ("outputs", outputs)):
            for leaf in leaves_of(nest) or [None]:
                if not isinstance(leaf, Symbol):
                    remedy = "Start with x = mw.Input(shape), call layers on x, and pass x and what the last one returned."
                    raise TypeError(explain(f"symbols as the `{what}` of a model", f"{leaf!r:.80}", remedy))
        given = in_keras_order(inputs)
        entries = {id(s): s if not s.node.inputs else _entry_for(s) for s in given}
        if len(entries) < len(given):
            raise ValueError(explain("each input once", f"{given}", "Leave the second one out."))
        nodes, parts = _in_order(in_keras_order(outputs), entries)
        self.parts = _named(parts, nodes)
        symbols = [s for node in nodes for s in leaves_of(node.outputs)]
        slots = {id(s): Slot(i) for i, s in enumerate(symbols)}
        slots |= {s: slots[id(entry)] for s, entry in entries.items()}
        self._inputs, self._outputs = (map_structure(lambda s: slots[id(s)], nest) for nest in (inputs, outputs))
        self.specs = [s.spec for s in symbols]
        self.calls = _calls(nodes, slots, leaves_of(self._outputs))
        self.inputs, self.outputs = inputs, outputs
        if any(id(entry) != s for s, entry in entries.items()):
            self._note_calls()

    @property
    def output_names(self) -> list[str]:
        """The names of the layers whose results the outputs are; of a dict of outputs its keys."""
        if isinstance(self.outputs, dict):
            return list(self.outputs)
        names = {id(part): name for name, part in self.parts.items()}
        return [names[id(s.node.part)] for s in leaves_of(self.outputs)]

    # ---- running it ----------------------------------------------------------------------------------------------

    def __call__(self, x: Any) -> Any:
        """The nest of outputs for a nest of inputs; an output that is alone in a list comes without the list."""
        values: list[Any] = [None] * len(self.specs)
        for slot, t in zip(leaves_of(self._inputs), self._checked(x), strict=True):
            values[slot] = t
        for part, alone, structure, leaves, _, results, result_structure, done_with in self.calls:
            if alone is not None:
                values[results[0]] = part(values[alone])
            else:
                args, options = unflatten(structure, [values[v] if type(v) is Slot else v for v in leaves])
                found = leaves_like(result_structure, part(*args, **options))
                for slot, t in zip(results, found, strict=True):
                    values[slot] = t
            for slot in done_with:
                values[slot] = None
        return without_list(map_structure(values.__getitem__, self._outputs))

    def _checked(self, x: Any) -> list[Tensor]:
        """The inputs in the order of their slots, as far as they fit the symbols."""
        if isinstance(self.inputs, Symbol):
            x = x[0] if isinstance(x, (list, tuple)) and len(x) == 1 else x
            if isinstance(x, Tensor):
                return [_fitted(x, self.inputs)]
        symbols = leaves_of(self.inputs)
        return [_fitted(t, s) for t, s in zip(self._matched(x), symbols, strict=True)]

    def _matched(self, x: Any) -> list[Any]:
        """What stands in `x` for each input: at its place, or under its name where the inputs are no dict."""
        nest = self.inputs
        symbols = leaves_of(nest)
        if isinstance(x, dict) and not isinstance(nest, dict) and {s.name for s in symbols} <= x.keys():
            return [x[s.name] for s in symbols]
        if isinstance(nest, list) and len(nest) == 1 and not isinstance(x, (list, tuple)):
            return [x]
        try:
            return leaves_like(flatten(nest, []), x)
        except ValueError:
            received = map_structure(lambda t: getattr(t, "shape", t), x)
            raise ValueError(explain(f"inputs {nest}", received, "Pass one for each `Input`, in that arrangement.")) from None

    def results_for(self, x: Any) -> Any:
        """The Specs of the outputs for a nest of symbols that are like the inputs; None if they are not."""
        if [s.shape for s in self._matched(x)] != [s.shape for s in leaves_of(self.inputs)]:
            return None
        return without_list(map_structure(self.specs.__getitem__, self._outputs))

    # ---- its parts -------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> dict[str, Layer]:
        return {name: part for name, part in self.parts.items() if isinstance(part, Layer)}

    def calls_of(self, part: NetworkPart) -> list[Call]:
        return [call for call in self.calls if call.part is part]

    def origin(self, slot: Slot) -> tuple[str, int, int]:
        """The part whose result it is, which of its calls, and which of the results of that."""
        call = next(call for call in self.calls if slot in call.results)
        name = next(name for name, part in self.parts.items() if part is call.part)
        number = next(i for i, other in enumerate(self.calls_of(call.part)) if other is call)
        return name, number, call.results.index(slot)

    def connections(self, part: NetworkPart) -> list[str]:
        """Where what a part is called with comes from, as Keras writes it: name[call][result]."""
        slots = [v for call in self.calls_of(part) if not call.is_entry for v in call.needs]
        return ["{}[{}][{}]".format(*self.origin(slot)) for slot in slots]

    @property
    def is_row(self) -> bool:
        """Whether each part is called once, on the one thing that the one before gives."""
        given = [self.calls[0].needs, *(call.results for call in self.calls)]
        return len(self.parts) == len(self.calls) and all(
            call.needs == before and len(before) == 1 for call, before in zip(self.calls, given)
        )

    # ---- copies ----------------------------------------------------------------------------------------------------

    def _note_calls(self) -> None:
        """Make symbols of its own, and note the calls on the layers."""
        symbols: list[Symbol] = []
        for call in self.calls:
            if call.is_entry and isinstance(call.part, InputLayer):
                symbols.append(call.part.output)
                continue
            specs = unflatten(call.result_structure, [self.specs[slot] for slot in call.results])
            args, options = unflatten(call.structure, [symbols[v] if type(v) is Slot else v for v in call.leaves])
            symbols += leaves_of(Node(call.part, args, options, specs).outputs)
        self.inputs, self.outputs = (map_structure(symbols.__getitem__, nest) for nest in (self._inputs, self._outputs))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("inputs", "outputs")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._note_calls()

    # ---- as a configuration ------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The parts and their calls, written as Keras does."""
        entries = []
        for name, part in self.parts.items():
            inbound = [unflatten(call.structure, call.leaves) for call in self.calls_of(part) if not call.is_entry]
            entries.append({
                "class_name": type(part).__name__,
                "config": part.get_config() | {"name": name},
                "name": name,
                "inbound_nodes": [{"args": self._plain([*args]), "kwargs": self._plain(options)} for args, options in inbound],
            })  # fmt: skip
        ends = {"input_layers": self._inputs, "output_layers": self._outputs}
        return {"layers": entries} | {key: map_structure(lambda s: [*self.origin(s)], nest) for key, nest in ends.items()}

    def _plain(self, x: Any) -> Any:
        """An argument as what JSON can hold."""
        if type(x) is Slot:
            shape, dtype = self.specs[x]
            config = {"shape": [*shape], "dtype": dtype.name, "keras_history": [*self.origin(x)]}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(x, list):
            return [self._plain(part) for part in x]
        if isinstance(x, tuple):
            return {"class_name": "__tuple__", "config": {"items": [self._plain(part) for part in x]}}
        if isinstance(x, dict):
            return {key: self._plain(part) for key, part in x.items()}
        if isinstance(x, slice):
            return {"class_name": "__slice__", "config": {key: getattr(x, key) for key in ("start", "stop", "step")}}
        if x is Ellipsis:
            return {"class_name": "__ellipsis__", "config": {}}
        if isinstance(x, (Tensor, np.ndarray)):
            return {"class_name": "__numpy__", "config": {"value": x.tolist(), "dtype": x.dtype.name}}
        return plain(x, "an argument of a layer")


def ends_of_config(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
    """Inputs and outputs of a network that is written down again from what :meth:`Graph.get_config` gave."""
    made = {entry["name"]: made_of_config(entry, custom_objects) for entry in config["layers"]}
    waiting = {entry["name"]: list(entry["inbound_nodes"]) for entry in config["layers"]}
    symbols = {name: [] if calls else [[made[name].output]] for name, calls in waiting.items()}
    while any(waiting.values()):
        count = sum(map(len, waiting.values()))
        for name, calls in waiting.items():
            while calls:
                try:
                    args, options = (_made(calls[0][key], symbols) for key in ("args", "kwargs"))
                except IndexError:  # it needs a call that has not been made
                    break
                symbols[name].append(leaves_of(made[name]._on_symbols(tuple(args), options)))
                del calls[0]
        if sum(map(len, waiting.values())) == count:
            stuck = sorted(name for name, calls in waiting.items() if calls)
            raise ValueError(explain("calls that depend on earlier ones only", f"a circle among {stuck}", "Check the config."))
    inputs, outputs = (
        map_structure(lambda place: _symbol_at(place, symbols), config[key], is_leaf=lambda x: _is_place(x, made))
        for key in ("input_layers", "output_layers")
    )
    return inputs, outputs


def made_of_config(entry: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A layer of its class and configuration. Classes of the user are found by their names, or in `custom_objects`."""
    own, known = custom_objects or {}, {name: getattr(layers, name) for name in layers.__all__} | {"Function": Function}
    if entry["class_name"] in own:
        return own[entry["class_name"]].from_config(entry["config"])
    return lookup("layer", entry, Layer, known)


def _is_place(x: Any, made: Mapping[str, Any]) -> bool:
    return isinstance(x, list) and len(x) == 3 and isinstance(x[0], str) and x[0] in made


def _symbol_at(place: Sequence[Any], symbols: Mapping[str, list[list[Symbol]]]) -> Any:
    name, call, result = place
    return symbols[name][call][result]


def _made(x: Any, symbols: Mapping[str, list[list[Symbol]]]) -> Any:
    """An argument from what :meth:`Graph._plain` made of it."""
    if isinstance(x, list):
        return [_made(part, symbols) for part in x]
    if not isinstance(x, dict):
        return x
    config: Any = x.get("config")
    match x.get("class_name"):
        case "__keras_tensor__":
            return _symbol_at(config["keras_history"], symbols)
        case "__tuple__":
            return tuple(_made(config["items"], symbols))
        case "__slice__":
            return slice(config["start"], config["stop"], config["step"])
        case "__ellipsis__":
            return ...
        case "__numpy__":
            return np.array(config["value"], config["dtype"])
    return {key: _made(part, symbols) for key, part in x.items()}


# ---- from symbols to calls -----------------------------------------------------------------------------------------------


def in_keras_order(nest: Any) -> list[Any]:
    """The leaves of a nest, where those of a dict come in the order of their names."""
    if isinstance(nest, dict):
        return [leaf for _, part in sorted(nest.items()) for leaf in in_keras_order(part)]
    if isinstance(nest, (list, tuple)):
        return [leaf for part in nest for leaf in in_keras_order(part)]
    return [nest]


def _entry_for(symbol: Symbol) -> Symbol:
    """An input in the place of what a layer returned."""
    return Input(dtype=symbol.dtype, batch_shape=symbol.shape)


def _in_order(outputs: Sequence[Symbol], entries: Mapping[int, Symbol]) -> tuple[list[Node], list[NetworkPart]]:
    """The calls that outputs depend on, in the order in which they were written down, and the parts in Keras's order.

    `entries` are the inputs, by the id of the symbols in whose place they are.
    """

    def origin(symbol: Symbol) -> Node:
        return entries.get(id(symbol), symbol).node

    inputs = {id(s.node): s.node for s in entries.values()}
    found: list[Node] = []  # each after all that it depends on
    place: dict[int, int] = {}  # of each part, when it was met first on the way back from the outputs
    seen: set[int] = set()
    todo = [(origin(s), False) for s in reversed(outputs)]
    while todo:
        node, is_left = todo.pop()
        if is_left:
            found.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            place.setdefault(id(node.part), len(place))
            if not node.inputs and id(node) not in inputs:
                remedy = f"Add it to the inputs, or leave out what depends on it: the inputs are {[*entries.values()]}."
                raise ValueError(explain("outputs that depend on the inputs only", f"{node.outputs!r} on the way", remedy))
            todo.append((node, True))
            todo += [(origin(s), False) for s in reversed(node.inputs)]

    depth: dict[int, int] = {}  # of each part, the number of calls from it to the outputs
    depths = {id(node): 0 for node in found}
    for node in reversed(found):
        depth[id(node.part)] = depths[id(node)] = max(depths[id(node)], depth.get(id(node.part), 0))
        for s in node.inputs:
            before = origin(s)
            depths[id(before)] = max(depths[id(before)], depths[id(node)] + 1)
    unused = [node for node in inputs.values() if id(node) not in seen]
    place |= {id(node.part): -1 for node in unused}
    nodes = sorted([*found, *unused], key=lambda node: (id(node) not in inputs, node.number))
    parts = {id(node.part): node.part for node in nodes}
    return nodes, sorted(parts.values(), key=lambda part: (-depth.get(id(part), 0), place[id(part)]))


def _named(parts: Sequence[NetworkPart], nodes: Sequence[Node]) -> dict[str, NetworkPart]:
    """Parts by names of their own, which are numbered in the order in which the parts were called first."""
    names = {id(part): part.given_name for part in parts if part.given_name}
    twice = [name for name, times in Counter(names.values()).items() if times > 1]
    if twice:
        raise ValueError(explain("layers of different names", f"{twice[0]!r} twice", "Rename one."))
    taken = set(names.values())
    for part in sorted((node.part for node in nodes), key=lambda part: part._nodes[0].number):
        if id(part) not in names:
            names[id(part)] = unique_name(part.name, taken)
            taken.add(names[id(part)])
            if not part.is_named:
                part.name = names[id(part)]
        part.is_named = True
    return {str(names[id(part)]): part for part in parts}


_ALONE = flatten(((None,), {}), [])  # the structure of one argument and no options


def _calls(nodes: Sequence[Node], slots: Mapping[int, Slot], kept: Sequence[Slot]) -> list[Call]:
    """The calls on slots. Of what none of the later ones needs, and which is not to be kept, each says so."""
    calls: list[Call] = []
    needed = set(kept)
    for node in reversed(nodes):
        flat: list[Any] = []
        given = node.args or (node.outputs,)  # the layer of an input gets the data
        structure = flatten((given, node.options), flat)
        leaves = [slots[id(leaf)] if isinstance(leaf, Symbol) else leaf for leaf in flat]
        symbols: list[Symbol] = []
        result_structure = flatten(node.outputs, symbols)
        results = [slots[id(s)] for s in symbols]
        needs = [v for v in leaves if type(v) is Slot]
        done_with = sorted({*needs, *results} - needed)
        needed |= {*needs, *results}
        is_alone = structure == _ALONE and len(needs) == 1 and result_structure is None
        calls.append(
            Call(node.part, needs[0] if is_alone else None, structure, leaves, needs, results, result_structure, done_with)
        )
    return calls[::-1]


def without_list(outputs: Any) -> Any:
    return outputs[0] if type(outputs) is list and len(outputs) == 1 else outputs


def _fitted(t: Any, symbol: Symbol) -> Any:
    """A tensor for an input, with or without a last axis of one."""
    expected = symbol.shape
    if isinstance(t, Tensor):
        mask = t.mask
        if t.ndim == len(expected) + 1 and t.shape[-1] == 1:
            t = t.reshape(t.shape[:-1])
        elif t.ndim == len(expected) - 1 and expected[-1] == 1:
            t = t.reshape(*t.shape, 1)
        t.mask = mask
        if t.ndim == len(expected) and all(m in (None, n) for n, m in zip(t.shape[1:], expected[1:])):
            return t
    received = t.shape if isinstance(t, Tensor) else map_structure(lambda part: getattr(part, "shape", part), t)
    raise ValueError(explain(f"shape {expected} for the input {symbol.name!r}", received, "Check the data, or its order."))
