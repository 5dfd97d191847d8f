"""Categories: levels counted in the training rows, then given as codes or one-hot columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from typing import Self

import numpy as np
import polars as pl

from automl.data.cells import EXACT

_MANY = 40
_FEW = 1000  # rows that are sooner looked up one by one
_TOLD_APART = 255  # numbers that boosted trees tell apart: they have as many bins
_OFTEN = 1.5  # rows of each number, on the average, from which on numbers may be levels


@dataclass(frozen=True)
class Category:
    """A column of text, or of whole numbers, with few enough values to know each.

    Attributes
    ----------
    levels : every level of the training rows, the most frequent first.
    counts : int64 (levels,), their training rows.
    missing : training rows without a level.
    kept : how many of the first levels are told apart; the others are one, `other`.
    numeric : whether the column is of numbers, which are levels as they are spelled; any that is not whole is unseen.

    A column of more than 40 levels also gives log(1 + training rows of the level), 0 for an unseen one.
    """

    column: str
    levels: list[str]
    counts: np.ndarray
    missing: int
    kept: int
    numeric: bool

    @classmethod
    def fit(cls, column: pl.Series, kept: int) -> Self:
        """Count the levels of the training rows; ties go by the level's own order."""
        numeric = column.dtype.is_float()
        spelled = _spelled(column) if numeric else column
        levels, counts = _counted(spelled.filter(spelled != ""))
        return cls(column.name, levels, counts, column.null_count(), min(kept, len(levels)), numeric)

    @property
    def gaps(self) -> list[tuple[int, str]]:
        """None: a missing level is never a NaN to impute."""
        return []

    @property
    def counted(self) -> bool:
        """Whether the level's frequency is a feature too."""
        return len(self.levels) > _MANY

    @property
    def other(self) -> bool:
        """Whether rare levels share one place."""
        return len(self.levels) > self.kept

    @property
    def code(self) -> str:
        """What a column of codes is called: numbers have their own name already."""
        return f"{self.column}:level" if self.numeric else self.column

    @cached_property
    def log_counts(self) -> np.ndarray:
        """(levels + 2,): of each level, of an unseen one, of missing."""
        return np.log1p(np.concatenate([self.counts, [0, self.missing]]))

    def places(self, column: pl.Series) -> np.ndarray:
        """int64 (n,): a level's place in `levels`, then one for the unseen and one for the missing."""
        unseen = len(self.levels)
        column = _spelled(column) if self.numeric else column
        if len(column) < _FEW:
            return np.fromiter(map(self._index.get, column.to_list(), repeat(unseen)), np.int64, len(column))
        known = column.cast(self._enum, strict=False).to_physical()
        places: np.ndarray = known.cast(pl.Int64).fill_null(unseen).to_numpy(writable=True)
        if column.null_count():
            places[column.is_null().to_numpy()] = unseen + 1
        return places

    @cached_property
    def _enum(self) -> pl.Enum:
        return pl.Enum(self.levels)

    @cached_property
    def _index(self) -> dict[str | None, int]:
        return {**{level: i for i, level in enumerate(self.levels)}, None: len(self.levels) + 1}


def may_be_levels(column: pl.Series) -> bool:
    """Whether numbers may stand for something each: they are whole, recur, and are more than trees tell apart."""
    known = column.drop_nulls()
    return whole(known).all() and _TOLD_APART < known.n_unique() < len(known) / _OFTEN


def whole(numbers: pl.Series) -> pl.Series:
    """Which of them have nothing behind the point, and are not too large for that to mean something."""
    return (numbers == numbers.round()) & (numbers.abs() <= EXACT)


def _spelled(numbers: pl.Series) -> pl.Series:
    """Whole numbers as text, and all others as the empty one, which is no level."""
    if len(numbers) < _FEW:
        cells = [None if x is None else str(int(x)) if x == x // 1 and abs(x) <= EXACT else "" for x in numbers]
        return pl.Series(numbers.name, cells, dtype=pl.String)
    others = ~whole(numbers)
    return numbers.set(others, 0.0).cast(pl.Int64).cast(pl.String).set(others, "")


def _counted(column: pl.Series) -> tuple[list[str], np.ndarray]:
    if len(column) < _FEW:
        ranked = sorted(Counter(column.to_list()).items(), key=lambda item: (-item[1], item[0]))
        return [level for level, _ in ranked], np.array([rows for _, rows in ranked], np.int64)
    rows = column.to_frame("level").group_by("level").len("rows").sort(["rows", "level"], descending=[True, False])
    return rows["level"].to_list(), rows["rows"].to_numpy().astype(np.int64)


class Codes(Category):
    """A category as codes 0..codes-1 by frequency; missing and unseen levels are NaN."""

    @property
    def codes(self) -> int:
        """How many codes there are, that of `other` included."""
        return self.kept + self.other

    @cached_property
    def names(self) -> list[str]:
        """The column's own, and that of its frequency."""
        return [self.code, f"{self.column}:count"][: 1 + self.counted]

    def fill(self, table: pl.DataFrame, out: np.ndarray) -> None:
        """Write the codes, and the frequencies where there are many levels."""
        places = self.places(table.get_column(self.column))
        out[:, 0] = self._codes[places]
        if self.counted:
            out[:, 1] = self.log_counts[places]

    @cached_property
    def _codes(self) -> np.ndarray:
        known = np.minimum(np.arange(len(self.levels)), self.kept)
        return np.concatenate([known, [np.nan, np.nan]])


class OneHot(Category):
    """A category as a 0/1 column for each kept level, for `other` and for missing, where training had them.

    An unseen level counts as other; where there is no `other`, its row is all zeros. The frequency is standardised.
    """

    def narrowed(self, kept: int) -> Self:
        """With at most `kept` levels told apart."""
        return replace(self, kept=min(kept, len(self.levels)))

    @property
    def width(self) -> int:
        """How many columns it fills."""
        return self.kept + self.other + (self.missing > 0) + self.counted

    @cached_property
    def names(self) -> list[str]:
        """column=level, then the column's <other>, <missing> and count."""
        special = ["<other>"] * self.other + ["<missing>"] * (self.missing > 0)
        hot = [f"{self.column}={level}" for level in self.levels[: self.kept] + special]
        return hot + [f"{self.column}:count"] * self.counted

    def fill(self, table: pl.DataFrame, out: np.ndarray) -> None:
        """Write zeros and ones, and the frequencies where there are many levels."""
        places = self.places(table.get_column(self.column))
        hot = self._hot[places]
        rows = np.flatnonzero(hot >= 0)
        out[...] = 0
        out[rows, hot[rows]] = 1
        if self.counted:
            out[:, -1] = self._frequencies[places]

    @cached_property
    def _hot(self) -> np.ndarray:
        """(levels + 2,): the column of each level, of an unseen one, of missing; -1 for none."""
        known = np.minimum(np.arange(len(self.levels)), self.kept)
        unseen = self.kept if self.other else -1
        missing = self.kept + self.other if self.missing else -1
        return np.concatenate([known, [unseen, missing]]).astype(np.int64)

    @cached_property
    def _frequencies(self) -> np.ndarray:
        weights = np.concatenate([self.counts, [0, self.missing]])
        mean = np.average(self.log_counts, weights=weights)
        spread = np.sqrt(np.average((self.log_counts - mean) ** 2, weights=weights))
        constant = np.ptp(self.log_counts[weights > 0]) == 0
        return np.zeros(len(weights)) if constant else np.clip((self.log_counts - mean) / spread, -10, 10)
