"""Text: hashed n-grams, weighed by how telling they are, projected onto the few directions that matter most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
import polars as pl

_AXES = 48
_BUCKETS = 2**18
_KEPT = 20_000
_SAMPLE = 20_000
_SHORT = 64
_READ = "\0{}"  # the column beside a text that holds its numbers
_DAMPED = 1 + np.log(np.arange(1, 1001))


@dataclass(frozen=True)
class Text:
    """A column of free text as its length, its word count and at most 48 latent components.

    Words and pairs of words (and, in short texts, 3 to 5 characters) are hashed, weighed by TF-IDF with sublinear
    counts, and projected by a truncated SVD: latent semantic analysis (Deerwester et al., 1990), randomised (Halko,
    Martinsson and Tropp, 2011). Missing text has no length (NaN), no words and no components (0).

    Attributes
    ----------
    characters : whether n-grams of characters count, as they do where the median text has at most 64.
    buckets : int32 (b,), rising: the hashes that at least two texts share, at most the 20,000 most common.
    weights : float32 (b,), inverse document frequencies.
    axes : float32 (b, k), the right singular vectors.
    """

    column: str
    characters: bool
    buckets: np.ndarray
    weights: np.ndarray
    axes: np.ndarray

    @classmethod
    def fit(cls, column: pl.Series) -> Self:
        """Learn from the different training texts, from 20,000 drawn at random where there are more."""
        texts = column.drop_nulls().unique(maintain_order=True)
        if len(texts) > _SAMPLE:
            texts = texts.gather(np.sort(np.random.default_rng(0).choice(len(texts), _SAMPLE, replace=False)))
        said = texts.to_list()
        nothing = np.empty(0, np.float32)
        blank = cls(column.name, False, np.empty(0, np.int32), nothing, nothing.reshape(0, 0))
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
        return replace(hashed, axes=_axes(hashed._weigh(counts)))

    @cached_property
    def names(self) -> list[str]:
        """column:length (characters), column:words, column:svd0 and on."""
        said = ["length", "words", *(f"svd{i}" for i in range(self.axes.shape[1]))]
        return [f"{self.column}:{name}" for name in said]

    @property
    def gaps(self) -> list[tuple[int, str]]:
        """Only the length tells that a text is missing."""
        return [(0, self.column)]

    def fill(self, table: pl.DataFrame, out: np.ndarray) -> None:
        """Write the length, the word count and the components."""
        if (read := table.get_column(_READ.format(self.column), default=None)) is not None:
            out[...] = read.to_numpy()
            return
        said = table.get_column(self.column).to_list()
        out[:, 0] = [np.nan if text is None else len(text) for text in said]
        out[:, 1] = [len(text.split()) if text else 0 for text in said]
        if said and self.axes.shape[1]:
            out[:, 2:] = self._weigh(_counts([text or "" for text in said], self.characters)) @ self.axes

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
        pl.Series(_READ.format(text.column), np.ascontiguousarray(numbers[:, start:end]))
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
        _, strength, right = randomized_svd(weighed, k, n_iter=3, random_state=0)
    return np.ascontiguousarray(right[strength > strength[0] * 1e-4].T, dtype=np.float32)


def _counts(texts: Sequence[str], characters: bool) -> Any:
    """Sparse float64 (n, buckets): how often each hash is in each text."""
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
