"""When to stop boosting: no gain for too long, or no time left."""

from __future__ import annotations

import math
import time

_FURTHER = 1.2  # times the best round are kept


class Stopper:
    """Asked after every round.

    Parameters
    ----------
    end : when to stop, as `time.perf_counter` tells the time; infinity for never.
    rows : training rows; fewer rows make for noisier losses and ask for more patience.

    Attributes
    ----------
    best_round : rounds done when the loss was lowest, or all of them where there is no loss to watch; at least 1.
    done : all rounds done.
    """

    def __init__(self, end: float, rows: int) -> None:
        self.best_round = self.done = 1
        self._best = math.inf
        self._patience = max(20.0, 300 * min(1.0, 10_000 / rows))
        self._end = end
        self._last: float | None = None

    @property
    def kept(self) -> int:
        """The rounds to keep: as far as they were done, a fifth more than were best.

        What is best for one model is too early for the mean of several, which takes variance away and no bias (Sollich,
        Krogh 1996, "Learning with ensembles: how over-fitting can be useful").
        """
        return min(self.done, math.ceil(_FURTHER * self.best_round))

    def stop(self, rounds: int, loss: float | None = None) -> bool:
        """Whether to stop after so many rounds, with this loss on the held-out rows.

        The patience grows with the best round, because a slow learner pauses for longer (as AutoGluon does it).
        """
        self.done = rounds
        if loss is None or loss < self._best:
            self.best_round = rounds
            self._best = math.inf if loss is None else loss
        stale = rounds - self.best_round > max(0.3 * self.best_round + 20, self._patience)
        now = time.perf_counter()
        step = 0.0 if self._last is None else now - self._last
        self._last = now
        return stale or now + step > self._end
