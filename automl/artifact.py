"""Artifacts: models and arrays in folders with a manifest, in safe formats, written whole or not at all."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from automl.errors import RefusedError, StorageError
from automl.family import Family

FORMAT = 1
MANIFEST = "manifest.json"
_SKOPS = "estimator.skops"

# Types that skops does not list, though scikit-learn's estimators hold them when they are fitted.
_KERNELS = (
    *("CompoundKernel", "ConstantKernel", "DotProduct", "Exponentiation", "ExpSineSquared", "Matern", "PairwiseKernel"),
    *("Product", "RBF", "RationalQuadratic", "Sum", "WhiteKernel"),
)
_DISTANCES = ("Chebyshev", "Euclidean", "Haversine", "Mahalanobis", "Manhattan", "Minkowski", "SEuclidean")
TRUSTED = frozenset(
    {
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "scipy.interpolate._bsplines.BSpline",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS),
        *(f"sklearn.metrics._dist_metrics.{name}Distance{bits}" for name in _DISTANCES for bits in (32, 64)),
    }
)


def save_model(estimator: Any, folder: Path) -> None:
    """Write a fitted estimator: by its own `save(folder)`, or by skops.

    Raises
    ------
    RefusedError : the estimator holds objects that would not be trusted when it is loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(estimator, "save"):
        estimator.save(folder)
        return
    skops_io().dump(estimator, folder / _SKOPS)
    _trusted(folder / _SKOPS, type(estimator))


def load_model(family: Family, kind: str, folder: Path) -> Any:
    """The estimator that `save_model` wrote. The class comes from the installed family, never from the file.

    Raises
    ------
    RefusedError : the file holds a type that is neither scikit-learn's nor the family's own.
    """
    cls = family.load(kind)
    if not (folder / _SKOPS).exists():
        return cls.load(folder)  # type: ignore[attr-defined]
    return skops_io().load(folder / _SKOPS, trusted=_trusted(folder / _SKOPS, cls))


def _trusted(file: Path, estimator: type) -> list[str]:
    """The types in a file beyond skops's own list of scikit-learn's and numpy's: the estimator's class, and TRUSTED."""
    own = f"{estimator.__module__}.{estimator.__qualname__}"
    found: list[str] = skops_io().get_untrusted_types(file=file)
    if foreign := [name for name in found if name != own and name not in TRUSTED]:
        raise RefusedError(
            f"{file}: holds types that are not trusted: {', '.join(foreign)}; a {estimator.__name__} that holds such "
            "needs a method save(folder) and a class method load(folder) of its own"
        )
    return found


def skops_io() -> Any:
    """The module `skops.io`, imported without torch.

    At its import it walks through all of scikit-learn, whose shim for torch would import that: two seconds for nothing.
    """
    shim = "sklearn.externals.array_api_compat.torch"
    hidden = "torch" not in sys.modules and shim not in sys.modules
    if hidden:
        sys.modules[shim] = None  # type: ignore[assignment]  # an import of it fails, and the walk goes on
    try:
        return importlib.import_module("skops.io")
    finally:
        if hidden:
            del sys.modules[shim]


@contextmanager
def written_whole(final: Path) -> Iterator[Path]:
    """A temporary path beside `final` that takes its name when the block ends well, and is removed when it does not.

    Raises
    ------
    StorageError : no permission or no space.
    """
    draft = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        if final.is_dir():  # never half of the old one under its name, whenever the process dies
            old = draft.with_suffix(".old")
            final.rename(old)
            draft.rename(final)
            shutil.rmtree(old)
        else:
            draft.replace(final)
    except OSError as error:
        if isinstance(error, StorageError | RefusedError):
            raise
        raise StorageError(
            f"cannot write {final}: {error.strerror or error}; choose another place or make room"
        ) from error
    finally:
        with suppress(OSError):  # what went wrong is told above
            shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink(missing_ok=True)


class TemporaryFolder:
    """A folder, at `path`, that is removed when nothing refers to this object any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="automl-"))
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child has a copy of the object, but the folder is its parent's
        shutil.rmtree(folder, ignore_errors=True)


def seal(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the manifest of a folder: `content`, and the sha256 of every file."""
    files = {name: _sha256(folder / name) for name in _files(folder)}
    text = json.dumps({"format": FORMAT, **content, "files": files}, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def unseal(folder: Path) -> dict[str, Any]:
    """Read the manifest of a folder, and check that every file is there as it was written, and no other.

    Raises
    ------
    StorageError : no manifest, another format, or a file that is missing or not listed.
    RefusedError : a file whose content has changed.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        said = manifest["format"]
        files = dict(manifest["files"]) if said == FORMAT else {}
    except (FileNotFoundError, NotADirectoryError):
        raise StorageError(f"{folder} is no predictor: it has no {MANIFEST}") from None
    except OSError as error:
        raise StorageError(f"{folder / MANIFEST} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{folder / MANIFEST} is damaged ({type(error).__name__}: {error}); copy the whole folder again"
        ) from error
    if said != FORMAT:
        raise StorageError(f"{folder / MANIFEST} has format {said}; this automl reads format {FORMAT}")
    present = set(_files(folder)) - {MANIFEST}
    if lost := sorted(files.keys() - present):
        raise StorageError(f"{folder}: file {lost[0]} is missing ({len(lost)} in all); copy the whole folder again")
    if strange := sorted(present - files.keys()):
        raise RefusedError(f"{folder}: file {strange[0]} is not in the manifest; remove it or copy the folder again")
    for name, digest in files.items():
        if _sha256(folder / name) != digest:
            raise RefusedError(f"{folder}: file {name} was changed after it was saved; refused")
    return manifest


def _files(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
