"""The linear families: sensible on real data, the same in every unit, clear about targets they cannot take."""

import time

import numpy as np
import pytest
import skops.io
from conftest import spec_of
from sklearn.base import clone
from sklearn.linear_model import QuantileRegressor, TweedieRegressor
from sklearn.metrics import mean_pinball_loss, r2_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

import automl_linear

FAMILIES = {family.name: family for family in automl_linear.automl_families()}
REGRESSORS = ["ridge", "elastic_net", "glm", "quantile"]


@pytest.fixture(scope="module")
def dense(tables):
    scaled = {}
    for kind, (X, X_test, y, y_test) in tables.items():
        scaler = StandardScaler().fit(X)
        scaled[kind] = scaler.transform(X), scaler.transform(X_test), y, y_test
    return scaled


@pytest.mark.parametrize("name", REGRESSORS)
def test_every_candidate_regresses(name, dense):
    X, X_test, y, y_test = dense["regression"]
    for params in spec_of(automl_linear, FAMILIES[name]).candidates:
        model = clone(FAMILIES[name].build("regression", params, metric="rmse", random_state=0)).fit(X, y)
        assert r2_score(y_test, model.predict(X_test)) > 0.3, params


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_every_candidate_classifies(kind, dense):
    X, X_test, y, y_test = dense[kind]
    for params in spec_of(automl_linear, FAMILIES["logistic"]).candidates:
        shares = clone(FAMILIES["logistic"].build(kind, params, random_state=0)).fit(X, y).predict_proba(X_test)
        assert roc_auc_score(y_test, shares if kind == "multiclass" else shares[:, 1], multi_class="ovr") > 0.98, params


@pytest.mark.parametrize("name", REGRESSORS)
def test_weights_change_the_fit(name, dense):
    X, _, y, _ = dense["regression"]
    weight = np.where(y > np.median(y), 5.0, 1.0)
    build = FAMILIES[name].build
    assert (
        build("regression", {}).fit(X, y, sample_weight=weight).predict(X).mean()
        > build("regression", {}).fit(X, y).predict(X).mean() + 5
    )


@pytest.mark.parametrize("name", REGRESSORS)
def test_the_unit_of_the_target_does_not_matter(name, dense):
    X, X_test, y, _ = dense["regression"]
    said = {"alpha": 100.0} if name == "ridge" else {}
    small = FAMILIES[name].build("regression", said).fit(X, y).predict(X_test)
    large = FAMILIES[name].build("regression", said).fit(X, y * 1e6).predict(X_test)
    np.testing.assert_allclose(large, small * 1e6, rtol=2e-3)


@pytest.mark.parametrize("name", REGRESSORS)
def test_stored_without_trusting_any_foreign_type(name, dense):
    X, X_test, y, _ = dense["regression"]
    model = FAMILIES[name].build("regression", {}).fit(X, y)
    blob = skops.io.dumps(model)
    untrusted = skops.io.get_untrusted_types(data=blob)
    assert set(untrusted) <= {f"{type(model).__module__}.{type(model).__name__}"}
    assert (skops.io.loads(blob, trusted=untrusted).predict(X_test) == model.predict(X_test)).all()


@pytest.mark.parametrize(
    ("power", "y", "said"),
    [
        (1.0, [-1.0, 0.0, 2.0], "never negative, but 1 of 3 are"),
        (2.0, [0.0, 1.0, 2.0], "1 of 3 are 0: say power < 2"),
        (1.0, [0.0, 0.0, 0.0], "nothing to learn"),
    ],
)
def test_glm_says_which_targets_it_cannot_take(power, y, said):
    with pytest.raises(ValueError, match=said):
        FAMILIES["glm"].build("regression", {"power": power}).fit(np.eye(3), np.array(y))


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_glm_is_scikit_learns_with_a_log_link(power, dense):
    X, X_test, y, _ = dense["regression"]
    ours = FAMILIES["glm"].build("regression", {"power": power, "alpha": 0.0}).fit(X, y)
    theirs = TweedieRegressor(power=power, alpha=0.0, link="log", max_iter=1000, tol=1e-6).fit(X, y)
    np.testing.assert_allclose(ours.predict(X_test), theirs.predict(X_test), rtol=1e-2)


def test_glm_stays_finite_on_an_outlier(dense):
    X, _, y, _ = dense["regression"]
    model = FAMILIES["glm"].build("regression", {}).fit(X, y)
    assert model.predict(np.sign(model.coef_)[None, :] * 1e6) == pytest.approx(10 * y.max())


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_quantile_is_as_good_as_the_linear_program(level, dense):
    X, X_test, y, y_test = dense["regression"]
    ours = FAMILIES["quantile"].build("regression", {}, metric=f"pinball@{level}").fit(X, y)
    exact = QuantileRegressor(quantile=level, alpha=0.0).fit(X, y)
    assert np.mean(y <= ours.predict(X)) == pytest.approx(level, abs=0.01)
    loss = mean_pinball_loss(y_test, ours.predict(X_test), alpha=level)
    assert loss < 1.03 * mean_pinball_loss(y_test, exact.predict(X_test), alpha=level)


def test_quantile_keeps_its_deadline():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 100)).astype(np.float32) * np.logspace(-3, 3, 100, dtype=np.float32)
    start = time.perf_counter()
    FAMILIES["quantile"].build("regression", {"max_iter": 100_000}).fit(X, X @ rng.normal(size=100), deadline=0.5)
    assert time.perf_counter() - start < 10
