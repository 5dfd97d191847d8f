"""`data.monotone`: the predictor keeps to it, ensemble and calibration included, or there is none."""

import numpy as np
import pandas as pd
import pytest

from automl import load
from automl.compose import compose
from automl.errors import ConfigError
from automl.fit import fit
from automl.plan import plan

SMALL = ["executor=inprocess", "run.progress=quiet", "split=kfold", "split.folds=2", "search.prune=0", "target=y"]
SMALL += [f"family.{name}.params.n_estimators=60" for name in ("lightgbm", "xgboost", "catboost")]
KEPT = "data.monotone={age: increasing, price: decreasing}"


def table(kind, n=500, seed=0):
    """A target that waves with age and falls with price, but for some."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": rng.uniform(0, 6, n), "price": rng.normal(size=n), "town": rng.choice([*"abc"], n)})
    wave = frame.age + 2 * np.sin(3 * frame.age) - frame.price * (frame.town != "a") + rng.normal(size=n)
    labels = np.where(wave > wave.median(), "yes", "no")
    frame["y"] = {"regression": wave, "binary": labels, "multiclass": wave.round().astype(int) % 3}[kind]
    return frame.mask(rng.random(frame.shape) < 0.05).dropna(subset="y")


def said(kind, *overrides):
    return compose([*SMALL, f"task={kind}", *overrides])


@pytest.mark.parametrize(
    ("kind", "metric", "fast"),
    [("binary", "log_loss", False), ("binary", "f1", True), ("regression", "rmse", True), ("regression", "mae", False)],
)
def test_the_whole_predictor_keeps_to_the_trends(kind, metric, fast, tmp_path):
    data = table(kind)
    predictor = "predictor=fast" if fast else "predictor=full"
    config = said(kind, KEPT, f"metric={metric}", predictor, "budget.trials=6", f"run.dir={tmp_path / 'run'}")
    run = fit(config, data)
    assert {trial.status for trial in run.trials} == {"ok"}, [trial.reason for trial in run.trials]
    model = load(run.folder)
    assert {member.family for member in model.members} <= {"lightgbm", "xgboost", "catboost"}
    rows = data.sample(60, random_state=1).drop(columns="y")
    for column, way in (("age", 1), ("price", -1)):
        swept = rows.loc[rows.index.repeat(40)].assign(**{column: np.tile(np.linspace(-4, 8, 40), len(rows))})
        answers = model.predict_proba(swept)[:, 1] if kind == "binary" else model.predict(swept)
        assert (way * np.diff(answers.reshape(-1, 40), axis=1)).min() >= -1e-12
        assert np.ptp(answers.reshape(-1, 40), axis=1).max() > 0.05
        if kind == "binary":
            labels = (model.predict(swept) == "yes").reshape(-1, 40).astype(int)
            assert (way * np.diff(labels, axis=1)).min() >= 0


def test_families_that_cannot_keep_to_it_do_not_race_and_it_is_said():
    planned = plan(said("binary", KEPT, "families=[lightgbm,logistic,extra_trees]"), table("binary"))
    assert set(planned.families) == {"lightgbm", "baseline"}
    assert "logistic, extra_trees cannot keep to data.monotone and will not race" in "; ".join(planned.notes)
    assert planned.facts["monotone"] == "age increasing, price decreasing"
    assert planned.schema.monotone == {"age": 1, "price": -1}


def test_a_baseline_that_cannot_keep_to_it_is_left_out():
    planned = plan(said("binary", KEPT, "families=[lightgbm]", "baseline=logistic"), table("binary"))
    assert planned.baseline is None
    assert set(planned.families) == {"lightgbm"}
    assert "the baseline logistic cannot keep to data.monotone and will not race" in planned.notes


@pytest.mark.parametrize(
    ("kind", "overrides", "message"),
    [
        ("multiclass", [KEPT], "two classes to predict"),
        ("binary", [KEPT, "families=[logistic]"], "logistic cannot keep to it.*Families that can: .*lightgbm"),
        ("binary", ["data.monotone.ag=increasing"], r"data\.monotone\.ag: .*did you mean 'age'"),
        ("binary", ["data.monotone.age=increasin"], "must be increasing or decreasing; did you mean 'increasing'"),
        ("binary", ["data.monotone.town=increasing"], r"the column is category .*data\.roles\.town=numeric"),
        ("binary", ["data.monotone.age=increasing", "data.drop=[age]"], r"the column is ignored \(left out by data"),
    ],
)
def test_what_cannot_be_kept_is_refused(kind, overrides, message):
    with pytest.raises(ConfigError, match=message):
        plan(said(kind, *overrides), table(kind))
