"""XGBoost (Chen, Guestrin 2016) on its native interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xgboost

from automl_boosting.boosting import BoostedClassifier, BoostedRegressor, Boosting
from automl_boosting.stopper import Stopper
from automl_boosting.target import LONGEST, Loss, Rows

_FILE = "model.ubj"


class XGBoost(Boosting):
    """Parameters by XGBoost's own names; its documentation says what they mean."""

    def __init__(
        self,
        n_estimators: int = 1000,
        learning_rate: float | None = None,
        max_depth: int | None = None,
        max_leaves: int = 0,
        grow_policy: str = "depthwise",
        min_child_weight: float | None = None,
        subsample: float | None = None,
        colsample_bytree: float = 1.0,
        colsample_bylevel: float | None = None,
        colsample_bynode: float = 1.0,
        reg_alpha: float = 0.0,
        reg_lambda: float = 0.0,
        gamma: float = 0.0,
        max_bin: int = 256,
        max_cat_to_onehot: int = 4,
        loss: str | None = None,
        metric: str = "",
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.max_leaves = max_leaves
        self.grow_policy = grow_policy
        self.min_child_weight = min_child_weight
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.colsample_bylevel = colsample_bylevel
        self.colsample_bynode = colsample_bynode
        self.reg_alpha = reg_alpha
        self.reg_lambda = reg_lambda
        self.gamma = gamma
        self.max_bin = max_bin
        self.max_cat_to_onehot = max_cat_to_onehot
        self.loss = loss
        self.metric = metric
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _train(self, train: Rows, held: Rows | None, loss: Loss, stopper: Stopper, trends: list[int]) -> Any:
        params = {
            **self._settings(),
            **_objective(loss),
            "tree_method": "hist",
            "seed": self._seed,
            "nthread": self._threads(train.X),
            "verbosity": 0,
        }
        steps = None
        if trends:
            params["monotone_constraints"] = tuple(trends)
            if loss.kinked:  # XGBoost's own would move its leaves to medians and quantiles, and out of order
                del params["objective"]
                params["base_score"], steps = 0.0, lambda raw, _: loss.slope(train, raw)
        data = xgboost.QuantileDMatrix(
            train.X, train.y, weight=train.weight, max_bin=self.max_bin, **self._types(train.X)
        )
        evals = []
        if held is not None:
            evals = [(xgboost.DMatrix(held.X, held.y, weight=held.weight, **self._types(held.X)), "held")]
        booster = xgboost.train(
            params,
            data,
            self.n_estimators,
            evals=evals,
            obj=steps,
            callbacks=[_Callback(stopper)],
            verbose_eval=False,
        )
        return booster[: stopper.kept]

    def _types(self, X: np.ndarray) -> dict[str, Any]:
        types = ["c" if column in self.categories_ else "q" for column in range(self.n_features_in_)]
        return {"feature_types": types, "enable_categorical": True, "nthread": self._threads(X)}

    def _raw(self, X: np.ndarray, threads: int) -> np.ndarray:
        if getattr(self.model_, "threads", None) != threads:  # saying it again costs as much as a prediction
            self.model_.set_param({"nthread": threads})
            self.model_.threads = threads
        raw: np.ndarray = self.model_.inplace_predict(X)
        if raw.ndim == 2:
            raw = raw.astype(np.float64)  # 32-bit shares sum to 1 only nearly
            raw /= raw.sum(axis=1, keepdims=True)
        return raw

    def _write(self, folder: Path) -> None:
        self.model_.save_model(folder / _FILE)

    def _read(self, folder: Path) -> Any:
        return xgboost.Booster(model_file=folder / _FILE)


class XGBoostClassifier(BoostedClassifier, XGBoost):
    """XGBoost on log loss; the tuned parameters are pytabkit's "TD" defaults (Holzmüller et al. 2024)."""

    tuned: ClassVar = {
        "learning_rate": 0.08,
        "max_depth": 6,
        "min_child_weight": 5e-6,
        "subsample": 0.65,
        "colsample_bylevel": 0.9,
    }


class XGBoostRegressor(BoostedRegressor, XGBoost):
    """XGBoost on the metric's own loss; the tuned parameters are pytabkit's "TD" defaults (Holzmüller et al. 2024)."""

    tuned: ClassVar = {"learning_rate": 0.05, "max_depth": 9, "min_child_weight": 2.0, "subsample": 0.7}


class _Callback(xgboost.callback.TrainingCallback):
    def __init__(self, stopper: Stopper) -> None:
        super().__init__()
        self.stopper = stopper

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        losses = next(iter(evals_log["held"].values())) if evals_log else None
        return self.stopper.stop(epoch + 1, losses[-1] if losses else None)


def _objective(loss: Loss) -> dict[str, Any]:
    if loss.name == "log":
        two = {"objective": "binary:logistic", "eval_metric": "logloss"}
        many = {"objective": "multi:softprob", "num_class": loss.classes, "eval_metric": "mlogloss"}
        return {**(two if loss.classes == 2 else many), "max_delta_step": LONGEST}
    if loss.name == "quantile":
        return {"objective": "reg:quantileerror", "quantile_alpha": loss.level, "eval_metric": "quantile"}
    if loss.name == "absolute":
        return {"objective": "reg:absoluteerror", "eval_metric": "mae"}
    objective = {"poisson": "count:poisson", "tweedie": "reg:tweedie"}.get(loss.name, "reg:squarederror")
    return {"objective": objective, "eval_metric": "rmse"}
