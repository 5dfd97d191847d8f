"""A multilayer perceptron in Keras, as two scikit-learn estimators. Keras is imported when one learns or predicts."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

if TYPE_CHECKING:
    from automl_keras.training import Settings

_STATE, _WEIGHTS = "keras.json", "keras.npz"


class KerasNetwork(BaseEstimator):
    """What classifier and regressor share.

    Parameters
    ----------
    width, depth : units of a hidden layer, and how many layers.
    dropout, weight_decay : regularisation.
    learning_rate : of AdamW.
    epochs : passes over the rows at most.
    batch_size : rows of a step.
    patience : epochs without a gain on the validation rows after which learning ends.
    """

    def __init__(
        self,
        width: int = 128,
        depth: int = 2,
        dropout: float = 0.1,
        weight_decay: float = 0.004,
        learning_rate: float = 0.002,
        epochs: int = 100,
        batch_size: int = 128,
        patience: int = 12,
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.width = width
        self.depth = depth
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.patience = patience
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        validation: tuple[Any, Any] | None = None,
        deadline: float | None = None,
    ) -> Self:
        """Learn.

        Parameters
        ----------
        X : (n, p), finite.
        y : (n,), labels or numbers.
        sample_weight : (n,), or None.
        validation : X and y of held-out rows; the weights of the epoch that is best on them are kept.
        deadline : seconds from now that learning may take.

        Raises
        ------
        ValueError : one class only.
        """
        from automl_keras.training import train

        end = time.perf_counter() + (math.inf if deadline is None else deadline)
        X, y = validate_data(self, X, y, dtype=np.float32)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float32)
        target = self._learn_target(y)
        held = None if validation is None else self._held(*validation)
        self.network_, self.n_epochs_ = train(self._settings(), X, target, weight, held, end)
        return self

    def save(self, folder: Path) -> None:
        """Write the weights as arrays, and the rest as JSON, into `folder`: no file says which code is to be run."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / _WEIGHTS, *self.network_.get_weights())
        said = {"params": self.get_params(), "features": self.n_features_in_, "epochs": self.n_epochs_}
        (folder / _STATE).write_text(json.dumps({**said, **self._facts()}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The fitted network that `save` wrote; with the same backend it predicts the same bits."""
        from automl_keras.training import build

        said = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        self = cls(**said["params"])
        self.n_features_in_, self.n_epochs_ = said["features"], said["epochs"]
        self._restore(said)
        self.network_ = build(self._settings())
        with np.load(folder / _WEIGHTS, allow_pickle=False) as arrays:
            self.network_.set_weights([arrays[f"arr_{i}"] for i in range(len(arrays.files))])
        return self

    def _settings(self) -> Settings:
        from automl_keras.training import Settings

        return Settings(
            inputs=self.n_features_in_,
            outputs=self._outputs,
            width=self.width,
            depth=self.depth,
            dropout=self.dropout,
            decay=self.weight_decay,
            learning=self.learning_rate,
            epochs=self.epochs,
            batch=self.batch_size,
            patience=self.patience,
            seed=(self.random_state or 0) % 2**31,
            threads=self.n_jobs,
        )

    def _raw(self, X: Any) -> np.ndarray:
        from automl_keras.training import answer

        check_is_fitted(self, "network_")
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return answer(self._settings(), self.network_, X)

    @property
    def _outputs(self) -> int:
        raise NotImplementedError

    def _learn_target(self, y: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _held(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray] | None:
        raise NotImplementedError

    def _facts(self) -> dict[str, Any]:
        raise NotImplementedError

    def _restore(self, facts: dict[str, Any]) -> None:
        raise NotImplementedError


class KerasClassifier(ClassifierMixin, KerasNetwork):
    """Class probabilities by a softmax, learned on log loss."""

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities: float64 (n, classes)."""
        raw = self._raw(X)
        shares: np.ndarray = np.exp(raw - raw.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label: (n,)."""
        labels: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels

    @property
    def _outputs(self) -> int:
        return len(self.classes_)

    def _learn_target(self, y: np.ndarray) -> np.ndarray:
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"the training rows have only one class, {self.classes_[0]!r}: there is nothing to learn")
        return codes.astype(np.int64)

    def _held(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray] | None:
        known = np.isin(y, self.classes_)
        rows = np.asarray(X, dtype=np.float32)[known]
        return (rows, np.searchsorted(self.classes_, np.asarray(y)[known])) if known.any() else None

    def _facts(self) -> dict[str, Any]:
        return {"classes": self.classes_.tolist()}

    def _restore(self, facts: dict[str, Any]) -> None:
        self.classes_ = np.array(facts["classes"])


class KerasRegressor(RegressorMixin, KerasNetwork):
    """Values on the target's standard scale, learned on squared error, within the range of the training rows."""

    def predict(self, X: Any) -> np.ndarray:
        """Predicted values: float64 (n,)."""
        return np.clip(self._raw(X)[:, 0] * self._scale + self._centre, self._low, self._high)

    @property
    def _outputs(self) -> int:
        return 0

    def _learn_target(self, y: np.ndarray) -> np.ndarray:
        y = y.astype(np.float64)
        self._centre, self._scale = float(y.mean()), float(y.std()) or 1.0
        self._low, self._high = float(y.min()), float(y.max())
        return self._scaled(y)

    def _scaled(self, y: Any) -> np.ndarray:
        return ((np.asarray(y, dtype=np.float64) - self._centre) / self._scale).astype(np.float32).reshape(-1, 1)

    def _held(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray] | None:
        return (np.asarray(X, dtype=np.float32), self._scaled(y)) if len(y) else None

    def _facts(self) -> dict[str, Any]:
        return {"target": [self._centre, self._scale, self._low, self._high]}

    def _restore(self, facts: dict[str, Any]) -> None:
        self._centre, self._scale, self._low, self._high = facts["target"]
