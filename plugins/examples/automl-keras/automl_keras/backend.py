"""Keras, imported with a backend that is there and without a trace in the user's home."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")
if "keras" in sys.modules or "KERAS_HOME" in os.environ or Path("~/.keras/keras.json").expanduser().exists():
    import keras
else:
    # At its import Keras writes keras.json into its home where there is none; here that is a folder that goes.
    with tempfile.TemporaryDirectory() as home:
        os.environ["KERAS_HOME"] = home
        try:
            import keras
        finally:
            del os.environ["KERAS_HOME"]

__all__ = ["keras", "threads"]


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Have torch work with `count` threads, or one; another backend has no such switch once it runs."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
