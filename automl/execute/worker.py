"""A worker process: reads jobs as lines of JSON, writes outcomes as lines of JSON, dies with its driver."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2): be sent a signal when the parent dies


def main() -> None:
    """Read the work folder from standard input, then serve jobs until it ends."""
    die_with_parent(int(os.environ.get("AUTOML_DRIVER", "0")))
    outcomes = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries may print; the pipe to the driver is for outcomes only
    import sklearn.dummy  # noqa: F401  what every trial needs, while the driver still reads the data

    from automl.data.problem import Problem
    from automl.execute.trial import evaluate

    folder = Path(json.loads(sys.stdin.readline() or "null") or sys.exit())
    log = os.open(folder / "workers.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 2)
    os.dup2(log, 1)
    problem = Problem.read(folder)
    outcomes.write(json.dumps({"id": None, "status": "ready"}) + "\n")
    for line in sys.stdin:
        job = json.loads(line)
        outcomes.write(json.dumps(evaluate(job, problem)) + "\n")


def die_with_parent(driver: int) -> None:
    """Ask the kernel to kill this process when the driver dies, also in the middle of a long C call (Linux only)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if driver and os.getppid() != driver:  # it died before the kernel was asked
        os._exit(1)


if __name__ == "__main__":
    main()
