"""Support vector machines (Cortes and Vapnik 1995) with a radial kernel, and probabilities made of their scores."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.svm import SVC, SVR
from sklearn.utils.validation import check_is_fitted, validate_data

_CACHE = 500  # MB of kernel rows
_CALIBRATED = 500_000  # scores that a curve is fitted on


class _SVM(BaseEstimator):
    def _gamma(self, X: np.ndarray) -> float:
        spread = float(X.var()) or 1.0
        scaled: float = self.gamma / (X.shape[1] * spread)
        return scaled


class SVMClassifier(ClassifierMixin, _SVM):
    """Class probabilities from the machine of each pair of classes, by a logistic curve that held-out rows say.

    The curve has a sharpness, and for two classes a shift (Platt 1999). Of more classes each is as likely as the
    product of what its pairs say of it, the start of pairwise coupling (Hastie and Tibshirani 1998).

    Parameters
    ----------
    C : the weight of the rows against the margin's.
    gamma : of the kernel, as a multiple of 1 / (columns x variance).
    epsilon : of no use here; one space serves both kinds of task.
    """

    def __init__(self, C: float = 10.0, gamma: float = 1.0, epsilon: float = 0.1, random_state: int | None = None):
        self.C = C
        self.gamma = gamma
        self.epsilon = epsilon
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: tuple[Any, Any] | None = None) -> Self:
        """Learn from X (n, p) and labels y (n,); `validation` are the rows that the probabilities are fitted on."""
        X, y = validate_data(self, X, y, dtype=np.float32)
        self.model_ = SVC(C=self.C, gamma=self._gamma(X), cache_size=_CACHE, random_state=self.random_state)
        self.model_.decision_function_shape = "ovo"
        self.model_.fit(X, y, sample_weight)
        self.classes_ = self.model_.classes_
        self.sharpness_, self.shift_ = 2.0, 0.0
        if validation is not None:
            known = np.isin(validation[1], self.classes_)
            if known.any():
                codes = np.searchsorted(self.classes_, np.asarray(validation[1])[known])
                self._calibrate(self._scores(np.asarray(validation[0])[known]), codes)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities: float64 (n, classes)."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return self._coupled(self._scores(X), self.sharpness_, self.shift_)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label: (n,)."""
        labels: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels

    def _scores(self, X: np.ndarray) -> np.ndarray:
        """(n, pairs) of the pairs (0, 1), (0, 2), ..., (1, 2), ...: above zero for the first of a pair."""
        scores = np.asarray(self.model_.decision_function(X), dtype=np.float64)
        return -scores[:, None] if scores.ndim == 1 else scores

    def _coupled(self, scores: np.ndarray, sharpness: float, shift: float) -> np.ndarray:
        """Class probabilities (n, classes)."""
        raw = sharpness * scores - shift
        first, second = -np.logaddexp(0, -raw), -np.logaddexp(0, raw)
        one, other = np.triu_indices(len(self.classes_), 1)
        every = range(len(self.classes_))
        said = np.stack([first[:, one == c].sum(axis=1) + second[:, other == c].sum(axis=1) for c in every], axis=1)
        said -= said.max(axis=1, keepdims=True)
        shares: np.ndarray = np.exp(said)
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def _calibrate(self, scores: np.ndarray, codes: np.ndarray) -> None:
        from scipy.optimize import minimize

        every = -(-scores.size // _CALIBRATED)  # of many scores, those of every so many rows are enough
        scores, codes = scores[::every], codes[::every]

        def loss(at: np.ndarray) -> float:
            shares = self._coupled(scores, float(np.exp(at[0])), float(at[1]) if len(at) > 1 else 0.0)
            # A little doubt keeps a perfect separation from an infinite sharpness.
            return float(-np.log(np.maximum(shares[np.arange(len(codes)), codes], 1e-12)).mean() + 1e-3 * at[0] ** 2)

        start = np.zeros(2 if len(self.classes_) == 2 else 1)
        found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 200})
        self.sharpness_ = float(np.exp(found.x[0]))
        self.shift_ = float(found.x[1]) if len(found.x) > 1 else 0.0


class SVMRegressor(RegressorMixin, _SVM):
    """Values, learned on the target's standard scale, within the range of the training rows.

    Parameters
    ----------
    C, gamma : as in `SVMClassifier`.
    epsilon : errors up to so many standard deviations of the target do not count.
    """

    def __init__(self, C: float = 10.0, gamma: float = 1.0, epsilon: float = 0.05):
        self.C = C
        self.gamma = gamma
        self.epsilon = epsilon

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: tuple[Any, Any] | None = None) -> Self:
        """Learn from X (n, p) and values y (n,); of `validation` no use is made."""
        X, y = validate_data(self, X, y, dtype=np.float32, y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        self.centre_, self.scale_ = float(y.mean()), float(y.std()) or 1.0
        self.low_, self.high_ = float(y.min()), float(y.max())
        self.model_ = SVR(C=self.C, gamma=self._gamma(X), epsilon=self.epsilon, cache_size=_CACHE)
        self.model_.fit(X, (y - self.centre_) / self.scale_, sample_weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predicted values: float64 (n,)."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return np.clip(self.model_.predict(X) * self.scale_ + self.centre_, self.low_, self.high_)
