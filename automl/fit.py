"""The story of a run: read, schema, task, split, race, ensemble, predictor. CLI and Python both tell it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from automl.artifact import seal, written_whole
from automl.config import Config
from automl.data.problem import Problem
from automl.data.split import Split
from automl.errors import NoModelError
from automl.metrics import interval
from automl.plan import Plan, plan
from automl.plugins import Registry
from automl.run import Run, Trial, versions
from automl.search.budget import Budget
from automl.search.ensemble import blend, select
from automl.search.race import Race


def fit(
    config: Config,
    source: Any = None,
    *,
    target: Any = None,
    weight: Any = None,
    groups: Any = None,
    listeners: Any = (),
) -> Run:
    """Run a search from data to a saved predictor; the arguments are those of `plan`.

    Parameters
    ----------
    listeners : objects with any of the event hooks (`automl_trial_finished`, ...), told like the plugins are.

    Returns
    -------
    The run; its predictor is in ``run.folder / "model"``. A run that was interrupted has status "interrupted" and the
    best predictor it had.

    Raises
    ------
    ConfigError, DataError : before anything is written.
    StorageError : the run folder exists, or cannot be written.
    NoModelError : no trial gave a model, or none but the baseline; the message ranks the causes.
    """
    budget = Budget(config.seconds, config.budget.trials)
    planned = plan(config, source, target=target, weight=weight, groups=groups)
    run = Run(
        folder=_run_folder(config, source),
        config=config,
        task=planned.task,
        schema=planned.schema,
        rows=planned.table.height,
        facts=planned.facts,
        notes=planned.notes,
        maximize=planned.metric.maximize,
        began=time.time() - budget.spent,
    )
    run.create()
    with _telling(run, planned.registry, listeners):
        run.tell("run_started", run=run)
        with _work_folder(run.folder) as work:
            problem = Problem.write(
                work / "shared",
                planned.table,
                planned.y,
                planned.weight,
                planned.split,
                planned.task,
                planned.schema,
                _plugin_choice(config),
            )
            race = _race(planned, problem, budget, run)
            run.trials, run.why = race.trials, race.why
            run.notes += race.notes
            _finish(run, planned, problem, budget)
        run.seconds = budget.spent
        run.finish()
        run.tell("run_finished", run=run)
    _refuse_bare(run, planned)
    return run


def _race(planned: Plan, problem: Problem, budget: Budget, run: Run) -> Race:
    config = planned.config
    kind = planned.registry.executors[config.executor.kind]

    def ended(trial: Trial) -> None:
        run.record(trial)
        run.log("trial_finished", trial=trial.name, status=trial.status, score=trial.score, reason=trial.reason)
        run.tell("trial_finished", run=run, trial=trial)

    executor = kind.start(problem.folder, config.executor.slots, planned.threads, config.memory)
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
            ended=ended,
        )
        run.trials = race.trials
        race.run()
    finally:
        executor.close()
    return race


def _finish(run: Run, planned: Plan, problem: Problem, budget: Budget) -> None:
    """Choose the ensemble and save the predictor."""
    done = [trial for trial in run.trials if trial.status == "ok"]
    run.status = "interrupted" if run.why == "interrupted" else "finished"
    if not done:
        run.seconds = budget.spent
        run.finish()
        if run.status == "interrupted":
            raise KeyboardInterrupt("interrupted before there was any model")
        raise NoModelError(f"no trial gave a model. {_causes(run)} Log: {run.folder}")
    # The baseline is there to compare with; it answers only where nothing else can.
    done = [trial for trial in done if trial.origin != "baseline"] or done
    y, weight = problem.validated(problem.y), problem.validated(problem.weight)
    predictions = [problem.predictions(trial.number) for trial in done]
    deadline = time.monotonic() + max(0.2, budget.seconds - budget.spent - budget.reserve / 2)
    shares = select(
        predictions,
        y,
        planned.metric,
        weight,
        rounds=planned.config.search.ensemble,
        seed=planned.config.seed,
        deadline=deadline,
    )
    for trial, share in zip(done, shares, strict=True):
        trial.weight = float(share)
    blended = blend(predictions, shares)
    run.score = planned.metric.score(y, blended, weight)
    run.low, run.high = interval(planned.metric, y, blended, weight, seed=planned.config.seed)
    with written_whole(run.folder / "model") as draft:
        _save_predictor(draft, run, planned, problem, [trial for trial in done if trial.weight > 0])


def _save_predictor(draft: Path, run: Run, planned: Plan, problem: Problem, chosen: list[Trial]) -> None:
    folds = _serving_folds(planned.split)
    members, views = [], set()
    for trial in chosen:
        family = planned.registry.families[trial.family]
        for fold in folds:
            name, view = f"{trial.name}-{fold}", f"{family.eats}-{fold}"
            shutil.copytree(problem.trial_folder(trial.number, fold) / "model", draft / "members" / name)
            members.append(
                {
                    "name": name,
                    "family": trial.family,
                    "plugin": family.plugin,
                    "view": view,
                    "weight": trial.weight / len(folds),
                }
            )
            views.add((view, fold, family.eats))
    for view, fold, kind in sorted(views):
        shutil.copytree(problem.view_folder(kind, fold), draft / "views" / view, ignore=shutil.ignore_patterns("rows"))
    seal(
        draft,
        {
            "task": planned.task.to_dict(),
            "schema": planned.schema.to_dict(),
            "aside": [name for name in (run.config.weight, run.config.split.column) if name is not None],
            "views": sorted(view for view, _, _ in views),
            "members": members,
            "facts": {
                "score": run.score,
                "low": run.low,
                "high": run.high,
                "rows": run.rows,
                "seed": run.config.seed,
                "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "versions": versions(),
            },
        },
    )


def _serving_folds(split: Split) -> list[int]:
    """The folds whose models predict: all of them, bagged; of a split over time the last one, which knows the most."""
    return [len(split.folds) - 1] if split.kind == "time" else list(range(len(split.folds)))


def _refuse_bare(run: Run, planned: Plan) -> None:
    """A run that tried models and is left with nothing but the baseline has failed, and says why."""
    tried = [trial for trial in run.trials if trial.origin != "baseline"]
    wanted = [name for name in planned.families if name != planned.baseline]
    if wanted and not any(trial.status == "ok" for trial in tried) and run.status != "interrupted":
        raise NoModelError(
            f"every model failed; the predictor in {run.folder} is the baseline. {_causes(run)}"
            if tried
            else f"there was no time for any model; {run.folder} has the baseline. Give more: budget=..."
        )


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

    def tell(event: str, **facts: Any) -> None:
        for trouble in registry.emit(event, **facts):
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
def _work_folder(folder: Path) -> Iterator[Path]:
    """The run's scratch folder, removed at the end, but for what the workers printed."""
    work = folder / "work"
    work.mkdir()
    try:
        yield work
    finally:
        log = work / "shared" / "workers.log"
        if log.exists() and log.stat().st_size:
            shutil.copy(log, folder / "workers.log")
        shutil.rmtree(work, ignore_errors=True)
