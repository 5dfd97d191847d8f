"""LightGBM (Ke et al. 2017) on its native interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import lightgbm
import numpy as np
from scipy.special import expit, softmax

from automl_boosting.boosting import BoostedClassifier, BoostedRegressor, Boosting
from automl_boosting.stopper import Stopper
from automl_boosting.target import LONGEST, Loss, Rows

_FILE = "model.txt"
_MANY = 1000  # rows for which going through the trees in parts is quicker
_LEAVES = 400  # of a part: such trees fit into the cache of a core
_POOL = 256  # megabytes for the histograms of leaves; without a limit, 128 leaves of 1,000 columns take 500


class LightGBM(Boosting):
    """Parameters by LightGBM's own names; its documentation says what they mean."""

    def __init__(
        self,
        n_estimators: int = 1000,
        learning_rate: float | None = None,
        num_leaves: int | None = None,
        max_depth: int = -1,
        min_data_in_leaf: int | None = None,
        min_sum_hessian_in_leaf: float = 1e-7,
        feature_fraction: float = 1.0,
        feature_fraction_bynode: float = 1.0,
        bagging_fraction: float | None = None,
        lambda_l1: float = 0.0,
        lambda_l2: float = 0.0,
        extra_trees: bool = False,
        max_bin: int = 255,
        cat_smooth: float = 10.0,
        cat_l2: float = 10.0,
        min_data_per_group: int = 100,
        loss: str | None = None,
        metric: str = "",
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.max_depth = max_depth
        self.min_data_in_leaf = min_data_in_leaf
        self.min_sum_hessian_in_leaf = min_sum_hessian_in_leaf
        self.feature_fraction = feature_fraction
        self.feature_fraction_bynode = feature_fraction_bynode
        self.bagging_fraction = bagging_fraction
        self.lambda_l1 = lambda_l1
        self.lambda_l2 = lambda_l2
        self.extra_trees = extra_trees
        self.max_bin = max_bin
        self.cat_smooth = cat_smooth
        self.cat_l2 = cat_l2
        self.min_data_per_group = min_data_per_group
        self.loss = loss
        self.metric = metric
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _train(self, train: Rows, held: Rows | None, loss: Loss, stopper: Stopper, trends: list[int]) -> Any:
        rows, columns = train.X.shape
        params = {
            **self._settings(),
            **_objective(loss),
            "bagging_freq": 1,
            "seed": self._seed,
            "num_threads": self._threads(train.X),
            "verbosity": -1,
            "deterministic": True,
            "histogram_pool_size": _POOL,
            # LightGBM would time both ways and choose, and so not give the same model twice.
            "force_row_wise" if rows > 50 * columns else "force_col_wise": True,
        }
        if self.min_data_in_leaf is None:  # the tuned value is for large tables: few rows could not be split at all
            params["min_data_in_leaf"] = min(params["min_data_in_leaf"], max(1, rows // 20))
        # A tree has room for all its leaves from the start: of few rows, thousands of trees would hold mostly air.
        params["num_leaves"] = min(params["num_leaves"], max(2, rows // max(2, params["min_data_in_leaf"])))
        if trends:
            params["monotone_constraints"] = trends
            if loss.kinked:
                params |= {"metric": params["objective"], "objective": _steps(train, loss)}

        def after(env: Any) -> None:
            losses = env.evaluation_result_list
            if stopper.stop(env.iteration + 1, losses[0][2] if losses else None):
                raise lightgbm.EarlyStopException(stopper.best_round - 1, losses)

        data = lightgbm.Dataset(train.X, train.y, weight=train.weight, categorical_feature=sorted(self.categories_))
        valid = [] if held is None else [data.create_valid(held.X, held.y, weight=held.weight)]
        # Left as it is, without the copy through its text that LightGBM would make: of many classes that is large.
        booster = lightgbm.train(
            params, data, self.n_estimators, valid_sets=valid, callbacks=[after], keep_training_booster=True
        )
        return booster.free_dataset()

    def _raw(self, X: np.ndarray, threads: int) -> np.ndarray:
        # Fewer than were asked for, where nothing was left to learn; more than the best, until the model is saved.
        kept = rounds = min(self.n_estimators_, self.model_.current_iteration())
        if len(X) >= _MANY:
            rounds = max(1, _LEAVES // (self._settings()["num_leaves"] * self.model_.num_model_per_iteration()))
        if kept <= rounds:
            return np.asarray(self.model_.predict(X, num_iteration=kept, num_threads=threads))
        # A part of the trees at a time, which the cache holds: twice as fast as every row through all of them.
        raw = sum(
            self.model_.predict(
                X, raw_score=True, start_iteration=i, num_iteration=min(rounds, kept - i), num_threads=threads
            )
            for i in range(0, kept, rounds)
        )
        return _converted(np.asarray(raw), self.target_.loss)

    def _write(self, folder: Path) -> None:
        self.model_.save_model(folder / _FILE, num_iteration=self.n_estimators_)

    def _read(self, folder: Path) -> Any:
        return lightgbm.Booster(model_file=folder / _FILE)


class LightGBMClassifier(BoostedClassifier, LightGBM):
    """LightGBM on log loss; the tuned parameters are pytabkit's "TD" defaults (Holzmüller et al. 2024)."""

    tuned: ClassVar = {"learning_rate": 0.04, "num_leaves": 50, "min_data_in_leaf": 40, "bagging_fraction": 0.75}


class LightGBMRegressor(BoostedRegressor, LightGBM):
    """LightGBM on the metric's own loss; the tuned parameters are pytabkit's "TD" defaults (Holzmüller et al. 2024)."""

    tuned: ClassVar = {"learning_rate": 0.05, "num_leaves": 100, "min_data_in_leaf": 3, "bagging_fraction": 0.7}


def _converted(raw: np.ndarray, loss: Loss) -> np.ndarray:
    """Sums of leaves as what the objective makes of them."""
    if loss.name == "log":
        return np.asarray(expit(raw) if loss.classes == 2 else softmax(raw, axis=1))
    return np.exp(raw) if loss.grows else raw


def _steps(rows: Rows, loss: Loss) -> Any:
    """The loss as steps along its slope, for LightGBM's own would move its leaves, and out of order."""
    return lambda raw, _: loss.slope(rows, raw)


def _objective(loss: Loss) -> dict[str, Any]:
    if loss.name == "log":
        kind = {"objective": "binary"} if loss.classes == 2 else {"objective": "multiclass", "num_class": loss.classes}
        return {**kind, "max_delta_step": LONGEST}
    if loss.name == "quantile":
        return {"objective": "quantile", "alpha": loss.level}
    if loss.grows:
        return {"objective": loss.name, "metric": "rmse"}
    return {"objective": {"squared": "regression", "absolute": "regression_l1"}[loss.name]}
