"""P-splines (Eilers and Marx 1996, "Flexible smoothing with B-splines and penalties") over scikit-learn's solvers.

A column's curve is a straight line and what bends away from it. The bends are B-splines whose second differences are
penalised: in the basis of these differences that is a ridge penalty, which `Ridge` and `LogisticRegression` have.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import SplineTransformer
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

_STATE, _ARRAYS = "gam.json", "gam.npz"
_NEWTON = 1500  # coefficients up to which Newton's method is quicker than lbfgs


class GAM(BaseEstimator):
    """What classifier and regressor share.

    Parameters
    ----------
    knots : of each curve, evenly spaced over the middle 98% of a column; beyond them a curve goes on straight.
    smooth : the penalty on bends: at 0.001 curves are free, at 1000 nearly lines.
    shrink : the penalty on slopes, and on the effects of 0/1 columns.
    """

    def __init__(self, knots: int = 8, smooth: float = 1.0, shrink: float = 0.1) -> None:
        self.knots = knots
        self.smooth = smooth
        self.shrink = shrink

    def save(self, folder: Path) -> None:
        """Write knots and coefficients as arrays, and the parameters as JSON, into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / _ARRAYS, **{name: getattr(self, name) for name in self._arrays})
        said = {"params": self.get_params(), "features": self.n_features_in_}
        (folder / _STATE).write_text(json.dumps(said), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The fitted model that `save` wrote; it predicts the same bits."""
        said = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        self = cls(**said["params"])
        self.n_features_in_ = said["features"]
        with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
            for name in self._arrays:
                setattr(self, name, arrays[name])
        self._make_basis()
        return self

    @property
    def _arrays(self) -> tuple[str, ...]:
        return ("curved_", "knots_", "coef_", "intercept_")

    def _lay_out(self, X: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Choose the knots; the design matrix, the target and the weights, which are made to have mean 1."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        self.curved_ = np.flatnonzero([len(np.unique(column)) > 2 for column in X.T])
        curved = X[:, self.curved_]
        low, high = np.percentile(curved, [1, 99], axis=0) if curved.size else (np.empty(0), np.empty(0))
        flat = low == high
        low[flat], high[flat] = curved.min(axis=0)[flat], curved.max(axis=0)[flat]
        self.knots_ = np.linspace(low, high, self.knots)
        self._make_basis()
        return self._design(X), y, None if weight is None else weight / weight.mean()

    def _make_basis(self) -> None:
        self._splines = SplineTransformer(knots=self.knots_, extrapolation="linear")
        if len(self.curved_):
            self._splines.fit(self.knots_)
        differences = np.diff(np.eye(len(self.knots_) + 2), n=2, axis=0)
        self._bends = np.linalg.pinv(differences)

    def _design(self, X: np.ndarray) -> np.ndarray:
        """The matrix in which every coefficient has the same penalty: lines, then bends; float64 (n, coefficients)."""
        lines = X / np.sqrt(self.shrink)
        if not len(self.curved_):
            return lines
        splines = self._splines.transform(X[:, self.curved_]).reshape(len(X), len(self.curved_), -1)
        bends = (splines @ self._bends).reshape(len(X), -1) / np.sqrt(self.smooth)
        return np.hstack([lines, bends])

    def _raw(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "coef_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self._design(X) @ self.coef_.T + self.intercept_


class GAMClassifier(ClassifierMixin, GAM):
    """Logistic curves: of the second class, or of each class where there are more than two."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (n, p), finite, and labels y (n,), weighted by `sample_weight` (n,).

        Raises
        ------
        ValueError : one class only.
        """
        design, y, weight = self._lay_out(X, y, sample_weight)
        outputs = len(np.unique(y)) if len(np.unique(y)) > 2 else 1
        solver = "newton-cholesky" if design.shape[1] * outputs <= _NEWTON else "lbfgs"
        model = LogisticRegression(C=1.0, solver=solver, max_iter=200).fit(design, y, sample_weight=weight)
        self.classes_, self.coef_, self.intercept_ = model.classes_, model.coef_, model.intercept_
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities: float64 (n, classes)."""
        raw = self._raw(X)
        if len(self.classes_) > 2:
            shares: np.ndarray = softmax(raw, axis=1)
            return shares
        second = expit(raw)
        return np.hstack([1 - second, second])

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label: (n,)."""
        labels: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels

    @property
    def _arrays(self) -> tuple[str, ...]:
        return (*super()._arrays, "classes_")


class GAMRegressor(RegressorMixin, GAM):
    """Curves of the target on its standard scale, by least squares; never beyond the range of the training rows."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (n, p), finite, and numbers y (n,), weighted by `sample_weight` (n,)."""
        design, y, weight = self._lay_out(X, y, sample_weight)
        y = y.astype(np.float64)
        self.range_ = np.array([y.min(), y.max()])
        centre, scale = y.mean(), y.std() or 1.0
        model = Ridge(alpha=1.0).fit(design, (y - centre) / scale, sample_weight=weight)
        self.coef_ = (model.coef_ * scale).reshape(1, -1)
        self.intercept_ = np.array([model.intercept_ * scale + centre])
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predicted values: float64 (n,)."""
        return np.clip(self._raw(X)[:, 0], *self.range_)

    @property
    def _arrays(self) -> tuple[str, ...]:
        return (*super()._arrays, "range_")
