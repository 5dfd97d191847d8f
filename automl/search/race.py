"""The race: propose a candidate, evaluate it fold by fold, learn from the outcome, until the budget ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from automl.bounds import broken, excess
from automl.config import SearchConf
from automl.data.problem import Problem
from automl.execute import Executor
from automl.family import Candidate, FamilySpec
from automl.metrics import interval
from automl.run import Trial
from automl.search.allowance import Allowances
from automl.search.budget import Budget
from automl.search.cost import prior
from automl.search.judge import Plateau, foreseen, hopeless
from automl.search.order import Facts, learned
from automl.search.propose import Proposer

_WAVES = (1, 3)  # a trial is judged after so many folds
_LONG = 1 / 3  # of the time of all cores: an entry of the portfolio that takes more is expected to gain less
_DRAW = 0.25  # of the time left, for a draw of a sampler that takes its time
_OVERHEAD = 0.05  # seconds that a job takes besides its fit
_LAG = 4  # where the number of trials ends a run: a proposal knows the outcomes of all but the last few before it


@dataclass
class _Entry:
    """A trial under way: the folds still to run, and those that the executor has."""

    trial: Trial
    candidate: Candidate
    pending: list[int]
    allowance: float  # seconds of fits, all folds together
    wave: list[int] = field(default_factory=list)
    out: int = 0
    scores: dict[int, float] = field(default_factory=dict)  # by fold: side by side, they end in any order


class Race:
    """Runs trials until the budget ends, the candidates run out, nothing more is gained, or somebody interrupts.

    With `budget.trials` it does not matter how many run side by side: a trial is proposed, and judged, by the outcomes
    of those that began at least `_LAG` before it, and by these whether or not others have ended too.

    Parameters
    ----------
    problem, specs, search, baseline, seed : what to learn, who races, how; `baseline` names the family that runs first.
    executor : where jobs run; `threads`: the cores that a job may use.
    budget : what may be spent.
    report : called with each trial when it begins and when it has ended.
    bounds : upper bounds on the costs of a trial, by name; one that breaks them says so and is told to the sampler.
    models : family -> how many models answer for a trial of it in a predictor; one a fold where it is not said.
    keep : called with the trials that ended well so far, to keep the best ensemble of them; gives its loss. It is
        called at once for the first two, and then when that costs little beside the time since the last call.
    earlier : the trials of this race before it was cut off, in order. Those that had ended are not run again; those
        that were running are.
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
        report: Callable[[Trial], None],
        bounds: Mapping[str, float] | None = None,
        models: Mapping[str, int] | None = None,
        keep: Callable[[list[Trial]], float] = lambda trials: math.nan,
        earlier: Sequence[Trial] = (),
    ) -> None:
        self.problem, self.executor, self.budget = problem, executor, budget
        self.trials: list[Trial] = []
        self.why = ""
        self.notes: list[str] = []
        self._search, self._seed, self._threads, self._report, self._keep = search, seed, threads, report, keep
        self._bounds, self._models = bounds or {}, models or {}
        self._others = [name for name in search.objectives if name != "loss"]
        racing = {name: spec for name, spec in specs.items() if name != baseline}
        rows = len(problem.fold(0).train)
        rungs = (*(rung for rung in sorted(search.rungs) if rung <= rows / 3), None)
        self._baseline = Candidate(baseline, specs[baseline].candidates[0], rungs[0]) if baseline else None
        facts = Facts.of(problem.task, problem.schema, rows)
        most = _LONG * budget.seconds * executor.slots * threads / problem.folds
        self._proposer = Proposer(
            racing,
            sampler=search.sampler,
            portfolio=search.portfolio,
            seed=seed,
            rungs=rungs,
            objectives=1 + len(self._others),
            order=partial(learned, facts=facts, specs=racing, most=math.inf if budget.trials is not None else most)
            if search.order == "learned"
            else list,
        )
        priors = {name: prior(spec, rows, facts.columns, facts.classes) / threads for name, spec in racing.items()}
        self._allowances = Allowances(problem, executor, budget, priors, rows)
        self._plateau = Plateau(search.patience * budget.seconds)
        self._candidates: dict[int, Candidate] = {}
        self._entries: dict[int, _Entry] = {}
        self._broken: dict[int, str] = {}  # trials whose family breaks the contract, and how
        self._under_way: dict[str, float] = {}  # jobs that the executor has, with their limits
        self._kept, self._kept_at, self._keeping = 0, 0.0, 0.0
        for trial in earlier:
            self._restore(trial)

    def run(self) -> list[Trial]:
        """Race to the end; the trials in the order they were started. Ctrl-C ends it early, with what there is."""
        try:
            while self.budget.left > 0 and not self._flat():
                while len(self._under_way) < self.executor.slots and (job := self._next_job()):
                    self._under_way[job["id"]] = job["limit"]
                    self.executor.submit(job)
                if not self._under_way:
                    break
                for outcome in self.executor.wait(min(1.0, max(0.05, self.budget.left))):
                    self._take(outcome)
                self._keep_best()
            else:
                self.why = self.why or "the time is spent"
        except KeyboardInterrupt:
            self.why = "interrupted"
        for entry in list(self._entries.values()):
            done = f"{len(entry.scores)} of {self.problem.folds} folds were done at the end of the run"
            self._end(entry, "unfinished", f"{done}: {self.why}")
        self.notes += self._proposer.notes
        return self.trials

    def settle(self) -> int:
        """Take trials that have run but their first folds for what these say: a model in place of none.

        Returns
        -------
        How many folds: as many as any of them has run, from the first one on; 0 if there is none.
        """
        begun = [trial for trial in self.trials if trial.status in ("unfinished", "timeout")]
        most = max((self._leading(trial) for trial in begun if trial.origin != "baseline"), default=0)
        self.problem = replace(self.problem, folds=most)
        for trial in (*begun, *self._well) if most else ():
            if self._leading(trial) >= most:
                trial.folds, trial.reason = trial.folds[:most], f"of its folds, only the first {most} count: {self.why}"
                trial.status = "ok" if self._rate(trial) else "failed"
                self._report(trial)
        return most

    def _leading(self, trial: Trial) -> int:
        done = [self.problem.trial_folder(trial.number, fold).exists() for fold in range(len(trial.folds))]
        return [*done, False].index(False)

    # What runs next

    def _next_job(self) -> dict[str, Any] | None:
        """A further fold of the oldest trial under way, or else the first fold of a new trial."""
        entry = next((entry for entry in self._entries.values() if entry.wave), None) or self._new_trial()
        if entry is None:
            return None
        fold = entry.wave.pop(0)
        entry.out += 1
        family, others = self.problem.registry.families.get(entry.candidate.family), [*entry.wave, *entry.pending]
        allowed = entry.allowance - entry.trial.fit_seconds
        deadline, limit = self._allowances.of_job(entry.candidate, fold, others, allowed)
        return {
            "id": f"{entry.trial.number}-{fold}",
            "trial": entry.trial.number,
            "fold": fold,
            "family": entry.candidate.family,
            "requires": list(family.requires) if family else [],
            "params": dict(entry.candidate.params),
            "rows": entry.candidate.rows,
            "seed": self._seed + fold,
            "threads": self._threads,
            "deadline": deadline,
            "limit": limit,
        }

    def _new_trial(self) -> _Entry | None:
        if not self.trials and self._baseline is not None:
            return self._start(self._baseline, "baseline")
        begun = sum(trial.origin != "baseline" for trial in self.trials)
        if self.budget.trials is not None and begun >= self.budget.trials:
            self.why = f"budget.trials={self.budget.trials} is reached"
            return None
        if self.budget.trials is not None and any(
            trial.status == "running" for trial in self._before(len(self.trials))
        ):
            return None
        self._tell(self._before(len(self.trials)))
        dear: list[str] = []

        def affordable(family: str, rows: int | None) -> bool:
            fits = self._allowances.carry(family, rows) or not self._done
            if not fits:
                dear.append(family)
            return fits

        # What a draw may take must not depend on the clock where the number of trials is to decide.
        within = self.budget.left * (_DRAW if self.budget.trials is None else 1.0)
        proposal = self._proposer.next(affordable, within)
        if proposal is None:
            self.why = "no further trial fits into the time left" if dear else "every candidate was tried"
            return None
        return self._start(*proposal)

    def _start(self, candidate: Candidate, origin: str) -> _Entry:
        return self._begin(Trial(len(self.trials), candidate.family, candidate.params, origin, rows=candidate.rows))

    def _begin(self, trial: Trial) -> _Entry:
        candidate = Candidate(trial.family, trial.params, trial.rows)
        trial.models = self._models.get(trial.family, self.problem.folds)
        self.trials.append(trial)
        self._candidates[trial.number] = candidate
        whole = trial.origin == "baseline" or self.budget.trials is not None
        allowance = self._allowances.all_left if whole else self._allowances.of_trial(candidate, len(self._done))
        entry = _Entry(trial, candidate, list(range(self.problem.folds)), allowance)
        self._next_wave(entry)
        self._entries[trial.number] = entry
        self._report(trial)
        return entry

    def _next_wave(self, entry: _Entry) -> None:
        run = len(entry.scores)
        size = next((wave - run for wave in _WAVES if wave > run), len(entry.pending))
        entry.wave, entry.pending = entry.pending[:size], entry.pending[size:]

    # What came of it

    def _take(self, outcome: Mapping[str, Any]) -> None:
        limit = self._under_way.pop(outcome["id"])
        number, fold = map(int, outcome["id"].split("-"))
        entry = self._entries.get(number)
        killed = outcome["status"] == "timeout"
        if entry is None or (killed and self.budget.left <= 0):  # its trial, or the run, has ended already
            return
        entry.out -= 1
        trial = entry.trial
        if outcome["status"] != "ok":
            if outcome.get("broken"):
                self._broken[number] = outcome["reason"]
            if killed:
                self._allowances.learn_killed(entry.candidate, limit)
            self._end(entry, outcome["status"], outcome["reason"])
            return
        entry.scores[fold] = outcome["score"]
        self._allowances.learn_view(entry.candidate, outcome["view_seconds"])
        self.notes += [note for note in outcome.get("notes", ()) if note not in self.notes]
        trial.folds = [entry.scores[i] for i in sorted(entry.scores)]
        trial.fit_seconds += outcome["fit_seconds"]
        trial.size += outcome["size"]
        trial.row_seconds = trial.row_seconds or outcome["row_seconds"]
        if len(entry.scores) == self.problem.folds:
            self._score(entry)
        elif not entry.wave and not entry.out:
            if reason := self._hopeless(entry):
                self._end(entry, "pruned", reason)
            elif reason := self._too_slow(entry):
                self._end(entry, "timeout", reason)
            else:
                self._next_wave(entry)

    def _too_slow(self, entry: _Entry) -> str:
        """Why the other folds would not end in the time of the trial, or nothing."""
        if entry.trial.origin == "baseline":
            return ""
        spent = entry.trial.fit_seconds
        a_fold, allowed = spent / len(entry.scores), entry.allowance - spent
        return self._allowances.too_slow(entry.candidate, a_fold, entry.pending, allowed)

    def _score(self, entry: _Entry) -> None:
        if self._rate(entry.trial):
            self._end(entry, "ok", broken(entry.trial.costs, self._bounds))
        else:
            self._end(entry, "failed", f"{self.problem.metric.name} on its validation rows is not a number")

    def _rate(self, trial: Trial) -> bool:
        """Set its score and interval; False, and neither, if the metric is not defined on its validation rows."""
        problem, metric = self.problem, self.problem.metric
        y, weight = problem.validated(problem.y), problem.validated(problem.weight)
        predictions = self.problem.predictions(trial.number)
        score = metric.score(y, predictions, weight)
        if not math.isfinite(score):
            return False
        trial.score = score
        trial.low, trial.high = interval(metric, y, predictions, weight, seed=self._seed)
        return True

    def _hopeless(self, entry: _Entry) -> str:
        trial = entry.trial
        if trial.origin == "baseline":
            return ""
        known = self._before(trial.number)
        baseline = next((other for other in known if other.origin == "baseline" and other.status == "ok"), None)
        folds, rivals = sorted(entry.scores), self._rivals(trial)
        return hopeless(self.problem, trial, folds, rivals, baseline, self._search.prune)

    def _rivals(self, trial: Trial) -> list[Trial]:
        """The trials on as many rows that have run all folds."""
        known = [other for other in self._before(trial.number) if other.status == "ok" and other.origin != "baseline"]
        return [other for other in known if other.rows == trial.rows]

    def _end(self, entry: _Entry, status: str, reason: str) -> None:
        trial = entry.trial
        trial.status, trial.reason = status, reason
        del self._entries[trial.number]
        if entry.scores and status in ("ok", "pruned", "timeout"):
            self._allowances.learn(entry.candidate, trial.fit_seconds / len(entry.scores))
        self._report(trial)

    # What is known

    @property
    def _well(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.status == "ok"]

    @property
    def _done(self) -> list[Trial]:
        return [trial for trial in self._well if trial.origin != "baseline"]

    def _before(self, number: int) -> list[Trial]:
        """The trials whose outcome a decision about trial `number` may rest on; all that ended, but see `_LAG`."""
        return self.trials if self.budget.trials is None else self.trials[: max(0, number + 1 - _LAG)]

    def _tell(self, trials: list[Trial]) -> None:
        """Tell the proposer what it was not told yet, in the order in which the trials began."""
        for trial in trials:
            if trial.number in self._candidates and trial.status != "running":
                candidate = self._candidates.pop(trial.number)
                if trial.number in self._broken:
                    self._proposer.drop(trial.family)
                    self.notes.append(f"{trial.family} is left out: {self._broken[trial.number]}")
                if trial.origin == "baseline":
                    continue
                loss = None if trial.score is None else self.problem.metric.loss(trial.score)
                if trial.status == "pruned":
                    loss = foreseen(self.problem, trial, self._rivals(trial))
                cost = (
                    1.0 if self.budget.trials is not None else trial.fit_seconds + _OVERHEAD * max(1, len(trial.folds))
                )
                costs = trial.costs
                costs["fit_seconds"] *= self.problem.folds / max(1, len(trial.folds))
                others = [costs[name] for name in self._others]
                self._proposer.tell(candidate, loss, cost, others, excess(costs, self._bounds))

    def _restore(self, trial: Trial) -> None:
        candidate = Candidate(trial.family, trial.params, trial.rows)
        if trial.origin != "baseline":
            if self.budget.trials is not None:  # what was drawn then is drawn again, so that the draws after it are too
                self._tell(self._before(trial.number))
                self._proposer.next()
            self._proposer.skip(candidate)
        if trial.status == "running" or (trial.status == "ok" and len(trial.folds) < self.problem.folds):
            self._begin(Trial(trial.number, trial.family, trial.params, trial.origin, rows=trial.rows))
            return
        trial.models = self._models.get(trial.family, self.problem.folds)  # one that was refitted had another number
        if trial.status == "ok":
            trial.reason = broken(trial.costs, self._bounds)  # budget.latency may be another than it was
        self.trials.append(trial)
        self._candidates[trial.number] = candidate
        if trial.folds:
            self._allowances.learn(candidate, trial.fit_seconds / len(trial.folds))

    def _keep_best(self) -> None:
        """Have the best so far kept, if there is something new and it costs little beside what went by."""
        well = self._well
        now = self.budget.spent
        due = self._kept_at + max(10 * self._keeping, 0.02 * self.budget.seconds)
        if len(well) == self._kept or (len(well) > 2 and now < due):
            return
        loss = self._keep(well)
        self._kept, self._kept_at, self._keeping = len(well), self.budget.spent, self.budget.spent - now
        baseline = next((t.score for t in well if t.origin == "baseline" and t.score is not None), None)
        if baseline is not None and math.isfinite(loss):
            self._plateau.note(now, len(self.trials), loss, self.problem.metric.loss(baseline))

    def _flat(self) -> bool:
        if self.budget.trials is not None or self._proposer.portfolio_left:
            return False
        self.why = self._plateau.flat(self.budget.spent, len(self.trials)) or self.why
        return self.why.startswith("the ensemble")
