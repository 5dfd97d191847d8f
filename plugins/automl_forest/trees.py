"""Trees on disk: the numbers that predicting needs, and nothing that could run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.tree._tree import NODE_DTYPE, Tree

_LEAF = -1


def save(folder: Path, trees: list[Any], said: dict[str, Any], classes: np.ndarray | None) -> None:
    """Write fitted trees to `trees.npz`, and `said` and `classes` to `forest.json`.

    Only what predicting needs is kept, in the smallest types that hold it: thresholds of inner nodes, and of the
    leaves' answers those that are not zero. That is a tenth of what scikit-learn holds in memory.
    """
    nodes = [tree.__getstate__()["nodes"] for tree in trees]
    every = np.concatenate(nodes)
    is_leaf = every["left_child"] == _LEAF
    inner = every[~is_leaf]
    leaves = np.concatenate([tree.value[:, 0, :] for tree in trees])[is_leaf]
    filled = np.flatnonzero(leaves)
    arrays: dict[str, Any] = {
        "count": np.array([len(node) for node in nodes]),
        "left": _small(np.where(is_leaf, 0, every["left_child"])),  # the root is nobody's child: 0 says leaf
        "right": _small(inner["right_child"]),
        "feature": _small(inner["feature"]),
        "threshold": inner["threshold"],
        "missing_left": np.packbits(inner["missing_go_to_left"].astype(bool)),
        "filled": _small(filled),
        "answer": leaves.reshape(-1)[filled],
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "trees.npz", **arrays)
    labels = None if classes is None else {"dtype": classes.dtype.str, "labels": classes.tolist()}
    facts = {**said, "outputs": leaves.shape[1], "classes": labels}
    (folder / "forest.json").write_text(json.dumps(facts), encoding="utf-8")


def load(folder: Path) -> tuple[list[Any], dict[str, Any], np.ndarray | None]:
    """The trees, what was said of them, and the class labels.

    Raises
    ------
    ValueError : a node that points outside its tree or to a feature that is not there, which would read foreign memory.
    """
    said = json.loads((folder / "forest.json").read_text(encoding="utf-8"))
    labels = said.pop("classes")
    classes = None if labels is None else np.array(labels["labels"], dtype=labels["dtype"])
    with np.load(folder / "trees.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    is_leaf = arrays["left"] == 0
    nodes = np.zeros(len(is_leaf), dtype=NODE_DTYPE)
    nodes["left_child"] = np.where(is_leaf, _LEAF, arrays["left"].astype(np.int64))
    inner = np.flatnonzero(~is_leaf)
    for field, name in (("right_child", "right"), ("feature", "feature"), ("threshold", "threshold")):
        nodes[field][inner] = arrays[name]
    nodes["missing_go_to_left"][inner] = np.unpackbits(arrays["missing_left"], count=len(inner))
    leaves = np.zeros((int(is_leaf.sum()), said["outputs"]))
    leaves.reshape(-1)[arrays["filled"]] = arrays["answer"]
    values = np.zeros((len(nodes), 1, said["outputs"]))
    values[is_leaf, 0, :] = leaves
    ends = np.cumsum(arrays["count"])
    if ends[-1] != len(nodes):
        raise ValueError(f"{folder / 'trees.npz'} holds damaged trees")
    trees = [
        _tree(nodes[end - count : end], values[end - count : end], said["features"], folder)
        for count, end in zip(arrays["count"].tolist(), ends.tolist(), strict=True)
    ]
    return trees, said, classes


def _small(numbers: np.ndarray) -> np.ndarray:
    """Non-negative whole numbers in the smallest type that holds them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def _tree(nodes: np.ndarray, values: np.ndarray, features: int, folder: Path) -> Any:
    count = len(nodes)
    here = np.flatnonzero(nodes["left_child"] != _LEAF)
    inner = nodes[here]
    # Children come after their parent in both of scikit-learn's builders; so a walk down always ends.
    sound = all(((inner[side] > here) & (inner[side] < count)).all() for side in ("left_child", "right_child"))
    sound = sound and bool(((inner["feature"] >= 0) & (inner["feature"] < features)).all())
    if not count or not sound:
        raise ValueError(f"{folder / 'trees.npz'} holds a damaged tree")
    tree = Tree(features, np.array([values.shape[2]], dtype=np.intp), 1)
    tree.__setstate__({"max_depth": count, "node_count": count, "nodes": nodes.copy(), "values": values.copy()})
    return tree
