"""Every first-party family passes the conformance kit."""

import pytest

from automl.plugins import installed
from automl.testing import family_checks

CHECKS = [check for name in installed().families for check in family_checks(name)]


@pytest.fixture(scope="module")
def warm():
    """All runs fork their workers from one server: to load the libraries again for each takes most of the time."""
    with installed().executors["local"].warm():
        yield


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_first_party_families_pass(check, warm):
    check()
