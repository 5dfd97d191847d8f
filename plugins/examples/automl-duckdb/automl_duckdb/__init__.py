"""The answer of a SQL query as the table to learn from: `duckdb:shop.db?select ...`."""

from collections.abc import Iterable

from automl import Reader, hookimpl
from automl_duckdb.query import read

automl_api = 1


@hookimpl
def automl_readers() -> Iterable[Reader]:
    """One reader, by its scheme."""
    yield Reader("duckdb", read=read, schemes=("duckdb",))
