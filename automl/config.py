"""The declarative surface: the typed schema of conf/, key by key, with the meaning of each."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl.bounds import OBJECTIVES
from automl.errors import ConfigError, nearest
from automl.family import FamilySpec
from automl.hookspecs import hookimpl
from automl.space import parse


def _key(doc: str, **bounds: Any) -> Any:
    """A config key: its meaning and bounds (of JSON Schema) are here, its default value is in conf/."""
    return field(default="???", metadata={"doc": doc, "bounds": bounds})  # OmegaConf's "must be given"


@dataclass
class DataConf:
    """The table and what is known of its columns."""

    path: Any = _key("file, glob or folder of Parquet files, `scheme:...` of a reader, or a list of files")
    target: str | None = _key("the named example's target; say `target=` for your own")
    roles: dict[str, str] = field(
        default_factory=dict, metadata={"doc": "column: role, where the inferred role is wrong"}
    )
    drop: list[str] = field(default_factory=list, metadata={"doc": "columns to leave out"})
    missing: list[str] = field(default_factory=list, metadata={"doc": "further spellings of a missing value"})
    monotone: dict[str, str] = field(
        default_factory=dict,
        metadata={
            "doc": "numeric column: increasing or decreasing, how predictions must go with it, all else being equal; "
            "only families that can keep to it race"
        },
    )
    crosses: int | None = _key(
        "how many crosses of two columns (ratios, differences, pairs of categories) the view `encoded` has at most, "
        "where they prove to help; 0 for none, null for 8 if the time budget is at least 30 s, else none",
        minimum=0,
    )


@dataclass
class BudgetConf:
    """What a run may spend."""

    time: Any = _key("seconds, or a duration such as 90s, 1m, 1h30m; `budget=1m` is short for `budget.time=1m`")
    memory: Any = _key("bytes that one worker may use, or a size such as 4GB; null for no limit")
    trials: int | None = _key("how many trials at most; null for as many as the time allows", minimum=1)
    latency: Any = _key("constraint.latency_ms as a duration, such as 1ms; if both are said, the tighter one holds")


@dataclass
class ConstraintConf:
    """Upper bounds: a trial that breaks one is no member of the ensemble; `'constraint.latency_ms<=5'` says one too."""

    latency_ms: float | None = _key(
        "milliseconds for one row through the models of a trial, and through the whole predictor", exclusiveMinimum=0
    )
    size_mb: float | None = _key("megabytes of the models of a trial, and of all members together", exclusiveMinimum=0)
    fit_seconds: float | None = _key("seconds that the fits of a trial took, all folds together", exclusiveMinimum=0)


@dataclass
class SplitConf:
    """Which rows train and which validate."""

    kind: str = _key("auto, holdout, kfold, repeated, group, time or column")
    folds: int | None = _key("how many folds; null to choose by the number of rows")
    repeats: int = _key("how often k-fold is repeated with another shuffle (kind: repeated)")
    curve: list[dict[str, int]] = _key(
        "kind auto: the folds of tables up to so many `rows`, repeated where it says `repeats`; above, a holdout"
    )
    fraction: float = _key("share of rows that validates (kind: holdout)")
    column: str | None = _key("the column of groups, of time, or of fold names (kinds: group, time, column)")


@dataclass
class SearchConf:
    """How candidates are proposed and blended."""

    sampler: str = _key("tpe, random, qmc, cmaes, nsga2 or gp: Optuna's sampler of parameters")
    objectives: list[str] = _key(
        "what the sampler looks for: loss, and any of latency_ms, size_mb and fit_seconds, all as low as may be",
        items={"enum": list(OBJECTIVES)},
    )
    portfolio: bool = _key("try the families' portfolios before any search")
    order: str = _key(
        "how the entries of the portfolios follow one another: learned (by what they gained on tables like this one) "
        "or priority (first entries of all families, then second ones)",
        enum=["learned", "priority"],
    )
    prune: float = _key(
        "drop a trial after a fold whose score is worse than the best trial's by this share of its gain "
        "over the baseline; 0 for never",
        minimum=0,
    )
    rungs: list[int] = _key(
        "numbers of training rows on which candidates begin before the best go on to more; "
        "those above a third of the table's rows are passed over"
    )
    patience: float = _key(
        "end when the ensemble has gained nothing for this share of the time, the portfolios being through; 0: never",
        minimum=0,
    )
    ensemble: int = _key("rounds of greedy ensemble selection; 1 for the best single trial", minimum=1)
    stack: bool = _key(
        "blend probabilities by a logistic regression on the members, where nested folds prove that it is better; "
        "what it learns of single fold models need not hold for the bags that predict"
    )


@dataclass
class PredictorConf:
    """What the predictor is made of."""

    refit: str = _key(
        "fit members once more on all rows: add (such a model joins those of the folds where the run finds that more "
        "rows make its members better), replace (it answers in their place) or none",
        enum=["add", "replace", "none"],
    )
    members: int | None = _key("how many different trials may be members; null for any number", minimum=1)


@dataclass
class ExecutorConf:
    """Where trials run."""

    kind: str = _key("a registered executor: local, inprocess, ...")
    cores: int | None = _key("cores for all trials together; null for all that the machine has", minimum=1)
    slots: int | None = _key(
        "trials side by side; null for as many as cores, fewer with more threads each the larger the table", minimum=1
    )
    threads: int | None = _key("cores for each trial; null to share them among the slots", minimum=1)


@dataclass
class RunConf:
    """What a run leaves behind and says."""

    dir: str | None = _key("the run folder, which must not exist; null for runs/NAME-TIME")
    resume: bool = _key("go on with the run in `dir`, if there is one that was cut off")
    progress: str = _key(
        "auto (live on a terminal, else lines), live, lines or quiet", enum=["auto", "live", "lines", "quiet"]
    )


@dataclass
class PluginsConf:
    """Which installed plugins are loaded."""

    allow: list[str] | None = _key("load these plugins only; null for all, or for the environment's AUTOML_PLUGINS")
    deny: list[str] = field(default_factory=list, metadata={"doc": "do not load these plugins"})
    autoload: bool = _key("false loads only what `allow` names")


@dataclass
class FamilyConf:
    """What may be said about one family, and what the search may change."""

    params: dict[str, Any] = field(
        default_factory=dict, metadata={"doc": "parameters of its estimator, by their own names"}
    )
    space: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "doc": "parameter: `{int: [low, high]}`, `{float: [low, high], log: true}`, `{choice: [...]}`, "
            "or a value that fixes it"
        },
    )
    portfolio: list[dict[str, Any]] = field(
        default_factory=list, metadata={"doc": "parameter sets tried before any search, best first"}
    )
    priority: int = field(default=50, metadata={"doc": "families of a lower number are tried first"})
    cost: float = field(
        default=0.0,
        metadata={"doc": "seconds of a fit until measured, for 100,000 rows and 10 columns on one core"},
    )
    per_class: bool = field(
        default=False, metadata={"doc": "whether a fit of more than two classes takes its `cost` for each of them"}
    )
    when: dict[str, float] = field(
        default_factory=dict,
        metadata={
            "doc": "for which tables: `min_` and `max_` of rows, columns, cells, classes, alike, target_low, "
            "target_skew or gpus; a portfolio entry and a dimension of the space may have their own `when`"
        },
    )

    def spec(self, name: str) -> FamilySpec:
        """What this says of the family of that name.

        Raises
        ------
        ConfigError : a dimension of the space is not well formed.
        """
        return FamilySpec(
            params=dict(self.params),
            space=parse(self.space, f"family.{name}.space"),
            portfolio=tuple(self.portfolio),
            priority=self.priority,
            cost=self.cost,
            per_class=self.per_class,
            when=dict(self.when),
        )


@dataclass
class Config:
    """The whole of what a user may say about a run."""

    data: DataConf = field(default_factory=DataConf)
    target: str | None = _key("the column to predict")
    task: str = _key("auto, binary, multiclass, classification or regression")
    metric: str = _key("auto, or the name of a metric (see `automl metrics`) or scikit-learn scorer")
    positive: Any = _key("the label whose probability counts in a binary task; null for the last in sorted order")
    weight: str | None = _key("the column of sample weights")
    families: list[str] | None = _key("families or plugins to race, by name; null for all that are installed")
    family: dict[str, FamilyConf] = field(default_factory=dict, metadata={"doc": "one entry per installed family"})
    baseline: str | None = _key("the family that runs first and that the leaderboard compares with")
    budget: BudgetConf = field(default_factory=BudgetConf)
    constraint: ConstraintConf = field(default_factory=ConstraintConf)
    split: SplitConf = field(default_factory=SplitConf)
    search: SearchConf = field(default_factory=SearchConf)
    predictor: PredictorConf = field(default_factory=PredictorConf)
    executor: ExecutorConf = field(default_factory=ExecutorConf)
    run: RunConf = field(default_factory=RunConf)
    plugins: PluginsConf = field(default_factory=PluginsConf)
    seed: int = _key("the seed of splits, search and models", minimum=0, maximum=2**31 - 1001)

    @property
    def seconds(self) -> float:
        """The time budget in seconds."""
        return seconds(self.budget.time)

    @property
    def bounds(self) -> dict[str, float]:
        """The upper bounds on what a trial and the ensemble may cost, by name, `budget.latency` among them."""
        said = {name: bound for name, bound in vars(self.constraint).items() if bound is not None}
        if self.budget.latency is not None:
            latency = 1000 * seconds(self.budget.latency, "budget.latency")
            said["latency_ms"] = min(latency, said.get("latency_ms", latency))
        return said

    @property
    def memory(self) -> int | None:
        """The memory limit of one worker in bytes."""
        return None if self.budget.memory is None else size(self.budget.memory)

    @property
    def crosses(self) -> int:
        """How many crosses a view may have; to look for them takes a second or so of each fold."""
        return self.data.crosses if self.data.crosses is not None else _CROSSES * (self.seconds >= _TIME_FOR_CROSSES)

    def family_spec(self, name: str) -> FamilySpec:
        """What this config says of a family.

        Raises
        ------
        ConfigError : a dimension of its space is not well formed.
        """
        return self.family.get(name, FamilyConf()).spec(name)


@hookimpl
def automl_conf() -> Path:
    """The core's own configs: `automl/conf` in a wheel, `conf` at the top of a checkout."""
    here = Path(__file__).parent
    return here / "conf" if (here / "conf").is_dir() else here.parent / "conf"


def keys(schema: type = Config, prefix: str = "") -> list[str]:
    """Every key of the schema, dotted."""
    found = []
    for item in dataclasses.fields(schema):
        found.append(prefix + item.name)
        inner = typing.get_type_hints(schema)[item.name]
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            found += keys(inner, f"{prefix}{item.name}.")
    return found


def json_schema(schema: type = Config) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the configs, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "automl", **_object(schema)}


def check(config: Any, prefix: str = "") -> None:
    """Refuse a value outside the bounds of its key.

    Raises
    ------
    ConfigError : with the key and its bounds.
    """
    for item in dataclasses.fields(config):
        value, bounds = getattr(config, item.name), item.metadata.get("bounds", {})
        where = f"{prefix}{item.name}"
        if dataclasses.is_dataclass(value):
            check(value, f"{where}.")
        elif isinstance(value, list):
            for one in value:
                _refuse(where, one, bounds.get("items", {}))
        elif value is not None:
            _refuse(where, value, bounds)


def _refuse(where: str, value: Any, bounds: Mapping[str, Any]) -> None:
    low, high, above = (bounds.get(name) for name in ("minimum", "maximum", "exclusiveMinimum"))
    if value not in (allowed := bounds.get("enum", [value])):
        raise ConfigError(f"{where}={value}: must be one of {', '.join(allowed)}{nearest(value, allowed)}")
    if low is not None and value < low:
        raise ConfigError(f"{where}={value}: must be at least {low}")
    if high is not None and value > high:
        raise ConfigError(f"{where}={value}: must be at most {high}")
    if above is not None and not value > above:
        raise ConfigError(f"{where}={value}: must be above {above}")


_CROSSES, _TIME_FOR_CROSSES = 8, 30.0
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {
    "": 1,
    "b": 1,
    "k": 1000,
    "m": 1000**2,
    "g": 1000**3,
    "t": 1000**4,
    "ki": 1024,
    "mi": 1024**2,
    "gi": 1024**3,
    "ti": 1024**4,
}


def seconds(said: Any, key: str = "budget.time") -> float:
    """Seconds from a number or a duration such as `90`, `1m`, `1h30m`; `key` is the config key that an error names.

    Raises
    ------
    ConfigError : no duration, or not above zero.
    """
    text = str(said).strip().lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|[smhd]?)", text)
    if not parts or "".join(n + u for n, u in parts) != text.replace(" ", ""):
        raise ConfigError(f"{key}={said}: not a duration; say seconds (90) or 90s, 1m, 1h30m, 5ms")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if total <= 0:
        raise ConfigError(f"{key}={said}: must be above zero")
    return total


def size(said: Any) -> int:
    """Bytes from a number or a size such as `4GB`, `512MiB`.

    Raises
    ------
    ConfigError : no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]i?|)b?", str(said).strip().lower())
    if not found:
        raise ConfigError(f"budget.memory={said}: not a size; say bytes, or 512MB, 4GB, 4GiB")
    return int(float(found[1]) * _SIZES[found[2]])


def _object(schema: type) -> dict[str, Any]:
    hints = typing.get_type_hints(schema)
    properties = {
        item.name: {
            **_json_type(hints[item.name]),
            **item.metadata.get("bounds", {}),
            **({"description": doc} if (doc := item.metadata.get("doc")) else {}),
        }
        for item in dataclasses.fields(schema)
    }
    return {"type": "object", "description": schema.__doc__, "properties": properties, "additionalProperties": False}


def _json_type(hint: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _object(hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return {"anyOf": [_json_type(option) for option in inner]}
    if origin is list:
        return {"type": "array", "items": _json_type(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _json_type(inner[1])}
    names = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    return {"type": names[hint]} if hint in names else {}
