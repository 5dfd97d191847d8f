"""Serving: the models that answer for a trial, and what they take for a row."""

from __future__ import annotations

from collections.abc import Sequence
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


def models_of(split: Split, share: float) -> dict[int | None, float]:
    """The folds whose models answer for a trial, None for that of all rows, each with its part of the answer.

    Parameters
    ----------
    share : the part of the model of all rows; 0 where there is none, and with 1 no other answers.
    """
    folds = serving_folds(split, joined=share > 0)
    answering: dict[int | None, float] = {fold: (1 - share) / len(folds) for fold in folds if share < 1}
    return answering | ({None: share} if share else {})


def can_refit(family: Family) -> bool:
    """Whether it can learn from all rows: it needs none for validation, or can say how to do without."""
    return "validation" not in family.can or "refit" in family.can


def models(planned: Plan, family: str) -> int:
    """How many models answer for a trial of a family: one a fold, or one that is refitted, as the config says."""
    refits = planned.config.predictor.refit == "replace" and can_refit(planned.registry.families[family])
    return 1 if refits else len(serving_folds(planned.split))


def row_seconds(planned: Plan, problem: Problem, trials: Sequence[Trial]) -> tuple[list[float], float]:
    """What each trial takes for a row as a member, by all of its models, and what a row takes besides: types, views."""
    row = problem.table[:1]
    besides = call_seconds(partial(problem.schema.apply, row))
    eaten: dict[tuple[str, Path], int] = {}  # views of the first fold -> the models that have one like it
    for trial in trials:
        eats = planned.registry.families[trial.family].view_of(trial.params)
        view = eats, problem.view_folder(eats, 0, trial.rows)
        eaten[view] = max(trial.models, eaten.get(view, 0))
    for view, n in eaten.items():
        besides += n * call_seconds(partial(problem.load_view(*view).transform, row))
    return [trial.models * (trial.row_seconds or 0.0) for trial in trials], besides
