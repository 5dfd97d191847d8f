"""Arrays: a table as float32 columns, which sources fill; what all views but `frame` are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from automl.data import store
from automl.data.levels import Codes
from automl.data.numbers import Scale
from automl.data.targets import TargetMeans, inner_folds, target_columns
from automl.data.text import Text

_CHUNK_ROWS = 2**14
_CHUNK_VALUES = 2**22


class Source(Protocol):
    """What turns one column, or a block of them, into numbers."""

    @property
    def names(self) -> list[str]:
        """Of the columns that it fills."""

    @property
    def gaps(self) -> list[tuple[int, str]]:
        """(column filled, table column) where missing values are NaN and may deserve an indicator."""

    def fill(self, table: pl.DataFrame, out: np.ndarray) -> None:
        """Write all of `out` (n, len(names)), of any float type."""


@dataclass(frozen=True)
class ArrayView:
    """The views that are arrays: sources that pass through a `Scale`, then sources written as they are."""

    kind: str
    scaled: Sequence[Source]
    scale: Scale | None
    direct: Sequence[Source]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def names(self) -> list[str]:
        """Names of the output columns, no two alike."""
        names = [name for source in self.scaled for name in source.names]
        names += [f"{names[j]}:missing" for j in self._indicated]
        return _distinct(names + [name for source in self.direct for name in source.names])

    @cached_property
    def categories(self) -> dict[int, int]:
        """Column number -> number of codes."""
        found, start = {}, self._scaled_width
        for source in self.direct:
            if isinstance(source, Codes) and source.codes:
                found[start] = source.codes
            start += len(source.names)
        return found

    def transform(self, table: pl.DataFrame) -> np.ndarray:
        """float32 (n, p), C order."""
        return self._filled(table, range(len(self.direct)))

    def training(self, table: pl.DataFrame, y: np.ndarray) -> np.ndarray:
        """float32 (n, p), C order: as `transform` has it, but for what knows the target, which is out of fold."""
        apart = {i: source for i, source in enumerate(self.direct) if isinstance(source, TargetMeans | Text)}
        out = self._filled(table, [i for i in range(len(self.direct)) if i not in apart])
        folds = inner_folds(len(y))
        for i, source in apart.items():
            source.fill_training(table, target_columns(y, source.labels), folds, out[:, self.places[i]])
        return out

    def save(self, folder: Path) -> None:
        """Write view.json and view.npz."""
        state = {
            "kind": self.kind,
            "scaled": [_state(source) for source in self.scaled],
            "scale": self.scale and store.fields_of(self.scale),
            "direct": [_state(source) for source in self.direct],
            "notes": self.notes,
        }
        store.write(folder, "view", state)

    @cached_property
    def _indicated(self) -> Sequence[int]:
        return () if self.scale is None else self.scale.indicated.tolist()

    @cached_property
    def _scaled_width(self) -> int:
        return self._raw_width + len(self._indicated)

    @cached_property
    def _raw_width(self) -> int:
        return sum(len(source.names) for source in self.scaled)

    @cached_property
    def places(self) -> list[slice]:
        """The columns of each of `direct`."""
        ends = np.cumsum([self._scaled_width, *(len(source.names) for source in self.direct)]).tolist()
        return [slice(start, end) for start, end in pairwise(ends)]

    def _filled(self, table: pl.DataFrame, chosen: Sequence[int]) -> np.ndarray:
        """An array of which the sources `chosen` of `direct`, and all others, are written."""
        out = np.empty((table.height, len(self.names)), np.float32)
        rows = _chunk(len(self.names))
        for start in range(0, table.height, rows):
            part = table.slice(start, rows) if table.height > rows else table
            self._encode(part, chosen, out[start : start + rows])
        return out

    def _encode(self, table: pl.DataFrame, chosen: Sequence[int], out: np.ndarray) -> None:
        if self.scale is not None:
            self.scale.apply(raw(self.scaled, table, self._raw_width), out[:, : self._scaled_width])
        for i in chosen:
            self.direct[i].fill(table, out[:, self.places[i]])


def raw(sources: Sequence[Source], table: pl.DataFrame, width: int) -> np.ndarray:
    """What the sources say, unscaled, float64 (n, width)."""
    said, start = np.empty((table.height, width)), 0
    for source in sources:
        end = start + len(source.names)
        source.fill(table, said[:, start:end])
        start = end
    return said


def _chunk(width: int) -> int:
    return min(max(_CHUNK_VALUES // max(width, 1), 256), _CHUNK_ROWS)


def _distinct(names: list[str]) -> list[str]:
    """The names, with a number after each that is already taken."""
    if len(set(names)) == len(names):
        return names
    taken, found = set(names), []
    seen: set[str] = set()
    for name in names:
        free, number = name, 2
        while free in seen or (free != name and free in taken):
            free, number = f"{name}#{number}", number + 1
        seen.add(free)
        found.append(free)
    return found


def _state(source: Source) -> dict[str, Any]:
    return {"source": type(source).__name__, **store.fields_of(source)}
