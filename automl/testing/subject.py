"""A family under check: its config, its small problems, and the fits that several checks look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from automl.artifact import TemporaryFolder, save_model
from automl.compose import shipped_family
from automl.config import FamilyConf
from automl.data.problem import Problem
from automl.data.views import View
from automl.execute.trial import extras
from automl.family import FACTS, TABULAR, Family, FamilySpec, predict
from automl.plugins import installed
from automl.registry import Registry
from automl.space import parse
from automl.testing.checks import Broken, told
from automl.testing.data import PLAIN, baseline, write_problem

ROUNDS = ("n_estimators", "max_iter", "epochs", "max_epochs", "n_epochs", "iterations", "n_iter")
"""Parameters that say how long a fit goes on; checks keep them low, as scikit-learn does in its own."""

_KINDS = ("binary", "multiclass", "regression")
# Of the small problems, but columns that are alike and a skewed target: what is for such tables only is checked too.
_FACTS = {**dict.fromkeys(FACTS, 0.0), "rows": 180.0, "columns": 8.0, "cells": 1440.0, "classes": 2.0}
_FACTS |= {"alike": 1.0, "target_skew": 1.0}
_DEADLINE = 60.0  # as in a run, and far away
_CHILD_SECONDS = 300


class Subject:
    """One family, and what its checks share. Nothing is done before a check asks for it.

    Parameters
    ----------
    family : a family, or the name of one that an installed plugin adds.
    folder : of a subject that was made elsewhere; None for a temporary one.

    Raises
    ------
    ConfigError : no such family is installed.
    """

    def __init__(self, family: str | Family, folder: Path | None = None) -> None:
        self.registry: Registry = installed()
        self.family = self.registry.family(family) if isinstance(family, str) else family
        self._given = folder
        self._models: dict[str, Any] = {}

    @cached_property
    def folder(self) -> Path:
        """Where everything lies; a temporary folder lives as long as this object."""
        if self._given is not None:
            return self._given
        self._temporary = TemporaryFolder()
        return self._temporary.path

    @property
    def of(self) -> str:
        """What is checked, for a person."""
        plugin = f" of plugin {self.family.plugin!r}" if self.family.plugin else ""
        return f"family {self.family.name!r}{plugin}"

    @property
    def is_installed(self) -> bool:
        """Whether runs find it, by its name."""
        return self.registry.families.get(self.family.name) == self.family

    @property
    def is_baseline(self) -> bool:
        """Whether the config compares all others with it."""
        return self.family.name == baseline(self.registry)

    @cached_property
    def kinds(self) -> list[str]:
        """The task kinds that it learns, of those that tables have."""
        return [kind for kind in _KINDS if kind in self.family.tasks & TABULAR]

    @cached_property
    def said(self) -> dict[str, Any]:
        """What the plugin's config says of the family, as it stands there."""
        return shipped_family(self.registry, self.family.name) if self.is_installed else {}

    @cached_property
    def spec(self) -> FamilySpec:
        """The same, understood, with every portfolio entry that suits a table of two classes."""
        said = {item.name: self.said[item.name] for item in fields(FamilyConf) if self.said.get(item.name) is not None}
        spec = FamilySpec(
            dict(said.get("params", {})),
            parse(said.get("space", {}), f"family.{self.family.name}.space"),
            tuple(said.get("portfolio", ())),
            when=dict(said.get("when", {})),
        )
        return spec.suited(self.family.name, _FACTS)[0]

    def problem(self, kind: str) -> Problem:
        """The small problem of a task kind, laid out on disk once."""
        folder = self.folder / kind
        return Problem.read(folder) if folder.exists() else write_problem(folder, kind)

    def rows(
        self, kind: str, fold: int = PLAIN, params: Mapping[str, Any] | None = None
    ) -> tuple[View, Any, Any, np.ndarray, np.ndarray]:
        """The view of a fold that `params` ask for, X of its training and validation rows, and y of both."""
        problem = self.problem(kind)
        view, X, X_valid = problem.view(self.family.view_of(params or {}), fold)
        rows = problem.fold(fold)
        return view, X, X_valid, np.array(problem.y[rows.train]), np.array(problem.y[rows.valid])

    def build(self, kind: str, params: Mapping[str, Any] | None = None, rounds: int = 60, **context: Any) -> Any:
        """An unfitted estimator with `params` (None: the first candidate's), of at most so many rounds."""
        problem = self.problem(kind)
        chosen = dict(self.spec.candidates[0] if params is None else params)
        context = {"metric": problem.task.metric, "random_state": 0, "n_jobs": 1, "device": "cpu", **context}
        return shortened(self.family.build(kind, chosen, **context), rounds)

    def fit(
        self,
        kind: str,
        fold: int = PLAIN,
        *,
        params: Mapping[str, Any] | None = None,
        rounds: int = 60,
        rows: tuple[Any, np.ndarray] | None = None,
        weight: np.ndarray | None = None,
        validation: tuple[Any, Any] | None = None,
        deadline: float = _DEADLINE,
        context: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Any:
        """A fitted estimator, given what a run would give it.

        Parameters
        ----------
        params, rounds, context : see `build`.
        rows : other training rows, X and y.
        validation : other validation rows; ``(X, [])`` for none.
        more : further keywords of fit.
        """
        view, X, X_valid, y, y_valid = self.rows(kind, fold, params)
        X, y = rows or (X, y)
        model = self.build(kind, params, rounds, **(context or {}))
        held = (X_valid, y_valid) if validation is None else validation
        given = extras(self.problem(kind), self.family, view, held, weight, deadline)
        with quiet():
            model.fit(X, y, **{**given, **more})
        return model

    def predict(self, kind: str, model: Any, X: Any) -> np.ndarray:
        """What a run would make of the model's answer: (n, classes) or (n,)."""
        with quiet():
            return predict(model, X, len(self.problem(kind).task.classes))

    def model(self, kind: str) -> Any:
        """The fitted first candidate, which most checks look at.

        Raises
        ------
        Broken : it cannot be fitted; the check ``fits`` says why.
        """
        if kind not in self._models:
            try:
                self._models[kind] = self.fit(kind)
            except Exception as error:
                self._models[kind] = error
        found = self._models[kind]
        if isinstance(found, Exception):
            raise Broken(f"{kind}: not looked at, since there is no fit: {told(found)}", "see the check `fits`")
        return found

    def keep(self, kind: str, model: Any) -> None:
        """Take a fit of the first candidate for `model`."""
        self._models.setdefault(kind, model)

    def saved(self, kind: str) -> Path:
        """The folder where `model` is saved; the validation rows that it answered, and its answer, lie beside."""
        folder = self.folder / "saved" / kind
        if not folder.exists():
            model = self.model(kind)
            folder.mkdir(parents=True)
            try:
                save_model(model, folder / "model")
            except BaseException:
                folder.rename(folder.with_name(f"{kind} not saved"))
                raise
            np.save(folder / "answer.npy", self.predict(kind, model, self.rows(kind)[2]))
        return folder

    @cached_property
    def child(self) -> dict[str, Any]:
        """What a fresh process saw: it imports the plugin, loads what was saved, fits, saves, and fits again."""
        kinds = []
        for kind in self.kinds:
            try:
                self.saved(kind)
                kinds.append(kind)
            except Exception:  # noqa: S112  the check `saved` tells of it
                continue
        home, spare = self.folder / "cwd", self.folder / "tmp"
        for folder in (home, spare):
            folder.mkdir()
        plugin = self.registry.plugins.get(self.family.plugin)
        family = {item.name: getattr(self.family, item.name) for item in fields(Family)}
        family |= {"tasks": sorted(self.family.tasks), "can": sorted(self.family.can)}
        spec = {"family": family, "module": plugin.module if plugin else "", "saved": kinds, "kinds": self.kinds}
        (self.folder / "child.json").write_text(json.dumps(spec, default=dict))
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(spare),
            "OMP_WAIT_POLICY": "passive",
        }
        command = [sys.executable, "-m", "automl.testing.child", str(self.folder)]
        done = subprocess.run(
            command, env=environment, cwd=home, capture_output=True, text=True, timeout=_CHILD_SECONDS, check=False
        )
        file = self.folder / "report.json"
        report: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            report["died"] = last[:500]
        report["left"] = [
            str(path.relative_to(at)) for at in (home, spare) for path in sorted(at.rglob("*")) if path.is_file()
        ]
        return report

    def seen(self, what: str) -> Any:
        """A part of the child's report.

        Raises
        ------
        Broken : the fresh process did not come so far.
        """
        if what not in self.child:
            raise Broken(f"in a fresh process it broke: {self.child.get('died', 'no report')}")
        return self.child[what]


def shortened(estimator: Any, rounds: int) -> Any:
    """The estimator, with at most so many rounds."""
    known = estimator.get_params(deep=False)
    most = {
        name: min(known[name], rounds) for name in ROUNDS if isinstance(known.get(name), int) and known[name] > rounds
    }
    return estimator.set_params(**most) if most else estimator


@contextmanager
def quiet() -> Iterator[None]:
    """As in a trial: one thread, and no warnings."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
