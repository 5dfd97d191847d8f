"""Metrics: the built-in ones, scikit-learn's scorers by name, and those that plugins add."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl.errors import ConfigError, nearest
from automl.hookspecs import hookimpl

CLASSES = frozenset({"binary", "multiclass"})
_AUTO = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
_BLOCKS = 20
_FEW = 4000


@dataclass(frozen=True)
class Metric:
    """A measure of predictions against the truth.

    Parameters
    ----------
    name : the name that configs use.
    function : called as ``function(y, prediction, weight)``; weight is (n,) or None. `y` holds codes (n,) for classes
        (1 is the positive one of two) and values (n,) for regression.
    maximize : whether more is better.
    tasks : the task kinds that it can judge.
    takes : what the function wants: ``"proba"`` (n, classes), ``"labels"`` (codes, n) or ``"value"`` (n,).
    """

    name: str
    function: Callable[..., float]
    maximize: bool
    tasks: frozenset[str] | set[str]
    takes: str
    doc: str = ""

    def score(self, y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
        """The score, in the metric's own sign; NaN where it is not defined (ROC AUC with one class).

        Parameters
        ----------
        y : codes or values (n,).
        prediction : probabilities (n, classes), or values (n,).
        """
        given = prediction.argmax(axis=1) if self.takes == "labels" else prediction
        return float(self.function(y, given, weight))

    def loss(self, score: float) -> float:
        """A score turned so that lower is better."""
        return -score if self.maximize else score

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` is better than score `b`."""
        return self.loss(a) < self.loss(b)

    @property
    def arrow(self) -> str:
        """Its direction: ↑ where more is better."""
        return "↑" if self.maximize else "↓"


def resolve(name: str, kind: str, metrics: Mapping[str, Metric]) -> Metric:
    """The metric of that name for a task kind: registered, `pinball@0.9`, a scikit-learn scorer, or the kind's own (auto).

    Raises
    ------
    ConfigError : no such metric, or one that does not judge this kind of task.
    """
    if name == "auto":
        name = _AUTO.get(kind, "")
    head, at, level = name.partition("@")
    metric = metrics.get(name)
    if head == "pinball" and at:
        metric = _pinball_at(name, level)
    if metric is None:
        metric = _scorer(name, kind)
    fitting = sorted(m.name for m in metrics.values() if kind in m.tasks)
    if metric is None:
        raise ConfigError(f"metric={name}: unknown metric{nearest(name, metrics)} For {kind}: {', '.join(fitting)}")
    if kind not in metric.tasks:
        raise ConfigError(f"metric={name} cannot judge a {kind} task; use one of {', '.join(fitting)}")
    return metric


def interval(
    metric: Metric,
    y: np.ndarray,
    prediction: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """An interval for a score: what other rows of the same kind would have given.

    Up to 4,000 rows a delete-a-group jackknife over 20 random groups (Kott 2001), above that the mean of 20 batches;
    Student's t with 19 degrees of freedom. It costs some 20 evaluations of the metric at most.
    """
    from scipy.stats import t as student

    n = len(y)
    groups = min(_BLOCKS, n)
    score = metric.score(y, prediction, weight)
    if groups < 2:
        return math.nan, math.nan
    order = np.random.default_rng(seed).permutation(n)
    if metric.takes != "value" and prediction.ndim == 2:
        order = order[np.argsort(y[order], kind="stable")]  # dealt out in turn, every class goes to every group
    dealt = [order[i::groups] for i in range(groups)]
    parts = []
    for rows in dealt:
        if n < _FEW:
            rows = np.setdiff1d(order, rows)
        try:
            parts.append(metric.score(y[rows], prediction[rows], None if weight is None else weight[rows]))
        except ValueError:
            parts.append(math.nan)
    kept = np.array(parts)[np.isfinite(parts)]
    if len(kept) < 2:
        return math.nan, math.nan
    spread = np.var(kept, ddof=1)
    error = math.sqrt(spread * (len(kept) - 1) ** 2 / len(kept)) if n < _FEW else math.sqrt(spread / len(kept))
    reach = float(student.ppf(0.5 + level / 2, len(kept) - 1)) * error
    return score - reach, score + reach


@hookimpl
def automl_metrics() -> Iterable[Metric]:
    """The built-in metrics."""
    two, numbers = frozenset({"binary"}), frozenset({"regression"})
    yield Metric(
        "roc_auc", roc_auc, True, CLASSES, "proba", "area under the ROC curve; one against the rest for many classes"
    )
    yield Metric("log_loss", log_loss, False, CLASSES, "proba", "mean negative log likelihood")
    yield Metric("accuracy", accuracy, True, CLASSES, "labels", "share of right labels")
    yield Metric(
        "balanced_accuracy",
        _sklearn("recall_score", average="macro"),
        True,
        CLASSES,
        "labels",
        "mean recall of the classes",
    )
    yield Metric("f1", _sklearn("f1_score"), True, two, "labels", "F1 of the positive class")
    for average in ("macro", "micro", "weighted"):
        yield Metric(
            f"f1_{average}", _sklearn("f1_score", average=average), True, CLASSES, "labels", f"F1, {average} average"
        )
    yield Metric(
        "average_precision", _average_precision, True, CLASSES, "proba", "area under the precision-recall curve"
    )
    yield Metric("brier", _brier, False, CLASSES, "proba", "mean squared error of the probabilities")
    yield Metric("mcc", _sklearn("matthews_corrcoef"), True, CLASSES, "labels", "Matthews correlation coefficient")
    yield Metric(
        "quadratic_kappa",
        _sklearn("cohen_kappa_score", weights="quadratic"),
        True,
        CLASSES,
        "labels",
        "quadratic weighted kappa",
    )
    yield Metric("rmse", rmse, False, numbers, "value", "root mean squared error")
    yield Metric("mae", mae, False, numbers, "value", "mean absolute error")
    yield Metric("r2", _sklearn("r2_score"), True, numbers, "value", "share of variance explained")
    yield Metric("rmsle", _rmsle, False, numbers, "value", "root mean squared error of log(1 + y)")
    yield Metric(
        "mape", _sklearn("mean_absolute_percentage_error"), False, numbers, "value", "mean absolute error relative to y"
    )
    yield Metric("pinball", _pinball(0.5), False, numbers, "value", "quantile loss; pinball@0.9 names a quantile")


def roc_auc(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Area under the ROC curve; for many classes the mean over the classes present, each against the rest."""
    if proba.shape[1] == 2:
        return _auc(y == 1, proba[:, 1], weight)
    areas = [_auc(y == k, proba[:, k], weight) for k in range(proba.shape[1]) if (y == k).any()]
    return float(np.mean(areas)) if areas else math.nan


def log_loss(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean negative log likelihood, probabilities clipped to 1e-15 and renormalised."""
    kept = np.clip(proba, 1e-15, 1.0)
    likelihood = kept[np.arange(len(y)), y] / kept.sum(axis=1)
    return float(np.average(-np.log(likelihood), weights=weight))


def accuracy(y: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Share of right labels."""
    return float(np.average(y == labels, weights=weight))


def rmse(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Root mean squared error, in the target's unit."""
    return math.sqrt(np.average((y - value) ** 2, weights=weight))


def mae(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean absolute error, in the target's unit."""
    return float(np.average(np.abs(y - value), weights=weight))


def _auc(positive: np.ndarray, score: np.ndarray, weight: np.ndarray | None) -> float:
    """The chance that a positive row scores above a negative one, ties counting half (Mann and Whitney 1947)."""
    order = np.argsort(score, kind="stable")
    ranked, hit = score[order], positive[order]
    w = np.ones(len(score)) if weight is None else np.asarray(weight)[order]
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    gained = np.diff(np.cumsum(np.where(hit, w, 0.0))[last], prepend=0.0)
    missed = np.diff(np.cumsum(np.where(hit, 0.0, w))[last], prepend=0.0)
    pairs = gained.sum() * missed.sum()
    below = np.cumsum(missed) - missed
    return float((gained * (below + missed / 2)).sum() / pairs) if pairs > 0 else math.nan


def _sklearn(name: str, **options: Any) -> Callable[..., float]:
    """A function of scikit-learn's metrics, imported when it is called."""

    def call(y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
        import sklearn.metrics

        extra = {"zero_division": 0} if name in ("f1_score", "recall_score") else {}
        if options.get("average") == "macro":
            extra["labels"] = np.unique(y)  # a class that is not there has no recall
        return float(getattr(sklearn.metrics, name)(y, prediction, sample_weight=weight, **options, **extra))

    return call


def _average_precision(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None = None) -> float:
    from sklearn.metrics import average_precision_score

    columns = [1] if proba.shape[1] == 2 else [k for k in range(proba.shape[1]) if (y == k).any()]
    return float(np.mean([average_precision_score(y == k, proba[:, k], sample_weight=weight) for k in columns]))


def _brier(y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None = None) -> float:
    if proba.shape[1] == 2:
        return float(np.average((proba[:, 1] - y) ** 2, weights=weight))
    truth = np.eye(proba.shape[1])[y]
    return float(np.average(((proba - truth) ** 2).sum(axis=1), weights=weight))


def _rmsle(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
    if (y <= -1).any():
        raise ConfigError("metric=rmsle wants a target above -1; use metric=rmse")
    return rmse(np.log1p(y), np.log1p(np.maximum(value, 0)), weight)


def _pinball(alpha: float) -> Callable[..., float]:
    def call(y: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> float:
        gap = y - value
        return float(np.average(np.maximum(alpha * gap, (alpha - 1) * gap), weights=weight))

    return call


def _pinball_at(name: str, level: str) -> Metric:
    try:
        alpha = float(level)
    except ValueError:
        alpha = math.nan
    if not 0 < alpha < 1:
        raise ConfigError(f"metric={name}: the quantile must lie between 0 and 1, such as pinball@0.9")
    return Metric(name, _pinball(alpha), False, frozenset({"regression"}), "value", f"quantile loss at {alpha}")


def _scorer(name: str, kind: str) -> Metric | None:
    """A scorer of scikit-learn's by its name; it asks a stand-in estimator, so thresholds and labels are its own business."""
    from sklearn.metrics import get_scorer, get_scorer_names

    if name not in get_scorer_names():
        return None
    scorer = get_scorer(name)

    def call(y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
        extra = {} if weight is None else {"sample_weight": weight}
        return float(scorer(_stored(prediction), np.zeros((len(y), 1)), y, **extra))

    takes = "value" if kind == "regression" else "proba"
    return Metric(name, call, True, frozenset({kind}), takes, f"scikit-learn's scorer {name}")


def _stored(prediction: np.ndarray) -> Any:
    """An estimator that answers with predictions that are there already."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class Values(RegressorMixin, BaseEstimator):
        fitted_ = True

        def predict(self, _X: Any) -> np.ndarray:
            return prediction

    class Classes(ClassifierMixin, BaseEstimator):
        fitted_ = True
        classes_ = np.arange(prediction.shape[1] if prediction.ndim == 2 else 0)

        def predict_proba(self, _X: Any) -> np.ndarray:
            return prediction

        def predict(self, _X: Any) -> np.ndarray:
            return prediction.argmax(axis=1)

    return Values() if prediction.ndim == 1 else Classes()
