"""The checks of what a family declares that it can: each is made only where it is declared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from automl.testing.checks import Broken, expect, told
from automl.testing.data import NUMBER
from automl.testing.subject import Subject

_LONG = 0.4  # seconds of a fit that a deadline is to cut
_MOST_ROWS = 200_000
_ROUNDS = 100_000  # rounds that no deadline lets come to their end
_METRICS = {
    "binary": ("roc_auc", "accuracy", "neg_brier_score"),
    "multiclass": ("accuracy", "balanced_accuracy", "f1_macro"),
    "regression": ("mae", "mape", "rmsle", "pinball@0.9", "neg_median_absolute_error"),
}


def weights(subject: Subject) -> None:
    """Where rows contradict each other, predictions go with those of the greater weight."""
    for kind in subject.kinds:
        _, X, X_valid, y, _ = subject.rows(kind)
        none = (X_valid[:0], np.empty(0, y.dtype))
        twice, second = np.arange(2 * len(y)) % len(y), np.arange(2 * len(y)) >= len(y)
        raised = np.where(second, 1.5 * y[twice] if kind == "regression" else y.max(), y[twice]).astype(y.dtype)
        low, high = (
            subject.predict(
                kind, subject.fit(kind, rounds=24, rows=(X[twice], raised), weight=weight, validation=none), X_valid
            )
            for weight in (np.where(second, 1.0, 6.0), np.where(second, 6.0, 1.0))
        )
        rise = float((high - low).mean() if kind == "regression" else (high - low)[:, -1].mean())
        expect(
            rise > 0.01 * (float(y.std()) if kind == "regression" else 1.0),
            f"{kind}: each row stands there twice, once with a higher target; six times the weight on these instead of "
            f"on the others moves {'predictions' if kind == 'regression' else 'the probability of it'} by {rise:.3g}",
        )


def validation(subject: Subject) -> None:
    """On a target of pure noise, validation rows hold learning back: it answers better on them than without."""
    helped, seen = False, []
    for kind in subject.kinds:
        _, X, X_valid, y, y_valid = subject.rows(kind)
        rng = np.random.default_rng(3)
        y, y_valid = rng.permutation(y), rng.permutation(y_valid)
        with_, without = (
            _loss(subject.predict(kind, subject.fit(kind, rounds=150, rows=(X, y), validation=held), X_valid), y_valid)
            for held in ((X_valid, y_valid), (X_valid[:0], y_valid[:0]))
        )
        expect(
            with_ <= 1.05 * without,
            f"{kind}: on noise, the loss on the validation rows is {with_:.3g} with them and {without:.3g} without",
        )
        helped |= with_ < 0.995 * without
        seen.append(f"{kind} {with_:.4g} with them and {without:.4g} without")
    expect(helped, f"on noise, validation rows make no difference to the loss on them: {'; '.join(seen)}")


def _loss(answer: np.ndarray, y: np.ndarray) -> float:
    if answer.ndim == 1:
        return float(np.mean((answer - y) ** 2))
    return float(-np.log(np.clip(answer[np.arange(len(y)), y], 1e-6, 1)).mean())


def deadline(subject: Subject) -> None:
    """A fit that would clearly take longer ends near its deadline, and predicts."""
    kind = subject.kinds[-1]
    _, X, X_valid, y, _ = subject.rows(kind)
    rows = len(y)
    while True:
        many = np.arange(rows) % len(y)
        given = X[many], y[many]
        _, wall, cpu = _timed(subject, kind, given, 1e6)
        if wall > _LONG or rows * 4 > _MOST_ROWS:
            break
        rows *= 4
    if wall < _LONG:
        return  # there is no fit that a deadline would have to cut
    model, kept, used = _timed(subject, kind, given, wall / 5)
    # Wall time tells of the machine too, and CPU time of nothing that waits: one of them must be short.
    expect(
        kept < 0.6 * wall or (cpu > 0.5 * wall and used < 0.6 * cpu),
        f"{kind}: a fit of {rows:,} rows takes {kept:.2f} s with a deadline of {wall / 5:.2f} s, "
        f"and {wall:.2f} s without one",
    )
    subject.predict(kind, model, X_valid)


def _timed(subject: Subject, kind: str, rows: tuple[Any, np.ndarray], seconds: float) -> tuple[Any, float, float]:
    _, _, X_valid, y, _ = subject.rows(kind)
    wall, cpu = time.perf_counter(), time.process_time()
    none = (X_valid[:0], np.empty(0, y.dtype))
    model = subject.fit(kind, rounds=_ROUNDS, rows=rows, validation=none, deadline=seconds)
    return model, time.perf_counter() - wall, time.process_time() - cpu


def categories(subject: Subject) -> None:
    """Codes that are said to be categories are not taken for numbers."""
    kind = subject.kinds[0]
    rng = np.random.default_rng(5)
    X = rng.normal(size=(400, 3)).astype(np.float32)
    codes = rng.integers(0, 24, 400)
    X[:, 1] = codes
    high = codes % 2 + rng.normal(0, 0.2, 400)
    y = 5 + high if kind == "regression" else (high > 0.5).astype(np.int64) * (2 if kind == "multiclass" else 1)
    if kind == "multiclass":
        y[::5] = 1
    losses = []
    for said in ({}, {1: 24}):
        model = subject.build(kind, rounds=8)
        model.fit(X, y, categories=said)
        losses.append(_loss(subject.predict(kind, model, X), y))
    expect(
        losses[1] < losses[0],
        f"{kind}: where every second level is high, the loss is {losses[1]:.4g} with the column in `categories` and "
        f"{losses[0]:.4g} without",
    )


def refit(subject: Subject) -> None:
    """`refit_params()` are parameters in JSON, and a fit with them needs no validation rows and comes to the same."""
    for kind in subject.kinds:
        model = subject.model(kind)
        said = dict(model.refit_params())
        known = set(model.get_params(deep=False))
        expect(said.keys() <= known, f"{kind}: refit_params() gives {sorted(said.keys() - known)}, no parameters")
        try:
            json.dumps(said)
        except TypeError as error:
            raise Broken(f"{kind}: refit_params() gives {said}, which is no JSON: {error}") from error
        _, _, X_valid, y, _ = subject.rows(kind)
        params = {**subject.spec.candidates[0], **said}
        none = (X_valid[:0], np.empty(0, y.dtype))
        try:
            again = subject.fit(kind, params=params, validation=none)
        except Exception as error:
            raise Broken(f"{kind}: with {said} and no validation rows: {told(error)}") from error
        came = dict(again.refit_params())
        expect(came == said, f"{kind}: told {said}, a fit without validation rows came to {came}")


def monotone(subject: Subject) -> None:
    """As the column rises, all else being equal, no prediction falls (or rises, for -1)."""
    for kind in subject.kinds:
        if kind == "multiclass":
            continue
        view, X, X_valid, _, _ = subject.rows(kind)
        if not view.names:  # what looks at no column goes against none
            continue
        column = view.names.index(NUMBER)
        values = np.array(X[:, column] if subject.family.views[0] != "frame" else X[NUMBER])
        for way in (1, -1):
            model = subject.fit(kind, rounds=24, monotone={column: way})
            swept = []
            for value in np.quantile(values, np.linspace(0, 1, 12)):
                answer = subject.predict(kind, model, _with(X_valid, column, value))
                swept.append(answer if kind == "regression" else answer[:, 1])
            steps = way * np.diff(np.array(swept), axis=0)
            worst = float(-steps.min())
            expect(
                worst <= 1e-9 * (1 + np.abs(swept).max()),
                f"{kind}: with monotone={{{column}: {way}}}, a prediction goes the wrong way by {worst:.3g}",
            )


def _with(X: Any, column: int, value: float) -> Any:
    if isinstance(X, np.ndarray):
        changed = np.array(X)
        changed[:, column] = value
        return changed
    import polars as pl

    return X.with_columns(pl.lit(value).cast(X.dtypes[column]).alias(X.columns[column]))


def metric(subject: Subject) -> None:
    """It takes any metric's name, and for some of them learns something else."""
    differ, tried = False, []
    for kind in subject.kinds:
        X = subject.rows(kind)[2]
        plain = subject.predict(kind, subject.model(kind), X)
        for name in _METRICS[kind]:
            try:
                told_ = subject.fit(kind, context={"metric": name})
            except Exception as error:
                raise Broken(f"{kind}, metric={name}: {told(error)}") from error
            differ |= bool((subject.predict(kind, told_, X) != plain).any())
            tried.append(name)
    expect(differ, f"predictions are the same whether the metric is {', '.join(tried)}")


def gpu(subject: Subject) -> None:
    """The constructor takes `device`, and a machine without a GPU will do."""
    for kind in subject.kinds:
        model = subject.build(kind, device="cpu")
        said = model.get_params(deep=False).get("device", "no parameter of it")
        expect(said == "cpu", f"{kind}: told the device is 'cpu', it has {said}")
        subject.predict(kind, subject.fit(kind, context={"device": "cpu"}), subject.rows(kind)[2])


CAPABLE: tuple[tuple[str, Callable[[Subject], None], str], ...] = (
    ("weights", weights, "pass sample_weight on to the loss, or do not declare `weights`"),
    (
        "validation",
        validation,
        "keep the round that is best on the rows of `validation`, or do not declare `validation`",
    ),
    ("deadline", deadline, "look at the clock in every round and return what there is, or do not declare `deadline`"),
    (
        "categories",
        categories,
        "tell the library which columns of codes are categories, or do not declare `categories`",
    ),
    ("refit", refit, "give from refit_params() what early stopping found, such as {'n_estimators': 120}"),
    ("monotone", monotone, "pass `monotone` on to the library, or do not declare it"),
    ("metric", metric, "choose the loss by the constructor's `metric`, falling back where there is none for a name"),
    ("gpu", gpu, "have the parameter `device`, and fit and predict there; or do not declare `gpu`"),
)
