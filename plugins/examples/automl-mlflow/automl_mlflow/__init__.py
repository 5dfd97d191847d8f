"""MLflow as the tracker of runs: set MLFLOW_TRACKING_URI, and each automl run is a run there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from automl import hookimpl

if TYPE_CHECKING:
    from automl.run import Run, Trial

automl_api = 1


@hookimpl
def automl_run_started(run: Run) -> None:
    """Open an MLflow run; nothing happens, and MLflow is not imported, where MLFLOW_TRACKING_URI is not set."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        from automl_mlflow import tracker

        tracker.start(run)


@hookimpl
def automl_trial_started(run: Run, trial: Trial) -> None:
    """When it began."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        from automl_mlflow import tracker

        tracker.begin(run, trial)


@hookimpl
def automl_trial_finished(run: Run, trial: Trial) -> None:
    """A run inside it for each trial."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        from automl_mlflow import tracker

        tracker.add(run, trial)


@hookimpl
def automl_run_finished(run: Run) -> None:
    """The score of the ensemble, and the files."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        from automl_mlflow import tracker

        tracker.finish(run)


@hookimpl
def automl_run_failed(run: Run, error: BaseException) -> None:
    """That it has failed, and why."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        from automl_mlflow import tracker

        tracker.fail(run, error)
