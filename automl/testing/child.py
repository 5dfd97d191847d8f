"""The fresh process: `python -m automl.testing.child FOLDER` imports, loads, fits and saves a family, watched."""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WARM, REPEATS = 3, 6
"""Fits before memory is measured, and fits between the two measurements."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.rename": ((0, 2), (1, 3)),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
}
"""Event -> where among its arguments the changed paths are, each with the descriptor of the folder it starts from."""

TEMPORARY = Path(tempfile.gettempdir())
_LOCAL = (None, "", "localhost", "127.0.0.1", "::1", b"localhost")


class Watch:
    """What this process does to files outside `allowed`, to the network, and with pickles."""

    def __init__(self, allowed: list[Path]) -> None:
        self._allowed = [str(path.resolve()) for path in allowed]
        self.phase = ""
        self.writes: list[str] = []
        self.network: list[str] = []
        self.pickles: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.phase:
            return
        if event == "open" and isinstance(args[2], int) and args[2] & _WRITING:
            self._wrote(args[0])
        elif event in _CHANGES:
            for path, folder in _CHANGES[event]:
                self._wrote(args[path], -1 if folder is None else args[folder])
        elif event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in _LOCAL:
            self.network.append(f"{self.phase} connects to {args[1][0]}:{args[1][1]}")
        elif event == "socket.getaddrinfo" and args[0] not in _LOCAL:
            self.network.append(f"{self.phase} looks up {args[0]}")
        elif event == "pickle.find_class" and self.phase == "load":
            self.pickles.append(f"{args[0]}.{args[1]}")

    def _wrote(self, path: Any, folder: int = -1) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        place = os.fsdecode(path)
        if folder >= 0:
            try:
                place = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), place)
            except OSError:  # no Linux: nobody can tell where it is
                return
        place = os.path.abspath(place)
        if not place.startswith(("/dev/", "/proc/")) and not any(
            place == inside or place.startswith(inside + os.sep) for inside in self._allowed
        ):
            self.writes.append(f"{self.phase} writes {place}")


def main() -> None:
    """Go through it all, and write the report after each part, so that a crash tells where it was."""
    folder = Path(sys.argv[1]).resolve()
    spec = json.loads((folder / "child.json").read_text())
    report: dict[str, Any] = {}

    def tell(**part: Any) -> None:
        report.update(part)
        (folder / "report.json").write_text(json.dumps(report))

    if spec["module"]:
        tell(imports=_imports(spec["module"], spec["family"]["requires"]))
    from automl.artifact import load_model, save_model
    from automl.family import Family
    from automl.testing.subject import Subject

    said = {**spec["family"], "requires": tuple(spec["family"]["requires"])}
    subject = Subject(Family(**said), folder)
    import numpy as np

    watch = Watch([folder / "saved", folder / "again", *(folder / kind for kind in spec["kinds"]), TEMPORARY])
    for kind in spec["saved"]:
        saved = subject.saved(kind)
        X = subject.rows(kind)[2]
        watch.phase = "load"
        model = load_model(subject.family, kind, saved / "model")
        watch.phase = "predict"
        answer = subject.predict(kind, model, X)
        watch.phase = ""
        np.save(saved / "again.npy", answer)
    tell(loaded={"kinds": spec["saved"], "pickles": sorted(set(watch.pickles))})
    for kind in spec["kinds"]:
        again = folder / "again" / kind
        again.mkdir(parents=True)
        X = subject.rows(kind)[2]
        watch.phase = "fit"
        model = subject.fit(kind)
        watch.phase = "predict"
        subject.predict(kind, model, X)
        watch.phase = "save"
        if kind in spec["saved"]:
            save_model(model, again)
        watch.phase = ""
    tell(watched={"writes": sorted(set(watch.writes)), "network": sorted(set(watch.network))})
    tell(memory=_memory(subject, spec["kinds"][0]))


def _imports(place: str, requires: Sequence[str]) -> dict[str, Any]:
    """The libraries that the plugin's module brings along, its CPU seconds, and who of `requires` starts threads.

    Those of Python itself are none, unless the family requires them, nor are those that the core has imported.
    """
    for core in ("automl.family", "automl.metrics", "automl.plugins", "automl.data.read", "automl.execute", "polars"):
        importlib.import_module(core)
    before = _loaded()
    begin = time.process_time()
    plugin = place.partition(":")[0]
    importlib.import_module(plugin)
    seconds = time.process_time() - begin
    brought = _loaded() - before - {plugin.partition(".")[0]}
    for core in importlib.import_module("automl.execute.forkserver").CORE:  # its linear algebra has threads of its own
        importlib.import_module(core)
    busy = []
    for name in requires:
        before_it = _threads()
        importlib.import_module(name)
        busy += [name] if _threads() > before_it else []
    foreign = brought - sys.stdlib_module_names | brought & {name.partition(".")[0] for name in requires}
    return {"seconds": seconds, "foreign": sorted(foreign), "busy": busy}


def _loaded() -> set[str]:
    return {name.partition(".")[0] for name in sys.modules}


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def _memory(subject: Any, kind: str) -> list[int]:
    """Resident bytes before and after so many fits of 400 rows."""
    import numpy as np

    _, X, X_valid, y, y_valid = subject.rows(kind)
    many = np.arange(400) % len(y)
    X, y = X[many], y[many]
    sizes = []
    for i in range(WARM + REPEATS):
        if i == WARM:
            sizes.append(_resident())
        subject.fit(kind, rounds=8, rows=(X, y), validation=(X_valid, y_valid))
    return [*sizes, _resident()]


def _resident() -> int:
    gc.collect()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no Linux: the most that there ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
