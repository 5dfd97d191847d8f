"""Views: a table encoded the way a family eats it, fitted on training rows only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from automl.data.schema import Schema


class View(Protocol):
    """A fitted encoding."""

    kind: str
    names: list[str]
    """Names of the output columns."""
    categories: dict[int, int]
    """Of `codes`: column number -> number of levels; a code is 0..levels-1, missing and unseen ones are NaN."""

    def transform(self, table: pl.DataFrame) -> Any:
        """float32 (n, p), C order; for `frame`, a Polars frame. `table` is what `Schema.apply` gave."""

    def save(self, folder: Path) -> None:
        """Write JSON and .npz files (no pickle) into an existing folder."""


def fit_view(kind: str, table: pl.DataFrame, schema: Schema) -> View:
    """Fit a view of one kind on training rows that `Schema.apply` gave."""
    raise NotImplementedError


def load_view(folder: Path) -> View:
    """The view that `save` wrote."""
    raise NotImplementedError


_ = np
