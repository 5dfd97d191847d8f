"""The end of a run: the last choice of an ensemble, how it answers, its refits, and what was given up for speed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from automl.answer import Answer
from automl.bounds import broken, written
from automl.data.problem import Problem
from automl.growth import growth
from automl.keep import Ensemble, rate, save, weigh
from automl.plan import Plan
from automl.refit import MEASURED, joiners, joins, making, refit
from automl.run import Run, Trial
from automl.search.budget import Budget
from automl.search.calibrate import calibrate
from automl.search.stack import stack
from automl.serving import models_of, row_seconds

_GROWTH = 0.015  # the least gain by more rows for which refits are made
_SHARE = 3.0  # what a model of all rows has of its member's answer, as a multiple of the share of rows it has more


def conclude(
    run: Run, planned: Plan, problem: Problem, trials: Sequence[Trial], budget: Budget, *, seconds: float
) -> None:
    """Choose the ensemble for good, stack and calibrate it, refit its members where the config says so, and save it.

    Parameters
    ----------
    trials : those that ended well.
    seconds : how long choosing may take; refits have the rest of the budget.

    Raises
    ------
    StorageError : no room.
    """
    deadline = time.monotonic() + seconds
    ensemble = weigh(planned, problem, trials, deadline=deadline, steadily=True)
    answer, predictions = Answer(), ensemble.predictions
    if planned.task.classes:
        y, weight = problem.validated(problem.y), problem.validated(problem.weight)
        how: dict[str, Any] = {"seed": planned.config.seed, "deadline": deadline + seconds / 2}
        powers: tuple[float, ...] = ()
        if planned.config.search.stack:
            each = [problem.predictions(trial.number) for trial in ensemble.members]
            powers, predictions = stack(each, predictions, y, planned.metric, weight, **how)
        if powers:
            ensemble, powers = _raised(ensemble, powers), tuple(power for power in powers if power > 0)
        answer, predictions = calibrate(predictions, y, planned.metric, weight, **how)
        answer = replace(answer, powers=powers)
    rate(run, planned, problem, predictions)
    _tell_answer(run, planned, problem, ensemble, answer)
    bounds = planned.config.bounds
    if over := broken(ensemble.members[0].costs, bounds):
        run.notes.append(
            f"no trial keeps {written(bounds)}: {ensemble.members[0].name}, the nearest to it, answers ({over})"
        )
    save(run, planned, problem, ensemble.members, answer)
    said = planned.config.predictor
    refitted: dict[int, float] = {}
    failed: dict[str, str] = {}
    # The reserve is for choosing and saving, both of which are done once more when the refits are.
    until = budget.seconds - budget.reserve / 2
    if run.status != "interrupted" and ensemble.members[0].origin != "baseline":
        try:
            if said.refit == "replace":
                refitted, failed = refit(planned, problem, ensemble.members, until - budget.spent)
                run.notes += [
                    f"{name} was not refitted: its fold models answer ({why})" for name, why in failed.items()
                ]
            elif joins(planned):
                refitted, failed = _joining(run, planned, problem, ensemble.members, until, budget)
        except KeyboardInterrupt:  # there is a predictor: it is the one that was saved above
            run.status = run.why = "interrupted"
    if refitted or failed:
        run.log("refitted", trials=sorted(refitted), failed=failed, seconds=budget.spent)
    share = 1.0 if said.refit == "replace" else _share(problem)
    shares = dict.fromkeys(refitted, share)
    if refitted:
        save(run, planned, problem, ensemble.members, answer, shares)
    for trial in ensemble.members:
        trial.models = len(models_of(planned.split, shares.get(trial.number, 0.0)))
        if trial.models == 1:
            trial.row_seconds = refitted.get(trial.number, trial.row_seconds)
    if said.refit == "replace" or said.members is not None or bounds.keys() - {"fit_seconds"}:
        _tell_cost(run, planned, problem, trials, ensemble, shares, seconds)


def _joining(
    run: Run, planned: Plan, problem: Problem, members: Sequence[Trial], until: float, budget: Budget
) -> tuple[dict[int, float], dict[str, str]]:
    """Refit members on all rows, to join the models of their folds, if more rows are of use; as `refit`."""
    left = until - budget.spent
    able = joiners(planned, problem, members, (1 - MEASURED) * left)
    if not able:
        return {}, {}
    gain = growth(planned, problem, members, max(MEASURED * left, left - making(planned, problem, able)))
    run.log("growth", gain=gain, seconds=budget.spent)
    if gain < _GROWTH:
        return {}, {}
    left = until - budget.spent
    refitted, failed = refit(planned, problem, joiners(planned, problem, members, left), left)
    if refitted:
        does = "joins" if _share(problem) < 1 else "takes the place of"
        run.facts["refits"] = (
            f"a model of all rows {does} the fold models of {len(refitted)} of {len(members)} members: "
            f"with {1 + _step(problem):.3g} times the rows their loss was {gain:.1%} lower (out of fold)"
        )
    return refitted, failed


def _step(problem: Problem) -> float:
    """How many rows there are more than a fold trains on, as a share of these."""
    trained = len(problem.fold(problem.folds - 1).train)
    return (len(problem.y) - trained) / trained


def _share(problem: Problem) -> float:
    """What a model of all rows has of its member's answer.

    Of three folds, which lack a third of the rows, all: then it is one quick model. The more folds, the better is their
    mean, and the less it lacks.
    """
    return min(1.0, _SHARE * _step(problem))


def _tell_answer(run: Run, planned: Plan, problem: Problem, ensemble: Ensemble, answer: Answer) -> None:
    metric, what = planned.metric, ""
    plain = metric.score(problem.validated(problem.y), ensemble.predictions, problem.validated(problem.weight))
    if answer.weights and len(answer.weights) == 2:
        what = f"a row is {planned.task.classes[1]} from a probability of {answer.weights[0]:.3g} on"
    elif answer.weights:
        shown = zip(planned.task.classes, answer.weights, strict=True)
        what = "the label is by probability times " + ", ".join(f"{share:.3g} ({name})" for name, share in shown)
    elif answer.curve:
        what = f"probabilities are calibrated by a curve of {len(answer.curve)} points"
    elif answer.temperature != 1:
        what = f"probabilities are calibrated with temperature {answer.temperature:.3g}"
    told = ["the members are stacked"] * bool(answer.powers) + [what] * bool(what)
    if told:
        run.notes.append(f"{'; '.join(told)}: {metric.name} {run.score:.5g}, without {plain:.5g} (out of fold)")


def _raised(ensemble: Ensemble, powers: Sequence[float]) -> Ensemble:
    """The members that a stack counts, their shares of its powers as their weights."""
    for trial, power in zip(ensemble.members, powers, strict=True):
        trial.weight = power / sum(powers)
    return replace(ensemble, members=[trial for trial in ensemble.members if trial.weight > 0])


def _tell_cost(
    run: Run,
    planned: Plan,
    problem: Problem,
    trials: Sequence[Trial],
    ensemble: Ensemble,
    shares: Mapping[int, float],
    seconds: float,
) -> None:
    """What was given up for speed, and what it brought; `shares` of the models of all rows as in `save`."""
    metric, members = planned.metric, ensemble.members
    y, weight = problem.validated(problem.y), problem.validated(problem.weight)
    full = weigh(planned, problem, trials, deadline=time.monotonic() + seconds, limited=False, steadily=True)
    costs, besides = row_seconds(planned, problem, members)
    besides = besides if ensemble.besides is None else ensemble.besides  # the limit was kept by this measurement
    files = (file for file in (run.folder / "model" / "members").rglob("*") if file.is_file())
    spent = {"latency_ms": 1000 * (besides + sum(costs)), "size_mb": sum(file.stat().st_size for file in files) / 1e6}
    bounds = {name: bound for name, bound in planned.config.bounds.items() if name in spent}
    over = broken(spent, bounds)
    many = f"{len(members)} member{'s' * (len(members) > 1)}"
    if shares:
        does = "refitted on all rows" if max(shares.values()) == 1 else "joined by a model of all rows"
        many += f" {does}" if len(shares) == len(members) else f", {len(shares)} {does}"
    run.notes.append(
        f"predictor: {many}; out-of-fold {metric.name} {metric.score(y, ensemble.predictions, weight):.5g} against "
        f"{metric.score(y, full.predictions, weight):.5g} of the full ensemble; "
        f"about {spent['latency_ms']:.2g} ms a row, {spent['size_mb']:.2g} MB" + (f"; {over}" if over else "")
    )
