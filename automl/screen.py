"""What a run says on screen: what was inferred, a live line, the leaderboard, and what to do next."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from automl.config import Config
from automl.run import Run, Trial
from automl.space import is_free

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automl.plan import Plan

_TOP = 10


class Screen:
    """Listens to a run and tells a person: live on a terminal, in plain lines elsewhere, or not at all.

    Parameters
    ----------
    config : its `run.progress` is auto, live, lines or quiet.
    console : where to; by default the standard output.
    """

    def __init__(self, config: Config, console: Console | None = None) -> None:
        self.console = console or wide_console()
        said = config.run.progress
        self.mode = ("live" if self.console.is_terminal else "lines") if said == "auto" else said
        self._seconds = config.seconds
        self._live: Live | None = None
        self._run: Run | None = None
        self._said = 0  # how many of the run's notes
        self._told: set[str] = set()  # which of its facts

    def automl_run_started(self, run: Run) -> None:
        """Say what was inferred and why."""
        self._run = run
        if self.mode == "quiet":
            return
        show_facts(self.console, run.facts, run.notes)
        self._said, self._told = len(run.notes), set(run.facts)
        self.console.print(Text.assemble(("run      ", "dim"), str(run.folder)))
        self.console.print()
        if self.mode == "live":
            self._live = Live(get_renderable=self._line, console=self.console, refresh_per_second=4, transient=True)
            self._live.start()

    def automl_trial_finished(self, run: Run, trial: Trial) -> None:
        """One line a trial where there is no live line; on a terminal only failures leave a line."""
        if self.mode == "quiet":
            return
        bad = trial.status not in ("ok", "pruned", "unfinished")
        if self.mode == "lines" or bad:
            score = "" if trial.score is None else f" {run.task.metric} {trial.score:.5g}"
            reason = f" ({trial.reason})" if trial.reason else ""
            line = f"[{time.time() - run.began:6.1f}s] {trial.name:<18} {trial.status}{score}{reason}"
            self.console.print(Text(line, style="red" if bad else ""))

    def automl_run_finished(self, run: Run) -> None:
        """Show the leaderboard, the ensemble's score, and the next commands."""
        self.close()
        if self.mode == "quiet":
            return
        found = {name: fact for name, fact in run.facts.items() if name not in self._told}
        show_facts(self.console, found, run.notes[self._said :])
        self.console.print(leaderboard_table(run, top=_TOP))
        self.console.print()
        show_end(self.console, run)

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self) -> Text:
        run = self._run
        assert run is not None
        left = max(0.0, self._seconds - (time.time() - run.began))
        done = [t for t in run.trials if t.status != "running"]
        now = next((t.name for t in reversed(run.trials) if t.status == "running"), "")
        best = run.best
        text = Text.assemble((f"{left:4.0f} s left", "bold"), f"  {len(done)} trials")
        if best is not None:
            text.append(f"  best {run.task.metric} ")
            text.append(f"{best.score:.5g}", style="bold green")
            text.append(f" ({best.name})")
        return text.append(f"  now {now}", style="dim") if now else text


def wide_console() -> Console:
    """A console that folds at the width of the terminal, and hardly where there is none."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    return console


def show_facts(console: Console, facts: Mapping[str, str], notes: list[str]) -> None:
    """What was inferred, line by line, and what a person should know."""
    for name, fact in facts.items():
        console.print(Text.assemble((f"{name:<8} ", "dim"), fact))
    for note in notes:
        console.print(Text.assemble(("note     ", "yellow"), note))


def show_plan(console: Console, planned: Plan) -> None:
    """What was inferred, what would run, and what it would cost at most."""
    show_facts(console, planned.facts, planned.notes)
    config, folds = planned.config, len(planned.split.folds)
    console.print(f"\n{'family':<16} {'portfolio':>9} {'searched parameters'}", style="dim")
    for name, spec in planned.families.items():
        first = " (baseline)" if name == planned.baseline else ""
        searched = ", ".join(key for key, dimension in spec.space.items() if is_free({key: dimension})) or "none"
        console.print(f"{name:<16} {len(spec.candidates):>9} {searched}{first}", markup=False)
    trials = "as many trials as fit" if config.budget.trials is None else f"at most {config.budget.trials} trials"
    memory = "no memory limit" if config.memory is None else f"{config.memory / 1e6:,.0f} MB a worker"
    console.print(
        f"\ncost     at most {config.seconds:g} s, {trials}, {folds} fit{'s' * (folds > 1)} each, "
        f"{planned.slots} x {planned.threads} cores, {memory}",
        markup=False,
    )


def leaderboard_table(run: Run, top: int | None = None, *, pareto: bool = False) -> Table:
    """The leaderboard: the `top` best trials, the best of each further family, and every trial that failed."""
    board = run.leaderboard(pareto=pareto)
    arrow = "↑" if run.maximize else "↓"
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("trial", no_wrap=True)
    table.add_column(f"{run.task.metric} {arrow}", justify="right", no_wrap=True)
    for name in ("95% interval", "vs baseline", "fit s", "row ms", "MB", "weight"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", overflow="fold")
    scored = board[board["status"] == "ok"]
    failed = board[~board["status"].isin(["ok", "pruned", "unfinished"])]
    kept = scored.head(top) if top else scored
    firsts = scored.drop_duplicates("family")
    shown = scored[scored.index.isin(kept.index) | scored.index.isin(firsts.index) | (scored["weight"] > 0)]
    others = board[board["status"].isin(["pruned", "unfinished"])]
    for row in [*shown.itertuples(), *failed.itertuples(), *(others.itertuples() if top is None else ())]:
        table.add_row(*_cells(row), style="red" if row.Index in failed.index else None)
    hidden = len(board) - len(shown) - len(failed) - (0 if top else len(others))
    if top and hidden:
        counts = board.loc[~board.index.isin(shown.index) & ~board.index.isin(failed.index), "status"].value_counts()
        table.caption = f"and {hidden} more: " + ", ".join(f"{n} {status}" for status, n in counts.items())
        table.caption_justify = "left"
    return table


def show_end(console: Console, run: Run) -> None:
    """The ensemble's score with its uncertainty, where the run is, and what a person would want next."""
    members = sum(trial.weight > 0 for trial in run.trials)
    arrow = "↑" if run.maximize else "↓"
    if run.score is not None:
        console.print(
            Text.assemble(
                f"ensemble of {members}: {run.task.metric} {arrow} ",
                (f"{run.score:.5g}", "bold green"),
                f"  95% interval {_span(run.low, run.high)}, on out-of-fold predictions",
            )
        )
    console.print(
        f"{len(run.trials)} trials in {run.seconds:.1f} s; {run.why}. Run folder: {run.folder}",
        markup=False,
        soft_wrap=True,
    )
    folder = shlex.quote(str(run.folder))
    again = {f"automl fit --resume {folder}": "go on where it stopped"} if run.status == "interrupted" else {}
    commands = {
        **again,
        f"automl predict {folder} {shlex.quote(_data(run))} -o predictions.parquet": "predict",
        f"automl evaluate {folder} TEST.csv": "score on rows it has not seen",
        f"automl leaderboard {folder}": "every trial",
    }
    if run.config.data.path is not None:
        commands[f"automl fit --config {folder}/config.yaml run.dir=AGAIN"] = "repeat this run"
    console.print("\nnext:", style="dim")
    for command, why in commands.items():  # a line that is not folded can be copied
        console.print(Text.assemble(f"  {command}", (f"   # {why}", "dim")), soft_wrap=True)


def _data(run: Run) -> str:
    """Data to predict, for a command: that of the run, or the first part of it."""
    path = run.config.data.path
    return str(path[0] if isinstance(path, list) else path or "NEW.csv")


def _cells(row: Any) -> list[str]:
    return [
        row.trial,
        _number(row.score, ".5g"),
        _span(row.low, row.high),
        _number(row.gain, "+.4g"),
        _number(row.fit_seconds, ".2f"),
        _number(row.latency_ms, ".2f"),
        _number(row.size_mb, ".2f"),
        _number(row.weight, ".2f") if row.weight else "",
        row.status + (f": {row.reason}" if row.reason else ""),
    ]


def _number(value: Any, spec: str) -> str:
    return "" if value is None or value != value else format(float(value), spec)


def _span(low: Any, high: Any) -> str:
    return "" if low is None or low != low else f"{low:.5g} .. {high:.5g}"
