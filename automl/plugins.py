"""Find the plugins, allow or deny them, load each in isolation, and collect what they add."""

from __future__ import annotations

import inspect
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from automl import hookspecs
from automl.errors import AutoMLError, ConfigError, ContractError, nearest
from automl.faces import Exporter, Section, Verb
from automl.family import Family

if TYPE_CHECKING:
    from automl.data.read import Reader
    from automl.data.split import SplitKind
    from automl.data.views import ViewKind
    from automl.execute import ExecutorKind
    from automl.metrics import Metric

GROUP = "automl"
# The core's own metrics, readers, splits, views, executors, exporters and configs come through the hooks too.
CORE = (
    *("automl.config", "automl.metrics", "automl.data.read", "automl.data.split", "automl.data.views"),
    *("automl.execute", "automl.archive"),
)

API = 1
"""The contract between automl and its plugins; a plugin says which one it was written for: `automl_api = 1`."""


@dataclass
class Plugin:
    """One plugin and what became of it: `state` is loaded, failed or denied."""

    name: str
    module: str
    distribution: str = ""
    version: str = ""
    state: str = "loaded"
    reason: str = ""
    seconds: float = 0.0
    adds: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Registry:
    """What the loaded plugins add, by name."""

    plugins: dict[str, Plugin] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    views: dict[str, ViewKind] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    splits: dict[str, SplitKind] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    executors: dict[str, ExecutorKind] = field(default_factory=dict)
    exporters: dict[str, Exporter] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)
    verbs: dict[str, Verb] = field(default_factory=dict)
    conf: dict[str, Path] = field(default_factory=dict)
    manager: pluggy.PluginManager = field(default_factory=lambda: _manager())

    def family(self, name: str) -> Family:
        """The family of that name.

        Raises
        ------
        ConfigError : there is none; the message names the nearest, and why a failed plugin may have had it.
        """
        if name not in self.families:
            hint = nearest(name, self.families)
            raise ConfigError(f"unknown family {name!r}{hint} {self.failures()}".rstrip())
        return self.families[name]

    def select(self, wanted: Sequence[str] | None, kind: str) -> list[Family]:
        """The families for a task kind, out of those wanted by family name or plugin name (all if None).

        Raises
        ------
        ConfigError : an unknown name, a family that cannot learn this kind or lacks a library, or an empty list.
        """
        if wanted is None:
            usable = [f for f in self.families.values() if kind in f.tasks and not f.missing]
            if not usable:
                raise ConfigError(f"no installed family can learn a {kind} task. {self.failures()}".rstrip())
            return usable
        chosen: dict[str, Family] = {}
        for name in wanted:
            of_plugin = [f for f in self.families.values() if f.plugin == name]
            if name not in self.families and not of_plugin:
                names = {*self.families, *(f.plugin for f in self.families.values())}
                raise ConfigError(
                    f"families: unknown family {name!r}{nearest(name, names)} "
                    f"Installed: {', '.join(sorted(names))}. {self.failures()}".rstrip()
                )
            group = of_plugin if name not in self.families else [self.families[name]]
            able = [f for f in group if kind in f.tasks]
            if not able:
                raise ConfigError(
                    f"families: {name!r} cannot learn a {kind} task; it can: {', '.join(sorted(group[0].tasks))}"
                )
            lacking = [f for f in able if f.missing]
            if len(lacking) == len(able):
                missing, plugin = lacking[0].missing, self.plugins[lacking[0].plugin]
                wanted = f"'automl[{plugin.name}]'" if plugin.distribution == "automl" else " ".join(missing)
                raise ConfigError(
                    f"families: {name!r} needs {', '.join(missing)}, which is not installed: pip install {wanted}"
                )
            chosen.update({f.name: f for f in able if not f.missing})
        if not chosen:
            raise ConfigError("families=[]: name at least one family")
        return list(chosen.values())

    def leave_out(self, name: str, reason: str) -> None:
        """Take back all that a plugin adds: it is as one that failed to load."""
        plugin = self.plugins[name]
        for kind, (word, _) in KINDS.items():
            held = getattr(self, kind)
            for item in [added.removeprefix(f"{word} ") for added in plugin.adds if added.startswith(f"{word} ")]:
                del held[item]
        plugin.adds.clear()
        plugin.state, plugin.reason = "failed", reason
        self.conf.pop(name, None)
        self.manager.unregister(name=name)

    def failures(self) -> str:
        """One sentence on the plugins that failed to load, or nothing."""
        failed = [f"{p.name} ({p.reason})" for p in self.plugins.values() if p.state == "failed"]
        return f"Plugins that failed to load: {'; '.join(failed)}." if failed else ""

    def giver(self, kind: str, name: str) -> str:
        """The plugin that gives the thing of that kind and name; the core's own start with `core`."""
        said = f"{KINDS[kind][0]} {name}"
        return next((plugin.name for plugin in self.plugins.values() if said in plugin.adds), "core")

    @contextmanager
    def calling(self, kind: str, name: str) -> Iterator[None]:
        """Within this block what a plugin gave is called, and it is to blame for what is raised.

        Raises
        ------
        ContractError : what was raised, unless it is an error for a person already; with plugin, hook and place.
        """
        try:
            yield
        except (AutoMLError, BrokenPipeError):
            raise
        except Exception as error:
            plugin, last = self.giver(kind, name), traceback.extract_tb(error.__traceback__)[-1]
            if plugin.startswith("core"):
                raise
            raise ContractError(
                f"plugin {plugin!r}, hook automl_{kind}, {KINDS[kind][0]} {name!r}: {_said(error)} "
                f"({last.filename}:{last.lineno}); mend it, or leave it out by plugins.deny=[{plugin}]"
            ) from error

    def emit(self, event: str, **facts: Any) -> list[str]:
        """Tell every plugin of an event of a run; what a listener raises is returned as text, not raised."""
        trouble = []
        for plugin, function in _implementations(self.manager, f"automl_{event}"):
            accepted = function.argnames
            try:
                function.function(**{name: facts[name] for name in accepted})
            except (Exception, SystemExit) as error:
                trouble.append(
                    f"plugin {plugin!r}, hook automl_{event}: {_said(error)}; "
                    f"the run goes on; mend it, or leave it out by plugins.deny=[{plugin}]"
                )
        return trouble


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
        _add(registry, Plugin(module.replace("automl.", "core."), module), _importer(module))
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
        _add(registry, plugin, _loader(point))
    _drop_those_without_view(registry)
    return registry


def _importer(module: str) -> Callable[[], Any]:
    import importlib

    return lambda: importlib.import_module(module)


def _loader(point: EntryPoint) -> Callable[[], Any]:
    return point.load


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _implementations(manager: pluggy.PluginManager, hook: str) -> Iterator[tuple[str, pluggy.HookImpl]]:
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        yield implementation.plugin_name, implementation


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
        listens = [event for event in EVENTS if any(_of(registry.manager, plugin, event))]
        if conf is None and not listens and not any(added.values()):
            raise ConfigError("it adds nothing: it has no function with @hookimpl and no folder conf beside it")
    except Exception as error:
        plugin.state, plugin.reason = "failed", _said(error)
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


KINDS = {
    "families": ("family", "Family"),
    "views": ("view", "ViewKind"),
    "metrics": ("metric", "Metric"),
    "splits": ("split", "SplitKind"),
    "readers": ("reader", "Reader"),
    "executors": ("executor", "ExecutorKind"),
    "exporters": ("exporter", "Exporter"),
    "sections": ("section", "Section"),
    "verbs": ("verb", "Verb"),
}
"""What plugins add: the hook `automl_X` gives, and the registry holds by name, so called objects of this type."""

EVENTS = tuple(
    name
    for name, hook in vars(hookspecs).items()
    if inspect.isfunction(hook) and name.startswith(("automl_run_", "automl_trial_"))
)
"""The hooks that hear of a run."""


def _said(error: BaseException) -> str:
    """An error in one line: its type, unless automl raised it for a person, and its message."""
    text = " ".join(str(error).split())
    return text if isinstance(error, AutoMLError) else f"{type(error).__name__}: {text}"


def _import(plugin: Plugin, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (Exception, SystemExit) as error:  # whatever a third party's module may raise, or a script that ends
        raise ConfigError(
            f"{plugin.module} cannot be imported: {_said(error)}; install what it lacks or mend it, "
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


def _of(manager: pluggy.PluginManager, plugin: Plugin, hook: str) -> Iterator[pluggy.HookImpl]:
    return (implementation for name, implementation in _implementations(manager, hook) if name == plugin.name)


def _call(registry: Registry, plugin: Plugin, kind: str) -> list[Any]:
    hook, wanted = f"automl_{kind}", KINDS[kind][1]
    items: list[Any] = []
    for implementation in _of(registry.manager, plugin, hook):
        try:
            given = implementation.function()
            listed = list(given) if isinstance(given, Iterable) else None
        except (Exception, SystemExit) as error:
            raise ConfigError(f"hook {hook}: {_said(error)}") from error
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
    for implementation in _of(registry.manager, plugin, "automl_conf"):
        folder = Path(str(implementation.function()))
        if not folder.is_dir():
            raise ConfigError(f"hook automl_conf gave {folder}, which is no folder")
        return folder
    beside = Path(module.__file__).parent / "conf" if getattr(module, "__file__", None) else None
    return beside if beside and beside.is_dir() and plugin.module not in CORE else None
