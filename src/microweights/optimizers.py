"""How weights follow their gradients; names, arguments and defaults are Keras's, with `l2` and `l1` before `weight_decay`.

`l1` and `l2` are coupled: they add l1 sign(w) + l2 w to the gradient before the rule sees it. `weight_decay` is decoupled:
it first shrinks weights by learning_rate * weight_decay (Loshchilov & Hutter 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from operator import attrgetter, is_
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from . import graph, ops, schedules
from .capture import Captured
from .errors import explain
from .kernels import door
from .kernels.machine import fields, struct
from .kernels.reference import scheduled_rate
from .naming import lookup
from .tensor import Array, Tensor

Rate: TypeAlias = "float | schedules.Schedule"

_data = attrgetter("data")


class Optimizer(graph.Part):
    """`optimizer.apply(gradients, variables)` moves every variable one step, all in one call into C.

    A subclass names the kernel of its rule. All of them take these options, too:

    Parameters
    ----------
    learning_rate : float or Schedule
        A number, or one of :mod:`microweights.schedules`.
    clipvalue : float, optional
        No element of a gradient is larger than this.
    clipnorm : float, optional
        No gradient is longer than this: sqrt(Σ g²), for each variable by itself.
    global_clipnorm : float, optional
        Nor are all gradients together  (Pascanu et al. 2013).
    use_ema : bool
        Keep averages of the weights, too: average = ema_momentum average + (1 - ema_momentum) w after each update, from the
        weights after the first on. `fit` puts them in the place of the weights at its end, as
        :meth:`finalize_variable_values` does; a loop of your own calls that itself.
    ema_momentum : float

    Raises
    ------
    ValueError
        If a number is negative or otherwise of no use.
    TypeError
        If an option is not known.
    """

    rule = ""
    rates: tuple[str, ...] = ()  # its own numbers
    initial_slot_value = 0.0
    _notes = frozenset(("learning_rate",))  # a recorded update reads it anew
    _own_lists = frozenset(("_state", "_tables", "_averages"))

    def __init__(
        self, learning_rate: Rate, *, l1: float = 0.0, l2: float = 0.0, weight_decay: float | None = None,
        clipvalue: float | None = None, clipnorm: float | None = None, global_clipnorm: float | None = None,
        use_ema: bool = False, ema_momentum: float = 0.99, **rates: Any,
    ) -> None:  # fmt: skip
        for name, limit in (("clipvalue", clipvalue), ("clipnorm", clipnorm), ("global_clipnorm", global_clipnorm)):
            if limit is not None and (isinstance(limit, str) or not limit > 0):
                raise ValueError(explain(f"`{name}` to be positive", repr(limit), "None switches it off."))
        if clipnorm is not None and global_clipnorm is not None:
            raise ValueError(explain("one of `clipnorm` and `global_clipnorm`", "both", "Clip by one norm."))
        if not 0 <= ema_momentum <= 1:
            raise ValueError(explain("`ema_momentum` from 0 to 1", repr(ema_momentum), "0.99 is the usual choice."))
        self.use_ema, self.ema_momentum = bool(use_ema), float(ema_momentum)
        self._averages: dict[int, tuple[Tensor, Tensor]] = {}  # by id of the variable
        self.clipvalue, self.clipnorm, self.global_clipnorm = clipvalue, clipnorm, global_clipnorm
        unknown = set(rates) - set(self.rates)
        if unknown:
            clipping = ("clipvalue", "clipnorm", "global_clipnorm", "use_ema", "ema_momentum")
            options = ", ".join(("learning_rate", *self.rates, "l1", "l2", "weight_decay", *clipping))
            raise TypeError(
                explain(f"options of {type(self).__name__}: {options}", ", ".join(sorted(unknown)), "Check the spelling.")
            )
        numbers = {**schedules.numbers_of(learning_rate), "l1": l1, "l2": l2, "weight_decay": weight_decay or 0.0, **rates}
        for name, number in numbers.items():
            _check_not_negative(name, number)
        for name in ("beta_1", "beta_2", "rho", "momentum"):
            if numbers.get(name, 0.0) >= 1:
                raise ValueError(explain(f"`{name}` from 0 to below 1", numbers[name], "0.9 is a usual choice."))
        everything = dict.fromkeys(("momentum", "nesterov", "beta_1", "beta_2", "rho", "epsilon", "centered", "step"), 0.0)
        self.hyper = struct("mw_hyper", **{**everything, **{n: float(x) for n, x in numbers.items()}})
        self.slots = door.slots_of(self.rule, self.hyper)
        self._state: dict[int, tuple[Tensor, list[Array]]] = {}  # by id of the variable, which is kept alive
        self._tables: dict[tuple[int, ...], door.Parameters] = {}  # by the ids of the variables updated together

    def __repr__(self) -> str:
        shown = {name: getattr(self.hyper, name) for name in (*self.rates, "l1", "l2", "weight_decay")}
        options = [f"{name}={number:g}" for name, number in shown.items() if number]
        return f"{type(self).__name__}({', '.join([f'learning_rate={self.learning_rate:g}', *options])})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "hyper": fields(self.hyper), "_state": list(self._state.values()), "_tables": {},
                "_averages": list(self._averages.values())}  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = {id(v): (v, slots) for v, slots in state["_state"]}
        averages = {id(v): (v, average) for v, average in state["_averages"]}
        self.__dict__ |= {**state, "hyper": struct("mw_hyper", **state["hyper"]), "_state": kept, "_averages": averages}

    @property
    def learning_rate(self) -> float:
        """The rate of the next update. It can be set, unless it follows a schedule."""
        return scheduled_rate(self.hyper) if self.hyper.schedule else float(self.hyper.learning_rate)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        _check_not_negative("learning_rate", value)
        if self.hyper.schedule:
            remedy = "Make the optimizer with a number to set it by hand."
            raise ValueError(explain("a learning rate that follows no schedule", "one that does", remedy))
        door.refuse("a change of the learning rate")
        self.hyper.learning_rate = float(value)

    @property
    def iterations(self) -> int:
        """How many updates were done."""
        return int(self.hyper.step)

    def apply(self, gradients: Sequence[Tensor], variables: Sequence[Tensor]) -> None:
        """Update every variable in place by its gradient.

        Raises
        ------
        ValueError
            If gradients and variables do not match in number or shape, or a variable stands there twice or needs no gradient.
        TypeError
            If a gradient is no tensor of the variable's type.
        """
        graph.used(self)
        if len(gradients) != len(variables):
            raise ValueError(explain(f"{len(variables)} gradients", len(gradients), "Give each variable its own."))
        if not variables:
            return
        key = tuple([id(v) for v in variables])
        table = self._tables.get(key)
        if table is None or not all(map(is_, map(_data, variables), table.weights)):
            table = self._tables[key] = self._make_table(variables)
        if self.clipvalue or self.clipnorm or self.global_clipnorm:
            gradients = self._clipped(gradients)
        arrays = [g.data if isinstance(g, Tensor) else _not_a_tensor(g) for g in gradients]
        table.update(self.rule, arrays, self.hyper)
        graph.overwritten(variables)
        if self.use_ema:
            self._average(variables)

    @graph.no_grad()
    def _average(self, variables: Sequence[Tensor]) -> None:
        for v in variables:
            if id(v) not in self._averages:
                self._averages[id(v)] = v, v.copy()
            average = self._averages[id(v)][1]
            average.assign(average * self.ema_momentum + v * (1 - self.ema_momentum))

    @graph.no_grad()
    def finalize_variable_values(self, variables: Sequence[Tensor]) -> None:
        """Put the averages of `use_ema` in the place of the weights."""
        for v in variables:
            if id(v) in self._averages:
                v.assign(self._averages[id(v)][1])

    @graph.no_grad()
    def _clipped(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        for g in gradients:
            if not isinstance(g, Tensor):
                _not_a_tensor(g)
        if self.clipvalue is not None:
            gradients = [g.clip(-self.clipvalue, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [_shortened(g, _squares(g).sqrt(), self.clipnorm) for g in gradients]
        if self.global_clipnorm is None:
            return gradients
        squares = [_squares(g) for g in gradients]
        norm = sum(squares[1:], squares[0]).sqrt()
        return [_shortened(g, norm, self.global_clipnorm) for g in gradients]

    def _make_table(self, variables: Sequence[Tensor]) -> door.Parameters:
        if len({id(v) for v in variables}) < len(variables):
            raise ValueError(explain("each variable once", "one of them twice", "Pass a list without repetitions."))
        for v in variables:
            if not v.requires_grad:
                remedy = "The order is apply(gradients, variables)."
                raise ValueError(explain("variables that require a gradient", "one that does not", remedy))
            if v.data.flags.owndata:
                v.data = v.data[...]  # a view of the same memory, which NumPy does not resize: C holds its address
            known = self._state.get(id(v))
            if known is None or any(s.shape != v.shape or s.dtype != v.dtype for s in known[1]):
                slots = [door.aligned(np.full_like(v.data, self.initial_slot_value)) for _ in range(self.slots)]
                self._state[id(v)] = (v, slots)
        return door.Parameters([v.data for v in variables], [self._state[id(v)][1] for v in variables])


def _not_a_tensor(g: Any) -> Array:
    raise TypeError(explain("a tensor as gradient of each variable", type(g).__name__, "Use mw.grad(loss, variables)."))


def _shortened(g: Tensor, norm: Tensor, limit: float) -> Tensor:
    """g, so that what has this norm gets one of at most `limit`."""
    return g * (limit / ops.maximum(norm, limit)).astype(g.dtype)


def _squares(g: Tensor) -> Tensor:
    """Σ g², in float64, where the square of no float32 is too large."""
    return g.astype("float64").square().sum()


def _check_not_negative(name: str, value: Any) -> None:
    if isinstance(value, str) or not np.isscalar(value) or not 0 <= float(value) < np.inf:  # type: ignore[arg-type]
        raise ValueError(explain(f"`{name}` to be a finite number not below 0", repr(value), "0 switches it off."))


class SGD(Optimizer):
    """w -= lr g; with momentum v = momentum v - lr g, w += v; with Nesterov's w += momentum v - lr g.

    Examples
    --------
    >>> import microweights as mw
    >>> w = mw.tensor([1.0, -2.0], requires_grad=True)
    >>> mw.optimizers.SGD(learning_rate=0.5).apply([w.detach() * 1], [w])
    >>> w.tolist()
    [0.5, -1.0]
    """

    rule = "sgd"
    rates = "momentum", "nesterov"

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        l2: float = 0.0,
        l1: float = 0.0,
        weight_decay: float | None = None,
        **options: Any,
    ) -> None:
        rates: dict[str, Any] = {"momentum": momentum, "nesterov": float(nesterov)}
        super().__init__(learning_rate, l1=l1, l2=l2, weight_decay=weight_decay, **rates, **options)


class Adam(Optimizer):
    """w -= lr √(1 - beta_2ᵗ) / (1 - beta_1ᵗ) m / (√v + epsilon), with running means m of g and v of g² by beta_1 and beta_2.

    This is the form at the end of section 2 of Kingma & Ba (2015), with the corrections of both means in the rate.
    """

    rule = "adam"
    rates = "beta_1", "beta_2", "epsilon"

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        l2: float = 0.0,
        l1: float = 0.0,
        weight_decay: float | None = None,
        **options: Any,
    ) -> None:
        rates: dict[str, Any] = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
        super().__init__(learning_rate, l1=l1, l2=l2, weight_decay=weight_decay, **rates, **options)


class AdamW(Adam):
    """Adam with decoupled weight decay  (Loshchilov & Hutter 2019)."""

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay=weight_decay, **options)


class RMSprop(Optimizer):
    """w -= lr g / √(v + epsilon), with the running mean v of g² by rho  (Hinton 2012).

    `centered` takes the square of the running mean of g off v  (Graves 2013); with `momentum` the steps add up as for SGD.
    """

    rule = "rmsprop"
    rates = "rho", "momentum", "epsilon", "centered"

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        l2: float = 0.0,
        l1: float = 0.0,
        weight_decay: float | None = None,
        **options: Any,
    ) -> None:
        rates: dict[str, Any] = {"rho": rho, "momentum": momentum, "epsilon": epsilon, "centered": float(centered)}
        super().__init__(learning_rate, l1=l1, l2=l2, weight_decay=weight_decay, **rates, **options)


class Adagrad(Optimizer):
    """w -= lr g / √(Σ g² + epsilon), over all gradients so far  (Duchi et al. 2011)."""

    rule = "adagrad"
    rates = ("epsilon",)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        l2: float = 0.0,
        l1: float = 0.0,
        weight_decay: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, l1=l1, l2=l2, weight_decay=weight_decay, epsilon=epsilon, **options)
        _check_not_negative("initial_accumulator_value", initial_accumulator_value)
        self.initial_slot_value = initial_accumulator_value


class Minimum(NamedTuple):
    """Where :func:`lbfgs` arrived."""

    loss: float
    steps: int
    converged: bool


def lbfgs(loss: Callable[[], Tensor], variables: Sequence[Tensor], max_iter: int = 100, tol: float = 1e-6) -> Minimum:
    """Move variables to a minimum of a loss by L-BFGS (Liu & Nocedal 1989): SciPy drives, a captured program evaluates.

    Parameters
    ----------
    loss : function without arguments
        Computes a scalar from the variables, on all data each time.
    variables : list of Tensors
        That require gradients; changed in place.
    max_iter : int
    tol : float
        It is done when no derivative is larger, or rounding lets no step make the loss smaller.

    Returns
    -------
    Minimum
        The loss there, the steps it took, and whether no derivative is larger than `tol`.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    ValueError
        If variables are none that can be moved, or `max_iter` or `tol` make no sense.
    FloatingPointError
        If the loss or its gradient is not finite at the start.

    Examples
    --------
    >>> import microweights as mw
    >>> w = mw.tensor([5.0, -3.0], dtype="float64", requires_grad=True)
    >>> found = mw.optimizers.lbfgs(lambda: ((w - [1.0, 2.0]) ** 2).sum(), [w])
    >>> found.converged, w.numpy().round(6).tolist()
    (True, [1.0, 2.0])
    """
    from scipy.optimize import minimize

    variables = list(variables)
    if not variables or not all(isinstance(v, Tensor) and v.requires_grad for v in variables):
        raise ValueError(explain("tensors that require gradients", variables, "Pass the variables of the loss."))
    if isinstance(max_iter, bool) or not isinstance(max_iter, Integral) or max_iter < 1:
        raise ValueError(explain("`max_iter` to be a positive integer", repr(max_iter), "100 is a usual choice."))
    _check_not_negative("tol", tol)
    ends = np.cumsum([v.size for v in variables])[:-1]

    def both() -> list[Tensor]:
        f = loss()
        return [f.detach(), *graph.grad(f, variables)]

    captured = Captured(both)

    def evaluate(flat: Array) -> tuple[float, Array]:
        for v, part in zip(variables, np.split(flat, ends), strict=True):
            with graph.no_grad():
                v.assign(part.reshape(v.shape).astype(v.dtype))
        with graph.gradients():
            f, *gradients = captured()
        return float(f.item()), np.concatenate([g.numpy().reshape(-1) for g in gradients]).astype(np.float64)

    start = np.concatenate([v.numpy().reshape(-1) for v in variables]).astype(np.float64)
    if not all(np.isfinite(found).all() for found in evaluate(start)):
        remedy = "Start from other values, or check the data."
        raise FloatingPointError(explain("a finite loss and gradient to start from", "infinity or NaN", remedy))
    eps = float(np.finfo(variables[0].dtype).eps)
    options = {"maxiter": max_iter, "gtol": tol, "ftol": eps, "maxls": 50}
    found = minimize(evaluate, start, jac=True, method="L-BFGS-B", options=options)
    value, slope = evaluate(found.x)
    return Minimum(value, int(found.nit), bool(np.isfinite(value) and np.abs(slope).max(initial=0.0) <= tol))


_TABLE: dict[str, type[Optimizer]] = {c.__name__.lower(): c for c in (SGD, Adam, AdamW, RMSprop, Adagrad)}


def get(identifier: Any) -> Optimizer:
    """The optimizer for a name ("adam") or an Optimizer."""
    identifier = identifier.lower() if isinstance(identifier, str) else identifier
    return lookup("an optimizer", identifier, Optimizer, _TABLE)
