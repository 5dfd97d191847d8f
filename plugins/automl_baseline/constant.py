"""The constants: class shares, and the number that a regression metric likes best. Both go with any trend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

_FILE = "constant.json"


class _Kept(BaseEstimator):
    """What was learned is a few numbers, in JSON: the first predictor of a run need not wait for a library."""

    def save(self, folder: Path) -> None:
        """Write the parameters and what was learned into `folder`."""
        learned = {name: value for name, value in vars(self).items() if name.endswith("_")}
        arrays = {name: value.tolist() for name, value in learned.items() if isinstance(value, np.ndarray)}
        text = json.dumps({"params": self.get_params(), "learned": learned | arrays, "arrays": list(arrays)})
        (folder / _FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The estimator that `save` wrote."""
        said = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        self = cls(**said["params"])
        for name, value in said["learned"].items():
            setattr(self, name, np.array(value) if name in said["arrays"] else value)
        return self


class Shares(ClassifierMixin, _Kept):
    """Answers with the shares of the classes in the training rows.

    Attributes
    ----------
    classes_, shares_ : the labels, and the share of each.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, monotone: Any = None) -> Self:
        """Learn the shares of the labels `y` (n,), weighted by `sample_weight` (n,)."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        counts = np.bincount(codes, sample_weight)
        self.shares_ = counts / counts.sum()
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The shares for each row: float64 (n, classes)."""
        return np.tile(self.shares_, (len(X), 1))

    def predict(self, X: Any) -> np.ndarray:
        """The most frequent label for each row: (n,)."""
        return np.full(len(X), self.classes_[self.shares_.argmax()])


class Constant(RegressorMixin, _Kept):
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
