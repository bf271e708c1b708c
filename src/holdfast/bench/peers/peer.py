"""What a peer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.bench.cases import Case, Refused
from holdfast.bench.runners import Runner, library

_Maker = Callable[[Case], Runner]


@dataclass(frozen=True)
class Peer:
    """Something that Holdfast is held against.

    Attributes:
        makers: mode -> how to make a case ready; raises :class:`Refused` where the peer has no such thing.
        needs: the modules that it imports, by the names of their distributions.
        best_threads: it runs on torch's threads, of which more are not always better: it is timed with one and
            with all, and the faster counts.
        checked: its results are Holdfast's, and are compared before it is timed.
        once: it is so slow that it is timed once.
    """

    makers: Mapping[str, _Maker]
    needs: Mapping[str, str]
    best_threads: bool = False
    checked: bool = True
    once: bool = False

    def missing(self) -> str | None:
        """None when it can be used here, else why not and how to install it."""
        for module, distribution in self.needs.items():
            try:
                library(module)
            except ModuleNotFoundError as error:
                wanted = " ".join(self.needs.values())
                return f"{error.name or distribution} is not installed (pip install {wanted})"
            except Exception as error:  # a library may fail in any way when it is loaded
                return f"{distribution} cannot be loaded ({type(error).__name__}: {error})"
        return None

    def make(self, case: Case) -> Runner:
        """The case, ready to be timed.

        Raises:
            Refused: this peer has no such case.
        """
        if case.mode not in self.makers:
            raise Refused(f"has no {case.mode}")
        return self.makers[case.mode](case)
