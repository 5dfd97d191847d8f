"""The budget: what a run may spend, and what is left of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Seconds and trials. The clock starts with the object.

    Parameters
    ----------
    seconds : the wall time of the whole run, reading and saving included.
    trials : candidates beyond the baseline, or None.
    reserve : seconds kept for the end: the ensemble and saving the predictor. Who has measured that sets it anew.
    refits : seconds kept for fitting the ensemble's members once more on all rows; 0 where that is not to be done.
    """

    seconds: float
    trials: int | None = None
    clock: Callable[[], float] = time.monotonic
    began: float = field(default=0.0)
    reserve: float = 0.0
    refits: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.began or self.clock()
        self.reserve = self.reserve or min(1.5, 0.2 + 0.03 * self.seconds)

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.began

    @property
    def left(self) -> float:
        """Seconds left for trials."""
        return self.seconds - self.reserve - self.refits - self.spent
