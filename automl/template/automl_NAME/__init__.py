"""The model family NAME: scikit-learn's histogram gradient boosting, until you say which estimator is yours."""

from collections.abc import Iterable

from automl import Family, hookimpl

automl_api = 1


@hookimpl
def automl_families() -> Iterable[Family]:
    """Yield the families; an estimator is named by its place, and imported when a trial needs it."""
    places = {
        "classification": "sklearn.ensemble:HistGradientBoostingClassifier",
        "regression": "sklearn.ensemble:HistGradientBoostingRegressor",
    }
    yield Family("NAME", places, eats="codes", can={"weights"})
