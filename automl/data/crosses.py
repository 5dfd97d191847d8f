"""Crosses: two columns told as one, where a trial on held-out rows shows that trees learn more with them than without.

Trees cut one column at a time, so a ratio or a difference takes them many cuts, and a pair of categories as many as it
has levels. But each further column is also a chance to learn noise, and on most tables crosses bring nothing. So they
are tried as OpenFE does (Zhang et al. 2023, "OpenFE: Automated Feature Generation with Expert-level Performance"), by
what they do for boosted trees, on a sample, and taken only if the gain is beyond doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import combinations
from typing import Any, Self

import numpy as np
import polars as pl

from automl.data.arrays import ArrayView
from automl.data.effects import LIKELY, SURE, explained, strongest
from automl.data.numbers import Numbers, with_some_value
from automl.data.targets import TargetMeans, inner_folds, target_columns, told_labels

OPERATIONS = {"/": np.divide, "*": np.multiply, "-": np.subtract, "+": np.add}
_FEWEST = 500  # rows, below which no gain could be beyond doubt
_WIDEST = 1000  # columns, beyond which to look takes longer than all else
_ROWS = 6000  # that are looked at
_CROSSED = 5  # numeric columns, the most important ones, that are crossed with one another, and so many categories
_CLASSES = 3  # at most: each needs trees of its own
_MOVED = 300  # rows on which the importance of a column is looked at
_LEAST = 0.05  # of the importance of the most important cross
_FEW = 64  # rows that are sooner joined one by one
_LARGEST = float(np.finfo(np.float32).max)
_BETWEEN = "\x1f"
_GONE = "\0"


@dataclass(frozen=True)
class Arithmetic:
    """Two numeric columns at a time, divided, multiplied, subtracted or added; NaN where the result is no number.

    Attributes
    ----------
    crosses : [left column, one of `OPERATIONS`, right column] each.
    """

    crosses: list[list[str]]

    @cached_property
    def names(self) -> list[str]:
        """left operation right."""
        return [" ".join(cross) for cross in self.crosses]

    @property
    def gaps(self) -> list[tuple[int, str]]:
        """None: what is missing is missing in one of the two, too."""
        return []

    def fill(self, table: pl.DataFrame, out: np.ndarray) -> None:
        """Write the results, clipped to the range of float32."""
        with np.errstate(all="ignore"):
            for j, (left, operation, right) in enumerate(self.crosses):
                values = OPERATIONS[operation](table.get_column(left).to_numpy(), table.get_column(right).to_numpy())
                values[~np.isfinite(values)] = np.nan
                np.clip(values, -_LARGEST, _LARGEST, out=out[:, j], casting="same_kind")


@dataclass(frozen=True)
class Pair(TargetMeans):
    """Two categories as one, whose levels are the pairs of theirs; missing is a level of each.

    Attributes
    ----------
    of : the two columns.
    """

    of: list[str]

    @classmethod
    def learn_pair(cls, table: pl.DataFrame, of: Sequence[str], target: np.ndarray, labels: list[int]) -> Self:
        """Learn from training rows; `target` (n, k) is what `target_columns` gave."""
        told = TargetMeans.learn(_joined(table, of), target, labels)
        return cls(**{each.name: getattr(told, each.name) for each in fields(told)}, of=list(of))

    def read(self, table: pl.DataFrame) -> pl.Series:
        """The pairs of levels."""
        return _joined(table, self.of)


def fit_crosses(
    table: pl.DataFrame,
    y: np.ndarray,
    classes: int,
    most: int,
    free: Sequence[str],
    fit_plain: Callable[[pl.DataFrame, np.ndarray], ArrayView],
) -> list[Arithmetic | Pair]:
    """The crosses that are worth having, at most so many, learned from training rows; usually none.

    They are chosen on at most 6,000 of the rows. Boosted trees learn from one half of these, with all crosses of the
    most important columns and without, and predict the other half; and the other way round. If the crosses make them
    better beyond doubt, by three standard errors, those that matter most to them are taken, but only if these alone
    make them better too, by one standard error at least.

    Parameters
    ----------
    y : the encoded target (n,).
    classes : the number of classes, 0 for regression.
    free : the columns that may be crossed.
    fit_plain : gives the view of rows and their target that has no crosses.
    """
    n = table.height
    if not most or n < _FEWEST or table.width > _WIDEST or classes > _CLASSES:
        return []
    rows = np.arange(n) if n <= _ROWS else np.sort(np.random.default_rng(n).choice(n, _ROWS, replace=False))
    some, target = table[rows], y[rows]
    plain = fit_plain(some, target)
    places = {name: at for name, at in _places(plain).items() if name in free}
    chosen = _choose(some, plain.training(some, target), places, target, classes, most)
    labels = told_labels(y, classes)
    return _learn(chosen, table, target_columns(y, labels), labels)


def _choose(
    table: pl.DataFrame, X: np.ndarray, places: Mapping[str, Sequence[int]], y: np.ndarray, classes: int, most: int
) -> list[list[str]]:
    """The crosses that are worth having: [left column, one of `OPERATIONS` or "&", right column] each.

    `X` (n, p) are the rows without crosses, out of fold where they tell of the target; `places` says which of its
    columns are whose.
    """
    from threadpoolctl import threadpool_limits

    labels = told_labels(y, classes)
    target = target_columns(y, labels)
    telling = strongest(X, target)
    X = X[:, telling]
    halves = np.array_split(np.random.default_rng(len(y)).permutation(len(y)), 2)
    y = y if classes else target[:, 0]
    trials = [_Trial(y, classes, learn, held) for learn, held in (halves, halves[::-1])]
    with threadpool_limits(1):  # trials of the race run side by side, and each has its own cores
        plain = trials[0].fit(X)
        weights = trials[0].importances(plain, X)
        of = {name: float(weights[np.isin(telling, at)].sum()) for name, at in places.items()}
        ranked = [name for name in sorted(of, key=lambda name: -of[name]) if of[name] > 0]
        numeric = [name for name in ranked if table[name].dtype.is_float()][:_CROSSED]
        tried = [[a, operation, b] for a, b in combinations(numeric, 2) for operation in OPERATIONS]
        categories = [name for name in ranked if table[name].dtype == pl.String][:_CROSSED]
        tried += _telling_pairs(table[halves[1]], categories, trials[0].left(plain, X, target, labels))
        if not tried:
            return []
        filled = [_filled(cross, table, target, labels) for cross in tried]
        return [tried[i] for i in _proven(trials, plain, X, filled, most)]


def _proven(trials: Sequence[_Trial], plain: Any, X: np.ndarray, filled: Sequence[np.ndarray], most: int) -> list[int]:
    """Which of the crosses, columns `filled` (n, ...) each, are worth having.

    `plain` are trees that learned from X in the first trial. It must be beyond doubt that the crosses help, all of them
    together, and likely that those that are kept do.
    """
    every = np.hstack([X, *filled])
    starts = np.cumsum([X.shape[1], *(columns.shape[1] for columns in filled[:-1])])
    losses: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    gains, kept = np.empty(0), np.empty(0)
    for trial, needed in zip(trials, (LIKELY, SURE), strict=True):
        losses.append(trial.losses(trial.fit(X) if losses else plain, X))
        trees = trial.fit(every)
        gains = np.append(gains, losses[-1] - trial.losses(trees, every))
        if not _above_zero(gains, needed):
            return []
        weights.append(np.add.reduceat(trial.importances(trees, every), starts))
    for trial, without, its in zip(trials, losses, weights, strict=True):
        some = np.hstack([X, *(filled[i] for i in _heaviest(its, most))])
        kept = np.append(kept, without - trial.losses(trial.fit(some), some))
    return _heaviest(np.sum(weights, axis=0), most) if _above_zero(kept, LIKELY) else []


def _above_zero(gains: np.ndarray, errors: float) -> bool:
    """Whether the mean is more than so many standard errors above zero."""
    return bool(gains.mean() > errors * gains.std() / np.sqrt(len(gains)))


def _heaviest(weights: np.ndarray, most: int) -> list[int]:
    """The crosses that matter, the most important first, at most so many."""
    order = np.argsort(-weights, kind="stable")[:most]
    return [int(i) for i in order if weights[i] > _LEAST * weights.max()]


def _places(view: ArrayView) -> dict[str, list[int]]:
    """Of the numeric columns and the categories, which columns of the view are theirs."""
    found: dict[str, list[int]] = {}
    for source, at in zip(view.direct, view.places, strict=True):
        if isinstance(source, Numbers):
            found |= {name: [at.start + j] for j, name in enumerate(source.columns)}
        elif isinstance(source, TargetMeans):
            found.setdefault(source.column, []).extend(range(at.start, at.stop))
    return found


def _learn(
    crosses: Sequence[list[str]], table: pl.DataFrame, target: np.ndarray, labels: list[int]
) -> list[Arithmetic | Pair]:
    """What fills the columns of crosses."""
    found: list[Arithmetic | Pair] = []
    if arithmetic := [cross for cross in crosses if cross[1] in OPERATIONS]:
        found.append(Arithmetic(arithmetic))
    pairs = [(left, right) for left, operation, right in crosses if operation not in OPERATIONS]
    return found + [Pair.learn_pair(table, pair, target, labels) for pair in pairs]


@dataclass(frozen=True)
class _Trial:
    """Rows that boosted trees learn from, `learn`, and rows that are held out; `y` (n,) is codes, or values."""

    y: np.ndarray
    classes: int
    learn: np.ndarray
    held: np.ndarray

    def fit(self, X: np.ndarray) -> Any:
        """Trees that learned from the columns of X (n, p)."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        trees = HistGradientBoostingClassifier() if self.classes else HistGradientBoostingRegressor()
        trees.set_params(learning_rate=0.1, max_iter=100, max_leaf_nodes=15, max_bins=63)
        trees.set_params(early_stopping=False, random_state=0)
        return trees.fit(with_some_value(X[self.learn]), self.y[self.learn])

    def importances(self, trees: Any, X: np.ndarray) -> np.ndarray:
        """(p,): how far the answers for some rows move when these get another row's value of a column."""
        rows = X[self.learn[:_MOVED]]
        before, far = self._answer(trees, rows), np.empty(X.shape[1])
        for j in range(X.shape[1]):
            changed = rows.copy()
            changed[:, j] = np.roll(changed[:, j], len(rows) // 2)
            far[j] = ((self._answer(trees, changed) - before) ** 2).mean()
        return far

    def left(self, trees: Any, X: np.ndarray, target: np.ndarray, labels: list[int]) -> np.ndarray:
        """(held, k): what the answers leave of `target`, which `target_columns` gave."""
        answer = self._answer(trees, X[self.held])
        return target[self.held] - (answer[:, labels] if self.classes else answer)

    def losses(self, trees: Any, X: np.ndarray) -> np.ndarray:
        """(held,): the log loss, or the squared error."""
        answer, y = self._answer(trees, X[self.held]), self.y[self.held]
        if not self.classes:
            return (answer[:, 0] - y) ** 2
        return -np.log(np.clip(answer[np.arange(len(y)), y], 1e-6, None))

    def _answer(self, trees: Any, X: np.ndarray) -> np.ndarray:
        """Shares (n, classes), or values (n, 1)."""
        if not self.classes:
            return trees.predict(X)[:, None]
        shares = np.zeros((len(X), self.classes))
        shares[:, trees.classes_] = trees.predict_proba(X)
        return shares


def _telling_pairs(table: pl.DataFrame, categories: Sequence[str], left: np.ndarray) -> list[list[str]]:
    """The pairs of categories that explain what trees left of the target (n, k), by more than three standard errors."""
    half = np.random.default_rng(len(left)).permutation(len(left)) % 2
    alone = {name: explained(table[name], left, half)[0] for name in categories}
    found = []
    for a, b in combinations(categories, 2):
        gain, error = explained(_joined(table, (a, b)), left, half)
        if gain - max(0.0, alone[a], alone[b]) > SURE * error:
            found.append([a, "&", b])
    return found


def _filled(cross: list[str], table: pl.DataFrame, target: np.ndarray, labels: list[int]) -> np.ndarray:
    """float32 (n, columns): a cross as the rows of a sample have it, out of fold."""
    (source,) = _learn([cross], table, target, labels)
    out = np.empty((table.height, len(source.names)), np.float32)
    if isinstance(source, Pair):
        source.fill_training(table, target, inner_folds(table.height), out)
    else:
        source.fill(table, out)
    return out


def _joined(table: pl.DataFrame, of: Sequence[str]) -> pl.Series:
    """Two categories as one, missing being a level of each."""
    name, (left, right) = " & ".join(of), (table.get_column(each) for each in of)
    if table.height < _FEW:
        pairs = zip(left.to_list(), right.to_list(), strict=True)
        joined = [f"{_GONE if a is None else a}{_BETWEEN}{_GONE if b is None else b}" for a, b in pairs]
        return pl.Series(name, joined, dtype=pl.String)
    return (left.fill_null(_GONE) + _BETWEEN + right.fill_null(_GONE)).alias(name)
