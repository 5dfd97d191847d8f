"""The network and its training: all that touches Keras. Importing this imports Keras and its backend."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_keras.backend import keras, threads

_ROWS = 8192  # predicted at a time


@dataclass(frozen=True)
class Settings:
    """What `KerasNetwork` says of a network and its training; `outputs` is the number of classes, or 0 for a number."""

    inputs: int
    outputs: int
    width: int
    depth: int
    dropout: float
    decay: float
    learning: float
    epochs: int
    batch: int
    patience: int
    seed: int
    threads: int | None


def build(settings: Settings) -> Any:
    """An untrained network: put your own layers here. It is also what saved weights are laid into."""
    layers, start = keras.layers, keras.initializers.HeNormal
    network = keras.Sequential([layers.Input((settings.inputs,))])
    for i in range(settings.depth):
        seed = settings.seed + i
        network.add(layers.Dense(settings.width, activation="silu", kernel_initializer=start(seed)))
        network.add(layers.Dropout(settings.dropout, seed=seed))
    network.add(layers.Dense(settings.outputs or 1, kernel_initializer="zeros"))
    return network


def train(
    settings: Settings,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    held: tuple[np.ndarray, np.ndarray] | None,
    end: float,
) -> tuple[Any, int]:
    """A trained network, and the epochs that it took.

    Parameters
    ----------
    X, y : float32 (n, p), and int64 codes (n,) or float32 (n, 1).
    weight : float32 (n,), or None.
    held : X and y of rows for early stopping, or None.
    end : the `time.perf_counter()` at which training ends.
    """
    callbacks: list[Any] = [Until(end)]
    if held is not None:
        stop = keras.callbacks.EarlyStopping("val_loss", patience=settings.patience, restore_best_weights=True)
        callbacks.append(stop)
    classes = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with threads(settings.threads):
        network = build(settings)
        optimiser = keras.optimizers.AdamW(settings.learning, weight_decay=settings.decay)
        network.compile(optimiser, classes if settings.outputs else keras.losses.MeanSquaredError(), jit_compile=False)
        rows = Batches(X, y, weight, settings.batch, settings.seed)
        history = network.fit(
            rows, epochs=settings.epochs, validation_data=held, callbacks=callbacks, shuffle=False, verbose=0
        )
    return network, len(history.epoch)


def answer(settings: Settings, network: Any, X: np.ndarray) -> np.ndarray:
    """What the network says of X (n, p): float64 (n, outputs)."""
    with threads(settings.threads):
        parts = [network.predict_on_batch(X[i : i + _ROWS]) for i in range(0, len(X), _ROWS)]
    return np.concatenate(parts).astype(np.float64)


class Batches(keras.utils.PyDataset):
    """Batches of rows, dealt anew for each epoch by a generator of their own, so that a fit touches no global one."""

    def __init__(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, size: int, seed: int) -> None:
        super().__init__()
        self._columns = (X, y) if weight is None else (X, y, weight / weight.mean())
        self._size, self._random = size, np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._size)

    def __getitem__(self, i: int) -> tuple[np.ndarray, ...]:
        rows = self._order[i * self._size : (i + 1) * self._size]
        return tuple(column[rows] for column in self._columns)

    def on_epoch_end(self) -> None:
        """Deal the rows anew."""
        self._order = self._random.permutation(len(self._columns[0]))


class Until(keras.callbacks.Callback):
    """Ends training once `time.perf_counter()` has come to `end`; it looks after each batch."""

    def __init__(self, end: float) -> None:
        super().__init__()
        self._end = end

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look at the clock."""
        if time.perf_counter() > self._end:
            self.model.stop_training = True
