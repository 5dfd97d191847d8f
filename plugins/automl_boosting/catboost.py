"""CatBoost (Prokhorenkova et al. 2018) on its native interface."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import catboost
import numpy as np

from automl_boosting.boosting import BoostedClassifier, BoostedRegressor, Boosting
from automl_boosting.stopper import Stopper
from automl_boosting.target import Loss, Rows

_FILE = "model.cbm"


class CatBoost(Boosting):
    """Parameters by CatBoost's own names; its documentation says what they mean.

    Rows are sampled by their gradients, as is its default (Ibragimov, Gusev 2019, "Minimal variance sampling in
    stochastic gradient boosting"). Trees that must keep to a trend (`monotone`) are symmetric, whatever `grow_policy`
    says: CatBoost knows no others.
    """

    def __init__(
        self,
        n_estimators: int = 1000,
        learning_rate: float | None = None,
        depth: int | None = None,
        grow_policy: str = "SymmetricTree",
        min_data_in_leaf: int = 1,
        l2_leaf_reg: float = 1e-5,
        random_strength: float | None = None,
        subsample: float = 0.8,
        rsm: float | None = None,
        leaf_estimation_iterations: int | None = None,
        border_count: int = 254,
        one_hot_max_size: int | None = None,
        max_ctr_complexity: int | None = None,
        loss: str | None = None,
        metric: str = "",
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.depth = depth
        self.grow_policy = grow_policy
        self.min_data_in_leaf = min_data_in_leaf
        self.l2_leaf_reg = l2_leaf_reg
        self.random_strength = random_strength
        self.subsample = subsample
        self.rsm = rsm
        self.leaf_estimation_iterations = leaf_estimation_iterations
        self.border_count = border_count
        self.one_hot_max_size = one_hot_max_size
        self.max_ctr_complexity = max_ctr_complexity
        self.loss = loss
        self.metric = metric
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _train(self, train: Rows, held: Rows | None, loss: Loss, stopper: Stopper, trends: list[int]) -> Any:
        params = {
            **self._settings(),
            **_objective(loss),
            "iterations": self.n_estimators,
            "boosting_type": "Plain",
            # Gradients that are all alike, or nothing but signs, do not say which rows count.
            "bootstrap_type": "Bernoulli" if loss.kinked or np.ptp(train.y) == 0 else "MVS",
            "random_seed": self._seed,
            "thread_count": self._threads(train.X),
            "use_best_model": False,  # it would keep fewer rounds than are wanted
            "allow_const_label": True,
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
        if loss.kinked:
            del params["leaf_estimation_iterations"]  # their leaves are exact quantiles, not steps
        if trends:
            # The pool has the numbers first; and only symmetric trees can keep to a trend.
            params["grow_policy"] = "SymmetricTree"
            free = len(self.categories_)
            params["monotone_constraints"] = np.delete(trends, sorted(self.categories_)).tolist() + [0] * free
        if params["grow_policy"] == "SymmetricTree":
            del params["min_data_in_leaf"]
        model = catboost.CatBoost(params)
        eval_set = None if held is None else self._pool(held.X, held)
        model.fit(self._pool(train.X, train), eval_set=eval_set, callbacks=[_Callback(stopper)])
        if params["grow_policy"] == "SymmetricTree":  # CatBoost can shorten no others
            model.shrink(ntree_end=stopper.kept)
        return model

    def _pool(self, X: np.ndarray, rows: Rows | None = None) -> Any:
        """CatBoost's own table. A missing code is a level of its own; so are, together, the codes beyond the levels."""
        known = {} if rows is None else {"label": rows.y, "weight": rows.weight}
        if not self.categories_:
            return catboost.Pool(X, **known, thread_count=self._threads(X))
        columns = sorted(self.categories_)
        levels = np.array([self.categories_[column] for column in columns])
        codes = np.clip(np.nan_to_num(X[:, columns], nan=-1.0), -1, levels).astype(np.intp)
        numbers = np.ascontiguousarray(np.delete(X, columns, axis=1))
        names = _names(int(levels.max()))
        features = catboost.FeaturesData(numbers if numbers.shape[1] else None, names[codes + 1])
        return catboost.Pool(features, **known, thread_count=self._threads(X))

    def _raw(self, X: np.ndarray, threads: int) -> np.ndarray:
        form = "Probability"
        if isinstance(self, BoostedRegressor):
            form = "Exponent" if self.target_.loss.grows else "RawFormulaVal"
        kept = min(self.n_estimators_, self.model_.tree_count_)
        raw: np.ndarray = self.model_.predict(self._pool(X), form, ntree_end=kept, thread_count=threads)
        return raw

    def _write(self, folder: Path) -> None:
        self.model_.save_model(str(folder / _FILE), format="cbm")

    def _read(self, folder: Path) -> Any:
        return catboost.CatBoost().load_model(str(folder / _FILE), format="cbm")


class CatBoostClassifier(BoostedClassifier, CatBoost):
    """CatBoost on log loss; the tuned parameters are pytabkit's "TD" defaults (Holzmüller et al. 2024)."""

    tuned: ClassVar = {
        "learning_rate": 0.08,
        "depth": 7,
        "random_strength": 0.8,
        "one_hot_max_size": 15,
        "leaf_estimation_iterations": 1,
    }


class CatBoostRegressor(BoostedRegressor, CatBoost):
    """CatBoost on the metric's own loss; the tuned parameters are pytabkit's "TD" defaults (Holzmüller et al. 2024)."""

    tuned: ClassVar = {
        "learning_rate": 0.09,
        "depth": 9,
        "random_strength": 0.0,
        "one_hot_max_size": 20,
        "leaf_estimation_iterations": 20,
    }


class _Callback:
    def __init__(self, stopper: Stopper) -> None:
        self.stopper = stopper

    def after_iteration(self, info: Any) -> bool:
        losses = next(iter(info.metrics["validation"].values())) if "validation" in info.metrics else None
        return not self.stopper.stop(info.iteration, losses[-1] if losses else None)


@cache
def _names(levels: int) -> np.ndarray:
    """What CatBoost calls the codes from -1 to `levels`."""
    return np.array([b"%d" % code for code in range(-1, levels + 1)], dtype=object)


def _objective(loss: Loss) -> dict[str, Any]:
    quick = "hints=skip_train~true"  # nobody looks at the loss on the training rows
    if loss.name == "log":
        name = "Logloss" if loss.classes == 2 else "MultiClass"
        classes = {"classes_count": loss.classes} if loss.classes > 2 else {}
        return {"loss_function": name, "eval_metric": f"{name}:{quick}", **classes}
    if loss.name in ("quantile", "tweedie"):
        name = f"Quantile:alpha={loss.level}" if loss.name == "quantile" else "Tweedie:variance_power=1.5"
        return {"loss_function": name, "eval_metric": f"{name};{quick}"}
    name = {"squared": "RMSE", "absolute": "MAE", "poisson": "Poisson"}[loss.name]
    return {"loss_function": name, "eval_metric": f"{name}:{quick}"}
