"""Views: a table encoded the way a family eats it, fitted on training rows only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import polars as pl

from automl.data import store
from automl.data.arrays import ArrayView, Source, raw
from automl.data.crosses import Arithmetic, Pair, fit_crosses
from automl.data.dates import Dates
from automl.data.effects import numbered, with_effect
from automl.data.levels import Category, Codes, OneHot
from automl.data.numbers import Numbers, Scale
from automl.data.schema import Schema
from automl.data.targets import TargetMeans, target_columns, told_labels
from automl.data.text import Text
from automl.errors import ConfigError, DataError, nearest
from automl.hookspecs import hookimpl

FEATURES = frozenset({"numeric", "category", "text", "datetime", "boolean"})
"""The roles that views encode; the others are skipped."""
KINDS = ("codes", "encoded", "dense", "joint", "frame", "none", "texts")


class View(Protocol):
    """A fitted encoding. A class that inherits from this one has to say `names`, `transform` and `save`.

    A row's encoding depends on that row alone: not on the others, nor on their order.
    """

    if TYPE_CHECKING:  # in a class that inherits it is a property or a plain attribute, as it likes

        @property
        def names(self) -> list[str]:
            """Names of the output columns, no two alike; a numeric column keeps its own."""

    @property
    def categories(self) -> dict[int, int]:
        """Of `codes`: column number -> number of levels; a code is 0..levels-1, missing and unseen ones are NaN."""
        return {}

    @property
    def notes(self) -> list[str]:
        """What was capped or could not be learned from, for a person."""
        return []

    def transform(self, table: pl.DataFrame) -> Any:
        """float32 (n, p), C order, or a Polars frame. `table` is what `Schema.apply` gave."""

    def training(self, table: pl.DataFrame, y: np.ndarray) -> Any:
        """The rows that the view was fitted on, with their target (n,), as a model is to learn from them.

        As `transform` gives them, but where an encoding knows the target: there each row is encoded by other rows.
        """
        return self.transform(table)

    def save(self, folder: Path) -> None:
        """Write JSON and .npz files (no pickle) into an existing folder."""


@dataclass(frozen=True)
class Training:
    """What a view is fitted on: the training rows of a fold.

    Attributes
    ----------
    table : the rows, as `Schema.apply` gave them; `schema` says what the columns are.
    y : the encoded target (n,): codes 0..classes-1, or numbers where `classes` is 0.
    texts : what the text columns are encoded by, where the view wants it.
    crosses : how many crosses of columns a view may have at most.
    """

    table: pl.DataFrame
    schema: Schema
    y: np.ndarray
    classes: int
    texts: Sequence[Text] = ()
    crosses: int = 0


@dataclass(frozen=True)
class ViewKind:
    """A kind of view that families may eat.

    Parameters
    ----------
    name : the name that families use; letters, digits and ``_``.
    fit : called with the training rows of a fold; gives a fitted view.
    load : called with the folder that `View.save` wrote into; gives the view, which transforms as the saved one did.
    texts : whether text columns come as numbers already, see `automl.data.text`, and not as text.
    """

    name: str
    fit: Callable[[Training], View]
    load: Callable[[Path], View]
    texts: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"view name {self.name!r} must be a Python identifier: letters, digits and _")


@hookimpl
def automl_views() -> Iterable[ViewKind]:
    """The four arrays, the frame, and nothing."""
    for name in ("codes", "encoded", "dense", "joint", "frame", "none"):
        yield ViewKind(name, partial(_fit_kind, name), load_view, texts=name not in ("frame", "none"))


def _fit_kind(kind: str, rows: Training) -> View:
    return fit_view(kind, rows.table, rows.schema, rows.y, rows.classes, rows.texts, rows.crosses)


def fit_view(
    kind: str,
    table: pl.DataFrame,
    schema: Schema,
    y: np.ndarray | None = None,
    classes: int = 0,
    texts: Sequence[Text] = (),
    crosses: int = 0,
) -> View:
    """Fit a view of one of the kinds that come with automl on training rows that `Schema.apply` gave.

    Parameters
    ----------
    kind : ``codes`` keeps numbers as they are with NaN for missing, and gives categories as codes;
        ``encoded`` is like it, but gives categories as numbers, see `TargetMeans`: it alone tells of the target;
        ``dense`` is imputed, standardised (within ±10) and one-hot, never NaN or infinite;
        ``joint`` is like it, but no column is mapped to another shape, and one scale is for all of them;
        ``frame`` is the Polars frame of the features;
        ``none`` has the rows and no columns, for what looks at no feature;
        ``texts`` is what the three arrays have in common and need not each learn: the text columns as numbers, with
        a forecast of the target if there is one.
    y : the encoded target (n,) of the rows. Only ``encoded`` needs it; by it ``codes``, too, finds out which numbers
        stand for something each, and gives these as categories besides.
    classes : the number of classes, 0 for regression.
    texts : what the sources of ``texts`` learned from these rows, to save learning it again.
    crosses : how many crosses ``encoded`` may have at most, see `automl.data.crosses`.

    Raises
    ------
    ConfigError : an unknown kind.
    DataError : no rows, or no target where it is needed.
    """
    if kind not in KINDS:
        raise ConfigError(f"view {kind!r} is none of {', '.join(KINDS)}{nearest(kind, KINDS)}")
    if not table.height:
        raise DataError("a view needs at least one training row; the table has none")
    columns = {column.name: column.role for column in schema.columns if column.role in FEATURES}
    if kind == "frame":
        return FrameView(list(columns))
    if kind == "none":
        return ArrayView(kind, [], None, [])
    if kind == "encoded" and y is None:
        raise DataError("the view 'encoded' learns from the target, and none was given")
    if kind == "texts":
        labels = [] if y is None else told_labels(y, classes)
        target = None if y is None else target_columns(y, labels)
        return ArrayView(kind, [], None, [Text.fit(table[name], target, labels) for name in _of(columns, "text")])
    texts = texts or [Text.fit(table[name]) for name in _of(columns, "text")]
    if kind in ("dense", "joint"):
        return _fit_dense(table, columns, texts, kind)
    free = [name for name in columns if name not in schema.monotone]
    numbers = [name for name in _of(columns, "numeric") if name in free]
    if y is None or kind == "codes":
        return _fit_codes(table, y, columns, numbers, texts, classes)
    fit_plain = partial(_fit_encoded, columns=columns, numbers=numbers, texts=texts, classes=classes)
    view = fit_plain(table, y)
    return replace(view, direct=[*view.direct, *fit_crosses(table, y, classes, crosses, free, fit_plain)])


def load_view(folder: Path) -> View:
    """The view that `save` wrote; it transforms bit for bit like the one that was saved.

    Raises
    ------
    StorageError : a file is missing or cannot be read.
    """
    return store.read(folder, "view", _restore)


@dataclass(frozen=True)
class FrameView(View):
    """The features as they are, in the schema's order."""

    names: list[str]
    kind: ClassVar[str] = "frame"

    def transform(self, table: pl.DataFrame) -> pl.DataFrame:
        """The feature columns of `table`."""
        return table[self.names]

    def save(self, folder: Path) -> None:
        """Write the names."""
        store.write(folder, "view", {"kind": self.kind, "names": self.names})


_CODES_KEPT = 1000
_LEVELS_KEPT = 40
_WIDTH = 5000
_SAMPLE_ROWS = 50_000
_SAMPLE_VALUES = 2**24
_SOURCES: dict[str, type] = {
    kind.__name__: kind for kind in (Numbers, Dates, Text, Codes, OneHot, TargetMeans, Arithmetic, Pair)
}


def _fit_codes(
    table: pl.DataFrame,
    y: np.ndarray | None,
    columns: dict[str, str],
    numbers: Sequence[str],
    texts: Sequence[Text],
    classes: int,
) -> ArrayView:
    categories = [Codes.fit(table[name], _CODES_KEPT) for name in _of(columns, "category")]
    others: list[Source] = [*_dates(table, columns, cyclic=False), *texts]
    if y is not None:
        plain = ArrayView("codes", [], None, [_numbers(columns), *categories, *others])
        levels = numbered(table, plain, target_columns(y, told_labels(y, classes)), numbers)
        categories += [Codes.fit(table[name], _CODES_KEPT) for name in levels]
    notes = _notes(categories) + [
        f"{c.column!r}: the {len(c.levels) - c.kept:,} levels after the {c.kept:,} most frequent share one code"
        for c in categories
        if len(c.levels) > c.kept
    ]
    return ArrayView("codes", [], None, [_numbers(columns), *categories, *others], notes)


def _fit_encoded(
    table: pl.DataFrame,
    y: np.ndarray,
    columns: dict[str, str],
    numbers: Sequence[str],
    texts: Sequence[Text],
    classes: int,
) -> ArrayView:
    names = _of(columns, "category")
    labels = told_labels(y, classes, max(1, _WIDTH // max(len(names), 1)))
    target = target_columns(y, labels)
    told = [TargetMeans.learn(table[name], target, labels) for name in names]
    untold = [category.without_means() for category in told]
    others: list[Source] = [*_dates(table, columns, cyclic=False), *texts]
    plain = ArrayView("encoded", [], None, [_numbers(columns), *untold, *others])
    telling = with_effect(table, plain, target, [category.column for category in told if category.counted])
    levels = [TargetMeans.learn(table[name], target, labels) for name in numbered(table, plain, target, numbers)]
    if classes <= 2:  # else there would be a column for each class: too many for what a code says too
        telling |= {category.column for category in told if not category.counted}
    categories = [mean if mean.column in telling else code for mean, code in zip(told, untold, strict=True)] + levels
    rare = classes - len(labels) if classes > 2 and any(category.means.size for category in categories) else 0
    note = f"categories tell the shares of the {len(labels)} most frequent classes, not of the {rare} others"
    notes = _notes(levels) + ([note] if rare else [])
    return ArrayView("encoded", [], None, [_numbers(columns), *categories, *others], notes)


def _notes(categories: Sequence[Category]) -> list[str]:
    said = "its numbers stand for something each, as those of customers do: they are taken as levels besides"
    return [f"{category.column!r}: {said}" for category in categories if category.numeric]


def _fit_dense(table: pl.DataFrame, columns: dict[str, str], texts: Sequence[Text], kind: str) -> ArrayView:
    scaled: list[Source] = [_numbers(columns), *_dates(table, columns, cyclic=True), *texts]
    indicated, notes = _indicators(scaled, table)
    width = sum(len(source.names) for source in scaled)
    sample = _sample(table, min(_SAMPLE_ROWS, max(1000, _SAMPLE_VALUES // max(width, 1))))
    scale = Scale.fit(raw(scaled, sample, width), indicated, kind == "joint")
    categories = [OneHot.fit(table[name], _LEVELS_KEPT) for name in _of(columns, "category")]
    narrow, told = _narrowed(categories, _WIDTH - width - len(indicated))
    return ArrayView(kind, scaled, scale, narrow, notes + told)


def _of(columns: dict[str, str], role: str) -> list[str]:
    return [name for name, its in columns.items() if its == role]


def _numbers(columns: dict[str, str]) -> Numbers:
    return Numbers(_of(columns, "numeric"), _of(columns, "boolean"))


def _dates(table: pl.DataFrame, columns: dict[str, str], *, cyclic: bool) -> list[Dates]:
    return [Dates.fit(table[name], cyclic=cyclic) for name in _of(columns, "datetime")]


def _indicators(sources: Sequence[Source], table: pl.DataFrame) -> tuple[list[int], list[str]]:
    """The columns that get a 0/1 missing indicator, those with the most missing first in line, and notes."""
    nulls = _missing(table)
    found, start = [], 0
    for source in sources:
        found += [(nulls[name], start + j) for j, name in source.gaps if 0 < nulls[name] < table.height]
        start += len(source.names)
    room = max(_WIDTH - start, 0)
    if len(found) <= room:
        return [j for _, j in found], []
    found.sort(key=lambda gap: (-gap[0], gap[1]))
    note = f"{len(found) - room:,} columns with missing values have no indicator: the view is {_WIDTH:,} columns wide"
    return sorted(j for _, j in found[:room]), [note]


def _missing(table: pl.DataFrame) -> dict[str, int]:
    counts = table.with_columns(pl.col(pl.Float64).fill_nan(None)).null_count()
    return dict(zip(counts.columns, counts.row(0), strict=True)) if counts.columns else {}


def _narrowed(categories: list[OneHot], room: int) -> tuple[list[OneHot], list[str]]:
    """The categories with as many levels each as the room allows, at least one."""
    kept = _LEVELS_KEPT
    while kept > 1 and sum(c.narrowed(kept).width for c in categories) > room:
        kept -= 1
    notes = [f"categories keep {kept} levels each instead of {_LEVELS_KEPT}: the view is {_WIDTH:,} columns wide"]
    return [c.narrowed(kept) for c in categories], notes if kept < _LEVELS_KEPT else []


def _sample(table: pl.DataFrame, rows: int) -> pl.DataFrame:
    if table.height <= rows:
        return table
    return table[np.sort(np.random.default_rng(0).choice(table.height, rows, replace=False))]


def _source(state: dict[str, Any]) -> Source:
    built: Source = _SOURCES[state.pop("source")](**state)
    return built


def _restore(state: dict[str, Any]) -> View:
    if state["kind"] == "frame":
        return FrameView(state["names"])
    scaled, direct = ([_source(source) for source in state[part]] for part in ("scaled", "direct"))
    return ArrayView(state["kind"], scaled, state["scale"] and Scale(**state["scale"]), direct, state["notes"])
