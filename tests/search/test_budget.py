"""The budget: what is spent and what is left, by the clock it is given."""

import pytest

from automl.search.budget import Budget


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_it_counts_from_its_making():
    clock = Clock()
    budget = Budget(60, clock=clock)
    clock.now += 20
    assert budget.spent == 20
    assert budget.left == pytest.approx(60 - 20 - budget.reserve)


def test_it_can_have_begun_earlier():
    clock = Clock()
    assert Budget(60, clock=clock, began=90.0).spent == 10


@pytest.mark.parametrize("seconds", [0.5, 1, 10, 60, 3600, 86400])
def test_the_end_keeps_its_reserve_and_leaves_most_for_trials(seconds):
    budget = Budget(seconds, clock=Clock())
    assert 0 < budget.reserve <= 5
    assert budget.left == pytest.approx(seconds - budget.reserve)
    assert seconds < 1 or budget.left > seconds / 2


def test_nothing_is_left_once_the_time_is_over():
    clock = Clock()
    budget = Budget(10, clock=clock)
    clock.now += 10
    assert budget.left < 0


def test_time_for_refits_is_kept_back():
    clock = Clock()
    budget = Budget(60, clock=clock)
    before = budget.left
    budget.refits = 7.0
    assert budget.left == pytest.approx(before - 7)
