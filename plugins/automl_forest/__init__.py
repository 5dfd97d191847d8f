"""Forests of deep trees: extra trees and the random forest."""

from __future__ import annotations

from collections.abc import Iterable

from automl import Family, hookimpl

automl_api = 1


@hookimpl
def automl_families() -> Iterable[Family]:
    """Two families; both eat missing values as they are and stop growing trees at the deadline."""
    for name, cls in (("extra_trees", "ExtraTrees"), ("random_forest", "RandomForest")):
        yield Family(
            name,
            {
                "classification": f"automl_forest.forest:{cls}Classifier",
                "regression": f"automl_forest.forest:{cls}Regressor",
            },
            eats="encoded",
            can={"weights", "deadline"},
        )
