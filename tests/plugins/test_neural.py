"""The perceptron: it learns what a line cannot, keeps its deadline, and answers without torch."""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression

from automl_neural.mlp import MLPClassifier, MLPRegressor
from automl_neural.network import _RATES, Settings, _Group, _Network

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 5)).astype(np.float32)
CODES = (X[:, 0] * X[:, 1] > 0).astype(int) + 2 * (X[:, 2] > 1)
VALUES = np.sin(2 * X[:, 0]) * X[:, 1] * 30 + 1000
TRAIN, HELD = slice(0, 450), slice(450, 600)
QUICK = {"epochs": 40, "width": 64, "depth": 2, "random_state": 0}


def test_it_learns_what_a_linear_model_cannot():
    model = MLPClassifier(**QUICK).fit(X[TRAIN], CODES[TRAIN], validation=(X[HELD], CODES[HELD]))
    line = LogisticRegression().fit(X[TRAIN], CODES[TRAIN])
    assert model.score(X[HELD], CODES[HELD]) > line.score(X[HELD], CODES[HELD]) + 0.2
    fitted = MLPRegressor(**QUICK).fit(X[TRAIN], VALUES[TRAIN], validation=(X[HELD], VALUES[HELD]))
    assert fitted.score(X[HELD], VALUES[HELD]) > LinearRegression().fit(X, VALUES).score(X, VALUES) + 0.4


def test_its_optimiser_is_torchs_without_torchs_compiler():
    code = (
        "import sys, numpy as np\nfrom automl_neural.mlp import MLPClassifier\n"
        "X = np.random.default_rng(0).normal(size=(90, 3)).astype('f4')\n"
        "MLPClassifier(epochs=2).fit(X, np.arange(90) % 2)\nprint(*{'torch', 'torch._dynamo'} & sys.modules.keys())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["torch"]
    ours, theirs = (torch.linspace(-1, 1, 7, requires_grad=True) for _ in range(2))
    group = _Group(torch, "weight", [ours])
    optimiser = torch.optim.AdamW([theirs], lr=0.03, betas=(0.9, 0.95), weight_decay=0.1)
    for _ in range(9):
        for tensor in (ours, theirs):
            (tensor**3).sum().backward()
        group.step(0.03 / _RATES["weight"], 0.1)
        optimiser.step()
        optimiser.zero_grad()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_labels_come_back_as_they_were_and_shares_sum_to_one():
    labels = np.array(["low", "mid", "high", "top"])[CODES]
    model = MLPClassifier(**QUICK).fit(X[TRAIN], labels[TRAIN])
    shares = model.predict_proba(X[HELD])
    assert set(model.predict(X[HELD])) <= set(labels)
    assert np.allclose(shares.sum(axis=1), 1)
    assert (model.classes_[shares.argmax(axis=1)] == model.predict(X[HELD])).all()


def test_predicted_values_stay_within_those_seen():
    model = MLPRegressor(**QUICK).fit(X[TRAIN], VALUES[TRAIN])
    far = model.predict(100 * X)
    assert far.min() >= VALUES[TRAIN].min()
    assert far.max() <= VALUES[TRAIN].max()


def test_the_seed_decides_and_parameters_are_kept():
    first, again = (clone(MLPClassifier(**QUICK)).fit(X, CODES).predict_proba(X) for _ in range(2))
    other = MLPClassifier(**{**QUICK, "random_state": 1}).fit(X, CODES).predict_proba(X)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_refit_stops_at_the_epoch_that_was_best_on_held_out_rows():
    wild = {**QUICK, "learning_rate": 0.1, "epochs": 40, "dropout": 0.0}
    told = MLPClassifier(**wild).fit(X[:80], CODES[:80], validation=(X[TRAIN], CODES[TRAIN]))
    said = told.refit_params()
    assert said == {"epochs": 40, "stop": told.n_epochs_}
    assert told.n_epochs_ < 40
    again = MLPClassifier(**{**wild, **said}).fit(X[:80], CODES[:80])
    assert again.refit_params() == said
    np.testing.assert_array_equal(again.predict_proba(X), told.predict_proba(X))


def test_weights_count():
    heavy = np.where(CODES == 0, 100.0, 1.0)
    plain, weighted = (MLPClassifier(**QUICK).fit(X, CODES, sample_weight=w).predict_proba(X) for w in (None, heavy))
    assert weighted[:, 0].mean() > plain[:, 0].mean()


def test_the_cycle_ends_by_the_deadline():
    began = time.perf_counter()
    model = MLPClassifier(epochs=100_000, random_state=0).fit(X, CODES, validation=(X, CODES), deadline=1.0)
    assert time.perf_counter() - began < 10, "as slow as the machine may be"
    assert model.score(X, CODES) > 0.6, "a whole cycle, not the beginning of a long one"


@pytest.mark.parametrize("embed", [True, False])
def test_the_network_in_numpy_is_the_one_in_torch(embed):
    torch = pytest.importorskip("torch")
    settings = Settings(3, 32, 2, 1, 64, 0.01, 0.0, 0.0, embed, 0.5, 0, 1)
    net = _Network(torch, settings, X, torch.Generator().manual_seed(0))
    from automl_neural.network import Answer

    assert np.allclose(Answer(net.arrays())(X), net(torch.from_numpy(X), 0.0).detach().numpy(), atol=1e-4)


@pytest.mark.parametrize(("cls", "y"), [(MLPClassifier, CODES), (MLPRegressor, VALUES)])
def test_saved_and_loaded_it_predicts_the_same_bits_without_torch(cls, y, tmp_path):
    model = cls(**QUICK).fit(X, y)
    model.save(tmp_path)
    np.save(tmp_path / "X.npy", X)
    code = (
        "import sys, numpy as np; from pathlib import Path; import automl_neural.mlp as m\n"
        f"model = m.{cls.__name__}.load(Path({str(tmp_path)!r}))\n"
        f"answer = model.predict(np.load({str(tmp_path / 'X.npy')!r}))\n"
        "assert 'torch' not in sys.modules\n"
        f"np.save({str(tmp_path / 'answer.npy')!r}, answer)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert np.array_equal(np.load(tmp_path / "answer.npy"), model.predict(X))


def test_ten_rows_constant_columns_and_a_class_unseen_in_training():
    few = np.ones((10, 3), np.float32)
    few[:, 1] = np.arange(10)
    codes = np.array([0, 1] * 5)
    model = MLPClassifier(epochs=3).fit(few, codes, validation=(few, codes + 1))
    assert np.isfinite(model.predict_proba(few)).all()
    with pytest.raises(ValueError, match="only one class"):
        MLPClassifier().fit(few, np.zeros(10))
