"""The order of the portfolios: what gained most for its seconds on tables like this one comes first."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from fakes import SEARCH, X, losses, problem_of, race, spec

from automl.compose import compose, registry_for
from automl.data.schema import Schema
from automl.errors import ConfigError
from automl.family import Candidate
from automl.search import order
from automl.search.cost import scale
from automl.search.order import Facts, Record, greedy, key, learned
from automl.task import Task

FACTS = Facts("binary", 1000, 10, 2, 0.0, 0.0, 0.0)
CHEAP = [0.1, 0.1, 0.1]


def table(name, facts, entries, losses, seconds=None):
    """A table of a record; `losses` are the rows of a lower triangle."""
    said = {"name": name, "facts": vars(facts), "entries": entries, "losses": losses}
    return said | {"seconds": [0.1] * len(entries) if seconds is None else seconds}


@pytest.fixture
def record(tmp_path):
    """Entry 0 of `tree` is good on a table of few columns, `line` on one of many, and entry 1 of `tree` never is."""
    entries = [["tree", {"depth": 3}], ["line", {"C": 1.0}], ["tree", {"depth": 9}]]
    wide = replace(FACTS, columns=1000)
    tables = [
        table("narrow", FACTS, [0, 1, 2], [[0.1], [0.3, 0.6], [0.5, 0.5, 0.9]]),
        table("wide", wide, [1, 0], [[0.1], [0.3, 0.6]]),
    ]
    file = tmp_path / "record.json"
    file.write_text(json.dumps({"entries": entries, "tables": tables}))
    return Record.read(file)


SPECS = {"line": spec({}, []), "tree": spec({}, []), "mine": spec({}, [])}
CANDIDATES = [Candidate("line", {"C": 1.0}), Candidate("tree", {"depth": 9}), Candidate("tree", {"depth": 3})]


def names(candidates):
    return [f"{c.family} {next(iter(c.params.values()), '')}" for c in candidates]


def test_a_record_is_symmetric_and_what_was_not_tried_is_as_if_it_were_not_there(record):
    assert np.array_equal(record.losses, record.losses.transpose(0, 2, 1))
    assert record.losses[1, 0, 1] == 0.3
    assert record.losses[1].diagonal().tolist() == [0.6, 0.1, 1.0]
    assert (record.losses[1, 2] == 1).all()
    assert np.isnan(record.took[1, 2])


def test_the_tables_that_are_alike_decide(record):
    assert names(learned(CANDIDATES, FACTS, SPECS, record)) == ["tree 3", "line 1.0", "tree 9"]
    assert names(learned(CANDIDATES, replace(FACTS, columns=900), SPECS, record)) == ["line 1.0", "tree 3", "tree 9"]


def test_a_table_of_the_same_kind_of_task_counts_more(record):
    numbers = replace(FACTS, kind="regression", classes=0)
    other = replace(record, tables=(FACTS, numbers))
    assert other.weights(numbers)[1] > 0.65
    assert other.weights(replace(FACTS, columns=100))[0] > 0.65
    assert other.weights(numbers).sum() == pytest.approx(1)


def test_a_table_outside_all_others_is_taken_to_lie_at_their_edge(record):
    assert record.weights(replace(FACTS, columns=10**6)) == pytest.approx(record.weights(replace(FACTS, columns=1000)))
    assert record.weights(replace(FACTS, rows=10**9)) == pytest.approx(record.weights(FACTS)), "all have as many rows"


def test_an_entry_without_record_keeps_the_place_of_its_priority(record):
    mine = Candidate("mine", {"C": 1.0})
    changed = Candidate("line", {"C": 2.0})
    assert learned([mine, changed], FACTS, SPECS, record) == [mine, changed]
    found = learned([CANDIDATES[0], mine, *CANDIDATES[1:], changed], FACTS, SPECS, record)
    assert names(found) == ["tree 3", "mine 1.0", "line 1.0", "tree 9", "line 2.0"]


def test_candidates_keep_their_rows_and_none_is_lost(record):
    found = learned([replace(c, rows=500) for c in CANDIDATES], FACTS, SPECS, record)
    assert {c.rows for c in found} == {500}
    assert sorted(names(found)) == sorted(names(CANDIDATES))
    assert learned([], FACTS, SPECS, record) == []


def test_what_its_condition_kept_from_a_table_is_not_taken_to_be_useless_there(record):
    alike = replace(record, tables=(FACTS, replace(FACTS, rows=1001)))
    asked = [Candidate("line", {"C": 1.0}), Candidate("tree", {"depth": 9}), Candidate("tree", {"depth": 3})]
    assert names(learned(asked, FACTS, SPECS, alike))[0] == "tree 3"
    rarely = replace(alike, losses=alike.losses.copy(), took=alike.took.copy())
    rarely.losses[0, 2, 2] = 0.05  # best by far, on the only table where it was tried
    assert names(learned(asked, FACTS, SPECS, rarely))[0] == "tree 9"


def test_what_complements_comes_before_what_is_better_alone():
    #                 first        its twin           another
    alone = np.array([[[0.10, 0.10, 0.05], [0.10, 0.11, 0.06], [0.05, 0.06, 0.30]]])
    assert greedy(alone, np.ones((1, 1)), np.ones(3)) == [0, 2, 1]


def test_the_gain_is_weighed_against_the_seconds():
    alone = np.array([[[0.1, 0.1], [0.1, 0.4]]])
    assert greedy(alone, np.ones((1, 1)), np.array([100.0, 1.0]), quick=0) == [1, 0]
    assert greedy(alone, np.ones((1, 1)), np.array([2.0, 1.0]), quick=0) == [0, 1]


def test_the_first_are_quick():
    losses = np.array([[[0.1, 0.1, 0.1], [0.1, 0.4, 0.2], [0.1, 0.2, 0.4]]])
    seconds = np.array([2.0, 1.0, 1.5])
    assert greedy(losses, np.ones((1, 1)), seconds, quick=0)[0] == 0
    assert greedy(losses, np.ones((1, 1)), seconds) == [1, 2, 0]


def test_of_what_takes_longer_than_there_is_time_for_only_a_share_is_expected():
    losses = np.array([[[0.1, 0.1], [0.1, 0.4]]])
    seconds = np.array([2.0, 1.0])
    assert greedy(losses, np.ones((1, 1)), seconds, quick=0) == [0, 1]
    assert greedy(losses, np.ones((1, 1)), seconds, quick=0, most=1.9) == [0, 1]
    assert greedy(losses, np.ones((1, 1)), seconds, quick=0, most=1.5) == [1, 0]


def test_those_that_gain_nothing_are_ordered_among_themselves():
    losses = np.full((1, 4, 4), 0.9)
    losses[0, 0] = losses[0, :, 0] = 0.1
    for i, loss in enumerate([0.1, 0.8, 0.3, 1.0]):
        losses[0, i, i] = loss
    assert greedy(losses, np.ones((1, 1)), np.ones(4)) == [0, 2, 1, 3]


EACH, ONCE = np.array([0.5, 0.5]), np.zeros(3, bool)


def test_what_an_entry_is_expected_to_take_grows_with_the_table(record):
    here, there = (scale(n, c, 0) for n, c in ((1_000, 10), (1_000, 1_000)))  # the two tables of the record
    said = replace(record, took=np.array([[here, 4 * here, 2 * here], [there, there, np.nan]]))
    few, more = (said.seconds(replace(FACTS, rows=n), EACH, ONCE) for n in (100_000, 1_000_000))
    assert few == pytest.approx(order.FIXED + np.array([1.0, 2.0, 2.0]))
    assert (more > 2 * few).all()


def test_what_grows_faster_than_others_is_taken_to_grow_so_further(record):
    tables = tuple(replace(FACTS, rows=n) for n in (1_000, 10_000))
    here, there = (scale(table.rows, table.columns, 0) for table in tables)
    took = np.array([[here, here, here], [there, 10 * there, 1000 * there]])
    said = replace(record, tables=tables, took=took)
    large = replace(FACTS, rows=100_000)
    even = said.seconds(large, EACH, ONCE) - order.FIXED
    assert even[:2] == pytest.approx([1.0, 100.0])
    assert even[2] < 10_000, "within reason"
    assert said.seconds(large, np.array([0.9, 0.1]), ONCE)[1] == pytest.approx(100 + order.FIXED), (
        "the same line from any table"
    )


def test_only_what_has_to_do_as_much_for_each_class_takes_longer_for_more_of_them(record):
    few, many = (replace(FACTS, kind="multiclass", classes=n) for n in (3, 30))
    said = replace(record, tables=(few, few), took=np.ones((2, 3)))
    seconds = said.seconds(many, EACH, np.array([True, False, False])) - order.FIXED
    assert seconds == pytest.approx([10**0.7, 1.0, 1.0])


def test_of_many_classes_what_learns_them_at_once_comes_first(record):
    few, many = (replace(FACTS, kind="multiclass", classes=n) for n in (3, 300))
    alike = replace(record, tables=(few, few), losses=record.losses[[0, 0]], took=np.full((2, 3), 10.0))
    specs = {**SPECS, "tree": replace(SPECS["tree"], per_class=True)}
    assert names(learned(CANDIDATES, few, specs, alike))[0] == "tree 3"
    assert names(learned(CANDIDATES, many, specs, alike))[0] == "line 1.0"


def test_facts_of_a_table():
    frame = pl.DataFrame(
        {
            "size": [1.5, None, 2.5, 3.5] * 25,
            "colour": ["red", "blue", None, None] * 25,
            "same": [1] * 100,
            "words": [f"the {i}th of many a long and winding sentence" for i in range(100)],
        }
    )
    schema = Schema.infer(frame, roles={"words": "text"}, drop=[], missing=[])
    facts = Facts.of(Task("multiclass", "y", "log_loss", ("a", "b", "c")), schema, 80)
    assert facts == Facts("multiclass", 80, 3, 3, pytest.approx(1 / 3), pytest.approx(1 / 3), pytest.approx(0.25))


def test_the_race_follows_the_order_that_the_config_says(tmp_path, record, monkeypatch):
    said = replace(record, tables=tuple(replace(facts, kind="regression") for facts in record.tables))
    monkeypatch.setattr(order, "_shipped", lambda: said)
    problem = problem_of(tmp_path / "work", 1)
    specs = {
        "line": spec({}, [{"C": 1.0}], priority=1),
        "tree": spec({"depth": {"int": [1, 9]}}, [{"depth": 9}, {"depth": 3}], priority=2),
        "mine": spec(X, [{"x": 0.5}], priority=3),
    }
    answer = losses({"prior": 3, "line": 1, "tree": 1, "mine": 1})

    def tried(how):
        made, _, _ = race(problem, answer, specs, trials=4, order=how)
        return names(made.trials[1:])

    assert tried("priority") == ["line 1.0", "tree 9", "mine 0.5", "tree 3"]
    assert tried("learned") == ["tree 3", "line 1.0", "mine 0.5", "tree 9"]


@pytest.mark.parametrize(("share", "first"), [(0.31, "tree 3"), (0.36, "line 1.0")])
def test_the_race_begins_with_what_its_time_is_enough_for(share, first, tmp_path, record, monkeypatch):
    problem = problem_of(tmp_path / "work", 1)
    rows, columns = len(problem.fold(0).train), len(problem.schema.features)
    here = [[scale(facts.rows, facts.columns, 0)] for facts in record.tables] / np.array(scale(rows, columns, 0))
    took = np.array([[share, 0.34, 0.34], [share, 0.34, np.nan]]) * here * 100 / problem.folds
    tables = tuple(replace(facts, kind="regression") for facts in record.tables)
    monkeypatch.setattr(order, "_shipped", lambda: replace(record, tables=tables, took=took))
    specs = {"tree": spec({}, [{"depth": 3}], priority=1), "line": spec({}, [{"C": 1.0}], priority=2)}
    answer = losses({"prior": 3, "line": 1, "tree": 1})
    made, _, _ = race(problem, answer, specs, order="learned", seconds=100.0)
    assert names(made.trials[1:])[0] == first
    made, _, _ = race(problem, answer, specs, order="learned", seconds=100.0, trials=1)
    assert names(made.trials[1:]) == ["tree 3"], "a number of trials gives the same ones whatever the time"


def test_an_order_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match=r"search\.order=random: must be one of learned, priority"):
        compose(["search.order=random"])
    assert SEARCH.order == "learned"


def test_the_record_that_comes_with_automl_is_whole():
    shipped = Record.read()
    assert np.array_equal(shipped.losses, shipped.losses.transpose(0, 2, 1))
    assert ((shipped.losses >= 0) & (shipped.losses <= 1)).all()
    assert (shipped.took[np.isfinite(shipped.took)] > 0).all()
    assert {facts.kind for facts in shipped.tables} == {"binary", "multiclass", "regression"}
    assert len(set(shipped.tables)) == len(shipped.tables), "each table once"


def test_the_record_knows_the_portfolios_of_today():
    """An entry that was changed has none; when most were, `python benchmarks/portfolio.py` is to be run again."""
    config, families = compose(), registry_for().families
    entries = [
        key(name, params)
        for name in config.family
        if families[name].plugin in ("linear", "boosting", "forest", "kernel", "neural")
        for params in config.family_spec(name).candidates
    ]
    assert sum(entry in Record.read().entries for entry in entries) > len(entries) / 2
