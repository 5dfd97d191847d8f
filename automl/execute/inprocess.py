"""The executor `inprocess`: each job runs here and now, for debugging and for tiny data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl.data.problem import Problem
from automl.execute.trial import evaluate


class InProcessExecutor:
    """Runs a job when it is submitted. It cannot end one that hangs, nor survive one that crashes."""

    def __init__(self, folder: Path, slots: int, threads: int, memory: int | None) -> None:
        self.slots = 1
        self._folder = folder
        self._problem: Problem | None = None
        self._outcomes: list[dict[str, Any]] = []

    def submit(self, job: Mapping[str, Any]) -> None:
        """Run the job to its end."""
        self._problem = self._problem or Problem.read(self._folder)
        self._outcomes.append(evaluate(job, self._problem))

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """The outcomes since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def close(self) -> None:
        """Nothing to give back."""
