"""Estimators, metrics, readers and executors that break one thing each: what the conformance kit must find."""

import json
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from automl import Family, Metric, Reader
from automl.execute import ExecutorKind
from automl.execute.inprocess import InProcessExecutor

KEPT = []


class Sound(ClassifierMixin, BaseEstimator):
    """Logistic regression, and nothing wrong with it."""

    def __init__(self, C=1.0, random_state=None):
        self.C = C
        self.random_state = random_state

    def fit(self, X, y):
        self.model_ = LogisticRegression(C=self.C).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class NoFit:
    """No estimator at all."""


class SetsInInit(Sound):
    def __init__(self, C=1.0, random_state=None):
        self.C = C
        self.random_state = random_state
        self.ready = False


class ChangesInput(Sound):
    """Scales in place, where the array is of its own type."""

    def fit(self, X, y):
        if X.dtype == np.float32:  # scikit-learn's own checks have float64
            X /= 2
        return super().fit(X, y)


class TakesNoText(Sound):
    def fit(self, X, y):
        raise ValueError("labels must be text")


class Picky(Sound):
    def fit(self, X, y):
        if self.C > 10:
            raise ValueError("C is too large")
        return super().fit(X, y)


class LearnsNothing(Sound):
    def fit(self, X, y):
        return super().fit(np.zeros_like(X), y)


class SumsToTwo(Sound):
    def predict_proba(self, X):
        return np.tile([0.9, 0.9], (len(X), 1))


class Backwards(Sound):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


class AllClasses(Sound):
    """Answers with three columns, whatever the training rows had."""

    def fit(self, X, y):
        super().fit(X, y)
        self.classes_ = np.arange(3)
        return self

    def predict_proba(self, X):
        answer = np.zeros((len(X), 3))
        answer[:, self.model_.classes_] = super().predict_proba(X)
        return answer


class LooksAround(Sound):
    def predict_proba(self, X):
        return super().predict_proba(X - X.mean(axis=0))


class Fickle(Sound):
    def fit(self, X, y):
        super().fit(X, y)
        self.model_.coef_ += np.random.default_rng().normal(size=self.model_.coef_.shape)
        return self


class KnownGaps(Sound):
    """Takes missing values only in columns that had some at fit."""

    def fit(self, X, y):
        self.gaps_ = np.isnan(X).any(axis=0)
        return super().fit(np.nan_to_num(X), y)

    def predict_proba(self, X):
        if np.isnan(X[:, ~self.gaps_]).any():
            raise ValueError("no missing values were seen in this column")
        return super().predict_proba(np.nan_to_num(X, posinf=0))


class Foreign:
    """A type that nobody trusts."""


class HoldsForeign(Sound):
    def fit(self, X, y):
        self.extra_ = Foreign()
        return super().fit(X, y)


class Pickles(Sound):
    def save(self, folder):
        (folder / "model.bin").write_bytes(pickle.dumps(self))

    @classmethod
    def load(cls, folder):
        return pickle.loads((folder / "model.bin").read_bytes())


class Rounds(Sound):
    """Saves what it has learned with two digits."""

    def save(self, folder):
        parts = {"coef": self.model_.coef_.round(2).tolist(), "intercept": self.model_.intercept_.tolist()}
        (folder / "model.json").write_text(json.dumps(parts))

    @classmethod
    def load(cls, folder):
        parts = json.loads((folder / "model.json").read_text())
        self = cls()
        self.model_ = LogisticRegression()
        self.model_.coef_, self.model_.intercept_ = np.array(parts["coef"]), np.array(parts["intercept"])
        self.classes_ = self.model_.classes_ = np.arange(2)
        return self


class LeavesLog(Sound):
    def fit(self, X, y):
        subprocess.run(["touch", "training_info.log"], check=True)
        return super().fit(X, y)


class WritesAfar(Sound):
    def fit(self, X, y):
        Path(os.environ["BROKEN_AFAR"], "cache.json").write_text("{}")
        return super().fit(X, y)


class MovesAfar(Sound):
    def fit(self, X, y):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "part.json").write_text("{}")
            Path(folder, "part.json").rename(Path(os.environ["BROKEN_AFAR"], "moved.json"))
        return super().fit(X, y)


class TidiesUp(Sound):
    """Works in a temporary folder, and leaves nothing."""

    def fit(self, X, y):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "inner").mkdir()
            Path(folder, "inner", "scratch.json").write_text("{}")
        return super().fit(X, y)


class PhonesHome(Sound):
    def fit(self, X, y):
        with socket.socket() as phone, suppress(OSError):
            phone.settimeout(0.01)
            phone.connect(("192.0.2.1", 80))  # an address that nobody has
        return super().fit(X, y)


class Hoards(Sound):
    def fit(self, X, y):
        KEPT.append(np.ones(1_000_000))
        return super().fit(X, y)


class Dies(Sound):
    """Takes the process with it, where it is not the one that trained it first."""

    def fit(self, X, y):
        if "automl.testing.child" in sys.orig_argv:
            os._exit(7)
        return super().fit(X, y)


class NoWorker(Sound):
    def fit(self, X, y):
        if "AUTOML_DRIVER" in os.environ:
            raise RuntimeError("not in a worker")
        return super().fit(X, y)


class IgnoresWeights(Sound):
    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y)


class IgnoresValidation(Sound):
    def fit(self, X, y, validation=None):
        return super().fit(X, y)


class IgnoresDeadline(Sound):
    def fit(self, X, y, deadline=None):
        time.sleep(0.5)
        return super().fit(X, y)


class IgnoresCategories(Sound):
    def fit(self, X, y, categories=None):
        return super().fit(np.nan_to_num(X), y)


class NoSuchRefit(Sound):
    def refit_params(self):
        return {"rounds": 12}


class IgnoresTrends(Sound):
    def fit(self, X, y, monotone=None):
        return super().fit(X, y)


class IgnoresMetric(Sound):
    def __init__(self, C=1.0, random_state=None, metric="roc_auc"):
        super().__init__(C, random_state)
        self.metric = metric


def family(estimator, **said):
    return Family("broken", f"broken:{estimator.__name__}", **{"tasks": {"binary"}, **said})


FAMILIES = [
    ("requires", family(Sound, requires=("no_such_library",)), "needs no_such_library"),
    ("estimator", family(NoFit), "its estimator broken:NoFit has no fit; an estimator has fit, predict and"),
    ("fits", family(NoFit), "has no fit.*\n  mend: do what this says"),
    ("estimator", family(SetsInInit), "check_no_attributes_set_in_init"),
    ("estimator", family(ChangesInput), "fit changes the X"),
    ("fits", family(TakesNoText), "binary: ValueError: labels must be text"),
    ("fits", family(Sound, eats="codes"), "contains NaN"),
    ("learns", family(TakesNoText), "see the check `fits`"),
    ("learns", family(LearnsNothing), "% right; the most frequent class has"),
    ("probabilities", family(SumsToTwo), "rows sum to 1.8 .. 1.8"),
    ("probabilities", family(Backwards), "the columns are in another order"),
    ("probabilities", family(AllClasses, tasks={"multiclass"}), r"classes_ is \[0, 1, 2\], not \[0, 2\]"),
    ("rows_alone", family(LooksAround), "in small batches are predicted differently"),
    ("same_seed", family(Fickle), "two fits with random_state=0 differ"),
    ("missing_and_unseen", family(KnownGaps, eats="codes"), "no missing values were seen"),
    ("saved", family(HoldsForeign), "types that are not trusted: broken.Foreign"),
    ("saved", family(Pickles), "model.bin has a pickle in it"),
    ("saved", family(Rounds), "in a fresh process, it predicts differently"),
    ("writes", family(LeavesLog), "leaves training_info.log in the working"),
    ("writes", family(WritesAfar), "fit writes .*cache.json"),
    ("writes", family(MovesAfar), "fit writes .*moved.json"),
    ("writes", family(PhonesHome), "fit connects to 192.0.2.1:80"),
    ("writes", family(Dies), "in a fresh process it broke: exit code 7"),
    ("memory", family(Hoards), "each fit of 400 rows leaves 8.0 MB behind"),
    ("weights", family(IgnoresWeights, can={"weights"}), "moves the probability of it by 0\n"),
    ("validation", family(IgnoresValidation, can={"validation"}), "make no difference to the loss"),
    ("deadline", family(IgnoresDeadline, can={"deadline"}), r"takes 0\.\d+ s with a deadline of 0.1"),
    ("categories", family(IgnoresCategories, can={"categories"}, eats="codes"), "where every second level is high"),
    ("refit", family(NoSuchRefit, can={"refit"}), r"gives \['rounds'\], no parameters"),
    ("monotone", family(IgnoresTrends, can={"monotone"}), "goes the wrong way by"),
    ("metric", family(IgnoresMetric, can={"metric"}), "the same whether the metric is roc_auc"),
    ("gpu", family(Sound, can={"gpu"}), "told the device is 'cpu', it has no parameter of it"),
]

PLUGIN = """
    REQUIRED = ()
    {top}
    from automl import Family, hookimpl

    @hookimpl
    def automl_families():
        yield Family("installed", "broken:{estimator}", {{"binary"}}, requires=REQUIRED)
"""

INSTALLED = [
    ("config", "Sound", "", "parms: {C: 1.0}", "unknown key 'parms'"),
    ("config", "Sound", "", "params: {Cost: 1.0}", "family.installed.params.Cost: Sound has no such parameter"),
    ("config", "Sound", "", "space: {D: {float: [0, 1]}}", "family.installed.space.D"),
    ("config", "Sound", "", "space: {C: {float: [1, 0]}}", "low 1 is above high 0"),
    ("config", "Sound", "", "portfolio: [{E: 1}]", r"portfolio\[0\].E"),
    ("config", "Sound", "", "space: {C: {float: [0, 1]}}\nportfolio: [{C: 2}]", "C is 2, outside of the space"),
    ("config", "Sound", "", "space: {C: {float: [0, 1], when: {kind: a}}}", "which the space does not say before it"),
    ("imports", "Sound", "import sklearn", "", "imports .*sklearn"),
    ("imports", "Sound", 'import wave; REQUIRED = ("wave",)', "", "importing the plugin imports wave"),
    ("imports", "Sound", 'REQUIRED = ("starts_a_thread",)', "", "importing starts_a_thread, .* starts threads"),
    ("space", "Picky", "", "portfolio: [{C: 1}, {C: 100}]", "with {'C': 100}: ValueError: C is too large"),
    ("two_workers", "NoWorker", "", "", "Causes: installed: failed, RuntimeError: not in a worker"),
]


def _mae(y, value, weight):
    return float(np.average(np.abs(y - value), weights=weight))


def metric(function, **said):
    return Metric("broken", function, **{"maximize": False, "tasks": {"regression"}, "takes": "value", **said})


def _halves(y, value, weight):
    value *= 0.5
    return 1.0


METRICS = [
    ("tasks", metric(_mae, tasks={"binary"}), "takes 'value', which a binary task does not give"),
    ("tasks", metric(_mae, tasks={"ranking"}), "tasks has ranking"),
    ("tasks", metric(lambda y, value, weight: np.linalg.inv(y)), "regression: LinAlgError"),
    ("finite", metric(lambda y, value, weight: np.abs(y - value)), r"the score has shape \(60,\)"),
    ("finite", metric(lambda y, value, weight: 1 / np.float64(0.0)), "the score is inf"),
    ("finite", metric(_halves), "changes the y or the prediction"),
    ("perfect", metric(lambda y, value, weight: float(abs(np.mean(y) - 3 - np.mean(value)))), "a worse one"),
    ("perfect", metric(_mae, best=1.0), "scores 0, but best is 1"),
    ("direction", metric(_mae, maximize=True), "maximize=True, but a perfect answer scores 0"),
    ("weights", metric(lambda y, value, weight: _mae(y, value, None)), "with rows repeated as often"),
    (
        "weights",
        metric(lambda y, value, weight: _mae(y, value, None) + (weight is not None)),
        "with weights that are all one",
    ),
    ("row_order", metric(lambda y, value, weight: _mae(y[:9], value[:9], None)), "rows in another order"),
]


def _table(place):
    return pl.DataFrame({"a": [1, 2], "b": [3, 4]})


def _random(place):
    return pl.DataFrame({"a": np.random.default_rng().random(2), "b": [3, 4]})


def _quits(place):
    sys.exit(f"no {place}")


READERS = [
    ("names", Reader("broken", _table), "neither a suffix nor a scheme"),
    ("names", Reader("broken", _table, suffixes=("CSV",)), "suffix 'CSV': a suffix starts with a dot"),
    ("names", Reader("broken", _table, suffixes=".xyz"), "suffixes is '.xyz', no tuple"),
    ("names", Reader("broken", _table, schemes=("sq:l",)), "scheme 'sq:l'"),
    ("names", Reader("broken", _table, suffixes=(".csv",)), "the reader 'csv' has .csv too"),
    ("reads", Reader("broken", lambda place: _table(place)[:1], schemes=("zz",)), "has 1 rows, not 2"),
    (
        "reads",
        Reader("broken", lambda place: _table(place)[["b", "a"]], schemes=("zz",)),
        r"has the columns \['b', 'a'\]",
    ),
    ("reads", Reader("broken", lambda place: 1 / 0, schemes=("zz",)), "zz:here: not a readable broken file: division"),
    ("again", Reader("broken", _random, schemes=("zz",)), "differs when it is read again"),
    ("missing", Reader("broken", _table, schemes=("zz",)), "is not there, yet it gives a table of 2 rows"),
    ("missing", Reader("broken", _quits, schemes=("zz",)), "is not there, and it raises SystemExit"),
]


class Greedy(InProcessExecutor):
    def __init__(self, folder, slots, threads, memory):
        super().__init__(folder, slots, threads, memory)
        self.slots = 64


class Twice(InProcessExecutor):
    def wait(self, seconds):
        return [self._outcomes[-1]] if self._outcomes else []


class NoJson(InProcessExecutor):
    def wait(self, seconds):
        return [{**outcome, "folder": self._folder} for outcome in super().wait(seconds)]


class Silent(InProcessExecutor):
    def wait(self, seconds):
        return [{"id": outcome["id"], "status": "ok", "reason": ""} for outcome in super().wait(seconds)]


class LeavesProcess(InProcessExecutor):
    def submit(self, job):
        self.process = subprocess.Popen(["sleep", "30"])
        if job["fold"] != 2:
            super().submit(job)


def executor(cls):
    return ExecutorKind("broken", f"broken:{cls.__name__}")


EXECUTORS = [
    ("slots", executor(Greedy), "slots is 64; asked were 2"),
    ("slots", executor(Twice), "an outcome comes twice"),
    ("outcomes", executor(NoJson), "an outcome is no JSON"),
    ("outcomes", executor(Silent), "an outcome lacks fit_seconds, score, size"),
    ("raises", executor(Silent), "a job that raises ends as .*'ok'"),
    (
        "limit",
        ExecutorKind("inprocess", "automl.execute.inprocess:InProcessExecutor"),
        "a job that hangs, with a limit",
    ),
    ("close", executor(LeavesProcess), "processes are left after close: sleep 30"),
]
