"""The doctor: what this machine and this environment have, and what each extra lacks."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from automl.plugins import installed


def examine() -> list[tuple[str, str]]:
    """Facts as pairs of a name and a sentence."""
    from automl.machine import cores
    from automl.run import versions

    registry = installed()
    failed = [f"{p.name} ({p.reason})" for p in registry.plugins.values() if p.state == "failed"]
    return [
        ("platform", f"{platform.system()} {platform.machine()}, {platform.release()}"),
        ("cores", f"{cores()} usable of {os.cpu_count()}"),
        ("memory", _memory()),
        ("disk", f"{shutil.disk_usage('.').free / 1e9:.1f} GB free here"),
        ("GPUs", _gpus()),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions().items())),
        *(("extra", f"{extra}: {lack}") for extra, lack in _extras().items()),
        ("plugins", f"{sum(p.state == 'loaded' for p in registry.plugins.values())} loaded"),
        *(("failed", text) for text in failed),
    ]


def _memory() -> str:
    try:
        facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        total, free = (int(facts[key].split()[0]) / 1e6 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return "not known on this platform"
    return f"{free:.1f} GB available of {total:.1f}"


def _gpus() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none found (no nvidia-smi)"
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        asked = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not known: {error}"
    return "; ".join(asked.stdout.strip().splitlines()) or f"nvidia-smi says: {asked.stderr.strip()[:200]}"


def _extras() -> dict[str, str]:
    """Each extra, and which of its packages are not installed."""
    lacking: dict[str, list[str]] = {}
    for requirement in metadata.requires("automl") or ():
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        for extra in re.findall(r"extra == ['\"]([^'\"]+)['\"]", requirement):
            lacking.setdefault(extra, [])
            if name != "automl" and not _is_installed(name):
                lacking[extra].append(name)
    return {
        extra: f"lacks {', '.join(names)}: pip install 'automl[{extra}]'" if names else "complete"
        for extra, names in lacking.items()
    }


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
