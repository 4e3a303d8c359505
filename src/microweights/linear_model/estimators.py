"""Linear and logistic regression: names, arguments, attributes and checks are scikit-learn's, the engine is this one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ..errors import explain
from ..estimators.checks import (
    FLOATS,
    LARGEST,
    all_or_nothing,
    check_choice,
    check_classes,
    check_counts,
    check_flags,
    check_numbers,
    checked_rows,
    quiet,
    with_class_weights,
)
from ..kernels import door
from ..tensor import Array
from .problem import MAX_COLUMNS_GRAM, Problem
from .solvers import MAX_COLUMNS_WHITENED, Found, lbfgs, least_curvature, newton, proximal, smooth
from .squares import WORKING_SET_COLUMNS, Columns, exact, sparse

FLAT = 1e-6  # beside a curvature of at most 1/4
SOLVERS = {"auto": smooth, "newton": newton, "lbfgs": lbfgs, "fista": proximal}


def ratio_of(estimator: Any) -> float:
    """Which part of the penalty is L1, by `penalty` and, if it is not None, `l1_ratio`."""
    name, given = estimator.penalty, estimator.l1_ratio
    usual = {"l2": 0.0, "l1": 1.0, "elasticnet": 0.5, None: 0.0}[name]
    if given is None:
        return usual
    check_numbers(estimator, l1_ratio=(0, 1))
    if name in ("l1", None) and given != usual:
        raise ValueError(explain(f"no other `l1_ratio` than {usual:g} for penalty={name!r}", given, "Choose one of the two."))
    return float(given)


class BaseLinear(BaseEstimator):  # type: ignore[misc]
    """What all linear models share: checked data, and weights in the units of the data."""

    fit_intercept: bool
    max_iter: int
    tol: Any
    coef_: Array
    intercept_: Any
    n_iter_: Any

    def _check_course(self) -> None:
        check_counts(self, "max_iter")
        check_numbers(self, tol=(0, LARGEST))
        check_flags(self)

    def _last(self, outputs: int, features: int) -> tuple[Array, Array] | None:
        """The weights (outputs, features) and intercepts of the last fit for a `warm_start`, if they suit this data."""
        coef, intercept = (np.asarray(getattr(self, name, 0.0)) for name in ("coef_", "intercept_"))
        fits = np.atleast_2d(coef).shape == (outputs, features) and intercept.size in (1, outputs)
        warm = getattr(self, "warm_start", False) and hasattr(self, "coef_") and fits
        return (np.atleast_2d(coef), intercept.reshape(-1)) if warm else None

    def _start(self, problem: Problem) -> Array:
        """Where to start: from the last weights for a `warm_start`, if they say more about this data than zeros."""
        last, zeros = self._last(problem.outputs, len(problem.scale)), problem.start()
        start = zeros if last is None else problem.start(*last)
        return start if last and problem.loss_at(start) < problem.loss_at(zeros) else zeros

    def _keep_course(self, found: Found) -> None:
        """Note the steps and the course of the loss, and tell of a minimum that was not reached."""
        self.n_iter_, self.loss_curve_ = found.steps, found.losses
        if not found.converged:
            if hasattr(self, "max_iter"):
                course = f"after max_iter={self.max_iter}, before it was within tol={self.tol}. Raise max_iter or tol"
            else:
                course = "before the minimum"
            remedy = "Where large columns leave the penalty without effect, scale them or strengthen it."
            warnings.warn(f"{type(self).__name__} stopped {course}. {remedy}", ConvergenceWarning, stacklevel=4)

    def _scores(self, x: Any) -> Array:
        check_is_fitted(self)
        z = self._at(validate_data(self, x, dtype=FLOATS, reset=False))
        return z[:, 0] if self.coef_.ndim == 1 else z

    def _at(self, x: Array) -> Array:
        """The line's values for rows that are checked: (samples, outputs)."""
        coef = np.atleast_2d(self.coef_).astype(x.dtype, copy=False)
        x = np.require(x, requirements=["ALIGNED"])
        return door.matmul(x, coef.T, np.atleast_1d(np.asarray(self.intercept_, x.dtype)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


# ---- regression --------------------------------------------------------------------------------------------------------


class LinearRegressor(RegressorMixin, MultiOutputMixin, BaseLinear):  # type: ignore[misc]
    """Least squares with penalties: l1 and l2 as they stand beside the mean of the halved squares."""

    _keeps_columns = False  # whether a column of targets makes a row of weights, and predictions are a column, too

    def _penalties(self, total: float) -> tuple[float, float]:
        """l1 and l2 for samples of this total weight."""
        return 0.0, 0.0

    def _solve(self, columns: Columns, y: Array, start: Array) -> Found:
        return exact(columns, y)

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Learn `coef_` and `intercept_`.

        Parameters
        ----------
        X : array (samples, features)
        y : array (samples,) or (samples, outputs)
            Of a column (samples, 1), as in scikit-learn, all but :class:`LinearRegression` make weights (features,).
        sample_weight : array (samples,), optional
        """
        check_flags(self)
        x, y, weights = checked_rows(self, X, y, sample_weight, multi_output=True, y_numeric=True)
        l1, l2 = self._penalties(float(len(x) if weights is None else weights.sum()))
        targets = np.asarray(y, np.float64).reshape(len(x), -1)
        offset = np.average(targets, axis=0, weights=weights) if self.fit_intercept else np.zeros(targets.shape[1])
        targets = targets - offset
        unit = float(np.abs(targets).max()) or 1.0  # whose square has all its digits
        d = x.shape[1]
        multiply_all = d <= 2 * WORKING_SET_COLUMNS if l1 else d < len(x) or (l2 > 0 and d <= MAX_COLUMNS_GRAM)
        columns = Columns(x, weights, l1 / unit, l2, bool(self.fit_intercept), multiply_all)
        goals, start = targets / unit, np.zeros((x.shape[1], targets.shape[1]))
        last = self._last(goals.shape[1], x.shape[1])
        if last is not None:
            warm = last[0].T / unit * columns.scale[:, None]
            start = warm if columns.loss(warm, goals) < columns.loss(start, goals) else start
        found = self._solve(columns, goals, start)
        self._keep_course(found._replace(losses=[loss * unit * unit for loss in found.losses]))
        coef = found.v.T * columns.inverse * unit
        intercept = (offset - coef @ columns.mean).astype(x.dtype)
        coef = coef.astype(x.dtype)
        if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
            raise FloatingPointError(explain("finite weights", "infinity or NaN", "Bring columns and targets to other units."))
        self.coef_ = coef if len(coef) > 1 or (y.ndim > 1 and self._keeps_columns) else coef[0]
        self.intercept_ = intercept if y.ndim > 1 else intercept[0]
        return self

    @quiet
    def predict(self, X: Any) -> Array:
        """The line's value for each row: (samples,) or (samples, outputs)."""
        return self._scores(X)


class LinearRegression(LinearRegressor):
    """y ≈ X w + b with the least sum of squares, found exactly.

    Parameters
    ----------
    fit_intercept : bool
        Learn b, too; else it is 0.

    Attributes
    ----------
    coef_ : array (features,) or (outputs, features)
    intercept_ : float or array (outputs,)
    n_iter_ : int
    loss_curve_ : list of float
        Half the mean squared error, with penalties.

    Examples
    --------
    >>> from microweights.linear_model import LinearRegression
    >>> model = LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> model.coef_.round(6), round(float(model.intercept_), 6)
    (array([2.]), 1.0)
    """

    _keeps_columns = True

    def __init__(self, *, fit_intercept: bool = True) -> None:
        self.fit_intercept = fit_intercept


class Ridge(LinearRegressor):
    """Least squares with the penalty alpha Σ w², beside the sum of the squares (Hoerl & Kennard 1970), found exactly.

    Parameters
    ----------
    alpha : float
    fit_intercept : bool
        As for :class:`LinearRegression`, and so are the attributes.
    random_state
        Taken as scikit-learn's; nothing is drawn.
    """

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True, random_state: Any = None) -> None:
        self.alpha, self.fit_intercept, self.random_state = alpha, fit_intercept, random_state

    def _penalties(self, total: float) -> tuple[float, float]:
        check_numbers(self, alpha=(0, LARGEST))
        return 0.0, self.alpha / total


class ElasticNet(LinearRegressor):
    """Half the mean of the squares, and alpha (l1_ratio Σ |w| + (1 - l1_ratio) Σ w² / 2) (Zou & Hastie 2005).

    Weights that are not needed are exactly 0. It takes a part of many columns at first, then those that are missing, and goes
    down the gradient of each of these sets with momentum.

    Parameters
    ----------
    alpha : float
    l1_ratio : float
        From 0, only squares, to 1, only absolute values.
    fit_intercept : bool
    max_iter : int
        Steps for each set of columns.
    tol : float
        It is done when no step is above this part of the largest from w = 0.
    warm_start : bool
        Start from the weights of the last fit.
    random_state
        Taken as scikit-learn's; nothing is drawn.

    Attributes
    ----------
    coef_, intercept_
        As for :class:`LinearRegression`.
    n_iter_ : int
    loss_curve_ : list of float
        Half the mean squared error, with penalties, before each step, where the momentum led.
    """

    def __init__(
        self, alpha: float = 1.0, *, l1_ratio: float = 0.5, fit_intercept: bool = True, max_iter: int = 10_000,
        tol: float = 1e-8, warm_start: bool = False, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.alpha, self.l1_ratio, self.fit_intercept = alpha, l1_ratio, fit_intercept
        self.max_iter, self.tol, self.warm_start, self.random_state = max_iter, tol, warm_start, random_state

    def _penalties(self, total: float) -> tuple[float, float]:
        self._check_course()
        check_numbers(self, alpha=(0, LARGEST), l1_ratio=(0, 1))
        return self.alpha * self.l1_ratio, self.alpha * (1 - self.l1_ratio)

    def _solve(self, columns: Columns, y: Array, start: Array) -> Found:
        return sparse(columns, y, start, self.max_iter, self.tol)


class Lasso(ElasticNet):
    """Half the mean of the squares, and alpha Σ |w| (Tibshirani 1996): an :class:`ElasticNet` with an `l1_ratio` of 1."""

    l1_ratio = 1.0

    def __init__(
        self, alpha: float = 1.0, *, fit_intercept: bool = True, max_iter: int = 10_000, tol: float = 1e-8,
        warm_start: bool = False, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.alpha, self.fit_intercept = alpha, fit_intercept
        self.max_iter, self.tol, self.warm_start, self.random_state = max_iter, tol, warm_start, random_state


# ---- classification ----------------------------------------------------------------------------------------------------


class LinearClassifier(ClassifierMixin, BaseLinear):  # type: ignore[misc]
    """What linear classifiers share: labels of any kind as numbers, weights of classes."""

    class_weight: Any
    classes_: Array

    def _labels(self, y: Array, weights: Array | None) -> tuple[Array, Array | None]:
        """The number of each sample's class, and its weight times that of the class. Sets `classes_`."""
        check_classification_targets(y)
        classes, numbers = np.unique(y, return_inverse=True)
        check_classes(classes)
        weights = with_class_weights(self.class_weight, classes, y, weights)
        self.classes_ = classes
        return numbers.astype(np.int64), weights

    @quiet
    def decision_function(self, X: Any) -> Array:
        """Scores: (samples,) of the second of two classes, else (samples, classes)."""
        z = self._scores(X)
        return z[:, 0] if z.shape[1] == 1 else z

    @quiet
    def predict(self, X: Any) -> Array:
        """The class with the highest score."""
        check_is_fitted(self)
        labels: Array = self.classes_[self._said(validate_data(self, X, dtype=FLOATS, reset=False))]
        return labels

    def _said(self, x: Array) -> Array:
        """The numbers of these classes."""
        z = self._at(x)
        return (z[:, 0] > 0).astype(np.int64) if z.shape[1] == 1 else z.argmax(1)


class LogisticRegression(LinearClassifier):
    """Probabilities sigmoid(x w + b) of two classes, softmax(x W + b) of more, with the least sum of cross-entropies.

    Minimises C Σ cross-entropy + (1 - l1_ratio) Σ w² / 2 + l1_ratio Σ |w|.

    Parameters
    ----------
    penalty : "l2", "l1", "elasticnet" or None
        Names for an `l1_ratio` of 0, 1 and 0.5. Without one, classes that the columns separate have no best weights (Albert &
        Anderson 1984); a ConvergenceWarning says so.
    C : float
        The smaller, the stronger the penalty; without one it counts for nothing.
    l1_ratio : float, optional
        The part of it that is L1; with "l2" and "elasticnet" it takes the place of what the name says.
    fit_intercept : bool
    class_weight : dict, "balanced" or None
    solver : "auto", "newton", "lbfgs" or "fista"
        "auto" is Newton's method for few weights and L-BFGS for many, or "fista" under an L1 penalty.
    max_iter : int
    tol : float
        It is done when no derivative is above this part of the largest at w = 0, along directions of one curvature there.
    warm_start : bool
        Start from the weights of the last fit.
    random_state
        Taken as scikit-learn's; nothing is drawn.

    Attributes
    ----------
    classes_ : array (classes,)
    coef_ : array (1, features) for two classes, else (classes, features)
    intercept_ : array (1,) or (classes,)
    n_iter_ : array (1,) of int
    loss_curve_ : list of float
        The mean of the cross-entropies, with penalties, after each step, or before it for "fista".
    """

    def __init__(
        self, penalty: str | None = "l2", *, C: float = 1.0, l1_ratio: float | None = None, fit_intercept: bool = True,
        class_weight: Any = None, solver: str = "auto", max_iter: int = 10_000, tol: float = 1e-7, warm_start: bool = False,
        random_state: Any = None,
    ) -> None:  # fmt: skip
        self.penalty, self.C, self.l1_ratio, self.fit_intercept = penalty, C, l1_ratio, fit_intercept
        self.class_weight, self.solver, self.max_iter = class_weight, solver, max_iter
        self.tol, self.warm_start, self.random_state = tol, warm_start, random_state

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Learn `coef_` and `intercept_`.

        Parameters
        ----------
        X : array (samples, features)
        y : array (samples,)
            Labels: numbers, strings or whatever can be sorted.
        sample_weight : array (samples,), optional
        """
        self._check_course()
        check_numbers(self, C=(1e-300, np.inf))
        check_choice(self, "penalty", ("l2", "l1", "elasticnet", None))
        check_choice(self, "solver", tuple(SOLVERS))
        ratio = ratio_of(self)
        if ratio > 0 and self.solver not in ("auto", "fista"):
            raise ValueError(explain("a solver for L1 penalties", repr(self.solver), "Use solver='fista' or 'auto'."))
        x, y, weights = checked_rows(self, X, y, sample_weight)
        numbers, weights = self._labels(y, weights)
        dtype, total = x.dtype, float(len(x) if weights is None else weights.sum())
        strength = 0.0 if self.penalty is None else 1 / (self.C * total)
        k = 1 if len(self.classes_) == 2 else len(self.classes_)
        loss, targets = ("log_loss", numbers[:, None].astype(x.dtype)) if k == 1 else ("multinomial", numbers)
        solve, intercept = proximal if ratio > 0 else SOLVERS[self.solver], bool(self.fit_intercept)
        if solve is not proximal and x.shape[1] + intercept <= MAX_COLUMNS_WHITENED:  # shows what is small beside others
            x, targets = x.astype(np.float64, copy=False), targets.astype(np.int64 if k > 1 else np.float64, copy=False)
        problem = Problem(loss, x, targets, weights, strength * ratio, strength * (1 - ratio), intercept, k, given=dtype)
        found = solve(problem, self._start(problem), self.max_iter, self.tol)
        coef, bias = problem.weights_of(found.v)
        self._keep_course(found)
        self.coef_, self.intercept_ = coef.astype(dtype), bias.astype(dtype)
        self.n_iter_ = np.array([self.n_iter_], np.int32)
        counted = ... if weights is None else weights > 0
        # The loss is flat in some direction where classes are quasi-completely separated, too (Albert & Anderson 1984).
        if strength == 0 and ((self._said(x) == numbers)[counted].all() or least_curvature(problem, found.v) < FLAT):
            warnings.warn(
                "The columns separate the classes, or some samples from all others. Then, without a penalty, larger weights "
                "are always better: these are as large as the solver made them until it stopped. Use penalty='l2' for weights "
                "with a meaning.", ConvergenceWarning, stacklevel=3)  # fmt: skip
        return self

    @quiet
    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of the probabilities (samples, classes)."""
        z = self._scores(X)
        return door.rowwise("log_softmax", z if z.shape[1] > 1 else np.concatenate([np.zeros_like(z), z], axis=1))

    @quiet
    def predict_proba(self, X: Any) -> Array:
        """Probabilities (samples, classes)."""
        z = self._scores(X)
        return door.rowwise("softmax", z if z.shape[1] > 1 else np.concatenate([np.zeros_like(z), z], axis=1))
