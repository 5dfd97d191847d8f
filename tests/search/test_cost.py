"""The cost model: priors first, then what was measured, in proportion to the rows."""

import pytest

from automl.compose import compose
from automl.family import FamilySpec
from automl.search.cost import Costs, ViewCosts, prior


def costs():
    return Costs({"a": 5.0, "b": 0.0}, rows=1000)


def test_the_prior_is_for_so_many_rows_and_columns():
    spec = FamilySpec({}, {}, (), cost=10.0)
    assert prior(spec, 100_000, 10, 0) == prior(spec, 100_000, 10, 2) == prior(spec, 100_000, 10, 26) == 10
    assert 10 < prior(spec, 100_000, 20, 0) < prior(spec, 200_000, 10, 0) < 20, "rows count for more than columns"
    assert prior(spec, 100, 0, 0) > 0


def test_what_takes_as_much_for_each_class_takes_so_for_more_than_two():
    spec = FamilySpec({}, {}, (), cost=10.0, per_class=True)
    assert prior(spec, 100_000, 10, 0) == prior(spec, 100_000, 10, 2) == 10
    assert 50 < prior(spec, 100_000, 10, 20) < 200


def test_of_26_classes_only_boosting_is_expected_to_take_longer():
    """A network of 12,800 x 16 rows takes 6 s; it was taken to need 80, which did not fit, and was never begun."""
    config, longer = compose(), ("lightgbm", "xgboost", "catboost")
    for name in ("logistic", "neighbors", "svm", "extra_trees", "random_forest", "mlp", *longer):
        spec = config.family_spec(name)
        few, many = (prior(spec, 12_800, 16, classes) for classes in (2, 26))
        assert many == pytest.approx(few * (26**0.7 if name in longer else 1)), name
    assert 3 < prior(config.family_spec("mlp"), 12_800, 16, 26) < 12


def test_until_something_was_measured_a_fold_takes_what_is_said():
    assert costs().fold("a") == 5.0
    assert costs().fold("b") == costs().fold("unknown") == 0.0


def test_fewer_rows_take_less():
    assert costs().fold("a", 100) == pytest.approx(0.5)
    assert costs().fold("a", 5000) == 5.0, "no more rows than there are"


def test_what_was_measured_replaces_the_prior_and_the_last_ones_count():
    known = costs()
    assert not known.is_known("a")
    for seconds in (100, 1, 2, 3, 4, 5):
        known.learn("a", seconds)
    assert known.is_known("a")
    assert known.fold("a") == 3
    known.learn("b", 1.0, rows=100)
    assert known.fold("b") == pytest.approx(10.0)


def test_a_view_that_lies_there_costs_nothing_and_others_what_the_longest_took(tmp_path):
    costs = ViewCosts(lambda kind, fold, rows: tmp_path / f"{kind}-{fold}-{rows}")
    assert costs.due("dense", None, range(3)) == 0
    costs.learn("dense", None, 2.0)
    costs.learn("dense", None, 0.01)
    assert costs.due("dense", None, range(3)) == 6
    (tmp_path / "dense-1-None").mkdir()
    assert costs.due("dense", None, range(3)) == 4
    assert costs.due("dense", 500, range(3)) == costs.due("codes", None, range(3)) == 0
