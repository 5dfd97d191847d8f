"""The race: propose a candidate, evaluate it fold by fold, learn from the outcome, until the budget ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from automl.config import SearchConf
from automl.data.problem import Problem
from automl.execute import Executor
from automl.family import Candidate, FamilySpec
from automl.metrics import interval
from automl.run import Trial
from automl.search.budget import Budget
from automl.search.propose import Proposer

_MARGIN = 1.3  # a trial is started if the time left is this much more than its family has needed
_GRACE = 2.0  # seconds beyond the deadline after which a job is killed
_SHARE = 0.25  # of the time left, for one trial, while few trials have a result
_FEW = 4


@dataclass
class _Entry:
    """A trial under way: the folds still to run."""

    trial: Trial
    candidate: Candidate
    pending: list[int]
    allowance: float
    running: int = 0
    rows: list[float] = field(default_factory=list)


class Race:
    """Runs trials until the budget ends, the candidates run out, or somebody interrupts.

    Parameters
    ----------
    problem, specs, search, baseline, seed : what to learn, who races, how; `baseline` names the family that runs first.
    executor : where jobs run; `threads`: the cores that a job may use.
    budget : what may be spent.
    ended : called with each trial that has ended.
    """

    def __init__(
        self,
        problem: Problem,
        specs: Mapping[str, FamilySpec],
        search: SearchConf,
        *,
        baseline: str | None,
        seed: int,
        executor: Executor,
        threads: int,
        budget: Budget,
        ended: Callable[[Trial], None],
    ) -> None:
        self.problem, self.executor, self.budget = problem, executor, budget
        self.trials: list[Trial] = []
        self.why = ""
        self._search, self._seed, self._threads, self._ended = search, seed, threads, ended
        self._baseline = Candidate(baseline, specs[baseline].candidates[0]) if baseline else None
        racing = {name: spec for name, spec in specs.items() if name != baseline}
        self._proposer = Proposer(racing, sampler=search.sampler, portfolio=search.portfolio, seed=seed)
        self._families = list(racing)
        self._entries: dict[int, _Entry] = {}
        self._costs: dict[str, list[float]] = {}

    def run(self) -> list[Trial]:
        """Race to the end; the trials in the order they were started. Ctrl-C ends it early, with what there is."""
        try:
            while self.budget.left > 0:
                while self._busy < self.executor.slots and (job := self._next_job()):
                    self.executor.submit(job)
                if not self._busy:
                    break
                for outcome in self.executor.wait(min(1.0, max(0.05, self.budget.left))):
                    self._take(outcome)
            self.why = self.why or "the time is spent"
        except KeyboardInterrupt:
            self.why = "interrupted"
        for entry in list(self._entries.values()):
            self._end(
                entry, "unfinished", f"{len(entry.trial.folds)} of {self.problem.folds} folds were done when {self.why}"
            )
        return self.trials

    @property
    def _busy(self) -> int:
        return sum(entry.running for entry in self._entries.values())

    @property
    def _done(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.status == "ok"]

    def _next_job(self) -> dict[str, Any] | None:
        """A further fold of the oldest trial under way, or else the first fold of a new trial."""
        entry = next((entry for entry in self._entries.values() if entry.pending), None) or self._new_trial()
        if entry is None:
            return None
        fold = entry.pending.pop(0)
        entry.running += 1
        left = min(self.budget.left, entry.allowance - entry.trial.fit_seconds)
        deadline = max(0.05, left / (1 + len(entry.pending)))
        return {
            "id": f"{entry.trial.number}-{fold}",
            "trial": entry.trial.number,
            "fold": fold,
            "family": entry.candidate.family,
            "params": dict(entry.candidate.params),
            "seed": self._seed + fold,
            "threads": self._threads,
            "deadline": deadline,
            "limit": 1.5 * deadline + _GRACE,
        }

    def _new_trial(self) -> _Entry | None:
        if not self.trials and self._baseline is not None:
            return self._start(self._baseline, "baseline")
        begun = sum(trial.origin != "baseline" for trial in self.trials)
        if self.budget.trials is not None and begun >= self.budget.trials:
            self.why = f"budget.trials={self.budget.trials} are done"
            return None
        affordable = {name: self._cost(name) * _MARGIN <= self.budget.left for name in self._families}
        proposal = self._proposer.next(affordable)
        if proposal is None:
            self.why = (
                "no candidate is left that is new and fits into the time"
                if all(affordable.values())
                else "the time is spent"
            )
            return None
        return self._start(*proposal)

    def _start(self, candidate: Candidate, origin: str) -> _Entry:
        trial = Trial(len(self.trials), candidate.family, candidate.params, origin)
        self.trials.append(trial)
        share = _SHARE if len(self._done) < _FEW else 1.0
        entry = _Entry(trial, candidate, list(range(self.problem.folds)), share * self.budget.left)
        self._entries[trial.number] = entry
        return entry

    def _cost(self, family: str) -> float:
        """Seconds that a trial of the family is expected to take: the median of those it had."""
        return float(np.median(self._costs[family])) if family in self._costs else 0.0

    def _take(self, outcome: Mapping[str, Any]) -> None:
        number = int(outcome["id"].split("-")[0])
        entry = self._entries.get(number)
        if entry is None:  # its trial has ended already
            return
        trial = entry.trial
        entry.running -= 1
        if outcome["status"] != "ok":
            self._end(entry, outcome["status"], outcome["reason"])
            return
        trial.folds.append(outcome["score"])
        trial.fit_seconds += outcome["fit_seconds"]
        trial.size += outcome["size"]
        trial.row_seconds = trial.row_seconds or outcome["row_seconds"]
        if not entry.pending and not entry.running:
            self._score(entry)
        elif entry.pending and (reason := self._hopeless(trial)):
            self._end(entry, "pruned", reason)

    def _score(self, entry: _Entry) -> None:
        trial, metric = entry.trial, self.problem.metric
        y, weight = self.problem.validated(self.problem.y), self.problem.validated(self.problem.weight)
        predictions = self.problem.predictions(trial.number)
        trial.score = metric.score(y, predictions, weight)
        if not math.isfinite(trial.score):
            trial.score = None
            self._end(entry, "failed", f"{metric.name} on its validation rows is not a number")
            return
        trial.low, trial.high = interval(metric, y, predictions, weight, seed=self._seed)
        self._end(entry, "ok", "")

    def _hopeless(self, trial: Trial) -> str:
        """Why a trial need not run its other folds, or nothing.

        It is compared with the best trial on the same folds; the slack is a share of that one's gain on the baseline.
        """
        done = [t for t in self._done if t.origin != "baseline" and len(t.folds) >= len(trial.folds)]
        if not self._search.prune or trial.origin == "baseline" or not done or not self._done:
            return ""
        n = len(trial.folds)
        loss = self.problem.metric.loss
        mean = {t.number: float(np.mean([loss(s) for s in t.folds[:n]])) for t in [*done, self.trials[0], trial]}
        best = min(done, key=lambda t: mean[t.number])
        slack = self._search.prune * max(0.0, mean[self.trials[0].number] - mean[best.number])
        behind = mean[trial.number] - mean[best.number]
        return f"after {n} folds it was {behind:.4g} behind {best.name}" if behind > slack else ""

    def _end(self, entry: _Entry, status: str, reason: str) -> None:
        trial = entry.trial
        trial.status, trial.reason = status, reason
        del self._entries[trial.number]
        if trial.origin != "baseline":
            if status == "ok":
                self._costs.setdefault(trial.family, []).append(trial.fit_seconds)
            loss = self.problem.metric.loss
            seen = (
                trial.score
                if trial.score is not None
                else (float(np.mean(trial.folds)) if status == "pruned" else None)
            )
            self._proposer.tell(entry.candidate, None if seen is None else loss(seen))
        self._ended(trial)
