"""Linear models with scikit-learn's conventions, which it needs (`pip install microweights[sklearn]`)."""

from .. import estimators as _shared  # noqa: F401  says what is missing
from .estimators import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from .sgd import SGDClassifier, SGDRegressor

__all__ = ["ElasticNet", "Lasso", "LinearRegression", "LogisticRegression", "Ridge", "SGDClassifier", "SGDRegressor"]


def __dir__() -> list[str]:
    return __all__
