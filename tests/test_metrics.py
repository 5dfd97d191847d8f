"""Metrics equal scikit-learn's, survive absent classes, resolve by name, and come with an honest interval."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from automl.errors import ConfigError
from automl.metrics import Metric, automl_metrics, interval, resolve

BUILT_IN = {metric.name: metric for metric in automl_metrics()}
RANKS = {
    "roc_auc": lambda y, p, w: sk.roc_auc_score(y, p[:, 1], sample_weight=w),
    "average_precision": lambda y, p, w: sk.average_precision_score(y, p[:, 1], sample_weight=w),
}
PROBABILITIES = {
    "log_loss": lambda y, p, w: sk.log_loss(y, y_proba=p, sample_weight=w, labels=range(p.shape[1])),
    "brier": lambda y, p, w: sk.brier_score_loss(y, p, sample_weight=w, labels=range(p.shape[1])),
}
LABELS = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "f1_macro": lambda y, p, **w: sk.f1_score(y, p, average="macro", zero_division=0, **w),
    "f1_micro": lambda y, p, **w: sk.f1_score(y, p, average="micro", **w),
    "f1_weighted": lambda y, p, **w: sk.f1_score(y, p, average="weighted", zero_division=0, **w),
    "mcc": sk.matthews_corrcoef,
    "quadratic_kappa": lambda y, p, **w: sk.cohen_kappa_score(y, p, weights="quadratic", labels=range(9), **w),
}
VALUES = {
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "r2": sk.r2_score,
    "rmsle": sk.root_mean_squared_log_error,
    "mape": sk.mean_absolute_percentage_error,
    "pinball": sk.mean_pinball_loss,
}


@st.composite
def classified(draw, classes):
    """Codes, probabilities with many ties, and weights or None; classes may be absent."""
    n = draw(st.integers(4, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    y = rng.integers(0, classes, n)
    y[:2] = 0, 1
    raw = rng.integers(0, draw(st.sampled_from([2, 5, 1000])), (n, classes)) + draw(st.sampled_from([1e-9, 0.5]))
    weight = draw(st.sampled_from([None, rng.uniform(0.1, 5, n), rng.integers(1, 4, n)]))
    return y, raw / raw.sum(axis=1, keepdims=True), weight


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None)
@given(classified(2))
def test_binary_scores_equal_scikit_learns(drawn):
    y, proba, weight = drawn
    for name, theirs in {**RANKS, **PROBABILITIES}.items():
        assert BUILT_IN[name].score(y, proba, weight) == pytest.approx(theirs(y, proba, weight), abs=1e-9), name
    codes = proba.argmax(axis=1)
    for name, theirs in {**LABELS, "f1": lambda *a, **k: sk.f1_score(*a, zero_division=0, **k)}.items():
        expected = theirs(y, codes, sample_weight=weight)
        assert BUILT_IN[name].score(y, proba, weight) == pytest.approx(expected, abs=1e-9, nan_ok=True), name


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None)
@given(classified(6))
def test_multiclass_scores_equal_scikit_learns_where_classes_are_absent(drawn):
    y, proba, weight = drawn
    for name, theirs in PROBABILITIES.items():
        assert BUILT_IN[name].score(y, proba, weight) == pytest.approx(theirs(y, proba, weight), abs=1e-9), name
    for name, theirs in RANKS.items():
        against_rest = [theirs(y == c, proba[:, [0, c]], weight) for c in np.unique(y)]
        assert BUILT_IN[name].score(y, proba, weight) == pytest.approx(np.mean(against_rest), abs=1e-9), name
    codes = proba.argmax(axis=1)
    for name, theirs in LABELS.items():
        expected = theirs(y, codes, sample_weight=weight)
        assert BUILT_IN[name].score(y, proba, weight) == pytest.approx(expected, abs=1e-9, nan_ok=True), name


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10**6), st.booleans())
def test_regression_scores_equal_scikit_learns(n, seed, weighted):
    rng = np.random.default_rng(seed)
    y, value = rng.gamma(1, 10, n), rng.gamma(1, 10, n)
    weight = rng.uniform(0.1, 3, n) if weighted else None
    for name, theirs in VALUES.items():
        assert BUILT_IN[name].score(y, value, weight) == pytest.approx(theirs(y, value, sample_weight=weight)), name
    upper = resolve("pinball@0.9", "regression", BUILT_IN)
    assert upper.name == "pinball@0.9"
    expected = sk.mean_pinball_loss(y, value, sample_weight=weight, alpha=0.9)
    assert upper.score(y, value, weight) == pytest.approx(expected)


def test_every_built_in_metric_is_compared_with_scikit_learns():
    assert set(BUILT_IN) == {"f1", *RANKS, *PROBABILITIES, *LABELS, *VALUES}


def test_one_class_has_no_auc_but_a_log_loss():
    y, proba = np.ones(5, int), np.tile([0.2, 0.8], (5, 1))
    assert np.isnan(BUILT_IN["roc_auc"].score(y, proba))
    assert np.isnan(BUILT_IN["average_precision"].score(1 - y, proba))
    assert BUILT_IN["log_loss"].score(y, proba) == pytest.approx(-np.log(0.8))
    assert np.isnan(BUILT_IN["log_loss"].score(y, proba, np.zeros(5)))


def test_a_probability_of_zero_costs_much_but_not_infinity():
    assert 30 < BUILT_IN["log_loss"].score(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)) / 0.5 < 40


def test_a_perfect_constant_target_and_shapes_that_do_not_fit():
    assert BUILT_IN["r2"].score(np.ones(4), np.ones(4)) == 1
    with pytest.raises(ValueError, match=r"shape \(4, 1\) for 4 rows"):
        BUILT_IN["rmse"].score(np.ones(4), np.ones((4, 1)))


def test_rmsle_refuses_what_has_no_logarithm():
    with pytest.raises(ValueError, match=r"rmsle needs numbers above -1, but 1 of the targets .* use metric=rmse"):
        BUILT_IN["rmsle"].score(np.array([3.0, -2.0]), np.array([1.0, 1.0]))
    with pytest.raises(ValueError, match="predictions"):
        BUILT_IN["rmsle"].score(np.array([3.0, 2.0]), np.array([1.0, -1.0]))


def test_direction():
    auc, rmse = BUILT_IN["roc_auc"], BUILT_IN["rmse"]
    assert (auc.arrow, rmse.arrow) == ("↑", "↓")
    assert (auc.loss(0.7), rmse.loss(0.7)) == (-0.7, 0.7)
    assert auc.better(0.8, 0.7)
    assert rmse.better(0.7, 0.8)
    assert auc.better(0.1, float("nan"))
    assert not auc.better(float("nan"), 0.1)


@pytest.mark.parametrize(("kind", "name"), [("binary", "roc_auc"), ("multiclass", "log_loss"), ("regression", "rmse")])
def test_auto_goes_by_the_task(kind, name):
    assert resolve("auto", kind, BUILT_IN).name == name


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("roc_acu", "binary", "unknown metric; did you mean 'roc_auc'?"),
        ("neg_mean_absolute_eror", "regression", "did you mean 'neg_mean_absolute_error'?"),
        ("rmse", "binary", "does not go with a binary task. For a binary task: accuracy"),
        ("f1", "multiclass", "does not go with a multiclass task.*f1_macro"),
        ("jaccard", "multiclass", "does not go with a multiclass task"),
        ("neg_mean_squared_error", "binary", "does not go with a binary task"),
        ("jaccard", "regression", "does not go with a regression task"),
        ("rand_score", "regression", "does not go with a regression task"),
        ("pinball@1.5", "regression", "between 0 and 1"),
        ("pinball@0.9", "binary", "does not go with a binary task"),
        ("auto", "recommend", "no default metric"),
    ],
)
def test_a_metric_that_cannot_be_used_is_refused_with_a_way_out(name, kind, words):
    with pytest.raises(ConfigError, match=words):
        resolve(name, kind, BUILT_IN)


def test_scikit_learns_scorers_by_name():
    rng = np.random.default_rng(0)
    y, proba, weight = rng.integers(0, 3, 50), rng.dirichlet([1, 1, 1], 50).astype(np.float32), rng.uniform(1, 2, 50)
    jaccard = resolve("jaccard_macro", "multiclass", BUILT_IN)
    expected = sk.jaccard_score(y, proba.argmax(axis=1), average="macro", sample_weight=weight)
    assert jaccard.score(y, proba, weight) == pytest.approx(expected)
    one_vs_one = resolve("roc_auc_ovo", "multiclass", BUILT_IN)
    assert one_vs_one.score(y, proba) == pytest.approx(sk.roc_auc_score(y, proba, multi_class="ovo"), abs=1e-6)
    binary = resolve("neg_brier_score", "binary", BUILT_IN)
    two = np.column_stack([proba[:, 0], 1 - proba[:, 0]])
    assert binary.score(y == 1, two) == pytest.approx(-sk.brier_score_loss(y == 1, two[:, 1]), abs=1e-6)
    error = resolve("neg_mean_absolute_error", "regression", BUILT_IN)
    assert error.score(proba[:, 0], proba[:, 1]) == pytest.approx(-sk.mean_absolute_error(proba[:, 0], proba[:, 1]))
    assert error.arrow == "↑"
    with pytest.raises(ConfigError, match="cannot weight rows"):
        resolve("neg_max_error", "regression", BUILT_IN).score(proba[:, 0], proba[:, 1], weight)


def test_a_plugins_metric_wins_over_a_scorer_of_that_name():
    mine = Metric("jaccard", lambda y, codes, weight: 0.25, True, {"binary"}, "labels")
    assert resolve("jaccard", "binary", {**BUILT_IN, "jaccard": mine}) is mine
    with pytest.raises(ConfigError, match="takes 'ranks'"):
        Metric("worst", lambda y, p, w: 0.0, False, {"binary"}, "ranks")


def test_metrics_are_imported_without_scikit_learn():
    code = "import sys, automl.metrics; print('sklearn' in sys.modules, 'scipy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]


@pytest.mark.parametrize(("name", "n"), [("rmse", 200), ("rmse", 4000), ("roc_auc", 300), ("accuracy", 45)])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(name, n):
    metric, rng = BUILT_IN[name], np.random.default_rng(1)

    def draw(rows):
        if metric.takes == "value":
            return rng.normal(size=rows), np.zeros(rows)
        y = rng.integers(0, 2, rows)
        chance = 1 / (1 + np.exp(-(y - 0.5 + rng.normal(size=rows))))
        return y, np.column_stack([1 - chance, chance])

    truth = metric.score(*draw(500_000))
    intervals = np.array([interval(metric, *draw(n), seed=i) for i in range(250)])
    assert 0.88 <= np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])) <= 0.99


def test_the_interval_is_seeded_and_narrows_with_rows():
    rng = np.random.default_rng(0)
    y, value, weight = rng.normal(size=10_000), rng.normal(size=10_000), rng.uniform(0.5, 2, 10_000)
    metric = BUILT_IN["mae"]
    low, high = interval(metric, y, value, weight, seed=3)
    assert low < metric.score(y, value, weight) < high
    assert (low, high) == interval(metric, y, value, weight, seed=3)
    small = interval(metric, y[:400], value[:400], weight[:400])
    assert high - low < (small[1] - small[0]) / 2
    wider = interval(metric, y, value, weight, seed=3, level=0.99)
    assert wider[0] < low < high < wider[1]


@pytest.mark.filterwarnings("error")
def test_the_interval_of_too_little_is_not_a_number():
    proba = np.tile([0.4, 0.6], (30, 1))
    assert np.isnan(interval(BUILT_IN["roc_auc"], np.ones(30, int), proba)).all()
    assert np.isnan(interval(BUILT_IN["accuracy"], np.ones(1, int), proba[:1])).all()
    rare = np.zeros(30, int)
    rare[0] = 1
    assert np.isfinite(interval(BUILT_IN["roc_auc"], rare, np.random.default_rng(0).dirichlet([1, 1], 30))).all()


def test_a_block_that_a_scorer_cannot_score_is_left_out():
    y = np.array([0, 1] * 15 + [2])
    proba = np.random.default_rng(0).dirichlet([1, 1, 1], 31)
    metric = resolve("neg_log_loss", "multiclass", BUILT_IN)  # raises where class 2 is absent
    assert np.isfinite(interval(metric, y, proba)).all()


def test_no_interval_reaches_past_a_perfect_prediction():
    y = np.arange(40) % 2
    almost = np.where(y == 1, 0.9, 0.1) + np.where(np.arange(40) == 0, 0.85, 0.0)
    for name, best in (("roc_auc", 1.0), ("accuracy", 1.0), ("log_loss", 0.0)):
        metric = resolve(name, "binary", BUILT_IN)
        low, high = interval(metric, y, np.column_stack([1 - almost, almost]))
        assert low < high
        assert high <= best if metric.maximize else low >= best
