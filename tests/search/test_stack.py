"""Stacking: it finds what a mean cannot say, and is used only where rows that it has not seen prove it."""

import time

import numpy as np
import pytest

from automl.answer import pooled
from automl.metrics import automl_metrics, resolve
from automl.search.ensemble import blend, select
from automl.search.stack import stack

LOG_LOSS = resolve("log_loss", "multiclass", {metric.name: metric for metric in automl_metrics()})


def softmax(raw):
    raw = np.exp(raw - raw.max(axis=1, keepdims=True))
    return raw / raw.sum(axis=1, keepdims=True)


def witnesses(n=1500, seed=0):
    """Two that each know of other things: what they say together is the product, and their mean is too unsure."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, n, 3)) * 2
    both = softmax(first + second)
    y = (rng.random(n)[:, None] > both.cumsum(axis=1)).sum(axis=1).clip(max=2)
    return [softmax(first), softmax(second)], y


def stacked(members, y, **said):
    weights = select(members, y, LOG_LOSS)
    return stack(members, blend(members, weights), y, LOG_LOSS, **said)


def test_what_two_know_apart_is_multiplied():
    members, y = witnesses()
    powers, nested = stacked(members, y)
    assert np.allclose(powers, 1, atol=0.2)
    later, truth = witnesses(seed=1)
    mean = LOG_LOSS.score(truth, blend(later, select(members, y, LOG_LOSS)))
    assert LOG_LOSS.score(truth, pooled(later, powers)) < mean - 0.05
    # What it says of itself is what it turns out to be.
    assert LOG_LOSS.score(y, nested) == pytest.approx(LOG_LOSS.score(truth, pooled(later, powers)), abs=0.04)


def test_of_what_a_mean_says_as_well_it_keeps_off():
    rng = np.random.default_rng(0)
    shares = softmax(rng.normal(size=(1500, 3)))
    y = (rng.random(1500)[:, None] > shares.cumsum(axis=1)).sum(axis=1).clip(max=2)
    members = [shares, softmax(np.log(shares) + 0.01 * rng.normal(size=shares.shape))]
    powers, same = stacked(members, y)
    assert powers == ()
    np.testing.assert_array_equal(same, blend(members, select(members, y, LOG_LOSS)))


@pytest.mark.parametrize("few", ["rows", "members", "time"])
def test_of_too_little_nothing_is_proven(few):
    members, y = witnesses(200 if few == "rows" else 1500)
    members = members[:1] if few == "members" else members
    powers, _ = stacked(members, y, deadline=time.monotonic() - 1 if few == "time" else np.inf)
    assert powers == ()


def test_weights_count():
    members, y = witnesses()
    weight = np.where(np.arange(len(y)) % 2, 1.0, 0.0)
    wrong = np.where(weight > 0, y, (y + 1) % 3)  # rows that do not count say the opposite
    powers, _ = stack(members, blend(members, np.array([0.5, 0.5])), wrong, LOG_LOSS, weight)
    assert np.allclose(powers, 1, atol=0.3)


def test_no_member_is_turned_upside_down():
    members, y = witnesses()
    upside_down = softmax(-3 * np.log(members[0]))
    powers, _ = stacked([*members, upside_down], y)
    assert min(powers) >= 0
