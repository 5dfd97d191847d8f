"""The checks of an executor, on a small problem: what it runs is done, what hangs is ended, nothing is left."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from automl.artifact import TemporaryFolder
from automl.errors import ConfigError, nearest
from automl.execute import Executor, ExecutorKind
from automl.plugins import installed
from automl.testing.checks import Broken, Check, check_all, expect
from automl.testing.data import HELD, baseline, write_problem

_SLOTS = 2
_PATIENCE = 60.0  # seconds for workers to start and for a quick job to end
_LIMIT, _GRACE = 1.0, 5.0
_FINE, _RAISES, _HANGS = 0, 1, 2  # folds of the problem
_STATUS = ("ok", "failed", "timeout", "crashed", "oom")


def check_executor(kind: str | ExecutorKind) -> None:
    """Run every check on an executor, given itself or by the name of an installed one.

    Raises
    ------
    AssertionError : lists all checks that failed, what each saw and how to mend it.
    ConfigError : no executor of that name is installed.
    """
    __tracebackhide__ = True
    check_all(executor_checks(kind))


def executor_checks(kind: str | ExecutorKind) -> list[Check]:
    """The checks of an executor, for one parametrised test, see `automl.testing.family_checks`."""
    if isinstance(kind, str):
        known = installed().executors
        if kind not in known:
            raise ConfigError(f"unknown executor {kind!r}{nearest(kind, known)} Known: {', '.join(known)}")
        kind = known[kind]
    stage = _Stage(kind)
    of = f"executor {kind.name!r}"
    return [Check(look.__name__, of, kind.name, mend, partial(look, stage)) for look, mend in CHECKS]


class _Stage:
    """A problem on disk with a fold that is fine, one that raises, and one on which every job hangs."""

    def __init__(self, kind: ExecutorKind) -> None:
        self.kind = kind
        self._temporary = TemporaryFolder()
        self.work = self._temporary.path / "work"

    @contextmanager
    def started(self) -> Iterator[Executor]:
        """An executor at work, closed at the end."""
        if not self.work.exists():
            problem = write_problem(self.work, "multiclass")
            assert problem.folds > _HANGS
            (self.work / f"train-{_RAISES}.npy").write_bytes(b"no array")
            self.pipe.unlink()
            os.mkfifo(self.pipe)  # whoever opens it waits for somebody to write into it
        executor = self.kind.start(self.work, _SLOTS, 1, None)
        try:
            yield executor
        finally:
            executor.close()

    @property
    def pipe(self) -> Path:
        """What makes a job hang."""
        return self.work / f"train-{_HANGS}.npy"

    def release(self) -> None:
        """Let go whoever hangs at the pipe; the job then fails."""
        with suppress(OSError):  # nobody waits there
            os.close(os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK))


def slots(stage: _Stage) -> None:
    """It says how many jobs it runs at once, and takes as many; each comes back once."""
    with stage.started() as executor:
        count = executor.slots
        expect(isinstance(count, int) and 1 <= count <= _SLOTS, f"slots is {count!r}; asked were {_SLOTS}")
        jobs = [_job(i, _FINE) for i in range(count)]
        for job in jobs:
            executor.submit(job)
        found = sorted(outcome["id"] for outcome in _wait(executor, count))
        expect(found == [job["id"] for job in jobs], f"{count} jobs came back as {found}")
        expect(not executor.wait(0.1), "an outcome comes twice", "give each outcome once")


def outcomes(stage: _Stage) -> None:
    """An outcome is plain JSON, and what the job was to leave lies in the work folder."""
    with stage.started() as executor:
        outcome = _run(executor, _job(10, _FINE))
        try:
            json.dumps(outcome)
        except TypeError as error:
            raise Broken(f"an outcome is no JSON: {error}") from error
        expect(outcome.get("status") == "ok", f"a job that is fine ends as {outcome}")
        absent = {"id", "reason", "score", "fit_seconds", "size"} - outcome.keys()
        expect(not absent, f"an outcome lacks {', '.join(sorted(absent))}", "give what `evaluate` returned, whole")
        file = stage.work / "trials" / "00010" / str(_FINE) / "predictions.npy"
        expect(file.exists(), f"the job left no {file.relative_to(stage.work)} in the work folder")
        expect(len(np.load(file)) == HELD, "the predictions in the work folder are not those of the validation rows")


def raises(stage: _Stage) -> None:
    """A job that raises is an outcome with the reason, and the next job runs."""
    with stage.started() as executor:
        for job, said in ((_job(20, _RAISES), "ValueError"), (_job(21, _FINE, no_such=1), "no_such")):
            outcome = _run(executor, job)
            expect(outcome.get("status") == "failed", f"a job that raises ends as {outcome}")
            expect(said in outcome.get("reason", ""), f"the reason does not say what was raised: {outcome}")
        outcome = _run(executor, _job(22, _FINE))
        expect(outcome.get("status") == "ok", f"the job after one that raised ends as {outcome}")


def limit(stage: _Stage) -> None:
    """A job that hangs is ended at its limit, which is an outcome, and the next job runs."""
    with stage.started() as executor:
        _run(executor, _job(30, _FINE))  # workers are up
        timer = threading.Timer(_LIMIT + _GRACE, stage.release)
        timer.start()
        begin = time.monotonic()
        try:
            outcome = _run(executor, _job(31, _HANGS, limit=_LIMIT))
        finally:
            timer.cancel()
        took = time.monotonic() - begin
        expect(
            outcome.get("status") == "timeout" and took < _LIMIT + _GRACE,
            f"a job that hangs, with a limit of {_LIMIT:g} s, ended after {took:.1f} s as {outcome}",
        )
        outcome = _run(executor, _job(32, _FINE))
        expect(outcome.get("status") == "ok", f"the job after one that hung ends as {outcome}")


def close(stage: _Stage) -> None:
    """After `close`, no process of it is left, not even one that was in the middle of a job."""
    before = set(_descendants())
    timer = threading.Timer(_GRACE, stage.release)
    with stage.started() as executor:
        _run(executor, _job(40, _FINE))
        timer.start()
        executor.submit(_job(41, _HANGS))
    until = time.monotonic() + _GRACE
    while (left := set(_descendants()) - before) and time.monotonic() < until:
        time.sleep(0.05)
    timer.cancel()
    stage.release()
    expect(not left, f"{len(left)} processes are left after close: {', '.join(map(_command, sorted(left)))}")


def _job(number: int, fold: int, limit: float = _PATIENCE, **params: Any) -> dict[str, Any]:
    said = {"trial": number, "fold": fold, "family": _family(), "requires": [], "params": params, "rows": None}
    return {"id": f"{number}-{fold}", **said, "seed": 0, "threads": 1, "deadline": _PATIENCE, "limit": limit}


def _family() -> str:
    """The family that runs compare others with: it is quick."""
    return baseline(installed()) or next(iter(installed().select(None, "multiclass"))).name


def _run(executor: Executor, job: Mapping[str, Any]) -> dict[str, Any]:
    executor.submit(job)
    return _wait(executor, 1)[0]


def _wait(executor: Executor, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    until = time.monotonic() + _PATIENCE
    while len(found) < count:
        expect(time.monotonic() < until, f"after {_PATIENCE:.0f} s, {len(found)} of {count} jobs have an outcome")
        found += executor.wait(0.5)
    return found


def _descendants() -> Iterator[int]:
    """The living processes that come of this one, as far as /proc tells."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
    for pid in parents:
        at = pid
        while at in parents and at != os.getpid():
            at = parents[at]
        if at == os.getpid() != pid:
            yield pid


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()[:80]
    except OSError:
        return str(pid)


CHECKS: tuple[tuple[Callable[[_Stage], None], str], ...] = (
    (slots, "set `slots` to what runs at once, take a job for each, and give each outcome once"),
    (outcomes, "run `automl.execute.trial.evaluate` where the work folder is shared, and hand back what it returns"),
    (raises, "give {'id', 'status': 'failed', 'reason'} for whatever a job raises, and go on"),
    (limit, "count `job['limit']` from when the job begins; then kill it and give status 'timeout'"),
    (close, "end every worker in `close`, busy or not, and wait until they have gone"),
)
