"""Effects: whether the levels of a column tell of the target what other columns, or its own order, do not."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import polars as pl

from automl.data.arrays import ArrayView
from automl.data.levels import may_be_levels, whole
from automl.data.numbers import with_some_value

LIKELY, SURE = 1.0, 3.0  # by so many standard errors a gain must be above zero
_ROWS = 10_000  # that are looked at
_LABELS = 3  # the most frequent ones, of whose shares effects are looked for
_COLUMNS = 30  # that trees are given, the most telling ones
_FEW_ROWS = 1000  # that tell which these are
_PULL = 10.0  # rows of zero that a level's mean is taken with
_NUMBERED_ROWS = 30_000  # that are looked at for numbers, whose levels are many
_BINS = 40  # of numbers, by their order
_HEAD = 100  # rows that say of most columns of numbers that these are not whole
_MANY = 100  # columns of whole numbers, beyond which they are counts or a picture, and take long to look at


def with_effect(table: pl.DataFrame, plain: ArrayView, target: np.ndarray, names: Sequence[str]) -> set[str]:
    """The categories whose levels are likely to tell of the target what a view does not.

    Boosted trees learn from what the view gives of one half of at most 10,000 rows, and predict the other; and the
    other way round. A category has an effect if its levels' means of what the predictions leave, taken in a half of
    the rows, lower its squares in the other half by more than a standard error: a mean that says what other columns
    say, or nothing, is but a chance to learn noise, the more so the fewer rows a level has.

    Parameters
    ----------
    table : n training rows; target : (n, k), what `target_columns` gave.
    plain : it knows nothing of the target.
    """
    if not names:
        return set()
    table, target, rng = _some(table, target, _ROWS)
    left, half = _left(table, plain, target, rng)
    gains = {name: explained(table[name], left, half) for name in names}
    return {name for name, (gain, error) in gains.items() if gain > LIKELY * error}


def numbered(table: pl.DataFrame, plain: ArrayView, target: np.ndarray, names: Sequence[str]) -> list[str]:
    """The columns of numbers that stand for something each, as those of customers or of shops do.

    Trees cut numbers in their order. Beyond it are those whose levels say more of the target, in halves of at most
    30,000 rows as above, than their 40 quantiles do, and more of what trees leave of it: by three standard errors each.

    Parameters
    ----------
    table, target, plain : as above.
    names : the columns that are asked about.
    """
    names = [name for name in names if whole(table[name].head(_HEAD).drop_nulls()).all()]
    if not 0 < len(names) <= _MANY:
        return []
    table, target, rng = _some(table, target, _NUMBERED_ROWS)
    away, half = target - target.mean(axis=0), _halves(len(target), rng)
    names = [name for name in names if may_be_levels(table[name]) and _beyond_order(table[name], away, half)]
    if not names:
        return []
    left, half = _left(table, plain, target, rng)
    return [name for name in names if _beyond_order(table[name], left, half)]


def _some(table: pl.DataFrame, target: np.ndarray, most: int) -> tuple[pl.DataFrame, np.ndarray, np.random.Generator]:
    """At most so many rows, the most frequent labels of their target, and chance that hangs on their number alone."""
    n = len(target)
    rng = np.random.default_rng(n)
    rows = np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))
    return table[rows], target[rows][:, np.argsort(-target.sum(axis=0), kind="stable")[:_LABELS]], rng


def _halves(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(n) % 2


def _left(
    table: pl.DataFrame, plain: ArrayView, target: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What trees that learned from the other half of the rows leave of the target, and halves drawn afresh."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    X = plain.transform(table)
    X = X[:, strongest(X, target)]
    left, half = target.copy(), _halves(len(target), rng)
    trees = HistGradientBoostingRegressor(max_leaf_nodes=15, max_bins=63, early_stopping=False, random_state=0)
    with threadpool_limits(1):  # trials of the race run side by side, and each has its own cores
        for learn, held in ((half == 0, half == 1), (half == 1, half == 0)):
            if X.shape[1] and learn.any() and held.any():
                seen = with_some_value(X[learn])
                for j in range(target.shape[1]):
                    left[held, j] -= trees.fit(seen, target[learn, j]).predict(X[held])
    return left, _halves(len(target), rng)  # what trees learned of one half is in the answers for the other


def _beyond_order(column: pl.Series, left: np.ndarray, half: np.ndarray) -> bool:
    """Whether it is beyond doubt that the levels of numbers explain more of `left` than the bins of their order do."""
    gain, error = explained(column, left, half)
    binned, _ = explained(column.rank() * _BINS // len(column), left, half)
    return gain - max(0.0, binned) > SURE * error


def explained(column: pl.Series, left: np.ndarray, half: np.ndarray) -> tuple[float, float]:
    """By how much the levels' means of `left` in one half lower its squares in the other, both ways; and the error."""
    level = column.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    cells, size = level * 2 + half, 2 * (int(level.max(initial=0)) + 1)
    rows = np.bincount(cells, minlength=size).reshape(-1, 2)
    gain = variance = 0.0
    for values in left.T:
        sums = np.bincount(cells, values, minlength=size).reshape(-1, 2)
        means = sums / (rows + _PULL)
        used = (means**2 * rows[:, ::-1]).sum()
        gain += float(2 * (means * sums[:, ::-1]).sum() - used)
        variance += float(4 * values.var() * used)
    return gain, variance**0.5


def strongest(X: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The columns of X that trees are given: where they are too many, those that go most with the target, bent."""
    if X.shape[1] <= _COLUMNS:
        return np.arange(X.shape[1])
    rows = X[:_FEW_ROWS].astype(np.float64)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # columns without any value
        rows -= np.nanmean(rows, axis=0)
        rows = np.nan_to_num(rows / np.nanmax(np.abs(rows), axis=0), posinf=0, neginf=0)
    told = target[:_FEW_ROWS] - target[:_FEW_ROWS].mean(axis=0)
    strength = np.zeros(X.shape[1])
    for bent in (rows, rows * rows - (rows * rows).mean(axis=0)):
        size = np.maximum((bent * bent).sum(axis=0), 1e-12)
        strength += ((bent.T @ told) ** 2).sum(axis=1) / size
    return np.sort(np.argsort(-strength, kind="stable")[:_COLUMNS])
