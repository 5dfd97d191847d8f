"""Text: hashed n-grams, weighed by how telling they are, as a few directions and a linear forecast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from typing import Any, Self

import numpy as np
import polars as pl

from automl.data.targets import FOLDS, inner_folds

_AXES = 24
_BUCKETS = 2**18
_KEPT = 20_000
_SAMPLE = 20_000
_SHORT = 64
_FEW = 100  # rows, whose counts are remembered
_READ = "\0{}"  # the column beside a text that holds its numbers
_DAMPED = 1 + np.log(np.arange(1, 1001))
_RIDGES = (1.0, 4.0, 16.0, 64.0)  # how strongly the coefficients of a forecast are held back
_TOLD = 50_000  # rows that a forecast is learned from
_LEAST = 0.05  # the least correlation of a forecast with the target of rows that it has not seen


@dataclass(frozen=True)
class Text:
    """A column of free text as its length, its word count, at most 24 latent components, and what they say of a target.

    Words and pairs of words (and, in short texts, 3 to 5 characters) are hashed, weighed by TF-IDF with sublinear
    counts, and projected by a truncated SVD: latent semantic analysis (Deerwester et al., 1990), randomised (Halko,
    Martinsson and Tropp, 2011). Missing text has no length (NaN), no words and no components (0).

    Where a target is given, a ridge regression on the same weights forecasts it: components keep what texts are about,
    which is not always what matters. Training rows are forecast out of fold: each by a fit on four fifths of the rows
    without it. There is no forecast where it would tell nothing of rows that it has not seen.

    Attributes
    ----------
    characters : whether n-grams of characters count, as they do where the median text has at most 64.
    buckets : int32 (b,), rising: the hashes that at least two texts share, at most the 20,000 most common.
    weights : float32 (b,), inverse document frequencies.
    axes : float32 (b, k), the right singular vectors.
    labels : the classes whose shares are forecast, as codes of the target; empty for regression.
    slopes : float32 (b, t), of the ridge regressions; t is 0 where there is no forecast.
    ridge : how strongly they are held back.
    """

    column: str
    characters: bool
    buckets: np.ndarray
    weights: np.ndarray
    axes: np.ndarray
    labels: list[int]
    slopes: np.ndarray
    ridge: float

    @classmethod
    def fit(cls, column: pl.Series, target: np.ndarray | None = None, labels: Sequence[int] = ()) -> Self:
        """Learn from the different training texts, from 20,000 drawn at random where there are more.

        Parameters
        ----------
        target : what `automl.data.targets.target_columns` gave for these rows and `labels`, (n, t); None for none.
        """
        texts = column.drop_nulls().unique(maintain_order=True)
        if len(texts) > _SAMPLE:
            texts = texts.gather(np.sort(np.random.default_rng(0).choice(len(texts), _SAMPLE, replace=False)))
        said = texts.to_list()
        nothing = np.empty(0, np.float32)
        none = nothing.reshape(0, 0)
        blank = cls(column.name, False, np.empty(0, np.int32), nothing, none, list(labels), none, 0.0)
        if not said:
            return blank
        characters = float(np.median([len(text) for text in said])) <= _SHORT
        counts = _counts(said, characters)
        frequency = np.bincount(counts.indices, minlength=_BUCKETS)
        common = np.argsort(-frequency, kind="stable")[:_KEPT]
        buckets = np.sort(common[frequency[common] >= 2]).astype(np.int32)
        if not len(buckets):
            return blank
        weights = (np.log((1 + len(said)) / (1 + frequency[buckets])) + 1).astype(np.float32)
        hashed = replace(blank, characters=characters, buckets=buckets, weights=weights)
        weighed, slopes = hashed._weigh(counts), np.empty((len(buckets), 0), np.float32)
        projected = replace(hashed, axes=_axes(weighed), slopes=slopes)
        if target is None:
            return projected
        rows = _some(len(column))
        every = weighed if len(said) == len(rows) == len(column) else projected._read(column.gather(rows))
        return projected._told(every, target[rows])

    def _told(self, weighed: Any, wanted: np.ndarray) -> Self:
        """With slopes, if those of four fifths of the rows tell something of the others."""
        apart = inner_folds(len(wanted)) == 0
        if apart.all() or not apart.any():
            return self
        told = {
            ridge: _alike(weighed[apart] @ _slopes(weighed[~apart], wanted[~apart], ridge), wanted[apart])
            for ridge in _RIDGES
        }
        best = max(_RIDGES, key=lambda ridge: told[ridge])
        if told[best] < _LEAST:
            return self
        return replace(self, slopes=_slopes(weighed, wanted, best), ridge=best)

    @cached_property
    def names(self) -> list[str]:
        """column:length (characters), column:words, column:svd0 and on; column:mean or column:share=class, forecast."""
        told = [f"share={label}" for label in self.labels] or ["mean"]
        said = ["length", "words", *(f"svd{i}" for i in range(self.axes.shape[1])), *told[: self.slopes.shape[1]]]
        return [f"{self.column}:{name}" for name in said]

    @property
    def gaps(self) -> list[tuple[int, str]]:
        """Only the length tells that a text is missing."""
        return [(0, self.column)]

    def fill(self, table: pl.DataFrame, out: np.ndarray) -> None:
        """Write the length, the word count, the components and the forecasts."""
        if self._written in table:
            out[...] = table.get_column(self._written).to_numpy()
            return
        column = table.get_column(self.column)
        self._fill(column, self._read(column), out)

    def _fill(self, column: pl.Series, weighed: Any, out: np.ndarray) -> None:
        said, axes = column.to_list(), 2 + self.axes.shape[1]
        out[:, 0] = [np.nan if text is None else len(text) for text in said]
        out[:, 1] = [len(text.split()) if text else 0 for text in said]
        out[:, 2:axes] = weighed @ self.axes
        out[:, axes:] = weighed @ self.slopes

    def fill_training(self, table: pl.DataFrame, target: np.ndarray, folds: np.ndarray, out: np.ndarray) -> None:
        """Write the training rows, all of them, each forecast by rows of other folds, or by rows without it."""
        if self._written in table:
            self.fill(table, out)
            return
        column = table.get_column(self.column)
        weighed = self._read(column)
        self._fill(column, weighed, out)
        rows = _some(len(column))
        for fold in range(FOLDS if self.slopes.shape[1] else 0):
            inside, others = rows[folds[rows] == fold], rows[folds[rows] != fold]
            if len(inside) and len(others):
                slopes = _slopes(weighed[others], target[others], self.ridge)
                out[inside, -self.slopes.shape[1] :] = weighed[inside] @ slopes

    @property
    def _written(self) -> str:
        return _READ.format(self.column)

    def _read(self, column: pl.Series) -> Any:
        """Sparse float32 (n, b) of unit rows; missing text is an empty one."""
        if not (len(column) and len(self.buckets)):
            return np.empty((len(column), len(self.buckets)), np.float32)
        return self._weigh(_counts([text or "" for text in column.to_list()], self.characters))

    def _weigh(self, counts: Any) -> Any:
        """Sparse float32 (n, b) of unit rows, from the counts (n, all buckets)."""
        from scipy.sparse import csr_matrix

        n = counts.shape[0]
        place = np.searchsorted(self.buckets, counts.indices).clip(max=len(self.buckets) - 1)
        known = np.flatnonzero(self.buckets[place] == counts.indices)
        place, row = place[known], np.repeat(np.arange(n), np.diff(counts.indptr))[known]
        often = counts.data[known].astype(np.int64).clip(max=len(_DAMPED))
        weight = _DAMPED[often - 1] * self.weights[place]
        # Not numpy's norm or log: those may round a row otherwise among other rows, and a prediction would change.
        length = np.sqrt(np.bincount(row, weight * weight, minlength=n))
        starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
        return csr_matrix(((weight / length[row]).astype(np.float32), place, starts), shape=(n, len(self.buckets)))


def read(table: pl.DataFrame, texts: Sequence[Text], numbers: np.ndarray) -> pl.DataFrame:
    """The table with `numbers` beside the texts: what `fill` of each, in this order, wrote and need not write again."""
    starts = np.cumsum([0, *(len(text.names) for text in texts)])
    columns = [
        pl.Series(text._written, np.ascontiguousarray(numbers[:, start:end]))
        for text, (start, end) in zip(texts, pairwise(starts), strict=True)
    ]
    return table.with_columns(columns)


def _axes(weighed: Any) -> np.ndarray:
    """float32 (b, k): the directions along which texts differ most."""
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    k = min(_AXES, min(weighed.shape) - 1)
    if k < 1:
        return np.empty((weighed.shape[1], 0), np.float32)
    # One thread: the last bits would depend on how many there are, and on a busy machine they wait for one another.
    with threadpool_limits(1):
        _, strength, right = randomized_svd(weighed, k, n_iter=2, random_state=0)
    return np.ascontiguousarray(right[strength > strength[0] * 1e-4].T, dtype=np.float32)


def _alike(forecast: np.ndarray, wanted: np.ndarray) -> float:
    """The mean over columns of the correlation, 0 of a column where either does not vary."""
    a, b = forecast - forecast.mean(axis=0), wanted - wanted.mean(axis=0)
    sizes = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return float(np.mean((a * b).sum(axis=0) / np.where(sizes > 0, sizes, np.inf)))


def _some(n: int) -> np.ndarray:
    """Of n rows those that a forecast is learned from."""
    return np.sort(np.random.default_rng(n).choice(n, _TOLD, replace=False)) if n > _TOLD else np.arange(n)


def _slopes(weighed: Any, wanted: np.ndarray, ridge: float) -> np.ndarray:
    """float32 (b, t): least squares from the mean of the rows, held back by `ridge`."""
    from sklearn.linear_model import ridge_regression

    away = wanted - wanted.mean(axis=0)
    found = ridge_regression(weighed.astype(np.float64), away, ridge, solver="sparse_cg", tol=1e-3, max_iter=50)
    return np.ascontiguousarray(np.reshape(found, (away.shape[1], -1)).T, dtype=np.float32)


def _counts(texts: Sequence[str], characters: bool) -> Any:
    """Sparse float64 (n, buckets): how often each hash is in each text."""
    return _counts_of_few(tuple(texts), characters) if len(texts) <= _FEW else _hashed(texts, characters)


@lru_cache(maxsize=4)
def _counts_of_few(texts: tuple[str, ...], characters: bool) -> Any:
    """A predictor's views, of which each fold has one, read the same rows one after the other."""
    return _hashed(texts, characters)


def _hashed(texts: Sequence[str], characters: bool) -> Any:
    hasher, words, pieces = _hashing()
    if characters:
        return hasher.transform(words(text) + pieces(text) for text in texts)
    return hasher.transform(words(text) for text in texts)


@cache
def _hashing() -> tuple[Any, Callable[[str], list[str]], Callable[[str], list[str]]]:
    """scikit-learn's hasher (MurmurHash3, the same on every machine) and its cutters into words and characters."""
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.feature_extraction.text import HashingVectorizer

    return (
        FeatureHasher(_BUCKETS, input_type="string", alternate_sign=False),
        HashingVectorizer(ngram_range=(1, 2)).build_analyzer(),
        HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5)).build_analyzer(),
    )
