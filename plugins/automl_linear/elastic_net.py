"""Elastic net on a standardised target, so that `alpha` means the same whatever the target's unit."""

from __future__ import annotations

from typing import Any, Self

from sklearn import linear_model

from automl_linear.linear import Linear, centre_and_scale


class ElasticNet(Linear):
    """Least squares with an L1 and an L2 penalty (Zou, Hastie 2005), by scikit-learn.

    Parameters
    ----------
    alpha : weight of the penalty, for a target of standard deviation 1.
    l1_ratio : the L1 share of the penalty.
    max_iter, tol : as in scikit-learn.
    """

    def __init__(self, alpha: float = 0.01, l1_ratio: float = 0.5, max_iter: int = 1000, tol: float = 1e-3) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (n, p) and y (n,), weighted by `sample_weight` (n,)."""
        X, y, weight = self._rows(X, y, sample_weight)
        centre, scale = centre_and_scale(y, weight)
        model = linear_model.ElasticNet(**self.get_params()).fit(X, (y - centre) / scale, sample_weight=weight)
        self.coef_ = model.coef_.astype(float) * scale
        self.intercept_ = centre + scale * float(model.intercept_)
        return self
