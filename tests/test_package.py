"""The wheel is the product: configs, plugins and entry points are in it, and it runs from nothing but itself."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """What pip would put into site-packages."""
    pytest.importorskip("hatchling", reason="building a wheel without a network needs hatchling (pip install '.[dev]')")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def test_every_config_and_plugin_is_in_the_wheel(unpacked):
    shipped = {path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*.yaml")}
    assert shipped == {
        path.relative_to(unpacked / "automl/conf") for path in (unpacked / "automl/conf").rglob("*.yaml")
    }
    record = "automl/search/record.json"
    assert (unpacked / record).read_text() == (ROOT / record).read_text()
    for folder in (ROOT / "plugins").glob("automl_*"):
        assert {p.relative_to(folder) for p in folder.rglob("*.yaml")} == {
            p.relative_to(unpacked / folder.name) for p in (unpacked / folder.name).rglob("*.yaml")
        }
    examples = {path.parent.name for path in (ROOT / "plugins/examples").glob("*/*/__init__.py")}
    assert "automl_gam" in examples
    assert not examples & {path.name for path in unpacked.iterdir()}, "the examples are distributions of their own"


def test_an_unpacked_wheel_runs_with_its_own_configs_and_plugins(unpacked, tmp_path):
    code = (
        "from automl.config import automl_conf; from automl.plugins import installed;"
        "from automl.compose import compose;"
        f"assert str(automl_conf()).startswith({str(unpacked)!r}), automl_conf();"
        "assert set(installed().families) == set(compose().family);"
        "assert {'lightgbm', 'logistic', 'baseline', 'extra_trees'} <= set(installed().families)"
    )
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
