"""The registry: what the loaded plugins add, by name, and whose fault it is when what they gave does not work."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from automl import hookspecs
from automl.errors import AutoMLError, ConfigError, ContractError, nearest, one_line
from automl.faces import Exporter, Section, Verb
from automl.family import Family

if TYPE_CHECKING:
    from automl.data.read import Reader
    from automl.data.split import SplitKind
    from automl.data.views import ViewKind
    from automl.execute import ExecutorKind
    from automl.metrics import Metric

GROUP = "automl"
"""The entry points of plugins, and the marks of their hooks."""

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


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


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
    manager: pluggy.PluginManager = field(default_factory=_manager)

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

    def implementations(self, hook: str, plugin: str | None = None) -> list[pluggy.HookImpl]:
        """What implements a hook, of one plugin or of all, as they were loaded."""
        found = getattr(self.manager.hook, hook).get_hookimpls()
        return [one for one in found if plugin in (None, one.plugin_name)]

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
                f"plugin {plugin!r}, hook automl_{kind}, {KINDS[kind][0]} {name!r}: {one_line(error)} "
                f"({last.filename}:{last.lineno}); mend it, or leave it out by plugins.deny=[{plugin}]"
            ) from error

    def emit(self, event: str, **facts: Any) -> list[str]:
        """Tell every plugin of an event of a run; what a listener raises is returned as text, not raised."""
        trouble = []
        for listener in self.implementations(f"automl_{event}"):
            try:
                listener.function(**{name: facts[name] for name in listener.argnames})
            except (Exception, SystemExit) as error:
                plugin = listener.plugin_name
                trouble.append(
                    f"plugin {plugin!r}, hook automl_{event}: {one_line(error)}; "
                    f"the run goes on; mend it, or leave it out by plugins.deny=[{plugin}]"
                )
        return trouble
