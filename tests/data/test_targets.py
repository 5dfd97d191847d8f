"""Target means: they say what a level has of the target, and never tell a training row of its own."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from automl.data.arrays import ArrayView
from automl.data.schema import Column, Schema
from automl.data.targets import FOLDS, told_labels
from automl.data.views import fit_view
from automl.errors import DataError


def schema_of(*names: str) -> Schema:
    return Schema(tuple(Column(name, "category", "string") for name in names), 0)


def encoded(table: pl.DataFrame, y: np.ndarray, classes: int) -> ArrayView:
    view = fit_view("encoded", table, schema_of(*table.columns), y, classes)
    assert isinstance(view, ArrayView)
    return view


def labels_of(places: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"c": [f"l{place}" for place in places]})


# No row is told of its own target


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from([30, 200, 1000]), st.sampled_from([2, 3, 0]))
def test_a_random_target_leaves_no_signal(seed, levels, classes):
    rng = np.random.default_rng(seed)
    n = 2000
    table = labels_of(rng.integers(0, levels, n))
    y = rng.integers(0, classes, n) if classes else rng.normal(size=n)
    view = encoded(table, y, classes)
    rows = view.training(table, y)
    positive = (y == 1) if classes else y > 0
    half = n // 2
    model = ExtraTreesClassifier(50, min_samples_leaf=5, random_state=0).fit(rows[:half], positive[:half])
    assert abs(roc_auc_score(positive[half:], model.predict_proba(rows[half:])[:, 1]) - 0.5) < 0.1

    fresh = labels_of(rng.integers(0, levels, n))
    model = ExtraTreesClassifier(50, min_samples_leaf=5, random_state=0).fit(rows, positive)
    answer = model.predict_proba(view.transform(fresh))[:, 1]
    assert abs(roc_auc_score(rng.random(n) < 0.5, answer) - 0.5) < 0.1


def test_a_rows_own_target_does_not_move_its_own_encoding_beyond_what_it_moves_for_all():
    rng = np.random.default_rng(0)
    places = rng.integers(0, 300, 1500)
    table, y = labels_of(places), rng.normal(size=1500) + rng.normal(size=300)[places]
    view = encoded(table, y, 0)
    for row in range(5):
        others = np.array([i for i in range(1500) if table["c"][i] == table["c"][row] and i != row])
        changed = y.copy()
        changed[row] += 1.0
        before, after = view.training(table, y), encoded(table, changed, 0).training(table, changed)
        assert abs(after[row, 0] - before[row, 0]) < 0.01
        assert np.abs(after[others, 0] - before[others, 0]).max() > 0.01


def test_what_a_target_mean_says_of_training_rows_holds_of_others():
    """A model is to trust a mean as much as it deserves: with means in fold, the slope on new rows would be near 0."""
    rng = np.random.default_rng(0)
    effect, places = rng.normal(size=600), rng.integers(0, 600, 4000)
    y = effect[places] + 2 * rng.normal(size=4000)
    table, half = labels_of(places), 2000
    view = encoded(table[:half], y[:half], 0)
    train, test = view.training(table[:half], y[:half])[:, :1], view.transform(table[half:])[:, :1]
    model = LinearRegression().fit(train, y[:half])
    assert model.score(test, y[half:]) > 0.03
    told = LinearRegression().fit(view.transform(table[:half])[:, :1], y[:half])
    assert told.score(test, y[half:]) < model.score(test, y[half:])


def test_training_rows_have_at_most_five_values_a_level():
    table, y = labels_of(np.arange(600) % 6), np.random.default_rng(0).normal(size=600) + np.arange(600) % 6
    rows = encoded(table, y, 0).training(table, y)
    for level in range(6):
        assert 1 < len(np.unique(rows[np.arange(600) % 6 == level, 0])) <= FOLDS


def test_the_same_rows_are_encoded_alike_again():
    rng = np.random.default_rng(0)
    table, y = labels_of(rng.integers(0, 50, 400)), rng.integers(0, 4, 400)
    first = encoded(table, y, 4)
    np.testing.assert_array_equal(first.training(table, y), encoded(table, y, 4).training(table, y))


# What the means say


def test_a_binary_target_gives_the_share_of_its_second_class():
    table = pl.DataFrame({"c": ["a"] * 300 + ["b"] * 400 + ["d"] * 200})
    y = np.repeat([1, 0, 1, 0, 0, 1], [225, 75, 100, 300, 100, 100])
    view = encoded(table, y, 2)
    assert view.names == ["c:share=1", "c"]
    out = view.transform(pl.DataFrame({"c": ["a", "b", "d", "new", None]}))
    np.testing.assert_allclose(out[:3, 0], [0.75, 0.25, 0.5], atol=0.01)
    np.testing.assert_allclose(out[3:, 0], 425 / 900, atol=1e-6)
    np.testing.assert_array_equal(out[:, 1], np.float32([1, 0, 2, np.nan, np.nan]))
    assert view.categories == {}


def test_missing_is_a_level_with_a_mean_of_its_own():
    table = pl.DataFrame({"c": ["a"] * 50 + ["b"] * 50 + ["d"] * 50 + [None] * 50})
    y = np.repeat([0.0, 1.0, 2.0, 9.0], 50)
    out = encoded(table, y, 0).transform(pl.DataFrame({"c": [None, "a", "new"]}, schema={"c": pl.String}))
    assert out[0, 0] > 1
    assert out[1, 0] < 0
    assert abs(out[2, 0]) < 1e-6


def test_each_class_has_its_share_and_only_the_most_frequent_of_many():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 900)
    table = labels_of(20 * y + rng.integers(0, 20, 900))
    view = encoded(table, y, 3)
    assert view.names == ["c:share=0", "c:share=1", "c:share=2", "c:count"]
    np.testing.assert_allclose(view.transform(table)[:, :3].sum(axis=1), 1, atol=1e-5)
    assert view.notes == []

    y = np.concatenate([np.arange(30), np.repeat(np.arange(20, 30), 30)])
    many = encoded(labels_of(5 * y + rng.integers(0, 5, len(y))), y, 30)
    assert many.names == [*(f"c:share={label}" for label in range(20, 30)), "c:count"]
    assert many.notes == ["categories tell the shares of the 10 most frequent classes, not of the 20 others"]


def test_many_columns_and_classes_stay_within_the_width():
    places = np.arange(480) % 48
    y = places % 12
    table = pl.DataFrame({f"c{i}": [f"{place}" for place in places] for i in range(1000)})
    view = encoded(table, y, 12)
    assert len(view.names) == 6000
    assert told_labels(y, 12, 5) == [0, 1, 2, 3, 4]


def test_levels_that_differ_by_chance_only_have_one_mean():
    rng = np.random.default_rng(3)
    table = labels_of(np.arange(4000) % 4)
    values = rng.normal(size=1000)
    out = encoded(table, np.repeat(values, 4), 0).transform(table)
    assert np.ptp(out[:, 0]) == 0


def test_small_levels_are_drawn_to_the_mean_of_all():
    effect = np.repeat([-1.0, 1.0, -1.0, 1.0, 1.0], [200, 200, 200, 200, 1])
    y = effect + np.random.default_rng(0).normal(size=801)
    out = encoded(labels_of(np.repeat(np.arange(5), [200, 200, 200, 200, 1])), y, 0)
    means = out.transform(labels_of(np.arange(5)))[:, 0]
    assert means[0] < -0.5 < 0.5 < means[1]
    assert abs(means[4]) < 0.9 * abs(y[-1] - y.mean()) / y.std()


def test_two_levels_are_a_code_and_more_than_forty_have_a_frequency():
    y = np.arange(200) % 2
    assert encoded(labels_of(np.arange(200) % 2), y, 2).names == ["c"]
    many = encoded(labels_of(np.arange(200) % 60), y, 2)
    assert many.names == ["c:share=1", "c:count"]
    np.testing.assert_allclose(many.transform(labels_of(np.array([0, 99])))[:, 1], np.log([5, 1]), rtol=1e-6)


def test_levels_that_tell_nothing_more_have_no_mean_of_their_own():
    """A mean of few rows is worth its noise only where it says what nothing else says."""
    rng = np.random.default_rng(0)
    n = 3000
    street, town = rng.integers(0, 300, n), rng.integers(0, 100, n)
    size = rng.normal(size=n)
    district = (town > 49).astype(float)
    table = pl.DataFrame({"street": [f"s{i}" for i in street], "town": [f"t{i}" for i in town]}).with_columns(
        size=size, district=district
    )
    schema = Schema(
        (*schema_of("street", "town").columns, *(Column(c, "numeric", "float") for c in ("size", "district"))), 0
    )
    noise = rng.normal(size=n)
    for y, told in (
        (size + noise, set()),
        (size + 2 * district + noise, set()),  # the town says it too, but no more than the district does
        (size + rng.normal(size=100)[town] + noise, {"town"}),
        (size + rng.normal(size=300)[street] + rng.normal(size=100)[town] + noise, {"street", "town"}),
    ):
        names = fit_view("encoded", table, schema, y, 0).names
        assert {name.removesuffix(":mean") for name in names if name.endswith(":mean")} == told
        assert {"street:count", "town:count"} <= set(names)


def customers(n: int = 4000) -> tuple[pl.DataFrame, np.ndarray]:
    """Numbers of customers that each have a mean of their own, numbers whose order says all, and numbers of chance."""
    rng = np.random.default_rng(0)
    customer, amount = rng.integers(0, 400, n), rng.integers(0, 1000, n)
    y = rng.normal(size=400)[customer] + np.sin(amount / 150) + 0.5 * rng.normal(size=n)
    columns = {"customer": 7919 * customer, "amount": amount, "ticket": rng.integers(0, 900, n)}
    return pl.DataFrame(columns).cast(pl.Float64), y


def numeric(table: pl.DataFrame, **monotone: str) -> Schema:
    return Schema(tuple(Column(name, "numeric", "float", monotone=monotone.get(name)) for name in table.columns), 0)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_numbers_that_stand_for_something_each_are_levels_too(classes):
    table, y = customers()
    y = np.digitize(y, np.quantile(y, np.arange(1, classes) / classes)) if classes else y
    view = fit_view("encoded", table, numeric(table), y, classes)
    told = ["customer:mean"] if not classes else [f"customer:share={k}" for k in range(classes) if classes > 2 or k]
    assert view.names == [*table.columns, *told, "customer:count"]
    assert [note for note in view.notes if "stand for something each" in note] == [
        "'customer': its numbers stand for something each, as those of customers do: they are taken as levels besides"
    ]
    codes = fit_view("codes", table, numeric(table), y, classes)
    assert codes.names == [*table.columns, "customer:level", "customer:count"]
    assert codes.categories == {3: 400}
    assert codes.notes == view.notes


def test_numbers_are_levels_as_they_are_spelled_and_what_is_not_whole_is_unseen():
    table, y = customers()
    view = fit_view("encoded", table, numeric(table), y, 0)
    out = view.transform(table)
    for rows in (1, 63, 64, 1500):  # one by one or as a column: however many there are
        np.testing.assert_array_equal(view.transform(table[:rows]), out[:rows])
    strange = pl.DataFrame({"customer": [-1.0, 7919.5, 1e300, None], "amount": 0.0, "ticket": 0.0})
    for repeats in (1, 400):
        many = pl.concat([strange] * repeats)
        np.testing.assert_allclose(view.transform(many)[:, 3], 0.0, atol=1e-6)  # the mean of all rows
    np.testing.assert_array_equal(view.transform(strange)[:, 4], 0.0)  # rows that they had at fit
    assert np.corrcoef(view.training(table, y)[:, 3], y)[0, 1] > 0.5


def test_numbers_are_levels_where_that_is_asked_of_none_and_never_where_they_are_to_be_monotone():
    table, y = customers()
    assert fit_view("codes", table, numeric(table)).names == table.columns
    assert fit_view("encoded", table, numeric(table, customer="increasing"), y, 0).names == table.columns
    assert fit_view("encoded", table, numeric(table), np.random.default_rng(1).permuted(y), 0).names == table.columns


def test_of_several_classes_a_category_of_few_levels_has_its_code_alone():
    y = np.arange(600) % 3
    assert encoded(labels_of(y), y, 3).names == ["c"]
    assert encoded(labels_of(y), np.minimum(y, 1), 2).names == ["c:share=1", "c"]


# Any target


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_few_rows_are_enough(n, classes):
    table = labels_of(np.arange(n))
    y = np.arange(n) % classes if classes else np.arange(float(n))
    view = encoded(table, y, classes)
    told = view.training(table, y)
    assert told.shape == (n, len(view.names))
    assert np.isfinite(told).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.none() | st.sampled_from("abcde"), st.floats(-1e300, 1e300)), min_size=1, max_size=30),
    st.lists(st.none() | st.sampled_from("abcxyz"), max_size=8),
)
def test_means_of_any_numbers_are_finite(rows, others):
    table = pl.DataFrame({"c": pl.Series([level for level, _ in rows], dtype=pl.String)})
    y = np.array([value for _, value in rows])
    view = encoded(table, y, 0)
    means = [j for j, name in enumerate(view.names) if name.endswith(":mean")]
    test = pl.DataFrame({"c": pl.Series(others, dtype=pl.String)})
    assert np.isfinite(view.training(table, y)[:, means]).all()
    assert np.isfinite(view.transform(test)[:, means]).all()


def test_a_constant_target_gives_constant_means():
    table = labels_of(np.arange(30) % 5)
    out = encoded(table, np.full(30, 7.0), 0).training(table, np.full(30, 7.0))
    assert (out[:, 0] == 0).all()


def test_no_target_is_an_error():
    with pytest.raises(DataError, match="target"):
        fit_view("encoded", pl.DataFrame({"c": ["a"]}), schema_of("c"))
