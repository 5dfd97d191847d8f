"""Three more metrics: are probabilities honest, is the truth among the first three, whom does a campaign reach."""

from __future__ import annotations

from collections.abc import Iterable

from automl import Metric, hookimpl
from automl_metrics_extra.metrics import calibration_error, captured, top_three

automl_api = 1


@hookimpl
def automl_metrics() -> Iterable[Metric]:
    """`ece`, `top3_accuracy` and `captured_10`."""
    classes = {"binary", "multiclass"}
    yield Metric("ece", calibration_error, False, classes, "proba", "expected calibration error, 15 bins", best=0.0)
    yield Metric("top3_accuracy", top_three, True, {"multiclass"}, "proba", "right label in the likeliest 3", best=1.0)
    yield Metric("captured_10", captured, True, {"binary"}, "proba", "share of positives in the likeliest 10% of rows")
