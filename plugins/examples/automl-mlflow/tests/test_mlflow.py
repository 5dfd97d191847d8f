"""A run in MLflow's own store, read back by its client; and what happens where there is no such place."""

import json
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest
from mlflow import MlflowClient

from automl import AutoML, NoModelError, load
from automl.run import Run


def fit(folder, **more):
    """A run of the baseline and two trials."""
    settings = ["budget.trials=2", "executor=inprocess", "data.drop=[malic_acid]"]
    model = AutoML(families=["linear"], time_budget=60, output_dir=folder, overrides=settings, **more)
    model.fit("sklearn:wine", target="target")
    return Run.open(folder)


def troubles(run):
    """What the run's log says of listeners that failed."""
    events = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    return [event["what"] for event in events if event["event"] == "listener_failed"]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A tracked run, the client of its store, and its MLflow run."""
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "wines")
        run = fit(folder / "run")
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        experiment = client.get_experiment_by_name("wines").experiment_id
        (parent,) = client.search_runs([experiment], "tags.`mlflow.parentRunId` is null")
        yield run, client, parent


def test_the_run_has_config_versions_and_score(tracked):
    run, _, parent = tracked
    assert not troubles(run)
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", "run")
    params = parent.data.params
    assert (params["budget.trials"], params["data.drop"], params["task.kind"]) == ("2", "['malic_acid']", "multiclass")
    assert not [name for name in params if name.startswith("family")]
    assert {"version.python", "version.automl", "version.polars"} <= parent.data.tags.keys()
    assert parent.data.metrics["log_loss"] == run.score
    assert parent.data.metrics["trials"] == 3
    assert parent.data.tags["automl.ended"] == "budget.trials=2 is reached"


def test_each_trial_is_a_run_inside_it(tracked):
    run, client, parent = tracked
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    children = {child.info.run_name: child for child in client.search_runs([parent.info.experiment_id], query)}
    assert children.keys() == {trial.name for trial in run.trials}
    for trial in run.trials:
        child = children[trial.name]
        assert child.data.params["family"] == trial.family
        assert child.data.metrics["log_loss"] == trial.score
        assert child.data.metrics["fit_seconds"] == pytest.approx(trial.fit_seconds)
        assert child.data.params.items() >= {name: str(value) for name, value in trial.params.items()}.items()
        assert child.info.status == "FINISHED"
    spans = []
    for trial in run.trials:
        info = children[trial.name].info
        assert info.start_time + 1000 * trial.fit_seconds <= info.end_time + 1, "it began before its fits"
        spans.append((info.start_time, info.end_time))
    assert all(end <= following[0] + 1 for (_, end), following in pairwise(spans)), "one after the other"
    curve = client.get_metric_history(parent.info.run_id, "log_loss.best")
    assert sorted(point.step for point in curve) == [trial.number for trial in run.trials]


def test_the_predictor_comes_back_from_its_artifacts(tracked, tmp_path):
    run, client, parent = tracked
    names = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"config.yaml", "schema.yaml", "leaderboard.csv", "log.jsonl", "model"} <= names
    folder = client.download_artifacts(parent.info.run_id, "model", str(tmp_path))
    from sklearn.datasets import load_wine

    X = load_wine(as_frame=True).data
    assert (load(folder).predict(X) == load(run.folder / "model").predict(X)).all()


def test_a_run_that_fails_is_closed_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "in vain")
    settings = ["executor=inprocess", "baseline=null", "metric=roc_auc"]
    model = AutoML(families=["logistic"], time_budget=0.01, output_dir=tmp_path / "run", overrides=settings)
    with pytest.raises(NoModelError):
        model.fit("sklearn:breast_cancer", target="target")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (found,) = client.search_runs([client.get_experiment_by_name("in vain").experiment_id])
    assert found.info.status == "FAILED"
    assert found.data.tags["automl.ended"].startswith("NoModelError: no trial gave a model")


def test_without_a_uri_nothing_is_tracked_and_mlflow_not_imported(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    code = (
        "import sys; from automl import AutoML;"
        "settings = ['budget.trials=1', 'executor=inprocess'];"
        "AutoML(families=['linear'], output_dir='run', overrides=settings).fit('sklearn:wine', target='target');"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert not (tmp_path / "run" / "mlflow.json").exists()


def test_a_server_that_is_down_does_not_stop_the_run(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    start = time.perf_counter()
    run = fit(tmp_path / "run")
    assert (run.status, len(run.trials)) == ("finished", 3)
    (note,) = troubles(run)
    assert note.startswith("plugin 'mlflow', hook automl_")
    assert f"RuntimeError: MLFLOW_TRACKING_URI=http://127.0.0.1:{port}: " in note
    assert "this run is tracked no further; the run goes on" in note
    assert time.perf_counter() - start < 20


def test_a_server_that_never_answers_costs_seconds_not_minutes(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kept = []
        threading.Thread(target=lambda: kept.extend(silent.accept() for _ in range(9)), daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.perf_counter()
        run = fit(tmp_path / "run")
    assert run.status == "finished"
    assert "this run is tracked no further; the run goes on" in troubles(run)[0]
    assert time.perf_counter() - start < 30


def test_a_name_that_mlflow_refuses_is_made_fit():
    from automl_mlflow.tracker import _flat, _key, _metrics

    assert _key("pinball@0.9") == "pinball-0.9"
    assert _flat({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "a.c": {}, "d": [2]}
    assert [metric.key for metric in _metrics({"x": None, "y": float("inf"), "z": 1.0}, 0)] == ["z"]
