"""What can go wrong, said to a person, with the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

INTERRUPTED = 130


class AutoMLError(Exception):
    """The root of every error that automl raises on purpose; the message says what, where and what would fix it."""

    exit_code = 1


class ConfigError(AutoMLError, ValueError):
    """A config key, value or name that cannot be used (exit code 2)."""

    exit_code = 2


class ContractError(ConfigError):
    """A plugin that does not keep what it declares: it is left out of the run (exit code 2)."""


class DataError(AutoMLError, ValueError):
    """A table that cannot be read or learned from (exit code 3)."""

    exit_code = 3


class NoModelError(AutoMLError, RuntimeError):
    """No trial gave a model (exit code 4)."""

    exit_code = 4


class StorageError(AutoMLError, OSError):
    """A run folder or an artifact that cannot be written, read or trusted to be whole (exit code 5)."""

    exit_code = 5


class RefusedError(AutoMLError, PermissionError):
    """Something refused because it is not safe (exit code 6)."""

    exit_code = 6


class DataWarning(UserWarning):
    """Something in a table that was dropped, ignored or imputed, with its count."""


def nearest(word: object, known: Iterable[str], *, prefix: str = "; did you mean ", none: str = ".") -> str:
    """The end of a sentence on a word that is not known: `"; did you mean 'income'?"`, or `none` if none is near."""
    found = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f"{prefix}{found[0]!r}?" if found else none


def one_line(error: BaseException) -> str:
    """An error in one line: its type, unless automl raised it for a person, and its message."""
    text = " ".join(str(error).split())
    return text if isinstance(error, AutoMLError) else f"{type(error).__name__}: {text}"
