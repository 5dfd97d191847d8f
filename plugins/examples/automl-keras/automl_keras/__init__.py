"""A Keras 3 network as a family: the pattern for a model of yours that learns by epochs."""

from collections.abc import Iterable

from automl import Family, hookimpl

automl_api = 1


@hookimpl
def automl_families() -> Iterable[Family]:
    """One family; Keras is imported when a trial needs it."""
    yield Family(
        "keras",
        {"classification": "automl_keras.network:KerasClassifier", "regression": "automl_keras.network:KerasRegressor"},
        eats="dense",
        can={"weights", "validation", "deadline"},
        requires=("automl_keras.training",),  # imported before the clock of a trial starts: Keras takes its seconds
    )
