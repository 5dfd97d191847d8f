"""The metrics, as functions of y (n,), class codes; proba (n, classes); and weight (n,) or None."""

from __future__ import annotations

import numpy as np


def calibration_error(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None, bins: int = 15) -> float:
    """By how much confidence and accuracy differ on average: 0 where of predictions with 80% just 80% are right.

    Rows are put in `bins` bins of equal width by the probability of the label that is predicted (Guo, Pleiss, Sun and
    Weinberger 2017, "On calibration of modern neural networks").
    """
    weight = np.ones(len(y)) if weight is None else weight
    confidence = proba.max(axis=1)
    right = proba.argmax(axis=1) == y
    at = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(at, weights=weight * (right - confidence), minlength=bins)
    return float(np.abs(gaps).sum() / weight.sum())


def top_three(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None) -> float:
    """Share of rows whose label is one of the three likeliest; of labels that tie, those of a lower code come first."""
    first = np.argsort(-proba, axis=1, kind="stable")[:, :3]
    return float(np.average((first == y[:, None]).any(axis=1), weights=weight))


def captured(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None, share: float = 0.1) -> float:
    """Share of the positives that are in the likeliest `share` of the rows; NaN where there is no positive.

    Rows that tie at the edge count in proportion, so that their order does not matter.
    """
    weight = np.ones(len(y)) if weight is None else weight
    positives = float(weight @ y)
    if not positives:
        return float("nan")
    score, at = np.unique(-proba[:, 1], return_inverse=True)
    size = np.bincount(at, weights=weight, minlength=len(score))
    found = np.bincount(at, weights=weight * y, minlength=len(score))
    room = np.clip(share * weight.sum() - (np.cumsum(size) - size), 0, size)
    part = np.divide(room, size, out=np.zeros_like(size), where=size > 0)
    return float(part @ found) / positives
