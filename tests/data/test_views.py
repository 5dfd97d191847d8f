"""Views: what they promise to any table, and to a family that eats them."""

import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from automl.data.arrays import ArrayView
from automl.data.schema import Column, Schema
from automl.data.text import Text, read
from automl.data.views import View, fit_view, load_view
from automl.errors import ConfigError, DataError, StorageError

DTYPES = {
    "numeric": pl.Float64,
    "boolean": pl.Boolean,
    "category": pl.String,
    "text": pl.String,
    "datetime": pl.Datetime("us"),
}


def schema_of(**roles: str) -> Schema:
    kinds = {"numeric": "float", "boolean": "boolean", "datetime": "datetime"}
    return Schema(tuple(Column(name, role, kinds.get(role, "string")) for name, role in roles.items()), 0)


def table_of(columns: dict[str, list], roles: dict[str, str]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(name, values, dtype=DTYPES[roles[name]]) for name, values in columns.items()})


def mixed(rows: int = 300, seed: int = 0) -> tuple[pl.DataFrame, Schema]:
    """15 columns of every role, with missing values in some."""
    rng = np.random.default_rng(seed)
    gone = rng.random(rows) < 0.2
    columns: dict[str, object] = {f"n{i}": rng.normal(size=rows) for i in range(4)}
    columns |= {f"s{i}": np.where(gone, np.nan, rng.lognormal(sigma=2, size=rows)) for i in range(3)}
    columns |= {"b": rng.random(rows) < 0.5}
    columns |= {f"c{i}": [f"level {j}" for j in rng.integers(0, 3 + 30 * i, rows)] for i in range(5)}
    columns |= {"when": np.datetime64("2020-02-27", "us") + rng.integers(0, 10**13, rows)}
    columns |= {"said": [f"the {a} fox jumps over {b} dogs" for a, b in rng.integers(0, 40, (rows, 2))]}
    table = pl.DataFrame(columns).with_columns(pl.col("^s.$").fill_nan(None))
    roles = {"n": "numeric", "b": "boolean", "c": "category", "w": "datetime"}
    return table, schema_of(**{name: "text" if name == "said" else roles.get(name[0], "numeric") for name in columns})


def fitted(kind: str, table: pl.DataFrame, schema: Schema) -> View:
    """A view fitted with a target of three classes, which only `encoded` looks at."""
    return fit_view(kind, table, schema, np.arange(table.height) % 3, 3)


# Any table


VALUES = {
    "numeric": st.floats(allow_subnormal=True) | st.sampled_from([0.0, -0.0, 1e300, -1e300, 5e-324, 1.0, 2.0]),
    "boolean": st.booleans(),
    "category": st.sampled_from(["a", "b", "", "é", "a "]) | st.text(max_size=3),
    "text": st.sampled_from(["", " ", "good film", "a very good film", "bad film indeed"]) | st.text(max_size=30),
    "datetime": st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame, Schema]:
    """Training rows, other rows that may hold anything, and their schema."""
    listed = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5))
    roles = {f"x{i}": role for i, role in enumerate(listed)}
    train, test = draw(st.integers(1, 12)), draw(st.integers(0, 6))

    def rows(count: int) -> pl.DataFrame:
        columns = {
            name: draw(st.lists(st.none() | VALUES[role], min_size=count, max_size=count))
            for name, role in roles.items()
        }
        return table_of(columns, roles)

    return rows(train), rows(test), schema_of(**roles)


any_table = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@any_table
@given(tables(), st.sampled_from(["codes", "encoded", "dense"]), st.randoms(use_true_random=False))
def test_any_table_becomes_a_sound_array(drawn, kind, random):
    train, test, schema = drawn
    view = fitted(kind, train, schema)
    both = pl.concat([train, test])
    out = view.transform(both)

    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    assert out.shape == (both.height, len(view.names))
    assert len(set(view.names)) == len(view.names)
    assert not np.isinf(out).any()
    if kind == "dense":
        assert not np.isnan(out).any()
        assert np.abs(out).max(initial=0) <= 10
    for j, levels in view.categories.items():
        codes = out[:, j][~np.isnan(out[:, j])]
        assert ((codes >= 0) & (codes < levels) & (codes == np.floor(codes))).all()

    chosen = [random.randrange(both.height) for _ in range(5)]
    np.testing.assert_array_equal(view.transform(both[chosen]), out[chosen])

    with tempfile.TemporaryDirectory() as folder:
        view.save(Path(folder))
        loaded = load_view(Path(folder))
    assert (loaded.kind, loaded.names, loaded.categories, loaded.notes) == (
        kind,
        view.names,
        view.categories,
        view.notes,
    )
    assert loaded.transform(both).tobytes() == out.tobytes()


# numbers whose map to a normal shape rounds up just below 0
STEEP = [0.0] * 6 + [2.4e7, 3003442981240832.0, 4.421510346938778e16, 4.421510776435507e16, 4.421510776435507e16]
STEEP += [6.445100938821632e16, 1.0, -3255177188474880.0, -3255176920039424.0, -3425530623819776.0, -3445789716119552.0]
STEEP += [-4.418228132931174e16, -4.418228132931174e16, -float("inf")]


@any_table
@given(st.lists(st.floats(width=32), min_size=1, max_size=40), st.lists(st.floats(allow_nan=False), min_size=2))
@example(STEEP, [0.0, -0.25])
def test_dense_keeps_the_order_of_numbers(train, test):
    view = fit_view("dense", pl.DataFrame({"x": train}), schema_of(x="numeric"))
    rounding = 1e-6  # a step of float32 at the largest values that there are, ±10
    assert (np.diff(view.transform(pl.DataFrame({"x": sorted(test)}))[:, 0]) >= -rounding).all()


@pytest.mark.parametrize("kind", ["codes", "encoded", "dense"])
def test_a_row_is_encoded_alike_in_any_batch(kind, monkeypatch):
    table, schema = mixed(700)
    view = fitted(kind, table[:200], schema)
    whole = view.transform(table)
    monkeypatch.setattr("automl.data.arrays._CHUNK_ROWS", 97)
    np.testing.assert_array_equal(view.transform(table), whole)
    np.testing.assert_array_equal(view.transform(table.reverse())[::-1], whole)
    np.testing.assert_array_equal(np.vstack([view.transform(table[i]) for i in range(30)]), whole[:30])


@pytest.mark.parametrize("kind", ["codes", "encoded", "dense"])
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_few_rows_are_enough(kind, rows):
    table, schema = mixed(50)
    out = fitted(kind, table[:rows], schema).transform(table)
    assert out.shape[0] == 50
    assert kind != "dense" or np.isfinite(out).all()


def test_columns_missing_in_all_training_rows_are_constant_in_dense():
    table, schema = mixed(40)
    nothing = table.select(pl.lit(None, dtype=dtype).alias(name) for name, dtype in table.schema.items())
    nothing = pl.concat([nothing] * 5)
    dense = fit_view("dense", nothing, schema)
    assert np.isfinite(dense.transform(table)).all()
    assert (np.ptp(dense.transform(nothing), axis=0) == 0).all()
    codes = fit_view("codes", nothing, schema)
    assert codes.categories == {}
    assert codes.transform(table).shape == (40, len(codes.names))


def test_roles_that_are_no_features_are_skipped_present_or_not():
    table, schema = mixed(20)
    more = Schema((*schema.columns, Column("id", "id", "string"), Column("k", "constant", "float")), 20)
    for kind in ("codes", "encoded", "dense", "frame"):
        view = fitted(kind, table.with_columns(id=pl.lit("x")), more)
        assert len(view.transform(table)) == 20
        assert not {"id", "k"} & set(view.names)


def test_a_table_without_features_is_an_array_without_columns():
    table = pl.DataFrame({"id": ["a", "b"]})
    for kind in ("codes", "encoded", "dense", "texts"):
        assert fitted(kind, table, schema_of(id="id")).transform(table).shape == (2, 0)


# What each kind says


def test_frame_is_the_features_in_schema_order():
    table, schema = mixed(10)
    shuffled = table.select(reversed(table.columns)).with_columns(extra=pl.lit(1))
    view = fit_view("frame", table, schema)
    assert view.transform(shuffled).equals(table)
    assert view.names == table.columns


def test_codes_keep_numbers_and_clip_only_what_float32_cannot_hold():
    table = pl.DataFrame({"x": [1.5, None, float("nan"), 1e300, float("-inf")], "b": [True, False, None, True, True]})
    out = fit_view("codes", table, schema_of(x="numeric", b="boolean")).transform(table)
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(out[:, 0], np.float32([1.5, np.nan, np.nan, largest, -largest]))
    np.testing.assert_array_equal(out[:, 1], np.float32([1, 0, np.nan, 1, 1]))


def test_codes_go_by_frequency_and_the_unseen_are_nan():
    view = fit_view("codes", pl.DataFrame({"c": ["z", "b", "b", "z", "z", "a", None]}), schema_of(c="category"))
    out = view.transform(pl.DataFrame({"c": ["z", "b", "a", "new", None]}))
    np.testing.assert_array_equal(out[:, 0], np.float32([0, 1, 2, np.nan, np.nan]))
    assert view.categories == {0: 3}


def test_rare_levels_beyond_a_thousand_share_a_code_and_it_is_said():
    levels = ["often"] * 3 + [f"level {i}" for i in range(1200)]
    view = fit_view("codes", pl.DataFrame({"c": levels}), schema_of(c="category"))
    out = view.transform(pl.DataFrame({"c": [*levels, "new"]}))
    assert view.names == ["c", "c:count"]
    assert view.categories == {0: 1001}
    assert (out[:, 0] == 1000).sum() == 201
    assert np.isnan(out[-1, 0])
    np.testing.assert_allclose(out[[0, 5, -1], 1], np.log([4, 2, 1]), rtol=1e-6)
    assert view.notes == ["'c': the 201 levels after the 1,000 most frequent share one code"]


def test_dense_imputes_the_median_and_says_what_was_missing():
    view = fit_view(
        "dense", pl.DataFrame({"x": [1.0, 2.0, None, 4.0], "y": [1.0, 2, 3, 4]}), schema_of(x="numeric", y="numeric")
    )
    assert view.names == ["x", "y", "x:missing"]
    out = view.transform(pl.DataFrame({"x": [None, 2.0, 1e300], "y": [None, 2.5, 2.5]}))
    assert out[0, 0] == out[1, 0]
    assert out[2, 0] == 10
    assert out[:, 2].tolist() == [1, 0, 0]
    assert out[:, 1].tolist() == [0, 0, 0]


def test_dense_makes_a_skewed_column_normal_and_leaves_a_symmetric_one_linear():
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"skewed": rng.lognormal(sigma=2, size=2000), "even": rng.normal(50, 3, 2000)})
    out = fit_view("dense", table, schema_of(skewed="numeric", even="numeric")).transform(table)
    assert abs((out[:, 0] ** 3).mean()) < 0.05
    np.testing.assert_allclose(out.std(axis=0), 1, atol=0.01)
    even = table["even"].to_numpy()
    np.testing.assert_allclose(out[:, 1], (even - even.mean()) / even.std(), atol=1e-5)


def test_one_hot_has_places_for_missing_and_rare_levels_that_training_had():
    few = fit_view("dense", pl.DataFrame({"c": ["b", "b", "a", None]}), schema_of(c="category"))
    assert few.names == ["c=b", "c=a", "c=<missing>"]
    out = few.transform(pl.DataFrame({"c": ["b", "a", None, "new"]}))
    assert out.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]

    levels = [f"{i}" for i in range(50)]
    many = fit_view("dense", pl.DataFrame({"c": [*levels, *levels[:40]]}), schema_of(c="category"))
    assert many.names[40:] == ["c=<other>", "c:count"]
    out = many.transform(pl.DataFrame({"c": ["0", "45", "new", None]}))
    assert out[:, :41].sum(axis=1).tolist() == [1, 1, 1, 0]
    assert out[:, 40].tolist() == [0, 1, 1, 0]
    assert out[0, 41] > out[1, 41] > out[2, 41]


def test_one_hot_keeps_fewer_levels_where_it_would_be_too_wide():
    columns = {f"c{i}": [f"{j % 45}" for j in range(90)] for i in range(200)}
    view = fit_view("dense", pl.DataFrame(columns), schema_of(**dict.fromkeys(columns, "category")))
    assert 4000 < len(view.names) <= 5000
    assert "23 levels each" in view.notes[0]


def test_names_never_clash():
    table = pl.DataFrame({"c=a": [1.0, 2.0], "c": ["a", "b"], "c=a#2": [1.0, 2.0]})
    view = fit_view("dense", table, schema_of(**{"c=a": "numeric", "c": "category", "c=a#2": "numeric"}))
    assert view.names == ["c=a", "c=a#2", "c=a#3", "c=b"]


# Cost


def test_one_row_of_15_columns_takes_less_than_a_millisecond_at_its_best():
    table, schema = mixed(500)
    one = table[3]
    for kind in ("codes", "encoded", "dense"):
        view = fitted(kind, table, schema)
        assert min(_seconds(lambda view=view: view.transform(one)) for _ in range(30)) < 0.001


def test_thousands_of_columns_are_one_block():
    wide = pl.DataFrame(np.random.default_rng(0).lognormal(size=(200, 5000)))
    schema = schema_of(**dict.fromkeys(wide.columns, "numeric"))
    for kind in ("codes", "dense"):
        start = time.perf_counter()
        out = fit_view(kind, wide, schema).transform(wide)
        assert time.perf_counter() - start < 5
        assert out.shape == (200, 5000)


def test_loading_and_transforming_a_table_without_text_imports_no_scikit_learn(tmp_path):
    table, schema = mixed(60)
    roles = {column.name: column.role for column in schema.columns if column.role != "text"}
    fit_view("dense", table, schema_of(**roles)).save(tmp_path)
    table.write_parquet(tmp_path / "rows.parquet")
    code = (
        "import sys, pathlib, polars; from automl.data.views import load_view; at = pathlib.Path(sys.argv[1]);"
        "load_view(at).transform(polars.read_parquet(at / 'rows.parquet'));"
        "sys.exit('sklearn' in sys.modules or 'scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0


# What views share


@pytest.mark.parametrize("kind", ["codes", "encoded", "dense"])
def test_texts_that_were_read_before_give_the_same_bits(kind):
    table, schema = mixed(120)
    table = table.with_columns(pl.when(pl.col("n0") > 1).then(None).otherwise(pl.col("said")).alias("said"))
    y = np.arange(120) % 3
    shared = fitted("texts", table, schema)
    assert isinstance(shared, ArrayView)
    texts = [source for source in shared.direct if isinstance(source, Text)]
    told = read(table, texts, shared.transform(table))
    view, alone = fit_view(kind, told, schema, y, 3, texts), fit_view(kind, table, schema, y, 3)
    assert view.names == alone.names
    assert view.training(told, y).tobytes() == alone.training(table, y).tobytes()
    assert view.transform(table[:50]).tobytes() == view.transform(told[:50]).tobytes()


@pytest.mark.parametrize("kind", ["codes", "dense", "frame"])
def test_training_rows_are_as_any_where_the_target_plays_no_part(kind):
    table, schema = mixed(100)
    view = fitted(kind, table, schema)
    rows, same = view.training(table, np.arange(100) % 3), view.transform(table)
    assert rows.equals(same) if kind == "frame" else rows.tobytes() == same.tobytes()


# Errors


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'dense'"):
        fit_view("dens", pl.DataFrame({"x": [1.0]}), schema_of(x="numeric"))


def test_no_rows_is_an_error():
    with pytest.raises(DataError, match="at least one training row"):
        fit_view("codes", pl.DataFrame({"x": []}, schema={"x": pl.Float64}), schema_of(x="numeric"))


@pytest.mark.parametrize("damage", ["missing", "cut", "nonsense"])
@pytest.mark.parametrize("file", ["view.json", "view.npz"])
def test_a_damaged_file_is_refused_by_name(tmp_path, file, damage):
    table, schema = mixed(30)
    fit_view("dense", table, schema).save(tmp_path)
    path = tmp_path / file
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100] if damage == "cut" else b"{}")
    with pytest.raises(StorageError, match="view"):
        load_view(tmp_path)


def test_a_pickle_inside_an_npz_is_refused(tmp_path):
    table, schema = mixed(30)
    fit_view("dense", table, schema).save(tmp_path)
    with np.load(tmp_path / "view.npz") as arrays:
        stored = dict(arrays)
    np.savez(tmp_path / "view.npz", **{name: np.array([print], dtype=object) for name in stored})
    with pytest.raises(StorageError, match="allow_pickle"):
        load_view(tmp_path)


def test_saving_where_there_is_no_folder_is_a_storage_error(tmp_path):
    table, schema = mixed(10)
    with pytest.raises(StorageError, match="cannot write"):
        fit_view("codes", table, schema).save(tmp_path / "nowhere")


def _seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def test_joint_columns_keep_their_proportions_and_dense_ones_do_not():
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"loud": rng.exponential(8.0, 400), "quiet": rng.normal(0, 0.5, 400)})
    table = table.with_columns(pl.when(pl.int_range(400) < 5).then(None).otherwise("quiet").alias("quiet"))
    schema = Schema.infer(table, roles={}, drop=[], missing=[])
    typed, _ = schema.apply(table)
    joint, dense = (fit_view(kind, typed, schema).transform(typed)[5:] for kind in ("joint", "dense"))
    raw = typed.to_numpy()[5:]
    assert np.isfinite(joint).all()
    for j in (0, 1):
        assert np.corrcoef(joint[:, j], raw[:, j])[0, 1] > 0.9999, "no column is bent"
    assert joint[:, 0].std() / joint[:, 1].std() == pytest.approx(raw[:, 0].std() / raw[:, 1].std(), rel=0.01)
    assert dense[:, 0].std() / dense[:, 1].std() == pytest.approx(1, rel=0.05)
