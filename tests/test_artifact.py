"""The artifact: a folder that was tampered with, cut short or meant for somebody else is refused by name."""

import hashlib
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from automl import AutoML, Family, load
from automl import predictor as predictor_module
from automl.artifact import load_model, save_model
from automl.errors import ConfigError, RefusedError, StorageError
from automl.plugins import installed

QUICK = ("executor=inprocess", "split.kind=kfold", "split.folds=2", "predictor.refit=none")


def shop(n=300, seed=0):
    """Half of the outcome is a line, half a step that a line cannot take, so that two families do better than one."""
    rng = np.random.default_rng(seed)
    line, price, colour = rng.normal(size=(n, 5)), rng.normal(size=n), rng.choice(["red", "green", "blue"], n)
    step = np.where((price > 0) ^ (colour == "red"), 2, -2)
    sold = line.sum(axis=1) + step + rng.normal(size=n) > 0
    frame = pd.DataFrame(line, columns=["size", "b", "c", "d", "e"])
    frame = frame.assign(price=price, colour=colour, sold=np.where(sold, "yes", "no"))
    frame.loc[::11, "size"] = np.nan
    return frame


TABLE = shop()
X, FRESH = TABLE.drop(columns="sold"), shop(80, seed=1)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    extra = ("budget.trials=2", "search.prune=0", "search.order=priority", "family.lightgbm.params.n_estimators=30")
    folder = tmp_path_factory.mktemp("runs") / "out"
    model = AutoML(families=["logistic", "lightgbm"], random_state=1, overrides=(*QUICK, *extra), output_dir=folder)
    return model.fit(TABLE, "sold")


@pytest.fixture
def folder(fitted, tmp_path):
    """A copy of the predictor to tamper with."""
    return fitted.predictor_.save(tmp_path / "model")


def manifest(folder, change=None):
    """The manifest of a folder, written back if `change` changes it."""
    file = folder / "manifest.json"
    said = json.loads(file.read_text())
    if change is not None:
        change(said)
        file.write_text(json.dumps(said))
    return said


def reseal(folder, name):
    """Make the manifest agree with the file as it is now."""
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    manifest(folder, lambda said: said["files"].update({name: digest}))


def test_a_changed_byte_in_any_file_is_refused_by_name(folder):
    names = list(manifest(folder)["files"])
    assert len(names) > 8
    for name in names:
        was = (folder / name).read_bytes()
        middle = len(was) // 2
        (folder / name).write_bytes(was[:middle] + bytes([was[middle] ^ 1]) + was[middle + 1 :])
        with pytest.raises(RefusedError, match=f"{name} was changed"):
            load(folder)
        (folder / name).write_bytes(was)
    load(folder)


def test_a_missing_file_and_one_too_many_are_named(folder):
    name = next(name for name in manifest(folder)["files"] if name.endswith("view.npz"))
    was = (folder / name).read_bytes()
    (folder / name).unlink()
    with pytest.raises(StorageError, match=f"{name} is missing"):
        load(folder)
    (folder / name).write_bytes(was)
    (folder / "members" / "more.pkl").touch()
    with pytest.raises(RefusedError, match=r"members/more\.pkl is not in the manifest"):
        load(folder)


def test_a_manifest_of_another_format(folder):
    manifest(folder, lambda said: said.update(format=99))
    with pytest.raises(StorageError, match=r"manifest\.json has format 99; this automl reads format 1"):
        load(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda said: "{not JSON",
        lambda said: "\ud800".encode("utf-16", "surrogatepass"),
        lambda said: [],
        lambda said: {},
        lambda said: {"format": 1},
        lambda said: {**said, "files": 3},
        lambda said: {**said, "files": list(said["files"])},
        lambda said: {key: value for key, value in said.items() if key != "task"},
        lambda said: {**said, "task": "binary"},
        lambda said: {**said, "task": {**said["task"], "colour": "red"}},
        lambda said: {**said, "schema": None},
        lambda said: {**said, "members": None},
        lambda said: {**said, "members": []},
        lambda said: {**said, "members": [{"name": "x"}]},
        lambda said: {**said, "views": []},
        lambda said: {**said, "facts": None},
    ],
)
def test_a_damaged_manifest(folder, damage):
    broken = damage(manifest(folder))
    text = broken if isinstance(broken, bytes) else (broken if isinstance(broken, str) else json.dumps(broken)).encode()
    (folder / "manifest.json").write_bytes(text)
    with pytest.raises(StorageError, match=r"manifest\.json is damaged"):
        load(folder)


def test_what_is_no_predictor(fitted, tmp_path):
    with pytest.raises(StorageError, match=f"did you mean '{fitted.run_dir_}'"):
        load(str(fitted.run_dir_).replace("out", "oout"))
    with pytest.raises(StorageError, match=r"no manifest\.json"):
        load(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="is no archive of a predictor"):
        load(tmp_path / "file")


class Foreign:
    """A type that no family brings."""

    def predict(self, X):
        raise AssertionError("foreign code ran")


@pytest.mark.parametrize("nested", [False, True])
def test_a_foreign_type_in_a_skops_file_is_refused(folder, nested):
    name = next(name for name in manifest(folder)["files"] if name.endswith(".skops"))
    estimator = LogisticRegression() if nested else Foreign()
    if nested:
        estimator.coef_ = Foreign()
    skops.io.dump(estimator, folder / name)
    reseal(folder, name)
    with pytest.raises(RefusedError, match=rf"{name}: holds types that are not trusted: \S*Foreign"):
        load(folder)


def test_a_file_of_another_kind_in_a_members_place(folder):
    name = next(name for name in manifest(folder)["files"] if name.endswith(".skops"))
    (folder / name).write_bytes(pickle.dumps(LogisticRegression()))
    reseal(folder, name)
    with pytest.raises(StorageError, match=r"member logistic-\d-\d cannot be loaded"):
        load(folder)


def test_a_model_of_a_family_whose_plugin_is_not_there(folder, monkeypatch):
    without = installed(deny=("boosting",))
    monkeypatch.setattr(predictor_module, "installed", lambda: without)
    with pytest.raises(ConfigError, match="lightgbm model, a family of the plugin 'boosting', which is not loaded"):
        load(folder)


def test_a_model_of_a_family_whose_library_is_not_there(folder, monkeypatch):
    family = installed().families["lightgbm"]
    monkeypatch.setitem(installed().families, "lightgbm", type(family)(**{**vars(family), "requires": ("nowhere",)}))
    with pytest.raises(ConfigError, match=r"needs nowhere: pip install 'automl\[boosting\]'"):
        load(folder)


def test_a_third_partys_estimator_comes_back_by_its_own_class(unruly, tmp_path):
    model = AutoML(families=["unruly"], overrides=("executor=inprocess", "split=holdout", "budget.trials=1"))
    model.fit(TABLE, "sold").predictor_.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again.members[0].estimator).__name__ == "Unruly"
    np.testing.assert_array_equal(again.predict_proba(FRESH), np.full((len(FRESH), 2), 0.5))


@pytest.mark.parametrize(
    "place",
    [
        "sklearn.neighbors:KNeighborsClassifier",
        "sklearn.tree:DecisionTreeClassifier",
        "sklearn.ensemble:HistGradientBoostingClassifier",
        "sklearn.ensemble:GradientBoostingClassifier",
        "sklearn.neural_network:MLPClassifier",
        "sklearn.gaussian_process:GaussianProcessClassifier",
        "sklearn.naive_bayes:GaussianNB",
        "sklearn.svm:SVC",
        "sklearn.calibration:CalibratedClassifierCV",
        "sklearn.discriminant_analysis:QuadraticDiscriminantAnalysis",
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learns_own_estimators_are_saved_and_loaded_as_they_are(place, tmp_path):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 4)).astype("float32")
    family = Family("any", {"classification": place})
    estimator = family.build("binary", {}, random_state=0).fit(features, features[:, 0] > 0)
    save_model(estimator, tmp_path)
    again = load_model(family, "binary", tmp_path)
    assert np.array_equal(estimator.predict(features), again.predict(features))
