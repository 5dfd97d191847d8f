"""Nearest neighbours: a few rows by one thread, and probabilities that are never quite zero."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

_FEW = 256  # rows


class _Neighbors:
    """A few rows are looked up by one thread: to wait for a second one takes a hundred times as long."""

    n_jobs: int | None

    def kneighbors(self, X: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As scikit-learn's."""
        one: Any = self
        if X is not None and len(X) < _FEW and self.n_jobs != 1:
            one = copy.copy(self)
            one.n_jobs = 1
        return super(_Neighbors, one).kneighbors(X, *args, **kwargs)  # type: ignore[misc]


class NeighborsRegressor(_Neighbors, KNeighborsRegressor):
    """scikit-learn's."""


class NeighborsClassifier(_Neighbors, KNeighborsClassifier):
    """scikit-learn's, with the classes' shares among all rows counted as one more neighbour (Laplace's rule)."""

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from X (n, p) and labels y (n,)."""
        super().fit(X, y)
        self.prior_ = np.unique(y, return_counts=True)[1] / len(y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities: float64 (n, classes)."""
        near = super().predict_proba(X)
        smoothed: np.ndarray = (near * self.n_neighbors + self.prior_) / (self.n_neighbors + 1)
        return smoothed
