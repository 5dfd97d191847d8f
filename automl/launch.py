"""The verb `fit`: one run, or a sweep of them by Hydra."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.errors import ConfigError
from automl.words import shorthand, with_data

if TYPE_CHECKING:
    import argparse

    from automl.config import Config
    from automl.run import Run


def launch(arguments: list[str]) -> int:
    """Learn; a plain run has its workers loaded while its config is composed."""
    from automl.execute.local import warm_for

    began = time.monotonic()
    plain = all(not word.startswith("-") or word in ("-q", "--quiet") for word in arguments)
    with warm_for(arguments) if plain else nullcontext():
        return _compose_and_run(arguments, began)


def _compose_and_run(arguments: list[str], began: float) -> int:
    """Compose and run. What needs the whole of Hydra, such as `--help`, `--cfg` and sweeps, is handed to it."""
    from hydra._internal.utils import get_args_parser

    from automl.compose import NAME, give, load, typed

    parser = get_args_parser()
    parser.prog = "automl fit"
    parser.add_argument("--dry-run", action="store_true", help="Say what was inferred and what would run, and stop")
    parser.add_argument(
        "--config", metavar="FILE", help="A YAML file laid over the defaults, such as a run's config.yaml"
    )
    parser.add_argument("--resume", metavar="RUN", help="Go on with a run that was interrupted or killed")
    parser.add_argument("-q", "--quiet", action="store_true", help="Print nothing but errors")
    args = parser.parse_intermixed_args(arguments)
    args.overrides = shorthand(with_data(args.overrides))
    if args.resume:
        args.config = str(Path(args.resume) / "config.yaml")
        args.overrides += [f"run.dir={args.resume!r}", "run.resume=true"]
    if args.quiet:
        args.overrides += ["run.progress=quiet", *(["hydra/hydra_logging=none"] if args.multirun else [])]
    if args.dry_run and args.multirun:
        raise ConfigError("--dry-run says what one run would do; leave -m out, and name one value of each key")
    name = give(args.config, args.overrides) if args.config else args.config_name or NAME
    args.config_name = None
    asks = args.help or args.hydra_help or args.info or args.shell_completion
    hydras = asks or args.cfg or args.multirun or any(o.lstrip("+~").startswith("hydra") for o in args.overrides)
    if not asks:
        composed = load(args.overrides, name, sweep=args.multirun, config_dir=args.config_dir)
        config = typed(composed)  # what is wrong is said before Hydra says it
        if args.dry_run:
            from automl.plan import plan
            from automl.screen import show_plan, wide_console

            show_plan(wide_console(), plan(config))
            return 0
    if hydras:
        _hand_to_hydra(args, parser, name)
    else:
        _run_one(config, began)
    return 0


def _run_one(config: Config, began: float = 0.0) -> Run:
    """One run, told on screen; an interrupt is raised again once the best so far is saved."""
    from automl.fit import fit
    from automl.screen import Screen

    run = fit(config, listeners=[Screen(config)], began=began)
    if run.status == "interrupted":
        raise KeyboardInterrupt
    return run


def _job(composed: Any) -> float | None:
    """What Hydra runs, once or for each job of a sweep. Returns the loss (lower is better) for a sweeper."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from automl.compose import typed

    config, hydra = typed(composed), HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        made = Path(hydra.sweep.dir, hydra.sweep.subdir)
        with suppress(OSError):
            made.rmdir()  # Hydra has made it, and a run makes its own
        config.run.dir = str(Path(config.run.dir, str(hydra.job.num)) if config.run.dir else made)
    run = _run_one(config)
    if run.score is None:
        return None
    return -run.score if run.maximize else run.score


def _hand_to_hydra(args: argparse.Namespace, parser: argparse.ArgumentParser, name: str) -> None:
    from hydra._internal.utils import _run_hydra

    from automl.compose import explained, registry_for, search_path

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here to be explained, not to Hydra's own printing
    with explained(args.overrides):
        path = search_path(registry_for(args.overrides), name).config_search_path
        _search_path_plugin().folders = [e for e in path if e.provider not in ("hydra", "schema")]
        _run_hydra(args=args, args_parser=parser, task_function=_job, config_path=None, config_name=name)


@cache
def _search_path_plugin() -> Any:
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class AutoMLSearchPath(SearchPathPlugin):
        """Appends the config folders of core and plugins to the search path that Hydra makes for this run."""

        folders: Sequence[Any] = ()

        def manipulate_search_path(self, search_path: Any) -> None:
            for element in self.folders:
                search_path.append(element.provider, element.path)

    Plugins.instance().register(AutoMLSearchPath)
    return AutoMLSearchPath
