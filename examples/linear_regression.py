"""Linear regression: split, fit, and read the weights. What scikit-learn's users write, with the import changed."""

from __future__ import annotations

from sklearn.model_selection import train_test_split

import microweights as mw
from microweights.linear_model import LinearRegression


def main() -> float:
    """R² on houses that the model has not seen."""
    houses = mw.datasets.load_houses()
    X_train, X_test, y_train, y_test = train_test_split(houses.data, houses.target, test_size=0.2, random_state=42)
    model = LinearRegression()
    model.fit(X_train, y_train)
    for name, weight in list(zip(houses.feature_names, model.coef_, strict=True))[:6]:
        print(f"{name:12s} {weight:12,.2f} dollars for one more")
    score = float(model.score(X_test, y_test))
    print(f"R² on unseen houses: {score:.3f}")
    return score


if __name__ == "__main__":
    main()
