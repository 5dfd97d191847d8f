"""The network: how it is trained with torch, and the same network in numpy, which answers without."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

_WAVES, _EMBEDDED = 16, 3  # of each number: periodic features, and what is made of them beside the number itself
_MOST_EMBEDDED = 100  # numbers; with more of them embeddings cost more than they give
_LIMIT = 5.0  # inputs are clipped smoothly at this many standard deviations
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_RATES = {"scale": 6.0, "weight": 1.0, "bias": 0.1, "embedding": 0.1}  # learning rates, as shares of the cycle's
_PROBE = 3  # steps that are timed before the length of the cycle is chosen
_STEPS, _LEAST_BATCH = 16, 32  # small tables have smaller batches, for the sake of so many steps an epoch
_RARELY = 4  # in a long training, validation is looked at so many times less often in its first half


@dataclass(frozen=True)
class Settings:
    """What a training needs to know beside its data."""

    outputs: int
    width: int
    depth: int
    epochs: int
    batch: int
    learning: float
    dropout: float
    decay: float
    embed: bool
    frequency: float
    seed: int
    threads: int
    stop: int | None = None


class Answer:
    """A trained network as arrays: float32 (n, p) in, float32 (n, outputs) out.

    Layers are in neural tangent parametrisation: weights of unit size, and the product divided by the root of the
    number of inputs.
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays
        self._depth = sum(name.startswith("weight") for name in arrays)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """The outputs for the rows of X."""
        a = self.arrays
        X = squashed(X)
        if "numbers" in a:
            numbers = X[:, a["numbers"]]
            waves = np.cos(2 * np.pi * (numbers[:, :, None] * a["frequency"] + a["phase"]))
            made = np.einsum("npf,pfe->npe", waves, a["mix"], optimize=True) + a["mix_bias"]
            X = np.concatenate([X, np.maximum(made, 0).reshape(len(X), -1)], axis=1)
        X = X * a["scale"]
        for i in range(self._depth):
            X = X @ a[f"weight{i}"] / math.sqrt(X.shape[1]) + a[f"bias{i}"]
            if i < self._depth - 1:
                X = _SELU_SCALE * np.where(X > 0, X, _SELU_ALPHA * np.expm1(np.minimum(X, 0)))
        return np.asarray(X, dtype=np.float32)


def squashed(X: Any) -> Any:
    """x / sqrt(1 + (x / limit)^2), so that an outlier is far out, but not off the map."""
    return X / (1 + (X / _LIMIT) ** 2) ** 0.5


def train(
    settings: Settings,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    held: tuple[np.ndarray, np.ndarray] | None,
    end: float,
) -> tuple[Answer, int, int]:
    """Train until `end` (of `time.perf_counter`) at the latest; the network, its epoch, those of the cycle.

    Parameters
    ----------
    X : float32 (n, p).
    y : int64 codes (n,), or float32 values (n,) where there is one output.
    weight : float32 (n,), or None.
    held : X and y of validation rows; the best epoch on them is taken, or the last one without.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        return _train(torch, settings, X, y, weight, held, end)
    finally:
        torch.set_num_threads(before)


def _train(
    torch: Any,
    settings: Settings,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    held: tuple[np.ndarray, np.ndarray] | None,
    end: float,
) -> tuple[Answer, int, int]:
    random = torch.Generator().manual_seed(settings.seed)
    net = _Network(torch, settings, X, random)
    groups = [_Group(torch, kind, params) for kind, params in net.groups().items()]
    rows, target = torch.from_numpy(X), torch.from_numpy(y)
    shares = None if weight is None else torch.from_numpy(weight / weight.mean())
    size = min(settings.batch, max(_LEAST_BATCH, len(X) // _STEPS), len(X))
    steps = max(1, len(X) // size)
    loss_of = _squared(torch) if settings.outputs == 1 else torch.nn.CrossEntropyLoss(reduction="none")

    def step(chosen: Any, done: float) -> None:
        losses = loss_of(net(rows[chosen], settings.dropout * _flat_cosine(done)), target[chosen])
        loss = losses.mean() if shares is None else (losses * shares[chosen]).mean()
        loss.backward()
        for group in groups:
            group.step(*_cycle(settings, done))

    epochs, taken = settings.epochs, 0
    if math.isfinite(end):
        for i in range(2 * _PROBE):
            if i == _PROBE:  # the first ones are slow: libraries are loaded, memory is found
                begin = time.perf_counter()
            step(torch.randint(len(X), (size,), generator=random), 0.0)
        each = (time.perf_counter() - begin) / _PROBE
        epochs = max(1, min(epochs, int(0.85 * (end - time.perf_counter()) / (each * steps))))
    best, best_loss, best_epoch = net.arrays(), math.inf, 0
    valid = None if held is None else (torch.from_numpy(held[0]), torch.from_numpy(held[1]))
    last = epochs if settings.stop is None else min(epochs, settings.stop)
    for epoch in range(1, last + 1):
        order = torch.randperm(len(X), generator=random)
        for i in range(steps):
            step(order[i * size : (i + 1) * size], taken / (epochs * steps))
            taken += 1
            if taken % 16 == 0 and time.perf_counter() > end:
                break
        late = time.perf_counter() > end
        looked = epoch == last or late or epoch > epochs / 2 or epoch % _RARELY == 0
        if valid is not None and looked:
            with torch.no_grad():
                loss = float(loss_of(net(valid[0], 0.0), valid[1]).mean())
            if loss < best_loss:
                best, best_loss, best_epoch = net.arrays(), loss, epoch
        if late:
            break
    if valid is None or not math.isfinite(best_loss):
        best, best_epoch = net.arrays(), epoch
    return Answer(best), best_epoch, epochs


class _Network:
    """The trainable tensors and the forward pass."""

    def __init__(self, torch: Any, settings: Settings, X: np.ndarray, random: Any) -> None:
        self.torch, self.depth, self._random = torch, settings.depth, random

        def normal(*shape: int, size: float = 1.0) -> Any:
            return (torch.randn(*shape, generator=random) * size).requires_grad_()

        numbers = np.flatnonzero([len(np.unique(column[:1000])) > 2 for column in X.T])
        inputs = X.shape[1]
        self.numbers: Any = None
        if settings.embed and 0 < len(numbers) <= _MOST_EMBEDDED:
            self.numbers = torch.from_numpy(numbers)
            count = len(numbers)
            self.frequency = normal(count, _WAVES, size=settings.frequency)
            self.phase = (torch.rand(count, _WAVES, generator=random) - 0.5).requires_grad_()
            self.mix = normal(count, _WAVES, _EMBEDDED, size=1 / math.sqrt(_WAVES))
            self.mix_bias = torch.zeros(count, _EMBEDDED).requires_grad_()
            inputs += count * _EMBEDDED
        self.scale = torch.ones(inputs).requires_grad_()
        widths = [inputs, *[settings.width] * settings.depth, settings.outputs]
        self.weights = [normal(*shape) for shape in pairwise(widths)]
        self.biases = [normal(width) for width in widths[1:]]
        with torch.no_grad():
            self.weights[-1].mul_(0.1)
            self.biases[-1].zero_()

    def groups(self) -> dict[str, list[Any]]:
        """The tensors by how they learn."""
        found = {"scale": [self.scale], "weight": self.weights, "bias": self.biases}
        if self.numbers is not None:
            found["embedding"] = [self.frequency, self.phase, self.mix, self.mix_bias]
        return found

    def __call__(self, X: Any, dropout: float) -> Any:
        torch = self.torch
        X = squashed(X)
        if self.numbers is not None:
            waves = torch.cos(2 * math.pi * (X[:, self.numbers, None] * self.frequency + self.phase))
            made = torch.einsum("npf,pfe->npe", waves, self.mix) + self.mix_bias
            X = torch.cat([X, torch.relu(made).flatten(1)], dim=1)
        X = X * self.scale
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            X = torch.addmm(bias, X, weight, alpha=1 / math.sqrt(X.shape[1]))
            if i < self.depth:
                X = torch.selu(X)
                if dropout > 0:
                    kept = torch.empty_like(X).bernoulli_(1 - dropout, generator=self._random)
                    X = X * kept / (1 - dropout)
        return X[:, 0] if X.shape[1] == 1 else X

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy of the weights."""
        found = {"scale": self.scale}
        found |= {f"weight{i}": weight for i, weight in enumerate(self.weights)}
        found |= {f"bias{i}": bias for i, bias in enumerate(self.biases)}
        if self.numbers is not None:
            found |= {"numbers": self.numbers, "frequency": self.frequency, "phase": self.phase}
            found |= {"mix": self.mix, "mix_bias": self.mix_bias}
        return {name: tensor.detach().numpy().copy() for name, tensor in found.items()}


def _squared(torch: Any) -> Any:
    return torch.nn.MSELoss(reduction="none")


class _Group:
    """Tensors that learn alike, by AdamW (Loshchilov and Hutter 2019).

    This calls what `torch.optim.AdamW(fused=True)` calls. That class, at its first step, imports torch's compiler: a
    second and a hundred megabytes, in every worker.
    """

    def __init__(self, torch: Any, kind: str, params: list[Any]) -> None:
        self._torch, self._kind, self._params = torch, kind, params
        self._moments = [[torch.zeros_like(param) for param in params] for _ in range(2)]
        self._taken = [torch.zeros(()) for _ in params]

    def step(self, rate: float, decay: float) -> None:
        """Move the tensors against their gradients, and forget these."""
        torch = self._torch
        with torch.no_grad():
            torch._foreach_add_(self._taken, 1)
            torch._fused_adamw_(
                self._params,
                [param.grad for param in self._params],
                *self._moments,
                [],
                self._taken,
                amsgrad=False,
                lr=rate * _RATES[self._kind],
                beta1=0.9,
                beta2=0.95,
                weight_decay=decay if self._kind == "weight" else 0.0,
                eps=1e-8,
                maximize=False,
            )
        for param in self._params:
            param.grad = None


def _cycle(settings: Settings, done: float) -> tuple[float, float]:
    """The learning rate rises and falls four times, each time over twice as long ("coslog4"); decay fades out."""
    rate = settings.learning * 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * done))) + 1e-5
    return rate, settings.decay * _flat_cosine(done)


def _flat_cosine(done: float) -> float:
    return 1.0 if done < 0.5 else 0.5 * (1 + math.cos(math.pi * (2 * done - 1)))
