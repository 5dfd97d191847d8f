"""The archive: a predictor as one file, for whoever is handed it; `load` reads it as it reads the folder."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from automl.artifact import MANIFEST, TemporaryFolder, unseal, written_whole
from automl.errors import RefusedError, StorageError
from automl.faces import Exporter
from automl.hookspecs import hookimpl

if TYPE_CHECKING:
    from automl.predictor import Predictor

SUFFIX = ".zip"
_WHEN = (1980, 1, 1, 0, 0, 0)  # of every file, so that the same predictor gives the same bytes


@hookimpl
def automl_exporters() -> Iterable[Exporter]:
    """One file that `load`, `automl predict` and `automl evaluate` take like a folder."""
    yield Exporter("zip", pack, SUFFIX, "one file, which automl loads as it does the folder")


def pack(predictor: Predictor, path: Path) -> None:
    """Write a predictor's files into an archive.

    Raises
    ------
    StorageError : no permission or no space.
    """
    names = sorted([MANIFEST, *unseal(predictor.folder)["files"]])
    with written_whole(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name, _WHEN), (predictor.folder / name).read_bytes(), zipfile.ZIP_DEFLATED)


def unpack(path: Path) -> TemporaryFolder:
    """The files of an archive, in a folder of their own.

    Raises
    ------
    StorageError : it is no archive, or cannot be read.
    RefusedError : it holds a name that leads out of the folder.
    """
    held = TemporaryFolder()
    try:
        with zipfile.ZipFile(path) as archive:
            places = [PurePosixPath(name) for name in archive.namelist()]
            astray = [place for place in places if place.is_absolute() or ".." in place.parts or "\\" in str(place)]
            if not astray:
                archive.extractall(held.path)
    except (zipfile.BadZipFile, OSError) as error:
        raise StorageError(f"{path} is no archive of a predictor: {error}") from error
    if astray:
        raise RefusedError(f"{path} holds a file {str(astray[0])!r}, which leads out of it; refused")
    return held
