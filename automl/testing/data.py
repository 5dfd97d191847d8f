"""Small tables of mixed columns with missing values, laid out as a run lays out its work folder."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import polars as pl

from automl.data.problem import Problem
from automl.data.schema import Schema
from automl.data.split import Fold, Split
from automl.registry import Registry
from automl.task import Task

TRAIN, HELD, STRANGE = 180, 80, 12
"""Rows that train, that validate, and that hold what no training row held."""

PLAIN, UNSEEN, LACKING = 0, 1, 2
"""The folds of a problem: train and validate; the same, validated on strange rows; trained without class 1."""

NUMBER = "age"
"""A numeric column without missing values, with which the target rises."""

METRICS = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}
CLASSES: dict[str, tuple[str, ...]] = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": ()}
_COLOURS = ["red", "green", "blue", "grey"]
_TOWNS = [f"town {i}" for i in range(12)]
_ROLES = {
    **{"size": "numeric", NUMBER: "numeric", "visits": "numeric", "colour": "category", "town": "category"},
    **{"member": "boolean", "since": "datetime"},
}


def baseline(registry: Registry) -> str | None:
    """The family that runs compare others with, as the core's own config says: no plugin's config is looked at."""
    from omegaconf import OmegaConf

    name: str | None = OmegaConf.load(registry.conf["core.config"] / "automl.yaml").baseline
    return name


def write_problem(folder: Path, kind: str, plugins: tuple[object, ...] = (None, (), True)) -> Problem:
    """A work folder for a task kind: 260 rows and 12 strange ones, easy to learn though not without noise."""
    table, y = example(kind)
    schema = Schema.infer(table, roles=_ROLES, drop=[], missing=[])
    train, held = np.arange(TRAIN), np.arange(TRAIN, TRAIN + HELD)
    folds = [Fold(train, held), Fold(train, np.arange(TRAIN + HELD, len(y)))]
    if kind == "multiclass":
        folds.append(Fold(train[y[train] != 1], held))
    task = Task(kind, "target", METRICS[kind], CLASSES[kind])
    typed, _ = schema.apply(table)
    return Problem.write(folder, typed, y, None, Split("holdout", tuple(folds), ""), task, schema, plugins)


def example(kind: str) -> tuple[pl.DataFrame, np.ndarray]:
    """The table and its target: codes (n,) as int64, or values (n,) above 0 as float64."""
    rng = np.random.default_rng(7)
    n = TRAIN + HELD + STRANGE
    size, age, colour = rng.normal(size=n), rng.normal(40, 10, n), rng.integers(0, len(_COLOURS), n)
    town = rng.integers(0, len(_TOWNS), n)
    signal = size + (age - 40) / 12 + np.array([-1.0, -0.3, 0.4, 1.0])[colour] + rng.normal(0, 0.5, n)
    days = [datetime.datetime(2024, 1, 1) + datetime.timedelta(days=int(day)) for day in rng.integers(0, 700, n)]
    table = pl.DataFrame(
        {
            "size": pl.Series(size).zip_with(pl.Series(rng.random(n) > 0.08), pl.Series([None] * n, dtype=pl.Float64)),
            NUMBER: age,
            "visits": rng.poisson(3, n),
            "colour": [_COLOURS[i] for i in colour],
            "town": [None if gone else _TOWNS[i] for i, gone in zip(town, rng.random(n) < 0.1, strict=True)],
            "member": rng.random(n) < 0.5,
            "since": days,
        }
    )
    if kind == "regression":
        y = np.exp(0.4 * signal) * 10
    else:
        y = np.searchsorted(np.quantile(signal, [0.5] if kind == "binary" else [1 / 3, 2 / 3]), signal).astype(np.int64)
    return pl.concat([table[: TRAIN + HELD], _strange(table[TRAIN + HELD :])]), y


def _strange(table: pl.DataFrame) -> pl.DataFrame:
    """Rows of levels that were never seen, far numbers, missing values where there were none, and nothing at all."""
    rows = table.rows(named=True)
    for i, row in enumerate(rows):
        row["town"] = "never seen" if i % 2 else None
        if i < 3:
            row.update(dict.fromkeys(row))
        elif i < 6:
            row.update({"colour": "never seen", NUMBER: None, "member": None, "since": None})
        elif i < 9:
            row.update({"size": 1e6, NUMBER: -1e6, "colour": None})
    return pl.DataFrame(rows, schema=table.schema)
