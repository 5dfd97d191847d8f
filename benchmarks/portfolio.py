"""Fit every portfolio entry once on every table, and keep what it answers: the order of a portfolio is learned from it.

python benchmarks/portfolio.py --data DATA --work WORK
python benchmarks/portfolio.py --data DATA --work WORK --rows 60000 --seconds 75 --datasets adult,diamonds

Every table gives its training part only (the rows that the other benchmarks predict are left aside), and of that at
most 9,000 rows: a third of them validates, or of fewer than 1,500 rows each third in turn. One fit has one core and
some 25 s of it, and is killed if it does not end. What is in WORK already is not fitted again. With another number of
rows a table is one of its own, by the name NAME-ROWS: what is best of few rows is not of many.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import catalog

from automl.compose import compose
from automl.data.problem import Problem
from automl.execute.local import LocalExecutor
from automl.plan import Plan, plan
from automl.plugins import installed
from automl.search.order import Facts, key

ROWS, FEW, PART = 9_000, 1_500, 1 / 3
SECONDS, FIT = 25.0, 0.8  # of a core, for a fold; the share of it for its fit alone
SEED = 0


class Clock:
    """What share of a core the worker gets, as others run beside it: the seconds that are kept are those of a core."""

    def __init__(self) -> None:
        self.share = 1.0

    def read(self) -> tuple[float, float]:
        """Seconds of the wall, and of cores by all that come of this process and live: a server, and its workers."""
        ticks: dict[int, int] = {}
        parents: dict[int, int] = {}
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has just ended
                stat = file.read_text().rpartition(")")[2].split()  # 1: its parent, 11 and 12: ticks
                parents[int(file.parent.name)] = int(stat[1])
                ticks[int(file.parent.name)] = int(stat[11]) + int(stat[12])
        ours, found = {os.getpid()}, set[int]()
        while ours:
            ours = {process for process, parent in parents.items() if parent in ours}
            found |= ours
        return time.monotonic(), sum(ticks[process] for process in found) / os.sysconf("SC_CLK_TCK")

    def learn(self, before: tuple[float, float]) -> float:
        """The share since `before`, or what it was lately where that is too short to tell."""
        wall, used = (after - then for after, then in zip(self.read(), before, strict=True))
        if wall < 0.5 or used <= 0:  # below zero: the worker was replaced
            return self.share
        share = min(1.0, max(0.05, used / wall))
        self.share = 0.5 * self.share + 0.5 * share
        return share


def main() -> None:
    """Fit what has not been fitted, table by table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="the folder of catalog.json")
    options.add_argument("--datasets", default="all", help="names, with commas")
    options.add_argument("--work", type=Path, required=True, help="where what was fitted is kept")
    options.add_argument("--rows", type=int, default=ROWS, help="at most, of a table")
    options.add_argument("--seconds", type=float, default=SECONDS, help="of a core, for a fold")
    args = options.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}  # of the workers
    clock = Clock()
    for name, tables in in_turn(catalog(args.data, args.datasets)):
        began = time.monotonic()
        named = name if args.rows == ROWS else f"{name}-{args.rows}"
        fitted = measure(named, partial(tables, SEED), args.work, clock, args.rows, args.seconds)
        print(f"{name}: {fitted} fitted in {time.monotonic() - began:.0f} s, {clock.share:.0%} of a core", flush=True)


def in_turn(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The tables, small ones first and one kind of task after the other."""
    kinds: dict[str, list[str]] = {}
    for name, table in sorted(tables.items(), key=lambda item: _size(item[1].args[0])):
        kinds.setdefault(table.args[0]["task"], []).append(name)
    for i in range(max(map(len, kinds.values()))):
        yield from ((names[i], tables[names[i]]) for names in kinds.values() if i < len(names))


def _size(entry: Mapping[str, Any]) -> float:
    return min(entry["rows"], ROWS) * entry["columns"] * max(entry["n_classes"] or 1, 2)


def measure(name: str, tables: Any, work: Path, clock: Clock, rows: int, seconds: float) -> int:
    """Fit the entries that WORK/NAME.jsonl does not have; how many there were.

    Its first line has the facts of the table; each other one an entry's family, parameters, status, loss and seconds.
    Its predictions lie in WORK/NAME/, by number.
    """
    log, kept = work / f"{name}.jsonl", work / name
    kept.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        said = tables(Path(folder))
        planned = sampled(Path(folder) / "train.parquet", said, rows)
        done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        families = sorted(planned.families.items(), key=lambda item: (item[0] != planned.baseline, item[1].priority))
        entries = [(family, params) for family, spec in families for params in spec.candidates]
        if not done:
            facts = Facts.of(planned.task, planned.schema, len(planned.split.folds[0].train))
            said = {"dataset": name, "metric": planned.metric.name, "facts": asdict(facts), "entries": len(entries)}
            done = [said]
            _add(log, said)
        known = {entry["entry"] for entry in done[1:]}
        todo = [(family, params) for family, params in entries if key(family, params) not in known]
        if not todo:
            return 0
        problem = Problem.write(
            Path(folder) / "shared",
            planned.table,
            planned.y,
            planned.weight,
            planned.split,
            planned.task,
            planned.schema,
            (tuple(_first_party()), (), True),
        )
        np.savez(kept / "truth.npz", y=problem.validated(problem.y))
        executor = LocalExecutor(problem.folder, 1, 1, None)
        try:
            for family, params in todo:
                number = len(done) - 1
                found = fit(problem, executor, clock, seconds, number, family, params)
                if found["status"] == "ok":
                    np.save(kept / f"{number}.npy", found.pop("predictions").astype(np.float32))
                done.append({"entry": key(family, params), "family": family, "params": params, **found})
                _add(log, done[-1])
                shutil.rmtree(problem.folder / "trials", ignore_errors=True)
        finally:
            executor.close()
    return len(todo)


def sampled(file: Path, said: Mapping[str, Any], rows: int) -> Plan:
    """The plan of at most so many rows of a table, drawn at random."""
    table = pl.read_parquet(file)
    if table.height > rows:
        table = table.sample(rows, seed=SEED)
    split = ["split=kfold", "split.folds=3"] if table.height < FEW else ["split=holdout", f"split.fraction={PART}"]
    given = f"plugins.allow=[{','.join(_first_party())}]"
    return plan(compose([f"target={said['target']}", f"task={said['task']}", f"seed={SEED}", given, *split]), table)


def fit(
    problem: Problem,
    executor: LocalExecutor,
    clock: Clock,
    limit: float,
    number: int,
    family: str,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """Fit one entry on all folds: its status, the seconds of a fold, and if all went well its loss and predictions.

    Seconds are of the fit and of predicting the validation rows, which is where some families spend theirs; where it
    failed, all that it had.
    """
    seconds = []
    for fold in range(problem.folds):
        before = clock.read()
        share = clock.share
        job = {"id": f"{number}-{fold}", "trial": number, "fold": fold, "family": family, "params": dict(params)}
        job |= {"rows": None, "seed": SEED + fold, "threads": 1}
        job |= {"deadline": FIT * limit / share, "limit": limit / share}
        executor.submit(job)
        while not (outcomes := executor.wait(5.0)):
            pass
        share = clock.learn(before)
        if outcomes[0]["status"] != "ok":
            return {"status": outcomes[0]["status"], "reason": outcomes[0]["reason"], "seconds": limit}
        seconds.append((outcomes[0]["fit_seconds"] + outcomes[0]["predict_seconds"]) * share)
    predictions = problem.predictions(number)
    loss = problem.metric.loss(problem.metric.score(problem.validated(problem.y), predictions, None))
    return {"status": "ok", "loss": loss, "seconds": float(np.mean(seconds)), "predictions": predictions}


def _first_party() -> list[str]:
    return [plugin.name for plugin in installed().plugins.values() if plugin.distribution == "automl"]


def _add(log: Path, entry: Mapping[str, Any]) -> None:
    with log.open("a") as stream:
        stream.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main()
