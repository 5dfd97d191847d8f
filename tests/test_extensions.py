"""Views, splits, exporters, report sections and verbs of a plugin, in real runs; and what a broken one does."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from automl import AutoML, load
from automl.archive import pack
from automl.data.read import read
from automl.errors import RefusedError, StorageError
from automl.plugins import installed

PLUGIN = """
    from pathlib import Path
    import numpy as np
    import polars as pl
    from automl import Exporter, Family, Fold, Run, Section, SplitKind, Verb, View, ViewKind, hookimpl

    class Ranks(View):
        def __init__(self, known):
            self.known, self.names = known, list(known)

        @classmethod
        def fit(cls, rows):
            assert rows.table.height == len(rows.y) and rows.classes == 3
            return cls({c.name: c.sort().to_numpy() for c in rows.table.select(pl.selectors.numeric())})

        @classmethod
        def load(cls, folder):
            return cls(dict(np.load(folder / "ranks.npz")))

        def save(self, folder):
            np.savez(folder / "ranks.npz", **self.known)

        def transform(self, table):
            below = [np.searchsorted(v, table[n].to_numpy()) / len(v) for n, v in self.known.items()]
            return np.column_stack(below).astype(np.float32)

    def alternate(rows):
        numbers = np.arange(len(rows.y))
        return [Fold(numbers[numbers % 3 != i], numbers[numbers % 3 == i]) for i in range(3)], "every third row"

    def trouble(run):
        raise RuntimeError("no ink")

    @hookimpl
    def automl_families():
        yield Family("ranked", {"classification": "sklearn.neighbors:KNeighborsClassifier"}, eats="ranks")

    @hookimpl
    def automl_views():
        yield ViewKind("ranks", Ranks.fit, Ranks.load)

    @hookimpl
    def automl_splits():
        yield SplitKind("alternate", alternate)

    @hookimpl
    def automl_exporters():
        yield Exporter("members", lambda p, path: path.write_text(p.describe().to_csv()), ".csv", "members")

    @hookimpl
    def automl_sections():
        yield Section("ink", "Ink", trouble)
        yield Section("note", "A <note>", lambda run: [f"{len(run.trials)} trials & more"], place=15)
        yield Section("nothing", "Nothing", lambda run: [])

    @hookimpl
    def automl_verbs():
        yield Verb("count", lambda words: print(len(Run.open(words[0]).trials)), "how many trials")
        yield Verb("refuse", lambda words: 3, "never content")

    @hookimpl
    def automl_trial_started(run, trial):
        with (run.folder / "started.txt").open("a") as file:
            file.write(trial.name + " ")
"""


@pytest.fixture
def extended(install_plugin):
    install_plugin("extended", PLUGIN)


def test_a_run_goes_by_the_split_and_the_view_of_a_plugin(extended, tmp_path, automl):
    run = tmp_path / "run"
    out = automl("fit", "data=iris", "families=[ranked]", "split.kind=alternate", "budget.trials=2", f"run.dir={run}")
    assert "split    alternate: every third row" in out
    assert (run / "started.txt").read_text().split()[0] == "baseline-0"
    manifest = json.loads((run / "model" / "manifest.json").read_text())
    assert {view.partition("-")[0] for view in manifest["views"]} >= {"ranks"}
    predictor = load(run)
    table = read("sklearn:iris", installed().readers).drop("target")
    assert (predictor.predict_proba(table).argmax(axis=1)[:50] == 0).all()
    automl("export", run, "-o", tmp_path / "model.zip")
    assert (load(tmp_path / "model.zip").predict_proba(table) == predictor.predict_proba(table)).all()
    automl("export", run, "-o", tmp_path / "members.csv")
    assert "ranked" in (tmp_path / "members.csv").read_text()
    assert automl("count", run).strip() == "2"
    automl("refuse", code=3)
    automl("report", run)
    page = (run / "report.html").read_text()
    assert "A &lt;note&gt;" in page
    assert "2 trials &amp; more" in page
    assert "section &#x27;ink&#x27;: RuntimeError: no ink" in page
    assert "Nothing" not in page
    places = [page.index(title) for title in ("What was asked", "A &lt;note&gt;", "The answer", "Do it again")]
    assert places == sorted(places)
    assert "view ranks, split alternate, exporter members, section ink" in automl("plugins")


def test_a_predictor_names_the_view_that_is_not_there(extended, tmp_path):
    model = AutoML(
        families=["ranked"], output_dir=tmp_path / "run", overrides=["budget.trials=1", "executor=inprocess"]
    )
    model.fit("sklearn:iris", target="target")
    code = "from automl import load; import sys; load(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "the predictor has a view 'ranks', which no plugin gives" in done.stderr


BROKEN = """
    from automl import ExecutorKind, Exporter, SplitKind, Verb, hookimpl

    def fails(*anything):
        raise RuntimeError("no ink")

    @hookimpl
    def automl_splits():
        yield SplitKind("cards", fails)

    @hookimpl
    def automl_executors():
        yield ExecutorKind("far", "no_such_module:Far")
        yield ExecutorKind("idle", "broken_faces:fails")

    @hookimpl
    def automl_exporters():
        yield Exporter("inky", fails, ".ink")

    @hookimpl
    def automl_verbs():
        yield Verb("sing", fails, "a song")
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fit", "data=iris", "split.kind=cards"], "hook automl_splits, split 'cards': RuntimeError: no ink"),
        (["fit", "data=iris", "executor.kind=far"], "hook automl_executors, executor 'far': ModuleNotFoundError"),
        (["fit", "data=iris", "executor.kind=idle"], "hook automl_executors, executor 'idle': TypeError"),
        (["export", "MODEL", "-o", "x.ink"], "hook automl_exporters, exporter 'inky': RuntimeError: no ink"),
        (["sing"], "hook automl_verbs, verb 'sing': RuntimeError: no ink"),
    ],
    ids=["split", "executor", "executor that does not start", "exporter", "verb"],
)
def test_what_a_plugin_gives_and_raises_is_told_without_a_traceback(words, told, model, install_plugin, automl):
    install_plugin("broken_faces", BROKEN)
    automl(*(str(model) if word == "MODEL" else word for word in words), code=2)
    assert f"error: plugin 'broken_faces', {told}" in automl.err
    assert "mend it, or leave it out by plugins.deny=[broken_faces]" in automl.err


def test_unknown_verbs_and_exporters_name_those_there_are(extended, tmp_path, automl):
    automl("cuont", code=2)
    assert "did you mean 'count'?" in automl.err
    automl("export", tmp_path, "-o", tmp_path / "x.onnx", code=2)
    assert "no exporter writes it; Known: zip (.zip), members (.csv), card (.md)" in automl.err
    (tmp_path / "x.zip").write_text("")
    automl("export", tmp_path, "-o", tmp_path / "x.zip", code=5)


SPLIT = """
    import numpy as np
    from automl import Fold, SplitKind, hookimpl

    @hookimpl
    def automl_splits():
        yield SplitKind("odd", lambda rows: ({folds}, ""))
"""


@pytest.mark.parametrize(
    ("folds", "what"),
    [
        ("[]", "split=odd gave no folds"),
        ("[Fold(np.arange(5), np.arange(4, 8))]", "a row twice"),
        ("[Fold(np.arange(5), np.arange(5, 500))]", "one that is not among the 150"),
        ("[Fold(np.arange(5), np.empty(0, int))]", "without row numbers"),
    ],
)
def test_folds_that_are_none_are_refused(folds, what, install_plugin, tmp_path, automl):
    install_plugin("odd", SPLIT.format(folds=folds))
    automl("fit", "data=iris", "split.kind=odd", f"run.dir={tmp_path / 'run'}", code=2)
    assert what in automl.err
    assert not (tmp_path / "run").exists()


def test_a_view_that_raises_costs_its_trials_and_no_more(install_plugin, tmp_path):
    source = """
        from automl import Family, ViewKind, hookimpl

        def fit(rows):
            raise ValueError("cannot see")

        @hookimpl
        def automl_families():
            yield Family("blind", {"classification": "sklearn.neighbors:KNeighborsClassifier"}, eats="dark")

        @hookimpl
        def automl_views():
            yield ViewKind("dark", fit, fit)
    """
    install_plugin("dark", source)
    model = AutoML(families=["blind", "logistic"], output_dir=tmp_path / "run", overrides=["budget.trials=3"])
    model.fit("sklearn:iris", target="target")
    reasons = {trial.family: trial.reason for trial in model.trials_ if trial.status == "failed"}
    assert reasons == {"blind": "ValueError: cannot see"}
    assert any(trial.family == "logistic" and trial.status == "ok" for trial in model.trials_)


def test_a_fit_watches_some_of_the_validation_rows_if_they_are_many(install_plugin, tmp_path, monkeypatch):
    source = """
        from automl import Family, hookimpl
        from sklearn.neighbors import KNeighborsClassifier

        class Watcher(KNeighborsClassifier):
            def fit(self, X, y, validation):
                seen, labels = validation
                assert len(seen) == len(labels) == 17, len(labels)
                assert len(set(labels)) == 3
                return super().fit(X, y)

        @hookimpl
        def automl_families():
            yield Family("watcher", {"classification": f"{__name__}:Watcher"}, can={"validation"})
    """
    install_plugin("watch", source)
    monkeypatch.setattr("automl.execute.trial._WATCHED", 20)
    said = ["executor=inprocess", "split.folds=3", "split.kind=kfold", "budget.trials=1"]
    model = AutoML(families=["watcher"], output_dir=tmp_path / "run", overrides=said)
    model.fit("sklearn:iris", target="target")
    tried = [trial for trial in model.trials_ if trial.family == "watcher"]
    assert [(trial.status, trial.reason) for trial in tried] == [("ok", "")]


def test_a_metric_that_raises_is_told_with_its_plugin(install_plugin, tmp_path, automl):
    source = """
        from automl import Metric, hookimpl

        def sour(y, prediction, weight):
            raise RuntimeError("no lemons")

        @hookimpl
        def automl_metrics():
            yield Metric("sour", sour, True, {"multiclass"}, "proba")
    """
    install_plugin("lemons", source)
    automl("fit", "data=iris", "metric=sour", f"run.dir={tmp_path / 'run'}", code=4)
    assert "plugin 'lemons', hook automl_metrics, metric 'sour': RuntimeError: no lemons" in automl.err
    assert "plugins.deny=[lemons]" in automl.err


def test_a_family_whose_view_no_plugin_gives_is_left_out(install_plugin):
    source = """
        from automl import Family, hookimpl
        automl_api = 1

        @hookimpl
        def automl_families():
            yield Family("hungry", "x:Y", eats="dnse")
    """
    install_plugin("hungry", source)
    registry = installed.__wrapped__()
    assert registry.plugins["hungry"].state == "failed"
    assert "eats the view 'dnse', which no plugin gives; did you mean 'dense'?" in registry.plugins["hungry"].reason
    assert "hungry" not in registry.families
    assert "lightgbm" in registry.families


@pytest.mark.parametrize(
    ("said", "fix"), [("99", "upgrade automl"), ("0", "look for a newer version"), ("'1'", "look for a newer version")]
)
def test_a_plugin_for_another_contract_is_left_out(said, fix, install_plugin):
    install_plugin("other", f"automl_api = {said}")
    plugin = installed.__wrapped__().plugins["other"]
    assert plugin.state == "failed"
    assert f"it was written for contract automl_api = {said}, and this automl has 1: " in plugin.reason
    assert fix in plugin.reason


# Archives


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "run"
    said = ["budget.trials=1", "executor=inprocess"]
    AutoML(families=["ridge"], output_dir=folder, overrides=said).fit(np.arange(60.0).reshape(30, 2), np.arange(30.0))
    return folder


def test_an_archive_is_the_same_bytes_each_time_and_loads(model, tmp_path):
    predictor = load(model)
    pack(predictor, tmp_path / "a.zip")
    pack(predictor, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    X = np.arange(6.0).reshape(3, 2)
    assert (load(tmp_path / "a.zip").predict(X) == predictor.predict(X)).all()


def test_a_model_card_says_what_a_predictor_is(tmp_path, automl):
    table = tmp_path / "shop.csv"
    days = [f"2024-01-{day:02}" for day in range(1, 31)]
    rows = [
        f"{i * 7 % 11 + 0.5},{day},{'a|b' if i % 3 else 'c'},{'yes' if i % 2 else 'no'}" for i, day in enumerate(days)
    ]
    table.write_text("\n".join(["size,day,shop,bought", *rows]))
    said = ["budget.trials=1", "executor=inprocess"]
    AutoML(families=["logistic"], output_dir=tmp_path / "run", overrides=said).fit(table, target="bought")
    automl("export", tmp_path / "run", "-o", tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text()
    assert card.startswith("# bought\n\nA binary predictor, made by automl at 20")
    assert "Classes: no, yes." in card
    assert "It learned from 30 rows, with seed 0." in card
    assert "| size | numeric | 0.5 to 10.5 | 0 |  |" in card
    assert "| day | datetime | 2024-01-01" in card
    assert "| shop | category | 2 different | 0 |  |" in card
    assert "| logistic | " in card
    assert "| scikit-learn | " in card


def test_a_foreign_or_changed_archive_is_refused(model, tmp_path):
    (tmp_path / "no.zip").write_bytes(b"PK not at all")
    with pytest.raises(StorageError, match="is no archive of a predictor"):
        load(tmp_path / "no.zip")
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../manifest.json", "{}")
    with pytest.raises(RefusedError, match="leads out of it"):
        load(tmp_path / "out.zip")
    assert not (tmp_path.parent / "manifest.json").exists()
    pack(load(model), tmp_path / "good.zip")
    with zipfile.ZipFile(tmp_path / "good.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name) + (b" " if name.startswith("views") else b""))
    with pytest.raises(RefusedError, match="was changed after it was saved"):
        load(tmp_path / "bad.zip")


def test_a_run_without_trouble_has_a_report_without_it(model, automl, tmp_path):
    automl("report", model, "-o", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "rmse" in page
    assert "What did not work" not in page
    assert 'class="trouble"' not in page
    assert "<script" not in page
