"""What of a run is told to MLflow, and how: by its client alone, so that nobody's active run is touched.

A thread does the telling, in order: neither the import of MLflow nor a slow server takes from the run's budget.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl.run import Run, Trial

_FILE = "mlflow.json"  # in the run folder: which MLflow run it is, also for the run that resumes it
_EXPERIMENT = "automl"
_FILES = ("config.yaml", "schema.yaml", "leaderboard.csv", "log.jsonl")
# MLflow's own patience is minutes, and the end of a run would wait with it. What a user has set stays.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
_LONGEST = 6000  # characters of a parameter's value, by MLflow

_line = ThreadPoolExecutor(1, "automl-mlflow")
_begun: dict[tuple[Path, int], int] = {}  # run folder and number of a trial -> when it began, in milliseconds
_sent: dict[Path, list[Future[None]]] = {}  # run folder -> what it has sent and not looked after


def start(run: Run) -> None:
    """Open an MLflow run in the experiment MLFLOW_EXPERIMENT_NAME: the config is its parameters, versions are tags."""
    config = asdict(run.config)
    del config["family"]  # what the plugins' own configs say: in config.yaml, which is kept with the run
    said = {"task.kind": run.task.kind, "task.metric": run.task.metric, "rows": run.rows, **_flat(config)}
    _send(run, _open, run, said)


def begin(run: Run, trial: Trial) -> None:
    """Note when a trial begins; nothing is sent."""
    _begun[run.folder, trial.number] = int(1000 * time.time())


def add(run: Run, trial: Trial) -> None:
    """Log a trial as a finished run inside the automl run's, and the best score so far as a point of that one's curve.

    Raises
    ------
    RuntimeError : MLflow did not answer, or refused, before; the run is tracked no further.
    """
    best, now = None if run.best is None else run.best.score, int(1000 * time.time())
    _send(run, _add, run, replace(trial), best, _begun.pop((run.folder, trial.number), now), now)


def finish(run: Run) -> None:
    """Log the ensemble's score, the run's files and its predictor, close the MLflow run, and wait until all is there.

    Raises
    ------
    RuntimeError : MLflow did not answer, or refused.
    """
    _send(run, _close, run)
    for sent in _sent.pop(run.folder):
        sent.result()


def fail(run: Run, error: BaseException) -> None:
    """Log why there is no predictor, and close the MLflow run as failed.

    Raises
    ------
    RuntimeError : MLflow did not answer, or refused.
    """
    _send(run, _give_up, run, f"{type(error).__name__}: {error}")
    for sent in _sent.pop(run.folder):
        sent.result()


def _send(run: Run, function: Callable[..., None], *facts: Any) -> None:
    """Have the thread call a function, after what it was sent before; and raise what has gone wrong until now."""
    sent = _sent.get(run.folder, [])
    waiting, over = [one for one in sent if not one.done()], [one for one in sent if one.done()]
    _sent[run.folder] = [*waiting, _line.submit(_told, run, function, *facts)]
    for one in over:
        one.result()


def _told(run: Run, function: Callable[..., None], *facts: Any) -> None:
    if function is _open or (run.folder / _FILE).exists():
        with _client(run) as client:
            function(client, *facts)


def _open(client: Any, run: Run, said: Mapping[str, Any]) -> None:
    if (run.folder / _FILE).exists():  # resumed
        client.update_run(_place(run)["run_id"], status="RUNNING")
        return
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
    experiment = client.get_experiment_by_name(name)
    number = client.create_experiment(name) if experiment is None else experiment.experiment_id
    made = client.create_run(number, int(1000 * run.began), _versions(run), run.folder.name).info.run_id
    (run.folder / _FILE).write_text(json.dumps({"experiment_id": number, "run_id": made}), encoding="utf-8")
    client.log_batch(made, params=_params(said))


def _add(client: Any, run: Run, trial: Trial, best: float | None, began: int, now: int) -> None:
    place, metric = _place(run), run.task.metric
    tags = {"mlflow.parentRunId": place["run_id"], "status": trial.status, "reason": trial.reason}
    child = client.create_run(place["experiment_id"], began, tags, trial.name).info.run_id
    params = {"family": trial.family, "origin": trial.origin, "rows": trial.rows or run.rows, **trial.params}
    values = {metric: trial.score, f"{metric}.low": trial.low, f"{metric}.high": trial.high, **trial.costs}
    client.log_batch(child, _metrics(values, now), _params(params))
    client.set_terminated(child, "FINISHED" if trial.status in ("ok", "pruned") else "FAILED", now)
    client.log_batch(place["run_id"], _metrics({f"{metric}.best": best}, now, trial.number))


def _close(client: Any, run: Run) -> None:
    number, now, metric = _place(run)["run_id"], int(1000 * time.time()), run.task.metric
    values = {metric: run.score, f"{metric}.low": run.low, f"{metric}.high": run.high}
    client.log_batch(number, _metrics({**values, "seconds": run.seconds, "trials": len(run.trials)}, now))
    told = [f"- {name}: {fact}" for name, fact in run.facts.items()] + [f"- {note}" for note in run.notes]
    client.set_tag(number, "mlflow.note.content", "\n".join(told))
    client.set_tag(number, "automl.ended", run.why or run.status)
    for name in _FILES:
        client.log_artifact(number, str(run.folder / name))
    client.log_artifacts(number, str(run.folder / "model"), "model")
    client.set_terminated(number, "FINISHED" if run.status == "finished" else "KILLED", now)


def _give_up(client: Any, run: Run, why: str) -> None:
    number = _place(run)["run_id"]
    client.set_tag(number, "automl.ended", why)
    client.set_terminated(number, "FAILED", int(1000 * time.time()))


@contextmanager
def _client(run: Run) -> Iterator[Any]:
    """MLflow's client, with little patience; after the first trouble the run is tracked no further."""
    where = os.environ["MLFLOW_TRACKING_URI"]
    lent = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
    os.environ.update(lent)
    try:
        yield _connect(where)
    except Exception as error:
        (run.folder / _FILE).unlink(missing_ok=True)
        told = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise RuntimeError(f"MLFLOW_TRACKING_URI={where}: {told[0]}; this run is tracked no further") from error
    finally:
        for name in lent:
            del os.environ[name]


@cache
def _connect(where: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow's import sends to its makers otherwise
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from mlflow import MlflowClient

    return MlflowClient(where)


def _place(run: Run) -> dict[str, str]:
    found: dict[str, str] = json.loads((run.folder / _FILE).read_text(encoding="utf-8"))
    return found


def _versions(run: Run) -> dict[str, str]:
    """The versions that the run has written down at its start, as tags."""
    with Path(run.folder / "log.jsonl").open(encoding="utf-8") as log:
        versions = json.loads(log.readline())["versions"]
    return {f"version.{name}": said for name, said in versions.items()}


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys as they are said on the command line: `split.kind`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return flat


def _params(values: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(_key(name), str(value)[:_LONGEST]) for name, value in values.items()]


def _metrics(values: Mapping[str, float | None], now: int, step: int = 0) -> list[Any]:
    from mlflow.entities import Metric

    known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    return [Metric(_key(name), float(value), now, step) for name, value in known.items()]


def _key(name: str) -> str:
    """A name of those characters that MLflow takes: `pinball@0.9` is `pinball-0.9`."""
    return re.sub(r"[^\w.\- /]", "-", name)[:250]
