"""Multi-layer perceptrons with scikit-learn's conventions, and what its own lack: an activation for each layer, dropout,
weights of classes, validation data of one's own, both curves of the loss, training in float32.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np

from .. import activations, initializers, layers, optimizers, random
from ..callbacks import Callback, EarlyStopping, History, LearningRateScheduler, as_list
from ..errors import explain
from ..estimators.checks import (
    FLOATS,
    LARGEST,
    PART,
    all_or_nothing,
    check_choice,
    check_counts,
    check_flags,
    check_labels,
    check_numbers,
    check_patience,
    check_weights,
    checked_rows,
    checked_targets,
    first_classes,
    hold_out,
    quiet,
    refuse_balanced,
    refuse_early_stopping,
    with_class_weights,
)
from ..estimators.columns import column_scale, moments, together
from ..kernels import door
from ..linear_model.solvers import LOWEST_RATE
from ..losses import BinaryCrossentropy, Loss, MeanSquaredError, SparseCategoricalCrossentropy
from ..metrics import MeanMetric, Metric
from ..models.sequential import Sequential
from ..regularizers import L2
from ..schedules import Schedule
from ..state import no_grad
from ..tensor import Array, Tensor

# after the linear models, which say it if scikit-learn is not there
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin  # isort: skip
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning  # isort: skip
from sklearn.metrics import accuracy_score, r2_score  # isort: skip
from sklearn.utils import check_random_state  # isort: skip
from sklearn.utils.multiclass import check_classification_targets, type_of_target  # isort: skip
from sklearn.utils.validation import check_is_fitted, validate_data  # isort: skip

OPTIMIZERS: dict[str, Callable[[Any], optimizers.Optimizer]] = {
    "adam": lambda p: optimizers.Adam(p.learning_rate_init, p.beta_1, p.beta_2, p.epsilon),
    "sgd": lambda p: optimizers.SGD(p.learning_rate_init, p.momentum, p.nesterovs_momentum and p.momentum > 0),
    "rmsprop": lambda p: optimizers.RMSprop(p.learning_rate_init),
    "adagrad": lambda p: optimizers.Adagrad(p.learning_rate_init),
    "lbfgs": lambda p: optimizers.SGD(0.0),  # takes no step: optimizers.lbfgs moves the weights
}
MOST_WIDENED = 4.0  # since the start; beyond, weights say nothing: they were learned where their column hardly changed
ALSO_CALLED = {"identity": "linear", "logistic": "sigmoid"}  # by scikit-learn


class Standardised(layers.Layer):
    """(x - mean) / scale, batch by batch: no copy of all the data is made."""

    def __init__(self, mean: Array, inverse: Array, dtype: Any) -> None:
        super().__init__(dtype=np.dtype(dtype).name)
        self.mean, self.inverse = Tensor(mean.astype(dtype)), Tensor(inverse.astype(dtype))

    def move(self, mean: Array, inverse: Array) -> None:
        """Take another mean and scale, in the same memory."""
        with no_grad():
            self.mean.assign(Tensor(mean.astype(self.mean.dtype)))
            self.inverse.assign(Tensor(inverse.astype(self.mean.dtype)))

    def call(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.inverse


class LabelCrossentropy(BinaryCrossentropy):
    """Summed over the labels of a sample, as scikit-learn does."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.elements(y_true, y_pred).sum(-1)


class Excess(MeanMetric):
    """What half the mean of the squares, in the units of several targets, has more than that of their mean unit."""

    def __init__(self, outputs: int, dtype: Any) -> None:
        super().__init__("excess")
        self.excess = Tensor(np.zeros(outputs, dtype))

    def move(self, unit: Array) -> None:
        """Take other units, in the same memory."""
        squares = unit**2 / 2
        with no_grad():
            self.excess.assign(Tensor((squares - squares.mean()).astype(self.excess.dtype)))

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (y_pred - y_true).square() * self.excess


class Plateau(EarlyStopping):
    """Stops as scikit-learn does: an epoch that is not better than the best so far by `min_delta` is one too many, even if it
    is a little better; after more than `patience` of these in a row it is enough. An adaptive rate is then divided by 5, and
    only the lowest one stops."""

    def __init__(self, monitor: str, min_delta: float, patience: Any, adapts: bool, score: Callable[[], float] | None) -> None:
        super().__init__(monitor, min_delta, patience, restore_best_weights=score is not None)
        self.adapts, self.score, self.scores = adapts, score, list[float]()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.score:
            self.scores.append(self.score())
        value = self.value(logs)
        if value is None:
            return
        self.waited = 0 if self.is_better(value, self.best) else self.waited + 1
        if self.best is None or value < self.best:
            self.best, self.best_epoch = value, epoch
            self.best_weights = self.model.get_weights() if self.restore_best_weights else None
        if self.waited > self.patience and self.adapts and self.model.optimizer.learning_rate > LOWEST_RATE:
            self.model.optimizer.learning_rate /= 5
            self.waited = 0
        elif self.waited > self.patience:
            self.stopped_epoch, self.model.stop_training = epoch, True


class BaseMLP(BaseEstimator):  # type: ignore[misc]
    """What regressor and classifier share: columns are brought to one scale, and a network is trained on them."""

    hidden_layer_sizes: Any
    activation: Any
    solver: str
    alpha: float
    dropout: Any
    batch_size: Any
    learning_rate: str
    learning_rate_init: Any
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    coefs_: list[Array]
    intercepts_: list[Array]
    loss_curve_: list[float]
    validation_loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    best_loss_: float | None
    t_: int
    mean_: Array
    scale_: Array
    unit_: Array
    _inverse: Array  # of scale_, and 0 for columns that do not change
    _seen: tuple[float, Array, Array]  # weight, mean and variance of the columns so far
    _targets_seen: tuple[float, Array, Array]
    _row_count: int  # so far
    _network: Sequential
    _made_with: tuple[Any, ...]
    _widened: Array  # how much wider columns have become than they were when weights were drawn
    _factor = 0.5  # of the penalty alpha Σ w² / 2 beside a mean of losses; squares that are not halved take 1

    # ---- what a kind of target needs ---------------------------------------------------------------------------

    def _loss(self) -> Loss:
        raise NotImplementedError

    def _targets(self, y: Array, dtype: Any) -> Array:
        """Targets as the loss wants them."""
        raise NotImplementedError

    def _score_of(self, z: Array, targets: Array, weights: Array | None) -> float:
        """What `score` says of these outputs, for targets as the loss wants them."""
        raise NotImplementedError

    def _unit(self) -> float:
        """By what to multiply losses, for the units of the targets."""
        return 1.0

    def _metrics(self, outputs: int, dtype: Any) -> list[Metric]:
        return []

    # ---- parameters --------------------------------------------------------------------------------------------

    def _check(self) -> None:
        check_flags(self)
        check_counts(self, "max_iter")
        check_patience(self)
        most = LARGEST
        check_numbers(self, alpha=(0, most), power_t=(0, 10), tol=(0, most), momentum=(0, 1), beta_1=(0, 1),
                      beta_2=(0, 1), epsilon=(0, most), validation_fraction=PART)  # fmt: skip
        check_choice(self, "solver", tuple(OPTIMIZERS))
        check_choice(self, "learning_rate", ("constant", "invscaling", "adaptive"))
        if not isinstance(self.learning_rate_init, Schedule):
            check_numbers(self, learning_rate_init=(0, most))
        elif self._varies():
            received = f"a schedule, and learning_rate={self.learning_rate!r}"
            raise ValueError(explain("one way for the rate to change", received, "Pass learning_rate='constant'."))
        if not isinstance(self.verbose, (bool, np.bool_, Integral)) or self.verbose < 0:
            raise ValueError(explain("`verbose` to be True or False", repr(self.verbose), "Pass a bool."))
        if self.batch_size not in ("auto", None):
            check_counts(self, "batch_size")
        if self.solver == "lbfgs" and any(rate for *_, rate in self._hidden()):
            raise ValueError(explain("a solver by batches for dropout", "'lbfgs'", "Use solver='adam'."))

    def _hidden(self) -> list[tuple[int, Any, Any]]:
        """Units, activation and dropout of each hidden layer."""
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if np.iterable(sizes) and not isinstance(sizes, (str, bytes)) else [sizes]
        if any(isinstance(n, bool) or not isinstance(n, Integral) or n < 1 for n in sizes):
            remedy = "Give the units of each hidden layer."
            raise ValueError(explain("`hidden_layer_sizes` of positive integers", repr(self.hidden_layer_sizes), remedy))
        names = list(self.activation) if isinstance(self.activation, (list, tuple)) else [self.activation] * len(sizes)
        rates = (
            [self.dropout] * len(sizes)
            if isinstance(self.dropout, str) or not np.iterable(self.dropout)
            else list(self.dropout)
        )
        for name, given in (("activation", names), ("dropout", rates)):
            if len(given) != len(sizes):
                raise ValueError(explain(f"`{name}` for {len(sizes)} layers", repr(given), "Give one, or one for each layer."))
        names = [ALSO_CALLED.get(name, name) if isinstance(name, str) else name for name in names]
        for name in names:
            if name is None:
                raise ValueError(explain("activations", None, "Say 'linear' for a layer without one."))
            activations.get(name)
        return [(int(n), name, rate) for n, name, rate in zip(sizes, names, rates, strict=True)]

    def _varies(self) -> bool:
        """Whether the rate follows `learning_rate`, which is for plain gradient descent alone."""
        return self.solver == "sgd" and self.learning_rate != "constant"

    def _scaled_rate(self, samples_before: int) -> float:
        return float(self.learning_rate_init / (1 + samples_before) ** self.power_t)

    def _size(self, n: int) -> int:
        if self.batch_size is None or self.solver == "lbfgs":
            return n
        return min(200 if self.batch_size == "auto" else int(self.batch_size), n)

    # ---- training ----------------------------------------------------------------------------------------------

    def _make_network(self, inputs: int, outputs: int, dtype: Any, l2: float, seeds: Any) -> Sequential:
        name = np.dtype(dtype).name
        rows: list[layers.Layer] = [layers.InputLayer((inputs,), dtype=name), Standardised(self.mean_, self._inverse, dtype)]
        penalty = L2(l2) if l2 else None

        def dense(fan_in: int, units: int, activation: str, bias: bool) -> layers.Dense:
            start = initializers.GlorotUniform(seed=int(seeds.randint(2**31)))
            limit = float(np.sqrt(6 / (fan_in + units)))  # so that units bend at different places, as scikit-learn's do
            biases = initializers.RandomUniform(-limit, limit, int(seeds.randint(2**31))) if bias else "zeros"
            return layers.Dense(units, activation, kernel_initializer=start, bias_initializer=biases,
                                kernel_regularizer=penalty, dtype=name)  # fmt: skip

        for units, activation, rate in self._hidden():
            rows.append(dense(inputs, units, activation, True))
            inputs = units
            if rate:
                rows.append(layers.Dropout(rate, seed=int(seeds.randint(2**31)), dtype=name))
        network = Sequential([*rows, dense(inputs, outputs, "linear", False)])
        network.compile(OPTIMIZERS[self.solver](self), self._loss(), metrics=self._metrics(outputs, dtype))
        return network

    def _train(
        self, x: Array, y: Array, weights: Array | None, of_samples: Array | None, validation: Any, stratify: Array | None,
        is_part: bool, go_on: bool, callbacks: Any = None,
    ) -> Any:  # fmt: skip
        """Fit the network to rows and targets, with `go_on` the one that is there; or to a part of all rows, for one epoch.

        `weights` are those `of_samples` times those of their classes.
        """
        generator = check_random_state(self.random_state)
        if self.early_stopping and validation is None and not is_part and self.solver != "lbfgs":
            (x, y, weights), validation = hold_out(self, x, y, weights, of_samples, stratify, generator)
        total = float(len(x)) if weights is None else float(weights.sum())
        own = (total, *moments(x, weights))
        go_on = go_on and hasattr(self, "_network")
        with self._put_back_if_it_fails(go_on):
            if go_on:
                self._rescale(together(self._seen, own) if is_part else own, len(x), y, weights, is_part)
            else:
                self._begin(x, y, weights, own, is_part, generator)
            for metric in self._network.metrics:
                assert isinstance(metric, Excess)
                metric.move(self.unit_)
            targets, weights = self._targets(y, x.dtype), None if weights is None else weights * (len(x) / total)
            epochs = 1
            if self.solver == "lbfgs":
                if as_list(callbacks):
                    raise ValueError(explain("a solver by batches for callbacks", "'lbfgs'", "Use solver='adam'."))
                (loss, epochs), later, scores = self._minimise(x, targets, weights), list[float](), list[float]()
                losses = [loss]
            elif is_part:
                losses, later, scores = [self._pass(x, targets, weights)], [], []
            else:
                losses, later, scores = self._epochs(x, targets, weights, validation, as_list(callbacks))
                epochs = len(losses)
        self.loss_curve_ = [*self.loss_curve_, *losses]
        self.validation_loss_curve_ = [*self.validation_loss_curve_, *later]
        self.validation_scores_ = [*(self.validation_scores_ or ()), *scores] or None
        self.best_validation_score_ = max(self.validation_scores_, default=None) if self.validation_scores_ else None
        self.loss_, self.best_loss_ = losses[-1], None if self.early_stopping else min(self.loss_curve_)
        self.n_iter_ = len(self.loss_curve_) if is_part else epochs
        self.t_ += epochs * len(x)
        weights_of = self._network.get_weights()
        self.coefs_, self.intercepts_ = weights_of[::2], weights_of[1::2]
        self.n_layers_, self.n_outputs_ = len(self.coefs_) + 1, len(self.intercepts_[-1])
        return self

    def _begin(
        self, x: Array, y: Array, weights: Array | None, own: tuple[float, Array, Array], is_part: bool, generator: Any
    ) -> None:
        """Make the network, for columns and targets of this scale."""
        self._set_units(y, weights, False)
        self._seen, self._row_count = own, len(x)
        self.mean_, (self.scale_, self._inverse) = own[1], column_scale(own[1], own[2], len(x))
        more_will_come = is_part and self.batch_size is not None
        share = self._size(sys.maxsize if more_will_come else len(x)) * own[0] / len(x)  # what a batch has of all weight
        targets = self._targets(y[:1], x.dtype)
        outputs = len(self.classes_) if targets.ndim == 1 else targets.shape[1]
        self._layers, self._widened = self._hidden(), np.ones(x.shape[1])
        self._network = self._make_network(x.shape[1], outputs, x.dtype, self._factor * self.alpha / share, generator)
        self._made_with = self._settings()
        self._network.order_state = random.new_state(int(generator.randint(2**31)))
        self.t_ = 0
        self.loss_curve_, self.validation_loss_curve_, self.validation_scores_ = [], [], None

    def _epochs(
        self, x: Array, y: Array, weights: Array | None, validation: Any, callbacks: list[Callback]
    ) -> tuple[list[float], list[float], list[float]]:
        """Losses, validation losses and validation scores of epochs until the loss no longer falls."""
        given: Any = None
        if validation is not None:
            vx, vy, vw = validation
            given = (vx.astype(x.dtype, copy=False), self._targets(vy, x.dtype))
            given = given if vw is None else (*given, vw * (len(vw) / vw.sum()))
        judges = bool(self.early_stopping and given)

        def score() -> float:
            with no_grad():
                z = self._network(Tensor(given[0])).data
            return self._score_of(z, *(*given[1:], None)[:2])

        adapts = self._varies() and self.learning_rate == "adaptive"
        stop = Plateau("val_loss" if judges else "loss", self.tol, self.n_iter_no_change, adapts, score if judges else None)
        callbacks = [*callbacks, stop]
        if self._varies() and not adapts:
            callbacks.append(LearningRateScheduler(lambda epoch, _: self._scaled_rate(self.t_ + epoch * len(x))))
        history: History = self._network.fit(
            x, y, batch_size=self._size(len(x)), epochs=int(self.max_iter), verbose=1 if self.verbose else 0,
            callbacks=callbacks, validation_data=given, shuffle=bool(self.shuffle), sample_weight=weights)  # fmt: skip
        if not stop.stopped_epoch and len(history.epoch) == self.max_iter:
            text = f"{type(self).__name__} stopped after max_iter={self.max_iter} epochs while the loss still fell."
            warnings.warn(f"{text} Raise max_iter.", ConvergenceWarning, stacklevel=5)

        def curve(prefix: str) -> list[float]:
            values = history.history.get(prefix + "loss", [])
            more = history.history.get(prefix + "excess", [0.0] * len(values))
            return [value * self._unit() + rest for value, rest in zip(values, more, strict=True)]

        return curve(""), curve("val_"), stop.scores

    def _pass(self, x: Array, y: Array, weights: Array | None) -> float:
        """The mean loss of one pass. Batches are inputs of its steps: what was captured for one part does for all."""
        n, size, total = len(x), self._size(len(x)), 0.0
        if self._varies() and self.learning_rate == "invscaling":
            self._network.optimizer.learning_rate = self._scaled_rate(self.t_)
        order = random.permutation(n, self._network.order_state) if self.shuffle and size < n else np.arange(n)
        for begin in range(0, n, size):
            rows = order[begin : begin + size] if size < n else slice(None)
            part = None if weights is None else weights[rows]
            total += self._network.train_on_batch(x[rows], y[rows], part, return_dict=True)["loss"] * len(y[rows])
        return total / n * self._unit() + self._rest(x, y, weights)

    def _rest(self, x: Array, y: Array, weights: Array | None) -> float:
        """What the loss in the units of several targets has more than that of their mean unit."""
        rest = 0.0
        for metric in self._network.metrics:
            metric.reset_state()
            rest += metric(y, self._network(x), weights)
        return rest

    def _minimise(self, x: Array, y: Array, weights: Array | None) -> tuple[float, int]:
        """L-BFGS over all samples: the loss it came to, and its steps."""
        network = self._network
        batch = [Tensor(a) if a is not None else None for a in (x, y, weights if weights is None else weights.astype(x.dtype))]

        def loss() -> Tensor:
            assert batch[0] is not None and network.loss is not None
            value, penalty = network.loss(batch[1], network(batch[0]), batch[2]), network.penalty()
            return value if penalty is None else value + penalty

        found = optimizers.lbfgs(loss, network.trainable_variables, int(self.max_iter), self.tol)
        if found.steps >= self.max_iter and not found.converged:
            text = f"{type(self).__name__} stopped after max_iter={self.max_iter} steps while the loss still fell."
            warnings.warn(f"{text} Raise max_iter or tol.", ConvergenceWarning, stacklevel=5)
        return found.loss * self._unit() + self._rest(x, y, weights), found.steps

    def _rescale(self, seen: Any, rows: int, y: Array, weights: Array | None, is_part: bool) -> None:
        """Bring columns and targets to the scale of other data, and weights with them: the network says what it said."""
        scaling, *others = (layer for layer in self._network.layers if isinstance(layer, (Standardised, layers.Dense)))
        first, last = others[0], others[-1]
        assert isinstance(scaling, Standardised)
        old_mean, old = self.mean_, self._inverse
        times, plus = self._set_units(y, weights, is_part)
        self._seen, self.mean_ = seen, seen[1]
        self._row_count = rows + self._row_count * is_part
        self.scale_, self._inverse = column_scale(seen[1], seen[2], self._row_count)
        scaling.move(self.mean_, self._inverse)
        w, b = (t.data for t in first.weights)
        # Columns z = (x - m) / s become z' = (x - m') / s'. With W' = W s' / s and b' = b + (m' - m) / s W all stays the same.
        wider = np.where((old == 0) | (self._inverse == 0), 1.0, old * self.scale_)  # columns that did not change were not seen
        wider = np.minimum(wider, MOST_WIDENED / self._widened)
        self._widened = self._widened * wider
        self._assign(first, w * wider[:, None], b + ((self.mean_ - old_mean) * (wider * self._inverse)) @ w)
        w, b = (t.data for t in last.weights)
        self._assign(last, w * times, b * times + plus)

    @contextmanager
    def _put_back_if_it_fails(self, goes_on: bool) -> Iterator[None]:
        """A network that goes on learning has its old weights, columns and optimizer again if something raises within."""
        if not goes_on:
            yield
            return
        network, mean, inverse = self._network, self.mean_, self._inverse
        optimizer, updates = network.optimizer, network.optimizer.iterations
        assert network.order_state is not None
        arrays = [network.order_state, *(slot for kept in optimizer._state.values() for slot in kept.slots)]
        before = [a.copy() for a in arrays]
        try:
            yield
        except BaseException:
            network.set_weights([a for pair in zip(self.coefs_, self.intercepts_, strict=True) for a in pair])
            next(layer for layer in network.layers if isinstance(layer, Standardised)).move(mean, inverse)
            for a, old in zip(arrays, before, strict=True):
                a[...] = old
            optimizer.hyper.step = updates
            raise

    @staticmethod
    def _assign(layer: layers.Layer, *values: Array) -> None:
        with no_grad():
            for t, value in zip(layer.weights, values, strict=True):
                t.assign(Tensor(value.astype(t.dtype)))

    def _set_units(self, y: Array, weights: Array | None, is_part: bool) -> tuple[Any, Any]:
        """Learn what the targets are measured in, if that matters; what outputs are to be multiplied with, and what added."""
        return 1.0, 0.0

    def _settings(self) -> tuple[Any, ...]:
        """What a network is made with; it goes on with nothing else."""
        names = ["solver", "alpha", "batch_size", "learning_rate_init", "momentum", "nesterovs_momentum", "beta_1", "beta_2"]
        return (*map(tuple, self._hidden()), *(getattr(self, name) for name in (*names, "epsilon", "learning_rate", "power_t")))

    def _check_settings(self) -> None:
        if hasattr(self, "_network") and self._made_with != self._settings():
            raise ValueError(explain("the parameters of the first call", "others", "Make a new estimator, or call fit."))

    def _goes_on(self, x: Array, outputs: int | None = None) -> bool:
        fits = self.warm_start and hasattr(self, "_network") and self.coefs_[0].shape[0] == x.shape[1]
        return bool(fits and self._made_with == self._settings() and outputs in (None, self.n_outputs_))

    def _validation(self, given: Any, **checks: Any) -> Any:
        """(X, y) or (X, y, weights), checked; weights None if there are none."""
        if given is None:
            return None
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise ValueError(explain("`validation_data` as (X, y) or (X, y, weights)", type(given).__name__, "Pass a tuple."))
        x, y = validate_data(self, given[0], given[1], dtype=FLOATS, reset=False, **checks)
        return x, y, check_weights(given[2] if len(given) == 3 else None, x)

    def _outputs(self, X: Any) -> Array:
        """What the last layer says: (samples, outputs). From the attributes, which hold all that a fitted model is."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=FLOATS, reset=False)
        dtype = self.coefs_[0].dtype
        x = np.require(x.astype(dtype, copy=False), requirements=["ALIGNED"])
        a = Standardised(self.mean_, self._inverse, dtype).call(Tensor(x)).data
        names = [name for _, name, _ in self._layers] + ["linear"]
        for w, b, name in zip(self.coefs_, self.intercepts_, names, strict=True):
            a = door.matmul(a, w, b)
            with no_grad():
                a = activations.get(name)(Tensor(a)).data
        return a

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


class MLPRegressor(RegressorMixin, MultiOutputMixin, BaseMLP):  # type: ignore[misc]
    """A multi-layer perceptron with the least squared error.

    Columns and targets are brought to mean 0 and variance 1 first, so that numbers of any size will do; by `partial_fit`, to
    those of all the data so far.

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

    def __init__(
        self, hidden_layer_sizes: Any = (100,), activation: Any = "relu", *, solver: str = "adam", alpha: float = 1e-4,
        dropout: Any = 0.0, batch_size: Any = "auto", learning_rate: str = "constant", learning_rate_init: Any = 1e-3,
        power_t: float = 0.5, max_iter: int = 200, shuffle: bool = True, random_state: Any = None, tol: float = 1e-4,
        verbose: bool = False, warm_start: bool = False, momentum: float = 0.9, nesterovs_momentum: bool = True,
        early_stopping: bool = False, validation_fraction: float = 0.1, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-8, n_iter_no_change: float = 10,
    ) -> None:  # fmt: skip
        self.hidden_layer_sizes, self.activation, self.solver, self.alpha = hidden_layer_sizes, activation, solver, alpha
        self.dropout, self.batch_size, self.learning_rate = dropout, batch_size, learning_rate
        self.learning_rate_init, self.power_t = learning_rate_init, power_t
        self.max_iter, self.shuffle, self.random_state, self.tol, self.verbose = max_iter, shuffle, random_state, tol, verbose
        self.warm_start, self.momentum, self.nesterovs_momentum = warm_start, momentum, nesterovs_momentum
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

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

    def _metrics(self, outputs: int, dtype: Any) -> list[Metric]:
        return [Excess(outputs, dtype)] if outputs > 1 else []

    def _set_units(self, y: Array, weights: Array | None, is_part: bool) -> tuple[Any, Any]:
        targets = np.asarray(y, np.float64).reshape(len(y), -1)
        own = (float(len(y) if weights is None else weights.sum()), *moments(targets, weights))
        old_middle, old_unit = getattr(self, "middle_", 0.0), getattr(self, "unit_", 1.0)
        had_unit = hasattr(self, "_targets_seen") and self._targets_seen[2] > 0
        self._targets_seen = together(self._targets_seen, own) if is_part else own
        _, self.middle_, variance = self._targets_seen
        self.unit_ = np.where(variance > 0, np.sqrt(variance), 1.0)
        # Targets that were all the same had no unit: what the outputs said beside their mean had none, and takes the new one.
        return np.where(had_unit, old_unit / self.unit_, 1.0), (old_middle - self.middle_) / self.unit_

    def _targets(self, y: Array, dtype: Any) -> Array:
        return ((np.asarray(y, np.float64).reshape(len(y), -1) - self.middle_) / self.unit_).astype(dtype)


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """A multi-layer perceptron with the least cross-entropy.

    Parameters
    ----------
    class_weight : dict, "balanced" or None

    All others, and the attributes, are those of :class:`MLPRegressor`.

    Attributes
    ----------
    classes_ : array (classes,)
        The others are those of :class:`MLPRegressor`, but `middle_` and `unit_`.
    """

    class_weight: Any
    classes_: Array
    _several = False  # whether a sample may have several labels

    def __init__(
        self, hidden_layer_sizes: Any = (100,), activation: Any = "relu", *, solver: str = "adam", alpha: float = 1e-4,
        dropout: Any = 0.0, batch_size: Any = "auto", learning_rate: str = "constant", learning_rate_init: Any = 1e-3,
        power_t: float = 0.5, max_iter: int = 200, shuffle: bool = True, random_state: Any = None, tol: float = 1e-4,
        verbose: bool = False, warm_start: bool = False, momentum: float = 0.9, nesterovs_momentum: bool = True,
        early_stopping: bool = False, validation_fraction: float = 0.1, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-8, n_iter_no_change: float = 10, class_weight: Any = None,
    ) -> None:  # fmt: skip
        self.hidden_layer_sizes, self.activation, self.solver, self.alpha = hidden_layer_sizes, activation, solver, alpha
        self.dropout, self.batch_size, self.learning_rate = dropout, batch_size, learning_rate
        self.learning_rate_init, self.power_t = learning_rate_init, power_t
        self.max_iter, self.shuffle, self.random_state, self.tol, self.verbose = max_iter, shuffle, random_state, tol, verbose
        self.warm_start, self.momentum, self.nesterovs_momentum = warm_start, momentum, nesterovs_momentum
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.beta_1, self.beta_2, self.epsilon, self.class_weight = beta_1, beta_2, epsilon, class_weight

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None, callbacks: Any = None) -> Any:
        """Train.

        Parameters
        ----------
        X : array (samples, features)
        y : array (samples,) of labels of any kind, or (samples, labels) of 0 and 1 for several labels at once
        sample_weight : array (samples,), optional
        validation_data : (X, y) or (X, y, sample_weight), optional
        callbacks : Callback or list of Callbacks, optional
            Of :mod:`microweights.callbacks`; their `model` is the network, whose targets are brought to one scale.
        """
        self._check()
        x, y, of_samples = checked_rows(self, X, y, sample_weight, True, multi_output=True)
        y, several = self._plain(y)
        classes = np.arange(y.shape[1]) if several else np.unique(y)
        go_on = self._goes_on(x) and several == self._several and bool(np.isin(classes, self.classes_).all())
        classes = self.classes_ if go_on else classes
        weights = self._of_classes(y, classes, of_samples)
        validation = self._validation(validation_data, multi_output=True)
        if validation is not None:
            validation = validation[0], self._plain(validation[1])[0], validation[2]
            if not several and not np.isin(validation[1], classes).all():
                remedy = "Let each class be part of X and y."
                raise ValueError(explain(f"labels out of {classes}", "others in validation_data", remedy))
        self.classes_, self._several = classes, several
        return self._train(x, y, weights, of_samples, validation, None if several else y, False, go_on, callbacks)

    @all_or_nothing
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """One epoch more, on these samples; `classes`, all there will ever be, are needed at the first call."""
        self._check()
        refuse_early_stopping(self)
        if self.solver == "lbfgs":
            raise ValueError(explain("a solver by batches for partial_fit", "'lbfgs'", "Use solver='adam'."))
        first = not hasattr(self, "coefs_")
        x, y, weights = checked_rows(self, X, y, sample_weight, first, multi_output=True)
        y, several = self._plain(y)
        refuse_balanced(self.class_weight)
        known = np.arange(y.shape[1]) if several else first_classes(self, classes, first, fewest=1)
        if not several:
            check_labels(y, known)
        weights = self._of_classes(y, known, weights)
        self._check_settings()
        if not first and (several != self._several or len(known) != len(self.classes_)):
            received = f"{len(known)} in columns" if several else "one for each sample"
            raise ValueError(explain("labels as at the first call", received, "Make a new classifier."))
        self.classes_, self._several = known, several
        return self._train(x, y, weights, weights, None, None, True, True)

    @quiet
    def predict_proba(self, X: Any) -> Array:
        """Probabilities (samples, classes), or of each label (samples, labels)."""
        z = self._outputs(X)
        if not self._several and len(self.classes_) != 2:
            return door.rowwise("softmax", z)
        p = door.unary("sigmoid", z)
        return p if self._several else np.concatenate([1 - p, p], axis=1)

    @quiet
    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of :meth:`predict_proba`."""
        z = self._outputs(X)
        if not self._several and len(self.classes_) != 2:
            return door.rowwise("log_softmax", z)
        log_p = -door.unary("softplus", -z)
        return log_p if self._several else np.concatenate([-door.unary("softplus", z), log_p], axis=1)

    @quiet
    def predict(self, X: Any) -> Array:
        """The most probable class, or 0 and 1 for each label (samples, labels)."""
        said = self._said(self._outputs(X))
        return said if self._several else np.asarray(self.classes_[said])

    def _plain(self, y: Array) -> tuple[Array, bool]:
        """Labels (samples,), or 0 and 1 (samples, labels), and whether it is these."""
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multilabel-indicator":
            return y, True
        if y.ndim == 2 and y.shape[1] > 1:
            remedy = "Pass one label for each sample, or 0 and 1 for each of several."
            raise ValueError(explain("labels or indicators of labels", kind, remedy))
        if y.ndim == 2:
            text = "A column-vector y was passed when a 1d array was expected. Pass y.ravel()."
            warnings.warn(text, DataConversionWarning, stacklevel=4)
        return y.reshape(-1), False

    def _of_classes(self, y: Array, classes: Array, weights: Array | None) -> Array | None:
        if y.ndim > 1 and self.class_weight is not None:
            raise ValueError(explain("one label a sample with `class_weight`", "several", "Use sample_weight."))
        return with_class_weights(self.class_weight, classes, y, weights)

    def _score_of(self, z: Array, targets: Array, weights: Array | None) -> float:
        said = self._said(z).reshape(targets.shape)
        return float(accuracy_score(targets.astype(np.int64), said, sample_weight=weights))

    def _said(self, z: Array) -> Array:
        """The numbers of the classes, or 0 and 1 for each label, that these outputs stand for."""
        if self._several:
            return (z > 0).astype(np.int64)
        return (z[:, 0] > 0).astype(np.int64) if len(self.classes_) == 2 else z.argmax(1)

    def _loss(self) -> Loss:
        if self._several:
            return LabelCrossentropy(from_logits=True)
        kind = BinaryCrossentropy if len(self.classes_) <= 2 else SparseCategoricalCrossentropy
        return kind(from_logits=True)

    def _targets(self, y: Array, dtype: Any) -> Array:
        if self._several:
            return np.ascontiguousarray(y, dtype)
        numbers = np.searchsorted(self.classes_, y)
        return numbers[:, None].astype(dtype) if len(self.classes_) <= 2 else numbers.astype(np.int64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
