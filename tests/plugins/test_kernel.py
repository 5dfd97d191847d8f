"""Support vectors and neighbours: probabilities that can be believed, values within those seen, nothing pickled."""

import threading

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.svm import SVC, SVR

from automl.artifact import load_model, save_model
from automl.family import FACTS
from automl.plugins import installed
from automl_kernel.neighbors import NeighborsClassifier
from automl_kernel.svm import Machines, SVMClassifier, SVMRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 4)).astype(np.float32)
RING = ((X[:, 0] ** 2 + X[:, 1] ** 2) > 1.5).astype(int) + (X[:, 2] > 1.2)
BINARY = (RING > 0).astype(int)
VALUES = np.cos(X[:, 0] * 2) * 50 + 500
TRAIN, HELD = slice(0, 300), slice(300, 400)


@pytest.mark.parametrize("y", [BINARY, RING])
def test_held_out_rows_make_the_probabilities_better(y):
    plain = SVMClassifier().fit(X[TRAIN], y[TRAIN])
    told = SVMClassifier().fit(X[TRAIN], y[TRAIN], validation=(X[HELD], y[HELD]))
    losses = [log_loss(y[HELD], model.predict_proba(X[HELD]), labels=model.classes_) for model in (plain, told)]
    assert losses[1] < losses[0]
    assert np.allclose(told.predict_proba(X).sum(axis=1), 1)


@pytest.mark.parametrize("y", [BINARY, RING])
def test_a_refit_has_the_curve_that_held_out_rows_said(y):
    told = SVMClassifier().fit(X[TRAIN], y[TRAIN], validation=(X[HELD], y[HELD]))
    again = SVMClassifier(**told.refit_params()).fit(X[TRAIN], y[TRAIN])
    np.testing.assert_array_equal(again.predict_proba(X), told.predict_proba(X))
    assert SVMRegressor().fit(X, VALUES).refit_params() == {}


def test_a_class_that_only_validation_has_and_perfect_separation_are_survived():
    model = SVMClassifier().fit(X, X[:, 0] > 0, validation=(X, np.where(X[:, 0] > 0, "yes", "no")))
    assert np.isfinite(model.predict_proba(X)).all()
    apart = np.where(X[:, :1] > 0, 10, -10) * np.ones((1, 4), np.float32)
    model = SVMClassifier().fit(apart, X[:, 0] > 0, validation=(apart, X[:, 0] > 0))
    assert np.isfinite(model.predict_proba(apart)).all()


@pytest.mark.parametrize("y", [BINARY, RING, np.arange(400) % 5])
def test_the_machines_say_what_libsvm_says(y):
    fitted = SVC(gamma=0.3, decision_function_shape="ovo").fit(X, y)
    said = Machines.of(fitted, 0.3)(X)
    np.testing.assert_allclose(said, fitted.decision_function(X).reshape(len(X), -1), atol=1e-4)
    wide = SVR(gamma=0.3).fit(X, y)
    np.testing.assert_allclose(Machines.of(wide, 0.3)(X)[:, 0], wide.predict(X), atol=1e-4)


def test_a_machine_without_any_support_vector_answers():
    model = SVMRegressor(epsilon=100.0).fit(X, VALUES)
    assert np.isfinite(model.predict(X)).all()


def test_weights_count():
    heavy = np.where(RING == 2, 50.0, 0.1)
    plain, weighted = (SVMClassifier(C=1.0).fit(X, RING, sample_weight=w).predict(X) for w in (None, heavy))
    assert (weighted == 2).sum() > (plain == 2).sum()


def test_regression_is_on_a_standard_scale_and_within_the_values_seen():
    model = SVMRegressor().fit(X[TRAIN], VALUES[TRAIN])
    assert model.score(X[HELD], VALUES[HELD]) > 0.8
    again = SVMRegressor().fit(X[TRAIN], VALUES[TRAIN] * 1000)
    assert np.allclose(again.predict(X), model.predict(X) * 1000, rtol=1e-3)
    assert model.predict(X * 50).max() <= VALUES[TRAIN].max()


def test_no_neighbour_makes_a_class_impossible():
    shares = NeighborsClassifier(n_neighbors=3).fit(X, RING).predict_proba(X)
    assert (shares > 0).all()
    assert np.allclose(shares.sum(axis=1), 1)


@pytest.mark.parametrize("name", ["svm", "neighbors", "discriminant"])
@pytest.mark.parametrize(("kind", "y"), [("binary", BINARY), ("multiclass", RING), ("regression", VALUES)])
def test_saved_and_loaded_they_predict_the_same_bits(name, kind, y, tmp_path):
    family = installed().family(name)
    if kind not in family.tasks:
        pytest.skip("it classifies only")
    model = family.build(kind, {}, random_state=0).fit(X, y)
    save_model(model, tmp_path)
    again = load_model(family, kind, tmp_path)
    answer = "predict" if kind == "regression" else "predict_proba"
    assert np.array_equal(getattr(model, answer)(X), getattr(again, answer)(X))


def test_they_do_not_race_on_tables_that_they_cannot_carry():
    from automl.compose import compose

    spec = compose().family_spec("svm")
    facts = {**dict.fromkeys(FACTS, 0.0), "rows": 10_000, "columns": 5, "cells": 50_000, "classes": 2}
    assert spec.suited("svm", facts)[1] == ""
    assert "max_rows is 12,000" in spec.suited("svm", {**facts, "rows": 100_000})[1]


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_a_few_rows_start_no_thread(kind, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 4)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int) if kind == "binary" else X[:, 0]
    model = installed().family("neighbors").build(kind, {"n_neighbors": 5, "weights": "distance"}, n_jobs=2).fit(X, y)
    answer = model.predict_proba if kind == "binary" else model.predict
    whole = answer(X)
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("a thread was started"))
    np.testing.assert_allclose(answer(X[:3]), whole[:3], rtol=1e-6)
    assert model.n_jobs == 2
