"""Workers are supervised: whatever a trial does, it becomes an outcome, and no process outlives its driver."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from automl.data.problem import Problem
from automl.data.schema import Schema
from automl.data.split import Fold, Split
from automl.execute.inprocess import InProcessExecutor
from automl.execute.local import _WARM, LocalExecutor, warm_for
from automl.task import Task


@pytest.fixture
def work(tmp_path, unruly):
    table = pl.DataFrame({"a": np.linspace(0, 1, 40)})
    schema = Schema.infer(table, roles={}, drop=[], missing=[])
    y = np.arange(40) % 2
    split = Split("holdout", (Fold(np.arange(30), np.arange(30, 40)),), "")
    task = Task("binary", "y", "log_loss", ("no", "yes"))
    typed, _ = schema.apply(table)
    Problem.write(tmp_path / "work", typed, y, None, split, task, schema, (None, (), True))
    return tmp_path / "work"


def job(mode, trial=0, limit=30.0):
    return {
        **{"id": f"{trial}-0", "trial": trial, "fold": 0, "family": "unruly", "params": {"mode": mode}},
        **{"rows": None, "seed": 0, "threads": 1, "deadline": 30.0, "limit": limit},
    }


def outcome(executor, said):
    executor.submit(said)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if done := executor.wait(1.0):
            return done[0]
    raise AssertionError("no outcome within a minute")


@pytest.mark.parametrize(("said", "warm"), [("executor.threads=2", True), ("executor=inprocess", False)])
def test_workers_load_while_a_config_is_composed_unless_it_may_name_another_executor(said, warm):
    with warm_for(["target=y", said]):
        assert bool(_WARM) == warm
    assert not _WARM


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
@pytest.mark.parametrize("own", [None, "7"])
def test_threads_of_a_fit_spin_a_little_while_they_wait_unless_the_user_says_otherwise(own, monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    if own is not None:
        monkeypatch.setenv("GOMP_SPINCOUNT", own)
    with LocalExecutor.warm():
        said = Path(f"/proc/{_WARM[-1].process.pid}/environ").read_text().split("\0")
    assert f"GOMP_SPINCOUNT={own or 1000}" in said
    assert not [name for name in said if name.startswith("OMP_WAIT_POLICY=")], "asleep, they take four times as long"


def test_one_worker_lives_through_everything_a_trial_may_do(work):
    executor = LocalExecutor(work, slots=1, threads=1, memory=350_000_000)
    try:
        assert outcome(executor, job("ok", 0))["status"] == "ok"
        assert outcome(executor, job("print", 1))["status"] == "ok"
        raised = outcome(executor, job("raise", 2))
        assert (raised["status"], raised["reason"]) == ("failed", "ValueError: I will not learn this")
        assert "not finite" in outcome(executor, job("nan", 3))["reason"]
        died = outcome(executor, job("die", 4))
        assert (died["status"], "exit code 3" in died["reason"]) == ("crashed", True)
        assert "SIGSEGV" in outcome(executor, job("segfault", 5))["reason"]
        begun = time.monotonic()
        hung = outcome(executor, job("hang", 6, limit=1.0))
        assert hung["status"] == "timeout"
        assert time.monotonic() - begun < 20
        assert outcome(executor, job("hog", 7))["status"] == "oom"
        last = outcome(executor, job("ok", 8))
        assert last["status"] == "ok"
        assert last["score"] == pytest.approx(np.log(2))
    finally:
        executor.close()
    assert (work / "trials" / "00008" / "0" / "model").is_dir()
    assert not (work / "trials" / "00002").exists(), "a failed job leaves nothing under a final name"


def test_a_fork_server_that_was_killed_is_replaced(work):
    executor = LocalExecutor(work, slots=1, threads=1, memory=None)
    try:
        assert outcome(executor, job("ok", 0))["status"] == "ok"
        first = executor._workers[0].pid
        executor._server.process.kill()
        assert outcome(executor, job("hang", 1))["status"] == "crashed"
        assert outcome(executor, job("ok", 2))["status"] == "ok"
        assert executor._workers[0].pid != first
    finally:
        executor.close()


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library whose import does what its source says, and writes down which process it was."""

    def make(source):
        (tmp_path / "library_of_this_test.py").write_text(
            f"import os, time\nopen({str(tmp_path / 'imports')!r}, 'a').write(f'{{os.getpid()}} ')\n{source}\n"
        )
        return "library_of_this_test"

    monkeypatch.syspath_prepend(str(tmp_path))
    return make


def test_what_jobs_require_is_loaded_once_by_the_server_and_shared(work, library):
    executor = LocalExecutor(work, slots=2, threads=1, memory=None)
    try:
        assert outcome(executor, job("ok", 0))["status"] == "ok"
        needy = {"requires": [library("")]}
        for i in (1, 2):
            executor.submit({**job("ok", i), **needy})
        done = []
        while len(done) < 2:
            done += executor.wait(60.0)
        assert [said["status"] for said in done] == ["ok", "ok"]
        assert (work.parent / "imports").read_text().split() == [str(executor._server.process.pid)]
    finally:
        executor.close()


def test_a_library_that_ends_the_process_that_imports_it_costs_one_job(work, library):
    executor = LocalExecutor(work, slots=1, threads=1, memory=None)
    needy = {"requires": [library("os._exit(3)")]}
    try:
        assert outcome(executor, {**job("ok", 0), **needy})["status"] == "crashed"
        assert outcome(executor, {**job("ok", 1), **needy})["status"] == "ok", "the server leaves it to the worker now"
    finally:
        executor.close()


@pytest.mark.parametrize("warm", [True, False])
def test_an_import_that_takes_long_does_not_hold_up_the_end(work, library, warm):
    with LocalExecutor.warm() if warm else nullcontext():
        executor = LocalExecutor(work, slots=1, threads=1, memory=None)
        assert outcome(executor, job("ok", 0))["status"] == "ok"
        executor.submit({**job("ok", 1), "requires": [library("time.sleep(3)")]})
        begun = time.monotonic()
        executor.wait(0.5)
        executor.close()
        assert time.monotonic() - begun < 2
        if warm:
            assert executor._server.wait(1) == 0, "the worker that nobody wants any more ends by itself"
    assert not (work / "trials" / "00001").exists()


def test_freed_memory_is_given_back_after_each_job(work):
    executor = LocalExecutor(work, slots=1, threads=1, memory=None)
    try:
        assert outcome(executor, job("ok", 0))["status"] == "ok"
        worker = executor._workers[0]
        assert outcome(executor, job("crumbs", 1))["status"] == "ok"
        assert executor._workers[0] is worker, "a new one would have nothing to give back"
    finally:
        executor.close()


def test_a_worker_in_which_jobs_leave_much_behind_is_replaced(work):
    executor = LocalExecutor(work, slots=1, threads=1, memory=None)
    try:
        worker = executor._workers[0]
        assert outcome(executor, job("keep", 0))["status"] == "ok"
        assert executor._workers[0] is worker, "what the first job leaves, the next one may need"
        assert outcome(executor, job("keep", 1))["status"] == "ok"
        assert executor._workers[0] is not worker
        assert outcome(executor, job("ok", 2))["status"] == "ok"
    finally:
        executor.close()


def test_nobody_waits_for_a_server_that_loads_to_be_rid_of_an_idle_worker(work, library):
    executor = LocalExecutor(work, slots=2, threads=1, memory=None)
    try:
        for i in (0, 1):
            executor.submit(job("ok", i))
        done = []
        while len(done) < 2:
            done += executor.wait(60.0)
        executor.submit({**job("ok", 2), "requires": [library("time.sleep(3)")]})
        begun = time.monotonic()
        executor.submit({**job("ok", 3), "requires": ["wave"]})
        assert time.monotonic() - begun < 1
    finally:
        executor.close()


def test_what_the_server_has_loaded_stays_shared_when_a_worker_collects_garbage(work, library):
    executor = LocalExecutor(work, slots=1, threads=1, memory=None)
    try:
        source = "import gc\nassert not gc.isenabled()\nloaded = [[] for _ in range(100_000)]"  # else the job fails
        assert outcome(executor, {**job("collect", 0), "requires": [library(source)]})["status"] == "ok"
    finally:
        executor.close()


def test_executors_in_a_warm_block_share_a_fork_server_that_ends_with_it(work):
    with LocalExecutor.warm():
        pair = [LocalExecutor(work, slots=1, threads=1, memory=None) for _ in range(2)]
        server = pair[0]._server
        assert pair[1]._server is server
        pair[0].close()
        assert outcome(pair[1], job("ok", 0))["status"] == "ok"
        pair[1].close()
    assert not server.alive


def test_closing_leaves_no_process(work):
    executor = LocalExecutor(work, slots=2, threads=1, memory=None)
    executor.submit(job("hang", 0))
    pids = [worker.pid for worker in executor._workers]
    executor.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux's")
def test_workers_die_with_a_driver_that_is_killed(work):
    driver = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from automl.execute.local import _WARM, LocalExecutor, warm_for
        executor = LocalExecutor(Path({str(work)!r}), slots=1, threads=1, memory=None)
        executor.submit({job("hang")!r})
        executor.wait(4.0)
        print(executor._workers[0].pid, flush=True)
        time.sleep(3600)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, "-c", driver], stdout=subprocess.PIPE, text=True, env=environment)
    worker = int(process.stdout.readline())
    assert Path(f"/proc/{worker}").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()


def test_in_process_a_raising_fit_is_an_outcome_too(work):
    executor = InProcessExecutor(work, slots=1, threads=1, memory=None)
    assert outcome(executor, job("raise"))["status"] == "failed"
    assert outcome(executor, job("ok", 1))["status"] == "ok"


def test_the_import_of_a_required_module_is_no_part_of_a_fit(work, install_plugin):
    site = install_plugin(
        "eager_plugin",
        """
        from unruly_plugin import Unruly
        from automl import Family, hookimpl

        class Eager(Unruly):
            def fit(self, X, y):
                import slow_library
                return super().fit(X, y)

        @hookimpl
        def automl_families():
            yield Family("eager", "eager_plugin:Eager", {"binary"}, requires=("slow_library",))
        """,
    )
    (site / "slow_library.py").write_text("import time\ntime.sleep(1.0)\n")
    executor = LocalExecutor(work, slots=1, threads=1, memory=None)
    try:
        done = outcome(executor, {**job("ok"), "family": "eager"})
        assert (done["status"], done["fit_seconds"] < 0.5) == ("ok", True)
    finally:
        executor.close()
