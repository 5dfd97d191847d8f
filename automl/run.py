"""The run: one search as a folder on disk, with its config, its trials, its log and its leaderboard."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.artifact import written_whole
from automl.bounds import broken, unbeaten
from automl.compose import typed
from automl.config import Config
from automl.data.schema import Schema
from automl.errors import ConfigError, StorageError, nearest
from automl.task import Task

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    *("trial", "family", "score", "low", "high", "gain", "fit_seconds", "latency_ms", "size_mb"),
    *("status", "reason", "weight", "origin", "params"),
)
_FRONT = ("loss", "latency_ms", "size_mb")  # what `pareto` compares where a run has a single objective
DONE = ("ok", "pruned", "failed", "timeout", "oom", "crashed", "unfinished")


@dataclass
class Trial:
    """One candidate evaluated on the split.

    Attributes
    ----------
    number, family, params : which candidate; `origin` is baseline, portfolio, search or promotion.
    rows : on how many of the training rows of each fold; None for all.
    status : running, then ok, pruned, failed, timeout, oom, crashed or unfinished, with the `reason`. One that is ok
        and has a reason breaks a bound on its costs.
    score, low, high : the metric on the validation rows of all folds, and its 95% interval.
    folds : the score of each fold that was run.
    fit_seconds : of the folds that were run; `row_seconds`: one row through the model of one of them; `size`: bytes of
        their models.
    models : how many models answer for it in a predictor: one a fold, one where it is to be refitted, or all of these.
    weight : its share in the ensemble.
    """

    number: int
    family: str
    params: Mapping[str, Any]
    origin: str
    status: str = "running"
    reason: str = ""
    score: float | None = None
    low: float | None = None
    high: float | None = None
    folds: list[float] = field(default_factory=list)
    fit_seconds: float = 0.0
    row_seconds: float | None = None
    size: int = 0
    weight: float = 0.0
    rows: int | None = None
    models: int = 1

    @property
    def costs(self) -> dict[str, float]:
        """`latency_ms` and `size_mb`, of the models that answer for it, and `fit_seconds`; infinite if not measured."""
        latency = math.inf if self.row_seconds is None else 1000 * self.row_seconds * self.models
        size = self.size * self.models / len(self.folds) / 1e6 if self.folds else math.inf
        return {"latency_ms": latency, "size_mb": size, "fit_seconds": self.fit_seconds}

    @property
    def name(self) -> str:
        """Family and number: `lightgbm-3`."""
        return f"{self.family}-{self.number}"


@dataclass
class Run:
    """A run and its folder.

    `score`, `low` and `high` are the ensemble's, on out-of-fold predictions; `status` is running, finished or
    interrupted; `why` says why it ended; `facts` are what was inferred, for a person.
    """

    folder: Path
    config: Config
    task: Task
    schema: Schema
    rows: int
    facts: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    maximize: bool = True
    status: str = "running"
    why: str = ""
    score: float | None = None
    low: float | None = None
    high: float | None = None
    seconds: float = 0.0
    tell: Callable[..., None] = field(default=lambda event, **facts: None, repr=False, compare=False)
    began: float = field(default_factory=time.time)

    def create(self) -> None:
        """Make the folder and write what is known at the start.

        Raises
        ------
        StorageError : the folder exists already, or cannot be written.
        """
        try:
            self.folder.mkdir(parents=True)
        except FileExistsError:
            raise StorageError(
                f"run folder {self.folder} exists already: choose another run.dir=, or remove it if it is not needed"
            ) from None
        except OSError as error:
            raise StorageError(
                f"cannot make the run folder {self.folder}: {error.strerror}; choose another run.dir="
            ) from error
        _write(self.folder / "config.yaml", _yaml(plain(self.config)))
        _write(self.folder / "schema.yaml", _yaml(self.schema.to_dict()))
        with _transaction(self.folder / "trials.sqlite") as store:
            store.execute("create table run (key text primary key, value text)")
            store.execute(
                "create table trials (number integer primary key, family text, status text, score real, record text)"
            )
        self._save_facts()
        self.log(
            "run_started",
            rows=self.rows,
            facts=self.facts,
            notes=self.notes,
            versions=versions(),
            seed=self.config.seed,
        )

    def take_up(self, earlier: Run) -> None:
        """Go on with a run that was cut off: its clock, and what it had written.

        Raises
        ------
        StorageError : it has come to its end.
        ConfigError : it was another run: its config differs in more than the budget and `run`.
        """
        if earlier.status == "finished":
            raise StorageError(f"run {self.folder} has finished: there is nothing to resume; choose another run.dir=")
        mine, its = plain(self.config), plain(earlier.config)
        for one, other in ((mine, its), (its, mine)):  # a plugin may have been installed or removed since
            one["family"] = {name: said for name, said in one["family"].items() if name in other["family"]}
        if others := [key for key in mine if key not in ("budget", "run") and mine[key] != its[key]]:
            raise ConfigError(
                f"run.resume: {others[0]} is {mine[others[0]]!r} and was {its[others[0]]!r} in {self.folder}; "
                f"leave it as it was, or choose another run.dir="
            )
        self.began = time.time() - earlier.spent
        self.log("run_resumed", trials=len(earlier.trials), spent=earlier.spent)

    @property
    def spent(self) -> float:
        """Seconds that an unfinished run had worked, by its log; pauses between its parts do not count."""
        total = last = 0.0
        for line in (self.folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
            try:
                event = json.loads(line)
            except ValueError:  # the line at which it was cut off
                continue
            total += 0.0 if event["event"] in ("run_started", "run_resumed") else event["time"] - last
            last = event["time"]
        return total

    def record(self, trial: Trial) -> None:
        """Keep a trial as it is now; from here on it is on disk."""
        row = json.dumps(dataclasses.asdict(trial), default=str)
        with _transaction(self.folder / "trials.sqlite") as store:
            store.execute(
                "insert or replace into trials values (?, ?, ?, ?, ?)",
                (trial.number, trial.family, trial.status, trial.score, row),
            )

    def finish(self) -> None:
        """Write the end: the ensemble's score and the leaderboard."""
        self._save_facts()
        for trial in self.trials:
            self.record(trial)
        board = self.leaderboard()
        with written_whole(self.folder / "leaderboard.csv") as draft:
            board.to_csv(draft, index=False)
        self.log(
            "run_finished",
            status=self.status,
            why=self.why,
            score=self.score,
            low=self.low,
            high=self.high,
            seconds=self.seconds,
        )

    def log(self, event: str, **facts: Any) -> None:
        """Append one event to log.jsonl."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **facts}, default=str, ensure_ascii=False)
        try:
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            raise StorageError(f"cannot write {self.folder}/log.jsonl: {error.strerror}; make room") from error

    @property
    def baseline(self) -> Trial | None:
        """The trial of the baseline family, if it ended well."""
        return next((t for t in self.trials if t.origin == "baseline" and t.status == "ok"), None)

    @property
    def best(self) -> Trial | None:
        """The best single trial so far."""
        done = [t for t in self.trials if t.status == "ok" and t.score is not None]
        return max(done, key=lambda t: (1 if self.maximize else -1) * (t.score or 0.0), default=None)

    @property
    def objectives(self) -> tuple[str, ...]:
        """What trials are compared by: the search's objectives or, where it has one, loss, latency_ms and size_mb."""
        said = tuple(self.config.search.objectives)
        return said if len(said) > 1 else _FRONT

    @property
    def front(self) -> list[Trial]:
        """The trials that no other beats on all of the run's objectives (Pareto's front).

        Those count that ended well on all rows and keep the run's bounds.
        """
        bounds = self.config.bounds
        able = [t for t in self.trials if t.status == "ok" and t.rows is None and not broken(t.costs, bounds)]
        if not able:
            return []
        sign = -1 if self.maximize else 1
        values = [{"loss": sign * (t.score or 0.0), **t.costs} for t in able]
        best = unbeaten(np.array([[of[name] for name in self.objectives] for of in values]))
        return [trial for trial, stands in zip(able, best, strict=True) if stands]

    def leaderboard(self, *, pareto: bool = False) -> pd.DataFrame:
        """All trials, best first, those without a score last; one row each. With `pareto`, those of the `front` only.

        Columns: trial, family, score, low, high (95%), gain (over the baseline; above 0 is better), fit_seconds,
        latency_ms (one row through the models that answer for the trial), size_mb (of these models), status, reason,
        weight (in the ensemble), origin, params (JSON).
        """
        import pandas as pd

        base = self.baseline
        sign = 1 if self.maximize else -1
        rows = [
            {
                "trial": trial.name,
                "family": trial.family,
                "score": trial.score,
                "low": trial.low,
                "high": trial.high,
                "gain": None
                if base is None or base.score is None or trial.score is None
                else sign * (trial.score - base.score) + 0.0,  # no "-0"
                "fit_seconds": round(trial.fit_seconds, 3),
                "latency_ms": _rounded(trial.costs["latency_ms"]),
                "size_mb": _rounded(trial.costs["size_mb"]),
                "status": trial.status,
                "reason": trial.reason,
                "weight": round(trial.weight, 4),
                "origin": trial.origin,
                "params": json.dumps(trial.params, default=str),
            }
            for trial in (self.front if pareto else self.trials)
        ]
        board = pd.DataFrame(rows, columns=list(_COLUMNS))
        order = {status: i for i, status in enumerate(DONE)}
        board["_status"] = board["status"].map(order)
        board["_score"] = -sign * board["score"].astype(float)
        return (
            board.sort_values(["_status", "_score"], kind="stable")
            .drop(columns=["_status", "_score"])
            .reset_index(drop=True)
        )

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """A run that is on disk.

        Raises
        ------
        StorageError : the folder is no run, or is damaged.
        """
        folder = Path(folder)
        if not (folder / "trials.sqlite").exists():
            beside = [str(p) for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
            raise StorageError(f"{folder} is no run folder: it has no trials.sqlite{nearest(str(folder), beside)}")
        from omegaconf import OmegaConf
        from yaml import YAMLError

        try:
            with closing(sqlite3.connect(folder / "trials.sqlite")) as store:
                facts = {key: json.loads(value) for key, value in store.execute("select key, value from run")}
                rows = store.execute("select record from trials order by number").fetchall()
            trials = [Trial(**json.loads(row)) for (row,) in rows]
            task, schema = Task.from_dict(facts.pop("task")), Schema.from_dict(facts.pop("schema"))
            config = typed(OmegaConf.load(folder / "config.yaml"))
            return cls(folder=folder, config=config, task=task, schema=schema, trials=trials, **facts)
        except (sqlite3.DatabaseError, OSError, YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(f"run folder {folder} is damaged: {type(error).__name__}: {error}") from error

    def _save_facts(self) -> None:
        kept = ("rows", "facts", "notes", "maximize", "status", "why", "score", "low", "high", "seconds", "began")
        facts = {name: getattr(self, name) for name in kept}
        facts |= {"task": self.task.to_dict(), "schema": self.schema.to_dict()}
        with _transaction(self.folder / "trials.sqlite") as store:
            store.executemany(
                "insert or replace into run values (?, ?)",
                [(key, json.dumps(value, default=str)) for key, value in facts.items()],
            )


@contextmanager
def _transaction(file: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(file)) as connection, connection:
            yield connection
    except sqlite3.OperationalError as error:
        raise StorageError(f"cannot write {file}: {error}; make room, or choose another run.dir=") from error


def _rounded(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def plain(config: Config) -> dict[str, Any]:
    """A config as plain data, as it is written to config.yaml."""
    return dataclasses.asdict(config)


def versions() -> dict[str, str]:
    """Versions of Python, automl and those of automl's requirements (extras included) that are installed."""
    wanted = [re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in metadata.requires("automl") or ()]
    found = {"python": platform.python_version(), "automl": metadata.version("automl")}
    for name in sorted(set(wanted) - {"automl"}):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _yaml(data: Any) -> str:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml is quicker, and not everywhere
    return str(yaml.dump(data, Dumper=dumper, sort_keys=False, allow_unicode=True))


def _write(file: Path, text: str) -> None:
    with written_whole(file) as draft:
        draft.write_text(text, encoding="utf-8")
