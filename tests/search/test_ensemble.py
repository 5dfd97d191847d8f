"""Ensemble selection: complementary members are found, and the result is never worse than the best member."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.errors import ConfigError, NoModelError
from automl.metrics import Metric, automl_metrics
from automl.search.ensemble import blend, select, select_steadily, trimmed

METRICS = {metric.name: metric for metric in automl_metrics()}
RMSE, LOG_LOSS = METRICS["rmse"], METRICS["log_loss"]


def noisy(y, scale, seed):
    return (y + scale * np.random.default_rng(seed).normal(size=len(y))).astype(np.float32)


def test_complementary_members_share_the_weight():
    y = np.random.default_rng(0).normal(size=500)
    off = np.random.default_rng(1).normal(size=500)
    weights = select([y + off, noisy(y, 3, 2), y - off], y, RMSE)
    assert weights.tolist() == [0.5, 0, 0.5]
    assert RMSE.score(y, blend([y + off, np.full(500, np.nan), y - off], weights)) == pytest.approx(0)


def test_one_member_has_all_the_weight():
    assert select([np.ones(5)], np.arange(5.0), RMSE).tolist() == [1.0]


def test_one_round_gives_the_best_member():
    y = np.random.default_rng(0).normal(size=300)
    members = [noisy(y, scale, i) for i, scale in enumerate([2, 1, 1.1])]
    assert select(members, y, RMSE, rounds=1).tolist() == [0, 1, 0]


def test_equals_are_not_taken_beside_each_other():
    y = np.random.default_rng(0).integers(0, 2, 200)
    proba = np.random.default_rng(1).dirichlet([1, 1], 200)
    assert select([proba] * 4, y, METRICS["roc_auc"]).tolist() == [1, 0, 0, 0]
    # Every mixture of these has the accuracy of the first alone: nothing is gained by a second one.
    right = np.eye(2)[y] * 0.2 + 0.4
    assert select([right, np.eye(2)[y]], y, METRICS["accuracy"]).tolist() == [1, 0]


def test_members_whose_score_is_not_a_number_are_skipped():
    y = np.random.default_rng(0).normal(size=100)
    lost = np.full(100, np.nan)
    assert select([lost, noisy(y, 1, 1)], y, RMSE).tolist() == [0, 1]
    with pytest.raises(NoModelError, match="rmse is not defined for the predictions of any of the 1 trials"):
        select([lost], y, RMSE)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 10**6), st.sampled_from(["log_loss", "brier", "rmse", "mae"]), st.booleans())
def test_never_worse_than_the_best_member(members, seed, name, weighted):
    rng, metric = np.random.default_rng(seed), METRICS[name]
    weight = rng.uniform(0.1, 2, 60) if weighted else None
    if metric.takes == "proba":
        y = rng.integers(0, 3, 60)
        predictions = [rng.dirichlet([1, 1, 1], 60).astype(np.float32) for _ in range(members)]
    else:
        y = rng.normal(size=60)
        predictions = [noisy(y, rng.uniform(0.1, 3), seed + i) for i in range(members)]
    weights = select(predictions, y, metric, weight, rounds=15)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    blended = metric.loss(metric.score(y, blend(predictions, weights), weight))
    assert blended <= min(metric.loss(metric.score(y, p, weight)) for p in predictions) + 1e-9
    assert np.array_equal(weights, select(predictions, y, metric, weight, rounds=15))


def test_of_many_rows_a_sample_is_looked_at_that_has_the_rare_class():
    y = np.zeros(120_000, int)
    y[:3] = 1
    rng = np.random.default_rng(0)
    seen = []

    def counted(truth, proba, weight):
        seen.append((len(truth), int(truth.sum()), len(weight)))
        return METRICS["roc_auc"].score(truth, proba, weight)

    metric = Metric("counted", counted, True, {"binary"}, "proba")
    predictions = [rng.dirichlet([1, 1], 120_000) for _ in range(2)]
    weights = select(predictions, y, metric, np.ones(120_000), rounds=3, seed=5)
    assert {(positives, weighted - rows) for rows, positives, weighted in seen} == {(3, 0)}
    assert all(abs(rows - 50_000) < 10 for rows, _, _ in seen)
    assert np.array_equal(weights, select(predictions, y, metric, np.ones(120_000), rounds=3, seed=5))


def test_predictions_may_be_memory_mapped(tmp_path):
    y = np.random.default_rng(0).normal(size=100)
    members = [noisy(y, 1, i) for i in range(3)]
    for i, member in enumerate(members):
        np.save(tmp_path / f"{i}.npy", member)
    mapped = [np.load(tmp_path / f"{i}.npy", mmap_mode="r") for i in range(3)]
    weights = select(mapped, y, RMSE)
    assert np.array_equal(weights, select(members, y, RMSE))
    assert np.array_equal(blend(mapped, weights), blend(members, weights))


def test_after_the_deadline_the_best_so_far_is_returned():
    y = np.random.default_rng(0).normal(size=100)

    def slow(truth, value, weight):
        time.sleep(0.01)
        return RMSE.score(truth, value, weight)

    metric = Metric("slow", slow, False, {"regression"}, "value")
    members = [noisy(y, 1, i) for i in range(10)]
    start = time.monotonic()
    weights = select(members, y, metric, rounds=1000, deadline=start + 0.3)
    assert time.monotonic() - start < 10
    assert weights.sum() == pytest.approx(1)
    assert np.count_nonzero(weights) > 1
    assert select(members, y, metric, deadline=start).tolist() == [1] + [0] * 9


def test_no_rounds_are_refused():
    with pytest.raises(ConfigError, match=r"search\.ensemble=0"):
        select([np.ones(3)], np.ones(3), RMSE, rounds=0)


def test_no_more_members_than_allowed():
    y = np.random.default_rng(0).normal(size=400)
    members = [noisy(y, 1, i) for i in range(8)]
    free = select(members, y, RMSE)
    assert np.count_nonzero(free) > 3
    for most in (1, 2, 3):
        few = select(members, y, RMSE, most=most)
        assert np.count_nonzero(few) == most
        assert RMSE.score(y, blend(members, few)) >= RMSE.score(y, blend(members, free))
    with pytest.raises(ConfigError, match=r"predictor\.members=0"):
        select(members, y, RMSE, most=0)


def test_those_chosen_cost_no_more_than_the_limit():
    y = np.random.default_rng(0).normal(size=400)
    members = [noisy(y, scale, i) for i, scale in enumerate([0.5, 1, 1, 1, 1.2])]
    costs = np.array([[5.0], [1.0], [1.0], [1.0], [0.2]])
    for limit in (7.0, 3.0, 2.5, 1.0):
        weights = select(members, y, RMSE, costs=costs, limits=np.array([limit]))
        assert np.dot(weights > 0, costs) <= limit
        assert weights.sum() == pytest.approx(1)
    assert select(members, y, RMSE, costs=costs, limits=np.array([7.0]))[0] > 0
    assert np.count_nonzero(select(members, y, RMSE, costs=costs, limits=np.array([3.0]))[1:4]) == 3
    # Where nothing is cheap enough, the cheapest answers alone.
    assert select(members, y, RMSE, costs=costs, limits=np.array([0.1])).tolist() == [0, 0, 0, 0, 1]


def test_each_of_several_limits_is_kept():
    y = np.random.default_rng(0).normal(size=400)
    members = [noisy(y, 1, i) for i in range(4)]
    costs = np.array([[0.6, 0.1], [0.1, 0.6], [0.3, 0.3], [0.3, 0.5]])
    taken = select(members, y, RMSE, costs=costs, limits=np.ones(2)) > 0
    assert taken.sum() > 1
    assert (costs[taken].sum(axis=0) <= 1).all()
    # The second breaks one limit by 0.1; the others break both, or one by more.
    costs[0] = [0.6, 0.3]
    nearest = select(members, y, RMSE, costs=costs, limits=np.array([0.05, 0.55]))
    assert nearest.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_a_member_that_adds_next_to_nothing_is_left_out_whatever_the_unit(scale):
    y = np.random.default_rng(0).normal(size=2000)
    one, two = noisy(y, 0.5, 1), noisy(y, 0.5, 2)
    like_one = one + np.random.default_rng(3).normal(size=2000) * 1e-4
    weights = select([scale * member for member in (one, two, like_one)], scale * y, RMSE)
    assert (weights > 0).sum() == 2
    assert weights[1] > 0


def alike(rows, members=12):
    """Members that are equally good, and a truth of so many rows; the second half of the rows judges."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=2 * rows)
    return [y + rng.normal(size=2 * rows) for _ in range(members)], y


def steady(*args, **said):
    return select_steadily(*args, **said).weights


def test_where_few_rows_decide_the_mean_of_several_choices_is_better_on_others():
    metric = METRICS["rmse"]
    members, y = alike(60)
    losses = []
    for choose in (select, steady):
        weights = choose([member[:60] for member in members], y[:60], metric)
        assert weights.sum() == pytest.approx(1)
        losses.append(metric.score(y[60:], blend([member[60:] for member in members], weights), None))
    assert losses[1] < losses[0]


def test_where_many_rows_decide_or_one_member_is_wanted_it_is_one_choice():
    metric = METRICS["rmse"]
    members, y = alike(2600)
    assert (steady(members, y, metric) == select(members, y, metric)).all()
    assert (steady(members, y, metric, rounds=1) > 0).sum() == 1


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"rounds": 1},
        {"most": 1},
        {"costs": np.ones((30, 1)), "limits": np.array([2.0])},
        {"kinds": ["a", "b", "c"] * 10},
    ],
)
def test_what_is_expected_of_a_choice_is_not_flattered_by_the_rows_it_was_chosen_on(said):
    """Of 30 members that know nothing, the best few look well on the 60 rows on which they are the best few."""
    flattered, expected = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y, members = np.arange(60) % 2, [np.column_stack([1 - p, p]) for p in rng.random((30, 60))]
        choice = select_steadily(members, y, METRICS["roc_auc"], **said)
        flattered.append(METRICS["roc_auc"].score(y, blend(members, choice.weights), None))
        expected.append(METRICS["roc_auc"].score(y, choice.unseen, None))
    assert np.mean(flattered) > 0.6
    assert np.mean(expected) == pytest.approx(0.5, abs=0.04)


def test_what_is_expected_of_a_row_does_not_depend_on_its_target():
    members, y = alike(60)
    row = 7
    changed = np.where(np.arange(len(y)) == row, 100.0, y)
    one, other = (select_steadily(members, target, RMSE) for target in (y, changed))
    assert (one.weights != other.weights).any()
    assert one.unseen[row] == other.unseen[row]
    assert (one.unseen != other.unseen).sum() > 60


def test_where_many_rows_decide_the_choice_tells_itself_what_it_predicts():
    members, y = alike(2600)
    choice = select_steadily(members, y, RMSE)
    np.testing.assert_array_equal(choice.unseen, blend(members, choice.weights))


def test_out_of_time_what_is_expected_is_what_was_chosen():
    members, y = alike(60)
    choice = select_steadily(members, y, RMSE, deadline=time.monotonic() - 1)
    np.testing.assert_array_equal(choice.unseen, blend(members, choice.weights))


def test_a_class_of_one_row_does_not_hinder_it():
    rng = np.random.default_rng(0)
    y = np.array([0, 1] * 20 + [2])
    members = [rng.dirichlet(np.ones(3), len(y)) for _ in range(4)]
    weights = steady(members, y, LOG_LOSS)
    assert weights.sum() == pytest.approx(1)
    late = steady(members, y, LOG_LOSS, deadline=time.monotonic() - 1)
    assert late.sum() == pytest.approx(1)


def searched(seen, n=20_000, seed=0):
    """Members that a long search found, all of one kind and nearly alike, and one each of two kinds as good as they."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=seen + n)
    found = y + rng.normal(size=seen + n)
    members = [found + 0.5 * rng.normal(size=seen + n) for _ in range(60)]
    members += [y + 1.1 * rng.normal(size=seen + n) for _ in "bc"]
    return [member.astype(np.float32) for member in members], ["a"] * 60 + ["b", "c"], y


def test_the_best_of_each_of_the_best_kinds_counts_as_much_as_what_was_chosen():
    members, kinds, y = searched(60)
    seen = [member[:60] for member in members]
    plain, even = (steady(seen, y[:60], RMSE, kinds=said) for said in ((), kinds))
    first = int(np.argmin([RMSE.score(y[:60], member) for member in seen[:60]]))
    assert even[[first, 60, 61]] == pytest.approx(1 / 4 + plain[[first, 60, 61]] / 4, rel=0.1)
    later = [member[60:] for member in members]
    assert RMSE.score(y[60:], blend(later, even)) < RMSE.score(y[60:], blend(later, plain))


def test_small_members_that_make_no_difference_are_left_out(monkeypatch):
    """Of 318 rows of auto_mpg, 127 models answered for eight trials, one of which had 0.3% of the weight."""
    members, kinds, y = searched(600, n=0)
    few = steady(members, y, RMSE, kinds=kinds)
    with monkeypatch.context() as patch:
        patch.setattr("automl.search.ensemble.trimmed", lambda weights, *_: weights)
        many = steady(members, y, RMSE, kinds=kinds)
    gone = (many > 0) & (few == 0)
    assert gone.any()
    assert many[gone].max() < 1 / 40
    assert few == pytest.approx(np.where(gone, 0, many) / many[~gone].sum())
    assert RMSE.score(y, blend(members, few)) <= 1.001 * RMSE.score(y, blend(members, many))


def test_a_small_member_that_makes_a_difference_stays():
    """Of 400 digits, boosting with 0.8% of the weight took 5% off the log loss of support vector machines."""
    y = np.arange(400) % 2
    sure = np.where(np.arange(400) < 392, y, 1 - y)  # of eight rows it is sure what they are not
    members = [
        np.column_stack([1 - p, p])
        for p in (np.where(sure, 1 - 1e-9, 1e-9), np.full(400, 0.5), np.where(sure, 1 - 1e-6, 1e-6))
    ]
    weights = np.array([0.975, 0.01, 0.015])
    kept = trimmed(weights, members, y, LOG_LOSS, None)
    assert kept == pytest.approx(np.array([0.975, 0.01, 0]) / 0.985)
    assert trimmed(weights, members, y, METRICS["accuracy"], None).tolist() == [1, 0, 0]


def test_what_is_better_by_more_than_chance_is_left_as_it_was_chosen():
    members, kinds, y = searched(3000, n=0)
    members[-1] = noisy(y, 5, 9)
    plain, even = (steady(members, y, RMSE, kinds=said) for said in ((), kinds))
    assert even.tolist() == plain.tolist()


def test_a_kind_far_behind_is_told_from_the_others_by_few_rows_too():
    """On digits, of 1,437 rows, the standard error over five parts told so little that such a family was let in."""
    kept = 0
    for seed in range(6):
        members, kinds, y = searched(60, n=0, seed=seed)
        members[-1] = noisy(y, 2.5, 9 + seed)
        plain, even = (steady(members, y, RMSE, kinds=said) for said in ((), kinds))
        kept += even.tolist() == plain.tolist()
    assert kept >= 5, "by five parts it was 2"


def test_where_all_are_right_the_one_that_is_surest_does_not_answer_alone():
    """Of 75 rows of iris an MLP had all right and answered alone: on the others its log loss was 0.54, and not 0.22."""
    y = np.arange(100) % 2
    sure = [np.where(np.eye(2)[y] == 1, 1 - e, e) for e in (1e-10, 1e-3, 1e-3)]
    even = steady(sure, y, LOG_LOSS, kinds=["a", "b", "c"])
    np.testing.assert_allclose(even, [0.5, 0.25, 0.25])
    slack = [sure[0], *(0.5 + 0.5 * (each - 0.5) for each in sure[1:])]
    np.testing.assert_array_equal(steady(slack, y, LOG_LOSS, kinds=["a", "b", "c"]), [1, 0, 0])


def test_members_of_one_kind_are_not_evened():
    members, _, y = searched(60, n=0)
    plain, even = (steady(members, y, RMSE, kinds=said) for said in ((), ["a"] * len(members)))
    assert even.tolist() == plain.tolist()


@pytest.mark.parametrize("first", [20, 21])
def test_rows_for_which_a_scorer_raises_say_nothing(first):
    """A scikit-learn scorer raises where a class is absent: with 21 rows before it, in the half; else in a block."""
    y = np.array([0] * first + [1] * 20 + [2])
    rng = np.random.default_rng(0)
    members = [rng.dirichlet(np.ones(3), len(y)) for _ in range(4)]

    def score(y, prediction, weight):
        if len(np.unique(y)) < 3:
            raise ValueError("a class is absent")
        return LOG_LOSS.score(y, prediction, weight)

    strict = Metric("strict", score, maximize=False, takes="proba", tasks=frozenset({"multiclass"}))
    assert steady(members, y, strict, kinds=list("abcd")).sum() == pytest.approx(1)
