"""The verbs beside fit: what leaderboard, show, evaluate, predict and check say of runs, models and tables."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from automl.compose import compose
from automl.fit import fit
from automl.predictor import load
from automl.run import Run

QUICK = [
    *("executor=inprocess", "families=[linear]", "budget.trials=1", "split=holdout", "run.progress=lines"),
    "plugins.allow=[linear,baseline]",  # fewer configs to compose
]


def frame(n=120, seed=0):
    rng = np.random.default_rng(seed)
    a, c = rng.normal(size=n), rng.normal(size=n)
    y = np.where(a + rng.normal(size=n) > 0, "yes", "no")
    return pl.DataFrame({"a": a, "b": rng.choice(["x", "y"], n), "c": c, "y": y})


@pytest.fixture(autouse=True)
def train(automl):
    """A table in the folder that the test runs in."""
    frame().write_csv("train.csv")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A finished run of two trials, in a folder whose name needs quotes."""
    folder = tmp_path_factory.mktemp("a run's") / "of mine"
    frame().write_csv(folder.parent / "train.csv")
    overrides = [*QUICK, "budget.trials=2", "run.progress=quiet", "target=y", "search.order=priority"]
    config = compose([*overrides, "family.logistic.portfolio=[{C: 1.0},{C: 0.0001}]"])
    config.run.dir, config.data.path = str(folder), str(folder.parent / "train.csv")
    fit(config)
    return folder


# After a fit


@contextmanager
def held_still(folder):
    """A run folder that must not change."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    yield
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_leaderboard_and_show_of_a_run(automl, run_dir):
    with held_still(run_dir):
        board, shown = automl("leaderboard", run_dir), automl("show", run_dir)
    for said in (board, shown):
        assert re.search(r"^trial +roc_auc ↑ +95% interval", said, re.MULTILINE)
        assert {"logistic-1", "discriminant-2", "baseline-0"} <= set(said.split())
    assert "target   y: binary" in shown
    assert "next:" in shown


def test_the_front_of_a_run_and_where_there_is_none(automl, run_dir, tmp_path):
    with held_still(run_dir):
        shown = automl("leaderboard", run_dir, "--pareto")
    front = Run.open(run_dir).leaderboard(pareto=True)
    assert re.findall(r"^\w+-\d", shown, re.MULTILINE) == list(front["trial"])
    assert shown.endswith("no other trial beats these on loss, latency_ms, size_mb\n")
    table = pl.read_csv(automl("leaderboard", run_dir, "--pareto", "--csv").encode())
    assert table["trial"].to_list() == list(front["trial"])
    cut = replace(Run.open(run_dir), folder=tmp_path / "cut", trials=[])
    cut.create()
    assert automl("leaderboard", "cut", "--pareto") == ""
    assert automl.err == "no trial has ended well on all rows: there is none to compare\n"
    assert automl("leaderboard", "cut", "--pareto", "--csv").startswith("trial,family,score")


def test_leaderboard_as_csv_has_every_column(automl, run_dir):
    table = pl.read_csv(automl("leaderboard", run_dir, "--csv").encode())
    assert table.height == 3
    assert {"trial", "score", "low", "high", "gain", "latency_ms", "status", "reason", "params"} <= set(table.columns)
    assert table["score"].to_list() == sorted(table["score"], reverse=True)


def test_show_of_a_model(automl, run_dir):
    said = automl("show", run_dir / "model")
    for word in ("y: binary, classes ['no', 'yes']", "roc_auc", "column    a: numeric", "logistic-", "dense-0"):
        assert word in said


def test_evaluate_scores_on_rows_with_the_target(automl, run_dir):
    frame(200, seed=9).write_csv("test.csv")
    printed = automl("evaluate", run_dir, "test.csv", "--metric", "accuracy")
    said = dict(re.findall(r"^(\S[\w ]+?)  +(\S+)", printed, re.MULTILINE))
    assert 0.5 < float(said["roc_auc"]) <= 1
    truth = np.mean(load(run_dir).predict(frame(200, seed=9)) == frame(200, seed=9)["y"].to_numpy())
    assert float(said["accuracy"]) == pytest.approx(truth)
    assert float(said["at fit"]) == pytest.approx(Run.open(run_dir).score, rel=1e-5)


def test_predictions_are_csv_on_standard_output_and_the_same_in_every_format(automl, run_dir):
    new = frame(30, seed=2).drop("y")
    new.write_parquet("new.parquet")
    table = pl.read_csv(automl("predict", run_dir, "new.parquet").encode())
    assert table.columns == ["prediction", "proba_no", "proba_yes"]
    np.testing.assert_allclose(table[:, 1:].to_numpy(), load(run_dir).predict_proba(new))
    readers = {"csv": pl.read_csv, "parquet": pl.read_parquet, "arrow": pl.read_ipc, "jsonl": pl.read_ndjson}
    for suffix, reader in readers.items():
        assert automl("predict", run_dir, "new.parquet", "-o", f"p.{suffix}") == f"30 predictions in p.{suffix}\n"
        assert reader(f"p.{suffix}").equals(table), suffix
    assert automl("predict", run_dir / "model", "new.parquet", "--no-proba").splitlines()[0] == "prediction"


def test_a_reader_that_has_had_enough_ends_it_quietly(run_dir):
    code = "import sys\nfrom automl.cli import main\nsys.stdin.readline()\nmain(sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-c", code, "leaderboard", str(run_dir), "--csv"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    process.stdout.close()  # as head does, before anything is written
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stderr.read() == ""
    assert process.wait(timeout=30) == 0


# Check


def test_check_passes_clean_data_and_stops_at_a_copied_target(automl):
    said = automl("check", "train.csv", "target=y")
    assert "data     120 rows x 4 columns" in said
    assert "target   y: binary" in said
    assert "0 errors" in said
    frame().with_columns(copy=pl.col("y").replace({"yes": "1", "no": "0"})).write_csv("leaky.csv")
    said = automl("check", "leaky.csv", "target=y", code=3)
    assert re.search(r"^error +copy: ", said, re.MULTILINE)
    assert re.search(r"^ +fix: ", said, re.MULTILINE)


def test_check_compares_with_a_test_file(automl):
    train = frame(300)
    train.write_csv("train.csv")
    frame(300, seed=1).drop("y").write_csv("alike.csv")
    frame(300, seed=1).drop("y").with_columns(pl.col("c") + 5).write_csv("drifted.csv")
    drift = re.compile(r"^(warning|error) +c: ", re.MULTILINE)
    assert not drift.search(automl("check", "train.csv", "target=y", "--test", "alike.csv"))
    said = automl("check", "train.csv", "target=y", "--test", "drifted.csv")
    assert drift.search(said)
    assert not re.search(r"^(warning|error) +a: ", said, re.MULTILINE)
