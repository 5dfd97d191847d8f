"""A run that was killed or interrupted goes on: no finished trial is lost or repeated, and none is half there."""

import json
import signal
import subprocess
import sys
import time

import pytest
from test_cli import frame

from automl import AutoML, load
from automl.errors import StorageError
from automl.run import Run

WORDS = ("families=[linear,forest]", "split=kfold", "split.folds=3", "budget=5m", "search.prune=0")


def killed(folder, trials, *words):
    """A run by the command line that was killed, with all that it had, once so many trials had ended."""
    frame().write_csv(folder / "train.csv")
    command = [sys.executable, "-m", "automl.cli", "fit", "train.csv", "target=y", "run.dir=out", *WORDS, *words]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen = 0
    for line in process.stdout:
        seen += " ok" in line
        if seen == trials:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    return folder / "out"


def ended(run):
    return {t.number: (t.family, t.params, t.score) for t in run.trials if t.status not in ("running", "unfinished")}


def test_a_killed_run_goes_on_with_what_it_had(automl, tmp_path):
    folder = killed(tmp_path, 4, "budget.trials=8")
    before = ended(Run.open(folder))
    assert len(before) >= 4
    assert len(load(folder).members) > 0, "the best so far was there when it was killed"
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "work/shared/trials").glob("*/*/predictions.npy")}
    first = {path: stamp for path, stamp in stamps.items() if int(path.parts[-3]) in before}

    said = automl("fit", "--resume", "out")
    run = Run.open(folder)
    assert "budget.trials=8 is reached" in said
    assert run.status == "finished"
    assert len(run.trials) == 9
    assert {number: ended(run)[number] for number in before} == before
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines() if line.endswith("}")]
    assert [e["event"] for e in log].count("run_resumed") == 1
    names = [e["trial"] for e in log if e["event"] == "trial_finished"]
    assert len(names) == len(set(names)), "no trial ended twice"
    assert first, "the finished trials had left their predictions"
    assert not (folder / "work").exists()
    assert len(load(folder).predict(tmp_path / "train.csv")) == 120


def test_the_trials_after_a_resume_are_those_of_a_run_that_was_never_cut_off(automl, tmp_path):
    killed(tmp_path, 3, "budget.trials=8")
    automl("fit", "--resume", "out")
    automl("fit", "train.csv", "target=y", "run.dir=whole", *WORDS, "budget.trials=8")
    assert ended(Run.open("out")) == ended(Run.open("whole"))


def test_a_finished_run_another_config_and_other_data_are_refused(automl, tmp_path):
    killed(tmp_path, 2)
    automl("fit", "--resume", "out", "seed=3", code=2)
    assert "run.resume: seed is 3 and was 0" in automl.err
    frame().with_columns(y=frame()["y"].reverse()).write_csv("train.csv")
    automl("fit", "--resume", "out", code=3)
    assert "the data has changed" in automl.err
    frame().write_csv("train.csv")
    automl("fit", "--resume", "out", "budget.trials=3")
    automl("fit", "--resume", "out", code=5)
    assert "has finished" in automl.err


def test_resume_from_python_begins_where_there_is_no_run_and_goes_on_where_there_is(tmp_path):
    said = {"output_dir": tmp_path / "out", "overrides": [*WORDS, "budget.trials=3", "run.resume=true"]}
    table = frame()
    model = AutoML(**said).fit(table, "y")
    assert len(model.trials_) == 4
    with pytest.raises(StorageError, match="has finished"):
        AutoML(**said).fit(table, "y")


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.2, 0.45])
def test_whenever_a_run_dies_there_is_a_whole_predictor_or_none(tmp_path, delay):
    frame().write_csv(tmp_path / "train.csv")
    command = [sys.executable, "-m", "automl.cli", "fit", "train.csv", "target=y", "run.dir=out", *WORDS]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if " ok" in line:
            break
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    model = tmp_path / "out" / "model"
    assert not model.exists() or len(load(tmp_path / "out").predict(tmp_path / "train.csv")) == 120
