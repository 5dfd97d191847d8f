"""A space: the values that a family's parameters may take, written as data.

    {int: [4, 64], log: true}     whole numbers from 4 to 64, even on the log scale
    {float: [0.1, 1.0]}           real numbers
    {choice: [gini, entropy]}     one of these
    31                            always this

A parameter that only matters beside another says so: ``when: {booster: dart}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from automl.errors import ConfigError, nearest


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `log` spreads them evenly over orders of magnitude."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def clip(self, value: Any) -> Any:
        """The value of the range that is nearest to `value`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        inside = min(max(value, self.low), self.high)
        return round(inside) if self.whole else inside


@dataclass(frozen=True)
class Choice:
    """One of the listed values."""

    options: tuple[Any, ...]

    def clip(self, value: Any) -> Any:
        """`value` where it is an option, else the first option."""
        return value if value in self.options else self.options[0]


@dataclass(frozen=True)
class Constant:
    """Always this value: how a config fixes a parameter."""

    value: Any

    def clip(self, _value: Any) -> Any:
        """The constant."""
        return self.value


@dataclass(frozen=True)
class Dimension:
    """A parameter's values and the values of other parameters under which it matters."""

    values: Range | Choice | Constant
    when: Mapping[str, Any]


Space = Mapping[str, Dimension]


def parse(space: Mapping[str, Any], where: str = "space") -> Space:
    """Read a space from plain data.

    Raises
    ------
    ConfigError : an entry that says none of the forms above; `where` is the config key that the message names.
    """
    return {name: _dimension(entry, f"{where}.{name}") for name, entry in space.items()}


def clip(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """`params` with each value moved inside its dimension and every constant set."""
    inside = {name: space[name].values.clip(value) if name in space else value for name, value in params.items()}
    return {**inside, **{name: d.values.value for name, d in space.items() if isinstance(d.values, Constant)}}


def suggest(space: Space, trial: Any) -> dict[str, Any]:
    """Draw one value for each dimension from an Optuna trial, leaving out those whose condition does not hold."""
    drawn: dict[str, Any] = {}
    for name, dimension in space.items():
        if any(drawn.get(other) != wanted for other, wanted in dimension.when.items()):
            continue
        values = dimension.values
        if isinstance(values, Constant):
            drawn[name] = values.value
        elif isinstance(values, Choice):
            # Optuna's choices are scalars; a list or dict is drawn by its position.
            drawn[name] = values.options[trial.suggest_categorical(name, range(len(values.options)))]
        elif values.whole:
            drawn[name] = trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
        else:
            drawn[name] = trial.suggest_float(name, values.low, values.high, log=values.log)
    return drawn


def is_free(space: Space) -> bool:
    """Whether there is anything to search."""
    return any(not isinstance(dimension.values, Constant) for dimension in space.values())


_FORMS = ("int", "float", "choice")
_KEYS = (*_FORMS, "log", "when")


def _dimension(entry: Any, where: str) -> Dimension:
    if not isinstance(entry, Mapping):
        return Dimension(Constant(entry), {})
    for key in entry:
        if key not in _KEYS:
            raise ConfigError(
                f"{where}: unknown key {key!r}{nearest(key, _KEYS)} A dimension has int, float or choice."
            )
    forms = [form for form in _FORMS if entry.get(form) is not None]
    if len(forms) != 1:
        hint = f"; where one is laid over another, take that one back by {forms[0]}: null" if forms else ""
        raise ConfigError(
            f"{where}: say exactly one of int, float or choice, not {' and '.join(forms) or 'none'}{hint}"
        )
    form, when = forms[0], dict(entry.get("when", {}))
    values = entry[form]
    if form == "choice":
        if not isinstance(values, list | tuple) or not values:
            raise ConfigError(f"{where}: choice wants a list of at least one value, not {values!r}")
        return Dimension(Choice(tuple(values)), when)
    if (
        not isinstance(values, list | tuple)
        or len(values) != 2
        or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values)
    ):
        raise ConfigError(f"{where}: {form} wants [low, high], two numbers, not {values!r}")
    low, high = values
    if low > high:
        raise ConfigError(f"{where}: low {low} is above high {high}")
    log = bool(entry.get("log", False))
    if log and low <= 0:
        raise ConfigError(f"{where}: a log scale starts above 0, not at {low}")
    return Dimension(Range(low, high, log, form == "int"), when)
