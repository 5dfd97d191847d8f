"""Anything in memory that holds rows and columns becomes a Polars frame: pandas, Arrow, arrays, lists, narwhals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl

from automl.errors import DataError

_FEW = 64  # rows that are converted cell by cell, where that is sooner done
_ONE_D = (
    "Expected 2D array, got {what} array instead. Reshape your data either using array.reshape(-1, 1) if it has a "
    "single feature or array.reshape(1, -1) if it is a single sample."
)


def to_polars(source: Any) -> pl.DataFrame:
    """The table in `source`; numbers are not copied where their memory is already one block a column.

    Parameters
    ----------
    source : a Polars, pandas or Arrow table, any frame that narwhals knows (a lazy one is collected), a 2-D array
        (n, p) or a list of n rows. Columns without a name are called x0, x1, ...

    Raises
    ------
    DataError : not two-dimensional, no column, complex numbers, two columns of one name, or no kind of table.
    TypeError : a sparse matrix.
    """
    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    if type(source).__module__.startswith("scipy.sparse"):
        raise TypeError("sparse matrices are not supported; pass a dense array: X.toarray()")
    if isinstance(source, np.ndarray | np.generic):
        return _from_array(source)
    if isinstance(source, list | tuple):
        return _from_rows(source)
    if type(source).__module__.startswith("narwhals"):
        return to_polars(source.to_native())
    from narwhals.dependencies import is_pandas_dataframe

    if is_pandas_dataframe(source):
        return _from_pandas(source)
    if hasattr(source, "__arrow_c_stream__") and hasattr(source, "schema"):
        return _from_arrow(source)
    return _from_any(source)


def unique_names(names: Iterable[Any], where: str = "the table") -> list[str]:
    """The names as text.

    Raises
    ------
    DataError : two columns have the same name.
    """
    text = [str(name) for name in names]
    if twice := [name for name, count in Counter(text).items() if count > 1]:
        places = [str(i + 1) for i, name in enumerate(text) if name == twice[0]]
        more = f" (and {len(twice) - 1} more such names)" if len(twice) > 1 else ""
        raise DataError(
            f"{where}: duplicate column name {twice[0]!r}: columns {', '.join(places[:-1])} and {places[-1]}{more}; "
            "rename or remove one of them"
        )
    return text


def _from_array(array: Any) -> pl.DataFrame:
    if array.dtype.kind == "c":
        raise DataError(
            f"Complex data not supported: the array holds {array.dtype}; pass real and imaginary parts as columns"
        )
    if array.ndim != 2:
        what = {0: "scalar", 1: "1D"}.get(array.ndim, f"{array.ndim}D")
        raise DataError(_ONE_D.format(what=what))
    if array.shape[1] == 0:
        raise DataError(f"the array has 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    if isinstance(array, np.ma.MaskedArray):
        shown = np.asarray(array.data).astype(object)
        shown[np.ma.getmaskarray(array)] = None
        array = shown
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    if array.dtype.kind in "biuf":
        # One transposed copy, unless the array is already stored by column.
        by_column = np.ascontiguousarray(np.asarray(array).T)
        return pl.DataFrame([pl.Series(f"x{i}", column) for i, column in enumerate(by_column)])
    if array.dtype.kind == "V":
        raise DataError("arrays of records are not supported; pass a pandas, Polars or Arrow table")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind != "O":
        array = array.astype(object)
    return pl.DataFrame([_from_objects(f"x{i}", array[:, i]) for i in range(array.shape[1])])


def _from_rows(rows: Sequence[Any]) -> pl.DataFrame:
    if not rows or not all(isinstance(row, list | tuple | np.ndarray) for row in rows):
        raise DataError(_ONE_D.format(what="1D"))
    widths = [len(row) for row in rows]
    if wrong := [i for i, width in enumerate(widths) if width != widths[0]]:
        raise DataError(f"ragged list: row {wrong[0]} has {widths[wrong[0]]} cells, row 0 has {widths[0]}")
    cells = np.empty((len(rows), widths[0]), dtype=object)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            cells[i, j] = cell
    return _from_array(cells)


def _from_pandas(frame: Any) -> pl.DataFrame:
    names = unique_names(frame.columns)
    columns = (column for _, column in frame.items())
    return pl.DataFrame([_from_pandas_column(name, column) for name, column in zip(names, columns, strict=True)])


def _from_pandas_column(name: str, column: Any) -> pl.Series:
    dtype, kind = column.dtype, str(column.dtype)
    if kind.startswith("Sparse"):
        return _from_pandas_column(name, column.sparse.to_dense())
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        values = column.to_numpy()
        return pl.Series(name, values if dtype.itemsize != 2 or dtype.kind != "f" else values.astype(np.float32))
    if isinstance(dtype, np.dtype) and dtype.kind == "c":
        raise DataError(f"column {name!r}: Complex data not supported; split it into real and imaginary parts")
    if kind == "category":
        cells = column.array
        return _from_codes(name, cells.categories, cells.codes)
    if kind.startswith("period"):
        column = column.dt.to_timestamp()
    if kind == "object" or kind.startswith("interval"):
        return _from_objects(name, column.to_numpy(object), as_text=kind != "object")
    import pyarrow as pa

    try:
        return _from_arrow_array(name, pa.array(column, from_pandas=True))
    except (pa.ArrowException, pl.exceptions.PolarsError, TypeError, ValueError):
        return _from_objects(name, column.to_numpy(object))


def _from_codes(name: str, categories: Any, codes: np.ndarray) -> pl.Series:
    """A pandas categorical: its owner has said that it is a category, so numbers among its levels stay labels."""
    if len(codes) < _FEW and str(categories.dtype) == "str":  # a row need not pay for all the levels
        cells = [None if code < 0 else _text(categories[code]) for code in codes.tolist()]
        return pl.Series(name, cells, dtype=pl.Categorical)
    levels = _from_objects(name, categories.to_numpy(object))
    known = pl.Series(codes.astype(np.int64))
    spelled = (levels.cast(pl.String) if levels.dtype != pl.Null else pl.Series([], dtype=pl.String)).alias(name)
    if not len(spelled):
        return pl.Series(name, [None] * len(codes), dtype=pl.Categorical)
    return spelled.gather(known.set(known < 0, None)).cast(pl.Categorical)


def _from_objects(name: str, cells: np.ndarray, as_text: bool = False) -> pl.Series:
    """Python objects: of one type if they are, else text cell by cell."""
    import pyarrow as pa

    if not as_text:
        try:
            return _from_arrow_array(name, pa.array(cells, from_pandas=True))
        except (pa.ArrowException, pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
            pass  # mixed types: what follows
    return pl.Series(name, [_text(cell) for cell in cells], dtype=pl.String)


def _from_arrow_array(name: str, array: Any) -> pl.Series:
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series.alias(name)


def _text(cell: Any) -> str | None:
    if cell is None or type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and cell != cell):
        return None
    # A lone surrogate is text for Python and for nobody else.
    return str(cell).encode("utf-8", "replace").decode()


def _from_arrow(source: Any) -> pl.DataFrame:
    names = getattr(source.schema, "names", None)
    if names is not None:
        unique_names(names)
    try:
        return pl.DataFrame(source)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise DataError(f"an Arrow table that Polars cannot hold: {error}") from error


def _from_any(source: Any) -> pl.DataFrame:
    import narwhals as nw

    try:
        frame = nw.from_native(source)
    except TypeError:
        if hasattr(source, "__array__"):
            return _from_array(np.asarray(source))
        raise DataError(
            f"{type(source).__name__} is no table; pass a path, a pandas, Polars or Arrow table, or a 2-D array. "
            "Expected 2D array: Reshape your data if it is one row or one column."
        ) from None
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect("polars")
    return frame.to_polars()
