"""The executor `local`: worker processes of this machine, their limits of time and memory held from outside."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from automl.errors import NoModelError
from automl.execute.forkserver import ForkServer

_POLL = 0.05
_START = 60.0  # seconds that a worker may take to start, with what it needs loaded
_LEFT = 24e6  # bytes that jobs may leave behind in a worker: another starts in a tenth of a second
_WARM: list[ForkServer] = []


def warm_for(overrides: Sequence[str]) -> AbstractContextManager[None]:
    """Within this block a run told by these overrides is quicker to start: workers load while its config is composed.

    If they may name another executor, it is for that one to say; its cores, slots and threads may be told.
    """
    kept = ("executor.cores=", "executor.slots=", "executor.threads=")
    named = any("executor" in word and not word.startswith(kept) for word in overrides)
    return nullcontext() if named else LocalExecutor.warm()


class LocalExecutor:
    """Keeps `slots` workers. One that passes the limit of its job is killed and replaced, and so is one that dies.

    A worker is a process that is forked from one with nothing of the user's in it, and speaks JSON over pipes. So a
    script needs no ``if __name__ == "__main__"``, nothing is pickled, and a crash in a library's C code takes down one
    trial only.
    """

    def __init__(self, folder: Path, slots: int, threads: int, memory: int | None) -> None:
        self.slots = slots
        self._folder, self._memory = folder, memory
        self._selector = selectors.DefaultSelector()
        self._server = _WARM[-1] if _WARM else ForkServer()
        self._unloadable: frozenset[str] = frozenset()  # modules that ended a server which loaded them
        self._workers = [self._start() for _ in range(slots)]

    @classmethod
    @contextmanager
    def warm(cls) -> Iterator[None]:
        """Load what workers need now, for the executors that are made inside the block."""
        if _WARM and _WARM[-1].alive:
            yield
            return
        server = ForkServer()
        _WARM.append(server)
        try:
            yield
        finally:
            _WARM.remove(server)
            server.close()

    def submit(self, job: Mapping[str, Any]) -> None:
        """Hand the job to an idle worker that has the modules it imports; its limit counts from here."""
        needed = frozenset(job.get("requires", ())) - self._unloadable
        idle = [worker for worker in self._workers if worker.job is None]
        worker = next((worker for worker in idle if needed <= worker.modules), None)
        if worker is None:  # what the server loads is in memory once; what workers load, once for each of them
            worker = self._renew(idle[0], needed)
        worker.take(job)

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """The outcomes of the jobs that ended or were ended, waiting up to `seconds` for the first one."""
        until = time.monotonic() + seconds
        while True:
            outcomes = self._read(min(_POLL, max(0.0, until - time.monotonic()))) + self._enforce()
            if outcomes or time.monotonic() >= until or not any(worker.job for worker in self._workers):
                return outcomes

    def close(self) -> None:
        """Kill the workers."""
        for worker in self._workers:
            worker.kill()
        self._selector.close()
        if self._server not in _WARM:
            self._server.close()

    def _read(self, seconds: float) -> list[dict[str, Any]]:
        outcomes: list[dict[str, Any]] = []
        for key, _ in self._selector.select(seconds):
            worker: _Worker = key.data
            done = [outcome for outcome in worker.lines() if outcome["id"] is not None]
            if done:
                worker.job = None
                outcomes += done
            if worker.ended:
                outcomes += self._replace(worker, "crashed", _death(worker.wait()))
            elif done and worker.left_behind() > _LEFT:
                self._renew(worker)
        return outcomes

    def _enforce(self) -> list[dict[str, Any]]:
        outcomes = []
        for worker in list(self._workers):
            if worker.job is None:
                continue
            if worker.ready and time.monotonic() > worker.until:
                outcomes += self._replace(worker, "timeout", f"killed after its limit of {worker.job['limit']:.1f} s")
            elif not worker.ready and time.monotonic() > worker.asked + _START:
                outcomes += self._replace(worker, "crashed", f"no worker started within {_START:.0f} s")
            elif self._memory is not None and (used := worker.memory()) > self._memory:
                outcomes += self._replace(
                    worker, "oom", f"killed at {used / 1e6:,.0f} MB; budget.memory allows {self._memory / 1e6:,.0f} MB"
                )
        return outcomes

    def _replace(self, worker: _Worker, status: str, reason: str) -> list[dict[str, Any]]:
        job = worker.job
        if not (worker.ready or self._server.alive):
            self._unloadable |= worker.modules
        if job is None and not worker.ready:
            raise NoModelError(f"a worker process does not start ({reason}); try executor=inprocess to see why")
        self._renew(worker)
        return [] if job is None else [{"id": job["id"], "status": status, "reason": reason}]

    def _renew(self, worker: _Worker, modules: frozenset[str] = frozenset()) -> _Worker:
        """Another worker in its place, with these modules and all that were loaded before."""
        self._workers.remove(worker)
        self._selector.unregister(worker.outcomes)
        if worker.ready and worker.job is None:
            worker.leave()
        else:
            worker.kill()
        self._workers.append(self._start(modules))
        return self._workers[-1]

    def _start(self, modules: frozenset[str] = frozenset()) -> _Worker:
        if not self._server.alive:
            self._server.close()
            self._server = ForkServer()
        worker = _Worker(self._server, modules)
        worker.tell(str(self._folder))
        self._selector.register(worker.outcomes, selectors.EVENT_READ, worker)
        return worker


class _Worker:
    """One worker process and the job that it has. It serves the folder that it is told first."""

    def __init__(self, server: ForkServer, modules: frozenset[str]) -> None:
        jobs, self.jobs = os.pipe()
        self.outcomes, outcomes = os.pipe()
        self._server = server
        try:
            self._number = server.fork(jobs, outcomes, modules)
        except OSError as error:
            raise NoModelError(f"worker processes do not start ({error}); try executor=inprocess to see why") from error
        finally:
            os.close(jobs)
            os.close(outcomes)
        self.modules = server.loaded
        self.job: Mapping[str, Any] | None = None
        self.asked, self.until = time.monotonic(), 0.0
        self._first: int | None = None  # bytes after its first job, which loads what all of them need
        self.ended = self.ready = False
        self._rest = b""

    def take(self, job: Mapping[str, Any]) -> None:
        self.job, self.until = job, time.monotonic() + job["limit"]
        self.tell(job)

    def tell(self, what: Any) -> None:
        with suppress(BrokenPipeError):  # it has died: the closed pipe of its outcomes says so to whoever waits
            os.write(self.jobs, json.dumps(what).encode() + b"\n")

    def lines(self) -> list[dict[str, Any]]:
        data = os.read(self.outcomes, 1 << 16)
        self.ended = not data
        *whole, self._rest = (self._rest + data).split(b"\n")
        if whole and not self.ready:
            self.ready = True
            self.until = time.monotonic() + self.job["limit"] if self.job else 0.0  # starting up is not the job's time
        return [json.loads(line) for line in whole]

    def memory(self) -> int:
        """Resident bytes that the worker does not share with files (memory-mapped data is the page cache's)."""
        if not self.ready:
            return 0
        try:
            resident, shared = map(int, Path(f"/proc/{self.pid}/statm").read_text().split()[1:3])
        except (OSError, ValueError):
            return 0
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")

    def left_behind(self) -> int:
        """Bytes that are held since its first job, of a worker that waits."""
        now = self.memory()
        if self._first is None and now:
            self._first = now
        return now - (self._first or now)

    @property
    def pid(self) -> int | None:
        return self._server.pid(self._number)

    def wait(self) -> int:
        return self._server.wait(self._number)

    def leave(self) -> None:
        """Let it end by itself, for there are no more jobs: nobody has to wait for the server, which may be loading."""
        os.close(self.jobs)
        os.close(self.outcomes)

    def kill(self) -> None:
        self.leave()
        self._server.kill(self._number)


def _death(code: int) -> str:
    if code >= 0:
        return f"the worker process ended with exit code {code}; see workers.log in the run folder"
    return f"the worker process died of {signal.Signals(-code).name}"
