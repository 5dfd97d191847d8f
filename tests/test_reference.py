"""The generated reference pages say what the code says."""

import subprocess
import sys
from pathlib import Path

from automl.config import keys

ROOT = Path(__file__).parent.parent


def test_the_reference_is_up_to_date():
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nrun: python docs/generate.py"


def test_every_config_key_has_its_row():
    page = (ROOT / "docs/reference/config.md").read_text(encoding="utf-8")
    leaves = {key for key in keys() if not any(other.startswith(f"{key}.") for other in keys())} - {"family"}
    assert {key for key in leaves if f"| `{key}` |" not in page} == set()
