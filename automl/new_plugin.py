"""A plugin of one's own: a copy of the template, with its name in all places."""

from __future__ import annotations

import keyword
from pathlib import Path

from automl.artifact import written_whole
from automl.errors import ConfigError, StorageError
from automl.plugins import installed

_TEMPLATE = Path(__file__).with_name("template")
_NAME = "NAME"


def write(name: str, beside: Path) -> Path:
    """Write the folder `automl-NAME`: a plugin with a family of that name, installable and tested.

    Parameters
    ----------
    name : of the plugin, its family and, after `automl_`, its package.
    beside : the folder in which it is made.

    Raises
    ------
    ConfigError : no such name can be, or a plugin or family has it.
    StorageError : the folder exists already, or cannot be written.
    """
    if not name.isidentifier() or not name.isascii() or not name.islower() or keyword.iskeyword(name):
        raise ConfigError(f"new-plugin {name!r}: a name is made of small letters, digits and _, such as mygam")
    registry = installed()
    if name in registry.plugins or name in registry.families:
        raise ConfigError(f"new-plugin {name!r}: a plugin or family of that name is installed; choose another name")
    final = beside / f"automl-{name}"
    if final.exists():
        raise StorageError(f"{final} exists already: choose another name, or another --folder")
    with written_whole(final) as draft:
        for source in sorted(path for path in _TEMPLATE.rglob("*") if path.is_file()):
            place = source.relative_to(_TEMPLATE)
            if "__pycache__" in place.parts:
                continue
            target = draft / str(place).replace(_NAME, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(source.read_text(encoding="utf-8").replace(_NAME, name), encoding="utf-8")
    return final
