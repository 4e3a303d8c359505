"""Linear models with scikit-learn's conventions, which it needs (`pip install microweights[sklearn]`)."""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    from ..errors import explain

    raise ImportError(
        explain("scikit-learn, on which the linear models build", str(error), "pip install scikit-learn")
    ) from None

from .estimators import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from .sgd import SGDClassifier, SGDRegressor

__all__ = ["ElasticNet", "Lasso", "LinearRegression", "LogisticRegression", "Ridge", "SGDClassifier", "SGDRegressor"]


def __dir__() -> list[str]:
    return __all__
