"""Generalised linear regression of targets that are never negative: counts, amounts, durations."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.linear_model import TweedieRegressor

from automl_linear.linear import Linear


class GLM(Linear):
    """Tweedie regression with a log link (Jørgensen 1987), by scikit-learn, on a target divided by its mean.

    A prediction is never above ten times the largest target seen: the log link would make an outlier's infinite.

    Parameters
    ----------
    power : the variance grows as mean**power: 1 is Poisson, 1 to 2 a mix of zeros and amounts, 2 gamma.
    alpha : weight of the L2 penalty.
    max_iter, tol : of the solver, lbfgs.
    """

    def __init__(self, power: float = 1.0, alpha: float = 1e-3, max_iter: int = 300, tol: float = 1e-4) -> None:
        self.power = power
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (n, p) and y (n,), weighted by `sample_weight` (n,).

        Raises
        ------
        ValueError : a target is negative, or 0 where `power` is 2 or more, or all are 0.
        """
        X, y, weight = self._rows(X, y, sample_weight)
        if negative := int((y < 0).sum()):
            raise ValueError(f"glm is for targets that are never negative, but {negative} of {len(y)} are")
        if self.power >= 2 and (zeros := int((y == 0).sum())):
            raise ValueError(
                f"glm with power={self.power:g} needs targets above 0; {zeros} of {len(y)} are 0: say power < 2"
            )
        mean = float(np.average(y, weights=weight))
        if mean == 0:
            raise ValueError("glm has nothing to learn from targets that are all 0")
        model = TweedieRegressor(link="log", **self.get_params()).fit(X, y / mean, sample_weight=weight)
        self.coef_ = model.coef_.astype(float)
        self.intercept_ = float(model.intercept_) + float(np.log(mean))
        self.ceiling_ = 10.0 * float(y.max())
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The expected target: float64 (n,), above 0 and at most `ceiling_`."""
        return np.exp(np.minimum(super().predict(X), np.log(self.ceiling_)))
