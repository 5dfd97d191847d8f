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
_FIT = 0.8  # of the time of a fold, for its fit; the rest is for its views, its predictions and saving them
_GRACE = 2.0  # seconds beyond the allowance of its trial after which a job is killed, if the run has as many
_SHARE, _FEW = 0.25, 4  # of the time left, for one trial, while few trials have a result
_LATER = 0.5  # and when more have
_LIMITS = 3.0  # a trial that was killed is taken to need so many times its limit


@dataclass
class _Entry:
    """A trial under way: the folds still to run."""

    trial: Trial
    candidate: Candidate
    pending: list[int]
    allowance: float
    scores: dict[int, float] = field(default_factory=dict)  # by fold: side by side, they end in any order


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
        self.notes: list[str] = []
        self._search, self._seed, self._threads, self._ended = search, seed, threads, ended
        self._baseline = Candidate(baseline, specs[baseline].candidates[0]) if baseline else None
        racing = {name: spec for name, spec in specs.items() if name != baseline}
        self._proposer = Proposer(racing, sampler=search.sampler, portfolio=search.portfolio, seed=seed)
        self._families = list(racing)
        self._entries: dict[int, _Entry] = {}
        self._under_way: dict[str, float] = {}  # jobs that the executor has, with their limits
        self._costs: dict[str, list[float]] = {}

    def run(self) -> list[Trial]:
        """Race to the end; the trials in the order they were started. Ctrl-C ends it early, with what there is."""
        try:
            while self.budget.left > 0:
                while len(self._under_way) < self.executor.slots and (job := self._next_job()):
                    self._under_way[job["id"]] = job["limit"]
                    self.executor.submit(job)
                if not self._under_way:
                    break
                for outcome in self.executor.wait(min(1.0, max(0.05, self.budget.left))):
                    self._take(outcome)
            else:
                self.why = "the time is spent"
        except KeyboardInterrupt:
            self.why = "interrupted"
        for entry in list(self._entries.values()):
            done = f"{len(entry.scores)} of {self.problem.folds} folds were done at the end of the run"
            self._end(entry, "unfinished", f"{done}: {self.why}")
        return self.trials

    @property
    def _done(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.status == "ok"]

    def _next_job(self) -> dict[str, Any] | None:
        """A further fold of the oldest trial under way, or else the first fold of a new trial."""
        entry = next((entry for entry in self._entries.values() if entry.pending), None) or self._new_trial()
        if entry is None:
            return None
        fold = entry.pending.pop(0)
        left = max(0.0, self.budget.left)
        mine = max(0.05, entry.allowance - entry.trial.fit_seconds)
        deadline = _FIT * min(left, mine) / (1 + len(entry.pending))
        return {
            "id": f"{entry.trial.number}-{fold}",
            "trial": entry.trial.number,
            "fold": fold,
            "family": entry.candidate.family,
            "params": dict(entry.candidate.params),
            "seed": self._seed + fold,
            "threads": self._threads,
            "deadline": deadline,
            "limit": min(left, mine + _GRACE),
        }

    def _new_trial(self) -> _Entry | None:
        if not self.trials and self._baseline is not None:
            return self._start(self._baseline, "baseline")
        begun = sum(trial.origin != "baseline" for trial in self.trials)
        if self.budget.trials is not None and begun >= self.budget.trials:
            self.why = f"budget.trials={self.budget.trials} is reached"
            return None
        affordable = {name: self._cost(name) * _MARGIN <= self.budget.left for name in self._families}
        proposal = self._proposer.next(affordable)
        if proposal is None:
            self.why = (
                "every candidate was tried" if all(affordable.values()) else "no further trial fits into the time left"
            )
            return None
        return self._start(*proposal)

    def _start(self, candidate: Candidate, origin: str) -> _Entry:
        trial = Trial(len(self.trials), candidate.family, candidate.params, origin)
        self.trials.append(trial)
        share = _SHARE if len(self._done) < _FEW else _LATER
        allowance = max(share * self.budget.left, _MARGIN * self._cost(candidate.family))
        if origin == "baseline":
            allowance = self.budget.left
        entry = _Entry(trial, candidate, list(range(self.problem.folds)), allowance)
        self._entries[trial.number] = entry
        return entry

    def _learn_cost(self, family: str, a_fold: float) -> None:
        self._costs.setdefault(family, []).append(a_fold * self.problem.folds)

    def _cost(self, family: str) -> float:
        """Seconds that a trial of the family is expected to take: the median of what its trials took, or would have."""
        return float(np.median(self._costs[family])) if family in self._costs else 0.0

    def _take(self, outcome: Mapping[str, Any]) -> None:
        limit = self._under_way.pop(outcome["id"])
        number, fold = map(int, outcome["id"].split("-"))
        entry = self._entries.get(number)
        killed = outcome["status"] == "timeout"
        if entry is None or (killed and self.budget.left <= 0):  # its trial, or the run, has ended already
            return
        trial = entry.trial
        if outcome["status"] != "ok":
            if killed:
                self._learn_cost(trial.family, _LIMITS * limit / self.problem.folds)
            self._end(entry, outcome["status"], outcome["reason"])
            return
        entry.scores[fold] = outcome["score"]
        self.notes += [note for note in outcome.get("notes", ()) if note not in self.notes]
        trial.folds = [entry.scores[i] for i in sorted(entry.scores)]
        trial.fit_seconds += outcome["fit_seconds"]
        trial.size += outcome["size"]
        trial.row_seconds = trial.row_seconds or outcome["row_seconds"]
        if len(entry.scores) == self.problem.folds:
            self._score(entry)
        elif entry.pending and (reason := self._hopeless(entry)):
            self._end(entry, "pruned", reason)
        elif entry.pending and (reason := self._too_slow(entry)):
            self._learn_cost(trial.family, trial.fit_seconds / len(entry.scores))
            self._end(entry, "timeout", reason)

    def _too_slow(self, entry: _Entry) -> str:
        """Why the other folds would not end in the time of the trial, or nothing."""
        n, m = len(entry.scores), len(entry.pending)
        a_fold, left = entry.trial.fit_seconds / n, entry.allowance - entry.trial.fit_seconds
        if entry.trial.origin == "baseline" or m * a_fold <= left + _GRACE:
            return ""
        return f"a fold took {a_fold:.1f} s: {m} more do not fit into the {max(0.0, left):.1f} s that it has left"

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

    def _hopeless(self, entry: _Entry) -> str:
        """Why a trial need not run its other folds, or nothing.

        It is compared with the best trial on the same folds; the slack is a share of that one's gain on the baseline.
        """
        baseline = next((trial for trial in self._done if trial.origin == "baseline"), None)
        others = [trial for trial in self._done if trial.origin != "baseline"]
        if not self._search.prune or entry.trial.origin == "baseline" or baseline is None or not others:
            return ""

        def mean(trial: Trial) -> float:
            scores = [trial.folds[i] for i in entry.scores] if trial is not entry.trial else trial.folds
            return float(np.mean([self.problem.metric.loss(score) for score in scores]))

        best = min(others, key=mean)
        behind, gain = mean(entry.trial) - mean(best), mean(baseline) - mean(best)
        n = len(entry.scores)
        hopeless = behind > self._search.prune * max(0.0, gain)
        return f"after {n} fold{'s' * (n > 1)} it was {behind:.4g} behind {best.name}" if hopeless else ""

    def _end(self, entry: _Entry, status: str, reason: str) -> None:
        trial = entry.trial
        trial.status, trial.reason = status, reason
        del self._entries[trial.number]
        if trial.origin != "baseline":
            if status in ("ok", "pruned"):
                self._learn_cost(trial.family, trial.fit_seconds / len(entry.scores))
            loss = self.problem.metric.loss
            seen = (
                trial.score
                if trial.score is not None
                else (float(np.mean(trial.folds)) if status == "pruned" else None)
            )
            self._proposer.tell(entry.candidate, None if seen is None else loss(seen))
        self._ended(trial)
