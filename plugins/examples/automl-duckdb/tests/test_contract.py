"""The reader keeps the contract: automl's conformance kit."""

import duckdb

from automl.testing import check_reader


def test_the_contract(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with duckdb.connect("shop.db") as connection:
        connection.execute("create table orders as select i as id, 2 * i as paid from range(30) as t(i)")
    check_reader("duckdb", "duckdb:shop.db?select id, paid from orders order by id", rows=30, columns=["id", "paid"])
