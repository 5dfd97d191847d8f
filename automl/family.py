"""A family: a kind of model that a plugin registers, as plain data."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from automl.errors import ConfigError, ContractError, nearest
from automl.space import Space, clip

_VIEW = "view"  # the parameter of a candidate that names the view, where the family eats several
TABULAR = frozenset({"binary", "multiclass", "regression"})
CAPABILITIES = {
    "weights": "fit takes `sample_weight`, an array (n,)",
    "validation": "fit takes `validation`, a tuple (X, y) of held-out rows for early stopping, 20,000 at most",
    "deadline": "fit takes `deadline`, the seconds it may run, and returns what it has by then",
    "categories": "fit takes `categories`, a dict from column number to number of levels, of the view `codes`",
    "refit": "a fitted estimator has `refit_params()`, parameters with which a fit needs no validation rows",
    "monotone": "fit takes `monotone`, a dict from column number of the view to 1 or -1: as the column rises, all else "
    "being equal, no prediction (of two classes, the probability of the second) falls, or rises for -1",
    "metric": "the constructor takes `metric`, the name of the metric that decides, to train for it",
    "gpu": "the constructor takes `device`, which is `cuda` where the machine has a GPU, and `cpu` where it has none",
}


FACTS = ("rows", "columns", "cells", "classes", "alike", "target_low", "target_skew", "gpus")
"""What a `when` may bound: of the table, its cells being rows x columns x outputs; the share of its features that are
numbers with ranges alike, as pixels have; the lowest value of a regression's target, and its skewness (0 of classes);
and the GPUs that can be seen."""


@dataclass(frozen=True)
class Family:
    """A kind of model: where its estimator is, what it can do, what it eats.

    Parameters
    ----------
    name : the name that configs use; unique among all plugins.
    estimator : where the scikit-learn estimator is, as ``"package.module:Class"``, or a mapping from task kind
        (``"binary"``, ``"multiclass"``, ``"regression"``, or ``"classification"`` for the first two) to such a place.
        It is imported when a trial needs it and not before. When its constructor has them, the parameters
        ``random_state`` and ``n_jobs`` are set by the run.
    tasks : the task kinds it can learn; by default those of the mapping, or all three tabular ones.
    eats : the view that it is given as X: ``"codes"`` (float32 (n, p), categories as codes, missing as NaN),
        ``"encoded"`` (the same, but categories as numbers that tell of the target, training rows out of fold),
        ``"dense"`` (float32 (n, p), imputed, scaled, one-hot), ``"joint"`` (the same, but all columns on one scale),
        ``"frame"`` (a Polars frame of the features), ``"none"`` (float32 (n, 0), for what looks at no feature), or a
        view that a plugin gives. Of several, it is given the one that the parameter ``view`` of a candidate names, or
        else the first.
    can : what it can do beyond fit and predict, see `CAPABILITIES`; nothing is given that is not declared.
    requires : modules that must be installed; the family is left out, with the reason, where one is missing. They are
        imported before the clock of a fit starts, and where workers are forked, before that: so that all share them. An
        import must therefore start no thread.

    A family saves itself by ``save(folder)`` and the class method ``load(folder)`` if it has them; any other estimator
    is stored by skops, with scikit-learn's types and the estimator's own class as the only ones trusted.
    """

    name: str
    estimator: str | Mapping[str, str]
    tasks: frozenset[str] | set[str] = frozenset()
    eats: str | tuple[str, ...] = "dense"
    can: frozenset[str] | set[str] = frozenset()
    requires: tuple[str, ...] = ()
    plugin: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"family name {self.name!r} must be a Python identifier: letters, digits and _")
        for part in ("tasks", "can", "requires"):
            if isinstance(said := getattr(self, part), str):
                raise ConfigError(f"family {self.name!r}: {part} is the text {said!r}; write {part}=[{said!r}]")
        tasks = frozenset(self.tasks) or (TABULAR if isinstance(self.estimator, str) else _kinds(self.estimator))
        object.__setattr__(self, "tasks", tasks)
        object.__setattr__(self, "can", frozenset(self.can))
        for part, words, known in (("tasks", self.tasks, sorted(TABULAR)), ("can", self.can, [*CAPABILITIES])):
            if unknown := sorted(words - set(known)):
                raise ConfigError(
                    f"family {self.name!r}: {part} has the unknown {unknown[0]!r}{nearest(unknown[0], known)} "
                    f"Known: {', '.join(known)}"
                )

    @property
    def views(self) -> tuple[str, ...]:
        """The views that it may be given; the first one unless a candidate says another."""
        return (self.eats,) if isinstance(self.eats, str) else tuple(self.eats)

    def view_of(self, params: Mapping[str, Any]) -> str:
        """The view that a candidate of these parameters is given.

        Raises
        ------
        ConfigError : it is none that the family eats.
        """
        view = str(params.get(_VIEW, self.views[0])) if len(self.views) > 1 else self.views[0]
        if view not in self.views:
            raise ConfigError(
                f"family.{self.name}: view={view} is none that it eats{nearest(view, self.views)} "
                f"It eats {', '.join(self.views)}"
            )
        return view

    @property
    def missing(self) -> list[str]:
        """The required modules that are not installed."""
        return [module for module in self.requires if importlib.util.find_spec(module) is None]

    def load(self, kind: str) -> type:
        """Import the estimator class for a task kind.

        Raises
        ------
        ContractError : it cannot be imported, or is no estimator.
        """
        where = self.estimator
        if not isinstance(where, str):
            general = "classification" if kind in ("binary", "multiclass") else kind
            where = where.get(kind) or where[general]
        module, _, name = where.partition(":")
        try:
            loaded: type = getattr(importlib.import_module(module), name)
        except Exception as error:  # whatever a third party's import may raise
            raise ContractError(
                f"{self._who}: its estimator {where} cannot be imported ({type(error).__name__}: {error}); "
                "say it as package.module:Class"
            ) from error
        if lacking := [method for method in ("fit", "predict", "get_params") if not hasattr(loaded, method)]:
            raise ContractError(
                f"{self._who}: its estimator {where} has no {lacking[0]}; an estimator has fit, predict and, from "
                "sklearn.base.BaseEstimator, get_params"
            )
        return loaded

    @property
    def _who(self) -> str:
        return f"plugin {self.plugin!r}, hook automl_families, family {self.name!r}"

    def build(self, kind: str, params: Mapping[str, Any], **context: Any) -> Any:
        """An unfitted estimator with `params`, and with those of `context` that its constructor has.

        Of the context, `metric` and `device` are given only to a family that declares that it takes them: other
        estimators have such parameters of their own.

        Raises
        ------
        ContractError : there is no such estimator, or its constructor has no such parameter.
        """
        try:
            known = self.check(kind, params, f"family.{self.name}.params")
        except ConfigError as error:
            raise error if isinstance(error, ContractError) else ContractError(f"{self._who}: {error}") from error
        params = {name: value for name, value in params.items() if name != _VIEW or len(self.views) == 1}
        foreign = {name for can, name in (("metric", "metric"), ("gpu", "device")) if can not in self.can}
        wanted = known - params.keys() - foreign
        given = {name: value for name, value in context.items() if name in wanted}
        estimator = self.load(kind)()
        estimator.set_params(**{**given, **params})
        return estimator

    def check(self, kind: str, params: Mapping[str, Any], where: str) -> set[str]:
        """The parameters of the estimator; `where` is the config key that an error names.

        Raises
        ------
        ConfigError : `params` has one that the estimator has not.
        """
        cls = self.load(kind)
        known = set(cls().get_params(deep=False)) | ({_VIEW} if len(self.views) > 1 else set())
        if unknown := [name for name in params if name not in known]:
            raise ConfigError(
                f"{where}.{unknown[0]}: {cls.__name__} has no such parameter{nearest(unknown[0], known)} "
                f"It has {', '.join(sorted(known))}"
            )
        return known


@dataclass(frozen=True)
class FamilySpec:
    """What a config says of one family: fixed parameters, the space of the others, candidates to try first.

    `cost` is the prior of what a fit takes, in seconds for 100,000 rows and 10 columns on one core;
    `per_class`, whether a fit of more than two classes takes so much for each of them, as boosting does.
    `when` says for which tables the family races: bounds `min_X` and `max_X` on what a table has of `FACTS`. The `when`
    of a portfolio entry, or of a dimension of the space, says for which ones that is tried.
    """

    params: Mapping[str, Any]
    space: Space
    portfolio: tuple[Mapping[str, Any], ...]
    priority: int = 50
    cost: float = 0.0
    per_class: bool = False
    when: Mapping[str, float] = field(default_factory=dict)

    def suited(self, name: str, facts: Mapping[str, float]) -> tuple[FamilySpec, str]:
        """This spec with the entries and dimensions that suit a table, and why the family does not suit it, or nothing.

        Raises
        ------
        ConfigError : a condition that is none.
        """
        fitting = []
        free = {}
        for param, dimension in self.space.items():
            of_table = {key: bound for key, bound in dimension.when.items() if _is_condition(key)}
            if not _unmet(of_table, facts, f"family.{name}.space.{param}.when"):
                rest = {key: wanted for key, wanted in dimension.when.items() if key not in of_table}
                free[param] = replace(dimension, when=rest)
        for i, entry in enumerate(self.portfolio):
            if not _unmet(entry.get("when", {}), facts, f"family.{name}.portfolio[{i}].when"):
                fitting.append(_params(entry))
        return replace(self, space=free, portfolio=tuple(fitting)), _unmet(self.when, facts, f"family.{name}.when")

    @cached_property
    def candidates(self) -> tuple[dict[str, Any], ...]:
        """The portfolio as complete parameter sets, kept inside the space, without repeats."""
        complete: list[dict[str, Any]] = []
        for entry in self.portfolio or ({},):
            params = clip(self.space, {**self.params, **_params(entry)})
            if params not in complete:
                complete.append(params)
        return tuple(complete)


@dataclass(frozen=True)
class Candidate:
    """A family and one set of parameters, on so many of the training rows (None: all): plain JSON."""

    family: str
    params: Mapping[str, Any]
    rows: int | None = None


def predict(estimator: Any, X: Any, classes: int) -> np.ndarray:
    """What a fitted estimator answers: probabilities (n, classes), or values (n,) where `classes` is 0; float64.

    The estimator's own ``classes_`` are codes; a class that its training rows lacked has probability zero.

    Raises
    ------
    ValueError : predictions that are not finite, or of the wrong shape.
    """
    if not classes:
        answer = np.asarray(estimator.predict(X), dtype=np.float64).reshape(-1)
    else:
        known = np.asarray(estimator.classes_)
        if hasattr(estimator, "predict_proba"):
            some = np.asarray(estimator.predict_proba(X), dtype=np.float64)
        else:
            some = (np.asarray(estimator.predict(X)).reshape(-1, 1) == known).astype(np.float64)
        answer = np.zeros((len(some), classes))
        answer[:, known.astype(np.int64)] = some
    if len(answer) != len(X):
        raise ValueError(f"predictions have {len(answer)} rows, not {len(X)}")
    if not np.isfinite(answer).all():
        raise ValueError("predictions are not finite (NaN or infinity)")
    return answer


def _unmet(conditions: Mapping[str, float], facts: Mapping[str, float], where: str) -> str:
    """The first condition that does not hold, in words, or nothing."""
    for key, bound in conditions.items():
        side, _, fact = key.partition("_")
        if side not in ("min", "max") or fact not in facts:
            known = [f"{side}_{fact}" for fact in facts for side in ("min", "max")]
            raise ConfigError(f"{where}.{key}: no such condition{nearest(key, known)} Known: {', '.join(known)}")
        has = facts[fact]
        if has < bound if side == "min" else has > bound:
            return f"{_shown(has)} {fact}, and {where}.{key} is {_shown(bound)}"
    return ""


def _params(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "when"}


def _is_condition(key: str) -> bool:
    side, _, fact = key.partition("_")
    return side in ("min", "max") and fact in FACTS


def _shown(number: float) -> str:
    return f"{number:,.0f}" if number == round(number) else f"{number:,.3g}"


def _kinds(places: Mapping[str, str]) -> frozenset[str]:
    kinds = set(places)
    if "classification" in kinds:
        kinds = (kinds - {"classification"}) | {"binary", "multiclass"}
    return frozenset(kinds)
