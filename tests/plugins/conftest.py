"""Real data and a fresh process for the tests of the first-party plugins."""

import subprocess
import sys
from importlib.resources import files
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


def in_fresh_process(family: Family, kind: str, folder, X: np.ndarray) -> np.ndarray:
    """What the saved model answers in a process that has not seen its training."""
    np.save(folder / "X.npy", X)
    place = family.load(kind)
    method = "predict" if kind == "regression" else "predict_proba"
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        f"from {place.__module__} import {place.__name__} as Estimator\n"
        "folder = Path(sys.argv[1])\n"
        f"np.save(folder / 'answer.npy', Estimator.load(folder).{method}(np.load(folder / 'X.npy')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return np.load(folder / "answer.npy")
