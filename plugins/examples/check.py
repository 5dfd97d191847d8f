"""Install automl and the examples into a fresh environment; run their tests and every command of their READMEs.

    python plugins/examples/check.py              # all of them
    python plugins/examples/check.py automl-gam   # those named

On Linux PyPI's torch brings CUDA with it. For the small one, as in CI:

    PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu python plugins/examples/check.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
_BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main(names: list[str]) -> int:
    """How many examples failed."""
    examples = [HERE / name for name in names] or sorted(path.parent for path in HERE.glob("*/pyproject.toml"))
    with tempfile.TemporaryDirectory(prefix="automl-examples-") as folder:
        programs = Path(folder) / "venv" / "bin"
        venv.create(programs.parent)
        # The extra pins torch: named in the same command, it is not fetched twice.
        wanted = [f"{HERE.parent.parent}[neural]", *(f"{path}[test]" for path in examples)]
        pip = (sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "-q", "--no-compile")
        if not done(folder, "installed", programs, *pip, *wanted):
            return len(examples)
        with ThreadPoolExecutor(2) as pool:
            good = list(pool.map(lambda path: works(path, Path(folder) / path.name, programs), examples))
    failed = [path.name for path, well in zip(examples, good, strict=True) if not well]
    print(f"failed: {', '.join(failed)}" if failed else f"all {len(examples)} work")
    return len(failed)


def works(example: Path, folder: Path, programs: Path) -> bool:
    """Whether the tests of an example pass, and what its README says can be done, in an empty folder."""
    folder.mkdir()
    tests = ("python", "-m", "pytest", "-p", "no:cacheprovider", str(example))
    good = done(folder, f"{example.name}: tests", programs, *tests)
    return done(folder, f"{example.name}: README", programs, "bash", "-ec", commands(example / "README.md")) and good


def done(folder: Path | str, what: str, programs: Path, *command: str) -> bool:
    """Whether a command, run in a folder with the environment's programs first, ends well; what it printed if not."""
    start = time.perf_counter()
    # Empty is unset: no code from elsewhere, and what is compiled at its first import is kept for all the processes.
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": ""}
    environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(f"{time.perf_counter() - start:6.1f} s  {what}" + (" FAILED" if ended.returncode else ""), flush=True)
    if ended.returncode:
        print(ended.stdout)
    return ended.returncode == 0


def commands(readme: Path) -> str:
    """The blocks of a README as one script for bash; what it installs is there already."""
    script = []
    for language, code in _BLOCK.findall(readme.read_text(encoding="utf-8")):
        lines = [line for line in code.splitlines() if not line.startswith("pip install")]
        script += ["python - <<'END'", *lines, "END"] if language == "python" else lines
    return "\n".join(script)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
