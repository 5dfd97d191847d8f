"""Plugins load in isolation: a broken one is named with its reason, and the others work."""

import sys

import pytest

from automl.errors import ConfigError
from automl.plugins import installed

GOOD = """
    from automl import Family, hookimpl

    @hookimpl
    def automl_families():
        yield Family("mynn", {"classification": "sklearn.neighbors:KNeighborsClassifier"})
"""


def loaded(**choice):
    return installed.__wrapped__(**choice)


def test_a_third_party_comes_in_by_the_same_door(install_plugin):
    install_plugin("neighborly", GOOD)
    registry = loaded()
    plugin = registry.plugins["neighborly"]
    assert (plugin.state, plugin.version, plugin.adds) == ("loaded", "1.2", ["family mynn"])
    assert registry.family("mynn").plugin == "neighborly"
    assert "lightgbm" in registry.families


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("raise RuntimeError('boom')", "RuntimeError: boom; install what it lacks or mend it, or leave it out by plug"),
        ("def (", "SyntaxError"),
        ("raise SystemExit('a script')", "zz_broken cannot be imported: SystemExit: a script"),
        ("automl_api = 1", "it adds nothing: it has no function with @hookimpl"),
        (
            """
            def automl_families():
                return []
            """,
            "automl_families is not marked as a hook: write @hookimpl above it",
        ),
        (
            """
            from automl import hookimpl
            @hookimpl
            def automl_families():
                raise RuntimeError("boom")
            """,
            "hook automl_families: RuntimeError: boom",
        ),
        (
            """
            from automl import hookimpl
            @hookimpl
            def automl_trial_finished(run, trail):
                pass
            """,
            "automl_trial_finished takes 'trail', which it is not given; did you mean 'trial'? It may take run, trial",
        ),
        (
            """
            from automl import Reader, hookimpl
            @hookimpl
            def automl_readers():
                yield Reader("deltas", read="deltas:read", schemes=("delta",))
            """,
            "hook automl_readers: reader 'deltas' has read='deltas:read', which must be a function",
        ),
        (
            """
            from automl import Reader, hookimpl
            @hookimpl
            def automl_readers():
                yield Reader("mine", read=print, suffixes=(".mine", ".csv"))
            """,
            "'.csv' of reader 'mine' is already read by 'csv'; give it a suffix or a scheme of its own",
        ),
        (
            """
            from automl import Verb, hookimpl
            @hookimpl
            def automl_verbs():
                yield Verb("fit", print, "my own fit")
            """,
            "hook automl_verbs: verb 'fit' is automl's own",
        ),
        (
            """
            from automl import hookimpl
            @hookimpl
            def automl_conf():
                return "/no/such/folder"
            """,
            "hook automl_conf gave /no/such/folder, which is no folder",
        ),
        (
            """
            from automl import Family, hookimpl
            @hookimpl
            def automl_families():
                yield Family("fine", "x:Y", {"binry"})
            """,
            "hook automl_families: family 'fine': tasks has the unknown 'binry'; did you mean 'binary'?",
        ),
        (
            """
            from automl import Family, hookimpl
            @hookimpl
            def automl_families():
                yield Family("fine", "x:Y", can={"wieghts"})
            """,
            "can has the unknown 'wieghts'; did you mean 'weights'? Known: weights, validation",
        ),
        (
            """
            from automl import Family, hookimpl
            @hookimpl
            def automl_families():
                yield Family("fine", "x:Y", requires="torch")
            """,
            "requires is the text 'torch'; write requires=['torch']",
        ),
        (
            """
            from automl import hookimpl
            @hookimpl
            def automl_families():
                return [42]
            """,
            "must give Family objects, not int",
        ),
        (
            """
            from automl import hookimpl
            @hookimpl
            def automl_families():
                return 42
            """,
            "must return a list or yield",
        ),
        (
            """
            from automl import hookimpl
            @hookimpl
            def automl_famlies():
                return []
            """,
            "unknown hook 'automl_famlies'; did you mean 'automl_families'?",
        ),
        (
            """
            from automl import Family, hookimpl
            @hookimpl
            def automl_families():
                yield Family("lightgbm", "x:Y")
            """,
            "family 'lightgbm' is already given by plugin 'boosting'",
        ),
        (
            """
            from automl import Family, hookimpl
            @hookimpl
            def automl_families():
                yield Family("fine", "x:Y")
                yield Family("bad", "x:Y", eats="soup")
            """,
            "eats the view 'soup', which no plugin gives",
        ),
    ],
)
def test_a_broken_plugin_is_reported_and_the_rest_work(install_plugin, source, reason):
    install_plugin("zz_broken", source)
    registry = loaded()
    assert registry.plugins["zz_broken"].state == "failed"
    assert reason in registry.plugins["zz_broken"].reason
    assert "fine" not in registry.families
    assert {"lightgbm", "logistic", "extra_trees", "baseline"} <= set(registry.families)
    with pytest.raises(ConfigError, match="zz_broken"):
        registry.family("fine")


def test_two_distributions_with_one_plugin_name_are_an_error(install_plugin):
    install_plugin("one", GOOD, "dist_one", "same")
    install_plugin("two", GOOD, "dist_two", "same")
    with pytest.raises(ConfigError, match=r"(dist_one and dist_two|dist_two and dist_one).*plugins\.deny=\[same\]"):
        loaded()
    assert loaded(deny=("same",)).plugins["same"].state == "denied"


def test_allow_deny_autoload_and_the_environment_choose(monkeypatch):
    assert loaded(allow=("linear",)).families.keys() == {
        f.name for f in loaded().families.values() if f.plugin == "linear"
    }
    assert loaded(deny=("boosting",)).plugins["boosting"].reason == "in plugins.deny"
    assert not loaded(autoload=False).families
    monkeypatch.setenv("AUTOML_PLUGINS", "forest, baseline")
    assert {f.plugin for f in loaded().families.values()} == {"forest", "baseline"}
    monkeypatch.setenv("AUTOML_PLUGINS", "")
    assert not loaded().families
    assert loaded().metrics, "the core's own are always there"


def test_the_list_shows_the_plugins_as_a_config_has_them(automl):
    shown = automl("plugins", "plugins.deny=[boosting]").splitlines()
    (line,) = [line for line in shown if line.startswith("boosting")]
    assert "denied" in line
    assert line.endswith("in plugins.deny")
    automl("plugins", "boosting", code=2)
    assert "'boosting' does not say which plugins to load; plugins.deny=[NAME] does" in automl.err


def test_the_verbs_that_plugins_may_not_have_are_those_of_the_command_line():
    from automl.cli import VERBS
    from automl.faces import OWN_VERBS

    assert set(OWN_VERBS) == VERBS.keys()


def test_allowing_a_plugin_that_is_not_installed_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'boosting'"):
        loaded(allow=("bosting",))


def test_a_listener_that_raises_is_named_and_the_others_hear(install_plugin):
    install_plugin(
        "noisy",
        """
        from automl import hookimpl
        heard = []
        @hookimpl
        def automl_run_finished(run):
            heard.append(run)
            raise ValueError("no tracker")
        @hookimpl
        def automl_run_started(run):
            raise SystemExit("no line")
        """,
    )
    registry = loaded()
    assert registry.emit("run_finished", run="a run") == [
        "plugin 'noisy', hook automl_run_finished: ValueError: no tracker; the run goes on; mend it, or leave it out "
        "by plugins.deny=[noisy]"
    ]
    assert registry.plugins["noisy"].adds == ["listener run_started", "listener run_finished"]
    assert "SystemExit: no line" in registry.emit("run_started", run="a run")[0]
    assert sys.modules["noisy"].heard == ["a run"]


def test_families_are_chosen_by_their_name_or_their_plugins():
    registry = loaded()
    assert {f.plugin for f in registry.select(["boosting"], "binary")} == {"boosting"}
    assert [f.name for f in registry.select(["linear"], "binary")] == ["logistic", "discriminant"]
    with pytest.raises(ConfigError, match="did you mean 'boosting'"):
        registry.select(["bosting"], "binary")
    with pytest.raises(ConfigError, match="at least one"):
        registry.select([], "binary")
    with pytest.raises(ConfigError, match="cannot learn a binary task"):
        registry.select(["glm"], "binary")


def test_a_family_that_lacks_its_library_says_what_to_install(install_plugin):
    install_plugin(
        "lacking",
        """
        from automl import Family, hookimpl
        @hookimpl
        def automl_families():
            yield Family("gpu_thing", "x:Y", requires=("no_such_library",))
        """,
    )
    registry = loaded()
    assert "gpu_thing" not in {f.name for f in registry.select(None, "binary")}
    with pytest.raises(ConfigError, match=r"needs no_such_library, .*: pip install no_such_library$"):
        registry.select(["gpu_thing"], "binary")


def test_importing_the_core_and_listing_plugins_imports_no_heavy_library():
    import subprocess

    code = (
        "import sys, automl; from automl.plugins import installed; installed();"
        "heavy = {'lightgbm', 'xgboost', 'catboost', 'sklearn', 'optuna', 'torch', 'pandas'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_a_family_that_declares_it_is_told_the_metric():
    from automl import Family

    place = {"classification": "sklearn.neighbors:KNeighborsClassifier"}
    assert Family("plain", place).build("binary", {}, metric="roc_auc", n_jobs=1).metric == "minkowski"
    assert Family("told", place, can={"metric"}).build("binary", {}, metric="roc_auc").metric == "roc_auc"
