"""Crosses: found where they tell something, not found in noise, and encoded like everything else in a view."""

import time

import numpy as np
import polars as pl
import pytest

from automl.compose import compose
from automl.data.arrays import ArrayView
from automl.data.crosses import Arithmetic
from automl.data.schema import Column, Schema
from automl.data.views import fit_view, load_view
from automl.fit import fit


def schema_of(table: pl.DataFrame, **monotone: str) -> Schema:
    roles = {True: ("numeric", "float"), False: ("category", "string")}
    kinds = {name: roles[dtype.is_float()] for name, dtype in table.schema.items()}
    return Schema(tuple(Column(name, *kind, monotone=monotone.get(name)) for name, kind in kinds.items()), table.height)


def encoded(table: pl.DataFrame, y: np.ndarray, classes: int, most: int = 8, **monotone: str) -> ArrayView:
    view = fit_view("encoded", table, schema_of(table, **monotone), y, classes, crosses=most)
    assert isinstance(view, ArrayView)
    return view


def crosses_of(view: ArrayView) -> list[str]:
    return [name for name in view.names if " " in name]


def ratio(n=3000, seed=0, classes=2, waves=3):
    """Three numbers, of which the ratio of two decides, in waves; one in twenty is missing, one in a hundred zero."""
    rng = np.random.default_rng(seed)
    a, b, c = np.exp(rng.normal(size=(3, n)))
    told = np.sin(waves * np.log(a / b)) + 0.3 * rng.normal(size=n)
    y = told if not classes else np.digitize(told, np.linspace(-1, 1, classes + 1)[1:-1])
    b[::100] = 0
    return pl.DataFrame({"a": a, "b": b, "c": c}).with_columns(
        pl.when(pl.col("c") > 4.5).then(None).otherwise("a").alias("a")
    ), y


def pairs(n=4000, seed=0, levels=12):
    """Two categories whose pairs have an effect each, and the two themselves none."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, levels, (n, 3))
    effect = rng.normal(size=(levels, levels))
    y = effect[places[:, 0], places[:, 1]] + 0.5 * rng.normal(size=n)
    table = pl.DataFrame({name: [f"l{place}" for place in places[:, j]] for j, name in enumerate(["p", "q", "r"])})
    gone = pl.Series(rng.random(n) < 0.05)
    return table.with_columns(pl.when(gone).then(None).otherwise(pl.col("p")).alias("p")), y


# What is found


@pytest.mark.parametrize("classes", [2, 3, 0])
def test_a_ratio_that_decides_is_found(classes):
    table, y = ratio(classes=classes)
    view = encoded(table, y, classes)
    found = crosses_of(view)
    assert {"a / b", "b / a"} & set(found[:2]), found
    assert len(found) <= 8


def test_a_pair_of_categories_that_decides_is_found():
    table, y = pairs()
    assert {"p & q:mean", "q & p:mean"} & set(crosses_of(encoded(table, y, 0))[:1])
    view = encoded(table, (y > 0).astype(np.int64), 2)
    assert {"p & q:share=1", "q & p:share=1"} & set(crosses_of(view)[:1])
    assert {"p & q:count", "q & p:count"} & set(crosses_of(view)[1:])


def test_a_column_with_hardly_a_value_is_no_hindrance():
    table, y = ratio()
    rare = pl.Series("rare", [7.0, 8.0, *[None] * (len(y) - 2)], dtype=pl.Float64)
    assert {"a / b", "b / a"} & set(crosses_of(encoded(table.with_columns(rare), y, 2)))


def test_no_more_are_kept_than_asked_for():
    table, y = ratio()
    assert 1 <= len(crosses_of(encoded(table, y, 2, most=2))) <= 2
    assert crosses_of(encoded(table, y, 2, most=0)) == []


@pytest.mark.parametrize("classes", [2, 4, 0])
def test_noise_and_sums_of_effects_have_no_crosses(classes):
    rng = np.random.default_rng(0)
    for _ in range(4):
        numbers = rng.normal(size=(800, 4))
        table = pl.DataFrame(numbers, schema=list("abcd")).with_columns(
            pl.Series(name, rng.choice([*"uvwxyz"], 800)) for name in ("p", "q")
        )
        noise = rng.normal(size=800)
        for told in (noise, np.sign(numbers[:, 0]) + (numbers[:, 1] > 1) + 0.3 * noise):
            y = np.digitize(told, np.quantile(told, np.arange(1, classes) / classes)) if classes else told
            assert crosses_of(encoded(table, y, classes)) == []


def test_few_rows_and_many_classes_have_none():
    table, y = ratio(499)
    assert crosses_of(encoded(table, y, 2)) == []
    table, y = ratio(classes=4)
    assert crosses_of(encoded(table, y, 4)) == []


def test_the_same_rows_have_the_same_crosses():
    table, y = ratio()
    first, again = encoded(table, y, 2), encoded(table, y, 2)
    assert first.names == again.names
    assert first.training(table, y).tobytes() == again.training(table, y).tobytes()


def test_a_column_that_predictions_must_go_with_is_in_no_cross():
    table, y = ratio()
    assert crosses_of(encoded(table, y, 2)) != []
    assert not any("a" in name.split() for name in crosses_of(encoded(table, y, 2, a="increasing")))


@pytest.mark.parametrize(
    ("said", "most"),
    [(["budget=1m"], 8), (["budget=29"], 0), (["budget=5", "data.crosses=3"], 3), (["budget=1h", "data.crosses=0"], 0)],
)
def test_they_are_tried_where_there_is_time_or_the_user_says_how_many(said, most):
    assert compose(said).crosses == most


def test_a_run_has_them_in_the_views_of_some_families_only(tmp_path):
    table, y = ratio(1500, classes=0)
    said = ["target=y", "families=[extra_trees,ridge]", "budget.trials=2", "split=holdout", "executor=inprocess"]
    said += ["run.progress=quiet", "family.extra_trees.params.n_estimators=20", f"run.dir={tmp_path / 'run'}"]
    run = fit(compose(said), table.with_columns(y=pl.Series(y)))
    views = [load_view(folder) for folder in sorted((run.folder / "model" / "views").iterdir())]
    assert {view.kind for view in views} >= {"encoded"}
    assert {view.kind: bool(crosses_of(view)) for view in views} in (
        {"encoded": True},
        {"encoded": True, "dense": False},
    )


# How they are encoded


def test_what_is_no_number_is_missing_and_what_is_too_large_is_clipped():
    table = pl.DataFrame({"x": [1.0, 1.0, None, 0.0, -1e300], "y": [2.0, 0.0, 1.0, 0.0, 1e300]})
    out = np.empty((5, 4), np.float32)
    Arithmetic([["x", operation, "y"] for operation in "/*-+"]).fill(table, out)
    largest, nan = np.finfo(np.float32).max, np.nan
    np.testing.assert_array_equal(out[:, 0], np.float32([0.5, nan, nan, nan, -1]))
    np.testing.assert_array_equal(out[:, 1], np.float32([2, 0, nan, 0, nan]))
    np.testing.assert_array_equal(out[:, 2], np.float32([-1, 1, nan, 0, -largest]))
    np.testing.assert_array_equal(out[:, 3], np.float32([3, 1, nan, 0, 0]))


@pytest.mark.parametrize("drawn", [ratio, pairs])
def test_rows_are_encoded_alike_alone_in_any_batch_and_after_loading(drawn, tmp_path):
    table, y = drawn()
    view = encoded(table, y, 2 if drawn is ratio else 0)
    assert crosses_of(view)
    whole = view.transform(table)
    np.testing.assert_array_equal(np.vstack([view.transform(table[i]) for i in range(40)]), whole[:40])
    np.testing.assert_array_equal(view.transform(table[:300].reverse())[::-1], whole[:300])
    view.save(tmp_path)
    loaded = load_view(tmp_path)
    assert loaded.names == view.names
    assert loaded.transform(table).tobytes() == whole.tobytes()
    one = table[3]
    assert min(_seconds(lambda: view.transform(one)) for _ in range(30)) < 0.001


def test_training_rows_know_their_pair_out_of_fold_and_unseen_pairs_have_the_mean():
    table, y = pairs()
    view = encoded(table, y, 0)
    place = next(j for j, name in enumerate(view.names) if "&" in name)
    told, same = view.training(table, y)[:, place], view.transform(table)[:, place]
    assert (told != same).mean() > 0.9
    assert np.corrcoef(told, y)[0, 1] < np.corrcoef(same, y)[0, 1]
    new = view.transform(pl.DataFrame({"p": ["l0", "new", None], "q": ["new", None, "l1"], "r": ["l0"] * 3}))
    assert abs(new[0, place]) < 1e-6
    assert new[0, place] == new[1, place] != new[2, place]


# Cost


def test_thousands_of_columns_and_hundreds_of_thousands_of_rows_cost_little_more():
    rng = np.random.default_rng(0)
    wide = pl.DataFrame(rng.normal(size=(600, 5000)).astype(np.float64))
    table, y = ratio(300_000)
    for drawn, target in ((wide, np.arange(600) % 2), (table, y)):
        alone = _seconds(lambda drawn=drawn, target=target: encoded(drawn, target, 2, most=0))
        assert _seconds(lambda drawn=drawn, target=target: encoded(drawn, target, 2)) < 5 + 2 * alone


def test_it_is_found_among_many_columns_and_with_few_others():
    table, y = ratio(4000, waves=2)
    many = pl.DataFrame(np.random.default_rng(1).normal(size=(4000, 60)))
    found = crosses_of(encoded(pl.concat([many, table], how="horizontal"), y, 2))
    assert {"a / b", "b / a"} & set(found[:1]), found
    assert len(found) < 8


def _seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
