"""The run folder: what a run leaves on disk, how it is read back, and what becomes of trials that fail."""

import csv
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from automl.compose import compose
from automl.errors import NoModelError, StorageError
from automl.fit import fit
from automl.predictor import load
from automl.run import Run, Trial, plain, versions

QUICK = ["executor=inprocess", "families=[linear]", "split=holdout", "run.progress=quiet"]


def run_of(folder, *overrides):
    return fit(compose(["data=iris", f"run.dir='{folder}'", *QUICK, *overrides]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("runs") / "one", "budget.trials=3", "seed=7")


@pytest.fixture
def copy(finished, tmp_path):
    """The folder of a run, to be damaged."""
    import shutil

    return Path(shutil.copytree(finished.folder, tmp_path / "copy"))


def board(maximize, *trials, finished):
    """The leaderboard of trials given as (family, status, score), the first being the baseline."""
    made = [
        Trial(i, family, {}, "search" if i else "baseline", status, "" if status == "ok" else "why", score)
        for i, (family, status, score) in enumerate(trials)
    ]
    return replace(finished, trials=made, maximize=maximize).leaderboard()


# What is on disk


def test_the_folder_has_its_parts_and_nothing_else(finished):
    assert {path.name for path in finished.folder.iterdir()} == {
        "config.yaml",
        "schema.yaml",
        "trials.sqlite",
        "leaderboard.csv",
        "model",
        "log.jsonl",
    }


def test_the_log_has_each_event_with_versions_and_seed(finished):
    events = [json.loads(line) for line in (finished.folder / "log.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events if e["event"] != "kept"] == [
        "run_started",
        *["trial_finished"] * 4,
        "growth",
        *(["refitted"] if "refits" in finished.facts else []),
        "run_finished",
    ]
    assert events[0]["seed"] == 7
    assert events[0]["versions"] == versions()
    assert {"python", "automl", "numpy", "scikit-learn"} <= set(events[0]["versions"])
    assert [event["trial"] for event in events if event["event"] == "trial_finished"] == [
        trial.name for trial in finished.trials
    ]
    assert events[-1]["score"] == finished.score


def test_the_config_that_was_composed_composes_again(finished):
    assert compose(config=finished.folder / "config.yaml") == finished.config


def test_the_leaderboard_file_is_the_leaderboard(finished):
    with (finished.folder / "leaderboard.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    table = finished.leaderboard()
    assert [row["trial"] for row in rows] == list(table["trial"])
    assert [float(row["score"]) for row in rows] == pytest.approx(list(table["score"]))


def test_opening_gives_back_the_whole_run(finished):
    opened = Run.open(finished.folder)
    for name in ("trials", "facts", "notes", "task", "schema", "config", "rows", "maximize"):
        assert getattr(opened, name) == getattr(finished, name), name
    for name in ("score", "low", "high", "status", "why", "seconds"):
        assert getattr(opened, name) == getattr(finished, name), name
    assert opened.status == "finished"
    assert opened.score is not None


def test_a_run_that_was_cut_off_opens_with_the_trials_it_had(finished, tmp_path):
    cut = replace(finished, folder=tmp_path / "cut", trials=[], score=None, status="running", why="")
    cut.create()
    for trial in finished.trials[:2]:
        cut.record(trial)
    opened = Run.open(cut.folder)
    assert opened.trials == finished.trials[:2]
    assert (opened.status, opened.score) == ("running", None)


def test_a_folder_that_exists_is_left_alone(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")}
    with pytest.raises(StorageError, match="exists already"):
        finished.create()
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")} == before


# Damage


def test_a_missing_folder_names_the_nearest(finished):
    wrong = finished.folder.with_name("onee")
    with pytest.raises(StorageError, match=r"is no run folder.*did you mean '.*one'"):
        Run.open(wrong)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(StorageError, match="is no run folder"):
        Run.open(tmp_path)


def test_a_truncated_store_is_refused(copy):
    whole = (copy / "trials.sqlite").read_bytes()
    for size in (0, 100, 5000):
        (copy / "trials.sqlite").write_bytes(whole[:size])
        with pytest.raises(StorageError, match="damaged"):
            Run.open(copy)


def test_a_store_that_is_something_else_is_refused(copy):
    (copy / "trials.sqlite").write_text("trial,score\n1,2\n" * 1000)
    with pytest.raises(StorageError, match="damaged"):
        Run.open(copy)


@pytest.mark.parametrize(
    "statement",
    [
        "drop table trials",
        "delete from run where key = 'task'",
        "update trials set record = '{'",
        "update trials set record = '{\"number\": 1}'",
        "update run set value = '[]' where key = 'schema'",
        "insert into run values ('surprise', '1')",
    ],
)
def test_a_store_that_says_what_it_should_not_is_refused(copy, statement):
    connection = sqlite3.connect(copy / "trials.sqlite")
    with connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(StorageError, match="damaged"):
        Run.open(copy)


@pytest.mark.parametrize("text", [None, "a: [1", "- 1", "bugdet: {time: 3}", ""])
def test_a_damaged_config_is_refused(copy, text):
    if text is None:
        (copy / "config.yaml").unlink()
    else:
        (copy / "config.yaml").write_text(text)
    with pytest.raises(StorageError, match="damaged"):
        Run.open(copy)


# The leaderboard


@pytest.mark.parametrize(("maximize", "best_first"), [(True, ["c", "b", "a"]), (False, ["a", "b", "c"])])
def test_the_best_comes_first_in_the_metrics_own_direction(finished, maximize, best_first):
    table = board(maximize, ("a", "ok", -1.0), ("b", "ok", 2.0), ("c", "ok", 3.0), finished=finished)
    assert list(table["family"]) == best_first


def test_failures_come_last_with_their_reasons(finished):
    statuses = ["ok", "crashed", "failed", "pruned", "timeout", "oom", "unfinished"]
    trials = [(f"f{i}", status, 1.0 if status == "ok" else None) for i, status in enumerate(statuses)]
    table = board(True, *trials, ("late", "ok", 0.5), finished=finished)
    assert list(table["status"][:2]) == ["ok", "ok"]
    assert set(table["status"]) == set(statuses)
    assert all(table["reason"][2:] == "why")


@pytest.mark.parametrize(("maximize", "gains"), [(True, {"up": 1.0, "down": -1.0}), (False, {"up": -1.0, "down": 1.0})])
def test_a_gain_above_zero_is_better_than_the_baseline(finished, maximize, gains):
    table = board(maximize, ("base", "ok", 2.0), ("up", "ok", 3.0), ("down", "ok", 1.0), finished=finished)
    found = dict(zip(table["family"], table["gain"], strict=True))
    assert found == {"base": 0.0, **gains}


def test_the_front_has_what_no_other_beats_on_all_rows_and_within_the_bounds(finished):
    def trial(number, score, size, latency, **said):
        costs = {"size": size, "row_seconds": latency, "folds": [score, score], "models": 2}
        return Trial(number, "f", {}, "search", "ok", score=score, **costs, **said)

    trials = [
        trial(0, 0.9, 300, 0.3),
        trial(1, 0.8, 200, 0.4),
        trial(2, 0.8, 200, 0.5),  # beaten by 1
        trial(3, 0.7, 300, 0.1),
        trial(4, 0.8, 200, 0.4),  # as good as 1
        trial(5, 0.95, 1, 0.01, rows=100),
        replace(trial(6, 0.99, 1, 0.01), status="pruned"),
        replace(trial(7, 0.1, 1, 0.2), row_seconds=None),  # small, and its latency is not known
    ]
    run = replace(finished, trials=trials, maximize=True)
    assert run.objectives == ("loss", "latency_ms", "size_mb")
    assert list(run.leaderboard(pareto=True)["trial"]) == ["f-0", "f-1", "f-4", "f-3", "f-7"]
    assert [t.name for t in replace(run, maximize=False).front] == ["f-1", "f-3", "f-4", "f-7"]
    two = replace(run, config=compose(["search.objectives=[size_mb,loss]"]))
    assert [t.name for t in two.front] == ["f-0", "f-1", "f-2", "f-4", "f-7"]
    bound = replace(run, config=compose(["constraint.latency_ms<=700"]))
    assert [t.name for t in bound.front] == ["f-0", "f-3"]
    assert replace(run, trials=trials[5:7]).leaderboard(pareto=True).empty


def test_without_a_baseline_there_is_no_gain(finished):
    table = board(True, ("base", "failed", None), ("up", "ok", 3.0), finished=finished)
    assert table["gain"].isna().all()


# Trials that misbehave


def test_trials_that_raise_die_or_hang_are_rows_with_a_reason_and_the_run_ends_on_time(tmp_path, unruly):
    overrides = [
        "split=holdout",
        "executor=local",
        "executor.slots=2",
        "executor.threads=1",
        "families=[unruly,linear]",
        "search.patience=0",
    ]
    modes = "[{mode: raise},{mode: die},{mode: hang}]"
    config = compose(
        ["data=iris", f"run.dir='{tmp_path}/run'", "budget=20s", *overrides, f"++family.unruly.portfolio={modes}"]
    )
    run = fit(config)
    ends = {t.params["mode"]: t for t in run.trials if t.family == "unruly"}
    assert {mode: t.status for mode, t in ends.items()} == {"raise": "failed", "die": "crashed", "hang": "timeout"}
    assert ends["raise"].reason == "ValueError: I will not learn this"
    assert "exit code 3" in ends["die"].reason
    assert ends["hang"].reason.startswith("killed after its limit of ")
    assert sum(t.family == "logistic" and t.status == "ok" for t in run.trials) > 3
    assert run.seconds < 26
    assert {"trials.sqlite", "model", "leaderboard.csv"} <= {path.name for path in run.folder.iterdir()}
    assert not (run.folder / "work").exists()
    opened = Run.open(run.folder)
    assert opened.trials == run.trials
    assert set(opened.leaderboard()["status"]) >= {"ok", "failed", "crashed", "timeout"}
    assert {member.family for member in load(run.folder).members} <= {"logistic", "discriminant"}


def test_a_run_of_nothing_but_hanging_trials_ends_on_time_with_the_baseline(tmp_path, unruly):
    overrides = ["executor=local", "families=[unruly]", "++family.unruly.params={mode: hang}", "split=holdout"]
    config = compose(["data=iris", f"run.dir='{tmp_path}/run'", "budget=12s", *overrides])
    with pytest.raises(NoModelError, match="is the baseline"):
        fit(config)
    run = Run.open(tmp_path / "run")
    assert run.seconds <= 1.02 * 12 + 1
    assert run.trials[0].status == "ok"
    assert {member.family for member in load(run.folder).members} == {"baseline"}


def test_a_run_that_no_model_had_time_for_asks_for_more_of_it(tmp_path, unruly):
    overrides = ["executor=local", "families=[unruly]", "++family.unruly.params={mode: hang}", "split=holdout"]
    config = compose(["data=iris", f"run.dir='{tmp_path}/run'", "budget=6s", "budget.trials=1", *overrides])
    with pytest.raises(NoModelError, match=r"no time for any model; .* has the baseline\. Give more: budget"):
        fit(config)
    assert [trial.status for trial in Run.open(tmp_path / "run").trials] == ["ok", "unfinished"]


class Ear:
    def __init__(self):
        self.heard = []

    def automl_run_started(self, run):
        self.heard.append("started")

    def automl_run_finished(self, run):
        self.heard.append("finished")

    def automl_run_failed(self, run, error):
        self.heard.append(f"failed: {type(error).__name__} in {run.folder.name}")


def test_a_run_without_a_predictor_is_told_as_failed_and_not_as_finished(tmp_path, unruly):
    ear = Ear()
    said = ["families=[unruly]", "++family.unruly.params={mode: raise}", "baseline=null", "budget.trials=1"]
    config = compose(["data=iris", "executor=inprocess", "split=holdout", f"run.dir={tmp_path / 'run'}", *said])
    with pytest.raises(NoModelError, match="I will not learn this"):
        fit(config, listeners=[ear])
    assert ear.heard == ["started", "failed: NoModelError in run"]


def test_a_config_is_plain_data(finished):
    assert json.loads(json.dumps(plain(finished.config))) == plain(finished.config)
