"""A race on a clock of its own: an executor that answers from a function, so that an hour takes no time."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from automl.compose import compose
from automl.data.problem import Problem
from automl.data.schema import Schema
from automl.data.split import Fold, Split
from automl.family import FamilySpec
from automl.search.budget import Budget
from automl.search.race import Race
from automl.search.study import SAMPLERS
from automl.space import parse
from automl.task import Task


def lacks(package):
    return importlib.util.find_spec(package) is None


SEARCH = replace(compose().search, sampler="random", rungs=[], patience=0)
X = {"x": {"float": [0.0, 1.0]}}
SAMPLERS_HERE = [
    pytest.param(name, marks=pytest.mark.skipif(any(map(lacks, sampler.needs)), reason=f"needs {sampler.needs}"))
    for name, sampler in sorted(SAMPLERS.items())
]


def problem_of(folder, folds, rows=30):
    """A regression of so many rows in which a fold's RMSE is whatever its predictions are off by."""
    table = pl.DataFrame({"a": np.linspace(0, 1, rows)})
    schema = Schema.infer(table, roles={}, drop=[], missing=[])
    parts = np.array_split(np.arange(rows), folds + 1)[:folds]
    split = Split("kfold", tuple(Fold(np.setdiff1d(np.arange(rows), part), part) for part in parts), "")
    typed, _ = schema.apply(table)
    y = np.linspace(0, 9, rows)
    return Problem.write(folder, typed, y, None, split, Task("regression", "y", "rmse"), schema, (None, (), True))


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class FakeExecutor:
    """Keeps the contract of an executor on a clock of its own.

    `answer(job)` gives the seconds that the job takes, and its loss, the status that it ends with, or what an outcome
    is to say.
    """

    def __init__(self, problem, clock, answer, slots=1, kills=True):
        self.problem, self.clock, self.answer, self.slots, self.kills = problem, clock, answer, slots, kills
        self.jobs, self.running, self.most = [], [], 0
        self.begun = {}

    def submit(self, job):
        assert len(self.running) < self.slots, "a job was submitted though no slot is free"
        json.dumps(job)
        self.jobs.append(job)
        self.begun[job["id"]] = self.clock.now
        seconds, told = self.answer(job)
        outcome = {"id": job["id"], "status": "ok", "reason": ""}
        if self.kills and seconds > job["limit"]:
            seconds = job["limit"] + 0.01
            outcome |= {"status": "timeout", "reason": f"killed after its limit of {job['limit']:.1f} s"}
        elif isinstance(told, str):
            outcome |= {"status": told, "reason": f"it {told}"}
        else:
            said = told if isinstance(told, dict) else {"score": told}
            outcome |= {"fit_seconds": seconds, "view_seconds": 0.0, "row_seconds": 0.001, "size": 10, **said}
            folder = self.problem.trial_folder(job["trial"], job["fold"])
            folder.mkdir(parents=True, exist_ok=True)
            off = outcome["score"]
            np.save(folder / "predictions.npy", self.problem.y[self.problem.fold(job["fold"]).valid] + off)
        self.running.append((self.clock.now + seconds, outcome))
        self.most = max(self.most, len(self.running))

    def wait(self, seconds):
        until = min([self.clock.now + seconds, *(end for end, _ in self.running)])
        self.clock.now = max(self.clock.now, until)
        ended = [outcome for end, outcome in self.running if end <= self.clock.now]
        self.running = [(end, outcome) for end, outcome in self.running if end > self.clock.now]
        return ended

    def close(self):
        self.running = []


def spec(space=None, portfolio=(), priority=50):
    return FamilySpec({}, parse(space or {}), tuple(portfolio), priority)


def race(problem, answer, specs=None, *, seconds=100.0, trials=None, slots=1, seed=0, kills=True, **said):
    """Run a race; the race, its executor and the clock."""
    clock = Clock()
    executor = FakeExecutor(problem, clock, answer, slots, kills)
    specs = {"prior": spec(), **(specs or {"model": spec(X)})}
    ended = []
    extra = {key: said.pop(key) for key in ("keep", "earlier", "bounds", "models") if key in said}
    made = Race(
        problem,
        specs,
        replace(SEARCH, **{key: said.pop(key) for key in list(said) if hasattr(SEARCH, key)}),
        baseline=said.pop("baseline", "prior"),
        seed=seed,
        executor=executor,
        threads=1,
        budget=Budget(seconds, trials, clock),
        report=lambda trial: ended.append(trial) if trial.status != "running" else None,
        **extra,
    )
    assert not said
    assert made.run() is made.trials
    assert ended == sorted(ended, key=ended.index)
    earlier = {t.number for t in extra.get("earlier", ()) if t.status != "ok" or len(t.folds) == problem.folds}
    assert {t.number for t in ended} == {t.number for t in made.trials} - earlier
    assert "running" not in {t.status for t in made.trials}
    return made, executor, clock


def losses(table, seconds=1.0):
    """Answers by family: a loss or a status, each after `seconds`."""
    return lambda job: (seconds, table[job["family"]])
