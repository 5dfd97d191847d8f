"""Generalised additive models: one smooth curve a column, and nothing that a person could not draw."""

from collections.abc import Iterable

from automl import Family, hookimpl

automl_api = 1


@hookimpl
def automl_families() -> Iterable[Family]:
    """One family, for all three kinds of task."""
    places = {"classification": "automl_gam.gam:GAMClassifier", "regression": "automl_gam.gam:GAMRegressor"}
    yield Family("gam", places, eats="dense", can={"weights"})
