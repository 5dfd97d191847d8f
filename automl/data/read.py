"""Read at the door: a path, a glob, a folder or any frame becomes one table, a Polars frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

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
    return []


def read(source: Any, readers: Any) -> pl.DataFrame:
    """The table behind `source`."""
    raise NotImplementedError
