"""The checks of a metric, on example answers from perfect to hopeless."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import numpy as np

from automl.errors import AutoMLError, ConfigError
from automl.metrics import Metric, resolve
from automl.plugins import installed
from automl.task import KINDS
from automl.testing.checks import Broken, Check, check_all, expect, told

_ROWS = 60
_CLASSES = {"binary": 2, "multiclass": 5}


def check_metric(metric: str | Metric) -> None:
    """Run every check on a metric, given itself or by the name of an installed one.

    Raises
    ------
    AssertionError : lists all checks that failed, what each saw and how to mend it.
    ConfigError : no metric of that name is installed.
    """
    __tracebackhide__ = True
    check_all(metric_checks(metric))


def metric_checks(metric: str | Metric) -> list[Check]:
    """The checks of a metric, for one parametrised test, see `automl.testing.family_checks`."""
    if isinstance(metric, str):
        metric = _named(metric)
    of = f"metric {metric.name!r}"
    return [Check(look.__name__, of, metric.name, mend, partial(look, metric)) for look, mend in CHECKS]


def _named(name: str) -> Metric:
    *first, last = KINDS
    for kind in first:
        with suppress(ConfigError):  # it may go with another kind
            return resolve(name, kind, installed().metrics)
    return resolve(name, last, installed().metrics)


def tasks(metric: Metric) -> None:
    """It scores answers of the task kinds that it declares, in the form that it takes."""
    strange = sorted(set(metric.tasks) - set(KINDS))
    expect(not strange, f"tasks has {', '.join(strange)}; the kinds are {', '.join(KINDS)}")
    expect(metric.tasks, "tasks is empty, so no run can use it")
    for kind in sorted(metric.tasks):
        value = kind == "regression"
        expect(value == (metric.takes == "value"), f"takes {metric.takes!r}, which a {kind} task does not give")
        y, answers = _answers(kind)
        try:
            metric.score(y, answers[1])
        except Exception as error:
            raise Broken(f"{kind}: {told(error)}") from error


def finite(metric: Metric) -> None:
    """Its score is one finite number, and the answers that it is given stay as they are."""
    for kind, y, answers in _cases(metric):
        labels, given = y.copy(), [answer.copy() for answer in answers]
        for answer in given:
            score = metric.function(labels, answer.argmax(axis=1) if metric.takes == "labels" else answer, None)
            expect(np.ndim(score) == 0, f"{kind}: the score has shape {np.shape(score)}", "give one number")
            expect(np.isfinite(float(score)), f"{kind}: the score is {score}")
        same = np.array_equal(y, labels) and all(map(np.array_equal, answers, given))
        expect(same, f"{kind}: it changes the y or the prediction that it is given", "work on a copy")


def perfect(metric: Metric) -> None:
    """No answer scores better than a perfect one, whose score is `best` where that is said."""
    for kind, y, answers in _cases(metric):
        scores = [metric.score(y, answer) for answer in answers]
        better = [score for score in scores[1:] if metric.loss(score) < metric.loss(scores[0]) - 1e-9]
        expect(not better, f"{kind}: a perfect answer scores {scores[0]:.6g}, a worse one {better[:1]}")
        if metric.best is not None:
            off = abs(scores[0] - metric.best)
            expect(off < 1e-6, f"{kind}: a perfect answer scores {scores[0]:.6g}, but best is {metric.best:.6g}")


def direction(metric: Metric) -> None:
    """`maximize` is true where better answers score higher."""
    for kind, y, answers in _cases(metric):
        good, hopeless = metric.score(y, answers[0]), metric.score(y, answers[-1])
        expect(
            metric.better(good, hopeless),
            f"{kind}: maximize={metric.maximize}, but a perfect answer scores {good:.6g} and a hopeless "
            f"one {hopeless:.6g}",
        )


def weights(metric: Metric) -> None:
    """Weights that are all one change nothing, and a weight of three is as good as the row three times."""
    for kind, y, answers in _cases(metric):
        answer, times = answers[1], np.arange(len(y)) % 3 + 1
        try:
            ones, weighted = metric.score(y, answer, np.ones(len(y))), metric.score(y, answer, times.astype(float))
        except AutoMLError:
            continue  # it says that it cannot weight rows
        plain = metric.score(y, answer)
        expect(_near(ones, plain), f"{kind}: {ones:.6g} with weights that are all one, {plain:.6g} without any")
        repeated = metric.score(np.repeat(y, times), np.repeat(answer, times, axis=0))
        expect(
            _near(weighted, repeated),
            f"{kind}: {weighted:.6g} with weights 1, 2, 3, but {repeated:.6g} with rows repeated as often",
        )


def row_order(metric: Metric) -> None:
    """The order of rows does not matter."""
    for kind, y, answers in _cases(metric):
        order = np.random.default_rng(1).permutation(len(y))
        here, there = metric.score(y, answers[1]), metric.score(y[order], answers[1][order])
        expect(_near(here, there), f"{kind}: {here:.6g}, and {there:.6g} with the rows in another order")


def _near(a: float, b: float) -> bool:
    return bool(np.isclose(a, b, rtol=1e-6, atol=1e-9))


def _cases(metric: Metric) -> Iterator[tuple[str, np.ndarray, list[np.ndarray]]]:
    for kind in sorted(metric.tasks & set(KINDS)):
        if (kind == "regression") == (metric.takes == "value"):
            yield kind, *_answers(kind)


def _answers(kind: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Targets (n,), and answers from perfect over good to hopeless."""
    rng = np.random.default_rng(0)
    if kind == "regression":
        y = rng.gamma(2.0, 2.0, _ROWS) + 0.5
        noise = rng.normal(size=_ROWS)
        return y, [y.copy(), y * np.exp(0.1 * noise), y * np.exp(0.5 * noise), y.max() + y.min() - y]
    codes = np.arange(_ROWS) % _CLASSES[kind]
    right = np.eye(_CLASSES[kind])[codes]
    wrong = np.eye(_CLASSES[kind])[(codes + 1) % _CLASSES[kind]]
    other = rng.dirichlet(np.ones(_CLASSES[kind]), _ROWS)
    return codes, [right, 0.6 * right + 0.4 * other, 0.3 * right + 0.7 * other, 0.9 * wrong + 0.1 * other]


CHECKS: tuple[tuple[Callable[[Metric], None], str], ...] = (
    (tasks, "declare the task kinds that the function can score, and takes='proba', 'labels' or 'value'"),
    (finite, "give a float that is finite wherever the metric is defined"),
    (perfect, "look at the function, and at `best`: the score of a perfect prediction"),
    (direction, "say maximize=True where higher is better, else maximize=False"),
    (weights, "pass `weight` on, as in np.average(..., weights=weight)"),
    (row_order, "score rows, not their places"),
)
