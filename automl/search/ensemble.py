"""Ensembles: which trials make the final prediction, and with what weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Choice:
    """Weights (m,), which sum to 1, and what they may be expected to predict.

    `unseen`, as the predictions, is the blend of each row by choices that did not look at that row: so its score is not
    that of numbers tuned on the same rows.
    """

    weights: np.ndarray
    unseen: np.ndarray


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
    most: int | None = None,
    costs: np.ndarray | None = None,
    limits: np.ndarray | None = None,
) -> Choice:
    """As `select`, but the mean of eight choices, each on another random half of the rows, and then evened.

    Where few rows decide, one choice takes what had luck with them, and not what is only nearly as good: the mean takes
    some of both. (Over halves of 10 open tables that it was not chosen on, it lost 3% less; as Caruana et al. 2006,
    "Getting the most out of ensemble selection", but of rows.) The longer the search, the more there is to have luck:
    so the best member of each of the three best kinds counts as much as all that was chosen, unless this is better by
    more than chance. (On 18 halves of 13 open tables it lost 3% less on the other half; less on 13.) At last, small
    members that make no difference go, see `trimmed`: half of all, and over the same halves they took nothing off the
    loss. Where many rows decide, where one member is asked for, and where the mean breaks the limits, it is `select`
    itself.

    Four of the halves are what the other four leave, so that each row has four choices that did not look at it: what
    they predict tells how good the mean of all eight is. Where many rows decide, luck is of no account, and what was
    chosen tells that itself.

    Parameters
    ----------
    kinds : of each member, such as its family; without them, or with one alone, nothing is evened.
    most, costs, limits : as of `select`.
    """
    labels = metric.takes != "value"
    strata = np.asarray(y) if labels else np.zeros(len(y), np.int64)
    late = math.inf if deadline is None else deadline
    said: dict[str, Any] = {"seed": seed, "deadline": deadline}
    bounds: dict[str, Any] = {"most": most, "costs": costs, "limits": limits}
    few = len(predictions) > 1 and np.unique(strata, return_counts=True)[1].min() < _PLENTY

    def part(rows: np.ndarray | slice) -> tuple[list[np.ndarray], np.ndarray, np.ndarray | None]:
        return [prediction[rows] for prediction in predictions], y[rows], None if weight is None else weight[rows]

    def on_halves(**how: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The rows that a choice did not look at, its weights, and `_firsts`."""
        for looked, other in _halves(strata, seed):
            if time.monotonic() > late:
                return
            seen, known, there = part(looked)
            try:
                chosen = select(seen, known, metric, there, **said, **how)
            except NoModelError:  # a class that has no row in this half
                continue
            yield other, chosen, _firsts(seen, known, metric, there, kinds)

    if few and rounds > 1 and (halves := list(on_halves(rounds=min(rounds, _SHORTER)))):
        weights, evened = np.mean([chosen for _, chosen, _ in halves], axis=0), False
        if time.monotonic() <= late:
            seen, known, there = part(_sample(y, labels, np.random.default_rng(seed)))
            even = _evened(weights, _firsts(seen, known, metric, there, kinds))
            # What was chosen looked at the very rows that it is judged by here: it has to be significantly better.
            evened = not significant(metric, known, blend(seen, even), blend(seen, weights), there, seed)
            weights = trimmed(even if evened else weights, seen, known, metric, there)
        if _keeps(weights > 0, **bounds):
            others = [(other, _evened(chosen, firsts) if evened else chosen) for other, chosen, firsts in halves]
            return Choice(weights, _unseen(predictions, weights, others))
    weights = select(predictions, y, metric, weight, rounds=rounds, **said, **bounds)
    others = [(other, chosen) for other, chosen, _ in on_halves(rounds=rounds, **bounds)] if few else []
    return Choice(weights, _unseen(predictions, weights, others))


def _halves(strata: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows of a random half, and those of the other; and then the other way round."""
    rng = np.random.default_rng(seed)
    for _ in range(_CHOICES // 2):
        half = np.empty(len(strata), np.int64)
        half[np.lexsort((rng.random(len(strata)), strata))] = np.arange(len(strata)) % 2
        one, other = np.flatnonzero(half == 0), np.flatnonzero(half == 1)
        yield one, other
        yield other, one


def _firsts(
    predictions: Sequence[np.ndarray],
    y: np.ndarray,
    metric: Metric,
    weight: np.ndarray | None,
    kinds: Sequence[str],
) -> np.ndarray:
    """1 (m,) for the best member of each of the three best kinds; 0 for all others, and if they are of one kind."""
    firsts: dict[str, int] = {}
    if len(set(kinds)) > 1:
        alone = [loss_of(metric, y, each, weight) for each in predictions]
        for i in np.argsort(alone, kind="stable"):
            if math.isfinite(alone[i]):
                firsts.setdefault(kinds[i], int(i))
    found = np.zeros(len(predictions))
    found[list(firsts.values())[:_KINDS]] = 1
    return found


def _evened(chosen: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """The mean of the weights that were chosen and of each of the first alone."""
    even: np.ndarray = (chosen + firsts) / (1 + firsts.sum())
    return even


def _unseen(
    predictions: Sequence[np.ndarray], weights: np.ndarray, others: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """The mean of what choices predict for the rows that they did not look at; by `weights` where there are none."""
    total = np.zeros(predictions[0].shape)
    count = np.zeros(len(total))
    for rows, chosen in others:
        total[rows] += blend([prediction[rows] for prediction in predictions], chosen)
        count[rows] += 1
    found = blend(predictions, weights)
    found[count > 0] = (total.T / np.maximum(count, 1)).T[count > 0]
    return found


def _keeps(
    taken: np.ndarray, most: int | None = None, costs: np.ndarray | None = None, limits: np.ndarray | None = None
) -> bool:
    """Whether members, by a flag for each, keep the limits of `select` together."""
    few = most is None or int(taken.sum()) <= most
    return few and (costs is None or bool((costs[taken].sum(axis=0) <= limits).all()))


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
