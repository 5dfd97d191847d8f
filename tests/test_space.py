"""A space is read from data, keeps candidates inside, and is drawn by Optuna."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.errors import ConfigError
from automl.space import clip, is_free, parse, suggest

SPACE = {
    "leaves": {"int": [4, 64], "log": True},
    "rate": {"float": [0.01, 0.3]},
    "kind": {"choice": ["a", "b"]},
    "depth": {"int": [2, 9], "when": {"kind": "a"}},
    "fixed": 7,
}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"int": [4]}, "two numbers"),
        ({"int": [9, 4]}, "low 9 is above high 4"),
        ({"float": [0, 1], "log": True}, "starts above 0"),
        ({"int": [1, 2], "float": [1, 2]}, "exactly one"),
        ({}, "exactly one"),
        ({"chioce": [1]}, "did you mean 'choice'"),
        ({"choice": []}, "at least one"),
        ({"float": [False, True]}, "two numbers"),
    ],
)
def test_a_malformed_dimension_is_named_with_its_key(entry, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse({"x": entry}, "family.f.space")
    assert "family.f.space.x" in str(caught.value)


@given(leaves=st.integers(-1000, 1000), rate=st.floats(-5, 5), kind=st.text())
def test_clipped_values_lie_in_the_space_and_constants_are_set(leaves, rate, kind):
    got = clip(parse(SPACE), {"leaves": leaves, "rate": rate, "kind": kind, "other": 1})
    assert 4 <= got["leaves"] <= 64
    assert 0.01 <= got["rate"] <= 0.3
    assert got["kind"] in ("a", "b")
    assert got["fixed"] == 7
    assert got["other"] == 1


def test_a_value_that_is_inside_is_not_touched():
    assert clip(parse(SPACE), {"leaves": 31, "rate": 0.05, "kind": "b"})["leaves"] == 31


def test_drawn_values_lie_in_the_space_and_conditions_hold():
    space = parse(SPACE)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = [suggest(space, study.ask()) for _ in range(40)]
    assert all(4 <= d["leaves"] <= 64 and d["fixed"] == 7 for d in drawn)
    assert {d["kind"] for d in drawn} == {"a", "b"}
    assert all(("depth" in d) == (d["kind"] == "a") for d in drawn)


def test_a_space_of_constants_has_nothing_to_search():
    assert not is_free(parse({"a": 1, "b": "x"}))
    assert is_free(parse(SPACE))
