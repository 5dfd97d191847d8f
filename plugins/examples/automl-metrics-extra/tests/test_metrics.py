"""The metrics against their definitions, with weights and ties, and in a run."""

import math

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from automl import AutoML
from automl_metrics_extra.metrics import calibration_error, captured, top_three


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_calibration_error_of_honest_and_of_boastful_probabilities(rng):
    positive = rng.uniform(0, 1, 100_000)
    y = (rng.uniform(0, 1, 100_000) < positive).astype(int)
    honest = np.column_stack([1 - positive, positive])
    assert calibration_error(y, honest, None) < 0.01
    boastful = honest**4 / (honest**4).sum(axis=1, keepdims=True)
    assert calibration_error(y, boastful, None) > 0.1
    sure = np.eye(2)[y]
    assert calibration_error(y, sure, None) == 0
    assert calibration_error(1 - y, sure, None) == 1


def test_top_three_is_scikit_learns_with_k_3(rng):
    proba = rng.dirichlet(np.ones(6), 500)
    y = rng.integers(0, 6, 500)
    weight = rng.uniform(size=500)
    expected = top_k_accuracy_score(y, proba, k=3, labels=range(6), sample_weight=weight)
    assert top_three(y, proba, weight) == pytest.approx(expected)


def test_captured_counts_the_first_tenth():
    y = np.r_[np.ones(10), np.zeros(90)].astype(int)
    score = np.linspace(1, 0, 100)
    proba = np.column_stack([1 - score, score])
    assert captured(y, proba, None) == 1
    assert captured(y, proba[::-1], None) == 0
    assert captured(y, np.full((100, 2), 0.5), None) == pytest.approx(0.1), "ties count in proportion"
    assert math.isnan(captured(np.zeros(100, int), proba, None))


@pytest.mark.parametrize("metric", [calibration_error, captured, top_three])
def test_a_row_of_weight_two_is_two_rows(metric, rng):
    classes = 5 if metric is top_three else 2
    proba, y = rng.dirichlet(np.ones(classes), 200), rng.integers(0, classes, 200)
    weight = rng.integers(1, 4, 200)
    again = np.repeat(np.arange(200), weight)
    assert metric(y, proba, weight.astype(float)) == pytest.approx(metric(y[again], proba[again], None))
    order = rng.permutation(200)
    assert metric(y[order], proba[order], None) == pytest.approx(metric(y, proba, None))


@pytest.mark.parametrize(
    ("data", "metric", "at_least"),
    [("sklearn:breast_cancer", "captured_10", 0.15), ("sklearn:digits", "top3_accuracy", 0.97)],
)
def test_a_run_is_decided_by_it(data, metric, at_least, tmp_path):
    settings = ["budget.trials=2", "executor=inprocess"]
    model = AutoML(metric=metric, families=["linear"], time_budget=60, output_dir=tmp_path / "run", overrides=settings)
    model.fit(data, target="target")
    assert at_least < model.score_ <= 1
