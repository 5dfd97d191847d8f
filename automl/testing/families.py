"""The checks of a family: what every one must keep to. Those of declared capabilities are in `capabilities`."""

from __future__ import annotations

import contextlib
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from automl.config import FamilyConf
from automl.errors import ContractError
from automl.family import Family
from automl.space import suggest
from automl.testing.capabilities import CAPABLE
from automl.testing.checks import Broken, Check, check_all, expect, told
from automl.testing.child import REPEATS
from automl.testing.data import LACKING, UNSEEN
from automl.testing.subject import Subject, quiet, shortened

_SAMPLED = 2  # points of the space for each task kind
_LONGEST_IMPORT = 0.5  # CPU seconds
_MOST_GROWTH = 3e6  # bytes a fit
_FORBIDDEN = (".pkl", ".pickle", ".joblib", ".pt", ".pth")

# Of scikit-learn's own checks those that hold for any family; the second lot fits arrays of its own.
_BARE = (
    *("check_parameters_default_constructible", "check_no_attributes_set_in_init", "check_estimator_cloneable"),
    *("check_estimator_repr", "check_get_params_invariance", "check_set_params", "check_mixin_order"),
    *("check_do_not_raise_errors_in_init_or_set_params", "check_valid_tag_types"),
)
_FITTED = (
    *("check_estimators_fit_returns_self", "check_estimators_overwrite_params", "check_dont_overwrite_parameters"),
    *("check_dict_unchanged", "check_fit_idempotent", "check_fit_score_takes_y"),
)


def check_family(family: str | Family) -> None:
    """Run every check on a family.

    Raises
    ------
    AssertionError : lists all checks that failed, what each saw and how to mend it.
    ConfigError : no family of that name is installed.
    """
    __tracebackhide__ = True
    check_all(family_checks(family))


def family_checks(family: str | Family) -> list[Check]:
    """The checks of a family, one for each thing that it must do, without those of capabilities not declared.

    >>> @pytest.mark.parametrize("check", family_checks("mygam"), ids=str)
    ... def test_mygam(check):
    ...     check()

    Parameters
    ----------
    family : the name of an installed family, or a `Family`; one that no plugin adds is not checked for its config, its
        import and its life in a run.

    Raises
    ------
    ConfigError : no family of that name is installed.
    """
    subject = Subject(family)
    if subject.family.missing:
        return [_check(subject, requires, "install the library, as by the plugin's extra")]
    chosen = [(function, mend) for function, mend in CHECKS if _applies(subject, function)]
    chosen += [(function, mend) for needed, function, mend in CAPABLE if needed in subject.family.can]
    return [_check(subject, function, mend) for function, mend in chosen]


def _check(subject: Subject, function: Callable[[Subject], None], mend: str) -> Check:
    look = partial(function, subject)
    return Check(function.__name__, subject.of, subject.family.name, mend, look)


def _applies(subject: Subject, function: Callable[[Subject], None]) -> bool:
    if function in (learns, two_workers) and subject.is_baseline:
        return False  # it is what a constant can do, and every run has it beside the families that race
    if function is probabilities:
        return subject.kinds != ["regression"]
    if function is imports:
        return bool(subject.family.plugin)
    return subject.is_installed or function not in (config, two_workers)


def requires(subject: Subject) -> None:
    """The libraries that it names are installed."""
    raise Broken(f"needs {', '.join(subject.family.missing)}, which is not installed; nothing else was looked at")


def config(subject: Subject) -> None:
    """Its YAML has known keys, names parameters of the estimator, and its portfolio lies inside the space."""
    name, known = subject.family.name, [item.name for item in fields(FamilyConf)]
    for key in subject.said:
        expect(key in known, f"conf/family/{name}.yaml has the unknown key {key!r}; known: {', '.join(known)}")
    spec = subject.spec  # reads the space
    for kind in subject.kinds:
        subject.family.check(kind, spec.params, f"family.{name}.params")
        subject.family.check(kind, spec.space, f"family.{name}.space")
        for i, entry in enumerate(spec.portfolio):
            subject.family.check(kind, entry, f"family.{name}.portfolio[{i}]")
    for i, entry in enumerate(spec.portfolio):
        for key, value in entry.items():
            inside = spec.space[key].values.clip(value) if key in spec.space else value
            expect(inside == value, f"portfolio[{i}].{key} is {value}, outside of the space; nearest inside: {inside}")
    drawn: set[str] = set()
    for key, dimension in spec.space.items():
        for other in dimension.when:
            expect(other in drawn, f"space.{key}.when names {other!r}, which the space does not say before it")
        drawn.add(key)


def imports(subject: Subject) -> None:
    """The plugin's module is imported quickly, without libraries; what it requires starts no threads."""
    seen = subject.seen("imports")
    expect(not seen["foreign"], f"importing the plugin imports {', '.join(seen['foreign'])}")
    expect(seen["seconds"] < _LONGEST_IMPORT, f"importing the plugin takes {seen['seconds']:.2f} s of CPU")
    mend = "workers are forked from where it was imported: leave it out of `requires`, and import it in fit"
    expect(not seen["busy"], f"importing {', '.join(seen['busy'])}, which it requires, starts threads", mend)


def estimator(subject: Subject) -> None:
    """scikit-learn's own checks that apply, by name; and a fit leaves X and y as they were."""
    from sklearn.utils import estimator_checks

    kinds = {subject.family.load(kind): kind for kind in reversed(subject.kinds)}
    given: Any
    for cls, kind in kinds.items():
        names = _BARE if subject.family.views[0] == "frame" else (*_BARE, *_FITTED)
        for name in names:
            fresh = cls() if name in _BARE else shortened(cls(), 5)
            try:
                with quiet():
                    getattr(estimator_checks, name)(cls.__name__, fresh)
            except Exception as error:
                raise Broken(f"{cls.__name__} fails scikit-learn's {name}: {told(error)}") from error
        _, X, _, y, _ = subject.rows(kind)
        given, labels = (np.array(X) if isinstance(X, np.ndarray) else X.clone()), y.copy()
        subject.fit(kind, rounds=5, rows=(given, labels))
        same = np.array_equal(given, X, equal_nan=True) if isinstance(X, np.ndarray) else given.equals(X)
        expect(same and np.array_equal(labels, y), f"{kind}: fit changes the X or y that it is given", "work on a copy")


def fits(subject: Subject) -> None:
    """The first candidate fits mixed columns with missing values, and predicts finite values of the right shape."""
    for kind in subject.kinds:
        try:
            model = subject.fit(kind)
            subject.predict(kind, model, subject.rows(kind)[2])
        except ContractError:
            raise
        except Exception as error:
            raise Broken(f"{kind}: {told(error)}") from error
        subject.keep(kind, model)


def space(subject: Subject) -> None:
    """Every portfolio entry, and points sampled from the space, can be built and fitted, and predict."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for kind in subject.kinds:
        sampled = [suggest(subject.spec.space, study.ask()) for _ in range(_SAMPLED)] if subject.spec.space else []
        points = [*subject.spec.candidates, *({**subject.spec.params, **point} for point in sampled)]
        for params in points:
            try:
                model = subject.fit(kind, params=params, rounds=8, deadline=0.3)
                subject.predict(kind, model, subject.rows(kind, params=params)[2])
            except Exception as error:
                raise Broken(f"{kind}, with {params}: {told(error)}") from error


def learns(subject: Subject) -> None:
    """It is better than the best constant, on a table that is easy."""
    for kind in subject.kinds:
        _, _, X, y, y_valid = subject.rows(kind)
        answer = subject.predict(kind, subject.model(kind), X)
        if kind == "regression":
            spread = np.abs(y_valid - np.median(y)).mean()
            error = np.abs(y_valid - answer).mean()
            expect(error < 0.9 * spread, f"regression: mean error {error:.3g}, that of the median {spread:.3g}")
        else:
            right, most = (answer.argmax(axis=1) == y_valid).mean(), np.bincount(y_valid).max() / len(y_valid)
            expect(right > most + 0.1, f"{kind}: {right:.0%} right; the most frequent class has {most:.0%}")


def probabilities(subject: Subject) -> None:
    """Probabilities are finite, within 0 and 1, sum to one, and stand in the order of the class codes."""
    for kind in subject.kinds:
        if kind == "regression":
            continue
        _, _, X, y, y_valid = subject.rows(kind)
        _probable(kind, subject.model(kind), X, np.unique(y))
        answer = subject.predict(kind, subject.model(kind), X)
        for code in range(answer.shape[1]):
            mine, others = answer[y_valid == code, code].mean(), answer[y_valid != code, code].mean()
            expect(
                mine > others - 0.05,
                f"{kind}: column {code} is {mine:.2f} on rows of class {code} and {others:.2f} on others: "
                "the columns are in another order",
                "give the columns in the order of classes_, which are the sorted codes",
            )
    if "multiclass" in subject.kinds:
        _, _, X, y, _ = subject.rows("multiclass", LACKING)
        _probable("multiclass, trained on rows that lack a class", subject.fit("multiclass", LACKING), X, np.unique(y))


def _probable(where: str, model: Any, X: Any, codes: np.ndarray) -> None:
    classes = np.asarray(getattr(model, "classes_", []))
    mend = "set classes_ = np.unique(y) in fit"
    expect(np.array_equal(classes, codes), f"{where}: classes_ is {classes.tolist()}, not {codes.tolist()}", mend)
    if not hasattr(model, "predict_proba"):
        return
    with quiet():
        answer = np.asarray(model.predict_proba(X))
    wanted = (len(X), len(codes))
    expect(answer.shape == wanted, f"{where}: predict_proba has shape {answer.shape}, not {wanted}")
    expect(np.isfinite(answer).all(), f"{where}: predict_proba has {(~np.isfinite(answer)).sum()} values not finite")
    expect(
        (answer >= 0).all() and (answer <= 1 + 1e-6).all(),
        f"{where}: probabilities reach from {answer.min():.3g} to {answer.max():.3g}",
    )
    sums = answer.sum(axis=1)
    expect(
        np.allclose(sums, 1, atol=1e-5),
        f"{where}: rows sum to {sums.min():.4g} .. {sums.max():.4g}, not to 1",
        "divide each row of predict_proba by its sum",
    )


def rows_alone(subject: Subject) -> None:
    """The prediction of a row depends neither on the other rows, nor on their order or number."""
    for kind in subject.kinds:
        model, X = subject.model(kind), subject.rows(kind)[2]
        whole = subject.predict(kind, model, X)
        scale = float(np.abs(whole).max()) or 1.0
        order = np.random.default_rng(0).permutation(len(X))
        turned = np.empty_like(whole)
        turned[order] = subject.predict(kind, model, X[order])
        few = [X[i : i + 7] for i in range(0, 28, 7)] + [X[i : i + 1] for i in range(28, 34)]
        alone = np.concatenate([subject.predict(kind, model, part) for part in few])
        for what, other in (("in another order", turned), ("in small batches", alone)):
            off = float(np.abs(other - whole[: len(other)]).max())
            expect(off <= 1e-5 * scale, f"{kind}: rows given {what} are predicted differently, by up to {off:.3g}")


def same_seed(subject: Subject) -> None:
    """Two fits with one random_state answer the same."""
    for kind in subject.kinds:
        X = subject.rows(kind)[2]
        first = subject.predict(kind, subject.model(kind), X)
        again = subject.predict(kind, subject.fit(kind), X)
        off = float(np.abs(first - again).max())
        expect(off == 0, f"{kind}: two fits with random_state=0 differ by up to {off:.3g}")


def missing_and_unseen(subject: Subject) -> None:
    """Missing values, levels that were never seen, and far numbers are predicted, as finite values."""
    for kind in subject.kinds:
        X, strange = subject.rows(kind)[2], subject.rows(kind, UNSEEN)[2]
        model = subject.model(kind)
        for i in range(len(strange)):
            try:
                subject.predict(kind, model, strange[i : i + 1])
            except Exception as error:
                raise Broken(f"{kind}: a row of values that no training row had: {told(error)}") from error
        expect(len(subject.predict(kind, model, X[:1])) == 1, f"{kind}: one row alone is not one prediction")


def saved(subject: Subject) -> None:
    """Saved, and loaded by a fresh process, it predicts the same bits; and there is no pickle in its files."""
    for kind in subject.kinds:
        folder = subject.saved(kind)
        for file in sorted(path for path in (folder / "model").rglob("*") if path.is_file()):
            found = next((name for name, data in _parts(file) if _is_pickle(name, data)), None)
            expect(found is None, f"{kind}: {file.name} has a pickle in it ({found})")
    loaded = subject.seen("loaded")
    expect(not loaded["pickles"], f"loading it unpickles {', '.join(loaded['pickles'][:3])}")
    for kind in subject.kinds:
        here, there = (np.load(subject.saved(kind) / f"{name}.npy") for name in ("answer", "again"))
        off = float(np.abs(here - there).max())
        expect(off == 0, f"{kind}: loaded in a fresh process, it predicts differently, by up to {off:.3g}")


def _parts(file: Path) -> Iterator[tuple[str, bytes]]:
    """A file, or what is in it where it is an archive."""
    if not zipfile.is_zipfile(file):
        yield file.name, file.read_bytes()
        return
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)


def _is_pickle(name: str, data: bytes) -> bool:
    if name.endswith(_FORBIDDEN) or (name.endswith(".npy") and b"'|O'" in data[:200]):
        return True
    with contextlib.suppress(Exception):  # it is no pickle
        codes = [(code.name, at) for code, _, at in pickletools.genops(data)]
        return len(codes) > 1 and codes[-1] == ("STOP", len(data) - 1)
    return False


def writes(subject: Subject) -> None:
    """Fit, predict and save write nothing outside the folder that is given, and ask no network."""
    seen = subject.seen("watched")
    expect(not seen["network"], "; ".join(seen["network"][:3]), "ask nothing of a network while a trial runs")
    expect(not seen["writes"], "; ".join(seen["writes"][:3]))
    left = subject.child["left"]
    expect(not left, f"leaves {', '.join(left[:5])} in the working or the temporary folder")


def memory(subject: Subject) -> None:
    """Repeated fits in one process do not take more and more memory."""
    before, after = subject.seen("memory")
    grown = (after - before) / REPEATS
    expect(grown < _MOST_GROWTH, f"each fit of 400 rows leaves {grown / 1e6:.1f} MB behind")


def two_workers(subject: Subject) -> None:
    """A run with two local workers: every trial ends well."""
    from automl.estimator import AutoML
    from automl.testing.data import CLASSES, example

    kind = subject.kinds[0]
    table, y = example(kind)
    labels = np.array(CLASSES[kind])[y] if CLASSES[kind] else y
    said = ["executor=local", "executor.slots=2", "executor.threads=1", "split=holdout", "budget.trials=3"]
    with quiet():
        run = AutoML(
            task=kind,
            families=[subject.family.name],
            time_budget=60,
            random_state=0,
            output_dir=subject.folder / "run",
            overrides=[*said, "run.progress=quiet"],
        ).fit(table, labels)
    mine = [trial for trial in run.trials_ if trial.family == subject.family.name]
    bad = [trial for trial in mine if trial.status not in ("ok", "pruned")]
    expect(mine, "the run tried it with nothing")
    expect(not bad, "; ".join(f"{trial.name} {trial.status}: {trial.reason}" for trial in bad[:3]))


CHECKS: tuple[tuple[Callable[[Subject], None], str], ...] = (
    (config, "correct conf/family/NAME.yaml; `get_params` of the estimator lists its parameters"),
    (imports, "name the estimator by its place, 'package.module:Class', and import libraries in that module only"),
    (
        estimator,
        "store the constructor's arguments unchanged and learn in fit alone; see scikit-learn's developer guide",
    ),
    (fits, "take the view that `eats` names as it is (codes and encoded have NaN, dense has none), and y as codes"),
    (space, "narrow the space or the portfolio to what the estimator takes, or say under which `when` it matters"),
    (learns, "look whether fit uses X and y as given, and whether the first candidate is a sensible one"),
    (probabilities, "give predict_proba (n, classes) in the order of classes_, the sorted codes seen in fit"),
    (rows_alone, "learn every statistic in fit; predict must not look at more than one row at a time"),
    (same_seed, "take the constructor's parameter random_state, and pass it to everything that draws"),
    (missing_and_unseen, "treat NaN at predict as at fit, also where no training row had one; or eat dense"),
    (saved, "give the estimator save(folder) and the class method load(folder), of JSON and .npz; never pickle"),
    (writes, "switch off the library's own files (such as a training log), or send them to the folder given"),
    (memory, "keep nothing of a fit in globals, caches or class attributes"),
    (two_workers, "rely on nothing that one process has alone: no lock, port, terminal or main module"),
)
