"""Ensembles: which trials make the final prediction, and with what weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from automl.errors import ConfigError, NoModelError
from automl.metrics import Metric
from automl.search.nested import loss_of, significant


def select(
    predictions: Sequence[np.ndarray],
    y: np.ndarray,
    metric: Metric,
    weight: np.ndarray | None = None,
    *,
    rounds: int = 40,
    seed: int = 0,
    deadline: float | None = None,
    most: int | None = None,
    costs: np.ndarray | None = None,
    limits: np.ndarray | None = None,
) -> np.ndarray:
    """Choose weights (m,), which sum to 1, by greedy forward selection with replacement on the metric itself.

    Each round adds the member that makes the mean of those taken best; among equals one that is in already. The rounds
    after the best one are dropped, so on the rows it looks at the result is no worse than the best single member
    (Caruana et al. 2004, "Ensemble selection from libraries of models"). Of more than 50,000 rows a random 50,000 are
    looked at, in which rare classes keep their rows.

    Parameters
    ----------
    predictions : for each of m members, probabilities (n, C) or values (n,); may be memory-mapped.
    y : codes or values (n,).
    weight : sample weights (n,), or None.
    rounds : how many additions; 1 gives the best single member.
    deadline : the moment of `time.monotonic` after which the best so far is returned.
    most : how many different members at most; None for any number.
    costs : what each member costs (m, k), such as milliseconds for a row and megabytes, as shares of their bounds.
    limits : what those chosen may cost together (k,). If each costs more, the nearest is chosen alone.

    Raises
    ------
    ConfigError : less than one round, or at most no member.
    NoModelError : the metric is defined for none of the members.
    """
    if rounds < 1:
        raise ConfigError(f"search.ensemble={rounds}: needs at least 1 round, which gives the best single trial")
    if most is not None and most < 1:
        raise ConfigError(f"predictor.members={most}: needs at least 1")
    late = math.inf if deadline is None else deadline
    price = np.zeros((len(predictions), 0)) if costs is None else costs
    limit = np.zeros(0) if limits is None else limits
    rows = _sample(y, metric.takes != "value", np.random.default_rng(seed))
    y, weight = y[rows], None if weight is None else weight[rows]
    alone = np.full(len(predictions), np.inf)
    for i, prediction in enumerate(predictions):
        if np.isfinite(alone).any() and time.monotonic() > late:
            break
        alone[i] = loss_of(metric, y, prediction[rows], weight)
    able = [int(i) for i in np.argsort(alone, kind="stable") if math.isfinite(alone[i])]
    if not able:
        raise NoModelError(f"{metric.name} is not defined for the predictions of any of the {len(alone)} trials")
    over = np.maximum(0, price - limit).sum(axis=1)
    best = [i for i in able if not over[i]] or [min(able, key=lambda i: over[i])]
    members, price = [predictions[i][rows] for i in best], price[best]

    def may(i: int, taken: list[int]) -> bool:
        inside = set(taken)
        if i in inside:
            return True
        return (most is None or len(inside) < most) and bool((price[[*inside, i]].sum(axis=0) <= limit).all())

    lowest = float(alone[best[0]])
    taken = _greedy(members, lowest, rounds, late, lambda mean: loss_of(metric, y, mean, weight), may)
    weights = np.zeros(len(predictions))
    weights[best] = np.bincount(taken, minlength=len(best)) / len(taken)
    return weights


def select_steadily(
    predictions: Sequence[np.ndarray],
    y: np.ndarray,
    metric: Metric,
    weight: np.ndarray | None = None,
    *,
    kinds: Sequence[str] = (),
    rounds: int = 40,
    seed: int = 0,
    deadline: float | None = None,
) -> np.ndarray:
    """As `select`, but the mean of eight choices, each on another random half of the rows, and then evened.

    Where few rows decide, one choice takes what had luck with them, and not what is only nearly as good: the mean takes
    some of both. (Over halves of 10 open tables that it was not chosen on, it lost 3% less; as Caruana et al. 2006,
    "Getting the most out of ensemble selection", but of rows.) The longer the search, the more there is to have luck:
    so the best member of each of the three best kinds counts as much as all that was chosen, unless this is better by
    more than chance. (On 18 halves of 13 open tables it lost 3% less on the other half; less on 13.) At last, small
    members that make no difference go, see `trimmed`: half of all, and over the same halves they took nothing off the
    loss. Where many rows decide, or one member is asked for, it is `select` itself.

    Parameters
    ----------
    kinds : of each member, such as its family; without them, or with one alone, nothing is evened.
    """
    labels = metric.takes != "value"
    scarcest = np.unique(y, return_counts=True)[1].min() if labels else len(y)
    late = math.inf if deadline is None else deadline
    said: dict[str, Any] = {"seed": seed, "deadline": deadline}
    if rounds > 1 and len(predictions) > 1 and scarcest < _PLENTY:
        rng, strata = np.random.default_rng(seed), np.asarray(y) if labels else np.zeros(len(y), np.int64)
        weights, done = np.zeros(len(predictions)), 0
        for _ in range(_CHOICES):
            if time.monotonic() > late:
                break
            half = np.empty(len(y), np.int64)
            half[np.lexsort((rng.random(len(y)), strata))] = np.arange(len(y)) % 2
            rows = np.flatnonzero(half == 0)
            told = [prediction[rows] for prediction in predictions]
            there = None if weight is None else weight[rows]
            try:
                weights += select(told, y[rows], metric, there, rounds=min(rounds, _SHORTER), **said)
            except NoModelError:  # a class that has no row in this half
                continue
            done += 1
        if done:
            mean: np.ndarray = weights / done
            if time.monotonic() > late:
                return mean
            some = _sample(y, labels, rng)
            seen, known = [prediction[some] for prediction in predictions], y[some]
            there = None if weight is None else weight[some]
            even = _evened(mean, seen, known, metric, there, kinds, seed) if len(set(kinds)) > 1 else mean
            return trimmed(even, seen, known, metric, there)
    return select(predictions, y, metric, weight, rounds=rounds, **said)


def _evened(
    weights: np.ndarray,
    predictions: Sequence[np.ndarray],
    y: np.ndarray,
    metric: Metric,
    weight: np.ndarray | None,
    kinds: Sequence[str],
    seed: int,
) -> np.ndarray:
    """The mean of what was chosen and the best of each of the best kinds; what was chosen, if that is better.

    The choice looked at the very rows that it is judged by here, so it has to be better by what is significant.
    """
    alone = [loss_of(metric, y, each, weight) for each in predictions]
    firsts: dict[str, int] = {}
    for i in np.argsort(alone, kind="stable"):
        if math.isfinite(alone[i]):
            firsts.setdefault(kinds[i], int(i))
    best = list(firsts.values())[:_KINDS]
    even = weights / (1 + len(best))
    even[best] += 1 / (1 + len(best))
    evened, chosen = blend(predictions, even), blend(predictions, weights)
    return weights if significant(metric, y, evened, chosen, weight, seed) else even


def trimmed(
    weights: np.ndarray, predictions: Sequence[np.ndarray], y: np.ndarray, metric: Metric, weight: np.ndarray | None
) -> np.ndarray:
    """The weights without those below a fortieth that all together take less than 0.1% off the loss.

    Each row pays as much for such a member as for the others. Some matter: where a loss is a logarithm, a little of a
    model that is never quite sure is what saves those that are, when they err.
    """
    whole = loss_of(metric, y, blend(predictions, weights), weight)
    most = whole + _SPARED * abs(whole - metric.least)
    for i in np.argsort(weights, kind="stable"):
        if 0 < weights[i] < _SPECK:
            rest = np.where(np.arange(len(weights)) == i, 0, weights)
            rest /= rest.sum()
            if loss_of(metric, y, blend(predictions, rest), weight) <= most:
                weights = rest
    return weights


def blend(predictions: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """The weighted sum of predictions, float64; those of weight zero are not read."""
    total = np.zeros(predictions[0].shape)
    for prediction, weight in zip(predictions, weights, strict=True):
        if weight:
            total += weight * np.asarray(prediction, dtype=np.float64)
    return total


_CHOICES, _SHORTER = 8, 15  # on halves, and the rounds of each
_PLENTY = 5_000  # rows of the scarcest class, or of a regression, from which on chance has no say
_KINDS = 3
_SPECK = 1 / 40  # of the weight: what one round of a whole choice gives
_SPARED = 1e-3  # of the loss
_ROWS = 50_000
_RARE = 50
_TINY = 1e-12
_EQUAL = 1e-4  # of the loss: on 22 open tables a fifth fewer members, and on average as good on rows they did not see


def _greedy(
    members: Sequence[np.ndarray],
    best: float,
    rounds: int,
    late: float,
    loss: Callable[[np.ndarray], float],
    may: Callable[[int, list[int]], bool],
) -> list[int]:
    """The members taken, in order, up to the best round. They come best first; `best` is the loss of the first.

    `may` says whether a member may join those that were taken.
    """
    total = members[0].astype(np.float64)
    trial = np.empty_like(total)
    taken, length = [0], 1
    for size in range(2, rounds + 1):
        losses = np.full(len(members), np.inf)
        for i, member in enumerate(members):
            if not may(i, taken):
                continue
            if time.monotonic() > late:
                return taken[:length]
            np.add(total, member, out=trial)
            trial /= size
            losses[i] = loss(trial)
        if not np.isfinite(losses).any():
            break
        lowest = losses.min()
        equal = np.flatnonzero(losses <= lowest + _EQUAL * abs(lowest) + _TINY)
        chosen = int(next((i for i in equal if i in taken), equal[0]))
        taken.append(chosen)
        total += members[chosen]
        if losses[chosen] < best - _EQUAL * abs(best) - _TINY:
            best, length = float(losses[chosen]), size
    return taken[:length]


def _sample(y: np.ndarray, by_class: bool, rng: np.random.Generator) -> np.ndarray | slice:
    """The rows to look at, sorted: each class by its share, but 50 rows of it if it has them."""
    n = len(y)
    if n <= _ROWS:
        return slice(None)
    strata = np.asarray(y) if by_class else np.zeros(n, np.int64)
    size = np.bincount(strata)
    order = np.lexsort((rng.random(n), strata))
    place = np.arange(n) - (np.cumsum(size) - size)[strata[order]]
    quota = np.maximum(size * (_ROWS / n), np.minimum(size, _RARE))
    return np.sort(order[place < quota[strata[order]]])
