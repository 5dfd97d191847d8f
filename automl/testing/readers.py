"""The checks of a data reader, on a source that its author names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from automl.data.read import Reader, read
from automl.errors import AutoMLError, ConfigError, nearest
from automl.plugins import installed
from automl.testing.checks import Broken, Check, check_all, expect, told

_NOWHERE = "no_such_source_9f3c"


@dataclass(frozen=True)
class _Source:
    reader: Reader
    place: str
    rows: int
    columns: tuple[str, ...]
    missing: str


def check_reader(
    reader: str | Reader, source: str | Path, *, rows: int, columns: Sequence[str], missing: str | None = None
) -> None:
    """Run every check on a reader; see `reader_checks` for the parameters.

    Raises
    ------
    AssertionError : lists all checks that failed, what each saw and how to mend it.
    ConfigError : no reader of that name is installed.
    """
    __tracebackhide__ = True
    check_all(reader_checks(reader, source, rows=rows, columns=columns, missing=missing))


def reader_checks(
    reader: str | Reader,
    source: str | Path | None = None,
    *,
    rows: int = 0,
    columns: Sequence[str] = (),
    missing: str | None = None,
) -> list[Check]:
    """The checks of a reader, for one parametrised test, see `automl.testing.family_checks`.

    Parameters
    ----------
    reader : the reader, or the name of an installed one.
    source : what ``data.path`` would say: a path, or ``scheme:rest``. Without one, only its names are checked.
    rows, columns : what is read from there.
    missing : a source that is not there; by default a scheme with a rest that nobody has, or a file that does not
        exist beside the source.
    """
    if isinstance(reader, str):
        known = installed().readers
        if reader not in known:
            raise ConfigError(f"unknown reader {reader!r}{nearest(reader, known)} Known: {', '.join(known)}")
        reader = known[reader]
    place = "" if source is None else str(source)
    if missing is None:
        scheme = next((scheme for scheme in reader.schemes if place.startswith(f"{scheme}:")), None)
        suffix = max((suffix for suffix in reader.suffixes if place.endswith(suffix)), key=len, default="")
        missing = f"{scheme}:{_NOWHERE}" if scheme else str(Path(place).with_name(_NOWHERE + suffix)) if place else ""
    given = _Source(reader, place, rows, tuple(columns), missing)
    looks = [(look, mend) for look, mend in CHECKS if source is not None or look is names]
    of = f"reader {reader.name!r}"
    return [Check(look.__name__, of, reader.name, mend, partial(look, given)) for look, mend in looks]


def names(given: _Source) -> None:
    """Its suffixes and schemes are well formed, and no other reader has them."""
    reader = given.reader
    expect(reader.suffixes or reader.schemes, "it has neither a suffix nor a scheme, so nothing is read by it")
    for kind in ("suffixes", "schemes"):
        said = getattr(reader, kind)
        expect(isinstance(said, tuple | list), f"{kind} is {said!r}, no tuple", f"write {kind}=({said!r},)")
    for suffix in reader.suffixes:
        well = re.fullmatch(r"(\.[a-z0-9_+-]+)+", suffix)
        expect(well, f"suffix {suffix!r}: a suffix starts with a dot and is in lower case, such as '.csv'")
    for scheme in reader.schemes:
        well = re.fullmatch(r"[A-Za-z][\w+.-]+", scheme)
        expect(well, f"scheme {scheme!r}: a scheme is two letters or more without a colon, such as 'sql'")
    for other in installed().readers.values():
        same = {*reader.suffixes, *reader.schemes} & {*other.suffixes, *other.schemes}
        expect(other.name == reader.name or not same, f"the reader {other.name!r} has {', '.join(sorted(same))} too")


def reads(given: _Source) -> None:
    """The source becomes a Polars frame with the rows and columns that were said."""
    try:
        table = _read(given, given.place)
    except Exception as error:
        raise Broken(f"{given.place}: {told(error)}") from error
    expect(table.height == given.rows, f"{given.place} has {table.height:,} rows, not {given.rows:,}")
    found = tuple(table.columns)
    expect(found == given.columns, f"{given.place} has the columns {list(found)}, not {list(given.columns)}")


def again(given: _Source) -> None:
    """Read a second time, it is the same."""
    expect(_read(given, given.place).equals(_read(given, given.place)), f"{given.place} differs when it is read again")


def missing(given: _Source) -> None:
    """A source that is not there gives an error of automl's that names it."""
    try:
        table = _read(given, given.missing)
    except AutoMLError as error:
        rest = given.missing.rpartition(":")[2]
        expect(rest in str(error), f"{given.missing} is not there, and the error does not name it: {error}")
    except BaseException as error:
        raise Broken(f"{given.missing} is not there, and it raises {told(error)}") from error
    else:
        raise Broken(f"{given.missing} is not there, yet it gives a table of {table.height:,} rows")


def _read(given: _Source, place: str) -> pl.DataFrame:
    return read(place, {**installed().readers, given.reader.name: given.reader})


CHECKS: tuple[tuple[Callable[[_Source], None], str], ...] = (
    (names, "give suffixes=('.ext',) or schemes=('word',), which no other reader has"),
    (reads, "return the whole table as a Polars frame, columns in the order of the source"),
    (again, "keep no state between reads; draw nothing at random"),
    (missing, "raise automl.DataError that says what is not there; never give an empty table instead"),
)
