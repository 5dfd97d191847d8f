"""Effects: whether the levels of a column tell of the target what other columns, or its own order, do not."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import polars as pl

from automl.data.arrays import ArrayView
from automl.data.levels import may_be_levels
from automl.data.numbers import with_some_value

LIKELY, SURE = 1.0, 3.0  # by so many standard errors a gain must be above zero
_ROWS = 10_000  # that are looked at
_BINS = 40  # of numbers, by their order
_MANY = 100  # columns of numbers that may be levels, beyond which they are counts or a picture, and long to look at
_LABELS = 3  # the most frequent ones, of whose shares effects are looked for
_COLUMNS = 30  # that trees are given, the most telling ones
_FEW_ROWS = 1000  # that tell which these are
_PULL = 10.0  # rows of zero that a level's mean is taken with


def with_effect(
    table: pl.DataFrame, plain: ArrayView, target: np.ndarray, names: Sequence[str], numbers: Sequence[str]
) -> set[str]:
    """The columns whose levels are likely to tell of the target what a view does not.

    Boosted trees learn from what the view gives of one half of at most 10,000 rows, and predict the other; and the
    other way round. A category has an effect if its levels' means of what the predictions leave, taken in a half of
    the rows, lower its squares in the other half by more than a standard error: a mean that says what other columns
    say, or nothing, is but a chance to learn noise, the more so the fewer rows a level has.

    Numbers may be levels too, as those of customers or of shops are. Trees cut them in their order, so they have an
    effect if their levels say more than 40 bins do, by three standard errors: of the target, and of what is left of it.

    Parameters
    ----------
    table : n training rows; target : (n, k), what `target_columns` gave.
    plain : it knows nothing of the target.
    names, numbers : the categories and the columns of numbers that are asked about.
    """
    numbers = [name for name in numbers if may_be_levels(table[name])]
    numbers = numbers if len(numbers) <= _MANY else []
    if not names and not numbers:
        return set()
    n = len(target)
    rng = np.random.default_rng(n)
    rows = np.arange(n) if n <= _ROWS else np.sort(rng.choice(n, _ROWS, replace=False))
    table, target = table[rows], target[rows][:, np.argsort(-target.sum(axis=0), kind="stable")[:_LABELS]]
    half = rng.permutation(len(rows)) % 2
    away = target - target.mean(axis=0)
    numbers = [name for name in numbers if _beyond_order(table[name], away, half)]
    if not names and not numbers:
        return set()
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    X = plain.transform(table)
    X = X[:, strongest(X, target)]
    left = target.copy()
    trees = HistGradientBoostingRegressor(max_leaf_nodes=15, max_bins=63, early_stopping=False, random_state=0)
    with threadpool_limits(1):  # trials of the race run side by side, and each has its own cores
        for learn, held in ((half == 0, half == 1), (half == 1, half == 0)):
            if X.shape[1] and learn.any() and held.any():
                seen = with_some_value(X[learn])
                for j in range(target.shape[1]):
                    left[held, j] -= trees.fit(seen, target[learn, j]).predict(X[held])
    half = rng.permutation(len(rows)) % 2  # afresh: what trees learned of one half is in the answers for the other
    gains = {name: explained(table[name], left, half) for name in names}
    telling = {name for name, (gain, error) in gains.items() if gain > LIKELY * error}
    return telling | {name for name in numbers if _beyond_order(table[name], left, half)}


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
