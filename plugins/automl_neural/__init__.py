"""Neural networks for tables: a multilayer perceptron that is small enough for a laptop."""

from __future__ import annotations

from collections.abc import Iterable

from automl import Family, hookimpl

automl_api = 1


@hookimpl
def automl_families() -> Iterable[Family]:
    """One family; it learns with torch, and predicts without."""
    yield Family(
        "mlp",
        {"classification": "automl_neural.mlp:MLPClassifier", "regression": "automl_neural.mlp:MLPRegressor"},
        eats=("dense", "joint"),
        can={"weights", "validation", "refit", "deadline"},
        requires=("torch",),
    )
