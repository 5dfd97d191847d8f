"""The task: what to predict, inferred from the target and said aloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from automl.errors import ConfigError, DataError, nearest

KINDS = ("binary", "multiclass", "regression")
_FEW = 20


@dataclass(frozen=True)
class Task:
    """What to predict.

    Attributes
    ----------
    kind : ``binary``, ``multiclass`` or ``regression``.
    target : the target's column name.
    metric : the registered name of the metric that decides.
    classes : the labels in the order of the probability columns; for a binary task the second one is the positive
        class. Empty for regression.
    why : how the kind was decided, for a person.
    """

    kind: str
    target: str
    metric: str
    classes: tuple[Any, ...] = ()
    why: str = ""

    @property
    def outputs(self) -> int:
        """Columns of a prediction: one per class, or 1."""
        return len(self.classes) or 1

    def encode(self, target: pl.Series) -> np.ndarray:
        """The target as numbers: codes into `classes` as int64 (n,), or float64 (n,) for regression.

        Raises
        ------
        DataError : a label that was not there at fit, or a value that is no number.
        """
        if not self.classes:
            numbers = target.cast(pl.Float64, strict=False)
            if bad := numbers.null_count() - target.null_count():
                raise DataError(f"target {self.target!r}: {bad} values are not numbers")
            return numbers.to_numpy().astype(np.float64)
        code = {_plain(label): i for i, label in enumerate(self.classes)}
        target = target.cast(pl.String) if isinstance(target.dtype, pl.Categorical | pl.Enum) else target
        labels = target.unique().to_list()
        if strange := sorted({str(label) for label in labels if _plain(label) not in code}):
            raise DataError(
                f"target {self.target!r} has labels that were not there at fit: {', '.join(strange[:5])}; "
                f"known: {', '.join(map(str, self.classes[:10]))}"
            )
        codes = pl.Series([code[_plain(label)] for label in labels], dtype=pl.Int64)
        return target.replace_strict(pl.Series(labels, dtype=target.dtype), codes).to_numpy().astype(np.int64)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Labels (n,) in the target's own type from codes (n,)."""
        labels = np.asarray(self.classes)
        return labels[codes] if labels.ndim == 1 else np.array([self.classes[i] for i in codes], dtype=object)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Task:
        """The task that `to_dict` wrote."""
        return cls(**{**data, "classes": tuple(data["classes"])})


def infer_kind(target: pl.Series, name: str, said: str = "auto") -> tuple[str, str]:
    """The task kind and why, from the target's known values.

    Text, booleans and categories are classes. Whole numbers are classes while there are at most 20 of them and each
    stands for at least 5 rows on average; any other number is a quantity.

    Raises
    ------
    ConfigError : `said` is no task kind.
    DataError : the target has one value only, no value, or contradicts what was said.
    """
    if said not in ("auto", "classification", *KINDS):
        raise ConfigError(
            f"task={said}: unknown task{nearest(said, KINDS)} Known: auto, classification, {', '.join(KINDS)}"
        )
    known = target.drop_nulls()
    levels = known.n_unique()
    if levels < 2:
        only = f"only the value {known[0]!r}" if levels else "no value at all"
        raise DataError(
            f"target {name!r} has {only}: there is nothing to learn; classification needs at least 2 classes"
        )
    numeric = target.dtype.is_numeric()
    if said == "regression":
        if not numeric:
            raise DataError(
                f"task=regression, but target {name!r} holds {target.dtype}, not numbers; drop task= or mend it"
            )
        return "regression", "as asked"
    if said == "binary" and levels != 2:
        raise DataError(f"task=binary, but target {name!r} has {levels} distinct values; use task=multiclass")
    if said in ("binary", "classification", "multiclass"):
        return ("binary" if levels == 2 and said != "multiclass" else "multiclass"), "as asked"
    if levels == 2:
        return "binary", "the target has 2 values"
    if not numeric:
        return "multiclass", f"the target has {levels} labels"
    whole = target.dtype.is_integer() or bool((known == known.round()).all())
    if whole and levels <= _FEW and levels * 5 <= len(known):
        return (
            "multiclass",
            f"the target has {levels} whole values over {len(known):,} rows (task=regression otherwise)",
        )
    return "regression", f"the target has {levels:,} numeric values"


def classes_of(target: pl.Series, positive: Any = None) -> tuple[Any, ...]:
    """The labels of a classification target, sorted; `positive`, if given, comes last.

    Raises
    ------
    ConfigError : `positive` is no label of the target.
    """
    labels = target.drop_nulls().unique().sort().to_list()
    if positive is None:
        return tuple(labels)
    matching = [label for label in labels if str(label) == str(positive)]
    if not matching:
        raise ConfigError(
            f"positive={positive}: no such label{nearest(positive, map(str, labels))} Labels: {labels[:10]}"
        )
    return (*(label for label in labels if label != matching[0]), matching[0])


def _plain(label: Any) -> Any:
    """Labels that a reload or another reader may hand over in another number type compare equal."""
    return float(label) if isinstance(label, int | float) else str(label)
