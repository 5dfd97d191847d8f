"""The end of a run: what `predictor=fast`, constraints and calibration leave behind, and what is told of it."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

from automl import load
from automl.compose import compose
from automl.data.problem import Problem
from automl.errors import ConfigError
from automl.execute.trial import REFIT, evaluate
from automl.family import CAPABILITIES, predict
from automl.fit import fit
from automl.keep import _shortlist
from automl.metrics import automl_metrics
from automl.plan import plan
from automl.refit import refit, refit_seconds
from automl.run import Run, Trial
from automl.serving import row_seconds

SMALL = ["executor=inprocess", "run.progress=quiet", "split=kfold", "split.folds=3", "search.prune=0", "seed=1"]
SMALL += ["family.lightgbm.params.n_estimators=60"]
(RMSE,) = (metric for metric in automl_metrics() if metric.name == "rmse")


def rare(n=1500, seed=0):
    """One row in eight is a yes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    yes = X[:, 0] + 0.7 * X[:, 1] * X[:, 2] + rng.normal(size=n) > 2
    return pd.DataFrame(X, columns=list("abcd")).assign(
        colour=rng.choice(["red", "blue"], n), won=np.where(yes, "yes", "no")
    )


def curve(n=400, seed=0):
    """A line and a step, so that a linear model and trees have something to give each other."""
    X = np.random.default_rng(seed).normal(size=(n, 4))
    y = 2 * X[:, 0] + X[:, 1] + 3 * (X[:, 2] > 0) + np.random.default_rng(seed + 1).normal(size=n)
    return pl.DataFrame(X, schema=list("abcd")).with_columns(y=y)


def run_of(folder, table, *said):
    return fit(compose([*SMALL, f"run.dir={folder}", *said]), table)


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "fast"
    said = ("target=y", "families=[lightgbm,ridge]", "budget.trials=4", "predictor=fast")
    return run_of(folder, curve(), *said)


# Stacking


def test_a_predictor_answers_by_the_stack_that_was_learned(tmp_path, monkeypatch):
    monkeypatch.setattr("automl.search.stack.proven", lambda *given: 1.0)
    said = ("target=won", "families=[lightgbm,svm,extra_trees]", "metric=log_loss", "budget.trials=4")
    run = run_of(tmp_path / "run", rare(), *said, "search.stack=true")
    predictor, later = load(run.folder), rare(seed=5)
    powers = predictor.answer.powers
    assert len(powers) > 1
    assert [note for note in run.notes if note.startswith("the members are stacked")]
    trials = [trial for trial in run.trials if trial.weight > 0]
    assert [trial.weight for trial in trials] == pytest.approx([power / sum(powers) for power in powers])
    table, _ = predictor.schema.apply(pl.from_pandas(later.drop(columns="won")))
    logs = 0.0
    for trial, power in zip(trials, powers, strict=True):
        each = [m for m in predictor.members if m.trial == trial.name]
        views = {name: view.transform(table) for name, view in predictor._views.items()}
        mean = np.mean([predict(m.estimator, views[m.view], 2) for m in each], axis=0)
        logs = logs + power * np.log(np.maximum(mean, 1e-4))
    expected = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    answer = dataclasses.replace(predictor.answer, powers=()).probabilities(expected)
    np.testing.assert_allclose(predictor.predict_proba(later), answer, rtol=1e-9)
    plain = run_of(tmp_path / "plain", rare(), *said)
    assert load(plain.folder).answer.powers == ()


# Refits


def test_each_member_of_a_fast_predictor_is_one_model_of_all_rows(fast):
    predictor = load(fast.folder)
    names = {member.name for member in predictor.members}
    assert names == {f"{trial.name}-all" for trial in fast.trials if trial.weight > 0}
    assert 1 <= len(names) <= 3
    assert sum(member.weight for member in predictor.members) == pytest.approx(1)
    assert {member.view.rpartition("-")[2] for member in predictor.members} == {"all"}
    fresh = curve(seed=5)
    assert predictor.evaluate(fresh)["rmse"] < 1.5
    assert predictor.evaluate(fresh)["rmse"] < 0.6 * np.std(fresh["y"].to_numpy())


def test_the_loss_against_the_full_ensemble_is_told(fast):
    (note,) = (note for note in fast.notes if note.startswith("predictor:"))
    members = sum(trial.weight > 0 for trial in fast.trials)
    assert f"{members} member" in note
    assert "refitted on all rows" in note
    assert f"out-of-fold rmse {fast.score:.5g} against" in note
    full = float(note.split("against ")[1].split()[0])
    assert full <= fast.score + 1e-4
    assert "ms a row" in note


def test_a_full_predictor_has_a_model_for_each_fold_and_no_note(tmp_path):
    run = run_of(tmp_path / "run", curve(), "target=y", "families=[ridge]", "budget.trials=1")
    assert {member.name[-2:] for member in load(run.folder).members} == {"-0", "-1", "-2"}
    assert not [note for note in run.notes if note.startswith("predictor:")]


def test_an_ensemble_is_chosen_among_the_best_of_all_and_of_every_family():
    trials = [Trial(i, "many" if i < 90 else "few", {}, "search", score=float(i)) for i in range(100)]
    chosen = [trial.number for trial in _shortlist(trials, RMSE)]
    assert chosen == [*range(40), *range(90, 100)]
    assert _shortlist(trials[:50], RMSE) == trials[:50]


def problem_of(folder, table, *said):
    planned = plan(compose([*SMALL, *said]), table)
    parts = (planned.table, planned.y, planned.weight, planned.split, planned.task, planned.schema)
    return planned, Problem.write(folder, *parts, (None, (), True))


def job_of(number, family, params, fold, deadline=60.0):
    same = {"trial": number, "rows": None, "seed": 1, "threads": 1, "deadline": deadline}
    return {"id": f"{number}-{fold}", "family": family, "params": params, "fold": fold, **same}


def test_a_job_without_a_fold_learns_from_all_rows_with_what_the_folds_recommend(tmp_path):
    table = curve()
    _, problem = problem_of(tmp_path / "work", table, "target=y", "families=[lightgbm]")
    rounds = []
    for fold in range(3):
        assert evaluate(job_of(1, "lightgbm", {"n_estimators": 400}, fold), problem)["status"] == "ok"
        said = json.loads((problem.trial_folder(1, fold) / REFIT).read_text())
        rounds.append(said["n_estimators"])
    assert all(1 <= n < 400 for n in rounds)
    mean = round(sum(rounds) / 3)
    outcome = evaluate(job_of(1, "lightgbm", {"n_estimators": mean}, None), problem)
    assert outcome["status"] == "ok", outcome["reason"]
    assert outcome["score"] is None
    assert outcome["row_seconds"] > 0
    assert {path.name for path in problem.trial_folder(1, None).iterdir()} == {"model", REFIT}
    assert json.loads((problem.trial_folder(1, None) / REFIT).read_text()) == {"n_estimators": mean}


def test_a_refit_that_the_deadline_cuts_short_is_none(tmp_path):
    _, problem = problem_of(tmp_path / "work", curve(), "target=y", "families=[lightgbm]")
    outcome = evaluate(job_of(1, "lightgbm", {"n_estimators": 100_000}, None, deadline=0.05), problem)
    assert outcome["status"] == "failed"
    assert re.fullmatch(r"TimeoutError: n_estimators came to \d+ of 100000 before the deadline", outcome["reason"])
    assert not problem.trial_folder(1, None).exists()


def test_what_cannot_be_refitted_in_time_answers_by_its_folds(tmp_path, monkeypatch):
    monkeypatch.setattr("automl.conclude.refit", lambda *_: refit(*_[:3], seconds=0.0))
    run = run_of(tmp_path / "run", curve(), "target=y", "families=[ridge]", "budget.trials=1", "predictor=fast")
    assert {member.name for member in load(run.folder).members} == {"ridge-1-0", "ridge-1-1", "ridge-1-2"}
    assert "ridge-1 was not refitted: its fold models answer (the time was spent)" in run.notes
    assert run.trials[1].models == 3, "and their cost is told"
    assert run.notes[-1].startswith("predictor: 1 member; out-of-fold rmse ")


def test_a_family_that_needs_validation_rows_is_not_refitted(tmp_path, fast):
    planned, problem = problem_of(tmp_path / "work", curve(), "target=y", "families=[lightgbm]", "predictor=fast")
    family = planned.registry.families["lightgbm"]
    assert "refit" in family.can
    assert "refit" in CAPABILITIES
    object.__setattr__(family, "can", family.can - {"refit"})
    try:
        trial = next(trial for trial in fast.trials if trial.family == "lightgbm")
        assert refit(planned, problem, [trial], 10.0) == ({}, {trial.name: "lightgbm needs validation rows"})
        assert refit_seconds(planned, problem, [trial]) == 0
    finally:
        object.__setattr__(family, "can", family.can | {"refit"})


def test_time_for_refits_is_kept_back_only_if_there_are_some(tmp_path, fast):
    trials = [trial for trial in fast.trials if trial.weight > 0]
    planned, problem = problem_of(tmp_path / "one", curve(), "target=y", "families=[lightgbm,ridge]", "predictor=fast")
    assert refit_seconds(planned, problem, trials) > max(trial.fit_seconds / 3 for trial in trials)
    assert refit_seconds(planned, problem, []) == 0
    said = ("target=y", "families=[lightgbm,ridge]", "predictor.refit=none")
    planned, problem = problem_of(tmp_path / "two", curve(), *said)
    assert refit_seconds(planned, problem, trials) == 0


# The limits on costs and members


def test_members_and_latency_limit_the_ensemble(tmp_path):
    said = ("target=y", "families=[lightgbm,ridge]", "budget.trials=4", "search.order=priority")
    table = curve()
    free = run_of(tmp_path / "free", table, *said)
    assert sum(trial.weight > 0 for trial in free.trials) > 1
    one = run_of(tmp_path / "one", table, *said, "predictor.members=1")
    assert sum(trial.weight > 0 for trial in one.trials) == 1
    assert f"out-of-fold rmse {one.score:.5g} against {free.score:.5g} of the full ensemble" in one.notes[-1]
    none = run_of(tmp_path / "none", table, *said, "budget.latency=0.001ms")
    (member,) = (trial for trial in none.trials if trial.weight > 0)
    costs = {trial.number: trial.costs["latency_ms"] for trial in none.trials if trial.origin != "baseline"}
    assert costs[member.number] == min(costs.values())
    assert all(trial.reason.startswith("latency_ms ") for trial in none.trials[1:])
    missed, cost = none.notes[-2:]
    assert missed == f"no trial keeps latency_ms<=0.001: {member.name}, the nearest to it, answers ({member.reason})"
    assert re.search(r" ms a row, \S+ MB; latency_ms \S+ is above 0\.001 by \S+$", cost)
    wide = run_of(tmp_path / "wide", table, *said, "budget.latency=10s")
    assert wide.score == free.score
    assert "is above" not in wide.notes[-1]


def test_trials_that_break_a_bound_are_no_members_and_the_members_keep_it_together(tmp_path):
    said = ("target=y", "families=[lightgbm,ridge,extra_trees]", "budget.trials=5", "search.order=priority")
    said += ("family.extra_trees.params.n_estimators=20",)
    free = run_of(tmp_path / "free", curve(), *said)
    sizes = {trial.name: trial.costs["size_mb"] for trial in free.trials if trial.weight > 0}
    assert len(sizes) > 1
    bound = max(sizes.values()) + 0.4 * (sum(sizes.values()) - max(sizes.values()))  # each keeps it, all do not
    run = run_of(tmp_path / "run", curve(), *said, f"constraint.size_mb<={bound}")
    members = [trial for trial in run.trials if trial.weight > 0]
    files = [file for file in (run.folder / "model" / "members").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 1e6 * bound
    assert sum(trial.costs["size_mb"] for trial in members) == pytest.approx(
        sum(file.stat().st_size for file in files) / 1e6
    )
    small = run_of(tmp_path / "small", curve(), *said, "constraint.size_mb<=0.05")
    reasons = {trial.family: trial.reason for trial in small.trials[1:]}
    assert reasons["ridge"] == ""
    assert reasons["extra_trees"].startswith("size_mb ")
    assert {trial.family for trial in small.trials if trial.weight > 0} == {"ridge"}
    assert {trial.status for trial in small.trials} == {"ok"}
    assert not [note for note in small.notes if "no trial keeps" in note]
    assert Run.open(small.folder).facts["bounds"] == "size_mb<=0.05"


def test_fit_seconds_bound_a_trial_and_the_nearest_answers_where_none_keeps_them(tmp_path):
    said = ("target=y", "families=[lightgbm,ridge]", "budget.trials=3")
    run = run_of(tmp_path / "run", curve(), *said, "constraint.fit_seconds<=1e-7")
    quickest = min(run.trials[1:], key=lambda trial: trial.fit_seconds)
    assert [trial for trial in run.trials if trial.weight > 0] == [quickest]
    assert run.notes[-1].startswith(f"no trial keeps fit_seconds<=1e-07: {quickest.name}, the nearest to it, answers")


def test_a_predictor_that_is_refitted_is_bound_by_the_one_model_of_each_trial(tmp_path):
    run = run_of(tmp_path / "run", curve(), "target=y", "families=[extra_trees]", "budget.trials=1", "predictor=fast")
    trial = run.trials[1]
    assert trial.models == 1
    assert trial.costs["size_mb"] == pytest.approx(trial.size / 3e6)
    assert trial.costs["latency_ms"] == pytest.approx(1000 * trial.row_seconds)


def test_a_fold_costs_a_model_and_a_refit_costs_one(tmp_path, fast):
    trials = [trial for trial in fast.trials if trial.weight > 0]
    planned, problem = problem_of(tmp_path / "work", curve(), "target=y", "families=[lightgbm,ridge]", "predictor=fast")
    for trial in trials:
        problem.view(planned.registry.families[trial.family].eats, 0)
    assert {trial.models for trial in trials} == {1}
    single, besides = row_seconds(planned, problem, trials)
    folds, more = row_seconds(planned, problem, [dataclasses.replace(trial, models=3) for trial in trials])
    assert folds == pytest.approx([3 * cost for cost in single])
    assert besides > 0
    assert more > 0


def test_a_latency_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"budget\.latency=soon: not a duration"):
        compose(["budget.latency=soon"])
    assert compose(["budget.latency=1ms"]).bounds == {"latency_ms": 1.0}
    assert compose([]).bounds == {}


# The answer


def test_a_threshold_is_kept_with_the_predictor_and_its_score_is_honest(tmp_path):
    said = ("target=won", "metric=f1", "families=[lightgbm]", "budget.trials=1")
    run = run_of(tmp_path / "run", rare(), *said)
    predictor = load(run.folder)
    threshold, _ = predictor.answer.weights
    assert threshold < 0.5
    fresh = rare(seed=9)
    labels, proba = predictor.predict(fresh), predictor.predict_proba(fresh)
    np.testing.assert_array_equal(labels == "yes", proba[:, 1] > threshold)
    assert predictor.table(fresh)["prediction"].to_list() == labels.tolist()
    metric = next(metric for metric in automl_metrics() if metric.name == "f1")
    truth = (fresh["won"] == "yes").to_numpy().astype(int)
    scores = predictor.evaluate(fresh, ["log_loss"])
    assert scores["f1"] == pytest.approx(metric.score(truth, np.eye(2)[(labels == "yes").astype(int)]))
    assert scores["f1"] > metric.score(truth, proba)
    assert run.low < scores["f1"] < run.high
    assert f"a row is yes from a probability of {threshold:.3g} on: f1 {run.score:.5g}, without" in run.notes[-1]
