"""A multilayer perceptron after RealMLP-TD (Holzmüller, Grinsztajn and Steinwart 2024, "Better by default")."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from automl_neural.network import Answer, Settings, train

_STATE, _WEIGHTS = "mlp.json", "mlp.npz"


class MLP(BaseEstimator):
    """What classifier and regressor share.

    Parameters
    ----------
    width, depth : units of a hidden layer, and how many layers.
    epochs : passes over the rows; fewer where the deadline does not carry them.
    batch_size : rows of a step at most; small tables have fewer, for the sake of more steps.
    learning_rate : the highest of the cycle; None for the one tuned for the kind of task.
    dropout, weight_decay : regularisation; both fade out towards the end.
    embed : whether numbers pass through periodic embeddings; 0/1 columns never do.
    frequency : the standard deviation of their frequencies at the start.
    stop : the epoch after which to stop, the cycle being that of all `epochs`; None for the last one.
    """

    learning: ClassVar[float]

    def __init__(
        self,
        width: int = 192,
        depth: int = 3,
        epochs: int = 64,
        batch_size: int = 256,
        learning_rate: float | None = None,
        dropout: float = 0.15,
        weight_decay: float = 0.02,
        embed: bool = True,
        frequency: float = 0.1,
        stop: int | None = None,
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.width = width
        self.depth = depth
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.embed = embed
        self.frequency = frequency
        self.stop = stop
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
        deadline : seconds from now that learning may take; the cycle of the learning rate is made to end by then.

        Raises
        ------
        ValueError : one class only.
        """
        end = time.perf_counter() + (math.inf if deadline is None else deadline)
        X, y = validate_data(self, X, y, dtype=np.float32, order="C")
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float32)
        target = self._learn_target(y)
        held = None
        if validation is not None:
            X_held = validate_data(self, validation[0], dtype=np.float32, order="C", reset=False)
            held = self._held(X_held, np.asarray(validation[1]))
        settings = Settings(
            outputs=self._outputs,
            width=self.width,
            depth=self.depth,
            epochs=self.epochs,
            batch=self.batch_size,
            learning=self.learning if self.learning_rate is None else self.learning_rate,
            dropout=self.dropout,
            decay=self.weight_decay,
            embed=self.embed,
            frequency=self.frequency,
            seed=(self.random_state or 0) % 2**31,
            threads=self.n_jobs or 1,
            stop=self.stop,
        )
        self.answer_, self.n_epochs_, self.cycle_ = train(settings, X, target, weight, held, end)
        return self

    def refit_params(self) -> dict[str, Any]:
        """What a fit without validation rows is to be told: the epochs of the cycle, and the one that was best."""
        return {"epochs": self.cycle_, "stop": self.n_epochs_}

    def save(self, folder: Path) -> None:
        """Write the weights as arrays, and the parameters as JSON, into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {**self.answer_.arrays, **self._arrays()}
        np.savez(folder / _WEIGHTS, **arrays)
        said = {"params": self.get_params(), "features": self.n_features_in_, "epochs": self.n_epochs_}
        said["cycle"] = self.cycle_
        (folder / _STATE).write_text(json.dumps(said), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The fitted network that `save` wrote; it predicts the same bits, and needs no torch."""
        said = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        self = cls(**said["params"])
        self.n_features_in_, self.n_epochs_, self.cycle_ = said["features"], said["epochs"], said["cycle"]
        with np.load(folder / _WEIGHTS, allow_pickle=False) as arrays:
            held = dict(arrays)
        self._restore(held)
        self.answer_ = Answer(held)
        return self

    def _raw(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "answer_")
        X = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        return self.answer_(X)

    @property
    def _outputs(self) -> int:
        raise NotImplementedError

    def _learn_target(self, y: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _held(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        raise NotImplementedError

    def _arrays(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        raise NotImplementedError


class MLPClassifier(ClassifierMixin, MLP):
    """Class probabilities by a softmax, learned on log loss."""

    learning: ClassVar = 0.04

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities: float64 (n, classes)."""
        raw = self._raw(X).astype(np.float64)
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

    def _held(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        known = np.isin(y, self.classes_)
        return (X[known], np.searchsorted(self.classes_, y[known])) if known.any() else None

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"classes": self.classes_}

    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        self.classes_ = arrays.pop("classes")


class MLPRegressor(RegressorMixin, MLP):
    """Values on the target's standard scale, learned on squared error, within the range of the training rows."""

    learning: ClassVar = 0.04

    def predict(self, X: Any) -> np.ndarray:
        """Predicted values: float64 (n,)."""
        raw = self._raw(X)[:, 0].astype(np.float64) * self._scale + self._centre
        return np.clip(raw, self._low, self._high)

    @property
    def _outputs(self) -> int:
        return 1

    def _learn_target(self, y: np.ndarray) -> np.ndarray:
        y = np.asarray(y, dtype=np.float64)
        self._centre, self._scale = float(y.mean()), float(y.std()) or 1.0
        self._low, self._high = float(y.min()), float(y.max())
        return self._scaled(y)

    def _scaled(self, y: np.ndarray) -> np.ndarray:
        return ((y - self._centre) / self._scale).astype(np.float32)

    def _held(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        return (X, self._scaled(y)) if len(y) else None

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"target": np.array([self._centre, self._scale, self._low, self._high])}

    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        self._centre, self._scale, self._low, self._high = map(float, arrays.pop("target"))
