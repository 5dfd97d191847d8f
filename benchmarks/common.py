"""What the benchmarks share: tables and their splits, one fit in a process of its own, its loss, the result file.

A result file is CSV with a row for each cell. A cell that has its row is not run again: delete the row to repeat it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
RESULTS = HERE / "results"
KEY = ("dataset", "system", "budget", "cores", "seed")
MACHINE = ("cpu", "machine_cores", "machine_gb")
FIELDS = (
    *KEY,
    *("task", "rows", "columns", "outcome", "loss", "fit_s", "first_s", "test_rows", "predict_s", "row_ms"),
    *("peak_rss_mb", "peak_pss_mb", "cpu_s", "others_cpu", "estimate", "trials", "members", "error"),
    *("versions", *MACHINE, "date"),
)


@dataclass(frozen=True)
class Cell:
    """One fit: the fields of KEY, and how it is done.

    Attributes
    ----------
    tables : writes train.parquet and test.parquet into a folder; returns the task, the target, rows and columns.
    adapter : the function of systems.py, where that is not the system's name; `overrides`: our config, key=value.
    python : the interpreter of the system's virtual environment.
    """

    dataset: str
    system: str
    budget: float
    cores: int
    seed: int
    tables: Callable[[Path], dict[str, Any]]
    adapter: str | None = None
    overrides: tuple[str, ...] = ()
    python: Path = Path(sys.executable)

    @property
    def key(self) -> tuple[str, ...]:
        """What names its row in a result file."""
        return (self.dataset, self.system, f"{self.budget:g}", str(self.cores), str(self.seed))


def run_all(cells: Iterable[Cell], out: Path) -> None:
    """Measure, one after the other, the cells that `out` has no row for; each row is on disk before the next begins.

    Raises
    ------
    SystemExit : the file's rows come from another machine.
    """
    rows = list(csv.DictReader(out.open(newline=""))) if out.exists() else []
    here = machine()
    if strange := [row for row in rows if any(row[name] != here[name] for name in MACHINE)]:
        raise SystemExit(
            f"{out} has {len(strange)} rows of another machine, and times do not mix: choose another --out"
        )
    done = {tuple(row[name] for name in KEY) for row in rows}
    todo = [cell for cell in cells if cell.key not in done]
    print(f"{len(todo)} to run, {len(rows)} rows in {out.name}", flush=True)
    for number, cell in enumerate(todo, 1):
        row = {**dict(zip(KEY, cell.key, strict=True)), **measure(cell), **here, "date": date.today().isoformat()}
        rows.append({name: _text(row.get(name)) for name in FIELDS})
        _write(rows, out)
        said = " ".join(f"{name}={rows[-1][name]}" for name in ("outcome", "loss", "fit_s", "first_s", "row_ms"))
        print(f"[{number}/{len(todo)}] {' '.join(cell.key)}: {said} {rows[-1]['error']}", flush=True)


def measure(cell: Cell) -> dict[str, Any]:
    """Fit one cell in a process of its own, and score its predictions here.

    The outcome is ok, refused (an error of ours that says why), failed (any other) or killed (it did not end).
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        facts = cell.tables(folder)
        job = {"adapter": cell.adapter or cell.system, "overrides": cell.overrides, **facts}
        job |= {"budget": cell.budget, "cores": cell.cores, "seed": cell.seed}
        (folder / "job.json").write_text(json.dumps(job))
        limit = 4 * cell.budget + 240
        command = [str(cell.python), str(HERE / "systems.py")]
        used = run(command, folder, cores=cell.cores, limit=limit, watch=folder / "run" / "model" / "manifest.json")
        row = {"outcome": "killed", "error": used.pop("error"), **facts, **used}
        if (folder / "result.json").exists():
            row |= json.loads((folder / "result.json").read_text())
        if row["outcome"] == "ok":
            test = pd.read_parquet(folder / "test.parquet", columns=[facts["target"]])[facts["target"]]
            try:
                row |= {"loss": loss(facts["task"], test, pd.read_parquet(folder / "predictions.parquet"))}
                row["test_rows"] = len(test)
            except ValueError as error:
                row |= {"outcome": "failed", "error": f"its predictions cannot be scored: {error}"}
        if row["first"] and "began" in row:
            row["first_s"] = row["first"] - row["began"]
    if (cell.adapter or cell.system).startswith("ours") and "versions" in row:
        row["versions"] += f", commit {commit()}"
    error = " ".join(str(row["error"]).split()).replace("`", "'")
    row["error"] = re.sub(r"(?<![\w.])(/[\w.+@-]+){2,}", "PATH", error)[:300]
    return row


def loss(task: str, truth: pd.Series, predicted: pd.DataFrame) -> float:
    """1 - ROC AUC (binary), log loss (multiclass; of a class that was never seen, as of probability 1e-15), or RMSE.

    Parameters
    ----------
    predicted : a column for each class, by its label as text, or the column `prediction`.

    Raises
    ------
    ValueError : another number of rows than `truth`, or values that are not finite.
    """
    from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error

    if len(predicted) != len(truth):
        raise ValueError(f"{len(predicted)} predictions for {len(truth)} rows")
    if not np.isfinite(predicted.to_numpy()).all():
        raise ValueError("a prediction is not finite")
    if task == "regression":
        return float(root_mean_squared_error(truth, predicted["prediction"]))
    labels = truth.astype(str)
    if task == "binary":
        positive = sorted(predicted.columns)[1]
        return 1 - float(roc_auc_score(labels == positive, predicted[positive]))
    every = sorted({*predicted.columns, *labels})
    shares = predicted.reindex(columns=every, fill_value=0.0).clip(1e-15, 1)
    return float(log_loss(labels, shares.div(shares.sum(axis=1), axis=0).to_numpy(), labels=every))


def run(command: list[str], folder: Path, *, cores: int, limit: float, watch: Path) -> dict[str, Any]:
    """Run a command in `folder` to its end, or `limit` seconds, and end whatever it leaves behind.

    Returns
    -------
    The peaks of its memory; its CPU seconds; the share of the machine's CPU time that went to others; when `watch`
    first was there (seconds since the epoch, or None); and as the error, how it ended.
    """
    threads = {f"{name}_NUM_THREADS": str(cores) for name in ("OMP", "OPENBLAS", "MKL")}
    first, due, error = None, 0.0, ""
    busy, elapsed = _cpu()
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **threads},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    tree, end = Tree(process.pid), time.monotonic() + limit
    try:
        while process.poll() is None:
            if (now := time.monotonic()) > end:
                error = f"it had not ended after {limit:g} s"
                break
            if first is None and watch.exists():
                first = time.time()
            if now >= due:  # sampling may cost 2% of a core
                tree.sample()
                due = time.monotonic() + max(0.2, 50 * (time.monotonic() - now))
            time.sleep(0.02)
    finally:
        tree.kill()
    code = process.wait()
    last = ([line for line in (folder / "log.txt").read_text(errors="replace").splitlines() if line.strip()] or [""])[
        -1
    ]
    busy, elapsed = _cpu()[0] - busy, _cpu()[1] - elapsed
    return {
        "peak_rss_mb": tree.rss / 1e6,
        "peak_pss_mb": tree.pss / 1e6,
        "cpu_s": tree.cpu,
        "others_cpu": max(0.0, busy - tree.cpu) / elapsed if elapsed else 0.0,
        "first": first,
        "error": error or f"it ended with code {code}: {last}",
    }


class Tree:
    """A command's processes, sampled from /proc: its session, its descendants, and theirs after it has left them.

    `rss` and `pss` are the peaks in bytes. Pages that processes share count once for each in RSS, and once in PSS.
    """

    def __init__(self, root: int) -> None:
        self.root, self.rss, self.pss = root, 0, 0
        self._ticks: dict[tuple[int, str], int] = {}

    @property
    def cpu(self) -> float:
        """Seconds, up to the last sample."""
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    def sample(self) -> list[int]:
        """Look once; the processes that are alive."""
        stats = {}
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has just ended
                # after the name: 0 state, 1 parent, 3 session, 11 and 12 CPU ticks, 19 start, 21 resident pages
                stats[int(file.parent.name)] = file.read_text().rpartition(")")[2].split()
        ours = {pid for pid, s in stats.items() if int(s[3]) == self.root or (pid, s[19]) in self._ticks}
        while more := {pid for pid, s in stats.items() if int(s[1]) in ours} - ours:
            ours |= more
        self._ticks |= {(pid, stats[pid][19]): int(stats[pid][11]) + int(stats[pid][12]) for pid in ours}
        self.rss = max(self.rss, sum(int(stats[pid][21]) for pid in ours) * os.sysconf("SC_PAGE_SIZE"))
        self.pss = max(self.pss, sum(map(_pss, ours)))
        return [pid for pid in ours if stats[pid][0] != "Z"]

    def kill(self) -> None:
        """End those that are alive, and whatever they start meanwhile."""
        while alive := self.sample():
            for pid in alive:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


METRIC = {"binary": "1 - ROC AUC", "multiclass": "log loss", "regression": "RMSE"}


def catalog(data: Path, names: str) -> dict[str, Callable[[int, Path], dict[str, Any]]]:
    """The tables of DATA/catalog.json that are asked for, `all` or a,b,c: each writes its split, given seed and folder.

    Raises
    ------
    SystemExit : a name is not in the catalog.
    """
    known = {
        entry["name"]: entry for entry in json.loads((data / "catalog.json").read_text()) if entry["task"] in METRIC
    }
    chosen = list(known) if names == "all" else names.split(",")
    if strange := [name for name in chosen if name not in known]:
        raise SystemExit(f"no such dataset: {', '.join(strange)}; there are {', '.join(known)}")
    return {name: partial(split, known[name], data / known[name]["file"]) for name in chosen}


def grid(args: argparse.Namespace, systems: dict[str, dict[str, Any]]) -> list[Cell]:
    """A cell for each budget, seed, dataset and system; of a system there are the further fields of its cells."""
    return [
        Cell(dataset, name, budget, args.cores, seed, partial(tables, seed), **how)
        for budget in args.budgets
        for seed in args.seeds
        for dataset, tables in catalog(args.data, args.datasets).items()
        for name, how in systems.items()
    ]


def split(entry: dict[str, Any], file: Path, seed: int, folder: Path) -> dict[str, Any]:
    """Hold out a fifth of a table's rows, stratified by class."""
    from sklearn.model_selection import train_test_split

    table, target = pd.read_parquet(file), entry["target"]
    strata = table[target] if entry["task"] != "regression" else None
    train, test = train_test_split(table, test_size=0.2, random_state=seed, stratify=strata)
    train.reset_index(drop=True).to_parquet(folder / "train.parquet")
    test.reset_index(drop=True).to_parquet(folder / "test.parquet")
    return {"task": entry["task"], "target": target, "rows": len(train), "columns": table.shape[1] - 1}


def parser(doc: str | None, out: str, budget: str = "60", *, data: bool = True) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        made.add_argument("--data", type=Path, required=True, help="the folder of catalog.json")
        made.add_argument("--datasets", default="all", help="names, with commas")
    made.add_argument("--budgets", default=budget, type=_numbers(float), help="seconds, with commas")
    made.add_argument("--seeds", default="0", type=_numbers(int), help="with commas")
    made.add_argument("--cores", default=2, type=int)
    made.add_argument("--out", default=RESULTS / out, type=Path, help="the result file; it is added to")
    return made


def machine() -> dict[str, str]:
    """The CPU, its cores and the memory in GB: no names, no paths."""
    with suppress(OSError):
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {"cpu": found[1] if found else "", "machine_cores": str(os.cpu_count()), "machine_gb": f"{memory:.0f}"}


def commit() -> str:
    """This checkout's commit; `-dirty` where files differ from it."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _numbers(kind: type) -> Callable[[str], list[Any]]:
    return lambda said: [kind(word) for word in said.split(",")]


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _write(rows: list[dict[str, str]], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_suffix(".tmp")
    with draft.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(out)


def _pss(pid: int) -> int:
    with suppress(OSError, TypeError):  # it has just ended
        return 1024 * int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[1])
    return 0


def _cpu() -> tuple[float, float]:
    """Seconds since boot that the cores were busy, and that they had in all."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    second = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - ticks[3] - ticks[4]) / second, sum(ticks) / second  # 3 idle, 4 waiting for a disk
