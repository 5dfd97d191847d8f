"""Propose candidates: every family's portfolio, then Optuna's, one study a family; and those worth more rows."""

from __future__ import annotations

import json
import math
import statistics
import zlib
from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from automl.family import Candidate, FamilySpec
from automl.search.study import Study
from automl.space import is_free

_PATIENCE = 3  # draws in vain of a sampler that takes its time
_RETRIES = 20  # draws of a family that has been tried before, until it is taken as exhausted
_ETA = 3  # of so many candidates at one number of rows, one goes on to the next (Li et al. 2020, "ASHA")

_TELLING = 4  # losses of a family, from which on they tell how likely it is to catch up
_FAINT = 0.02  # what a family far behind has spent, as a share of what it is expected to cost: none is forgotten
_NEVER = 1e-12
_NORMAL = statistics.NormalDist()

Affordable = Callable[[str, int | None], bool]
Order = Callable[[list[Candidate]], list[Candidate]]


class Proposer:
    """Decides what to try next; it knows candidates, their losses and costs, and nothing of how they are evaluated.

    Parameters
    ----------
    specs : what the config says of each family that races, in any order.
    sampler : the name of one of Optuna's samplers, see `automl.search.study`.
    portfolio : whether the portfolios come first.
    order : given their entries, first ones of all families by priority, then second ones: as they are to be tried.
    rungs : numbers of training rows, rising; None stands for all of them and comes last. New candidates begin at the
        first one, and the best third of those that have a result goes on to the next.
    objectives : how many values the studies are told with; the first is the loss, and all else goes by that alone.
    """

    def __init__(
        self,
        specs: Mapping[str, FamilySpec],
        *,
        sampler: str,
        portfolio: bool,
        seed: int,
        rungs: Sequence[int | None] = (None,),
        objectives: int = 1,
        order: Order = list,
    ) -> None:
        self._specs = dict(sorted(specs.items(), key=lambda item: (item[1].priority, item[0])))
        self._rng = np.random.default_rng(seed)
        self._seen: set[str] = set()
        self._progress = {name: Progress() for name in self._specs}
        self._rungs = tuple(rungs)
        self._results: dict[int | None, dict[str, tuple[float, Candidate]]] = {rung: {} for rung in self._rungs}
        self._queue = order(_interleaved(self._specs, first_only=not portfolio, rows=self._rungs[0]))
        self._studies = {
            name: Study(spec, sampler, seed + zlib.crc32(name.encode()) % 10_000, objectives)
            for name, spec in self._specs.items()
            if is_free(spec.space)
        }

    @property
    def portfolio_left(self) -> int:
        """Entries of the portfolios that were not tried yet."""
        return len(self._queue)

    def next(
        self, affordable: Affordable = lambda family, rows: True, within: float = math.inf
    ) -> tuple[Candidate, str] | None:
        """The next candidate and where it comes from (promotion, portfolio or search), or None: nothing left to try.

        A candidate for which `affordable(family, rows)` is False is passed over. `within` is how many seconds a draw
        may take, see `Study.ask`.
        """
        if promoted := self._promotion(affordable):
            return promoted, "promotion"
        for candidate in list(self._queue):
            if affordable(candidate.family, candidate.rows):
                self._queue.remove(candidate)
                if self._is_new(candidate):
                    return candidate, "portfolio"
        first = self._rungs[0]
        families = [name for name in self._studies if affordable(name, first)]
        while families:
            name = self._choose(families)
            for i in range(_RETRIES):
                candidate = Candidate(name, self._studies[name].ask(within if i < _PATIENCE else 0), first)
                if self._is_new(candidate):
                    return candidate, "search"
            families.remove(name)
        return None

    def skip(self, candidate: Candidate) -> None:
        """Take a candidate as tried, in an earlier part of the same run."""
        self._is_new(candidate)
        self._queue = [waiting for waiting in self._queue if _key(waiting) != _key(candidate)]

    def drop(self, family: str) -> None:
        """Propose nothing more of a family."""
        self._queue = [waiting for waiting in self._queue if waiting.family != family]
        self._studies.pop(family, None)

    @property
    def notes(self) -> list[str]:
        """What a person should know of the draws."""
        return [
            f"{name}: TPE made {study.replaced} of {study.draws} draws: one of up to {study.takes:.1f} s did not fit "
            "into the time left, or gave what had been tried"
            for name, study in self._studies.items()
            if study.replaced
        ]

    def tell(
        self,
        candidate: Candidate,
        loss: float | None,
        cost: float = 1.0,
        others: Sequence[float] = (),
        excess: Mapping[str, float] | None = None,
    ) -> None:
        """Learn what came of a candidate.

        Parameters
        ----------
        loss : lower is better; None where it gave none.
        cost : what it took.
        others : its values in the objectives besides the loss.
        excess : by how much it is above each bound, see `Study.tell`.
        """
        if loss is not None and not math.isfinite(loss):
            loss = None
        if loss is not None:
            self._results[candidate.rows][_key(candidate)] = (loss, candidate)
        if candidate.rows == self._rungs[0]:  # losses at other numbers of rows are not to be compared with these
            self._progress[candidate.family].tell(math.inf if loss is None else loss, cost)
            if candidate.family in self._studies:
                values = None if loss is None or not np.isfinite(others).all() else [loss, *others]
                self._studies[candidate.family].tell(candidate.params, values, excess)

    def _promotion(self, affordable: Affordable) -> Candidate | None:
        """The best candidate that has earned more rows, at the highest rung where there is one."""
        for rung, following in reversed(list(zip(self._rungs, self._rungs[1:], strict=False))):
            ranked = sorted(self._results[rung].values(), key=lambda result: result[0])
            for _, candidate in ranked[: math.ceil(len(ranked) / _ETA) if len(ranked) >= _ETA else 0]:
                grown = replace(candidate, rows=following)
                if affordable(grown.family, following) and self._is_new(grown):
                    return grown
        return None

    def _choose(self, families: list[str]) -> str:
        """A family at random, likelier the less it is expected to cost to find something better with it.

        Expected cost for improvement: Wang et al. 2021, "FLAML: a fast and lightweight AutoML library", but for what a
        family that lags is expected to take: there it is a straight line through its last two improvements, by which a
        linear model at twice the loss of the best, quick and long at its end, had half of the draws.
        """
        best = min(progress.best for progress in self._progress.values())
        costs = np.array([self._progress[name].cost_to_improve(best) for name in families])
        if not np.isfinite(costs).any():
            return families[int(self._rng.integers(len(families)))]
        costs = np.where(np.isfinite(costs), costs, costs.min())  # one that was never tried is as promising as any
        shares = 1 / np.maximum(costs, 1e-9)
        return families[int(self._rng.choice(len(families), p=shares / shares.sum()))]

    def _is_new(self, candidate: Candidate) -> bool:
        key = _key(candidate)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


@dataclass
class Progress:
    """What a family has cost and reached, `losses` from the least up: the base of its expected cost for improvement."""

    spent: float = 0.0
    trials: int = 0
    losses: list[float] = field(default_factory=list)
    best: float = math.inf
    best_at: float = 0.0
    before_at: float = 0.0

    def tell(self, loss: float, cost: float) -> None:
        """One more trial of the family, and its loss (infinite if it gave none)."""
        self.spent += cost
        self.trials += 1
        if math.isfinite(loss):
            insort(self.losses, loss)
        if loss < self.best:
            self.best, self.before_at, self.best_at = loss, self.best_at, self.spent

    def cost_to_improve(self, overall: float) -> float:
        """Expected cost until this family improves on its own best or, if it lags, on the best `overall`."""
        if not self.trials:
            return math.inf
        each = self.spent / self.trials
        own = max(self.spent - self.best_at, self.best_at - self.before_at, each)
        return own if self.best <= overall else max(own, min(self.spent / _FAINT, each / self._chance(overall)))

    def _chance(self, loss: float) -> float:
        """That the next trial is better than `loss`, below the best, if losses are normal; 1 of few trials.

        Their mean is the median, and the best is as far below it as the least of so many draws is expected to be
        (Blom 1958, "Statistical estimates and transformed beta-variables").
        """
        n = len(self.losses)
        if n < _TELLING:
            return 1.0 if self.trials < _TELLING else max(_NEVER, n / self.trials)
        if (middle := self.losses[n // 2]) == self.best:
            return _NEVER
        spread = (middle - self.best) / -_NORMAL.inv_cdf((1 - 0.375) / (n + 0.25))
        return max(_NEVER, n / self.trials * _NORMAL.cdf((loss - middle) / spread))


def _interleaved(specs: Mapping[str, FamilySpec], *, first_only: bool, rows: int | None) -> list[Candidate]:
    """First entries of all portfolios, then second ones, and so on."""
    entries: Iterator[Candidate] = (
        Candidate(name, spec.candidates[i], rows)
        for i in range(max((len(spec.candidates) for spec in specs.values()), default=0))
        for name, spec in specs.items()
        if i < len(spec.candidates)
    )
    queue = list(entries)
    # Without portfolios a family that has nothing to search still gets its one try.
    return [c for c in queue if not is_free(specs[c.family].space)] if first_only else queue


def _key(candidate: Candidate) -> str:
    return json.dumps([candidate.family, candidate.params, candidate.rows], sort_keys=True, default=str)
