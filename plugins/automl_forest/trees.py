"""Trees joined into one, and on disk: the numbers that predicting needs, and nothing that could run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.tree._tree import NODE_DTYPE, Tree

_LEAF = -1
_AT_ONCE = 20_000  # pairs of a row and a tree that are answered in one call; of more rows, each tree has a call
_CHUNK = 8192  # rows that stay in a processor's cache while tree after tree goes over them


@dataclass(frozen=True)
class Trees:
    """Many trees as one of scikit-learn's: at its top, a feature beyond all others says which of them is meant.

    So the answers of all trees for one row are one call of compiled code, not one for each tree.

    Attributes
    ----------
    whole : the tree of trees. The value of a leaf is its answer or, of several outputs, the place of that in `answers`:
        of few classes or pure leaves there are few different ones, and a node takes half of the memory.
    counts : the number of nodes of each.
    answers : float64 (k, outputs); None for one output.
    """

    whole: Any
    counts: np.ndarray
    answers: np.ndarray | None

    @classmethod
    def join(cls, grown: list[Any]) -> Self:
        """Join scikit-learn's low-level trees; `grown` is emptied, for there may be no room for all of them twice."""
        features, counts = grown[0].n_features, np.array([tree.node_count for tree in grown])
        (room, nodes), leaves = _room(len(counts), int(counts.sum())), []
        for end, count in zip(np.cumsum(counts)[::-1].tolist(), counts[::-1].tolist(), strict=True):
            tree = grown.pop()
            nodes[end - count : end] = tree.__getstate__()["nodes"]
            leaves.append(tree.value[tree.children_left == _LEAF, 0, :])
        answers = np.concatenate(leaves[::-1])
        del leaves
        if answers.shape[1] == 1:
            return cls.of(room, answers[:, 0], None, counts, features)
        return cls.of(room, *_coded(answers), counts, features)

    @classmethod
    def of(
        cls, nodes: np.ndarray, leaves: np.ndarray, answers: np.ndarray | None, counts: np.ndarray, features: int
    ) -> Self:
        """From the nodes of all trees, one after the other in what `_room` gave, and the values of their leaves."""
        top, every = nodes[: len(counts) - 1], nodes[len(counts) - 1 :]
        top[:] = _top(len(counts), features)
        starts = len(top) + np.cumsum(counts) - counts
        shift = np.repeat(starts, counts)
        is_inner = every["left_child"] != _LEAF
        for side in ("left_child", "right_child"):
            every[side][is_inner] += shift[is_inner]
            led = top[side] < 0  # of the top: the number of a tree, counted down from -1
            top[side][led] = starts[-1 - top[side][led]]
        values = np.zeros((len(nodes), 1, 1))
        values[len(top) :, 0, 0][~is_inner] = leaves
        whole = Tree(features + 1, np.ones(1, dtype=np.intp), 1)
        whole.__setstate__({"max_depth": len(nodes), "node_count": len(nodes), "nodes": nodes, "values": values})
        return cls(whole, counts, answers)

    def __len__(self) -> int:
        return len(self.counts)

    def sums(self, X: np.ndarray) -> np.ndarray:
        """The sum of the trees' answers, taken in their order: float64 (n, outputs) for float32 (n, features)."""
        n, width = len(X), X.shape[1] + 1
        if n * len(self) <= _AT_ONCE:
            asked = np.empty((n, len(self), width), np.float32)
            asked[:, :, :-1] = X[:, None, :]
            asked[:, :, -1] = np.arange(len(self))
            answers = self._said(asked.reshape(-1, width)).reshape(n, len(self), -1)
            return np.add.accumulate(answers, axis=1)[:, -1]  # a sum would be taken pairwise, and so in another order
        total = np.empty((n, 1 if self.answers is None else self.answers.shape[1]))
        for start in range(0, n, _CHUNK):
            part = X[start : start + _CHUNK]
            asked = np.empty((len(part), width), np.float32)
            asked[:, :-1], asked[:, -1] = part, 0
            total[start : start + _CHUNK] = self._said(asked)
            for i in range(1, len(self)):
                asked[:, -1] = i
                total[start : start + _CHUNK] += self._said(asked)
        return total

    def _said(self, asked: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.whole.predict(asked)
        return found if self.answers is None else self.answers[found[:, 0].astype(np.intp)]

    def save(self, folder: Path, said: dict[str, Any], classes: np.ndarray | None) -> None:
        """Write the trees to `trees.npz`, and `said` and `classes` to `forest.json`.

        Only what predicting needs is kept, in the smallest types that hold it: thresholds of inner nodes, answers of
        leaves. That is a tenth of what scikit-learn holds in memory.
        """
        first = len(self) - 1
        every = self.whole.__getstate__()["nodes"][first:]
        is_leaf = every["left_child"] == _LEAF
        inner = every[~is_leaf]
        shift = np.repeat(first + np.cumsum(self.counts) - self.counts, self.counts)
        leaves = self.whole.value[first:, 0, 0][is_leaf]
        arrays: dict[str, Any] = {
            "count": self.counts,
            "left": _small(np.where(is_leaf, 0, every["left_child"] - shift)),  # 0, nobody's child, says leaf
            "right": _small(inner["right_child"] - shift[~is_leaf]),
            "feature": _small(inner["feature"]),
            "threshold": inner["threshold"],
            "missing_left": np.packbits(inner["missing_go_to_left"].astype(bool)),
            "leaves": leaves if self.answers is None else _small(leaves.astype(np.int64)),
        }
        if self.answers is not None:
            arrays["answers"] = self.answers
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "trees.npz", **arrays)
        labels = None if classes is None else {"dtype": classes.dtype.str, "labels": classes.tolist()}
        (folder / "forest.json").write_text(json.dumps({**said, "classes": labels}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> tuple[Self, dict[str, Any], np.ndarray | None]:
        """The trees, what was said of them, and the class labels.

        Raises
        ------
        ValueError : a node that points outside its tree or to a feature that is not there, and so into foreign memory;
            a leaf without an answer.
        """
        said = json.loads((folder / "forest.json").read_text(encoding="utf-8"))
        labels = said.pop("classes")
        classes = None if labels is None else np.array(labels["labels"], dtype=labels["dtype"])
        with np.load(folder / "trees.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        is_leaf, counts = arrays["left"] == 0, arrays["count"].astype(np.int64)
        room, nodes = _room(len(counts), len(is_leaf))
        nodes["left_child"] = np.where(is_leaf, _LEAF, arrays["left"].astype(np.int64))
        inner = np.flatnonzero(~is_leaf)
        for field, name in (("right_child", "right"), ("feature", "feature"), ("threshold", "threshold")):
            nodes[field][inner] = arrays[name]
        nodes["missing_go_to_left"][inner] = np.unpackbits(arrays["missing_left"], count=len(inner))
        leaves, answers = arrays["leaves"], arrays.get("answers")
        answered = answers is None or bool(((leaves >= 0) & (leaves < len(answers))).all())
        if len(leaves) != is_leaf.sum() or not answered or not _sound(nodes, counts, said["features"]):
            raise ValueError(f"{folder / 'trees.npz'} holds a damaged tree")
        return cls.of(room, leaves, answers, counts, said["features"]), said, classes


def _room(trees: int, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Room for so many nodes of trees, after that for the top of so many trees; and the part without the top.

    Large forests take so much that there had better be no copy for the sake of a top.
    """
    every = np.zeros(max(0, trees - 1) + nodes, NODE_DTYPE)
    return every, every[len(every) - nodes :]


def _coded(answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of the answers (n, outputs) its place among those that differ, and these."""
    mixed = answers @ np.random.default_rng(0).random(answers.shape[1])  # one number to sort by in place of many
    _, first, place = np.unique(mixed, return_index=True, return_inverse=True)
    different = answers[first]
    alike = np.array_equal(different[place], answers)
    return (place, different) if alike else (np.arange(len(answers)), answers)


def _top(trees: int, features: int) -> np.ndarray:
    """The nodes that lead from the feature beyond all others to one of so many trees, in as few steps as can be.

    A child below 0 is a tree: -1 the first, -2 the second.
    """
    nodes = np.zeros(trees - 1, NODE_DTYPE)
    nodes["feature"] = features
    free = iter(range(trees - 1))

    def lead(first: int, last: int) -> int:
        if first == last:
            return -1 - first
        at, middle = next(free), (first + last) // 2
        nodes[at]["threshold"] = middle + 0.5
        nodes[at]["left_child"] = lead(first, middle)
        nodes[at]["right_child"] = lead(middle + 1, last)
        return at

    lead(0, trees - 1)
    return nodes


def _sound(nodes: np.ndarray, counts: np.ndarray, features: int) -> bool:
    """Whether all nodes point to nodes of their own trees, and to features that are there."""
    if not len(counts) or (counts < 1).any() or counts.sum() != len(nodes):
        return False
    starts = np.cumsum(counts) - counts
    inner = np.flatnonzero(nodes["left_child"] != _LEAF)
    place, size = inner - np.repeat(starts, counts)[inner], np.repeat(counts, counts)[inner]
    # Children come after their parent in both of scikit-learn's builders; so a walk down always ends.
    children = [nodes[side][inner] for side in ("left_child", "right_child")]
    feature = nodes["feature"][inner]
    return all(bool(((child > place) & (child < size)).all()) for child in children) and bool(
        ((feature >= 0) & (feature < features)).all()
    )


def _small(numbers: np.ndarray) -> np.ndarray:
    """Non-negative whole numbers in the smallest type that holds them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))
