"""Check: a lint of the data before anything is learned: targets that leak, rows that repeat, files that drift."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from automl.data import cells, drift, leaks
from automl.data.roles import evaluate
from automl.data.schema import Schema, typed_target
from automl.errors import DataError

_ROWS = 20_000  # rows on which one column alone is tried
_SCREEN = 2_000  # rows that say whether that is worth while
_LEVELS = ("error", "warning", "info")
_AFTERWARDS = re.compile(
    r"(^|[_\s])(after|post|closed|resolved|ended|finished|outcome|final|cancelled|refunded)([_\s]|$)", re.I
)


@dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Attributes
    ----------
    level : ``error`` (the result would be wrong), ``warning`` (it may be) or ``info`` (good to know).
    column : the column it is about; None for the whole table.
    what, fix : what was found, and what would mend it.
    """

    level: str
    column: str | None
    what: str
    fix: str


def check(
    table: pl.DataFrame,
    target: str,
    *,
    kind: str,
    schema: Schema,
    test: pl.DataFrame | None = None,
    time: str | None = None,
    seed: int = 0,
) -> list[Finding]:
    """What is suspicious in a table, the worst first.

    Parameters
    ----------
    table : all columns, the target among them.
    kind : the task kind; the target is a quantity where it is ``regression``, else a class.
    schema : of the features.
    test : a table to predict on, with or without the target: it is compared with `table`.
    time : the column that says when a row was known; other dates must not be later.
    seed : of the rows that are sampled.
    """
    answer = typed_target(table[target], schema.missing)
    features, _ = schema.apply(table)
    found = [
        *_target(answer, kind),
        *_columns(table, schema),
        *_rows(features, answer, kind),
        *_telling(table, features, answer, kind, schema, seed),
        *_future(table, features, schema, time),
    ]
    if test is not None:
        found += _test(features, answer, test, target, schema, seed)
    return sorted(found, key=lambda finding: _LEVELS.index(finding.level))


def _target(answer: pl.Series, kind: str) -> Iterator[Finding]:
    name, rows = answer.name, len(answer)
    if lost := answer.null_count():
        yield Finding("warning", name, f"{lost:,} of {rows:,} rows have no target ({lost / rows:.1%})",
                      "they are left out; find out whether they are missing for a reason")  # fmt: skip
    known = answer.drop_nulls()
    if known.n_unique() < 2:
        yield Finding(
            "error", name, "the target has fewer than 2 values", "there is nothing to learn; check the column"
        )
        return
    if kind == "regression":
        return
    counts = known.value_counts(sort=True)
    single = counts.filter(pl.col("count") == 1)[name].to_list()
    if single:
        shown = ", ".join(map(str, single[:5]))
        yield Finding("warning", name, f"{len(single)} class{'es' * (len(single) > 1)} of one row: {shown}",
                      "merge rare classes or leave them out: one row cannot both train and validate")  # fmt: skip
    rarest = counts["count"][-1]
    if not single and rarest < 0.05 * counts["count"][0]:
        share = rarest / len(known)
        yield Finding("info", name, f"the rarest class, {counts[name][-1]}, has {rarest:,} rows ({share:.1%})",
                      "accuracy says little here; use roc_auc, average_precision or balanced_accuracy")  # fmt: skip


def _columns(table: pl.DataFrame, schema: Schema) -> Iterator[Finding]:
    for column in schema.columns:
        if column.role == "constant":
            yield Finding("info", column.name, f"constant: {column.why}", "it is left out")
        elif column.why.startswith("same as "):
            yield Finding("info", column.name, f"identical: {column.why}", "it is left out")
        elif column.role == "ignored" and column.why != "left out by data.drop":
            yield Finding("warning", column.name, column.why, "it is left out; make columns of numbers or labels of it")
        elif column.role == "category" and column.unique > max(100, 0.3 * (schema.rows - column.missing)):
            yield Finding("info", column.name, f"{column.unique:,} labels in {schema.rows:,} rows",
                          "most labels are rare; if it names single things, drop it or split by group")  # fmt: skip
        series = table[column.name]
        if series.dtype.is_float() and (infinite := int(series.is_infinite().sum())):
            yield Finding(
                "warning",
                column.name,
                f"{infinite:,} infinite values",
                "they count as missing; mend what divides by zero",
            )


def _rows(features: pl.DataFrame, answer: pl.Series, kind: str) -> Iterator[Finding]:
    whole = features.with_columns(__target__=answer)
    repeated = whole.height - whole.n_unique()
    if repeated:
        # In a table of few labels rows are alike by nature; only a large share is suspicious.
        share = repeated / whole.height
        level = "warning" if share >= 0.05 else "info"
        yield Finding(level, None, f"{repeated:,} rows repeat an earlier row ({share:.1%})",
                      "if they are copies, remove them: a copy on both sides of a split flatters")  # fmt: skip
    if kind == "regression" or features.n_unique() == features.height:
        return
    groups = whole.group_by(features.columns).agg(n=pl.len(), answers=pl.col("__target__").drop_nulls().n_unique())
    torn = int(groups.filter(pl.col("answers") > 1)["n"].sum())
    if torn:
        share = torn / whole.height
        yield Finding("info", None, f"{torn:,} rows are alike but for their target ({share:.1%})",
                      "no model can get them all right; a column that tells them apart may be missing")  # fmt: skip


def _telling(
    table: pl.DataFrame, features: pl.DataFrame, answer: pl.Series, kind: str, schema: Schema, seed: int
) -> Iterator[Finding]:
    """Columns that give the target away."""
    known = answer.is_not_null()
    y, x = answer.filter(known), features.filter(known)
    classes = 0 if kind == "regression" else y.n_unique()
    if classes == 1 or len(y) < 30 or (not classes and not y.dtype.is_numeric()):
        return
    counts = y.value_counts()["count"]
    tried = classes == 0 or (2 <= classes <= 50 and int(counts.min() or 0) >= leaks.FOLDS)  # type: ignore[arg-type]
    codes = (y.rank("dense") - 1 if classes else y).to_numpy().astype(np.int64 if classes else np.float64)
    random = np.random.default_rng(seed)
    sample = np.sort(random.permutation(len(y))[:_ROWS])
    screen = np.sort(random.permutation(len(y))[:_SCREEN])
    measure = "ROC AUC" if classes else "R²"
    scores: dict[str, float] = {}
    for column in schema.features:
        values = x[column.name]
        if leaks.is_copy(values, y):
            yield Finding(
                "error", column.name, f"holds the same values as the target {answer.name!r}", _drop(column.name)
            )
        elif classes and column.role != "text" and leaks.determines(values, y):
            yield Finding("error", column.name, "each of its values goes with one class only", _drop(column.name))
        elif tried and column.role != "text":
            numbers, is_label = leaks.as_numbers(values, column.role)
            score = _score(numbers, is_label, codes, classes, screen, seed)
            if score >= 0.9 and len(y) > _SCREEN:
                score = _score(numbers, is_label, codes, classes, sample, seed)
            scores[column.name] = score
    yield from _too_good(scores, measure, len(y))
    if tried and len(y) >= 200:
        yield from _order(table.filter(known), codes, classes, sample, schema, measure, seed)


def _score(numbers: np.ndarray, is_label: bool, y: np.ndarray, classes: int, rows: np.ndarray, seed: int) -> float:
    part = y[rows]
    if classes:  # a class that the sample hardly holds cannot be scored
        often = np.flatnonzero(np.bincount(part, minlength=classes) >= leaks.FOLDS)
        if len(often) < 2:
            return 0.0
        rows = rows[np.isin(part, often)]
        part, classes = np.searchsorted(often, y[rows]), len(often)
    return leaks.alone(numbers[rows], is_label, part, classes, seed)


def _too_good(scores: dict[str, float], measure: str, rows: int) -> Iterator[Finding]:
    """Columns that are nearly perfect alone.

    A strong but honest feature has company: other features come close. A copied target stands out. So below 0.999 a
    column is suspicious only where its error is at most half of the next honest column's, and in a few rows (under 200)
    a good score is luck.
    """
    rest = sorted((score for score in scores.values() if score < 0.95), reverse=True)
    crowd = sum(0.9 <= score < 0.999 for score in scores.values())
    for name, score in scores.items():
        if score < 0.95 or rows < 200:
            continue
        outstanding = crowd <= 2 and (not rest or 1 - score <= 0.5 * (1 - max(rest[0], 0.0)))
        what = f"it alone predicts the target almost perfectly ({measure} {score:.3f})"
        if score >= 0.999 or (score >= 0.99 and outstanding):
            yield Finding("error", name, what, _drop(name))
        elif outstanding:
            yield Finding("warning", name, what, f"if it is known only afterwards, leave it out: data.drop=[{name}]")


def _order(
    table: pl.DataFrame, y: np.ndarray, classes: int, rows: np.ndarray, schema: Schema, measure: str, seed: int
) -> Iterator[Finding]:
    """Ids, and the order of the rows, that tell the target."""
    limit = 0.65 if classes else 0.2
    for column in schema.columns:
        if column.role == "id" and column.dtype == "float":
            series = table[column.name]
            numbers = evaluate(
                series, cells.convert(column.name, series.dtype, "float", cells.Missing.of(schema.missing))
            )
            score = _score(numbers.fill_null(float("nan")).to_numpy(), False, y, classes, rows, seed)
            if score >= limit:
                yield Finding("warning", column.name, f"this id tells the target ({measure} {score:.2f})",
                              "the order of the rows means something: split by time or by group")  # fmt: skip
    score = _score(np.arange(len(y), dtype=np.float64), False, y, classes, rows, seed)
    if score >= max(limit, 0.7):
        yield Finding("info", None, f"the order of the rows tells the target ({measure} {score:.2f})",
                      "the file is sorted; if by time, use split=time, if by group, split=group")  # fmt: skip


def _future(table: pl.DataFrame, features: pl.DataFrame, schema: Schema, time: str | None) -> Iterator[Finding]:
    moments = [column for column in schema.features if column.role == "datetime" and column.name != time]
    if time is None or time not in table.columns:
        for column in schema.features:
            if _AFTERWARDS.search(column.name):
                yield Finding("info", column.name, "its name says that it may be known only afterwards",
                              f"if so, leave it out: data.drop=[{column.name}]")  # fmt: skip
        return
    when = table[time]
    stated = next((column.format for column in schema.columns if column.name == time), None)
    now = evaluate(when, cells.convert(time, when.dtype, "datetime", cells.Missing.of(schema.missing), stated))
    for column in moments:
        later = (features[column.name] > now).drop_nulls()
        share = float(later.mean() or 0) if len(later) else 0.0  # type: ignore[arg-type]
        if share > 0.5:
            yield Finding("warning", column.name, f"later than {time!r} in {share:.0%} of the rows",
                          f"it is from the future of the row: data.drop=[{column.name}]")  # fmt: skip


def _test(
    features: pl.DataFrame, answer: pl.Series, test: pl.DataFrame, target: str, schema: Schema, seed: int
) -> Iterator[Finding]:
    try:
        other, notes = schema.apply(test.drop(target, strict=False))
    except DataError as error:
        yield Finding("error", None, f"test file: {error}", "give it the columns of the training file")
        return
    for note in notes:
        yield Finding("info", None, f"test file: {note}", "see that both files were written the same way")
    for shift in drift.shifts(features, other, schema.features):
        yield Finding("warning" if shift.figure >= 0.2 else "info", shift.column, f"test file: {shift.what}",
                      "a score on training rows will not hold there; see how the files were drawn")  # fmt: skip
    score = drift.told_apart(features, other, schema.features, seed)
    if not math.isnan(score) and score >= 0.65:
        yield Finding("warning" if score >= 0.75 else "info", None,
                      f"test file: a model tells its rows from training rows (ROC AUC {score:.2f}; 0.5 is alike)",
                      "split the way the test file was split off: by time or by group")  # fmt: skip
    yield from _shared(features, answer, other, test, target, schema)


def _shared(
    features: pl.DataFrame, answer: pl.Series, other: pl.DataFrame, test: pl.DataFrame, target: str, schema: Schema
) -> Iterator[Finding]:
    """Test rows that also stand among the training rows, beyond what rows repeat anyway."""
    if target in test.columns:
        labels = typed_target(test[target], schema.missing)
        if labels.dtype == answer.dtype:
            features, other = features.with_columns(__target__=answer), other.with_columns(__target__=labels)
    shared = other.join(features, on=other.columns, how="semi", nulls_equal=True).height
    usual = int(features.is_duplicated().sum()) / features.height
    noise = 3 * math.sqrt(max(usual * (1 - usual), 0.0) / other.height)
    if shared / other.height > usual + noise + 0.01:
        what = f"test file: {shared:,} of {other.height:,} rows also stand in the training file"
        yield Finding("warning", None, what,
                      "remove them from one of the two: they flatter the test score")  # fmt: skip


def _drop(name: str) -> str:
    return f"leave it out: data.drop=[{name}]; or, if it is known when predicting, predict by a rule"
