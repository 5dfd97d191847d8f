"""Find the plugins, allow or deny them, load each in isolation, and collect what they add."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pluggy

from automl import hookspecs
from automl.errors import ConfigError, nearest, one_line
from automl.registry import GROUP, KINDS, Plugin, Registry

# The core's own metrics, readers, splits, views, executors, exporters and configs come through the hooks too.
CORE = (
    *("automl.config", "automl.metrics", "automl.data.read", "automl.data.split", "automl.data.views"),
    *("automl.execute", "automl.archive"),
)

API = 1
"""The contract between automl and its plugins; a plugin says which one it was written for: `automl_api = 1`."""

EVENTS = tuple(
    name
    for name, hook in vars(hookspecs).items()
    if inspect.isfunction(hook) and name.startswith(("automl_run_", "automl_trial_"))
)
"""The hooks that hear of a run."""


@cache
def installed(allow: tuple[str, ...] | None = None, deny: tuple[str, ...] = (), autoload: bool = True) -> Registry:
    """The registry of the installed plugins, loaded once per process for each choice of plugins.

    Parameters
    ----------
    allow : load these only; None for all. The environment variable AUTOML_PLUGINS, a comma-separated list that may be
        empty, is the default.
    deny : do not load these.
    autoload : False loads only those named by `allow`.
    """
    if allow is None and (said := os.environ.get("AUTOML_PLUGINS")) is not None:
        allow = tuple(name.strip() for name in said.split(",") if name.strip())
    if allow is None and not autoload:
        allow = ()
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    names = sorted({point.name for point in found})
    if unknown := [name for name in allow or () if name not in names]:
        raise ConfigError(
            f"plugins.allow: no plugin {unknown[0]!r} is installed{nearest(unknown[0], names)} "
            f"Installed: {', '.join(names)}"
        )
    registry = Registry()
    for module in CORE:
        _add(registry, Plugin(module.replace("automl.", "core."), module), partial(import_module, module))
    for point in found:
        plugin = Plugin(
            point.name, point.value, point.dist.name if point.dist else "", point.dist.version if point.dist else ""
        )
        denied = point.name in deny or (allow is not None and point.name not in allow)
        if same := registry.plugins.get(point.name):
            if denied or same.distribution == plugin.distribution:
                continue  # neither counts, or one distribution stands on sys.path twice
            raise ConfigError(
                f"two plugins are named {point.name!r}: {same.distribution} and {plugin.distribution}; uninstall one "
                f"of them, or leave both out by plugins.deny=[{point.name}]"
            )
        if denied:
            registry.plugins[point.name] = replace(
                plugin, state="denied", reason="not in plugins.allow or AUTOML_PLUGINS"
            )
            if point.name in deny:
                registry.plugins[point.name].reason = "in plugins.deny"
            continue
        _add(registry, plugin, point.load)
    _drop_those_without_view(registry)
    return registry


def _add(registry: Registry, plugin: Plugin, load: Callable[[], Any]) -> None:
    """Load one plugin and take in what it adds, all of it or nothing: a broken plugin must not break the others."""
    start = time.perf_counter()
    module = None
    registry.plugins[plugin.name] = plugin
    try:
        module = _import(plugin, load)
        _refuse_other_contract(plugin, module)
        _refuse_what_is_no_hook(registry.manager, module)
        registry.manager.register(module, name=plugin.name)
        registry.manager.check_pending()
        added = {kind: _call(registry, plugin, kind) for kind in KINDS}
        added["families"] = [replace(family, plugin=plugin.name) for family in added["families"]]
        for kind, items in added.items():
            _refuse_clashes(registry, plugin, kind, items)
        conf = _conf(registry, plugin, module)
        listens = [event for event in EVENTS if registry.implementations(event, plugin.name)]
        if conf is None and not listens and not any(added.values()):
            raise ConfigError("it adds nothing: it has no function with @hookimpl and no folder conf beside it")
    except Exception as error:
        plugin.state, plugin.reason = "failed", one_line(error)
        if module is not None and registry.manager.is_registered(module):
            registry.manager.unregister(module)
    else:
        for kind, items in added.items():
            getattr(registry, kind).update({item.name: item for item in items})
            plugin.adds += [f"{KINDS[kind][0]} {item.name}" for item in items]
        if conf is not None:
            registry.conf[plugin.name] = conf
            plugin.adds.append(f"configs {conf.name}")
        plugin.adds += [f"listener {event.removeprefix('automl_')}" for event in listens]
    plugin.seconds = time.perf_counter() - start


def _import(plugin: Plugin, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (Exception, SystemExit) as error:  # whatever a third party's module may raise, or a script that ends
        raise ConfigError(
            f"{plugin.module} cannot be imported: {one_line(error)}; install what it lacks or mend it, "
            f"or leave it out by plugins.deny=[{plugin.name}]"
        ) from error


def _refuse_other_contract(plugin: Plugin, module: Any) -> None:
    said = getattr(module, "automl_api", API)
    if said != API:
        newer = isinstance(said, int) and said > API
        fix = "upgrade automl" if newer else f"look for a newer version of {plugin.distribution or plugin.name}"
        raise ConfigError(f"it was written for contract automl_api = {said!r}, and this automl has {API}: {fix}")


def _refuse_what_is_no_hook(manager: pluggy.PluginManager, module: Any) -> None:
    """Functions that are meant as hooks and would not be called, or not with what they take."""
    hooks = {name: caller.spec.argnames for name, caller in vars(manager.hook).items() if caller.spec}
    for name in dir(module):
        function = inspect.getattr_static(module, name)
        said = getattr(function, f"{GROUP}_impl", None) if inspect.isroutine(function) else None
        if said is None:
            if inspect.isfunction(function) and name in hooks:
                raise ConfigError(f"{name} is not marked as a hook: write @hookimpl above it")
            continue
        hook = said.get("specname") or name
        if hook not in hooks:
            if said.get("optionalhook"):
                continue
            raise ConfigError(f"unknown hook {hook!r}{nearest(hook, hooks)} Known: {', '.join(hooks)}")
        if foreign := [word for word in _arguments(function) if word not in hooks[hook]]:
            given = ", ".join(hooks[hook]) or "nothing"
            raise ConfigError(
                f"hook {hook} takes {foreign[0]!r}, which it is not given{nearest(foreign[0], hooks[hook])} "
                f"It may take {given}"
            )


def _arguments(function: Any) -> list[str]:
    found = inspect.signature(function).parameters.values()
    return [one.name for one in found if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]


def _call(registry: Registry, plugin: Plugin, kind: str) -> list[Any]:
    hook, wanted = f"automl_{kind}", KINDS[kind][1]
    items: list[Any] = []
    for implementation in registry.implementations(hook, plugin.name):
        try:
            given = implementation.function()
            listed = list(given) if isinstance(given, Iterable) else None
        except (Exception, SystemExit) as error:
            raise ConfigError(f"hook {hook}: {one_line(error)}") from error
        if listed is None:
            raise ConfigError(f"hook {hook} must return a list or yield, not return {type(given).__name__}")
        items += listed
    for item in items:
        if wanted not in (cls.__name__ for cls in type(item).__mro__):
            raise ConfigError(f"hook {hook} must give {wanted} objects, not {type(item).__name__}")
        if not isinstance(item.name, str) or not item.name:
            raise ConfigError(f"hook {hook} gave {item!r}, which has no name")
        for part in fields(item):
            value = getattr(item, part.name)
            if str(part.type).startswith("Callable") and not callable(value):
                raise ConfigError(
                    f"hook {hook}: {KINDS[kind][0]} {item.name!r} has {part.name}={value!r}, which must be a function"
                )
    return items


def _drop_those_without_view(registry: Registry) -> None:
    """A family may eat the view of another plugin, in whatever order the two load; at the end it has to be there."""
    for family in list(registry.families.values()):
        plugin = registry.plugins[family.plugin]
        lacking = [view for view in family.views if view not in registry.views]
        if lacking and plugin.state != "failed":
            registry.leave_out(
                plugin.name,
                f"family {family.name!r} eats the view {lacking[0]!r}, which no plugin gives"
                f"{nearest(lacking[0], registry.views)} Known: {', '.join(registry.views)}",
            )


def _refuse_clashes(registry: Registry, plugin: Plugin, kind: str, items: Sequence[Any]) -> None:
    names = [item.name for item in items]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"hook automl_{kind} gives {KINDS[kind][0]} {min(twice)!r} twice")
    for name in names:
        if name in getattr(registry, kind):
            other = registry.giver(kind, name)
            raise ConfigError(
                f"hook automl_{kind}: {KINDS[kind][0]} {name!r} is already given by plugin {other!r}; "
                f"choose one with plugins.deny=[{other}] or plugins.deny=[{plugin.name}]"
            )
    for reader in items if kind == "readers" else ():
        for known in registry.readers.values():
            if shared := [*{*reader.suffixes} & {*known.suffixes}, *{*reader.schemes} & {*known.schemes}]:
                raise ConfigError(
                    f"hook automl_readers: {min(shared)!r} of reader {reader.name!r} is already read by "
                    f"{known.name!r}; give it a suffix or a scheme of its own"
                )


def _conf(registry: Registry, plugin: Plugin, module: Any) -> Path | None:
    for implementation in registry.implementations("automl_conf", plugin.name):
        folder = Path(str(implementation.function()))
        if not folder.is_dir():
            raise ConfigError(f"hook automl_conf gave {folder}, which is no folder")
        return folder
    beside = Path(module.__file__).parent / "conf" if getattr(module, "__file__", None) else None
    return beside if beside and beside.is_dir() and plugin.module not in CORE else None
