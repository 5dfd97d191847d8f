import datetime as dt
import decimal
import json
import math
import time

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.data import roles
from automl.data.cells import Missing
from automl.data.read import automl_readers
from automl.data.read import read as read_with
from automl.data.roles import guess
from automl.data.schema import ROLES, Schema, _Twins, typed_target
from automl.errors import ConfigError, DataError

READERS = {reader.name: reader for reader in automl_readers()}
ROWS = 60


def infer(table, roles=None, drop=(), missing=()):
    return Schema.infer(pl.DataFrame(table), roles=roles or {}, drop=drop, missing=missing)


def column(values, name="c", **said):
    """What is inferred of one column, beside one that is always a feature."""
    filler = [i % 7 + 0.5 for i in range(len(values))]
    schema = infer({name: values, "filler": filler}, **said)
    return schema.columns[0]


def repeat(*values):
    return [values[i % len(values)] for i in range(ROWS)]


@pytest.mark.parametrize(
    ("values", "role"),
    [
        (repeat("1", "2.5", "-3e2", " 4 "), "numeric"),
        (repeat(1, 2, 3), "numeric"),
        (repeat("a", "b"), "category"),
        (repeat("01234", "99999", "00001"), "category"),
        (repeat("1", "2", "3+"), "category"),
        (repeat("unknown", "a", "b"), "category"),
        (repeat("true", "False", "TRUE"), "boolean"),
        (repeat(True, False), "boolean"),
        ([f"word{i} and word{i % 7} of the text" for i in range(ROWS)], "text"),
        ([f"{i:08x}-{i * 7919:x}" for i in range(ROWS)], "id"),
        (list(range(ROWS)), "id"),
        (list(range(1, ROWS + 1)), "id"),
        ([str(i) for i in range(ROWS)], "id"),
        (list(range(5, ROWS + 5)), "numeric"),
        ([2**60 + i * 3 for i in range(ROWS)], "id"),
        (repeat(2**60, 2**61), "numeric"),
        (repeat("a"), "constant"),
        (repeat("a", None), "category"),
        (repeat("NA", "?", None), "constant"),
        (repeat(None), "constant"),
        (repeat([1], [2]), "ignored"),
        (repeat({"a": 1}, {"a": 2}), "ignored"),
        (repeat(b"a", b"b"), "ignored"),
        (repeat(dt.timedelta(seconds=1), dt.timedelta(hours=1)), "numeric"),
        (repeat(dt.time(1), dt.time(2)), "numeric"),
        (repeat(decimal.Decimal("1.5"), decimal.Decimal("2.5")), "numeric"),
    ],
)
def test_the_role_follows_the_values(values, role):
    assert column(values).role == role


@pytest.mark.parametrize("name", ["id", "customerID", "user_id", "PassengerId", "row_number", "Unnamed: 0", "uuid"])
def test_a_name_that_says_id_makes_distinct_values_an_id(name):
    assert column([7, 3, 9], name).role == "id"
    assert column([7, 3, 3], name).role == "numeric"


@pytest.mark.parametrize("name", ["paid", "humid", "valid", "grid", "width"])
def test_a_name_that_only_ends_like_id_does_not(name):
    assert column([7, 3, 9], name).role == "numeric"


@pytest.mark.parametrize(
    ("values", "first"),
    [
        (["2024-01-31", "2023-02-01"], dt.datetime(2024, 1, 31)),
        (["2024-01-31T10:20:30Z", "2024-01-31T10:20:30.5+02:00"], dt.datetime(2024, 1, 31, 10, 20, 30)),
        (["2024-01-31T10:20:30.250", "2024-01-31T10:20:30"], dt.datetime(2024, 1, 31, 10, 20, 30, 250_000)),
        (["2024-01-31 10:20", "2024-01-31 11:20"], dt.datetime(2024, 1, 31, 10, 20)),
        (["31/01/2024", "01/02/2024"], dt.datetime(2024, 1, 31)),
        (["01/31/2024", "02/01/2024"], dt.datetime(2024, 1, 31)),
        (["2024/01/31", "2024/02/01"], dt.datetime(2024, 1, 31)),
        (["31-Jan-2024 10:20:30", "01-Feb-2024 10:20:30"], dt.datetime(2024, 1, 31, 10, 20, 30)),
        (["Jan 31, 2024", "Feb 1, 2024"], dt.datetime(2024, 1, 31)),
    ],
)
def test_dates_in_usual_spellings_are_read(values, first):
    table = pl.DataFrame({"when": repeat(*values, None)})
    schema = infer(table)
    assert schema.columns[0].role == "datetime"
    assert schema.apply(table)[0]["when"][0] == first
    assert Schema.from_dict(schema.to_dict()).apply(table[:1])[0]["when"][0] == first


def test_the_order_of_day_and_month_is_decided_by_what_reads_all_and_else_said():
    assert "does not read all" in column(["31/01/2024", "01/02/2024"]).why
    schema = infer({"when": ["03/01/2024", "04/02/2024", "05/03/2024"]})
    assert schema.columns[0].low == "2024-01-03T00:00:00"
    assert "cannot be told apart" in schema.notes[0]


def test_compact_dates_need_every_value_to_be_one():
    days = [f"2024{m:02d}{d:02d}" for m in range(1, 7) for d in range(1, 11)]
    assert column(days).format == "%Y%m%d"
    assert column([int(day) for day in days]).role == "datetime"
    assert column([*days[:-1], "20241399"]).role == "numeric"
    assert column(["1.2.3", "1.2.4", "2.0.0"]).role == "category"


def test_annotated_numbers_lose_the_note_and_are_counted():
    values = [str(i * 0.5) for i in range(97)] + ["ca. 5", "n.b.", "ca. 5"]
    schema = infer({"c": values})
    assert schema.columns[0].role == "numeric"
    assert schema.notes == ("c: 3 values that are no number ('ca. 5', 'n.b.') became missing",)


@pytest.mark.parametrize("word", ["", "NA", "n/a", " NaN ", "NULL", "None", "?", "-", "#N/A", "<NA>", "missing"])
def test_missing_values_in_all_their_spellings(word):
    table = pl.DataFrame({"label": repeat("a", "b", word), "number": repeat("1", "2", word)})
    typed, notes = infer(table).apply(table)
    assert typed["label"][:3].to_list() == ["a", "b", None]
    assert typed["number"][:3].to_list() == [1.0, 2.0, None]
    assert notes == []


def test_the_users_own_spellings_count_in_text_and_in_numbers():
    table = pl.DataFrame({"label": repeat("a", "b", "unknown"), "number": repeat(1, 2, -999)})
    typed, _ = infer(table, missing=["Unknown", "-999"]).apply(table)
    assert typed.row(2) == (None, None)


def test_infinite_numbers_become_missing_and_are_counted():
    table = pl.DataFrame({"c": [1.0, float("inf"), float("-inf"), float("nan"), 2.0]})
    schema = infer(table)
    assert schema.notes == ("c: 2 infinite values became missing",)
    typed, notes = schema.apply(table)
    assert typed["c"].null_count() == 3
    assert notes == ["c: 2 values could not be read as a number and became missing"]


def test_a_column_that_repeats_another_is_ignored():
    schema = infer({"a": repeat(1, 2, 3), "b": repeat("x", "y", "z"), "c": repeat(1.0, 2.0, 3.0), "d": repeat(3, 2, 1)})
    assert [c.role for c in schema.columns] == ["numeric", "category", "ignored", "numeric"]
    assert schema.columns[2].why == "same as a"


def test_what_the_user_says_wins():
    table = {
        "zip": repeat(1, 2, 3),
        "key": list(range(ROWS)),
        "day": repeat("2024-01-01", "soon"),
        "x": repeat("1", "a"),
    }
    roles = {"zip": "category", "key": "numeric", "day": "datetime", "x": "numeric"}
    schema = infer(table, roles, drop=["x"])
    assert [c.role for c in schema.columns] == ["category", "numeric", "datetime", "ignored"]
    assert schema.apply(pl.DataFrame(table))[0].row(0) == ("1", 0.0, dt.datetime(2024, 1, 1))
    assert schema.notes == (f"day: {ROWS // 2} values that are no datetime became missing",)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"roles": {"ag": "numeric"}}, r"data\.roles\.ag: .*did you mean 'age'"),
        ({"roles": {"age": "numerc"}}, r"data\.roles\.age=numerc: .*did you mean 'numeric'"),
        ({"drop": ["aeg"]}, r"data\.drop: .*'aeg'; did you mean 'age'"),
    ],
)
def test_unknown_columns_and_roles_name_the_key_and_the_nearest(said, message):
    with pytest.raises(ConfigError, match=message):
        infer({"age": [1.5, 2.5]}, **said)


def test_a_role_that_no_value_can_take_is_refused():
    with pytest.raises(DataError, match=r"data\.roles\.c=numeric: no value"):
        infer({"c": ["a", "b"]}, {"c": "numeric"})


def test_no_column_left_says_why_each_went():
    with pytest.raises(DataError, match=r"id: id, .*; k: constant, only the value '3'"):
        infer({"id": [5, 3], "k": [3, 3]})
    with pytest.raises(DataError, match=r"1 sample\(s\)"):
        infer({"a": [1.0]})


TRAIN = pl.DataFrame(
    {
        "age": [31.0, 45.0, 22.0],
        "city": ["Rome", "Oslo", "Rome"],
        "day": ["2024-01-02", "2024-02-01", None],
        "k": [1, 1, 1],
    }
)


def test_columns_are_matched_by_name_and_strangers_noted():
    schema = infer(TRAIN)
    table = TRAIN.select("day", "city", "age").with_columns(extra=1)
    typed, notes = schema.apply(table)
    assert typed.columns == ["age", "city", "day"]
    assert notes == ["1 column(s) that were not there at fit ignored: extra"]


def test_missing_columns_are_named_with_the_nearest_present():
    with pytest.raises(DataError, match=r"1 of 3 columns seen at fit are missing: 'city' \(is it 'City'\?\)"):
        infer(TRAIN).apply(TRAIN.rename({"city": "City"}))


def test_an_array_is_matched_by_position():
    schema = infer(TRAIN)
    typed, _ = schema.apply(TRAIN.rename(dict(zip(TRAIN.columns, ["x0", "x1", "x2", "x3"], strict=True))))
    assert typed.equals(schema.apply(TRAIN)[0])
    with pytest.raises(DataError, match="X has 1 features, but AutoML is expecting 4 features as input"):
        schema.apply(pl.DataFrame({"x0": [1.0]}))


def test_other_types_at_predict_are_converted_and_losses_counted():
    schema = infer(TRAIN)
    table = pl.DataFrame({"age": ["31", "old", "NA"], "city": [1, 2, None], "day": [dt.date(2024, 1, 2), None, None]})
    typed, notes = schema.apply(table)
    assert typed.rows() == [(31.0, "1", dt.datetime(2024, 1, 2)), (None, "2", None), (None, None, None)]
    assert notes == ["age: 1 value could not be read as a number and became missing"]
    typed, notes = schema.apply(table.with_columns(age=pl.lit([1])))
    assert typed["age"].null_count() == 3
    assert notes == ["age: 3 values could not be read as a number and became missing"]


def test_dates_that_had_a_type_at_fit_may_arrive_as_text():
    schema = infer({"day": [dt.date(2024, 1, 2), dt.date(2024, 1, 3)]})
    typed, _ = schema.apply(pl.DataFrame({"day": ["2024-01-02", "2024-01-03T10:00:00Z"]}))
    assert typed["day"].to_list() == [dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 3, 10)]


def test_a_zoned_moment_becomes_utc():
    when = pl.Series("when", [dt.datetime(2024, 7, 1, 12), dt.datetime(2024, 7, 2, 12)]).dt.replace_time_zone(
        "Europe/Rome"
    )
    assert infer({"when": when}).apply(pl.DataFrame({"when": when}))[0]["when"][0] == dt.datetime(2024, 7, 1, 10)


def test_a_time_of_day_alone_is_the_same_number_as_among_others():
    table = pl.DataFrame({"at": [None, dt.time(microsecond=1), dt.time(1, 0, 0, 7)]})
    schema = infer(table)
    typed, _ = schema.apply(table)
    assert typed["at"][2] == pytest.approx(3600.000007, abs=1e-12)
    for i in range(3):
        assert schema.apply(table[i : i + 1])[0].row(0) == typed.row(i)


def test_the_same_data_from_every_source_gives_the_same_table(tmp_path):
    table = pl.DataFrame(
        {
            "number": repeat(1.5, 2.0, None, -4.25),
            "whole": repeat(1, 5, None),
            "label": repeat("a", "b c", None, "d"),
            "flag": repeat(True, False, None),
            "day": repeat(dt.datetime(2024, 1, 2, 3, 4, 5), dt.datetime(2023, 1, 1), None),
            "text": [f"some words number{i} here" for i in range(ROWS)],
            "key": range(ROWS),
        }
    )
    table.write_csv(tmp_path / "t.csv")
    table.write_csv(tmp_path / "t.tsv", separator="\t")
    table.write_parquet(tmp_path / "t.parquet")
    table.write_ipc(tmp_path / "t.arrow")
    table.write_ndjson(tmp_path / "t.jsonl")
    files = [tmp_path / f"t.{suffix}" for suffix in ("csv", "tsv", "parquet", "arrow", "jsonl")]
    wanted = infer(table)
    assert [c.role for c in wanted.columns] == ["numeric", "numeric", "category", "boolean", "datetime", "text", "id"]
    for source in [*files, table.to_pandas(), table.to_arrow(), table.lazy()]:
        found = read_with(source, READERS)
        schema = infer(found)
        assert [c.role for c in schema.columns] == [c.role for c in wanted.columns], source
        assert schema.apply(found)[0].equals(wanted.apply(table)[0]), source
        assert wanted.apply(found)[0].equals(wanted.apply(table)[0]), source


def test_one_row_of_fifteen_columns_takes_about_a_millisecond():
    table = pl.DataFrame(
        {**{f"n{i}": repeat(1.0, 2.0 + i) for i in range(8)}, **{f"s{i}": repeat("a", str(i), "b") for i in range(7)}}
    )
    schema, row = infer(table), table[:1]
    schema.apply(row)
    took = []
    for _ in range(30):
        start = time.perf_counter()
        schema.apply(row)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.002


@pytest.mark.parametrize(
    ("values", "wanted", "dtype"),
    [
        (["1", "2", " 3 ", ""], [1, 2, 3, None], pl.Int64),
        (["1.5", "2", "NA"], [1.5, 2.0, None], pl.Float64),
        (["1.5", "inf"], [1.5, None], pl.Float64),
        (["true", "False", None], [True, False, None], pl.Boolean),
        (["yes", "no", "?"], ["yes", "no", None], pl.String),
        (["none", "-", "mild"], ["none", "-", "mild"], pl.String),
        (["01", "02"], ["01", "02"], pl.String),
        ([1.0, float("nan"), float("inf")], [1.0, None, None], pl.Float64),
        ([1, 2], [1, 2], pl.Int64),
    ],
)
def test_the_target_gets_the_type_of_its_values(values, wanted, dtype):
    typed = typed_target(pl.Series("y", values))
    assert typed.to_list() == wanted
    assert typed.dtype == dtype


def test_a_categorical_target_stays_labels_and_a_nested_one_is_refused():
    assert typed_target(pl.Series("y", ["1", "2"], dtype=pl.Categorical)).to_list() == ["1", "2"]
    assert typed_target(pl.Series("y", ["a", "none"]), ["none"]).to_list() == ["a", None]
    with pytest.raises(DataError, match="target 'y' holds List"):
        typed_target(pl.Series("y", [[1], [2]]))


def test_five_thousand_columns_are_inferred_in_seconds():
    table = pl.DataFrame(np.random.default_rng(0).random((10, 5000)))
    start = time.perf_counter()
    assert len(infer(table).features) == 5000
    assert time.perf_counter() - start < 20


words = st.sampled_from(
    ["1", "2.5", "007", "NA", "", "a", "b c d e", "true", "2024-01-01", "31/12/2023", "inf", "é", "20240101"]
)
kinds = st.sampled_from(
    [
        words,
        st.text(max_size=6),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 3),
        st.floats(),
        st.booleans(),
        st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)),
        st.dates(),
        st.times(),
        st.timedeltas(dt.timedelta(days=-999), dt.timedelta(days=999)),
        st.binary(max_size=2),
        st.lists(st.integers(0, 3), max_size=2),
        words | st.integers() | st.floats() | st.booleans(),
    ]
)


@st.composite
def tables(draw):
    rows = draw(st.integers(1, 30))
    cells = [
        draw(st.lists(draw(kinds) | st.none(), min_size=rows, max_size=rows)) for _ in range(draw(st.integers(1, 4)))
    ]
    frame = pd.DataFrame({f"c{i}": pd.Series(column, dtype=object) for i, column in enumerate(cells)})
    return read_with(frame, READERS)


@settings(max_examples=120, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_any_table_is_typed_or_refused_in_words(table, random):
    try:
        schema = infer(table)
    except DataError:
        return
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    typed, _ = schema.apply(table)
    assert typed.height == table.height
    assert schema.apply(typed)[0].equals(typed)
    some = sorted(random.sample(range(table.height), max(1, table.height // 2)))
    assert schema.apply(table[some])[0].equals(typed[some])


@settings(max_examples=60, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_role_but_id(table, random):
    order = list(range(table.height))
    random.shuffle(order)
    try:
        before = infer(table)
    except DataError:
        return
    after = infer(table[order])
    for one, other in zip(before.columns, after.columns, strict=True):
        assert one.role == other.role or "id" in (one.role, other.role)
        assert one.role in ROLES


def test_a_very_long_column_of_measurements_is_seen_at_a_glance():
    values = np.random.default_rng(0).normal(size=400_000).astype(np.float32)
    values[:5], values[5:7] = np.nan, np.inf
    found = guess(pl.Series("x", values), Missing.of([]))
    assert (found.role, found.missing, found.notes) == ("numeric", 7, ["2 infinite values became missing"])
    assert found.unique == pytest.approx(len(np.unique(values[7:])), rel=0.05)


def test_measurements_are_known_by_one_look_at_their_numbers(monkeypatch):
    """An expression for each of 5,000 columns of 10,000 rows took five of the seconds to a first predictor."""
    values = np.random.default_rng(0).normal(size=20_000)
    values[:5], values[5:9] = np.nan, 0.25
    monkeypatch.setattr(roles, "evaluate", None)
    found = guess(pl.Series("x", values), Missing.of([]))
    assert (found.role, found.missing, found.unique) == ("numeric", 5, 19_992)
    assert (found.low, found.high) == (np.nanmin(values), np.nanmax(values))


def test_a_very_long_column_may_yet_be_a_constant_or_an_id():
    assert guess(pl.Series("x", np.full(400_000, 0.5)), Missing.of([])).role == "constant"
    assert guess(pl.Series("x", np.arange(400_000, dtype=np.float64)), Missing.of([])).role == "id"


def test_columns_of_the_same_figures_are_compared_by_a_digest_not_each_with_each(monkeypatch):
    rng = np.random.default_rng(0)
    levels = [f"level {i}" for i in range(5)]
    columns = {f"c{i}": rng.permutation(levels * 8) for i in range(120)}
    table = pl.DataFrame({**columns, "twin": columns["c7"]})
    looked = []
    cells = _Twins._cells
    monkeypatch.setattr(_Twins, "_cells", lambda self, *said: looked.append(said) or cells(self, *said))
    schema = Schema.infer(table, roles={}, drop=[], missing=[])
    assert [(c.name, c.why) for c in schema.columns if c.role == "ignored"] == [("twin", "same as c7")]
    assert len(looked) <= table.width + 2
    longer = pl.concat([table] * 50).with_columns(late=pl.concat([table["c7"]] * 49 + [table["c7"].reverse()]))
    looked.clear()
    schema = Schema.infer(longer, roles={}, drop=[], missing=[])
    assert [(c.name, c.why) for c in schema.columns if c.role == "ignored"] == [("twin", "same as c7")]
    assert sum(len(said) == 1 or said[1] is None for said in looked) <= 6, "few are read whole"


@given(
    st.lists(st.floats(width=32) | st.sampled_from([None, 0.5, math.inf, -0.0]), min_size=2, max_size=60),
    st.sampled_from([pl.Float32, pl.Float64]),
)
@settings(max_examples=150, deadline=None)
def test_what_is_seen_at_a_glance_is_what_a_closer_look_says(values, dtype):
    column = pl.Series("size", [*values, *np.linspace(0.1, 7.3, 25).tolist()], dtype=dtype)
    quick = guess(column, Missing.of([]))
    closely = guess(column, Missing.of(["123456.5"]))  # with a number that stands for missing it must look closely
    assert (quick.role, quick.why, quick.unique, quick.missing, quick.notes) == (
        closely.role,
        closely.why,
        closely.unique,
        closely.missing,
        closely.notes,
    )
    assert quick.low is not None, "it was at a glance"
    inferred = [
        Schema.infer(column.to_frame(), roles={}, drop=[], missing=missing).columns[0] for missing in ([], ["123456.5"])
    ]
    assert inferred[0] == inferred[1]
