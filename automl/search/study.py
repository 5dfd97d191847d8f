"""A study: one family's parameters, searched by an Optuna sampler in memory, ask and tell."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from automl.family import FamilySpec
from automl.space import Choice, Constant, Space, suggest


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


SAMPLERS = {"tpe": _tpe, "random": _random, "qmc": _qmc}


class Study:
    """An Optuna study of one family, in memory; the run's own store is the durable record."""

    def __init__(self, spec: FamilySpec, sampler: str, seed: int) -> None:
        self._spec, self._sampler, self._seed = spec, sampler, seed
        self._open: dict[str, Any] = {}
        self._study: Any = None

    def ask(self) -> dict[str, Any]:
        """A complete set of parameters that the sampler would try next."""
        trial = self._optuna().ask()
        params = {**self._spec.params, **suggest(self._spec.space, trial)}
        self._open[_key(params)] = trial
        return params

    def tell(self, params: Mapping[str, Any], loss: float | None) -> None:
        """Learn the loss of parameters, asked for or not; None where they gave none."""
        import optuna

        trial = self._open.pop(_key(params), None)
        if trial is not None:
            if loss is None:
                self._optuna().tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self._optuna().tell(trial, loss)
        elif loss is not None:
            distributions = {name: _distribution(d) for name, d in _searched(self._spec.space, params).items()}
            inside = {name: _code(self._spec.space, name, params[name]) for name in distributions}
            self._optuna().add_trial(optuna.trial.create_trial(params=inside, distributions=distributions, value=loss))

    def _optuna(self) -> Any:
        if self._study is None:
            import optuna

            optuna.logging.set_verbosity(optuna.logging.ERROR)
            self._study = optuna.create_study(sampler=SAMPLERS[self._sampler](self._seed))
        return self._study


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True, default=str)


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
