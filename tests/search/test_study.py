"""A study: each sampler draws, learns from values, several of them too, and from bounds, and says what it lacks."""

import importlib.util
import warnings

import numpy as np
import pytest
from fakes import SAMPLERS_HERE, spec

from automl.errors import ConfigError
from automl.search.study import SAMPLERS, Study, check_sampler

MIXED = {
    "x": {"float": [0.0, 1.0]},
    "y": {"float": [0.01, 1.0], "log": True},
    "kind": {"choice": ["a", "b"]},
    "depth": {"int": [1, 9], "when": {"kind": "b"}},
}
PLANE = {"x": {"float": [0.0, 1.0]}, "y": {"float": [0.0, 1.0]}}


def searched(sampler, space=PLANE, *, trials=30, told=(), values=lambda p: [p["x"]], excess=lambda p: {}, seed=0):
    """What a sampler draws, four of them open at a time, after it was told of some that it did not draw."""
    study = Study(spec(space), sampler, seed, len(values({"x": 0.0, "y": 0.0})))
    for params in told:
        study.tell(params, values(params), excess(params))
    drawn = []
    for i in range(trials):
        drawn.append(study.ask())
        if i >= 3:
            study.tell(drawn[i - 3], values(drawn[i - 3]), excess(drawn[i - 3]))
    return drawn


@pytest.mark.parametrize("sampler", SAMPLERS_HERE)
def test_a_sampler_draws_choices_and_conditions_without_a_warning_and_the_same_again(sampler, capfd):
    def values(params):
        return [params["x"] + (params.get("kind") == "b")]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = searched(sampler, MIXED, trials=16, told=[{"x": 0.5}], values=values)
    assert {params["kind"] for params in drawn} == {"a", "b"}
    assert all(("depth" in params) == (params["kind"] == "b") for params in drawn)
    assert drawn == searched(sampler, MIXED, trials=16, told=[{"x": 0.5}], values=values)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("sampler", [p for p in SAMPLERS_HERE if p.values[0] not in ("random", "qmc")])
def test_a_sampler_learns_though_it_was_told_of_a_set_that_leaves_some_to_their_defaults(sampler):
    """Samplers that learn of all parameters together would be left with those that every set has: none."""

    def values(params):
        return [(params.get("x", 0.5) - 0.8) ** 2 + (params.get("y", 0.5) - 0.2) ** 2]

    trials = 24 if sampler == "gp" else 120
    drawn = searched(sampler, trials=trials, told=[{}, {"x": 0.1}], values=values)
    losses = np.array([values(params)[0] for params in drawn])
    assert np.median(losses[-trials // 3 :]) < 0.5 * np.median(losses[: trials // 3])


def test_nsga2_breeds_from_what_it_was_told_too():
    told = [{"x": 0.9 + i / 1000, "y": 0.1 + i / 1000} for i in range(10)]
    drawn = searched("nsga2", trials=20, told=told, values=lambda p: [-p["x"], p["y"]])
    assert sum(0.9 <= p["x"] <= 0.91 or 0.1 <= p["y"] <= 0.11 for p in drawn) > 10, "mutation takes the rest"


@pytest.mark.parametrize("sampler", [p for p in SAMPLERS_HERE if SAMPLERS[p.values[0]].several])
def test_a_sampler_takes_several_objectives(sampler):
    trials = 12 if sampler == "gp" else 120
    values = lambda p: [p["x"], p["y"], p["x"] + p["y"]]  # noqa: E731
    drawn = searched(sampler, trials=trials, told=[{"x": 0.5, "y": 0.5}], values=values)
    assert len(drawn) == trials
    if sampler in ("tpe", "nsga2"):
        sums = [p["x"] + p["y"] for p in drawn]
        assert np.median(sums[-30:]) < 0.7 * np.median(sums[:30])


@pytest.mark.parametrize("sampler", [p for p in SAMPLERS_HERE if p.values[0] in ("tpe", "nsga2", "gp")])
@pytest.mark.parametrize("objectives", [1, 2])
def test_a_bound_that_is_broken_leads_a_sampler_back(sampler, objectives):
    if (sampler, objectives) == ("gp", 2):
        pytest.skip("two seconds a draw")
    trials = 14 if sampler == "gp" else 80

    def late(excess):
        values = lambda p: [-p["x"], p["y"]][:objectives]  # noqa: E731
        told = [{"x": 0.2, "y": 0.5}, {"x": 0.9, "y": 0.5}]
        return [
            p["x"] for p in searched(sampler, trials=trials, told=told, values=values, excess=excess)[-trials // 3 :]
        ]

    assert np.median(late(lambda p: {"size_mb": p["x"] / 0.4 - 1})) < 0.5 < np.median(late(lambda p: {}))


def test_a_sampler_that_takes_its_time_gives_way_where_there_is_none():
    pytest.importorskip("torch")
    study = Study(spec(PLANE), "gp", 0)
    for i in range(12):
        study.tell({"x": i / 12, "y": 0.5}, [i])
    for _ in range(3):
        study.ask(within=0.5)
    assert (study.draws, study.replaced) == (3, 3)
    study.ask(within=60)
    assert (study.draws, study.replaced) == (4, 3)
    quick = Study(spec(PLANE), "random", 0)
    quick.ask(within=0)
    assert quick.replaced == 0


@pytest.mark.parametrize(("sampler", "package"), [("cmaes", "cmaes"), ("gp", "torch")])
def test_a_package_that_is_missing_is_named_with_what_installs_it(sampler, package, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else real(name))
    wanted = rf"search\.sampler={sampler}: needs {package}, which is not installed: pip install 'automl\[samplers\]'"
    with pytest.raises(ConfigError, match=wanted):
        check_sampler(sampler)
    check_sampler("tpe")


def test_a_sampler_of_one_objective_is_refused_for_several(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(ConfigError, match=r"cmaes knows one objective, and search\.objectives has loss, size_mb; say"):
        check_sampler("cmaes", ["loss", "size_mb"])
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.sampler=tep: unknown; did you mean 'tpe'"):
        check_sampler("tep", where="hydra.sweeper.sampler")
