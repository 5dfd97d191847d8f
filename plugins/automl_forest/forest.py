"""Extra trees and the random forest: grown in batches until a deadline, kept as bare trees."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn import ensemble
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from automl_forest.trees import Trees

_FEW = 256  # rows under which threads cost more than they bring


class Forest(BaseEstimator):
    """What the four forests have in common. Missing values (NaN) are a value like any other.

    Parameters
    ----------
    n_estimators : trees to grow; a deadline may leave fewer.
    criterion : scikit-learn's criterion of a split; None for ``gini`` or ``squared_error``.
    max_features : the share of features drawn for each split; None for ``sqrt`` in classification, and in regression
        for all (extra trees) or a third (random forest, as Breiman has it: as good, and three times as quick).
    max_leaf_nodes, min_samples_leaf : the size of a tree.
    random_state, n_jobs : the seed and the threads.

    Attributes
    ----------
    trees_ : the trees, joined into one.
    prior_ : of a classifier, the shares of the classes in the training rows.
    n_estimators_ : how many were grown.
    """

    grower: ClassVar[Callable[..., Any]]
    tuned: ClassVar[dict[str, Any]]

    def __init__(
        self,
        n_estimators: int = 300,
        criterion: str | None = None,
        max_features: float | str | None = None,
        max_leaf_nodes: int | None = None,
        min_samples_leaf: int = 1,
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None, deadline: float | None = None) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : (n, p), numbers and codes, NaN where missing.
        y : (n,), labels or numbers.
        sample_weight : (n,), or None.
        deadline : seconds from now after which no further batch of trees is begun; one batch is always grown.
        """
        start = time.perf_counter()
        X, y = validate_data(self, X, y, dtype=np.float32, ensure_all_finite="allow-nan")
        forest = self._forest(len(X))
        batch = self.n_estimators if deadline is None else min(self.n_estimators, effective_n_jobs(self.n_jobs))
        forest.set_params(n_estimators=batch)
        while True:
            began = time.perf_counter()
            forest.fit(X, y, sample_weight)
            now = time.perf_counter()
            left = self.n_estimators - forest.n_estimators
            if not left or (deadline is not None and now + (now - began) > start + deadline):
                break
            assert deadline is not None
            # A batch that takes a tenth of the time left: few calls, and no overshoot worth speaking of.
            wanted = 0.1 * (start + deadline - now) / ((now - began) / batch)
            batch = min(left, max(batch, int(wanted)))
            forest.set_params(n_estimators=forest.n_estimators + batch)
        if hasattr(forest, "classes_"):
            self.classes_ = forest.classes_
            self.prior_ = np.unique(y, return_counts=True)[1] / len(y)
        grown = [tree.tree_ for tree in forest.estimators_]
        del forest
        self.trees_ = Trees.join(grown)
        self.n_estimators_ = len(self.trees_)
        return self

    def _forest(self, rows: int) -> Any:
        said = {name: value for name, value in self.get_params().items() if value is not None}
        if said.get("max_leaf_nodes", 0) >= rows:  # no limit then, and scikit-learn grows unlimited trees faster
            del said["max_leaf_nodes"]
        return type(self).grower(**{**self.tuned, **said, "warm_start": True})

    def _mean(self, X: Any) -> np.ndarray:
        """The trees' mean answer: float64 (n, outputs)."""
        check_is_fitted(self, "trees_")
        X = self._matrix(X)
        threads = 1 if len(X) < _FEW else min(effective_n_jobs(self.n_jobs), len(X))
        if threads == 1:
            return self.trees_.sums(X) / len(self.trees_)
        # Rows, not trees, are shared out: each row's sum is then taken in one order, whatever the number of threads.
        parts = np.array_split(X, threads)
        sums = Parallel(n_jobs=threads, prefer="threads")(delayed(self.trees_.sums)(part) for part in parts)
        return np.concatenate(sums) / len(self.trees_)

    def _matrix(self, X: Any) -> np.ndarray:
        if type(X) is np.ndarray and X.dtype == np.float32 and X.ndim == 2:
            wanted = getattr(self, "n_features_in_", None)
            if X.shape[1] == wanted and len(X) and not hasattr(self, "feature_names_in_") and not np.isinf(X).any():
                return X  # all that scikit-learn would check, in a fraction of the time that it takes for one row
        checked: np.ndarray = validate_data(self, X, dtype=np.float32, ensure_all_finite="allow-nan", reset=False)
        return checked

    def save(self, folder: Path) -> None:
        """Write the trees and the parameters into `folder`: numbers in `.npz`, the rest as JSON."""
        classes = getattr(self, "classes_", None)
        said = {"params": self.get_params(), "features": self.n_features_in_}
        if classes is not None:
            said["prior"] = self.prior_.tolist()
        self.trees_.save(folder, said, classes)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The forest that `save` wrote.

        Raises
        ------
        ValueError : the files hold no sound trees.
        """
        trees, said, classes = Trees.load(folder)
        self = cls(**said["params"])
        self.trees_, self.n_estimators_, self.n_features_in_ = trees, len(trees), said["features"]
        if classes is not None:
            self.classes_, self.prior_ = classes, np.array(said["prior"])
        return self


class _Classifier(ClassifierMixin, Forest):
    tuned: ClassVar[dict[str, Any]] = {"criterion": "gini", "max_features": "sqrt"}

    def predict_proba(self, X: Any) -> np.ndarray:
        """The mean class shares of the leaves that a row falls into, and of all rows: float64 (n, classes).

        All rows count as one tree more, so that no class that was learned is ever taken to be impossible.
        """
        mean, trees = self._mean(X), self.n_estimators_
        shares: np.ndarray = (trees * mean + self.prior_) / (trees + 1)
        return shares

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label: (n,)."""
        shares = self.predict_proba(X)
        labels: np.ndarray = self.classes_[shares.argmax(axis=1)]
        return labels


class _Regressor(RegressorMixin, Forest):
    def predict(self, X: Any) -> np.ndarray:
        """The mean of the leaves that a row falls into: float64 (n,)."""
        return self._mean(X)[:, 0]


class ExtraTreesClassifier(_Classifier):
    """Extremely randomised trees (Geurts, Ernst, Wehenkel 2006), by scikit-learn."""

    grower = ensemble.ExtraTreesClassifier


class ExtraTreesRegressor(_Regressor):
    """Extremely randomised trees (Geurts, Ernst, Wehenkel 2006), by scikit-learn."""

    grower = ensemble.ExtraTreesRegressor
    tuned: ClassVar[dict[str, Any]] = {"criterion": "squared_error", "max_features": 1.0}


class RandomForestClassifier(_Classifier):
    """Random forest (Breiman 2001), by scikit-learn."""

    grower = ensemble.RandomForestClassifier


class RandomForestRegressor(_Regressor):
    """Random forest (Breiman 2001), by scikit-learn."""

    grower = ensemble.RandomForestRegressor
    tuned: ClassVar[dict[str, Any]] = {"criterion": "squared_error", "max_features": 1 / 3}
