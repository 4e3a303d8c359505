"""A perceptron for numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score

from ..errors import explain
from ..estimators.checks import all_or_nothing, checked_rows, checked_targets, quiet, refuse_early_stopping
from ..estimators.columns import moments
from ..losses import Loss, MeanSquaredError
from ..tensor import Array
from .base import BaseMLP


class MLPRegressor(RegressorMixin, MultiOutputMixin, BaseMLP):  # type: ignore[misc]
    """A multi-layer perceptron with the least squared error.

    Columns and targets are brought to mean 0 and variance 1 first, so that numbers of any size will do. The network keeps the
    scale that it began with: `partial_fit` that of its first part, or of a `fit` before it, `warm_start` that of the first fit.
    Ten rows tell it well enough; what does not change in a first part stays in its own unit.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
    activation : str or function of a tensor, or one for each hidden layer
        Names of :mod:`microweights.activations`; "identity" and "logistic" are also known.
    solver : "adam", "sgd", "rmsprop", "adagrad" or "lbfgs"
        The last, L-BFGS, takes all samples in each of at most `max_iter` steps, until no derivative is above `tol`; it suits
        few samples, and goes without batches, dropout, early stopping, validation data, callbacks and `partial_fit`. Its curve
        is the last loss.
    alpha : float
        Of the penalty alpha Σ w² / 2 beside the sum of the losses of a batch: half the squares, cross-entropies.
    dropout : float, or one for each hidden layer
        The part of its outputs that is dropped while training.
    batch_size : int, "auto" or None
        "auto" is 200, None all samples.
    learning_rate : "constant", "invscaling" or "adaptive"
        For "sgd": learning_rate_init; that / (1 + samples so far) ** power_t in each epoch; or divided by 5 where it would
        stop, until 1e-6.
    learning_rate_init : float or Schedule
        A number, or one of :mod:`microweights.schedules`, which counts updates.
    power_t : float
    momentum, nesterovs_momentum, beta_1, beta_2, epsilon
        Of the solver.
    max_iter : int
        Epochs.
    shuffle : bool
        A new order in each epoch.
    random_state : int or RandomState, optional
    tol : float
        Stop after more than `n_iter_no_change` epochs in a row in which the loss did not fall by this; of targets brought to
        variance 1.
    verbose : bool
        Show a progress bar.
    warm_start : bool
        Go on with the network of the last fit.
    early_stopping : bool
        Judge by the loss of `validation_fraction` of the samples held out, or of the validation data that `fit` is given, and
        keep the weights of the best epoch.
    validation_fraction : float
    n_iter_no_change : int, or infinity

    Attributes
    ----------
    coefs_, intercepts_ : lists of arrays
        (inputs, units) and (units,) of each layer, for columns (x - `mean_`) / `scale_`.
    loss_curve_, validation_loss_curve_ : lists of float
        The mean of the losses of each epoch, with penalties: of halved squares in the units of the targets, as scikit-learn's.
        Squares of several targets are divided by their variances, and the mean is multiplied with the mean variance.
    validation_scores_ : list of float, or None
        With `early_stopping`, what `score` says after each epoch of the samples that are held out.
    best_validation_score_ : float or None
        The highest of them.
    n_iter_, t_ : int
        Epochs, and samples learned from, each as often as it was; with `warm_start` or `partial_fit` over all calls, like the
        curves, but epochs of `fit` are those of the last call.
    loss_, best_loss_ : float
        The last and the least of `loss_curve_`; the latter is None with `early_stopping`, which judges by other samples.
    n_layers_, n_outputs_ : int
    mean_, scale_ : arrays (features,)
        Of the columns.
    middle_, unit_ : arrays (outputs,)
        Of the targets: predictions are outputs * `unit_` + `middle_`.
    """

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None, callbacks: Any = None) -> Any:
        """Train.

        Parameters
        ----------
        X : array (samples, features)
        y : array (samples,) or (samples, outputs)
        sample_weight : array (samples,), optional
        validation_data : (X, y) or (X, y, sample_weight), optional
        callbacks : Callback or list of Callbacks, optional
            Of :mod:`microweights.callbacks`; their `model` is the network, whose targets are brought to one scale.
        """
        self._check()
        x, y, weights = checked_rows(self, X, y, sample_weight, True, multi_output=True, y_numeric=True)
        checked_targets(y, x.dtype)
        validation = self._validation(validation_data, multi_output=True)
        width = 1 if y.ndim == 1 else y.shape[1]
        if validation is not None and np.size(validation[1]) != len(validation[0]) * width:
            received = f"shape {validation[1].shape}"
            raise ValueError(explain(f"{width} targets a sample in `validation_data`", received, "Give as many as in y."))
        go_on = self._goes_on(x, width)
        self._is_flat = y.ndim == 1
        return self._train(x, y, weights, weights, validation, None, False, go_on, callbacks)

    @all_or_nothing
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch more, on these samples."""
        self._check()
        refuse_early_stopping(self)
        if self.solver == "lbfgs":
            raise ValueError(explain("a solver by batches for partial_fit", "'lbfgs'", "Use solver='adam'."))
        first = not hasattr(self, "coefs_")
        x, y, weights = checked_rows(self, X, y, sample_weight, first, multi_output=True, y_numeric=True)
        checked_targets(y, x.dtype)
        if not first and y.size != len(y) * self.n_outputs_:
            raise ValueError(explain(f"{self.n_outputs_} targets a sample", f"shape {y.shape}", "Give as many as before."))
        self._check_settings()
        self._is_flat = y.ndim == 1
        return self._train(x, y, weights, weights, None, None, True, True)

    @quiet
    def predict(self, X: Any) -> Array:
        """(samples,) or (samples, outputs)"""
        a = self._outputs(X)
        z: Array = a * self.unit_.astype(a.dtype) + self.middle_.astype(a.dtype)
        return z[:, 0] if self._is_flat else z

    _factor = 1.0

    def _loss(self) -> Loss:
        return MeanSquaredError()

    def _score_of(self, z: Array, targets: Array, weights: Array | None) -> float:
        return float(r2_score(targets, z, sample_weight=weights)) if len(z) > 1 else np.nan

    def _unit(self) -> float:
        return float((self.unit_**2).mean() / 2)

    def _set_units(self, y: Array, weights: Array | None) -> None:
        targets = np.asarray(y, np.float64).reshape(len(y), -1)
        self.middle_, variance = moments(targets, weights)
        self.unit_ = np.where(variance > 0, np.sqrt(variance), 1.0)

    def _targets(self, y: Array, dtype: Any) -> Array:
        return ((np.asarray(y, np.float64).reshape(len(y), -1) - self.middle_) / self.unit_).astype(dtype)
