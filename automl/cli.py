"""The command line: verbs over the same calls as the Python API. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from automl.errors import INTERRUPTED, AutoMLError, ConfigError, nearest
from automl.launch import launch
from automl.words import with_data

if TYPE_CHECKING:
    from automl.run import Run

HELP = """\
automl: declarative AutoML. conf says what, plugins say how, the core runs the race.

  automl fit [DATA] [key=value ...]     learn a predictor from a table (fit --help lists every key)
      automl fit train.csv target=income budget=5m families=[boosting,linear]
      automl fit data=breast_cancer --dry-run         what would run, and what it may cost
      automl fit -m data=iris,wine seed=1,2,3         a sweep over any keys
  automl check DATA target=COLUMN       data contract and leakage lint (--test FILE: drift too)
  automl predict MODEL DATA -o OUT      predictions of a run's predictor
  automl evaluate MODEL DATA            scores on data with the target
  automl leaderboard RUN                every trial, best first (--pareto: those that no other beats)
  automl show RUN|MODEL                 what it is made of
  automl export MODEL -o OUT            the predictor in another form (--to NAME; out.zip: one file)

  automl config [key=value ...]         the composed config
  automl schema                         JSON Schema of the configs, for editors
  automl families | metrics | plugins   what is installed, the verbs that plugins add too (automl report RUN)
  automl plugins --check [NAME ...]     whether what they add keeps the contract (automl.testing)
  automl new-plugin NAME                a plugin of your own: written, tested, ready to install
  automl doctor                         versions, cores, memory, GPUs, what each extra lacks

Exit codes: 0 ok, 2 config, 3 data, 4 no model, 5 storage or artifact, 6 refused for safety, 130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and exit with its code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except AutoMLError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:  # the reader, head for one, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    verb, *rest = arguments
    if verb in ("-V", "--version"):
        from automl import __version__

        print(f"automl {__version__}")
        return 0
    run = VERBS.get(verb) or _of_plugin(verb)
    warnings.showwarning = lambda message, category, *_: print(f"warning: {message}", file=sys.stderr)
    return run(rest) or 0


def _of_plugin(verb: str) -> Callable[[list[str]], int]:
    from automl.plugins import installed

    registry = installed()
    if verb not in registry.verbs:
        known = [*VERBS, *registry.verbs]
        failures = registry.failures()
        raise ConfigError(f"unknown verb {verb!r}{nearest(verb, known)} Known: {', '.join(known)}. {failures}".rstrip())

    def run(words: list[str]) -> int:
        with registry.calling("verbs", verb):
            return registry.verbs[verb].run(words)

    return run


def _check(arguments: list[str]) -> int:
    """Lint a table before it is learned from; exit code 3 when something is an error."""
    from automl.compose import compose
    from automl.plan import check

    parser = _parser("check", "DATA target=COLUMN [key=value ...]")
    parser.add_argument("words", nargs="+", metavar="DATA key=value")
    parser.add_argument("--test", help="a table without the target, or with it, that will be predicted: is it alike?")
    args = parser.parse_intermixed_args(arguments)
    config = compose(with_data(args.words))
    findings, facts = check(config, args.test)
    for name, fact in facts.items():
        print(f"{name:<9}{fact}")
    order = {"error": 0, "warning": 1, "info": 2}
    for finding in sorted(findings, key=lambda found: order[found.level]):
        where = f"{finding.column}: " if finding.column else ""
        print(f"{finding.level:<9}{where}{finding.what}" + (f"\n         fix: {finding.fix}" if finding.fix else ""))
    counts = {level: sum(f.level == level for f in findings) for level in order}
    said = {"error": "error", "warning": "warning", "info": "remark"}
    print("\n" + ", ".join(f"{n} {said[level]}{'s' * (n != 1)}" for level, n in counts.items()))
    return 3 if counts["error"] else 0


def _predict(arguments: list[str]) -> int:
    from automl.data.write import write
    from automl.predictor import load

    parser = _parser("predict", "MODEL DATA [-o OUT]")
    parser.add_argument("model", help="a run folder or the folder of a predictor")
    parser.add_argument("data", help="a file, glob or folder with the features")
    parser.add_argument(
        "-o", "--output", help=".csv, .parquet, .arrow or .jsonl; without it, CSV goes to standard output"
    )
    parser.add_argument("--no-proba", action="store_true", help="the predicted label only, no column per class")
    args = parser.parse_args(arguments)
    table = load(args.model).table(args.data, proba=not args.no_proba)
    if args.output is None:
        sys.stdout.write(table.write_csv())
        return 0
    write(table, Path(args.output))
    print(f"{table.height:,} predictions in {args.output}")
    return 0


def _evaluate(arguments: list[str]) -> int:
    from automl.predictor import load

    parser = _parser("evaluate", "MODEL DATA [--metric NAME ...]")
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--metric", action="append", default=[], help="further metrics; may be given several times")
    args = parser.parse_args(arguments)
    predictor = load(args.model)
    for name, score in predictor.evaluate(args.data, args.metric).items():
        print(f"{name:<20} {score:.6g}")
    if predictor.facts.get("score") is not None:
        facts = predictor.facts
        print(
            f"{'at fit':<20} {facts['score']:.6g} (95% interval {facts['low']:.5g} .. {facts['high']:.5g}, out of fold)"
        )
    return 0


def _leaderboard(arguments: list[str]) -> int:
    from automl.bounds import written
    from automl.run import Run
    from automl.screen import leaderboard_table, wide_console

    parser = _parser("leaderboard", "RUN [--pareto] [--csv]")
    parser.add_argument("run")
    parser.add_argument(
        "--pareto",
        action="store_true",
        help="only the trials that no other beats on all of the run's objectives; where it has one, on loss, "
        "latency_ms and size_mb",
    )
    parser.add_argument("--csv", action="store_true", help="every column, parameters included, as CSV")
    args = parser.parse_args(arguments)
    run = Run.open(args.run)
    if args.pareto and not run.front:
        keeps = f" and keeps {written(run.config.bounds)}" if run.config.bounds else ""
        print(f"no trial has ended well on all rows{keeps}: there is none to compare", file=sys.stderr)
    if args.csv:
        sys.stdout.write(run.leaderboard(pareto=args.pareto).to_csv(index=False))
    elif not args.pareto:
        wide_console().print(leaderboard_table(run))
    elif run.front:
        wide_console().print(leaderboard_table(run, pareto=True))
        print(f"\nno other trial beats these on {', '.join(run.objectives)}")
    return 0


def _show(arguments: list[str]) -> int:
    from automl.predictor import load
    from automl.run import Run
    from automl.screen import leaderboard_table, show_end, show_facts, wide_console

    parser = _parser("show", "RUN|MODEL")
    parser.add_argument("path")
    args = parser.parse_args(arguments)
    console = wide_console()
    if (Path(args.path) / "trials.sqlite").exists():
        run: Run = Run.open(args.path)
        show_facts(console, run.facts, run.notes)
        console.print(leaderboard_table(run, top=10))
        show_end(console, run)
        return 0
    predictor = load(args.path)
    task = predictor.task
    console.print(
        f"target    {task.target}: {task.kind}" + (f", classes {list(task.classes)}" if task.classes else ""),
        markup=False,
    )
    console.print(f"metric    {task.metric} {predictor.facts.get('score')}", markup=False)
    for column in predictor.schema.columns:
        console.print(f"column    {column.name}: {column.role} ({column.why})", markup=False)
    console.print(predictor.describe().to_string(index=False), markup=False)
    return 0


def _export(arguments: list[str]) -> int:
    from automl.errors import StorageError
    from automl.plugins import installed
    from automl.predictor import opened

    registry = installed()
    exporters = registry.exporters
    parser = _parser("export", "MODEL -o OUT [--to NAME]")
    parser.add_argument("model", help="a run folder, or the folder or archive of a predictor")
    parser.add_argument("-o", "--output", required=True, help="the file or folder to be written")
    parser.add_argument("--to", metavar="NAME", help="; ".join(f"{e.name}: {e.doc}" for e in exporters.values()))
    args = parser.parse_args(arguments)
    out = Path(args.output)
    name = args.to or next((e.name for e in exporters.values() if e.suffix and out.name.endswith(e.suffix)), None)
    if name not in exporters:
        known = ", ".join(f"{e.name} ({e.suffix or 'a folder'})" for e in exporters.values())
        what = f"--to {args.to}: unknown{nearest(args.to, exporters)}" if args.to else f"{out}: no exporter writes it;"
        raise ConfigError(f"{what} Known: {known}")
    if out.exists():
        raise StorageError(f"{out} exists already: choose another name")
    predictor = opened(args.model)
    with registry.calling("exporters", name):
        exporters[name].write(predictor, out)
    print(f"{args.model} is in {out}")
    return 0


def _new_plugin(arguments: list[str]) -> int:
    from automl.new_plugin import write

    parser = _parser("new-plugin", "NAME [--folder FOLDER]")
    parser.add_argument("name", help="of the plugin and its family: letters, digits and _")
    parser.add_argument("--folder", default=".", help="where the folder automl-NAME is made")
    args = parser.parse_args(arguments)
    folder = write(args.name, Path(args.folder))
    print(f"{folder} is written. Now:\n")
    print(f"  cd {folder} && pip install -e '.[test]' && pytest")
    print(f"  automl fit data=breast_cancer families=[{args.name},linear] budget=20s")
    return 0


def _config(arguments: list[str]) -> int:
    import yaml

    from automl.compose import compose
    from automl.run import plain

    parser = _parser("config", "[DATA] [key=value ...] [--config FILE]")
    parser.add_argument("words", nargs="*", metavar="key=value")
    parser.add_argument("--config", metavar="FILE")
    args = parser.parse_intermixed_args(arguments)
    config = compose(with_data(args.words), config=args.config)
    print(yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True), end="")
    return 0


def _schema(arguments: list[str]) -> int:
    from automl.config import json_schema

    _parser("schema", "").parse_args(arguments)
    print(json.dumps(json_schema(), indent=2))
    return 0


def _list(verb: str, arguments: list[str]) -> int:
    from automl import listing

    return listing.VERBS[verb](_parser(verb, ""), arguments)


def _parser(verb: str, usage: str) -> argparse.ArgumentParser:
    doc = next(line for line in HELP.splitlines() if line.startswith("  automl ") and f" {verb} " in f"{line} ")
    return argparse.ArgumentParser(
        prog=f"automl {verb}", usage=f"automl {verb} {usage}".strip(), description=doc.strip()
    )


VERBS: dict[str, Callable[[list[str]], int | None]] = {
    "fit": launch,
    "check": _check,
    "predict": _predict,
    "evaluate": _evaluate,
    "leaderboard": _leaderboard,
    "show": _show,
    "export": _export,
    "config": _config,
    "schema": _schema,
    **{verb: partial(_list, verb) for verb in ("families", "metrics", "plugins", "doctor")},
    "new-plugin": _new_plugin,
}


if __name__ == "__main__":
    main()
