"""Write a table where a person asked, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from automl.artifact import written_whole
from automl.errors import ConfigError

SUFFIXES = (".csv", ".parquet", ".arrow", ".feather", ".jsonl")


def write(table: pl.DataFrame, path: Path) -> None:
    """Write a table in the format that the suffix says.

    Raises
    ------
    ConfigError : a suffix that is none of `SUFFIXES`.
    StorageError : no permission, no space, or a folder of that name.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"cannot write {path.name!r}: use one of {', '.join(SUFFIXES)}")
    with written_whole(path) as draft:
        if path.suffix == ".csv":
            table.write_csv(draft)
        elif path.suffix == ".parquet":
            table.write_parquet(draft)
        elif path.suffix == ".jsonl":
            table.write_ndjson(draft)
        else:
            table.write_ipc(draft)
