"""Fit one system on job.json and train.parquet of this folder; leave predictions.parquet and result.json.

Runs in the system's own virtual environment, so it imports pandas and numpy only until the system is known. A system
is a function of the job that returns `fit()`, which is timed, and `predict(X)`; what it imports and starts is not.
"""

import json
import os
import sys
import time
import traceback
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

AUTOGLUON = {"ag-medium": "medium_quality", "ag-best": "best_quality", "ag-best_v150": "best_v150"}


class Job:
    """job.json, and the tables as every system gets them: labels are text."""

    def __init__(self, said):
        self.adapter, self.task, self.target = said["adapter"], said["task"], said["target"]
        self.budget, self.cores, self.seed, self.overrides = (
            said["budget"],
            said["cores"],
            said["seed"],
            said["overrides"],
        )

    def table(self):
        """The training rows."""
        table = pd.read_parquet("train.parquet")
        return table if self.task == "regression" else table.assign(**{self.target: table[self.target].astype(str)})

    def parts(self):
        """The training rows as X and y."""
        table = self.table()
        return table.drop(columns=self.target), table[self.target]

    def labels(self):
        """In the order of the columns of predictions.parquet."""
        return sorted(map(str, pd.read_parquet("train.parquet", columns=[self.target])[self.target].unique()))

    def by(self, binary, multiclass, regression):
        return {"binary": binary, "multiclass": multiclass, "regression": regression}[self.task]


def autogluon(job):
    from autogluon.tabular import TabularPredictor

    table = job.table()
    metric = job.by("roc_auc", "log_loss", "rmse")
    model = TabularPredictor(label=job.target, problem_type=job.task, eval_metric=metric, path="ag", verbosity=1)

    def fit():
        model.fit(table, time_limit=job.budget, presets=AUTOGLUON[job.adapter], num_cpus=job.cores)

    return fit, model.predict if job.task == "regression" else model.predict_proba


def flaml(job):
    from flaml import AutoML

    X, y = job.parts()
    model = AutoML()

    def fit():
        task, metric = job.by("classification", "classification", "regression"), job.by("roc_auc", "log_loss", "rmse")
        model.fit(X, y, task=task, metric=metric, time_budget=job.budget, n_jobs=job.cores, verbose=0, seed=job.seed)

    def predict(X):
        return (
            model.predict(X)
            if job.task == "regression"
            else pd.DataFrame(model.predict_proba(X), columns=model.classes_)
        )

    return fit, predict


def mljar(job):
    from supervised.automl import AutoML

    X, y = job.parts()
    model = AutoML(
        mode="Compete",
        ml_task=job.by("binary_classification", "multiclass_classification", "regression"),
        eval_metric=job.by("auc", "logloss", "rmse"),
        total_time_limit=int(job.budget),
        n_jobs=job.cores,
        results_path="mljar",
        random_state=job.seed,
        explain_level=0,
        verbose=0,
    )

    def predict(X):
        if job.task == "regression":
            return model.predict(X)
        answer = model.predict_all(X).drop(columns="label")
        return answer.rename(columns=lambda name: name.removeprefix("prediction_"))

    return lambda: model.fit(X, y), predict


def lama(job):
    import torch
    from lightautoml.automl.presets.tabular_presets import TabularAutoML
    from lightautoml.tasks import Task

    torch.set_num_threads(job.cores)
    table = job.table()
    if job.task != "regression":
        labels = job.labels()
        table[job.target] = table[job.target].map(labels.index)
    reader = {"n_jobs": job.cores, "random_state": job.seed}
    task = Task(job.by("binary", "multiclass", "reg"))
    model = TabularAutoML(task=task, timeout=job.budget, cpu_limit=job.cores, reader_params=reader)

    def predict(X):
        answer = model.predict(X).data
        if job.task == "regression":
            return answer[:, 0]
        if job.task == "binary":
            return pd.DataFrame({labels[0]: 1 - answer[:, 0], labels[1]: answer[:, 0]})
        places = model.reader.class_mapping or {i: i for i in range(len(labels))}
        return pd.DataFrame({label: answer[:, places[i]] for i, label in enumerate(labels)})

    return lambda: model.fit_predict(table, roles={"target": job.target}, verbose=0), predict


def h2o(job):
    import h2o as server
    from h2o.automl import H2OAutoML

    folder = os.getcwd()  # its logs would go elsewhere
    server.init(nthreads=job.cores, max_mem_size="8G", port=54400 + os.getpid() % 500, log_dir=folder, ice_root=folder)
    server.no_progress()
    table = job.table()
    metric = job.by("AUC", "logloss", "RMSE")
    model = H2OAutoML(max_runtime_secs=int(job.budget), seed=job.seed, sort_metric=metric, verbosity=None)

    def frame(X):
        """Of the types that the table has: of few rows it would guess others."""
        text = [
            name
            for name in X.columns
            if isinstance(X[name].dtype, pd.CategoricalDtype | pd.StringDtype) or X[name].dtype.kind in "Ob"
        ]
        numbers = [name for name in X.columns if name not in text and X[name].dtype.kind in "iuf"]
        return server.H2OFrame(X, column_types={**dict.fromkeys(numbers, "numeric"), **dict.fromkeys(text, "enum")})

    def fit():
        model.train(y=job.target, training_frame=frame(table))

    def predict(X):
        answer = model.leader.predict(frame(X)).as_data_frame()
        if job.task == "regression":
            return answer["predict"]
        labels = job.labels()  # it writes p1 for a label 1
        return answer.rename(columns=lambda name: name if name in labels else name.removeprefix("p"))

    return fit, predict


def _ours(job, *data):
    from automl import AutoML

    metric = job.by("roc_auc", "log_loss", "rmse")
    model = AutoML(
        task=job.task,
        metric=metric,
        time_budget=job.budget,
        n_jobs=job.cores,
        random_state=job.seed,
        output_dir="run",
        overrides=job.overrides,
    )

    def fit():
        model.fit(*data)
        flip = (lambda score: 1 - score) if job.task == "binary" else float
        members = sum(trial.weight > 0 for trial in model.trials_)
        return {"estimate": flip(model.score_), "trials": len(model.trials_), "members": members}

    def predict(X):
        return (
            model.predict(X)
            if job.task == "regression"
            else pd.DataFrame(model.predict_proba(X), columns=model.classes_)
        )

    return fit, predict


def ours(job):
    return _ours(job, *job.parts())


def ours_from_file(job):
    """The table goes by its path, so that memory is ours alone."""
    return _ours(job, "train.parquet", job.target)


SYSTEMS = {
    **dict.fromkeys(AUTOGLUON, (autogluon, "autogluon.tabular")),
    "flaml": (flaml, "flaml"),
    "mljar-compete": (mljar, "mljar-supervised"),
    "lama": (lama, "lightautoml"),
    "h2o": (h2o, "h2o"),
    "ours": (ours, "automl"),
    "ours_from_file": (ours_from_file, "automl"),
}


def main():
    job = Job(json.loads(Path("job.json").read_text()))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.cores])
    adapter, package = SYSTEMS[job.adapter]
    result = {"versions": f"{package} {metadata.version(package)}, python {sys.version.split()[0]}"}
    Path("result.json").write_text(json.dumps(result))
    try:
        fit, predict = adapter(job)
        result["began"] = time.time()
        start = time.perf_counter()
        try:
            said = fit()
        finally:
            result["fit_s"] = time.perf_counter() - start
        result |= said if isinstance(said, dict) else {}
        result |= timed(predict, job)
        result |= {"outcome": "ok", "error": ""}
    except BaseException as error:
        traceback.print_exc()
        refused = type(error).__module__ == "automl.errors"
        result |= {"outcome": "refused" if refused else "failed", "error": f"{type(error).__name__}: {error}"}
    Path("result.json").write_text(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)  # what is left running is not waited for


def timed(predict, job):
    """Write the predictions; seconds for all rows, and the median of ten single rows, after a first call."""
    X = pd.read_parquet("test.parquet").drop(columns=job.target)
    predict(X.head(5))
    start = time.perf_counter()
    answer = predict(X)
    result = {"predict_s": time.perf_counter() - start}
    ones = []
    for i in range(10):
        row = X.iloc[[i]]
        start = time.perf_counter()
        predict(row)
        ones.append(time.perf_counter() - start)
    if job.task == "regression":
        answer = pd.DataFrame({"prediction": np.asarray(answer)})
    else:
        answer = answer.set_axis(answer.columns.astype(str), axis=1)[job.labels()]
    answer.astype(float).to_parquet("predictions.parquet", index=False)
    return {**result, "row_ms": 1000 * float(np.median(ones))}


if __name__ == "__main__":
    main()
