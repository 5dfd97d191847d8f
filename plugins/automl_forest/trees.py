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

    Only what predicting needs is kept, which is a quarter of what scikit-learn holds in memory.
    """
    nodes = [tree.__getstate__()["nodes"] for tree in trees]
    leaves = [tree.value[tree.children_left == _LEAF, 0, :] for tree in trees]
    arrays: dict[str, Any] = {
        "count": np.array([len(node) for node in nodes]),
        "left": np.concatenate([node["left_child"] for node in nodes]).astype(np.int32),
        "right": np.concatenate([node["right_child"] for node in nodes]).astype(np.int32),
        "feature": np.concatenate([node["feature"] for node in nodes]).astype(np.int32),
        "threshold": np.concatenate([node["threshold"] for node in nodes]),
        "missing_left": np.concatenate([node["missing_go_to_left"] for node in nodes]),
        "leaf": np.concatenate(leaves),
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "trees.npz", **arrays)
    labels = None if classes is None else {"dtype": classes.dtype.str, "labels": classes.tolist()}
    (folder / "forest.json").write_text(json.dumps({**said, "classes": labels}), encoding="utf-8")


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
    leaf = arrays.pop("leaf")
    bounds = np.cumsum(arrays.pop("count"))[:-1]
    parts = {name: np.split(values, bounds) for name, values in arrays.items()}
    n_leaves = np.cumsum([np.count_nonzero(left == _LEAF) for left in parts["left"]])[:-1]
    trees = []
    for i, values in enumerate(np.split(leaf, n_leaves)):
        trees.append(_tree({name: part[i] for name, part in parts.items()}, values, said["features"], folder))
    return trees, said, classes


def _tree(node: dict[str, np.ndarray], leaf: np.ndarray, features: int, folder: Path) -> Any:
    count = len(node["left"])
    is_leaf = node["left"] == _LEAF
    here = np.arange(count)[~is_leaf]
    inner = {name: values[~is_leaf] for name, values in node.items()}
    # Children come after their parent in both of scikit-learn's builders; so a walk down always ends.
    sound = all(((inner[side] > here) & (inner[side] < count)).all() for side in ("left", "right"))
    sound = sound and bool(((inner["feature"] >= 0) & (inner["feature"] < features)).all())
    if not count or not sound or len(leaf) != is_leaf.sum():
        raise ValueError(f"{folder / 'trees.npz'} holds a damaged tree")
    nodes = np.zeros(count, dtype=NODE_DTYPE)
    nodes["left_child"], nodes["right_child"] = node["left"], node["right"]
    nodes["feature"], nodes["threshold"] = node["feature"], node["threshold"]
    nodes["missing_go_to_left"] = node["missing_left"]
    outputs = leaf.shape[1]
    values = np.zeros((count, 1, outputs))
    values[is_leaf, 0, :] = leaf
    tree = Tree(features, np.array([outputs], dtype=np.intp), 1)
    tree.__setstate__({"max_depth": count, "node_count": count, "nodes": nodes, "values": values})
    return tree
