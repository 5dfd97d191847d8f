"""One job of a trial: fit a candidate on a fold, predict its validation rows, leave both on disk, report in JSON."""

from __future__ import annotations

import importlib
import json
import math
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from automl.artifact import save_model, written_whole
from automl.clock import call_seconds
from automl.data.problem import Problem
from automl.data.views import View
from automl.errors import ContractError
from automl.family import Family, predict
from automl.machine import gpus

REFIT = "refit.json"  # in the folder of a fold: what its estimator says of a refit
_WATCHED = 20_000  # validation rows, at most, for a fit to stop by: looking at more would take much of its time


def evaluate(job: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    """Run a job and report its outcome; whatever the estimator raises is an outcome too.

    Parameters
    ----------
    job : ``id``, ``trial``, ``fold`` (None: train on all rows, with none to validate), ``family``, ``params``,
        ``rows`` (of the training rows; None for all), ``seed``,
        ``threads`` and ``deadline``, the seconds that the fit may take.
    problem : what the trials of the run share.

    Returns
    -------
    ``id``, ``status`` ("ok" or "failed"), ``reason``, ``broken`` where the family breaks the contract, and for "ok"
    ``score`` (None without a fold), ``view_seconds`` (until the rows were encoded), ``fit_seconds``,
    ``predict_seconds`` (of the validation rows), ``row_seconds`` (one row through the model alone), ``size`` in bytes
    and ``notes`` on what its view capped.
    """
    try:
        # A solver calls BLAS often and for little: its threads would mostly wait, on a busy machine 20 times as long.
        with threadpool_limits({"openmp": job["threads"], "blas": 1}):
            return {"id": job["id"], "status": "ok", "reason": "", **_evaluate(job, problem)}
    except ContractError as error:
        return {"id": job["id"], "status": "failed", "reason": str(error), "broken": True}
    except Exception as error:  # a family is somebody else's code: its trouble is a row of the leaderboard
        return {"id": job["id"], "status": "failed", "reason": f"{type(error).__name__}: {error}"[:500]}


def _evaluate(job: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    family = problem.registry.family(job["family"])
    rows = problem.fold(job["fold"], job["rows"])
    asked = time.perf_counter()
    view, X, X_valid = problem.view(family.view_of(job["params"]), job["fold"], job["rows"])
    view_seconds = time.perf_counter() - asked
    y, y_valid = problem.y[rows.train], problem.y[rows.valid]
    weight = None if problem.weight is None else problem.weight[rows.train]
    estimator = family.build(
        problem.task.kind,
        job["params"],
        metric=problem.task.metric,
        random_state=job["seed"],
        n_jobs=job["threads"],
        device="cuda" if gpus() else "cpu",
    )
    for module in family.requires:  # its import is no part of a fit, and comes but once for each worker
        importlib.import_module(module)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a solver that has not converged shows in its score
        some = slice(None, None, max(1, math.ceil(len(y_valid) / _WATCHED)))
        watched = (X_valid[some], y_valid[some])
        estimator.fit(X, y, **extras(problem, family, view, watched, weight, job["deadline"]))
        fitted = time.perf_counter()
        classes, score, answer = len(problem.task.classes), None, None
        if job["fold"] is not None:
            answer = predict(estimator, X_valid, classes)
            there = None if problem.weight is None else problem.weight[rows.valid]
            with problem.registry.calling("metrics", problem.task.metric):
                score = float(problem.metric.score(y_valid, answer, there))
            if not np.isfinite(score) and problem.folds == 1:
                raise ValueError(f"{problem.task.metric} is {score} on the validation rows")
        predicted = time.perf_counter()
        row_seconds = _row_seconds(estimator, X, classes) if job["fold"] in (0, None) else None
    wanted = _wanted(estimator, job) if "refit" in family.can else None
    final = problem.trial_folder(job["trial"], job["fold"])
    with written_whole(final) as draft:
        save_model(estimator, draft / "model")
        if answer is not None:
            np.save(draft / "predictions.npy", answer.astype(np.float32))
        if wanted is not None:
            (draft / REFIT).write_text(json.dumps(wanted), encoding="utf-8")
    size = sum(file.stat().st_size for file in (final / "model").rglob("*") if file.is_file())
    took = {"fit_seconds": fitted - start, "predict_seconds": predicted - fitted, "row_seconds": row_seconds}
    return {"score": score, **took, "view_seconds": view_seconds, "size": size, "notes": list(view.notes)}


def _wanted(estimator: Any, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a refit is to be told; one that has itself not come so far is none."""
    wanted: Mapping[str, Any] = estimator.refit_params()
    if job["fold"] is None and (short := [name for name, value in wanted.items() if job["params"][name] != value]):
        name = short[0]
        raise TimeoutError(f"{name} came to {wanted[name]} of {job['params'][name]} before the deadline")
    return wanted


def extras(
    problem: Problem, family: Family, view: View, validation: tuple[Any, Any], weight: Any, deadline: float
) -> dict[str, Any]:
    """The keywords of fit that the family declares, and that there is something to say for."""
    extras: dict[str, Any] = {}
    if "weights" in family.can and weight is not None:
        extras["sample_weight"] = weight
    if "validation" in family.can and len(validation[1]):
        extras["validation"] = validation
    if "deadline" in family.can:
        extras["deadline"] = deadline
    if "categories" in family.can and view.categories:
        extras["categories"] = view.categories
    if "monotone" in family.can and problem.schema.monotone:
        ways = problem.schema.monotone.items()
        extras["monotone"] = {view.names.index(name): way for name, way in ways if name in view.names}
    return extras


def _row_seconds(estimator: Any, X: Any, classes: int) -> float:
    row = np.asarray(X[:1]) if isinstance(X, np.ndarray) else X[:1]  # no mapped file: estimators treat it otherwise
    return call_seconds(lambda: predict(estimator, row, classes))
