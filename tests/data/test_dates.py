"""Dates: parts against the standard library's calendar."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.data.dates import PARTS, Dates


def filled(dates: Dates, column: pl.Series) -> np.ndarray:
    out = np.empty((len(column), len(dates.names)))
    dates.fill(column.to_frame(), out)
    return out


SPREAD = pl.Series("t", [datetime(2000, 1, 1), datetime(2003, 7, 9, 13, 45)])


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_parts_agree_with_the_calendar(moment):
    out = filled(Dates.fit(SPREAD, cyclic=False), pl.Series("t", [moment]))[0]
    parts = dict(zip(PARTS, out, strict=True))
    assert parts.pop("elapsed") == pytest.approx((moment - datetime(2000, 1, 1)) / timedelta(days=1), abs=1e-6)
    assert parts == {
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "weekday": moment.weekday(),
        "hour": moment.hour,
        "minute": moment.minute,
        "dayofyear": moment.timetuple().tm_yday,
    }


def test_parts_that_training_rows_share_are_left_out():
    days = pl.Series("t", [datetime(2020, 5, day) for day in (4, 11, 18)])
    assert Dates.fit(days, cyclic=True).names == [
        "t:elapsed",
        "t:day",
        "t:dayofyear",
        "t:dayofyear_sin",
        "t:dayofyear_cos",
    ]
    assert Dates.fit(days[:1], cyclic=True).names == []


def test_cycles_bring_the_end_of_the_day_near_its_start():
    dates = Dates.fit(pl.Series("t", [datetime(2020, 1, 1, hour) for hour in range(24)]), cyclic=True)
    out = filled(dates, pl.Series("t", [datetime(2020, 1, 1, hour) for hour in (0, 12, 23)]))
    circle = out[:, [dates.names.index("t:hour_sin"), dates.names.index("t:hour_cos")]]
    np.testing.assert_allclose(circle[0], [0, 1], atol=1e-12)
    assert np.linalg.norm(circle[0] - circle[2]) < 0.3 < np.linalg.norm(circle[0] - circle[1])


def test_missing_moments_are_nan_in_every_part():
    out = filled(Dates.fit(SPREAD, cyclic=True), pl.Series("t", [None, datetime(2001, 1, 1)]))
    assert np.isnan(out[0]).all()
    assert np.isfinite(out[1]).all()


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_units_and_zones_of_time_do_not_matter(unit):
    dates = Dates.fit(SPREAD, cyclic=False)
    moment = datetime(2021, 3, 4, 5, 6, tzinfo=UTC)
    zoned = pl.Series("t", [moment]).dt.cast_time_unit(unit)
    plain = pl.Series("t", [moment.replace(tzinfo=None)])
    np.testing.assert_array_equal(filled(dates, zoned), filled(dates, plain))
