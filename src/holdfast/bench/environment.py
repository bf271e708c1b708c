"""The machine and the libraries, as a result must name them."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from holdfast.info import info
from holdfast.nn.kernels import native

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def machine() -> dict[str, Any]:
    """Processor, cores, caches, the instruction set of Holdfast's core and of torch, the system."""
    told = info()
    cpu = told["cpu"]
    return {
        "processor": cpu["model"],
        "cores": cpu["usable"],
        "features": cpu["features"],
        "caches": caches(_CACHES),
        "isa": told["native"]["isa"],
        "torch_isa": cpu["torch_capability"],
        "system": platform.platform(),
    }


def heading(distributions: Iterable[str]) -> dict[str, Any]:
    """What every result begins with: when, where and with which versions."""
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"date": date, "machine": machine(), "versions": versions(distributions)}


def caches(folder: Path) -> dict[str, str]:
    """Level and type -> size, as Linux tells them of the first core; nothing where it does not."""
    found = {}
    for index in sorted(folder.glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        found[f"L{level} {kind.lower()}"] = size
    return found


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Those that are installed, Python and Holdfast's own first."""
    found = {"python": platform.python_version()}
    for name in ("holdfast", *distributions):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak() -> float | None:
    """The flop/s of one thread's multiply-adds now; None without the native core."""
    return None if native.available() else native.peak()
