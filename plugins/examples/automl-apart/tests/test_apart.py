"""The executor keeps the contract, and goes through the command that it is told."""

import pytest

from automl.compose import compose
from automl.fit import fit
from automl.testing import executor_checks

SAID = ["data=iris", "families=[linear]", "executor.kind=apart", "budget.trials=1", "split=holdout"]


@pytest.mark.parametrize("check", executor_checks("apart"), ids=str)
def test_the_contract(check):
    check()


def test_jobs_go_through_the_command(tmp_path, monkeypatch):
    seen = tmp_path / "seen"
    wrapper = tmp_path / "wrap.sh"
    wrapper.write_text(f'#!/bin/sh\necho job >> {seen}\nexec "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("AUTOML_APART", str(wrapper))
    run = fit(compose([*SAID, "predictor.refit=none", f"run.dir={tmp_path / 'run'}"]))
    assert run.best.status == "ok"
    assert seen.read_text().splitlines() == ["job", "job"], "the baseline and one trial"


def test_a_command_that_fails_is_the_trials_outcome(tmp_path, monkeypatch):
    from automl import NoModelError

    monkeypatch.setenv("AUTOML_APART", "false")
    with pytest.raises(NoModelError, match="crashed, exit code 1"):
        fit(compose([*SAID, f"run.dir={tmp_path / 'run'}"]))
