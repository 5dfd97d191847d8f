"""The plan: read the data and decide, before the first trial, everything that a run needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from automl.bounds import written
from automl.capacity import carried, shared
from automl.compose import leave_out_broken, registry_for, shipped_family
from automl.config import Config
from automl.data.check import Finding
from automl.data.check import check as lint
from automl.data.read import read
from automl.data.schema import Schema, typed_target
from automl.data.split import Split, make_split
from automl.errors import ConfigError, DataError, nearest
from automl.family import FACTS, Family, FamilySpec
from automl.metrics import Metric, resolve
from automl.racing import facts_of, obedient, suited
from automl.registry import Registry
from automl.search.study import check_sampler
from automl.task import Task, classes_of, infer_kind


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before the first trial: what was inferred, and what would run."""

    config: Config
    registry: Registry
    table: pl.DataFrame
    y: np.ndarray
    weight: np.ndarray | None
    schema: Schema
    task: Task
    metric: Metric
    split: Split
    families: Mapping[str, FamilySpec]
    baseline: str | None
    slots: int
    threads: int
    facts: dict[str, str]
    notes: list[str]


def plan(config: Config, source: Any = None, *, target: Any = None, weight: Any = None, groups: Any = None) -> Plan:
    """Read the data and decide everything that a run needs to know.

    Parameters
    ----------
    config : the composed config.
    source : the data, where it is not `config.data.path`: a path or a frame.
    target : the target (n,), where it is not a column of the data.
    weight, groups : sample weights and group labels (n,), where they are not columns.

    Raises
    ------
    ConfigError, DataError : what is wrong, where, and what would fix it.
    """
    registry = registry_for(plugins=config.plugins)
    check_sampler(config.search.sampler, config.search.objectives)
    table = read(_source(config, source), registry.readers)
    notes: list[str] = []
    if target is not None:
        name = config.target or "target"
        if len(target) != table.height:
            raise DataError(f"X has {table.height} rows and y has {len(target)}: inconsistent numbers of samples")
        if name in table.columns:
            notes.append(f"column {name} of X was left out: the target that was given apart has its name")
        table = table.drop(name, strict=False).with_columns(target.alias(name))
    else:
        name = _target_name(config, table)
    _refuse_twice(config, weight, groups)
    _refuse_no_feature(config, name)
    table, extra = _aside(config, table, {"weight": weight, "groups": groups}, notes)
    table, labels, extra, weights = _counted(config, table, name, extra, notes)

    kind, why = infer_kind(labels, name, config.task)
    metric = resolve(config.metric, kind, registry.metrics)
    classes = classes_of(labels, config.positive) if kind != "regression" else ()
    task = Task(kind, name, metric.name, classes, why)
    y = task.encode(labels)

    known = config.data
    schema = Schema.infer(table, roles=known.roles, drop=known.drop, missing=known.missing, monotone=known.monotone)
    typed, _ = schema.apply(table)
    _refuse_broken(config, registry)
    notes += [f"plugin {p.name} is left out: {p.reason}" for p in registry.plugins.values() if p.state == "failed"]
    families = registry.select(config.families, kind)
    baseline = _baseline(config, registry, kind)
    if schema.monotone:
        families, baseline = obedient(families, baseline, registry, kind, notes)
    if config.executor.kind not in registry.executors:
        raise ConfigError(
            f"executor.kind={config.executor.kind}: unknown{nearest(config.executor.kind, registry.executors)} "
            f"Known: {', '.join(registry.executors)}"
        )
    racing = {family.name: family for family in families}
    if baseline:
        racing[baseline] = registry.families[baseline]
    unweighted = [f.name for f in racing.values() if weights is not None and "weights" not in f.can]
    if unweighted:
        notes.append(f"sample weights are not used in the fits of {', '.join(unweighted)}, which cannot take them")
    specs = {family: config.family_spec(family) for family in racing}
    _check_params(registry, racing, specs, kind)
    table_facts = facts_of(typed.height, schema, y, len(classes))
    specs = suited(specs, table_facts, baseline, notes)
    racing = {name: racing[name] for name in specs}
    said, why_folds = carried(config, specs, typed.height, len(schema.features), len(classes))
    if "groups" in extra and said.kind == "auto":
        said = replace(said, kind="group", column="groups")
    column = _split_column(said.kind, said.column, typed, extra)
    with registry.calling("splits", said.kind):
        split = make_split(said, kind=kind, y=y, column=column, seed=config.seed, kinds=registry.splits)
    slots, threads = shared(config.executor, typed.height * typed.width, len(split.folds))
    if why_folds and split.kind in ("kfold", "holdout"):
        split = replace(split, why=f"{split.why}; {why_folds}")

    if classes and len(seen := np.unique(y[np.concatenate([fold.valid for fold in split.folds])])) < 2:
        raise DataError(
            f"only rows of {classes[seen[0]]!r} can validate ({table.height} rows in all): nothing could be compared; "
            f"every class needs 2 rows at least, better 10"
        )
    facts = _facts(typed, schema, task, config, metric, split, racing, baseline)
    return Plan(
        config,
        registry,
        typed,
        y,
        weights,
        schema,
        task,
        metric,
        split,
        specs,
        baseline,
        slots,
        threads,
        facts,
        [*notes, *schema.notes],
    )


def check(config: Config, test: Any = None) -> tuple[list[Finding], dict[str, str]]:
    """Lint the data of a config for leaks and defects; `test` is a table that will be predicted.

    Raises
    ------
    ConfigError, DataError : the data cannot be read at all.
    """
    registry = registry_for(plugins=config.plugins)
    table = read(_source(config, None), registry.readers)
    name = _target_name(config, table)
    kind, why = infer_kind(typed_target(table[name], config.data.missing), name, config.task)
    said = config.data
    schema = Schema.infer(table.drop(name), roles=said.roles, drop=said.drop, missing=said.missing)
    other = None if test is None else read(test, registry.readers)
    time = config.split.column if config.split.kind == "time" else None
    findings = lint(table, name, kind=kind, schema=schema, test=other, time=time, seed=config.seed)
    return findings, {"data": f"{table.height:,} rows x {table.width} columns", "target": f"{name}: {kind}, {why}"}


def _source(config: Config, source: Any) -> Any:
    if source is not None:
        return source
    if config.data.path is None:
        raise ConfigError(
            "no data: say automl fit FILE target=COLUMN, or data=NAME for an example (data=breast_cancer)"
        )
    return config.data.path


def _target_name(config: Config, table: pl.DataFrame) -> str:
    if config.target is None:
        raise ConfigError(f"no target: say target=COLUMN. Columns: {', '.join(table.columns[:20])}")
    if config.target not in table.columns:
        raise ConfigError(
            f"target={config.target}: no such column{nearest(config.target, table.columns)} "
            f"Columns: {', '.join(table.columns[:20])}"
        )
    return config.target


def _refuse_twice(config: Config, weight: Any, groups: Any) -> None:
    if weight is not None and config.weight is not None:
        raise ConfigError(f"weight={config.weight} names a column, and sample_weight was given too; say one of them")
    said = config.split
    if groups is not None and (said.kind not in ("auto", "group") or said.column is not None):
        column = "" if said.column is None else f" split.column={said.column}"
        raise ConfigError(
            f"groups were given, which make a split by group, but the config says split={said.kind}{column}; "
            "say one of them"
        )


def _refuse_no_feature(config: Config, target: str) -> None:
    uses = {target: "the target", config.weight: "the column of weights"}
    if config.split.kind != "time":
        uses[config.split.column] = "the column of the split"
    said = {"roles": config.data.roles, "drop": config.data.drop, "monotone": config.data.monotone}
    for key, columns in said.items():
        if found := [name for name in columns if name in uses]:
            raise ConfigError(f"data.{key}: {found[0]!r} is {uses[found[0]]} and no feature; leave it out there")


def _aside(
    config: Config, table: pl.DataFrame, given: Mapping[str, Any], notes: list[str]
) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    """Take the columns that steer the task out of the features: weights, and the groups or folds of the split.

    The column of a split over time stays a feature too.
    """
    extra = {name: np.asarray(values) for name, values in given.items() if values is not None}
    for name, values in extra.items():
        if len(values) != table.height:
            raise DataError(f"{name} has {len(values)} values for {table.height} rows")
    named = {"weight": config.weight, "split": config.split.column}
    for use, column in named.items():
        if column is None:
            continue
        if column not in table.columns:
            key = "weight" if use == "weight" else "split.column"
            raise ConfigError(f"{key}={column}: no such column{nearest(column, table.columns)}")
        extra[use] = table[column].to_numpy()
        if not (use == "split" and config.split.kind == "time"):
            table = table.drop(column)
            notes.append(f"column {column} steers the {'weights' if use == 'weight' else 'split'} and is no feature")
    return table, extra


def _counted(
    config: Config, table: pl.DataFrame, name: str, extra: Mapping[str, np.ndarray], notes: list[str]
) -> tuple[pl.DataFrame, pl.Series, dict[str, np.ndarray], np.ndarray | None]:
    """The rows that count: those with a label and, where rows have weights, with a weight above zero."""
    table, labels, known = _known(table, name, config)
    if lost := int((~known).sum()):
        notes.append(f"{lost:,} rows without a {name} were left out")
    extra = {key: value[known] for key, value in extra.items()}
    weights = _weights(extra.get("weight"), config.weight)
    if weights is None or (weights > 0).all():
        return table, labels, extra, weights
    heavy = weights > 0
    notes.append(f"{int((~heavy).sum()):,} rows of weight zero were left out")
    extra = {key: value[heavy] for key, value in extra.items()}
    return table.filter(heavy), labels.filter(heavy), extra, weights[heavy] / weights[heavy].mean()


def _known(table: pl.DataFrame, name: str, config: Config) -> tuple[pl.DataFrame, pl.Series, np.ndarray]:
    """The rows that have a label: their features, their labels, and which rows they are."""
    target = typed_target(table[name], config.data.missing)
    known = target.is_not_null()
    rest = table.drop(name)
    if not rest.width:
        raise DataError(f"the table has no column besides the target {name!r}: there is nothing to learn from")
    if table.height == 1:
        raise DataError("the table has 1 row (1 sample): nothing can be learned from it")
    return rest.filter(known), target.filter(known), known.to_numpy()


def _weights(values: np.ndarray | None, column: str | None) -> np.ndarray | None:
    if values is None:
        return None
    where = f"weight={column}" if column else "sample_weight"
    if values.ndim != 1:
        raise DataError(f"{where}: weights must be one for each row, not an array of shape {values.shape}")
    try:
        weights = values.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{where}: weights must be numbers") from None
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum():
        raise DataError(f"{where}: weights must be finite, not negative, and not all zero")
    return weights / weights.mean()


def _split_column(
    kind: str, column: str | None, typed: pl.DataFrame, extra: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    if kind == "group" and "groups" in extra and "split" not in extra:
        return extra["groups"]
    if kind == "time" and column in typed.columns:  # dates that were text are dates by now
        return typed[column].to_numpy()
    return extra.get("split")


def _baseline(config: Config, registry: Registry, kind: str) -> str | None:
    if config.baseline is None:
        return None
    return config.baseline if kind in registry.family(config.baseline).tasks else None


def _refuse_broken(config: Config, registry: Registry) -> None:
    """Leave out the plugins whose own configs break the contract; what the user has said wrongly is told later."""
    try:
        for name in registry.families:
            config.family_spec(name).suited(name, dict.fromkeys(FACTS, 1.0))
    except ConfigError:
        leave_out_broken(registry)


def _check_params(
    registry: Registry, families: Mapping[str, Family], specs: Mapping[str, FamilySpec], kind: str
) -> None:
    """Refuse a parameter that the user said and the estimator does not have, before any time is spent.

    Only what the plugin's own config does not say is looked at: to ask an estimator is to import its library.
    """
    for name, family in families.items():
        for candidate in (specs[name].params, *specs[name].candidates):
            family.view_of(candidate)
        shipped = shipped_family(registry, name)
        for key in ("params", "space"):
            said = {
                param: value for param, value in getattr(specs[name], key).items() if param not in shipped.get(key, {})
            }
            if said:
                family.check(kind, said, f"family.{name}.{key}")


def _facts(
    table: pl.DataFrame,
    schema: Schema,
    task: Task,
    config: Config,
    metric: Metric,
    split: Split,
    families: Mapping[str, Family],
    baseline: str | None,
) -> dict[str, str]:
    """What was decided and why, line by line, for a person."""
    counts: dict[str, int] = {}
    for column in schema.columns:
        counts[column.role] = counts.get(column.role, 0) + 1
    left_out = [f"{c.name} ({c.role}: {c.why})" for c in schema.columns if c.role in ("id", "constant", "ignored")]
    labels = ", ".join(map(str, task.classes[:5])) + (", ..." if len(task.classes) > 5 else "")
    facts = {
        "data": f"{table.height:,} rows x {len(schema.columns)} columns: "
        + ", ".join(f"{n} {role}" for role, n in counts.items()),
        "target": f"{task.target}: {task.kind}, {task.why}" + (f"; classes {labels}" if task.classes else ""),
        "metric": f"{metric.name} {metric.arrow}" + (" (chosen for the task)" if config.metric == "auto" else ""),
        "split": f"{split.kind}: {split.why}",
        "families": ", ".join(name for name in families if name != baseline) or str(baseline),
    }
    if config.bounds:
        facts["bounds"] = written(config.bounds)
    if schema.monotone:
        facts["monotone"] = ", ".join(f"{c.name} {c.monotone}" for c in schema.features if c.monotone)
    if task.kind == "binary":
        facts["target"] += f", positive {task.classes[1]}"
    if left_out:
        facts["left out"] = "; ".join(left_out[:8]) + (f"; and {len(left_out) - 8} more" if len(left_out) > 8 else "")
    return facts
