"""What the three boosters have in common: rows and targets at the door, early stopping, a folder to lie in."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from automl_boosting.stopper import Stopper
from automl_boosting.target import Labels, Loss, Quantity, Rows

_CONTEXT = ("n_estimators", "loss", "metric", "random_state", "n_jobs")
_FEW = 256  # rows whose prediction is not worth a second thread
_SHARE = 50_000  # cells of X that make a thread worth while in training; fewer are waits for one another
_FILE = "boosting.json"


class Boosting(BaseEstimator):
    """A booster on its library's native interface.

    Its constructor's parameters have the library's own names; None stands for what `tuned` says for the kind of task.
    But `loss` is ours: of a regression whose metric is a squared error, ``squared``, or ``poisson`` or ``tweedie``
    where no target is below zero. Elsewhere it says nothing, and the metric says what is minimised. A library adds
    `_train`, `_raw`, `_write` and `_read`.

    Attributes
    ----------
    n_estimators_ : the rounds kept; where validation rows were given, a few more than were best on them.
    """

    tuned: ClassVar[Mapping[str, Any]] = {}
    n_estimators: int
    loss: str | None
    metric: str
    random_state: int | None
    n_jobs: int | None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        validation: tuple[Any, Any] | None = None,
        deadline: float | None = None,
        categories: Mapping[int, int] | None = None,
        monotone: Mapping[int, int] | None = None,
    ) -> Self:
        """Learn.

        Parameters
        ----------
        X : (n, p), numbers and codes, NaN where missing.
        y : (n,), labels or numbers.
        sample_weight : (n,), or None.
        validation : X and y of held-out rows; rounds well after the best one on them are dropped.
        deadline : seconds from now after which no further round is begun; one round is always done.
        categories : column number -> number of levels, for the columns of X that hold codes.
        monotone : column number -> 1 or -1: as the column rises, all else being equal, no value (of two classes, the
            probability of the second) falls, or rises for -1.

        Raises
        ------
        ValueError : one class only, or a target that the metric does not allow.
        """
        end = math.inf if deadline is None else time.perf_counter() + deadline
        X, y = validate_data(self, X, y, dtype=np.float32, order="C", ensure_all_finite="allow-nan")
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        self.target_ = self._learn_target(y)
        train, held = self.target_.rows(X, y, weight), None
        if validation is not None:
            held = self.target_.rows(self._matrix(validation[0]), np.asarray(validation[1]))
            held = held if len(held.y) else None
        self.categories_ = {int(column): int(levels) for column, levels in (categories or {}).items()}
        stopper = Stopper(end, rows=len(X))
        trends = [monotone.get(column, 0) for column in range(self.n_features_in_)] if monotone else []
        self.model_ = self._train(train, held, self.target_.loss, stopper, trends)
        self.n_estimators_ = stopper.kept
        return self

    def refit_params(self) -> dict[str, Any]:
        """What a fit without validation rows is to be told: the rounds that were best here."""
        return {"n_estimators": self.n_estimators_}

    def save(self, folder: Path) -> None:
        """Write the model in its library's own format, and the parameters as JSON, into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        said = {
            "params": self.get_params(),
            "target": self.target_.to_json(),
            "features": self.n_features_in_,
            "categories": self.categories_,
            "n_estimators": self.n_estimators_,
        }
        (folder / _FILE).write_text(json.dumps(said), encoding="utf-8")
        self._write(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The fitted booster that `save` wrote; it predicts the same bits."""
        said = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        self = cls(**said["params"])
        self.target_ = cls._target_type.from_json(said["target"])
        self.n_features_in_ = said["features"]
        self.categories_ = {int(column): levels for column, levels in said["categories"].items()}
        self.n_estimators_ = said["n_estimators"]
        self.model_ = self._read(folder)
        return self

    _target_type: ClassVar[type[Labels] | type[Quantity]]

    def _learn_target(self, y: np.ndarray) -> Labels | Quantity:
        raise NotImplementedError

    def _train(self, train: Rows, held: Rows | None, loss: Loss, stopper: Stopper, trends: list[int]) -> Any:
        """Boost until `stopper` says stop, and give a model of the rounds that are `kept`, or of all.

        `trends` has a 1, 0 or -1 for each column if some must be kept to, and is empty otherwise.
        """
        raise NotImplementedError

    def _raw(self, X: np.ndarray, threads: int) -> np.ndarray:
        """The model's answer: (n,) values or probabilities of the second class, or (n, classes) probabilities."""
        raise NotImplementedError

    def _write(self, folder: Path) -> None:
        raise NotImplementedError

    def _read(self, folder: Path) -> Any:
        raise NotImplementedError

    def _answer(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "model_")
        X = self._matrix(X)
        threads = 1 if len(X) < _FEW else int(effective_n_jobs(self.n_jobs))
        return np.asarray(self._raw(X, threads), dtype=np.float64)

    def _matrix(self, X: Any) -> np.ndarray:
        if type(X) is np.ndarray and X.dtype == np.float32 and X.ndim == 2 and X.flags.c_contiguous:
            wanted = getattr(self, "n_features_in_", None)
            if X.shape[1] == wanted and len(X) and not hasattr(self, "feature_names_in_") and not np.isinf(X).any():
                return X  # all that scikit-learn would check, in a fraction of the time that it takes for one row
        checked: np.ndarray = validate_data(
            self, X, dtype=np.float32, order="C", ensure_all_finite="allow-nan", reset=False
        )
        return checked

    def _threads(self, X: np.ndarray) -> int:
        most = X.size // _SHARE
        return max(1, min(int(effective_n_jobs(self.n_jobs)), most)) if most > 1 else 1

    @property
    def _seed(self) -> int:
        return (self.random_state or 0) % 2**31

    def _settings(self) -> dict[str, Any]:
        """The library's own parameters, with the tuned ones where none were given."""
        said = {name: value for name, value in self.get_params().items() if name not in _CONTEXT}
        chosen = {name: self.tuned.get(name) if value is None else value for name, value in said.items()}
        return {name: value for name, value in chosen.items() if value is not None}


class BoostedClassifier(ClassifierMixin):
    """Class probabilities and labels."""

    _target_type: ClassVar[type[Labels] | type[Quantity]] = Labels

    @property
    def classes_(self) -> np.ndarray:
        """The labels in the order of the probability columns."""
        classes: np.ndarray = self.target_.classes
        return classes

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities: float64 (n, classes)."""
        raw: np.ndarray = self._answer(X)
        return np.column_stack([1 - raw, raw]) if raw.ndim == 1 else raw

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label: (n,)."""
        shares = self.predict_proba(X)
        labels: np.ndarray = self.classes_[shares.argmax(axis=1)]
        return labels

    def _learn_target(self, y: np.ndarray) -> Labels:
        check_classification_targets(y)
        return Labels.learn(y)


class BoostedRegressor(RegressorMixin):
    """Values in the target's own unit."""

    _target_type: ClassVar[type[Labels] | type[Quantity]] = Quantity

    def predict(self, X: Any) -> np.ndarray:
        """Predicted values: float64 (n,)."""
        raw = self._answer(X)
        values: np.ndarray = self.target_.restore(raw)
        return values

    def _learn_target(self, y: np.ndarray) -> Quantity:
        return Quantity.learn(np.asarray(y, dtype=np.float64), self.metric, self.loss)
