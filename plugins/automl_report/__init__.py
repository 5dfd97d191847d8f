"""The report on a run, one page of HTML of the sections that this plugin and others give; a predictor's model card."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from automl import Exporter, Section, Verb, hookimpl

if TYPE_CHECKING:
    from automl import Predictor

automl_api = 1


@hookimpl
def automl_verbs() -> Iterable[Verb]:
    """`automl report RUN`."""

    def report(words: list[str]) -> int:
        from automl_report.page import main

        return main(words)

    yield Verb("report", report, "a page on a run: what was asked, what came of it, and why")


@hookimpl
def automl_exporters() -> Iterable[Exporter]:
    """`automl export MODEL -o CARD.md`."""

    def card(predictor: Predictor, path: Path) -> None:
        from automl_report.card import write

        write(predictor, path)

    yield Exporter("card", card, ".md", "a model card: columns, score, members and versions")


@hookimpl
def automl_sections() -> Iterable[Section]:
    """What was asked, the answer, its members, the course of the run, all trials, what failed, how to repeat it."""
    from automl_report import sections

    yield Section("task", "What was asked", sections.task, place=10)
    yield Section("answer", "The answer", sections.answer, place=20)
    yield Section("course", "The course of the run", sections.course, place=30)
    yield Section("trials", "Trials", sections.trials, place=40)
    yield Section("failures", "What did not work", sections.failures, place=50)
    yield Section("repeat", "Do it again", sections.repeat, place=60)
