"""Dates: a moment expanded into the parts that a calendar and a clock have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Self

import numpy as np
import polars as pl

PARTS = ("elapsed", "year", "month", "day", "weekday", "hour", "minute", "dayofyear")
_PERIODS = {"month": 12, "weekday": 7, "hour": 24, "dayofyear": 366}
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Dates:
    """A datetime column as numbers; a missing moment is NaN in each.

    Attributes
    ----------
    parts : those of `PARTS` that are not constant in the training rows; `elapsed` is in days since `origin`, weekdays
        count from Monday as 0.
    cycles : the parts that are also given as a point on a circle, sine and cosine.
    origin : the first training moment, in microseconds since 1970.
    """

    column: str
    parts: list[str]
    cycles: list[str]
    origin: int

    @classmethod
    def fit(cls, column: pl.Series, *, cyclic: bool) -> Self:
        """Find the first moment of the training rows and the parts that vary among them."""
        moments = np.unique(_moments(column.drop_nulls()))
        if not len(moments):
            return cls(column.name, [], [], 0)
        origin = int(moments[0].astype(np.int64))
        parts = [part for part in PARTS if np.ptp(_part(part, moments, origin))]
        return cls(column.name, parts, [part for part in parts if cyclic and part in _PERIODS], origin)

    @cached_property
    def names(self) -> list[str]:
        """column:part, then the sine and cosine of each cycle."""
        circles = [f"{part}_{side}" for part in self.cycles for side in ("sin", "cos")]
        return [f"{self.column}:{part}" for part in self.parts + circles]

    @property
    def gaps(self) -> list[tuple[int, str]]:
        """One for all the parts: they are missing together."""
        return [(0, self.column)][: len(self.parts)]

    def fill(self, table: pl.DataFrame, out: np.ndarray) -> None:
        """Write the parts and cycles."""
        moments = _moments(table.get_column(self.column))
        end = len(self.parts)
        for j, part in enumerate(self.parts):
            values = _part(part, moments, self.origin)
            out[:, j] = values
            if part in self.cycles:
                out[:, end : end + 2] = _circle(_PERIODS[part])[values % _PERIODS[part]]
                end += 2
        out[np.isnat(moments)] = np.nan


def _moments(column: pl.Series) -> np.ndarray:
    return column.to_numpy().astype("datetime64[us]")


def _part(part: str, moments: np.ndarray, origin: int) -> np.ndarray:
    """(n,) whole numbers, but for `elapsed`; anything where the moment is not a time."""
    ticks = moments.astype(np.int64)
    if part == "elapsed":
        found: np.ndarray = ticks / _DAY - origin / _DAY
    elif part == "hour":
        found = ticks % _DAY // 3_600_000_000
    elif part == "minute":
        found = ticks % 3_600_000_000 // 60_000_000
    elif part == "weekday":
        found = (ticks // _DAY + 3) % 7
    elif part == "year":
        found = _count(moments, "Y") + 1970
    elif part == "month":
        found = _count(moments, "M") % 12 + 1
    else:
        start = "M" if part == "day" else "Y"
        found = _count(moments, "D") - _count(moments.astype(f"datetime64[{start}]"), "D") + 1
    return found


def _count(moments: np.ndarray, unit: str) -> np.ndarray:
    return moments.astype(f"datetime64[{unit}]").astype(np.int64)


@cache
def _circle(period: int) -> np.ndarray:
    """(period, 2): a table, for numpy's own sine may round a value otherwise among other neighbours."""
    angle = 2 * np.pi * np.arange(period) / period
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)
