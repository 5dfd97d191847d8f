"""The forests: sensible on real data, in time, and stored as numbers that are checked."""

import itertools
import json
import time

import numpy as np
import pytest
from conftest import answer, check_travels, spec_of
from sklearn import ensemble
from sklearn.base import clone
from sklearn.metrics import r2_score, roc_auc_score

import automl_forest
from automl_forest.trees import Trees

FAMILIES = {family.name: family for family in automl_forest.automl_families()}
KINDS = ["binary", "multiclass", "regression"]
each = pytest.mark.parametrize("name", FAMILIES)


def build(name, kind, **params):
    params = {"n_estimators": 40, **params}
    return FAMILIES[name].build(kind, params, task=kind, metric="mae", random_state=3, n_jobs=2)


@each
@pytest.mark.parametrize("kind", KINDS)
def test_every_candidate_learns(name, kind, tables):
    X, X_test, y, y_test = tables[kind]
    for params in spec_of(automl_forest, FAMILIES[name]).candidates:
        model = clone(build(name, kind, **{**params, "n_estimators": 40})).fit(X, y)
        if kind == "regression":
            assert r2_score(y_test, model.predict(X_test)) > 0.15, params
        else:
            shares = model.predict_proba(X_test)
            shares = shares[:, 1] if kind == "binary" else shares
            assert roc_auc_score(y_test, shares, multi_class="ovr") > 0.97, params


def test_saved_forests_answer_the_same_bits_elsewhere_and_leave_nothing_else(tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = []
    for name, kind in itertools.product(FAMILIES, KINDS):
        X, X_test, y, _ = tables[kind]
        X, X_test = X.copy(), X_test.copy()
        X[::7, 1] = np.nan
        X_test[::3, :3] = np.nan
        X_test[0] = 1e6
        model = build(name, kind).fit(X, y)
        assert np.isfinite(answer(model, X_test)).all()
        assert (answer(model, X_test[:1]) == answer(model, X_test)[:1]).all()
        models.append((model, X_test))
    assert not list(tmp_path.iterdir())
    check_travels(tmp_path, *models)


@each
def test_same_seed_same_forest_with_or_without_a_deadline(name, tables):
    X, X_test, y, _ = tables["binary"]
    at_once = build(name, "binary").fit(X, y)
    in_batches = build(name, "binary").fit(X, y, deadline=60)
    assert in_batches.n_estimators_ == 40
    assert (answer(at_once, X_test) == answer(in_batches, X_test)).all()
    other = build(name, "binary").set_params(random_state=4).fit(X, y)
    assert (answer(at_once, X_test) != answer(other, X_test)).any()


@each
def test_weights_change_the_fit(name, tables):
    X, _, y, _ = tables["regression"]
    heavy = build(name, "regression", min_samples_leaf=20).fit(X, y, sample_weight=np.where(y > np.median(y), 5.0, 1.0))
    assert heavy.predict(X).mean() > build(name, "regression", min_samples_leaf=20).fit(X, y).predict(X).mean() + 5


@each
def test_the_deadline_is_kept_and_what_has_grown_predicts(name):
    X = np.random.default_rng(0).normal(size=(20_000, 30)).astype(np.float32)
    start = time.perf_counter()
    model = build(name, "regression", n_estimators=100_000, max_features=0.1).fit(X, X[:, 0] * X[:, 1], deadline=0.5)
    assert time.perf_counter() - start < 10
    assert 1 <= model.n_estimators_ < 100_000
    assert model.n_estimators == 100_000


@each
def test_classes_with_gaps_and_labels_of_any_type(name, tables, tmp_path):
    X, X_test, y, _ = tables["multiclass"]
    some = y != 4
    assert build(name, "multiclass").fit(X[some], y[some]).predict_proba(X_test).shape == (len(X_test), 9)
    words = build(name, "binary").fit(X, np.where(y > 4, "high", "low"))
    words.save(tmp_path)
    assert set(type(words).load(tmp_path).predict(X_test)) == {"high", "low"}


@pytest.mark.parametrize("array", ["left", "right", "feature", "leaves"])
def test_a_damaged_tree_is_refused(array, tables, tmp_path):
    X, _, y, _ = tables["binary"]
    build("extra_trees", "binary", n_estimators=2).fit(X, y).save(tmp_path)
    with np.load(tmp_path / "trees.npz") as file:
        arrays = dict(file)
    arrays[array] = arrays[array].astype(np.int64)
    arrays[array][0] = 10**6
    np.savez(tmp_path / "trees.npz", **arrays)
    with pytest.raises(ValueError, match="damaged tree"):
        FAMILIES["extra_trees"].load("binary").load(tmp_path)


def test_leaves_that_answer_alike_share_their_answer(tables):
    X, _, y, _ = tables["multiclass"]
    forest = build("extra_trees", "multiclass", n_estimators=20).fit(X, y)
    answers, leaves = forest.trees_.answers, int((forest.trees_.whole.children_left == -1).sum())
    assert answers.shape[1] == len(forest.classes_)
    assert len(answers) == len(np.unique(answers, axis=0)) < leaves / 10
    assert forest.trees_.whole.value.shape[1:] == (1, 1), "a place, not a number for each class"


def test_the_stored_file_is_small_and_holds_no_code(tables, tmp_path):
    X, _, y, _ = tables["binary"]
    model = build("random_forest", "binary").fit(X, y)
    model.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["forest.json", "trees.npz"]
    assert json.loads((tmp_path / "forest.json").read_text())["features"] == X.shape[1]
    nodes = model.trees_.counts.sum()
    assert (tmp_path / "trees.npz").stat().st_size < 32 * nodes + 10_000


def test_few_rows_and_many_are_answered_alike(tables):
    for name, kind in itertools.product(FAMILIES, KINDS):
        X, X_test, y, _ = tables[kind]
        for trees in (1, 2, 37):
            model = build(name, kind, n_estimators=trees).fit(X, y)
            many = np.tile(X_test, (1 + 30_000 // (trees * len(X_test)), 1))
            wanted = answer(model, many)[: len(X_test)]
            alone = np.concatenate([answer(model, X_test[i : i + 1]) for i in range(len(X_test))])
            assert (alone == wanted).all(), (name, kind, trees)


def test_joined_trees_answer_as_scikit_learn_does(tables):
    for kind, own in (("multiclass", ensemble.ExtraTreesClassifier), ("regression", ensemble.RandomForestRegressor)):
        X, X_test, y, _ = tables[kind]
        forest = own(25, random_state=0).fit(X, y)
        shares = kind == "multiclass"
        wanted = forest.predict_proba(X_test) if shares else forest.predict(X_test)[:, None]
        joined = Trees.join([tree.tree_ for tree in forest.estimators_])
        assert len(joined) == 25
        np.testing.assert_allclose(joined.sums(X_test) / 25, wanted, rtol=1e-12)
