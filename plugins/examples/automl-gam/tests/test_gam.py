"""Additive curves: they bend where the data does, weigh rows, keep what they learned, and race in a run."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge

from automl import AutoML
from automl_gam.gam import GAMClassifier, GAMRegressor


@pytest.fixture
def waves():
    """A target of a wave, a line and a 0/1 column, with little noise: X, y of 600 rows, then of 600 others."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(-3, 3, 1200), rng.normal(size=1200), rng.integers(0, 2, 1200)]).astype(np.float32)
    y = np.sin(2 * X[:, 0]) + 0.5 * X[:, 1] + X[:, 2] + rng.normal(0, 0.1, 1200)
    return X[:600], y[:600], X[600:], y[600:]


def test_a_curve_bends_where_a_line_cannot(waves):
    X, y, X_new, y_new = waves
    assert Ridge().fit(X, y).score(X_new, y_new) < 0.6
    assert GAMRegressor(smooth=0.1).fit(X, y).score(X_new, y_new) > 0.96
    assert GAMRegressor(smooth=1e9).fit(X, y).score(X_new, y_new) < 0.6, "with all bends penalised it is a line"


def test_classes_two_and_more(waves):
    X, y, X_new, y_new = waves
    labels = np.array(["low", "high"])[(y > 0.5).astype(int)]
    model = GAMClassifier().fit(X, labels)
    truth = np.array(["low", "high"])[(y_new > 0.5).astype(int)]
    assert model.score(X_new, truth) > LogisticRegression().fit(X, labels).score(X_new, truth) + 0.1
    digits, numbers = load_digits(return_X_y=True)
    proba = GAMClassifier(knots=4).fit(digits[:600], numbers[:600]).predict_proba(digits[600:1000])
    assert proba.shape == (400, 10)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (proba.argmax(axis=1) == numbers[600:1000]).mean() > 0.85


def test_weights_change_the_fit_and_their_scale_does_not(waves):
    X, y, X_new, y_new = waves
    wrong = np.arange(len(X)) % 2 == 0
    spoiled = np.where(wrong, -y, y)
    assert GAMRegressor().fit(X, spoiled).score(X_new, y_new) < 0.1
    right = GAMRegressor().fit(X, spoiled, sample_weight=np.where(wrong, 0.0, 1.0))
    assert right.score(X_new, y_new) > 0.9
    again = GAMRegressor().fit(X, spoiled, sample_weight=np.where(wrong, 0.0, 10.0))
    np.testing.assert_allclose(again.predict(X_new), right.predict(X_new), atol=1e-9)


@pytest.mark.parametrize("column", [np.zeros(50), np.r_[np.zeros(48), 1, 2], np.linspace(-1e6, 1e6, 50)])
def test_columns_that_are_flat_rare_or_wide(column):
    X = np.column_stack([column, np.arange(50) % 2]).astype(np.float32)
    y = np.arange(50) % 2 + 0.0
    model = GAMRegressor().fit(X, y)
    far = model.predict(np.array([[1e9, 0], [-1e9, 1]], np.float32))
    assert np.isfinite(model.predict(X)).all()
    assert ((far >= 0) & (far <= 1)).all(), "predictions keep to the range of the target"


def test_only_flags_make_no_curve():
    X = np.array([[0, 1], [1, 0], [1, 1], [0, 0]] * 10, np.float32)
    assert GAMClassifier().fit(X, X[:, 0].astype(int)).predict(X).tolist() == X[:, 0].tolist()


def test_it_predicts_the_same_bits_in_a_process_that_has_not_seen_the_training(waves, tmp_path):
    X, y, X_new, _ = waves
    model = GAMClassifier().fit(X, (y > 0).astype(int))
    model.save(tmp_path / "model")
    np.save(tmp_path / "X.npy", X_new)
    code = (
        "import numpy as np; from pathlib import Path; from automl_gam.gam import GAMClassifier;"
        "np.save('proba.npy', GAMClassifier.load(Path('model')).predict_proba(np.load('X.npy')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (np.load(tmp_path / "proba.npy") == model.predict_proba(X_new)).all()
    assert not list(tmp_path.rglob("*.pkl"))


def test_it_learns_in_a_run(tmp_path):
    model = AutoML(
        families=["gam"],
        time_budget=60,
        output_dir=tmp_path / "run",
        overrides=["budget.trials=3", "executor=inprocess"],
    )
    model.fit("sklearn:breast_cancer", target="target")
    assert model.score_ > 0.98  # area under the ROC curve, out of fold
