"""A perceptron for classes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ..errors import explain
from ..estimators.checks import (
    all_or_nothing,
    check_labels,
    checked_rows,
    first_classes,
    keep_arguments,
    quiet,
    refuse_balanced,
    refuse_early_stopping,
    with_class_weights,
)
from ..kernels import door
from ..losses import BinaryCrossentropy, Loss, SparseCategoricalCrossentropy
from ..tensor import Array, Tensor
from .base import BaseMLP


class LabelCrossentropy(BinaryCrossentropy):
    """Summed over the labels of a sample, as scikit-learn does."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.elements(y_true, y_pred).sum(-1)


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
        keep_arguments(self, locals())

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
