"""Cells: how a missing value, a number, a date or a truth value is spelled, as Polars expressions over one column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import polars as pl

# "unknown" is not here: in many tables it is a category that means something.
MISSING = (
    "",
    "na",
    "n/a",
    "nan",
    "-nan",
    "null",
    "none",
    "nil",
    "?",
    "-",
    "--",
    ".",
    "#n/a",
    "#na",
    "<na>",
    "nat",
    "missing",
)
# Of a label, "none", "-" or "missing" may well be the answer; a row is not thrown away for it.
MISSING_LABELS = ("", "na", "n/a", "nan", "null", "?", "#n/a", "#na", "<na>", "nat")
EXACT = 2.0**53  # whole numbers beyond it are rounded in a float

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d %b %Y",
         "%b %d, %Y", "%d %B %Y", "%B %d, %Y")  # fmt: skip
_CLOCKS = ("", " %H:%M:%S%.f", "T%H:%M:%S%.f", " %H:%M", "T%H:%M", "T%H:%M:%S%.f%#z", " %H:%M:%S%.f%#z",
           " %H:%M:%S%.f %#z", "T%H:%M%#z", " %I:%M:%S %p", " %I:%M %p")  # fmt: skip
FORMATS = tuple(day + clock for day, clock in product(_DAYS, _CLOCKS))
COMPACT = "%Y%m%d"
_ISO = tuple("%Y-%m-%d" + clock for clock in _CLOCKS[:8])
# Every date has a year of four digits: it keeps "1-2-3" and version numbers out.
LIKE_DATE = (
    r"^(\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{4}|[A-Za-z]{3,9} \d{1,2}, \d{4})(\D|$)"
)
LIKE_COMPACT = r"^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
LIKE_CODE = r"^\d+$"

_TYPES: dict[str, pl.DataType] = {
    "float": pl.Float64(), "string": pl.String(), "datetime": pl.Datetime("us"), "boolean": pl.Boolean()
}  # fmt: skip


@dataclass(frozen=True)
class Missing:
    """The spellings of a missing value, in lower case, and those of the user's that are numbers."""

    words: tuple[str, ...]
    numbers: tuple[float, ...] = ()

    @classmethod
    def of(cls, said: Iterable[str], base: Sequence[str] = MISSING) -> Missing:
        """The base spellings and the user's own."""
        own = [str(word).strip().lower() for word in said]
        numbers = pl.Series(own, dtype=pl.String).cast(pl.Float64, strict=False).drop_nulls().drop_nans()
        return cls((*base, *(word for word in own if word not in base)), tuple(numbers.to_list()))


def is_text(dtype: pl.DataType) -> bool:
    """Whether a column of this type holds text or labels."""
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def is_opaque(dtype: pl.DataType) -> bool:
    """Whether nothing can be learned from a column of this type."""
    return dtype.is_nested() or isinstance(dtype, pl.Binary | pl.Object | pl.Unknown)


def known(name: str, dtype: pl.DataType, missing: Missing) -> pl.Expr:
    """Whether each cell says something, infinity included."""
    cell = pl.col(name)
    if is_text(dtype):
        return words(cell, dtype, missing).is_not_null()
    told = cell.is_not_null() & cell.is_not_nan() if dtype.is_float() else cell.is_not_null()
    return told & ~cell.cast(pl.Float64).is_in(missing.numbers) if dtype.is_numeric() and missing.numbers else told


def convert(name: str, dtype: pl.DataType, into: str, missing: Missing, format: str | None = None) -> pl.Expr:
    """A column of any type as one of ``float``, ``string``, ``datetime`` or ``boolean``; what cannot be is null.

    Parameters
    ----------
    format : of dates that are text; without one, ISO 8601 is tried.
    """
    cell = pl.col(name)
    if is_opaque(dtype):
        found = pl.repeat(None, pl.len(), dtype=_TYPES[into])
    elif isinstance(dtype, pl.Null):
        found = cell.cast(_TYPES[into])
    elif into == "float":
        found = numbers(cell, dtype, missing)
    elif into == "string":
        found = words(cell, dtype, missing)
    elif into == "datetime":
        found = moments(cell, dtype, missing, format)
    else:
        found = truths(cell, dtype, missing)
    return found.alias(name)


def words(cell: pl.Expr, dtype: pl.DataType, missing: Missing) -> pl.Expr:
    """Text without the space around it; a whole number is spelled alike as an integer and as a float."""
    if dtype.is_numeric():
        number = numbers(cell, dtype, missing)
        if not dtype.is_float():
            return pl.when(number.is_not_null()).then(cell.cast(pl.String))
        whole = (number == number.round()) & (number.abs() <= EXACT)
        return (
            pl.when(whole).then(number.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(number.cast(pl.String))
        )
    if isinstance(dtype, pl.Duration):
        return numbers(cell, dtype, missing).cast(pl.String)
    text = (cell if dtype == pl.String else cell.cast(pl.String)).str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(missing.words)).then(text)


def numbers(cell: pl.Expr, dtype: pl.DataType, missing: Missing) -> pl.Expr:
    """Finite float64 numbers; durations, times and moments in seconds."""
    if is_text(dtype):
        number = words(cell, dtype, missing).cast(pl.Float64, strict=False)
    elif isinstance(dtype, pl.Duration):
        number = _seconds(cell.dt.total_microseconds(), 1_000_000)
    elif isinstance(dtype, pl.Time):
        number = _seconds(cell.cast(pl.Int64), 1_000_000_000)
    elif dtype.is_temporal():
        number = _seconds(moments(cell, dtype, missing, None).cast(pl.Int64), 1_000_000)
    else:
        number = cell if dtype == pl.Float64 else cell.cast(pl.Float64)
        if dtype.is_integer() or dtype == pl.Boolean:  # never infinite
            return pl.when(~number.is_in(missing.numbers)).then(number) if missing.numbers else number
    told = number.is_finite()
    return pl.when(told & ~number.is_in(missing.numbers) if missing.numbers else told).then(number)


def _seconds(ticks: pl.Expr, each: int) -> pl.Expr:
    # Polars divides one number and many by different roundings; products round alike, and whole seconds stay whole.
    return (ticks // each).cast(pl.Float64) + (ticks % each).cast(pl.Float64) * (1 / each)


def moments(cell: pl.Expr, dtype: pl.DataType, missing: Missing, format: str | None) -> pl.Expr:
    """Naive UTC moments in microseconds."""
    if isinstance(dtype, pl.Datetime):
        naive = cell.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if dtype.time_zone else cell
        return naive.cast(pl.Datetime("us"))
    if isinstance(dtype, pl.Date):
        return cell.cast(pl.Datetime("us"))
    if not (is_text(dtype) or dtype.is_numeric()):
        return pl.repeat(None, pl.len(), dtype=pl.Datetime("us"))
    text = words(cell, dtype, missing)
    return parse(text, format) if format else pl.coalesce([parse(text, iso) for iso in _ISO])


def parse(text: pl.Expr, format: str) -> pl.Expr:
    """Dates out of text by one format, null where it does not fit."""
    moment = text.str.to_datetime(format, strict=False, time_unit="us")
    return moment.dt.replace_time_zone(None) if "%#z" in format else moment


def truths(cell: pl.Expr, dtype: pl.DataType, missing: Missing) -> pl.Expr:
    """True and false, whether as words or as 1 and 0."""
    if dtype == pl.Boolean:
        return cell
    word = words(cell, dtype, missing).str.to_lowercase()
    return pl.when(word.is_in(["true", "1", "1.0"])).then(True).when(word.is_in(["false", "0", "0.0"])).then(False)
