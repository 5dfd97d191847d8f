"""The family keeps the contract: automl's conformance kit."""

import pytest

from automl.testing import family_checks


@pytest.mark.parametrize("check", family_checks("ranked_neighbors"), ids=str)
def test_the_contract(check):
    check()
