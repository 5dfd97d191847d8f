"""The conformance kit: every check can fail, with its name and what to do; the core's own metrics and so on pass."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import broken
import pytest
from broken import EXECUTORS, FAMILIES, INSTALLED, METRICS, READERS, family

from automl.errors import ConfigError
from automl.plugins import installed
from automl.testing import (
    check_executor,
    check_family,
    check_metric,
    check_reader,
    executor_checks,
    family_checks,
    metric_checks,
    reader_checks,
)


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """What broken families leave is left here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BROKEN_AFAR", str(tmp_path))


def test_a_sound_family_passes():
    check_family(family(broken.Sound, tasks={"binary", "multiclass"}))


def test_a_temporary_folder_that_is_taken_away_is_no_writing():
    (check,) = [check for check in family_checks(family(broken.TidiesUp)) if check.name == "writes"]
    check()


def fails(checks, name, told):
    (check,) = [check for check in checks if check.name == name]
    with pytest.raises(AssertionError, match=told) as failed:
        check()
    text = str(failed.value)
    assert text.startswith(f"{check.of}, check {name}: ")
    assert text.splitlines()[-1].startswith("  mend: ")
    assert len(text.splitlines()) == 2


def named(cases):
    return pytest.mark.parametrize(("name", "what", "told"), cases, ids=[case[0] for case in cases])


@named(FAMILIES)
def test_a_broken_family_fails_the_check(name, what, told):
    fails(family_checks(what), name, told)


@pytest.fixture
def install(install_plugin):
    def install(estimator, top="", said=""):
        folder = install_plugin("broken_plugin", broken.PLUGIN.format(estimator=estimator, top=top))
        text = (folder / "broken_plugin.py").read_text()
        (folder / "broken_plugin.py").unlink()
        (folder / "broken_plugin" / "conf" / "family").mkdir(parents=True)
        (folder / "broken_plugin" / "__init__.py").write_text(textwrap.dedent(text))
        (folder / "broken_plugin" / "conf" / "family" / "installed.yaml").write_text(said)
        return folder

    return install


@pytest.mark.parametrize(("name", "estimator", "top", "said", "told"), INSTALLED, ids=[case[0] for case in INSTALLED])
def test_a_broken_plugin_fails_the_check(name, estimator, top, said, told, install):
    install(estimator, top, said)
    fails(family_checks("installed"), name, f"^family 'installed' of plugin 'broken_plugin', .*{told}")


@named(METRICS)
def test_a_broken_metric_fails_the_check(name, what, told):
    fails(metric_checks(what), name, told)


@named(READERS)
def test_a_broken_reader_fails_the_check(name, what, told):
    place = None if name == "names" else "zz:here"
    fails(reader_checks(what, place, rows=2, columns=["a", "b"]), name, told)


@named(EXECUTORS)
def test_a_broken_executor_fails_the_check(name, what, told):
    try:
        fails(executor_checks(what), name, told)
    finally:
        for pid in subprocess.run(["pgrep", "-P", str(os.getpid()), "sleep"], capture_output=True).stdout.split():
            os.kill(int(pid), signal.SIGKILL)


def test_every_check_of_the_kit_is_shown_to_fail():
    from automl.testing import executors, families, metrics, readers
    from automl.testing.capabilities import CAPABLE

    every = {look.__name__ for look, _ in families.CHECKS} | {look.__name__ for _, look, _ in CAPABLE} | {"requires"}
    assert every == {case[0] for case in (*FAMILIES, *INSTALLED)}
    for module, cases in ((metrics, METRICS), (readers, READERS), (executors, EXECUTORS)):
        assert {look.__name__ for look, _ in module.CHECKS} == {case[0] for case in cases}


def test_all_failures_are_told_in_one_error():
    with pytest.raises(AssertionError, match=r"^\d+ of \d+ checks failed") as failed:
        check_metric(broken.metric(broken._mae, maximize=True, best=1.0))
    assert "check direction" in str(failed.value)
    assert "check perfect" in str(failed.value)
    assert "check row_order" not in str(failed.value)


@pytest.mark.parametrize("name", [*installed().metrics, "neg_median_absolute_error", "neg_log_loss"])
def test_the_metrics_pass(name):
    check_metric(name)


def test_the_readers_pass(tmp_path):
    import polars as pl

    table = pl.DataFrame({"a": ["1", "2"], "b": ["x", "y"]})
    table.write_csv(tmp_path / "t.csv")
    table.write_parquet(tmp_path / "t.parquet")
    table.write_ipc(tmp_path / "t.arrow")
    table.write_ndjson(tmp_path / "t.jsonl")
    for name in ("csv", "parquet", "arrow", "jsonl"):
        check_reader(name, tmp_path / f"t.{name}", rows=2, columns=["a", "b"])


def test_the_local_executor_passes():
    check_executor("local")


def test_what_is_not_installed_is_named():
    with pytest.raises(ConfigError, match="did you mean 'ridge'"):
        family_checks("rigde")
    with pytest.raises(ConfigError, match="did you mean 'csv'"):
        reader_checks("cvs")
    with pytest.raises(ConfigError, match="did you mean 'local'"):
        executor_checks("lokal")


def run_pytest(folder, *arguments):
    path = os.pathsep.join([str(folder), str(Path(broken.__file__).parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_pytest_runs_the_checks_of_a_family(install, tmp_path):
    (tmp_path / "test_other.py").write_text("def test_other(): assert False")
    folder = install("Sound", said="params: {Cost: 1}")
    done = run_pytest(folder, "--automl-family", "installed", "-k", "config or imports", "-v")
    assert done.returncode == 1, done.stdout
    assert "installed::imports PASSED" in done.stdout
    assert "installed::config FAILED" in done.stdout
    assert "Sound has no such parameter" in done.stdout
    assert "collected 14 items / 12 deselected / 2 selected" in done.stdout
    assert "Traceback" not in done.stdout
    assert "families.py" not in done.stdout
    assert "test_other" not in done.stdout
    unknown = run_pytest(folder, "--automl-family", "instaled")
    assert unknown.returncode == 4
    assert "did you mean 'installed'" in unknown.stderr


def test_a_plugin_may_require_a_module_of_its_own(install):
    """automl-keras does: what sets Keras up has to be imported before it."""
    folder = install("Sound", top="REQUIRED = (__name__,)")
    done = run_pytest(folder, "--automl-family", "installed", "-k", "imports", "-v")
    assert "installed::imports PASSED" in done.stdout, done.stdout


def test_the_pytest_plugin_imports_nothing_heavy():
    code = "import sys, automl.testing.pytest_plugin; print({'numpy', 'sklearn', 'polars', 'hydra'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


METRIC_PLUGIN = """
    import numpy as np
    from automl import Metric, hookimpl

    def mae(y, value, weight):
        return float(np.average(np.abs(y - value), weights=weight))

    @hookimpl
    def automl_metrics():
        yield Metric("{name}", mae, {maximize}, {{"regression"}}, "value")
"""


def test_the_command_line_names_the_plugin_that_breaks_the_contract(install_plugin, automl):
    install_plugin("zz_good", METRIC_PLUGIN.format(name="good_mae", maximize=False))
    install_plugin("zz_bad", METRIC_PLUGIN.format(name="bad_mae", maximize=True))
    install_plugin("zz_failed", "import no_such_module_at_all")
    assert "every check passed" in automl("plugins", "--check", "zz_good")
    out = automl("plugins", "--check", "zz_good", "zz_bad", "zz_failed", code=2)
    assert "  ok      good_mae::direction\n" in out
    assert "  FAILED  bad_mae::direction\n    metric 'bad_mae', check direction: regression: maximize=True" in out
    assert "      mend: say maximize=True where higher is better" in out
    assert "plugins that break the contract: zz_bad, zz_failed\n" in out
    assert "plugins.deny=[zz_bad,zz_failed]" in out
    automl("plugins", "--check", "zz_god", code=2)
    assert "did you mean 'zz_good'" in automl.err
