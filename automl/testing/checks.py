"""What a check is: a named function of one thing that a plugin adds, and how its failure is told."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl.errors import AutoMLError, ContractError

_HERE = Path(__file__).parent


class Broken(Exception):  # noqa: N818  it is told as an AssertionError
    """Something wrong that a check has seen, and how to mend it where the check's own advice is too general."""

    def __init__(self, seen: str, mend: str = "") -> None:
        super().__init__(seen)
        self.seen, self.mend = seen, mend


@dataclass(frozen=True)
class Check:
    """One check of one thing. Call it: it raises AssertionError where the thing does not pass.

    Attributes
    ----------
    name : of the check, such as ``probabilities``.
    of : what is checked, for a person: ``family 'mygam' of plugin 'gam'``.
    subject : its name alone; ``str(check)`` is ``mygam::probabilities``.
    mend : what to do about a failure.
    look : raises whatever is wrong.
    """

    name: str
    of: str
    subject: str
    mend: str
    look: Callable[[], None]

    def trouble(self) -> str:
        """What is wrong and how to mend it, or nothing."""
        __tracebackhide__ = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.look()
        except Broken as broken:
            seen, mend = broken.seen, broken.mend or self.mend
        except ContractError as error:  # there is no estimator to look at
            seen, mend = told(error), "do what this says; until then no check can look at more"
        except Exception as error:  # a plugin is somebody else's code
            seen, mend = f"{told(error)}{_place(error)}", self.mend
        else:
            return ""
        return f"{self.of}, check {self.name}: {seen}\n  mend: {mend}"

    def __call__(self) -> None:
        """Look.

        Raises
        ------
        AssertionError : what is checked, the name of the check, what was seen, how to mend it.
        """
        __tracebackhide__ = True
        if trouble := self.trouble():
            raise AssertionError(trouble)

    def __str__(self) -> str:
        return f"{self.subject}::{self.name}"


def check_all(checks: Iterable[Check]) -> None:
    """Run every check, and raise one AssertionError that lists all that failed."""
    __tracebackhide__ = True
    done = list(checks)
    failed = [trouble for check in done if (trouble := check.trouble())]
    if failed:
        raise AssertionError(f"{len(failed)} of {len(done)} checks failed\n" + "\n".join(failed))


def expect(holds: Any, seen: str, mend: str = "") -> None:
    """Break where `holds` is false."""
    if not holds:
        raise Broken(seen, mend)


def told(error: BaseException) -> str:
    """An error in one line: its type, unless automl raised it for a person, and the first lines of its message."""
    text = " ".join(line.strip() for line in str(error).strip().splitlines()[:6])[:500]
    return text if isinstance(error, AutoMLError) else f"{type(error).__name__}: {text}"


def _place(error: BaseException) -> str:
    """Where it was raised, as far as that is not the kit."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if Path(frame.filename).parent != _HERE]
    return f" ({Path(outside[-1].filename).name}:{outside[-1].lineno})" if outside else ""
