"""What several tests share: a way to install a plugin as pip would, and the command line in a folder of its own."""

import logging
import sys
import textwrap

import pytest

from automl.plugins import installed

UNRULY = """
    import gc, os, time
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.linear_model import LogisticRegression
    from automl import Family, hookimpl

    KEPT = []

    class Unruly(ClassifierMixin, BaseEstimator):
        def __init__(self, mode="ok"):
            self.mode = mode

        def fit(self, X, y):
            self.classes_ = np.unique(y)
            if self.mode == "raise":
                raise ValueError("I will not learn this")
            if self.mode == "die":
                os._exit(3)
            if self.mode == "segfault":
                os.kill(os.getpid(), 11)
            if self.mode == "hang":
                time.sleep(3600)
            if self.mode == "hog":
                self.hog_ = np.ones(400_000_000 // 8)
                time.sleep(3600)
            if self.mode == "crumbs":
                crumbs = [bytes(600) for _ in range(300_000)]
                KEPT.append(bytes(600))  # above them in the heap: its end is no free one
                del crumbs
            if self.mode == "collect":
                assert gc.isenabled() and gc.get_freeze_count() > 100_000
            if self.mode == "keep":
                KEPT.append(np.ones(60_000_000 // 8))
            if self.mode == "print":
                os.write(1, b"noise on standard output\\n")
            return self

        def predict_proba(self, X):
            fill = np.nan if self.mode == "nan" else 1 / len(self.classes_)
            return np.full((len(X), len(self.classes_)), fill)

        def predict(self, X):
            return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @hookimpl
    def automl_families():
        yield Family("unruly", "unruly_plugin:Unruly", {"binary", "multiclass"})
"""


@pytest.fixture
def install_plugin(tmp_path_factory, monkeypatch):
    """Install a plugin as pip would: a module and a dist-info with its entry point, in a folder on sys.path."""
    folder = tmp_path_factory.mktemp("site")
    monkeypatch.syspath_prepend(str(folder))
    modules = []

    def install(name, source, distribution=None, point=None):
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
        info = folder / f"{distribution or name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution or name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[automl]\n{point or name} = {name}\n")
        modules.append(name)
        installed.cache_clear()
        return folder

    yield install
    for name in modules:
        sys.modules.pop(name, None)
    installed.cache_clear()


@pytest.fixture
def unruly(install_plugin):
    """A family `unruly` whose parameter `mode` says how its fit misbehaves."""
    return install_plugin("unruly_plugin", UNRULY)


@pytest.fixture
def automl(capsys, tmp_path, monkeypatch):
    """Run a command line, in an empty folder: what it printed. Its exit code must be `code`; `err` has its errors."""
    from automl.cli import main

    def run(*arguments, code=0):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert stopped.value.code == code, captured.err
        run.err = captured.err
        return captured.out

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    yield run
    for handler in logging.getLogger().handlers[:]:  # Hydra's, which hold on to the captured output of this test
        if type(handler) is logging.StreamHandler:
            logging.getLogger().removeHandler(handler)
    if loky := sys.modules.get("joblib.externals.loky"):  # its workers stay, in the folder of this test
        loky.get_reusable_executor().shutdown(wait=True)
