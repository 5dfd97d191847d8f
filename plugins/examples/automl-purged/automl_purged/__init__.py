"""For rows that follow one another in time: purged k-fold, and neighbours by rank, whom no outlier misleads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from automl import Family, SplitKind, ViewKind, hookimpl
from automl_purged.purged import purged
from automl_purged.ranks import Ranks

automl_api = 1


@hookimpl
def automl_conf() -> Path:
    """What may be said: `split=purged`, and the space of `ranked_neighbors`."""
    return Path(__file__).parent / "settings"


@hookimpl
def automl_splits() -> Iterable[SplitKind]:
    """`split.kind=purged`, with the column of times."""
    yield SplitKind("purged", purged, column="times")


@hookimpl
def automl_views() -> Iterable[ViewKind]:
    """`ranks`: each number as the share of training rows below it."""
    yield ViewKind("ranks", Ranks.fit, Ranks.load)


@hookimpl
def automl_families() -> Iterable[Family]:
    """scikit-learn's nearest neighbours, which eat the ranks."""
    places = {
        "classification": "sklearn.neighbors:KNeighborsClassifier",
        "regression": "sklearn.neighbors:KNeighborsRegressor",
    }
    yield Family("ranked_neighbors", places, eats="ranks")
