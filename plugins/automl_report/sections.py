"""The sections: paragraphs and tables on a run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

from automl import Run

_TOP = 25  # trials that are shown; all of them are in leaderboard.csv


def task(run: Run) -> Iterator[Any]:
    """What was inferred, with the notes."""
    import pandas as pd

    yield pd.DataFrame({"": run.facts.keys(), "what was decided, and why": run.facts.values()})
    yield from run.notes


def answer(run: Run) -> Iterator[Any]:
    """The score with its interval, the baseline, and the members."""
    import pandas as pd

    if run.score is None:
        yield "The run has no predictor."
        return
    arrow = "higher is better" if run.maximize else "lower is better"
    interval = "" if run.low is None or run.high is None else f", 95% interval {run.low:.5g} to {run.high:.5g}"
    yield f"{run.task.metric} {run.score:.5g} ({arrow}){interval}, on predictions of rows that were not trained on."
    if run.baseline is not None and run.baseline.score is not None:
        yield f"The baseline, which knows no feature, has {run.baseline.score:.5g}."
    members = sorted((trial for trial in run.trials if trial.weight > 0), key=lambda trial: -trial.weight)
    yield pd.DataFrame(
        {
            "member": [trial.name for trial in members],
            "weight": [round(trial.weight, 3) for trial in members],
            run.task.metric: [trial.score for trial in members],
            "parameters": [json.dumps(trial.params, default=str) for trial in members],
        }
    )


def course(run: Run) -> Iterator[Any]:
    """How the ensemble got better with the seconds."""
    import pandas as pd

    steps = []
    for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "kept":
            steps.append({"seconds": round(event["seconds"], 1), "trials": event["trials"], "ensemble": event["score"]})
    yield f"{len(run.trials)} trials in {run.seconds:.1f} s. {run.why[:1].upper()}{run.why[1:]}."
    if steps:
        better = [s for i, s in enumerate(steps) if not i or s["ensemble"] != steps[i - 1]["ensemble"]]
        yield pd.DataFrame(better).rename(columns={"trials": "trials that ended well", "ensemble": run.task.metric})


def trials(run: Run) -> Iterator[Any]:
    """The leaderboard."""
    board = run.leaderboard()
    ended = board[board["status"] == "ok"]
    shown = ["trial", "score", "low", "high", "gain", "fit_seconds", "latency_ms", "size_mb", "weight", "params"]
    yield ended[shown].head(_TOP)
    if len(ended) > _TOP:
        yield f"And {len(ended) - _TOP} more, in leaderboard.csv."


def failures(run: Run) -> Iterator[Any]:
    """Trials that gave nothing, by reason."""
    import pandas as pd

    counts: dict[tuple[str, str, str], int] = {}
    for trial in run.trials:
        if trial.status not in ("ok", "pruned", "unfinished", "running"):
            found = (trial.family, trial.status, trial.reason)
            counts[found] = counts.get(found, 0) + 1
    if counts:
        rows = [(*found, n) for found, n in sorted(counts.items(), key=lambda item: -item[1])]
        yield pd.DataFrame(rows, columns=["family", "status", "reason", "trials"])


def repeat(run: Run) -> Iterator[Any]:
    """Commands, seed and versions."""
    import pandas as pd

    folder = shlex.quote(str(run.folder))
    yield f"automl predict {folder} DATA -o predictions.parquet"
    yield f"automl fit --config {folder}/config.yaml run.dir=AGAIN"
    for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[:1]:
        said = json.loads(line)
        yield pd.DataFrame({"": said["versions"].keys(), f"version (seed {said['seed']})": said["versions"].values()})
