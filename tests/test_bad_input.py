"""Bad input: one clear message, the right exit code, nothing half-written under a final name."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from automl.cli import main
from automl.predictor import load
from automl.run import Run

QUICK = [
    "executor=inprocess",
    "families=[linear]",
    "budget.trials=1",
    "budget=20s",
    "split=holdout",
    "run.progress=quiet",
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def call(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    return stopped.value.code


def frame(n=60, **columns):
    rng = np.random.default_rng(0)
    a = rng.normal(size=n)
    base = {"a": a, "b": rng.choice(["x", "y"], n), "y": np.where(a + rng.normal(size=n) / 2 > 0, "yes", "no")}
    return pl.DataFrame({**base, **columns})


def fails(capsys, code, *words, data="train.csv", extra=()):
    """`automl fit` must end with `code`, one line that has all the words, and no run folder."""
    got = call("fit", data, "target=y", "run.dir=out", *QUICK, *extra)
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert got == code, lines
    assert len(errors) == 1, lines
    for word in words:
        assert word in errors[0]
    assert not Path("out").exists()


def fits(capsys, table, *words, extra=(), path="train.csv"):
    """`automl fit` must end well, and say all the words on what it did."""
    (table.write_csv if path.endswith("csv") else table.write_parquet)(path)
    code = call("fit", path, "target=y", "run.dir=out", *[q for q in QUICK if "progress" not in q], *extra)
    captured = capsys.readouterr()
    assert code == 0, captured.err
    said = " ".join(captured.out.split())
    for word in words:
        assert word in said, said
    return load("out")


# Files


def test_file_not_found_names_the_nearest(capsys):
    frame().write_csv("train.csv")
    fails(capsys, 3, "trian.csv", "train.csv", data="trian.csv")


def test_empty_file(capsys):
    Path("train.csv").touch()
    fails(capsys, 3, "train.csv", "empty")


def test_header_only(capsys):
    Path("train.csv").write_text("a,b,y\n")
    fails(capsys, 3, "train.csv", "no rows")


def test_ragged_rows_name_the_line(capsys):
    Path("train.csv").write_text("a,b,y\n1,2,yes\n1,2,no,9\n1,2,no\n")
    fails(capsys, 3, "train.csv", "line 3")


def test_wrong_encoding(capsys):
    Path("train.csv").write_bytes("a,b,y\n1,é,yes\n2,x,no\n".encode("latin-1"))
    fails(capsys, 3, "train.csv", "UTF-8")


def test_duplicate_column_names(capsys):
    Path("train.csv").write_text("a,a,y\n1,2,yes\n1,2,no\n")
    fails(capsys, 3, "train.csv", "duplicate column name 'a'")


def test_no_permission_to_write(capsys, tmp_path):
    if os.geteuid() == 0:
        Path("out").touch()  # root may write anywhere, but not a folder in the place of a file
        frame().write_csv("train.csv")
        assert call("fit", "train.csv", "target=y", "run.dir=out/run", *QUICK) == 5
    else:
        tmp_path.chmod(0o500)
        frame().write_csv("train.csv")
        fails(capsys, 5, "out")
    assert "cannot make the run folder" in capsys.readouterr().err


# Target


def test_unknown_target_suggests_the_nearest(capsys):
    frame().rename({"y": "income"}).write_csv("train.csv")
    assert call("fit", "train.csv", "target=incme", *QUICK) == 2
    assert "did you mean 'income'" in capsys.readouterr().err


def test_target_with_one_class(capsys):
    frame(y=["yes"] * 60).write_csv("train.csv")
    fails(capsys, 3, "only the value 'yes'")


def test_missing_labels_are_dropped_and_counted(capsys):
    table = frame()
    labels = table["y"].to_list()
    labels[:7] = ["NA", "", "?", "null", "NaN", None, "n/a"]
    fits(capsys, table.with_columns(pl.Series("y", labels)), "7 rows without a y were left out", "53 rows")


def test_classes_of_one_row_do_not_stop_a_run(capsys):
    table = frame()
    labels = table["y"].to_list()
    labels[0], labels[1] = "rare", "rarer"
    predictor = fits(capsys, table.with_columns(pl.Series("y", labels)), extra=["split=kfold"])
    assert predictor.predict_proba(table).shape == (60, 4)


# Columns


def test_odd_columns_are_left_out_and_reported(capsys):
    n = 60
    table = frame(
        n,
        constant=["k"] * n,
        void=[None] * n,
        again=frame(n)["a"],
        infinite=[float("inf")] + [1.5 * i % 7 for i in range(n - 1)],
        huge=[2**62 + (i * 7919) % 1000 for i in range(n)],
    )
    predictor = fits(capsys, table, "constant", "void", "again", "infinite")
    roles = {c.name: c.role for c in predictor.schema.columns}
    assert roles["constant"] == roles["void"] == "constant"
    assert roles["again"] == "ignored"
    assert np.isfinite(predictor.predict_proba(table)).all()


def test_a_mixed_column_is_learned_from(capsys):
    import pandas as pd

    from automl import AutoML

    table = frame().to_pandas()
    table["mixed"] = pd.Series([1, "two", 3.5, None, True] * 12, dtype=object)
    model = AutoML(overrides=QUICK).fit(table.drop(columns="y"), table["y"])
    assert len(model.predict(table)) == 60


def test_three_rows(capsys):
    pl.DataFrame({"a": [1.0, 2.0, 3.0], "y": ["n", "p", "p"]}).write_csv("train.csv")
    fails(capsys, 3, "only rows of 'p' can validate", "3 rows", extra=["split=auto"])
    table = pl.DataFrame({"a": [1.0, 2.0, 3.0], "y": [1.5, 2.5, 3.5]})
    assert len(fits(capsys, table, extra=["split=auto"]).predict(table)) == 3


def test_five_thousand_columns(capsys):
    rng = np.random.default_rng(0)
    wide = pl.DataFrame(rng.normal(size=(80, 5000)), schema=[f"c{i}" for i in range(5000)])
    table = wide.with_columns(y=pl.Series(np.where(wide["c0"] > 0, "yes", "no")))
    predictor = fits(capsys, table, "5000 numeric", path="train.parquet")
    assert predictor.predict(table).shape == (80,)


# Predict


@pytest.fixture
def model(capsys):
    predictor = fits(capsys, frame())
    return predictor


def test_unseen_categories_extra_and_reordered_columns(model, capsys):
    table = frame().drop("y")
    expected = model.predict_proba(table)
    reordered = table.select("b", pl.lit(1).alias("extra"), "a")
    reordered.write_csv("new.csv")
    assert call("predict", "out", "new.csv", "-o", "got.csv") == 0
    assert "extra" in capsys.readouterr().err
    got = pl.read_csv("got.csv")
    np.testing.assert_allclose(got.select("proba_no", "proba_yes").to_numpy(), expected)
    unseen = model.predict_proba(table.with_columns(b=pl.lit("zebra")))
    assert np.isfinite(unseen).all()


def test_missing_columns_are_an_error_that_names_them(model, capsys):
    frame().drop("y", "a").write_csv("new.csv")
    assert call("predict", "out", "new.csv", "-o", "got.csv") == 3
    assert "'a'" in capsys.readouterr().err
    assert not Path("got.csv").exists()


def test_a_suffix_that_cannot_be_written(model, capsys):
    frame().write_csv("new.csv")
    assert call("predict", "out", "new.csv", "-o", "got.xlsx") == 2
    assert ".parquet" in capsys.readouterr().err


def test_evaluating_without_a_target(model, capsys):
    frame().drop("y").write_csv("new.csv")
    assert call("evaluate", "out", "new.csv") == 3
    assert "no target column 'y'" in capsys.readouterr().err


# Names


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("families=[lihgtgbm]", "did you mean 'lightgbm'"),
        ("metric=roc_acu", "did you mean 'roc_auc'"),
        ("bugdet.time=3", "did you mean 'budget.time'"),
        ("split=grup", "did you mean 'group'"),
        ("executor.kind=loca", "did you mean 'local'"),
        ("search.sampler=tpee", "did you mean 'tpe'"),
        ("family.logistic.params.CC=3", "no such parameter"),
        ("data.roles.aa=id", "did you mean 'a'"),
        ("split=group", "split.column"),
        ("weight=bb", "weight=bb"),
    ],
)
def test_a_wrong_name_suggests_the_nearest(capsys, word, message):
    frame().write_csv("train.csv")
    fails(capsys, 2, message, extra=[word])


def test_an_unknown_verb(capsys):
    assert call("fitt") == 2
    assert "did you mean 'fit'" in capsys.readouterr().err


def test_a_target_object_is_refused(capsys):
    frame().write_csv("train.csv")
    fails(capsys, 6, "may not name a Python object", extra=["++data.roles={_target_: os.system}"])


# Places


def test_a_run_folder_that_exists(capsys):
    frame().write_csv("train.csv")
    Path("out").mkdir()
    (Path("out") / "mine").touch()
    assert call("fit", "train.csv", "target=y", "run.dir=out", *QUICK) == 5
    assert "exists already" in capsys.readouterr().err
    assert [p.name for p in Path("out").iterdir()] == ["mine"]


def test_no_predictor_there(capsys):
    assert call("predict", "nowhere", "x.csv") == 5
    assert call("leaderboard", "nowhere") == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_no_space(model, capsys, monkeypatch):
    from automl.artifact import written_whole
    from automl.errors import StorageError

    def write():
        with written_whole(Path("final")) as draft:
            draft.symlink_to("/dev/full")
            with draft.open("wb", buffering=0) as stream:
                stream.write(b"x")

    with pytest.raises(StorageError, match="No space left"):
        write()
    assert sorted(p.name for p in Path().iterdir() if "final" in p.name) == []


def test_ctrl_c_keeps_the_best_so_far(capsys):
    frame(400).write_csv("train.csv")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "automl.cli",
            "fit",
            "train.csv",
            "target=y",
            "run.dir=out",
            "budget=2m",
            "families=[linear]",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    for line in process.stdout:
        if "logistic" in line and " ok" in line:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(timeout=30) == 130, rest
    assert len(load("out").predict(frame().drop("y"))) == 60
    run = Run.open("out")
    assert (run.status, run.why) == ("interrupted", "interrupted")
    assert "automl fit --resume out" in rest


def test_when_every_model_fails_the_baseline_is_kept_and_the_causes_are_said(capsys, unruly):
    frame().write_csv("train.csv")
    code = call(
        "fit",
        "train.csv",
        "target=y",
        "run.dir=out",
        *QUICK,
        "families=[unruly]",
        "++family.unruly.params={mode: raise}",
    )
    assert code == 4
    assert "I will not learn this" in capsys.readouterr().err
    assert [m.family for m in load("out").members] == ["baseline"]


def test_ctrl_c_before_any_model_leaves_no_model(capsys, monkeypatch):
    from automl.execute.inprocess import InProcessExecutor

    def interrupt(*_):
        raise KeyboardInterrupt

    frame().write_csv("train.csv")
    monkeypatch.setattr(InProcessExecutor, "submit", interrupt)
    assert call("fit", "train.csv", "target=y", "run.dir=out", *QUICK) == 130
    assert not (Path("out") / "model").exists()
    assert Run.open("out").status == "interrupted"


def test_what_a_view_capped_is_said(capsys):
    rng = np.random.default_rng(0)
    wide = pl.DataFrame(rng.normal(size=(80, 2600)), schema=[f"c{i}" for i in range(2600)])
    holes = wide.with_columns(
        pl.when(pl.col(name) > 1).then(None).otherwise(pl.col(name)).alias(name) for name in wide.columns
    )
    fits(
        capsys,
        holes.with_columns(y=pl.Series(np.where(wide["c0"] > 0, "yes", "no"))),
        "indicator",
        path="train.parquet",
    )
