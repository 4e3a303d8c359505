"""What the linear models and the perceptrons share; nothing in it is public."""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    from ..errors import explain

    raise ImportError(explain("scikit-learn, on which the estimators build", str(error), "pip install scikit-learn")) from None
