"""What all optimizers have: numbers that C reads, state for each variable, clipping, averages, copies.

The numbers of a rule, and how many updates were done, are an `mw_hyper` of kernels.h. Variables that have always been updated
together share one; a variable that comes later, or sits out an update, has another. So one optimizer may serve several models.
"""

from __future__ import annotations

import copy
import functools
import math
import weakref
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from operator import attrgetter, is_
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from .. import ops, schedules
from ..errors import explain, no_attribute
from ..kernels import door
from ..kernels.machine import fields, struct
from ..kernels.reference import scheduled_rate
from ..naming import Configurable, parameters, snake_case
from ..parts import Part, changed, used
from ..state import no_grad, overwritten
from ..tensor import Array, Tensor

__all__ = ["LearningRate", "Optimizer", "Rate"]

LearningRate: TypeAlias = "float | schedules.Schedule"

_data = attrgetter("data")
_APPLY = "Write optimizer.apply(gradients, variables), with gradients = mw.grad(loss, variables)."
_HINTS = {
    "step": _APPLY,
    "minimize": _APPLY,
    "update": _APPLY,
    "zero_grad": "mw.grad(loss, variables) gives new gradients each time; after loss.backward() set v.grad = None.",
    "param_groups": "Numbers are attributes: optimizer.learning_rate = 0.01.",
    "state_dict": "Pickle the optimizer together with the model.",
    "load_state_dict": "Pickle the optimizer together with the model.",
    "alpha": "Write learning_rate.",
    **dict.fromkeys(("betas", "beta1", "beta2", "b1", "b2"), "Write beta_1 and beta_2."),
    "eps": "Write epsilon.",
    "decay": "Write weight_decay, or give a schedule as learning_rate.",
    "clip_norm": "Write clipnorm.",
    "clip_value": "Write clipvalue.",
}


class Rate:
    """A number of an update rule, in the memory that C reads: a program that exists goes on with what is assigned to it."""

    def __init__(self, below: float = math.inf, kind: type = float, optional: bool = False) -> None:
        self.below, self.kind, self.optional = below, kind, optional

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Optimizer | None, owner: type) -> Any:
        if optimizer is None:
            return self
        value = self.kind(getattr(optimizer._fresh, self.name))
        return None if self.optional and not value else value

    def __set__(self, optimizer: Optimizer, value: Any) -> None:
        optimizer._write({self.name: self.checked(value)})

    def checked(self, value: Any) -> float:
        if value is None and self.optional:
            return 0.0
        if self.kind is bool:
            if not isinstance(value, (bool, np.bool_)) and not (isinstance(value, Real) and value in (0, 1)):
                raise ValueError(explain(f"`{self.name}` to be True or False", repr(value), "False switches it off."))
            return float(value)
        check_not_negative(self.name, value)
        if not value < self.below:
            remedy = "0.9 is a usual choice."
            raise ValueError(explain(f"`{self.name}` from 0 to below {self.below:g}", repr(value), remedy))
        return float(value)


class _Kept:
    """What an optimizer keeps of one variable, which it does not keep alive."""

    def __init__(self, variable: weakref.ref[Tensor], slots: list[Array], hyper: Any, average: Tensor | None = None) -> None:
        self.variable, self.slots, self.hyper, self.average = variable, slots, hyper, average
        self.other: int | None = None  # the id of a variable that has the same state, until one of both is used


class _Plan(NamedTuple):
    """What one call of apply does, for variables whose arrays are these: an update for each count among them."""

    weights: list[Array]
    updates: list[tuple[door.Parameters, Any, list[int]]]  # the table, its mw_hyper, and which variables these are


class Optimizer(Part, Configurable):
    """`optimizer.apply(gradients, variables)` moves every variable one step, all in one call into C.

    A subclass names the kernel of its rule. All of them take these options, too. Each is an attribute that may be set at any
    time, and what is captured follows.

    Parameters
    ----------
    learning_rate : float or Schedule
        A number, or one of :mod:`microweights.schedules`.
    weight_decay : float, optional
        Weights first shrink by learning_rate * weight_decay.
    clipnorm : float, optional
        No gradient is longer than this: sqrt(Σ g²), for each variable by itself.
    clipvalue : float, optional
        No element of a gradient is larger than this.
    global_clipnorm : float, optional
        Nor are all gradients together  (Pascanu et al. 2013).
    use_ema : bool
        Keep averages of the weights, too: average = ema_momentum average + (1 - ema_momentum) w after each update, from the
        weights after the first on. `fit` puts them in the place of the weights at its end, as
        :meth:`finalize_variable_values` does; a loop of your own calls that itself.
    ema_momentum : float
    name : str, optional
    l1, l2 : float
        Add l1 sign(w) + l2 w to the gradient.

    Raises
    ------
    ValueError
        If a number is negative or otherwise of no use.
    TypeError
        If an option is not known.
    """

    rule = ""
    rates: frozenset[str] = frozenset()  # the names of its Rates
    initial_slot_value = 0.0
    always_shown = ("learning_rate",)
    name = ""
    slots = 0  # arrays of state for each variable
    weight_decay, l1, l2 = Rate(optional=True), Rate(), Rate()
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    _notes: ClassVar[frozenset[str]] = frozenset()
    _own_lists = frozenset(("_state", "_plans"))

    def __init__(
        self, learning_rate: LearningRate, *, weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, name: str | None = None, l1: float = 0.0, l2: float = 0.0, **rates: Any,
    ) -> None:  # fmt: skip
        unknown = sorted(set(rates) - type(self).rates)
        if unknown:
            options = ", ".join(n for n in parameters(type(self)) if n not in unknown)
            remedy = "Write learning_rate." if unknown == ["lr"] else _HINTS.get(unknown[0], "Check the spelling.")
            raise TypeError(explain(f"options of {type(self).__name__}: {options}", ", ".join(unknown), remedy))
        self.name = name or snake_case(type(self).__name__)
        self._state: dict[int, _Kept] = {}  # by id of the variable
        self._plans: dict[tuple[int, ...], _Plan] = {}  # by the ids of the variables updated together
        self._schedule: schedules.Schedule | None = None
        rates |= {"weight_decay": weight_decay, "l1": l1, "l2": l2}
        self._fresh = self._current = struct("mw_hyper", **_NO_RATES)  # of variables to come, and of those updated last
        for rate, value in rates.items():
            setattr(self, rate, value)
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.learning_rate = learning_rate

    # ---- its numbers ---------------------------------------------------------------------------------------------

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.rates = cls.rates | {name for name, x in vars(cls).items() if isinstance(x, Rate)}
        # A recorded update reads these anew, or they concern variables to come alone.
        cls._notes = _NOTES | cls.rates

    def __setattr__(self, name: str, value: Any) -> None:
        is_known = name.startswith("_") or name in _SETTINGS or hasattr(type(self), name)
        if not is_known and (name in _HINTS or type(self).__module__.startswith(f"{__package__}.")):
            raise no_attribute(self, name, _HINTS)
        if name in _SETTINGS:  # which stand in the calls of a program
            value = self._checked(name, value)
            if name in self.__dict__:
                door.refuse(f"a change of `{name}`")
        super().__setattr__(name, value)

    def _checked(self, name: str, value: Any) -> Any:
        """A value for one of the settings, if it is one."""
        if name == "use_ema":
            return bool(value)
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if name == "ema_momentum":
            if not is_number or not 0 <= float(value) <= 1:
                raise ValueError(explain("`ema_momentum` from 0 to 1", repr(value), "0.99 is the usual choice."))
        elif value is not None:
            if not is_number or not float(value) > 0:
                raise ValueError(explain(f"`{name}` to be positive", repr(value), "None switches it off."))
            other = {"clipnorm": "global_clipnorm", "global_clipnorm": "clipnorm"}.get(name, "")
            if self.__dict__.get(other) is not None:
                raise ValueError(explain("one of `clipnorm` and `global_clipnorm`", "both", "Clip by one norm."))
        return None if value is None else float(value)

    def __getattr__(self, name: str) -> Any:
        raise no_attribute(self, name, _HINTS)

    def _write(self, numbers: Mapping[str, Any]) -> None:
        """Put numbers of the rule where the updates of all variables read them."""
        door.refuse(f"a change of `{next(iter(numbers))}`")
        for hyper in self._hypers():
            for name, value in numbers.items():
                setattr(hyper, name, value)
        needed = door.slots_of(self.rule, self._fresh)
        if needed > self.slots and self._state:  # programs that exist have not these arrays
            self._plans.clear()
            self._make_stale()
        self.slots = needed

    def _make_stale(self) -> None:
        """What was captured with it is not what it does now."""
        changed(self, f"an option of the {type(self).__name__} optimizer was set")

    def _hypers(self) -> list[Any]:
        """Every `mw_hyper` of variables that are there, once each."""
        every = [self._fresh, self._current, *[kept.hyper for kept in list(self._state.values())]]
        return list({id(hyper): hyper for hyper in every}.values())

    @property
    def hyper(self) -> Any:
        """The `mw_hyper` of the variables that were updated last."""
        return self._current

    @property
    def learning_rate(self) -> Any:
        """The rate of the next update of the variables that were updated last. It can be set, unless it follows a schedule."""
        door.refuse("a reading of `learning_rate`, which replays go on with,")
        return scheduled_rate(self._current) if self._current.schedule else float(self._current.learning_rate)

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        if isinstance(value, Mapping):
            value = schedules.get(value)
        if not isinstance(value, schedules.Schedule):
            check_not_negative("learning_rate", value)
            if self._schedule is not None:
                remedy = "Assign another schedule, or make the optimizer with a number to set it by hand."
                raise ValueError(explain("a learning rate that follows no schedule", "one that does", remedy))
        self._write(schedules.numbers_of(value))
        self._schedule = value if isinstance(value, schedules.Schedule) else None

    lr = learning_rate  # as much of the code written for Keras has it

    @property
    def iterations(self) -> int:
        """How many updates were done of the variables that were updated last."""
        door.refuse("a reading of `iterations`, which replays count on,")
        return int(self._current.step)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "learning_rate": self._schedule or self.learning_rate}

    # ---- updates -------------------------------------------------------------------------------------------------

    def begin(self, variables: Iterable[Tensor]) -> None:
        """Let `learning_rate` and `iterations` be those of these variables: of a fresh start if none was updated before."""
        known = [kept.hyper for kept in map(self._kept, variables) if kept is not None]
        self._current = max(known, key=attrgetter("step")) if known else self._fresh

    def build(self, variables: Iterable[Tensor]) -> None:
        """Make the state of these variables now, and not at their first update.

        Raises
        ------
        ValueError
            If a variable stands there twice or needs no gradient.
        """
        variables = list(variables)
        if variables:
            self._plan(variables)
            self.begin(variables)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Tensor, Tensor]]) -> None:
        """:meth:`apply` for pairs, as Keras's of version 2: `optimizer.apply_gradients(zip(gradients, variables))`."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    def apply(self, gradients: Sequence[Tensor], variables: Sequence[Tensor]) -> None:
        """Update every variable in place by its gradient.

        Raises
        ------
        ValueError
            If gradients and variables do not match in number or shape, or a variable stands there twice or needs no gradient.
        TypeError
            If a gradient is no tensor of the variable's type.
        """
        used(self)
        if len(gradients) != len(variables):
            raise ValueError(explain(f"{len(variables)} gradients", len(gradients), "Give each variable its own."))
        if not variables:
            return
        plan = self._plans.get(tuple([id(v) for v in variables]))
        if plan is None or not all(map(is_, map(_data, variables), plan.weights)):
            plan = self._plan(variables)
        if self.clipvalue or self.clipnorm or self.global_clipnorm:
            gradients = self._clipped(gradients)
        arrays = [g.data if isinstance(g, Tensor) else _not_a_tensor(g) for g in gradients]
        if len(plan.updates) > 1:  # nothing is updated if one does not fit
            for table, hyper, which in plan.updates:
                table.check(self.rule, [arrays[i] for i in which], hyper)
        for table, hyper, which in plan.updates:
            table.update(self.rule, arrays if len(which) == len(arrays) else [arrays[i] for i in which], hyper)
            self._current = hyper
        overwritten(variables)
        if self.use_ema:
            self._average(variables)

    @no_grad()
    def _average(self, variables: Sequence[Tensor]) -> None:
        for v in variables:
            kept = self._state[id(v)]
            if kept.average is None:
                kept.average = v.copy()
            kept.average.assign(kept.average * self.ema_momentum + v * (1 - self.ema_momentum))

    @no_grad()
    def finalize_variable_values(self, variables: Sequence[Tensor]) -> None:
        """Put the averages of `use_ema` in the place of the weights."""
        for v in variables:
            kept = self._kept(v)
            if kept is not None and kept.average is not None:
                v.assign(kept.average)

    @no_grad()
    def _clipped(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        for g in gradients:
            if not isinstance(g, Tensor):
                _not_a_tensor(g)
        if self.clipvalue is not None:
            gradients = [g.clip(-self.clipvalue, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [g for each in gradients for g in _shortened([each], self.clipnorm)]
        return gradients if self.global_clipnorm is None else _shortened(gradients, self.global_clipnorm)

    # ---- what it keeps of variables --------------------------------------------------------------------------------

    def _kept(self, v: Tensor) -> _Kept | None:
        found = self._state.get(id(v))
        return found if found is not None and found.variable() is v else None

    def _keep(self, v: Tensor, slots: list[Array], hyper: Any, average: Tensor | None = None) -> _Kept:
        reference = weakref.ref(v, functools.partial(_forget, weakref.ref(self), id(v)))
        kept = self._state[id(v)] = _Kept(reference, slots, hyper, average)
        return kept

    def _plan(self, variables: Sequence[Tensor]) -> _Plan:
        """Lay out what an update of these variables works on, with state for those that have none."""
        if len({id(v) for v in variables}) < len(variables):
            raise ValueError(explain("each variable once", "one of them twice", "Pass a list without repetitions."))
        for v in variables:
            if not isinstance(v, Tensor) or not v.requires_grad:
                remedy = "The order is apply(gradients, variables)."
                raise ValueError(explain("variables that require a gradient", "one that does not", remedy))
        new = None  # the mw_hyper of all that are new
        for v in variables:
            if v.data.flags.owndata:
                v.data = v.data[...]  # a view of the same memory, which NumPy does not resize: C holds its address
            kept = self._kept(v)
            if kept is None:
                new = new or _copy(self._fresh)
                kept = self._keep(v, [], new)
            elif kept.other is not None:
                self._state.pop(kept.other, None)
                kept.other = None
            if any(s.shape != v.shape or s.dtype != v.dtype for s in kept.slots):
                kept.slots = []
            missing = self.slots - len(kept.slots)
            kept.slots += [door.aligned(np.full_like(v.data, self.initial_slot_value)) for _ in range(missing)]
        updates = []
        for hyper, which in self._together(variables):
            arrays = [variables[i].data for i in which]
            updates.append((door.Parameters(arrays, [self._state[id(variables[i])].slots for i in which]), hyper, which))
        plan = self._plans[tuple([id(v) for v in variables])] = _Plan([v.data for v in variables], updates)
        return plan

    def _together(self, variables: Sequence[Tensor]) -> list[tuple[Any, list[int]]]:
        """The numbers of variables that share an `mw_hyper`. Those that leave others behind get one of their own."""
        groups: dict[int, list[int]] = {}
        for i, v in enumerate(variables):
            groups.setdefault(id(self._state[id(v)].hyper), []).append(i)
        found = []
        for which in groups.values():
            hyper = self._state[id(variables[which[0]])].hyper
            if sum(kept.hyper is hyper for kept in list(self._state.values())) > len(which):
                hyper = _copy(hyper)
                for i in which:
                    self._state[id(variables[i])].hyper = hyper
                self._plans.clear()
                self._make_stale()  # programs that update all of them count for all of them
            found.append((hyper, which))
        return found

    # ---- copies --------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """With the variables themselves, so that the state belongs to those that come out of the same pickle."""
        hypers = self._hypers()
        numbers = {id(hyper): i for i, hyper in enumerate(hypers)}
        state = [(v, kept.slots, numbers[id(kept.hyper)], kept.average)
                 for kept in list(self._state.values()) if (v := kept.variable()) is not None]  # fmt: skip
        return {**self.__dict__, "_state": state, "_plans": {}, "_hypers": list(map(fields, hypers)),
                "_fresh": 0, "_current": numbers[id(self._current)]}  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        hypers = [struct("mw_hyper", **numbers) for numbers in state["_hypers"]]
        self.__dict__ |= {**state, "_state": {}, "_fresh": hypers[state["_fresh"]], "_current": hypers[state["_current"]]}
        del self.__dict__["_hypers"]
        for v, slots, number, average in state["_state"]:
            self._keep(v, [door.aligned(s) for s in slots], hypers[number], None if average is None else average.copy())

    def __copy__(self) -> Optimizer:
        """A twin that goes on as this one would, on the same variables."""
        twin = type(self).__new__(type(self))
        twin.__setstate__(self.__getstate__())
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Optimizer:
        """A twin for the copies of the variables, if these are copied along, and otherwise for the variables themselves.

        Which of both it is shows only when all is copied, so the twin begins with either.
        """
        twin = memo[id(self)] = copy.copy(self)
        for name in set(twin.__dict__) - {"_state", "_plans", "_fresh", "_current"}:
            twin.__dict__[name] = copy.deepcopy(twin.__dict__[name], memo)
        for kept in list(twin._state.values()):
            v = kept.variable()
            theirs = copy.deepcopy(v, memo)
            if v is not None and theirs is not None:
                twin._keep(theirs, kept.slots, kept.hyper, kept.average).other = id(v)
                kept.other = id(theirs)
        return twin


def _forget(optimizer: weakref.ref[Optimizer], key: int, variable: object) -> None:
    """A variable is gone, and with it goes what was kept of it."""
    found = optimizer()
    if found is not None:
        found._state.pop(key, None)
        found._plans = {ids: plan for ids, plan in list(found._plans.items()) if key not in ids}


def _copy(hyper: Any) -> Any:
    return struct("mw_hyper", **fields(hyper))


_SETTINGS = frozenset(("clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum"))
_NOTES = frozenset((
    "learning_rate", "lr", "name", "slots", "initial_slot_value", "initial_accumulator_value", "weight_decay", "l1", "l2",
    "_schedule", "_fresh", "_current", "_state", "_plans",
))  # fmt: skip
_NO_RATES: dict[str, Any] = {
    **dict.fromkeys(("momentum", "nesterov", "beta_1", "beta_2", "rho", "epsilon", "centered", "amsgrad", "l1", "l2"), 0.0),
    "weight_decay": 0.0, "step": 0.0, "momentum_product": 1.0, **schedules.numbers_of(0.0),
}  # fmt: skip


def _not_a_tensor(g: Any) -> Array:
    raise TypeError(explain("a tensor as gradient of each variable", type(g).__name__, "Use mw.grad(loss, variables)."))


def _shortened(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """These gradients, all together no longer than `limit`. No square is too large, and no length."""
    bound: Any = limit
    wide = [g.astype("float64") for g in gradients]
    if any(g.dtype == "float64" and g.size for g in gradients):  # the square of a float32 is small enough for a float64
        scale = ops.maximum(functools.reduce(ops.maximum, [g.abs().max() for g in wide if g.size]), limit)
        wide, bound = [g / scale for g in wide], limit / scale
    squares = [g.square().sum() for g in wide]
    norm = sum(squares[1:], squares[0]).sqrt()
    factor = bound / ops.maximum(norm, bound)
    return [g * factor.astype(g.dtype) for g in gradients]


def check_not_negative(name: str, value: Any) -> None:
    if isinstance(value, str) or not np.isscalar(value) or not 0 <= float(value) < np.inf:  # type: ignore[arg-type]
        raise ValueError(explain(f"`{name}` to be a finite number not below 0", repr(value), "0 switches it off."))


def __dir__() -> list[str]:
    return sorted(__all__)
