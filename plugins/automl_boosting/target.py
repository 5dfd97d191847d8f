"""From targets to what a booster can learn, and back: labels to codes, quantities to a standard scale."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from automl import DataWarning

POSITIVE = ("poisson", "tweedie")
"""Losses for a target that is never below zero; they are right about its mean, as the squared error is."""

LONGEST = 4.0
"""The longest step of a leaf on log loss. To a row that was taken for all but impossible, Newton's own is endless: one
such row of a scarce class spoils all others of its leaf (LogitBoost's limit: Friedman, Hastie, Tibshirani 2000)."""


@dataclass(frozen=True)
class Loss:
    """What is minimised: ``log`` over so many classes; ``squared``, ``absolute`` or ``quantile`` at a level; or the
    deviance of a ``poisson`` or ``tweedie`` distribution (of power 1.5), whose trees add up to the answer's logarithm.
    """

    name: str
    classes: int = 0
    level: float = 0.5

    @property
    def grows(self) -> bool:
        """Whether the answer is the exponential of what the trees say."""
        return self.name in POSITIVE

    @property
    def kinked(self) -> bool:
        """Whether its slope jumps and its leaves are medians or quantiles: ``absolute`` and ``quantile``."""
        return self.name in ("absolute", "quantile")

    def slope(self, rows: Rows, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of a kinked loss at the predictions `raw` (n,), the slope (n,), and 1 for the curvature that it lacks.

        Steps along the slope leave a tree's leaves in the order in which they were grown, as quantiles do not.
        """
        weight = np.ones(len(raw)) if rows.weight is None else rows.weight
        below = np.where(raw < rows.y, -self.level, 1 - self.level)
        return weight * below, weight


@dataclass(frozen=True)
class Rows:
    """Rows as a booster learns them: float32 (n, p), float (n,), and weights (n,) or None."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class Labels:
    """The classes of the training rows, sorted; a class is learned as its position."""

    classes: np.ndarray

    @classmethod
    def learn(cls, y: np.ndarray) -> Self:
        """The classes of `y` (n,).

        Raises
        ------
        ValueError : there is only one class.
        """
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"the training rows have only one class, {classes[0]!r}: there is nothing to learn")
        return cls(classes)

    @property
    def loss(self) -> Loss:
        """Log loss, whatever the metric: ranks and labels follow from good probabilities."""
        return Loss("log", len(self.classes))

    def rows(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> Rows:
        """Rows with codes for labels; those of a class that is not in training are left out, and said so."""
        known = np.isin(y, self.classes)
        if lost := int((~known).sum()):
            said = f"{lost} of {len(y)} validation rows have a class that no training row has; they do not count"
            warnings.warn(said, DataWarning, stacklevel=4)
            X, y, weight = X[known], y[known], None if weight is None else weight[known]
        return Rows(X, np.searchsorted(self.classes, y), weight)

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {"dtype": self.classes.dtype.str, "labels": self.classes.tolist()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(np.array(data["labels"], dtype=data["dtype"]))


@dataclass(frozen=True)
class Quantity:
    """A number, learned after `centre` is taken off and divided by `scale`, on the log1p scale if `log`.

    Penalties then mean the same whatever the target's unit, and the boosters' 32-bit targets lose nothing that matters.
    With `relative`, rows weigh 1/\\|y\\|, but no more than 1/`floor`: the absolute error becomes the percentage error.
    """

    loss: Loss
    centre: float
    scale: float
    log: bool = False
    relative: bool = False
    floor: float = 0.0

    @classmethod
    def learn(cls, y: np.ndarray, metric: str, wanted: str | None = None) -> Self:
        """How to learn `y` (n,) for a metric, by its name.

        A loss of `POSITIVE` that is `wanted` takes the place of the squared error where no target is below zero.

        Raises
        ------
        ValueError : a logarithmic error is asked for, and a target is -1 or less.
        """
        name, _, level = metric.partition("@")
        log = "rmsle" in name or "squared_log" in name
        if log and y.min() <= -1:
            raise ValueError(f"metric {metric} needs targets above -1; the smallest is {y.min():g}")
        relative = "mape" in name or "percentage" in name
        if "pinball" in name:
            loss = Loss("quantile", level=float(level or 0.5))
        else:
            loss = Loss("absolute" if relative or "mae" in name or "absolute" in name else "squared")
        if wanted in POSITIVE and loss.name == "squared" and not log and y.min() >= 0 and y.any():
            return cls(Loss(wanted), 0.0, float(y.mean()))
        learned = np.log1p(y) if log else y
        centre, scale = float(learned.mean()), float(learned.std())
        return cls(loss, centre, scale or 1.0, log, relative, 1e-3 * float(np.abs(y).mean()) or 1.0)

    def rows(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> Rows:
        """Rows with targets as learned; a validation target that has no logarithm is taken as just above -1."""
        y = np.asarray(y, dtype=np.float64)
        if self.relative:
            weight = (1.0 if weight is None else weight) / np.maximum(np.abs(y), self.floor)
            weight = weight / weight.mean()
        learned = np.log1p(np.maximum(y, -1 + 1e-9)) if self.log else y
        return Rows(X, (learned - self.centre) / self.scale, weight)

    def restore(self, raw: np.ndarray) -> np.ndarray:
        """Predictions in the target's own unit: float64 (n,)."""
        learned = np.asarray(raw, dtype=np.float64) * self.scale + self.centre
        return np.expm1(learned) if self.log else learned

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(**{**data, "loss": Loss(**data["loss"])})
