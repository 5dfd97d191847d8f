"""automl: declarative, plugin-based AutoML. The public names; each is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl.data.read import Reader
    from automl.data.split import Fold, Rows, SplitKind
    from automl.data.views import Training, View, ViewKind
    from automl.errors import (
        AutoMLError,
        ConfigError,
        DataError,
        DataWarning,
        NoModelError,
        RefusedError,
        StorageError,
    )
    from automl.estimator import AutoML, AutoMLClassifier, AutoMLRegressor
    from automl.execute import Executor, ExecutorKind
    from automl.faces import Exporter, Section, Verb
    from automl.family import Family
    from automl.hookspecs import hookimpl
    from automl.metrics import Metric
    from automl.predictor import Predictor, load
    from automl.run import Run, Trial

__version__ = "0.1.0"

_HOME = {
    "AutoML": "estimator",
    "AutoMLClassifier": "estimator",
    "AutoMLRegressor": "estimator",
    "Predictor": "predictor",
    "load": "predictor",
    "Family": "family",
    "Metric": "metrics",
    "Run": "run",
    "Trial": "run",
    "View": "data.views",
    "ViewKind": "data.views",
    "Training": "data.views",
    "Reader": "data.read",
    "Fold": "data.split",
    "Rows": "data.split",
    "SplitKind": "data.split",
    "Executor": "execute",
    "ExecutorKind": "execute",
    "Exporter": "faces",
    "Section": "faces",
    "Verb": "faces",
    "hookimpl": "hookspecs",
    "AutoMLError": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
    "DataWarning": "errors",
    "NoModelError": "errors",
    "RefusedError": "errors",
    "StorageError": "errors",
}

__all__ = [
    "AutoML",
    "AutoMLClassifier",
    "AutoMLError",
    "AutoMLRegressor",
    "ConfigError",
    "DataError",
    "DataWarning",
    "Executor",
    "ExecutorKind",
    "Exporter",
    "Family",
    "Fold",
    "Metric",
    "NoModelError",
    "Predictor",
    "Reader",
    "RefusedError",
    "Rows",
    "Run",
    "Section",
    "SplitKind",
    "StorageError",
    "Training",
    "Trial",
    "Verb",
    "View",
    "ViewKind",
    "__version__",
    "hookimpl",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'automl' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"automl.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
