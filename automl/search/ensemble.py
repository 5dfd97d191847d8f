"""The ensemble: greedy selection of trials by their out-of-fold predictions."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from automl.metrics import Metric

_MEMBERS = 50
_ROWS = 50_000


def select(
    predictions: Sequence[np.ndarray],
    y: np.ndarray,
    metric: Metric,
    weight: np.ndarray | None = None,
    *,
    rounds: int = 40,
    seed: int = 0,
    deadline: float | None = None,
) -> np.ndarray:
    """Weights (m,) of m predictions, summing to 1: forward selection with replacement on the metric itself.

    It starts from nothing, adds in each round the member that makes the blend best, and keeps the blend of the best
    round, so it is never worse than the best single member on these rows. Ties go to members that are in already.
    Source: Caruana et al., Ensemble selection from libraries of models, ICML 2004.

    Parameters
    ----------
    predictions : m arrays (n, classes) or (n,).
    y : codes or values (n,).
    rounds : additions at most; 1 gives the best single member.
    seed : of the 50,000 rows that are looked at where there are more.
    deadline : the time of `time.monotonic` at which the best so far is returned.
    """
    if len(y) > _ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(len(y), _ROWS, replace=False))
        predictions, y, weight = [p[rows] for p in predictions], y[rows], None if weight is None else weight[rows]
    losses = np.array([_loss(metric, y, np.asarray(p, np.float64), weight) for p in predictions])
    usable = np.argsort(losses, kind="stable")[:_MEMBERS]
    usable = usable[np.isfinite(losses[usable])]
    if not len(usable):
        raise ValueError("no member has a finite score")
    members = [np.asarray(predictions[i], np.float64) for i in usable]
    counts = np.zeros(len(members), int)
    counts[0] = 1  # sorted by loss: the first round always takes the best single member
    total, best_loss, best = members[0].copy(), losses[usable[0]], counts.copy()
    for size in range(2, rounds + 1):
        if deadline is not None and time.monotonic() > deadline:
            break
        tried = np.array([_loss(metric, y, (total + member) / size, weight) for member in members])
        tried[np.isnan(tried)] = np.inf
        ties = np.flatnonzero(tried <= tried.min() + 1e-12 * abs(tried.min()))
        pick = int(ties[np.argmax(counts[ties])])
        counts[pick] += 1
        total += members[pick]
        if tried[pick] < best_loss:
            best_loss, best = tried[pick], counts.copy()
    weights = np.zeros(len(predictions))
    weights[usable] = best / best.sum()
    return weights


def blend(predictions: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """The weighted mean of predictions; those of weight zero are not touched."""
    total: np.ndarray | float = 0.0
    for prediction, weight in zip(predictions, weights, strict=True):
        if weight:
            total = total + weight * np.asarray(prediction, np.float64)
    return np.asarray(total)


def _loss(metric: Metric, y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
    return metric.loss(metric.score(y, prediction, weight))
