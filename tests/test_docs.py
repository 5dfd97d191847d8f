"""Every fenced block of the README and the docs is run, in reading order, each page in an empty folder of its own.

`python` blocks of a page share one namespace. Each line of a `bash` block that starts with `automl` goes through the
real command line and must end with code 0, or with the code that a trailing `# exit N` says. A `fit` line is made quick
by `executor=inprocess` and, where it says none itself, by `budget.trials=1` and `families=[linear]`: the words of the
page stay as they are. `yaml`, `toml` and `python` blocks whose first line is a comment with a path are written there.
`text` blocks are output. Lines of `_SKIPPED` are what a reader types but a test must not; any other line fails.
"""

import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from automl.plugins import installed

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_SKIPPED = ("pip ", "pytest", "cd ", "python docs/generate.py", "ruff ", "mypy")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LANGUAGES = {"python", "bash", "yaml", "toml", "text", "json"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page):
    return [(found[1], found[2]) for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


@each_page
def test_every_block_is_of_a_known_language(page):
    assert {language for language, _ in blocks(page)} <= _LANGUAGES
    assert page.read_text(encoding="utf-8").count("```") == 2 * len(blocks(page)), "a fence is not closed"


@each_page
def test_internal_links_resolve(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(language in ("python", "bash", "yaml", "toml") for language, _ in blocks(page))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_block_runs(page, automl, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = set(sys.modules)
    space = {"__name__": "page"}

    def forget():
        for name in set(sys.modules) - modules:
            if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
                del sys.modules[name]
        installed.cache_clear()

    try:
        for language, code in blocks(page):
            place = re.match(r"(?:# @package \S+\n)?# ([\w./-]+\.(?:py|yaml|toml))\n", code)
            if language == "yaml":
                yaml.safe_load(code)
            if language == "toml":
                tomllib.loads(code)
            if place:
                (tmp_path / place[1]).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / place[1]).write_text(code)
                forget()  # what it was before
            elif language == "python":
                exec(compile(code, page.name, "exec"), space)
            elif language == "bash":
                run_lines(code, automl, tmp_path, monkeypatch)
    finally:
        forget()


def run_lines(code, automl, folder, monkeypatch):
    for line in code.replace("\\\n", " ").splitlines():
        command = line.strip()
        if not command or command.startswith("#"):
            continue
        if command.startswith("pip install -e ."):
            install_written(folder, monkeypatch)
        if command.startswith(_SKIPPED):
            continue
        words = shlex.split(command, comments=True)
        assert words[0] == "automl", f"the test does not know how to run {command!r}"
        code = re.search(r"# exit (\d+)", command)
        automl(*quick(words[1:]), code=int(code[1]) if code else 0)


def quick(words):
    if words[0] != "fit" or {"--help", "--cfg", "--dry-run"} & set(words):
        return words
    keys = {word.split("=")[0] for word in words}
    repeated = "--config" in words
    added = ["executor=inprocess", "budget.time=60s"]
    added += [] if "budget.trials" in keys or repeated else ["budget.trials=1"]
    added += [] if "families" in keys or repeated else ["families=[linear]"]
    return [*(word for word in words if not word.startswith("budget=")), *added]


def install_written(folder, monkeypatch):
    """What pip would do with each pyproject.toml that the page wrote: a dist-info beside it, on sys.path."""
    for file in folder.rglob("pyproject.toml"):
        project = tomllib.loads(file.read_text())["project"]
        info = file.parent / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        points = "\n".join(f"{name} = {place}" for name, place in project["entry-points"]["automl"].items())
        (info / "entry_points.txt").write_text(f"[automl]\n{points}\n")
        monkeypatch.syspath_prepend(str(file.parent))
    installed.cache_clear()
