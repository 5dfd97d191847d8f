"""Serving: the models that answer for a trial, and what they take for a row."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial
from pathlib import Path

from automl.clock import call_seconds
from automl.data.problem import Problem
from automl.data.split import Split
from automl.family import Family
from automl.plan import Plan
from automl.run import Trial

_MARGIN = 1.3  # of what refits are expected to take
_START = 0.5  # seconds for the workers of the refits to start
_SHARE = 0.15  # of the budget, at most, for refits that join the models of the folds
_TINY = 1e-9
MEASURED = 1 / 3  # of that share, for finding out whether they should


def serving_folds(split: Split) -> list[int]:
    """The folds whose models predict: all of them, bagged; of a split over time the last one, which knows the most."""
    return [len(split.folds) - 1] if split.kind == "time" else list(range(len(split.folds)))


def can_refit(family: Family) -> bool:
    """Whether it can learn from all rows: it needs none for validation, or can say how to do without."""
    return "validation" not in family.can or "refit" in family.can


def models(planned: Plan, family: str) -> int:
    """How many models answer for a trial of a family: one a fold, or one that is refitted, as the config says."""
    refits = planned.config.predictor.refit == "replace" and can_refit(planned.registry.families[family])
    return 1 if refits else len(serving_folds(planned.split))


def row_seconds(
    planned: Plan, problem: Problem, trials: Sequence[Trial], refitted: Container[int] | None = None
) -> tuple[list[float], float]:
    """What each trial takes for a row as a member, and what a row takes besides: types and views.

    `refitted` are the numbers of those that answer by one model; None for those that are going to be, by the config.
    """
    folds = len(serving_folds(planned.split))
    families = [planned.registry.families[trial.family] for trial in trials]
    many = [
        models(planned, trial.family) if refitted is None else 1 if trial.number in refitted else folds
        for trial in trials
    ]
    costs = [n * (trial.row_seconds or 0.0) for n, trial in zip(many, trials, strict=True)]
    row = problem.table[:1]
    besides = call_seconds(partial(problem.schema.apply, row))
    eaten: dict[tuple[str, Path], int] = {}  # views of the first fold -> the folds that have one like it
    for trial, family, n in zip(trials, families, many, strict=True):
        eats = family.view_of(trial.params)
        view = eats, problem.view_folder(eats, 0, trial.rows)
        eaten[view] = max(n, eaten.get(view, 0))
    for view, n in eaten.items():
        besides += n * call_seconds(partial(problem.load_view(*view).transform, row))
    return costs, besides


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
        most = _SHARE * planned.config.seconds
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
