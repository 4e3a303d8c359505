"""What the perceptrons share: parameters, the network they make, and its training."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import activations, initializers, layers, optimizers, random
from ..callbacks import Callback, EarlyStopping, History, LearningRateScheduler, as_list
from ..data.batches import Batches
from ..data.samples import Batch
from ..errors import explain
from ..estimators.checks import (
    FLOATS,
    LARGEST,
    PART,
    check_choice,
    check_counts,
    check_flags,
    check_numbers,
    check_patience,
    check_weights,
    hold_out,
)
from ..estimators.columns import column_scale, moments
from ..kernels import door
from ..losses import Loss
from ..models.sequential import Sequential
from ..regularizers import L2
from ..schedules import Schedule
from ..state import no_grad
from ..tensor import Array, Tensor

OPTIMIZERS: dict[str, Callable[[Any], optimizers.Optimizer]] = {
    "adam": lambda p: optimizers.Adam(p.learning_rate_init, p.beta_1, p.beta_2, p.epsilon),
    "sgd": lambda p: optimizers.SGD(p.learning_rate_init, p.momentum, p.nesterovs_momentum and p.momentum > 0),
    "rmsprop": lambda p: optimizers.RMSprop(p.learning_rate_init),
    "adagrad": lambda p: optimizers.Adagrad(p.learning_rate_init),
    "lbfgs": lambda p: optimizers.SGD(0.0),  # takes no step: optimizers.lbfgs moves the weights
}
LOWEST_RATE = 1e-6
ALSO_CALLED = {"identity": "linear", "logistic": "sigmoid"}  # by scikit-learn


class Standardised(layers.Layer):
    """(x - mean) / scale, batch by batch: no copy of all the data is made."""

    def __init__(self, mean: Array, inverse: Array, dtype: Any) -> None:
        super().__init__(dtype=np.dtype(dtype).name)
        self.mean, self.inverse = Tensor(mean.astype(dtype)), Tensor(inverse.astype(dtype))

    def call(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.inverse


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
    _inverse: Array  # of scale_, and 0 for columns that do not change in all the data
    _network: Sequential
    _made_with: tuple[Any, ...]
    _factor = 0.5  # of the penalty alpha Σ w² / 2 beside a mean of losses; squares that are not halved take 1

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
        network.compile(OPTIMIZERS[self.solver](self), self._loss())
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
        go_on = go_on and hasattr(self, "_network")
        if not go_on:
            self._begin(x, y, weights, total, is_part, generator)
        with self._put_back_if_it_fails() if go_on else nullcontext():
            targets, weights = self._targets(y, x.dtype), None if weights is None else weights * (len(x) / total)
            epochs, later, scores = 1, list[float](), list[float]()
            if self.solver == "lbfgs":
                if as_list(callbacks):
                    raise ValueError(explain("a solver by batches for callbacks", "'lbfgs'", "Use solver='adam'."))
                loss, epochs = self._minimise(x, targets, weights)
                losses = [loss]
            elif is_part:
                losses = [self._pass(x, targets, weights)]
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

    def _begin(self, x: Array, y: Array, weights: Array | None, total: float, is_part: bool, generator: Any) -> None:
        """Make the network, and the scale of columns and targets that it keeps."""
        self.mean_, variance = moments(x, weights)
        self.scale_, inverse = column_scale(self.mean_, variance, len(x))
        self._inverse = 1 / self.scale_ if is_part else inverse  # a column may change in parts to come
        self._set_units(y, weights)
        more_will_come = is_part and self.batch_size is not None
        share = self._size(sys.maxsize if more_will_come else len(x)) * total / len(x)  # what a batch has of all weight
        targets = self._targets(y[:1], x.dtype)
        outputs = len(self.classes_) if targets.ndim == 1 else targets.shape[1]
        self._layers = self._hidden()
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

        curves = [np.multiply(history.history.get(name, []), self._unit()).tolist() for name in ("loss", "val_loss")]
        return curves[0], curves[1], stop.scores

    def _pass(self, x: Array, y: Array, weights: Array | None) -> float:
        """The mean loss of one pass. Batches are inputs of its steps: what was captured for one part does for all."""
        n, size, total = len(x), self._size(len(x)), 0.0
        if self._varies() and self.learning_rate == "invscaling":
            self._network.optimizer.learning_rate = self._scaled_rate(self.t_)
        state = self._network.order_state
        for rows in Batches(n, size, (lambda n: random.permutation(n, state)) if self.shuffle else None).epoch():
            part = None if weights is None else weights[rows]
            total += self._network.train_on_batch(x[rows], y[rows], part, return_dict=True)["loss"] * len(y[rows])
        return total / n * self._unit()

    def _minimise(self, x: Array, y: Array, weights: Array | None) -> tuple[float, int]:
        """L-BFGS over all samples: the loss it came to, and its steps."""
        network = self._network
        batch = Batch(Tensor(x), Tensor(y), None if weights is None else Tensor(weights.astype(x.dtype)))

        def loss() -> Tensor:
            return network._loss_of(batch, network(batch.x))

        found = optimizers.lbfgs(loss, network.trainable_variables, int(self.max_iter), self.tol)
        if found.steps >= self.max_iter and not found.converged:
            text = f"{type(self).__name__} stopped after max_iter={self.max_iter} steps while the loss still fell."
            warnings.warn(f"{text} Raise max_iter or tol.", ConvergenceWarning, stacklevel=5)
        return found.loss * self._unit(), found.steps

    @contextmanager
    def _put_back_if_it_fails(self) -> Iterator[None]:
        """A network that goes on learning is as it was, with its optimizer, if something raises within."""
        network, optimizer = self._network, self._network.optimizer
        assert network.order_state is not None
        arrays = [network.order_state, *(w.data for w in network.weights)]
        arrays += [slot for kept in optimizer._state.values() for slot in kept.slots]
        before, updates = [a.copy() for a in arrays], optimizer.iterations
        try:
            yield
        except BaseException:
            for a, old in zip(arrays, before, strict=True):
                a[...] = old
            optimizer.hyper.step = updates
            raise

    def _set_units(self, y: Array, weights: Array | None) -> None:
        """Learn what the targets are measured in, if that matters."""

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
