"""The conformance kit: named checks that plugin authors run on what their plugin adds."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl.testing.checks import Check, check_all
    from automl.testing.executors import check_executor, executor_checks
    from automl.testing.families import check_family, family_checks
    from automl.testing.metrics import check_metric, metric_checks
    from automl.testing.readers import check_reader, reader_checks

_HOME = {
    "Check": "checks",
    "check_all": "checks",
    "check_family": "families",
    "family_checks": "families",
    "check_metric": "metrics",
    "metric_checks": "metrics",
    "check_reader": "readers",
    "reader_checks": "readers",
    "check_executor": "executors",
    "executor_checks": "executors",
}

__all__ = [
    "Check",
    "check_all",
    "check_executor",
    "check_family",
    "check_metric",
    "check_reader",
    "executor_checks",
    "family_checks",
    "metric_checks",
    "reader_checks",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'automl.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"automl.testing.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
