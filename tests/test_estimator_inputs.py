"""What the Python API takes: tables and targets of any kind, labels of any type, weights, groups."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.datasets import load_diabetes
from sklearn.exceptions import DataConversionWarning

from automl import AutoML, AutoMLClassifier, AutoMLRegressor
from automl.errors import ConfigError, DataError, DataWarning
from automl.run import Run

QUICK = ("executor=inprocess", "budget.trials=1", "split=holdout", "search.order=priority")


def quick(cls=AutoML, *overrides, **params):
    return cls(**{"families": ["linear"], "overrides": (*QUICK, *overrides), **params})


def people(n=120, seed=0):
    """A table with a number, a category and a gap, and the label `income` that depends on them."""
    rng = np.random.default_rng(seed)
    age, job = rng.normal(40, 10, n).round(1), rng.choice(["cook", "nurse", "pilot"], n)
    rich = age / 10 + 2 * (job == "pilot") + rng.normal(0, 0.5, n) > 4.5
    frame = pd.DataFrame({"age": age, "job": job, "hours": rng.integers(10, 60, n)})
    frame.loc[::9, "age"] = np.nan
    return frame.assign(income=np.where(rich, "high", "low"))


X, Y = people().drop(columns="income"), people()["income"]


@pytest.fixture(scope="module")
def fitted():
    return quick(random_state=3).fit(X, Y)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Tables


def test_pandas_polars_arrow_and_narwhals_give_the_same_predictions(fitted):
    import narwhals as nw

    wanted = fitted.predict_proba(X)
    table = pl.from_pandas(X)
    for same in (table, pa.Table.from_pandas(X), table.lazy(), nw.from_native(table)):
        np.testing.assert_array_equal(quick(random_state=3).fit(same, Y).predict_proba(X), wanted)
        np.testing.assert_array_equal(fitted.predict_proba(same), wanted)


def test_arrays_and_lists_give_the_same_predictions_as_frames():
    numbers = load_diabetes().data[:120, :5]
    y = load_diabetes().target[:120]
    model = quick().fit(numbers, y)
    assert not hasattr(model, "feature_names_in_")
    frame = quick().fit(pd.DataFrame(numbers), y)
    assert not hasattr(frame, "feature_names_in_")
    named = quick().fit(pd.DataFrame(numbers, columns=list("abcde")), y)
    assert named.feature_names_in_.tolist() == list("abcde")
    wanted = model.predict(numbers)
    for same in (numbers.tolist(), pd.DataFrame(numbers), np.asfortranarray(numbers)):
        np.testing.assert_array_equal(model.predict(same), wanted)
        np.testing.assert_array_equal(frame.predict(same), wanted)
        np.testing.assert_array_equal(named.predict(same), wanted)
    np.testing.assert_array_equal(quick().fit(numbers.tolist(), y.tolist()).predict(numbers), wanted)


def test_target_by_name_is_the_target_apart(fitted):
    whole = X.assign(income=Y)
    for model in (
        quick(random_state=3).fit(whole, "income"),
        quick(random_state=3).fit(whole, target="income"),
        quick(AutoML, "target=income", random_state=3).fit(whole),
        quick(config={"target": "income", "seed": 3}).fit(whole),
        quick(random_state=3).fit(pl.from_pandas(whole), "income"),
        quick(random_state=3).fit(pa.Table.from_pandas(whole), "income"),
    ):
        assert model.feature_names_in_.tolist() == ["age", "job", "hours"]
        assert model.n_features_in_ == 3
        np.testing.assert_array_equal(model.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.filterwarnings("ignore::automl.errors.DataWarning")  # the column that was the target is a column
def test_files(here, fitted):
    X.assign(income=Y).to_parquet("train.parquet")
    X.assign(income=Y).to_csv("train.csv", index=False)
    X.to_csv("features.csv", index=False)
    for model in (
        quick(random_state=3).fit("train.parquet", target="income"),
        quick(random_state=3).fit(Path("train.csv"), "income"),
        quick(random_state=3).fit("features.csv", Y),
    ):
        assert model.feature_names_in_.tolist() == ["age", "job", "hours"]
        for data in (X, "train.csv", Path("features.csv")):
            np.testing.assert_array_equal(model.predict_proba(data), fitted.predict_proba(X))


def test_several_files_are_one_table(here):
    whole = X.assign(income=Y)
    whole[:60].to_csv("a.csv", index=False)
    whole[60:].to_csv("b.csv", index=False)
    whole.to_csv("c.csv", index=False)
    both = quick(random_state=3).fit(["a.csv", "b.csv"], "income")
    np.testing.assert_array_equal(both.predict_proba(X), quick(random_state=3).fit("c.csv", "income").predict_proba(X))
    np.testing.assert_array_equal(both.predict(["a.csv", "b.csv"]), both.predict("c.csv"))


def test_an_example_by_its_config():
    model = quick(AutoML, "data=iris").fit(None)
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert model.n_features_in_ == 4


@pytest.mark.parametrize("name", ["my target, (x)=1", 'a"b\\c', "prix €", "${seed}", "a'b"])
def test_any_column_name_can_be_the_target(name):
    model = quick().fit(X.assign(**{name: Y}), name)
    assert model.predictor_.task.target == name


@pytest.mark.parametrize(
    ("data", "y", "error", "message"),
    [
        (X, None, DataError, "requires y"),
        (X.assign(income=Y), "incme", ConfigError, "did you mean 'income'"),
        (X, Y[:50], DataError, "120 rows and y has 50"),
        ("absent.csv", "income", DataError, "absent.csv"),
        (X["age"].to_numpy(), Y, DataError, "Reshape your data"),
        (object(), Y, DataError, "no table"),
        (X, np.full(len(X), "same"), DataError, "at least 2 classes"),
        (X, [None] * len(X), DataError, "no value"),
    ],
)
def test_bad_input(here, data, y, error, message):
    with pytest.raises(error, match=message):
        quick().fit(data, y)


def test_predict_refuses_another_number_of_columns_and_names_a_missing_one(fitted):
    with pytest.raises(DataError, match="X has 2 features, but AutoML is expecting 3 features"):
        fitted.predict(X.to_numpy()[:, :2])
    with pytest.raises(DataError, match="'job'"):
        fitted.predict(X.drop(columns="job"))


def test_predict_takes_columns_in_any_order_and_tells_of_others(fitted):
    np.testing.assert_array_equal(fitted.predict(X[["hours", "job", "age"]]), fitted.predict(X))
    with pytest.warns(DataWarning, match="colour"):
        fitted.predict(X.assign(colour="red"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict(X.assign(target=Y))  # the target is no surprise


# Labels

NUMBER = (Y == "high").to_numpy().astype(int)


@pytest.mark.parametrize(
    "y",
    [
        Y,
        Y.tolist(),
        Y.to_numpy(),
        Y.to_numpy().astype(str),
        Y.astype("category"),
        Y.astype("string"),
        pl.Series(Y.tolist()),
        pl.Series(Y.tolist(), dtype=pl.Categorical),
        pa.array(Y.tolist()),
        pa.chunked_array([Y.tolist()]),
        Y.to_frame(),
        NUMBER,
        NUMBER.tolist(),
        NUMBER.astype(np.uint8),
        NUMBER * 2 - 1,
        NUMBER.astype(bool),
        NUMBER.astype(bool).tolist(),
        NUMBER.astype(np.float32),
        NUMBER.astype(np.float16),
        NUMBER.astype(str),
        np.where(NUMBER, "01", "1"),
        np.where(NUMBER, "True", "False"),
        np.where(NUMBER, "1.0", "1"),
        pd.Series(NUMBER, dtype="Int64"),
        pd.Series(NUMBER).astype("category"),
        pd.Series(NUMBER).astype(str).astype("category"),
        pl.Series(NUMBER),
        pl.Series(NUMBER.astype(str)),
        pa.array(NUMBER),
        pa.array(NUMBER.astype(bool)),
        np.array(NUMBER, dtype=object),
        np.where(np.arange(len(X)) % 3 == 0, 7, NUMBER),
    ],
    ids=lambda y: f"{type(y).__name__}-{getattr(y, 'dtype', getattr(y, 'type', ''))}",
)
def test_labels_come_back_in_their_type(y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataConversionWarning)  # of the one-column frame
        model = quick(AutoMLClassifier).fit(X, y)
    plain = np.asarray(y).reshape(-1).tolist()
    assert model.classes_.tolist() == sorted(set(plain))
    answer = model.predict(X).tolist()
    assert {type(label) for label in answer} == {type(label) for label in plain}
    assert np.mean([a == b for a, b in zip(answer, plain, strict=True)]) > 0.6
    assert model.score(X, plain) == pytest.approx(np.mean([a == b for a, b in zip(answer, plain, strict=True)]))


def test_labels_of_a_named_column_come_back_in_their_type():
    for y in (Y, pd.Series(NUMBER), pd.Series(NUMBER).astype("category"), pd.Series(NUMBER.astype(str))):
        model = quick().fit(X.assign(label=y), "label")
        assert model.classes_.tolist() == sorted(set(y.tolist()))
        assert model.predict(X).tolist()[0] in set(y.tolist())


def test_missing_labels_are_left_out_and_counted():
    gaps = Y.where(np.arange(len(Y)) % 10 > 0, None)
    known = gaps.notna().to_numpy()
    with pytest.warns(DataWarning, match="12 rows without a target were left out"):
        model = quick().fit(X, gaps)
    np.testing.assert_array_equal(model.predict_proba(X), quick().fit(X[known], gaps[known]).predict_proba(X))


def test_missing_values_of_a_quantity_are_left_out_and_counted():
    data, y = load_diabetes(return_X_y=True)
    data, y = data[:100], y[:100].copy()
    y[::4] = np.nan
    with pytest.warns(DataWarning, match="25 rows without a target were left out"):
        model = quick(AutoMLRegressor).fit(data, y)
    known = np.isfinite(y)
    np.testing.assert_array_equal(model.predict(data), quick(AutoMLRegressor).fit(data[known], y[known]).predict(data))
    assert not hasattr(model, "predict_proba")
    assert not hasattr(model, "classes_")
    with pytest.raises(DataError, match=r"infinity or a value too large \(inf in row 0, counted from 0, and 24 more\)"):
        quick(AutoMLRegressor).fit(data, np.where(known, y, np.inf))
    with pytest.raises(DataError, match="NaN and nothing else"):
        quick(AutoMLRegressor).fit(data, np.full(100, np.nan))


def test_positive_label_comes_last():
    assert quick().fit(X, Y).classes_.tolist() == ["high", "low"]
    model = quick(AutoML, "positive=high").fit(X, Y)
    assert model.classes_.tolist() == ["low", "high"]
    assert model.predict_proba(X)[model.predict(X) == "high", 1].min() >= 0.5
    with pytest.raises(ConfigError, match="did you mean 'high'"):
        quick(AutoML, "positive=hihg").fit(X, Y)


def test_target_given_apart_hides_a_column_of_its_name_and_says_so():
    with pytest.warns(DataWarning, match="column target of X was left out"):
        model = quick().fit(X.assign(target=NUMBER), Y)
    assert model.feature_names_in_.tolist() == ["age", "job", "hours"]


# Weights and groups


def test_sample_weight_changes_the_model():
    pilots = np.where(X["job"] == "pilot", 50.0, 0.02)
    plain, weighted = quick().fit(X, Y), quick().fit(X, Y, sample_weight=pilots)
    assert np.abs(plain.predict_proba(X) - weighted.predict_proba(X)).max() > 0.01
    column = quick(AutoML, "weight=w")
    with pytest.warns(DataWarning, match="column w steers the weights"):
        column.fit(X.assign(w=pilots), Y)
    np.testing.assert_array_equal(column.predict_proba(X), weighted.predict_proba(X))
    assert column.n_features_in_ == 3
    with pytest.raises(ConfigError, match="say one of them"):
        column.fit(X.assign(w=pilots), Y, sample_weight=pilots)


def test_rows_of_weight_zero_are_not_there():
    weight = np.where(np.arange(len(X)) % 4 == 0, 0, 2.5)
    with pytest.warns(DataWarning, match="30 rows of weight zero"):
        model = quick().fit(X, Y, sample_weight=weight)
    kept = weight > 0
    np.testing.assert_array_equal(model.predict_proba(X), quick().fit(X[kept], Y[kept]).predict_proba(X))


@pytest.mark.parametrize(
    "weight", [np.ones(3), np.ones((len(X), 2)), np.full(len(X), -1.0), np.zeros(len(X)), ["heavy"] * len(X)]
)
def test_bad_weights(weight):
    with pytest.raises(DataError, match="weight"):
        quick().fit(X, Y, sample_weight=weight)


def test_groups_make_a_split_by_group(here):
    groups = np.arange(len(X)) // 10
    model = AutoML(families=["linear"], overrides=QUICK[:2], output_dir="out").fit(X, Y, groups=groups.astype(str))
    assert "group" in Run.open("out").facts["split"]
    assert "12 groups" in Run.open("out").facts["split"]
    assert model.n_features_in_ == 3
    with pytest.raises(ConfigError, match="split=holdout"):
        quick().fit(X, Y, groups=groups)
    with pytest.raises(DataError, match="groups has 5 values"):
        AutoML(families=["linear"], overrides=QUICK[:2]).fit(X, Y, groups=groups[:5])
