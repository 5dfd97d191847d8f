"""Growth: a model of all rows joins those of the folds where more rows help, and only there."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from automl import load
from automl.compose import compose
from automl.data.problem import Problem
from automl.execute.trial import evaluate
from automl.fit import fit
from automl.growth import _whole, growth
from automl.plan import plan
from automl.refit import joiners, refit_seconds
from automl.run import Run, Trial
from automl.screen import Screen
from automl.serving import row_seconds

SMALL = ["executor=inprocess", "run.progress=quiet", "split=kfold", "split.folds=5", "search.prune=0", "seed=1"]
SMALL += ["target=y", "family.lightgbm.params.n_estimators=60"]


def waves(n=240, seed=0):
    """All that keeps a neighbour from the truth is how far away it is."""
    X = np.random.default_rng(seed).uniform(size=(n, 2))
    return pl.DataFrame(X, schema=["a", "b"]).with_columns(y=np.sin(5 * X[:, 0]) * np.cos(5 * X[:, 1]))


def noise(n=600, seed=0):
    """A line that few rows tell, and noise that none does."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    return pl.DataFrame(X, schema=["a", "b"]).with_columns(y=X[:, 0] + 3 * rng.normal(size=n))


def run_of(folder, table, *said):
    return fit(compose([*SMALL, f"run.dir={folder}", *said]), table)


def grown(run):
    """What the run has measured, if it has."""
    events = map(json.loads, (run.folder / "log.jsonl").read_text().splitlines())
    return [event["gain"] for event in events if event["event"] == "growth"]


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    said = ("families=[extra_trees]", "budget.trials=2", "family.extra_trees.params.n_estimators=20")
    return run_of(tmp_path_factory.mktemp("runs") / "joined", waves(), *said), said


def test_where_more_rows_help_a_model_of_all_rows_joins_each_bag(joined):
    run, _ = joined
    (gain,) = grown(run)
    assert gain > 0.05
    members = load(run.folder).members
    assert sum(member.weight for member in members) == pytest.approx(1)
    trials = [trial for trial in run.trials if trial.weight > 0]
    for trial in trials:
        weights = {member.name.rpartition("-")[2]: member.weight for member in members if member.trial == trial.name}
        assert weights == pytest.approx(
            {"all": trial.weight * 0.75, **dict.fromkeys("01234", trial.weight * 0.05)}, rel=1e-6
        )
    assert {trial.models for trial in trials} == {6}, "what a row costs is said of all that answer"
    assert run.notes == []
    assert Run.open(run.folder).facts["refits"] == (
        f"a model of all rows joins the fold models of {len(trials)} of {len(trials)} members: "
        f"with 1.25 times the rows their loss was {gain:.1%} lower (out of fold)"
    )


def test_and_the_predictor_is_better_by_it(joined, tmp_path):
    run, said = joined
    plain = run_of(tmp_path / "plain", waves(), *said, "predictor.refit=none")
    assert grown(plain) == []
    assert {member.name.rpartition("-")[2] for member in load(plain.folder).members} == set("01234")
    assert [trial.weight for trial in plain.trials] == [trial.weight for trial in run.trials]
    fresh = waves(seed=9)
    assert load(run.folder).evaluate(fresh)["rmse"] < 0.98 * load(plain.folder).evaluate(fresh)["rmse"]


def test_of_three_folds_it_answers_alone(tmp_path):
    run = run_of(tmp_path / "run", waves(), "families=[neighbors]", "budget.trials=2", "split.folds=3")
    members = load(run.folder).members
    assert {member.name for member in members} == {f"{trial.name}-all" for trial in run.trials if trial.weight > 0}
    assert sum(member.weight for member in members) == pytest.approx(1)
    assert {trial.models for trial in run.trials if trial.weight > 0} == {1}
    assert run.facts["refits"].startswith("a model of all rows takes the place of the fold models of ")


def test_where_folds_are_repeated_it_joins_those_of_the_first_time(tmp_path):
    """Of 318 rows of auto_mpg, each trial had sixteen models."""
    said = ("families=[extra_trees]", "budget.trials=1", "family.extra_trees.params.n_estimators=20")
    run = run_of(tmp_path / "run", waves(), *said, "split=repeated", "split.repeats=2")
    assert len(run.trials[1].folds) == 10
    weights = {member.name.rpartition("-")[2]: member.weight for member in load(run.folder).members}
    assert weights == pytest.approx({"all": 0.75, **dict.fromkeys("01234", 0.05)})
    assert run.trials[1].models == 6


def test_the_cost_of_few_members_is_that_of_all_their_models(joined, tmp_path, monkeypatch):
    """A bag with a model of all rows beside it was told as that model alone."""
    told = []
    monkeypatch.setattr("automl.conclude.row_seconds", lambda *given: told.append(row_seconds(*given)) or told[-1])
    _, said = joined
    run = run_of(tmp_path / "run", waves(), *said, "predictor.members=1")
    (trial,) = (trial for trial in run.trials if trial.weight > 0)
    assert len(load(run.folder).members) == trial.models == 6
    (((cost,), besides),) = told
    assert cost == 6 * trial.row_seconds
    assert run.notes[-1].startswith("predictor: 1 member joined by a model of all rows; ")
    assert f"; about {1000 * (cost + besides):.2g} ms a row, " in run.notes[-1]


def test_the_command_line_tells_of_it(joined, capsys):
    run, _ = joined
    screen = Screen(compose([*SMALL, "run.progress=lines"]))
    screen.automl_run_started(replace(run, facts={"task": "regression"}))
    screen.automl_run_finished(run)
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count(" ".join(run.facts["refits"].split())) == 1


def test_where_they_do_not_help_the_folds_answer_alone(tmp_path):
    run = run_of(tmp_path / "run", noise(), "families=[ridge]", "budget.trials=1")
    (gain,) = grown(run)
    assert gain < 0.015
    assert {member.name for member in load(run.folder).members} == {f"ridge-1-{fold}" for fold in range(5)}
    assert "refits" not in run.facts


def test_a_predictor_that_must_keep_a_limit_gets_no_further_model(tmp_path):
    said = ("families=[neighbors]", "budget.trials=1", "budget.latency=10s")
    run = run_of(tmp_path / "run", waves(), *said)
    assert grown(run) == []
    assert {member.name.rpartition("-")[2] for member in load(run.folder).members} == set("01234")


def test_how_many_work_side_by_side_makes_no_difference(joined, tmp_path):
    run, said = joined
    beside = run_of(tmp_path / "two", waves(), *said, "executor=local", "executor.slots=2", "executor.threads=1")
    assert grown(beside) == grown(run)
    fresh = waves(seed=9)
    np.testing.assert_array_equal(load(beside.folder).predict(fresh), load(run.folder).predict(fresh))


@pytest.mark.parametrize("predictor", ["full", "fast"])
def test_an_interrupt_leaves_the_fold_models(predictor, tmp_path, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("automl.conclude.growth", interrupted)
    monkeypatch.setattr("automl.conclude.refit", interrupted)
    run = run_of(tmp_path / "run", waves(), "families=[ridge]", "budget.trials=1", f"predictor={predictor}")
    assert (run.status, run.why) == ("interrupted", "interrupted")
    assert Run.open(run.folder).status == "interrupted"
    assert {member.name for member in load(run.folder).members} == {f"ridge-1-{fold}" for fold in range(5)}


# The parts


def raced(folder, table, trials, *said):
    """A plan and a problem in which trials have run all folds."""
    planned = plan(compose([*SMALL, *said]), table)
    parts = (planned.table, planned.y, planned.weight, planned.split, planned.task, planned.schema)
    problem = Problem.write(folder, *parts, (None, (), True))
    for trial in trials:
        for fold in range(5):
            job = {"trial": trial.number, "family": trial.family, "params": trial.params, "fold": fold, "rows": None}
            outcome = evaluate(job | {"id": str(fold), "seed": 1, "threads": 1, "deadline": 60.0}, problem)
            trial.folds.append(outcome["score"])
            trial.fit_seconds += outcome["fit_seconds"]
    return planned, problem


def test_without_time_or_members_that_speak_for_the_others_nothing_is_known(tmp_path):
    trials = [Trial(1, "neighbors", {}, "portfolio", weight=0.1), Trial(2, "neighbors", {"k": 3}, "search", weight=0.9)]
    trials[1].params = {}
    planned, problem = raced(tmp_path / "work", waves(), trials, "families=[neighbors]")
    assert growth(planned, problem, trials, 20.0) > 0.1
    assert growth(planned, problem, trials, 0.0) == 0
    assert growth(planned, problem, trials[:1], 20.0) == 0, "a tenth of the weight is too little"
    trials[1].rows = 100
    assert growth(planned, problem, trials, 20.0) == 0, "neither does one that was fitted on some of the rows"


def test_of_a_few_rows_nothing_is_concluded(tmp_path):
    run = run_of(tmp_path / "run", waves(40), "families=[ridge]", "budget.trials=1")
    assert grown(run) == [0]


def test_a_fit_that_may_have_been_cut_short_is_no_measure():
    assert _whole({"status": "ok", "fit_seconds": 1.0, "deadline": 2.0})
    assert not _whole({"status": "ok", "fit_seconds": 1.95, "deadline": 2.0})
    assert not _whole({"status": "timeout", "fit_seconds": 0.0, "deadline": 2.0})
    assert not _whole(None)


def test_those_join_that_fit_into_the_time_and_first_those_that_cost_little_for_their_weight(tmp_path):
    def trial(number, weight, seconds):
        return Trial(number, "ridge", {}, "search", weight=weight, folds=[1.0] * 5, fit_seconds=seconds)

    trials = [trial(1, 0.3, 3.0), trial(2, 0.5, 900.0), trial(3, 0.2, 0.3)]
    planned, problem = raced(tmp_path / "work", noise(), [], "families=[ridge]")
    assert [one.number for one in joiners(planned, problem, trials, 10.0)] == [3, 1]
    assert joiners(planned, problem, trials, 0.1) == []
    assert 0 < refit_seconds(planned, problem, trials) < 0.15 * planned.config.seconds
    assert refit_seconds(planned, problem, trials[1:2]) == 0
    counted, problem = raced(tmp_path / "more", noise(), [], "families=[ridge]", "budget.trials=3")
    assert joiners(counted, problem, trials, 0.1) == trials, "with a number of trials, nothing hangs on the clock"
