"""Numbers: numeric and boolean columns as one block, and the scale that makes any block of numbers dense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl

_LARGEST = float(np.finfo(np.float32).max)
_LIMIT = 10.0
_FEW = 64  # rows that are not worth waking Polars' threads
_KNOTS = 1000
_KNOTS_IN_ALL = 2**20
_SKEWED = 1.0
_TINY = 1e-300  # dividing by less leaves float64


@dataclass(frozen=True)
class Numbers:
    """Numeric columns as they are, then boolean ones as 0 and 1; missing is NaN, and nothing is beyond float32."""

    columns: list[str]
    flags: list[str]

    @cached_property
    def names(self) -> list[str]:
        """The columns' own."""
        return self.columns + self.flags

    @property
    def gaps(self) -> list[tuple[int, str]]:
        """Each column for itself."""
        return list(enumerate(self.names))

    def fill(self, table: pl.DataFrame, out: np.ndarray) -> None:
        """Write the values, clipped to the range of float32."""
        if self.columns:
            block = self._block(table)
            np.clip(block, -_LARGEST, _LARGEST, out=out[:, : len(self.columns)], casting="same_kind")
        for j, name in enumerate(self.flags, start=len(self.columns)):
            out[:, j] = table.get_column(name).cast(pl.Float32).to_numpy()

    def _block(self, table: pl.DataFrame) -> np.ndarray:
        """float64 (n, len(columns))."""
        if table.height >= _FEW:
            return table[self.columns].to_numpy()
        block = np.empty((table.height, len(self.columns)))
        for j, name in enumerate(self.columns):
            block[:, j] = table.get_column(name).to_numpy()
        return block


@dataclass(frozen=True)
class Scale:
    """Impute with the median, bring skewed columns to a normal shape, standardise, clip to ±10, flag what was missing.

    A column whose skewness is beyond ±1 is mapped from its training quantiles to those of the normal distribution,
    linearly between at most 1,000 knots and flat beyond them, so the map is monotone to within rounding (as
    scikit-learn's QuantileTransformer, with mid-ranks for ties). A column without two different training values
    becomes 0.

    Attributes
    ----------
    centre, factor, fill : float64 (q,), a value x becomes (x - centre) factor, a missing one becomes fill.
    warped : int64 (w,), the columns mapped by quantiles; `starts` (w + 1,) says where each one's `knots` and `normal`
        lie.
    indicated : int64 (i,), the columns that get a 0/1 column saying that they were missing.
    """

    centre: np.ndarray
    factor: np.ndarray
    fill: np.ndarray
    warped: np.ndarray
    starts: np.ndarray
    knots: np.ndarray
    normal: np.ndarray
    indicated: np.ndarray

    @classmethod
    def fit(cls, raw: np.ndarray, indicated: Sequence[int], joint: bool = False) -> Self:
        """Learn from training rows, float64 (n, q) with NaN for missing and no value beyond float32.

        If `joint`, no column is mapped, and all have one factor: what varies more than others goes on to do so.
        """
        values = np.sort(np.ascontiguousarray(raw.T), axis=1)
        q, n = values.shape
        present = n - np.isnan(values).sum(axis=1)
        varies = values[np.arange(q), np.maximum(present - 1, 0)] > values[:, 0]
        most = int(np.clip(_KNOTS_IN_ALL // max(q, 1), 32, _KNOTS))
        warped, maps = [], []
        mapped = varies & (np.abs(_skewness(values, present)) > _SKEWED) & (not joint)
        for j in np.flatnonzero(mapped):
            knots, normal = _to_normal(values[j, : present[j]], most)
            if len(knots) > 2:
                values[j, : present[j]] = np.interp(values[j, : present[j]], knots, normal)
                warped.append(j)
                maps.append((knots, normal))
        centre, spread = _moments(values, present)
        if joint:
            spread = np.full(q, np.sqrt(np.mean(spread[varies] ** 2)) if varies.any() else 1.0)
        factor = np.divide(1.0, spread, out=np.zeros(q), where=varies & (spread > _TINY))
        return cls(
            centre,
            factor,
            _inside((_median(values, present) - centre) * factor),
            np.array(warped, np.int64),
            np.cumsum([0] + [len(knots) for knots, _ in maps]),
            np.concatenate([knots for knots, _ in maps] or [np.empty(0)]),
            np.concatenate([normal for _, normal in maps] or [np.empty(0)]),
            np.array(indicated, np.int64),
        )

    def apply(self, raw: np.ndarray, out: np.ndarray) -> None:
        """Write `raw` (n, q), which is overwritten, into `out` (n, q + i) without NaN or infinity."""
        q = raw.shape[1]
        gone = np.isnan(raw)
        for i, j in enumerate(self.warped):
            at = slice(self.starts[i], self.starts[i + 1])
            raw[:, j] = np.interp(raw[:, j], self.knots[at], self.normal[at])
        raw -= self.centre
        with np.errstate(over="ignore"):
            raw *= self.factor
        np.clip(raw, -_LIMIT, _LIMIT, out=raw)
        np.copyto(raw, self.fill, where=gone)
        out[:, :q] = raw
        out[:, q:] = gone[:, self.indicated]


def _inside(values: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(values), -_LIMIT, _LIMIT)


def _median(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Of sorted rows (q, n) whose first `present` are numbers; 0 where there are none."""
    rows, last = np.arange(len(values)), np.maximum(present - 1, 0)
    return np.nan_to_num((values[rows, last // 2] + values[rows, (last + 1) // 2]) / 2)


def _moments(values: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of rows (q, n), passing over NaN."""
    some = np.maximum(present, 1)
    mean = np.nansum(values, axis=1) / some
    return mean, np.sqrt(np.nansum((values - mean[:, None]) ** 2, axis=1) / some)


def _skewness(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    mean, spread = _moments(values, present)
    away = (values - mean[:, None]) / np.where(spread > 0, spread, 1)[:, None]
    return np.nansum(away * away * away, axis=1) / np.maximum(present, 1)


def _to_normal(ordered: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Knots (k,), strictly rising, and the normal quantiles that they go to."""
    from scipy.special import ndtri

    levels, counts = np.unique(ordered, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(ordered)
    if len(levels) > most:
        chosen = np.unique(np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], most)))
        levels, ranks = levels[chosen], ranks[chosen]
    apart = np.concatenate([[True], np.diff(levels) > _TINY])
    return levels[apart], ndtri(ranks[apart])


def with_some_value(X: np.ndarray) -> np.ndarray:
    """A copy of X (n, p) with zero in columns that have no value: scikit-learn's boosting (1.9) refuses these."""
    X = X.copy()
    X[:, np.isnan(X).all(axis=0)] = 0
    return X
