"""The scikit-learn face: its contract, its inputs, its attributes, and that it is one with the command line."""

import gc
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from automl import AutoML, AutoMLClassifier, AutoMLRegressor, load
from automl.cli import main
from automl.errors import ConfigError, NoModelError, StorageError
from automl.machine import cores
from automl.run import Run

QUICK = ("executor=inprocess", "budget.trials=1", "split=holdout", "search.order=priority")
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row of weight 2 is one row of the split, and a row given twice is two: other rows train and validate"
    )
}


@parametrize_with_checks(
    [AutoMLClassifier(families=["linear"], overrides=QUICK), AutoMLRegressor(families=["linear"], overrides=QUICK)],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def quick(cls=AutoML, *overrides, **params):
    return cls(**{"families": ["linear"], "overrides": (*QUICK, *overrides), **params})


def people(n=120, seed=0):
    """A table with a number, a category and a gap, and the label `income` that depends on them."""
    rng = np.random.default_rng(seed)
    age, job = rng.normal(40, 10, n).round(1), rng.choice(["cook", "nurse", "pilot"], n)
    rich = age / 10 + 2 * (job == "pilot") + rng.normal(0, 0.5, n) > 4.5
    frame = pd.DataFrame({"age": age, "job": job, "hours": rng.integers(10, 60, n)})
    frame.loc[::9, "age"] = np.nan
    return frame.assign(income=np.where(rich, "high", "low"))


X, Y = people().drop(columns="income"), people()["income"]


@pytest.fixture(scope="module")
def fitted():
    return quick(random_state=3).fit(X, Y)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Parameters


def test_constructor_only_stores():
    given = {
        "task": "nonsense",
        "metric": object(),
        "time_budget": "soon",
        "families": 3,
        "n_jobs": 0,
        "random_state": np.random.RandomState(0),
        "output_dir": "/nowhere",
        "config": [],
        "overrides": object(),
    }
    model = AutoML(**given)
    assert vars(model) == given
    assert model.get_params() == given


def test_clone_and_set_params():
    model = quick(AutoMLClassifier, time_budget=9)
    again = clone(model).set_params(time_budget=5, metric="f1")
    assert type(again) is AutoMLClassifier
    assert again.get_params() == {**model.get_params(), "time_budget": 5, "metric": "f1"}
    with pytest.raises(ValueError, match="budget_time"):
        model.set_params(budget_time=1)


def test_one_name_is_a_list_of_one():
    model = AutoML(families="ridge", overrides="budget.trials=1")
    assert model._overrides()[-2:] == ['families=["ridge"]', "budget.trials=1"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"task": "binry"}, "binary"),
        ({"metric": "roc_auk"}, "roc_auc"),
        ({"families": ["liner"]}, "linear"),
        ({"time_budget": -1}, "budget.time"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"random_state": np.random.RandomState(0)}, "whole number"),
        ({"overrides": ["budget.tryals=1"]}, "budget.trials"),
        ({"config": {"bugdet": {"trials": 1}}}, "budget"),
        ({"config": "absent.yaml"}, "absent.yaml"),
    ],
)
def test_wrong_parameters_are_told_at_fit(params, message):
    with pytest.raises(ConfigError, match=message):
        quick(**{"overrides": QUICK, **params}).fit(X, Y)


def test_random_state_repeats_and_changes_a_run(fitted):
    again = quick(random_state=3).fit(X, Y)
    other = quick(random_state=4).fit(X, Y)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert np.abs(other.predict_proba(X) - fitted.predict_proba(X)).max() > 1e-6


def test_n_jobs_are_the_cores_of_all_trials_together(here):
    quick(n_jobs=1, output_dir="one").fit(X, Y)
    quick(n_jobs=-1, output_dir="all").fit(X, Y)
    assert Run.open("one").config.executor.cores == 1
    assert Run.open("all").config.executor.cores == cores()


# scikit-learn's tools


def test_pipeline_gives_what_its_last_step_gives():
    features, y = load_breast_cancer(return_X_y=True)
    features, y = features[:150, :6], y[:150]
    scaled = StandardScaler().fit_transform(features)
    pipe = make_pipeline(StandardScaler(), quick(AutoMLClassifier)).fit(features, y)
    alone = quick(AutoMLClassifier).fit(scaled, y)
    np.testing.assert_allclose(pipe.predict_proba(features), alone.predict_proba(scaled))
    assert pipe.score(features, y) == alone.score(scaled, y) > 0.8


def test_cross_val_score_with_a_scorer_that_needs_probabilities():
    scores = cross_val_score(quick(AutoMLClassifier), X, Y == "high", scoring="roc_auc", cv=3)
    assert (scores > 0.7).all()
    assert (cross_val_score(quick(AutoML), X, Y == "high", scoring="roc_auc", cv=3) > 0.7).all()


def test_grid_search_over_the_time_budget():
    search = GridSearchCV(quick(AutoMLClassifier), {"time_budget": [20, 30], "metric": ["log_loss"]}, cv=2)
    search.fit(X, Y)
    assert search.best_params_["time_budget"] in (20, 30)
    assert set(search.predict(X)) == {"high", "low"}


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (AutoML(), None),
        (AutoML(task="binary"), is_classifier),
        (AutoML(task="regression"), is_regressor),
        (AutoMLClassifier(), is_classifier),
        (AutoMLRegressor(), is_regressor),
    ],
)
def test_kind_is_known_to_scikit_learn_as_far_as_it_is_said(model, kind):
    assert [test for test in (is_classifier, is_regressor) if test(model)] == ([kind] if kind else [])


def test_kind_is_known_once_it_is_fitted(fitted):
    assert is_classifier(fitted)


def test_unfitted_says_so():
    for call in (lambda m: m.predict(X), lambda m: m.predict_proba(X), lambda m: m.score(X, Y), AutoML.leaderboard):
        with pytest.raises(NotFittedError):
            call(AutoML())
    assert not hasattr(AutoML(), "classes_")


# What fit leaves


def test_leaderboard_trials_and_score(fitted):
    board = fitted.leaderboard()
    assert isinstance(board, pd.DataFrame)
    assert list(board.columns) == [
        *("trial", "family", "score", "low", "high", "gain", "fit_seconds", "latency_ms", "size_mb"),
        *("status", "reason", "weight", "origin", "params"),
    ]
    assert len(board) == len(fitted.trials_) == 2
    assert board["trial"][0] == "logistic-1"
    assert board["score"][0] > board["score"][1] == 0.5
    front = fitted.leaderboard(pareto=True)
    assert list(front.columns) == list(board.columns)
    assert front["trial"][0] == "logistic-1"
    assert board["weight"].sum() == pytest.approx(1)
    low, high = fitted.interval_
    assert low < fitted.score_ < high
    assert fitted.failures_ == []
    board["score"] = 0
    assert fitted.leaderboard()["score"][0] > 0.5


def test_a_family_that_fails_is_listed_and_the_run_goes_on(unruly):
    model = AutoMLClassifier(
        families=["unruly", "linear"],
        overrides=["executor=inprocess", "budget.trials=3", "split=holdout", "family.unruly.params.mode=raise"],
    ).fit(X, Y)
    assert [(t.family, t.status, t.reason) for t in model.failures_] == [
        ("unruly", "failed", "ValueError: I will not learn this")
    ]
    assert "failed" in set(model.leaderboard()["status"])
    assert model.score(X, Y) > 0.6


def test_nothing_but_failures_is_an_error_with_the_cause(unruly):
    model = quick(AutoML, "family.unruly.params.mode=raise", families=["unruly"])
    with pytest.raises(NoModelError, match="I will not learn this"):
        model.fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_temporary_run_folder_goes_with_the_object_or_its_predictor():
    model = quick().fit(X, Y)
    folder = model.run_dir_
    assert (folder / "model" / "manifest.json").exists()
    predictor = model.predictor_
    del model
    gc.collect()
    assert folder.exists()
    assert len(predictor.predict(X)) == len(X)
    del predictor
    gc.collect()
    assert not folder.exists()
    assert not folder.parent.exists()


def test_predictor_of_a_passing_object_can_be_saved(tmp_path):
    quick().fit(X, Y).predictor_.save(tmp_path / "kept")
    assert len(load(tmp_path / "kept").predict(X)) == len(X)


def test_output_dir_is_kept_and_never_overwritten(tmp_path):
    model = quick(output_dir=tmp_path / "out").fit(X, Y)
    wanted, folder = model.predict_proba(X), model.run_dir_
    assert folder == tmp_path / "out"
    with pytest.raises(StorageError, match="exists already"):
        quick(output_dir=tmp_path / "out").fit(X, Y)
    with pytest.raises(StorageError, match="exists already"):
        model.fit(X, Y)
    del model
    gc.collect()
    np.testing.assert_array_equal(load(folder).predict_proba(X), wanted)


def test_refit_replaces_everything(tmp_path):
    model = quick().fit(X, Y)
    first = model.run_dir_
    data, y = load_diabetes(return_X_y=True)
    model.fit(data[:100], y[:100])
    assert not first.exists()
    assert not hasattr(model, "feature_names_in_")
    assert not hasattr(model, "classes_")
    assert model.n_features_in_ == 10
    assert is_regressor(model)


def test_pickle_holds_the_predictor(tmp_path, fitted):
    import copy

    model = quick().fit(X, Y)
    wanted, data = model.predict_proba(X), pickle.dumps(model)
    del model
    gc.collect()
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.predict_proba(X), wanted)
    assert again.leaderboard()["trial"][0] == "logistic-1"
    assert again.predictor_.save(tmp_path / "kept").exists()
    held = again.predictor_.folder
    np.testing.assert_array_equal(copy.deepcopy(again).predict_proba(X), wanted)
    del again
    gc.collect()
    assert not held.exists()


def test_interrupt_keeps_what_was_found(install_plugin, tmp_path):
    install_plugin(
        "impatient",
        """
        from automl import hookimpl

        @hookimpl
        def automl_trial_finished(run, trial):
            if trial.number == 1:
                raise KeyboardInterrupt
        """,
    )
    model = AutoML(families=["linear"], output_dir=tmp_path / "out", overrides=("executor=inprocess", "split=holdout"))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert len(model.trials_) == 2
    assert model.score(X, Y) > 0.6
    np.testing.assert_array_equal(load(tmp_path / "out").predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("executor", ["inprocess", "local"])
def test_fit_and_predict_print_nothing(capfd, executor):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = quick(AutoML, f"executor={executor}").fit(X, Y)
        model.predict_proba(X)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("metric", ["neg_median_absolute_error", "pinball@0.9", "mae", "r2"])
def test_metric_by_name_or_scikit_learn_scorer(metric):
    data, y = load_diabetes(return_X_y=True)
    model = quick(AutoMLRegressor, metric=metric).fit(data[:100], y[:100])
    assert model.predictor_.task.metric == metric
    assert np.isfinite(model.score_)
    assert list(model.predictor_.evaluate(pd.DataFrame(data[:100]).add_prefix("x").assign(target=y[:100]))) == [metric]


# One with the command line


def command(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert stopped.value.code == 0


def test_command_line_and_python_give_the_same_predictions(here):
    people().to_csv("train.csv", index=False)
    said = ["families=[logistic,extra_trees]", "budget.trials=4", "split.kind=kfold", "split.folds=2"]
    said += ["family.extra_trees.params.n_estimators=8", "search.portfolio=false"]
    words = ["target=income", "seed=5", "budget=50s", "metric=log_loss", "executor=inprocess", "run.dir=out", "-q"]
    command("fit", "train.csv", *words, *said)
    wanted, trials = load("out"), Run.open("out").trials
    assert {t.origin for t in trials} == {"baseline", "search"}
    for executor in ("inprocess", "local"):
        model = AutoML(metric="log_loss", time_budget=50, random_state=5, overrides=[*said, f"executor={executor}"])
        model.fit("train.csv", "income")
        np.testing.assert_array_equal(model.predict_proba(X), wanted.predict_proba(X))
        assert [(t.name, t.params, t.score, t.weight) for t in model.trials_] == [
            (t.name, t.params, t.score, t.weight) for t in trials
        ]


def test_the_config_of_a_run_repeats_it(here):
    people().to_csv("train.csv", index=False)
    model = quick(metric="log_loss", random_state=5, output_dir="out").fit("train.csv", "income")
    wanted = model.predict_proba(X)
    np.testing.assert_array_equal(AutoML(config="out/config.yaml").fit(None).predict_proba(X), wanted)
    command("fit", "--config", "out/config.yaml", "run.dir=repeated", "-q")
    np.testing.assert_array_equal(load("repeated").predict_proba(X), wanted)
    apart = quick(metric="log_loss", random_state=5, output_dir="apart").fit(X, Y)
    np.testing.assert_array_equal(apart.predict_proba(X), wanted)
    np.testing.assert_array_equal(AutoML(config="apart/config.yaml").fit(X, Y).predict_proba(X), wanted)


def test_config_is_a_file_or_a_mapping_and_parameters_win(here):
    said = {"seed": 5, "metric": "f1", "budget": {"trials": 1, "time": "40s"}, "split": {"kind": "holdout"}}
    said |= {"executor": {"kind": "inprocess"}, "families": ["linear"]}
    Path("mine.yaml").write_text(re.sub(r"'", '"', str(said)))
    for config in (said, Path("mine.yaml")):
        model = AutoML(config=config, metric="accuracy", output_dir=f"out-{type(config).__name__}").fit(X, Y)
        found = Run.open(model.run_dir_).config
        assert (found.seed, found.metric, found.budget.time) == (5, "accuracy", "40s")
    overridden = AutoML(config=said, metric="accuracy", overrides=["metric=log_loss"], output_dir="last").fit(X, Y)
    assert overridden.predictor_.task.metric == "log_loss"


def test_models_are_read_when_there_is_something_to_predict():
    """Reading them takes time, which is not the search's to spend."""
    model = quick().fit(X, Y)
    assert "members" not in vars(model.predictor_)
    model.predict(X[:2])
    assert "members" in vars(model.predictor_)
