"""What plugins may add to the faces: verbs of the command line, sections of the report, and exporters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.errors import ConfigError

if TYPE_CHECKING:
    from automl.predictor import Predictor
    from automl.run import Run

OWN_VERBS = (
    *("fit", "check", "predict", "evaluate", "leaderboard", "show", "export", "config", "schema"),
    *("families", "metrics", "plugins", "doctor", "new-plugin"),
)
"""The verbs that automl has without a plugin."""


@dataclass(frozen=True)
class Verb:
    """A verb of the command line: `automl NAME ...`.

    Parameters
    ----------
    name : what a person types; letters, digits and ``-``.
    run : called with the words after the verb; gives the exit code. Errors of `automl.errors` are told by their text.
    doc : one line that says what it does.
    """

    name: str
    run: Callable[[list[str]], int]
    doc: str

    def __post_init__(self) -> None:
        if self.name in OWN_VERBS:
            raise ConfigError(f"verb {self.name!r} is automl's own; choose another name")


@dataclass(frozen=True)
class Section:
    """A section of the report on a run.

    Parameters
    ----------
    name : its name.
    title : its heading.
    write : called with the run; gives paragraphs (str) and tables (pandas.DataFrame). A section that gives nothing is
        left out.
    place : sections of lower numbers come first; those of automl's own have 10, 20, ...
    """

    name: str
    title: str
    write: Callable[[Run], Iterable[Any]]
    place: int = 100


@dataclass(frozen=True)
class Exporter:
    """A form that a predictor can be written in: `automl export MODEL -o OUT --to NAME`.

    Parameters
    ----------
    name : its name.
    write : called with the predictor and a path that does not exist, where it writes a file or a folder.
    suffix : of the files that it writes, such as ``".zip"``; an output of that suffix chooses it. Empty for folders.
    doc : one line that says what comes out.
    """

    name: str
    write: Callable[[Predictor, Path], None]
    suffix: str = ""
    doc: str = ""
