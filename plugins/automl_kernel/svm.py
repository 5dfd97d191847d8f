"""Support vector machines (Cortes and Vapnik 1995) with a radial kernel, and probabilities made of their scores."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.svm import SVC, SVR
from sklearn.utils.validation import check_is_fitted, validate_data

_CACHE = 500  # MB of kernel rows
_CALIBRATED = 500_000  # scores that a curve is fitted on
_AT_ONCE = 2**22  # values of the kernel that are held at a time
_STATE, _ARRAYS = "svm.json", "svm.npz"


@dataclass(frozen=True)
class Machines:
    """Fitted machines that share their support vectors: what libsvm found, and its sums as products of matrices.

    Attributes
    ----------
    vectors : float32 (s, p); gamma : of the kernel exp(-gamma |x - v|^2).
    weights : float64 (s, m), of each vector in each of m machines; offsets : (m,).
    """

    vectors: np.ndarray
    gamma: float
    weights: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, model: SVC | SVR, gamma: float) -> Self:
        """The machines of a fitted model: one, or of more than two classes that of each pair (0, 1), (0, 2), ..."""
        weights, offsets = model.dual_coef_, model.intercept_
        if len(offsets) > 1:
            ends = np.cumsum(model.n_support_)
            own = [slice(end - n, end) for end, n in zip(ends, model.n_support_, strict=True)]
            weights = np.zeros((len(offsets), weights.shape[1]))
            for pair, (i, j) in enumerate(zip(*np.triu_indices(len(own), 1), strict=True)):
                weights[pair, own[i]] = model.dual_coef_[j - 1, own[i]]
                weights[pair, own[j]] = model.dual_coef_[i, own[j]]
        vectors = model.support_vectors_.astype(np.float32)
        return cls(vectors, gamma, np.ascontiguousarray(weights.T, np.float64), np.asarray(offsets, np.float64))

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """What each machine says of float32 (n, p): float64 (n, m)."""
        lengths = np.einsum("ij,ij->i", self.vectors, self.vectors)
        said = np.empty((len(X), len(self.offsets)))
        rows = max(1, _AT_ONCE // max(1, len(self.vectors)))
        for start in range(0, len(X), rows):
            part = X[start : start + rows]
            apart = part @ self.vectors.T
            apart *= -2
            apart += lengths
            apart += np.einsum("ij,ij->i", part, part)[:, None]
            np.maximum(apart, 0, out=apart)
            apart *= -self.gamma
            said[start : start + rows] = np.exp(apart, out=apart) @ self.weights
        return said + self.offsets


class _SVM(BaseEstimator):
    """What classifier and regressor share."""

    def _gamma(self, X: np.ndarray) -> float:
        spread = float(X.var()) or 1.0
        scaled: float = self.gamma / (X.shape[1] * spread)
        return scaled

    def _said(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "machines_")
        plain = type(X) is np.ndarray and X.dtype == np.float32 and X.ndim == 2 and len(X)
        if not (plain and X.shape[1] == self.n_features_in_ and np.isfinite(X).all()):
            X = validate_data(self, X, dtype=np.float32, reset=False)
        return self.machines_(X)

    def save(self, folder: Path) -> None:
        """Write the machines as arrays, and the rest as JSON, into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        held = self.machines_
        arrays = {"vectors": held.vectors, "weights": held.weights, "offsets": held.offsets, **self._arrays()}
        np.savez(folder / _ARRAYS, **arrays)
        said = {"params": self.get_params(), "features": self.n_features_in_, "gamma": held.gamma, **self._numbers()}
        (folder / _STATE).write_text(json.dumps(said), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The machines that `save` wrote; they predict the same bits."""
        said = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        self = cls(**said.pop("params"))
        self.n_features_in_ = said.pop("features")
        with np.load(folder / _ARRAYS, allow_pickle=False) as file:
            arrays = dict(file)
        vectors, weights, offsets = (arrays.pop(name) for name in ("vectors", "weights", "offsets"))
        self.machines_ = Machines(vectors, said.pop("gamma"), weights, offsets)
        for name, value in {**said, **arrays}.items():
            setattr(self, f"{name}_", value)
        return self

    def _arrays(self) -> dict[str, np.ndarray]:
        return {}

    def _numbers(self) -> dict[str, float]:
        raise NotImplementedError


class SVMClassifier(ClassifierMixin, _SVM):
    """Class probabilities from the machine of each pair of classes, by a logistic curve that held-out rows say.

    The curve has a sharpness, and for two classes a shift (Platt 1999). Of more classes each is as likely as the
    product of what its pairs say of it, the start of pairwise coupling (Hastie and Tibshirani 1998).

    Parameters
    ----------
    C : the weight of the rows against the margin's.
    gamma : of the kernel, as a multiple of 1 / (columns x variance).
    epsilon : of no use here; one space serves both kinds of task.
    sharpness, shift : of the curve where there are no held-out rows; None for 2 and 0.
    """

    def __init__(
        self,
        C: float = 10.0,
        gamma: float = 1.0,
        epsilon: float = 0.1,
        sharpness: float | None = None,
        shift: float | None = None,
        random_state: int | None = None,
    ) -> None:
        self.C = C
        self.gamma = gamma
        self.epsilon = epsilon
        self.sharpness = sharpness
        self.shift = shift
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: tuple[Any, Any] | None = None) -> Self:
        """Learn from X (n, p) and labels y (n,); `validation` are the rows that the probabilities are fitted on."""
        X, y = validate_data(self, X, y, dtype=np.float32)
        gamma = self._gamma(X)
        model = SVC(C=self.C, gamma=gamma, cache_size=_CACHE, random_state=self.random_state)
        model.fit(X, y, sample_weight)
        self.classes_ = model.classes_
        self.machines_ = Machines.of(model, gamma)
        self.sharpness_ = 2.0 if self.sharpness is None else self.sharpness
        self.shift_ = 0.0 if self.shift is None else self.shift
        if validation is not None:
            known = np.isin(validation[1], self.classes_)
            if known.any():
                codes = np.searchsorted(self.classes_, np.asarray(validation[1])[known])
                self._calibrate(self._scores(np.asarray(validation[0], np.float32)[known]), codes)
        return self

    def refit_params(self) -> dict[str, Any]:
        """What a fit without validation rows is to be told: the curve that they said."""
        return {"sharpness": self.sharpness_, "shift": self.shift_}

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities: float64 (n, classes)."""
        return self._coupled(self._scores(X), self.sharpness_, self.shift_)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label: (n,)."""
        labels: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels

    def _scores(self, X: Any) -> np.ndarray:
        """(n, pairs) of the pairs (0, 1), (0, 2), ..., (1, 2), ...: above zero for the first of a pair."""
        said = self._said(X)
        return -said if len(self.classes_) == 2 else said

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"classes": self.classes_}

    def _numbers(self) -> dict[str, float]:
        return {"sharpness": self.sharpness_, "shift": self.shift_}

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
        gamma = self._gamma(X)
        model = SVR(C=self.C, gamma=gamma, epsilon=self.epsilon, cache_size=_CACHE)
        self.machines_ = Machines.of(model.fit(X, (y - self.centre_) / self.scale_, sample_weight), gamma)
        return self

    def refit_params(self) -> dict[str, Any]:
        """What a fit without validation rows is to be told: nothing, for they are of no use here."""
        return {}

    def predict(self, X: Any) -> np.ndarray:
        """Predicted values: float64 (n,)."""
        return np.clip(self._said(X)[:, 0] * self.scale_ + self.centre_, self.low_, self.high_)

    def _numbers(self) -> dict[str, float]:
        return {"centre": self.centre_, "scale": self.scale_, "low": self.low_, "high": self.high_}
