"""What cores and a time budget carry: how many fits side by side, with how many cores each, and how many folds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from automl.config import Config, ExecutorConf, SplitConf
from automl.data.split import usual_folds
from automl.family import FamilySpec
from automl.machine import cores
from automl.search.cost import prior

_LARGE = 5_000_000  # cells of a table whose fits have all cores each; of smaller ones, some run side by side
_SMALL = 300_000  # cells for which a fit makes good use of one core, and of no second one
_FIT_SECONDS = 0.15  # of any fit, however small: views, predictions, saving
_START = 2.0  # seconds until the first trial
_SHARE, _SHARE_OF_FEW = 0.6, 1.25  # of the time from there on, for the first candidates of the quicker families
_FEW_ROWS, _SCARCE_ROWS = 2000, 500  # of scarce rows, those of a holdout say nothing
_FEWER = (5, 3, 1)  # two would train on half of the rows
_MORE, _SHARE_OF_MORE = (8, 5, 3), 0.1  # where a long time makes them cheap


def shared(said: ExecutorConf, cells: int, folds: int) -> tuple[int, int]:
    """How many fits run side by side, and the cores of each, for a table of so many cells.

    A second core makes no fit twice as quick, and a second fit always takes one. But large fits side by side take
    memory, and each of them takes long: where a trial is one fit, time is short, and the sooner it ends the better.
    """
    total = _total(said)
    share = round(total * cells / _LARGE) if folds > 1 else math.ceil(cells / _SMALL)
    threads = said.threads or max(1, min(total, total // said.slots if said.slots else share))
    return said.slots or max(1, total // threads), threads


def carried(
    config: Config, specs: Mapping[str, FamilySpec], rows: int, columns: int, classes: int
) -> tuple[SplitConf, str]:
    """The split with as many folds as the time budget carries, where the config leaves them open; and why.

    It carries them if the first candidates of the quicker half of the families take at most so much of it, by their
    cost priors. More than are usual for so many rows must cost next to nothing: models that learn from 7/8 of the rows
    are better ones, but so are many candidates. Of few rows none can be spared: there 5 folds or 3 may take more.
    """
    said = config.split
    usual = usual_folds(said, rows)
    if usual is None or config.budget.trials is not None:
        return said, ""
    costs = sorted(_FIT_SECONDS + prior(spec, rows, columns, classes) for spec in specs.values())
    a_fold = sum(costs[: (len(costs) + 1) // 2]) / _total(config.executor)
    few = (rows < _FEW_ROWS) * _FEWER[0]
    seconds = max(0.0, config.seconds - _START)
    if more := [k for k in _MORE if k > usual and k * a_fold <= _SHARE_OF_MORE * seconds]:
        return replace(said, folds=more[0]), f"{config.seconds:g} s carry more folds than the usual {usual}"
    tried = [k for k in (usual, *_FEWER) if k <= usual and (k > 1 or rows >= _SCARCE_ROWS)]
    fits = [k for k in tried if k * a_fold <= (_SHARE_OF_FEW if k <= few else _SHARE) * seconds]
    folds = (fits or tried[-1:])[0]
    if folds == usual:
        return said, ""
    return replace(said, folds=folds), f"{usual} folds would take too much of {config.seconds:g} s"


def _total(said: ExecutorConf) -> int:
    return said.cores or cores()
