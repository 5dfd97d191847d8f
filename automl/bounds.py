"""Bounds: what may be said of a trial's costs, whether it keeps to that, and which trials no other beats."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

COSTS = ("latency_ms", "size_mb", "fit_seconds")
OBJECTIVES = ("loss", *COSTS)


def excess(costs: Mapping[str, float], bounds: Mapping[str, float]) -> dict[str, float]:
    """By how much costs are above each bound, as a share of it; zero or less where they keep it."""
    return {name: costs[name] / bound - 1 for name, bound in bounds.items()}


def broken(costs: Mapping[str, float], bounds: Mapping[str, float]) -> str:
    """Which bounds costs break and by how much, or nothing."""
    return "; ".join(
        f"{name} {costs[name]:.4g} is above {bounds[name]:g} by {costs[name] - bounds[name]:.2g}"
        for name, over in excess(costs, bounds).items()
        if over > 0
    )


def written(bounds: Mapping[str, float]) -> str:
    """Bounds as a person writes them: `latency_ms<=5, size_mb<=10`."""
    return ", ".join(f"{name}<={bound:g}" for name, bound in bounds.items())


def unbeaten(values: np.ndarray) -> np.ndarray:
    """Which of n rows of values (n, k), lower is better, no other row beats: as good in all, and better in one.

    Returns
    -------
    Booleans (n,); rows that are equal stand or fall together.
    """
    return np.array([not ((values <= row).all(axis=1) & (values < row).any(axis=1)).any() for row in values])
