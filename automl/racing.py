"""Who races: the families that suit a table and can keep what the config promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from automl.data.schema import Schema
from automl.errors import ConfigError
from automl.family import Family, FamilySpec
from automl.machine import gpus
from automl.registry import Registry


def obedient(
    families: Sequence[Family], baseline: str | None, registry: Registry, kind: str, notes: list[str]
) -> tuple[list[Family], str | None]:
    """The families that keep to `data.monotone`, and the baseline if it does; `notes` are told of the others.

    Raises
    ------
    ConfigError : a target of many classes, or no family that can.
    """
    if kind == "multiclass":
        raise ConfigError(
            "data.monotone: wants a quantity or two classes to predict, and the target has more; say task=regression "
            "if they are numbers, or leave data.monotone out"
        )
    able = [family for family in families if "monotone" in family.can]
    unable = [family.name for family in families if family not in able]
    if all(family.name == baseline for family in able):
        known = [f.name for f in registry.families.values() if "monotone" in f.can and f.name != baseline]
        raise ConfigError(
            f"data.monotone: {', '.join(unable)} cannot keep to it, and no other family may race. "
            f"Families that can: {', '.join(known) or 'none is installed'}"
        )
    if baseline and "monotone" not in registry.families[baseline].can:
        unable.append(f"the baseline {baseline}")
        baseline = None
    if unable:
        notes.append(f"{', '.join(unable)} cannot keep to data.monotone and will not race")
    return able, baseline


def suited(
    specs: Mapping[str, FamilySpec], facts: Mapping[str, float], baseline: str | None, notes: list[str]
) -> dict[str, FamilySpec]:
    """The families that suit a table of these facts, each with the portfolio entries that do; the baseline always.

    Raises
    ------
    ConfigError : no family suits it, or a condition that is none.
    """
    found = {}
    for name, spec in specs.items():
        fitting, unmet = spec.suited(name, facts)
        if not unmet or name == baseline:
            found[name] = fitting
        else:
            notes.append(f"{name} does not race: the table has {unmet}")
    if not found.keys() - {baseline}:
        raise ConfigError(f"families: none suits this table. {'; '.join(notes)}")
    return found


def facts_of(rows: int, schema: Schema, y: np.ndarray, classes: int) -> dict[str, float]:
    """What a `when` may bound, see `automl.family.FACTS`, of a table of so many rows and its encoded target (n,)."""
    columns = len(schema.features)
    return {
        "rows": rows,
        "columns": columns,
        "cells": rows * columns * (classes if classes > 2 else 1),
        "classes": classes,
        "alike": _alike(schema),
        "target_low": 0.0 if classes else float(y.min()),
        "target_skew": 0.0 if classes else _skewness(y),
        "gpus": gpus(),
    }


def _alike(schema: Schema) -> float:
    """The share of the features that are numbers whose range is within three times that of most."""
    ends = [(c.low, c.high) for c in schema.features if c.role == "numeric"]
    ranges = [high - low for low, high in ends if isinstance(low, float) and isinstance(high, float)]
    usual = float(np.median(ranges)) if ranges else 0.0
    return sum(usual / 3 <= each <= 3 * usual for each in ranges) / max(1, len(schema.features))


def _skewness(values: np.ndarray) -> float:
    away = (values - values.mean()) / (values.std() or 1.0)
    return float((away * away * away).mean())
