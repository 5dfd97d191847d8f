"""What our own linear regressors share: coefficients, and an answer made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data


class Linear(RegressorMixin, BaseEstimator):
    """A regressor that is nothing but numbers once fitted, so that it is stored without trusting any type.

    Attributes
    ----------
    coef_ : float64 (p,).
    intercept_ : float.
    """

    coef_: np.ndarray
    intercept_: float

    def predict(self, X: Any) -> np.ndarray:
        """The linear prediction: float64 (n,)."""
        check_is_fitted(self, "coef_")
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        answer: np.ndarray = X @ self.coef_ + self.intercept_
        return answer

    def _rows(self, X: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True)
        return X, np.asarray(y, dtype=np.float64), _check_sample_weight(sample_weight, X, dtype=np.float64)


def centre_and_scale(y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """The weighted mean and standard deviation; 1 in place of a standard deviation of 0."""
    centre = float(np.average(y, weights=weight))
    scale = float(np.sqrt(np.average((y - centre) ** 2, weights=weight)))
    return centre, scale or 1.0
