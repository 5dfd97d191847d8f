"""The constants: class shares, and the number that a regression metric likes best. Both go with any trend."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier


class Shares(DummyClassifier):
    """scikit-learn's DummyClassifier, which answers with the class shares."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None, monotone: Any = None) -> Self:
        """Learn the shares of the labels `y` (n,), weighted by `sample_weight` (n,)."""
        super().fit(X, y, sample_weight)
        return self


class Constant(RegressorMixin, BaseEstimator):
    """Predicts one number, the best one for the metric among all constants on the training rows.

    Parameters
    ----------
    metric : the metric's name. Absolute errors get the median, percentage errors the median weighted by 1/\\|y\\|,
        ``pinball@0.9`` that quantile, logarithmic errors the mean on the log1p scale, all others the mean.

    Attributes
    ----------
    value_ : the constant.
    """

    def __init__(self, metric: str = "rmse") -> None:
        self.metric = metric

    def fit(self, X: Any, y: Any, sample_weight: Any = None, monotone: Any = None) -> Self:
        """Learn the constant from the targets `y` (n,), weighted by `sample_weight` (n,).

        Raises
        ------
        ValueError : a logarithmic error is asked for, and a target is -1 or less.
        """
        y = np.asarray(y, dtype=np.float64)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        self.value_ = float(_best(self.metric, y, weight))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The constant for each row: float64 (n,)."""
        return np.full(len(X), self.value_)


def _best(metric: str, y: np.ndarray, weight: np.ndarray) -> float:
    name, _, level = metric.partition("@")
    if "rmsle" in name or "squared_log" in name:
        if y.min() <= -1:
            raise ValueError(f"metric {metric} needs targets above -1; the smallest is {y.min():g}")
        return float(np.expm1(np.average(np.log1p(y), weights=weight)))
    if "pinball" in name:
        return _quantile(y, float(level or 0.5), weight)
    if "mape" in name or "percentage" in name:
        # A target of 0 makes its own relative error infinite: it alone decides.
        return _quantile(y, 0.5, weight / np.maximum(np.abs(y), np.finfo(np.float64).eps))
    if "mae" in name or "absolute" in name:
        return _quantile(y, 0.5, weight)
    return float(np.average(y, weights=weight))


def _quantile(y: np.ndarray, level: float, weight: np.ndarray) -> float:
    return float(np.quantile(y, level, weights=weight, method="inverted_cdf"))
