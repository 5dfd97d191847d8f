"""The clock: what one call takes where it is one of many, as the model of a member is in a predictor."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

_TIMES = 5
_CACHE = 2**19  # float64 values: 4 MB, as much as a core has of caches of its own


def call_seconds(call: Callable[[], object]) -> float:
    """The median of a few calls, before each of which the processor's caches are filled with something else.

    A call that is repeated finds everything where it left it, and takes half of what it takes between others.
    """
    call()
    filler, took = np.zeros(_CACHE), []
    for _ in range(_TIMES):
        filler += 1
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return sorted(took)[_TIMES // 2]
