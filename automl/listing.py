"""The verbs that list what is installed: families, metrics, plugins, and what the machine has."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from automl.errors import ConfigError
from automl.plugins import installed


def families(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Every family, what it can and whether it is ready."""
    parser.parse_args(arguments)
    registry = installed()
    rows = [
        (
            family.name,
            family.plugin,
            registry.plugins[family.plugin].version,
            ", ".join(sorted(family.tasks)),
            ", ".join(family.views),
            ", ".join(sorted(family.can)) or "-",
            f"needs {', '.join(family.missing)}" if family.missing else "ready",
        )
        for family in registry.families.values()
    ]
    _print(("family", "plugin", "version", "tasks", "eats", "can", "state"), rows)
    return 0


def metrics(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Every metric."""
    parser.parse_args(arguments)
    rows = [(m.name, m.arrow, m.takes, ", ".join(sorted(m.tasks)), m.doc) for m in installed().metrics.values()]
    _print(("metric", "better", "takes", "tasks", "what"), rows)
    print(
        "\nand any scikit-learn scorer by its name, e.g. metric=neg_median_absolute_error; pinball@0.9 names a quantile"
    )
    return 0


def plugins(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """Every plugin, or with --check whether what it adds keeps the contract; exit code 2 where one does not."""
    parser.usage = f"{parser.usage} [plugins.allow=[NAME,...]] [plugins.deny=[NAME,...]] [--check [NAME ...]]"
    parser.add_argument("said", nargs="*", metavar="plugins.KEY=VALUE", help="show them as a run told this has them")
    parser.add_argument("--check", nargs="*", metavar="NAME", help="run the conformance kit on these, or on all")
    args = parser.parse_args(arguments)
    if foreign := [word for word in args.said if not word.startswith("plugins.")]:
        parser.error(f"{foreign[0]!r} does not say which plugins to load; plugins.deny=[NAME] does")
    if args.check is not None:
        return _check(args.check)
    from automl.compose import leave_out_broken, registry_for

    registry = registry_for(args.said)
    leave_out_broken(registry)
    rows = [
        (
            p.name,
            p.version or "-",
            p.distribution or "-",
            p.state,
            f"{1000 * p.seconds:.0f}",
            p.reason or ", ".join(p.adds),
        )
        for p in registry.plugins.values()
    ]
    _print(("plugin", "version", "distribution", "state", "ms", "adds, or why not"), rows)
    return 0


def doctor(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """What this machine and this environment have."""
    from automl.doctor import examine

    parser.parse_args(arguments)
    for name, fact in examine():
        print(f"{name:<12} {fact}")
    return 0


def _check(names: Sequence[str]) -> int:
    from automl.testing.plugins import check_plugins

    broken = check_plugins(names)
    if not broken:
        print("\nevery check passed")
        return 0
    print(f"\nplugins that break the contract: {', '.join(broken)}")
    print(f"until they are mended, leave them out of runs by plugins.deny=[{','.join(broken)}]")
    return ConfigError.exit_code


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


VERBS = {"families": families, "metrics": metrics, "plugins": plugins, "doctor": doctor}
