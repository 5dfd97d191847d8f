"""The story of a run: read, schema, task, split, race, ensemble, predictor. CLI and Python both tell it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from automl.compose import registry_for
from automl.conclude import conclude
from automl.config import Config
from automl.data.problem import Problem
from automl.errors import DataError, NoModelError
from automl.keep import keep
from automl.plan import Plan, plan
from automl.refit import refit_seconds
from automl.registry import Registry
from automl.run import Run, Trial
from automl.search.budget import Budget
from automl.search.race import Race
from automl.serving import models

_LEAST_RESERVE = 0.2  # seconds kept for the end of a run
_KEEPING = 0.02  # of the time budget, for a choice of an ensemble on the way
_CHOOSING = 0.03  # of the time budget at most, for the last choice of an ensemble


def fit(
    config: Config,
    source: Any = None,
    *,
    target: Any = None,
    weight: Any = None,
    groups: Any = None,
    listeners: Any = (),
    began: float = 0.0,
) -> Run:
    """Run a search from data to a saved predictor; the arguments are those of `plan`.

    Parameters
    ----------
    listeners : objects with any of the event hooks (`automl_trial_finished`, ...), told like the plugins are.
    began : the moment of `time.monotonic` from which the time budget counts; 0 for now.

    Returns
    -------
    The run; its predictor is in ``run.folder / "model"``. A run that was interrupted has status "interrupted" and the
    best predictor it had.

    Raises
    ------
    ConfigError, DataError : before anything is written.
    StorageError : the run folder exists and is not to be resumed, or cannot be written.
    NoModelError : no trial gave a model, or none but the baseline; the message ranks the causes.
    """
    budget = Budget(config.seconds, config.budget.trials, began=began)
    folder = _run_folder(config, source)
    earlier = Run.open(folder) if config.run.resume and folder.exists() else None
    if earlier is not None:
        budget.began -= earlier.spent
    with _warm(config):
        planned = plan(config, source, target=target, weight=weight, groups=groups)
        return _fit(planned, budget, folder, earlier, listeners)


def _fit(planned: Plan, budget: Budget, folder: Path, earlier: Run | None, listeners: Any) -> Run:
    config = planned.config
    run = Run(
        folder=folder,
        config=config,
        task=planned.task,
        schema=planned.schema,
        rows=planned.table.height,
        facts=planned.facts,
        notes=planned.notes,
        maximize=planned.metric.maximize,
        began=time.time() - budget.spent,
    )
    if earlier is None:
        run.create()
    else:
        run.take_up(earlier)
    with _telling(run, planned.registry, listeners):
        run.tell("run_started", run=run)
        try:
            with _work_folder(run) as work:
                problem = _problem(work / "shared", planned, resumed=earlier is not None)
                _race(planned, problem, budget, run, [] if earlier is None else earlier.trials)
            run.seconds = budget.spent
            run.finish()
        except BaseException as error:
            run.tell("run_failed", run=run, error=error)
            raise
        run.tell("run_finished", run=run)
    _refuse_bare(run, planned)
    return run


def _warm(config: Config) -> AbstractContextManager[None]:
    registry = registry_for(plugins=config.plugins)
    kind = registry.executors.get(config.executor.kind)
    if kind is None:
        return nullcontext()  # that there is none of that kind is said by the plan
    with registry.calling("executors", kind.name):
        return kind.warm()


def _problem(folder: Path, planned: Plan, *, resumed: bool) -> Problem:
    """What the trials share, laid out in the work folder: anew, or as it was when the run was cut off.

    Raises
    ------
    DataError : the data is not what it was then.
    """
    if resumed and (folder / "problem.json").exists():
        problem = Problem.read(folder)
        if not (problem.table.equals(planned.table) and np.array_equal(problem.y, planned.y)):
            raise DataError("run.resume: the data has changed since the run began; begin a new one")
        return problem
    shutil.rmtree(folder, ignore_errors=True)
    return Problem.write(
        folder,
        planned.table,
        planned.y,
        planned.weight,
        planned.split,
        planned.task,
        planned.schema,
        _plugin_choice(planned.config),
        planned.config.crosses,
    )


def _race(planned: Plan, problem: Problem, budget: Budget, run: Run, earlier: list[Trial]) -> None:
    """Run the trials, and keep the best ensemble of them as they end."""
    config = planned.config
    kind = planned.registry.executors[config.executor.kind]

    def report(trial: Trial) -> None:
        run.record(trial)
        if trial.status == "running":
            run.tell("trial_started", run=run, trial=trial)
            return
        run.log("trial_finished", trial=trial.name, status=trial.status, score=trial.score, reason=trial.reason)
        run.tell("trial_finished", run=run, trial=trial)

    def kept(trials: list[Trial]) -> float:
        began = budget.spent
        loss = keep(run, planned, problem, trials, deadline=time.monotonic() + _KEEPING * budget.seconds)
        # The last time there is more to choose from; what it took the last time is a fair guess.
        budget.reserve = _LEAST_RESERVE + 0.5 * _CHOOSING * budget.seconds + 2 * (budget.spent - began)
        budget.refits = refit_seconds(planned, problem, [trial for trial in trials if trial.weight > 0])
        run.log("kept", score=run.score, trials=len(trials), seconds=budget.spent)
        return loss

    with planned.registry.calling("executors", kind.name):
        executor = kind.start(problem.folder, planned.slots, planned.threads, config.memory)
    try:
        race = Race(
            problem,
            planned.families,
            config.search,
            baseline=planned.baseline,
            seed=config.seed,
            executor=executor,
            threads=planned.threads,
            budget=budget,
            report=report,
            bounds=config.bounds,
            models={name: models(planned, name) for name in planned.families},
            keep=kept,
            earlier=earlier,
        )
        run.trials = race.trials
        race.run()
    finally:
        executor.close()
    run.why = race.why
    run.notes += race.notes
    learned = [trial for trial in run.trials if trial.status == "ok" and trial.origin != "baseline"]
    if not learned and (n := race.settle()):
        run.notes.append(f"no trial has run all {problem.folds} folds in time: models and scores are of the first {n}")
        planned = replace(planned, split=replace(planned.split, folds=planned.split.folds[:n]))
        problem = race.problem
    run.status = "interrupted" if run.why == "interrupted" else "finished"
    if done := [trial for trial in run.trials if trial.status == "ok"]:
        left = max(0.5 * budget.reserve, budget.seconds - budget.spent)
        conclude(run, planned, problem, done, budget, seconds=min(_CHOOSING * budget.seconds, 0.5 * left))
        run.log("kept", score=run.score, trials=len(done), seconds=budget.spent)
        return
    run.seconds = budget.spent
    run.finish()
    if run.status == "interrupted":
        raise KeyboardInterrupt("interrupted before there was any model")
    raise NoModelError(f"no trial gave a model. {_causes(run)} Log: {run.folder}")


def _refuse_bare(run: Run, planned: Plan) -> None:
    """A run that tried models and is left with nothing but the baseline has failed, and says why."""
    tried = [trial for trial in run.trials if trial.origin != "baseline"]
    wanted = [name for name in planned.families if name != planned.baseline]
    if wanted and not any(trial.status == "ok" for trial in tried) and run.status != "interrupted":
        if all(trial.status == "unfinished" for trial in tried):
            raise NoModelError(f"there was no time for any model; {run.folder} has the baseline. Give more: budget=...")
        raise NoModelError(f"every model failed; the predictor in {run.folder} is the baseline. {_causes(run)}")


def _causes(run: Run) -> str:
    """The reasons of the trials that gave nothing, most frequent first."""
    counts: dict[str, int] = {}
    for trial in run.trials:
        if trial.status != "ok":
            cause = f"{trial.family}: {trial.status}, {trial.reason}"
            counts[cause] = counts.get(cause, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: -item[1])[:5]
    return "Causes: " + "; ".join(f"{cause} ({n}x)" if n > 1 else cause for cause, n in ranked) + "." if ranked else ""


def _run_folder(config: Config, source: Any) -> Path:
    if config.run.dir is not None:
        return Path(config.run.dir)
    named = source if isinstance(source, str | Path) else config.data.path
    stem = Path(str(named).split(":")[-1]).name.split(".")[0] if isinstance(named, str | Path) else "table"
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem) or "table"
    base = Path("runs") / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    free = (base if i == 0 else base.with_name(f"{base.name}-{i}") for i in range(1000))
    return next(path for path in free if not path.exists())


def _plugin_choice(config: Config) -> tuple[Any, ...]:
    said = config.plugins
    return (None if said.allow is None else tuple(said.allow), tuple(said.deny), said.autoload)


@contextmanager
def _telling(run: Run, registry: Registry, listeners: Any) -> Iterator[None]:
    """Tell plugins and listeners of events; one that raises is named in the log and on screen, and the run goes on."""

    noted: set[str] = set()

    def tell(event: str, **facts: Any) -> None:
        for trouble in registry.emit(event, **facts):
            if (who := trouble.partition(": ")[0]) not in noted:  # once, not for each of a thousand trials
                noted.add(who)
                run.notes.append(trouble)
            run.log("listener_failed", what=trouble)
        for listener in listeners:
            if function := getattr(listener, f"automl_{event}", None):
                function(**facts)

    run.tell = tell
    try:
        yield
    finally:
        for listener in listeners:
            if function := getattr(listener, "close", None):
                function()


@contextmanager
def _work_folder(run: Run) -> Iterator[Path]:
    """The run's scratch folder: removed at the end, but for what workers printed; a run that was cut off needs it."""
    work = run.folder / "work"
    work.mkdir(exist_ok=True)
    try:
        yield work
    finally:
        log = work / "shared" / "workers.log"
        if log.exists() and log.stat().st_size:
            shutil.copy(log, run.folder / "workers.log")
        if run.status == "finished":
            shutil.rmtree(work, ignore_errors=True)
