"""The family keeps the contract of automl, and learns in a real run."""

import pytest

from automl import AutoML
from automl.testing import family_checks


@pytest.mark.parametrize("check", family_checks("NAME"), ids=str)
def test_the_contract(check):
    check()


def test_it_learns_in_a_run(tmp_path):
    model = AutoML(families=["NAME"], time_budget=30, output_dir=tmp_path / "run", overrides=["budget.trials=2"])
    model.fit("sklearn:breast_cancer", target="target")
    assert model.score_ > 0.95  # area under the ROC curve, out of fold
