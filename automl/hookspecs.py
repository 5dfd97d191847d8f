"""Every hook that a plugin may implement. A plugin is a module named by an entry point in the group `automl`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from automl.data.read import Reader
    from automl.execute import ExecutorKind
    from automl.family import Family
    from automl.metrics import Metric
    from automl.run import Run, Trial

hookspec = pluggy.HookspecMarker("automl")
hookimpl = pluggy.HookimplMarker("automl")


@hookspec
def automl_families() -> Iterable[Family]:
    """The model families that the plugin adds; their configs lie in the plugin's `conf/family/NAME.yaml`.

    >>> @hookimpl
    ... def automl_families():
    ...     yield Family("neighbors", {"classification": "sklearn.neighbors:KNeighborsClassifier"})
    """
    raise NotImplementedError


@hookspec
def automl_conf() -> Path:
    """A folder of configs, where it is not the folder `conf` beside the plugin's `__init__.py`.

    >>> @hookimpl
    ... def automl_conf():
    ...     return Path("/etc/automl/conf")
    """
    raise NotImplementedError


@hookspec
def automl_metrics() -> Iterable[Metric]:
    """The metrics that the plugin adds.

    >>> @hookimpl
    ... def automl_metrics():
    ...     def max_error(y, value, weight):
    ...         return abs(y - value).max()
    ...     yield Metric("max_error", max_error, maximize=False, tasks={"regression"}, takes="value")
    """
    raise NotImplementedError


@hookspec
def automl_readers() -> Iterable[Reader]:
    """The data sources that the plugin can read, by file suffix or by scheme (`sql:...`).

    >>> @hookimpl
    ... def automl_readers():
    ...     yield Reader("excel", suffixes=(".xlsx",), read=polars.read_excel)
    """
    raise NotImplementedError


@hookspec
def automl_executors() -> Iterable[ExecutorKind]:
    """The places where trials can run.

    >>> @hookimpl
    ... def automl_executors():
    ...     yield ExecutorKind("cluster", "automl_cluster.executor:ClusterExecutor")
    """
    raise NotImplementedError


@hookspec
def automl_run_started(run: Run) -> None:
    """Called when the data is read, the task inferred and the run folder made.

    >>> @hookimpl
    ... def automl_run_started(run):
    ...     print(run.folder, run.task.kind)
    """


@hookspec
def automl_trial_finished(run: Run, trial: Trial) -> None:
    """Called when a trial has ended, whatever its status.

    >>> @hookimpl
    ... def automl_trial_finished(run, trial):
    ...     print(trial.family, trial.status, trial.score)
    """


@hookspec
def automl_run_finished(run: Run) -> None:
    """Called when the predictor is saved.

    >>> @hookimpl
    ... def automl_run_finished(run):
    ...     print(run.score, run.folder / "model")
    """
