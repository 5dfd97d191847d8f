"""Allowances: what the time left has room for, and what each trial and job has of it."""

from types import SimpleNamespace

import pytest
from fakes import Clock, problem_of

from automl.family import Candidate
from automl.search.allowance import Allowances
from automl.search.budget import Budget

STOPS, STAYS = "lightgbm", "neighbors"  # whose fits keep a deadline, and whose do not


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    return problem_of(tmp_path_factory.mktemp("allowance") / "work", 3)


def allowances(problem, seconds, slots=1, **priors):
    clock = Clock()
    made = Allowances(problem, SimpleNamespace(slots=slots), Budget(seconds, clock=clock, reserve=1.0), priors, 20)
    return made, clock


def test_a_trial_is_carried_if_its_folds_fit_side_by_side_with_a_margin(problem):
    made, clock = allowances(problem, 101.0)
    made.learn(Candidate(STAYS, {}), 10.0)
    assert made.carry(STAYS, None)
    clock.now += 64.1  # 35.9 s are left, and three folds with a fifth more take 36
    assert not made.carry(STAYS, None)
    assert made.carry(STAYS, 10), "half of the rows take half of the time"
    wider, later = allowances(problem, 101.0, slots=3)
    wider.learn(Candidate(STAYS, {}), 10.0)
    later.now += 64.1
    assert wider.carry(STAYS, None)


def test_one_that_stops_in_time_is_begun_in_a_third_and_one_that_was_never_measured_with_more_in_hand(problem):
    known, _ = allowances(problem, 31.0)
    for family in (STOPS, STAYS):
        known.learn(Candidate(family, {}), 24.0)
    assert known.carry(STOPS, None)
    assert not known.carry(STAYS, None)
    unknown, _ = allowances(problem, 31.0, neighbors=6.0)
    assert not unknown.carry(STAYS, None), "21.6 of 30 s"


def test_few_results_make_the_share_of_a_trial_small_and_a_dear_one_has_what_it_needs_up_to_a_limit(problem):
    made, _ = allowances(problem, 101.0)
    cheap, dear = Candidate("cheap", {}), Candidate("dear", {})
    assert made.of_trial(cheap, done=0) == pytest.approx(25)
    assert made.of_trial(cheap, done=4) == pytest.approx(50)
    made.learn(dear, 15.0)
    assert made.of_trial(dear, done=0) == pytest.approx(54)
    made.learn_killed(dear, 100.0)
    made.learn_killed(dear, 100.0)
    assert made.of_trial(dear, done=0) == pytest.approx(60)


def test_a_job_shares_what_its_trial_has_and_is_killed_soon_after_it_at_the_end_of_the_run_at_the_latest(problem):
    made, clock = allowances(problem, 101.0)
    deadline, limit = made.of_job(Candidate(STOPS, {}), 0, [1, 2], allowed=30.0)
    assert (deadline, limit) == (pytest.approx(0.8 * 10), pytest.approx(32))
    clock.now += 95.0
    deadline, limit = made.of_job(Candidate(STOPS, {}), 0, [], allowed=30.0)
    assert (deadline, limit) == (pytest.approx(0.8 * 5), pytest.approx(5))


def test_views_that_are_still_to_be_built_are_no_time_for_fits(problem):
    made, _ = allowances(problem, 101.0)
    made.learn_view(Candidate(STOPS, {}), 20.0)
    deadline, limit = made.of_job(Candidate(STOPS, {}), 0, [1, 2], allowed=90.0)
    assert (deadline, limit) == (pytest.approx(0.8 * 40 / 3), pytest.approx(20 + 40 + 2))
    assert made.too_slow(Candidate(STOPS, {}), 31.1, [1, 2], allowed=90.0)
    assert not made.too_slow(Candidate(STOPS, {}), 30.9, [1, 2], allowed=90.0), "two seconds over it are not too slow"
    why = made.too_slow(Candidate(STAYS, {}), 30.0, [1, 2], allowed=40.0)
    assert why.startswith("a fold took 30.0 s: 2 more do not fit into the 40.0 s")
