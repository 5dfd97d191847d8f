"""The machine: what of it this process may use."""

from __future__ import annotations

import os
from pathlib import Path


def cores() -> int:
    """CPU cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> int:
    """NVIDIA GPUs."""
    if (said := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([name for name in said.split(",") if name.strip() and name.strip() != "-1"])
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
