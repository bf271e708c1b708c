"""Baselines: simple methods that a network has to beat, fitted on the same splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from holdfast._typing import Array
from holdfast.decoding.ngram import NGramBaselines as NGramCounts
from holdfast.errors import damaged

S = TypeVar("S")
Y = TypeVar("Y")


class LeftOut(Exception):  # noqa: N818 - not an error: a baseline that does not apply to the data
    """Raised by a baseline that does not apply to the data; its text, if any, becomes a note."""


class Baseline(ABC, Generic[S, Y]):
    """A simple method: ``S`` is a split of the task, ``Y`` its predictions.

    Attributes:
        name: key in results, such as ``"seasonal_naive"``.
        note: what the user should know about the fit; empty for nothing.
        saved: names of the fitted attributes, arrays, that :meth:`state` returns.
        optional: whether saved results may lack it.
    """

    name: str
    note: str = ""
    saved: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[bool] = False

    @property
    def prefix(self) -> str:
        """What the names of its arrays begin with in ``baselines.safetensors``."""
        return f"{self.name}."

    def fit(self, train: S, valid: S) -> None:
        """Fit on the training split; the validation split may choose between settings.

        Raises:
            LeftOut: the baseline does not apply to these data.
        """

    @abstractmethod
    def predict(self, split: S) -> Y:
        """Predict every example of a split."""

    def state(self) -> dict[str, Array]:
        """Return everything that was fitted, by name."""
        return {name: getattr(self, name) for name in self.saved}

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Take what :meth:`state` returned.

        Raises:
            LeftOut: the baseline was left out when it was fitted.
        """
        for name in self.saved:
            setattr(self, name, arrays[name])


class BaselineSet(Generic[S, Y]):
    """Baselines of a task.

    Attributes:
        members: those that apply, fitted.
        notes: which were left out, and why.
    """

    def __init__(self, members: Sequence[Baseline[S, Y]], notes: Sequence[str] = ()) -> None:
        self.members, self.notes = list(members), list(notes)

    def fit(self, train: S, valid: S) -> BaselineSet[S, Y]:
        """Fit every member, and leave out those that do not apply."""
        for member in list(self.members):
            try:
                member.fit(train, valid)
            except LeftOut as reason:
                self._leave_out(member, str(reason))
        self.notes += [member.note for member in self.members if member.note]
        return self

    def each(self, split: S) -> Iterator[tuple[str, Y]]:
        """Yield the name and the predictions of one baseline after the other."""
        for member in self.members:
            yield member.name, member.predict(split)

    def state(self) -> dict[str, Array]:
        """Return the arrays of all members, by ``<prefix><name>``."""
        return {f"{m.prefix}{name}": array for m in self.members for name, array in m.state().items()}

    def load_state(self, arrays: Mapping[str, Array]) -> BaselineSet[S, Y]:
        """Take what :meth:`state` returned.

        Raises:
            UserError: arrays of a baseline are missing or damaged.
        """
        for member in list(self.members):
            own = {n.removeprefix(member.prefix): a for n, a in arrays.items() if n.startswith(member.prefix)}
            if member.optional and not own:
                self._leave_out(member, "")
                continue
            try:
                member.load_state(own)
            except LeftOut:
                self._leave_out(member, "")
            except (KeyError, ValueError) as error:
                raise damaged(
                    "baselines.safetensors", f"The baseline {member.name} lacks {error}."
                ) from error
        return self

    def _leave_out(self, member: Baseline[S, Y], reason: str) -> None:
        self.members.remove(member)
        self.notes += [f"baseline {member.name} left out: {reason}"] if reason else []


class NGramBaselineSet(BaselineSet[S, Array]):
    """Unigrams and Kneser-Ney n-grams with shared counts; predictions are nats of tokens [n].

    Args:
        ids: token numbers [n] of a split.
        tokens: size of the vocabulary.
        longest: longest order that is tried on the validation split.
        order: order to use instead of trying.
    """

    def __init__(
        self, ids: Callable[[S], Array], tokens: int, longest: int, order: int | None = None
    ) -> None:
        super().__init__([])
        self.ids, self.sizes = ids, (tokens, longest, order)
        self.counts: NGramCounts | None = None

    def fit(self, train: S, valid: S) -> NGramBaselineSet[S]:
        """Count the n-grams of the training split."""
        self.counts = NGramCounts.fit(self.ids(train), self.ids(valid), *self.sizes)
        self.notes += self.counts.notes
        return self

    def each(self, split: S) -> Iterator[tuple[str, Array]]:
        """Yield ``unigram`` and ``kneser_ney_<order>gram`` with the nats of every token."""
        assert self.counts is not None
        yield from self.counts.each(self.ids(split))

    def state(self) -> dict[str, Array]:
        """Return the counts."""
        assert self.counts is not None
        return self.counts.state()

    def load_state(self, arrays: Mapping[str, Array]) -> NGramBaselineSet[S]:
        """Take the counts."""
        self.counts = NGramCounts.from_state(arrays)
        return self
