"""Linear models learned batch by batch, all at once or as the data comes in."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ..errors import explain
from ..estimators.checks import (
    LARGEST,
    PART,
    all_or_nothing,
    check_choice,
    check_counts,
    check_flags,
    check_labels,
    check_numbers,
    check_patience,
    checked_rows,
    checked_targets,
    first_classes,
    hold_out,
    keep_arguments,
    quiet,
    refuse_balanced,
    refuse_early_stopping,
    with_class_weights,
)
from ..estimators.columns import column_scale, moments
from ..kernels import door
from ..tensor import Array
from .descent import Descent, Line, one_pass, stochastic, what_suits
from .estimators import BaseLinear, LinearClassifier
from .problem import Problem
from .solvers import by_all_samples


class BaseSGD(BaseLinear):
    """What regressor and classifier share."""

    loss: str
    penalty: str | None
    alpha: float
    l1_ratio: float | None
    shuffle: bool
    batch_size: int | str | None
    learning_rate: Any
    eta0: float | None
    power_t: float
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: float
    warm_start: bool
    losses: tuple[str, ...] = ()
    _about: tuple[Array, Array]  # mean and variance of the columns of the last fit, or of the first part
    _line: Line | None  # of `partial_fit`

    def _check(self) -> None:
        check_choice(self, "loss", self.losses)
        check_choice(self, "penalty", ("l2", "l1", "elasticnet", None))
        check_choice(self, "learning_rate", ("constant", "invscaling", "adaptive"))
        check_flags(self)
        check_counts(self, "max_iter")
        check_patience(self)
        check_numbers(self, alpha=(0, LARGEST), power_t=(0, 10), validation_fraction=PART)
        if self.tol is not None:
            check_numbers(self, tol=(0, LARGEST))
        if self.l1_ratio is not None or self.penalty == "elasticnet":
            check_numbers(self, l1_ratio=(0, 1))
        if self.eta0 is not None:
            check_numbers(self, eta0=(1e-300, LARGEST))
        if self.batch_size not in (None, "auto"):
            check_counts(self, "batch_size")

    def _problem(self, x: Array, y: Array, weights: Array | None, about: Any = None) -> Problem:
        ratio = {"l1": 1.0, "elasticnet": self.l1_ratio}.get(self.penalty or "", 0.0) or 0.0
        l1, l2 = (ratio, 1 - ratio) if self.penalty else (0.0, 0.0)
        return Problem(self.loss, x, y, weights, self.alpha * l1, self.alpha * l2, bool(self.fit_intercept), y.shape[1], about)

    def _how(self) -> Descent:
        patience = np.inf if self.tol is None else self.n_iter_no_change
        return Descent(self.batch_size, self.eta0, self.learning_rate, self.power_t, self.tol or 0.0, patience,
                       bool(self.shuffle))  # fmt: skip

    def _learned(self, problem: Problem, v: Array, dtype: Any) -> None:
        self.coef_, self.intercept_ = (a.astype(dtype) for a in problem.weights_of(v))

    def _initial(self, coef: Any, intercept: Any, shape: tuple[int, int]) -> tuple[Array, Array] | None:
        """Weights to start from, if any of both are given, as arrays (outputs, features) and (outputs,)."""
        if coef is None and intercept is None:
            return None
        found = []
        for name, given, needed in (("coef_init", coef, shape), ("intercept_init", intercept, shape[:1])):
            array = np.zeros(needed) if given is None else np.asarray(given, np.float64)
            if array.shape != needed and (shape[0] > 1 or array.size != np.prod(needed)):
                raise ValueError(explain(f"`{name}` of shape {needed}", f"shape {array.shape}", "Pass `coef_` of another fit."))
            if not np.isfinite(array).all():
                raise ValueError(explain(f"finite numbers in `{name}`", "others", "Leave it out to start from zeros."))
            found.append(array.reshape(needed))
        return found[0], found[1]

    def _fit(
        self, x: Array, y: Array, weights: Array | None, of_samples: Array | None, labels: Array | None = None,
        initial: tuple[Array, Array] | None = None,
    ) -> Any:  # fmt: skip
        random = check_random_state(self.random_state)
        is_worse: Callable[[Array], bool] | None = None
        scores, best = list[float](), None
        if self.early_stopping:
            (x, y, weights), held_out = hold_out(self, x, y, weights, of_samples, labels, random)

            def is_no_better_than_before(v: Array) -> bool:
                nonlocal best
                before = max(scores, default=-np.inf)
                scores.append(self._validation_score(problem.weights_of(v), held_out))
                best = v.copy() if scores[-1] > before else best
                return scores[-1] < before + (self.tol or 0.0)

            is_worse = is_no_better_than_before
        how, dtype = self._how(), x.dtype
        is_free = self.eta0 is None and self.learning_rate == "adaptive" and self.tol is not None and is_worse is None
        takes_all = is_free and how.size(len(x)) == len(x)
        if takes_all:
            x, y = x.astype(np.float64, copy=False), y.astype(np.float64, copy=False)
        problem = self._problem(x, y, weights)
        start = self._start(problem) if initial is None else problem.start(*initial)
        if takes_all:
            found = by_all_samples(problem, start, int(self.max_iter), self.tol)
        else:
            found = stochastic(problem, start, int(self.max_iter), how, random, is_worse)
        if not found.converged and self.tol is not None:
            problem_found = f"{type(self).__name__} stopped after max_iter={self.max_iter} while the loss still fell."
            warnings.warn(f"{problem_found} Raise max_iter or tol.", ConvergenceWarning, stacklevel=4)
        self._learned(problem, found.v if best is None else best, dtype)
        if self.early_stopping:
            self.validation_scores_ = scores
        self.n_iter_, self.loss_curve_ = found.steps, found.losses
        self.t_ = found.steps * problem.samples
        self._about, self._line = problem.about, None
        return self

    def _partial_fit(self, x: Array, y: Array, weights: Array | None, is_first: bool) -> Any:
        """One pass over more data, whose columns keep the scale of the last :meth:`fit`, or of the first part."""
        if is_first:
            self.n_iter_, self.t_, self.loss_curve_ = 0, 0, []
            self._about, self._line = moments(x, weights), None
        mean, variance = self._about
        changed = column_scale(mean, variance, len(x))[1] > 0  # others may do so here
        problem = self._problem(x, y, weights, (mean, np.where(changed, variance, 1.0)))
        coef, intercept = getattr(self, "coef_", None), getattr(self, "intercept_", None)
        start = problem.start(*(self._initial(coef, intercept, (problem.outputs, x.shape[1])) or ()))
        if self._line is None or self._line.suits != what_suits(problem):
            self._line = Line(problem, start)
        found = one_pass(self._line, problem, start, self._how(), check_random_state(self.random_state), self.n_iter_)
        self._learned(problem, found.v, x.dtype)
        self.n_iter_, self.t_ = self.n_iter_ + 1, self.t_ + len(x)
        self.loss_curve_ = [*self.loss_curve_, *found.losses]
        return self

    def __getstate__(self) -> Any:
        """Without what is quickly made again."""
        return {**super().__getstate__(), "_line": None}

    def _validation_score(self, weights: tuple[Array, Array], held_out: tuple[Array, Array, Array | None]) -> float:
        raise NotImplementedError


class SGDRegressor(RegressorMixin, BaseSGD):  # type: ignore[misc]
    """A line with a small squared error, found step by step down the gradient of a batch of samples.

    Columns are brought to one scale first, so that numbers of any size will do. `partial_fit` keeps that of the first part,
    or of a `fit` before it: ten rows tell it well enough, and what does not change in a first part stays in its own unit.

    Parameters
    ----------
    loss : "squared_error"
        Half the square.
    penalty : "l2", "l1", "elasticnet" or None
        alpha Σ w² / 2, alpha Σ |w|, or both in parts of 1 - l1_ratio and l1_ratio, beside the mean of the losses.
    alpha, l1_ratio : float
        The latter for "elasticnet" alone, else it may be None.
    fit_intercept : bool
    max_iter : int
        Epochs.
    tol : float or None
        Stop when the loss did not fall by this part (with early stopping, the score rise by this) in `n_iter_no_change` epochs.
        None trains for `max_iter` epochs.
    shuffle : bool
        A new order in each epoch.
    batch_size : int, "auto" or None
        Samples in each step: 1 is stochastic, n mini-batch, None full-batch gradient descent; "auto" suits their number, and is
        all of up to 64. With all of them and "adaptive" rates without an eta0, L-BFGS or FISTA chooses the steps, and hinge is
        smoothed near its kink: it finds the minimum.
    random_state : int or RandomState, optional
    learning_rate : "adaptive", "invscaling" or "constant"
        eta0, divided by 5 each time that the loss stopped falling, down to a hundredth (in one fit; parts of `partial_fit`
        keep eta0); eta0 /
        (1 + epochs so far, with parts of them) ** power_t; or eta0.
    eta0 : float, optional
        Of columns brought to one scale. By default one that is known to converge.
    power_t : float
    early_stopping : bool
        Judge by `validation_fraction` of the samples held out, and keep the best weights.
    validation_fraction : float
    n_iter_no_change : int, or infinity
    warm_start : bool
        Start from the weights of the last fit.

    Attributes
    ----------
    coef_ : array (features,)
    intercept_ : array (1,)
    n_iter_ : int
        Epochs.
    t_ : int
        Samples learned from, each as often as it was.
    loss_curve_, validation_scores_ : lists of float
        After each epoch.
    """

    losses = ("squared_error",)

    def __init__(
        self, loss: str = "squared_error", *, penalty: str | None = "l2", alpha: float = 1e-4, l1_ratio: float | None = 0.15,
        fit_intercept: bool = True, max_iter: int = 1000, tol: float | None = 1e-3, shuffle: bool = True,
        batch_size: Any = "auto", random_state: Any = None, learning_rate: str = "adaptive", eta0: float | None = None,
        power_t: float = 0.5, early_stopping: bool = False, validation_fraction: float = 0.1, n_iter_no_change: float = 5,
        warm_start: bool = False,
    ) -> None:  # fmt: skip
        keep_arguments(self, locals())

    @all_or_nothing
    def fit(self, X: Any, y: Any, coef_init: Any = None, intercept_init: Any = None, sample_weight: Any = None) -> Any:
        """Learn from all samples.

        Parameters
        ----------
        X : array (samples, features)
        y : array (samples,)
        coef_init, intercept_init : arrays (features,) and (1,), optional
            To start from.
        sample_weight : array (samples,), optional
        """
        self._check()
        x, y, weights = checked_rows(self, X, y, sample_weight, y_numeric=True)
        initial = self._initial(coef_init, intercept_init, (1, x.shape[1]))
        self._fit(x, checked_targets(y, x.dtype)[:, None], weights, weights, initial=initial)
        self.coef_ = self.coef_[0]
        return self

    @all_or_nothing
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One pass over more samples."""
        self._check()
        refuse_early_stopping(self)
        is_first = not hasattr(self, "_about")
        x, y, weights = checked_rows(self, X, y, sample_weight, reset=is_first, y_numeric=True)
        self._partial_fit(x, checked_targets(y, x.dtype)[:, None], weights, is_first)
        self.coef_ = self.coef_[0]
        return self

    @quiet
    def predict(self, X: Any) -> Array:
        """The line's value for each row (samples,)."""
        return self._scores(X)

    def _validation_score(self, weights: tuple[Array, Array], held_out: tuple[Array, Array, Array | None]) -> float:
        (coef, intercept), (x, y, c) = weights, held_out
        rest = y[:, 0] - (x @ coef[0] + intercept[0])
        spread = y[:, 0] - np.average(y[:, 0], weights=c)
        return 1 - float(np.average(rest**2, weights=c) / max(np.average(spread**2, weights=c), 1e-300))


class SGDClassifier(LinearClassifier, BaseSGD):
    """A linear classifier, one class against the others, found step by step down the gradient of a batch of samples.

    Parameters
    ----------
    loss : "hinge", "squared_hinge" or "log_loss"
        A support vector machine with hinge or its square, or logistic regression, which alone has `predict_proba`.
    class_weight : dict, "balanced" or None

    All others, and the attributes, are those of :class:`SGDRegressor`, but `coef_` (1 or classes, features) and
    `intercept_` (1 or classes,).
    """

    losses = ("hinge", "squared_hinge", "log_loss")

    def __init__(
        self, loss: str = "hinge", *, penalty: str | None = "l2", alpha: float = 1e-4, l1_ratio: float | None = 0.15,
        fit_intercept: bool = True, max_iter: int = 1000, tol: float | None = 1e-3, shuffle: bool = True,
        batch_size: Any = "auto", random_state: Any = None, learning_rate: str = "adaptive", eta0: float | None = None,
        power_t: float = 0.5, early_stopping: bool = False, validation_fraction: float = 0.1, n_iter_no_change: float = 5,
        class_weight: Any = None, warm_start: bool = False,
    ) -> None:  # fmt: skip
        keep_arguments(self, locals())

    @all_or_nothing
    def fit(self, X: Any, y: Any, coef_init: Any = None, intercept_init: Any = None, sample_weight: Any = None) -> Any:
        """Learn from all samples.

        Parameters
        ----------
        X : array (samples, features)
        y : array (samples,) of labels of any kind
        coef_init, intercept_init : arrays of the shapes of `coef_` and `intercept_`, optional
            To start from.
        sample_weight : array (samples,), optional
        """
        self._check()
        x, y, of_samples = checked_rows(self, X, y, sample_weight)
        numbers, weights = self._labels(y, of_samples)
        targets = self._targets(numbers, x.dtype)
        initial = self._initial(coef_init, intercept_init, (targets.shape[1], x.shape[1]))
        return self._fit(x, targets, weights, of_samples, numbers, initial)

    @all_or_nothing
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """One pass over more samples; `classes`, all there will ever be, are needed at the first call."""
        self._check()
        refuse_early_stopping(self)
        is_first = not hasattr(self, "classes_")
        x, y, weights = checked_rows(self, X, y, sample_weight, reset=is_first)
        refuse_balanced(self.class_weight)
        all_classes = first_classes(self, classes, is_first)
        check_labels(y, all_classes)
        weights = with_class_weights(self.class_weight, all_classes, y, weights)
        self.classes_ = all_classes
        numbers = np.searchsorted(all_classes, y)
        return self._partial_fit(x, self._targets(numbers, x.dtype), weights, is_first)

    def _targets(self, numbers: Array, dtype: Any) -> Array:
        return np.ascontiguousarray(np.eye(len(self.classes_), dtype=dtype)[numbers][:, len(self.classes_) == 2 :])

    def _validation_score(self, weights: tuple[Array, Array], held_out: tuple[Array, Array, Array | None]) -> float:
        (coef, intercept), (x, y, c) = weights, held_out
        z = x @ coef.T + intercept
        right = (z[:, 0] > 0) == (y[:, 0] > 0) if z.shape[1] == 1 else z.argmax(1) == y.argmax(1)
        return float(np.average(right, weights=c))

    def _has_probabilities(self) -> bool:
        if self.loss != "log_loss":
            raise AttributeError(explain("loss='log_loss' for probabilities", repr(self.loss), "Use decision_function."))
        return True

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    @quiet
    def predict_proba(self, X: Any) -> Array:
        """Probabilities (samples, classes); of more than two classes each against the others, scaled to a sum of 1."""
        check_is_fitted(self)
        p = door.unary("sigmoid", self._scores(X))
        if p.shape[1] == 1:
            return np.concatenate([1 - p, p], axis=1)
        total = p.sum(1, keepdims=True)
        return np.where(total > 0, p / np.where(total > 0, total, 1), 1 / p.shape[1])

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    @quiet
    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of :meth:`predict_proba`."""
        check_is_fitted(self)
        z = self._scores(X)
        log_p = -door.unary("softplus", -z)
        if z.shape[1] == 1:
            return np.concatenate([-door.unary("softplus", z), log_p], axis=1)
        most = log_p.max(1, keepdims=True)
        return np.asarray(log_p - most - np.log(np.exp(log_p - most).sum(1, keepdims=True)))
