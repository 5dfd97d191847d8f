"""Fit automl on tables of a catalog, score held-out rows, and print score, wall time and what was left on disk.

    python benchmarks/open_sets.py ../shared/data --datasets adult,wine_quality --budget 60 --out results.csv

The catalog is a JSON list of {name, task, target, file}. A fifth of the rows, stratified by class, is held out.
Each fit is a process of its own through the command line, so wall time is what a person waits for.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

METRIC = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
FIELDS = [
    "dataset",
    "metric",
    "test",
    "fold",
    "low",
    "high",
    "wall_s",
    "trials",
    "members",
    "mb",
    "files",
    "code",
    "said",
]


def main() -> None:
    """Run the cells that are asked for, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of catalog.json")
    parser.add_argument("--datasets", default="all")
    parser.add_argument("--budget", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("overrides", nargs="*", help="further config, key=value")
    args = parser.parse_args()
    catalog = {
        entry["name"]: entry for entry in json.loads((args.data / "catalog.json").read_text()) if "target" in entry
    }
    names = list(catalog) if args.datasets == "all" else args.datasets.split(",")
    rows = []
    for name in names:
        rows.append(cell(args.data, catalog[name], args.budget, args.seed, args.overrides))
        print("  ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    if args.out:
        with args.out.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, FIELDS)
            writer.writeheader()
            writer.writerows(rows)


def cell(data: Path, entry: dict, budget: float, seed: int, overrides: list[str]) -> dict:
    """Fit and score one dataset."""
    from automl import load
    from automl.run import Run

    table = pd.read_parquet(data / entry["file"])
    strata = table[entry["target"]] if entry["task"] != "regression" else None
    train, test = train_test_split(table, test_size=0.2, random_state=seed, stratify=strata)
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        train.to_parquet(at / "train.parquet")
        said = [f"target={entry['target']}", f"task={entry['task']}", f"metric={METRIC[entry['task']]}"]
        command = [
            "fit",
            "train.parquet",
            *said,
            f"budget={budget}",
            f"seed={seed}",
            "run.dir=run",
            "run.progress=lines",
        ]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "automl.cli", *command, *overrides],
            cwd=at,
            capture_output=True,
            text=True,
            check=False,
        )
        wall = time.perf_counter() - start
        row = {
            "dataset": entry["name"],
            "metric": METRIC[entry["task"]],
            "wall_s": round(wall, 1),
            "code": done.returncode,
        }
        row["said"] = (done.stderr.strip().splitlines() or [""])[-1][:200]
        if done.returncode:
            return row
        run = Run.open(at / "run")
        files = [file for file in (at / "run").rglob("*") if file.is_file()]
        row |= {"fold": round(run.score or 0, 5), "low": round(run.low or 0, 5), "high": round(run.high or 0, 5)}
        row |= {"trials": len(run.trials), "members": sum(t.weight > 0 for t in run.trials)}
        row |= {"mb": round(sum(file.stat().st_size for file in files) / 1e6, 2), "files": len(files)}
        row["test"] = round(load(at / "run").evaluate(test)[METRIC[entry["task"]]], 5)
        return row


if __name__ == "__main__":
    main()
