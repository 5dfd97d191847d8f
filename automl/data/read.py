"""Read at the door: a path, a glob, a folder or any frame becomes one table, a Polars frame."""

from __future__ import annotations

import difflib
import glob
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from automl.data.frames import to_polars, unique_names
from automl.errors import AutoMLError, DataError, StorageError, nearest
from automl.hookspecs import hookimpl


@dataclass(frozen=True)
class Reader:
    """A registered data source.

    Parameters
    ----------
    name : its name.
    read : called with one path (for `suffixes`) or with what follows ``scheme:`` (for `schemes`); returns a frame.
    suffixes : the file suffixes that it reads, such as ``".csv"``.
    schemes : the schemes that it reads, such as ``"sklearn"`` for ``sklearn:iris``.
    """

    name: str
    read: Callable[[str], pl.DataFrame]
    suffixes: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()


@hookimpl
def automl_readers() -> Iterable[Reader]:
    """CSV, TSV, Parquet, Arrow/Feather, JSON lines, and scikit-learn's bundled examples."""
    from automl.data.delimited import read_csv

    yield Reader("csv", read_csv, suffixes=(".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"))
    yield Reader("parquet", _read_parquet, suffixes=(".parquet", ".pq"))
    yield Reader("arrow", _read_arrow, suffixes=(".arrow", ".feather", ".ipc"))
    yield Reader("jsonl", _read_jsonl, suffixes=(".jsonl", ".ndjson", ".json"))
    yield Reader("sklearn", _read_sklearn, schemes=("sklearn",))


def read(source: Any, readers: Mapping[str, Reader]) -> pl.DataFrame:
    """The table behind `source`, with at least one row and one column; the cells of text files are all text.

    Parameters
    ----------
    source : a path, a glob, a folder of Parquet files, ``scheme:rest``, a list of paths, or a table in memory
        (see `automl.data.frames.to_polars`).
    readers : the registered readers, by name.

    Raises
    ------
    DataError : nothing there, or nothing that can be read as a table; the message names file and line.
    StorageError : no permission to read.
    TypeError : a sparse matrix.
    """
    if isinstance(source, str | Path):
        table = _read_place(str(source), readers)
        return _with_rows(table, str(source))
    if isinstance(source, list | tuple) and source and all(isinstance(item, str | Path) for item in source):
        return _with_rows(_stack([(str(item), _read_place(str(item), readers)) for item in source]), "the files")
    return _with_rows(to_polars(source), "the table")


def _with_rows(table: pl.DataFrame, where: str) -> pl.DataFrame:
    # The row labels that pandas writes into Parquet and Arrow: no column of the user's, as they are none in a frame.
    table = table.drop([name for name in table.columns if re.fullmatch(r"__index_level_\d+__", name)])
    if table.width == 0:
        raise DataError(f"{where}: 0 feature(s) (shape={table.shape}) while a minimum of 1 is required.")
    if table.height == 0:
        raise DataError(
            f"{where}: a header and no rows: 0 sample(s) in {table.width} columns; there must be at least one row"
        )
    return table


def _read_place(place: str, readers: Mapping[str, Reader]) -> pl.DataFrame:
    path = _path(place)
    if not _exists(path):
        if found := re.match(r"([A-Za-z][\w+.-]+):(.*)", place, re.DOTALL):
            return _read_scheme(found[1], found[2], readers)
        if any(mark in place for mark in "*?["):
            files = sorted(glob.glob(str(path), recursive=True))
            if not files:
                raise DataError(f"{place}: no file matches this pattern")
            return _stack([(file, _read_file(Path(file), readers)) for file in files])
        raise DataError(f"{place}: no such file{_nearest_file(path)}")
    return _read_folder(path, readers) if path.is_dir() else _read_file(path, readers)


def _path(place: str) -> Path:
    try:
        return Path(place).expanduser()
    except RuntimeError:  # ~ and a name that is no user's: a file whose name starts so
        return Path(place)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError as error:
        raise StorageError(f"{path}: no permission to look into {path.parent}") from error
    except (OSError, ValueError) as error:  # a name that is too long, or holds a null byte
        raise DataError(f"{str(path)[:200]!r} is no path: {error}") from error


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    try:
        names = sorted(item.name for item in path.parent.iterdir())
    except PermissionError:
        return ""
    hint = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"; did you mean {str(path.parent / hint[0])!r}?" if hint else f" in {path.parent.resolve()}"


def _read_scheme(scheme: str, rest: str, readers: Mapping[str, Reader]) -> pl.DataFrame:
    known = {name: reader for reader in readers.values() for name in reader.schemes}
    if scheme not in known:
        raise DataError(
            f"{scheme}:{rest}: unknown scheme {scheme!r}{nearest(scheme, known)} Known: {', '.join(sorted(known))}"
        )
    return _call(known[scheme], rest, f"{scheme}:{rest}")


def _read_folder(folder: Path, readers: Mapping[str, Reader]) -> pl.DataFrame:
    suffixes = next((r.suffixes for r in readers.values() if r.name == "parquet"), (".parquet",))
    try:
        inside = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    except PermissionError as error:
        raise StorageError(f"{folder}: no permission to list this folder") from error
    if not inside:
        raise DataError(f"{folder}: no Parquet file in this folder; name a file, or a pattern such as '{folder}/*.csv'")
    return _stack([(str(file), _hive(file, folder, _read_file(file, readers))) for file in inside])


def _hive(file: Path, folder: Path, table: pl.DataFrame) -> pl.DataFrame:
    """Add the columns that folder names of the form key=value hold."""
    parts = (part.partition("=") for part in file.relative_to(folder).parts[:-1])
    return table.with_columns(**{key: pl.lit(value) for key, mark, value in parts if mark and key not in table.columns})


def _read_file(path: Path, readers: Mapping[str, Reader]) -> pl.DataFrame:
    known = {suffix: reader for reader in readers.values() for suffix in reader.suffixes}
    matching = [suffix for suffix in known if path.name.lower().endswith(suffix)]
    if not matching:
        raise DataError(
            f"{path}: no reader for {path.suffix or 'a file without a suffix'}{nearest(path.suffix.lower(), known)} "
            f"Known suffixes: {', '.join(known)}"
        )
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes)")
    return _call(known[max(matching, key=len)], str(path), str(path))


def _call(reader: Reader, place: str, where: str) -> pl.DataFrame:
    try:
        table = to_polars(reader.read(place))
    except AutoMLError:
        raise
    except PermissionError as error:
        raise StorageError(f"{where}: no permission to read it; check its mode and owner") from error
    except ModuleNotFoundError as error:
        raise DataError(f"{where}: the reader {reader.name!r} needs {error.name}, which is not installed") from error
    except Exception as error:  # whatever a format library or a third party's reader raises about a broken file
        told = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise DataError(f"{where}: not a readable {reader.name} file: {told[0]}") from error
    first = table.columns[0] if table.width else ""
    return table.rename({first: first.removeprefix("\ufeff")}) if first.startswith("\ufeff") else table


def _stack(parts: list[tuple[str, pl.DataFrame]]) -> pl.DataFrame:
    """The rows of all parts, columns matched by name."""
    (first, head), *rest = parts
    for place, table in rest:
        lacking = [name for name in head.columns if name not in table.columns]
        extra = [name for name in table.columns if name not in head.columns]
        if lacking or extra:
            differ = [f"lacks {', '.join(map(repr, lacking[:5]))}"] * bool(lacking)
            differ += [f"has {', '.join(map(repr, extra[:5]))} besides"] * bool(extra)
            raise DataError(f"{place}: its columns differ from those of {first}: it {' and '.join(differ)}")
    for name in head.columns:
        for place, table in rest:
            if (table[name].dtype == pl.String) != (head[name].dtype == pl.String) and pl.Null not in (
                table[name].dtype, head[name].dtype
            ):  # fmt: skip
                raise DataError(
                    f"{place}: column {name!r} holds {table[name].dtype}, but {head[name].dtype} in {first}; "
                    "write both with one type"
                )
    try:
        return pl.concat([head, *(table.select(head.columns) for _, table in rest)], how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{first} and {len(rest)} more files do not hold the same types: {error}") from error


def _read_parquet(path: str) -> pl.DataFrame:
    return pl.read_parquet(path, glob=False, hive_partitioning=False)


def _read_arrow(path: str) -> pl.DataFrame:
    with open(path, "rb") as file:
        is_file_format = file.read(6) == b"ARROW1"
    return pl.read_ipc(path) if is_file_format else pl.read_ipc_stream(path)


def _read_jsonl(path: str) -> pl.DataFrame:
    with open(path, "rb") as file:
        head = file.read(1024).lstrip()
    try:
        return pl.read_json(path, infer_schema_length=None) if head[:1] == b"[" else _read_lines(path)
    except pl.exceptions.PolarsError:
        return _read_mixed(path, head[:1] == b"[")


def _read_lines(path: str) -> pl.DataFrame:
    return pl.read_ndjson(path, infer_schema_length=None)


def _read_mixed(path: str, is_array: bool) -> pl.DataFrame:
    """Records whose columns hold more than one type, or a broken line, which is named."""
    import json

    import numpy as np

    from automl.data.frames import _from_objects

    records: list[dict[str, Any]] = []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate([file.read()] if is_array else file, 1):
            try:
                found = json.loads(line) if line.strip() else []
            except ValueError as error:
                raise DataError(f"{path}: line {number} is not JSON: {error}") from None
            for record in found if isinstance(found, list) else [found]:
                if not isinstance(record, dict):
                    raise DataError(f"{path}: line {number} is no JSON object; JSON lines hold one object a line")
                records.append(record)
    names = unique_names(dict.fromkeys(name for record in records for name in record), path)
    columns = []
    for name in names:
        cells = np.empty(len(records), dtype=object)
        cells[:] = [record.get(name) for record in records]
        columns.append(_from_objects(name, cells))
    return pl.DataFrame(columns)


_LABELS = ("breast_cancer", "iris", "wine")
_EXAMPLES = (*_LABELS, "diabetes", "digits")


def _read_sklearn(name: str) -> pl.DataFrame:
    from sklearn import datasets

    if name not in _EXAMPLES:
        raise DataError(
            f"sklearn:{name}: no such example{nearest(name, _EXAMPLES)} Known: {', '.join(sorted(_EXAMPLES))}"
        )
    bunch = getattr(datasets, f"load_{name}")()
    target = bunch.target_names[bunch.target].tolist() if name in _LABELS else bunch.target.tolist()
    columns = [pl.Series(str(column), bunch.data[:, i]) for i, column in enumerate(bunch.feature_names)]
    return pl.DataFrame([*columns, pl.Series("target", target)])
