"""Splits: which rows train and which validate, as index arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from automl.config import SplitConf
from automl.errors import ConfigError, DataError, nearest
from automl.hookspecs import hookimpl


@dataclass(frozen=True)
class Fold:
    """Row numbers, int64, sorted: those that train and those that validate; none is in both."""

    train: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Split:
    """The folds, the kind of split (never ``auto``), and why they are as they are, for a person."""

    kind: str
    folds: tuple[Fold, ...]
    why: str


def repeats(folds: Sequence[Fold]) -> int:
    """How often a row validates that does so at all: on average, rounded down."""
    valid = [fold.valid for fold in folds]
    return sum(map(len, valid)) // len(np.unique(np.concatenate(valid)))


@dataclass(frozen=True)
class Rows:
    """The rows to be dealt into folds.

    Attributes
    ----------
    conf : what the config says of the split.
    kind : the task kind; y : the encoded target (n,).
    column : the values (n,) of `conf.column`, for a kind that is steered by one.
    seed : the seed of every shuffle; the same seed must give the same folds.
    """

    conf: SplitConf
    kind: str
    y: np.ndarray
    column: np.ndarray | None
    seed: int


@dataclass(frozen=True)
class SplitKind:
    """A way to deal rows into folds: `split.kind=NAME`.

    Parameters
    ----------
    name : its name.
    deal : called with the rows; gives the folds, and why they are as they are, for a person.
    column : what `split.column` holds, where the kind is steered by a column: "groups". The column is no feature.
    """

    name: str
    deal: Callable[[Rows], tuple[Sequence[Fold], str]]
    column: str = ""


@hookimpl
def automl_splits() -> Iterable[SplitKind]:
    """Holdout, k-fold, repeated k-fold; by group, over time, as a column says."""
    for name in ("holdout", "kfold", "repeated"):
        yield SplitKind(name, partial(_shuffled, name))
    yield SplitKind("group", _group, "groups")
    yield SplitKind("time", _time, "times")
    yield SplitKind("column", _named, "fold names")


def make_split(
    conf: SplitConf,
    *,
    kind: str,
    y: np.ndarray,
    column: np.ndarray | None,
    seed: int,
    kinds: Mapping[str, SplitKind] | None = None,
) -> Split:
    """Deal the rows into folds.

    Folds are stratified: by class, or by 20 quantile bins of a regression's target. A class of one row always trains.
    A fold whose training rows are all of one class is left out. Both are said in `why`.

    Parameters
    ----------
    conf : the kind of split and its numbers. ``auto`` is repeated k-fold below 500 rows, 8 folds below 2,000, 5 below
        20,000, 3 up to 200,000, and a holdout of at most 50,000 rows above; a plan changes that by the budget.
    kind, y, column, seed : see `Rows`.
    kinds : the registered kinds of splits, by name; those that come with automl, if None.

    Raises
    ------
    ConfigError : an unknown kind, a number that makes no sense, a column that is missing or has no use; folds of a
        plugin that are none.
    DataError : too few rows, groups or times for the folds asked for, or missing values in the column.
    """
    kinds = {known.name: known for known in automl_splits()} if kinds is None else kinds
    _check(conf, column, kinds)
    n = len(y)
    if n < 2:
        raise DataError(f"the table has {n} rows ({n} sample{'' if n == 1 else 's'}): a split needs at least 2")
    chosen = _by_size(conf, n) if conf.kind == "auto" else conf.kind
    dealt, why = kinds[chosen].deal(Rows(conf, kind, y, column, seed))
    folds = _sound(list(dealt), n, chosen)
    if kind != "regression":
        folds, why = _learnable(folds, why, y)
    return Split(chosen, tuple(folds), why)


def _sound(folds: list[Fold], n: int, chosen: str) -> list[Fold]:
    """The folds, if they are such."""
    for i, fold in enumerate(folds):
        rows = np.concatenate([fold.train, fold.valid])
        if rows.dtype.kind not in "iu" or not len(fold.train) or not len(fold.valid):
            raise ConfigError(f"split={chosen} gave a fold {i} without row numbers to train on, or to validate")
        if rows.min() < 0 or rows.max() >= n or np.bincount(rows.astype(np.int64)).max() > 1:
            raise ConfigError(f"split={chosen} gave a fold {i} with a row twice, or one that is not among the {n:,}")
    if not folds:
        raise ConfigError(f"split={chosen} gave no folds")
    return folds


@dataclass(frozen=True)
class _Count:
    """How many folds, and whether somebody said so: then fewer is an error, and otherwise a note."""

    folds: int
    asked: bool

    @classmethod
    def of(cls, conf: SplitConf, n: int, least: int) -> _Count:
        if conf.folds is not None:
            return cls(conf.folds, True)
        return cls(max(least, _by_rows(conf, n).get("folds", 1)), False)

    def at_most(self, most: int, problem: str) -> tuple[int, str]:
        """The number of folds that can be had and a note on it."""
        if self.folds <= most:
            return self.folds, "as asked" if self.asked else ""
        if self.asked:
            raise DataError(f"split.folds={self.folds}: {problem}; at most {most} folds can be made")
        return most, f"{problem}, so {most} folds instead of {self.folds}"


_MOST_VALID = 50_000
_BINS = 20
_MOST_NAMES = 100
_VALID_NAMES = {"valid", "val", "validation", "test"}


def _check(conf: SplitConf, column: np.ndarray | None, kinds: Mapping[str, SplitKind]) -> None:
    if conf.kind not in ("auto", *kinds):
        near = nearest(conf.kind, ("auto", *kinds))
        raise ConfigError(f"split.kind={conf.kind}: unknown kind{near} Known: {', '.join(('auto', *kinds))}")
    holds = "" if conf.kind == "auto" else kinds[conf.kind].column
    if holds and column is None:
        raise ConfigError(f"split={conf.kind} needs split.column=COLUMN: the column of {holds}")
    if not holds and conf.column is not None:
        raise ConfigError(
            f"split.column={conf.column} has no use with split={conf.kind}; say what it holds: split=group if groups, "
            "split=time if times, split=column if the names of folds"
        )
    least = 2 if conf.kind in ("kfold", "repeated", "group") else 1
    if conf.folds is not None and conf.folds < least:
        raise ConfigError(f"split.folds={conf.folds}: split={conf.kind} needs at least {least}")
    if conf.folds is not None and (conf.kind == "column" or (conf.kind == "holdout" and conf.folds > 1)):
        raise ConfigError(
            f"split.folds={conf.folds} has no use with split={conf.kind}; use split=kfold, or leave it out"
        )
    if conf.repeats < 1:
        raise ConfigError(f"split.repeats={conf.repeats}: must be at least 1")
    if not 0 < conf.fraction < 1:
        raise ConfigError(f"split.fraction={conf.fraction}: must be between 0 and 1")


def usual_folds(conf: SplitConf, n: int) -> int | None:
    """How many folds a table of `n` rows has, repeats counted, 1 for a holdout; None where the config says how many."""
    usual = _by_rows(conf, n)
    return usual.get("folds", 1) * usual.get("repeats", 1) if conf.kind == "auto" and conf.folds is None else None


def _by_rows(conf: SplitConf, n: int) -> dict[str, int]:
    """The entry of the curve for so many rows; none past its end, where a share of the rows validates."""
    return next((entry for entry in conf.curve if n <= entry["rows"]), {})


def _by_size(conf: SplitConf, n: int) -> str:
    if conf.folds is not None:
        return "holdout" if conf.folds == 1 else "kfold"
    usual = _by_rows(conf, n)
    return "repeated" if "repeats" in usual else "kfold" if usual else "holdout"


def _share(conf: SplitConf, n: int) -> float:
    """The share of rows that validates in a holdout: what was said, but in large tables no more rows than tell."""
    return conf.fraction if conf.folds is not None or _by_rows(conf, n) else min(conf.fraction, _MOST_VALID / n)


def _strata(y: np.ndarray, kind: str) -> np.ndarray:
    """Classes, or quantile bins of numbers that hold some rows each: int64 (n,)."""
    if kind != "regression":
        return np.asarray(y).astype(np.int64)
    n = len(y)
    rank = np.empty(n, np.int64)
    rank[np.argsort(y, kind="stable")] = np.arange(n)
    return rank * min(_BINS, max(1, n // 10)) // n


def _shuffled(chosen: str, rows: Rows) -> tuple[list[Fold], str]:
    """Holdout, k-fold and repeated k-fold."""
    conf, kind, n = rows.conf, rows.kind, len(rows.y)
    strata, rng = _strata(rows.y, kind), np.random.default_rng(rows.seed)
    size = np.bincount(strata)[strata]
    free = np.flatnonzero(size > 1)
    lone = n - len(free)
    by = "target" if kind == "regression" else "class"
    if not len(free):
        raise DataError(
            f"each of the {n} rows is of another class: none can validate what the others teach; "
            "a class needs at least 2 rows"
        )
    notes = [f"{lone} classes of one row always train" if lone > 1 else "a class of one row always trains"]
    notes = notes if lone else []
    if chosen == "holdout":
        share = conf.fraction if conf.kind == "holdout" else _share(conf, n)
        fold = _fold(n, _held_out(strata[free], free, share, rng))
        return [fold], _said(f"{len(fold.valid):,} of {n:,} rows validate, stratified by {by}", *notes)
    k, note = _Count.of(conf, n, 3).at_most(len(free), f"there are {len(free)} rows that can validate")
    # Where each fold is one row, another shuffle gives the same folds.
    wanted = conf.repeats if conf.kind == "repeated" else _by_rows(conf, n).get("repeats", 1)
    repeats = wanted if chosen == "repeated" and k < len(free) else 1
    folds = [_fold(n, free[dealt == i]) for dealt in _deals(strata[free], k, repeats, rng) for i in range(k)]
    times = f", {repeats} times" if repeats > 1 else ""
    return folds, _said(f"{n:,} rows in {k} folds{times}, stratified by {by}", note, *notes)


def _deals(strata: np.ndarray, k: int, repeats: int, rng: np.random.Generator) -> list[np.ndarray]:
    """For each repeat a fold number (n,) for each row, dealt in turn through the shuffled strata.

    The deal runs on from one stratum to the next, so folds differ by one row at most, and so do strata within folds.
    """
    deals = [np.empty(len(strata), np.int64) for _ in range(repeats)]
    for dealt in deals:
        dealt[np.lexsort((rng.random(len(strata)), strata))] = np.arange(len(strata)) % k
    return deals


def _held_out(strata: np.ndarray, rows: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The rows that validate: evenly spaced through the shuffled strata, but never all of a stratum."""
    n = len(rows)
    count = min(max(round(n * share), 1), n - 1)
    order = np.lexsort((rng.random(n), strata))
    held = np.zeros(n, bool)
    held[order[((np.arange(count) + rng.random()) * n / count).astype(np.int64)]] = True
    training = np.bincount(strata[~held], minlength=strata.max() + 1)
    for stratum in np.flatnonzero((np.bincount(strata) > 0) & (training == 0)):
        held[np.flatnonzero(strata == stratum)[0]] = False
    return rows[held]


def _group(rows: Rows) -> tuple[list[Fold], str]:
    """Whole groups, largest first, each to the fold that has least of what it brings.

    Adding a group's shares g to fold f adds 2 f·g to the sum of squares of all folds' shares (of each stratum, and of
    the rows), so the smallest f·g keeps them most even.
    """
    codes, names, name = _codes(rows, ordered=False)
    groups, strata, rng = len(names), _strata(rows.y, rows.kind), np.random.default_rng(rows.seed)
    if groups < 2:
        raise DataError(f"split.column={name} has {groups} group; a split by group needs at least 2")
    k, note = _Count.of(rows.conf, len(codes), 3).at_most(groups, f"split.column={name} has {groups} groups")
    order = np.lexsort((strata, codes))
    pairs = np.flatnonzero(np.diff(codes[order] * (strata.max() + 1) + strata[order], prepend=-1))
    held = np.diff(pairs, append=len(codes))
    group, stratum = codes[order][pairs], strata[order][pairs]
    start = np.searchsorted(group, np.arange(groups + 1))
    size = np.bincount(codes)
    share = held / np.bincount(strata)[stratum]
    load = np.zeros((strata.max() + 2, k))
    fold_of = np.empty(groups, np.int64)
    for g in np.lexsort((rng.random(groups), -size)):
        part, whole = slice(start[g], start[g + 1]), size[g] / len(codes)
        f = int(np.argmin(share[part] @ load[stratum[part]] + whole * load[-1]))
        load[stratum[part], f] += share[part]
        load[-1, f] += whole
        fold_of[g] = f
    dealt = fold_of[codes]
    folds = [_fold(len(codes), np.flatnonzero(dealt == i)) for i in range(k)]
    return folds, _said(f"{groups:,} groups of {name} in {k} folds, no group on both sides", note)


def _time(rows: Rows) -> tuple[list[Fold], str]:
    """An expanding window: each fold validates the block of rows after those that it trains on."""
    codes, _, name = _codes(rows, ordered=True)
    n = len(codes)
    count, share = _Count.of(rows.conf, n, 1), _share(rows.conf, n)
    order = np.argsort(codes, kind="stable")
    changes = np.flatnonzero(np.diff(codes[order])) + 1
    if not len(changes):
        raise DataError(f"split.column={name} has one time only; a split over time needs at least 2")
    wanted = [n * (1 - share)] if count.folds == 1 else [n * i / (count.folds + 1) for i in range(1, count.folds + 1)]
    # Rows of the same time stay together: a block ends at the change of time nearest to where it should.
    nearby = np.searchsorted(changes, wanted).clip(1, max(len(changes) - 1, 1))
    before, after = changes[nearby - 1], changes[nearby.clip(max=len(changes) - 1)]
    ends = np.unique(np.where(np.abs(before - wanted) <= np.abs(after - wanted), before, after))
    problem = f"split.column={name} has {len(changes) + 1:,} distinct times"
    _, note = count.at_most(len(ends), f"{problem}, which must not be cut")
    blocks = zip(ends, [*ends[1:], n], strict=True)
    folds = [Fold(np.sort(order[:start]), np.sort(order[start:end])) for start, end in blocks]
    return folds, _said(f"{problem}; {len(folds)} folds, each validates rows after those that train", note)


def _named(rows: Rows) -> tuple[list[Fold], str]:
    """Each value of the column validates once, unless the two values are called train and validation."""
    codes, names, name = _codes(rows, ordered=False)
    if not 2 <= len(names) <= _MOST_NAMES:
        raise DataError(
            f"split.column={name} has {len(names):,} distinct values; the names of folds are 2 to {_MOST_NAMES}"
            + (", use split=group for groups" if len(names) > 2 else "")
        )
    said = [str(value).strip().lower() for value in names]
    if len(said) == 2 and "train" in said and _VALID_NAMES & set(said):
        held = np.flatnonzero(codes == 1 - said.index("train"))
        return [_fold(len(codes), held)], f"{len(held):,} of {len(codes):,} rows validate, as {name} says"
    folds = [_fold(len(codes), np.flatnonzero(codes == i)) for i in range(len(names))]
    return folds, f"{len(folds)} folds, as {name} says: each value validates once"


def _codes(rows: Rows, *, ordered: bool) -> tuple[np.ndarray, Sequence[object], str]:
    """The column as codes (n,) into its distinct values; in their order for times, else in the order of the rows.

    And its name.
    """
    import pandas as pd

    name = rows.conf.column or "groups"
    values = pd.Series(np.asarray(rows.column)).infer_objects()
    if missing := int(values.isna().sum()):
        raise DataError(
            f"split.column={name} is missing in {missing:,} of {len(values):,} rows; fill them in or leave "
            "those rows out"
        )
    if ordered and (held := pd.api.types.infer_dtype(values)) not in _TIMES:
        raise DataError(f"split.column={name} holds {held} values, not times or numbers")
    codes, names = pd.factorize(values, sort=ordered)
    return codes.astype(np.int64), list(names), name


_TIMES = (
    *("datetime64", "datetime", "date", "timedelta64", "timedelta", "time", "period"),
    *("integer", "floating", "mixed-integer-float", "decimal", "boolean"),
)


def _learnable(folds: list[Fold], why: str, y: np.ndarray) -> tuple[list[Fold], str]:
    """The folds that have two classes to learn from."""
    usable = [fold for fold in folds if (y[fold.train] != y[fold.train[0]]).any()]
    if not usable:
        counts = ", ".join(map(str, np.unique(y, return_counts=True)[1]))
        raise DataError(
            f"in no fold do the training rows have 2 classes (rows of each class: {counts}); "
            "use another split or more rows"
        )
    lost = len(folds) - len(usable)
    return usable, _said(why, f"{lost} of {len(folds)} left out, whose training rows are of one class" if lost else "")


def _fold(n: int, valid: np.ndarray) -> Fold:
    trains = np.ones(n, bool)
    trains[valid] = False
    return Fold(np.flatnonzero(trains), np.sort(valid))


def _said(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
