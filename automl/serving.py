"""Serving: the models that answer for a trial, and what they take for a row."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial
from pathlib import Path

from automl.clock import call_seconds
from automl.data.problem import Problem
from automl.data.split import Split, repeats
from automl.family import Family
from automl.plan import Plan
from automl.run import Trial


def serving_folds(split: Split, *, joined: bool = False) -> list[int]:
    """The folds whose models predict, bagged: all of them; of a split over time the last one, which knows the most.

    Where k-fold is repeated and a model of all rows has `joined` them, those of the first time through the rows: the
    other times are there to judge by, and beside that model the mean of five is as good as that of fifteen.
    """
    if split.kind == "time":
        return [len(split.folds) - 1]
    once = joined and split.kind == "repeated"
    return list(range(len(split.folds) // (repeats(split.folds) if once else 1)))


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
