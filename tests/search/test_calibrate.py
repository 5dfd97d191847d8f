"""Calibration: it is used where it helps on rows it has not seen, and the score told is that of such rows."""

import time

import numpy as np
import pytest

from automl.answer import Answer
from automl.metrics import automl_metrics
from automl.search.calibrate import calibrate

METRICS = {metric.name: metric for metric in automl_metrics()}


def drawn(n, prior, *, sharpness=1.0, seed=0):
    """Labels, and probabilities that are calibrated if `sharpness` is 1 and too sure of themselves above."""
    rng = np.random.default_rng(seed)
    y = rng.choice(len(prior), n, p=prior)
    evidence = rng.normal(size=(n, len(prior)))
    evidence[np.arange(n), y] += 1
    shares = np.exp(sharpness * (evidence + np.log(prior)))
    return shares / shares.sum(axis=1, keepdims=True), y


def scored(answer, metric, shares, y):
    return metric.score(y, answer.weighed(answer.probabilities(shares)))


@pytest.mark.parametrize("name", ["log_loss", "brier"])
@pytest.mark.parametrize("prior", [[0.7, 0.3], [0.5, 0.3, 0.2]])
def test_a_temperature_cools_what_is_too_sure(name, prior):
    metric = METRICS[name]
    shares, y = drawn(4000, prior, sharpness=2.0)
    answer, nested = calibrate(shares, y, metric)
    assert 1.6 < answer.temperature < 2.4
    assert answer.weights == ()
    fresh, truth = drawn(20_000, prior, sharpness=2.0, seed=1)
    assert scored(answer, metric, fresh, truth) < metric.score(truth, fresh) - 0.005
    assert metric.score(y, nested) < metric.score(y, shares)
    np.testing.assert_allclose(nested.sum(axis=1), 1)


def test_a_temperature_warms_what_is_not_sure_enough():
    metric = METRICS["log_loss"]
    for prior in ([0.6, 0.4], [0.5, 0.3, 0.2]):
        shares, y = drawn(600, prior, sharpness=0.4)
        answer, _ = calibrate(shares, y, metric)
        assert 0.3 < answer.temperature < 0.55
        fresh, truth = drawn(20_000, prior, sharpness=0.4, seed=1)
        assert scored(answer, metric, fresh, truth) < metric.score(truth, fresh) - 0.01


@pytest.mark.parametrize("weight", [None, np.full(900, 3.0)])
def test_being_right_on_every_row_makes_nothing_surer_than_so_many_rows_can_tell(weight):
    """Of 1,525 leaves all were right: a temperature of 0.22 made 0.007 of log loss on the other rows 0.021."""
    metric, y = METRICS["log_loss"], np.arange(900) % 3

    def right(least, most):
        sure = np.random.default_rng(0).uniform(least, most, 900)
        return np.where(np.eye(3)[y] == 1, sure[:, None], (1 - sure[:, None]) / 2)

    assert calibrate(right(0.999, 0.999999), y, metric, weight)[0] == Answer()
    unsure = right(0.7, 0.95)
    answer, _ = calibrate(unsure, y, metric, weight)
    assert answer.temperature < 1
    assert np.median(answer.probabilities(unsure).max(axis=1)) == pytest.approx(1 - 1 / 900, abs=1e-3)


@pytest.mark.parametrize("name", ["log_loss", "brier"])
def test_a_curve_mends_what_no_temperature_can(name):
    metric = METRICS[name]

    def skewed(n, seed):
        rng = np.random.default_rng(seed)
        said = rng.uniform(size=n)
        return np.column_stack([1 - said, said]), (rng.uniform(size=n) < 0.1 + 0.3 * said**3).astype(np.int64)

    shares, y = skewed(6000, 0)
    answer, nested = calibrate(shares, y, metric)
    assert answer.temperature == 1
    points = np.array(answer.curve)
    assert (np.diff(points, axis=0) >= 0).all()
    assert 0 < points[0, 1] < points[-1, 1] < 1
    fresh, truth = skewed(20_000, 1)
    made = answer.probabilities(fresh)
    assert np.abs(made[:, 1] - (0.1 + 0.3 * fresh[:, 1] ** 3)).mean() < 0.02
    assert metric.score(truth, made) < metric.score(truth, fresh) - 0.05
    assert metric.score(y, nested) < metric.score(y, shares)


@pytest.mark.parametrize("name", ["log_loss", "brier", "accuracy", "roc_auc"])
def test_what_is_right_already_is_left_alone(name):
    for seed in range(3):
        shares, y = drawn(4000, [0.6, 0.4], seed=seed)
        answer, nested = calibrate(shares, y, METRICS[name])
        assert answer == Answer()
        np.testing.assert_array_equal(nested, shares)


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy", "mcc", "quadratic_kappa"])
def test_a_threshold_finds_the_rare_class(name):
    metric = METRICS[name]
    shares, y = drawn(5000, [0.92, 0.08])
    answer, nested = calibrate(shares, y, metric)
    assert answer.temperature == 1
    threshold, other = answer.weights
    assert threshold + other == pytest.approx(1)
    assert threshold < 0.45
    fresh, truth = drawn(50_000, [0.92, 0.08], seed=1)
    there = scored(answer, metric, fresh, truth)
    assert there > metric.score(truth, fresh) + 0.01
    # What is told of it holds on new rows, within what 400 rows of the class can tell.
    assert metric.score(y, nested) == pytest.approx(there, abs=0.05)


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1_macro"])
def test_classes_are_weighed_where_there_are_many(name):
    metric, prior = METRICS[name], [0.6, 0.25, 0.1, 0.05]
    shares, y = drawn(3000, prior)
    answer, nested = calibrate(shares, y, metric)
    assert len(answer.weights) == 4
    assert answer.weights[3] > answer.weights[0]
    fresh, truth = drawn(30_000, prior, seed=1)
    assert scored(answer, metric, fresh, truth) > metric.score(truth, fresh) + 0.01
    assert metric.score(y, nested) > metric.score(y, shares)


def test_the_score_told_is_not_that_of_numbers_tuned_on_the_same_rows():
    """Where labels are drawn by lot no threshold is better than another; 40 draws must not look as if one were."""
    gains = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shares, y = rng.dirichlet([2, 2], 300), rng.integers(0, 2, 300)
        _, nested = calibrate(shares, y, METRICS["mcc"], seed=seed)
        gains.append(METRICS["mcc"].score(y, nested) - METRICS["mcc"].score(y, shares))
    assert np.mean(gains) < 0.02


def test_weights_of_rows_count():
    shares, y = drawn(4000, [0.5, 0.5])
    heavy = np.where(y == 1, 12.0, 1.0)
    answer, _ = calibrate(shares, y, METRICS["accuracy"], heavy)
    assert answer.weights[0] < 0.3


def test_few_rows_and_no_time_leave_everything_as_it_is():
    shares, y = drawn(290, [0.7, 0.3], sharpness=3)
    assert calibrate(shares, y, METRICS["log_loss"])[0] == Answer()
    shares, y = drawn(90, [0.9, 0.1])
    assert calibrate(shares, y, METRICS["f1"])[0] == Answer()
    shares, y = drawn(5000, [0.92, 0.08])
    assert calibrate(shares, y, METRICS["f1"], deadline=time.monotonic())[0] == Answer()


def test_the_same_rows_give_the_same_answer():
    shares, y = drawn(30_000, [0.92, 0.08])
    assert calibrate(shares, y, METRICS["f1"], seed=3)[0] == calibrate(shares, y, METRICS["f1"], seed=3)[0]


# The answer


def test_an_answer_is_plain_data():
    for answer in (Answer(), Answer((0.5, 1.2), 1.5, weights=(0.2, 0.8)), Answer(curve=((0.1, 0.2), (0.8, 0.9)))):
        assert Answer.from_dict(answer.to_dict()) == answer


def test_a_temperature_keeps_the_order_and_the_sum_whatever_it_is():
    shares = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0], [1e-300, 1e-200, 1 - 1e-12]])
    for temperature in (0.01, 0.5, 1.0, 3.0, 100.0):
        made = Answer(temperature=temperature).probabilities(shares)
        assert np.isfinite(made).all()
        np.testing.assert_allclose(made.sum(axis=1), 1)
        np.testing.assert_array_equal(made.argmax(axis=1), shares.argmax(axis=1))


def test_binary_weights_are_a_threshold():
    shares = np.array([[0.9, 0.1], [0.7, 0.3], [0.69, 0.31], [0.2, 0.8]])
    assert Answer(weights=(0.305, 0.695)).weighed(shares).argmax(axis=1).tolist() == [0, 0, 1, 1]
