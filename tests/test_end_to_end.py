"""Every first-party family races on real data in supervised workers; what comes out predicts rows it has not seen."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from automl.compose import compose
from automl.data.read import read
from automl.fit import fit
from automl.plugins import installed
from automl.predictor import load

SMALL = [
    *(
        f"family.{name}.params.n_estimators=60"
        for name in ("lightgbm", "xgboost", "catboost", "extra_trees", "random_forest")
    ),
    *(
        f"family.{name}.portfolio=[{{}}]"
        for name in ("lightgbm", "xgboost", "catboost", "extra_trees", "random_forest")
    ),
]


def run(name, tmp_path, *overrides):
    """Fit on four fifths of an example with all families that fit its task; the run and the other fifth."""
    table = read(f"sklearn:{name}", installed().readers)
    test = np.arange(table.height) % 5 == 0
    config = compose(
        [
            "target=target",
            "split=kfold",
            "split.folds=2",
            "budget=5m",
            "search.prune=0",
            f"run.dir={tmp_path / 'run'}",
            *SMALL,
            "run.progress=quiet",
            *overrides,
        ]
    )
    return fit(config, table.filter(~test)), table.filter(pl.Series(test))


@pytest.mark.parametrize(
    ("name", "enough"),
    [
        ("breast_cancer", lambda p, t, y: roc_auc_score(y == "malignant", p.predict_proba(t)[:, 1]) > 0.97),
        ("wine", lambda p, t, y: log_loss(y, p.predict_proba(t), labels=p.classes_) < 0.25),
        ("diabetes", lambda p, t, y: r2_score(y, p.predict(t)) > 0.35),
    ],
)
def test_every_family_learns_and_the_ensemble_predicts_unseen_rows(name, enough, tmp_path):
    kind = "regression" if name == "diabetes" else "multiclass" if name == "wine" else "binary"
    families = [f.name for f in installed().select(None, kind) if f.name != "baseline"]
    got, test = run(name, tmp_path, f"budget.trials={len(families)}", "search.order=priority")
    assert sorted(t.family for t in got.trials) == sorted([*families, "baseline"])
    assert {t.name: (t.status, t.reason) for t in got.trials if t.status != "ok"} == {}
    assert (
        min(t.score if got.maximize else -t.score for t in got.trials[1:])
        > (1 if got.maximize else -1) * got.trials[0].score
    )
    predictor = load(tmp_path / "run")
    assert enough(predictor, test.drop("target"), test["target"].to_numpy())
    assert got.low < got.score < got.high
    assert predictor.evaluate(test)[got.task.metric] == pytest.approx(
        predictor.evaluate(test.sample(fraction=1, shuffle=True, seed=1))[got.task.metric]
    )


def test_weights_and_dates_and_text_go_all_the_way(tmp_path):
    rng = np.random.default_rng(0)
    n = 300
    hour = rng.integers(0, 24, n)
    words = rng.choice(["good fine great", "bad poor awful"], n)
    table = pl.DataFrame(
        {
            "when": [f"2024-01-{1 + i % 28:02d} {h:02d}:15:00" for i, h in enumerate(hour)],
            "said": [f"{w} number {i} of the things that people write" for i, w in enumerate(words)],
            "w": rng.uniform(0.5, 2, n),
            "y": np.where(hour > 12, 10.0, 0.0)
            + np.where(words == "good fine great", 5.0, 0.0)
            + rng.normal(size=n) / 10,
        }
    )
    config = compose(
        [
            "target=y",
            "weight=w",
            "families=[lightgbm,ridge]",
            "budget.trials=2",
            "split=holdout",
            "family.lightgbm.params.n_estimators=100",
            f"run.dir={tmp_path / 'run'}",
            "run.progress=quiet",
        ]
    )
    got = fit(config, table)
    assert {c.name: c.role for c in got.schema.columns} == {"when": "datetime", "said": "text"}
    assert {t.status for t in got.trials} == {"ok"}
    assert got.score < 2.5, "neither the hour nor the words alone get so far"
    assert len(load(tmp_path / "run").predict(table.drop("y", "w"))) == n
