"""The description of a peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from holdfast.bench.cases import Case
from holdfast.bench.runners import Runner

_Maker = Callable[[Case], Runner]


@dataclass(frozen=True)
class Peer:
    """A library, or a variant of Holdfast, to compare Holdfast with.

    Attributes:
        makers: mode -> function that prepares a case or raises ``Refused``.
        needs: module that it imports -> name of the distribution.
        best_threads: time it with one thread and with all, and keep the faster timing.
        checked: compare its results with Holdfast's before timing.
        once: time it once only, as it is slow.
    """

    makers: Mapping[str, _Maker]
    needs: Mapping[str, str]
    best_threads: bool = False
    checked: bool = True
    once: bool = False

    def missing(self) -> str | None:
        """Return None if it can be used here, else why not and how to install it."""
        for module, distribution in self.needs.items():
            try:
                import_module(module)
            except ModuleNotFoundError as error:
                wanted = " ".join(self.needs.values())
                return f"{error.name or distribution} is not installed (pip install {wanted})"
            except Exception as error:  # a library may fail in any way when it is loaded
                return f"{distribution} cannot be loaded ({type(error).__name__}: {error})"
        return None
