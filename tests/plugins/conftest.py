"""Real data and a fresh process for the tests of the first-party plugins."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import train_test_split

from automl.family import Family, FamilySpec
from automl.space import parse

TABLES = {"binary": load_breast_cancer, "multiclass": load_digits, "regression": load_diabetes}


@pytest.fixture(scope="session")
def tables():
    """Task kind -> X train, X test, y train, y test, as the view `codes` gives them."""
    return {kind: _split(kind, load) for kind, load in TABLES.items()}


def _split(kind, load):
    X, y = load(return_X_y=True)
    y = y.astype(np.float64 if kind == "regression" else np.int64)
    return train_test_split(X.astype(np.float32), y, random_state=0, stratify=None if kind == "regression" else y)


def spec_of(plugin: ModuleType, family: Family) -> FamilySpec:
    """What the plugin's own config says of a family."""
    said = yaml.safe_load((files(plugin.__name__) / "conf" / "family" / f"{family.name}.yaml").read_text())
    space = parse(said.get("space", {}))
    return FamilySpec(said.get("params", {}), space, tuple(said.get("portfolio", ())), said["priority"])


def answer(model, X: np.ndarray) -> np.ndarray:
    """Probabilities of a classifier, values of a regressor."""
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def check_travels(folder: Path, *models: tuple[object, np.ndarray]) -> None:
    """Save models; load them in a process that has not seen their training: each must give the same bits for its X."""
    expected = []
    code = "import numpy as np; from pathlib import Path\n"
    for i, (model, X) in enumerate(models):
        at = folder / str(i)
        model.save(at)
        expected.append(answer(model, X))
        np.save(at / "X.npy", X)
        cls, method = type(model), "predict_proba" if hasattr(model, "predict_proba") else "predict"
        code += f"from {cls.__module__} import {cls.__name__}; at = Path('{i}')\n"
        code += f"np.save(at / 'answer.npy', {cls.__name__}.load(at).{method}(np.load(at / 'X.npy')))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for i, here in enumerate(expected):
        assert (np.load(folder / str(i) / "answer.npy") == here).all(), models[i]
