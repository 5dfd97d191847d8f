"""Write docs/reference/ from the code: `python docs/generate.py`. With `--check`, only say which pages are out of date.

The pages list what this distribution installs; plugins of other distributions are left out.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from automl import hookspecs
from automl.cli import HELP
from automl.compose import load
from automl.config import json_schema
from automl.family import CAPABILITIES
from automl.plugins import installed
from automl.registry import Registry

FOLDER = Path(__file__).parent / "reference"
ROOT = FOLDER.parent.parent
FIRST_PARTY = ("baseline", "linear", "boosting", "forest", "kernel", "neural", "report")


def config() -> str:
    """Every key of the schema, with its default and meaning; every option of every group."""
    from omegaconf import OmegaConf

    composed = OmegaConf.to_container(load([]), resolve=False)
    lines = ["# Config reference", "", "Every key that a run may be told: `automl fit train.csv KEY=VALUE`.", ""]
    rows = [(f"`{name}`", _default(composed, name), meaning) for name, meaning in _keys(json_schema())]
    lines += [*_table(("key", "default", "meaning"), rows), ""]
    lines += [
        "`budget=1m` is short for `budget.time=1m`, and `target=y` comes with a table of your own.",
        "`automl schema` prints all this as JSON Schema, for editors; `automl config` prints a composed config.",
        "",
        "## Groups",
        "",
        "`GROUP=OPTION` sets a whole section at once; an option is a file of `conf/`.",
        "",
    ]
    root = ROOT / "conf"
    groups = sorted(folder for folder in root.rglob("*") if folder.is_dir() and list(folder.glob("*.yaml")))
    for folder in groups:
        options = [(f"`{file.stem}`", _comment(file)) for file in sorted(folder.glob("*.yaml"))]
        lines += [f"### {folder.relative_to(root)}", "", *_table(("option", "what it says"), options), ""]
    return "\n".join(lines)


def hooks() -> str:
    """Every hook, its signature, meaning and example."""
    lines = [
        "# Hooks",
        "",
        "What a plugin may implement; [how to write a plugin](../howto/plugin.md) shows it whole.",
        "",
    ]
    found = [f for f in vars(hookspecs).values() if inspect.isfunction(f) and f.__name__.startswith("automl_")]
    users = _users()
    found.sort(key=lambda f: f.__code__.co_firstlineno)
    rows = [(f"[`{f.__name__}`](#{f.__name__})", ", ".join(users.get(f.__name__, []))) for f in found]
    lines += [*_table(("hook", "who uses it here"), rows), ""]
    for function in found:
        says, _, example = inspect.getdoc(function).partition(">>> ")  # type: ignore[union-attr]
        code = [line.removeprefix(">>> ").removeprefix("... ") for line in example.splitlines()]
        signature = str(inspect.signature(function)).replace("'", "")
        lines += [f"## {function.__name__}", "", f"`{function.__name__}{signature}`", "", says.strip(), ""]
        lines += ["```text", *code, "```", ""]
    lines += ["## What a family can", "", "`Family(can={...})` declares any of:", ""]
    lines += [*_table(("capability", "meaning"), [(f"`{name}`", says) for name, says in CAPABILITIES.items()]), ""]
    return "\n".join(lines)


def _users() -> dict[str, list[str]]:
    """Hook -> the modules of the core, the first-party plugins and the examples that implement it."""
    users: dict[str, list[str]] = {}
    for file in sorted([*ROOT.glob("automl/**/*.py"), *ROOT.glob("plugins/**/*.py")]):
        inside = file.relative_to(ROOT)
        if "tests" in inside.parts or "template" in inside.parts:
            continue
        name = ".".join(inside.with_suffix("").parts) if inside.parts[0] == "automl" else inside.parent.name
        for hook in re.findall(r"^@hookimpl\ndef (automl_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            users.setdefault(hook, []).append(f"`{name}`")
    return users


def families() -> str:
    """Every first-party family and what its config says."""
    lines = [
        "# Families",
        "",
        "The families that come with automl, and what is searched. `automl families` lists yours.",
        "",
    ]
    registry = _registry()
    found = sorted(registry.families.values(), key=lambda family: (FIRST_PARTY.index(family.plugin), family.name))
    rows = [
        (
            f"[{family.name}](#{family.name})",
            family.plugin,
            ", ".join(sorted(family.tasks)),
            ", ".join(family.views),
            ", ".join(sorted(family.can)),
        )
        for family in found
    ]
    lines += [*_table(("family", "plugin", "tasks", "eats", "can"), rows), ""]
    for family in found:
        file = registry.conf[family.plugin] / "family" / f"{family.name}.yaml"
        text = file.read_text(encoding="utf-8") if file.exists() else "# no config of its own"
        lines += [f"## {family.name}", "", "```yaml", text.strip(), "```", ""]
    return "\n".join(lines)


def metrics() -> str:
    """Every built-in metric."""
    lines = [
        "# Metrics",
        "",
        "`metric=NAME`. Any scikit-learn scorer goes by its name too; `pinball@0.9` names a quantile.",
        "",
    ]
    rows = [
        (f"`{metric.name}`", metric.arrow, metric.takes, ", ".join(sorted(metric.tasks)), metric.doc)
        for metric in _registry().metrics.values()
    ]
    return "\n".join([*lines, *_table(("metric", "better", "takes", "tasks", "what"), rows), ""])


def cli() -> str:
    """The verbs."""
    head = ["# Command line", "", "`automl VERB --help` says more of each.", "", "```text"]
    return "\n".join([*head, HELP.rstrip(), "```", ""])


PAGES = {"config": config, "hooks": hooks, "families": families, "metrics": metrics, "cli": cli}


def _registry() -> Registry:
    return installed(allow=FIRST_PARTY)


def _keys(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, said in schema["properties"].items():
        inner = said.get("additionalProperties")
        if "properties" in said:
            yield from _keys(said, f"{prefix}{name}.")
        elif isinstance(inner, dict) and "properties" in inner:
            yield from _keys(inner, f"{prefix}{name}.NAME.")
        else:
            yield prefix + name, said.get("description", "")


def _default(composed: Any, key: str) -> str:
    if ".NAME." in key:
        return "of the plugin"
    for part in key.split("."):
        composed = composed[part]
    return f"`{yaml.safe_dump(composed, default_flow_style=True).splitlines()[0]}`"


def _comment(file: Path) -> str:
    lines = [line[1:].strip() for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return " ".join(line for line in lines if not line.startswith("@package"))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in cells]


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with --check compare them; 1 where one differs."""
    stale = []
    for name, write in PAGES.items():
        file, text = FOLDER / f"{name}.md", f"<!-- Made by docs/generate.py. -->\n\n{write()}"
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        stale.append(file.name)
        if "--check" not in arguments:
            FOLDER.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    if stale:
        print(textwrap.fill(f"{'out of date' if '--check' in arguments else 'written'}: {', '.join(stale)}", 120))
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
