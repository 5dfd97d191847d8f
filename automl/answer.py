"""The answer: what a predictor makes of the blend of its members, in plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

_LEAST = 1e-4  # of a probability, before its logarithm is taken
_TINY = 1e-9


def clipped(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities (n, C), float64, none of which is all but impossible."""
    return np.maximum(np.asarray(probabilities, dtype=np.float64), _LEAST)


def pooled(predictions: Sequence[np.ndarray], powers: Iterable[float]) -> np.ndarray:
    """Probabilities (n, C): the product of the members' own, each to a power of its own."""
    logs = sum(power * np.log(clipped(each)) for each, power in zip(predictions, powers, strict=True) if power)
    raw = np.asarray(logs) - np.max(logs, axis=1, keepdims=True)
    shares: np.ndarray = np.exp(raw)
    return shares / shares.sum(axis=1, keepdims=True)


class Spread:
    """How far the models of each bag, the fold models of a trial, are apart on each row of a multiclass task.

    The mean of a bag is less sure of itself than its models are, the more so the less they agree. But what was learned
    out of fold, temperature and all, is of one model at a time: so the mean is made as sure as one of them.

    Parameters
    ----------
    repeats : how many models' mean an out-of-fold prediction was.
    """

    def __init__(self, repeats: int = 1) -> None:
        self._repeats = repeats
        self._bag, self._weight, self._shares = "", 0.0, 0.0
        self._sums = self._squares = np.zeros((1, 1))  # of the bag's logarithms, weighted, so far
        self._variance = np.zeros(1)  # of the bags before it

    def add(self, bag: str, weight: float, probabilities: np.ndarray) -> None:
        """One more model, with its share in the whole blend and what it says (n, C); a bag's models come together."""
        if bag != self._bag:
            self._variance = self._so_far()
            self._bag, self._weight, self._shares = bag, 0.0, 0.0
            self._sums = self._squares = np.zeros((1, 1))
        logs = np.log(clipped(probabilities))
        logs -= logs.mean(axis=1, keepdims=True)
        self._weight, self._shares = self._weight + weight, self._shares + weight**2
        self._sums, self._squares = self._sums + weight * logs, self._squares + weight * logs**2

    def undone(self, blended: np.ndarray) -> np.ndarray:
        """The blend (n, C), as sure of itself as an out-of-fold prediction is.

        It takes back what a softmax loses where its inputs are Gaussian, by the mean-field approximation (MacKay 1992,
        "The evidence framework applied to classification networks"; Lu, Ie, Sha 2020, "Mean-field approximation to
        Gaussian-softmax integral"): their standard deviation is that over a bag's models, of centred logarithms.
        """
        return _tempered(blended, 1 / np.sqrt(1 + np.pi / 8 * self._so_far()[:, None]))

    def _so_far(self) -> np.ndarray:
        """What averaging took of the variance (n,) of each row: the mean over classes and, by weight, over the bags."""
        # Of a mean by weights: of equal ones, the inverse of their number.
        kept = self._shares / self._weight**2 if self._weight else 1.0
        if kept * self._repeats >= 1 - _TINY:
            return self._variance
        over_models = self._squares / self._weight - (self._sums / self._weight) ** 2
        taken = (1 / self._repeats - kept) / (1 - kept)
        return self._variance + self._weight * taken * np.maximum(0, over_models).mean(axis=1)


def _tempered(shares: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """Shares (n, C) raised to the inverse of a temperature, one for all or one for each row (n, 1), and summing to 1.

    From the greatest down, so that not even a temperature near 0 makes all of a row vanish.
    """
    raised = (shares / shares.max(axis=1, keepdims=True)) ** (1 / temperature)
    found: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return found


@dataclass(frozen=True)
class Answer:
    """How members' probabilities become one, that a calibrated one, and this a label.

    Attributes
    ----------
    powers : of the members, in order, see `pooled`; empty where they are blended by their weights.
    temperature : probabilities are raised to its inverse, and sum to 1 again: above 1 they become less sure of
        themselves (Guo et al. 2017, "On calibration of modern neural networks").
    curve : of a binary task, a probability of the second class and what it is calibrated to, point after point and
        both rising; between two points on the line from one to the other. Empty: as it is.
    weights : one for each class; the label is that of the greatest product of weight and probability. Without any, it
        is the likeliest. In a binary task, weights (t, 1 - t) make t the threshold of the positive class.
    """

    powers: tuple[float, ...] = ()
    temperature: float = 1.0
    curve: tuple[tuple[float, float], ...] = ()
    weights: tuple[float, ...] = ()

    def probabilities(self, blended: np.ndarray) -> np.ndarray:
        """Probabilities (n, C), rows summing to 1, for blended ones that need not."""
        shares = blended / blended.sum(axis=1, keepdims=True)
        if self.curve:
            second = np.interp(shares[:, 1], *np.array(self.curve).T)
            return np.column_stack([1 - second, second])
        return shares if self.temperature == 1 else _tempered(shares, self.temperature)

    def weighed(self, probabilities: np.ndarray) -> np.ndarray:
        """(n, C), whose greatest value in each row is at the code of the label."""
        return probabilities * np.asarray(self.weights) if self.weights else probabilities

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The answer that `to_dict` wrote."""
        curve = tuple(map(tuple, data["curve"]))
        return cls(tuple(data["powers"]), data["temperature"], curve, tuple(data["weights"]))
