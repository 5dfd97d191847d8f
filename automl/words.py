"""The words of a command line, as Hydra wants them."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from automl.errors import ConfigError

_OVERRIDE = re.compile(r"[^:]*=|~|constraint\.\w+\s*[<>]", re.DOTALL)
_OPEN = re.compile(r"family\.\w+\.((params|space)\.|when[.=])|data\.(roles|monotone)[.=]")
_BOUND = re.compile(r"(\+*constraint\.\w+)\s*([<>]=?)\s*(.*)")
_DIMENSION = re.compile(r"(\+*family\.\w+\.space\.\w+=\{)(\s*(int|float|choice)\s*:(?!\s*null).*)", re.DOTALL)


def with_data(words: Sequence[str]) -> list[str]:
    """Overrides, where words that are no `key=value` are the data: `train.csv` is `data.path=train.csv`."""
    paths = [word for word in words if _is_there(word) or not _OVERRIDE.match(word)]
    overrides = [word for word in words if word not in paths]
    if not paths:
        return overrides
    # Inside Hydra's quotes a backslash counts only before a quote and at the end.
    quoted = ["'" + re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + (m[2] and "\\'"), path) + "'" for path in paths]
    return [f"data.path={quoted[0] if len(quoted) == 1 else '[' + ','.join(quoted) + ']'}", *overrides]


def _is_there(word: str) -> bool:
    return Path(word).exists() or (glob.has_magic(word) and any(glob.iglob(word)))


def shorthand(overrides: Iterable[str]) -> list[str]:
    """Overrides as Hydra wants them: `budget=1m` is `budget.time=1m`; keys that are open to new names need no `+`.

    `constraint.size_mb<=5` is `constraint.size_mb=5`. Hydra lays one mapping over another, so a dimension that is said
    in another form takes back the form it had.

    Raises
    ------
    ConfigError : a bound that is no upper one.
    """
    full = []
    for text in overrides:
        if text.startswith("budget="):
            text = f"budget.time={text.removeprefix('budget=')}"
        elif bound := _BOUND.fullmatch(text):
            if bound[2] != "<=":
                raise ConfigError(f"{text}: a constraint is an upper bound; say '{bound[1]}<=VALUE'")
            text = f"{bound[1]}={bound[3]}"
        elif _OPEN.match(text):
            text = f"++{text}"
        if found := _DIMENSION.match(text):
            others = ", ".join(f"{form}: null" for form in ("int", "float", "choice") if form != found[3])
            text = f"{found[1]}{others}, {found[2]}"
        full.append(text)
    return full
