"""Write docs/explanation/benchmarks.md and its charts from benchmarks/results/*.csv: `python benchmarks/report.py`.

With `--check`, only say which files are out of date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
from charts import bars, lines
from common import METRIC, RESULTS

DOCS = RESULTS.parent.parent / "docs" / "explanation"
CHARTS = "benchmarks"  # the folder of the charts, beside the page
OURS, RIVAL = "ours", "ag-best"
Draw = Callable[[str, str], str]  # keeps a chart, by name and SVG; returns what shows it on the page
FAR = 0.05  # of a relative loss: what is more is counted
BUSY = 0.1  # a cell is noted if other processes took more than this share of the machine's CPU time
HEAD = f"""\
<!-- Made by benchmarks/report.py. -->

# Benchmarks

What the scripts of `benchmarks/` measured; this page is made from their result files by `python benchmarks/report.py`.

- **Split**: a fifth of the rows is held out at random, stratified by class. Every system gets the same rows and cores.
- **Loss**: {METRIC["binary"]} (binary), {METRIC["multiclass"]} (multiclass), {METRIC["regression"]} (regression), on \
the held-out rows, computed in one place for all.
- **Rank**: among the systems on one split. One that gave no predictions is last. **Behind the best**: \
(loss - least loss) / least loss, of those that gave predictions, where the least loss is above zero.
- **In time**: the call of `fit` took at most 1.02 x budget + 1 s.
- **Memory**: peak of all processes together. PSS counts a page that processes share once, RSS once for each of them.
- **One row**: median seconds to predict a single row, in a process that has the model in memory.
"""


def side_by_side(frame: pd.DataFrame, draw: Draw) -> list[str]:
    """For each budget the standing, the costs, the losses and what failed."""
    page = []
    for name, cells, losses, head in contests(frame):
        table = standing(losses)
        shown = pd.DataFrame(
            {
                "mean rank": table["mean rank"].map("{:.2f}".format),
                "wins": table["wins"],
                "median behind the best": table["median behind"].map(text),
                f"over {FAR:.0%} behind": table["far behind"],
                "worst behind the best": table["worst behind"].map(text) + table["worst on"],
                f"beats {RIVAL}": table[f"beats {RIVAL}"].map(text),
                f"{OURS} beats it": table[f"{OURS} beats it"].map(text),
                "no predictions": table["failures"],
            }
        )
        page += [*head, draw(f"rank-{name}", bars(f"Mean rank, {name} (low is good)", table["mean rank"]))]
        page += ["", *markdown(shown, "system"), "", *markdown(costs(cells).loc[table.index], "system"), ""]
        page += [*markdown(loss_table(losses[table.index]), "loss"), "", *failures(cells)]
    return page


def robustness(frame: pd.DataFrame, draw: Draw) -> list[str]:
    """Outcomes, time, first predictor and latency, for each budget; then every cell that was not as it should be."""
    rows = {}
    for (system, budget), cells in frame.groupby(["system", "budget"]):
        counts = cells["outcome"].value_counts()
        rows[f"{system}, {budget:g} s"] = {
            "runs": len(cells),
            "predictor": counts.get("ok", 0),
            "clear refusal": counts.get("refused", 0),
            "neither": len(cells) - counts.get("ok", 0) - counts.get("refused", 0),
            "in time": f"{in_time(cells).sum()} of {len(cells)}",
            "longest fit / budget": text((cells["fit_s"] / cells["budget"]).max(), "{:.3f}"),
            "first predictor, median": text(cells["first_s"].median(), "{:.2f} s"),
            "slowest": text(cells["first_s"].max(), "{:.2f} s"),
            "one row, median": text(cells["row_ms"].median(), "{:.1f} ms"),
            "slowest row": text(cells["row_ms"].max(), "{:.1f} ms"),
            "test loss / own estimate, median": text((cells["loss"] / cells["estimate"]).median(), "{:.3f}"),
        }
    late = frame[~in_time(frame)]
    said = [f"- {row.dataset}, seed {row.seed}, {row.budget:g} s: {row.fit_s:.2f} s" for row in late.itertuples()]
    return [
        *markdown(pd.DataFrame(rows).T, "budget"),
        "",
        *(["Late:", "", *said, ""] if said else []),
        *failures(frame),
    ]


def ablation(frame: pd.DataFrame, draw: Draw) -> list[str]:
    """How much worse the loss is without each part."""
    page = []
    for name, cells, losses, head in contests(frame):
        table = standing(losses)
        change = losses.div(losses[OURS].where(losses[OURS] > 0), axis=0) - 1
        mean = change.drop(columns=OURS).mean().sort_values(ascending=False)
        shown = pd.DataFrame(
            {
                "mean rank": table["mean rank"].map("{:.2f}".format),
                "mean change of loss": change.mean().map(text),
                "median": change.median().map(text),
                "worse on": (change > 0).mean().map(text),
                "no predictions": table["failures"],
            }
        )
        title = f"Mean change of loss, {name} (right: the part helps)"
        page += [*head, draw(f"change-{name}", bars(title, 100 * mean, unit="%")), ""]
        page += [*markdown(shown.loc[[OURS, *mean.index]], "part off"), "", *failures(cells)]
    return page


def scaling(frame: pd.DataFrame, draw: Draw) -> list[str]:
    """Time and memory against rows, and against columns."""
    page = []
    for budget, cells in frame.groupby("budget"):
        page += [f"### {budget:g} s", ""]
        narrow = {"": cells[cells["columns"] == 30]}
        wide = {f", {rows:,} rows": part for rows, part in cells[cells["columns"] != 30].groupby("rows")}
        for across, parts in (("rows", narrow), ("columns", wide)):
            for what, unit, fields in (("time", "Seconds", _TIMES), ("memory", "Peak memory in MB", _SIZES)):
                series = {
                    f"{label}{name}": points(part, across, field)
                    for name, part in parts.items()
                    for label, field in fields
                }
                if series := {name: line for name, line in series.items() if line}:
                    svg = lines(f"{unit} against {across}, budget {budget:g} s", series, across=across)
                    page += [draw(f"{across}-{what}-{budget:g}s", svg), ""]
    shown = frame.sort_values(["budget", "columns", "rows"])
    shown = shown.set_index(shown["dataset"] + shown["budget"].map(", {:g} s".format))
    named = {"fit_s": "fit s", "first_s": "first predictor s", "peak_pss_mb": "PSS MB", "peak_rss_mb": "RSS MB"}
    shown = shown[[*named, "loss"]].rename(columns=named).map(text, form="{:,.4g}")
    return [*page, *markdown(shown, "rows x columns"), "", *failures(frame)]


_TIMES, _SIZES = (("fit", "fit_s"), ("first", "first_s")), (("PSS", "peak_pss_mb"), ("RSS", "peak_rss_mb"))
SECTIONS = {
    "side_by_side": ("Side by side with the peers", side_by_side, "--data DATA --peers PEERS --budgets 60,300"),
    "other_targets": ("Other targets of the same tables", side_by_side, "--data DATA --peers PEERS"),
    "robustness": ("Does every run end well, and in time?", robustness, "--data DATA --budgets 5,60 --seeds 0,1,2"),
    "ablation": ("What each part adds", ablation, "--data DATA"),
    "scaling": ("Scale", scaling, "--budgets 60"),
}


def contests(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame, list[str]]]:
    """For each budget: its name, its cells, the losses by split and system, and a heading.

    The losses are of the splits (dataset, seed) that every system has run; of the others there is only the number.
    Where some systems have run fewer splits than two others have, these come first, by themselves.
    """
    for (budget, cores), cells in frame.groupby(["budget", "cores"]):
        name = f"{budget:g} s on {cores} cores"
        ran = cells.groupby("system").size()
        ahead = cells[cells["system"].isin(ran.index[ran == ran.max()])]
        if ahead["system"].nunique() in (1, len(ran)):
            yield from _contest(name, cells)
        else:
            yield from _contest(name, ahead)
            yield from _contest(f"{name}, every system", cells)


def _contest(name: str, cells: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame, list[str]]]:
    table = cells.pivot(index=["dataset", "seed"], columns="system", values=["outcome", "loss"])
    finished = table["outcome"].notna().all(axis=1)
    losses = table["loss"][finished].astype(float)
    said = f"Splits: {len(losses)}, datasets: {losses.index.unique('dataset').size}."
    said += f" Not finished, and left out: {(~finished).sum()}." if not finished.all() else ""
    if not losses.empty:
        splits = pd.MultiIndex.from_frame(cells[["dataset", "seed"]])
        yield name, cells[splits.isin(losses.index)], losses, [f"### {name}", "", said, ""]


def standing(losses: pd.DataFrame) -> pd.DataFrame:
    """By system, best first: mean rank, wins, the relative loss against the best, and pairwise win shares.

    Parameters
    ----------
    losses : a row for each (dataset, seed), a column for each system; NaN where it gave no predictions: a last place.
    """
    best = losses.min(axis=1)
    behind = losses.sub(best, axis=0).div(best.where(best > 0), axis=0)
    worst = behind.fillna(-1.0).idxmax().map(lambda split: f" ({split[0]})")
    return pd.DataFrame(
        {
            "mean rank": losses.rank(axis=1, na_option="bottom").mean(),
            "wins": losses.eq(best, axis=0).sum(),
            "median behind": behind.median(),
            "far behind": (behind > FAR).sum(),
            "worst behind": behind.max(),
            "worst on": worst.where(behind.notna().any(), ""),
            f"beats {RIVAL}": pd.Series({name: beats(losses, name, RIVAL) for name in losses}),
            f"{OURS} beats it": pd.Series({name: beats(losses, OURS, name) for name in losses}),
            "failures": losses.isna().sum(),
        }
    ).sort_values("mean rank")


def beats(losses: pd.DataFrame, one: str, other: str) -> float:
    """The share of splits on which `one` has less loss than `other`; a tie is half; NaN against itself."""
    if one == other or not {one, other} <= set(losses):
        return float("nan")
    a, b = losses[one].fillna(float("inf")), losses[other].fillna(float("inf"))
    return float(((a < b) + 0.5 * (a == b)).mean())


def costs(cells: pd.DataFrame) -> pd.DataFrame:
    """By system: time, speed of prediction and memory."""
    rows = {}
    for system, part in cells.groupby("system"):
        over = part["fit_s"] / part["budget"]
        rows[system] = {
            "fit / budget, median": text(over.median(), "{:.2f}"),
            "longest": text(over.max(), "{:.2f}"),
            "in time": f"{in_time(part).sum()} of {len(part)}",
            "one row, median": text(part["row_ms"].median(), "{:.1f} ms"),
            "rows/s, median": text((part["test_rows"] / part["predict_s"]).median(), "{:,.0f}"),
            "PSS, median": text(part["peak_pss_mb"].median(), "{:,.0f} MB"),
            "PSS, most": text(part["peak_pss_mb"].max(), "{:,.0f} MB"),
            "RSS, median": text(part["peak_rss_mb"].median(), "{:,.0f} MB"),
        }
    return pd.DataFrame(rows).T


def in_time(cells: pd.DataFrame) -> pd.Series:
    """Whether fit kept to 1.02 x budget + 1 s; one that did not end has not."""
    return cells["fit_s"] <= 1.02 * cells["budget"] + 1


def failures(cells: pd.DataFrame) -> list[str]:
    """Every cell without predictions, and why."""
    bad = cells[cells["outcome"] != "ok"]
    said = [
        f"- {r.system}, {r.dataset}, seed {r.seed}, {r.budget:g} s: {r.outcome}. `{r.error}`" for r in bad.itertuples()
    ]
    return ["Without predictions:", "", *said, ""] if said else []


def points(cells: pd.DataFrame, across: str, up: str) -> list[tuple[float, float]]:
    """(x, mean of y) for a line; cells without a value have no point."""
    return list(cells.dropna(subset=[up]).groupby(across)[up].mean().items())


def provenance(frame: pd.DataFrame) -> list[str]:
    """The machine, the dates, the versions, and whether it was alone."""
    machines = frame[["cpu", "machine_cores", "machine_gb"]].drop_duplicates()
    where = "; ".join(f"{m.cpu}, {m.machine_cores} cores, {m.machine_gb} GB" for m in machines.itertuples())
    when = " to ".join(sorted({frame["date"].min(), frame["date"].max()}))
    who = frame.dropna(subset="versions").groupby("versions")["system"].unique().sort_index()
    busy = int((frame["others_cpu"] > BUSY).sum())
    said = [f"Machine: {where}. Measured: {when}, {len(frame)} fits, one at a time."]
    said += [f"Other processes took more than {BUSY:.0%} of the CPU time in {busy} of them."] if busy else []
    return [*said, "", *(f"- {', '.join(sorted(systems))}: {what}" for what, systems in who.items()), ""]


def markdown(table: pd.DataFrame, corner: str) -> list[str]:
    """A table with its index as the first column; ours is bold."""
    rows = [
        [f"**{name}**" if name == OURS else name, *map(str, row)]
        for name, row in zip(table.index, table.values, strict=True)
    ]
    cells = [[corner, *map(str, table.columns)], ["---"] * (table.shape[1] + 1), *rows]
    return ["| " + " | ".join(str(cell).replace("|", r"\|") for cell in row) + " |" for row in cells]


def loss_table(losses: pd.DataFrame) -> pd.DataFrame:
    """The mean over the seeds, by dataset and system; the best is bold, a dash says that a seed has no predictions."""
    mean = losses.groupby("dataset").agg(lambda column: column.mean(skipna=False))
    best = mean.eq(mean.min(axis=1), axis=0)
    shown = mean.map(lambda loss: text(loss, "{:.4g}") or "-")
    return shown.mask(best, "**" + shown + "**")


def text(number: float, form: str = "{:.1%}") -> str:
    """A number in this form, or nothing where there is none."""
    return "" if pd.isna(number) else form.format(number)


def pages(results: Path) -> dict[str, str]:
    """Every file of the page, by its path from the page's folder, from the result files that are there."""
    files: dict[str, str] = {}

    def draw(section: str, name: str, svg: str) -> str:
        file = f"{CHARTS}/{section}-{name.replace(',', '').replace(' ', '-')}.svg"
        files[file] = svg
        return f"![{name}]({file})"

    page = [HEAD]
    for name, (title, section, options) in SECTIONS.items():
        file = results / f"{name}.csv"
        page += [f"## {title}", "", "```text", f"python benchmarks/{name}.py {options}", "```", ""]
        if file.exists():
            frame = pd.read_csv(file, dtype={"error": str}).fillna({"error": ""})
            page += [*provenance(frame), *section(frame, partial(draw, name))]
        else:
            page += [f"Not run yet: there is no `benchmarks/results/{file.name}`.", ""]
    return {"benchmarks.md": "\n".join(page).rstrip() + "\n", **files}


def main() -> int:
    """Write the files, or with --check compare them; 1 where one differs."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true")
    options.add_argument("--results", type=Path, default=RESULTS, help="the folder of the result files")
    options.add_argument("--out", type=Path, default=DOCS, help="the folder of the page")
    args = options.parse_args()
    made = {args.out / name: text for name, text in pages(args.results).items()}
    stale = [file for file, text in made.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    extra = [file for file in (args.out / CHARTS).glob("*.svg") if file not in made]
    if not args.check:
        for file in stale:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(made[file], encoding="utf-8")
        for file in extra:
            file.unlink()
    if stale or extra:
        print(f"{'out of date' if args.check else 'written'}: {', '.join(sorted(file.name for file in stale + extra))}")
    return int(args.check and bool(stale or extra))


if __name__ == "__main__":
    sys.exit(main())
