"""Ours and the peers on other targets of the open tables: what was learned from the tables did not learn these tasks.

    python benchmarks/other_targets.py --data DATA --peers PEERS

Another column of the same rows is a task of its own. Classes of fewer than 10 rows are left out. On `lastfm_plays` and
`diamonds_clarity` it was found that numbers may be levels: for what came of that, they are no unseen tasks any more.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from side_by_side import compare, options

FEWEST = 10  # rows of a class
SCORES = ["score_text", "v_decile_score", "v_score_text"]  # of compas, told with `decile_score`
TASKS: dict[str, tuple[str, str, str, Sequence[str]]] = {  # name -> table, target, task, columns that are left out
    "telco_contract": ("telco_churn", "Contract", "multiclass", []),
    "german_amount": ("german_credit", "credit_amount", "regression", []),
    "compas_decile": ("compas_two_year_recid", "decile_score", "regression", SCORES),
    "compas_priors": ("compas_two_year_recid", "priors_count", "regression", []),
    "ames_neighborhood": ("ames_housing", "Neighborhood", "multiclass", []),
    "imdb_gross": ("imdb_movie_score", "gross", "regression", []),
    "wine_alcohol": ("wine_quality", "alcohol", "regression", []),
    "horse_surgery": ("horse_colic", "surgery", "binary", []),
    "adult_occupation": ("adult", "occupation", "multiclass", []),
    "adult_hours": ("adult", "hours_per_week", "regression", []),
    "adult_gain": ("adult", "capital_gain", "regression", []),
    "bike_hum": ("bike_sharing_hourly", "hum", "regression", []),
    "hr_company_size": ("hr_job_change", "company_size", "multiclass", []),
    "diamonds_clarity": ("diamonds", "clarity", "multiclass", []),
    "ionosphere_f2": ("ionosphere", "f2", "regression", []),
    "hf_carrier": ("hflights_delayed", "UniqueCarrier", "multiclass", ["TailNum", "arr_delayed_15"]),
}
RATINGS = {  # name -> table of users, items and ratings, tables of what these are
    "ml_rating": ("ml_100k", ["ml_100k_users", "ml_100k_items"]),
    "lastfm_plays": ("lastfm_hetrec", ["lastfm_hetrec_items"]),
}


def main() -> None:
    """Write the tasks into a folder like DATA, and run every system on them."""
    args = options(__doc__, "other_targets.csv").parse_args()
    with TemporaryDirectory() as folder:
        write(args.data, Path(folder))
        args.data = Path(folder)
        compare(args)


def write(data: Path, folder: Path) -> None:
    """Each task as a file, and all of them in a catalog."""
    made = {name: (other_target(data, *said), said[1], said[2]) for name, said in TASKS.items()}
    made |= {name: (ratings(data, *said), "rating", "regression") for name, said in RATINGS.items()}
    for name, (table, _, _) in made.items():
        table.to_parquet(folder / f"{name}.parquet")
    catalog = [
        {"name": name, "file": f"{name}.parquet", "target": target, "task": task}
        for name, (_, target, task) in made.items()
    ]
    (folder / "catalog.json").write_text(json.dumps(catalog), encoding="utf-8")


def other_target(data: Path, table: str, target: str, task: str, dropped: Sequence[str]) -> pd.DataFrame:
    """The rows that have the target."""
    known = {entry["name"]: entry for entry in json.loads((data / "catalog.json").read_text())}
    rows = pd.read_parquet(data / known[table]["file"]).drop(columns=list(dropped)).dropna(subset=target)
    if task != "regression":
        counts = rows[target].value_counts()
        rows = rows[rows[target].isin(counts.index[counts >= FEWEST])]
        rows[target] = rows[target].astype(str)
    return rows.reset_index(drop=True)


def ratings(data: Path, table: str, known: Sequence[str]) -> pd.DataFrame:
    """What users gave items, with what is known of both; plays of artists as the logarithm of their number."""
    rows = pd.read_parquet(data / "recsys" / f"{table}.parquet")
    for each in known:
        rows = rows.merge(pd.read_parquet(data / "recsys" / f"{each}.parquet"))
    return rows.assign(rating=np.log1p(rows["rating"]) if table == "lastfm_hetrec" else rows["rating"].astype("int64"))


if __name__ == "__main__":
    main()
