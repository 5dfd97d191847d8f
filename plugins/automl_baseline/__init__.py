"""The baseline: what to answer without looking at the features, and what every other family has to beat."""

from __future__ import annotations

from collections.abc import Iterable

from automl import Family, hookimpl

automl_api = 1


@hookimpl
def automl_families() -> Iterable[Family]:
    """One family: class shares for classification, the metric's best constant for regression."""
    yield Family(
        "baseline",
        {"classification": "automl_baseline.constant:Shares", "regression": "automl_baseline.constant:Constant"},
        eats="none",
        can={"weights", "metric", "monotone"},
    )
