"""The command line: each verb, sweeps and configs through Hydra, what is on screen, what is on disk."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from rich.console import Console

from automl.cli import VERBS
from automl.compose import compose
from automl.fit import fit
from automl.run import Run
from automl.screen import Screen

QUICK = [
    *("executor=inprocess", "families=[linear]", "budget.trials=1", "split=holdout", "run.progress=lines"),
    "plugins.allow=[linear,baseline]",  # fewer configs to compose
    "search.order=priority",  # whatever the record says today
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


def python(code, *arguments, **said):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, env=environment, **said
    )


# Help


def test_help_lists_every_verb_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom automl.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "heavy = {'numpy', 'polars', 'pandas', 'sklearn', 'optuna', 'hydra', 'omegaconf', 'rich', 'pyarrow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert re.search(rf"automl ([a-z]+ \| )*{verb}\b", done.stdout), verb


def test_nothing_said_is_help_too(automl):
    assert automl() == automl("help") == automl("-h")
    assert re.fullmatch(r"automl \d+\.\d+\S*\n", automl("--version"))


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "fit"])
def test_each_verb_has_its_help(automl, verb):
    said = automl(verb, "--help")
    assert said.startswith(f"usage: automl {verb}")
    assert verb in said.split("\n\n")[1]


def test_the_help_of_fit_lists_groups_options_and_keys(automl):
    said = automl("fit", "--help")
    groups = dict(re.findall(r"^(\w+): (.+)$", said.split("== Keys")[0], re.MULTILINE))
    assert {"breast_cancer", "diabetes", "digits", "table"} <= set(groups["data"].split(", "))
    assert {"auto", "group", "holdout", "kfold", "time"} <= set(groups["split"].split(", "))
    assert {"tpe", "random", "qmc"} <= set(groups["search"].split(", "))
    assert {"local", "inprocess"} <= set(groups["executor"].split(", "))
    for part in ("== Keys", "budget:\n  time: 1m", "num_leaves:", "--multirun", "--config-dir", "--dry-run"):
        assert part in said


# Config


def test_config_prints_what_fit_would_run(automl):
    said = automl("config", "train.csv", "target=y", "budget=5m", "split=kfold", "split.folds=3")
    config = yaml.safe_load(said)
    assert config["data"]["path"] == "train.csv"
    assert (config["target"], config["budget"]["time"], config["split"]["folds"]) == ("y", "5m", 3)
    assert yaml.safe_load(automl("fit", "train.csv", "target=y", "--cfg", "job"))["data"]["path"] == "train.csv"
    Path("mine.yaml").write_text(said)
    assert automl("config", "--config", "mine.yaml") == said


def test_cfg_of_one_package(automl):
    assert "num_leaves" in automl("fit", "--cfg", "job", "--package", "family.lightgbm.space")


def test_data_of_a_scheme_may_hold_an_equals_sign(automl):
    automl("check", "sklearn:iris where a = 1", "target=target", code=3)
    assert "sklearn:iris where a = 1: no such example" in automl.err


def test_schema_is_json_schema_of_the_config(automl):
    schema = json.loads(automl("schema"))
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]) == set(yaml.safe_load(automl("config")))
    assert schema["properties"]["search"]["properties"]["ensemble"]["minimum"] == 1
    assert schema["properties"]["run"]["properties"]["progress"]["enum"] == ["auto", "live", "lines", "quiet"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=-1"], "seed=-1: must be at least 0"),
        (["constraint.size_mb<5"], "a constraint is an upper bound; say 'constraint.size_mb<=VALUE'"),
        (["constraint.size<=5"], "did you mean 'constraint.size_mb'"),
        (["data=my/train.csv"], "data=my/train.csv: no such option"),
        (["data=train.csv"], "A file has no key before it: automl fit train.csv target=COLUMN"),
        (["search.sampler=tep"], "search.sampler=tep: unknown; did you mean 'tpe'?"),
        (["-m", "hydra/sweeper=automl", "hydra.sweeper.sampler=gpp", "seed=1,2"], "hydra.sweeper.sampler=gpp: unknown"),
        (["executor.slots=0"], "executor.slots=0: must be at least 1"),
        (["budget.trials=0"], "budget.trials=0: must be at least 1"),
        (["run.progress=line"], "did you mean 'lines'"),
        (["seed=1,2"], "needs -m"),
        (["family=lightgbm"], "did you mean 'families'"),
        (["experiment=mine"], "--config-dir"),
        (["--config-dir", "nowhere"], "nowhere: no such folder"),
        (["--config", "none.yaml"], "does not exist"),
        (["-m", "seed=interval(0,9)"], "hydra/sweeper=automl"),
        (["-m", "hydra/sweeper=automl", "seed=1"], "nothing to sweep"),
        (["-m", "--dry-run", "seed=1,2"], "leave -m out"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(automl, words, message):
    automl("fit", "train.csv", "target=y", *QUICK, *words, code=2)
    assert re.fullmatch(r"error: .*\n", automl.err)
    assert message in automl.err


# Fit


def test_lines_say_what_was_inferred_each_trial_the_leaderboard_and_what_to_do_next(automl):
    said = automl("fit", "train.csv", "target=y", "run.dir=out", *QUICK)
    for line in (
        r"data     120 rows x 3 columns: 2 numeric, 1 category",
        r"target   y: binary, .*",
        r"metric   roc_auc ↑ \(chosen for the task\)",
        r"split    holdout: .*",
        r"families logistic, discriminant",
        r"\[ *\d+\.\ds\] baseline-0 +ok roc_auc 0\.5",
        r"\[ *\d+\.\ds\] logistic-1 +ok roc_auc 0\.\d+",
        r"trial +roc_auc ↑ +95% interval +vs baseline +fit s +row ms +MB +weight +status *",
        r"logistic-1 +0\.\d+ +\d\S* \.\. \d\S* +\+0\.\d+ .* 1\.00 +ok *",
        r"ensemble of 1: roc_auc ↑ 0\.\d+  95% interval \d\S* \.\. \d\S*, on out-of-fold predictions",
        r"2 trials in \d+\.\d s; budget\.trials=1 is reached\. Run folder: out",
        r"  automl predict out train\.csv -o predictions\.parquet   # predict",
    ):
        assert re.search(f"^{line}$", said, re.MULTILINE), line
    assert sorted(path.name for path in Path().iterdir()) == ["out", "train.csv"], "nothing beside the run folder"


def test_the_next_commands_run_as_they_are_printed(automl, tmp_path):
    folder = tmp_path / "a folder"
    Path("my data.csv").write_bytes(Path("train.csv").read_bytes())
    said = automl("fit", "my data.csv", "target=y", f"run.dir='{folder}'", *QUICK)
    commands = [shlex.split(line, comments=True) for line in said.split("next:\n")[1].splitlines()]
    predict, evaluate, leaderboard, again = [command[1:] for command in commands if command]
    assert "120 predictions in predictions.parquet" in automl(*predict)
    assert pl.read_parquet("predictions.parquet").height == 120
    assert "logistic-1" in automl(*leaderboard)
    frame(60, seed=1).write_csv("TEST.csv")
    assert "roc_auc" in automl(*evaluate)
    automl(*again)
    assert Run.open("AGAIN").score == Run.open(folder).score


@pytest.mark.parametrize("flag", ["-q", "run.progress=quiet"])
def test_quiet_prints_nothing(automl, flag):
    assert automl("fit", "train.csv", "target=y", "run.dir=out", *QUICK, flag) == ""
    assert automl.err == ""
    assert (Path("out") / "model").is_dir()


def test_a_terminal_gets_a_live_line_and_failures_leave_a_mark(unruly):
    overrides = [
        *QUICK,
        "run.progress=auto",
        "run.dir=out",
        "families=[linear,unruly]",
        "budget.trials=3",
        "search.order=priority",
        "plugins.allow=null",
    ]
    config = compose(["data=iris", *overrides, "++family.unruly.params={mode: raise}"])
    stream = io.StringIO()
    screen = Screen(config, Console(file=stream, force_terminal=True, width=120))
    assert screen.mode == "live"
    drawn = []

    class Watch:
        def automl_trial_finished(self, run, trial):
            drawn.append(screen._line().plain)

    run = fit(config, listeners=[screen, Watch()])
    said = stream.getvalue()
    assert "I will not learn this" in said
    assert "\x1b[?25h" in said, "the cursor is shown again"
    assert screen._live is None
    assert re.fullmatch(r" *\d+ s left  1 trials  best log_loss 1\.\d+ \(baseline-0\)", drawn[0])
    assert any(re.search(r"best log_loss 0\.\d+ \(logistic-\d\)", line) for line in drawn)
    assert f"{run.score:.5g}" in said


def test_a_run_without_a_name_is_named_after_its_data_and_the_time(automl):
    automl("fit", "train.csv", "target=y", *QUICK)
    automl("fit", "train.csv", "target=y", *QUICK)
    assert all(re.fullmatch(r"train-\d{8}-\d{6}(-1)?", path.name) for path in Path("runs").iterdir())
    assert len(list(Path("runs").iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [("diabetes", ["442 rows", "regression", "rmse ↓"]), ("digits", ["1,797 rows", "multiclass", "log_loss ↓"])],
)
def test_a_dry_run_says_what_would_run_and_cost_and_writes_nothing(automl, name, words):
    said = automl("fit", f"data={name}", "--dry-run", "family.extra_trees.space.max_features=0.5")
    for word in (*words, "cost     at most 60 s", "fits each", "cores", "lightgbm", "(baseline)", "learning_rate"):
        assert word in said
    assert re.search(r"^extra_trees +\d min_samples_leaf$", said, re.MULTILINE), "what is fixed is not searched"
    assert [path.name for path in Path().iterdir()] == ["train.csv"]


@pytest.mark.parametrize(("said", "seconds"), [("budget=1m", 60), ("budget.time=90", 90), ("budget=1h30m", 5400)])
def test_the_budget_has_a_short_form(automl, said, seconds):
    assert f"at most {seconds} s" in automl("fit", "train.csv", "target=y", said, "--dry-run")


@pytest.mark.parametrize(
    ("dimension", "holds"),
    [
        ("{float: [2.0, 3.0]}", lambda c: 2 <= c <= 3),
        ("{choice: [0.5, 7]}", lambda c: c in (0.5, 7)),
        ("0.25", lambda c: c == 0.25),
    ],
)
def test_a_space_said_on_the_command_line_reaches_the_trials(automl, dimension, holds):
    words = [*QUICK, "budget.trials=4", "run.dir=out", "-q", f"family.logistic.space.C={dimension}"]
    automl("fit", "train.csv", "target=y", *words)
    table = pl.read_csv(automl("leaderboard", "out", "--csv").encode())
    values = [json.loads(row)["C"] for row in table.filter(pl.col("family") == "logistic")["params"]]
    assert values
    assert all(holds(value) for value in values)


def test_constraints_hold_on_the_command_line_and_in_a_sweep(automl):
    words = [*QUICK, "-q", "run.progress=quiet"]
    automl("fit", "train.csv", "target=y", *words, "constraint.size_mb<=1e-6", "run.dir=out")
    run = Run.open("out")
    assert run.config.bounds == {"size_mb": 1e-6}
    assert run.trials[1].reason.startswith("size_mb ")
    assert any(note.startswith("no trial keeps size_mb<=1e-06: logistic-1") for note in run.notes)
    automl("fit", "-m", "train.csv", "target=y", *words, "constraint.size_mb<=1,2", "hydra.sweep.dir=sweep")
    assert [Run.open(f"sweep/{i}").config.bounds for i in range(2)] == [{"size_mb": 1.0}, {"size_mb": 2.0}]
    assert Run.open("sweep/0").trials[1].reason == ""


# Data


def test_every_format_gives_the_same_score(automl):
    table = frame()
    table.write_csv("t.csv")
    table.write_csv("t.tsv", separator="\t")
    table.write_parquet("t.parquet")
    table.write_ipc("t.arrow")
    table.write_ndjson("t.jsonl")
    for folder, suffix in (("parts", "csv"), ("lake/day=1", "parquet")):
        Path(folder).mkdir(parents=True)
        for i, part in enumerate((table[:50], table[50:])):
            (part.write_csv if suffix == "csv" else part.write_parquet)(f"{folder}/{i}.{suffix}")
    sources = ["t.csv", "t.tsv", "t.parquet", "t.arrow", "t.jsonl", "parts/*.csv", "lake/day=1"]
    scores = {}
    for i, source in enumerate(sources):
        automl("fit", source, "target=y", f"run.dir=out{i}", *QUICK, "-q")
        scores[source] = Run.open(f"out{i}").score
    assert set(scores.values()) == {scores["t.csv"]}, scores


def test_several_files_are_one_table(automl):
    frame()[:50].write_csv("one.csv")
    frame()[50:].write_csv("two.csv")
    assert "120 rows" in automl("fit", "one.csv", "two.csv", "target=y", "--dry-run")


@pytest.mark.parametrize(
    "name", ["my data.csv", "it's.csv", "a=b.csv", 'a "b".csv', "a\\b.csv", "é,[1].csv", "year=1/a.csv"]
)
def test_a_path_is_taken_as_it_is(automl, name):
    Path(name).parent.mkdir(exist_ok=True)
    Path("train.csv").rename(name)
    assert yaml.safe_load(automl("config", name, "target=y"))["data"]["path"] == name
    assert "120 rows" in automl("fit", name, "target=y", "--dry-run")


def test_a_pattern_with_an_equals_sign_is_data(automl):
    Path("year=1").mkdir()
    Path("train.csv").rename("year=1/a.csv")
    assert "120 rows" in automl("fit", "year=*/*.csv", "target=y", "--dry-run")


# What is installed


def test_families_says_what_each_is(automl):
    rows = {line.split()[0]: line for line in automl("families").splitlines()}
    assert rows["family"].split() == ["family", "plugin", "version", "tasks", "eats", "can", "state"]
    assert {"lightgbm", "catboost", "xgboost", "logistic", "ridge", "extra_trees", "baseline"} <= set(rows)
    assert "binary, multiclass" in rows["logistic"]
    assert "dense" in rows["logistic"]
    assert rows["lightgbm"].split()[1] == "boosting"


def test_metrics_says_which_way_is_better(automl):
    rows = {line.split()[0]: line.split() for line in automl("metrics").splitlines() if line.split()}
    assert (rows["roc_auc"][1], rows["rmse"][1]) == ("↑", "↓")
    assert "and" in rows, "scikit-learn's scorers are mentioned"


def test_plugins_says_what_each_adds_or_why_it_failed(automl, install_plugin):
    install_plugin("zz_broken", "raise RuntimeError('boom')")
    rows = {line.split()[0]: line for line in automl("plugins").splitlines()}
    assert "loaded" in rows["linear"]
    assert "family logistic" in rows["linear"]
    assert "failed" in rows["zz_broken"]
    assert "RuntimeError: boom" in rows["zz_broken"]


def test_doctor_says_what_there_is_and_what_is_lacking(automl, install_plugin, monkeypatch):
    from importlib import metadata

    install_plugin("zz_broken", "raise RuntimeError('boom')")
    real = metadata.version

    def version(name):
        if name == "lightgbm":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    said = automl("doctor")
    for line in (r"platform +\S+", r"cores +\d+ usable of \d+", r"memory +\S+", r"disk +\S+ GB", r"GPUs +\S+"):
        assert re.search(f"^{line}", said, re.MULTILINE), line
    assert re.search(r"^versions +python 3\.\d+", said, re.MULTILINE)
    assert "boosting: lacks lightgbm: pip install 'automl[boosting]'" in said
    assert re.search(r"^failed +zz_broken \(zz_broken cannot be imported: RuntimeError: boom; ", said, re.MULTILINE)
