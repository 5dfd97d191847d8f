"""What a plan decides before the first trial."""

import numpy as np
import pandas as pd
import pytest

from automl.compose import compose
from automl.plan import plan

KFOLD = ["split=kfold", "split.folds=3"]
SMALL, HALF, LARGE = 100, 250_000, 600_000  # rows of ten columns


@pytest.mark.parametrize(
    ("said", "rows", "slots", "threads"),
    [
        (["executor.cores=4"], SMALL, 4, 1),
        (["executor.cores=4"], HALF, 2, 2),
        (["executor.cores=4"], LARGE, 1, 4),
        (["executor.cores=1"], LARGE, 1, 1),
        (["executor.cores=2"], SMALL, 2, 1),
        (["executor.cores=4", "executor.slots=2"], SMALL, 2, 2),
        (["executor.cores=4", "executor.threads=2"], SMALL, 2, 2),
        (["executor.cores=2", "executor.threads=4"], SMALL, 1, 4),
        (["executor.slots=3", "executor.threads=5"], SMALL, 3, 5),
        (["executor.cores=4", "split=holdout", "split.folds=null"], SMALL, 4, 1),
        (["executor.cores=4", "split=holdout", "split.folds=null"], HALF // 5, 2, 2),
        (["executor=inprocess", "executor.cores=4"], SMALL, 1, 4),
    ],
)
def test_slots_and_threads_together_are_the_cores(said, rows, slots, threads):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(rows, 10)).round(1)).add_prefix("x")
    planned = plan(compose(["target=y", "task=regression", *KFOLD, *said]), table.assign(y=table.x0 + table.x1))
    assert (planned.slots, planned.threads) == (slots, threads)
