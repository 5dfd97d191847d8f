"""What the built-in metrics compute, in numpy: scikit-learn's answers at a fraction of the cost.

Ensemble selection calls them thousands of times. All take y (n,), a prediction and a weight (n,) or None: classes are
codes, probabilities are (n, C), and a class may be absent from y.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from automl.errors import DataError

_EPS = float(np.finfo(np.float64).eps)


def accuracy(y: np.ndarray, codes: np.ndarray, weight: np.ndarray | None) -> float:
    """Share of rows with the right label."""
    return float(np.average(y == codes, weights=weight))


def log_loss(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None) -> float:
    """Cross-entropy in nats; probabilities are kept a float64 epsilon away from 0 and 1."""
    of_truth = np.clip(proba[np.arange(len(y)), y], _EPS, 1 - _EPS)
    return -float(np.average(np.log(of_truth), weights=weight))


def brier(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None) -> float:
    """Squared distance of the probabilities from the truth; half of it where there are two classes, as is usual."""
    squares = (proba**2).sum(axis=1) - 2 * proba[np.arange(len(y)), y] + 1
    return float(np.average(squares, weights=weight)) / (2 if proba.shape[1] == 2 else 1)


def roc_auc(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None) -> float:
    """Area under the ROC curve of class 1 of two, or the mean of the classes against the rest; NaN with one class."""
    return _against_rest(_binary_roc_auc, y, proba, weight)


def average_precision(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None) -> float:
    """Precision averaged over recall, of class 1 of two or the mean of the classes; NaN without a positive."""
    return _against_rest(_binary_average_precision, y, proba, weight)


def balanced_accuracy(y: np.ndarray, codes: np.ndarray, weight: np.ndarray | None) -> float:
    """Mean recall of the classes that are there."""
    right, true, _ = _tally(y, codes, weight)
    return float(np.mean(right[true > 0] / true[true > 0]))


def f1(y: np.ndarray, codes: np.ndarray, weight: np.ndarray | None) -> float:
    """F1 of class 1; 0 where it is neither there nor predicted."""
    right, true, said = (float(counts[1:].sum()) for counts in _tally(y, codes, weight))
    return 2 * right / (true + said) if true + said else 0.0


def f1_mean(y: np.ndarray, codes: np.ndarray, weight: np.ndarray | None, *, average: str) -> float:
    """Mean F1 of the classes that are there or predicted; `average` is macro, or weighted by frequency."""
    right, true, said = _tally(y, codes, weight)
    seen = true + said > 0
    return float(
        np.average(2 * right[seen] / (true + said)[seen], weights=true[seen] if average == "weighted" else None)
    )


def mcc(y: np.ndarray, codes: np.ndarray, weight: np.ndarray | None) -> float:
    """Matthews correlation, in Gorodkin's (2004) form for several classes; 0 where either side is constant."""
    right, true, said = _tally(y, codes, weight)
    total = true.sum()
    if min(np.count_nonzero(true), np.count_nonzero(said)) < 2:
        return 0.0
    spread = (total**2 - said @ said) * (total**2 - true @ true)
    return float((right.sum() * total - true @ said) / math.sqrt(spread))


def quadratic_kappa(y: np.ndarray, codes: np.ndarray, weight: np.ndarray | None) -> float:
    """One less the mean squared distance of codes over that of chance; NaN where there is one code only."""
    true, said = np.average(y, weights=weight), np.average(codes, weights=weight)
    spread = np.average((y - true) ** 2 + (codes - said) ** 2, weights=weight) + (true - said) ** 2
    return float(1 - np.average((y - codes) ** 2, weights=weight) / spread) if spread > 1e-12 else math.nan


def rmse(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None) -> float:
    """Root mean squared error."""
    return math.sqrt(np.average((y - value) ** 2, weights=weight))


def mae(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None) -> float:
    """Mean absolute error."""
    return float(np.average(np.abs(y - value), weights=weight))


def r2(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None) -> float:
    """Share of the variance explained; of a constant target 1 if it is met and 0 if not; NaN for one row."""
    if len(y) < 2:
        return math.nan
    left = np.average((y - value) ** 2, weights=weight)
    whole = np.average((y - np.average(y, weights=weight)) ** 2, weights=weight)
    return float(1 - left / whole) if whole else float(left == 0)


def rmsle(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None) -> float:
    """Root mean squared error of log(1 + y).

    Raises
    ------
    DataError : a target or a prediction of -1 or less.
    """
    for what, numbers in (("targets", y), ("predictions", value)):
        if low := int(np.count_nonzero(numbers <= -1)):
            raise DataError(
                f"metric=rmsle needs numbers above -1, but {low:,} of the {what} are not "
                f"(the smallest is {numbers.min():g}); use metric=rmse or metric=mae"
            )
    return rmse(np.log1p(y), np.log1p(value), weight)


def mape(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None) -> float:
    """Mean absolute error relative to the size of the truth."""
    return float(np.average(np.abs(y - value) / np.maximum(np.abs(y), _EPS), weights=weight))


def pinball(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None, *, alpha: float) -> float:
    """Loss that the quantile `alpha` makes smallest."""
    above = y - value
    return float(np.average(np.maximum(alpha * above, (alpha - 1) * above), weights=weight))


def _against_rest(function: Callable[..., float], y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None) -> float:
    """A binary metric of the positive class, or its mean over the classes for which it is defined."""
    if proba.shape[1] == 2:
        return function(y == 1, proba[:, 1], weight)
    scores = [function(y == c, proba[:, c], weight) for c in range(proba.shape[1])]
    defined = [score for score in scores if not math.isnan(score)]
    return float(np.mean(defined)) if defined else math.nan


def _binary_roc_auc(positive: np.ndarray, score: np.ndarray, weight: np.ndarray | None) -> float:
    hits, misses = _ranked(positive, score, weight)
    whole = hits[-1] * misses[-1]
    return float(np.trapezoid(hits, misses) / whole) if whole else math.nan


def _binary_average_precision(positive: np.ndarray, score: np.ndarray, weight: np.ndarray | None) -> float:
    hits, misses = _ranked(positive, score, weight)
    if not hits[-1]:
        return math.nan
    taken = hits + misses
    precision = np.divide(hits, taken, out=np.zeros(len(taken)), where=taken > 0)
    return float(np.sum(np.diff(hits) * precision[1:]) / hits[-1])


def _ranked(positive: np.ndarray, score: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Total weight of positives and of negatives down to each distinct score, from none to all; ties move together."""
    order = np.argsort(score)[::-1]
    ranked, positive = score[order], positive[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    if weight is None:
        hits = np.cumsum(positive)[ends].astype(np.float64)
        misses = ends + 1 - hits
    else:
        weight = weight[order]
        hits, misses = np.cumsum(weight * positive)[ends], np.cumsum(weight * ~positive)[ends]
    return np.append(0.0, hits), np.append(0.0, misses)


def _tally(y: np.ndarray, codes: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight of each class: rightly predicted, true, predicted."""
    size = int(max(y.max(), codes.max())) + 1
    weight = np.ones(len(y)) if weight is None else weight
    right, true, said = np.where(y == codes, weight, 0.0), weight, weight
    return np.bincount(y, right, size), np.bincount(y, true, size), np.bincount(codes, said, size)
