"""Propose candidates: the baseline, then every family's portfolio, then Optuna, one study a family."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from automl.family import Candidate, FamilySpec
from automl.search.study import Study
from automl.space import is_free

_RETRIES = 20  # draws of a family that has been tried before, until it is taken as exhausted


class Proposer:
    """Decides what to try next; it knows candidates and their losses, and nothing of how they are evaluated.

    Parameters
    ----------
    specs : what the config says of each family that races, in any order.
    sampler : the name of one of Optuna's samplers, see `automl.search.study`.
    portfolio : whether the portfolios come first.
    """

    def __init__(self, specs: Mapping[str, FamilySpec], *, sampler: str, portfolio: bool, seed: int) -> None:
        self._specs = dict(sorted(specs.items(), key=lambda item: (item[1].priority, item[0])))
        self._rng = np.random.default_rng(seed)
        self._seen: set[str] = set()
        self._losses: dict[str, float] = dict.fromkeys(self._specs, math.inf)
        self._queue = _interleaved(self._specs, first_only=not portfolio)
        self._studies = {
            name: Study(spec, sampler, seed + zlib.crc32(name.encode()) % 10_000)
            for name, spec in self._specs.items()
            if is_free(spec.space)
        }

    def next(self, affordable: Mapping[str, bool] | None = None) -> tuple[Candidate, str] | None:
        """The next candidate and where it comes from (portfolio or search), or None when there is nothing left to try.

        Families that `affordable` maps to False are passed over.
        """
        can = {name: (affordable or {}).get(name, True) for name in self._specs}
        waiting = list(self._queue)
        for candidate in waiting:
            if can[candidate.family]:
                self._queue.remove(candidate)
                if self._is_new(candidate):
                    return candidate, "portfolio"
        families = [name for name in self._studies if can[name]]
        while families:
            name = self._choose(families)
            for _ in range(_RETRIES):
                candidate = Candidate(name, self._studies[name].ask())
                if self._is_new(candidate):
                    return candidate, "search"
            families.remove(name)
        return None

    def tell(self, candidate: Candidate, loss: float | None) -> None:
        """Learn the loss of a candidate (lower is better), or None where it gave none."""
        if loss is not None and not math.isfinite(loss):
            loss = None
        if loss is not None:
            self._losses[candidate.family] = min(self._losses[candidate.family], loss)
        if candidate.family in self._studies:
            self._studies[candidate.family].tell(candidate.params, loss)

    def _choose(self, families: list[str]) -> str:
        """A family at random, each half as likely as the one whose best loss is next below its own."""
        ranked = sorted(families, key=lambda name: self._losses[name])
        shares = 0.5 ** np.arange(len(ranked))
        return ranked[int(self._rng.choice(len(ranked), p=shares / shares.sum()))]

    def _is_new(self, candidate: Candidate) -> bool:
        key = json.dumps([candidate.family, candidate.params], sort_keys=True, default=str)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


def _interleaved(specs: Mapping[str, FamilySpec], *, first_only: bool) -> list[Candidate]:
    """First entries of all portfolios, then second ones, and so on."""
    entries: Iterator[Candidate] = (
        Candidate(name, spec.candidates[i])
        for i in range(max((len(spec.candidates) for spec in specs.values()), default=0))
        for name, spec in specs.items()
        if i < len(spec.candidates)
    )
    queue = list(entries)
    # Without portfolios a family that has nothing to search still gets its one try.
    return [c for c in queue if not is_free(specs[c.family].space)] if first_only else queue
