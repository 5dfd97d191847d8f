"""The split keeps its distance, the view is blind to outliers, and both serve a run."""

import numpy as np
import polars as pl
import pytest

from automl import DataError, Run, Training, load
from automl.compose import compose
from automl.data.schema import Schema
from automl.fit import fit
from automl_purged.ranks import Ranks

RNG = np.random.default_rng(0)
DAYS = pl.Series("day", RNG.permutation(np.repeat(np.arange(150), 2)))
TABLE = pl.DataFrame({"day": DAYS, "x": RNG.normal(size=300), "z": RNG.normal(size=300)})
TABLE = TABLE.with_columns(y=pl.col("x").sin() + 0.01 * pl.col("day"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    said = ["target=y", "split=purged", "split.column=day", "split.folds=4", "families=[ranked_neighbors]"]
    return fit(compose([*said, "budget.trials=2", f"run.dir={folder}"]), TABLE)


def test_every_row_validates_once_and_no_neighbour_of_a_block_trains():
    from automl.plan import plan

    planned = plan(compose(["target=y", "split=purged", "split.column=day", "split.folds=4"]), TABLE)
    days = TABLE["day"].to_numpy()
    assert np.array_equal(np.sort(np.concatenate([fold.valid for fold in planned.split.folds])), np.arange(300))
    for fold in planned.split.folds:
        assert not set(days[fold.train]) & set(days[fold.valid]), "the rows of a time stay together"
        first, last = days[fold.valid].min(), days[fold.valid].max()
        assert not {first - 1, last + 1} & set(days[fold.train])
        assert len(fold.train) + len(fold.valid) >= 300 - 6


@pytest.mark.parametrize(("days", "said"), [([1, 2] * 15, "2 distinct times"), ([None] + [1.0] * 29, "missing in 1")])
def test_too_few_times_and_lost_ones_are_refused(days, said):
    table = TABLE[:30].with_columns(day=pl.Series(days))
    with pytest.raises(DataError, match=said):
        fit(compose(["target=y", "split=purged", "split.column=day"]), table)


def test_a_run_with_both_leaves_a_predictor(run):
    assert Run.open(run.folder).best.family == "ranked_neighbors"
    predicted = load(run.folder).predict(TABLE.drop("y"))
    assert np.corrcoef(predicted, TABLE["y"])[0, 1] > 0.5


def test_ranks_do_not_mind_outliers_and_travel(tmp_path):
    table = pl.DataFrame({"x": [*RNG.normal(size=99), None], "flag": [True, False] * 50, "word": ["a", "b"] * 50})
    wild = table.with_columns(pl.col("x") ** 9 * 1e6)
    made = []
    for each in (table, wild):
        schema = Schema.infer(each, roles={}, drop=[], missing=[])
        typed, _ = schema.apply(each)
        view = Ranks.fit(Training(typed, schema, np.zeros(100), 0, [], 0))
        made.append(view.transform(typed))
        view.save(tmp_path)
        assert np.array_equal(Ranks.load(tmp_path).transform(typed), made[-1])
    assert view.names == ["x", "flag"]
    assert np.array_equal(made[0][:99], made[1][:99])
