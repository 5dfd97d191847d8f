"""From `shop.db?select ...` to a table: the database opened for reading only, the answer handed on as Arrow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl import DataError

if TYPE_CHECKING:
    import polars as pl

_FORM = "say 'duckdb:FILE?select ...' or 'duckdb:FILE?query.sql'; without FILE the query reads files of its own"


def read(place: str) -> pl.DataFrame:
    """The rows that a query gives.

    Parameters
    ----------
    place : ``FILE?QUERY``: a DuckDB database, or nothing; and one SELECT statement, or the path of a ``.sql`` file with
        it. Without a database the query may name CSV, Parquet and JSON files: ``?select * from 'orders/*.parquet'``.

    Raises
    ------
    DataError : no such file, no query, a statement that is not for reading, what DuckDB says of it, or a type that a
        table cannot hold (INTERVAL).
    """
    import duckdb
    import polars as pl

    file, _, said = place.partition("?")
    query = _query(said.strip(), place)
    if file and not Path(file).expanduser().is_file():
        raise DataError(f"duckdb:{file}: no such database file in {Path(file).expanduser().parent.resolve()}; {_FORM}")
    # A database needs no other file, and none is then to be had; without one the query's own files are the data.
    settings: dict[str, Any] = {"enable_external_access": False} if file else {}
    where = str(Path(file).expanduser()) if file else ":memory:"
    try:
        _only_reads(duckdb, query, file)
        with duckdb.connect(where, read_only=bool(file), config=settings) as connection:
            answer = pl.from_arrow(connection.sql(query).to_arrow_table())
    except (duckdb.Error, pl.exceptions.PolarsError) as error:
        raise DataError(f"duckdb:{file}: {str(error).strip()}\nThe query was: {query}") from error
    assert isinstance(answer, pl.DataFrame)
    return answer


def _query(said: str, place: str) -> str:
    if not said:
        raise DataError(f"duckdb:{place}: there is no query; {_FORM}")
    if not said.lower().endswith(".sql") or len(said.split()) > 1:
        return said
    try:
        return Path(said).expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise DataError(f"duckdb:{place}: the query file {said} cannot be read: {error.strerror}") from error


def _only_reads(duckdb: Any, query: str, file: str) -> None:
    statements = duckdb.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(statement.type.name for statement in statements) or "none"
        raise DataError(f"duckdb:{file}: the query must be one SELECT statement, not {kinds}\nThe query was: {query}")
