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
