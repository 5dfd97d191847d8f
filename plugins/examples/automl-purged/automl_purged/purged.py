"""Purged k-fold: every row validates once, and no model learns from the rows next to those that it is judged on."""

from __future__ import annotations

import numpy as np

from automl import DataError, Fold, Rows


def purged(rows: Rows) -> tuple[list[Fold], str]:
    """Blocks of rows that follow one another validate; as many rows before and after a block as 1 in 100 do not train.

    What happened a moment earlier or later is often the same event twice, and a model that has seen it is judged too
    well (López de Prado 2018, "Advances in financial machine learning", chapter 7). Rows of one time stay together.

    Raises
    ------
    DataError : fewer distinct times than folds, or rows without a time.
    """
    times = np.asarray(rows.column)
    name, folds = rows.conf.column, rows.conf.folds or 5
    lost = int((times != times).sum())  # neither NaN nor NaT is equal to itself
    if lost:
        raise DataError(f"split.column={name} is missing in {lost:,} of {len(times):,} rows; leave those rows out")
    moments, at = np.unique(times, return_inverse=True)
    if len(moments) < folds:
        raise DataError(f"split.column={name} has {len(moments):,} distinct times, too few for {folds} folds")
    gap = max(1, len(times) // 100)
    place = np.argsort(np.argsort(at, kind="stable"), kind="stable")  # of each row in the order of time
    block = np.minimum(at * folds // len(moments), folds - 1)
    dealt = []
    for i in range(folds):
        valid = block == i
        first, last = place[valid].min(), place[valid].max()
        trains = (place < first - gap) | (place > last + gap)
        dealt.append(Fold(np.flatnonzero(trains), np.flatnonzero(valid)))
    return (
        dealt,
        f"{len(times):,} rows in {folds} blocks of {name}; {gap:,} rows on either side of a block do not train",
    )
