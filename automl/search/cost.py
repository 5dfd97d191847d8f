"""The cost model: what a fold of a family is expected to take, from its prior and then from what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from automl.family import FamilySpec

_ROWS, _COLUMNS, _CLASSES = 0.7, 0.35, 0.7  # measured: powers that seconds grow by, on 94 to 31,258 rows x 1 to 1,415
_RECENT = 5  # measurements that count: a family's later candidates are more like the next one than its first


def prior(spec: FamilySpec, rows: int, columns: int, classes: int) -> float:
    """Seconds that a fit is expected to take on one core, where nothing was measured.

    Parameters
    ----------
    rows, columns : of the training rows; `classes`: of the task, 0 for a regression.
    """
    return spec.cost * scale(rows, columns, classes if spec.per_class else 0)


def scale(rows: int, columns: int, classes: int) -> float:
    """How many times as long a fit takes as one of 100,000 rows, 10 columns and no more than two classes."""
    return float(
        (rows / 1e5) ** _ROWS * (max(1, columns) / 10) ** _COLUMNS * (classes if classes > 2 else 1) ** _CLASSES
    )


class Costs:
    """Seconds of a fold, by family and number of training rows; taken as linear in the rows.

    Parameters
    ----------
    priors : family -> seconds of a fold where nothing was measured, 0 where nothing is known.
    rows : training rows of one fold.
    """

    def __init__(self, priors: Mapping[str, float], *, rows: int) -> None:
        self._rows = rows
        self._priors = dict(priors)
        self._measured: dict[str, list[float]] = {}

    def learn(self, family: str, seconds: float, rows: int | None = None) -> None:
        """A fold took so long, on so many rows (None: all)."""
        self._measured.setdefault(family, []).append(seconds / self._share(rows))

    def fold(self, family: str, rows: int | None = None) -> float:
        """The median of the last measurements, or the prior, for so many rows (None: all)."""
        measured = self._measured.get(family, [])[-_RECENT:]
        return (statistics.median(measured) if measured else self._priors.get(family, 0.0)) * self._share(rows)

    def is_known(self, family: str) -> bool:
        """Whether anything was measured."""
        return family in self._measured

    def _share(self, rows: int | None) -> float:
        return 1.0 if rows is None else min(1.0, rows / self._rows)


class ViewCosts:
    """Seconds that the views of folds will take, by the longest that one of its kind, of as many rows, has taken.

    Parameters
    ----------
    place : kind, fold and number of rows -> where that view will lie, or lies already and costs nothing.
    """

    def __init__(self, place: Callable[[str, int, int | None], Path]) -> None:
        self._place = place
        self._measured: dict[tuple[str, int | None], float] = {}

    def learn(self, kind: str, rows: int | None, seconds: float) -> None:
        """A view took so long, or less: one that was there took nothing."""
        self._measured[kind, rows] = max(seconds, self._measured.get((kind, rows), 0.0))

    def due(self, kind: str, rows: int | None, folds: Iterable[int]) -> float:
        """What those of these folds will take; 0 where nothing was measured."""
        each = self._measured.get((kind, rows), 0.0)
        return each * sum(not self._place(kind, fold, rows).exists() for fold in folds) if each else 0.0
