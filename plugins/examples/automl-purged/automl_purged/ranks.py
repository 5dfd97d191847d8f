"""The view `ranks`: numbers by their place among the training rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from automl import Training, View


class Ranks(View):
    """Each number as the share of training rows below it, a missing one as the middle; other columns are left out.

    Parameters
    ----------
    known : column -> its sorted training values, float64.
    """

    def __init__(self, known: dict[str, np.ndarray]) -> None:
        self.known = known

    @property
    def names(self) -> list[str]:
        """The columns' own."""
        return list(self.known)

    @classmethod
    def fit(cls, rows: Training) -> Self:
        """Learn from training rows."""
        columns = [column.name for column in rows.schema.features if column.role in ("numeric", "boolean")]
        return cls({name: np.sort(_values(rows.table, name, 0.0)) for name in columns})

    def transform(self, table: pl.DataFrame) -> np.ndarray:
        """float32 (n, p)."""
        made = np.empty((table.height, len(self.names)), np.float32)
        for j, (name, known) in enumerate(self.known.items()):
            values = _values(table, name, float(known[len(known) // 2]))
            made[:, j] = np.searchsorted(known, values) / len(known)
        return made

    def save(self, folder: Path) -> None:
        """Write the training values as arrays."""
        arrays: dict[str, Any] = {f"column{i}": values for i, values in enumerate(self.known.values())}
        np.savez(folder / "ranks.npz", names=np.array(self.names, dtype=str), **arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The view that `save` wrote."""
        with np.load(folder / "ranks.npz", allow_pickle=False) as file:
            return cls({str(name): file[f"column{i}"] for i, name in enumerate(file["names"])})


def _values(table: pl.DataFrame, name: str, missing: float) -> np.ndarray:
    return np.nan_to_num(table[name].cast(pl.Float64).to_numpy(), nan=missing)
