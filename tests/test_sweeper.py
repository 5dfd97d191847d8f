"""The Hydra sweeper `automl`: keys become distributions, jobs are asked for and told, the best is printed."""

import shlex
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from automl.errors import ConfigError, NoModelError
from automl.sweeper import AutoMLSweeper, _distribution


class Loader:
    """Stands in for Hydra's config loader, which composes the config of each job."""

    def load_sweep_config(self, master_config, sweep_overrides):
        assert all("=" in override for override in sweep_overrides)


class Launcher:
    """Runs jobs by a function from their overrides, as a dict, to a loss."""

    def __init__(self, loss):
        self.loss, self.jobs, self.batches = loss, [], []

    def launch(self, jobs, initial_job_idx):
        assert initial_job_idx == len(self.jobs)
        self.batches.append(len(jobs))
        self.jobs += jobs
        return [self._run(dict(override.split("=", 1) for override in job)) for job in jobs]

    def _run(self, job):
        done = JobReturn()
        try:
            done.status, done._return_value = JobStatus.COMPLETED, self.loss(job)
        except Exception as error:
            done.status, done._return_value = JobStatus.FAILED, error
        return done


def sweep(loss, *arguments, trials=12, batch=1, sampler="tpe", seed=0):
    """Sweep; what the sweeper returns, and the launcher."""
    sweeper = AutoMLSweeper(trials=trials, batch=batch, sampler=sampler, seed=seed)
    sweeper.hydra_context, sweeper.config = SimpleNamespace(config_loader=Loader()), {}
    sweeper.launcher = Launcher(loss)
    return sweeper.sweep(list(arguments)), sweeper.launcher


def parsed(text):
    return _distribution(OverridesParser.create().parse_override(text))


def test_hydra_finds_it_by_its_own_door():
    found = {f"{cls.__module__}.{cls.__name__}" for cls in Plugins.instance().discover(Sweeper)}
    assert "hydra_plugins.automl_sweeper.AutoMLSweeper" in found


@pytest.mark.parametrize(
    ("override", "distribution"),
    [
        ("a=x,y", CategoricalDistribution(("x", "y"))),
        ("a=choice(1, true, 2.5)", CategoricalDistribution((1, True, 2.5))),
        ("a=[1],[2]", CategoricalDistribution(("[1]", "[2]"))),
        ("a=interval(0.1, 0.4)", FloatDistribution(0.1, 0.4)),
        ("a=tag(log, interval(0.001, 1))", FloatDistribution(0.001, 1, log=True)),
        ("a=range(1, 10)", IntDistribution(1, 9)),
        ("a=range(1, 10, 4)", IntDistribution(1, 9, step=4)),
        ("a=range(1, 9, 4)", IntDistribution(1, 5, step=4)),
        ("a=tag(log, range(1, 101))", IntDistribution(1, 100, log=True)),
        ("a=range(5, 1, -2)", CategoricalDistribution((5, 3))),
        ("a=range(0, 1, 0.25)", CategoricalDistribution((0.0, 0.25, 0.5, 0.75))),
    ],
)
def test_what_is_swept_becomes_a_distribution(override, distribution):
    assert parsed(override) == distribution


def test_it_finds_the_lowest_loss_and_prints_a_command_to_repeat_it(capsys):
    def loss(job):
        return (float(job["x"]) - 0.7) ** 2 + (job["kind"] != "b")

    got, launcher = sweep(loss, "fixed='a b'", "x=interval(0, 1)", "kind=a,b", trials=40)
    best = dict(override.split("=", 1) for override in got["overrides"])
    assert best["kind"] == "b"
    assert abs(float(best["x"]) - 0.7) < 0.1
    assert got["loss"] == min(loss(dict(o.split("=", 1) for o in job)) for job in launcher.jobs)
    last = capsys.readouterr().out.splitlines()[-1]
    assert shlex.split(last) == ["automl", "fit", "fixed='a b'", *got["overrides"]]


def test_it_launches_as_many_jobs_as_asked_in_batches():
    _, launcher = sweep(lambda job: 1.0, "x=interval(0, 1)", trials=7, batch=3)
    assert launcher.batches == [3, 3, 1]
    assert all(0 <= float(job[0].removeprefix("x=")) <= 1 for job in launcher.jobs)


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_the_seed_decides_the_jobs(sampler):
    def jobs(seed):
        return sweep(lambda job: float(job["x"]), "x=interval(0, 1)", trials=5, sampler=sampler, seed=seed)[1].jobs

    assert jobs(1) == jobs(1)
    assert jobs(1) != jobs(2)


def test_jobs_that_fail_or_give_no_score_are_said_and_the_sweep_goes_on(capsys):
    def loss(job):
        if job["x"] == "1":
            raise ValueError("no such thing")
        return None if job["x"] == "2" else 5.0

    got, launcher = sweep(loss, "x=1,2,3", trials=12, sampler="random")
    assert got == {"overrides": ["x=3"], "loss": 5.0}
    assert len(launcher.jobs) == 12
    assert "job failed: no such thing" in capsys.readouterr().out


def test_when_every_job_fails_the_sweep_does():
    with pytest.raises(NoModelError, match="every job"):
        sweep(lambda job: 1 / 0, "x=1,2", trials=2)


def test_a_sweep_over_nothing_is_refused():
    with pytest.raises(ConfigError, match="nothing to sweep"):
        sweep(lambda job: 1.0, "x=1")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"sampler": "tpee"}, "did you mean 'tpe'"),
        ({"trials": 0}, "at least 1"),
        ({"batch": 0}, "at least 1"),
    ],
)
def test_wrong_options_are_refused(said, message):
    with pytest.raises(ConfigError, match=message):
        AutoMLSweeper(**{"trials": 1, "batch": 1, "sampler": "tpe", "seed": 0, **said})
