"""Stacking, one level: a logistic regression on what the members of an ensemble say, where nested folds prove it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from automl.answer import clipped, pooled
from automl.metrics import Metric
from automl.search.ensemble import blend, select
from automl.search.nested import PARTS, deal, proven, some

_ENOUGH = 300  # rows, below which nothing is proven
_ERRORS = 1.5  # that the gain has to be
_ROUNDS = 20
_HELD = 1e-3  # the weight of the distance from equal powers
_STEPS = 60


def stack(
    predictions: Sequence[np.ndarray],
    blended: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    weight: np.ndarray | None = None,
    *,
    seed: int = 0,
    deadline: float = math.inf,
) -> tuple[tuple[float, ...], np.ndarray]:
    """The powers that members are multiplied with, and out-of-fold predictions that score as they may be expected to.

    It is a logistic regression on the members' log-probabilities (Wolpert 1992, "Stacked generalization"), none of
    which counts less than nothing. It is used if on rows that it was not learned from it beats the weighted mean,
    itself chosen without them, by 1.5 standard errors of the gain over the parts: else there are no powers.

    Parameters
    ----------
    predictions : out-of-fold probabilities (n, C) of each of m members.
    blended : their weighted mean.
    deadline : the moment of `time.monotonic` after which nothing is proven any more.
    """
    if len(predictions) < 2 or metric.takes == "value" or len(y) < _ENOUGH:
        return (), blended
    logs, part = np.log(np.stack([clipped(each) for each in predictions])), deal(y, seed)
    stacked, plain = np.empty_like(blended), np.empty_like(blended)
    for i in range(PARTS):
        if time.monotonic() > deadline:
            return (), blended
        rows, held = some(np.flatnonzero(part != i), seed), part == i
        told, there = y[rows], None if weight is None else weight[rows]
        # The weights of the mean were chosen with all rows in sight, which no part of the stack was.
        weights = select([each[rows] for each in predictions], told, metric, there, rounds=_ROUNDS, deadline=deadline)
        said = [each[held] for each in predictions]
        plain[held], stacked[held] = blend(said, weights), pooled(said, _powers(logs[:, rows], told, there))
    if not proven(metric, y, plain, stacked, part, weight, _ERRORS) or time.monotonic() > deadline:
        return (), blended
    rows = some(np.arange(len(y)), seed)
    powers = _powers(logs[:, rows], y[rows], None if weight is None else weight[rows])
    return tuple(powers.tolist()), stacked


def _powers(logs: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """The powers (m,) that make the truth likeliest, from log-probabilities (m, n, C)."""
    from scipy.optimize import minimize

    m, n, _ = logs.shape
    counts, equal = np.ones(n) if weight is None else weight, np.full(m, 1 / m)
    counts, told = counts / counts.sum(), logs[:, np.arange(n), y]

    def loss(powers: np.ndarray) -> tuple[float, np.ndarray]:
        raw = np.tensordot(powers, logs, 1)
        raw -= raw.max(axis=1, keepdims=True)
        shares = np.exp(raw)
        whole = shares.sum(axis=1, keepdims=True)
        shares /= whole
        lost = np.log(whole[:, 0]) - raw[np.arange(n), y]
        slope = np.array([((each * shares).sum(axis=1) - true) @ counts for each, true in zip(logs, told, strict=True)])
        away = powers - equal
        return float(lost @ counts + _HELD * away @ away), slope + 2 * _HELD * away

    found = minimize(loss, equal, jac=True, bounds=[(0, None)] * m, method="L-BFGS-B", options={"maxiter": _STEPS})
    return np.asarray(found.x)
