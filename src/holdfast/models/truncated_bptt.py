"""A text read in several streams side by side: for training with the state carried on, and for scoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.models.language import RecurrentLanguageModel
from holdfast.nn.cells import State

Batch = tuple[Tensor, Tensor, Tensor]
"""Units [T, B], those that follow them [T, B], and how much of its state each stream keeps before them [B]: 0 or 1."""
CHUNK = 256
"""Steps that are scored at once."""
STREAMS_OF_VALIDATION, LEAST_OF_VALIDATION = 32, 1000
"""Validation is read side by side in so many streams, of no fewer units than this: each begins without context."""


class StreamSettings(Protocol):
    """What is asked of a training along streams: as the settings of a language model's are."""

    @property
    def seed(self) -> int:
        """Of the places where epochs begin, and of the resets."""
        ...

    @property
    def steps(self) -> int:
        """Units after which back-propagation is cut."""
        ...

    @property
    def reset(self) -> float:
        """Probability that a stream's state is set back to zeros there."""
        ...

    @property
    def activation(self) -> float:
        """Penalty on the size of the last layer's outputs."""
        ...

    @property
    def change(self) -> float:
        """Penalty on their change from step to step."""
        ...

    def streams(self, length: int) -> int:
        """Streams that a text of so many units is read in: each has two pieces of ``steps`` or more."""
        ...


class StreamTraining:
    """What the training loop asks for: steps along B streams of the text, the state carried from one to the next.

    An epoch begins with a state of zeros, at a place within the first ``steps`` units that its number and the seed
    choose. A stream's state is set back to zeros by chance too (Melis et al. 2018, arXiv 1707.05589): a network that
    is hardly ever trained on the first units of a text may fail on them, and go on failing.

    Args:
        module: the network.
        settings: how it is trained.
        train: the text's units [n].
        valid: those of the validation part.
        begin: the unit that stands before the first.
    """

    monitor = "valid_loss"

    def __init__(
        self,
        module: RecurrentLanguageModel,
        settings: StreamSettings,
        train: Array,
        valid: Array,
        begin: int,
    ) -> None:
        self.module, self.valid, self.begin, self.settings = module, valid, begin, settings
        self.train, self.steps = train, settings.steps
        self.streams = settings.streams(len(train))
        if self.streams < 1:
            raise UserError(
                "The training part is at least twice as long as --steps.",
                f"It has {len(train)} units for {self.steps} steps.",
                "Give more data, or fewer --steps.",
            )
        self.length = len(train) // self.streams
        self.steps_per_epoch = (self.length - self.steps) // self.steps
        self.state: list[State] | None = None

    def text(self, epoch: int) -> Array:
        """The units [n] that an epoch reads: the same in each, here."""
        return self.train

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Pieces of the streams, one after the other."""
        self.state = None
        text = self.text(epoch)[: self.streams * self.length].reshape(self.streams, self.length)
        generator = np.random.default_rng((self.settings.seed, epoch))
        first = int(generator.integers(self.steps))
        for k in range(self.steps_per_epoch):
            at = first + k * self.steps
            piece = torch.from_numpy(text[:, at : at + self.steps + 1].astype(np.int64).T.copy())
            kept = generator.random(self.streams) >= self.settings.reset
            yield piece[:-1], piece[1:], torch.from_numpy(kept.astype(np.float32))

    def loss(self, batch: Batch) -> Tensor:
        """Nats per unit, and the two penalties on the last layer's outputs (Merity et al. 2017)."""
        units, following, kept = batch
        hidden, state = self.module(units, self.state and [_scaled(one, kept) for one in self.state])
        self.state = [detach_state(one) for one in state]
        loss: Tensor = self.module.output.nll(hidden.dropped.flatten(0, 1), following.flatten()).mean()
        if self.settings.activation:
            loss = loss + self.settings.activation * hidden.dropped.square().mean()
        if self.settings.change:
            loss = loss + self.settings.change * (hidden.raw[1:] - hidden.raw[:-1]).square().mean()
        return loss

    def validate(self) -> dict[str, float]:
        """Nats per unit of the validation part, read in a few streams."""
        streams = max(1, min(STREAMS_OF_VALIDATION, len(self.valid) // LEAST_OF_VALIDATION))
        return {self.monitor: float(text_nll(self.module, self.valid, self.begin, streams).mean())}

    def carried(self) -> dict[str, Tensor]:
        """The state, by layer and place."""
        layers = self.state or []
        return {f"{k}.{j}": t for k, one in enumerate(layers) for j, t in enumerate(_parts(one))}

    def restore(self, carried: dict[str, Tensor]) -> None:
        """Carry on with this state."""
        device = next(self.module.parameters()).device
        count = len({name.partition(".")[0] for name in carried})
        found = [
            [t.to(device) for name, t in sorted(carried.items()) if name.startswith(f"{k}.")]
            for k in range(count)
        ]
        self.state = [_state(parts) for parts in found] or None


@dataclass(frozen=True)
class ScoredChunk:
    """Some steps of a text that was read: the last layer's outputs [T, B, E], what followed and its nats [T, B]."""

    hidden: Tensor
    following: Tensor
    nll: Tensor


@torch.no_grad()
def score_chunks(
    module: RecurrentLanguageModel, ids: Array, begin: int, streams: int = 1
) -> Iterator[ScoredChunk]:
    """Read a text of n units in evaluation; where the streams are not equally long, the last is filled up.

    Args:
        module: the network.
        ids: [n].
        begin: the unit that stands before the first.
        streams: parts that are read side by side, each from a state of zeros: 1 is exact.
    """
    module.eval()
    device = next(module.parameters()).device
    length = -(-len(ids) // streams)
    state: list[State] | None = None
    starts = np.arange(streams) * length
    for at in range(0, length, CHUNK):
        steps = np.arange(at, min(at + CHUNK, length))
        places = steps[:, None] + starts
        units = np.where(places > 0, ids[np.clip(places - 1, 0, len(ids) - 1)], begin)
        following = _on(ids[np.minimum(places, len(ids) - 1)], device)
        hidden, state = module(_on(units, device), state)
        found = module.output.nll(hidden.raw.flatten(0, 1), following.flatten())
        yield ScoredChunk(hidden.raw, following, found.view(following.shape))


def text_nll(module: RecurrentLanguageModel, ids: Array, begin: int, streams: int = 1) -> NDArray[np.float32]:
    """``-log p`` of every unit [n] of a text, as :func:`score_chunks` finds it."""
    found = [piece.nll.cpu() for piece in score_chunks(module, ids, begin, streams)]
    return torch.cat(found).T.reshape(-1)[: len(ids)].numpy()


@torch.no_grad()
def texts_nll(module: RecurrentLanguageModel, texts: Sequence[Array], end: int) -> list[NDArray[np.float32]]:
    """``-log p`` [n + 1] of every unit of some texts [n] and of the end of each, every text read by itself.

    Args:
        module: the network.
        texts: units, of any lengths.
        end: the unit that stands behind each text, and before it.
    """
    module.eval()
    device = next(module.parameters()).device
    found: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for at in range(0, len(order), STREAMS_OF_VALIDATION):
        some = order[at : at + STREAMS_OF_VALIDATION]
        table = np.full((max(len(texts[i]) for i in some) + 2, len(some)), end)
        for column, i in enumerate(some):
            table[1 : len(texts[i]) + 1, column] = texts[i]
        state: list[State] | None = None
        pieces = []
        for start in range(0, len(table) - 1, CHUNK):
            piece = _on(table[start : start + CHUNK + 1], device)
            hidden, state = module(piece[:-1], state)
            pieces.append(module.output.nll(hidden.raw.flatten(0, 1), piece[1:].flatten()).view_as(piece[1:]))
        nats = torch.cat(pieces).T.cpu().numpy()
        for row, i in enumerate(some):
            found[i] = nats[row, : len(texts[i]) + 1]
    return found


def _on(numbers: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(numbers.astype(np.int64)).to(device)


def _parts(state: State) -> Sequence[Tensor]:
    return state if isinstance(state, tuple) else (state,)


def _scaled(state: State, share: Tensor) -> Any:
    """The state of each stream [1, B, H] times its share [B]."""
    return _state([part * share[:, None].to(part) for part in _parts(state)])


def detach_state(state: State) -> Any:
    """The same state, through which nothing is learnt."""
    return _state([part.detach() for part in _parts(state)])


def _state(parts: Sequence[Tensor]) -> Any:
    """A layer's state in the form of its ``hx``."""
    return tuple(parts) if len(parts) > 1 else parts[0]
