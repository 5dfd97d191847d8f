"""How well one column alone tells the target: the measure behind the lint for copied targets and telling ids."""

from __future__ import annotations

import numpy as np
import polars as pl

FOLDS = 3


def alone(values: np.ndarray, is_label: bool, target: np.ndarray, classes: int, seed: int) -> float:
    """How well one column predicts the target on rows it has not seen: ROC AUC (macro, one against rest) or R².

    Numbers go through a decision tree of at most 64 leaves; labels through the target's average for each label.
    Scores are for the concatenated predictions of 3 folds.

    Parameters
    ----------
    values : float (n,), NaN for missing; codes from 0 where `is_label`.
    target : codes of classes (n,), or numbers (n,) where `classes` is 0.
    """
    from sklearn.metrics import r2_score, roc_auc_score
    from sklearn.model_selection import KFold, StratifiedKFold

    splitter = (StratifiedKFold if classes else KFold)(FOLDS, shuffle=True, random_state=seed)
    predicted = np.zeros((len(target), max(classes, 1)))
    for train, test in splitter.split(values, target if classes else None):
        fit = _average if is_label else _tree
        predicted[test] = fit(values[train], target[train], values[test], classes)
    if not classes:
        return float(r2_score(target, predicted[:, 0]))
    present = [k for k in range(classes) if (target == k).any()]
    return float(np.mean([roc_auc_score(target == k, predicted[:, k]) for k in present]))


def _average(train: np.ndarray, target: np.ndarray, test: np.ndarray, classes: int) -> np.ndarray:
    size = int(max(train.max(), test.max())) + 1
    codes, asked = train.astype(np.int64), test.astype(np.int64)
    wanted = np.eye(classes)[target] if classes else target[:, None]
    count = np.bincount(codes, minlength=size)[:, None]
    total = np.stack([np.bincount(codes, wanted[:, k], minlength=size) for k in range(wanted.shape[1])], axis=1)
    # One row's worth of the overall average, so that a rare label is no certainty.
    return np.asarray(((total + wanted.mean(axis=0)) / (count + 1))[asked])


def _tree(train: np.ndarray, target: np.ndarray, test: np.ndarray, classes: int) -> np.ndarray:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    make = DecisionTreeClassifier if classes else DecisionTreeRegressor
    tree = make(max_leaf_nodes=64, min_samples_leaf=5, random_state=0).fit(train[:, None], target)
    if not classes:
        return np.asarray(tree.predict(test[:, None]))[:, None]
    found = np.zeros((len(test), classes))
    found[:, tree.classes_] = tree.predict_proba(test[:, None])
    return found


def as_numbers(column: pl.Series, role: str) -> tuple[np.ndarray, bool]:
    """A column that `Schema.apply` gave as float64 (n,), and whether these are codes of labels."""
    if role in ("category", "text") or column.dtype == pl.String:
        codes = column.fill_null("").rank("dense").to_numpy().astype(np.float64) - 1
        return codes, True
    if column.dtype == pl.Datetime:
        column = column.cast(pl.Int64)
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy(), False


def determines(column: pl.Series, target: pl.Series) -> bool:
    """Whether each value of the column, repeated often enough to tell, goes with one value of the target."""
    pair = pl.DataFrame({"x": column, "y": target}).drop_nulls()
    levels = pair["x"].n_unique()
    if len(pair) < 100 or levels < 2 or levels * 5 > len(pair):
        return False
    return pair.n_unique() == levels


def is_copy(column: pl.Series, target: pl.Series) -> bool:
    """Whether two columns hold the same values, whatever type they came as."""
    if column.dtype == pl.String or target.dtype == pl.String:
        return column.cast(pl.String).equals(target.cast(pl.String), null_equal=True)
    try:
        return column.cast(pl.Float64).equals(target.cast(pl.Float64), null_equal=True)
    except pl.exceptions.PolarsError:
        return False
