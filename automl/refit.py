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
_MARGIN = 1.3  # of what refits are expected to take
_START = 0.5  # seconds for the workers of the refits to start
_MOST = 0.15  # of the budget, at most, for refits that join the models of the folds
_TINY = 1e-9
MEASURED = 1 / 3  # of that time, for finding out whether they should


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
        outcome = outcomes.get(f"{trial.name}-all")
        if outcome is None:
            failed[trial.name] = "the time was spent"
        elif outcome["status"] == "ok":
            done[trial.number] = outcome["row_seconds"]
        else:
            failed[trial.name] = f"{outcome['status']}: {outcome['reason']}"
    return done, failed


def joins(planned: Plan) -> bool:
    """Whether a model of all rows may join those of the folds: not where these may only just keep a limit."""
    return planned.config.predictor.refit == "add" and not planned.config.bounds.keys() - {"fit_seconds"}


def joiners(planned: Plan, problem: Problem, trials: Sequence[Trial], seconds: float) -> list[Trial]:
    """The trials of which a model of all rows can be made in so many seconds, those first that cost least for their
    weight; with a fixed number of trials all of them, for then nothing may depend on the clock."""
    able = [
        trial
        for trial in trials
        if trial.rows is None and trial.folds and can_refit(planned.registry.families[trial.family])
    ]
    if planned.config.budget.trials is not None:
        return able
    able.sort(key=lambda trial: trial.fit_seconds / max(trial.weight, _TINY))
    chosen: list[Trial] = []
    for trial in able:
        if making(planned, problem, [*chosen, trial]) <= seconds:
            chosen.append(trial)
    return chosen


def refit_seconds(planned: Plan, problem: Problem, trials: Sequence[Trial]) -> float:
    """What it will take to fit members once more on all rows, by what their folds took; 0 if none is to be.

    Where they are to answer for themselves, that is as much as they need. Where they only join the others, and so only
    if the rest is worth the time too, it is a share of the budget at most; and nothing where that is next to nothing.
    """
    if joins(planned):
        most = _MOST * planned.config.seconds
        chosen = joiners(planned, problem, trials, (1 - MEASURED) * most)
        return making(planned, problem, chosen) + MEASURED * most if chosen else 0.0
    if planned.config.predictor.refit != "replace":
        return 0.0
    able = [trial for trial in trials if trial.folds and can_refit(planned.registry.families[trial.family])]
    return making(planned, problem, able) if able else 0.0


def making(planned: Plan, problem: Problem, trials: Sequence[Trial]) -> float:
    """Seconds that refits of trials are expected to take, side by side, and at most."""
    grown = len(problem.y) * problem.folds / sum(len(problem.fold(fold).train) for fold in range(problem.folds))
    each = [grown * trial.fit_seconds / len(trial.folds) for trial in trials]
    return _START + _MARGIN * max(sum(each) / planned.slots, *each, 0.0)


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


def job_of(planned: Plan, trial: Trial, fold: int | None) -> dict[str, Any]:
    """A fit of a trial once more, after the race: as `run_jobs` wants it."""
    return {
        "id": f"{trial.name}-{'all' if fold is None else fold}",
        "trial": trial.number,
        "fold": fold,
        "family": trial.family,
        "requires": list(planned.registry.families[trial.family].requires),
        "params": dict(trial.params),
        "rows": trial.rows,
        "seed": planned.config.seed + (fold or 0),
        "threads": planned.threads,
    }


def _job(planned: Plan, problem: Problem, trial: Trial) -> dict[str, Any]:
    said = [_recommended(problem, trial, fold) for fold in range(problem.folds)]
    told = {name: _mean([params[name] for params in said]) for name in said[0]}
    return {**job_of(planned, trial, None), "params": {**trial.params, **told}}


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
