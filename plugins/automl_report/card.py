"""The model card: what a predictor predicts, from which columns, how well, and what it is made of, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from automl import Predictor


def write(predictor: Predictor, path: Path) -> None:
    """Write the card of a predictor to a file."""
    task, facts = predictor.task, predictor.facts
    lines = [f"# {task.target}", "", f"A {task.kind} predictor, made by automl at {facts['created']}.", ""]
    if task.classes:
        lines += [f"Classes: {', '.join(map(str, task.classes))}.", ""]
    if facts.get("score") is not None:
        known = facts.get("low") is not None and facts.get("high") is not None
        interval = f", 95% interval {facts['low']:.5g} to {facts['high']:.5g}" if known else ""
        lines += [f"{task.metric} {facts['score']:.5g}{interval}, on predictions of rows not trained on.", ""]
    lines += [f"It learned from {facts['rows']:,} rows, with seed {facts['seed']}.", "", "## Columns", ""]
    columns = [(c.name, c.role, _values(c), f"{c.missing:,}", c.monotone or "") for c in predictor.schema.features]
    lines += [*_table(("column", "role", "values at fit", "missing", "trend"), columns), ""]
    members = predictor.describe().groupby("family", sort=False)["weight"].agg(["size", "sum"])
    rows = [(family, size, f"{weight:.3f}") for family, size, weight in members.itertuples()]
    lines += ["## Members", "", *_table(("family", "fitted models", "weight"), rows), "", "## Versions", ""]
    lines += [*_table(("package", "version"), facts["versions"].items()), ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def _values(column: Any) -> str:
    if column.low is None:
        return f"{column.unique:,} different"
    low, high = (f"{end:.5g}" if isinstance(end, float) else end for end in (column.low, column.high))
    return f"{low} to {high}"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(cell).replace("|", r"\|") for cell in row) + " |" for row in cells]
