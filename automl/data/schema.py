"""The schema: column names, types, roles and value ranges seen at fit, and checked again at predict."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl

from automl.data import cells
from automl.data.cells import Missing
from automl.data.roles import DTYPES, Guess, as_said, evaluate, guess
from automl.errors import ConfigError, DataError, nearest

TRENDS = {"increasing": 1, "decreasing": -1}
ROLES = ("numeric", "category", "text", "datetime", "boolean", "id", "constant", "ignored")
_FEW = 1000  # rows that are not worth a second thread
_PLANS = 32  # a service that gets tables of ever new shapes must not grow


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
    monotone : how predictions must go with it, one of `TRENDS`, or None where they are free.
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
    monotone: str | None = None


@dataclass(frozen=True)
class Schema:
    """The columns of a table, and the number of rows they were inferred from.

    Attributes
    ----------
    columns : all columns, in the order of the table, features or not.
    rows : how many rows there were.
    missing : the user's own spellings of a missing value, besides `automl.data.cells.MISSING`.
    notes : what the types cost: values that became missing, columns that cannot be learned from.
    """

    columns: tuple[Column, ...]
    rows: int
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def infer(
        cls,
        table: pl.DataFrame,
        *,
        roles: Mapping[str, str],
        drop: Sequence[str],
        missing: Sequence[str],
        monotone: Mapping[str, str] | None = None,
    ) -> Schema:
        """Infer the schema of a table of features (n, p), n at least 2.

        Parameters
        ----------
        roles : column name -> role, where the user knows better; `data.roles` in a config.
        drop : columns to leave out; `data.drop`.
        missing : further spellings of a missing value; `data.missing`. A number among them counts in numeric columns.
        monotone : numeric column -> one of `TRENDS`; `data.monotone`.

        Raises
        ------
        ConfigError : `roles`, `drop` or `monotone` names an unknown column, role or trend, or no numeric column.
        DataError : fewer than 2 rows, or no column to learn from; the message says why each one is none.
        """
        _check_said(table.columns, roles, drop)
        if table.height < 2:
            raise DataError(
                f"the table has {table.height} sample(s) (shape={table.shape}) while a minimum of 2 is required."
            )
        spelled = Missing.of(missing)
        columns: list[Column] = []
        notes: list[str] = []
        twins = _Twins(table, spelled)
        for series in table.iter_columns():
            name = series.name
            if name in drop:
                columns.append(Column(name, "ignored", "string", "left out by data.drop"))
                continue
            found = as_said(series, roles[name], spelled) if name in roles else guess(series, spelled)
            column = _column(series, found, spelled)
            if name not in roles:
                column = twins.mark(column)
            columns.append(column)
            notes += [f"{name}: {note}" for note in found.notes]
        columns = _constrained(columns, monotone or {})
        schema = cls(tuple(columns), table.height, tuple(str(word) for word in missing), tuple(notes))
        if not schema.features:
            shown = "; ".join(f"{c.name}: {c.role}, {c.why}" for c in columns[:10]) or "there is none"
            more = f"; and {len(columns) - 10} more" if len(columns) > 10 else ""
            raise DataError(f"no column is left to learn from ({shown}{more}); data.roles.NAME=category keeps a column")
        return schema

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The columns to learn from."""
        return tuple(column for column in self.columns if column.role in DTYPES)

    @cached_property
    def monotone(self) -> dict[str, int]:
        """Column -> 1 where predictions must not fall as it rises, -1 where they must not rise."""
        return {column.name: TRENDS[column.monotone] for column in self.features if column.monotone}

    def apply(self, table: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
        """The features of `table` in the schema's order and types, and notes on what was ignored or lost.

        Each cell's outcome depends on that cell and on the type of its column, not on other rows. Columns are matched
        by name; a table whose columns have no names (x0, x1, ...) and are as many as at fit, by position.

        Raises
        ------
        DataError : features are missing.
        """
        plan = self._plan(table)
        few = table.height < _FEW
        typed = (table.select_seq if few else table.select)(plan.expressions)
        made = zip(plan.sources, plan.expressions, typed.get_columns(), strict=True)
        lossy = {name: how for name, how, now in made if now.null_count() > table.get_column(name).null_count()}
        if not lossy:
            return typed, plan.notes
        types, missing = table.schema, Missing.of(self.missing)
        known = {name: cells.known(name, types[name], missing) for name in lossy}
        lost = table.select([(known[name] & how.is_null()).sum().alias(name) for name, how in lossy.items()]).row(0)
        notes = [
            f"{name}: {count:,} value{'s' * (count > 1)} could not be read as {plan.into[name]} and became missing"
            for name, count in zip(lossy, lost, strict=True)
            if count
        ]
        return typed, [*plan.notes, *notes]

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads back."""
        columns = [dict(vars(column)) for column in self.columns]  # asdict copies cell by cell, and tables may be wide
        return {"columns": columns, "rows": self.rows, "missing": list(self.missing), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema:
        """The schema that `to_dict` wrote."""
        columns = tuple(Column(**column) for column in data["columns"])
        return cls(columns, data["rows"], tuple(data["missing"]), tuple(data["notes"]))

    @cached_property
    def _plans(self) -> dict[Any, _Plan]:
        return {}

    def _plan(self, table: pl.DataFrame) -> _Plan:
        """How to convert tables of these names and types, worked out once: one row must not pay for it again."""
        key = (tuple(table.columns), tuple(table.dtypes))
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._new_plan(table)
        return plan

    def _new_plan(self, table: pl.DataFrame) -> _Plan:
        source = self._sources(table.columns)
        types, missing = table.schema, Missing.of(self.missing)
        plan = _Plan([], [], {}, [])
        for column in self.features:
            name = source[column.name]
            made = cells.convert(name, types[name], column.dtype, missing, column.format)
            plan.expressions.append(made.alias(column.name))
            plan.sources.append(name)
            plan.into[name] = _NOUNS[column.dtype]
        known = set(source.values()) | {column.name for column in self.columns}
        if extra := [name for name in table.columns if name not in known]:
            shown = ", ".join(extra[:5]) + (", ..." if len(extra) > 5 else "")
            plan.notes.append(f"{len(extra)} column(s) that were not there at fit ignored: {shown}")
        return plan

    def _sources(self, names: Sequence[str]) -> dict[str, str]:
        """Feature -> the column that holds it."""
        present = set(names)
        lacking = [column.name for column in self.features if column.name not in present]
        if not lacking:
            return {column.name: column.name for column in self.features}
        if all(re.fullmatch(r"x\d+", name) for name in names):
            if len(names) != len(self.columns):
                raise DataError(
                    f"X has {len(names)} features, but AutoML is expecting {len(self.columns)} features as input: "
                    f"{', '.join(c.name for c in self.columns[:5])}{', ...' * (len(self.columns) > 5)}"
                )
            return {column.name: name for column, name in zip(self.columns, names, strict=True)}
        spare = [name for name in names if name not in {column.name for column in self.columns}]
        shown = "".join(
            f" {name!r}{nearest(name, spare, prefix=' (is it ', none='')}{')' * bool(nearest(name, spare, none=''))}"
            for name in lacking[:5]
        )
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise DataError(f"{len(lacking)} of {len(self.features)} columns seen at fit are missing:{shown}{more}")


def typed_target(target: pl.Series, missing: Sequence[str] = ()) -> pl.Series:
    """The target as numbers, booleans or text, whatever it came as; missing, NaN and infinite ones are null.

    Text becomes numbers or booleans only where every known value is one. "none", "-" and "missing" may be labels that
    mean something, so they stay, unless the user lists them in `missing`.

    Raises
    ------
    DataError : a type that is no label and no number.
    """
    name, dtype, spelled = target.name, target.dtype, Missing.of(missing, cells.MISSING_LABELS)
    if cells.is_opaque(dtype):
        raise DataError(f"target {name!r} holds {dtype}, which is neither a label nor a number")
    if dtype == pl.Boolean or isinstance(dtype, pl.Null):
        return target
    if dtype.is_integer() and not spelled.numbers:
        return target
    if not cells.is_text(dtype):
        return evaluate(target, cells.convert(name, dtype, "float", spelled))
    text = evaluate(target, cells.convert(name, dtype, "string", spelled))
    levels = text.drop_nulls().unique()
    if dtype != pl.String or not len(levels):
        return text
    if levels.str.to_lowercase().is_in(["true", "false"]).all():
        return evaluate(text, cells.convert(name, text.dtype, "boolean", spelled))
    numbers = levels.cast(pl.Float64, strict=False)
    codes = (levels.str.contains(cells.LIKE_CODE) & levels.str.starts_with("0") & (levels.str.len_bytes() > 1)).any()
    if numbers.null_count() or codes:
        return text
    whole = levels.cast(pl.Int64, strict=False)
    if not whole.null_count():
        return text.cast(pl.Int64)
    return evaluate(text, cells.convert(name, text.dtype, "float", spelled))


_NOUNS = {"float": "a number", "string": "text", "datetime": "a date", "boolean": "true or false"}


@dataclass
class _Plan:
    """The expressions that convert tables of one shape, from which columns, and what is told of it."""

    expressions: list[pl.Expr]
    sources: list[str]
    into: dict[str, str]
    notes: list[str]


class _Twins:
    """Columns that say the same as an earlier one: by their figures, a digest of some rows, one of all, and all cells.

    Of most columns nothing but the figures is ever asked.
    """

    def __init__(self, table: pl.DataFrame, missing: Missing) -> None:
        self.table, self.missing = table, missing
        self.first: dict[Any, Column] = {}  # by what is known of it
        self.alike: dict[Any, list[Column]] = {}  # by all that can be known but the cells
        self.digests: dict[tuple[str, int | None], bytes] = {}

    def mark(self, column: Column) -> Column:
        """The column, ignored if it repeats an earlier feature."""
        if column.role not in DTYPES:
            return column
        key: tuple[Any, ...] = (column.dtype, column.unique, column.missing, column.low, column.high)
        for rows in (_FEW, None) if self.table.height > _FEW else (None,):
            if (first := self.first.setdefault(key, column)) is column:
                return column
            self.first.setdefault((*key, self._digest(first, rows)), first)
            key = (*key, self._digest(column, rows))
        if (first := self.first.setdefault(key, column)) is column:
            return column
        same = self.alike.setdefault(key, [first])
        for earlier in same:
            if self._cells(earlier).equals(self._cells(column)):
                return Column(**{**asdict(column), "role": "ignored", "why": f"same as {earlier.name}"})
        same.append(column)
        return column

    def _digest(self, column: Column, rows: int | None) -> bytes:
        """Of the first so many rows."""
        if (column.name, rows) not in self.digests:
            told = self._cells(column, rows).hash().to_numpy().tobytes()
            self.digests[column.name, rows] = hashlib.blake2b(told, digest_size=16).digest()
        return self.digests[column.name, rows]

    def _cells(self, column: Column, rows: int | None = None) -> pl.Series:
        series = self.table[column.name]
        series = series if rows is None else series.head(rows)
        return evaluate(series, cells.convert(column.name, series.dtype, column.dtype, self.missing, column.format))


def _column(series: pl.Series, found: Guess, missing: Missing) -> Column:
    low: Any = found.low
    high: Any = found.high
    if low is None and found.dtype in ("float", "datetime") and found.role in DTYPES:
        values = evaluate(series, cells.convert(series.name, series.dtype, found.dtype, missing, found.format))
        low, high = values.min(), values.max()
        if found.dtype == "datetime":
            low, high = (moment and moment.isoformat() for moment in (low, high))
    return Column(series.name, found.role, found.dtype, found.why, found.missing, found.unique, low, high, found.format)


def _constrained(columns: Sequence[Column], monotone: Mapping[str, str]) -> list[Column]:
    """The columns, each with the trend that the user wants of it."""
    known = {column.name: column for column in columns}
    for name, trend in monotone.items():
        where = f"data.monotone.{name}"
        if name not in known:
            raise ConfigError(f"{where}: the table has no such column{nearest(name, known)}")
        if trend not in TRENDS:
            raise ConfigError(f"{where}={trend}: must be {' or '.join(TRENDS)}{nearest(trend, TRENDS)}")
        if (column := known[name]).role != "numeric":
            raise ConfigError(
                f"{where}: the column is {column.role} ({column.why}), and only numeric ones have an order; "
                f"say data.roles.{name}=numeric if it is one"
            )
    return [replace(column, monotone=monotone.get(column.name)) for column in columns]


def _check_said(names: Iterable[str], roles: Mapping[str, str], drop: Sequence[str]) -> None:
    known = list(names)
    for name, role in roles.items():
        if name not in known:
            raise ConfigError(f"data.roles.{name}: the table has no such column{nearest(name, known)}")
        if role not in ROLES:
            raise ConfigError(f"data.roles.{name}={role}: unknown role{nearest(role, ROLES)} Roles: {', '.join(ROLES)}")
    for name in drop:
        if name not in known:
            raise ConfigError(f"data.drop: the table has no column {name!r}{nearest(name, known)}")
