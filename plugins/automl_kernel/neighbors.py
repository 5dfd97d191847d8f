"""Nearest neighbours whose probabilities are never quite zero."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.neighbors import KNeighborsClassifier


class NeighborsClassifier(KNeighborsClassifier):
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
