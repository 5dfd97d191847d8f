"""The baseline: class shares, and the constant that each metric likes best."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.base import clone

import automl_baseline

(FAMILY,) = automl_baseline.automl_families()

LOSSES = {
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "neg_mean_absolute_error": metrics.mean_absolute_error,
    "mape": metrics.mean_absolute_percentage_error,
    "rmsle": metrics.root_mean_squared_log_error,
    "pinball": lambda y, p, sample_weight: metrics.mean_pinball_loss(y, p, sample_weight=sample_weight, alpha=0.5),
    "pinball@0.9": lambda y, p, sample_weight: metrics.mean_pinball_loss(y, p, sample_weight=sample_weight, alpha=0.9),
}


def test_classes_get_their_weighted_shares():
    model = FAMILY.build("binary", {}, task="binary", metric="roc_auc", random_state=0, n_jobs=1)
    model.fit(np.full((4, 2), np.nan), np.array([0, 1, 1, 1]), sample_weight=[3, 1, 1, 1])
    assert model.predict_proba(np.zeros((2, 2))).tolist() == [[0.5, 0.5]] * 2


@pytest.mark.parametrize("metric", LOSSES)
@settings(max_examples=25)
@given(data=st.data())
def test_no_other_constant_is_better_for_the_metric(metric, data):
    n = data.draw(st.integers(1, 12))
    y = np.array(data.draw(st.lists(st.floats(0, 1e6), min_size=n, max_size=n)))
    weight = np.array(data.draw(st.lists(st.floats(0.1, 10), min_size=n, max_size=n)))
    model = FAMILY.build("regression", {}, metric=metric).fit(np.zeros((n, 1)), y, sample_weight=weight)
    found = LOSSES[metric](y, model.predict(y), sample_weight=weight)
    for other in (*y, y.mean(), model.value_ * 1.01, model.value_ * 0.99):
        assert found <= LOSSES[metric](y, np.full(n, other), sample_weight=weight) * (1 + 1e-6) + 1e-6


def test_a_logarithmic_metric_refuses_targets_without_a_logarithm():
    with pytest.raises(ValueError, match=r"rmsle needs targets above -1; the smallest is -2"):
        FAMILY.build("regression", {}, metric="rmsle").fit(np.zeros((2, 1)), np.array([-2.0, 1.0]))


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_stored_as_a_few_numbers(kind, tmp_path):
    model = clone(FAMILY.build(kind, {}, metric="mae")).fit(np.zeros((3, 1)), np.array([0, 1, 1]), [0.1, 0.2, 0.3])
    model.save(tmp_path)
    again = type(model).load(tmp_path)
    assert again.get_params() == model.get_params()
    answer = "predict_proba" if kind == "binary" else "predict"
    assert np.array_equal(getattr(again, answer)(np.zeros((2, 1))), getattr(model, answer)(np.zeros((2, 1))))
    assert np.array_equal(again.predict(np.zeros((2, 1))), [1, 1])
