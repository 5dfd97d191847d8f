"""The predictor: what a run leaves behind. It loads and predicts without the code of the search."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from threadpoolctl import ThreadpoolController

from automl.answer import Answer, Spread, pooled
from automl.artifact import MANIFEST, TemporaryFolder, load_model, unseal, written_whole
from automl.data.read import read
from automl.data.schema import Schema
from automl.data.views import View
from automl.errors import AutoMLError, ConfigError, DataError, DataWarning, StorageError, nearest
from automl.family import Family, predict
from automl.metrics import resolve
from automl.plugins import installed
from automl.registry import Registry
from automl.task import Task

if TYPE_CHECKING:
    import pandas as pd

_FEW = 256  # rows
_ROWS = 50_000  # that are predicted at a time, so that the encoded rows of a large table need not all be held
_SHARES = 200_000  # probabilities, likewise


@dataclass(frozen=True)
class Member:
    """One fitted model of the ensemble: its name (trial and fold), trial, family, the view it eats and its weight."""

    name: str
    trial: str
    family: str
    view: str
    weight: float
    estimator: Any


class Predictor:
    """A fitted ensemble with its schema and views.

    Attributes
    ----------
    task : what it predicts; `classes_` are the labels in the order of the probability columns.
    schema : the columns that it wants.
    answer : what it makes of their blend: a temperature, and weights of the classes or a threshold.
    facts : the score at fit, its interval, the rows, the seed, versions and the time.
    folder : where it lies. A pickle of a predictor holds the files in it, and they are checked again when it is loaded.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], registry: Registry) -> None:
        self.folder = folder
        self.holds: TemporaryFolder | None = None  # what must not go before the predictor does
        self.task = Task.from_dict(manifest["task"])
        self.schema = Schema.from_dict(manifest["schema"])
        features = {column.name for column in self.schema.features}
        self._aside = [name for name in (self.task.target, *manifest["aside"]) if name not in features]
        self.facts: dict[str, Any] = dict(manifest["facts"])
        self.answer = Answer.from_dict(manifest["answer"])
        self._repeats = int(manifest["repeats"])
        self._registry = registry
        self._views = {name: self._view(name) for name in manifest["views"]}
        self._said: list[Mapping[str, Any]] = manifest["members"]
        if not self._said or not {member["view"] for member in self._said} <= self._views.keys():
            raise StorageError(
                f"{folder / MANIFEST} is damaged: a member or its view is missing; copy the folder again"
            )
        for member in self._said:
            self._family(member)

    @cached_property
    def members(self) -> list[Member]:
        """Its models, read from the folder when they are first asked for."""
        return [self._load(member) for member in self._said]

    @property
    def classes_(self) -> np.ndarray:
        """The labels (classes,) in the order of the columns of `predict_proba`; empty for regression."""
        return self.task.decode(np.arange(len(self.task.classes)))

    def predict(self, data: Any) -> np.ndarray:
        """Labels (n,) in the target's own type, or values (n,) for regression.

        Parameters
        ----------
        data : whatever `fit` takes: a path, a frame, an array. Extra columns are ignored, order does not matter.

        Raises
        ------
        DataError : a column is missing, or the data cannot be read.
        """
        answer = self._answers(self._table(data))
        return self._labels(answer) if self.task.classes else answer

    def predict_proba(self, data: Any) -> np.ndarray:
        """Probabilities (n, classes), float64, rows summing to 1.

        The likeliest label is not always that of `predict`, which weighs the classes where that serves the metric.

        Raises
        ------
        ConfigError : the task is a regression.
        """
        if not self.task.classes:
            raise ConfigError("a regression has no probabilities: use predict")
        return self._answers(self._table(data))

    def evaluate(self, data: Any, metrics: Sequence[str] = ()) -> dict[str, float]:
        """Scores on data that has the target, each in its metric's own sign: the run's metric, then `metrics`.

        Rows without a label are left out with a warning.

        Raises
        ------
        DataError : the data has no target column.
        """
        from automl.data.schema import typed_target

        table = read(data, self._registry.readers)
        if self.task.target not in table.columns:
            raise DataError(
                f"no target column {self.task.target!r} in the data{nearest(self.task.target, table.columns)}"
            )
        target = typed_target(table[self.task.target], self.schema.missing)
        known = target.is_not_null()
        if lost := int((~known).sum()):
            warnings.warn(f"{lost} rows without a label were left out", DataWarning, stacklevel=2)
        if not known.any():
            raise DataError(f"target {self.task.target!r} is missing in all {table.height:,} rows: nothing to compare")
        y = self.task.encode(target.filter(known))
        answer = self._answers(self._table(table.filter(known)))
        names = dict.fromkeys([self.task.metric, *metrics])
        chosen = {name: resolve(name, self.task.kind, self._registry.metrics) for name in names}
        weighed = self.answer.weighed(answer)
        return {name: m.score(y, weighed if m.takes == "labels" else answer) for name, m in chosen.items()}

    def table(self, data: Any, *, proba: bool = True) -> pl.DataFrame:
        """Predictions as a table: the column `prediction`, and for classes one column `proba_LABEL` each."""
        answer = self._answers(self._table(data))
        if not self.task.classes:
            return pl.DataFrame({"prediction": answer})
        labels = pl.Series("prediction", self._labels(answer).tolist())
        columns = [pl.Series(f"proba_{label}", answer[:, i]) for i, label in enumerate(self.task.classes)]
        return pl.DataFrame([labels, *(columns if proba else ())])

    def describe(self) -> pd.DataFrame:
        """One row per model: member, family, view, weight."""
        import pandas as pd

        return pd.DataFrame(
            [{"member": m.name, "family": m.family, "view": m.view, "weight": m.weight} for m in self.members]
        )

    def save(self, path: str | Path) -> Path:
        """Copy the predictor to another folder.

        Raises
        ------
        StorageError : the folder exists already, or cannot be written.
        """
        final = Path(path)
        if final.exists():
            raise StorageError(f"{final} exists already: choose another path")
        with written_whole(final) as draft:
            shutil.copytree(self.folder, draft)
        return final

    def __reduce__(self) -> tuple[Any, ...]:
        names = [MANIFEST, *unseal(self.folder)["files"]]
        return _unpacked, ({name: (self.folder / name).read_bytes() for name in names},)

    def _table(self, data: Any) -> pl.DataFrame:
        # The target, weights and groups may be there, as they were at fit: no surprise worth a warning.
        given = read(data, self._registry.readers)
        if aside := [name for name in self._aside if name in given.columns]:
            given = given.drop(aside)
        table, notes = self.schema.apply(given)
        for note in notes:
            warnings.warn(note, DataWarning, stacklevel=3)
        return table

    def _labels(self, probabilities: np.ndarray) -> np.ndarray:
        return self.task.decode(self.answer.weighed(probabilities).argmax(axis=1))

    def _answers(self, table: pl.DataFrame) -> np.ndarray:
        """Probabilities (n, classes) or values (n,) for a typed table, some rows at a time."""
        rows = min(_ROWS, max(1, _SHARES // max(1, len(self.task.classes))))
        parts = [self._blend(table.slice(start, rows)) for start in range(0, table.height, rows)]
        blended = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return self.answer.probabilities(blended) if self.task.classes else blended

    def _blend(self, table: pl.DataFrame) -> np.ndarray:
        encoded = {name: view.transform(table) for name, view in self._views.items()}
        parts: dict[str, np.ndarray] = {}  # by trial where each counts by itself, or all in one
        members, classes, spread = self.members, len(self.task.classes), Spread(self._repeats)
        # A few rows are not worth a second thread: on a busy machine they would wait for it a hundred times as long.
        with self._threads.limit(limits=1) if table.height < _FEW else nullcontext():
            for member in members:
                said = predict(member.estimator, encoded[member.view], classes)
                if classes > 2:
                    spread.add(member.trial, member.weight, said)
                said, key = member.weight * said, member.trial if self.answer.powers else ""
                parts[key] = parts[key] + said if key in parts else said
        if self.answer.powers:
            blended = pooled([part / part.sum(axis=1, keepdims=True) for part in parts.values()], self.answer.powers)
        else:
            blended = parts[""]
        return spread.undone(blended) if classes > 2 else blended

    @cached_property
    def _threads(self) -> ThreadpoolController:
        """Of the libraries that the members are made with; those are loaded when the members are."""
        return ThreadpoolController()

    def _view(self, name: str) -> View:
        kind = name.partition("-")[0]
        if kind not in self._registry.views:
            raise ConfigError(
                f"{self.folder}: the predictor has a view {kind!r}, which no plugin gives that is loaded: install the "
                f"one that did, or allow it in AUTOML_PLUGINS. {self._registry.failures()}".rstrip()
            )
        return self._registry.views[kind].load(self.folder / "views" / name)

    def _family(self, member: Mapping[str, Any]) -> Family:
        name, plugin = member["family"], member["plugin"]
        if name not in self._registry.families:
            raise ConfigError(
                f"{self.folder}: the predictor has a {name} model, a family of the plugin {plugin!r}, which is not "
                f"loaded: install it, or allow it in AUTOML_PLUGINS. {self._registry.failures()}".rstrip()
            )
        family = self._registry.family(name)
        if family.missing:
            raise ConfigError(
                f"the predictor has a {family.name} model, which needs {', '.join(family.missing)}: "
                f"pip install 'automl[{family.plugin}]'"
            )
        return family

    def _load(self, member: Mapping[str, Any]) -> Member:
        family = self._family(member)
        try:
            estimator = load_model(family, self.task.kind, self.folder / "members" / member["name"])
        except AutoMLError:
            raise
        except Exception as error:  # the library's own reader; the bytes are as they were saved
            raise StorageError(
                f"{self.folder}: member {member['name']} cannot be loaded by the installed {family.name}: {error}; "
                f"it was saved with {json.dumps(self.facts.get('versions', {}))}"
            ) from error
        if hasattr(estimator, "n_jobs"):
            estimator.n_jobs = -1  # the cores of this machine; those of the one that trained it are of no interest here
        return Member(member["name"], member["trial"], member["family"], member["view"], member["weight"], estimator)


def load(path: str | Path) -> Predictor:
    """Load a predictor: the folder `model` of a run, the run's folder itself, or an archive that `automl export` made.

    Every file is checked against the manifest's sha256 first; nothing is unpickled, and no class is named by a file.

    Raises
    ------
    StorageError : no predictor there, or a file is missing.
    RefusedError : a file was changed, or holds types that are not trusted.
    ConfigError : a family of the predictor is not installed.
    """
    predictor = opened(path)
    predictor.members  # noqa: B018  # read now, for a first answer as quick as any
    return predictor


def opened(path: str | Path) -> Predictor:
    """As `load`, but the models are read when there is something to predict."""
    folder = Path(path)
    if not folder.exists():
        beside = [str(p) for p in folder.parent.iterdir()] if folder.parent.is_dir() else []
        raise StorageError(f"no predictor at {folder}{nearest(str(folder), beside)}")
    if folder.is_file():
        from automl.archive import unpack

        held = unpack(folder)
        predictor = opened(held.path)
        predictor.holds = held
        return predictor
    if (folder / "model").is_dir():
        folder = folder / "model"
    manifest = unseal(folder)
    try:
        return Predictor(folder, manifest, installed())
    except AutoMLError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"{folder / MANIFEST} is damaged ({type(error).__name__}: {error}); copy the whole folder again"
        ) from error


def _unpacked(files: Mapping[str, bytes]) -> Predictor:
    """The predictor whose files a pickle held."""
    held = TemporaryFolder()
    for name, content in files.items():
        (held.path / name).parent.mkdir(parents=True, exist_ok=True)
        (held.path / name).write_bytes(content)
    predictor = load(held.path)
    predictor.holds = held
    return predictor
