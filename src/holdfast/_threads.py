"""How long waiting OpenMP threads spin: a default that must be set before torch is imported.

GNU's OpenMP runtime (libgomp, part of torch on Linux) lets a thread that waits spin 300,000 times
before it sleeps. On an idle machine that saves the wake-up. If another program needs the core, the
spinning thread takes the time of the one it waits for: a training step with two threads becomes 10
to 200 times slower. After 2,000 turns it sleeps, at the price of a few per cent on an idle machine;
after 1,000, torch's own GRU loses 30%. Measure with ``python bench/busy_machine.py --spin 1000
--spin 3000``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass

SPINCOUNT = "2000"
_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@dataclass(frozen=True)
class SpinSetting:
    """The setting, its source (environment, holdfast, nobody), and whether torch could read it."""

    variable: str
    value: str | None
    source: str
    effective: bool

    def __str__(self) -> str:
        """One sentence for ``holdfast info``."""
        if not self.effective:
            return (
                f"{self.variable} is not set: torch was imported before holdfast. "
                f"Import holdfast first, or set {self.variable}={SPINCOUNT}."
            )
        return f"{self.variable}={self.value}, set by {'the ' * (self.source == 'environment')}{self.source}"


def set_default(environ: MutableMapping[str, str], modules: Iterable[str]) -> SpinSetting:
    """Set ``GOMP_SPINCOUNT`` unless a setting exists or torch, which reads it once, is imported."""
    for variable in _VARIABLES:
        if variable in environ:
            return SpinSetting(variable, environ[variable], "environment", True)
    if "torch" in modules:
        return SpinSetting("GOMP_SPINCOUNT", None, "nobody", False)
    environ["GOMP_SPINCOUNT"] = SPINCOUNT
    return SpinSetting("GOMP_SPINCOUNT", SPINCOUNT, "holdfast", True)


SETTING = set_default(os.environ, sys.modules)
"""What this process found or set when Holdfast was imported."""
