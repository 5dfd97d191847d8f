"""A study: one family's parameters, searched by an Optuna sampler in memory, ask and tell."""

from __future__ import annotations

import importlib.util
import json
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from automl.errors import ConfigError, nearest
from automl.family import FamilySpec
from automl.space import Choice, Constant, Space, suggest


@dataclass(frozen=True)
class Sampler:
    """One of Optuna's samplers.

    Parameters
    ----------
    make : gives the sampler for a seed.
    needs : packages that it needs besides those that are always installed.
    several : whether it can search for several objectives.
    joint : whether it learns of all parameters together. Such a one knows nothing but the parameters that every trial
        has, so it is not told of a set that leaves some to their defaults.
    seconds : what a draw may take before one was measured, the import of what it needs included; 0 where it is nothing
        beside a fit.
    """

    make: Callable[[int], Any]
    needs: tuple[str, ...] = ()
    several: bool = True
    joint: bool = True
    seconds: float = 0.0


def _tpe(seed: int) -> Any:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=5, constant_liar=True)


def _random(seed: int) -> Any:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _qmc(seed: int) -> Any:
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import QMCSampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # since Optuna 3
        return QMCSampler(seed=seed, warn_independent_sampling=False)


def _cmaes(seed: int) -> Any:
    from optuna.samplers import CmaEsSampler

    # It knows neither choices nor parameters with a condition: TPE draws those.
    return CmaEsSampler(seed=seed, independent_sampler=_tpe(seed), warn_independent_sampling=False)


def _nsga2(seed: int) -> Any:
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=10)  # Optuna's 50 is more trials than most families get


def _gp(seed: int) -> Any:
    import scipy.optimize  # noqa: F401
    import torch  # noqa: F401  threads can be limited of what is imported: the first draw would do that
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, n_startup_trials=8, independent_sampler=_tpe(seed), warn_independent_sampling=False)


SAMPLERS = {
    "tpe": Sampler(_tpe, joint=False),
    "random": Sampler(_random),
    "qmc": Sampler(_qmc),
    "cmaes": Sampler(_cmaes, needs=("cmaes",), several=False),
    "nsga2": Sampler(_nsga2),
    "gp": Sampler(_gp, needs=("torch",), seconds=2.0),
}
_FIRST_GENERATION = {"NSGAIISampler:generation": 0}  # without it NSGA-II would breed from none but its own draws


def check_sampler(name: str, objectives: Sequence[str] = ("loss",), where: str = "search.sampler") -> None:
    """Refuse a sampler that cannot be had, or cannot search for these objectives; `where` is the key that names it.

    Raises
    ------
    ConfigError : with what would do.
    """
    if name not in SAMPLERS:
        raise ConfigError(f"{where}={name}: unknown{nearest(name, SAMPLERS)} Known: {', '.join(SAMPLERS)}")
    sampler = SAMPLERS[name]
    if missing := [package for package in sampler.needs if importlib.util.find_spec(package) is None]:
        raise ConfigError(
            f"{where}={name}: needs {', '.join(missing)}, which is not installed: pip install 'automl[samplers]'"
        )
    if len(objectives) > 1 and not sampler.several:
        able = [other for other, can in SAMPLERS.items() if can.several]
        raise ConfigError(
            f"{where}={name} knows one objective, and search.objectives has {', '.join(objectives)}; "
            f"say search={able[0]}, or another of {', '.join(able[1:])}"
        )


class Study:
    """An Optuna study of one family, in memory; the run's own store is the durable record.

    Parameters
    ----------
    sampler : a name of `SAMPLERS`.
    objectives : how many values a trial is told with.
    """

    def __init__(self, spec: FamilySpec, sampler: str, seed: int, objectives: int = 1) -> None:
        self._spec, self._sampler, self._seed, self._objectives = spec, SAMPLERS[sampler], seed, objectives
        self._open: dict[str, Any] = {}
        self._study: Any = None
        self.takes = self._sampler.seconds
        self.draws, self.replaced = 0, 0

    def ask(self, within: float = math.inf) -> dict[str, Any]:
        """A complete set of parameters that the sampler would try next.

        TPE draws in the place of a sampler that may take more than `within` seconds, by the longest that it took.
        """
        study = self._optuna()
        usual, replace = study.sampler, self.takes > within
        self.draws, self.replaced = self.draws + 1, self.replaced + replace
        if replace:
            study.sampler = self._quick
        began = time.monotonic()
        with _one_thread(bool(self._sampler.seconds)):
            trial = study.ask()
            params = {**self._spec.params, **suggest(self._spec.space, trial)}
        if self._sampler.seconds:
            self.takes = max(self.takes, time.monotonic() - began)
        study.sampler = usual
        self._open[_key(params)] = trial
        return params

    def tell(
        self, params: Mapping[str, Any], values: Sequence[float] | None, excess: Mapping[str, float] | None = None
    ) -> None:
        """Learn what came of parameters, asked for or not.

        Parameters
        ----------
        values : one for each objective, lower is better; None where they gave none.
        excess : by how much it is above each bound that there is, as a share of that; below zero where it keeps it.
        """
        import optuna

        trial, over = self._open.pop(_key(params), None), dict(excess or {})
        if trial is not None:
            if values is None:
                self._optuna().tell(trial, state=optuna.trial.TrialState.FAIL)
                return
            for name, share in over.items():
                trial.set_constraint(name, share)
            self._optuna().tell(trial, list(values))
        elif values is not None:
            searched = _searched(self._spec.space, params)
            if self._sampler.joint and any(name not in searched for name in _always(self._spec.space)):
                return
            told = optuna.trial.create_trial(
                params={name: _code(self._spec.space, name, params[name]) for name in searched},
                distributions={name: _distribution(dimension) for name, dimension in searched.items()},
                values=list(values),
                constraints=over,
                system_attrs=dict(_FIRST_GENERATION),
            )
            self._optuna().add_trial(told)

    def _optuna(self) -> Any:
        if self._study is None:
            import optuna

            optuna.logging.set_verbosity(optuna.logging.ERROR)
            directions: list[Any] = ["minimize"] * self._objectives
            self._study = optuna.create_study(sampler=self._sampler.make(self._seed), directions=directions)
            self._quick = _tpe(self._seed)
        return self._study


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True, default=str)


def _one_thread(wanted: bool) -> AbstractContextManager[Any]:
    """One thread for linear algebra: the pools of torch and of numpy take the cores from each other (6x slower)."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1) if wanted else nullcontext()


def _always(space: Space) -> list[str]:
    """The free dimensions that matter whatever the others are."""
    return [name for name, dimension in space.items() if not (dimension.when or isinstance(dimension.values, Constant))]


def _searched(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """The free dimensions of a space for which `params` has a value that Optuna can take."""
    found: dict[str, Any] = {}
    for name, dimension in space.items():
        values, value = dimension.values, params.get(name)
        if isinstance(values, Constant) or name not in params:
            continue
        if isinstance(values, Choice):
            usable = value in values.options
        else:
            usable = isinstance(value, int | float) and values.low <= value <= values.high
        if usable:
            found[name] = values
    return found


def _distribution(values: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(values, Choice):
        return CategoricalDistribution(tuple(range(len(values.options))))
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _code(space: Space, name: str, value: Any) -> Any:
    values = space[name].values
    return values.options.index(value) if isinstance(values, Choice) else value
