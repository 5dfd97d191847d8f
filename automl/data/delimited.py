"""Text files of separated values: every cell as text, and an error with its line where the file is broken."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

import polars as pl

from automl.data.frames import unique_names
from automl.errors import DataError

SEPARATORS = ",;\t|"
_BLOCK = 8 << 20  # bytes parsed at a time; a row must fit into one block


def read_csv(path: str) -> pl.DataFrame:
    """A CSV or TSV file, also one packed by gzip; the separator is the one that cuts the header into most parts.

    Raises
    ------
    DataError : not UTF-8, no header, two columns of one name, a row of another length than the header; with the line.
    """
    # Polars pads short rows without a word, and renames duplicates; Arrow's reader does neither.
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        names, separator, lines = _header(path)
        slots = [f"c{i}" for i in range(len(names))]
        found = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(column_names=slots, skip_rows=lines, block_size=_BLOCK),
            parse_options=arrow_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, ignore_empty_lines=len(names) > 1
            ),
            convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(slots, pa.string())),
        )
    except UnicodeDecodeError:
        raise DataError(_encoding(path)) from None
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        if "invalid UTF8" in str(error):
            raise DataError(_encoding(path)) from None
        raise DataError(_ragged(path, separator, len(names)) or f"{path}: {str(error)[:300]}") from None
    table = pl.from_arrow(found)
    assert isinstance(table, pl.DataFrame)
    table.columns = names
    return table


def _open(path: str) -> BinaryIO:
    return gzip.open(path, "rb") if path.lower().endswith(".gz") else open(path, "rb")  # type: ignore[return-value]


def _rows(binary: BinaryIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of the line on which each ends."""
    reader = csv.reader(io.TextIOWrapper(binary, encoding="utf-8-sig", newline=""), delimiter=separator)
    for row in reader:
        yield reader.line_num, row


def _header(path: str) -> tuple[list[str], str, int]:
    """The column names, the separator, and how many lines they take."""
    with _open(path) as file:
        start = file.read(1 << 16)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: the file is UTF-16 (its first bytes say so); save it again as UTF-8")
    if not start.strip():
        raise DataError(f"{path}: the file is empty: there is no header")
    if b"\0" in start:
        raise DataError(f"{path}: not a text file (byte {start.index(0)} is zero); is the suffix right?")
    line = next(line for line in start.decode("utf-8-sig", "replace").splitlines() if line.strip())
    likely = "\t" + SEPARATORS if re.search(r"\.tsv(\.gz)?$", path.lower()) else SEPARATORS
    separator = max(likely, key=lambda mark: len(next(csv.reader([line], delimiter=mark))))
    with _open(path) as file:
        lines, names = next(
            (number, row) for number, row in _rows(file, separator) if any(cell.strip() for cell in row)
        )
    # A frame's index, written by pandas, has no name.
    named = [name.strip() or f"column_{i}" for i, name in enumerate(names, 1)]
    return unique_names(named, path), separator, lines


def _encoding(path: str) -> str:
    """Where a file stops being UTF-8, and what it may be instead."""
    offset = 0
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = line[error.start]
                guess = "windows-1252"
                try:
                    shown = line.decode(guess)[max(0, error.start - 10) : error.start + 10].strip()
                except UnicodeDecodeError:
                    guess, shown = (
                        "latin-1",
                        line.decode("latin-1")[max(0, error.start - 10) : error.start + 10].strip(),
                    )
                return (
                    f"{path}: line {number}, byte {offset + error.start} (0x{byte:02x}) is not UTF-8; as {guess} it is "
                    f"{shown!r}. Save the file as UTF-8: iconv -f {guess} -t utf-8 {path} > mended.csv"
                )
            offset += len(line)
    return f"{path}: the file is not UTF-8; save it again as UTF-8"


def _ragged(path: str, separator: str, width: int) -> str:
    """What is wrong with the first row whose length differs from the header's."""
    try:
        with _open(path) as file:
            before = 0
            for number, row in _rows(file, separator):
                if row and len(row) != width:
                    where = f"line {number}" if number == before + 1 else f"lines {before + 1} to {number}"
                    quote = " (is a quotation mark never closed?)" if number > before + 1 else ""
                    return (
                        f"{path}: {where}: {_count(len(row))}, but the header has {width}{quote}; mend that row, or "
                        f"put quotation marks around cells that hold {separator!r}"
                    )
                before = number
    except csv.Error as error:
        return f"{path}: after line {before}: {error}"
    return ""


def _count(cells: int) -> str:
    return f"{cells} cell{'s' * (cells != 1)}"
