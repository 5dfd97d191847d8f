"""Keep the best so far: choose an ensemble of the trials that ended well, and save it as the run's predictor."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl.answer import Answer
from automl.artifact import seal, written_whole
from automl.bounds import excess
from automl.data.problem import Problem
from automl.metrics import Metric, interval
from automl.plan import Plan
from automl.run import Run, Trial, versions
from automl.search.ensemble import Choice, blend, select, select_steadily
from automl.serving import models_of, row_seconds

_MOST = 50  # trials among which an ensemble is chosen


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
    ensemble = weigh(planned, problem, trials, deadline=deadline)
    rate(run, planned, problem, ensemble.predictions)
    save(run, planned, problem, ensemble.members, Answer())
    assert run.score is not None
    return planned.metric.loss(run.score)


@dataclass(frozen=True)
class Ensemble:
    """The trials that were chosen, which know their weights, and what they together predict out of fold.

    That is their blend or, where they were chosen steadily, `Choice.unseen`.
    `besides` is what a row takes besides the models, in seconds, where there is a limit on that.
    """

    members: list[Trial]
    predictions: np.ndarray
    besides: float | None = None


def weigh(
    planned: Plan,
    problem: Problem,
    trials: Sequence[Trial],
    *,
    deadline: float,
    limited: bool = True,
    steadily: bool = False,
) -> Ensemble:
    """Choose the ensemble, within the limits on its members and its costs if `limited`, and set the trials' weights.

    If `steadily`, it is the mean of several choices where that keeps them, see `select_steadily`. Trials that break a
    bound are left out; if all do, the nearest answers alone. Without limits the ensemble is only to compare with, and
    the weights stay as they are.
    """
    config = planned.config
    chosen = [trial for trial in trials if trial.origin != "baseline"] or list(trials)
    bounds = config.bounds if limited else {}
    if bounds:
        over = [sum(max(0.0, share) for share in excess(trial.costs, bounds).values()) for trial in chosen]
        kept = [trial for trial, share in zip(chosen, over, strict=True) if not share]
        chosen = kept or [chosen[int(np.argmin(over))]]
    limits: dict[str, Any] = {"most": config.predictor.members} if limited else {}
    besides = None
    shared = [name for name in bounds if name != "fit_seconds"]
    room = np.ones(len(shared))
    if "latency_ms" in bounds:
        _, besides = row_seconds(planned, problem, chosen)
        room[shared.index("latency_ms")] -= 1000 * besides / bounds["latency_ms"]

    def shares_of(trial: Trial) -> list[float]:
        return [trial.costs[name] / bounds[name] for name in shared]

    if affordable := [trial for trial in chosen if (np.array(shares_of(trial)) <= room).all()]:
        chosen = _shortlist(affordable, planned.metric)
    if shared:
        limits |= {"costs": np.array([shares_of(trial) for trial in chosen]), "limits": room}
    y, weight = problem.validated(problem.y), problem.validated(problem.weight)
    predictions = [problem.predictions(trial.number) for trial in chosen]
    rounds, seed = config.search.ensemble, config.seed
    how: dict[str, Any] = {"rounds": rounds, "seed": seed, "deadline": deadline}
    kinds = [trial.family for trial in chosen]
    if steadily:
        choice = select_steadily(predictions, y, planned.metric, weight, kinds=kinds, **how, **limits)
    else:
        shares = select(predictions, y, planned.metric, weight, **how, **limits)
        choice = Choice(shares, blend(predictions, shares))
    shares = choice.weights
    members = [trial for trial, share in zip(chosen, shares, strict=True) if share > 0]
    if limited:
        for trial in trials:
            trial.weight = 0.0
        for trial, share in zip(chosen, shares, strict=True):
            trial.weight = float(share)
    return Ensemble(members, choice.unseen, besides)


def _shortlist(trials: Sequence[Trial], metric: Metric) -> list[Trial]:
    """At most 50 trials: the best 25, and then the best of every family, its second best, and so on.

    The best of a long search are all much alike, and what they lack is among the others.
    """
    ranked = sorted(trials, key=lambda trial: math.inf if trial.score is None else metric.loss(trial.score))
    best, rest = ranked[: _MOST // 2], ranked[_MOST // 2 :]
    places: dict[str, int] = {}
    in_turn = []
    for place, trial in enumerate(rest):
        places[trial.family] = places.get(trial.family, -1) + 1
        in_turn.append((places[trial.family], place))
    taken = [rest[place] for _, place in sorted(in_turn)[: _MOST - len(best)]]
    return sorted([*best, *taken], key=lambda trial: trial.number)


def rate(run: Run, planned: Plan, problem: Problem, predictions: np.ndarray) -> None:
    """Set the run's score and its interval to those of out-of-fold predictions."""
    y, weight = problem.validated(problem.y), problem.validated(problem.weight)
    run.score = planned.metric.score(y, predictions, weight)
    run.low, run.high = interval(planned.metric, y, predictions, weight, seed=planned.config.seed)


def save(
    run: Run,
    planned: Plan,
    problem: Problem,
    members: Sequence[Trial],
    answer: Answer,
    refitted: Mapping[int, float] | None = None,
) -> None:
    """Save weighed trials as ``run.folder / "model"``: one model a fold, and of those `refitted` that of all rows.

    Parameters
    ----------
    refitted : number -> the share that the model of all rows has in the trial's answer; with all of it, the models of
        the folds are left out.

    Raises
    ------
    StorageError : no room.
    """
    with written_whole(run.folder / "model") as draft:
        _save(draft, run, planned, problem, members, answer, refitted or {})


def _save(
    draft: Path,
    run: Run,
    planned: Plan,
    problem: Problem,
    chosen: Sequence[Trial],
    answer: Answer,
    refitted: Mapping[int, float],
) -> None:
    members, views = [], set()
    for trial in chosen:
        family = planned.registry.families[trial.family]
        for fold, part in models_of(planned.split, refitted.get(trial.number, 0.0)).items():
            name = f"{trial.name}-{'all' if fold is None else fold}"
            view = problem.view_folder(family.view_of(trial.params), fold, trial.rows)
            _linked(problem.trial_folder(trial.number, fold) / "model", draft / "members" / name)
            members.append(
                {
                    "name": name,
                    "trial": trial.name,
                    "family": trial.family,
                    "plugin": family.plugin,
                    "view": view.name,
                    "weight": trial.weight * part,
                }
            )
            views.add(view)
    for view in views:
        _linked(view, draft / "views" / view.name)
    seal(
        draft,
        {
            "task": planned.task.to_dict(),
            "schema": planned.schema.to_dict(),
            "aside": [name for name in (run.config.weight, run.config.split.column) if name is not None],
            "views": sorted(view.name for view in views),
            "members": members,
            "answer": answer.to_dict(),
            "repeats": problem.repeats,
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
