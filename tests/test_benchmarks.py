"""The benchmarks: losses, ranks and tables are right, cells are kept, and the page says what the result files say."""

import csv
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import common  # noqa: E402
import order  # noqa: E402
import other_targets  # noqa: E402
import portfolio  # noqa: E402
import report  # noqa: E402
import scaling  # noqa: E402

from automl.search.order import FIXED, Record, key  # noqa: E402

on_linux = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is sampled from /proc")


def row(dataset, system, loss, **further):
    """A row of a result file, made up."""
    made = dict.fromkeys(common.FIELDS, "") | common.machine()
    made |= {"dataset": dataset, "system": system, "budget": 60, "cores": 2, "seed": 0, "task": "binary"}
    made |= {"rows": 1000, "columns": 30, "fit_s": 60.5, "first_s": 1.5, "test_rows": 250, "predict_s": 0.1}
    made |= {"row_ms": 4.0, "peak_rss_mb": 500, "peak_pss_mb": 400, "cpu_s": 100, "others_cpu": 0.01}
    made |= {"estimate": 0.1, "versions": f"{system} 1", "date": "2026-01-02"}
    failed = {"outcome": "failed", "error": "ValueError: no"} if loss is None else {"outcome": "ok", "loss": loss}
    return made | failed | further


def write(folder, name, rows):
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, common.FIELDS)
        writer.writeheader()
        writer.writerows(rows)


def check(*options):
    command = [sys.executable, "benchmarks/report.py", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_page_says_what_the_result_files_say():
    done = check("--check")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nrun: python benchmarks/report.py"


def test_binary_loss_is_one_minus_auc_whatever_the_order_of_the_columns():
    truth = pd.Series([0, 0, 1, 1])
    predicted = pd.DataFrame({"1": [0.1, 0.6, 0.5, 0.9]})
    predicted.insert(0, "0", 1 - predicted["1"])
    assert common.loss("binary", truth, predicted) == pytest.approx(0.25)  # one of four pairs is the wrong way round
    assert common.loss("binary", truth, predicted[["1", "0"]]) == pytest.approx(0.25)


def test_multiclass_loss_is_log_loss_by_label():
    truth = pd.Series(["b", "a", "c"])
    predicted = pd.DataFrame({"c": [0.2, 0.3, 0.5], "a": [0.3, 0.6, 0.25], "b": [0.5, 0.1, 0.25]})
    assert common.loss("multiclass", truth, predicted) == pytest.approx(-np.mean(np.log([0.5, 0.6, 0.5])))


def test_a_class_that_was_not_seen_costs_a_lot_and_is_no_error():
    predicted = pd.DataFrame({"a": [1.0, 0.5], "b": [0.0, 0.5]})
    assert common.loss("multiclass", pd.Series(["a", "c"]), predicted) == pytest.approx(-np.log(1e-15) / 2, rel=1e-6)


def test_regression_loss_is_rmse():
    assert common.loss("regression", pd.Series([1.0, 2.0]), pd.DataFrame({"prediction": [4.0, 6.0]})) == np.sqrt(12.5)


@pytest.mark.parametrize("values", [[1.0], [1.0, np.nan], [1.0, np.inf]])
def test_predictions_that_cannot_be_scored_are_refused(values):
    with pytest.raises(ValueError, match=r"predictions for|not finite"):
        common.loss("regression", pd.Series([1.0, 2.0]), pd.DataFrame({"prediction": values}))


LOSSES = pd.DataFrame(
    {"ours": [0.1, 0.2, 0.3, 0.0], "ag-best": [0.2, 0.1, 0.3, 0.5], "flaml": [0.3, 0.4, np.nan, 0.5]},
    index=pd.MultiIndex.from_tuples([("one", 0), ("two", 0), ("three", 0), ("four", 0)], names=["dataset", "seed"]),
)


def test_standing_ranks_failures_last_and_halves_ties():
    table = report.standing(LOSSES)
    assert list(table.index) == ["ours", "ag-best", "flaml"]
    assert list(table["mean rank"]) == [(1 + 2 + 1.5 + 1) / 4, (2 + 1 + 1.5 + 2.5) / 4, (3 + 3 + 3 + 2.5) / 4]
    assert list(table["wins"]) == [3, 2, 0]
    assert list(table["failures"]) == [0, 0, 1]
    assert table.loc["ours", "beats ag-best"] == (1 + 0 + 0.5 + 1) / 4
    assert table.loc["flaml", "beats ag-best"] == 0.125
    assert table.loc["flaml", "ours beats it"] == 1
    assert np.isnan(table.loc["ours", "ours beats it"])


def test_relative_loss_is_against_the_best_of_the_split_where_that_is_above_zero():
    table = report.standing(LOSSES)
    assert table.loc["flaml", "median behind"] == pytest.approx((2 + 3) / 2)
    assert list(table["far behind"]) == [1, 1, 2]
    assert (table.loc["flaml", "worst behind"], table.loc["flaml", "worst on"]) == (pytest.approx(3), " (two)")


def test_a_split_that_some_system_has_not_run_is_left_out():
    rows = [row("a", "ours", 0.1), row("a", "flaml", 0.2), row("b", "ours", 0.3), row("c", "ours", 0.3)]
    rows.append(row("c", "flaml", None))
    ((name, _, losses, head),) = report.contests(pd.DataFrame(rows).replace("", np.nan))
    assert name == "60 s on 2 cores"
    assert list(losses.index) == [("a", 0), ("c", 0)]
    assert "left out: 1." in head[2]


def test_systems_that_have_run_the_most_splits_are_compared_on_all_of_them_too():
    rows = [row(data, system, 0.1) for data in "abc" for system in ("ours", "ag-best")]
    rows += [row(data, "flaml", 0.2, fit_s=70) for data in "ab"]
    most, every = report.contests(pd.DataFrame(rows).replace("", np.nan))
    assert (most[0], list(most[2].columns), len(most[2])) == ("60 s on 2 cores", ["ag-best", "ours"], 3)
    assert (every[0], list(every[2].columns), len(every[2])) == (
        "60 s on 2 cores, every system",
        ["ag-best", "flaml", "ours"],
        2,
    )
    assert len(every[1]) == 6


def test_the_best_loss_is_bold_and_a_failed_seed_is_a_dash():
    losses = pd.DataFrame(
        {"ours": [0.1, 0.3], "flaml": [0.5, np.nan]},
        index=pd.MultiIndex.from_tuples([("a", 0), ("a", 1)], names=["dataset", "seed"]),
    )
    assert report.loss_table(losses).loc["a"].to_dict() == {"ours": "**0.2**", "flaml": "-"}


@pytest.fixture
def sample(tmp_path):
    """A folder of made-up result files, but for those of the ablation."""
    results = tmp_path / "results"
    rows = [row(data, system, 0.1 + i) for data in "ab" for i, system in enumerate(["ours", "ag-best"])]
    write(results, "other_targets", [row("d", "ours", 0.1), row("d", "ag-best", 0.2)])
    write(results, "side_by_side", [*rows, row("c", "ours", 0.1), row("c", "ag-best", None, fit_s=70)])
    write(results, "robustness", [row("a", "ours", 0.1), row("b", "ours", None, outcome="refused", error="so | so")])
    shapes = [(1000, 30), (10_000, 30), (1000, 10), (1000, 100)]
    write(results, "scaling", [row(f"{n} x {p}", "ours", 0.1, rows=n, columns=p) for n, p in shapes])
    return results


def test_a_page_shows_what_there_is_and_says_what_was_not_run(sample):
    made = report.pages(sample)
    page = made["benchmarks.md"]
    assert "| **ours** | 1.00 | 3 | 0.0% |" in page
    assert "- ag-best, c, seed 0, 60 s: failed. `ValueError: no`" in page
    assert "| ag-best | 1.01 | 1.17 | 2 of 3 |" in page
    assert "Not run yet: there is no `benchmarks/results/ablation.csv`" in page
    assert page.count("Not run yet") == 1
    charts = {name for name in made if name.endswith(".svg")}
    assert {f"]({name})" in page for name in charts} == {True}
    assert len(charts) == 6  # a rank of each of two sections, of which none takes the other's place


def test_another_target_is_a_task_of_the_rows_that_have_it_and_of_classes_that_recur(tmp_path):
    table = pd.DataFrame({"y": range(30), "hint": range(30), "kind": ["a"] * 15 + ["b"] * 10 + ["c"] * 3 + [None] * 2})
    table.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "catalog.json").write_text(json.dumps([{"name": "t", "file": "t.parquet", "target": "y"}]))
    kinds = other_targets.other_target(tmp_path, "t", "kind", "multiclass", ["hint"])
    assert (list(kinds), kinds["kind"].value_counts().to_dict()) == (["y", "kind"], {"a": 15, "b": 10})
    assert len(other_targets.other_target(tmp_path, "t", "hint", "regression", [])) == 30


def test_a_rating_is_told_with_what_is_known_of_user_and_item(tmp_path):
    (tmp_path / "recsys").mkdir()
    given = pd.DataFrame({"user_id": [1, 2, 2], "item_id": [7, 7, 8], "rating": [3, 4, 5]})
    given.to_parquet(tmp_path / "recsys" / "given.parquet")
    pd.DataFrame({"item_id": [7, 8], "name": ["a", "b"]}).to_parquet(tmp_path / "recsys" / "items.parquet")
    table = other_targets.ratings(tmp_path, "given", ["items"])
    assert table.to_dict("list") == {**given.to_dict("list"), "name": ["a", "a", "b"]}


def test_charts_are_well_formed_and_hold_their_numbers(sample):
    for name, text in report.pages(sample).items():
        if name.endswith(".svg"):
            drawn = ElementTree.fromstring(text)
            assert drawn.tag.endswith("svg")
            assert "nan" not in text.lower()
    bars = report.bars("A & B", pd.Series({"ours": 2.0, "less": -1.0, "none": np.nan}), unit="%")
    assert "nan" not in bars
    assert "A &amp; B" in bars
    assert "-1%" in bars
    widths = [
        float(rect.get("width")) for rect in ElementTree.fromstring(bars).iter("{http://www.w3.org/2000/svg}rect")
    ]
    assert widths[1] == pytest.approx(2 * widths[2], abs=0.11)


def test_check_tells_a_page_or_a_chart_that_is_out_of_date(sample, tmp_path):
    place = ("--results", sample, "--out", tmp_path / "docs")
    assert check(*place, "--check").returncode == 1
    assert check(*place).returncode == 0
    assert check(*place, "--check").returncode == 0
    (tmp_path / "docs/benchmarks/old.svg").write_text("<svg/>")
    done = check(*place, "--check")
    assert done.returncode == 1
    assert "old.svg" in done.stdout
    check(*place)
    assert not (tmp_path / "docs/benchmarks/old.svg").exists()


def test_the_split_holds_out_a_fifth_of_each_class_and_is_the_same_for_a_seed(tmp_path):
    X, y = load_wine(return_X_y=True, as_frame=True)
    X.assign(y=y).to_parquet(tmp_path / "wine.parquet")
    entry = {"task": "multiclass", "target": "y"}
    parts = {}
    for seed, name in ((0, "first"), (0, "again"), (1, "other")):
        (tmp_path / name).mkdir()
        facts = common.split(entry, tmp_path / "wine.parquet", seed, tmp_path / name)
        parts[name] = [pd.read_parquet(tmp_path / name / f"{part}.parquet") for part in ("train", "test")]
    assert facts == {"task": "multiclass", "target": "y", "rows": 142, "columns": 13}
    train, test = parts["first"]
    assert (len(train), len(test)) == (142, 36)
    assert test["y"].value_counts(normalize=True).sub(y.value_counts(normalize=True)).abs().max() < 0.02
    assert len(pd.concat([train, test]).drop_duplicates()) == len(X.drop_duplicates())
    assert test.equals(parts["again"][1])
    assert not test.equals(parts["other"][1])


def test_a_cell_that_has_its_row_is_not_run_again(tmp_path, capsys):
    def never(folder):
        raise AssertionError("it was run")

    write(tmp_path, "kept", [row("a", "ours", 0.1)])
    cell = common.Cell("a", "ours", 60.0, 2, 0, never)
    common.run_all([cell], tmp_path / "kept.csv")
    assert "0 to run" in capsys.readouterr().out


def test_rows_of_another_machine_are_not_added_to(tmp_path):
    write(tmp_path, "kept", [row("a", "ours", 0.1, machine_cores="1000")])
    with pytest.raises(SystemExit, match="another machine"):
        common.run_all([], tmp_path / "kept.csv")


@on_linux
def test_memory_counts_children_and_nothing_outlives_the_command(tmp_path):
    child = "import os, time; open('pid', 'w').write(str(os.getpid())); held = b'x' * 200_000_000; time.sleep(3600)"
    parent = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {child!r}], start_new_session=True)
time.sleep(2)
os._exit(7)
"""
    used = common.run([sys.executable, "-c", parent], tmp_path, cores=1, limit=60, watch=tmp_path / "pid")
    assert used["peak_pss_mb"] > 200
    assert used["peak_rss_mb"] >= used["peak_pss_mb"]
    assert used["first"] is not None
    assert used["error"].startswith("it ended with code 7")
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


@on_linux
def test_a_command_that_does_not_end_is_killed(tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(3600)"]
    assert (
        common.run(command, tmp_path, cores=1, limit=1, watch=tmp_path / "x")["error"] == "it had not ended after 1 s"
    )


@on_linux
def test_a_cell_is_fitted_scored_and_kept(tmp_path):
    tables = partial(scaling.synthetic, 600, 12, 0)
    quick = ("families=[linear]", "executor=inprocess", "budget.trials=1")
    cells = [
        common.Cell("600 x 12", "ours", 120, 1, 0, tables, "ours_from_file", quick),
        common.Cell("600 x 12", "nonsense", 120, 1, 0, tables, "ours", ("no.such.key=1",)),
    ]
    common.run_all(cells, tmp_path / "out.csv")
    good, bad = csv.DictReader((tmp_path / "out.csv").open())
    assert (good["outcome"], good["error"]) == ("ok", "")
    assert 0 < float(good["loss"]) < 0.5
    assert 0 < float(good["first_s"]) <= float(good["fit_s"]) + 1
    assert float(good["peak_pss_mb"]) > 50
    assert (good["rows"], good["columns"], good["test_rows"]) == ("600", "12", "1000")
    assert good["versions"].startswith("automl ")
    assert (bad["outcome"], bad["loss"]) == ("refused", "")
    assert "no.such.key" in bad["error"]
    assert str(tmp_path) not in (tmp_path / "out.csv").read_text()


def test_synthetic_tables_have_their_shape_and_can_be_learned(tmp_path):
    facts = scaling.synthetic(2_000, 15, 0, tmp_path)
    train = pd.read_parquet(tmp_path / "train.parquet")
    assert train.shape == (2_000, 16)
    assert (facts["rows"], facts["columns"]) == (2_000, 15)
    assert sum(not pd.api.types.is_numeric_dtype(kind) for kind in train.dtypes) == 3
    assert 0.3 < train["y"].mean() < 0.7
    assert np.corrcoef(train["x0"] * train["x1"], train["y"])[0, 1] > 0.2


def fitted(folder, name, losses, y=(0.0, 1.0, 2.0, 3.0)):
    """What portfolio.py leaves of a table: entry -> what its predictions are off by at every other row, or None."""
    y = np.array(y)
    facts = {"kind": "regression", "rows": 100, "columns": 5, "classes": 0, "categories": 0, "texts": 0, "missing": 0}
    lines = [{"dataset": name, "metric": "rmse", "facts": facts, "entries": 1 + len(losses)}]
    lines.append({"entry": "", "family": "baseline", "params": {}, "status": "ok", "loss": 2.0, "seconds": 0.0})
    (folder / name).mkdir(parents=True)
    np.savez(folder / name / "truth.npz", y=y)
    np.save(folder / name / "0.npy", y)
    for i, ((family, size), off) in enumerate(losses.items(), 1):
        line = {"entry": key(family, {"size": size}), "family": family, "params": {"size": size}}
        line |= {"status": "timeout", "seconds": 75} if off is None else {"status": "ok", "loss": 0, "seconds": i}
        lines.append(line)
        if off is not None:
            np.save(folder / name / f"{i}.npy", y + np.array(off))
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return order.Table.read(folder / f"{name}.jsonl", [line["entry"] for line in lines[2:]])


THREE = {("tree", 1): [1, 1, 1, 1], ("tree", 2): None, ("line", 1): [-1, -1, -1, 0]}


def test_the_losses_of_pairs_are_between_the_best_one_and_the_baseline(tmp_path):
    table = fitted(tmp_path, "one", THREE)
    best = np.sqrt(0.25 / 4)  # of the mean of tree 1 and line 1, which is off by a half in one row
    assert table.losses[0, 2] == table.losses[2, 0] == 0
    assert table.losses[0, 0] == pytest.approx((1 - best) / (2 - best))
    assert table.losses[1].tolist() == [1, 1, 1], "one that did not end is as good as the baseline"
    assert table.seconds.tolist() == [1, 75, 3]


def test_a_table_that_is_not_through_is_left_out(tmp_path):
    fitted(tmp_path, "one", THREE)
    log = tmp_path / "one.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    assert order.Table.read(log, []) is None


def test_a_table_has_the_entries_of_today_in_their_order(tmp_path):
    fitted(tmp_path, "one", THREE)
    today = [key("line", {"size": 1}), key("new", {"size": 1}), key("tree", {"size": 1})]
    table = order.Table.read(tmp_path / "one.jsonl", today)
    assert table.entries == [("line", {"size": 1}), ("tree", {"size": 1})]
    assert (table.predictions[0] - table.y).tolist() == [-1, -1, -1, 0]
    assert table.seconds.tolist() == [3, 1]
    known = order.portfolio()
    assert key("ridge", {"alpha": 1.0}) in known
    assert len(set(known)) == len(known)


def test_a_written_record_is_read_back_and_can_forget_a_table(tmp_path):
    tables = [
        fitted(tmp_path, "one", THREE),
        fitted(tmp_path, "two", {("line", 1): [1, 1, 1, 1], ("mine", 7): [0] * 4}),
    ]
    order.write(order.record_of(tables), tmp_path / "record.json")
    record = Record.read(tmp_path / "record.json")
    line, mine = (record.entries[key(family, {"size": size})] for family, size in (("line", 1), ("mine", 7)))
    assert (record.losses[1, line, line], record.losses[1, mine, mine]) == (0.5, 0)
    assert record.losses[0, mine].tolist() == [1] * 4
    other = order.without(record, [0])
    assert [facts.rows for facts in other.tables] == [100]
    assert np.array_equal(other.losses, record.losses[1:])


def test_a_table_of_more_rows_tells_nothing_of_itself_of_fewer(tmp_path):
    names = ("one", "one-60000", "two-b")
    tables = [fitted(tmp_path, name, THREE) for name in names]
    assert [table.dataset for table in tables] == ["one", "one", "two-b"]
    told = []

    def rank(table, record):
        told.append(len(record.tables))
        return [0, 1, 2]

    order.leave_one_out(tables, {"any": rank}, order.pairs_by)
    assert told == [1, 1, 2]


def test_the_simulation_pays_for_each_entry_in_turn(tmp_path):
    table = fitted(tmp_path, "one", THREE)
    record = order.parsed(order.record_of([table]))
    assert order.by_priority(table, record) == [0, 2, 1]
    ends = 1 + FIXED, 4 + 2 * FIXED
    assert order.until(table, [0, 2, 1], [0.5, ends[0], ends[1]]) == [[], [0], [0, 2]]
    curve = order.pairs_by(table, [0, 2, 1], [0.5, ends[0], ends[1]])
    assert curve == [1, pytest.approx(table.losses[0, 0]), 0]
    assert order.ensembles_by(table, [0, 2, 1], [0.5, 100]) == [1, 0]


def test_tables_come_one_kind_of_task_after_the_other_small_ones_first():
    def table(rows, task):
        return partial(print, {"rows": rows, "columns": 3, "task": task, "n_classes": None})

    tables = {"a": table(9000, "binary"), "b": table(50, "binary"), "c": table(500, "regression")}
    assert [name for name, _ in portfolio.in_turn(tables)] == ["b", "c", "a"]


@on_linux
def test_the_clock_counts_the_workers_of_the_server_that_is_forked_first():
    spin = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True); input()"
    server = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    clock = portfolio.Clock()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", server], **pipes) as process:
        before = clock.read()[1]
        process.stdout.readline()
        used = clock.read()[1] - before
        process.communicate(b"\n")
    assert used > 0.3


def test_a_portfolio_is_fitted_on_a_sample_with_one_holdout(tmp_path):
    pd.DataFrame({"a": np.arange(2000.0), "y": np.arange(2000) % 3 / 7}).to_parquet(tmp_path / "train.parquet")
    planned = portfolio.sampled(tmp_path / "train.parquet", {"task": "regression", "target": "y"}, 1600)
    (fold,) = planned.split.folds
    assert (len(fold.train), len(fold.valid)) == (1067, 533)
    assert "lightgbm" in planned.families
