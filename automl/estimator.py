"""AutoML: the scikit-learn face. The constructor stores, fit runs, everything else asks the predictor."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from automl.compose import compose
from automl.data.read import read
from automl.errors import ConfigError, DataError
from automl.fit import fit
from automl.plugins import installed
from automl.predictor import load

if TYPE_CHECKING:
    import pandas as pd


class AutoML(BaseEstimator):
    """Learn the best predictor for a table within a time budget.

    Parameters
    ----------
    task : "auto", "binary", "multiclass", "classification" or "regression".
    metric : "auto" (ROC AUC, log loss or RMSE), the name of a metric, or of a scikit-learn scorer.
    time_budget : seconds that fit may take.
    families : families or plugins to race, by name; None for all that are installed.
    n_jobs : cores to use; None for all.
    random_state : the seed, a whole number; None for the config's (0).
    output_dir : the run folder, which must not exist. None for a temporary one that lives as long as this object:
        keep the predictor by ``predictor_.save(path)``.
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
        X : a pandas, Polars or Arrow table, an array (n, p), or the path of a file, with the target in it.
        y : the target (n,), or the name of its column in X.
        sample_weight : weights (n,), or None.
        groups : labels (n,) of groups that must not be split between training and validation, or None.
        target : the name of the target's column in X, another way to say `y` by name.

        Raises
        ------
        ConfigError, DataError : what is wrong and what would fix it; both are a ValueError.
        NoModelError : no model could be fitted.
        KeyboardInterrupt : after an interrupt; what was found so far is kept, and predict works.
        """
        if isinstance(y, str):
            target, y = y, None
        source, labels = self._inputs(X, y, target)
        config = compose(self._overrides(target), config=self.config)
        folder = self.output_dir or self._temporary()
        config.run.dir = str(folder)
        run = fit(config, source, target=labels, weight=sample_weight, groups=groups)
        self.run_ = run
        self.run_dir_ = run.folder
        self.predictor_ = load(run.folder)
        self.trials_ = run.trials
        self.failures_ = [t for t in run.trials if t.status not in ("ok", "pruned", "unfinished")]
        self.score_, self.interval_ = run.score, (run.low, run.high)
        if run.task.classes:
            self.classes_ = self.predictor_.classes_
        if run.status == "interrupted":
            raise KeyboardInterrupt("interrupted; the best predictor so far is kept")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Labels (n,) in the target's own type, or values (n,) for regression."""
        check_is_fitted(self)
        return self.predictor_.predict(self._checked(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, classes), in the order of `classes_`."""
        check_is_fitted(self)
        return self.predictor_.predict_proba(self._checked(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy for classes, R² for regression, as scikit-learn's classifiers and regressors have it."""
        from sklearn.metrics import accuracy_score, r2_score

        check_is_fitted(self)
        measure = accuracy_score if self.predictor_.task.classes else r2_score
        return float(measure(y, self.predict(X), sample_weight=sample_weight))

    def leaderboard(self) -> pd.DataFrame:
        """The run's trials, best first; see `automl.run.Run.leaderboard` for the columns."""
        check_is_fitted(self)
        return self.run_.leaderboard()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.non_deterministic = True  # as any search with a time budget
        return tags

    def _overrides(self, target: str | None) -> list[str]:
        """The parameters as overrides, then the user's own, which win."""
        said = ["run.progress=quiet"]
        kind = self._kind if self.task == "auto" else self.task
        if kind != "auto":
            said.append(f"task={kind}")
        if self.metric != "auto":
            said.append(f"metric={self.metric}")
        if self.time_budget != 60 or self.config is None:
            said.append(f"budget.time={self.time_budget}")
        if self.families is not None:
            said.append(f"families={json.dumps(list(self.families))}")
        if self.n_jobs is not None:
            from automl.plan import cores

            said.append(f"executor.threads={self.n_jobs if self.n_jobs > 0 else max(1, cores() + 1 + self.n_jobs)}")
        if self.random_state is not None:
            if not isinstance(self.random_state, int | np.integer):
                raise ConfigError(
                    f"random_state={self.random_state!r}: a search wants a whole number, so that it can be repeated"
                )
            said.append(f"seed={int(self.random_state)}")
        if target is not None:
            said.append(f"target={json.dumps(target)}")
        return [*said, *self.overrides]

    def _inputs(self, X: Any, y: Any, target: str | None) -> tuple[Any, pl.Series | None]:
        """X as a table (or as the path or name that it is), and y as a series if it was given apart."""
        if isinstance(X, str | Path) or (X is None and target is None and y is None):
            return X, None
        table = read(X, installed().readers)
        self.n_features_in_ = table.width - (target is not None and target in table.columns)
        if names := _names(X):
            self.feature_names_in_ = np.array([name for name in names if name != target], dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if target is not None:
            return table, None
        if y is None:
            raise DataError(
                "requires y to be passed, but the target y is None: give y, or target= with the name of its column"
            )
        return table, _series(y, classes=self._wants_classes)

    @property
    def _wants_classes(self) -> bool:
        return (self._kind if self.task == "auto" else self.task) in ("binary", "multiclass", "classification")

    def _checked(self, X: Any) -> Any:
        """X, refused where an array has another number of columns than at fit: it has no names to tell them apart."""
        if isinstance(X, str | Path):
            return X
        table = read(X, installed().readers)
        names = _names(X)
        if not names and hasattr(self, "n_features_in_") and table.width != self.n_features_in_:
            raise DataError(
                f"X has {table.width} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        if not names and hasattr(self, "feature_names_in_"):
            table.columns = list(self.feature_names_in_)
        return table

    def _temporary(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="automl-"))
        self._cleanup = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder / "run"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in ("_cleanup", "run_")}


class AutoMLClassifier(ClassifierMixin, AutoML):
    """`AutoML` that takes any target as classes."""

    _kind = "classification"


class AutoMLRegressor(RegressorMixin, AutoML):
    """`AutoML` that takes the target as a quantity."""

    _kind = "regression"


def _names(X: Any) -> list[str] | None:
    """The column names of a frame whose names are text; None for arrays."""
    if not hasattr(X, "columns") and not hasattr(X, "column_names"):
        return None
    names = list(X.columns if not hasattr(X, "column_names") else X.column_names)
    return names if all(isinstance(name, str) for name in names) else None


def _series(y: Any, *, classes: bool) -> pl.Series:
    """A target given apart from its table as a series; infinities are refused, as they are no label to learn."""
    if isinstance(y, pl.Series):
        return y
    values = column_or_1d(np.asarray(y), warn=True)
    if values.dtype.kind == "c":
        raise DataError("Complex data not supported: y holds complex numbers")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        if np.isinf(values).any():
            raise DataError("Input y contains infinity or a value too large")
        if np.isnan(values).all():
            raise DataError("Input y contains NaN and nothing else")
    if classes and values.dtype.kind in "fiub":
        check_classification_targets(values[np.isfinite(values)] if values.dtype.kind == "f" else values)
    if values.dtype.kind in "OUS":
        return pl.Series([None if v is None or v != v else v for v in values.tolist()], strict=False)
    return pl.Series(values)
