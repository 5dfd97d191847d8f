"""The page: sections as HTML that needs no other file, and no script."""

from __future__ import annotations

import argparse
from html import escape
from pathlib import Path
from typing import Any

from automl import Run, StorageError
from automl.artifact import written_whole
from automl.plugins import installed

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1c2330 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid #d8dde6 }
p { margin: .4rem 0; max-width: 60rem } .wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; margin: .6rem 0 } td, th { padding: .2rem .7rem; text-align: left }
th { color: #5a6475; font-weight: 600; border-bottom: 1px solid #b9c1ce } tr:nth-child(even) td { background: #f5f7fa }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } .trouble { color: #a32020 }
"""


def main(words: list[str]) -> int:
    """Write the page on a run; the exit code."""
    parser = argparse.ArgumentParser(prog="automl report", description="A page on a run.")
    parser.add_argument("run", help="the folder of a run")
    parser.add_argument("-o", "--output", help="the file to be written; report.html in the run's folder by default")
    args = parser.parse_args(words)
    run = Run.open(args.run)
    out = Path(args.output or run.folder / "report.html")
    if out.is_dir():
        raise StorageError(f"{out} is a folder: name a file, such as {out / 'report.html'}")
    with written_whole(out) as draft:
        draft.write_text(page(run), encoding="utf-8")
    print(f"the report is in {out}")
    return 0


def page(run: Run) -> str:
    """The page on a run, by the sections of all plugins.

    A section that raises says so in its place, and the others are written.
    """
    title = f"{run.task.target}: {run.task.kind}"
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(str(run.folder))}: {run.rows:,} rows</p>"]
    for section in sorted(installed().sections.values(), key=lambda section: section.place):
        try:
            parts = [_html(part) for part in section.write(run)]
        except Exception as error:  # a section is somebody else's code
            parts = [f'<p class="trouble">{escape(f"section {section.name!r}: {type(error).__name__}: {error}")}</p>']
        if parts:
            body += [f'<h2 id="{escape(section.name)}">{escape(section.title)}</h2>', *parts]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def _html(part: Any) -> str:
    import pandas as pd

    if isinstance(part, str):
        return f"<p>{escape(part)}</p>"
    if not isinstance(part, pd.DataFrame):
        raise TypeError(f"a section gives texts and tables (pandas.DataFrame), not {type(part).__name__}")
    head = "".join(f"<th>{escape(str(name))}</th>" for name in part.columns)
    rows = ("".join(_cell(value) for value in row) for row in part.itertuples(index=False))
    lines = "".join(f"<tr>{row}</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody></table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    if value is None or value != value:
        return "<td></td>"
    text = f"{value:.5g}" if isinstance(value, float) else str(value)
    return f'<td class="number">{escape(text)}</td>'
