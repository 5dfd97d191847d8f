"""Nested folds: whether what was learned from out-of-fold predictions is any good on rows it was not learned from."""

from __future__ import annotations

import math

import numpy as np

from automl.metrics import Metric

PARTS = 5
_BLOCKS, _ERRORS = 20, 2.0
_ROWS = 20_000  # of more rows, so many are learned from


def deal(y: np.ndarray, seed: int, parts: int = PARTS) -> np.ndarray:
    """The part (n,) of each row, dealt evenly within its class."""
    part = np.empty(len(y), np.int64)
    part[np.lexsort((np.random.default_rng(seed).random(len(y)), y))] = np.arange(len(y)) % parts
    return part


def some(rows: np.ndarray, seed: int) -> np.ndarray:
    """The rows, or 20,000 of them."""
    return rows if len(rows) <= _ROWS else np.sort(np.random.default_rng(seed).choice(rows, _ROWS, replace=False))


def proven(
    metric: Metric,
    y: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    part: np.ndarray,
    weight: np.ndarray | None,
    errors: float = 1.0,
) -> float:
    """By how much predictions are better than others; 0 if that is less than so many standard errors over the parts.

    Where the metric is not defined for one of the parts, nothing is proven.
    """

    def loss(predictions: np.ndarray, rows: np.ndarray | slice) -> float:
        return loss_of(metric, y[rows], predictions[rows], None if weight is None else weight[rows])

    gains = [loss(before, part == i) - loss(after, part == i) for i in range(PARTS)]
    if not np.isfinite(gains).all():
        return 0.0
    gain = loss(before, slice(None)) - loss(after, slice(None))
    error = float(np.std(gains, ddof=1)) / math.sqrt(PARTS)
    return gain if gain > max(errors * error, 1e-12) else 0.0


def significant(
    metric: Metric, y: np.ndarray, before: np.ndarray, after: np.ndarray, weight: np.ndarray | None, seed: int
) -> bool:
    """Whether predictions are better than others by more than two standard errors of the difference, and by a row.

    The error is that of the delete-a-block jackknife of 20 blocks (Shao and Tu 1995, "The jackknife and bootstrap"):
    each looks at nearly all rows, so it tells more than parts do where only few rows decide. It knows nothing of what
    none of the rows shows: two predictions that are right everywhere differ by how sure they are, with hardly an error.
    So the gain has to be above what one of the n rows adds to the loss if nothing is known of it but how frequent the
    classes are, or the mean: finer than that n rows cannot tell.
    """
    block = deal(y if metric.takes != "value" else np.zeros(len(y), np.int64), seed, _BLOCKS)

    def gain(rows: np.ndarray | slice) -> float:
        there = None if weight is None else weight[rows]
        return loss_of(metric, y[rows], before[rows], there) - loss_of(metric, y[rows], after[rows], there)

    gains = np.array([gain(block != i) for i in range(_BLOCKS)])
    gains = gains[np.isfinite(gains)]
    error = math.sqrt((len(gains) - 1) * float(np.var(gains))) if len(gains) > 1 else math.inf
    return gain(slice(None)) > max(_ERRORS * error, _row(metric, y, before.shape, weight), 1e-12)


def _row(metric: Metric, y: np.ndarray, shape: tuple[int, ...], weight: np.ndarray | None) -> float:
    """An n-th of the loss of predictions that are the same for all of n rows; 0 where that is not defined."""
    same = np.bincount(y, minlength=shape[1]) / len(y) if len(shape) > 1 else np.mean(y)
    loss = loss_of(metric, y, np.broadcast_to(same, shape), weight) - metric.least
    return loss / len(y) if math.isfinite(loss) else 0.0


def loss_of(metric: Metric, y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
    """The metric turned so that lower is better; infinite where it is not defined."""
    try:
        loss = metric.loss(metric.score(y, prediction, weight))
    except ValueError:  # of a scikit-learn scorer, for rows that lack a class
        return math.inf
    return loss if math.isfinite(loss) else math.inf
