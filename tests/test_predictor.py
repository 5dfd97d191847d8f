"""The artifact and the predictor: the same answers again, without the search's code, and nothing that was tampered."""

import pickle
import shutil
import subprocess
import sys
import textwrap
import time
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import accuracy_score, f1_score, log_loss

from automl import AutoML, load
from automl.answer import Spread
from automl.compose import compose
from automl.errors import ConfigError, DataError, DataWarning, RefusedError, StorageError
from automl.fit import fit

QUICK = ("executor=inprocess", "split.kind=kfold", "split.folds=2", "predictor.refit=none")


def shop(n=300, seed=0):
    """Half of the outcome is a line, half a step that a line cannot take, so that two families do better than one."""
    rng = np.random.default_rng(seed)
    line, price, colour = rng.normal(size=(n, 5)), rng.normal(size=n), rng.choice(["red", "green", "blue"], n)
    step = np.where((price > 0) ^ (colour == "red"), 2, -2)
    sold = line.sum(axis=1) + step + rng.normal(size=n) > 0
    frame = pd.DataFrame(line, columns=["size", "b", "c", "d", "e"])
    frame = frame.assign(price=price, colour=colour, sold=np.where(sold, "yes", "no"))
    frame.loc[::11, "size"] = np.nan
    return frame


TABLE = shop()
X, FRESH = TABLE.drop(columns="sold"), shop(80, seed=1)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    extra = ("budget.trials=2", "search.prune=0", "search.order=priority", "family.lightgbm.params.n_estimators=30")
    folder = tmp_path_factory.mktemp("runs") / "out"
    model = AutoML(families=["logistic", "lightgbm"], random_state=1, overrides=(*QUICK, *extra), output_dir=folder)
    return model.fit(TABLE, "sold")


@pytest.fixture
def folder(fitted, tmp_path):
    """A copy of the predictor to tamper with."""
    return fitted.predictor_.save(tmp_path / "model")


@pytest.fixture(scope="module")
def regression():
    data, y = load_diabetes(return_X_y=True)
    return AutoML(families=["ridge"], overrides=("executor=inprocess", "budget.trials=1", "split=holdout")).fit(data, y)


# The same answers


def test_load_takes_the_run_or_the_model_and_predicts_the_same(fitted):
    wanted = fitted.predict_proba(FRESH)
    for path in (fitted.run_dir_, fitted.run_dir_ / "model", str(fitted.run_dir_)):
        again = load(path)
        np.testing.assert_array_equal(again.predict_proba(FRESH), wanted)
        np.testing.assert_array_equal(again.predict(FRESH), fitted.predict(FRESH))


def test_load_and_predict_without_the_search(fitted, tmp_path):
    FRESH.drop(columns="sold").to_parquet(tmp_path / "fresh.parquet")
    code = """
        import sys
        training = ["search", "fit", "plan", "run", "compose", "estimator", "screen", "cli", "execute.trial"]
        for name in ["optuna", "hydra", "omegaconf", *(f"automl.{name}" for name in training)]:
            sys.modules[name] = None
        import automl
        import numpy as np
        model, data, out = sys.argv[1:]
        np.save(out, automl.load(model).predict_proba(data))
    """
    words = [fitted.run_dir_, tmp_path / "fresh.parquet", tmp_path / "out.npy"]
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), *map(str, words)], check=True, timeout=60)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), fitted.predict_proba(FRESH))


def test_no_pickle_is_written_or_read(fitted, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a pickle was read")

    names = {file.name for file in fitted.run_dir_.rglob("*")}
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib", ".pt"))]
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    assert len(load(fitted.run_dir_).predict(FRESH)) == len(FRESH)


def test_probabilities_sum_to_one_and_agree_with_the_labels(fitted):
    proba = fitted.predictor_.predict_proba(FRESH)
    assert proba.shape == (len(FRESH), 2)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(fitted.predictor_.classes_[proba.argmax(axis=1)], fitted.predict(FRESH))


def test_predictions_depend_on_no_other_row(fitted):
    wanted = fitted.predict_proba(FRESH)
    order = np.random.default_rng(0).permutation(len(FRESH))
    np.testing.assert_allclose(fitted.predict_proba(FRESH.iloc[order]), wanted[order], rtol=1e-6)
    for size in (1, 7, 50):
        parts = [fitted.predict_proba(FRESH.iloc[i : i + size]) for i in range(0, len(FRESH), size)]
        np.testing.assert_allclose(np.concatenate(parts), wanted, rtol=1e-6)


def test_a_table_is_predicted_some_rows_at_a_time(fitted, monkeypatch):
    wanted = fitted.predict_proba(FRESH)
    monkeypatch.setattr("automl.predictor._ROWS", 7)
    np.testing.assert_allclose(fitted.predict_proba(FRESH), wanted, rtol=1e-12)


def test_one_row_is_quick(fitted):
    row = pl.from_pandas(FRESH[:1])
    fitted.predictor_.predict(row)
    took = []
    for _ in range(20):
        start = time.perf_counter()
        assert fitted.predictor_.predict(row).shape == (1,)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.05


def test_what_was_never_seen_still_gets_an_answer(fitted):
    strange = X[:3].assign(price=[np.nan, np.inf, 1e30], size=None, colour=["mauve", None, ""])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        assert np.isfinite(fitted.predictor_.predict_proba(strange)).all()


def test_values_that_cannot_be_read_are_counted(fitted):
    with pytest.warns(DataWarning, match="price: 1 value could not be read as a number"):
        fitted.predictor_.predict(X[:3].assign(price=["1.5", "cheap", "2"]))


# The ensemble


def test_members_weigh_one_in_all(fitted):
    members = fitted.predictor_.members
    assert {member.family for member in members} == {"logistic", "lightgbm"}
    assert sum(member.weight for member in members) == pytest.approx(1)
    assert all(member.weight > 0 for member in members)
    board = fitted.leaderboard().set_index("trial")["weight"]
    for trial, weight in board[board > 0].items():
        folds = [member.weight for member in members if member.name.rpartition("-")[0] == trial]
        assert len(folds) == 2
        assert sum(folds) == pytest.approx(weight, abs=1e-4)
    described = fitted.predictor_.describe()
    assert list(described.columns) == ["member", "family", "view", "weight"]
    assert described["weight"].sum() == pytest.approx(1)


def test_the_ensemble_scores_at_fit_as_its_members_do_out_of_fold(fitted):
    facts = fitted.predictor_.facts
    assert facts["low"] < facts["score"] < facts["high"]
    assert facts["score"] == fitted.score_ >= fitted.leaderboard()["score"][0] - 1e-9
    assert facts["rows"] == len(TABLE)
    assert facts["seed"] == 1
    assert {"python", "automl", "scikit-learn"} <= facts["versions"].keys()


def test_of_a_split_over_time_the_last_fold_predicts():
    when = pd.date_range("2024-01-01", periods=len(TABLE), freq="h")
    said = ("executor=inprocess", "budget.trials=1", "split.kind=time", "split.column=when", "split.folds=3")
    said += ("predictor.refit=none",)
    model = AutoML(families=["logistic"], overrides=said).fit(TABLE.assign(when=when), "sold")
    assert len(model.trials_[1].folds) == 3
    assert [member.name for member in model.predictor_.members] == ["logistic-1-2"]
    assert model.predictor_.members[0].weight == 1


@pytest.mark.parametrize(("split", "repeats"), [("kfold", 1), ("repeated", 3)])
def test_of_many_classes_the_mean_is_made_as_sure_as_what_was_measured(split, repeats):
    said = ("executor=inprocess", "budget.trials=1", f"split.kind={split}", "split.folds=2", "split.repeats=3")
    said += ("predictor.refit=none",)
    data, y = load_iris(return_X_y=True)
    predictor = AutoML(families=["lightgbm"], overrides=said).fit(data, y).predictor_
    spread, each = Spread(repeats), []
    for member in predictor.members:
        each.append(member.estimator.predict_proba(data.astype(np.float32)))
        spread.add("", member.weight, each[-1])
    assert len(each) == 2 * repeats
    found = predictor.predict_proba(data)
    np.testing.assert_allclose(found, spread.undone(np.mean(each, axis=0)), atol=1e-9)
    assert not np.allclose(found, np.mean(each, axis=0), atol=1e-4)


# Evaluation and tables


def test_evaluate_gives_the_metric_and_others(fitted):
    proba, y = fitted.predict_proba(FRESH), FRESH["sold"]
    scores = fitted.predictor_.evaluate(FRESH, ["accuracy", "log_loss", "f1", "neg_log_loss", "roc_auc"])
    assert list(scores) == ["roc_auc", "accuracy", "log_loss", "f1", "neg_log_loss"]
    assert scores["roc_auc"] > 0.7
    assert scores["accuracy"] == pytest.approx(accuracy_score(y, fitted.predict(FRESH)))
    assert scores["log_loss"] == pytest.approx(log_loss(y, proba), rel=1e-6)
    assert scores["neg_log_loss"] == pytest.approx(-log_loss(y, proba), rel=1e-6)
    assert scores["f1"] == pytest.approx(f1_score(y, fitted.predict(FRESH), pos_label="yes"))


def test_evaluate_leaves_out_rows_without_a_label(fitted):
    gaps = FRESH.assign(sold=FRESH["sold"].where(np.arange(len(FRESH)) % 4 > 0, None))
    with pytest.warns(DataWarning, match="20 rows without a label"):
        scores = fitted.predictor_.evaluate(gaps)
    assert scores == fitted.predictor_.evaluate(FRESH[np.arange(len(FRESH)) % 4 > 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predictor_.evaluate(FRESH)


@pytest.mark.parametrize(
    ("table", "metrics", "error", "message"),
    [
        (FRESH.assign(sold="perhaps"), (), DataError, "perhaps"),
        (FRESH.assign(sold=None), (), DataError, "missing in all 80 rows"),
        (FRESH.rename(columns={"sold": "sald"}), (), DataError, "did you mean 'sald'"),
        (FRESH, ("acuracy",), ConfigError, "accuracy"),
        (FRESH, ("rmse",), ConfigError, "rmse"),
        (FRESH.drop(columns="price"), (), DataError, "price"),
    ],
)
@pytest.mark.filterwarnings("ignore::automl.errors.DataWarning")  # all rows are left out
def test_evaluate_refuses(fitted, table, metrics, error, message):
    with pytest.raises(error, match=message):
        fitted.predictor_.evaluate(table, metrics)


def test_table_of_predictions(fitted):
    table = fitted.predictor_.table(FRESH)
    assert table.columns == ["prediction", "proba_no", "proba_yes"]
    assert table["prediction"].to_list() == fitted.predict(FRESH).tolist()
    np.testing.assert_array_equal(table[:, 1:].to_numpy(), fitted.predict_proba(FRESH))
    assert fitted.predictor_.table(FRESH, proba=False).columns == ["prediction"]


def test_a_regression_has_values_and_no_probabilities(regression):
    data, y = load_diabetes(return_X_y=True)
    predictor = regression.predictor_
    np.testing.assert_array_equal(predictor.table(data)["prediction"].to_numpy(), predictor.predict(data))
    assert predictor.table(data).columns == ["prediction"]
    assert predictor.classes_.tolist() == []
    with pytest.raises(ConfigError, match="no probabilities"):
        predictor.predict_proba(data)
    named = pl.DataFrame(data, schema=[f"x{i}" for i in range(10)]).with_columns(target=pl.Series(y))
    scores = predictor.evaluate(named, ["r2"])
    assert scores["r2"] == pytest.approx(regression.score(data, y))
    with pytest.raises(DataError, match="not numbers"):
        predictor.evaluate(named.with_columns(target=pl.lit("much")))


# Saving


def test_save_copies_to_a_new_place_only(fitted, tmp_path):
    final = fitted.predictor_.save(tmp_path / "deep" / "down")
    np.testing.assert_array_equal(load(final).predict_proba(FRESH), fitted.predict_proba(FRESH))
    with pytest.raises(StorageError, match="exists already"):
        load(final).save(final)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        load(final).save(tmp_path / "file" / "model")
    shutil.rmtree(final)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == []


def test_save_of_a_predictor_whose_folder_is_gone(folder, tmp_path):
    predictor = load(folder)
    shutil.rmtree(folder)
    with pytest.raises(StorageError):
        predictor.save(tmp_path / "other")
    assert not (tmp_path / "other").exists()
    with pytest.raises(StorageError, match="no predictor"):
        pickle.dumps(predictor)


def test_a_pickle_is_checked_like_the_folder(fitted):
    again = pickle.loads(pickle.dumps(fitted.predictor_))
    np.testing.assert_array_equal(again.predict_proba(FRESH), fitted.predict_proba(FRESH))
    function, (files,) = again.__reduce__()
    name = next(name for name in files if name.endswith(".skops"))
    with pytest.raises(RefusedError, match=name):
        function({**files, name: files[name] + b" "})


def test_columns_that_steered_the_fit_may_be_there_or_not(tmp_path, recwarn):
    table = pl.DataFrame({"a": np.arange(60.0) % 7, "w": np.linspace(1, 2, 60), "g": np.arange(60) // 6})
    table = table.with_columns(y=pl.col("a") * 2 + pl.col("g") / 10)
    said = ["target=y", "weight=w", "split=group", "split.column=g", "split.folds=2", "families=[ridge]"]
    fit(compose([*said, "executor=inprocess", "budget.trials=1", f"run.dir={tmp_path / 'run'}"]), table)
    predictor = load(tmp_path / "run")
    recwarn.clear()
    np.testing.assert_array_equal(predictor.predict(table), predictor.predict(table.select("a")))
    assert not recwarn.list
