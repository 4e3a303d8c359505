"""A step of a model: replayed in C for as long as Python could not do anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .capture import Captured
from .errors import warn
from .replay import Replay
from .surroundings import Surroundings
from .tensor import Tensor, as_array

PATIENCE = 10  # steps that are recorded in a row before that is told


class Step:
    """A function of tensors, captured, and recorded anew when something that its code depends on has changed.

    Parts of a training notice by themselves when they change. Python values that the user's own functions and objects hold are
    compared before each run. A function that changes such values itself would not do so in a replay: it runs in Python.

    Parameters
    ----------
    fn : function
    roots : function without arguments
        Gives the user's functions and objects of which `fn` makes use.
    eager : bool
        Whether it runs in Python in any case.
    """

    def __init__(self, fn: Callable[..., Any], roots: Callable[[], Iterable[Any]], eager: bool = False) -> None:
        self.fn, self.roots, self.eager = fn, roots, eager
        self.is_new = True  # until the first run has come to its end
        self._start()

    def _start(self) -> None:
        self.captured = Captured(self.fn)
        self.surroundings: Surroundings | None = None
        self._told = self._recorded = 0

    def __call__(self, *arguments: Any) -> Any:
        if self.eager:
            result = self.fn(*[a if isinstance(a, Tensor) else Tensor(as_array(a)) for a in arguments])
            self.is_new = False
            return result
        self._follow()
        captured, before = self.captured, self.captured.recordings
        result = captured(*arguments)
        self.is_new = False
        if captured.recordings != before:
            self._was_recorded()
        else:
            self._recorded = 0
        return result

    def replay_for(self, *arguments: Any) -> Replay | None:
        """The replay that a call with these arguments would run, if it is ready."""
        if self.eager:
            return None
        self._follow()
        return self.captured.replay_for(*arguments)

    def _follow(self) -> None:
        """Forget what was recorded if a Python value that it depends on is another now."""
        change = None if self.surroundings is None else self.surroundings.change()
        if change is not None:
            recorded, told = self._recorded, self._told
            self._start()
            self._recorded, self._told, self.captured.why = recorded, told, f"{change} was changed"

    def _was_recorded(self) -> None:
        change = None if self.surroundings is None else self.surroundings.change()
        if self.surroundings is None:
            self.surroundings = Surroundings(self.roots())
        elif change is not None:
            self.eager = True
            self._start()
            remedy = "Keep it in a tensor that is changed by assign(), or compile with run_eagerly=True."
            warn(f"The step changes {change}, so it runs in Python and is not replayed. {remedy}")
        self._recorded += 1
        if self._recorded == PATIENCE and not self._told:
            self._told = True
            received = f"{PATIENCE} steps in a row were recorded and not replayed, because {self.captured.why}"
            warn(f"{received}. A recorded step takes as long as one in Python.")

    @property
    def programs(self) -> Sequence[Any]:
        return self.captured.programs
