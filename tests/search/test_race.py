"""The race: what runs, in which order, until when, and what becomes of each trial."""

import math
from dataclasses import replace

import pytest
from fakes import SAMPLERS_HERE, SEARCH, Clock, FakeExecutor, X, losses, problem_of, race, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.compose import compose
from automl.execute.inprocess import InProcessExecutor
from automl.search.budget import Budget
from automl.search.cost import prior
from automl.search.race import Race
from automl.search.study import SAMPLERS


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    return {folds: problem_of(tmp_path_factory.mktemp("race") / "work", folds) for folds in (1, 3)}


# Order


def test_the_baseline_runs_first_then_portfolios_by_priority_then_search(problems):
    specs = {
        "late": spec(X, [{"x": 0.1}, {"x": 0.2}], priority=9),
        "early": spec(X, [{"x": 0.3}, {"x": 0.4}], priority=1),
    }
    made, _, _ = race(problems[1], losses({"prior": 3, "late": 1, "early": 1}), specs, trials=6)
    assert [t.name for t in made.trials[:5]] == ["prior-0", "early-1", "late-2", "early-3", "late-4"]
    assert [t.origin for t in made.trials] == ["baseline", *["portfolio"] * 4, *["search"] * 2]


def test_budget_trials_counts_candidates_beyond_the_baseline(problems):
    made, _, _ = race(problems[3], losses({"prior": 3, "model": 1}), trials=5)
    assert len(made.trials) == 6
    assert made.why == "budget.trials=5 is reached"
    assert all(t.status in ("ok", "pruned") for t in made.trials)


def test_trials_that_fail_count_and_the_others_go_on(problems):
    def answer(job):
        return (1, "failed") if job["params"].get("x", 0) > 0.5 else (1, 1.0)

    made, _, _ = race(problems[3], answer, {"model": spec(X, [{"x": 0.9}, {"x": 0.1}])}, trials=8)
    assert len(made.trials) == 9
    statuses = {t.status for t in made.trials if t.params.get("x", 0) > 0.5}
    assert statuses == {"failed"}
    assert {t.reason for t in made.trials if t.status == "failed"} == {"it failed"}
    assert made.trials[2].status == "ok"


@pytest.mark.parametrize("status", ["failed", "crashed", "oom", "timeout"])
def test_a_baseline_that_fails_does_not_end_the_race(problems, status):
    made, _, _ = race(problems[3], losses({"prior": status, "model": 1}), trials=4)
    assert made.trials[0].status == status
    assert [t.status for t in made.trials[1:]] == ["ok"] * 4


def test_an_exhausted_space_ends_the_race_and_says_so(problems):
    specs = {"model": spec({"kind": {"choice": ["a", "b"]}}, [{"kind": "a"}])}
    made, _, clock = race(problems[1], losses({"prior": 3, "model": 1}), specs, seconds=500)
    assert [t.params.get("kind") for t in made.trials] == [None, "a", "b"]
    assert made.why == "every candidate was tried"
    assert clock.now < 1010


def test_the_seed_decides_what_is_tried(problems):
    def tried(seed):
        made, executor, _ = race(problems[3], losses({"prior": 3, "model": 1}), trials=6, seed=seed)
        return [dict(t.params) for t in made.trials], [job["seed"] for job in executor.jobs]

    assert tried(1) == tried(1)
    assert tried(1)[0] != tried(2)[0]


def test_a_trial_holds_its_score_its_interval_and_its_costs(problems):
    made, _, _ = race(problems[3], losses({"prior": 3, "model": 1}, seconds=2.0), trials=1)
    trial = made.trials[1]
    assert trial.score == pytest.approx(1.0)
    assert trial.low <= trial.score <= trial.high
    assert (trial.folds, trial.fit_seconds, trial.size, trial.row_seconds) == ([1, 1, 1], 6.0, 30, 0.001)


# Pruning


def by_x(job):
    """The loss is the parameter x; the baseline's is 1."""
    return 1.0, job["params"].get("x", 1.0)


def test_a_hopeless_trial_is_dropped_after_a_fold_and_the_reason_names_the_better_one(problems):
    specs = {"model": spec({}, [{"x": 0.2}, {"x": 0.9}, {"x": 0.25}])}
    made, executor, _ = race(problems[3], by_x, specs)
    assert [t.status for t in made.trials] == ["ok", "ok", "pruned", "ok"]
    assert len(made.trials[2].folds) == 1
    assert made.trials[2].reason == "after 1 fold it was 0.7 behind model-1"
    assert sum(job["trial"] == 2 for job in executor.jobs) == 1


def test_the_slack_is_a_share_of_the_gain_over_the_baseline(problems):
    specs = {"model": spec({}, [{"x": 0.0}, {"x": 0.3}])}
    assert race(problems[3], by_x, specs, prune=0.2)[0].trials[2].status == "pruned"
    assert race(problems[3], by_x, specs, prune=0.4)[0].trials[2].status == "ok"


def test_prune_of_zero_drops_nothing(problems):
    specs = {"model": spec({}, [{"x": 0.0}, {"x": 0.99}])}
    assert race(problems[3], by_x, specs, prune=0)[0].trials[2].status == "ok"


@pytest.mark.parametrize("baseline", [None, "prior"])
def test_without_a_baseline_to_measure_gain_by_nothing_is_dropped(problems, baseline):
    def answer(job):
        return (1, "failed") if job["family"] == "prior" else by_x(job)

    specs = {"model": spec(X, [{"x": 0.0}, {"x": 0.99}], priority=1)}
    made, _, _ = race(problems[3], answer, specs, trials=2, baseline=baseline)
    assert [t.status for t in made.trials if t.family == "model"][:2] == ["ok", "ok"][: 2 - (baseline is None)]


def test_a_baseline_behind_the_models_is_never_dropped(problems):
    made, _, _ = race(problems[3], losses({"prior": 100, "model": 1}), trials=2)
    assert (made.trials[0].status, made.trials[0].score) == ("ok", pytest.approx(100))


def test_side_by_side_a_trial_is_compared_on_the_folds_it_has_whatever_ended_first(problems):
    hard = [0.1, 5.0, 0.1]  # fold 1 is hard for everybody

    def answer(job):
        # Fold 0 is slow, so the hard fold's score comes in first.
        return (3.0 if job["fold"] == 0 else 1.0), hard[job["fold"]] + (10 if job["family"] == "prior" else 0)

    made, _, _ = race(problems[3], answer, slots=2, trials=3)
    assert [t.status for t in made.trials] == ["ok"] * 4
    assert all(t.folds == hard for t in made.trials[1:])


# Time


def test_deadlines_and_limits_stay_within_what_is_left(problems):
    specs = {name: spec(X) for name in ("a", "b", "c")}
    for folds, slots in ((1, 1), (3, 1), (3, 2)):
        budget, begun = 60.0, 1000.0
        made, executor, clock = race(
            problems[folds],
            lambda job: (job["deadline"] * 1.1, 1.0),
            specs,
            slots=slots,
            seconds=budget,
        )
        end = begun + budget - made.budget.reserve
        for job in executor.jobs:
            left = end - executor.begun[job["id"]]
            assert 0 <= job["deadline"] <= left + 1e-6
            assert job["deadline"] <= job["limit"] <= left + 1e-6
        assert clock.now <= end + 0.1


def test_a_fit_that_keeps_its_deadline_leaves_time_to_predict_and_save(problems):
    made, _, _ = race(problems[1], lambda job: (job["deadline"] * 1.15, 1.0), {"model": spec(X)}, seconds=60)
    assert {t.status for t in made.trials} <= {"ok", "unfinished"}
    assert made.trials[1].status == "ok"


def test_a_trial_leaves_time_for_the_views_of_its_folds(problems):
    """Of 10,000 rows of 5,000 columns a view took as long as a fit, and the last fold was killed at the end."""

    def answer(job):
        if job["family"] == "prior":
            return 1.0, 3.0
        fit = job["deadline"]
        return 6.0 + fit, {"score": 1.0, "fit_seconds": fit, "view_seconds": 6.0}

    specs = {"lightgbm": replace(spec(X, [{"x": 0.1}]), cost=1e5)}
    made, executor, _ = race(problems[3], answer, specs, seconds=36)
    assert (made.trials[1].status, len(made.trials[1].folds)) == ("ok", 3)
    first, *later = [job["deadline"] for job in executor.jobs if job["trial"] == 1]
    assert first > max(later) > 0.5


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_jobs_do_the_race_ends_on_time_and_each_trial_has_an_end(problems, data):
    budget = data.draw(st.sampled_from([1.0, 10.0, 60.0]))
    slots, folds = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 3]))
    kills = data.draw(st.booleans())
    told = st.one_of(st.floats(0.1, 5), st.sampled_from(["failed", "crashed", "oom", "timeout"]))
    answers = data.draw(st.lists(st.tuples(st.floats(0.01, 40), told), min_size=1, max_size=8))
    specs = {"a": spec(X, [{"x": 0.5}], priority=1), "b": spec(X, [{"x": 0.5}], priority=2)}

    def answer(job):
        return answers[(job["trial"] * 3 + job["fold"]) % len(answers)]

    made, executor, clock = race(problems[folds], answer, specs, seconds=budget, slots=slots, kills=kills, trials=40)
    end = 1000.0 + budget - made.budget.reserve
    assert clock.now <= end + 0.1
    assert executor.most <= slots
    assert all(t.reason for t in made.trials if t.status != "ok")
    assert all((t.score is not None) == (t.status == "ok") for t in made.trials)
    assert made.why


def test_jobs_of_an_executor_that_does_not_kill_do_not_hold_up_the_race(problems):
    made, _, clock = race(
        problems[1], lambda job: (1.0 if job["family"] == "prior" else 3600.0, 1.0), seconds=30, kills=False
    )
    assert clock.now <= 1030
    assert made.why == "the time is spent"
    assert made.trials[1].status == "unfinished"
    assert made.trials[1].reason == "0 of 1 folds were done at the end of the run: the time is spent"


def test_one_hanging_family_leaves_time_for_the_others(problems):
    specs = {"hangs": spec(X, [{"x": 0.1}], priority=1), "fine": spec(X, [{"x": 0.1}], priority=2)}
    made, _, _ = race(problems[1], lambda job: (3600.0 if job["family"] == "hangs" else 1.0, 1.0), specs, seconds=60)
    hanging = [t for t in made.trials if t.family == "hangs"]
    assert [t.status for t in hanging] == ["timeout"]
    assert sum(t.family == "fine" and t.status == "ok" for t in made.trials) > 10


def test_families_that_do_not_fit_into_the_time_left_are_passed_over(problems):
    specs = {"dear": spec(X, [{"x": 0.1}], priority=1), "cheap": spec(X, [{"x": 0.1}], priority=2)}
    seconds = {"prior": 1, "dear": 7, "cheap": 1}
    made, executor, _ = race(problems[3], lambda job: (seconds[job["family"]], 1.0), specs, seconds=120)
    end = 1000 + 120 - made.budget.reserve
    begun = {family: [executor.begun[f"{t.number}-0"] for t in made.trials if t.family == family] for family in specs}
    assert len(begun["dear"]) > 1
    assert all(moment <= end - 1.3 * 21 for moment in begun["dear"])
    assert max(begun["cheap"]) > end - 21
    assert not [t for t in made.trials if t.status == "timeout"]


def test_a_trial_whose_folds_cannot_all_be_run_is_ended_after_the_first(problems):
    specs = {"slow": spec(X, [{"x": 0.1}], priority=1), "fine": spec(X, [{"x": 0.1}], priority=2)}
    seconds = {"prior": 1, "slow": 10, "fine": 1}
    made, executor, _ = race(problems[3], lambda job: (seconds[job["family"]], 1.0), specs, seconds=60)
    slow = made.trials[1]
    assert (slow.family, slow.status, len(slow.folds)) == ("slow", "timeout", 1)
    assert slow.reason.startswith("a fold took 10.0 s: 2 more do not fit into the ")
    assert sum(job["family"] == "slow" for job in executor.jobs) < 4


def test_when_nothing_fits_any_more_the_race_ends_early(problems):
    made, _, clock = race(problems[3], lambda job: (4.0, 100 - job["trial"]), seconds=60)
    assert made.why == "no further trial fits into the time left"
    assert 1000 < clock.now < 1060 - made.budget.reserve
    assert {t.status for t in made.trials} == {"ok"}


def test_where_no_trial_has_run_all_folds_the_first_ones_count(problems):
    seconds = {"prior": 1.0, "model": 8.0}
    made, _, _ = race(problems[3], lambda job: (seconds[job["family"]], 1.0 + job["fold"]), seconds=30)
    assert [(t.status, len(t.folds)) for t in made.trials[:2]] == [("ok", 3), ("timeout", 1)]
    assert made.settle() == 1
    assert [(t.status, t.folds, t.score) for t in made.trials[:2]] == [("ok", [1.0], 1.0)] * 2
    assert made.trials[1].reason == f"of its folds, only the first 1 count: {made.why}"
    assert made.problem.folds == 1


def test_without_a_fold_of_any_model_there_is_nothing_to_settle_for(problems):
    made, _, _ = race(problems[3], lambda job: (1.0 if job["family"] == "prior" else 99.0, 1.0), seconds=30)
    assert made.settle() == 0
    assert made.trials[0].status == "ok"
    assert len(made.trials[0].folds) == 3


def test_a_trial_that_ended_with_some_of_its_folds_is_run_again_when_the_run_goes_on(problems):
    made, _, _ = race(problems[3], lambda job: (1.0 if job["family"] == "prior" else 11.0, 1.0), seconds=30)
    made.settle()
    later, _, _ = race(problems[3], lambda job: (1.0, 1.0), earlier=made.trials, seconds=60)
    assert [len(t.folds) for t in later.trials if t.status == "ok"][:2] == [3, 3]


# Side by side


def test_two_slots_have_two_jobs_under_way(problems):
    made, executor, clock = race(problems[3], losses({"prior": 2, "model": 1}), slots=2, trials=4)
    assert executor.most == 2
    assert {t.status for t in made.trials} == {"ok"}
    assert clock.now - 1000 == pytest.approx(math.ceil(5 * 3 / 2), abs=1)


def test_a_trial_that_fails_while_its_other_fold_runs_keeps_that_slot_taken(problems):
    def answer(job):
        if job["family"] == "prior":
            return 1.0, 2.0
        return (1.0, "failed") if job["fold"] == 0 else (9.0, 1.0)

    made, executor, _ = race(problems[3], answer, slots=2, trials=3)  # the executor asserts that a slot is free
    assert executor.most == 2
    assert {t.status for t in made.trials[1:]} == {"failed"}


def test_a_pruned_trial_whose_other_fold_still_runs_is_not_ended_twice(problems):
    def answer(job):
        return 1.0 + 5 * (job["fold"] == 1), job["params"].get("x", 1.0)

    specs = {"model": spec({}, [{"x": 0.1}, {"x": 0.9}, {"x": 0.95}])}
    made, executor, _ = race(problems[3], answer, specs, slots=2)
    assert [t.status for t in made.trials][:2] == ["ok", "ok"]
    assert made.trials[3].status == "pruned"
    assert sum(job["trial"] == 3 for job in executor.jobs) == 1, "judged before its other folds began"


# Interrupts, undefined scores


def test_an_interrupt_keeps_what_is_done_and_marks_what_is_not(problems):
    clock = Clock()

    class Interrupted(FakeExecutor):
        def wait(self, seconds):
            if len(self.jobs) > 7:
                raise KeyboardInterrupt
            return super().wait(seconds)

    executor = Interrupted(problems[3], clock, lambda job: (1.0, 3 - job["trial"]))
    ended = []
    made = Race(
        problems[3],
        {"prior": spec(), "model": spec(X)},
        SEARCH,
        baseline="prior",
        seed=0,
        executor=executor,
        threads=1,
        budget=Budget(100, None, clock),
        report=lambda trial: ended.append(trial) if trial.status != "running" else None,
    )
    made.run()
    assert made.why == "interrupted"
    assert [t.status for t in made.trials] == ["ok", "ok", "unfinished"]
    assert made.trials[2].reason == "1 of 3 folds were done at the end of the run: interrupted"
    assert ended == made.trials


def test_a_score_that_is_not_a_number_is_a_failure_with_a_reason(problems):
    made, _, _ = race(problems[3], losses({"prior": 1, "model": float("nan")}), trials=3)
    assert [(t.status, t.score) for t in made.trials[1:]] == [("failed", None)] * 3
    assert "rmse" in made.trials[1].reason


def test_a_family_that_keeps_a_deadline_is_begun_in_less_than_it_is_expected_to_take(problems):
    cost = 100 / 3 / prior(replace(spec({}, []), cost=1.0), 20, 1, 0)  # three folds of 20 rows: 100 seconds
    dear = replace(spec(X, [{"x": 0.1}], priority=2), cost=cost)
    specs = {"quick": spec({}, [{"x": 0.5}], priority=1), "lightgbm": dear, "unheard_of": dear}
    answer = losses({"prior": 3, "quick": 1, "lightgbm": 1, "unheard_of": 1})
    made, _, _ = race(problems[3], answer, specs, seconds=100)
    tried = [t.family for t in made.trials]
    assert tried[:3] == ["prior", "quick", "lightgbm"]
    assert "unheard_of" not in tried
    made, _, _ = race(problems[3], answer, specs, seconds=50)
    assert [t.family for t in made.trials] == ["prior", "quick"]


# The real thing


def test_real_models_race_in_this_process(tmp_path):
    work = problem_of(tmp_path / "work", 3)
    config = compose()
    specs = {name: config.family_spec(name) for name in ("baseline", "ridge", "elastic_net")}
    ended = []
    made = Race(
        work,
        specs,
        replace(config.search, order="priority"),
        baseline="baseline",
        seed=0,
        executor=InProcessExecutor(work.folder, 1, 1, None),
        threads=1,
        budget=Budget(60, 4),
        report=lambda trial: ended.append(trial) if trial.status != "running" else None,
    )
    made.run()
    assert [t.family for t in made.trials] == ["baseline", "ridge", "elastic_net", "ridge", "elastic_net"]
    best = min(t.score for t in made.trials if t.family == "ridge")
    assert best < made.trials[0].score / 2


# Side by side, rows, the best so far, plateaus


def told(made):
    return [(t.name, dict(t.params), t.status, t.score, t.folds, t.reason) for t in made.trials]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_with_a_number_of_trials_it_does_not_matter_how_many_run_side_by_side(problems, data):
    took = {}

    def answer(job):
        seconds = took.setdefault(job["id"], data.draw(st.sampled_from([0.1, 0.5, 1.0, 3.0, 7.0])))
        return seconds, abs(job["params"].get("x", 2.0) - 0.4) + 0.01 * job["fold"]

    specs = {"a": spec(X, [{"x": 0.9}, {"x": 0.5}]), "b": spec(X, [{"x": 0.1}])}
    runs = [race(problems[3], answer, specs, trials=14, slots=slots, seconds=5000)[0] for slots in (1, 2, 3)]
    assert told(runs[0]) == told(runs[1]) == told(runs[2])
    assert any(t.status == "pruned" for t in runs[0].trials)


def test_candidates_begin_on_few_rows_and_the_best_third_goes_on_to_all(problems):
    specs = {"model": spec({}, [{"x": x} for x in (0.5, 0.2, 0.9)])}
    made, executor, _ = race(problems[1], by_x, specs, rungs=[5])
    assert [(t.params.get("x"), t.rows, t.origin) for t in made.trials[1:]] == [
        (0.5, 5, "portfolio"),
        (0.2, 5, "portfolio"),
        (0.9, 5, "portfolio"),
        (0.2, None, "promotion"),
    ]
    assert [job["rows"] for job in executor.jobs] == [5, 5, 5, 5, None], "the baseline begins as the others do"


def test_rungs_near_all_rows_are_passed_over(problems):
    made, _, _ = race(problems[1], by_x, {"model": spec({}, [{"x": 0.5}])}, rungs=[14])
    assert [t.rows for t in made.trials] == [None, None]


def test_the_best_so_far_is_kept_from_the_first_trial_on_and_not_too_often(problems):
    kept = []

    def keep(trials):
        kept.append([t.name for t in trials])
        return min(t.score for t in trials)

    specs = {"model": spec({}, [{"x": 1 - i / 40} for i in range(40)])}
    made, _, _ = race(problems[1], by_x, specs, seconds=100, keep=keep, prune=0)
    assert kept[0] == ["prior-0"]
    assert kept[1] == ["prior-0", "model-1"]
    assert 10 < len(kept) < len(made.trials), "two seconds pass between two times"


def test_a_plateau_ends_the_race_and_says_so(problems):
    made, _, clock = race(
        problems[1], lambda job: (1.0, 0.5), {"model": spec(X)}, seconds=200, patience=0.2, keep=lambda trials: 0.5
    )
    assert made.why.startswith("the ensemble has not gained in the last")
    assert clock.now < 1100
    made, _, clock = race(
        problems[1], lambda job: (1.0, 0.5), {"model": spec(X)}, seconds=200, patience=0, keep=lambda trials: 0.5
    )
    assert clock.now > 1190


def test_a_family_whose_prior_says_that_it_does_not_fit_is_not_begun(problems):
    specs = {"cheap": spec({}, [{"x": 0.5}, {"x": 0.4}], priority=1), "dear": replace(spec(X, priority=2), cost=1e9)}
    made, _, _ = race(problems[1], by_x, specs)
    assert {t.family for t in made.trials} == {"prior", "cheap"}
    assert made.why == "no further trial fits into the time left"


def test_trials_of_an_earlier_part_of_the_run_are_not_run_again(problems):
    specs = {"model": spec({}, [{"x": 0.5}, {"x": 0.4}, {"x": 0.3}])}
    first, _, _ = race(problems[1], by_x, specs)
    again, executor, _ = race(problems[1], by_x, specs, earlier=first.trials[:3])
    assert told(again) == told(first)
    assert [job["params"] for job in executor.jobs] == [{"x": 0.3}]


# Samplers, objectives, bounds


def sized(job):
    """The further x is from 0.3 the worse, and the larger x is the larger the model; the baseline's loss is 1."""
    x = job["params"].get("x", 1.3)
    return 1.0, {"score": abs(x - 0.3) + 0.001 * job["fold"], "size": int(1e6 * x), "row_seconds": 0.001 * x}


@pytest.mark.parametrize("sampler", SAMPLERS_HERE)
@pytest.mark.parametrize("several", [False, True])
def test_each_sampler_races_the_same_whatever_runs_side_by_side(problems, sampler, several):
    if several and not SAMPLERS[sampler].several:
        pytest.skip("it knows one objective")
    said = {"objectives": ["loss", "size_mb"], "bounds": {"latency_ms": 2.0}} if several else {}
    specs = {"model": spec({**X, "y": {"float": [0.0, 1.0]}, "kind": {"choice": ["a", "b"]}}, [{"x": 0.9}])}
    trials, slots = (13, (1, 2)) if sampler == "gp" else (24, (1, 3))
    one, other = (
        race(problems[3], sized, specs, trials=trials, slots=n, seconds=9000, sampler=sampler, **said)[0] for n in slots
    )
    assert len(one.trials) == trials + 1
    assert told(one) == told(other)
    assert not one.notes
    assert {t.status for t in one.trials} <= {"ok", "pruned"}


def test_a_trial_that_breaks_a_bound_is_ok_and_says_which_and_by_how_much(problems):
    specs = {"model": spec({}, [{"x": 0.5}, {"x": 0.4}, {"x": 0.1}])}
    bounds = {"size_mb": 1.4, "latency_ms": 1.35, "fit_seconds": 9.0}
    made, _, _ = race(problems[3], sized, specs, bounds=bounds, prune=0)
    assert [(t.status, t.reason) for t in made.trials[1:]] == [
        ("ok", "size_mb 1.5 is above 1.4 by 0.1; latency_ms 1.5 is above 1.35 by 0.15"),
        ("ok", ""),
        ("ok", ""),
    ]
    assert made.trials[2].costs == pytest.approx({"size_mb": 1.2, "latency_ms": 1.2, "fit_seconds": 3.0})
    one, _, _ = race(problems[3], sized, specs, bounds=bounds, prune=0, models={"model": 1})
    assert [t.reason for t in one.trials[1:]] == ["", "", ""]
    assert one.trials[2].costs == pytest.approx({"size_mb": 0.4, "latency_ms": 0.4, "fit_seconds": 3.0})


def test_a_bound_and_a_further_objective_draw_the_search_to_what_is_small(problems):
    def large(**said):
        made, _, _ = race(problems[1], sized, trials=60, seconds=9000, sampler="tpe", **said)
        late = [t.params["x"] for t in made.trials[-30:]]
        return sum(x > 0.25 for x in late) / len(late)

    assert large() > 0.6
    assert large(bounds={"size_mb": 0.1}) < 0.3
    assert large(objectives=["loss", "size_mb"]) < 0.5


def test_a_bound_that_has_moved_since_a_run_was_cut_off_is_judged_anew(problems):
    specs = {"model": spec({}, [{"x": 0.5}, {"x": 0.4}])}
    first, _, _ = race(problems[3], sized, specs, bounds={"latency_ms": 1.35}, prune=0)
    again, _, _ = race(problems[3], sized, specs, bounds={"latency_ms": 9}, earlier=first.trials[:2], prune=0)
    assert [t.reason for t in again.trials] == ["", "", ""]


def test_a_trial_that_was_refitted_before_a_run_goes_on_costs_what_its_fold_models_do(problems):
    specs = {"model": spec({}, [{"x": 0.5}, {"x": 0.4}])}
    first, _, _ = race(problems[3], sized, specs, prune=0)
    first.trials[1].models = 4  # a model of all rows had joined those of three folds
    again, _, _ = race(problems[3], sized, specs, earlier=first.trials[:2], prune=0)
    assert {t.models for t in again.trials} == {3}


def test_a_draw_that_would_not_fit_into_the_time_left_is_not_begun_and_the_run_says_so(problems):
    pytest.importorskip("torch")
    specs = {"model": spec({**X, "y": {"float": [0.0, 1.0]}}, [{"x": 0.9}])}
    made, _, _ = race(problems[1], sized, specs, seconds=7, sampler="gp")
    assert any(t.origin == "search" for t in made.trials)
    (note,) = made.notes
    assert note.startswith("model: TPE made ")
