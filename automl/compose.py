"""Compose: one typed config for a run out of conf/, the plugins, a file and overrides; errors to act on."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from automl.config import Config, FamilyConf, PluginsConf, check, keys
from automl.errors import ConfigError, RefusedError, nearest
from automl.family import FACTS
from automl.plugins import installed
from automl.registry import Registry
from automl.words import shorthand

NAME = "automl"  # the primary config: conf/automl.yaml


def compose(overrides: Sequence[str] = (), *, config: str | Path | Mapping[str, Any] | None = None) -> Config:
    """Compose the config of one run: the installed defaults, then `config`, then `overrides`.

    Parameters
    ----------
    overrides : Hydra overrides, e.g. ``["budget=1m", "family.NAME.space.PARAM={int: [4, 64]}"]``.
    config : a YAML file (the `config.yaml` of a run, for one) or a mapping, laid over the defaults.

    Raises
    ------
    ConfigError : an unknown key or option, or a value of the wrong type; the message has the nearest right one.
    RefusedError : the config names a Python object to import (`_target_`).
    """
    said = tuple(shorthand(overrides))
    if config is not None:
        return typed(load(said, give(config, said)))
    with explained(said):
        registry = registry_for(said)
    return typed(_loaded(said, registry))


@lru_cache(maxsize=32)  # a grid search or a cross-validation composes the same again and again
def _loaded(overrides: tuple[str, ...], _registry: Registry) -> Any:
    return load(overrides)


def load(overrides: Sequence[str], name: str = NAME, *, sweep: bool = False, config_dir: str | None = None) -> Any:
    """The composed config with Hydra's own node, before it is typed; `sweep` passes over the swept keys."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.plugins import Plugins
    from hydra.core.utils import setup_globals
    from hydra.types import RunMode

    Plugins.instance()  # registers Hydra's config sources
    setup_globals()  # and its resolvers: ${now:...}
    if config_dir is not None and not Path(config_dir).is_dir():
        raise ConfigError(f"--config-dir {config_dir}: no such folder")

    def composed() -> Any:
        path = search_path(registry, name)
        if config_dir is not None:  # where Hydra itself puts it: after the installed configs, before the schema
            path.config_search_path.insert(-1, _element("command-line", Path(config_dir).absolute().as_uri()))
        mode = RunMode.MULTIRUN if sweep else RunMode.RUN
        # The public initialize() would change Hydra's global state, which belongs to the caller's own app.
        return ConfigLoaderImpl(path).load_configuration(name, list(overrides), run_mode=mode)

    with explained(overrides):
        registry = registry_for(overrides, _given(name).get("plugins"))
        try:
            found = composed()
        except Exception:
            if not leave_out_broken(registry):
                raise
            found = composed()
    refuse_targets(found)
    return found


def leave_out_broken(registry: Registry) -> bool:
    """Leave out every plugin with a `conf/family/NAME.yaml` that says what cannot be; whether there was any."""
    broken = {plugin: said for plugin, folder in registry.conf.items() if (said := _broken_conf(registry, folder))}
    for plugin, said in broken.items():
        registry.leave_out(plugin, said)
    return bool(broken)


def _broken_conf(registry: Registry, folder: Path) -> str:
    """The first file of a plugin that cannot be used, and why, or nothing."""
    from omegaconf import OmegaConf

    for name in sorted(_confs(folder) & set(registry.families)):
        file = f"conf/family/{name}.yaml"
        try:
            said = OmegaConf.load(folder / "family" / f"{name}.yaml")
            conf: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(FamilyConf), said))
            conf.spec(name).suited(name, dict.fromkeys(FACTS, 1.0))
        except Exception as error:
            known = [item.name for item in dataclasses.fields(FamilyConf)]
            key = re.match(r"Key '([^']+)' not in", str(error))
            why = f"unknown key {key[1]!r}{nearest(key[1], known)} Known: {', '.join(known)}" if key else explain(error)
            return f"{file}: {why}"
    return ""


def typed(composed: Any) -> Config:
    """The composed config as plain typed data, without Hydra's own node."""
    from omegaconf import OmegaConf

    job = OmegaConf.create({key: value for key, value in composed.items_ex(resolve=False) if key != "hydra"})
    with explained():
        config: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), job))
    assert isinstance(config, Config)
    check(config)
    config.seconds, config.memory, config.bounds  # noqa: B018  say now, not in a minute, that a value cannot be read
    if "loss" not in (said := config.search.objectives) or len(set(said)) < len(said):
        raise ConfigError(f"search.objectives=[{','.join(said)}]: must have loss, and each objective once")
    return config


def registry_for(overrides: Sequence[str] = (), plugins: PluginsConf | Mapping[str, Any] | None = None) -> Registry:
    """The plugins that a config asks for; asked before it is composed, because plugins bring configs themselves."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    said = dataclasses.asdict(plugins) if isinstance(plugins, PluginsConf) else dict(plugins or {})
    mine = [text for text in overrides if text.lstrip("+").startswith("plugins.")]
    for override in OverridesParser.create().parse_overrides(mine):
        said[override.key_or_group.removeprefix("plugins.")] = override.value()
    allow, deny, autoload = said.get("allow"), said.get("deny") or (), said.get("autoload")
    return installed(
        None if allow is None else tuple(map(str, _listed(allow))),
        tuple(map(str, _listed(deny))),
        autoload is not False,
    )


def search_path(registry: Registry, name: str = NAME) -> Any:
    """Hydra's search path: its own configs, ours, those of the plugins, the typed schema.

    A family that the config `name` states whole, as a run's config.yaml does, stands alone: its plugin's config is not
    laid under it, or what the run had taken away would come back.
    """
    from hydra import version
    from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
    from hydra.core.config_store import ConfigStore

    version.setbase("1.3")
    store = ConfigStore.instance()
    store.store("schema", Config, provider="automl")
    whole = _whole_families(name)
    laid = [family for family in registry.families if _has_conf(registry, family) and family not in whole]
    named = [{f"family@family.{family}": family} for family in laid]
    bare: dict[str, Any] = {family: {} for family in registry.families if family not in laid}
    store.store("installed", {"defaults": [*named, "_self_"], "family": bare}, provider="automl")
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    for plugin, folder in registry.conf.items():
        path.append(plugin, folder.absolute().as_uri())
    path.append("schema", "structured://")
    return path


def give(config: str | Path | Mapping[str, Any] | None, overrides: Sequence[str] = ()) -> str:
    """Make a config file or mapping composable, and return the name that it has for Hydra.

    Where an override chooses an option of a group (`split=holdout`), the option stands in for what the config says
    of that group.

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
    chosen = {override.partition("=")[0] for override in overrides}
    said = OmegaConf.create({key: value for key, value in said.items_ex(resolve=False) if key not in _GROUPS & chosen})
    with_defaults = said if "defaults" in said else OmegaConf.merge({"defaults": [NAME, "_self_"]}, said)
    ConfigStore.instance().store(_GIVEN, with_defaults, provider="automl")
    return _GIVEN


_GIVEN = "given"
_GROUPS = {"data", "split", "search", "predictor", "executor"}


def _given(name: str) -> Mapping[str, Any]:
    """What the config that was given says, as plain data; nothing where none was."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    if name != _GIVEN:
        return {}
    said: Any = OmegaConf.to_container(ConfigStore.instance().load(f"{_GIVEN}.yaml").node, resolve=False)
    return dict(said)


def _whole_families(name: str) -> set[str]:
    """The families of which a given config says everything that there is to say."""
    families = _given(name).get("family") or {}
    wanted = {item.name for item in dataclasses.fields(FamilyConf)}
    return {family for family, said in families.items() if isinstance(said, Mapping) and wanted <= set(said)}


def refuse_targets(config: Any) -> None:
    """Refuse a config that names a Python object to import, wherever it stands.

    Hydra's own launcher and sweeper nodes are Hydra's: it accepts none but its registered plugins there.

    Raises
    ------
    RefusedError : with the key.
    """
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=False) if OmegaConf.is_config(config) else config
    for key, value in _walk(plain):
        name = key.rpartition(".")[2]
        logging = key.startswith(("hydra.job_logging.", "hydra.hydra_logging."))
        if (name in ("_target_", "()") and key not in ("hydra.launcher._target_", "hydra.sweeper._target_")) or (
            logging and name == "class" and not str(value).startswith(("logging.", "colorlog."))
        ):
            raise RefusedError(
                f"config key {key}: a config may not name a Python object to import; use a registered name"
            )


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
    cause = str(error.__cause__ or text).splitlines()[0]
    if override := getattr(error, "override", None):
        return f"{override}: not well formed ({cause}); quote lists and mappings for the shell"
    if found := re.search(r"Key '([^']+)' (?:is )?not in '?([\w.]+)", text + cause):
        inside = _prefix(found[2])
        asked = re.search(r"Could not override '([^'@]+)", text)
        return _unknown_key(asked[1] if asked else f"{inside}{found[1]}")
    if found := re.search(
        r"Could not find '([^']+)'\s*Available options in '[^']+':(.*?)(?:\n\s*\n|Config search|$)", text, re.DOTALL
    ):
        options, is_data = found[2].split(), found[1].startswith("data/")
        group, option = found[1].split("/", 1) if is_data else found[1].rpartition("/")[::2]
        said = f"{group}={option}: no such option{nearest(option, options)} Options: {', '.join(options)}"
        hint = f". A file has no key before it: automl fit {option} target=COLUMN"
        return said + hint * (is_data and not option.isidentifier())
    if found := re.search(r"Could not override '([^'@]+)", text):
        return _unknown_key(found[1])
    if "does not support sweep type" in text:
        return "Hydra's own sweeper takes lists, choices and ranges; an interval needs hydra/sweeper=automl"
    if found := re.search(r"Ambiguous value for argument '(.+?)'\n", text):
        return f"{found[1]}: several values; a sweep over them needs -m, a list is key=[a,b]"
    if found := re.search(r"Cannot find primary config '([^']+)'", text):
        return f"no config {found[1]!r} in the config folders; check --config-name and --config-dir"
    if found := re.search(r"Error merging override (.+)", text):
        said = found[1].lstrip("+~")
        if re.match(r"family\.\w+[.=]", said) and "FamilyConf" in cause:
            names = registry_for().families
            name = said.split(".")[1].split("=")[0]
            if name not in names:
                return f"family.{name}: no such family{nearest(name, names)} Installed: {', '.join(sorted(names))}"
        return f"{said}: {_wrong_type(cause)}"
    full_key = getattr(error, "full_key", None)
    return f"{full_key}: {_wrong_type(cause)}" if full_key else cause


def _unknown_key(key: str) -> str:
    if key == "experiment":
        return (
            "experiment: no config folder has that experiment/NAME.yaml (give yours by --config-dir FOLDER), "
            "or its first line is not `# @package _global_`"
        )
    known = [name for name in keys() if name != key]
    if found := re.match(r"(family\.\w+\.)(\w+)", key):
        known = [f"{found[1]}{item.name}" for item in dataclasses.fields(FamilyConf)]
        key = found[0]
    last = {name.split(".")[-1]: name for name in known}
    hint = nearest(key, known, none="") or nearest(last.get(key.split(".")[-1], key), known)
    return f"unknown config key {key!r}{hint} `automl config` prints every key."


def _prefix(schema: str) -> str:
    """Where in the tree a schema class stands: `DataConf` is at `data.`."""
    hints = typing.get_type_hints(Config)
    return next((f"{name}." for name, hint in hints.items() if getattr(hint, "__name__", "") == schema), "")


def shipped_family(registry: Registry, name: str) -> dict[str, Any]:
    """What the plugin's own `conf/family/NAME.yaml` says of a family, as plain data."""
    from omegaconf import OmegaConf

    folder = next((folder for folder in registry.conf.values() if name in _confs(folder)), None)
    said: Any = OmegaConf.to_container(OmegaConf.load(folder / "family" / f"{name}.yaml")) if folder else {}
    return said or {}


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


def _walk(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key of a tree, with its value."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in items:
        yield f"{prefix}{key}", value
        yield from _walk(value, f"{prefix}{key}.")


def _wrong_type(text: str) -> str:
    found = re.search(r"Value '(.*)' of type '(\w+)' could not be converted to (\w+)", text)
    return f"{found[1]!r} is no {found[3].lower()}" if found else text
