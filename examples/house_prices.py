"""House prices from square footage, on real sales: what the weight of a square foot means.

One number learned from one column is a price per square foot. Learned beside other columns it is something else: what one more
square foot is worth in a house that is otherwise the same.
"""

from __future__ import annotations

import numpy as np

import microweights as mw
from microweights.inspect import permutation_importance, weight_importance
from microweights.linear_model import LinearRegression


def main() -> tuple[float, float]:
    """Dollars per square foot, by itself and beside all other columns."""
    houses = mw.datasets.load_houses()
    x_train, x_test, y_train, y_test = mw.datasets.holdout(houses.data, houses.target)
    x_train, x_test, y_train, y_test = (np.asarray(a, np.float64) for a in (x_train, x_test, y_train, y_test))
    names = list(houses.feature_names)
    area = names.index("TLA")

    alone = LinearRegression().fit(x_train[:, [area]], y_train)
    print(f"price ≈ {alone.coef_[0]:.2f} dollars · square feet + {alone.intercept_:,.0f} dollars")
    print(f"R² on unseen houses: {alone.score(x_test[:, [area]], y_test):.3f}\n")

    together = LinearRegression().fit(x_train, y_train)
    print(f"beside {len(names) - 1} other columns, one more square foot is worth {together.coef_[area]:.2f} dollars")
    print(f"R² on unseen houses: {together.score(x_test, y_test):.3f}\n")

    print("how far each column moves the price (|weight| · deviation, in dollars):")
    print("\n".join(str(weight_importance(together, x_train, names)).splitlines()[:5]))
    print("\nhow much R² is lost without it:")
    print("\n".join(str(permutation_importance(together, x_test, y_test, names=names)).splitlines()[:5]))
    return float(alone.coef_[0]), float(together.coef_[area])


if __name__ == "__main__":
    main()
