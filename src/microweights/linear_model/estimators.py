"""Linear and logistic regression: names, arguments, attributes and checks are scikit-learn's, the engine is this one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
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
from .descent import Descent, stochastic
from .problem import MAX_COLUMNS_GRAM, Problem
from .solvers import (
    MAX_COLUMNS_WHITENED,
    WORKING_SET_COLUMNS,
    Found,
    by_working_set,
    judge,
    lbfgs,
    proximal,
)

FLAT = 1e-6  # beside a curvature of at most 1/4


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
    """What all linear models share: checked data, a problem, a solver, and weights in the units of the data."""

    fit_intercept: bool
    max_iter: int
    tol: Any
    solver: str
    learning_rate: float | None
    random_state: Any
    coef_: Array
    intercept_: Any
    n_iter_: Any

    def _check_course(self) -> None:
        check_counts(self, "max_iter")
        check_numbers(self, tol=(0, LARGEST))
        check_flags(self)
        if self.learning_rate is not None:
            check_numbers(self, learning_rate=(1e-300, LARGEST))

    def _start(self, problem: Problem, y_offset: Any = 0.0, y_scale: float = 1.0) -> Array:
        """Where to start: from the last weights for a `warm_start`, if they fit and say more about this data than zeros."""
        coef, intercept = (np.asarray(getattr(self, name, 0.0)) for name in ("coef_", "intercept_"))
        fits = np.atleast_2d(coef).shape == (problem.outputs, len(problem.scale)) and intercept.size in (1, problem.outputs)
        if not (getattr(self, "warm_start", False) and hasattr(self, "coef_") and fits):
            return problem.start()
        last = problem.start(np.atleast_2d(coef) / y_scale, (intercept.reshape(-1) - y_offset) / y_scale)
        zeros, is_worse = problem.start(), judge(problem, 0.0)
        is_worse(zeros)
        return zeros if is_worse(last) else last

    def _solve(self, problem: Problem, solver: str, start: Array) -> Found:
        """The minimum; notes the steps and the course of the loss."""
        rate = self.learning_rate
        if solver == "sgd":
            how = Descent(tol=self.tol, learning_rate=rate, lowest=1e-6)
            random = check_random_state(self.random_state)
            found = stochastic(problem, start, self.max_iter, how, random, judge(problem, self.tol))
        elif solver == "lbfgs":
            if rate is not None:
                remedy = "Choose one of these solvers, or leave it out."
                raise ValueError(explain("a solver with a learning rate: 'gd', 'fista' or 'sgd'", "'lbfgs'", remedy))
            found = lbfgs(problem, start, self.max_iter, self.tol)
        elif solver == "working set":
            found = by_working_set(problem, start, self.max_iter, self.tol)
        else:
            found = proximal(problem, start, self.max_iter, self.tol, rate, accelerated=solver == "fista")
        if not found.converged:
            warnings.warn(
                f"{type(self).__name__} stopped after max_iter={self.max_iter} before it was within tol={self.tol}. "
                "Raise max_iter or tol, or, where large columns leave the penalty without effect, scale them or strengthen it.",
                ConvergenceWarning, stacklevel=4)  # fmt: skip
        self.n_iter_, self.loss_curve_ = found.steps, found.losses
        return found

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

    def _solvers(self) -> tuple[str, ...]:
        return "lbfgs", "gd", "sgd"

    def _check(self) -> None:
        self._check_course()
        check_choice(self, "solver", self._solvers())

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
        self._check()
        x, y, weights = checked_rows(self, X, y, sample_weight, multi_output=True, y_numeric=True)
        dtype = x.dtype
        targets = np.asarray(y, np.float64).reshape(len(x), -1)
        y_offset = np.average(targets, axis=0, weights=weights) if self.fit_intercept else np.zeros(targets.shape[1])
        l1, l2 = self._penalties(float(len(x) if weights is None else weights.sum()))
        is_wide = x.shape[1] > 2 * WORKING_SET_COLUMNS and l1 > 0 and self.learning_rate is None
        solver = "working set" if self.solver == "fista" and is_wide else self.solver
        targets = targets - y_offset
        y_scale = float(np.abs(targets).max()) or 1.0  # SciPy's tests of convergence are made for numbers around 1
        goals = np.ascontiguousarray(targets / y_scale)
        by_products = solver in ("lbfgs", "gd", "fista") and x.shape[1] <= MAX_COLUMNS_GRAM
        problem = Problem("squared_error", x.astype(np.float64, copy=False), goals, weights, l1 / y_scale, l2,
                          bool(self.fit_intercept), goals.shape[1], by_products=by_products, given=dtype)  # fmt: skip
        found = self._solve(problem, solver, self._start(problem, y_offset, y_scale))
        coef, intercept = (a * y_scale for a in problem.weights_of(found.v))
        self.loss_curve_ = [loss * y_scale * y_scale for loss in found.losses]
        intercept = intercept + y_offset if self.fit_intercept else np.zeros_like(intercept)
        coef, intercept = coef.astype(dtype), intercept.astype(dtype)
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
    """y ≈ X w + b with the least sum of squares.

    Parameters
    ----------
    fit_intercept : bool
        Learn b, too; else it is 0.
    solver : "lbfgs", "gd" or "sgd"
        L-BFGS, gradient descent with all samples in each step, or with batches of them.
    learning_rate : float, optional
        For "gd" and "sgd". Of columns brought to one scale; by default the largest that is known to converge.
    max_iter : int
        Steps, or for "sgd" epochs.
    tol : float
        It is done when no derivative is above this part of the largest at w = 0; for "sgd", when the loss of all samples did
        not fall by this part in 5 epochs at any rate, which it divides by 5 each time.
    random_state : int or RandomState, optional
        For the order of samples in "sgd".

    Attributes
    ----------
    coef_ : array (features,) or (outputs, features)
    intercept_ : float or array (outputs,)
    n_iter_ : int
    loss_curve_ : list of float
        Half the mean squared error, with penalties: for "lbfgs" after each step, for "gd" and "fista" before it (where the
        momentum led), for "sgd" on average over each epoch.

    Examples
    --------
    >>> from microweights.linear_model import LinearRegression
    >>> model = LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> model.coef_.round(6), round(float(model.intercept_), 6)
    (array([2.]), 1.0)
    """

    _keeps_columns = True

    def __init__(
        self, *, fit_intercept: bool = True, solver: str = "lbfgs", learning_rate: float | None = None, max_iter: int = 1000,
        tol: float = 1e-10, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.fit_intercept, self.solver, self.learning_rate = fit_intercept, solver, learning_rate
        self.max_iter, self.tol, self.random_state = max_iter, tol, random_state


class Ridge(LinearRegressor):
    """Least squares with the penalty alpha Σ w², beside the sum of the squares (Hoerl & Kennard 1970).

    Parameters
    ----------
    alpha : float
    fit_intercept, solver, learning_rate, max_iter, tol, random_state
        As for :class:`LinearRegression`, and so are the attributes.
    """

    def __init__(
        self, alpha: float = 1.0, *, fit_intercept: bool = True, solver: str = "lbfgs", learning_rate: float | None = None,
        max_iter: int = 1000, tol: float = 1e-10, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.alpha, self.fit_intercept, self.solver, self.learning_rate = alpha, fit_intercept, solver, learning_rate
        self.max_iter, self.tol, self.random_state = max_iter, tol, random_state

    def _penalties(self, total: float) -> tuple[float, float]:
        check_numbers(self, alpha=(0, LARGEST))
        return 0.0, self.alpha / total


class ElasticNet(LinearRegressor):
    """Half the mean of the squares, and alpha (l1_ratio Σ |w| + (1 - l1_ratio) Σ w² / 2) (Zou & Hastie 2005).

    Parameters
    ----------
    alpha : float
    l1_ratio : float
        From 0, only squares, to 1, only absolute values.
    fit_intercept, learning_rate, max_iter, tol, random_state
        As for :class:`LinearRegression`, and so are the attributes; weights that are not needed are exactly 0.
    solver : "fista", "gd" or "sgd"
        All with soft thresholding; "fista" is gradient descent with momentum. Of many columns it takes a part at first, then
        those that are missing; `max_iter` counts for each of these sets.
    warm_start : bool
        Start from the weights of the last fit.
    """

    def __init__(
        self, alpha: float = 1.0, *, l1_ratio: float = 0.5, fit_intercept: bool = True, solver: str = "fista",
        learning_rate: float | None = None, max_iter: int = 10_000, tol: float = 1e-8, warm_start: bool = False,
        random_state: Any = None,
    ) -> None:  # fmt: skip
        self.alpha, self.l1_ratio, self.fit_intercept, self.solver = alpha, l1_ratio, fit_intercept, solver
        self.learning_rate, self.max_iter, self.tol = learning_rate, max_iter, tol
        self.warm_start, self.random_state = warm_start, random_state

    def _solvers(self) -> tuple[str, ...]:
        return "fista", "gd", "sgd"

    def _penalties(self, total: float) -> tuple[float, float]:
        check_numbers(self, alpha=(0, LARGEST), l1_ratio=(0, 1))
        return self.alpha * self.l1_ratio, self.alpha * (1 - self.l1_ratio)


class Lasso(ElasticNet):
    """Half the mean of the squares, and alpha Σ |w| (Tibshirani 1996): an :class:`ElasticNet` with an `l1_ratio` of 1."""

    l1_ratio = 1.0

    def __init__(
        self, alpha: float = 1.0, *, fit_intercept: bool = True, solver: str = "fista", learning_rate: float | None = None,
        max_iter: int = 10_000, tol: float = 1e-8, warm_start: bool = False, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.alpha, self.fit_intercept, self.solver, self.learning_rate = alpha, fit_intercept, solver, learning_rate
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
    fit_intercept, learning_rate, max_iter, tol, random_state
        As for :class:`LinearRegression`.
    class_weight : dict, "balanced" or None
    solver : "auto", "lbfgs", "fista", "gd" or "sgd"
        "auto" is "lbfgs", or "fista" under an L1 penalty.
    warm_start : bool
        Start from the weights of the last fit.

    Attributes
    ----------
    classes_ : array (classes,)
    coef_ : array (1, features) for two classes, else (classes, features)
    intercept_ : array (1,) or (classes,)
    n_iter_ : array (1,) of int
    loss_curve_ : list of float
        The mean of the cross-entropies, with penalties, as for :class:`LinearRegression`.
    """

    def __init__(
        self, penalty: str | None = "l2", *, C: float = 1.0, l1_ratio: float | None = None, fit_intercept: bool = True,
        class_weight: Any = None, solver: str = "auto", learning_rate: float | None = None, max_iter: int = 10_000,
        tol: float = 1e-7, warm_start: bool = False, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.penalty, self.C, self.l1_ratio, self.fit_intercept = penalty, C, l1_ratio, fit_intercept
        self.class_weight, self.solver, self.learning_rate, self.max_iter = class_weight, solver, learning_rate, max_iter
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
        check_choice(self, "solver", ("auto", "lbfgs", "fista", "gd", "sgd"))
        ratio = ratio_of(self)
        if self.solver == "lbfgs" and ratio > 0:
            raise ValueError(explain("a solver for L1 penalties", "'lbfgs'", "Use solver='fista' or 'auto'."))
        x, y, weights = checked_rows(self, X, y, sample_weight)
        numbers, weights = self._labels(y, weights)
        dtype, total = x.dtype, float(len(x) if weights is None else weights.sum())
        strength = 0.0 if self.penalty is None else 1 / (self.C * total)
        k = 1 if len(self.classes_) == 2 else len(self.classes_)
        loss, targets = ("log_loss", numbers[:, None].astype(x.dtype)) if k == 1 else ("multinomial", numbers)
        solver = ("fista" if ratio > 0 else "lbfgs") if self.solver == "auto" else self.solver
        intercept = bool(self.fit_intercept)
        if solver == "lbfgs" and x.shape[1] + intercept <= MAX_COLUMNS_WHITENED:  # shows what is small beside others
            x, targets = x.astype(np.float64, copy=False), targets.astype(np.int64 if k > 1 else np.float64, copy=False)
        l1, l2 = strength * ratio, strength * (1 - ratio)
        problem = Problem(loss, x, targets, weights, l1, l2, intercept, k, given=dtype)
        coef, bias = problem.weights_of(self._solve(problem, solver, self._start(problem)).v)
        self.coef_, self.intercept_ = coef.astype(dtype), bias.astype(dtype)
        self.n_iter_ = np.array([self.n_iter_], np.int32)
        counted = ... if weights is None else weights > 0
        if strength == 0 and ((self._said(x) == numbers)[counted].all() or self._separates_some(problem, x)):
            warnings.warn(
                "The columns separate the classes, or some samples from all others. Then, without a penalty, larger weights "
                "are always better: these are as large as the solver made them until it stopped. Use penalty='l2' for weights "
                "with a meaning.", ConvergenceWarning, stacklevel=3)  # fmt: skip
        return self

    def _separates_some(self, problem: Problem, x: Array) -> bool:
        """Whether the loss is flat in some direction, as where classes are quasi-completely separated (Albert & Anderson 1984).

        Its curvature there is the mean of p (1 - p), by the squares of what the direction makes of the samples: next to nothing
        if all that it tells apart are certain.
        """
        z, gram = self._at(x).astype(np.float64), problem.gram().astype(np.float64)
        p = door.unary("sigmoid", z) if z.shape[1] == 1 else door.rowwise("softmax", z)
        values, vectors = np.linalg.eigh(gram)
        kept = values > values[-1] * len(x) * np.finfo(np.float64).eps
        basis = vectors[:, kept] / np.sqrt(values[kept])
        for certainty in (p * (1 - p)).T:
            curvatures = np.linalg.eigvalsh(basis.T @ problem.gram_times(basis, certainty))
            if curvatures.size and curvatures[0] < FLAT:
                return True
        return False

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
