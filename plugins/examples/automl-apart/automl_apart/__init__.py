"""Trials in processes of their own, each behind a command: `srun`, `ssh HOST`, `docker run`, `nice`, or none."""

from __future__ import annotations

from collections.abc import Iterable

from automl import ExecutorKind, hookimpl

automl_api = 1


@hookimpl
def automl_executors() -> Iterable[ExecutorKind]:
    """`executor.kind=apart`."""
    yield ExecutorKind("apart", "automl_apart.executor:Apart")
