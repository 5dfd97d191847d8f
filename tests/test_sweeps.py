"""Configs of the user's own, and sweeps: what Hydra brings, as people know it, from the command line."""

import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from automl.predictor import load
from automl.run import Run

QUICK = [
    *("executor=inprocess", "families=[linear]", "budget.trials=1", "split=holdout", "run.progress=lines"),
    "plugins.allow=[linear,baseline]",  # fewer configs to compose
]
JOBLIB = importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is not None


def frame(n=120, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    return pl.DataFrame({"a": a, "b": rng.normal(size=n), "y": np.where(a + rng.normal(size=n) > 0, "yes", "no")})


@pytest.fixture(autouse=True)
def train(automl):
    """A table in the folder that the test runs in."""
    frame().write_csv("train.csv")


# Configs of the user's own


def test_an_experiment_of_the_users_own_wins_over_the_defaults_and_loses_to_the_command_line(automl):
    Path("mine/experiment").mkdir(parents=True)
    Path("mine/experiment/quick.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /split: kfold\n  - override /executor: inprocess\n"
        "split: {folds: 3}\nbudget: {trials: 1, time: 30s}\nmetric: accuracy\nfamilies: [linear]\n"
    )
    words = ["train.csv", "target=y", "--config-dir", "mine", "experiment=quick"]
    said = automl("fit", *words, "run.dir=out", "run.progress=lines")
    assert re.search(r"^metric   accuracy ↑$", said, re.MULTILINE)
    assert "3 folds" in said
    assert Run.open("out").config.executor.kind == "inprocess"
    assert "metric   f1 ↑" in automl("fit", *words, "metric=f1", "--dry-run")
    automl("fit", *words[:-1], "experiment=quik", "--dry-run", code=2)
    assert "did you mean 'quick'" in automl.err


def test_a_runs_config_repeats_it(automl):
    words = ["seed=5", "family.logistic.space.C={choice: [0.1, 1, 10]}", "budget.trials=3"]
    automl("fit", "train.csv", "target=y", "run.dir=one", *QUICK, *words, "-q")
    automl("fit", "--config", "one/config.yaml", "run.dir=two", "-q")
    first, second = Run.open("one"), Run.open("two")
    assert [t.params for t in first.trials] == [t.params for t in second.trials]
    table = frame(40, seed=3)
    np.testing.assert_array_equal(load("one").predict_proba(table), load("two").predict_proba(table))


def test_what_a_run_took_away_stays_away_when_its_config_repeats_it(automl):
    automl("fit", "train.csv", "target=y", "run.dir=one", *QUICK, "~family.logistic.space.C", "-q")
    said = yaml.safe_load(automl("config", "--config", "one/config.yaml"))
    assert said["family"]["logistic"]["space"] == {}
    assert "lightgbm" not in said["family"], "the run did not load its plugin"


def test_the_command_line_wins_over_a_config_file_group_options_included(automl):
    automl("fit", "train.csv", "target=y", "run.dir=one", *QUICK, "split.fraction=0.4", "-q")
    said = automl("fit", "--config", "one/config.yaml", "split=kfold", "metric=accuracy", "--dry-run")
    assert "kfold" in said
    assert "metric   accuracy" in said


# Sweeps


def jobs_of(folder):
    return {path.parent.name: Run.open(path.parent) for path in Path(folder).glob("*/config.yaml")}


def test_a_sweep_runs_each_combination_in_a_folder_of_its_own(automl):
    said = automl("fit", "-m", "train.csv", "target=y", *QUICK, "seed=1,2", "metric=roc_auc,f1")
    (sweep,) = Path("runs").iterdir()
    runs = jobs_of(sweep)
    assert {(r.config.seed, r.config.metric) for r in runs.values()} == {
        (1, "roc_auc"),
        (1, "f1"),
        (2, "roc_auc"),
        (2, "f1"),
    }
    assert set(runs) == {"0", "1", "2", "3"}
    assert all(str(run.folder) in said for run in runs.values())


def test_a_sweep_goes_where_it_is_told(automl):
    automl("fit", "-m", "train.csv", "target=y", *QUICK, "run.dir=mine", "seed=1,2", "-q")
    assert set(jobs_of("mine")) == {"0", "1"}
    automl(
        "fit", "-m", "train.csv", "target=y", *QUICK, "seed=3,4", "hydra.sweep.dir=sw", "hydra.sweep.subdir=s${seed}"
    )
    assert {name: run.config.seed for name, run in jobs_of("sw").items()} == {"s3": 3, "s4": 4}


@pytest.mark.skipif(not JOBLIB, reason="hydra-joblib-launcher is not installed: pip install 'automl[joblib]'")
def test_a_sweep_with_the_joblib_launcher(automl):
    words = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "run.dir=mine", "run.progress=quiet"]
    automl("fit", "-m", "train.csv", "target=y", *QUICK, *words, "seed=1,2")
    assert {run.config.seed for run in jobs_of("mine").values()} == {1, 2}


def test_a_sweep_with_our_sweeper_prints_the_best(automl):
    words = ["hydra/sweeper=automl", "hydra.sweeper.trials=3", "hydra.sweep.dir=sw", "run.progress=quiet"]
    swept = ["search=tpe,random", "split.fraction=interval(0.2, 0.4)"]
    said = automl("fit", "-m", "train.csv", "target=y", *QUICK, *words, *swept)
    runs = jobs_of("sw")
    assert len(runs) == 3
    assert all(0.2 <= run.config.split.fraction <= 0.4 for run in runs.values())
    best = max(run.score for run in runs.values())
    assert f"best, with loss {-best:.6g}:" in said
    command = shlex.split(said.splitlines()[-1])
    automl(*command[1:], "run.dir=again")
    assert Run.open("again").score == best


def test_a_job_that_fails_fails_the_sweep_with_its_code(automl):
    automl("fit", "-m", "train.csv", "target=y,z", *QUICK, "run.progress=quiet", "hydra.sweep.dir=sw", code=2)
    assert "error: target=z: no such column" in automl.err
    assert set(jobs_of("sw")) == {"0"}
