"""Refits: members of the ensemble fitted once more, on all rows, in place of their fold models or beside them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from automl.data.problem import Problem
from automl.execute.trial import REFIT
from automl.plan import Plan
from automl.run import Trial
from automl.serving import can_refit

_FIT = 0.9  # of the time that is left, for the fit itself


def refit(
    planned: Plan, problem: Problem, trials: Sequence[Trial], seconds: float
) -> tuple[dict[int, float], dict[str, str]]:
    """Fit trials on all rows, with the parameters that their folds recommend, in workers of their own.

    A trial that was searched on some of the rows gets as many of them here.

    Parameters
    ----------
    seconds : how long all of it may take.

    Returns
    -------
    Of the trials that were refitted, number -> seconds that the model takes for a row; of the others, name -> why not.
    """
    failed = {
        trial.name: f"{trial.family} needs validation rows"
        for trial in trials
        if not can_refit(planned.registry.families[trial.family])
    }
    able = [trial for trial in trials if trial.name not in failed]
    outcomes = run_jobs(planned, problem, [_job(planned, problem, trial) for trial in able], seconds)
    done = {}
    for trial in able:
        outcome = outcomes.get(f"{trial.number}-all")
        if outcome is None:
            failed[trial.name] = "the time was spent"
        elif outcome["status"] == "ok":
            done[trial.number] = outcome["row_seconds"]
        else:
            failed[trial.name] = f"{outcome['status']}: {outcome['reason']}"
    return done, failed


def run_jobs(
    planned: Plan, problem: Problem, jobs: Sequence[Mapping[str, Any]], seconds: float
) -> dict[str, dict[str, Any]]:
    """Run jobs after the race, in order, in workers of their own; what came of those that ended in time, by their ids.

    Parameters
    ----------
    jobs : without ``deadline`` and ``limit``, which are the time that is left; an outcome says its ``deadline`` again.
    seconds : how long all of it may take.
    """
    until = time.monotonic() + seconds
    waiting, outcomes = list(jobs), dict[str, dict[str, Any]]()
    running: dict[str, float] = {}
    if not waiting or seconds <= 0:
        return {}
    kind = planned.registry.executors[planned.config.executor.kind]
    slots = min(planned.slots, len(waiting))
    executor = kind.start(problem.folder, slots, planned.threads, planned.config.memory)
    try:
        while (waiting or running) and (left := until - time.monotonic()) > 0:
            while waiting and len(running) < executor.slots:
                job = {**waiting.pop(0), "deadline": _FIT * left, "limit": left}
                running[job["id"]] = job["deadline"]
                executor.submit(job)
            for outcome in executor.wait(min(1.0, left)):
                outcomes[outcome["id"]] = {**outcome, "deadline": running.pop(outcome["id"])}
    finally:
        executor.close()
    return outcomes


def _job(planned: Plan, problem: Problem, trial: Trial) -> dict[str, Any]:
    said = [_recommended(problem, trial, fold) for fold in range(problem.folds)]
    return {
        "id": f"{trial.number}-all",
        "trial": trial.number,
        "fold": None,
        "family": trial.family,
        "requires": list(problem.registry.family(trial.family).requires),
        "params": {**trial.params, **{name: _mean([params[name] for params in said]) for name in said[0]}},
        "rows": trial.rows,
        "seed": planned.config.seed,
        "threads": planned.threads,
    }


def _recommended(problem: Problem, trial: Trial, fold: int) -> Mapping[str, Any]:
    file = problem.trial_folder(trial.number, fold) / REFIT
    said: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return said


def _mean(values: Sequence[Any]) -> Any:
    """The mean of numbers, whole if they are; of anything else, the most frequent one."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        mean = sum(values) / len(values)
        return round(mean) if all(isinstance(value, int) for value in values) else mean
    return max(values, key=values.count)
