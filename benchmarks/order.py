"""Make the record that the order of the portfolio is learned from, and simulate what the order is worth.

python benchmarks/order.py --work WORK             the simulation, over what portfolio.py has fitted so far
python benchmarks/order.py --work WORK --write     automl/search/record.json as well; tables that WORK lacks stay in it

The simulation leaves out one table at a time, whatever the number of its rows: its order is learned from the others. A
clock of one core then pays for each entry what it took on that table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from automl.compose import compose
from automl.family import Candidate, FamilySpec
from automl.metrics import Metric, resolve
from automl.plugins import installed
from automl.search import order
from automl.search.ensemble import blend, select
from automl.search.order import Facts, Record, key

RECORD = Path(order.__file__).with_name("record.json")
LIBRARIES = ("automl", "numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "catboost", "torch")
TIMES = (1, 2, 5, 10, 20, 40, 80, 160)
ROUNDS, LOOKED_AT = 20, 1500  # of the ensembles in the simulation


@dataclass(frozen=True, eq=False)
class Table:
    """What portfolio.py left of one table, without the baseline."""

    name: str
    facts: Facts
    metric: Metric
    y: np.ndarray
    baseline: float
    entries: list[tuple[str, dict[str, Any]]]
    predictions: list[np.ndarray | None]
    seconds: np.ndarray

    @classmethod
    def read(cls, log: Path, entries: Sequence[str]) -> Table | None:
        """The table of a log, with these entries in their order; None where it has not got to the end."""
        first, *lines = [json.loads(line) for line in log.read_text().splitlines()]
        if len(lines) < first["entries"]:
            return None
        folder = log.with_suffix("")
        place = {line["entry"]: i for i, line in enumerate(lines) if i}  # the first one is the baseline
        numbers = [place[entry] for entry in entries if entry in place]
        mine = [lines[i] for i in numbers]
        return cls(
            name=first["dataset"],
            facts=Facts(**first["facts"]),
            metric=resolve(first["metric"], first["facts"]["kind"], installed().metrics),
            y=np.load(folder / "truth.npz")["y"],
            baseline=lines[0]["loss"],
            entries=[(line["family"], line["params"]) for line in mine],
            predictions=[np.load(folder / f"{i}.npy") if lines[i]["status"] == "ok" else None for i in numbers],
            seconds=np.array([line["seconds"] for line in mine]),
        )

    @property
    def dataset(self) -> str:
        """Its name without the number of rows that portfolio.py may have given it."""
        stem, _, rows = self.name.rpartition("-")
        return stem if stem and rows.isdigit() else self.name

    @cached_property
    def losses(self) -> np.ndarray:
        """(n, n) of pairs, on the diagonal of single entries: 0 for the least, 1 for the baseline and all above."""
        n = len(self.entries)
        raw = np.full((n, n), self.baseline)
        for i, mine in enumerate(self.predictions):
            for j, other in enumerate(self.predictions[: i + 1]):
                if mine is not None and other is not None:
                    raw[i, j] = raw[j, i] = self.loss((mine.astype(np.float64) + other) / 2)
        return np.clip((raw - raw.min()) / max(self.baseline - raw.min(), 1e-12), 0.0, 1.0)

    def loss(self, prediction: np.ndarray, rows: Any = slice(None)) -> float:
        """The metric turned so that lower is better."""
        return self.metric.loss(self.metric.score(self.y[rows], prediction[rows], None))

    @cached_property
    def halves(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows that choose an ensemble and others that judge it, both ways round."""
        rows = np.random.default_rng(0).permutation(len(self.y))[:LOOKED_AT]
        if self.facts.kind != "regression":  # classes evenly on both sides
            rows = rows[np.argsort(self.y[rows], kind="stable")]
        return [(rows[::2], rows[1::2]), (rows[1::2], rows[::2])]

    def ensemble(self, tried: Iterable[int]) -> float:
        """The loss of the ensemble of these entries, chosen on half of the rows and judged on the others."""
        members = tuple(sorted(i for i in tried if self.predictions[i] is not None))
        if members not in self._ensembles:
            self._ensembles[members] = float(np.mean([self._chosen(members, *rows) for rows in self.halves]))
        return self._ensembles[members]

    @cached_property
    def _ensembles(self) -> dict[tuple[int, ...], float]:
        return {(): self.baseline}

    @property
    def weights(self) -> np.ndarray:
        """The weights (n,) of the ensemble of all entries."""
        able = [i for i, answer in enumerate(self.predictions) if answer is not None]
        weights = np.zeros(len(self.entries))
        answers = [np.asarray(self.predictions[i], dtype=np.float64) for i in able]
        weights[able] = select(answers, self.y, self.metric, rounds=ROUNDS)
        return weights

    def _chosen(self, members: Sequence[int], choose: np.ndarray, judge: np.ndarray) -> float:
        answers = [np.asarray(self.predictions[i], dtype=np.float64) for i in members]
        weights = select([answer[choose] for answer in answers], self.y[choose], self.metric, rounds=ROUNDS)
        return self.loss(blend(answers, weights), judge)


@cache
def specs() -> dict[str, FamilySpec]:
    """What the config says of the families, by priority."""
    config = compose()
    said = {name: config.family_spec(name) for name in config.family}
    return dict(sorted(said.items(), key=lambda item: (item[1].priority, item[0])))


def portfolio() -> list[str]:
    """The entries of today's portfolios, a family after the other by priority; see `key`."""
    return [key(name, params) for name, spec in specs().items() for params in spec.candidates]


def record_of(tables: Sequence[Table]) -> dict[str, Any]:
    """The record as plain data: for each table its entries by number, their seconds, and the losses of their pairs."""
    entries: dict[str, tuple[str, dict[str, Any]]] = {}
    for table in tables:
        entries |= {key(*entry): entry for entry in table.entries}
    number = {name: i for i, name in enumerate(entries)}
    said = []
    for table in tables:
        said.append(
            {
                "name": table.name,
                "facts": {name: _short(value) for name, value in asdict(table.facts).items()},
                "entries": [number[key(*entry)] for entry in table.entries],
                "seconds": [float(f"{seconds:.3g}") for seconds in table.seconds],
                "losses": [[round(float(x), 4) for x in row[: i + 1]] for i, row in enumerate(table.losses)],
            }
        )
    versions = {name: metadata.version(name) for name in LIBRARIES}
    made = {"by": "benchmarks/portfolio.py, benchmarks/order.py", "date": date.today().isoformat()}
    return {**made, "versions": versions, "entries": list(entries.values()), "tables": said}


def merged(said: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """A record, and of an older one the tables that it lacks."""
    entries = list(said["entries"])
    number = {key(*entry): i for i, entry in enumerate(entries)}
    names, tables = {table["name"] for table in said["tables"]}, list(said["tables"])
    for table in old["tables"]:
        if table["name"] in names:
            continue
        for entry in (old["entries"][i] for i in table["entries"]):
            if key(*entry) not in number:
                number[key(*entry)] = len(entries)
                entries.append(entry)
        kept = [number[key(*old["entries"][i])] for i in table["entries"]]
        tables.append({**table, "entries": kept})
    return {**said, "entries": entries, "tables": sorted(tables, key=lambda table: table["name"])}


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def write(said: dict[str, Any], file: Path) -> None:
    """Write a record as JSON, a line for each entry and each table."""
    lines = []
    for name, value in said.items():
        if isinstance(value, list):
            parts = ",\n".join(json.dumps(part, separators=(",", ":")) for part in value)
            lines.append(f"{json.dumps(name)}: [\n{parts}\n]")
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(value)}")
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


Order = Callable[[Table, Record], list[int]]


def by_priority(table: Table, _: Record) -> list[int]:
    """First entries of all families, then second ones: as the entries come, a family at a time, by priority."""
    turn: dict[str, int] = {}
    rank = []
    for i, (family, _params) in enumerate(table.entries):
        turn[family] = turn.get(family, -1) + 1
        rank.append((turn[family], i))
    return [i for _, i in sorted(rank)]


def learned(table: Table, record: Record) -> list[int]:
    """The order at run time."""
    first = by_priority(table, record)
    candidates = [Candidate(*table.entries[i]) for i in first]
    number = {id(candidate): i for candidate, i in zip(candidates, first, strict=True)}
    return [number[id(candidate)] for candidate in order.learned(candidates, table.facts, specs(), record)]


class Alike(Record):
    """A record of which each table tells as much as any other."""

    def weights(self, facts: Facts) -> np.ndarray:
        return np.full(len(self.tables), 1 / len(self.tables))


def static(table: Table, record: Record) -> list[int]:
    """One order for all tables of a kind, but for what their sizes make of the seconds."""
    return learned(table, Alike(record.entries, record.tables, record.losses, record.took))


ORDERS: dict[str, Order] = {"priority": by_priority, "static": static, "learned": learned}


def pairs_by(table: Table, ranks: Sequence[int], times: Sequence[float]) -> list[float]:
    """The loss of the best single entry or pair at each of these times."""
    found = []
    for tried in until(table, ranks, times):
        found.append(float(table.losses[np.ix_(tried, tried)].min()) if tried else 1.0)
    return found


def ensembles_by(table: Table, ranks: Sequence[int], times: Sequence[float]) -> list[float]:
    """The loss of the ensemble at each of these times; 0 is that of all entries, 1 that of the baseline."""
    whole = table.ensemble(ranks)
    scale = max(table.baseline - whole, 1e-12)
    return [(table.ensemble(tried) - whole) / scale for tried in until(table, ranks, times)]


def until(table: Table, ranks: Sequence[int], times: Sequence[float]) -> list[list[int]]:
    """The entries that have ended at each of these times."""
    ends = np.cumsum([order.FIXED + table.seconds[i] for i in ranks])
    return [[i for i, end in zip(ranks, ends, strict=True) if end <= time] for time in times]


def leave_one_out(
    tables: Sequence[Table], orders: dict[str, Order], curve: Callable[..., list[float]]
) -> dict[str, np.ndarray]:
    """For each order, (T, times): the curve of each table by what the record says of the others."""
    record = parsed(record_of(tables))
    found: dict[str, list[list[float]]] = {name: [] for name in orders}
    for table in tables:
        others = without(record, [i for i, other in enumerate(tables) if other.dataset == table.dataset])
        for name, rank in orders.items():
            found[name].append(curve(table, rank(table, others), TIMES))
    return {name: np.array(curves) for name, curves in found.items()}


def parsed(said: dict[str, Any]) -> Record:
    """The record that a file of these data would give."""
    return Record.of(json.loads(json.dumps(said)))


def without(record: Record, out: Sequence[int]) -> Record:
    """A record that knows nothing of some tables."""
    tables = tuple(facts for i, facts in enumerate(record.tables) if i not in out)
    return replace(record, tables=tables, losses=np.delete(record.losses, out, 0), took=np.delete(record.took, out, 0))


def main() -> None:
    """Print the simulation, and what each entry is worth."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--work", type=Path, required=True, help="what portfolio.py kept")
    options.add_argument("--write", action="store_true", help="write the record into the package")
    args = options.parse_args()
    entries = portfolio()
    tables = [table for log in sorted(args.work.glob("*.jsonl")) if (table := Table.read(log, entries))]
    print(f"{len(tables)} tables\n")
    for title, curve in (("best single or pair", pairs_by), ("ensemble", ensembles_by)):
        print(f"{title}: mean loss, 0 the best and 1 the baseline, after so many seconds of one core for a fold")
        print(f"{'':12s}" + "".join(f"{time:>8d}" for time in TIMES))
        for name, curves in leave_one_out(tables, ORDERS, curve).items():
            print(f"{name:12s}" + "".join(f"{loss:8.4f}" for loss in curves.mean(axis=0)))
        print()
    worth(tables)
    if args.write:
        write(merged(record_of(tables), json.loads(RECORD.read_text(encoding="utf-8"))), RECORD)
        print(f"written: {RECORD} ({RECORD.stat().st_size / 1e3:.0f} kB)")


def worth(tables: Sequence[Table]) -> None:
    """Print, for each kind of task, the mean share that families and entries have of the ensembles of all entries."""
    kinds = sorted({table.facts.kind for table in tables})
    shares: dict[tuple[str, str], dict[str, list[float]]] = {}  # family and params, or none -> kind -> by table
    for table in tables:
        weights = table.weights
        for i, (family, params) in enumerate(table.entries):
            mine = [j for j, entry in enumerate(table.entries) if entry[0] == family]
            whole, part = ((family, text) for text in ("", json.dumps(params)))
            if i == mine[0]:
                shares.setdefault(whole, {kind: [] for kind in kinds})[table.facts.kind].append(weights[mine].sum())
            shares.setdefault(part, {kind: [] for kind in kinds})[table.facts.kind].append(weights[i])
    print("share of the ensemble of all entries, and of how many of the tables it has one")
    print(f"{'':16s}" + "".join(f"{kind:>14s}" for kind in kinds) + "  entry")
    for (family, params), by_kind in sorted(shares.items(), key=lambda item: item[0][0]):
        said = [f"{np.mean(s):.3f} {sum(x > 0 for x in s):2d}/{len(s):2d}" if s else "" for s in by_kind.values()]
        print(f"{'' if params else family:16s}" + "".join(f"{text:>14s}" for text in said) + f"  {params}")


if __name__ == "__main__":
    main()
