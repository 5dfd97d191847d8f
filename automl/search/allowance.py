"""Allowances: the time that a trial and each of its jobs may take, and whether one more fits into what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from automl.data.problem import Problem
from automl.execute import Executor
from automl.family import Candidate, Family
from automl.search.budget import Budget
from automl.search.cost import Costs, ViewCosts

_MARGIN = 1.2  # a trial is started if the time left is this much more than it is expected to take
_FIT = 0.8  # of the time of a fold, for its fit; the rest is for its views, its predictions and saving them
_GRACE = 2.0  # seconds beyond the allowance of its trial after which a job is killed, if the run has as many
_SHARE, _FEW = 0.25, 4  # of the time left, for one trial, while few trials have a result
_LATER = 0.5  # and when more have
_MOST = 0.6  # of the time left, for a trial that is expected to take more than its share
_SHORT = 3.0  # a trial that stops in time is begun in so many times less than it is expected to take
_LIMITS = 3.0  # a trial that was killed is taken to need so many times its limit
_LEAST = 0.05  # seconds, of any job


class Allowances:
    """What is known of how long trials take, and what follows from that for the next one.

    Parameters
    ----------
    priors : family -> seconds of a fold where nothing was measured, see `Costs`; `rows`: training rows of one.
    """

    def __init__(
        self, problem: Problem, executor: Executor, budget: Budget, priors: Mapping[str, float], rows: int
    ) -> None:
        self._problem, self._executor, self._budget = problem, executor, budget
        self._costs, self._views = Costs(priors, rows=rows), ViewCosts(problem.view_folder)

    # What was measured

    def learn(self, candidate: Candidate, seconds: float) -> None:
        """A fit of one fold took so long."""
        self._costs.learn(candidate.family, seconds, candidate.rows)

    def learn_view(self, candidate: Candidate, seconds: float) -> None:
        """The rows of a fold were there, encoded, after so long."""
        self._views.learn(self._view_of(candidate), candidate.rows, seconds)

    def learn_killed(self, candidate: Candidate, limit: float) -> None:
        """A job had not ended after so long."""
        self.learn(candidate, _LIMITS * limit / self._problem.folds)

    # What follows

    def carry(self, family: str, rows: int | None) -> bool:
        """Whether a trial of a family may be expected to fit into the time left, its folds side by side."""
        expected = _MARGIN * self._costs.fold(family, rows) * self._problem.folds / self._side_by_side
        most = 1.0 if self._costs.is_known(family) else _MOST
        return expected / (_SHORT if self._stops_in_time(family) else 1.0) <= most * self._budget.left

    def of_trial(self, candidate: Candidate, done: int) -> float:
        """Seconds of fits that a trial may have, all folds together, when so many have a result."""
        left = self.all_left
        wanted = _MARGIN * self._costs.fold(candidate.family, candidate.rows) * self._problem.folds
        return max((_SHARE if done < _FEW else _LATER) * left, min(wanted, _MOST * left))

    def of_job(self, candidate: Candidate, fold: int, others: Sequence[int], allowed: float) -> tuple[float, float]:
        """The deadline of the fit of a fold, and the limit after which its job is killed.

        Parameters
        ----------
        others : the folds that are to run besides it.
        allowed : what is left of the allowance of the trial.
        """
        left = max(0.0, self._budget.left)
        mine = max(_LEAST, self._for_fits(candidate, [fold, *others], allowed))
        views = self._views_due(candidate, [fold])
        deadline = _FIT * min(max(_LEAST, left - views), mine / (1 + len(others)))
        return deadline, min(left, views + mine + _GRACE)

    def too_slow(self, candidate: Candidate, a_fold: float, others: Sequence[int], allowed: float) -> str:
        """Why other folds, if each takes as long as those before, would not end in the time of a trial, or nothing."""
        left = self._for_fits(candidate, others, allowed)
        if len(others) * a_fold <= left + _GRACE:
            return ""
        room = f"the {max(0.0, left):.1f} s that it has left"
        return f"a fold took {a_fold:.1f} s: {len(others)} more do not fit into {room}"

    @property
    def all_left(self) -> float:
        """Seconds of fits, of one fold each, that the time left has room for side by side."""
        return self._budget.left * self._side_by_side

    def _for_fits(self, candidate: Candidate, folds: Sequence[int], allowed: float) -> float:
        """Of what a trial is allowed, the seconds that there are for these folds besides what their views will take."""
        return min(allowed, self.all_left - self._views_due(candidate, folds))

    def _views_due(self, candidate: Candidate, folds: Sequence[int]) -> float:
        return self._views.due(self._view_of(candidate), candidate.rows, folds)

    def _view_of(self, candidate: Candidate) -> str:
        family = self._family(candidate.family)
        return family.view_of(candidate.params) if family else ""

    def _stops_in_time(self, family: str) -> bool:
        """Whether its fits keep a deadline: what they have by then is worth having."""
        found = self._family(family)
        return found is not None and "deadline" in found.can

    def _family(self, name: str) -> Family | None:
        return self._problem.registry.families.get(name)

    @property
    def _side_by_side(self) -> int:
        return min(self._executor.slots, self._problem.folds)
