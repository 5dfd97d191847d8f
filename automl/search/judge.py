"""Judgement: whether a trial is worth its other folds, and whether a race is worth going on with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from automl.data.problem import Problem
from automl.run import Trial

_RIVALS = 3  # the best trials, whose mean stands for the ensemble
_SHARE = 0.3  # the share of a newcomer in the blend that says whether it has something to add
_ROWS = 300  # validation rows under which it is chance that says so
_GAIN = 1e-4  # of the gain over the baseline: the least that counts as one


def hopeless(
    problem: Problem, trial: Trial, folds: Sequence[int], rivals: Sequence[Trial], baseline: Trial | None, slack: float
) -> str:
    """Why a trial that has run `folds` need not run the others, or nothing.

    One that says the same as another of its family is that model again. Else it goes on if on these folds it is better
    than the best, or if it is not far behind and makes the mean of the best few better: what an ensemble wants of it is
    what the others lack. Which are the best, all of their folds say: those that lead on one fold have had luck with it.

    Parameters
    ----------
    rivals : trials that have run all folds, on as many rows.
    slack : how far it may be behind the best, as a share of that one's gain over the baseline; 0 for any.
    """
    if not slack or baseline is None or not rivals:
        return ""

    def mean(other: Trial, on: Sequence[int] | None = None) -> float:
        scores = other.folds if on is None else [other.folds[fold] for fold in on]
        return float(np.mean([problem.metric.loss(score) for score in scores]))

    for other in rivals:
        same = other.family == trial.family and [other.folds[fold] for fold in folds] == trial.folds
        if same and np.array_equal(_answer(problem, trial, folds), _answer(problem, other, folds)):
            return f"it says the same as {other.name}: its parameters differ in nothing that matters here"
    ranked = sorted(rivals, key=mean)
    best = mean(ranked[0], folds)
    behind, gain = mean(trial) - best, mean(baseline, folds) - best
    if behind <= 0:
        return ""
    n = len(folds)
    said = f"after {n} fold{'s' * (n > 1)} it was {behind:.4g} behind {ranked[0].name}"
    if behind > slack * max(0.0, gain):
        return said
    rows = sum(len(problem.fold(fold).valid) for fold in folds)
    if rows < _ROWS or len(ranked) < _RIVALS or _adds(problem, trial, folds, ranked[:_RIVALS], _GAIN * max(0.0, gain)):
        return ""
    return f"{said}, and added nothing to the best {_RIVALS}"


def foreseen(problem: Problem, trial: Trial, rivals: Sequence[Trial]) -> float:
    """The loss that a trial would have had on all folds, by those it has run; some folds are harder than others.

    How much harder, the best few of its rivals say, which have run all.
    """

    def loss(score: float | None) -> float:
        return math.nan if score is None else problem.metric.loss(score)

    n = len(trial.folds)
    best = sorted(rivals, key=lambda other: loss(other.score))[:_RIVALS]
    harder = [loss(other.score) - np.mean([loss(score) for score in other.folds[:n]]) for other in best]
    return float(np.mean([loss(score) for score in trial.folds]) + (np.mean(harder) if harder else 0.0))


def _adds(problem: Problem, trial: Trial, folds: Sequence[int], best: Sequence[Trial], least: float) -> bool:
    rows = np.concatenate([problem.fold(fold).valid for fold in folds])
    y, weight = problem.y[rows], None if problem.weight is None else problem.weight[rows]
    together = np.mean([_answer(problem, other, folds) for other in best], axis=0)
    joined = (1 - _SHARE) * together + _SHARE * _answer(problem, trial, folds)
    metric = problem.metric
    return metric.loss(metric.score(y, joined, weight)) < metric.loss(metric.score(y, together, weight)) - least


def _answer(problem: Problem, trial: Trial, folds: Sequence[int]) -> np.ndarray:
    """What it says of the validation rows of some folds, one after the other."""
    parts = [np.load(problem.trial_folder(trial.number, fold) / "predictions.npy") for fold in folds]
    return np.concatenate(parts).astype(np.float64)


@dataclass
class Plateau:
    """The ensemble's loss over time, and since when it has gained nothing that counts.

    Parameters
    ----------
    seconds : how long without a gain is a plateau.
    trials : and how many trials at least.
    """

    seconds: float
    trials: int = 20
    best: float = field(default=np.inf)
    since: float = 0.0
    since_trials: int = 0

    def note(self, now: float, trials: int, loss: float, baseline: float) -> None:
        """At `now` seconds, after so many trials, the ensemble had this loss, and the baseline that."""
        if not self.best - loss <= _GAIN * max(0.0, baseline - loss):
            self.best, self.since, self.since_trials = loss, now, trials

    def flat(self, now: float, trials: int) -> str:
        """Why going on would be in vain, or nothing."""
        if not self.seconds or not np.isfinite(self.best):
            return ""
        waited, tried = now - self.since, trials - self.since_trials
        if waited < self.seconds or tried < self.trials:
            return ""
        return f"the ensemble has not gained in the last {waited:.0f} s and {tried} trials"
