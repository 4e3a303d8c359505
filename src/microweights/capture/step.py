"""A step of a model: replayed in C for as long as Python could not do anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import CaptureError, warn
from ..tensor import Tensor, as_array
from .captured import Captured
from .replay import Replay
from .surroundings import Surroundings

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
        self._in_a_row, self._is_told = 0, False  # how many runs have been recorded since the last replay
        self._start("")

    def _start(self, why: str) -> None:
        """Record anew."""
        self.captured, self._why = Captured(self.fn), why
        self.surroundings: Surroundings | None = None

    def __call__(self, *arguments: Any) -> Any:
        if self.eager:
            result = self.fn(*[a if isinstance(a, Tensor) else Tensor(as_array(a)) for a in arguments])
            self.is_new = False
            return result
        self._follow()
        captured, before = self.captured, self.captured.recordings
        try:
            result = captured(*arguments)
        except CaptureError as error:
            if "eager=True" in str(error):
                raise
            remedy = "The step of a model is a captured function; compile(run_eagerly=True) runs it in Python."
            raise CaptureError(f"{error} {remedy}") from error
        self.is_new = False
        if captured.recordings != before:
            self._was_recorded()
        else:
            self._in_a_row = 0
        return result

    def replay_for(self, *arguments: Any) -> Replay | None:
        """The replay that a call with these arguments would run, if it is ready."""
        if self.eager:
            return None
        self._follow()
        found = self.captured.replay_for(*arguments)
        self._in_a_row = self._in_a_row if found is None else 0
        return found

    def _follow(self) -> None:
        """Forget what was recorded if a Python value that it depends on is another now."""
        change = None if self.surroundings is None else self.surroundings.change(self.captured.reads_anew)
        if change is not None:
            self._start(f"{change} was changed")

    def _was_recorded(self) -> None:
        change = None if self.surroundings is None else self.surroundings.change(self.captured.reads_anew)
        if self.surroundings is None:
            self.surroundings = Surroundings(self.roots())
        elif change is not None:
            self.eager = True
            self._start("")
            remedy = "Keep it in a tensor that is changed by assign(), or compile with run_eagerly=True."
            warn(f"The step changes {change}, so it runs in Python and is not replayed. {remedy}")
        self._in_a_row += 1
        if self._in_a_row == PATIENCE and not self._is_told:
            self._is_told = True
            received = f"{PATIENCE} steps in a row were recorded and not replayed, because {self._why or self.captured.why}"
            warn(f"{received}. A recorded step takes as long as one in Python.")

    @property
    def programs(self) -> Sequence[Any]:
        return self.captured.programs
