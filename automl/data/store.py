"""Plain data with numpy arrays in it, as a pair of files: JSON, and .npz without pickle."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from automl.errors import StorageError

T = TypeVar("T")


def write(folder: Path, name: str, state: Any) -> None:
    """Write `state` (dicts, lists, text, numbers and arrays of numbers) as ``name.json`` and ``name.npz``.

    Raises
    ------
    StorageError : no folder, no permission or no space.
    """
    arrays: dict[str, np.ndarray] = {}
    plain = _without(state, arrays)
    try:
        (folder / f"{name}.json").write_text(json.dumps(plain, allow_nan=False), encoding="utf-8")
        np.savez(folder / f"{name}.npz", allow_pickle=False, **arrays)
    except OSError as error:
        raise StorageError(f"cannot write {folder / name}.json and .npz: {error}") from error


def read(folder: Path, name: str, build: Callable[[dict[str, Any]], T]) -> T:
    """What `build` makes of the state that `write` wrote; arrays and floats come back bit for bit.

    Raises
    ------
    StorageError : a file is missing, cut short, or says what `build` does not understand.
    """
    try:
        plain = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            return build(_with(plain, arrays))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise StorageError(
            f"{folder / name}.json and .npz cannot be read ({error}); the artifact is damaged"
        ) from error


def fields_of(item: Any) -> dict[str, Any]:
    """The fields of a dataclass, its values not copied."""
    return {each.name: getattr(item, each.name) for each in dataclasses.fields(item)}


_KEY = "array"


def _without(state: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(state, np.ndarray):
        key = str(len(arrays))
        arrays[key] = state
        return {_KEY: key}
    if isinstance(state, dict):
        return {name: _without(value, arrays) for name, value in state.items()}
    # A list of text or of numbers is long (levels, names) and holds no array: look at its first item only.
    if isinstance(state, list) and state and isinstance(state[0], dict | list | np.ndarray):
        return [_without(value, arrays) for value in state]
    return state


def _with(plain: Any, arrays: Any) -> Any:
    if isinstance(plain, dict):
        return arrays[plain[_KEY]] if plain.keys() == {_KEY} else {k: _with(v, arrays) for k, v in plain.items()}
    if isinstance(plain, list) and plain and isinstance(plain[0], dict | list):
        return [_with(value, arrays) for value in plain]
    return plain
