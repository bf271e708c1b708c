"""Description of the machine and the libraries for a result."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from holdfast._json import JsonObject
from holdfast.info import info

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def _machine() -> JsonObject:
    """Describe the processor, the instruction sets in use, and the system."""
    found = info()
    cpu = found["cpu"]
    return {
        "processor": cpu["model"],
        "cores": cpu["usable"],
        "features": cpu["features"],
        "caches": _caches(_CACHES),
        "isa": found["native"]["isa"],
        "torch_isa": cpu["torch_capability"],
        "system": platform.platform(),
    }


def heading(distributions: Iterable[str]) -> JsonObject:
    """Return the head of a result: date, machine and versions."""
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"date": date, "machine": _machine(), "versions": _versions(distributions)}


def _caches(folder: Path) -> dict[str, str]:
    """Return level and type -> size of the first core's caches; empty except on Linux."""
    found = {}
    for index in sorted(folder.glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        found[f"L{level} {kind.lower()}"] = size
    return found


def _versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the installed versions, with Python and Holdfast first."""
    found = {"python": platform.python_version()}
    for name in ("holdfast", *distributions):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
