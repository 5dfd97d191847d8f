"""AutoML: the scikit-learn face. The constructor stores, fit runs, everything else asks the predictor."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from automl.artifact import TemporaryFolder
from automl.compose import compose, registry_for
from automl.config import Config
from automl.data.frames import to_polars
from automl.data.read import read
from automl.data.schema import typed_target
from automl.errors import ConfigError, DataError, DataWarning
from automl.execute.local import warm_for
from automl.fit import fit
from automl.machine import cores
from automl.plugins import installed
from automl.predictor import opened
from automl.task import infer_kind


def _gives_probabilities(model: AutoML) -> bool:
    """Whether it has classes; before fit, whether it may turn out to have some."""
    return model._known_kind != "regression"


class AutoML(BaseEstimator):
    """Learn the best predictor for a table within a time budget.

    Parameters
    ----------
    task : "auto", "binary", "multiclass", "classification" or "regression".
    metric : "auto" (ROC AUC, log loss or RMSE), the name of a metric, or of a scikit-learn scorer.
    time_budget : seconds that fit may take.
    families : families or plugins to race, by name, or one name; None for all that are installed.
    n_jobs : cores to use; None or -1 for all, -2 for all but one.
    random_state : the seed, a whole number; None for the config's (0).
    output_dir : the run folder, which must not exist. None for a temporary one that lives as long as this object or
        its predictor: keep the predictor by ``predictor_.save(path)``. A pickle holds the predictor, and no run folder.
    config : a YAML file or a mapping of config keys laid over the defaults; the `config.yaml` of a run repeats it.
    overrides : Hydra overrides, as on the command line: ``["split=group", "budget.trials=20"]``. They win over
        `config`; the parameters above win over `config` where they are not at their defaults.

    Attributes
    ----------
    predictor_ : the fitted `Predictor`.
    classes_ : labels in the order of the probability columns (classification only).
    n_features_in_, feature_names_in_ : the columns of X; the names only if X has some.
    trials_, failures_ : the run's trials, and those that failed, timed out or crashed.
    run_dir_ : the run folder.
    score_, interval_ : the ensemble's score on out-of-fold predictions, in the metric's own sign; its 95% interval.
    """

    _kind = "auto"

    def __init__(
        self,
        task: str = "auto",
        metric: str = "auto",
        time_budget: float = 60,
        families: Sequence[str] | None = None,
        n_jobs: int | None = None,
        random_state: int | None = None,
        output_dir: str | Path | None = None,
        config: str | Path | Mapping[str, Any] | None = None,
        overrides: Sequence[str] = (),
    ) -> None:
        self.task = task
        self.metric = metric
        self.time_budget = time_budget
        self.families = families
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.output_dir = output_dir
        self.config = config
        self.overrides = overrides

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None, *, target: str | None = None
    ) -> Self:
        """Run a search.

        Parameters
        ----------
        X : a pandas, Polars or Arrow table, an array (n, p), or the path (or paths) of files with the table.
        y : the target (n,), or the name of its column in X. Labels come back in their type; missing ones are left out.
        sample_weight : weights (n,), or None. Rows of weight zero are left out.
        groups : labels (n,) of groups that must not be split between training and validation, or None.
        target : the name of the target's column in X, another way to say `y` by name.

        Raises
        ------
        ConfigError, DataError : what is wrong and what would fix it; both are a ValueError.
        NoModelError : no model could be fitted.
        StorageError : the run folder exists, or cannot be written.
        KeyboardInterrupt : after an interrupt; what was found so far is kept, and predict works.

        Warns
        -----
        DataWarning : what was left out, lost or ignored, with its count.
        """
        if isinstance(y, str):
            target, y = y, None
        began, overrides = time.monotonic(), self._overrides()
        with nullcontext() if self.config else warm_for(overrides):
            config = compose(overrides, config=self.config)
            config.target = target or config.target
            self._temporary = TemporaryFolder() if self.output_dir is None else None
            config.run.dir = str(self._temporary.path / "run" if self._temporary else self.output_dir)
            table, labels = _inputs(config, X, y)
            run = fit(config, table, target=labels, weight=sample_weight, groups=groups, began=began)
        self.run_dir_ = run.folder
        self.predictor_ = opened(run.folder)  # to read the models would take time of the budget
        self.predictor_.holds = self._temporary
        self.trials_ = run.trials
        self.failures_ = [t for t in run.trials if t.status not in ("ok", "pruned", "unfinished")]
        self.score_, self.interval_ = run.score, (run.low, run.high)
        self._board, self._front = run.leaderboard(), run.leaderboard(pareto=True)
        self._describe_input(named=table is None or _has_names(X))
        if run.notes:
            more = f"; and {len(run.notes) - 10} more: see {run.folder / 'log.jsonl'}" if len(run.notes) > 10 else ""
            warnings.warn("; ".join(run.notes[:10]) + more, DataWarning, stacklevel=2)
        if run.status == "interrupted":
            raise KeyboardInterrupt("interrupted; the best predictor so far is kept")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Labels (n,) in the target's own type, or values (n,) for regression."""
        check_is_fitted(self)
        return self.predictor_.predict(self._checked(X))

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, classes), in the order of `classes_`; a regression has no such method."""
        check_is_fitted(self)
        return self.predictor_.predict_proba(self._checked(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy for classes, R² for regression, as scikit-learn's classifiers and regressors have it."""
        from sklearn.metrics import accuracy_score, r2_score

        check_is_fitted(self)
        if y is None or isinstance(y, str):
            raise DataError("score wants the labels as y; predictor_.evaluate takes a table with the target in it")
        measure = accuracy_score if self.predictor_.task.classes else r2_score
        return float(measure(y, self.predict(X), sample_weight=sample_weight))

    def leaderboard(self, *, pareto: bool = False) -> pd.DataFrame:
        """The run's trials, best first; see `automl.run.Run.leaderboard` for the columns and for `pareto`."""
        check_is_fitted(self)
        return (self._front if pareto else self._board).copy()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.non_deterministic = True  # as any search with a time budget
        if self._known_kind == "regression":
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        elif self._known_kind != "auto":
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        return tags

    @property
    def _known_kind(self) -> str:
        """The task kind: that of the fitted predictor, or else as far as the parameters say it."""
        return self.predictor_.task.kind if hasattr(self, "predictor_") else self._said_kind

    @property
    def _said_kind(self) -> str:
        return self._kind if self.task == "auto" else self.task

    @property
    def classes_(self) -> np.ndarray:
        """The labels in the order of the probability columns; a regression has no such attribute."""
        check_is_fitted(self)
        if not self.predictor_.task.classes:
            raise AttributeError(f"{type(self).__name__} was fitted on a quantity, which has no classes")
        return self.predictor_.classes_

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_temporary"}

    def _overrides(self) -> list[str]:
        """The parameters as overrides, then the user's own, which win."""
        said = ["run.progress=quiet"]
        if self._said_kind != "auto":
            said.append(f"task={self._said_kind}")
        if self.metric != "auto":
            said.append(f"metric={self.metric}")
        if self.time_budget != 60 or self.config is None:
            said.append(f"budget.time={self.time_budget}")
        if self.families is not None:
            said.append(f"families={json.dumps(_listed(self.families))}")
        if self.n_jobs is not None:
            if self.n_jobs == 0:
                raise ConfigError("n_jobs=0: say how many cores, or None or -1 for all of them")
            said.append(f"executor.cores={self.n_jobs if self.n_jobs > 0 else max(1, cores() + 1 + self.n_jobs)}")
        if self.random_state is not None:
            if not isinstance(self.random_state, int | np.integer):
                raise ConfigError(
                    f"random_state={self.random_state!r}: a search wants a whole number, so that it can be repeated"
                )
            said.append(f"seed={int(self.random_state)}")
        return [*said, *_listed(self.overrides)]

    def _describe_input(self, *, named: bool) -> None:
        """Set `n_features_in_` and, unless X was an array, `feature_names_in_`."""
        columns = [column.name for column in self.predictor_.schema.columns]
        self.n_features_in_ = len(columns)
        if named:
            self.feature_names_in_ = np.array(columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _checked(self, X: Any) -> Any:
        """X as a table; the columns of an array have no names, so their number must be right and their order counts."""
        if _is_place(X):
            return X
        table = read(X, installed().readers)
        if not _has_names(X):
            if table.width != self.n_features_in_:
                raise DataError(
                    f"X has {table.width} features, but {type(self).__name__} is expecting "
                    f"{self.n_features_in_} features as input"
                )
            table.columns = [column.name for column in self.predictor_.schema.columns]
        return table


class AutoMLClassifier(ClassifierMixin, AutoML):
    """`AutoML` that takes any target as classes."""

    _kind = "classification"


class AutoMLRegressor(RegressorMixin, AutoML):
    """`AutoML` that takes the target as a quantity."""

    _kind = "regression"


def _is_place(X: Any) -> bool:
    """Whether X says where data is: a path, or a list of paths."""
    places = X if isinstance(X, list | tuple) else [X]
    return bool(places) and all(isinstance(place, str | Path) for place in places)


def _listed(said: str | Sequence[str]) -> list[str]:
    return [said] if isinstance(said, str) else list(said)


def _has_names(X: Any) -> bool:
    """Whether X is a table whose columns have names of text; arrays and lists of rows have none."""
    if isinstance(X, pd.DataFrame):
        return all(isinstance(name, str) for name in X.columns)
    return hasattr(type(X), "columns") or hasattr(type(X), "column_names")


def _inputs(config: Config, X: Any, y: Any) -> tuple[pl.DataFrame | None, pl.Series | None]:
    """X as a table, unless it is a path, which goes into the config; and the target, where it is not in that file."""
    if _is_place(X):
        config.data.path = [str(place) for place in X] if isinstance(X, list | tuple) else str(X)
    if X is None or _is_place(X):
        return None, None if y is None else _series(y, config)
    table = read(X, registry_for(plugins=config.plugins).readers)
    if y is not None:
        return table, _series(y, config)
    if config.target is None:
        raise DataError(
            "requires y to be passed, but the target y is None: give y, or target= with the name of its column"
        )
    if config.target not in table.columns:
        return table, None  # the plan names the nearest
    named = X[config.target] if isinstance(X, pd.DataFrame) else table[config.target]
    return table.drop(config.target), _series(named, config)


def _series(y: Any, config: Config) -> pl.Series:
    """A target in memory as a series; infinities are refused, as they are no label to learn."""
    if type(y).__module__.startswith("pyarrow"):
        y = pl.Series(y)
    if isinstance(y, pl.Series):
        return _as_text(y, config)
    values = column_or_1d(np.asarray(y), warn=True)
    if values.dtype.kind == "c":
        raise DataError("Complex data not supported: y holds complex numbers")
    if values.dtype.kind == "f":
        if len(infinite := np.flatnonzero(np.isinf(values))):
            where = f"{values[infinite[0]]} in row {infinite[0]}, counted from 0"
            where += f", and {len(infinite) - 1} more" * (len(infinite) > 1)
            raise DataError(f"Input y contains infinity or a value too large ({where}): clip or leave out such rows")
        if np.isnan(values).all():
            raise DataError("Input y contains NaN and nothing else")
    if config.task in ("binary", "multiclass", "classification") and values.dtype.kind in "fiub":
        check_classification_targets(values[~np.isnan(values)] if values.dtype.kind == "f" else values)
    return _as_text(to_polars(values.reshape(-1, 1)).to_series(), config)


def _as_text(labels: pl.Series, config: Config) -> pl.Series:
    """Text labels stay text, also where they spell numbers: who gives "0" and "1" wants them back."""
    labels = labels.alias(config.target or "target")
    if labels.dtype != pl.String or config.task == "regression":
        return labels
    if config.task == "auto":
        kind, _ = infer_kind(typed_target(labels, config.data.missing), labels.name)
        return labels if kind == "regression" else labels.cast(pl.Categorical)
    return labels.cast(pl.Categorical)
