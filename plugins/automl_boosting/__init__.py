"""Gradient boosting by LightGBM, XGBoost and CatBoost."""

from __future__ import annotations

from collections.abc import Iterable

from automl import Family, hookimpl

automl_api = 1


@hookimpl
def automl_families() -> Iterable[Family]:
    """Three families, each left out where its library is not installed."""
    for name, cls in (("lightgbm", "LightGBM"), ("catboost", "CatBoost"), ("xgboost", "XGBoost")):
        yield Family(
            name,
            {
                "classification": f"automl_boosting.{name}:{cls}Classifier",
                "regression": f"automl_boosting.{name}:{cls}Regressor",
            },
            eats="codes" if name == "catboost" else "encoded",  # CatBoost orders target statistics of its own
            can={"weights", "validation", "refit", "deadline", "categories", "metric", "monotone"},
            requires=(name,),
        )
