"""A worker: reads jobs as lines of JSON, writes outcomes as lines of JSON, dies with its parent."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

_PR_SET_PDEATHSIG = 1  # prctl(2): be sent a signal when the parent dies


def serve(jobs: TextIO, outcomes: TextIO) -> None:
    """Read the work folder from the first line, then run jobs until there are no more."""
    from automl.data.problem import Problem
    from automl.execute.trial import evaluate

    if not (told := jobs.readline()):
        return
    folder = Path(json.loads(told))
    log = os.open(folder / "workers.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):  # libraries may print
        os.dup2(log, stream)
    problem = Problem.read(folder)
    outcomes.write(json.dumps({"id": None, "status": "ready"}) + "\n")
    for job in jobs:
        outcome = evaluate(json.loads(job), problem)
        give_back()
        outcomes.write(json.dumps(outcome) + "\n")


def give_back() -> None:
    """Give memory that was freed back to the system, which glibc does not of its own accord."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies, also in the middle of a long C call (Linux only)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(1)
