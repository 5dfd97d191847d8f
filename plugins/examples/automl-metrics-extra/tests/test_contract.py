"""The metrics keep the contract: automl's conformance kit."""

import pytest

from automl.testing import metric_checks


@pytest.mark.parametrize(
    "check", [check for name in ("ece", "top3_accuracy", "captured_10") for check in metric_checks(name)], ids=str
)
def test_the_contract(check):
    check()
