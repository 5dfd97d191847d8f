"""What the user says of a column decides what the views make of it, and a word that cannot be meant is refused."""

import numpy as np
import polars as pl
import pytest

from automl.compose import compose
from automl.data.schema import ROLES, Schema
from automl.data.views import fit_view
from automl.errors import ConfigError
from automl.plan import plan

N = 40
TABLE = pl.DataFrame(
    {
        "x": [20240101 + i % 20 for i in range(N)],
        "flag": [i % 2 for i in range(N)],
        "other": [0.5 * (i % 7) for i in range(N)],
        "y": [float(i % 7 + i % 2) for i in range(N)],
        "w": [1.0 + i % 3 for i in range(N)],
    }
)

SEEN = {
    "numeric": ["x"],
    "category": ["x"],
    "text": ["x:length", "x:words"],
    "datetime": ["x:elapsed", "x:day", "x:weekday", "x:dayofyear"],
    "id": [],
    "constant": [],
    "ignored": [],
}


@pytest.mark.parametrize("role", SEEN)
def test_each_role_gives_the_columns_that_it_promises(role):
    schema = Schema.infer(TABLE.select("x", "other"), roles={"x": role}, drop=[], missing=[])
    table, _ = schema.apply(TABLE)
    view = fit_view("codes", table, schema)
    assert [name for name in view.names if name.startswith("x") and ":svd" not in name] == SEEN[role]
    assert view.names[0] == ("x" if role == "numeric" else "other")
    first = {"numeric": 20240101, "category": 0, "text": 8, "datetime": 0}.get(role)
    if first is not None:
        assert view.transform(table)[0, view.names.index(SEEN[role][0])] == np.float32(first)
    assert bool(view.categories) == (role == "category")
    for kind in ("encoded", "dense", "frame"):
        other = fit_view(kind, table, schema, np.arange(N) % 2, 2)
        assert any(name.startswith("x") for name in other.names) == bool(SEEN[role])


def test_numbers_can_be_true_or_false():
    schema = Schema.infer(TABLE.select("flag", "other"), roles={"flag": "boolean"}, drop=[], missing=[])
    table, _ = schema.apply(TABLE)
    assert table["flag"].dtype == pl.Boolean
    view = fit_view("codes", table, schema)
    assert view.transform(table)[:2, view.names.index("flag")].tolist() == [0, 1]
    assert SEEN.keys() | {"boolean"} == set(ROLES)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("data.roles.y=numeric", "data.roles: 'y' is the target and no feature"),
        ("data.drop=[y]", "data.drop: 'y' is the target and no feature"),
        ("data.monotone.y=increasing", "data.monotone: 'y' is the target and no feature"),
        ("data.roles.w=numeric", "data.roles: 'w' is the column of weights and no feature"),
        ("data.roles.flag=category", "data.roles: 'flag' is the column of the split and no feature"),
        ("data.roles={xx: numeric}", r"data\.roles\.xx: the table has no such column; did you mean 'x'"),
    ],
)
def test_columns_that_are_no_features_have_no_role(said, message):
    config = compose(["target=y", "weight=w", "split=group", "split.column=flag", said])
    with pytest.raises(ConfigError, match=message):
        plan(config, TABLE)


def test_a_whole_mapping_and_single_columns_go_together():
    config = compose(
        ["data.roles={my column: text, b-c: id}", "data.roles.d=category", "data.monotone={e: increasing}"]
    )
    assert config.data.roles == {"my column": "text", "b-c": "id", "d": "category"}
    assert config.data.monotone == {"e": "increasing"}


def test_roles_reach_the_run(tmp_path):
    planned = plan(compose(["target=y", "weight=w", "data.roles={x: category, flag: ignored}"]), TABLE)
    assert {c.name: (c.role, c.why) for c in planned.schema.columns if c.name != "other"} == {
        "x": ("category", "as asked"),
        "flag": ("ignored", "as asked"),
    }
