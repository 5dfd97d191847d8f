"""The schema: column names, types, roles and value ranges seen at fit, and checked again at predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

ROLES = ("numeric", "category", "text", "datetime", "boolean", "id", "constant", "ignored")


@dataclass(frozen=True)
class Column:
    """One column as it was at fit.

    Attributes
    ----------
    name, role : its name and one of `ROLES`; id, constant and ignored columns are no features.
    dtype : the type that `Schema.apply` gives it: ``float``, ``string``, ``datetime`` or ``boolean``.
    why : how the role was decided, in a few words.
    missing, unique : counts at fit.
    low, high : the range of numbers (or of dates, as ISO strings) at fit.
    format : the strptime format of dates that were text.
    """

    name: str
    role: str
    dtype: str
    why: str = ""
    missing: int = 0
    unique: int = 0
    low: float | str | None = None
    high: float | str | None = None
    format: str | None = None


@dataclass(frozen=True)
class Schema:
    """The columns of a table, and the number of rows they were inferred from."""

    columns: tuple[Column, ...]
    rows: int
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def infer(cls, table: pl.DataFrame, *, roles: Mapping[str, str], drop: Sequence[str], missing: Sequence[str]) -> Schema:
        """Infer the schema of a table of features."""
        raise NotImplementedError

    def apply(self, table: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
        """The features of `table` in the schema's order and types, and notes on what was ignored or lost."""
        raise NotImplementedError
