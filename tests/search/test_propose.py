"""The proposer: portfolios first, by priority, then draws that stay in the space and never repeat."""

import json
import math

import numpy as np
import pytest
from fakes import SAMPLERS_HERE
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.family import Candidate, FamilySpec
from automl.search.propose import Progress, Proposer
from automl.space import parse

SPACE = {"rate": {"float": [0.01, 1.0], "log": True}, "depth": {"int": [1, 9]}, "kind": {"choice": ["a", "b", None]}}


def spec(space=None, portfolio=(), params=None, priority=50):
    return FamilySpec(params or {}, parse(space or {}), tuple(portfolio), priority)


def proposer(specs, sampler="random", portfolio=True, seed=0, rungs=(None,), **said):
    return Proposer(specs, sampler=sampler, portfolio=portfolio, seed=seed, rungs=rungs, **said)


def drain(source, most=60, loss=lambda candidate: 1.0):
    """Ask and tell until there is nothing left: (family, params, origin) each."""
    found = []
    while len(found) < most and (proposal := source.next()):
        candidate, origin = proposal
        source.tell(candidate, loss(candidate))
        found.append((candidate.family, dict(candidate.params), origin))
    return found


def test_portfolios_are_interleaved_by_priority_and_come_before_any_search():
    specs = {
        "late": spec(SPACE, [{"depth": 1}, {"depth": 2}], priority=20),
        "early": spec(SPACE, [{"depth": 3}, {"depth": 4}, {"depth": 5}], priority=10),
    }
    found = drain(proposer(specs), most=7)
    assert [(family, origin) for family, _, origin in found[:5]] == [
        ("early", "portfolio"),
        ("late", "portfolio"),
        ("early", "portfolio"),
        ("late", "portfolio"),
        ("early", "portfolio"),
    ]
    assert [params["depth"] for _, params, _ in found[:5]] == [3, 1, 4, 2, 5]
    assert {origin for _, _, origin in found[5:]} == {"search"}


def test_an_order_is_given_the_entries_by_priority_and_decides():
    specs = {"late": spec(SPACE, [{"depth": 1}], priority=20), "early": spec(SPACE, [{"depth": 3}], priority=10)}
    given = []
    found = drain(proposer(specs, order=lambda entries: given.extend(entries) or entries[::-1]), most=3)
    assert [candidate.family for candidate in given] == ["early", "late"]
    assert [(family, origin) for family, _, origin in found[:2]] == [("late", "portfolio"), ("early", "portfolio")]


def test_a_family_without_portfolio_begins_with_its_own_parameters():
    assert drain(proposer({"one": spec(params={"size": 3})})) == [("one", {"size": 3}, "portfolio")]


def test_without_portfolios_a_family_is_searched_and_one_without_a_space_gets_its_one_try():
    specs = {"free": spec(SPACE, [{"depth": 1}]), "fixed": spec(params={"size": 3})}
    found = drain(proposer(specs, portfolio=False), most=5)
    assert found[0] == ("fixed", {"size": 3}, "portfolio")
    assert {(family, origin) for family, _, origin in found[1:]} == {("free", "search")}


def test_portfolio_entries_are_kept_inside_a_narrowed_space():
    narrowed = {"depth": {"int": [4, 6]}, "kind": "b"}
    found = drain(proposer({"one": spec(narrowed, [{"depth": 1, "kind": "a"}, {"depth": 9}, {"depth": 5}])}), most=3)
    assert [params for _, params, origin in found if origin == "portfolio"] == [
        {"depth": 4, "kind": "b"},
        {"depth": 6, "kind": "b"},
        {"depth": 5, "kind": "b"},
    ]


@pytest.mark.parametrize("sampler", SAMPLERS_HERE)
def test_draws_stay_in_the_space_and_keep_the_fixed_parameters(sampler):
    source = proposer({"one": spec(SPACE, [{"depth": 1}], params={"size": 3})}, sampler=sampler)
    found = drain(source, most=25, loss=lambda candidate: candidate.params["depth"])
    assert len(found) == 25
    for _, params, origin in found:
        assert params["size"] == 3
        if origin == "search":
            assert 0.01 <= params["rate"] <= 1.0
            assert params["depth"] in range(1, 10)
            assert params["kind"] in ("a", "b", None)


def test_a_parameter_that_does_not_matter_is_not_drawn():
    space = {"kind": {"choice": ["tree", "line"]}, "depth": {"int": [1, 9], "when": {"kind": "tree"}}}
    for _, params, origin in drain(proposer({"one": spec(space)}, sampler="tpe"), most=15):
        assert origin == "portfolio" or ("depth" in params) == (params["kind"] == "tree")


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.one_of(
            st.tuples(st.integers(-5, 5), st.integers(0, 4)).map(lambda t: {"int": [t[0], t[0] + t[1]]}),
            st.lists(st.sampled_from(["x", 1, None, 2.5]), min_size=1, unique=True).map(lambda o: {"choice": o}),
            st.just(7),
        ),
        min_size=1,
    ),
    st.integers(0, 5),
)
def test_no_candidate_repeats_and_an_exhausted_space_ends(space, seed):
    found = drain(proposer({"one": spec(space)}, seed=seed), most=40)
    keys = [json.dumps(params, sort_keys=True) for _, params, _ in found]
    assert len(set(keys)) == len(keys)
    size = 1
    for entry in space.values():
        size *= (
            1 if entry == 7 else len(entry["choice"]) if "choice" in entry else entry["int"][1] - entry["int"][0] + 1
        )
    assert len(found) <= size + 1  # and the family's own defaults


def test_a_space_of_three_values_is_tried_three_times():
    source = proposer({"one": spec({"kind": {"choice": ["a", "b", "c"]}}, [{"kind": "a"}])}, sampler="tpe")
    assert sorted(params["kind"] for _, params, _ in drain(source)) == ["a", "b", "c"]
    assert source.next() is None


@pytest.mark.parametrize("sampler", SAMPLERS_HERE)
def test_the_seed_decides_the_draws(sampler):
    def draws(seed):
        specs = {"one": spec(SPACE, priority=1), "two": spec({"x": {"float": [0, 1]}}, priority=2)}
        return drain(proposer(specs, sampler=sampler, seed=seed), most=14, loss=lambda c: float(len(str(c.params))))

    assert draws(3) == draws(3)
    assert draws(3) != draws(4)


def test_a_family_of_another_name_draws_other_values_from_the_same_space():
    source = proposer({"one": spec(SPACE), "two": spec(SPACE)})
    drawn = [json.dumps(params) for _, params, origin in drain(source, most=12) if origin == "search"]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("loss", [None, float("nan"), float("inf")])
def test_failures_are_survived_and_a_failing_family_falls_back(loss):
    specs = {"good": spec(SPACE), "bad": spec(SPACE)}
    source = proposer(specs, sampler="tpe")
    found = drain(source, most=30, loss=lambda candidate: loss if candidate.family == "bad" else 1.0)
    assert len(found) == 30
    families = [family for family, _, origin in found if origin == "search"]
    assert families.count("good") > families.count("bad")


def test_tpe_learns_from_what_it_is_told_portfolio_included():
    space = {"x": {"float": [0.0, 1.0]}}
    source = proposer({"one": spec(space, [{"x": 0.9}, {"x": 0.1}])}, sampler="tpe")
    found = drain(source, most=40, loss=lambda candidate: (candidate.params["x"] - 0.9) ** 2)
    late = [params["x"] for _, params, _ in found[20:]]
    assert sum(abs(x - 0.9) < 0.2 for x in late) > len(late) / 2


def test_the_better_family_is_searched_more_but_none_is_forgotten():
    source = proposer({"good": spec(SPACE), "poor": spec(SPACE)})
    found = drain(source, most=60, loss=lambda candidate: 0.1 if candidate.family == "good" else 0.9)
    searched = [family for family, _, origin in found if origin == "search"]
    assert searched.count("good") > searched.count("poor") > 2


def test_families_that_cannot_be_afforded_are_passed_over():
    source = proposer({"dear": spec(SPACE, [{"depth": 1}], priority=1), "cheap": spec(SPACE, [{"depth": 2}])})
    asked = [source.next(lambda family, rows: family == "cheap") for _ in range(4)]
    assert {candidate.family for candidate, _ in asked} == {"cheap"}
    assert source.next(lambda family, rows: False) is None
    assert source.next()[0].family == "dear", "what was passed over comes when there is time"


def test_the_best_third_goes_on_to_more_rows_as_it_is():
    source = proposer({"one": spec(SPACE, [{"depth": i} for i in range(1, 7)])}, "random", rungs=(100, None))
    found = []
    while len(found) < 8:
        candidate, origin = source.next()
        source.tell(candidate, abs(candidate.params["depth"] - 4))
        found.append((candidate.params["depth"], candidate.rows, origin))
    assert found[:3] == [(1, 100, "portfolio"), (2, 100, "portfolio"), (3, 100, "portfolio")]
    assert found[3] == (3, None, "promotion"), "the best of three"
    assert (4, None, "promotion") in found
    assert [origin for _, rows, origin in found if rows is None] == ["promotion"] * 2


def test_losses_on_more_rows_do_not_mix_with_those_on_few():
    source = proposer({"one": spec(SPACE, [{"depth": 1}, {"depth": 2}, {"depth": 3}])}, "tpe", rungs=(100, None))
    for _ in range(3):
        source.tell(source.next()[0], 1.0)
    promoted, _ = source.next()
    source.tell(promoted, 0.0)
    assert source._progress["one"].best == 1.0


def test_a_skipped_candidate_is_not_proposed_again():
    source = proposer({"one": spec(SPACE, [{"depth": 1}, {"depth": 2}])})
    source.skip(Candidate("one", {"depth": 1}))
    assert source.portfolio_left == 1
    assert source.next()[0].params == {"depth": 2}


def progress(losses, cost=1.0):
    made = Progress()
    for loss in losses:
        made.tell(loss, cost)
    return made


def test_the_cost_for_improvement_of_the_best_family_is_what_it_has_spent_in_vain():
    leader = progress([0.5, 0.4, 0.3])
    assert leader.cost_to_improve(0.3) == 1.0
    leader.tell(0.6, 5.0)
    assert leader.cost_to_improve(0.3) == 5.0


def test_a_family_that_lags_costs_what_it_takes_until_a_trial_is_expected_to_beat_the_best():
    losses = np.random.default_rng(0).normal(10, 1, 200)
    near, far = (progress(losses, 2.0).cost_to_improve(loss) for loss in (losses.min() - 0.1, 4.0))
    assert 100 < near / 2 < 1000, "about as many trials as there were"
    assert far == 50 * 400, "six standard deviations below their mean: fifty times what it has spent"
    for few in ([9.0], [9.0, 8.0, 8.5], [math.inf] * 3):
        assert progress(few, 2.0).cost_to_improve(4.0) <= 2 * len(few), "too few tell nothing"
    assert progress([9.0, 8.0, math.inf, math.inf]).cost_to_improve(4.0) == 2, "half of them give a loss"
    assert progress([8.0] * 5).cost_to_improve(4.0) == 250, "whatever it changes changes nothing"
    assert progress([math.inf] * 5).cost_to_improve(4.0) == 250
    half = progress([*losses, *[math.inf] * 200], 2.0).cost_to_improve(losses.min() - 0.1)
    assert half == pytest.approx(2 * near), "every second trial fails"


def test_a_quick_family_far_behind_has_little_of_the_time():
    """Of 814 draws on concrete_strength 422 were of a linear model, at twice the loss of the best: it took no time."""
    rng, specs = np.random.default_rng(0), {"good": spec(SPACE), "linear": spec(SPACE)}
    source, drawn = proposer(specs), []
    for _ in range(200):
        candidate, _ = source.next()
        drawn.append(candidate.family)
        good = candidate.family == "good"
        loss = 4 + rng.normal() / 3 if good else 8 + abs(rng.normal()) * (drawn.count("linear") > 1)
        source.tell(candidate, float(loss), 2.0 if good else 0.05)
    assert 0.05 * drawn.count("linear") < 0.05 * 2.0 * drawn.count("good")
