"""The order of the portfolios: what other tables have taught of their entries, for tables like this one.

The record is data: `benchmarks/order.py` makes it of open tables. An entry that it does not know, because a plugin or a
config of your own says it, keeps the place that its family's priority gives it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from automl.data.schema import Schema
from automl.family import Candidate, FamilySpec
from automl.search.cost import scale
from automl.task import Task

_FILE = Path(__file__).with_name("record.json")
_POWER = 0.5  # of the expected seconds that divide the expected gain; these numbers: benchmarks/order.py
_QUICK, _HASTE = 2, 2.0  # how many come first by another power: a run should have something soon
_WIDTH = 0.7  # of the kernel, in standard deviations of the recorded tables' facts
_ANY = 0.3  # the share of the weights that all tables have alike, however far
_GROWTH = 1.3  # of the seconds with the rows, at most, besides that of all fits
FIXED = 0.05  # seconds of any fit, however small: views, predictions, saving
_LEAST = 1e-4  # a gain that is none


@dataclass(frozen=True)
class Facts:
    """What an order goes by: the kind of task, numbers of training rows, features and classes, and shares.

    Attributes
    ----------
    categories, texts : shares of the features that are categories or booleans, and texts.
    missing : the share of the features' cells that have no value.
    """

    kind: str
    rows: int
    columns: int
    classes: int
    categories: float
    texts: float
    missing: float

    @classmethod
    def of(cls, task: Task, schema: Schema, rows: int) -> Facts:
        """The facts of a task of so many training rows."""
        roles = [column.role for column in schema.features]
        n = max(1, len(roles))
        return cls(
            kind=task.kind,
            rows=rows,
            columns=len(roles),
            classes=len(task.classes),
            categories=sum(role in ("category", "boolean") for role in roles) / n,
            texts=roles.count("text") / n,
            missing=sum(column.missing for column in schema.features) / (n * max(1, schema.rows)),
        )

    def numbers(self) -> list[float]:
        """As a point, in which tables alike are near."""
        sizes = [math.log(self.rows), math.log(max(1, self.columns)), math.log(max(1, self.classes))]
        return [*sizes, self.categories, self.texts, math.sqrt(self.missing), float(self.kind == "regression")]


@dataclass(frozen=True, eq=False)
class Record:
    """What entries reached on tables, alone and in pairs.

    Attributes
    ----------
    entries : entry, see `key`, -> its number.
    tables : the facts of each of T tables.
    losses : (T, E, E), of the mean of two entries' predictions, on the diagonal of one's own; 0 is that of the table's
        best pair and 1 that of its baseline. Where an entry was not tried, or failed, it is as if it were not there.
    took : (T, E), seconds of a fit on one core; NaN where it was not tried.
    """

    entries: Mapping[str, int]
    tables: tuple[Facts, ...]
    losses: np.ndarray
    took: np.ndarray

    @classmethod
    def read(cls, file: Path = _FILE) -> Record:
        """The record of a file, by default the one that comes with automl."""
        return cls.of(json.loads(file.read_text(encoding="utf-8")))

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Record:
        """The record that plain data say."""
        size = len(said["entries"])
        losses, took = np.ones((len(said["tables"]), size, size)), np.full((len(said["tables"]), size), np.nan)
        for t, table in enumerate(said["tables"]):
            took[t, table["entries"]] = table["seconds"]
            for i, row in zip(table["entries"], table["losses"], strict=True):
                losses[t, i, table["entries"][: len(row)]] = losses[t, table["entries"][: len(row)], i] = row
        entries = {key(family, params): i for i, (family, params) in enumerate(said["entries"])}
        return cls(entries, tuple(Facts(**table["facts"]) for table in said["tables"]), losses, took)

    def weights(self, facts: Facts) -> np.ndarray:
        """How much each table tells of one with these facts, (T,): a Gaussian kernel over standardised distances.

        A share goes to all tables alike, for no fact here tells all. What lies outside all tables is
        taken to lie at their edge, or the one that is nearest would tell everything.
        """
        points = np.array([table.numbers() for table in self.tables])
        spread = points.std(axis=0)
        point = np.clip(facts.numbers(), points.min(axis=0), points.max(axis=0))
        distance = (((points - point) / np.where(spread > 0, spread, np.inf)) ** 2).mean(axis=1)
        near = np.exp(-distance / (2 * _WIDTH**2))
        return np.asarray((1 - _ANY) * near / near.sum() + _ANY / len(near))

    def telling(self, facts: Facts, weights: np.ndarray) -> np.ndarray:
        """How much each table tells of each entry, (T, E), summing to 1 for an entry.

        A table of the same kind on which an entry was not tried, for its `when` left it out, says nothing of it.
        """
        same = np.array([table.kind == facts.kind for table in self.tables])
        told = weights[:, None] * (np.isfinite(self.took) | ~same[:, None])
        return told / np.maximum(told.sum(axis=0), 1e-300)

    def seconds(self, facts: Facts, weights: np.ndarray, per_class: np.ndarray) -> np.ndarray:
        """What each entry is expected to take, (E,): the geometric mean over tables, carried over to this size.

        What grew faster than that with the rows of the tables (neighbours, kernels) is taken to do so further.
        `per_class` are flags, (E,), of those that take so for each class.
        """
        tried = np.isfinite(self.took)
        logs = np.log(np.where(tried, self.took, 1.0)) - np.log([_scales(table, per_class) for table in self.tables])
        rows = np.log([table.rows for table in self.tables])[:, None]
        growth = np.clip(_slope(rows, logs, tried), 0.0, _GROWTH)
        carried = logs + growth * (math.log(facts.rows) - rows)
        mean = _mean(carried, weights[:, None] * tried)
        return np.asarray(FIXED + np.exp(mean) * _scales(facts, per_class))


def _scales(facts: Facts, per_class: np.ndarray) -> np.ndarray:
    each, once = (scale(facts.rows, facts.columns, classes) for classes in (facts.classes, 0))
    return np.where(per_class, each, once)


def _slope(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of the line through points (T, n) by least squares, for each of n columns; 0 where there are no two."""
    away = (x - _mean(x, weights)) * weights
    return (away * y).sum(axis=0) / np.maximum((away * x).sum(axis=0), 1e-9)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (values * weights).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-300)


def learned(
    candidates: Sequence[Candidate],
    facts: Facts,
    specs: Mapping[str, FamilySpec],
    record: Record | None = None,
    most: float = math.inf,
) -> list[Candidate]:
    """The candidates, which come by priority, in the order that the record gives those that it knows.

    Each next one is that whose expected gain is largest for the square root of its expected seconds, and the first two
    for the square of these; the gain is what it takes off the loss of the best single or pair of those before it. Of a
    fit that takes more than `most` seconds of a core, and so would be cut short, only the share counts that these are
    of it. The places of the others are left as they are.
    """
    record = _shipped() if record is None else record
    names = [key(candidate.family, candidate.params) for candidate in candidates]
    places = [i for i, name in enumerate(names) if name in record.entries]
    chosen = [record.entries[names[i]] for i in places]
    per_class = np.zeros(len(record.entries), bool)
    per_class[chosen] = [specs[candidates[i].family].per_class for i in places]
    weights = record.weights(facts)
    telling, seconds = record.telling(facts, weights)[:, chosen], record.seconds(facts, weights, per_class)[chosen]
    ranks = greedy(record.losses[:, chosen][:, :, chosen], telling, seconds, most=most)
    ordered = list(candidates)
    for place, rank in zip(places, ranks, strict=True):
        ordered[place] = candidates[places[rank]]
    return ordered


def greedy(
    losses: np.ndarray, weights: np.ndarray, seconds: np.ndarray, quick: int = _QUICK, most: float = math.inf
) -> list[int]:
    """The order of n entries in which each next one has the largest expected gain for its expected seconds.

    Where none has any gain left, what was taken is forgotten, and those that remain are ordered among themselves.

    Parameters
    ----------
    losses : (T, n, n), see `Record`; weights : (T, n), how much each table tells of each entry; seconds : (n,).
    quick : how many, to begin with, are chosen with more regard to their seconds.
    most : seconds that there are for an entry; of the gain of one that takes longer, only that share is expected.
    """
    n = losses.shape[1]
    alone = np.einsum("tii->ti", losses)
    order: list[int] = []
    cut = np.minimum(1.0, most / seconds)
    lowest, reach = np.ones(len(losses)), alone.copy()  # the best so far, and with each further entry
    while len(order) < n:
        gain = cut * (weights * np.maximum(0.0, lowest[:, None] - reach)).sum(axis=0)
        gain[order] = -1.0
        if gain.max() < _LEAST and (lowest < 1).any():
            lowest, reach = np.ones(len(losses)), alone.copy()
            continue
        best = int(np.argmax(gain / seconds ** (_HASTE if len(order) < quick else _POWER)))
        order.append(best)
        lowest = np.minimum(lowest, reach[:, best])
        reach = np.minimum(reach, losses[:, best])
    return order


def key(family: str, params: Mapping[str, Any]) -> str:
    """What names an entry: its family and all of its parameters."""
    return json.dumps([family, dict(params)], sort_keys=True, separators=(",", ":"))


@cache
def _shipped() -> Record:
    return Record.read()
