"""The task is inferred from the target, and labels survive the way to codes and back."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.errors import ConfigError, DataError
from automl.task import Task, classes_of, infer_kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["yes", "no"] * 10, "binary"),
        ([True, False] * 10, "binary"),
        ([0, 1] * 10, "binary"),
        (["a", "b", "c"] * 10, "multiclass"),
        (list(range(10)) * 10, "multiclass"),
        ([float(i % 3) for i in range(30)], "multiclass"),
        (list(range(100)), "regression"),
        ([0.1, 0.2, 0.3] * 20, "regression"),
        ([1, 2, 3], "regression"),
    ],
)
def test_the_kind_follows_from_the_target(values, kind):
    assert infer_kind(pl.Series(values), "y")[0] == kind


def test_what_the_user_says_wins():
    assert infer_kind(pl.Series([1, 2, 3] * 20), "y", "regression")[0] == "regression"
    assert infer_kind(pl.Series([1.5, 2.5, 3.5]), "y", "classification")[0] == "multiclass"


@pytest.mark.parametrize(
    ("values", "said", "error", "message"),
    [
        (["a", "a"], "auto", DataError, "only the value 'a'"),
        ([None, None], "auto", DataError, "no value at all"),
        (["a", "b"], "regression", DataError, "not numbers"),
        (["a", "b", "c"], "binary", DataError, "3 distinct"),
        ([1, 2], "regresion", ConfigError, "did you mean 'regression'"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(values, said, error, message):
    with pytest.raises(error, match=message):
        infer_kind(pl.Series(values), "y", said)


@given(st.lists(st.sampled_from([1, 2, 3, 7]) | st.none(), min_size=2).filter(lambda v: len({x for x in v if x}) > 1))
def test_labels_come_back_in_their_own_type(values):
    target = pl.Series(values).drop_nulls()
    task = Task("multiclass", "y", "log_loss", classes_of(target))
    back = Task.from_dict(task.to_dict()).decode(task.encode(target))
    assert back.tolist() == target.to_list()
    assert back.dtype.kind == "i"


def test_the_positive_label_comes_last():
    assert classes_of(pl.Series(["good", "bad"]), "bad") == ("good", "bad")
    with pytest.raises(ConfigError, match="did you mean 'bad'"):
        classes_of(pl.Series(["good", "bad"]), "bda")


def test_a_label_that_was_not_there_at_fit_is_an_error():
    with pytest.raises(DataError, match="maybe"):
        Task("binary", "y", "roc_auc", ("no", "yes")).encode(pl.Series(["no", "maybe"]))


def test_labels_that_another_reader_typed_otherwise_are_the_same():
    task = Task("binary", "y", "roc_auc", (0, 1))
    assert task.encode(pl.Series([1.0, 0.0])).tolist() == [1, 0]
    assert np.issubdtype(task.encode(pl.Series([1, 0])).dtype, np.integer)
