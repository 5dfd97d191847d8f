"""Hydra's sweeper `automl`: Optuna, by ask and tell, over any config keys and across any launcher.

    automl fit -m hydra/sweeper=automl data=digits search=tpe,random 'split.fraction=interval(0.1, 0.4)'

`a,b` and choice(...) are categories, range(...) whole numbers, interval(...) real numbers, tag(log, interval(...)) real
numbers on a log scale. What a job returns is its loss: the sweep looks for the lowest.
"""

from __future__ import annotations

import shlex
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, RangeSweep, Transformer
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

from automl.errors import ConfigError, NoModelError
from automl.search.study import SAMPLERS, check_sampler


class AutoMLSweeper(Sweeper):
    """Asks for `batch` jobs at a time, launches them side by side, tells their losses, until `trials` jobs are done."""

    def __init__(self, trials: int, batch: int, sampler: str, seed: int) -> None:
        check_sampler(sampler, where="hydra.sweeper.sampler")
        if trials < 1 or batch < 1:
            raise ConfigError(f"hydra.sweeper.trials={trials}, hydra.sweeper.batch={batch}: must be at least 1")
        self.trials, self.batch, self.sampler, self.seed = trials, batch, sampler, seed

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Called by Hydra before the sweep."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> dict[str, Any]:
        """Run the sweep; the best overrides and their loss.

        Raises
        ------
        ConfigError : no key is swept.
        NoModelError : every job failed.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        overrides = OverridesParser.create(config_loader=self.hydra_context.config_loader).parse_overrides(arguments)
        swept = {o.get_key_element(): _distribution(o) for o in overrides if o.is_sweep_override()}
        fixed = [o.input_line for o in overrides if not o.is_sweep_override()]
        if not swept:
            raise ConfigError("nothing to sweep: give some key several values (a=1,2) or a range (a='interval(0, 1)')")
        study = optuna.create_study(sampler=SAMPLERS[self.sampler].make(self.seed))
        done = 0
        while done < self.trials:
            asked = [study.ask(swept) for _ in range(min(self.batch, self.trials - done))]
            jobs = [[*fixed, *(f"{key}={value}" for key, value in trial.params.items())] for trial in asked]
            self.validate_batch_is_legal(jobs)
            for trial, job, result in zip(asked, jobs, self.launcher.launch(jobs, initial_job_idx=done), strict=True):
                loss = _loss(result)
                if loss is None:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                else:
                    study.tell(trial, loss)
                print(f"[sweep {trial.number + 1}/{self.trials}] {' '.join(job[len(fixed) :])} loss {loss}")
            done += len(asked)
        if not any(t.value is not None for t in study.trials):
            raise NoModelError("every job of the sweep failed; the messages above say why")
        best = [f"{key}={value}" for key, value in study.best_params.items()]
        print(f"best, with loss {study.best_value:.6g}:\n  automl fit {shlex.join([*fixed, *best])}")
        return {"overrides": best, "loss": study.best_value}


def _loss(result: Any) -> float | None:
    """What a job returned, or None where it raised: a sweep goes on when one of its jobs fails."""
    try:
        value = result.return_value
    except Exception as error:
        print(f"job failed: {error}")
        return None
    return None if value is None else float(value)


def _distribution(override: Override) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = override.value()
    log = "log" in getattr(values, "tags", ())
    if isinstance(values, IntervalSweep):
        return FloatDistribution(values.start, values.end, log=log)
    if isinstance(values, RangeSweep) and _counts_up(values):
        start, step = int(values.start), int(values.step)
        return IntDistribution(
            start, start + (int(values.stop) - 1 - start) // step * step, step=1 if log else step, log=log
        )
    if isinstance(values, ChoiceSweep | RangeSweep | Glob):
        return CategoricalDistribution(tuple(override.sweep_iterator(transformer=Transformer.encode)))
    raise ConfigError(f"{override.input_line}: cannot be swept")


def _counts_up(values: RangeSweep) -> bool:
    return values.step > 0 and all(float(x).is_integer() for x in (values.start, values.stop, values.step))
