"""Drift: what differs between the table that is learned from and one to predict on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from automl.data.leaks import as_numbers
from automl.data.numbers import with_some_value
from automl.data.schema import Column

_ROWS = 5_000


@dataclass(frozen=True)
class Shift:
    """How one column differs: `figure` is 0 (alike) to 1 (nothing in common)."""

    column: str
    figure: float
    what: str


def shifts(train: pl.DataFrame, test: pl.DataFrame, columns: tuple[Column, ...]) -> list[Shift]:
    """Every difference between columns that chance does not explain, the largest first.

    Kolmogorov-Smirnov's distance for numbers, total variation for labels, the share of rows with unseen labels, the
    change of the share of missing values. A difference counts where it is at least 0.1 and beyond what two samples of
    these sizes show once in 10,000 tries.
    """
    found: list[Shift] = []
    for column in columns:
        before, after = train[column.name], test[column.name]
        gap = after.null_count() / len(after) - before.null_count() / len(before)
        if abs(gap) >= 0.1 and abs(gap) > _chance(len(before), len(after)):
            shares = f"{before.null_count() / len(before):.0%} to {after.null_count() / len(after):.0%}"
            found.append(Shift(column.name, abs(gap), f"the share of missing values goes from {shares}"))
        before, after = before.drop_nulls(), after.drop_nulls()
        if not len(before) or not len(after) or column.role == "text":
            continue
        if column.role in ("category", "boolean"):
            found += _labels(column.name, before, after)
        else:
            distance = _ks(as_numbers(before, column.role)[0], as_numbers(after, column.role)[0])
            if distance >= 0.1 and distance > _chance(len(before), len(after)):
                found.append(Shift(column.name, distance, f"another distribution (Kolmogorov-Smirnov {distance:.2f})"))
    return sorted(found, key=lambda shift: -shift.figure)


def told_apart(train: pl.DataFrame, test: pl.DataFrame, columns: tuple[Column, ...], seed: int) -> float:
    """ROC AUC of a classifier that tells test rows from training rows, on rows it has not seen; 0.5 where it cannot.

    NaN where either table has fewer than 50 rows.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    usable = [column for column in columns if column.role != "text"]
    if min(len(train), len(test)) < 50 or not usable:
        return float("nan")
    names = [column.name for column in usable]
    few = [part.select(names).sample(min(len(part), _ROWS), seed=seed) for part in (train, test)]
    rows, y = pl.concat(few), np.repeat([0, 1], [len(few[0]), len(few[1])])
    X = np.stack([as_numbers(rows[column.name], column.role)[0] for column in usable], axis=1)
    predicted = np.zeros(len(y))
    # On a busy machine the threads of so small a fit wait for each other longer than it takes.
    with threadpool_limits(1):
        for fit, check in StratifiedKFold(2, shuffle=True, random_state=seed).split(X, y):
            model = HistGradientBoostingClassifier(
                max_iter=20, max_leaf_nodes=15, early_stopping=False, random_state=seed
            )
            predicted[check] = model.fit(with_some_value(X[fit]), y[fit]).predict_proba(X[check])[:, 1]
    return float(roc_auc_score(y, predicted))


def _chance(n: int, m: int) -> float:
    """The Kolmogorov-Smirnov distance that two samples of one distribution pass once in 10,000 tries."""
    return float(np.sqrt(-np.log(1e-4 / 2) / 2) * np.sqrt((n + m) / (n * m)))


def _ks(before: np.ndarray, after: np.ndarray) -> float:
    before, after = np.sort(before), np.sort(after)
    at = np.concatenate([before, after])
    gaps = np.searchsorted(before, at, "right") / len(before) - np.searchsorted(after, at, "right") / len(after)
    return float(np.abs(gaps).max())


def _labels(name: str, before: pl.Series, after: pl.Series) -> list[Shift]:
    """Unseen labels, and another mix of the labels."""
    old, new = ({row[0]: row[1] / len(part) for row in part.value_counts().rows()} for part in (before, after))
    fresh = sum(share for label, share in new.items() if label not in old)
    levels = len(old.keys() | new.keys())
    # Rare labels are unseen by chance: a share of the rows like that of the labels seen once before is expected.
    usual = sum(1 for share in old.values() if share * len(before) < 1.5) / len(before)
    if fresh >= 0.05 and fresh > 3 * usual + _chance(len(before), len(after)):
        return [Shift(name, fresh, f"{fresh:.0%} of the rows hold labels that were not there before")]
    variation = sum(abs(old.get(label, 0) - new.get(label, 0)) for label in old.keys() | new.keys()) / 2
    noise = np.sqrt(levels * (len(before) + len(after)) / (len(before) * len(after)))
    if variation >= 0.1 and variation > noise:
        return [Shift(name, variation, f"another mix of labels (total variation {variation:.2f})")]
    return []
