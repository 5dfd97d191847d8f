import gzip
import os

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from automl.data.read import Reader, automl_readers
from automl.data.read import read as read_with
from automl.errors import DataError, StorageError

READERS = {reader.name: reader for reader in automl_readers()}


def read(source):
    return read_with(source, READERS)


def written(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_separator_is_found_in_the_header(tmp_path, mark):
    table = read(written(tmp_path, f"a{mark}b{mark}c\n1{mark}x y{mark}\n"))
    assert table.rows() == [("1", "x y", "")]


def test_csv_cells_stay_text_and_quotes_may_hold_separators_and_newlines(tmp_path):
    table = read(written(tmp_path, '\n"a\nb",c\r\n007,"x, ""y""\nz"\r\n\r\n1,2\r\n'))
    assert table.columns == ["a\nb", "c"]
    assert table.rows() == [("007", 'x, "y"\nz'), ("1", "2")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    assert read(written(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n")).columns == ["a", "b"]


def test_a_blank_line_in_a_file_of_one_column_is_a_row(tmp_path):
    assert read(written(tmp_path, "a\n1\n\n2\n"))["a"].to_list() == ["1", "", "2"]


def test_an_unnamed_column_gets_a_name_from_its_place(tmp_path):
    assert read(written(tmp_path, ",a\n0,1\n")).columns == ["column_1", "a"]


def test_gzip_is_unpacked(tmp_path):
    assert read(written(tmp_path, gzip.compress(b"a,b\n1,2\n"), "t.csv.gz")).rows() == [("1", "2")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"  \n \n", "empty"),
        (b"a,b\n", "a header and no rows"),
        (b"a,b\n1,2\n3\n", "line 3: 1 cell, but the header has 2"),
        (b"a,b\n1,2\n\n3,4,5\n", "line 4: 3 cells, but the header has 2"),
        (b'a,b\n1,2\n"3,4\n5,6\n', "lines 3 to 4: 1 cell.*never closed"),
        (b"a,b\nx,1\n\xe9t\xe9,2\n", r"line 3, byte 8 \(0xe9\) is not UTF-8; as windows-1252 it is '.*été.*UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a,b,a\n1,2,3\n", "duplicate column name 'a': columns 1 and 3"),
        (b"a,b\n\0\0\n", "not a text file"),
    ],
)
def test_a_broken_csv_says_what_and_where(tmp_path, content, said):
    with pytest.raises(DataError, match=said):
        read(written(tmp_path, content))


def test_a_missing_file_names_the_nearest(tmp_path):
    written(tmp_path, "a\n1\n", "train.csv")
    with pytest.raises(DataError, match=r"did you mean '.*train\.csv'"):
        read(tmp_path / "trian.csv")
    with pytest.raises(DataError, match="there is no folder"):
        read(tmp_path / "nowhere" / "train.csv")


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.csv.gz", "t.json"])
def test_a_file_that_is_not_what_its_suffix_says_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=r"t\.\w+"):
        read(written(tmp_path, "this is text\nand more\n", name))


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=r"no reader for \.parqet; did you mean '\.parquet'\? Known suffixes: \.csv"):
        read(written(tmp_path, "x", "t.parqet"))


def test_an_unknown_scheme_or_example_names_the_nearest():
    with pytest.raises(DataError, match="unknown scheme 'sklaern'; did you mean 'sklearn'"):
        read("sklaern:iris")
    with pytest.raises(DataError, match="did you mean 'iris'"):
        read("sklearn:irs")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission_is_a_storage_error(tmp_path):
    path = written(tmp_path, "a\n1\n")
    path.chmod(0)
    with pytest.raises(StorageError, match="no permission"):
        read(path)


def test_what_a_reader_is_refused_by_the_system_is_a_storage_error(tmp_path):
    def refused(path):
        raise PermissionError(13, "Permission denied", path)

    with pytest.raises(StorageError, match="no permission"):
        read_with(written(tmp_path, "x", "t.secret"), {"secret": Reader("secret", refused, suffixes=(".secret",))})


def test_a_third_partys_reader_may_return_any_frame_and_break(tmp_path):
    path = written(tmp_path, "x", "t.mine")
    reader = Reader("mine", lambda path: pd.DataFrame({"a": [1]}), suffixes=(".mine",))
    assert read_with(path, {"mine": reader}).rows() == [(1,)]
    with pytest.raises(DataError, match="not a readable mine file: division by zero"):
        read_with(path, {"mine": Reader("mine", lambda path: 1 / 0, suffixes=(".mine",))})


def test_a_glob_a_list_and_a_folder_stack_their_files_by_name(tmp_path):
    for i in range(2):
        pl.DataFrame({"a": [i], "b": ["x"]}).select(["a", "b"][:: 1 - 2 * i]).write_parquet(tmp_path / f"{i}.parquet")
    wanted = [(0, "x"), (1, "x")]
    assert read(str(tmp_path / "*.parquet")).rows() == wanted
    assert read(tmp_path).rows() == wanted
    assert read([tmp_path / "0.parquet", str(tmp_path / "1.parquet")]).rows() == wanted


def test_folder_names_of_a_partitioned_folder_are_columns(tmp_path):
    for year in (2020, 2021):
        (tmp_path / f"year={year}").mkdir()
        pl.DataFrame({"a": [year % 10]}).write_parquet(tmp_path / f"year={year}" / "0.parquet")
    assert read(tmp_path).rows() == [(0, "2020"), (1, "2021")]


def test_files_that_do_not_match_are_named_with_their_columns(tmp_path):
    written(tmp_path, "a,b\n1,2\n", "1.csv")
    written(tmp_path, "a,c\n1,2\n", "2.csv")
    with pytest.raises(DataError, match=r"2\.csv.*1\.csv: it lacks 'b' and has 'c' besides"):
        read(str(tmp_path / "*.csv"))
    with pytest.raises(DataError, match="no file matches"):
        read(str(tmp_path / "*.parquet"))
    with pytest.raises(DataError, match="no Parquet file"):
        read(tmp_path)


def test_json_lines_may_mix_types_and_lack_keys(tmp_path):
    table = read(written(tmp_path, '{"a": 1, "b": true}\n{"a": "x"}\n{"a": 2.5, "b": 3}\n', "t.jsonl"))
    assert table.rows() == [("1", "True"), ("x", None), ("2.5", "3")]
    assert read(written(tmp_path, '[{"a": 1}, {"a": 2}]', "t.json")).rows() == [(1,), (2,)]
    with pytest.raises(DataError, match="line 2 is not JSON"):
        read(written(tmp_path, '{"a": 1}\n{"a": \n', "broken.jsonl"))


def test_arrow_files_and_streams_are_read(tmp_path):
    frame = pl.DataFrame({"a": [1, 2]})
    frame.write_ipc(tmp_path / "file.feather")
    frame.write_ipc_stream(tmp_path / "stream.arrow")
    assert read(tmp_path / "file.feather").equals(frame)
    assert read(tmp_path / "stream.arrow").equals(frame)


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        ("iris", (150, 5), pl.String),
        ("wine", (178, 14), pl.String),
        ("breast_cancer", (569, 31), pl.String),
        ("digits", (1797, 65), pl.Int64),
        ("diabetes", (442, 11), pl.Float64),
    ],
)
def test_bundled_examples_have_a_target(name, shape, kind):
    table = read(f"sklearn:{name}")
    assert table.shape == shape
    assert table["target"].dtype == kind


def test_arrays_and_lists_get_column_names_and_types():
    assert read(np.array([[1.5, 2], [3, 4]])).to_dict(as_series=False) == {"x0": [1.5, 3.0], "x1": [2.0, 4.0]}
    assert read([[1, "a"], [2, None]]).schema == {"x0": pl.Int64, "x1": pl.String}
    mixed = np.array([[1, 2.0], ["a", float("nan")], [True, 3.0]], dtype=object)
    assert read(mixed).rows() == [("1", 2.0), ("a", None), ("True", 3.0)]
    assert read(np.ma.array([[1, 2], [3, 4]], mask=[[0, 1], [0, 0]])).rows() == [(1, None), (3, 4)]
    assert read(np.ones((2, 1), np.float16)).rows() == [(1.0,), (1.0,)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (np.ones(3), "Expected 2D array, got 1D array.*Reshape your data"),
        (pd.Series([1.0]), "Expected 2D array"),
        ([1, 2], "Expected 2D array, got 1D"),
        (np.float64(1), "got scalar array"),
        (np.ones((1, 1, 1)), "got 3D array"),
        (np.ones((2, 2)) + 1j, "Complex data not supported"),
        (np.ones((2, 0)), r"0 feature\(s\) \(shape=\(2, 0\)\) while a minimum of 1 is required"),
        (np.ones((0, 2)), r"0 sample\(s\)"),
        ([[1, 2], [3]], "ragged list: row 1 has 1 cells, row 0 has 2"),
        (object(), "object is no table"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "duplicate column name 'a': columns 1 and 2"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "duplicate column name '1'"),
        (pa.table([[1], [2]], names=["a", "a"]), "duplicate column name 'a'"),
    ],
)
def test_what_is_no_table_is_refused_in_words(source, said):
    with pytest.raises(DataError, match=said):
        read(source)


def test_sparse_matrices_are_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"sparse.*toarray\(\)"):
        read(sparse.csr_matrix(np.eye(2)))


def test_every_pandas_type_comes_through():
    frame = pd.DataFrame(
        {
            "mixed": ["a", 1, True, 2.5, None],
            "nullable": pd.array([1, None, 3, 4, 5], dtype="Int64"),
            "flag": pd.array([True, None, False, True, True], dtype="boolean"),
            "label": pd.Categorical(["x", None, "y", "x", "x"]),
            "code": pd.Categorical([3, 1, None, 3, 3]),
            "day": pd.to_datetime(["2024-01-01", None, "2024-01-03", "2024-01-04", "2024-01-05"]),
            "period": pd.period_range("2024-01", periods=5, freq="M"),
            "huge": [2**70, 1, 2, 3, None],
            "nothing": [None] * 5,
            7: range(5),
        },
        index=[5, 3, 1, 0, 2],
    )
    table = read(frame)
    assert table["mixed"].to_list() == ["a", "1", "True", "2.5", None]
    assert table["nullable"].to_list() == [1, None, 3, 4, 5]
    assert table["flag"].to_list() == [True, None, False, True, True]
    assert table["label"].dtype == table["code"].dtype == pl.Categorical
    assert table["code"].to_list() == ["3", "1", None, "3", "3"]
    assert table["day"].null_count() == 1
    assert table["period"].dtype.is_temporal()
    assert table["huge"][0] == str(2**70)
    assert table["7"].to_list() == list(range(5))


def test_numbers_of_an_array_stored_by_column_are_not_copied():
    array = np.asfortranarray(np.random.default_rng(0).random((100, 3)))
    assert np.shares_memory(read(array)["x1"].to_numpy(), array)


def test_lazy_and_narwhals_frames_are_collected():
    import narwhals as nw

    frame = pl.DataFrame({"a": [1, 2]})
    assert read(frame.lazy()).equals(frame)
    assert read(nw.from_native(frame)).equals(frame)
    assert read(frame.to_arrow()).equals(frame)


cell = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates() | st.binary(max_size=3)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cell, cell), min_size=1, max_size=8))
def test_any_pandas_column_of_python_objects_is_read(rows):
    frame = pd.DataFrame({"a": pd.Series([a for a, _ in rows], dtype=object), "b": [b for _, b in rows]})
    assert read(frame).shape == (len(rows), 2)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_a_clear_error(tmp_path_factory, content):
    path = written(tmp_path_factory.mktemp("any"), content)
    try:
        assert read(path).height >= 1
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017  either is right; a crash is not


def test_the_index_that_pandas_writes_is_no_column(tmp_path):
    frame = pd.DataFrame({"a": [1, 2, 3]}).iloc[[2, 0, 1]]
    frame.to_parquet(tmp_path / "t.parquet")
    assert "__index_level_0__" in pl.read_parquet(tmp_path / "t.parquet").columns
    assert read(tmp_path / "t.parquet").columns == ["a"]


def test_a_name_that_starts_with_a_tilde_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~a.csv").write_text("x,y\n1,2\n3,4\n")
    assert read("~a.csv").shape == (2, 2)
    with pytest.raises(DataError, match="no such file"):
        read("~b.csv")
