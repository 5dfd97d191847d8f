"""Every hook that a plugin may implement. A plugin is a module named by an entry point in the group `automl`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from automl.data.read import Reader
    from automl.data.split import SplitKind
    from automl.data.views import ViewKind
    from automl.execute import ExecutorKind
    from automl.faces import Exporter, Section, Verb
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
    ...     return Path(__file__).parent / "settings"
    """
    raise NotImplementedError


@hookspec
def automl_views() -> Iterable[ViewKind]:
    """The views that the plugin adds: encodings of a table that families eat, its own or others'.

    >>> class Ranks(View):
    ...     def __init__(self, sorted_values):
    ...         self.sorted_values, self.names = sorted_values, list(sorted_values)
    ...     @classmethod
    ...     def fit(cls, rows):
    ...         numbers = rows.table.select(polars.selectors.numeric()).fill_null(0)
    ...         return cls({column.name: column.sort().to_numpy() for column in numbers})
    ...     @classmethod
    ...     def load(cls, folder):
    ...         return cls(dict(numpy.load(folder / "ranks.npz")))
    ...     def save(self, folder):
    ...         numpy.savez(folder / "ranks.npz", **self.sorted_values)
    ...     def transform(self, table):
    ...         below = [
    ...             numpy.searchsorted(known, table[name].fill_null(0).to_numpy()) / len(known)
    ...             for name, known in self.sorted_values.items()
    ...         ]
    ...         return numpy.column_stack(below).astype(numpy.float32)
    >>> @hookimpl
    ... def automl_views():
    ...     yield ViewKind("ranks", Ranks.fit, Ranks.load)
    """
    raise NotImplementedError


@hookspec
def automl_splits() -> Iterable[SplitKind]:
    """The ways to deal rows into training and validation that the plugin adds: `split.kind=NAME`.

    >>> def alternate(rows):
    ...     numbers = numpy.arange(len(rows.y))
    ...     folds = [Fold(numbers[numbers % 2 != i], numbers[numbers % 2 == i]) for i in (0, 1)]
    ...     return folds, "every other row"
    >>> @hookimpl
    ... def automl_splits():
    ...     yield SplitKind("alternate", alternate)
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
def automl_exporters() -> Iterable[Exporter]:
    """The forms that a predictor can be written in: `automl export MODEL -o OUT`.

    >>> def facts(predictor, path):
    ...     path.write_text(predictor.describe().to_csv(index=False))
    >>> @hookimpl
    ... def automl_exporters():
    ...     yield Exporter("members", facts, suffix=".csv", doc="the members and their weights")
    """
    raise NotImplementedError


@hookspec
def automl_sections() -> Iterable[Section]:
    """Sections of the report on a run: `automl report RUN`.

    >>> def seconds(run):
    ...     yield f"The fits took {sum(trial.fit_seconds for trial in run.trials):.0f} seconds."
    >>> @hookimpl
    ... def automl_sections():
    ...     yield Section("seconds", "What it took", seconds)
    """
    raise NotImplementedError


@hookspec
def automl_verbs() -> Iterable[Verb]:
    """Verbs of the command line: `automl NAME ...`.

    >>> def best(words):
    ...     print(Run.open(words[0]).best)
    ...     return 0
    >>> @hookimpl
    ... def automl_verbs():
    ...     yield Verb("best", best, "the best single trial of a run")
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
def automl_trial_started(run: Run, trial: Trial) -> None:
    """Called when a trial begins.

    >>> @hookimpl
    ... def automl_trial_started(run, trial):
    ...     print(trial.name, trial.params)
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


@hookspec
def automl_run_failed(run: Run, error: BaseException) -> None:
    """Called in place of `automl_run_finished` when a run ends without a predictor.

    >>> @hookimpl
    ... def automl_run_failed(run, error):
    ...     print(run.folder, error)
    """
