"""Keep the best so far: choose an ensemble of the trials that ended well, and save it as the run's predictor."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from automl.artifact import seal, written_whole
from automl.data.problem import Problem
from automl.data.split import Split
from automl.metrics import interval
from automl.plan import Plan
from automl.run import Run, Trial, versions
from automl.search.ensemble import blend, select


def keep(run: Run, planned: Plan, problem: Problem, trials: Sequence[Trial], *, deadline: float) -> float:
    """Weigh the trials, score their ensemble and save it as ``run.folder / "model"``; its loss.

    The baseline answers only where nothing else can: otherwise it is there to compare with.

    Parameters
    ----------
    trials : those that ended well.
    deadline : the moment of `time.monotonic` at which choosing must have ended.

    Raises
    ------
    StorageError : no room.
    """
    metric, config = planned.metric, planned.config
    chosen = [trial for trial in trials if trial.origin != "baseline"] or list(trials)
    y, weight = problem.validated(problem.y), problem.validated(problem.weight)
    predictions = [problem.predictions(trial.number) for trial in chosen]
    rounds, seed = config.search.ensemble, config.seed
    shares = select(predictions, y, metric, weight, rounds=rounds, seed=seed, deadline=deadline)
    for trial in trials:
        trial.weight = 0.0
    for trial, share in zip(chosen, shares, strict=True):
        trial.weight = float(share)
    blended = blend(predictions, shares)
    run.score = metric.score(y, blended, weight)
    run.low, run.high = interval(metric, y, blended, weight, seed=seed)
    with written_whole(run.folder / "model") as draft:
        _save(draft, run, planned, problem, [trial for trial in chosen if trial.weight > 0])
    return metric.loss(run.score)


def _save(draft: Path, run: Run, planned: Plan, problem: Problem, chosen: Sequence[Trial]) -> None:
    folds = _serving_folds(planned.split)
    members, views = [], set()
    for trial in chosen:
        family = planned.registry.families[trial.family]
        for fold in folds:
            name, view = f"{trial.name}-{fold}", f"{family.eats}-{fold}"
            _linked(problem.trial_folder(trial.number, fold) / "model", draft / "members" / name)
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
        _linked(problem.view_folder(kind, fold), draft / "views" / view)
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


def _linked(source: Path, target: Path) -> None:
    """The files of a folder under another name, where the disk can without a copy; not the rows of a view."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)

    shutil.copytree(source, target, copy_function=link, ignore=shutil.ignore_patterns("rows"))


def _serving_folds(split: Split) -> list[int]:
    """The folds whose models predict: all of them, bagged; of a split over time the last one, which knows the most."""
    return [len(split.folds) - 1] if split.kind == "time" else list(range(len(split.folds)))
