"""`automl new-plugin` writes a plugin that installs, keeps the contract, and says what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl.plugins import installed


def test_what_it_writes_passes_its_own_tests(automl, tmp_path):
    said = automl("new-plugin", "mygam")
    assert "cd automl-mygam && pip install -e '.[test]' && pytest" in said
    folder = tmp_path / "automl-mygam"
    text = {file: file.read_text() for file in folder.rglob("*") if file.is_file()}
    assert not [file for file, content in text.items() if "NAME" in str(file) + content]
    assert (folder / ".github" / "workflows" / "test.yml").exists()
    info = folder / "automl_mygam-0.1.0.dist-info"  # as pip would
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: automl-mygam\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[automl]\nmygam = automl_mygam\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    code = [
        line
        for line in (folder / "automl_mygam" / "__init__.py").read_text().splitlines()
        if line.strip() and not line.strip().startswith(('"""', "#"))
    ]
    assert len(code) <= 15
    installed.cache_clear()


@pytest.mark.parametrize("name", ["9x", "My", "a-b", "class", "../x", ""])
def test_no_name_of_a_package(name, automl):
    automl("new-plugin", name, code=2)
    assert "a name is made of small letters, digits and _" in automl.err
    assert not list(Path().iterdir())


def test_a_name_that_is_taken(automl):
    automl("new-plugin", "svm", code=2)
    assert "a plugin or family of that name is installed" in automl.err
    automl("new-plugin", "mine")
    automl("new-plugin", "mine", code=5)
    assert "exists already" in automl.err
