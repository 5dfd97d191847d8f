"""The kit on whole plugins: what `automl plugins --check` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from automl.compose import leave_out_broken
from automl.errors import ConfigError, nearest
from automl.plugins import installed
from automl.registry import Plugin, Registry
from automl.testing.checks import Check
from automl.testing.executors import executor_checks
from automl.testing.families import family_checks
from automl.testing.metrics import metric_checks
from automl.testing.readers import reader_checks


def check_plugins(names: Sequence[str] = ()) -> list[str]:
    """Run the kit on what plugins add, a printed line for each check; the names of those that break the contract.

    Parameters
    ----------
    names : of plugins; none for all that are not the core's own.

    Raises
    ------
    ConfigError : no such plugin is installed.
    """
    registry = installed()
    leave_out_broken(registry)
    for name in names:
        if name not in registry.plugins:
            raise ConfigError(
                f"no plugin {name!r} is installed{nearest(name, registry.plugins)} `automl plugins` lists them."
            )
    chosen = names or [name for name in registry.plugins if not name.startswith("core.")]
    return [name for name in chosen if not _is_sound(registry, registry.plugins[name])]


def _is_sound(registry: Registry, plugin: Plugin) -> bool:
    print(f"\n{plugin.name} {plugin.version} ({plugin.distribution or 'of the core'})")
    if plugin.state != "loaded":
        print(f"  {'FAILED' if plugin.state == 'failed' else plugin.state}: {plugin.reason}")
        return plugin.state != "failed"
    sound = True
    for check in _checks(registry, plugin):
        if trouble := check.trouble():
            sound = False
            print(f"  FAILED  {check}\n    " + trouble.replace("\n", "\n    "), flush=True)
        else:
            print(f"  ok      {check}", flush=True)
    return sound


def _checks(registry: Registry, plugin: Plugin) -> Iterator[Check]:
    for kind, name in (added.split(" ", 1) for added in plugin.adds):
        if kind == "family" and (missing := registry.families[name].missing):
            print(f"  left out  {name}: needs {', '.join(missing)}, which is not installed")
        elif kind == "family":
            yield from family_checks(name)
        elif kind == "metric":
            yield from metric_checks(name)
        elif kind == "reader":
            yield from reader_checks(name)
        elif kind == "executor":
            yield from executor_checks(name)
