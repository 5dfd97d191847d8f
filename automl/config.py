"""The declarative surface: the typed schema of conf/, where each conf folder lies, and composing one config for a run."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from automl.errors import ConfigError, RefusedError, nearest
from automl.family import FamilySpec
from automl.hookspecs import hookimpl
from automl.plugins import Registry, installed
from automl.space import parse

NAME = "automl"  # the primary config: conf/automl.yaml


def _key(doc: str) -> Any:
    """A config key: its meaning is here, its default value is in conf/."""
    return field(default=None, metadata={"doc": doc})


@dataclass
class DataConf:
    """The table and what is known of its columns."""

    path: Any = _key("file, glob or folder of Parquet files, `scheme:...` of a reader, or a list of files")
    target: str | None = _key("the named example's target; say `target=` for your own")
    roles: dict[str, str] = field(default_factory=dict, metadata={"doc": "column: role, where the inferred role is wrong"})
    drop: list[str] = field(default_factory=list, metadata={"doc": "columns to leave out"})
    missing: list[str] = field(default_factory=list, metadata={"doc": "further spellings of a missing value"})


@dataclass
class BudgetConf:
    """What a run may spend."""

    time: Any = _key("seconds, or a duration such as 90s, 1m, 1h30m; `budget=1m` is short for `budget.time=1m`")
    memory: Any = _key("bytes that one worker may use, or a size such as 4GB; null for no limit")
    trials: int | None = _key("how many trials at most; null for as many as the time allows")


@dataclass
class SplitConf:
    """Which rows train and which validate."""

    kind: str = _key("auto, holdout, kfold, repeated, group, time or column")
    folds: int | None = _key("how many folds; null to choose by the number of rows")
    repeats: int = _key("how often k-fold is repeated with another shuffle (kind: repeated)")
    fraction: float = _key("share of rows that validates (kind: holdout)")
    column: str | None = _key("the column of groups, of time, or of fold names (kinds: group, time, column)")


@dataclass
class SearchConf:
    """How candidates are proposed and blended."""

    sampler: str = _key("tpe, random, cmaes, gp or qmc: Optuna's sampler of parameters")
    portfolio: bool = _key("try the families' portfolios before any search")
    prune: float = _key("drop a trial after a fold whose score is worse than the best trial's by this share of its gain "
                        "over the baseline; 0 for never")
    ensemble: int = _key("rounds of greedy ensemble selection; 1 for the best single trial")


@dataclass
class ExecutorConf:
    """Where trials run."""

    kind: str = _key("a registered executor: local, inprocess, ...")
    slots: int = _key("trials side by side")
    threads: int | None = _key("cores for each trial; null to share the machine's among the slots")


@dataclass
class RunConf:
    """What a run leaves behind and says."""

    dir: str | None = _key("the run folder, which must not exist; null for runs/NAME-TIME")
    progress: str = _key("auto (live on a terminal, else lines), live, lines or quiet")


@dataclass
class PluginsConf:
    """Which installed plugins are loaded."""

    allow: list[str] | None = _key("load these plugins only; null for all, or for the environment's AUTOML_PLUGINS")
    deny: list[str] = field(default_factory=list, metadata={"doc": "do not load these plugins"})
    autoload: bool = _key("false loads only what `allow` names")


@dataclass
class FamilyConf:
    """What may be said about one family, and what the search may change."""

    params: dict[str, Any] = field(default_factory=dict, metadata={"doc": "parameters of its estimator, by their own names"})
    space: dict[str, Any] = field(default_factory=dict, metadata={
        "doc": "parameter: `{int: [low, high]}`, `{float: [low, high], log: true}`, `{choice: [...]}`, or a value that fixes it"})
    portfolio: list[dict[str, Any]] = field(default_factory=list, metadata={"doc": "parameter sets tried before any search, best first"})
    priority: int = field(default=50, metadata={"doc": "families of a lower number are tried first"})


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
    split: SplitConf = field(default_factory=SplitConf)
    search: SearchConf = field(default_factory=SearchConf)
    executor: ExecutorConf = field(default_factory=ExecutorConf)
    run: RunConf = field(default_factory=RunConf)
    plugins: PluginsConf = field(default_factory=PluginsConf)
    seed: int = _key("the seed of splits, search and models")

    @property
    def seconds(self) -> float:
        """The time budget in seconds."""
        return seconds(self.budget.time)

    @property
    def memory(self) -> int | None:
        """The memory limit of one worker in bytes."""
        return None if self.budget.memory is None else size(self.budget.memory)

    def family_spec(self, name: str) -> FamilySpec:
        """What this config says of a family.

        Raises
        ------
        ConfigError : a dimension of its space is not well formed.
        """
        said = self.family.get(name, FamilyConf())
        return FamilySpec(dict(said.params), parse(said.space, f"family.{name}.space"), tuple(said.portfolio), said.priority)


@hookimpl
def automl_conf() -> Path:
    """The core's own configs: `automl/conf` in a wheel, `conf` at the top of a checkout."""
    here = Path(__file__).parent
    return here / "conf" if (here / "conf").is_dir() else here.parent / "conf"


def compose(overrides: Sequence[str] = (), *, config: str | Path | Mapping[str, Any] | None = None) -> Config:
    """Compose the config of one run: the installed defaults, then `config`, then `overrides`.

    Parameters
    ----------
    overrides : Hydra overrides, e.g. ``["budget=1m", "family.lightgbm.space.num_leaves={int: [4, 64]}"]``.
    config : a YAML file (the `config.yaml` of a run, for one) or a mapping, laid over the defaults.

    Raises
    ------
    ConfigError : an unknown key or option, or a value of the wrong type; the message has the nearest right one.
    RefusedError : the config names a Python object to import (`_target_`).
    """
    return typed(load(shorthand(overrides), give(config)))


def load(overrides: Sequence[str], name: str = NAME, *, sweep: bool = False, config_dir: str | None = None) -> Any:
    """The composed config with Hydra's own node, before it is typed; `sweep` passes over the swept keys."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.types import RunMode

    with explained(overrides):
        path = search_path(registry_for(overrides))
        if config_dir is not None:
            path.config_search_path.insert(1, _element("command-line", Path(config_dir).absolute().as_uri()))
        mode = RunMode.MULTIRUN if sweep else RunMode.RUN
        # The public initialize() would put one config folder into Hydra's global state, which belongs to the caller's own app.
        composed = ConfigLoaderImpl(path).load_configuration(name, list(overrides), run_mode=mode)
    refuse_targets(composed)
    return composed


def typed(composed: Any) -> Config:
    """The composed config as plain typed data, without Hydra's own node."""
    from omegaconf import OmegaConf

    job = OmegaConf.create({key: value for key, value in composed.items_ex(resolve=False) if key != "hydra"})
    with explained():
        config: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), job))
    config.seconds, config.memory  # noqa: B018  say now, not in a minute, that a value cannot be read
    assert isinstance(config, Config)
    return config


def registry_for(overrides: Sequence[str] = (), plugins: PluginsConf | None = None) -> Registry:
    """The plugins that a config asks for; asked of the overrides first, because plugins bring configs themselves."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    said: dict[str, Any] = {} if plugins is None else dataclasses.asdict(plugins)
    mine = [text for text in overrides if text.lstrip("+").startswith("plugins.")]
    for override in OverridesParser.create().parse_overrides(mine):
        said[override.key_or_group.removeprefix("plugins.")] = override.value()
    allow, deny, autoload = said.get("allow"), said.get("deny") or (), said.get("autoload")
    return installed(
        None if allow is None else tuple(map(str, _listed(allow))), tuple(map(str, _listed(deny))), autoload is not False
    )


def search_path(registry: Registry) -> Any:
    """Hydra's search path: its own configs, ours, those of the plugins, the typed schema."""
    from hydra import version
    from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
    from hydra.core.config_store import ConfigStore

    version.setbase("1.3")
    store = ConfigStore.instance()
    store.store("schema", Config, provider="automl")
    named = [{f"family@family.{name}": name} for name in registry.families if _has_conf(registry, name)]
    bare = {name: {} for name in registry.families if not _has_conf(registry, name)}
    store.store("installed", {"defaults": [*named, "_self_"], "family": bare}, provider="automl")
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    for plugin, folder in registry.conf.items():
        path.append(plugin, folder.absolute().as_uri())
    path.append("schema", "structured://")
    return path


def give(config: str | Path | Mapping[str, Any] | None) -> str:
    """Make a config file or mapping composable, and return the name that it has for Hydra.

    Raises
    ------
    ConfigError : the file does not exist or is not a YAML mapping.
    """
    if config is None:
        return NAME
    from hydra.core.config_store import ConfigStore
    from omegaconf import DictConfig, OmegaConf

    if isinstance(config, str | Path):
        try:
            said = OmegaConf.load(config)
        except FileNotFoundError:
            raise ConfigError(f"config file {str(config)!r} does not exist") from None
        except Exception as error:
            raise ConfigError(f"config file {str(config)!r} is not YAML: {error}") from error
    else:
        said = OmegaConf.create(dict(config))
    if not isinstance(said, DictConfig):
        raise ConfigError(f"config {str(config)!r} must be a mapping of config keys, not a list")
    refuse_targets(said)
    with_defaults = said if "defaults" in said else OmegaConf.merge({"defaults": [NAME, "_self_"]}, said)
    ConfigStore.instance().store("given", with_defaults, provider="automl")
    return "given"


_OPEN = re.compile(r"(family\.\w+\.(params|space)|data\.roles)\.")


def shorthand(overrides: Iterable[str]) -> list[str]:
    """Overrides as Hydra wants them: `budget=1m` is `budget.time=1m`, and keys that are open to new names need no `+`."""
    full = []
    for text in overrides:
        if text.startswith("budget="):
            text = f"budget.time={text.removeprefix('budget=')}"
        elif _OPEN.match(text):
            text = f"++{text}"
        full.append(text)
    return full


def refuse_targets(config: Any) -> None:
    """Refuse a config that names a Python object to import, wherever it stands.

    Hydra's own launcher and sweeper nodes are Hydra's: it accepts none but its registered plugins there.

    Raises
    ------
    RefusedError : with the key.
    """
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=False) if OmegaConf.is_config(config) else config
    for key in _paths(plain):
        if key.split(".")[-1] in ("_target_", "()") and key not in ("hydra.launcher._target_", "hydra.sweeper._target_"):
            raise RefusedError(f"config key {key}: a config may not name a Python object to import; use a registered name")


class explained:  # noqa: N801  a with-statement reads as a word
    """Turn what Hydra and OmegaConf raise into a `ConfigError` with the nearest right key or option."""

    def __init__(self, overrides: Sequence[str] = ()) -> None:
        self.overrides = overrides

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        if isinstance(error, HydraException | OmegaConfBaseException):
            raise ConfigError(explain(error)) from error


def explain(error: BaseException) -> str:
    """One clear sentence for an error of Hydra's or OmegaConf's."""
    text = str(error)
    if found := re.search(r"Could not override '([^']+)'", text):
        key = found[1].split("@")[0]
        cause = str(error.__cause__ or "").splitlines()
        if cause and "not in" not in cause[0]:
            return f"{key}: {_wrong_type(cause[0])}"
        return f"unknown config key {key!r}{nearest(key, keys())} `automl config` prints every key."
    if found := re.search(r"Could not find '([^']+)'\s*Available options in '[^']+':\s*(.*)", text, re.DOTALL):
        group, _, option = found[1].rpartition("/")
        options = found[2].split()
        return f"{group}={option}: no such option{nearest(option, options)} Options: {', '.join(options)}"
    if found := re.search(r"Cannot find primary config '([^']+)'", text):
        return f"no config {found[1]!r} in the config folders; check --config-name and --config-dir"
    if found := re.search(r"Error merging override (.+)", text):
        return f"{found[1]}: {_wrong_type(str(error.__cause__ or text).splitlines()[0])}"
    full_key = getattr(error, "full_key", None)
    if full_key and "not in" in text:
        return f"unknown config key {full_key!r}{nearest(full_key, keys())} `automl config` prints every key."
    head = " ".join(line.strip() for line in text.splitlines()[:2])
    return f"{full_key}: {_wrong_type(head)}" if full_key else head


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


_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "b": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4, "ki": 1024, "mi": 1024**2, "gi": 1024**3, "ti": 1024**4}


def seconds(said: Any) -> float:
    """Seconds from a number or a duration such as `90`, `1m`, `1h30m`.

    Raises
    ------
    ConfigError : no duration, or not above zero.
    """
    text = str(said).strip().lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|[smhd]?)", text)
    if not parts or "".join(n + u for n, u in parts) != text.replace(" ", ""):
        raise ConfigError(f"budget.time={said}: not a duration; say seconds (90) or 90s, 1m, 1h30m")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if total <= 0:
        raise ConfigError(f"budget.time={said}: must be above zero")
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


@cache
def _confs(folder: Path) -> frozenset[str]:
    return frozenset(file.stem for file in (folder / "family").glob("*.yaml"))


def _has_conf(registry: Registry, family: str) -> bool:
    return any(family in _confs(folder) for folder in registry.conf.values())


def _element(provider: str, path: str) -> Any:
    from hydra.core.config_search_path import SearchPathElement

    return SearchPathElement(provider, path)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _paths(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _paths(value, f"{prefix}{key}.")
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from _paths(value, f"{prefix}{i}.")


def _wrong_type(text: str) -> str:
    found = re.search(r"Value '(.*)' of type '(\w+)' could not be converted to (\w+)", text)
    return f"{found[1]!r} is no {found[3].lower()}" if found else text


def _object(schema: type) -> dict[str, Any]:
    hints = typing.get_type_hints(schema)
    properties = {
        item.name: {**_json_type(hints[item.name]), **({"description": doc} if (doc := item.metadata.get("doc")) else {})}
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
