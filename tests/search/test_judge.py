"""Judgement: which trials need not run all folds, and when a race has nothing more to gain."""

import numpy as np
import pytest
from fakes import problem_of

from automl.run import Trial
from automl.search.judge import Plateau, foreseen, hopeless


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    return problem_of(tmp_path_factory.mktemp("judge") / "work", 3, rows=1600)  # 400 a fold


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return problem_of(tmp_path_factory.mktemp("small") / "work", 3)


def trial(problem, number, off, folds=3):
    """A trial whose predictions are off by `off` (a number, or one for each row)."""
    made = Trial(number, "model", {}, "search", status="ok")
    for fold in range(folds):
        rows = problem.fold(fold).valid
        wrong = np.broadcast_to(off, len(problem.y))[rows]
        folder = problem.trial_folder(number, fold)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "predictions.npy", problem.y[rows] + wrong)
        made.folds.append(float(np.sqrt(np.mean(wrong**2))))
    return made


def judged(problem, newcomer, rivals, slack=0.5):
    baseline = trial(problem, 99, 10.0)
    return hopeless(problem, newcomer, [0], rivals, baseline, slack)


def test_the_best_goes_on_and_one_far_behind_does_not(problem):
    rivals = [trial(problem, 1, 2.0)]
    assert judged(problem, trial(problem, 5, 1.9, 1), rivals) == ""
    assert judged(problem, trial(problem, 6, 9.0, 1), rivals) == "after 1 fold it was 7 behind model-1"


def test_one_that_is_a_little_behind_goes_on_if_it_has_what_the_best_lack(problem):
    rivals = [trial(problem, i, 2.0 + i / 10) for i in (1, 2, 3)]
    assert judged(problem, trial(problem, 5, -2.5, 1), rivals) == "", "it errs to the other side"
    alike = judged(problem, trial(problem, 6, 2.5, 1), rivals)
    assert alike == "after 1 fold it was 0.4 behind model-1, and added nothing to the best 3"


def test_what_a_dropped_trial_would_have_lost_takes_account_of_how_hard_its_folds_were(problem):
    """Told by the loss on an easy first fold, the sampler took what was dropped for better than the best."""
    rivals = [Trial(i, "model", {}, "search", folds=[1.0 + i, 4.0 + i, 4.0 + i], score=3.0 + i) for i in range(6)]
    dropped = Trial(9, "model", {}, "search", status="pruned", folds=[1.5])
    assert foreseen(problem, dropped, rivals) == pytest.approx(3.5)
    dropped.folds = [1.5, 4.5]
    assert foreseen(problem, dropped, rivals[3:]) == pytest.approx(3.5)
    assert foreseen(problem, dropped, []) == pytest.approx(3.0)


def test_few_rows_cannot_say_that_it_adds_nothing(small):
    rivals = [trial(small, i, 2.0 + i / 10) for i in (1, 2, 3)]
    assert judged(small, trial(small, 6, 2.5, 1), rivals) == ""
    assert judged(small, trial(small, 7, 9.0, 1), rivals).startswith("after 1 fold it was 6.9 behind")


def test_the_best_are_those_of_all_folds_and_not_of_this_one(problem):
    lucky = trial(problem, 11, 1.0, 1)
    lucky.folds += [9.0, 9.0]
    steady = trial(problem, 12, 2.0)
    assert judged(problem, trial(problem, 13, 1.9, 1), [lucky, steady]) == "", "it leads the one that is best"


def test_a_model_that_was_there_already_does_not_go_on(problem):
    rivals = [trial(problem, 1, 2.0), trial(problem, 2, 3.0)]
    twin = judged(problem, trial(problem, 5, 2.0, 1), rivals)
    assert twin == "it says the same as model-1: its parameters differ in nothing that matters here"
    assert judged(problem, trial(problem, 6, -2.0, 1), rivals) == "", "as good on this fold, but another model"
    stranger = trial(problem, 7, 2.0, 1)
    stranger.family = "other"
    assert judged(problem, stranger, rivals) == ""


def test_without_slack_rivals_or_baseline_all_go_on(problem):
    newcomer, rivals = trial(problem, 5, 9.0, 1), [trial(problem, 1, 1.0)]
    assert judged(problem, newcomer, rivals, slack=0) == ""
    assert judged(problem, newcomer, []) == ""
    assert hopeless(problem, newcomer, [0], rivals, None, 0.5) == ""


def test_a_plateau_needs_both_time_and_trials():
    plateau = Plateau(seconds=10, trials=5)
    assert plateau.flat(100, 100) == "", "nothing was kept yet"
    plateau.note(now=1, trials=3, loss=1.0, baseline=2.0)
    assert plateau.flat(10, 50) == ""
    assert plateau.flat(12, 7) == ""
    assert plateau.flat(12, 8) == "the ensemble has not gained in the last 11 s and 5 trials"


def test_a_gain_that_counts_starts_the_wait_anew_and_a_tiny_one_does_not():
    plateau = Plateau(seconds=10, trials=5)
    plateau.note(1, 3, 1.0, 2.0)
    plateau.note(9, 9, 1.0 - 1e-6, 2.0)
    assert plateau.since == 1
    plateau.note(10, 10, 0.99, 2.0)
    assert (plateau.since, plateau.since_trials) == (10, 10)
