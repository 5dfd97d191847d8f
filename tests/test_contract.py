"""A plugin that breaks the contract is left out, with its name and what to mend, and the run goes on."""

import numpy as np
import polars as pl
import pytest

from automl import load
from automl.compose import compose
from automl.errors import ConfigError
from automl.fit import fit
from automl.machine import gpus
from automl.plan import plan
from automl.plugins import installed

FAMILY = """
from automl import Family, hookimpl
automl_api = 1
@hookimpl
def automl_families():
    yield Family("odd", "odd_plugin:{cls}")
class NoFit:
    def predict(self, X): return X
from sklearn.base import BaseEstimator, ClassifierMixin
class Fine(ClassifierMixin, BaseEstimator):
    def __init__(self, depth=1): self.depth = depth
    def fit(self, X, y): raise RuntimeError("I will not")
    def predict(self, X): return X
"""
ON_DEVICE = """
from sklearn.naive_bayes import GaussianNB
class OnDevice(GaussianNB):
    def __init__(self, device="none"):
        super().__init__()
        self.device = device
    def get_params(self, deep=True): return {"device": self.device}
"""
SMALL = ("data=iris", "executor=inprocess", "split=kfold", "split.folds=2", "run.progress=quiet", "search.prune=0")


@pytest.fixture
def odd(install_plugin):
    """Install a plugin whose family `odd` has this estimator and this YAML."""

    def install(cls="Fine", conf=""):
        folder = install_plugin("odd_plugin", FAMILY.format(cls=cls))
        (folder / "conf" / "family").mkdir(parents=True)
        (folder / "conf" / "family" / "odd.yaml").write_text(conf)

    return install


@pytest.mark.parametrize(
    ("conf", "what"),
    [
        ("spce: {}", "unknown key 'spce'; did you mean 'space'?"),
        ("priority: soon", "priority: 'soon' is no integer"),
        ("space: {depth: {int: [5, 1]}}", "family.odd.space.depth"),
        ("space: {depth: {integer: [1, 5]}}", "family.odd.space.depth"),
        ("when: {max_rws: 5}", "family.odd.when.max_rws: no such condition; did you mean 'max_rows'?"),
        ("portfolio: [{depth: 1, when: {rows: 5}}]", "family.odd.portfolio[0].when.rows: no such condition"),
        ("params: [", "conf/family/odd.yaml"),
        ("- a list", "conf/family/odd.yaml"),
    ],
)
def test_a_config_of_a_plugin_that_cannot_be_used_leaves_it_out(odd, automl, conf, what):
    odd(conf=conf)
    planned = plan(compose(["data=iris"]))
    assert "odd" not in planned.families
    assert "logistic" in planned.families
    note = next(note for note in planned.notes if "odd_plugin" in note)
    assert note.startswith("plugin odd_plugin is left out: conf/family/odd.yaml: ")
    assert what in note
    installed.cache_clear()
    shown = automl("plugins")
    assert what in next(line for line in shown.splitlines() if line.startswith("odd_plugin"))
    assert what in automl("fit", "data=iris", "families=[odd]", code=2) + automl.err


def test_what_the_user_says_wrongly_of_a_sound_plugin_is_the_users_error(odd, automl):
    odd()
    automl("fit", "data=iris", "family.odd.space.depth={int: [5, 1]}", "--dry-run", code=2)
    assert "family.odd.space.depth" in automl.err
    assert installed().plugins["odd_plugin"].state == "loaded"


@pytest.mark.parametrize(
    ("cls", "conf", "what"),
    [
        ("Missing", "", "its estimator odd_plugin:Missing cannot be imported (AttributeError"),
        ("NoFit", "", "its estimator odd_plugin:NoFit has no fit"),
        ("Fine", "params: {dpth: 3}", "family.odd.params.dpth: Fine has no such parameter; did you mean 'depth'?"),
        ("Fine", "space: {dpth: {int: [1, 9]}}", "Fine has no such parameter"),
    ],
)
def test_a_family_whose_estimator_is_none_leaves_the_race_at_once(odd, tmp_path, cls, conf, what):
    odd(cls, conf)
    run = fit(compose([*SMALL, "families=[odd,logistic]", "budget.trials=9", f"run.dir={tmp_path / 'run'}"]))
    told = "odd is left out: plugin 'odd_plugin', hook automl_families"
    notes = [note for note in run.notes if note.startswith(told)]
    assert len(notes) == 1
    assert what in notes[0]
    failed = [trial for trial in run.trials if trial.family == "odd"]
    assert 1 <= len(failed) <= 4  # a proposal knows the outcomes of all but the last few
    assert {trial.status for trial in failed} == {"failed"}
    assert sum(trial.status == "ok" for trial in run.trials if trial.family == "logistic") >= 5


def test_a_listener_that_always_raises_is_noted_once(install_plugin, tmp_path):
    install_plugin(
        "noisy",
        """
        from automl import hookimpl
        @hookimpl
        def automl_trial_finished(run, trial):
            raise ValueError(f"no {trial.name}")
        """,
    )
    run = fit(compose([*SMALL, "families=[logistic]", "budget.trials=3", f"run.dir={tmp_path / 'run'}"]))
    notes = [note for note in run.notes if "noisy" in note]
    assert len(notes) == 1
    assert notes[0].startswith("plugin 'noisy', hook automl_trial_finished: ValueError: no baseline-0; the run goes on")
    assert (tmp_path / "run" / "log.jsonl").read_text().count("listener_failed") > 2


def test_a_fit_that_raises_is_the_trials_failure_and_no_breach(odd, tmp_path):
    odd(conf="space: {depth: {int: [1, 99]}}")
    run = fit(compose([*SMALL, "families=[odd,logistic]", "budget.trials=9", f"run.dir={tmp_path / 'run'}"]))
    failed = [trial for trial in run.trials if trial.family == "odd"]
    assert {trial.reason for trial in failed} == {"RuntimeError: I will not"}
    assert not [note for note in run.notes if "left out" in note]


def test_a_family_may_ask_for_a_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert gpus() == 2
    overrides = ["data=iris", "family.logistic.when={min_gpus: 1}", "family.discriminant.when={max_gpus: 1}"]
    planned = plan(compose(overrides))
    assert "logistic" in planned.families
    assert "discriminant" not in planned.families
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert gpus() == 0
    assert "logistic" not in plan(compose(overrides)).families


@pytest.mark.parametrize(("visible", "device"), [("0", "cuda"), ("", "cpu")])
def test_a_family_that_declares_gpu_is_told_the_device(visible, device, install_plugin, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    install_plugin(
        "odd_plugin", FAMILY.format(cls="OnDevice").replace('OnDevice")', 'OnDevice", can={"gpu"})') + ON_DEVICE
    )
    run = fit(compose([*SMALL, "families=[odd]", "budget.trials=1", f"run.dir={tmp_path / 'run'}"]))
    assert {trial.status for trial in run.trials} == {"ok"}, [trial.reason for trial in run.trials]
    assert load(run.folder).members[0].estimator.device == device


def test_the_first_party_estimators_are_sound():
    for family in installed().families.values():
        for kind in () if family.missing else family.tasks:
            family.load(kind)


@pytest.mark.parametrize(("target", "suits"), [("few", True), ("below", False), ("even", False)])
def test_an_entry_may_be_for_targets_that_are_skewed_and_never_below_zero(target, suits):
    rng = np.random.default_rng(0)
    few = rng.exponential(size=60)
    table = pl.DataFrame({"x": rng.normal(size=60), "few": few, "below": few - 0.1, "even": rng.random(60)})
    entry = "family.ridge.portfolio=[{alpha: 2.0}, {alpha: 3.0, when: {min_target_low: 0, min_target_skew: 0.5}}]"
    planned = plan(compose([f"target={target}", "families=[ridge]", entry]), table)
    assert len(planned.families["ridge"].portfolio) == 1 + suits


def test_a_dimension_may_be_for_some_tables_only():
    rng = np.random.default_rng(0)
    alike = pl.DataFrame({f"p{i}": rng.uniform(0, 16, 60) for i in range(9)}).with_columns(y=pl.Series([0, 1] * 30))
    odd = alike.with_columns(pl.col(f"p{i}") * 10.0**i for i in range(9))
    specs = [plan(compose(["target=y", "families=[svm,mlp]"]), table).families for table in (alike, odd)]
    for name in ("svm", "mlp"):
        suits, not_here = (found[name] for found in specs)
        assert suits.space["view"].values.options == ("dense", "joint")
        assert "view" not in not_here.space
        assert sum(entry.get("view") == "joint" for entry in suits.candidates) == 1
        assert not any("view" in entry for entry in not_here.candidates)


def test_the_view_of_a_candidate_is_what_its_models_eat(tmp_path):
    rng = np.random.default_rng(0)
    table = pl.DataFrame({f"p{i}": rng.uniform(0, 16, 90) for i in range(9)})
    table = table.with_columns(y=(pl.col("p0") > 8).cast(pl.Int64))
    said = ["target=y", "families=[svm]", "budget.trials=2", "executor=inprocess", "split=holdout", "search.ensemble=1"]
    entries = "family.svm.portfolio=[{C: 1.0}, {C: 10.0, view: joint}]"
    run = fit(compose([*said, entries, f"run.dir={tmp_path / 'run'}"]), table)
    assert {trial.params.get("view", "dense") for trial in run.trials[1:]} == {"dense", "joint"}
    view = run.best.params.get("view", "dense")
    predictor = load(run.folder)
    assert {member.view for member in predictor.members} == {f"{view}-0"}
    assert predictor.predict_proba(table.drop("y")).shape == (90, 2)
    with pytest.raises(ConfigError, match="view=codes is none that it eats"):
        installed().family("svm").view_of({"view": "codes"})


def test_a_view_that_a_family_does_not_eat_is_refused_before_any_trial():
    with pytest.raises(ConfigError, match="view=jont is none that it eats; did you mean 'joint'"):
        plan(compose(["data=iris", "families=[svm]", "family.svm.params.view=jont"]))
