"""The executor: starts a process for each job, and reads what it has left in the work folder."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_LOOK = 0.05  # seconds between two looks at what runs


class Apart:
    """Each job is a process, started by the command in the variable AUTOML_APART, if it is set, before Python's own.

    Driver and workers share the work folder; the command has to wait for the job's end. What one starts gets a session
    of its own, so that all of it can be ended.
    """

    def __init__(self, folder: Path, slots: int, threads: int, memory: int | None) -> None:
        self.folder, self.slots = folder, slots or 1
        self.command = [*shlex.split(os.environ.get("AUTOML_APART", "")), sys.executable, "-m", "automl_apart.job"]
        self.running: dict[subprocess.Popen[bytes], tuple[Mapping[str, Any], float]] = {}

    def submit(self, job: Mapping[str, Any]) -> None:
        """Start the job's process."""
        with (self.folder / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                [*self.command, str(self.folder), json.dumps(job)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running[process] = job, time.monotonic() + job["limit"]

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """The outcomes of the jobs that have ended, or are ended because their time is over."""
        until = time.monotonic() + seconds
        while True:
            ended = [process for process in self.running if self._is_due(process)]
            if ended or time.monotonic() >= until:
                return [self._end(process) for process in ended]
            time.sleep(_LOOK)

    def close(self) -> None:
        """End what still runs."""
        for process in list(self.running):
            self._end(process)

    def _is_due(self, process: subprocess.Popen[bytes]) -> bool:
        return process.poll() is not None or time.monotonic() > self.running[process][1]

    def _end(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        job, _ = self.running.pop(process)
        late = process.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        file = self.folder / f"outcome-{job['id']}.json"
        if not late and file.exists():
            outcome: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return outcome
        reason = f"not done after {job['limit']:.0f} s" if late else f"exit code {code}; see workers.log"
        return {"id": job["id"], "status": "timeout" if late else "crashed", "reason": reason}
