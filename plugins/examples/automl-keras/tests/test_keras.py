"""The network learns, stops in time, weighs rows, answers the same for a seed, and comes back from arrays and JSON."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from automl import AutoML
from automl_keras.network import KerasClassifier, KerasRegressor


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    return train_test_split(X, y, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def fitted(wine):
    X, X_new, y, y_new = wine
    return KerasClassifier(epochs=40, random_state=1).fit(X, y, validation=(X_new, y_new))


def test_classes(wine, fitted):
    _, X_new, _, y_new = wine
    proba = fitted.predict_proba(X_new)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert fitted.score(X_new, y_new) > 0.95
    np.testing.assert_allclose(fitted.predict_proba(X_new[::-1])[::-1], proba, atol=1e-6)


def test_numbers():
    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    X, X_new, y, y_new = train_test_split(X, y, random_state=0)
    model = KerasRegressor(width=32, epochs=40).fit(X, y, validation=(X_new, y_new))
    assert model.score(X_new, y_new) > 0.3
    assert y.min() <= model.predict(100 * X_new).min()
    assert model.predict(100 * X_new).max() <= y.max()


def test_validation_rows_stop_it_and_the_best_epoch_is_kept(wine):
    X, X_new, y, y_new = wine
    model = KerasClassifier(epochs=500, patience=2, learning_rate=0.01).fit(X, y, validation=(X_new, (y_new + 1) % 3))
    assert model.n_epochs_ < 20, "labels that contradict the training rows get worse from the start"
    assert model.score(X_new, y_new) < KerasClassifier(epochs=20).fit(X, y).score(X_new, y_new)


def test_a_class_that_only_validates_is_passed_over(wine):
    X, X_new, y, y_new = wine
    model = KerasClassifier(epochs=2).fit(X[y < 2], y[y < 2], validation=(X_new, y_new))
    assert model.predict_proba(X_new).shape == (len(X_new), 2)


def test_the_deadline_is_kept(wine, fitted):
    X, _, y, _ = wine
    start = time.perf_counter()
    model = KerasClassifier(epochs=100_000).fit(X, y, deadline=1.0)
    assert time.perf_counter() - start < 3.0
    assert 1 < model.n_epochs_ < 100_000


def test_weights_change_the_fit_and_their_scale_does_not(wine):
    X, X_new, y, y_new = wine
    wrong = np.arange(len(y)) % 2 == 0
    spoiled = np.where(wrong, (y + 1) % 3, y)
    model = KerasClassifier(epochs=30).fit(X, spoiled, sample_weight=np.where(wrong, 0.0, 1.0))
    assert model.score(X_new, y_new) > 0.9
    assert KerasClassifier(epochs=30).fit(X, spoiled).score(X_new, y_new) < 0.9
    again = KerasClassifier(epochs=30).fit(X, spoiled, sample_weight=np.where(wrong, 0.0, 4.0))
    np.testing.assert_allclose(again.predict_proba(X_new), model.predict_proba(X_new), atol=1e-3)


def test_a_seed_decides_and_no_global_generator_is_touched(wine):
    X, X_new, y, _ = wine
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    first = KerasClassifier(epochs=5, random_state=7).fit(X, y).predict_proba(X_new)
    assert np.random.random() == expected
    assert (KerasClassifier(epochs=5, random_state=7).fit(X, y).predict_proba(X_new) == first).all()
    assert (KerasClassifier(epochs=5, random_state=8).fit(X, y).predict_proba(X_new) != first).any()


def test_one_class_is_refused(wine):
    with pytest.raises(ValueError, match="only one class"):
        KerasClassifier().fit(wine[0], np.zeros(len(wine[0]), int))


def test_a_fresh_process_predicts_the_same_bits_and_leaves_no_trace(wine, fitted, tmp_path):
    fitted.save(tmp_path / "model")
    assert {file.name for file in (tmp_path / "model").iterdir()} == {"keras.json", "keras.npz"}
    np.save(tmp_path / "X.npy", wine[1])
    code = (
        "import numpy as np; from pathlib import Path; from automl_keras.network import KerasClassifier;"
        "np.save('proba.npy', KerasClassifier.load(Path('model')).predict_proba(np.load('X.npy')))"
    )
    (tmp_path / "home").mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_HOME"}
    environment["HOME"] = str(tmp_path / "home")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert (np.load(tmp_path / "proba.npy") == fitted.predict_proba(wine[1])).all()
    assert not (tmp_path / "home" / ".keras").exists()


def test_the_plugin_imports_no_keras_until_a_trial_needs_it():
    code = (
        "import sys, automl_keras; list(automl_keras.automl_families()); assert not {'keras', 'torch'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_learns_in_a_run_of_workers(tmp_path):
    model = AutoML(
        families=["keras"], time_budget=60, output_dir=tmp_path / "run", overrides=["budget.trials=2", "split=holdout"]
    )
    model.fit("sklearn:wine", target="target")
    assert model.score_ < 0.2  # log loss, out of fold
