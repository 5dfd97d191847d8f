"""Roles: what each column is good for, decided from its name, its type and its values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from automl.data import cells
from automl.data.cells import Missing
from automl.errors import DataError

DTYPES = {"numeric": "float", "category": "string", "text": "string", "datetime": "datetime", "boolean": "boolean"}
"""The type of each role that is a feature."""

# A row number cannot be told from a short column that happens to count up.
_MANY = 20
_VERY_MANY = 300_000  # rows from which on not all that could be known of a column is worth the time that it takes
_HEAD = 10_000
_ID_NAME = re.compile(
    r"(^|[_\s.-])(id|uuid|guid|idx|index|rowid|row_?(id|num|number|no)|record|unnamed: 0|serial_?(no|number)?|s\.?no)"
    r"\.?$"
    r"|^column_1$",
    re.IGNORECASE,
)
_ID_CAMEL = re.compile(r"[a-z0-9]I[dD]$")


@dataclass
class Guess:
    """What was decided on one column, and what that costs: notes are for a person."""

    role: str
    why: str
    dtype: str = ""
    unique: int = 0
    missing: int = 0
    format: str | None = None
    notes: list[str] = field(default_factory=list)
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        self.dtype = self.dtype or DTYPES.get(self.role, "string")


def guess(column: pl.Series, missing: Missing) -> Guess:
    """The role of a column.

    The order of the rows matters for row numbers only.
    """
    dtype = column.dtype
    if cells.is_opaque(dtype):
        return Guess("ignored", f"nothing is learned from {dtype}", notes=[f"ignored, because it holds {dtype}"])
    if isinstance(dtype, pl.Null):
        return Guess("constant", "all missing", missing=len(column))
    if dtype.is_float() and len(column) < _VERY_MANY and not missing.numbers and (found := _measurements(column)):
        return found
    into = (
        "string"
        if cells.is_text(dtype)
        else "boolean"
        if dtype == pl.Boolean
        else "datetime"
        if is_date(dtype)
        else "float"
    )
    values = evaluate(column, cells.convert(column.name, dtype, into, missing))
    lost = values.null_count()
    if dtype.is_float() and _measures(values):
        unique = int(values.to_frame().select(pl.all().approx_n_unique()).item())
        return _infinite(column, Guess("numeric", f"the type is {dtype}", unique=unique, missing=lost))
    levels = values.drop_nulls().unique()
    if len(levels) == 0:
        found = Guess("constant", "all missing")
    elif len(levels) == 1 and not lost:
        # One value beside missing ones is kept: that a cell is filled may tell something.
        found = Guess("constant", f"only the value {str(column.drop_nulls()[0])[:40]!r}", into)
    elif into == "string":
        found = _text(column.name, values, levels, named_category=dtype != pl.String)
    elif into == "float":
        # Two huge whole numbers may be one as floats, and yet two ids.
        found = _number(column, values, column.drop_nulls().n_unique() if dtype.is_integer() else len(levels))
    else:
        found = Guess(into, f"the type is {dtype}")
    found.unique, found.missing = found.unique or len(levels), lost
    return _infinite(column, found)


def _measurements(column: pl.Series) -> Guess | None:
    """A column, if it plainly holds measurements: there may be thousands of them, so that each must be quick."""
    values = column.to_numpy()
    known = values[np.isfinite(values)].astype(np.float64)
    if (known == np.round(known)).all() or (unique := len(np.unique(known))) <= _MANY:
        return None
    why, lost = f"the type is {column.dtype}", len(values) - len(known)
    found = Guess("numeric", why, unique=unique, missing=lost, low=float(known.min()), high=float(known.max()))
    return _infinite(column, found) if lost else found


def _measures(values: pl.Series) -> bool:
    """Whether the first of very many numbers show that they are measurements: no constant, no ids, no dates."""
    if len(values) < _VERY_MANY:
        return False
    head = values.head(_HEAD).drop_nulls()
    return head.n_unique() > _MANY and bool((head != head.round()).any())


def _infinite(column: pl.Series, found: Guess) -> Guess:
    """With a note on the infinite values of the column, if it has some."""
    if column.dtype.is_float() and (infinite := int(column.is_infinite().sum())):
        found.notes.append(f"{infinite:,} infinite value{'s' * (infinite > 1)} became missing")
    return found


def as_said(column: pl.Series, role: str, missing: Missing) -> Guess:
    """A column whose role the user has given.

    Raises
    ------
    DataError : no value of the column can be read in that role.
    """
    if role not in DTYPES:
        return Guess(role, "as asked", missing=column.null_count())
    into, dtype = DTYPES[role], column.dtype
    format = _best_format(column, missing) if role == "datetime" and not is_date(dtype) else None
    values = evaluate(column, cells.convert(column.name, dtype, into, missing, format))
    told = int(evaluate(column, cells.known(column.name, dtype, missing)).sum())
    lost = told - (len(values) - values.null_count())
    if told and lost == told:
        example = column.drop_nulls()[0]
        raise DataError(
            f"data.roles.{column.name}={role}: no value of the column is a {role} ({example!r}); give another role"
        )
    notes = [f"{lost:,} values that are no {role} became missing"] if lost else []
    return Guess(role, "as asked", "", values.drop_nulls().n_unique(), values.null_count(), format, notes)


def evaluate(column: pl.Series, expression: pl.Expr) -> pl.Series:
    """An expression over one column."""
    return column.to_frame().select(expression).to_series()


def is_date(dtype: pl.DataType) -> bool:
    """Whether the type holds moments, not times of day or durations."""
    return isinstance(dtype, pl.Date | pl.Datetime)


def is_id_name(name: str) -> bool:
    """Whether a name says that the column identifies rows: `id`, `customerID`, `row_id`, `Unnamed: 0`."""
    return bool(_ID_NAME.search(name.strip()) or _ID_CAMEL.search(name.strip()))


def _number(column: pl.Series, values: pl.Series, unique: int) -> Guess:
    """Numbers, of which `unique` differ; whole ones may be ids, and dates such as 20240131."""
    rows = len(values)
    high = float(values.abs().max() or 0)  # type: ignore[arg-type]
    whole = column.dtype.is_integer() or bool((values == values.round()).all())
    if whole and unique == rows and (why := _row_id(column.name, values, high)):
        return Guess("id", why, "float")
    if whole and unique >= 10 and float(values.min() or 0) >= 19_000_101 and high <= 20_991_231:  # type: ignore[arg-type]
        levels = values.drop_nulls().unique().cast(pl.Int64).cast(pl.String)
        if (date := _compact(levels)) is not None:
            return date
    why = (
        f"the type is {column.dtype}" if not cells.is_text(column.dtype) else "text, but every known value is a number"
    )
    found = Guess("numeric", why)
    if whole and high > cells.EXACT:
        found.notes.append("whole numbers beyond 2^53 are rounded to 16 digits; data.roles can make it a category")
    return found


def _row_id(name: str, values: pl.Series, high: float) -> str:
    """Why whole numbers that all differ identify rows, or nothing."""
    if len(values) >= _MANY and values[0] in (0, 1) and bool((values.diff().drop_nulls() == 1).all()):
        return "numbers the rows"
    if is_id_name(name):
        return "all values differ, and the name says id"
    return "huge whole numbers that all differ" if high > cells.EXACT else ""


def _text(name: str, values: pl.Series, levels: pl.Series, named_category: bool) -> Guess:
    """Text, of which `levels` are the distinct known values."""
    if not named_category:
        for attempt in (_booleans, _dates):
            if (found := attempt(levels)) is not None:
                return found
        if (found := _spelled_numbers(values, levels)) is not None:
            return found
    filled = len(values) - values.null_count()
    unique = len(levels)
    parts = levels.str.count_matches(r"[\s|,;]+")
    one_word = float((parts == 0).mean() or 0) >= 0.95  # type: ignore[arg-type]
    if unique == len(values) and is_id_name(name):
        return Guess("id", "all values differ, and the name says id")
    if filled >= _MANY and unique >= 0.98 * filled and one_word:
        return Guess("id", f"{unique:,} of {filled:,} values differ, each one word")
    average = float(parts.mean() or 0) + 1  # type: ignore[arg-type]
    if not named_category and unique > _MANY and unique >= 0.1 * filled and average >= 2.5:
        return Guess("text", f"{unique:,} distinct texts of {average:.0f} words on average")
    return Guess("category", f"{unique:,} distinct labels")


def _booleans(levels: pl.Series) -> Guess | None:
    lower = levels.str.to_lowercase()
    return Guess("boolean", "text, but only true and false") if lower.is_in(["true", "false"]).all() else None


def _spelled_numbers(values: pl.Series, levels: pl.Series) -> Guess | None:
    """Numbers that were read as text.

    A few strange tokens among them ("ca. 5", "n.b.") become missing and are counted where 95% of the known rows are
    numbers of more than 20 values and the tokens are at most 10: then it is a measure that somebody annotated. With
    fewer numbers ("1", "2", "3+") or more tokens ("A1234") they are labels, and taking the tokens away would lose them.
    """
    parsed = levels.cast(pl.Float64, strict=False).fill_nan(None)
    strange = levels.filter(parsed.is_null())
    if len(strange) > 10 or len(strange) == len(levels):
        return None
    numbers = values.cast(pl.Float64, strict=False)
    numbers = evaluate(numbers, pl.when(pl.col(numbers.name).is_finite()).then(pl.col(numbers.name)))
    if not len(strange):
        digits = levels.str.contains(cells.LIKE_CODE).all()
        if digits and (levels.str.starts_with("0") & (levels.str.len_bytes() > 1)).any():
            return None  # "01234" is a code: as a number it would lose its zero
        infinite = values.len() - values.null_count() - (numbers.len() - numbers.null_count())
        found = _number(values, numbers, len(levels) - int(parsed.is_infinite().sum()))
        if infinite:
            found.notes.append(f"{infinite:,} infinite values became missing")
        return found
    lost = int(values.is_in(strange.implode()).sum())
    filled = len(values) - values.null_count()
    if lost > 0.05 * filled or len(levels) - len(strange) <= 20:
        return None
    shown = ", ".join(map(repr, strange.sort().head(3).to_list()))
    note = f"{lost:,} value{'s' * (lost > 1)} that are no number ({shown}) became missing"
    return Guess("numeric", f"text, but {1 - lost / filled:.1%} of the known values are numbers", notes=[note])


def _dates(levels: pl.Series) -> Guess | None:
    """Dates by the one format that reads every known value."""
    if not levels.str.contains(cells.LIKE_DATE).all():
        return None
    format = next(
        (format for format in cells.FORMATS if _reads(levels.head(20), format) and _reads(levels, format)), None
    )
    if format is None:
        return None
    why, notes = f"text, but every known value is a date {format}", []
    if (twin := _swapped(format)) != format and _reads(levels, twin):
        why += " (day first is assumed: every value also reads month first)"
        notes = ["days and months cannot be told apart; the day is taken to come first"]
    elif twin != format:
        why += " (the other order of day and month does not read all)"
    return Guess("datetime", why, format=format, notes=notes)


def _compact(levels: pl.Series) -> Guess | None:
    """Dates such as 20240131, where every value is one and there are many."""
    if len(levels) < 10 or not levels.str.contains(cells.LIKE_COMPACT).all() or not _reads(levels, cells.COMPACT):
        return None
    return Guess("datetime", "every known value is a date such as 20240131", format=cells.COMPACT)


def _reads(levels: pl.Series, format: str) -> bool:
    return evaluate(levels, cells.parse(pl.col(levels.name), format)).null_count() == 0


def _swapped(format: str) -> str:
    """The format with day and month changed over, where both are numbers that stand before the year."""
    return re.sub(r"^%([dm])(.)%([dm])(?=.%Y)", r"%\3\2%\1", format)


def _best_format(column: pl.Series, missing: Missing) -> str | None:
    """The format that reads most of the values, for a column of which the user says that it holds dates."""
    text = evaluate(column, cells.convert(column.name, column.dtype, "string", missing)).drop_nulls().unique()
    formats = (*cells.FORMATS, cells.COMPACT)
    unread = [evaluate(text, cells.parse(pl.col(text.name), format)).null_count() for format in formats]
    return formats[unread.index(min(unread))]
