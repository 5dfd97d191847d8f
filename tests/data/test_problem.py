"""What trials share on disk comes back as it was, and any estimator can be fitted on it."""

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from automl.data.problem import Problem
from automl.data.schema import Schema
from automl.data.split import Fold, Split
from automl.task import Task


@pytest.fixture
def problem(tmp_path):
    table = pl.DataFrame({"a": np.arange(12.0), "c": ["x", "y", None] * 4})
    schema = Schema.infer(table, roles={}, drop=[], missing=[])
    rows = np.arange(12)
    folds = tuple(Fold(rows[rows % 3 != i], rows[rows % 3 == i]) for i in (0, 1))
    task = Task("binary", "y", "roc_auc", ("no", "yes"))
    y, weight = rows % 2, np.linspace(1, 2, 12)
    typed, _ = schema.apply(table)
    args = (typed, y, weight, Split("kfold", folds, ""), task, schema, (None, ("x",), True))
    Problem.write(tmp_path / "work", *args)
    return Problem.read(tmp_path / "work")


def test_it_comes_back_as_it_was(problem):
    assert problem.task.classes == ("no", "yes")
    assert problem.folds == 2
    assert problem.plugins == (None, ("x",), True)
    assert problem.table["c"].to_list() == ["x", "y", None] * 4
    np.testing.assert_array_equal(problem.y, np.arange(12) % 2)
    np.testing.assert_array_equal(problem.weight, np.linspace(1, 2, 12))
    np.testing.assert_array_equal(problem.rows, [0, 1, 3, 4, 6, 7, 9, 10])


def test_a_view_is_fitted_on_training_rows_built_once_and_mapped(problem):
    view, train, valid = problem.view("codes", 0)
    assert (len(train), len(valid)) == (8, 4)
    assert isinstance(train, np.memmap)
    built = (problem.view_folder("codes", 0) / "view.json").stat().st_mtime_ns
    again, same, _ = problem.view("codes", 0)
    assert (problem.view_folder("codes", 0) / "view.json").stat().st_mtime_ns == built
    np.testing.assert_array_equal(train, same)
    assert again.names == view.names


def test_a_frame_view_gives_polars_frames(problem):
    _, train, valid = problem.view("frame", 1)
    assert isinstance(train, pl.DataFrame)
    assert train["c"].to_list() == problem.table["c"][problem.fold(1).train].to_list()
    assert valid.height == 4


def test_encoded_training_rows_are_out_of_fold_and_validation_rows_are_not(tmp_path):
    rng = np.random.default_rng(0)
    places = rng.integers(0, 30, 600)
    table = pl.DataFrame({"c": [f"l{place}" for place in places]})
    schema = Schema.infer(table, roles={"c": "category"}, drop=[], missing=[])
    y, rows = rng.normal(size=30)[places] + rng.normal(size=600), np.arange(600)
    fold = Fold(rows[rows % 3 != 0], rows[rows % 3 == 0])
    task = Task("regression", "y", "rmse")
    args = (table, y, None, Split("holdout", (fold,), ""), task, schema, (None, ("x",), True))
    problem = Problem.write(tmp_path / "work", *args)
    for part in (0, None):
        trained = problem.fold(part)
        view, train, valid = problem.view("encoded", part)
        assert (len(train), len(valid)) == (len(trained.train), len(trained.valid))
        same = view.transform(table[trained.train])
        assert (train[:, 0] != same[:, 0]).mean() > 0.9
        np.testing.assert_array_equal(train[:, 1:], same[:, 1:])
        np.testing.assert_array_equal(valid, view.transform(table[trained.valid]))


def test_the_texts_of_a_fold_are_read_once_for_all_views(tmp_path):
    said = [f"the {a} fox jumps over {b} dogs" for a, b in np.random.default_rng(0).integers(0, 9, (60, 2))]
    table = pl.DataFrame(
        {"n": np.arange(60.0), "said": [f"{said[i]} {'late' if i % 2 else 'early'}" for i in range(60)]}
    )
    schema = Schema.infer(table, roles={"said": "text"}, drop=[], missing=[])
    rows = np.arange(60)
    fold = Fold(rows[:40], rows[40:])
    task = Task("binary", "y", "roc_auc", ("no", "yes"))
    args = (table, rows % 2, None, Split("holdout", (fold,), ""), task, schema, (None, ("x",), True))
    problem = Problem.write(tmp_path / "work", *args)
    shared, _, _ = problem.view("texts", 0)
    (problem.view_folder("texts", 0) / "rows" / "valid.npy").unlink()
    np.save(problem.view_folder("texts", 0) / "rows" / "valid.npy", np.full((20, len(shared.names)), 7, np.float32))
    for kind in ("codes", "encoded", "dense"):
        view, train, valid = problem.view(kind, 0)
        place, same = view.names.index("said:share=1"), view.transform(table[:40])
        assert (train[:, place] != same[:, place]).all()  # out of fold
        np.testing.assert_array_equal(np.delete(train, place, 1), np.delete(same, place, 1))
        assert not np.array_equal(valid, view.transform(table[40:]))


def test_scikit_learns_compiled_code_takes_the_mapped_arrays(problem):
    _, train, _ = problem.view("codes", 0)
    ExtraTreesClassifier(n_estimators=2).fit(train, problem.y[problem.fold(0).train])


def test_what_is_written_into_a_mapped_array_does_not_reach_the_disk(problem):
    problem.y[0] = 99
    assert Problem.read(problem.folder).y[0] == 0


def test_predictions_that_repeat_a_row_are_averaged(problem):
    for fold, value in ((0, 1.0), (1, 3.0)):
        folder = problem.trial_folder(5, fold)
        folder.mkdir(parents=True)
        np.save(folder / "predictions.npy", np.full((4, 2), value, np.float32))
    np.save(problem.folder / "valid-1.npy", problem.fold(0).valid)
    np.testing.assert_allclose(problem.predictions(5), np.full((4, 2), 2.0))
