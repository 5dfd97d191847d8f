"""Metrics: the built-in ones, scikit-learn's scorers by name, and those that plugins add."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from automl import scores
from automl.errors import ConfigError, nearest
from automl.hookspecs import hookimpl

TAKES = ("proba", "labels", "value")


@dataclass(frozen=True)
class Metric:
    """A score of predictions, in its own sign.

    Parameters
    ----------
    name : the name that configs use; unique among all plugins.
    function : called as ``function(y, prediction, weight)``, where ``weight`` is an array (n,) or None; gives a
        number, NaN where the metric is not defined on these rows.
    maximize : whether higher is better.
    tasks : the task kinds it goes with.
    takes : what ``function`` gets as prediction: ``"proba"`` (float64 (n, C)), ``"labels"`` (the most probable code,
        int64 (n,)) or ``"value"`` (float64 (n,)).
    doc : one line for a person.
    best : the score of a perfect prediction, where there is one: no interval reaches past it.
    """

    name: str
    function: Callable[..., float]
    maximize: bool
    tasks: frozenset[str] | set[str]
    takes: str
    doc: str = ""
    best: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", frozenset(self.tasks))
        if self.takes not in TAKES:
            raise ConfigError(f"metric {self.name!r} takes {self.takes!r}, which is none of {', '.join(TAKES)}")

    def score(self, y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
        """The score in the metric's own sign; NaN where it is not defined: the ROC AUC of one class, weights all zero.

        Parameters
        ----------
        y : codes (n,) from 0 to C - 1, or values (n,) for regression; in a binary task 1 is the positive class.
        prediction : probabilities (n, C), or values (n,).
        weight : sample weights (n,), or None.

        Raises
        ------
        ValueError : shapes that do not go together, or a target that the metric is not made for.
        """
        y = np.asarray(y)
        given = np.asarray(prediction, dtype=np.float64)
        if given.ndim != (1 if self.takes == "value" else 2) or len(given) != len(y):
            raise ValueError(f"metric {self.name}: predictions have shape {given.shape} for {len(y)} rows")
        if self.takes == "labels":
            given = given.argmax(axis=1)
        if weight is None:
            return float(self.function(y, given, None))
        weight = np.asarray(weight, dtype=np.float64)
        return float(self.function(y, given, weight)) if weight.any() else math.nan

    @property
    def least(self) -> float:
        """The loss of a perfect prediction; 0 where it is not known."""
        return 0.0 if self.best is None else self.loss(self.best)

    def loss(self, score: float) -> float:
        """A score turned so that lower is better."""
        return -score if self.maximize else score

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` is better than score `b`; any number is better than NaN."""
        return not math.isnan(a) and (math.isnan(b) or self.loss(a) < self.loss(b))

    @property
    def arrow(self) -> str:
        """The direction that is better, for a person."""
        return "↑" if self.maximize else "↓"


def resolve(name: str, kind: str, metrics: Mapping[str, Metric]) -> Metric:
    """The metric of that name for a task kind.

    Parameters
    ----------
    name : ``auto``, a name in `metrics`, ``pinball@A`` for the quantile A, or the name of a scikit-learn scorer.
    kind : the task kind.
    metrics : the registered metrics, by name.

    Raises
    ------
    ConfigError : an unknown name, with the nearest known one; or a metric that does not go with the task kind.
    """
    if name == "auto":
        if kind not in _AUTO:
            raise ConfigError(f"metric=auto: a {kind} task has no default metric; say metric=NAME")
        name = _AUTO[kind]
    fitting = sorted(metric.name for metric in metrics.values() if kind in metric.tasks)
    hint = f"For a {kind} task: {', '.join(fitting)}, or a scikit-learn scorer by its name."
    found = metrics.get(name) or _quantile(name) or _scorer(name)
    if found is None:
        near = nearest(name, ["auto", *metrics, *_scorer_names()])
        raise ConfigError(f"metric={name}: unknown metric{near} {hint}")
    if kind not in found.tasks:
        raise ConfigError(f"metric={name} does not go with a {kind} task. {hint}")
    return found


def interval(
    metric: Metric,
    y: np.ndarray,
    prediction: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """How uncertain a score is: the two ends of an interval that covers the true score with probability `level`.

    Rows are dealt at random (by class, for classification) into 20 blocks. Below 4,000 rows it is the delete-a-block
    jackknife in the form for blocks of unequal size (Busing, Meijer and van der Leeden 1999, "Delete-m jackknife for
    unequal m", Statistics and Computing 9); from there on the blocks are scored alone, as batch means (Schmeiser 1982,
    "Batch size effects in the analysis of simulation output", Operations Research 30), which costs one pass. The ends
    are the score ± the standard error times Student's t, cut at the score of a perfect prediction. Blocks on which the
    metric is not defined are left out; with fewer than two, both ends are NaN.

    The predictions are taken as given: that the models were chosen on these very rows is not in the interval.
    """
    from scipy.special import stdtrit

    y, prediction = np.asarray(y), np.asarray(prediction)
    n = len(y)
    if n < 2:
        return math.nan, math.nan
    count = min(_BLOCKS, n)
    centre = metric.score(y, prediction, weight)
    block = _deal(np.zeros(n, np.int8) if metric.takes == "value" else y, count, np.random.default_rng(seed))
    alone = n >= _BATCH_ROWS
    estimates, shares = [], []
    for i in range(count):
        rows = block == i if alone else block != i
        share = n / np.count_nonzero(block == i)
        try:
            score = metric.score(y[rows], prediction[rows], None if weight is None else weight[rows])
        except ValueError:  # such as a scikit-learn scorer for which a class is absent
            continue
        estimates.append(score if alone else share * centre - (share - 1) * score)
        shares.append(count if alone else share)
    values, parts = np.asarray(estimates), np.asarray(shares)
    defined = np.isfinite(values)
    values, parts = values[defined], parts[defined]
    if len(values) < 2 or not math.isfinite(centre):
        return math.nan, math.nan
    # The size of the whole over that of a block, less one: what turns the spread of blocks into that of the whole.
    error = math.sqrt(np.mean((values - values.mean()) ** 2 / (parts - 1)))
    reach = error * float(stdtrit(len(values) - 1, 0.5 + level / 2))
    low, high = centre - reach, centre + reach
    if metric.best is not None:
        low, high = (low, min(high, metric.best)) if metric.maximize else (max(low, metric.best), high)
    return low, high


@hookimpl
def automl_metrics() -> Iterator[Metric]:
    """The built-in metrics; a perfect prediction scores 1 by those that are maximised, and 0 by the others."""
    for metric in _built_in():
        yield replace(metric, best=1.0 if metric.maximize else 0.0)


def _built_in() -> Iterator[Metric]:
    binary, classes, numbers = {"binary"}, {"binary", "multiclass"}, {"regression"}
    yield Metric("roc_auc", scores.roc_auc, True, classes, "proba", "area under the ROC curve, mean of the classes")
    yield Metric(
        "average_precision", scores.average_precision, True, classes, "proba", "area under precision and recall"
    )
    yield Metric("log_loss", scores.log_loss, False, classes, "proba", "cross-entropy in nats")
    yield Metric("brier", scores.brier, False, classes, "proba", "squared error of the probabilities")
    yield Metric("accuracy", scores.accuracy, True, classes, "labels", "share of rows with the right label")
    yield Metric("balanced_accuracy", scores.balanced_accuracy, True, classes, "labels", "mean recall of the classes")
    yield Metric("f1", scores.f1, True, binary, "labels", "F1 of the positive class")
    yield Metric(
        "f1_macro", partial(scores.f1_mean, average="macro"), True, classes, "labels", "mean F1 of the classes"
    )
    # Where each row has one label, micro-averaged precision, recall and F1 are all the accuracy.
    yield Metric("f1_micro", scores.accuracy, True, classes, "labels", "F1 over all rows; the same as accuracy")
    yield Metric(
        "f1_weighted",
        partial(scores.f1_mean, average="weighted"),
        True,
        classes,
        "labels",
        "mean F1, by class frequency",
    )
    yield Metric("mcc", scores.mcc, True, classes, "labels", "Matthews correlation of labels")
    yield Metric("quadratic_kappa", scores.quadratic_kappa, True, classes, "labels", "agreement of ordered labels")
    yield Metric("rmse", scores.rmse, False, numbers, "value", "root mean squared error")
    yield Metric("mae", scores.mae, False, numbers, "value", "mean absolute error")
    yield Metric("r2", scores.r2, True, numbers, "value", "share of the variance explained")
    yield Metric("rmsle", scores.rmsle, False, numbers, "value", "root mean squared error of log(1 + y)")
    yield Metric("mape", scores.mape, False, numbers, "value", "mean absolute error relative to |y|")
    yield _pinball("pinball", 0.5)


_AUTO = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
_BLOCKS = 20
_BATCH_ROWS = 4000


def _deal(strata: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """A block number (n,) for each row, dealt at random and evenly within each stratum."""
    block = np.empty(len(strata), np.int64)
    block[np.lexsort((rng.random(len(strata)), strata))] = np.arange(len(strata)) % count
    return block


def _pinball(name: str, alpha: float) -> Metric:
    doc = "loss of the median; pinball@0.9 of another quantile" if alpha == 0.5 else f"loss of the {alpha:g} quantile"
    return Metric(name, partial(scores.pinball, alpha=alpha), False, {"regression"}, "value", doc, best=0.0)


def _quantile(name: str) -> Metric | None:
    stem, at, said = name.partition("@")
    if stem != "pinball" or not at:
        return None
    try:
        alpha = float(said)
    except ValueError:
        alpha = math.nan
    if not 0 < alpha < 1:
        raise ConfigError(f"metric={name}: a quantile is a number between 0 and 1, as in pinball@0.9")
    return _pinball(name, alpha)


def _scorer_names() -> list[str]:
    from sklearn.metrics import get_scorer_names

    return get_scorer_names()


@cache
def _scorer(name: str) -> Metric | None:
    """A scikit-learn scorer as a metric, or None; which task kinds it goes with is tried out on small examples."""
    if name not in _scorer_names():
        return None
    function = partial(_score_by, name)
    kinds = {kind for kind, (y, prediction) in _EXAMPLES.items() if _is_defined(function, y, prediction)}
    # Scores of numbers would take class codes for numbers; scores of classes refuse numbers.
    regression = "regression" in kinds
    tasks = {"regression"} if regression else kinds
    return Metric(name, function, True, tasks, "value" if regression else "proba", "scikit-learn's scorer")


_EXAMPLES: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "regression": (np.array([0.5, 1.7, 2.3, 3.1]), np.array([0.6, 1.5, 2.9, 3.0])),
    "binary": (np.array([0, 1, 0, 1]), np.array([[0.6, 0.4], [0.3, 0.7], [0.4, 0.6], [0.2, 0.8]])),
    "multiclass": (np.arange(6) % 3, np.tile(np.eye(3) * 0.7 + 0.1, (2, 1))[[0, 1, 2, 3, 5, 4]]),
}


def _is_defined(function: Callable[..., float], y: np.ndarray, prediction: np.ndarray) -> bool:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return math.isfinite(function(y, prediction, None))
        except (ValueError, TypeError, AttributeError, Warning):
            return False


def _score_by(name: str, y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
    """Score by scikit-learn's scorer; which response it asks for and where it cuts is its own business."""
    from sklearn.metrics import get_scorer

    classification, regression = _stand_ins()
    if prediction.ndim == 2:
        estimator = classification()
        estimator.classes_ = np.arange(prediction.shape[1])
        prediction = prediction / prediction.sum(axis=1, keepdims=True)  # sums are checked to the last float64 digits
    else:
        estimator = regression()
    if weight is None:
        return float(get_scorer(name)(estimator, prediction, y))
    try:
        return float(get_scorer(name)(estimator, prediction, y, sample_weight=weight))
    except TypeError as error:
        if "sample_weight" not in str(error):
            raise
        raise ConfigError(f"metric={name} cannot weight rows; drop weight= or choose another metric") from error


@cache
def _stand_ins() -> tuple[type[Any], type[Any]]:
    """Two estimators whose X is what they answer."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class Probabilities(ClassifierMixin, BaseEstimator):
        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return X

        def predict(self, X: np.ndarray) -> np.ndarray:
            return X.argmax(axis=1)

    class Values(RegressorMixin, BaseEstimator):
        def predict(self, X: np.ndarray) -> np.ndarray:
            return X

    return Probabilities, Values
