"""A query becomes a table; what cannot be read is named with the query; nothing is written."""

import duckdb
import polars as pl
import pytest

from automl import AutoML, DataError
from automl.cli import main
from automl_duckdb.query import read


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A database with 300 orders, in the working directory."""
    monkeypatch.chdir(tmp_path)
    with duckdb.connect("shop.db") as connection:
        connection.execute(
            "create table orders as select i as id, i % 7 as items, ['red', 'blue', 'green'][1 + i % 3] as colour,"
            " date '2024-01-01' + i::int as day, 10.0 * (i % 7) + (i % 3) as paid from range(300) as t(i)"
        )
    return tmp_path / "shop.db"


def test_a_query_is_a_table(shop):
    table = read("shop.db?select items, colour, day, paid from orders where items > 2 order by id limit 2")
    assert table.columns == ["items", "colour", "day", "paid"]
    assert table.rows()[0][:2] == (3, "red")
    assert read(f"{shop}?select 1 as one").item() == 1, "an absolute path"


def test_a_question_mark_in_the_query_is_the_querys(shop):
    assert read("shop.db?select 'who?' as word").item() == "who?"


def test_the_query_may_lie_in_a_file(shop):
    (shop.parent / "paid.sql").write_text("-- what they paid\nselect sum(items) as n from orders;\n")
    assert read("shop.db?paid.sql").item() == sum(i % 7 for i in range(300))
    with pytest.raises(DataError, match=r"query file none.sql cannot be read: No such file"):
        read("shop.db?none.sql")


def test_without_a_database_the_query_joins_files(shop):
    pl.DataFrame({"id": [1, 2], "x": [0.5, 1.5]}).write_parquet("left.parquet")
    pl.DataFrame({"id": [2, 3], "y": ["b", "c"]}).write_csv("right.csv")
    assert read("?select * from 'left.parquet' join 'right.csv' using (id)").rows() == [(2, 1.5, "b")]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("shop.db", "there is no query; say 'duckdb:FILE"),
        ("shop.db?  ", "there is no query"),
        ("shp.db?select 1", "duckdb:shp.db: no such database file in "),
        ("notes.db?select 1", "notes.db.*not a valid DuckDB database"),
        ("shop.db?select * from order_s", r"(?s)order_s does not exist.*orders.*The query was: select \* from order_s"),
        ("shop.db?selec 1", "(?s)syntax error.*The query was: selec 1"),
        ("shop.db?select itms from orders", '(?s)"itms" not found.*items'),
        ("shop.db?select 1; select 2", "one SELECT statement, not SELECT, SELECT"),
        ("shop.db?delete from orders", "one SELECT statement, not DELETE"),
        ("shop.db?copy orders to 'out.csv'", "one SELECT statement, not COPY"),
        ("shop.db?attach 'other.db'", "one SELECT statement, not ATTACH"),
        ("shop.db?select * from 'paid.csv'", "disabled by configuration"),
        ("shop.db?select interval 1 day as wait", "(?s)interval.*The query was: select interval 1 day"),
    ],
)
def test_what_cannot_be_read_is_said(shop, place, said):
    (shop.parent / "paid.csv").write_text("a,b\n1,2\n")
    (shop.parent / "notes.db").write_text("no database\n" * 2000)
    before = sorted(shop.parent.iterdir())
    with pytest.raises(DataError, match=said):
        read(place)
    assert sorted(shop.parent.iterdir()) == before


def test_types_of_all_kinds_reach_a_run(shop):
    """Sums of 128 bits, decimals, enums, flags, times: what a query gives is what automl takes."""
    (shop.parent / "all.sql").write_text(
        "select sum(items) as total, items::decimal(9, 2) as price, (items > 3) as flag, max(day) as last,"
        " colour::enum('red', 'blue', 'green') as colour, any_value(day::timestamp) as at,"
        " any_value(time '10:00:00') as clock, avg(paid) as paid"
        " from orders group by items, colour, id order by id"
    )
    model = AutoML(
        families=["linear"], time_budget=60, output_dir="run", overrides=["budget.trials=2", "executor=inprocess"]
    )
    model.fit("duckdb:shop.db?all.sql", target="paid")
    assert model.score_ < 1.0  # root mean squared error of a target that runs from 0 to 62


def test_from_the_command_line_to_predictions(shop, capsys):
    def automl(*words, code=0):
        with pytest.raises(SystemExit) as stopped:
            main(list(words))
        assert stopped.value.code == code, capsys.readouterr().err
        return capsys.readouterr()

    settings = ["families=[linear]", "budget.trials=2", "executor=inprocess", "run.dir=run", "run.progress=quiet"]
    automl("fit", "duckdb:shop.db?select items, colour, paid from orders where id >= 10", "target=paid", *settings)
    automl("predict", "run/model", "duckdb:shop.db?select items, colour from orders limit 5", "-o", "out.csv")
    assert pl.read_csv("out.csv").height == 5
    said = automl("check", "duckdb:shop.db?select oops from orders", "target=paid", code=3).err
    assert "select oops from orders" in said
