"""Where trials run: the contract of an executor, and the core's own two."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from automl.hookspecs import hookimpl


class Executor(Protocol):
    """Runs jobs. A job and its outcome are plain JSON; everything bigger lies in files under the run's work folder.

    An executor ends a job that passes its `limit` and reports it, so that no job can hold up a run.
    """

    slots: int
    """How many jobs it runs at the same time."""

    def submit(self, job: Mapping[str, Any]) -> None:
        """Take a job. Called while fewer than `slots` jobs are under way.

        It has an `id`, a `limit` in seconds, and in `requires` the modules that it imports.
        """
        ...

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """The outcomes of the jobs that ended, waiting up to `seconds` for the first one."""
        ...

    def close(self) -> None:
        """End whatever still runs and give back what was taken."""
        ...


@dataclass(frozen=True)
class ExecutorKind:
    """A registered executor: its name in configs and the place of its class, as ``"package.module:Class"``.

    The class is called with ``folder`` (the work folder, shared by driver and workers), ``slots``, ``threads`` (cores
    for each job) and ``memory`` (bytes that one worker may use, or None).
    """

    name: str
    place: str

    def warm(self) -> AbstractContextManager[None]:
        """Within this block a `start` is quicker, if the class has a `warm` that sees to it."""
        warm = getattr(self._load(), "warm", nullcontext)
        made: AbstractContextManager[None] = warm()
        return made

    def start(self, folder: Path, slots: int, threads: int, memory: int | None) -> Executor:
        """Import the class and start it."""
        executor: Executor = self._load()(folder=folder, slots=slots, threads=threads, memory=memory)
        return executor

    def _load(self) -> Any:
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)


@hookimpl
def automl_executors() -> Iterable[ExecutorKind]:
    """The core's own: in this process, or in worker processes of this machine."""
    yield ExecutorKind("inprocess", "automl.execute.inprocess:InProcessExecutor")
    yield ExecutorKind("local", "automl.execute.local:LocalExecutor")
