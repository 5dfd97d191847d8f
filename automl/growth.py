"""Growth: how much better the members of an ensemble would be with more rows, and so whether refits are worth it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from automl.data.problem import Problem
from automl.metrics import Metric, resolve
from automl.plan import Plan
from automl.refit import job_of, run_jobs
from automl.run import Trial
from automl.search.ensemble import blend
from automl.search.nested import deal, proven
from automl.serving import can_refit

_APART = 1_000_000  # what is added to the number of a trial for a fit of it that is no part of the race
_WANTED, _LEAST = 0.5, 0.2  # of the ensemble's weight, for the members that speak for all
_FOLD = 0.8  # of the time, for all of these on one fold
_FEW = 50  # validation rows, below which it is chance that says so
_CUT = 0.9  # of its deadline: a fit that took as long may have been cut short, and is no measure


def growth(planned: Plan, problem: Problem, members: Sequence[Trial], seconds: float) -> float:
    """By how much less the members lose, as a share, for being fitted on all rows of a fold and not on some of them.

    The rows that are left out are to those of a fold as these are to the whole table: what the members gained by the
    one step, they may be expected to gain by the next (learning curves are power laws: Hestness et al. 2017, "Deep
    learning scaling is predictable, empirically"). Members that have half of the weight or, if time is short, a
    fifth, and the cheapest for it, are fitted again, fold after fold. It is 0 where there is no time even for that,
    where too many need validation rows or were fitted on some of the rows anyway, where there are fewer than 50 rows to
    tell, and where the gain is not more than its standard error.

    Parameters
    ----------
    members : the trials of the ensemble, which know their weights.
    seconds : how long all of it may take.
    """
    chosen = _speakers(planned, members, _FOLD * seconds * planned.slots)
    if not chosen:
        return 0.0
    trained = [len(problem.fold(fold).train) for fold in range(problem.folds)]
    share = trained[-1] / len(problem.y)
    jobs = [
        {**job_of(planned, trial, fold), "trial": trial.number + _APART, "rows": round(share * trained[fold])}
        for fold in range(problem.folds)
        for trial in chosen
    ]
    outcomes = run_jobs(planned, problem, jobs, seconds)
    done = [fold for fold in range(problem.folds) if all(_whole(outcomes.get(f"{t.name}-{fold}")) for t in chosen)]
    if not done:
        return 0.0
    shares = np.array([trial.weight for trial in chosen])
    shares /= shares.sum()
    less, full = (
        blend([_answer(problem, trial.number + apart, done) for trial in chosen], shares) for apart in (_APART, 0)
    )
    valid = np.concatenate([problem.fold(fold).valid for fold in done])
    y, weight = problem.y[valid], None if problem.weight is None else problem.weight[valid]
    if len(y) < _FEW:
        return 0.0
    metric = _scaled(planned)
    strata = y if planned.task.classes else np.zeros(len(y), np.int8)
    if not proven(metric, y, less, full, deal(strata, planned.config.seed), weight):
        return 0.0
    before, after = (abs(metric.score(y, each, weight) - (metric.best or 0.0)) for each in (less, full))
    return 1 - after / before


def _speakers(planned: Plan, members: Sequence[Trial], seconds: float) -> list[Trial]:
    """Those that speak for all members, within so many seconds for a fold; none if they have too little weight."""
    able = [
        trial
        for trial in members
        if trial.rows is None and trial.folds and can_refit(planned.registry.families[trial.family])
    ]
    clocked = planned.config.budget.trials is None  # else what is chosen must not depend on the clock
    able.sort(key=lambda trial: trial.fit_seconds / trial.weight if clocked else -trial.weight)
    chosen: list[Trial] = []
    for trial in able:
        seconds -= trial.fit_seconds / len(trial.folds)
        if sum(other.weight for other in chosen) >= _WANTED or (clocked and seconds < 0):
            break
        chosen.append(trial)
    return chosen if sum(trial.weight for trial in chosen) >= _LEAST else []


def _whole(outcome: dict[str, Any] | None) -> bool:
    return outcome is not None and outcome["status"] == "ok" and outcome["fit_seconds"] < _CUT * outcome["deadline"]


def _answer(problem: Problem, number: int, folds: Sequence[int]) -> np.ndarray:
    return np.concatenate([np.load(problem.trial_folder(number, fold) / "predictions.npy") for fold in folds])


def _scaled(planned: Plan) -> Metric:
    """The run's metric if it has a perfect score, from which losses can be told in shares; else the usual one."""
    if planned.metric.best is not None:
        return planned.metric
    usual = "log_loss" if planned.task.classes else "rmse"
    return resolve(usual, planned.task.kind, planned.registry.metrics)
