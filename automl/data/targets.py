"""Target means: a category as what its training rows have of the target, no row being told of its own."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl

from automl.data.levels import Category

FOLDS = 5
_CLASSES = 10  # whose shares are told
_TOLD = 3  # levels from which a mean says more than the code


@dataclass(frozen=True)
class TargetMeans(Category):
    """A category as the mean target of each level, and its code (at most 40 levels) or its frequency (more).

    A level's mean is drawn towards that of all rows (Micci-Barreca 2001): it counts n / (n + m) for a level of n rows,
    where m is the variance within levels over that between them (Bühlmann's credibility), at least 1, and infinite
    where the levels differ no more than by chance. A missing level is a level, an unseen one has the mean of all rows;
    so means are never NaN. Codes are 0, 1, ... by frequency, NaN where missing or unseen; frequencies are
    log(1 + rows). A column of two levels has no mean: its code says the same; nor has one that it is taken from.

    Training rows are encoded out of fold: each by the levels' means over four fifths of the rows without it.

    Attributes
    ----------
    labels : the classes whose shares are the means, as codes of the target; empty for regression, where means are in
        standard deviations from the mean of all rows.
    means : float32 (levels + 2, k), of each level, of an unseen one, of missing.
    """

    labels: list[int]
    means: np.ndarray

    @classmethod
    def learn(cls, column: pl.Series, target: np.ndarray, labels: list[int]) -> Self:
        """Learn from training rows; `target` (n, k) is what `target_columns` gave."""
        counted = Category.fit(column, column.len())
        nothing = np.empty((len(counted.levels) + 2, 0), np.float32)
        known = {each.name: getattr(counted, each.name) for each in fields(counted)}
        blank = cls(**known, labels=labels, means=nothing)
        if len(counted.levels) < _TOLD:
            return blank
        places, rows = blank.places(column), blank._rows
        means = np.empty((len(rows), target.shape[1]), np.float32)
        for j, values in enumerate(target.T):
            prior = values.mean()
            away = values - prior
            sums = np.bincount(places, away, len(rows))
            means[:, j] = prior + sums / (rows + _pull(rows, sums, away))
        return replace(blank, means=means)

    def without_means(self) -> Self:
        """As its code or frequency alone."""
        return replace(self, means=self.means[:, :0])

    def read(self, table: pl.DataFrame) -> pl.Series:
        """The levels."""
        return table.get_column(self.column)

    @cached_property
    def names(self) -> list[str]:
        """column:mean, or column:share=class of each label, then the column's own for codes, or column:count."""
        told = [f"share={label}" for label in self.labels] or ["mean"]
        last = f"{self.column}:count" if self.counted else self.code
        return [*(f"{self.column}:{name}" for name in told[: self.means.shape[1]]), last]

    def fill(self, table: pl.DataFrame, out: np.ndarray) -> None:
        """Write the means over all training rows, and the codes or frequencies."""
        places = self.places(self.read(table))
        for j, means in enumerate(self.means.T):
            out[:, j] = means[places]
        out[:, -1] = self._last[places]

    def fill_training(self, table: pl.DataFrame, target: np.ndarray, folds: np.ndarray, out: np.ndarray) -> None:
        """Write the training rows, all of them, each by the rows of other folds; `target` is what was learned from."""
        places = self.places(self.read(table))
        out[:, -1] = self._last[places]
        if not self.means.shape[1]:
            return
        rows = self._rows
        cells = places * FOLDS + folds
        others = rows[:, None] - np.bincount(cells, minlength=len(rows) * FOLDS).reshape(-1, FOLDS)
        for j, values in enumerate(target.T):
            # The mean of all rows and the pull are the same for every row, so they tell none of its own target.
            prior = values.mean()
            away = values - prior
            inside = np.bincount(cells, away, len(rows) * FOLDS).reshape(-1, FOLDS)
            sums = inside.sum(axis=1)
            pull = _pull(rows, sums, away)
            means = prior + (sums[:, None] - inside) / (others + pull)
            out[:, j] = means.reshape(-1)[cells]

    @cached_property
    def _rows(self) -> np.ndarray:
        """(levels + 2,): training rows of each level, of an unseen one, of missing."""
        return np.concatenate([self.counts, [0, self.missing]])

    @cached_property
    def _last(self) -> np.ndarray:
        if self.counted:
            return self.log_counts
        return np.concatenate([np.arange(len(self.levels)), [np.nan, np.nan]])


def told_labels(y: np.ndarray, classes: int, most: int = _CLASSES) -> list[int]:
    """The classes whose shares are told: the second of two; else the most frequent ones, `most` of them, in order."""
    if classes == 2:
        return [1]
    often = np.argsort(-np.bincount(y, minlength=classes), kind="stable") if classes else np.empty(0, np.int64)
    return sorted(often[: min(most, _CLASSES)].tolist())


def target_columns(y: np.ndarray, labels: list[int]) -> np.ndarray:
    """float64 (n, k): 1 where the target is the label, for each of the labels; without any, the standardised target."""
    if labels:
        return np.stack([y == label for label in labels], axis=1).astype(np.float64)
    scaled = y / (np.abs(y).max() or 1.0)  # so that no sum of squares leaves float64
    away = scaled - scaled.mean()
    return (away / (away.std() or 1.0))[:, None]


def inner_folds(n: int) -> np.ndarray:
    """int64 (n,): which fold each of n training rows is in; by its place alone, so not by its target."""
    return np.random.default_rng(n).permutation(n) % FOLDS


def _pull(rows: np.ndarray, sums: np.ndarray, away: np.ndarray) -> float:
    """How many rows at the overall mean each level is to be taken with; `away` (n,) is the target less that mean."""
    seen = rows > 0
    n, levels = len(away), int(seen.sum())
    spread = n - (rows.astype(np.float64) ** 2).sum() / n
    if levels >= n or spread <= 0:
        return np.inf
    between = (sums[seen] ** 2 / rows[seen]).sum()
    within = max((away @ away - between) / (n - levels), 0.0)
    excess = (between - (levels - 1) * within) / spread
    return max(within / excess, 1.0) if excess > 0 else np.inf
