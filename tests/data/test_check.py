import datetime as dt
import time

import numpy as np
import polars as pl
import pytest

from automl.data.check import check
from automl.data.read import automl_readers, read
from automl.data.schema import Schema, typed_target
from automl.task import infer_kind

READERS = {reader.name: reader for reader in automl_readers()}
N = 400


def lint(table, target="y", test=None, time=None):
    schema = Schema.infer(table.drop(target), roles={}, drop=[], missing=[])
    kind, _ = infer_kind(typed_target(table[target]), target)
    return check(table, target, kind=kind, schema=schema, test=test, time=time)


def said(findings, *levels):
    return [(f.level, f.column) for f in findings if f.level in (levels or ("error", "warning"))]


def honest(rows=N, seed=0):
    """Features of which a few tell something of y, none too much."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3))
    y = x[:, 0] + x[:, 1] + random.normal(size=rows) > 0
    label = np.where(random.random(rows) < 0.7, "a", np.where(y, "b", "c"))
    return pl.DataFrame({"p": x[:, 0], "q": x[:, 1], "r": x[:, 2], "label": label, "y": np.where(y, "yes", "no")})


@pytest.mark.parametrize("name", ["breast_cancer", "iris", "wine", "digits", "diabetes"])
def test_the_bundled_examples_raise_no_alarm(name):
    assert said(lint(read(f"sklearn:{name}", READERS), "target")) == []


def test_honest_data_and_a_fair_test_file_raise_no_alarm():
    table = honest(1200)
    assert said(lint(table[:800], test=table[800:])) == []


@pytest.mark.parametrize(
    "leak",
    [
        pl.col("y"),
        (pl.col("y") == "yes").cast(pl.Int8),
        pl.when(pl.col("y") == "yes").then(pl.lit("paid")).otherwise(pl.lit("left")),
        pl.when(pl.col("y") == "yes").then(pl.col("r").abs() + 1).otherwise(-pl.col("r").abs()),
    ],
    ids=["copy", "number", "label", "sign"],
)
def test_a_column_that_tells_the_class_is_an_error_and_named(leak):
    findings = lint(honest().with_columns(leak=leak))
    assert said(findings) == [("error", "leak")]
    assert "data.drop=[leak]" in findings[0].fix


@pytest.mark.parametrize("leak", [pl.col("y"), pl.col("y") * 3 + 1, pl.col("y") ** 3])
def test_a_column_that_tells_the_number_is_an_error_and_named(leak):
    table = honest(2000).with_columns(y=pl.col("p") + pl.col("q") * pl.col("r"))
    assert said(lint(table)) == []
    assert said(lint(table.with_columns(leak=leak))) == [("error", "leak")]


def test_a_column_that_nearly_tells_the_class_is_a_warning():
    noise = np.random.default_rng(1).normal(size=N)
    table = honest().with_columns(leak=(pl.col("y") == "yes").cast(pl.Float64) + pl.Series(noise) * 0.36)
    assert said(lint(table)) == [("warning", "leak")]


def test_few_rows_are_no_evidence():
    table = pl.DataFrame({"x": [1.0, 2, 3, 11, 12, 13] * 5, "y": ["a", "a", "a", "b", "b", "b"] * 5})
    assert ("error", "x") not in said(lint(table))


def test_an_id_that_tells_the_target_is_a_warning_and_a_sorted_file_is_said():
    table = honest(600).sort("y").with_columns(key=pl.int_range(600))
    findings = lint(table)
    assert said(findings) == [("warning", "key")]
    assert any("order of the rows" in f.what for f in findings)


def test_repeated_and_contradicting_rows_are_counted():
    table = pl.concat([honest(), honest()[:40]])
    torn = honest()[50:60].with_columns(y=pl.when(pl.col("y") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes")))
    findings = lint(pl.concat([table, torn]))
    assert said(findings) == [("warning", None)]
    assert "40 rows repeat an earlier row" in findings[0].what
    assert any("20 rows are alike but for their target" in f.what for f in findings)


def test_the_target_is_looked_at():
    table = honest().with_columns(y=pl.when(pl.int_range(N) < 8).then(None).otherwise(pl.col("y")))
    table = pl.concat([table, table[-1:].with_columns(p=pl.lit(9.0), y=pl.lit("rare"))])
    told = [f.what for f in lint(table) if f.column == "y"]
    assert told == ["8 of 401 rows have no target (2.0%)", "1 class of one row: rare"]
    scarce = honest().with_columns(y=pl.when(pl.int_range(N) < 10).then(pl.lit("yes")).otherwise(pl.lit("no")))
    assert any(f.level == "info" and "the rarest class, yes, has 10 rows" in f.what for f in lint(scarce))


def test_columns_that_cannot_help_are_named():
    table = honest().with_columns(
        k=pl.lit(1), nothing=pl.lit(None), twin=pl.col("p"), lists=pl.concat_list("p", "q"),
        ratio=pl.when(pl.int_range(N) < 3).then(float("inf")).otherwise(pl.col("r") * 2),
        street=pl.Series([f"street{i % 200}" for i in range(N)]),
    )  # fmt: skip
    findings = {f.column: f for f in lint(table) if f.column}
    assert {"k", "nothing", "twin", "lists", "ratio", "street"} <= findings.keys()
    assert findings["twin"].what == "identical: same as p"
    assert findings["ratio"].what == "3 infinite values"


def test_a_date_after_the_row_is_from_the_future():
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=i % 90) for i in range(N)]
    table = honest().with_columns(
        when=pl.Series(days), due=pl.Series(days) + dt.timedelta(days=3), born=pl.Series(days) - dt.timedelta(days=9)
    )
    assert said(lint(table, time="when")) == [("warning", "due")]
    names = [f.column for f in lint(honest().rename({"p": "closed_at"}))]
    assert "closed_at" in names


def test_a_drifted_test_file_is_named_by_column():
    table = honest(1200)
    test = table[800:].with_columns(
        p=pl.col("p") + 2, label=pl.lit("new"), q=pl.when(pl.int_range(400) < 200).then(pl.col("q"))
    )
    findings = lint(table[:800], test=test)
    assert {f.column for f in findings if f.level == "warning"} == {"p", "label", "q", None}
    told = {f.column: f.what for f in findings}
    assert "Kolmogorov-Smirnov" in told["p"]
    assert "100% of the rows hold labels that were not there before" in told["label"]
    assert "missing values goes from 0% to 50%" in told["q"]
    assert any("ROC AUC 1.00" in f.what for f in findings)


def test_test_rows_that_stand_in_the_training_file_are_counted():
    table = honest(1200)
    findings = lint(table[:900], test=table[800:])
    assert said(findings) == [("warning", None)]
    assert "100 of 400 rows also stand in the training file" in findings[0].what


def test_a_test_file_without_a_feature_is_an_error():
    table = honest()
    assert said(lint(table[:200], test=table[200:].drop("q"))) == [("error", None)]


def test_fifty_thousand_rows_take_seconds():
    random = np.random.default_rng(0)
    table = pl.DataFrame({f"x{i}": random.normal(size=50_000) for i in range(20)}).with_columns(
        y=pl.Series(random.random(50_000) < 0.5)
    )
    start = time.perf_counter()
    lint(table)
    assert time.perf_counter() - start < 15
