"""Families that compare rows with rows: support vectors and nearest neighbours. They shine on small tables."""

from __future__ import annotations

from collections.abc import Iterable

from automl import Family, hookimpl

automl_api = 1


@hookimpl
def automl_families() -> Iterable[Family]:
    """Both race on tables of a size that they can carry, see their configs."""
    yield Family(
        "svm",
        {"classification": "automl_kernel.svm:SVMClassifier", "regression": "automl_kernel.svm:SVMRegressor"},
        eats=("dense", "joint"),
        can={"weights", "validation", "refit"},
    )
    yield Family(
        "neighbors",
        {
            "classification": "automl_kernel.neighbors:NeighborsClassifier",
            "regression": "automl_kernel.neighbors:NeighborsRegressor",
        },
        eats=("dense", "joint"),
    )
