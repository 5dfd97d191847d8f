"""Splits: no row on both sides, every row used as promised, rare classes and odd columns do not break them."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.compose import compose
from automl.config import SplitConf
from automl.data.split import make_split
from automl.errors import ConfigError, DataError
from automl.plan import plan

CURVE = compose().split.curve


def conf(kind="auto", folds=None, repeats=3, fraction=0.2, column=None):
    return SplitConf(kind=kind, folds=folds, repeats=repeats, fraction=fraction, column=column, curve=CURVE)


def split(kind, y, *, task="binary", column=None, seed=0, **said):
    named = None if column is None else "when"
    return make_split(conf(kind, column=named, **said), kind=task, y=np.asarray(y), column=column, seed=seed)


def same(one, other):
    pairs = zip(one.folds, other.folds, strict=True)
    return all(np.array_equal(a.train, b.train) and np.array_equal(a.valid, b.valid) for a, b in pairs)


def is_sound(made, n):
    """Both sides have rows, sorted, and share none."""
    for fold in made.folds:
        assert fold.train.dtype == fold.valid.dtype == np.int64
        assert len(fold.train)
        assert len(fold.valid)
        assert (np.diff(fold.train) > 0).all()
        assert (np.diff(fold.valid) > 0).all()
        both = np.concatenate([fold.train, fold.valid])
        assert len(np.unique(both)) == len(both)
        assert both.min() >= 0
        assert both.max() < n


targets = st.lists(st.integers(0, 5), min_size=4, max_size=80).filter(lambda y: len(set(y)) > 1)


@settings(max_examples=80, deadline=None)
@given(targets, st.sampled_from(["auto", "kfold", "repeated"]), st.integers(0, 99))
def test_k_folds_partition_the_rows_but_for_classes_of_one_row(y, kind, seed):
    y = np.array(y)
    counts = np.bincount(y)
    if counts.max() == 1:
        with pytest.raises(DataError, match="of another class"):
            split(kind, y, task="multiclass")
        return
    made = split(kind, y, task="multiclass", seed=seed)
    is_sound(made, len(y))
    validated = np.concatenate([fold.valid for fold in made.folds])
    times = np.bincount(validated, minlength=len(y))
    lone = counts[y] == 1
    assert (times[lone] == 0).all()
    assert len(set(times[~lone])) == 1
    assert ("of one row always train" in made.why) == lone.any()
    for fold in made.folds:
        assert set(y[fold.train]) == set(y)
    assert same(made, split(kind, y, task="multiclass", seed=seed))


@settings(max_examples=60, deadline=None)
@given(targets, st.floats(0.01, 0.99))
def test_a_holdout_keeps_every_class_in_training(y, fraction):
    y = np.array(y)
    if np.bincount(y).max() == 1:
        return
    made = split("holdout", y, task="multiclass", fraction=fraction)
    is_sound(made, len(y))
    (fold,) = made.folds
    assert set(y[fold.train]) == set(y)
    assert len(fold.train) + len(fold.valid) == len(y)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=12, max_size=80).filter(lambda v: len(set(v)) > 1), st.integers(0, 99))
def test_a_group_is_never_on_both_sides(groups, seed):
    groups = np.array(groups)
    y = np.arange(len(groups)) % 7.0
    made = split("group", y, task="regression", column=groups, seed=seed)
    is_sound(made, len(y))
    for fold in made.folds:
        assert not set(groups[fold.train]) & set(groups[fold.valid])
    assert np.array_equal(np.sort(np.concatenate([fold.valid for fold in made.folds])), np.arange(len(y)))
    assert len(made.folds) == min(5, len(set(groups)))
    assert same(made, split("group", y, task="regression", column=groups, seed=seed))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=2, max_size=80).filter(lambda v: len(set(v)) > 1))
def test_validation_is_later_than_training_and_ties_stay_together(times):
    times = np.array(times)
    made = split("time", np.zeros(len(times)), task="regression", column=times)
    is_sound(made, len(times))
    for fold in made.folds:
        assert times[fold.train].max() < times[fold.valid].min()
    assert times[made.folds[-1].valid].max() == times.max()


def test_auto_goes_by_the_number_of_rows():
    def shape(n, **said):
        made = split("auto", np.arange(n) % 2, **said)
        return made.kind, len(made.folds), len(made.folds[0].valid)

    assert shape(400) == ("repeated", 15, 80)
    assert shape(1_600) == ("kfold", 8, 200)
    assert shape(2_000) == ("kfold", 5, 400)
    assert shape(30_000) == ("kfold", 3, 10_000)
    assert shape(210_000) == ("holdout", 1, 42_000)
    assert shape(500_000) == ("holdout", 1, 50_000)
    assert shape(30_000, folds=4) == ("kfold", 4, 7_500)
    assert shape(400, folds=1) == ("holdout", 1, 80)
    assert split("repeated", np.arange(60) % 2, folds=3, repeats=2).why.startswith("60 rows in 3 folds, 2 times")


def test_folds_are_stratified():
    rng = np.random.default_rng(0)
    y = (rng.random(1_000) < 0.03).astype(int)
    rates = [y[fold.valid].sum() for fold in split("kfold", y, folds=5).folds]
    assert max(rates) - min(rates) <= 1
    skewed = rng.lognormal(sigma=2, size=1_000)
    for made in (split("kfold", skewed, task="regression", folds=5), split("holdout", skewed, task="regression")):
        for fold in made.folds:
            assert np.median(skewed[fold.valid]) == pytest.approx(np.median(skewed), rel=0.15)
    assert not same(split("kfold", y, seed=0), split("kfold", y, seed=1))


def test_groups_are_balanced_in_rows_and_classes():
    rng = np.random.default_rng(0)
    groups = rng.geometric(0.02, 3_000)
    y = (rng.random(3_000) < np.where(groups % 7 == 0, 0.6, 0.05)).astype(int)
    made = split("group", y, column=groups, folds=5)
    sizes = [len(fold.valid) for fold in made.folds]
    positives = [y[fold.valid].sum() for fold in made.folds]
    assert max(sizes) < 1.1 * min(sizes)
    assert max(positives) < 1.25 * min(positives)


def test_a_few_rows_are_left_out_one_by_one():
    made = split("auto", [0.5, 1.0, 7.0], task="regression")
    assert sorted(fold.valid.tolist() for fold in made.folds) == [[0], [1], [2]]
    assert "so 3 folds instead of 5" in made.why
    assert [len(fold.train) for fold in split("auto", [0, 1, 1]).folds] == [2, 2]
    assert len(split("auto", [1.0, 2.0], task="regression").folds) == 2
    with pytest.raises(DataError, match=r"1 row.* \(1 sample\)"):
        split("auto", [1.0], task="regression")
    with pytest.raises(DataError, match="0 samples"):
        split("auto", [], task="regression")
    with pytest.raises(DataError, match="at most 3 folds can be made"):
        split("kfold", [1.0, 2.0, 3.0], task="regression", folds=10)


def test_folds_that_would_teach_one_class_only_are_left_out_and_counted():
    y = np.array([0] * 30 + [0, 1] * 15)
    made = split("time", y, column=np.arange(60), folds=5)
    assert len(made.folds) == 2
    assert "3 of 5 left out" in made.why
    with pytest.raises(DataError, match="in no fold do the training rows have 2 classes"):
        split("column", [0, 0, 1, 1], column=np.array(["a", "a", "b", "b"]))


def test_dates_and_any_labels_serve_as_steering_columns():
    y = np.arange(40) % 2
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=i // 2) for i in range(40)][::-1]
    by_date = split("time", y, column=np.array(days, dtype=object), folds=3)
    stamps = np.array(days, dtype="datetime64[us]")
    assert same(by_date, split("time", y, column=stamps, folds=3))
    assert [len(fold.valid) for fold in by_date.folds] == [10, 10, 10]
    mixed = np.array([1, "two", 3.5, True, dt.date(2024, 1, 1)] * 8, dtype=object)
    assert len(split("group", y, column=mixed, folds=4).folds) == 4
    last = split("time", np.arange(40.0), task="regression", column=stamps, folds=1)
    assert [len(fold.valid) for fold in last.folds] == [8]


@pytest.mark.parametrize("missing", [None, float("nan"), np.datetime64("NaT")])
@pytest.mark.parametrize("kind", ["group", "time", "column"])
def test_missing_values_in_the_column_are_counted(kind, missing):
    column = np.array([np.datetime64("2024-01-01"), missing, missing, np.datetime64("2024-01-02")], dtype=object)
    with pytest.raises(DataError, match=r"split.column=when is missing in 2 of 4 rows"):
        split(kind, [0, 1, 0, 1], column=column)


def test_a_column_names_the_folds():
    y = np.arange(12) % 2
    made = split("column", y, column=np.array(["a", "b", "b", "c"] * 3))
    assert [len(fold.valid) for fold in made.folds] == [3, 6, 3]
    is_sound(made, 12)
    for word in ("valid", "Validation", "TEST", "val"):
        made = split("column", y, column=np.array([word, "train", "train", "train"] * 3))
        assert [fold.valid.tolist() for fold in made.folds] == [[0, 4, 8]]
    assert len(split("column", y, column=np.array([True, True, False, False] * 3)).folds) == 2
    with pytest.raises(DataError, match=r"has 200 distinct values.*use split=group"):
        split("column", np.arange(200) % 2, column=np.arange(200))
    with pytest.raises(DataError, match="has 1 distinct values"):
        split("column", y, column=np.zeros(12))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"kind": "grup"}, "did you mean 'group'"),
        ({"kind": "group"}, "split=group needs split.column=COLUMN: the column of groups"),
        ({"kind": "auto", "column": "user"}, "say what it holds: split=group"),
        ({"kind": "kfold", "folds": 1}, "needs at least 2"),
        ({"kind": "holdout", "folds": 5}, "has no use with split=holdout"),
        ({"kind": "repeated", "repeats": 0}, "split.repeats=0"),
        ({"kind": "holdout", "fraction": 1.0}, "split.fraction=1.0: must be between 0 and 1"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(said, words):
    with pytest.raises(ConfigError, match=words):
        make_split(conf(**said), kind="binary", y=np.arange(20) % 2, column=None, seed=0)


def test_too_few_groups_or_times_are_named_with_their_count():
    y = np.arange(20) % 2
    two = np.arange(20) // 10
    with pytest.raises(DataError, match=r"split\.folds=5: split.column=when has 2 groups; at most 2"):
        split("group", y, column=two, folds=5)
    assert "2 groups, so 2 folds instead of 5" in split("group", y, column=two).why
    with pytest.raises(DataError, match=r"split\.folds=3: split.column=when has 2 distinct times"):
        split("time", y, column=two, folds=3)
    with pytest.raises(DataError, match="when has 1 group"):
        split("group", y, column=np.zeros(20))
    with pytest.raises(DataError, match="one time only"):
        split("time", y, column=np.zeros(20))
    with pytest.raises(DataError, match="holds string values, not times"):
        split("time", y, column=np.array(["1/2/2024", "2/1/2024"] * 10, dtype=object))


@pytest.mark.parametrize(
    ("rows", "budget", "folds"), [(6000, "20s", 5), (6000, "600s", 8), (300_000, "20s", 1), (300_000, "10h", 8)]
)
def test_a_long_time_carries_more_folds_than_are_usual(rows, budget, folds):
    table = pl.DataFrame({"x": np.random.default_rng(0).normal(size=rows)}).with_columns(
        y=pl.Series([0, 1] * (rows // 2))
    )
    planned = plan(compose(["target=y", f"budget={budget}"]), table)
    assert len(planned.split.folds) == folds
    assert ("carry more folds than the usual" in planned.split.why) == (folds == 8)


def test_many_classes_leave_time_for_as_many_folds_as_few():
    table = pl.DataFrame({f"x{i}": np.random.default_rng(i).normal(size=16_000) for i in range(16)})
    for classes in (2, 25):
        labelled = table.with_columns(y=pl.Series([f"c{i % classes}" for i in range(16_000)]))
        planned = plan(compose(["target=y", "budget=60s", "executor.cores=2"]), labelled)
        assert (planned.split.kind, len(planned.split.folds)) == ("kfold", 5)


@pytest.mark.parametrize(
    ("columns", "budget", "kind", "folds"),
    [(4, "20s", "repeated", 15), (20000, "20s", "kfold", 5), (20000, "5s", "kfold", 3)],
)
def test_few_rows_are_dealt_once_where_the_time_does_not_carry_all_repeats(columns, budget, kind, folds):
    rng = np.random.default_rng(0)
    table = pl.DataFrame({f"x{i}": rng.normal(size=80) for i in range(columns)}).with_columns(y=pl.Series([0, 1] * 40))
    planned = plan(compose(["target=y", f"budget={budget}", "executor.cores=2"]), table)
    assert (planned.split.kind, len(planned.split.folds)) == (kind, folds)
    assert ("would take too much" in planned.split.why) == (folds < 15)
