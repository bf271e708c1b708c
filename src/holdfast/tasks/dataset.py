"""What every task's data look like once they are read, split and encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Never, Protocol, Self, TypeVar

from holdfast._json import JsonMapping, JsonObject


class Split(Protocol):
    """Encoded examples of the training, validation or test split."""

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def fraction(self, share: float) -> Self:
        """Return the last ``share``, in (0, 1], of the examples, as a smaller training split."""
        ...


_R_contra = TypeVar("_R_contra", contravariant=True)
_K_contra = TypeVar("_K_contra", contravariant=True)
_E_co = TypeVar("_E_co", covariant=True)


class Preprocessing(Protocol[_R_contra, _K_contra, _E_co]):
    """What a task fits on the training split, such as scalers; saved as ``data.json``.

    ``R`` are raw examples, ``K`` the settings that fitting needs, and ``E`` what encoding returns:
    a split. Only a forecaster differs: it encodes all series of a file once, as a table, and then
    cuts the windows of every split from it.
    """

    @classmethod
    def fit(cls, raw: _R_contra, settings: _K_contra, /) -> Self:
        """Fit it on raw training examples.

        Raises:
            UserError: the examples are too few or too much alike.
        """
        ...

    def encode(self, raw: _R_contra, /) -> _E_co:
        """Convert raw examples to numbers.

        Raises:
            UserError: they have what training examples never had, such as another class.
        """
        ...

    def to_dict(self) -> JsonObject:
        """Return everything as values that JSON can hold."""
        ...

    @classmethod
    def from_dict(cls, values: JsonMapping, where: Path) -> Self:
        """Rebuild it from :meth:`to_dict`; ``where`` is the file, for messages.

        Raises:
            UserError: something is missing or damaged.
        """
        ...


SPLITS = ("training", "validation", "test")
"""Names of the splits."""
S = TypeVar("S", bound=Split)
P = TypeVar("P", bound=Preprocessing[Never, Never, object])


def evenly(count: int, most: int) -> range:
    """Return numbers of some of ``count`` examples, spread evenly: ``most``, or up to twice as many."""
    return range(0, count, max(1, count // most))


@dataclass(frozen=True)
class Dataset(Generic[S, P]):
    """Encoded splits, and the preprocessing that was fitted on the training split.

    Attributes:
        train, valid: the training and the validation split.
        test: the test split; None where there is none.
        preprocessing: fitted on the training split only.
        notes: what the user should know about the data, one clause each.
        digest: identifies the data; a resumed run must have the same.
    """

    train: S
    valid: S
    test: S | None
    preprocessing: P
    notes: tuple[str, ...]
    digest: str

    @classmethod
    def of(cls, splits: Mapping[str, S], preprocessing: P, notes: Iterable[str], digest: str) -> Self:
        """Return a dataset of the splits by name; an empty test split counts as none."""
        train, valid, test = (splits[name] for name in SPLITS)
        return cls(train, valid, test if len(test) else None, preprocessing, tuple(notes), digest)

    @property
    def scored(self) -> tuple[str, S]:
        """Name and examples of the scored split: test, or validation where there is no test."""
        return ("validation", self.valid) if self.test is None else ("test", self.test)

    def fraction(self, share: float) -> Self:
        """Return the same dataset with a share of its training split; the preprocessing stays."""
        return replace(self, train=self.train.fraction(share))
