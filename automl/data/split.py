"""Splits: which rows train and which validate, as index arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl.config import SplitConf
from automl.errors import ConfigError, DataError

_HOLDOUT_ROWS = 50_000  # a holdout of a large table needs no more than this


@dataclass(frozen=True)
class Fold:
    """Row numbers that train and that validate, sorted, disjoint."""

    train: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Split:
    """The folds of a run, and how they were chosen, for a person."""

    kind: str
    folds: tuple[Fold, ...]
    why: str


def make_split(conf: SplitConf, *, kind: str, y: np.ndarray, column: np.ndarray | None, seed: int) -> Split:
    """Split rows into folds.

    Parameters
    ----------
    conf : the config's `split`.
    kind : the task kind; classes are stratified, and so are values, by deciles.
    y : the encoded target (n,).
    column : the values (n,) of `conf.column`: groups, times or fold names.

    Raises
    ------
    ConfigError : an unknown kind, a missing or needless `split.column`, a number of folds that cannot be.
    DataError : too few rows or groups.
    """
    makers: dict[str, Callable[..., Split]] = {
        "auto": _auto,
        "holdout": _holdout,
        "kfold": _kfold,
        "repeated": _repeated,
        "group": _group,
        "time": _time,
        "column": _named,
    }
    if conf.kind not in makers:
        raise ConfigError(f"split.kind={conf.kind}: unknown; known: {', '.join(makers)}")
    if len(y) < 2:
        raise DataError(
            f"the table has {len(y)} row{'s' * (len(y) != 1)} with a label ({len(y)} sample); a split needs 2 at least"
        )
    needs = conf.kind in ("group", "time", "column")
    if needs and column is None:
        raise ConfigError(f"split={conf.kind} needs split.column=COLUMN")
    if conf.column is not None and not needs:
        raise ConfigError(
            f"split.column={conf.column} has no use in split={conf.kind}; say split=group, time or column"
        )
    if conf.folds is not None and conf.folds < (1 if conf.kind == "time" else 2):
        raise ConfigError(f"split.folds={conf.folds}: must be 2 or more")
    if not 0 < conf.fraction < 1:
        raise ConfigError(f"split.fraction={conf.fraction}: must lie between 0 and 1")
    strata = y if kind != "regression" else _deciles(y)
    return makers[conf.kind](conf, strata=strata, column=column, seed=seed, grouped_classes=kind != "regression")


def _auto(conf: SplitConf, *, strata: np.ndarray, seed: int, **_: Any) -> Split:
    n = len(strata)
    if conf.folds is not None:
        return _kfold(conf, strata=strata, seed=seed)
    if n < 500:
        return _repeated(conf, strata=strata, seed=seed, because=f"{n} rows are few; ")
    if n >= 200_000:
        return _holdout(
            conf, strata=strata, seed=seed, fraction=min(0.2, _HOLDOUT_ROWS / n), because=f"{n:,} rows are many; "
        )
    folds = 8 if n < 2_000 else 5 if n < 20_000 else 3
    return _kfold(conf, strata=strata, seed=seed, folds=folds, because=f"for {n:,} rows; ")


def _holdout(
    conf: SplitConf, *, strata: np.ndarray, seed: int, fraction: float | None = None, because: str = "", **_: Any
) -> Split:
    share = fraction or conf.fraction
    order = _dealt(strata, seed)
    size = min(max(1, round(share * len(strata))), len(strata) - 1)
    # Every so many-th row in an order where each stratum is together is a stratified sample.
    picks = np.unique(np.floor((np.arange(size) + 0.5) * len(strata) / size).astype(int))
    valid = _without_loners(order[picks], strata)
    if not len(valid):
        valid = order[picks]
    return Split("holdout", (_fold(valid, len(strata)),), f"{because}{len(valid):,} rows ({share:.0%}) validate")


def _kfold(
    conf: SplitConf, *, strata: np.ndarray, seed: int, folds: int | None = None, because: str = "", **_: Any
) -> Split:
    n = len(strata)
    k = min(folds or conf.folds or 5, n)
    if conf.folds is not None and conf.folds > n:
        raise DataError(f"split.folds={conf.folds}: there are only {n} rows")
    counts = np.unique(strata, return_counts=True)[1]
    parts = _parts(strata, k, seed)
    said = f"{because}{k} folds, stratified"
    if rare := int((counts == 1).sum()):
        said += f"; {rare} class{'es' * (rare > 1)} of one row can only be in one of them"
    return Split("kfold", tuple(_fold(valid, n) for valid in parts), said)


def _repeated(conf: SplitConf, *, strata: np.ndarray, seed: int, because: str = "", **_: Any) -> Split:
    n = len(strata)
    k = min(conf.folds or 5, n)
    if conf.repeats < 1:
        raise ConfigError(f"split.repeats={conf.repeats}: must be 1 or more")
    folds = [_fold(valid, n) for repeat in range(conf.repeats) for valid in _parts(strata, k, seed + repeat)]
    return Split("repeated", tuple(folds), f"{because}{conf.repeats} times {k} folds, stratified")


def _group(conf: SplitConf, *, strata: np.ndarray, column: np.ndarray, seed: int, grouped_classes: bool) -> Split:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    groups = np.unique(column.astype(str), return_inverse=True)[1]
    found = int(groups.max()) + 1
    k = min(conf.folds or 5, found)
    name = conf.column or "groups"
    if found < 2 or (conf.folds or 0) > found:
        raise DataError(
            f"split.column={name}: {found} group{'s' * (found != 1)} cannot make {max(2, conf.folds or 2)} folds"
        )
    stratified = grouped_classes and np.unique(strata, return_counts=True)[1].max() >= k
    maker = StratifiedGroupKFold if stratified else GroupKFold
    splitter = maker(n_splits=k, shuffle=True, random_state=seed)
    folds = tuple(_fold(valid, len(strata)) for _, valid in splitter.split(strata, strata, groups) if len(valid))
    return Split("group", folds, f"{len(folds)} folds of {found:,} groups by {name}; no group is on both sides")


def _time(conf: SplitConf, *, strata: np.ndarray, column: np.ndarray, **_: Any) -> Split:
    missing = np.isnat(column) if column.dtype.kind == "M" else np.array([v is None or v != v for v in column])
    if missing.any():
        raise DataError(f"split.column={conf.column}: {int(missing.sum())} rows have no time; drop or fill them")
    moments, rank = np.unique(column, return_inverse=True)
    k = conf.folds or 5
    if len(moments) < k + 1:
        raise DataError(
            f"split.column={conf.column}: {len(moments)} distinct times cannot make {k} folds; lower split.folds"
        )
    order = np.argsort(rank, kind="stable")
    # The first cut leaves as much for training as one fold holds; a tie never stands on both sides.
    cuts = [rank[order[len(rank) * i // (k + 1)]] for i in range(1, k + 1)]
    edges = sorted({max(1, int(cut)) for cut in cuts}) + [len(moments)]
    folds = [
        Fold(np.flatnonzero(rank < low), np.flatnonzero((rank >= low) & (rank < high)))
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    return Split("time", tuple(folds), f"{len(folds)} folds over {conf.column}; validation comes after training")


def _named(conf: SplitConf, *, strata: np.ndarray, column: np.ndarray, **_: Any) -> Split:
    names = np.array([str(value).lower() for value in column])
    found = sorted(set(names))
    if len(found) < 2:
        raise DataError(f"split.column={conf.column}: one value only ({found[0]}), so nothing would validate")
    if "train" in found:
        if len(found) > 2:
            raise DataError(
                f"split.column={conf.column}: expected train and one other value, found {', '.join(found[:6])}"
            )
        return Split(
            "column", (_fold(np.flatnonzero(names != "train"), len(names)),), f"{conf.column} says which rows train"
        )
    if len(found) > 50:
        raise DataError(
            f"split.column={conf.column}: {len(found)} distinct values are too many folds; split=group fits better"
        )
    folds = tuple(_fold(np.flatnonzero(names == name), len(names)) for name in found)
    return Split("column", folds, f"the {len(found)} folds that {conf.column} names")


def _fold(valid: np.ndarray, n: int) -> Fold:
    train = np.ones(n, dtype=bool)
    train[valid] = False
    return Fold(np.flatnonzero(train), np.sort(valid))


def _deciles(y: np.ndarray) -> np.ndarray:
    """Strata of a quantity: its tenths, coarser where rows are few."""
    bins = int(np.clip(len(y) // 10, 1, 10))
    return np.searchsorted(np.quantile(y, np.linspace(0, 1, bins + 1)[1:-1]), y, side="right")


def _dealt(strata: np.ndarray, seed: int) -> np.ndarray:
    """Rows in random order within strata, strata one after the other."""
    shuffled = np.random.default_rng(seed).permutation(len(strata))
    return shuffled[np.argsort(strata[shuffled], kind="stable")]


def _parts(strata: np.ndarray, k: int, seed: int) -> list[np.ndarray]:
    """k validation sets: rows sorted by stratum and dealt out in turn, so that sizes and strata differ by one row at most."""
    order = _dealt(strata, seed)
    return [order[i::k] for i in range(k)]


def _without_loners(valid: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Validation rows, less those whose class has no other row: a class must be seen to be learned."""
    counts = np.bincount(strata[valid], minlength=strata.max() + 1)
    totals = np.bincount(strata, minlength=strata.max() + 1)
    return valid[~np.isin(strata[valid], np.flatnonzero(counts == totals))]
