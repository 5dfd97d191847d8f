"""The problem: what all trials of a run share, on disk and memory-mapped: a trial needs a path and some JSON."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from automl.data.arrays import ArrayView
from automl.data.schema import Schema
from automl.data.split import Fold, Split, repeats
from automl.data.text import Text, read
from automl.data.views import Training, View, fit_view, load_view
from automl.metrics import Metric, resolve
from automl.plugins import installed
from automl.registry import Registry
from automl.task import Task


@dataclass(frozen=True)
class Problem:
    """A work folder: the typed table, the encoded target, weights, split and views.

    Attributes
    ----------
    folder : the work folder.
    task, schema : what to predict, from what.
    plugins : the arguments of `automl.plugins.installed`, so that a worker loads the same ones.
    folds : the number of folds.
    crosses : how many crosses its views may have at most.
    """

    folder: Path
    task: Task
    schema: Schema
    plugins: tuple[Any, ...]
    folds: int
    crosses: int = 0

    @classmethod
    def write(
        cls,
        folder: Path,
        table: pl.DataFrame,
        y: np.ndarray,
        weight: np.ndarray | None,
        split: Split,
        task: Task,
        schema: Schema,
        plugins: Sequence[Any],
        crosses: int = 0,
    ) -> Problem:
        """Lay out a work folder. `table` is typed by `schema`, `y` (n,) encoded by `task`, `weight` (n,) or None."""
        folder.mkdir(parents=True)
        table.write_ipc(folder / "table.arrow", compression="uncompressed")
        np.save(folder / "y.npy", y)
        if weight is not None:
            np.save(folder / "weight.npy", weight)
        for i, fold in enumerate(split.folds):
            np.save(folder / f"train-{i}.npy", fold.train)
            np.save(folder / f"valid-{i}.npy", fold.valid)
        facts = {
            "task": task.to_dict(),
            "schema": schema.to_dict(),
            "plugins": [list(part) if isinstance(part, tuple) else part for part in plugins],
            "folds": len(split.folds),
            "crosses": crosses,
        }
        (folder / "problem.json").write_text(json.dumps(facts, default=str))
        return cls(folder, task, schema, tuple(plugins), len(split.folds), crosses)

    @classmethod
    def read(cls, folder: Path) -> Problem:
        """The problem that `write` laid out."""
        facts = json.loads((folder / "problem.json").read_text())
        plugins = tuple(tuple(part) if isinstance(part, list) else part for part in facts["plugins"])
        task, schema = Task.from_dict(facts["task"]), Schema.from_dict(facts["schema"])
        return cls(folder, task, schema, plugins, facts["folds"], facts["crosses"])

    @cached_property
    def registry(self) -> Registry:
        """The plugins of the run."""
        return installed(*self.plugins)

    @cached_property
    def metric(self) -> Metric:
        """The metric that decides."""
        return resolve(self.task.metric, self.task.kind, self.registry.metrics)

    @cached_property
    def table(self) -> pl.DataFrame:
        """The typed features, memory-mapped."""
        return _mapped(self.folder / "table.arrow")

    @cached_property
    def y(self) -> np.ndarray:
        """The encoded target (n,), memory-mapped."""
        return np.load(self.folder / "y.npy", mmap_mode="c")

    @cached_property
    def weight(self) -> np.ndarray | None:
        """Sample weights (n,), memory-mapped, or None."""
        file = self.folder / "weight.npy"
        return np.load(file, mmap_mode="c") if file.exists() else None

    def fold(self, i: int | None, most: int | None = None) -> Fold:
        """The rows of fold `i`, of which at most so many train; for None, all train and none validates.

        Which of them train is the same for whoever asks for as many.
        """
        train, valid = np.arange(len(self.y)), np.empty(0, np.int64)
        if i is not None:
            train, valid = np.load(self.folder / f"train-{i}.npy"), np.load(self.folder / f"valid-{i}.npy")
        if most is not None and most < len(train):
            train = train[np.sort(np.random.default_rng(len(train)).choice(len(train), most, replace=False))]
        return Fold(train, valid)

    @cached_property
    def rows(self) -> np.ndarray:
        """The rows that validate in any fold, sorted; the scores of a trial are over these."""
        return np.unique(np.concatenate([self.fold(i).valid for i in range(self.folds)]))

    @cached_property
    def repeats(self) -> int:
        """How many models' mean an out-of-fold prediction is."""
        return repeats([self.fold(i) for i in range(self.folds)])

    def validated(self, values: np.ndarray | None) -> Any:
        """The part of a per-row array (n, ...) that `predictions` is about; None stays None."""
        return None if values is None else values[self.rows]

    def predictions(self, trial: int) -> np.ndarray:
        """Out-of-fold predictions (rows, classes) or (rows,) of a finished trial; the mean where folds repeat a row."""
        total: np.ndarray | None = None
        count = np.zeros(len(self.y), np.int32)
        for i in range(self.folds):
            valid = self.fold(i).valid
            part = np.load(self.trial_folder(trial, i) / "predictions.npy")
            if total is None:
                total = np.zeros((len(self.y), *part.shape[1:]), np.float64)
            total[valid] += part
            count[valid] += 1
        assert total is not None
        shape = (-1, *([1] * (total.ndim - 1)))
        return total[self.rows] / count[self.rows].reshape(shape)

    def view(self, kind: str, fold: int | None, most: int | None = None) -> tuple[View, Any, Any]:
        """A view fitted on at most so many training rows of a fold, and these and the validation rows encoded by it.

        Where the encoding looks at the target, training rows are encoded out of fold: not as `View.transform` would.
        The view is built by the first trial that asks, and memory-mapped by all others.
        """
        final = self.view_folder(kind, fold, most)
        if not final.exists():
            draft = final.with_name(f".{final.name}.{os.getpid()}")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            self._build(kind, fold, most, draft)
            try:
                draft.rename(final)
            except OSError:  # another worker was first
                shutil.rmtree(draft)
        view = self.load_view(kind, final)
        return view, _fetch(final / "rows" / "train"), _fetch(final / "rows" / "valid")

    def load_view(self, kind: str, folder: Path) -> View:
        """The view of a kind that lies in a folder."""
        return load_view(folder) if kind == _TEXTS else self.registry.views[kind].load(folder)

    def _build(self, kind: str, fold: int | None, most: int | None, folder: Path) -> None:
        rows = self.fold(fold, most)
        has_texts = any(column.role == "text" for column in self.schema.columns)
        told = has_texts and kind != _TEXTS and self.registry.views[kind].texts
        texts, *numbers = self._texts(fold, most) if told else ([], np.empty(0), np.empty(0))
        train, y = read(self.table[rows.train], texts, numbers[0]), self.y[rows.train]
        if kind == _TEXTS:
            view = fit_view(kind, train, self.schema, y, len(self.task.classes))
        else:
            training = Training(train, self.schema, y, len(self.task.classes), texts, self.crosses)
            view = self.registry.views[kind].fit(training)
        view.save(folder)
        _store(folder / "rows" / "train", view.training(train, y))
        del train  # a copy of the rows: let it go before the next one
        _store(folder / "rows" / "valid", view.transform(read(self.table[rows.valid], texts, numbers[1])))

    def _texts(self, fold: int | None, most: int | None) -> tuple[list[Text], Any, Any]:
        """What the texts of a fold are encoded by, and its rows so encoded: once for all kinds of views."""
        view, train, valid = self.view(_TEXTS, fold, most)
        assert isinstance(view, ArrayView)
        return [source for source in view.direct if isinstance(source, Text)], train, valid

    def view_folder(self, kind: str, fold: int | None, most: int | None = None) -> Path:
        """Where the view of a fold lies, or that of all rows (None), fitted on at most so many of them."""
        return self.folder / "views" / (f"{kind}-{_named(fold)}" + ("" if most is None else f"-{most}"))

    def trial_folder(self, trial: int, fold: int | None) -> Path:
        """Where a trial leaves the model and the predictions of a fold, or the model of all rows (None)."""
        return self.folder / "trials" / f"{trial:05d}" / _named(fold)


_TEXTS = "texts"  # the kind of view that all arrays have in common, and no family eats


def _named(fold: int | None) -> str:
    return "all" if fold is None else str(fold)


def _store(path: Path, rows: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    if isinstance(rows, pl.DataFrame):
        rows.write_ipc(path.with_suffix(".arrow"), compression="uncompressed")
    else:
        np.save(path.with_suffix(".npy"), rows)


def _fetch(path: Path) -> Any:
    # Copy on write: some of scikit-learn's compiled code refuses arrays that are read-only, though it never writes.
    frame = path.with_suffix(".arrow")
    return _mapped(frame) if frame.exists() else np.load(path.with_suffix(".npy"), mmap_mode="c")


def _mapped(file: Path) -> pl.DataFrame:
    import pyarrow as pa

    with pa.memory_map(str(file)) as source:
        table = pl.from_arrow(pa.ipc.open_file(source).read_all())
    assert isinstance(table, pl.DataFrame)
    return table
