"""A row alone is read and encoded in other, quicker ways than many rows are: both give the same bits."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from automl.data.frames import to_polars
from automl.data.levels import Codes
from automl.data.numbers import Numbers
from automl.data.schema import Schema

LEVELS = ["red", "green", " blue ", "?", "", "été", "none", "7", "7.0"]


def mixed(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    colour = pd.Series(rng.choice(LEVELS, n)).where(rng.random(n) > 0.1)
    return pd.DataFrame(
        {
            "number": np.where(rng.random(n) > 0.1, rng.normal(size=n), np.nan),
            "whole": rng.integers(0, 1000, n),
            "flag": rng.random(n) > 0.5,
            "text": colour,
            "category": colour.astype("category"),
            "grade": pd.Categorical(rng.choice([1, 2, 3], n)),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, n), "D"),
        }
    )


def by_rows(frame, size, convert):
    return pl.concat([convert(frame.iloc[i : i + size]) for i in range(0, len(frame), size)])


@pytest.mark.parametrize("size", [1, 63, 64])
def test_few_rows_of_pandas_are_read_as_many_are(size):
    frame = mixed(640)
    assert by_rows(frame, size, to_polars).equals(to_polars(frame))


def test_few_rows_are_typed_as_many_are():
    frame = mixed()
    schema = Schema.infer(to_polars(frame), roles={}, drop=[], missing=[])
    whole, _ = schema.apply(to_polars(frame))
    assert by_rows(frame[:90], 1, lambda part: schema.apply(to_polars(part))[0]).equals(whole[:90])
    assert by_rows(frame, 1500, lambda part: schema.apply(to_polars(part))[0]).equals(whole)


def test_what_is_lost_is_counted_however_few_the_rows():
    frame = mixed()
    schema = Schema.infer(to_polars(frame), roles={}, drop=[], missing=[])
    for n in (1, 50, 3000):
        given = to_polars(frame[:n].assign(whole="much"))
        assert schema.apply(given)[1] == [
            f"whole: {n:,} value{'s' * (n > 1)} could not be read as a number and became missing"
        ]


@pytest.mark.parametrize("levels", [[], ["a"], ["a", "b", "c"], [str(i) for i in range(3000)]])
def test_a_level_is_found_alone_as_among_many(levels):
    rng = np.random.default_rng(0)
    train = pl.Series("c", rng.choice(levels, 4000).tolist() if levels else [None] * 4000, dtype=pl.String)
    view = Codes.fit(train, 100)
    fresh = pl.Series("c", rng.choice([*levels[:50], "unseen", "", "é"], 2500).tolist()).set(
        pl.Series(rng.random(2500) < 0.2), None
    )
    parts = [view.places(fresh[i : i + 500]) for i in range(0, 2500, 500)]
    np.testing.assert_array_equal(view.places(fresh), np.concatenate(parts))
    assert view.places(fresh).dtype == np.int64


def test_numbers_are_written_alone_as_among_many():
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "a": pl.Series(rng.normal(size=500) * 1e300).set(pl.Series(rng.random(500) < 0.2), None),
            "b": rng.normal(size=500),
            "f": pl.Series(rng.random(500) < 0.5).set(pl.Series(rng.random(500) < 0.2), None),
        }
    )
    source, whole = Numbers(["a", "b"], ["f"]), np.empty((500, 3), np.float32)
    source.fill(table, whole)
    for i in range(0, 500, 7):
        part = np.empty((len(table[i : i + 7]), 3), np.float32)
        source.fill(table[i : i + 7], part)
        np.testing.assert_array_equal(part, whole[i : i + 7])
