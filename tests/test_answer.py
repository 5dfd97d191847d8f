"""The answer: what a mean of models loses in sureness, and gets back."""

import numpy as np
import pytest
from scipy.special import softmax

from automl.answer import Spread


def spread_of(bags, repeats=1):
    """The spread of bags, each a share in the blend and its models' probabilities; and the blend."""
    spread, blended = Spread(repeats), 0
    for name, (share, models) in enumerate(bags):
        for said in models:
            spread.add(str(name), share / len(models), said)
            blended = blended + share / len(models) * said
    return spread, blended


def noisy(truth, noise, models, seed=0):
    rng = np.random.default_rng(seed)
    return [softmax(truth + noise * rng.normal(size=truth.shape), axis=1) for _ in range(models)]


@pytest.fixture
def truth():
    return 2 * np.random.default_rng(7).normal(size=(2000, 5))


@pytest.mark.parametrize("models", [1, 4])
def test_models_that_agree_are_answered_as_they_are(truth, models):
    spread, blended = spread_of([(0.5, models * [softmax(truth, axis=1)]), (0.5, models * [softmax(-truth, axis=1)])])
    np.testing.assert_allclose(spread.undone(blended), blended, rtol=1e-9)


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_a_mean_gets_back_what_averaging_took(truth, noise):
    expected = softmax(truth, axis=1)

    def far(said):
        return float((expected * np.log(expected / said)).sum(axis=1).mean())

    spread, blended = spread_of([(1.0, noisy(truth, noise, models=30))])
    assert far(spread.undone(blended)) < 0.8 * far(blended)


def test_a_mean_is_made_as_sure_as_the_means_of_as_many_models_as_were_measured(truth):
    def sure(said):
        return float(said.max(axis=1).mean())

    models = noisy(truth, 1.0, 12)
    found = [sure(spread.undone(blended)) for spread, blended in (spread_of([(1.0, models)], r) for r in (1, 3, 12))]
    assert found[0] > found[1] > found[2]
    assert found[2] == pytest.approx(sure(np.mean(models, axis=0)))


def test_models_count_by_their_weights(truth):
    models, spread, twice = noisy(truth, 1.0, 3), Spread(), Spread()
    for said, weight in zip(models, (0.5, 0.25, 0.25), strict=True):
        spread.add("", weight, said)
    blended = 0.5 * models[0] + 0.25 * models[1] + 0.25 * models[2]
    for said, weight in zip([*models, models[0]], (0.0, 0.5, 0.5, 0.0), strict=True):  # as if there were but two
        twice.add("", weight, said)
    assert (spread.undone(blended).max(axis=1) >= blended.max(axis=1) - 1e-12).all()
    pair, halves = spread_of([(1.0, models[1:])])
    np.testing.assert_allclose(twice.undone(halves), pair.undone(halves), rtol=1e-9)


def test_labels_stay_and_no_row_hangs_on_another(truth):
    bags = [(0.3, noisy(truth, 1.0, 3)), (0.7, noisy(truth, 0.3, 5, seed=1))]
    spread, blended = spread_of(bags)
    found = spread.undone(blended)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(found.argmax(axis=1), blended.argmax(axis=1))
    assert (found.max(axis=1) >= blended.max(axis=1) - 1e-12).all(), "surer, never less sure"
    one, alone = spread_of([(share, [said[:1] for said in models]) for share, models in bags])
    np.testing.assert_allclose(one.undone(alone), found[:1], rtol=1e-12)


def test_a_class_that_models_rule_out_stays_so(truth):
    models = noisy(truth, 1.0, 3)
    for said in models:
        said[:, 2] = 0
    spread, blended = spread_of([(1.0, models)])
    found = spread.undone(blended)
    assert np.isfinite(found).all()
    assert (found[:, 2] == 0).all()
