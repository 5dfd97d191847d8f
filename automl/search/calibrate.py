"""Calibration: probabilities by a temperature or a curve, labels by weights, where nested folds prove that it helps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from automl.answer import Answer
from automl.metrics import Metric
from automl.search.nested import PARTS, deal, loss_of, proven, some

_LEAST = {"labels": 100, "proba": 300}  # rows, below which nothing is looked for, by what the metric takes
_ENOUGH = 3000  # rows from which on a curve is worth a look
_THRESHOLDS = 100
_POWERS = np.linspace(0, 1.5, 16)
_STEPS = np.exp(np.linspace(-0.9, 0.9, 7))
_CLASSES = 20  # up to so many classes each has a weight of its own


def calibrate(
    blended: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    weight: np.ndarray | None = None,
    *,
    seed: int = 0,
    deadline: float = math.inf,
) -> tuple[Answer, np.ndarray]:
    """The answer that is best by the metric, and out-of-fold predictions (n, C) that score as it may be expected to.

    For a metric of probabilities it is a temperature or, in a binary task, a curve (isotonic regression: Zadrozny and
    Elkan 2002); for one of labels it is the weights of the classes, which in a binary task are a threshold. The rows
    are dealt into 5 parts, and on each is used what was learned from the other four. Only if that scores better than
    nothing at all, by more than the standard error of the gain over the parts, is it learned from all rows and used;
    the predictions that come back are then those of the parts, so their score is not that of numbers tuned on the
    same rows.

    Parameters
    ----------
    blended : out-of-fold probabilities (n, C) of the ensemble.
    y : codes (n,).
    weight : sample weights (n,), or None.
    deadline : the moment of `time.monotonic` after which nothing more is tried, and the answer is as it was.
    """
    plain = Answer()
    n, classes = blended.shape
    shares = plain.probabilities(blended)
    if metric.takes == "value" or n < _LEAST[metric.takes]:
        return plain, blended
    ways: list[_Way] = [_weights] if metric.takes == "labels" else [_temperature]
    if metric.takes != "labels" and classes == 2 and n >= _ENOUGH:
        ways.append(_curve)
    best, most, calibrated = None, 0.0, blended
    for learn in ways:
        nested, gain = _nested(learn, shares, y, metric, weight, seed, deadline)
        if gain > most:
            best, most, calibrated = learn, gain, nested
    if best is None or time.monotonic() > deadline:
        return plain, blended
    rows = some(np.arange(n), seed)
    return best(shares[rows], y[rows], metric, None if weight is None else weight[rows]), calibrated


_Way = Callable[[np.ndarray, np.ndarray, Metric, np.ndarray | None], Answer]


def _nested(
    learn: _Way,
    shares: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    weight: np.ndarray | None,
    seed: int,
    deadline: float,
) -> tuple[np.ndarray, float]:
    """What a metric is to see where each part is answered by what was learned from the others; the gain, if proven."""
    part, nested = deal(y, seed), np.empty_like(shares)
    for i in range(PARTS):
        if time.monotonic() > deadline:
            return shares, 0.0
        rows, held = some(np.flatnonzero(part != i), seed), part == i
        answer = learn(shares[rows], y[rows], metric, None if weight is None else weight[rows])
        nested[held] = _given(answer, shares[held])
    return nested, proven(metric, y, shares, nested, part, weight)


def _given(answer: Answer, shares: np.ndarray) -> np.ndarray:
    """What a metric is to see of an answer: the calibrated probabilities, or what gives its labels."""
    return answer.weighed(answer.probabilities(shares))


def _temperature(shares: np.ndarray, y: np.ndarray, metric: Metric, weight: np.ndarray | None) -> Answer:
    from scipy.optimize import minimize_scalar

    # A row that nobody saw keeps it off a certainty that a sample cannot give: as sure as the median one, and wrong.
    typical = shares[np.argsort(shares.max(axis=1), kind="stable")[len(y) // 2]]
    shares, y = np.vstack([shares, typical]), np.append(y, np.argsort(typical, kind="stable")[-2])
    weight = None if weight is None else np.append(weight, weight.mean())

    def loss(log: float) -> float:
        return loss_of(metric, y, Answer(temperature=math.exp(log)).probabilities(shares), weight)

    found = minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded", options={"xatol": 0.01})
    return Answer(temperature=math.exp(float(found.x))) if found.fun < loss(0.0) else Answer()


def _curve(shares: np.ndarray, y: np.ndarray, metric: Metric, weight: np.ndarray | None) -> Answer:
    from sklearn.isotonic import IsotonicRegression

    # Two rows that nobody saw, one of each class, keep its ends off 0 and 1: certainty that a sample cannot give.
    told = np.concatenate([shares[:, 1], [shares[:, 1].min(), shares[:, 1].max()]])
    weights = np.append(np.ones(len(y)) if weight is None else weight, [1.0, 1.0])
    fitted = IsotonicRegression().fit(told, np.append(y == 1, [1, 0]), weights)
    places, values = fitted.X_thresholds_.astype(np.float64), fitted.y_thresholds_.astype(np.float64)
    return Answer(curve=tuple(zip(places.tolist(), values.tolist(), strict=True)))


def _weights(shares: np.ndarray, y: np.ndarray, metric: Metric, weight: np.ndarray | None) -> Answer:
    def loss(weights: np.ndarray) -> float:
        return loss_of(metric, y, shares * weights, weight)

    if shares.shape[1] == 2:
        return _threshold(shares[:, 1], loss)
    frequency = np.maximum(np.bincount(y, weights=weight, minlength=shares.shape[1]), 1)
    # One number first: how much the rare classes are helped. It has little room to learn the rows by heart.
    tried = [(frequency / frequency.max()) ** -power for power in _POWERS]
    best = min(tried, key=loss)
    if shares.shape[1] <= _CLASSES:
        lowest = loss(best)
        for c in range(shares.shape[1]):
            for step in _STEPS:
                changed = best.copy()
                changed[c] *= step
                if (now := loss(changed)) < lowest:
                    best, lowest = changed, now
    return Answer(weights=tuple((best / best.sum()).tolist()))


def _threshold(positive: np.ndarray, loss: Callable[[np.ndarray], float]) -> Answer:
    """The threshold in the middle of the best stretch: losses are averaged over neighbours, for one is noisy."""
    tried = np.unique(np.append(np.quantile(positive, np.linspace(0.005, 0.995, _THRESHOLDS)), 0.5))
    losses = np.array([loss(np.array([t, 1 - t])) for t in tried])
    reach = min(2, (len(tried) - 1) // 2)
    padded = np.pad(losses, reach, mode="edge")
    smooth = np.array([padded[i : i + 2 * reach + 1].mean() for i in range(len(tried))])
    best = float(tried[int(np.argmin(smooth))])
    return Answer(weights=(best, 1 - best))
